//! The same stories against real servers.

#[path = "../support/mod.rs"]
mod support;
