//! The line of `rollback`: look, plan, then write, record and report as `promote` does.

use crate::command::promote::record::{fits, frame};
use crate::command::promote::write::WriteTaskState;
use crate::command::promote::{Judge, RunOutcome, WriteTask, record, report, write};
use crate::command::report::Report;
use crate::command::request::Rollback;
use crate::command::session::{Session, Sides};
use crate::error::{Code, Error, Progress};
use crate::pure::image::{Digest, Identifier, RawManifest};
use crate::pure::promote::record::{RecordCommand, RecordState};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Promotion, Record, RunRecord, TagRecord, TagWrite, Undo, rollback_plan};
use crate::registry::Remote;
use crate::threads::{self, lock};
use std::sync::Mutex;

/// One repository whose tags are put back.
struct RollbackPlace<'r, 'w> {
    promotion: &'r Record,
    sides: Sides<'r, 'w>,
    writes: Vec<TagWrite>,
    /// The images that tags go back to.
    manifests: Vec<RawManifest>,
}

/// Puts tags back, or says what would be put back.
///
/// # Errors
/// `tag-conflict` for a tag that somebody moved since and `tag-unknown` for an image that is gone, before anything is
/// written; `tag-immutable`, `denied`, `raced` with what had been written.
pub fn run(session: &Session, request: &Rollback) -> Result<Report, Error> {
    let promotion = request.promotion.as_ref();
    let promotion = promotion.ok_or_else(|| Error::new(Code::Internal, "a rollback without a record"))?;
    let Promotion { records, warnings } = promotion;
    let exchange = &session.exchange;
    warnings.iter().for_each(|sentence| exchange.warn("record-torn", sentence.clone()));
    let records: Vec<&Record> = records.iter().collect();
    let mut places = threads::map(&records, |promotion| look(session, request, promotion))?;
    fits(&told(&places, true)?)?;
    if !request.dry_run {
        let (writes, outcome) = carry_out(&places, request.force);
        places.iter_mut().zip(writes).for_each(|(place, writes)| place.writes = writes);
        outcome.map_err(|error| {
            let parts = places.iter().map(|place| progress(place, &place.writes));
            let whole = |all: Progress, one: Progress| Progress {
                done: [all.done, one.done].concat(),
                rollback: [all.rollback, one.rollback].concat(),
            };
            error.after(parts.fold(Progress::default(), whole))
        })?;
    }
    for RollbackPlace { promotion, writes, .. } in &mut places {
        for write in writes.iter_mut().filter(|write| write.before.as_ref() == Some(&promotion.source.digest)) {
            write.before_version.clone_from(&promotion.version);
        }
    }
    let (record, attached) = (told(&places, request.dry_run)?, vec![None; places.len()]);
    let sentences: Vec<String> = places.iter().map(|place| sentence(place, request.dry_run)).collect();
    let outcome =
        RunOutcome { record, places: vec![1; places.len()], signatures: vec![Vec::new(); places.len()], attached };
    report::report(&outcome, request.dry_run, &sentences, places.len() > 1)
}

/// What the tags of one repository are now, and what is to become of them.
fn look<'r, 'w>(
    session: &'r Session<'w>,
    request: &Rollback,
    promotion: &'r Record,
) -> Result<RollbackPlace<'r, 'w>, Error> {
    let sides = session.sides(&promotion.repository, None, !request.dry_run);
    let target = &sides.target;
    let tags: Vec<_> = promotion.tags.iter().map(|entry| entry.tag.clone()).collect();
    let promoted = &promotion.source.digest;
    if !promoted.is_usual()
        && let Ok(manifest) = target.manifest(&Identifier::Digest(promoted.clone()))
    {
        target.call(&manifest);
    }
    let heads = target.heads(&tags)?;
    let writes = plan(target, promotion, promotion.tags.iter().zip(heads), request.force)?;
    let manifests = manifests(target, &writes)?;
    Ok(RollbackPlace { promotion, sides, writes, manifests })
}

/// Writes what is due everywhere; what has become of the tags of each place.
fn carry_out(places: &[RollbackPlace], force: bool) -> (Vec<Vec<TagWrite>>, Result<(), Error>) {
    let tasks: Vec<WriteTask> = places
        .iter()
        .enumerate()
        .map(|(slot, place)| {
            let RollbackPlace { promotion, sides, writes, manifests } = place;
            let (target, journal) = (&sides.target, &sides.target.exchange().journal);
            WriteTask {
                target,
                manifests: manifests.iter().collect(),
                judge: Box::new(Restoration { target, promotion, manifests, force }),
                note: Box::new(move |writes| journal.note_progress(slot, progress(place, writes))),
                state: Mutex::new(WriteTaskState::of(writes.clone(), target.world().instant())),
            }
        })
        .collect();
    let outcome = write::write(&tasks, true);
    (tasks.iter().map(|task| std::mem::take(&mut lock(&task.state).writes)).collect(), outcome)
}

/// What has been changed so far at one place.
fn progress(place: &RollbackPlace, writes: &[TagWrite]) -> Progress {
    let rollback = record::commands(&place.sides, &record::undos(writes), None);
    Progress { done: record::written(&place.sides.target, writes), rollback }
}

/// What is to become of these tags, by what the record says and what they are now.
fn plan<'p>(
    target: &Remote,
    promotion: &Record,
    now: impl Iterator<Item = (&'p TagRecord, Option<Digest>)>,
    force: bool,
) -> Result<Vec<TagWrite>, Error> {
    let repository = target.repository().to_string();
    let (writes, warnings) = rollback_plan::plan(&repository, &promotion.source.digest, now, force)?;
    warnings.into_iter().for_each(|sentence| target.warn("moved-since", sentence));
    Ok(writes)
}

/// The images that tags go back to.
fn manifests(target: &Remote, writes: &[TagWrite]) -> Result<Vec<RawManifest>, Error> {
    let due = writes.iter().filter(|write| write.is_due());
    let mut wanted: Vec<&Digest> = due.filter_map(|write| write.wanted.as_ref()).collect();
    wanted.sort_by_key(|digest| digest.as_str());
    wanted.dedup();
    threads::map(&wanted, |digest| {
        let read = target.manifest(&Identifier::Digest((*digest).clone()));
        read.map_err(|error| gone(error, writes, digest))
    })
}

/// An image that nothing points at any more may have been deleted.
fn gone(error: Error, writes: &[TagWrite], digest: &Digest) -> Error {
    if error.code() != Code::TagUnknown {
        return error;
    }
    let back = writes.iter().filter(|write| write.wanted.as_ref() == Some(digest));
    let tags: Vec<String> = back.map(|write| format!("`{}`", write.tag)).collect();
    error
        .restate(format!("{} cannot go back to `{digest}`, which is gone", tags.join(", ")))
        .hint("push that image again, or promote another one")
        .detail("digest", digest.as_str())
}

/// The judge of a rollback: what the record says, and whether the caller insists.
struct Restoration<'r, 'w> {
    target: &'r Remote<'r, 'w>,
    promotion: &'r Record,
    manifests: &'r [RawManifest],
    force: bool,
}

impl Judge for Restoration<'_, '_> {
    fn decide(&self, write: &TagWrite, now: Option<Digest>) -> Result<TagWrite, Error> {
        let entry = self.promotion.tags.iter().find(|entry| entry.tag == write.tag);
        let again = plan(self.target, self.promotion, entry.map(|entry| (entry, now)).into_iter(), self.force)?;
        let known = |write: &TagWrite| {
            !write.is_due() || self.manifests.iter().any(|one| Some(&one.digest) == write.wanted.as_ref())
        };
        again.into_iter().find(known).ok_or_else(|| {
            Error::new(Code::Raced, "tags were moved while the rollback was being planned").hint("run it again")
        })
    }

    fn again(&self) -> &'static str {
        "roll back again"
    }
}

/// What has become of the tags of one place, in words.
fn sentence(RollbackPlace { promotion, writes, .. }: &RollbackPlace, dry_run: bool) -> String {
    let one = |(write, entry): (&TagWrite, &TagRecord)| match (write.action, &write.wanted, &entry.before_version) {
        (TagAction::Moved, _, Some(version)) => format!("{} (back at {version})", write.tag),
        (TagAction::Moved, Some(to), None) => format!("{} (back at {})", write.tag, to.short()),
        (TagAction::Unchanged, ..) => format!("{} (back already)", write.tag),
        (action, ..) => format!("{} ({})", write.tag, action.as_str()),
    };
    // The tags are in the order of the record.
    let tags: Vec<String> = writes.iter().zip(&promotion.tags).map(one).collect();
    let (repository, tags) = (&promotion.repository, tags.join(", "));
    let is_idle = writes.iter().all(|write| matches!(write.action, TagAction::Unchanged | TagAction::Left));
    match (is_idle, dry_run) {
        (true, _) => format!("nothing to do: {repository} is rolled back already: {tags}"),
        (false, true) => format!("would roll {repository} back: {tags}"),
        (false, false) => format!("rolled {repository} back: {tags}"),
    }
}

/// The record of a rollback, as planned or as it came out.
fn told(places: &[RollbackPlace], dry_run: bool) -> Result<RunRecord, Error> {
    let (mut records, mut rollback) = (Vec::new(), Vec::new());
    for RollbackPlace { promotion, sides, writes, .. } in places {
        let undos: Vec<Undo> = writes.iter().filter_map(TagWrite::undo).collect();
        let undo = record::commands(sides, &undos, None);
        rollback.extend(undo.iter().cloned());
        records.push(Record {
            command: RecordCommand::Rollback,
            state: if dry_run { RecordState::Planned } else { RecordState::Done },
            version: promotion.version.clone(),
            tags: writes.iter().map(TagRecord::of).collect(),
            rollback: undo,
            ..frame(sides, &[None, None], promotion.source.clone())?
        });
    }
    Ok(RunRecord::of(records, rollback, None))
}
