//! Keys as text: base64 between a line that says what begins and one that says that it ends.
//!
//! Form: RFC 7468, and the headers of RFC 1421 that encrypted keys of before have.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// How every part begins.
pub const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// One part of a PEM text. It may be a secret, so it is not printed.
pub struct PemPart {
    /// What it says it is, such as `PUBLIC KEY`.
    pub label: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Whether it can be read with a password only.
    pub is_encrypted: bool,
}

/// The parts of a text, whatever stands around them.
///
/// # Errors
/// In words that follow "which": a part that does not end, or is no base64.
pub fn parts(text: &str) -> Result<Vec<PemPart>, String> {
    let mut lines = text.lines().map(str::trim);
    let mut parts = Vec::new();
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else { continue };
        let (mut body, mut is_encrypted, mut is_whole) = (String::new(), label.contains("ENCRYPTED"), false);
        for line in lines.by_ref() {
            if let Some(end) = line.strip_prefix(END) {
                is_whole = end.strip_suffix(DASHES) == Some(label);
                break;
            }
            match line.contains(':') {
                true => is_encrypted |= line.contains("ENCRYPTED"),
                // The name of a cipher and what it starts with is no part of the content.
                false => body.push_str(line),
            }
        }
        // What the label says is not repeated: it may be anything.
        let content = BASE64_STANDARD.decode(body).ok().filter(|_| is_whole);
        let content = content.ok_or("is not proper PEM")?;
        parts.push(PemPart { label: label.to_owned(), content, is_encrypted });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_among_other_lines() {
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,00\n\nAQ==\n-----END RSA PRIVATE KEY-----";
        let told = |text: &str| {
            let parts = parts(text);
            parts.map(|parts| {
                parts.into_iter().map(|one| (one.label, one.content, one.is_encrypted)).collect::<Vec<_>>()
            })
        };
        let part = |label: &str, content: &[u8], is_encrypted| (label.to_owned(), content.to_vec(), is_encrypted);
        for (text, expected) in [
            ("", vec![]),
            ("a key\n", vec![]),
            ("-----BEGIN A B-----\nAQ\r\nI=\n-----END A B-----\n", vec![part("A B", &[1, 2], false)]),
            (
                "hello\n-----BEGIN A-----\n-----END A-----\nx\n  -----BEGIN B-----\n  AQ==\n  -----END B-----",
                vec![part("A", &[], false), part("B", &[1], false)],
            ),
            (old, vec![part("RSA PRIVATE KEY", &[1], true)]),
            ("-----BEGIN ENCRYPTED X-----\nAQ==\n-----END ENCRYPTED X-----", vec![part("ENCRYPTED X", &[1], true)]),
        ] {
            assert_eq!(told(text), Ok(expected), "{text}");
        }
        for bad in [
            "-----BEGIN A-----\nAQ==\n",
            "-----BEGIN A-----\nAQ==\n-----END B-----",
            "-----BEGIN A-----\nAQ\n-----END A-----",
            "-----BEGIN A-----\n!\n-----END A-----",
            "-----BEGIN A-----\nAQ==\n-----BEGIN A-----\nAQ==\n-----END A-----",
        ] {
            assert_eq!(told(bad), Err("is not proper PEM".to_owned()), "{bad}");
        }
    }
}
