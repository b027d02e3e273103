//! `promote`: gives an existing digest more tags. In its own repository no byte of the image is moved; into
//! another one everything that is missing there is copied first.
//!
//! The stations: [`look`] reads the source and what every target holds, `pure::promote::plan` decides,
//! [`copy`] brings the image along where that is needed, [`act`] writes, [`read_back`] sees that it stays so, [`report`]
//! says what happened.

pub mod act;
pub mod attach;
pub mod copy;
pub mod holder;
pub mod line;
pub mod look;
pub mod read_back;
pub mod record;
pub mod report;
pub mod tree;

pub use line::run;
