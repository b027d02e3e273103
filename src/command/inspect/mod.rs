//! `inspect`: what a reference is, since when, what else is the same, and what points at it.
//!
//! [`line`](mod@line) looks and reports, [`bytes`] prints what there is as it is; since when is decided in `pure::promote::push`.

pub mod bytes;
pub mod line;

pub use line::run;
