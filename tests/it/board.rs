//! `board`: what is on the moving tags of repositories, from lists, times and records; as rows and as a page.

use crate::history::rewrite;
use crate::stage::{image, many, push, shown};
use crate::support::amazon::{Amazon, HOST};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::hub::{Hub, HubTag, Options as HubOptions, Source};
use crate::support::image::Image;
use crate::support::registry::{Options, Registry};
use crate::support::reply::Reply;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use tagwright::cli::parse::parse;

const APP: &str = "acme/app";
const LONG: &str = "0123456789abcdef0123456789abcdef0123456";

/// A registry with four versions, three of which were promoted to `latest` with a record.
pub fn filled() -> Registry {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    let days = [(21, "2026.34.101", "stable"), (22, "2026.34.102", "beta"), (24, "2026.35.103", "beta")];
    for (day, tag, more) in days {
        let labels = [
            ("org.opencontainers.image.revision", format!("{}{LONG}", day % 10)),
            ("org.opencontainers.image.source", "https://github.com/acme/app".to_owned()),
        ];
        let image = labels.iter().fold(Image::new().layer(tag), |image, (key, value)| image.label(key, value));
        let digest = registry.push(APP, tag, &image.build());
        let source = registry.name(&format!("{APP}:{tag}"));
        let words = ["promote", &source, "--move", "latest", "--move", more, "--attach-record"];
        let build = [("USER", "mo"), ("JOB_NAME", "release"), ("BUILD_NUMBER", &tag[8..])];
        let run = build.iter().fold(tagwright(words), |run, (name, value)| run.env(name, *value));
        let ran = run.env("BUILD_URL", format!("https://ci.example/job/release/{}/", &tag[8..])).run();
        assert!(ran.result()["attached"].is_string(), "{ran}");
        rewrite(&registry, &digest, |record| record["at"] = json!(format!("2026-08-{day}T10:00:00Z")));
    }
    push(&registry, APP, &["2026.35.104", "nightly-20260821", "pr-7"]);
    registry.clear();
    registry
}

/// Changes what a record says of its promotion.
fn says(registry: &Registry, tag: &str, change: impl Fn(&mut Value)) {
    rewrite(registry, &registry.resolve(APP, tag).unwrap(), |record| match record.get("promotions") {
        Some(_) => change(&mut record["promotions"][0]),
        None => change(record),
    });
}

fn board<const N: usize>(registry: &Registry, tail: &str, words: [&str; N]) -> Tagwright {
    tagwright(["board", &registry.name(&format!("{APP}{tail}"))]).args(words)
}

/// The rows of the first repository.
fn rows(ran: &Ran) -> Vec<Value> {
    ran.result()["repositories"][0]["tags"].as_array().unwrap().clone()
}

fn names(ran: &Ran) -> Vec<String> {
    rows(ran).iter().map(|row| row["tag"].as_str().unwrap().to_owned()).collect()
}

fn is_there(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn each_moving_tag_tells_its_version_since_when_from_where_by_whom_and_what_changed() {
    let registry = filled();
    let ran = board(&registry, "", []).run();
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    let log = registry.log();
    // The list; three moving tags and the four versions beside them; what points at what they hold, at what is newer, and
    // at what they held before; three records, each a manifest and a blob.
    assert_eq!((log.matching("GET", "/tags/list"), log.matching("HEAD", "/manifests/")), (1, 7), "{:#?}", log.lines());
    assert_eq!((log.matching("GET", "/referrers/"), log.count()), (4, 18), "{:#?}", log.lines());
}

#[test]
fn records_are_followed_no_further_than_the_board_needs() {
    let registry = filled();
    // What came before is found through the records alone.
    registry.state(|state| state.repositories.get_mut(APP).unwrap().tags.retain(|tag, _| tag == "latest"));
    board(&registry, "", []).run().result();
    assert_eq!(registry.log().matching("GET", "/referrers/"), 2, "{:#?}", registry.log().lines());
    // Of versions without a tag on them, a row takes those that are newer than what its tag holds, a timeline all.
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    push(&registry, APP, &["1.2.3", "1.2.4", "1.2.4-rc", "1.2.5"]);
    registry.push(APP, "latest", &image("1.2.4"));
    let folder = tempfile::tempdir().unwrap();
    let page = ["--html".into(), folder.path().as_os_str().to_owned()];
    for (words, asked) in [(&[][..], 2), (&page, 4)] {
        registry.clear();
        board(&registry, "", []).args(words).run().result();
        assert_eq!(registry.log().matching("GET", "/referrers/"), asked, "{:#?}", registry.log().lines());
    }
}

#[test]
fn a_tag_that_is_named_is_told_whatever_it_is() {
    let registry = filled();
    let two = registry.name(&format!("{APP}:pr-7"));
    let ran = board(&registry, ":2026.34.102", [&two, &two, &registry.name(&format!("{APP}:none"))]).run();
    assert_eq!(names(&ran), ["2026.34.102", "pr-7", "none"]);
    let rows = rows(&ran);
    assert_eq!((&rows[0]["version"], &rows[0]["behind"]), (&json!("2026.34.102"), &json!(2)));
    assert_eq!((&rows[2]["digest"], &rows[2]["version"]), (&Value::Null, &Value::Null), "{ran}");
    let ran = board(&registry, ":pr-7", [&registry.name(APP)]).run();
    assert_eq!(names(&ran), ["pr-7", "latest", "beta", "stable"]);
    let ran = board(&registry, "", ["--limit", "2"]).run();
    assert_eq!((names(&ran).len(), ran.warnings()), (2, vec!["board-incomplete".to_owned()]), "{ran}");
    assert_eq!(names(&ran), ["latest", "beta"]);
    let ran = board(&registry, "", ["--limit", "3"]).run();
    assert_eq!((names(&ran).len(), ran.warnings()), (3, Vec::new()), "{ran}");
}

#[test]
fn a_repository_without_records_tells_what_the_list_tells() {
    let registry = Registry::start();
    push(&registry, APP, &["1.2.3", "1.2.4"]);
    registry.push(APP, "latest", &image("1.2.3"));
    let ran = board(&registry, "", []).run();
    let row = &rows(&ran)[0];
    assert_eq!((&row["version"], &row["behind"]), (&json!("1.2.3"), &json!(1)), "{ran}");
    for key in ["since", "by", "via", "from", "change"] {
        assert_eq!(row[key], Value::Null, "{key}: {ran}");
    }
    assert_eq!(ran.warnings(), Vec::<String>::new());
    assert!(ran.stderr.ends_with("/acme/app`, 1 behind the newest version\n"), "{ran}");
}

#[test]
fn a_list_that_tells_times_stands_in_for_records() {
    let registry = Registry::start();
    let digest = registry.push(APP, "latest", &image("2026.34.103"));
    let other = registry.push(APP, "2026.34.102", &image("2026.34.102"));
    let listed = [("2026.34.102", &other), ("latest", &digest), ("2026.34.103", &digest)]
        .map(|(name, digest)| HubTag { digest: Some(digest.clone()), ..HubTag::named(name) });
    let hub = Hub::start(Source::List(HashMap::from([(APP.to_owned(), listed.to_vec())])), HubOptions::default());
    let ran = board(&registry, "", ["--via", "hub-api", "--hub-api", &hub.url()]).run();
    let row = &rows(&ran)[0];
    assert_eq!((&row["since"], &row["via"]), (&json!("2026-08-20T10:00:00Z"), &json!("hub-api")), "{ran}");
    assert_eq!((&row["version"], &row["from"]), (&json!("2026.34.103"), &Value::Null), "{ran}");
    assert_eq!(registry.log().matching("HEAD", "/manifests/"), 0);
}

#[test]
fn amazon_tells_times_and_that_its_records_may_not_be_read() {
    let amazon = Amazon::start();
    let built = image("new");
    ["2026.34.103", "latest"].iter().for_each(|tag| drop(amazon.push("team/app", tag, &built)));
    let name = format!("{HOST}/team/app");
    let ran = amazon.signed(["board", &name]).run();
    let row = &rows(&ran)[0];
    assert_eq!(
        (&row["version"], &row["via"], ran.warnings().len()),
        (&json!("2026.34.103"), &json!("ecr-api"), 0),
        "{ran}"
    );
    amazon.state(|state| state.allowed = Some(["DescribeImages"].map(|action| format!("ecr:{action}")).into()));
    let ran = amazon.signed(["board", &name]).run();
    assert_eq!((rows(&ran).len(), ran.warnings()), (1, vec!["board-incomplete".to_owned()]), "{ran}");
}

#[test]
fn what_moved_without_a_record_is_not_told_by_an_older_one() {
    let registry = filled();
    registry.state(|state| {
        let older = state.resolve(APP, "2026.34.102").unwrap();
        state.tag(APP, "latest", &older);
    });
    let row = &rows(&board(&registry, ":latest", []).run())[0];
    assert_eq!((&row["version"], &row["behind"]), (&json!("2026.34.102"), &json!(2)));
    for key in ["since", "by", "from", "change"] {
        assert_eq!(row[key], Value::Null, "{key}");
    }
    // Nor by one of another repository, which came along with the image.
    let registry = filled();
    says(&registry, "2026.35.103", |record| record["repository"] = json!("staging.example/app"));
    assert_eq!(rows(&board(&registry, ":latest", []).run())[0]["since"], Value::Null);
}

#[test]
fn labels_that_no_record_holds_are_read_from_the_images() {
    let registry = filled();
    let expected = rows(&board(&registry, ":latest", []).run())[0]["change"].clone();
    assert!(expected["compare"].as_str().unwrap().starts_with("https://github.com/acme/app/compare/"), "{expected}");
    for tag in ["2026.34.102", "2026.35.103"] {
        says(&registry, tag, |record| record["labels"] = Value::Null);
        assert_eq!(rows(&board(&registry, ":latest", []).run())[0]["change"], expected, "without those of {tag}");
    }
}

#[test]
fn a_list_that_may_not_be_read_is_the_error_of_the_right_or_nulls_where_a_tag_is_named() {
    let registry = filled();
    registry.before(|asked, _| asked.path.ends_with("/tags/list").then(|| Reply::error(403, "DENIED", "no")));
    let ran = board(&registry, "", []).run();
    assert_eq!((ran.code().as_str(), ran.exit), ("denied", Some(4)), "{ran}");
    let ran = board(&registry, ":latest", []).run();
    let row = &rows(&ran)[0];
    // The record tells the version, and no list what is newer.
    assert_eq!((&row["version"], &row["behind"]), (&json!("2026.35.103"), &Value::Null), "{ran}");
    assert_eq!(ran.warnings(), ["board-incomplete"]);
    assert!(ran.stderr.contains("the tags of `"), "{ran}");
}

#[test]
fn one_repository_of_which_nothing_is_known_hides_no_other() {
    let registry = filled();
    let ran = tagwright(["board", &registry.name("acme/none"), &registry.name(APP)]).run();
    let result = ran.result();
    let told = result["repositories"].as_array().unwrap().iter().map(|one| one["error"].is_string());
    assert_eq!((told.collect::<Vec<_>>(), ran.warnings()), (vec![true, false], vec!["board-incomplete".to_owned()]));
    let ran = tagwright(["board", &registry.name("acme/none"), &registry.name("acme/no")]).run();
    assert_eq!(ran.code(), "repository-unknown", "{ran}");
}

#[test]
fn of_fifty_thousand_tags_few_are_looked_at() {
    let registry = Registry::start();
    let digest = registry.push(APP, "2026.34.1", &image("many"));
    let other = registry.push(APP, "latest", &image("other"));
    registry.state(|state| {
        (2..=25_000).for_each(|n| state.tag(APP, &format!("2026.34.{n}"), &digest));
        (0..25_000).for_each(|n| state.tag(APP, &format!("branch-x{n}y"), &other));
    });
    registry.clear();
    let ran = board(&registry, "", []).run();
    assert_eq!((names(&ran).len(), ran.warnings()), (20, vec!["board-incomplete".to_owned()]), "{}", ran.stderr);
    let log = registry.log();
    assert_eq!(log.matching("HEAD", "/manifests/"), 20 + 14 * 16, "{:#?}", log.lines());
    assert!(log.count() < 330, "{:#?}", log.lines());
}

#[test]
fn versions_are_looked_at_until_it_is_known_which_one_a_tag_holds() {
    let registry = Registry::start();
    many(&registry, APP, 40);
    registry.push(APP, "2026.34.20", &image("2026.34.20"));
    for (version, batches) in [("2026.34.40", 1), ("2026.34.20", 2)] {
        let digest = registry.resolve(APP, version).unwrap();
        registry.state(|state| state.tag(APP, "latest", &digest));
        registry.clear();
        assert_eq!(rows(&board(&registry, "", []).run())[0]["version"], version);
        assert_eq!(registry.log().matching("HEAD", "/manifests/"), 1 + batches * 16, "{:#?}", registry.log().lines());
    }
}

#[test]
fn where_the_list_tells_digests_a_row_asks_about_sixteen_versions_and_a_timeline_about_twice_as_many() {
    let amazon = Amazon::start();
    amazon.push("team/app", "latest", &image("2026.34.1"));
    for n in 1..=40 {
        let tag = format!("2026.34.{n}");
        amazon.push("team/app", &tag, &image(&tag));
    }
    let folder = tempfile::tempdir().unwrap();
    let page = ["--html".into(), folder.path().as_os_str().to_owned()];
    for (words, versions) in [(&[][..], 16), (&page, 32)] {
        amazon.clear();
        amazon.signed(["board", &format!("{HOST}/team/app")]).args(words).run().result();
        assert_eq!(amazon.log().matching("GET", "/referrers/"), 1 + versions, "{:#?}", amazon.log().lines());
    }
}

#[test]
fn a_pair_is_for_the_registry_that_its_host_names() {
    let [one, other] = [Registry::basic("robot", "secret"), Registry::basic("robot", "secret")];
    for registry in [&one, &other] {
        push(registry, APP, &["1.2.3", "latest"]);
    }
    let board = |more: &[&str]| {
        let run = tagwright(["board", &one.name(APP)]).args(more).login("robot", "secret");
        run.env("REGISTRY_HOST", one.host()).run()
    };
    let ran = board(&[&other.name(APP)]);
    assert_eq!((rows(&ran).len(), ran.warnings()), (1, vec!["board-incomplete".to_owned()]), "{ran}");
    assert!(other.log().0.iter().all(|one| one.asked.header("Authorization").is_none()), "{:#?}", other.log().lines());
    // Of a board of one registry the host is checked before anything is asked.
    let run = tagwright(["board", &other.name(APP)]).login("robot", "secret").env("REGISTRY_HOST", one.host());
    other.clear();
    assert_eq!((run.run().code().as_str(), other.log().count()), ("credential-host-mismatch", 0));
}

#[test]
fn the_page_needs_nothing_but_its_own_files() {
    let registry = filled();
    let folder = tempfile::tempdir().unwrap();
    push(&registry, "acme/empty", &["1.2.3"]);
    let more = [&*registry.name("acme/empty"), &registry.name("acme/none"), "--html", "some/board"];
    let run = board(&registry, "", more).folder(folder.path());
    let ran = run.run();
    assert_eq!(ran.result()["page"], "some/board/index.html");
    let folder = folder.path().join("some/board");
    let files = [
        "board.css",
        "index.html",
        "timeline-1-dark.svg",
        "timeline-1.svg",
        "timeline-2-dark.svg",
        "timeline-2.svg",
        "timeline-3-dark.svg",
        "timeline-3.svg",
    ];
    assert_eq!(is_there(&folder), files);
    let made = (r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ)?</time> UTC by", "[now]</time> UTC by");
    let since = (r#"<p>Made <time datetime="[^"]*">"#, r#"<p>Made <time datetime="[now]">"#);
    let axis = (r#">20\d\d-\d\d-\d\d \d\d:\d\d</text>\n</svg>"#, ">[now]</text>\n</svg>");
    let place = (r#"(cx|x)="\d+\.\d%""#, "$1=\"[place]\"");
    let filters = [made, since, axis, place, (r"tagwright 0[^<]*", "[tool]")];
    let text = ["index.html", "timeline-1.svg"].map(|name| read(&folder, name)).concat();
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!(text.replace(&registry.host(), "[registry]"));
    });
    // The same once more takes the place of what is there.
    run.run().result();
    assert_eq!(is_there(&folder), files);
}

#[test]
fn no_file_of_somebody_else_is_written_over_and_no_link_followed() {
    let registry = filled();
    let folder = tempfile::tempdir().unwrap();
    let run = board(&registry, "", ["--html", "board"]).folder(folder.path());
    let there = folder.path().join("board");
    std::fs::create_dir(&there).unwrap();
    for name in ["index.html", "board.css", "timeline-1.svg"] {
        std::fs::write(there.join(name), "something else").unwrap();
        registry.clear();
        let ran = run.run();
        assert_eq!((ran.code().as_str(), registry.log().count()), ("request-invalid", 0), "{ran}");
        assert_eq!(read(&there, name), "something else");
        std::fs::remove_file(there.join(name)).unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), there.join(name)).unwrap();
        assert_eq!(run.run().code(), "request-invalid");
        std::fs::remove_file(there.join(name)).unwrap();
    }
    std::fs::remove_dir(&there).unwrap();
    std::os::unix::fs::symlink(folder.path(), &there).unwrap();
    assert_eq!(run.run().code(), "request-invalid");
    assert_eq!(is_there(folder.path()), ["board"]);
}

#[test]
fn markup_of_strangers_is_text_and_their_addresses_are_none() {
    let registry = filled();
    let odd = "<script>alert(1)</script>\"'&lt;\u{202e}\u{1b}[2J";
    let newest = registry.resolve(APP, "2026.35.103").unwrap();
    for address in ["javascript:alert(1)", "https://ci.example/\"><script>", "data:text/html,<script>", "http://x@y/"] {
        rewrite(&registry, &newest, |record| {
            record["claimed"] = json!({"buildUrl": address, "job": odd, "build": odd, "user": odd,
                "node": null, "commit": null, "branch": null});
        });
        let folder = tempfile::tempdir().unwrap();
        let ran = board(&registry, "", ["--html", "."]).folder(folder.path()).run();
        assert_eq!(ran.exit, Some(0), "{ran}");
        for name in is_there(folder.path()).iter().filter(|name| *name != "board.css") {
            let text = read(folder.path(), name);
            let lower = text.to_lowercase();
            assert!(
                !["<script", "style=", "<style", "data:", "javascript:", "onload", "http-equiv"]
                    .iter()
                    .any(|word| lower.contains(word)),
                "{name}: {text}"
            );
            assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{name}: {text}");
        }
        assert!(read(folder.path(), "index.html").contains("&lt;script&gt;alert(1)"));
    }
}

#[test]
fn words_that_make_no_sense_are_refused() {
    let digest = format!("acme/app@sha256:{}", "0".repeat(64));
    let many: Vec<String> = (0..101).map(|n| format!("acme/app{n}")).collect();
    let many: Vec<&str> = std::iter::once("board").chain(many.iter().map(String::as_str)).collect();
    for (words, code, exit) in [
        (&["board"][..], "missing-value", 2),
        (&["board", "acme/app", ""], "missing-value", 2),
        (&["board", "acme/app", &digest], "request-invalid", 2),
        (&["board", "acme/app", "acme/App"], "reference-invalid", 2),
        (&["board", "acme/app", "--limit", "0"], "request-invalid", 2),
        (&["board", "acme/app", "--html", " "], "missing-value", 2),
        (&many, "size-exceeded", 7),
    ] {
        let ran = tagwright([]).args(words).run();
        assert_eq!((ran.code().as_str(), ran.exit), (code, Some(exit)), "{ran}");
    }
    let hundred: Vec<OsString> = many[..=100].iter().map(OsString::from).collect();
    assert!(parse(&hundred).is_ok(), "a board is of a hundred repositories at most");
    for (args, code) in [
        (json!({"repositories": []}), "missing-value"),
        (json!({"repositories": ["acme/app", null]}), "missing-value"),
        (json!({"repositories": null}), "missing-value"),
        (json!({"repository": "acme/app"}), "unknown-key"),
        (json!({}), "missing-value"),
    ] {
        let request = json!({"command": "board", "args": args}).to_string();
        let ran = tagwright(["call"]).env("TAGWRIGHT_REQUEST", request).run();
        assert_eq!(ran.json()["error"]["code"], code, "{ran}");
    }
}

#[test]
fn of_many_repositories_at_most_sixteen_requests_are_under_way() {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    let names: Vec<String> = (0..20).map(|n| registry.name(&format!("acme/app{n}"))).collect();
    for n in 0..20 {
        push(&registry, &format!("acme/app{n}"), &["1.2.1", "1.2.2", "1.2.3", "latest", "stable", "beta"]);
    }
    registry.latency(std::time::Duration::from_millis(20));
    let ran = tagwright(["board"]).args(&names).run();
    assert_eq!(ran.result()["repositories"].as_array().unwrap().len(), 20);
    let log = registry.log();
    let under_way = |at: std::time::Instant| log.0.iter().filter(|one| one.started <= at && at < one.ended).count();
    let most = log.0.iter().map(|one| under_way(one.started)).max().unwrap();
    assert!((2..=16).contains(&most), "{most}: {:#?}", log.lines());
}

#[test]
fn what_was_promoted_into_several_places_is_told_of_each() {
    let [from, one, other] = [(); 3].map(|()| Registry::with(Options { referrers: true, ..Options::default() }));
    push(&from, "acme/build", &["2026.34.103"]);
    let words = ["promote", &from.name("acme/build:2026.34.103"), "--into", &one.name(APP), "--into", &other.name(APP)];
    let run = tagwright(words).args(["--move", "latest", "--attach-record"]).env("JOB_NAME", "release");
    run.env("BUILD_NUMBER", "9").env("USER", "mo").run().result();
    let ran = tagwright(["board", &one.name(APP), &other.name(APP)]).run();
    for repository in ran.result()["repositories"].as_array().unwrap() {
        let row = &repository["tags"][0];
        assert_eq!((&row["tag"], &row["version"]), (&json!("latest"), &json!("2026.34.103")), "{ran}");
        assert_eq!((&row["by"], &row["from"]["build"]), (&json!("mo"), &json!("9")), "{ran}");
    }
    assert_eq!(ran.warnings(), Vec::<String>::new());
}

#[test]
fn what_a_release_promoted_is_told_of_each_image() {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    let names = ["acme/app", "acme/web"];
    let images = names.map(|name| {
        push(&registry, name, &["2026.34.103"]);
        json!({"image": registry.name(&format!("{name}:2026.34.103")), "move": "latest"})
    });
    let run = tagwright(["release", "-", "--attach-record"]).stdin(json!(images).to_string());
    run.env("JOB_NAME", "release").env("BUILD_NUMBER", "9").env("REGISTRY_HOST", registry.host()).run().result();
    let ran = tagwright(["board"]).args(names.map(|name| registry.name(name))).run();
    for repository in ran.result()["repositories"].as_array().unwrap() {
        let row = &repository["tags"][0];
        assert_eq!((&row["version"], &row["from"]["build"]), (&json!("2026.34.103"), &json!("9")), "{ran}");
        assert_eq!((&row["via"], &row["behind"]), (&json!("record"), &json!(0)), "{ran}");
    }
}
