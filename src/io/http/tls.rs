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
use rustls::crypto::{CryptoProvider, ring};
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
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.add_parsable_certificates(self.given.iter().cloned());
        if let Some(path) = &self.file {
            let named = read_pem(path).map_err(|why| Fault::Config {
                why: format!("`SSL_CERT_FILE` {why}"),
                hint: "set `SSL_CERT_FILE` to a file with roots in PEM form, or unset it".to_owned(),
            })?;
            roots.add_parsable_certificates(named);
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier {
            first: verifier(roots, &provider).map_err(|why| Fault::Tls { trouble: Trouble::Other, why })?,
            system: OnceLock::new(),
            bundles: if self.file.is_none() { &BUNDLES } else { &[] },
            folders: self.folders.clone(),
            given: self.given.clone(),
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

fn verifier(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| error.to_string())
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

/// Checks a server's certificate against the roots that are known, and asks the system only then.
struct Verifier {
    first: Arc<WebPkiServerVerifier>,
    system: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
    bundles: &'static [&'static str],
    folders: Option<String>,
    given: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// The system's roots; what cannot be read there is passed over, as nobody named it.
    fn system(&self) -> Option<&Arc<WebPkiServerVerifier>> {
        let load = || {
            let mut roots = RootCertStore::empty();
            let bundle = self.bundles.iter().find_map(|path| read_file(Path::new(path), BUNDLE_LIMIT).ok());
            let folders = self.folders.iter().flat_map(|folders| folders.split(':')).flat_map(files);
            for bytes in bundle.into_iter().chain(folders.filter_map(|path| read_file(&path, BUNDLE_LIMIT).ok())) {
                roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok));
            }
            verifier(roots, &self.provider).ok()
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
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // A self-signed certificate that was given for exactly this purpose is often marked as an
        // authority, which the usual rules do not accept of a server.
        if self.given.iter().any(|given| given == end_entity) {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            return rustls::client::verify_server_name(&certificate, server_name)
                .map(|()| ServerCertVerified::assertion());
        }
        let ask = |roots: &WebPkiServerVerifier| {
            roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match ask(&self.first) {
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => match self.system() {
                Some(system) => ask(system),
                None => Err(CertificateError::UnknownIssuer.into()),
            },
            done => done,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.first.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.first.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.first.supported_verify_schemes()
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
