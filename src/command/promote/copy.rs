//! The copy of `promote --into`: what the target lacks is written, the tags not among it.
//!
//! Blobs first, then manifests from the bottom up, then what points at them.

use crate::command::progress::ProgressLine;
use crate::command::promote::{CopyPlan, Lane, Referrer, Totals};
use crate::error::{Code, Error};
use crate::pure::image::{Descriptor, Digest, Identifier, RawManifest, Tag};
use crate::pure::promote::Tally;
use crate::pure::text::quoted;
use crate::registry::{Mount, Remote, Upload, fan_out, limits};
use crate::threads;
use crate::threads::lock;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which of a lane's counters counts blobs, and which manifests.
const BLOBS: usize = 0;
const MANIFESTS: usize = 1;

/// Writes what is missing at the places that one image goes to, everything but the tags; what it came to at each.
///
/// # Errors
/// Those of reading and of writing.
pub fn copy(lanes: &[Lane], progress: &ProgressLine) -> Result<Vec<Totals>, Error> {
    let ways: Vec<CopyWay> = lanes
        .iter()
        .filter_map(|lane| Some(CopyWay { lane, plan: lane.survey.copy.as_ref()?, lost: Mutex::default() }))
        .collect();
    if ways.is_empty() {
        return Ok(lanes.iter().map(|lane| lane.totals).collect());
    }
    let tallies = blobs(&ways, progress)?;
    let ways: Vec<(&CopyWay, Tally)> = ways.iter().zip(tallies).collect();
    threads::map(&ways, |(way, tally)| way.manifests(*tally))
}

/// What a copy has written, in words, for whoever fails after it.
pub fn written(lane: &Lane) -> Option<String> {
    let Totals { tally, referrers } = &lane.totals;
    lane.survey.copy.as_ref()?;
    let counts = [(tally.blobs + tally.mounted, "blobs"), (referrers.copied as u64, "referrers")];
    let parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    (!parts.is_empty()).then(|| format!("{} in `{}`", parts.join(" and "), lane.sides.target.repository()))
}

/// What a copy that ended early has written, in words.
pub fn so_far(lane: &Lane) -> Option<String> {
    let [blobs, manifests] = lane.copied.each_ref().map(|counter| counter.load(Ordering::Relaxed));
    let target = lane.sides.target.repository();
    (blobs + manifests > 0).then(|| format!("{blobs} blobs and {manifests} manifests in `{target}`, without a tag"))
}

/// One place that the image goes to, under way.
struct CopyWay<'r, 'w> {
    lane: &'r Lane<'r, 'w>,
    plan: &'r CopyPlan,
    /// Blobs of referrers that the source has lost.
    lost: Mutex<HashSet<Digest>>,
}

/// What one place does about a blob, with the upload that a refused mount has begun.
struct Leg<'r, 'w> {
    way: &'r CopyWay<'r, 'w>,
    upload: Mutex<Option<Upload>>,
    /// Whether nobody has asked yet if it is there.
    unsure: bool,
}

/// One blob, and the places that it goes to.
type Job<'r, 'w> = (&'r Descriptor, Vec<Leg<'r, 'w>>);

impl<'w> CopyWay<'_, 'w> {
    fn target(&self) -> &Remote<'_, 'w> {
        &self.lane.sides.target
    }

    fn count(&self, what: usize) {
        self.lane.copied[what].fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the manifests, from the bottom up, and what points at them.
    fn manifests(&self, tally: Tally) -> Result<Totals, Error> {
        let (plan, mut totals) = (self.plan, Totals { tally, ..self.lane.survey.totals });
        let nodes = &plan.tree.nodes;

        // Images name no other manifest, so they go side by side; an index comes after all that it names.
        let is_image = |digest: &&Digest| nodes[*digest].parts.manifests.is_empty();
        let (images, indexes): (Vec<&Digest>, Vec<&Digest>) = plan.manifests.iter().partition(is_image);
        let largest = images.iter().map(|digest| nodes[*digest].size()).max().unwrap_or_default();
        threads::map_at(limits::at_once(largest), &images, |digest| self.put_node(digest))?;
        for digest in indexes {
            self.put_node(digest)?;
        }
        // Whoever admits only what is signed must find the signature before the tag, and some registries
        // refuse a referrer whose subject is not there.
        if !plan.referrers.is_empty() && !plan.root_is_there {
            self.put(&self.lane.survey.source.manifest).map_err(|error| with_foreign(error, plan.foreign))?;
        }
        let mut left: HashSet<&Digest> = HashSet::new();
        for (referrer, before) in &plan.referrers {
            if left.contains(&referrer.subject) || !self.put_referrer(referrer, before.as_ref())? {
                left.insert(&referrer.digest);
                (totals.referrers.copied, totals.referrers.left) =
                    (totals.referrers.copied.saturating_sub(1), totals.referrers.left + 1);
            }
        }
        Ok(totals)
    }

    /// Puts one manifest that the image names. One that is neither image nor index may stay behind.
    fn put_node(&self, digest: &Digest) -> Result<(), Error> {
        let node = &self.plan.tree.nodes[digest];
        match self.put(&node.manifest(digest)?) {
            Err(error) if node.is_of_another_kind() && is_refused(&error) => {
                let kind = quoted(&node.media_type);
                let message = format!("the entry `{digest}` of the index, of the kind {kind}, is not copied");
                self.target().warn("entries-left", format!("{message}: {}", error.message()));
                Ok(())
            }
            outcome => outcome.map_err(|error| with_foreign(error, node.parts.foreign.len())),
        }
    }

    /// Puts what points at the image or at a part of it; whether it is there now. One that has lost a part of itself, or
    /// that the target does not take, stays behind.
    fn put_referrer(&self, referrer: &Referrer, before: Option<&Digest>) -> Result<bool, Error> {
        let Referrer { subject, digest, tag } = referrer;
        let (target, node) = (self.target(), &self.plan.tree.nodes[digest]);
        let lost = node.parts.blobs.iter().find(|blob| lock(&self.lost).contains(&blob.digest));
        let why = match lost {
            Some(blob) => format!("its blob `{}` is gone or damaged", blob.digest),
            None => {
                let manifest = node.manifest(digest)?;
                let outcome = match tag {
                    None => target.put_referrers(std::slice::from_ref(&manifest), subject),
                    Some(tag) => self.put_tagged(&manifest, tag, before),
                };
                match outcome {
                    Err(error) if is_refused(&error) => error.message().to_owned(),
                    outcome => {
                        self.count(MANIFESTS);
                        return outcome.map(|()| true);
                    }
                }
            }
        };
        target.warn("referrers-left", format!("`{digest}`, which points at `{subject}`, is not copied: {why}"));
        Ok(false)
    }

    /// Puts a signature under its tag, unless another one came up there since the look.
    fn put_tagged(&self, manifest: &RawManifest, tag: &Tag, before: Option<&Digest>) -> Result<(), Error> {
        let target = self.target();
        match target.head(tag)? {
            Some(now) if now == manifest.digest => Ok(()),
            now if now.as_ref() == before => target.put_manifest(&Identifier::Tag(tag.clone()), manifest).map(drop),
            now => {
                let now = now.map_or("is not there any more".to_owned(), |now| format!("points at `{now}` now"));
                let name = target.repository().tagged(tag);
                let message = format!("`{name}` {now}, and somebody else wrote it during this run");
                Err(Error::new(Code::TagConflict, message)
                    .hint("run it again; signatures that only the target has are left as they are")
                    .detail("tag", tag.as_str()))
            }
        }
    }

    fn put(&self, fetched: &RawManifest) -> Result<(), Error> {
        self.target().put_manifest(&Identifier::Digest(fetched.digest.clone()), fetched)?;
        self.count(MANIFESTS);
        Ok(())
    }
}

/// Mounts what can be mounted and sends the rest, the largest first; each blob is read once for all who lack it.
fn blobs<'w, 'x>(ways: &'w [CopyWay<'w, 'x>], progress: &ProgressLine) -> Result<Vec<Tally>, Error> {
    let skipped = |way: &CopyWay| Tally { skipped: way.plan.skipped, ..Tally::default() };
    let tallies: Vec<Mutex<Tally>> = ways.iter().map(|way| Mutex::new(skipped(way))).collect();
    let mut jobs: Vec<Job> = Vec::new();
    let mut known: HashMap<&Digest, usize> = HashMap::new();
    let mut add = |blob: &'w Descriptor, leg: Leg<'w, 'x>| {
        let at = *known.entry(&blob.digest).or_insert_with(|| {
            jobs.push((blob, Vec::new()));
            jobs.len() - 1
        });
        jobs[at].1.push(leg);
    };
    let mounts: Vec<(usize, &Descriptor)> =
        ways.iter().enumerate().flat_map(|(n, way)| way.plan.mount.iter().map(move |blob| (n, blob))).collect();
    let mounted = threads::map(&mounts, |(n, blob)| {
        let outcome = ways[*n].target().mount(ways[*n].lane.sides.source.repository(), &blob.digest)?;
        if matches!(outcome, Mount::Mounted) {
            ways[*n].count(BLOBS);
        }
        Ok(outcome)
    })?;
    for way in ways {
        way.plan.stream.iter().for_each(|blob| add(blob, Leg { way, upload: Mutex::new(None), unsure: false }));
    }
    for ((n, blob), outcome) in mounts.into_iter().zip(mounted) {
        // It may be there all the same: not every registry mounts, and then nobody has asked yet.
        let upload = match outcome {
            Mount::Mounted => {
                lock(&tallies[n]).mounted += 1;
                continue;
            }
            Mount::Started(upload) => Some(upload),
            Mount::Refused => None,
        };
        add(blob, Leg { way: &ways[n], upload: Mutex::new(upload), unsure: true });
    }
    jobs.sort_by_key(|(blob, ..)| std::cmp::Reverse(blob.size));
    jobs.iter().for_each(|(blob, legs)| legs.iter().for_each(|_| progress.expect(blob.size)));

    let stopped = AtomicBool::new(false);
    let width = ways.first().map_or(1, |way| way.lane.request.jobs);
    let outcome = threads::map_at(width, &jobs, |(blob, legs)| send(blob, legs, progress, &stopped));
    // Where one has failed there are uploads that nobody came to go on with.
    jobs.iter().flat_map(|(_, legs)| legs).for_each(Leg::give_up);
    let place = |leg: &Leg| ways.iter().position(|way| std::ptr::eq(way, leg.way));
    for (sent, (blob, legs)) in outcome?.into_iter().zip(&jobs) {
        for (sent, at) in sent.into_iter().zip(legs.iter().filter_map(place)) {
            let mut tally = lock(&tallies[at]);
            match sent {
                Some(true) => (tally.blobs, tally.bytes) = (tally.blobs + 1, tally.bytes.saturating_add(blob.size)),
                Some(false) => tally.skipped += 1,
                None => {}
            }
        }
    }
    Ok(tallies.iter().map(|tally| *lock(tally)).collect())
}

impl Leg<'_, '_> {
    fn give_up(&self) {
        if let Some(upload) = lock(&self.upload).take() {
            self.way.target().give_up(upload);
        }
    }
}

/// Sends one blob to all who lack it; whether each has got it, had it, or does without.
fn send(
    blob: &Descriptor,
    legs: &[Leg],
    progress: &ProgressLine,
    stopped: &AtomicBool,
) -> Result<Vec<Option<bool>>, Error> {
    let mut sent: Vec<Option<bool>> = vec![None; legs.len()];
    let mut open: Vec<usize> = Vec::new();
    for (n, leg) in legs.iter().enumerate() {
        if stopped.load(Ordering::Relaxed) {
            return Ok(sent);
        }
        if leg.unsure && leg.way.target().has_blob(&blob.digest)? {
            leg.give_up();
            progress.moved(blob.size);
            progress.done();
            sent[n] = Some(false);
        } else {
            open.push(n);
        }
    }
    let Some(source) = open.first().map(|&n| &legs[n].way.lane.sides.source) else { return Ok(sent) };
    let moved = |bytes| {
        progress.moved(bytes);
        !stopped.load(Ordering::Relaxed)
    };
    let outcomes = match checkable(source, blob) {
        Ok(()) => {
            let targets: Vec<_> = open.iter().map(|&n| (legs[n].way.target(), lock(&legs[n].upload).take())).collect();
            fan_out(source, &targets, blob, &moved)
        }
        Err(error) => vec![Err(error); open.len()],
    };
    let mut failure = None;
    for (&n, outcome) in open.iter().zip(outcomes) {
        let way = legs[n].way;
        match outcome {
            Ok(()) => {
                progress.done();
                way.count(BLOBS);
                sent[n] = Some(true);
            }
            // The image does not depend on what points at it.
            Err(error) if is_lost(blob, error.code()) && way.plan.spare.contains(&blob.digest) => {
                lock(&way.lost).insert(blob.digest.clone());
            }
            // Only the first failure is one; the others were stopped by it.
            Err(_) if stopped.swap(true, Ordering::Relaxed) => {}
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(sent), Err)
}

/// Whether a blob is gone at the source, or is not shown to be what its digest says.
fn is_lost(blob: &Descriptor, code: Code) -> bool {
    matches!(code, Code::BlobMissing | Code::DigestMismatch) || !blob.digest.is_known()
}

/// Refuses to send a blob that nobody here can check.
///
/// # Errors
/// `reply-malformed`.
pub fn checkable(source: &Remote, blob: &Descriptor) -> Result<(), Error> {
    if blob.digest.is_known() {
        return Ok(());
    }
    let (digest, algorithm, repository) = (&blob.digest, blob.digest.algorithm(), source.repository());
    let message =
        format!("cannot copy the blob `{digest}` of `{repository}`: the algorithm `{algorithm}` is not known");
    Err(Error::new(Code::ReplyMalformed, message)
        .hint("bring that blob to the target by other means; what is there is not sent again"))
}

/// Whether the target does not take a manifest, whoever sends it.
fn is_refused(error: &Error) -> bool {
    // A call to an API is refused with 400 for want of a right as well.
    let status = error.refusal().filter(|refusal| refusal.method != "POST").map(|refusal| refusal.status);
    error.code() == Code::ManifestRefused || error.code() == Code::Denied && matches!(status, Some(400 | 405 | 415))
}

/// Says that layers which were not copied may be why a manifest is refused.
pub fn with_foreign(error: Error, foreign: usize) -> Error {
    if error.code() != Code::ManifestRefused || foreign == 0 {
        return error;
    }
    error
        .cause(format!("{foreign} of its layers are not distributed by registries, so they were not copied"))
        .hint("let the target take manifests with such layers, or build the image without them")
}
