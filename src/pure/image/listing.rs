//! The tags of a repository, as the place that was asked has them.

use crate::pure::image::Digest;
use crate::pure::text::words::words;

/// A tag as a registry lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagEntry {
    /// The name, not checked.
    pub name: String,
    /// The digest, where the list has it.
    pub digest: Option<Digest>,
    /// When it was last written, as the list says it.
    pub updated: Option<String>,
    /// Who wrote it then, where the list says it.
    pub pusher: Option<Box<str>>,
}

impl TagEntry {
    /// A name alone.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), digest: None, updated: None, pusher: None }
    }

    /// Whether it is as short as tags and times are; nothing else is kept, for there may be two million of them.
    pub fn may_be_tag(&self) -> bool {
        self.name.len() <= 128
            && self.updated.as_ref().is_none_or(|updated| updated.len() <= 64)
            && self.pusher.as_ref().is_none_or(|pusher| pusher.len() <= 128)
    }
}

words! {
    /// Where tag lists come from.
    Via {
        /// Docker Hub's web API.
        HubApi = "hub-api",
        /// The registry's own tag list.
        Registry = "registry",
        /// The API of Amazon ECR.
        EcrApi = "ecr-api",
    }
}

/// What was found, and where.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The tags in the order they came.
    pub tags: Vec<TagEntry>,
    /// How many were looked at.
    pub scanned: usize,
    /// The place.
    pub via: Via,
    /// Whether it holds every tag; a list that was asked for the tags of one build may lack others.
    pub is_whole: bool,
}

impl Listing {
    /// The list of a repository that is not there yet.
    pub fn empty() -> Self {
        Self { tags: Vec::new(), scanned: 0, via: Via::Registry, is_whole: true }
    }
}

/// What a list is read for; where a registry has two kinds of list, each takes a right of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The tags.
    Names,
    /// The tags with times, as far as there are any.
    Times,
}

/// What several tags point at, in the order of the tags; `None` for one that is not there.
pub type Heads = Vec<Option<Digest>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_that_is_longer_than_tags_times_and_names_are() {
        for (name, updated, pusher, expected) in [
            (128, None, None, true),
            (129, None, None, false),
            (1, Some(64), None, true),
            (1, Some(65), None, false),
            (1, None, Some(128), true),
            (1, None, Some(129), false),
        ] {
            let entry = TagEntry {
                updated: updated.map(|length| "x".repeat(length)),
                pusher: pusher.map(|length| "x".repeat(length).into()),
                ..TagEntry::named("x".repeat(name))
            };
            assert_eq!(entry.may_be_tag(), expected, "{name} {updated:?} {pusher:?}");
        }
    }
}
