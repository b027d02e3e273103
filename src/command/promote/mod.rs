//! `promote`: gives an existing digest more tags. In its own repository no byte of the image is moved; into
//! another one everything that is missing there is copied first.
//!
//! The stations: [`look`] reads the source and what every target holds, `pure::promote::plan` decides, [`copy`] brings
//! the image along where that is needed, [`write`](mod@write) writes the tags and sees that it stays so, [`record`] keeps
//! what was done, [`report`] says it. They share the types of [`state`].

pub mod attach;
pub mod copy;
pub mod holder;
pub mod judge;
pub mod line;
pub mod look;
pub mod missing;
pub mod notes;
pub mod record;
pub mod report;
pub mod signatures;
pub mod state;
pub mod tree;
pub mod write;

pub use holder::Versions;
pub use judge::Guard;
pub use line::{all, run};
pub use record::Keeper;
pub use state::{CopyPlan, Lane, RunOutcome, SourceLook, Survey, Totals};
pub use tree::{Referrer, Tree};
pub use write::{Judge, WriteTask};
