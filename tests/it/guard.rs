//! What a promotion compares before it writes anything: tags that may not move, versions, digests, labels.

use crate::promote::{APP, actions, look, point, promote, versions};
use crate::stage::{image, many, push};
use crate::support::cmd::tagwright;
use crate::support::image::{Image, Index, two_platforms};
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::text::sha512;
use serde_json::{Value, json};

#[test]
fn a_tag_that_must_not_move_and_has_another_image_is_a_conflict() {
    let registry = versions();
    registry.push(APP, "2026.34.103-rc", &image("somebody else's"));
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn latest_does_not_go_back_unasked() {
    let registry = versions();
    point(&registry, "latest", "2026.34.103");
    let ran = promote(&registry, ":2026.34.102", ["--move", "latest"]).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.log().writes(), 0);
    let ran = promote(&registry, ":2026.34.102", ["--move", "latest", "--allow-downgrade"]).run();
    assert_eq!((actions(&ran), ran.warnings()), (vec!["latest: moved".to_owned()], vec!["downgrade".to_owned()]));
    assert_eq!(ran.result()["tags"][0]["beforeVersion"], "2026.34.103");
}

#[test]
fn a_tag_that_nobody_named_is_told_to_be_the_default_with_the_way_to_leave_it() {
    let registry = versions();
    point(&registry, "latest", "2026.34.103");
    let ran = promote(&registry, ":2026.34.102", []).run();
    let error = ran.error();
    assert_eq!(ran.code(), "downgrade-refused", "{ran}");
    assert_eq!(error["causes"], json!(["`--move latest` is meant where no tag to be written is given"]));
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.starts_with("give `--to '{version}-rc' --move-if-newer latest` to leave `latest`, or"), "{ran}");
    let words = ["--to", "{version}-rc", "--move-if-newer", "latest"];
    let kept = promote(&registry, ":2026.34.102", words).run();
    assert_eq!(actions(&kept), ["2026.34.102-rc: created", "latest: kept"]);
}

#[test]
fn versions_are_compared_as_numbers() {
    let registry = Registry::start();
    push(&registry, APP, &["2026.34.9", "2026.34.10"]);
    point(&registry, "latest", "2026.34.9");
    promote(&registry, ":2026.34.10", ["--move", "latest"]).run().result();
    assert_eq!(promote(&registry, ":2026.34.9", ["--move", "latest"]).run().code(), "downgrade-refused");
}

#[test]
fn the_guard_counts_only_tags_of_the_format() {
    let registry = Registry::start();
    push(&registry, APP, &["feature-x-2026.34.5", "2026.34.103"]);
    point(&registry, "latest", "2026.34.103");
    let words = ["--move", "latest", "--tag-format", "feature-x-{version}"];
    let ran = promote(&registry, ":feature-x-2026.34.5", words).run();
    assert_eq!((actions(&ran), ran.warnings()), (vec!["latest: moved".into()], vec!["previous-unknown".to_owned()]));
    // With the usual format this source names no version.
    point(&registry, "latest", "2026.34.103");
    let ran = promote(&registry, ":feature-x-2026.34.5", ["--move", "latest"]).run();
    assert_eq!(ran.code(), "order-unknown");
}

#[test]
fn what_no_version_holds_is_moved_with_a_warning() {
    let registry = versions();
    registry.push(APP, "latest", &image("by hand"));
    let ran = promote(&registry, ":2026.34.103", ["--move", "latest"]).run();
    assert_eq!((actions(&ran), ran.warnings()), (vec!["latest: moved".into()], vec!["previous-unknown".to_owned()]));
    assert_eq!(ran.result()["tags"][0]["beforeVersion"], Value::Null);
}

#[test]
fn a_digest_and_a_tag_that_is_no_version_have_the_version_of_the_tag_with_that_digest() {
    let registry = versions();
    let digest = registry.resolve(APP, "2026.34.102").unwrap();
    point(&registry, "candidate", "2026.34.102");
    let sources = [
        format!("@{digest}"),
        format!(":2026.34.102@{digest}"),
        format!(":candidate@{digest}"),
        ":candidate".to_owned(),
    ];
    for source in sources {
        point(&registry, "latest", "2026.34.101");
        let ran = promote(&registry, &source, ["--move", "latest"]).run();
        assert_eq!((actions(&ran), ran.warnings()), (vec!["latest: moved".into()], Vec::new()), "{source}");
        assert_eq!(ran.result()["version"], "2026.34.102");
        assert_eq!(ran.result()["tags"][0]["beforeVersion"], "2026.34.101");
        // The guard is the same as for the version itself.
        point(&registry, "latest", "2026.34.103");
        let ran = promote(&registry, &source, ["--move", "latest"]).run();
        assert_eq!(ran.code(), "downgrade-refused", "{source}");
        assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.103"));
        let ran = promote(&registry, &source, ["--to", "rc-{version}"]).run();
        assert!(actions(&ran)[0].starts_with("rc-2026.34.102: "), "{ran}");
    }
}

#[test]
fn no_version_is_looked_for_where_none_is_needed() {
    let registry = versions();
    let digest = registry.resolve(APP, "2026.34.102").unwrap();
    point(&registry, "same", "2026.34.102");
    for words in [["--to", "copy"], ["--move", "new"], ["--move", "same"]] {
        let result = promote(&registry, &format!("@{digest}"), words).run().result();
        assert_eq!(result["version"], Value::Null);
    }
    point(&registry, "latest", "2026.34.103");
    let words = ["--move", "latest", "--allow-downgrade"];
    let ran = promote(&registry, &format!("@{digest}"), words).run();
    assert_eq!((actions(&ran), ran.warnings()), (vec!["latest: moved".into()], vec!["order-unknown".to_owned()]));
    assert_eq!(registry.log().matching("GET", "/tags/list"), 0, "{:#?}", registry.log().lines());
}

#[test]
fn a_tag_and_a_digest_that_are_not_the_same_image_are_refused() {
    let registry = versions();
    let digest = registry.resolve(APP, "2026.34.102").unwrap();
    let ran = promote(&registry, &format!(":2026.34.103@{digest}"), ["--move", "latest"]).run();
    assert_eq!((ran.code().as_str(), registry.log().writes()), ("digest-unexpected", 0), "{ran}");
    assert_eq!(ran.error()["details"]["expected"], digest);
    // By whatever algorithm: it is about the bytes.
    let digest = sha512(&two_platforms("abc", "one").bytes);
    let ran = promote(&registry, &format!(":2026.34.103@{digest}"), ["--move", "latest"]).run();
    assert_eq!(actions(&ran), ["latest: moved"]);
}

#[test]
fn a_source_without_version_does_not_replace_a_version() {
    let registry = versions();
    registry.push(APP, "nightly", &image("nightly"));
    point(&registry, "latest", "2026.34.102");
    let ran = promote(&registry, ":nightly", ["--move", "latest"]).run();
    assert_eq!((ran.code().as_str(), registry.log().writes()), ("order-unknown", 0), "{ran}");
    assert_eq!(ran.error()["details"]["beforeVersion"], "2026.34.102");
    // The list that tells of the tags tells of the source too.
    assert_eq!(registry.log().matching("GET", "/tags/list"), 1, "{:#?}", registry.log().lines());
    let ran = promote(&registry, ":nightly", ["--move", "latest", "--allow-downgrade"]).run();
    assert_eq!((actions(&ran), ran.warnings()), (vec!["latest: moved".into()], vec!["order-unknown".to_owned()]));
    // What is no version either is replaced, and what is new is made.
    registry.push(APP, "edge", &image("edge"));
    let ran = promote(&registry, ":nightly", ["--move", "edge"]).run();
    assert_eq!((actions(&ran), ran.warnings()), (vec!["edge: moved".into()], vec!["order-unknown".to_owned()]));
    let ran = promote(&registry, ":nightly", ["--move", "fresh"]).run();
    assert_eq!((actions(&ran), ran.warnings()), (vec!["fresh: created".into()], Vec::new()));
    // Where the list is denied it cannot be told.
    registry.before(|asked, _| {
        asked.path.ends_with("/tags/list").then(|| Reply::error(403, "DENIED", "requested access is denied"))
    });
    point(&registry, "latest", "2026.34.102");
    assert_eq!(promote(&registry, ":nightly", ["--move", "latest"]).run().code(), "denied");
}

#[test]
fn more_than_two_hundred_newer_versions_are_too_many_to_tell() {
    let registry = Registry::start();
    many(&registry, APP, 300);
    registry.push(APP, "2026.34.50", &image("old"));
    registry.push(APP, "latest", &image("by hand"));
    let ran = promote(&registry, ":2026.34.50", ["--move", "latest"]).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.log().matching("HEAD", "/manifests/"), 201);
    assert_eq!(registry.log().writes(), 0);
    // A hit within the first two hundred is one.
    registry.push(APP, "2026.34.120", &image("held"));
    point(&registry, "latest", "2026.34.120");
    assert_eq!(promote(&registry, ":2026.34.50", ["--move", "latest"]).run().code(), "downgrade-refused");
    let ran = promote(&registry, ":2026.34.50", ["--move", "latest", "--allow-downgrade"]).run();
    assert_eq!(actions(&ran), ["latest: moved"]);
}

#[test]
fn a_tag_list_that_is_denied_stops_a_move() {
    let registry = versions();
    registry.before(|asked, _| {
        asked.path.ends_with("/tags/list").then(|| Reply::error(403, "DENIED", "requested access is denied"))
    });
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.log().writes(), 0);
    // What compares nothing needs no list.
    assert_eq!(actions(&promote(&registry, ":2026.34.103", ["--to", "x"]).run()), ["x: created"]);
    let ran = promote(&registry, ":2026.34.103", ["--move", "latest", "--allow-downgrade"]).run();
    assert_eq!((actions(&ran), ran.warnings()), (vec!["latest: moved".into()], Vec::<String>::new()));
}

#[test]
fn only_what_a_tag_that_moves_holds_is_looked_for_among_the_versions() {
    let registry = versions();
    registry.push(APP, "latest", &image("by hand"));
    for tag in ["there", "stable"] {
        point(&registry, tag, "2026.34.102");
    }
    let words = ["--to", "there", "--move", "stable", "--move", "latest", "--dry-run"];
    let ran = promote(&registry, ":2026.34.102", words).run();
    assert_eq!(actions(&ran), ["there: unchanged", "stable: unchanged", "latest: moved"]);
    assert_eq!(registry.log().matching("HEAD", "/manifests/2026.34.103"), 1, "{:#?}", registry.log().lines());
}

#[test]
fn an_expected_digest_and_a_required_label_hold_or_nothing_happens() {
    let registry = versions();
    let digest = registry.resolve(APP, "2026.34.103").unwrap();
    let other = registry.resolve(APP, "2026.34.102").unwrap();
    let sound = ["--to", "x", "--expect-digest", &digest, "--require-label", "git_revision=abc"];
    assert_eq!(actions(&promote(&registry, ":2026.34.103", sound).run()), ["x: created"]);
    registry.clear();
    let ran = promote(&registry, ":2026.34.103", ["--to", "y", "--expect-digest", &other]).run();
    let moved = look(&registry, &ran);
    let ran = promote(&registry, ":2026.34.103", ["--to", "y", "--require-label", "git_revision=def"]).run();
    insta::assert_snapshot!(format!("{moved}\n\n{}", look(&registry, &ran)));
    let ran = promote(&registry, ":2026.34.103", ["--to", "y", "--require-label", "absent=1"]).run();
    assert_eq!(ran.code(), "label-mismatch");
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn a_label_that_is_required_without_a_value_has_to_be_there_and_not_to_be_blank() {
    let registry = Registry::start();
    let built = |platform: &str, revision: &str| {
        Image::new().platform(platform).label("revision", revision).label("blank", " ").build()
    };
    registry.push("acme/app", "1", &Index::of([built("linux/amd64", "a"), built("linux/arm64", "b")]).build());
    let image = registry.name("acme/app:1");
    let run = |words: &[&str]| {
        let words = words.iter().flat_map(|label| ["--require-label", label]);
        tagwright(["promote", &image, "--to", "x", "--dry-run"]).args(words).run()
    };
    assert_eq!(run(&["revision"]).result()["tags"][0]["action"], "created");
    for (labels, message) in [
        (&["revision", "blank"][..], "label `blank` of `IMAGE` is ` ` on `linux/amd64`, and a value is required"),
        (&["absent"], "label `absent` of `IMAGE` is not there on `linux/amd64`, and a value is required"),
        (&["revision", "revision=a"], "label `revision` of `IMAGE` is `b` on `linux/arm64`, and `a` is required"),
    ] {
        let error = run(labels).error();
        assert_eq!((&error["code"], &error["exit"]), (&json!("label-mismatch"), &json!(5)));
        assert_eq!(error["message"].as_str().unwrap().replace(&image, "IMAGE"), message);
    }
    for (required, code) in [
        (json!(["revision"]), None),
        (json!("revision"), None),
        (json!(["revision", "absent"]), Some("label-mismatch")),
        (json!({"revision": null}), Some("missing-value")),
        (json!(["revision="]), Some("missing-value")),
        (json!(["revision", null]), Some("missing-value")),
    ] {
        let args = json!({"image": image, "to": "x", "dryRun": true, "requireLabel": required});
        let request = json!({"command": "promote", "args": args}).to_string();
        let document = tagwright(["call"]).env("TAGWRIGHT_REQUEST", request).run().json();
        assert_eq!(document["error"]["code"].as_str(), code, "{document}");
    }
}
