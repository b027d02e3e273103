//! What `promote` reads for its record alone: labels of note, and who the caller is. It decides nothing.

use crate::command::platforms;
use crate::command::platforms::ImageSet;
use crate::command::promote::SourceLook;
use crate::command::request::Promote;
use crate::command::session::Sides;
use crate::error::Code;
use crate::pure::promote::record;
use crate::registry::Remote;
use std::collections::BTreeMap;

fn is_kept(request: &Promote) -> bool {
    request.record.is_some() || request.attach_record
}

/// The labels that belong into the record, of what was read.
pub fn labels_of(request: &Promote, found: &ImageSet) -> BTreeMap<String, String> {
    record::labels(found.images.iter().map(|image| &image.config.labels), &request.require_labels)
}

/// Reads the labels that belong into the record, where one is kept.
pub fn labels(here: &Remote, request: &Promote, source: &SourceLook) -> Option<BTreeMap<String, String>> {
    if !is_kept(request) {
        return None;
    }
    match platforms::of(here, &source.reference.to_string(), source.manifest.clone(), None) {
        Ok(found) => Some(labels_of(request, &found)),
        Err(error) => {
            if !matches!(error.code(), Code::NotAnImage | Code::IndexEmpty) {
                here.warn("labels-unknown", format!("the record does without labels: {}", error.message()));
            }
            None
        }
    }
}

/// Who AWS says the caller is, at the source and at the target.
pub fn callers(sides: &Sides, request: &Promote) -> [Option<String>; 2] {
    if !is_kept(request) {
        return [None, None];
    }
    let at_source = arn(&sides.source);
    let at_target = if sides.source.is_of_one_caller(&sides.target) { at_source.clone() } else { arn(&sides.target) };
    [at_source, at_target]
}

fn arn(side: &Remote) -> Option<String> {
    side.arn().unwrap_or_else(|error| {
        let sentence = format!("who the caller is could not be asked: {}", error.message());
        side.warn("identity-unknown", sentence);
        None
    })
}
