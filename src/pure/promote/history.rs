//! Records that were kept beside their images, in order, as JSON and as a sentence.
//!
//! Whoever may write to a repository may write such a record, so nothing in one is trusted to be of a certain form, and
//! nothing is passed on that does not belong into one.

use crate::error::{Code, Error};
use crate::pure::image::Digest;
use crate::pure::promote::record::LONGEST;
use crate::pure::promote::{Record, recorded};
use crate::pure::text::{instant, quoted};
use serde_json::Value;

/// A record as it was found.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// The digest of the artifact that holds it.
    pub artifact: Digest,
    /// Whether one of the keys that were given has signed it; `None` where none was given.
    pub verified: Option<bool>,
    /// All of it that a record has.
    pub record: Record,
}

/// Reads a record that points at an image: what belongs into one, in its place and of its kind.
///
/// # Errors
/// `record-invalid`.
pub fn read(bytes: &[u8], artifact: &Digest, image: &Digest) -> Result<StoredRecord, Error> {
    let invalid = |why: String| Error::new(Code::RecordInvalid, why);
    if bytes.len() > LONGEST {
        return Err(invalid(format!("it has {} bytes, and no record has more than {LONGEST}", bytes.len())));
    }
    let mut value: Value = serde_json::from_slice(bytes).map_err(|why| invalid(format!("it is not JSON: {why}")))?;
    make_plain(&mut value);
    let mut record = recorded::record(&value, "it")?;
    if record.source.digest != *image {
        return Err(invalid(format!("it is about `{}` and points at `{image}`", record.source.digest)));
    }
    let at = instant::parse(&record.at);
    record.at = at.map(instant::rfc3339).ok_or_else(|| invalid(format!("{} is no time", quoted(&record.at))))?;
    Ok(StoredRecord { artifact: artifact.clone(), verified: None, record })
}

/// Blanks take the place of all that steers what shows a text.
fn make_plain(value: &mut Value) {
    let plain = |text: &str| text.replace(char::is_control, " ");
    match value {
        Value::String(text) => *text = plain(text),
        Value::Array(list) => list.iter_mut().for_each(make_plain),
        Value::Object(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, mut value)| {
                    make_plain(&mut value);
                    (plain(&key), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Puts the newest first.
pub fn order(kept: &mut [StoredRecord]) {
    // Times are RFC 3339 in UTC, so their order as text is their order in time.
    kept.sort_by(|a, b| b.record.at.cmp(&a.record.at).then_with(|| a.artifact.cmp(&b.artifact)));
}

/// The result: every record whole, after the digest of its artifact and whether it is verified.
pub fn result(kept: &[StoredRecord], repository: &str) -> String {
    let one = |kept: &StoredRecord| {
        let verified = kept.verified.map_or("null", |is| if is { "true" } else { "false" });
        format!(r#"{{"digest":"{}","verified":{verified},{}"#, kept.artifact, &kept.record.line()[1..])
    };
    let records: Vec<String> = kept.iter().map(one).collect();
    let repository = Value::from(repository);
    format!(r#"{{"repository":{repository},"records":[{}]}}"#, records.join(","))
}

/// How many of them there are, of all that were found.
pub fn sentence(kept: &[StoredRecord], place: &str, count: usize) -> String {
    match kept.len() {
        n if n < count => format!("`{place}`: the newest {n} of {count} promotions"),
        0 => format!("`{place}` has no record of a promotion; `promote --attach-record` keeps one"),
        1 => format!("`{place}` has 1 record of a promotion"),
        n => format!("`{place}` has {n} records of promotions"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    fn whole(at: &str, more: Value) -> Value {
        let image = Digest::of(b"image");
        let (nobody, image) = (json!({"registry": "reg.example", "name": null, "credential": null}), image.as_str());
        let mut record = json!({
            "schema": 1, "state": "done", "command": "promote", "at": at, "tool": "tagwright 0.1.0",
            "repository": "reg.example/app", "version": "1.2.3",
            "source": {"reference": "r", "digest": image, "mediaType": "m"},
            "tags": [{
                "tag": "latest", "before": null, "beforeVersion": null, "after": image, "action": "created",
                "verified": true,
            }],
            "copied": {"blobs": 0, "mounted": 0, "skipped": 0, "bytes": 0},
            "referrers": {"found": null, "copied": 0, "left": 0}, "labels": {}, "rollback": [],
            "claimed": {}, "identity": {"source": nobody, "target": nobody},
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    }

    /// A record of that time, with what differs from a promotion of `reg.example/app:1.2.3` to `latest`.
    pub fn kept(at: &str, more: Value) -> StoredRecord {
        let record = format!("{:#}\n", whole(at, more));
        read(record.as_bytes(), &Digest::of(at.as_bytes()), &Digest::of(b"image")).unwrap()
    }

    #[test]
    fn the_newest_stands_first() {
        let mut all = vec![
            kept("2026-08-19T10:00:00Z", json!({"claimed": {"user": "mo", "job": "release", "build": "7"}})),
            kept(
                "2026-08-21T10:00:00Z",
                json!({"version": null, "claimed": {"user": "mo"}, "identity": {
                    "source": {"registry": "r", "name": null, "credential": null},
                    "target": {"registry": "r", "name": "robot", "credential": "env"},
                }}),
            ),
            kept("2026-08-20T12:00:00+02:00", json!({"tags": []})),
        ];
        order(&mut all);
        for (number, count, expected) in [
            (3, 3, "`a` has 3 records of promotions"),
            (1, 3, "`a`: the newest 1 of 3 promotions"),
            (1, 1, "`a` has 1 record of a promotion"),
            (0, 0, "`a` has no record of a promotion; `promote --attach-record` keeps one"),
        ] {
            assert_eq!(sentence(&all[..number], "a", count), expected);
        }
        let result: Value = serde_json::from_str(&result(&all, "reg.example/app")).unwrap();
        assert_eq!(result["records"][2]["claimed"]["job"], "release");
        assert_eq!(result["records"][0]["digest"], Digest::of(b"2026-08-21T10:00:00Z").as_str());
    }

    #[test]
    fn a_record_about_another_image_is_none_of_this_one() {
        let sound = whole("2026-08-19T10:00:00Z", json!({})).to_string();
        let (artifact, other) = (Digest::of(b"x"), Digest::of(b"other"));
        for (bytes, message) in [
            (sound.as_bytes(), "it is about "),
            (b"{", "it is not JSON"),
            (b"{\"schema\":9}", "it is a record of schema 9"),
        ] {
            let error = read(bytes, &artifact, &other).unwrap_err();
            assert!(error.code() == Code::RecordInvalid && error.message().starts_with(message), "{error}");
        }
    }

    #[test]
    fn a_record_has_its_longest_and_not_a_byte_more() {
        let (image, artifact) = (Digest::of(b"image"), Digest::of(b"x"));
        let sound = whole("2026-08-19T10:00:00Z", json!({})).to_string();
        for (length, fits) in [(LONGEST, true), (LONGEST + 1, false)] {
            let padded = format!("{sound}{}", " ".repeat(length - sound.len()));
            assert_eq!(read(padded.as_bytes(), &artifact, &image).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn nothing_is_passed_on_that_does_not_belong_into_a_record() {
        let more = json!({
            "later": {"unknown": 1e300}, "tool": "a\u{1b}[31m\nb\u{9b}", "labels": {"k\r": "two\nlines"},
            "claimed": {"user": "mo", "secret": "x"}, "copied": {"blobs": u64::MAX, "mounted": 0, "skipped": 0, "bytes": 0},
        });
        let text = result(&[kept("2026-08-19T10:00:00+00:00", more)], "a");
        let record: Value = serde_json::from_str(&text).unwrap();
        let record = &record["records"][0];
        assert_eq!((&record["later"], &record["claimed"]["secret"]), (&Value::Null, &Value::Null), "{text}");
        assert_eq!((record["tool"].as_str(), record["at"].as_str()), (Some("a [31m b "), Some("2026-08-19T10:00:00Z")));
        assert_eq!((&record["labels"]["k "], &record["copied"]["blobs"]), (&json!("two lines"), &json!(u64::MAX)));
        for (key, value) in [
            ("at", json!("2026-08-19\n10:00")),
            ("at", json!("9999-12-31T23:59:59-23:59")),
            ("claimed", json!("damaged")),
            ("claimed", json!({"user": ["mo"]})),
            ("identity", json!(7)),
            ("labels", json!({"a": 1})),
            ("rollback", json!(["tagwright"])),
            ("state", json!("dreamt")),
            ("copied", json!({"blobs": 1e300, "mounted": 0, "skipped": 0, "bytes": 0})),
            ("copied", json!({"blobs": -1, "mounted": 0, "skipped": 0, "bytes": 0})),
        ] {
            let record = whole("2026-08-19T10:00:00Z", json!({key: value.clone()})).to_string();
            let error = read(record.as_bytes(), &Digest::of(b"x"), &Digest::of(b"image")).unwrap_err();
            assert_eq!(error.code(), Code::RecordInvalid, "{key} {value}");
        }
    }
}
