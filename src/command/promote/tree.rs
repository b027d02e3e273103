//! Everything that belongs to an image: the manifests below it, and what points at any of them.
//!
//! Signatures, attestations and SBOMs are found by the referrers API, by its fall-back tag, and by the tags of
//! cosign's older scheme; what points at those belongs to the image too.

use crate::error::{Code, Error};
use crate::pure::image::referrers::{cosign_tags, fallback_tag};
use crate::pure::image::{Descriptor, Digest, Identifier, MediaType, RawManifest, ReferrerList, Repository, Tag};
use crate::pure::promote::{ManifestParts, copy};
use crate::pure::text::{quoted, show};
use crate::registry::{Remote, limits};
use crate::threads::{self, both};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// More manifests than any image has; a registry that names ever more of them is stopped here.
const MOST: usize = 2000;

/// How many are read of what points at one manifest, where only some kinds of it are wanted.
const WANTED: usize = 200;

/// Reads the names of the tags; nothing where they cannot be read.
pub type Names<'n> = Box<dyn FnOnce() -> Option<HashSet<String>> + Send + 'n>;

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

/// One manifest of the tree: its bytes, and what it names.
pub struct TreeNode {
    /// The media type.
    pub media_type: String,
    /// The bytes; none for the root, whose bytes are held elsewhere.
    body: Arc<[u8]>,
    /// What it names.
    pub parts: ManifestParts,
}

impl TreeNode {
    /// Whether its kind is neither that of an image nor that of an index.
    pub fn is_of_another_kind(&self) -> bool {
        MediaType::parse(&self.media_type).is_other()
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.body.len() as u64
    }

    /// As it is written. What it says is read again, for together the manifests of an image may be large.
    ///
    /// # Errors
    /// None of its own: it has been read before.
    pub fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error> {
        RawManifest::parse(digest.clone(), self.body.clone(), Some(&self.media_type))
    }
}

/// An image with all that belongs to it, as the source has it.
pub struct Tree {
    /// Every manifest by its digest.
    pub nodes: HashMap<Digest, TreeNode>,
    /// What points at one of them, each after what it points at.
    pub referrers: Vec<Referrer>,
    /// How many more there are that cannot be read.
    pub left: usize,
    /// Whether all of these were to be found out.
    pub whole: bool,
    bytes: u64,
}

impl Tree {
    /// Reads the manifests below a root.
    ///
    /// # Errors
    /// `blob-missing` where the source lacks one that an index names, `size-exceeded` where there is more than an image
    /// may have, and those of reading.
    pub fn read(here: &Remote, root: &RawManifest) -> Result<Self, Error> {
        let mut tree = Self::of(root);
        let root = tree.nodes.drain().collect();
        tree.add(here, root)?;
        Ok(tree)
    }

    /// An image alone, without what is below it.
    pub fn of(root: &RawManifest) -> Self {
        let parts = copy::parts(&root.content);
        let node = TreeNode { media_type: root.media_type.clone(), body: Arc::new([]), parts };
        Self { nodes: HashMap::from([(root.digest.clone(), node)]), bytes: root.body.len() as u64, ..Self::empty() }
    }

    fn empty() -> Self {
        Self { nodes: HashMap::new(), referrers: Vec::new(), left: 0, whole: true, bytes: 0 }
    }

    /// What the manifests name, by digest.
    pub fn parts(&self) -> HashMap<Digest, &ManifestParts> {
        self.nodes.iter().map(|(digest, node)| (digest.clone(), &node.parts)).collect()
    }

    /// Adds manifests with all that is below them.
    fn add(&mut self, here: &Remote, mut level: Vec<(Digest, TreeNode)>) -> Result<(), Error> {
        while !level.is_empty() {
            let (mut below, mut next): (Vec<Descriptor>, Vec<(Digest, TreeNode)>) = (Vec::new(), Vec::new());
            for (_, node) in &mut level {
                below.extend(node.parts.manifests.iter().cloned());
                next.append(&mut self.unknown(here, &mut node.parts)?);
            }
            self.nodes.extend(level);
            let mut met = HashSet::new();
            below.retain(|entry| !self.nodes.contains_key(&entry.digest) && met.insert(entry.digest.clone()));
            let declared = below.iter().fold(self.bytes, |sum, entry| sum.saturating_add(entry.size));
            check(here.repository(), self.nodes.len() + below.len(), declared)?;
            let largest = below.iter().map(|entry| entry.size).max().unwrap_or_default();
            next.extend(threads::map_at(limits::at_once(largest), &below, |entry| child(here, &entry.digest))?);
            level = next;
            self.bytes += level.iter().map(|(_, node)| node.size()).sum::<u64>();
            check(here.repository(), 0, self.bytes)?;
        }
        Ok(())
    }

    /// Finds out what entries of a kind that is not known are: manifests, blobs, or nothing that is there.
    fn unknown(&self, here: &Remote, parts: &mut ManifestParts) -> Result<Vec<(Digest, TreeNode)>, Error> {
        let mut entries: Vec<Descriptor> = std::mem::take(&mut parts.unknown);
        let mut met = HashSet::new();
        entries.retain(|one| !self.nodes.contains_key(&one.digest) && met.insert(one.digest.clone()));
        check(here.repository(), self.nodes.len() + entries.len(), self.bytes)?;
        let mut manifests = Vec::new();
        for entry in entries {
            match child(here, &entry.digest) {
                Ok(manifest) => {
                    parts.manifests.push(entry);
                    manifests.push(manifest);
                }
                Err(error) if !is_of_one(error.code()) => return Err(error),
                Err(_) if here.has_blob(&entry.digest)? => parts.blobs.push(entry),
                Err(error) => {
                    let (kind, digest) = (quoted(&entry.media_type), &entry.digest);
                    let message = format!("the entry `{digest}` of the index, of the kind {kind}, is not copied");
                    here.warn("entries-left", format!("{message}: {}", error.message()));
                }
            }
        }
        Ok(manifests)
    }

    /// Finds what points at any manifest of the tree, and reads it with everything below it.
    ///
    /// `names` reads the names of the source's tags, beside the first questions; where they cannot be read, tags are
    /// asked for one by one. With `wanted` only those are read, so many at most, and what points at them is not asked for.
    ///
    /// # Errors
    /// Those of reading; that a registry does not tell what points at an image only sets [`Tree::whole`].
    pub fn find_referrers(
        &mut self,
        here: &Remote,
        names: Names,
        wanted: Option<&dyn Fn(&Descriptor) -> bool>,
    ) -> Result<(), Error> {
        let mut asked: HashSet<Digest> = HashSet::new();
        let api = |subject: &Digest| match here.api_referrers(subject)? {
            // What cannot be told whole would leave signatures behind without a word.
            ReferrerList::Partial(_, error) => Err(error),
            list => Ok(list),
        };
        let mut open: Vec<Digest> = self.nodes.keys().cloned().collect();
        let (names, mut listed) = both(names, || threads::map(&open, api));
        loop {
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
            let mut fresh: Vec<(Referrer, u64)> = Vec::new();
            let mut level: Vec<(Digest, TreeNode)> = Vec::new();
            for ((subject, answer), (by_tag, tagged)) in questions.into_iter().zip(found) {
                self.whole &= !matches!(answer, ReferrerList::Unknown(_));
                let by_api = if let ReferrerList::Listed(list) = answer { list } else { Vec::new() };
                let referrer = |digest, tag| Referrer { subject: subject.clone(), digest, tag };
                let mut listed: Vec<Descriptor> = by_api.into_iter().chain(by_tag).collect();
                if let Some(wanted) = wanted {
                    listed.retain(wanted);
                    self.left += listed.len().saturating_sub(WANTED);
                    listed.truncate(WANTED);
                }
                fresh.extend(listed.into_iter().map(|one| (referrer(one.digest, None), one.size)));
                for (tag, read) in tagged {
                    match read {
                        Some((digest, node)) => {
                            fresh.push((referrer(digest.clone(), Some(tag)), node.size()));
                            level.push((digest, node));
                        }
                        None => self.left += 1,
                    }
                }
                asked.insert(subject);
            }
            self.add_referrers(here, fresh, level)?;
            open = self.nodes.keys().filter(|digest| !asked.contains(*digest)).cloned().collect();
            if open.is_empty() || wanted.is_some() {
                // What points at a referrer comes after that referrer, whatever order the sets gave.
                let all = self.referrers.clone();
                let subjects: HashMap<&Digest, &Digest> =
                    all.iter().rev().map(|one| (&one.digest, &one.subject)).collect();
                self.referrers.sort_by_cached_key(|one| (depth(&one.subject, &subjects), one.digest.to_string()));
                return Ok(());
            }
            listed = threads::map(&open, api);
        }
    }

    /// Reads referrers, each with all that is below it; some are `read` already. The image depends on none, so one that is gone, or of a kind
    /// that cannot be read, is only counted.
    fn add_referrers(
        &mut self,
        here: &Remote,
        referrers: Vec<(Referrer, u64)>,
        mut read: Vec<(Digest, TreeNode)>,
    ) -> Result<(), Error> {
        let mut sizes: HashMap<&Digest, u64> = referrers.iter().map(|(one, size)| (&one.digest, *size)).collect();
        let has_read: HashSet<&Digest> = read.iter().map(|(digest, _)| digest).collect();
        sizes.retain(|&digest, _| !self.nodes.contains_key(digest) && !has_read.contains(digest));
        check(here.repository(), self.nodes.len() + sizes.len(), self.bytes)
            .map_err(|error| error.hint("copy the image without what points at it, with `--no-referrers`"))?;
        let largest = sizes.values().copied().max().unwrap_or_default();
        let mut fresh: Vec<&Digest> = sizes.into_keys().collect();
        fresh.sort_unstable();
        let more = threads::map_at(limits::at_once(largest), &fresh, |digest| readable(child(here, digest)))?;
        read.extend(more.into_iter().flatten());
        for (digest, node) in read {
            let mut own = Self { bytes: self.bytes + node.size(), ..Self::empty() };
            match own.add(here, vec![(digest, node)]) {
                Ok(()) => {
                    self.bytes = own.bytes;
                    self.nodes.extend(own.nodes);
                }
                Err(error) if is_of_one(error.code()) => {}
                Err(error) => return Err(error),
            }
        }
        for (referrer, _) in referrers {
            if self.nodes.contains_key(&referrer.digest) {
                self.referrers.push(referrer);
            } else {
                self.left += 1;
            }
        }
        Ok(())
    }
}

/// Refuses more manifests, or more bytes of them, than any image has.
fn check(repository: &Repository, count: usize, bytes: u64) -> Result<(), Error> {
    let what = match (count > MOST, bytes > limits::MANIFESTS) {
        (false, false) => return Ok(()),
        (true, _) => format!("more than {MOST} manifests belong"),
        (_, true) => {
            format!("manifests of {} belong, more than {},", show::bytes(bytes), show::bytes(limits::MANIFESTS))
        }
    };
    let message = format!("{what} to the image in `{repository}`, which is not copied");
    Err(Error::new(Code::SizeExceeded, message))
}

/// What was read, or nothing where the failure is about this one manifest.
fn readable<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if is_of_one(error.code()) => Ok(None),
        read => read.map(Some),
    }
}

/// Whether a failure is about one manifest, which is gone or cannot be read, and not about the registry.
pub fn is_of_one(code: Code) -> bool {
    use Code::{BlobMissing, DigestMismatch, NotAnImage, ReplyMalformed, Schema1Unsupported, SizeExceeded, TagUnknown};
    let codes = [BlobMissing, DigestMismatch, NotAnImage, ReplyMalformed, Schema1Unsupported, SizeExceeded, TagUnknown];
    codes.contains(&code)
}

fn has(names: Option<&HashSet<String>>, tag: &Tag) -> bool {
    names.is_none_or(|names| names.contains(tag.as_str()))
}

/// How many referrers stand between a subject and the image.
fn depth<'r>(mut subject: &'r Digest, subjects: &HashMap<&'r Digest, &'r Digest>) -> usize {
    let mut depth = 0;
    while let Some(next) = subjects.get(subject).filter(|_| depth < subjects.len()) {
        (depth, subject) = (depth + 1, next);
    }
    depth
}

fn child(here: &Remote, digest: &Digest) -> Result<(Digest, TreeNode), Error> {
    read(here, &Identifier::Digest(digest.clone())).map_err(|error| match error.code() {
        Code::TagUnknown => error
            .with_code(Code::BlobMissing)
            .retold(format!("`{}` lacks the manifest `{digest}`, which belongs to the image", here.repository()))
            .hint("build and push the image again; a registry that cleans up may have removed a part of it"),
        _ => error,
    })
}

fn read(here: &Remote, identifier: &Identifier) -> Result<(Digest, TreeNode), Error> {
    let manifest = here.manifest(identifier)?;
    let parts = copy::parts(&manifest.content);
    Ok((manifest.digest, TreeNode { media_type: manifest.media_type, body: manifest.body, parts }))
}

/// The tags that cosign makes from a digest and that are there, each with its manifest where that can be read.
type Signatures = Vec<(Tag, Option<(Digest, TreeNode)>)>;

fn tagged(here: &Remote, subject: &Digest, names: Option<&HashSet<String>>) -> Result<Signatures, Error> {
    let tags = cosign_tags(subject);
    let there: Vec<&Tag> = tags.iter().filter(|tag| has(names, tag)).collect();
    let manifests = threads::map(&there, |&tag| match read(here, &Identifier::Tag(tag.clone())) {
        Err(error) if error.code() == Code::TagUnknown => Ok(None),
        outcome => Ok(Some((tag.clone(), readable(outcome)?))),
    })?;
    Ok(manifests.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_points_at_a_referrer_is_further_from_the_image_and_a_circle_has_an_end() {
        let [image, signature, proof, other] =
            ["image", "signature", "proof", "other"].map(|one| Digest::of(one.as_bytes()));
        let subjects = HashMap::from([(&signature, &image), (&proof, &signature)]);
        assert_eq!([&image, &signature, &proof, &other].map(|one| depth(one, &subjects)), [0, 1, 2, 0]);
        let circle = HashMap::from([(&signature, &proof), (&proof, &signature)]);
        assert_eq!(depth(&proof, &circle), 2);
    }

    #[test]
    fn an_image_has_so_many_manifests_and_bytes_of_them_at_most() {
        let repository = Repository::parse("registry.example/acme/app").unwrap();
        for (count, bytes, expected) in [
            (MOST, limits::MANIFESTS, None),
            (MOST + 1, 0, Some("more than 2000 manifests belong to the image in `registry.example/acme/app`")),
            (0, limits::MANIFESTS + 1, Some("manifests of 64.0 MiB belong, more than 64.0 MiB,")),
        ] {
            let said = check(&repository, count, bytes).err().map(|error| error.message().to_owned());
            let is_expected = match (&said, expected) {
                (Some(said), Some(expected)) => said.starts_with(expected),
                (said, expected) => said.is_none() && expected.is_none(),
            };
            assert!(is_expected, "{count} {bytes}: {said:?}");
        }
    }
}
