//! Public keys, and whether one of them made a signature.
//!
//! ECDSA over P-256 and P-384, RSA of 2048 to 4096 bits by both of its paddings, and Ed25519, each with the hash that
//! cosign takes for it. What was taken is not told with a signature, so where there is a choice each is tried.
//!
//! Forms: RFC 5280, section 4.1.2.7; RFC 5480, RFC 8017, RFC 8410.

use crate::error::{Code, Error};
use crate::pure::der::{INTEGER, SEQUENCE, part, whole};
use crate::pure::image::Digest;
use crate::pure::signature::pem;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

/// How many keys one text may hold.
const MOST: usize = 100;

/// A key that signatures are checked by.
#[derive(Clone)]
pub struct PublicKey {
    /// The sha256 digest of the key as DER has it, by which others name it too.
    pub id: Digest,
    algorithms: &'static [&'static dyn VerificationAlgorithm],
    point: Vec<u8>,
}

static P256: [&dyn VerificationAlgorithm; 1] = [&signature::ECDSA_P256_SHA256_ASN1];
// Those who sign with such a key do it with either.
static P384: [&dyn VerificationAlgorithm; 2] = [&signature::ECDSA_P384_SHA384_ASN1, &signature::ECDSA_P384_SHA256_ASN1];
static ED25519: [&dyn VerificationAlgorithm; 1] = [&signature::ED25519];
static RSA: [&dyn VerificationAlgorithm; 2] =
    [&signature::RSA_PKCS1_2048_8192_SHA256, &signature::RSA_PSS_2048_8192_SHA256];

/// The algorithm identifiers of the keys that are known: an object identifier, and the curve or null.
pub(super) const EC_P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
pub(super) const EC_P384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
pub(super) const EC_P521: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23";
pub(super) const EC_K256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a";
pub(super) const ED: &[u8] = b"\x06\x03\x2b\x65\x70";
pub(super) const RSA_ANY: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
pub(super) const BIT_STRING: u8 = 0x03;

/// What is taken, for a hint.
const TAKEN: &str = "give a key of ECDSA P-256 or P-384, RSA of 2048 to 4096 bits, or Ed25519, such as `cosign generate-key-pair` makes";

impl PublicKey {
    /// Reads a key as DER has it.
    ///
    /// # Errors
    /// What it is in its place, in words that follow "which".
    pub fn of(der: &[u8]) -> Result<Self, String> {
        let damaged = || "holds a damaged public key".to_owned();
        let read = || {
            let (kind, rest) = part(whole(der, SEQUENCE)?, SEQUENCE)?;
            // A key has no half bytes.
            Some((kind, whole(rest, BIT_STRING)?.strip_prefix(&[0])?))
        };
        let (kind, point) = read().ok_or_else(damaged)?;
        let (algorithms, length): (&[&dyn VerificationAlgorithm], usize) = match kind {
            EC_P256 => (&P256, 65),
            EC_P384 => (&P384, 97),
            ED => (&ED25519, 32),
            RSA_ANY => {
                let bits = bits(point).ok_or_else(damaged)?;
                if !(2048..=4096).contains(&bits) {
                    return Err(format!("holds an RSA key of {bits} bits"));
                }
                (&RSA, point.len())
            }
            EC_P521 => return Err("holds a key of the curve P-521".to_owned()),
            EC_K256 => return Err("holds a key of the curve secp256k1".to_owned()),
            _ => return Err("holds a public key of another kind".to_owned()),
        };
        if point.len() != length {
            return Err(damaged());
        }
        Ok(Self { id: Digest::of(der), algorithms, point: point.to_vec() })
    }

    /// Whether this key made this signature of this message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let by = |algorithm: &&'static dyn VerificationAlgorithm| {
            UnparsedPublicKey::new(*algorithm, &self.point).verify(message, signature).is_ok()
        };
        self.algorithms.iter().any(by)
    }
}

/// How many bits the modulus of an RSA key has.
fn bits(point: &[u8]) -> Option<usize> {
    let (modulus, rest) = part(whole(point, SEQUENCE)?, INTEGER)?;
    whole(rest, INTEGER)?;
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
}

/// Reads all keys of a text; `place` is what holds it, as in ``the file `a.pem` of `--require-signature` ``.
///
/// # Errors
/// `config-malformed` where it holds none, or anything else.
pub fn read(text: &str, place: &str) -> Result<Vec<PublicKey>, Error> {
    let wrong = |why: &str, hint: &str| {
        Err(Error::new(Code::ConfigMalformed, format!("{place} {why}, where a public key is wanted")).hint(hint))
    };
    let parts = match pem::parts(text) {
        Ok(parts) if parts.len() > MOST => return wrong("holds more than 100 keys", "give fewer of them"),
        Ok(parts) => parts,
        Err(why) => return wrong(&why, "give the file as `cosign public-key` or `openssl pkey -pubout` writes it"),
    };
    let mut keys: Vec<PublicKey> = Vec::new();
    for part in parts {
        match part.label.as_str() {
            "PUBLIC KEY" => match PublicKey::of(&part.content) {
                Ok(key) => keys.push(key),
                Err(why) => return wrong(&why, TAKEN),
            },
            "CERTIFICATE" => {
                let hint = "take its key out with `openssl x509 -pubkey -noout`, and give that; nothing else of a certificate would be checked";
                return wrong("holds a certificate", hint);
            }
            "RSA PUBLIC KEY" => {
                return wrong(
                    "holds a key in the form PKCS #1",
                    "write it anew with `openssl rsa -RSAPublicKey_in -pubout`",
                );
            }
            label if label.ends_with("PRIVATE KEY") => {
                let hint = "give its public half, as `cosign public-key --key FILE` or `openssl pkey -in FILE -pubout` writes it, and keep this one where images are signed";
                let why = if part.is_encrypted { "holds an encrypted private key" } else { "holds a private key" };
                return wrong(why, hint);
            }
            _ => return wrong("holds something else in PEM form", TAKEN),
        }
    }
    if keys.is_empty() {
        return wrong("holds nothing that begins with `-----BEGIN PUBLIC KEY-----`", TAKEN);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../../tests/fixtures/keys/", $name))
        };
    }

    fn private(text: &str) -> Vec<u8> {
        pem::parts(text).unwrap().remove(0).content
    }

    fn only(text: &str) -> PublicKey {
        let mut keys = read(text, "it").unwrap();
        assert_eq!(keys.len(), 1);
        keys.remove(0)
    }

    #[test]
    fn a_key_verifies_what_it_signed_and_nothing_else() {
        let random = SystemRandom::new();
        let ec = |algorithm, text| {
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, &private(text), &random).unwrap();
            pair.sign(&random, b"hi").unwrap().as_ref().to_vec()
        };
        let rsa = |padding, text| {
            let pair = RsaKeyPair::from_pkcs8(&private(text)).unwrap();
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(padding, &random, b"hi", &mut signature).unwrap();
            signature
        };
        let ed = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private(fixture!("ed25519.key"))).unwrap();
        let made = [
            (fixture!("p256.pub"), ec(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, fixture!("p256.key"))),
            (fixture!("p384.pub"), ec(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, fixture!("p384.key"))),
            (fixture!("ed25519.pub"), ed.sign(b"hi").as_ref().to_vec()),
            (fixture!("rsa2048.pub"), rsa(&signature::RSA_PKCS1_SHA256, fixture!("rsa2048.key"))),
            (fixture!("rsa3072.pub"), rsa(&signature::RSA_PSS_SHA256, fixture!("rsa3072.key"))),
            (fixture!("rsa4096.pub"), rsa(&signature::RSA_PSS_SHA256, fixture!("rsa4096.key"))),
        ];
        for (n, (key, _)) in made.iter().enumerate() {
            let key = only(key);
            for (m, (_, signature)) in made.iter().enumerate() {
                assert_eq!(key.verifies(b"hi", signature), n == m, "{n} {m}");
                assert!(!key.verifies(b"ho", signature) && !key.verifies(b"hi", &signature[1..]));
            }
        }
    }

    #[test]
    fn a_key_is_named_as_others_name_it() {
        // `openssl pkey -pubin -in p256.pub -outform DER | sha256sum`
        assert_eq!(
            only(fixture!("p256.pub")).id.as_str(),
            "sha256:e7cd4ebf94bb81cd0e0abb8108c3155a3ec4b49213ed53ab97448c29a2cba102"
        );
        let two = [fixture!("p256.pub"), "a comment\n", fixture!("p384.pub")].concat();
        assert_eq!(read(&two, "it").unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_public_key_is_told_for_what_it_is() {
        let certificate_too = [fixture!("p256.pub"), fixture!("certificate.pem")].concat();
        for (text, why, hint) in [
            ("", "holds nothing that begins with `-----BEGIN PUBLIC KEY-----`", "P-256 or P-384"),
            (fixture!("p521.pub"), "holds a key of the curve P-521", "P-256 or P-384"),
            (fixture!("k256.pub"), "holds a key of the curve secp256k1", "P-256 or P-384"),
            (fixture!("ed448.pub"), "holds a public key of another kind", "Ed25519"),
            (fixture!("rsa1024.pub"), "holds an RSA key of 1024 bits", "2048 to 4096"),
            (fixture!("rsa4104.pub"), "holds an RSA key of 4104 bits", "2048 to 4096"),
            (fixture!("compressed.pub"), "holds a damaged public key", "P-256"),
            (fixture!("pkcs1.pub"), "holds a key in the form PKCS #1", "-RSAPublicKey_in"),
            (fixture!("certificate.pem"), "holds a certificate", "x509 -pubkey"),
            (&certificate_too, "holds a certificate", "x509 -pubkey"),
            (fixture!("p256.key"), "holds a private key", "-pubout"),
            (fixture!("sec1.key"), "holds a private key", "-pubout"),
            (fixture!("encrypted.key"), "holds an encrypted private key", "cosign public-key"),
            (fixture!("old-encrypted.key"), "holds an encrypted private key", "cosign public-key"),
            (&fixture!("p256.pub")[..60], "is not proper PEM", "-pubout"),
            ("-----BEGIN X-----\n-----END X-----", "holds something else in PEM form", "P-256"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "holds a damaged public key", "P-256"),
        ] {
            let error = read(text, "the key").err().unwrap();
            assert_eq!(error.message(), format!("the key {why}, where a public key is wanted"));
            assert!(error.hint_text().unwrap().contains(hint), "{why}: {:?}", error.hint_text());
        }
        let many = |count| read(&fixture!("p256.pub").repeat(count), "the key").map(|keys| keys.len());
        assert_eq!(many(100).unwrap(), 100);
        assert!(many(101).unwrap_err().message().contains("holds more than 100 keys"));
    }

    #[test]
    fn the_bits_of_a_modulus_begin_with_the_first_that_is_set() {
        for (modulus, expected) in [(&[0x7f, 0xff][..], 15), (&[0, 0xff], 8), (&[1], 1)] {
            let numbers = [&[INTEGER, modulus.len() as u8][..], modulus, &[INTEGER, 1, 3]].concat();
            let point = [&[SEQUENCE, numbers.len() as u8][..], &numbers].concat();
            assert_eq!(bits(&point), Some(expected), "{modulus:?}");
        }
    }

    #[test]
    fn a_key_has_one_spelling() {
        let der = private(fixture!("p256.pub"));
        let changed = |at: usize, byte: u8| {
            let mut der = der.clone();
            der[at] = byte;
            PublicKey::of(&der).is_ok()
        };
        assert!(PublicKey::of(&der).is_ok() && PublicKey::of(&[&der[..], &[0]].concat()).is_err());
        // The number of bits that do not count, and a length.
        assert!(!changed(25, 1) && !changed(1, 0x58) && !changed(24, 0x41));
    }
}
