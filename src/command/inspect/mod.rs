//! `inspect`: what a reference is, since when, what else is the same, and what points at it.
//!
//! [`line`](mod@line) looks and reports; since when is decided in `pure::promote::push`.

pub mod line;

pub use line::run;
