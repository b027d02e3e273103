//! Signatures as cosign makes them, by keys of the tests: the payload and the tag of before, and Sigstore bundles.
//!
//! The keys lie in `tests/fixtures/keys/`; the bytes are put together here, so that the program is not checked by itself.

use super::image::{Built, descriptor, types};
use super::release::referrer;
use super::text::{base64, unbase64};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The media type of a bundle.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The statement that is cosign's signature.
pub const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
/// A statement about how an image came to be.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// A pair of keys in `tests/fixtures/keys/`.
#[derive(Clone, Copy)]
pub struct Signer(pub &'static str);

/// What stands between the first two marks of a PEM text.
fn unwrapped(pem: &str) -> Vec<u8> {
    let body = pem.lines().skip(1).take_while(|line| !line.starts_with('-'));
    unbase64(&body.collect::<String>()).unwrap()
}

/// A file in `tests/fixtures/keys/`.
pub fn key_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys").join(name)
}

impl Signer {
    fn read(self, end: &str) -> String {
        std::fs::read_to_string(key_file(&format!("{}.{end}", self.0))).unwrap()
    }

    /// The file of the public key.
    pub fn file(self) -> String {
        key_file(&format!("{}.pub", self.0)).to_str().unwrap().to_owned()
    }

    /// The public key.
    pub fn public(self) -> String {
        self.read("pub")
    }

    /// The name of the key.
    pub fn id(self) -> String {
        super::text::digest(&unwrapped(&self.public()))
    }

    /// A signature of some bytes.
    pub fn sign(self, message: &[u8]) -> Vec<u8> {
        let (random, key) = (SystemRandom::new(), unwrapped(&self.read("key")));
        let ec = |algorithm| {
            EcdsaKeyPair::from_pkcs8(algorithm, &key, &random)
                .unwrap()
                .sign(&random, message)
                .unwrap()
                .as_ref()
                .to_vec()
        };
        let rsa = |padding: &'static dyn ring::signature::RsaEncoding| {
            let pair = RsaKeyPair::from_pkcs8(&key).unwrap();
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        match self.0 {
            "p256" => ec(&ECDSA_P256_SHA256_ASN1_SIGNING),
            "p384" => ec(&ECDSA_P384_SHA384_ASN1_SIGNING),
            "ed25519" => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key).unwrap().sign(message).as_ref().to_vec(),
            "rsa3072" => rsa(&RSA_PSS_SHA256),
            _ => rsa(&RSA_PKCS1_SHA256),
        }
    }

    /// A payload of cosign's older signatures with its signature in base64.
    pub fn simple(self, digest: &str, repository: &str) -> (String, String) {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": repository}, "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        self.payload(&payload.to_string())
    }

    /// The same with the text of the payload.
    pub fn payload(self, payload: &str) -> (String, String) {
        (payload.to_owned(), base64(&self.sign(payload.as_bytes())))
    }

    /// A signed statement.
    pub fn envelope(self, statement: &str) -> Value {
        let kind = "application/vnd.in-toto+json";
        let message = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
        json!({
            "payload": base64(statement.as_bytes()), "payloadType": kind,
            "signatures": [{"sig": base64(&self.sign(message.as_bytes()))}],
        })
    }

    /// A bundle of a statement about an image.
    pub fn attests(self, image: &Built, predicate_type: &str) -> Built {
        bundled(image, self.bundle("dsseEnvelope", self.envelope(&statement("v1", &image.digest(), predicate_type))))
    }

    /// A bundle with a signature of the very bytes of an image.
    pub fn seals(self, image: &Built) -> Built {
        let hash = ring::digest::digest(&ring::digest::SHA256, &image.bytes);
        let message = json!({
            "messageDigest": {"algorithm": "SHA2_256", "digest": base64(hash.as_ref())},
            "signature": base64(&self.sign(&image.bytes)),
        });
        bundled(image, self.bundle("messageSignature", message))
    }

    /// A bundle.
    pub fn bundle(self, kind: &str, content: Value) -> Value {
        let hint = base64(ring::digest::digest(&ring::digest::SHA256, &unwrapped(&self.public())).as_ref());
        json!({"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": hint}}, kind: content})
    }
}

/// A bundle as a referrer of an image.
pub fn bundled(image: &Built, bundle: Value) -> Built {
    referrer(BUNDLE, image, &bundle.to_string())
}

/// A statement of one version of in-toto about what has this digest.
pub fn statement(version: &str, digest: &str, predicate_type: &str) -> String {
    let (algorithm, hash) = digest.split_once(':').unwrap();
    json!({
        "_type": format!("https://in-toto.io/Statement/{version}"), "subject": [{"name": "x", "digest": {algorithm: hash}}],
        "predicateType": predicate_type, "predicate": {"is": "said"},
    })
    .to_string()
}

/// What cosign keeps under a tag made of a digest: layers of a type, each with an annotation.
pub fn under_tag(kind: &str, layers: &[(String, Option<(&str, String)>)]) -> Built {
    let config = br#"{"architecture":"","os":"","config":{}}"#.to_vec();
    let one = |(bytes, annotation): &(String, Option<(&str, String)>)| {
        let mut layer = descriptor(kind, bytes.as_bytes());
        if let Some((name, value)) = annotation {
            layer["annotations"] = json!({*name: value});
        }
        layer
    };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "config": descriptor(types::OCI_CONFIG, &config),
        "layers": layers.iter().map(one).collect::<Vec<_>>(),
    });
    let blobs = std::iter::once(config).chain(layers.iter().map(|(bytes, _)| bytes.clone().into_bytes())).collect();
    Built { blobs, ..Built::raw(types::OCI_MANIFEST, manifest.to_string()) }
}

/// Cosign's older signatures under their tag: payloads, each with its signature.
pub fn signatures(list: &[(String, String)]) -> Built {
    let layer = |(payload, signature): &(String, String)| {
        (payload.clone(), Some(("dev.cosignproject.cosign/signature", signature.clone())))
    };
    under_tag(types::COSIGN, &list.iter().map(layer).collect::<Vec<_>>())
}

/// A tag that cosign makes of a digest.
pub fn tag_of(digest: &str, end: &str) -> String {
    format!("{}.{end}", digest.replace(':', "-"))
}
