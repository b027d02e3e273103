//! What differs between the systems that the program runs on: a file each, with the same names in both.
//!
//! Whoever calls does not ask which system it is. What std does alike everywhere, such as taking a `PATH` apart, is
//! called where it is needed.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;
