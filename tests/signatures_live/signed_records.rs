//! What `--sign-record` signs: cosign takes it for an attestation by that key, and by no other.

use crate::cosign::{Cosign, VERSIONS, key, registries};
use crate::support::cmd::tagwright;
use crate::support::image::{Image, two_platforms};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

const TYPE: &str = "urn:tagwright:promotion:v1";

#[test]
fn cosign_takes_a_signed_record_for_an_attestation_by_its_key_alone() {
    for registry in registries() {
        let client = registry.client();
        for name in ["p256", "rsa2048", "rsa3072", "rsa4096", "ed25519"] {
            let repository = format!("acme/{name}");
            let built = if name == "p256" { two_platforms("abc", "layer") } else { Image::new().build() };
            client.push(&repository, "1.2.3", &built);
            let image = registry.name(&format!("{repository}:1.2.3"));
            let words = ["promote", &image, "--move", "latest", "--attach-record", "--sign-record"];
            let record = tagwright(words).arg(key(&format!("{name}.key"))).run().result()["record"].clone();
            for version in VERSIONS {
                let cosign = Cosign::new(version);
                let verify = |public: &str, kind: &str| {
                    let words = ["verify-attestation", "--key", public, "--type", kind, "--insecure-ignore-tlog"];
                    let more = ["--trusted-root", "root.json", "--allow-insecure-registry", &image];
                    cosign.run(&[&words[..], &more].concat())
                };
                let (public, what) = (key(&format!("{name}.pub")), format!("{version} {name} {}", registry.version()));
                let taken = verify(&public, TYPE);
                assert!(taken.status.success(), "{what}: {}", String::from_utf8_lossy(&taken.stderr));
                let envelope: Value = serde_json::from_slice(&taken.stdout).unwrap();
                let payload = BASE64_STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
                let statement: Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(statement["predicate"], record, "{what}");
                assert!(!verify(&key("p384.pub"), TYPE).status.success(), "{what}: another key");
                assert!(!verify(&public, "https://example.com/other").status.success(), "{what}: another type");
            }
        }
    }
}
