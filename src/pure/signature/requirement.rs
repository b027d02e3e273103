//! Which of the signatures of an image count, and whether they are what is asked for.
//!
//! A signature counts if it is by a key that was given, over the very digest. Where it was made is not compared, for
//! signatures travel with copies. Of signed statements only cosign's own is a signature; any other says something else
//! about the image, which may be anything but good.

use crate::error::{Code, Error};
use crate::pure::image::{Digest, RawManifest};
use crate::pure::signature::envelope::{self, IN_TOTO, SignedEnvelope};
use crate::pure::signature::simple_signing::SimpleSigning;
use crate::pure::signature::{Bundle, PublicKey, Statement};
use crate::pure::text::{quoted, show};
use serde_json::{Value, json};

/// The type of the statement that is cosign's signature.
pub const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// What an image has to be signed by.
#[derive(Clone, Default)]
pub struct Requirement {
    /// Of each list one key must have signed.
    pub keys: Vec<Vec<PublicKey>>,
    /// The types of statements that one of the keys must have signed.
    pub attestations: Vec<String>,
    /// Whether the images of an index must be signed as the index is.
    pub all: bool,
}

/// The forms in which signatures lie in a registry.
#[derive(Clone, Copy)]
pub enum SignatureForm {
    /// A payload of cosign's, with its signature beside it.
    Simple,
    /// A Sigstore bundle.
    Bundle,
    /// A signed statement as it is.
    Envelope,
}

/// What may be a signature: its bytes, and what stands beside them.
pub struct SignatureBlob<'c> {
    /// What it says it is.
    pub form: SignatureForm,
    /// Its bytes.
    pub content: &'c [u8],
    /// The signature that stands beside them.
    pub signature: Option<&'c str>,
}

/// What a candidate says, before anybody has asked whose it is.
struct SignatureClaim {
    form: &'static str,
    message: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    name: Option<String>,
    predicate_type: Option<String>,
}

/// A signature of the very image by a key that was given.
pub struct Signature {
    form: &'static str,
    /// What the image is called in it.
    name: Option<String>,
    /// Of a statement, what it is of.
    predicate_type: Option<String>,
    /// The keys that it is by, each with the number of its list.
    by: Vec<(usize, Digest)>,
}

impl Signature {
    /// Whether it is a signature of the image, and no statement of another kind.
    fn signs(&self) -> bool {
        self.predicate_type.as_deref().is_none_or(|kind| kind == COSIGN_SIGN)
    }
}

/// Whether a candidate is a signature of this image by a key that is required.
///
/// # Errors
/// Why not, in words that follow "it".
pub fn judge(required: &Requirement, image: &RawManifest, candidate: &SignatureBlob) -> Result<Signature, String> {
    let SignatureClaim { form, message, signatures, name, predicate_type } = claim(image, candidate)?;
    let made = |key: &PublicKey| signatures.iter().any(|signature| key.verifies(&message, signature));
    let keys = required.keys.iter().enumerate().flat_map(|(n, keys)| keys.iter().map(move |key| (n, key)));
    let by: Vec<_> = keys.filter(|(_, key)| made(key)).map(|(n, key)| (n, key.id.clone())).collect();
    match by.is_empty() {
        true => Err("is by another key, or damaged".to_owned()),
        false => Ok(Signature { form, name, predicate_type, by }),
    }
}

fn claim(
    image: &RawManifest,
    SignatureBlob { form, content, signature }: &SignatureBlob,
) -> Result<SignatureClaim, String> {
    let text = || std::str::from_utf8(content).map_err(|_| "is no text".to_owned());
    match form {
        SignatureForm::Simple => {
            let payload = SimpleSigning::read(content)?;
            about(payload.digest == image.digest.as_str(), &payload.digest)?;
            let signature = signature.ok_or("has no signature beside it")?;
            let signature = envelope::decoded(signature).ok_or("has a signature that is not proper base64")?;
            let (message, signatures) = (content.to_vec(), vec![signature]);
            Ok(SignatureClaim {
                form: "simple-signing",
                message,
                signatures,
                name: payload.repository,
                predicate_type: None,
            })
        }
        SignatureForm::Envelope => statement("dsse", SignedEnvelope::read(text()?)?, image),
        SignatureForm::Bundle => match Bundle::read(text()?)? {
            Bundle::Statement(envelope) => statement("bundle-dsse", envelope, image),
            Bundle::Message { signature, digest } => {
                if let Some(digest) = digest {
                    about(digest.matches(&image.body), digest.as_str())?;
                }
                let (message, signatures) = (image.body.to_vec(), vec![signature]);
                Ok(SignatureClaim { form: "bundle-message", message, signatures, name: None, predicate_type: None })
            }
        },
    }
}

fn about(is_so: bool, digest: &str) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(format!("is of {}", quoted(digest))) }
}

fn statement(form: &'static str, envelope: SignedEnvelope, image: &RawManifest) -> Result<SignatureClaim, String> {
    if envelope.payload_type != IN_TOTO {
        return Err(format!("signs a payload of the type {}", quoted(&envelope.payload_type)));
    }
    let Statement { predicate_type, name, .. } = {
        let statement = Statement::read(&envelope.payload)?;
        about(statement.is_about(&image.digest), statement.subjects.first().map_or("nothing", String::as_str))?;
        statement
    };
    let message = envelope::message(&envelope.payload_type, &envelope.payload);
    Ok(SignatureClaim { form, message, signatures: envelope.signatures, name, predicate_type: Some(predicate_type) })
}

/// What was made of each candidate, with the manifest that holds it.
pub type SignatureVerdict = (Digest, Result<Signature, String>);

/// Whether one image is signed as is required; what counts, as it is told. `name` is the image in sentences, `left` is how
/// much was not looked at.
///
/// # Errors
/// `signature-missing` and `attestation-missing`, with what was found and why it does not count.
pub fn check(
    required: &Requirement,
    name: &str,
    image: &Digest,
    verdicts: &[SignatureVerdict],
    left: usize,
) -> Result<Vec<Value>, Error> {
    let findings = || verdicts.iter().filter_map(|(_, verdict)| verdict.as_ref().ok());
    let unmet = |n: &usize| !findings().any(|one| one.signs() && one.by.iter().any(|(list, _)| list == n));
    if let Some(n) = (0..required.keys.len()).find(unmet) {
        let ids = required.keys[n].iter().map(|key| quoted(key.id.short()));
        let message = format!("`{name}` is not signed by the key {}", ids.collect::<Vec<_>>().join(" or "));
        let hint = "sign it by its digest, with `cosign sign --key`, or give the key that it is signed with";
        return Err(missing(Code::SignatureMissing, message, verdicts, left).hint(hint));
    }
    let is_of = |one: &Signature, kind: &String| one.predicate_type.as_ref() == Some(kind);
    if let Some(kind) = required.attestations.iter().find(|kind| !findings().any(|one| is_of(one, kind))) {
        let message = format!("`{name}` has no attestation of the type {} by a key that is required", quoted(kind));
        let hint = "attest it by its digest, with `cosign attest --key`, and give the type as the statement has it";
        return Err(missing(Code::AttestationMissing, message, verdicts, left).hint(hint));
    }
    let mut told = Vec::new();
    for one in findings().filter(|one| one.signs() || required.attestations.iter().any(|kind| is_of(one, kind))) {
        for (_, key) in &one.by {
            let fact = json!({
                "keyId": key.as_str(),
                "form": one.form,
                "signs": image.as_str(),
                "predicateType": one.predicate_type,
                "name": one.name.as_deref().map(|name| show::cut(&show::line(name), LONGEST)),
            });
            if !told.contains(&fact) && told.len() < MOST {
                told.push(fact);
            }
        }
    }
    Ok(told)
}

/// How many signatures of one image are told.
const MOST: usize = 20;
/// How many are named in a sentence.
const FEW: usize = 3;
/// How many characters of a name are told.
const LONGEST: usize = 255;

/// A refusal that tells what was found and why it does not count.
fn missing(code: Code, message: String, verdicts: &[SignatureVerdict], left: usize) -> Error {
    let why = |verdict: &Result<Signature, String>| match verdict {
        Ok(one) => match &one.predicate_type {
            Some(kind) if kind != COSIGN_SIGN => format!("is an attestation of the type {}", quoted(kind)),
            _ => format!("is by {} alone", quoted(one.by[0].1.short())),
        },
        Err(why) => why.clone(),
    };
    let found: Vec<(&Digest, String)> = verdicts.iter().map(|(artifact, verdict)| (artifact, why(verdict))).collect();
    let mut error = Error::new(code, message);
    if found.is_empty() {
        error = error.cause("nothing that points at it may be a signature");
    }
    for (artifact, why) in found.iter().take(FEW) {
        error = error.cause(format!("`{}` {why}", artifact.short()));
    }
    let more = found.len().saturating_sub(FEW) + left;
    if more > 0 {
        error = error.cause(format!("{more} more were found, {left} of them not read"));
    }
    let list = found.iter().take(crate::error::LIST);
    let list: Vec<Value> = list.map(|(artifact, why)| json!({"artifact": artifact.as_str(), "why": why})).collect();
    error.detail("found", list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::OCI_MANIFEST;
    use crate::pure::signature::bundle::BUNDLE;
    use crate::pure::signature::statement::STATEMENT;
    use crate::pure::signature::{SigningKey, public_key};
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use ring::rand::SystemRandom;

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../../tests/fixtures/keys/", $name))
        };
    }

    fn image() -> RawManifest {
        let blob = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::of(b"{}").as_str(), "size": 2});
        let text = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": blob, "layers": []}).to_string();
        RawManifest::of(text.into_bytes(), OCI_MANIFEST).unwrap()
    }

    fn required() -> Requirement {
        let keys = [fixture!("p256.pub"), fixture!("ed25519.pub")];
        let keys = keys.iter().map(|text| public_key::read(text, "`k`").unwrap()).collect();
        Requirement { keys, ..Requirement::default() }
    }

    #[test]
    fn a_signature_counts_that_is_by_a_required_key_over_the_very_image() {
        let random = SystemRandom::new();
        let key = SigningKey::read(fixture!("ed25519.key"), "`k`", &random).unwrap();
        let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let signed = |bytes: &[u8]| base64(&key.sign(bytes, &random).unwrap());
        let (image, other) = (image(), Digest::of(b"other"));
        let payload = |digest: &Digest| {
            let critical = json!({"type": "cosign container image signature", "identity": {"docker-reference": "a/b"},
                "image": {"docker-manifest-digest": digest.as_str()}});
            json!({"critical": critical}).to_string()
        };
        let envelope = |kind: &str, digest: &Digest| {
            let subject = json!([{"name": "n", "digest": {"sha256": digest.hex()}}]);
            let text = json!({"_type": STATEMENT, "subject": subject, "predicateType": "a:b"}).to_string();
            let signature = signed(&envelope::message(kind, text.as_bytes()));
            json!({"payloadType": kind, "payload": base64(text.as_bytes()), "signatures": [{"sig": signature}]})
        };
        let bundle = |name: &str, content: Value| json!({"mediaType": BUNDLE, name: content}).to_string();
        let message = |of: &[u8]| {
            let digest = json!({"algorithm": "SHA2_256", "digest": base64(ring::digest::digest(&ring::digest::SHA256, of).as_ref())});
            bundle("messageSignature", json!({"messageDigest": digest, "signature": signed(&image.body)}))
        };
        let (right, wrong) = (payload(&image.digest), payload(&other));
        let beside = signed(right.as_bytes());
        use SignatureForm::*;
        for (form, content, signature, expected) in [
            (Simple, right.clone(), Some(&*beside), Ok(("simple-signing", Some("a/b"), None))),
            (Simple, right.clone(), None, Err("has no signature beside it")),
            (Simple, right.clone(), Some("A"), Err("has a signature that is not proper base64")),
            (Simple, right.clone(), Some("AAAA"), Err("is by another key, or damaged")),
            (Simple, wrong, Some(&*beside), Err(&*format!("is of `{other}`"))),
            (Envelope, envelope(IN_TOTO, &image.digest).to_string(), None, Ok(("dsse", Some("n"), Some("a:b")))),
            (Envelope, envelope(IN_TOTO, &other).to_string(), None, Err(&*format!("is of `{other}`"))),
            (Envelope, envelope("a/b", &image.digest).to_string(), None, Err("signs a payload of the type `a/b`")),
            (
                Bundle,
                bundle("dsseEnvelope", envelope(IN_TOTO, &image.digest)),
                None,
                Ok(("bundle-dsse", Some("n"), Some("a:b"))),
            ),
            (Bundle, message(&image.body), None, Ok(("bundle-message", None, None))),
            (Bundle, message(b"other"), None, Err(&*format!("is of `{other}`"))),
        ] {
            let blob = SignatureBlob { form, content: content.as_bytes(), signature };
            let judged = judge(&required(), &image, &blob);
            let told = judged.as_ref().map(|one| (one.form, one.name.as_deref(), one.predicate_type.as_deref()));
            assert_eq!(told.map_err(|why| why.as_str()), expected, "{content}");
            if let Ok(one) = judged {
                assert_eq!(one.by, [(1, required().keys[1][0].id.clone())]);
            }
        }
        let blob = SignatureBlob { form: Envelope, content: b"\xff", signature: None };
        assert_eq!(judge(&required(), &image, &blob).err().unwrap(), "is no text");
    }

    /// What is made of a candidate that keys of these lists have signed.
    fn by(lists: &[usize], kind: Option<&str>, name: &str) -> SignatureVerdict {
        let by = lists.iter().map(|n| (*n, required().keys[*n][0].id.clone())).collect();
        let signature =
            Signature { form: "dsse", name: Some(name.to_owned()), predicate_type: kind.map(str::to_owned), by };
        (Digest::of(name.as_bytes()), Ok(signature))
    }

    #[test]
    fn every_list_of_keys_has_to_have_signed_and_every_type_to_be_attested() {
        let refused = |why: &str| (Digest::of(why.as_bytes()), Err(why.to_owned()));
        let attested = Requirement { attestations: vec!["a:b".to_owned()], ..required() };
        for (required, verdicts, left, expected) in [
            (required(), vec![by(&[0, 1], None, "n")], 0, Ok(2)),
            (required(), vec![by(&[0], None, "n"), by(&[1], Some(COSIGN_SIGN), "n")], 0, Ok(2)),
            // The same is told once, and another kind of statement says nothing.
            (required(), vec![by(&[0, 1], None, "n"), by(&[0, 1], None, "n"), by(&[0], Some("a:b"), "n")], 0, Ok(2)),
            (
                required(),
                vec![by(&[0], None, "n"), by(&[1], Some("a:b"), "n")],
                0,
                Err((1, 2, "is an attestation of the type `a:b`")),
            ),
            (required(), vec![by(&[1], None, "n")], 0, Err((0, 1, "alone"))),
            (required(), vec![by(&[1], Some(COSIGN_SIGN), "n")], 0, Err((0, 1, "alone"))),
            (required(), vec![], 0, Err((0, 1, "nothing that points at it may be a signature"))),
            (required(), vec![], 2, Err((0, 2, "2 more were found, 2 of them not read"))),
            (required(), vec![refused("is odd")], 0, Err((0, 1, "is odd"))),
            (required(), ["a", "b", "c"].map(refused).into(), 0, Err((0, 3, "c"))),
            (
                required(),
                ["a", "b", "c", "d"].map(refused).into(),
                2,
                Err((0, 4, "3 more were found, 2 of them not read")),
            ),
            (attested.clone(), vec![by(&[0, 1], None, "n"), by(&[0], Some("a:b"), "n")], 0, Ok(3)),
            (
                attested,
                vec![by(&[0, 1], None, "n"), by(&[0], Some("b:c"), "n")],
                0,
                Err((2, 2, "is an attestation of the type `b:c`")),
            ),
        ] {
            let checked = check(&required, "r/a:1", &Digest::of(b"image"), &verdicts, left);
            match (checked, expected) {
                (Ok(told), Ok(count)) => assert_eq!(told.len(), count, "{told:?}"),
                (Err(error), Err((unmet, causes, last))) => {
                    let (code, message) = match required.keys.get(unmet) {
                        Some(keys) => (
                            Code::SignatureMissing,
                            format!("`r/a:1` is not signed by the key `{}`", keys[0].id.short()),
                        ),
                        None => (
                            Code::AttestationMissing,
                            "`r/a:1` has no attestation of the type `a:b` by a key that is required".to_owned(),
                        ),
                    };
                    assert_eq!((error.code(), error.message()), (code, &*message));
                    assert!(error.causes().len() == causes && error.causes()[causes - 1].ends_with(last), "{error:?}");
                    assert_eq!(error.details()["found"].as_array().unwrap().len(), verdicts.len());
                }
                (checked, expected) => panic!("{checked:?} in the place of {expected:?}"),
            }
        }
    }

    #[test]
    fn twenty_signatures_are_told_each_with_its_key_and_a_short_name() {
        let all: Vec<_> = (0..25).map(|n| by(&[0, 1], None, &format!("{n}{}", "x".repeat(300)))).collect();
        let told = check(&required(), "r/a:1", &Digest::of(b"image"), &all, 0).unwrap();
        assert_eq!(told.len(), 20);
        assert_eq!(told[1]["keyId"], required().keys[1][0].id.as_str());
        assert_eq!((&told[1]["form"], &told[1]["predicateType"]), (&json!("dsse"), &Value::Null));
        assert!(told[1]["name"].as_str().unwrap().chars().count() <= LONGEST + 1, "{}", told[1]["name"]);
    }
}
