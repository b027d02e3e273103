//! One repository of a registry, with its caller and the rights that are asked for.
//!
//! This is all that a command sees of a registry: it says what it wants to know or to write, and never how that is
//! asked, which API answers, or under which credential.

use crate::aws::identity as aws;
use crate::error::{Code, Error};
use crate::http::exchange::Exchange;
use crate::pure::auth::scope::Action;
use crate::pure::image::descriptor::Descriptor;
use crate::pure::image::digest::Digest;
use crate::pure::image::listing::{Detail, Listing, Via};
use crate::pure::image::reference::Identifier;
use crate::pure::image::registry::Registry;
use crate::pure::image::repository::Repository;
use crate::pure::image::tag::Tag;
use crate::pure::version::scheme::TagFormat;
use crate::registry::blobs::{self, Mount, Upload};
use crate::registry::distribution::{self, Acceptance};
use crate::pure::image::raw_manifest::RawManifest;
use crate::registry::hub::Hub;
use crate::registry::login::client::Client;
use crate::pure::image::referrers::ReferrerList;
use crate::registry::referrers;
use crate::registry::listing;
use crate::threads;
use crate::world::World;

/// One repository, with its caller and its rights.
#[derive(Clone)]
pub struct Remote<'s, 'w> {
    /// Whoever asks.
    pub client: &'s Client<'w>,
    pub(super) hub: &'s Hub,
    pub(super) via: Option<Via>,
    pub(super) repository: Repository,
    pub(super) rights: Action,
}

impl<'s, 'w> Remote<'s, 'w> {
    /// A repository as `client` sees it; asks nothing.
    pub fn new(client: &'s Client<'w>, hub: &'s Hub, via: Option<Via>, repository: &Repository, rights: Action) -> Self {
        Self { client, hub, via, repository: repository.clone(), rights }
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The rights that are asked for.
    pub fn rights(&self) -> Action {
        self.rights
    }

    /// The registry that it is in.
    pub fn registry(&self) -> &Registry {
        self.repository.registry()
    }

    /// The same repository, with other rights asked for.
    #[must_use]
    pub fn with_rights(&self, rights: Action) -> Self {
        Self { rights, ..self.clone() }
    }

    /// The way out, with what the flags say about it.
    pub fn exchange(&self) -> &'s Exchange<'w> {
        &self.client.exchange
    }

    /// Clock, files, and the log.
    pub fn world(&self) -> &'w World {
        self.client.exchange.world
    }

    /// Notes a warning for the report.
    pub fn warn(&self, code: &'static str, message: impl Into<String>) {
        self.client.exchange.warn(code, message);
    }

    /// Reads a manifest or index.
    ///
    /// # Errors
    /// `tag-unknown`, `repository-unknown`, `digest-mismatch`, `reply-malformed`, `schema1-unsupported`.
    pub fn manifest(&self, identifier: &Identifier) -> Result<RawManifest, Error> {
        distribution::get_manifest(self.client, &self.repository, identifier, self.rights)
    }

    /// What a tag points at now; `None` where the registry says that there is no such tag.
    ///
    /// # Errors
    /// Those of the question.
    pub fn head(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        distribution::head_manifest(self.client, &self.repository, tag, self.rights)
    }

    /// What several tags point at now, in the order of the tags: in one call where the registry has one for that.
    ///
    /// # Errors
    /// As [`Remote::head`].
    pub fn heads(&self, tags: &[Tag]) -> Result<Vec<Option<Digest>>, Error> {
        match self.client.native(self.registry())? {
            Some(ecr) if !tags.is_empty() => ecr.head_manifests(&self.repository, tags),
            _ => threads::map(tags, |tag| self.head(tag)),
        }
    }

    /// Whether there is a manifest of this digest.
    ///
    /// # Errors
    /// As [`Remote::head`].
    pub fn has_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        distribution::has_manifest(self.client, &self.repository, digest, self.rights)
    }

    /// Puts a manifest under a tag or its digest, exactly the bytes that were read.
    ///
    /// # Errors
    /// `tag-immutable`, `denied`, `digest-mismatch`.
    pub fn put_manifest(&self, identifier: &Identifier, manifest: &RawManifest) -> Result<Acceptance, Error> {
        distribution::put_manifest(self.client, &self.repository, identifier, manifest)
    }

    /// One of these tags that cannot be moved, where the registry tells that beforehand.
    ///
    /// # Errors
    /// Those of the question.
    pub fn immutable(&self, tags: &[&Tag]) -> Result<Option<Tag>, Error> {
        match self.client.native(self.registry())? {
            Some(ecr) if !tags.is_empty() => Ok(ecr.kept(&self.repository, tags)?.cloned()),
            _ => Ok(None),
        }
    }

    /// Every tag, from the place that knows them best.
    ///
    /// # Errors
    /// `repository-unknown`, `reply-malformed`, and those of the place that was asked last.
    pub fn tags(&self, detail: Detail) -> Result<Listing, Error> {
        listing::all(self, detail)
    }

    /// Every tag as the registry itself has it this moment: a web API beside it may show it later.
    ///
    /// # Errors
    /// As [`Remote::tags`].
    pub fn fresh_tags(&self) -> Result<Listing, Error> {
        listing::fresh(self)
    }

    /// The tags that may belong to a build: all of them, or fewer where the place can filter.
    ///
    /// # Errors
    /// As [`Remote::tags`].
    pub fn tags_of_build(&self, build: u64, format: &TagFormat, detail: Detail) -> Result<Listing, Error> {
        listing::of_build(self, build, format, detail)
    }

    /// Reads a blob that fits in memory.
    ///
    /// # Errors
    /// `blob-missing`, `digest-mismatch`, `size-exceeded`.
    pub fn blob(&self, descriptor: &Descriptor, what: &str, limit: u64) -> Result<Vec<u8>, Error> {
        distribution::get_blob(self.client, &self.repository, descriptor, what, limit)
    }

    /// Whether there is a blob of this digest.
    ///
    /// # Errors
    /// Those of the question.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        blobs::has_blob(self.client, &self.repository, digest, self.rights)
    }

    /// Asks for a blob of another repository of the same registry.
    ///
    /// # Errors
    /// Those of the question, but for refusals.
    pub fn mount(&self, source: &Repository, digest: &Digest) -> Result<Mount, Error> {
        blobs::mount_blob(self.client, &self.repository, source, digest)
    }

    /// Copies a blob from another repository, hashed on the way.
    ///
    /// # Errors
    /// `blob-missing`, `digest-mismatch`, `denied`, and those of both sides.
    pub fn copy_blob(
        &self,
        source: &Remote,
        descriptor: &Descriptor,
        started: Option<Upload>,
        moved: &(dyn Fn(u64) -> bool + Sync),
    ) -> Result<(), Error> {
        blobs::copy_blob(source.client, &source.repository, self.client, &self.repository, descriptor, started, moved)
    }

    /// Tells the registry to forget an upload that nobody goes on with.
    pub fn give_up(&self, upload: Upload) {
        blobs::give_up(self.client, &self.repository, upload);
    }

    /// Puts a blob that is in memory, unless it is there already.
    ///
    /// # Errors
    /// As [`Remote::copy_blob`].
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        blobs::put_blob(self.client, &self.repository, bytes)
    }

    /// How many manifests point at a digest, by the referrers API; `Some(None)` where the registry has none, `None` where
    /// that cannot be told without a right of its own.
    pub fn count_referrers(&self, digest: &Digest) -> Option<Option<usize>> {
        if self.registry().is_docker_hub() {
            return Some(None);
        }
        if self.client.native(self.registry()).ok()?.is_some() {
            return None;
        }
        distribution::count_referrers(self.client, &self.repository, digest, self.rights).ok()
    }

    /// Everything that points at a manifest, where that can be told without a right of its own.
    ///
    /// # Errors
    /// Those of the question.
    pub fn referrers(&self, digest: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        referrers::list(self.client, &self.repository, digest, self.rights)
    }

    /// What the referrers API says of a manifest, whatever other API there is.
    ///
    /// # Errors
    /// Those of the question.
    pub fn api_referrers(&self, digest: &Digest) -> Result<ReferrerList, Error> {
        // Docker Hub has no referrers API.
        if self.registry().is_docker_hub() {
            return Ok(ReferrerList::NoApi);
        }
        // For ECR the registry API takes rights that its own API does without.
        let native = self.client.native(self.registry())?.is_some();
        match referrers::by_api(self.client, &self.repository, digest, self.rights) {
            Err(error) if native && matches!(error.code(), Code::Denied | Code::CredentialMissing) => {
                Ok(ReferrerList::Unknown(error))
            }
            outcome => Ok(outcome?.map_or(ReferrerList::NoApi, ReferrerList::Listed)),
        }
    }

    /// What the list under the fall-back tag says, empty where there is none.
    ///
    /// # Errors
    /// Those of reading the tag.
    pub fn tagged_referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        referrers::by_tag(self.client, &self.repository, digest, self.rights)
    }

    /// Whether a look at the list, which has the digests too, costs less than one at the list and one at tags.
    pub fn lists_digests(&self) -> bool {
        matches!(self.client.native(self.registry()), Ok(Some(_)))
    }

    /// Puts manifests that point at another one, and sees to it that they are listed.
    ///
    /// # Errors
    /// Those of [`Remote::put_manifest`]; `raced`.
    pub fn put_referrers(&self, manifests: &[RawManifest], subject: &Digest) -> Result<(), Error> {
        referrers::put(self.client, &self.repository, manifests, subject)
    }

    /// Whose credential the registry asked for and took, and where it came from; asks nothing.
    ///
    /// # Errors
    /// Those of the environment's credential.
    pub fn accepted(&self) -> Result<Option<(Option<String>, String)>, Error> {
        self.client.accepted(&self.repository)
    }

    /// Who AWS says the caller is; `None` where it is not AWS's credential that answers.
    ///
    /// # Errors
    /// Those of the search for the credential, and of the call.
    pub fn arn(&self) -> Result<Option<String>, Error> {
        self.client.arn(self.registry())
    }

    /// Whether both speak to one registry as one caller.
    pub fn is_of_one_caller(&self, other: &Self) -> bool {
        std::ptr::eq(self.client, other.client) && self.registry() == other.registry()
    }

    /// Whether the registry is one of Amazon's, by its name or by what the flags say.
    pub fn is_amazon(&self) -> bool {
        let settings: &aws::Settings = &self.client.aws.settings;
        settings.host(self.registry()).is_some()
    }
}
