//! Percent-encoding of one component of an address.
//!
//! Grammar: RFC 3986, section 2; a `+` is a plus sign here, never a space.

/// Encodes every byte but the unreserved `A-Z a-z 0-9 - . _ ~`.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Replaces each `%XX` by its byte; a `%` without two digits stays as it is.
pub fn decode(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    bytes
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
            assert_eq!(decode(encoded), plain.as_bytes());
        }
    }

    #[test]
    fn what_cannot_be_decoded_stays() {
        for bad in ["%", "%4", "%zz", "a%+1", "%é", "%%"] {
            assert_eq!(decode(bad), bad.as_bytes(), "{bad}");
        }
        assert_eq!(decode("a+b%2f%"), b"a+b/%");
        assert_eq!(decode("%C3"), [0xc3]);
    }
}
