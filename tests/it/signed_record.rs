//! `--sign-record` and `--verify-key`: records that a key signs, who is believed, and where the key goes.

use crate::stage::push;
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::image::{Built, descriptor, types};
use crate::support::registry::{Options, Registry};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Value, json};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const APP: &str = "acme/app";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PREDICATE: &str = "urn:tagwright:promotion:v1";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap()
}

/// A copy of a key that its owner alone may read.
fn key(folder: &TempDir, name: &str) -> String {
    let path = folder.path().join(name);
    std::fs::copy(fixture(name), &path).unwrap();
    set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn app(registry: &Registry) -> String {
    registry.name(APP)
}

fn promote(registry: &Registry, tag: &str) -> Tagwright {
    tagwright(["promote", &format!("{}:{tag}", app(registry)), "--move", "latest", "--attach-record"])
}

/// A registry with an image, and a folder for keys.
fn stage() -> (Registry, TempDir) {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    push(&registry, APP, &["1.2.3"]);
    (registry, tempfile::tempdir().unwrap())
}

/// The manifest of an artifact, and its one blob.
fn artifact(registry: &Registry, digest: &Value) -> (Value, Value) {
    registry.state(|state| {
        let home = &state.repositories[APP];
        let manifest: Value = serde_json::from_slice(&home.manifests[digest.as_str().unwrap()].1).unwrap();
        let blob = &home.blobs[manifest["layers"][0]["digest"].as_str().unwrap()];
        (manifest, serde_json::from_slice(blob).unwrap())
    })
}

/// What a run printed.
fn said(ran: &Ran) -> String {
    ran.stdout.clone() + &ran.stderr
}

fn decoded(value: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn a_signed_record_is_an_attestation_by_a_key_of_each_kind() {
    let algorithms: [(&str, &dyn VerificationAlgorithm, usize); 3] = [
        ("p256", &signature::ECDSA_P256_SHA256_ASN1, 26),
        ("rsa2048", &signature::RSA_PKCS1_2048_8192_SHA256, 24),
        ("ed25519", &signature::ED25519, 12),
    ];
    for (name, algorithm, head) in algorithms {
        let (registry, folder) = stage();
        let ran = promote(&registry, "1.2.3").args(["--sign-record", &key(&folder, &format!("{name}.key"))]).run();
        let result = ran.result();
        assert_eq!(ran.warnings(), Vec::<String>::new(), "{ran}");
        let (manifest, bundle) = artifact(&registry, &result["attached"]);
        assert_eq!((&manifest["artifactType"], &manifest["layers"][0]["mediaType"]), (&json!(BUNDLE), &json!(BUNDLE)));
        assert_eq!(manifest["subject"]["digest"], result["digest"]);
        let annotations = &manifest["annotations"];
        assert_eq!(annotations["dev.sigstore.bundle.predicateType"], PREDICATE);
        assert_eq!(annotations["dev.sigstore.bundle.content"], "dsse-envelope");
        assert_eq!(annotations["vnd.tagwright.promotion.tags"], "latest");
        assert_eq!(bundle["mediaType"], BUNDLE);

        let envelope = &bundle["dsseEnvelope"];
        let (kind, payload) = (envelope["payloadType"].as_str().unwrap(), decoded(&envelope["payload"]));
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        let digest = result["digest"].as_str().unwrap().trim_start_matches("sha256:");
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(statement["subject"], json!([{"name": app(&registry), "digest": {"sha256": digest}}]));
        assert_eq!((&statement["predicateType"], &statement["predicate"]), (&json!(PREDICATE), &result["record"]));

        let public = text(&format!("{name}.pub")).lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let public = BASE64_STANDARD.decode(public).unwrap();
        let hint = ring::digest::digest(&ring::digest::SHA256, &public);
        let told = bundle["verificationMaterial"]["publicKey"]["hint"].as_str().unwrap();
        assert_eq!(told, BASE64_STANDARD.encode(hint), "the name that cosign gives the key");
        let signed = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), &payload].concat();
        let signature = decoded(&envelope["signatures"][0]["sig"]);
        UnparsedPublicKey::new(algorithm, &public[head..]).verify(&signed, &signature).unwrap();

        let public = fixture(&format!("{name}.pub")).to_str().unwrap().to_owned();
        let told = tagwright(["history", &app(&registry), "--verify-key", &public]).run().result();
        assert_eq!(told["records"][0]["verified"], true, "{name}");
    }
}

/// Puts another bundle beside an image.
fn attach(registry: &Registry, image: &str, bundle: &str) {
    let layer = descriptor(BUNDLE, bundle.as_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "artifactType": BUNDLE,
        "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"), "layers": [layer],
        "subject": {"mediaType": types::OCI_MANIFEST, "digest": image, "size": 1},
        "annotations": {"dev.sigstore.bundle.predicateType": PREDICATE},
    });
    let built =
        Built { blobs: vec![bundle.into(), b"{}".to_vec()], ..Built::raw(types::OCI_MANIFEST, manifest.to_string()) };
    registry.state(|state| state.store(APP, &built));
}

/// The versions of the records with whether each is verified, newest first.
fn verified(ran: &Ran) -> Vec<(String, Value)> {
    let records = ran.result()["records"].as_array().unwrap().clone();
    let mut told: Vec<_> = records
        .iter()
        .map(|one| (one["version"].as_str().unwrap_or_default().to_owned(), one["verified"].clone()))
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

#[test]
fn a_record_is_verified_by_its_own_key_and_by_no_other() {
    let (registry, folder) = stage();
    registry.state(|state| state.repositories.clear());
    push(&registry, APP, &["1.0.0", "1.1.0", "1.2.0"]);
    promote(&registry, "1.0.0").run().result();
    promote(&registry, "1.1.0").args(["--sign-record", &key(&folder, "ed25519.key")]).run().result();
    let ran = promote(&registry, "1.2.0").args(["--sign-record", &key(&folder, "p256.key")]).run();
    let both = folder.path().join("both.pub");
    std::fs::write(&both, text("p384.pub") + &text("p256.pub")).unwrap();
    let history = || tagwright(["history", &app(&registry)]);
    let told = |flags: &[&str]| verified(&history().args(flags).run());
    let of =
        |values: [Value; 3]| ["1.0.0", "1.1.0", "1.2.0"].map(str::to_owned).into_iter().zip(values).collect::<Vec<_>>();
    let (yes, no) = (json!(true), json!(false));
    let [p256, ed] = ["p256.pub", "ed25519.pub"].map(|name| fixture(name).to_str().unwrap().to_owned());
    assert_eq!(told(&[]), of([Value::Null, Value::Null, Value::Null]));
    assert_eq!(told(&["--verify-key", &p256]), of([no.clone(), no.clone(), yes.clone()]));
    assert_eq!(told(&["--verify-key", &ed]), of([no.clone(), yes.clone(), no.clone()]));
    assert_eq!(told(&["--verify-key", &p256, "--verify-key", &ed]), of([no.clone(), yes.clone(), yes.clone()]));
    assert_eq!(told(&["--verify-key", both.to_str().unwrap()]), of([no.clone(), no.clone(), yes.clone()]));
    let by_variable = history().args(["--verify-key", "env:PUB"]).env("PUB", text("p256.pub")).run();
    assert_eq!(verified(&by_variable), of([no.clone(), no, yes.clone()]));

    // What was changed after it was signed is told, and is not verified.
    let image = ran.result()["digest"].as_str().unwrap().to_owned();
    let (manifest, mut bundle) = artifact(&registry, &ran.result()["attached"]);
    let forged = String::from_utf8(decoded(&bundle["dsseEnvelope"]["payload"])).unwrap();
    let forged = forged.replace("\"version\":\"1.2.0\"", "\"version\":\"6.6.6\"");
    bundle["dsseEnvelope"]["payload"] = json!(BASE64_STANDARD.encode(forged));
    attach(&registry, &image, &bundle.to_string());
    let told = told(&["--verify-key", &p256]);
    assert_eq!(told[3], ("6.6.6".to_owned(), json!(false)), "{told:?}");
    assert!(told.contains(&("1.2.0".to_owned(), yes)), "{manifest}");
}

#[test]
fn the_board_tells_whether_the_record_is_verified_that_brought_a_tag_to_what_it_holds() {
    let (registry, folder) = stage();
    promote(&registry, "1.2.3").args(["--sign-record", &key(&folder, "p256.key")]).run().result();
    let [p256, ed] = ["p256.pub", "ed25519.pub"].map(|name| fixture(name).to_str().unwrap().to_owned());
    let board = |flags: &[&str]| tagwright(["board", &app(&registry)]).args(flags).run();
    let row = |ran: &Ran| ran.result()["repositories"][0]["tags"][0]["verified"].clone();
    assert_eq!(row(&board(&[])), Value::Null);
    let on_a_screen = board(&["--verify-key", &ed, "--text"]).stdout;
    assert!(on_a_screen.contains("VERIFIED\n") && on_a_screen.contains("  no\n"), "{on_a_screen}");
    assert_eq!(row(&board(&["--verify-key", &p256])), true);
    assert_eq!(row(&board(&["--verify-key", &ed])), false);
    let page = folder.path().join("page");
    for (key, told) in [(&p256, ">verified</span>"), (&ed, ">not verified</span>")] {
        board(&["--verify-key", key, "--html", page.to_str().unwrap()]).result();
        let html = std::fs::read_to_string(page.join("index.html")).unwrap();
        assert!(html.contains(told), "{html}");
    }
}

#[test]
fn a_bundle_that_is_no_record_of_the_image_is_passed_over() {
    let (registry, folder) = stage();
    push(&registry, APP, &["1.2.4"]);
    let ran = promote(&registry, "1.2.3").args(["--sign-record", &key(&folder, "p256.key")]).run();
    let (_, bundle) = artifact(&registry, &ran.result()["attached"]);
    let [image, other] = ["1.2.3", "1.2.4"].map(|tag| registry.resolve(APP, tag).unwrap());
    let changed = |from: &str, to: &str| {
        let mut bundle = bundle.clone();
        let payload = String::from_utf8(decoded(&bundle["dsseEnvelope"]["payload"])).unwrap();
        bundle["dsseEnvelope"]["payload"] = json!(BASE64_STANDARD.encode(payload.replacen(from, to, 1)));
        bundle.to_string()
    };
    for (image, bundle, why) in [
        (&other, bundle.to_string(), "it is about something else than"),
        (&image, "{}".to_owned(), "it is no Sigstore bundle"),
        (&image, changed(PREDICATE, "https://example.com/other"), "it holds no record of a promotion"),
        (&image, changed("\"predicate\":", "\"predicate\":{},\"Predicate\":"), "it has the key `predicate` twice"),
        (&image, changed("\"schema\":1", "\"schema\":2"), "it is a record of schema 2"),
        (&image, bundle.to_string().replace("dsseEnvelope", "other"), "it has not one signature in it"),
        (&image, "x".repeat(200_000), "the limit is 131072"),
    ] {
        let (registry, _folder) = stage();
        push(&registry, APP, &["1.2.4"]);
        attach(&registry, image, &bundle);
        let p256 = fixture("p256.pub");
        let ran = tagwright(["history", &app(&registry), "--verify-key", p256.to_str().unwrap()]).run();
        assert_eq!((verified(&ran).len(), ran.warnings()), (0, vec!["record-skipped".to_owned()]), "{why}: {ran}");
        assert!(ran.stderr.contains(why), "{why}: {ran}");
    }
}

#[test]
fn a_key_that_cannot_sign_ends_the_promotion_before_anything_is_asked() {
    let (registry, folder) = stage();
    let missing = folder.path().join("missing.key").display().to_string();
    for (given, env, why) in [
        (key(&folder, "sec1.key"), "", "holds an EC key in the form SEC 1"),
        (key(&folder, "encrypted.key"), "", "holds a key under a password"),
        (key(&folder, "p256.pub"), "", "holds a public key"),
        (missing.clone(), "", "cannot be read"),
        (folder.path().display().to_string(), "", "cannot be read"),
        ("env:SIGN".to_owned(), "", "the variable `SIGN` of `--sign-record` cannot be read"),
        ("env:SIGN".to_owned(), "top-secret-words", "the variable `SIGN` of `--sign-record` cannot be read"),
        ("env:SIGN".to_owned(), "-----BEGIN PRIVATE KEY-----\ntop-secret-words", "holds what is not proper PEM"),
    ] {
        for more in [&[][..], &["--dry-run"]] {
            let run = promote(&registry, "1.2.3").args(["--sign-record", &given]).args(more.iter().copied());
            let ran = run.env("SIGN", env).run();
            assert_eq!((ran.code().as_str(), ran.error()["exit"].as_i64()), ("config-malformed", Some(2)), "{ran}");
            assert!(ran.error()["message"].as_str().unwrap().contains(why), "{why}: {ran}");
            assert!(!said(&ran).contains("top-secret"), "{ran}");
        }
    }
    assert_eq!(registry.log().count(), 0);
}

#[test]
fn a_key_itself_is_no_value_of_a_flag_and_is_not_repeated() {
    let (registry, _) = stage();
    let bare: String = text("p256.key").lines().filter(|line| !line.starts_with('-')).collect();
    let ran = promote(&registry, "1.2.3").args(["--sign-record", &text("p256.key")]).run();
    assert_eq!((ran.code().as_str(), said(&ran).contains(&bare[10..40])), ("missing-value", false), "{ran}");
    for given in [text("p256.key"), bare.clone()] {
        let given_twice = [format!("--sign-record={given}"), format!("--sign-record={given}")];
        let ran = promote(&registry, "1.2.3").args(given_twice).run();
        assert_eq!(ran.code(), "request-invalid", "{ran}");
        let args = json!({"image": app(&registry), "attachRecord": true, "signRecord": given});
        let request = json!({"command": "promote", "args": args}).to_string();
        let called = tagwright(["call"]).env("TAGWRIGHT_REQUEST", request).run();
        for ran in [ran, called] {
            assert!(!said(&ran).contains(&bare[10..40]), "{ran}");
            assert!(ran.json()["error"]["message"].as_str().unwrap().contains("holds a private key"), "{ran}");
        }
    }
    let ran = tagwright(["promote", &app(&registry), "--build", "3", "--sign-record", "x"]).run();
    assert!(ran.error()["hint"].as_str().unwrap().contains("add `--attach-record`"), "{ran}");
    let list = json!([{"image": app(&registry), "attachRecord": true, "signRecord": "x"}]).to_string();
    let ran = tagwright(["release", "-"]).stdin(list).run();
    assert_eq!((ran.code().as_str(), registry.log().count()), ("unknown-key", 0), "{ran}");
}

#[test]
fn a_key_that_others_may_read_is_told_and_signs() {
    let (registry, folder) = stage();
    let path = key(&folder, "p256.key");
    for (mode, told) in [(0o640, vec!["key-open"]), (0o604, vec!["key-open"]), (0o600, vec![]), (0o400, vec![])] {
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let ran = promote(&registry, "1.2.3").args(["--sign-record", &path]).run();
        assert_eq!(ran.warnings(), told, "{ran}");
        assert!(ran.result()["attached"].is_string());
    }
}

#[test]
fn the_key_is_in_no_environment_of_a_child_and_in_nothing_that_is_written() {
    let registry = Registry::basic("robot", "secret");
    push(&registry, APP, &["1.2.3"]);
    let folder = tempfile::tempdir().unwrap();
    let helper = folder.path().join("docker-credential-told");
    let script = "#!/bin/sh\nenv >> \"${0%/*}/env\"; echo '{\"ServerURL\":\"x\",\"Username\":\"robot\",\"Secret\":\"secret\"}'\n";
    std::fs::write(&helper, script).unwrap();
    set_permissions(&helper, Permissions::from_mode(0o755)).unwrap();
    let config = json!({"credHelpers": {registry.host(): "told"}}).to_string();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let record = folder.path().join("record.jsonl");
    let (file, inner) = (key(&folder, "p256.key"), text("p256.key").lines().nth(1).unwrap().to_owned());
    for held in [text("p256.key"), file] {
        let run =
            promote(&registry, "1.2.3").args(["--sign-record", "env:MY_KEY", "--verbose", "--record"]).arg(&record);
        let run = run.env("MY_KEY", &held).env("DOCKER_CONFIG", folder.path()).env("OTHER", "told");
        let ran = run.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display())).run();
        assert!(ran.result()["attached"].is_string(), "{ran}");
        let env = std::fs::read_to_string(folder.path().join("env")).unwrap();
        assert!(env.contains("OTHER=told") && !env.contains("MY_KEY") && !env.contains(&inner), "{env}");
        let record = std::fs::read_to_string(&record).unwrap();
        assert!(!record.contains("MY_KEY") && !record.contains(&inner) && !said(&ran).contains(&inner), "{ran}");
        let pushed = registry.state(|state| {
            let home = &state.repositories[APP];
            home.blobs
                .values()
                .chain(home.manifests.values().map(|(_, bytes)| bytes))
                .cloned()
                .collect::<Vec<_>>()
                .concat()
        });
        assert!(!String::from_utf8_lossy(&pushed).contains(&inner));
    }
}

#[test]
fn a_release_signs_the_record_of_each_image() {
    let registry = Registry::start();
    push(&registry, APP, &["1.2.3"]);
    push(&registry, "acme/web", &["2.0.0"]);
    let (folder, name) = (tempfile::tempdir().unwrap(), |place: &str| registry.name(place));
    let list = json!([{"image": name("acme/app:1.2.3"), "to": "a"}, {"image": name("acme/web:2.0.0"), "to": "a"}]);
    let run = tagwright(["release", "-", "--attach-record", "--sign-record", &key(&folder, "p256.key")]);
    run.stdin(list.to_string()).run().result();
    for place in ["acme/app", "acme/web"] {
        let public = fixture("p256.pub").to_str().unwrap().to_owned();
        let told = tagwright(["history", &name(place), "--verify-key", &public]).run().result();
        assert_eq!(
            (&told["records"][0]["verified"], &told["records"][0]["command"]),
            (&json!(true), &json!("release"))
        );
    }
}

#[test]
fn a_signed_record_tells_inspect_since_when_a_tag_is_what_it_is() {
    let (registry, folder) = stage();
    promote(&registry, "1.2.3").args(["--sign-record", &key(&folder, "p256.key")]).env("USER", "mo").run().result();
    let result = tagwright(["inspect", &format!("{}:latest", app(&registry))]).run().result();
    assert!(result.to_string().contains("\"mo\""), "{result}");
}
