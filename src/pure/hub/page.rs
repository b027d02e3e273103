//! Pages of tags as Docker Hub's web API lists them.
//!
//! The API is documented loosely and answers more loosely still, so all but the names is optional,
//! and what cannot be read is left out. Walking the pages, and when to stop, is left to `io::hub`.
//!
//! Form: Docker Hub API, `/v2/namespaces/{namespace}/repositories/{repository}/tags`.

use crate::error::{Code, Error};
use crate::pure::http::Url;
use crate::pure::image::{Digest, Repository, TagEntry};
use crate::pure::text::{json, percent};
use serde::Deserialize;
use serde_json::Value;

/// The largest page that the API serves.
const PAGE_SIZE: u32 = 100;

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many tags there are on all pages; `usize::MAX` where it is not said.
    pub count: usize,
    /// The address of the next page, as it came; [`next_url`] checks it.
    pub next: Option<String>,
    /// The tags.
    pub tags: Vec<TagEntry>,
}

#[derive(Deserialize)]
#[serde(expecting = "a page of tags")]
struct WirePage {
    count: Option<Value>,
    next: Option<String>,
    results: Option<Vec<WireTag>>,
}

#[derive(Deserialize)]
struct WireTag {
    name: String,
    digest: Option<Value>,
    last_updated: Option<Value>,
    tag_last_pushed: Option<Value>,
    last_updater_username: Option<Value>,
}

/// The address of the first page; the filter is a part of the name, and a hint that the API may ignore.
pub fn first(api: &Url, repository: &Repository, name_filter: Option<&str>) -> Url {
    let (namespace, name) = repository.path().split_once('/').unwrap_or(("library", repository.path()));
    let path = format!("/v2/namespaces/{}/repositories/{}/tags", percent::encode(namespace), percent::encode(name));
    let mut query = format!("page=1&page_size={PAGE_SIZE}");
    if let Some(part) = name_filter {
        query.push_str("&name=");
        query.push_str(&percent::encode(part));
    }
    route(api, &path).with_query(query)
}

/// The address of a route, below whatever path the API's address has.
pub(super) fn route(api: &Url, path: &str) -> Url {
    Url::new(api.origin().clone(), format!("{}{path}", api.path().trim_end_matches('/')), None)
}

/// Reads a page.
///
/// # Errors
/// `reply-malformed` where it is not a page of named tags.
pub fn parse(body: &[u8]) -> Result<Page, Error> {
    let bad = |why: String| Error::new(Code::ReplyMalformed, format!("the tag page of Docker Hub's web API {why}"));
    let page: WirePage =
        serde_json::from_slice(body).map_err(|error| bad(format!("cannot be read: {}", json::why(&error))))?;
    let Some(results) = page.results else { return Err(bad("has no `results`".to_owned())) };
    let text = |value: Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
    let tags = results.into_iter().map(|tag| TagEntry {
        digest: text(tag.digest).and_then(|digest| Digest::parse(&digest).ok()),
        updated: text(tag.last_updated).or_else(|| text(tag.tag_last_pushed)),
        pusher: text(tag.last_updater_username).map(String::into_boxed_str),
        name: tag.name,
    });
    let count = page.count.as_ref().and_then(Value::as_u64);
    Ok(Page {
        count: count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX),
        next: page.next.filter(|next| !next.is_empty()),
        tags: tags.collect(),
    })
}

/// Reads the address of the next page, which must have scheme, host and port of the API itself.
///
/// # Errors
/// `reply-malformed` for any other: the token of this API goes nowhere else.
pub fn next_url(api: &Url, next: &str) -> Result<Url, Error> {
    let bad = |why: String| Error::new(Code::ReplyMalformed, format!("Docker Hub's web API names a next page {why}"));
    let url = api.join(next).map_err(|error| bad("that is no address".to_owned()).cause(error.message()))?;
    let (expected, found) = (api.origin(), url.origin());
    if expected == found { Ok(url) } else { Err(bad(format!("at `{found}`, which is not `{expected}`"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_first_page_is_asked_for_by_namespace_and_name() {
        for (api, repository, filter, expected) in [
            (
                "https://hub.docker.com",
                "acme/app",
                None,
                "https://hub.docker.com/v2/namespaces/acme/repositories/app/tags?page=1&page_size=100",
            ),
            (
                "http://127.0.0.1:5001/",
                "library/app",
                Some(".103&x"),
                "http://127.0.0.1:5001/v2/namespaces/library/repositories/app/tags?page=1&page_size=100&name=.103%26x",
            ),
            (
                "https://mirror.example/hub/",
                "acme/app",
                None,
                "https://mirror.example/hub/v2/namespaces/acme/repositories/app/tags?page=1&page_size=100",
            ),
        ] {
            let repository = Repository::parse(repository).unwrap();
            assert_eq!(first(&url(api), &repository, filter).to_string(), expected);
        }
    }

    #[test]
    fn pages_are_read_leniently() {
        let digest = format!("sha256:{}", "9f".repeat(32));
        let body = format!(
            r#"{{"count":214,"next":"https://hub.docker.com/v2/x?page=2","previous":null,"results":[
                {{"name":"2017.2.1929","full_size":31415926,"last_updated":"2017-01-10T21:06:53.506400Z","digest":"{digest}",
                  "media_type":"m","tag_status":"active","v2":true,"images":[{{"architecture":"amd64","digest":"sha256:1"}}]}},
                {{"name":"old","last_updated":null,"tag_last_pushed":"2016-01-01T00:00:00Z","images":{{"architecture":"amd64"}}}},
                {{"name":"odd","digest":"sha256:short","last_updated":7,"last_updater_username":"mo"}}]}}"#
        );
        let listed = |name: &str, digest: Option<&str>, updated: Option<&str>| TagEntry {
            name: name.to_owned(),
            digest: digest.map(|digest| Digest::parse(digest).unwrap()),
            updated: updated.map(str::to_owned),
            pusher: (name == "odd").then(|| "mo".into()),
        };
        let expected = Page {
            count: 214,
            next: Some("https://hub.docker.com/v2/x?page=2".to_owned()),
            tags: vec![
                listed("2017.2.1929", Some(&digest), Some("2017-01-10T21:06:53.506400Z")),
                listed("old", None, Some("2016-01-01T00:00:00Z")),
                listed("odd", None, None),
            ],
        };
        assert_eq!(parse(body.as_bytes()).unwrap(), expected);
        let empty = Page { count: usize::MAX, next: None, tags: vec![] };
        for body in [r#"{"results":[]}"#, r#"{"count":null,"next":null,"results":[]}"#, r#"{"next":"","results":[]}"#] {
            assert_eq!(parse(body.as_bytes()).unwrap(), empty, "{body}");
        }
    }

    #[test]
    fn what_is_no_page_is_malformed() {
        for body in [
            "",
            "[]",
            "{}",
            "<html>",
            r#"{"results":null}"#,
            r#"{"results":[{"digest":"x"}]}"#,
            r#"{"next":7,"results":[]}"#,
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().code(), Code::ReplyMalformed, "{body}");
        }
    }

    #[test]
    fn the_next_page_stays_with_the_api() {
        for (api, next, expected) in [
            (
                "https://hub.docker.com",
                "https://hub.docker.com/v2/a?page=2",
                Some("https://hub.docker.com/v2/a?page=2"),
            ),
            ("https://hub.docker.com", "https://HUB.docker.com:443/v2/a", Some("https://hub.docker.com/v2/a")),
            ("https://hub.docker.com", "/v2/a?page=2", Some("https://hub.docker.com/v2/a?page=2")),
            ("http://127.0.0.1:81", "http://127.0.0.1:81/v2/a", Some("http://127.0.0.1:81/v2/a")),
            ("https://hub.docker.com", "http://hub.docker.com/v2/a", None),
            ("https://hub.docker.com", "https://hub.docker.com:8443/v2/a", None),
            ("https://hub.docker.com", "https://evil.example/v2/a", None),
            ("https://hub.docker.com", "//evil.example/v2/a", None),
            ("https://hub.docker.com", "https://hub.docker.com@evil.example/", None),
            ("https://hub.docker.com", "javascript:alert(1)://x", None),
        ] {
            let found = next_url(&url(api), next).ok().map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{next}");
        }
    }
}
