//! How many requests a command makes, and how many of them one after another.
//!
//! Round trips are derived from the server's log: it holds every answer back for a fixed step, so that requests side by
//! side overlap there, and a new connection counts as one round trip more.

use crate::stage::{DockerHub, STEP, check_trips, image, many, push};
use crate::support::cmd::tagwright;
use crate::support::hub::{Hub, HubTag, Options as HubOptions, Source};
use crate::support::image::two_platforms;
use crate::support::log::Log;
use crate::support::registry::{Auth, Options, Registry, one_user};
use crate::support::reply::Reply;
use crate::support::token::{Rights, Rules};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn check_count(log: &Log, expected: usize) {
    assert_eq!(log.count(), expected, "{:#?}", log.lines());
}

#[test]
fn labels_of_one_image_take_two_requests() {
    let registry = Registry::start();
    registry.push("acme/app", "1", &image("abc"));
    tagwright(["labels", &registry.name("acme/app:1")]).run().result();
    check_count(&registry.log(), 2);
    assert_eq!(registry.connections(), 1);
}

#[test]
fn labels_with_a_token_take_four_requests() {
    let registry = Registry::bearer(Rules::default().anonymous(Rights::PULL));
    registry.push("acme/app", "1", &image("abc"));
    tagwright(["labels", &registry.name("acme/app:1")]).run().result();
    check_count(&registry.log(), 4);
}

#[test]
fn labels_with_a_token_for_a_password_take_four_requests() {
    let registry = Registry::bearer(one_user("robot", "secret"));
    registry.push("acme/app", "1", &image("abc"));
    tagwright(["labels", &registry.name("acme/app:1")]).login("robot", "secret").run().result();
    check_count(&registry.log(), 4);
}

#[test]
fn labels_on_docker_hub_take_three_requests() {
    for login in [None, Some(("robot", "secret"))] {
        let hub = DockerHub::start(one_user("robot", "secret").anonymous(Rights::PULL));
        hub.registry.push("acme/app", "1", &image("abc"));
        let mut run = hub.reach(tagwright(["labels", "acme/app:1"]));
        if let Some((user, password)) = login {
            run = run.login(user, password);
        }
        assert_eq!(run.run().result()["reference"], "docker.io/acme/app:1");
        check_count(&hub.registry.log(), 3);
    }
}

#[test]
fn docker_hub_is_connected_to_while_its_token_is_fetched() {
    let hub = Arc::new(DockerHub::start(one_user("robot", "secret").anonymous(Rights::PULL)));
    hub.registry.push("acme/app", "1", &image("abc"));
    let (seen, desk) = (Arc::downgrade(&hub), hub.registry.tokens().desk());
    // None is lent before there is a connection to use it on.
    hub.registry.tokens().hook(move |_| {
        let asked = Instant::now();
        let is_met = || seen.upgrade().is_some_and(|hub| hub.registry.connections() > 0);
        while !is_met() && asked.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        let token = desk.mint("somebody", &[("acme/app".to_owned(), vec!["pull".to_owned()])]);
        Some(if is_met() { Reply::json(&json!({"token": token})) } else { Reply::status(403) })
    });
    hub.reach(tagwright(["labels", "acme/app:1"])).run().result();
    check_count(&hub.registry.log(), 3);
}

#[test]
fn labels_with_a_password_take_three_requests() {
    let registry = Registry::basic("robot", "secret");
    registry.push("acme/app", "1", &image("abc"));
    tagwright(["labels", &registry.name("acme/app:1")]).login("robot", "secret").run().result();
    check_count(&registry.log(), 3);
}

#[test]
fn labels_of_several_platforms_are_read_side_by_side() {
    let registry = Registry::start();
    registry.push("acme/app", "1", &two_platforms("abc", "one"));
    registry.latency(STEP);
    tagwright(["labels", &registry.name("acme/app:1")]).run().result();
    let log = registry.log();
    check_count(&log, 5);
    // Connect, index; both manifests, one on a new connection; both config blobs.
    assert!(log.round_trips() <= 5, "{} {:#?}", log.round_trips(), log.lines());
}

/// A repository with `latest` on the version before the one that is promoted.
fn fill(registry: &Registry) -> String {
    push(registry, "acme/app", &["2026.34.101", "2026.34.102"]);
    let before = registry.resolve("acme/app", "2026.34.102").unwrap();
    registry.state(|state| state.tag("acme/app", "latest", &before));
    registry.push("acme/app", "2026.34.103", &two_platforms("abc", "one"))
}

fn check_promotion(registry: impl Fn() -> Registry, login: bool, most: usize) {
    check_trips(most, || trips_of_a_promotion(&registry(), login));
}

fn trips_of_a_promotion(registry: &Registry, login: bool) -> usize {
    let digest = fill(registry);
    registry.latency(STEP);
    let mut run = tagwright(["promote", &registry.name("acme/app:2026.34.103")]);
    if login {
        run = run.login("robot", "secret");
    }
    let result = run.run().result();
    assert_eq!(result["tags"][0]["action"], "created");
    assert_eq!(result["tags"][1]["action"], "moved");
    assert_eq!(result["tags"][1]["beforeVersion"], "2026.34.102");
    let log = registry.log();
    let lines = log.lines();
    let sources = lines.iter().filter(|line| line.starts_with("GET") && line.ends_with("2026.34.103 -> 200")).count();
    assert_eq!(sources, 1, "{lines:#?}");
    assert_eq!(log.matching("GET", "/blobs/") + log.matching("HEAD", "/blobs/"), 0, "{lines:#?}");
    assert_eq!((log.method("PUT"), log.method("PATCH")), (2, 0), "{lines:#?}");
    for tag in ["2026.34.103-rc", "latest"] {
        assert_eq!(registry.resolve("acme/app", tag), Some(digest.clone()));
    }
    let looked: Vec<_> = log
        .0
        .iter()
        .filter(|one| one.asked.method == "HEAD" && one.asked.path.ends_with("/2026.34.103-rc"))
        .chain(log.0.iter().filter(|one| one.asked.method == "HEAD" && one.asked.path.ends_with("/latest")).take(1))
        .collect();
    let side_by_side =
        looked[0].started < looked.last().unwrap().ended && looked.last().unwrap().started < looked[0].ended;
    assert!(side_by_side, "the targets were looked up one after the other: {lines:#?}");
    log.round_trips()
}

#[test]
fn a_promotion_to_a_tag_and_then_another_takes_six_round_trips() {
    check_promotion(Registry::start, false, 6);
}

#[test]
fn a_promotion_of_a_build_takes_eight_round_trips() {
    // The list, and then what is asked side by side on connections that were made meanwhile, which count all the same.
    check_trips(8, || {
        let registry = Registry::start();
        fill(&registry);
        registry.latency(STEP);
        tagwright(["promote", &registry.name("acme/app"), "--build", "103"]).run().result();
        registry.log().round_trips()
    });
}

#[test]
fn what_a_build_is_asked_about_is_connected_for_while_the_list_is_read() {
    let registry = Arc::new(Registry::start());
    fill(&registry);
    let seen = Arc::downgrade(&registry);
    // No list comes before there is a connection besides its own.
    registry.before(move |asked, _| {
        let began = Instant::now();
        let is_met = || seen.upgrade().is_some_and(|registry| registry.connections() > 1);
        while asked.path.ends_with("/tags/list") && !is_met() && began.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        (!is_met()).then(|| Reply::status(403))
    });
    tagwright(["promote", &registry.name("acme/app"), "--build", "103"]).run().result();
}

#[test]
fn a_promotion_with_tokens_takes_nine_round_trips() {
    check_promotion(|| Registry::bearer(one_user("robot", "secret")), true, 9);
}

#[test]
fn a_promotion_with_a_password_takes_seven_round_trips() {
    check_promotion(|| Registry::basic("robot", "secret"), true, 7);
}

#[test]
fn a_promotion_in_tls_takes_one_round_trip_more_for_connecting() {
    let authority = crate::support::tls::Authority::new();
    check_trips(7, || {
        let registry = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
        fill(&registry);
        registry.latency(STEP);
        let run = tagwright(["promote", &registry.name("acme/app:2026.34.103"), "--https", "--ca-file"]);
        run.arg(authority.ca_file()).run().result();
        registry.log().round_trips()
    });
}

#[test]
fn a_promotion_that_only_moves_tags_takes_four_round_trips() {
    // A connection for each question of the look; the writes; what they came to.
    check_trips(4, || {
        let registry = Registry::start();
        fill(&registry);
        registry.latency(STEP);
        let words = ["promote", &registry.name("acme/app:2026.34.103"), "--move", "latest", "--move", "stable"];
        tagwright(words).run().result();
        registry.log().round_trips()
    });
}

/// A source and two targets with `latest` on the version before, in as many repositories each.
fn three(images: usize) -> [Registry; 3] {
    let registries = [Registry::start(), Registry::start(), Registry::start()];
    for number in 0..images {
        let repository = format!("acme/app-{number}");
        let version = |version: &str| two_platforms(&format!("{number} {version}"), version);
        registries[0].push(&repository, "2026.34.103", &version("2026.34.103"));
        for target in &registries[1..] {
            let before = target.push(&repository, "2026.34.102", &version("2026.34.102"));
            target.state(|state| state.tag(&repository, "latest", &before));
        }
    }
    registries.iter().for_each(|registry| registry.latency(STEP));
    registries
}

fn logs(registries: &[Registry]) -> Log {
    registries.iter().fold(Log::default(), |all, registry| all.and(registry.log()))
}

#[test]
fn two_targets_take_no_more_round_trips_than_one() {
    let trips = [1, 2].map(|targets| {
        let registries = three(1);
        let mut run = tagwright(["promote", &registries[0].name("acme/app-0:2026.34.103"), "--to", "{tag}"]);
        for target in &registries[1..=targets] {
            run = run.args(["--into", &target.name("acme/app-0")]);
        }
        run.args(["--move", "latest"]).run().result();
        logs(&registries).round_trips()
    });
    assert!(trips[1] <= trips[0] + 1, "{trips:?}");
}

#[test]
fn a_release_has_sixteen_requests_under_way_at_a_registry_at_most() {
    let registries = three(6);
    let images: Vec<_> = (0..6)
        .map(|number| {
            let [from, into @ ..] = registries.each_ref().map(|one| one.name(&format!("acme/app-{number}")));
            serde_json::json!({"image": format!("{from}:2026.34.103"), "into": into, "to": ["{tag}"], "move": ["latest"]})
        })
        .collect();
    tagwright(["release", "-"]).stdin(serde_json::json!(images).to_string()).run().result();
    let under_way = |log: Log| {
        let at = |at| log.0.iter().filter(|one| one.started <= at && at < one.ended).count();
        log.0.iter().map(|one| at(one.started)).max().unwrap()
    };
    // Each registry has as many as one may have, and together they have more.
    assert_eq!(registries.each_ref().map(|one| under_way(one.log())).into_iter().max(), Some(16));
    assert!(under_way(logs(&registries)) > 16);
}

#[test]
fn five_thousand_tags_take_no_request_each() {
    let registry = Registry::start();
    let digest = many(&registry, "acme/app", 5000);
    let repository = registry.name("acme/app");
    let reference = format!("{repository}:2026.34.7");
    // What each may take beside the five pages of the list.
    for (words, beside) in [
        (vec!["find-tag", &repository, "--build", "4990"], 1),
        (vec!["find-tag", &repository, "--build", "4990", "--no-digest"], 0),
        (vec!["tags", &repository], 0),
        (vec!["next-version", &repository, "--build", "5001", "--at", "2026-08-21"], 0),
        (vec!["next-version", &repository, "--build", "auto", "--at", "2026-08-21"], 0),
        // The image, its config, what points at it, and at most 64 tags that may be the same.
        (vec!["inspect", &reference], 67),
    ] {
        registry.clear();
        let ran = tagwright([]).args(words).run();
        ran.result();
        let log = registry.log();
        assert!(log.count() <= 5 + beside, "{}: {} requests", ran.line, log.count());
        assert_eq!(log.matching("GET", "/tags/list"), 5, "{}", ran.line);
    }
    assert_eq!(registry.resolve("acme/app", "2026.34.5000"), Some(digest));
}

#[test]
fn the_digest_of_a_build_is_asked_for_only_where_it_is_shown() {
    let registry = Registry::start();
    push(&registry, "acme/app", &["2026.34.101", "2026.34.102"]);
    let digest = registry.resolve("acme/app", "2026.34.101").unwrap();
    let find = |words: &[&str]| {
        registry.clear();
        let ran = tagwright(["find-tag", &registry.name("acme/app"), "--build", "101"]).args(words).run();
        (ran.stdout.trim().to_owned(), registry.log().count())
    };
    assert_eq!(find(&["--print", "tag"]), ("2026.34.101".to_owned(), 1));
    assert_eq!(find(&["--print", "tag", "--print", "digest"]), (format!("2026.34.101\n{digest}"), 2));
    let (document, count) = find(&["--no-digest"]);
    assert_eq!((document.contains(r#""digest":null"#), count), (true, 1), "{document}");
    assert!(find(&[]).0.contains(digest.as_str()));
}

#[test]
fn promotion_among_five_thousand_tags_looks_at_few() {
    let registry = Registry::start();
    many(&registry, "acme/app", 5000);
    let repository = registry.name("acme/app");
    registry.push("acme/app", "2026.34.4990", &image("wanted"));
    registry.push("acme/app", "latest", &image("unknown to any version"));
    let ran = tagwright(["promote", &repository, "--build", "4990"]).run();
    assert_eq!(ran.result()["tags"][1]["action"], "moved");
    assert_eq!(ran.warnings(), ["previous-unknown"]);
    let log = registry.log();
    // Six pages, before the first write and after the last; ten newer versions to decide, sixteen older ones to name
    // what the tag held; the promotion itself.
    assert!(log.count() <= 2 * 6 + 10 + 16 + 9, "{:#?}", log.lines());

    registry.clear();
    registry.push("acme/app", "latest", &image("unknown to any version"));
    let ran = tagwright(["promote", &format!("{repository}:2026.34.7")]).run();
    assert_eq!(ran.code(), "order-unknown");
    let log = registry.log();
    assert!(log.count() <= 5 + 200 + 10, "{}", log.count());
    assert_eq!(log.writes(), 0);
}

#[test]
fn to_inspect_an_image_takes_three_requests_besides_the_look_at_other_tags() {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    registry.push("acme/app", "1", &image("abc"));
    registry.latency(STEP);
    tagwright(["inspect", &registry.name("acme/app:1")]).run().result();
    let log = registry.log();
    // List, image, config, what points at it, and the one tag that the list has no digest of.
    check_count(&log, 5);
    // What points at the image is asked beside its config: a connection, the image, that, the other tag.
    assert!(log.round_trips() <= 5, "{} {:#?}", log.round_trips(), log.lines());
}

#[test]
fn to_inspect_an_image_of_docker_hub_takes_one_page_and_nothing_to_know_who_pushed_it() {
    let hub = DockerHub::start(Rules::default().anonymous(Rights::PULL));
    let digest = hub.registry.push("acme/app", "1", &image("abc"));
    let tag = HubTag { digest: Some(digest), ..HubTag::named("1") };
    let list = HashMap::from([("acme/app".to_owned(), vec![tag])]);
    let web = Hub::start(Source::List(list), HubOptions::default());
    let run = hub.reach(tagwright(["inspect", "acme/app:1", "--hub-api", &web.url()]));
    assert_eq!(run.run().result()["pushed"]["by"], "robot");
    // Token, image, config.
    check_count(&hub.registry.log(), 3);
    check_count(&web.log(), 1);
}

fn hub_list(count: usize) -> HashMap<String, Vec<HubTag>> {
    let tags = (1..=count).map(|n| HubTag::named(&format!("2026.34.{n}"))).collect();
    HashMap::from([("acme/app".to_owned(), tags)])
}

#[test]
fn a_build_among_five_thousand_tags_of_docker_hub_is_found_with_one_filtered_page() {
    let hub = Hub::start(Source::List(hub_list(5000)), HubOptions::default());
    let ran = tagwright(["find-tag", "acme/app", "--build", "4321", "--hub-api", &hub.url()]).run();
    assert_eq!((ran.result()["tag"].as_str(), ran.result()["via"].as_str()), (Some("2026.34.4321"), Some("hub-api")));
    check_count(&hub.log(), 1);
}

#[test]
fn five_thousand_tags_of_docker_hub_take_fifty_pages() {
    let hub = Hub::start(Source::List(hub_list(5000)), HubOptions::default());
    let ran = tagwright(["tags", "acme/app", "--limit", "1", "--hub-api", &hub.url()]).run();
    assert_eq!(ran.result()["scanned"], 5000);
    assert_eq!(ran.result()["tags"][0]["tag"], "2026.34.5000");
    check_count(&hub.log(), 50);
}

#[test]
fn a_promotion_on_docker_hub_decides_by_the_digests_of_the_pages() {
    let rules = one_user("robot", "secret");
    let docker = DockerHub::start(rules.clone());
    let versions: Vec<String> = (1..=300).map(|n| format!("2026.34.{n}")).collect();
    let names: Vec<&str> = versions.iter().map(String::as_str).collect();
    push(&docker.registry, "acme/app", &names);
    let held = docker.registry.resolve("acme/app", "2026.34.299").unwrap();
    docker.registry.state(|state| state.tag("acme/app", "latest", &held));
    let tags = docker.registry.tags("acme/app");
    let tags = tags.into_iter().map(|(name, digest)| HubTag { digest: Some(digest), ..HubTag::named(&name) }).collect();
    let list = HashMap::from([("acme/app".to_owned(), tags)]);
    let hub = Hub::start(Source::List(list), HubOptions::default().user("robot", "secret"));
    let run = docker.reach(tagwright(["promote", "acme/app:2026.34.300", "--hub-api", &hub.url()]));
    let ran = run.login("robot", "secret").run();
    assert_eq!(ran.result()["tags"][1]["beforeVersion"], "2026.34.299", "{ran}");
    // Token, source, two targets, two writes, the moving one again, both read back; the tag list beside that, from the
    // registry itself and in one page.
    check_count(&docker.registry.log(), 10);
    // Login and four pages.
    check_count(&hub.log(), 5);
    // A build that moves nothing is found in one page.
    let run = docker.reach(tagwright(["promote", "acme/app", "--build", "299", "--to", "x", "--hub-api", &hub.url()]));
    run.login("robot", "secret").run().result();
    check_count(&hub.log(), 5 + 2);
}

#[test]
fn a_second_run_of_a_promotion_writes_nothing() {
    let registry = Registry::with(Options { auth: Auth::None, referrers: true, ..Options::default() });
    fill(&registry);
    let words = ["promote", &registry.name("acme/app:2026.34.103")];
    tagwright(words).run().result();
    registry.clear();
    let result = tagwright(words).run().result();
    for at in 0..2 {
        assert_eq!(result["tags"][at]["action"], "unchanged");
    }
    assert_eq!(result["rollback"].as_array().map(Vec::len), Some(0));
    assert_eq!(registry.log().writes(), 0);
}
