//! A bug that ends a run, or its limit while it computes: the document that every failure has, exit status 70, and what was written until then.

use crate::stage::push;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Instant;
use tagwright::{Ending, World};

/// Where a run in a process of its own finds its registry.
const REGISTRY: &str = "TAGWRIGHT_TEST_REGISTRY";

/// A world with a bug in it, which strikes as soon as anything waits.
fn broken_world() -> World {
    World {
        environment: BTreeMap::new(),
        log: Box::new(|_| ()),
        stdin: Box::new(|_| Ok(Vec::new())),
        status: None,
        hidden: Default::default(),
        sleep: Box::new(|_| panic!("planted\nfor this test")),
        started: Instant::now(),
    }
}

/// A registry that takes the first tag and has no time for the second one.
fn registry() -> Registry {
    let registry = Registry::start();
    push(&registry, "acme/app", &["2026.34.102", "2026.34.103"]);
    registry.state(|state| {
        let digest = state.resolve("acme/app", "2026.34.102").unwrap();
        state.tag("acme/app", "stable", &digest);
    });
    registry.fail(1, "PUT", "/manifests/latest", Reply::status(503));
    registry
}

fn promote(host: &str, world: World) -> Ending {
    let source = format!("{host}/acme/app:2026.34.103");
    let words = ["promote", &source, "--to", "kept", "--move", "stable", "--move", "latest", "--timeout", "3"];
    tagwright::run(&words.map(OsString::from), &world, None)
}

fn end(ending: &Ending) {
    let _ = std::io::stdout().lock().write_all(&[b"\n", &*ending.stdout].concat());
    std::process::exit(i32::from(ending.exit));
}

#[test]
fn a_bug_that_is_planted_strikes_in_the_middle_of_a_promotion() {
    match std::env::var(REGISTRY) {
        // The other test looks at how this process ends.
        Ok(host) => {
            tagwright::at_panic(end);
            promote(&host, broken_world());
        }
        Err(_) => {
            let registry = registry();
            assert!(catch_unwind(AssertUnwindSafe(|| promote(&registry.host(), broken_world()))).is_err());
            assert!(registry.resolve("acme/app", "kept").is_some() && registry.resolve("acme/app", "latest").is_none());
        }
    }
}

/// A run in a process of its own, by the name of its test: the exit status, and the document it has ended with.
fn run_alone(test: &str, registry: &Registry) -> (Option<i32>, Value) {
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(REGISTRY, registry.host())
        .output()
        .unwrap();
    let stdout = String::from_utf8(ran.stdout).unwrap();
    let line = stdout.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{stdout}"));
    (ran.status.code(), serde_json::from_str(line).unwrap())
}

#[test]
fn a_promotion_that_computes_without_end_is_over_all_the_same() {
    // The other test looks at how this process ends.
    let Ok(host) = std::env::var(REGISTRY) else { return };
    tagwright::at_panic(end);
    promote(&host, World { sleep: Box::new(|_| loop_for_ever()), ..broken_world() });
}

fn loop_for_ever() {
    loop {
        std::hint::spin_loop();
    }
}

#[test]
fn a_run_that_computes_beyond_its_limit_is_ended_and_tells_what_it_wrote() {
    let registry = registry();
    let (exit, document) = run_alone("bugs::a_promotion_that_computes_without_end_is_over_all_the_same", &registry);
    let error = &document["error"];
    assert_eq!((exit, &error["code"], &error["changed"]), (Some(6), &"timeout".into(), &true.into()), "{error}");
    assert_eq!(error["message"], "the time limit was reached while answers were worked through");
    assert_eq!(error["done"].as_array().map(Vec::len), Some(3), "{error}");
}

#[test]
fn a_run_that_a_bug_ends_tells_what_it_wrote() {
    let registry = registry();
    let (exit, document) = run_alone("bugs::a_bug_that_is_planted_strikes_in_the_middle_of_a_promotion", &registry);
    assert_eq!(exit, Some(70), "{document}");
    let error = &document["error"];
    assert_eq!((&error["code"], &error["exit"], &error["changed"]), (&"internal".into(), &70.into(), &true.into()));
    assert_eq!(document["command"], "promote");
    let cause = error["causes"][0].as_str().unwrap();
    assert!(cause.contains("tests/it/bugs.rs") && cause.contains("planted for this test"), "{cause}");
    let app = format!("{}/acme/app", registry.host());
    // Whether the answer about the tag beside it had come by then is left to chance.
    let unknown = "not known whether it was written";
    let done = |stable: &str| {
        let tags = [("kept", "created"), ("stable", stable), ("latest", unknown)];
        Value::from(tags.map(|(tag, is)| format!("{app}:{tag} ({is})")).to_vec())
    };
    assert!([done("moved"), done(unknown)].contains(&error["done"]), "{error}");
    assert_eq!(error["rollback"].as_array().map(Vec::len), Some(1), "{error}");
    assert!(error["exchanges"].as_array().is_some_and(|list| list.len() > 3), "{error}");
}

#[test]
fn the_program_has_the_last_word_about_a_bug() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/main.rs")).unwrap();
    assert!(text.contains("tagwright::at_panic("), "nobody has the last word");
}
