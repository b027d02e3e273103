//! The line of `promote`: look, plan, act, report.

use super::copy::{self, Copied};
use super::{act, look, report};
use crate::command::request::Promote;
use crate::command::session::Session;
use crate::error::Error;
use crate::output::Report;
use crate::pure::promote::plan;

/// Promotes, or says what a promotion would do.
///
/// # Errors
/// Those of the source; `tag-conflict`, `downgrade-refused`, `order-unknown`, `digest-unexpected`, `label-mismatch`
/// before anything is written; `tag-immutable`, `denied`, `raced` with what had been written.
pub fn run(session: &Session, request: &Promote) -> Result<Report, Error> {
    let seen = look::look(session, request)?;
    let plan = plan::plan(&seen.facts, request.allow_downgrade)?;
    for (code, sentence) in &plan.warnings {
        session.client.exchange.warn(code, sentence.clone());
    }
    let copied = match &seen.copy {
        Some(copy) if request.dry_run => copy.planned(),
        Some(copy) => copy::act(session, request, &seen, copy)?,
        None => Copied::default(),
    };
    let outcomes = if request.dry_run {
        act::pretend(session, &seen, &plan)?
    } else {
        act::act(session, request, &seen, &plan).map_err(|error| match copy::told(&copied, request) {
            Some(done) => error.after_also(done),
            None => error,
        })?
    };
    report::report(session, request, &seen, &copied, &outcomes)
}
