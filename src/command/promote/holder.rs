//! Which version a digest belongs to, asked of the tags that name versions.
//!
//! Where the tag list came with digests nothing is asked; elsewhere tags are looked at one by one,
//! 16 side by side, newest first, and never more than 200.

use crate::error::Error;
use crate::pure::image::{Digest, Heads, Listing, Tag, TagEntry};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Comparison, Facts, TagWrite, Target};
use crate::pure::version::{TagFormat, Version, VersionTag};
use crate::registry::Remote;
use crate::threads;
use crate::threads::WIDTH;

/// How many tags are looked at in search of a digest.
const MOST: usize = 200;
/// How many tags are looked at in search of a digest, how many of them at first, and how many at once after that.
type Look = (usize, usize, usize);
const LONG_LOOK: Look = (MOST, WIDTH, WIDTH);
/// At older versions, only to name the one that a tag held. Most held the newest of these, and there are no more at once
/// than there are connections that the tags which are written meanwhile leave.
const SHORT_LOOK: Look = (16, 1, 3);

/// The tags that name versions, newest first, with their digests where the list had them.
pub struct Versions {
    tags: Vec<(VersionTag, Option<Digest>)>,
}

impl Versions {
    /// Reads a listing.
    pub fn of(listing: &Listing, format: &TagFormat) -> Self {
        Self::among(&listing.tags, format)
    }

    /// Reads tags.
    pub fn among(tags: &[TagEntry], format: &TagFormat) -> Self {
        let format = format.among(tags);
        let mut tags: Vec<(VersionTag, Option<Digest>)> =
            tags.iter().filter_map(|listed| Some((format.read(&listed.name)?, listed.digest.clone()))).collect();
        tags.sort_by_key(|(tag, _)| std::cmp::Reverse(tag.version));
        Self { tags }
    }

    /// The version tag that has a digest, the longest before the newest of them, as far as a long look tells.
    ///
    /// # Errors
    /// Those of looking at a tag.
    pub fn of_digest(&self, remote: &Remote, digest: &Digest) -> Result<Option<VersionTag>, Error> {
        Ok(find(remote, &self.tags, digest, LONG_LOOK)?.cloned())
    }

    /// The same of those whose digests are known.
    pub fn known(&self, digest: &Digest) -> Option<&VersionTag> {
        known(&self.tags, digest)
    }

    /// The known digests of those that are newer than a version, the newest first.
    pub fn newer(&self, than: Option<Version>) -> impl Iterator<Item = &Digest> {
        let newer = self.tags.iter().take_while(move |(tag, _)| than.is_none_or(|than| tag.version > than));
        newer.filter_map(|(_, known)| known.as_ref())
    }

    /// The newest so many tags whose digests are not known.
    pub fn unknown(&self, most: usize) -> Vec<Tag> {
        let unknown = self.tags.iter().filter(|(_, known)| known.is_none());
        unknown.take(most).map(|(tag, _)| tag.tag.clone()).collect()
    }

    /// Takes in what those point at that were [`unknown`](Self::unknown); one that is not there is none of them any more.
    pub fn tell(&mut self, heads: Heads) {
        let mut heads = heads.into_iter();
        let mut is_there = |known: &mut Option<Digest>| match heads.next() {
            Some(head) => {
                *known = head;
                known.is_some()
            }
            None => true,
        };
        self.tags.retain_mut(|(_, known)| known.is_some() || is_there(known));
    }

    /// How what a tag holds compares with a source of this version, or of none.
    ///
    /// # Errors
    /// Those of looking at a tag.
    pub fn compare(&self, target: &Remote, version: Option<&Version>, held: &Digest) -> Result<Comparison, Error> {
        let newer = |tag: &VersionTag| version.is_none_or(|version| tag.version > *version);
        let newer = &self.tags[..self.tags.partition_point(|(tag, _)| newer(tag))];
        let unknown = newer.iter().filter(|(_, known)| known.is_none()).count();
        let looked = unknown.min(MOST);
        Ok(match (find(target, newer, held, LONG_LOOK)?, version) {
            (Some(tag), Some(_)) => Comparison::Newer(tag.version),
            (Some(tag), None) => Comparison::Unordered(tag.version),
            (None, _) if unknown > looked => Comparison::TooMany { newer: newer.len(), looked },
            (None, Some(_)) => Comparison::NotNewer,
            (None, None) => Comparison::Unversioned,
        })
    }

    /// Whether a digest belongs to a version older than this one, as far as a long look tells.
    ///
    /// # Errors
    /// Those of looking at a tag.
    pub fn is_older(&self, target: &Remote, version: &Version, digest: &Digest) -> Result<bool, Error> {
        Ok(self.below(target, version, digest, LONG_LOOK)?.is_some())
    }

    /// The version older than this one that a digest belongs to, as far as a short look tells.
    pub fn older(&self, target: &Remote, version: &Version, digest: &Digest) -> Option<Version> {
        self.below(target, version, digest, SHORT_LOOK).ok().flatten()
    }

    fn below(&self, target: &Remote, version: &Version, digest: &Digest, look: Look) -> Result<Option<Version>, Error> {
        let older = &self.tags[self.tags.partition_point(|(tag, _)| tag.version >= *version)..];
        Ok(find(target, older, digest, look)?.map(|tag| tag.version))
    }
}

/// What makes one of several tags of a digest the one that names it.
fn best(tag: &&VersionTag) -> (usize, Version) {
    (tag.version.parts().len(), tag.version)
}

fn known<'t>(tags: &'t [(VersionTag, Option<Digest>)], digest: &Digest) -> Option<&'t VersionTag> {
    tags.iter().filter(|(_, known)| known.as_ref() == Some(digest)).map(|(tag, _)| tag).max_by_key(best)
}

/// Which of these tags has a digest, the longest before the newest: by the list, else by a look at those of which the list
/// has none.
fn find<'t>(
    target: &Remote,
    tags: &'t [(VersionTag, Option<Digest>)],
    digest: &Digest,
    (most, first, at_once): Look,
) -> Result<Option<&'t VersionTag>, Error> {
    if let Some(tag) = known(tags, digest) {
        return Ok(Some(tag));
    }
    let unknown: Vec<_> = tags.iter().filter(|(_, known)| known.is_none()).map(|(tag, _)| tag).take(most).collect();
    let (first, rest) = unknown.split_at(unknown.len().min(first));
    for batch in std::iter::once(first).chain(rest.chunks(at_once)) {
        let heads = threads::map(batch, |tag| target.head(&tag.tag))?;
        let hits = batch.iter().zip(heads).filter(|(_, held)| held.as_ref() == Some(digest)).map(|(tag, _)| *tag);
        if let Some(tag) = hits.max_by_key(best) {
            return Ok(Some(tag));
        }
    }
    Ok(None)
}

/// A tag, what it held, and the version of that, as far as it was found.
pub type PreviousVersion = (Tag, Digest, Option<Version>);

/// Which versions the tags held that these writes move. That is only told, never decides.
pub fn previous(
    target: &Remote,
    versions: Option<&Versions>,
    facts: &Facts,
    writes: &[TagWrite],
) -> Vec<PreviousVersion> {
    let (Some(versions), mut all) = (versions, Vec::<PreviousVersion>::new()) else { return Vec::new() };
    let previous = |write: &TagWrite, all: &[PreviousVersion]| {
        let before = write.before.as_ref().filter(|before| Some(*before) != write.wanted.as_ref())?;
        // Tags that move together mostly held the same.
        if let Some((.., found)) = all.iter().find(|(_, held, _)| held == before) {
            return Some((write.tag.clone(), before.clone(), *found));
        }
        let same = |known: &&Target| known.tag == write.tag && known.before == write.before;
        let newer = facts.targets.iter().find(same).and_then(|known| match &known.comparison {
            Comparison::Newer(version) | Comparison::Unordered(version) => Some(*version),
            _ => None,
        });
        let found = match &facts.version {
            Some(version) => newer.or_else(|| versions.older(target, version, before)),
            None => newer,
        };
        // Of a source without version it is said already that nothing could be compared.
        (found.is_some() || facts.version.is_some()).then(|| (write.tag.clone(), before.clone(), found))
    };
    for write in writes {
        all.extend(previous(write, &all));
    }
    all
}

/// Puts the versions that tags held into their writes. What somebody else moved after the plan was made held another
/// one by then, and is looked up here.
pub fn name_previous(
    target: &Remote,
    versions: Option<&Versions>,
    facts: &Facts,
    known: &[PreviousVersion],
    writes: &mut [TagWrite],
) {
    for write in writes.iter_mut().filter(|write| write.action != TagAction::Kept) {
        if write.before == write.wanted {
            // A tag that has the source's digest already holds the source's version.
            write.before_version = facts.version.as_ref().map(ToString::to_string);
            continue;
        }
        let same = |(tag, before, _): &&PreviousVersion| *tag == write.tag && Some(before) == write.before.as_ref();
        let found = match known.iter().find(same) {
            Some((.., found)) => *found,
            None => match previous(target, versions, facts, std::slice::from_ref(write)).pop() {
                Some((.., found)) => found,
                None => continue,
            },
        };
        if found.is_none() {
            let sentence = format!(
                "no version tag looked at is what `{}:{}` held, so it was moved without knowing from where",
                target.repository(),
                write.tag
            );
            target.warn("previous-unknown", sentence);
        }
        write.before_version = found.as_ref().map(ToString::to_string);
    }
}
