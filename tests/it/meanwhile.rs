//! What others write between a look and a write that is long after it, and what a run tells that ended between two writes.

use crate::stage::{image, push};
use crate::support::client::Client;
use crate::support::cmd::tagwright;
use crate::support::image::Image;
use crate::support::registry::{Registry, State, one_user};
use crate::support::release::signed;
use crate::support::reply::{Fault, Reply};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tagwright::world::World;

const APP: &str = "acme/app";
const TO: &str = "acme/release";
const TAG: &str = "2026.34.103";

/// Changes what the registry holds once, right after it has answered the first request that fits.
fn once(registry: &Registry, method: &'static str, part: &'static str, act: impl Fn(&mut State) + Send + 'static) {
    let mut done = false;
    registry.after(move |asked, state, _| {
        if !done && asked.method == method && asked.path.contains(part) {
            done = true;
            act(state);
        }
    });
}

#[test]
fn a_tag_that_somebody_made_during_the_copy_is_a_conflict_and_stays_theirs() {
    for tag in ["2026.34.103", "2026.34.103-rc"] {
        let (from, to) = (Registry::start(), Registry::start());
        from.push(APP, TAG, &image("ours"));
        let theirs = to.push(TO, "theirs", &image("theirs"));
        let digest = theirs.clone();
        once(&to, "PUT", "/blobs/uploads/", move |state| state.tag(TO, tag, &digest));
        let source = from.name(&format!("{APP}:{TAG}"));
        let ran = tagwright(["promote", &source, "--into", &to.name(TO)]).run();
        assert_eq!((ran.code().as_str(), to.resolve(TO, tag)), ("tag-conflict", Some(theirs)), "{ran}");
        let tags: Vec<String> = to.tags(TO).into_keys().collect();
        assert_eq!(tags, [tag, "theirs"], "{ran}");
        assert_eq!(ran.error()["changed"], true, "blobs were written: {ran}");
    }
}

#[test]
fn a_signature_that_came_up_during_the_copy_is_not_written_over() {
    let (from, to) = (Registry::start(), Registry::start());
    let built = signed(image("ours"));
    built.push(&Client::new(&from.host()), APP, TAG);
    let tag: &'static str = built.cosign_tag("sig").leak();
    let theirs = to.push(TO, "theirs", &Image::new().layer(b"a signature of production".to_vec()).build());
    let digest = theirs.clone();
    once(&to, "PUT", "/blobs/uploads/", move |state| state.tag(TO, tag, &digest));
    let source = from.name(&format!("{APP}:{TAG}"));
    let ran = tagwright(["promote", &source, "--into", &to.name(TO)]).run();
    assert_eq!((ran.code().as_str(), to.resolve(TO, tag)), ("tag-conflict", Some(theirs)), "{ran}");
    assert_eq!(to.resolve(TO, TAG), None, "the tags come after the signatures");
}

#[test]
fn a_look_that_is_long_past_is_looked_again_before_the_first_tag_is_written() {
    for seconds in [0, 11] {
        let registry = Registry::start();
        push(&registry, APP, &["2026.34.101", TAG]);
        // The tag comes up right after the look at it.
        let theirs = registry.resolve(APP, "2026.34.101").unwrap();
        once(&registry, "HEAD", "/manifests/2026.34.103-rc", move |state| state.tag(APP, "2026.34.103-rc", &theirs));
        // What may not move is compared with no version, so no list has to be there.
        registry.before(|asked, _| asked.path.ends_with("/tags/list").then(|| Reply::error(403, "DENIED", "no")));
        let world = World {
            environment: BTreeMap::new(),
            log: Box::new(|_| ()),
            stdin: Box::new(|_| Ok(Vec::new())),
            status: None,
            hidden: Default::default(),
            sleep: Box::new(|_| ()),
            started: Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap(),
        };
        let words = ["promote", &registry.name(&format!("{APP}:{TAG}"))].map(OsString::from);
        let ending = tagwright::run(&words, &world, None);
        let told: Value = serde_json::from_slice(&ending.stdout).unwrap();
        let expected = if seconds > 10 { json!("tag-conflict") } else { Value::Null };
        assert_eq!(told["error"]["code"], expected, "{told}");
        assert_eq!(registry.log().writes() == 0, seconds > 10);
    }
}

/// A promotion that moved `latest` and `stable`, with the file of its record.
fn promoted(registry: &Registry) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    push(registry, APP, &["2026.34.102", TAG]);
    let before = registry.resolve(APP, "2026.34.102").unwrap();
    registry.state(|state| ["latest", "stable"].map(|tag| state.tag(APP, tag, &before)));
    let source = registry.name(&format!("{APP}:{TAG}"));
    let file = folder.path().join("record");
    let words = ["promote", &source, "--move", "latest", "--move", "stable", "--record"];
    tagwright(words).arg(file).login("robot", "secret").run().result();
    registry.clear();
    folder
}

#[test]
fn a_rollback_tells_what_it_wrote_where_the_registry_stored_something_else() {
    let registry = Registry::start();
    let folder = promoted(&registry);
    let other = image("other").digest();
    // Nothing is told of `latest` before `stable` is on its way, which would not begin any more.
    let begun = (Mutex::new(false), Condvar::new());
    registry.gate(move |asked| {
        let mut seen = begun.0.lock().unwrap();
        *seen |= asked.method == "PUT" && asked.path.ends_with("/stable");
        begun.1.notify_all();
        drop(begun.1.wait_while(seen, |seen| !*seen && asked.method == "PUT" && asked.path.ends_with("/latest")));
    });
    let mut stored = false;
    registry.after(move |asked, _, reply| {
        if !stored && asked.method == "PUT" && asked.path.ends_with("/latest") {
            stored = true;
            *reply = std::mem::replace(reply, Reply::status(201)).set("Docker-Content-Digest", &other);
        }
    });
    let ran = tagwright(["rollback", "--record"]).arg(folder.path().join("record")).run();
    let error = ran.error();
    assert_eq!((ran.code().as_str(), &error["changed"]), ("digest-mismatch", &json!(true)), "{ran}");
    // Both go back side by side, and what the other has come to is told too.
    let done = ["latest", "stable"].map(|tag| format!("{}:{tag} (moved)", registry.name(APP)));
    assert_eq!(error["done"], json!(done));
    let undo: Vec<String> = serde_json::from_value(error["rollback"][0].clone()).unwrap();
    tagwright([]).args(&undo[1..]).run().result();
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, TAG));
}

#[test]
fn what_was_never_sent_has_changed_nothing_though_time_is_up() {
    for command in ["promote", "rollback"] {
        let registry = Registry::bearer(one_user("robot", "secret"));
        let folder = promoted(&registry);
        // The token runs out when it comes to writing, and there is no new one in time.
        let challenge = format!("Bearer realm=\"{}\",service=\"tagwright tests\"", registry.tokens().realm());
        let asked_to_write = Arc::new(AtomicBool::new(false));
        let writing = asked_to_write.clone();
        registry.before(move |asked, _| {
            (asked.method == "PUT").then(|| {
                writing.store(true, Ordering::SeqCst);
                Reply::error(401, "UNAUTHORIZED", "the token has run out").header("WWW-Authenticate", &challenge)
            })
        });
        registry.tokens().hook(move |_| asked_to_write.load(Ordering::SeqCst).then(|| Reply::broken(Fault::Hang)));
        let source = registry.name(&format!("{APP}:2026.34.102"));
        let run = match command {
            "promote" => tagwright(["promote", &source, "--move", "other", "--timeout", "2"]),
            _ => tagwright(["rollback", "--timeout", "2", "--record"]).arg(folder.path().join("record")),
        };
        let ran = run.login("robot", "secret").env("REGISTRY_HOST", registry.host()).run();
        let error = ran.error();
        assert_eq!((ran.code().as_str(), &error["changed"]), ("timeout", &json!(false)), "{command}: {ran}");
        assert!(ran.stderr.ends_with("nothing was written\n"), "{ran}");
    }
}
