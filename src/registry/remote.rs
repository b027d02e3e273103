//! One repository of a registry, with its caller and the rights that are asked for.
//!
//! This is all that a command sees of a registry: it says what it wants to know or to write, and never how that is
//! asked, which API answers, or under which credential.

use crate::error::{Code, Error};
use crate::http::Exchange;
use crate::pure::auth::scope::Action;
use crate::pure::aws::EcrHost;
use crate::pure::http::Budget;
use crate::pure::image::listing::Via;
use crate::pure::image::{
    Descriptor, Detail, Digest, Heads, Identifier, Listing, RawManifest, ReferrerList, Registry, Repository, Tag,
};
use crate::pure::text::{nearest, quoted, show};
use crate::pure::version::TagFormat;
use crate::registry::backend::{Backend, Distribution};
use crate::registry::ecr::{Ecr, EcrRegistry};
use crate::registry::hub::Hub;
use crate::registry::login::{Access, Client, grant};
use crate::registry::{Acceptance, HubApi, Mount, Upload, blobs, distribution, referrers};
use crate::threads;
use crate::world::World;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How many tags are offered for one that is not there.
const OFFERED: usize = 3;

/// The kind that a registry is of.
enum RegistryKind {
    Distribution,
    Hub,
    /// One of Amazon's, with a credential for its own API or without.
    Amazon {
        host: EcrHost,
        has_api: bool,
    },
}

/// One repository, with its caller and its rights.
pub struct Remote<'s, 'w> {
    access: Access<'s, 'w>,
    hub: &'s HubApi,
    via: Option<Via>,
    /// Known once something is asked: to look for a credential of AWS takes its time.
    kind: OnceLock<Result<RegistryKind, Error>>,
    /// One manifest under two names: what the registry may call it, and what it is called here.
    alias: OnceLock<(Digest, Digest)>,
}

impl<'s, 'w> Remote<'s, 'w> {
    /// A repository as `client` sees it; asks nothing.
    pub fn new(
        client: &'s Client<'w>,
        hub: &'s HubApi,
        via: Option<Via>,
        repository: &Repository,
        rights: Action,
    ) -> Self {
        let access = Access { client, repository: repository.clone(), rights, takes_uploads: Arc::default() };
        Self { access, hub, via, kind: OnceLock::new(), alias: OnceLock::new() }
    }

    pub(super) fn backend(&self) -> Result<Box<dyn Backend + '_>, Error> {
        let (access, via) = (&self.access, self.via);
        let resolve = || match access.client.amazon(access.registry()) {
            Some(host) => {
                let has_api = access.client.ecr_api(access.registry())?.is_some();
                Ok(RegistryKind::Amazon { host, has_api })
            }
            None if access.registry().is_docker_hub() || via == Some(Via::HubApi) => Ok(RegistryKind::Hub),
            None => Ok(RegistryKind::Distribution),
        };
        Ok(match self.kind.get_or_init(resolve).as_ref().map_err(Clone::clone)? {
            RegistryKind::Distribution => Box::new(Distribution(access)),
            RegistryKind::Hub => Box::new(Hub { access, api: self.hub, via }),
            RegistryKind::Amazon { host, has_api: false } => Box::new(EcrRegistry { access, host }),
            RegistryKind::Amazon { host, has_api: true } => Box::new(Ecr(EcrRegistry { access, host })),
        })
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.access.repository
    }

    /// The registry that it is in.
    pub fn registry(&self) -> &Registry {
        self.access.registry()
    }

    /// The way out, with what the flags say about it.
    pub fn exchange(&self) -> &'s Exchange<'w> {
        &self.access.client.exchange
    }

    /// Clock, files, and the log.
    pub fn world(&self) -> &'w World {
        self.exchange().world
    }

    /// Notes a warning for the report.
    pub fn warn(&self, code: &'static str, message: impl Into<String>) {
        self.exchange().warn(code, message);
    }

    /// Connects for so many questions that are to come, while something else is asked.
    pub fn open_ahead(&self, count: usize) {
        let _ = threads::map(&vec![self.access.url(""); count], |url| {
            self.exchange().open_ahead(url);
            Ok(())
        });
    }

    /// Reads a manifest or index.
    ///
    /// # Errors
    /// `tag-unknown`, `repository-unknown`, `digest-mismatch`, `reply-malformed`, `schema1-unsupported`.
    pub fn manifest(&self, identifier: &Identifier) -> Result<RawManifest, Error> {
        self.backend()?.manifest(identifier)
    }

    /// Reads a manifest that somebody has named: where there is no such tag, those are offered that may have been meant.
    ///
    /// # Errors
    /// As [`Remote::manifest`].
    pub fn named_manifest(&self, identifier: &Identifier) -> Result<RawManifest, Error> {
        self.manifest(identifier).map_err(|error| match identifier {
            Identifier::Tag(tag) if error.code() == Code::TagUnknown => self.offering(tag, error),
            _ => error,
        })
    }

    /// That a list cannot be had is no other failure.
    fn offering(&self, tag: &Tag, error: Error) -> Error {
        let known = self.some_tags().unwrap_or_default();
        let near = nearest::several(tag.as_str(), &known, OFFERED);
        let (Some(hint), false) = (error.hint_text(), near.is_empty()) else { return error };
        let each = show::list(near.iter().map(|name| quoted(name)));
        let hint = format!("name one that is there, such as {each}, or {hint}");
        error.hint(hint).detail("nearest", near)
    }

    /// Calls a manifest by its own digest, also where the registry answers with that of the usual algorithm.
    pub fn call(&self, manifest: &RawManifest) {
        if !manifest.digest.is_usual() {
            let _ = self.alias.set((Digest::of(&manifest.body), manifest.digest.clone()));
        }
    }

    fn called(&self, digest: Digest) -> Digest {
        self.alias.get().filter(|(other, _)| *other == digest).map_or(digest, |(_, own)| own.clone())
    }

    fn renamed(&self, mut listing: Listing) -> Listing {
        if self.alias.get().is_some() {
            listing.tags.iter_mut().for_each(|tag| tag.digest = tag.digest.take().map(|digest| self.called(digest)));
        }
        listing
    }

    /// What a tag points at now; `None` where the registry says that there is no such tag.
    ///
    /// # Errors
    /// Those of the question.
    pub fn head(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        Ok(self.backend()?.head(tag)?.map(|digest| self.called(digest)))
    }

    /// What several tags point at now, in the order of the tags: in one call where the registry has one for that.
    ///
    /// # Errors
    /// As [`Remote::head`].
    pub fn heads(&self, tags: &[Tag]) -> Result<Heads, Error> {
        let heads = self.backend()?.heads(tags)?;
        Ok(heads.into_iter().map(|head| head.map(|digest| self.called(digest))).collect())
    }

    /// Whether there is a manifest of this digest.
    ///
    /// # Errors
    /// As [`Remote::head`].
    pub fn has_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        self.backend()?.has_manifest(digest)
    }

    /// Puts a manifest under a tag or its digest, exactly the bytes that were read.
    ///
    /// # Errors
    /// `tag-immutable`, `denied`, `digest-mismatch`.
    pub fn put_manifest(&self, identifier: &Identifier, manifest: &RawManifest) -> Result<Acceptance, Error> {
        self.backend()?.put_manifest(identifier, manifest)
    }

    /// The first names of the list of tags, where a look at one page is enough.
    ///
    /// # Errors
    /// Those of the question.
    pub fn some_tags(&self) -> Result<Vec<String>, Error> {
        self.backend()?.some_tags()
    }

    /// One of these tags that cannot be moved, where the registry tells that beforehand.
    ///
    /// # Errors
    /// Those of the question.
    pub fn immutable(&self, tags: &[&Tag]) -> Result<Option<Tag>, Error> {
        self.backend()?.immutable(tags)
    }

    /// Every tag, from the place that knows them best.
    ///
    /// # Errors
    /// `repository-unknown`, `reply-malformed`, and those of the place that was asked last.
    pub fn tags(&self, detail: Detail) -> Result<Listing, Error> {
        self.backend()?.tags(detail, None).map(|listing| self.renamed(listing))
    }

    /// Why there is no list of tags, once what was asked beside it is answered too: the list may have been the first.
    pub fn without_list(&self, error: Error) -> Error {
        distribution::without_list(error, &self.access)
    }

    /// Every tag as the registry itself has it this moment: a web API beside it may show it later.
    ///
    /// # Errors
    /// As [`Remote::tags`].
    pub fn fresh_tags(&self) -> Result<Listing, Error> {
        self.backend()?.fresh_tags().map(|listing| self.renamed(listing))
    }

    /// The tags that may belong to a build: all of them, or fewer where the place can filter. A filter that finds nothing
    /// proves nothing, so all are read before anything is said to be missing.
    ///
    /// # Errors
    /// As [`Remote::tags`].
    pub fn tags_of_build(&self, build: u64, format: &TagFormat, detail: Detail) -> Result<Listing, Error> {
        let listing = self.backend()?.tags(detail, Some(&format!(".{build}")))?;
        let is_of_build = |name: &str| format.read(name).and_then(|tag| tag.version.build()) == Some(build);
        if !listing.is_whole && !listing.tags.iter().any(|entry| is_of_build(&entry.name)) {
            return self.tags(detail);
        }
        Ok(listing)
    }

    /// Whether a look at the list, which has the digests too, costs less than one at the list and one at tags.
    pub fn lists_digests(&self) -> bool {
        self.backend().is_ok_and(|backend| backend.lists_digests())
    }

    /// Reads a blob that fits in memory.
    ///
    /// # Errors
    /// `blob-missing`, `digest-mismatch`, `size-exceeded`.
    pub fn blob(&self, descriptor: &Descriptor, what: &str, limit: u64) -> Result<Vec<u8>, Error> {
        self.backend()?.blob(descriptor, what, limit)
    }

    /// Whether there is a blob of this digest.
    ///
    /// # Errors
    /// Those of the question.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        self.backend()?.has_blob(digest)
    }

    /// Asks for a blob of another repository of the same registry.
    ///
    /// # Errors
    /// Those of the question, but for refusals.
    pub fn mount(&self, source: &Repository, digest: &Digest) -> Result<Mount, Error> {
        blobs::mount_blob(&self.access, source, digest)
    }

    /// Tells the registry to forget an upload that nobody goes on with.
    pub fn give_up(&self, upload: Upload) {
        blobs::give_up(&self.access, upload);
    }

    /// Puts a blob that is in memory, unless it is there already.
    ///
    /// # Errors
    /// `denied`, `registry-unavailable`, and those of the question.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        blobs::put_blob(&*self.backend()?, bytes)
    }

    /// What points at a digest, by the referrers API; `Some(None)` where the registry has none, `None` where that cannot be
    /// told, or not without a right of its own; with `patience` no page is waited for any longer.
    pub fn direct_referrers(&self, digest: &Digest, patience: Option<Duration>) -> Option<Option<Vec<Descriptor>>> {
        let list = self.free_referrers(digest, patience).ok()?;
        match list {
            ReferrerList::Listed(list) => Some(Some(list)),
            ReferrerList::Partial(list, error) => {
                let (image, why) = (digest.short(), error.message());
                self.warn("referrers-unknown", format!("what points at `{image}` may not be all there is: {why}"));
                Some(Some(list))
            }
            ReferrerList::NoApi => Some(None),
            ReferrerList::Unknown(_) => None,
        }
    }

    /// Everything that points at a manifest, where that can be told without a right of its own.
    ///
    /// # Errors
    /// Those of the question.
    pub fn referrers(&self, digest: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        match self.free_referrers(digest, None)? {
            ReferrerList::Listed(list) => Ok(Some(list)),
            ReferrerList::Partial(_, error) => Err(error),
            ReferrerList::NoApi => self.tagged_referrers(digest).map(Some),
            ReferrerList::Unknown(_) => Ok(None),
        }
    }

    fn free_referrers(&self, digest: &Digest, patience: Option<Duration>) -> Result<ReferrerList, Error> {
        if self.backend()?.tells_referrers() {
            return self.backend()?.api_referrers(digest, patience);
        }
        let message = format!("to ask `{}` what points at an image takes a right of its own", self.registry());
        Ok(ReferrerList::Unknown(Error::new(Code::Denied, message)))
    }

    /// What the referrers API says of a manifest, whatever right it takes to ask.
    ///
    /// # Errors
    /// Those of the question.
    pub fn api_referrers(&self, digest: &Digest) -> Result<ReferrerList, Error> {
        self.backend()?.api_referrers(digest, None)
    }

    /// What the list under the fall-back tag says, empty where there is none.
    ///
    /// # Errors
    /// Those of reading the tag.
    pub fn tagged_referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        referrers::tagged(&*self.backend()?, digest)
    }

    /// Puts manifests that point at another one, and sees to it that they are listed.
    ///
    /// # Errors
    /// Those of [`Remote::put_manifest`]; `raced`.
    pub fn put_referrers(&self, manifests: &[RawManifest], subject: &Digest) -> Result<(), Error> {
        referrers::put(&*self.backend()?, manifests, subject)
    }

    /// What the registry says about its limit, by a look at `latest`, which costs nothing; `None` where it says nothing.
    ///
    /// # Errors
    /// Those of the question.
    pub fn budget(&self) -> Result<Option<Budget>, Error> {
        distribution::look_at_budget(&self.access)
    }

    /// Whose credential the registry asked for and took, and where it came from; asks nothing.
    ///
    /// # Errors
    /// Those of the environment's credential.
    pub fn accepted(&self) -> Result<Option<(Option<String>, String)>, Error> {
        grant::accepted(self.access.client, self.repository())
    }

    /// Who AWS says the caller is; `None` where it is not AWS's credential that answers.
    ///
    /// # Errors
    /// Those of the search for the credential, and of the call.
    pub fn arn(&self) -> Result<Option<String>, Error> {
        grant::arn(self.access.client, self.registry())
    }

    /// Whether both speak to one registry as one caller, for whom there is one client then.
    pub fn is_of_one_caller(&self, other: &Self) -> bool {
        std::ptr::eq(self.access.client, other.access.client)
    }
}
