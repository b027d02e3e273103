//! What a service said when it refused, whatever form it said it in.
//!
//! Registries answer with the error document of the distribution specification, Docker Hub with one
//! of several others, proxies with HTML. All of it becomes one line of text and a list of codes;
//! which of our own codes that is depends on what was asked, and is decided by [`error`].
//!
//! Error document: OCI distribution specification, "Error codes".

use crate::error::{Code, Error, Refusal};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Budget, Response, Url, redact};
use crate::secret::Secret;
use serde_json::Value;
use std::sync::Arc;

/// How much of a service's own words is shown, in characters.
const SAID_LIMIT: usize = 500;

/// A refusal in the service's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorDocument {
    /// Its error codes, in order.
    pub codes: Vec<String>,
    /// Its text with its details, as it came.
    text: Option<String>,
    /// What must not be shown of it.
    secrets: Arc<[Secret]>,
    /// Whether it is the error document of the specification, which no proxy and no router sends.
    pub is_document: bool,
    is_json: bool,
}

/// The words by which registries say that a tag cannot change.
const IMMUTABLE: [&str; 6] = [
    // Amazon ECR, Google Artifact Registry, Harbor, Quay, and Docker Hub ("immutability settings").
    "immutab",
    "not mutable",
    // Azure, with the status 405, of a tag whose `writeEnabled` is false.
    "is locked",
    "operation is disallowed",
    // Sonatype Nexus, where redeploying is switched off.
    "does not allow updating",
    // The registry of CUE.
    "cannot overwrite tag",
];

impl ErrorDocument {
    /// Reads a reply's body.
    pub fn read(response: &Response) -> Self {
        let (body, secrets) = (String::from_utf8_lossy(&response.body), response.secrets.clone());
        let Ok(value) = serde_json::from_str::<Value>(&body) else {
            let text = Some(without_tags(&body)).filter(|text| !text.trim().is_empty()).map(|_| body.to_string());
            return Self { text, secrets, ..Self::default() };
        };
        let mut said = Self { secrets, is_json: true, ..Self::default() };
        let mut texts = Vec::new();
        if let Some(errors) = value.get("errors").and_then(Value::as_array) {
            for error in errors {
                if let Some(code) = error.get("code").and_then(Value::as_str) {
                    said.codes.push(code.to_owned());
                }
                said.is_document = true;
                let [message, detail] = ["message", "detail"].map(|key| error.get(key).and_then(Value::as_str));
                texts
                    .extend([message, detail].into_iter().flatten().filter(|text| !text.is_empty()).map(str::to_owned));
            }
        }
        for key in ["detail", "message", "details", "text", "error_description", "error"] {
            if texts.is_empty()
                && let Some(text) = value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
            {
                texts.push(text.to_owned());
            }
        }
        said.text = Some(texts.join("; ")).filter(|text| !text.is_empty());
        said
    }

    /// Its text on one line, without secrets, cut short.
    pub fn words(&self) -> Option<String> {
        let words = redact::words(self.text.as_deref()?, &self.secrets);
        Some(one_line(&if self.is_json { words } else { without_tags(&words) })).filter(|line| !line.is_empty())
    }

    /// Its first code, where that is one and no echo.
    fn code(&self) -> Option<&String> {
        self.codes.first().filter(|code| is_name(code) && redact::words(code, &self.secrets) == **code)
    }

    /// Whether one of the codes is among these.
    pub fn has(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|code| codes.iter().any(|known| code.eq_ignore_ascii_case(known)))
    }

    /// Whether it is that a token or a password has run out.
    pub fn has_expired(&self) -> bool {
        self.mentions("expired")
    }

    fn mentions(&self, word: &str) -> bool {
        self.text.as_deref().is_some_and(|text| text.to_ascii_lowercase().contains(word))
    }
}

/// What was asked for, as far as it decides what a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A manifest, by tag or digest.
    Manifest,
    /// A manifest that is being written.
    Write,
    /// A blob.
    Blob,
    /// The tag list.
    Tags,
    /// The tag list of Docker Hub's web API, which has a form of its own for what is not there.
    HubTags,
    /// Anything else, such as a token.
    Service,
}

/// Turns a reply that is not a success into an error. `wanted` says what was attempted, with the
/// object in backticks: "read `docker.io/acme/app:1`".
pub fn error(subject: Subject, wanted: &str, request: &Request, response: &Response) -> Error {
    of(subject, wanted, request, response, &ErrorDocument::read(response))
}

/// As [`error`], with the service's words read already.
pub fn of(subject: Subject, wanted: &str, request: &Request, response: &Response, said: &ErrorDocument) -> Error {
    let host = response.from.authority();
    let code = match code(subject, response.status, said) {
        _ if is_page(response) && response.status == 404 => Code::ReplyMalformed,
        code => code,
    };
    let message = match code {
        Code::TagUnknown | Code::RepositoryUnknown | Code::BlobMissing => format!("cannot {wanted}: it is not there"),
        Code::Denied => format!("`{host}` refused to {wanted}"),
        Code::Unauthenticated => format!("`{host}` did not accept the credential to {wanted}"),
        Code::TagImmutable => format!("cannot {wanted}: the registry does not let the tag change"),
        Code::ManifestRefused => format!("cannot {wanted}: `{host}` does not take the manifest"),
        Code::RateLimited => {
            format!("cannot {wanted}: `{host}` asks to come back later{}", Budget::told(&response.headers).words())
        }
        Code::RegistryUnavailable => format!("cannot {wanted}: `{host}` cannot answer now"),
        _ if is_page(response) => {
            format!("cannot {wanted}: `{host}` answered {} with a web page, as no registry does", response.status)
        }
        _ if response.status == 404 && subject != Subject::Service => {
            format!(
                "cannot {wanted}: `{host}` answered 404 without the error document of a registry, which proves nothing"
            )
        }
        _ => {
            format!("cannot {wanted}: `{host}` answered with the status {}, which means nothing here", response.status)
        }
    };
    let error = Error::new(code, message).cause(cause(request, response, said)).http(refusal(request, response, said));
    match code {
        Code::RateLimited => with_limits(error, response)
            .hint("run it again later, or give a credential: most limits are higher with one"),
        Code::RegistryUnavailable if subject == Subject::Write => {
            error.hint("run it again later; a second run repairs what the first left")
        }
        Code::RegistryUnavailable => error.hint("run it again later"),
        Code::Denied if subject == Subject::Service => error.hint("use a credential with the right to do this"),
        Code::Unauthenticated if subject == Subject::Service => {
            error.hint("check user name and password, or the access token")
        }
        Code::ReplyMalformed if subject == Subject::Service => error.hint(format!("check what answers at `{host}`")),
        // A rule of the registry's refuses, and no credential changes that.
        Code::Denied if response.status != 403 && !said.has(&["DENIED"]) => {
            error.hint(format!("do what the registry says, or ask whoever runs `{host}` about the rule behind it"))
        }
        Code::Denied => {
            error.hint("use a credential with the right to do this; a repository that does not exist may look the same")
        }
        Code::Unauthenticated => error.hint("check the credential; a repository that does not exist may look the same"),
        Code::BlobMissing => error.hint("push the image again: the registry has lost a part of it"),
        Code::RepositoryUnknown => {
            error.hint("check the spelling; a private repository may look the same without a credential")
        }
        Code::ReplyMalformed if said.mentions("https server") || said.mentions("https port") => {
            error.hint(format!("speak HTTPS to `{host}`: add `--https`, or leave `--plain-http` out"))
        }
        Code::ReplyMalformed => {
            error.hint(format!("check that a registry answers at `{host}`, and no proxy or login page in its place"))
        }
        _ => error,
    }
}

/// The refusal of a server that is not the one that was asked: a redirect led there, or an upload was sent there.
///
/// No credential goes to it, so what is wrong is between the two.
pub fn elsewhere(home: &Url, wanted: &str, request: &Request, response: &Response) -> Error {
    let (host, home) = (response.from.authority(), home.authority());
    let said = ErrorDocument::read(response);
    Error::new(Code::Denied, format!("`{host}`, to which `{home}` leads, refused to {wanted}"))
        .cause(cause(request, response, &said))
        .http(refusal(request, response, &said))
        .hint(format!("ask whoever runs `{home}` what `{host}` wants; it gets no credential from here"))
}

/// What the service says about its limits, under its own names.
fn with_limits(error: Error, response: &Response) -> Error {
    let names = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "ratelimit-limit",
        "ratelimit-remaining",
        "retry-after",
        "x-retry-after",
    ];
    let limits: serde_json::Map<String, Value> = names
        .iter()
        .filter_map(|name| {
            Some((
                (*name).to_owned(),
                Value::from(one_line(&redact::words(response.headers.get(name)?, &response.secrets))),
            ))
        })
        .collect();
    if limits.is_empty() { error } else { error.detail("limits", limits) }
}

/// The line `PUT https://…: 403; the registry said: "…"`.
pub fn cause(request: &Request, response: &Response, said: &ErrorDocument) -> String {
    let mut line = format!("{} {}: {}", request.method.as_str(), redact::url(&response.from), response.status);
    if let Some(text) = said.words() {
        line.push_str(&format!("; the registry said: \"{text}\""));
    } else if let Some(code) = said.code() {
        line.push_str(&format!("; the registry said: {code}"));
    }
    line
}

/// The machine-readable part of the same.
pub fn refusal(request: &Request, response: &Response, said: &ErrorDocument) -> Refusal {
    let id = ["x-request-id", "x-amzn-requestid", "docker-request-id", "x-ms-correlation-request-id"];
    Refusal {
        method: request.method.as_str().to_owned(),
        url: redact::url(&response.from),
        status: response.status,
        code: said.code().cloned(),
        request_id: id.iter().find_map(|name| response.headers.get(name)).filter(|id| is_name(id)).map(str::to_owned),
    }
}

/// Whether a reply proves that what was asked for is not there: by the error document of the specification, or by the
/// bare 404 to a `HEAD`, which has no body, of a host that `is_registry` by what it has said before.
///
/// The page of a router or a proxy, an empty 404 to a `GET`, and "unsupported" prove nothing.
pub fn proves_absence(method: Method, response: &Response, is_registry: bool) -> bool {
    let said = ErrorDocument::read(response);
    let by_document = said.is_document && !said.has(&["UNSUPPORTED"]);
    response.status == 404 && (by_document || method == Method::Head && is_registry && !is_page(response))
}

/// Whether a reply shows that its host is a registry: by the header that registries send, or by the error document.
pub fn shows_registry(response: &Response) -> bool {
    response.headers.get("docker-distribution-api-version").is_some() || ErrorDocument::read(response).is_document
}

/// Whether a reply is a web page: it comes from a proxy or a login.
fn is_page(response: &Response) -> bool {
    response.headers.get("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("html"))
}

/// Whether a text is what codes and request ids are: one short word. Anything else is somebody's prose, or an echo.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:+/=".contains(c);
    !text.is_empty() && text.len() <= 128 && text.chars().all(plain)
}

fn code(subject: Subject, status: u16, said: &ErrorDocument) -> Code {
    if status == 429 || said.has(&["TOOMANYREQUESTS"]) {
        return Code::RateLimited;
    }
    let immutable = said.has(&["TAG_INVALID"]) || IMMUTABLE.iter().any(|words| said.mentions(words));
    if subject == Subject::Write && matches!(status, 400 | 403 | 405 | 409 | 412) && immutable {
        return Code::TagImmutable;
    }
    let refused = ["MANIFEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNVERIFIED"];
    if subject == Subject::Write && matches!(status, 400 | 404 | 415 | 422) && said.has(&refused) {
        return Code::ManifestRefused;
    }
    match status {
        401 => Code::Unauthenticated,
        403 => Code::Denied,
        404 if subject == Subject::HubTags && said.text.is_some() => Code::RepositoryUnknown,
        404 if !said.is_document => Code::ReplyMalformed,
        404 if said.has(&["UNSUPPORTED"]) => Code::Denied,
        404 if said.has(&["NAME_UNKNOWN"]) => Code::RepositoryUnknown,
        404 => match subject {
            Subject::Manifest => Code::TagUnknown,
            Subject::Blob => Code::BlobMissing,
            Subject::Tags | Subject::HubTags | Subject::Write => Code::RepositoryUnknown,
            Subject::Service => Code::ReplyMalformed,
        },
        408 | 499 | 500..=599 => Code::RegistryUnavailable,
        400 | 405 | 409 | 411 | 412 | 413 | 415 | 422 if subject == Subject::Write => Code::Denied,
        // Whoever writes the document of the specification is a registry, and means no by it.
        400..=499 if said.is_document => Code::Denied,
        _ => Code::ReplyMalformed,
    }
}

/// A page without its tags.
fn without_tags(body: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = redact::text(&words.collect::<Vec<_>>().join(" "));
    match line.char_indices().nth(SAID_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::http::message::{Headers, Method};

    fn reply(status: u16, body: &str) -> Response {
        let from = Url::parse("https://r.example/v2/").unwrap();
        Response { from, status, headers: Headers::new(), body: body.as_bytes().to_vec(), secrets: Default::default() }
    }

    #[test]
    fn every_form_of_refusal_becomes_one_line() {
        for (body, codes, text) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"access denied","detail":[1]}]}"#,
                vec!["DENIED"],
                Some("access denied"),
            ),
            (
                r#"{"errors":[{"code":"X","message":"no","detail":"policy 7"},{"message":"","detail":{}}]}"#,
                vec!["X"],
                Some("no; policy 7"),
            ),
            (r#"{"message":"no tag <1> here"}"#, vec![], Some("no tag <1> here")),
            (r#"{"detail":"Object not found","message":"x"}"#, vec![], Some("Object not found")),
            (
                r#"{"message":"token issued from personal access token","errinfo":{}}"#,
                vec![],
                Some("token issued from personal access token"),
            ),
            ("<html><body><h1>502 Bad\nGateway</h1></body></html>", vec![], Some("502 Bad Gateway")),
            ("", vec![], None),
            ("{}", vec![], None),
            ("Too Many Requests", vec![], Some("Too Many Requests")),
            ("5 > 4", vec![], Some("5 > 4")),
        ] {
            let said = ErrorDocument::read(&reply(400, body));
            assert_eq!(said.codes, codes, "{body}");
            assert_eq!(said.words().as_deref(), text, "{body}");
        }
    }

    #[test]
    fn a_tag_that_cannot_change_is_known_by_the_words_of_every_registry() {
        for (status, code, message) in [
            (400, "TAG_INVALID", "The image tag '1' already exists in the 'a' repository and cannot be overwritten"),
            (412, "PRECONDITION", "Failed to process request due to 'app:1' configured as immutable."),
            (403, "DENIED", "tag 1 cannot be pushed because of the repository's immutability settings"),
            (400, "MANIFEST_INVALID", "cannot update tag 1: the repository has enabled tag immutability"),
            (405, "UNSUPPORTED", "The operation is disallowed on this registry, repository or image."),
            (400, "UNKNOWN", "Repository does not allow updating assets: docker-hosted"),
            (403, "DENIED", "requested access to the resource is denied: cannot overwrite tag"),
        ] {
            let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
            let request = Request::new(Method::Put, Url::parse("https://reg.example/v2/").unwrap());
            let error = error(Subject::Write, "push to `x`", &request, &reply(status, &body));
            assert_eq!(error.code(), Code::TagImmutable, "{status} {message}");
        }
    }

    #[test]
    fn absence_is_proven_by_the_document_or_by_a_registry_that_is_asked_for_the_head_alone() {
        let document = r#"{"errors":[{"code":"NOT_FOUND"}]}"#;
        let unsupported = r#"{"errors":[{"code":"UNSUPPORTED"}]}"#;
        for (method, status, body, is_registry, expected) in [
            (Method::Get, 404, document, false, true),
            (Method::Head, 404, "", true, true),
            (Method::Head, 404, "", false, false),
            (Method::Get, 404, "", true, false),
            (Method::Get, 404, "404 page not found", true, false),
            (Method::Get, 404, r#"{"error":"not found"}"#, true, false),
            (Method::Get, 404, unsupported, true, false),
            (Method::Get, 403, document, true, false),
            (Method::Head, 401, "", true, false),
        ] {
            assert_eq!(
                proves_absence(method, &reply(status, body), is_registry),
                expected,
                "{method:?} {status} {body}"
            );
        }
    }

    #[test]
    fn a_registry_is_known_by_its_header_or_by_the_document() {
        let header = Headers::new().with("Docker-Distribution-Api-Version", "registry/2.0");
        for (headers, body, expected) in [
            (header.clone(), "", true),
            (Headers::new(), r#"{"errors":[{"code":"NOT_FOUND"}]}"#, true),
            (header, r#"{"errors":[{"code":"NOT_FOUND"}]}"#, true),
            (Headers::new(), r#"{"error":"not found"}"#, false),
        ] {
            let reply = Response { headers, ..reply(404, body) };
            assert_eq!(shows_registry(&reply), expected, "{reply:?}");
        }
    }

    #[test]
    fn the_way_out_is_that_of_whoever_refused() {
        let said = |code: &str| format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
        for (subject, status, body, hint) in [
            (Subject::Service, 403, String::new(), "use a credential with the right to do this"),
            (Subject::Service, 401, String::new(), "check user name and password, or the access token"),
            (Subject::Service, 404, String::new(), "check what answers at `r.example`"),
            (
                Subject::Manifest,
                401,
                String::new(),
                "check the credential; a repository that does not exist may look the same",
            ),
            (
                Subject::Manifest,
                412,
                said("POLICY"),
                "do what the registry says, or ask whoever runs `r.example` about the rule behind it",
            ),
            (
                Subject::Manifest,
                403,
                said("POLICY"),
                "use a credential with the right to do this; a repository that does not exist may look the same",
            ),
            (
                Subject::Write,
                405,
                said("DENIED"),
                "use a credential with the right to do this; a repository that does not exist may look the same",
            ),
            (
                Subject::Tags,
                404,
                said("NAME_UNKNOWN"),
                "check the spelling; a private repository may look the same without a credential",
            ),
            (Subject::Blob, 404, said("BLOB_UNKNOWN"), "push the image again: the registry has lost a part of it"),
            (
                Subject::Manifest,
                429,
                String::new(),
                "run it again later, or give a credential: most limits are higher with one",
            ),
            (
                Subject::Manifest,
                404,
                String::new(),
                "check that a registry answers at `r.example`, and no proxy or login page in its place",
            ),
            (
                Subject::Manifest,
                400,
                "Client sent an HTTP request to an HTTPS server.".to_owned(),
                "speak HTTPS to `r.example`: add `--https`, or leave `--plain-http` out",
            ),
            (
                Subject::Manifest,
                400,
                "The plain HTTP request was sent to HTTPS port".to_owned(),
                "speak HTTPS to `r.example`: add `--https`, or leave `--plain-http` out",
            ),
        ] {
            let request = Request::new(Method::Get, Url::parse("https://r.example/v2/").unwrap());
            let error = error(subject, "read `x`", &request, &reply(status, &body));
            assert_eq!(error.hint_text(), Some(hint), "{subject:?} {status} {body}");
        }
    }

    #[test]
    fn a_password_that_has_run_out_is_known_by_the_words() {
        for (message, expected) in [("Your authorization token has expired. Reauthenticate.", true), ("no", false)] {
            let body = format!(r#"{{"errors":[{{"code":"DENIED","message":"{message}"}}]}}"#);
            assert_eq!(ErrorDocument::read(&reply(403, &body)).has_expired(), expected, "{message}");
        }
    }

    #[test]
    fn a_refusal_says_what_was_refused() {
        let denied = r#"{"errors":[{"code":"DENIED"}]}"#;
        let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;
        for (status, body, message) in [
            (404, unknown, "cannot read `x`: it is not there"),
            (429, "", "cannot read `x`: `r.example` asks to come back later"),
            (503, "", "cannot read `x`: `r.example` cannot answer now"),
            (401, "", "`r.example` did not accept the credential to read `x`"),
            (403, denied, "`r.example` refused to read `x`"),
            (418, "", "cannot read `x`: `r.example` answered with the status 418, which means nothing here"),
            (
                404,
                "",
                "cannot read `x`: `r.example` answered 404 without the error document of a registry, which proves nothing",
            ),
        ] {
            let request = Request::new(Method::Get, Url::parse("https://r.example/v2/").unwrap());
            assert_eq!(error(Subject::Manifest, "read `x`", &request, &reply(status, body)).message(), message);
        }
        let immutable = r#"{"errors":[{"code":"TAG_INVALID"}]}"#;
        let invalid = r#"{"errors":[{"code":"MANIFEST_INVALID"}]}"#;
        for (body, message) in [
            (immutable, "cannot write `x`: the registry does not let the tag change"),
            (invalid, "cannot write `x`: `r.example` does not take the manifest"),
        ] {
            let request = Request::new(Method::Put, Url::parse("https://r.example/v2/").unwrap());
            assert_eq!(error(Subject::Write, "write `x`", &request, &reply(400, body)).message(), message);
        }
    }

    #[test]
    fn a_web_page_is_no_answer_of_a_registry() {
        let headers = Headers::new().with("Content-Type", "Text/HTML; charset=utf-8");
        for (subject, status, code, message) in [
            (
                Subject::HubTags,
                404,
                Code::ReplyMalformed,
                "cannot read `x`: `r.example` answered 404 with a web page, as no registry does",
            ),
            (
                Subject::Manifest,
                418,
                Code::ReplyMalformed,
                "cannot read `x`: `r.example` answered 418 with a web page, as no registry does",
            ),
            (Subject::Manifest, 403, Code::Denied, "`r.example` refused to read `x`"),
        ] {
            let request = Request::new(Method::Get, Url::parse("https://r.example/v2/").unwrap());
            let page = Response { headers: headers.clone(), ..reply(status, "<h1>Log in</h1>") };
            let error = error(subject, "read `x`", &request, &page);
            assert_eq!((error.code(), error.message()), (code, message), "{subject:?} {status}");
        }
    }

    #[test]
    fn the_cause_is_what_was_asked_and_what_was_said() {
        for (body, cause) in [
            ("", "GET https://r.example/v2/: 403"),
            (r#"{"errors":[{"code":"DENIED"}]}"#, "GET https://r.example/v2/: 403; the registry said: DENIED"),
            (
                r#"{"errors":[{"code":"DENIED","message":"no"}]}"#,
                r#"GET https://r.example/v2/: 403; the registry said: "no""#,
            ),
        ] {
            let request = Request::new(Method::Get, Url::parse("https://r.example/v2/").unwrap());
            assert_eq!(error(Subject::Manifest, "read `x`", &request, &reply(403, body)).causes(), [cause]);
        }
    }

    #[test]
    fn a_code_is_told_that_is_one_word_and_no_secret() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"A-b_3.4:5+/="}]}"#, Some("A-b_3.4:5+/=")),
            (r#"{"errors":[{"code":"two words"}]}"#, None),
            (r#"{"errors":[{"code":""}]}"#, None),
            (r#"{"errors":[{"code":"hunter2hunter2"}]}"#, None),
        ] {
            let secrets = [crate::secret::Secret::new("hunter2hunter2")].into();
            let said = ErrorDocument::read(&Response { secrets, ..reply(400, body) });
            assert_eq!(said.code().map(String::as_str), expected, "{body}");
        }
        for (length, expected) in [(128, true), (129, false)] {
            let body = format!(r#"{{"errors":[{{"code":"{}"}}]}}"#, "x".repeat(length));
            assert_eq!(ErrorDocument::read(&reply(400, &body)).code().is_some(), expected, "{length}");
        }
        let secrets = [crate::secret::Secret::new("hunter2hunter2")].into();
        let page = Response { secrets, ..reply(400, "no entry for hunter2hunter2") };
        assert!(!ErrorDocument::read(&page).words().unwrap().contains("hunter2"));
    }

    #[test]
    fn only_what_writes_leaves_something_behind() {
        for (subject, expected) in [(Subject::Manifest, false), (Subject::Blob, false), (Subject::Write, true)] {
            let request = Request::new(Method::Get, Url::parse("https://reg.example/v2/").unwrap());
            let error = error(subject, "read `x`", &request, &reply(503, ""));
            assert_eq!(error.hint_text().unwrap().contains("the first left"), expected, "{subject:?}");
        }
    }

    #[test]
    fn a_refusal_means_what_its_subject_makes_of_it() {
        let immutable = r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists and cannot be overwritten because the repository is immutable."}]}"#;
        for (subject, status, body, expected) in [
            (Subject::Manifest, 404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#, Code::TagUnknown),
            (Subject::Manifest, 404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#, Code::RepositoryUnknown),
            (Subject::Blob, 404, r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#, Code::BlobMissing),
            (Subject::Tags, 404, r#"{"errors":[{"code":"NOT_FOUND"}]}"#, Code::RepositoryUnknown),
            (Subject::Tags, 404, r#"{"errors":[{"code":"UNSUPPORTED"}]}"#, Code::Denied),
            (Subject::HubTags, 404, r#"{"message":"object not found"}"#, Code::RepositoryUnknown),
            (Subject::HubTags, 404, "", Code::ReplyMalformed),
            (Subject::Blob, 404, "", Code::ReplyMalformed),
            (Subject::Tags, 404, "404 page not found", Code::ReplyMalformed),
            (Subject::Manifest, 404, r#"{"error":"not found"}"#, Code::ReplyMalformed),
            (Subject::Write, 400, immutable, Code::TagImmutable),
            (Subject::Write, 413, "", Code::Denied),
            (Subject::Write, 400, r#"{"errors":[{"code":"MANIFEST_INVALID"}]}"#, Code::ManifestRefused),
            (Subject::Manifest, 400, r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#, Code::RateLimited),
            (Subject::Manifest, 522, "", Code::RegistryUnavailable),
            (Subject::Manifest, 412, r#"{"errors":[{"code":"PROJECTPOLICYVIOLATION"}]}"#, Code::Denied),
            (Subject::Manifest, 412, r#"{"message":"no"}"#, Code::ReplyMalformed),
            (Subject::Manifest, 418, "", Code::ReplyMalformed),
        ] {
            let request = Request::new(Method::Get, Url::parse("https://reg.example/v2/").unwrap());
            assert_eq!(error(subject, "read `x`", &request, &reply(status, body)).code(), expected, "{status} {body}");
        }
    }
}
