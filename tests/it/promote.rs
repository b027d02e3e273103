//! `promote`: what is written, what is refused, and what is left when it stops on the way.

use crate::stage::{DockerHub, image, many, push, shown};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::hub::{Hub, HubTag, Options as HubOptions, Source};
use crate::support::image::{Image, Index, attestation, cosign_signature, generic_artifact, two_platforms, types};
use crate::support::log::Asked;
use crate::support::registry::{Auth, Options, Registry, State, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::token::{Rights, Rules};
use serde_json::{Value, json};
use std::collections::HashMap;

const APP: &str = "acme/app";

/// Three versions with images of their own, `latest` on the second.
fn versions() -> Registry {
    let registry = Registry::start();
    fill(&registry);
    registry
}

fn fill(registry: &Registry) {
    push(registry, APP, &["2026.34.101", "2026.34.102"]);
    registry.push(APP, "2026.34.103", &two_platforms("abc", "one"));
    point(registry, "latest", "2026.34.102");
}

/// Points a tag at what another one holds.
fn point(registry: &Registry, tag: &str, at: &str) {
    let digest = registry.resolve(APP, at).unwrap();
    registry.state(|state| state.tag(APP, tag, &digest));
}

fn promote<const N: usize>(registry: &Registry, source: &str, words: [&str; N]) -> Tagwright {
    tagwright(["promote", &registry.name(&format!("{APP}{source}"))]).args(words)
}

/// `tag: action` of each tag, and the tags that hold the source's digest in the end.
fn actions(ran: &Ran) -> Vec<String> {
    let result = ran.result();
    let list = result["tags"].as_array().unwrap();
    list.iter().map(|tag| format!("{}: {}", tag["tag"].as_str().unwrap(), tag["action"].as_str().unwrap())).collect()
}

fn look(registry: &Registry, ran: &Ran) -> String {
    shown(ran, &[(&registry.host(), "[registry]")])
}

#[test]
fn a_version_becomes_a_candidate_and_the_latest() {
    let registry = versions();
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    for tag in ["2026.34.103-rc", "latest"] {
        assert_eq!(registry.resolve(APP, tag), registry.resolve(APP, "2026.34.103"));
    }
}

#[test]
fn the_bytes_that_were_read_are_the_bytes_that_are_written() {
    let registry = versions();
    promote(&registry, ":2026.34.103", ["--to", "x"]).run().result();
    let log = registry.log();
    let puts: Vec<&Asked> = log.0.iter().map(|one| &one.asked).filter(|asked| asked.method == "PUT").collect();
    let built = two_platforms("abc", "one");
    assert_eq!((puts.len(), &puts[0].body), (1, &built.bytes));
    assert_eq!(puts[0].header("Content-Type"), Some(types::OCI_INDEX));
    assert_eq!(log.matching("GET", "/blobs/"), 0);
}

#[test]
fn the_order_is_read_to_tags_look_again_move_tags_read_back() {
    let registry = versions();
    let words = ["--move", "stable", "--move", "latest", "--to", "b", "--to", "a"];
    promote(&registry, ":2026.34.103", words).run().result();
    let log = registry.log();
    let lines: Vec<String> = log.0.iter().map(|one| one.asked.line()).collect();
    let mut puts: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("PUT /v2/acme/app/manifests/")).collect();
    // Those of one rank go side by side.
    puts[..2].sort_unstable();
    puts[2..].sort_unstable();
    assert_eq!(puts, ["a", "b", "latest", "stable"]);
    let at = |wanted: &str| lines.iter().position(|line| line == wanted).unwrap();
    let last = |wanted: &str| lines.iter().rposition(|line| line == wanted).unwrap();
    let heads = |tag: &str| lines.iter().filter(|line| **line == format!("HEAD /v2/acme/app/manifests/{tag}")).count();
    assert_eq!(["a", "b", "latest", "stable"].map(heads), [2, 2, 3, 3], "{lines:#?}");
    let between = |tags: [&str; 2]| tags.map(|tag| at(&format!("PUT /v2/acme/app/manifests/{tag}")));
    let (fixed, moved) = (between(["a", "b"]), between(["stable", "latest"]));
    let again = &lines[*fixed.iter().max().unwrap()..*moved.iter().min().unwrap()];
    assert!(again.contains(&"HEAD /v2/acme/app/manifests/latest".to_owned()), "{lines:#?}");
    assert!(last("HEAD /v2/acme/app/manifests/a") > at("PUT /v2/acme/app/manifests/latest"), "{lines:#?}");
}

#[test]
fn a_second_run_finds_all_unchanged() {
    let registry = versions();
    promote(&registry, ":2026.34.103", []).run().result();
    registry.clear();
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn a_dry_run_writes_nothing_and_ends_as_the_real_run_would() {
    let registry = versions();
    let ran = promote(&registry, ":2026.34.103", ["--dry-run"]).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.log().writes(), 0);
    point(&registry, "latest", "2026.34.103");
    let ran = promote(&registry, ":2026.34.102", ["--dry-run"]).run();
    assert_eq!(ran.code(), "downgrade-refused");
    registry.push(APP, "2026.34.102-rc", &image("another"));
    assert_eq!(promote(&registry, ":2026.34.102", ["--dry-run"]).run().code(), "tag-conflict");
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn a_dry_run_asks_for_rights_to_read_alone() {
    let rules = one_user("robot", "secret").user("reader", "secret", Rights::PULL);
    let registry = Registry::bearer(rules);
    fill(&registry);
    promote(&registry, ":2026.34.103", ["--dry-run"]).login("reader", "secret").run().result();
    for one in registry.log().0.iter().filter(|one| one.asked.path == "/token") {
        assert_eq!(one.asked.query("scope"), Some("repository:acme/app:pull"));
    }
    let ran = promote(&registry, ":2026.34.103", []).login("reader", "secret").run();
    assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), ("denied", Some(false)), "{ran}");
    assert!(ran.stderr.ends_with("\nnothing was written\n"), "{ran}");
}

#[test]
fn a_build_is_found_and_promoted_in_one_go() {
    let registry = versions();
    let ran = promote(&registry, "", ["--build", "103"]).run();
    assert_eq!(ran.result()["source"]["reference"], registry.name("acme/app:2026.34.103"));
    assert_eq!(ran.result()["version"], "2026.34.103");
    assert_eq!(actions(&ran), ["2026.34.103-rc: created", "latest: moved"]);
    // The candidate that is there now names the same version and the same image.
    let ran = promote(&registry, "", ["--build", "103"]).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc: unchanged", "latest: unchanged"]);
}

#[test]
fn placeholders_stand_for_tag_and_version() {
    let registry = versions();
    registry.push(APP, "v2026.34.104-rc", &image("candidate"));
    let ran = promote(&registry, ":v2026.34.104-rc", ["--to", "{version}", "--to", "was-{tag}"]).run();
    assert_eq!(actions(&ran), ["v2026.34.104: created", "was-v2026.34.104-rc: created"]);
    let nightly = registry.push(APP, "nightly", &image("nightly"));
    for (source, words) in [
        (":nightly".to_owned(), ["--to", "{version}"]),
        (format!("@{nightly}"), ["--to", "{version}-x"]),
        (format!("@{nightly}"), ["--to", "{tag}-x"]),
    ] {
        let ran = promote(&registry, &source, words).run();
        assert_eq!(ran.exit, Some(2), "{ran}");
    }
    assert_eq!(promote(&registry, ":latest", ["--to", "{branch}"]).run().exit, Some(2));
    // One tag cannot both stay and move, however it is spelt.
    let ran = promote(&registry, ":2026.34.103", ["--to", "{tag}-x", "--move", "2026.34.103-x"]).run();
    assert_eq!(ran.code(), "request-invalid");
}

#[test]
fn a_tag_that_is_the_source_itself_and_one_that_is_named_twice() {
    let registry = versions();
    let ran =
        promote(&registry, ":2026.34.102", ["--to", "2026.34.102", "--to", "{version}", "--move", "latest"]).run();
    assert_eq!(actions(&ran), ["2026.34.102: unchanged", "latest: unchanged"]);
    let ran = promote(&registry, ":latest", ["--move", "latest"]).run();
    assert_eq!(actions(&ran), ["latest: unchanged"]);
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn a_moving_tag_that_is_deleted_meanwhile_is_made_anew() {
    let registry = versions();
    meanwhile(&registry, "PUT", "2026.34.103-rc", 1, |state| {
        state.repositories.get_mut(APP).unwrap().tags.remove("latest");
    });
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc: created", "latest: created"]);
    assert_eq!(ran.result()["rollback"], json!([]));
}

#[test]
fn defaults_apply_only_where_neither_to_nor_move_is_given() {
    let registry = versions();
    let ran = promote(&registry, ":2026.34.103", ["--move", "stable"]).run();
    assert_eq!(actions(&ran), ["stable: created"]);
    assert_eq!(registry.resolve(APP, "2026.34.103-rc"), None);
}

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
}

#[test]
fn a_source_without_version_does_not_replace_a_version() {
    let registry = versions();
    registry.push(APP, "nightly", &image("nightly"));
    point(&registry, "latest", "2026.34.102");
    let ran = promote(&registry, ":nightly", ["--move", "latest"]).run();
    assert_eq!((ran.code().as_str(), registry.log().writes()), ("order-unknown", 0), "{ran}");
    assert_eq!(ran.error()["details"]["beforeVersion"], "2026.34.102");
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
    assert_eq!(actions(&ran), ["latest: moved"]);
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
fn whatever_is_no_image_is_promoted_as_it_is() {
    let registry = Registry::start();
    for (tag, built) in [
        ("artifact", generic_artifact()),
        ("attested", Index::of([attestation(&image("x"))]).build()),
        ("list", Index::of([image("y")]).docker().build()),
        ("docker", Image::new().docker().build()),
        ("signature", cosign_signature()),
    ] {
        let digest = registry.push(APP, tag, &built);
        let ran = promote(&registry, &format!(":{tag}"), ["--to", "x-{tag}"]).run();
        assert_eq!(ran.result()["digest"], digest);
        assert_eq!(registry.resolve(APP, &format!("x-{tag}")), Some(digest));
    }
}

#[test]
fn signatures_and_other_referrers_are_counted() {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    fill(&registry);
    let source = two_platforms("abc", "one");
    registry.push(APP, "sbom", &Image::new().layer("sbom").subject(&source).build());
    let hex = source.digest().trim_start_matches("sha256:").to_owned();
    registry.push(APP, &format!("sha256-{hex}.sig"), &cosign_signature());
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!(ran.result()["referrers"], json!({"found": 2, "copied": 0, "left": 0}));
    // Without the API, the tag that stands in for it.
    let registry = versions();
    let index = Index::of([image("a"), image("b")]).build();
    registry.push(APP, &format!("sha256-{hex}"), &index);
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!(ran.result()["referrers"]["found"], 2);
}

#[test]
fn what_points_at_an_image_is_unknown_where_neither_the_api_nor_the_list_of_tags_tells() {
    let registry = versions();
    point(&registry, "latest", "2026.34.102");
    let hex = registry.resolve(APP, "2026.34.103").unwrap().replace(':', "-");
    registry.push(APP, &hex, &Index::of([image("a"), image("b")]).build());
    registry.before(|asked, _| asked.path.ends_with("/tags/list").then(|| Reply::error(403, "DENIED", "not the list")));
    let ran = promote(&registry, ":2026.34.103", ["--move", "latest", "--allow-downgrade"]).run();
    assert_eq!(actions(&ran), ["latest: moved"], "{ran}");
    assert_eq!(ran.result()["referrers"], json!({"found": null, "copied": 0, "left": 0}), "{ran}");
}

/// Changes what is stored right after the first request that fits was answered.
fn meanwhile(
    registry: &Registry,
    method: &'static str,
    tag: &'static str,
    nth: usize,
    act: impl Fn(&mut State) + Send + 'static,
) {
    let mut seen = 0;
    registry.after(move |asked, state, _| {
        if asked.method == method && asked.path.ends_with(&format!("/manifests/{tag}")) {
            seen += 1;
            if seen == nth {
                act(state);
            }
        }
    });
}

#[test]
fn somebody_elses_newer_version_supersedes_ours() {
    let registry = versions();
    let newer = image("2026.34.104");
    meanwhile(&registry, "PUT", "latest", 1, move |state| {
        let digest = state.store(APP, &newer);
        state.tag(APP, "2026.34.104", &digest);
        state.tag(APP, "latest", &digest);
    });
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.104"));
}

#[test]
fn somebody_elses_newer_version_before_our_move_is_not_overwritten() {
    let registry = versions();
    let newer = image("2026.34.104");
    meanwhile(&registry, "PUT", "2026.34.103-rc", 1, move |state| {
        let digest = state.store(APP, &newer);
        state.tag(APP, "2026.34.104", &digest);
        state.tag(APP, "latest", &digest);
    });
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.104"));
    assert_eq!(registry.log().matching("PUT", "/latest"), 0);
}

#[test]
fn somebody_elses_older_version_is_written_over_again() {
    let registry = versions();
    let older = registry.resolve(APP, "2026.34.101").unwrap();
    meanwhile(&registry, "PUT", "latest", 1, move |state| state.tag(APP, "latest", &older));
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!(ran.result()["tags"][1]["verified"], true);
    assert_eq!(registry.log().matching("PUT", "/latest"), 2);
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.103"));
}

#[test]
fn an_older_version_that_keeps_coming_back_is_a_race() {
    let registry = versions();
    let older = registry.resolve(APP, "2026.34.101").unwrap();
    registry.after(move |asked, state, _| {
        if asked.method == "PUT" && asked.path.ends_with("/latest") {
            state.tag(APP, "latest", &older);
        }
    });
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!(ran.code(), "raced");
    assert_eq!(registry.log().matching("PUT", "/latest"), 4);
}

#[test]
fn any_other_image_is_a_race() {
    for (tag, method) in [("latest", "PUT"), ("2026.34.103-rc", "PUT")] {
        let registry = versions();
        let foreign = image("foreign");
        meanwhile(&registry, method, tag, 1, move |state| {
            let digest = state.store(APP, &foreign);
            state.tag(APP, tag, &digest);
        });
        let ran = promote(&registry, ":2026.34.103", []).run();
        let error = ran.error();
        assert_eq!(
            (ran.code().as_str(), error["exit"].as_u64(), error["changed"].as_bool()),
            ("raced", Some(5), Some(true))
        );
        assert_eq!(error["details"]["wrote"].as_str().map(str::to_owned), registry.resolve(APP, "2026.34.103"));
        assert_eq!(error["details"]["found"], image("foreign").digest());
        if tag == "latest" {
            insta::assert_snapshot!(look(&registry, &ran));
        }
    }
}

#[test]
fn a_tag_that_shows_the_old_image_for_a_while_is_read_until_it_does_not() {
    let registry = versions();
    let before = registry.resolve(APP, "latest").unwrap();
    let mut stale = 0;
    registry.after(move |asked, state, reply| {
        let written = state.resolve(APP, "latest") != Some(before.clone());
        if asked.method == "HEAD" && asked.path.ends_with("/latest") && written && stale < 2 {
            stale += 1;
            *reply = reply.clone().set("Docker-Content-Digest", before.clone());
        }
    });
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!((ran.result()["tags"][1]["verified"].as_bool(), ran.warnings()), (Some(true), vec![]));
    assert_eq!(registry.log().matching("PUT", "/latest"), 1);
}

#[test]
fn a_tag_that_goes_on_showing_the_old_image_is_not_verified() {
    let registry = versions();
    let before = registry.resolve(APP, "latest").unwrap();
    registry.after(move |asked, _, reply| {
        if asked.method == "HEAD" && asked.path.ends_with("/latest") {
            *reply = reply.clone().set("Docker-Content-Digest", before.clone());
        }
    });
    let ran = promote(&registry, ":2026.34.103", ["--timeout", "3"]).run();
    assert_eq!(ran.result()["tags"][1]["verified"], false);
    assert_eq!(ran.warnings(), ["unverified"]);
    assert_eq!(registry.log().matching("PUT", "/latest"), 1);
}

/// Makes a candidate of a version, as a promotion of that version does before it looks at `latest` again.
fn announce(state: &mut State, version: &str) {
    let digest = state.resolve(APP, version).unwrap();
    state.tag(APP, &format!("{version}-rc"), &digest);
}

#[test]
fn a_newer_version_that_was_promoted_at_the_same_time_and_is_not_there_in_the_end_is_named() {
    let registry = versions();
    point(&registry, "latest", "2026.34.101");
    meanwhile(&registry, "PUT", "latest", 1, |state| announce(state, "2026.34.103"));
    // A version in the text of a tag is as good as `{version}`.
    let ran = promote(&registry, ":2026.34.102", ["--to", "2026.34.102-rc", "--move", "latest"]).run();
    insta::assert_snapshot!(look(&registry, &ran));
    // A run that was killed after it had written over a newer version is told so when it is run again.
    let ran = promote(&registry, ":2026.34.102", []).run();
    assert_eq!(actions(&ran), ["2026.34.102-rc: unchanged", "latest: unchanged"]);
    assert_eq!(ran.warnings(), ["overlapped"]);
}

#[test]
fn a_newer_version_that_comes_while_it_is_waited_for_supersedes_ours() {
    let registry = versions();
    point(&registry, "latest", "2026.34.101");
    meanwhile(&registry, "PUT", "latest", 1, |state| announce(state, "2026.34.103"));
    let mut looked = 0;
    registry.after(move |asked, state, _| {
        looked += usize::from(asked.method == "HEAD" && asked.path.ends_with("/latest"));
        if looked == 4 {
            let newer = state.resolve(APP, "2026.34.103").unwrap();
            state.tag(APP, "latest", &newer);
        }
    });
    let ran = promote(&registry, ":2026.34.102", []).run();
    assert_eq!(actions(&ran), ["2026.34.102-rc: created", "latest: superseded"]);
    assert_eq!(ran.warnings(), ["superseded"]);
}

#[test]
fn a_look_that_fails_while_others_are_waited_for_does_not_undo_what_was_seen() {
    let registry = versions();
    point(&registry, "latest", "2026.34.101");
    meanwhile(&registry, "PUT", "latest", 1, |state| announce(state, "2026.34.103"));
    let mut written = false;
    let mut looked = 0;
    registry.before(move |asked, _| {
        written |= asked.method == "PUT" && asked.path.ends_with("/latest");
        looked += usize::from(written && asked.method == "HEAD" && asked.path.ends_with("/latest"));
        (looked > 1 && asked.method == "HEAD").then(|| Reply::status(500))
    });
    let ran = promote(&registry, ":2026.34.102", ["--retries", "0"]).run();
    assert_eq!(actions(&ran), ["2026.34.102-rc: created", "latest: moved"]);
    assert_eq!(
        (ran.result()["tags"][1]["verified"].as_bool(), ran.warnings()),
        (Some(true), vec!["overlapped".into()])
    );
}

#[test]
fn an_older_version_that_was_promoted_at_the_same_time_is_written_over_again_and_named() {
    let registry = versions();
    meanwhile(&registry, "PUT", "2026.34.103-rc", 1, |state| announce(state, "2026.34.101"));
    let mut looked = 0;
    registry.after(move |asked, state, _| {
        looked += usize::from(asked.method == "HEAD" && asked.path.ends_with("/latest"));
        if looked == 4 && asked.method == "HEAD" {
            looked += 1;
            let older = state.resolve(APP, "2026.34.101").unwrap();
            state.tag(APP, "latest", &older);
        }
    });
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.log().matching("PUT", "/latest"), 2);
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.103"));
}

#[test]
fn the_very_version_that_a_tag_was_moved_from_is_written_over_when_it_stays_too_long() {
    let registry = versions();
    let before = registry.resolve(APP, "latest").unwrap();
    meanwhile(&registry, "PUT", "latest", 1, move |state| state.tag(APP, "latest", &before));
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!((ran.result()["tags"][1]["verified"].as_bool(), ran.warnings()), (Some(true), vec![]));
    assert_eq!(registry.log().matching("PUT", "/latest"), 2);
}

#[test]
fn new_builds_are_not_taken_for_promotions() {
    let registry = versions();
    let newer = image("2026.34.104");
    meanwhile(&registry, "PUT", "latest", 1, move |state| {
        let digest = state.store(APP, &newer);
        state.tag(APP, "2026.34.104", &digest);
    });
    assert_eq!(promote(&registry, ":2026.34.103", []).run().warnings(), [""; 0]);
}

#[test]
fn a_template_that_makes_the_source_itself_does_not_take_new_builds_for_promotions() {
    let registry = versions();
    let newer = image("2026.34.104");
    meanwhile(&registry, "PUT", "latest", 1, move |state| {
        let digest = state.store(APP, &newer);
        state.tag(APP, "2026.34.104", &digest);
    });
    let ran = promote(&registry, ":2026.34.103", ["--to", "{version}", "--move", "latest"]).run();
    assert_eq!(actions(&ran), ["2026.34.103: unchanged", "latest: moved"]);
    assert!(!ran.warnings().contains(&"overlapped".to_owned()), "{ran}");
    // The list has nothing to tell of others, so it is not read again.
    assert_eq!(registry.log().matching("GET", "/tags/list"), 1);
}

#[test]
fn a_tag_list_that_fails_the_second_time_leaves_others_unknown() {
    let registry = versions();
    let mut lists = 0;
    registry.before(move |asked, _| {
        lists += usize::from(asked.path.ends_with("/tags/list"));
        (asked.path.ends_with("/tags/list") && lists > 1).then(|| Reply::status(500))
    });
    let ran = promote(&registry, ":2026.34.103", ["--retries", "0"]).run();
    assert_eq!(
        (actions(&ran), ran.warnings()),
        (vec!["2026.34.103-rc: created".to_owned(), "latest: moved".to_owned()], vec!["overlap-unknown".to_owned()])
    );
}

#[test]
fn a_slow_move_that_no_tag_told_of_is_owned_up_to_where_a_newer_version_exists() {
    for (source, expected) in [(":2026.34.102", vec!["overlap-unknown"]), (":2026.34.103", vec![])] {
        let registry = versions();
        point(&registry, "latest", "2026.34.101");
        registry.before(|asked, _| {
            if asked.method == "PUT" {
                std::thread::sleep(std::time::Duration::from_millis(2100));
            }
            None
        });
        let ran = promote(&registry, source, ["--move", "latest"]).run();
        assert_eq!(
            (actions(&ran), ran.warnings()),
            (vec!["latest: moved".to_owned()], expected.iter().map(|s| (*s).to_owned()).collect())
        );
    }
}

#[test]
fn an_immutable_tag_stays_and_what_was_written_before_is_told() {
    let registry = Registry::with(Options { immutable: true, ..Options::default() });
    fill(&registry);
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.102"));
    // The candidate is there now, so nothing at all is written the second time.
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), ("tag-immutable", Some(false)));
}

#[test]
fn every_way_to_say_that_a_tag_is_immutable_is_understood() {
    for (status, code, words) in [
        (400, "TAG_INVALID", "the tag exists"),
        (403, "DENIED", "tag latest is immutable"),
        (409, "CONFLICT", "Immutable tag"),
        (412, "PRECONDITION", "Failed to process request due to 'app:latest' configured as immutable."),
    ] {
        for login in [false, true] {
            let registry = if login { Registry::basic("robot", "secret") } else { Registry::with(Options::default()) };
            fill(&registry);
            registry.before(move |asked, _| (asked.method == "PUT").then(|| Reply::error(status, code, words)));
            let mut run = promote(&registry, ":2026.34.103", ["--move", "latest"]);
            if login {
                run = run.login("robot", "secret");
            }
            let ran = run.run();
            assert_eq!((ran.code().as_str(), ran.exit), ("tag-immutable", Some(5)), "{status}: {ran}");
        }
    }
}

#[test]
fn a_refusal_after_the_first_write_says_what_was_written_and_how_to_undo_it() {
    let registry = versions();
    registry.before(|asked, _| {
        let hit = asked.method == "PUT" && asked.path.ends_with("/stable");
        hit.then(|| Reply::error(403, "DENIED", "requested access to the resource is denied"))
    });
    let words = ["--to", "x", "--move", "latest", "--move", "stable"];
    let ran = promote(&registry, ":2026.34.103", words).run();
    insta::assert_snapshot!(look(&registry, &ran));
    // The undo command does what it says.
    let undo = ran.error()["rollback"][0].as_array().unwrap().clone();
    let undo: Vec<&str> = undo.iter().skip(1).map(|word| word.as_str().unwrap()).collect();
    tagwright([]).args(undo).run().result();
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.102"));
}

#[test]
fn the_command_that_undoes_a_promotion_puts_the_tag_back() {
    let registry = versions();
    let ran = promote(&registry, ":2026.34.103", []).run();
    let rollback = ran.result()["rollback"].as_array().unwrap().clone();
    assert_eq!(rollback.len(), 1);
    let words: Vec<String> =
        rollback[0].as_array().unwrap().iter().skip(1).map(|word| word.as_str().unwrap().to_owned()).collect();
    tagwright([]).args(words).run().result();
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.102"));
}

#[test]
fn a_write_whose_answer_is_lost_counts_when_the_tag_shows_it() {
    let registry = versions();
    registry.after(|asked, _, reply| {
        if asked.method == "PUT" && asked.path.ends_with("/latest") {
            *reply = Reply::broken(Fault::Close);
        }
    });
    let ran = promote(&registry, ":2026.34.103", ["--retries", "0"]).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc: created", "latest: moved"]);
    assert_eq!(ran.result()["tags"][1]["verified"], true);
}

#[test]
fn a_write_whose_answer_is_lost_and_that_cannot_be_looked_at_is_told_as_such() {
    let registry = versions();
    let mut down = false;
    registry.after(move |asked, _, reply| {
        down |= asked.method == "PUT";
        if down {
            *reply = Reply::broken(Fault::Close);
        }
    });
    let ran = promote(&registry, ":2026.34.103", ["--move", "latest", "--retries", "0"]).run();
    assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), ("unreachable", Some(true)), "{ran}");
    insta::assert_snapshot!(look(&registry, &ran).split("---- stderr").nth(1).unwrap());
}

#[test]
fn reading_back_that_fails_tells_what_was_written() {
    let registry = versions();
    let mut written = false;
    registry.before(move |asked, _| {
        let fails = written && asked.method == "HEAD";
        written |= asked.method == "PUT" && asked.path.ends_with("/latest");
        fails.then(|| Reply::status(500))
    });
    let ran = promote(&registry, ":2026.34.103", ["--retries", "0"]).run();
    let error = ran.error();
    assert_eq!(
        (ran.code().as_str(), error["done"].as_array().map(Vec::len)),
        ("registry-unavailable", Some(2)),
        "{ran}"
    );
    assert!(ran.stderr.lines().last().unwrap().starts_with("written: "), "{ran}");
}

#[test]
fn a_registry_without_the_digest_header_is_asked_with_get() {
    let registry = Registry::with(Options { no_digest_header: true, ..Options::default() });
    fill(&registry);
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc: created", "latest: moved"]);
    assert_eq!(ran.result()["tags"][1]["beforeVersion"], "2026.34.102");
}

#[test]
fn what_was_not_shown_to_be_missing_is_not_taken_for_missing() {
    for status in [401, 403, 429, 500, 503] {
        let registry = versions();
        registry.before(move |asked, _| {
            let hit = ["HEAD", "GET"].contains(&asked.method.as_str()) && asked.path.ends_with("/2026.34.103-rc");
            hit.then(|| Reply::error(status, "X", "no"))
        });
        let ran = promote(&registry, ":2026.34.103", ["--retries", "0"]).run();
        assert!(matches!(ran.exit, Some(4 | 6)), "{status}: {ran}");
        assert_eq!(registry.log().writes(), 0, "{status}: {ran}");
    }
}

#[test]
fn a_candidate_alone_is_promoted_to_its_version() {
    let registry = Registry::start();
    push(&registry, APP, &["2026.34.103-rc"]);
    let ran = promote(&registry, "", ["--build", "103", "--to", "{version}", "--move", "latest"]).run();
    assert_eq!(actions(&ran), ["2026.34.103: created", "latest: created"]);
    assert_eq!(ran.result()["source"]["reference"], registry.name("acme/app:2026.34.103-rc"));
}

#[test]
fn docker_hub_is_promoted_to_with_the_digests_of_its_web_api() {
    let docker = DockerHub::start(one_user("robot", "secret"));
    fill(&docker.registry);
    point(&docker.registry, "latest", "2026.34.103");
    let tags = docker.registry.tags(APP);
    let tags = tags.into_iter().map(|(name, digest)| HubTag { digest: Some(digest), ..HubTag::named(&name) }).collect();
    let hub = Hub::start(
        Source::List(HashMap::from([(APP.to_owned(), tags)])),
        HubOptions::default().user("robot", "secret"),
    );
    let run = tagwright(["promote", "acme/app:2026.34.102", "--hub-api", &hub.url()]);
    let ran = docker.reach(run).login("robot", "secret").run();
    assert_eq!(ran.code(), "downgrade-refused");
    assert_eq!(ran.error()["details"]["beforeVersion"], "2026.34.103");
    // Token, source, two targets; who holds what is known from the pages.
    assert_eq!(docker.registry.log().count(), 4, "{:#?}", docker.registry.log().lines());
}

#[test]
fn of_docker_hubs_tags_not_only_those_of_the_build_tell_what_is_newer() {
    let docker = DockerHub::start(one_user("robot", "secret"));
    fill(&docker.registry);
    let tags = docker.registry.tags(APP);
    let tags = tags.into_iter().map(|(name, digest)| HubTag { digest: Some(digest), ..HubTag::named(&name) }).collect();
    let options = HubOptions::default().user("robot", "secret");
    let hub = Hub::start(Source::List(HashMap::from([(APP.to_owned(), tags)])), options);
    point(&docker.registry, "latest", "2026.34.103");
    let run = tagwright(["promote", APP, "--build", "102", "--hub-api", &hub.url()]);
    let ran = docker.reach(run).login("robot", "secret").run();
    assert_eq!(ran.code(), "downgrade-refused", "{ran}");
}

#[test]
fn one_token_serves_the_whole_promotion() {
    let registry = Registry::bearer(Rules { expires_in: Some(3600), ..one_user("robot", "secret") });
    fill(&registry);
    promote(&registry, ":2026.34.103", []).login("robot", "secret").run().result();
    let tokens = registry.tokens().log();
    assert_eq!(tokens.count(), 1, "{:#?}", tokens.lines());
    assert_eq!(tokens.0[0].asked.query("scope"), Some("repository:acme/app:pull,push"));
}

#[test]
fn a_password_is_sent_with_every_write() {
    let registry = Registry::with(Options { auth: Auth::Basic("robot".into(), "secret".into()), ..Options::default() });
    fill(&registry);
    promote(&registry, ":2026.34.103", []).login("robot", "secret").run().result();
    let log = registry.log();
    assert!(log.0.iter().filter(|one| one.asked.method == "PUT").all(|one| one.asked.basic().is_some()));
    // The four questions of the look, as far as none has its answer before another one is asked.
    let challenged = log.0.iter().filter(|one| one.status == 401).count();
    assert!((1..=4).contains(&challenged), "{:#?}", log.lines());
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

#[test]
fn the_v_of_the_source_is_kept_in_the_tags_that_are_made_of_its_version() {
    let registry = Registry::start();
    push(&registry, APP, &["v1.9.0", "v1.10.0", "feature-x-v1.2.3"]);
    let digest = registry.resolve(APP, "v1.10.0").unwrap();
    let made = |ran: &Ran| {
        let result = ran.result();
        let tags = result["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap().to_owned());
        (tags.collect::<Vec<_>>(), result["version"].clone())
    };
    let run = |source: &str, words: &[&str]| {
        tagwright(["promote", &registry.name(&format!("{APP}{source}")), "--dry-run"]).args(words.iter().copied()).run()
    };
    for (source, words, expected, version) in [
        (":v1.10.0", &[][..], &["v1.10.0-rc", "latest"][..], "1.10.0"),
        ("", &["--build", "0", "--newest"], &["v1.10.0-rc", "latest"], "1.10.0"),
        // The tag that has the digest lends its `v`.
        (&format!("@{digest}"), &[], &["v1.10.0-rc", "latest"], "1.10.0"),
        (":feature-x-v1.2.3", &["--tag-format", "feature-x-{version}", "--to", "x-{version}"], &["x-v1.2.3"], "1.2.3"),
    ] {
        let ran = run(source, words);
        assert_eq!(made(&ran), (expected.iter().map(|tag| (*tag).to_owned()).collect(), json!(version)), "{ran}");
    }
    // Into another repository the tag itself comes along, and the guard sees a version in what is there.
    let into = registry.name("acme/prod");
    let promoted = tagwright(["promote", &registry.name(&format!("{APP}:v1.10.0")), "--into", &into]).run();
    assert_eq!(made(&promoted).0, ["v1.10.0", "v1.10.0-rc", "latest"]);
    let older = tagwright(["promote", &registry.name(&format!("{APP}:v1.9.0")), "--into", &into]).run();
    assert_eq!(older.code(), "downgrade-refused");
}
