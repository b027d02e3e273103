//! The login of Docker Hub's web API: a credential goes in, a token for ten minutes comes out.
//!
//! Only a user name with a password or access token can log in here; the tokens of a registry login
//! mean nothing to this API.
//!
//! Form: Docker Hub API, `AuthCreateAccessToken`.

use crate::error::{Code, Error};
use crate::pure::auth::Credential;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Repeat, Url};
use crate::pure::hub::page;
use crate::secret::Secret;
use serde_json::{Value, json};

/// The request for a token; `None` for a credential that cannot log in here.
pub fn request(api: &Url, credential: &Credential) -> Option<Request> {
    let Credential::Password { username, password } = credential else { return None };
    let body = json!({ "identifier": username, "secret": password.reveal() }).to_string();
    let url = page::route(api, "/v2/auth/token");
    Some(
        Request::new(Method::Post, url)
            .repeated(Repeat::Freely)
            .header("Accept", "application/json")
            .header("Content-Type", "application/json")
            .body(body.into_bytes()),
    )
}

/// Reads the token out of the reply.
///
/// # Errors
/// `reply-malformed` where there is none that a header can carry.
pub fn parse(body: &[u8]) -> Result<Secret, Error> {
    let bad = |why: &str| Error::new(Code::ReplyMalformed, format!("the login reply of Docker Hub's web API {why}"));
    let reply: Value = serde_json::from_slice(body).map_err(|_| bad("is not JSON"))?;
    match reply.get("access_token").or_else(|| reply.get("token")).and_then(Value::as_str) {
        None | Some("") => Err(bad("holds no token")),
        Some(token) if token.bytes().all(|b| b.is_ascii_graphic()) => Ok(Secret::new(token)),
        Some(_) => Err(bad("holds a token with a character that a header cannot carry")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_password_logs_in() {
        let api = Url::parse("https://hub.docker.com").unwrap();
        let password = Credential::Password { username: "ada".to_owned(), password: Secret::new("p\"w\\d") };
        let request = request(&api, &password).unwrap();
        assert_eq!(
            (request.method, request.url.to_string().as_str()),
            (Method::Post, "https://hub.docker.com/v2/auth/token")
        );
        let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
        assert_eq!(body, json!({"identifier": "ada", "secret": "p\"w\\d"}));
        for other in [
            Credential::Anonymous,
            Credential::IdentityToken { username: None, token: Secret::new("t"), password: None },
            Credential::RegistryToken(Secret::new("t")),
        ] {
            assert!(super::request(&api, &other).is_none());
        }
    }

    #[test]
    fn the_token_is_read_or_its_absence_said_without_the_reply() {
        for reply in [r#"{"access_token":"tok"}"#, r#"{"token":"tok"}"#] {
            assert_eq!(parse(reply.as_bytes()).unwrap().reveal(), "tok");
        }
        for reply in [
            "",
            "hunter2",
            "[]",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":["hunter2"]}"#,
            r#"{"token":"hunter2\n"}"#,
        ] {
            let error = parse(reply.as_bytes()).unwrap_err();
            assert_eq!(error.code(), Code::ReplyMalformed);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
