//! Decides whether a redirect is followed, and with which request.
//!
//! A credential stays with the scheme, host and port it was meant for. A redirect never leads from
//! https to http, never from a public registry to a private or loopback address, never to a
//! link-local one, and takes a body along only within the same scheme, host and port.
//!
//! Terms: RFC 9110, section 15.4.

use crate::error::{Code, Error};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::url::Scheme;
use crate::pure::http::{Headers, Place, Url, place, redact};

/// How many redirects of one request are followed.
pub const MAX_HOPS: usize = 5;

/// Header fields that are for one server only.
const PERSONAL: [&str; 5] =
    ["authorization", "cookie", "proxy-authorization", "x-amz-security-token", "x-registry-auth"];

/// The request that a redirect asks for; `None` where the reply is no redirect.
///
/// `trail` holds the addresses that this request was sent to so far: the one it was made for first,
/// the address of `request` last.
///
/// # Errors
/// `redirect-refused` with the reason.
pub fn follow(request: &Request, status: u16, headers: &Headers, trail: &[Url]) -> Result<Option<Request>, Error> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let from = &request.url;
    let refuse = |why: String| {
        let message = format!("a redirect was not followed: {why}");
        Error::new(Code::RedirectRefused, message).cause(format!(
            "{} {}: {status}",
            request.method.as_str(),
            redact::url(from)
        ))
    };
    let Some(location) = headers.get("location").filter(|text| !text.trim().is_empty()) else {
        return Err(refuse("the reply does not say where to".to_owned()));
    };
    let target = from.join(location).map_err(|error| refuse(format!("the target is {}", error.message())))?;
    let (shown, same_origin) = (redact::url(&target), from.origin() == target.origin());
    let reads = matches!(request.method, Method::Get | Method::Head);
    // By the standard there is nothing to send for what was read, and the target is about it: GHCR leads whoever lists
    // referrers to a page of GitHub's.
    if status == 303 && reads && !same_origin {
        return Ok(None);
    }

    if let Some(why) = unsafe_way(from, trail.first().unwrap_or(from), &target) {
        return Err(refuse(why));
    }
    if trail.contains(&target) {
        return Err(refuse(format!("it leads in a circle, back to `{shown}`")));
    }
    if trail.len() > MAX_HOPS {
        return Err(refuse(format!("it is number {} in a row", trail.len())));
    }
    if !reads {
        let method = request.method.as_str();
        if !matches!(status, 307 | 308) {
            return Err(refuse(format!("{status} is no answer to a {method}")));
        }
        if !same_origin {
            return Err(refuse(format!("it leads a {method} to another server, `{shown}`")));
        }
    }

    let mut next = request.clone();
    next.url = target;
    if !same_origin {
        for name in PERSONAL {
            next.headers.remove(name);
        }
    }
    Ok(Some(next))
}

/// Why nothing must be sent to an address that a server has named, if there is a reason.
///
/// `first` is the address that somebody typed, `from` the one whose server names `target`.
pub fn unsafe_way(from: &Url, first: &Url, target: &Url) -> Option<String> {
    let shown = redact::url(target);
    if from.scheme() == Scheme::Https && target.scheme() == Scheme::Http {
        return Some(format!("it leads from https to `{shown}`"));
    }
    match place(target.host()) {
        Place::LinkLocal => Some(format!("it leads to the link-local address `{shown}`")),
        Place::Odd => Some(format!("it leads to a number that some resolvers read as an address, `{shown}`")),
        Place::Private | Place::Loopback if place(first.host()) == Place::Public => {
            Some(format!("it leads from a public host to the private address `{shown}`"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn run(method: Method, from: &str, status: u16, to: &str, before: &[&str]) -> Result<Option<Request>, Error> {
        let request = Request::new(method, url(from)).header("Authorization", "Bearer x").header("Accept", "a/b");
        let request = if method == Method::Put { request.body(b"{}".to_vec()) } else { request };
        let trail: Vec<Url> = before.iter().chain([&from]).map(|text| url(text)).collect();
        follow(&request, status, &Headers::new().with("Location", to), &trail)
    }

    #[test]
    fn the_credential_stays_with_scheme_host_and_port() {
        for (from, to, kept) in [
            ("https://r.example/v2/a", "/v2/b", true),
            ("https://r.example/v2/a", "https://r.example:443/v2/b", true),
            ("https://r.example/v2/a", "https://r.example:444/v2/b", false),
            ("https://r.example/v2/a", "https://s3.example/b?X-Amz-Signature=1", false),
            ("http://r.example/v2/a", "https://r.example/v2/b", false),
            ("http://127.0.0.1:5000/v2/a", "http://127.0.0.1:5001/v2/b", false),
        ] {
            let next = run(Method::Get, from, 307, to, &[]).unwrap().unwrap();
            assert_eq!(next.headers.get("authorization").is_some(), kept, "{from} -> {to}");
            assert_eq!(next.headers.get("accept"), Some("a/b"));
        }
    }

    #[test]
    fn unsafe_redirects_are_refused_with_their_reason() {
        let long: Vec<String> = (0..5).map(|i| format!("https://r.example/{i}")).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        for (method, from, status, to, before, why) in [
            (Method::Get, "https://r.example/a", 302, "http://r.example/a", &[][..], "https to"),
            (Method::Get, "https://r.example/a", 302, "https://10.0.0.1/a", &[], "private"),
            (Method::Get, "https://r.example/a", 302, "https://localhost/a", &[], "private"),
            (Method::Get, "https://r.example/a", 302, "https://2130706433/a", &[], "a number that some resolvers read"),
            (Method::Get, "http://127.0.0.1:5000/a", 302, "http://169.254.169.254/latest", &[], "link-local"),
            (Method::Get, "https://s3.example/a", 302, "https://10.0.0.1/a", &["https://r.example/"], "private"),
            (Method::Get, "https://r.example/a", 301, "/a", &[], "circle"),
            (Method::Get, "https://r.example/b", 301, "/a", &["https://r.example/a"], "circle"),
            (Method::Get, "https://r.example/x", 301, "/y", &long, "number 6"),
            (Method::Get, "https://r.example/x", 301, " ", &[], "where to"),
            (Method::Get, "https://r.example/x", 301, "https://u:secret@r.example/", &[], "user info"),
            (Method::Get, "https://r.example/x", 301, "ftp://r.example/", &[], "neither http nor https"),
            (Method::Put, "https://r.example/x", 302, "/y", &[], "no answer to a PUT"),
            (Method::Put, "https://r.example/x", 307, "https://s.example/y", &[], "another server"),
            (Method::Post, "https://r.example/x", 303, "/y", &[], "no answer to a POST"),
        ] {
            let error = run(method, from, status, to, before).unwrap_err();
            assert_eq!(error.code(), Code::RedirectRefused);
            assert!(error.message().contains(why), "{to}: {error}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn five_redirects_in_a_row_are_followed() {
        let before = ["https://r.example/1", "https://r.example/2", "https://r.example/3", "https://r.example/4"];
        assert!(run(Method::Get, "https://r.example/5", 301, "/6", &before).unwrap().is_some());
    }

    #[test]
    fn what_says_that_there_is_nothing_and_names_a_page_elsewhere_leads_nowhere() {
        for (from, status, to, follows) in [
            ("https://r.example/v2/a/referrers/b", 303, "https://page.example/-/v2/packages/a", false),
            ("https://r.example/v2/a/referrers/b", 303, "/v2/other", true),
            ("https://r.example/v2/a/blobs/b", 302, "https://store.example/b", true),
        ] {
            assert_eq!(run(Method::Get, from, status, to, &[]).unwrap().is_some(), follows, "{status} {to}");
        }
    }

    #[test]
    fn private_registries_may_lead_to_private_places() {
        for (from, to) in [
            ("http://127.0.0.1:5000/a", "http://127.0.0.1:9000/b"),
            ("https://10.0.0.1/a", "https://192.168.0.1/b"),
            ("http://localhost:5000/a", "https://cdn.example/b"),
        ] {
            assert!(run(Method::Get, from, 307, to, &[]).unwrap().is_some(), "{from} -> {to}");
        }
    }

    #[test]
    fn bodies_go_along_within_the_same_server_only() {
        let next = run(Method::Put, "https://r.example/x", 308, "/y", &[]).unwrap().unwrap();
        assert_eq!((next.method, next.body.as_deref()), (Method::Put, Some(&b"{}"[..])));
        assert_eq!(next.headers.get("authorization"), Some("Bearer x"));
    }

    #[test]
    fn other_statuses_are_no_redirects() {
        for status in [200, 201, 300, 304, 305, 401, 404, 500] {
            assert!(run(Method::Get, "https://r.example/x", status, "/y", &[]).unwrap().is_none());
        }
    }
}
