//! Takes out of addresses and texts what a log must not hold.
//!
//! An address keeps the values of query keys on a short list and loses all others, because a signed
//! address is as good as a password. A text of somebody else's, such as an error body, loses what
//! looks like a token, a password or an address with secrets in it.

use crate::pure::http::Url;
use crate::pure::text::percent;
use crate::secret::Secret;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::ops::Range;

/// What stands for a value that was taken out.
const GONE: &str = "…";

/// Query keys whose values say what was asked, and give nobody any right.
// By what they ask for, which the formatter would take apart.
#[rustfmt::skip]
const HARMLESS: [&str; 18] = [
    "account", "client_id", "offline_token", "scope", "service",
    "digest", "digest-algorithm", "from", "mount",
    "artifactType", "last", "n", "name", "ns", "ordering", "page", "page_size", "tag",
];

/// Names whose values are secret, wherever they stand.
// As above.
#[rustfmt::skip]
const SECRET: [&str; 16] = [
    "access_token", "accesstoken", "id_token", "identitytoken", "refresh_token", "registrytoken", "token",
    "auth", "authorization", "client_secret", "passwd", "password", "secret",
    "sig", "signature", "x-amz-security-token",
];

/// The address with every query value gone that is not known to be harmless.
pub fn url(url: &Url) -> String {
    let bare = format!("{}{}", url.origin(), url.path());
    match url.query() {
        Some(query) => format!("{bare}?{}", self::query(query)),
        None => bare,
    }
}

fn query(query: &str) -> String {
    let pairs: Vec<String> = query.split('&').map(pair).collect();
    pairs.join("&")
}

fn pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((key, _)) if !HARMLESS.contains(&key) => format!("{key}={GONE}"),
        // A bare word may be a signature of its own.
        None if pair.len() > 16 => GONE.to_owned(),
        _ => pair.to_owned(),
    }
}

/// The text without tokens, passwords, and the secret parts of addresses.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut hide_next = false;
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(|c| !is_gap(c)).unwrap_or(rest.len());
        let (gap, tail) = rest.split_at(start);
        out.push_str(gap);
        // `"token": "x"` and `token = x` announce a value; only space and quotes may stand between.
        if gap.chars().any(|c| matches!(c, ',' | ';' | '{' | '}' | '\n')) {
            hide_next = false;
        }
        let end = tail.find(is_gap).unwrap_or(tail.len());
        let (word, tail) = tail.split_at(end);
        rest = tail;
        if word.is_empty() {
            continue;
        }
        let announces = announces_secret(word);
        if matches!(word, ":" | "=") {
            out.push_str(word);
        } else if hide_next && !announces {
            out.push_str(GONE);
            hide_next = false;
        } else {
            out.push_str(&self::word(word));
            hide_next = announces || (is_secret_name(word) && followed_by_value(rest));
        }
    }
    out
}

/// Shorter secrets turn up by chance in words that have to stay readable.
const SHORTEST: usize = 4;

/// What somebody else said, without the secrets; nothing of it where it holds one that is too short to be taken out.
pub fn words(words: &str, secrets: &[Secret]) -> String {
    if spelled(words, secrets, |length| length < SHORTEST).is_empty() {
        self::secrets(words, secrets)
    } else {
        GONE.to_owned()
    }
}

/// The text without the secrets, however they are spelled: as they are or in Base64, with the escapes of addresses, forms,
/// JSON or markup, with other blanks, or up to where the text was cut.
pub fn secrets(text: &str, secrets: &[Secret]) -> String {
    let mut parts = spelled(text, secrets, |length| length >= SHORTEST);
    parts.sort_unstable_by_key(|part| part.start);
    let (mut out, mut end) = (String::with_capacity(text.len()), 0);
    for part in parts {
        if part.start >= end {
            out.extend([&text[end..part.start], GONE]);
        }
        end = end.max(part.end);
    }
    out + &text[end..]
}

/// Where a text spells one of the secrets of the length that is wanted.
fn spelled(text: &str, secrets: &[Secret], is_wanted: fn(usize) -> bool) -> Vec<Range<usize>> {
    let folded = secrets.iter().map(|secret| PlainText::of(secret.reveal(), |_, _| 0).bytes.trim_ascii().to_vec());
    let secrets: Vec<Vec<u8>> = folded.filter(|secret| !secret.is_empty() && is_wanted(secret.len())).collect();
    if secrets.is_empty() {
        return Vec::new();
    }
    let find = |bytes: &[u8]| {
        let starts = |at: usize| secrets.iter().filter_map(move |secret| Some(at..at + begun(&bytes[at..], secret)?));
        (0..bytes.len()).flat_map(starts).collect::<Vec<_>>()
    };
    let spellings: [(&str, Unescape); 5] =
        [("", |_, _| 0), ("%", percent), ("%+", form), ("\\", escape), ("&", entity)];
    let marked = spellings.into_iter().filter(|(marks, _)| marks.is_empty() || text.contains(|c| marks.contains(c)));
    let mut parts = Vec::new();
    for PlainText { bytes, starts } in marked.map(|(_, unescape)| PlainText::of(text, unescape)) {
        parts.extend(find(&bytes).into_iter().map(|at| starts[at.start]..starts[at.end]));
        let mut end = 0;
        for run in bytes.split_inclusive(|byte| !is_base64(*byte)) {
            let start = end;
            end += run.len();
            let code = &run[..run.len() - usize::from(run.last().is_some_and(|last| !is_base64(*last)))];
            // Where in the run the code begins is not known: `/` and `-` are letters of it, and of addresses.
            if (0..4.min(code.len())).any(|at| !find(&base64(&code[at..])).is_empty()) {
                parts.push(starts[start]..starts[start + code.len()]);
            }
        }
    }
    parts
}

/// How much of a secret a text begins with: all of it, or all that is there before the text is cut.
fn begun(text: &[u8], secret: &[u8]) -> Option<usize> {
    let same = text.iter().zip(secret).take_while(|(one, other)| one == other).count();
    let is_cut = same >= SHORTEST && (same == text.len() || text[same..].starts_with(GONE.as_bytes()));
    (is_cut || same == secret.len()).then_some(same)
}

/// Reads what stands for something else at the beginning of a text, and says how much of the text that took; 0 for
/// nothing.
type Unescape = fn(&str, &mut Vec<u8>) -> usize;

/// What a text says, its blanks folded, and where in the text each byte of that begins.
struct PlainText {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl PlainText {
    fn of(text: &str, unescape: Unescape) -> Self {
        let (mut bytes, mut starts, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = text[at..].chars().next() {
            let before = bytes.len();
            let mut taken = unescape(&text[at..], &mut bytes);
            if taken == 0 {
                taken = next.len_utf8();
                bytes.extend_from_slice(&text.as_bytes()[at..at + taken]);
            }
            if bytes[before..].iter().all(u8::is_ascii_whitespace) {
                bytes.truncate(before);
                bytes.extend((!bytes.ends_with(b" ")).then_some(b' '));
            }
            starts.resize(bytes.len(), at);
            at += taken;
        }
        starts.push(text.len());
        Self { bytes, starts }
    }
}

fn percent(text: &str, out: &mut Vec<u8>) -> usize {
    let byte = text.get(..3).map(percent::decode).filter(|bytes| bytes.len() == 1);
    byte.map_or(0, |byte| {
        out.extend(byte);
        3
    })
}

fn form(text: &str, out: &mut Vec<u8>) -> usize {
    if !text.starts_with('+') {
        return percent(text, out);
    }
    out.push(b' ');
    1
}

/// The escapes of JSON, and those by which characters are shown here.
fn escape(text: &str, out: &mut Vec<u8>) -> usize {
    let shown = text.strip_prefix("\\u{").and_then(|rest| rest.split_once('}'));
    if let Some((digits, _)) = shown
        && let Some(c) = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
    {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        return "\\u{}".len() + digits.len();
    }
    // One character has one escape, or two where that is a pair of surrogates.
    let one = |length: &usize| {
        let json = format!("\"{}\"", text.get(..*length).filter(|code| code.starts_with('\\'))?);
        serde_json::from_str::<char>(&json).ok()
    };
    let Some((length, c)) = [2, 6, 12].iter().find_map(|length| Some((*length, one(length)?))) else { return 0 };
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    length
}

fn entity(text: &str, out: &mut Vec<u8>) -> usize {
    let Some((name, _)) = text.strip_prefix('&').and_then(|rest| rest.split_once(';')) else { return 0 };
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let c = match (name, name.strip_prefix(['#']).map(|digits| (digits, digits.strip_prefix(['x', 'X'])))) {
        ("lt", _) => Some('<'),
        ("gt", _) => Some('>'),
        ("amp", _) => Some('&'),
        ("quot", _) => Some('"'),
        ("apos", _) => Some('\''),
        (_, Some((_, Some(hex)))) => number(hex, 16),
        (_, Some((digits, None))) => number(digits, 10),
        _ => None,
    };
    c.map_or(0, |c| {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        name.len() + 2
    })
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// What a run of letters of either alphabet of Base64 says; a letter that is too much at its end is left away.
fn base64(code: &[u8]) -> Vec<u8> {
    let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&STANDARD, lenient.with_decode_padding_mode(DecodePaddingMode::RequireNone));
    let code = &code[..code.len() - usize::from(code.len() % 4 == 1)];
    let letter = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    let bytes = engine.decode(code.iter().map(letter).collect::<Vec<_>>()).unwrap_or_default();
    PlainText::of(&String::from_utf8_lossy(&bytes), |_, _| 0).bytes
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | ';' | '{' | '}' | '(' | ')' | '<' | '>')
}

/// Whether the next word is the secret: `Bearer x`, `token: x`, `password= x`.
fn announces_secret(word: &str) -> bool {
    let name = word.trim_end_matches([':', '=']);
    word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") || (name != word && is_secret_name(name))
}

fn is_secret_name(word: &str) -> bool {
    SECRET.iter().any(|name| word.eq_ignore_ascii_case(name))
}

fn followed_by_value(rest: &str) -> bool {
    rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).starts_with([':', '='])
}

fn word(word: &str) -> String {
    if let Some((scheme, rest)) = word.split_once("://") {
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let query = query.map_or_else(String::new, |query| format!("?{}", self::query(query)));
        return format!("{scheme}://{authority}{path}{query}");
    }
    if let Some((name, value)) = word.split_once(['=', ':'])
        && !value.is_empty()
        && is_secret_name(name.rsplit(['?', '&', '.']).next().unwrap_or(name))
    {
        return format!("{}{GONE}", &word[..=name.len()]);
    }
    // The start of every JSON web token, and of tokens that hub and forges hand out.
    let marked = ["eyJ", "dckr_pat_", "dckr_oat_", "ghp_", "ghs_", "github_pat_", "glpat-"];
    if word.len() > 12 && marked.iter().any(|mark| word.starts_with(mark)) {
        return GONE.to_owned();
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_secrets(secret: &str, text: &str, expected: &str) {
        assert_eq!(secrets(text, &[Secret::new(secret)]), expected, "{secret} in {text}");
    }

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        for (secret, text, expected) in [
            ("hunter2", "it is hunter2, and hunter2", "it is …, and …"),
            ("hunter2", "nothing", "nothing"),
            // Percent in both cases, and of characters that need none.
            ("p&ss/w\u{f6}rd", "at p%26ss%2Fw%C3%B6rd now", "at … now"),
            ("p&ss/w\u{f6}rd", "at p%26ss/w%c3%b6r%64", "at …"),
            ("a%41+b", "a%2541%2Bb a%41+b", "… …"),
            // Forms, and other blanks.
            ("two  words", "two+words, two%20%20words, two\n words.", "…, …, …."),
            (" a blank at both ends ", "said \"a blank at both ends\"", "said \"…\""),
            // JSON, once and as it is shown here, and markup.
            ("<a\"b\\c>", r#"{"x":"\u003ca\"b\\c\u003E"}"#, r#"{"x":"…"}"#),
            ("<a\"b\\c>", "&lt;a&quot;b&#92;c&#x3E;", "…"),
            ("a>b or c", "a&gt;b or c", "…"),
            ("p&ss'word", "p&amp;ss&apos;word", "…"),
            ("t\u{1f600}p\u{e9}", r"t\ud83d\ude00p\u00E9", "…"),
            ("bell\u{7}s", r"bell\u{7}s", "…"),
            // Base64 of either alphabet, padded or not, of the secret alone or among others, and within an address.
            ("p>ss?w~rd", "cD5zcz93fnJk", "…"),
            ("p>ss?w~rd", "cD5zcz93fnJkx", "…"),
            ("p>ss?w~rd!", "cD5zcz93fnJkIQ== cD5zcz93fnJkIQ", "…== …"),
            ("p>ss?w~rd", "dXNlcjpwPnNzP3d-cmQ", "…"),
            ("p>ss?w~rd", "/v2/cD5zcz93fnJk?x=cD5zcz93fnJk", "…?x=…"),
            ("two  words", "dHdvICB3b3Jkcw==", "…=="),
            ("p>ss?w~rd!", "x=cD5zcz93fnJ%6bI%51%3D%3d", "x=…%3D%3d"),
            // What a cut has left of it.
            ("hunter2hunter2", "`it is hunter2hu…`", "`it is ……`"),
            ("hunter2hunter2", "it is hunter2hunt", "it is …"),
            ("hunter2hunter2", "hun…", "hun…"),
            ("hun", "hun", "hun"),
            ("a    ", "a cat", "a cat"),
            ("", "", ""),
        ] {
            check_secrets(secret, text, expected);
        }
    }

    #[test]
    fn words_that_hold_a_short_secret_are_not_quoted() {
        let both = ["q9z", "hunter2"].map(Secret::new);
        for (text, expected) in [
            ("the password hunter2 is wrong", "the password … is wrong"),
            ("the password q9z is wrong", "…"),
            ("q%39z", "…"),
            ("cTl6", "…"),
            ("the password q9 is wrong", "the password q9 is wrong"),
        ] {
            assert_eq!(words(text, &both), expected);
        }
        assert_eq!(words("the password q9zx is wrong", &[Secret::new("q9zx")]), "the password … is wrong");
    }

    #[test]
    fn addresses_keep_harmless_values_only() {
        for (input, expected) in [
            ("https://r.example/v2/a/tags/list?n=100&last=b", "https://r.example/v2/a/tags/list?n=100&last=b"),
            (
                "https://s3.example/b?X-Amz-Signature=abc&X-Amz-Date=1",
                "https://s3.example/b?X-Amz-Signature=…&X-Amz-Date=…",
            ),
            (
                "https://a.example/token?service=s&scope=repository:a:pull&refresh_token=x",
                "https://a.example/token?service=s&scope=repository:a:pull&refresh_token=…",
            ),
            ("https://b.example/x?0123456789abcdef0", "https://b.example/x?…"),
            ("https://b.example/x?0123456789abcdef", "https://b.example/x?0123456789abcdef"),
        ] {
            assert_eq!(url(&Url::parse(input).unwrap()), expected);
        }
    }

    #[test]
    fn texts_lose_what_looks_secret() {
        for (input, expected) in [
            ("nothing to hide: tag `1.2` is unknown", "nothing to hide: tag `1.2` is unknown"),
            ("requested access to the resource is denied", "requested access to the resource is denied"),
            ("sent Authorization: Bearer abc.def then", "sent Authorization: Bearer … then"),
            ("sent Basic YWRhOnBhc3M= then", "sent Basic … then"),
            ("the token: s3cr3t is wrong", "the token: … is wrong"),
            (r#"{"token":"s3cr3t","expires_in":300}"#, r#"{"token":"…","expires_in":300}"#),
            (r#"{"access_token" : "s3cr3t", "a": 1}"#, r#"{"access_token" : "…", "a": 1}"#),
            ("go to https://user:pw@h.example/p?sig=x&n=1 now", "go to https://h.example/p?sig=…&n=1 now"),
            ("password=hunter2", "password=…"),
            ("got eyJhbGciOiJSUzI1NiJ9.e30.x", "got …"),
            ("dckr_pat_0123", "…"),
            ("dckr_pat_012", "dckr_pat_012"),
            ("token expired, log in again", "token expired, log in again"),
        ] {
            assert_eq!(text(input), expected, "{input}");
        }
    }
}
