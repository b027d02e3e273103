//! What a promotion found when it looked: the source, and what every target tag holds now.

use crate::pure::image::{Digest, Tag};
use crate::pure::version::Version;

/// Whether a tag may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    /// `--to`: once it is there, it stays.
    Fixed,
    /// `--move`: it goes on to newer versions.
    Moving,
    /// `--move-if-newer`: it does too, and stays where it holds a newer one.
    Yielding,
}

impl TagKind {
    /// Whether it may move.
    pub fn moves(self) -> bool {
        self != Self::Fixed
    }

    /// The flag that names such tags.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Fixed => "--to",
            Self::Moving => "--move",
            Self::Yielding => "--move-if-newer",
        }
    }
}

/// What is known about the version that a moving tag holds, compared with the source's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// There is nothing to compare: the tag is new, or has the source's digest; or nothing to compare with is asked for.
    Nothing,
    /// The source has no version, and neither has what the tag holds, as far as was looked.
    Unversioned,
    /// The tag holds this version, and the source has none.
    Unordered(Version),
    /// A newer version, by the tag that names it.
    Newer(Version),
    /// No newer version; which older one, if any, does not decide.
    NotNewer,
    /// More newer versions than are looked at, the first so many without a hit.
    TooMany {
        /// How many newer versions there are.
        newer: usize,
        /// How many of them were looked at.
        looked: usize,
    },
}

/// One tag that is to point at the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The tag.
    pub tag: Tag,
    /// Whether it may move.
    pub kind: TagKind,
    /// What it points at now.
    pub before: Option<Digest>,
    /// How that compares with the source.
    pub comparison: Comparison,
}

/// Everything a plan is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The repository, for messages.
    pub repository: String,
    /// The digest that is promoted.
    pub digest: Digest,
    /// Its version, where its tag or another one of its digest names one.
    pub version: Option<Version>,
    /// The tags, `--to` first.
    pub targets: Vec<Target>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_moves_by_the_flag_that_names_it() {
        for (kind, flag, moves) in [
            (TagKind::Fixed, "--to", false),
            (TagKind::Moving, "--move", true),
            (TagKind::Yielding, "--move-if-newer", true),
        ] {
            assert_eq!((kind.flag(), kind.moves()), (flag, moves));
        }
    }
}
