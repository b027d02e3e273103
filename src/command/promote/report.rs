//! The report of `promote`, `release` and `rollback`: every tag with its digest before and after, and how to undo it.

use crate::command::promote::RunOutcome;
use crate::command::report::Report;
use crate::command::request::Promote;
use crate::error::Error;
use crate::pure::image::{Digest, Repository};
use crate::pure::promote::record::RecordCommand;
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Record, Referrers, RunRecord, SourceImage, TagRecord, Tally};
use crate::pure::text::show;
use serde::Serialize;
use serde_json::Value;

/// Puts what several promotions came to into JSON and a sentence, each promotion with one of its own.
///
/// # Errors
/// `internal` if it cannot be written.
pub fn promotion(outcome: &RunOutcome, promotions: &[Promote], set: bool) -> Result<Report, Error> {
    let mut rest = outcome.record.promotions();
    let dry_run = promotions.iter().any(|promotion| promotion.dry_run);
    let mut sentences = Vec::new();
    for (promotion, &places) in promotions.iter().zip(&outcome.places) {
        let (records, others) = rest.split_at(places);
        rest = others;
        sentences.push(sentence(records, !promotion.into.is_empty(), dry_run));
    }
    report(outcome, dry_run, &sentences, set)
}

/// What became of one image, in words.
fn sentence(records: &[Record], copies: bool, dry_run: bool) -> String {
    let one = |tag: &TagRecord| match &tag.before_version {
        Some(version) if tag.action == TagAction::Moved => format!("{} (moved from {version})", tag.tag),
        Some(version) if tag.action == TagAction::Kept => format!("{} (kept at {version})", tag.tag),
        _ => format!("{} ({})", tag.tag, tag.action),
    };
    let is_idle = records.iter().all(|record| {
        record.copied.blobs + record.copied.mounted == 0
            && record.tags.iter().all(|tag| matches!(tag.action, TagAction::Unchanged | TagAction::Kept))
    });
    let is_kept = records.iter().any(|record| record.tags.iter().any(|tag| tag.action == TagAction::Kept));
    let place = |record: &Record| {
        let tag = |tag: &TagRecord| if is_idle && !is_kept { tag.tag.to_string() } else { one(tag) };
        let into = if copies { format!(" into {}", record.repository) } else { String::new() };
        let brought = match record.copied {
            Tally { blobs: 0, mounted: 0, .. } => String::new(),
            Tally { blobs: 0, mounted, .. } => format!("; {mounted} blobs mounted"),
            Tally { blobs, bytes, .. } => format!("; {blobs} blobs copied, {}", show::bytes(bytes)),
        };
        format!("{into} to {}{brought}", record.tags.iter().map(tag).collect::<Vec<_>>().join(", "))
    };
    let places = records.iter().map(place).collect::<Vec<_>>().join(";");
    let SourceImage { reference, digest, .. } = &records[0].source;
    let digest = digest.short();
    match (is_idle, dry_run) {
        (true, _) if is_kept => format!("nothing to do: {reference} ({digest}) is promoted{places}"),
        (true, _) => format!("nothing to do: {reference} ({digest}) is promoted{places} already"),
        (false, true) => format!("would promote {reference} ({digest}){places}"),
        (false, false) => format!("promoted {reference} ({digest}){places}"),
    }
}

/// The result of a promotion or a rollback; one of several leaves out what all have in common.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<&'r Repository>,
    digest: &'r Digest,
    version: Option<&'r str>,
    dry_run: bool,
    source: &'r SourceImage,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'r [TagRecord]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copied: Option<Tally>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrers: Option<Referrers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<WireTarget<'r>>>,
    signatures: &'r [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'r RunRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attached: Option<&'r Option<Digest>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback: Option<&'r [Vec<String>]>,
    summary: &'r str,
}

/// What belongs to one of the places that an image goes to.
#[derive(Serialize)]
struct WireTarget<'r> {
    repository: &'r Repository,
    tags: &'r [TagRecord],
    copied: Tally,
    referrers: Referrers,
    attached: &'r Option<Digest>,
}

/// The result of several promotions that were one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireSet<'r> {
    images: &'r [Wire<'r>],
    dry_run: bool,
    record: &'r RunRecord,
    rollback: &'r [Vec<String>],
    summary: &'r str,
}

/// What a run came to, each image with its sentence; a `set` is told as one, however many there are in it.
///
/// # Errors
/// `internal` if it cannot be written.
pub fn report(outcome: &RunOutcome, dry_run: bool, sentences: &[String], set: bool) -> Result<Report, Error> {
    let RunOutcome { record: whole, places, signatures, attached } = outcome;
    let (mut records, mut attached) = (whole.promotions(), attached.as_slice());
    let mut images = Vec::new();
    for ((&count, summary), signatures) in places.iter().zip(sentences).zip(signatures) {
        let (own, others) = records.split_at(count);
        let (kept, rest) = attached.split_at(count);
        (records, attached) = (others, rest);
        let first = &own[0];
        let target = |(record, attached)| {
            let Record { repository, tags, copied, referrers, .. }: &Record = record;
            WireTarget { repository, tags, copied: *copied, referrers: *referrers, attached }
        };
        let only = (count == 1).then_some(first);
        images.push(Wire {
            repository: only.map(|one| &one.repository),
            digest: &first.source.digest,
            version: first.version.as_deref(),
            dry_run,
            source: &first.source,
            tags: only.map(|one| one.tags.as_slice()),
            copied: only.map(|one| one.copied),
            referrers: only.map(|one| one.referrers),
            targets: (count != 1).then(|| own.iter().zip(kept).map(target).collect()),
            signatures,
            record: (!set).then_some(whole),
            attached: only.map(|_| &kept[0]),
            rollback: (!set).then(|| whole.rollback()),
            summary,
        });
    }
    match images.as_slice() {
        [only] if !set => Report::new(only, only.summary),
        images => {
            let summary = summary(whole.promotions(), images.len(), dry_run);
            let (record, rollback) = (whole, whole.rollback());
            Report::new(&WireSet { images, dry_run, record, rollback, summary: &summary }, summary.clone())
        }
    }
}

/// What became of several images together, in words.
fn summary(records: &[Record], images: usize, dry_run: bool) -> String {
    use TagAction::{Created, Left, Moved, Superseded, Unchanged};
    let back = records.iter().any(|record| record.command == RecordCommand::Rollback);
    let verb = match (back, dry_run) {
        (false, false) => "promoted",
        (false, true) => "would promote",
        (true, false) => "rolled back",
        (true, true) => "would roll back",
    };
    let images = if images == 1 { "1 image".to_owned() } else { format!("{images} images") };
    let count = |action| {
        let tags = records.iter().flat_map(|record| &record.tags);
        let count = tags.filter(|tag| tag.action == action).count();
        (count > 0).then(|| format!("{count} {action}"))
    };
    let tags: Vec<String> = [Created, Moved, Unchanged, Superseded, Left].into_iter().filter_map(count).collect();
    let sum = |of: fn(&Tally) -> u64| records.iter().fold(0u64, |sum, record| sum.saturating_add(of(&record.copied)));
    let brought = match (sum(|tally| tally.blobs), sum(|tally| tally.mounted)) {
        (0, 0) => String::new(),
        (0, mounted) => format!("; {mounted} blobs mounted"),
        (blobs, _) => format!("; {blobs} blobs copied, {}", show::bytes(sum(|tally| tally.bytes))),
    };
    format!("{verb} {images}, tags: {}{brought}", tags.join(", "))
}
