//! The only layer that meets the world: sockets, files, clock, environment, programs.

pub mod client;
pub mod exchange;
pub mod http;
pub mod hub;
pub mod keychain;
pub mod registry;
pub mod world;
