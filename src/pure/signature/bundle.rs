//! A Sigstore bundle: a signature with what is needed to check it, in one document.
//!
//! Only the key that is given decides, so what the bundle says of keys, logs and times is neither needed nor checked; a
//! bundle that goes by a certificate is none of a key.
//!
//! Form: sigstore/protobuf-specs, `sigstore_bundle.proto`, version 0.3.

use crate::pure::image::Digest;
use crate::pure::signature::SignedEnvelope;
use crate::pure::signature::envelope::bytes;
use crate::pure::text::{Members, hex};

/// The media type of a bundle.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The media types of all versions begin so.
pub const BUNDLES: &str = "application/vnd.dev.sigstore.bundle";

/// What a bundle holds.
pub enum Bundle {
    /// A signature of the bytes of an artifact.
    Message {
        /// The signature.
        signature: Vec<u8>,
        /// The artifact's digest, where it is told.
        digest: Option<Digest>,
    },
    /// A statement about an artifact.
    Statement(SignedEnvelope),
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow "it".
    pub fn read(text: &str) -> Result<Self, String> {
        let members = Members::unique(text)?;
        let kind = members.text("mediaType").unwrap_or_default();
        if kind != BUNDLE && kind != "application/vnd.dev.sigstore.bundle+json;version=0.3" {
            return Err("is no Sigstore bundle of version 0.3".to_owned());
        }
        let material = members.object("verificationMaterial")?;
        if material.get("certificate").or(material.get("x509CertificateChain")).is_some() {
            return Err("goes by a certificate, and signatures without a key are not checked".to_owned());
        }
        match (members.get("dsseEnvelope"), members.get("messageSignature")) {
            (Some(envelope), None) => SignedEnvelope::read(envelope).map(Bundle::Statement),
            (None, Some(_)) => {
                let message = members.object("messageSignature")?;
                let hash = message.object("messageDigest")?;
                let digest = match hash.text("algorithm").as_deref() {
                    Some("SHA2_256") => {
                        Digest::parse(&format!("sha256:{}", hex::encode(&bytes(&hash, "digest")?))).ok()
                    }
                    _ => None,
                };
                Ok(Bundle::Message { signature: bytes(&message, "signature")?, digest })
            }
            _ => Err("has not one signature in it".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_holds_one_signature() {
        let told = |rest: &str| {
            let text = format!(r#"{{"mediaType":"{BUNDLE}",{rest}}}"#);
            Bundle::read(&text).map(|bundle| match bundle {
                Bundle::Message { signature, digest } => (signature, digest.map(|digest| digest.to_string())),
                Bundle::Statement(envelope) => (envelope.payload, None),
            })
        };
        let hash = hex::encode(&[7; 32]);
        let base64 = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        let message = format!(
            r#""messageSignature":{{"messageDigest":{{"algorithm":"SHA2_256","digest":"{base64}"}},"signature":"AQ=="}}"#
        );
        let envelope = r#""dsseEnvelope":{"payloadType":"a","payload":"AQ==","signatures":[]}"#;
        let key = r#""verificationMaterial":{"publicKey":{"hint":"x"},"tlogEntries":[]}"#;
        let certificate = r#""verificationMaterial":{"certificate":{"rawBytes":"AQ=="}}"#;
        for (rest, expected) in [
            (format!("{key},{message}"), Ok((vec![1], Some(format!("sha256:{hash}"))))),
            (envelope.to_owned(), Ok((vec![1], None))),
            (r#""messageSignature":{"signature":"AQ=="}"#.to_owned(), Ok((vec![1], None))),
            (format!("{envelope},{message}"), Err("has not one signature in it")),
            (key.to_owned(), Err("has not one signature in it")),
            (format!("{key},{key},{envelope}"), Err("has the key `verificationmaterial` twice")),
            (
                format!("{certificate},{envelope}"),
                Err("goes by a certificate, and signatures without a key are not checked"),
            ),
            (r#""messageSignature":{"signature":"AQ"}"#.to_owned(), Err("has a `signature` that is not proper base64")),
        ] {
            assert_eq!(told(&rest), expected.map_err(str::to_owned), "{rest}");
        }
        for kind in ["application/vnd.dev.sigstore.bundle+json;version=0.2", "x"] {
            assert!(Bundle::read(&format!(r#"{{"mediaType":"{kind}",{envelope}}}"#)).is_err());
        }
    }
}
