//! `promote --record` and `--attach-record`: what is kept, when, and what happens where it cannot be kept.

use crate::stage::{STEP, check_trips, image, push, scrubbed};
use crate::support::amazon::{Amazon, HOST, OTHER_KEY};
use crate::support::cmd::{Tagwright, indented, tagwright};
use crate::support::image::{Image, Index, helm_chart, two_platforms};
use crate::support::registry::{Options, Registry};
use crate::support::release::referrer;
use crate::support::reply::{Fault, Reply};
use crate::support::text::sha512;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const APP: &str = "acme/app";
const ARTIFACT: &str = "application/vnd.tagwright.promotion.v1+json";

/// Three versions with images of their own, `latest` on the second, and a folder for records.
fn versions() -> (Registry, TempDir) {
    let registry = Registry::start();
    fill(&registry);
    (registry, tempfile::tempdir().unwrap())
}

fn fill(registry: &Registry) {
    push(registry, APP, &["2026.34.101", "2026.34.102", "2026.34.103"]);
    let digest = registry.resolve(APP, "2026.34.102").unwrap();
    registry.state(|state| state.tag(APP, "latest", &digest));
}

fn promote(registry: &Registry, file: &Path) -> Tagwright {
    let source = registry.name(&format!("{APP}:2026.34.103"));
    tagwright(["promote", &source, "--record"]).arg(file)
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect()
}

fn states(file: &Path) -> Vec<String> {
    lines(file).iter().map(|line| line["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_planned_stands_in_the_file_before_the_first_write() {
    let (registry, folder) = versions();
    let file = folder.path().join("record.jsonl");
    let (seen, place) = (Arc::new(Mutex::new(Vec::new())), file.clone());
    let note = seen.clone();
    registry.before(move |asked, _| {
        if asked.method == "PUT" {
            note.lock().unwrap().push(states(&place));
        }
        None
    });
    let ran = promote(&registry, &file).env("JOB_NAME", "release").env("BUILD_NUMBER", "7").run();
    assert_eq!(*seen.lock().unwrap(), vec![vec!["planned"]; 2]);
    let told = lines(&file);
    assert_eq!((told.len(), &told[1]), (2, &ran.result()["record"]));
    let text = std::fs::read_to_string(&file).unwrap();
    let text: Vec<String> = text.lines().map(indented).collect();
    let text = text.join("\n").replace(&registry.host(), "[registry]").replace(&*file.to_string_lossy(), "[file]");
    insta::assert_snapshot!(scrubbed(&text));
}

#[test]
fn a_second_run_that_changes_nothing_is_written_down_too() {
    let (registry, folder) = versions();
    let file = folder.path().join("record.jsonl");
    promote(&registry, &file).run().result();
    let ran = promote(&registry, &file).run();
    assert_eq!(states(&file), ["planned", "done", "planned", "done"]);
    assert_eq!((&ran.result()["rollback"], &lines(&file)[3]["tags"][1]["action"]), (&json!([]), &json!("unchanged")));
}

#[test]
fn a_dry_run_adds_nothing_and_tells_what_it_would() {
    let (registry, folder) = versions();
    let file = folder.path().join("record.jsonl");
    let ran = promote(&registry, &file).args(["--dry-run", "--attach-record"]).run();
    let result = ran.result();
    assert!(!file.exists());
    assert_eq!((&result["record"]["state"], &result["attached"]), (&json!("planned"), &Value::Null));
    assert_eq!(result["rollback"][0][1], "promote");
    assert_eq!(registry.log().writes(), 0);
    // It ends as the real run would.
    let ran = promote(&registry, &folder.path().join("none/record.jsonl")).arg("--dry-run").run();
    assert_eq!(ran.code(), "record-invalid");
}

#[test]
fn a_file_may_be_named_after_repository_and_digest() {
    let (registry, folder) = versions();
    let digest = registry.resolve(APP, "2026.34.103").unwrap();
    let name = folder.path().join("records/{repository}/{digest}-7.jsonl");
    let file = folder.path().join(format!(
        "records/{}/{APP}/{}-7.jsonl",
        registry.host().replace(':', "_"),
        &digest["sha256:".len()..][..12]
    ));
    promote(&registry, &name).arg("--dry-run").run().result();
    assert!(!folder.path().join("records").exists());
    let ran = promote(&registry, &name).run();
    assert_eq!(states(&file), ["planned", "done"]);
    // The command that undoes it names the file as it is.
    let undo = ["tagwright", "rollback", &registry.name("acme/app"), "--record", file.to_str().unwrap()];
    assert_eq!(ran.result()["rollback"], json!([undo]));

    std::fs::write(folder.path().join("file"), "").unwrap();
    for (name, code) in [
        ("file/{repository}.jsonl", "record-invalid"),
        ("{tag}.jsonl", "request-invalid"),
        ("{digest.jsonl", "request-invalid"),
    ] {
        let ran = promote(&registry, &folder.path().join(name)).args(["--to", "other"]).run();
        assert_eq!((ran.code().as_str(), registry.resolve(APP, "other")), (code, None), "{ran}");
        assert!(ran.stderr.ends_with("\nnothing was written\n"), "{ran}");
    }
}

#[test]
fn a_file_that_cannot_be_written_to_is_refused_before_anything_is_asked() {
    let (registry, folder) = versions();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for (name, cause, hint) in [
        ("none/record.jsonl", "there is no folder ", "make the folder first, with `mkdir -p "),
        ("", "is a directory", "name a file "),
        ("file/record.jsonl", " is no folder", "name a file "),
    ] {
        let ran = promote(&registry, &folder.path().join(name)).run();
        let error = ran.error();
        assert_eq!((ran.code().as_str(), ran.exit), ("record-invalid", Some(2)), "{ran}");
        assert!(error["causes"][0].as_str().unwrap().contains(cause), "{ran}");
        assert!(error["hint"].as_str().unwrap().starts_with(hint), "{ran}");
        assert!(ran.stderr.ends_with("\nnothing was written\n"), "{ran}");
    }
    assert_eq!(registry.log().count(), 0);
    let ran = promote(&registry, Path::new("-")).run();
    assert_eq!((ran.code().as_str(), registry.log().count()), ("request-invalid", 0), "{ran}");
}

#[test]
fn a_disk_that_is_full_ends_the_promotion_before_the_first_write() {
    let (registry, _) = versions();
    let ran = promote(&registry, Path::new("/dev/full")).run();
    assert_eq!((ran.code().as_str(), registry.log().writes()), ("record-invalid", 0), "{ran}");
    assert!(ran.stderr.ends_with("\nnothing was written\n"), "{ran}");
}

#[test]
fn an_end_that_cannot_be_written_down_is_a_warning() {
    let (registry, folder) = versions();
    let file = folder.path().join("record.jsonl");
    let place = file.clone();
    registry.before(move |asked, _| {
        if asked.method == "PUT" && place.is_file() {
            std::fs::remove_file(&place).unwrap();
            std::fs::create_dir(&place).unwrap();
        }
        None
    });
    let ran = promote(&registry, &file).run();
    assert_eq!(
        (&ran.result()["record"]["state"], ran.warnings()),
        (&json!("done"), vec!["record-unfinished".to_owned()])
    );
}

#[test]
fn a_run_that_fails_half_way_leaves_its_record_and_the_way_back() {
    let (registry, folder) = versions();
    let file = folder.path().join("record.jsonl");
    registry.before(|asked, _| {
        let hit = asked.method == "PUT" && asked.path.ends_with("/stable");
        hit.then(|| Reply::error(403, "DENIED", "requested access to the resource is denied"))
    });
    let ran = promote(&registry, &file).args(["--to", "x", "--move", "latest", "--move", "stable"]).run();
    let error = ran.error();
    assert_eq!((ran.code().as_str(), states(&file)), ("denied", vec!["planned".to_owned(), "failed".to_owned()]));
    assert_eq!(error["record"], lines(&file)[1]);
    assert_eq!(error["record"]["error"]["code"], "denied");
    assert_eq!(error["record"]["error"]["done"], error["done"]);
    assert_eq!(error["rollback"], error["record"]["rollback"]);
    let undo: Vec<&str> = error["rollback"][0].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(undo[..2], ["tagwright", "rollback"]);
    assert_eq!(undo[3..5], ["--record", &*file.to_string_lossy()]);
    assert!(ran.stderr.trim_end().ends_with(&format!("undo: {}", undo.join(" "))), "{ran}");
    let result = tagwright([]).args(&undo[1..]).run().result();
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.102"));
    let actions: Vec<&str> =
        result["tags"].as_array().unwrap().iter().map(|tag| tag["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["left", "moved", "unchanged"]);
}

#[test]
fn what_a_tag_held_at_the_second_look_is_what_a_failed_run_goes_back_to() {
    let (registry, folder) = versions();
    let file = folder.path().join("record.jsonl");
    let mut looked = 0;
    registry.before(move |asked, state| {
        if asked.method == "HEAD" && asked.path.ends_with("/latest") {
            looked += 1;
            if looked == 2 {
                let digest = state.resolve(APP, "2026.34.101").unwrap();
                state.tag(APP, "latest", &digest);
            }
        }
        (asked.method == "PUT" && asked.path.ends_with("/stable")).then(|| Reply::error(403, "DENIED", "no"))
    });
    let ran = promote(&registry, &file).args(["--to", "new", "--move", "latest", "--move", "stable"]).run();
    assert_eq!(ran.code(), "denied");
    let told = lines(&file);
    assert_eq!(told[0]["tags"][1]["before"], registry.resolve(APP, "2026.34.102").unwrap());
    assert_eq!(told[1]["tags"][1]["before"], registry.resolve(APP, "2026.34.101").unwrap());
    tagwright(["rollback", "--record"]).arg(&file).run().result();
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.101"));
}

#[test]
fn a_failure_after_the_plan_carries_the_record_without_a_file_too() {
    let (registry, _) = versions();
    registry.before(|asked, _| (asked.method == "PUT").then(|| Reply::error(403, "DENIED", "no")));
    let ran = tagwright(["promote", &registry.name("acme/app:2026.34.103")]).run();
    let error = ran.error();
    assert_eq!((&error["record"]["state"], &error["changed"]), (&json!("failed"), &json!(false)), "{ran}");
    assert_eq!(error["record"]["tags"][1]["before"], registry.resolve(APP, "2026.34.102").unwrap().as_str());
    let ran = tagwright(["promote", &registry.name("acme/app:missing")]).run();
    assert_eq!(ran.error()["record"], Value::Null);
}

#[test]
fn labels_are_read_for_a_record_alone_and_take_no_round_trip_more() {
    let trips = |words: &[&str]| {
        let (registry, folder) = versions();
        registry.latency(STEP);
        let source = registry.name("acme/app:2026.34.103");
        let ran = tagwright(["promote", &source]).args(words).folder(folder.path()).run();
        (
            ran.result()["record"]["labels"].clone(),
            registry.log().matching("GET", "/blobs/"),
            registry.log().round_trips(),
        )
    };
    let (plain, kept) = (trips(&[]), trips(&["--record", "r"]));
    assert_eq!((&plain.0, plain.1), (&Value::Null, 0));
    assert_eq!((&kept.0, kept.1), (&json!({"git_revision": "2026.34.103"}), 1));
    check_trips(plain.2, || trips(&["--record", "r"]).2);
    // Labels that were required are known anyway.
    let required = trips(&["--require-label", "git_revision=2026.34.103", "--record", "r"]);
    assert_eq!((&required.0, required.1), (&json!({"git_revision": "2026.34.103"}), 1));
}

#[test]
fn labels_of_several_platforms_are_kept_where_they_agree() {
    let (registry, folder) = versions();
    let labels = |tag: &str| {
        let source = registry.name(&format!("{APP}:{tag}"));
        let run = tagwright(["promote", &source, "--to", "x-{tag}", "--record"]).arg(folder.path().join(tag)).run();
        (run.result()["record"]["labels"].clone(), run.warnings())
    };
    registry.push(APP, "both", &two_platforms("abc", "one"));
    let of = |platform: &str, team: &str| {
        Image::new().platform(platform).label("git_revision", "abc").label("team", team).label("same", "1").build()
    };
    registry.push(APP, "unlike", &Index::of([of("linux/amd64", "a"), of("linux/arm64", "b")]).build());
    registry.push(APP, "chart", &helm_chart());
    assert_eq!(labels("both").0, json!({"git_revision": "abc", "org.opencontainers.image.title": "serviceone"}));
    assert_eq!(labels("unlike").0, json!({"git_revision": "abc"}));
    assert_eq!(labels("chart"), (Value::Null, vec![]));
    registry.before(|asked, _| asked.path.contains("/blobs/").then(|| Reply::status(404)));
    assert_eq!(labels("both"), (Value::Null, vec!["labels-unknown".to_owned()]));
}

#[test]
fn what_is_claimed_stands_apart_from_what_was_confirmed() {
    let open = Registry::start();
    let closed = Registry::basic("robot", "secret");
    for (registry, login) in [(&open, false), (&closed, true)] {
        fill(registry);
        let mut run = tagwright(["promote", &registry.name("acme/app:2026.34.103")])
            .env("BUILD_URL", "https://mo:secret@jenkins.example/job/release/7/")
            .env("BUILD_USER_ID", "mo")
            .env("USER", "jenkins")
            .env("GIT_COMMIT", "abc");
        // A credential that nobody asked for has confirmed nothing.
        run = run.login("robot", "secret");
        let record = run.run().result()["record"].clone();
        let claimed = json!({
            "buildUrl": "https://jenkins.example/job/release/7/", "job": null, "build": null, "user": "mo",
            "node": null, "commit": "abc", "branch": null,
        });
        assert_eq!(record["claimed"], claimed);
        let who = match login {
            true => json!({"registry": registry.host(), "name": "robot", "credential": "environment"}),
            false => json!({"registry": registry.host(), "name": null, "credential": null}),
        };
        assert_eq!(record["identity"], json!({"source": who, "target": who}));
    }
}

#[test]
fn amazon_is_asked_who_the_caller_is_for_a_record_alone() {
    let amazon = Amazon::start();
    amazon.push("team/app", "2026.34.103", &image("new"));
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{HOST}/team/app:2026.34.103");
    let plain = amazon.signed(["promote", &source, "--to", "a"]).run().result();
    assert_eq!(plain["record"]["identity"]["target"]["name"], Value::Null);
    let asked = |amazon: &Amazon| amazon.calls().iter().filter(|call| call.starts_with("sts:")).count();
    assert_eq!(asked(&amazon), 0);
    let kept = amazon.signed(["promote", &source, "--to", "b", "--record", "r"]).folder(folder.path()).run();
    let who = &kept.result()["record"]["identity"]["target"];
    assert!(who["name"].as_str().unwrap().starts_with("arn:aws:"), "{kept}");
    assert_eq!((&who["credential"], asked(&amazon)), (&json!("environment"), 1), "{kept}");
    // At a registry that is none of Amazon's the key is nobody, and another key at the same one is asked about as well.
    let other = Registry::start();
    let words = ["promote", &source, "--into", &other.name("acme/app"), "--record", "r"];
    let ran = amazon.signed(words).folder(folder.path()).run();
    let identity = &ran.result()["record"]["identity"];
    assert_eq!((&identity["source"]["name"], &identity["target"]["name"]), (&who["name"], &Value::Null), "{ran}");
    let prod = format!("{HOST}/prod/app");
    amazon.create([prod.as_str()]);
    amazon.clear();
    let run = amazon.signed(["promote", &source, "--into", &prod, "--record", "r"]).folder(folder.path());
    let run = run.env("INTO_AWS_ACCESS_KEY_ID", OTHER_KEY.0).env("INTO_AWS_SECRET_ACCESS_KEY", OTHER_KEY.1);
    run.run().result();
    assert_eq!(asked(&amazon), 2, "{:?}", amazon.calls());
    // That nobody can tell stops nothing.
    amazon.hook(|asked, action, _| {
        (action == "sts:GetCallerIdentity").then(|| Reply::error(403, "AccessDenied", &asked.method))
    });
    let ran = amazon.signed(["promote", &source, "--to", "c", "--record", "r"]).folder(folder.path()).run();
    assert_eq!(
        (&ran.result()["tags"][0]["action"], ran.warnings()),
        (&json!("created"), vec!["identity-unknown".to_owned()])
    );
    // Nor does an agent wait long that reaches ECR alone: it asks once.
    amazon.hook(|_, action, _| (action == "sts:GetCallerIdentity").then(|| Reply::broken(Fault::Hang)));
    amazon.clear();
    let ran = amazon.signed(["promote", &source, "--to", "d", "--record", "r"]).folder(folder.path()).run();
    assert_eq!((ran.warnings(), asked(&amazon)), (vec!["identity-unknown".to_owned()], 1), "{ran}");
}

#[test]
fn a_copy_is_recorded_at_its_target() {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    fill(&registry);
    let folder = tempfile::tempdir().unwrap();
    let into = registry.name("prod/app");
    let file = folder.path().join(format!("{}.jsonl", into.replace(':', "_")));
    let sbom = referrer("application/spdx+json", &image("2026.34.103"), "{}");
    registry.state(|state| state.store(APP, &sbom));
    registry.push("prod/app", "latest", &image("older"));
    let before = registry.resolve("prod/app", "latest").unwrap();
    let named = folder.path().join("{repository}.jsonl");
    let ran = promote(&registry, &named).args(["--into", &into, "--require-label", "git_revision"]).run();
    let result = ran.result();
    let told = lines(&file);
    assert_eq!(told[0]["labels"], json!({"git_revision": "2026.34.103"}));
    assert_eq!((&told[0]["referrers"]["found"], &told[1]["referrers"]), (&json!(1), &result["referrers"]));
    assert_eq!((&told[0]["repository"], &told[1]["repository"]), (&json!(into), &json!(into)));
    assert_eq!(told[1]["copied"], result["copied"]);
    assert_eq!(told[0]["copied"]["mounted"], result["copied"]["mounted"]);
    let undo: Vec<String> = serde_json::from_value(result["rollback"][0].clone()).unwrap();
    tagwright([]).args(&undo[1..]).run().result();
    assert_eq!(registry.resolve("prod/app", "latest"), Some(before));
}

/// The one artifact of a repository that holds a record.
fn artifact(registry: &Registry, repository: &str) -> Value {
    let manifests: Vec<Value> = registry.state(|state| {
        let all = state.repositories[repository].manifests.values();
        all.filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect()
    });
    let found: Vec<Value> = manifests.into_iter().filter(|one| one["artifactType"] == ARTIFACT).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

#[test]
fn a_record_is_kept_beside_the_image_whether_the_registry_lists_referrers_or_not() {
    for referrers in [true, false] {
        let registry = Registry::with(Options { referrers, ..Options::default() });
        fill(&registry);
        let ran = tagwright(["promote", &registry.name("acme/app:2026.34.103"), "--attach-record"]).run();
        let result = ran.result();
        let manifest = artifact(&registry, APP);
        assert_eq!(manifest["subject"]["digest"], result["digest"]);
        let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
        let blob = registry.state(|state| state.repositories[APP].blobs[&layer].clone());
        let record: Value = serde_json::from_slice(&blob).unwrap();
        assert_eq!((&record, manifest["layers"][0]["data"].is_string()), (&result["record"], true));
        let fallback = result["digest"].as_str().unwrap().replace(':', "-");
        let list = registry.resolve(APP, &fallback);
        assert_eq!(list.is_some(), !referrers, "{ran}");
        if let Some(list) = list {
            let bytes = registry.state(|state| state.repositories[APP].manifests[&list].1.clone());
            let list: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(list["manifests"][0]["digest"], result["attached"]);
            assert_eq!(list["manifests"][0]["artifactType"], ARTIFACT);
        }
    }
}

#[test]
fn the_list_under_the_fallback_tag_keeps_what_others_put_there_meanwhile() {
    let registry = Registry::start();
    fill(&registry);
    let fallback = registry.resolve(APP, "2026.34.103").unwrap().replace(':', "-");
    let other = registry.resolve(APP, "2026.34.101").unwrap();
    let entry = json!({"mediaType": "a/b", "digest": other, "size": 1, "own": [1]});
    let theirs =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]});
    let built = crate::support::image::Built::raw("application/vnd.oci.image.index.v1+json", theirs.to_string());
    let (mut times, tag) = (0, fallback.clone());
    // Right after ours somebody else's list is written, made from what was there before.
    registry.after(move |asked, state, _| {
        if asked.method == "PUT" && asked.path.ends_with(&tag) && times < 2 {
            times += 1;
            let digest = state.store(APP, &built);
            state.tag(APP, &tag, &digest);
        }
    });
    let ran = tagwright(["promote", &registry.name("acme/app:2026.34.103"), "--attach-record"]).run();
    assert!(ran.result()["attached"].is_string() && ran.warnings().is_empty(), "{ran}");
    let list = registry.resolve(APP, &fallback).unwrap();
    let bytes = registry.state(|state| state.repositories[APP].manifests[&list].1.clone());
    let list: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(list["manifests"].as_array().map(Vec::len), Some(2), "{list:#}");
    assert_eq!((&list["manifests"][0], &list["manifests"][1]["artifactType"]), (&entry, &json!(ARTIFACT)));
}

#[test]
fn a_record_that_cannot_be_attached_is_a_warning_and_the_promotion_is_done() {
    let (registry, _) = versions();
    registry.before(|asked, _| {
        (asked.method == "POST").then(|| Reply::error(403, "DENIED", "requested access to the resource is denied"))
    });
    let ran = tagwright(["promote", &registry.name("acme/app:2026.34.103"), "--attach-record"]).run();
    assert_eq!(
        (&ran.result()["attached"], ran.warnings()),
        (&Value::Null, vec!["record-unattached".to_owned()]),
        "{ran}"
    );
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.103"));
}

#[test]
fn a_record_of_64_kibibytes_is_attached_and_a_longer_one_is_not() {
    let (registry, _) = versions();
    let source = registry.name("acme/app:2026.34.103");
    let attach = |tag: &str, url: usize| {
        let run = tagwright(["promote", &source, "--to", tag, "--attach-record"]).env("BUILD_URL", "u".repeat(url));
        let ran = run.run();
        (ran.result()["attached"].is_string(), ran.warnings(), ran.result()["record"].to_string().len())
    };
    let (_, _, rest) = attach("a", 1);
    let most = (64 << 10) - rest + 1;
    assert_eq!(attach("b", most), (true, vec![], 64 << 10));
    assert_eq!(attach("c", most + 1), (false, vec!["record-unattached".to_owned()], (64 << 10) + 1));
}

#[test]
fn a_request_takes_the_same_keys() {
    let (registry, folder) = versions();
    let file: PathBuf = folder.path().join("record.jsonl");
    let args = json!({"image": registry.name("acme/app:2026.34.103"), "record": file, "attachRecord": true});
    let ran =
        tagwright(["call"]).env("TAGWRIGHT_REQUEST", json!({"command": "promote", "args": args}).to_string()).run();
    assert!(ran.result()["attached"].is_string());
    assert_eq!(states(&file), ["planned", "done"]);
}

#[test]
fn a_registry_that_says_it_lists_referrers_and_does_not_is_not_believed() {
    let registry = Registry::with(Options { referrers: false, ..Options::default() });
    push(&registry, "acme/app", &["2026.34.101"]);
    registry.after(|asked, _, reply| {
        if asked.method == "PUT" && asked.path.contains("/manifests/") {
            *reply = reply.clone().set("OCI-Subject", "sha256:of-something");
        }
    });
    let ran = tagwright(["promote", &registry.name("acme/app:2026.34.101"), "--to", "x", "--attach-record"]).run();
    assert!(ran.result()["attached"].is_string(), "{ran}");
    let digest = ran.result()["digest"].as_str().unwrap().replace(':', "-");
    assert!(registry.resolve("acme/app", &digest).is_some(), "no list was kept under the fall-back tag: {ran}");
}

#[test]
fn a_registry_that_answers_by_another_algorithm_has_stored_what_was_sent() {
    let registry = Registry::start();
    push(&registry, "acme/app", &["2026.34.101"]);
    for damaged in [false, true] {
        registry.after(move |asked, _, reply| {
            if asked.method == "PUT" && asked.path.contains("/manifests/") {
                let body = if damaged { b"something else".to_vec() } else { asked.body.clone() };
                *reply = reply.clone().set("Docker-Content-Digest", sha512(&body));
            }
        });
        let tag = if damaged { "damaged" } else { "whole" };
        let ran = tagwright(["promote", &registry.name("acme/app:2026.34.101"), "--to", tag]).run();
        if damaged {
            assert_eq!(ran.error()["code"], "digest-mismatch", "{ran}");
        } else {
            assert_eq!(ran.result()["tags"][0]["action"], "created", "{ran}");
        }
    }
}

#[test]
fn an_image_that_is_named_by_another_algorithm_is_read_back_by_what_it_is() {
    let registry = Registry::start();
    push(&registry, "acme/app", &["2026.34.101", "2026.34.102"]);
    let older = registry.resolve("acme/app", "2026.34.101").unwrap();
    registry.state(|state| state.tag("acme/app", "latest", &older));
    let (tagged, bytes) = registry.state(|state| {
        let digest = state.resolve("acme/app", "2026.34.102").unwrap();
        let bytes = state.repositories["acme/app"].manifests[&digest].clone();
        (digest, bytes)
    });
    let other = sha512(&bytes.1);
    let asked_for = other.clone();
    registry.before(move |asked, _| {
        let is_it = asked.path.ends_with(&format!("/manifests/{asked_for}"));
        is_it.then(|| Reply::with(200, &bytes.0, bytes.1.clone()).header("Docker-Content-Digest", &asked_for))
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("record.jsonl");
    let file = file.to_str().unwrap();
    let source = registry.name(&format!("acme/app@{other}"));
    let words = ["promote", &source, "--to", "kept", "--to", "2026.34.102", "--move", "latest", "--record", file];
    let ran = tagwright(words).run();
    let result = ran.result();
    let seen: Vec<[&Value; 3]> =
        result["tags"].as_array().unwrap().iter().map(|tag| [&tag["tag"], &tag["action"], &tag["verified"]]).collect();
    let expected = json!([["kept", "created", true], ["2026.34.102", "unchanged", true], ["latest", "moved", true]]);
    assert_eq!(json!(seen), expected, "{ran}");
    assert_eq!(result["digest"], other.as_str(), "{ran}");
    assert_eq!((registry.resolve("acme/app", "latest"), ran.warnings().len()), (Some(tagged), 0), "{ran}");
    // And it goes back.
    let ran = tagwright(["rollback", "--record", file]).run();
    assert_eq!(ran.result()["tags"][2]["action"], "moved", "{ran}");
    assert_eq!(registry.resolve("acme/app", "latest"), Some(older), "{ran}");
}

#[test]
fn records_and_requests_are_regular_files_without_a_link_on_the_way() {
    let (registry, folder) = versions();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir_all(folder.path().join("real")).unwrap();
    std::fs::write(at("target"), "").unwrap();
    std::os::unix::fs::symlink(at("target"), at("link")).unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
    std::os::unix::fs::symlink("real", at("folder")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let source = registry.name("acme/app:2026.34.103");
    let quick = |run: Tagwright| run.folder(folder.path()).limit(std::time::Duration::from_secs(20)).run();
    registry.clear();
    for name in ["link", "dangling", "pipe", "folder/new", "folder/{digest}.jsonl", "/dev/null"] {
        for name in [name.to_owned(), at(name)] {
            let ran = quick(tagwright(["promote", &source, "--to", "x", "--record", &name]));
            assert_eq!((ran.code().as_str(), registry.log().writes()), ("record-invalid", 0), "{ran}");
            if !name.contains("{digest}") {
                let ran = quick(tagwright(["rollback", "acme/app", "--record", &name]));
                assert_eq!(ran.code(), "record-invalid", "{ran}");
                let ran = quick(tagwright(["call"]).env("TAGWRIGHT_REQUEST", format!("@{name}")));
                assert_eq!(ran.json()["error"]["code"], "request-invalid", "{ran}");
            }
        }
    }
    assert_eq!(std::fs::read_to_string(at("target")).unwrap(), "");
    assert!(!folder.path().join("nowhere").exists() && std::fs::read_dir(at("real")).unwrap().next().is_none());
    // A credential file that is a pipe is an error at once, too.
    std::fs::create_dir(folder.path().join("docker")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("docker/config.json")).status().unwrap().success());
    let closed = Registry::basic("robot", "secret");
    let ran = quick(tagwright(["labels", &closed.name("acme/app:1")]).env("DOCKER_CONFIG", at("docker")));
    assert_eq!(ran.code(), "config-malformed", "{ran}");
    // A link above the working directory or elsewhere is somebody else's business, and what is regular is written.
    let linked = std::env::temp_dir().join(format!("tagwright-linked-{}", std::process::id()));
    std::os::unix::fs::symlink(folder.path(), &linked).unwrap();
    let promote = |tag: &str, name: &str| tagwright(["promote", &source, "--to", tag, "--record", name]);
    let above = promote("x", "real/new").folder(&linked).run();
    let elsewhere = promote("y", &linked.join("real/new").display().to_string()).run();
    std::fs::remove_file(&linked).unwrap();
    assert_eq!((above.exit, elsewhere.exit), (Some(0), Some(0)), "{above} {elsewhere}");
    assert_eq!(lines(&folder.path().join("real/new")).len(), 4);
}
