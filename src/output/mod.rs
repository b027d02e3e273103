//! What a run leaves behind: JSON for programs, words for people, an exit status.

pub mod envelope;
pub mod terminal;

pub use envelope::{Ending, Style};
