//! A request and a response as values: what was asked, and what came back.
//!
//! How they travel is the business of `crate::http`; which request comes next is decided elsewhere.
//!
//! Terms: RFC 9110.

use crate::pure::http::Url;
use crate::pure::text::words::words;
use crate::secret::Secret;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

words! {
    /// The method of a request.
    Method {
        /// Reads.
        Get = "GET",
        /// Reads the headers alone.
        Head = "HEAD",
        /// Asks a token server or a web API.
        Post = "POST",
        /// Writes at a name.
        Put = "PUT",
        /// Adds to an upload.
        Patch = "PATCH",
        /// Gives an upload up.
        Delete = "DELETE",
    }
}

/// Header fields in the order they came; names compare without case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// No header at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Removes every field of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every field, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Headers {
    /// The values of fields that may hold a secret are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.ends_with("authorization")
                || name.ends_with("cookie")
                || name.ends_with("-token")
                || name == "location"
        };
        f.debug_list().entries(self.iter().map(|(name, value)| (name, if secret(name) { "…" } else { value }))).finish()
    }
}

/// What a quoted string holds, without its escapes, and what follows its end; `None` where it has no end. The text begins
/// behind the opening quote.
pub fn quoted_string(text: &str) -> (String, Option<&str>) {
    let (mut value, mut rest) = (String::new(), text.chars());
    while let Some(c) = rest.next() {
        match c {
            '"' => return (value, Some(rest.as_str())),
            '\\' => value.extend(rest.next()),
            c => value.push(c),
        }
    }
    (value, None)
}

/// Whether a request may be sent again while its outcome is lost, or passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Sent twice, it does what it does when it is sent once, or nothing worse than an upload that nobody goes on with.
    Freely,
    /// Sent twice, it may do something twice, or its body cannot be sent again.
    Never,
}

/// One request, complete with its credential if it carries one.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Of whom.
    pub url: Url,
    /// With which fields; `Host`, `User-Agent` and `Content-Length` are added on the way.
    pub headers: Headers,
    /// The body, for methods that have one; shared, for a request is sent in several forms.
    pub body: Option<Arc<[u8]>>,
    /// Whether it may be sent again.
    pub repeat: Repeat,
    /// How long whoever made it waits for an answer, repeats included; `None` is as long as the command may take.
    pub patience: Option<Duration>,
}

impl Request {
    /// A request without body. It may be repeated where its method is idempotent; else its maker has to say so.
    pub fn new(method: Method, url: Url) -> Self {
        let repeat = match method {
            Method::Get | Method::Head | Method::Put | Method::Delete => Repeat::Freely,
            Method::Post | Method::Patch => Repeat::Never,
        };
        Self { method, url, headers: Headers::new(), body: None, repeat, patience: None }
    }

    /// Says whether it may be sent again.
    #[must_use]
    pub fn repeated(self, repeat: Repeat) -> Self {
        Self { repeat, ..self }
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Arc<[u8]>>) -> Self {
        self.body = Some(body.into());
        self
    }
}

/// One reply, its body read to the end unless it is said to be another.
#[derive(Clone, Debug)]
pub struct Response<B = Vec<u8>> {
    /// The address that gave it, where redirects have led.
    pub from: Url,
    /// The HTTP status; every status is data here, none is an error.
    pub status: u16,
    /// The fields.
    pub headers: Headers,
    /// The body after transfer decoding; empty for `HEAD`.
    pub body: B,
    /// What it may repeat and must not be shown.
    pub secrets: Arc<[Secret]>,
}

impl<B> Response<B> {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

#[cfg(test)]
impl Headers {
    /// Adds a field and returns the whole, for building it in one expression.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.push(name, value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_leaves_secrets_out() {
        for name in ["Authorization", "Proxy-Authorization", "Set-Cookie", "X-Amz-Security-Token", "Location"] {
            let headers = Headers::new().with(name, "hunter2").with("Accept", "a/b");
            let shown = format!("{headers:?}");
            assert!(!shown.contains("hunter2") && shown.contains("a/b"), "{shown}");
        }
    }

    #[test]
    fn every_status_from_200_to_299_is_a_success() {
        for (status, expected) in [(199, false), (200, true), (299, true), (300, false)] {
            let from = Url::parse("https://r.example/v2/").unwrap();
            let reply = Response { from, status, headers: Headers::new(), body: (), secrets: Default::default() };
            assert_eq!(reply.is_success(), expected, "{status}");
        }
    }
}
