//! What points at a manifest: listed by the referrers API or the fall-back tag, and put where both find it.
//!
//! Without the API the list is an index under a tag made of the digest, which every client changes by itself. Two
//! may do so at once, so what was written is read back and, where an entry was lost, written again.
//!
//! Specification: OCI distribution, "Listing Referrers" and "Pushing Manifests with Subject".

use crate::registry::login::client::Client;
use crate::registry::distribution::{self as registry, MANIFEST_LIMIT};
use crate::pure::image::raw_manifest::RawManifest;
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::http::link;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::refusal::{self, Subject};
use crate::pure::image::content::Content;
use crate::pure::image::descriptor::Descriptor;
use crate::pure::image::digest::Digest;
use crate::pure::image::media_type::MediaType;
use crate::pure::image::reference::Identifier;
use crate::pure::image::referrers;
use crate::pure::image::repository::Repository;
use std::time::Duration;

/// How often the list under a fall-back tag is read before it is given up.
const READS: u32 = 8;
/// How often it may read as before until it is written again.
const PATIENCE: u32 = 3;
/// The first wait between two reads; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// Everything that points at a manifest; `None` where that cannot be told without a right of its own, as on ECR.
///
/// # Errors
/// As [`ask`].
pub fn list(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    action: Action,
) -> Result<Option<Vec<Descriptor>>, Error> {
    // ECR's own API knows no referrers, and a password for the registry API takes a right of its own.
    if client.native(repository.registry())?.is_some() {
        return Ok(None);
    }
    ask(client, repository, digest, action).map(Some)
}

/// Everything that points at a manifest, asked of the registry API whatever other API there is.
///
/// # Errors
/// `reply-malformed`, `redirect-refused`, and those of [`Client::ask`].
pub fn ask(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    action: Action,
) -> Result<Vec<Descriptor>, Error> {
    // Docker Hub has no referrers API, so it is not asked.
    if !repository.registry().is_docker_hub()
        && let Some(found) = by_api(client, repository, digest, action)?
    {
        return Ok(found);
    }
    by_tag(client, repository, digest, action)
}

/// The list under the fall-back tag, empty where there is none.
///
/// # Errors
/// Those of reading the tag.
pub fn by_tag(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    action: Action,
) -> Result<Vec<Descriptor>, Error> {
    match fallback(client, repository, digest, action)? {
        Some(RawManifest { content: Content::Index(index), .. }) => Ok(index.manifests),
        // Whatever else stands under that tag is no list.
        _ => Ok(Vec::new()),
    }
}

/// The list of the referrers API, all pages; `None` where the registry has no such API.
///
/// # Errors
/// As [`ask`].
pub fn by_api(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    action: Action,
) -> Result<Option<Vec<Descriptor>>, Error> {
    let wanted = format!("list what points at `{repository}@{}`", digest.short());
    let mut url = client.url(repository.registry(), &format!("{}/referrers/{digest}", repository.path()));
    let mut found: Vec<Descriptor> = Vec::new();
    loop {
        let request = Request::new(Method::Get, url.clone()).header("Accept", MediaType::OciIndex.as_str());
        let response = client.ask(repository, action, &wanted, request.clone(), MANIFEST_LIMIT)?;
        if matches!(response.status, 408 | 429 | 500..) && response.status != 501 {
            return Err(refusal::error(Subject::Service, &wanted, &request, &response));
        }
        let page = response.is_success().then(|| referrers::parse(&response.body).ok()).flatten();
        let Some(page) = page else {
            if found.is_empty() {
                return Ok(None);
            }
            return Err(Error::new(Code::ReplyMalformed, format!("cannot {wanted}: a page is no list")));
        };
        let before = found.len();
        for one in page {
            if !found.iter().any(|known| known.digest == one.digest) {
                found.push(one);
            }
        }
        match link::next(&response.headers, &url) {
            // A page that adds nothing would be asked for again and again.
            Some(next) if found.len() > before => {
                url = next.map_err(|error| error.during(format!("cannot {wanted}")))?
            }
            _ => return Ok(Some(found)),
        }
    }
}

/// What stands under the fall-back tag.
fn fallback(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    action: Action,
) -> Result<Option<RawManifest>, Error> {
    let tag = referrers::fallback_tag(digest);
    match registry::head_manifest(client, repository, &tag, action)? {
        Some(now) => registry::get_manifest(client, repository, &Identifier::Digest(now), action).map(Some),
        None => Ok(None),
    }
}

/// Puts manifests that point at another one, each by its digest, and sees to it that they are listed.
///
/// # Errors
/// Those of [`registry::put_manifest`]; `raced` where the list under the fall-back tag lost entries again and again.
pub fn put(client: &Client, repository: &Repository, manifests: &[RawManifest], subject: &Digest) -> Result<(), Error> {
    let mut unlisted = Vec::new();
    for manifest in manifests {
        let identifier = Identifier::Digest(manifest.digest.clone());
        if !registry::put_manifest(client, repository, &identifier, manifest)?.lists_subject {
            unlisted.push(referrers::entry(&manifest.digest, manifest.body.len(), &manifest.content));
        }
    }
    if unlisted.is_empty() {
        return Ok(());
    }
    let tag = referrers::fallback_tag(subject);
    let name = repository.tagged(&tag).to_string();
    let identifier = Identifier::Tag(tag);
    // What was read when the list was last written.
    let (mut replaced, mut stale): (Option<Option<Digest>>, u32) = (None, 0);
    for read in 0..READS {
        if read > 1 {
            client.exchange.world.sleep(PAUSE * (1 << (read - 2)));
        }
        let there = fallback(client, repository, subject, Action::Push)?;
        let body = there.as_ref().map(|there| there.body.as_slice());
        let Some(body) = referrers::with_entries(body, &unlisted).map_err(|error| error.about(&name))? else {
            return Ok(());
        };
        let now = there.map(|there| there.digest);
        // What reads as before may be old news, or the same list written by somebody else.
        stale = if replaced.as_ref() == Some(&now) { stale + 1 } else { 0 };
        if stale % PATIENCE > 0 {
            continue;
        }
        let index = RawManifest::of(body, MediaType::OciIndex.as_str())?;
        registry::put_manifest(client, repository, &identifier, &index)?;
        replaced = Some(now);
    }
    if stale > 0 {
        client.exchange.warn("unverified", format!("`{name}` was written and still reads as before"));
        return Ok(());
    }
    Err(Error::new(Code::Raced, format!("`{name}` was written again and again and lost what was added"))
        .hint("run it again; others are adding to the same list"))
}
