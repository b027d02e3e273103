//! The line of `promote`: look, plan, act, report.

use super::record::{self, Keeper};
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
/// before anything is written, and `record-invalid` where that cannot be written down; `tag-immutable`, `denied`, `raced` with what had been written.
pub fn run(session: &Session, request: &Promote) -> Result<Report, Error> {
    record::check(session, request)?;
    let seen = look::look(session, request)?;
    let plan = plan::plan(&seen.facts, request.allow_downgrade)?;
    for (code, sentence) in &plan.warnings {
        session.client.exchange.warn(code, sentence.clone());
    }
    let planned = report::planned(session, &seen, &plan);
    let keeper = Keeper::begin(session, request, &seen, planned.tags, planned.rollback, planned.copies)?;
    let outcomes =
        if request.dry_run { act::pretend(session, &seen, &plan) } else { act::act(session, request, &seen, &plan) };
    let outcomes = outcomes.map_err(|error| keeper.failed(error))?;
    report::report(session, request, &seen, &outcomes, &keeper)
}
