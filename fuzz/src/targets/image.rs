//! References and what a registry answers for them.

use super::check::{self, ok, text};
use std::collections::HashMap;
use tagwright::pure::image::config::Config;
use tagwright::pure::image::content::Content;
use tagwright::pure::image::descriptor::Descriptor;
use tagwright::pure::image::digest::Digest;
use tagwright::pure::image::media_type::MediaType;
use tagwright::pure::image::platform::Platform;
use tagwright::pure::image::raw_manifest::RawManifest;
use tagwright::pure::image::reference::Reference;
use tagwright::pure::image::referrers;
use tagwright::pure::image::registry::Registry;
use tagwright::pure::image::repository::Repository;
use tagwright::pure::image::tag::{self, Tag};
use tagwright::pure::promote::{Push, copy};

/// What is read is written so that it reads the same.
pub fn reference(data: &[u8]) {
    let text = text(data);
    if let Some(read) = ok(Reference::parse(&text)) {
        assert_eq!(Reference::parse(&read.to_string()).ok().as_ref(), Some(&read));
        assert!(read.to_string().is_ascii());
        assert!(read.clone().or_latest().identifier().is_some());
    }
    if let Some(read) = ok(Repository::parse(&text)) {
        assert_eq!(Repository::parse(&read.to_string()).ok(), Some(read));
    }
    if let Some(read) = ok(Registry::parse(&text)) {
        assert_eq!(Registry::parse(&read.to_string()).ok(), Some(read));
    }
    if let Some(read) = ok(Tag::parse(&text)) {
        assert!(read.as_str().len() <= 128 && read.as_str() == text);
    }
    if let Some(read) = ok(Digest::parse_any(&text)) {
        assert!(read.short().len() <= read.as_str().len() && read.as_str() == text);
        assert!(referrers::cosign_tags(&read).iter().all(|tag| Tag::parse(tag.as_str()).is_ok()));
    }
    tag::is_digest_derived(&text);
    referrers::subject(&text);
}

/// A platform reads as it is written.
pub fn platform(data: &[u8]) {
    if let Some(read) = ok(Platform::parse(&text(data))) {
        assert_eq!(Platform::parse(&read.to_string()).ok().as_ref(), Some(&read));
        assert!(read.matches(&read));
    }
    let media_type = MediaType::parse(&text(data));
    assert_eq!(MediaType::parse(media_type.as_str()), media_type);
}

const HEADERS: [Option<&str>; 5] = [
    None,
    Some("application/json"),
    Some("application/vnd.oci.image.manifest.v1+json"),
    Some("application/vnd.oci.image.index.v1+json; charset=utf-8"),
    Some("application/vnd.example.artifact"),
];

/// Whatever is read names no more than was sent, and what is copied of it comes once and in order.
pub fn manifest(data: &[u8]) {
    for header in HEADERS {
        let Some(content) = ok(Content::parse(data, header)) else { continue };
        let digest = Digest::of(data);
        let parts = copy::parts(&content);
        let known = HashMap::from([(digest.clone(), &parts)]);
        let order = copy::order(std::slice::from_ref(&digest), &known);
        assert_eq!(order.last(), Some(&digest));
        let (blobs, _) = copy::blobs([&parts, &parts].into_iter());
        assert!(blobs.len() * "sha256:".len() <= data.len());
        referrers::entry(&digest, data.len(), &content);
        assert!(content.parts().count() <= data.len() && content.artifact_type() != Some(""));
        let raw = RawManifest::parse(digest, data, header).expect("it was read a moment ago");
        assert_eq!(*raw.body, *data);
    }
}

fn descriptor(descriptor: &Descriptor) {
    if let Some(bytes) = descriptor.inline() {
        assert!(descriptor.digest.matches(&bytes) && descriptor.size == bytes.len() as u64);
    }
    if let Some(platform) = &descriptor.platform {
        assert!(!platform.to_string().contains(char::is_control));
    }
    assert!(!(descriptor.is_attestation() && descriptor.may_be_image()));
}

/// An index keeps what it holds when an entry is added, and takes each entry once.
pub fn index(data: &[u8]) {
    if let Some(Content::Index(index)) = ok(Content::parse(data, None)) {
        index.manifests.iter().for_each(descriptor);
        assert!(index.images().count() <= index.manifests.len());
    }
    let Some(list) = ok(referrers::parse(data)) else { return };
    let groups = referrers::grouped(&list, &[]);
    assert!(groups.iter().map(|group| group.count).sum::<usize>() == list.len() || groups.len() == 100);
    Push::recorded(&list, &Tag::parse("latest").expect("`latest` is a tag"));
    let digest = Digest::of(b"an entry that is new");
    let entry = serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.as_str(), "size": 2});
    let Some(Some(more)) = ok(referrers::with_entries(Some(data), std::slice::from_ref(&entry))) else { return };
    let longer = referrers::parse(&more).expect("what is written can be read");
    assert_eq!(longer[..list.len()], list[..]);
    assert_eq!(longer.len(), list.len() + 1);
    assert_eq!(referrers::with_entries(Some(&more), &[entry]).ok(), Some(None));
}

/// Labels are those that were sent.
pub fn config(data: &[u8]) {
    if let Some(config) = ok(Config::parse(data)) {
        let length: usize = config.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(length <= 3 * data.len());
        check::terminal(&format!("{config:?}"));
    }
}
