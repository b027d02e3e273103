//! What cosign signs and attests, `--require-signature` takes for what it is; and what was copied, cosign verifies.

use crate::cosign::{Cosign, VERSIONS, key, registries};
use crate::support::cmd::{Ran, tagwright};
use crate::support::image::two_platforms;
use serde_json::{Value, json};

const TYPE: &str = "https://slsa.dev/provenance/v1";
const PRIVATE: &str = "import-cosign.key";
const OFFLINE: [&str; 3] = ["-y", "--tlog-upload=false", "--allow-insecure-registry"];

/// The ways in which a version signs, each as its flags, and the form that comes of it.
fn ways(version: &str) -> [(&'static [&'static str], &'static str); 2] {
    match version {
        "cosign2" => [(&[], "simple-signing"), (&["--new-bundle-format"], "bundle-dsse")],
        _ => [
            (&["--use-signing-config=false", "--new-bundle-format=false"], "simple-signing"),
            (&["--use-signing-config=false"], "bundle-dsse"),
        ],
    }
}

fn run(cosign: &Cosign, words: &[&str], more: &[&str]) {
    let ran = cosign.run(&[words, more, &OFFLINE].concat());
    assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// The forms of what counts, with the keys that it is by, each once.
fn counted(ran: &Ran) -> (Vec<String>, Vec<String>) {
    let list = ran.result()["signatures"].as_array().unwrap().clone();
    let each = |key: &str| {
        let mut all: Vec<String> = list.iter().map(|one| one[key].as_str().unwrap().to_owned()).collect();
        all.sort();
        all.dedup();
        all
    };
    (each("form"), each("keyId"))
}

#[test]
fn what_cosign_signs_counts_and_cosign_verifies_what_was_copied() {
    let registries = registries();
    let index = two_platforms("abc", "layer");
    let kinds = ["p256", "p384", "rsa2048", "rsa4096"];
    for (way, from, to, names) in [("there", 0, 1, &kinds[..]), ("back", 1, 0, &kinds[..1])] {
        let (from, to) = (&registries[from], &registries[to]);
        let client = from.client();
        for version in VERSIONS {
            for (flags, form) in ways(version) {
                for name in names {
                    let what = format!("{version} {form} {name} {}", from.version());
                    let cosign = Cosign::new(version);
                    let imported = cosign.run(&["import-key-pair", "--key", &key(&format!("{name}.key"))]);
                    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
                    let repository = format!("{way}/{version}/{form}/{name}");
                    let digest = client.push(&repository, "1.2.3", &index);
                    let image = from.name(&format!("{repository}@{digest}"));
                    run(&cosign, &["sign", "--recursive", "--key", PRIVATE, &image], flags);

                    let source = from.name(&format!("{repository}:1.2.3"));
                    let target = to.name(&repository);
                    let require = |public: &str| {
                        let words =
                            ["promote", &source, "--into", &target, "--to", "x", "--require-signature-of", "all"];
                        tagwright(words).args(["--require-signature", &key(public)]).run()
                    };
                    let ran = require("ed25519.pub");
                    assert_eq!(
                        (ran.code().as_str(), &ran.error()["changed"]),
                        ("signature-missing", &json!(false)),
                        "{what}"
                    );
                    let ran = require(&format!("{name}.pub"));
                    let (forms, keys) = counted(&ran);
                    assert_eq!((forms, keys.len()), (vec![form.to_owned()], 1), "{what}: {ran}");
                    let signed = ran.result()["signatures"].as_array().unwrap().len();
                    assert_eq!(signed, 3, "{what}: the index and its images");

                    let copy = to.name(&format!("{repository}:x"));
                    let words = ["verify", "--key", &key(&format!("{name}.pub")), "--insecure-ignore-tlog"];
                    let roots: &[&str] = match (form, version) {
                        ("bundle-dsse", "cosign2") => &["--new-bundle-format", "--trusted-root", "root.json"],
                        ("bundle-dsse", _) => &["--trusted-root", "root.json"],
                        _ => &[],
                    };
                    let verified = cosign.run(&[&words[..], roots, &["--allow-insecure-registry", &copy]].concat());
                    // cosign looks for SHA-256 with such a key, and signs with SHA-384.
                    let is_taken = verified.status.success() || *name == "p384";
                    assert!(is_taken, "{what}: {}", String::from_utf8_lossy(&verified.stderr));
                }
            }
        }
    }
}

#[test]
fn what_cosign_attests_counts_by_its_type() {
    for registry in registries() {
        for version in VERSIONS {
            for (flags, form) in ways(version) {
                let (cosign, what) = (Cosign::new(version), format!("{version} {form} {}", registry.version()));
                let imported = cosign.run(&["import-key-pair", "--key", &key("p256.key")]);
                assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
                std::fs::write(cosign.file("said.json"), r#"{"built":"here"}"#).unwrap();
                let repository = format!("{version}/{form}");
                let digest = registry.client().push(&repository, "1.2.3", &two_platforms("abc", "layer"));
                let image = registry.name(&format!("{repository}@{digest}"));
                let promote = |kind: &str| {
                    let source = registry.name(&format!("{repository}:1.2.3"));
                    let words = ["promote", &source, "--to", "x", "--require-attestation", kind];
                    tagwright(words).args(["--require-signature", &key("p256.pub")]).run()
                };
                let attest = ["attest", "--key", PRIVATE, "--type", TYPE, "--predicate", "said.json", &image];
                run(&cosign, &attest, flags);
                // An attestation is no signature.
                assert_eq!(promote(TYPE).code(), "signature-missing", "{what}");
                run(&cosign, &["sign", "--key", PRIVATE, &image], flags);
                assert_eq!(promote("https://spdx.dev/Document").code(), "attestation-missing", "{what}");
                let ran = promote(TYPE);
                let is_it = |one: &Value| one["predicateType"] == TYPE;
                assert!(ran.result()["signatures"].as_array().unwrap().iter().any(is_it), "{what}: {ran}");
            }
        }
    }
}
