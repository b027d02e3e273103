//! The copy of `promote --into`: what the target lacks is written, the tags not among it.
//!
//! Blobs first, then manifests from the bottom up, then what points at them.

use crate::command::progress::ProgressLine;
use crate::command::promote::state::{CopyPlan, ReferrerWrite, Totals};
use crate::command::session::Sides;
use crate::error::{Code, Error};
use crate::pure::image::content::Content;
use crate::pure::image::descriptor::Descriptor;
use crate::pure::image::digest::Digest;
use crate::pure::image::raw_manifest::RawManifest;
use crate::pure::image::reference::Identifier;
use crate::pure::image::tag::Tag;
use crate::pure::promote::copy::Tally;
use crate::registry::blobs::{Mount, Upload};
use crate::threads::{self, lock};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Writes what is missing, everything but the tags; what went which way.
///
/// # Errors
/// Those of reading and of writing; each says what had been written.
pub fn copy(sides: &Sides, jobs: usize, root: &RawManifest, plan: &CopyPlan) -> Result<Tally, Error> {
    let run = Transport { sides, jobs, plan, written: AtomicU64::new(0), manifests: AtomicU64::new(0) };
    run.all(root).map_err(|error| match run.done() {
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
}

/// One blob on its way, with the upload that a refused mount has begun.
type Job<'r> = (&'r Descriptor, Mutex<Option<Upload>>, bool);

impl Transport<'_, '_> {
    fn all(&self, root: &RawManifest) -> Result<Tally, Error> {
        let (plan, target) = (self.plan, &self.sides.target);
        let tally = self.blobs()?;

        // Images name no other manifest, so they go side by side; an index comes after all that it names.
        let (images, indexes): (Vec<&RawManifest>, Vec<&RawManifest>) =
            plan.manifests.iter().partition(|fetched| matches!(fetched.content, Content::Image(_)));
        threads::map(&images, |fetched| self.put(fetched))?;
        for fetched in indexes {
            self.put(fetched)?;
        }
        // Whoever admits only what is signed must find the signature before the tag, and some registries
        // refuse a referrer whose subject is not there.
        if !plan.referrers.is_empty() && !plan.root_is_there {
            self.put(root)?;
        }
        for ReferrerWrite { subject, manifest, tag } in &plan.referrers {
            match tag {
                None => target.put_referrers(std::slice::from_ref(manifest), subject)?,
                Some((tag, before)) => self.put_tagged(manifest, tag, before.as_ref())?,
            }
            self.manifests.fetch_add(1, Ordering::Relaxed);
        }
        Ok(tally)
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
                Err(Error::new(
                    Code::TagConflict,
                    format!("`{name}` {now}, and somebody else wrote it during this run"),
                )
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
            let outcome = target.copy_blob(source, blob, upload, &moved);
            match outcome {
                Ok(()) => {
                    progress.done();
                    self.written.fetch_add(1, Ordering::Relaxed);
                    Ok(Some(true))
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
                Some(true) => (tally.blobs, tally.bytes) = (tally.blobs + 1, tally.bytes + blob.size),
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
