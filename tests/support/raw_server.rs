//! Servers for the unit tests of `src/http`: each says, byte by byte, what a server may get wrong.
//!
//! A module of the crate in its tests, so that they reach what nobody outside sees.

use super::{Http, Limits, Options};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Fault, Response, Url};
use crate::world::{World, instant};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Runs a server that handles each connection, numbered from 0, in a thread of its own.
pub fn server(handle: impl Fn(usize, TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let handle = handle.clone();
            thread::spawn(move || handle(number, stream.unwrap()));
        }
    });
    address
}

/// Reads one request with its body; empty where the client has closed.
pub fn read_request(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut one = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut one), Ok(1)) {
            return String::new();
        }
        bytes.push(one[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let lower = head.to_lowercase();
    let length = lower.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8_lossy(&body)
}

/// Closes in order: says so, and reads what is still on its way, so that no reset is sent.
pub fn shut(mut stream: TcpStream) {
    let _ = stream.flush();
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Keeps what this thread has open, and does nothing any more.
pub fn stay() -> ! {
    loop {
        thread::park();
    }
}

pub fn world(environment: &[(&str, &str)]) -> World {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    World {
        hidden: Default::default(),
        environment,
        log: Box::new(|_| ()),
        stdin: Box::new(|_| Ok(Vec::new())),
        status: None,
        sleep: Box::new(std::thread::sleep),
        started: instant(),
    }
}

pub fn options() -> Options {
    Options::default()
}

pub fn http(environment: &[(&str, &str)]) -> Http {
    Http::new(&world(environment), &options()).unwrap()
}

/// Limits that no test is to run into unless it lowers them.
pub fn limits() -> Limits {
    let seconds = Duration::from_secs;
    let until = Some(instant() + seconds(20));
    Limits { connect: seconds(10), idle: seconds(10), commit: seconds(10), whole: seconds(20), until, body: 1 << 20 }
}

pub fn url(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/v2/")).unwrap()
}

pub fn get(address: SocketAddr) -> Request {
    Request::new(Method::Get, url(address))
}

pub fn ask(http: &Http, request: &Request, limits: &Limits) -> Result<Response, Fault> {
    http.send(request, None, limits)?.whole()
}

/// Somebody who makes out certificates.
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    certificate: rcgen::Certificate,
}

impl Authority {
    /// One that nobody trusts yet.
    pub fn new() -> Self {
        Self::of(CertificateParams::default(), true, 2100)
    }

    /// One that makes out a certificate to itself, as a server, valid to the beginning of a year.
    pub fn alone(is_authority: bool, name: &str, until: i32) -> Self {
        Self::of(CertificateParams::new(vec![name.to_owned()]).unwrap(), is_authority, until)
    }

    fn of(mut params: CertificateParams, is_authority: bool, until: i32) -> Self {
        params.not_after = date_time_ymd(until, 1, 1);
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.distinguished_name.push(DnType::CommonName, "an authority for a test");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { params, key, certificate }
    }

    /// Its own certificate, in a file that is there as long as what is returned.
    pub fn file(&self) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(self.certificate.pem().as_bytes()).unwrap();
        file
    }

    /// Its own certificate, as bytes.
    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// A server with a certificate for these names.
    pub fn server(&self, names: &[&str]) -> ServerConfig {
        self.server_valid(names, 2020, 2100)
    }

    /// The same, speaking one version of TLS only.
    pub fn server_speaking(&self, names: &[&str], version: &'static SupportedProtocolVersion) -> ServerConfig {
        self.make_out(names, 2020, 2100, &[version], false)
    }

    /// The same, with a certificate that says of itself that it is an authority's.
    pub fn server_marked_as_authority(&self, names: &[&str]) -> ServerConfig {
        self.make_out(names, 2020, 2100, rustls::ALL_VERSIONS, true)
    }

    /// The same, valid from the beginning of one year to that of another.
    pub fn server_valid(&self, names: &[&str], from: i32, to: i32) -> ServerConfig {
        self.make_out(names, from, to, rustls::ALL_VERSIONS, false)
    }

    fn make_out(
        &self,
        names: &[&str],
        from: i32,
        to: i32,
        versions: &[&'static SupportedProtocolVersion],
        is_authority: bool,
    ) -> ServerConfig {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        config(&certificate, &key, versions)
    }

    /// A server with the authority's own certificate.
    pub fn itself(&self) -> ServerConfig {
        config(&self.certificate, &self.key, rustls::ALL_VERSIONS)
    }
}

fn config(
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// As [`server`], over TLS.
pub fn tls_server(
    config: ServerConfig,
    handle: impl Fn(usize, StreamOwned<ServerConnection, TcpStream>) + Send + Sync + Clone + 'static,
) -> SocketAddr {
    let config = Arc::new(config);
    server(move |number, stream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        handle(number, StreamOwned::new(connection, stream));
    })
}
