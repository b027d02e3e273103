//! Why no complete reply came back: the failures of the way, as opposed to a status, which is data.
//!
//! Whether a repeat may help and under which code a failure is reported is decided here; `crate::http`
//! only says what happened.

use crate::error::{Code, Error};
use crate::pure::http::message::Request;
use crate::pure::http::redact;
use std::fmt;
use std::time::Duration;

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The connection, with tunnel and TLS, was not made in time.
    Connect,
    /// Nothing was received, or could be sent, for too long.
    Idle,
    /// The reply came too slowly to be whole in time.
    Whole,
    /// The time for everything was used up.
    Overall,
    /// The time for everything was used up before the request was sent.
    Unsent,
}

/// What is wrong with the TLS of a server, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The certificate leads to no root that is trusted.
    UnknownIssuer,
    /// The certificate is marked as an authority's, which a server's may not be unless it is given itself.
    Authority,
    /// The certificate was made for other names.
    WrongName,
    /// The certificate has run out, or is not valid yet.
    Expired,
    /// What answers does not speak TLS.
    NotTls,
    /// Anything else.
    Other,
}

/// Why a request got no complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host has no address.
    Resolve {
        /// The host that was looked up.
        host: String,
        /// What the resolver said.
        why: String,
        /// Whether the resolver could not tell, as opposed to knowing that there is none.
        temporary: bool,
    },
    /// No address accepted a connection.
    Connect {
        /// The last address tried, with its port.
        addr: String,
        /// What the system said.
        why: String,
    },
    /// The TLS handshake failed, or the server's certificate was not accepted.
    Tls {
        /// What kind of failure it is.
        trouble: Trouble,
        /// The same in words.
        why: String,
    },
    /// The connection broke before the reply was complete, or before it began.
    Reset {
        /// What the system said.
        why: String,
    },
    /// The connection was closed in order, and the reply was not complete.
    Truncated {
        /// Bytes of the body that came.
        got: u64,
        /// Bytes that were announced, where they were.
        expected: Option<u64>,
    },
    /// The body is longer than the caller takes.
    TooLarge {
        /// How many bytes the caller takes.
        limit: u64,
    },
    /// What came back is not HTTP, or breaks its rules.
    Malformed {
        /// Which rule.
        why: String,
    },
    /// A limit was reached.
    Timeout {
        /// Which one.
        what: Phase,
        /// How long was waited.
        after: Duration,
    },
    /// The proxy could not be reached, or refused.
    Proxy {
        /// The proxy's host and port.
        proxy: String,
        /// The environment variable that names it.
        variable: String,
        /// The status it answered with, if it got that far.
        status: Option<u16>,
        /// What it said.
        why: String,
    },
    /// A setting that this request needs cannot be used.
    Config {
        /// Which one, and what is wrong with it.
        why: String,
        /// What to do about it.
        hint: String,
    },
}

impl Fault {
    /// Whether the server may have got the request, or a part of it.
    pub fn is_sent(&self) -> bool {
        match self {
            Fault::Reset { .. } | Fault::Truncated { .. } | Fault::TooLarge { .. } | Fault::Malformed { .. } => true,
            Fault::Timeout { what, .. } => matches!(what, Phase::Idle | Phase::Whole | Phase::Overall),
            Fault::Resolve { .. } | Fault::Connect { .. } | Fault::Tls { .. } => false,
            Fault::Proxy { .. } | Fault::Config { .. } => false,
        }
    }

    /// Whether the same request may get a reply when it is sent again.
    pub fn repeatable(&self) -> bool {
        match self {
            Fault::Resolve { temporary, .. } => *temporary,
            Fault::Connect { .. } | Fault::Reset { .. } | Fault::Truncated { .. } => true,
            Fault::Timeout { what, .. } => matches!(what, Phase::Connect | Phase::Idle),
            Fault::Proxy { status, .. } => status.is_none_or(|status| matches!(status, 429 | 502..=504)),
            Fault::Tls { .. } | Fault::TooLarge { .. } | Fault::Malformed { .. } | Fault::Config { .. } => false,
        }
    }

    /// The code under which a command reports it.
    pub fn code(&self) -> Code {
        match self {
            Fault::Timeout { .. } => Code::Timeout,
            Fault::TooLarge { .. } => Code::SizeExceeded,
            Fault::Malformed { .. } | Fault::Truncated { .. } => Code::ReplyMalformed,
            Fault::Config { .. } => Code::ConfigMalformed,
            Fault::Resolve { .. }
            | Fault::Connect { .. }
            | Fault::Tls { .. }
            | Fault::Reset { .. }
            | Fault::Proxy { .. } => Code::Unreachable,
        }
    }

    /// The next thing to do.
    pub fn hint(&self) -> String {
        let hint = match self {
            Fault::Tls { trouble: Trouble::UnknownIssuer, .. } => {
                "give the certificate of its authority with `--ca-file FILE`, or in `SSL_CERT_FILE`"
            }
            Fault::Tls { trouble: Trouble::Authority, .. } => {
                "have a certificate made without `CA:TRUE`, or give this one itself with `--ca-file FILE`"
            }
            Fault::Tls { trouble: Trouble::NotTls, .. } => {
                "check the port; a registry without TLS has to be named with `--plain-http HOST`"
            }
            Fault::Tls { trouble: Trouble::WrongName, .. } => "name the registry as its certificate does",
            Fault::Tls { trouble: Trouble::Expired, .. } => {
                "have the certificate renewed, or set the clock of this machine right"
            }
            Fault::Tls { trouble: Trouble::Other, .. } => {
                "check that a registry with TLS answers at this host and port"
            }
            Fault::Resolve { .. } => "check the spelling of the host; where only a proxy knows it, set `HTTPS_PROXY`",
            Fault::Connect { .. } | Fault::Timeout { what: Phase::Connect, .. } => {
                "check host and port, and that the registry runs; where a proxy leads to it, set `HTTPS_PROXY`"
            }
            Fault::Reset { .. } | Fault::Truncated { .. } | Fault::Timeout { what: Phase::Idle | Phase::Whole, .. } => {
                "run it again; if it stays, look at the registry and at any proxy in between"
            }
            Fault::Timeout { what: Phase::Overall | Phase::Unsent, .. } => {
                "give it more time with `--timeout SECONDS`, or look at the registry and at any proxy in between"
            }
            Fault::TooLarge { .. } => "check what answers there; nothing that was asked for is that large",
            Fault::Malformed { .. } => {
                "check that a registry answers at this host and port; one on loopback that speaks TLS needs `--https`"
            }
            Fault::Proxy { status: Some(407), variable, .. } => {
                return format!(
                    "write user and password into the proxy's address, as in `{variable}=http://user:password@host:port`"
                );
            }
            Fault::Proxy { variable, .. } => {
                return format!(
                    "check the address in `{variable}`, or name the host in `NO_PROXY` where no proxy is needed"
                );
            }
            Fault::Config { hint, .. } => hint,
        };
        hint.to_owned()
    }

    /// It as an error of a request that wanted something, under its own code.
    pub fn error(&self, wanted: &str, request: &Request) -> Error {
        let host = request.url.authority();
        let what = match self {
            Fault::Timeout { what: Phase::Connect, .. } => format!("no connection to `{host}` in time"),
            Fault::Timeout { .. } => format!("`{host}` did not answer in time"),
            Fault::TooLarge { .. } => format!("the answer of `{host}` is too large"),
            Fault::Truncated { .. } => format!("the answer of `{host}` is not whole"),
            Fault::Malformed { .. } => format!("the answer of `{host}` is not proper HTTP"),
            Fault::Reset { .. } => format!("the connection to `{host}` broke"),
            Fault::Tls { .. } => format!("no TLS connection to `{host}`"),
            Fault::Proxy { .. } => format!("no connection to `{host}` through the proxy"),
            Fault::Config { .. } => "a setting cannot be used".to_owned(),
            Fault::Resolve { .. } | Fault::Connect { .. } => format!("no connection to `{host}`"),
        };
        let message = format!("cannot {wanted}: {what}");
        let line = format!("{} {}: {self}", request.method.as_str(), redact::url(&request.url));
        Error::new(self.code(), message).cause(line).hint(self.hint())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Resolve { host, why, .. } => write!(f, "the name `{host}` has no address: {why}"),
            Fault::Connect { addr, why } => write!(f, "no connection to {addr}: {why}"),
            Fault::Tls { why, .. } => write!(f, "TLS: {why}"),
            Fault::Reset { why } => write!(f, "the connection broke: {why}"),
            Fault::Truncated { got, expected: Some(expected) } => {
                write!(f, "the reply ended after {got} of {expected} bytes")
            }
            Fault::Truncated { got: 0, expected: None } => write!(f, "the reply ended before it was complete"),
            Fault::Truncated { got, expected: None } => {
                write!(f, "the reply ended after {got} bytes, before it was complete")
            }
            Fault::TooLarge { limit } => write!(f, "the reply is longer than {limit} bytes"),
            Fault::Malformed { why } => write!(f, "the reply is not proper HTTP: {why}"),
            Fault::Timeout { what, after } => {
                let (seconds, tenths) = (after.as_secs(), after.subsec_millis() / 100);
                match what {
                    Phase::Connect => write!(f, "no connection within {seconds}.{tenths} s"),
                    Phase::Idle => write!(f, "nothing was received for {seconds}.{tenths} s"),
                    Phase::Whole => write!(f, "the reply was not complete within {seconds}.{tenths} s"),
                    Phase::Overall | Phase::Unsent => {
                        write!(f, "the time limit was reached, {seconds}.{tenths} s into the request")
                    }
                }
            }
            Fault::Proxy { proxy, status: Some(status), why, .. } => {
                write!(f, "the proxy {proxy} answered {status}: {why}")
            }
            Fault::Proxy { proxy, status: None, why, .. } => write!(f, "the proxy {proxy} cannot be used: {why}"),
            Fault::Config { why, .. } => f.write_str(why),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_for_failures_that_pass() {
        let second = Duration::from_secs(1);
        for (fault, repeatable, sent, code) in [
            (Fault::Connect { addr: "a:1".into(), why: "refused".into() }, true, false, Code::Unreachable),
            (Fault::Truncated { got: 1, expected: Some(2) }, true, true, Code::ReplyMalformed),
            (Fault::Timeout { what: Phase::Connect, after: second }, true, false, Code::Timeout),
            (Fault::Timeout { what: Phase::Idle, after: second }, true, true, Code::Timeout),
            (Fault::Timeout { what: Phase::Whole, after: second }, false, true, Code::Timeout),
            (Fault::Timeout { what: Phase::Overall, after: second }, false, true, Code::Timeout),
            (Fault::Timeout { what: Phase::Unsent, after: second }, false, false, Code::Timeout),
            (Fault::TooLarge { limit: 1 }, false, true, Code::SizeExceeded),
            (Fault::Malformed { why: "x".into() }, false, true, Code::ReplyMalformed),
            (proxy(Some(407)), false, false, Code::Unreachable),
            (proxy(None), true, false, Code::Unreachable),
            (Fault::Resolve { host: "h".into(), why: "x".into(), temporary: false }, false, false, Code::Unreachable),
        ] {
            assert_eq!((fault.repeatable(), fault.is_sent(), fault.code()), (repeatable, sent, code), "{fault}");
        }
    }

    fn proxy(status: Option<u16>) -> Fault {
        Fault::Proxy { proxy: "p:1".into(), variable: "all_proxy".into(), status, why: "x".into() }
    }

    #[test]
    fn the_hint_names_the_variable_that_is_set() {
        for (status, hint) in [(Some(407), "as in `all_proxy=http://"), (None, "check the address in `all_proxy`")] {
            assert!(proxy(status).hint().contains(hint), "{}", proxy(status).hint());
        }
    }

    #[test]
    fn the_text_names_the_numbers() {
        let text = Fault::Truncated { got: 10, expected: Some(20) }.to_string();
        assert_eq!(text, "the reply ended after 10 of 20 bytes");
        let text = Fault::Timeout { what: Phase::Idle, after: Duration::from_millis(1500) }.to_string();
        assert_eq!(text, "nothing was received for 1.5 s");
    }
}
