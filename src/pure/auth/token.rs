//! Reads what a token server lends, and what the token says about itself.
//!
//! Nothing here verifies a token: it is the registry's to judge. The claims are read so that a
//! command can say what was granted.
//!
//! Reply: the token authentication documentation of the distribution project; claims: RFC 7519.

use crate::error::{Code, Error};
use crate::pure::text::instant;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_PAD_INDIFFERENT;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use time::{Duration, OffsetDateTime};

/// What a token lives when its server says nothing or less; the documentation sets it.
const SHORTEST: i64 = 60;
/// No token is believed to live longer; it also keeps the sum below the end of time.
const LONGEST: i64 = 30 * 24 * 3600;

/// A token and how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The token, without `Bearer`.
    pub value: Secret,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    lifetime: Duration,
}

#[derive(Deserialize)]
struct Reply {
    token: Option<Value>,
    access_token: Option<Value>,
    expires_in: Option<Value>,
    issued_at: Option<Value>,
}

/// Reads a token server's reply.
///
/// # Errors
/// `reply-malformed` where it is not JSON or holds no token that a header can carry.
pub fn parse(body: &[u8], now: OffsetDateTime) -> Result<Token, Error> {
    let bad = |why: String| Error::new(Code::ReplyMalformed, format!("the reply of the token server {why}"));
    let reply: Reply = serde_json::from_slice(body).map_err(|error| {
        // The parser's own words may quote the reply, and the reply holds the token.
        bad(format!("is not a JSON object (line {}, column {})", error.line(), error.column()))
    })?;
    let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    let value = Some(text(&reply.token)).filter(|token| !token.is_empty());
    let value = value.unwrap_or_else(|| text(&reply.access_token));
    if value.is_empty() {
        return Err(bad("holds no token".to_owned()));
    }
    if !is_sendable(&value) {
        return Err(bad("holds a token with a character that a header cannot carry".to_owned()));
    }
    let lifetime = Duration::seconds(seconds(reply.expires_in.as_ref()).clamp(SHORTEST, LONGEST));
    let issued = instant::parse(&text(&reply.issued_at));
    // A time of issue that makes no sense here comes from a clock that differs from ours, and then
    // only the lifetime can be trusted.
    let issued = issued.filter(|at| *at <= now && now < *at + lifetime).unwrap_or(now);
    Ok(Token { value: Secret::new(value), expires_at: issued + lifetime, lifetime })
}

/// Every token in a token server's reply, also one that is of no use here.
pub fn tokens(body: &[u8]) -> Vec<Secret> {
    let reply: HashMap<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let tokens = reply.iter().filter(|(name, _)| name.ends_with("token"));
    tokens.filter_map(|(_, token)| Some(Secret::new(token.as_str().filter(|token| !token.is_empty())?))).collect()
}

impl Token {
    /// When a new one is better asked for: a tenth of its lifetime before the end, at most 30 seconds.
    pub fn renew_at(&self) -> OffsetDateTime {
        self.expires_at - Duration::min(self.lifetime / 10, Duration::seconds(30))
    }

    /// The value of the `Authorization` header.
    pub fn header(&self) -> Secret {
        Secret::new(format!("Bearer {}", self.value.reveal()))
    }

    /// What the token says it allows, as `repository:a/b:pull,push`; `None` if it does not say.
    ///
    /// Servers grant a part of what was asked for without a word, so this is the only way to tell;
    /// [`ScopeSet::missing`](crate::pure::auth::scope::ScopeSet::missing) names the rest.
    pub fn granted(&self) -> Option<Vec<String>> {
        #[derive(Deserialize)]
        struct Access {
            #[serde(rename = "type")]
            kind: String,
            name: String,
            actions: Option<Vec<String>>,
        }
        let mut parts = self.value.reveal().split('.');
        let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let claims = URL_SAFE_PAD_INDIFFERENT.decode(claims).ok()?;
        let mut claims: Value = serde_json::from_slice(&claims).ok()?;
        let access = claims.get_mut("access")?.take();
        let access: Option<Vec<Access>> = serde_json::from_value(access).ok()?;
        let with_actions = access.unwrap_or_default().into_iter().filter_map(|access| {
            let actions = access.actions.filter(|actions| !actions.is_empty())?.join(",");
            Some(format!("{}:{}:{actions}", access.kind, access.name))
        });
        Some(with_actions.collect())
    }
}

/// A number of seconds, also where it was written as a text or with a fraction.
fn seconds(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::Number(number)) => number.as_i64().or(number.as_f64().map(|n| n as i64)).unwrap_or(SHORTEST),
        Some(Value::String(text)) => text.trim().parse().unwrap_or(SHORTEST),
        _ => SHORTEST,
    }
}

/// Whether a header field can carry the text as one word.
pub(super) fn is_sendable(token: &str) -> bool {
    token.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{URL_SAFE as PADDED, URL_SAFE_NO_PAD};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-08-01 12:00:00 UTC);

    fn lifetime(body: &str) -> i64 {
        (parse(body.as_bytes(), NOW).unwrap().expires_at - NOW).whole_seconds()
    }

    #[test]
    fn replies_are_read_with_their_defaults() {
        for (body, expected) in [
            (r#"{"token":"t"}"#, 60),
            (r#"{"access_token":"t"}"#, 60),
            (r#"{"token":"","access_token":"t","expires_in":300}"#, 300),
            (r#"{"token":"t","expires_in":null}"#, 60),
            (r#"{"token":"t","expires_in":5}"#, 60),
            (r#"{"token":"t","expires_in":-5}"#, 60),
            (r#"{"token":"t","expires_in":"900"}"#, 900),
            (r#"{"token":"t","expires_in":900.5}"#, 900),
            (r#"{"token":"t","expires_in":99999999999999999999}"#, 2_592_000),
            (r#"{"token":"t","expires_in":300,"issued_at":"2026-08-01T11:59:00Z"}"#, 240),
            (r#"{"token":"t","expires_in":300,"issued_at":"2026-08-01T13:59:00.123456789+02:00"}"#, 240),
            (r#"{"token":"t","expires_in":300,"issued_at":"2026-08-01T09:00:00Z"}"#, 300),
            (r#"{"token":"t","expires_in":300,"issued_at":"2026-08-01T11:55:00Z"}"#, 300),
            (r#"{"token":"t","expires_in":300,"issued_at":"2026-08-01T12:01:00Z"}"#, 300),
            (r#"{"token":"t","expires_in":300,"issued_at":"yesterday"}"#, 300),
            (r#"{"token":"t","issued_at":7,"refresh_token":"r","scope":"x"}"#, 60),
        ] {
            assert_eq!(lifetime(body), expected, "{body}");
        }
        let token = parse(br#"{"token":"first","access_token":"second"}"#, NOW).unwrap();
        assert_eq!(token.header().reveal(), "Bearer first");
    }

    #[test]
    fn every_token_of_a_reply_is_a_secret() {
        let body =
            r#"{"token":"a","access_token":"b","refresh_token":"c","id_token":"","n_token":7,"expires_in":"300"}"#;
        let mut found: Vec<_> = tokens(body.as_bytes()).iter().map(|token| token.reveal().to_owned()).collect();
        found.sort();
        assert_eq!(found, ["a", "b", "c"]);
        assert_eq!(tokens(b"no JSON"), []);
    }

    #[test]
    fn renewal_comes_a_little_early() {
        for (seconds, early) in [(60, 6), (300, 30), (43_200, 30)] {
            let body = format!(r#"{{"token":"t","expires_in":{seconds}}}"#);
            let token = parse(body.as_bytes(), NOW).unwrap();
            assert_eq!((token.expires_at - token.renew_at()).whole_seconds(), early);
        }
    }

    #[test]
    fn a_reply_without_a_token_is_malformed_and_not_repeated() {
        for body in [
            "",
            "<html>hunter2</html>",
            "[]",
            "\"hunter2\"",
            "{}",
            r#"{"token":{"x":"hunter2"}}"#,
            r#"{"token":null}"#,
            r#"{"token":"hunter2\r\nX: y"}"#,
            r#"{"token":"hunter2 "}"#,
            r#"{"token":"hunter2é"}"#,
            r#"{"token":"hunter2""#,
        ] {
            let error = parse(body.as_bytes(), NOW).unwrap_err();
            assert_eq!(error.code(), Code::ReplyMalformed, "{body}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn granted_is_read_from_the_access_claim() {
        let granted = |claims: &str, padded: bool| {
            let claims = if padded { PADDED.encode(claims) } else { URL_SAFE_NO_PAD.encode(claims) };
            let body = format!(r#"{{"token":"eyJ9.{claims}.c2ln"}}"#);
            parse(body.as_bytes(), NOW).unwrap().granted()
        };
        for (claims, expected) in [
            (
                r#"{"access":[{"type":"repository","name":"a/b","actions":["pull","push"]},{"type":"repository","name":"c","actions":["*"]}]}"#,
                Some(vec!["repository:a/b:pull,push", "repository:c:*"]),
            ),
            (r#"{"access":[{"type":"repository","name":"a/b","actions":[]}]}"#, Some(vec![])),
            (r#"{"access":[{"type":"repository","name":"a/b","actions":null}]}"#, Some(vec![])),
            (r#"{"access":[]}"#, Some(vec![])),
            (r#"{"access":null}"#, Some(vec![])),
            (r#"{"sub":"x"}"#, None),
            (r#"{"access":"all"}"#, None),
            ("[]", None),
            ("nonsense", None),
        ] {
            let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(granted(claims, false), expected, "{claims}");
            assert_eq!(granted(claims, true), expected, "{claims}");
        }
        for opaque in ["opaque", "a.b", "a.!!.c", "a.b.c.d"] {
            let body = format!(r#"{{"token":"{opaque}"}}"#);
            assert_eq!(parse(body.as_bytes(), NOW).unwrap().granted(), None, "{opaque}");
        }
    }
}
