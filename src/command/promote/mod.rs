//! `promote`: gives an existing digest more tags inside its registry; no byte of the image is moved.
//!
//! The stations: [`look`] reads the source and what every target holds, `pure::promote::plan` decides,
//! [`act`] writes and reads back, [`report`] says what happened.

pub mod act;
pub mod holder;
pub mod line;
pub mod look;
pub mod record;
pub mod report;

pub use line::run;
