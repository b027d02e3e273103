//! What several tags point at now: in one call where the registry has one for that, else side by side.

use super::session::Session;
use super::side_by_side;
use crate::error::Error;
use crate::io::registry;
use crate::pure::auth::scope::Action;
use crate::pure::image::digest::Digest;
use crate::pure::image::repository::Repository;
use crate::pure::image::tag::Tag;

/// The digest of each tag, in the order of the tags; `None` for one that is not there.
///
/// # Errors
/// Those of [`registry::head_manifest`].
pub fn all(
    session: &Session,
    repository: &Repository,
    tags: &[Tag],
    action: Action,
) -> Result<Vec<Option<Digest>>, Error> {
    match session.client.native(repository.registry())? {
        Some(ecr) if !tags.is_empty() => ecr.head_manifests(repository, tags),
        _ => side_by_side::map(tags, |tag| registry::head_manifest(&session.client, repository, tag, action)),
    }
}
