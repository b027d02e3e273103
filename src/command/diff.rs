//! `diff`: what changes from one image to another.

use crate::command::inspect::line::{created, size};
use crate::command::labels::select;
use crate::command::platforms::{self, ImageSet};
use crate::command::promote::Versions;
use crate::command::report::Report;
use crate::command::request::Diff;
use crate::command::session::Session;
use crate::error::Error;
use crate::pure::auth::scope::Action;
use crate::pure::image::difference::{self, LabelDifference, LabelMap, LayerDifference, PlatformDifference};
use crate::pure::image::{Descriptor, Detail, Digest, Listing, Platform, Reference};
use crate::pure::text::{quoted, show};
use crate::pure::version::TagFormat;
use crate::threads::both;
use serde::Serialize;

#[derive(Serialize)]
struct DiffResult {
    from: DiffSide,
    to: DiffSide,
    labels: LabelDifference,
    platforms: Vec<PlatformDifference>,
    layers: LayerDifference,
}

/// One of the two images.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiffSide {
    reference: String,
    digest: Digest,
    media_type: String,
    version: Option<String>,
    created: Option<String>,
    size: u64,
}

/// Reads both images side by side and compares them.
///
/// # Errors
/// Those of reading; a version that cannot be found out, and labels on which platforms do not agree, only warn.
pub fn run(session: &Session, request: &Diff) -> Result<Report, Error> {
    let Diff { from, to, platform } = request;
    let (before, after) = both(|| read(session, from, platform.as_ref()), || read(session, to, platform.as_ref()));
    let ((old, before), (new, after)) = (before?, after?);
    let labels = difference::labels(&agreed(session, &old, &before), &agreed(session, &new, &after));
    let images = |set: &ImageSet| -> Vec<(String, Digest)> {
        set.images.iter().map(|image| (image.platform.to_string(), image.digest.clone())).collect()
    };
    let platforms = difference::platforms(&images(&before), &images(&after));
    let layers = difference::layers(layers(&before), layers(&after));
    let sentence = if old.digest == new.digest {
        format!("`{from}` and `{to}` are the same image")
    } else {
        let count = labels.added.len() + labels.removed.len() + labels.changed.len();
        let (all, bytes) = (layers.shared + layers.new, show::bytes(layers.bytes));
        let version = |side: &DiffSide| side.version.clone().unwrap_or_else(|| side.digest.short().to_owned());
        format!(
            "from {} to {}: {count} labels differ, {} of {all} layers are new, {bytes} to pull",
            version(&old),
            version(&new),
            layers.new
        )
    };
    Report::new(&DiffResult { from: old, to: new, labels, platforms, layers }, sentence)
}

/// One image, with its version: by its own tag, else by the version tag that has the same digest.
fn read(session: &Session, reference: &Reference, platform: Option<&Platform>) -> Result<(DiffSide, ImageSet), Error> {
    let (name, format) = (reference.to_string(), TagFormat::default());
    let remote = session.remote(reference.repository(), Action::Pull);
    let named = |format: &TagFormat| format.read(reference.tag().filter(|_| reference.digest().is_none())?.as_str());
    // Whether a tag of two parts is a version shows in the list.
    let own = named(&format).filter(|tag| !tag.version.may_float());
    let list = || own.is_none().then(|| remote.tags(Detail::Names));
    let (listing, set) = both(list, || platforms::read(&remote, reference, platform));
    let mut set = set?;
    set.images = select(&name, set.images, platform)?;
    let of_digest = |listing: Result<Listing, Error>| {
        let listing = listing?;
        match named(&format.among(&listing.tags)) {
            None => Versions::of(&listing, &format).of_digest(&remote, &set.digest),
            own => Ok(own),
        }
    };
    let version = match (own, listing.map(of_digest)) {
        (None, Some(Err(error))) => {
            remote.warn("version-unknown", format!("which version `{name}` is cannot be told: {}", error.message()));
            None
        }
        (None, Some(Ok(found))) => found,
        (own, _) => own,
    };
    let side = DiffSide {
        reference: name,
        digest: set.digest.clone(),
        media_type: set.media_type.clone(),
        version: version.map(|tag| tag.text),
        created: created(&set),
        size: size(&set),
    };
    Ok((side, set))
}

fn layers(set: &ImageSet) -> impl Iterator<Item = &Descriptor> {
    set.images.iter().flat_map(|image| &image.manifest.layers)
}

/// The labels on which all platforms agree; which they do not agree on is a warning.
fn agreed(session: &Session, side: &DiffSide, set: &ImageSet) -> LabelMap {
    let (agreed, apart) = difference::agreed(set.images.iter().map(|image| &image.config.labels));
    if !apart.is_empty() {
        let (name, keys) = (&side.reference, show::list(apart.iter().map(|key| quoted(key))));
        let sentence = format!("the platforms of `{name}` do not agree on {keys}; compare one with `--platform`");
        session.exchange.warn("labels-apart", sentence);
    }
    agreed
}
