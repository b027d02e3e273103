//! What the target of a copy lacks: everything that belongs to the image at the source, compared with what is there.
//!
//! A manifest that is there already is taken to be complete, for registries refuse one whose parts are missing; an index
//! is looked into all the same, because some do not.

use crate::command::promote::copy::checkable;
use crate::command::promote::{CopyPlan, Referrer, Totals, Tree};
use crate::command::request::Promote;
use crate::command::session::Sides;
use crate::error::{Code, Error};
use crate::pure::image::{Content, Descriptor, Detail, Digest, Identifier, Listing, RawManifest, Tag};
use crate::pure::promote::copy as parts;
use crate::pure::promote::{ManifestParts, Referrers, Tally};
use crate::registry::Remote;
use crate::threads;
use std::collections::HashSet;
use std::sync::Arc;

/// Reads all that belongs to the image. `listing` is the source's list of tags, where it was asked for already; where
/// referrers stay behind, none is read.
///
/// # Errors
/// Those of reading.
pub fn read(
    here: &Remote,
    root: &RawManifest,
    listing: Option<Result<Listing, Error>>,
    referrers: bool,
) -> Result<Arc<Tree>, Error> {
    let names = || -> Option<HashSet<String>> {
        let listing = listing.unwrap_or_else(|| here.tags(Detail::Names)).ok()?;
        Some(listing.tags.into_iter().map(|listed| listed.name).collect())
    };
    let mut tree = Tree::read(here, root)?;
    if referrers {
        tree.find_referrers(here, Box::new(names), None)?;
    }
    Ok(Arc::new(tree))
}

/// What the source has and the target lacks, and what it comes to if every mount succeeds; `is_tagged` where one of the
/// tags is known to hold the image.
///
/// # Errors
/// Those of reading at the target.
pub fn plan(
    sides: &Sides,
    request: &Promote,
    root: &RawManifest,
    tree: &Arc<Tree>,
    is_tagged: bool,
) -> Result<(CopyPlan, Totals), Error> {
    let Sides { source: here, target, .. } = sides;
    let same = here.registry() == target.registry();
    let mut counts = left(sides, request, root, tree);
    let unlisted = unlisted(target, tree)?;
    counts.copied = unlisted.len();

    let known = tree.parts();
    let roots: Vec<Digest> =
        std::iter::once(&root.digest).chain(unlisted.iter().map(|(referrer, _)| &referrer.digest)).cloned().collect();
    let all = parts::order(&roots, &known);
    // Of an image its blobs tell as much.
    let is_asked =
        |digest: &&Digest| **digest != root.digest || !is_tagged && matches!(root.content, Content::Index(_));
    let asked: Vec<&Digest> = all.iter().filter(is_asked).collect();
    let there: HashSet<&Digest> = threads::map(&asked, |digest| target.has_manifest(digest))?
        .into_iter()
        .zip(&asked)
        .filter_map(|(there, digest)| there.then_some(*digest))
        .chain(is_tagged.then_some(&root.digest))
        .collect();
    let root_is_there = there.contains(&root.digest);
    let of =
        |is_there: bool| parts::blobs(all.iter().filter(|one| there.contains(one) == is_there).map(|one| known[one]));
    let ((needed, foreign), (has_already, _)) = (of(false), of(true));
    if foreign > 0 {
        let message = format!("{foreign} layers are not distributed by registries and stay where their addresses say");
        target.warn("foreign-layers", message);
    }
    let has_already: HashSet<&Digest> = has_already.iter().map(|blob| &blob.digest).collect();
    let needed: Vec<Descriptor> = needed.into_iter().filter(|blob| !has_already.contains(&blob.digest)).collect();
    let of_image = parts::order(std::slice::from_ref(&root.digest), &known);
    let of_image: HashSet<Digest> =
        parts::blobs(of_image.iter().map(|digest| known[digest])).0.into_iter().map(|blob| blob.digest).collect();
    let is_spare = |digest: &&Digest| !of_image.contains(*digest);
    let spare: HashSet<Digest> = needed.iter().map(|blob| &blob.digest).filter(is_spare).cloned().collect();
    let mut skipped = has_already.len() as u64;
    let (mut mount, mut stream) = (Vec::new(), Vec::new());
    if same {
        mount = needed;
    } else {
        let there = threads::map(&needed, |blob| target.has_blob(&blob.digest))?;
        for (blob, is_there) in needed.into_iter().zip(there) {
            if is_there {
                skipped += 1;
            } else {
                if !spare.contains(&blob.digest) {
                    checkable(here, &blob)?;
                }
                stream.push(blob);
            }
        }
    }
    let tally = Tally {
        blobs: stream.len() as u64,
        mounted: mount.len() as u64,
        skipped,
        bytes: stream.iter().fold(0, |sum, blob| blob.size.saturating_add(sum)),
    };
    let referring: HashSet<&Digest> = unlisted.iter().map(|(referrer, _)| &referrer.digest).collect();
    let lacks = |digest: &&Digest| !there.contains(digest) && !referring.contains(digest) && **digest != root.digest;
    let manifests: Vec<Digest> = all.iter().filter(lacks).cloned().collect();
    let referrers: Vec<_> = unlisted.into_iter().map(|(referrer, before)| (referrer.clone(), before)).collect();
    let tree = tree.clone();
    let plan = CopyPlan { mount, stream, skipped, spare, tree, manifests, root_is_there, foreign, referrers };
    Ok((plan, Totals { tally, referrers: counts }))
}

/// How many referrers there are, and how many of them stay behind whatever the target has.
fn left(Sides { source, target, .. }: &Sides, request: &Promote, root: &RawManifest, tree: &Tree) -> Referrers {
    let here = source.repository();
    if !request.referrers {
        let found = source.direct_referrers(&root.digest, None).flatten().map(|list| list.len());
        match found {
            Some(0) => {}
            Some(count) => target.warn(
                "referrers-left",
                format!("{count} signatures, attestations or SBOMs stay in `{here}`, as `--no-referrers` says"),
            ),
            None => target.warn(
                "referrers-left",
                format!("what points at the image stays in `{here}`, as `--no-referrers` says; how much that is, the registry does not tell"),
            ),
        }
        return Referrers { found, copied: 0, left: found.unwrap_or_default() };
    }
    if !tree.whole {
        let message = format!(
            "`{}` does not tell what points at an image, so signatures there may be left behind",
            source.registry()
        );
        target.warn("referrers-unknown", message);
    }
    let count = tree.referrers.len() + tree.left;
    if tree.left > 0 {
        let message = format!(
            "of {count} signatures, attestations or SBOMs, {} in `{here}` are gone or cannot be read",
            tree.left
        );
        target.warn("referrers-left", message);
    }
    Referrers { found: (tree.whole || count > 0).then_some(count), copied: 0, left: tree.left }
}

/// The referrers that the target does not tie to their subject yet, each with what its tag points at there.
fn unlisted<'t>(target: &Remote, tree: &'t Tree) -> Result<Vec<(&'t Referrer, Option<Digest>)>, Error> {
    let wanted = &tree.referrers;
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
    let untied = threads::map(&wanted.iter().collect::<Vec<_>>(), |referrer| {
        let is_tied = match &referrer.tag {
            None if is_told => known.contains(&(&referrer.subject, referrer.digest.clone())),
            None => target.has_manifest(&referrer.digest)?,
            Some(tag) => return untagged(target, tree, referrer, tag),
        };
        Ok((!is_tied).then_some(None))
    })?;
    Ok(wanted.iter().zip(untied).filter_map(|(referrer, before)| Some((referrer, before?))).collect())
}

/// What the target's tag for a subject points at, where it is to be written: it neither has the manifest already nor
/// something that would be lost.
fn untagged(target: &Remote, tree: &Tree, referrer: &Referrer, tag: &Tag) -> Result<Option<Option<Digest>>, Error> {
    let before = match target.head(tag) {
        Err(error) if error.code() == Code::RepositoryUnknown => None,
        before => before?,
    };
    let Some(digest) = before.as_ref() else { return Ok(Some(None)) };
    if *digest == referrer.digest {
        return Ok(None);
    }
    let there = target.manifest(&Identifier::Digest(digest.clone()))?;
    let digests = |parts: &ManifestParts| -> HashSet<Digest> {
        parts.blobs.iter().skip(1).chain(&parts.manifests).map(|entry| entry.digest.clone()).collect()
    };
    let ours = tree.nodes.get(&referrer.digest).map(|node| digests(&node.parts)).unwrap_or_default();
    if digests(&parts::parts(&there.content)).is_subset(&ours) {
        return Ok(Some(before));
    }
    let repository = target.repository();
    let message = format!("`{repository}:{tag}` holds signatures that the source lacks, so it was left as it is");
    target.warn("signature-conflict", message);
    Ok(None)
}
