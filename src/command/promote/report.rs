//! The report of `promote`: every tag with its digest before and after, and how to undo it.

use super::act::{self, Outcome};
use super::copy;
use super::look::Seen;
use crate::command::request::Promote;
use crate::command::session::Session;
use crate::error::Error;
use crate::output::Report;
use crate::pure::image::digest::Digest;
use crate::pure::promote::copy::Tally;
use crate::pure::promote::plan::Action;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    repository: String,
    digest: Digest,
    version: Option<String>,
    dry_run: bool,
    source: Source,
    tags: Vec<Tagged>,
    copied: Copied,
    referrers: Referrers,
    record: Record,
    rollback: Vec<Vec<String>>,
    summary: String,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    reference: String,
    digest: Digest,
    media_type: String,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tagged {
    tag: String,
    before: Option<Digest>,
    before_version: Option<String>,
    after: Digest,
    action: &'static str,
    verified: Option<bool>,
}

/// Within one repository every blob is there already.
#[derive(Default, Serialize)]
struct Copied {
    blobs: u64,
    mounted: u64,
    skipped: u64,
    bytes: u64,
}

impl From<Tally> for Copied {
    fn from(Tally { blobs, mounted, skipped, bytes }: Tally) -> Self {
        Self { blobs, mounted, skipped, bytes }
    }
}

fn referrers(seen: &Seen, done: &copy::Copied) -> Referrers {
    match &seen.copy {
        Some(copy) => Referrers { found: copy.found, copied: done.referrers, left: copy.left },
        None => Referrers { found: seen.referrers, copied: 0, left: 0 },
    }
}

/// Signatures and SBOMs are bound to the digest, so more tags leave them valid.
#[derive(Serialize)]
struct Referrers {
    found: Option<usize>,
    copied: usize,
    left: usize,
}

/// What happened, complete in itself, for whoever keeps it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    schema: u32,
    state: &'static str,
    at: String,
    tool: String,
    repository: String,
    version: Option<String>,
    source: Source,
    tags: Vec<Tagged>,
}

/// Puts the outcomes into words and JSON.
///
/// # Errors
/// `internal` if they cannot be written.
pub fn report(
    session: &Session,
    request: &Promote,
    seen: &Seen,
    done: &copy::Copied,
    outcomes: &[Outcome],
) -> Result<Report, Error> {
    let version = seen.version.as_ref().map(|tag| tag.text.clone());
    let source = Source {
        reference: seen.source.to_string(),
        digest: seen.manifest.digest.clone(),
        media_type: seen.manifest.media_type.clone(),
    };
    let tags: Vec<Tagged> = outcomes.iter().map(tagged).collect();
    let undone = outcomes.iter().filter(|outcome| outcome.step.action != Action::Superseded);
    let summary = summary(request, seen, outcomes);
    let now = session.client.exchange.world.now();
    let answer = Answer {
        repository: seen.repository.to_string(),
        digest: seen.manifest.digest.clone(),
        version: version.clone(),
        dry_run: request.dry_run,
        record: Record {
            schema: 1,
            state: if request.dry_run { "planned" } else { "done" },
            at: crate::pure::text::instant::rfc3339(now),
            tool: format!("tagwright {}", env!("CARGO_PKG_VERSION")),
            repository: seen.repository.to_string(),
            version,
            source: source.clone(),
            tags: tags.clone(),
        },
        source,
        tags,
        copied: Copied::from(done.tally),
        referrers: referrers(seen, done),
        rollback: undone.filter_map(|outcome| act::undo(session.target(), seen, &outcome.step)).collect(),
        summary: summary.clone(),
    };
    Report::new(&answer, summary)
}

fn tagged(outcome: &Outcome) -> Tagged {
    Tagged {
        tag: outcome.step.tag.to_string(),
        before: outcome.step.before.clone(),
        before_version: outcome.before_version.as_ref().map(ToString::to_string),
        after: outcome.after.clone(),
        action: outcome.step.action.as_str(),
        verified: outcome.verified,
    }
}

fn summary(request: &Promote, seen: &Seen, outcomes: &[Outcome]) -> String {
    let one = |outcome: &Outcome| match (outcome.step.action, &outcome.before_version) {
        (Action::Moved, Some(version)) => format!("{} (moved from {version})", outcome.step.tag),
        (action, _) => format!("{} ({})", outcome.step.tag, action.as_str()),
    };
    let tags: Vec<String> = outcomes.iter().map(one).collect();
    let verb = if request.dry_run { "would promote" } else { "promoted" };
    let into = request.into.as_ref().map(|into| format!(" into {into}")).unwrap_or_default();
    format!("{verb} {} ({}){into} to {}", seen.source, seen.manifest.digest.short(), tags.join(", "))
}
