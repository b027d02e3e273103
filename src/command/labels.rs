//! `labels`: the labels of an image, read from its config blob without pulling a layer.

use crate::command::platforms;
use crate::command::platforms::Image;
use crate::command::report::Report;
use crate::command::request::Labels;
use crate::command::session::Session;
use crate::command::wait::until_there;
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::image::{Digest, Platform};
use crate::pure::text::{nearest, quoted, show};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What `labels` answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LabelsResult {
    reference: String,
    digest: Digest,
    media_type: String,
    manifest_digest: Option<Digest>,
    platform: Option<String>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Sources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platforms: Option<Vec<PlatformLabels>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistent: Option<bool>,
}

/// One platform's labels, with `--all-platforms`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlatformLabels {
    platform: String,
    digest: Digest,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Sources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Option<String>>,
}

/// Where each value came from.
type Sources = BTreeMap<String, String>;

/// An image, and those of its labels that were asked for.
struct ImageLabels<'i> {
    image: &'i Image,
    labels: BTreeMap<String, String>,
    sources: Sources,
    /// The names of all that it has.
    names: HashSet<&'i str>,
}

/// Reads, compares, answers.
///
/// # Errors
/// `label-missing`, `platform-missing`, `platform-ambiguous`, `not-an-image`, `index-empty`,
/// `schema1-unsupported`, and those of reading.
pub fn run(session: &Session, request: &Labels) -> Result<Report, Error> {
    let name = request.reference.to_string();
    let remote = session.remote(request.reference.repository(), Action::Pull);
    let read = || platforms::read(&remote, &request.reference, request.platform.as_ref());
    let found = until_there(&remote, &quoted(&name), read)?;
    let images = select(&name, found.images, request.platform.as_ref())?;
    let asked: Vec<ImageLabels> = images.iter().map(|image| wanted(image, &found.annotations, request)).collect();
    let agree = asked.windows(2).all(|pair| pair[0].labels == pair[1].labels);
    if !agree && !request.all_platforms {
        return Err(ambiguous(&name, &asked));
    }
    missing(&name, request, &asked, &found.annotations)?;

    let only = (images.len() == 1).then(|| &images[0]);
    let (labels, sources) = match asked.first() {
        Some(first) if agree => with_default(first, request),
        _ => Default::default(),
    };
    let value = |labels: &BTreeMap<String, String>| match request.keys.as_slice() {
        [key] => Some(labels.get(key).cloned()),
        _ => None,
    };
    let platforms = request.all_platforms.then(|| {
        let one = |one: &ImageLabels| {
            let (labels, sources) = with_default(one, request);
            PlatformLabels {
                platform: one.image.platform.to_string(),
                digest: one.image.digest.clone(),
                value: value(&labels),
                labels,
                sources: request.annotations.then_some(sources),
            }
        };
        asked.iter().map(one).collect()
    });
    let sentence = match (request.keys.as_slice(), value(&labels).flatten()) {
        ([key], Some(value)) => format!("{} of `{name}` is {}", quoted(key), quoted(&value)),
        _ if !agree => format!("the {} platforms of `{name}` do not agree", images.len()),
        _ => format!("`{name}` has {} {}", labels.len(), if labels.len() == 1 { "label" } else { "labels" }),
    };
    let answer = LabelsResult {
        reference: name,
        digest: found.digest,
        media_type: found.media_type,
        manifest_digest: only.map(|image| image.digest.clone()),
        platform: only.map(|image| image.platform.to_string()),
        value: value(&labels),
        labels,
        sources: request.annotations.then_some(sources),
        consistent: request.all_platforms.then_some(agree),
        platforms,
    };
    Report::new(&answer, sentence)
}

/// The images of the platform that was asked for; all of them if none was.
///
/// # Errors
/// `platform-missing`.
pub fn select(name: &str, images: Vec<Image>, platform: Option<&Platform>) -> Result<Vec<Image>, Error> {
    let Some(wanted) = platform else {
        return Ok(images);
    };
    let known: BTreeSet<String> = images.iter().map(|image| image.platform.to_string()).collect();
    let chosen: Vec<Image> = images.into_iter().filter(|image| image.platform.matches(wanted)).collect();
    if chosen.is_empty() {
        return Err(platforms::missing(name, wanted, known));
    }
    Ok(chosen)
}

/// The labels that were asked for, as far as this image has them.
fn wanted<'i>(image: &'i Image, index: &'i BTreeMap<String, String>, request: &Labels) -> ImageLabels<'i> {
    let places = [("label", &image.config.labels), ("manifest", &image.manifest.annotations), ("index", index)];
    let places = places.into_iter().take(if request.annotations { 3 } else { 1 });
    let mut found = ImageLabels { image, labels: BTreeMap::new(), sources: Sources::new(), names: HashSet::new() };
    for (key, value, place) in places.flat_map(|(place, all)| all.iter().map(move |(key, value)| (key, value, place))) {
        let is_asked = request.keys.is_empty() || request.keys.contains(key);
        if found.names.insert(key) && is_asked {
            found.labels.insert(key.clone(), value.clone());
            found.sources.insert(key.clone(), place.to_owned());
        }
    }
    found
}

fn with_default(found: &ImageLabels, request: &Labels) -> (BTreeMap<String, String>, Sources) {
    let (mut labels, mut sources) = (found.labels.clone(), found.sources.clone());
    if let Some(default) = &request.default {
        for key in &request.keys {
            labels.entry(key.clone()).or_insert_with(|| default.clone());
            sources.entry(key.clone()).or_insert_with(|| "default".to_owned());
        }
    }
    (labels, sources)
}

/// A label that no platform has is missing, unless there is something to answer in its place.
fn missing(name: &str, request: &Labels, asked: &[ImageLabels], index: &BTreeMap<String, String>) -> Result<(), Error> {
    if request.default.is_some() {
        return Ok(());
    }
    let absent: Vec<&String> =
        request.keys.iter().filter(|key| !asked.iter().any(|one| one.labels.contains_key(*key))).collect();
    let Some(first) = absent.first() else {
        return Ok(());
    };
    let mut existing: Vec<&str> = asked.iter().flat_map(|one| one.names.iter().copied()).collect();
    existing.sort_unstable();
    existing.dedup();
    let message = match absent.len() {
        1 => format!("`{name}` has no label {}", quoted(first)),
        n => format!("`{name}` lacks {n} of the labels asked for: {}", list(absent.iter().map(|key| key.as_str()))),
    };
    let error = Error::new(Code::LabelMissing, message).detail("labels", existing.as_slice());
    let is_annotated = |one: &ImageLabels| one.image.manifest.annotations.contains_key(*first);
    let instead = match nearest(first, existing.iter().copied()) {
        _ if index.contains_key(*first) || asked.iter().any(is_annotated) => {
            "read the annotation of that name with `--annotations`".to_owned()
        }
        Some(near) => format!("ask for {}", quoted(near)),
        None if existing.is_empty() => "check that the build sets labels, this image has none".to_owned(),
        None => format!("ask for one that it has, {}", list(existing.into_iter())),
    };
    Err(error.hint(format!("{instead}; or give `--default VALUE`")))
}

fn ambiguous(name: &str, asked: &[ImageLabels]) -> Error {
    let mut differing: Vec<&str> = asked.iter().flat_map(|one| one.labels.keys().map(String::as_str)).collect();
    differing.sort_unstable();
    differing.dedup();
    differing.retain(|key| asked.windows(2).any(|p| p[0].labels.get(*key) != p[1].labels.get(*key)));
    let values: Vec<_> = asked
        .iter()
        .map(|ImageLabels { image, labels, .. }| {
            let labels: Map<String, Value> =
                differing.iter().map(|key| ((*key).to_owned(), json!(labels.get(*key)))).collect();
            json!({"platform": image.platform.to_string(), "digest": image.digest, "labels": labels})
        })
        .collect();
    let one = differing.first().copied().unwrap_or_default();
    let said = asked.iter().map(|ImageLabels { image, labels, .. }| match labels.get(one) {
        Some(value) => format!("{}: {}", image.platform, quoted(value)),
        None => format!("{}: not there", image.platform),
    });
    let message = format!("the platforms of `{name}` do not agree on {}", list(differing.iter().copied()));
    Error::new(Code::PlatformAmbiguous, message)
        .cause(format!("{}: {}", quoted(one), show::list(said)))
        .hint("name one with `--platform`, or read them all with `--all-platforms`")
        .detail("values", json!(values))
}

/// Names in backticks, cut short where there are too many to read.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    show::list(names.map(quoted))
}
