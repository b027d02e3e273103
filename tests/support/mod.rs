//! What the tests and the demo share: the program as a child process, servers that answer as told, images made of bytes.
//!
//! Everything listens on loopback on a free port, runs on plain threads, and ends when it is dropped.

// Each target that includes this folder uses a part of it. Tests may touch the world.
#![allow(dead_code, clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

pub mod agent;
pub mod amazon;
pub mod archive;
pub mod client;
pub mod cmd;
pub mod crowd;
pub mod http;
pub mod hub;
pub mod image;
pub mod live;
pub mod log;
pub mod manifests;
pub mod program;
pub mod proxy;
pub mod pty;
pub mod registry;
pub mod relay;
pub mod release;
pub mod reply;
pub mod schema;
pub mod server;
pub mod signing;
pub mod text;
pub mod tls;
pub mod token;
pub mod uploads;
pub mod whole;
