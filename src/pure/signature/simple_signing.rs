//! The payload of cosign's older signatures.
//!
//! Form: "simple signing" of containers/image, as cosign's `SIGNATURE_SPEC.md` has it.

use crate::pure::text::{Members, quoted};

/// The media type of a payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of its layer that holds the signature.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const KIND: &str = "cosign container image signature";

/// What a payload says.
pub struct SimpleSigning {
    /// The digest of the manifest that was signed.
    pub digest: String,
    /// The repository that it was signed in; signatures travel with copies.
    pub repository: Option<String>,
}

impl SimpleSigning {
    /// Reads a payload.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow "it".
    pub fn read(payload: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(payload).map_err(|_| "is no text")?;
        let critical = Members::unique(text)?.object("critical")?;
        match critical.text("type") {
            Some(kind) if kind == KIND => {}
            kind => return Err(format!("is no payload of cosign, but {}", quoted(&kind.unwrap_or_default()))),
        }
        let digest = critical.object("image")?.text("docker-manifest-digest").ok_or("names no digest")?;
        Ok(Self { digest, repository: critical.object("identity")?.text("docker-reference") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_names_what_was_signed() {
        let of = |critical: &str| format!(r#"{{"critical":{{{critical}}},"optional":{{"creator":"x"}}}}"#);
        let kind = format!(r#""type":"{KIND}""#);
        let image = r#""image":{"docker-manifest-digest":"sha256:1"}"#;
        let read = |text: &str| SimpleSigning::read(text.as_bytes()).map(|read| (read.digest, read.repository));
        for (text, expected) in [
            (of(&format!(r#""identity":{{"docker-reference":"a/b"}},{image},{kind}"#)), Ok(("sha256:1", Some("a/b")))),
            (of(&format!("{image},{kind}")), Ok(("sha256:1", None))),
            (of(&kind), Err("names no digest")),
            (of(image), Err("is no payload of cosign, but ``")),
            (
                of(&format!(r#"{image},"type":"atomic container signature""#)),
                Err("is no payload of cosign, but `atomic container signature`"),
            ),
            (of(&format!("{image},{kind},{image}")), Err("has the key `image` twice")),
            (
                of(&format!(
                    r#"{kind},"image":{{"docker-manifest-digest":"sha256:1","docker-manifest-digest":"sha256:2"}}"#
                )),
                Err("has the key `docker-manifest-digest` twice"),
            ),
        ] {
            let expected = expected.map(|(digest, name)| (digest.to_owned(), name.map(str::to_owned)));
            assert_eq!(read(&text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
