//! What the flags say about the way to every server.

use crate::pure::http::url::Scheme;
use std::time::Duration;

/// What the flags say about every exchange.
#[derive(Clone, Debug)]
pub struct ExchangeSettings {
    /// How long the whole command may take; `None` where it may take as long as it does.
    pub timeout: Option<Duration>,
    /// How long a source may be waited for that is not there yet; the time of the command is as much longer.
    pub wait: Option<Duration>,
    /// How much of a registry's limit is to be left.
    pub min_remaining: Option<u64>,
    /// How often a request may be repeated.
    pub retries: u32,
    /// One line per exchange to the log.
    pub verbose: bool,
    /// No word but errors.
    pub quiet: bool,
    /// HTTPS for loopback registries too.
    pub https: bool,
    /// Hosts, or hosts with port, that are spoken to in plain HTTP; in lower case.
    pub plain_http: Vec<String>,
}

impl ExchangeSettings {
    /// Which scheme a host is spoken to with.
    pub fn scheme(&self, host: &str, authority: &str, loopback: bool) -> Scheme {
        if self.plain_http.iter().any(|name| name == host || name == authority) || (loopback && !self.https) {
            Scheme::Http
        } else {
            Scheme::Https
        }
    }
}
