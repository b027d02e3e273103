//! What a failure of TLS means to a person, in no word of the library's own.

use crate::pure::http::{Fault, Trouble};
use crate::pure::text::quoted;
use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, CertificateError, Error, OtherError, RootCertStore};
use std::sync::Arc;

/// How many of a certificate's names are shown.
const NAMES: usize = 5;

/// The fault of a failure.
pub(super) fn explain(error: &Error) -> Fault {
    use Trouble::{NotTls, Other};
    let (trouble, why) = match error {
        Error::InvalidCertificate(error) => return refused(error),
        Error::AlertReceived(alert) => return Fault::Tls { trouble: Other, why: broken_off(*alert) },
        Error::InvalidMessage(_) => (NotTls, "what answers does not speak TLS"),
        Error::PeerIncompatible(_) => (Other, "the server speaks no version or form of TLS that is spoken here"),
        Error::NoCertificatesPresented => (Other, "the server shows no certificate"),
        Error::DecryptError => (Other, "what the server sent cannot be decrypted"),
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::PeerSentOversizedRecord => (Other, "the server breaks the rules of TLS"),
        _ => (Other, "the handshake failed on this side"),
    };
    Fault::Tls { trouble, why: why.to_owned() }
}

/// Whether other roots may accept a certificate that was refused for this.
pub(super) fn is_about_the_signer(error: &Error) -> bool {
    use CertificateError::{BadSignature, Other, UnknownIssuer};
    matches!(error, Error::InvalidCertificate(UnknownIssuer | BadSignature | Other(_)))
}

/// The same refusal of a certificate, with what only the certificate itself tells about its signer.
pub(super) fn with_signer(error: Error, certificate: &CertificateDer<'_>) -> Error {
    let why = match &error {
        Error::InvalidCertificate(CertificateError::Other(rule)) if !is_authority(rule) => return error,
        error if is_about_the_signer(error) && is_self_signed(certificate) => {
            "the server's certificate is signed by itself and not trusted"
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the server's certificate is signed by another authority than the trusted one of that name"
        }
        _ => return error,
    };
    let fault = Fault::Tls { trouble: Trouble::UnknownIssuer, why: why.to_owned() };
    CertificateError::Other(OtherError(Arc::new(fault))).into()
}

/// Whether it names one and the same as subject and as issuer.
fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    let mut roots = RootCertStore::empty();
    let read = roots.add(certificate.clone().into_owned());
    let subject = roots.roots.first().filter(|_| read.is_ok()).map(|root| root.subject.as_ref());
    // Both names are written alike, one behind the other.
    let twice = |subject: &[u8]| certificate.windows(subject.len()).filter(|part| *part == subject).count() > 1;
    subject.is_some_and(|subject| !subject.is_empty() && twice(subject))
}

fn is_authority(rule: &OtherError) -> bool {
    rule.to_string() == "CaUsedAsEndEntity"
}

fn refused(error: &CertificateError) -> Fault {
    use CertificateError as E;
    use Trouble::{Authority, Expired, Other, UnknownIssuer, WrongName};
    let (trouble, why) = match error {
        E::UnknownIssuer => (UnknownIssuer, "the server's certificate leads to no authority that is trusted"),
        E::NotValidForNameContext { presented, .. } => {
            return Fault::Tls { trouble: WrongName, why: other_names(presented) };
        }
        E::Expired | E::ExpiredContext { .. } => (Expired, "the server's certificate has expired"),
        E::NotValidYetContext { .. } => {
            (Expired, "the server's certificate is not valid yet; the clock of this machine may be wrong")
        }
        E::BadEncoding => (Other, "the server's certificate cannot be read"),
        E::BadSignature => (Other, "the signature of the server's handshake is wrong"),
        E::UnsupportedSignatureAlgorithmContext { .. } | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            (Other, "the server's certificate is signed in a way that is not accepted any more")
        }
        E::InvalidPurposeContext { .. } => (Other, "the server's certificate is not one for servers"),
        E::Other(rule) => match rule.0.downcast_ref::<Fault>() {
            Some(fault) => return fault.clone(),
            None if is_authority(rule) => {
                (Authority, "the server's certificate is marked as an authority's (`CA:TRUE`), not as a server's")
            }
            None => (Other, broken_rule(&rule.to_string())),
        },
        _ => (Other, "the server's certificate is not acceptable"),
    };
    Fault::Tls { trouble, why: why.to_owned() }
}

/// The rule of X.509 that a chain of certificates breaks, by the library's name for it.
fn broken_rule(name: &str) -> &'static str {
    match name.split(['(', ' ', '{']).next().unwrap_or_default() {
        "UnsupportedCertVersion" => "the server's certificate is of a version before 3",
        "UnsupportedCriticalExtension" => "the server's certificate has a critical extension that is not known here",
        "EndEntityUsedAsCa" => "what signed the server's certificate is no authority",
        "NameConstraintViolation" => "the authority of the server's certificate may not speak for this name",
        "PathLenConstraintViolated" | "MaximumPathDepthExceeded" => {
            "the server's certificate is further from its authority than allowed"
        }
        _ => "the server's certificate breaks a rule of X.509",
    }
}

/// Which names a certificate is for; each comes as its kind and, in brackets, itself.
fn other_names(presented: &[String]) -> String {
    let named = |name: &String| Some(quoted(name.split_once('(')?.1.trim_end_matches(')').trim_matches('"')));
    let mut names: Vec<String> = presented.iter().filter_map(named).collect();
    let more = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    match (names.join(", "), more) {
        (none, _) if none.is_empty() => "the server's certificate names no host".to_owned(),
        (names, 0) => format!("the server's certificate is for other names: {names}"),
        (names, more) => format!("the server's certificate is for other names: {names} and {more} more"),
    }
}

fn broken_off(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let why = match alert {
        A::ProtocolVersion => return "the server speaks no TLS as recent as 1.2".to_owned(),
        A::HandshakeFailure | A::InsufficientSecurity => "it accepts none of the ciphers offered",
        A::UnrecognisedName => "it knows no server of this name",
        A::CertificateRequired | A::NoCertificate => "it wants a client's certificate, which cannot be given here",
        A::AccessDenied => "it denies access",
        A::InternalError => "it has an internal error",
        other => return format!("the server broke off the handshake with alert {}", u8::from(other)),
    };
    format!("the server broke off the handshake: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::Authority;
    use rustls::{ExtendedKeyPurpose, PeerIncompatible};

    fn text(error: impl Into<Error>) -> String {
        explain(&error.into()).to_string()
    }

    #[test]
    fn a_rule_that_a_certificate_breaks_is_told_whoever_signed_it() {
        let by_itself = Authority::alone(false, "registry.example", 2100).der();
        for (rule, expected) in [
            ("UnsupportedCertVersion", "before 3"),
            ("CaUsedAsEndEntity", "signed by itself"),
            ("TrailingData", "a rule of"),
        ] {
            let error = CertificateError::Other(OtherError(Arc::from(Box::from(rule)))).into();
            let said = text(with_signer(error, &by_itself));
            assert!(said.contains(expected), "{rule}: {said}");
        }
    }

    #[test]
    fn every_failure_is_a_sentence() {
        let other = |name: &'static str| CertificateError::Other(OtherError(Arc::from(Box::from(name))));
        let presented = |names: &[&str]| CertificateError::NotValidForNameContext {
            expected: "registry.example".try_into().unwrap(),
            presented: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (error, expected) in [
            (presented(&[]), "names no host"),
            (presented(&["DirectoryName", "Unsupported(0x00)"]), "for other names: `0x00`"),
            (presented(&["DnsName(\"a.example\")", "IpAddress(10.0.0.1)"]), "for other names: `a.example`, `10.0.0.1`"),
            (presented(&["DnsName(\"a\")"; 7]), "`a`, `a`, `a`, `a`, `a` and 2 more"),
            (presented(&["DnsName(\"\u{1b}[2J\")"]), "`\\u{1b}[2J`"),
            (CertificateError::BadEncoding, "cannot be read"),
            (CertificateError::BadSignature, "handshake is wrong"),
            (
                CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                    signature_algorithm_id: vec![],
                    public_key_algorithm_id: vec![],
                },
                "not accepted any more",
            ),
            (
                CertificateError::InvalidPurposeContext {
                    required: ExtendedKeyPurpose::ServerAuth,
                    presented: vec![ExtendedKeyPurpose::ClientAuth],
                },
                "not one for servers",
            ),
            (other("CaUsedAsEndEntity"), "(`CA:TRUE`)"),
            (other("UnsupportedCertVersion"), "before 3"),
            (other("UnsupportedCriticalExtension"), "a critical extension"),
            (other("EndEntityUsedAsCa"), "is no authority"),
            (other("NameConstraintViolation"), "may not speak for this name"),
            (other("MaximumPathDepthExceeded"), "further from its authority"),
            (other("TrailingData(Certificate)"), "a rule of X.509"),
        ] {
            assert!(text(error).contains(expected), "{expected}");
        }
        for (error, expected) in [
            (Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13), "no version or form of TLS"),
            (Error::NoCertificatesPresented, "shows no certificate"),
            (Error::DecryptError, "cannot be decrypted"),
            (Error::PeerSentOversizedRecord, "breaks the rules of TLS"),
        ] {
            assert!(text(error).contains(expected), "{expected}");
        }
        for (alert, expected) in [
            (AlertDescription::HandshakeFailure, "none of the ciphers offered"),
            (AlertDescription::CertificateRequired, "a client's certificate"),
            (AlertDescription::DecodeError, "with alert 50"),
        ] {
            let text = text(Error::AlertReceived(alert));
            assert!(text.contains(expected) && !text.contains(&format!("{alert:?}")), "{text}");
        }
    }
}
