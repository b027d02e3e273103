//! The report of `promote` and of `rollback`: every tag with its digest before and after, and how to undo it.

use crate::command::report::Report;
use crate::error::Error;
use crate::pure::image::{Digest, Repository};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Record, Referrers, SourceImage, TagRecord, Tally};
use crate::pure::text::show;
use serde::Serialize;

/// Puts the record of a promotion into JSON and a sentence. `attached` is the digest of the artifact that keeps the
/// record in the registry.
///
/// # Errors
/// `internal` if it cannot be written.
pub fn promotion(
    record: Record,
    into: Option<&Repository>,
    dry_run: bool,
    attached: Option<Digest>,
) -> Result<Report, Error> {
    let one = |tag: &TagRecord| match &tag.before_version {
        Some(version) if tag.action == TagAction::Moved => format!("{} (moved from {version})", tag.tag),
        _ => format!("{} ({})", tag.tag, tag.action),
    };
    let tags: Vec<String> = record.tags.iter().map(one).collect();
    let is_idle = record.tags.iter().all(|tag| tag.action == TagAction::Unchanged);
    let verb = if dry_run { "would promote" } else { "promoted" };
    let into = into.map(|into| format!(" into {into}")).unwrap_or_default();
    let brought = match record.copied {
        Tally { blobs: 0, mounted: 0, .. } => String::new(),
        Tally { blobs: 0, mounted, .. } => format!("; {mounted} blobs mounted"),
        Tally { blobs, bytes, .. } => format!("; {blobs} blobs copied, {}", show::bytes(bytes)),
    };
    let (reference, digest) = (&record.source.reference, record.source.digest.short());
    let summary = if is_idle && brought.is_empty() {
        let tags: Vec<&str> = record.tags.iter().map(|tag| tag.tag.as_str()).collect();
        format!("nothing to do: {reference} ({digest}) is promoted{into} to {} already", tags.join(", "))
    } else {
        format!("{verb} {reference} ({digest}){into} to {}{brought}", tags.join(", "))
    };
    report(record, dry_run, attached, summary)
}

/// A record as a result, with the sentence that sums it up.
///
/// # Errors
/// `internal` if it cannot be written.
pub fn report(record: Record, dry_run: bool, attached: Option<Digest>, summary: String) -> Result<Report, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire<'r> {
        repository: &'r Repository,
        digest: &'r Digest,
        version: Option<&'r str>,
        dry_run: bool,
        source: &'r SourceImage,
        tags: &'r [TagRecord],
        copied: Tally,
        referrers: Referrers,
        record: &'r Record,
        attached: Option<Digest>,
        rollback: &'r [Vec<String>],
        summary: &'r str,
    }
    let wire = Wire {
        repository: &record.repository,
        digest: &record.source.digest,
        version: record.version.as_deref(),
        dry_run,
        source: &record.source,
        tags: &record.tags,
        copied: record.copied,
        referrers: record.referrers,
        record: &record,
        attached,
        rollback: &record.rollback,
        summary: &summary,
    };
    Report::new(&wire, summary.clone())
}
