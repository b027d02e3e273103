//! What others write between the steps of a promotion, and registries that show it late.

use crate::promote::{APP, actions, look, point, promote, versions};
use crate::stage::image;
use crate::support::registry::{Registry, State};
use crate::support::reply::Reply;
use serde_json::json;

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

/// Somebody else promotes a newer version when this tag is written.
fn newer_meanwhile(registry: &Registry, tag: &'static str) {
    let newer = image("2026.34.104");
    meanwhile(registry, "PUT", tag, 1, move |state| {
        let digest = state.store(APP, &newer);
        state.tag(APP, "2026.34.104", &digest);
        state.tag(APP, "latest", &digest);
    });
}

#[test]
fn somebody_elses_newer_version_supersedes_ours() {
    let registry = versions();
    newer_meanwhile(&registry, "latest");
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.104"));
}

#[test]
fn somebody_elses_newer_version_before_our_move_is_not_overwritten() {
    let registry = versions();
    newer_meanwhile(&registry, "2026.34.103-rc");
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.104"));
    assert_eq!(registry.log().matching("PUT", "/latest"), 0);
}

#[test]
fn a_newer_version_that_comes_while_the_registry_keeps_us_waiting_is_not_overwritten() {
    let registry = versions();
    registry.fail(1, "GET", "/tags/list", Reply::status(429).header("Retry-After", "2"));
    let newer = image("2026.34.104");
    registry.after(move |asked, state, reply| {
        if asked.path.ends_with("/tags/list") && reply.status == 200 {
            let digest = state.store(APP, &newer);
            state.tag(APP, "2026.34.104", &digest);
            state.tag(APP, "latest", &digest);
        }
    });
    let ran = promote(&registry, ":2026.34.103", ["--move", "latest"]).run();
    assert_eq!((ran.code().as_str(), registry.log().writes()), ("downgrade-refused", 0), "{ran}");
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

#[test]
fn a_version_that_came_meanwhile_is_replaced_by_what_has_none_only_where_that_is_allowed() {
    let words = ["--to", "x", "--move", "edge", "--allow-downgrade"];
    for (words, allowed) in [(&words[..4], false), (&words, true)] {
        let registry = versions();
        registry.push(APP, "nightly", &image("nightly"));
        let held = registry.resolve(APP, "2026.34.103").unwrap();
        meanwhile(&registry, "PUT", "x", 1, move |state| state.tag(APP, "edge", &held));
        let ran = promote(&registry, ":nightly", []).args(words).run();
        let expected = if allowed { "nightly" } else { "2026.34.103" };
        assert_eq!(registry.resolve(APP, "edge"), registry.resolve(APP, expected), "{ran}");
        if allowed {
            assert_eq!(
                (actions(&ran), ran.warnings()),
                (vec!["x: created".into(), "edge: moved".into()], vec!["order-unknown".into()])
            );
            // Nothing would be gained from the list.
            assert_eq!(registry.log().matching("GET", "/tags/list"), 0, "{:#?}", registry.log().lines());
        } else {
            assert_eq!(ran.code(), "order-unknown", "{ran}");
        }
    }
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
fn a_new_tag_that_names_no_version_tells_no_other_run_of_this_one() {
    let registry = versions();
    point(&registry, "latest", "2026.34.101");
    registry.state(|state| ["2026.34.102", "2026.34.103"].iter().for_each(|version| announce(state, version)));
    let words = ["--to", "{version}-rc", "--to", "x", "--move", "latest"];
    let ran = promote(&registry, ":2026.34.102", words).run();
    assert_eq!(actions(&ran), ["2026.34.102-rc: unchanged", "x: created", "latest: moved"]);
    // The other one may have been under way all the time, and cannot have seen this one.
    assert_eq!(ran.warnings(), ["overlapped"], "{ran}");
}

#[test]
fn a_newer_version_that_was_there_before_has_seen_the_new_tag_of_this_run() {
    let registry = versions();
    point(&registry, "latest", "2026.34.101");
    registry.state(|state| announce(state, "2026.34.103"));
    let ran = promote(&registry, ":2026.34.102", []).run();
    assert_eq!(actions(&ran), ["2026.34.102-rc: created", "latest: moved"]);
    assert_eq!(ran.warnings(), Vec::<String>::new(), "{ran}");
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
fn an_image_of_no_version_that_a_tag_was_moved_from_is_not_written_over_when_it_stays() {
    let registry = versions();
    let before = registry.push(APP, "nightly", &image("nightly"));
    registry.push(APP, "latest", &image("nightly"));
    meanwhile(&registry, "PUT", "latest", 1, move |state| state.tag(APP, "latest", &before));
    let ran = promote(&registry, ":2026.34.103", ["--allow-downgrade"]).run();
    assert_eq!(ran.result()["tags"][1]["verified"], false, "{ran}");
    assert_eq!(registry.log().matching("PUT", "/latest"), 1, "{ran}");
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
