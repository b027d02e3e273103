//! `release`: several promotions as one, all of them planned before the first is written.

use crate::command::report::Report;
use crate::command::request::Release;
use crate::command::session::Session;
use crate::error::{Code, Error};

/// Releases, or says what a release would do.
///
/// # Errors
/// Those of the promotions, before anything is written.
pub fn run(_: &Session, request: &Release) -> Result<Report, Error> {
    let count = request.promotions.len();
    Err(Error::new(Code::Internal, format!("nothing carries out a release, here of {count} promotions")))
}
