//! What AWS services answer when they refuse: read from every form on the wire, sorted into codes,
//! with what to do about each.
//!
//! The table [`KNOWN`] is the one place for it; `docs/aws.md` repeats it and is checked against it.
//!
//! Sources: Amazon ECR API Reference, AWS STS API Reference, "Common errors" of each.

use crate::error::{Code, Error, Refusal};
use crate::pure::aws::sts::element;
use crate::pure::http::message::Request;
use crate::pure::http::retry::http_date;
use crate::pure::http::{Response, redact};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

/// A refusal as the service put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsFault {
    /// The service's name for what is wrong, without name space; empty where it gave none.
    pub name: String,
    /// The service's sentence, cut to what can be shown.
    pub message: String,
    /// The service's name for the request.
    pub request_id: Option<String>,
    /// The HTTP status.
    pub status: u16,
}

/// Names of one kind of refusal, its code, and what to do.
pub struct AwsRefusal {
    /// The names.
    pub names: &'static [&'static str],
    /// The code it gets here.
    pub code: Code,
    /// What to do, as an imperative sentence; empty where the service's own words say it.
    pub hint: &'static str,
}

const fn known(names: &'static [&'static str], code: Code, hint: &'static str) -> AwsRefusal {
    AwsRefusal { names, code, hint }
}

const RIGHT: &str = "allow the action that the service names, in the role's policy or, across accounts, in the policy of the repository or role";
const KEY: &str = "check the access key; a temporary one needs its session token with it";
const EXPIRED: &str = "get fresh credentials: log in again, or use a role that renews itself";
const SIGNATURE: &str = "check the secret access key, and the clock of this machine";
const UPSTREAM: &str =
    "check the pull-through cache rule of that prefix: its credential, and that the image is there upstream";
const LATER: &str = "try again later";

/// Every refusal with a known meaning.
// A table, a kind a line.
#[rustfmt::skip]
pub static KNOWN: &[AwsRefusal] = &[
    known(&["AccessDenied", "AccessDeniedException"], Code::Denied, RIGHT),
    known(&["ExpiredToken", "ExpiredTokenException"], Code::TokenExpired, EXPIRED),
    known(&["RequestExpired"], Code::TokenExpired, "set the clock of this machine, or get fresh credentials"),
    known(&["RequestTimeTooSkewed"], Code::Unauthenticated, "set the clock of this machine"),
    known(&["InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException"], Code::Unauthenticated, SIGNATURE),
    known(&["UnrecognizedClientException", "InvalidClientTokenId", "MissingAuthenticationToken", "MissingAuthenticationTokenException"], Code::Unauthenticated, KEY),
    known(&["OptInRequired"], Code::Denied, "enable the region for the account in its account settings"),
    known(&["RegionDisabledException"], Code::Denied, "enable the token service for that region in the account settings"),
    known(&["InvalidIdentityToken"], Code::Unauthenticated, "check that the cluster's OIDC provider is known to the account, and that the token's audience is `sts.amazonaws.com`"),
    known(&["IDPRejectedClaim"], Code::Unauthenticated, "check that the token file is the one the cluster renews, and that its OIDC provider is the account's"),
    known(&["IDPCommunicationError"], Code::RegistryUnavailable, "try again later; the token's issuer did not answer AWS"),
    known(&["MalformedPolicyDocument", "PackedPolicyTooLarge", "ValidationError", "ValidationException", "InvalidParameterException"], Code::RequestInvalid, ""),
    known(&["RepositoryNotFoundException"], Code::RepositoryUnknown, "check name, account and region of the repository; ECR does not create one by pushing"),
    known(&["ImageNotFoundException", "ImageNotFound"], Code::TagUnknown, "`tagwright tags` lists the tags of the repository"),
    known(&["ImageTagAlreadyExistsException", "ImageAlreadyExistsException"], Code::TagImmutable, "promote under a new tag; the repository's tags are immutable"),
    known(&["ImageDigestDoesNotMatchException", "ImageTagDoesNotMatchDigest"], Code::DigestMismatch, ""),
    known(&["InvalidImageDigest", "InvalidImageTag", "MissingDigestAndTag"], Code::ReferenceInvalid, ""),
    known(&["LayersNotFoundException"], Code::BlobMissing, "push the image again; a lifecycle rule may have removed a part of it"),
    known(&["LayerInaccessibleException"], Code::BlobMissing, "push the image again; the layer is not there to be read"),
    known(&["ReferencedImagesNotFoundException"], Code::BlobMissing, "push the images that the index names first"),
    known(&["ImageInaccessible"], Code::Denied, "restore the image from the archive first"),
    known(&["LimitExceededException"], Code::Denied, "raise the quota of the account, or delete what is no longer used"),
    known(&["KmsException", "KmsError"], Code::Denied, "allow the caller the key that encrypts the repository, and check that it is enabled"),
    known(&["RepositoryPolicyNotFoundException"], Code::Denied, "give the repository a policy that allows the calling account"),
    known(&["UnableToGetUpstreamImageException", "UnableToGetUpstreamLayerException"], Code::RegistryUnavailable, UPSTREAM),
    known(&["UpstreamAccessDenied", "UnsupportedUpstreamRegistryException"], Code::Denied, UPSTREAM),
    known(&["UpstreamTooManyRequests", "ThrottlingException", "Throttling", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"], Code::RateLimited, LATER),
    known(&["UpstreamUnavailable", "ServerException", "InternalFailure", "InternalServerError", "ServiceUnavailable"], Code::RegistryUnavailable, LATER),
];

impl AwsFault {
    /// Reads a refusal from a reply with a status that is not 2xx.
    pub fn read(response: &Response) -> Self {
        let text = String::from_utf8_lossy(&response.body);
        let json: Value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        // STS wraps code and message, ECR and the container endpoint do not.
        let inner = json.get("Error").unwrap_or(&json);
        let pick =
            |names: &[&str]| names.iter().find_map(|name| inner.get(name).and_then(Value::as_str).map(str::to_owned));
        let name = response
            .headers
            .get("x-amzn-errortype")
            .map(str::to_owned)
            .or_else(|| pick(&["__type", "Code", "code"]))
            .or_else(|| element(&text, "Code"))
            .unwrap_or_default();
        let message = pick(&["message", "Message"])
            .or_else(|| element(&text, "Message"))
            .or_else(|| plain_text(&text))
            .unwrap_or_default();
        let request_id = ["x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id"]
            .iter()
            .find_map(|name| response.headers.get(name).map(str::to_owned))
            .or_else(|| element(&text, "RequestId"));
        let message = showable(&redact::words(&message, &response.secrets));
        Self { name: bare_name(&name), message, request_id, status: response.status }
    }

    /// A failure that a reply of status 200 lists for one of several images.
    pub fn listed(code: &str, reason: &str) -> Self {
        Self { name: bare_name(code), message: showable(reason), request_id: None, status: 200 }
    }

    /// Whether the service asks to be called less often; told by the name, for the status is 400.
    pub fn is_throttle(&self) -> bool {
        ["Throttl", "TooManyRequests"].iter().any(|start| self.name.starts_with(start))
            || self.known().is_some_and(|known| known.code == Code::RateLimited)
            || self.status == 429
    }

    /// Whether the same call may succeed in a moment.
    pub fn is_repeatable(&self) -> bool {
        self.is_throttle()
            || matches!(self.status, 408 | 500 | 502 | 503 | 504)
            || matches!(self.name.as_str(), "IDPCommunicationError" | "UpstreamUnavailable")
    }

    /// Whether it is about the moment of the request, which a wrong clock explains.
    fn is_about_time(&self) -> bool {
        matches!(
            self.name.as_str(),
            "InvalidSignatureException" | "SignatureDoesNotMatch" | "RequestTimeTooSkewed" | "RequestExpired"
        ) || self.message.contains("Signature expired")
            || self.message.contains("not yet current")
    }

    fn known(&self) -> Option<&'static AwsRefusal> {
        KNOWN.iter().find(|known| known.names.contains(&self.name.as_str()))
    }

    /// The code it gets here.
    pub fn code(&self) -> Code {
        if let Some(known) = self.known() {
            return known.code;
        }
        match self.status {
            _ if self.is_throttle() => Code::RateLimited,
            // A credential is refused by name as a rule; without one the status has to do.
            401 => Code::Unauthenticated,
            408 | 499 | 500.. => Code::RegistryUnavailable,
            400..=499 => Code::Denied,
            _ => Code::ReplyMalformed,
        }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        if let Some(action) = self.refused_action() {
            let owner = if self.message.contains("explicit deny") {
                "remove the explicit deny of"
            } else if self.message.contains("no resource-based policy allows") {
                "allow, in the policy of the repository or role that is asked,"
            } else {
                "allow"
            };
            return Some(format!("{owner} `{action}` for the caller that the service names"));
        }
        self.known().filter(|known| !known.hint.is_empty()).map(|known| known.hint.to_owned())
    }

    /// The action in `… is not authorized to perform: ecr:BatchGetImage on resource: …`.
    pub fn refused_action(&self) -> Option<&str> {
        let (_, rest) = self.message.split_once("not authorized to perform: ")?;
        let action = rest.split([' ', ',']).next()?;
        let fits = action.contains(':') && action.chars().all(|c| c.is_ascii_alphanumeric() || c == ':' || c == '-');
        fits.then_some(action)
    }

    /// The error, for a call that wanted `what`.
    pub fn error(&self, what: &str, service: &str, request: &Request) -> Error {
        let name = if self.name.is_empty() { String::new() } else { format!(" {}", self.name) };
        let url = format!("{}{}", request.url.origin(), request.url.path());
        let words = if self.message.is_empty() {
            "no reason was given".to_owned()
        } else {
            format!("{service} said: \"{}\"", self.message)
        };
        let refusal = Refusal {
            method: request.method.as_str().to_owned(),
            url: url.clone(),
            status: self.status,
            code: if self.name.is_empty() { None } else { Some(self.name.clone()) },
            request_id: self.request_id.clone(),
        };
        let error = Error::new(self.code(), what)
            .cause(format!("{} {url}: {}{name}; {words}", request.method.as_str(), self.status))
            .http(refusal);
        match self.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// How far the service's clock is ahead of ours, where a refusal is explained by that.
///
/// A signature counts for five minutes; a difference of less than four has another reason.
pub fn skew(fault: &AwsFault, response: &Response, now: OffsetDateTime) -> Option<Duration> {
    let theirs = http_date(response.headers.get("date")?, now)?;
    let ahead = theirs - now;
    (fault.is_about_time() && ahead.abs() >= Duration::minutes(4)).then_some(ahead)
}

/// Says in words how far our clock is off.
pub fn skew_text(ahead: Duration) -> String {
    let direction = if ahead.is_positive() { "behind" } else { "ahead of" };
    let amount = match ahead.abs().whole_minutes() {
        minutes @ 0..=119 => format!("{minutes} minutes"),
        minutes @ 120..=2879 => format!("{} hours", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    };
    format!("the clock of this machine is {amount} {direction} the clock of AWS")
}

// `com.amazonaws.ecr#Name`, `Name:http://…`.
fn bare_name(name: &str) -> String {
    let name = name.rsplit('#').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default().trim();
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(80).collect()
}

// A refused signature is answered with the canonical request, and that holds the session token.
fn showable(message: &str) -> String {
    let line = message.trim().lines().next().unwrap_or_default();
    let line = line.split("The Canonical String").next().unwrap_or_default().trim_end();
    line.chars().filter(|c| !c.is_control()).take(500).collect()
}

fn plain_text(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && !text.starts_with(['<', '{', '['])).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::http::message::{Headers, Method};
    use crate::pure::http::url::Url;
    use serde_json::json;
    use time::macros::datetime;

    fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter().fold(Headers::new(), |all, (name, value)| all.with(name, *value));
        Response {
            from: Url::parse("https://api.example/").unwrap(),
            status,
            headers,
            body: body.as_bytes().to_vec(),
            secrets: Default::default(),
        }
    }

    #[test]
    fn refusals_are_read_from_every_form() {
        for (status, headers, body, name, message, code) in [
            (
                400,
                &[][..],
                r#"{"__type":"com.amazonaws.ecr#RepositoryNotFoundException","message":"The repository with name 'a' does not exist"}"#,
                "RepositoryNotFoundException",
                "The repository with name 'a' does not exist",
                Code::RepositoryUnknown,
            ),
            (
                400,
                &[("X-Amzn-ErrorType", "ThrottlingException:http://aws.example/coral/")],
                r#"{"Message":"Rate exceeded"}"#,
                "ThrottlingException",
                "Rate exceeded",
                Code::RateLimited,
            ),
            (
                403,
                &[],
                r#"{"Error":{"Code":"AccessDenied","Message":"no","Type":"Sender"},"RequestId":"r"}"#,
                "AccessDenied",
                "no",
                Code::Denied,
            ),
            (
                400,
                &[],
                "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>Token expired: &quot;x&quot;</Message></Error><RequestId>r</RequestId></ErrorResponse>",
                "ExpiredTokenException",
                "Token expired: \"x\"",
                Code::TokenExpired,
            ),
            (404, &[], r#"{"code":"NotFound","message":"gone"}"#, "NotFound", "gone", Code::Denied),
            (404, &[], r#"{"code":"Not-`Found`.x"}"#, "NotFound.x", "", Code::Denied),
            (503, &[], "<html>busy</html>", "", "", Code::RegistryUnavailable),
            (500, &[], "boom", "", "boom", Code::RegistryUnavailable),
            (401, &[], "", "", "", Code::Unauthenticated),
            (429, &[], "", "", "", Code::RateLimited),
            (400, &[], r#"{"__type":"ThrottlingOfSomeKind"}"#, "ThrottlingOfSomeKind", "", Code::RateLimited),
        ] {
            let fault = AwsFault::read(&reply(status, headers, body));
            assert_eq!((fault.name.as_str(), fault.message.as_str(), fault.code()), (name, message, code), "{body}");
        }
    }

    #[test]
    fn what_may_pass_is_asked_for_again() {
        for (status, name, expected) in [
            (400, "ThrottlingException", true),
            (400, "IDPCommunicationError", true),
            (503, "", true),
            (429, "", true),
            (400, "ValidationException", false),
            (501, "", false),
        ] {
            let fault = AwsFault::read(&reply(status, &[], &format!(r#"{{"__type":"{name}"}}"#)));
            assert_eq!(fault.is_repeatable(), expected, "{status} {name}");
        }
    }

    #[test]
    fn names_are_listed_once_and_hints_are_sentences() {
        let mut seen = std::collections::HashSet::new();
        for known in KNOWN {
            assert!(known.names.iter().all(|name| seen.insert(name)), "one of {:?} stands twice", known.names);
            assert!(!known.hint.ends_with('.') && !known.hint.starts_with(char::is_uppercase), "{}", known.hint);
        }
    }

    #[test]
    fn a_session_token_in_the_services_own_words_is_cut_off() {
        let body = r#"{"__type":"InvalidSignatureException","message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'POST\nx-amz-security-token:sekret'"}"#;
        let fault = AwsFault::read(&reply(400, &[], body));
        assert!(fault.message.ends_with("for details."), "{}", fault.message);
        let one_line = AwsFault::listed("SignatureDoesNotMatch", "No match. The Canonical String is x:sekret");
        assert_eq!(one_line.message, "No match.");
    }

    #[test]
    fn the_missing_right_is_named() {
        for (message, expected) in [
            (
                "User: arn:aws:iam::1:user/ci is not authorized to perform: ecr:BatchGetImage on resource: arn:x because no identity-based policy allows the ecr:BatchGetImage action",
                "allow `ecr:BatchGetImage` for the caller that the service names",
            ),
            (
                "User: arn:x is not authorized to perform: ecr:PutImage on resource: arn:y because no resource-based policy allows the ecr:PutImage action",
                "allow, in the policy of the repository or role that is asked, `ecr:PutImage` for the caller that the service names",
            ),
            (
                "User: arn:x is not authorized to perform: sts:AssumeRole on resource: arn:y with an explicit deny in a service control policy",
                "remove the explicit deny of `sts:AssumeRole` for the caller that the service names",
            ),
            (
                "User: arn:x is not authorized to perform: execute-api:Invoke on resource: arn:y",
                "allow `execute-api:Invoke` for the caller that the service names",
            ),
            ("User: arn:x is not authorized to perform: this on resource: arn:y", RIGHT),
            ("User: arn:x is not authorized to perform: ecr:`PutImage` on resource: arn:y", RIGHT),
            ("no", RIGHT),
        ] {
            assert_eq!(AwsFault::listed("AccessDeniedException", message).hint().as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_wrong_clock_is_told_from_a_wrong_key() {
        let now = datetime!(2026-08-01 12:00:00 UTC);
        let body = r#"{"__type":"InvalidSignatureException","message":"Signature expired: 20260801T120000Z is now earlier than 20260801T122500Z"}"#;
        for (date, expected) in [
            ("Sat, 01 Aug 2026 12:30:00 GMT", Some(Duration::minutes(30))),
            ("Sat, 01 Aug 2026 10:00:00 GMT", Some(Duration::hours(-2))),
            ("Sat, 01 Aug 2026 12:03:00 GMT", None),
            ("yesterday", None),
        ] {
            let response = reply(403, &[("Date", date)], body);
            assert_eq!(skew(&AwsFault::read(&response), &response, now), expected, "{date}");
        }
        for (name, message, expected) in [
            ("SignatureDoesNotMatch", "no", true),
            ("AccessDeniedException", "Signature expired: 1 is now earlier than 2", true),
            ("AccessDeniedException", "Signature not yet current: 2 is still later than 1", true),
            ("AccessDeniedException", "no", false),
        ] {
            let body = json!({"__type": name, "message": message}).to_string();
            let response = reply(400, &[("Date", "Sat, 01 Aug 2026 13:00:00 GMT")], &body);
            assert_eq!(skew(&AwsFault::read(&response), &response, now).is_some(), expected, "{body}");
        }
        assert_eq!(skew_text(Duration::minutes(30)), "the clock of this machine is 30 minutes behind the clock of AWS");
        assert_eq!(skew_text(Duration::hours(-5)), "the clock of this machine is 5 hours ahead of the clock of AWS");
    }

    #[test]
    fn an_error_names_the_call_the_service_and_its_words() {
        let url = Url::parse("https://api.ecr.eu-west-1.amazonaws.com/").unwrap();
        let fault = AwsFault::read(&reply(
            400,
            &[("x-amzn-RequestId", "abc")],
            r#"{"__type":"AccessDeniedException","message":"nope"}"#,
        ));
        let error = fault.error("`app` could not be read", "Amazon ECR", &Request::new(Method::Post, url));
        assert_eq!(
            error.to_string(),
            format!(
                "error[denied]: `app` could not be read\n  cause: POST https://api.ecr.eu-west-1.amazonaws.com/: 400 \
                 AccessDeniedException; Amazon ECR said: \"nope\"\n  hint: {RIGHT}"
            )
        );
        assert_eq!(error.refusal().unwrap().request_id.as_deref(), Some("abc"));
    }
}
