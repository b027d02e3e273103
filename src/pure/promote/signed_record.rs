//! A record that is signed: what a statement says of the image, in an envelope, in a bundle.
//!
//! The form is that of cosign, so that whoever checks attestations can check which images were promoted, and by what.
//!
//! Forms: in-toto statement v1, DSSE, Sigstore bundle v0.3.

use crate::pure::image::{Descriptor, Digest, Repository};
use crate::pure::signature::bundle::{BUNDLE, BUNDLES};
use crate::pure::signature::envelope::{IN_TOTO, message};
use crate::pure::signature::statement::STATEMENT;
use crate::pure::signature::{Bundle, PublicKey, SigningKey, Statement};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use ring::rand::SecureRandom;

/// What such a statement says: that something was promoted, as its record tells.
pub const PREDICATE: &str = "urn:tagwright:promotion:v1";
/// The annotations that cosign gives to such a bundle, where it is listed.
pub const ANNOTATIONS: [(&str, &str); 2] =
    [("dev.sigstore.bundle.content", "dsse-envelope"), ("dev.sigstore.bundle.predicateType", PREDICATE)];

/// Whether a list of referrers says that this one holds a signed record.
pub fn is_listed(referrer: &Descriptor) -> bool {
    let [_, (name, value)] = ANNOTATIONS;
    referrer.artifact_type.as_deref().is_some_and(|kind| kind.starts_with(BUNDLES))
        && referrer.annotations.get(name).is_some_and(|is| is == value)
}

/// The record of an image, as a line, in the bundle that this key signs; `name` is the repository that has the image, and
/// `None` is the answer where no random numbers are to be had.
pub fn bundle(
    record: &str,
    name: &Repository,
    image: &Digest,
    key: &SigningKey,
    random: &dyn SecureRandom,
) -> Option<String> {
    let (algorithm, hash) = (image.algorithm(), image.hex());
    let payload = format!(
        r#"{{"_type":"{STATEMENT}","subject":[{{"name":"{name}","digest":{{"{algorithm}":"{hash}"}}}}],"predicateType":"{PREDICATE}","predicate":{record}}}"#
    );
    let signature = key.sign(&message(IN_TOTO, payload.as_bytes()), random)?;
    let hint = digest(&SHA256, &key.public);
    let [hint, payload, signature] =
        [hint.as_ref(), payload.as_bytes(), &signature].map(|bytes| BASE64_STANDARD.encode(bytes));
    Some(format!(
        r#"{{"mediaType":"{BUNDLE}","verificationMaterial":{{"publicKey":{{"hint":"{hint}"}}}},"dsseEnvelope":{{"payload":"{payload}","payloadType":"{IN_TOTO}","signatures":[{{"sig":"{signature}"}}]}}}}"#
    ))
}

/// The record about an image in a bundle, and whether one of these keys has signed it.
///
/// # Errors
/// What is wrong with it, in words that follow "it".
pub fn read(text: &str, image: &Digest, keys: &[PublicKey]) -> Result<(String, bool), String> {
    let Bundle::Statement(envelope) = Bundle::read(text)? else { return Err("holds no statement".to_owned()) };
    let statement = Statement::read(&envelope.payload)?;
    let is_record = envelope.payload_type == IN_TOTO && statement.predicate_type == PREDICATE;
    let record = statement.predicate.filter(|_| is_record).ok_or("holds no record of a promotion")?;
    if !statement.is_about(image) {
        return Err(format!("is about something else than `{image}`"));
    }
    Ok((record.to_owned(), keys.iter().any(|key| envelope.is_signed_by(key))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use serde_json::json;

    #[test]
    fn a_list_tells_a_signed_record_by_its_type_and_what_it_says() {
        let name = ANNOTATIONS[1].0;
        for (kind, annotations, expected) in [
            (Some(BUNDLE), json!({name: PREDICATE}), true),
            (Some("application/vnd.dev.sigstore.bundle+json;version=0.3"), json!({name: PREDICATE}), true),
            (Some(BUNDLE), json!({name: "https://slsa.dev/provenance/v1"}), false),
            (Some(BUNDLE), json!({}), false),
            (Some("a/b"), json!({name: PREDICATE}), false),
            (None, json!({name: PREDICATE}), false),
        ] {
            let text = json!({"digest": Digest::of(b"x"), "size": 1, "artifactType": kind, "annotations": annotations});
            assert_eq!(is_listed(&serde_json::from_value(text.clone()).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn a_bundle_is_read_as_it_was_made_and_verified_by_its_key_alone() {
        let random = SystemRandom::new();
        let key = SigningKey::read(include_str!("../../../tests/fixtures/keys/p256.key"), "it", &random).unwrap();
        let other = SigningKey::read(include_str!("../../../tests/fixtures/keys/ed25519.key"), "it", &random).unwrap();
        let [key_of, other_of] = [&key, &other].map(|key| PublicKey::of(&key.public).unwrap());
        let (name, image) = (Repository::parse("acme/app").unwrap(), Digest::of(b"image"));
        let (record, both) = (r#"{"schema":1}"#, [other_of.clone(), key_of.clone()]);
        let made = bundle(record, &name, &image, &key, &random).unwrap();
        for (keys, is_signed) in [(&both[..0], false), (&both[..1], false), (&both[1..], true), (&both, true)] {
            assert_eq!(read(&made, &image, keys), Ok((record.to_owned(), is_signed)));
        }
        let why = format!("is about something else than `{}`", Digest::of(b"other"));
        assert_eq!(read(&made, &Digest::of(b"other"), &both), Err(why));
        assert!(read(&made.replace(IN_TOTO, "text/plain"), &image, &both).is_err());
        // What the same key has signed elsewhere does not count.
        let again = bundle(r#"{"schema":2}"#, &name, &image, &key, &random).unwrap();
        let signature = |text: &str| text.split("\"sig\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let moved = made.replace(&signature(&made), &signature(&again));
        assert_eq!(read(&moved, &image, &both), Ok((record.to_owned(), false)));
    }
}
