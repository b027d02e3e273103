//! The nouns of the OCI specifications, one a file; each parses, prints and compares itself.

pub mod artifact;
pub mod config;
pub mod content;
pub mod descriptor;
pub mod digest;
pub mod index;
pub mod listing;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod raw_manifest;
pub mod reference;
pub mod referrers;
pub mod registry;
pub mod repository;
mod spelling;
pub mod tag;
