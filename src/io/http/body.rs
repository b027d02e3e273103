//! The body of a reply while it is still on its way.

use super::client::Clock;
use super::transport::Broken;
use crate::pure::http::fault::Fault;
use crate::pure::http::message::Headers;
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// A reply whose body has yet to be read.
#[derive(Debug)]
pub struct Incoming {
    /// The HTTP status, whatever it is.
    pub status: u16,
    /// The fields.
    pub headers: Headers,
    /// The body.
    pub body: Body,
}

/// Reads a body within the limits of its request.
///
/// The connection is kept for the next request once the body has been read to its end.
pub struct Body {
    reader: ureq::BodyReader<'static>,
    expected: Option<u64>,
    got: u64,
    limit: u64,
    clock: Clock,
    failed: Option<Fault>,
}

impl Body {
    pub(super) fn new(body: ureq::Body, limit: u64, clock: Clock) -> Self {
        Self { expected: body.content_length(), reader: body.into_reader(), got: 0, limit, clock, failed: None }
    }

    /// Lowers the limit of bytes.
    pub(super) fn at_most(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// How long it will be, where the server has said so.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Reads some bytes; 0 means that the body is complete.
    ///
    /// # Errors
    /// What kept the rest from coming. Asked again, it is the same.
    pub fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        let outcome = self.read_within(buffer);
        self.failed = outcome.as_ref().err().cloned();
        outcome
    }

    fn read_within(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let amount = match self.reader.read(buffer) {
            Ok(amount) => amount as u64,
            Err(error) => return Err(self.clock.stamp(self.fault(ureq::Error::from(error)))),
        };
        self.got += amount;
        if self.got > self.limit {
            return Err(Fault::TooLarge { limit: self.limit });
        }
        Ok(usize::try_from(amount).unwrap_or(usize::MAX))
    }

    fn fault(&self, error: ureq::Error) -> Fault {
        match broken(error).fault {
            Fault::Truncated { .. } => Fault::Truncated { got: self.got, expected: self.expected },
            other => other,
        }
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// What kept the rest from coming, with what came before it.
    pub fn read_all(&mut self) -> Result<Vec<u8>, (Fault, Vec<u8>)> {
        // What was announced is believed only so far, because memory is taken before it comes.
        let likely = self.expected.unwrap_or(0).min(self.limit).min(256 * 1024);
        let mut bytes = Vec::with_capacity(usize::try_from(likely).unwrap_or(0));
        let mut chunk = [0; 8 * 1024];
        loop {
            match self.next(&mut chunk) {
                Ok(0) => return Ok(bytes),
                Ok(amount) => bytes.extend_from_slice(&chunk[..amount]),
                Err(fault) => return Err((fault, bytes)),
            }
        }
    }
}

impl Read for Body {
    /// As [`Body::next`]; the error carries the [`Fault`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(io::Error::other)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("expected", &self.expected).field("got", &self.got).finish_non_exhaustive()
    }
}

/// What a failure of ureq means here.
pub(super) fn broken(error: ureq::Error) -> Broken {
    use ureq::Error as E;
    let fault = match error {
        E::Other(inner) => match inner.downcast::<Broken>() {
            Ok(broken) => return *broken,
            Err(other) => Fault::Malformed { why: other.to_string() },
        },
        E::Io(error) if error.kind() == ErrorKind::UnexpectedEof => Fault::Truncated { got: 0, expected: None },
        E::BodyStalled => Fault::Truncated { got: 0, expected: None },
        E::Io(error) => super::stream::fault(error),
        E::Timeout(timeout) => super::client::timeout(timeout),
        E::Protocol(error) => {
            let text = error.to_string();
            let text = text.strip_prefix("http parse fail: ").unwrap_or(&text);
            let why = if text.contains("too many headers") { "it has more than 100 header fields" } else { text };
            Fault::Malformed { why: why.to_owned() }
        }
        E::LargeResponseHeader(_, limit) => {
            Fault::Malformed { why: format!("its header is longer than {limit} bytes") }
        }
        other => Fault::Malformed { why: other.to_string() },
    };
    Broken { fault, stale: false }
}
