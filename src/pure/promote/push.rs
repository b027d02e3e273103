//! Since when a tag is what it is, and by whom: as the list of tags says it, else as the newest record of a promotion.
//!
//! Whoever may write to a repository may write such a record, so that `via` tells whose word it is.

use crate::pure::image::{Descriptor, Digest, Listing, Tag};
use crate::pure::promote::record;
use crate::pure::text::{instant, show};
use serde::Serialize;

/// The most characters of a name.
const LONGEST: usize = 200;

/// When a tag was written last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Push {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// By whom, where that is told.
    pub by: Option<String>,
    /// Who says so.
    pub via: &'static str,
}

impl Push {
    /// What is told, where it is a time.
    fn told(at: &str, by: Option<&str>, via: &'static str) -> Option<Self> {
        let by = by.filter(|by| !by.is_empty()).map(|by| show::cut(by, LONGEST));
        Some(Self { at: instant::parse(at).map(instant::rfc3339)?, by, via })
    }

    /// What the list of tags says of a tag that has this digest.
    pub fn listed(listing: &Listing, tag: &Tag, digest: &Digest) -> Option<Self> {
        // A list may show a tag later than the registry itself.
        let is_of_now = |known: &Option<Digest>| known.as_ref().is_none_or(|known| known == digest);
        let entry = listing.tags.iter().find(|one| one.name == tag.as_str() && is_of_now(&one.digest))?;
        Self::told(entry.updated.as_deref()?, entry.pusher.as_deref(), listing.via.as_str())
    }

    /// What the newest of the records says that point at the image and name the tag.
    pub fn recorded(pointers: &[Descriptor], tag: &Tag) -> Option<Self> {
        let names = |one: &&Descriptor| {
            let tags = one.annotations.get(record::TAGS).map_or("", String::as_str);
            record::is_record(one) && tags.split(' ').any(|name| name == tag.as_str())
        };
        let read = |one: &Descriptor| {
            let text = |key| one.annotations.get(key).map(String::as_str);
            Self::told(text(record::CREATED)?, text(record::BY), "record")
        };
        // Times are RFC 3339 in UTC, so their order as text is their order in time.
        pointers.iter().filter(names).filter_map(read).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::TagEntry;
    use crate::pure::image::listing::Via;

    #[test]
    fn a_list_tells_when_a_tag_was_written_unless_it_is_older_than_what_was_read() {
        let (digest, other) = (Digest::of(b"a"), Digest::of(b"b"));
        let (at, by) = (Some("2026-08-20T12:00:00.5+02:00"), Some("mo"));
        for (name, known, updated, pusher, expected) in [
            ("x", Some(&digest), at, by, Some(("2026-08-20T10:00:00Z", Some("mo")))),
            ("x", None, at, Some(""), Some(("2026-08-20T10:00:00Z", None))),
            ("x", Some(&other), at, by, None),
            ("y", Some(&digest), at, by, None),
            ("x", Some(&digest), Some("yesterday"), by, None),
            ("x", Some(&digest), None, by, None),
        ] {
            let entry = TagEntry {
                digest: known.cloned(),
                updated: updated.map(str::to_owned),
                pusher: pusher.map(Into::into),
                ..TagEntry::named(name)
            };
            let listing = Listing { tags: vec![entry], scanned: 1, via: Via::HubApi, is_whole: true };
            let push = Push::listed(&listing, &Tag::parse("x").unwrap(), &digest);
            assert!(push.iter().all(|push| push.via == "hub-api"));
            assert_eq!(push.as_ref().map(|push| (push.at.as_str(), push.by.as_deref())), expected, "{name}");
        }
    }

    #[test]
    fn of_the_records_the_newest_counts_that_names_the_tag() {
        let record = |kind: &str, at: &str, tags: &str, by: &str| {
            let annotations = serde_json::json!({record::CREATED: at, record::TAGS: tags, record::BY: by});
            let digest = Digest::of(at.as_bytes());
            let text = serde_json::json!({"digest": digest.as_str(), "size": 1, "artifactType": kind, "annotations": annotations});
            serde_json::from_value::<Descriptor>(text).unwrap()
        };
        let list = [
            record(record::ARTIFACT, "2026-08-21T10:00:00Z", "1.2-rc latest", "mo"),
            record(record::ARTIFACT, "2026-08-20T10:00:00Z", "latest", "jo"),
            record(record::ARTIFACT, "2026-08-25T10:00:00Z", "latest-x", "jo"),
            record(record::ARTIFACT, "soon", "latest", "jo"),
            record("a/b", "2026-08-26T10:00:00Z", "latest", "jo"),
        ];
        for (tag, expected) in
            [("latest", Some("2026-08-21T10:00:00Z mo")), ("1.2-rc", Some("2026-08-21T10:00:00Z mo")), ("x", None)]
        {
            let push = Push::recorded(&list, &Tag::parse(tag).unwrap());
            let shown = push.map(|push| format!("{} {}", push.at, push.by.unwrap_or_default()));
            assert_eq!(shown.as_deref(), expected, "{tag}");
        }
        let long = record(record::ARTIFACT, "2026-08-21T10:00:00Z", "latest", &"x".repeat(9000));
        let by = Push::recorded(&[long], &Tag::parse("latest").unwrap()).unwrap().by.unwrap();
        assert_eq!(by.chars().count(), LONGEST + 1);
    }
}
