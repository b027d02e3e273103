//! The requests of the distribution API that read, and the one that writes a manifest, one function each: what was
//! asked, and the answer as nouns.
//!
//! Everything read is checked against its digest before anybody sees it.
//!
//! Specification: OCI distribution, endpoints end-2, end-3, end-7, end-8 and end-12.

use crate::error::{Code, Error};
use crate::http::Body;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Budget, Repeat, Response, Subject, refusal};
use crate::pure::image::listing::Via;
use crate::pure::image::media_type::{ACCEPT, RETIRED};
use crate::pure::image::{
    Descriptor, Digest, Identifier, Listing, OCI_INDEX, RawManifest, ReferrerList, Tag, TagEntry, referrers,
};
use crate::pure::text::{json, percent, show};
use crate::registry::login::Access;
use crate::registry::{limits, pages};
use std::collections::HashSet;
use std::time::Duration;

/// How many tags are asked for at once; the most that ECR allows.
const TAGS_PAGE: usize = 1000;

/// What a registry takes on with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Whether it says that it lists the manifest among the referrers of its subject by itself.
    pub lists_subject: bool,
}

/// What was asked, the answer, and the body of a success, to be read in pieces.
pub(super) type OpenBlob = (Request, Response, Option<Body>);

/// Reads a manifest or index.
///
/// # Errors
/// `tag-unknown`, `repository-unknown`, `digest-mismatch`, `reply-malformed`, `schema1-unsupported`,
/// and those of [`Access::ask`].
pub(super) fn get_manifest(access: &Access, identifier: &Identifier) -> Result<RawManifest, Error> {
    let name = named(access, identifier);
    let wanted = format!("read `{name}`");
    let request = manifest_request(access, Method::Get, identifier);
    let response = access.ask(&wanted, &request, limits::MANIFEST)?;
    if response.status == 404 {
        return Err(unknown(access, identifier, &wanted, &request, &response));
    }
    if !response.is_success() {
        return Err(refusal::error(Subject::Manifest, &wanted, &request, &response));
    }
    let digest = checked(&name, identifier, &response)?;
    RawManifest::parse(digest, response.body, response.headers.get("content-type"))
        .map_err(|error| error.about(&name).hint_if_none(not_a_registry(&request)))
}

/// What a tag or digest points at now; `None` where the registry says that there is no such thing.
///
/// A refusal without a body, or an answer without digest, is asked again with `GET` before it is believed.
///
/// # Errors
/// As [`get_manifest`], but for what is not there.
pub(super) fn head_manifest(access: &Access, identifier: &Identifier) -> Result<Option<Digest>, Error> {
    let name = named(access, identifier);
    let wanted = format!("look at `{name}`");
    let request = manifest_request(access, Method::Head, identifier);
    match access.ask(&wanted, &request, limits::SMALL) {
        Ok(response) if response.is_success() => {
            if let Some(text) = response.headers.get("docker-content-digest")
                && let Ok(digest) = Digest::parse(text)
            {
                return Ok(Some(digest));
            }
        }
        Ok(response) if access.proves_absence(&request, &response) => return Ok(None),
        // "Not now" would be said again.
        Ok(response) if response.status == 429 || response.status >= 500 => {
            return Err(refusal::error(Subject::Manifest, &wanted, &request, &response));
        }
        Ok(_) => {}
        // A refusal to `HEAD` has no words; the same question with `GET` brings them, or an answer.
        Err(error) if matches!(error.code(), Code::Denied | Code::Unauthenticated | Code::RateLimited) => {}
        Err(error) => return Err(error),
    }
    let request = manifest_request(access, Method::Get, identifier);
    let response = access.ask(&wanted, &request, limits::MANIFEST)?;
    match response.status {
        404 if access.proves_absence(&request, &response) => Ok(None),
        _ if response.is_success() => checked(&name, identifier, &response).map(Some),
        _ => Err(refusal::error(Subject::Manifest, &wanted, &request, &response)),
    }
}

/// What the registry says about its limit beside its answer to a look at `latest`, whatever that answer is.
///
/// # Errors
/// Those of [`Access::ask`], and of an answer that is neither the image nor that it is not there.
pub(super) fn look_at_budget(access: &Access) -> Result<Option<Budget>, Error> {
    let wanted = format!("ask `{}` about its limit", access.registry());
    let tag = Identifier::Tag(Tag::parse("latest")?);
    // That nothing is left is an answer, and not waited for.
    let request = manifest_request(access, Method::Head, &tag).repeated(Repeat::Never);
    let outcome = access.ask(&wanted, &request, limits::SMALL);
    match (access.client.exchange.journal.budget(), outcome) {
        (Some(budget), _) => Ok(Some(budget)),
        (None, Ok(response)) if !response.is_success() && response.status != 404 => {
            Err(refusal::error(Subject::Service, &wanted, &request, &response))
        }
        (None, outcome) => outcome.map(|_| None),
    }
}

/// Puts a manifest under a tag or its digest, exactly the bytes that were read.
///
/// # Errors
/// `tag-immutable`, `denied`, `digest-mismatch` when the registry stored something else, and those of [`Access::ask`].
pub(super) fn put_manifest(
    access: &Access,
    identifier: &Identifier,
    manifest: &RawManifest,
) -> Result<Acceptance, Error> {
    let name = named(access, identifier);
    let wanted = format!("push to `{name}`");
    let request = manifest_request(access, Method::Put, identifier)
        .header("Content-Type", manifest.media_type.as_str())
        .body(manifest.body.clone());
    let response = access.ask(&wanted, &request, limits::SMALL)?;
    if !response.is_success() {
        return Err(refusal::error(Subject::Write, &wanted, &request, &response));
    }
    match response.headers.get("docker-content-digest").map(Digest::parse) {
        // Some registries answer by an algorithm of their own, whatever the manifest is called.
        Some(Ok(stored)) if !stored.matches(&manifest.body) => Err(Error::new(
            Code::DigestMismatch,
            format!("`{name}` was pushed as `{}` and the registry stored `{stored}`", manifest.digest),
        )
        .hint(format!("look at it with `tagwright inspect {name}`, and tell whoever runs the registry"))),
        _ => Ok(Acceptance { lists_subject: response.headers.get("oci-subject").is_some() }),
    }
}

/// Every tag of a repository, in the registry's order.
///
/// # Errors
/// `repository-unknown`, `reply-malformed`, and those of [`Access::ask`].
pub(super) fn list_tags(access: &Access) -> Result<Listing, Error> {
    let wanted = format!("list the tags of `{}`", access.repository);
    let bare = access.url("tags/list");
    let mut tags: Vec<TagEntry> = Vec::new();
    let (mut known, mut linked): (HashSet<String>, bool) = Default::default();
    pages::walk(&wanted, bare.clone().with_query(format!("n={TAGS_PAGE}")), |url| {
        let request = Request::new(Method::Get, url.clone());
        let response = access.ask(&wanted, &request, limits::TAGS)?;
        if response.status == 400 && url.query().is_some_and(|query| query.starts_with("n=")) && tags.is_empty() {
            return Ok(Some(bare.clone()));
        }
        if !response.is_success() {
            return Err(without_list(refusal::error(Subject::Tags, &wanted, &request, &response), access));
        }
        let page = tag_page(&response.body).map_err(|why| {
            Error::new(Code::ReplyMalformed, format!("cannot {wanted}: the reply is no tag list"))
                .cause(json::why(&why))
                .hint(not_a_registry(&request))
        })?;
        let next = pages::linked(&wanted, url, &response)?;
        linked |= next.is_some();
        // A registry that never links may still page; one that does has come to its last page.
        let full = page.len() == TAGS_PAGE && !linked;
        let after = page.last().filter(|_| full).map(|last| format!("n={TAGS_PAGE}&last={}", percent::encode(last)));
        let before = tags.len();
        // Most lists are one page, and nothing can be there twice that matters.
        let is_all = before == 0 && next.is_none() && after.is_none();
        let entries = page.into_iter().filter(|tag| is_all || known.insert(tag.clone())).map(TagEntry::named);
        tags.extend(entries.filter(TagEntry::may_be_tag));
        pages::fits(&wanted, tags.len())?;
        let is_new = tags.len() > before;
        Ok(next.or_else(|| after.filter(|_| is_new).map(|query| bare.clone().with_query(query))))
    })?;
    Ok(Listing { scanned: tags.len(), tags, via: Via::Registry, is_whole: true })
}

/// What points at a manifest by the referrers API; of a list that breaks off, what came before that.
///
/// # Errors
/// `reply-malformed`, `redirect-refused`, and those of [`Access::ask`].
pub(super) fn list_referrers(
    access: &Access,
    digest: &Digest,
    patience: Option<Duration>,
) -> Result<ReferrerList, Error> {
    let wanted = format!("list what points at `{}@{}`", access.repository, digest.short());
    let (mut found, mut known): (Vec<Descriptor>, HashSet<Digest>) = Default::default();
    let (first, mut has_api, mut bytes) = (access.url(&format!("referrers/{digest}")), true, 0);
    let walked = pages::walk(&wanted, first.clone(), |url| {
        let request = Request::new(Method::Get, url.clone()).header("Accept", OCI_INDEX);
        let request = Request { patience, ..request };
        let response = access.ask(&wanted, &request, limits::MANIFEST)?;
        if matches!(response.status, 408 | 429 | 500..) && response.status != 501 {
            return Err(refusal::error(Subject::Service, &wanted, &request, &response));
        }
        let Some(page) = response.is_success().then(|| referrers::parse(&response.body).ok()).flatten() else {
            has_api = false;
            return if *url == first {
                Ok(None)
            } else {
                Err(Error::new(Code::ReplyMalformed, format!("cannot {wanted}: a page is no list")))
            };
        };
        found.extend(page.into_iter().filter(|one| known.insert(one.digest.clone())));
        bytes += response.body.len() as u64;
        if bytes > limits::MANIFESTS {
            let message = format!("cannot {wanted}: the list has more than {}", show::bytes(limits::MANIFESTS));
            return Err(Error::new(Code::SizeExceeded, message));
        }
        pages::linked(&wanted, url, &response)
    });
    match walked {
        Ok(()) if has_api => Ok(ReferrerList::Listed(found)),
        Ok(()) => Ok(ReferrerList::NoApi),
        Err(error) if matches!(error.code(), Code::ReplyMalformed | Code::SizeExceeded) => {
            Ok(ReferrerList::Partial(found, error))
        }
        Err(error) => Err(error),
    }
}

/// Reads a blob that fits in memory and checks size and digest. Content that the descriptor brings
/// along is used as it is.
///
/// # Errors
/// `blob-missing`, `digest-mismatch`, `size-exceeded`, and those of [`Access::ask`].
pub(super) fn get_blob(access: &Access, descriptor: &Descriptor, what: &str, limit: u64) -> Result<Vec<u8>, Error> {
    if let Some(bytes) = descriptor.inline() {
        return Ok(bytes);
    }
    let digest = &descriptor.digest;
    let wanted = format!("read the {what} `{}` of `{}`", digest.short(), access.repository);
    fits(descriptor, &wanted, limit)?;
    let request = Request::new(Method::Get, access.url(&format!("blobs/{digest}")));
    let response = access.ask(&wanted, &request, limit)?;
    if !response.is_success() {
        return Err(refusal::error(Subject::Blob, &wanted, &request, &response));
    }
    proven(access, descriptor, what, response.body)
}

/// Refuses a blob that is larger than it can be.
pub(super) fn fits(descriptor: &Descriptor, wanted: &str, limit: u64) -> Result<(), Error> {
    if descriptor.size <= limit {
        return Ok(());
    }
    let why = format!("the manifest says it has {} bytes, the limit is {limit}", descriptor.size);
    Err(Error::new(Code::SizeExceeded, format!("cannot {wanted}: {why}"))
        .hint("check the image: no config blob that a build tool writes is that large"))
}

/// The bytes of a blob, once they are what the descriptor says.
pub(super) fn proven(access: &Access, descriptor: &Descriptor, what: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let (digest, repository) = (&descriptor.digest, &access.repository);
    if !digest.matches(&bytes) {
        return Err(mismatch(&format!("the {what} of `{repository}`"), digest, &bytes));
    }
    if bytes.len() as u64 != descriptor.size {
        let (got, size) = (bytes.len(), descriptor.size);
        let message = format!("the {what} `{digest}` of `{repository}` has {got} bytes, its manifest says {size}");
        return Err(Error::new(Code::DigestMismatch, message)
            .hint("build and push the image again: its manifest contradicts itself"));
    }
    Ok(bytes)
}

/// Opens a blob to be read in pieces, from its beginning or at a range.
///
/// # Errors
/// Those of [`Access::open`].
pub(super) fn open_blob(
    access: &Access,
    digest: &Digest,
    wanted: &str,
    range: Option<&str>,
) -> Result<OpenBlob, Error> {
    let mut request = Request::new(Method::Get, access.url(&format!("blobs/{digest}")));
    if let Some(range) = range {
        request = request.header("Range", range);
    }
    let (response, body) = access.open(wanted, &request)?;
    Ok((request, response, body))
}

/// Whether a repository has a blob.
///
/// # Errors
/// Those of [`Access::ask`], and the status where it says neither.
pub(super) fn has_blob(access: &Access, digest: &Digest) -> Result<bool, Error> {
    let wanted = format!("look for the blob `{}` in `{}`", digest.short(), access.repository);
    let request = Request::new(Method::Head, access.url(&format!("blobs/{digest}")));
    let refused = match access.ask(&wanted, &request, limits::SMALL) {
        Ok(response) if response.is_success() => return Ok(true),
        Ok(response) if access.proves_absence(&request, &response) => return Ok(false),
        Ok(response) => refusal::error(Subject::Blob, &wanted, &request, &response),
        Err(error) => error,
    };
    // "Not now" would be said again; a refusal to `HEAD` has no words, and a store may answer `GET` alone.
    let is_to_head = refused.refusal().is_none_or(|refusal| refusal.method == "HEAD");
    if !is_to_head || !matches!(refused.code(), Code::Denied | Code::Unauthenticated | Code::ReplyMalformed) {
        return Err(refused);
    }
    let (request, response, _) = open_blob(access, digest, &wanted, Some("bytes=0-0"))?;
    match response.status {
        // A range cannot be served of a blob that is empty.
        200..=299 | 416 => Ok(true),
        404 if access.proves_absence(&request, &response) => Ok(false),
        _ => Err(refusal::error(Subject::Blob, &wanted, &request, &response)),
    }
}

/// Why there is no list: a repository that has answered is there, whatever is said about its list.
pub(super) fn without_list(error: Error, access: &Access) -> Error {
    if error.code() != Code::RepositoryUnknown || !access.has_answered() {
        return error;
    }
    let message = format!(
        "the tags of `{}` cannot be listed: the registry says that there is no such repository, and has answered for it",
        access.repository
    );
    error
        .with_code(Code::ReplyMalformed)
        .retold(message)
        .hint("run it again; if it stays, tell whoever runs the registry")
}

/// What to do about a reply that is none of a registry's.
fn not_a_registry(request: &Request) -> String {
    format!("check that a registry answers at `{}`, and no proxy or login page in its place", request.url.authority())
}

fn tag_page(body: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(expecting = "a list of tags")]
    struct Page {
        tags: Option<TagNames>,
    }
    let page: Page = serde_json::from_slice(body)?;
    Ok(page.tags.map(|TagNames(tags)| tags).unwrap_or_default())
}

/// The tags of a page, and no more of them than that there are too many: a name of no letters takes three bytes of an
/// answer and many more of memory.
struct TagNames(Vec<String>);

impl<'de> serde::Deserialize<'de> for TagNames {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> serde::de::Visitor<'de> for Collect {
            type Value = TagNames;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of tags")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<TagNames, A::Error> {
                let mut tags = Vec::new();
                while tags.len() <= limits::ALL_TAGS {
                    let Some(tag) = list.next_element()? else { return Ok(TagNames(tags)) };
                    tags.push(tag);
                }
                while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(TagNames(tags))
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

/// A tag or digest of the repository, as people write it.
pub(super) fn named(access: &Access, identifier: &Identifier) -> String {
    match identifier {
        Identifier::Tag(tag) => format!("{}:{tag}", access.repository),
        Identifier::Digest(digest) => format!("{}@{digest}", access.repository),
    }
}

fn manifest_request(access: &Access, method: Method, identifier: &Identifier) -> Request {
    let request = Request::new(method, access.url(&format!("manifests/{identifier}")));
    if method == Method::Put { request } else { request.header("Accept", format!("{ACCEPT}, {RETIRED}")) }
}

/// The digest of what came, after every digest that was named agrees with it.
fn checked(name: &str, identifier: &Identifier, response: &Response) -> Result<Digest, Error> {
    let named = match identifier {
        Identifier::Digest(digest) => Some(digest.clone()),
        Identifier::Tag(_) => response.headers.get("docker-content-digest").and_then(|text| Digest::parse(text).ok()),
    };
    match named {
        Some(digest) if !digest.matches(&response.body) => Err(mismatch(&format!("`{name}`"), &digest, &response.body)),
        Some(digest) => Ok(digest),
        None => Ok(Digest::of(&response.body)),
    }
}

/// That content is not what its digest says.
pub(super) fn mismatch(name: &str, digest: &Digest, body: &[u8]) -> Error {
    Error::new(Code::DigestMismatch, format!("the content of {name} is not what its digest says"))
        .cause(format!("expected `{digest}`, received {} bytes with `{}`", body.len(), Digest::of(body)))
        .hint("run it again; if it stays, the registry or a proxy in between serves damaged content")
}

/// A 404 to a manifest: is it the tag that is missing, or the whole repository?
fn unknown(access: &Access, identifier: &Identifier, wanted: &str, request: &Request, response: &Response) -> Error {
    let error = refusal::error(Subject::Manifest, wanted, request, response);
    if !matches!(error.code(), Code::TagUnknown | Code::RepositoryUnknown) {
        return error;
    }
    // What has answered is there, whatever is said about one thing in it.
    let whole = !access.has_answered()
        && (error.code() == Code::RepositoryUnknown
            || some_tags(access).is_err_and(|error| error.code() == Code::RepositoryUnknown));
    if whole {
        error
            .with_code(Code::RepositoryUnknown)
            .retold(format!("there is no repository `{}`", access.repository))
            .hint("check the spelling; a private repository may also look like this without a credential")
    } else {
        error.with_code(Code::TagUnknown).retold(lacking(access, identifier)).hint(list_them(access))
    }
}

/// That a repository has no such tag or manifest.
pub(super) fn lacking(access: &Access, identifier: &Identifier) -> String {
    let kind = if matches!(identifier, Identifier::Tag(_)) { "tag" } else { "manifest" };
    format!("`{}` has no {kind} `{identifier}`", access.repository)
}

/// What to do where a repository has no such tag or manifest.
pub(super) fn list_them(access: &Access) -> String {
    format!("list the tags there are with `tagwright tags {}`", access.repository)
}

/// The first names of the list of tags, read once a run; none where what came is no list.
///
/// # Errors
/// `repository-unknown`, and those of [`Access::ask`].
pub(super) fn some_tags(access: &Access) -> Result<Vec<String>, Error> {
    let known = access.some_tags();
    if !known.is_empty() {
        return Ok(known);
    }
    let wanted = format!("list the tags of `{}`", access.repository);
    let request = Request::new(Method::Get, access.url("tags/list").with_query(format!("n={TAGS_PAGE}")));
    let response = access.ask(&wanted, &request, limits::TAGS)?;
    if response.status == 404 {
        return Err(refusal::error(Subject::Tags, &wanted, &request, &response));
    }
    let mut names = if response.is_success() { tag_page(&response.body).unwrap_or_default() } else { Vec::new() };
    names.truncate(TAGS_PAGE);
    access.note_tags(&names);
    Ok(names)
}
