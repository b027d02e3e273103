//! `tags`: every tag of a repository, versions newest first.

use crate::command::report::Report;
use crate::command::request::{Sort, Tags};
use crate::command::session::Session;
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::image::listing::Via;
use crate::pure::image::{Detail, Digest, TagEntry};
use crate::pure::text::{Glob, instant};
use crate::pure::version::pick;
use serde::Serialize;

#[derive(Serialize)]
struct TagsResult {
    repository: String,
    tags: Vec<TagRow>,
    scanned: usize,
    via: Via,
}

#[derive(Serialize)]
struct TagRow {
    tag: String,
    version: Option<String>,
    digest: Option<Digest>,
    updated: Option<String>,
}

/// Lists, filters, orders.
///
/// # Errors
/// Those of the tag list.
pub fn run(session: &Session, request: &Tags) -> Result<Report, Error> {
    let listing = session.remote(&request.repository, Action::Pull).tags(Detail::Times)?;
    let since = request.since.map(|since| since.moment(session.exchange.world.now()));
    if since.is_some() && !listing.tags.is_empty() && listing.tags.iter().all(|listed| listed.updated.is_none()) {
        return Err(timeless(request, listing.via));
    }
    let fits = |listed: &&TagEntry| {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(&listed.name));
        let is_recent = |since| instant::parse(listed.updated.as_deref()?).map(|updated| updated >= since);
        (request.matching.is_empty() || any(&request.matching))
            && !any(&request.exclude)
            && since.is_none_or(|since| is_recent(since) == Some(true))
    };
    // What is left out may be what shows that a tag floats.
    let format = request.format.among(&listing.tags);
    let mut ordered: Vec<&TagEntry> = pick::order(&listing.tags, &format);
    ordered.retain(fits);
    match request.sort {
        Sort::Version => {}
        Sort::Name => ordered.sort_by(|a, b| a.name.cmp(&b.name)),
        // Times are RFC 3339 in UTC, so their order as text is their order in time.
        Sort::Updated => ordered.sort_by(|a, b| b.updated.cmp(&a.updated)),
    }
    if request.sort == Sort::Updated && !ordered.is_empty() && ordered.iter().all(|listed| listed.updated.is_none()) {
        let sentence = "this tag list does not say when tags were updated, so they are in version order";
        session.exchange.warn("updated-unknown", sentence);
    }
    let count = ordered.len();
    ordered.truncate(request.limit.unwrap_or(usize::MAX));
    let shown = |listed: &TagEntry| TagRow {
        tag: listed.name.clone(),
        version: format.read(&listed.name).map(|tag| tag.text),
        digest: listed.digest.clone(),
        updated: listed.updated.clone(),
    };
    let repository = request.repository.to_string();
    let sentence = match ordered.len() {
        n if n < count => format!("`{repository}`: the first {n} of {count} tags"),
        n => format!("`{repository}` has {n} {}", if n == 1 { "tag" } else { "tags" }),
    };
    let tags = ordered.into_iter().map(shown).collect();
    Report::new(&TagsResult { repository, tags, scanned: listing.scanned, via: listing.via }, sentence)
}

/// That a list which does not tell times was asked for what is recent.
fn timeless(request: &Tags, via: Via) -> Error {
    let message = format!("the tag list of `{}` (`{via}`) does not tell when tags were updated", request.repository);
    Error::new(Code::RequestInvalid, message).hint(match via {
        Via::EcrApi => "allow `ecr:DescribeImages`, which lists times, or leave out `--updated-since`",
        Via::HubApi | Via::Registry => {
            "leave out `--updated-since`: only Docker Hub (`--via hub-api`) and Amazon ECR (`--via ecr-api`) tell times"
        }
    })
}
