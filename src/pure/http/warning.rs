//! Reads `Warning` headers, in which a registry tells its users something, such as `299 - "the disk is full"`.
//!
//! Grammar: RFC 7234, section 5.5, to which RFC 9111, section 5.5, refers.

use crate::pure::http::quoted_string;

/// The texts of one header, which may hold several warnings; what cannot be read is left as it stands.
pub fn texts(value: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = value.trim_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let Some((text, after)) = warning(rest) else {
            texts.push(rest.to_owned());
            break;
        };
        texts.push(text);
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    texts
}

/// One warning: a code of three digits, who warns, a quoted text and perhaps a quoted date; and what follows it.
fn warning(value: &str) -> Option<(String, &str)> {
    let (code, rest) = value.split_once(' ')?;
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (_, rest) = rest.trim_start().split_once(' ')?;
    let (text, rest) = quoted(rest.trim_start())?;
    let date = quoted(rest.trim_start_matches([' ', '\t'])).map(|(_, rest)| rest);
    let rest = date.unwrap_or(rest).trim_start_matches([' ', '\t']);
    (rest.is_empty() || rest.starts_with(',')).then_some((text, rest))
}

/// A quoted string without its escapes, and what follows it.
fn quoted(value: &str) -> Option<(String, &str)> {
    let (text, rest) = quoted_string(value.strip_prefix('"')?);
    Some((text, rest?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_warning_of_a_header_is_read() {
        for (value, expected) in [
            (r#"299 - "the disk is full""#, &["the disk is full"][..]),
            (r#"299 - "one", 299 reg.example:5000 "two, and \"three\"""#, &["one", r#"two, and "three""#]),
            (r#"112 - "network down" "Sat, 25 Aug 2012 23:34:45 GMT""#, &["network down"]),
            (r#"299 - "a" "Sat, 25 Aug 2012 23:34:45 GMT" , 299 - "b""#, &["a", "b"]),
            (r#"299  -  "blanks""#, &["blanks"]),
            (r#"299 - """#, &[""]),
            ("", &[]),
            (", ,", &[]),
            ("no form at all", &["no form at all"]),
            (r#"2990 - "four digits""#, &[r#"2990 - "four digits""#]),
            (r#"abc - "no digits""#, &[r#"abc - "no digits""#]),
            (r#"299 - "never closed"#, &[r#"299 - "never closed"#]),
            (r#"299 - "one", rubbish"#, &["one", "rubbish"]),
            (r#"299 - "one" two"#, &[r#"299 - "one" two"#]),
            (r#"299 - "ends in \"#, &[r#"299 - "ends in \"#]),
        ] {
            assert_eq!(texts(value), expected, "{value}");
        }
    }
}
