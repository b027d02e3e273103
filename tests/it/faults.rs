//! Bad input and bad servers: each ends with its own code, a message that names the object, a hint, valid JSON, and nothing
//! written.
//!
//! Every case also ends by itself: a run that is still there after its limit fails the test.

use crate::stage::{image, push, scrubbed};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::image::{Built, Image, Index, attestation, generic_artifact, helm_chart, schema1, types};
use crate::support::log::Exchange;
use crate::support::registry::{Registry, one_user};
use crate::support::release::referrer;
use crate::support::reply::{Fault, Reply};
use crate::support::token::Rights;
use std::time::Duration;

/// Errors as people read them, each under the command that led to it.
#[derive(Default)]
pub struct Texts(pub String);

impl Texts {
    /// The run failed with this code, names this object, says what to do, and asked for nothing to be written.
    pub fn check(&mut self, ran: &Ran, code: &str, object: &str, registry: Option<&Registry>) {
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
pub fn once<const N: usize>(words: [&str; N]) -> Tagwright {
    tagwright(words).args(["--retries", "0"])
}

pub fn versions() -> Registry {
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
        ("signature", referrer("application/vnd.dev.sigstore.bundle.v0.3+json", &image("x"), "{}")),
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
        ("signature", "not-an-image"),
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
        ("no list", Reply::with(200, "application/json", r#"{"tags":1}"#), "reply-malformed"),
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
