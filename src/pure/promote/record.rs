//! What a promotion leaves behind for whoever asks later: who, when, what, how to undo it.
//!
//! The same object is a line of a `--record` file, `result.record`, `error.record` and the one layer of the artifact
//! that `--attach-record` keeps beside the image. Reading it back is the business of [`crate::pure::promote::recorded`].
//!
//! Artifact: OCI image specification, "Guidelines for Artifact Usage", with an empty config.

use crate::pure::image::{Descriptor, Digest, OCI_MANIFEST, Repository, Tag};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{RequiredLabel, TagWrite, Tally, signed_record};
use crate::pure::text::words::words;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The version of the record; it rises when a key is renamed, removed or means something else.
pub const SCHEMA: u64 = 1;
/// What an artifact is that holds a record, and the media type of its one layer.
pub const ARTIFACT: &str = "application/vnd.tagwright.promotion.v1+json";
/// The annotations that say what there is to know of a record where it is listed: when, which tags it wrote, and for whom.
pub const CREATED: &str = "org.opencontainers.image.created";
/// The tags, with a blank between two.
pub const TAGS: &str = "vnd.tagwright.promotion.tags";
/// Who asked for it.
pub const BY: &str = "vnd.tagwright.promotion.by";
/// The most bytes of such an annotation.
const NOTE: usize = 4 << 10;
/// The media type of a config blob that says nothing.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The config blob that says nothing.
pub const EMPTY_BLOB: &[u8] = b"{}";
/// The longest record that is kept in a registry, or read from one.
pub const LONGEST: usize = 64 << 10;
/// The most bytes of labels that are kept whole.
const LABELS: usize = 4 << 10;
/// The labels that are kept where there is no room for all.
const OF_NOTE: [&str; 5] = [
    "org.opencontainers.image.revision",
    "org.opencontainers.image.version",
    "org.opencontainers.image.source",
    "org.opencontainers.image.created",
    "git_revision",
];

/// What was promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceImage {
    /// As a reference, printed whole.
    pub reference: String,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
}

/// One tag.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagRecord {
    /// The tag.
    pub tag: Tag,
    /// What it pointed at; `None` where it was not there.
    #[serde(deserialize_with = "Option::deserialize")]
    pub before: Option<Digest>,
    /// The version it held, where that is known.
    pub before_version: Option<String>,
    /// What it points at now; `None` where it is not there.
    pub after: Option<Digest>,
    /// What happened to it.
    pub action: TagAction,
    /// Whether it was read back.
    pub verified: Option<bool>,
}

impl TagRecord {
    /// What a record says of a tag, as planned or as it came out.
    pub fn of(write: &TagWrite) -> Self {
        Self {
            tag: write.tag.clone(),
            before: write.before.clone(),
            before_version: write.before_version.clone(),
            after: write.after.clone(),
            action: write.action,
            verified: write.verified,
        }
    }
}

/// Signatures, SBOMs and whatever else points at the image.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Referrers {
    /// How many there are; `None` where it could not be told.
    pub found: Option<usize>,
    /// How many were copied.
    pub copied: usize,
    /// How many were left behind.
    pub left: usize,
}

/// Who a registry, or AWS, said the caller is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// The registry.
    pub registry: String,
    /// The name; `None` for anybody.
    pub name: Option<String>,
    /// Where the credential came from; `None` where none was asked for.
    pub credential: Option<String>,
}

/// Who the caller is on both sides.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Accounts {
    /// Where the image came from.
    pub source: Account,
    /// Where the tags are.
    pub target: Account,
}

/// What the environment says about who asked; nobody has checked it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// The page of the build.
    pub build_url: Option<String>,
    /// The job.
    pub job: Option<String>,
    /// The number of the build.
    pub build: Option<String>,
    /// Who asked for it.
    pub user: Option<String>,
    node: Option<String>,
    commit: Option<String>,
    branch: Option<String>,
}

impl Claims {
    /// Reads the variables that Jenkins sets.
    pub fn of(environment: &dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            build_url: environment("BUILD_URL"),
            job: environment("JOB_NAME"),
            build: environment("BUILD_NUMBER"),
            user: environment("BUILD_USER_ID").or_else(|| environment("USER")),
            node: environment("NODE_NAME"),
            commit: environment("GIT_COMMIT"),
            branch: environment("BRANCH_NAME"),
        }
    }
}

/// Why a promotion ended early.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// The code.
    pub code: String,
    /// The sentence.
    pub message: String,
    /// What had been written, one sentence each.
    pub done: Vec<String>,
}

words! {
    /// What a record tells of.
    RecordState {
        /// What is to be done.
        Planned = "planned",
        /// What was done.
        Done = "done",
        /// How far it came.
        Failed = "failed",
    }
}

words! {
    /// What makes records.
    RecordCommand {
        /// `promote`.
        Promote = "promote",
        /// `release`.
        Release = "release",
        /// `rollback`.
        Rollback = "rollback",
    }
}

/// The record of one promotion.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u64,
    /// What it tells of.
    pub state: RecordState,
    /// The command.
    pub command: RecordCommand,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Program, version and commit.
    pub tool: String,
    /// The repository whose tags these are.
    pub repository: Repository,
    /// The version, where the source's tag names one.
    pub version: Option<String>,
    /// What was promoted.
    pub source: SourceImage,
    /// Every tag; as planned unless the state is `done`.
    pub tags: Vec<TagRecord>,
    /// What was copied.
    pub copied: Tally,
    /// What points at the image.
    pub referrers: Referrers,
    /// Labels of note; `None` where they were not read.
    pub labels: Option<BTreeMap<String, String>>,
    /// The commands that undo it.
    pub rollback: Vec<Vec<String>>,
    /// What the environment says.
    pub claimed: Claims,
    /// What was confirmed.
    pub identity: Accounts,
    /// Why it ended early, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl Record {
    /// As one line of JSON.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What is said of it where it is listed, so that nobody has to read it for that.
    pub fn annotations(&self) -> BTreeMap<&'static str, String> {
        let written = |tag: &&TagRecord| matches!(tag.action, TagAction::Created | TagAction::Moved);
        let tags: Vec<&str> = self.tags.iter().filter(written).map(|tag| tag.tag.as_str()).collect();
        // What a registry has confirmed counts for more than what the environment said.
        let by = self.identity.target.name.as_ref().or(self.claimed.user.as_ref());
        let all = [(CREATED, self.at.clone()), (TAGS, tags.join(" ")), (BY, by.cloned().unwrap_or_default())];
        all.into_iter().filter(|(_, text)| !text.is_empty() && text.len() <= NOTE).collect()
    }
}

/// The record of a run: that of its one promotion, or of several with what they have in common.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum RunRecord {
    /// Of one.
    One(Box<Record>),
    /// Of several.
    Several(Box<RecordSet>),
}

/// The record of several promotions that were one.
#[derive(Clone, Debug, Serialize)]
pub struct RecordSet {
    schema: u64,
    state: RecordState,
    command: RecordCommand,
    at: String,
    tool: String,
    promotions: Vec<Record>,
    rollback: Vec<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

impl RunRecord {
    /// Puts the records of a run together, with what undoes all of it and why it ended early.
    pub fn of(mut promotions: Vec<Record>, rollback: Vec<Vec<String>>, error: Option<Failure>) -> Self {
        match promotions.pop() {
            Some(only) if promotions.is_empty() => Self::One(Box::new(Record { rollback, error, ..only })),
            last => {
                promotions.extend(last);
                let first = &promotions[0];
                let (state, command, at, tool) = (first.state, first.command, first.at.clone(), first.tool.clone());
                let schema = SCHEMA;
                Self::Several(Box::new(RecordSet { schema, state, command, at, tool, promotions, rollback, error }))
            }
        }
    }

    /// As one line of JSON.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Those of the promotions.
    pub fn promotions(&self) -> &[Record] {
        match self {
            Self::One(record) => std::slice::from_ref(record),
            Self::Several(set) => &set.promotions,
        }
    }

    /// The commands that undo all of it.
    pub fn rollback(&self) -> &[Vec<String>] {
        match self {
            Self::One(record) => &record.rollback,
            Self::Several(set) => &set.rollback,
        }
    }
}

/// The labels that a record keeps: what all platforms agree on, whole where it is small, else those of note and
/// those that were required.
pub fn labels<'a>(
    platforms: impl Iterator<Item = &'a BTreeMap<String, String>>,
    required: &[RequiredLabel],
) -> BTreeMap<String, String> {
    let mut agreed: Option<BTreeMap<String, String>> = None;
    let mut differ = false;
    for labels in platforms {
        match &mut agreed {
            None => agreed = Some(labels.clone()),
            Some(agreed) => {
                differ |= agreed != labels;
                agreed.retain(|key, value| labels.get(key) == Some(value));
            }
        }
    }
    let mut agreed = agreed.unwrap_or_default();
    let size: usize = agreed.iter().map(|(key, value)| key.len() + value.len()).sum();
    if differ || size > LABELS {
        agreed.retain(|key, value| {
            value.len() <= LABELS
                && (OF_NOTE.contains(&key.as_str()) || required.iter().any(|wanted| wanted.key == *key))
        });
    }
    agreed
}

/// Whether every brace in the name of a record's file is part of a placeholder.
pub fn is_name(name: &str) -> bool {
    !name.replace("{repository}", "").replace("{digest}", "").contains(['{', '}'])
}

/// The file that a name with placeholders means: the repository without what is none for a file name, and twelve
/// digits of the digest.
pub fn file(name: &str, repository: &str, digest: &Digest) -> String {
    let proper = |c: char| if c.is_ascii_alphanumeric() || "._-/".contains(c) { c } else { '_' };
    let repository: String = repository.chars().map(proper).collect();
    name.replace("{repository}", &repository).replace("{digest}", &digest.hex()[..12])
}

/// The manifest of the artifact that holds a record beside the image it is about; `kind` is the media type of what holds it.
pub fn artifact(
    kind: &str,
    record: &str,
    subject: &SourceImage,
    subject_size: usize,
    annotations: &BTreeMap<&str, String>,
) -> Vec<u8> {
    let point = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": Digest::of(bytes).as_str(), "size": bytes.len()});
    let mut layer = point(kind, record.as_bytes());
    if record.len() <= LONGEST {
        layer["data"] = Value::from(BASE64_STANDARD.encode(record));
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": point(EMPTY, EMPTY_BLOB),
        "layers": [layer],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest.as_str(), "size": subject_size},
        "annotations": annotations,
    });
    manifest.to_string().into_bytes()
}

/// Whether a list of referrers says that this one holds a record.
pub fn is_record(referrer: &Descriptor) -> bool {
    referrer.artifact_type.as_deref() == Some(ARTIFACT) || signed_record::is_listed(referrer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::OCI_INDEX;
    use crate::pure::image::content::Content;
    use crate::pure::promote::history::tests::kept;

    #[test]
    fn a_file_is_named_after_what_was_promoted() {
        let digest = Digest::of(b"image");
        for (name, repository, expected) in [
            ("promotion.jsonl", "acme/app", "promotion.jsonl"),
            ("a/{repository}/{digest}-1.jsonl", "acme/app", "a/docker.io/acme/app/6105d6cc76af-1.jsonl"),
            ("{repository}", "localhost:5000/a_b/c-d", "localhost_5000/a_b/c-d"),
            ("{repository}", "[::1]:5000/a", "___1__5000/a"),
            ("{digest}{digest}", "a", "6105d6cc76af6105d6cc76af"),
        ] {
            assert!(is_name(name));
            assert_eq!(file(name, &Repository::parse(repository).unwrap().to_string(), &digest), expected);
        }
        for name in ["{tag}.jsonl", "{repository", "digest}", "{{digest}}", "{Digest}"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_run_tells_what_undoes_all_of_it_and_why_it_ended() {
        let rollback = vec![vec!["tagwright".to_owned(), "rollback".to_owned()]];
        let error = Failure { code: "denied".to_owned(), message: "no".to_owned(), done: Vec::new() };
        let one = kept("2026-08-23T10:00:00Z", json!({})).record;
        for count in [1, 2] {
            let run = RunRecord::of(vec![one.clone(); count], rollback.clone(), Some(error.clone()));
            assert_eq!((run.promotions().len(), run.rollback()), (count, &rollback[..]));
            let line: Value = serde_json::from_str(&run.line()).unwrap();
            assert_eq!((&line["error"]["code"], &line["rollback"]), (&json!("denied"), &json!(rollback)), "{count}");
            assert_eq!(line["promotions"].is_array(), count > 1);
        }
    }

    #[test]
    fn the_environment_is_only_quoted() {
        let variables = BTreeMap::from([("BUILD_NUMBER", "7"), ("USER", "jenkins"), ("BUILD_USER_ID", "mo")]);
        let read = |with: bool| {
            Claims::of(&|name| variables.get(name).filter(|_| with || name != "BUILD_USER_ID").map(|v| (*v).to_owned()))
        };
        assert_eq!((read(true).user.as_deref(), read(true).build.as_deref()), (Some("mo"), Some("7")));
        assert_eq!((read(false).user.as_deref(), read(false).job), (Some("jenkins"), None));
    }

    #[test]
    fn what_is_said_of_a_record_where_it_is_listed_is_when_which_tags_were_written_and_for_whom() {
        let at = "2026-08-23T10:00:00Z";
        let tag = |tag: &str, action: &str| json!({"tag": tag, "before": null, "action": action});
        let tags = json!([tag("1", "created"), tag("2", "unchanged"), tag("3", "moved"), tag("4", "kept")]);
        let named = |name: &str| json!({"registry": "r", "name": name, "credential": null});
        let identity = json!({"source": named("reader"), "target": named("robot")});
        let user = |length| "x".repeat(length);
        for (more, expected) in [
            (json!({"tags": tags}), json!({CREATED: at, TAGS: "1 3"})),
            (json!({"tags": []}), json!({CREATED: at})),
            (json!({"claimed": {"user": "mo"}}), json!({CREATED: at, TAGS: "latest", BY: "mo"})),
            // What a registry has confirmed counts for more.
            (
                json!({"claimed": {"user": "mo"}, "identity": identity}),
                json!({CREATED: at, TAGS: "latest", BY: "robot"}),
            ),
            (json!({"claimed": {"user": user(4096)}}), json!({CREATED: at, TAGS: "latest", BY: user(4096)})),
            (json!({"claimed": {"user": user(4097)}}), json!({CREATED: at, TAGS: "latest"})),
        ] {
            assert_eq!(json!(kept(at, more).record.annotations()), expected);
        }
    }

    #[test]
    fn labels_are_kept_whole_where_they_agree_and_are_small() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let long = "x".repeat(LABELS);
        let both = map(&[("a", "1"), ("team", "t"), ("git_revision", "abc")]);
        let other = map(&[("a", "2"), ("team", "t"), ("git_revision", "abc")]);
        let large = map(&[("a", &long), ("b", "1"), ("git_revision", "abc")]);
        let broad = map(&[(&"k".repeat(100), &"v".repeat(100))]);
        let brim = map(&[("k", &long[1..])]);
        let required = [RequiredLabel { key: "b".to_owned(), value: None }];
        for (platforms, required, expected) in [
            (vec![], &[][..], map(&[])),
            (vec![&both, &both], &[], both.clone()),
            (vec![&broad], &[], broad.clone()),
            (vec![&brim], &[], brim.clone()),
            (vec![&both, &other], &[], map(&[("git_revision", "abc")])),
            (vec![&large], &[], map(&[("git_revision", "abc")])),
            (vec![&large], &required, map(&[("b", "1"), ("git_revision", "abc")])),
        ] {
            assert_eq!(labels(platforms.into_iter(), required), expected);
        }
    }

    #[test]
    fn an_artifact_points_at_the_image_and_carries_the_record_along() {
        let digest = Digest::of(b"image");
        let subject = SourceImage { reference: "r/a:1".into(), digest, media_type: OCI_INDEX.into() };
        for (record, inline) in [("{}".to_owned(), true), ("x".repeat(LONGEST + 1), false)] {
            let bytes = artifact(ARTIFACT, &record, &subject, 5, &BTreeMap::from([(BY, "mo".to_owned())]));
            let Content::Image(manifest) = Content::parse(&bytes, Some(OCI_MANIFEST)).unwrap() else {
                panic!("an index");
            };
            assert!(!manifest.is_image() && manifest.artifact_type.as_deref() == Some(ARTIFACT));
            let layer = &manifest.layers[0];
            assert_eq!(layer.inline().is_some(), inline);
            assert!(layer.digest.matches(record.as_bytes()) && manifest.config.digest.matches(EMPTY_BLOB));
            let written: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(written["subject"]["digest"], subject.digest.as_str());
            assert_eq!(written["annotations"], json!({BY: "mo"}));
        }
    }
}
