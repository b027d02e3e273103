//! Versions, tags that are made of others, records, and answers to uploads.

use super::check::{self, ok, text};
use ring::rand::SystemRandom;
use tagwright::output::{Screen, text as shown};
use tagwright::pure::http::message::{Headers, Response};
use tagwright::pure::http::url::Url;
use tagwright::pure::image::digest::Digest;
use tagwright::pure::image::listing::TagEntry;
use tagwright::pure::image::tag::Tag;
use tagwright::pure::promote::template::Template;
use tagwright::pure::promote::upload::{self, Next, Step};
use tagwright::pure::promote::{history, recorded, signed_record};
use tagwright::pure::signature::{PublicKey, SigningKey};
use tagwright::pure::text::glob::Glob;
use tagwright::pure::text::instant::rfc3339;
use tagwright::pure::version::scheme::TagFormat;
use tagwright::pure::version::{Since, calver, pick};
use time::OffsetDateTime;

/// A version reads as it is written; no list of names is too odd to look for a build in.
pub fn version(data: &[u8]) {
    let text = text(data);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, &text));
    let format = ok(TagFormat::parse(first)).unwrap_or_default();
    if let Some(found) = format.read(rest) {
        assert_eq!(found.version, TagFormat::default().spelled(&found.text).expect("it was read").version);
        assert_eq!(found.tag.as_str(), rest);
        assert!(rest.contains(&found.written()));
    }
    let tags: Vec<TagEntry> = text.lines().map(TagEntry::named).collect();
    for newest in [false, true] {
        pick::pick(&tags, 103, newest, &format);
    }
    assert_eq!(pick::order(&tags, &format).len(), tags.len());
    if let Some(moment) = ok(calver::parse_time(&text)) {
        calver::week_of(moment);
        rfc3339(moment);
        if let Some(since) = ok(Since::parse(&text)) {
            assert_eq!(since, Since::At(moment));
        }
    }
    if let Some(since) = ok(Since::parse(first)) {
        rfc3339(since.moment(OffsetDateTime::UNIX_EPOCH));
    }
}

/// What a template becomes is a tag, or is refused.
pub fn template(data: &[u8]) {
    let text = text(data);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, "2026.34.103"));
    if let Some(template) = ok(Template::parse(first)) {
        let source = Tag::parse("2026.34.103-rc").expect("a tag");
        if let Some(tag) = ok(template.expand(Some(&source), Some("2026.34.103"))) {
            assert!(Tag::parse(tag.as_str()).is_ok());
        }
        let _ = template.around("2026.34.103");
        template.version_in(rest, &TagFormat::default());
    }
    if let Some(glob) = ok(Glob::parse(first)) {
        glob.matches(rest);
    }
}

/// A record that is read says no more than it holds, and what is shown of it stays on its line.
pub fn record(data: &[u8]) {
    let text = text(data);
    if let Some(promotion) = ok(recorded::promotion(&text, "the record", None)) {
        assert!(promotion.records.iter().all(|one| one.tags.len() <= text.len()) && promotion.warnings.len() <= 1);
        promotion.warnings.iter().for_each(|warning| check::terminal(warning));
    }
    let artifact = Digest::of(data);
    let image = serde_json::from_str(&text)
        .ok()
        .and_then(|value: serde_json::Value| Digest::parse(value["source"]["digest"].as_str()?).ok());
    let Some(kept) = ok(history::read(data, &artifact, &image.unwrap_or_else(|| artifact.clone()))) else { return };
    let mut kept = vec![kept.clone(), kept];
    history::order(&mut kept);
    let result = history::result(&kept, "docker.io/acme/app");
    let result: serde_json::Value = serde_json::from_str(&result).expect("a result is JSON");
    assert_eq!(result["records"].as_array().map(Vec::len), Some(2));
    let table = shown::of("history", &result, "two", Screen::NONE);
    assert!(!table.contains(|c: char| c.is_control() && c != '\n'));
    assert_eq!(table.lines().count(), 5);
}

/// A bundle about an image that is read holds a record as its text, and no key that nobody has is taken for one that signs.
pub fn signed_record(data: &[u8]) {
    let text = text(data);
    let image = Digest::of(b"image");
    let near = text.replace("@image@", image.hex());
    if let Ok((record, is_signed)) = signed_record::read(&near, &image, &[]) {
        assert!(!is_signed && serde_json::from_str::<serde_json::Value>(&record).is_ok());
    }
    if let Some(key) = ok(SigningKey::read(&text, "the key", &SystemRandom::new())) {
        let signature = key.sign(data, &SystemRandom::new()).expect("random numbers");
        assert!(PublicKey::of(&key.public).expect("its other half").verifies(data, &signature));
    }
}

/// The first line is a status, the others are headers; nothing that is no success ends an upload.
pub fn upload(data: &[u8]) {
    let text = text(data);
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or(202);
    let mut headers = Headers::new();
    for line in lines.clone() {
        let (name, value) = line.split_once(':').unwrap_or(("range", line));
        headers.push(name, value.trim());
        headers.push("content-range", value.trim());
    }
    upload::held(&headers);
    if let Some((first, whole)) = upload::content_range(&headers) {
        assert!(
            first.is_some() || whole.is_some() || headers.get("content-range").is_some_and(|text| text.contains('*'))
        );
    }
    let from = Url::parse("https://registry.example/v2/acme/app/blobs/uploads/1").expect("an address");
    let body = lines.collect::<Vec<_>>().join("\n").into_bytes();
    let response = Response { from, status, headers, body, secrets: Default::default() };
    for step in [Step::Whole, Step::Chunk, Step::Close] {
        let next = upload::next(step, Ok(&response));
        assert!(next != Next::Done || response.is_success());
    }
    upload::may_be_at_work(Ok(&response));
}
