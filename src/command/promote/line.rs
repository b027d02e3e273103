//! The line of `promote`: look, plan, act, report.

use crate::command::promote::act::Outcome;
use crate::command::promote::copy::{self, Copied, Copy};
use crate::command::promote::look::Seen;
use crate::command::promote::record::{self, Keeper};
use super::{act, look, report};
use crate::command::request::Promote;
use crate::command::session::{Session, Sides};
use crate::error::Error;
use crate::command::report::Report;
use crate::pure::promote::plan::{self, Plan};

/// Promotes, or says what a promotion would do.
///
/// # Errors
/// Those of the source; `tag-conflict`, `downgrade-refused`, `order-unknown`, `digest-unexpected`, `label-mismatch`
/// before anything is written, and `record-invalid` where what is planned cannot be written down; `tag-immutable`,
/// `denied`, `raced` with what had been written.
pub fn run(session: &Session, request: &Promote) -> Result<Report, Error> {
    record::check(session, request)?;
    let sides = &session.sides(request.source.repository(), request.into.as_ref(), !request.dry_run);
    let seen = look::look(sides, request)?;
    let plan = plan::plan(&seen.facts, request.allow_downgrade)?;
    for (code, sentence) in &plan.warnings {
        sides.target.warn(code, sentence.clone());
    }
    if seen.copy.is_some() {
        act::check_kept(sides, &seen, &plan)?;
    }
    let planned = seen.copy.as_ref().map(Copy::planned).unwrap_or_default();
    let keeper = Keeper::begin(session, sides, request, &seen, report::planned(session, &seen, &plan, &planned))?;
    let (copied, outcomes) = if request.dry_run {
        (planned, act::pretend(sides, &seen, &plan))
    } else {
        carry_out(session, sides, request, &seen, &plan).map_err(|error| keeper.failed(error))?
    };
    report::report(session, sides, request, &seen, &copied, &outcomes, &keeper)
}

/// Copies what is missing, then writes the tags.
fn carry_out(
    session: &Session,
    sides: &Sides,
    request: &Promote,
    seen: &Seen,
    plan: &Plan,
) -> Result<(Copied, Vec<Outcome>), Error> {
    let copied = match &seen.copy {
        Some(copy) => copy::act(sides, request, seen, copy)?,
        None => Copied::default(),
    };
    let outcomes = act::act(session, sides, request, seen, plan).map_err(|error| match copy::told(&copied, request) {
        Some(done) => error.after_also(done),
        None => error,
    })?;
    Ok((copied, outcomes))
}
