//! What a server of the tests answers, and in which ways an answer may be broken.

use serde_json::Value;
use std::time::Duration;

/// One answer, sound or broken.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The fields; `Content-Length` is added.
    pub headers: Vec<(String, String)>,
    /// The body; not sent where the request is a `HEAD`.
    pub body: Vec<u8>,
    /// What goes wrong.
    pub fault: Fault,
    /// How long the answer is held back.
    pub delay: Duration,
}

/// What goes wrong with an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The connection is closed without an answer.
    Close,
    /// The connection is reset without an answer.
    Reset,
    /// No answer, and the connection stays open.
    Hang,
    /// The head and so many bytes of the body, then the connection is closed.
    CloseAfter(usize),
    /// The head and so many bytes of the body, then the connection is reset.
    ResetAfter(usize),
    /// The head and so many bytes of the body, then nothing more.
    HangAfter(usize),
    /// One byte of the body at a time.
    Drip(Duration),
    /// The body again and again, chunked, without end.
    Endless,
    /// Header fields without end.
    EndlessHeaders,
    /// `Content-Length` says this, whatever is sent.
    Length(u64),
    /// No `Content-Length`: the body ends where the connection does.
    Unannounced,
    /// A sound answer in chunks.
    Chunked,
    /// Chunks whose sizes are not numbers.
    BadChunks,
    /// A sound answer, after which the connection is closed without a word in the head.
    CloseLater,
    /// These bytes and no others, then the connection is closed.
    Raw(Vec<u8>),
}

impl Reply {
    /// An answer without body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), fault: Fault::None, delay: Duration::ZERO }
    }

    /// An answer with a body of that type.
    pub fn with(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::status(status).header("Content-Type", content_type).body(body)
    }

    /// 200 and a JSON document.
    pub fn json(body: &Value) -> Self {
        Self::with(200, "application/json", body.to_string())
    }

    /// A refusal in the form of the distribution specification.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
        Self::with(status, "application/json", body.to_string())
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// A reply that is nothing but a fault.
    pub fn broken(fault: Fault) -> Self {
        Self::status(200).fault(fault)
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The first value of a field.
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Replaces a field.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self = self.without(name);
        self.header(name, value)
    }

    /// Takes a field away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Breaks the answer.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// Holds the answer back.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}
