//! Asks a proxy for a tunnel to a server, with `CONNECT`.
//!
//! RFC 9110, section 9.3.6.

use crate::http::stream::{Stream, fault};
use crate::program::USER_AGENT;
use crate::pure::http::{Fault, Proxy, redact};

/// More than any proxy has to say before the tunnel begins.
const HEAD_LIMIT: usize = 16 * 1024;

/// Asks for the tunnel; afterwards the stream leads to `host:port`.
pub(super) fn open(stream: &mut dyn Stream, proxy: &Proxy, target: &str) -> Result<(), Fault> {
    let failed = |status, why: String| proxy.fault(status, why);
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n");
    if let Some(authorization) = &proxy.authorization {
        head.push_str("Proxy-Authorization: ");
        head.push_str(authorization.reveal());
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.flush()).map_err(fault)?;

    let answer = read_head(stream, &failed)?;
    let line = answer.lines().next().unwrap_or_default();
    let mut words = line.splitn(3, ' ');
    let proper = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next().filter(|_| proper).and_then(|word| word.parse::<u16>().ok()) {
        Some(200..=299) => Ok(()),
        Some(status) => {
            let reason = words.next().unwrap_or_default().trim();
            let why = if reason.is_empty() { "it opens no tunnel".to_owned() } else { redact::text(reason) };
            Err(failed(Some(status), why))
        }
        None => Err(failed(None, "it does not answer in HTTP".to_owned())),
    }
}

/// Reads up to the empty line, byte by byte so that nothing of what follows is lost.
fn read_head(stream: &mut dyn Stream, failed: &dyn Fn(Option<u16>, String) -> Fault) -> Result<String, Fault> {
    let mut head = Vec::with_capacity(256);
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() >= HEAD_LIMIT {
            return Err(failed(None, format!("its answer is longer than {HEAD_LIMIT} bytes")));
        }
        if stream.read(&mut byte).map_err(fault)? == 0 {
            return Err(failed(None, "it closed the connection without an answer".to_owned()));
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Http, Limits, Options};
    use super::*;
    use crate::http::testing::{Authority, ask, limits, options, read_request, server, shut, tls_server, world};
    use crate::pure::http::fault::Phase;
    use crate::pure::http::message::{Method, Request, Response};
    use crate::pure::http::url::Url;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Duration;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    /// A proxy that opens a tunnel to one server, whatever it is asked for, and notes what that was.
    fn tunnelling(target: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let address = server(move |_, mut client| {
            noted.lock().unwrap().push(read_request(&mut client));
            #[expect(clippy::disallowed_methods, reason = "a test has sockets of its own")]
            let mut there = TcpStream::connect(target).unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").unwrap();
            let (mut back, mut forth) = (there.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut back, &mut forth));
            let _ = std::io::copy(&mut client, &mut there);
        });
        (address, seen)
    }

    fn http(environment: &[(&str, &str)], ca_file: Option<&str>) -> Http {
        Http::new(&world(environment), &Options { ca_file: ca_file.map(str::to_owned), ..options() }).unwrap()
    }

    fn run(http: &Http, address: &str, limits: &Limits) -> Result<Response, Fault> {
        ask(http, &Request::new(Method::Get, Url::parse(address).unwrap()), limits)
    }

    #[test]
    fn https_goes_through_a_tunnel() {
        let authority = Authority::new();
        let file = authority.file();
        let registry = tls_server(authority.server(&["registry.example"]), |_, mut stream| {
            while !read_request(&mut stream).is_empty() {
                stream.write_all(OK).unwrap();
            }
        });
        let (proxy, seen) = tunnelling(registry);
        let variable = format!("http://me:p%40ss@{proxy}");
        let http = http(&[("HTTPS_PROXY", &variable)], file.path().to_str());
        for _ in 0..3 {
            assert_eq!(run(&http, "https://registry.example/v2/", &limits()).unwrap().body, b"ok");
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "the tunnel is kept");
        assert!(seen[0].starts_with("CONNECT registry.example:443 HTTP/1.1\r\nHost: registry.example:443\r\n"));
        // `me:p@ss` in Base64.
        assert!(seen[0].contains("\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n"), "{}", seen[0]);
        assert!(seen[0].contains("\r\nUser-Agent: tagwright/"));
    }

    #[test]
    fn the_proxy_itself_may_be_spoken_to_in_tls() {
        let authority = Authority::new();
        let file = authority.file();
        let registry = tls_server(authority.server(&["registry.example"]), |_, mut stream| {
            read_request(&mut stream);
            stream.write_all(OK).unwrap();
        });
        let proxy = tls_server(authority.server(&["127.0.0.1"]), move |_, mut client| {
            assert!(read_request(&mut client).starts_with("CONNECT "));
            client.write_all(b"HTTP/1.0 200\r\n\r\n").unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test has sockets of its own")]
            let mut there = TcpStream::connect(registry).unwrap();
            // One thread has to do for both directions of a TLS connection, so each waits for the other.
            let wait = Some(Duration::from_millis(20));
            client.sock.set_read_timeout(wait).unwrap();
            there.set_read_timeout(wait).unwrap();
            let mut buffer = [0; 10_000];
            for _ in 0..50 {
                if let Ok(amount @ 1..) = client.read(&mut buffer) {
                    there.write_all(&buffer[..amount]).unwrap();
                }
                if let Ok(amount @ 1..) = there.read(&mut buffer) {
                    client.write_all(&buffer[..amount]).unwrap();
                }
            }
        });
        let http = http(&[("HTTPS_PROXY", &format!("https://{proxy}"))], file.path().to_str());
        assert_eq!(run(&http, "https://registry.example/v2/", &limits()).unwrap().body, b"ok");
    }

    #[test]
    fn plain_http_names_the_whole_address_to_the_proxy() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let proxy = server(move |_, mut stream| {
            loop {
                let request = read_request(&mut stream);
                if request.is_empty() {
                    return;
                }
                noted.lock().unwrap().push(request);
                stream.write_all(OK).unwrap();
            }
        });
        let http = http(&[("http_proxy", &format!("http://me:pw@{proxy}")), ("NO_PROXY", "straight.example")], None);
        let put = Request::new(Method::Put, Url::parse("http://registry.example:5000/v2/a").unwrap());
        for request in [
            put.clone().body(b"{} {}".to_vec()),
            put,
            Request::new(Method::Head, Url::parse("http://registry.example/v2/?n=1").unwrap()),
        ] {
            ask(&http, &request, &limits()).unwrap();
        }
        let seen = seen.lock().unwrap();
        assert!(
            seen[0].starts_with("PUT http://registry.example:5000/v2/a HTTP/1.1\r\n") && seen[0].ends_with("{} {}")
        );
        assert!(seen[1].starts_with("PUT http://registry.example:5000/v2/a HTTP/1.1\r\n"));
        assert!(seen[2].starts_with("HEAD http://registry.example/v2/?n=1 HTTP/1.1\r\n"));
        for request in seen.iter() {
            let request = request.to_lowercase();
            assert!(
                request.contains("\r\nproxy-authorization: basic ") && request.contains("\r\nhost: registry.example")
            );
        }
    }

    #[test]
    fn a_proxy_that_fails_is_named() {
        let answering = |answer: &'static [u8]| {
            server(move |_, mut stream| {
                read_request(&mut stream);
                stream.write_all(answer).unwrap();
                shut(stream);
            })
        };
        for (answer, status, repeatable, text) in [
            (
                &b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"[..],
                Some(407),
                false,
                "Authentication",
            ),
            (b"HTTP/1.1 403 token=secret\r\n\r\n", Some(403), false, "403"),
            (b"HTTP/1.1 503\r\n\r\n", Some(503), true, "no tunnel"),
            (b"SOCKS?\r\n\r\n", None, true, "in HTTP"),
            (b"HTTP/1.1 200 OK\r\nX: ", None, true, "without an answer"),
            (&[b'x'; HEAD_LIMIT], None, true, "longer than 16384 bytes"),
        ] {
            let proxy = answering(answer);
            let http = http(&[("ALL_PROXY", &proxy.to_string())], None);
            let fault = run(&http, "https://registry.example/", &limits()).unwrap_err();
            let said = fault.to_string();
            assert!(
                matches!(&fault, Fault::Proxy { proxy: named, status: got, .. } if *named == proxy.to_string() && *got == status)
            );
            assert!(fault.repeatable() == repeatable && said.contains(text) && !said.contains("secret"), "{fault:?}");
        }

        let proxy = answering(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
        let fault =
            run(&http(&[("ALL_PROXY", &proxy.to_string())], None), "http://registry.example/", &limits()).unwrap_err();
        assert!(matches!(fault, Fault::Proxy { status: Some(407), .. }) && fault.hint().contains("ALL_PROXY"));

        let fault =
            run(&http(&[("ALL_PROXY", "127.0.0.1:1")], None), "https://registry.example/", &limits()).unwrap_err();
        assert_eq!(fault.to_string(), "the proxy 127.0.0.1:1 cannot be used: connection refused");

        let silent = server(|_, _stream| crate::http::testing::stay());
        let wait = Duration::from_millis(150);
        let fault = run(
            &http(&[("ALL_PROXY", &silent.to_string())], None),
            "https://registry.example/",
            &Limits { connect: wait, ..limits() },
        );
        assert_eq!(fault.unwrap_err(), Fault::Timeout { what: Phase::Connect, after: wait });

        let fault =
            run(&http(&[("ALL_PROXY", "socks5://p:1")], None), "https://registry.example/", &limits()).unwrap_err();
        assert_eq!(fault.code(), crate::error::Code::ConfigMalformed);
    }
}
