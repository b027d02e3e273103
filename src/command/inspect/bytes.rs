//! The bytes of a manifest or of a config blob, as they are in the registry and once they have their digest.

use crate::command::platforms;
use crate::command::report::Report;
use crate::command::request::RawPart;
use crate::command::wait::until_there;
use crate::error::{Code, Error};
use crate::pure::image::{Content, Descriptor, Identifier, RawManifest, Reference};
use crate::pure::text::{quoted, show};
use crate::registry::{Remote, limits};
use serde_json::json;

/// Reads them.
///
/// # Errors
/// `platform-ambiguous` for the config blob of several images, `index-empty`, `not-an-image` where there is none, and
/// those of reading.
pub fn print(remote: &Remote, reference: &Reference, part: RawPart) -> Result<Report, Error> {
    let identifier = platforms::identifier(reference)?;
    let manifest = until_there(remote, &format!("`{reference}`"), || remote.named_manifest(&identifier))?;
    let (bytes, digest, what) = match part {
        RawPart::Manifest => (manifest.body.to_vec(), manifest.digest.clone(), "manifest"),
        RawPart::Config => {
            let config = config(remote, reference, manifest)?;
            (remote.blob(&config, "config blob", limits::CONFIG)?, config.digest, "config blob")
        }
    };
    let sentence = format!("the {what} of `{reference}` is `{digest}`, {}", show::bytes(bytes.len() as u64));
    Ok(Report { result: String::new(), sentence, bytes: Some(bytes), exit: 0 })
}

/// Where the config blob is: of the one image that an index names, where there is one.
fn config(remote: &Remote, reference: &Reference, manifest: RawManifest) -> Result<Descriptor, Error> {
    let manifest = match &manifest.content {
        Content::Index(index) => match index.images().collect::<Vec<_>>()[..] {
            [one] => remote.manifest(&Identifier::Digest(one.digest.clone()))?,
            ref several => return Err(ambiguous(remote, reference, several)),
        },
        _ => manifest,
    };
    match manifest.content {
        Content::Image(manifest) => Ok(manifest.config),
        Content::Index(_) | Content::Artifact(_) => {
            let kind = quoted(&manifest.media_type);
            let message = format!("`{reference}` has no config blob: its manifest is of the media type {kind}");
            Err(Error::new(Code::NotAnImage, message).hint("print the manifest with `--raw`"))
        }
    }
}

fn ambiguous(remote: &Remote, reference: &Reference, images: &[&Descriptor]) -> Error {
    let Some(first) = images.first() else {
        let message = format!("`{reference}` is an index that names no image, and has no config blob");
        return Error::new(Code::IndexEmpty, message).hint("print the index with `--raw`");
    };
    let platform = |image: &Descriptor| image.platform.as_ref().map(ToString::to_string);
    let list = images
        .iter()
        .map(|image| format!("{}: `{}`", platform(image).as_deref().unwrap_or("no platform"), image.digest));
    let values: Vec<_> =
        images.iter().map(|image| json!({"platform": platform(image), "digest": image.digest})).collect();
    let message = format!("`{reference}` names {} images, and `--config` prints the config blob of one", images.len());
    Error::new(Code::PlatformAmbiguous, message)
        .cause(show::list(list))
        .hint(format!(
            "name one by its digest, as in `tagwright inspect {}@{} --config`",
            remote.repository(),
            first.digest
        ))
        .detail("values", json!(values))
}
