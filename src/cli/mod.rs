//! Words typed by a person, or a JSON request, become a [`Request`](crate::command::request::Request); nothing is touched.
//!
//! [`defs`] is the one table of commands and flags. [`parse`] and [`json`] turn words and JSON into the same
//! [`given::Arguments`], [`build`] and [`common`] check that once, and help, documents and schemas are written from the table.

pub mod build;
pub mod common;
pub mod complete;
pub mod defs;
pub mod given;
pub mod help;
pub mod json;
pub mod parse;
pub mod required;
pub mod suggest;

pub use defs::{CALL, Command, Flag, Json, RELEASE};
pub use given::{Arguments, Dialect, invalid, missing, shown};
pub use parse::Misuse;
