//! Floating tags: `2` and `2.3` beside `2.3.5`, each guarded by what it holds itself, moved by `{major}` and `{minor}`.

use crate::stage::{image, push, shown};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::registry::{Registry, State};

const APP: &str = "acme/app";
const PATCH: [&str; 8] =
    ["--move", "{major}.{minor}", "--move-if-newer", "{major}", "--move-if-newer", "latest", "--to", "{version}-rc"];

/// Three lines of versions, with the tags that float on the newest of each, and a patch of the oldest line.
fn lines() -> Registry {
    let registry = Registry::start();
    push(&registry, APP, &["2.3.4", "2.3.5", "2.4.0", "3.1.0"]);
    for (tag, at) in [("2.3", "2.3.4"), ("2.4", "2.4.0"), ("2", "2.4.0"), ("3.1", "3.1.0"), ("3", "3.1.0")] {
        point(&registry, tag, at);
    }
    point(&registry, "latest", "3.1.0");
    registry
}

fn point(registry: &Registry, tag: &str, at: &str) {
    registry.state(|state| float(state, tag, at));
}

fn float(state: &mut State, tag: &str, at: &str) {
    let digest = state.resolve(APP, at).unwrap();
    state.tag(APP, tag, &digest);
}

fn promote<const N: usize>(registry: &Registry, tag: &str, words: [&str; N]) -> Tagwright {
    tagwright(["promote", &registry.name(&format!("{APP}:{tag}"))]).args(words)
}

/// What became of each tag.
fn actions(ran: &Ran) -> Vec<String> {
    let result = ran.result();
    let list = result["tags"].as_array().unwrap();
    list.iter().map(|tag| format!("{} {}", tag["tag"].as_str().unwrap(), tag["action"].as_str().unwrap())).collect()
}

fn look(registry: &Registry, ran: &Ran) -> String {
    shown(ran, &[(&registry.host(), "[registry]")])
}

/// Changes what is stored right after the first request that fits was answered.
fn after(registry: &Registry, method: &'static str, tag: &'static str, act: impl Fn(&mut State) + Send + 'static) {
    let mut done = false;
    registry.after(move |asked, state, _| {
        if !done && asked.method == method && asked.path.ends_with(&format!("/manifests/{tag}")) {
            done = true;
            act(state);
        }
    });
}

#[test]
fn a_patch_of_an_old_line_moves_its_own_floating_tag_and_leaves_those_of_newer_versions() {
    let registry = lines();
    let dry = promote(&registry, "2.3.5", PATCH).arg("--dry-run").run();
    assert_eq!(actions(&dry), ["2.3.5-rc created", "2.3 moved", "2 kept", "latest kept"]);
    assert_eq!(registry.log().writes(), 0);
    let ran = promote(&registry, "2.3.5", PATCH).run();
    insta::assert_snapshot!(look(&registry, &ran));
    for (tag, at) in [("2.3", "2.3.5"), ("2.3.5-rc", "2.3.5"), ("2", "2.4.0"), ("latest", "3.1.0"), ("2.4", "2.4.0")] {
        assert_eq!(registry.resolve(APP, tag), registry.resolve(APP, at), "{tag}");
    }
    // Nothing is left to do, and that is said of what was kept too.
    let again = promote(&registry, "2.3.5", PATCH).run();
    assert_eq!(actions(&again), ["2.3.5-rc unchanged", "2.3 unchanged", "2 kept", "latest kept"]);
    let summary = again.result()["summary"].as_str().unwrap().to_owned();
    assert!(summary.starts_with("nothing to do: "), "{summary}");
    assert!(summary.ends_with(" to 2.3.5-rc (unchanged), 2.3 (unchanged), 2 (kept at 2.4.0), latest (kept at 3.1.0)"));
}

#[test]
fn whether_a_tag_floats_is_found_out_only_where_it_decides() {
    let registry = lines();
    for (tag, lists) in [("x", 0), ("{version}-rc", 1)] {
        registry.clear();
        promote(&registry, "2.3", ["--to", tag]).run().result();
        assert_eq!(registry.log().matching("GET", "/tags/list"), lists, "{:#?}", registry.log().lines());
    }
}

#[test]
fn a_newest_version_moves_every_floating_tag_of_its_own() {
    let registry = lines();
    push(&registry, APP, &["v3.2.0"]);
    let words = ["--move", "{major}.{minor}", "--move", "v{major}", "--move-if-newer", "{major}", "--move", "latest"];
    let ran = promote(&registry, "v3.2.0", words).run();
    assert_eq!(actions(&ran), ["3.2 created", "v3 created", "latest moved", "3 moved"]);
    assert_eq!(ran.result()["tags"][3]["beforeVersion"], "3.1.0");
}

#[test]
fn a_refusal_to_go_back_names_the_tag_and_the_flag_that_leaves_it() {
    let registry = lines();
    let ran = promote(&registry, "2.3.5", ["--move", "{major}.{minor}", "--move", "{major}"]).run();
    assert_eq!(ran.code(), "downgrade-refused", "{ran}");
    let error = ran.error();
    assert_eq!(error["details"]["tag"], "2");
    assert!(error["hint"].as_str().unwrap().starts_with("name it by `--move-if-newer 2`, which leaves it"), "{ran}");
    assert_eq!(registry.log().writes(), 0);
    let hinted = promote(&registry, "2.3.5", ["--move", "{major}.{minor}", "--move-if-newer", "2"]).run();
    assert_eq!(actions(&hinted), ["2.3 moved", "2 kept"]);
}

#[test]
fn what_cannot_be_compared_is_refused_for_move_if_newer_too() {
    let registry = lines();
    registry.push(APP, "nightly", &image("nightly"));
    for words in
        [["--move-if-newer", "latest", "--to", "x"], ["--move-if-newer", "latest", "--allow-downgrade", "--quiet"]]
    {
        let ran = promote(&registry, "nightly", words).run();
        assert_eq!(ran.code(), "order-unknown", "{ran}");
    }
    // `--allow-downgrade` is about the tags of `--move`.
    let words = ["--move", "2", "--move-if-newer", "latest", "--allow-downgrade"];
    assert_eq!(actions(&promote(&registry, "2.3.5", words).run()), ["2 moved", "latest kept"]);
}

#[test]
fn a_tag_that_is_named_in_two_ways_is_refused_before_anything_is_written() {
    let registry = lines();
    for (words, message) in [
        (["--to", "x", "--move-if-newer", "x"], "the tag `x` stands in both `--to` and `--move-if-newer`"),
        (["--move", "x", "--move-if-newer", "x"], "the tag `x` stands in both `--move` and `--move-if-newer`"),
        (["--move", "2", "--move-if-newer", "{major}"], "`2` is named both by `--move` and by `--move-if-newer`"),
        (["--to", "2.3", "--move", "{major}.{minor}"], "`2.3` is named both by `--to` and by `--move`"),
    ] {
        let ran = promote(&registry, "2.3.5", words).run();
        assert_eq!((ran.code(), ran.error()["message"].as_str().unwrap()), ("request-invalid".to_owned(), message));
    }
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn what_was_to_be_kept_is_moved_where_the_newer_version_is_gone_at_the_second_look() {
    let registry = lines();
    after(&registry, "PUT", "2.3.5-rc", |state| float(state, "2", "2.3.4"));
    let ran = promote(&registry, "2.3.5", PATCH).run();
    assert_eq!(actions(&ran), ["2.3.5-rc created", "2.3 moved", "2 moved", "latest kept"]);
    assert_eq!(ran.result()["tags"][2]["beforeVersion"], "2.3.4");
    assert_eq!(registry.resolve(APP, "2"), registry.resolve(APP, "2.3.5"));
}

#[test]
fn what_was_to_be_moved_is_kept_where_a_newer_version_is_there_at_the_second_look() {
    let registry = lines();
    point(&registry, "2", "2.3.4");
    after(&registry, "PUT", "2.3.5-rc", |state| float(state, "2", "2.4.0"));
    let ran = promote(&registry, "2.3.5", PATCH).run();
    assert_eq!(actions(&ran), ["2.3.5-rc created", "2.3 moved", "2 kept", "latest kept"]);
    assert_eq!(ran.warnings(), Vec::<String>::new());
    assert_eq!(registry.log().matching("PUT", "/manifests/2"), 1 + 1, "2.3 and 2.3.5-rc alone");
    assert_eq!(registry.resolve(APP, "2"), registry.resolve(APP, "2.4.0"));
}

#[test]
fn what_somebody_moved_meanwhile_is_told_with_the_version_that_it_held_by_then() {
    let registry = lines();
    after(&registry, "PUT", "2.3.5-rc", |state| float(state, "latest", "2.3.4"));
    let ran = promote(&registry, "2.3.5", ["--to", "{version}-rc", "--move", "latest", "--allow-downgrade"]).run();
    assert_eq!(actions(&ran), ["2.3.5-rc created", "latest moved"]);
    assert_eq!(ran.result()["tags"][1]["beforeVersion"], "2.3.4");
}

#[test]
fn a_rollback_leaves_a_kept_tag_alone() {
    let registry = lines();
    let record = promote(&registry, "2.3.5", PATCH).run().result()["record"].to_string();
    // Whatever has become of it since.
    point(&registry, "2", "2.3.5");
    let words = ["rollback", "--record", "-", "--force"];
    let ran = tagwright(words).stdin(record).run();
    assert_eq!(actions(&ran), ["2.3.5-rc left", "2.3 moved", "2 left", "latest left"]);
    assert_eq!(registry.resolve(APP, "2.3"), registry.resolve(APP, "2.3.4"));
    assert_eq!(registry.resolve(APP, "2"), registry.resolve(APP, "2.3.5"));
}

#[test]
fn a_floating_tag_is_no_version_wherever_versions_are_listed() {
    let registry = lines();
    push(&registry, APP, &["22.04"]);
    let name = registry.name(APP);
    let listed = tagwright(["tags", &name]).run().result();
    let row = |row: &serde_json::Value| (row["tag"].as_str().unwrap().to_owned(), row["version"].is_string());
    let rows: Vec<_> = listed["tags"].as_array().unwrap().iter().map(row).collect();
    let expected = ["22.04", "3.1.0", "2.4.0", "2.3.5", "2.3.4", "2", "2.3", "2.4", "3", "3.1", "latest"];
    let versions = |tag: &str| tag.matches('.').count() == 2 || tag == "22.04";
    assert_eq!(rows, expected.map(|tag| (tag.to_owned(), versions(tag))));
    // Also where what shows it is left out of the list.
    let alone = tagwright(["tags", &name, "--match", "2.3"]).run().result();
    assert_eq!(alone["tags"][0]["version"], serde_json::Value::Null);
    for (tag, version) in [("2.3", "2.3.4"), ("2.3.4", "2.3.4"), ("22.04", "22.04"), ("2", "2.4.0")] {
        let inspected = tagwright(["inspect", &registry.name(&format!("{APP}:{tag}"))]).run().result();
        assert_eq!(inspected["version"], version, "{tag}");
        let other = registry.name(&format!("{APP}:latest"));
        let compared = tagwright(["diff", &registry.name(&format!("{APP}:{tag}")), &other]).run().result();
        assert_eq!(compared["from"]["version"], version, "{tag}");
    }
    registry.push(APP, "2026.40", &image("floats"));
    registry.push(APP, "2026.34.7", &image("2026.34.7"));
    registry.push(APP, "2026.40.1-rc", &image("2026.40.1"));
    let next = tagwright(["next-version", &name, "--build", "2", "--at", "2026-10-01"]).run().result();
    assert_eq!((&next["version"], &next["previous"]), (&"2026.40.2".into(), &"2026.40.1".into()));
}

#[test]
fn what_is_promoted_by_a_floating_tag_has_the_version_of_its_image() {
    let registry = lines();
    let ran = promote(&registry, "2.3", ["--to", "{version}-rc", "--move", "stable-{major}"]).run();
    assert_eq!(actions(&ran), ["2.3.4-rc created", "stable-2 created"]);
    assert_eq!(ran.result()["version"], "2.3.4");
    assert_eq!(promote(&registry, "2.3", ["--move", "latest"]).run().code(), "downgrade-refused");
    // Where no longer version begins with it, a tag of two parts is a version.
    push(&registry, APP, &["22.04"]);
    let ran = promote(&registry, "22.04", ["--to", "{version}-rc", "--move", "latest"]).run();
    assert_eq!(actions(&ran), ["22.04-rc created", "latest moved"]);
}

#[test]
fn a_newer_version_of_another_line_at_the_same_time_is_no_matter_to_a_floating_tag() {
    let registry = lines();
    let at_once = |version: &'static str| {
        after(&registry, "PUT", "2.3", move |state| float(state, &format!("{version}-rc"), version));
        let words = ["--to", "{version}-rc", "--move", "{major}.{minor}", "--move-if-newer", "latest"];
        let ran = promote(&registry, "2.3.5", words).run();
        registry.state(|state| {
            let tags = &mut state.repositories.get_mut(APP).unwrap().tags;
            tags.retain(|tag, _| !tag.ends_with("-rc"));
        });
        point(&registry, "2.3", "2.3.4");
        ran.warnings()
    };
    assert_eq!(at_once("2.4.0"), Vec::<String>::new());
    assert_eq!(at_once("3.1.0"), Vec::<String>::new());
    push(&registry, APP, &["2.3.6"]);
    assert_eq!(at_once("2.3.6"), ["overlapped"]);
    assert_eq!(at_once("2.3.4"), ["overlapped"]);
}

#[test]
fn tags_that_float_beside_those_of_a_promotion_are_taken_for_no_other_run() {
    let registry = lines();
    let into = registry.name("acme/prod");
    let words =
        ["--into", &into, "--to", "{version}", "--move", "{major}.{minor}", "--move", "{major}", "--move", "latest"];
    let ran = promote(&registry, "2.3.5", words).run();
    assert_eq!(actions(&ran), ["2.3.5 created", "2.3 created", "2 created", "latest created"]);
    assert_eq!(ran.warnings(), Vec::<String>::new());
}
