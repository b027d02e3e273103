//! The kinds of registries behind a repository: what each of them is asked in its own way.
//!
//! What a kind does not do in its own way is asked by the distribution API. Nothing outside of this room asks which kind
//! a registry is of.

use crate::error::Error;
use crate::pure::image::{Descriptor, Detail, Digest, Heads, Identifier, Listing, RawManifest, ReferrerList, Tag};
use crate::registry::distribution::OpenBlob;
use crate::registry::login::Access;
use crate::registry::{Acceptance, distribution};
use crate::threads;
use std::time::Duration;

/// One repository, asked in the way of its registry's kind. What the questions mean is said at
/// [`crate::registry::remote::Remote`].
pub(super) trait Backend: Sync {
    /// The repository with its caller and its rights.
    fn access(&self) -> &Access<'_, '_>;

    /// Reads a manifest or index.
    fn manifest(&self, identifier: &Identifier) -> Result<RawManifest, Error> {
        distribution::get_manifest(self.access(), identifier)
    }

    /// What a tag points at.
    fn head(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        distribution::head_manifest(self.access(), &Identifier::Tag(tag.clone()))
    }

    /// What several tags point at.
    fn heads(&self, tags: &[Tag]) -> Result<Heads, Error> {
        threads::map(tags, |tag| self.head(tag))
    }

    /// Whether there is a manifest.
    fn has_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        let head = distribution::head_manifest(self.access(), &Identifier::Digest(digest.clone()));
        head.map(|found| found.is_some())
    }

    /// Puts a manifest.
    fn put_manifest(&self, identifier: &Identifier, manifest: &RawManifest) -> Result<Acceptance, Error> {
        distribution::put_manifest(self.access(), identifier, manifest)
    }

    /// One of these tags that cannot be moved, where that can be told beforehand.
    fn immutable(&self, _tags: &[&Tag]) -> Result<Option<Tag>, Error> {
        Ok(None)
    }

    /// Every tag; with a part of their names, at least those that have it.
    fn tags(&self, _detail: Detail, _part: Option<&str>) -> Result<Listing, Error> {
        self.fresh_tags()
    }

    /// Every tag of this moment.
    fn fresh_tags(&self) -> Result<Listing, Error> {
        distribution::list_tags(self.access())
    }

    /// The first names of the list of tags.
    fn some_tags(&self) -> Result<Vec<String>, Error> {
        distribution::some_tags(self.access())
    }

    /// Whether the list of this moment has digests.
    fn lists_digests(&self) -> bool {
        false
    }

    /// What points at a manifest; with `patience` no page is waited for any longer.
    fn api_referrers(&self, digest: &Digest, patience: Option<Duration>) -> Result<ReferrerList, Error> {
        distribution::list_referrers(self.access(), digest, patience)
    }

    /// Whether to ask what points at a manifest takes no right but that of reading.
    fn tells_referrers(&self) -> bool {
        true
    }

    /// Reads a blob that fits in memory.
    fn blob(&self, descriptor: &Descriptor, what: &str, limit: u64) -> Result<Vec<u8>, Error> {
        distribution::get_blob(self.access(), descriptor, what, limit)
    }

    /// Opens a blob to be read in pieces, from its beginning or at a range.
    fn open_blob(&self, digest: &Digest, wanted: &str, range: Option<&str>) -> Result<OpenBlob, Error> {
        distribution::open_blob(self.access(), digest, wanted, range)
    }

    /// Whether there is a blob.
    fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        distribution::has_blob(self.access(), digest)
    }

    /// What to tell where a write finds no repository.
    fn without_repository(&self, error: Error) -> Error {
        error
    }
}

/// A registry that is asked by the distribution API alone.
pub(super) struct Distribution<'a>(pub &'a Access<'a, 'a>);

impl Backend for Distribution<'_> {
    fn access(&self) -> &Access<'_, '_> {
        self.0
    }
}
