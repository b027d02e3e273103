//! The nouns of the OCI specifications, one a file; each parses, prints and compares itself.

pub mod artifact;
pub mod config;
pub mod content;
pub mod descriptor;
pub mod difference;
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

pub use artifact::Artifact;
pub use config::Config;
pub use content::Content;
pub use descriptor::Descriptor;
pub use digest::{Digest, Hasher};
pub use index::Index;
pub use listing::{Detail, Heads, Listing, TagEntry};
pub use manifest::Manifest;
pub use media_type::{MediaType, OCI_INDEX, OCI_MANIFEST};
pub use platform::Platform;
pub use raw_manifest::RawManifest;
pub use reference::{Identifier, Reference};
pub use referrers::{ReferrerGroup, ReferrerList};
pub use registry::Registry;
pub use repository::Repository;
pub use tag::Tag;
