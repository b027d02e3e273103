//! Keys and signatures, as people give the first and registries hold the others.

use super::check;
use tagwright::pure::image::{OCI_INDEX, RawManifest};
use tagwright::pure::signature::{PublicKey, Requirement, SignatureBlob, SignatureForm, public_key, requirement};

const KEY: &str = include_str!("../../../tests/fixtures/keys/p256.pub");

/// A key that is read has one name, and signs nothing that it has not seen.
pub fn public_key(data: &[u8]) {
    if let Ok(key) = PublicKey::of(data) {
        assert_eq!(key.id, PublicKey::of(data).expect("it was read").id);
        assert!(!key.verifies(b"message", data));
    }
    match public_key::read(&String::from_utf8_lossy(data), "the key") {
        Ok(keys) => assert!(!keys.is_empty() && keys.iter().all(|key| !key.verifies(b"message", b"signature"))),
        Err(error) => check::terminal(error.message()),
    }
}

/// What somebody without the key makes up is no signature, in whatever form, and the reason can be shown.
pub fn signature(data: &[u8]) {
    let image = RawManifest::of(b"{\"schemaVersion\":2,\"manifests\":[]}".to_vec(), OCI_INDEX).expect("a manifest");
    let keys = vec![public_key::read(KEY, "the key").expect("a key")];
    let required = Requirement { keys, attestations: vec!["a:b".to_owned()], all: false };
    for form in [SignatureForm::Simple, SignatureForm::Bundle, SignatureForm::Envelope] {
        for signature in [None, Some("AQ=="), std::str::from_utf8(data).ok()] {
            let verdict = requirement::judge(&required, &image, &SignatureBlob { form, content: data, signature });
            check::terminal(&verdict.err().expect("nobody has signed this"));
        }
    }
}
