//! What the stations of a promotion hand on: what was seen, what a copy takes, one image on its way to one repository.

use crate::command::promote::{Referrer, Tree, Versions};
use crate::command::request::Promote;
use crate::command::session::Sides;
use crate::pure::image::{Descriptor, Digest, Listing, RawManifest, Reference};
use crate::pure::promote::{Facts, Referrers, RunRecord, TagWrite, Tally};
use crate::pure::signature::Requirement;
use crate::pure::version::VersionTag;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The image that is promoted, read once for all the places that it goes to.
pub struct SourceLook {
    /// As a reference.
    pub reference: Reference,
    /// The manifest, the very bytes.
    pub manifest: RawManifest,
    /// Labels of note, once that is settled.
    pub labels: OnceLock<Option<BTreeMap<String, String>>>,
    /// Who has to have signed it, where that is asked for.
    pub required: Option<Requirement>,
    /// The signatures that count, as they are told.
    pub signatures: Vec<Value>,
}

/// What was seen of an image and of one place that it goes to: the facts for the plan, and what acting on it needs.
pub struct Survey {
    /// The source.
    pub source: Arc<SourceLook>,
    /// When the place was asked what its tags hold.
    pub looked: Instant,
    /// The source's version as its tag has it.
    pub version: Option<VersionTag>,
    /// What the plan is made of.
    pub facts: Facts,
    /// The version tags, where a list was read.
    pub versions: Option<Versions>,
    /// The tag list of this look, where one was read.
    pub listing: Option<Listing>,
    /// What a copy would bring along, with what points at the source.
    pub totals: Totals,
    /// What has to be copied, where the tags are to be in another repository.
    pub copy: Option<CopyPlan>,
    /// Who AWS says the caller is, at the source and at the target, where that was asked for the record.
    pub arns: [Option<String>; 2],
}

/// One image on its way to one repository.
pub struct Lane<'r, 'w> {
    /// What was asked for.
    pub request: &'r Promote,
    /// Which promotion of the run it belongs to; lanes of one promotion are neighbours.
    pub number: usize,
    /// Where it comes from and goes to.
    pub sides: Sides<'r, 'w>,
    /// What was seen.
    pub survey: Survey,
    /// What happens to each tag.
    pub writes: Vec<TagWrite>,
    /// How many blobs and manifests the copy has written so far.
    pub copied: [AtomicU64; 2],
    /// What the copy brings along, and in the end has brought along.
    pub totals: Totals,
}

/// What has to be done so that the target holds the image.
pub struct CopyPlan {
    /// Blobs that the target's registry may have in the source's repository.
    pub mount: Vec<Descriptor>,
    /// Blobs that are sent.
    pub stream: Vec<Descriptor>,
    /// How many blobs are there.
    pub skipped: u64,
    /// Blobs that only referrers need.
    pub spare: HashSet<Digest>,
    /// The image and what points at it, with every manifest.
    pub tree: Arc<Tree>,
    /// Those that the target lacks, each after what it names; without referrers.
    pub manifests: Vec<Digest>,
    /// Whether the target has the image itself.
    pub root_is_there: bool,
    /// How many layers stay where their addresses say.
    pub foreign: usize,
    /// Referrers that the target does not list, each after what it points at, with what its tag points at there.
    pub referrers: Vec<(Referrer, Option<Digest>)>,
}

impl CopyPlan {
    /// Whether there is nothing to be done.
    pub fn is_empty(&self) -> bool {
        self.mount.is_empty() && self.stream.is_empty() && self.manifests.is_empty() && self.referrers.is_empty()
    }
}

/// What a copy brings along, or has brought along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// The blobs.
    pub tally: Tally,
    /// Signatures, SBOMs and whatever else points at the image.
    pub referrers: Referrers,
}

/// What several promotions came to.
pub struct RunOutcome {
    /// What was done, or in a dry run what would be.
    pub record: RunRecord,
    /// How many places each of them goes to.
    pub places: Vec<usize>,
    /// The signatures of each that count, as they are told.
    pub signatures: Vec<Vec<Value>>,
    /// The artifact that keeps the record of each in its registry, where one does.
    pub attached: Vec<Option<Digest>>,
}
