//! tagwright promotes container images and reads their labels.
//!
//! One straight line per command: arguments → request → look → plan → act → report → JSON.
//! `cli` reads words, `command` holds the lines, `pure` decides, `io` meets the world.

pub mod cli;
pub mod command;
pub mod error;
pub mod io;
pub mod output;
pub mod pure;
pub mod secret;
