//! The look of `promote`: the source read once, and what every target tag holds, asked side by side.

use crate::command::platforms::ImageSet;
use crate::command::promote::{Lane, SourceLook, Survey, Totals, Tree, Versions, missing, notes, signatures};
use crate::command::request::{Promote, PromotionSource};
use crate::command::session::{Session, Sides};
use crate::command::wait::until_there;
use crate::command::{find_tag, platforms};
use crate::error::{Code, Error};
use crate::pure::image::{Detail, Digest, Heads, Identifier, Listing, RawManifest, Reference, Tag};
use crate::pure::promote::copy as parts;
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Comparison, Facts, TagKind, TagWrite, Target};
use crate::pure::text::quoted;
use crate::pure::version::VersionTag;
use crate::registry::Remote;
use crate::threads::{self, WIDTH, both, lock};
use serde_json::json;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// The source by its name, and the tags that are made of it.
struct NamedSource {
    reference: Reference,
    listing: Option<Listing>,
    version: Option<VersionTag>,
    /// Not known yet where the version shows in the list alone.
    wanted: Option<Vec<(Tag, TagKind)>>,
}

/// What a place is asked that need not know the source's manifest.
struct FirstLook {
    heads: Result<Heads, Error>,
    listing: Option<Result<Listing, Error>>,
    arns: [Option<String>; 2],
    at: Instant,
}

/// What is asked at first, all at once.
enum FirstQuestion<'s, 'r, 'w> {
    Source,
    /// The names of the source's tags, which tell of signatures.
    Names,
    Place(&'s Sides<'r, 'w>),
}

enum FirstAnswer {
    Source(Box<RawManifest>),
    Names(Result<Listing, Error>),
    Place(FirstLook),
}

/// Reads the source of one promotion and what every place holds that it goes to. Where `writes` is set, the right to
/// write is asked for with the first question.
///
/// # Errors
/// Those of [`find_tag::pick`] and of reading; `digest-unexpected`, `label-mismatch`, `version-invalid`,
/// `request-invalid`.
pub fn look<'r, 'w>(
    session: &'r Session<'w>,
    request: &'r Promote,
    number: usize,
    writes: bool,
) -> Result<Vec<Lane<'r, 'w>>, Error> {
    let from = request.source.repository();
    let required = signatures::required(session.exchange.world, request)?;
    let sides: Vec<Sides<'r, 'w>> = match request.into.is_empty() {
        true => vec![session.sides(from, None, writes)],
        false => request.into.iter().zip(1..).map(|(into, n)| session.sides(from, Some((n, into)), writes)).collect(),
    };
    let here = &sides[0].source;
    let (mut named, manifest, names, mut firsts) = until_there(here, &sought(request), || read(&sides, request))?;
    sides.iter().flat_map(|sides| [&sides.source, &sides.target]).for_each(|side| side.call(&manifest));
    if !manifest.digest.is_usual() {
        // What the places call it is known only now.
        firsts.clear();
    }
    let reference = named.reference.clone();
    expect_digest(request, &reference, &manifest.digest)?;
    let wanted = match named.wanted.take() {
        Some(wanted) => wanted,
        None => {
            let hint = "give the credential the right to list tags, or name the target tags in full";
            let found = here.tags(Detail::Times);
            let found =
                found.map_err(|error| error.during(format!("finding out the version of `{reference}`")).hint(hint))?;
            let format = request.format.among(&found.tags);
            named.version = match reference.tag().and_then(|tag| format.read(tag.as_str())) {
                None => Versions::of(&found, &request.format).of_digest(here, &manifest.digest)?,
                known => known,
            };
            named.listing = Some(found);
            expand(request, &reference, named.version.as_ref())?
        }
    };
    let images = require_labels(here, request, &reference, &manifest)?;
    let copies = !request.into.is_empty();
    // A list that was filtered by name lacks the tags that belong to the image.
    let names = named.listing.take_if(|listing| copies && listing.is_whole).map(Ok).or(names);
    if firsts.is_empty() {
        firsts = threads::map(&sides, |sides| Ok(first(sides, request, &named, &wanted)))?;
    }
    // Blobs are asked for all at once, and by then there are as many connections.
    let connect = || {
        let blobs = parts::parts(&manifest.content).blobs.len().min(WIDTH);
        let each = |sides: &Sides| {
            // The questions of the first look have left theirs.
            let read = if sides.source.registry() == sides.target.registry() { 2 } else { 0 };
            let there = wanted.len() + usize::from(request.moves_any()) + read;
            sides.target.open_ahead(blobs.saturating_sub(there));
            Ok(())
        };
        threads::map(&sides, each)
    };
    let tree = copies.then(|| both(connect, || missing::read(here, &manifest, names, request.referrers)).1);
    let signatures = match (&required, &tree) {
        (None, _) => Vec::new(),
        (Some(required), Some(tree)) => {
            signatures::check(here, &manifest, tree.as_ref().map_err(Clone::clone)?, required)?
        }
        (Some(required), None) => signatures::check_here(here, &manifest, required)?,
    };
    let labels = images.map(|found| OnceLock::from(Some(notes::labels_of(request, &found)))).unwrap_or_default();
    // The source's list says nothing about the tags of another place.
    if let (Some(listing), [only]) = (named.listing.filter(|_| !copies), firsts.as_mut_slice()) {
        only.listing = Some(Ok(listing));
    }
    let version = named.version;
    let source = Arc::new(SourceLook { reference, manifest, labels, required, signatures });
    let look = SecondLook { request, source, version, wanted, tree };
    let firsts: Vec<_> = sides.iter().zip(firsts).map(|(sides, first)| (sides, Mutex::new(Some(first)))).collect();
    let surveys = threads::map(&firsts, |(sides, first)| {
        let first = lock(first).take().ok_or_else(|| Error::new(Code::Internal, "a place was looked at twice"))?;
        look.survey(sides, first)
    })?;
    drop(firsts);
    let lane = |(sides, survey): (Sides<'r, 'w>, Survey)| {
        let (writes, copied, totals) = (Vec::new(), Default::default(), survey.totals);
        Lane { request, number, sides, survey, writes, copied, totals }
    };
    Ok(sides.into_iter().zip(surveys).map(lane).collect())
}

/// What is known of the source when its places are looked at.
struct SecondLook<'r> {
    request: &'r Promote,
    source: Arc<SourceLook>,
    version: Option<VersionTag>,
    wanted: Vec<(Tag, TagKind)>,
    tree: Option<Result<Arc<Tree>, Error>>,
}

impl SecondLook<'_> {
    /// What one place lacks, and how what its tags hold compares with the source.
    fn survey(&self, sides: &Sides, first: FirstLook) -> Result<Survey, Error> {
        let (request, looked, Sides { source: here, target, .. }) = (self.request, first.at, sides);
        let SourceLook { reference, manifest, .. } = &*self.source;
        let listing = first.listing.map(|listing| listing.map_err(|error| target.without_list(error)));
        let (mut version, mut listing) = (self.version.clone(), listing);
        let befores = match first.heads {
            // ECR makes a repository with the first push where a template says so; elsewhere that push is refused.
            Err(error) if error.code() == Code::RepositoryUnknown && !request.into.is_empty() && !request.dry_run => {
                vec![None; self.wanted.len()]
            }
            befores => befores?,
        };
        let (copy, totals) = match &self.tree {
            Some(tree) => {
                let is_there = befores.iter().flatten().any(|before| *before == manifest.digest);
                let tree = tree.as_ref().map_err(Clone::clone)?;
                let (copy, totals) = missing::plan(sides, request, manifest, tree, is_there)?;
                (Some(copy), totals)
            }
            None => (None, Totals::default()),
        };

        let compared = |kind: TagKind, before: &Option<Digest>| {
            before.clone().filter(|before| kind.moves() && *before != manifest.digest)
        };
        let mut versions = None;
        let mut moved =
            self.wanted.iter().zip(&befores).filter(|((_, kind), before)| compared(*kind, before).is_some());
        if let Some(((tag, _), _)) = moved.next() {
            // Without a version, and with leave to go back, nothing would be gained from the list.
            if version.is_none() && !request.is_free() {
                listing = listing.or_else(|| Some(target.tags(Detail::Times)));
            }
            match listing.take() {
                Some(Err(error)) if !request.is_free() => {
                    return Err(unlisted(error, &target.repository().tagged(tag).to_string()));
                }
                read => listing = read,
            }
            versions = listing.as_ref().and_then(|listing| Some(Versions::of(listing.as_ref().ok()?, &request.format)));
            if version.is_none() && !request.is_free() {
                version = match (request.into.is_empty(), &versions) {
                    (true, Some(versions)) => versions.of_digest(here, &manifest.digest)?,
                    _ => {
                        let listing = here.tags(Detail::Times);
                        let listing = listing.map_err(|error| unlisted(error, &reference.to_string()))?;
                        Versions::of(&listing, &request.format).of_digest(here, &manifest.digest)?
                    }
                };
            }
        }
        let own = version.as_ref().map(|tag| tag.version);
        let mut targets = Vec::new();
        for ((tag, kind), before) in self.wanted.iter().cloned().zip(befores) {
            let comparison = match (compared(kind, &before), &versions) {
                (Some(before), Some(versions)) => versions.compare(target, own.as_ref(), &before)?,
                // Only `--allow-downgrade` comes here without a list, and then nothing is compared.
                (Some(_), None) if own.is_none() => Comparison::Unversioned,
                _ => Comparison::Nothing,
            };
            targets.push(Target { tag, kind, before, comparison });
        }
        let listing = match listing {
            Some(Err(error)) if error.code() == Code::RepositoryUnknown => Some(Listing::empty()),
            listing => listing.and_then(Result::ok),
        };
        let (repository, digest) = (target.repository().to_string(), manifest.digest.clone());
        let facts = Facts { repository, digest, version: own, targets };
        let source = self.source.clone();
        Ok(Survey { source, looked, version, facts, versions, listing, totals, copy, arns: first.arns })
    }
}

/// What was read at first.
type FirstAnswers = (NamedSource, RawManifest, Option<Result<Listing, Error>>, Vec<FirstLook>);

/// Reads the source, and asks beside that what can be asked without it. Whoever waits for a source asks nothing else
/// until it is there.
fn read(sides: &[Sides], request: &Promote) -> Result<FirstAnswers, Error> {
    let here = &sides[0].source;
    let may_ask = here.exchange().settings.wait.is_none();
    // Once the list has told the source's name, source and tags are asked at once.
    let named = match request.source {
        PromotionSource::Build { .. } if may_ask && !here.lists_digests() => {
            let count = request.templates().count().min(3);
            both(|| here.open_ahead(count), || name(here, request)).1
        }
        _ => name(here, request),
    }?;
    // A registry that tells everything in one call is asked on the connection that its list came by.
    let is_warm = named.listing.is_some() && here.lists_digests();
    let ahead = may_ask && !is_warm;
    let wanted = named.wanted.as_deref().filter(|_| ahead);
    let mut questions = vec![FirstQuestion::Source];
    if ahead && !request.into.is_empty() && request.referrers && named.listing.is_none() {
        questions.push(FirstQuestion::Names);
    }
    questions.extend(sides.iter().filter(|_| wanted.is_some()).map(FirstQuestion::Place));
    let answers = threads::map(&questions, |question| match question {
        FirstQuestion::Source => manifest(here, &named.reference).map(|source| FirstAnswer::Source(Box::new(source))),
        FirstQuestion::Names => Ok(FirstAnswer::Names(here.tags(Detail::Names))),
        FirstQuestion::Place(sides) => {
            Ok(FirstAnswer::Place(first(sides, request, &named, wanted.unwrap_or_default())))
        }
    })?;
    let (mut source, mut names, mut firsts) = (None, None, Vec::new());
    for answer in answers {
        match answer {
            FirstAnswer::Source(manifest) => source = Some(*manifest),
            FirstAnswer::Names(listing) => names = Some(listing),
            FirstAnswer::Place(first) => firsts.push(first),
        }
    }
    let source = source.ok_or_else(|| Error::new(Code::Internal, "a source was not read"))?;
    let names = names.map(|listing| listing.map_err(|error| here.without_list(error)));
    Ok((named, source, names, firsts))
}

/// The source by its name. Words that cannot become tags are refused before anything is asked.
fn name(here: &Remote, request: &Promote) -> Result<NamedSource, Error> {
    let (reference, listing) = source(here, request)?;
    let version = reference.tag().and_then(|tag| request.format.read(tag.as_str()));
    let needs_version = request.templates().any(|(template, _)| template.needs_version());
    // Whether a tag of two parts is a version shows in the list.
    let is_open = match &version {
        Some(tag) => tag.version.may_float() && (needs_version || request.moves_any() && !request.is_free()),
        None => needs_version,
    };
    let wanted = if is_open { None } else { Some(expand(request, &reference, version.as_ref())?) };
    Ok(NamedSource { reference, listing, version, wanted })
}

/// What a place holds, as far as that can be asked without knowing the source's manifest.
fn first(sides: &Sides, request: &Promote, named: &NamedSource, wanted: &[(Tag, TagKind)]) -> FirstLook {
    let (target, at) = (&sides.target, sides.target.world().instant());
    let tags: Vec<Tag> = wanted.iter().map(|(tag, _)| tag.clone()).collect();
    let has_list = request.into.is_empty() && named.listing.is_some();
    let wants_list = named.version.is_some() && request.moves_any() && !has_list;
    let list = || wants_list.then(|| target.tags(Detail::Times));
    let (arns, (heads, listing)) = both(|| notes::callers(sides, request), || both(|| target.heads(&tags), list));
    FirstLook { heads, listing, arns, at }
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
            let listing = if !request.moves_any() || copied {
                here.tags_of_build(*build, &request.format, Detail::Times)?
            } else {
                here.tags(Detail::Times)?
            };
            let found = find_tag::pick(here, &listing, *build, *newest, &request.format)?;
            Ok((repository.tagged(&found.chosen.tag.tag), request.moves_any().then_some(listing)))
        }
    }
}

/// Fills the placeholders in; a tag that ends up among those that stay and those that move is refused.
fn expand(request: &Promote, source: &Reference, version: Option<&VersionTag>) -> Result<Vec<(Tag, TagKind)>, Error> {
    let mut wanted: Vec<(Tag, TagKind)> = Vec::new();
    let named = source.tag();
    let version = version.map(VersionTag::written);
    for (template, kind) in request.templates() {
        let tag = template.expand(named, version.as_deref()).map_err(|error| error.about(&source.to_string()))?;
        match wanted.iter().find(|(known, _)| *known == tag) {
            None => wanted.push((tag, kind)),
            Some((_, known)) if *known == kind => {}
            Some((_, known)) => {
                let message = format!("`{tag}` is named both by `{}` and by `{}`", known.flag(), kind.flag());
                return Err(Error::new(Code::RequestInvalid, message).hint("name it once"));
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
