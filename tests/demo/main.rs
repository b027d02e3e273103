//! The main job, command by command, against a real registry.

#[path = "../support/mod.rs"]
mod support;

fn main() {}
