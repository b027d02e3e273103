//! One image, or another artifact: a config blob and layers.
//!
//! Read as part of [`crate::pure::image::content::Content`].

use crate::pure::image::media_type::{is_image_config, is_layer};
use crate::pure::image::{Descriptor, MediaType};
use std::collections::BTreeMap;

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The media type it came with.
    pub media_type: MediaType,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// What the artifact is, where it says so.
    pub artifact_type: Option<String>,
}

impl Manifest {
    /// Whether it is a container image: the media type of its config blob says so.
    pub fn is_image(&self) -> bool {
        is_image_config(&self.config.media_type)
    }

    /// What it is by its config, or by its layers where that is a container image's and none of them holds files.
    pub(super) fn kind(&self) -> Option<&str> {
        match self.layers.first() {
            _ if !self.is_image() => Some(&self.config.media_type),
            Some(first) if !self.layers.iter().any(|layer| is_layer(&layer.media_type)) => Some(&first.media_type),
            _ => None,
        }
    }
}
