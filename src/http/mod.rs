//! Sends one request and brings back one reply, or says which fault kept it: the only place that
//! names ureq and rustls.
//!
//! ureq speaks HTTP/1.1 and keeps idle connections. Everything below it is here, because the limits,
//! the roots, the proxies and the words for a failure have to be exact: `connect` makes a
//! connection, through `tunnel` and `tls` where needed, `transport` hands bytes between it and
//! ureq, `stream` keeps the time. Redirects, repeats and credentials are decided by others; a status is
//! data here, whatever it is.

mod body;
mod client;
mod connect;
pub mod exchange;
mod stream;
mod tls;
mod tls_fault;
mod transport;
mod trust;
mod tunnel;

#[cfg(test)]
mod testing;

pub use body::{Body, Incoming};
pub use client::{Http, Limits, Options};
