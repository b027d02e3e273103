//! The look of `promote`: the source read once, and what every target tag holds, asked side by side.

use crate::command::promote::copy::{self, Copy};
use crate::command::promote::holder::Versions;
use crate::command::promote::record::{self, Noted};
use crate::command::find_tag;
use crate::pure::image::listing::{Detail, Listing};
use crate::command::platforms::{self, ImageSet};
use crate::command::request::{Promote, PromotionSource};
use crate::command::session::Sides;
use crate::threads::both;
use crate::error::{Code, Error};
use crate::pure::image::raw_manifest::RawManifest;
use crate::registry::remote::Remote;
use crate::pure::image::digest::Digest;
use crate::pure::image::media_type::MediaType;
use crate::pure::image::reference::Reference;
use crate::pure::image::referrers;
use crate::pure::image::repository::Repository;
use crate::pure::image::tag::Tag;
use crate::pure::promote::facts::{Facts, Held, Kind, Target};
use crate::pure::text::show::quoted;
use crate::pure::version::scheme::VersionTag;
use serde_json::json;

/// What was seen: the facts for the plan, and what acting on it needs.
pub struct Seen {
    /// The repository whose tags are written.
    pub repository: Repository,
    /// The source as a reference.
    pub source: Reference,
    /// The source's manifest, the very bytes.
    pub manifest: RawManifest,
    /// The source's version as its tag has it.
    pub version: Option<VersionTag>,
    /// What the plan is made of.
    pub facts: Facts,
    /// The version tags, where a list was read.
    pub versions: Option<Versions>,
    /// The tag list of this look, where one was read.
    pub listing: Option<Listing>,
    /// How many manifests point at the source: signatures, SBOMs; `None` where it could not be told.
    pub referrers: Option<usize>,
    /// What has to be copied, where the tags are to be in another repository.
    pub copy: Option<Copy>,
    /// What was read for the record.
    pub noted: Noted,
}

/// Reads source and targets.
///
/// # Errors
/// Those of [`find_tag::pick`] and of reading; `digest-unexpected`, `label-mismatch`, `version-invalid`,
/// `request-invalid`.
pub fn look(sides: &Sides, request: &Promote) -> Result<Seen, Error> {
    let (here, there) = (&sides.source, &sides.target);
    let (source, listing) = source(here, request)?;
    let repository = request.target().clone();
    // The source's list says nothing about the target's tags.
    let (listing, elsewhere) = if request.into.is_some() { (None, listing) } else { (listing, None) };
    // A list that was filtered by name lacks the tags that belong to the image.
    let elsewhere = elsewhere.filter(|listing| listing.is_whole);
    let version = source.tag().filter(|_| source.digest().is_none()).and_then(|tag| request.format.read(tag.as_str()));
    let wanted = expand(request, &source, version.as_ref())?;

    let manifest = here.manifest(&platforms::identifier(&source)?)?;
    expect_digest(request, &source, &manifest.digest)?;
    let found = require_labels(here, request, &source, &manifest)?;

    // A digest without version cannot be compared, so nothing would be gained from the list.
    let compared = version.is_some() && !request.moves.is_empty();
    let list = || match listing {
        Some(listing) => Some(Ok(listing)),
        None => compared.then(|| there.tags(Detail::Times)),
    };
    let tags: Vec<Tag> = wanted.iter().map(|(tag, _)| tag.clone()).collect();
    let heads = || there.heads(&tags);
    let referrers = || match request.into {
        Some(_) => (None, Some(copy::find(sides, &manifest, elsewhere))),
        None => (here.count_referrers(&manifest.digest), None),
    };
    let note = || record::note(sides, request, &source, &manifest, found.as_ref());
    let (((befores, listing), (direct, copy)), noted) = both(|| both(|| both(heads, list), referrers), note);
    let befores = match befores {
        // ECR makes a repository with the first push where a template says so; elsewhere that push is refused.
        Err(error) if error.code() == Code::RepositoryUnknown && request.into.is_some() && !request.dry_run => {
            vec![None; tags.len()]
        }
        befores => befores?,
    };
    let copy = match copy.transpose()? {
        Some(found) => {
            let is_tagged = befores.iter().flatten().any(|before| *before == manifest.digest);
            Some(copy::plan(sides, request, &manifest, found, is_tagged)?)
        }
        None => None,
    };
    let referrers = total_referrers(here, &manifest.digest, direct, listing.as_ref());

    let mut seen = Seen {
        facts: Facts {
            repository: repository.to_string(),
            digest: manifest.digest.clone(),
            version: version.as_ref().map(|tag| tag.version),
            targets: Vec::new(),
        },
        repository,
        source,
        manifest,
        version,
        versions: None,
        listing: None,
        referrers,
        copy,
        noted,
    };
    let mut listing = listing;
    for ((tag, kind), before) in wanted.into_iter().zip(befores) {
        let held = match (&before, kind) {
            (Some(before), Kind::Moving) if *before != seen.manifest.digest => {
                if let Some(Ok(listing)) = &listing {
                    seen.versions.get_or_insert_with(|| Versions::of(listing, &request.format));
                } else if let Some(Err(error)) = listing.take()
                    && !request.allow_downgrade
                {
                    return Err(unlisted(error, &seen.repository, &tag));
                }
                held(there, &seen, before)?
            }
            _ => Held::Nothing,
        };
        seen.facts.targets.push(Target { tag, kind, before, held });
    }
    seen.listing = match listing {
        Some(Err(error)) if error.code() == Code::RepositoryUnknown => {
            Some(Listing::empty())
        }
        listing => listing.and_then(Result::ok),
    };
    Ok(seen)
}

/// How what a tag holds compares with the source.
///
/// # Errors
/// Those of looking at tags.
pub fn held(target: &Remote, seen: &Seen, before: &Digest) -> Result<Held, Error> {
    match (&seen.facts.version, &seen.versions) {
        (Some(version), Some(versions)) => versions.newer(target, version, before),
        (None, _) => Ok(Held::SourceUnversioned),
        // Only `--allow-downgrade` comes here without a list, and then nothing is compared.
        (Some(_), None) => Ok(Held::NotNewer),
    }
}

fn source(here: &Remote, request: &Promote) -> Result<(Reference, Option<Listing>), Error> {
    match &request.source {
        PromotionSource::Reference(reference) => Ok((reference.clone(), None)),
        PromotionSource::Build { repository, build, newest } => {
            // A list that was filtered for one build would not tell what is newer.
            let copied = request.into.is_some();
            let listing = if request.moves.is_empty() || copied {
                here.tags_of_build(*build, &request.format, Detail::Times)?
            } else {
                here.tags(Detail::Times)?
            };
            let found = find_tag::pick(here, &listing, *build, *newest, &request.format)?;
            Ok((repository.tagged(&found.chosen.tag), (!request.moves.is_empty()).then_some(listing)))
        }
    }
}

/// Fills the placeholders in; a tag that ends up among those that stay and those that move is refused.
fn expand(request: &Promote, source: &Reference, version: Option<&VersionTag>) -> Result<Vec<(Tag, Kind)>, Error> {
    let mut wanted: Vec<(Tag, Kind)> = Vec::new();
    let named = source.tag().filter(|_| source.digest().is_none());
    let templates = [(&request.to, Kind::Fixed), (&request.moves, Kind::Moving)];
    for (templates, kind) in templates {
        for template in templates {
            let tag = template
                .expand(named, version.map(|tag| tag.text.as_str()))
                .map_err(|error| error.about(&source.to_string()))?;
            match wanted.iter().find(|(known, _)| *known == tag) {
                None => wanted.push((tag, kind)),
                Some((_, known)) if *known == kind => {}
                Some(_) => {
                    return Err(Error::new(
                        Code::RequestInvalid,
                        format!("`{tag}` is named both by `--to`, which keeps tags, and by `--move`, which moves them"),
                    )
                    .hint("name it once"));
                }
            }
        }
    }
    Ok(wanted)
}

fn expect_digest(request: &Promote, source: &Reference, digest: &Digest) -> Result<(), Error> {
    match &request.expect_digest {
        Some(expected) if expected != digest => Err(Error::new(
            Code::DigestUnexpected,
            format!("`{source}` is `{digest}`, and `--expect-digest` says `{expected}`"),
        )
        .hint("somebody may have moved the tag; check which build it should be")
        .detail("digest", digest.as_str())
        .detail("expected", expected.as_str())),
        _ => Ok(()),
    }
}

/// Every platform must have every label that is required.
fn require_labels(
    here: &Remote,
    request: &Promote,
    source: &Reference,
    manifest: &RawManifest,
) -> Result<Option<ImageSet>, Error> {
    if request.require_labels.is_empty() {
        return Ok(None);
    }
    let name = source.to_string();
    let found = platforms::of(here, &name, manifest.clone(), None)?;
    for (key, wanted) in &request.require_labels {
        let values: Vec<(String, Option<&String>)> =
            found.images.iter().map(|image| (image.platform.to_string(), image.config.labels.get(key))).collect();
        let Some((platform, value)) = values.iter().find(|(_, value)| *value != Some(wanted)) else {
            continue;
        };
        let is = value.map_or("not there".to_owned(), |value| quoted(value));
        let list: Vec<_> =
            values.iter().map(|(platform, value)| json!({"platform": platform, "value": value})).collect();
        return Err(Error::new(
            Code::LabelMismatch,
            format!("label `{key}` of `{name}` is {is} on `{platform}`, and `{wanted}` is required"),
        )
        .hint("check that this is the build that was meant")
        .detail("values", list));
    }
    Ok(Some(found))
}

fn unlisted(error: Error, repository: &Repository, tag: &Tag) -> Error {
    error
        .during(format!("finding out which version `{repository}:{tag}` holds"))
        .hint("give the credential the right to list tags (on ECR `ecr:ListImages` and `ecr:DescribeImages`), or say `--allow-downgrade` to move without comparing")
}

/// Referrers by the API, else by the fall-back tag, and cosign's tags.
fn total_referrers(
    here: &Remote,
    digest: &Digest,
    direct: Option<Option<usize>>,
    listing: Option<&Result<Listing, Error>>,
) -> Option<usize> {
    let Some(Ok(listing)) = listing else {
        return direct?;
    };
    let has = |tag: &Tag| listing.tags.iter().any(|listed| listed.name == tag.as_str());
    let cosign = referrers::cosign_tags(digest).iter().filter(|tag| has(tag)).count();
    let fallback = referrers::fallback_tag(digest);
    let indexed = match direct? {
        Some(count) => count,
        None if has(&fallback) => {
            let identifier = crate::pure::image::reference::Identifier::Tag(fallback);
            let fetched = here.manifest(&identifier).ok()?;
            if fetched.media_type != MediaType::OciIndex.as_str() {
                return Some(cosign);
            }
            referrers::parse(&fetched.body).ok()?.len()
        }
        None => 0,
    };
    Some(indexed + cosign)
}
