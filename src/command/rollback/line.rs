//! The line of `rollback`: look, plan, act, report.

use crate::command::rollback::act::{Run, writes};
use crate::command::promote::record::frame;
use crate::command::promote::report::Answer;
use crate::command::request::Rollback;
use crate::command::session::Session;
use crate::threads;
use crate::error::{Code, Error};
use crate::registry::remote::Remote;
use crate::command::report::Report;
use crate::pure::auth::scope::Action;
use crate::pure::image::digest::Digest;
use crate::pure::image::reference::Identifier;
use crate::pure::promote::plan;
use crate::pure::promote::record::{Record, Tagged};
use crate::pure::promote::recorded::{Entry, Undo};
use crate::pure::promote::rollback_plan::{self, Known, Step};

/// Puts tags back, or says what would be put back.
///
/// # Errors
/// `tag-conflict` for a tag that somebody moved since and `tag-unknown` for an image that is gone, before anything is
/// written; `tag-immutable`, `denied`, `raced` with what had been written.
pub fn run(session: &Session, request: &Rollback) -> Result<Report, Error> {
    let undo = request.undo.as_ref().ok_or_else(|| Error::new(Code::Internal, "a rollback without a record"))?;
    let rights = if request.dry_run { Action::Pull } else { Action::Push };
    let target = &session.remote(&undo.repository, rights);
    undo.warnings.iter().for_each(|sentence| target.warn("record-torn", sentence.clone()));
    let steps = look(target, request, undo)?;
    let wanted: Vec<&Digest> = steps.iter().filter(|step| writes(step)).filter_map(|step| step.to.as_ref()).collect();
    let manifests = threads::map(&distinct(wanted), |digest| {
        target.manifest(&Identifier::Digest((*digest).clone())).map_err(|error| gone(error, &steps, digest))
    })?;
    let mut run = Run { session, target, steps, manifests, written: Vec::new() };
    let mut verified = None;
    if !request.dry_run {
        if run.steps.iter().any(writes) {
            // What has changed since the first look is decided anew, and nothing has been written yet.
            let again = look(target, request, undo)?;
            let known =
                |step: &Step| !writes(step) || run.manifests.iter().any(|one| Some(&one.digest) == step.to.as_ref());
            if !again.iter().all(known) {
                return Err(Error::new(Code::Raced, "tags were moved while the rollback was being planned")
                    .hint("run it again"));
            }
            run.steps = again;
        }
        verified = Some(run.write().map_err(|error| error.after(run.progress()))?);
    }
    report(&run, request, undo, verified.as_deref())
}

/// What every tag points at now, and what is to become of it.
fn look(target: &Remote, request: &Rollback, undo: &Undo) -> Result<Vec<Step>, Error> {
    let tags: Vec<_> = undo.tags.iter().map(|entry| entry.tag.clone()).collect();
    let now = target.heads(&tags)?;
    let known = |(entry, now): (&Entry, Option<Digest>)| Known {
        tag: entry.tag.clone(),
        before: entry.before.clone(),
        superseded: entry.is_superseded(),
        now,
    };
    let known: Vec<Known> = undo.tags.iter().zip(now).map(known).collect();
    let repository = undo.repository.to_string();
    let (steps, warnings) = rollback_plan::plan(&repository, &undo.source.digest, &known, request.force)?;
    warnings.into_iter().for_each(|sentence| target.warn("moved-since", sentence));
    Ok(steps)
}

fn distinct(mut digests: Vec<&Digest>) -> Vec<&Digest> {
    digests.sort_by_key(|digest| digest.as_str());
    digests.dedup();
    digests
}

/// An image that nothing points at any more may have been deleted.
fn gone(error: Error, steps: &[Step], digest: &Digest) -> Error {
    if error.code() != Code::TagUnknown {
        return error;
    }
    let tags: Vec<String> =
        steps.iter().filter(|step| step.to.as_ref() == Some(digest)).map(|step| format!("`{}`", step.tag)).collect();
    error
        .restate(format!("{} cannot go back to `{digest}`, which is gone", tags.join(", ")))
        .hint("push that image again, or promote another one")
        .detail("digest", digest.as_str())
}

fn report(run: &Run, request: &Rollback, undo: &Undo, verified: Option<&[bool]>) -> Result<Report, Error> {
    let tag = |(i, step): (usize, &Step)| Tagged {
        tag: step.tag.to_string(),
        before: step.now.clone(),
        before_version: undo.version.clone().filter(|_| step.now.as_ref() == Some(&undo.source.digest)),
        after: step.to.clone(),
        action: step.action.as_str(),
        verified: verified.map(|verified| verified[i]),
    };
    let record = Record {
        command: "rollback",
        state: if request.dry_run { "planned" } else { "done" },
        version: undo.version.clone(),
        tags: run.steps.iter().enumerate().map(tag).collect(),
        rollback: run.steps.iter().filter_map(|step| run.undo(step)).collect(),
        ..frame((run.target, &None), (run.target, &None), undo.source.clone())?
    };
    let one = |(step, entry): (&Step, &Entry)| match (step.action, &step.to, &entry.before_version) {
        (plan::Action::Moved, _, Some(version)) => format!("{} (back at {version})", step.tag),
        (plan::Action::Moved, Some(to), None) => format!("{} (back at {})", step.tag, to.short()),
        (action, ..) => format!("{} ({})", step.tag, action.as_str()),
    };
    // The steps are in the order of the record.
    let tags: Vec<String> = run.steps.iter().zip(&undo.tags).map(one).collect();
    let verb = if request.dry_run { "would roll" } else { "rolled" };
    let summary = format!("{verb} {} back: {}", undo.repository, tags.join(", "));
    let answer = Answer::of(record, request.dry_run, summary.clone());
    Report::new(&answer, summary)
}
