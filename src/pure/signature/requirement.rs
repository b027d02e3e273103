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
