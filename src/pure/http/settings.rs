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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_named_hosts_are_spoken_to_in_plain_http() {
        for (https, host, authority, loopback, expected) in [
            (false, "reg.example", "reg.example:5000", false, Scheme::Https),
            (false, "localhost", "localhost:5000", true, Scheme::Http),
            (true, "localhost", "localhost:5000", true, Scheme::Https),
            (false, "plain.example", "plain.example:80", false, Scheme::Http),
            (true, "plain.example", "plain.example:80", false, Scheme::Http),
            (false, "port.example", "port.example:81", false, Scheme::Http),
            (false, "port.example", "port.example:82", false, Scheme::Https),
        ] {
            let settings = ExchangeSettings {
                timeout: None,
                wait: None,
                min_remaining: None,
                retries: 0,
                verbose: false,
                quiet: false,
                https,
                plain_http: vec!["plain.example".to_owned(), "port.example:81".to_owned()],
            };
            assert_eq!(settings.scheme(host, authority, loopback), expected, "{authority}");
        }
    }
}
