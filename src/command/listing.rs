//! The tags of a repository from the place that knows them best: Docker Hub's web API for Docker Hub, ECR's own
//! API for Amazon ECR, else the registry's own list.

use super::request::Via;
use super::session::Session;
use crate::error::{Code, Error};
use crate::io::ecr::Ecr;
use crate::io::registry;
use crate::pure::auth::scope::Action;
use crate::pure::aws::ecr::Tagged;
use crate::pure::image::digest::Digest;
use crate::pure::image::repository::Repository;
use crate::pure::text::instant;
use crate::pure::version::pick::Listed;
use crate::pure::version::scheme::TagFormat;

/// What was found, and where.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The tags in the order they came.
    pub tags: Vec<Listed>,
    /// How many were looked at.
    pub scanned: usize,
    /// The place.
    pub via: Via,
}

/// What a list is read for; where a registry has two kinds of list, each takes a right of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The tags.
    Names,
    /// The tags with times, as far as there are any.
    Times,
}

/// Every tag.
///
/// # Errors
/// Those of the place that was asked last.
pub fn all(session: &Session, repository: &Repository, detail: Detail, action: Action) -> Result<Listing, Error> {
    list(session, repository, detail, action, None)
}

/// Every tag as the registry itself has it this moment: a web API beside the registry may show it later.
///
/// # Errors
/// As [`all`].
pub fn fresh(session: &Session, repository: &Repository, action: Action) -> Result<Listing, Error> {
    if session.via.is_some() || session.client.native(repository.registry())?.is_some() {
        return all(session, repository, Detail::Times, action);
    }
    named(session, repository, action)
}

/// Every tag, by name alone.
///
/// # Errors
/// As [`all`].
pub fn names(session: &Session, repository: &Repository) -> Result<Listing, Error> {
    all(session, repository, Detail::Names, Action::Pull)
}

/// The tags that may belong to a build: all of them, or fewer where the place can filter.
///
/// A filter that finds nothing proves nothing, so all are read before anything is said to be missing.
///
/// # Errors
/// As [`all`].
pub fn of_build(
    session: &Session,
    repository: &Repository,
    build: u64,
    format: &TagFormat,
    detail: Detail,
    action: Action,
) -> Result<Listing, Error> {
    let listing = list(session, repository, detail, action, Some(&format!(".{build}")))?;
    let is_of_build = |listed: &Listed| format.read(&listed.name).and_then(|tag| tag.version.build()) == Some(build);
    if listing.via == Via::HubApi && !listing.tags.iter().any(is_of_build) {
        return all(session, repository, detail, action);
    }
    Ok(listing)
}

fn list(
    session: &Session,
    repository: &Repository,
    detail: Detail,
    action: Action,
    filter: Option<&str>,
) -> Result<Listing, Error> {
    if let Some(ecr) = session.client.native(repository.registry())? {
        return described(&ecr, repository, detail);
    }
    let wanted = session.via.unwrap_or(if repository.registry().is_docker_hub() { Via::HubApi } else { Via::Registry });
    if wanted == Via::HubApi {
        match session.hub.tags(&session.client, repository, filter) {
            Ok(tags) => return Ok(Listing { tags: tags.listed, scanned: tags.scanned, via: Via::HubApi }),
            Err(error) if session.via == Some(Via::HubApi) || !gives_way(&error) => return Err(error),
            Err(error) => session.client.exchange.warn(
                "hub-api-unavailable",
                format!(
                    "Docker Hub's web API was of no use, so the registry's own tag list was read: {}",
                    reason(&error)
                ),
            ),
        }
    }
    named(session, repository, action)
}

/// The registry's own list, names alone.
fn named(session: &Session, repository: &Repository, action: Action) -> Result<Listing, Error> {
    let tags = registry::list_tags(&session.client, repository, action)?;
    let scanned = tags.len();
    let tags = tags.into_iter().map(Listed::named).collect();
    Ok(Listing { tags, scanned, via: Via::Registry })
}

/// The list of ECR's own API: the kind that fits, or the other kind where only that is allowed.
fn described(ecr: &Ecr, repository: &Repository, detail: Detail) -> Result<Listing, Error> {
    let times = detail == Detail::Times;
    let tags = match ecr.list_tags(repository, times) {
        Err(error) if error.code() == Code::Denied => ecr.list_tags(repository, !times).map_err(|_| error)?,
        outcome => outcome?,
    };
    let listed = |tagged: Tagged| Listed {
        name: tagged.tag,
        digest: Digest::parse(&tagged.digest).ok(),
        updated: tagged.pushed_at.map(instant::rfc3339),
    };
    let tags: Vec<Listed> = tags.into_iter().map(listed).collect();
    Ok(Listing { scanned: tags.len(), tags, via: Via::EcrApi })
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
