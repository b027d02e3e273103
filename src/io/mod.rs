//! The only layer that meets the world: sockets, files, clock, environment, programs.

pub mod aws;
pub mod aws_call;
pub mod aws_chain;
pub mod aws_sources;
pub mod blob;
mod blob_source;
pub mod client;
pub mod ecr;
pub mod exchange;
pub mod grant;
pub mod http;
pub mod hub;
pub mod keychain;
pub mod progress;
pub mod referrers;
pub mod refused;
pub mod registry;
pub mod transfer;
pub mod world;
