//! The tags of a repository from the place that knows them best: Docker Hub's web API for Docker Hub, ECR's own
//! API for Amazon ECR, else the registry's own list.

use crate::error::{Code, Error};
use crate::pure::aws::ecr::EcrTag;
use crate::pure::image::digest::Digest;
use crate::pure::image::listing::{Detail, TagEntry, Listing, Via};
use crate::pure::text::instant;
use crate::pure::version::scheme::TagFormat;
use crate::registry::distribution;
use crate::registry::ecr::Ecr;
use crate::registry::remote::Remote;

/// Every tag.
///
/// # Errors
/// Those of the place that was asked last.
pub(super) fn all(remote: &Remote, detail: Detail) -> Result<Listing, Error> {
    list(remote, detail, None)
}

/// Every tag as the registry itself has it this moment: a web API beside the registry may show it later.
///
/// # Errors
/// As [`all`].
pub(super) fn fresh(remote: &Remote) -> Result<Listing, Error> {
    if remote.via.is_some() || remote.client.native(remote.registry())?.is_some() {
        return all(remote, Detail::Times);
    }
    named(remote)
}

/// The tags that may belong to a build: all of them, or fewer where the place can filter.
///
/// A filter that finds nothing proves nothing, so all are read before anything is said to be missing.
///
/// # Errors
/// As [`all`].
pub(super) fn of_build(remote: &Remote, build: u64, format: &TagFormat, detail: Detail) -> Result<Listing, Error> {
    let listing = list(remote, detail, Some(&format!(".{build}")))?;
    let is_of_build = |listed: &TagEntry| format.read(&listed.name).and_then(|tag| tag.version.build()) == Some(build);
    if !listing.is_whole && !listing.tags.iter().any(is_of_build) {
        return all(remote, detail);
    }
    Ok(listing)
}

fn list(remote: &Remote, detail: Detail, filter: Option<&str>) -> Result<Listing, Error> {
    if let Some(ecr) = remote.client.native(remote.registry())? {
        return described(&ecr, remote.repository(), detail);
    }
    let wanted = remote.via.unwrap_or(if remote.registry().is_docker_hub() { Via::HubApi } else { Via::Registry });
    if wanted == Via::HubApi {
        match remote.hub.tags(remote.client, remote.repository(), filter) {
            Ok(tags) => {
                let is_whole = filter.is_none();
                return Ok(Listing { tags: tags.listed, scanned: tags.scanned, via: Via::HubApi, is_whole });
            }
            Err(error) if remote.via == Some(Via::HubApi) || !gives_way(&error) => return Err(error),
            Err(error) => remote.warn(
                "hub-api-unavailable",
                format!(
                    "Docker Hub's web API was of no use, so the registry's own tag list was read: {}",
                    reason(&error)
                ),
            ),
        }
    }
    named(remote)
}

/// The registry's own list, names alone.
fn named(remote: &Remote) -> Result<Listing, Error> {
    let tags = distribution::list_tags(remote.client, remote.repository(), remote.rights)?;
    let scanned = tags.len();
    let tags = tags.into_iter().map(TagEntry::named).collect();
    Ok(Listing { tags, scanned, via: Via::Registry, is_whole: true })
}

/// The list of ECR's own API: the kind that fits, or the other kind where only that is allowed.
fn described(ecr: &Ecr, repository: &crate::pure::image::repository::Repository, detail: Detail) -> Result<Listing, Error> {
    let times = detail == Detail::Times;
    let tags = match ecr.list_tags(repository, times) {
        Err(error) if error.code() == Code::Denied => ecr.list_tags(repository, !times).map_err(|_| error)?,
        outcome => outcome?,
    };
    let listed = |tagged: EcrTag| TagEntry {
        name: tagged.tag,
        digest: Digest::parse(&tagged.digest).ok(),
        updated: tagged.pushed_at.map(instant::rfc3339),
    };
    let tags: Vec<TagEntry> = tags.into_iter().map(listed).collect();
    Ok(Listing { scanned: tags.len(), tags, via: Via::EcrApi, is_whole: true })
}

/// Whether the registry's own list is worth asking after the web API failed in this way.
fn gives_way(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::Unauthenticated
            | Code::Denied
            | Code::TokenExpired
            | Code::RepositoryUnknown
            | Code::Unreachable
            | Code::Timeout
            | Code::RateLimited
            | Code::RegistryUnavailable
            | Code::ReplyMalformed
            | Code::SizeExceeded
    )
}

fn reason(error: &Error) -> String {
    error.causes().last().map_or_else(|| error.message().to_owned(), |cause| format!("{}: {cause}", error.message()))
}
