//! The first step of signature version 4: the request written down in the one form both sides agree on.
//!
//! Which headers are signed is the caller's choice; here they are ordered, joined and trimmed.
//!
//! Specification: IAM User Guide, "Create a signed AWS API request", step 1.

use crate::pure::image::Digest;
use crate::pure::text::percent;
use std::collections::BTreeMap;

/// A request in canonical form, with the names of the headers that it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalRequest {
    /// The whole text.
    pub text: String,
    /// The names of the signed headers, in order, joined with `;`.
    pub signed_headers: String,
}

impl CanonicalRequest {
    /// The hash that goes into the string to sign.
    pub fn hash(&self) -> String {
        Digest::of(self.text.as_bytes()).hex().to_owned()
    }
}

/// Writes a request in canonical form; every header given is signed, `host` among them.
///
/// `path` is the path as it is sent and `query` the query as it is sent, without `?`.
pub fn canonical_request(
    method: &str,
    path: &str,
    query: Option<&str>,
    headers: &[(&str, &str)],
    body: &[u8],
) -> CanonicalRequest {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        fields
            .entry(name.trim().to_ascii_lowercase())
            .and_modify(|all| {
                all.push(',');
                all.push_str(&value);
            })
            .or_insert(value);
    }
    let signed_headers = fields.keys().map(String::as_str).collect::<Vec<_>>().join(";");
    let mut text = format!("{method}\n{}\n{}\n", canonical_path(path), canonical_query(query));
    for (name, value) in &fields {
        text.extend([name, ":", value, "\n"]);
    }
    text.extend(["\n", &signed_headers, "\n", Digest::of(body).hex()]);
    CanonicalRequest { text, signed_headers }
}

// Every service but S3 encodes the segments of the path as sent once more, so an escape that is on
// the wire already has its `%` escaped.
fn canonical_path(path: &str) -> String {
    if path.is_empty() {
        return "/".to_owned();
    }
    path.split('/').map(percent::encode).collect::<Vec<_>>().join("/")
}

// Names and values may come escaped or not; decoding first makes both the same. The order is that
// of the escaped names, then of the escaped values.
fn canonical_query(query: Option<&str>) -> String {
    let mut pairs: Vec<(String, String)> = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let again = |text: &str| percent::encode(&String::from_utf8_lossy(&percent::decode(text)));
            (again(name), again(value))
        })
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_brought_into_one_form() {
        for (path, query, expected) in [
            ("", None, "/\n"),
            ("/", Some(""), "/\n"),
            ("/prefix/a%20b", None, "/prefix/a%2520b\n"),
            ("/", Some("b=2&a=1"), "/\na=1&b=2"),
            ("/", Some("a=%2f&a"), "/\na=&a=%2F"),
            ("/", Some("A=1&a=1"), "/\nA=1&a=1"),
        ] {
            let text = canonical_request("GET", path, query, &[("host", "h")], b"").text;
            assert!(text.starts_with(&format!("GET\n{expected}\nhost:h\n")), "{text}");
        }
    }
}
