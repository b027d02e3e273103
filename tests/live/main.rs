//! The same stories against real servers: Debian's `docker-registry` and version 3 of the same program, each open,
//! with a password, with tokens, and in TLS from a private authority; olareg and crane's registry.
//!
//! Runs by name only, `cargo test --test live`; a server or tool that is missing fails the tests.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests meet the world")]

#[path = "../support/mod.rs"]
mod support;

mod aws;
mod copy;
mod credentials;
mod crowd;
mod doors;
mod fleet;
mod killed;
mod peers;
mod release;
#[allow(dead_code, reason = "the other tests need more of it")]
mod stage;
mod story;
