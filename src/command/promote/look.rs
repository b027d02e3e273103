//! The look of `promote`: the source read once, and what every target tag holds, asked side by side.

use crate::command::platforms::ImageSet;
use crate::command::promote::{Survey, Totals, Versions, missing, notes};
use crate::command::request::{Promote, PromotionSource};
use crate::command::session::Sides;
use crate::command::wait::until_there;
use crate::command::{find_tag, platforms, referrers};
use crate::error::{Code, Error};
use crate::pure::image::{Detail, Digest, Identifier, Listing, RawManifest, Reference, Tag};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Comparison, Facts, Referrers, TagKind, TagWrite, Target, Template};
use crate::pure::text::quoted;
use crate::pure::version::VersionTag;
use crate::registry::Remote;
use crate::threads::both;
use serde_json::json;

/// Reads source and targets.
///
/// # Errors
/// Those of [`find_tag::pick`] and of reading; `digest-unexpected`, `label-mismatch`, `version-invalid`,
/// `request-invalid`.
pub fn look(sides: &Sides, request: &Promote) -> Result<Survey, Error> {
    let Sides { source: here, target, .. } = sides;
    let read = || {
        let (source, listing) = source(here, request)?;
        let version = source.tag().and_then(|tag| request.format.read(tag.as_str()));
        // Words that cannot become tags are refused before anything is asked.
        let wanted = match (&version, request.to.iter().chain(&request.moves).any(Template::needs_version)) {
            (None, true) => None,
            _ => Some(expand(request, &source, version.as_ref())?),
        };
        let manifest = manifest(here, &source)?;
        Ok((source, listing, version, wanted, manifest))
    };
    let (source, mut listing, mut version, mut wanted, manifest) = until_there(here, &sought(request), read)?;
    [here, target].iter().for_each(|side| side.call(&manifest));
    expect_digest(request, &source, &manifest.digest)?;
    let wanted = match wanted.take() {
        Some(wanted) => wanted,
        None => {
            let hint = "give the credential the right to list tags, or name the target tags in full";
            let found = here.tags(Detail::Times);
            let found =
                found.map_err(|error| error.during(format!("finding out the version of `{source}`")).hint(hint))?;
            version = Versions::of(&found, &request.format).of_digest(here, &manifest.digest)?;
            listing = Some(found);
            expand(request, &source, version.as_ref())?
        }
    };
    let images = require_labels(here, request, &source, &manifest)?;
    // The source's list says nothing about the target's tags, and one that was filtered by name lacks the tags that
    // belong to the image.
    let (listing, elsewhere) = match request.into.first() {
        Some(_) => (None, listing.filter(|listing| listing.is_whole)),
        None => (listing, None),
    };

    let compared = version.is_some() && !request.moves.is_empty();
    let list = || match listing {
        Some(listing) => Some(Ok(listing)),
        None => compared.then(|| target.tags(Detail::Times)),
    };
    let tags: Vec<Tag> = wanted.iter().map(|(tag, _)| tag.clone()).collect();
    let heads = || target.heads(&tags);
    let referrers = || match request.into.first() {
        Some(_) => (None, Some(missing::find(sides, &manifest, elsewhere, request.referrers))),
        None => (here.direct_referrers(&manifest.digest, None), None),
    };
    let notes = || notes::read(sides, request, &source, &manifest, images.as_ref());
    let (((befores, mut listing), (direct, tree)), notes) = both(|| both(|| both(heads, list), referrers), notes);
    let befores = match befores {
        // ECR makes a repository with the first push where a template says so; elsewhere that push is refused.
        Err(error) if error.code() == Code::RepositoryUnknown && !request.into.is_empty() && !request.dry_run => {
            vec![None; tags.len()]
        }
        befores => befores?,
    };
    let (copy, totals) = match tree.transpose()? {
        Some((tree, is_there)) => {
            let is_there = is_there || befores.iter().flatten().any(|before| *before == manifest.digest);
            let (copy, totals) = missing::plan(sides, request, &manifest, tree, is_there)?;
            (Some(copy), totals)
        }
        None => {
            let listing = listing.as_ref().and_then(|listing| listing.as_ref().ok());
            let known = referrers::known(here, &manifest.digest, direct, listing);
            let found = known.map(|known| known.listed.len() + known.cosign.len());
            (None, Totals { referrers: Referrers { found, ..Referrers::default() }, ..Totals::default() })
        }
    };

    let is_compared = |kind: TagKind, before: &Option<Digest>| {
        kind == TagKind::Moving && before.as_ref().is_some_and(|before| *before != manifest.digest)
    };
    let mut versions = None;
    let mut moved = wanted.iter().zip(&befores).filter(|((_, kind), before)| is_compared(*kind, before));
    if let Some(((tag, _), _)) = moved.next() {
        // Without a version, and with leave to go back, nothing would be gained from the list.
        if version.is_none() && !request.allow_downgrade {
            listing = listing.or_else(|| Some(target.tags(Detail::Times)));
        }
        match listing.take() {
            Some(Err(error)) if !request.allow_downgrade => {
                return Err(unlisted(error, &target.repository().tagged(tag).to_string()));
            }
            read => listing = read,
        }
        versions = listing.as_ref().and_then(|listing| Some(Versions::of(listing.as_ref().ok()?, &request.format)));
        if version.is_none() && !request.allow_downgrade {
            version = match (request.into.first(), &versions) {
                (None, Some(versions)) => versions.of_digest(here, &manifest.digest)?,
                _ => {
                    let listing = here.tags(Detail::Times).map_err(|error| unlisted(error, &source.to_string()))?;
                    Versions::of(&listing, &request.format).of_digest(here, &manifest.digest)?
                }
            };
        }
    }
    let own = version.as_ref().map(|tag| tag.version);
    let mut targets = Vec::new();
    for ((tag, kind), before) in wanted.into_iter().zip(befores) {
        let comparison = match (&before, &versions) {
            (Some(before), Some(versions)) if is_compared(kind, &Some(before.clone())) => {
                versions.compare(target, own.as_ref(), before)?
            }
            // Only `--allow-downgrade` comes here without a list, and then nothing is compared.
            (before, None) if is_compared(kind, before) && own.is_none() => Comparison::Unversioned,
            (before, None) if is_compared(kind, before) => Comparison::NotNewer,
            _ => Comparison::Nothing,
        };
        targets.push(Target { tag, kind, before, comparison });
    }
    let listing = match listing {
        Some(Err(error)) if error.code() == Code::RepositoryUnknown => Some(Listing::empty()),
        listing => listing.and_then(Result::ok),
    };
    let facts =
        Facts { repository: target.repository().to_string(), digest: manifest.digest.clone(), version: own, targets };
    Ok(Survey { source, manifest, version, facts, versions, listing, totals, copy, notes })
}

/// Refuses to move a tag that cannot change, where the registry tells that beforehand.
///
/// # Errors
/// `tag-immutable`.
pub fn check_immutable(target: &Remote, writes: &[TagWrite]) -> Result<(), Error> {
    let moved = writes.iter().filter(|write| write.action == TagAction::Moved).map(|write| &write.tag);
    // To ask takes a right of its own; without an answer, the refusal comes with the write.
    match target.immutable(&moved.collect::<Vec<_>>()) {
        Ok(Some(tag)) => {
            let repository = target.repository();
            let message = format!("`{repository}:{tag}` cannot be moved: the tags of that repository are immutable");
            Err(Error::new(Code::TagImmutable, message).hint(
                "promote under a new tag, or exclude this one from immutability in the settings of the repository",
            ))
        }
        _ => Ok(()),
    }
}

/// What is to be promoted, as a sentence names it.
fn sought(request: &Promote) -> String {
    match &request.source {
        PromotionSource::Reference(reference) => format!("`{reference}`"),
        PromotionSource::Build { repository, build, .. } => format!("build {build} of `{repository}`"),
    }
}

fn source(here: &Remote, request: &Promote) -> Result<(Reference, Option<Listing>), Error> {
    match &request.source {
        PromotionSource::Reference(reference) => Ok((reference.clone(), None)),
        PromotionSource::Build { repository, build, newest } => {
            // A list that was filtered for one build would not tell what is newer.
            let copied = !request.into.is_empty();
            let listing = if request.moves.is_empty() || copied {
                here.tags_of_build(*build, &request.format, Detail::Times)?
            } else {
                here.tags(Detail::Times)?
            };
            let found = find_tag::pick(here, &listing, *build, *newest, &request.format)?;
            Ok((repository.tagged(&found.chosen.tag.tag), (!request.moves.is_empty()).then_some(listing)))
        }
    }
}

/// Fills the placeholders in; a tag that ends up among those that stay and those that move is refused.
fn expand(request: &Promote, source: &Reference, version: Option<&VersionTag>) -> Result<Vec<(Tag, TagKind)>, Error> {
    let mut wanted: Vec<(Tag, TagKind)> = Vec::new();
    let named = source.tag();
    let templates = [(&request.to, TagKind::Fixed), (&request.moves, TagKind::Moving)];
    for (templates, kind) in templates {
        for template in templates {
            let tag = template
                .expand(named, version.map(VersionTag::written).as_deref())
                .map_err(|error| error.about(&source.to_string()))?;
            match wanted.iter().find(|(known, _)| *known == tag) {
                None => wanted.push((tag, kind)),
                Some((_, known)) if *known == kind => {}
                Some(_) => {
                    let message =
                        format!("`{tag}` is named both by `--to`, which keeps tags, and by `--move`, which moves them");
                    return Err(Error::new(Code::RequestInvalid, message).hint("name it once"));
                }
            }
        }
    }
    Ok(wanted)
}

/// The source's manifest. A reference with tag and digest means both.
fn manifest(here: &Remote, source: &Reference) -> Result<RawManifest, Error> {
    let (Some(tag), Some(digest)) = (source.tag(), source.digest()) else {
        return here.named_manifest(&platforms::identifier(source)?);
    };
    let manifest = here.named_manifest(&Identifier::Tag(tag.clone()))?;
    if *digest == manifest.digest || digest.matches(&manifest.body) {
        return Ok(manifest);
    }
    let (name, is) = (here.repository().tagged(tag), &manifest.digest);
    Err(Error::new(Code::DigestUnexpected, format!("`{name}` is `{is}`, and the reference says `{digest}`"))
        .hint("somebody may have moved the tag; name the tag or the digest alone, whichever is meant")
        .detail("digest", is.as_str())
        .detail("expected", digest.as_str()))
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
    for required in &request.require_labels {
        let key = &required.key;
        let values: Vec<(String, Option<&String>)> =
            found.images.iter().map(|image| (image.platform.to_string(), image.config.labels.get(key))).collect();
        let Some((platform, value)) = values.iter().find(|(_, value)| !required.is_met_by(*value)) else {
            continue;
        };
        let is = value.map_or("not there".to_owned(), |value| quoted(value));
        let wanted = required.value.as_ref().map_or("a value".to_owned(), |wanted| format!("`{wanted}`"));
        let list: Vec<_> =
            values.iter().map(|(platform, value)| json!({"platform": platform, "value": value})).collect();
        let message = format!("label `{key}` of `{name}` is {is} on `{platform}`, and {wanted} is required");
        return Err(Error::new(Code::LabelMismatch, message)
            .hint("check that this is the build that was meant")
            .detail("values", list));
    }
    Ok(Some(found))
}

fn unlisted(error: Error, name: &str) -> Error {
    error
        .during(format!("finding out which version `{name}` holds"))
        .hint("give the credential the right to list tags (on ECR `ecr:ListImages` and `ecr:DescribeImages`), or say `--allow-downgrade` to move without comparing")
}
