//! An absolute `http` or `https` address: parsed, joined with a relative one, compared by origin.
//!
//! Kept as text where bytes matter: path and query are sent exactly as they were given, because a
//! signed address must not be re-encoded.
//!
//! Grammar: RFC 3986; resolution of relative references: its section 5.2.

use crate::error::{Code, Error};
use crate::pure::text::words::words;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

words! {
    /// The two schemes there are here.
    Scheme {
        /// In the clear.
        Http = "http",
        /// Over TLS.
        Https = "https",
    }
}

impl Scheme {
    /// The port that goes without saying.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Scheme, host and port: what a credential belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host in lower case, IPv6 without brackets.
    pub host: String,
    /// The port, the default one filled in.
    pub port: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), authority(&self.host, Some(self.port), self.scheme))
    }
}

/// An absolute address without user info and fragment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    origin: Origin,
    path: String,
    query: Option<String>,
}

impl Url {
    /// An address from its parts; `path` starts with `/`, `query` has no `?`.
    pub fn new(origin: Origin, path: impl Into<String>, query: Option<String>) -> Self {
        Self { origin, path: path.into(), query }
    }

    /// Reads an absolute address. User info is refused, a fragment is dropped.
    ///
    /// # Errors
    /// `reference-invalid` for anything that is not an absolute http or https address. The text is
    /// not repeated in the message, for it may hold a secret.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::new(Code::ReferenceInvalid, format!("not an http or https address: {why}"));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("no scheme"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(bad("the scheme is neither http nor https")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if authority.contains('@') {
            return Err(bad("it holds user info"));
        }
        let (host, port) = split_host_port(authority).ok_or_else(|| bad("host or port cannot be read"))?;
        if let Some(odd) = tail.chars().find(|c| c.is_ascii_control() || *c == ' ' || !c.is_ascii()) {
            return Err(bad(&format!("it holds the character {odd:?}")));
        }
        let (path, query) = tail.split_once('?').map_or((tail, None), |(path, query)| (path, Some(query.to_owned())));
        let path = if path.is_empty() { "/" } else { path };
        let port = port.unwrap_or(scheme.default_port());
        Ok(Self { origin: Origin { scheme, host, port }, path: path.to_owned(), query })
    }

    /// Resolves what a `Location` or `Link` header holds against this address.
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub fn join(&self, reference: &str) -> Result<Self, Error> {
        let reference = reference.trim();
        if reference.contains("://") && !reference.starts_with(['/', '?', '.']) {
            return Self::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme().as_str()));
        }
        let reference = reference.split('#').next().unwrap_or_default();
        let target = if reference.starts_with('/') {
            reference.to_owned()
        } else if reference.is_empty() || reference.starts_with('?') {
            format!("{}{reference}", self.path)
        } else {
            let folder = &self.path[..=self.path.rfind('/').unwrap_or(0)];
            format!("{folder}{reference}")
        };
        let mut joined = Self::parse(&format!("{}{target}", self.origin))?;
        joined.path = without_dots(&joined.path);
        Ok(joined)
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.origin.scheme
    }

    /// The host in lower case, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.origin.host
    }

    /// The port, the default one filled in.
    pub fn port(&self) -> u16 {
        self.origin.port
    }

    /// The path, starting with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query without `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query, as they stand in the request line.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The host as the `Host` header has it: brackets around IPv6, the port where it is not the default.
    pub fn authority(&self) -> String {
        authority(&self.origin.host, Some(self.origin.port), self.origin.scheme)
    }

    /// The same address with another query.
    #[must_use]
    pub fn with_query(mut self, query: impl Into<String>) -> Self {
        self.query = Some(query.into());
        self
    }
}

impl fmt::Display for Url {
    /// The whole address, secrets in the query included; for people use `redact::url`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.target())
    }
}

fn authority(host: &str, port: Option<u16>, scheme: Scheme) -> String {
    let host = bracketed(host);
    match port {
        Some(port) if port != scheme.default_port() => format!("{host}:{port}"),
        _ => host,
    }
}

/// A host as it stands before a port: IPv6 in brackets.
pub fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`; the host comes back in lower case, without brackets.
///
/// `None` where it is none of these.
pub fn split_host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        let address: Ipv6Addr = host.parse().ok()?;
        let port = if tail.is_empty() { None } else { Some(tail.strip_prefix(':')?) };
        (address.to_string(), port)
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !host.chars().all(fits) {
            return None;
        }
        (host.to_ascii_lowercase(), port)
    };
    let port = match port {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    if port == Some(0) { None } else { Some((host, port)) }
}

/// One `--resolve HOST:PORT:ADDR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// The host, in lower case.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address to connect to in its place.
    pub address: IpAddr,
}

/// What kind of place a host is, as far as its text tells; names other than `localhost` are not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `localhost`, `127.0.0.0/8`, `::1`.
    Loopback,
    /// A literal address of a private network, or the unspecified address.
    Private,
    /// A literal link-local address, where metadata services live.
    LinkLocal,
    /// A number in a spelling that only some resolvers take for an address, such as `127.1` or `0x7f000001`.
    Odd,
    /// Everything else.
    Public,
}

/// Sorts a host by what its text tells.
pub fn place(host: &str) -> Place {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host == "localhost" || host.ends_with(".localhost") {
        return Place::Loopback;
    }
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => place(&v4.to_string()),
            None if v6.is_loopback() => Place::Loopback,
            // The metadata services of AWS answer in this block, unique local as it is.
            None if v6.is_unicast_link_local() || v6.segments()[..2] == [0xfd00, 0x0ec2] => Place::LinkLocal,
            None if v6.is_unique_local() || v6.is_unspecified() => Place::Private,
            None => Place::Public,
        },
        Ok(IpAddr::V4(v4)) if v4.is_loopback() => Place::Loopback,
        Ok(IpAddr::V4(v4)) if v4.is_link_local() => Place::LinkLocal,
        Ok(IpAddr::V4(v4)) if v4.is_private() || v4.is_unspecified() || shared(v4.octets()) => Place::Private,
        Ok(_) => Place::Public,
        Err(_) if is_number(host.rsplit('.').next().unwrap_or_default()) => Place::Odd,
        Err(_) => Place::Public,
    }
}

/// Whether the last part of a host is a number; no top-level domain is one.
fn is_number(part: &str) -> bool {
    let hex = part.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// Carrier-grade NAT, `100.64.0.0/10`.
fn shared(octets: [u8; 4]) -> bool {
    octets[0] == 100 && octets[1] & 0b1100_0000 == 64
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        for (input, expected) in [
            ("https://Reg.Example.com", "https://reg.example.com/"),
            ("http://localhost:5000/v2/?a=b#frag", "http://localhost:5000/v2/?a=b"),
            ("https://[2001:DB8::1]:443/x", "https://[2001:db8::1]/x"),
            ("https://a.example?x=%2F", "https://a.example/?x=%2F"),
        ] {
            assert_eq!(Url::parse(input).unwrap().to_string(), expected, "{input}");
        }
        for bad in [
            "ftp://a/",
            "//a/",
            "https://",
            "https://u:p@h/",
            "https://a:99999/",
            "https://a:0/",
            "https://a:/",
            "https://a:+80/",
            "https://a/ b",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn relative_references_resolve_as_rfc_3986_says() {
        let base = Url::parse("https://a.example/b/c/d?q").unwrap();
        for (reference, expected) in [
            ("g", "https://a.example/b/c/g"),
            ("./g", "https://a.example/b/c/g"),
            ("/g", "https://a.example/g"),
            ("//other/g", "https://other/g"),
            ("?y", "https://a.example/b/c/d?y"),
            (".", "https://a.example/b/c/"),
            ("..", "https://a.example/b/"),
            ("../../g", "https://a.example/g"),
            ("../../../g", "https://a.example/g"),
            ("/v2/x?next=http://y", "https://a.example/v2/x?next=http://y"),
            ("http://other:81/p", "http://other:81/p"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), expected, "{reference}");
        }
    }

    #[test]
    fn hosts_are_sorted_by_their_text() {
        for (host, expected) in [
            ("localhost", Place::Loopback),
            ("127.8.0.1", Place::Loopback),
            ("::1", Place::Loopback),
            ("::ffff:127.0.0.1", Place::Loopback),
            ("10.1.2.3", Place::Private),
            ("172.31.0.1", Place::Private),
            ("100.100.0.1", Place::Private),
            ("0.0.0.0", Place::Private),
            ("::", Place::Private),
            ("fd12::1", Place::Private),
            ("169.254.169.254", Place::LinkLocal),
            ("fe80::1", Place::LinkLocal),
            ("fd00:ec2::23", Place::LinkLocal),
            ("localhost.", Place::Loopback),
            ("127.0.0.1.", Place::Loopback),
            ("127.1", Place::Odd),
            ("2130706433", Place::Odd),
            ("0x7f000001", Place::Odd),
            ("8.8.8.8", Place::Public),
            ("100.0.0.1", Place::Public),
            ("101.64.0.1", Place::Public),
            ("2001:db8::1", Place::Public),
            ("registry.example", Place::Public),
        ] {
            assert_eq!(place(host), expected, "{host}");
        }
    }
}
