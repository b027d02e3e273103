//! Which tags of a list move, and how far behind the versions of their line they are.
//!
//! No list says which tags move, so that their names have to: `latest`, what longer versions begin with, and words in
//! which there is no version, no number and no commit.

use crate::pure::image::TagEntry;
use crate::pure::image::tag::is_digest_derived;
use crate::pure::version::{TagFormat, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What versions begin with: `2`, or `2.4`.
type Line = (u64, Option<u64>);

/// The tags of a list by what they are for.
#[derive(Debug, Default)]
pub struct TagLines<'l> {
    /// The versions, each as it is written.
    pub versions: BTreeMap<Version, &'l str>,
    lines: BTreeSet<Line>,
}

impl<'l> TagLines<'l> {
    /// Sorts a list.
    pub fn of(tags: &'l [TagEntry]) -> Self {
        let format = TagFormat::default();
        let mut all = Self::default();
        for spelled in tags.iter().filter_map(|listed| format.spelled(&listed.name)) {
            let parts = spelled.version.parts();
            all.lines.insert((parts[0], None));
            if parts.len() > 2 {
                all.lines.insert((parts[0], Some(parts[1])));
            }
            all.versions.insert(spelled.version, spelled.text);
        }
        let lines = &all.lines;
        all.versions.retain(|version, _| match *version.parts() {
            [major, minor] => !lines.contains(&(major, Some(minor))),
            _ => true,
        });
        all
    }

    /// The line of versions that a tag stands for, where there is one.
    fn line(&self, name: &str) -> Option<Line> {
        let name = name.strip_prefix('v').unwrap_or(name);
        let (major, minor) = name.split_once('.').map_or((name, None), |(major, minor)| (major, Some(minor)));
        let number = |text: &str| text.parse().ok().filter(|_| is_number(text));
        let line = (number(major)?, minor.map(number).map_or(Some(None), |minor| minor.map(Some))?);
        self.lines.contains(&line).then_some(line)
    }

    /// The tags that move: `latest`, then those of lines, newest first, then words by name.
    pub fn moving(&self, tags: &'l [TagEntry]) -> Vec<&'l TagEntry> {
        let rank = |entry: &&TagEntry| match self.line(&entry.name) {
            _ if entry.name == "latest" => Some((0, None)),
            Some(line) => Some((1, Some(std::cmp::Reverse(line)))),
            None => is_word(&entry.name).then_some((2, None)),
        };
        let mut moving: Vec<_> = tags.iter().filter_map(|entry| Some((rank(&entry)?, entry))).collect();
        moving.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.name.cmp(&right.name)));
        moving.into_iter().map(|(_, entry)| entry).collect()
    }

    /// How many versions are newer, of its own line where the tag stands for one.
    pub fn behind(&self, tag: &str, held: Version) -> usize {
        let line = self.line(tag);
        let fits = |version: &Version| {
            line.is_none_or(|(major, minor)| {
                version.parts()[0] == major && minor.is_none_or(|minor| version.parts()[1] == minor)
            })
        };
        self.versions.range((Bound::Excluded(held), Bound::Unbounded)).filter(|(version, _)| fits(version)).count()
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a name holds no version, no number and no commit.
fn is_word(name: &str) -> bool {
    let format = TagFormat::default();
    let is_commit = |part: &str| {
        part.len() >= 7
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            && part.bytes().any(|byte| byte.is_ascii_digit())
    };
    !is_digest_derived(name)
        && format.spelled(name).is_none()
        && !name.split(['-', '_']).any(|part| {
            let bare = part.strip_prefix('v').unwrap_or(part);
            is_number(bare) || is_commit(part) || format.spelled(part).is_some()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> Vec<TagEntry> {
        names.iter().map(|name| TagEntry::named(*name)).collect()
    }

    #[test]
    fn tags_move_that_are_latest_or_lines_or_words() {
        let signature = format!("sha256-{}.sig", "0".repeat(64));
        let tags = listed(&[
            "stable",
            "latest",
            "2.4.1",
            "2.4.1-rc",
            "v2.5.0",
            "2.4",
            "2",
            "v2",
            "1.9",
            "1.10.3",
            "1",
            "103",
            "3",
            "main",
            "nightly-20260821",
            "pr-17",
            "main-1a2b3c4",
            "1a2b3c4d",
            "deadbeef",
            "feature-x-1.2.3",
            "2.4.1-alpine",
            "edge_v7",
            "2-rc",
            &signature,
            "2.4.1.7",
            "java17",
        ]);
        let lines = TagLines::of(&tags);
        let names: Vec<&str> = lines.moving(&tags).into_iter().map(|entry| entry.name.as_str()).collect();
        let expected = ["latest", "2.4", "2", "v2", "1", "deadbeef", "java17", "main", "stable"];
        assert_eq!(names, expected);
        let versions: Vec<&str> = lines.versions.values().copied().collect();
        assert_eq!(versions, ["1.9", "1.10.3", "2.4.1", "2.4.1.7", "2.5.0"]);
    }

    #[test]
    fn a_tag_of_a_line_is_behind_versions_of_its_line_alone() {
        let tags = listed(&["1.9.0", "2.3.9", "2.4.0", "2.4.1", "v2.4.1", "2.4.1-rc", "2.5.0", "3.0.0", "2.4", "2"]);
        let lines = TagLines::of(&tags);
        for (tag, held, expected) in [
            ("latest", Version::of(2, 4, 0), 3),
            ("3", Version::of(2, 4, 0), 1),
            ("2", Version::of(2, 4, 0), 2),
            ("2.4", Version::of(2, 4, 0), 1),
            ("v2.4", Version::of(2, 4, 1), 0),
            // A line of which there is no version is a name as any other.
            ("7", Version::of(2, 5, 0), 1),
            ("stable", Version::of(9, 0, 0), 0),
        ] {
            assert_eq!(lines.behind(tag, held), expected, "{tag}");
        }
    }
}
