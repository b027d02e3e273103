//! TLS on a stream: which roots are trusted, the handshake, and what its failures mean.
//!
//! Trusted are the roots built in, those of `--ca-file`, and the system's. Reading the system's bundle
//! costs more than a request, so that is put off until a server's certificate needs it; a file that
//! was named is read before the first handshake and has to be in order.

use super::stream::{Limit, Stream, fault};
use crate::error::{Code, Error};
use crate::io::world::{World, read_file};
use crate::pure::http::fault::{Fault, Trouble};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// More than any bundle of roots.
const BUNDLE_LIMIT: u64 = 8 * 1024 * 1024;

/// Where systems keep their roots, each in one file; the first that is there counts.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whom to trust; the roots themselves are put together at the first handshake.
pub(super) struct Trust {
    given: Vec<CertificateDer<'static>>,
    file: Option<String>,
    folders: Option<String>,
    config: OnceLock<Result<Arc<ClientConfig>, Fault>>,
}

impl Trust {
    /// Reads `--ca-file` and notes what the environment names.
    ///
    /// # Errors
    /// `config-malformed` where `--ca-file` holds no certificates, or others than roots.
    pub fn new(world: &World, ca_file: Option<&str>) -> Result<Self, Error> {
        let given = match ca_file {
            Some(path) => read_pem(path).and_then(|given| checked(path, given)).map_err(|why| {
                Error::new(Code::ConfigMalformed, format!("`--ca-file` {why}"))
                    .hint("give a file with the certificate of an authority in PEM form, `-----BEGIN CERTIFICATE-----`")
            })?,
            None => Vec::new(),
        };
        let owned = |name| world.env(name).map(str::to_owned);
        Ok(Self { given, file: owned("SSL_CERT_FILE"), folders: owned("SSL_CERT_DIR"), config: OnceLock::new() })
    }

    /// Makes a TLS connection of a plain one.
    pub fn handshake(&self, host: &str, stream: Box<dyn Stream>) -> Result<Tls, Fault> {
        let config = self.config.get_or_init(|| self.configure()).clone()?;
        let other = |why: String| Fault::Tls { trouble: Trouble::Other, why };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| other(format!("`{host}` is not a name that a certificate can hold")))?;
        let connection = ClientConnection::new(config, name).map_err(|error| explain(&error))?;
        let mut tls = Tls { connection, stream };
        tls.handshake().map_err(fault)?;
        Ok(tls)
    }

    fn configure(&self) -> Result<Arc<ClientConfig>, Fault> {
        let mut named = self.given.clone();
        if let Some(path) = &self.file {
            named.extend(read_pem(path).map_err(|why| Fault::Config {
                why: format!("`SSL_CERT_FILE` {why}"),
                hint: "set `SSL_CERT_FILE` to a file with roots in PEM form, or unset it".to_owned(),
            })?);
        }
        let provider = Arc::new(super::crypto::provider());
        let built_in = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let other = |why: String| Fault::Tls { trouble: Trouble::Other, why };
        let verifier = Verifier {
            first: Roots::new(built_in, named, &provider).ok_or_else(|| other("there are no roots".to_owned()))?,
            system: OnceLock::new(),
            bundles: if self.file.is_none() { &BUNDLES } else { &[] },
            folders: self.folders.clone(),
            provider: provider.clone(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| explain(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// The certificates of a PEM file; there is at least one.
fn read_pem(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read_file(Path::new(path), BUNDLE_LIMIT)
        .map_err(|error| format!("names `{path}`, which cannot be read: {}", super::stream::plain(&error)))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!("names `{path}`, which holds no certificate in PEM form")),
        Ok(found) => Ok(found),
        Err(_) => Err(format!("names `{path}`, which is not proper PEM")),
    }
}

fn checked(path: &str, found: Vec<CertificateDer<'static>>) -> Result<Vec<CertificateDer<'static>>, String> {
    for (i, certificate) in found.iter().enumerate() {
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|_| format!("names `{path}`, whose certificate number {} cannot be read", i + 1))?;
    }
    Ok(found)
}

/// Some roots, and the certificates that may also stand for a server themselves.
struct Roots {
    verifier: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Roots that cannot be read are passed over; `None` if there are none.
    fn new(
        mut roots: RootCertStore,
        named: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Option<Self> {
        roots.add_parsable_certificates(named.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok()?;
        Some(Self { verifier, named })
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verifier.verify_server_cert(end_entity, intermediates, name, &[], now) {
            // A self-signed certificate is mostly marked as an authority, which is not accepted of a
            // server. If it was given for exactly this, its name has to be right and it has to be valid.
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if self.named.iter().any(|named| named == end_entity) =>
            {
                let certificate = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, name).map(|()| ServerCertVerified::assertion())
            }
            done => done,
        }
    }
}

/// Checks a server's certificate against the roots that are known, and asks the system only then.
struct Verifier {
    first: Roots,
    system: OnceLock<Option<Roots>>,
    bundles: &'static [&'static str],
    folders: Option<String>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// The system's roots; what cannot be read there is passed over, as nobody named it.
    fn system(&self) -> Option<&Roots> {
        let load = || {
            let bundle = self.bundles.iter().find_map(|path| read_file(Path::new(path), BUNDLE_LIMIT).ok());
            let folders = self.folders.iter().flat_map(|folders| folders.split(':')).flat_map(files);
            let mut found = Vec::new();
            for bytes in bundle.into_iter().chain(folders.filter_map(|path| read_file(&path, BUNDLE_LIMIT).ok())) {
                found.extend(CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok));
            }
            Roots::new(RootCertStore::empty(), found, &self.provider)
        };
        self.system.get_or_init(load).as_ref()
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let first = self.first.verify(end_entity, intermediates, name, now);
        match &first {
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))) => {
                let system = self.system().map(|system| system.verify(end_entity, intermediates, name, now));
                system.unwrap_or(first)
            }
            _ => first,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.first.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.first.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.first.verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// What a failure of TLS means to a person.
fn explain(error: &rustls::Error) -> Fault {
    use rustls::Error as E;
    let (trouble, why) = match error {
        E::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => {
                (Trouble::UnknownIssuer, "the server's certificate leads to no authority that is trusted".to_owned())
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                (Trouble::WrongName, format!("the server's certificate is for other names: {error}"))
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                (Trouble::Expired, "the server's certificate has expired".to_owned())
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                let why = "the server's certificate is not valid yet; the clock of this machine may be wrong";
                (Trouble::Expired, why.to_owned())
            }
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                (Trouble::UnknownIssuer, "the server's certificate is signed by itself and not trusted".to_owned())
            }
            other => (Trouble::Other, format!("the server's certificate is not acceptable: {other}")),
        },
        E::InvalidMessage(_) | E::AlertReceived(AlertDescription::ProtocolVersion) => {
            (Trouble::NotTls, format!("what answers does not speak TLS 1.2 or later: {error}"))
        }
        E::AlertReceived(alert) => (Trouble::Other, format!("the server broke off the handshake: {alert:?}")),
        other => (Trouble::Other, other.to_string()),
    };
    Fault::Tls { trouble, why }
}

/// A TLS connection on a stream.
pub(super) struct Tls {
    connection: ClientConnection,
    stream: Box<dyn Stream>,
}

impl Tls {
    /// Goes on until the server is known. Our last message is left to travel with the first request.
    fn handshake(&mut self) -> io::Result<()> {
        while self.connection.is_handshaking() {
            self.send()?;
            if self.connection.is_handshaking() && self.receive()? == 0 {
                let why = "closed during the TLS handshake".to_owned();
                return Err(io::Error::other(Fault::Reset { why }));
            }
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Takes in what is there and makes sense of it.
    fn receive(&mut self) -> io::Result<usize> {
        let amount = self.connection.read_tls(&mut self.stream)?;
        if let Err(error) = self.connection.process_new_packets() {
            // The other side learns why, if it still listens.
            let _ = self.send();
            return Err(io::Error::other(explain(&error)));
        }
        Ok(amount)
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            // Answers to the other side's housekeeping; if they cannot be sent there may still be a reply.
            let _ = self.send();
            self.receive()?;
        }
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let amount = self.connection.writer().write(bytes)?;
        self.send()?;
        Ok(amount)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Stream for Tls {
    fn limit(&mut self, limit: Limit) {
        self.stream.limit(limit);
    }

    /// Session tickets may come at any time and are no reason to give a connection up.
    fn is_quiet(&mut self) -> bool {
        if self.stream.is_quiet() {
            return true;
        }
        if self.stream.set_nonblocking(true).is_err() {
            return false;
        }
        let received = self.receive();
        if self.stream.set_nonblocking(false).is_err() || !matches!(received, Ok(1..)) {
            return false;
        }
        let said = self.connection.reader().read(&mut [0]);
        matches!(said, Err(error) if error.kind() == ErrorKind::WouldBlock) && self.stream.is_quiet()
    }

    fn set_nonblocking(&mut self, on: bool) -> io::Result<()> {
        self.stream.set_nonblocking(on)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.stream).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, ask, limits, options, read_request, server, tls_server, world};
    use super::super::{Http, Limits, Options};
    use super::*;
    use crate::pure::http::fault::Phase;
    use crate::pure::http::message::{Method, Request, Response};
    use crate::pure::http::url::Url;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    fn http(environment: &[(&str, &str)], ca_file: Option<&str>) -> Http {
        let options = Options { ca_file: ca_file.map(str::to_owned), ..options() };
        Http::new(&world(environment), &options).unwrap()
    }

    fn get(host: &str, address: SocketAddr) -> Request {
        Request::new(Method::Get, Url::parse(&format!("https://{host}:{}/v2/", address.port())).unwrap())
    }

    /// Asks a server whose certificate this authority has made out to `names`.
    fn check(authority: &Authority, names: &[&str], http: &Http) -> Result<Response, Fault> {
        let address = tls_server(authority.server(names), |_, mut stream| {
            while !read_request(&mut stream).is_empty() {
                stream.write_all(OK).unwrap();
            }
        });
        ask(http, &get("127.0.0.1", address), &limits())
    }

    #[test]
    fn a_private_authority_is_trusted_when_it_is_given_and_not_otherwise() {
        let authority = Authority::new();
        let file = authority.file();
        let path = file.path().to_str().unwrap();
        for (environment, ca_file) in [(vec![], Some(path)), (vec![("SSL_CERT_FILE", path)], None)] {
            assert_eq!(check(&authority, &["127.0.0.1"], &http(&environment, ca_file)).unwrap().body, b"ok");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(path, folder.path().join("root.pem")).unwrap();
        let folders = format!("/no/such/folder:{}", folder.path().display());
        assert!(check(&authority, &["127.0.0.1"], &http(&[("SSL_CERT_DIR", &folders)], None)).is_ok());

        let fault = check(&authority, &["127.0.0.1"], &http(&[], None)).unwrap_err();
        assert!(matches!(fault, Fault::Tls { trouble: Trouble::UnknownIssuer, .. }), "{fault:?}");
        assert!(fault.hint().contains("--ca-file") && !fault.repeatable());
        let other = Authority::new().file();
        assert!(check(&authority, &["127.0.0.1"], &http(&[], other.path().to_str())).is_err());
    }

    #[test]
    fn a_self_signed_certificate_can_be_given_itself() {
        for (is_authority, name, accepted) in
            [(true, "127.0.0.1", true), (false, "127.0.0.1", true), (true, "other.example", false)]
        {
            let alone = Authority::alone(is_authority, name);
            let file = alone.file();
            let run = |http: &Http| {
                let address = tls_server(alone.itself(), |_, mut stream| {
                    read_request(&mut stream);
                    stream.write_all(OK).unwrap();
                });
                ask(http, &get("127.0.0.1", address), &limits())
            };
            assert_eq!(run(&http(&[], file.path().to_str())).is_ok(), accepted, "{is_authority} {name}");
            let fault = run(&http(&[], None)).unwrap_err();
            assert!(fault.hint().contains("--ca-file"), "{fault:?}");
        }
    }

    #[test]
    fn wrong_names_and_times_are_said_in_words() {
        let authority = Authority::new();
        let file = authority.file();
        let http = http(&[], file.path().to_str());
        let fault = check(&authority, &["registry.example"], &http).unwrap_err();
        assert!(
            matches!(&fault, Fault::Tls { trouble: Trouble::WrongName, why } if why.contains("registry.example")),
            "{fault}"
        );

        for (from, to, word) in [(2001, 2002, "expired"), (2101, 2102, "not valid yet")] {
            let address = tls_server(authority.server_valid(&["127.0.0.1"], from, to), |_, mut stream| {
                read_request(&mut stream);
            });
            let fault = ask(&http, &get("127.0.0.1", address), &limits()).unwrap_err();
            assert!(matches!(&fault, Fault::Tls { trouble: Trouble::Expired, why } if why.contains(word)), "{fault}");
        }
    }

    #[test]
    fn servers_that_speak_no_tls_are_told_apart() {
        let plain = server(|_, mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            super::super::testing::shut(stream);
        });
        let fault = ask(&http(&[], None), &get("127.0.0.1", plain), &limits()).unwrap_err();
        assert!(matches!(fault, Fault::Tls { trouble: Trouble::NotTls, .. }), "{fault:?}");

        let closing = server(|_, stream| super::super::testing::shut(stream));
        let fault = ask(&http(&[], None), &get("127.0.0.1", closing), &limits()).unwrap_err();
        assert_eq!(fault, Fault::Reset { why: "closed during the TLS handshake".into() });

        let silent = server(|_, _stream| thread::sleep(Duration::from_millis(1500)));
        let wait = Duration::from_millis(150);
        let fault =
            ask(&http(&[], None), &get("127.0.0.1", silent), &Limits { connect: wait, ..limits() }).unwrap_err();
        assert_eq!(fault, Fault::Timeout { what: Phase::Connect, after: wait });
    }

    #[test]
    fn a_cut_connection_is_not_the_end_of_a_body() {
        let authority = Authority::new();
        let file = authority.file();
        let http = http(&[], file.path().to_str());
        for (head, said, complete) in [
            (&b"HTTP/1.1 200 OK\r\n\r\nabc"[..], true, true),
            (b"HTTP/1.1 200 OK\r\n\r\nabc", false, false),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true, false),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, true),
        ] {
            let address = tls_server(authority.server(&["127.0.0.1"]), move |_, mut stream| {
                read_request(&mut stream);
                stream.write_all(head).unwrap();
                if said {
                    stream.conn.send_close_notify();
                }
                let _ = stream.flush();
                super::super::testing::shut(stream.sock);
            });
            let outcome = ask(&http, &get("127.0.0.1", address), &limits());
            match outcome {
                Ok(response) => assert!(complete && response.body == b"abc", "{head:?}"),
                Err(fault) => assert!(!complete && matches!(fault, Fault::Truncated { got: 3, .. }), "{fault:?}"),
            }
        }
    }

    #[test]
    fn tls_connections_are_kept_and_idle_limits_hold() {
        let authority = Authority::new();
        let file = authority.file();
        let http = http(&[], file.path().to_str());
        let count = Arc::new(AtomicUsize::new(0));
        let address = {
            let count = count.clone();
            tls_server(authority.server(&["127.0.0.1"]), move |_, mut stream| {
                count.fetch_add(1, Ordering::SeqCst);
                loop {
                    let request = read_request(&mut stream);
                    if request.starts_with("PUT") || request.is_empty() {
                        thread::sleep(Duration::from_millis(1000));
                        return;
                    }
                    stream.write_all(OK).unwrap();
                }
            })
        };
        for _ in 0..5 {
            assert_eq!(ask(&http, &get("127.0.0.1", address), &limits()).unwrap().body, b"ok");
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let idle = Duration::from_millis(100);
        let request = Request { method: Method::Put, ..get("127.0.0.1", address) };
        let fault = ask(&http, &request, &Limits { idle, ..limits() }).unwrap_err();
        assert_eq!(fault, Fault::Timeout { what: Phase::Idle, after: idle });
    }

    #[test]
    fn tls_1_2_is_still_spoken_and_nothing_older_is_needed() {
        let authority = Authority::new();
        let file = authority.file();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let config = authority.server_speaking(&["127.0.0.1"], version);
            let address = tls_server(config, |_, mut stream| {
                read_request(&mut stream);
                stream.write_all(OK).unwrap();
            });
            let response = ask(&http(&[], file.path().to_str()), &get("127.0.0.1", address), &limits());
            assert_eq!(response.unwrap().body, b"ok", "{version:?}");
        }
    }

    #[test]
    fn files_without_certificates_are_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        for content in [
            "",
            "nonsense",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n",
        ] {
            file.as_file_mut().set_len(0).unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            let error = Trust::new(&world(&[]), Some(&path)).err().unwrap();
            assert_eq!(error.code(), Code::ConfigMalformed);
            assert!(error.message().contains(&path) && error.message().contains("--ca-file"), "{error}");
        }
        let error = Trust::new(&world(&[]), Some("/no/such/file")).err().unwrap();
        assert!(error.message().contains("`/no/such/file`"), "{error}");

        let address = server(|_, _| ());
        let fault =
            ask(&http(&[("SSL_CERT_FILE", "/no/such/file")], None), &get("127.0.0.1", address), &limits()).unwrap_err();
        assert_eq!(fault.code(), Code::ConfigMalformed);
        assert!(
            fault.to_string().contains("`SSL_CERT_FILE`") && fault.to_string().contains("`/no/such/file`"),
            "{fault}"
        );
    }
}
