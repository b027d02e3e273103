//! What credential sources answer: the container endpoint, the instance's metadata service and a
//! `credential_process` print the same few keys, each with its own turns.
//!
//! No message here repeats any part of an answer, because a part of it is a secret.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".

use crate::error::{Code, Error};
use crate::pure::text::instant;
use crate::secret::Secret;
use serde::Deserialize;
use serde_json::{Number, Value};
use time::OffsetDateTime;

/// What signs a request to AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsCredential {
    /// The access key id; no secret by itself, yet of no use in a log.
    pub key_id: Secret,
    /// The secret access key.
    pub secret: Secret,
    /// The token that goes with a temporary key.
    pub session_token: Option<Secret>,
    /// The moment from which it is refused, where the source told.
    pub expires_at: Option<OffsetDateTime>,
}

/// A part of a credential as it stands in a header, without blanks at its ends; `None` for what no key can be.
pub fn key(text: &str) -> Option<Secret> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Secret::new(text))
}

/// As [`key`], of an answer.
///
/// # Errors
/// `reply-malformed`, which names the part and does not repeat it.
pub fn key_of(text: &str, name: &str) -> Result<Secret, Error> {
    let message = || format!("the `{name}` of the answer holds a character that no key has");
    key(text).ok_or_else(|| Error::new(Code::ReplyMalformed, message()))
}

impl AwsCredential {
    /// Whether it has run out.
    pub fn has_expired(&self, now: OffsetDateTime) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// Which kind of source answered; they differ in what tells success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The endpoint of ECS or of EKS Pod Identity.
    Container,
    /// The instance's metadata service.
    Metadata,
    /// The stdout of a `credential_process`.
    Process,
}

/// Reads an answer that should hold a credential.
///
/// # Errors
/// `reply-malformed` where it holds none.
pub fn parse(body: &[u8], form: Form) -> Result<AwsCredential, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Wire {
        version: Option<Value>,
        code: Option<String>,
        access_key_id: Option<String>,
        secret_access_key: Option<String>,
        token: Option<String>,
        session_token: Option<String>,
        expiration: Option<Value>,
    }
    let bad = |why: &str| Error::new(Code::ReplyMalformed, why);
    let wire: Wire = serde_json::from_slice(body).map_err(|_| bad(not_json(body)))?;
    match (form, &wire.version, wire.code.as_deref()) {
        (Form::Process, Some(version), _) if version == 1 => {}
        (Form::Process, Some(_), _) => return Err(bad("the `Version` of the answer is not 1")),
        (Form::Process, None, _) => return Err(bad("the answer has no `Version`")),
        (Form::Metadata, _, Some(code)) if code != "Success" => {
            let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
            return Err(bad(&format!("the answer has the code `{code}` instead of `Success`")));
        }
        _ => {}
    }
    let needed = |value: Option<String>, name: &str| match value.filter(|text| !text.trim().is_empty()) {
        Some(text) => key_of(&text, name),
        None => Err(bad(&format!("the answer has no `{name}`"))),
    };
    let (token, name) =
        if form == Form::Process { (wire.session_token, "SessionToken") } else { (wire.token, "Token") };
    let token = token.filter(|token| !token.is_empty());
    Ok(AwsCredential {
        key_id: needed(wire.access_key_id, "AccessKeyId")?,
        secret: needed(wire.secret_access_key, "SecretAccessKey")?,
        session_token: token.map(|token| key_of(&token, name)).transpose()?,
        expires_at: match wire.expiration {
            None | Some(Value::Null) => None,
            Some(value) => {
                Some(moment(&value).ok_or_else(|| bad("the `Expiration` of the answer is not a point in time"))?)
            }
        },
    })
}

/// Reads a point in time: epoch seconds as a number of any form, or an RFC 3339 text.
pub fn moment(value: &Value) -> Option<OffsetDateTime> {
    match value {
        Value::Number(number) => epoch(number.as_f64()?),
        Value::String(text) => {
            let text = text.trim();
            instant::parse(text).or_else(|| epoch(serde_json::from_str::<Number>(text).ok()?.as_f64()?))
        }
        _ => None,
    }
}

fn epoch(seconds: f64) -> Option<OffsetDateTime> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what does not fit becomes the farthest number, which is no date"
    )]
    let whole = seconds as i64;
    // No number is neither less nor more than zero.
    OffsetDateTime::from_unix_timestamp(whole).ok().filter(|moment| seconds >= 0.0 && moment.year() < 9999)
}

/// Says what a body is that should have been JSON, without repeating it.
pub fn not_json(body: &[u8]) -> &'static str {
    match body.trim_ascii_start() {
        [] => "the answer is empty",
        [b'<', ..] => "the answer is HTML or XML, not JSON",
        [b'{', ..] => "the answer is not the JSON object it should be",
        _ => "the answer is not JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn answers_of_every_source_are_read() {
        let end = datetime!(2026-08-01 18:00:00 UTC);
        for (form, body) in [
            (
                Form::Container,
                r#"{"RoleArn":"arn:x","AccessKeyId":"AKID","SecretAccessKey":"S","Token":"T","Expiration":"2026-08-01T18:00:00Z"}"#,
            ),
            (
                Form::Metadata,
                r#"{"Code":"Success","LastUpdated":"x","Type":"AWS-HMAC","AccessKeyId":"AKID","SecretAccessKey":"S","Token":"T","Expiration":"2026-08-01T18:00:00+00:00"}"#,
            ),
            (
                Form::Process,
                " {\"Version\":1,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"S\",\"SessionToken\":\"T\",\"Expiration\":\"2026-08-01T20:00:00+02:00\"}\n",
            ),
        ] {
            let found = parse(body.as_bytes(), form).unwrap();
            assert_eq!((found.key_id.reveal(), found.secret.reveal()), ("AKID", "S"));
            assert_eq!(found.session_token, Some(Secret::new("T")));
            assert_eq!(found.expires_at, Some(end));
            assert!(found.has_expired(end) && !found.has_expired(end - time::Duration::seconds(1)));
        }
        let fixed = parse(br#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S"}"#, Form::Process).unwrap();
        assert_eq!((fixed.session_token.is_none(), fixed.expires_at), (true, None));
    }

    #[test]
    fn answers_without_a_credential_say_what_is_wrong_and_repeat_nothing() {
        for (form, body, expected) in [
            (Form::Container, "", "the answer is empty"),
            (Form::Metadata, "<html>sekret</html>", "the answer is HTML or XML, not JSON"),
            (Form::Process, "export AWS_SECRET_ACCESS_KEY=sekret", "the answer is not JSON"),
            (Form::Container, "[\"sekret\"]", "the answer is not JSON"),
            (Form::Container, "{\"AccessKeyId\":\"sekret\"", "the answer is not the JSON object it should be"),
            (Form::Container, "{\"AccessKeyId\":7}", "the answer is not the JSON object it should be"),
            (Form::Container, r#"{"AccessKeyId":"sekret"}"#, "the answer has no `SecretAccessKey`"),
            (Form::Container, r#"{"AccessKeyId":" ","SecretAccessKey":"sekret"}"#, "the answer has no `AccessKeyId`"),
            (Form::Metadata, r#"{"Code":"Failed"}"#, "the answer has the code `Failed` instead of `Success`"),
            (Form::Process, r#"{"AccessKeyId":"sekret","SecretAccessKey":"s"}"#, "the answer has no `Version`"),
            (Form::Process, r#"{"Version":2}"#, "the `Version` of the answer is not 1"),
            (
                Form::Process,
                r#"{"Version":1,"AccessKeyId":"sekret\u00e9","SecretAccessKey":"s"}"#,
                "the `AccessKeyId` of the answer holds a character that no key has",
            ),
            (
                Form::Container,
                r#"{"AccessKeyId":"sekret","SecretAccessKey":"s","Token":"sekret\r\nHost: other"}"#,
                "the `Token` of the answer holds a character that no key has",
            ),
            (
                Form::Container,
                r#"{"AccessKeyId":"sekret","SecretAccessKey":"s","Expiration":"tomorrow"}"#,
                "the `Expiration` of the answer is not a point in time",
            ),
        ] {
            let error = parse(body.as_bytes(), form).unwrap_err();
            assert_eq!((error.code(), error.message()), (Code::ReplyMalformed, expected), "{body}");
            assert!(!error.to_string().contains("sekret"));
        }
    }

    #[test]
    fn moments_come_as_numbers_of_any_form_and_as_text() {
        let expected = Some(datetime!(2023-11-14 22:13:20 UTC));
        for value in [
            json!(1_700_000_000),
            json!(1.7E9),
            json!(1_700_000_000.25),
            json!("1.7E9"),
            json!("1700000000"),
            json!("2023-11-14T22:13:20Z"),
            json!("2023-11-15T00:13:20+02:00"),
        ] {
            assert_eq!(moment(&value), expected, "{value}");
        }
        let last = datetime!(9998-12-31 23:59:59 UTC).unix_timestamp();
        assert_eq!((moment(&json!(last)).is_some(), moment(&json!(last + 1))), (true, None));
        let exponent: Value = serde_json::from_str("1.7E9").unwrap();
        assert_eq!(moment(&exponent), expected);
        for value in [json!(null), json!(true), json!("soon"), json!(-1), json!(1e300), json!("inf"), json!("NaN")] {
            assert_eq!(moment(&value), None, "{value}");
        }
    }
}
