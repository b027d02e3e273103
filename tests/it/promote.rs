//! `promote`: which tags are written, with which bytes, in which order, and what is told of them.

use crate::stage::{DockerHub, image, push, shown};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::hub::{Hub, HubTag, Options as HubOptions, Source};
use crate::support::image::{Image, Index, attestation, cosign_signature, generic_artifact, two_platforms, types};
use crate::support::log::Asked;
use crate::support::registry::{Auth, Options, Registry, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::token::{Rights, Rules};
use serde_json::json;
use std::collections::HashMap;

pub const APP: &str = "acme/app";

/// Three versions with images of their own, `latest` on the second.
pub fn versions() -> Registry {
    let registry = Registry::start();
    fill(&registry);
    registry
}

pub fn fill(registry: &Registry) {
    push(registry, APP, &["2026.34.101", "2026.34.102"]);
    registry.push(APP, "2026.34.103", &two_platforms("abc", "one"));
    point(registry, "latest", "2026.34.102");
}

/// Points a tag at what another one holds.
pub fn point(registry: &Registry, tag: &str, at: &str) {
    let digest = registry.resolve(APP, at).unwrap();
    registry.state(|state| state.tag(APP, tag, &digest));
}

pub fn promote<const N: usize>(registry: &Registry, source: &str, words: [&str; N]) -> Tagwright {
    tagwright(["promote", &registry.name(&format!("{APP}{source}"))]).args(words)
}

/// `tag: action` of each tag, and the tags that hold the source's digest in the end.
pub fn actions(ran: &Ran) -> Vec<String> {
    let result = ran.result();
    let list = result["tags"].as_array().unwrap();
    list.iter().map(|tag| format!("{}: {}", tag["tag"].as_str().unwrap(), tag["action"].as_str().unwrap())).collect()
}

pub fn look(registry: &Registry, ran: &Ran) -> String {
    shown(ran, &[(&registry.host(), "[registry]")])
}

#[test]
fn a_version_becomes_a_candidate_and_the_latest() {
    let registry = versions();
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    for tag in ["2026.34.103-rc", "latest"] {
        assert_eq!(registry.resolve(APP, tag), registry.resolve(APP, "2026.34.103"));
    }
}

#[test]
fn the_bytes_that_were_read_are_the_bytes_that_are_written() {
    let registry = versions();
    promote(&registry, ":2026.34.103", ["--to", "x"]).run().result();
    let log = registry.log();
    let puts: Vec<&Asked> = log.0.iter().map(|one| &one.asked).filter(|asked| asked.method == "PUT").collect();
    let built = two_platforms("abc", "one");
    assert_eq!((puts.len(), &puts[0].body), (1, &built.bytes));
    assert_eq!(puts[0].header("Content-Type"), Some(types::OCI_INDEX));
    assert_eq!(log.matching("GET", "/blobs/"), 0);
}

#[test]
fn the_order_is_read_to_tags_look_again_move_tags_read_back() {
    let registry = versions();
    let words = ["--move", "stable", "--move", "latest", "--to", "b", "--to", "a"];
    promote(&registry, ":2026.34.103", words).run().result();
    let log = registry.log();
    let lines: Vec<String> = log.0.iter().map(|one| one.asked.line()).collect();
    let mut puts: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("PUT /v2/acme/app/manifests/")).collect();
    // Those of one rank go side by side.
    puts[..2].sort_unstable();
    puts[2..].sort_unstable();
    assert_eq!(puts, ["a", "b", "latest", "stable"]);
    let at = |wanted: &str| lines.iter().position(|line| line == wanted).unwrap();
    let last = |wanted: &str| lines.iter().rposition(|line| line == wanted).unwrap();
    let heads = |tag: &str| lines.iter().filter(|line| **line == format!("HEAD /v2/acme/app/manifests/{tag}")).count();
    assert_eq!(["a", "b", "latest", "stable"].map(heads), [2, 2, 3, 3], "{lines:#?}");
    let between = |tags: [&str; 2]| tags.map(|tag| at(&format!("PUT /v2/acme/app/manifests/{tag}")));
    let (fixed, moved) = (between(["a", "b"]), between(["stable", "latest"]));
    let again = &lines[*fixed.iter().max().unwrap()..*moved.iter().min().unwrap()];
    assert!(again.contains(&"HEAD /v2/acme/app/manifests/latest".to_owned()), "{lines:#?}");
    assert!(last("HEAD /v2/acme/app/manifests/a") > at("PUT /v2/acme/app/manifests/latest"), "{lines:#?}");
}

#[test]
fn a_second_run_finds_all_unchanged() {
    let registry = versions();
    promote(&registry, ":2026.34.103", []).run().result();
    registry.clear();
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn a_dry_run_writes_nothing_and_ends_as_the_real_run_would() {
    let registry = versions();
    let ran = promote(&registry, ":2026.34.103", ["--dry-run"]).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.log().writes(), 0);
    point(&registry, "latest", "2026.34.103");
    let ran = promote(&registry, ":2026.34.102", ["--dry-run"]).run();
    assert_eq!(ran.code(), "downgrade-refused");
    registry.push(APP, "2026.34.102-rc", &image("another"));
    assert_eq!(promote(&registry, ":2026.34.102", ["--dry-run"]).run().code(), "tag-conflict");
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn a_dry_run_asks_for_rights_to_read_alone() {
    let rules = one_user("robot", "secret").user("reader", "secret", Rights::PULL);
    let registry = Registry::bearer(rules);
    fill(&registry);
    promote(&registry, ":2026.34.103", ["--dry-run"]).login("reader", "secret").run().result();
    for one in registry.log().0.iter().filter(|one| one.asked.path == "/token") {
        assert_eq!(one.asked.query("scope"), Some("repository:acme/app:pull"));
    }
    let ran = promote(&registry, ":2026.34.103", []).login("reader", "secret").run();
    assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), ("denied", Some(false)), "{ran}");
    assert!(ran.stderr.ends_with("\nnothing was written\n"), "{ran}");
}

#[test]
fn a_build_is_found_and_promoted_in_one_go() {
    let registry = versions();
    let ran = promote(&registry, "", ["--build", "103"]).run();
    assert_eq!(ran.result()["source"]["reference"], registry.name("acme/app:2026.34.103"));
    assert_eq!(ran.result()["version"], "2026.34.103");
    assert_eq!(actions(&ran), ["2026.34.103-rc: created", "latest: moved"]);
    // The candidate that is there now names the same version and the same image.
    let ran = promote(&registry, "", ["--build", "103"]).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc: unchanged", "latest: unchanged"]);
}

#[test]
fn placeholders_stand_for_tag_and_version() {
    let registry = versions();
    registry.push(APP, "v2026.34.104-rc", &image("candidate"));
    let ran = promote(&registry, ":v2026.34.104-rc", ["--to", "{version}", "--to", "was-{tag}"]).run();
    assert_eq!(actions(&ran), ["v2026.34.104: created", "was-v2026.34.104-rc: created"]);
    let nightly = registry.push(APP, "nightly", &image("nightly"));
    for (source, words) in [
        (":nightly".to_owned(), ["--to", "{version}"]),
        (format!("@{nightly}"), ["--to", "{version}-x"]),
        (format!("@{nightly}"), ["--to", "{tag}-x"]),
    ] {
        let ran = promote(&registry, &source, words).run();
        assert_eq!(ran.exit, Some(2), "{ran}");
    }
    assert_eq!(promote(&registry, ":latest", ["--to", "{branch}"]).run().exit, Some(2));
    // One tag cannot both stay and move, however it is spelt.
    let ran = promote(&registry, ":2026.34.103", ["--to", "{tag}-x", "--move", "2026.34.103-x"]).run();
    assert_eq!(ran.code(), "request-invalid");
}

#[test]
fn a_tag_that_is_the_source_itself_and_one_that_is_named_twice() {
    let registry = versions();
    let ran =
        promote(&registry, ":2026.34.102", ["--to", "2026.34.102", "--to", "{version}", "--move", "latest"]).run();
    assert_eq!(actions(&ran), ["2026.34.102: unchanged", "latest: unchanged"]);
    let ran = promote(&registry, ":latest", ["--move", "latest"]).run();
    assert_eq!(actions(&ran), ["latest: unchanged"]);
    assert_eq!(registry.log().writes(), 0);
}

#[test]
fn defaults_apply_only_where_neither_to_nor_move_is_given() {
    let registry = versions();
    let ran = promote(&registry, ":2026.34.103", ["--move", "stable"]).run();
    assert_eq!(actions(&ran), ["stable: created"]);
    assert_eq!(registry.resolve(APP, "2026.34.103-rc"), None);
}

#[test]
fn whatever_is_no_image_is_promoted_as_it_is() {
    let registry = Registry::start();
    for (tag, built) in [
        ("artifact", generic_artifact()),
        ("attested", Index::of([attestation(&image("x"))]).build()),
        ("list", Index::of([image("y")]).docker().build()),
        ("docker", Image::new().docker().build()),
        ("signature", cosign_signature()),
    ] {
        let digest = registry.push(APP, tag, &built);
        let ran = promote(&registry, &format!(":{tag}"), ["--to", "x-{tag}"]).run();
        assert_eq!(ran.result()["digest"], digest);
        assert_eq!(registry.resolve(APP, &format!("x-{tag}")), Some(digest));
    }
}

#[test]
fn signatures_and_other_referrers_are_counted() {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    fill(&registry);
    let source = two_platforms("abc", "one");
    registry.push(APP, "sbom", &Image::new().layer("sbom").subject(&source).build());
    let hex = source.digest().trim_start_matches("sha256:").to_owned();
    registry.push(APP, &format!("sha256-{hex}.sig"), &cosign_signature());
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!(ran.result()["referrers"], json!({"found": 2, "copied": 0, "left": 0}));
    // Without the API, the tag that stands in for it.
    let registry = versions();
    let index = Index::of([image("a"), image("b")]).build();
    registry.push(APP, &format!("sha256-{hex}"), &index);
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!(ran.result()["referrers"]["found"], 2);
}

#[test]
fn what_points_at_an_image_is_unknown_where_neither_the_api_nor_the_list_of_tags_tells() {
    let registry = versions();
    point(&registry, "latest", "2026.34.102");
    let hex = registry.resolve(APP, "2026.34.103").unwrap().replace(':', "-");
    registry.push(APP, &hex, &Index::of([image("a"), image("b")]).build());
    registry.before(|asked, _| asked.path.ends_with("/tags/list").then(|| Reply::error(403, "DENIED", "not the list")));
    let ran = promote(&registry, ":2026.34.103", ["--move", "latest", "--allow-downgrade"]).run();
    assert_eq!(actions(&ran), ["latest: moved"], "{ran}");
    assert_eq!(ran.result()["referrers"], json!({"found": null, "copied": 0, "left": 0}), "{ran}");
}

#[test]
fn a_registry_without_the_digest_header_is_asked_with_get() {
    let registry = Registry::with(Options { no_digest_header: true, ..Options::default() });
    fill(&registry);
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc: created", "latest: moved"]);
    assert_eq!(ran.result()["tags"][1]["beforeVersion"], "2026.34.102");
}

#[test]
fn what_was_not_shown_to_be_missing_is_not_taken_for_missing() {
    for status in [401, 403, 429, 500, 503] {
        let registry = versions();
        registry.before(move |asked, _| {
            let hit = ["HEAD", "GET"].contains(&asked.method.as_str()) && asked.path.ends_with("/2026.34.103-rc");
            hit.then(|| Reply::error(status, "X", "no"))
        });
        let ran = promote(&registry, ":2026.34.103", ["--retries", "0"]).run();
        assert!(matches!(ran.exit, Some(4 | 6)), "{status}: {ran}");
        assert_eq!(registry.log().writes(), 0, "{status}: {ran}");
    }
}

#[test]
fn a_look_that_breaks_off_is_not_asked_in_other_words() {
    let registry = versions();
    registry.fail(9, "HEAD", "/2026.34.103-rc", Reply::broken(Fault::Close));
    let ran = promote(&registry, ":2026.34.103", ["--retries", "0"]).run();
    assert_eq!((ran.code().as_str(), registry.log().writes()), ("unreachable", 0), "{ran}");
    assert_eq!(registry.log().matching("GET", "/2026.34.103-rc"), 0, "{:#?}", registry.log().lines());
}

#[test]
fn a_run_that_finds_no_image_has_looked_once_wet_or_dry() {
    for dry in [&[][..], &["--dry-run"]] {
        let registry = versions();
        let ran = promote(&registry, ":none", ["--to", "x"]).args(dry.iter().copied()).run();
        let looks = registry.log().matching("GET", "/manifests/none");
        assert_eq!((ran.code().as_str(), looks), ("tag-unknown", 1), "{:#?}", registry.log().lines());
    }
}

#[test]
fn a_candidate_alone_is_promoted_to_its_version() {
    let registry = Registry::start();
    push(&registry, APP, &["2026.34.103-rc"]);
    let ran = promote(&registry, "", ["--build", "103", "--to", "{version}", "--move", "latest"]).run();
    assert_eq!(actions(&ran), ["2026.34.103: created", "latest: created"]);
    assert_eq!(ran.result()["source"]["reference"], registry.name("acme/app:2026.34.103-rc"));
}

#[test]
fn docker_hub_is_promoted_to_with_the_digests_of_its_web_api() {
    let docker = DockerHub::start(one_user("robot", "secret"));
    fill(&docker.registry);
    point(&docker.registry, "latest", "2026.34.103");
    let tags = docker.registry.tags(APP);
    let tags = tags.into_iter().map(|(name, digest)| HubTag { digest: Some(digest), ..HubTag::named(&name) }).collect();
    let hub = Hub::start(
        Source::List(HashMap::from([(APP.to_owned(), tags)])),
        HubOptions::default().user("robot", "secret"),
    );
    let run = tagwright(["promote", "acme/app:2026.34.102", "--hub-api", &hub.url()]);
    let ran = docker.reach(run).login("robot", "secret").run();
    assert_eq!(ran.code(), "downgrade-refused");
    assert_eq!(ran.error()["details"]["beforeVersion"], "2026.34.103");
    // Token, source, two targets; who holds what is known from the pages.
    assert_eq!(docker.registry.log().count(), 4, "{:#?}", docker.registry.log().lines());
}

#[test]
fn of_docker_hubs_tags_not_only_those_of_the_build_tell_what_is_newer() {
    let docker = DockerHub::start(one_user("robot", "secret"));
    fill(&docker.registry);
    let tags = docker.registry.tags(APP);
    let tags = tags.into_iter().map(|(name, digest)| HubTag { digest: Some(digest), ..HubTag::named(&name) }).collect();
    let options = HubOptions::default().user("robot", "secret");
    let hub = Hub::start(Source::List(HashMap::from([(APP.to_owned(), tags)])), options);
    point(&docker.registry, "latest", "2026.34.103");
    let run = tagwright(["promote", APP, "--build", "102", "--hub-api", &hub.url()]);
    let ran = docker.reach(run).login("robot", "secret").run();
    assert_eq!(ran.code(), "downgrade-refused", "{ran}");
}

#[test]
fn one_token_serves_the_whole_promotion() {
    let registry = Registry::bearer(Rules { expires_in: Some(3600), ..one_user("robot", "secret") });
    fill(&registry);
    promote(&registry, ":2026.34.103", []).login("robot", "secret").run().result();
    let tokens = registry.tokens().log();
    assert_eq!(tokens.count(), 1, "{:#?}", tokens.lines());
    assert_eq!(tokens.0[0].asked.query("scope"), Some("repository:acme/app:pull,push"));
}

#[test]
fn a_password_is_sent_with_every_write() {
    let registry = Registry::with(Options { auth: Auth::Basic("robot".into(), "secret".into()), ..Options::default() });
    fill(&registry);
    promote(&registry, ":2026.34.103", []).login("robot", "secret").run().result();
    let log = registry.log();
    assert!(log.0.iter().filter(|one| one.asked.method == "PUT").all(|one| one.asked.basic().is_some()));
    // The four questions of the look, as far as none has its answer before another one is asked.
    let challenged = log.0.iter().filter(|one| one.status == 401).count();
    assert!((1..=4).contains(&challenged), "{:#?}", log.lines());
}

#[test]
fn the_v_of_the_source_is_kept_in_the_tags_that_are_made_of_its_version() {
    let registry = Registry::start();
    push(&registry, APP, &["v1.9.0", "v1.10.0", "feature-x-v1.2.3"]);
    let digest = registry.resolve(APP, "v1.10.0").unwrap();
    let made = |ran: &Ran| {
        let result = ran.result();
        let tags = result["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap().to_owned());
        (tags.collect::<Vec<_>>(), result["version"].clone())
    };
    let run = |source: &str, words: &[&str]| {
        tagwright(["promote", &registry.name(&format!("{APP}{source}")), "--dry-run"]).args(words.iter().copied()).run()
    };
    for (source, words, expected, version) in [
        (":v1.10.0", &[][..], &["v1.10.0-rc", "latest"][..], "1.10.0"),
        ("", &["--build", "0", "--newest"], &["v1.10.0-rc", "latest"], "1.10.0"),
        // The tag that has the digest lends its `v`.
        (&format!("@{digest}"), &[], &["v1.10.0-rc", "latest"], "1.10.0"),
        (":feature-x-v1.2.3", &["--tag-format", "feature-x-{version}", "--to", "x-{version}"], &["x-v1.2.3"], "1.2.3"),
    ] {
        let ran = run(source, words);
        assert_eq!(made(&ran), (expected.iter().map(|tag| (*tag).to_owned()).collect(), json!(version)), "{ran}");
    }
    // Into another repository the tag itself comes along, and the guard sees a version in what is there.
    let into = registry.name("acme/prod");
    let promoted = tagwright(["promote", &registry.name(&format!("{APP}:v1.10.0")), "--into", &into]).run();
    assert_eq!(made(&promoted).0, ["v1.10.0", "v1.10.0-rc", "latest"]);
    let older = tagwright(["promote", &registry.name(&format!("{APP}:v1.9.0")), "--into", &into]).run();
    assert_eq!(older.code(), "downgrade-refused");
}
