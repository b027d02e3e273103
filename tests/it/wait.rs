//! `--wait`: a source that is not there yet is asked for again.

use crate::stage::{image, push};
use crate::support::cmd::{Tagwright, tagwright};
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const TAG: &str = "2026.34.103";

/// A registry whose next tag is pushed once it has been asked for what is not there so often.
fn about_to_be_pushed(after: usize) -> Registry {
    let registry = Registry::start();
    push(&registry, "acme/app", &["2026.34.102"]);
    let asked_for = AtomicUsize::new(0);
    registry.before(move |asked, state| {
        let is_source = asked.path.ends_with(TAG) || asked.path.ends_with("/tags/list");
        if is_source && asked_for.fetch_add(1, Ordering::SeqCst) == after {
            let digest = state.store("acme/app", &image(TAG));
            state.tag("acme/app", TAG, &digest);
        }
        None
    });
    registry
}

/// The ways to name a source that is not there yet.
fn commands(registry: &Registry) -> [Tagwright; 5] {
    let app = registry.name("acme/app");
    let tagged = format!("{app}:{TAG}");
    [
        tagwright(["labels", &tagged]),
        tagwright(["inspect", &tagged]),
        tagwright(["find-tag", &app, "--build", "103"]),
        tagwright(["promote", &tagged, "--move", "latest"]),
        tagwright(["promote", &app, "--build", "103", "--move", "latest", "--timeout", "1"]),
    ]
}

#[test]
fn what_is_not_there_yet_is_asked_for_again() {
    for n in 0..5 {
        // `inspect` asks for the list and for the image.
        let registry = about_to_be_pushed(if n == 1 { 2 } else { 1 });
        let run = &commands(&registry)[n];
        let ran = run.clone().args(["--wait", "20"]).run();
        let app = registry.name("acme/app");
        let sought = if n % 2 == 0 && n > 0 { format!("build 103 of `{app}`") } else { format!("`{app}:{TAG}`") };
        assert!(ran.stderr.starts_with(&format!("waiting for {sought}")), "{ran}");
        ran.result();
        let quiet = about_to_be_pushed(2);
        let ran = commands(&quiet)[n].clone().args(["--wait", "20", "--quiet"]).run();
        assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""), "{ran}");
    }
}

#[test]
fn a_step_says_in_its_log_what_is_waited_for() {
    let registry = about_to_be_pushed(1);
    let request =
        json!({"command": "find-tag", "args": {"repository": registry.name("acme/app"), "build": 103, "wait": 20}});
    let ran = tagwright(["call"]).env("TAGWRIGHT_REQUEST", request.to_string()).run();
    assert_eq!(ran.result()["tag"], TAG);
    let said = ran.stderr.replace(&registry.host(), "[registry]");
    assert_eq!(said.lines().nth(1), Some("waiting for build 103 of `[registry]/acme/app`, 20 s at most"), "{said}");
}

#[test]
fn a_terminal_shows_what_is_waited_for() {
    let registry = about_to_be_pushed(1);
    let shown = commands(&registry)[2].clone().args(["--wait", "20"]).env("TERM", "dumb").on_terminal(80).text;
    let first = shown.lines().next().unwrap();
    assert_eq!(first, format!("waiting for build 103 of `{}`, 20 s at most", registry.name("acme/app")));
    assert!(first.chars().count() <= 80 && shown.contains(TAG), "{shown}");
}

#[test]
fn when_the_time_is_over_the_last_answer_is_told_with_how_long_was_waited() {
    let registry = about_to_be_pushed(usize::MAX);
    for (run, code) in commands(&registry).iter().zip([
        "tag-unknown",
        "tag-unknown",
        "no-tag-for-build",
        "tag-unknown",
        "no-tag-for-build",
    ]) {
        let ran = run.clone().args(["--wait", "1.2"]).run();
        assert_eq!(ran.code(), code, "{ran}");
        let causes = ran.json()["error"]["causes"].clone();
        assert_eq!(causes.as_array().unwrap().last().unwrap(), "waited 1 s for it", "{ran}");
    }
    // One look at once, one after a second, one when the time is over.
    registry.clear();
    commands(&registry)[0].clone().args(["--wait", "1.9"]).run();
    assert_eq!(registry.log().matching("GET", "/manifests/"), 3);
    // What would be asked after that is not connected for.
    let registry = about_to_be_pushed(usize::MAX);
    commands(&registry)[4].clone().args(["--wait", "0.1"]).run();
    assert_eq!(registry.connections(), 1);
}

#[test]
fn nobody_waits_after_a_refusal_or_an_error() {
    for (status, code) in
        [(401, "unauthenticated"), (403, "denied"), (503, "registry-unavailable"), (404, "reply-malformed")]
    {
        let registry = about_to_be_pushed(usize::MAX);
        let looks = Arc::new(AtomicUsize::new(0));
        let counted = looks.clone();
        registry.before(move |asked, _| {
            let is_source = asked.path.ends_with(TAG) || asked.path.ends_with("/tags/list");
            is_source.then(|| {
                counted.fetch_add(1, Ordering::SeqCst);
                Reply::status(status).header("WWW-Authenticate", "Basic realm=\"x\"")
            })
        });
        for run in [&commands(&registry)[0], &commands(&registry)[2], &commands(&registry)[3]] {
            looks.store(0, Ordering::SeqCst);
            let ran = run
                .clone()
                .args(["--wait", "20", "--retries", "0"])
                .env("REGISTRY_USERNAME", "a")
                .env("REGISTRY_PASSWORD", "b")
                .run();
            assert_eq!(ran.code(), code, "{ran}");
            assert!(!ran.stderr.contains("waiting for"), "{ran}");
        }
    }
}

#[test]
fn a_refusal_ends_the_waiting_and_is_told_as_nothing_else() {
    let registry = about_to_be_pushed(usize::MAX);
    let mut looks = 0;
    registry.before(move |asked, _| {
        looks += usize::from(asked.path.ends_with(TAG));
        (looks > 1).then(|| Reply::error(403, "DENIED", "not on Fridays"))
    });
    let ran = commands(&registry)[0].clone().args(["--wait", "20"]).run();
    assert_eq!(ran.code(), "denied", "{ran}");
    assert!(ran.stderr.starts_with("waiting for") && !ran.stderr.contains("waited"), "{ran}");
}

#[test]
fn a_promotion_does_not_wait_for_its_target() {
    let registry = Registry::start();
    push(&registry, "acme/app", &[TAG]);
    registry.before(|asked, _| {
        let is_target = asked.path.contains("/prod/");
        is_target.then(|| Reply::error(404, "NAME_UNKNOWN", "no such repository"))
    });
    let (app, into) = (registry.name("acme/app"), registry.name("acme/prod/app"));
    let ran = tagwright(["promote", &format!("{app}:{TAG}"), "--into", &into, "--to", "x", "--wait", "20"]).run();
    assert!(ran.exit != Some(0) && !ran.stderr.contains("waiting for"), "{ran}");
}
