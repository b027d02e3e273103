//! Sends one request and brings back one reply, or says which fault kept it: the only place that
//! names ureq and rustls.
//!
//! ureq speaks HTTP/1.1. Everything below it is here, because the limits, the roots, the proxies and the words for a
//! failure have to be exact, and connections few and early: `connect` makes one, through `tunnel` and `tls` where needed,
//! `pool` has those that no request is under way on, `transport` hands bytes between one and ureq, `stream` keeps the
//! time. A status is data here, whatever it is.
//!
//! Above that, `exchange` is the one way out for everybody else: it alone repeats (`repeat`), follows redirects, and
//! keeps notes for errors and for `--verbose` (`journal`), and lets no server be asked too much at once (`gate`).

mod body;
mod client;
mod connect;
pub mod exchange;
mod gate;
pub mod journal;
mod limits;
mod pool;
mod probe;
pub mod repeat;
mod stream;
mod tls;
mod tls_fault;
mod transport;
mod trust;
mod tunnel;
mod waits;

#[cfg(test)]
#[path = "../../tests/support/raw_server.rs"]
mod testing;

pub use body::{Body, Incoming, Payload};
pub use client::{Http, Options};
pub use exchange::Exchange;
pub use journal::{Journal, Warning};
pub use limits::Limits;
pub use probe::Way;
