//! `labels`: from the config blob, of one platform or of all, checked against its digests.

use crate::stage::{DockerHub, image, shown};
use crate::support::cmd::{Ran, tagwright};
use crate::support::image::{Built, Image, Index, generic_artifact, two_platforms, types};
use crate::support::registry::{Options, Registry};
use crate::support::reply::Reply;
use crate::support::text::base64;
use crate::support::token::{Rights, Rules};
use serde_json::{Value, json};

const TITLE: &str = "org.opencontainers.image.title";

fn labels<const N: usize>(registry: &Registry, tag: &str, words: [&str; N]) -> Ran {
    tagwright(["labels", &registry.name(&format!("acme/app{tag}"))]).args(words).run()
}

fn with(tag: &str, built: &Built) -> Registry {
    let registry = Registry::start();
    registry.push("acme/app", tag, built);
    registry
}

fn platform(name: &str, revision: &str) -> Built {
    Image::new().platform(name).label("revision", revision).label("same", "yes").build()
}

#[test]
fn one_label_of_one_image() {
    let built = image("abc");
    let registry = with("1", &built);
    let ran = labels(&registry, ":1", ["--label", "git_revision"]);
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    assert_eq!(ran.result()["digest"], built.digest());
}

#[test]
fn all_labels_of_an_index_whose_platforms_agree() {
    let registry = with("1", &two_platforms("abc", "one"));
    let ran = labels(&registry, ":1", []);
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    // The config blobs of both, and no layer and no attestation.
    assert_eq!(registry.log().matching("GET", "/blobs/"), 2);
    assert_eq!(registry.log().count(), 5);
}

#[test]
fn a_platform_is_read_alone() {
    let index =
        Index::of([platform("linux/amd64", "a"), platform("linux/arm64/v8", "b"), platform("linux/arm/v7", "c")]);
    let registry = with("1", &index.build());
    for (wanted, revision) in [
        ("linux/amd64", "a"),
        ("linux/x86_64", "a"),
        ("linux/arm64", "b"),
        ("linux/aarch64", "b"),
        ("linux/arm/v7", "c"),
    ] {
        registry.clear();
        let result = labels(&registry, ":1", ["--label", "revision", "--platform", wanted]).result();
        assert_eq!(result["value"], revision, "{wanted}");
        assert_eq!(registry.log().count(), 3, "{:#?}", registry.log().lines());
    }
    let ran = labels(&registry, ":1", ["--platform", "windows/amd64"]);
    assert_eq!(ran.code(), "platform-missing");
    assert_eq!(ran.error()["details"]["platforms"], json!(["linux/amd64", "linux/arm/v7", "linux/arm64/v8"]));
}

#[test]
fn platforms_may_differ_in_what_was_not_asked_for() {
    let index = Index::of([platform("linux/amd64", "a"), platform("linux/arm64", "b")]).attested().build();
    let registry = with("1", &index);
    assert_eq!(labels(&registry, ":1", ["--label", "same"]).result()["value"], "yes");
    let ran = labels(&registry, ":1", []);
    assert_eq!(ran.code(), "platform-ambiguous");
    let ran = labels(&registry, ":1", ["--label", "revision"]);
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    // With a default, a label that one platform lacks is a disagreement still.
    let lacking = Index::of([platform("linux/amd64", "a"), Image::new().platform("linux/arm64").build()]).build();
    let registry = with("1", &lacking);
    assert_eq!(labels(&registry, ":1", ["--label", "revision", "--default", "none"]).code(), "platform-ambiguous");
}

#[test]
fn every_platform_on_its_own() {
    let registry = with("1", &Index::of([platform("linux/amd64", "a"), platform("linux/arm64", "b")]).build());
    let ran = labels(&registry, ":1", ["--label", "revision", "--all-platforms"]);
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    let result = labels(&registry, ":1", ["--label", "same", "--all-platforms"]).result();
    assert_eq!((result["consistent"].as_bool(), result["value"].as_str()), (Some(true), Some("yes")));
    // One image is a list of one.
    let registry = with("1", &image("abc"));
    let result = labels(&registry, ":1", ["--all-platforms"]).result();
    assert_eq!((result["consistent"].as_bool(), result["platforms"].as_array().map(Vec::len)), (Some(true), Some(1)));
}

#[test]
fn a_label_that_is_not_there_is_missing_or_the_default() {
    let registry = with("1", &image("abc"));
    let ran = labels(&registry, ":1", ["--label", "revision"]);
    assert_eq!((ran.code().as_str(), ran.exit), ("label-missing", Some(3)));
    assert_eq!(ran.error()["details"]["labels"], json!(["git_revision"]));
    for default in ["none", ""] {
        let result = labels(&registry, ":1", ["--label", "revision", "--default", default]).result();
        assert_eq!((result["value"].as_str(), result["labels"]["revision"].as_str()), (Some(default), Some(default)));
    }
    // With two asked for there is no single value.
    let result = labels(&registry, ":1", ["--label", "git_revision", "--label", "x", "--default", "d"]).result();
    assert_eq!((result.get("value"), &result["labels"]), (None, &json!({"git_revision": "abc", "x": "d"})));
    let ran = labels(&registry, ":1", ["--label", "x", "--label", "y"]);
    let names = ran.error()["message"].as_str().unwrap().to_owned();
    assert!(names.contains("`x`") && names.contains("`y`"), "{ran}");
    // An image without any label.
    let registry = with("1", &Image::new().build());
    assert_eq!(labels(&registry, ":1", []).result()["labels"], json!({}));
    let ran = labels(&registry, ":1", ["--label", "x"]);
    assert_eq!(ran.error()["details"]["labels"], json!([]));
    let hint = ran.error()["hint"].as_str().unwrap().to_owned();
    assert!(hint.starts_with("check that the build sets labels, this image has none; or give"), "{ran}");
}

#[test]
fn words_of_others_do_not_steer_a_terminal() {
    let wild = "\u{1b}[31mred\r\nerror[denied]: `x`\u{7f}\u{9b}2J";
    let registry = with("1", &Image::new().label("a", wild).label(wild, "b").build());
    for words in [vec!["--label", "a"], vec!["--label", wild], vec!["--label", "missing"]] {
        let ran = tagwright(["labels", &registry.name("acme/app:1")]).args(words).run();
        assert!(!ran.stderr.contains(|c: char| c.is_control() && c != '\n'), "{ran}");
        assert!(!ran.stderr.lines().any(|line| line.starts_with("error[denied]")), "{ran}");
    }
    assert_eq!(labels(&registry, ":1", ["--label", "a"]).result()["value"], wild);
    let odd = "linux/arm64\u{1b}[1m\nerror[denied]: `x`";
    let two = Index::of([platform("linux/amd64", wild), platform(odd, "b")]).build();
    registry.push("acme/app", "2", &two);
    let ran = labels(&registry, ":2", []);
    assert_eq!(ran.code(), "platform-ambiguous");
    assert!(!ran.stderr.lines().skip(1).any(|line| line.starts_with("error[")), "{ran}");
    assert!(!ran.stderr.contains('\u{1b}') && !ran.error()["text"].as_str().unwrap().contains('\u{1b}'), "{ran}");
    let run = tagwright(["promote", &registry.name("acme/app:2"), "--to", "x", "--require-label", "revision=b"]);
    assert!(!run.run().stderr.contains('\u{1b}'));
}

#[test]
fn latest_is_implied_and_shown() {
    let registry = with("latest", &image("abc"));
    assert_eq!(labels(&registry, "", []).result()["reference"], registry.name("acme/app:latest"));
}

#[test]
fn both_families_nested_indexes_and_digests() {
    let docker = Index::of([Image::new().docker().label("a", "1").build()]).docker().build();
    let registry = with("docker", &docker);
    let result = labels(&registry, ":docker", ["--label", "a"]).result();
    assert_eq!((result["mediaType"].as_str(), result["value"].as_str()), (Some(types::DOCKER_LIST), Some("1")));
    let nested = Index::of([Index::of([platform("linux/amd64", "a")]).build(), platform("linux/arm64", "a")]).build();
    registry.push("acme/app", "nested", &nested);
    let result = labels(&registry, ":nested", ["--all-platforms"]).result();
    assert_eq!(result["platforms"].as_array().map(Vec::len), Some(2));
    let built = image("abc");
    let digest = registry.push("acme/app", "1", &built);
    let by_digest = labels(&registry, &format!("@{digest}"), []).result();
    assert_eq!(by_digest["reference"], registry.name(&format!("acme/app@{digest}")));
    // A digest beside a tag wins.
    registry.push("acme/app", "1", &image("another"));
    let both = labels(&registry, &format!(":1@{digest}"), ["--label", "git_revision"]).result();
    assert_eq!(both["value"], "abc");
}

#[test]
fn a_registry_that_gives_nothing_but_what_is_accepted_gives_every_kind() {
    let kinds = [
        image("abc"),
        Index::of([image("abc")]).build(),
        Image::new().docker().label("git_revision", "abc").build(),
        Index::of([image("abc")]).docker().build(),
    ];
    for built in kinds {
        let (registry, kind) = (with("1", &built), built.media_type.clone());
        // Distribution says so of an index.
        registry.before(move |asked, _| {
            let is_accepted = asked.header("Accept").is_some_and(|kinds| kinds.split(", ").any(|one| one == kind));
            let is_hidden = asked.path.ends_with("/manifests/1") && !is_accepted;
            is_hidden.then(|| Reply::error(404, "MANIFEST_UNKNOWN", "accept header does not support OCI indexes"))
        });
        let ran = labels(&registry, ":1", ["--label", "git_revision"]);
        assert_eq!(ran.result()["value"], "abc", "{ran}");
    }
}

#[test]
fn an_artifact_beside_images_is_no_candidate() {
    let mut artifact = generic_artifact();
    artifact.platform = Some(json!({"os": "linux", "architecture": "amd64"}));
    let registry = with("1", &Index::of([platform("linux/arm64", "a"), artifact]).build());
    let result = labels(&registry, ":1", ["--label", "revision"]).result();
    assert_eq!((result["value"].as_str(), result["platform"].as_str()), (Some("a"), Some("linux/arm64")));
}

#[test]
fn a_config_that_the_manifest_carries_is_not_fetched() {
    let built = Image::new().label(TITLE, "inline").build();
    let mut manifest: Value = serde_json::from_slice(&built.bytes).unwrap();
    manifest["config"]["data"] = json!(base64(&built.blobs[0]));
    let carrying = Built { bytes: manifest.to_string().into_bytes(), ..built.clone() };
    let registry = with("1", &carrying);
    assert_eq!(labels(&registry, ":1", ["--label", TITLE]).result()["value"], "inline");
    assert_eq!(registry.log().count(), 1);
    // What is carried and does not fit its digest is not believed.
    manifest["config"]["data"] = json!(base64(b"{}"));
    let registry = with("1", &Built { bytes: manifest.to_string().into_bytes(), ..built });
    assert_eq!(labels(&registry, ":1", ["--label", TITLE]).result()["value"], "inline");
    assert_eq!(registry.log().count(), 2);
}

#[test]
fn registries_without_a_digest_header_are_read_as_well() {
    let registry = Registry::with(Options { no_digest_header: true, ..Options::default() });
    let digest = registry.push("acme/app", "1", &image("abc"));
    assert_eq!(labels(&registry, ":1", []).result()["digest"], digest);
}

#[test]
fn docker_hub_is_found_under_all_its_names() {
    let hub = DockerHub::start(Rules::default().anonymous(Rights::PULL));
    hub.registry.push("library/app", "1", &image("abc"));
    for name in [
        "app:1",
        "library/app:1",
        "docker.io/app:1",
        "index.docker.io/library/app:1",
        "registry-1.docker.io/library/app:1",
    ] {
        let result = hub.reach(tagwright(["labels", name])).run().result();
        assert_eq!(result["reference"], "docker.io/library/app:1");
    }
}

#[test]
fn annotations_stand_in_for_labels_that_are_not_there_where_that_is_asked_for() {
    let image = |platform: &str| {
        let annotations = json!({"label": "no", "manifest": "m", "both": "m"});
        Image::new().platform(platform).label("label", "l").annotations(annotations)
    };
    let index = Index::of(["linux/amd64", "linux/arm64"].map(|platform| image(platform).build()));
    let index = index.annotations(json!({"label": "no", "both": "no", "index": "i"})).build();
    let registry = with("1", &index);
    registry.push("acme/app", "alone", &image("linux/amd64").build());
    let lacking = Image::new().platform("linux/arm64").annotations(json!({"label": "other"})).build();
    registry.push("acme/app", "apart", &Index::of([image("linux/amd64").build(), lacking]).build());
    // As ever where it is not asked for.
    let result = labels(&registry, ":1", []).result();
    assert_eq!((&result["labels"], result.get("sources")), (&json!({"label": "l"}), None));
    registry.clear();
    let result = labels(&registry, ":1", ["--annotations"]).result();
    assert_eq!(result["labels"], json!({"label": "l", "manifest": "m", "both": "m", "index": "i"}));
    let sources = json!({"label": "label", "manifest": "manifest", "both": "manifest", "index": "index"});
    assert_eq!((&result["sources"], registry.log().count()), (&sources, 5));
    let words = ["--annotations", "--label", "index", "--label", "none", "--default", "d", "--all-platforms"];
    let result = labels(&registry, ":1", words).result();
    let expected = json!({"index": "index", "none": "default"});
    assert_eq!((&result["sources"], &result["platforms"][1]["sources"]), (&expected, &expected));
    let result = labels(&registry, ":1", ["--annotations", "--label", "index"]).result();
    assert_eq!((&result["value"], &result["sources"]), (&json!("i"), &json!({"index": "index"})));
    let result = labels(&registry, ":alone", ["--annotations"]).result();
    assert_eq!(result["labels"], json!({"label": "l", "manifest": "m", "both": "m"}));
    // A value counts wherever it came from.
    let ran = labels(&registry, ":apart", ["--annotations", "--label", "label"]);
    assert_eq!(ran.code(), "platform-ambiguous");
    // Whoever does not ask for them is told that they are there.
    for key in ["manifest", "index"] {
        let ran = labels(&registry, ":1", ["--label", key]);
        assert_eq!((ran.code().as_str(), &ran.error()["details"]["labels"]), ("label-missing", &json!(["label"])));
        assert!(ran.error()["hint"].as_str().unwrap().contains("with `--annotations`"), "{ran}");
    }
    let ran = labels(&registry, ":1", ["--annotations", "--label", "none"]);
    assert_eq!(ran.error()["details"]["labels"], json!(["both", "index", "label", "manifest"]));
}
