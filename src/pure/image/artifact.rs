//! A manifest that is neither an image nor an index: the retired artifact manifest, or one of a kind that is not known.
//!
//! Read as part of [`crate::pure::image::content::Content`].

use crate::pure::image::{Descriptor, MediaType};
use std::collections::BTreeMap;

/// A manifest of another kind, of which only what is in it as text is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The media type it came with.
    pub media_type: MediaType,
    /// The blobs that it names.
    pub blobs: Vec<Descriptor>,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// What the artifact is, where it says so.
    pub artifact_type: Option<String>,
}
