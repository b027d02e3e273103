//! The program from outside: the real binary, an empty environment, servers that answer as told.

#[path = "../support/mod.rs"]
mod support;

mod fakes;
