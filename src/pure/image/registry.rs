//! A host and an optional port that hold repositories; all names of Docker Hub are one registry.

use crate::error::{Code, Error};
use crate::pure::http::{Place, split_host_port, url};
use crate::pure::text::quoted;
use crate::pure::text::words::serialized_as_text;
use std::fmt;

/// The name that stands for Docker Hub everywhere.
const DOCKER_HUB: &str = "docker.io";
/// Where requests for Docker Hub go.
const DOCKER_HUB_ENDPOINT: &str = "registry-1.docker.io";

/// A registry by its canonical name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Registry {
    host: Box<str>,
    port: Option<u16>,
}

impl Registry {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
    ///
    /// # Errors
    /// `reference-invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let why = match Self::read(text) {
            Ok(registry) => return Ok(registry),
            Err(why) => why,
        };
        if text.contains('@') {
            let message = "a text with `@` is not a registry: a host with an optional port is wanted";
            return Err(Error::new(Code::ReferenceInvalid, message));
        }
        let error = Error::new(Code::ReferenceInvalid, format!("{} is not a registry: {why}", quoted(text)));
        let rest = text.trim();
        let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or_default();
        Err(match Self::read(host) {
            Ok(_) => error.hint(format!("write `{host}`")),
            Err(_) => error,
        })
    }

    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        let wanted = || "a host with an optional port is wanted".to_owned();
        let (host, port) = split_host_port(text).ok_or_else(wanted)?;
        let odd = |label: &str| label.is_empty() || label.starts_with('-') || label.ends_with('-');
        if !host.contains(':') && (host.len() > 253 || host.split('.').any(odd)) {
            return Err("the host is not a domain name".to_owned());
        }
        let alias = matches!(&*host, DOCKER_HUB | "index.docker.io" | DOCKER_HUB_ENDPOINT);
        if alias && matches!(port, None | Some(443)) {
            return Ok(Self::docker_hub());
        }
        Ok(Self { host: host.into(), port })
    }

    /// Docker Hub.
    pub fn docker_hub() -> Self {
        Self { host: DOCKER_HUB.into(), port: None }
    }

    /// Whether this is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        &*self.host == DOCKER_HUB && self.port.is_none()
    }

    /// The host in lower case, IPv6 without brackets; `docker.io` for Docker Hub.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one was named.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the host is this machine by its text: `localhost`, `127.0.0.0/8` or `::1`.
    pub fn is_loopback(&self) -> bool {
        url::place(&self.host) == Place::Loopback
    }

    /// `host` or `host:port`, IPv6 in brackets.
    pub fn authority(&self) -> String {
        self.to_string()
    }

    /// The host and port that requests go to.
    pub fn endpoint(&self) -> (String, Option<u16>) {
        let host = if self.is_docker_hub() { DOCKER_HUB_ENDPOINT } else { &*self.host };
        (host.to_owned(), self.port)
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&url::bracketed(&self.host))?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

serialized_as_text!(Registry);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_read_and_printed() {
        let longest = format!("{}a", "a.".repeat(126));
        for (text, expected, loopback) in [
            ("Reg.Example.com", "reg.example.com", false),
            ("localhost:5000", "localhost:5000", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("[0:0::1]:5000", "[::1]:5000", true),
            ("registry", "registry", false),
            (&longest, &longest, false),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", false),
        ] {
            let registry = Registry::parse(text).unwrap();
            assert_eq!((registry.to_string(), registry.authority()), (expected.to_owned(), expected.to_owned()));
            assert_eq!(registry.is_loopback(), loopback, "{text}");
            assert!(!registry.is_docker_hub());
            assert_eq!(registry.endpoint(), (registry.host().to_owned(), registry.port()));
        }
    }

    #[test]
    fn all_names_of_docker_hub_are_one_registry() {
        for text in ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO", "docker.io:443"] {
            let registry = Registry::parse(text).unwrap();
            assert_eq!(registry, Registry::docker_hub(), "{text}");
            assert!(registry.is_docker_hub());
            assert_eq!(registry.to_string(), "docker.io");
            assert_eq!(registry.endpoint(), ("registry-1.docker.io".to_owned(), None));
        }
        assert!(!Registry::parse("docker.io:5000").unwrap().is_docker_hub());
    }

    #[test]
    fn other_texts_are_refused_with_a_spelling_that_works() {
        for (text, hint) in [
            ("", None),
            (".", None),
            ("-x.example", None),
            (&"a.".repeat(127), None),
            (&format!("{}a", "a.".repeat(127)), None),
            ("reg.example.com.", None),
            ("reg:0", None),
            ("reg:99999", None),
            ("reg:x", None),
            ("$HOST", None),
            ("reg.example.com\n", Some("write `reg.example.com`")),
            ("https://reg.example.com/v2/", Some("write `reg.example.com`")),
            ("reg.example.com/acme", Some("write `reg.example.com`")),
        ] {
            let error = Registry::parse(text).unwrap_err();
            assert_eq!((error.code(), error.hint_text()), (Code::ReferenceInvalid, hint), "{text}");
        }
        assert!(!Registry::parse("https://user:hunter2@reg.example.com").unwrap_err().to_string().contains("hunter2"));
    }
}
