//! Amazon ECR: its own API where AWS has a credential, the distribution API for what that lacks, which is uploads,
//! mounts and referrers.
//!
//! Its own API reads an image in fewer round trips than the registry API, and needs no password for it. The calls are
//! in [`crate::registry::ecr_api`]; what is asked and answered is in `pure::aws::ecr`.

use crate::error::{Code, Error};
use crate::http::Body;
use crate::pure::aws::ecr::{EcrImage, Operation};
use crate::pure::aws::{AwsFault, EcrHost, EcrTag, ecr};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::url::Scheme;
use crate::pure::http::{Place, Response, Subject, Url, place, refusal};
use crate::pure::image::listing::Via;
use crate::pure::image::{
    Descriptor, Detail, Digest, Heads, Identifier, Listing, RawManifest, ReferrerList, Tag, TagEntry,
};
use crate::pure::text::instant;
use crate::registry::backend::Backend;
use crate::registry::distribution::{OpenBlob, lacking, list_them, mismatch, named};
use crate::registry::login::Access;
use crate::registry::{Acceptance, EcrApi, distribution, limits, pages};
use serde_json::Value;
use std::time::Duration;

/// How many images are asked for in one call.
const AT_ONCE: usize = 16;

/// A registry of Amazon's that is asked by the distribution API.
pub(super) struct EcrRegistry<'a> {
    /// The repository with its caller.
    pub access: &'a Access<'a, 'a>,
    /// Which registry it is.
    pub host: &'a EcrHost,
}

impl Backend for EcrRegistry<'_> {
    fn access(&self) -> &Access<'_, '_> {
        self.access
    }

    fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        // Either of two requests answers, each takes a right, and this one is the lesser. That a password is refused, by
        // a call, has words of its own.
        let of_blob = |error: &Error| error.refusal().is_some_and(|refusal| refusal.method != "POST");
        distribution::has_blob(self.access, digest).map_err(|error| match error.code() {
            Code::Denied if of_blob(&error) => {
                error.hint("allow `ecr:BatchCheckLayerAvailability` for the caller that the service names")
            }
            _ => error,
        })
    }

    /// There comes to be a repository not by a push alone.
    fn without_repository(&self, error: Error) -> Error {
        let repository = &self.access.repository;
        let error = error.restate(format!("there is no repository `{repository}`"));
        let Some(account) = self.host.account() else { return error };
        let (region, path) = (self.host.region(), repository.path());
        error.hint(format!(
            "check name, account and region; to write there, make it first, with `aws ecr create-repository \
             --registry-id {account} --region {region} --repository-name {path}` or with a creation template for pushes"
        ))
    }
}

/// A registry of Amazon's with a credential of AWS that signs calls to its own API.
pub(super) struct Ecr<'a>(pub EcrRegistry<'a>);

impl Backend for Ecr<'_> {
    fn access(&self) -> &Access<'_, '_> {
        self.0.access
    }

    fn manifest(&self, identifier: &Identifier) -> Result<RawManifest, Error> {
        let wanted = format!("read `{}`", named(self.access(), identifier));
        let found = self.batch_get_image(identifier, &wanted)?;
        found.map_err(|refusal| self.unknown(Operation::BatchGetImage, identifier, &wanted, &refusal))
    }

    fn head(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        let identifier = Identifier::Tag(tag.clone());
        let wanted = format!("look at `{}`", named(self.access(), &identifier));
        match self.batch_get_image(&identifier, &wanted)? {
            Ok(manifest) => Ok(Some(manifest.digest)),
            Err(refusal) if refusal.code() == Code::TagUnknown => Ok(None),
            Err(refusal) => Err(self.unknown(Operation::BatchGetImage, &identifier, &wanted, &refusal)),
        }
    }

    fn heads(&self, tags: &[Tag]) -> Result<Heads, Error> {
        if let [tag] = tags {
            return Ok(vec![self.head(tag)?]);
        }
        let repository = &self.access().repository;
        let mut heads = Vec::with_capacity(tags.len());
        for tags in tags.chunks(AT_ONCE) {
            let names: Vec<String> = tags.iter().map(|tag| format!("`{tag}`")).collect();
            let wanted = format!("look at {} of `{repository}`", names.join(", "));
            let ids: Vec<Identifier> = tags.iter().cloned().map(Identifier::Tag).collect();
            let body = self.repository().batch_get_image(&ids);
            let response = self.answer(Operation::BatchGetImage, &body, &wanted, limits::ECR_IMAGES)?;
            let (images, failures) =
                ecr::images(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))?;
            for tag in tags {
                let image = images.iter().find(|image| image.tag.as_deref() == Some(tag.as_str()));
                let failure = failures.iter().find(|(of, _)| of.as_deref() == Some(tag.as_str()));
                heads.push(match (image, failure) {
                    (Some(image), _) => {
                        Some(proven(image, &Identifier::Tag(tag.clone()), &format!("{repository}:{tag}"))?)
                    }
                    (None, Some((_, refusal))) if refusal.code() == Code::TagUnknown => None,
                    // One answer for two tags of one image leaves a tag out.
                    _ => self.head(tag)?,
                });
            }
        }
        Ok(heads)
    }

    fn has_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        match self.manifest(&Identifier::Digest(digest.clone())) {
            Err(error) if matches!(error.code(), Code::TagUnknown | Code::RepositoryUnknown) => Ok(false),
            outcome => outcome.map(|_| true),
        }
    }

    /// The same digest again is success.
    fn put_manifest(&self, identifier: &Identifier, manifest: &RawManifest) -> Result<Acceptance, Error> {
        // ECR lists referrers by itself.
        let accepted = Acceptance { lists_subject: true };
        let tag = match identifier {
            Identifier::Tag(tag) => Some(tag),
            Identifier::Digest(_) => None,
        };
        let (name, operation, api) = (named(self.access(), identifier), Operation::PutImage, self.api()?);
        let wanted = format!("push to `{name}`");
        let text = std::str::from_utf8(&manifest.body).map_err(|error| {
            Error::new(Code::ReplyMalformed, format!("cannot {wanted}: the manifest is not text"))
                .cause(error.to_string())
        })?;
        let body = self.repository().put_image(text, &manifest.media_type, tag, &manifest.digest);
        let response = match api.call(operation, &body, &wanted, limits::ECR_IMAGE)? {
            Ok(response) => response,
            // The tag has this very digest already, so nothing had to change; that is seen rather than believed,
            // because "already exists" is also what a tag that cannot change may be refused with.
            Err(refusal) if refusal.name == "ImageAlreadyExistsException" => {
                let there = match tag {
                    Some(tag) => self.head(tag)?.as_ref() == Some(&manifest.digest),
                    None => true,
                };
                return if there { Ok(accepted) } else { Err(api.refused(operation, &wanted, &refusal)) };
            }
            Err(refusal) => return Err(self.unknown(operation, identifier, &wanted, &refusal)),
        };
        let stored = ecr::stored(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))?;
        if stored != manifest.digest.as_str() {
            let message = format!("`{name}` was pushed as `{}` and the registry stored `{stored}`", manifest.digest);
            return Err(Error::new(Code::DigestMismatch, message));
        }
        Ok(accepted)
    }

    /// Asked of the settings of the repository, which takes a right that nothing else does.
    fn immutable(&self, tags: &[&Tag]) -> Result<Option<Tag>, Error> {
        if tags.is_empty() {
            return Ok(None);
        }
        let wanted = format!("look at the settings of `{}`", self.access().repository);
        let body = self.repository().describe_repository();
        let response = self.answer(Operation::DescribeRepositories, &body, &wanted, limits::SMALL)?;
        let kept = ecr::kept(&response.body, tags).map_err(|error| error.during(format!("cannot {wanted}")))?;
        Ok(kept.cloned())
    }

    /// The kind of list that fits, or the other kind where only that is allowed.
    fn tags(&self, detail: Detail, _part: Option<&str>) -> Result<Listing, Error> {
        let times = detail == Detail::Times;
        let tags = match self.list(times) {
            Err(error) if error.code() == Code::Denied => self.list(!times).map_err(|_| error)?,
            outcome => outcome?,
        };
        let entry = |tag: EcrTag| TagEntry {
            name: tag.tag,
            digest: Digest::parse(&tag.digest).ok(),
            updated: tag.pushed_at.map(instant::rfc3339),
            pusher: None,
        };
        let tags: Vec<TagEntry> = tags.into_iter().map(entry).collect();
        Ok(Listing { scanned: tags.len(), tags, via: Via::EcrApi, is_whole: true })
    }

    fn fresh_tags(&self) -> Result<Listing, Error> {
        self.tags(Detail::Times, None)
    }

    fn lists_digests(&self) -> bool {
        true
    }

    /// The registry API takes rights that its own API does without.
    fn api_referrers(&self, digest: &Digest, patience: Option<Duration>) -> Result<ReferrerList, Error> {
        match distribution::list_referrers(self.access(), digest, patience) {
            Err(error) if matches!(error.code(), Code::Denied | Code::CredentialMissing) => {
                Ok(ReferrerList::Unknown(error))
            }
            outcome => outcome,
        }
    }

    fn tells_referrers(&self) -> bool {
        false
    }

    fn blob(&self, descriptor: &Descriptor, what: &str, limit: u64) -> Result<Vec<u8>, Error> {
        if let Some(bytes) = descriptor.inline() {
            return Ok(bytes);
        }
        let wanted = format!("read the {what} `{}` of `{}`", descriptor.digest.short(), self.access().repository);
        distribution::fits(descriptor, &wanted, limit)?;
        let exchange = &self.access().client.exchange;
        let send = |request: &Request| Ok((exchange.send(&wanted, request, limit)?, None));
        let (request, response, _) = self.download(&descriptor.digest, &wanted, None, send)?;
        if !response.is_success() {
            return Err(refusal::error(Subject::Blob, &wanted, &request, &response));
        }
        distribution::proven(self.access(), descriptor, what, response.body)
    }

    fn open_blob(&self, digest: &Digest, wanted: &str, range: Option<&str>) -> Result<OpenBlob, Error> {
        let exchange = &self.access().client.exchange;
        self.download(digest, wanted, range, |request| exchange.open(wanted, request))
    }

    fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        self.0.has_blob(digest)
    }

    fn some_tags(&self) -> Result<Vec<String>, Error> {
        let wanted = format!("list the tags of `{}`", self.access().repository);
        let response = self.answer(Operation::ListImages, &self.repository().page(None), &wanted, limits::ECR_PAGE)?;
        Ok(ecr::page(&response.body)?.tags.into_iter().map(|tag| tag.tag).collect())
    }

    fn without_repository(&self, error: Error) -> Error {
        self.0.without_repository(error)
    }
}

impl Ecr<'_> {
    /// The API, with a credential that has not run out.
    fn api(&self) -> Result<EcrApi<'_>, Error> {
        let api = self.access().client.ecr_api(self.access().registry())?;
        api.ok_or_else(|| Error::new(Code::Internal, "a call to ECR without a credential"))
    }

    fn repository(&self) -> ecr::EcrRepository<'_> {
        let account = self.0.host.account().unwrap_or_default();
        ecr::EcrRepository { account, path: self.access().repository.path() }
    }

    fn answer(&self, operation: Operation, body: &Value, wanted: &str, limit: u64) -> Result<Response, Error> {
        let api = self.api()?;
        api.call(operation, body, wanted, limit)?.map_err(|refusal| self.refused(&api, operation, wanted, &refusal))
    }

    fn refused(&self, api: &EcrApi, operation: Operation, wanted: &str, refusal: &AwsFault) -> Error {
        let error = api.refused(operation, wanted, refusal);
        if error.code() == Code::RepositoryUnknown { self.without_repository(error) } else { error }
    }

    fn unknown(&self, operation: Operation, identifier: &Identifier, wanted: &str, refusal: &AwsFault) -> Error {
        let error = match self.api() {
            Ok(api) => self.refused(&api, operation, wanted, refusal),
            Err(error) => error,
        };
        match error.code() {
            Code::TagUnknown => error.restate(lacking(self.access(), identifier)).hint(list_them(self.access())),
            _ => error,
        }
    }

    fn batch_get_image(&self, identifier: &Identifier, wanted: &str) -> Result<Result<RawManifest, AwsFault>, Error> {
        let body = self.repository().batch_get_image(std::slice::from_ref(identifier));
        let response = match self.api()?.call(Operation::BatchGetImage, &body, wanted, limits::ECR_IMAGE)? {
            Ok(response) => response,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let during = |error: Error| error.during(format!("cannot {wanted}"));
        let (images, failures) = ecr::images(&response.body).map_err(during)?;
        let Some(image) = images.into_iter().next() else {
            let silent = AwsFault::listed("ImageNotFound", "");
            return Ok(Err(failures.into_iter().next().map_or(silent, |(_, refusal)| refusal)));
        };
        let name = named(self.access(), identifier);
        let digest = proven(&image, identifier, &name)?;
        let manifest = RawManifest::parse(digest, image.manifest.into_bytes(), image.media_type.as_deref());
        manifest.map(Ok).map_err(|error| error.about(&name))
    }

    /// Every tag with its digest; with `times`, when each was pushed as well.
    fn list(&self, times: bool) -> Result<Vec<EcrTag>, Error> {
        let wanted = format!("list the tags of `{}`", self.access().repository);
        let operation = if times { Operation::DescribeImages } else { Operation::ListImages };
        let mut tags = Vec::new();
        pages::walk(&wanted, None::<String>, |token| {
            let body = self.repository().page(token.as_deref());
            let response = self.answer(operation, &body, &wanted, limits::ECR_PAGE)?;
            let page = ecr::page(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))?;
            tags.extend(page.tags);
            pages::fits(&wanted, tags.len())?;
            Ok(page.next.map(Some))
        })?;
        Ok(tags)
    }

    /// Downloads a blob from the address that the API makes for it. An address counts for some minutes; one that has
    /// run out on the way is asked for once more.
    fn download(
        &self,
        digest: &Digest,
        wanted: &str,
        range: Option<&str>,
        send: impl Fn(&Request) -> Result<(Response, Option<Body>), Error>,
    ) -> Result<OpenBlob, Error> {
        let mut tried = false;
        loop {
            let mut request = self.download_request(digest, wanted)?;
            if let Some(range) = range {
                request = request.header("Range", range);
            }
            let (response, body) = send(&request).map_err(unreached)?;
            if response.status != 403 {
                return Ok((request, response, body));
            }
            if tried {
                return Err(refusal::error(Subject::Blob, wanted, &request, &response)
                    .hint("set the clock of this machine; the download address is refused although it is new"));
            }
            tried = true;
        }
    }

    fn download_request(&self, digest: &Digest, wanted: &str) -> Result<Request, Error> {
        let body = self.repository().get_download_url_for_layer(digest);
        let response = self.answer(Operation::GetDownloadUrlForLayer, &body, wanted, limits::SMALL)?;
        let api = &self.api()?.access.api;
        let url = ecr::download_url(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))?;
        check_address(api, &url, wanted)?;
        // The address is signed itself, and S3 refuses a second credential beside that.
        Ok(Request::new(Method::Get, url))
    }
}

/// The digest of an image, once its manifest has it.
fn proven(image: &EcrImage, asked: &Identifier, name: &str) -> Result<Digest, Error> {
    let digest = match asked {
        Identifier::Digest(digest) => digest.clone(),
        Identifier::Tag(_) => {
            Digest::parse(&image.digest).map_err(|error| error.with_code(Code::ReplyMalformed).about(name))?
        }
    };
    if digest.matches(image.manifest.as_bytes()) {
        return Ok(digest);
    }
    Err(mismatch(&format!("`{name}`"), &digest, image.manifest.as_bytes()))
}

/// A download address follows the rules of redirects: not into the clear, not into another network.
fn check_address(api: &Url, url: &Url, wanted: &str) -> Result<(), Error> {
    let open = |place: Place| place == Place::Public;
    let worse = url.scheme() == Scheme::Http && api.scheme() == Scheme::Https;
    let inward = place(url.host()) == Place::LinkLocal || (open(place(api.host())) && !open(place(url.host())));
    if worse || inward {
        let (from, to) = (api.authority(), url.origin());
        return Err(Error::new(
            Code::RedirectRefused,
            format!("cannot {wanted}: `{from}` sends to `{to}` for it, which is not followed"),
        ));
    }
    Ok(())
}

fn unreached(error: Error) -> Error {
    match error.code() {
        Code::Unreachable | Code::Timeout => {
            error.cause("blobs of ECR are downloaded from a bucket of S3, which this machine has to reach as well")
        }
        _ => error,
    }
}
