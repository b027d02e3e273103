//! Who signed a server's certificate, and until when it is valid.
//!
//! The certificate has been checked by then; this only tells of it, so what cannot be read is not told.
//!
//! Forms: RFC 5280, section 4.1.

use crate::pure::der::{INTEGER, SEQUENCE, any, part};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// What is told of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The name of whoever signed it.
    pub issuer: Option<String>,
    /// Its last moment.
    pub ends: Option<OffsetDateTime>,
}

const UTC_TIME: u8 = 0x17;
/// The version, which one of the first version leaves out.
const VERSION: u8 = 0xa0;
/// The last number of the two parts of a name that people know: `O` and `CN`.
const NAMES: [&[u8]; 2] = [&[0x55, 0x04, 0x03], &[0x55, 0x04, 0x0a]];

/// Reads a certificate as far as it is told.
pub fn read(der: &[u8]) -> Option<Certificate> {
    let (whole, _) = part(der, SEQUENCE)?;
    let (mut rest, _) = part(whole, SEQUENCE)?;
    if let Some((_, after)) = part(rest, VERSION) {
        rest = after;
    }
    let (_, rest) = part(rest, INTEGER)?;
    let (_, rest) = part(rest, SEQUENCE)?;
    let (issuer, rest) = part(rest, SEQUENCE)?;
    let (validity, _) = part(rest, SEQUENCE)?;
    let (_, _, end) = any(validity)?;
    Some(Certificate { issuer: NAMES.iter().find_map(|name| named(issuer, name)), ends: moment(end) })
}

/// The part of a name that is of this kind.
fn named(mut name: &[u8], kind: &[u8]) -> Option<String> {
    while let Some((_, set, rest)) = any(name) {
        name = rest;
        let (_, pair, _) = any(set)?;
        let (_, found, value) = any(pair)?;
        let (_, text, _) = any(value)?;
        if found == kind {
            return String::from_utf8(text.to_vec()).ok();
        }
    }
    None
}

fn moment(der: &[u8]) -> Option<OffsetDateTime> {
    const FORM: &[BorrowedFormatItem] = format_description!("[year][month][day][hour][minute][second]Z");
    let (tag, text, _) = any(der)?;
    let text = std::str::from_utf8(text).ok()?;
    // Years of two digits are those from 1950 on.
    let century = match text.as_bytes().first() {
        _ if tag != UTC_TIME => "",
        Some(b'5'..) => "19",
        _ => "20",
    };
    PrimitiveDateTime::parse(&format!("{century}{text}"), FORM).ok().map(PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    /// A certificate that signed itself.
    fn made(name: Option<(DnType, &str)>, year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["reg.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "XX");
        name.into_iter().for_each(|(kind, text)| params.distinguished_name.push(kind, text));
        params.not_after = date_time_ymd(year, 2, 3);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_signer_and_the_end_are_told() {
        for (name, year, issuer) in [
            (Some((DnType::CommonName, "an authority")), 2031, Some("an authority")),
            (Some((DnType::OrganizationName, "a house")), 2051, Some("a house")),
            (None, 1999, None),
        ] {
            let read = read(&made(name, year)).unwrap();
            assert_eq!((read.issuer.as_deref(), read.ends.unwrap().date().year()), (issuer, year));
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_told() {
        let whole = made(None, 2031);
        for cut in 0..whole.len() {
            read(&whole[..cut]);
        }
        for der in [&b""[..], b"\x30", b"\x30\x85\xff\xff\xff\xff\xff", b"\x30\x84\xff\xff\xff\xff", b"\x02\x01\x00"] {
            assert_eq!(read(der), None, "{der:?}");
        }
    }
}
