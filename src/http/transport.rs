//! Hands bytes between ureq and a connection, and notices what ureq would pass over: a kept
//! connection that the server has closed meanwhile, a refusal that comes before the body is sent, a
//! header without end.

use crate::http::stream::{Limit, Stream, fault};
use crate::pure::http::{Fault, Phase};
use crate::world::instant;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use ureq::Timeout;
use ureq::unversioned::transport::time::Duration;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

/// The longest header of a reply, all fields together.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// Enough for most replies at once.
const INPUT_START: usize = 16 * 1024;

/// Has to hold the longest field of a request, which is a token.
const OUTPUT: usize = 32 * 1024;

/// As large as either buffer becomes for a long body: few calls to the system, and all of it in the cache.
const LARGE: usize = 128 * 1024;

/// How much of a body is sent between two looks at whether the server has replied already.
const LOOK_EVERY: usize = 1024 * 1024;

/// A failure on its way through ureq.
#[derive(Debug)]
pub(super) struct TransportError {
    pub fault: Fault,
    /// The connection was kept from an earlier request and is of no use any more; nothing of a reply came.
    pub stale: bool,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for TransportError {}

fn exact(duration: Duration) -> Option<std::time::Duration> {
    match duration {
        Duration::Exact(duration) => Some(duration),
        Duration::NotHappening => None,
    }
}

/// The limit that ureq has worked out for the next step.
pub(super) fn limit(timeout: NextTimeout) -> Limit {
    let what = match timeout.reason {
        Timeout::Connect | Timeout::Resolve => Phase::Connect,
        _ => Phase::Overall,
    };
    let until = exact(timeout.after).and_then(|after| instant().checked_add(after));
    Limit { until, what, idle: timeout.per_read.and_then(exact) }
}

/// A connection as ureq sees it.
pub(super) struct Channel {
    stream: Box<dyn Stream>,
    tls: bool,
    buffers: Room,
    /// What stands before the path in the request line, where a proxy reads it.
    prefix: Option<String>,
    /// The next bytes to send begin a request.
    begins: bool,
    /// An earlier request got its reply here.
    used: bool,
    /// Something of the reply has come.
    answered: bool,
    /// Why sending failed.
    unsent: Option<Fault>,
    /// Bytes sent since it was looked whether there is a reply.
    unheard: usize,
    ended: bool,
}

impl Channel {
    pub fn new(stream: Box<dyn Stream>, tls: bool) -> Self {
        Self {
            stream,
            tls,
            buffers: Room::default(),
            prefix: None,
            begins: true,
            used: false,
            answered: false,
            unsent: None,
            unheard: 0,
            ended: false,
        }
    }

    /// One that waits for its first request: the server may close it before that comes.
    pub fn kept(self) -> Self {
        Self { answered: true, ..self }
    }

    /// Makes every request line hold the whole address, for a proxy that speaks plain HTTP.
    pub fn by_proxy(mut self, origin: &str) -> Self {
        self.prefix = Some(origin.to_owned());
        self
    }

    fn send(&mut self, amount: usize) -> std::io::Result<()> {
        let bytes = &self.buffers.output[..amount];
        if let Some(prefix) = self.prefix.as_deref().filter(|_| self.begins)
            && let Some(space) = bytes.iter().position(|byte| *byte == b' ')
        {
            let (method, rest) = bytes.split_at(space + 1);
            self.stream.write_all(&[method, prefix.as_bytes(), rest].concat())?;
        } else {
            self.stream.write_all(bytes)?;
        }
        self.stream.flush()
    }

    /// Whether the server has said its last word although it has not got everything.
    fn heard(&mut self) -> bool {
        if !self.stream.is_quiet() {
            let room = self.buffers.input_append_buf();
            let outcome = if room.is_empty() { Ok(0) } else { self.stream.read(room) };
            match outcome {
                Ok(0) => {
                    self.unsent = Some(Fault::Reset { why: "closed without a reply".to_owned() });
                    return true;
                }
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    self.buffers.progress = true;
                    self.answered = true;
                }
                Err(error) => {
                    self.unsent = Some(fault(error));
                    return true;
                }
            }
        }
        has_last_word(self.buffers.input())
    }

    fn broken(&mut self, fault: Fault) -> ureq::Error {
        self.ended = true;
        let lost = matches!(fault, Fault::Reset { .. });
        let fault = self.unsent.take().filter(|_| lost && !self.answered).unwrap_or(fault);
        ureq::Error::Other(Box::new(TransportError { fault, stale: lost && self.used && !self.answered }))
    }
}

/// Whether there is more than words in between, `HTTP/1.1 1..`, after which the server goes on listening.
fn has_last_word(mut input: &[u8]) -> bool {
    while input.get(9) == Some(&b'1') {
        let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
        input = &input[end + 4..];
    }
    input.len() > 9
}

impl Transport for Channel {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.begins {
            self.used = self.answered;
            self.answered = false;
            self.unheard = 0;
        }
        if !self.buffers.shut {
            let idle = timeout.per_write.and_then(exact);
            self.stream.limit(Limit { idle, ..limit(timeout) });
            self.unheard += amount;
            self.buffers.fills = !self.begins && amount == self.buffers.output.len();
            self.buffers.shut = match self.send(amount).map_err(fault) {
                Ok(()) if self.unheard < LOOK_EVERY => false,
                Ok(()) => {
                    self.unheard = 0;
                    self.heard()
                }
                // A server that refuses a request may close before it has read it all. Its reply
                // is still there to be read, and says more than this.
                Err(lost @ Fault::Reset { .. }) => {
                    self.unsent = Some(lost);
                    true
                }
                // It may also stop reading.
                Err(Fault::Timeout { what: Phase::Idle, .. }) if self.heard() => true,
                Err(other) => return Err(self.broken(other)),
            };
        }
        self.begins = false;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.limit(limit(timeout));
        let room = self.buffers.input_append_buf();
        if room.is_empty() {
            let why = format!("its header, or a line between its chunks, is longer than {HEAD_LIMIT} bytes");
            return Err(self.broken(Fault::Malformed { why }));
        }
        match self.stream.read(room) {
            Ok(0) if self.answered => {
                self.ended = true;
                Ok(false)
            }
            Ok(0) => Err(self.broken(Fault::Reset { why: "closed without a reply".to_owned() })),
            // An alert of TLS, from a server that was spoken to in the clear.
            Ok(_) if !self.answered && !self.tls && room.starts_with(&[0x15, 0x03]) => {
                let why = "it is TLS, so this port is for HTTPS".to_owned();
                Err(self.broken(Fault::Malformed { why }))
            }
            Ok(amount) => {
                self.buffers.input_appended(amount);
                self.answered = true;
                self.begins = true;
                Ok(true)
            }
            // A TLS connection that ends without saying so may have been cut by anybody.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && self.answered => {
                Err(self.broken(Fault::Truncated { got: 0, expected: None }))
            }
            Err(error) => Err(self.broken(fault(error))),
        }
    }

    fn is_open(&mut self) -> bool {
        if self.buffers.input.len() > HEAD_LIMIT || self.buffers.output.len() > OUTPUT {
            // Connections are kept in numbers, and few of them will carry another long body.
            self.buffers = Room { shut: self.buffers.shut, ..Room::default() };
        }
        !self.ended && !self.buffers.shut && self.stream.is_quiet()
    }

    fn is_tls(&self) -> bool {
        self.tls
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channel").field(&self.stream).finish()
    }
}

/// Bytes received and not yet used, and bytes to be sent; both grow only when they have to.
#[derive(Default)]
struct Room {
    input: Vec<u8>,
    used: usize,
    filled: usize,
    output: Vec<u8>,
    progress: bool,
    /// The last piece of a body was as large as it could be.
    fills: bool,
    /// Nothing can be sent any more.
    shut: bool,
}

impl Buffers for Room {
    fn output(&mut self) -> &mut [u8] {
        if self.output.is_empty() {
            self.output = vec![0; OUTPUT];
        }
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        &self.input[self.used..self.filled]
    }

    /// Where more can be received; empty when there is as much as ever may be.
    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.used == self.filled {
            // Bytes that fill all of it and are used at once belong to a body.
            if (INPUT_START..LARGE).contains(&self.filled) && self.filled == self.input.len() {
                self.input = vec![0; self.filled * 2];
            }
            (self.used, self.filled) = (0, 0);
        } else if self.filled == self.input.len() {
            self.input.copy_within(self.used..self.filled, 0);
            (self.used, self.filled) = (0, self.filled - self.used);
        }
        if self.filled == self.input.len() {
            let wanted = (self.input.len() * 2).clamp(INPUT_START, HEAD_LIMIT);
            self.input.resize(wanted.max(self.filled), 0);
        }
        &mut self.input[self.filled..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled = (self.filled + amount).min(self.input.len());
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.used = (self.used + amount).min(self.filled);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        // The other buffer is for bodies in chunks, which are never sent here. No room means that the body
        // is not wanted any more, which is how its reader learns it.
        if self.fills && self.output.len() < LARGE {
            self.output = vec![0; LARGE];
        }
        let room = if self.shut { &mut [] } else { self.output() };
        (&mut [], room)
    }

    fn can_use_input(&self) -> bool {
        self.used < self.filled && self.progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Payload;
    use crate::http::testing::{http, limits, read_request, server, url};
    use crate::pure::http::message::{Method, Request};
    use std::io;

    /// The end of a connection that says this, and reads whatever comes unless that fails.
    #[derive(Debug)]
    struct End {
        says: &'static [u8],
        fails: Option<Fault>,
    }

    const SILENT: End = End { says: b"", fails: None };

    impl Read for End {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for End {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.fails.clone().map_or(Ok(bytes.len()), |fault| Err(io::Error::other(fault)))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for End {
        fn limit(&mut self, _: Limit) {}

        fn is_quiet(&mut self) -> bool {
            self.says.is_empty()
        }

        fn set_nonblocking(&mut self, _: bool) -> io::Result<()> {
            Ok(())
        }
    }

    const LATE: Fault = Fault::Timeout { what: Phase::Idle, after: std::time::Duration::ZERO };

    fn told(error: ureq::Error) -> Fault {
        let ureq::Error::Other(error) = error else { panic!("it is an error of another layer: {error}") };
        error.downcast::<TransportError>().unwrap().fault
    }

    #[test]
    fn words_in_between_are_not_the_last() {
        for (input, expected) in [
            ("", false),
            ("HTTP/1.1 ", false),
            ("HTTP/1.1 4", true),
            ("HTTP/1.1 100 Continue\r\n", false),
            ("HTTP/1.1 100 Continue\r\n\r\n", false),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", false),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\n", true),
        ] {
            assert_eq!(has_last_word(input.as_bytes()), expected, "{input:?}");
        }
    }

    #[test]
    fn a_server_that_stops_reading_is_late_unless_it_has_said_its_last_word() {
        for (says, expected) in
            [("", Err(LATE)), ("HTTP/1.1 100 Continue\r\n\r\n", Err(LATE)), ("HTTP/1.1 413 Too Large\r\n\r\n", Ok(()))]
        {
            let mut channel = Channel::new(Box::new(End { says: says.as_bytes(), fails: Some(LATE) }), false);
            let amount = channel.buffers.output().len();
            let sent = channel.transmit_output(amount, NextTimeout::default()).map_err(told);
            assert_eq!(sent, expected, "{says:?}");
            assert_eq!(channel.buffers.tmp_and_output().1.is_empty(), sent.is_ok(), "the rest is not wanted: {says:?}");
        }
    }

    #[test]
    fn why_sending_failed_is_told_where_the_connection_is_lost_and_nothing_was_answered() {
        let reset = |why: &str| Fault::Reset { why: why.to_owned() };
        for (unsent, answered, fault, expected) in [
            (Some(reset("sending")), false, reset("reading"), reset("sending")),
            (None, false, reset("reading"), reset("reading")),
            (Some(reset("sending")), true, reset("reading"), reset("reading")),
            (Some(reset("sending")), false, LATE, LATE),
        ] {
            let mut channel = Channel { unsent, answered, ..Channel::new(Box::new(SILENT), false) };
            assert_eq!(told(channel.broken(fault)), expected, "{answered}");
        }
    }

    #[test]
    fn an_upload_that_nothing_was_taken_of_goes_out_whole_on_another_connection() {
        let address = server(|_, mut stream| {
            let whole = read_request(&mut stream).ends_with("\r\n\r\nabc");
            let status = if whole { "202 Accepted" } else { "400 Bad Request" };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let (http, request) = (http(&[]), Request::new(Method::Patch, url(address)));
        let lost = End { fails: Some(Fault::Reset { why: "lost".to_owned() }), ..SILENT };
        http.dial.pool.ahead(request.url.origin(), || Ok(Channel::new(Box::new(lost), false)));
        let mut body = &b"abc"[..];
        let reply = http.send(&request, Some(&mut Payload::new(&mut body, 3)), &limits()).unwrap();
        assert_eq!(reply.status, 202);
    }

    #[test]
    fn an_idle_connection_keeps_no_room_of_a_long_body() {
        for (input, output, expected) in [
            (INPUT_START, OUTPUT, (INPUT_START, OUTPUT)),
            (HEAD_LIMIT, OUTPUT, (HEAD_LIMIT, OUTPUT)),
            (INPUT_START, LARGE, (0, 0)),
            (LARGE, OUTPUT, (0, 0)),
        ] {
            let mut channel = Channel::new(Box::new(SILENT), false);
            channel.buffers = Room { input: vec![0; input], output: vec![0; output], ..Room::default() };
            assert!(channel.is_open());
            assert_eq!((channel.buffers.input.len(), channel.buffers.output.len()), expected);
        }
    }

    #[test]
    fn what_came_and_was_not_used_yet_stays_when_room_is_made() {
        let mut room = Room::default();
        let size = room.input_append_buf().len();
        let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
        room.input_append_buf().copy_from_slice(&bytes);
        room.input_appended(size);
        room.input_consume(size - 100);
        assert_eq!(room.input_append_buf().len(), size - 100);
        assert_eq!(room.input(), &bytes[size - 100..]);
        // With none of it used, there is room for as much again.
        room.input_appended(size - 100);
        assert_eq!(room.input_append_buf().len(), size);
        assert_eq!(room.input()[..100], bytes[size - 100..]);
    }

    #[test]
    fn buffers_grow_where_a_body_fills_them_and_no_further_than_they_may() {
        let mut channel = Channel::new(Box::new(SILENT), false);
        let room = &mut channel.buffers;
        let size = room.input_append_buf().len();
        for (came, expected) in [
            (size - 1, size),
            (size, size * 2),
            (size * 2 - 1, size * 2),
            (size * 2, size * 4),
            (size * 4, LARGE),
            (LARGE, LARGE),
        ] {
            room.input_appended(came);
            room.input_consume(came);
            assert_eq!(room.input_append_buf().len(), expected, "{came}");
        }
        room.output();
        // The header of a request comes first, however long.
        for (amount, expected) in [(OUTPUT, OUTPUT), (OUTPUT - 1, OUTPUT), (OUTPUT, LARGE), (LARGE, LARGE)] {
            channel.transmit_output(amount, NextTimeout::default()).unwrap();
            assert_eq!(channel.buffers.tmp_and_output().1.len(), expected, "{amount}");
        }
    }
}
