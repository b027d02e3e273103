//! Which certificates are trusted.
//!
//! The roots built in, those of `--ca-file`, and the system's, which `SSL_CERT_FILE` and `SSL_CERT_DIR`
//! name where they are not in the usual place. Making sense of the system's bundle costs more than a
//! request, so that is put off until a server's certificate needs it.

use crate::error::{Code, Error};
use crate::http::stream::plain;
use crate::http::tls_fault::{is_about_the_signer, with_signer};
use crate::pure::http::Fault;
use crate::system::BUNDLES;
use crate::world::{World, read_file};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SigningKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// More than any bundle of roots.
const BUNDLE_LIMIT: u64 = 8 * 1024 * 1024;

/// How a certificate begins in a PEM file.
const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Whom to trust; the roots themselves are put together at the first handshake.
#[derive(Debug)]
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
            Some(path) => read_pem(path).map_err(|why| {
                Error::new(Code::ConfigMalformed, format!("`--ca-file` {why}"))
                    .hint("give a file with the certificate of an authority in PEM form, `-----BEGIN CERTIFICATE-----`")
            })?,
            None => Vec::new(),
        };
        let owned = |name| world.env(name).map(str::to_owned);
        Ok(Self { given, file: owned("SSL_CERT_FILE"), folders: owned("SSL_CERT_DIR"), config: OnceLock::new() })
    }

    /// What a handshake needs, put together once.
    pub fn config(&self) -> Result<Arc<ClientConfig>, Fault> {
        self.config.get_or_init(|| self.configure()).clone()
    }

    fn configure(&self) -> Result<Arc<ClientConfig>, Fault> {
        if let Some(path) = &self.file {
            let bad = |why: String| Fault::Config {
                why: format!("`SSL_CERT_FILE` {why}"),
                hint: "set `SSL_CERT_FILE` to a file with roots in PEM form, or unset it".to_owned(),
            };
            let bytes = read_named(path).map_err(bad)?;
            if !bytes.windows(PEM_BEGIN.len()).any(|part| part == PEM_BEGIN) {
                return Err(bad(format!("names `{path}`, which holds no certificate in PEM form")));
            }
        }
        let provider = rustls::crypto::ring::default_provider();
        let provider = Arc::new(CryptoProvider { key_provider: &NoKeys, ..provider });
        let built_in = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let verifier = Verifier {
            first: Roots::new(built_in, self.given.clone()),
            system: OnceLock::new(),
            file: self.file.clone(),
            folders: self.folders.clone(),
            algorithms: provider.signature_verification_algorithms,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

fn read_named(path: &str) -> Result<Vec<u8>, String> {
    read_file(Path::new(path), BUNDLE_LIMIT)
        .map_err(|error| format!("names `{path}`, which cannot be read: {}", plain(&error)))
}

/// The certificates of a PEM file; there is at least one, and all can be roots.
fn read_pem(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read_named(path)?).collect();
    let found = found.map_err(|_| format!("names `{path}`, which is not proper PEM"))?;
    if found.is_empty() {
        return Err(format!("names `{path}`, which holds no certificate in PEM form"));
    }
    match found.iter().position(|one| RootCertStore::empty().add(one.clone()).is_err()) {
        Some(index) => Err(format!("names `{path}`, whose certificate number {} cannot be read", index + 1)),
        None => Ok(found),
    }
}

/// No client here has a certificate, so that none of what signs with one is part of the program.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("client certificates are not used".to_owned()))
    }
}

/// Some roots, and the certificates that may also stand for a server themselves.
#[derive(Debug)]
struct Roots {
    store: RootCertStore,
    named: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Roots that cannot be read are passed over.
    fn new(mut store: RootCertStore, named: Vec<CertificateDer<'static>>) -> Self {
        store.add_parsable_certificates(named.iter().cloned());
        Self { store, named }
    }
}

/// Checks a server's certificate against the roots that are known, and asks the system only then: its
/// bundle and its folders of single files.
#[derive(Debug)]
struct Verifier {
    first: Roots,
    system: OnceLock<Roots>,
    file: Option<String>,
    folders: Option<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// What rustls' own verifier does where it is given no lists of revoked certificates, whose readers the program lacks
    /// for this.
    fn verify(
        &self,
        roots: &Roots,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(&certificate, &roots.store, intermediates, now, algorithms) {
            // A self-signed certificate is mostly marked as an authority, which is not accepted of a
            // server. If it was given for exactly this, its name has to be right and it has to be valid.
            Err(error) if !is_about_the_signer(&error) || !roots.named.contains(end_entity) => Err(error),
            _ => verify_server_name(&certificate, name).map(|()| ServerCertVerified::assertion()),
        }
    }

    /// What cannot be read is passed over, as bundles hold the odd and the old.
    fn system(&self) -> &Roots {
        let load = || {
            let paths = self.file.as_deref().map_or(BUNDLES.to_vec(), |file| vec![file]);
            let bundle = paths.iter().find_map(|path| read_file(Path::new(path), BUNDLE_LIMIT).ok());
            let folders = self.folders.iter().flat_map(std::env::split_paths).flat_map(files);
            let singles = folders.filter_map(|path| read_file(&path, BUNDLE_LIMIT).ok());
            let mut found = Vec::new();
            for bytes in bundle.into_iter().chain(singles) {
                found.extend(CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok));
            }
            Roots::new(RootCertStore::empty(), found)
        };
        self.system.get_or_init(load)
    }
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
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
        let mut outcome = self.verify(&self.first, end_entity, intermediates, name, now);
        if outcome.as_ref().is_err_and(is_about_the_signer) {
            let second = self.verify(self.system(), end_entity, intermediates, name, now);
            // Roots that do not know the signer have nothing to add.
            if !matches!(second, Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))) {
                outcome = second;
            }
        }
        outcome.map_err(|error| with_signer(error, end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
