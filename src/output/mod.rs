//! What a run leaves behind: JSON for programs, text for people, an exit status.

pub mod envelope;
pub mod table;
pub mod terminal;
pub mod text;

pub use envelope::{Ending, Layout, Style};
pub use terminal::Screen;
