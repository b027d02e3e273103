//! The images behind a reference, one for each platform, with their config blobs; shared by the commands that
//! look into images.

use crate::error::{Code, Error};
use crate::pure::image::{
    Artifact, Config, Content, Descriptor, Digest, Identifier, Manifest, MediaType, Platform, RawManifest, Reference,
};
use crate::pure::text::{quoted, show};
use crate::registry::{Remote, limits};
use crate::threads;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// How deep an index may name further indexes.
const DEPTH: usize = 3;
/// How many images one reference may stand for.
const MOST: usize = 500;

/// One image of one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The platform, by the index, else by the config blob.
    pub platform: Platform,
    /// What the manifest says.
    pub manifest: Manifest,
    /// The size of the manifest in bytes.
    pub manifest_size: u64,
    /// The config blob.
    pub config: Config,
}

/// A reference and the images behind it.
#[derive(Clone, Debug)]
pub struct ImageSet {
    /// The digest of what the reference points at.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// The size of the index, zero where the reference is an image itself.
    pub index_size: u64,
    /// The annotations of the index, none where the reference is an image itself.
    pub annotations: BTreeMap<String, String>,
    /// The images, in the order of the index.
    pub images: Vec<Image>,
}

/// Reads the images of a reference. With a platform, entries that name another one are not fetched.
///
/// # Errors
/// `not-an-image`, `index-empty`, `platform-missing`, and those of reading.
pub fn read(remote: &Remote, reference: &Reference, platform: Option<&Platform>) -> Result<ImageSet, Error> {
    let top = remote.named_manifest(&identifier(reference)?)?;
    of(remote, &reference.to_string(), top, platform)
}

/// How many bytes a mirror of a manifest would hold that is no image: it, all that it names, and what that names, each
/// once. What is no manifest itself is not read.
///
/// # Errors
/// `blob-missing`, `size-exceeded`, and those of reading.
pub fn weight(remote: &Remote, name: &str, top: RawManifest) -> Result<u64, Error> {
    let (mut level, mut seen, mut size) = (vec![top], HashSet::new(), 0_u64);
    for depth in 0..=DEPTH {
        let mut entries = Vec::new();
        for fetched in level {
            size = size.saturating_add(fetched.body.len() as u64);
            for part in fetched.content.parts().filter(|part| seen.insert(part.digest.clone())) {
                let media_type = MediaType::parse(&part.media_type);
                if depth < DEPTH && (media_type.is_index() || media_type.is_manifest()) {
                    entries.push(part.clone());
                } else {
                    size = size.saturating_add(part.size);
                }
            }
        }
        level = children(remote, name, &entries, std::iter::empty())?;
    }
    Ok(size)
}

/// The images behind a manifest that has been read already.
///
/// # Errors
/// As [`read`].
pub fn of(remote: &Remote, name: &str, top: RawManifest, platform: Option<&Platform>) -> Result<ImageSet, Error> {
    let (digest, media_type) = (top.digest.clone(), top.media_type.clone());
    let (index_size, annotations) = match &top.content {
        Content::Index(index) => (top.body.len() as u64, index.annotations.clone()),
        Content::Image(_) | Content::Artifact(_) => Default::default(),
    };
    let leaves = leaves(remote, name, top, platform)?;
    let configs = leaves.iter().filter_map(|leaf| match &leaf.fetched.content {
        Content::Image(manifest) => Some(manifest.config.size),
        Content::Index(_) | Content::Artifact(_) => None,
    });
    let width = room(name, configs)?;
    let images = threads::map_at(width, &leaves, |leaf| image(remote, name, leaf))?;
    Ok(ImageSet { digest, media_type, index_size, annotations, images })
}

/// What a reference names; `latest` has been filled in before.
///
/// # Errors
/// `missing-value` for a reference without tag and digest.
pub fn identifier(reference: &Reference) -> Result<Identifier, Error> {
    reference
        .identifier()
        .ok_or_else(|| Error::new(Code::MissingValue, format!("`{reference}` names neither a tag nor a digest")))
}

/// That a platform is not there, with those that are.
pub fn missing(name: &str, wanted: &Platform, known: BTreeSet<String>) -> Error {
    let list = show::list(known.iter().map(|platform| quoted(platform)));
    Error::new(Code::PlatformMissing, format!("`{name}` has no image for `{wanted}`"))
        .hint(format!("name one that it has: {list}"))
        .detail("platforms", json!(known))
}

struct Leaf {
    platform: Option<Platform>,
    fetched: RawManifest,
}

fn leaves(remote: &Remote, name: &str, top: RawManifest, platform: Option<&Platform>) -> Result<Vec<Leaf>, Error> {
    match &top.content {
        Content::Image(manifest) if !manifest.is_image() => return Err(not_an_image(name, manifest)),
        Content::Image(_) => return Ok(vec![Leaf { platform: None, fetched: top }]),
        Content::Artifact(artifact) => return Err(of_another_kind(name, artifact)),
        Content::Index(_) => {}
    }
    let entries = if let Content::Index(index) = &top.content { index.manifests.len() } else { 0 };
    let (mut level, mut leaves, mut others) = (vec![top], Vec::new(), None);
    let mut skipped: BTreeSet<String> = BTreeSet::new();
    for _ in 0..DEPTH {
        let entries: Vec<Descriptor> = level
            .iter()
            .filter_map(|fetched| match &fetched.content {
                Content::Index(index) => Some(index.images().cloned().collect::<Vec<_>>()),
                Content::Image(_) | Content::Artifact(_) => None,
            })
            .flatten()
            .filter(|entry| match (&entry.platform, platform) {
                (Some(has), Some(wanted)) if !has.matches(wanted) => {
                    skipped.insert(has.to_string());
                    false
                }
                _ => true,
            })
            .collect();
        let known = leaves.iter().map(|leaf: &Leaf| leaf.fetched.body.len() as u64);
        let children = children(remote, name, &entries, known)?;
        level = Vec::new();
        for (entry, fetched) in entries.into_iter().zip(children) {
            match &fetched.content {
                Content::Index(_) => level.push(fetched),
                Content::Image(manifest) if manifest.is_image() => {
                    leaves.push(Leaf { platform: entry.platform, fetched })
                }
                Content::Image(manifest) => others = Some(not_an_image(name, manifest)),
                Content::Artifact(artifact) => others = Some(of_another_kind(name, artifact)),
            }
        }
        if level.is_empty() {
            break;
        }
    }
    match (leaves.is_empty(), platform, others) {
        (false, ..) => Ok(leaves),
        (true, Some(wanted), _) if !skipped.is_empty() => Err(missing(name, wanted, skipped)),
        (true, _, Some(error)) => Err(error),
        (true, _, None) => Err(Error::new(Code::IndexEmpty, format!("`{name}` is an index that names no image"))
            .cause(match entries {
                0 => "it has no entries".to_owned(),
                1 => "its one entry is an attestation or another artifact".to_owned(),
                n => format!("its {n} entries are attestations or other artifacts"),
            })
            .hint(format!("build and push the image again, for one platform at least; `tagwright inspect {name}` tells what this is"))),
    }
}

/// The manifests that an index names, beside others of these sizes that have been read.
fn children(
    remote: &Remote,
    name: &str,
    entries: &[Descriptor],
    known: impl ExactSizeIterator<Item = u64>,
) -> Result<Vec<RawManifest>, Error> {
    if known.len() + entries.len() > MOST {
        return Err(Error::new(Code::SizeExceeded, format!("`{name}` names more than {MOST} images")));
    }
    let width = room(name, known.chain(entries.iter().map(|entry| entry.size)))?;
    threads::map_at(width, entries, |entry| {
        let identifier = Identifier::Digest(entry.digest.clone());
        remote.manifest(&identifier).map_err(|error| child(name, entry, error))
    })
}

/// How many contents of these sizes are read side by side.
///
/// # Errors
/// `size-exceeded` where all of them together are larger than an image may be.
fn room(name: &str, sizes: impl Iterator<Item = u64>) -> Result<usize, Error> {
    let (sum, largest) =
        sizes.fold((0_u64, 0), |(sum, largest), size| (sum.saturating_add(size), std::cmp::max(largest, size)));
    if sum <= limits::MANIFESTS {
        return Ok(limits::at_once(largest));
    }
    let (is, most) = (show::bytes(sum), show::bytes(limits::MANIFESTS));
    let message = format!("what describes the images of `{name}` has {is}, more than {most}");
    Err(Error::new(Code::SizeExceeded, message).hint("name one of them with `--platform`, or by its digest"))
}

fn image(remote: &Remote, name: &str, leaf: &Leaf) -> Result<Image, Error> {
    let Content::Image(manifest) = &leaf.fetched.content else {
        return Err(Error::new(Code::Internal, "an index among the images"));
    };
    let body = remote
        .blob(&manifest.config, "config blob", limits::CONFIG)
        .map_err(|error| error.during(format!("reading the labels of `{name}`")))?;
    let config = Config::parse(&body).map_err(|error| error.about(name))?;
    let platform = leaf
        .platform
        .clone()
        .unwrap_or_else(|| Platform::new(&config.os, &config.architecture, config.variant.as_deref(), None));
    Ok(Image {
        digest: leaf.fetched.digest.clone(),
        platform,
        manifest: manifest.clone(),
        manifest_size: leaf.fetched.body.len() as u64,
        config,
    })
}

/// An image that its index names and that is not there is damage, not a question of spelling.
fn child(name: &str, entry: &Descriptor, error: Error) -> Error {
    if error.code() == Code::TagUnknown {
        error
            .with_code(Code::BlobMissing)
            .retold(format!("the index `{name}` names `{}`, and it is not there", entry.digest))
            .hint("push the image again; somebody may have deleted one platform of it")
    } else {
        error
    }
}

fn not_here(name: &str) -> String {
    format!("name a container image; artifacts have no labels, and `tagwright inspect {name}` tells what this is")
}

fn of_another_kind(name: &str, artifact: &Artifact) -> Error {
    let kind = quoted(artifact.media_type.as_str());
    Error::new(Code::NotAnImage, format!("`{name}` is not a container image: its manifest is of the media type {kind}"))
        .hint(not_here(name))
}

fn not_an_image(name: &str, manifest: &Manifest) -> Error {
    let kind = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
    let known = if kind.contains("helm") {
        "a Helm chart"
    } else if kind.contains("cosign") || kind.contains("sigstore") {
        "a signature"
    } else {
        "an artifact"
    };
    Error::new(
        Code::NotAnImage,
        format!("`{name}` is {known}, not a container image: its config has the type {}", quoted(kind)),
    )
    .hint(not_here(name))
}
