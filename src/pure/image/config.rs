//! The config blob of an image: its labels, and what it was built for.
//!
//! Fields: OCI image specification, "Image Configuration".

use crate::error::{Code, Error};
use crate::pure::image::content::unreadable;
use crate::pure::text::quoted;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is used of a config blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The architecture; empty where it is not named.
    pub architecture: String,
    /// The operating system; empty where it is not named.
    pub os: String,
    /// The variant of the architecture.
    pub variant: Option<String>,
    /// When the image was made, as written.
    pub created: Option<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(expecting = "an image configuration")]
struct ConfigDocument {
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    created: Option<String>,
    config: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, Value>>,
}

impl Config {
    /// Reads a config blob.
    ///
    /// # Errors
    /// `reply-malformed` for what is not JSON of that shape, or a label whose value is not a text.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let wire: ConfigDocument = serde_json::from_slice(body).map_err(|error| unreadable(body, &error))?;
        let labels = wire.config.and_then(|inner| inner.labels).unwrap_or_default();
        let text = |(key, value): (String, Value)| match value {
            Value::String(text) => Ok((key, text)),
            // Written by a language whose null text is an empty one.
            Value::Null => Ok((key, String::new())),
            _ => Err(Error::new(
                Code::ReplyMalformed,
                format!("the label {} has a value that is not a text", quoted(&key)),
            )),
        };
        Ok(Self {
            architecture: wire.architecture.unwrap_or_default(),
            os: wire.os.unwrap_or_default(),
            variant: wire.variant.filter(|variant| !variant.is_empty()),
            created: wire.created.filter(|created| !created.is_empty()),
            labels: labels.into_iter().map(text).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_they_are() {
        for (json, expected) in [
            (r#"{"config":{"Labels":{"a":"null","b":"[x]","c":""}}}"#, &[("a", "null"), ("b", "[x]"), ("c", "")][..]),
            (r#"{"config":{"Labels":{"ü\n":"\u0000\ud83d\ude00"}}}"#, &[("ü\n", "\0😀")]),
            (r#"{"config":{"Labels":{"a":null}}}"#, &[("a", "")]),
            (r#"{"config":{"Labels":null,"Env":["x"]}}"#, &[]),
            (r#"{"config":{}}"#, &[]),
            (r#"{"config":null}"#, &[]),
            ("{}", &[]),
        ] {
            let labels = Config::parse(json.as_bytes()).unwrap().labels;
            assert_eq!(labels.iter().map(|(key, value)| (&**key, &**value)).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn the_platform_and_date_are_read() {
        let json =
            br#"{"architecture":"arm64","os":"linux","variant":"v8","created":"2026-08-01T12:00:00Z","history":[]}"#;
        let config = Config::parse(json).unwrap();
        assert_eq!((&*config.architecture, &*config.os), ("arm64", "linux"));
        assert_eq!((config.variant.as_deref(), config.created.as_deref()), (Some("v8"), Some("2026-08-01T12:00:00Z")));
    }

    #[test]
    fn what_is_no_config_is_malformed() {
        for (bad, message) in [
            ("", "the reply is empty"),
            ("<html>", "the reply is HTML or XML, not JSON"),
            ("{", "the reply is JSON that ends early"),
            ("[]x", "the reply is JSON of another shape"),
            (r#"{"config":{"Labels":["a"]}}"#, "the reply is JSON of another shape"),
            (r#"{"config":{"Labels":{"a":1}}}"#, "the label `a` has a value that is not a text"),
        ] {
            let error = Config::parse(bad.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.message()), (Code::ReplyMalformed, message), "{bad}");
        }
        assert!(Config::parse(b"{\"os\":\"\xff\"}").is_err());
    }
}
