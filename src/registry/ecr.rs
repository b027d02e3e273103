//! Amazon ECR's own API, one function each: what was asked, and the answer as the nouns of registries.
//!
//! It reads an image in fewer round trips than the registry API, and needs no password for it. What is
//! asked and answered is in `pure::aws::ecr`; whose credential signs is found in [`crate::aws::chain`].
//!
//! Source: Amazon ECR API Reference, version 2015-09-21.

use crate::aws::identity::Standing;
use crate::aws::call::{Caller, Signer};
use crate::aws::chain::{Chain, SourcedCredential};
use crate::http::exchange::Exchange;
use crate::http::Body;
use crate::registry::distribution::CONFIG_LIMIT;
use crate::pure::image::raw_manifest::RawManifest;
use crate::error::{Code, Error};
use crate::pure::aws::ecr::{self, EcrLogin, EcrPage, EcrTag, Operation};
use crate::pure::aws::fault::{self, AwsFault};
use crate::pure::aws::host::EcrHost;
use crate::pure::http::message::{Method, Request, Response};
use crate::pure::http::refusal::{self, Subject};
use crate::pure::http::url::{Place, Scheme, Url, place};
use crate::pure::image::descriptor::Descriptor;
use crate::pure::image::digest::Digest;
use crate::pure::image::reference::Identifier;
use crate::pure::image::repository::Repository;
use crate::pure::image::tag::Tag;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;

/// A manifest of 4 MiB, written as a JSON string.
const IMAGE_LIMIT: u64 = 16 << 20;
/// How many images are asked for in one call.
const AT_ONCE: usize = 16;
/// As many manifests, few of which are as large as they may be.
const MANY_LIMIT: u64 = 64 << 20;
/// A page of a thousand tags with their digests.
const PAGE_LIMIT: u64 = 16 << 20;
/// Everything else is small.
const SMALL_LIMIT: u64 = 1 << 20;
/// What to do where the bucket refuses an address that was made for it.
pub(crate) const REFUSED_ADDRESS: &str =
    "set the clock of this machine; the download address is refused although it is new";
/// The service's name in messages.
const SERVICE: &str = "Amazon ECR";

/// The API of one registry, as one caller sees it.
pub struct Ecr<'a> {
    /// The way to S3, for blobs.
    pub exchange: &'a Exchange<'a>,
    /// The way to the API.
    pub caller: Caller<'a>,
    /// Where the API answers.
    pub api: Url,
    /// Which registry it is, and whose credential signs.
    pub standing: Arc<Standing>,
}

/// Where the API of a registry answers: as environment or profile say, else by its host name.
///
/// # Errors
/// `config-malformed`.
pub fn api(chain: &Chain, host: &EcrHost) -> Result<Url, Error> {
    match chain.endpoint(host.service())? {
        Some(url) => Ok(url),
        None => Url::parse(&format!("https://{}/", host.api_host(chain.variant()?))),
    }
}

impl Ecr<'_> {
    /// Reads a manifest or index.
    ///
    /// # Errors
    /// `tag-unknown`, `repository-unknown`, `digest-mismatch`, `reply-malformed`, and those of the call.
    pub fn get_manifest(&self, repository: &Repository, identifier: &Identifier) -> Result<RawManifest, Error> {
        let name = named(repository, identifier);
        let wanted = format!("read `{name}`");
        let found = self.batch_get_image(repository, identifier, &wanted)?;
        found.map_err(|refusal| self.unknown(repository, identifier, &wanted, &refusal))
    }

    /// What a tag points at now; `None` where the service says that there is no such tag.
    ///
    /// # Errors
    /// As [`Ecr::get_manifest`], but for what is not there.
    pub fn head_manifest(&self, repository: &Repository, tag: &Tag) -> Result<Option<Digest>, Error> {
        let identifier = Identifier::Tag(tag.clone());
        let wanted = format!("look at `{}`", named(repository, &identifier));
        match self.batch_get_image(repository, &identifier, &wanted)? {
            Ok(fetched) => Ok(Some(fetched.digest)),
            Err(refusal) if refusal.code() == Code::TagUnknown => Ok(None),
            Err(refusal) => Err(self.unknown(repository, &identifier, &wanted, &refusal)),
        }
    }

    /// What several tags point at now, asked in one call.
    ///
    /// # Errors
    /// As [`Ecr::head_manifest`].
    pub fn head_manifests(&self, repository: &Repository, tags: &[Tag]) -> Result<Vec<Option<Digest>>, Error> {
        if let [tag] = tags {
            return Ok(vec![self.head_manifest(repository, tag)?]);
        }
        let mut held = Vec::with_capacity(tags.len());
        for tags in tags.chunks(AT_ONCE) {
            let names: Vec<String> = tags.iter().map(|tag| format!("`{tag}`")).collect();
            let wanted = format!("look at {} of `{repository}`", names.join(", "));
            let ids: Vec<Identifier> = tags.iter().cloned().map(Identifier::Tag).collect();
            let body = self.place(repository).batch_get_image(&ids);
            let response = self.answer(repository, Operation::BatchGetImage, &body, &wanted, MANY_LIMIT)?;
            let (images, failures) =
                ecr::images(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))?;
            for tag in tags {
                let image = images.iter().find(|image| image.tag.as_deref() == Some(tag.as_str()));
                let failure = failures.iter().find(|(of, _)| of.as_deref() == Some(tag.as_str()));
                held.push(match (image, failure) {
                    (Some(image), _) => {
                        let digest =
                            Digest::parse(&image.digest).map_err(|error| error.with_code(Code::ReplyMalformed))?;
                        if !digest.matches(image.manifest.as_bytes()) {
                            return Err(mismatch(&format!("`{repository}:{tag}`"), &digest, image.manifest.as_bytes()));
                        }
                        Some(digest)
                    }
                    (None, Some((_, refusal))) if refusal.code() == Code::TagUnknown => None,
                    // One answer for two tags of one image leaves a tag out.
                    _ => self.head_manifest(repository, tag)?,
                });
            }
        }
        Ok(held)
    }

    fn batch_get_image(
        &self,
        repository: &Repository,
        identifier: &Identifier,
        wanted: &str,
    ) -> Result<Result<RawManifest, AwsFault>, Error> {
        let body = self.place(repository).batch_get_image(std::slice::from_ref(identifier));
        let response = match self.call(Operation::BatchGetImage, &body, wanted, IMAGE_LIMIT)? {
            Ok(response) => response,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let during = |error: Error| error.during(format!("cannot {wanted}"));
        let (images, failures) = ecr::images(&response.body).map_err(during)?;
        let Some(image) = images.into_iter().next() else {
            let silent = AwsFault::listed("ImageNotFound", "");
            return Ok(Err(failures.into_iter().next().map_or(silent, |(_, refusal)| refusal)));
        };
        let name = named(repository, identifier);
        let said =
            Digest::parse(&image.digest).map_err(|error| error.with_code(Code::ReplyMalformed)).map_err(during)?;
        let expected = match identifier {
            Identifier::Digest(digest) => digest,
            Identifier::Tag(_) => &said,
        };
        let body = image.manifest.into_bytes();
        if !expected.matches(&body) {
            return Err(mismatch(&format!("`{name}`"), expected, &body));
        }
        let manifest = RawManifest::parse(expected.clone(), body, image.media_type.as_deref());
        manifest.map(Ok).map_err(|error| error.about(&name))
    }

    /// Reads a blob that fits in memory and checks size and digest.
    ///
    /// # Errors
    /// `blob-missing`, `digest-mismatch`, `size-exceeded`, and those of call and download.
    pub fn get_blob(&self, repository: &Repository, descriptor: &Descriptor, what: &str) -> Result<Vec<u8>, Error> {
        let digest = &descriptor.digest;
        let wanted = format!("read the {what} `{}` of `{repository}`", digest.short());
        if descriptor.size > CONFIG_LIMIT {
            let why = format!("the manifest says it has {} bytes, the limit is {CONFIG_LIMIT}", descriptor.size);
            return Err(Error::new(Code::SizeExceeded, format!("cannot {wanted}: {why}")));
        }
        let mut response = self.download(repository, digest, &wanted)?;
        if response.1.status == 403 {
            // An address counts for some minutes; one that has run out on the way is asked for once more.
            response = self.download(repository, digest, &wanted)?;
        }
        let (request, response) = response;
        if !response.is_success() {
            let error = refusal::error(Subject::Blob, &wanted, &request, &response);
            return Err(if response.status == 403 { error.hint(REFUSED_ADDRESS) } else { error });
        }
        if !digest.matches(&response.body) {
            return Err(mismatch(&format!("the {what} of `{repository}`"), digest, &response.body));
        }
        if response.body.len() as u64 != descriptor.size {
            let (got, said) = (response.body.len(), descriptor.size);
            let message = format!("the {what} `{digest}` of `{repository}` has {got} bytes, its manifest says {said}");
            return Err(Error::new(Code::DigestMismatch, message));
        }
        Ok(response.body)
    }

    /// Opens a blob to be read in pieces, from its beginning or at a range.
    ///
    /// # Errors
    /// Those of call and download.
    pub fn open_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        wanted: &str,
        range: Option<&str>,
    ) -> Result<(Request, Response, Option<Body>), Error> {
        let mut first = true;
        loop {
            let mut request = self.download_request(repository, digest, wanted)?;
            if let Some(range) = range {
                request = request.header("Range", range);
            }
            let (response, body) = self.exchange.open(wanted, &request).map_err(unreached)?;
            if response.status != 403 || !first {
                return Ok((request, response, body));
            }
            first = false;
        }
    }

    fn download(&self, repository: &Repository, digest: &Digest, wanted: &str) -> Result<(Request, Response), Error> {
        let request = self.download_request(repository, digest, wanted)?;
        let response = self.exchange.send(wanted, &request, CONFIG_LIMIT).map_err(unreached)?;
        Ok((request, response))
    }

    fn download_request(&self, repository: &Repository, digest: &Digest, wanted: &str) -> Result<Request, Error> {
        let body = self.place(repository).get_download_url_for_layer(digest);
        let response = self.answer(repository, Operation::GetDownloadUrlForLayer, &body, wanted, SMALL_LIMIT)?;
        let url = ecr::download_url(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))?;
        self.checked(&url, wanted)?;
        // The address is signed itself, and S3 refuses a second credential beside that.
        Ok(Request::new(Method::Get, url))
    }

    /// A download address follows the rules of redirects: not into the clear, not into another network.
    fn checked(&self, url: &Url, wanted: &str) -> Result<(), Error> {
        let open = |place: Place| place == Place::Public;
        let worse = url.scheme() == Scheme::Http && self.api.scheme() == Scheme::Https;
        let inward =
            place(url.host()) == Place::LinkLocal || (open(place(self.api.host())) && !open(place(url.host())));
        if worse || inward {
            let (from, to) = (self.api.authority(), url.origin());
            return Err(Error::new(
                Code::RedirectRefused,
                format!("cannot {wanted}: `{from}` sends to `{to}` for it, which is not followed"),
            ));
        }
        Ok(())
    }

    /// Puts a manifest under a tag or its digest, exactly the bytes that were read; the same digest again is success.
    ///
    /// # Errors
    /// `tag-immutable`, `denied`, `digest-mismatch` when something else was stored, and those of the call.
    pub fn put_manifest(
        &self,
        repository: &Repository,
        identifier: &Identifier,
        manifest: &RawManifest,
    ) -> Result<(), Error> {
        let tag = match identifier {
            Identifier::Tag(tag) => Some(tag),
            Identifier::Digest(_) => None,
        };
        let wanted = format!("push to `{}`", named(repository, identifier));
        let text = std::str::from_utf8(&manifest.body).map_err(|error| {
            Error::new(Code::ReplyMalformed, format!("cannot {wanted}: the manifest is not text"))
                .cause(error.to_string())
        })?;
        let body = self.place(repository).put_image(text, &manifest.media_type, tag, &manifest.digest);
        let response = match self.call(Operation::PutImage, &body, &wanted, IMAGE_LIMIT)? {
            Ok(response) => response,
            // The tag has this very digest already, so nothing had to change; that is seen rather than believed,
            // because "already exists" is also what a tag that cannot change may be refused with.
            Err(refusal) if refusal.name == "ImageAlreadyExistsException" => {
                let there = match tag {
                    Some(tag) => self.head_manifest(repository, tag)?.as_ref() == Some(&manifest.digest),
                    None => true,
                };
                return if there { Ok(()) } else { Err(self.refused(Operation::PutImage, &wanted, &refusal)) };
            }
            Err(refusal) => return Err(self.unknown(repository, identifier, &wanted, &refusal)),
        };
        let stored = ecr::stored(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))?;
        if stored != manifest.digest.as_str() {
            let name = named(repository, identifier);
            let message = format!("`{name}` was pushed as `{}` and the registry stored `{stored}`", manifest.digest);
            return Err(Error::new(Code::DigestMismatch, message));
        }
        Ok(())
    }

    /// Every tag with its digest; with `times`, when each was pushed as well.
    ///
    /// # Errors
    /// `repository-unknown`, `reply-malformed`, and those of the call.
    pub fn list_tags(&self, repository: &Repository, times: bool) -> Result<Vec<EcrTag>, Error> {
        let wanted = format!("list the tags of `{repository}`");
        let operation = if times { Operation::DescribeImages } else { Operation::ListImages };
        let (mut tags, mut seen, mut next) = (Vec::new(), HashSet::new(), None::<String>);
        loop {
            let body = self.place(repository).page(next.as_deref());
            let response = self.answer(repository, operation, &body, &wanted, PAGE_LIMIT)?;
            let EcrPage { tags: page, next: token } =
                ecr::page(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))?;
            tags.extend(page);
            match token {
                None => return Ok(tags),
                Some(token) if !seen.insert(token.clone()) => {
                    let message = format!("cannot {wanted}: a page is named as its own successor");
                    return Err(Error::new(Code::ReplyMalformed, message));
                }
                Some(token) => next = Some(token),
            }
        }
    }

    /// The first of these tags that cannot change, by the settings of the repository.
    ///
    /// # Errors
    /// Those of the call, which takes a right that nothing else does.
    pub fn kept<'t>(&self, repository: &Repository, tags: &[&'t Tag]) -> Result<Option<&'t Tag>, Error> {
        let wanted = format!("look at the settings of `{repository}`");
        let body = self.place(repository).describe_repository();
        let response = self.answer(repository, Operation::DescribeRepositories, &body, &wanted, SMALL_LIMIT)?;
        ecr::kept(&response.body, tags).map_err(|error| error.during(format!("cannot {wanted}")))
    }

    /// A password for the registry API.
    ///
    /// # Errors
    /// Those of the call.
    pub fn get_authorization_token(&self, registry: &str) -> Result<EcrLogin, Error> {
        let wanted = format!("get a password for `{registry}`");
        let response = match self.call(Operation::GetAuthorizationToken, &json!({}), &wanted, SMALL_LIMIT)? {
            Ok(response) => response,
            Err(refusal) => return Err(self.refused(Operation::GetAuthorizationToken, &wanted, &refusal)),
        };
        ecr::login(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))
    }

    fn place<'p>(&'p self, repository: &'p Repository) -> ecr::EcrRepository<'p> {
        ecr::EcrRepository { account: self.standing.host.account().unwrap_or_default(), path: repository.path() }
    }

    fn call(
        &self,
        operation: Operation,
        body: &Value,
        wanted: &str,
        limit: u64,
    ) -> Result<Result<Response, AwsFault>, Error> {
        let request = ecr::call(&self.api, &self.standing.host, operation, body);
        let host = &self.standing.host;
        let credential = &self.found()?.credential;
        let signer = Signer { credential, region: host.region(), service: host.service() };
        let answer = self.caller.call(wanted, &request, Some(signer), limit)?;
        if let Some(ahead) = self.caller.clock.ahead() {
            self.exchange.warn("clock-wrong", fault::skew_text(ahead));
        }
        Ok(answer)
    }

    fn answer(
        &self,
        repository: &Repository,
        operation: Operation,
        body: &Value,
        wanted: &str,
        limit: u64,
    ) -> Result<Response, Error> {
        self.call(operation, body, wanted, limit)?.map_err(|refusal| {
            let error = self.refused(operation, wanted, &refusal);
            if error.code() == Code::RepositoryUnknown {
                no_repository(error, &self.standing.host, repository)
            } else {
                error
            }
        })
    }

    fn unknown(&self, repository: &Repository, identifier: &Identifier, wanted: &str, refusal: &AwsFault) -> Error {
        let operation = if wanted.starts_with("push") { Operation::PutImage } else { Operation::BatchGetImage };
        let error = self.refused(operation, wanted, refusal);
        match error.code() {
            Code::RepositoryUnknown => no_repository(error, &self.standing.host, repository),
            Code::TagUnknown => {
                let text = match identifier {
                    Identifier::Tag(tag) => format!("tag `{tag}`"),
                    Identifier::Digest(digest) => format!("manifest `{digest}`"),
                };
                error
                    .restate(format!("`{repository}` has no {text}"))
                    .hint(format!("`tagwright tags {repository}` lists the tags there are"))
            }
            _ => error,
        }
    }

    fn refused(&self, operation: Operation, wanted: &str, refusal: &AwsFault) -> Error {
        let request = ecr::call(&self.api, &self.standing.host, operation, &Value::Null);
        let error = refusal.error(&format!("cannot {wanted}"), SERVICE, &request);
        let source = self.standing.search.found.as_ref().map_or("nobody", |found| found.source.as_str());
        let error = error.cause(format!("`{}` was signed with the credential from: {source}", operation.as_str()));
        self.caller.explained(error)
    }

    fn found(&self) -> Result<&SourcedCredential, Error> {
        let found = self.standing.search.found.as_ref();
        found.ok_or_else(|| Error::new(Code::Internal, "a call to ECR without a credential"))
    }
}

fn unreached(error: Error) -> Error {
    match error.code() {
        Code::Unreachable | Code::Timeout => error.hint_if_none(
            "let this machine reach S3 as well: blobs of ECR are downloaded from a bucket of the registry's region",
        ),
        _ => error,
    }
}

/// That a repository is not there, and how there comes to be one: not by a push alone.
pub fn no_repository(error: Error, host: &EcrHost, repository: &Repository) -> Error {
    let error = error.restate(format!("there is no repository `{repository}`"));
    let Some(account) = host.account() else { return error };
    let (region, path) = (host.region(), repository.path());
    error.hint(format!(
        "check name, account and region; to write there, make it first, with `aws ecr create-repository \
         --registry-id {account} --region {region} --repository-name {path}` or with a creation template for pushes"
    ))
}

fn named(repository: &Repository, identifier: &Identifier) -> String {
    match identifier {
        Identifier::Tag(tag) => format!("{repository}:{tag}"),
        Identifier::Digest(digest) => format!("{repository}@{digest}"),
    }
}

fn mismatch(name: &str, digest: &Digest, body: &[u8]) -> Error {
    Error::new(Code::DigestMismatch, format!("the content of {name} is not what its digest says"))
        .cause(format!("expected `{digest}`, received {} bytes with `{}`", body.len(), Digest::of(body)))
        .hint("run it again; if it stays, the registry or a proxy in between serves damaged content")
}
