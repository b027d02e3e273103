//! The report of `promote`: every tag with its digest before and after, and how to undo it.

use crate::command::promote::act::{self, Outcome};
use crate::command::promote::attach::attach;
use crate::command::promote::copy;
use crate::command::promote::look::Seen;
use crate::command::promote::record::Keeper;
use crate::command::request::Promote;
use crate::command::session::{Session, Sides};
use crate::error::Error;
use crate::command::report::Report;
use crate::pure::image::digest::Digest;
use crate::pure::promote::copy::Tally;
use crate::pure::promote::plan::{Action, Plan, Step};
use crate::pure::promote::record::{Record, Referrers, Source, Tagged};
use crate::pure::text::show;
use crate::pure::version::scheme::Version;
use serde::Serialize;

/// The result of `promote`, and of `rollback`, which tells the same.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The repository whose tags these are.
    pub repository: String,
    /// The digest that was promoted.
    pub digest: Digest,
    /// Its version.
    pub version: Option<String>,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// What was promoted.
    pub source: Source,
    /// Every tag.
    pub tags: Vec<Tagged>,
    /// What was copied.
    pub copied: Tally,
    /// What points at the image.
    pub referrers: Referrers,
    /// All of it, to be kept.
    pub record: Record,
    /// The digest of the artifact that keeps it in the registry; `None` where none does.
    pub attached: Option<Digest>,
    /// The commands that undo it.
    pub rollback: Vec<Vec<String>>,
    /// One sentence for people.
    pub summary: String,
}

impl Answer {
    /// What a record tells, with a sentence.
    pub fn of(record: Record, dry_run: bool, summary: String) -> Self {
        let told = record.clone();
        Self {
            repository: told.repository,
            digest: told.source.digest.clone(),
            version: told.version,
            dry_run,
            source: told.source,
            tags: told.tags,
            copied: told.copied,
            referrers: told.referrers,
            rollback: told.rollback,
            attached: None,
            summary,
            record,
        }
    }
}

/// What a plan or its outcome comes to, for the record.
pub struct Told {
    /// Every tag.
    pub tags: Vec<Tagged>,
    /// The commands that undo it, tag by tag.
    pub rollback: Vec<Vec<String>>,
    /// What is copied, and what points at the image.
    pub copies: (Tally, Referrers),
}

/// What is planned.
pub fn planned(session: &Session, seen: &Seen, plan: &Plan, copied: &copy::Copied) -> Told {
    let after = Some(&seen.manifest.digest);
    Told {
        tags: plan.steps.iter().map(|step| tagged(step, None, after, None)).collect(),
        rollback: plan.steps.iter().filter_map(|step| act::undo(session.target(), seen, step)).collect(),
        copies: copies(seen, copied),
    }
}

/// Signatures and SBOMs are bound to the digest, so more tags leave them valid.
fn copies(seen: &Seen, done: &copy::Copied) -> (Tally, Referrers) {
    let referrers = match &seen.copy {
        Some(copy) => Referrers { found: copy.found, copied: done.referrers, left: copy.left },
        None => Referrers { found: seen.referrers, copied: 0, left: 0 },
    };
    (done.tally, referrers)
}

/// Puts the outcomes into words and JSON.
///
/// # Errors
/// `internal` if they cannot be written.
pub fn report(
    session: &Session,
    sides: &Sides,
    request: &Promote,
    seen: &Seen,
    done: &copy::Copied,
    outcomes: &[Outcome],
    keeper: &Keeper,
) -> Result<Report, Error> {
    let one = |outcome: &Outcome| {
        tagged(&outcome.step, outcome.before_version.as_ref(), Some(&outcome.after), outcome.verified)
    };
    let undone = outcomes.iter().filter(|outcome| outcome.step.action != Action::Superseded);
    let rollback = undone.filter_map(|outcome| act::undo(session.target(), seen, &outcome.step)).collect();
    let told = Told { tags: outcomes.iter().map(one).collect(), rollback, copies: copies(seen, done) };
    let mut answer = Answer::of(keeper.done(told), request.dry_run, summary(request, seen, done, outcomes));
    answer.attached = attach(&sides.target, request, seen, &answer.record);
    Report::new(&answer, answer.summary.clone())
}

fn tagged(step: &Step, before_version: Option<&Version>, after: Option<&Digest>, verified: Option<bool>) -> Tagged {
    Tagged {
        tag: step.tag.to_string(),
        before: step.before.clone(),
        before_version: before_version.map(ToString::to_string),
        after: after.cloned(),
        action: step.action.as_str(),
        verified,
    }
}

fn summary(request: &Promote, seen: &Seen, done: &copy::Copied, outcomes: &[Outcome]) -> String {
    let one = |outcome: &Outcome| match (outcome.step.action, &outcome.before_version) {
        (Action::Moved, Some(version)) => format!("{} (moved from {version})", outcome.step.tag),
        (action, _) => format!("{} ({})", outcome.step.tag, action.as_str()),
    };
    let tags: Vec<String> = outcomes.iter().map(one).collect();
    let verb = if request.dry_run { "would promote" } else { "promoted" };
    let into = request.into.as_ref().map(|into| format!(" into {into}")).unwrap_or_default();
    let brought = match done.tally {
        Tally { blobs: 0, mounted: 0, .. } => String::new(),
        Tally { blobs: 0, mounted, .. } => format!("; {mounted} blobs mounted"),
        Tally { blobs, bytes, .. } => format!("; {blobs} blobs copied, {}", show::bytes(bytes)),
    };
    format!("{verb} {} ({}){into} to {}{brought}", seen.source, seen.manifest.digest.short(), tags.join(", "))
}
