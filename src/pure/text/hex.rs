//! Bytes as lower-case hexadecimal digits.

/// Two lower-case digits for each byte.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether every character is one of `0-9a-f`.
pub fn is_lower(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_two_lower_case_digits_each() {
        for (bytes, expected) in [(&[][..], ""), (&[0], "00"), (&[0x0f, 0xa0, 0xff], "0fa0ff")] {
            assert_eq!(encode(bytes), expected);
            assert!(is_lower(expected));
        }
        assert!(!is_lower("0F") && !is_lower("g") && !is_lower("é"));
    }
}
