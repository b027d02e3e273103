//! `next-version`: the next version from the date, the build number and what the registry holds.

use crate::command::report::Report;
use crate::command::request::NextVersion;
use crate::command::session::Session;
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::image::{Detail, TagEntry};
use crate::pure::version::{Build, Version, calver};

/// Reads the versions there are, and counts on.
///
/// # Errors
/// `version-not-increasing`, and those of the tag list; a repository that is not there yet has no versions.
pub fn run(session: &Session, request: &NextVersion) -> Result<Report, Error> {
    let existing = match &request.repository {
        None => None,
        Some(repository) => match session.remote(repository, Action::Pull).tags(Detail::Names) {
            Ok(listing) => {
                let format = request.format.among(&listing.tags);
                let version = |listed: &TagEntry| Some(format.read(&listed.name)?.version);
                Some(listing.tags.iter().filter_map(version).collect())
            }
            // The first build of a repository finds nothing there, and that is proven.
            Err(error) if error.code() == Code::RepositoryUnknown => {
                let sentence = format!("there is no repository `{repository}` yet, so there is no earlier version");
                session.exchange.warn("repository-unknown", sentence);
                Some(Vec::<Version>::new())
            }
            Err(error) => return Err(error),
        },
    };
    let moment = request.at.unwrap_or_else(|| session.exchange.world.now());
    let next = calver::next(calver::week_of(moment), request.build, existing.as_deref(), request.on_conflict).map_err(
        |error| match &request.repository {
            Some(repository) => error.about(&repository.to_string()),
            None => error,
        },
    )?;
    let sentence = match (&next.previous, request.build) {
        (Some(previous), Build::Number(asked)) if next.build != asked => {
            format!("the next version after {previous} is {}: build {asked} became {}", next.version, next.build)
        }
        (Some(previous), _) => format!("the next version after {previous} is {}", next.version),
        (None, _) => format!("the version is {}", next.version),
    };
    Report::new(&next, sentence)
}
