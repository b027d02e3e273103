//! The second step of signature version 4: what is signed, bound to a moment, a region and a service.
//!
//! Specification: IAM User Guide, "Create a signed AWS API request", steps 2 and 3.

use crate::pure::text::instant;
use time::OffsetDateTime;

/// Where and when a signature counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureScope {
    /// The moment, as `YYYYMMDDTHHMMSSZ`.
    pub timestamp: String,
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// The service's name for signatures, such as `ecr`.
    pub service: String,
}

impl SignatureScope {
    /// The scope of a request that is sent at `now`.
    pub fn new(now: OffsetDateTime, region: &str, service: &str) -> Self {
        let timestamp = instant::rfc3339(now).replace(['-', ':'], "");
        Self { timestamp, region: region.to_owned(), service: service.to_owned() }
    }

    /// The day of the timestamp.
    pub fn date(&self) -> &str {
        self.timestamp.split('T').next().unwrap_or_default()
    }

    /// The scope as it stands in the string to sign and in the header.
    pub fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date(), self.region, self.service)
    }
}

/// What is signed, from the hash of the canonical request.
pub fn string_to_sign(scope: &SignatureScope, canonical_hash: &str) -> String {
    format!("AWS4-HMAC-SHA256\n{}\n{}\n{canonical_hash}", scope.timestamp, scope.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_scope_is_in_utc_whatever_the_offset() {
        let scope = SignatureScope::new(datetime!(2026-01-01 01:30:05.9 +02:00), "eu-west-1", "ecr");
        assert_eq!(scope.timestamp, "20251231T233005Z");
        assert_eq!(scope.text(), "20251231/eu-west-1/ecr/aws4_request");
        assert_eq!(
            string_to_sign(&scope, "00ff"),
            "AWS4-HMAC-SHA256\n20251231T233005Z\n20251231/eu-west-1/ecr/aws4_request\n00ff"
        );
    }
}
