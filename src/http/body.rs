//! Bodies while they are on their way: of a reply coming in, of a request going out.

use crate::http::gate::Pass;
use crate::http::limits::{REFUSAL, Stopwatch};
use crate::http::transport::TransportError;
use crate::pure::http::{Fault, Phase, Response};
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

/// A reply whose body has yet to be read.
pub type Incoming = Response<Body>;

impl Incoming {
    /// Reads the rest; of a reply that is no success only the beginning.
    ///
    /// # Errors
    /// What kept the rest from coming.
    pub fn whole(mut self) -> Result<Response, Fault> {
        let (success, body) = (self.is_success(), &mut self.body);
        if !success {
            body.limit = REFUSAL.min(body.limit);
        } else if body.expected().is_some_and(|expected| expected > body.limit) {
            return Err(Fault::TooLarge { limit: body.limit });
        }
        let body = match body.read_all() {
            Ok(bytes) => bytes,
            Err((Fault::TooLarge { .. }, bytes)) if !success => bytes,
            Err((fault, _)) => return Err(fault),
        };
        Ok(Response { from: self.from, status: self.status, headers: self.headers, body, secrets: Default::default() })
    }
}

/// Reads a body within the limits of its request.
///
/// The connection is kept for the next request once the body has been read to its end.
pub struct Body {
    reader: ureq::BodyReader<'static>,
    expected: Option<u64>,
    got: u64,
    limit: u64,
    watch: Stopwatch,
    failed: Option<Fault>,
    /// What keeps others waiting until this has been read.
    _pass: Option<Pass>,
}

impl Body {
    pub(super) fn new(body: ureq::Body, watch: Stopwatch) -> Self {
        let limit = watch.limits.body;
        let expected = body.content_length();
        Self { expected, reader: body.into_reader(), got: 0, limit, watch, failed: None, _pass: None }
    }

    /// The same, under way as long as it is not dropped.
    pub(super) fn under(self, pass: Pass) -> Self {
        Self { _pass: Some(pass), ..self }
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
            Err(error) => return Err(self.watch.stamp(self.fault(ureq::Error::from(error)))),
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

/// A body on its way out, exactly as long as was announced.
///
/// It goes out once: where something goes wrong after some of it was read, it cannot be sent from its beginning.
/// When the reader fails the request ends without a reply, under a fault that says no more than that: the reason is
/// for the reader to keep.
pub struct Payload<'a> {
    body: &'a mut dyn Read,
    length: u64,
    left: u64,
    begun: bool,
}

impl<'a> Payload<'a> {
    /// The next so many bytes of a reader.
    pub fn new(body: &'a mut dyn Read, length: u64) -> Self {
        Self { body, length, left: length, begun: false }
    }

    /// How many bytes are still to come. Those that a connection takes no more of count as sent.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Makes it whole for another connection, unless anything was taken from the body: it cannot be sent from its
    /// beginning then.
    pub fn restart(&mut self) -> bool {
        if !self.begun {
            self.left = self.length;
        }
        !self.begun
    }
}

impl Read for Payload<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A connection that nothing can be sent on any more offers no room. What is left counts as sent
        // then, so that ureq turns to the reply; the body is not asked for bytes that nobody will see.
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let amount = if buffer.is_empty() {
            most
        } else {
            self.begun = true;
            let most = most.min(buffer.len());
            let amount = self.body.read(&mut buffer[..most])?;
            if amount == 0 && most > 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            amount
        };
        self.left = self.left.saturating_sub(amount as u64);
        Ok(amount)
    }
}

/// What a failure of ureq means here.
pub(super) fn broken(error: ureq::Error) -> TransportError {
    use ureq::Error as E;
    let fault = match error {
        E::Other(inner) => match inner.downcast::<TransportError>() {
            Ok(broken) => return *broken,
            Err(other) => Fault::Malformed { why: other.to_string() },
        },
        E::Io(error) if error.kind() == ErrorKind::UnexpectedEof => Fault::Truncated { got: 0, expected: None },
        E::BodyStalled => Fault::Truncated { got: 0, expected: None },
        E::Io(error) => crate::http::stream::fault(error),
        // The other limits are kept where the connection is.
        E::Timeout(_) => Fault::Timeout { what: Phase::Overall, after: Duration::ZERO },
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
    TransportError { fault, stale: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::gate::Gate;
    use crate::http::testing::{get, http, limits, read_request, server, shut};
    use std::io::Write;
    use std::sync::Arc;

    #[test]
    fn a_request_is_under_way_until_its_body_is_dropped() {
        let address = server(|_, mut stream| {
            read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            shut(stream);
        });
        let gate = Arc::new(Gate::default());
        let body = http(&[]).send(&get(address), None, &limits()).unwrap().body;
        let body = body.under(gate.enter("a".to_owned()));
        // The pass holds the gate.
        assert_eq!(Arc::strong_count(&gate), 2);
        drop(body);
        assert_eq!(Arc::strong_count(&gate), 1);
    }

    #[test]
    fn a_body_on_its_way_out_is_exactly_as_long_as_was_announced() {
        for (length, expected) in [(0, Ok("")), (3, Ok("abc")), (5, Ok("abcde")), (6, Err(ErrorKind::UnexpectedEof))] {
            let (mut body, mut sent) = (&b"abcde"[..], String::new());
            let read = Payload::new(&mut body, length).read_to_string(&mut sent);
            assert_eq!(read.map(|_| sent.as_str()).map_err(|error| error.kind()), expected, "{length}");
        }
    }

    #[test]
    fn a_body_is_whole_for_another_connection_where_nothing_was_taken_from_it() {
        let mut body = &b"abcde"[..];
        let mut payload = Payload::new(&mut body, 5);
        assert_eq!((payload.read(&mut []).unwrap(), payload.left()), (5, 0));
        assert!(payload.restart());
        assert_eq!((payload.read(&mut [0; 2]).unwrap(), payload.left()), (2, 3));
        assert_eq!((payload.read(&mut []).unwrap(), payload.left()), (3, 0));
        assert!(!payload.restart());
        assert_eq!((payload.left(), body), (0, &b"cde"[..]));
    }
}
