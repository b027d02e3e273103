//! What the target of a copy lacks: everything that belongs to the image at the source, compared with what is there.
//!
//! A manifest that is there already is taken to be complete, for registries refuse one whose parts are missing; an index
//! is looked into all the same, because some do not.

use crate::command::promote::state::{CopyPlan, ReferrerWrite, Totals};
use crate::command::promote::tree::{Referrer, Tree};
use crate::command::request::Promote;
use crate::command::session::Sides;
use crate::error::{Code, Error};
use crate::pure::image::content::Content;
use crate::pure::image::descriptor::Descriptor;
use crate::pure::image::digest::Digest;
use crate::pure::image::listing::{Detail, Listing};
use crate::pure::image::raw_manifest::RawManifest;
use crate::pure::image::reference::Identifier;
use crate::pure::image::tag::Tag;
use crate::pure::promote::copy::{self as parts, Tally};
use crate::pure::promote::record::Referrers;
use crate::registry::remote::Remote;
use crate::threads::{self, both};
use std::collections::HashSet;

/// Reads all that belongs to the image, and whether the target knows the image already. `listing` is the source's list of tags, where it was read already.
///
/// # Errors
/// Those of reading at either side.
pub fn find(sides: &Sides, root: &RawManifest, listing: Option<Listing>) -> Result<(Tree, bool), Error> {
    let Sides { source: here, target, .. } = sides;
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
    let root_is_there = root_is_there?;
    Ok((tree?, root_is_there))
}

/// What the source has and the target lacks, and what it comes to if every mount succeeds.
///
/// # Errors
/// Those of reading at the target.
pub fn plan(
    sides: &Sides,
    request: &Promote,
    root: &RawManifest,
    tree: &Tree,
    root_is_there: bool,
) -> Result<(CopyPlan, Totals), Error> {
    let Sides { source: here, target, .. } = sides;
    let same = here.registry() == target.registry();
    let found = (tree.whole || !tree.referrers.is_empty()).then_some(tree.referrers.len());
    if !tree.whole {
        let message = format!(
            "`{}` does not tell what points at an image, so signatures there may be left behind",
            here.registry()
        );
        target.warn("referrers-unknown", message);
    }
    let wanted: &[Referrer] = if request.referrers { &tree.referrers } else { &[] };
    let unlisted = unlisted(target, tree, wanted)?;
    warn_left(sides, request, tree, wanted.len());

    let contents = tree.contents();
    let roots: Vec<Digest> =
        std::iter::once(&root.digest).chain(unlisted.iter().map(|(referrer, _)| &referrer.digest)).cloned().collect();
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
    let referring: HashSet<&Digest> = unlisted.iter().map(|(referrer, _)| &referrer.digest).collect();
    let manifests = all
        .iter()
        .filter(|digest| !known.contains(digest) && !referring.contains(digest) && **digest != root.digest)
        .map(|digest| tree.manifests[digest].clone())
        .collect();
    let left = tree.referrers.len() - wanted.len();
    let tally = Tally {
        blobs: stream.len() as u64,
        mounted: mount.len() as u64,
        skipped,
        bytes: stream.iter().map(|blob| blob.size).sum(),
    };
    let totals = Totals { tally, referrers: Referrers { found, copied: unlisted.len(), left } };
    let write = |(referrer, before): (&Referrer, Option<Digest>)| ReferrerWrite {
        subject: referrer.subject.clone(),
        manifest: tree.manifests[&referrer.digest].clone(),
        tag: referrer.tag.clone().map(|tag| (tag, before)),
    };
    let referrers = unlisted.into_iter().map(write).collect();
    Ok((CopyPlan { mount, stream, skipped, manifests, root_is_there, referrers }, totals))
}

fn warn_left(Sides { source, target, .. }: &Sides, request: &Promote, tree: &Tree, wanted: usize) {
    let left = tree.referrers.len() - wanted;
    if left > 0 && !request.referrers {
        let message = format!(
            "{left} signatures, attestations or SBOMs stay in `{}`, as `--no-referrers` says",
            source.repository()
        );
        target.warn("referrers-left", message);
    }
}

/// The referrers that the target does not tie to their subject yet, each with what its tag points at there.
fn unlisted<'t>(
    target: &Remote,
    tree: &Tree,
    wanted: &'t [Referrer],
) -> Result<Vec<(&'t Referrer, Option<Digest>)>, Error> {
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
    let digests = |content: &Content| -> HashSet<Digest> {
        let parts = parts::parts(content);
        parts.blobs.iter().skip(1).chain(&parts.manifests).map(|entry| entry.digest.clone()).collect()
    };
    let ours = tree.manifests.get(&referrer.digest).map(|manifest| digests(&manifest.content)).unwrap_or_default();
    if digests(&there.content).is_subset(&ours) {
        return Ok(Some(before));
    }
    let repository = target.repository();
    let message = format!("`{repository}:{tag}` holds signatures that the source lacks, so it was left as it is");
    target.warn("signature-conflict", message);
    Ok(None)
}
