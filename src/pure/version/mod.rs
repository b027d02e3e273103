//! Versions: dotted integers in tags, the ISO week scheme, and the tag of a build among many.

pub mod calver;
pub mod pick;
pub mod scheme;
pub mod since;

pub use calver::{Build, OnConflict};
pub use pick::{Candidate, Choice};
pub use scheme::{Spelling, TagFormat, Version, VersionTag};
pub use since::Since;
