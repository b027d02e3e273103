//! A list of manifests by platform.
//!
//! Read as part of [`crate::pure::image::content::Content`].

use crate::pure::image::{Descriptor, MediaType};
use std::collections::BTreeMap;

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The media type it came with.
    pub media_type: MediaType,
    /// Everything it names, in its order.
    pub manifests: Vec<Descriptor>,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// What the artifact is, where it says so.
    pub artifact_type: Option<String>,
}

impl Index {
    /// The images, and further indexes, that it names; attestations and other artifacts are left out.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|descriptor| descriptor.may_be_image())
    }

    /// What all that it names is, by its descriptors.
    pub(super) fn kind(&self) -> Option<&str> {
        let first = self.manifests.first()?.artifact_type.as_deref();
        first.filter(|_| self.manifests.iter().all(|one| one.artifact_type.as_deref() == first))
    }
}
