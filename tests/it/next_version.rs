//! `next-version`: ISO week-year, ISO week, build, and never one that exists or is lower than one that does.

use crate::stage::{DockerHub, push, shown};
use crate::support::cmd::{Ran, tagwright};
use crate::support::hub::{Hub, HubTag, Options as HubOptions, Source};
use crate::support::registry::{Registry, one_user};
use crate::support::reply::Reply;
use serde_json::Value;
use std::collections::HashMap;

const AT: &str = "2026-08-21";

fn next<const N: usize>(registry: &Registry, words: [&str; N]) -> Ran {
    tagwright(["next-version", &registry.name("acme/app")]).args(words).run()
}

fn with(tags: &[&str]) -> Registry {
    let registry = Registry::start();
    push(&registry, "acme/app", tags);
    registry
}

fn version(ran: &Ran) -> String {
    ran.result()["version"].as_str().unwrap().to_owned()
}

#[test]
fn the_week_goes_with_the_week_year() {
    for (at, expected) in [
        ("2026-08-21", "2026.34.103"),
        ("2027-01-01", "2026.53.103"),
        ("2027-01-04", "2027.1.103"),
        ("2024-12-30", "2025.1.103"),
        ("2021-01-03", "2020.53.103"),
        ("2026-08-23T23:30:00-02:00", "2026.35.103"),
        ("2026-08-24T01:30:00+02:00", "2026.34.103"),
        ("@1787304600", "2026.34.103"),
    ] {
        assert_eq!(version(&tagwright(["next-version", "--build", "103", "--at", at]).run()), expected, "{at}");
    }
}

#[test]
fn without_a_repository_nothing_is_compared() {
    let ran = tagwright(["next-version", "--build", "103", "--at", AT]).run();
    insta::assert_snapshot!(shown(&ran, &[]));
}

#[test]
fn the_highest_version_is_the_previous_one() {
    let registry = with(&["2026.34.99", "2026.34.102-rc", "2026.9.500", "latest", "2027.1", "9999.1.1.1"]);
    let ran = next(&registry, ["--build", "103", "--at", AT]);
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    assert_eq!(next(&registry, ["--build", "103", "--at", AT, "--text", "--quiet"]).stdout, "2026.34.103\n");
}

#[test]
fn a_version_that_exists_or_is_lower_is_refused_or_bumped() {
    let registry = with(&["2026.34.103", "2026.34.101"]);
    let mut texts = String::new();
    for (build, at) in [("103", AT), ("102", AT), ("1", AT), ("200", "2026-08-14")] {
        let ran = next(&registry, ["--build", build, "--at", at]);
        assert_eq!((ran.code().as_str(), ran.exit), ("version-not-increasing", Some(5)), "{ran}");
        texts.push_str(&format!("{build} at {at}\n{}\n", ran.stderr).replace(&registry.host(), "[registry]"));
    }
    insta::assert_snapshot!(texts);
    for (build, at, expected) in [
        ("103", AT, "2026.34.104"),
        ("1", AT, "2026.34.104"),
        ("200", "2026-08-14", "2026.34.200"),
        ("104", AT, "2026.34.104"),
    ] {
        let ran = next(&registry, ["--build", build, "--at", at, "--on-conflict", "bump"]);
        assert_eq!(version(&ran), expected, "{build} {at}");
        let made = expected.rsplit('.').next().unwrap();
        assert_eq!(ran.stderr.contains(&format!(": build {build} became {made}")), build != made, "{ran}");
    }
    // In the next week the count may start anew.
    assert_eq!(version(&next(&registry, ["--build", "1", "--at", "2026-08-28"])), "2026.35.1");
}

#[test]
fn auto_counts_on_from_the_highest() {
    let registry = with(&["2026.34.103", "2026.33.900"]);
    assert_eq!(version(&next(&registry, ["--build", "auto", "--at", AT])), "2026.34.104");
    assert_eq!(version(&next(&registry, ["--build", "auto", "--at", "2026-08-28"])), "2026.35.104");
    let registry = with(&["latest"]);
    let ran = next(&registry, ["--build", "auto", "--at", AT]);
    assert_eq!((version(&ran), ran.result()["previous"].clone()), ("2026.34.1".to_owned(), Value::Null));
}

#[test]
fn a_repository_that_is_proven_to_be_missing_has_no_versions() {
    let registry = with(&["1"]);
    let ran = tagwright(["next-version", &registry.name("acme/new"), "--build", "1", "--at", AT]).run();
    assert_eq!((version(&ran), ran.warnings()), ("2026.34.1".to_owned(), vec!["repository-unknown".to_owned()]));
    for status in [401, 403, 429, 500, 503] {
        let registry = with(&["1"]);
        registry.before(move |_, _| Some(Reply::error(status, "X", "no")));
        let ran = next(&registry, ["--build", "1", "--at", AT, "--retries", "0"]);
        assert!(matches!(ran.exit, Some(4 | 6)), "{status}: {ran}");
    }
}

#[test]
fn a_private_repository_of_docker_hub_is_not_taken_for_a_missing_one() {
    let docker = DockerHub::start(one_user("robot", "secret"));
    push(&docker.registry, "acme/app", &["2026.34.103"]);
    let list = HashMap::from([("acme/app".to_owned(), vec![HubTag::named("2026.34.103")])]);
    let hub =
        Hub::start(Source::List(list), HubOptions { private: true, ..HubOptions::default() }.user("robot", "secret"));
    let run =
        || docker.reach(tagwright(["next-version", "acme/app", "--build", "1", "--at", AT, "--hub-api", &hub.url()]));
    let ran = run().run();
    assert_eq!((ran.code().as_str(), ran.exit), ("credential-missing", Some(4)), "{ran}");
    assert_eq!(run().login("robot", "secret").run().code(), "version-not-increasing");
}

#[test]
fn a_format_makes_only_its_tags_count() {
    let registry = with(&["2026.34.103", "feature-x-2026.34.5"]);
    let words = ["--build", "6", "--at", AT, "--tag-format", "feature-x-{version}"];
    let ran = next(&registry, words);
    assert_eq!((version(&ran), ran.result()["previous"].as_str()), ("2026.34.6".to_owned(), Some("2026.34.5")));
}
