//! TLS on a stream: the handshake and the bytes.
//!
//! Whose certificates are trusted is decided in [`crate::http::trust`], what a failure means in
//! [`crate::http::tls_fault`].

use crate::http::stream::{Limit, Stream, fault};
use crate::http::tls_fault::explain;
use crate::http::trust::Trust;
use crate::pure::http::certificate::{self, Certificate};
use crate::pure::http::{Fault, Trouble};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ProtocolVersion};
use std::io::{self, BufReader, ErrorKind, Read, Write};

/// What a server has shown in TLS.
pub struct TlsFacts {
    /// The version.
    pub version: &'static str,
    /// What its certificate says, where that can be read.
    pub certificate: Option<Certificate>,
}

/// How much is received at once: some records. rustls by itself asks the system for a quarter of one at a time.
const RECEIVED: usize = 64 * 1024;

/// A TLS connection on a stream.
#[derive(Debug)]
pub(super) struct Tls {
    connection: ClientConnection,
    stream: BufReader<Box<dyn Stream>>,
}

impl Tls {
    /// Makes a TLS connection of a plain one, to the server that calls itself `host`.
    pub fn open(trust: &Trust, host: &str, stream: Box<dyn Stream>) -> Result<Self, Fault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let why = format!("`{host}` is not a name that a certificate can hold");
            Fault::Tls { trouble: Trouble::Other, why }
        })?;
        let connection = ClientConnection::new(trust.config()?, name).map_err(|error| explain(&error))?;
        let mut tls = Self { connection, stream: BufReader::with_capacity(RECEIVED, stream) };
        tls.handshake().map_err(fault)?;
        Ok(tls)
    }

    /// What the server has shown.
    pub fn facts(&self) -> TlsFacts {
        let version = match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        };
        let shown = self.connection.peer_certificates().and_then(|chain| chain.first());
        TlsFacts { version, certificate: shown.and_then(|shown| certificate::read(shown)) }
    }

    /// Goes on until the server is known. Our last message is left to travel with the first request.
    fn handshake(&mut self) -> io::Result<()> {
        while self.connection.is_handshaking() {
            self.send()?;
            if self.connection.is_handshaking() && self.receive()? == 0 {
                let why = "closed during the TLS handshake".to_owned();
                return Err(io::Error::other(Fault::Reset { why }));
            }
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(self.stream.get_mut())?;
        }
        Ok(())
    }

    /// Whether nothing has come that was not made sense of.
    fn has_nothing(&mut self) -> bool {
        self.stream.buffer().is_empty() && self.stream.get_mut().is_quiet()
    }

    /// Takes in what is there and makes sense of it.
    fn receive(&mut self) -> io::Result<usize> {
        let amount = self.connection.read_tls(&mut self.stream)?;
        if let Err(error) = self.connection.process_new_packets() {
            // The other side learns why, if it still listens.
            let _ = self.send();
            return Err(io::Error::other(explain(&error)));
        }
        Ok(amount)
    }
}

impl Read for Tls {
    /// Waits for the first bytes alone, and takes those of all records that are here.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut amount = 0;
        loop {
            match self.connection.reader().read(&mut buffer[amount..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(more) if more > 0 && amount + more < buffer.len() => amount += more,
                done => return done.map(|more| amount + more),
            }
            if amount > 0 && self.stream.buffer().is_empty() {
                return Ok(amount);
            }
            // Answers to the other side's housekeeping; if they cannot be sent there may still be a reply.
            let _ = self.send();
            self.receive()?;
        }
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let amount = self.connection.writer().write(bytes)?;
        self.send()?;
        Ok(amount)
    }

    /// What is written has been sent.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Tls {
    fn limit(&mut self, limit: Limit) {
        self.stream.get_mut().limit(limit);
    }

    /// Session tickets may come at any time and are no reason to give a connection up.
    fn is_quiet(&mut self) -> bool {
        if self.has_nothing() {
            return true;
        }
        if self.set_nonblocking(true).is_err() {
            return false;
        }
        let received = self.receive();
        if self.set_nonblocking(false).is_err() || !matches!(received, Ok(1..)) {
            return false;
        }
        // Looked at and not taken: it may be the reply.
        let state = self.connection.process_new_packets();
        let said = state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed());
        !said && self.has_nothing()
    }

    fn set_nonblocking(&mut self, on: bool) -> io::Result<()> {
        self.stream.get_mut().set_nonblocking(on)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Http, Limits, Options, Payload};
    use super::*;
    use crate::error::Code;
    use crate::http::testing::{Authority, ask, limits, options, read_request, server, tls_server, world};
    use crate::pure::http::fault::Phase;
    use crate::pure::http::message::{Method, Request, Response};
    use crate::pure::http::url::Url;
    use crate::threads::lock;
    use crate::world::instant;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    fn http(environment: &[(&str, &str)], ca_file: Option<&str>) -> Http {
        let options = Options { ca_file: ca_file.map(str::to_owned), ..options() };
        Http::new(&world(environment), &options).unwrap()
    }

    fn get(host: &str, address: SocketAddr) -> Request {
        Request::new(Method::Get, Url::parse(&format!("https://{host}:{}/v2/", address.port())).unwrap())
    }

    /// Asks a server whose certificate this authority has made out to `names`.
    fn check(authority: &Authority, names: &[&str], http: &Http) -> Result<Response, Fault> {
        let address = tls_server(authority.server(names), |_, mut stream| {
            while !read_request(&mut stream).is_empty() {
                stream.write_all(OK).unwrap();
            }
        });
        ask(http, &get("127.0.0.1", address), &limits())
    }

    #[test]
    fn a_private_authority_is_trusted_when_it_is_given_and_not_otherwise() {
        let authority = Authority::new();
        let file = authority.file();
        let path = file.path().to_str().unwrap();
        for (environment, ca_file) in [(vec![], Some(path)), (vec![("SSL_CERT_FILE", path)], None)] {
            assert_eq!(check(&authority, &["127.0.0.1"], &http(&environment, ca_file)).unwrap().body, b"ok");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(path, folder.path().join("root.pem")).unwrap();
        let folders = format!("/no/such/folder:{}", folder.path().display());
        assert!(check(&authority, &["127.0.0.1"], &http(&[("SSL_CERT_DIR", &folders)], None)).is_ok());

        let fault = check(&authority, &["127.0.0.1"], &http(&[], None)).unwrap_err();
        assert!(matches!(fault, Fault::Tls { trouble: Trouble::UnknownIssuer, .. }), "{fault:?}");
        assert!(fault.hint().contains("--ca-file") && !fault.repeatable());
        let other = Authority::new().file();
        assert!(check(&authority, &["127.0.0.1"], &http(&[], other.path().to_str())).is_err());
    }

    #[test]
    fn a_self_signed_certificate_can_be_given_itself() {
        for (is_authority, name, until, accepted) in [
            (true, "127.0.0.1", 2100, true),
            (false, "127.0.0.1", 2100, true),
            (true, "other.example", 2100, false),
            (true, "127.0.0.1", 2002, false),
            (false, "127.0.0.1", 2002, false),
        ] {
            let alone = Authority::alone(is_authority, name, until);
            let file = alone.file();
            let run = |http: &Http| {
                let address = tls_server(alone.itself(), |_, mut stream| {
                    read_request(&mut stream);
                    stream.write_all(OK).unwrap();
                });
                ask(http, &get("127.0.0.1", address), &limits())
            };
            assert_eq!(run(&http(&[], file.path().to_str())).is_ok(), accepted, "{is_authority} {name} {until}");
            let fault = run(&http(&[], None)).unwrap_err();
            let wanted = if until == 2002 { "renewed" } else { "--ca-file" };
            assert!(fault.hint().contains(wanted), "{fault:?}");
        }
    }

    #[test]
    fn a_certificate_is_called_self_signed_only_where_it_is() {
        let authority = Authority::new();
        let file = authority.file();
        let run = |config| {
            let address = tls_server(config, |_, mut stream| drop(read_request(&mut stream)));
            ask(&http(&[], file.path().to_str()), &get("127.0.0.1", address), &limits()).unwrap_err()
        };
        for is_authority in [true, false] {
            let fault = run(Authority::alone(is_authority, "127.0.0.1", 2100).itself());
            assert!(matches!(&fault, Fault::Tls { trouble: Trouble::UnknownIssuer, .. }), "{fault:?}");
            assert!(fault.to_string().contains("signed by itself"), "{fault}");
        }
        let fault = run(Authority::new().server(&["127.0.0.1"]));
        assert!(matches!(&fault, Fault::Tls { trouble: Trouble::UnknownIssuer, .. }), "{fault:?}");
        assert!(fault.to_string().contains("another authority"), "{fault}");
        let fault = run(authority.server_marked_as_authority(&["127.0.0.1"]));
        assert!(matches!(&fault, Fault::Tls { trouble: Trouble::Authority, .. }), "{fault:?}");
        assert!(fault.to_string().contains("`CA:TRUE`") && !fault.to_string().contains("itself"), "{fault}");
    }

    #[test]
    fn wrong_names_and_times_are_said_in_words() {
        let authority = Authority::new();
        let file = authority.file();
        let http = http(&[], file.path().to_str());
        let fault = check(&authority, &["registry.example"], &http).unwrap_err();
        assert!(
            matches!(&fault, Fault::Tls { trouble: Trouble::WrongName, why } if why.contains("registry.example")),
            "{fault}"
        );

        for (from, to, word) in [(2001, 2002, "expired"), (2101, 2102, "not valid yet")] {
            let address = tls_server(authority.server_valid(&["127.0.0.1"], from, to), |_, mut stream| {
                read_request(&mut stream);
            });
            let fault = ask(&http, &get("127.0.0.1", address), &limits()).unwrap_err();
            assert!(matches!(&fault, Fault::Tls { trouble: Trouble::Expired, why } if why.contains(word)), "{fault}");
        }
    }

    #[test]
    fn servers_that_speak_no_tls_are_told_apart() {
        let plain = server(|_, mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            crate::http::testing::shut(stream);
        });
        let fault = ask(&http(&[], None), &get("127.0.0.1", plain), &limits()).unwrap_err();
        assert!(matches!(fault, Fault::Tls { trouble: Trouble::NotTls, .. }), "{fault:?}");

        let closing = server(|_, stream| crate::http::testing::shut(stream));
        let fault = ask(&http(&[], None), &get("127.0.0.1", closing), &limits()).unwrap_err();
        assert_eq!(fault, Fault::Reset { why: "closed during the TLS handshake".into() });

        let silent = server(|_, _stream| crate::http::testing::stay());
        let wait = Duration::from_millis(150);
        let ask = |limits: Limits| ask(&http(&[], None), &get("127.0.0.1", silent), &limits).unwrap_err();
        // However long it is silent on the way, it has the time of a connection; and nothing has been sent.
        let fault = ask(Limits { connect: wait, idle: wait / 3, ..limits() });
        assert_eq!(fault, Fault::Timeout { what: Phase::Connect, after: wait });
        let fault = ask(Limits { until: Some(instant() + wait), ..limits() });
        assert!(matches!(fault, Fault::Timeout { what: Phase::Unsent, .. }), "{fault:?}");
    }

    #[test]
    fn a_cut_connection_is_not_the_end_of_a_body() {
        let authority = Authority::new();
        let file = authority.file();
        let http = http(&[], file.path().to_str());
        for (head, said, complete) in [
            (&b"HTTP/1.1 200 OK\r\n\r\nabc"[..], true, true),
            (b"HTTP/1.1 200 OK\r\n\r\nabc", false, false),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true, false),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, true),
        ] {
            let address = tls_server(authority.server(&["127.0.0.1"]), move |_, mut stream| {
                read_request(&mut stream);
                stream.write_all(head).unwrap();
                if said {
                    stream.conn.send_close_notify();
                }
                let _ = stream.flush();
                crate::http::testing::shut(stream.sock);
            });
            let outcome = ask(&http, &get("127.0.0.1", address), &limits());
            match outcome {
                Ok(response) => assert!(complete && response.body == b"abc", "{head:?}"),
                Err(fault) => assert!(!complete && matches!(fault, Fault::Truncated { got: 3, .. }), "{fault:?}"),
            }
        }
    }

    /// Nothing but zeros, the last of which wait until the server has replied.
    struct Waiting {
        given: usize,
        replied: Receiver<()>,
        told: bool,
    }

    impl Read for Waiting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.given >= 1 << 20 && !self.told {
                self.told = self.replied.recv().is_ok();
            }
            self.given += buffer.len();
            buffer.fill(0);
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_reply_that_comes_while_a_body_is_sent_is_whole() {
        let authority = Authority::new();
        let file = authority.file();
        let (tell, replied) = channel();
        let address = tls_server(authority.server(&["127.0.0.1"]), move |_, mut stream| {
            stream.read_exact(&mut [0; 1000]).unwrap();
            stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nbig!").unwrap();
            stream.flush().unwrap();
            tell.send(()).unwrap();
            let _ = io::copy(&mut stream, &mut io::sink());
        });
        let request = Request { method: Method::Put, ..get("127.0.0.1", address) };
        let mut waiting = Waiting { given: 0, replied, told: false };
        let mut payload = Payload::new(&mut waiting, 8 << 20);
        let http = http(&[], file.path().to_str());
        let response = http.send(&request, Some(&mut payload), &limits()).and_then(|reply| reply.whole()).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (413, &b"big!"[..]));
        assert!(waiting.given < 8 << 20, "the rest is read");
    }

    #[test]
    fn tls_connections_are_kept_and_idle_limits_hold() {
        let authority = Authority::new();
        let file = authority.file();
        let http = http(&[], file.path().to_str());
        let count = Arc::new(AtomicUsize::new(0));
        let address = {
            let count = count.clone();
            tls_server(authority.server(&["127.0.0.1"]), move |_, mut stream| {
                count.fetch_add(1, Ordering::SeqCst);
                loop {
                    let request = read_request(&mut stream);
                    if request.starts_with("PUT") || request.is_empty() {
                        crate::http::testing::stay();
                    }
                    stream.write_all(OK).unwrap();
                }
            })
        };
        for _ in 0..5 {
            assert_eq!(ask(&http, &get("127.0.0.1", address), &limits()).unwrap().body, b"ok");
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let idle = Duration::from_millis(100);
        let request = Request { method: Method::Put, ..get("127.0.0.1", address) };
        let fault = ask(&http, &request, &Limits { idle, ..limits() }).unwrap_err();
        assert_eq!(fault, Fault::Timeout { what: Phase::Idle, after: idle });
    }

    #[test]
    fn a_kept_connection_stays_where_the_server_changes_its_keys_meanwhile_and_not_where_it_cannot_be_read() {
        let authority = Authority::new();
        let file = authority.file();
        for (is_broken, second) in [(false, b"0"), (true, b"1")] {
            let http = http(&[], file.path().to_str());
            let ((go, answered), (tell, changed)) = (channel(), channel());
            let answered = Arc::new(Mutex::new(answered));
            let address = tls_server(authority.server(&["127.0.0.1"]), move |number, mut stream| {
                while !read_request(&mut stream).is_empty() {
                    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}").unwrap();
                    if lock(&answered).recv().is_ok() {
                        stream.conn.refresh_traffic_keys().unwrap();
                        stream.flush().unwrap();
                        if is_broken {
                            stream.sock.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
                        }
                        tell.send(()).unwrap();
                    }
                }
                crate::http::testing::stay()
            });
            let ask = || ask(&http, &get("127.0.0.1", address), &limits()).unwrap().body;
            assert_eq!(ask(), b"0");
            go.send(()).unwrap();
            changed.recv().unwrap();
            assert_eq!(ask(), second);
        }
    }

    #[test]
    fn a_read_that_is_not_to_wait_runs_into_no_limit() {
        let authority = Authority::new();
        let file = authority.file();
        let http = http(&[], file.path().to_str());
        let address = tls_server(authority.server(&["127.0.0.1"]), |_, mut stream| drop(read_request(&mut stream)));
        for is_tls in [false, true] {
            let limit = Limit { until: Some(instant() + limits().idle), what: Phase::Whole, idle: None };
            let stream = http.dial.reach(&get("127.0.0.1", address).url, None, limit).unwrap();
            let mut stream: Box<dyn Stream> = match is_tls {
                true => Box::new(Tls::open(&http.dial.trust, "127.0.0.1", stream).unwrap()),
                false => stream,
            };
            stream.set_nonblocking(true).unwrap();
            let fault = fault(stream.read(&mut [0]).unwrap_err());
            assert!(matches!(fault, Fault::Timeout { what: Phase::Idle, .. }), "{is_tls}: {fault:?}");
        }
    }

    #[test]
    fn tls_1_2_is_still_spoken_and_nothing_older_is_needed() {
        let authority = Authority::new();
        let file = authority.file();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let config = authority.server_speaking(&["127.0.0.1"], version);
            let address = tls_server(config, |_, mut stream| {
                read_request(&mut stream);
                stream.write_all(OK).unwrap();
            });
            let response = ask(&http(&[], file.path().to_str()), &get("127.0.0.1", address), &limits());
            assert_eq!(response.unwrap().body, b"ok", "{version:?}");
        }
    }

    #[test]
    fn files_without_certificates_are_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        for content in [
            "",
            "nonsense",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n",
        ] {
            file.as_file_mut().set_len(0).unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            let error = Trust::new(&world(&[]), Some(&path)).err().unwrap();
            assert_eq!(error.code(), Code::ConfigMalformed);
            assert!(error.message().contains(&path) && error.message().contains("--ca-file"), "{error}");
        }
        let error = Trust::new(&world(&[]), Some("/no/such/file")).err().unwrap();
        assert!(error.message().contains("`/no/such/file`"), "{error}");

        let (mut other, address) = (tempfile::NamedTempFile::new().unwrap(), server(|_, _| ()));
        other.write_all(b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n").unwrap();
        for name in ["/no/such/file", other.path().to_str().unwrap()] {
            let http = http(&[("SSL_CERT_FILE", name)], None);
            let fault = ask(&http, &get("127.0.0.1", address), &limits()).unwrap_err();
            assert_eq!(fault.code(), Code::ConfigMalformed);
            let text = fault.to_string();
            assert!(text.contains("`SSL_CERT_FILE`") && text.contains(&format!("`{name}`")), "{fault}");
        }
    }
}
