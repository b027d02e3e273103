//! A certification authority of the tests' own, made anew for each run.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A private authority and one certificate that it signed.
pub struct Authority {
    folder: tempfile::TempDir,
    ca: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    /// An authority with a certificate for `localhost`, `127.0.0.1` and `::1`.
    pub fn new() -> Self {
        Self::for_names(&["localhost", "127.0.0.1", "::1"])
    }

    /// An authority with a certificate for these names and addresses.
    pub fn for_names(names: &[&str]) -> Self {
        Self::signing_with(&rcgen::PKCS_ECDSA_P256_SHA256, names)
    }

    /// An authority whose signatures, and whose server's, are of this kind.
    pub fn signing_with(kind: &'static rcgen::SignatureAlgorithm, names: &[&str]) -> Self {
        Self::make(kind, names, None)
    }

    /// An authority whose server has a certificate for so many more days.
    pub fn for_days(days: i64) -> Self {
        let ends = time::OffsetDateTime::now_utc() + time::Duration::days(days) + time::Duration::HOUR;
        Self::make(&rcgen::PKCS_ECDSA_P256_SHA256, &["localhost", "127.0.0.1", "::1"], Some(ends))
    }

    fn make(kind: &'static rcgen::SignatureAlgorithm, names: &[&str], ends: Option<time::OffsetDateTime>) -> Self {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name.push(DnType::CommonName, "tagwright test authority");
        let root_key = KeyPair::generate_for(kind).unwrap();
        let ca = root.self_signed(&root_key).unwrap();
        let issuer = Issuer::new(root, root_key);

        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.distinguished_name.push(DnType::CommonName, "tagwright test server");
        leaf.not_after = ends.unwrap_or(leaf.not_after);
        let key = KeyPair::generate_for(kind).unwrap();
        let certificate = leaf.signed_by(&key, &issuer).unwrap();

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        std::fs::write(folder.path().join("server.pem"), format!("{}{}", certificate.pem(), ca.pem())).unwrap();
        std::fs::write(folder.path().join("server.key"), key.serialize_pem()).unwrap();
        Self { folder, ca: ca.der().clone(), certificate: certificate.der().clone(), key: key.serialize_der() }
    }

    /// The authority's certificate, as `--ca-file` takes it.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The folder in which `ca.pem` is the only file that ends in `.crt` or `.pem` of interest.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's certificate chain.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// The server's key.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }

    /// What a server of the tests needs to answer in TLS.
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        self.server_with(provider(), rustls::DEFAULT_VERSIONS)
    }

    /// A server that knows one way to agree on keys, and one version of TLS.
    pub fn narrow_server(
        &self,
        group: &'static dyn rustls::crypto::SupportedKxGroup,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Arc<rustls::ServerConfig> {
        let narrow =
            rustls::crypto::CryptoProvider { kx_groups: vec![group], ..rustls::crypto::ring::default_provider() };
        self.server_with(Arc::new(narrow), &[version])
    }

    fn server_with(
        &self,
        provider: Arc<rustls::crypto::CryptoProvider>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<rustls::ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone(), self.ca.clone()], key)
            .unwrap();
        Arc::new(config)
    }

    /// What a client of the tests needs to trust this authority and no other.
    pub fn client(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
