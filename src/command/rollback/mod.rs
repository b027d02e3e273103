//! `rollback`: puts the tags that a promotion moved back to what its record says they held.
//!
//! The stations: [`source`] finds the record, [`line`](mod@line) looks, lets `pure::promote::rollback_plan` decide and tells what
//! happened, [`promote::write`](crate::command::promote::write) writes and reads back.

pub mod line;
pub mod source;

pub use line::run;
pub use source::read;
