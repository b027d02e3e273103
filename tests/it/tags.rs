//! `tags`: every tag, in an order that means something.

use crate::stage::{image, many, push, shown};
use crate::support::amazon::{Amazon, HOST};
use crate::support::cmd::{Ran, tagwright};
use crate::support::hub::{Hub, HubTag, Options as HubOptions, Source};
use crate::support::registry::{Options, Registry};
use crate::support::reply::Reply;
use serde_json::json;
use std::collections::HashMap;

const TAGS: &[&str] = &[
    "latest",
    "2026.34.9",
    "2026.34.10",
    "2026.34.10-rc",
    "v2025.1",
    "nightly",
    "1.2.3.4",
    "feature-x-2026.34.1",
    "1",
];

fn with() -> Registry {
    let registry = Registry::start();
    push(&registry, "acme/app", TAGS);
    let derived = image("2026.34.9").digest().replace(':', "-");
    for tail in ["", ".sig", ".att", ".sbom"] {
        push(&registry, "acme/app", &[&format!("{derived}{tail}")]);
    }
    registry
}

fn tags<const N: usize>(registry: &Registry, words: [&str; N]) -> Ran {
    tagwright(["tags", &registry.name("acme/app")]).args(words).run()
}

fn names(ran: &Ran) -> Vec<String> {
    ran.result()["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn versions_come_newest_first_then_the_rest_by_name() {
    let registry = with();
    let ran = tags(&registry, []);
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    assert_eq!(registry.log().count(), 1);
}

#[test]
fn a_tag_that_stands_on_two_pages_is_listed_once() {
    let registry = Registry::with(Options { page: Some(2), ..Options::default() });
    push(&registry, "acme/app", &["1", "2", "3"]);
    registry.before(|asked, _| {
        asked.query("last").map(|last| Reply::json(&json!({"name": "acme/app", "tags": [last, "3"]})))
    });
    assert_eq!(names(&tags(&registry, [])), ["1", "2", "3"]);
}

#[test]
fn a_list_without_links_is_read_on_behind_a_full_page_and_ends_where_nothing_new_comes() {
    let registry = Registry::start();
    many(&registry, "acme/app", 1500);
    registry.after(|_, _, reply| *reply = reply.clone().without("Link"));
    assert_eq!(tags(&registry, []).result()["scanned"], 1500);
    // One that always gives its first page.
    let page: Vec<String> = (1..=1000).map(|n| format!("1.{n}")).collect();
    registry.before(move |_, _| Some(Reply::json(&json!({"name": "acme/app", "tags": page}))));
    assert_eq!(tags(&registry, []).result()["scanned"], 1000);
}

#[test]
fn names_are_matched_sorted_and_cut() {
    let registry = with();
    assert_eq!(names(&tags(&registry, ["--match", "2026.34.*", "--limit", "2"])), ["2026.34.10", "2026.34.10-rc"]);
    assert_eq!(names(&tags(&registry, ["--match", "[ln]*"])), ["latest", "nightly"]);
    assert_eq!(names(&tags(&registry, ["--match", "none"])), Vec::<String>::new());
    let sorted = names(&tags(&registry, ["--sort", "name", "--limit", "3"]));
    assert_eq!(sorted, ["1", "1.2.3.4", "2026.34.10"]);
    let ran = tags(&registry, ["--limit", "2"]);
    assert_eq!(ran.result()["scanned"], 13);
    // A plain list does not tell when tags were pushed.
    let ran = tags(&registry, ["--sort", "updated", "--limit", "1"]);
    assert_eq!((names(&ran), ran.warnings()), (vec!["2026.34.10".to_owned()], vec!["updated-unknown".to_owned()]));
}

#[test]
fn a_format_says_which_tags_are_versions() {
    let ran = tags(&with(), ["--tag-format", "feature-x-{version}", "--limit", "2"]);
    let result = ran.result();
    assert_eq!(result["tags"][0]["tag"], "feature-x-2026.34.1");
    assert_eq!(result["tags"][0]["version"], "2026.34.1");
    assert!(result["tags"][1]["version"].is_null());
}

#[test]
fn docker_hub_tells_digests_and_times() {
    let tag = |name: &str, updated: &str| HubTag { updated: Some(updated.to_owned()), ..HubTag::named(name) };
    let old = HubTag { digest: None, updated: None, images: Vec::new(), ..HubTag::named("ancient") };
    let list = vec![
        tag("2026.34.1", "2026-08-20T10:00:00.1Z"),
        tag("latest", "2026-08-22T10:00:00.1Z"),
        tag("2026.34.2", "2026-08-21T10:00:00.1Z"),
        old,
    ];
    let hub = Hub::start(Source::List(HashMap::from([("acme/app".to_owned(), list)])), HubOptions::default());
    let run =
        |words: &[&str]| tagwright(["tags", "acme/app", "--hub-api", &hub.url()]).args(words.iter().copied()).run();
    let ran = run(&[]);
    insta::assert_snapshot!(shown(&ran, &[(&hub.url(), "[hub]")]));
    assert_eq!(names(&run(&["--sort", "updated"])), ["latest", "2026.34.2", "2026.34.1", "ancient"]);
}

#[test]
fn a_list_of_docker_hub_may_grow_while_it_is_read_but_not_without_end() {
    // What is pushed meanwhile moves the last name of a page to the next one.
    for (last, expected) in [(3, Ok(["1.4", "1.3", "1.2", "1.1"])), (4, Err("reply-malformed"))] {
        let hub = Hub::start(Source::List(HashMap::new()), HubOptions::default());
        let url = hub.url();
        hub.hook(move |asked| {
            let page: usize = asked.query("page")?.parse().ok()?;
            let next = (page < last).then(|| format!("{url}{}?page={}&page_size=100", asked.path, page + 1));
            let results = [page, page + 1].map(|n| json!({"name": format!("1.{n}")}));
            Some(Reply::json(&json!({"count": page, "next": next, "results": results})))
        });
        let ran = tagwright(["tags", "acme/app", "--via", "hub-api", "--hub-api", &hub.url()]).run();
        match expected {
            Ok(listed) => {
                assert_eq!((names(&ran), &ran.result()["scanned"]), (listed.map(str::to_owned).to_vec(), &json!(6)))
            }
            Err(code) => assert_eq!(ran.code(), code),
        }
    }
}

#[test]
fn an_official_image_lies_in_the_library() {
    let list = vec![HubTag::named("1")];
    let hub = Hub::start(Source::List(HashMap::from([("library/app".to_owned(), list)])), HubOptions::default());
    let result = tagwright(["tags", "app", "--hub-api", &hub.url()]).run().result();
    assert_eq!(result["repository"], "docker.io/library/app");
}

#[test]
fn a_page_that_leads_elsewhere_gets_no_token() {
    let names: Vec<HubTag> = (1..=30).map(|n| HubTag::named(&format!("1.{n}"))).collect();
    let trap = crate::support::http::Listener::start(|_| crate::support::reply::Reply::status(200));
    let options =
        HubOptions { smaller: Some(10), base: Some(trap.url()), ..HubOptions::default() }.user("robot", "pat");
    let hub = Hub::start(Source::List(HashMap::from([("acme/app".to_owned(), names)])), options);
    let run = tagwright(["tags", "acme/app", "--via", "hub-api", "--hub-api", &hub.url()]);
    let ran = run.login("robot", "pat").run();
    assert_eq!(ran.code(), "reply-malformed");
    assert!(ran.error()["hint"].is_string(), "{ran}");
    assert_eq!(trap.connections(), 0);
}

#[test]
fn names_that_match_one_of_several_are_listed_but_for_those_that_are_left_out() {
    let registry = with();
    let run =
        |words: &[&str]| names(&tagwright(["tags", &registry.name("acme/app")]).args(words.iter().copied()).run());
    assert_eq!(run(&["--match", "l*", "--match", "n*"]), ["latest", "nightly"]);
    assert_eq!(run(&["--match", "[ln]*", "--exclude", "night*"]), ["latest"]);
    let left = run(&["--exclude", "*.*", "--exclude", "latest"]);
    assert!(!left.is_empty() && !left.iter().any(|name| name.contains('.') || name == "latest"), "{left:?}");
    let request = json!({"command": "tags", "args": {"repository": registry.name("acme/app"), "match": ["l*", "n*"], "exclude": "l*"}});
    let ran = tagwright(["call"]).env("TAGWRIGHT_REQUEST", request.to_string()).run();
    assert_eq!(names(&ran), ["nightly"]);
}

#[test]
fn what_was_updated_since_is_listed_where_the_list_tells_when() {
    let ago = |hours: i64| {
        let moment = time::OffsetDateTime::now_utc() - time::Duration::hours(hours);
        Some(moment.format(&time::format_description::well_known::Rfc3339).unwrap())
    };
    let list =
        [("new", ago(1)), ("older", ago(30)), ("old", ago(200)), ("ancient", None), ("odd", Some("soon".to_owned()))];
    let hub = Hub::of("acme/app", list.map(|(name, updated)| HubTag { updated, ..HubTag::named(name) }));
    let run = |since: &str, more: &[&str]| {
        let run =
            tagwright(["tags", "acme/app", "--hub-api", &hub.url(), "--sort", "updated", "--updated-since", since]);
        run.args(more.iter().copied()).run()
    };
    for (since, expected) in
        [("12h", &["new"][..]), ("2d", &["new", "older"]), ("2w", &["new", "older", "old"]), ("2999-01-01", &[])]
    {
        assert_eq!(names(&run(since, &[])), expected, "{since}");
    }
    assert_eq!(names(&run("2026-01-01", &["--limit", "1"])), ["new"]);
    let ran = run("7m", &[]);
    assert_eq!((ran.code().as_str(), ran.exit), ("request-invalid", Some(2)));
    assert!(ran.error()["hint"].as_str().unwrap().contains("`7d`"), "{ran}");
}

#[test]
fn a_list_without_times_says_where_there_are_some() {
    let registry = with();
    let ran = tagwright(["tags", &registry.name("acme/app"), "--updated-since", "7d"]).run();
    assert_eq!((ran.code().as_str(), ran.exit), ("request-invalid", Some(2)));
    let hint = ran.error()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("`--via hub-api`") && hint.contains("`--via ecr-api`"), "{ran}");
    // There is nothing in it that could be too old.
    let empty = Registry::start();
    empty.push("acme/app", "x", &image("x"));
    empty.state(|state| state.repositories.get_mut("acme/app").unwrap().tags.clear());
    let ran = tagwright(["tags", &empty.name("acme/app"), "--updated-since", "7d"]).run();
    assert_eq!(names(&ran), Vec::<String>::new());
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    amazon.state(|state| state.allowed = Some(["ecr:ListImages".to_owned()].into()));
    let ran = amazon.signed(["tags", &format!("{HOST}/team/app"), "--updated-since", "7d"]).run();
    assert!(ran.error()["hint"].as_str().unwrap().contains("`ecr:DescribeImages`"), "{ran}");
}
