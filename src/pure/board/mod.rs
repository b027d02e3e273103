//! The board: what is on the moving tags of repositories, as rows and as a page with timelines.

pub mod compare;
pub mod markup;
pub mod moving;
pub mod page;
pub mod row;
pub mod timeline;

pub use compare::ImageOrigin;
pub use moving::TagLines;
pub use row::{BoardRepository, BoardTag, TagMove};
