//! Other promotions at the same time: who they are, and what a run does about them after it has written.
//!
//! A registry cannot compare and swap, so two runs may look at a moving tag, find the same old version, and write one
//! after the other. What gives them away is the tags that `--to` makes: each run makes its own before it looks at the
//! moving tags for the last time, and reads the tag list before it makes them and again after it has written. Of two
//! runs that overlap, one at least finds the other's new tag in its second list, for else each would have made its tag
//! before the other's first list and after its own. Decision record 12 has the whole argument, which is about one moving
//! tag at a time: another run is of no matter to a tag that it does not write.

use crate::pure::promote::Template;
use crate::pure::version::{Spelling, TagFormat, Version, scheme};

/// How often a tag is read after it was written while another run is under way: with pauses of 0.1 s that double, 3.1 s.
pub const READS: usize = 6;
/// How often an older version is written over again.
pub const REWRITES: usize = 3;

/// The versions that other runs began to promote while this one was under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Overlap {
    /// The newest of those that are newer than the run's own.
    pub newer: Option<Version>,
    /// Those that are older, newest first.
    pub older: Vec<Version>,
}

impl Overlap {
    /// What these are to a run of this version.
    pub fn of(own: &Version, rivals: &mut dyn Iterator<Item = &Rival>) -> Self {
        let mut others = Self::default();
        for Rival { spelled, is_new } in rivals {
            if spelled.version > *own {
                others.newer = others.newer.max(Some(spelled.version));
            } else if *is_new && spelled.version < *own {
                others.older.push(spelled.version);
            }
        }
        others.older.sort_unstable_by(|a, b| b.cmp(a));
        others.older.dedup();
        others
    }
}

/// A version whose promotion a tag tells of.
#[derive(Clone, Copy, Debug)]
pub struct Rival<'a> {
    /// The version as the tag has it.
    pub spelled: Spelling<'a>,
    /// Whether the tag came up between two lists.
    pub is_new: bool,
}

impl<'a> Rival<'a> {
    /// Reads the tags that came up between two lists: those that our own templates make for another version.
    ///
    /// A run that is not `announced`, because its own tags were there before, may have been overlooked by a newer one
    /// that was there before as well. So to such a run each newer version is one at the same time.
    pub fn read(tags: &Announcement, announced: bool, first: &[&str], second: &[&'a str]) -> Vec<Self> {
        let mut known = first.to_vec();
        known.sort_unstable();
        let mut rivals = Vec::new();
        for name in second {
            let is_new = known.binary_search(name).is_err();
            let spelled = (is_new || !announced).then(|| tags.version_in(name)).flatten();
            rivals.extend(spelled.map(|spelled| Self { spelled, is_new }));
        }
        // A tag that floats on a line of versions tells of none.
        if rivals.iter().any(|rival| rival.spelled.version.may_float()) {
            let mut all = second.iter().filter_map(|name| Some(tags.version_in(name)?.version));
            let lines = scheme::lines(&mut all);
            rivals.retain(|rival| !scheme::floats(&rival.spelled.version, &lines));
        }
        rivals
    }
}

/// The tags that tell of a promotion.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// What `--to` names, for any version.
    pub templates: Vec<Template>,
    /// Which tags are versions.
    pub format: TagFormat,
}

impl Announcement {
    /// The version that was promoted when this tag was made.
    pub fn version_in<'a>(&self, name: &'a str) -> Option<Spelling<'a>> {
        self.templates.iter().find_map(|template| template.version_in(name, &self.format))
    }
}

/// What a tag is when it is read after it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    /// What this run wrote.
    Ours,
    /// What it was before, or nothing: the registry is behind, or somebody put it back.
    Before {
        /// Whether that is known to be an older version.
        older: bool,
    },
    /// A newer version of somebody else's.
    Newer(Version),
    /// An older version of somebody else's.
    Older,
    /// Something that cannot be compared.
    Other,
}

/// What to do after reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The tag needs no further look.
    Settled,
    /// Read it again after a pause.
    Again,
    /// Write our digest over it, then read it again, and the list too.
    Rewrite,
    /// Give up and say whose image it is.
    Raced,
}

/// What to tell about a tag in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// This version is newer than what the tag holds, and was promoted at the same time.
    Newer(Version),
    /// These are older, were promoted at the same time, and one may still be written.
    Older(Vec<Version>),
}

/// One tag from its write to the end of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watch {
    most: usize,
    reads: usize,
    rewrites: usize,
    newest: Option<Version>,
    /// What it was when it was read last.
    pub last: Option<Reading>,
}

impl Default for Watch {
    fn default() -> Self {
        Self::of(READS)
    }
}

impl Watch {
    /// One that is read at most so often while there is something to wait for.
    pub fn of(most: usize) -> Self {
        Self { most, reads: 0, rewrites: 0, newest: None, last: None }
    }

    /// Whether one more reading is the last that is worth waiting for.
    pub fn is_late(&self) -> bool {
        self.reads + 1 >= self.most
    }

    /// Decides by what the tag is now.
    pub fn next(&mut self, reading: Reading, others: &Overlap) -> Ruling {
        let late = self.is_late();
        self.reads += 1;
        self.last = Some(reading);
        match reading {
            Reading::Ours if late || *others == Overlap::default() => Ruling::Settled,
            Reading::Newer(version) => {
                self.newest = self.newest.max(Some(version));
                // One that is newer still may be about to be written, or may have been written over.
                if late || self.newest.max(others.newer) == Some(version) { Ruling::Settled } else { Ruling::Again }
            }
            Reading::Ours => Ruling::Again,
            Reading::Older => self.rewrite().unwrap_or(Ruling::Raced),
            // That long, the registry is hardly behind. Somebody wrote back the very version we moved the tag from.
            Reading::Before { older: true } if late && self.newest.max(others.newer).is_none() => {
                self.rewrite().unwrap_or(Ruling::Again)
            }
            Reading::Before { .. } => Ruling::Again,
            Reading::Other => Ruling::Raced,
        }
    }

    fn rewrite(&mut self) -> Option<Ruling> {
        let again = Self { rewrites: self.rewrites + 1, reads: 0, ..*self };
        (self.rewrites < REWRITES).then(|| {
            *self = again;
            Ruling::Rewrite
        })
    }

    /// What is to be told of other runs when the tag is read no more.
    pub fn finding(&self, others: &Overlap) -> Option<Finding> {
        let newest = self.newest.max(others.newer);
        let held = match self.last {
            Some(Reading::Newer(version)) => Some(version),
            _ => None,
        };
        match newest {
            Some(newest) if held < Some(newest) => Some(Finding::Newer(newest)),
            None if !others.older.is_empty() => Some(Finding::Older(others.older.clone())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(build: u64) -> Version {
        Version::of(2026, 34, build)
    }

    fn others(newer: Option<u64>, older: &[u64]) -> Overlap {
        Overlap { newer: newer.map(version), older: older.iter().map(|build| version(*build)).collect() }
    }

    #[test]
    fn new_tags_of_our_own_kind_are_other_runs() {
        let tags =
            Announcement { templates: vec![Template::parse("{version}-rc").unwrap()], format: TagFormat::default() };
        let first = ["latest", "2026.34.101", "2026.34.105", "2026.34.101-rc", "2026.34.105-rc"];
        let check = |more: &[&str], expected: Overlap| {
            let second: Vec<&str> = first.iter().chain(more).copied().collect();
            let overlap = |announced| {
                let rivals = Rival::read(&tags, announced, &first, &second);
                Overlap::of(&version(103), &mut rivals.iter())
            };
            let found = overlap(true);
            assert_eq!(found, expected, "{more:?}");
            // Where nobody could see this run, what is newer counts however long it has been there.
            let newer = expected.newer.max(Some(version(105)));
            let found = overlap(false);
            assert_eq!(found, Overlap { newer, ..expected }, "{more:?}");
        };
        check(&[], Overlap::default());
        check(&["2026.34.103-rc"], Overlap::default());
        check(&["2026.34.106", "stable", "2026.34.106-rc1"], Overlap::default());
        check(&["2026.34.106-rc", "2026.34.107-rc", "2026.34.104-rc"], others(Some(107), &[]));
        check(&["2026.34.99-rc", "2026.34.102-rc"], others(None, &[102, 99]));
        // What floats on a line is no version, and what has no longer one beside it is.
        check(&["2026.34-rc"], Overlap::default());
        check(
            &["2026.35-rc"],
            Overlap { newer: TagFormat::default().spelled("2026.35").map(|s| s.version), older: vec![] },
        );
    }

    #[test]
    fn a_tag_that_floats_beside_the_versions_of_a_template_is_no_run() {
        let tags = |to| Announcement { templates: vec![Template::parse(to).unwrap()], format: TagFormat::default() };
        for (to, first, second) in [
            ("{version}", &["2.3.4"][..], &["2.3.4", "2.4.0", "2.4", "2"][..]),
            ("prod-{version}", &[], &["prod-2.4.0", "prod-2.4", "prod-2"]),
        ] {
            let rivals = Rival::read(&tags(to), true, first, second);
            assert_eq!(Overlap::of(&Version::of(2, 4, 0), &mut rivals.iter()), Overlap::default(), "{to}");
        }
    }

    #[test]
    fn each_reading_has_its_answer() {
        use Reading::{Before, Newer, Older, Other, Ours};
        let (none, newer, older) = (others(None, &[]), others(Some(105), &[]), others(None, &[102]));
        for (reading, others, expected, finding) in [
            (Ours, &none, Ruling::Settled, None),
            (Ours, &newer, Ruling::Again, Some(Finding::Newer(version(105)))),
            (Ours, &older, Ruling::Again, Some(Finding::Older(vec![version(102)]))),
            (Newer(version(104)), &none, Ruling::Settled, None),
            (Newer(version(104)), &newer, Ruling::Again, Some(Finding::Newer(version(105)))),
            (Newer(version(105)), &newer, Ruling::Settled, None),
            (Newer(version(106)), &newer, Ruling::Settled, None),
            (Newer(version(104)), &older, Ruling::Settled, None),
            (Older, &none, Ruling::Rewrite, None),
            (Older, &newer, Ruling::Rewrite, Some(Finding::Newer(version(105)))),
            (Before { older: true }, &none, Ruling::Again, None),
            (Before { older: false }, &older, Ruling::Again, Some(Finding::Older(vec![version(102)]))),
            (Other, &none, Ruling::Raced, None),
        ] {
            let mut watch = Watch::default();
            assert_eq!(watch.next(reading, others), expected, "{reading:?} {others:?}");
            assert_eq!(watch.finding(others), finding, "{reading:?} {others:?}");
        }
    }

    #[test]
    fn waiting_has_an_end_and_so_has_writing_again() {
        use Reading::{Before, Newer, Older, Ours};
        let check = |reading: Reading, others: &Overlap, expected: &[Ruling]| {
            let mut watch = Watch::default();
            let nexts: Vec<Ruling> = expected.iter().map(|_| watch.next(reading, others)).collect();
            assert_eq!(nexts, expected, "{reading:?} {others:?}");
        };
        let waits = |last: Ruling| [Ruling::Again, Ruling::Again, Ruling::Again, Ruling::Again, Ruling::Again, last];
        check(Ours, &others(Some(105), &[]), &waits(Ruling::Settled));
        check(Ours, &others(None, &[102]), &waits(Ruling::Settled));
        check(Newer(version(104)), &others(Some(105), &[]), &waits(Ruling::Settled));
        check(Before { older: false }, &others(None, &[]), &waits(Ruling::Again));
        check(Before { older: true }, &others(None, &[]), &[waits(Ruling::Rewrite); 3].concat());
        check(
            Before { older: true },
            &others(None, &[]),
            &[[waits(Ruling::Rewrite); 3].concat(), waits(Ruling::Again).to_vec()].concat(),
        );
        // It may not be ours to write any more.
        check(Before { older: true }, &others(Some(105), &[]), &waits(Ruling::Again));
        check(Older, &others(None, &[]), &[Ruling::Rewrite, Ruling::Rewrite, Ruling::Rewrite, Ruling::Raced]);
    }

    #[test]
    fn a_newer_version_that_was_seen_and_written_over_is_told() {
        let mut watch = Watch::default();
        let none = Overlap::default();
        assert_eq!(watch.next(Reading::Newer(version(104)), &others(Some(105), &[])), Ruling::Again);
        assert_eq!(watch.next(Reading::Older, &none), Ruling::Rewrite);
        assert_eq!(watch.next(Reading::Ours, &none), Ruling::Settled);
        assert_eq!(watch.finding(&none), Some(Finding::Newer(version(104))));
    }
}
