//! `release`: several promotions as one, all of them planned before the first is written.

use crate::command::promote::{all, report};
use crate::command::report::Report;
use crate::command::request::{Promote, Release};
use crate::command::session::Session;
use crate::error::Error;
use crate::pure::promote::record::RecordCommand;

/// Releases, or says what a release would do.
///
/// # Errors
/// Those of the promotions.
pub fn run(session: &Session, request: &Release) -> Result<Report, Error> {
    let Release { promotions, dry_run, record, sign_record } = request;
    let one = |one: &Promote| Promote {
        dry_run: *dry_run,
        record: record.clone(),
        sign_record: sign_record.clone(),
        ..one.clone()
    };
    let promotions: Vec<Promote> = promotions.iter().map(one).collect();
    report::promotion(&all(session, &promotions, RecordCommand::Release)?, &promotions, true)
}
