//! Reads the `Link` header of a paged reply and finds the next page.
//!
//! The next page is asked of the server that gave the first, with its credential, so a link to
//! another host is refused. Servers behind a proxy often name themselves with the wrong scheme or
//! port; there the path and query count and the address they were asked under stays.
//!
//! Grammar: RFC 8288, section 3.

use crate::error::{Code, Error};
use crate::pure::http::{Headers, Url, quoted_string};

/// The address of the next page; `None` on the last one.
///
/// # Errors
/// `redirect-refused` for a link to another host, `reply-malformed` for one that cannot be read.
pub fn next(headers: &Headers, base: &Url) -> Option<Result<Url, Error>> {
    headers.all("link").find_map(|value| match links(value) {
        Some(links) => links.iter().find(|link| is_next(link)).map(|link| resolve(&link.target, base)),
        None => {
            let message = format!("`{}` sends a `Link` header that cannot be read", base.origin());
            Some(Err(Error::new(Code::ReplyMalformed, message)))
        }
    })
}

fn resolve(target: &str, base: &Url) -> Result<Url, Error> {
    let url =
        base.join(target).map_err(|error| error.with_code(Code::ReplyMalformed).during("reading the `Link` header"))?;
    if url.host() != base.host() {
        let message = format!("`{}` names a next page on another host, `{}`", base.origin(), url.origin());
        return Err(Error::new(Code::RedirectRefused, message));
    }
    Ok(Url::new(base.origin().clone(), url.path(), url.query().map(str::to_owned)))
}

#[derive(Debug, PartialEq)]
struct Link {
    target: String,
    parameters: Vec<(String, String)>,
}

fn is_next(link: &Link) -> bool {
    // Only the first `rel` counts, and it may hold several relation types.
    let rel = link.parameters.iter().find(|(name, _)| name == "rel");
    rel.is_some_and(|(_, types)| types.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case("next")))
}

/// The links of one header value; `None` where it is no list of links.
fn links(value: &str) -> Option<Vec<Link>> {
    let mut found = Vec::new();
    let mut rest = value.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        let mut link = Link { target: target.trim().to_owned(), parameters: Vec::new() };
        rest = after.trim_start();
        while let Some(after) = rest.strip_prefix(';') {
            let (name, after) = split_at_any(after, &['=', ';', ',']);
            let name = name.trim().to_ascii_lowercase();
            let (text, after) = match after.strip_prefix('=') {
                Some(after) => parameter_value(after.trim_start()),
                None => (String::new(), after),
            };
            if !name.is_empty() {
                link.parameters.push((name, text));
            }
            rest = after.trim_start();
        }
        found.push(link);
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    Some(found)
}

/// A quoted text or a word, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, rest) = quoted_string(quoted);
        return (value, rest.unwrap_or_default());
    }
    let (word, rest) = split_at_any(text, &[';', ',']);
    (word.trim().to_owned(), rest)
}

fn split_at_any<'a>(text: &'a str, stops: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(stops).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<&str>) {
        let base = Url::parse("https://reg.example:5000/v2/a/tags/list?n=2").unwrap();
        let headers = Headers::new().with("Link", value);
        let found = next(&headers, &base).map(|url| url.unwrap().to_string());
        assert_eq!(found.as_deref(), expected, "{value}");
    }

    #[test]
    fn the_next_page_is_found_in_every_spelling() {
        let next = Some("https://reg.example:5000/v2/a/tags/list?last=b&n=2");
        check(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#, next);
        check("</v2/a/tags/list?last=b&n=2>;rel=next", next);
        check(r#"</v2/a/tags/list?last=b&n=2> ; title="a, b; \"c\" <x>" ; REL="prev NEXT""#, next);
        check(r#"</x>; rel="prev", </v2/a/tags/list?last=b&n=2>; rel="next", </y>; rel="last""#, next);
        check(r#"<?last=b&n=2>; rel="next""#, next);
        check(r#"<http://reg.example/v2/a/tags/list?last=b&n=2>; rel="next""#, next);
        check(
            "<https://reg.example:5000/v2/a,b/tags/list>; rel=next",
            Some("https://reg.example:5000/v2/a,b/tags/list"),
        );
    }

    #[test]
    fn no_next_page_is_none() {
        for value in ["", "</x>", r#"</x>; rel="prev""#, r#"</x>; rel="prev"; rel="next""#] {
            check(value, None);
        }
    }

    #[test]
    fn links_to_elsewhere_and_links_that_cannot_be_read_are_refused() {
        let base = Url::parse("https://reg.example/v2/a/tags/list").unwrap();
        for (value, code) in [
            ("<https://evil.example/v2/a/tags/list>; rel=next", Code::RedirectRefused),
            ("<//evil.example/x>; rel=next", Code::RedirectRefused),
            ("<https://user:pass@reg.example/x>; rel=next", Code::ReplyMalformed),
            ("<", Code::ReplyMalformed),
            ("</x; rel=next", Code::ReplyMalformed),
            ("</x>; rel=prev, next", Code::ReplyMalformed),
            ("next", Code::ReplyMalformed),
        ] {
            let error = next(&Headers::new().with("link", value), &base).unwrap().unwrap_err();
            assert_eq!(error.code(), code, "{value}");
            assert!(!format!("{error}").contains("pass"));
        }
    }
}
