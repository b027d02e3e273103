//! Bad input and bad servers: each ends with its own code, a message that names the object, a hint, valid JSON, and nothing
//! written.
//!
//! Every case also ends by itself: a run that is still there after its limit fails the test.

use crate::stage::{DockerHub, image, push, scrubbed};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::http::{Listener, closed_port};
use crate::support::hub::{Hub, Options as HubOptions, Source};
use crate::support::image::{Built, Image, Index, attestation, generic_artifact, helm_chart, schema1, types};
use crate::support::log::Exchange;
use crate::support::registry::{Auth, Options, Registry, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::tls::Authority;
use crate::support::token::{Rights, Rules};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Errors as people read them, each under the command that led to it.
#[derive(Default)]
struct Texts(String);

impl Texts {
    /// The run failed with this code, names this object, says what to do, and asked for nothing to be written.
    fn check(&mut self, ran: &Ran, code: &str, object: &str, registry: Option<&Registry>) {
        let error = ran.error();
        assert_eq!(error["code"], code, "{ran}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(object), "`{object}` is not named: {ran}");
        assert!(error["hint"].is_string(), "no hint: {ran}");
        assert_eq!(error["changed"], false, "{ran}");
        let mut text = format!("$ {}\n{}\n\n", ran.line, error["text"].as_str().unwrap());
        if let Some(registry) = registry {
            // A write that was tried and refused is no write.
            let wrote = |one: &&Exchange| !["GET", "HEAD"].contains(&one.asked.method.as_str()) && one.status < 300;
            assert_eq!(registry.log().0.iter().filter(wrote).count(), 0, "{ran}");
            text = text.replace(&registry.host(), "[registry]");
            if registry.has_tokens() {
                text = text.replace(&registry.tokens().host(), "[tokens]");
            }
        }
        self.0.push_str(&scrubbed(&text));
    }
}

/// One try and no patience: what is tested is the failure, not the waiting before it.
fn once<const N: usize>(words: [&str; N]) -> Tagwright {
    tagwright(words).args(["--retries", "0"])
}

fn versions() -> Registry {
    let registry = Registry::start();
    push(&registry, "acme/app", &["2026.34.101", "2026.34.102", "2026.35.102", "nightly"]);
    registry
}

#[test]
fn input_that_cannot_be_meant() {
    let registry = versions();
    let app = registry.name("acme/app");
    let mut texts = Texts::default();
    for (words, code, object) in [
        (vec!["labels", "acme/ServiceOne:1.2"], "reference-invalid", "acme/ServiceOne:1.2"),
        (vec!["promote", "acme/app", "--biuld", "103"], "unknown-flag", "--biuld"),
        (vec!["promote", &format!("{app}:nightly"), "--to", "{version}"], "version-invalid", "acme/app:nightly"),
        (vec!["promote", &app], "missing-value", "acme/app"),
        (vec!["find-tag", &app, "--build", "103"], "no-tag-for-build", "acme/app"),
        (vec!["promote", &app, "--build", "103"], "no-tag-for-build", "acme/app"),
        (vec!["find-tag", &app, "--build", "102"], "build-ambiguous", "acme/app"),
        (vec!["promote", &app, "--build", "102"], "build-ambiguous", "acme/app"),
        (vec!["next-version", &app, "--build", "102", "--at", "2026-08-21"], "version-not-increasing", "2026.34.102"),
        (vec!["next-version", &app, "--build", "7", "--at", "2026-08-21"], "version-not-increasing", "2026.34.7"),
        (vec!["labels", &format!("{app}:none")], "tag-unknown", "acme/app"),
        (vec!["promote", &format!("{app}:none"), "--to", "x"], "tag-unknown", "acme/app"),
        (vec!["labels", &format!("{}:1", registry.name("acme/none"))], "repository-unknown", "acme/none"),
        (vec!["promote", &format!("{}:1", registry.name("acme/none")), "--to", "x"], "repository-unknown", "acme/none"),
        (vec!["tags", &registry.name("acme/none")], "repository-unknown", "acme/none"),
        (vec!["labels", &format!("{app}:nightly"), "--label", "revision"], "label-missing", "acme/app:nightly"),
        (vec!["labels", &format!("{app}:nightly"), "--platform", "linux/arm64"], "platform-missing", "linux/arm64"),
    ] {
        let ran = tagwright([]).args(words).run();
        texts.check(&ran, code, object, Some(&registry));
    }
    let ran =
        tagwright(["call"]).env("TAGWRIGHT_REQUEST", r#"{"command":"labels","args":{"image":"a","lable":"x"}}"#).run();
    let document = ran.json();
    assert_eq!((document["error"]["code"].as_str(), ran.stderr.as_str()), (Some("unknown-key"), ""));
    assert_eq!(
        document["error"]["hint"],
        "write `label`; `tagwright labels --help` lists every flag, and a key is a flag in camelCase"
    );
    insta::assert_snapshot!(texts.0);
}

#[test]
fn images_that_are_none() {
    let registry = Registry::start();
    let one = |platform: &str, revision: &str| Image::new().platform(platform).label("revision", revision).build();
    let disagreeing = Index::of([one("linux/amd64", "abc"), one("linux/arm64", "def")]).build();
    let lacking = Index::of([one("linux/amd64", "abc"), Image::new().platform("linux/arm64").build()]).build();
    let mut broken = Index::of([one("linux/amd64", "of nobody")]).build();
    broken.children.clear();
    let mut bare = image("without its config");
    bare.blobs.clear();
    for (tag, built) in [
        ("disagreeing", disagreeing),
        ("lacking", lacking),
        ("attested", Index::of([attestation(&image("x"))]).build()),
        ("empty", Index::of([]).build()),
        ("chart", helm_chart()),
        ("artifact", generic_artifact()),
        ("old", schema1()),
        ("broken", broken),
        ("bare", bare),
    ] {
        registry.push("acme/app", tag, &built);
    }
    let mut texts = Texts::default();
    for (tag, code) in [
        ("disagreeing", "platform-ambiguous"),
        ("lacking", "platform-ambiguous"),
        ("attested", "index-empty"),
        ("empty", "index-empty"),
        ("chart", "not-an-image"),
        ("artifact", "not-an-image"),
        ("old", "schema1-unsupported"),
        ("broken", "blob-missing"),
        ("bare", "blob-missing"),
    ] {
        let ran = once(["labels", &registry.name(&format!("acme/app:{tag}")), "--label", "revision"]).run();
        let object = if tag == "bare" { "acme/app".to_owned() } else { format!("acme/app:{tag}") };
        texts.check(&ran, code, &object, Some(&registry));
    }
    // A label is wanted, so whatever has none is not promoted; nor is what this program cannot read at all.
    for (words, code) in [
        (vec!["promote", "acme/app:chart", "--to", "x", "--require-label", "a=b"], "not-an-image"),
        (vec!["promote", "acme/app:attested", "--to", "x", "--require-label", "a=b"], "index-empty"),
        (vec!["promote", "acme/app:disagreeing", "--to", "x", "--require-label", "revision=abc"], "label-mismatch"),
        (vec!["promote", "acme/app:lacking", "--to", "x", "--require-label", "revision=abc"], "label-mismatch"),
        (vec!["promote", "acme/app:old", "--to", "x"], "schema1-unsupported"),
    ] {
        let object = words[1].to_owned();
        let name = registry.name(&object);
        let words = words.into_iter().map(|word| if word == object { name.as_str() } else { word });
        texts.check(&tagwright([]).args(words).run(), code, &object, Some(&registry));
    }
    insta::assert_snapshot!(texts.0);
}

/// What a server may send in place of a manifest.
fn broken_manifests() -> Vec<(&'static str, Reply, &'static str)> {
    let sound = image("sound");
    let with = |fault: Fault| Reply::with(200, types::OCI_MANIFEST, sound.bytes.clone()).fault(fault);
    let length = sound.bytes.len() as u64;
    vec![
        ("HTML", Reply::with(200, "text/html", "<html><body>Sign in</body></html>"), "reply-malformed"),
        ("empty", Reply::with(200, types::OCI_MANIFEST, ""), "reply-malformed"),
        ("not JSON", Reply::with(200, types::OCI_MANIFEST, "{"), "reply-malformed"),
        ("truncated", with(Fault::CloseAfter(20)), "reply-malformed"),
        ("too short", with(Fault::Length(length + 10)), "reply-malformed"),
        ("endless", with(Fault::Endless), "size-exceeded"),
        ("endless header", Reply::broken(Fault::EndlessHeaders), "reply-malformed"),
        ("bad chunks", with(Fault::BadChunks), "reply-malformed"),
        ("not HTTP", Reply::broken(Fault::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())), "reply-malformed"),
        ("reset", with(Fault::ResetAfter(20)), "unreachable"),
        ("closed", Reply::broken(Fault::Close), "unreachable"),
        ("teapot", Reply::status(418), "reply-malformed"),
        ("unavailable", Reply::with(503, "text/html", "<h1>503 no backend</h1>"), "registry-unavailable"),
        (
            "other digest",
            Reply::with(200, types::OCI_MANIFEST, sound.bytes.clone())
                .header("Docker-Content-Digest", image("other").digest()),
            "digest-mismatch",
        ),
        ("other type", Reply::with(200, types::OCI_INDEX, sound.bytes.clone()), "reply-malformed"),
    ]
}

#[test]
fn manifests_that_are_not_what_they_claim() {
    let mut texts = Texts::default();
    for (name, reply, code) in broken_manifests() {
        let registry = versions();
        registry.before(move |asked, _| (asked.path.contains("/manifests/")).then(|| reply.clone()));
        texts.0.push_str(&format!("# {name}\n"));
        for command in ["labels", "inspect", "promote"] {
            let ran = once([command, &registry.name("acme/app:2026.34.101")]).limit(Duration::from_secs(20)).run();
            let mut ignored = Texts::default();
            let shown = if command == "labels" { &mut texts } else { &mut ignored };
            shown.check(&ran, code, "", Some(&registry));
            let error = ran.error();
            let text = error["text"].as_str().unwrap();
            assert!(text.contains("acme/app:2026.34.101") && text.contains(&registry.host()), "{ran}");
        }
    }
    insta::assert_snapshot!(texts.0);
}

#[test]
fn blobs_that_are_not_what_they_claim() {
    let built = image("sound");
    let config = built.blobs[0].clone();
    let sound = |fault: Fault| Reply::with(200, "application/octet-stream", config.clone()).fault(fault);
    let mut other = config.clone();
    other[20] ^= 1;
    let mut texts = Texts::default();
    for (name, reply, code) in [
        ("other bytes", Reply::with(200, "application/octet-stream", other), "digest-mismatch"),
        ("HTML", Reply::with(200, "text/html", "<html>Sign in</html>"), "digest-mismatch"),
        ("empty", Reply::status(200), "digest-mismatch"),
        ("truncated", sound(Fault::CloseAfter(9)), "reply-malformed"),
        ("longer than said", sound(Fault::Endless), "size-exceeded"),
        ("missing", Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry"), "blob-missing"),
    ] {
        let registry = Registry::start();
        registry.push("acme/app", "1", &built);
        registry.before(move |asked, _| asked.path.contains("/blobs/").then(|| reply.clone()));
        texts.0.push_str(&format!("# {name}\n"));
        let ran = once(["labels", &registry.name("acme/app:1")]).limit(Duration::from_secs(20)).run();
        texts.check(&ran, code, "acme/app", Some(&registry));
        let ran = once(["promote", &registry.name("acme/app:1"), "--to", "x", "--require-label", "a=b"]).run();
        assert_eq!(ran.code(), code);
        assert_eq!(registry.log().writes(), 0);
    }
    insta::assert_snapshot!(texts.0);
}

#[test]
fn tag_lists_that_are_not_what_they_claim() {
    let mut texts = Texts::default();
    for (name, reply, code) in [
        ("HTML", Reply::with(200, "text/html", "<html>Sign in</html>"), "reply-malformed"),
        ("empty", Reply::status(200), "reply-malformed"),
        (
            "truncated",
            Reply::with(200, "application/json", r#"{"tags":["1"]}"#).fault(Fault::CloseAfter(4)),
            "reply-malformed",
        ),
        ("another shape", Reply::with(200, "application/json", r#"{"tags":[1]}"#), "reply-malformed"),
        (
            "next page elsewhere",
            Reply::with(200, "application/json", r#"{"tags":["1"]}"#)
                .header("Link", "<http://localhost:1/v2/x/tags/list>; rel=\"next\""),
            "redirect-refused",
        ),
        ("denied", Reply::error(403, "DENIED", "requested access to the resource is denied"), "denied"),
    ] {
        let registry = versions();
        registry.before(move |asked, _| asked.path.ends_with("/tags/list").then(|| reply.clone()));
        texts.0.push_str(&format!("# {name}\n"));
        let app = registry.name("acme/app");
        for words in [
            vec!["tags", &app],
            vec!["find-tag", &app, "--build", "101"],
            vec!["next-version", &app, "--build", "103"],
            vec!["promote", &app, "--build", "101"],
        ] {
            let mut ignored = Texts::default();
            let shown = if words[0] == "tags" { &mut texts } else { &mut ignored };
            shown.check(&once([]).args(words).run(), code, "acme/app", Some(&registry));
        }
    }
    insta::assert_snapshot!(texts.0);
}

#[test]
fn a_list_that_leads_in_a_circle_or_on_by_a_link_that_cannot_be_read_is_no_list() {
    let mut texts = Texts::default();
    for link in ["<PAGE>; rel=\"next\"", "<PAGE; rel=\"next\"", "next page: PAGE", "<http://[::1>; rel=\"next\""] {
        let registry = versions();
        registry.after(move |asked, _, reply| {
            if asked.path.ends_with("/tags/list") {
                *reply = reply.clone().set("Link", link.replace("PAGE", &asked.target));
            }
        });
        let app = registry.name("acme/app");
        texts.check(&once(["tags", &app]).run(), "reply-malformed", "acme/app", Some(&registry));
        let ran = once(["next-version", &app, "--build", "7"]).run();
        texts.check(&ran, "reply-malformed", "acme/app", Some(&registry));
        texts.check(&once(["find-tag", &app, "--build", "7"]).run(), "reply-malformed", "acme/app", Some(&registry));
        assert!(registry.log().count() <= 6, "it was asked again and again: {link}");
    }
    insta::assert_snapshot!(texts.0);
}

#[test]
fn an_empty_page_that_names_a_next_one_is_a_page_like_any_other() {
    let registry = versions();
    registry.before(|asked, _| {
        let next = format!("<{}?last=0>; rel=\"next\"", asked.path);
        let is_first = asked.path.ends_with("/tags/list") && !asked.target.contains("last=");
        is_first.then(|| Reply::json(&serde_json::json!({"name": "acme/app", "tags": null})).set("Link", next))
    });
    assert_eq!(once(["tags", &registry.name("acme/app")]).run().result()["scanned"], 4);
}

#[test]
fn missing_and_denied_are_told_apart() {
    let mut texts = Texts::default();
    // Open to everybody: what is not there is proven.
    let open = Registry::bearer(one_user("robot", "secret").anonymous(Rights::PULL));
    push(&open, "acme/app", &["1"]);
    let ran = once(["labels", &open.name("acme/none:1")]).run();
    texts.check(&ran, "repository-unknown", "acme/none", Some(&open));
    // Closed: without a credential nothing is proven.
    let closed = Registry::bearer(one_user("robot", "secret").user("reader", "secret", Rights::PULL).user(
        "nobody",
        "secret",
        Rights::NONE,
    ));
    push(&closed, "acme/app", &["1"]);
    let app = closed.name("acme/app:1");
    texts.check(&once(["labels", &app]).run(), "credential-missing", "127.0.0.1", Some(&closed));
    texts.check(&once(["labels", &app]).login("robot", "wrong").run(), "unauthenticated", "127.0.0.1", None);
    texts.0 = texts.0.replace(&closed.host(), "[registry]").replace(&closed.tokens().host(), "[tokens]");
    texts.check(&once(["labels", &app]).login("nobody", "secret").run(), "denied", "nobody", Some(&closed));
    let ran = once(["promote", &app, "--to", "x"]).login("reader", "secret").run();
    texts.check(&ran, "denied", "reader", Some(&closed));
    // A password on every request.
    let basic = Registry::basic("robot", "secret");
    push(&basic, "acme/app", &["1"]);
    let app = basic.name("acme/app:1");
    texts.check(&once(["labels", &app]).run(), "credential-missing", "127.0.0.1", Some(&basic));
    texts.check(&once(["labels", &app]).login("robot", "wrong").run(), "unauthenticated", "127.0.0.1", Some(&basic));
    let ran = once(["promote", &app, "--to", "x"]).login("robot", "wrong").run();
    texts.check(&ran, "unauthenticated", "127.0.0.1", Some(&basic));
    // A refusal that comes with 403 instead of a challenge.
    let guarded = versions();
    guarded.before(|_, _| Some(Reply::error(403, "DENIED", "requested access to the resource is denied")));
    texts.check(&once(["labels", &guarded.name("acme/app:1")]).run(), "denied", "acme/app:1", Some(&guarded));
    insta::assert_snapshot!(texts.0);
}

#[test]
fn an_error_document_is_the_registrys_own_word_whatever_its_status() {
    let mut texts = Texts::default();
    let policy = versions();
    policy.before(|_, _| {
        Some(Reply::error(412, "PROJECTPOLICYVIOLATION", "current image with 3 vulnerabilities cannot be pulled"))
    });
    texts.check(&once(["labels", &policy.name("acme/app:2026.34.101")]).run(), "denied", "acme/app", Some(&policy));
    for (status, words) in [
        (403, "tag cannot be pushed because of the repository's immutability settings"),
        (405, "The operation is disallowed on this registry, repository or image."),
    ] {
        let kept = versions();
        kept.before(move |request, _| {
            let is_tag = request.method == "PUT" && request.path.ends_with("/manifests/x");
            is_tag.then(|| Reply::error(status, "DENIED", words))
        });
        let ran = once(["promote", &kept.name("acme/app:2026.34.101"), "--to", "x"]).run();
        texts.check(&ran, "tag-immutable", "acme/app:x", Some(&kept));
    }
    insta::assert_snapshot!(texts.0);
}

#[test]
fn a_web_page_that_says_404_proves_nothing() {
    let mut texts = Texts::default();
    let page = || Reply::with(404, "text/html; charset=utf-8", "<html><h1>404 Not Found</h1>nginx</html>");
    for (part, words) in [
        ("/manifests/x", vec!["promote", "APP:2026.34.101", "--to", "x"]),
        ("/manifests/", vec!["labels", "APP:2026.34.101"]),
        ("/tags/list", vec!["next-version", "APP", "--build", "103"]),
        ("/tags/list", vec!["find-tag", "APP", "--build", "103"]),
        ("/blobs/", vec!["labels", "APP:2026.34.101"]),
    ] {
        let registry = versions();
        registry.before(move |asked, _| asked.path.contains(part).then(page));
        let words = words.into_iter().map(|word| word.replace("APP", &registry.name("acme/app")));
        texts.check(&once([]).args(words).run(), "reply-malformed", "acme/app", Some(&registry));
    }
    insta::assert_snapshot!(texts.0);
}

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

/// The port of a server that says this to whoever connects, once, as plain HTTP servers do to a TLS greeting.
fn talks_first(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut greeting = [0; 16];
        let _ = stream.read(&mut greeting);
        let _ = stream.write_all(words);
    });
    port
}

#[test]
fn every_warning_of_a_registry_is_told_once() {
    let registry = Registry::start();
    push(&registry, "acme/app", &["1"]);
    registry.after(|_, _, reply| {
        let text = r#"299 - "full, or \"nearly\" so" "Sat, 25 Aug 2012 23:34:45 GMT", 299 - "moves on Monday""#;
        *reply = reply.clone().header("Warning", text);
    });
    let ran = tagwright(["labels", &registry.name("acme/app:1")]).run();
    let warnings = ran.json()["warnings"].clone();
    let texts: Vec<&str> = warnings.as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
    let said = |text: &str| format!("`{}` says: {text}", registry.host());
    assert_eq!(texts, [said("full, or \"nearly\" so"), said("moves on Monday")]);
}

#[test]
fn a_proxy_that_cannot_be_used_is_told_with_the_variable_that_names_it() {
    let port = closed_port().port();
    for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        let ran =
            once(["labels", "registry.example/acme/app:1"]).env(variable, format!("http://127.0.0.1:{port}")).run();
        let hint = ran.error()["hint"].clone();
        assert!(hint.as_str().unwrap().contains(&format!("check the address in `{variable}`")), "{hint}");
    }
}

#[test]
fn registries_that_cannot_be_reached() {
    let mut texts = Texts::default();
    let port = closed_port().port();
    let name = format!("127.0.0.1:{port}/acme/app:1");
    let authority = Authority::for_names(&["other.example"]);
    let secure = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
    let plain = talks_first(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let there = |registry: &Registry| format!("registry.example:{}", registry.port());
    for (what, words, code) in [
        ("nothing listens", vec!["labels".to_owned(), name.clone()], "unreachable"),
        ("nothing listens", vec!["promote".to_owned(), name, "--to".to_owned(), "x".to_owned()], "unreachable"),
        (
            "TLS from an unknown authority",
            vec!["labels".into(), secure.name("acme/app:1"), "--https".into()],
            "unreachable",
        ),
        (
            "TLS for another name",
            vec![
                "labels".into(),
                format!("{}/acme/app:1", there(&secure)),
                "--resolve".into(),
                format!("{}:127.0.0.1", there(&secure)),
                "--ca-file".into(),
                authority.ca_file().display().to_string(),
            ],
            "unreachable",
        ),
        (
            "no TLS at all",
            vec!["labels".into(), format!("127.0.0.1:{plain}/acme/app:1"), "--https".into()],
            "unreachable",
        ),
        ("TLS where plain HTTP is spoken", vec!["labels".into(), secure.name("acme/app:1")], "reply-malformed"),
    ] {
        texts.0.push_str(&format!("# {what}\n"));
        let ran = once([]).args(words).limit(Duration::from_secs(30)).run();
        texts.check(&ran, code, "acme/app:1", None);
        let ca = authority.ca_file().display().to_string();
        for (found, name) in
            [(secure.port(), "[secure]"), (plain, "[plain]"), (port, "[closed]")].map(|(p, n)| (p.to_string(), n))
        {
            texts.0 = texts.0.replace(&format!(":{found}"), &format!(":{name}")).replace(&ca, "[ca]");
        }
    }
    insta::assert_snapshot!(texts.0);
}

#[test]
fn a_name_that_has_no_address() {
    let ran = once(["labels", "registry.invalid/acme/app:1"]).limit(Duration::from_secs(30)).run();
    let error = ran.error();
    assert!(["unreachable", "timeout"].contains(&error["code"].as_str().unwrap()), "{ran}");
    assert!(error["message"].as_str().unwrap().contains("`registry.invalid/acme/app:1`"), "{ran}");
    assert!(error["hint"].is_string(), "{ran}");
}

#[test]
fn servers_that_accept_and_never_answer() {
    let mut texts = Texts::default();
    let slow = Reply::with(200, types::OCI_MANIFEST, image("x").bytes);
    for (name, reply) in [
        ("no answer", Reply::broken(Fault::Hang)),
        ("no more than the head", slow.clone().fault(Fault::HangAfter(0))),
        ("half the body", slow.clone().fault(Fault::HangAfter(50))),
        ("one byte at a time", slow.fault(Fault::Drip(Duration::from_millis(200)))),
    ] {
        let registry = versions();
        registry.before(move |asked, _| asked.path.contains("/manifests/").then(|| reply.clone()));
        texts.0.push_str(&format!("# {name}\n"));
        for command in ["labels", "promote"] {
            let run = tagwright([command, &registry.name("acme/app:2026.34.101"), "--timeout", "1"]);
            let ran = run.limit(Duration::from_secs(20)).run();
            let mut ignored = Texts::default();
            let shown = if command == "labels" { &mut texts } else { &mut ignored };
            shown.check(&ran, "timeout", "acme/app:2026.34.101", Some(&registry));
        }
    }
    insta::assert_snapshot!(texts.0);
}

/// A read and a write are each tried once more after this answer, and then go through.
fn check_recovery(name: &str, reply: Reply) {
    let registry = versions();
    registry.fail(1, "GET", "/manifests/2026.34.101", reply.clone());
    let ran = tagwright(["labels", &registry.name("acme/app:2026.34.101")]).run();
    assert_eq!(ran.result()["labels"]["git_revision"], "2026.34.101", "{name}: {ran}");
    assert_eq!(registry.log().count(), 3, "{name}: {:#?}", registry.log().lines());

    let registry = versions();
    registry.fail(1, "PUT", "/manifests/", reply);
    let ran = tagwright(["promote", &registry.name("acme/app:2026.34.101"), "--to", "x"]).run();
    assert_eq!(ran.result()["tags"][0]["action"], "created", "{name}: {ran}");
    assert_eq!(ran.result()["tags"][0]["verified"], true);
    assert_eq!(registry.log().method("PUT"), 2, "{name}: {:#?}", registry.log().lines());
    assert_eq!(registry.resolve("acme/app", "x"), registry.resolve("acme/app", "2026.34.101"));
}

#[test]
fn looks_blobs_and_tokens_are_asked_for_again_as_well() {
    let registry = Registry::bearer(one_user("robot", "secret"));
    push(&registry, "acme/app", &["2026.34.101"]);
    let busy = || Reply::status(503);
    registry.fail(1, "HEAD", "/manifests/", busy());
    registry.fail(1, "GET", "/blobs/", busy());
    let mut down = true;
    let failing = std::sync::Mutex::new(move || std::mem::take(&mut down));
    registry.tokens().hook(move |_| (failing.lock().unwrap())().then(|| Reply::broken(Fault::Reset)));
    let words = ["--to", "x", "--require-label", "git_revision=2026.34.101"];
    let run = tagwright(["promote", &registry.name("acme/app:2026.34.101")]).args(words);
    assert_eq!(run.login("robot", "secret").run().result()["tags"][0]["action"], "created");
}

#[test]
fn what_passes_is_waited_for() {
    let busy = |status: u16| Reply::error(status, "UNAVAILABLE", "try again");
    check_recovery("503", busy(503));
    check_recovery("429 with seconds", Reply::status(429).header("Retry-After", "1"));
    check_recovery("429 with zero", Reply::status(429).header("Retry-After", "0"));
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 2;
    check_recovery("429 with a Unix time", Reply::status(429).header("X-Retry-After", soon.to_string()));
    check_recovery("429 with a date", Reply::status(429).header("Retry-After", http_date(soon)));
}

#[test]
fn what_breaks_is_tried_again() {
    check_recovery("reset", Reply::broken(Fault::Reset));
    check_recovery("closed", Reply::broken(Fault::Close));
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, without the right day of the week, which nobody checks.
fn http_date(seconds: u64) -> String {
    let (mut days, clock) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let length = |year: u64| {
        if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) { 366 } else { 365 }
    };
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut month = 0;
    for (at, days_in) in [31, length(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate() {
        month = at;
        if days < days_in {
            break;
        }
        days -= days_in;
    }
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("Thu, {:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", days + 1, names[month])
}

#[test]
fn a_wait_beyond_the_limit_fails_at_once_and_names_the_time() {
    let mut texts = Texts::default();
    let later = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    for (name, value) in
        [("Retry-After", "3600".to_owned()), ("Retry-After", http_date(later)), ("X-Retry-After", later.to_string())]
    {
        let registry = versions();
        let reply = Reply::error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit").header(name, value);
        registry.before(move |_, _| Some(reply.clone()));
        for command in ["labels", "promote"] {
            let ran = tagwright([command, &registry.name("acme/app:2026.34.101")]).limit(Duration::from_secs(20)).run();
            let mut ignored = Texts::default();
            let shown = if command == "labels" && texts.0.is_empty() { &mut texts } else { &mut ignored };
            shown.check(&ran, "rate-limited", "acme/app:2026.34.101", Some(&registry));
            // Nothing is asked again.
            let (lines, mut once) = (registry.log().lines(), registry.log().lines());
            once.sort();
            once.dedup();
            assert_eq!(lines.len(), once.len(), "{lines:#?}");
            registry.clear();
        }
    }
    let at = texts.0.find("again after ").unwrap() + "again after ".len();
    let end = at + texts.0[at..].find(';').unwrap();
    texts.0.replace_range(at..end, "[time]");
    insta::assert_snapshot!(texts.0);
}

#[test]
fn what_does_not_pass_ends_with_its_own_code() {
    let registry = versions();
    registry.before(|_, _| Some(Reply::status(503)));
    let ran = tagwright(["labels", &registry.name("acme/app:1"), "--retries", "1"]).run();
    assert_eq!(ran.code(), "registry-unavailable");
    assert_eq!(registry.log().count(), 2);
    registry.clear();
    let ran = tagwright(["labels", &registry.name("acme/app:1"), "--retries", "0"]).run();
    assert_eq!(ran.code(), "registry-unavailable");
    assert_eq!(registry.log().count(), 1);
}

#[test]
fn a_kept_connection_that_the_server_closed_is_opened_again() {
    let registry = versions();
    registry.after(|_, _, reply| *reply = reply.clone().fault(Fault::CloseLater));
    let ran = once(["labels", &registry.name("acme/app:2026.34.101")]).run();
    ran.result();
    assert_eq!((registry.log().count(), registry.connections()), (2, 2));
    let ran = once(["promote", &registry.name("acme/app:2026.34.101")]).run();
    assert_eq!(ran.result()["tags"][1]["verified"], true);
}

#[test]
fn a_question_on_a_connection_that_the_server_closes_meanwhile_is_asked_again() {
    let registry = Registry::with(Options { page: Some(2), ..Options::default() });
    push(&registry, "acme/app", &["2026.34.101", "2026.34.102", "2026.34.103"]);
    let mut pages = 0;
    registry.before(move |asked, _| {
        pages += usize::from(asked.path.ends_with("/tags/list"));
        (pages == 2).then(|| Reply::broken(Fault::Close))
    });
    once(["tags", &registry.name("acme/app")]).run().result();
    assert_eq!((registry.log().count(), registry.connections()), (3, 2), "{:#?}", registry.log().lines());
}

#[test]
fn chunks_and_bodies_without_a_length_are_sound() {
    for fault in [Fault::Chunked, Fault::Unannounced] {
        let registry = versions();
        let told = fault.clone();
        registry.after(move |asked, _, reply| {
            if asked.method == "GET" {
                *reply = reply.clone().fault(told.clone());
            }
        });
        once(["labels", &registry.name("acme/app:2026.34.101")]).run().result();
        once(["tags", &registry.name("acme/app")]).run().result();
    }
}

#[test]
fn a_body_that_is_announced_too_large_is_not_waited_for() {
    let registry = versions();
    registry.after(|asked, _, reply| {
        if asked.path.ends_with("/tags/list") {
            *reply = reply.clone().fault(Fault::Length(1 << 40));
        }
    });
    let ran = once(["tags", &registry.name("acme/app")]).run();
    assert_eq!(ran.code(), "size-exceeded", "{ran}");
}

#[test]
fn a_port_that_speaks_https_is_known_by_its_words() {
    let registry = Registry::start();
    registry.before(|_, _| Some(Reply::with(400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n")));
    let ran = tagwright(["tags", &registry.name("acme/app")]).run();
    assert_eq!(ran.code(), "reply-malformed", "{ran}");
    assert!(ran.stderr.contains(&format!("hint: speak HTTPS to `{}`: add `--https`", registry.host())), "{ran}");
}

#[test]
fn a_registry_that_stores_something_else_is_found_out() {
    let registry = versions();
    let other: Built = image("other");
    registry.after(move |asked, state, _| {
        if asked.method == "PUT" && asked.path.ends_with("/x") {
            let digest = state.store("acme/app", &other);
            state.tag("acme/app", "x", &digest);
        }
    });
    let ran = once(["promote", &registry.name("acme/app:2026.34.101"), "--to", "x"]).run();
    assert_eq!(ran.code(), "raced");
    assert_eq!(ran.error()["changed"], true);
}
