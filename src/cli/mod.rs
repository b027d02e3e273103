//! Words typed by a person, or a JSON request, become a [`Request`](crate::command::Request); nothing is touched.

pub mod defs;
pub mod help;
pub mod json;
pub mod parse;
pub mod suggest;
