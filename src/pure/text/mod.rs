//! The few bytes-to-text tools that the crates do not bring.

pub mod glob;
pub mod hex;
pub mod instant;
pub mod json;
pub mod nearest;
pub mod percent;
pub mod shell;
pub mod show;
pub mod words;

pub use glob::Glob;
pub use json::{Document, Members};
pub use nearest::nearest;
pub use show::quoted;
