//! The line of `inspect`: looks at the reference, at the list of tags beside that, and tells.

use crate::command::inspect::bytes;
use crate::command::platforms::ImageSet;
use crate::command::report::Report;
use crate::command::request::Inspect;
use crate::command::session::Session;
use crate::command::wait::until_there;
use crate::command::{platforms, referrers};
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::image::referrers::grouped;
use crate::pure::image::{Descriptor, Detail, Digest, Listing, Reference, ReferrerGroup, Tag};
use crate::pure::promote::Push;
use crate::pure::text::{quoted, show};
use crate::pure::version::{TagFormat, pick};
use crate::registry::Remote;
use crate::threads::both;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many tags are looked at one by one where the list has no digests.
const LOOKED_AT: usize = 64;
/// How long to wait for what points at the image, without which there is an answer too.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InspectResult {
    reference: String,
    digest: Digest,
    media_type: String,
    artifact_type: Option<String>,
    version: Option<String>,
    aliases: Vec<String>,
    platforms: Vec<PlatformDigest>,
    created: Option<String>,
    pushed: Option<Push>,
    size: u64,
    referrers: Option<Vec<ReferrerGroup>>,
}

#[derive(Serialize)]
struct PlatformDigest {
    platform: String,
    digest: Digest,
}

/// What a reference points at.
struct InspectSubject {
    /// The images; none where it is something else.
    found: ImageSet,
    /// What that is.
    artifact_type: Option<String>,
    /// The size either way.
    size: u64,
    /// What the registry lists that points at it.
    direct: Option<Option<Vec<Descriptor>>>,
}

/// Reads the image and looks for its other tags, and for what points at it.
///
/// # Errors
/// Those of reading; a tag list that cannot be had only warns.
pub fn run(session: &Session, request: &Inspect) -> Result<Report, Error> {
    let reference = &request.reference;
    let remote = session.remote(reference.repository(), Action::Pull);
    if let Some(part) = request.part {
        return bytes::print(&remote, reference, part);
    }
    let look = || {
        let (listing, found) = both(|| remote.tags(Detail::Times), || read(&remote, reference));
        Ok((listing, found?))
    };
    let (listing, subject) = until_there(&remote, &format!("`{reference}`"), look)?;
    let InspectSubject { found, artifact_type, size, direct } = subject;
    let unlisted = |error: Error| {
        remote.warn("aliases-unknown", format!("other tags are not known: {}", error.message()));
    };
    let listing = listing.map_err(unlisted).ok();
    let format = listing.as_ref().map(|listing| TagFormat::default().among(&listing.tags)).unwrap_or_default();
    let pointers = || referrers::known(&remote, &found.digest, direct, listing.as_ref());
    let same = || listing.as_ref().map(|listing| aliases(&remote, listing, &found.digest)).transpose();
    let (pointers, aliases) = both(pointers, same);
    let mut aliases = aliases?.unwrap_or_default();
    let own = reference.tag().filter(|_| reference.digest().is_none());
    let pushed = own.and_then(|tag| {
        let listed = listing.as_ref().and_then(|listing| Push::listed(listing, tag, &found.digest));
        listed.or_else(|| Push::recorded(&pointers.as_ref()?.listed, tag))
    });
    aliases.retain(|tag| Some(tag.as_str()) != own.map(Tag::as_str));
    let version = own
        .and_then(|tag| format.read(tag.as_str()))
        .or_else(|| aliases.iter().find_map(|alias| format.read(alias)))
        .map(|tag| tag.text);
    let created = created(&found);
    let platforms = found
        .images
        .into_iter()
        .map(|image| PlatformDigest { platform: image.platform.to_string(), digest: image.digest })
        .collect::<Vec<_>>();
    let kind = match &artifact_type {
        Some(kind) => quoted(kind),
        None if platforms.is_empty() => "no image".to_owned(),
        None => platforms.iter().map(|one| one.platform.as_str()).collect::<Vec<_>>().join(" "),
    };
    let version_or_none = version.as_deref().unwrap_or("no version");
    let sentence = format!("`{reference}` is {version_or_none}, {kind}, {}", show::bytes(size));
    let answer = InspectResult {
        reference: reference.to_string(),
        digest: found.digest,
        media_type: found.media_type,
        artifact_type,
        version,
        aliases,
        platforms,
        created,
        pushed,
        size,
        referrers: pointers.map(|known| grouped(&known.listed, &known.cosign)),
    };
    Report::new(&answer, sentence)
}

/// Reads what a reference points at, and asks what points at that.
fn read(remote: &Remote, reference: &Reference) -> Result<InspectSubject, Error> {
    let name = reference.to_string();
    let top = remote.named_manifest(&platforms::identifier(reference)?)?;
    let (direct, found) = both(
        || remote.direct_referrers(&top.digest, Some(PATIENCE)),
        || platforms::of(remote, &name, top.clone(), None),
    );
    let artifact_type = top.content.artifact_type().map(str::to_owned);
    let (found, size) = match found {
        Ok(mut found) => {
            let size = size(&found);
            // A signature may have the config of an image that runs nowhere.
            found.images.retain(|image| artifact_type.is_none() || !image.platform.os.is_empty());
            (found, size)
        }
        Err(error) if matches!(error.code(), Code::NotAnImage | Code::IndexEmpty) => {
            let (digest, media_type) = (top.digest.clone(), top.media_type.clone());
            let size = platforms::weight(remote, &name, top)?;
            (ImageSet { digest, media_type, index_size: 0, annotations: BTreeMap::new(), images: Vec::new() }, size)
        }
        Err(error) => return Err(error),
    };
    Ok(InspectSubject { found, artifact_type, size, direct })
}

/// Every other tag with the same digest, versions newest first, then the rest by name.
fn aliases(remote: &Remote, listing: &Listing, digest: &Digest) -> Result<Vec<String>, Error> {
    let ordered = pick::order(&listing.tags, &TagFormat::default());
    let unknown: Vec<Tag> = ordered
        .iter()
        .filter(|listed| listed.digest.is_none())
        .filter_map(|listed| Tag::parse(&listed.name).ok())
        .collect();
    // Names such as `latest` come after all versions and are what people ask about, so both ends are looked at.
    let asked: Vec<Tag> = if unknown.len() <= LOOKED_AT {
        unknown.clone()
    } else {
        let half = LOOKED_AT / 2;
        unknown[..half].iter().chain(&unknown[unknown.len() - half..]).cloned().collect()
    };
    if asked.len() < unknown.len() {
        let sentence = format!("only {} of {} tags were looked at for the same digest", asked.len(), unknown.len());
        remote.warn("aliases-partial", sentence);
    }
    let heads = remote.heads(&asked)?;
    let same = |name: &str, known: Option<&Digest>| {
        known == Some(digest)
            || asked.iter().zip(&heads).any(|(tag, head)| tag.as_str() == name && head.as_ref() == Some(digest))
    };
    Ok(ordered.iter().filter(|l| same(&l.name, l.digest.as_ref())).map(|l| l.name.clone()).collect())
}

/// When the image was built; of several platforms, the last one.
pub fn created(found: &ImageSet) -> Option<String> {
    found.images.iter().filter_map(|image| image.config.created.clone()).max()
}

/// All bytes that a mirror of it would hold: manifests, config blobs and layers, each once.
pub fn size(found: &ImageSet) -> u64 {
    let mut seen = std::collections::HashSet::new();
    let mut size = found.index_size;
    for image in &found.images {
        size = size.saturating_add(image.manifest_size);
        for blob in std::iter::once(&image.manifest.config).chain(&image.manifest.layers) {
            if seen.insert(&blob.digest) {
                size = size.saturating_add(blob.size);
            }
        }
    }
    size
}
