//! What a command knows of a registry: one repository with its caller, and the kinds of registries behind it.

mod blob_source;
pub mod blobs;
pub mod distribution;
pub mod ecr;
pub mod hub;
mod listing;
pub mod login;
pub mod referrers;
pub mod remote;
pub mod transfer;
