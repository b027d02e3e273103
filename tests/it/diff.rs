//! `diff`: what changes from one image to another.

use crate::stage::{STEP, image, push, shown};
use crate::support::cmd::{Ran, tagwright};
use crate::support::image::{Image, Index};
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use serde_json::{Value, json};

/// Two versions for several platforms; the second one on `latest` too.
fn versions() -> Registry {
    let registry = Registry::start();
    let base = |platform: &str, layer: &str| {
        let image = Image::new()
            .platform(platform)
            .layer(layer)
            .label("org.opencontainers.image.source", "https://git.example/app");
        image.label("platform", platform)
    };
    let old = |platform, layer| base(platform, layer).label("git_revision", "abc").label("gone", "1").build();
    let new = |platform, layer| {
        let image = base(platform, layer).label("git_revision", "def").label("team", "payments");
        image.created("2026-08-21T09:30:00Z").build()
    };
    let first = Index::of([old("linux/amd64", "one"), old("linux/arm64", "one"), old("linux/s390x", "two")]);
    let second =
        Index::of([new("linux/amd64", "one"), new("linux/arm64", "three of them"), new("linux/riscv64", "four")]);
    registry.push("acme/app", "2026.34.102", &first.build());
    registry.push("acme/app", "2026.34.103", &second.build());
    registry.push("acme/app", "latest", &first.build());
    registry
}

fn diff<const N: usize>(registry: &Registry, from: &str, to: &str, words: [&str; N]) -> Ran {
    let name = |tag: &str| registry.name(&format!("acme/app{tag}"));
    tagwright(["diff", &name(from), &name(to)]).args(words).run()
}

fn told(ran: &Ran, registry: &Registry) -> String {
    shown(ran, &[(&registry.host(), "[registry]")])
}

#[test]
fn everything_that_changes_from_one_image_to_another_is_told() {
    let registry = versions();
    insta::assert_snapshot!(told(&diff(&registry, "", ":2026.34.103", []), &registry));
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn one_platform_is_compared_by_itself() {
    let registry = versions();
    let ran = diff(&registry, ":2026.34.102", ":2026.34.103", ["--platform", "linux/arm64"]);
    let result = ran.result();
    assert_eq!((ran.warnings().len(), result["platforms"].as_array().unwrap().len()), (0, 1), "{ran}");
    assert_eq!(result["layers"], json!({"shared": 0, "new": 1, "bytes": "three of them".len()}));
    assert_eq!(diff(&registry, "", ":2026.34.103", ["--platform", "linux/s390x"]).code(), "platform-missing");
}

#[test]
fn the_same_image_under_two_names_is_the_same() {
    let registry = versions();
    let ran = diff(&registry, ":latest", ":2026.34.102", []);
    let result = ran.result();
    assert_eq!(
        (&result["from"]["version"], &result["from"]["digest"]),
        (&result["to"]["version"], &result["to"]["digest"])
    );
    assert_eq!(result["labels"], json!({"added": {}, "removed": {}, "changed": {}}));
    let states = result["platforms"].as_array().unwrap().iter().all(|one| one["state"] == "same");
    assert!(states && result["layers"]["new"] == 0 && ran.stderr.contains("are the same image"), "{ran}");
}

#[test]
fn both_images_are_asked_for_side_by_side() {
    let registry = Registry::start();
    push(&registry, "acme/app", &["2026.34.102", "2026.34.103"]);
    registry.latency(STEP);
    diff(&registry, ":2026.34.102", ":2026.34.103", []).result();
    // Connecting, the manifests, the config blobs; one after the other it would be five and more.
    let log = registry.log();
    assert!(log.round_trips() <= 4 && log.count() == 4, "{} {:#?}", log.round_trips(), log.lines());
}

#[test]
fn a_version_that_cannot_be_told_is_a_warning() {
    let registry = versions();
    registry.fail(9, "GET", "/tags/list", Reply::error(403, "DENIED", "not for you"));
    let ran = diff(&registry, ":latest", ":2026.34.103", []);
    assert_eq!(
        (ran.result()["from"]["version"].clone(), ran.warnings()[0].as_str()),
        (Value::Null, "version-unknown"),
        "{ran}"
    );
}

#[test]
fn a_credential_goes_to_the_registry_that_its_variable_names_and_to_no_other() {
    let start = || {
        let registry = Registry::basic("robot", "secret");
        push(&registry, "acme/app", &["1.0.0"]);
        registry
    };
    let (theirs, open) = (start(), Registry::start());
    open.push("acme/app", "1.0.1", &image("1.0.1"));
    let (one, other) = (theirs.name("acme/app:1.0.0"), open.name("acme/app:1.0.1"));
    let run = |from: &str, to: &str| tagwright(["diff", from, to]).login("robot", "secret");
    for run in [run(&one, &other), run(&other, &one)] {
        let ran = run.clone().env("REGISTRY_HOST", theirs.host()).run();
        ran.result();
        for host in [None, Some(open.host()), Some("reg.example".to_owned())] {
            theirs.clear();
            let run = host.iter().fold(run.clone(), |run, host| run.env("REGISTRY_HOST", host));
            let ran = run.run();
            assert_eq!(ran.code(), "credential-missing", "{ran}");
            let told =
                theirs.log().0.iter().chain(&open.log().0).any(|one| one.asked.header("Authorization").is_some());
            assert!(!told, "{host:?}");
        }
    }
    // Within one registry the pair is that one's, as for every other command.
    run(&one, &one).run().result();
    let pinned = run(&one, &one).env("REGISTRY_HOST", "reg.example").run();
    assert_eq!(pinned.code(), "credential-host-mismatch", "{pinned}");
}

#[test]
fn two_images_are_given_neither_fewer_nor_more() {
    let mut texts = String::new();
    for words in
        [&["diff"][..], &["diff", "a:1"], &["diff", "a:1", "a:2", "a:3"], &["diff", "a:1", ""], &["diff", "a:1", "A:2"]]
    {
        let ran = tagwright([]).args(words.iter().copied()).run();
        texts.push_str(&format!("$ {}\n{}\n", ran.line, ran.stderr));
    }
    for args in [
        json!({}),
        json!({"from": "a:1"}),
        json!({"to": "a:1"}),
        json!({"from": "a:1", "to": null}),
        json!({"image": "a:1", "to": "a:2"}),
    ] {
        let request = json!({"command": "diff", "args": args}).to_string();
        let ran = tagwright(["call"]).env("TAGWRIGHT_REQUEST", request.as_str()).run();
        texts.push_str(&format!("{request}\n{}\n", ran.json()["error"]["text"].as_str().unwrap()));
    }
    insta::assert_snapshot!(texts);
}
