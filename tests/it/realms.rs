//! Token servers that break, realms that a credential must not go to, and redirects that are not followed.

use crate::faults::{Texts, once, versions};
use crate::stage::{DockerHub, image, push};
use crate::support::http::Listener;
use crate::support::hub::{Hub, Options as HubOptions, Source};
use crate::support::image::two_platforms;
use crate::support::registry::{Auth, Options, Registry, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::tls::Authority;
use crate::support::token::{Rights, Rules};
use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn credentials_that_have_run_out() {
    let registry = Registry::bearer(one_user("robot", "secret"));
    push(&registry, "acme/app", &["1"]);
    registry.tokens().hook(|_| Some(Reply::with(401, "application/json", r#"{"details":"the token has expired"}"#)));
    let mut texts = Texts::default();
    let ran = once(["labels", &registry.name("acme/app:1")]).login("robot", "secret").run();
    texts.check(&ran, "token-expired", "127.0.0.1", Some(&registry));
    insta::assert_snapshot!(texts.0);
}

#[test]
fn a_token_that_runs_out_meanwhile_is_fetched_again() {
    let registry = Registry::bearer(one_user("robot", "secret"));
    push(&registry, "acme/app", &["2026.34.1"]);
    let desk = registry.tokens().desk();
    let mut armed = true;
    registry.before(move |asked, _| {
        if armed && asked.method == "PUT" {
            armed = false;
            desk.revoke();
        }
        None
    });
    let ran = once(["promote", &registry.name("acme/app:2026.34.1")]).login("robot", "secret").run();
    ran.result();
    assert_eq!(registry.log().matching("GET", "/token"), 2);
}

#[test]
fn questions_that_are_refused_side_by_side_take_one_token_together() {
    let registry = Registry::bearer(one_user("robot", "secret"));
    registry.push("acme/app", "1", &two_platforms("abc", "one"));
    let (desk, both, seen) = (registry.tokens().desk(), Barrier::new(2), AtomicUsize::new(0));
    registry.gate(move |asked| {
        if asked.path.contains("/manifests/sha256:") && seen.fetch_add(1, Ordering::SeqCst) < 2 {
            if both.wait().is_leader() {
                desk.revoke();
            }
            both.wait();
        }
    });
    once(["labels", &registry.name("acme/app:1")]).login("robot", "secret").run().result();
    assert_eq!(registry.log().matching("GET", "/token"), 2, "{:#?}", registry.log().lines());
}

#[test]
fn token_servers_that_break() {
    let mut texts = Texts::default();
    let json = |body: &str| Reply::with(200, "application/json", body);
    for (name, reply, code) in [
        ("HTML", Reply::with(200, "text/html", "<html>Sign in</html>"), "reply-malformed"),
        ("empty", Reply::status(200), "reply-malformed"),
        ("no token", json("{}"), "reply-malformed"),
        ("truncated", json("{\"token\":\"a\"}").fault(Fault::CloseAfter(5)), "reply-malformed"),
        ("endless", json("").fault(Fault::Endless), "size-exceeded"),
        ("missing", Reply::status(404), "reply-malformed"),
        ("down", Reply::status(503), "registry-unavailable"),
        ("silent", Reply::broken(Fault::Hang), "timeout"),
        ("redirecting", Reply::redirect(302, "http://169.254.169.254/"), "redirect-refused"),
    ] {
        let registry = Registry::bearer(one_user("robot", "secret"));
        push(&registry, "acme/app", &["2026.34.101"]);
        registry.tokens().hook(move |_| Some(reply.clone()));
        texts.0.push_str(&format!("# {name}\n"));
        for command in ["labels", "promote"] {
            let run =
                once([command, &registry.name("acme/app:2026.34.101"), "--timeout", "2"]).login("robot", "secret");
            let ran = run.limit(Duration::from_secs(20)).run();
            let mut ignored = Texts::default();
            let shown = if command == "labels" { &mut texts } else { &mut ignored };
            shown.check(&ran, code, "127.0.0.1", Some(&registry));
        }
    }
    insta::assert_snapshot!(texts.0);
}

#[test]
fn docker_hubs_web_api_that_breaks_and_may_not_be_passed_by() {
    let mut texts = Texts::default();
    let json = |status: u16, body: &str| Reply::with(status, "application/json", body);
    let (login, list) = ("/auth/token", "/tags");
    let itself = "/v2/namespaces/acme/repositories/app/tags?page=1&page_size=100";
    let itself = serde_json::json!({"count": 200, "next": itself, "results": []}).to_string();
    for (name, part, reply, code) in [
        ("wrong password", login, json(401, r#"{"detail":"Incorrect authentication credentials"}"#), "unauthenticated"),
        ("login is HTML", login, Reply::with(200, "text/html", "<html>"), "reply-malformed"),
        ("denied", list, json(403, r#"{"message":"access denied","errinfo":{}}"#), "denied"),
        ("missing", list, json(404, r#"{"message":"object not found","errinfo":{}}"#), "repository-unknown"),
        ("HTML", list, Reply::with(200, "text/html", "<html>"), "reply-malformed"),
        ("no results", list, json(200, "{}"), "reply-malformed"),
        ("limited", list, Reply::with(429, "text/plain", "Too many requests"), "rate-limited"),
        ("down", list, Reply::status(502), "registry-unavailable"),
        ("its own successor", list, json(200, &itself), "reply-malformed"),
    ] {
        let hub = Hub::start(Source::List(HashMap::new()), HubOptions::default().user("robot", "pat"));
        hub.hook(move |asked| asked.path.ends_with(part).then(|| reply.clone()));
        let run = once(["tags", "acme/app", "--via", "hub-api", "--hub-api", &hub.url()]).login("robot", "pat");
        texts.0.push_str(&format!("# {name}\n"));
        texts.check(&run.run(), code, "", None);
        texts.0 = texts.0.replace(hub.url().trim_start_matches("http://"), "[hub]");
        assert!(hub.log().0.iter().all(|one| one.asked.method == "GET" || one.asked.path == "/v2/auth/token"));
    }
    insta::assert_snapshot!(texts.0);
}

#[test]
fn realms_that_a_credential_must_not_go_to() {
    let authority = Authority::for_names(&["registry.example", "registry-1.docker.io", "auth.docker.io"]);
    let trap = Listener::start(|_| Reply::status(200));
    let mut texts = Texts::default();
    for realm in [
        "http://auth.example/token".to_owned(),
        format!("https://127.0.0.1:{}/token", trap.port()),
        format!("https://localhost:{}/token", trap.port()),
        "https://10.0.0.1/token".to_owned(),
        "https://[fd00::1]/token".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://2130706433/token".to_owned(),
        "ftp://auth.example/token".to_owned(),
        String::new(),
    ] {
        let registry = Registry::with(Options {
            auth: Auth::Bearer(one_user("robot", "secret")),
            tls: Some(authority.server()),
            realm: Some(realm.clone()),
            ..Options::default()
        });
        push(&registry, "acme/app", &["1"]);
        let host = format!("registry.example:{}", registry.port());
        for login in [true, false] {
            let mut run = once(["labels", &format!("{host}/acme/app:1"), "--resolve", &format!("{host}:127.0.0.1")]);
            if login {
                run = run.login("robot", "secret");
            }
            let ran = run.arg("--ca-file").arg(authority.ca_file()).run();
            let code = if realm.is_empty() { "unauthenticated" } else { "realm-refused" };
            let mut ignored = Texts::default();
            let shown = if login { &mut texts } else { &mut ignored };
            shown.check(&ran, code, "registry.example", Some(&registry));
            assert_eq!(registry.tokens().log().count(), 0, "{ran}");
        }
        texts.0 = texts.0.replace(&host, "[registry]");
        let folder = authority.ca_file().display().to_string();
        texts.0 = texts.0.replace(&folder, "[ca]").replace(&trap.port().to_string(), "[port]");
    }
    assert_eq!(trap.connections(), 0);
    insta::assert_snapshot!(texts.0);
}

#[test]
fn a_registry_on_loopback_may_name_a_realm_on_loopback_and_never_a_link_local_one() {
    let registry = Registry::with(Options {
        auth: Auth::Bearer(one_user("robot", "secret")),
        realm: Some("http://169.254.169.254/token".to_owned()),
        ..Options::default()
    });
    push(&registry, "acme/app", &["1"]);
    let ran = once(["labels", &registry.name("acme/app:1")]).login("robot", "secret").run();
    assert_eq!(ran.code(), "realm-refused");
    let sound = Registry::bearer(one_user("robot", "secret"));
    push(&sound, "acme/app", &["1"]);
    once(["labels", &sound.name("acme/app:1")]).login("robot", "secret").run().result();
}

#[test]
fn redirects_that_lead_nowhere() {
    let mut texts = Texts::default();
    let other = Listener::start(|_| Reply::status(200));
    let elsewhere = format!("{}/stolen", other.url());
    for (name, location) in [
        ("in a circle", None),
        ("to a metadata service", Some("http://169.254.169.254/latest/meta-data/".to_owned())),
        ("without a place", Some(String::new())),
        ("to another scheme", Some("ftp://files.example/blob".to_owned())),
    ] {
        let registry = versions();
        registry.before(move |asked, _| match &location {
            Some(location) => Some(Reply::redirect(307, location)),
            None => Some(Reply::redirect(307, &asked.target)),
        });
        texts.0.push_str(&format!("# {name}\n"));
        for command in ["labels", "promote"] {
            let ran = once([command, &registry.name("acme/app:2026.34.101")]).run();
            let mut ignored = Texts::default();
            let shown = if command == "labels" { &mut texts } else { &mut ignored };
            shown.check(&ran, "redirect-refused", "acme/app:2026.34.101", Some(&registry));
        }
    }
    // On and on, each time to another address.
    let registry = versions();
    let mut hop = 0;
    registry.before(move |asked, _| {
        hop += 1;
        Some(Reply::redirect(302, &format!("{}?hop={hop}", asked.path)))
    });
    texts.0.push_str("# on and on\n");
    let ran = once(["labels", &registry.name("acme/app:1")]).run();
    texts.check(&ran, "redirect-refused", "acme/app:1", Some(&registry));
    assert_eq!(registry.log().count(), 6);
    // A manifest goes nowhere but to the server it was meant for.
    let registry = versions();
    registry.before(move |asked, _| (asked.method == "PUT").then(|| Reply::redirect(307, &elsewhere)));
    texts.0.push_str("# a write, to another server\n");
    let ran = once(["promote", &registry.name("acme/app:2026.34.101"), "--to", "x"]).run();
    assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), ("redirect-refused", Some(false)));
    let text = ran.error()["text"].as_str().unwrap().replace(&registry.host(), "[registry]");
    texts.0.push_str(&text.replace(&other.host(), "[other]"));
    assert_eq!(other.connections(), 0);
    insta::assert_snapshot!(texts.0);
}

#[test]
fn a_redirect_from_https_to_http_is_refused() {
    let authority = Authority::new();
    let other = Listener::start(|_| Reply::status(200));
    let location = format!("{}/blob", other.url());
    let registry = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
    push(&registry, "acme/app", &["1"]);
    registry.before(move |asked, _| asked.path.contains("/blobs/").then(|| Reply::redirect(307, &location)));
    let run = once(["labels", &registry.name("acme/app:1"), "--https"]).arg("--ca-file");
    let ran = run.arg(authority.ca_file()).run();
    assert_eq!(ran.code(), "redirect-refused");
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_redirect_from_a_public_host_to_a_private_address_is_refused() {
    let docker = DockerHub::start(Rules::default().anonymous(Rights::PULL));
    push(&docker.registry, "acme/app", &["1"]);
    let location = format!("https://127.0.0.1:{}/blob", docker.registry.port());
    docker.registry.before(move |asked, _| asked.path.contains("/blobs/").then(|| Reply::redirect(307, &location)));
    let ran = docker.reach(once(["labels", "acme/app:1"])).run();
    assert_eq!(ran.code(), "redirect-refused");
}

#[test]
fn a_blob_on_another_port_is_fetched_without_the_credential() {
    let built = image("abc");
    let config = built.blobs[0].clone();
    let store = Listener::start(move |_| Reply::with(200, "application/octet-stream", config.clone()));
    for registry in [Registry::basic("robot", "secret"), Registry::bearer(one_user("robot", "secret"))] {
        registry.push("acme/app", "1", &built);
        let location = format!("{}/bucket/blob?signature=abc", store.url());
        registry.after(move |asked, _, reply| {
            if asked.path.contains("/blobs/") && reply.status == 200 {
                *reply = Reply::redirect(307, &location);
            }
        });
        let result = once(["labels", &registry.name("acme/app:1")]).login("robot", "secret").run().result();
        assert_eq!(result["labels"]["git_revision"], "abc");
    }
    let log = store.log();
    assert_eq!(log.count(), 2);
    for one in &log.0 {
        assert_eq!(one.asked.target, "/bucket/blob?signature=abc");
        assert!(one.asked.header("Authorization").is_none(), "{:?}", one.asked);
    }
}
