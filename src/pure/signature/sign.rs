//! Keys that sign: read from PEM, and what they make.
//!
//! A key is one of PKCS #8 that no password protects. Every other form is named for what it is, with the command that
//! turns it into one: whoever has a key in the wrong form has to know which form is meant.
//!
//! Forms: RFC 5958 (PKCS #8), RFC 5480, RFC 8017 and RFC 8410.

use crate::error::{Code, Error};
use crate::pure::der::{INTEGER, SEQUENCE, part, whole};
use crate::pure::signature::pem;
use crate::pure::signature::public_key::{BIT_STRING, EC_K256, EC_P256, EC_P384, EC_P521, ED, RSA_ANY};
use ring::error::KeyRejected;
use ring::rand::SecureRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};

const MAKE: &str = "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out promotion.key`";
const CONVERT: &str = "turn it into PKCS #8 with `openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW`";
const UNLOCK: &str = "take the password off with `openssl pkey -in KEY -out NEW`, and keep what comes out as a secret";
const OTHER_HALF: &str = "give the private key that it belongs to";

/// A private key.
pub struct SigningKey {
    pair: Pair,
    /// Its public half, as the part `PUBLIC KEY` of a PEM text has it.
    pub public: Vec<u8>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads the one private key of a text. `place` is what holds it; nothing of the text stands in messages.
    ///
    /// # Errors
    /// `config-malformed`.
    pub fn read(text: &str, place: &str, random: &dyn SecureRandom) -> Result<Self, Error> {
        let wrong = |what: &str, hint: &str| {
            let message = format!("{place} holds {what}, where a private key in PKCS #8 is wanted");
            Error::new(Code::ConfigMalformed, message).hint(hint)
        };
        let parts = pem::parts(text).map_err(|_| wrong("what is not proper PEM", MAKE))?;
        let private = parts.iter().find(|part| part.label.ends_with("PRIVATE KEY"));
        let Some(key) = private.or(parts.first()) else { return Err(wrong("nothing in PEM form", MAKE)) };
        let (what, hint) = match key.label.as_str() {
            "PRIVATE KEY" => return Self::of(&key.content, random).map_err(|(what, why)| wrong(what, MAKE).cause(why)),
            label if label.contains("COSIGN") || label.contains("SIGSTORE") => {
                let hint = format!("{MAKE}, and cosign's form of it with `cosign import-key-pair --key promotion.key`");
                return Err(wrong("a key in cosign's own encryption, which cosign alone opens", &hint));
            }
            "ENCRYPTED PRIVATE KEY" => ("a key under a password", UNLOCK),
            "EC PRIVATE KEY" => ("an EC key in the form SEC 1", CONVERT),
            "RSA PRIVATE KEY" => ("an RSA key in the form PKCS #1", CONVERT),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => ("a public key", OTHER_HALF),
            "CERTIFICATE" => ("a certificate", OTHER_HALF),
            _ => ("something else in PEM form", MAKE),
        };
        Err(wrong(what, hint))
    }

    /// Reads a key as DER has it, or says what it is in its place, and why that is so.
    fn of(der: &[u8], random: &dyn SecureRandom) -> Result<Self, (&'static str, String)> {
        let kind = || part(part(whole(der, SEQUENCE)?, INTEGER)?.1, SEQUENCE).map(|(kind, _)| kind);
        let kind = kind().unwrap_or_default();
        let of = |pair: Pair, public: &[u8]| {
            let bits = wrapped(BIT_STRING, &[&[0], public].concat());
            Self { pair, public: wrapped(SEQUENCE, &[wrapped(SEQUENCE, kind), bits].concat()) }
        };
        let key = match kind {
            EC_P256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, random).map(|pair| {
                let public = *pair.public_key();
                of(Pair::Ecdsa(pair), public.as_ref())
            }),
            ED => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(|pair| {
                let public = *pair.public_key();
                of(Pair::Ed25519(pair), public.as_ref())
            }),
            RSA_ANY => RsaKeyPair::from_pkcs8(der).map(|pair| {
                let public = pair.public_key().as_ref().to_vec();
                of(Pair::Rsa(Box::new(pair)), &public)
            }),
            // ring signs with SHA-384 here, and cosign looks for SHA-256.
            EC_P384 => return Err(("a key of the curve P-384", TAKEN.to_owned())),
            EC_P521 => return Err(("a key of the curve P-521", TAKEN.to_owned())),
            EC_K256 => return Err(("a key of the curve secp256k1", TAKEN.to_owned())),
            _ => return Err(("a private key of another kind, or a damaged one", TAKEN.to_owned())),
        };
        key.map_err(|why: KeyRejected| ("a private key that cannot be used", format!("{why}; {TAKEN}")))
    }

    /// The signature of a text; `None` where no random numbers are to be had.
    pub fn sign(&self, text: &[u8], random: &dyn SecureRandom) -> Option<Vec<u8>> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(random, text).ok().map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => Some(pair.sign(text).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, text, &mut out).ok().map(|()| out)
            }
        }
    }
}

/// What is taken, as a cause.
const TAKEN: &str = "keys of P-256, Ed25519 and RSA of 2048 to 4096 bits sign what cosign accepts";

/// A value in DER.
fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let head: &[u8] = match content.len() {
        ..0x80 => &[tag, low],
        0x80..=0xff => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::signature::PublicKey;
    use ring::rand::SystemRandom;

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../../tests/fixtures/keys/", $name)).to_owned()
        };
    }

    #[test]
    fn a_key_of_each_kind_signs_and_knows_its_public_half() {
        let random = SystemRandom::new();
        for (private, public) in [
            (fixture!("p256.key"), fixture!("p256.pub")),
            (fixture!("rsa2048.key"), fixture!("rsa2048.pub")),
            (fixture!("rsa3072.key"), fixture!("rsa3072.pub")),
            (fixture!("rsa4096.key"), fixture!("rsa4096.pub")),
            (fixture!("ed25519.key"), fixture!("ed25519.pub")),
        ] {
            let key = SigningKey::read(&private, "`k`", &random).unwrap();
            let public = pem::parts(&public).unwrap().remove(0).content;
            assert_eq!(key.public, public);
            let signature = key.sign(b"text", &random).unwrap();
            let public = PublicKey::of(&public).unwrap();
            assert!(public.verifies(b"text", &signature) && !public.verifies(b"other", &signature));
        }
        let certificate_first = fixture!("certificate.pem") + &fixture!("p256.key");
        assert!(SigningKey::read(&certificate_first, "`k`", &random).is_ok());
    }

    #[test]
    fn a_value_of_any_length_is_read_as_it_was_wrapped() {
        for length in [0, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let content = vec![7; length];
            assert_eq!(whole(&wrapped(BIT_STRING, &content), BIT_STRING), Some(&*content), "{length}");
        }
    }

    #[test]
    fn what_is_no_key_to_sign_with_is_named_with_the_way_out() {
        let random = SystemRandom::new();
        let whole = fixture!("p256.key");
        let turned = |from: &str, to: &str| whole.replace(from, to);
        for (text, what, way) in [
            (fixture!("encrypted.key"), "a key under a password", "openssl pkey -in KEY"),
            (
                turned("PRIVATE", "ENCRYPTED SIGSTORE PRIVATE"),
                "a key in cosign's own encryption",
                "cosign import-key-pair",
            ),
            (turned("PRIVATE", "ENCRYPTED COSIGN PRIVATE"), "a key in cosign's own encryption", "openssl genpkey"),
            (fixture!("sec1.key"), "an EC key in the form SEC 1", "openssl pkcs8 -topk8 -nocrypt"),
            (turned("PRIVATE", "RSA PRIVATE"), "an RSA key in the form PKCS #1", "openssl pkcs8 -topk8 -nocrypt"),
            (turned("PRIVATE", "OPENSSH PRIVATE"), "something else in PEM form", "openssl genpkey"),
            (fixture!("p256.pub"), "a public key", "the private key"),
            (fixture!("certificate.pem"), "a certificate", "the private key"),
            (fixture!("p384.key"), "a key of the curve P-384", "P-256"),
            (fixture!("p521.key"), "a key of the curve P-521", "P-256"),
            (fixture!("k256.key"), "a key of the curve secp256k1", "P-256"),
            (fixture!("ed448.key"), "a private key of another kind", "P-256"),
            (fixture!("rsa1024.key"), "a private key that cannot be used", "P-256"),
            (fixture!("bare.key"), "a private key that cannot be used", "P-256"),
            (String::new(), "nothing in PEM form", "openssl genpkey"),
            (turned("-----END", "END"), "what is not proper PEM", "openssl genpkey"),
            (turned("MIGH", "MIGG"), "a private key of another kind, or a damaged one", "openssl genpkey"),
        ] {
            let error = SigningKey::read(&text, "`k`", &random).err().unwrap();
            let told = format!("{error:?}");
            assert_eq!(error.code(), Code::ConfigMalformed);
            let start = format!("`k` holds {what}");
            assert!(error.message().starts_with(&start) && error.hint_text().unwrap().contains(way), "{told}");
            let leaks = |line: &&str| line.len() > 20 && !line.starts_with('-') && told.contains(*line);
            assert_eq!(text.lines().find(leaks), None);
        }
    }
}
