//! Asks a proxy for a tunnel to a server, with `CONNECT`.
//!
//! RFC 9110, section 9.3.6.

use super::stream::{Stream, fault};
use crate::pure::http::fault::Fault;
use crate::pure::http::proxy::Proxy;
use crate::pure::http::redact;

/// More than any proxy has to say before the tunnel begins.
const HEAD_LIMIT: usize = 16 * 1024;

/// Asks for the tunnel; afterwards the stream leads to `host:port`.
pub(super) fn open(stream: &mut dyn Stream, proxy: &Proxy, target: &str, user_agent: &str) -> Result<(), Fault> {
    let failed = |status, why: String| Fault::Proxy { proxy: proxy.authority(), status, why };
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {user_agent}\r\n");
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
