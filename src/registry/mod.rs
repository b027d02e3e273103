//! What a command knows of a registry: one repository with its caller, and the kinds of registries behind it.

mod backend;
mod blob_source;
pub mod blobs;
pub mod distribution;
mod ecr;
mod ecr_api;
pub mod entrance;
mod fan;
pub mod hub;
pub mod limits;
pub mod login;
mod pages;
mod referrers;
pub mod remote;

pub use blobs::{Mount, Upload};
pub use distribution::Acceptance;
pub use ecr_api::EcrApi;
pub use fan::fan_out;
pub use hub::HubApi;
pub use remote::Remote;
