//! What registries say about their limits: `rate-limit`, `rateLimit` in results, `--min-remaining`, and a 429 in words.

use crate::stage::{DockerHub, image, push, shown};
use crate::support::cmd::{Ran, tagwright};
use crate::support::image::{Image, Index};
use crate::support::registry::{Registry, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::token::Rights;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A registry that counts the manifests that are read, as Docker Hub does, with so many left of a hundred.
fn counting(left: u64) -> (Registry, Arc<AtomicU64>) {
    let registry = Registry::start();
    let platforms = ["linux/amd64", "linux/arm64", "linux/s390x"];
    let images = platforms.map(|platform| Image::new().platform(platform).label("a", "b").build());
    registry.push("acme/app", "2026.34.102", &image("old"));
    registry.push("acme/app", "2026.34.103", &Index::of(images).build());
    registry.push("acme/app", "latest", &image("old"));
    let budget = Arc::new(AtomicU64::new(left));
    let counted = budget.clone();
    registry.after(move |asked, _, reply| {
        if asked.path.contains("/manifests/") && asked.method == "GET" {
            counted.fetch_sub(1, Ordering::SeqCst);
        }
        let told = reply.clone().header("RateLimit-Limit", "100;w=21600");
        *reply = told
            .header("RateLimit-Remaining", format!("{};w=21600", counted.load(Ordering::SeqCst)))
            .header("Docker-RateLimit-Source", "203.0.113.7");
    });
    (registry, budget)
}

fn text(ran: &Ran, registry: &Registry) -> String {
    shown(ran, &[(&registry.host(), "[registry]")])
}

#[test]
fn a_limit_is_told_without_spending_of_it() {
    let (registry, budget) = counting(76);
    let run = tagwright(["rate-limit", &registry.name("acme/app")]);
    insta::assert_snapshot!(text(&run.run(), &registry));
    assert_eq!((budget.load(Ordering::SeqCst), registry.log().method("GET")), (76, 0));
    let host = registry.host();
    let on = |columns| run.clone().env("TERM", "dumb").on_terminal(columns).text.replace(&host, "[registry]");
    insta::assert_snapshot!("a_limit_on_a_terminal", on(80) + "\n" + &on(120));
    assert_eq!(run.args(["--text", "--quiet"]).run().stdout, "76\n");
}

#[test]
fn a_registry_that_tells_of_no_limit_is_said_to_tell_of_none() {
    let registry = Registry::start();
    for pushed in [false, true] {
        let ran = tagwright(["rate-limit", &registry.name("acme/app")]).run();
        let result = ran.result();
        assert!(
            ["limit", "remaining", "windowSeconds", "countedBy", "resetsAt"].iter().all(|key| result[key].is_null())
        );
        assert!(ran.stderr.ends_with("tells of no limit\n") && result.get("rateLimit").is_none(), "{pushed}: {ran}");
        registry.push("acme/app", "latest", &image("a"));
    }
    registry.before(|_, _| Some(Reply::status(503)));
    assert_eq!(tagwright(["rate-limit", &registry.name("acme/app")]).run().code(), "registry-unavailable");
}

#[test]
fn docker_hub_is_asked_by_a_look_at_its_own_repository_for_that() {
    let docker = DockerHub::start(one_user("robot", "secret").anonymous(Rights::PULL));
    docker.registry.push("ratelimitpreview/test", "latest", &image("a"));
    docker.registry.after(|asked, _, reply| {
        if asked.bearer().is_some() {
            let told =
                reply.clone().header("ratelimit-limit", "100;w=21600").header("ratelimit-remaining", "0;w=21600");
            *reply = told.header("docker-ratelimit-source", "203.0.113.7");
        }
    });
    let result = docker.reach(tagwright(["rate-limit"])).run().result();
    let expected = json!({"registry": "docker.io", "limit": 100, "remaining": 0, "windowSeconds": 21600, "countedBy": "203.0.113.7", "resetsAt": null});
    assert_eq!(result, expected);
    let log = docker.registry.log();
    assert_eq!(
        (log.matching("HEAD", "/v2/ratelimitpreview/test/manifests/latest"), log.matching("GET", "/v2/")),
        (1, 0)
    );
}

#[test]
fn a_limit_that_is_used_up_is_an_answer_and_not_waited_for() {
    let registry = Registry::start();
    registry.before(|_, _| {
        let reply =
            Reply::status(429).header("ratelimit-limit", "100;w=21600").header("ratelimit-remaining", "0;w=21600");
        Some(reply.header("Retry-After", "1800"))
    });
    let result = tagwright(["rate-limit", &registry.name("acme/app")]).run().result();
    assert_eq!((&result["remaining"], result["resetsAt"].is_string()), (&json!(0), true), "{result}");
    assert_eq!(registry.log().count(), 1);
    let error = tagwright(["labels", &registry.name("acme/app:1")]).run().error();
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with("asks to come back later, 0 of 100 in 6 h are left, more come in 1800 s"), "{message}");
}

#[test]
fn every_command_that_has_heard_of_a_limit_tells_it() {
    let (registry, budget) = counting(90);
    let app = registry.name("acme/app");
    let tagged = format!("{app}:2026.34.103");
    for words in [
        vec!["labels", &tagged],
        vec!["inspect", &tagged],
        vec!["find-tag", &app, "--build", "103"],
        vec!["tags", &app],
        vec!["next-version", &app, "--build", "auto"],
        vec!["promote", &tagged, "--dry-run"],
        vec!["promote", &tagged],
        vec!["history", &app],
        vec!["diff", &tagged, &app],
        vec!["auth", &app],
    ] {
        let result = tagwright([]).args(words.iter().copied()).run().result();
        let left = budget.load(Ordering::SeqCst);
        assert_eq!(result["rateLimit"], json!({"limit": 100, "remaining": left, "windowSeconds": 21600}), "{words:?}");
    }
    let silent = Registry::start();
    push(&silent, "acme/app", &["1.0.0"]);
    let result = tagwright(["labels", &silent.name("acme/app:1.0.0")]).run().result();
    assert_eq!(result.get("rateLimit"), None);
}

#[test]
fn no_run_leaves_less_of_a_limit_than_is_to_be_kept() {
    // The index and three images are read.
    for (left, code) in
        [(10, "rate-limited"), (11, "rate-limited"), (12, "rate-limited"), (13, "rate-limited"), (14, "")]
    {
        let (registry, budget) = counting(left);
        let tagged = registry.name("acme/app:2026.34.103");
        let ran = tagwright(["labels", &tagged, "--min-remaining", "10"]).run();
        let left = budget.load(Ordering::SeqCst);
        assert!(left >= 10, "{left}: {ran}");
        if code.is_empty() {
            ran.result();
            assert_eq!(registry.log().matching("HEAD", "/manifests/"), 1, "one look");
            continue;
        }
        let error = ran.error();
        assert_eq!(
            (error["code"].as_str(), ran.exit, &error["changed"]),
            (Some(code), Some(6), &json!(false)),
            "{ran}"
        );
        assert_eq!(error["details"]["limits"]["limit"], 100, "{ran}");
    }
    let (registry, _) = counting(10);
    let ran = tagwright(["labels", &registry.name("acme/app:2026.34.103"), "--min-remaining", "10"]).run();
    insta::assert_snapshot!(text(&ran, &registry));
    assert_eq!(registry.log().count(), 1, "a look, and nothing more");
}

#[test]
fn where_a_look_at_the_limit_fails_nothing_is_spent_of_it() {
    for (reply, code) in [
        (Reply::broken(Fault::Close), "unreachable"),
        (Reply::status(429), "rate-limited"),
        (Reply::status(503), "registry-unavailable"),
    ] {
        let (registry, budget) = counting(10);
        registry.before(move |asked, _| (asked.method == "HEAD").then(|| reply.clone()));
        // A server that is busy says nothing about limits.
        registry.after(|asked, _, reply| {
            if asked.method == "HEAD" {
                reply.headers.retain(|(name, _)| !name.contains("RateLimit"));
            }
        });
        let tagged = registry.name("acme/app:2026.34.103");
        let ran = tagwright(["labels", &tagged, "--min-remaining", "10", "--retries", "0"]).run();
        let left = budget.load(Ordering::SeqCst);
        assert_eq!((ran.code().as_str(), left), (code, 10), "{:#?}", registry.log().lines());
    }
}

#[test]
fn what_was_written_before_a_run_stops_for_a_limit_is_told() {
    let (registry, budget) = counting(50);
    let used = budget.clone();
    registry.before(move |asked, _| {
        // Somebody else uses the rest while this one writes.
        if asked.method == "PUT" {
            used.store(5, Ordering::SeqCst);
        }
        None
    });
    let tagged = registry.name("acme/app:2026.34.103");
    let ran = tagwright(["promote", &tagged, "--move", "latest", "--min-remaining", "10"]).run();
    let error = ran.error();
    assert_eq!((error["code"].as_str(), &error["changed"]), (Some("rate-limited"), &json!(true)), "{ran}");
    assert!(!error["rollback"].as_array().unwrap().is_empty(), "{ran}");
}

#[test]
fn a_limit_is_kept_by_a_number() {
    for value in ["x", "-1", "1.5"] {
        let ran = tagwright(["labels", "a:1", &format!("--min-remaining={value}")]).run();
        assert_eq!(ran.exit, Some(2), "{ran}");
    }
    let request = json!({"command": "labels", "args": {"image": "a:1", "minRemaining": Value::Null}}).to_string();
    let ran = tagwright(["call"]).env("TAGWRIGHT_REQUEST", request).run();
    assert_eq!(ran.json()["error"]["code"], "missing-value");
}
