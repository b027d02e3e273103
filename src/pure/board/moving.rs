//! Which tags of a list move, and how far behind the versions of their line they are.
//!
//! No list says which tags move, so that their names have to: `latest`, what longer versions begin with, and words in
//! which there is no version, no number and no commit.

use crate::pure::image::TagEntry;
use crate::pure::image::tag::is_digest_derived;
use crate::pure::version::{TagFormat, Version, pick};

/// The tags of a list by what they are for.
#[derive(Debug)]
pub struct TagLines<'l> {
    /// The versions, newest first, each as it is written.
    pub versions: Vec<(Version, &'l str)>,
    /// All tags, versions newest first, then the rest by name.
    tags: Vec<&'l TagEntry>,
}

impl<'l> TagLines<'l> {
    /// Sorts a list.
    pub fn of(tags: &'l [TagEntry]) -> Self {
        let format = TagFormat::default().among(tags);
        let tags = pick::order(tags, &format);
        let spelled = tags.iter().filter_map(|listed| format.spelled(&listed.name));
        let mut versions: Vec<(Version, &str)> = spelled.map(|spelled| (spelled.version, spelled.text)).collect();
        versions.dedup_by_key(|(version, _)| *version);
        Self { versions, tags }
    }

    /// Whether longer versions begin with these numbers.
    fn leads(&self, line: &[u64]) -> bool {
        let begin = |version: &'_ Version| version.parts().len().min(line.len());
        let at = self.versions.partition_point(|(version, _)| version.parts()[..begin(version)] > *line);
        // The longest of those that begin alike stands first.
        let first = self.versions.get(at).map(|(version, _)| version.parts());
        first.is_some_and(|parts| parts.len() > line.len() && parts.starts_with(line))
    }

    /// The line of versions that a tag stands for, where there is one: `2`, or `2.4`.
    fn line(&self, name: &str) -> Option<Vec<u64>> {
        let parts = name.strip_prefix('v').unwrap_or(name).split('.');
        let number = |part: &str| part.parse().ok().filter(|_| is_number(part));
        let line: Vec<u64> = parts.take(3).map(number).collect::<Option<_>>()?;
        (line.len() < 3 && self.leads(&line)).then_some(line)
    }

    /// The tags that move: `latest`, then those of lines, then words by name.
    pub fn moving(&self) -> Vec<&'l TagEntry> {
        let some = |fits: &dyn Fn(&str) -> bool| -> Vec<&'l TagEntry> {
            self.tags.iter().copied().filter(|entry| fits(&entry.name)).collect()
        };
        let is_line = |name: &str| self.line(name).is_some();
        [some(&|name| name == "latest"), some(&is_line), some(&|name| name != "latest" && is_word(name))].concat()
    }

    /// How many versions are newer, of its own line where the tag stands for one.
    pub fn behind(&self, tag: &str, held: Version) -> usize {
        let line = self.line(tag).unwrap_or_default();
        let newer = &self.versions[..self.versions.partition_point(|(version, _)| *version > held)];
        newer.iter().filter(|(version, _)| version.parts().starts_with(&line)).count()
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

    fn names(lines: &TagLines) -> String {
        lines.moving().iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(" ")
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
        assert_eq!(names(&lines), "latest 1 2 2.4 v2 deadbeef java17 main stable");
        let versions: Vec<&str> = lines.versions.iter().map(|(_, text)| *text).collect();
        assert_eq!(versions, ["2.5.0", "2.4.1.7", "2.4.1", "1.10.3", "1.9"]);
        for (tags, expected) in [
            (&["2", "2.4"][..], "2"),
            (&["2", "3", "2.4", "2.4.1"], "2 2.4"),
            (&["2026", "2026.34", "2026.34.103", "2025.1"], "2026 2026.34"),
            (&["1", "1.10", "1.1", "1.1.0"], "1 1.1"),
            (&["latest-x", "LATEST", "0", "0.0.0"], "0 LATEST latest-x"),
            (&[], ""),
        ] {
            assert_eq!(names(&TagLines::of(&listed(tags))), expected, "{tags:?}");
        }
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
