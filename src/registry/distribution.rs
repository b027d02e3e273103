//! The requests of the distribution API, one function each: what was asked, and the answer as nouns.
//!
//! Everything read is checked against its digest before anybody sees it.
//!
//! Specification: OCI distribution, endpoints end-2 to end-12.

use crate::registry::login::client::Client;
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::http::link;
use crate::pure::http::message::{Method, Request, Response};
use crate::pure::http::refusal::{self, Subject};
use crate::pure::image::raw_manifest::RawManifest;
use crate::pure::image::descriptor::Descriptor;
use crate::pure::image::digest::Digest;
use crate::pure::image::media_type::{ACCEPT, MediaType};
use crate::pure::image::reference::Identifier;
use crate::pure::image::referrers;
use crate::pure::image::repository::Repository;
use crate::pure::image::tag::Tag;
use crate::pure::text::percent;
use std::collections::HashSet;

/// The largest manifest that is read: 4 MiB, as registries accept, and some slack.
pub const MANIFEST_LIMIT: u64 = (4 << 20) + (64 << 10);
/// The largest config blob that is read.
pub const CONFIG_LIMIT: u64 = 16 << 20;
/// The largest page of a tag list that is read: some registries send all tags in one.
const TAGS_LIMIT: u64 = 64 << 20;
/// How many tags are asked for at once; the most that ECR allows.
const TAGS_PAGE: usize = 1000;
/// The largest answer to a write, to a `HEAD`, or to anything that is only looked at for its status.
const SMALL_LIMIT: u64 = 1 << 20;

/// Reads a manifest or index. `action` says which rights the token is asked for: a run that is going
/// to write asks once for both.
///
/// # Errors
/// `tag-unknown`, `repository-unknown`, `digest-mismatch`, `reply-malformed`, `schema1-unsupported`,
/// and those of [`Client::ask`].
pub fn get_manifest(
    client: &Client,
    repository: &Repository,
    identifier: &Identifier,
    action: Action,
) -> Result<RawManifest, Error> {
    if let Some(ecr) = client.native(repository.registry())? {
        return ecr.get_manifest(repository, identifier);
    }
    let name = named(repository, identifier);
    let wanted = format!("read `{name}`");
    let request = manifest_request(client, Method::Get, repository, identifier);
    let response = client.ask(repository, action, &wanted, request.clone(), MANIFEST_LIMIT)?;
    if response.status == 404 {
        return Err(unknown(client, repository, identifier, &wanted, &request, &response));
    }
    if !response.is_success() {
        return Err(refusal::error(Subject::Manifest, &wanted, &request, &response));
    }
    let digest = checked(&name, identifier, &response)?;
    RawManifest::parse(digest, response.body, response.headers.get("content-type"))
        .map_err(|error| error.about(&name).hint_if_none(not_a_registry(&request)))
}

/// What a tag points at now; `None` where the registry says that there is no such tag.
///
/// A refusal without a body, or an answer without digest, is asked again with `GET` before it is believed.
///
/// # Errors
/// As [`get_manifest`], but for what is not there.
pub fn head_manifest(
    client: &Client,
    repository: &Repository,
    tag: &Tag,
    action: Action,
) -> Result<Option<Digest>, Error> {
    if let Some(ecr) = client.native(repository.registry())? {
        return ecr.head_manifest(repository, tag);
    }
    head(client, repository, &Identifier::Tag(tag.clone()), action)
}

fn head(
    client: &Client,
    repository: &Repository,
    identifier: &Identifier,
    action: Action,
) -> Result<Option<Digest>, Error> {
    let name = named(repository, identifier);
    let wanted = format!("look at `{name}`");
    let request = manifest_request(client, Method::Head, repository, identifier);
    match client.ask(repository, action, &wanted, request.clone(), SMALL_LIMIT) {
        Ok(response) if response.is_success() => {
            if let Some(text) = response.headers.get("docker-content-digest")
                && let Ok(digest) = Digest::parse(text)
            {
                return Ok(Some(digest));
            }
        }
        // The registry's own "not there" announces an error document; a proxy's does not.
        Ok(response) if response.status == 404 && is_own(&response) => return Ok(None),
        // "Not now" would be said again.
        Ok(response) if response.status == 429 || response.status >= 500 => {
            return Err(refusal::error(Subject::Manifest, &wanted, &request, &response));
        }
        Ok(_) => {}
        // A refusal to `HEAD` has no words; the same question with `GET` brings them, or an answer.
        Err(error) if matches!(error.code(), Code::Denied | Code::Unauthenticated | Code::RateLimited) => {}
        Err(error) => return Err(error),
    }
    let request = manifest_request(client, Method::Get, repository, identifier);
    let response = client.ask(repository, action, &wanted, request.clone(), MANIFEST_LIMIT)?;
    match response.status {
        404 if !refusal::is_page(&response) => Ok(None),
        _ if response.is_success() => checked(&name, identifier, &response).map(Some),
        _ => Err(refusal::error(Subject::Manifest, &wanted, &request, &response)),
    }
}

/// Reads a blob that fits in memory and checks size and digest. Content that the descriptor brings
/// along is used as it is.
///
/// # Errors
/// `blob-missing`, `digest-mismatch`, `size-exceeded`, and those of [`Client::ask`].
pub fn get_blob(
    client: &Client,
    repository: &Repository,
    descriptor: &Descriptor,
    what: &str,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    if let Some(bytes) = descriptor.inline() {
        return Ok(bytes);
    }
    if let Some(ecr) = client.native(repository.registry())? {
        return ecr.get_blob(repository, descriptor, what);
    }
    let digest = &descriptor.digest;
    let wanted = format!("read the {what} `{}` of `{repository}`", digest.short());
    if descriptor.size > limit {
        return Err(Error::new(
            Code::SizeExceeded,
            format!("cannot {wanted}: the manifest says it has {} bytes, the limit is {limit}", descriptor.size),
        )
        .hint("check the image: no config blob that a build tool writes is that large"));
    }
    let url = client.url(repository.registry(), &format!("{}/blobs/{digest}", repository.path()));
    let request = Request::new(Method::Get, url);
    let response = client.ask(repository, Action::Pull, &wanted, request.clone(), limit)?;
    if !response.is_success() {
        return Err(refusal::error(Subject::Blob, &wanted, &request, &response));
    }
    if !digest.matches(&response.body) {
        return Err(mismatch(&format!("the {what} of `{repository}`"), digest, &response.body));
    }
    if response.body.len() as u64 != descriptor.size {
        let (got, said) = (response.body.len(), descriptor.size);
        return Err(Error::new(
            Code::DigestMismatch,
            format!("the {what} `{digest}` of `{repository}` has {got} bytes, its manifest says {said}"),
        )
        .hint("build and push the image again: its manifest contradicts itself"));
    }
    Ok(response.body)
}

/// Whether a repository has a manifest.
///
/// # Errors
/// As [`head_manifest`].
pub fn has_manifest(client: &Client, repository: &Repository, digest: &Digest, action: Action) -> Result<bool, Error> {
    let identifier = Identifier::Digest(digest.clone());
    if let Some(ecr) = client.native(repository.registry())? {
        return match ecr.get_manifest(repository, &identifier) {
            Err(error) if matches!(error.code(), Code::TagUnknown | Code::RepositoryUnknown) => Ok(false),
            outcome => outcome.map(|_| true),
        };
    }
    head(client, repository, &identifier, action).map(|found| found.is_some())
}

/// What a registry takes on with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Whether it says that it lists the manifest among the referrers of its subject by itself.
    pub lists_subject: bool,
}

/// Puts a manifest under a tag or its digest, exactly the bytes that were read.
///
/// # Errors
/// `tag-immutable`, `denied`, `digest-mismatch` when the registry stored something else, and those of [`Client::ask`].
pub fn put_manifest(
    client: &Client,
    repository: &Repository,
    identifier: &Identifier,
    manifest: &RawManifest,
) -> Result<Acceptance, Error> {
    if let Some(ecr) = client.native(repository.registry())? {
        // ECR lists referrers by itself.
        return ecr.put_manifest(repository, identifier, manifest).map(|()| Acceptance { lists_subject: true });
    }
    let name = named(repository, identifier);
    let wanted = format!("push to `{name}`");
    let request = manifest_request(client, Method::Put, repository, identifier)
        .header("Content-Type", manifest.media_type.as_str())
        .body(manifest.body.clone());
    let response = client.ask(repository, Action::Push, &wanted, request.clone(), SMALL_LIMIT)?;
    if !response.is_success() {
        return Err(refusal::error(Subject::Write, &wanted, &request, &response));
    }
    match response.headers.get("docker-content-digest").map(Digest::parse) {
        Some(Ok(stored)) if stored != manifest.digest => Err(Error::new(
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
/// `repository-unknown`, `reply-malformed`, and those of [`Client::ask`].
pub fn list_tags(client: &Client, repository: &Repository, action: Action) -> Result<Vec<String>, Error> {
    let wanted = format!("list the tags of `{repository}`");
    let bare = client.url(repository.registry(), &format!("{}/tags/list", repository.path()));
    let mut url = bare.clone().with_query(format!("n={TAGS_PAGE}"));
    let mut tags: Vec<String> = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut linked = false;
    loop {
        let request = Request::new(Method::Get, url.clone());
        let response = client.ask(repository, action, &wanted, request.clone(), TAGS_LIMIT)?;
        if response.status == 400 && url.query().is_some_and(|query| query.starts_with("n=")) && tags.is_empty() {
            url = bare.clone();
            continue;
        }
        if !response.is_success() {
            return Err(refusal::error(Subject::Tags, &wanted, &request, &response));
        }
        let page = tag_page(&response.body).map_err(|why| {
            Error::new(Code::ReplyMalformed, format!("cannot {wanted}: the reply is no tag list"))
                .cause(why.to_string())
                .hint(not_a_registry(&request))
        })?;
        let (count, last) = (page.len(), page.last().cloned());
        let before = tags.len();
        let more = link::next(&response.headers, &url).is_some() || count == TAGS_PAGE;
        if tags.is_empty() && !more {
            // Most lists are one page, and nothing can be there twice that matters.
            return Ok(page);
        }
        tags.extend(page.into_iter().filter(|tag| seen.insert(tag.clone())));
        let next = match link::next(&response.headers, &url) {
            Some(next) => {
                linked = true;
                let elsewhere = |error: Error| {
                    let hint = format!("ask whoever runs `{}` to correct the `Link` header", url.authority());
                    error.restate(format!("cannot {wanted}: the next page is not where it must be")).hint(hint)
                };
                Some(next.map_err(elsewhere)?)
            }
            // A registry that never links may still page; one that does has come to its last page.
            None if count == TAGS_PAGE && !linked => {
                last.map(|last| bare.clone().with_query(format!("n={TAGS_PAGE}&last={}", percent::encode(&last))))
            }
            None => None,
        };
        match next {
            // A page that adds nothing would be asked for again and again.
            Some(next) if tags.len() > before => {
                if next.origin() != url.origin() {
                    return Err(Error::new(
                        Code::RedirectRefused,
                        format!("cannot {wanted}: the next page is said to be at another host, `{}`", next.authority()),
                    ));
                }
                url = next;
            }
            _ => return Ok(tags),
        }
    }
}

/// How many manifests point at a digest by the referrers API, or `None` where the registry has none.
///
/// # Errors
/// Those of [`Client::ask`].
pub fn count_referrers(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    action: Action,
) -> Result<Option<usize>, Error> {
    let wanted = format!("list what points at `{repository}@{}`", digest.short());
    let mut url = client.url(repository.registry(), &format!("{}/referrers/{digest}", repository.path()));
    let mut count = 0;
    loop {
        let request = Request::new(Method::Get, url.clone()).header("Accept", MediaType::OciIndex.as_str());
        let response = client.ask(repository, action, &wanted, request, MANIFEST_LIMIT)?;
        let Some(list) = response.is_success().then(|| referrers::parse(&response.body).ok()).flatten() else {
            return Ok(None);
        };
        count += list.len();
        match link::next(&response.headers, &url) {
            Some(Ok(next)) if next.origin() == url.origin() && !list.is_empty() => url = next,
            _ => return Ok(Some(count)),
        }
    }
}

/// What to do about a reply that is none of a registry's.
fn not_a_registry(request: &Request) -> String {
    format!("check that a registry answers at `{}`, and no proxy or login page in its place", request.url.authority())
}

fn tag_page(body: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(expecting = "a list of tags")]
    struct Page {
        tags: Option<Vec<String>>,
    }
    let page: Page = serde_json::from_slice(body)?;
    Ok(page.tags.unwrap_or_default())
}

fn named(repository: &Repository, identifier: &Identifier) -> String {
    match identifier {
        Identifier::Tag(tag) => format!("{repository}:{tag}"),
        Identifier::Digest(digest) => format!("{repository}@{digest}"),
    }
}

fn manifest_request(client: &Client, method: Method, repository: &Repository, identifier: &Identifier) -> Request {
    let url = client.url(repository.registry(), &format!("{}/manifests/{identifier}", repository.path()));
    let request = Request::new(method, url);
    if method == Method::Put { request } else { request.header("Accept", ACCEPT) }
}

/// The digest of what came, after every digest that was named agrees with it.
fn checked(name: &str, identifier: &Identifier, response: &Response) -> Result<Digest, Error> {
    if let Identifier::Digest(digest) = identifier {
        return if digest.matches(&response.body) {
            Ok(digest.clone())
        } else {
            Err(mismatch(&format!("`{name}`"), digest, &response.body))
        };
    }
    match response.headers.get("docker-content-digest").map(Digest::parse) {
        Some(Ok(digest)) if !digest.matches(&response.body) => {
            Err(mismatch(&format!("`{name}`"), &digest, &response.body))
        }
        Some(Ok(digest)) => Ok(digest),
        _ => Ok(Digest::of(&response.body)),
    }
}

fn mismatch(name: &str, digest: &Digest, body: &[u8]) -> Error {
    Error::new(Code::DigestMismatch, format!("the content of {name} is not what its digest says"))
        .cause(format!("expected `{digest}`, received {} bytes with `{}`", body.len(), Digest::of(body)))
        .hint("run it again; if it stays, the registry or a proxy in between serves damaged content")
}

fn is_own(response: &Response) -> bool {
    response.headers.get("content-type").is_some_and(|kind| kind.contains("json"))
}

/// A 404 to a manifest: is it the tag that is missing, or the whole repository?
fn unknown(
    client: &Client,
    repository: &Repository,
    identifier: &Identifier,
    wanted: &str,
    request: &Request,
    response: &Response,
) -> Error {
    let error = refusal::error(Subject::Manifest, wanted, request, response);
    if error.code() == Code::ReplyMalformed {
        return error;
    }
    let whole = error.code() == Code::RepositoryUnknown
        || list_tags_once(client, repository).is_err_and(|error| error.code() == Code::RepositoryUnknown);
    let text = match identifier {
        Identifier::Tag(tag) => format!("tag `{tag}`"),
        Identifier::Digest(digest) => format!("manifest `{digest}`"),
    };
    if whole {
        error
            .with_code(Code::RepositoryUnknown)
            .retold(format!("there is no repository `{repository}`"))
            .hint("check the spelling; a private repository may also look like this without a credential")
    } else {
        error
            .with_code(Code::TagUnknown)
            .retold(format!("`{repository}` has no {text}"))
            .hint(format!("list the tags there are with `tagwright tags {repository}`"))
    }
}

fn list_tags_once(client: &Client, repository: &Repository) -> Result<(), Error> {
    let wanted = format!("list the tags of `{repository}`");
    let url = client.url(repository.registry(), &format!("{}/tags/list", repository.path())).with_query("n=1");
    let request = Request::new(Method::Get, url);
    let response = client.ask(repository, Action::Pull, &wanted, request.clone(), TAGS_LIMIT)?;
    if response.status == 404 { Err(refusal::error(Subject::Tags, &wanted, &request, &response)) } else { Ok(()) }
}
