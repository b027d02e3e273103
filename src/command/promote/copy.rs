//! The copy of `promote --into`: what the target lacks is written, the tags not among it.
//!
//! Blobs first, then manifests from the bottom up, then what points at them.

use crate::command::progress::ProgressLine;
use crate::command::promote::{CopyPlan, Referrer, Totals};
use crate::command::session::Sides;
use crate::error::{Code, Error};
use crate::pure::image::{Descriptor, Digest, Identifier, RawManifest, Tag};
use crate::pure::promote::Tally;
use crate::pure::text::quoted;
use crate::registry::{Mount, Remote, Upload, fan_out, limits};
use crate::threads;
use crate::threads::lock;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Writes what is missing, everything but the tags; what it came to.
///
/// # Errors
/// Those of reading and of writing; each says what had been written.
pub fn copy(
    sides: &Sides,
    jobs: usize,
    root: &RawManifest,
    plan: &CopyPlan,
    planned: &Totals,
) -> Result<Totals, Error> {
    let run = Transport {
        sides,
        jobs,
        plan,
        written: AtomicU64::new(0),
        manifests: AtomicU64::new(0),
        lost: Mutex::new(HashSet::new()),
    };
    run.all(root, planned).map_err(|error| match run.done() {
        None => error,
        Some(done) => error.after_also(done),
    })
}

/// What a copy has written, in words, for whoever fails after it.
pub fn written(sides: &Sides, totals: &Totals) -> Option<String> {
    let (blobs, referrers) = (totals.tally.blobs + totals.tally.mounted, totals.referrers.copied as u64);
    let counts = [(blobs, "blobs"), (referrers, "referrers")];
    let parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    (!parts.is_empty()).then(|| format!("{} in `{}`", parts.join(" and "), sides.target.repository()))
}

/// A copy under way, with what it has written so far.
struct Transport<'r, 'w> {
    sides: &'r Sides<'r, 'w>,
    jobs: usize,
    plan: &'r CopyPlan,
    written: AtomicU64,
    manifests: AtomicU64,
    /// Blobs of referrers that the source has lost.
    lost: Mutex<HashSet<Digest>>,
}

/// One blob on its way, with the upload that a refused mount has begun.
type Job<'r> = (&'r Descriptor, Mutex<Option<Upload>>, bool);

impl Transport<'_, '_> {
    fn all(&self, root: &RawManifest, planned: &Totals) -> Result<Totals, Error> {
        let (plan, mut totals) = (self.plan, *planned);
        totals.tally = self.blobs()?;

        // Images name no other manifest, so they go side by side; an index comes after all that it names.
        let is_image = |digest: &&Digest| plan.nodes[*digest].parts.manifests.is_empty();
        let (images, indexes): (Vec<&Digest>, Vec<&Digest>) = plan.manifests.iter().partition(is_image);
        let largest = images.iter().map(|digest| plan.nodes[*digest].size()).max().unwrap_or_default();
        threads::map_at(limits::at_once(largest), &images, |digest| self.put_node(digest))?;
        for digest in indexes {
            self.put_node(digest)?;
        }
        // Whoever admits only what is signed must find the signature before the tag, and some registries
        // refuse a referrer whose subject is not there.
        if !plan.referrers.is_empty() && !plan.root_is_there {
            self.put(root).map_err(|error| with_foreign(error, plan.foreign))?;
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
        let node = &self.plan.nodes[digest];
        match self.put(&node.manifest(digest)?) {
            Err(error) if node.is_of_another_kind() && is_refused(&error) => {
                let kind = quoted(&node.media_type);
                let message = format!("the entry `{digest}` of the index, of the kind {kind}, is not copied");
                self.sides.target.warn("entries-left", format!("{message}: {}", error.message()));
                Ok(())
            }
            outcome => outcome.map_err(|error| with_foreign(error, node.parts.foreign.len())),
        }
    }

    /// Puts what points at the image or at a part of it; whether it is there now. One that has lost a part of itself, or
    /// that the target does not take, stays behind.
    fn put_referrer(&self, referrer: &Referrer, before: Option<&Digest>) -> Result<bool, Error> {
        let Referrer { subject, digest, tag } = referrer;
        let (target, node) = (&self.sides.target, &self.plan.nodes[digest]);
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
                        self.manifests.fetch_add(1, Ordering::Relaxed);
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
        let target = &self.sides.target;
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
        self.sides.target.put_manifest(&Identifier::Digest(fetched.digest.clone()), fetched)?;
        self.manifests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Mounts what can be mounted and sends the rest, the largest first.
    fn blobs(&self) -> Result<Tally, Error> {
        let (plan, Sides { source, target, .. }) = (self.plan, self.sides);
        let mut tally = Tally { skipped: plan.skipped, ..Tally::default() };
        let what = format!("copying to {}", target.repository());
        let progress = ProgressLine::new(target.world(), what, target.exchange().settings.quiet);

        let mounted = threads::map(&plan.mount, |blob| {
            let outcome = target.mount(source.repository(), &blob.digest)?;
            if matches!(outcome, Mount::Mounted) {
                self.written.fetch_add(1, Ordering::Relaxed);
            }
            Ok(outcome)
        })?;
        let mut jobs: Vec<Job> = plan.stream.iter().map(|blob| (blob, Mutex::new(None), false)).collect();
        for (blob, outcome) in plan.mount.iter().zip(mounted) {
            match outcome {
                Mount::Mounted => tally.mounted += 1,
                // It may be there all the same: not every registry mounts, and then nobody has asked yet.
                Mount::Started(upload) => jobs.push((blob, Mutex::new(Some(upload)), true)),
                Mount::Refused => jobs.push((blob, Mutex::new(None), true)),
            }
        }
        jobs.sort_by_key(|(blob, ..)| std::cmp::Reverse(blob.size));
        jobs.iter().for_each(|(blob, ..)| progress.expect(blob.size));

        let stopped = AtomicBool::new(false);
        let give_up = |upload: Option<Upload>| upload.into_iter().for_each(|upload| target.give_up(upload));
        let one = |(blob, upload, unsure): &Job| -> Result<Option<bool>, Error> {
            let upload = lock(upload).take();
            if stopped.load(Ordering::Relaxed) {
                give_up(upload);
                return Ok(None);
            }
            if *unsure && target.has_blob(&blob.digest)? {
                give_up(upload);
                progress.moved(blob.size);
                progress.done();
                return Ok(Some(false));
            }
            let moved = |bytes| {
                progress.moved(bytes);
                !stopped.load(Ordering::Relaxed)
            };
            let sent = match checkable(source, blob) {
                Ok(()) => fan_out(source, &[(target, upload)], blob, &moved).remove(0),
                Err(error) => {
                    give_up(upload);
                    Err(error)
                }
            };
            match sent {
                Ok(()) => {
                    progress.done();
                    self.written.fetch_add(1, Ordering::Relaxed);
                    Ok(Some(true))
                }
                // The image does not depend on what points at it.
                Err(error) if is_lost(blob, error.code()) && plan.spare.contains(&blob.digest) => {
                    lock(&self.lost).insert(blob.digest.clone());
                    Ok(None)
                }
                // Only the first failure is one; the others were stopped by it.
                Err(_) if stopped.swap(true, Ordering::Relaxed) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let outcome = threads::map_at(self.jobs, &jobs, one);
        progress.finish();
        // Where one has failed there are uploads that nobody came to go on with.
        jobs.iter().for_each(|(_, upload, _)| give_up(lock(upload).take()));
        for (sent, (blob, ..)) in outcome?.into_iter().zip(&jobs) {
            match sent {
                Some(true) => (tally.blobs, tally.bytes) = (tally.blobs + 1, tally.bytes.saturating_add(blob.size)),
                Some(false) => tally.skipped += 1,
                None => {}
            }
        }
        Ok(tally)
    }

    /// What has been written, in words.
    fn done(&self) -> Option<String> {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (blobs, manifests) = (get(&self.written), get(&self.manifests));
        let target = self.sides.target.repository();
        (blobs + manifests > 0).then(|| format!("{blobs} blobs and {manifests} manifests in `{target}`, without a tag"))
    }
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
    let status = error.refusal().map(|refusal| refusal.status);
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
