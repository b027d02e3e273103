//! Percent-encoding of one component of an address.
//!
//! Grammar: RFC 3986, section 2; a `+` is a plus sign here, never a space.

use crate::pure::text::hex;

/// Encodes every byte but the unreserved `A-Z a-z 0-9 - . _ ~`.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}

/// Replaces each `%XX` by its byte; `None` for a `%` without two digits, or where the bytes are not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit()?, digit()?);
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_encoded_and_come_back() {
        for (plain, encoded) in [
            ("", ""),
            ("AZaz09-._~", "AZaz09-._~"),
            ("repository:acme/app:pull,push", "repository%3Aacme%2Fapp%3Apull%2Cpush"),
            ("a b+c&d=%", "a%20b%2Bc%26d%3D%25"),
            ("é\n\0", "%C3%A9%0A%00"),
        ] {
            assert_eq!(encode(plain), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(plain));
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_none() {
        for bad in ["%", "%4", "%zz", "a%+1", "%C3", "%é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode("a+b%2f").as_deref(), Some("a+b/"));
    }
}
