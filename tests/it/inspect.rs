//! `inspect`: what a tag is, and what else is the same.

use crate::stage::{DockerHub, image, many, push, shown};
use crate::support::amazon::{Amazon, HOST};
use crate::support::cmd::{Ran, binary, tagwright};
use crate::support::hub::{Hub, HubTag};
use crate::support::image::{
    Built, Image, Index, cosign_signature, descriptor, generic_artifact, helm_chart, two_platforms, types,
};
use crate::support::registry::{Options, Registry};
use crate::support::reply::Reply;
use crate::support::token::{Rights, Rules};
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
    let mut nested = vec![Index::of([chart.clone()]).build()];
    for depth in 0..4 {
        nested.push(Index::of([nested[depth].clone()]).build());
    }
    for (built, kind, size) in [
        (&chart, json!(types::HELM_CONFIG), of(&chart)),
        (&other, json!(types::OCI_EMPTY), of(&other)),
        (&signature, json!(types::COSIGN), of(&signature)),
        (&plain, json!("a/b"), plain.bytes.len()),
        (&charts, Value::Null, all),
        // Layers of one digest are one.
        (&cache, Value::Null, cache.bytes.len() + b"layer".len()),
        (&empty, Value::Null, empty.bytes.len()),
        // Of what is nested deeper than three times no more is known than how large its index says it is.
        (&nested[4], Value::Null, nested.iter().map(|index| index.bytes.len()).sum()),
    ] {
        let registry = Registry::start();
        registry.push("acme/app", "1.2.3", built);
        let ran = inspect(&registry, ":1.2.3");
        let result = ran.result();
        assert_eq!((&result["artifactType"], result["size"].as_u64()), (&kind, Some(size as u64)), "{ran}");
        assert_eq!((&result["digest"], &result["mediaType"]), (&json!(built.digest()), &json!(built.media_type)));
        let none = (&json!("1.2.3"), &Value::Null, &json!([]));
        assert_eq!((&result["version"], &result["created"], &result["platforms"]), none, "{ran}");
        let told = kind.as_str().map_or("no image".to_owned(), |kind| format!("`{kind}`"));
        assert!(ran.stderr.contains(&format!("` is 1.2.3, {told}, ")), "{ran}");
    }
    assert_eq!(inspect(&Registry::start(), ":none").code(), "repository-unknown");
}

#[test]
fn an_image_that_names_a_type_of_its_own_has_its_platform_all_the_same() {
    let registry = Registry::start();
    let built = Image::new().build();
    let mut manifest: Value = serde_json::from_slice(&built.bytes).unwrap();
    manifest["artifactType"] = json!("application/vnd.acme.model");
    registry.push("acme/app", "1", &Built { bytes: manifest.to_string().into_bytes(), ..built });
    let result = inspect(&registry, ":1").result();
    let told = (&result["artifactType"], &result["platforms"][0]["platform"]);
    assert_eq!(told, (&json!("application/vnd.acme.model"), &json!("linux/amd64")));
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
        // Why it is missing and what comes near it are read from one page; who tells more may list all tags beside that.
        let most = if command == "labels" { 1 } else { 2 };
        assert!(registry.log().matching("GET", "tags/list") <= most, "{:#?}", registry.log().lines());
        let ran = tagwright([command, &registry.name(&format!("{app}:frobnicate"))]).run();
        assert_eq!(hint(&ran), list, "{ran}");
    }
    // One page is enough, and that it cannot be had changes nothing.
    registry.before(|asked, _| asked.path.ends_with("/tags/list").then(|| Reply::error(403, "DENIED", "no")));
    let ran = tagwright(["labels", &registry.name(&format!("{app}:lates"))]).run();
    assert_eq!((ran.code().as_str(), registry.log().matching("GET", "tags/list") > 0), ("tag-unknown", true), "{ran}");
    assert!(hint(&ran).starts_with("list the tags"), "{ran}");
}

/// An SBOM that points at an image, or whatever else this type is.
fn referrer(subject: &Built, kind: &str) -> Built {
    let (config, layer) = (b"{}".to_vec(), kind.as_bytes().to_vec());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "artifactType": kind,
        "config": descriptor(types::OCI_EMPTY, &config), "layers": [descriptor("text/plain", &layer)],
        "subject": descriptor(&subject.media_type, &subject.bytes),
    });
    Built { blobs: vec![config, layer], ..Built::raw(types::OCI_MANIFEST, manifest.to_string()) }
}

#[test]
fn what_points_at_the_image_is_told_by_type_however_the_registry_keeps_it() {
    let built = image("abc");
    let (sbom, signature) = (referrer(&built, "application/spdx+json"), referrer(&built, types::COSIGN));
    let dashed = built.digest().replace(':', "-");
    let one =
        |kind: &str, count: usize, digests: Value| json!({"artifactType": kind, "count": count, "digests": digests});
    let told = one("application/spdx+json", 1, json!([sbom.digest()]));
    for (api, requests) in [(true, 5), (false, 6)] {
        let registry = Registry::with(Options { referrers: api, ..Options::default() });
        registry.push("acme/app", "1", &built);
        assert_eq!(inspect(&registry, ":1").result()["referrers"], json!([]));
        registry.state(|state| [&sbom, &signature].map(|each| state.store("acme/app", each)));
        if !api {
            let entry = |each: &Built, kind: &str| {
                let mut entry = each.descriptor();
                entry["artifactType"] = json!(kind);
                entry
            };
            let list = json!([entry(&sbom, "application/spdx+json"), entry(&signature, types::COSIGN)]);
            let list = json!({"schemaVersion": 2, "mediaType": types::OCI_INDEX, "manifests": list});
            registry.push("acme/app", &dashed, &Built::raw(types::OCI_INDEX, list.to_string()));
        }
        registry.push("acme/app", &format!("{dashed}.sig"), &cosign_signature());
        registry.clear();
        let referrers = inspect(&registry, ":1").result()["referrers"].clone();
        assert_eq!(referrers, json!([told, one(types::COSIGN, 2, json!([signature.digest()]))]), "{api}");
        assert_eq!(registry.log().count(), requests, "{:#?}", registry.log().lines());
    }
}

#[test]
fn what_points_at_the_image_is_null_where_nobody_tells_and_never_a_failure() {
    for status in [401, 403, 418, 500] {
        let registry = Registry::with(Options { referrers: true, ..Options::default() });
        registry.push("acme/app", "1", &image("abc"));
        registry.before(move |asked, _| {
            (asked.path.contains("/referrers/") || asked.path.ends_with("/tags/list"))
                .then(|| Reply::error(status, "UNKNOWN", "no"))
        });
        let ran = tagwright(["inspect", &registry.name("acme/app:1"), "--retries", "0"]).run();
        assert_eq!(ran.result()["referrers"], Value::Null, "{ran}");
        assert_eq!(ran.warnings(), ["aliases-unknown"], "{ran}");
    }
}

#[test]
fn what_points_at_the_image_is_not_waited_for_where_the_registry_asks_to_come_back() {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    registry.push("acme/app", "1", &image("abc"));
    registry.before(|asked, _| {
        asked
            .path
            .contains("/referrers/")
            .then(|| Reply::error(429, "TOOMANYREQUESTS", "no").header("Retry-After", "20"))
    });
    assert_eq!(inspect(&registry, ":1").result()["referrers"], Value::Null);
    assert_eq!(registry.log().matching("GET", "/referrers/"), 1, "{:#?}", registry.log().lines());
}

#[test]
fn docker_hub_tells_when_a_tag_was_pushed_and_by_whom() {
    let hub = DockerHub::start(Rules::default().anonymous(Rights::PULL));
    let digest = hub.registry.push("acme/app", "1", &image("abc"));
    for (known, pushed) in [
        (Some(digest.clone()), json!({"at": "2026-08-20T10:00:00Z", "by": "robot", "via": "hub-api"})),
        // A page that is behind tells of another image.
        (Some(image("before").digest()), Value::Null),
    ] {
        let tag = HubTag { digest: known, ..HubTag::named("1") };
        let web = Hub::of("acme/app", [tag]);
        let run = |name: &str| hub.reach(tagwright(["inspect", name, "--hub-api", &web.url()]));
        assert_eq!(run("acme/app:1").run().result()["pushed"], pushed);
        assert_eq!(run(&format!("acme/app@{digest}")).run().result()["pushed"], Value::Null);
    }
}

#[test]
fn a_record_tells_since_when_a_tag_is_what_it_is_and_by_whom() {
    for referrers in [true, false] {
        let registry = Registry::with(Options { referrers, ..Options::default() });
        registry.push("acme/app", "2026.34.103", &image("abc"));
        let promote = tagwright(["promote", &registry.name("acme/app:2026.34.103"), "--attach-record"]);
        let record = promote.env("USER", "mo").run().result()["record"].clone();
        registry.clear();
        let result = inspect(&registry, ":latest").result();
        assert_eq!(result["pushed"], json!({"at": record["at"], "by": "mo", "via": "record"}));
        assert_eq!(result["referrers"][0]["artifactType"], "application/vnd.tagwright.promotion.v1+json");
        assert_eq!(registry.log().matching("GET", "/referrers/"), 1);
        // It was there before, and nothing says since when.
        assert_eq!(inspect(&registry, ":2026.34.103").result()["pushed"], Value::Null);
    }
}

#[test]
fn ecr_tells_when_the_image_was_pushed_to_whom_it_lets_describe_images() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let reading = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
    let pushed = json!({"at": "2023-11-14T22:13:20Z", "by": null, "via": "ecr-api"});
    for (more, pushed, calls) in [(vec!["ecr:DescribeImages"], pushed, 3), (vec!["ecr:ListImages"], Value::Null, 4)] {
        let allowed = reading.iter().chain(&more).map(|action| (*action).to_owned()).collect();
        amazon.state(|state| state.allowed = Some(allowed));
        amazon.clear();
        let ran = amazon.signed(["inspect", &format!("{HOST}/team/app:1")]).run();
        let result = ran.result();
        assert_eq!((&result["pushed"], &result["referrers"]), (&pushed, &Value::Null), "{ran}");
        assert_eq!((ran.warnings().len(), amazon.calls().len()), (0, calls), "{:?}", amazon.calls());
    }
}

#[test]
fn the_bytes_of_manifest_and_config_are_printed_as_they_are() {
    let registry = Registry::start();
    let (built, index) = (image("abc"), two_platforms("abc", "one"));
    let odd = Built { blobs: vec![b"\xff\0{}".to_vec()], ..helm_chart() };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "config": descriptor(types::HELM_CONFIG, &odd.blobs[0]),
        "layers": [],
    });
    let odd = Built { bytes: manifest.to_string().into_bytes(), ..odd };
    let alone = Index::of([built.clone()]).attested().build();
    for (tag, built) in [("1", &built), ("index", &index), ("odd", &odd), ("alone", &alone)] {
        registry.push("acme/app", tag, built);
    }
    for (tag, flag, expected, requests) in [
        ("1", "--raw", &built.bytes, 1),
        ("1", "--config", &built.blobs[0], 2),
        ("index", "--raw", &index.bytes, 1),
        ("odd", "--config", &odd.blobs[0], 2),
        ("alone", "--config", &built.blobs[0], 3),
    ] {
        registry.clear();
        let words = ["inspect", &registry.name(&format!("acme/app:{tag}")), flag];
        let ran = std::process::Command::new(binary()).args(words).env_clear().output().unwrap();
        assert_eq!((&ran.stdout, ran.status.code()), (expected, Some(0)), "{tag} {flag}");
        let told = String::from_utf8(ran.stderr).unwrap();
        assert!(told.contains(&crate::support::text::digest(expected)), "{told}");
        assert_eq!(registry.log().count(), requests, "{:#?}", registry.log().lines());
    }
    let quiet = tagwright(["inspect", &registry.name("acme/app:1"), "--raw", "--quiet"]).run();
    assert_eq!((quiet.stdout.as_bytes(), &*quiet.stderr), (&*built.bytes, ""));
}

#[test]
fn what_cannot_be_printed_as_it_is_says_what_can_and_leaves_stdout_empty() {
    let registry = Registry::start();
    let index = two_platforms("abc", "one");
    let lying = image("lying");
    registry.push("acme/app", "index", &index);
    registry.push("acme/app", "cache", &build_cache());
    registry.push("acme/app", "lying", &lying);
    registry.state(|state| {
        let blobs = &mut state.repositories.get_mut("acme/app").unwrap().blobs;
        blobs.insert(crate::support::text::digest(&lying.blobs[0]), b"something else".to_vec());
    });
    let retired = "application/vnd.oci.artifact.manifest.v1+json";
    registry.push("acme/app", "old", &Built::raw(retired, format!(r#"{{"mediaType":"{retired}","blobs":[]}}"#)));
    let runs = [":index --config", ":cache --config", ":old --config", ":lying --config", ":1 --raw --config"];
    let told = runs.map(|words| {
        let words: Vec<&str> = words.split(' ').collect();
        let name = registry.name(&format!("acme/app{}", words[0]));
        let ran = tagwright(["inspect", &name]).args(words[1..].iter().copied()).run();
        assert_eq!(ran.stdout, "", "{ran}");
        format!("$ inspect {} (exit {:?})\n{}\n", words.join(" "), ran.exit, ran.stderr)
    });
    insta::assert_snapshot!(told.concat().replace(&registry.host(), "[registry]"));
    let name = registry.name(&format!("acme/app@{}", index.children[1].digest()));
    assert_eq!(tagwright(["inspect", &name, "--config"]).run().stdout.as_bytes(), index.children[1].blobs[0]);
    for pair in [["--raw", "--json"], ["--config", "--text"], ["--raw", "--print=digest"]] {
        let ran = tagwright(["inspect", &name]).args(pair).run();
        assert_eq!((ran.exit, &*ran.stdout), (Some(2), ""), "{ran}");
    }
}
