//! `find-tag`: the one tag whose version belongs to a build number.

use crate::command::report::Report;
use crate::command::request::FindTag;
use crate::command::session::Session;
use crate::command::wait::until_there;
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::image::listing::Via;
use crate::pure::image::{Detail, Listing, Repository};
use crate::pure::text::show;
use crate::pure::version::{Candidate, Choice, TagFormat, VersionTag, pick};
use crate::registry::Remote;
use crate::threads;
use serde::Serialize;
use serde_json::json;
use std::borrow::Cow;

#[derive(Serialize)]
struct FindTagResult {
    repository: String,
    #[serde(flatten)]
    found: BuildTag,
    scanned: usize,
    via: Via,
}

/// The tag of a build, and what else would have been one.
#[derive(Serialize)]
pub struct BuildTag {
    /// The tag.
    #[serde(flatten)]
    pub chosen: Candidate,
    /// Other tags of the build.
    pub alternatives: Vec<Candidate>,
}

/// Lists, picks, looks the digest up.
///
/// # Errors
/// `no-tag-for-build`, `build-ambiguous`, and those of the tag list.
pub fn run(session: &Session, request: &FindTag) -> Result<Report, Error> {
    let FindTag { repository, build, newest, digest, format } = request;
    let remote = session.remote(repository, Action::Pull);
    let look = || {
        let listing = remote.tags_of_build(*build, format, Detail::Names)?;
        let found = pick(&remote, &listing, *build, *newest, format)?;
        Ok((listing, found))
    };
    let (listing, mut found) = until_there(&remote, &format!("build {build} of `{repository}`"), look)?;
    if *digest && found.chosen.digest.is_none() {
        found.chosen.digest = remote.head(&found.chosen.tag.tag)?;
    }
    let sentence = format!("build {build} of `{repository}` is `{}`", found.chosen.tag.tag);
    let repository = repository.to_string();
    Report::new(&FindTagResult { repository, found, scanned: listing.scanned, via: listing.via }, sentence)
}

/// Picks the tag of a build from a list, looking digests up where two spellings have to be compared.
///
/// # Errors
/// `no-tag-for-build`, `build-ambiguous`, and those of looking at a tag.
pub fn pick(
    remote: &Remote,
    listing: &Listing,
    build: u64,
    newest: bool,
    format: &TagFormat,
) -> Result<BuildTag, Error> {
    let repository = remote.repository();
    // A list may hold 50,000 tags, and it is copied only where digests have to be filled in.
    let mut tags = Cow::Borrowed(listing.tags.as_slice());
    loop {
        match pick::pick(&tags, build, newest, format) {
            Choice::One { chosen, alternatives } => return Ok(BuildTag { chosen, alternatives }),
            Choice::None { newest } => return Err(none(repository, listing, build, newest)),
            Choice::Many(candidates) => return Err(many(repository, build, &candidates)),
            Choice::Apart(candidates) => return Err(apart(repository, build, &candidates)),
            Choice::NeedDigests(unknown) => {
                for (tag, digest) in unknown.iter().zip(threads::map(&unknown, |tag| remote.head(&tag.tag))?) {
                    match digest {
                        // A tag that was deleted since the list was read is no candidate any more.
                        None => tags.to_mut().retain(|listed| listed.name != tag.tag.as_str()),
                        Some(digest) => tags
                            .to_mut()
                            .iter_mut()
                            .filter(|listed| listed.name == tag.tag.as_str())
                            .for_each(|listed| listed.digest = Some(digest.clone())),
                    }
                }
            }
        }
    }
}

fn none(repository: &Repository, listing: &Listing, build: u64, newest: Option<VersionTag>) -> Error {
    let count = listing.scanned;
    let error = Error::new(
        Code::NoTagForBuild,
        match count {
            0 => format!("`{repository}` has no tags, so none is a version of build {build}"),
            1 => format!("the one tag of `{repository}` is not a version of build {build}"),
            n => format!("none of the {n} tags of `{repository}` is a version of build {build}"),
        },
    )
    .detail("scanned", count);
    match newest {
        Some(newest) => error
            .hint(format!("newest version found is `{}`; check that the build pushed its image", newest.tag))
            .detail("newest", newest.tag.as_str()),
        None => error.hint("no tag is a version such as `2026.34.103`; check repository and `--tag-format`"),
    }
}

fn many(repository: &Repository, build: u64, candidates: &[Candidate]) -> Error {
    let names = show::list(candidates.iter().map(|candidate| format!("`{}`", candidate.tag.tag)));
    let count = candidates.len();
    Error::new(Code::BuildAmbiguous, format!("{count} versions of `{repository}` have build {build}: {names}"))
        .hint("take the newest with `--newest`, narrow the versions down with `--tag-format`, or name the tag")
        .detail("candidates", json!(candidates))
}

fn apart(repository: &Repository, build: u64, candidates: &[Candidate]) -> Error {
    let names = show::list(candidates.iter().map(|candidate| match &candidate.digest {
        Some(digest) => format!("`{}` is `{}`", candidate.tag.tag, digest.short()),
        None => format!("`{}`", candidate.tag.tag),
    }));
    Error::new(
        Code::BuildAmbiguous,
        format!("the tags for build {build} of `{repository}` name one version and different images: {names}"),
    )
    .hint("find out which image is meant and name its tag or digest")
    .detail("candidates", json!(candidates))
}
