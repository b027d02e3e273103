//! Records that were kept beside their images, in order, as JSON and as a table.
//!
//! Whoever may write to a repository may write such a record, so nothing in one is trusted to be of a certain form.

use crate::error::{Code, Error};
use crate::pure::image::Digest;
use crate::pure::promote::{PastRecord, recorded};
use crate::pure::text::Document;
use serde_json::Value;

/// A record as it was found.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// The digest of the artifact that holds it.
    pub artifact: Digest,
    /// What is used of it.
    pub told: PastRecord,
    /// All of it.
    pub value: Value,
    /// The text, without space between its parts.
    text: String,
}

/// Reads a record that points at an image.
///
/// # Errors
/// `record-invalid`.
pub fn read(bytes: &[u8], artifact: &Digest, image: &Digest) -> Result<StoredRecord, Error> {
    let invalid = |why: String| Error::new(Code::RecordInvalid, why);
    let text = std::str::from_utf8(bytes).map_err(|why| invalid(format!("it is not text: {why}")))?;
    let not_json = |why: serde_json::Error| invalid(format!("it is not JSON: {why}"));
    let value: Value = serde_json::from_str(text).map_err(not_json)?;
    let told = recorded::record(&value, "it")?;
    let text = serde_json::from_str(text).and_then(|raw| serde_json::to_string(&Document(raw))).map_err(not_json)?;
    if told.source.digest != *image {
        return Err(invalid(format!("it is about `{}` and points at `{image}`", told.source.digest)));
    }
    Ok(StoredRecord { artifact: artifact.clone(), told, value, text })
}

/// Puts the newest first.
pub fn order(kept: &mut [StoredRecord]) {
    // Times are RFC 3339 in UTC, so their order as text is their order in time.
    kept.sort_by(|a, b| b.told.at.cmp(&a.told.at).then_with(|| a.artifact.cmp(&b.artifact)));
}

/// The result: every record whole, after the digest of its artifact.
pub fn result(kept: &[StoredRecord], repository: &str) -> String {
    let one = |kept: &StoredRecord| format!(r#"{{"digest":"{}",{}"#, kept.artifact, &kept.text[1..]);
    let records: Vec<String> = kept.iter().map(one).collect();
    let repository = Value::from(repository);
    format!(r#"{{"repository":{repository},"records":[{}]}}"#, records.join(","))
}

/// The table for people, and how many of them there are.
pub fn table(kept: &[StoredRecord], place: &str, count: usize) -> String {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let row = |kept: &StoredRecord| {
        let (claimed, told) = (&kept.value["claimed"], &kept.told);
        let job = text(&claimed["job"]).map(|job| match text(&claimed["build"]) {
            Some(build) => format!("{job} #{build}"),
            None => job,
        });
        // What a registry has confirmed counts for more than what the environment said.
        let who = [text(&kept.value["identity"]["target"]["name"]).or_else(|| text(&claimed["user"])), job];
        let who: Vec<String> = who.into_iter().flatten().collect();
        let tags: Vec<String> = told.tags.iter().map(|one| format!("{} ({})", one.tag, one.action)).collect();
        let version = told.version.clone().unwrap_or_else(|| "-".to_owned());
        [
            told.at.clone(),
            or_dash(who.join(", ")),
            version,
            or_dash(tags.join(", ")),
            told.source.digest.short().to_owned(),
        ]
        .map(|cell| plain(&cell))
    };
    let mut rows = vec![["WHEN", "WHO", "VERSION", "TAGS", "DIGEST"].map(str::to_owned)];
    rows.extend(kept.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [0, 1, 2, 3, 4].map(width);
    let mut out = String::new();
    for row in rows.iter().filter(|_| !kept.is_empty()) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out + &match kept.len() {
        n if n < count => format!("`{place}`: the newest {n} of {count} promotions"),
        0 => format!("`{place}` has no record of a promotion"),
        1 => format!("`{place}` has 1 record of a promotion"),
        n => format!("`{place}` has {n} records of promotions"),
    }
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A cell stays on its line, and leaves room for the others.
fn plain(text: &str) -> String {
    const LONGEST: usize = 80;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().count() > LONGEST { format!("{line}…") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept(at: &str, more: Value) -> StoredRecord {
        let image = Digest::of(b"image");
        let mut record = json!({
            "schema": 1, "state": "done", "command": "promote", "at": at, "repository": "reg.example/app",
            "version": "1.2.3", "source": {"reference": "r", "digest": image.as_str(), "mediaType": "m"},
            "tags": [{"tag": "latest", "before": null, "action": "created"}],
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(format!("{record:#}\n").as_bytes(), &Digest::of(at.as_bytes()), &image).unwrap()
    }

    #[test]
    fn the_newest_stands_first_and_says_who() {
        let mut all = vec![
            kept("2026-08-19T10:00:00Z", json!({"claimed": {"user": "mo", "job": "release", "build": "7"}})),
            kept(
                "2026-08-21T10:00:00Z",
                json!({"version": null, "identity": {"target": {"name": "robot"}}, "claimed": {"user": "mo"}}),
            ),
            kept("2026-08-20\n10:00", json!({"claimed": "damaged", "identity": 7, "tags": []})),
        ];
        order(&mut all);
        let short = Digest::of(b"image").short().to_owned();
        assert_eq!(
            table(&all, "reg.example/app", 3),
            format!(
                "WHEN                  WHO             VERSION  TAGS              DIGEST\n\
                 2026-08-21T10:00:00Z  robot           -        latest (created)  {short}\n\
                 2026-08-20 10:00      -               1.2.3    -                 {short}\n\
                 2026-08-19T10:00:00Z  mo, release #7  1.2.3    latest (created)  {short}\n\
                 `reg.example/app` has 3 records of promotions"
            )
        );
        assert!(table(&all[..1], "a", 3).ends_with("\n`a`: the newest 1 of 3 promotions"));
        assert_eq!(table(&[], "a", 0), "`a` has no record of a promotion");
        let result: Value = serde_json::from_str(&result(&all, "reg.example/app")).unwrap();
        assert_eq!(result["records"][2]["claimed"]["job"], "release");
        assert_eq!(result["records"][0]["digest"], Digest::of(b"2026-08-21T10:00:00Z").as_str());
    }

    #[test]
    fn a_record_about_another_image_is_none_of_this_one() {
        let sound = kept("2026-08-19T10:00:00Z", json!({}));
        let (artifact, other) = (Digest::of(b"x"), Digest::of(b"other"));
        for (bytes, message) in [
            (sound.text.as_bytes(), "it is about "),
            (b"{", "it is not JSON"),
            (b"{\"schema\":9}", "it is a record of schema 9"),
        ] {
            let error = read(bytes, &artifact, &other).unwrap_err();
            assert!(error.code() == Code::RecordInvalid && error.message().starts_with(message), "{error}");
        }
    }
}
