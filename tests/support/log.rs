//! What a server of the tests was asked, and when: the place where requests and round trips are counted.

use super::text;
use std::time::Instant;

/// One request as it came in.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query, as they stood in the request line.
    pub target: String,
    /// The path alone.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The fields, in order.
    pub headers: Vec<(String, String)>,
    /// The body, chunks put together; the log keeps no more than the first mebibyte.
    pub body: Vec<u8>,
    /// How long the body was.
    pub length: usize,
    /// The connection it came on, counted from 0.
    pub connection: usize,
    /// Whether it is the first on its connection.
    pub first: bool,
}

impl Asked {
    /// The first value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// User name and password of Basic authentication.
    pub fn basic(&self) -> Option<(String, String)> {
        let value = self.header("Authorization")?;
        let (scheme, rest) = value.split_once(' ')?;
        let pair = String::from_utf8(text::unbase64(rest.trim())?).ok()?;
        let (user, password) = pair.split_once(':')?;
        scheme.eq_ignore_ascii_case("basic").then(|| (user.to_owned(), password.to_owned()))
    }

    /// The token of Bearer authentication.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, rest) = self.header("Authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(rest.trim())
    }

    /// Method and target, for a message.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// One request with its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was asked.
    pub asked: Asked,
    /// The status of the answer; 0 where there was none.
    pub status: u16,
    /// When the head of the request had been read.
    pub started: Instant,
    /// When the answer had been written.
    pub ended: Instant,
    /// What connecting cost: 0 on a connection in use, 1 on a new one, 2 on a new one with TLS.
    pub connecting: usize,
}

/// Every exchange with one server, or with several that belong together.
#[derive(Clone, Debug, Default)]
pub struct Log(pub Vec<Exchange>);

impl Log {
    /// How many requests there were.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many had that method.
    pub fn method(&self, method: &str) -> usize {
        self.0.iter().filter(|exchange| exchange.asked.method == method).count()
    }

    /// How many had that method and a path with that text in it.
    pub fn matching(&self, method: &str, part: &str) -> usize {
        self.0.iter().filter(|one| one.asked.method == method && one.asked.path.contains(part)).count()
    }

    /// How many could have changed something: everything but `GET` and `HEAD`.
    pub fn writes(&self) -> usize {
        self.count() - self.method("GET") - self.method("HEAD")
    }

    /// Method, target and status of each, in the order they came, for messages.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(|one| format!("{} -> {}", one.asked.line(), one.status)).collect()
    }

    /// This and another server's log.
    #[must_use]
    pub fn and(mut self, other: Log) -> Self {
        self.0.extend(other.0);
        self.0.sort_by_key(|exchange| exchange.started);
        self
    }

    /// The longest chain of exchanges of which each began after the one before had ended, connecting included.
    ///
    /// Requests side by side share a place in the chain, provided the server holds its answers back long
    /// enough for them to overlap.
    pub fn round_trips(&self) -> usize {
        let mut ordered: Vec<&Exchange> = self.0.iter().collect();
        ordered.sort_by_key(|exchange| exchange.started);
        let mut best: Vec<usize> = Vec::new();
        for (at, exchange) in ordered.iter().enumerate() {
            let before = (0..at).filter(|&i| ordered[i].ended <= exchange.started).map(|i| best[i]).max();
            best.push(before.unwrap_or(0) + 1 + exchange.connecting);
        }
        best.into_iter().max().unwrap_or(0)
    }

    /// Whether a text occurs in any request line, field or body.
    pub fn mentions(&self, text: &str) -> bool {
        self.0.iter().any(|one| {
            one.asked.target.contains(text)
                || one.asked.headers.iter().any(|(_, value)| value.contains(text))
                || String::from_utf8_lossy(&one.asked.body).contains(text)
        })
    }
}
