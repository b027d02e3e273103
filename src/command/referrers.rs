//! What points at an image, as far as the referrers API and a tag list that was read tell; shared by the commands that
//! report it.

use crate::pure::image::{Content, Descriptor, Digest, Identifier, Listing, Tag, TagEntry, referrers};
use crate::registry::Remote;

/// What points at an image.
#[derive(Clone, Debug)]
pub struct Pointers {
    /// What says so itself.
    pub listed: Vec<Descriptor>,
    /// The tags of cosign's older scheme.
    pub cosign: Vec<TagEntry>,
}

/// Puts together what the API said, what stands under the fall-back tag where there is no API, and cosign's tags; `None`
/// where that cannot be told.
pub fn known(
    remote: &Remote,
    digest: &Digest,
    direct: Option<Option<Vec<Descriptor>>>,
    listing: Option<&Listing>,
) -> Option<Pointers> {
    let Some(listing) = listing else {
        return Some(Pointers { listed: direct??, cosign: Vec::new() });
    };
    let entry = |tag: &Tag| listing.tags.iter().find(|listed| listed.name == tag.as_str());
    let cosign = referrers::cosign_tags(digest).iter().filter_map(entry).cloned().collect();
    let fallback = referrers::fallback_tag(digest);
    let listed = match direct? {
        Some(list) => list,
        None if entry(&fallback).is_some() => match remote.manifest(&Identifier::Tag(fallback)).ok()?.content {
            Content::Index(index) => index.manifests,
            // Whatever else stands under that tag is no list.
            Content::Image(_) | Content::Artifact(_) => Vec::new(),
        },
        None => Vec::new(),
    };
    Some(Pointers { listed, cosign })
}
