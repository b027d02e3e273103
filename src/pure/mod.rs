//! Decisions without the world: no socket, file, clock, environment or process; same input, same output.

pub mod auth;
pub mod aws;
pub mod board;
pub mod der;
pub mod http;
pub mod hub;
pub mod image;
pub mod promote;
pub mod signature;
pub mod text;
pub mod version;
