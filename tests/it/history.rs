//! `history`: the records that a registry keeps, found through tags and through each other.

use crate::stage::{image, push, shown};
use crate::support::amazon::{Amazon, HOST};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::image::{Built, descriptor, types};
use crate::support::registry::{Options, Registry};
use crate::support::reply::Reply;
use serde_json::{Value, json};

const APP: &str = "acme/app";
const ARTIFACT: &str = "application/vnd.tagwright.promotion.v1+json";

/// A registry with three versions, each of which was promoted to `latest` with a record.
fn promoted(referrers: bool) -> Registry {
    let registry = Registry::with(Options { referrers, ..Options::default() });
    for (tag, more) in [("2026.34.101", "stable"), ("2026.34.102", "beta"), ("2026.34.103", "beta")] {
        push(&registry, APP, &[tag]);
        let source = registry.name(&format!("{APP}:{tag}"));
        let words = ["promote", &source, "--move", "latest", "--move", more, "--attach-record"];
        let ran = tagwright(words).env("USER", "mo").env("JOB_NAME", "release").env("BUILD_NUMBER", &tag[8..]).run();
        assert!(ran.result()["attached"].is_string(), "{ran}");
    }
    // The three come within one second, and a list is read by its times.
    for (day, tag) in [(21, "2026.34.101"), (22, "2026.34.102"), (23, "2026.34.103")] {
        let digest = registry.resolve(APP, tag).unwrap();
        rewrite(&registry, &digest, |record| record["at"] = json!(format!("2026-08-{day}T10:00:00Z")));
    }
    registry.clear();
    registry
}

/// Changes the record that points at an image.
pub fn rewrite(registry: &Registry, image: &str, change: impl Fn(&mut Value)) {
    registry.state(|state| {
        let home = state.repositories.get_mut(APP).unwrap();
        let find = |(_, (_, bytes)): &(&String, &(String, Vec<u8>))| {
            let manifest: Value = serde_json::from_slice(bytes).unwrap();
            manifest["subject"]["digest"] == image
        };
        let old = home.manifests.iter().find(find).map(|(digest, _)| digest.clone()).unwrap();
        let mut manifest: Value = serde_json::from_slice(&home.manifests.remove(&old).unwrap().1).unwrap();
        let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
        let mut record: Value = serde_json::from_slice(&home.blobs[&layer]).unwrap();
        change(&mut record);
        let bytes = reordered(&record).into_bytes();
        manifest["layers"] = json!([descriptor(ARTIFACT, &bytes)]);
        let built = Built { blobs: vec![bytes], ..Built::raw(types::OCI_MANIFEST, manifest.to_string()) };
        let tag = image.replace(':', "-");
        let list = home.tags.get(&tag).cloned();
        if let Some((_, bytes)) = list.and_then(|list| home.manifests.get(&list)) {
            let list = String::from_utf8(bytes.clone()).unwrap().replace(&old, &built.digest());
            let list = Built::raw(types::OCI_INDEX, list);
            let digest = state.store(APP, &list);
            state.tag(APP, &tag, &digest);
        }
        state.store(APP, &built);
    });
}

/// A record with its keys in the order of its writing, which a map has lost.
fn reordered(record: &Value) -> String {
    let order = |value: &Value, keys: &[&str]| -> String {
        let parts: Vec<String> = keys
            .iter()
            .filter(|key| value.get(**key).is_some())
            .map(|key| format!("{:?}: {}", key, value[*key]))
            .collect();
        format!("{{ {} }}", parts.join(" ,\n"))
    };
    let mut out = record.clone();
    let keys = ["tag", "before", "beforeVersion", "after", "action", "verified"];
    let tags: Vec<String> = record["tags"].as_array().unwrap().iter().map(|tag| order(tag, &keys)).collect();
    let mut inner: Vec<(&str, String)> = vec![("tags", format!("[{}]", tags.join(",")))];
    inner.push(("source", order(&record["source"], &["reference", "digest", "mediaType"])));
    inner.push(("copied", order(&record["copied"], &["blobs", "mounted", "skipped", "bytes"])));
    inner.push(("referrers", order(&record["referrers"], &["found", "copied", "left"])));
    inner.push((
        "claimed",
        order(&record["claimed"], &["buildUrl", "job", "build", "user", "node", "commit", "branch"]),
    ));
    let who = |side: &str| order(&record["identity"][side], &["registry", "name", "credential"]);
    inner.push(("identity", format!("{{\"source\": {}, \"target\": {}}}", who("source"), who("target"))));
    for (key, _) in &inner {
        out[*key] = json!(format!("@{key}@"));
    }
    let mut text = order(
        &out,
        &[
            "schema",
            "state",
            "command",
            "at",
            "tool",
            "repository",
            "version",
            "source",
            "tags",
            "copied",
            "referrers",
            "labels",
            "rollback",
            "claimed",
            "identity",
            "later",
        ],
    );
    for (key, value) in inner {
        text = text.replace(&format!("\"@{key}@\""), &value);
    }
    text
}

fn history<const N: usize>(registry: &Registry, tail: &str, words: [&str; N]) -> Tagwright {
    tagwright(["history", &registry.name(&format!("{APP}{tail}"))]).args(words)
}

/// The versions of the records, newest first.
fn found(ran: &Ran) -> Vec<String> {
    let records = ran.result()["records"].as_array().unwrap().clone();
    records.iter().map(|record| record["version"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_promotion_is_listed_newest_first() {
    for referrers in [true, false] {
        let registry = promoted(referrers);
        let ran = history(&registry, "", []).run();
        assert_eq!(found(&ran), ["2026.34.103", "2026.34.102", "2026.34.101"], "{ran}");
        assert_eq!(ran.warnings(), Vec::<String>::new());
        if referrers {
            insta::assert_snapshot!(
                shown(&ran, &[(&registry.host(), "[registry]")]).split("---- stderr").nth(1).unwrap()
            );
        }
        let first = &ran.result()["records"][0];
        assert_eq!((&first["claimed"]["job"], &first["state"]), (&json!("release"), &json!("done")));
        let quiet = history(&registry, "", ["--limit", "1", "--text", "--quiet"]).run().stdout;
        assert!(quiet.starts_with("sha256:") && first["digest"] == quiet.trim_end(), "{quiet}");
        assert_eq!(registry.log().writes(), 0);
    }
}

#[test]
fn a_tag_and_a_limit_narrow_it_down() {
    let registry = promoted(true);
    assert_eq!(found(&history(&registry, ":beta", []).run()), ["2026.34.103", "2026.34.102"]);
    assert_eq!(found(&history(&registry, ":stable", []).run()), ["2026.34.101"]);
    assert_eq!(found(&history(&registry, ":latest", ["--limit", "1"]).run()), ["2026.34.103"]);
    assert_eq!(found(&history(&registry, ":nightly", []).run()), Vec::<String>::new());
    let ran = history(&registry, "", ["--limit", "2"]).run();
    assert!(ran.stderr.ends_with("`: the newest 2 of 3 promotions\n"), "{ran}");
}

#[test]
fn images_that_lost_their_tags_are_found_through_later_records() {
    let registry = promoted(true);
    registry.state(|state| state.repositories.get_mut(APP).unwrap().tags.retain(|tag, _| tag == "latest"));
    assert_eq!(found(&history(&registry, "", []).run()), ["2026.34.103", "2026.34.102", "2026.34.101"]);
    // With a fall-back tag an image is known even where no record leads to it.
    let registry = promoted(false);
    registry.state(|state| state.repositories.get_mut(APP).unwrap().tags.retain(|tag, _| tag.starts_with("sha256-")));
    assert_eq!(found(&history(&registry, "", []).run()).len(), 3);
}

#[test]
fn a_repository_without_records_says_so() {
    let registry = Registry::start();
    push(&registry, APP, &["1.2.3"]);
    let ran = history(&registry, "", []).run();
    assert_eq!(found(&ran), Vec::<String>::new());
    assert!(
        ran.stderr.ends_with("/acme/app` has no record of a promotion; `promote --attach-record` keeps one\n"),
        "{ran}"
    );
    let ran = tagwright(["history", &registry.name("acme/none")]).run();
    assert_eq!(ran.code(), "repository-unknown");
}

#[test]
fn records_that_cannot_be_read_are_passed_over_with_a_warning() {
    for (key, value, words) in [
        ("schema", json!(2), "is a record of schema 2"),
        ("tags", json!([{"tag": "a b"}]), "is no proper record"),
        (
            "source",
            json!({"reference": "r", "digest": format!("sha256:{}", "0".repeat(64)), "mediaType": "m"}),
            "it is about `sha256:0000",
        ),
    ] {
        let registry = promoted(true);
        let middle = registry.resolve(APP, "2026.34.102").unwrap();
        rewrite(&registry, &middle, |record| record[key] = value.clone());
        let ran = history(&registry, "", []).run();
        assert_eq!((found(&ran).len(), ran.warnings()), (2, vec!["record-skipped".to_owned()]), "{ran}");
        assert!(ran.stderr.contains(words), "{ran}");
    }
    let registry = promoted(true);
    registry.before(|asked, _| asked.path.contains("/blobs/").then(|| Reply::error(404, "BLOB_UNKNOWN", "gone")));
    let ran = history(&registry, "", []).run();
    assert_eq!((found(&ran).len(), ran.warnings().len()), (0, 3), "{ran}");
}

#[test]
fn what_is_refused_is_not_taken_for_an_empty_history() {
    for (part, status) in [("/tags/list", 403), ("/referrers/", 403), ("/referrers/", 500), ("/manifests/", 503)] {
        let registry = promoted(true);
        registry.before(move |asked, _| asked.path.contains(part).then(|| Reply::status(status)));
        let ran = history(&registry, "", ["--retries", "0"]).run();
        assert!(matches!(ran.exit, Some(4 | 6)), "{part} {status}: {ran}");
    }
    // Whoever may not ask about one image is not asked to take the rest for all there is.
    let registry = promoted(true);
    let image = registry.resolve(APP, "2026.34.102").unwrap();
    registry.before(move |asked, _| {
        asked.path.ends_with(&format!("/referrers/{image}")).then(|| Reply::error(403, "DENIED", "no"))
    });
    assert_eq!(history(&registry, "", []).run().code(), "denied");
}

#[test]
fn one_image_that_the_api_does_not_know_hides_no_other() {
    for tag in ["2026.34.101", "2026.34.102", "2026.34.103"] {
        let registry = promoted(true);
        let lost = registry.resolve(APP, tag).unwrap();
        registry.before(move |asked, _| {
            asked.path.ends_with(&format!("/referrers/{lost}")).then(|| Reply::error(404, "MANIFEST_UNKNOWN", "gone"))
        });
        let ran = history(&registry, "", []).run();
        assert_eq!((found(&ran).len(), found(&ran).contains(&tag.to_owned())), (2, false), "{tag}: {ran}");
    }
}

#[test]
fn a_list_of_referrers_that_cannot_be_read_to_its_end_is_told_and_the_rest_is_listed() {
    // In circles by the API.
    let registry = promoted(true);
    registry.after(|asked, _, reply| {
        if asked.path.contains("/referrers/") {
            *reply = reply.clone().header("Link", format!("<{}>; rel=\"next\"", asked.path));
        }
    });
    let ran = history(&registry, "", []).run();
    assert_eq!(found(&ran), ["2026.34.103", "2026.34.102", "2026.34.101"], "{ran}");
    assert_eq!(ran.warnings(), ["history-incomplete"; 3], "{ran}");
    // Gone under the fall-back tag.
    let registry = promoted(false);
    let tag = registry.resolve(APP, "2026.34.102").unwrap().replace(':', "-");
    let list = registry.resolve(APP, &tag).unwrap();
    registry.before(move |asked, _| {
        let is_list = asked.method == "GET" && asked.path.ends_with(&format!("/manifests/{list}"));
        is_list.then(|| Reply::error(404, "MANIFEST_UNKNOWN", "gone"))
    });
    let ran = history(&registry, "", []).run();
    assert_eq!(found(&ran), ["2026.34.103", "2026.34.101"], "{ran}");
    assert_eq!(ran.warnings(), ["history-incomplete"], "{ran}");
}

#[test]
fn after_a_few_questions_that_fail_in_the_same_way_no_more_are_asked() {
    for (status, code) in [(503, "TOOBUSY"), (429, "TOOMANYREQUESTS")] {
        let registry = promoted(true);
        for build in 200..300 {
            push(&registry, APP, &[&format!("2026.34.{build}")]);
        }
        let sound = registry.resolve(APP, "2026.34.299").unwrap();
        registry.clear();
        registry.before(move |asked, _| {
            let is_other = asked.path.contains("/referrers/") && !asked.path.ends_with(&sound);
            is_other.then(|| Reply::error(status, code, "not now"))
        });
        let ran = history(&registry, "", ["--retries", "0"]).run();
        assert_eq!((found(&ran).len(), ran.exit), (0, Some(0)), "{ran}");
        assert!(ran.warnings().iter().all(|code| code == "history-incomplete"), "{ran}");
        assert!(ran.stderr.contains("more questions were not asked, for 8 had failed in this way"), "{ran}");
        // Eight, and those that were under way by then.
        assert!(registry.log().matching("GET", "/referrers/") <= 8 + 16, "{:#?}", registry.log().lines());
    }
}

#[test]
fn a_hundred_records_are_told_and_more_where_they_are_asked_for() {
    let registry = promoted(true);
    let image = registry.resolve(APP, "2026.34.101").unwrap();
    registry.state(|state| {
        let home = &state.repositories[APP];
        let record: Value = home
            .blobs
            .values()
            .find_map(|blob| {
                let value: Value = serde_json::from_slice(blob).ok()?;
                (value["schema"] == 1 && value["source"]["digest"] == image.as_str()).then_some(value)
            })
            .unwrap();
        for second in 0..350 {
            let mut record = record.clone();
            record["at"] = json!(format!("2026-08-20T10:{:02}:{:02}Z", second / 60, second % 60));
            let bytes = reordered(&record).into_bytes();
            let manifest = json!({
                "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "artifactType": ARTIFACT,
                "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"),
                "layers": [descriptor(ARTIFACT, &bytes)],
                "subject": {"mediaType": types::OCI_MANIFEST, "digest": image, "size": 1},
            });
            let built = Built { blobs: vec![bytes], ..Built::raw(types::OCI_MANIFEST, manifest.to_string()) };
            state.store(APP, &built);
        }
    });
    let ran = history(&registry, "", []).run();
    assert_eq!(found(&ran).len(), 100, "{ran}");
    assert!(ran.stderr.ends_with("`: the newest 100 of 353 promotions\n"), "{ran}");
    assert_eq!(found(&history(&registry, "", ["--limit", "400"]).run()).len(), 353);
}

#[test]
fn what_does_not_belong_into_a_record_is_not_passed_on() {
    let registry = promoted(true);
    let newest = registry.resolve(APP, "2026.34.103").unwrap();
    rewrite(&registry, &newest, |record| {
        record["claimed"]["user"] = json!("mo\u{1b}[31m\nerror");
        record["later"] = json!({"unknown": [1, 2, 3]});
        record["at"] = json!("2026-08-23T12:00:00.5+02:00");
    });
    let ran = history(&registry, "", []).run();
    let first = &ran.result()["records"][0];
    assert_eq!((&first["claimed"]["user"], &first["later"]), (&json!("mo [31m error"), &Value::Null), "{ran}");
    assert_eq!(first["at"], "2026-08-23T10:00:00Z", "{ran}");
    for (key, value) in [
        ("at", json!("yesterday")),
        ("state", json!("dreamt")),
        ("labels", json!({"description": "x".repeat(65 << 10)})),
    ] {
        rewrite(&registry, &newest, |record| record[key] = value.clone());
        let ran = history(&registry, "", []).run();
        assert_eq!((found(&ran).len(), ran.warnings()), (2, vec!["record-skipped".to_owned()]), "{key}: {ran}");
        rewrite(&registry, &newest, |record| {
            record["at"] = json!("2026-08-23T10:00:00Z");
            record["state"] = json!("done");
        });
    }
}

#[test]
fn more_tags_than_are_looked_at_are_told() {
    let registry = promoted(true);
    let just_all = 200 - registry.tags(APP).len();
    for (more, warnings) in [(just_all, vec![]), (220, vec!["history-incomplete".to_owned()])] {
        registry.state(|state| {
            let digest = state.resolve(APP, "2026.34.101").unwrap();
            (0..more).for_each(|n| state.tag(APP, &format!("2026.34.{}", 200 + n), &digest));
        });
        registry.clear();
        let ran = history(&registry, ":latest", []).run();
        assert_eq!((found(&ran).len(), ran.warnings()), (3, warnings), "{ran}");
        assert_eq!(registry.log().matching("HEAD", "/manifests/"), 200);
    }
}

#[test]
fn two_hundred_images_at_once_are_all_looked_at() {
    let registry = promoted(true);
    for n in 200..390 {
        registry.push(APP, &format!("2026.34.{n}"), &image(&n.to_string()));
    }
    let ran = history(&registry, "", []).run();
    assert_eq!((found(&ran).len(), ran.warnings().len()), (3, 0), "{ran}");
}

#[test]
fn a_record_of_another_repository_belongs_to_no_tag_of_this_one() {
    let registry = promoted(true);
    let newest = registry.resolve(APP, "2026.34.103").unwrap();
    rewrite(&registry, &newest, |record| record["repository"] = json!("staging.example/app"));
    assert_eq!(found(&history(&registry, "", []).run()).len(), 3);
    assert_eq!(found(&history(&registry, ":latest", []).run()).len(), 2);
}

#[test]
fn words_of_strangers_stay_on_their_line() {
    let registry = promoted(true);
    let newest = registry.resolve(APP, "2026.34.103").unwrap();
    rewrite(&registry, &newest, |record| {
        record["claimed"]["user"] = json!("a\nerror[denied]: \u{1b}[31mno");
        record["later"] = json!({"unknown": 1});
    });
    let ran = tagwright(["history", &registry.name(APP)]).run();
    assert!(
        !ran.stderr.contains('\u{1b}') && !ran.stderr.lines().any(|line| line.starts_with("error")),
        "{}",
        ran.stderr
    );
}

#[test]
fn words_that_make_no_sense_are_refused() {
    let digest = format!("acme/app@sha256:{}", "0".repeat(64));
    for (words, code) in [
        (&["history"][..], "missing-value"),
        (&["history", &digest], "request-invalid"),
        (&["history", "acme/app", "--limit", "0"], "request-invalid"),
        (&["history", "acme/app", "acme/other"], "request-invalid"),
    ] {
        let ran = tagwright([]).args(words).run();
        assert_eq!((ran.code().as_str(), ran.exit), (code, Some(2)), "{ran}");
    }
}

#[test]
fn amazon_is_asked_through_its_registry_api() {
    let amazon = Amazon::start();
    amazon.push("team/app", "2026.34.103", &image("new"));
    let ran = amazon.signed(["history", &format!("{HOST}/team/app")]).run();
    assert_eq!(ran.result()["records"], json!([]));
    assert_eq!(
        amazon.calls().iter().filter(|call| *call == "ecr:GetAuthorizationToken").count(),
        1,
        "{:?}",
        amazon.calls()
    );
}

#[test]
fn without_the_api_only_images_with_a_fallback_tag_are_asked_about() {
    let registry = promoted(false);
    push(&registry, APP, &["a", "b", "c"]);
    registry.clear();
    assert_eq!(found(&history(&registry, "", []).run()).len(), 3);
    let log = registry.log();
    let asked = log.0.iter().filter(|one| one.asked.path.contains("/manifests/sha256-")).count();
    assert_eq!(asked, 3, "{:#?}", log.lines());
    assert!(log.matching("GET", "/referrers/") <= 9, "{:#?}", log.lines());
}

#[test]
fn an_api_that_knows_none_of_sixteen_images_is_not_asked_about_another() {
    let registry = promoted(false);
    // Only a record leads to the first image.
    let first = registry.resolve(APP, "2026.34.101").unwrap();
    let list = first.replace(':', "-");
    registry.state(|state| {
        let tags = &mut state.repositories.get_mut(APP).unwrap().tags;
        tags.retain(|tag, digest| *digest != first && *tag != list);
    });
    for n in 2..16 {
        registry.push(APP, &format!("2026.34.{}", 200 + n), &image(&n.to_string()));
    }
    registry.clear();
    assert_eq!(found(&history(&registry, "", []).run()), ["2026.34.103", "2026.34.102"]);
    let log = registry.log();
    assert_eq!(log.matching("GET", "/referrers/"), 16, "{:#?}", log.lines());
}

#[test]
fn a_promotion_into_another_repository_is_known_there() {
    let registry = promoted(true);
    let (source, into) = (registry.name("acme/app:2026.34.103"), registry.name("prod/app"));
    let ran = tagwright(["promote", &source, "--into", &into, "--attach-record"]).run();
    assert!(ran.result()["attached"].is_string(), "{ran}");
    let ran = tagwright(["history", &format!("{into}:latest")]).run();
    assert_eq!(found(&ran), ["2026.34.103"]);
    assert_eq!(ran.result()["records"][0]["repository"], into.as_str());
    // The records that came along with the image are there too.
    assert_eq!(found(&tagwright(["history", &into]).run()).len(), 2);
}

#[test]
fn an_answer_that_is_missing_takes_only_its_own_part_of_the_history() {
    type Break = fn(&str) -> Reply;
    let breaks: [(&str, Break); 2] = [
        ("broken", |_| Reply::error(500, "UNKNOWN", "no answer")),
        ("in a circle", |target| {
            let empty = json!({"schemaVersion": 2, "mediaType": types::OCI_INDEX, "manifests": []}).to_string();
            Reply::with(200, types::OCI_INDEX, empty).set("Link", format!("<{target}>; rel=\"next\""))
        }),
    ];
    for (what, reply) in breaks {
        let registry = promoted(true);
        let image = registry.resolve(APP, "2026.34.101").unwrap();
        registry
            .before(move |asked, _| asked.path.ends_with(&format!("/referrers/{image}")).then(|| reply(&asked.target)));
        let ran = tagwright(["history", &registry.name(APP), "--retries", "0"]).run();
        let digests: Vec<Value> = ran.result()["records"].as_array().unwrap().clone();
        assert_eq!(digests.len(), 2, "{what}: {ran}");
        assert_eq!(ran.json()["warnings"][0]["code"], "history-incomplete", "{what}: {ran}");
    }
}
