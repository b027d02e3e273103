//! The line of `promote`, and of several promotions as one: look, plan, copy, write, record, report.
//!
//! Every image and every place that it goes to is a [`Lane`]. Each station is over for all of them before the next one
//! begins, so that whatever refuses one refuses all, and nothing has a tag before everything has its content.

use crate::command::keys;
use crate::command::progress::ProgressLine;
use crate::command::promote::attach::attach;
use crate::command::promote::holder::PreviousVersion;
use crate::command::promote::write::WriteTaskState;
use crate::command::promote::{
    Guard, Keeper, Lane, RunOutcome, WriteTask, copy, holder, look, notes, record, report, signatures, write,
};
use crate::command::referrers;
use crate::command::report::Report;
use crate::command::request::Promote;
use crate::command::session::Session;
use crate::error::{Code, Error, Progress};
use crate::http::Journal;
use crate::pure::image::Repository;
use crate::pure::promote::record::RecordCommand;
use crate::pure::promote::{TagWrite, plan};
use crate::threads::{self, both};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How old the first look may be when the first tag is written.
const OLD: Duration = Duration::from_secs(10);

/// Promotes, or says what a promotion would do.
///
/// # Errors
/// As [`all`].
pub fn run(session: &Session, request: &Promote) -> Result<Report, Error> {
    let promotions = std::slice::from_ref(request);
    report::promotion(&all(session, promotions, RecordCommand::Promote)?, promotions, false)
}

/// Carries out several promotions as one; whether it is a dry run and where the record goes is alike in all of them.
///
/// # Errors
/// Those of the sources; `tag-conflict`, `downgrade-refused`, `order-unknown`, `digest-unexpected`, `label-mismatch`
/// before anything is written, and `record-invalid` where what is planned cannot be written down; `tag-immutable`,
/// `denied`, `raced` with what had been written.
pub fn all(session: &Session, promotions: &[Promote], command: RecordCommand) -> Result<RunOutcome, Error> {
    let sources = promotions.iter().map(|request| request.source.repository());
    let mut servers: Vec<_> =
        sources.chain(promotions.iter().flat_map(|request| &request.into)).map(Repository::registry).collect();
    servers.sort();
    servers.dedup();
    threads::across(servers.len(), || stations(session, promotions, command))
}

/// One station after the other.
fn stations(session: &Session, promotions: &[Promote], command: RecordCommand) -> Result<RunOutcome, Error> {
    let Some(request) = promotions.first() else {
        return Err(Error::new(Code::Internal, "a run without a promotion"));
    };
    record::check(session, request)?;
    let key = request.sign_record.as_deref().map(|given| keys::signing(session, given)).transpose()?;
    let numbered: Vec<(usize, &Promote)> = promotions.iter().enumerate().collect();
    let looks = threads::map(&numbered, |(number, request)| look_at(session, request, *number))?;
    let places = looks.iter().map(Vec::len).collect();
    let mut lanes: Vec<Lane> = looks.into_iter().flatten().collect();
    named_once(&lanes)?;
    for lane in &mut lanes {
        let plan = plan::plan(&lane.survey.facts, lane.request.allow_downgrade);
        let plan = plan.map_err(|error| unasked(error, lane.request))?;
        plan.warnings.into_iter().for_each(|(code, sentence)| lane.sides.target.warn(code, sentence));
        lane.writes = plan.writes;
    }
    let copied: Vec<&Lane> = lanes.iter().filter(|lane| lane.survey.copy.is_some()).collect();
    threads::map(&copied, |lane| look::check_immutable(&lane.sides.target, &lane.writes))?;
    let keeper = Keeper::begin(&lanes, command)?;
    if request.dry_run {
        let known = asides(&lanes.iter().enumerate().collect::<Vec<_>>());
        count_pointers(&mut lanes, &known);
        name_previous(&mut lanes, &known);
    } else {
        carry_out(&mut lanes, &keeper).map_err(|error| keeper.failed(error, &lanes))?;
    }
    let record = keeper.done(&lanes);
    let kept: Vec<_> = lanes.iter().zip(record.promotions()).collect();
    let attached = threads::map(&kept, |(lane, record)| Ok(attach(lane, record, key.as_ref())))?;
    let signatures = lanes.chunk_by(|one, next| one.number == next.number);
    let signatures = signatures.map(|group| group[0].survey.source.signatures.clone()).collect();
    Ok(RunOutcome { record, places, signatures, attached })
}

fn look_at<'r, 'w>(session: &'r Session<'w>, request: &'r Promote, number: usize) -> Result<Vec<Lane<'r, 'w>>, Error> {
    match look::look(session, request, number, !request.dry_run) {
        // A repository that the first push makes may look like one that is not to be read, but to those who may push.
        Err(error)
            if request.dry_run
                && !request.into.is_empty()
                && matches!(error.code(), Code::Denied | Code::Unauthenticated) =>
        {
            look::look(session, request, number, true)
        }
        lanes => lanes,
    }
}

/// Refuses two promotions of one run that name the same tag: which of them it shows in the end would be left to chance.
fn named_once(lanes: &[Lane]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for lane in lanes {
        for target in &lane.survey.facts.targets {
            if !seen.insert((lane.sides.target.repository(), &target.tag)) {
                let name = lane.sides.target.repository().tagged(&target.tag);
                return Err(Error::new(Code::RequestInvalid, format!("two of these promotions give the tag `{name}`"))
                    .hint("name each tag of a repository once in a run"));
            }
        }
    }
    Ok(())
}

/// A tag that nobody named need not move.
fn unasked(error: Error, request: &Promote) -> Error {
    match error.code() {
        code @ (Code::DowngradeRefused | Code::OrderUnknown) if request.implied => {
            let way = if code == Code::DowngradeRefused { " --move-if-newer latest`" } else { "` alone" };
            error.cause("`--move latest` is meant where no tag to be written is given").hint(format!(
                "give `--to '{{version}}-rc'{way} to leave `latest`, or say `--allow-downgrade` to go back on purpose"
            ))
        }
        _ => error,
    }
}

/// Copies what is missing, then writes the tags.
fn carry_out(lanes: &mut [Lane], keeper: &Keeper) -> Result<(), Error> {
    let exchange = lanes[0].sides.target.exchange();
    let (world, journal) = (exchange.world, &*exchange.journal);
    copy_all(lanes, journal)?;
    let is_long_past = world.instant().saturating_duration_since(world.started) > OLD;
    let old = is_long_past || lanes.iter().any(|lane| lane.survey.copy.as_ref().is_some_and(|copy| !copy.is_empty()));
    let brought: Vec<String> = lanes.iter().filter_map(copy::written).collect();
    // Whoever admits only what is signed will not look at the source.
    threads::map(lanes, signatures::check_copy)
        .map_err(|error| brought.iter().rev().cloned().fold(error, Error::after_also))?;
    let (known, writes, outcome) = {
        let lanes: Vec<(usize, &Lane)> = lanes.iter().enumerate().collect();
        let tasks = threads::map(&lanes, |(slot, lane)| {
            let (slot, lane, target) = (*slot, *lane, &lane.sides.target);
            let note = move |writes: &[TagWrite]| {
                let mut progress = keeper.progress(slot, lane, writes);
                progress.done.splice(0..0, copy::written(lane));
                journal.note_progress(slot, progress);
            };
            let mut guard = Guard::new(target, lane.request, &lane.survey, is_long_past);
            let is_beside = |other: &Lane| other.sides.target.repository() == target.repository();
            let beside = lanes.iter().filter(|(other, lane)| *other != slot && is_beside(lane));
            guard.own.extend(beside.flat_map(|(_, lane)| lane.writes.iter().map(|write| write.tag.to_string())));
            Ok(WriteTask {
                target,
                manifests: vec![&lane.survey.source.manifest],
                judge: Box::new(guard),
                note: Box::new(note),
                state: Mutex::new(WriteTaskState::of(lane.writes.clone(), lane.survey.looked)),
            })
        })?;
        let (known, outcome) = both(|| asides(&lanes), || write::write(&tasks, old));
        let state = |task: WriteTask| task.state.into_inner().unwrap_or_else(PoisonError::into_inner).writes;
        (known, tasks.into_iter().map(state).collect::<Vec<_>>(), outcome)
    };
    lanes.iter_mut().zip(writes).for_each(|(lane, writes)| lane.writes = writes);
    count_pointers(lanes, &known);
    outcome.map_err(|error| brought.into_iter().rev().fold(error, Error::after_also))?;
    name_previous(lanes, &known);
    Ok(())
}

/// What is told and never decides, so that it is found out beside the writing: which older versions the tags held that the
/// plan moves, and how much points at an image that stays where it is. Labels of note are left with the source.
type Aside = (Vec<PreviousVersion>, Option<usize>);

fn asides(lanes: &[(usize, &Lane)]) -> Vec<Aside> {
    let of = |(_, Lane { request, sides, survey, writes, .. }): &(usize, &Lane)| {
        let (target, digest) = (&sides.target, &survey.source.manifest.digest);
        let others = || {
            let pointers = survey.copy.is_none().then(|| {
                let direct = target.direct_referrers(digest, None);
                referrers::known(target, digest, direct, survey.listing.as_ref())
            });
            survey.source.labels.get_or_init(|| notes::labels(&sides.source, request, &survey.source));
            pointers.flatten().map(|known| known.listed.len() + known.cosign.len())
        };
        let previous = || holder::previous(target, survey.versions.as_ref(), &survey.facts, writes);
        Ok(both(previous, others))
    };
    threads::map(lanes, of).unwrap_or_default()
}

fn count_pointers(lanes: &mut [Lane], known: &[Aside]) {
    for (lane, (_, found)) in lanes.iter_mut().zip(known).filter(|(lane, _)| lane.survey.copy.is_none()) {
        lane.totals.referrers.found = *found;
    }
}

fn name_previous(lanes: &mut [Lane], known: &[Aside]) {
    for (lane, (previous, _)) in lanes.iter_mut().zip(known) {
        let (target, survey) = (&lane.sides.target, &lane.survey);
        holder::name_previous(target, survey.versions.as_ref(), &survey.facts, previous, &mut lane.writes);
    }
}

/// Brings all content to where it is to be.
fn copy_all(lanes: &mut [Lane], journal: &Journal) -> Result<(), Error> {
    for (slot, lane) in lanes.iter().enumerate() {
        if lane.survey.copy.as_ref().is_some_and(|copy| !copy.is_empty()) {
            let target = lane.sides.target.repository();
            let done = format!("blobs and manifests in `{target}`, without a tag, as far as the copy came");
            journal.note_progress(slot, Progress { done: vec![done], ..Progress::default() });
        }
    }
    let exchange = lanes[0].sides.target.exchange();
    let what = match &*lanes {
        [lane] => format!("copying to {}", lane.sides.target.repository()),
        lanes => format!("copying to {} repositories", lanes.len()),
    };
    let progress = ProgressLine::new(exchange.world, what, exchange.settings.quiet);
    let copied = lanes.iter().any(|lane| lane.survey.copy.is_some());
    let groups: Vec<&[Lane]> = lanes.chunk_by(|one, next| one.number == next.number).filter(|_| copied).collect();
    let outcome = threads::map(&groups, |group| copy::copy(group, &progress));
    if copied {
        progress.finish();
    }
    let done = lanes.iter().rev().filter_map(copy::so_far);
    let totals = outcome.map_err(|error| done.fold(error, Error::after_also))?;
    lanes.iter_mut().zip(totals.into_iter().flatten()).for_each(|(lane, totals)| lane.totals = totals);
    Ok(())
}
