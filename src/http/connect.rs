//! Makes a connection for a request: name, address, proxy, TLS, all within one limit.

use crate::http::Limits;
use crate::http::pool::{Lent, Pool};
use crate::http::stream::{Limit, Socket, Stream, plain};
use crate::http::tls::Tls;
use crate::http::transport::{Channel, TransportError};
use crate::http::trust::Trust;
use crate::http::tunnel;
use crate::pure::http::url::Scheme;
use crate::pure::http::{Fault, Phase, Proxies, Proxy, Resolve, Url, bracketed};
use crate::system;
use crate::world::instant;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

/// How many addresses of a host are tried; with more, none would get enough of the time.
const ADDRESSES: usize = 4;

/// Everything that decides how a server is reached.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    /// Addresses that stand in for a name, by host and port.
    pub resolve: Vec<Resolve>,
    /// The environment's proxies.
    pub proxies: Proxies,
    /// Whom to trust.
    pub trust: Arc<Trust>,
    /// Connections that no request is under way on.
    pub pool: Arc<Pool>,
}

impl Dial {
    /// Makes a connection for a request that is to come.
    pub fn ahead(&self, url: &Url, limits: &Limits) {
        let until = limits.over_at(Some(instant() + limits.connect)).until;
        self.pool.ahead(url.origin(), || self.dial(url, Limit { until, what: Phase::Connect, idle: None }));
    }

    fn dial(&self, url: &Url, limit: Limit) -> Result<Channel, Fault> {
        let proxy = self.proxies.pick(url)?;
        let stream = self.reach(url, proxy, limit)?;
        Ok(match (url.scheme(), proxy) {
            (Scheme::Https, _) => Channel::new(Box::new(Tls::open(&self.trust, url.host(), stream)?), true),
            (Scheme::Http, Some(_)) => Channel::new(stream, false).by_proxy(&url.origin().to_string()),
            (Scheme::Http, None) => Channel::new(stream, false),
        })
    }

    /// A connection that leads to the server, or to a proxy that reads requests itself.
    pub fn reach(&self, url: &Url, proxy: Option<&Proxy>, limit: Limit) -> Result<Box<dyn Stream>, Fault> {
        let Some(proxy) = proxy else { return self.tcp(url.host(), url.port(), limit) };
        let mut stream = self.proxy(proxy, limit)?;
        if url.scheme() == Scheme::Https {
            // The port is always named here.
            let target = format!("{}:{}", bracketed(url.host()), url.port());
            tunnel::open(stream.as_mut(), proxy, &target)?;
        }
        Ok(stream)
    }

    /// A connection to the proxy itself; failures name it, because nobody typed it.
    fn proxy(&self, proxy: &Proxy, limit: Limit) -> Result<Box<dyn Stream>, Fault> {
        let open = || {
            let stream = self.tcp(&proxy.origin.host, proxy.origin.port, limit)?;
            match proxy.origin.scheme {
                Scheme::Http => Ok(stream),
                Scheme::Https => {
                    Tls::open(&self.trust, &proxy.origin.host, stream).map(|tls| -> Box<dyn Stream> { Box::new(tls) })
                }
            }
        };
        open().map_err(|fault| match fault {
            Fault::Resolve { why, .. } | Fault::Connect { why, .. } | Fault::Reset { why } => proxy.fault(None, why),
            other => other,
        })
    }

    /// Tries the addresses of a host in turn, each with its share of the time.
    fn tcp(&self, host: &str, port: u16, limit: Limit) -> Result<Box<dyn Stream>, Fault> {
        let addresses = self.addresses(host, port, &limit)?;
        let mut last = None;
        for (i, address) in addresses.iter().enumerate() {
            let share = limit.share(addresses.len() - i)?;
            #[expect(clippy::disallowed_methods, reason = "this is where sockets are made")]
            let tried = match share {
                Some(share) => TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))),
                None => TcpStream::connect(address),
            };
            match tried {
                Ok(tcp) => {
                    // Requests are written whole; waiting for more to send would only delay them.
                    let _ = tcp.set_nodelay(true);
                    return Ok(Box::new(Socket::new(tcp, limit)));
                }
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {}
                Err(error) => last = Some(Fault::Connect { addr: address.to_string(), why: plain(&error) }),
            }
        }
        limit.left()?;
        Err(last.unwrap_or(Fault::Timeout { what: limit.what, after: Duration::ZERO }))
    }

    /// The addresses to try, the two families by turns, so that one of them may be out of order.
    pub fn addresses(&self, host: &str, port: u16, limit: &Limit) -> Result<Vec<SocketAddr>, Fault> {
        let given = self.resolve.iter().filter(|one| one.host == host && one.port == port);
        let given: Vec<SocketAddr> = given.map(|one| SocketAddr::new(one.address, port)).collect();
        if !given.is_empty() {
            return Ok(given);
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        Ok(by_turns(look_up(host, port, limit)?))
    }
}

/// The two families by turns, the one first that the system has named first.
fn by_turns(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut mixed: Vec<SocketAddr> =
        first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    mixed.extend(second);
    mixed.truncate(ADDRESSES);
    mixed
}

/// Asks the system for the addresses of a name, in a thread because that cannot be interrupted.
fn look_up(host: &str, port: u16, limit: &Limit) -> Result<Vec<SocketAddr>, Fault> {
    let (sender, receiver) = channel();
    let name = host.to_owned();
    let ask = move || drop(sender.send((name.as_str(), port).to_socket_addrs().map(Vec::from_iter)));
    // Without a thread for it, it is not interrupted.
    match thread::Builder::new().spawn(ask.clone()) {
        Ok(_) => drop(ask),
        Err(_) => ask(),
    }
    let found = match limit.left()? {
        Some(left) => receiver.recv_timeout(left),
        None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    match found {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(not_found(host, &error)),
        Err(RecvTimeoutError::Timeout) => Err(Fault::Timeout { what: limit.what, after: Duration::ZERO }),
        Err(RecvTimeoutError::Disconnected) => Err(not_found(host, &io::Error::other("the resolver failed"))),
    }
}

/// What it means that the system has no address for a name.
fn not_found(host: &str, error: &io::Error) -> Fault {
    let text = plain(error);
    let why = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned();
    Fault::Resolve { host: host.to_owned(), why, temporary: !system::is_lasting(error) }
}

impl Connector for Dial {
    type Out = Lent;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Lent>, ureq::Error> {
        let broken = |fault| ureq::Error::Other(Box::new(TransportError { fault, stale: false }));
        let url = Url::parse(&details.uri.to_string())
            .map_err(|error| broken(Fault::Malformed { why: error.message().to_owned() }))?;
        let limit = crate::http::transport::limit(details.timeout);
        let what = if limit.what == Phase::Overall { Phase::Unsent } else { limit.what };
        let limit = Limit { idle: None, what, ..limit };
        let (dialer, origin) = (self.clone(), url.origin().clone());
        let dial = move || dialer.dial(&url, limit);
        self.pool.connect(&origin, details.config.max_idle_age(), limit, dial).map(Some).map_err(broken)
    }
}

/// Leaves names to [`Dial`], which knows whether a proxy will look them up.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_have_their_turn_and_the_first_is_the_systems_choice() {
        let addresses =
            |text: &str| -> Vec<SocketAddr> { text.split_whitespace().map(|one| one.parse().unwrap()).collect() };
        for (found, expected) in [
            ("", ""),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("[::1]:1 [::2]:1 10.0.0.1:1", "[::1]:1 10.0.0.1:1 [::2]:1"),
            ("10.0.0.1:1 [::1]:1 [::2]:1 [::3]:1", "10.0.0.1:1 [::1]:1 [::2]:1 [::3]:1"),
            ("10.0.0.1:1 10.0.0.2:1 10.0.0.3:1 10.0.0.4:1 [::1]:1", "10.0.0.1:1 [::1]:1 10.0.0.2:1 10.0.0.3:1"),
        ] {
            assert_eq!(by_turns(addresses(found)), addresses(expected), "{found}");
        }
    }

    // In the words of glibc.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_known_to_nobody_is_not_looked_up_again() {
        for (said, temporary) in [("Name or service not known", false), ("Temporary failure in name resolution", true)]
        {
            let error = io::Error::other(format!("failed to lookup address information: {said}"));
            let expected = Fault::Resolve { host: "a.example".to_owned(), why: said.to_ascii_lowercase(), temporary };
            assert_eq!(not_found("a.example", &error), expected);
        }
    }
}
