//! The line of `promote`: look, plan, copy, write, record, report.

use crate::command::promote::attach::attach;
use crate::command::promote::{Guard, Keeper, Survey, Totals, WriteTask, copy, holder, look, record, report, write};
use crate::command::report::Report;
use crate::command::request::Promote;
use crate::command::session::{Session, Sides};
use crate::error::{Code, Error, Progress};
use crate::pure::promote::{TagWrite, plan};
use crate::threads::both;
use std::time::Duration;

/// How old the first look may be when the first tag is written.
const OLD: Duration = Duration::from_secs(10);

/// Promotes, or says what a promotion would do.
///
/// # Errors
/// Those of the source; `tag-conflict`, `downgrade-refused`, `order-unknown`, `digest-unexpected`, `label-mismatch`
/// before anything is written, and `record-invalid` where what is planned cannot be written down; `tag-immutable`,
/// `denied`, `raced` with what had been written.
pub fn run(session: &Session, request: &Promote) -> Result<Report, Error> {
    record::check(session, request)?;
    if request.into.len() > 1 {
        return Err(Error::new(Code::Internal, "nothing carries out a promotion into several repositories"));
    }
    let (source, into) = (request.source.repository(), request.into.first().map(|into| (1, into)));
    let mut sides = session.sides(source, into, !request.dry_run);
    let survey = match look::look(&sides, request) {
        // A repository that the first push makes may look like one that is not to be read, but to those who may push.
        Err(error)
            if request.dry_run && into.is_some() && matches!(error.code(), Code::Denied | Code::Unauthenticated) =>
        {
            sides = session.sides(source, into, true);
            look::look(&sides, request)?
        }
        survey => survey?,
    };
    let sides = &sides;
    let plan = plan::plan(&survey.facts, request.allow_downgrade).map_err(|error| unasked(error, request))?;
    plan.warnings.into_iter().for_each(|(code, sentence)| sides.target.warn(code, sentence));
    let mut writes = plan.writes;
    if survey.copy.is_some() {
        look::check_immutable(&sides.target, &writes)?;
    }
    let keeper = Keeper::begin(sides, request, &survey, &writes)?;
    let totals = if request.dry_run {
        holder::name_previous(&sides.target, survey.versions.as_ref(), &survey.facts, &[], &mut writes);
        survey.totals
    } else {
        carry_out(sides, request, &survey, &keeper, &mut writes).map_err(|error| keeper.failed(error, &writes))?
    };
    let record = keeper.done(request, &writes, totals);
    let attached = attach(&sides.target, request, &record, survey.manifest.body.len());
    report::promotion(record, request.into.first(), request.dry_run, attached)
}

/// A tag that nobody named need not move.
fn unasked(error: Error, request: &Promote) -> Error {
    match error.code() {
        Code::DowngradeRefused | Code::OrderUnknown if request.implied => {
            error.cause("`--move latest` is meant where neither `--to` nor `--move` is given").hint(
                "give `--to '{version}-rc'` alone to leave `latest`, or say `--allow-downgrade` to go back on purpose",
            )
        }
        _ => error,
    }
}

/// Copies what is missing, then writes the tags.
fn carry_out(
    sides: &Sides,
    request: &Promote,
    survey: &Survey,
    keeper: &Keeper,
    writes: &mut [TagWrite],
) -> Result<Totals, Error> {
    let (target, versions, planned) = (&sides.target, survey.versions.as_ref(), writes.to_vec());
    let mut totals = survey.totals;
    let journal = &target.exchange().journal;
    if survey.copy.as_ref().is_some_and(|copy| !copy.is_empty()) {
        let done = format!("blobs and manifests in `{}`, without a tag, as far as the copy came", target.repository());
        journal.note_progress(Progress { done: vec![done], ..Progress::default() });
    }
    if let Some(copy) = &survey.copy {
        totals = copy::copy(sides, request.jobs, &survey.manifest, copy, &totals)?;
    }
    let is_long_past = target.world().instant().saturating_duration_since(target.world().started) > OLD;
    let old = is_long_past || survey.copy.as_ref().is_some_and(|copy| !copy.is_empty());
    let copied = copy::written(sides, &totals);
    let note = |writes: &[TagWrite]| {
        let mut progress = keeper.progress(writes);
        progress.done.splice(0..0, copied.clone());
        journal.note_progress(progress);
    };
    let guard = Guard::new(target, request, survey, is_long_past);
    // Which older version a tag held is only told, never decides, so it is found out beside the writing.
    let (previous, outcome) = both(
        || holder::previous(target, versions, &survey.facts, &planned),
        || write::write(&WriteTask { target, manifests: &[&survey.manifest], judge: &guard }, old, writes, &note),
    );
    let foreign = survey.copy.as_ref().map_or(0, |copy| copy.foreign);
    outcome.map_err(|error| {
        let error = copy::with_foreign(error, foreign);
        copied.iter().cloned().fold(error, Error::after_also)
    })?;
    holder::name_previous(target, versions, &survey.facts, &previous, writes);
    Ok(totals)
}
