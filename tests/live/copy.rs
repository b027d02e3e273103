//! Promotions from one real registry into another of a different make, and within one: all that a tag stands for
//! arrives, nothing is sent twice, and skopeo and crane agree on every digest on the other side.

use crate::stage::{Door, PASSWORD, Program, REPOSITORY, Stage, USER};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::image::Family;
use crate::support::program::tool;
use crate::support::relay::Relay;
use crate::support::release::{Signed, five_platforms, push_large, signed, with_foreign_layer};
use crate::support::text::digest;
use crate::support::whole::{Whole, whole};
use serde_json::{Value, json};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

const TAG: &str = "2026.34.103";
const LARGE: u64 = 16 * 1024 * 1024;

#[test]
fn debian_into_registry_3() {
    check_all(&Ground::between(Program::Debian, Program::Three));
}

#[test]
fn debian_into_olareg() {
    check_all(&Ground::between(Program::Debian, Program::Olareg));
}

#[test]
fn registry_3_into_debian() {
    check_all(&Ground::between(Program::Three, Program::Debian));
}

#[test]
fn registry_3_into_olareg() {
    check_all(&Ground::between(Program::Three, Program::Olareg));
}

#[test]
fn olareg_into_debian() {
    check_all(&Ground::between(Program::Olareg, Program::Debian));
}

#[test]
fn olareg_into_registry_3() {
    check_all(&Ground::between(Program::Olareg, Program::Three));
}

#[test]
fn debian_into_itself() {
    check_all(&Ground::within(Program::Debian));
}

#[test]
fn registry_3_into_itself() {
    check_all(&Ground::within(Program::Three));
}

#[test]
fn olareg_into_itself() {
    check_all(&Ground::within(Program::Olareg));
}

#[test]
fn each_side_has_a_credential_of_its_own() {
    let from = Stage::filled(Program::Debian, Door::Tokens);
    let to = Stage::start(Program::Three, Door::Password);
    let target = to.live.name("acme/release");
    let run = from.run("promote", ":2026.34.103", ["--into", &target, "--to", "{tag}", "--move", "latest"]);
    let into = |run: Tagwright, password: &str| {
        run.env("INTO_REGISTRY_USERNAME", USER).env("INTO_REGISTRY_PASSWORD", password)
    };
    let ran = into(run.clone(), "marked-wrong-password").run();
    assert_eq!((ran.code().as_str(), &ran.error()["changed"]), ("unauthenticated", &json!(false)), "{ran}");
    let ran = run.run();
    assert_eq!(ran.exit, Some(4), "the password of one registry was sent to another: {ran}");
    let ran = into(run.arg("--verbose"), PASSWORD).run();
    assert_eq!(actions(&ran), json!([[TAG, "created", true], ["latest", "created", true]]), "{ran}");
    assert!(!format!("{ran}").contains(PASSWORD), "a secret was printed");
    let source = whole(&from.client, REPOSITORY, TAG).unwrap();
    assert_eq!(whole(&to.client, "acme/release", "latest").unwrap(), source);
}

#[test]
fn who_may_not_write_at_the_target_learns_it_before_a_layer_is_read() {
    let from = Stage::start(Program::Three, Door::Open);
    push_large(&from.client, REPOSITORY, TAG, 8, LARGE, 7);
    let to = Stage::filled(Program::Debian, Door::Tokens);
    let source = Relay::start(from.live.host());
    let words = ["promote", &source.name(&format!("{REPOSITORY}:{TAG}")), "--into", &to.name("")];
    let run = tagwright(words).args(["--to", "{tag}-copy"]).env("INTO_REGISTRY_USERNAME", "reader");
    let ran = run.env("INTO_REGISTRY_PASSWORD", PASSWORD).run();
    assert_eq!((ran.exit, &ran.error()["changed"]), (Some(4), &json!(false)), "{ran}");
    let read: Vec<String> = source.blob_traffic().into_iter().filter(|line| line.starts_with("GET")).collect();
    assert!(read.len() <= 1, "more than a config was read: {read:#?}");
}

/// Two registries, or one, each behind a door where requests are counted.
struct Ground {
    from: Rc<Stage>,
    to: Rc<Stage>,
    source: Rc<Relay>,
    target: Rc<Relay>,
}

impl Ground {
    fn between(from: Program, to: Program) -> Self {
        let (from, to) = (Stage::start(from, Door::Open), Stage::start(to, Door::Open));
        let (source, target) = (Relay::start(from.live.host()), Relay::start(to.live.host()));
        Self { from: from.into(), to: to.into(), source: source.into(), target: target.into() }
    }

    fn within(program: Program) -> Self {
        let stage = Rc::new(Stage::start(program, Door::Open));
        let door = Rc::new(Relay::start(stage.live.host()));
        Self { from: stage.clone(), to: stage, source: door.clone(), target: door }
    }

    fn is_one(&self) -> bool {
        Rc::ptr_eq(&self.from, &self.to)
    }

    fn promote(&self, name: &str) -> Tagwright {
        let (source, target) = (self.source.name(&build(name)), self.target.name(&release(name)));
        tagwright(["promote", &format!("{source}:{TAG}"), "--into", &target])
            .args(["--to", "{tag}", "--move", "latest"])
            .limit(Duration::from_secs(120))
    }

    fn clear(&self) {
        self.source.clear();
        self.target.clear();
    }
}

fn build(name: &str) -> String {
    format!("acme/build/{name}")
}

fn release(name: &str) -> String {
    format!("acme/release/{name}")
}

fn check_all(ground: &Ground) {
    let push = |name: &str, built| ground.from.client.push(&build(name), TAG, &built);
    push_large(&ground.from.client, &build("large"), TAG, 8, LARGE, 7);
    push("five", five_platforms(Family::Oci, "abc"));
    push("five-docker", five_platforms(Family::Docker, "abc"));
    let mut names = vec!["large", "five", "five-docker"];
    // olareg wants every layer for itself, those with addresses elsewhere too.
    if [ground.from.program, ground.to.program].iter().all(|program| *program != Program::Olareg) {
        push("foreign", with_foreign_layer(Family::Oci));
        push("foreign-docker", with_foreign_layer(Family::Docker));
        names.extend(["foreign", "foreign-docker"]);
    }
    for name in names {
        check_copy(ground, name, false);
    }
    check_referrers(ground, "signed", &signed(five_platforms(Family::Docker, "signed").children[0].clone()));
    check_referrers(ground, "signed-index", &signed(five_platforms(Family::Oci, "signed")));
}

fn actions(ran: &Ran) -> Value {
    let result = ran.result();
    let tags = result["tags"].as_array().unwrap().iter();
    tags.map(|tag| json!([tag["tag"], tag["action"], tag["verified"]])).collect()
}

/// Promotes, proves that all arrived, and that a second run finds nothing left to do.
fn check_copy(ground: &Ground, name: &str, bound: bool) {
    let source = whole(&ground.from.client, &build(name), TAG).unwrap();
    let dry = ground.promote(name).arg("--dry-run").run().result();
    assert_eq!(ground.to.client.digest(&release(name), TAG), None, "a dry run wrote");
    ground.clear();
    let ran = ground.promote(name).run();
    assert_eq!(actions(&ran), json!([[TAG, "created", true], ["latest", "created", true]]), "{ran}");
    let result = ran.result();
    assert_eq!(result["digest"], source.digest, "{ran}");
    check_counts(ground, &source, &result, bound, &ran);
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&dry), keys(&result), "a dry run has another shape");

    for tag in [TAG, "latest"] {
        assert_eq!(whole(&ground.to.client, &release(name), tag).as_ref(), Ok(&source), "{ran}");
    }
    check_peers(ground, name, &source);

    ground.clear();
    let again = ground.promote(name).run();
    assert_eq!(actions(&again), json!([[TAG, "unchanged", true], ["latest", "unchanged", true]]), "{again}");
    let traffic = [ground.source.blob_traffic(), ground.target.blob_traffic()].concat();
    assert!(traffic.is_empty(), "a second run moves blobs: {traffic:#?}");
    assert_eq!(ground.target.count(&["PUT", "POST", "PATCH"], ""), 0, "a second run writes: {again}");
    assert_eq!((&again.result()["copied"]["blobs"], &again.result()["copied"]["bytes"]), (&json!(0), &json!(0)));
}

/// Every blob went through once, and none that lies elsewhere; within one registry none at all.
fn check_counts(ground: &Ground, source: &Whole, result: &Value, bound: bool, ran: &Ran) {
    let copied = &result["copied"];
    let count = |key: &str| copied[key].as_u64().unwrap_or_else(|| panic!("no `{key}`: {ran}"));
    let (blobs, bytes) = (source.blobs.len() as u64, source.blobs.values().sum::<u64>());
    let got = (count("blobs"), count("bytes"), count("mounted"));
    let expected = if ground.is_one() { (0, 0, blobs) } else { (blobs, bytes, 0) };
    if !bound {
        assert_eq!(got, expected, "blobs, bytes, mounted: {ran}");
        assert_eq!(count("skipped"), 0, "{ran}");
    } else {
        assert!(got.0 + got.2 >= blobs, "{ran}");
    }
    let read = ground.source.count(&["GET"], "/blobs/sha256");
    if ground.is_one() {
        // A config may be read for its labels, a layer never.
        assert!(read <= source.manifests.len(), "{read} blobs were read: {:#?}", ground.source.asked());
        assert_eq!(ground.target.count(&["PATCH", "PUT"], "/blobs/uploads/"), 0, "{:#?}", ground.target.asked());
    } else if !bound {
        let configs = source.manifests.len();
        assert!(read >= source.blobs.len() && read <= source.blobs.len() + configs, "{:#?}", ground.source.asked());
    }
    for foreign in &source.foreign {
        let hex = &foreign["sha256:".len()..];
        let asked = ground.source.count(&["GET", "HEAD"], hex) + ground.target.count(&["HEAD", "POST", "PUT"], hex);
        assert_eq!(asked, 0, "a layer that lies elsewhere was asked for: {ran}");
    }
}

/// What refers to the image, by tag or by subject, is found at the target too, byte for byte.
fn check_referrers(ground: &Ground, name: &str, signed: &Signed) {
    signed.push(&ground.from.client, &build(name), TAG);
    check_copy(ground, name, true);
    let client = &ground.to.client;
    let mut found = Vec::new();
    for subject in
        signed.references().into_iter().map(|(subject, _)| subject).collect::<std::collections::BTreeSet<_>>()
    {
        for entry in client.referrers(&release(name), &subject) {
            let named = entry["digest"].as_str().unwrap().to_owned();
            let source = whole(&ground.from.client, &build(name), &named);
            assert_eq!(whole(client, &release(name), &named), source);
            found.push((subject.clone(), named));
        }
    }
    found.sort();
    assert_eq!(found, signed.references(), "subjects and what refers to them");
    for (end, built) in &signed.cosign {
        let there = whole(client, &release(name), &signed.cosign_tag(end)).unwrap();
        assert_eq!(there.digest, built.digest());
    }

    let ran = ground.promote(name).run();
    let count = signed.referrers.len() + signed.cosign.len();
    assert_eq!(ran.result()["referrers"]["found"], count, "{ran}");
    check_left_behind(ground, name, count);
}

/// Without referrers the image arrives alone, and what was left is told.
fn check_left_behind(ground: &Ground, name: &str, count: usize) {
    let alone = format!("{}-alone", release(name));
    let source = format!("{}:{TAG}", ground.source.name(&build(name)));
    let words = ["promote", &source, "--into", &ground.target.name(&alone), "--no-referrers", "--to", "{tag}"];
    let ran = tagwright(words).run();
    let referrers = &ran.result()["referrers"];
    // None is read, so only a registry that lists them for the image can say how many there are.
    let (found, count) = (referrers["found"].as_u64(), count as u64);
    assert!(found.is_none_or(|found| (1..=count).contains(&found)), "{ran}");
    assert_eq!((&referrers["copied"], referrers["left"].as_u64()), (&json!(0), found.or(Some(0))), "{ran}");
    assert_eq!(ran.warnings(), ["referrers-left"], "{ran}");
    assert_eq!(ground.to.client.tags(&alone), [TAG], "{ran}");
}

fn output(command: &mut Command) -> Vec<u8> {
    let out = command.env_clear().env("PATH", "/usr/bin:/bin").output();
    let out = out.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// crane and skopeo read the target and find what stands in the source.
fn check_peers(ground: &Ground, name: &str, source: &Whole) {
    let place = ground.to.live.name(&release(name));
    let image = format!("{place}:{TAG}");
    let crane = |words: &[&str]| output(Command::new(tool("crane")).args(words));
    let named = String::from_utf8(crane(&["digest", &image])).unwrap();
    assert_eq!(named.trim(), source.digest, "crane reads another digest");
    for (named, (media_type, bytes)) in &source.manifests {
        assert_eq!(&crane(&["manifest", &format!("{place}@{named}")]), bytes, "crane reads another manifest");
        let body: Value = serde_json::from_slice(bytes).unwrap();
        // An attestation has no archives for layers, and one that lies elsewhere would be fetched from there.
        let image = media_type.contains("manifest.v") && source.foreign.is_empty();
        let plain = |layer: &Value| layer["mediaType"].as_str().is_some_and(|kind| kind.contains("tar"));
        if image && body["layers"].as_array().is_some_and(|layers| layers.iter().all(plain)) {
            crane(&["validate", "--remote", &format!("{place}@{named}")]);
        } else if let Some(config) = body["config"]["digest"].as_str() {
            assert_eq!(digest(&crane(&["blob", &format!("{place}@{config}")])), config);
        }
    }

    let skopeo = |words: &[&str]| output(Command::new("skopeo").args(words));
    let image = format!("docker://{image}");
    assert_eq!(digest(&skopeo(&["inspect", "--raw", "--tls-verify=false", &image])), source.digest);
    if source.foreign.is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let copy = format!("dir:{}", folder.path().join("copy").display());
        skopeo(&["--insecure-policy", "copy", "-q", "--all", "--src-tls-verify=false", &image, &copy]);
        for named in source.blobs.keys() {
            let file = folder.path().join("copy").join(&named["sha256:".len()..]);
            assert_eq!(digest(&std::fs::read(&file).unwrap()), *named, "skopeo reads another blob");
        }
    }
}
