//! What `promote` reads for its record alone: labels of note, and who the caller is. It decides nothing.

use crate::command::platforms;
use crate::command::platforms::ImageSet;
use crate::command::promote::RecordNotes;
use crate::command::request::Promote;
use crate::command::session::Sides;
use crate::error::Code;
use crate::pure::image::{RawManifest, Reference};
use crate::pure::promote::record;
use crate::registry::Remote;

/// Reads what belongs into the record; `found` is what was read for required labels.
pub fn read(
    sides: &Sides,
    request: &Promote,
    source: &Reference,
    top: &RawManifest,
    found: Option<&ImageSet>,
) -> RecordNotes {
    let labels = |found: &ImageSet| {
        record::labels(found.images.iter().map(|image| &image.config.labels), &request.require_labels)
    };
    if request.record.is_none() && !request.attach_record {
        return RecordNotes { labels: found.map(labels), ..RecordNotes::default() };
    }
    let read = || platforms::of(&sides.source, &source.to_string(), top.clone(), None);
    let labels = match (found, found.is_none().then(read)) {
        (Some(found), _) => Some(labels(found)),
        (None, Some(Ok(found))) => Some(labels(&found)),
        (None, Some(Err(error))) if !matches!(error.code(), Code::NotAnImage | Code::IndexEmpty) => {
            let sentence = format!("the record does without labels: {}", error.message());
            sides.source.warn("labels-unknown", sentence);
            None
        }
        _ => None,
    };
    let at_source = arn(&sides.source);
    let at_target = if sides.source.is_of_one_caller(&sides.target) { at_source.clone() } else { arn(&sides.target) };
    RecordNotes { labels, arns: [at_source, at_target] }
}

fn arn(side: &Remote) -> Option<String> {
    side.arn().unwrap_or_else(|error| {
        let sentence = format!("who the caller is could not be asked: {}", error.message());
        side.warn("identity-unknown", sentence);
        None
    })
}
