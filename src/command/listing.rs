//! The tags of a repository from the place that knows them best: Docker Hub's web API for Docker Hub, else the
//! registry's own list.

use super::request::Via;
use super::session::Session;
use crate::error::{Code, Error};
use crate::io::registry;
use crate::pure::auth::scope::Action;
use crate::pure::image::repository::Repository;
use crate::pure::version::pick::Listed;

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

/// Every tag.
///
/// # Errors
/// Those of the place that was asked last.
pub fn all(session: &Session, repository: &Repository, action: Action) -> Result<Listing, Error> {
    list(session, repository, action, None)
}

/// The tags that may belong to a build: all of them, or fewer where the place can filter.
///
/// A filter that finds nothing proves nothing, so all are read before anything is said to be missing.
///
/// # Errors
/// As [`all`].
pub fn of_build(session: &Session, repository: &Repository, build: u64, action: Action) -> Result<Listing, Error> {
    let filter = format!(".{build}");
    let listing = list(session, repository, action, Some(&filter))?;
    if listing.via == Via::HubApi && !listing.tags.iter().any(|tag| tag.name.contains(&filter)) {
        return all(session, repository, action);
    }
    Ok(listing)
}

fn list(session: &Session, repository: &Repository, action: Action, filter: Option<&str>) -> Result<Listing, Error> {
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
    let tags = registry::list_tags(&session.client, repository, action)?;
    let scanned = tags.len();
    let tags = tags.into_iter().map(Listed::named).collect();
    Ok(Listing { tags, scanned, via: Via::Registry })
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
