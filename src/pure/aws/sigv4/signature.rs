//! The third step of signature version 4: the signature, and the request that carries it.
//!
//! Specification: IAM User Guide, "Create a signed AWS API request", steps 4 and 5.

use crate::pure::aws::AwsCredential;
use crate::pure::aws::sigv4::SignatureScope;
use crate::pure::aws::sigv4::canonical_request::canonical_request;
use crate::pure::aws::sigv4::string_to_sign::string_to_sign;
use crate::pure::http::message::Request;
use crate::pure::text::hex;
use crate::secret::Secret;
use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use sha2::Sha256;

/// The signature of a string to sign, in hexadecimal.
pub fn signature(secret: &Secret, scope: &SignatureScope, string_to_sign: &str) -> String {
    let key = hmac(format!("AWS4{}", secret.reveal()).as_bytes(), scope.date());
    let key = hmac(&key, &scope.region);
    let key = hmac(&key, &scope.service);
    let key = hmac(&key, "aws4_request");
    hex::encode(&hmac(&key, string_to_sign))
}

/// The request with its moment, session token and signature; every header that it has is signed.
///
/// What an earlier signature left on the request is replaced.
#[must_use]
pub fn sign(mut request: Request, credential: &AwsCredential, scope: &SignatureScope) -> Request {
    for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
        request.headers.remove(name);
    }
    request.headers.push("X-Amz-Date", &*scope.timestamp);
    if let Some(token) = &credential.session_token {
        request.headers.push("X-Amz-Security-Token", token.reveal());
    }
    let authority = request.url.authority();
    let mut headers: Vec<(&str, &str)> = request.headers.iter().collect();
    headers.push(("host", &authority));
    let body = request.body.as_deref().unwrap_or_default();
    let url = &request.url;
    let canonical = canonical_request(request.method.as_str(), url.path(), url.query(), &headers, body);
    let signature = signature(&credential.secret, scope, &string_to_sign(scope, &canonical.hash()));
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
        credential.key_id.reveal(),
        scope.text(),
        canonical.signed_headers
    );
    request.header("Authorization", value)
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of HMAC may have any length");
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::http::message::Method;
    use crate::pure::http::url::Url;
    use serde::Deserialize;
    use time::macros::datetime;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// One case of the published test suite for signature version 4.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        method: String,
        path: String,
        query: Option<String>,
        headers: Vec<(String, String)>,
        body: String,
        token: Option<String>,
        canonical_request: String,
        string_to_sign: String,
        signature: String,
    }

    fn credential(token: Option<&str>) -> AwsCredential {
        AwsCredential {
            key_id: Secret::new("AKIDEXAMPLE"),
            secret: Secret::new(SECRET),
            session_token: token.map(Secret::new),
            expires_at: None,
        }
    }

    #[test]
    fn the_published_suite_holds_at_each_step() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../../../tests/fixtures/aws/sigv4.json")).unwrap();
        assert_eq!(cases.len(), 24);
        let scope = SignatureScope::new(datetime!(2015-08-30 12:36:00 UTC), "us-east-1", "service");
        for case in cases {
            let mut headers: Vec<(&str, &str)> = case.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            headers.push(("X-Amz-Date", &scope.timestamp));
            if let Some(token) = &case.token {
                headers.push(("X-Amz-Security-Token", token));
            }
            let body = case.body.as_bytes();
            let canonical = canonical_request(&case.method, &case.path, case.query.as_deref(), &headers, body);
            assert_eq!(canonical.text, case.canonical_request, "{}: canonical request", case.name);
            let text = string_to_sign(&scope, &canonical.hash());
            assert_eq!(text, case.string_to_sign, "{}: string to sign", case.name);
            assert_eq!(signature(&Secret::new(SECRET), &scope, &text), case.signature, "{}: signature", case.name);
        }
    }

    fn call() -> Request {
        Request::new(Method::Post, Url::parse("https://api.ecr.eu-west-1.amazonaws.com/").unwrap())
            .header("Content-Type", "application/x-amz-json-1.1")
            .header("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
            .body(b"{}".to_vec())
    }

    #[test]
    fn a_call_is_signed_with_all_its_headers() {
        let scope = SignatureScope::new(datetime!(2026-08-01 12:00:00 UTC), "eu-west-1", "ecr");
        for (token, names, expected) in [
            (
                None,
                "content-type;host;x-amz-date;x-amz-target",
                "6ce50fd8035d1f6d970b62f334cfd451270e37375cfe2fa2b9dbc17412d833ad",
            ),
            (
                Some("FwoGZXIvYXdzEXAMPLE//"),
                "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
                "f976e9036dfaf2b6ae4753b6b56d279def0978076d0dc174343c0da5577ef550",
            ),
        ] {
            let signed = sign(call(), &credential(token), &scope);
            assert_eq!(signed.headers.get("x-amz-security-token"), token);
            assert_eq!(
                signed.headers.get("authorization").unwrap(),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260801/eu-west-1/ecr/aws4_request, \
                     SignedHeaders={names}, Signature={expected}"
                )
            );
        }
    }

    #[test]
    fn the_canonical_hash_of_a_call_is_the_known_one() {
        let headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Host", "api.ecr.eu-west-1.amazonaws.com"),
            ("X-Amz-Date", "20260801T120000Z"),
            ("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"),
        ];
        let canonical = canonical_request("POST", "/", None, &headers, b"{}");
        assert_eq!(canonical.hash(), "9a75c8b8c7a1dcde2471e8d3fc22b186737454af05993f79d53c3bd10ebd22ae");
    }

    #[test]
    fn signing_again_replaces_the_first_signature() {
        let early = SignatureScope::new(datetime!(2026-08-01 11:00:00 UTC), "eu-west-1", "ecr");
        let late = SignatureScope::new(datetime!(2026-08-01 12:00:00 UTC), "eu-west-1", "ecr");
        let once = sign(call(), &credential(Some("t")), &late);
        let twice = sign(sign(call(), &credential(Some("old")), &early), &credential(Some("t")), &late);
        assert_eq!(once.headers, twice.headers);
    }

    #[test]
    fn a_port_that_goes_without_saying_is_not_signed() {
        let scope = SignatureScope::new(datetime!(2026-08-01 12:00:00 UTC), "eu-west-1", "ecr");
        let bare = sign(call(), &credential(None), &scope);
        let mut with_port = call();
        with_port.url = Url::parse("https://api.ecr.eu-west-1.amazonaws.com:443/").unwrap();
        assert_eq!(sign(with_port, &credential(None), &scope).headers, bare.headers);
        let mut other = call();
        other.url = Url::parse("https://api.ecr.eu-west-1.amazonaws.com:8443/").unwrap();
        assert_ne!(sign(other, &credential(None), &scope).headers, bare.headers);
    }
}
