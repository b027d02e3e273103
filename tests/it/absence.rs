//! What proves that something is not there, and what does not: by registries, routers and proxies that say it differently.

use crate::stage::{image, push};
use crate::support::cmd::tagwright;
use crate::support::image::two_platforms;
use crate::support::registry::{Registry, one_user};
use crate::support::reply::Reply;
use serde_json::json;
use std::sync::{Arc, Condvar, Mutex};

/// Replies that say 404 and prove nothing, each with its name.
fn empty_words() -> Vec<(&'static str, Reply)> {
    vec![
        ("a router", Reply::with(404, "text/plain; charset=utf-8", "404 page not found\n")),
        ("an empty 404", Reply::status(404)),
        ("other JSON", Reply::with(404, "application/json", json!({"error": "not found"}).to_string())),
        ("a web page", Reply::with(404, "text/html", "<h1>Not Found</h1>")),
        ("unsupported", Reply::error(404, "UNSUPPORTED", "tag lists are switched off")),
    ]
}

#[test]
fn a_404_that_is_not_the_registrys_own_word_is_never_absence() {
    for (who, reply) in empty_words() {
        let registry = Registry::start();
        push(&registry, "acme/app", &["2026.34.101", "2026.34.102"]);
        let (answer, app) = (reply.clone(), registry.name("acme/app"));
        registry.before(move |asked, _| asked.path.contains("/acme/").then(|| answer.clone()));
        let image = format!("{app}:2026.34.102");
        for words in [
            vec!["next-version", &app, "--build", "103"],
            vec!["find-tag", &app, "--build", "102"],
            vec!["promote", &image],
            vec!["labels", &image],
            vec!["tags", &app],
        ] {
            let ran = tagwright(["--retries", "0"]).args(words.iter().copied()).run();
            let error = ran.error();
            let code = error["code"].as_str().unwrap();
            assert!(matches!(code, "reply-malformed" | "denied"), "{who}: {ran}");
            assert!(error["hint"].is_string() && error["causes"][0].as_str().unwrap().contains("404"), "{who}: {ran}");
        }
    }
}

#[test]
fn tag_lists_that_are_switched_off_do_not_start_the_versions_anew() {
    for status in [400, 404, 405] {
        let registry = Registry::start();
        push(&registry, "acme/app", &["2026.34.101"]);
        registry.before(move |asked, _| {
            asked.path.ends_with("/tags/list").then(|| Reply::error(status, "UNSUPPORTED", "switched off"))
        });
        let app = registry.name("acme/app");
        let ran = tagwright(["next-version", &app, "--build", "7"]).run();
        assert_eq!(ran.error()["code"], "denied", "{ran}");
        // What has to be compared cannot be, and says so.
        let ran = tagwright(["promote", &format!("{app}:2026.34.101"), "--to", "kept"]).run();
        assert_eq!(ran.result()["tags"][0]["action"], "created", "{ran}");
    }
}

#[test]
fn a_repository_that_has_answered_is_not_absent_whatever_its_list_says() {
    // All is asked at once, and the list may be the first to be answered or the last.
    for list_is_first in [true, false] {
        let registry = Registry::start();
        push(&registry, "acme/app", &["2026.34.101", "2026.34.102", "latest"]);
        let asked_for = Arc::new((Mutex::new((false, 0)), Condvar::new()));
        registry.gate(move |asked| {
            let (seen, change) = (&asked_for.0, &asked_for.1);
            let is_list = asked.path.ends_with("/tags/list");
            let mut seen = seen.lock().unwrap();
            if is_list {
                seen.0 = true
            } else {
                seen.1 += 1
            }
            change.notify_all();
            drop(change.wait_while(seen, |seen| {
                if is_list { !list_is_first && seen.1 < 2 } else { list_is_first && !seen.0 }
            }));
        });
        registry.before(|asked, _| {
            asked.path.ends_with("/tags/list").then(|| Reply::error(404, "NAME_UNKNOWN", "repository name not known"))
        });
        let ran = tagwright(["promote", &registry.name("acme/app:2026.34.101"), "--move", "latest"]).run();
        assert_eq!(ran.error()["code"], "reply-malformed", "{ran}");
        assert_eq!(ran.error()["changed"], false, "{ran}");
    }
}

#[test]
fn a_repository_that_has_answered_is_not_absent_whatever_is_said_of_one_manifest() {
    let registry = Registry::start();
    let index = registry.push("acme/app", "1", &two_platforms("abc", "one"));
    registry.before(move |asked, _| {
        let is_child = asked.path.contains("/manifests/sha256:") && !asked.path.ends_with(&index);
        is_child.then(|| Reply::error(404, "NAME_UNKNOWN", "repository name not known"))
    });
    let ran = tagwright(["labels", &registry.name("acme/app:1")]).run();
    assert_eq!(ran.error()["code"], "blob-missing", "{ran}");
    // Without any other answer, the word of the registry counts.
    let ran = tagwright(["labels", &registry.name(&format!("acme/app@sha256:{}", "0".repeat(64)))]).run();
    assert_eq!(ran.error()["code"], "repository-unknown", "{ran}");
}

#[test]
fn who_never_says_to_be_a_registry_is_known_for_one_by_its_answers() {
    // No header of registries, and nothing in a 404: to `HEAD` it has no body anyway.
    let registry = Registry::start();
    registry.before(|asked, _| {
        Some(match asked.path.as_str() {
            "/v2/acme/app/tags/list" => {
                Reply::json(&json!({"name": "acme/app", "tags": ["2026.34.1", "2026.34.1-rc"]}))
            }
            "/v2/acme/app/manifests/2026.34.1" => {
                Reply::status(200).header("Docker-Content-Digest", image("abc").digest())
            }
            _ => Reply::status(404),
        })
    });
    let ran = tagwright(["find-tag", &registry.name("acme/app"), "--build", "1"]).run();
    assert_eq!((&ran.result()["tag"], &ran.result()["alternatives"]), (&json!("2026.34.1"), &json!([])), "{ran}");
    // Where nothing else has come yet, its entrance is an answer: an open one, and one that asks who is there.
    for (entrance, is_registry) in [(200, true), (401, true), (404, false)] {
        let (source, target) = (Registry::start(), Registry::start());
        push(&source, "acme/app", &["2026.34.1"]);
        target.before(move |asked, _| Some(Reply::status(if asked.path == "/v2/" { entrance } else { 404 })));
        let words = ["promote", &source.name("acme/app:2026.34.1"), "--into", &target.name("to/app"), "--to", "new"];
        let run = tagwright(words).arg("--dry-run").env("INTO_REGISTRY_USERNAME", "robot");
        let ran = run.env("INTO_REGISTRY_PASSWORD", "secret").run();
        if is_registry {
            assert_eq!(ran.result()["tags"][0]["action"], "created", "{ran} {:#?}", target.log().lines());
        } else {
            assert_eq!(ran.code(), "reply-malformed", "{ran} {:#?}", target.log().lines());
        }
    }
}

#[test]
fn what_is_hidden_from_whoever_has_not_logged_in_is_asked_for_again() {
    for (status, by_tokens) in [(403, false), (404, false), (403, true), (404, true)] {
        for hides_list in [false, true] {
            let registry = match by_tokens {
                true => Registry::bearer(one_user("robot", "secret")),
                false => Registry::basic("robot", "secret"),
            };
            push(&registry, "acme/app", &["2026.34.101"]);
            let code = if status == 403 { "DENIED" } else { "NAME_UNKNOWN" };
            registry.before(move |asked, _| {
                let is_known = asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
                let is_hidden = asked.path.contains("/acme/") && !is_known;
                is_hidden.then(|| Reply::error(status, code, "no such thing for you"))
            });
            let app = registry.name("acme/app");
            let words = match hides_list {
                true => vec!["next-version", &app, "--build", "102", "--at", "2026-08-20"],
                false => vec!["promote", &app, "--build", "101"],
            };
            let ran = tagwright([]).args(words.iter().copied()).login("robot", "secret").run();
            assert_eq!(ran.exit, Some(0), "{status}: {ran}");
            if hides_list {
                assert_eq!(ran.result()["version"], "2026.34.102", "{ran}");
            }
            // Without a credential, the registry's word stands.
            let ran = tagwright([]).args(words.iter().copied()).run();
            match (status, hides_list) {
                (404, true) => assert_eq!(ran.result()["previous"], serde_json::Value::Null, "{ran}"),
                _ => assert_ne!(ran.exit, Some(0), "{ran}"),
            }
            assert!(
                registry.log().0.iter().filter(|one| one.asked.path == "/v2/").count() <= 1,
                "asked more than once"
            );
        }
    }
}

#[test]
fn a_401_without_a_word_on_how_to_log_in_is_followed_by_a_look_at_the_entrance() {
    let registry = Registry::basic("robot", "secret");
    push(&registry, "acme/app", &["2026.34.101"]);
    registry.after(|asked, _, reply| {
        if reply.status == 401 && asked.path != "/v2/" {
            *reply = Reply::error(401, "UNAUTHORIZED", "authentication required");
        }
    });
    let image = registry.name("acme/app:2026.34.101");
    let ran = tagwright(["labels", &image]).login("robot", "secret").run();
    assert_eq!(ran.exit, Some(0), "{ran}");
    assert_eq!(tagwright(["labels", &image]).login("robot", "wrong").run().error()["code"], "unauthenticated");
}
