//! `inspect`: what a tag is, and what else is the same.

use crate::stage::{image, many, push, shown};
use crate::support::cmd::{Ran, tagwright};
use crate::support::image::{
    Built, Image, Index, cosign_signature, descriptor, generic_artifact, helm_chart, two_platforms, types,
};
use crate::support::registry::Registry;
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

/// What a builder keeps its layers in for the next build: an index that names them as they are.
fn build_cache() -> Built {
    let layers = [types::OCI_LAYER, "application/vnd.buildkit.cacheconfig.v0"].map(|kind| descriptor(kind, b"layer"));
    let index = json!({"schemaVersion": 2, "mediaType": types::OCI_INDEX, "manifests": layers});
    Built::raw(types::OCI_INDEX, index.to_string())
}

#[test]
fn what_is_no_image_tells_its_type_and_its_size() {
    let of = |built: &Built| built.bytes.len() + built.blobs.iter().map(Vec::len).sum::<usize>();
    let (chart, other) = (helm_chart(), generic_artifact());
    let charts = Index::of([chart.clone(), other.clone()]).build();
    // Both have one layer.
    let all = charts.bytes.len() + of(&chart) + of(&other) - chart.blobs[1].len();
    let empty = Built::raw(types::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[]}"#);
    let retired = "application/vnd.oci.artifact.manifest.v1+json";
    let plain = Built::raw(retired, format!(r#"{{"mediaType":"{retired}","artifactType":"a/b","blobs":[]}}"#));
    let signature = cosign_signature();
    let cache = build_cache();
    for (built, kind, size) in [
        (&chart, json!(types::HELM_CONFIG), of(&chart)),
        (&other, json!(types::OCI_EMPTY), of(&other)),
        (&signature, json!(types::COSIGN), of(&signature)),
        (&plain, json!("a/b"), plain.bytes.len()),
        (&charts, Value::Null, all),
        // Layers of one digest are one.
        (&cache, Value::Null, cache.bytes.len() + b"layer".len()),
        (&empty, Value::Null, empty.bytes.len()),
    ] {
        let registry = Registry::start();
        registry.push("acme/app", "1.2.3", built);
        let ran = inspect(&registry, ":1.2.3");
        let result = ran.result();
        assert_eq!((&result["artifactType"], result["size"].as_u64()), (&kind, Some(size as u64)), "{ran}");
        assert_eq!((&result["digest"], &result["mediaType"]), (&json!(built.digest()), &json!(built.media_type)));
        let none = (&json!("1.2.3"), &Value::Null, &json!([]));
        assert_eq!((&result["version"], &result["created"], &result["platforms"]), none, "{ran}");
    }
    assert_eq!(inspect(&Registry::start(), ":none").code(), "repository-unknown");
}

#[test]
fn a_part_of_an_index_of_artifacts_that_is_gone_is_damage() {
    let registry = Registry::start();
    let chart = helm_chart();
    registry.push("acme/app", "charts", &Index::of([chart.clone()]).build());
    registry.state(|state| state.repositories.get_mut("acme/app").unwrap().manifests.remove(&chart.digest()));
    assert_eq!(inspect(&registry, ":charts").code(), "blob-missing");
}

#[test]
fn labels_of_what_has_none_names_the_command_that_tells_what_it_is() {
    let registry = Registry::start();
    registry.push("acme/app", "chart", &helm_chart());
    registry.push("acme/app", "charts", &Index::of([helm_chart()]).build());
    registry.push("acme/app", "cache", &build_cache());
    for (tag, code) in [("chart", "not-an-image"), ("charts", "not-an-image"), ("cache", "index-empty")] {
        let name = registry.name(&format!("acme/app:{tag}"));
        let ran = tagwright(["labels", &name]).run();
        assert_eq!(ran.code(), code);
        assert!(ran.error()["hint"].as_str().unwrap().contains(&format!("`tagwright inspect {name}`")), "{ran}");
    }
}

#[test]
fn a_tag_that_is_not_there_is_answered_with_those_that_come_near_it() {
    let registry = Registry::start();
    let app = "acme/app";
    push(&registry, app, &["2026.34.101", "2026.34.102", "2026.34.103", "latest"]);
    let hint = |ran: &Ran| ran.error()["hint"].as_str().unwrap().to_owned();
    for command in ["labels", "inspect", "promote"] {
        registry.clear();
        let ran = tagwright([command, &registry.name(&format!("{app}:lates"))]).run();
        let list = format!("list the tags there are with `tagwright tags {}`", registry.name(app));
        assert_eq!(hint(&ran), format!("name one that is there, such as `latest`, or {list}"), "{ran}");
        assert_eq!(ran.error()["details"]["nearest"], json!(["latest"]));
        assert!(registry.log().matching("GET", "tags/list") <= 2, "{:#?}", registry.log().lines());
        let ran = tagwright([command, &registry.name(&format!("{app}:frobnicate"))]).run();
        assert_eq!(hint(&ran), list, "{ran}");
    }
    // One page is enough, and that it cannot be had changes nothing.
    registry.before(|asked, _| asked.path.ends_with("/tags/list").then(|| Reply::error(403, "DENIED", "no")));
    let ran = tagwright(["labels", &registry.name(&format!("{app}:lates"))]).run();
    assert_eq!((ran.code().as_str(), registry.log().matching("GET", "tags/list") > 0), ("tag-unknown", true), "{ran}");
    assert!(hint(&ran).starts_with("list the tags"), "{ran}");
}
