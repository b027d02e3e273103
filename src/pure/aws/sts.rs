//! The token service: what is asked of it, and what it answers, in JSON or in XML.
//!
//! JSON is asked for; proxies and emulators that ignore this answer in XML, whose few elements are
//! unique, so a scan for them is enough.
//!
//! Source: AWS Security Token Service API Reference, version 2011-06-15.

use crate::error::{Code, Error};
use crate::pure::aws::AwsCredential;
use crate::pure::aws::answer::{key_of, moment, not_json};
use crate::pure::text::percent;
use crate::secret::Secret;
use serde_json::Value;

/// Whose AWS identity is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AwsIdentity {
    /// The profile to begin with.
    pub profile: Option<String>,
    /// The role to assume, an ARN.
    pub role: Option<String>,
    /// The word that the role's owner agreed with the caller.
    pub external_id: Option<String>,
}

/// A role to be assumed, with what goes along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// The role's ARN.
    pub arn: String,
    /// The word that the role's owner agreed with the caller.
    pub external_id: Option<String>,
    /// The name of the session, for the owner's logs.
    pub session_name: Option<String>,
    /// How long the credential is to last, in seconds.
    pub duration_seconds: Option<u32>,
}

/// The form of `AssumeRole`, which is signed, or with a token that of `AssumeRoleWithWebIdentity`, which is not: the
/// token is what proves the caller.
pub fn assume_role(role: &Role, session_name: &str, token: Option<&Secret>) -> Secret {
    let duration = role.duration_seconds.map(|seconds| seconds.to_string());
    let action = if token.is_some() { "AssumeRoleWithWebIdentity" } else { "AssumeRole" };
    form(
        action,
        &[
            ("RoleArn", Some(&role.arn)),
            ("RoleSessionName", Some(role.session_name.as_deref().unwrap_or(session_name))),
            ("WebIdentityToken", token.map(Secret::reveal)),
            ("DurationSeconds", duration.as_deref()),
            ("ExternalId", role.external_id.as_deref().filter(|_| token.is_none())),
        ],
    )
}

/// The form of `GetCallerIdentity`; it is signed and needs no right.
pub fn get_caller_identity() -> Secret {
    form("GetCallerIdentity", &[])
}

fn form(action: &str, fields: &[(&str, Option<&str>)]) -> Secret {
    let mut text = format!("Action={action}&Version=2011-06-15");
    for (name, value) in fields.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
        text.push_str(&format!("&{name}={}", percent::encode(value)));
    }
    Secret::new(text)
}

/// The name of a session: `tagwright-<job>-<build>` with what the service allows in it, 64 characters at most.
pub fn session_name(job: Option<&str>, build: Option<&str>) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '-' };
    let mut name = "tagwright".to_owned();
    for part in [job, build].into_iter().flatten().filter(|part| !part.is_empty()) {
        name.push('-');
        name.extend(part.chars().map(allowed));
    }
    name.truncate(64);
    name
}

/// Reads the credential out of the answer to either way of assuming a role.
///
/// # Errors
/// `reply-malformed` where it holds none.
pub fn credential(body: &[u8]) -> Result<AwsCredential, Error> {
    let result = StsReply::read(body)?;
    let part = |name| key_of(&result.needed(name)?, name);
    Ok(AwsCredential {
        key_id: part("AccessKeyId")?,
        secret: part("SecretAccessKey")?,
        session_token: Some(part("SessionToken")?),
        expires_at: result.get("Expiration").and_then(|value| moment(&value)),
    })
}

/// Reads who the caller is, as an ARN, out of the answer to `GetCallerIdentity`.
///
/// # Errors
/// `reply-malformed` where it names nobody.
pub fn arn(body: &[u8]) -> Result<String, Error> {
    StsReply::read(body)?.needed("Arn")
}

/// A successful answer, of which only the leaves are of interest.
enum StsReply {
    Json(Value),
    Xml(String),
}

impl StsReply {
    fn read(body: &[u8]) -> Result<Self, Error> {
        if let Ok(value @ Value::Object(_)) = serde_json::from_slice(body) {
            return Ok(Self::Json(value));
        }
        let text = String::from_utf8_lossy(body);
        if text.contains("Result>") || text.contains("Result ") {
            return Ok(Self::Xml(text.into_owned()));
        }
        let why = if text.trim_start().starts_with('<') {
            "the answer is HTML, not an answer of the token service"
        } else {
            not_json(body)
        };
        Err(Error::new(Code::ReplyMalformed, why))
    }

    fn get(&self, name: &str) -> Option<Value> {
        match self {
            Self::Json(value) => leaf(value, name).cloned(),
            Self::Xml(text) => element(text, name).map(Value::String),
        }
    }

    fn needed(&self, name: &str) -> Result<String, Error> {
        match self.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            _ => Err(Error::new(Code::ReplyMalformed, format!("the answer has no `{name}`"))),
        }
    }
}

// `{"AssumeRoleResponse":{"AssumeRoleResult":{"Credentials":{…}}}}`: the names above the leaf differ
// by action, the leaf's own name does not.
fn leaf<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    match object.get(name) {
        Some(found) => Some(found),
        None => object.values().find_map(|inner| leaf(inner, name)),
    }
}

/// The text of the first element of that name.
pub fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    let inner = inner.trim();
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(plain.iter().fold(inner.to_owned(), |text, (escape, c)| text.replace(escape, c)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn forms_hold_what_was_asked_for_and_nothing_else() {
        let mut role = Role { arn: "arn:aws:iam::123456789012:role/ci".into(), ..Role::default() };
        assert_eq!(
            assume_role(&role, "tagwright-a", None).reveal(),
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fci\
             &RoleSessionName=tagwright-a"
        );
        role.external_id = Some("a b&c".into());
        role.session_name = Some("me".into());
        role.duration_seconds = Some(900);
        assert_eq!(
            assume_role(&role, "tagwright-a", None).reveal(),
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fci\
             &RoleSessionName=me&DurationSeconds=900&ExternalId=a%20b%26c"
        );
        let web = assume_role(&Role { arn: "r".into(), ..Role::default() }, "n", Some(&Secret::new("a.b==")));
        assert_eq!(
            web.reveal(),
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=r&RoleSessionName=n&WebIdentityToken=a.b%3D%3D"
        );
        assert_eq!(get_caller_identity().reveal(), "Action=GetCallerIdentity&Version=2011-06-15");
    }

    #[test]
    fn sessions_are_named_after_the_build() {
        for (job, build, expected) in [
            (None, None, "tagwright"),
            (Some("team/app/main"), Some("103"), "tagwright-team-app-main-103"),
            (Some("größe x"), None, "tagwright-gr--e-x"),
            (Some(""), Some("7"), "tagwright-7"),
        ] {
            assert_eq!(session_name(job, build), expected);
        }
        assert_eq!(session_name(Some(&"j".repeat(200)), Some("1")).len(), 64);
    }

    #[test]
    fn credentials_are_read_from_json_and_from_xml() {
        let end = Some(datetime!(2023-11-14 22:13:20 UTC));
        for body in [
            r#"{"AssumeRoleResponse":{"AssumeRoleResult":{"AssumedRoleUser":{"Arn":"a"},"Credentials":{"AccessKeyId":"ASIA","SecretAccessKey":"s/+","SessionToken":"t","Expiration":1.7E9}},"ResponseMetadata":{"RequestId":"r"}}}"#,
            r#"{"AssumeRoleWithWebIdentityResponse":{"AssumeRoleWithWebIdentityResult":{"Credentials":{"AccessKeyId":"ASIA","SecretAccessKey":"s/+","SessionToken":"t","Expiration":"2023-11-14T22:13:20Z"}}}}"#,
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n <AssumeRoleResult><Credentials>\n<SessionToken>\n t </SessionToken><SecretAccessKey>s/+</SecretAccessKey><Expiration>2023-11-14T22:13:20Z</Expiration><AccessKeyId>ASIA</AccessKeyId></Credentials></AssumeRoleResult></AssumeRoleResponse>",
        ] {
            let found = credential(body.as_bytes()).unwrap();
            assert_eq!((found.key_id.reveal(), found.secret.reveal()), ("ASIA", "s/+"), "{body}");
            assert_eq!(found.session_token, Some(Secret::new("t")));
            assert_eq!(found.expires_at, end);
        }
    }

    #[test]
    fn the_caller_is_read_from_json_and_from_xml() {
        let expected = "arn:aws:sts::1:assumed-role/a&b/c";
        for body in [
            r#"{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"1","Arn":"arn:aws:sts::1:assumed-role/a&b/c","UserId":"u"}}}"#,
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::1:assumed-role/a&amp;b/c</Arn><UserId>u</UserId><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        ] {
            assert_eq!(arn(body.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn other_answers_are_malformed_and_not_repeated() {
        for (body, expected) in [
            ("", "the answer is empty"),
            ("sekret", "the answer is not JSON"),
            ("<html>sekret</html>", "the answer is HTML, not an answer of the token service"),
            ("{}", "the answer has no `AccessKeyId`"),
            (
                r#"{"Credentials":{"AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"sekret\nHost: other"}}"#,
                "the `SessionToken` of the answer holds a character that no key has",
            ),
            (r#"{"Credentials":{"AccessKeyId":""}}"#, "the answer has no `AccessKeyId`"),
            (r#"{"Credentials":{"AccessKeyId":"sekret","SecretAccessKey":1}}"#, "the answer has no `SecretAccessKey`"),
            ("<xResult><AccessKeyId>sekret</AccessKeyId></xResult>", "the answer has no `SecretAccessKey`"),
            ("<xResult><AccessKeyId>sekret", "the answer has no `AccessKeyId`"),
        ] {
            let error = credential(body.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.message()), (Code::ReplyMalformed, expected), "{body}");
            assert!(!error.to_string().contains("sekret"));
        }
    }
}
