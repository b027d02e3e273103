//! Takes out of addresses and texts what a log must not hold.
//!
//! An address keeps the values of query keys on a short list and loses all others, because a signed
//! address is as good as a password. A text of somebody else's, such as an error body, loses what
//! looks like a token, a password or an address with secrets in it.

use crate::pure::http::Url;

/// What stands for a value that was taken out.
const GONE: &str = "…";

/// Query keys whose values say what was asked, and give nobody any right.
const HARMLESS: [&str; 18] = [
    "account",
    "artifactType",
    "client_id",
    "digest",
    "from",
    "last",
    "mount",
    "n",
    "name",
    "ns",
    "ordering",
    "page",
    "page_size",
    "scope",
    "service",
    "tag",
    "offline_token",
    "digest-algorithm",
];

/// Names whose values are secret, wherever they stand.
const SECRET: [&str; 16] = [
    "access_token",
    "accesstoken",
    "auth",
    "authorization",
    "client_secret",
    "id_token",
    "identitytoken",
    "passwd",
    "password",
    "refresh_token",
    "registrytoken",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-security-token",
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
            (r#"{"token":"s3cr3t","expires_in":300}"#, r#"{"token":"…","expires_in":300}"#),
            (r#"{"access_token" : "s3cr3t", "a": 1}"#, r#"{"access_token" : "…", "a": 1}"#),
            ("go to https://user:pw@h.example/p?sig=x&n=1 now", "go to https://h.example/p?sig=…&n=1 now"),
            ("password=hunter2", "password=…"),
            ("got eyJhbGciOiJSUzI1NiJ9.e30.x", "got …"),
            ("dckr_pat_0123456789", "…"),
            ("token expired, log in again", "token expired, log in again"),
        ] {
            assert_eq!(text(input), expected, "{input}");
        }
    }
}
