//! The way to a server step by step, for those who want to know where it ends: proxy, name, connection, TLS.

use crate::http::connect::Dial;
use crate::http::limits::Stopwatch;
use crate::http::stream::Limit;
use crate::http::tls::{Tls, TlsFacts};
use crate::http::{Http, Limits};
use crate::pure::http::url::Scheme;
use crate::pure::http::{Fault, Phase, Url};
use crate::world::instant;
use std::net::SocketAddr;
use std::time::Duration;

/// How far the way to a server goes: what was reached, step by step.
#[derive(Default)]
pub struct Way {
    /// The proxy and the variable that names it, where one is to be used; known unless a variable cannot be read.
    pub proxy: Option<Option<(String, String)>>,
    /// The addresses of the server, or of the proxy; known once the name has been looked up.
    pub addresses: Vec<SocketAddr>,
    /// How long the connection took, once there is one.
    pub connected: Option<Duration>,
    /// What the server has shown in TLS, once the two have agreed.
    pub tls: Option<TlsFacts>,
}

impl Http {
    /// Goes the way to a server once, and keeps nothing of it; with what ended it, if something did.
    pub(super) fn probe(&self, url: &Url, limits: &Limits) -> (Way, Option<Fault>) {
        let watch = Stopwatch::start(*limits);
        let until = limits.over_at(Some(instant() + limits.connect)).until;
        let mut way = Way::default();
        let limit = Limit { until, what: Phase::Connect, idle: None };
        let fault = walk(&self.dial, url, limit, &mut way).err().map(|fault| watch.stamp(fault));
        (way, fault)
    }
}

fn walk(dial: &Dial, url: &Url, limit: Limit, way: &mut Way) -> Result<(), Fault> {
    let proxy = dial.proxies.pick(url)?;
    way.proxy = Some(proxy.map(|proxy| (proxy.authority(), proxy.variable.clone())));
    let (host, port) = proxy.map_or((url.host(), url.port()), |proxy| (&proxy.origin.host, proxy.origin.port));
    way.addresses = dial.addresses(host, port, &limit)?;
    let began = instant();
    let stream = dial.reach(url, proxy, limit)?;
    way.connected = Some(began.elapsed());
    if url.scheme() == Scheme::Https {
        way.tls = Some(Tls::open(&dial.trust, url.host(), stream)?.facts());
    }
    Ok(())
}
