//! A connection as bytes in and out, where nothing takes longer than it may.
//!
//! Whatever goes wrong comes out as an [`io::Error`] that carries the [`Fault`], so that it survives
//! the layers above unchanged.

use crate::pure::http::{Fault, Phase};
use crate::world::instant;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long the next reads and writes may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// When everything has to be over.
    pub until: Option<Instant>,
    /// What is over then.
    pub what: Phase,
    /// How long a single read or write may wait.
    pub idle: Option<Duration>,
}

impl Limit {
    /// What is left of the time; `None` means any amount.
    pub fn left(&self) -> Result<Option<Duration>, Fault> {
        match self.until.map(|until| until.saturating_duration_since(instant())) {
            Some(left) if left.is_zero() => Err(Fault::Timeout { what: self.what, after: Duration::ZERO }),
            left => Ok(left),
        }
    }

    /// What the next of so many tries may take of it.
    pub fn share(&self, tries: usize) -> Result<Option<Duration>, Fault> {
        Ok(self.left()?.map(|left| left / u32::try_from(tries).unwrap_or(1)))
    }

    /// How long one read or write may wait from now.
    fn wait(&self) -> Result<Option<Duration>, Fault> {
        let left = self.left()?;
        // A zero would mean no limit at all to the system.
        let shorter = left.into_iter().chain(self.idle).min().map(|wait| wait.max(Duration::from_millis(1)));
        Ok(shorter)
    }

    /// Which limit it was that a wait has just run into.
    fn reached(&self) -> Fault {
        // Waits are rounded, so a wait for the end may be over a moment before it.
        let over = self.until.is_some_and(|until| until <= instant() + Duration::from_millis(1));
        Fault::Timeout { what: if over { self.what } else { Phase::Idle }, after: Duration::ZERO }
    }
}

/// Bytes in and out with a limit: a socket, or a layer of TLS on something that is one.
pub(super) trait Stream: Read + Write + fmt::Debug + Send + Sync {
    /// Sets the limit for the reads and writes that follow.
    fn limit(&mut self, limit: Limit);

    /// Whether the other side has neither closed nor said anything unasked.
    fn is_quiet(&mut self) -> bool;

    /// Makes reads return at once, for a look at whether there is anything.
    fn set_nonblocking(&mut self, on: bool) -> io::Result<()>;
}

/// The fault that an error carries, or the one that fits it.
pub(super) fn fault(error: io::Error) -> Fault {
    match error.downcast::<Fault>() {
        Ok(fault) => fault,
        Err(error) => Fault::Reset { why: plain(&error) },
    }
}

/// What the system said, without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let known = match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset => "reset by the other side",
        ErrorKind::ConnectionAborted => "aborted",
        ErrorKind::BrokenPipe => "the other side has closed it",
        ErrorKind::UnexpectedEof => "closed in the middle",
        ErrorKind::NetworkUnreachable => "network unreachable",
        ErrorKind::HostUnreachable => "host unreachable",
        ErrorKind::TimedOut => "timed out",
        _ => {
            let text = error.to_string();
            return text.split(" (os error").next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        }
    };
    known.to_owned()
}

/// A TCP connection.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    limit: Limit,
    read_wait: Option<Duration>,
    write_wait: Option<Duration>,
}

impl Socket {
    pub fn new(tcp: TcpStream, limit: Limit) -> Self {
        Self { tcp, limit, read_wait: None, write_wait: None }
    }

    /// Does one call to the system within the limit. A signal does not restart the limit.
    fn within(&mut self, reads: bool, mut call: impl FnMut(&TcpStream) -> io::Result<usize>) -> io::Result<usize> {
        let began = instant();
        loop {
            let mut limit = self.limit;
            limit.idle = limit.idle.map(|idle| idle.saturating_sub(began.elapsed()));
            let wait = limit.wait().map_err(io::Error::other)?;
            // The system is asked only when the wait changes; most of the time it is the idle limit.
            let near = |known: Option<Duration>| match (known, wait) {
                (Some(known), Some(wait)) => known.abs_diff(wait) < Duration::from_micros(200),
                (known, wait) => known == wait,
            };
            if reads && !near(self.read_wait) {
                self.tcp.set_read_timeout(wait)?;
                self.read_wait = wait;
            } else if !reads && !near(self.write_wait) {
                self.tcp.set_write_timeout(wait)?;
                self.write_wait = wait;
            }
            match call(&self.tcp) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(io::Error::other(limit.reached()));
                }
                done => return done,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.within(true, |mut tcp| tcp.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.within(false, |mut tcp| tcp.write(bytes))
    }

    /// TLS has several records to send at a time.
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.within(false, |mut tcp| tcp.write_vectored(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Socket {
    fn limit(&mut self, limit: Limit) {
        self.limit = limit;
    }

    fn is_quiet(&mut self) -> bool {
        if self.tcp.set_nonblocking(true).is_err() {
            return false;
        }
        let quiet = matches!(self.tcp.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.tcp.set_nonblocking(false).is_ok() && quiet
    }

    fn set_nonblocking(&mut self, on: bool) -> io::Result<()> {
        self.tcp.set_nonblocking(on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{server, stay};

    #[test]
    fn what_the_system_said_is_told_in_words() {
        for (kind, expected) in [
            (ErrorKind::BrokenPipe, "the other side has closed it"),
            (ErrorKind::ConnectionAborted, "aborted"),
            (ErrorKind::UnexpectedEof, "closed in the middle"),
        ] {
            assert_eq!(plain(&kind.into()), expected);
        }
        // By the numbers of Linux, whose own words are others.
        #[cfg(target_os = "linux")]
        for (number, expected) in [(101, "network unreachable"), (113, "host unreachable"), (110, "timed out")] {
            assert_eq!(plain(&io::Error::from_raw_os_error(number)), expected);
        }
        let of_windows = "No connection could be made because the target machine actively refused it. (os error 10061)";
        assert_eq!(plain(&io::Error::new(ErrorKind::ConnectionRefused, of_windows)), "connection refused");
        let unknown = io::Error::other("No buffer space available (os error 105)");
        assert_eq!(plain(&unknown), "no buffer space available");
    }

    #[test]
    fn where_no_time_is_left_nothing_is_waited_for() {
        let over = Limit { until: Some(instant()), what: Phase::Whole, idle: Some(Duration::from_secs(9)) };
        assert!(matches!(over.left(), Err(Fault::Timeout { what: Phase::Whole, .. })));
        assert_eq!(Limit { until: None, ..over }.left(), Ok(None));
        // A wait that is over a moment before the end has run into the end.
        let nearly = Limit { until: Some(instant() + Duration::from_millis(1)), ..over };
        assert!(matches!(nearly.reached(), Fault::Timeout { what: Phase::Whole, .. }));
    }

    /// One whose other side says nothing.
    fn socket() -> Socket {
        #[expect(clippy::disallowed_methods, reason = "a test has sockets of its own")]
        let tcp = TcpStream::connect(server(|_, _stream| stay())).unwrap();
        Socket::new(tcp, Limit { until: None, what: Phase::Whole, idle: None })
    }

    #[test]
    fn the_system_is_told_of_a_limit_that_changes_and_only_for_what_is_done() {
        let mut socket = socket();
        for (reads, minutes, expected) in [
            (false, 9, [None, Some(9)]),
            (true, 9, [Some(9), Some(9)]),
            (true, 5, [Some(5), Some(9)]),
            (true, 5, [Some(5), Some(9)]),
            (true, 7, [Some(7), Some(9)]),
            (false, 2, [Some(7), Some(2)]),
        ] {
            socket.limit(Limit { idle: Some(Duration::from_secs(minutes * 60)), ..socket.limit });
            socket.within(reads, |_| Ok(0)).unwrap();
            let told = [socket.tcp.read_timeout(), socket.tcp.write_timeout()];
            let minutes = |wait: Duration| wait.as_secs().div_ceil(60);
            assert_eq!(told.map(|wait| wait.unwrap().map(minutes)), expected);
        }
    }

    #[test]
    fn a_signal_ends_no_read() {
        let mut calls = [Err(ErrorKind::Interrupted.into()), Ok(3)].into_iter();
        assert_eq!(socket().within(true, |_| calls.next().unwrap()).unwrap(), 3);
    }

    #[test]
    fn a_try_has_its_share_of_the_time_and_leaves_theirs_to_those_after_it() {
        let all = Duration::from_secs(90);
        let limit = Limit { until: Some(instant() + all), what: Phase::Connect, idle: None };
        for tries in 1..4 {
            let share = limit.share(tries as usize).unwrap().unwrap();
            assert!(share * tries <= all && share * (tries + 1) > all, "{tries}: {share:?}");
        }
    }
}
