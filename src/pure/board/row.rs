//! The rows of the board: what a tag holds, and what records and lists say of how it came to be there.
//!
//! Whoever may write to a repository may write such a record, so that nothing in one decides what a tag holds.

use crate::pure::board::{ImageOrigin, TagLines, compare};
use crate::pure::http::Url;
use crate::pure::image::{Digest, Listing, Repository, Tag};
use crate::pure::promote::record::RecordState;
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Claims, Push, StoredRecord};
use crate::pure::text::show;
use crate::pure::version::{TagFormat, Version};
use serde::Serialize;

/// The most characters of a name, and of an address.
const LONGEST: (usize, usize) = (200, 2000);

/// A repository on the board.
#[derive(Debug, Serialize)]
pub struct BoardRepository {
    /// The repository.
    pub repository: String,
    /// The newest version in its list.
    pub newest: Option<String>,
    /// Its moving tags.
    pub tags: Vec<BoardTag>,
    /// Why nothing is known of it.
    pub error: Option<String>,
    /// How its tags have moved, the newest first, as records tell.
    #[serde(skip)]
    pub moves: Vec<TagMove>,
}

/// A tag on the board.
#[derive(Debug, Serialize)]
pub struct BoardTag {
    /// The tag.
    pub tag: Tag,
    /// The version that it holds.
    pub version: Option<String>,
    /// What it points at; `None` where it is not there.
    pub digest: Option<Digest>,
    /// Since when.
    pub since: Option<String>,
    /// By whom.
    pub by: Option<String>,
    /// Whose word that is.
    pub via: Option<&'static str>,
    /// Whether one of the keys that were given has signed the record that says so.
    pub verified: Option<bool>,
    /// From which build.
    pub from: Option<BuildOrigin>,
    /// How many versions are newer.
    pub behind: Option<usize>,
    /// What has changed since what it held before.
    pub change: Option<TagChange>,
}

/// The build that asked for a promotion, as its environment said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BuildOrigin {
    /// Its page.
    pub url: Option<String>,
    /// The job.
    pub job: Option<String>,
    /// Its number.
    pub build: Option<String>,
}

/// What a tag held before, and what changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagChange {
    /// What it held.
    pub before: Digest,
    /// The version of that.
    pub before_version: Option<String>,
    /// The revision of that.
    pub before_revision: Option<String>,
    /// The revision of what it holds now.
    pub revision: Option<String>,
    /// The page that shows what changed between them.
    pub compare: Option<String>,
}

/// A tag that a promotion created or moved.
#[derive(Clone, Debug)]
pub struct TagMove {
    /// The tag.
    pub tag: Tag,
    /// When.
    pub at: String,
    /// What it held from then on.
    pub digest: Digest,
    /// The version of that.
    pub version: Option<String>,
    /// By whom.
    pub by: Option<String>,
    /// Whether one of the keys that were given has signed that record.
    pub verified: Option<bool>,
    /// From which build.
    pub from: Option<BuildOrigin>,
    /// What it held before.
    pub before: Option<Digest>,
    /// The version of that.
    pub before_version: Option<String>,
}

/// A name in a length that fits into a table; `None` for a blank one.
fn name(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).map(|text| show::cut(text, LONGEST.0))
}

fn version_of(text: &str) -> Option<Version> {
    TagFormat::default().spelled(text).map(|spelled| spelled.version)
}

impl BuildOrigin {
    fn of(claimed: &Claims) -> Option<Self> {
        let is_address = |url: &&String| url.len() <= LONGEST.1 && Url::parse(url).is_ok();
        let url = claimed.build_url.as_ref().filter(is_address).cloned();
        let (job, build) = (name(claimed.job.as_ref()), name(claimed.build.as_ref()));
        (url.is_some() || job.is_some()).then_some(Self { url, job, build })
    }

    /// Job and number as people write them.
    pub fn title(&self) -> String {
        let parts = [self.job.clone(), self.build.as_ref().map(|build| format!("#{build}"))];
        let title = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if title.is_empty() { "build".to_owned() } else { title }
    }
}

/// How the tags of a repository have moved, by its records, newest first.
pub fn moves(records: &[StoredRecord], repository: &Repository) -> Vec<TagMove> {
    let ours = records.iter().map(|one| (&one.record, one.verified));
    let ours = ours.filter(|(record, _)| record.repository == *repository && record.state == RecordState::Done);
    ours.flat_map(|(record, verified)| {
        let written = record.tags.iter().filter(|tag| matches!(tag.action, TagAction::Created | TagAction::Moved));
        written.filter_map(move |tag| {
            Some(TagMove {
                verified,
                tag: tag.tag.clone(),
                at: record.at.clone(),
                digest: tag.after.clone()?,
                version: name(record.version.as_ref()).filter(|text| version_of(text).is_some()),
                // What a registry has confirmed counts for more than what the environment said.
                by: name(record.identity.target.name.as_ref().or(record.claimed.user.as_ref())),
                from: BuildOrigin::of(&record.claimed),
                before: tag.before.clone(),
                before_version: name(tag.before_version.as_ref()),
            })
        })
    })
    .collect()
}

/// What images say they were built from, as records repeat it.
pub fn origins(records: &[StoredRecord]) -> Vec<(Digest, ImageOrigin)> {
    let told = records.iter().filter_map(|one| Some((&one.record, one.record.labels.as_ref()?)));
    told.map(|(record, labels)| (record.source.digest.clone(), ImageOrigin::of(labels))).collect()
}

/// The move that brought a tag to what it holds; `None` where the last one that is known brought it elsewhere.
pub fn last<'m>(moves: &'m [TagMove], tag: &Tag, held: &Digest) -> Option<&'m TagMove> {
    moves.iter().find(|one| one.tag == *tag).filter(|one| one.digest == *held)
}

/// What is known of a repository.
pub struct BoardFacts<'f> {
    /// Its list, and the tags in it by what they are for; `None` where it cannot be read.
    pub listing: Option<(&'f Listing, &'f TagLines<'f>)>,
    /// How its tags have moved, newest first.
    pub moves: &'f [TagMove],
    /// What its images say they were built from.
    pub origins: &'f [(Digest, ImageOrigin)],
}

/// A tag of which nothing is known yet.
pub(super) fn blank(tag: Tag) -> BoardTag {
    BoardTag {
        tag,
        version: None,
        digest: None,
        since: None,
        by: None,
        via: None,
        verified: None,
        from: None,
        behind: None,
        change: None,
    }
}

/// The row of a tag; `held` is what it points at, with the version that a tag of the list gives that.
pub fn row(facts: &BoardFacts, tag: &Tag, held: Option<(&Digest, Option<String>)>) -> BoardTag {
    let blank = blank(tag.clone());
    let Some((held, version)) = held else { return blank };
    let last = last(facts.moves, tag, held);
    let pushed = facts.listing.and_then(|(listing, _)| Push::listed(listing, tag, held));
    let (since, by, via) = match (last, pushed) {
        (Some(last), _) => (Some(last.at.clone()), last.by.clone(), Some("record")),
        (None, Some(pushed)) => (Some(pushed.at), pushed.by, Some(pushed.via)),
        (None, None) => (None, None, None),
    };
    let change = |last: &TagMove| {
        let before = last.before.clone().filter(|before| before != held)?;
        let origin = |image: &Digest| facts.origins.iter().find(|(known, _)| known == image).map(|(_, origin)| origin);
        let (old, new) = (origin(&before), origin(held));
        let revision = |origin: Option<&ImageOrigin>| origin.and_then(|origin| origin.revision.clone());
        Some(TagChange {
            before_version: last.before_version.clone(),
            before_revision: revision(old),
            revision: revision(new),
            compare: old.zip(new).and_then(|(old, new)| compare::link(old, new)),
            before,
        })
    };
    let version = version.or_else(|| last?.version.clone());
    let behind = |text: &String| Some(facts.listing?.1.behind(tag.as_str(), version_of(text)?));
    BoardTag {
        digest: Some(held.clone()),
        since,
        by,
        via,
        verified: last.and_then(|last| last.verified),
        from: last.and_then(|last| last.from.clone()),
        behind: version.as_ref().and_then(behind),
        version,
        change: last.and_then(change),
        ..blank
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::TagEntry;
    use crate::pure::image::listing::Via;
    use crate::pure::promote::history::tests::kept;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn claims(url: &str, job: &str, build: &str) -> Claims {
        let all = [("BUILD_URL", url), ("JOB_NAME", job), ("BUILD_NUMBER", build)];
        let set = |name: &str| all.iter().find(|(known, value)| *known == name && !value.is_empty());
        Claims::of(&|name| set(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_build_has_an_address_only_of_http_or_https() {
        let long = format!("https://ci.example/{}", "x".repeat(2000));
        for (url, job, build, expected) in [
            ("https://ci.example/job/7/", "job", "7", Some((true, "job #7"))),
            ("http://ci.example:8080/", "", "", Some((true, "build"))),
            ("", "job", "", Some((false, "job"))),
            ("javascript:alert(1)", "job", "7", Some((false, "job #7"))),
            ("https://me:secret@ci.example/", "job", "7", Some((false, "job #7"))),
            ("https://ci.example/a b", "job", "7", Some((false, "job #7"))),
            (&long, "job", "7", Some((false, "job #7"))),
            ("data:text/html,x", " ", "7", None),
            ("", "", "", None),
        ] {
            let told = BuildOrigin::of(&claims(url, job, build)).map(|one| (one.url.is_some(), one.title()));
            assert_eq!(told.as_ref().map(|(has, title)| (*has, title.as_str())), expected, "{url} {job}");
        }
        let cut = BuildOrigin::of(&claims("", &"j".repeat(300), "7")).unwrap().job.unwrap();
        assert_eq!(cut.chars().count(), LONGEST.0 + 1);
    }

    #[test]
    fn an_image_was_built_from_what_the_labels_in_its_record_say() {
        let labels = json!({"org.opencontainers.image.revision": "abc"});
        let records =
            [json!({"labels": null}), json!({"labels": labels})].map(|more| kept("2026-08-23T10:00:00Z", more));
        let told = BTreeMap::from([("org.opencontainers.image.revision".to_owned(), "abc".to_owned())]);
        assert_eq!(origins(&records), [(Digest::of(b"image"), ImageOrigin::of(&told))]);
    }

    #[test]
    fn a_tag_has_moved_where_a_promotion_that_is_done_wrote_it_in_this_repository() {
        let (image, old) = (Digest::of(b"image"), Digest::of(b"old"));
        let tag = |tag: &str, action: &str| {
            json!({"tag": tag, "before": old.as_str(), "beforeVersion": "1.2.2", "after": image.as_str(),
                "action": action, "verified": true})
        };
        let tags = json!([tag("latest", "moved"), tag("1.2", "created"), tag("stable", "unchanged"), tag("1", "kept")]);
        let claimed = json!({"user": "mo", "job": "release", "build": "7"});
        let mut records = [
            json!({"tags": tags, "claimed": claimed}),
            json!({"repository": "reg.example/other"}),
            json!({"state": "planned"}),
        ]
        .map(|more| kept("2026-08-23T10:00:00Z", more));
        records[0].verified = Some(true);
        let moves = moves(&records, &Repository::parse("reg.example/app").unwrap());
        assert_eq!(moves.iter().map(|one| one.tag.as_str()).collect::<Vec<_>>(), ["latest", "1.2"]);
        let first = &moves[0];
        assert_eq!((&*first.at, &first.digest, first.before.as_ref()), ("2026-08-23T10:00:00Z", &image, Some(&old)));
        assert_eq!((first.version.as_deref(), first.before_version.as_deref()), (Some("1.2.3"), Some("1.2.2")));
        let from = first.from.as_ref().map(BuildOrigin::title);
        assert_eq!(
            (first.by.as_deref(), from.as_deref(), first.verified),
            (Some("mo"), Some("release #7"), Some(true))
        );
    }

    #[test]
    fn a_row_tells_what_the_last_move_and_the_origins_of_both_images_say() {
        let from = BuildOrigin { url: None, job: Some("release".to_owned()), build: None };
        let last = moved("latest", "2026-08-23T10:00:00Z", "b", Some("a"));
        let moves = [TagMove { verified: Some(true), from: Some(from.clone()), ..last }];
        let [old, new] = ["a", "b"].map(|image| Digest::of(image.as_bytes()));
        let revision = |revision: &str| ImageOrigin { revision: Some(revision.to_owned()), source: None };
        let origins = [(new.clone(), revision("bbbbbbb")), (old, revision("aaaaaaa"))];
        let facts = BoardFacts { listing: None, moves: &moves, origins: &origins };
        let row = row(&facts, &Tag::parse("latest").unwrap(), Some((&new, None)));
        assert_eq!((row.by.as_deref(), row.version.as_deref()), (Some("mo"), Some("1.2.3")));
        assert_eq!((row.verified, row.from), (Some(true), Some(from)));
        let change = row.change.unwrap();
        let revisions = (change.before_revision.as_deref(), change.revision.as_deref());
        assert_eq!(revisions, (Some("aaaaaaa"), Some("bbbbbbb")));
    }

    fn moved(tag: &str, at: &str, to: &str, before: Option<&str>) -> TagMove {
        TagMove {
            tag: Tag::parse(tag).unwrap(),
            at: at.to_owned(),
            digest: Digest::of(to.as_bytes()),
            version: Some("1.2.3".to_owned()),
            by: Some("mo".to_owned()),
            verified: None,
            from: None,
            before: before.map(|before| Digest::of(before.as_bytes())),
            before_version: None,
        }
    }

    #[test]
    fn the_last_move_counts_where_it_led_to_what_is_held_and_the_list_otherwise() {
        let moves = [
            moved("latest", "2026-08-23T10:00:00Z", "b", Some("a")),
            moved("stable", "2026-08-22T10:00:00Z", "b", Some("b")),
            moved("latest", "2026-08-21T10:00:00Z", "a", None),
        ];
        let entry = |name: &str| TagEntry { updated: Some("2026-08-25T10:00:00Z".to_owned()), ..TagEntry::named(name) };
        let tags = vec![entry("latest"), entry("other"), entry("1.2.3"), entry("1.3.0")];
        let listing = Listing { scanned: 4, via: Via::HubApi, is_whole: true, tags };
        let (lines, origins) = (TagLines::of(&listing.tags), Vec::new());
        let unlisted = BoardFacts { listing: None, moves: &moves, origins: &origins };
        let facts = BoardFacts { listing: Some((&listing, &lines)), moves: &moves, origins: &origins };
        for (facts, tag, held, version, since, via, behind, change) in [
            (&facts, "latest", Some("b"), None, Some("2026-08-23"), Some("record"), Some(1), true),
            (&facts, "latest", Some("b"), Some("1.3.0"), Some("2026-08-23"), Some("record"), Some(0), true),
            // It was put back, or moved by somebody who keeps no records.
            (&facts, "latest", Some("a"), None, Some("2026-08-25"), Some("hub-api"), None, false),
            (&facts, "other", Some("c"), None, Some("2026-08-25"), Some("hub-api"), None, false),
            (&unlisted, "latest", Some("b"), None, Some("2026-08-23"), Some("record"), None, true),
            (&unlisted, "latest", Some("a"), None, None, None, None, false),
            // It was written again with what it held.
            (&unlisted, "stable", Some("b"), None, Some("2026-08-22"), Some("record"), None, false),
            (&facts, "latest", None, None, None, None, None, false),
        ] {
            let held = held.map(|held| Digest::of(held.as_bytes()));
            let named = held.as_ref().map(|held| (held, version.map(str::to_owned)));
            let row = row(facts, &Tag::parse(tag).unwrap(), named);
            let since_day = row.since.as_deref().map(|since| &since[..10]);
            assert_eq!((since_day, row.via, row.behind), (since, via, behind), "{tag} {held:?}");
            assert_eq!((row.digest, row.change.is_some()), (held, change), "{tag}");
        }
    }
}
