//! What the stations of a promotion hand on: what was seen, what a copy takes, what is noted for the record.

use crate::command::promote::{Referrer, TreeNode, Versions};
use crate::pure::image::{Descriptor, Digest, Listing, RawManifest, Reference};
use crate::pure::promote::{Facts, Referrers, Tally};
use crate::pure::version::VersionTag;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What was seen: the facts for the plan, and what acting on it needs.
pub struct Survey {
    /// The source as a reference.
    pub source: Reference,
    /// The source's manifest, the very bytes.
    pub manifest: RawManifest,
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
    /// What was read for the record.
    pub notes: RecordNotes,
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
    /// The manifests, the root not among them.
    pub nodes: HashMap<Digest, TreeNode>,
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

/// What is read for the record alone, beside the other looks.
#[derive(Debug, Default)]
pub struct RecordNotes {
    /// Labels of note, where they were read.
    pub labels: Option<BTreeMap<String, String>>,
    /// Who AWS says the caller is, at the source and at the target.
    pub arns: [Option<String>; 2],
}
