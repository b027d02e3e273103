//! Dotted integers in tags: what a version is, which tags count, and how two compare.
//!
//! A version has two to four parts, compared as integers, so `2017.10.5` is newer than `2017.2.1`.
//! A tag may put a `v` before it and `-rc` behind it; both spellings name the same version.
//! A version of two parts that a longer one begins with is none: such a tag floats on its line, as `2.3` beside `2.3.5`.

use crate::error::{Code, Error};
use crate::pure::image::{Tag, TagEntry};
use crate::pure::text::quoted;
use crate::pure::text::words::serialized_as_text;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;

const MOST_PARTS: usize = 4;

/// Two to four integers; a shorter version comes before one that continues it.
// Unused places are zero, so the derived order compares the integers first and their number last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    places: [u64; MOST_PARTS],
    parts: u8,
}

impl Version {
    /// A version of three parts.
    pub fn of(major: u64, minor: u64, build: u64) -> Self {
        Self { places: [major, minor, build, 0], parts: 3 }
    }

    /// The integers.
    pub fn parts(&self) -> &[u64] {
        &self.places[..usize::from(self.parts)]
    }

    /// The line that it is on: its first two parts.
    fn line(&self) -> Line {
        (self.places[0], self.places[1])
    }

    /// Whether it has the form of a tag that floats on a line.
    pub fn may_float(&self) -> bool {
        self.parts == 2
    }

    /// One number that sorts as the versions do, but for ties between very large or equal ones.
    ///
    /// Comparing it is many times faster where a list is long and the binary is built for size.
    pub(super) fn rough(&self) -> u128 {
        let mut rough = 0;
        let mut full = false;
        for place in self.places {
            // What follows a part that does not fit must not decide.
            full = full || place >= u64::from(u32::MAX);
            rough = rough << 32 | u128::from(if full { u64::from(u32::MAX) } else { place });
        }
        rough
    }

    /// The last of exactly three parts.
    pub fn build(&self) -> Option<u64> {
        self.triple().map(|(_, _, build)| build)
    }

    /// The three parts, if there are exactly three.
    pub fn triple(&self) -> Option<(u64, u64, u64)> {
        match *self.parts() {
            [major, minor, build] => Some((major, minor, build)),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts().iter().map(u64::to_string).collect::<Vec<_>>().join("."))
    }
}

serialized_as_text!(Version);

type Line = (u64, u64);

/// The lines that have versions of more than two parts.
pub fn lines(versions: &mut dyn Iterator<Item = Version>) -> HashSet<Line> {
    versions.filter(|version| !version.may_float()).map(|version| version.line()).collect()
}

/// Whether this one is of two parts and names one of these lines.
pub fn floats(version: &Version, lines: &HashSet<Line>) -> bool {
    version.may_float() && lines.contains(&version.line())
}

/// A version as it stands in a longer text, nothing copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling<'a> {
    /// The version.
    pub version: Version,
    /// The integers as written, without `v` and `-rc`.
    pub text: &'a str,
    /// Whether a `v` stands before it.
    pub marked: bool,
    /// Whether `-rc` follows.
    pub candidate: bool,
}

impl<'a> Spelling<'a> {
    /// As written, with its `v`: what `{version}` stands for.
    pub fn written(&self) -> String {
        written(self.marked, self.text)
    }

    fn read(text: &'a str) -> Option<Self> {
        let (text, marked) = text.strip_prefix('v').map_or((text, false), |text| (text, true));
        let (text, candidate) = text.strip_suffix("-rc").map_or((text, false), |text| (text, true));
        let (mut places, mut parts) = ([0; MOST_PARTS], 0);
        for part in text.split('.') {
            // A sign, which the number's own parser would take, is none of a version.
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            *places.get_mut(parts)? = part.parse().ok().filter(|_| digits)?;
            parts += 1;
        }
        let parts = u8::try_from(parts).ok().filter(|parts| *parts > 1)?;
        Some(Self { version: Version { places, parts }, text, marked, candidate })
    }
}

/// A tag that is a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionTag {
    /// The whole tag.
    pub tag: Tag,
    /// The version in it.
    #[serde(skip)]
    pub version: Version,
    /// The version as written, without `v` and `-rc`.
    #[serde(rename = "version")]
    pub text: String,
    /// Whether a `v` stands before it.
    #[serde(skip)]
    pub marked: bool,
    /// Whether `-rc` follows.
    #[serde(skip)]
    pub candidate: bool,
}

impl VersionTag {
    /// The version as written, with its `v`: what `{version}` stands for.
    pub fn written(&self) -> String {
        written(self.marked, &self.text)
    }
}

fn written(marked: bool, text: &str) -> String {
    if marked { format!("v{text}") } else { text.to_owned() }
}

/// Which tags count as versions: those with this text around the version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagFormat {
    before: String,
    after: String,
    /// The lines whose tags float.
    lines: HashSet<Line>,
}

impl TagFormat {
    /// Reads a format such as `feature-x-{version}`.
    ///
    /// # Errors
    /// `request-invalid` unless `{version}` stands in it exactly once and no other brace does, and the
    /// rest can stand in a tag.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| {
            Error::new(Code::RequestInvalid, format!("{} is not a tag format: {why}", quoted(text)))
                .hint("write `{version}` where the version stands, such as `feature-x-{version}`")
        };
        let (before, after) = text.split_once("{version}").ok_or_else(|| bad("it holds no `{version}`"))?;
        if [before, after].iter().any(|around| around.contains(['{', '}'])) {
            return Err(bad("`{version}` once is all it may hold of braces"));
        }
        Tag::parse(&format!("{before}1.2{after}"))
            .map_err(|error| bad("no tag can look like that").cause(error.message()))?;
        Ok(Self { before: before.to_owned(), after: after.to_owned(), lines: HashSet::new() })
    }

    /// Reads a tag name, if it has this format; nothing is copied.
    pub fn spelled<'a>(&self, name: &'a str) -> Option<Spelling<'a>> {
        let spelled = Spelling::read(name.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?)?;
        (!floats(&spelled.version, &self.lines)).then_some(spelled)
    }

    /// The same format where these are all the tags there are: those that float are no versions.
    #[must_use]
    pub fn among(&self, tags: &[TagEntry]) -> Self {
        let mut versions = tags.iter().filter_map(|listed| Some(self.spelled(&listed.name)?.version));
        Self { lines: lines(&mut versions), ..self.clone() }
    }

    /// Reads a tag name, if it has this format.
    pub fn read(&self, name: &str) -> Option<VersionTag> {
        let Spelling { version, text, marked, candidate } = self.spelled(name)?;
        Some(VersionTag { tag: Tag::parse(name).ok()?, version, text: text.to_owned(), marked, candidate })
    }
}

#[cfg(test)]
impl Version {
    /// Reads a version as a tag has it: an optional `v`, two to four integers, an optional `-rc`.
    pub fn parse(text: &str) -> Option<Self> {
        Spelling::read(text).map(|spelled| spelled.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_tags() {
        for (tag, version, text, candidate) in [
            ("2017.2.1929", "2017.2.1929", "2017.2.1929", false),
            ("v1.2.3", "1.2.3", "1.2.3", false),
            ("1.2.3-rc", "1.2.3", "1.2.3", true),
            ("v2026.034.007-rc", "2026.34.7", "2026.034.007", true),
            ("22.04", "22.4", "22.04", false),
            ("1.2.3.4", "1.2.3.4", "1.2.3.4", false),
            ("0.0", "0.0", "0.0", false),
            ("18446744073709551615.0", "18446744073709551615.0", "18446744073709551615.0", false),
        ] {
            let read = TagFormat::default().read(tag).unwrap();
            assert_eq!((&*read.version.to_string(), &*read.text, read.candidate), (version, text, candidate), "{tag}");
            assert_eq!((read.tag.as_str(), read.written()), (tag, tag.trim_end_matches("-rc").to_owned()));
        }
    }

    #[test]
    fn other_tags_are_no_versions() {
        let long = format!("{}1.2", "0".repeat(126));
        for tag in [
            "",
            "v",
            "-rc",
            "v-rc",
            ".",
            "1",
            "v1",
            "1.",
            ".1",
            "1..2",
            "1.2.",
            "1.2.3.4.5",
            "latest",
            "1.2.3-rc1",
            "1.2.3-rc-rc",
            "1.2.3-RC",
            "V1.2",
            "vv1.2",
            "1.2-alpine",
            " 1.2",
            "1.2\n",
            "+1.2",
            "-1.2",
            "1.+2",
            "1.2e3",
            "١.٢",
            "18446744073709551616.0",
            "2026,34,1",
            &long,
        ] {
            assert_eq!(TagFormat::default().read(tag), None, "{tag}");
        }
    }

    #[test]
    fn versions_compare_as_integers() {
        let ordered = [
            "0.9",
            "1.2",
            "1.2.0",
            "1.2.0.0",
            "1.2.1",
            "1.10",
            "2017.2.1",
            "2017.10.5",
            "2017.10.05.1",
            "4294967295.9",
            "4294967296.1",
        ];
        for pair in ordered.windows(2) {
            let (lower, higher) = (Version::parse(pair[0]).unwrap(), Version::parse(pair[1]).unwrap());
            assert!(lower < higher && lower.rough() <= higher.rough(), "{pair:?}");
            let is_tie = ["1.2.0", "1.2.0.0", "4294967296.1"].contains(&pair[1]);
            assert_eq!(lower.rough() == higher.rough(), is_tie, "{pair:?}");
        }
        assert_eq!(Version::parse("v1.02.3-rc"), Version::parse("1.2.3"));
        assert_eq!(Version::parse("1.2.3"), Some(Version::of(1, 2, 3)));
    }

    #[test]
    fn only_three_parts_have_a_build() {
        for (text, build) in [("1.2.3", Some(3)), ("1.2", None), ("1.2.3.4", None)] {
            assert_eq!(Version::parse(text).unwrap().build(), build);
        }
    }

    #[test]
    fn a_format_keeps_branches_apart() {
        let format = TagFormat::parse("feature-x-{version}").unwrap();
        let read = format.read("feature-x-v1.2.3-rc").unwrap();
        assert_eq!((&*read.text, read.candidate), ("1.2.3", true));
        for tag in ["1.2.3", "feature-x-", "feature-y-1.2.3", "feature-x-1.2.3-alpine", "feature-x-feature-x-1.2"] {
            assert_eq!(format.read(tag), None, "{tag}");
        }
        assert_eq!(TagFormat::parse("{version}-alpine").unwrap().read("1.2-alpine").unwrap().text, "1.2");
        assert_eq!(TagFormat::parse("{version}").unwrap(), TagFormat::default());
    }

    #[test]
    fn a_tag_of_two_parts_floats_where_a_longer_version_begins_with_it() {
        for (tag, others, is_version) in [
            ("2026.34", &["2026.33.1", "2026.340.1", "2026.3.4", "latest"][..], true),
            ("2026.34", &["2026.34.103"], false),
            ("2026.34-rc", &["2026.34.103"], false),
            ("2026.34", &["v2026.34.103-rc"], false),
            ("v1.2", &["1.2.3"], false),
            ("1.2", &["1.2.3.4"], false),
            ("1.2", &["1.2", "v1.2-rc", "1.3"], true),
            ("22.04", &["22.4.1"], false),
            // Longer versions are versions whatever begins with them.
            ("1.2.3", &["1.2.3.4", "1.2"], true),
            // No version by itself, whatever else is there.
            ("2", &["2.3.5"], false),
            ("1.2", &["feature-x-1.2.3", "1.2.3-rc1", "1.2.3.4.5"], true),
        ] {
            let tags: Vec<TagEntry> = others.iter().chain([&tag]).map(|name| TagEntry::named(*name)).collect();
            let format = TagFormat::default().among(&tags);
            assert_eq!(format.read(tag).is_some(), is_version, "{tag} {others:?}");
        }
        let format = TagFormat::parse("feature-x-{version}").unwrap();
        let with = |name| [TagEntry::named("feature-x-1.2"), TagEntry::named(name)];
        assert_eq!(format.among(&with("feature-x-1.2.3")).read("feature-x-1.2"), None);
        assert!(format.among(&with("1.2.3")).read("feature-x-1.2").is_some());
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for bad in [
            "",
            "x",
            "{tag}",
            "{version}{version}",
            "{version}}",
            "{version}-{x}",
            "a/{version}",
            "-{version}",
            "{version} ",
        ] {
            assert_eq!(TagFormat::parse(bad).unwrap_err().code(), Code::RequestInvalid, "{bad}");
        }
        assert!(TagFormat::parse(&format!("{}{{version}}", "x".repeat(126))).is_err());
    }
}
