//! One release, told by every command in turn: what is there, what comes next, promotion, the way back, copies into
//! other repositories and registries. The same for every registry, behind every door.

use crate::stage::{Door, PASSWORD, Program, REPOSITORY, Stage, USER};
use crate::support::cmd::{Ran, tagwright};
use crate::support::hub::{Hub, Options, Source};
use crate::support::program::tool;
use crate::support::text::{base64, digest};
use crate::support::whole::{Whole, whole};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

/// Tells the story to one registry.
pub fn check_story(program: Program, door: Door) {
    let stage = Stage::filled(program, door);
    check_reading(&stage);
    check_versions(&stage);
    check_auth(&stage);
    check_call(&stage);
    check_promotion(&stage);
    check_copies(&stage);
    check_absence(&stage);
}

fn check_reading(stage: &Stage) {
    let digest = stage.digest("2026.34.103").unwrap();
    let result = stage.run("labels", ":2026.34.103", ["--label", "git_revision"]).run().result();
    assert_eq!((&result["value"], &result["digest"]), (&json!("ccc"), &json!(digest)));
    let result = stage.run("labels", ":2026.34.103", ["--all-platforms"]).run().result();
    let platforms: Vec<&Value> = result["platforms"].as_array().unwrap().iter().map(|one| &one["platform"]).collect();
    assert_eq!((platforms, &result["consistent"]), (vec![&json!("linux/amd64"), &json!("linux/arm64")], &json!(true)));
    let ran = stage.run("labels", ":2026.34.100", ["--label", "git_revision", "--print", "value"]).run();
    assert_eq!((ran.stdout.as_str(), ran.exit), ("old\n", Some(0)));
    let ran = stage.run("labels", ":2026.34.103", ["--label", "nothing"]).run();
    assert_eq!((ran.code().as_str(), ran.exit), ("label-missing", Some(3)));

    let result = stage.run("inspect", "", []).run().result();
    assert_eq!(result["digest"], json!(stage.digest("latest").unwrap()));
    assert_eq!(result["aliases"], json!(["2026.34.102"]));
    assert_eq!(result["version"], "2026.34.102");
    let result = stage.run("inspect", &format!("@{digest}"), []).run().result();
    assert_eq!((&result["digest"], result["platforms"].as_array().unwrap().len()), (&json!(digest), 2));

    let result = stage.run("rate-limit", "", []).run().result();
    assert_eq!((&result["limit"], &result["remaining"]), (&json!(null), &json!(null)));
    let result = stage.run("board", "", []).run().result();
    let row = &result["repositories"][0]["tags"][0];
    assert_eq!((&row["tag"], &row["version"], &row["behind"]), (&json!("latest"), &json!("2026.34.102"), &json!(1)));
    let result = stage.run("diff", "", [&stage.name(":2026.34.103")]).run().result();
    assert_eq!((&result["from"]["version"], &result["to"]["digest"]), (&json!("2026.34.102"), &json!(digest)));
}

fn check_versions(stage: &Stage) {
    let result = stage.run("tags", "", []).run().result();
    let names: Vec<&Value> = result["tags"].as_array().unwrap().iter().map(|tag| &tag["tag"]).collect();
    assert_eq!(json!(names), json!(["2026.34.103", "2026.34.102", "2026.34.101", "2026.34.100", "latest"]));
    assert_eq!((&result["scanned"], &result["via"]), (&json!(5), &json!("registry")));
    let result = stage.run("find-tag", "", ["--build", "102"]).run().result();
    assert_eq!(result["tag"], "2026.34.102");
    let ran = stage.run("find-tag", "", ["--build", "7"]).run();
    assert_eq!((ran.code().as_str(), ran.exit), ("no-tag-for-build", Some(3)));
    let at = ["--build", "auto", "--at", "2026-08-20"];
    let result = stage.run("next-version", "", at).run().result();
    assert_eq!((&result["version"], &result["previous"]), (&json!("2026.34.104"), &json!("2026.34.103")));
    let ran = stage.run("next-version", "", ["--build", "103", "--at", "2026-08-20"]).run();
    assert_eq!((ran.code().as_str(), ran.exit), ("version-not-increasing", Some(5)));

    let hub = Hub::start(Source::Registry(stage.client.clone()), Options::default().user(USER, PASSWORD));
    let run = stage.run("find-tag", "", ["--build", "101", "--via", "hub-api", "--hub-api", &hub.url()]);
    let result = run.run().result();
    let digest = stage.digest("2026.34.101").unwrap();
    assert_eq!((&result["tag"], &result["digest"]), (&json!("2026.34.101"), &json!(digest)));
    assert_eq!(result["via"], "hub-api");
}

fn check_auth(stage: &Stage) {
    let result = stage.run("doctor", "", ["--action", "push"]).run().result();
    let states = result["checks"].as_array().unwrap().iter().map(|check| check["state"].as_str().unwrap());
    assert!(states.clone().all(|state| ["ok", "skipped", "warn"].contains(&state)), "{result}");
    assert!(states.filter(|state| *state == "ok").count() >= 6, "{result}");
    let ran = stage.run("auth", "", ["--action", "pull", "--action", "push", "--verbose"]).run();
    let result = ran.result();
    let challenge = match stage.door {
        Door::Password => "basic",
        Door::Tokens | Door::Own => "bearer",
        Door::Open | Door::Tls => "none",
    };
    assert_eq!(result["challenge"], challenge, "{ran}");
    assert!(!format!("{ran}").contains(PASSWORD), "a secret was printed");
    if stage.asks() {
        assert_eq!(result["identity"], USER);
    }
    if stage.door == Door::Tokens {
        assert_eq!(result["granted"], json!([format!("repository:{REPOSITORY}:pull,push")]));
        assert!(result["expiresAt"].is_string());
    }
}

fn check_call(stage: &Stage) {
    let mut args = json!({"image": stage.name(":2026.34.103"), "label": ["git_revision"]});
    if let Some(authority) = &stage.authority {
        args["https"] = json!(true);
        args["caFile"] = json!(authority.ca_file());
    }
    let request = json!({"command": "labels", "args": args}).to_string();
    let word = |word: &str| tagwright(["call"]).args((!word.is_empty()).then_some(word));
    let by_variable = stage.login(word("").env("TAGWRIGHT_REQUEST", &request)).run();
    let by_stdin = stage.login(word("-").stdin(request)).run();
    for ran in [by_variable, by_stdin] {
        assert_eq!(ran.result()["value"], "ccc", "{ran}");
        assert!(ran.stderr.contains("tagwright labels "), "{ran}");
    }
}

/// Each tag of a promotion: its name, what became of it, whether it was read back.
pub fn actions(ran: &Ran) -> Value {
    let result = ran.result();
    let tags = result["tags"].as_array().unwrap().iter();
    tags.map(|tag| json!([tag["tag"], tag["action"], tag["verified"]])).collect()
}

fn check_promotion(stage: &Stage) {
    let before = stage.digest("latest").unwrap();
    let source = stage.digest("2026.34.103").unwrap();
    let dry = stage.run("promote", "", ["--build", "103", "--dry-run"]).run();
    assert_eq!(actions(&dry), json!([["2026.34.103-rc", "created", null], ["latest", "moved", null]]), "{dry}");
    assert_eq!((stage.digest("2026.34.103-rc"), stage.digest("latest")), (None, Some(before.clone())));

    let ran = stage.run("promote", "", ["--build", "103"]).run();
    assert_eq!(actions(&ran), json!([["2026.34.103-rc", "created", true], ["latest", "moved", true]]), "{ran}");
    let moved = &ran.result()["tags"][1];
    assert_eq!((&moved["before"], &moved["beforeVersion"]), (&json!(before), &json!("2026.34.102")));
    assert_eq!(ran.result()["digest"], source);
    for tag in ["2026.34.103-rc", "latest", "2026.34.103"] {
        assert_eq!(stage.digest(tag), Some(source.clone()), "{tag}");
    }

    let again = stage.run("promote", "", ["--build", "103"]).run();
    assert_eq!(
        actions(&again),
        json!([["2026.34.103-rc", "unchanged", true], ["latest", "unchanged", true]]),
        "{again}"
    );

    let ran = stage.run("promote", ":2026.34.101", ["--move", "latest"]).run();
    assert_eq!((ran.code().as_str(), ran.exit, &ran.error()["changed"]), ("downgrade-refused", Some(5), &json!(false)));
    let ran = stage.run("promote", ":2026.34.101", ["--to", "2026.34.103-rc"]).run();
    assert_eq!((ran.code().as_str(), ran.exit, &ran.error()["changed"]), ("tag-conflict", Some(5), &json!(false)));
    assert_eq!(stage.digest("latest"), Some(source.clone()));

    let goals = ["--move", "latest", "--allow-downgrade", "--require-label", "git_revision=bbb"];
    let ran = stage.run("promote", &format!("@{before}"), goals).run();
    assert_eq!(actions(&ran), json!([["latest", "moved", true]]), "{ran}");
    // The command that takes it back is run as it was printed.
    let undo = ran.result()["rollback"][0].as_array().unwrap().clone();
    let words = undo.iter().skip(1).map(|word| word.as_str().unwrap().to_owned());
    let undo = stage.login(tagwright([]).args(words));
    let ran = undo.run();
    assert_eq!(actions(&ran), json!([["latest", "moved", true]]), "{ran}");
    assert_eq!(stage.digest("latest"), Some(source.clone()));

    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("promotions.jsonl").display().to_string();
    let goals = ["--move", "latest", "--allow-downgrade", "--record", &record];
    stage.run("promote", &format!("@{before}"), goals).run().result();
    let ran = stage.run("rollback", "", ["--record", &record]).run();
    assert_eq!(actions(&ran), json!([["latest", "moved", true]]), "{ran}");
    assert_eq!(stage.digest("latest"), Some(source));

    let [new, old] = [":2026.34.103", ":2026.34.102"]
        .map(|end| json!({"image": stage.name(end), "to": format!("out-{end}").replace(':', "")}));
    let host = stage.name("").split('/').next().unwrap().to_owned();
    let release = stage.run("release", "", []).clone_words(&["release", "-"]).env("REGISTRY_HOST", host);
    release.stdin(format!("{new}\n{old}\n")).run().result();
    for tag in ["2026.34.103", "2026.34.102"] {
        assert_eq!(stage.digest(&format!("out-{tag}")), stage.digest(tag));
    }

    stage.run("promote", ":2026.34.103", ["--move", "kept", "--attach-record"]).run().result();
    let records = stage.run("history", ":kept", []).run().result()["records"].clone();
    assert_eq!(
        (records.as_array().map(Vec::len), &records[0]["tags"][0]["tag"]),
        (Some(1), &json!("kept")),
        "{records}"
    );

    let [key, ours, theirs] = ["p256.key", "p256.pub", "ed25519.pub"]
        .map(|name| format!("{}/tests/fixtures/keys/{name}", env!("CARGO_MANIFEST_DIR")));
    let goals = ["--move", "signed", "--attach-record", "--sign-record", &key];
    stage.run("promote", ":2026.34.103", goals).run().result();
    for (public, verified) in [(ours, true), (theirs, false)] {
        let records = stage.run("history", ":signed", ["--verify-key", &public]).run().result()["records"].clone();
        assert_eq!(
            (records.as_array().map(Vec::len), &records[0]["verified"]),
            (Some(1), &json!(verified)),
            "{records}"
        );
    }
}

/// Into another repository of the same registry, and once for each from there into a registry of another make, and back.
fn check_copies(stage: &Stage) {
    const TAG: &str = "2026.34.103";
    let source = whole(&stage.client, REPOSITORY, TAG).unwrap();
    let other = Stage::start(Program::Debian, Door::Open);
    let mut ways = vec![((stage, REPOSITORY), (stage, "acme/release"))];
    // What a door asks for, it asks within its registry too; and `--https` holds for both sides, of which one is open.
    if matches!(stage.door, Door::Open | Door::Own) {
        ways.extend([((stage, "acme/release"), (&other, "acme/far")), ((&other, "acme/far"), (stage, "acme/back"))]);
    }
    for ((from, source_path), (to, path)) in ways {
        let image = from.live.name(&format!("{source_path}:{TAG}"));
        let into = to.live.name(path);
        let goals = ["--into", &into, "--to", "{tag}", "--move", "latest"];
        let run = from.run("promote", "", []).clone_words(&["promote", &image]).args(goals);
        let login = [("INTO_REGISTRY_USERNAME", USER), ("INTO_REGISTRY_PASSWORD", PASSWORD)];
        let needs_own = to.asks() && from.live.host() != to.live.host();
        let run = login.into_iter().filter(|_| needs_own).fold(run, |run, (name, value)| run.env(name, value));
        let ran = run.run();
        assert_eq!(actions(&ran), json!([[TAG, "created", true], ["latest", "created", true]]), "{ran}");
        assert_eq!(whole(&to.client_of(path), path, "latest").as_ref(), Ok(&source), "{ran}");
        check_crane(to, &format!("{into}:{TAG}"), &source);
    }
}

/// crane reads the same bytes, down to the last layer.
fn check_crane(stage: &Stage, image: &str, source: &Whole) {
    let home = tempfile::tempdir().unwrap();
    let auth = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let auths = if stage.asks() { json!({stage.live.host(): {"auth": auth}}) } else { json!({}) };
    std::fs::write(home.path().join("config.json"), json!({"auths": auths}).to_string()).unwrap();
    let mut crane = Command::new(tool("crane"));
    crane.env_clear().env("DOCKER_CONFIG", home.path());
    if let Some(authority) = &stage.authority {
        crane.env("SSL_CERT_FILE", authority.ca_file());
    }
    let layout = home.path().join("layout");
    let out = crane.args(["pull", "--format", "oci", image]).arg(&layout).output().unwrap();
    assert!(out.status.success(), "crane pull {image}: {}", String::from_utf8_lossy(&out.stderr));
    let files = std::fs::read_dir(layout.join("blobs/sha256")).unwrap();
    let read: BTreeSet<String> = files.map(|file| digest(&std::fs::read(file.unwrap().path()).unwrap())).collect();
    let expected: BTreeSet<String> = source.manifests.keys().chain(source.blobs.keys()).cloned().collect();
    assert_eq!(read, expected, "crane reads something else at {image}");
}

fn check_absence(stage: &Stage) {
    let ran = stage.run("labels", ":none", []).run();
    assert_eq!((ran.code().as_str(), ran.exit), ("tag-unknown", Some(3)), "{ran}");
    if !stage.asks() {
        let mut run = tagwright(["labels", &stage.live.name("acme/none:1")]);
        if let Some(authority) = &stage.authority {
            run = run.arg("--https").arg("--ca-file").arg(authority.ca_file());
        }
        // To olareg a repository that nobody wrote to is an empty one.
        let expected = if stage.program == Program::Olareg { "tag-unknown" } else { "repository-unknown" };
        assert_eq!(run.run().code(), expected);
    }
}
