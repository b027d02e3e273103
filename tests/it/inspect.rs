//! `inspect`: what a tag is, and what else is the same.

use crate::stage::{image, many, shown};
use crate::support::cmd::{Ran, tagwright};
use crate::support::image::{Built, Image, Index, helm_chart, two_platforms};
use crate::support::registry::{Options, Registry};
use crate::support::reply::Reply;
use serde_json::{Value, json};

fn inspect(registry: &Registry, tag: &str) -> Ran {
    tagwright(["inspect", &registry.name(&format!("acme/app{tag}"))]).run()
}

/// Points a tag at a digest.
fn point(registry: &Registry, tag: &str, digest: &str) {
    registry.state(|state| state.tag("acme/app", tag, digest));
}

#[test]
fn latest_is_a_version_with_two_platforms() {
    let registry = Registry::start();
    let digest = registry.push("acme/app", "2026.34.103", &two_platforms("abc", "one"));
    for tag in ["latest", "2026.34.103-rc", "stable"] {
        point(&registry, tag, &digest);
    }
    registry.push("acme/app", "2026.34.102", &image("other"));
    let ran = inspect(&registry, "");
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
}

#[test]
fn the_version_is_its_own_tags_or_that_of_the_newest_alias() {
    let registry = Registry::start();
    let digest = registry.push("acme/app", "2026.34.101", &image("abc"));
    for tag in ["2026.34.102", "latest", "other"] {
        point(&registry, tag, &digest);
    }
    assert_eq!(inspect(&registry, ":2026.34.101").result()["version"], "2026.34.101");
    assert_eq!(inspect(&registry, ":latest").result()["version"], "2026.34.102");
    let result = inspect(&registry, &format!("@{digest}")).result();
    assert_eq!(result["version"], "2026.34.102");
    assert_eq!(result["aliases"], json!(["2026.34.102", "2026.34.101", "latest", "other"]));
    registry.push("acme/app", "alone", &image("alone"));
    let result = inspect(&registry, ":alone").result();
    assert_eq!((&result["version"], &result["aliases"]), (&Value::Null, &json!([])));
}

#[test]
fn size_counts_every_part_once_and_created_is_the_last() {
    let one = |platform: &str, created: &str| Image::new().platform(platform).created(created).build();
    let (amd, arm) = (one("linux/amd64", "2026-08-20T10:00:00Z"), one("linux/arm64", "2026-08-21T10:00:00Z"));
    let index = Index::of([amd.clone(), arm.clone()]).build();
    let size = |built: &Built| built.bytes.len() + built.blobs[0].len();
    // Both share one layer.
    let expected = index.bytes.len() + size(&amd) + size(&arm) + amd.blobs[1].len();
    let registry = Registry::start();
    registry.push("acme/app", "1", &index);
    let result = inspect(&registry, ":1").result();
    assert_eq!(result["size"].as_u64(), Some(expected as u64));
    assert_eq!(result["created"], "2026-08-21T10:00:00Z");
}

#[test]
fn of_many_tags_both_ends_are_looked_at() {
    let registry = Registry::start();
    many(&registry, "acme/app", 200);
    let digest = registry.push("acme/app", "1.0", &image("abc"));
    point(&registry, "latest", &digest);
    let ran = inspect(&registry, ":latest");
    assert_eq!(ran.warnings(), ["aliases-partial"]);
    assert_eq!(registry.log().method("HEAD"), 64);
}

#[test]
fn a_tag_list_that_is_denied_only_warns() {
    let registry = Registry::start();
    registry.push("acme/app", "1.0", &image("abc"));
    registry.before(|asked, _| asked.path.ends_with("/tags/list").then(|| Reply::error(403, "DENIED", "not for you")));
    let ran = inspect(&registry, ":1.0");
    assert_eq!((ran.result()["version"].as_str(), ran.warnings()), (Some("1.0"), vec!["aliases-unknown".to_owned()]));
    insta::assert_snapshot!(ran.stderr.replace(&registry.host(), "[registry]"));
}

#[test]
fn what_is_no_image_is_refused() {
    let registry = Registry::with(Options::default());
    registry.push("acme/app", "chart", &helm_chart());
    assert_eq!(inspect(&registry, ":chart").code(), "not-an-image");
    assert_eq!(inspect(&registry, ":none").code(), "tag-unknown");
}
