//! Chooses the proxy of an address from the environment's usual variables.
//!
//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case, lower case first. Loopback
//! and link-local addresses are never asked for through a proxy: a proxy's own loopback is another
//! machine's, and metadata services give out credentials to whoever asks.
//!
//! There is no standard for these variables; where tools differ this follows curl.

use crate::pure::http::url::Scheme;
use crate::pure::http::{Fault, Origin, Place, Url, bracketed, place, split_host_port};
use crate::pure::text::percent;
use crate::secret::Secret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::net::IpAddr;

/// A proxy and what it wants to know of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Where it listens; the scheme is the one spoken to the proxy itself.
    pub origin: Origin,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<Secret>,
    /// The variable that names it.
    pub variable: String,
}

impl Proxy {
    /// Why it cannot be used, with the status that it answered with, if it got that far.
    pub fn fault(&self, status: Option<u16>, why: String) -> Fault {
        Fault::Proxy { proxy: self.authority(), variable: self.variable.clone(), status, why }
    }

    /// Host and port, as messages name it.
    pub fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.origin.host), self.origin.port)
    }
}

/// The proxies of one environment.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    https: Option<Result<Proxy, Fault>>,
    http: Option<Result<Proxy, Fault>>,
    except: Vec<Exception>,
}

impl Proxies {
    /// Reads the variables; `env` answers with a value that is set and not empty.
    ///
    /// A value that cannot be used matters when an address needs it, not before.
    pub fn read<'a>(env: impl Fn(&str) -> Option<&'a str>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| Some(proxy(name, env(name)?)));
        // A CGI program finds a request header `Proxy:` in `HTTP_PROXY`, so anybody could set it there.
        let http: &[&str] = match env("REQUEST_METHOD") {
            Some(_) => &["http_proxy", "all_proxy", "ALL_PROXY"],
            None => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let except = env("no_proxy").or_else(|| env("NO_PROXY")).unwrap_or_default();
        Self {
            https: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            http: first(http),
            except: except.split([',', ' ', '\t']).filter_map(exception).collect(),
        }
    }

    /// What the proxies want to know of their users.
    pub fn secrets(&self) -> impl Iterator<Item = Secret> {
        let proxies = [&self.https, &self.http].into_iter().flatten().flatten();
        proxies.filter_map(|proxy| proxy.authorization.as_ref()).flat_map(|authorization| {
            let code = authorization.reveal().trim_start_matches("Basic ");
            let pair = BASE64_STANDARD.decode(code).unwrap_or_default();
            let password = String::from_utf8_lossy(&pair).split_once(':').map(|(_, password)| Secret::new(password));
            password.into_iter().chain([Secret::new(code)])
        })
    }

    /// The proxy for an address; `None` goes straight there.
    ///
    /// # Errors
    /// [`Fault::Config`] where the variable that decides cannot be used.
    pub fn pick(&self, url: &Url) -> Result<Option<&Proxy>, Fault> {
        let chosen = match url.scheme() {
            Scheme::Https => &self.https,
            Scheme::Http => &self.http,
        };
        let Some(chosen) = chosen else { return Ok(None) };
        if matches!(place(url.host()), Place::Loopback | Place::LinkLocal) || self.excepts(url) {
            return Ok(None);
        }
        chosen.as_ref().map(Some).map_err(Clone::clone)
    }

    fn excepts(&self, url: &Url) -> bool {
        let address: Option<IpAddr> = url.host().parse().ok();
        self.except.iter().any(|exception| exception.covers(url, address))
    }
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq)]
enum Exception {
    Everything,
    Network { address: IpAddr, bits: u8 },
    Host { name: String, port: Option<u16> },
}

impl Exception {
    fn covers(&self, url: &Url, address: Option<IpAddr>) -> bool {
        match self {
            Exception::Everything => true,
            Exception::Network { address: network, bits } => {
                address.is_some_and(|address| same_network(address, *network, *bits))
            }
            Exception::Host { name, port } => {
                let host = url.host().trim_end_matches('.');
                let below = || host.strip_suffix(name.as_str()).is_some_and(|front| front.ends_with('.'));
                port.is_none_or(|port| port == url.port()) && (host == name || (address.is_none() && below()))
            }
        }
    }
}

fn exception(entry: &str) -> Option<Exception> {
    if entry == "*" {
        return Some(Exception::Everything);
    }
    if let Some((address, bits)) = entry.split_once('/') {
        let address: IpAddr = address.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= if address.is_ipv4() { 32 } else { 128 })?;
        return Some(Exception::Network { address, bits });
    }
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some(Exception::Host { name: address.to_string(), port: None });
    }
    let entry = entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.')).unwrap_or(entry);
    let (name, port) = split_host_port(entry.trim_end_matches('.'))?;
    Some(Exception::Host { name, port })
}

fn same_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (address, network, width) = match (address.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let kept = u32::from(bits).min(width);
    kept == 0 || (address ^ network) >> (width - kept) == 0
}

/// Reads the value of one variable. The value may hold a password and is never repeated.
fn proxy(variable: &str, value: &str) -> Result<Proxy, Fault> {
    let bad = |why: &str| Fault::Config {
        why: format!("`{variable}` {why}"),
        hint: format!("set `{variable}` to `http://HOST:PORT`, or name the host in `NO_PROXY`"),
    };
    let value = value.trim();
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other if other.starts_with("socks") => return Err(bad("names a SOCKS proxy, which is not supported")),
        _ => return Err(bad("is not the address of an HTTP proxy")),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, place) = authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
    let (host, port) = split_host_port(place).ok_or_else(|| bad("has a host or port that cannot be read"))?;
    let authorization = user.map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let pair = [percent::decode(name), b":".to_vec(), percent::decode(password)].concat();
        Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair)))
    });
    let origin = Origin { scheme, host, port: port.unwrap_or(scheme.default_port()) };
    Ok(Proxy { origin, authorization, variable: variable.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(variables: &[(&str, &str)], address: &str) -> Result<Option<String>, Fault> {
        let proxies = Proxies::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value));
        Ok(proxies.pick(&Url::parse(address).unwrap())?.map(Proxy::authority))
    }

    #[test]
    fn the_variable_follows_the_scheme() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "p:2"), ("ALL_PROXY", "http://all")];
        for (variables, address, expected) in [
            (&both[..], "https://r.example/", Some("s:1")),
            (&both, "http://r.example/", Some("p:2")),
            (&both[2..], "https://r.example/", Some("all:80")),
            (&both[2..], "http://r.example/", Some("all:80")),
            (&both[..1], "http://r.example/", None),
            (&[("HTTPS_PROXY", "http://up:1"), ("https_proxy", "http://low:1")], "https://r.example/", Some("low:1")),
            (&[("HTTP_PROXY", "http://p:1")], "http://r.example/", Some("p:1")),
            (&[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], "http://r.example/", None),
            (&[("HTTPS_PROXY", "https://[::1]:3128/")], "https://r.example/", Some("[::1]:3128")),
            (&[("HTTPS_PROXY", "https://proxy")], "https://r.example/", Some("proxy:443")),
        ] {
            assert_eq!(pick(variables, address).unwrap().as_deref(), expected, "{variables:?} {address}");
        }
    }

    #[test]
    fn exceptions_are_names_ports_and_networks() {
        for (except, host, straight) in [
            ("example.com", "example.com", true),
            ("example.com", "r.example.com", true),
            ("example.com", "notexample.com", false),
            (".example.com", "r.example.com", true),
            (".example.com", "example.com", true),
            ("*.example.com", "r.example.com", true),
            ("EXAMPLE.com", "r.example.COM", true),
            ("a.b, example.com", "example.com", true),
            ("example.com:5000", "example.com:5000", true),
            ("example.com:5000", "example.com", false),
            ("10.0.0.0/8", "10.9.8.7", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/99", "10.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "[2001:db8::1]", false),
            ("2001:db8::/32", "[2001:db8:1::1]:5000", true),
            ("2001:db8::1", "[2001:db8::1]", true),
            ("192.168.1.10", "192.168.1.10:5000", true),
            ("8.1", "192.168.8.1", false),
            ("*", "anything.example", true),
            ("", "anything.example", false),
        ] {
            let variables = [("ALL_PROXY", "http://p:1"), ("NO_PROXY", except)];
            let found = pick(&variables, &format!("https://{host}/")).unwrap();
            assert_eq!(found.is_none(), straight, "{except} {host}");
        }
    }

    #[test]
    fn nearby_and_metadata_addresses_never_go_through_a_proxy() {
        for host in ["localhost:5000", "127.0.0.1", "[::1]:5000", "169.254.169.254", "[fd00:ec2::23]"] {
            assert_eq!(pick(&[("ALL_PROXY", "http://p:1")], &format!("http://{host}/")), Ok(None), "{host}");
        }
        assert!(pick(&[("ALL_PROXY", "http://p:1")], "http://10.0.0.1/").unwrap().is_some());
    }

    #[test]
    fn user_and_password_become_a_header() {
        let proxies = Proxies::read(|name| (name == "https_proxy").then_some("http://me:p%40ss%zz@proxy:1"));
        let proxy = proxies.pick(&Url::parse("https://r.example/").unwrap()).unwrap().unwrap();
        let expected = format!("Basic {}", BASE64_STANDARD.encode("me:p@ss%zz"));
        assert_eq!(proxy.authorization.as_ref().unwrap().reveal(), expected);
        assert!(!format!("{proxies:?}").contains("p%40ss"));
    }

    #[test]
    fn the_password_of_a_proxy_is_a_secret_as_it_is_and_as_it_is_sent() {
        let variables = [("https_proxy", "http://me:p%40ss:word@proxy:1"), ("http_proxy", "http://p:2")];
        let proxies = Proxies::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value));
        let secrets: Vec<String> = proxies.secrets().map(|secret| secret.reveal().to_owned()).collect();
        assert_eq!(secrets, ["p@ss:word".to_owned(), BASE64_STANDARD.encode("me:p@ss:word")]);
    }

    #[test]
    fn unusable_values_matter_only_where_they_are_needed() {
        for (value, why) in [
            ("socks5://u:secret@p:1", "`ALL_PROXY` names a SOCKS proxy, which is not supported"),
            ("socks5h://p:1", "`ALL_PROXY` names a SOCKS proxy, which is not supported"),
            ("ftp://p", "`ALL_PROXY` is not the address of an HTTP proxy"),
            ("http://", "`ALL_PROXY` has a host or port that cannot be read"),
            ("http://p:99999", "`ALL_PROXY` has a host or port that cannot be read"),
            ("http://u:secret@:1", "`ALL_PROXY` has a host or port that cannot be read"),
        ] {
            let variables = [("ALL_PROXY", value), ("NO_PROXY", "r.example")];
            assert_eq!(pick(&variables, "https://r.example/"), Ok(None));
            let fault = pick(&variables, "https://other.example/").unwrap_err();
            assert_eq!(fault.code(), crate::error::Code::ConfigMalformed, "{value}");
            assert!(fault.to_string().contains(why) && !format!("{fault:?}").contains("secret"), "{value}: {fault}");
        }
    }
}
