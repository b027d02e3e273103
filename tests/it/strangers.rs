//! Servers that a registry leads to and that are not the registry: what they ask for is not given, what they refuse is
//! told as theirs.

use crate::stage::image;
use crate::support::cmd::{Tagwright, tagwright};
use crate::support::http::Listener;
use crate::support::registry::{Auth, Options, Registry};
use crate::support::reply::Reply;
use crate::support::text::base64;
use crate::support::token::{Rights, Rules};
use crate::support::uploads::{Blobs, Location};
use serde_json::json;
use std::sync::Arc;

/// How a registry wants to be logged in to, and how somebody who can is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    /// Nobody is asked, and a password is at hand.
    Open,
    Basic,
    Bearer,
    IdentityToken,
}

const LOGINS: [Login; 4] = [Login::Open, Login::Basic, Login::Bearer, Login::IdentityToken];

impl Login {
    fn registry(self, blobs: Blobs) -> Registry {
        let rules = Rules::default().user("robot", "sekret", Rights::PUSH).identity_token("s3kret-id", "robot");
        let auth = match self {
            Login::Open => Auth::None,
            Login::Basic => Auth::Basic("robot".into(), "sekret".into()),
            Login::Bearer | Login::IdentityToken => Auth::Bearer(rules),
        };
        let registry = Registry::with(Options { auth, blobs, ..Options::default() });
        registry.push("acme/app", "1", &image("abc"));
        registry
    }

    fn run(self, registry: &Registry, words: &[&str]) -> Tagwright {
        let run = tagwright([]).args(words.to_vec()).args(["--retries", "0"]);
        match self {
            Login::IdentityToken => {
                let config = json!({"auths": {registry.host(): {"identitytoken": "s3kret-id"}}});
                run.env("DOCKER_AUTH_CONFIG", config.to_string())
            }
            _ => run.login("robot", "sekret"),
        }
    }
}

/// A server that asks everybody for a credential, by each way that there is, and gives nothing.
fn stranger(status: u16, realm: Option<String>) -> Listener {
    let own: std::sync::Arc<std::sync::OnceLock<String>> = std::sync::Arc::default();
    let listener = Listener::start({
        let own = own.clone();
        move |asked| {
            if asked.path == "/token" {
                return Reply::json(&json!({"token": "bait"}));
            }
            let realm = realm.as_ref().or(own.get()).cloned().unwrap_or_default();
            Reply::with(status, "application/json", r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#)
                .header("WWW-Authenticate", r#"Basic realm="the store""#)
                .header("WWW-Authenticate", format!(r#"Bearer realm="{realm}",service="bait""#))
        }
    });
    let _ = own.set(format!("{}/token", listener.url()));
    listener
}

/// The stranger got one question, no secret, and its challenge has led to no other question anywhere.
fn check_nothing_was_given(what: &str, login: Login, registry: &Registry, store: &Listener, most: usize) {
    let log = store.log();
    assert!((1..=most).contains(&log.count()), "{what}: {:?}", log.lines());
    for secret in ["sekret", "s3kret-id", &base64(b"robot:sekret")] {
        assert!(!log.mentions(secret), "{what}: {log:?}");
    }
    for one in &log.0 {
        assert!(one.asked.header("Authorization").is_none() && one.asked.path != "/token", "{what}: {:?}", one.asked);
    }
    if login == Login::Open {
        let open = registry.log().0.iter().all(|one| one.asked.header("Authorization").is_none());
        assert!(open, "{what}: the challenge of another server was kept");
    }
    if registry.has_tokens() {
        let tokens = registry.tokens().log();
        assert!(tokens.0.iter().all(|one| one.asked.query("service") != Some("bait")), "{what}: {tokens:?}");
    }
}

#[test]
fn who_stands_behind_a_redirect_gets_no_credential_and_is_named_as_the_one_who_refused() {
    for login in LOGINS {
        for (status, own_realm) in [(401, true), (401, false), (403, true)] {
            for (what, method, part) in [
                ("a small blob", "GET", "/blobs/"),
                ("a look", "HEAD", "/manifests/new"),
                ("a stream", "GET", "/blobs/"),
            ] {
                let what = &format!("{login:?} {status} {own_realm} {what}");
                let registry = login.registry(Blobs::default());
                let realm =
                    (!own_realm && registry.has_tokens()).then(|| format!("http://{}/token", registry.tokens().host()));
                let store = stranger(status, realm);
                let location = format!("{}/bucket/it", store.url());
                registry.after(move |asked, _, reply| {
                    // A refused look is asked again with `GET`, which is led to the same place.
                    let is_asked = asked.method == method || method == "HEAD";
                    if is_asked && asked.path.contains(part) && reply.status != 401 {
                        *reply = Reply::redirect(307, &location);
                    }
                });
                let target = Registry::start();
                let (from, into) = (registry.name("acme/app:1"), target.name("to/app"));
                let ran = match (method, what.ends_with("stream")) {
                    ("HEAD", _) => login.run(&registry, &["promote", &from, "--to", "new"]).run(),
                    (_, true) => login.run(&registry, &["promote", &from, "--into", &into, "--to", "x"]).run(),
                    _ => login.run(&registry, &["labels", &from]).run(),
                };
                let (error, host) = (ran.error(), store.host());
                assert_eq!(error["code"], "denied", "{what} {ran}");
                assert!(error["message"].as_str().unwrap().contains(&format!("`{host}`")), "{what} {ran}");
                assert!(error["http"]["url"].as_str().unwrap().contains(&host), "{what} {ran}");
                assert_eq!(error["http"]["status"], status, "{what} {ran}");
                // A stream of several blobs has several questions under way.
                check_nothing_was_given(what, login, &registry, &store, 4);
            }
        }
    }
}

#[test]
fn who_an_upload_is_sent_to_gets_no_credential_and_is_named_as_the_one_who_refused() {
    for login in [Login::Basic, Login::Bearer, Login::IdentityToken] {
        for status in [401, 403] {
            let what = &format!("{login:?} {status}");
            let source = Registry::start();
            source.push("from/app", "1", &image("abc"));
            let registry = login.registry(Blobs { location: Location::Path, ..Blobs::default() });
            let store = stranger(status, None);
            let location = format!("{}/bucket/upload", store.url());
            registry.after(move |asked, _, reply| {
                if asked.method == "POST" && reply.status == 202 {
                    *reply = Reply::status(202).header("Location", &location);
                }
            });
            let (from, into) = (source.name("from/app:1"), registry.name("to/app"));
            let run = tagwright(["promote", &from, "--into", &into, "--to", "x", "--jobs", "1", "--retries", "0"]);
            let run = match login {
                Login::IdentityToken => {
                    let config = json!({"auths": {registry.host(): {"identitytoken": "s3kret-id"}}});
                    run.env("DOCKER_AUTH_CONFIG", config.to_string())
                }
                _ => run.env("INTO_REGISTRY_USERNAME", "robot").env("INTO_REGISTRY_PASSWORD", "sekret"),
            };
            let ran = run.run();
            let (error, host) = (ran.error(), store.host());
            assert_eq!(error["code"], "denied", "{what} {ran}");
            assert!(error["message"].as_str().unwrap().contains(&format!("`{host}`")), "{what} {ran}");
            // The upload that was begun is given up there as well.
            check_nothing_was_given(what, login, &registry, &store, 2);
        }
    }
}

#[test]
fn an_entrance_that_leads_elsewhere_asks_for_no_credential() {
    let registry = Login::Open.registry(Blobs::default());
    let store = stranger(401, None);
    let there = format!("{}/v2/", store.url());
    registry.before(move |asked, _| {
        Some(if asked.path == "/v2/" {
            Reply::redirect(307, &there)
        } else {
            Reply::error(403, "DENIED", "not for you")
        })
    });
    let ran = Login::Open.run(&registry, &["labels", &registry.name("acme/app:1")]).run();
    assert_eq!(ran.code(), "denied", "{ran}");
    check_nothing_was_given("the entrance", Login::Open, &registry, &store, 1);
}

#[test]
fn a_store_that_asks_who_is_there_is_no_registry_whose_404_proves_absence() {
    let registry = Login::Open.registry(Blobs::default());
    let store = Arc::new(Listener::start(|asked| Reply::status(if asked.path == "/v2/" { 401 } else { 404 })));
    let behind = store.clone();
    let before = registry.push("acme/app", "latest", &image("older"));
    registry.before(move |asked, _| {
        // What is not there is asked for at the entrance, which leads to the store; a later look leads there too.
        let leads = asked.path == "/v2/" || asked.path.ends_with("/latest") && behind.log().count() > 0;
        leads.then(|| Reply::redirect(307, &format!("{}{}", behind.url(), asked.path)))
    });
    let words = ["promote", &registry.name("acme/app:1"), "--to", "new", "--move", "latest", "--allow-downgrade"];
    let ran = Login::Open.run(&registry, &words).run();
    assert_eq!(
        (ran.code().as_str(), registry.resolve("acme/app", "latest")),
        ("reply-malformed", Some(before)),
        "{ran}"
    );
    assert_eq!(store.log().lines().first().map(String::as_str), Some("GET /v2/ -> 401"));
}
