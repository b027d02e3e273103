//! TLS with every curve and version that the program offers, and a wrong signature with none.
//!
//! Run against a release program too (`TAGWRIGHT_TEST_PROGRAM`), whose curves are built to be small.

use crate::stage::image;
use crate::support::cmd::tagwright;
use crate::support::registry::{Options, Registry};
use crate::support::tls::Authority;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::kx_group::{SECP256R1, SECP384R1, X25519};
use rustls::version::{TLS12, TLS13};

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[test]
fn every_curve_opens_a_connection_with_every_kind_of_signature() {
    let groups: [&'static dyn SupportedKxGroup; 3] = [X25519, SECP256R1, SECP384R1];
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let authority = Authority::signing_with(kind, &NAMES);
        let stranger = Authority::signing_with(kind, &NAMES);
        for (group, version) in groups.iter().flat_map(|group| [(*group, &TLS12), (*group, &TLS13)]) {
            let tls = Some(authority.narrow_server(group, version));
            let registry = Registry::with(Options { tls, ..Options::default() });
            registry.push("acme/app", "1", &image("abc"));
            let what = format!("{kind:?} {:?} {:?}", group.name(), version.version);
            let labels = |trusted: &Authority| {
                let run = tagwright(["labels", &registry.name("acme/app:1"), "--https", "--retries", "0"]);
                run.arg("--ca-file").arg(trusted.ca_file()).run()
            };
            assert_eq!(labels(&authority).result()["labels"]["git_revision"], "abc", "{what}");
            let refused = labels(&stranger);
            assert_eq!(refused.code(), "unreachable", "{what}: {refused}");
        }
    }
}

/// As many roots as systems bring have more than 200 KiB in one file.
#[test]
fn a_bundle_as_large_as_a_systems_is_read_to_its_end() {
    let authority = Authority::new();
    let registry = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
    registry.push("acme/app", "1", &image("abc"));
    let other =
        std::fs::read_to_string(Authority::new().ca_file()).unwrap() + &"# who stands behind it\n".repeat(10_000);
    let own = std::fs::read_to_string(authority.ca_file()).unwrap();
    let bundle = authority.folder().join("bundle.pem");
    std::fs::write(&bundle, other + &own).unwrap();
    let run = tagwright(["labels", &registry.name("acme/app:1"), "--https", "--retries", "0"]);
    for run in [run.clone().arg("--ca-file").arg(&bundle), run.env("SSL_CERT_FILE", &bundle)] {
        assert_eq!(run.run().result()["labels"]["git_revision"], "abc");
    }
}
