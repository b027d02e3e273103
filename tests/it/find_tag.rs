//! `find-tag`: the one tag whose version has a build number.

use crate::stage::{DockerHub, image, push, shown};
use crate::support::cmd::{Ran, tagwright};
use crate::support::hub::{Hub, HubTag, Options as HubOptions, Source};
use crate::support::registry::{Options, Registry, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::token::Rights;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

fn find<const N: usize>(registry: &Registry, build: &str, words: [&str; N]) -> Ran {
    tagwright(["find-tag", &registry.name("acme/app"), "--build", build]).args(words).run()
}

fn with(tags: &[&str]) -> Registry {
    let registry = Registry::start();
    push(&registry, "acme/app", tags);
    registry
}

#[test]
fn the_build_is_the_last_of_three_parts_compared_as_a_number() {
    let tags =
        ["2026.34.103", "2026.34.1030", "2026.103", "2026.34.5.103", "103", "x-2026.34.103", "2026.103.7", "latest"];
    let registry = with(&tags);
    let ran = find(&registry, "103", []);
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    assert_eq!(find(&registry, "0103", []).result()["tag"], "2026.34.103");
    assert_eq!(find(&registry, "7", []).result()["tag"], "2026.103.7");
    assert_eq!(find(&registry, "5", []).code(), "no-tag-for-build");
    let zeros = with(&["v2026.08.0103"]);
    let result = find(&zeros, "103", []).result();
    assert_eq!((result["tag"].as_str(), result["version"].as_str()), (Some("v2026.08.0103"), Some("2026.08.0103")));
}

#[test]
fn a_candidate_names_the_same_version() {
    let registry = Registry::start();
    let digest = registry.push("acme/app", "2026.34.103", &image("a"));
    registry.state(|state| state.tag("acme/app", "2026.34.103-rc", &digest));
    let result = find(&registry, "103", []).result();
    assert_eq!(
        (result["tag"].as_str(), result["alternatives"][0]["tag"].as_str()),
        (Some("2026.34.103"), Some("2026.34.103-rc"))
    );
    // Another image under the candidate's name.
    registry.push("acme/app", "2026.34.103-rc", &image("b"));
    let ran = find(&registry, "103", []);
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    assert_eq!(find(&registry, "103", ["--newest"]).code(), "build-ambiguous");
    let alone = with(&["2026.34.103-rc"]);
    assert_eq!(find(&alone, "103", []).result()["tag"], "2026.34.103-rc");
}

#[test]
fn a_spelling_that_is_gone_once_it_is_looked_at_is_none() {
    let registry = with(&["2026.34.103", "2026.34.103-rc"]);
    registry.before(|asked, _| asked.path.ends_with("-rc").then(|| Reply::error(404, "MANIFEST_UNKNOWN", "deleted")));
    let result = find(&registry, "103", []).result();
    assert_eq!((&result["tag"], &result["alternatives"]), (&json!("2026.34.103"), &json!([])));
}

#[test]
fn of_several_versions_the_newest_is_taken_only_when_asked() {
    let registry = with(&["2025.52.103", "2026.9.103", "2026.34.103"]);
    let ran = find(&registry, "103", []);
    assert_eq!((ran.code().as_str(), ran.exit), ("build-ambiguous", Some(5)));
    let names: Vec<&str> = ran.error()["details"]["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["tag"].as_str().unwrap().to_owned().leak() as &str)
        .collect();
    assert_eq!(names, ["2026.34.103", "2026.9.103", "2025.52.103"]);
    let result = find(&registry, "103", ["--newest"]).result();
    assert_eq!(result["tag"], "2026.34.103");
    assert_eq!(result["alternatives"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_format_makes_only_its_tags_count() {
    let registry = with(&["2026.34.103", "feature-x-2026.34.103", "feature-y-2026.34.103"]);
    let result = find(&registry, "103", ["--tag-format", "feature-x-{version}"]).result();
    assert_eq!(
        (result["tag"].as_str(), result["version"].as_str()),
        (Some("feature-x-2026.34.103"), Some("2026.34.103"))
    );
    assert_eq!(find(&registry, "103", []).result()["tag"], "2026.34.103");
}

#[test]
fn an_empty_repository_and_one_that_is_missing_differ() {
    let registry = with(&["1"]);
    registry.state(|state| state.repositories.get_mut("acme/app").unwrap().tags.clear());
    let ran = find(&registry, "1", []);
    assert_eq!((ran.code().as_str(), ran.error()["details"]["scanned"].as_u64()), ("no-tag-for-build", Some(0)));
    let ran = tagwright(["find-tag", &registry.name("acme/none"), "--build", "1"]).run();
    assert_eq!(ran.code(), "repository-unknown");
    // Some registries say null where there are none.
    registry.before(|asked, _| {
        asked.path.ends_with("/list").then(|| Reply::json(&json!({"name": "acme/app", "tags": null})))
    });
    assert_eq!(find(&registry, "1", []).code(), "no-tag-for-build");
}

#[test]
fn all_pages_are_read_whatever_their_size() {
    let registry = Registry::with(Options { page: Some(3), ..Options::default() });
    let tags: Vec<String> = (1..=10).map(|n| format!("2026.34.{n}")).collect();
    push(&registry, "acme/app", &tags.iter().map(String::as_str).collect::<Vec<_>>());
    let result = find(&registry, "9", []).result();
    assert_eq!((result["tag"].as_str(), result["scanned"].as_u64()), (Some("2026.34.9"), Some(10)));
    assert_eq!(registry.log().matching("GET", "/tags/list"), 4);
}

fn hub(names: &[&str], options: HubOptions) -> Hub {
    let tags = names.iter().map(|name| HubTag::named(name)).collect();
    Hub::start(Source::List(HashMap::from([("acme/app".to_owned(), tags)])), options)
}

fn find_on_hub(hub: &Hub, build: &str) -> Ran {
    tagwright(["find-tag", "acme/app", "--build", build, "--hub-api", &hub.url()]).run()
}

#[test]
fn docker_hubs_web_api_knows_digests() {
    let hub = hub(&["2026.34.102", "2026.34.103"], HubOptions::default());
    let result = find_on_hub(&hub, "103").result();
    assert_eq!(
        (result["via"].as_str(), result["digest"].as_str()),
        (Some("hub-api"), HubTag::named("2026.34.103").digest.as_deref())
    );
    assert_eq!(hub.log().count(), 1);
}

#[test]
fn a_filter_that_is_not_honoured_and_pages_that_are_smaller_change_nothing() {
    let names: Vec<String> = (1..=250).map(|n| format!("2026.34.{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for options in [
        HubOptions { name_filter: false, ..HubOptions::default() },
        HubOptions { smaller: Some(25), name_filter: false, ..HubOptions::default() },
        HubOptions { smaller: Some(7), ..HubOptions::default() },
    ] {
        let hub = hub(&names, options);
        assert_eq!(find_on_hub(&hub, "3").result()["tag"], "2026.34.3");
        let result = find_on_hub(&hub, "250").result();
        assert_eq!(result["tag"], "2026.34.250");
    }
}

#[test]
fn a_filter_that_finds_nothing_proves_nothing() {
    let hub = hub(&["2026.34.102"], HubOptions::default());
    let ran = find_on_hub(&hub, "103");
    assert_eq!(
        (ran.code().as_str(), ran.error()["details"]["newest"].as_str()),
        ("no-tag-for-build", Some("2026.34.102"))
    );
    assert_eq!(hub.log().count(), 2);
    // Nor does one that finds something else: the count in the message is that of all tags.
    let hub = self::hub(&["2026.34.1030", "1", "2"], HubOptions::default());
    let ran = find_on_hub(&hub, "103");
    assert_eq!((ran.code().as_str(), ran.error()["details"]["scanned"].as_u64()), ("no-tag-for-build", Some(3)));
    let hub = self::hub(&["2026.34.1030", "2026.34.0103"], HubOptions::default());
    assert_eq!(find_on_hub(&hub, "103").result()["tag"], "2026.34.0103");
    // Leading zeros are no part of the filter.
    let hub = self::hub(&["2026.34.0103"], HubOptions::default());
    assert_eq!(find_on_hub(&hub, "103").result()["tag"], "2026.34.0103");
}

#[test]
fn the_registrys_own_list_steps_in_for_the_web_api() {
    let refused = Reply::with(403, "application/json", r#"{"message":"access denied","errinfo":{}}"#);
    let mut texts = String::new();
    for (name, reply) in [
        ("refused", refused),
        ("broken", Reply::with(200, "application/json", "[]")),
        ("down", Reply::status(503)),
        ("silent", Reply::broken(Fault::Hang)),
        ("limited", Reply::with(429, "text/plain", "Too many requests").header("X-Retry-After", "9999")),
    ] {
        let docker = DockerHub::start(one_user("robot", "secret").anonymous(Rights::PULL));
        push(&docker.registry, "acme/app", &["2026.34.103"]);
        let hub = hub(&[], HubOptions { refusal: Some(reply), ..HubOptions::default() });
        let run = tagwright(["find-tag", "acme/app", "--build", "103", "--retries", "0", "--hub-api", &hub.url()]);
        // However it ends, it leaves time for the other list.
        let ran = docker.reach(run).args(["--timeout", "20"]).run();
        let result = ran.result();
        assert_eq!((result["via"].as_str(), result["tag"].as_str()), (Some("registry"), Some("2026.34.103")), "{name}");
        assert_eq!(ran.warnings(), ["hub-api-unavailable"], "{name}");
        if name != "silent" {
            texts.push_str(&ran.stderr.replace(hub.url().trim_start_matches("http://"), "[hub]"));
        }
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn a_web_api_that_leads_where_nothing_is_asked_is_not_passed_by() {
    let docker = DockerHub::start(one_user("robot", "secret").anonymous(Rights::PULL));
    push(&docker.registry, "acme/app", &["2026.34.103"]);
    let inside = Reply::redirect(302, "http://169.254.169.254/");
    let hub = hub(&[], HubOptions { refusal: Some(inside), ..HubOptions::default() });
    let ran = docker.reach(tagwright(["find-tag", "acme/app", "--build", "103", "--hub-api", &hub.url()])).run();
    assert_eq!((ran.code().as_str(), ran.warnings()), ("redirect-refused", vec![]), "{ran}");
}

#[test]
fn the_source_of_the_list_can_be_chosen() {
    let docker = DockerHub::start(one_user("robot", "secret").anonymous(Rights::PULL));
    push(&docker.registry, "acme/app", &["2026.34.103"]);
    let hub = hub(&["2026.34.103"], HubOptions::default());
    let run = |via: &str| {
        let run = tagwright(["find-tag", "acme/app", "--build", "103", "--via", via, "--hub-api", &hub.url()]);
        docker.reach(run).run().result()["via"].clone()
    };
    assert_eq!(run("registry"), "registry");
    assert_eq!(hub.log().count(), 0);
    assert_eq!(run("hub-api"), "hub-api");
    let refusing = self::hub(&[], HubOptions { refusal: Some(Reply::status(403)), ..HubOptions::default() });
    let ran =
        tagwright(["find-tag", "acme/app", "--build", "103", "--via", "hub-api", "--hub-api", &refusing.url()]).run();
    assert_eq!((ran.code().as_str(), ran.exit), ("denied", Some(4)));
}

#[test]
fn a_web_api_that_nothing_stands_in_for_has_the_time_of_the_run() {
    let tag = json!({"name": "2026.34.103", "digest": image("x").digest()});
    let page = json!({"count": 1, "next": null, "previous": null, "results": [tag]});
    let slow = Reply::json(&page).after(Duration::from_millis(3500));
    let hub = hub(&[], HubOptions { refusal: Some(slow), ..HubOptions::default() });
    let words = ["find-tag", "acme/app", "--build", "103", "--via", "hub-api", "--hub-api", &hub.url()];
    let result = tagwright(words).run().result();
    assert_eq!((result["tag"].as_str(), result["via"].as_str()), (Some("2026.34.103"), Some("hub-api")));
}

#[test]
fn the_web_api_is_logged_in_to_once() {
    let names: Vec<String> = (1..=250).map(|n| format!("2026.34.{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hub =
        hub(&names, HubOptions { private: true, name_filter: false, ..HubOptions::default() }.user("robot", "pat"));
    let run = tagwright(["find-tag", "acme/app", "--build", "103", "--hub-api", &hub.url()]);
    assert_eq!(run.login("robot", "pat").run().result()["tag"], "2026.34.103");
    let log = hub.log();
    assert_eq!((log.method("POST"), log.method("GET")), (1, 3));
    let body: Value = serde_json::from_slice(&log.0[0].asked.body).unwrap();
    assert_eq!(body, json!({"identifier": "robot", "secret": "pat"}));
}
