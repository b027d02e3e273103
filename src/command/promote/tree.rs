//! Everything that belongs to an image: the manifests below it, and what points at any of them.
//!
//! Signatures, attestations and SBOMs are found by the referrers API, by its fall-back tag, and by the tags of
//! cosign's older scheme; what points at those belongs to the image too.

use crate::error::{Code, Error};
use crate::pure::image::content::Content;
use crate::pure::image::digest::Digest;
use crate::pure::image::raw_manifest::RawManifest;
use crate::pure::image::reference::Identifier;
use crate::pure::image::referrers::{ReferrerList, cosign_tags, fallback_tag};
use crate::pure::image::tag::Tag;
use crate::pure::promote::copy;
use crate::registry::remote::Remote;
use crate::threads::{self, both};
use std::collections::{HashMap, HashSet};

/// More manifests than any image has; a registry that names ever more of them is stopped here.
const MOST: usize = 2000;

/// One manifest that points at another.
#[derive(Clone, Debug)]
pub struct Referrer {
    /// What it points at.
    pub subject: Digest,
    /// The manifest.
    pub digest: Digest,
    /// The tag that ties it to its subject, in cosign's older scheme.
    pub tag: Option<Tag>,
}

/// An image with all that belongs to it, as the source has it.
pub struct Tree {
    /// Every manifest by its digest.
    pub manifests: HashMap<Digest, RawManifest>,
    /// What points at one of them, each after what it points at.
    pub referrers: Vec<Referrer>,
    /// Whether all of these were to be found out.
    pub whole: bool,
}

impl Tree {
    /// Reads the manifests below a root.
    ///
    /// # Errors
    /// `blob-missing` where the source lacks one that an index names, and those of reading.
    pub fn read(here: &Remote, root: &RawManifest) -> Result<Self, Error> {
        let mut tree = Self { manifests: HashMap::new(), referrers: Vec::new(), whole: true };
        tree.add(here, vec![root.clone()])?;
        Ok(tree)
    }

    /// What the manifests say, by digest.
    pub fn contents(&self) -> HashMap<Digest, &Content> {
        self.manifests.iter().map(|(digest, fetched)| (digest.clone(), &fetched.content)).collect()
    }

    fn add(&mut self, here: &Remote, mut level: Vec<RawManifest>) -> Result<(), Error> {
        while !level.is_empty() {
            let mut below: Vec<Digest> = Vec::new();
            for fetched in &level {
                for entry in copy::parts(&fetched.content).manifests {
                    if !self.manifests.contains_key(&entry.digest) && !below.contains(&entry.digest) {
                        below.push(entry.digest.clone());
                    }
                }
            }
            self.manifests.extend(level.into_iter().map(|fetched| (fetched.digest.clone(), fetched)));
            below.retain(|digest| !self.manifests.contains_key(digest));
            if self.manifests.len() + below.len() > MOST {
                return Err(Error::new(
                    Code::SizeExceeded,
                    format!(
                        "more than {MOST} manifests belong to the image in `{}`, which is not copied",
                        here.repository()
                    ),
                ));
            }
            level = threads::map(&below, |digest| child(here, digest))?;
        }
        Ok(())
    }

    /// Finds what points at any manifest of the tree, and reads it with everything below it.
    ///
    /// `names` reads the names of the source's tags, beside the first questions; where they cannot be read, tags are
    /// asked for one by one.
    ///
    /// # Errors
    /// Those of reading; that a registry does not tell what points at an image only sets [`Tree::whole`].
    pub fn find_referrers(
        &mut self,
        here: &Remote,
        names: impl FnOnce() -> Option<HashSet<String>> + Send,
    ) -> Result<(), Error> {
        let mut asked: HashSet<Digest> = HashSet::new();
        let api = |subject: &Digest| here.api_referrers(subject);
        let mut open: Vec<Digest> = self.manifests.keys().cloned().collect();
        let (names, mut listed) = both(names, || threads::map(&open, api));
        loop {
            let mut fresh: Vec<Digest> = Vec::new();
            let mut level: Vec<RawManifest> = Vec::new();
            let questions: Vec<(Digest, ReferrerList)> = open.into_iter().zip(listed?).collect();
            let found = threads::map(&questions, |(subject, answer)| {
                let by_tag = match answer {
                    ReferrerList::NoApi if has(names.as_ref(), &fallback_tag(subject)) => {
                        here.tagged_referrers(subject)?
                    }
                    _ => Vec::new(),
                };
                Ok((by_tag, tagged(here, subject, names.as_ref())?))
            })?;
            for ((subject, answer), (by_tag, tagged)) in questions.into_iter().zip(found) {
                self.whole &= !matches!(answer, ReferrerList::Unknown(_));
                let by_api = if let ReferrerList::Listed(list) = answer { list } else { Vec::new() };
                for descriptor in by_api.into_iter().chain(by_tag) {
                    fresh.push(descriptor.digest.clone());
                    self.referrers.push(Referrer { subject: subject.clone(), digest: descriptor.digest, tag: None });
                }
                for (tag, fetched) in tagged {
                    let digest = fetched.digest.clone();
                    self.referrers.push(Referrer { subject: subject.clone(), digest, tag: Some(tag) });
                    level.push(fetched);
                }
                asked.insert(subject);
            }
            fresh.retain(|digest| !self.manifests.contains_key(digest));
            fresh.sort();
            fresh.dedup();
            level.extend(threads::map(&fresh, |digest| child(here, digest))?);
            self.add(here, level)?;
            open = self.manifests.keys().filter(|digest| !asked.contains(*digest)).cloned().collect();
            if open.is_empty() {
                // What points at a referrer comes after that referrer, whatever order the sets gave.
                let all = self.referrers.clone();
                self.referrers.sort_by_cached_key(|referrer| (depth(referrer, &all), referrer.digest.to_string()));
                return Ok(());
            }
            listed = threads::map(&open, api);
        }
    }
}

fn has(names: Option<&HashSet<String>>, tag: &Tag) -> bool {
    names.is_none_or(|names| names.contains(tag.as_str()))
}

/// How many referrers stand between a referrer and the image.
fn depth(referrer: &Referrer, all: &[Referrer]) -> usize {
    let (mut depth, mut subject) = (0, &referrer.subject);
    while let Some(next) = all.iter().find(|other| other.digest == *subject).filter(|_| depth < all.len()) {
        (depth, subject) = (depth + 1, &next.subject);
    }
    depth
}

fn child(here: &Remote, digest: &Digest) -> Result<RawManifest, Error> {
    let identifier = Identifier::Digest(digest.clone());
    here.manifest(&identifier).map_err(|error| match error.code() {
        Code::TagUnknown => error
            .with_code(Code::BlobMissing)
            .retold(format!("`{}` lacks the manifest `{digest}`, which belongs to the image", here.repository()))
            .hint("build and push the image again; a registry that cleans up may have removed a part of it"),
        _ => error,
    })
}

/// The manifests under the tags that cosign makes from a digest.
fn tagged(here: &Remote, subject: &Digest, names: Option<&HashSet<String>>) -> Result<Vec<(Tag, RawManifest)>, Error> {
    let tags = cosign_tags(subject);
    let there: Vec<&Tag> = tags.iter().filter(|tag| names.is_none_or(|names| names.contains(tag.as_str()))).collect();
    let read = |tag: &&Tag| {
        let identifier = Identifier::Tag((*tag).clone());
        match here.manifest(&identifier) {
            Ok(fetched) => Ok(Some(((*tag).clone(), fetched))),
            Err(error) if error.code() == Code::TagUnknown => Ok(None),
            Err(error) => Err(error),
        }
    };
    Ok(threads::map(&there, read)?.into_iter().flatten().collect())
}
