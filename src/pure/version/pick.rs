//! The tag of a build among many, and the order of a whole list.
//!
//! Both read names in place and copy only what they return: a list may hold 50,000 tags.

use crate::pure::image::tag::is_digest_derived;
use crate::pure::image::{Digest, TagEntry};
use crate::pure::version::{TagFormat, Version, VersionTag};
use serde::Serialize;
use std::cmp::Reverse;

/// A tag of the wanted build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The tag and its version.
    #[serde(flatten)]
    pub tag: VersionTag,
    /// The digest, where it is known.
    pub digest: Option<Digest>,
}

/// What was found for a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// No version has that build.
    None {
        /// The newest version of three parts there is.
        newest: Option<VersionTag>,
    },
    /// One tag stands for it.
    One {
        /// The tag: the plain one, or `-rc` where there is no other.
        chosen: Candidate,
        /// The other tags of that build, newest first: other spellings of the same version, and the
        /// older versions where the newest was asked for.
        alternatives: Vec<Candidate>,
    },
    /// Several versions have that build; one tag for each, newest first.
    Many(Vec<Candidate>),
    /// The version has several spellings, such as `1.2.3` and `1.2.3-rc`, and they have different digests.
    Apart(Vec<Candidate>),
    /// The version has several spellings and these have no digest yet: look them up, fill them in, and pick again.
    NeedDigests(Vec<VersionTag>),
}

/// Picks the tag of a build: the version of three parts that ends with it.
///
/// `newest` takes the newest of several versions. A tag that proves to be gone when its digest is
/// looked up is to be left out of the list before picking again.
pub fn pick(tags: &[TagEntry], build: u64, newest: bool, format: &TagFormat) -> Choice {
    let mut top: Option<(Version, &TagEntry)> = None;
    let mut found: Vec<Candidate> = Vec::new();
    for listed in tags {
        let Some(spelled) = format.spelled(&listed.name) else { continue };
        let Some(its_build) = spelled.version.build() else { continue };
        if top.is_none_or(|(version, _)| version < spelled.version) {
            top = Some((spelled.version, listed));
        }
        if its_build == build
            && let Some(tag) = format.read(&listed.name)
        {
            found.push(Candidate { tag, digest: listed.digest.clone() });
        }
    }
    found.sort_by(|a, b| rank(&a.tag).cmp(&rank(&b.tag)));
    found.dedup_by(|later, first| {
        let same = later.tag.tag == first.tag.tag;
        if same && first.digest.is_none() {
            first.digest = later.digest.take();
        }
        same
    });

    let Some(version) = found.first().map(|candidate| candidate.tag.version) else {
        return Choice::None { newest: top.and_then(|(_, listed)| format.read(&listed.name)) };
    };
    let spellings = found.partition_point(|candidate| candidate.tag.version == version);
    if spellings < found.len() && !newest {
        found.dedup_by(|later, first| later.tag.version == first.tag.version);
        return Choice::Many(found);
    }
    let same = &found[..spellings];
    if spellings > 1 {
        let unknown: Vec<VersionTag> =
            same.iter().filter(|each| each.digest.is_none()).map(|each| each.tag.clone()).collect();
        if !unknown.is_empty() {
            return Choice::NeedDigests(unknown);
        }
        if same.iter().any(|each| each.digest != same[0].digest) {
            return Choice::Apart(same.to_vec());
        }
    }
    let chosen = found.remove(0);
    Choice::One { chosen, alternatives: found }
}

/// Newest version first, plain before `-rc`, then the shorter and the lower name.
fn rank(tag: &VersionTag) -> (Reverse<Version>, bool, usize, &str) {
    let name = tag.tag.as_str();
    (Reverse(tag.version), tag.candidate, name.len(), name)
}

/// The versions newest first, then the rest by name; tags made from digests are left out.
pub fn order<'a>(tags: &'a [TagEntry], format: &TagFormat) -> Vec<&'a TagEntry> {
    let format = &format.among(tags);
    let mut versions: Vec<(u128, &TagEntry)> = Vec::new();
    let mut rest: Vec<&TagEntry> = Vec::new();
    for listed in tags {
        match format.spelled(&listed.name) {
            Some(spelled) => versions.push((spelled.version.rough(), listed)),
            None if is_digest_derived(&listed.name) => {}
            None => rest.push(listed),
        }
    }
    versions.sort_unstable_by(|(rough_a, a), (rough_b, b)| {
        if rough_a != rough_b {
            return rough_b.cmp(rough_a);
        }
        let exact =
            |each: &TagEntry| format.spelled(&each.name).map(|spelled| (Reverse(spelled.version), spelled.candidate));
        exact(a).cmp(&exact(b)).then_with(|| a.name.cmp(&b.name))
    });
    rest.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    versions.into_iter().map(|(_, listed)| listed).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name` or `name=content`, where the content stands for its digest.
    fn listed(words: &[&str]) -> Vec<TagEntry> {
        let one = |word: &&str| match word.split_once('=') {
            Some((name, content)) => TagEntry { digest: Some(Digest::of(content.as_bytes())), ..TagEntry::named(name) },
            None => TagEntry::named(*word),
        };
        words.iter().map(one).collect()
    }

    fn names(candidates: &[Candidate]) -> String {
        candidates.iter().map(|candidate| candidate.tag.tag.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn told(picked: Choice) -> String {
        match picked {
            Choice::None { newest: None } => "none".to_owned(),
            Choice::None { newest: Some(newest) } => format!("none, newest {}", newest.tag),
            Choice::One { chosen, alternatives } => {
                let chosen = names(&[chosen]);
                if alternatives.is_empty() { chosen } else { format!("{chosen} | {}", names(&alternatives)) }
            }
            Choice::Many(candidates) => format!("many: {}", names(&candidates)),
            Choice::Apart(candidates) => format!("apart: {}", names(&candidates)),
            Choice::NeedDigests(tags) => {
                let names: Vec<&str> = tags.iter().map(|tag| tag.tag.as_str()).collect();
                format!("need: {}", names.join(" "))
            }
        }
    }

    #[test]
    fn the_tag_of_a_build_is_picked() {
        for (words, newest, expected) in [
            (&[][..], false, "none"),
            (&["latest", "103", "1.103", "1.2.3.103", "feature-1.2.103"], false, "none"),
            (
                &["2026.34.102", "2026.34.10", "2026.34.1030", "2026.9.999", "2030.1"],
                false,
                "none, newest 2026.34.1030",
            ),
            (&["2026.34.102", "v2026.34.102", "2026.34.102-rc"], false, "none, newest 2026.34.102"),
            (&["2026.34.102", "2026.34.103", "latest"], false, "2026.34.103"),
            (&["v2026.34.0103"], false, "v2026.34.0103"),
            (&["2026.34.103-rc", "latest"], false, "2026.34.103-rc"),
            (&["2026.34.103", "2026.34.103"], false, "2026.34.103"),
            (&["2026.34.103-rc", "2026.34.103=a", "2026.34.103-rc=a"], false, "2026.34.103 | 2026.34.103-rc"),
            (&["2026.34.103-rc=a", "2026.34.103=a", "2026.34.103"], false, "2026.34.103 | 2026.34.103-rc"),
            (&["2025.9.103", "2025.10.103", "2026.34.103"], false, "many: 2026.34.103 2025.10.103 2025.9.103"),
            (&["2025.9.103", "2025.10.103", "2026.34.103"], true, "2026.34.103 | 2025.10.103 2025.9.103"),
            (&["2026.34.103-rc", "2026.34.103"], false, "need: 2026.34.103 2026.34.103-rc"),
            (&["2026.34.103-rc", "2026.34.103=a"], false, "need: 2026.34.103-rc"),
            (&["2026.34.103-rc=a", "2026.34.103=a"], false, "2026.34.103 | 2026.34.103-rc"),
            (&["2026.34.103-rc=a", "2026.34.103=b"], false, "apart: 2026.34.103 2026.34.103-rc"),
            (&["2026.34.103-rc=a", "2026.34.103=b"], true, "apart: 2026.34.103 2026.34.103-rc"),
            (&["v1.2.103=a", "1.2.103=a", "1.02.103-rc=a"], false, "1.2.103 | v1.2.103 1.02.103-rc"),
            (&["1.1.103=a", "1.1.103-rc=b", "1.2.103"], false, "many: 1.2.103 1.1.103"),
            (&["1.1.103=a", "1.1.103-rc=b", "1.2.103"], true, "1.2.103 | 1.1.103 1.1.103-rc"),
        ] {
            assert_eq!(told(pick(&listed(words), 103, newest, &TagFormat::default())), expected, "{words:?}");
        }
    }

    #[test]
    fn only_tags_of_the_format_count() {
        let tags = listed(&["1.2.103", "feature-x-1.1.103", "feature-y-1.3.103"]);
        let format = TagFormat::parse("feature-x-{version}").unwrap();
        assert_eq!(told(pick(&tags, 103, false, &format)), "feature-x-1.1.103");
    }

    #[test]
    fn versions_come_newest_first_and_the_rest_by_name() {
        let derived = format!("sha256-{}.sig", "0".repeat(64));
        let tags = listed(&[
            "latest",
            "2017.2.1",
            "b",
            &derived,
            "2017.10.5-rc",
            "1.2.3.4",
            "2017.10.5",
            "B",
            "v2017.10.6",
            "1.2",
            "",
            "1.2.3",
            "1.1",
        ]);
        let ordered = order(&tags, &TagFormat::default());
        let names: Vec<&str> = ordered.iter().map(|each| &*each.name).collect();
        let expected = [
            "v2017.10.6",
            "2017.10.5",
            "2017.10.5-rc",
            "2017.2.1",
            "1.2.3.4",
            "1.2.3",
            "1.1",
            "",
            "1.2",
            "B",
            "b",
            "latest",
        ];
        assert_eq!(names, expected);
    }
}
