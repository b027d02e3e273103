//! The hash that names content and cannot move.
//!
//! `sha256` is what is produced; `sha512` is understood where a registry uses it, and is ring's business alone. Of
//! `sha256` what is in memory is hashed by `sha2`, what streams past by ring. Both take the same time where the processor has
//! instructions for it; where it has none ring takes two thirds, which a copy of gigabytes feels.
//!
//! Grammar: OCI image specification, descriptor, "Digests".

use crate::error::Error;
use crate::pure::image::spelling::invalid;
use crate::pure::text::words::{read_from_text, serialized_as_text};
use crate::pure::text::{hex, quoted};
use ring::digest::{Context, SHA256, SHA512, digest};
use sha2::Digest as _;
use sha2::Sha256;
use std::fmt;

/// The algorithms by which content is checked.
const KNOWN: [&str; 2] = ["sha256", "sha512"];

/// An algorithm and the lower-case hexadecimal hash, such as `sha256:9f2c…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Box<str>);

impl Digest {
    /// Reads `sha256:` with 64 digits or `sha512:` with 128.
    ///
    /// # Errors
    /// `reference-invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|why| {
            let fixed = text.trim().to_ascii_lowercase();
            invalid(text, "a digest", &why, Self::read(&fixed).is_ok().then_some(&fixed))
        })
    }

    pub(super) fn read(text: &str) -> Result<Self, String> {
        check(text).map(|()| Self(text.into()))
    }

    /// Reads a digest of any algorithm, as a manifest may name one: it can be passed on, and content cannot be checked by
    /// it.
    ///
    /// # Errors
    /// `reference-invalid` for what is no digest, and for one of `sha256` or `sha512` that is wrong.
    pub fn parse_any(text: &str) -> Result<Self, Error> {
        let is_of_another = text.split_once(':').is_some_and(|(algorithm, encoded)| {
            let part =
                |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let is_encoded = |b: u8| b.is_ascii_alphanumeric() || b"=_-".contains(&b);
            !KNOWN.contains(&algorithm)
                && algorithm.split(['+', '.', '_', '-']).all(part)
                && !encoded.is_empty()
                && encoded.bytes().all(is_encoded)
        });
        if is_of_another { Ok(Self(text.into())) } else { Self::parse(text) }
    }

    /// Whether content can be checked by it.
    pub fn is_known(&self) -> bool {
        KNOWN.contains(&self.algorithm())
    }

    /// Whether it is of the algorithm by which everything is named that has no other name.
    pub fn is_usual(&self) -> bool {
        self.algorithm() == "sha256"
    }

    /// The sha256 digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(&Sha256::digest(bytes))).into())
    }

    /// Whether these bytes have this digest, by its own algorithm.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let hash = match self.algorithm() {
            "sha512" => hex::encode(digest(&SHA512, bytes).as_ref()),
            "sha256" => hex::encode(&Sha256::digest(bytes)),
            _ => return false,
        };
        self.hex() == hash
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The algorithm.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or(&*self.0, |(algorithm, _)| algorithm)
    }

    /// The hash without its algorithm.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hash)| hash)
    }

    /// The algorithm and the first twelve digits, for sentences.
    pub fn short(&self) -> &str {
        self.0.get(..self.algorithm().len() + 1 + 12).unwrap_or(&self.0)
    }
}

/// Computes the digest of content that comes in pieces. A copy goes on from where the original was.
#[derive(Clone)]
pub struct Hasher(Context);

impl Hasher {
    /// Begins with no content, by the algorithm of the digest that is expected.
    pub fn like(expected: &Digest) -> Self {
        Self(Context::new(if expected.algorithm() == "sha512" { &SHA512 } else { &SHA256 }))
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything so far.
    pub fn digest(&self) -> Digest {
        let algorithm = if self.0.algorithm() == &SHA512 { "sha512" } else { "sha256" };
        Digest(format!("{algorithm}:{}", hex::encode(self.0.clone().finish().as_ref())).into())
    }
}

/// Says why a text is not a digest.
fn check(text: &str) -> Result<(), String> {
    let Some((algorithm, encoded)) = text.split_once(':') else {
        return Err("it does not begin with `sha256:`".to_owned());
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return Err(format!("the algorithm {} is neither `sha256` nor `sha512`", quoted(algorithm))),
    };
    if !hex::is_lower(encoded) {
        return Err("the hash holds other characters than `0-9a-f`".to_owned());
    }
    if encoded.len() != length {
        return Err(format!("the hash has {} digits, `{algorithm}` has {length}", encoded.len()));
    }
    Ok(())
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serialized_as_text!(Digest);
read_from_text!(Digest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_of_another_algorithm_is_passed_on_and_proves_nothing() {
        for text in ["blake3:AbC=_-9", "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564", "x:1"] {
            let digest = Digest::parse_any(text).unwrap();
            assert!(!digest.is_known() && !digest.matches(b"") && text.starts_with(digest.short()));
            assert_eq!(format!("{}:{}", digest.algorithm(), digest.hex()), text);
            assert!(Digest::parse(text).is_err());
        }
        for text in ["", "blake3", "blake3:", ":1", "b+:1", "B:1", "x:1/2", "sha256:00", "sha512:zz"] {
            assert!(Digest::parse_any(text).is_err(), "{text}");
        }
        assert!(Digest::parse_any(Digest::of(b"").as_str()).unwrap().is_known());
    }

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const BRACES: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    const EMPTY_512: &str = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

    #[test]
    fn digests_are_computed_and_compared_by_their_algorithm() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
        assert_eq!(Digest::of(b"{}").as_str(), BRACES);
        assert!(Digest::parse(EMPTY).unwrap().matches(b""));
        assert!(!Digest::parse(EMPTY).unwrap().matches(b"{}"));
        assert!(Digest::parse(EMPTY_512).unwrap().matches(b""));
        assert!(!Digest::parse(EMPTY_512).unwrap().matches(b"{}"));
        assert!(Digest::parse(EMPTY).unwrap().is_usual() && !Digest::parse(EMPTY_512).unwrap().is_usual());
    }

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        for (expected, pieces) in [(BRACES, &["{", "", "}"][..]), (EMPTY, &[]), (EMPTY_512, &[""])] {
            let mut hasher = Hasher::like(&Digest::parse(expected).unwrap());
            for piece in pieces {
                hasher.update(piece.as_bytes());
                assert!(hasher.clone().digest() == hasher.digest());
            }
            assert_eq!(hasher.digest().as_str(), expected);
        }
    }

    #[test]
    fn the_parts_of_a_digest_can_be_had() {
        let digest = Digest::parse(EMPTY).unwrap();
        assert_eq!((digest.algorithm(), digest.hex(), digest.short()), ("sha256", &EMPTY[7..], "sha256:e3b0c44298fc"));
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("{EMPTY:?}"));
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        let upper = format!("sha256:{}", EMPTY[7..].to_uppercase());
        for (text, why) in [
            ("", "it does not begin with `sha256:`"),
            ("latest", "it does not begin with `sha256:`"),
            ("sha256:", "the hash has 0 digits, `sha256` has 64"),
            ("sha256:abc", "the hash has 3 digits, `sha256` has 64"),
            ("md5:00", "the algorithm `md5` is neither `sha256` nor `sha512`"),
            (&upper, "the hash holds other characters than `0-9a-f`"),
            (&EMPTY.replace("sha256", "sha512"), "the hash has 64 digits, `sha512` has 128"),
            (&format!("{EMPTY}\n"), "the hash holds other characters than `0-9a-f`"),
            ("sha256:é", "the hash holds other characters than `0-9a-f`"),
        ] {
            let error = Digest::parse(text).unwrap_err();
            assert!(error.message().ends_with(why), "{text}: {error}");
        }
        assert_eq!(Digest::parse(&upper).unwrap_err().hint_text(), Some(&*format!("write `{EMPTY}`")));
    }
}
