//! Sends requests and keeps connections.

use crate::error::Error;
use crate::http::body::broken;
use crate::http::connect::{Dial, NoResolver};
use crate::http::limits::Stopwatch;
use crate::http::transport::{HEAD_LIMIT, TransportError};
use crate::http::trust::Trust;
use crate::http::{Body, Incoming, Limits, Payload};
use crate::program::USER_AGENT;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::url::Scheme;
use crate::pure::http::{Fault, Headers, Phase, Proxies, Proxy, Repeat, Resolve};
use crate::world::{World, instant};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{self, HeaderName, HeaderValue, header};
use ureq::{Agent, SendBody};

/// How long an idle connection is kept; servers close theirs after a minute or more.
const KEPT_FOR: Duration = Duration::from_secs(50);

/// How long a connection may have been idle that an upload begins on. Its body cannot be sent again, and
/// no server closes a connection that soon.
const KEPT_FOR_UPLOAD: Duration = Duration::from_secs(2);

/// What may be set about connections as a whole.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A PEM file with roots beyond those built in and the system's.
    pub ca_file: Option<String>,
    /// Addresses that stand in for name resolution.
    pub resolve: Vec<Resolve>,
}

/// What ureq brings back.
type Outcome = Result<http::Response<ureq::Body>, TransportError>;

/// Sends requests from any number of threads.
pub struct Http {
    agent: Agent,
    /// How servers are reached.
    pub(super) dial: Dial,
}

impl Http {
    /// Notes how servers are to be reached; reads nothing but `--ca-file`.
    ///
    /// # Errors
    /// `config-malformed` where `--ca-file` cannot be used.
    pub fn new(world: &World, options: &Options) -> Result<Self, Error> {
        let dial = Dial {
            resolve: options.resolve.clone(),
            proxies: Proxies::read(|name| world.env(name)),
            trust: Arc::new(Trust::new(world, options.ca_file.as_deref())?),
            pool: Arc::default(),
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(USER_AGENT)
            .accept_encoding("identity")
            .max_response_header_size(HEAD_LIMIT)
            // It hands every connection back at once: whoever waits for one learns of it from `pool` alone.
            .max_idle_connections(0)
            .build();
        Ok(Self { agent: Agent::with_parts(config, dial.clone(), NoResolver), dial })
    }

    /// Sends a request and reads the reply's header; the body is read under the same limits. Every status is a reply.
    ///
    /// A body that is read while it is sent comes as `payload`; a server may reply before it has got all of it, and the
    /// rest is not read then.
    ///
    /// # Errors
    /// Why there is no reply.
    pub fn send(
        &self,
        request: &Request,
        mut payload: Option<&mut Payload>,
        limits: &Limits,
    ) -> Result<Incoming, Fault> {
        let mut watch = Stopwatch::start(*limits);
        let proxy = self.proxy(request)?;
        let kept_for = if payload.is_some() { KEPT_FOR_UPLOAD } else { KEPT_FOR };
        let mut outcome = self.attempt(request, payload.as_deref_mut(), proxy, &watch, kept_for);
        // A server may close a kept connection at the very moment it is used again. That says nothing
        // about the request, which goes out once more on a new connection.
        let again = matches!(&outcome, Err(broken) if broken.stale)
            && match &mut payload {
                Some(payload) => payload.restart(),
                None => request.repeat == Repeat::Freely,
            };
        if again {
            outcome = self.attempt(request, payload.as_deref_mut(), proxy, &watch, Duration::ZERO);
        }
        if payload.is_some_and(|payload| payload.left() == 0) {
            watch.limits.idle = commit(request, limits);
        }
        read(outcome, request, proxy, watch)
    }

    /// The proxy that reads the request itself; through a tunnel it sees nothing of it.
    fn proxy(&self, request: &Request) -> Result<Option<&Proxy>, Fault> {
        Ok(self.dial.proxies.pick(&request.url)?.filter(|_| request.url.scheme() == Scheme::Http))
    }

    /// Sends once, on a connection that was idle for less than `kept_for` or on a new one.
    fn attempt(
        &self,
        request: &Request,
        payload: Option<&mut Payload>,
        proxy: Option<&Proxy>,
        watch: &Stopwatch,
        kept_for: Duration,
    ) -> Outcome {
        let limits = &watch.limits;
        let whole = match limits.until.map(|until| until.saturating_duration_since(instant())) {
            Some(left) if left.is_zero() => {
                return Err(Fault::Timeout { what: Phase::Unsent, after: Duration::ZERO }.into());
            }
            left => left,
        };
        let silence = if payload.is_some() { commit(request, limits) } else { limits.idle };
        let mut bytes = request.body.as_deref().unwrap_or_default();
        let length = bytes.len() as u64;
        let mut own = Payload::new(&mut bytes, length);
        let (length, body): (u64, Option<&mut dyn Read>) = match (payload, request.method) {
            (Some(payload), _) => (payload.left(), Some(payload)),
            (None, Method::Get | Method::Head | Method::Delete) => (0, None),
            // Without a length, even of nothing, a server would not know where the next request begins.
            (None, Method::Put | Method::Post | Method::Patch) => (length, Some(&mut own)),
        };
        let mut built = build(request, proxy)?;
        if body.is_some() {
            built.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let config = self
            .agent
            .configure_request(built)
            .timeout_global(whole)
            .timeout_connect(Some(limits.connect))
            .timeout_per_read(Some(silence))
            .timeout_per_write(Some(limits.idle))
            .max_idle_age(kept_for);
        let ready = config.build();
        let outcome = match body {
            Some(mut body) => self.agent.run(ready.map(|()| SendBody::from_reader(&mut body))),
            None => self.agent.run(ready),
        };
        outcome.map_err(broken)
    }
}

/// How long nothing may come once a payload has been sent: what ends an upload takes the longest.
fn commit(request: &Request, limits: &Limits) -> Duration {
    if request.method == Method::Put { limits.commit } else { limits.idle }
}

/// The header of a reply in our own terms.
fn read(outcome: Outcome, request: &Request, proxy: Option<&Proxy>, watch: Stopwatch) -> Result<Incoming, Fault> {
    let response = outcome.map_err(|broken| watch.stamp(broken.fault))?;
    let (parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    if let Some(proxy) = proxy.filter(|_| status == 407) {
        let why = "it wants to know who asks".to_owned();
        return Err(proxy.fault(Some(status), why));
    }
    let mut headers = Headers::new();
    for (name, value) in &parts.headers {
        headers.push(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    let (from, body) = (request.url.clone(), Body::new(body, watch));
    Ok(Incoming { from, status, headers, body, secrets: Default::default() })
}

/// The request in ureq's terms.
fn build(request: &Request, proxy: Option<&Proxy>) -> Result<http::Request<()>, Fault> {
    let unsendable = |what: &str| Fault::Config {
        why: format!("the request cannot be sent: {what} holds a character that HTTP does not allow"),
        hint: "check the credential and the address for line ends and control characters".to_owned(),
    };
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
    };
    let mut built = http::Request::new(());
    *built.method_mut() = method;
    *built.uri_mut() = request.url.to_string().parse().map_err(|_| unsendable("its address"))?;
    let own = proxy.and_then(|proxy| proxy.authorization.as_ref());
    let own = own.map(|secret| ("proxy-authorization", secret.reveal()));
    for (name, value) in request.headers.iter().chain(own) {
        let mut value = HeaderValue::from_str(value).map_err(|_| unsendable(&format!("its field `{name}`")))?;
        value.set_sensitive(true);
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable("the name of a field"))?;
        built.headers_mut().append(name, value);
    }
    Ok(built)
}

impl From<Fault> for TransportError {
    fn from(fault: Fault) -> Self {
        Self { fault, stale: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::stream::Limit;
    use crate::http::testing::{ask, get, http, limits, read_request, server, shut, stay, url};
    use crate::pure::http::message::Response;
    use crate::pure::http::url::Url;
    use std::io::{Read, Write};
    use std::net::{IpAddr, SocketAddr, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread;

    const MS: Duration = Duration::from_millis(1);

    /// Sends a `GET` to a server that answers with these bytes and closes.
    fn check(answer: &'static [u8]) -> Result<Response, Fault> {
        let address = server(move |_, mut stream| {
            read_request(&mut stream);
            stream.write_all(answer).unwrap();
            shut(stream);
        });
        ask(&http(&[]), &get(address), &limits())
    }

    #[test]
    fn a_reply_comes_back_as_it_was_sent() {
        let response =
            check(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: \xff2\r\n\r\nhello").unwrap();
        assert_eq!((response.status, response.body.as_slice()), (404, &b"hello"[..]));
        assert_eq!(response.headers.all("x-a").collect::<Vec<_>>(), ["1", "\u{fffd}2"]);
        for (answer, body) in [
            (&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"[..], &b"abcde"[..]),
            (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"),
            (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
            (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", b""),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more than that", b"ok"),
            (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
        ] {
            assert_eq!(check(answer).unwrap().body, body, "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn a_broken_reply_is_the_fault_that_it_is() {
        let truncated = |got, expected| Fault::Truncated { got, expected };
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"[..], truncated(3, Some(10))),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", truncated(3, None)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", truncated(3, None)),
            (b"HTTP/1.1 200 OK\r\nContent-Le", truncated(0, None)),
            (b"HTTP/1.1 200 OK\r\n", truncated(0, None)),
            (b"", Fault::Reset { why: "closed without a reply".into() }),
        ] {
            assert_eq!(check(answer).unwrap_err(), expected, "{}", String::from_utf8_lossy(answer));
        }
        for answer in [
            &b"\x15\x03\x01\x00\x02\x02\x46"[..],
            b"<html>not http</html>\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nabc",
        ] {
            let fault = check(answer).unwrap_err();
            assert!(matches!(fault, Fault::Malformed { .. }), "{}: {fault}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn whatever_a_server_sends_it_is_a_reply_or_a_fault() {
        let good: [&[u8]; 3] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
            b"HTTP/1.0 301 Moved\r\nLocation: /x\r\nConnection: keep-alive\r\n\r\n<html>",
        ];
        let address = server(move |number, mut stream| {
            // Always the same numbers, so that a failure comes back.
            let mut state = number as u64 + 1;
            let mut random = move |below: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize % below
            };
            let mut bytes = good[random(3)].to_vec();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                match random(5) {
                    0 => bytes[at] = random(256) as u8,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"\r\n:;0f \0\xff,"[random(11)]),
                    3 => bytes.truncate(at + 1),
                    _ => bytes.extend_from_within(at..),
                }
            }
            read_request(&mut stream);
            let _ = stream.write_all(&bytes);
            shut(stream);
        });
        let http = http(&[]);
        let (mut replies, mut faults) = (0, 0);
        for _ in 0..400 {
            match ask(&http, &get(address), &Limits { body: 1000, ..limits() }) {
                Ok(_) => replies += 1,
                Err(
                    Fault::Malformed { .. } | Fault::Truncated { .. } | Fault::Reset { .. } | Fault::TooLarge { .. },
                ) => faults += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(replies > 50 && faults > 50, "{replies} {faults}");
    }

    #[test]
    fn a_reset_is_never_taken_for_an_end() {
        for head in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"] {
            let address = server(move |_, mut stream| {
                // Closing with something unread makes the system send a reset.
                let mut one = [0];
                stream.read_exact(&mut one).unwrap();
                stream.write_all(head).unwrap();
                thread::sleep(30 * MS);
                drop(stream);
            });
            let fault = ask(&http(&[]), &get(address), &limits()).unwrap_err();
            assert!(matches!(fault, Fault::Reset { .. }), "{fault:?}");
        }
    }

    #[test]
    fn nothing_waits_longer_than_the_idle_limit() {
        let begin = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nabc").into_bytes();
        for head in [Vec::new(), b"HTTP/1.1 200 OK\r\nContent-".to_vec(), begin(10), b"HTTP/1.1 102 P\r\n\r\n".to_vec()]
        {
            let address = server(move |_, mut stream| {
                read_request(&mut stream);
                stream.write_all(&head).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let fault = ask(&http(&[]), &get(address), &Limits { idle: 100 * MS, ..limits() }).unwrap_err();
            assert_eq!(fault, Fault::Timeout { what: Phase::Idle, after: 100 * MS });
        }
    }

    #[test]
    fn a_slow_drip_ends_at_the_overall_limit() {
        for head in [
            "",
            "HTTP/1.1 200 OK\r\nX: ",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        ] {
            let address = server(move |_, mut stream| {
                read_request(&mut stream);
                let _ = stream.write_all(head.as_bytes());
                let drip: &[u8] = if head.is_empty() { b"\r\n" } else { b"a" };
                while stream.write_all(drip).is_ok() {
                    thread::sleep(20 * MS);
                }
            });
            let limits = Limits { idle: 1000 * MS, until: Some(instant() + 1200 * MS), ..limits() };
            let fault = ask(&http(&[]), &get(address), &limits).unwrap_err();
            assert!(matches!(fault, Fault::Timeout { what: Phase::Overall, .. }), "{head:?} {fault:?}");
        }
    }

    #[test]
    fn a_limit_that_has_passed_sends_nothing() {
        let address = server(|_, _| panic!("nothing is to be sent"));
        let limits = Limits { until: Some(instant()), ..limits() };
        let fault = ask(&http(&[]), &get(address), &limits).unwrap_err();
        assert!(matches!(fault, Fault::Timeout { what: Phase::Unsent, .. }));
    }

    #[test]
    fn endless_bodies_and_headers_end_at_their_limits() {
        for (head, more, malformed) in [
            ("HTTP/1.1 200 OK\r\n\r\n", "aaaaaaaa", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\naaaa\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", "aaaaaaaa", false),
            ("HTTP/1.1 200 OK\r\nX: ", "aaaaaaaa", true),
            ("HTTP/1.1 200 OK\r\n", "X: a\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "11111111", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "aaaaaaaa", true),
            ("", "\r\n\r\n", true),
        ] {
            let address = server(move |_, mut stream| {
                read_request(&mut stream);
                let _ = stream.write_all(head.as_bytes());
                while stream.write_all(more.repeat(500).as_bytes()).is_ok() {}
            });
            let fault = ask(&http(&[]), &get(address), &Limits { body: 1000, ..limits() }).unwrap_err();
            if malformed {
                assert!(matches!(fault, Fault::Malformed { .. }), "{head:?} {fault:?}");
            } else {
                assert_eq!(fault, Fault::TooLarge { limit: 1000 }, "{head:?}");
            }
        }
    }

    #[test]
    fn a_body_may_be_as_long_as_its_limit() {
        for head in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
            let address = server(move |_, mut stream| {
                read_request(&mut stream);
                write!(stream, "HTTP/1.1 200 OK\r\n{head}").unwrap();
                shut(stream);
            });
            let reply = |body| ask(&http(&[]), &get(address), &Limits { body, ..limits() });
            assert_eq!(reply(5).unwrap().body, b"hello", "{head}");
            assert_eq!(reply(4).unwrap_err(), Fault::TooLarge { limit: 4 }, "{head}");
        }
    }

    #[test]
    fn of_a_refusal_the_beginning_is_enough() {
        let address = server(|_, mut stream| {
            read_request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9999999\r\n\r\n");
            while stream.write_all(&[b'x'; 1000]).is_ok() {}
        });
        let response = ask(&http(&[]), &get(address), &Limits { body: 1000, ..limits() }).unwrap();
        assert_eq!(response.status, 403);
        assert!(response.body.len() < 20_000);
    }

    #[test]
    fn a_head_request_has_no_body_whatever_the_header_says() {
        let address = server(|_, mut stream| {
            while read_request(&mut stream).starts_with("HEAD ") {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n").unwrap();
            }
        });
        let http = http(&[]);
        for _ in 0..2 {
            let response = ask(&http, &Request::new(Method::Head, url(address)), &limits()).unwrap();
            assert_eq!((response.status, response.body.len()), (200, 0));
            assert_eq!(response.headers.get("content-length"), Some("9999999"));
        }
    }

    #[test]
    fn requests_are_written_as_they_should_be() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let address = {
            let seen = seen.clone();
            server(move |_, mut stream| {
                loop {
                    let request = read_request(&mut stream);
                    if request.is_empty() {
                        return;
                    }
                    seen.lock().unwrap().push(request);
                    stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").unwrap();
                }
            })
        };
        let http = http(&[]);
        let long = "x".repeat(20_000);
        let get =
            Request::new(Method::Get, Url::new(url(address).origin().clone(), "/v2/", Some("a=%2F&b={}|".into())))
                .header("Authorization", &long);
        ask(&http, &get, &limits()).unwrap();
        ask(&http, &Request::new(Method::Post, url(address)), &limits()).unwrap();
        ask(&http, &Request::new(Method::Put, url(address)).body(vec![b'y'; 200_000]), &limits()).unwrap();
        let seen = seen.lock().unwrap();
        let lower = seen[0].to_lowercase();
        assert!(seen[0].starts_with("GET /v2/?a=%2F&b={}| HTTP/1.1\r\n"), "{}", &seen[0][..80]);
        assert!(
            lower.contains(&format!("\r\nhost: {address}\r\n")) && lower.contains("\r\naccept-encoding: identity\r\n")
        );
        assert!(lower.contains("\r\nuser-agent: tagwright/") && lower.contains(&long));
        assert!(!lower.contains("content-length") && !lower.contains("transfer-encoding"));
        assert!(seen[1].to_lowercase().contains("\r\ncontent-length: 0\r\n"));
        assert!(seen[2].to_lowercase().contains("\r\ncontent-length: 200000\r\n"));
        assert!(
            seen[2].ends_with(&"y".repeat(1000)) && seen.iter().all(|text| !text.to_lowercase().contains("expect"))
        );
    }

    #[test]
    fn a_field_that_cannot_be_sent_is_named_without_its_value() {
        let address = server(|_, _| panic!("nothing is to be sent"));
        let request = get(address).header("Authorization", "Bearer secret\nvalue");
        let fault = ask(&http(&[]), &request, &limits()).unwrap_err();
        assert!(fault.to_string().contains("`Authorization`") && !format!("{fault:?}").contains("secret"));
    }

    #[test]
    fn connections_are_kept_and_used_again() {
        let count = Arc::new(AtomicUsize::new(0));
        let address = {
            let count = count.clone();
            server(move |_, mut stream| {
                count.fetch_add(1, Ordering::SeqCst);
                while !read_request(&mut stream).is_empty() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                }
            })
        };
        let http = http(&[]);
        for _ in 0..5 {
            ask(&http, &get(address), &limits()).unwrap();
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    (0..20).for_each(|_| assert_eq!(ask(&http, &get(address), &limits()).unwrap().body, b"ok"))
                });
            }
        });
        assert!(count.load(Ordering::SeqCst) <= 16);
    }

    #[test]
    fn a_connection_that_was_closed_meanwhile_does_not_count() {
        // The first connection answers once and closes when it is used again, as late as can be.
        let late = |close: fn(TcpStream)| {
            server(move |number, mut stream| {
                let mut requests = 0;
                while !read_request(&mut stream).is_empty() {
                    requests += 1;
                    if number == 0 && requests == 2 {
                        return close(stream);
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                }
            })
        };
        for close in [shut as fn(TcpStream), drop] {
            for method in [Method::Get, Method::Put] {
                let (http, address) = (http(&[]), late(close));
                ask(&http, &get(address), &limits()).unwrap();
                let again = ask(&http, &Request::new(method, url(address)).body(b"{}".to_vec()), &limits());
                assert_eq!(again.unwrap().body, b"ok");
            }
            let (http, address) = (http(&[]), late(close));
            ask(&http, &get(address), &limits()).unwrap();
            let fault = ask(&http, &Request::new(Method::Post, url(address)), &limits()).unwrap_err();
            assert!(matches!(fault, Fault::Reset { .. }), "an upload is not started twice: {fault}");
        }
    }

    #[test]
    fn what_fails_on_a_new_connection_is_sent_once() {
        for close in [shut as fn(TcpStream), drop] {
            let count = Arc::new(AtomicUsize::new(0));
            let address = {
                let count = count.clone();
                server(move |_, mut stream| {
                    read_request(&mut stream);
                    count.fetch_add(1, Ordering::SeqCst);
                    close(stream);
                })
            };
            for method in [Method::Get, Method::Head, Method::Put] {
                let before = count.load(Ordering::SeqCst);
                let request = Request { repeat: Repeat::Freely, ..Request::new(method, url(address)) };
                let fault = ask(&http(&[]), &request, &limits()).unwrap_err();
                assert!(matches!(fault, Fault::Reset { .. }), "{fault:?}");
                assert_eq!(count.load(Ordering::SeqCst), before + 1, "{method:?}");
            }
            let fault = upload(&http(&[]), address, &mut Source::new(10), &limits()).unwrap_err();
            assert!(matches!(fault, Fault::Reset { .. }), "{fault:?}");
            assert_eq!(count.load(Ordering::SeqCst), 4);
        }
    }

    #[test]
    fn what_comes_after_a_reply_is_not_the_next_one() {
        let address = server(|_, mut stream| {
            while !read_request(&mut stream).is_empty() {
                let reply = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all((reply("mine") + &reply("another's")).as_bytes());
            }
        });
        let http = http(&[]);
        for _ in 0..5 {
            assert_eq!(ask(&http, &get(address), &limits()).unwrap().body, b"mine");
        }
    }

    #[test]
    fn a_connection_that_was_closed_early_is_not_used_again() {
        let (closes, closed) = std::sync::mpsc::sync_channel(6);
        let address = server(move |_, mut stream| {
            read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            drop(stream);
            closes.send(()).unwrap();
        });
        let http = http(&[]);
        for _ in 0..3 {
            ask(&http, &get(address), &limits()).unwrap();
            closed.recv().unwrap();
            assert_eq!(ask(&http, &Request::new(Method::Post, url(address)), &limits()).unwrap().body, b"ok");
            closed.recv().unwrap();
        }
    }

    #[test]
    fn a_refusal_is_heard_even_when_the_body_is_not_read() {
        let address = server(|_, mut stream| {
            let mut some = [0; 1000];
            stream.read_exact(&mut some).unwrap();
            stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbig!").unwrap();
            shut(stream);
        });
        let request = Request::new(Method::Put, url(address)).body(vec![0; 8_000_000]);
        let response = ask(&http(&[]), &request, &limits()).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (413, &b"big!"[..]));
    }

    #[test]
    fn a_server_that_reads_nothing_ends_at_the_idle_limit() {
        let address = server(|_, _stream| stay());
        let request = Request::new(Method::Put, url(address)).body(vec![0; 64_000_000]);
        let fault = ask(&http(&[]), &request, &Limits { idle: 100 * MS, ..limits() }).unwrap_err();
        assert_eq!(fault, Fault::Timeout { what: Phase::Idle, after: 100 * MS });
    }

    #[test]
    fn the_end_of_an_upload_is_waited_for_longer_than_anything_else() {
        let address = server(|_, mut stream| {
            read_request(&mut stream);
            thread::sleep(300 * MS);
            let _ = stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
        });
        let send = |method, commit| {
            let limits = Limits { idle: 100 * MS, commit, ..limits() };
            let (mut body, request) = (&b"abc"[..], Request::new(method, url(address)));
            http(&[]).send(&request, Some(&mut Payload::new(&mut body, 3)), &limits).map(|incoming| incoming.status)
        };
        assert_eq!(send(Method::Put, 60_000 * MS), Ok(201));
        let late = |after| Err(Fault::Timeout { what: Phase::Idle, after });
        assert_eq!(send(Method::Put, 50 * MS), late(50 * MS));
        assert_eq!(send(Method::Patch, 60_000 * MS), late(100 * MS));
    }

    #[test]
    fn unreachable_servers_are_told_apart() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let fault = ask(&http(&[]), &get(closed), &limits()).unwrap_err();
        assert_eq!(fault, Fault::Connect { addr: closed.to_string(), why: "connection refused".into() });

        let request = Request::new(Method::Get, parse("http://no-such-host.invalid/"));
        let fault = ask(&http(&[]), &request, &limits()).unwrap_err();
        assert!(matches!(&fault, Fault::Resolve { host, .. } if host == "no-such-host.invalid"), "{fault:?}");

        // A listener that accepts nothing and whose queue is full does not answer at all.
        let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = full.local_addr().unwrap();
        let _queue: Vec<_> = (0..4096).map_while(|_| connect_within(address, 30 * MS)).collect();
        let fault = ask(&http(&[]), &get(address), &Limits { connect: 200 * MS, ..limits() }).unwrap_err();
        assert_eq!(fault, Fault::Timeout { what: Phase::Connect, after: 200 * MS });
    }

    #[expect(clippy::disallowed_methods, reason = "a test has sockets of its own")]
    fn connect_within(address: std::net::SocketAddr, limit: Duration) -> Option<TcpStream> {
        TcpStream::connect_timeout(&address, limit).ok()
    }

    fn parse(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn an_address_may_stand_in_for_a_name() {
        let address = server(|_, mut stream| {
            let request = read_request(&mut stream);
            let named = request.to_lowercase().contains("\r\nhost: registry.example:");
            let answer = if named { "HTTP/1.1 200 OK" } else { "HTTP/1.1 500 No" };
            stream.write_all(format!("{answer}\r\nContent-Length: 0\r\n\r\n").as_bytes()).unwrap();
        });
        let options = Options {
            resolve: vec![Resolve { host: "registry.example".into(), port: address.port(), address: address.ip() }],
            ..crate::http::testing::options()
        };
        let http = Http::new(&crate::http::testing::world(&[]), &options).unwrap();
        let request = Request::new(Method::Get, parse(&format!("http://registry.example:{}/", address.port())));
        assert_eq!(ask(&http, &request, &limits()).unwrap().status, 200);
        // Another host, and another port of the same host, are looked for where they are.
        let limit = Limit { until: None, what: Phase::Connect, idle: None };
        let [other, own]: [IpAddr; 2] = ["192.0.2.1", "127.0.0.1"].map(|text| text.parse().unwrap());
        let dial = Dial { resolve: vec![Resolve { host: own.to_string(), port: 1, address: other }], ..http.dial };
        for (host, port, expected) in [("127.0.0.1", 1, other), ("127.0.0.1", 2, own)] {
            let found = dial.addresses(host, port, &limit).unwrap();
            assert_eq!(found, [SocketAddr::new(expected, port)], "{host}:{port}");
        }
        let dial = Dial { resolve: vec![Resolve { host: "a.example".into(), port: 1, address: other }], ..dial };
        assert_eq!(dial.addresses("127.0.0.1", 1, &limit).unwrap(), [SocketAddr::new(own, 1)]);
    }

    #[test]
    fn a_body_can_be_read_in_pieces_under_the_same_limits() {
        let address = server(|_, mut stream| {
            read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").unwrap();
            stay();
        });
        let http = http(&[]);
        let mut incoming = http.send(&get(address), None, &Limits { idle: 100 * MS, ..limits() }).unwrap();
        let mut buffer = [0; 100];
        assert_eq!((incoming.body.expected(), incoming.body.read(&mut buffer).unwrap()), (Some(10), 3));
        let error = incoming.body.read(&mut buffer).unwrap_err();
        let fault = error.downcast::<Fault>().unwrap();
        assert_eq!(fault, Fault::Timeout { what: Phase::Idle, after: 100 * MS });
        assert_eq!(incoming.body.next(&mut buffer), Err(fault), "a failure stays");
    }

    /// A body that counts how often it was asked, and fails after so many bytes.
    struct Source {
        left: usize,
        given: usize,
        fails: bool,
    }

    impl Source {
        fn new(length: usize) -> Self {
            Self { left: length, given: 0, fails: false }
        }
    }

    impl Read for Source {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.left == 0 && self.fails {
                return Err(std::io::Error::other("mine"));
            }
            let amount = buffer.len().min(self.left);
            buffer[..amount].fill(b'z');
            self.left -= amount;
            self.given += amount;
            Ok(amount)
        }
    }

    const LONG: usize = 64_000_000;

    fn upload(
        http: &Http,
        address: std::net::SocketAddr,
        source: &mut Source,
        limits: &Limits,
    ) -> Result<Response, Fault> {
        let length = if source.fails { LONG } else { source.left };
        let mut payload = Payload::new(source, length as u64);
        http.send(&Request::new(Method::Patch, url(address)), Some(&mut payload), limits)?.whole()
    }

    #[test]
    fn a_body_is_sent_while_it_is_read() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let address = {
            let seen = seen.clone();
            server(move |_, mut stream| {
                loop {
                    let request = read_request(&mut stream);
                    if request.is_empty() {
                        return;
                    }
                    seen.lock().unwrap().push((stream.peer_addr().unwrap(), request));
                    stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok").unwrap();
                }
            })
        };
        let http = http(&[]);
        for length in [0, 1, 40_000, 3_000_000] {
            let response = upload(&http, address, &mut Source::new(length), &limits()).unwrap();
            assert_eq!((response.status, response.body.as_slice()), (202, &b"ok"[..]));
        }
        let seen = seen.lock().unwrap();
        assert!(seen[3].1.starts_with("PATCH /v2/ HTTP/1.1\r\n") && seen[3].1.ends_with(&"z".repeat(3_000_000)));
        assert!(seen[3].1.to_lowercase().contains("\r\ncontent-length: 3000000\r\n"));
        assert!(seen[0].1.to_lowercase().contains("\r\ncontent-length: 0\r\n"));
        assert!(seen.iter().all(|(peer, text)| *peer == seen[0].0 && !text.to_lowercase().contains("chunked")));
    }

    #[test]
    fn an_early_reply_ends_an_upload() {
        let refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nbig!";
        let interim = [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], refusal].concat();
        for (answer, reads) in [(refusal.to_vec(), true), (refusal.to_vec(), false), (interim, false)] {
            let connections = Arc::new(AtomicUsize::new(0));
            let address = {
                let connections = connections.clone();
                server(move |_, mut stream| {
                    connections.fetch_add(1, Ordering::SeqCst);
                    stream.read_exact(&mut [0; 1000]).unwrap();
                    stream.write_all(&answer).unwrap();
                    if reads {
                        // Goes on reading, as proxies do that wait for the client to notice.
                        let _ = std::io::copy(&mut stream, &mut std::io::sink());
                    } else {
                        stay();
                    }
                })
            };
            let (http, mut source) = (http(&[]), Source::new(LONG));
            let limits = Limits { idle: 300 * MS, ..limits() };
            let response = upload(&http, address, &mut source, &limits).unwrap();
            assert_eq!((response.status, response.body.as_slice()), (413, &b"big!"[..]));
            assert!(source.left > 0, "the rest is not read");
            // What has not got all of its request is of no use for the next one.
            assert_eq!(upload(&http, address, &mut Source::new(1_000_000), &limits).unwrap().status, 413);
            assert_eq!(connections.load(Ordering::SeqCst), 2);
        }
    }

    #[test]
    fn an_upload_is_not_sent_again_on_its_own() {
        let count = Arc::new(AtomicUsize::new(0));
        let address = {
            let count = count.clone();
            server(move |number, mut stream| {
                read_request(&mut stream);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                // The kept connection closes when it is used again.
                let mut some = [0; 1000];
                count.fetch_add(usize::from(stream.read_exact(&mut some).is_ok()), Ordering::SeqCst);
                assert_eq!(number, 0);
            })
        };
        let http = http(&[]);
        ask(&http, &get(address), &limits()).unwrap();
        let mut source = Source::new(LONG);
        let fault = upload(&http, address, &mut source, &limits()).unwrap_err();
        assert!(matches!(fault, Fault::Reset { .. }), "{fault}");
        assert!(source.given > 0 && source.left > 0 && count.load(Ordering::SeqCst) == 1);
    }

    #[test]
    fn a_target_that_stops_reading_ends_at_the_idle_limit() {
        let address = server(|_, _stream| stay());
        let mut source = Source::new(LONG);
        let fault = upload(&http(&[]), address, &mut source, &Limits { idle: 100 * MS, ..limits() }).unwrap_err();
        assert_eq!(fault, Fault::Timeout { what: Phase::Idle, after: 100 * MS });
    }

    #[test]
    fn a_body_that_fails_ends_the_upload_unfinished() {
        let heard = Arc::new(AtomicUsize::new(0));
        let address = {
            let heard = heard.clone();
            server(move |_, mut stream| {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes);
                heard.store(bytes.len(), Ordering::SeqCst);
            })
        };
        for fails in [true, false] {
            let mut source = Source { fails, ..Source::new(100_000) };
            let request = Request::new(Method::Put, url(address));
            let mut payload = Payload::new(&mut source, LONG as u64);
            let fault = http(&[]).send(&request, Some(&mut payload), &limits()).err().unwrap();
            let mine = Fault::Reset { why: "mine".to_owned() };
            assert_eq!(fault, if fails { mine } else { Fault::Truncated { got: 0, expected: None } });
            assert!(heard.load(Ordering::SeqCst) < 200_000);
        }
    }
}
