//! The envelope that statements are signed in: DSSE.
//!
//! What is signed is the payload with its type, each after its length, so that neither can be taken for the other.
//! The name that an envelope gives its key is not signed, so nobody goes by it.
//!
//! Form: DSSE, protocol and envelope, version 1.0.2.

use crate::pure::signature::PublicKey;
use crate::pure::text::Members;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The payload that is a statement about something.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A payload and who signed it.
pub struct SignedEnvelope {
    /// What the payload is.
    pub payload_type: String,
    /// What was signed.
    pub payload: Vec<u8>,
    /// The signatures; each is enough.
    pub signatures: Vec<Vec<u8>>,
}

impl SignedEnvelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow "it".
    pub fn read(text: &str) -> Result<Self, String> {
        let members = Members::unique(text)?;
        let payload_type = members.text("payloadType").ok_or("has no `payloadType`")?;
        let payload = bytes(&members, "payload")?;
        let signature = |entry: &serde_json::value::RawValue| bytes(&Members::unique(entry.get())?, "sig");
        let signatures: Vec<_> =
            members.list("signatures")?.into_iter().take(MOST).map(signature).collect::<Result<_, _>>()?;
        Ok(Self { payload_type, payload, signatures })
    }

    /// Whether one of these signatures is by this key.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let message = message(&self.payload_type, &self.payload);
        self.signatures.iter().any(|signature| key.verifies(&message, signature))
    }
}

/// How many signatures of one envelope are looked at.
const MOST: usize = 10;

/// The bytes that are signed for a payload of a type.
pub fn message(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A member in base64, of either alphabet, with its padding and without blanks.
///
/// # Errors
/// That it is not there, or is none.
pub fn bytes(members: &Members, name: &str) -> Result<Vec<u8>, String> {
    let text = members.text(name).ok_or_else(|| format!("has no `{name}`"))?;
    decoded(&text).ok_or_else(|| format!("has a `{name}` that is not proper base64"))
}

/// Base64 of either alphabet, with its padding and without blanks.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text.replace('-', "+").replace('_', "/")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_the_payload_with_its_type() {
        // The example of the specification.
        let message = message("http://example.com/HelloWorld", b"hello world");
        assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn an_envelope_is_read_strictly() {
        let read = |text: &str| {
            let read = SignedEnvelope::read(text);
            read.map(|one| (one.payload_type, String::from_utf8(one.payload).unwrap(), one.signatures))
        };
        let good =
            r#"{"payloadType":"a/b","payload":"aGk_","signatures":[{"keyid":null,"sig":"AQI="},{"sig":"Aw=="}]}"#;
        assert_eq!(read(good), Ok(("a/b".to_owned(), "hi?".to_owned(), vec![vec![1, 2], vec![3]])));
        assert_eq!(read(r#"{"payloadType":"","payload":""}"#), Ok((String::new(), String::new(), vec![])));
        for (bad, why) in [
            ("", "is no proper JSON: EOF while parsing a value at line 1 column 0"),
            ("[]", "is no proper JSON: invalid type: sequence, expected an object at line 1 column 0"),
            (r#"{"payload":""}"#, "has no `payloadType`"),
            (r#"{"payloadType":"a","payload":"","Payload":""}"#, "has the key `payload` twice"),
            (r#"{"payloadType":"a"}"#, "has no `payload`"),
            (r#"{"payloadType":"a","payload":"aGk="," signatures":[],"signatures":7}"#, "has no list in `signatures`"),
            (r#"{"payloadType":"a","payload":"aGk"}"#, "has a `payload` that is not proper base64"),
            (r#"{"payloadType":"a","payload":"aG k="}"#, "has a `payload` that is not proper base64"),
            (r#"{"payloadType":"a","payload":"aGk=\n"}"#, "has a `payload` that is not proper base64"),
            (r#"{"payloadType":"a","payload":"","signatures":[{}]}"#, "has no `sig`"),
            (r#"{"payloadType":"a","payload":"","signatures":[{"sig":"AQ==","sig":""}]}"#, "has the key `sig` twice"),
        ] {
            assert_eq!(read(bad).unwrap_err(), why, "{bad}");
        }
    }
}
