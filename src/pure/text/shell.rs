//! Writes words so that a POSIX shell reads them back as they were, and a log stays one line.

/// One word, quoted where a shell would read it otherwise.
pub fn quote(word: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '=' | ',' | '+' | '%');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    // Line breaks and what a terminal obeys are spelled, so that a log stays as it reads.
    let odd = |c: char| !c.is_ascii_graphic() && c != ' ' && c.escape_debug().count() > 1;
    if word.chars().any(odd) {
        let mut out = String::from("$'");
        for c in word.chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if odd(c) => c.to_string().bytes().for_each(|b| out.push_str(&format!("\\{b:03o}"))),
                c => out.push(c),
            }
        }
        return out + "'";
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Several words as one line.
pub fn line<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, expected) in [
            ("--build=103", "--build=103"),
            ("", "''"),
            ("a b", "'a b'"),
            ("--move={version}", "'--move={version}'"),
            ("it's", r"'it'\''s'"),
            ("$(rm -rf ~)", "'$(rm -rf ~)'"),
            ("a\nb'\u{1b}", r"$'a\nb\'\033'"),
            ("a\u{202e}b", r"$'a\342\200\256b'"),
            ("~", "'~'"),
            ("ä", "'ä'"),
        ] {
            assert_eq!(quote(word), expected);
        }
        assert_eq!(line(["promote", "a b"]), "promote 'a b'");
    }
}
