//! The copy of `promote --into`: what the target lacks is found out, then written, the tags not among it.
//!
//! Blobs first, then manifests from the bottom up, then what points at them. A manifest that is there
//! already is taken to be complete, for registries refuse one whose parts are missing; an index is looked
//! into all the same, because some do not.

use crate::command::promote::look::Seen;
use crate::command::promote::tree::{Referrer, Tree};
use crate::pure::image::listing::{Detail, Listing};
use crate::command::request::Promote;
use crate::command::session::Sides;
use crate::threads::{self, both};
use crate::error::{Code, Error};
use crate::registry::blobs::{Mount, Upload};
use crate::command::progress::ProgressLine;
use crate::pure::image::raw_manifest::RawManifest;
use crate::registry::remote::Remote;
use crate::pure::image::content::Content;
use crate::pure::image::descriptor::Descriptor;
use crate::pure::image::digest::Digest;
use crate::pure::image::reference::Identifier;
use crate::pure::image::tag::Tag;
use crate::pure::promote::copy::{self as parts, Tally};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What has to be done so that the target holds the image.
pub struct Copy {
    /// Blobs that the target's registry may have in the source's repository.
    mount: Vec<Descriptor>,
    /// Blobs that are sent.
    stream: Vec<Descriptor>,
    /// How many blobs are there.
    skipped: u64,
    /// Manifests that the target lacks, each after what it names; without the root and without referrers.
    manifests: Vec<RawManifest>,
    root_is_there: bool,
    /// Referrers that the target does not list, each after what it points at.
    referrers: Vec<(Referrer, RawManifest)>,
    /// How many referrers the source has, where that could be told.
    pub found: Option<usize>,
    /// How many of them stay behind.
    pub left: usize,
}

/// What a copy came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copied {
    /// The blobs.
    pub tally: Tally,
    /// How many referrers were copied.
    pub referrers: usize,
}

impl Copy {
    /// What would be done if every mount succeeds.
    pub fn planned(&self) -> Copied {
        let count = |list: &[Descriptor]| u64::try_from(list.len()).unwrap_or(u64::MAX);
        let tally = Tally {
            blobs: count(&self.stream),
            mounted: count(&self.mount),
            skipped: self.skipped,
            bytes: self.stream.iter().map(|blob| blob.size).sum(),
        };
        Copied { tally, referrers: self.referrers.len() }
    }
}

/// What the source has, and whether the target knows the image already.
pub struct Found {
    tree: Tree,
    root_is_there: bool,
}

/// Reads all that belongs to the image. `listing` is the source's list of tags, where it was read already.
///
/// # Errors
/// Those of reading at either side.
pub fn find(sides: &Sides, root: &RawManifest, listing: Option<Listing>) -> Result<Found, Error> {
    let Sides { source: here, target } = sides;
    let names = || -> Option<HashSet<String>> {
        let listing = listing.or_else(|| here.tags(Detail::Names).ok())?;
        Some(listing.tags.into_iter().map(|listed| listed.name).collect())
    };
    let read = || {
        let mut tree = Tree::read(here, root)?;
        tree.find_referrers(here, names)?;
        Ok(tree)
    };
    // Where blobs cost nothing to bring along, an image is not asked for beforehand.
    let ask = here.registry() != target.registry() || matches!(root.content, Content::Index(_));
    let has = || if ask { target.has_manifest(&root.digest) } else { Ok(false) };
    let (root_is_there, tree) = both(has, read);
    Ok(Found { root_is_there: root_is_there?, tree: tree? })
}

/// What the source has and the target lacks. `is_tagged` says that a tag of the target has the image.
///
/// # Errors
/// Those of reading at the target.
pub fn plan(
    sides: &Sides,
    request: &Promote,
    root: &RawManifest,
    found: Found,
    is_tagged: bool,
) -> Result<Copy, Error> {
    let Sides { source: here, target } = sides;
    let same = here.registry() == target.registry();
    let Found { tree, root_is_there } = found;
    let root_is_there = root_is_there || is_tagged;
    let found = (tree.whole || !tree.referrers.is_empty()).then_some(tree.referrers.len());
    if !tree.whole {
        let message = format!(
            "`{}` does not tell what points at an image, so signatures there may be left behind",
            here.registry()
        );
        target.warn("referrers-unknown", message);
    }
    let wanted: &[Referrer] = if request.referrers { &tree.referrers } else { &[] };
    let unlisted = unlisted(target, &tree, wanted)?;
    warn_left(sides, request, &tree, wanted.len());

    let contents = tree.contents();
    let roots: Vec<Digest> =
        std::iter::once(&root.digest).chain(unlisted.iter().map(|referrer| &referrer.digest)).cloned().collect();
    let all = parts::order(&roots, &contents);
    let below: Vec<&Digest> = all.iter().filter(|digest| **digest != root.digest).collect();
    // Nothing below can be there as long as nothing has been copied but blobs.
    let known: HashSet<&Digest> = threads::map(&below, |digest| target.has_manifest(digest))?
        .into_iter()
        .zip(&below)
        .filter_map(|(there, digest)| there.then_some(*digest))
        .chain(root_is_there.then_some(&root.digest))
        .collect();
    let of = |there: bool| parts::blobs(all.iter().filter(|d| known.contains(d) == there).map(|d| contents[d]));
    let ((needed, foreign), (has_already, _)) = (of(false), of(true));
    if foreign > 0 {
        let message = format!("{foreign} layers are not distributed by registries and stay where their addresses say");
        target.warn("foreign-layers", message);
    }
    let has_already: HashSet<&Digest> = has_already.iter().map(|blob| &blob.digest).collect();
    let needed: Vec<Descriptor> = needed.into_iter().filter(|blob| !has_already.contains(&blob.digest)).collect();
    let mut skipped = has_already.len() as u64;
    let (mut mount, mut stream) = (Vec::new(), Vec::new());
    if same {
        mount = needed;
    } else {
        let there = threads::map(&needed, |blob| target.has_blob(&blob.digest))?;
        for (blob, is_there) in needed.into_iter().zip(there) {
            if is_there { skipped += 1 } else { stream.push(blob) }
        }
    }
    let referring: HashSet<&Digest> = unlisted.iter().map(|referrer| &referrer.digest).collect();
    let manifests = all
        .iter()
        .filter(|digest| !known.contains(digest) && !referring.contains(digest) && **digest != root.digest)
        .map(|digest| tree.manifests[digest].clone())
        .collect();
    let left = tree.referrers.len() - wanted.len();
    let referrers = unlisted.iter().map(|r| ((*r).clone(), tree.manifests[&r.digest].clone())).collect();
    Ok(Copy { mount, stream, skipped, manifests, root_is_there, referrers, found, left })
}

fn warn_left(Sides { source, target }: &Sides, request: &Promote, tree: &Tree, wanted: usize) {
    let left = tree.referrers.len() - wanted;
    if left > 0 && !request.referrers {
        let message = format!("{left} signatures, attestations or SBOMs stay in `{}`, as `--no-referrers` says", source.repository());
        target.warn("referrers-left", message);
    }
}

/// The referrers that the target does not tie to their subject yet.
fn unlisted<'t>(
    target: &Remote,
    tree: &Tree,
    wanted: &'t [Referrer],
) -> Result<Vec<&'t Referrer>, Error> {
    let mut subjects: Vec<&Digest> =
        wanted.iter().filter(|referrer| referrer.tag.is_none()).map(|referrer| &referrer.subject).collect();
    subjects.sort();
    subjects.dedup();
    let listed = threads::map(&subjects, |subject| target.referrers(subject))?;
    // Where nothing tells what points at an image, whatever is there is tied to its subject by the registry itself.
    let is_told = listed.iter().all(Option::is_some);
    let known: HashSet<(&Digest, Digest)> = subjects
        .into_iter()
        .zip(listed)
        .flat_map(|(subject, listed)| listed.into_iter().flatten().map(move |entry| (subject, entry.digest)))
        .collect();
    let is_tied = threads::map(&wanted.iter().collect::<Vec<_>>(), |referrer| match &referrer.tag {
        None if is_told => Ok(known.contains(&(&referrer.subject, referrer.digest.clone()))),
        None => target.has_manifest(&referrer.digest),
        Some(tag) => is_tagged(target, tree, referrer, tag),
    })?;
    Ok(wanted.iter().zip(is_tied).filter(|(_, is_tied)| !is_tied).map(|(referrer, _)| referrer).collect())
}

/// Whether the target's tag for a subject is not to be written: it has the manifest, or something that would be lost.
fn is_tagged(
    target: &Remote,
    tree: &Tree,
    referrer: &Referrer,
    tag: &Tag,
) -> Result<bool, Error> {
    let held = match target.head(tag) {
        Err(error) if error.code() == Code::RepositoryUnknown => None,
        held => held?,
    };
    let Some(held) = held else { return Ok(false) };
    if held == referrer.digest {
        return Ok(true);
    }
    let held = target.manifest(&Identifier::Tag(tag.clone()))?;
    let digests = |content: &Content| -> HashSet<Digest> {
        let parts = parts::parts(content);
        parts.blobs.iter().skip(1).chain(&parts.manifests).map(|entry| entry.digest.clone()).collect()
    };
    let ours = tree.manifests.get(&referrer.digest).map(|fetched| digests(&fetched.content)).unwrap_or_default();
    if digests(&held.content).is_subset(&ours) {
        return Ok(false);
    }
    let message = format!("`{}:{tag}` holds signatures that the source lacks, so it was left as it is", target.repository());
    target.warn("signature-conflict", message);
    Ok(true)
}

/// Writes what is missing, everything but the tags.
///
/// # Errors
/// Those of reading and of writing; each says what had been written.
pub fn act(sides: &Sides, request: &Promote, seen: &Seen, copy: &Copy) -> Result<Copied, Error> {
    let run = Run { sides, request, copy, written: AtomicU64::new(0), manifests: AtomicU64::new(0) };
    run.all(seen).map_err(|error| match run.done() {
        None => error,
        Some(done) => error.after_also(done),
    })
}

/// What a copy has written, in words, for whoever fails after it.
pub fn told(copied: &Copied, request: &Promote) -> Option<String> {
    let (blobs, referrers) = (copied.tally.blobs + copied.tally.mounted, copied.referrers);
    let counts = [(blobs, "blobs"), (referrers as u64, "referrers")];
    let told: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    (!told.is_empty()).then(|| format!("{} in `{}`", told.join(" and "), request.target()))
}

struct Run<'r, 'w> {
    sides: &'r Sides<'r, 'w>,
    request: &'r Promote,
    copy: &'r Copy,
    written: AtomicU64,
    manifests: AtomicU64,
}

/// One blob on its way, with the upload that a refused mount has begun.
type Job<'r> = (&'r Descriptor, Mutex<Option<Upload>>, bool);

impl Run<'_, '_> {
    fn all(&self, seen: &Seen) -> Result<Copied, Error> {
        let (copy, target) = (self.copy, &self.sides.target);
        let mut copied = Copied { tally: Tally { skipped: copy.skipped, ..Tally::default() }, referrers: 0 };
        self.blobs(&mut copied.tally)?;

        // Images name no other manifest, so they go side by side; an index comes after all that it names.
        let (images, indexes): (Vec<&RawManifest>, Vec<&RawManifest>) =
            copy.manifests.iter().partition(|fetched| matches!(fetched.content, Content::Image(_)));
        threads::map(&images, |fetched| self.put(fetched))?;
        for fetched in indexes {
            self.put(fetched)?;
        }
        if copy.referrers.is_empty() {
            return Ok(copied);
        }
        // Whoever admits only what is signed must find the signature before the tag, and some registries
        // refuse a referrer whose subject is not there.
        if !copy.root_is_there {
            self.put(&seen.manifest)?;
        }
        for (referrer, fetched) in &copy.referrers {
            match &referrer.tag {
                None => target.put_referrers(std::slice::from_ref(fetched), &referrer.subject)?,
                Some(tag) => target.put_manifest(&Identifier::Tag(tag.clone()), fetched).map(drop)?,
            }
            self.manifests.fetch_add(1, Ordering::Relaxed);
            copied.referrers += 1;
        }
        Ok(copied)
    }

    fn put(&self, fetched: &RawManifest) -> Result<(), Error> {
        self.sides.target.put_manifest(&Identifier::Digest(fetched.digest.clone()), fetched)?;
        self.manifests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Mounts what can be mounted and sends the rest, the largest first.
    fn blobs(&self, tally: &mut Tally) -> Result<(), Error> {
        let (copy, Sides { source, target }) = (self.copy, self.sides);
        let what = format!("copying to {}", target.repository());
        let progress = ProgressLine::new(target.world(), what, target.exchange().settings.quiet);

        let mounted = threads::map(&copy.mount, |blob| {
            let outcome = target.mount(source.repository(), &blob.digest)?;
            if matches!(outcome, Mount::Mounted) {
                self.written.fetch_add(1, Ordering::Relaxed);
            }
            Ok(outcome)
        })?;
        let mut jobs: Vec<Job> = copy.stream.iter().map(|blob| (blob, Mutex::new(None), false)).collect();
        for (blob, outcome) in copy.mount.iter().zip(mounted) {
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
        let one = |(blob, upload, unsure): &Job| -> Result<Option<bool>, Error> {
            let upload = upload.lock().unwrap_or_else(PoisonError::into_inner).take();
            let give_up = |upload: Option<Upload>| upload.into_iter().for_each(|upload| target.give_up(upload));
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
        let outcome = threads::map_at(self.request.jobs, &jobs, one);
        progress.finish();
        for (sent, (blob, ..)) in outcome?.into_iter().zip(&jobs) {
            match sent {
                Some(true) => (tally.blobs, tally.bytes) = (tally.blobs + 1, tally.bytes + blob.size),
                Some(false) => tally.skipped += 1,
                None => {}
            }
        }
        Ok(())
    }

    /// What has been written, in words.
    fn done(&self) -> Option<String> {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (blobs, manifests) = (get(&self.written), get(&self.manifests));
        let target = self.request.target();
        (blobs + manifests > 0).then(|| format!("{blobs} blobs and {manifests} manifests in `{target}`, without a tag"))
    }
}
