//! What an image runs on: operating system, architecture and variant.
//!
//! The names are those of Go; `x86_64` and `aarch64` are understood. `linux/arm64` means
//! `linux/arm64/v8`, `linux/arm` means `linux/arm/v7` and `linux/amd64` means `linux/amd64/v1`.

use crate::error::{Code, Error};
use crate::pure::text::quoted;
use crate::pure::text::words::serialized_as_text;
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A platform as it was named; compare with [`Platform::matches`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    /// The operating system, in lower case.
    pub os: String,
    /// The architecture, by its Go name.
    pub architecture: String,
    /// The variant of the architecture, where one is named.
    pub variant: Option<String>,
    /// The version of the operating system, where one is named.
    pub os_version: Option<String>,
}

impl Platform {
    /// A platform from its parts; empty variants and versions count as none.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>, os_version: Option<&str>) -> Self {
        // Written by whoever built the image and shown in sentences: nothing in it may steer a terminal.
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
        let architecture = match &*plain(architecture).to_ascii_lowercase() {
            "x86_64" | "x86-64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        };
        let some = |text: Option<&str>| text.map(plain).filter(|text| !text.is_empty());
        Self { os: plain(os).to_ascii_lowercase(), architecture, variant: some(variant), os_version: some(os_version) }
    }

    /// Reads `os/architecture[/variant]`; a version of the operating system goes in brackets behind it,
    /// as in `windows(10.0.17763.1)/amd64`.
    ///
    /// # Errors
    /// `request-invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::new(Code::RequestInvalid, format!("{} is not a platform", quoted(text)))
                .hint("write it as OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as `linux/amd64`")
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(bad()),
        };
        let (os, os_version) = match os.split_once('(') {
            Some((os, version)) => (os, Some(version.strip_suffix(')').ok_or_else(bad)?)),
            None => (os, None),
        };
        let fits = |text: &str| {
            let odd = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-');
            !text.is_empty() && !text.contains(odd)
        };
        if [Some(os), Some(architecture), variant, os_version].into_iter().flatten().all(fits) {
            let variant = variant.map(str::to_ascii_lowercase);
            Ok(Self::new(os, architecture, variant.as_deref(), os_version))
        } else {
            Err(bad())
        }
    }

    /// Whether this is the platform that is wanted; a version of the operating system counts only if wanted.
    pub fn matches(&self, wanted: &Platform) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && self.full_variant() == wanted.full_variant()
            && (wanted.os_version.is_none() || self.os_version == wanted.os_version)
    }

    /// The variant without its `v`, with the one that goes without saying.
    fn full_variant(&self) -> &str {
        let variant = self.variant.as_deref().unwrap_or_default();
        match (&*self.architecture, variant.strip_prefix('v').unwrap_or(variant)) {
            ("arm64", "") => "8",
            ("arm", "") => "7",
            ("amd64", "") => "1",
            (_, variant) => variant,
        }
    }

    /// Whether it stands for something that does not run, as attestations have it.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if let Some(version) = &self.os_version {
            write!(f, "({version})")?;
        }
        write!(f, "/{}", self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

serialized_as_text!(Platform);

#[derive(Deserialize)]
#[serde(expecting = "a platform")]
struct PlatformDocument {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = PlatformDocument::deserialize(deserializer)?;
        let name = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned());
        let (os, architecture) = (name(wire.os), name(wire.architecture));
        Ok(Self::new(&os, &architecture, wire.variant.as_deref(), wire.os_version.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_and_printed() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/V8", "linux/arm64/v8"),
            ("windows(10.0.17763.1)/amd64", "windows(10.0.17763.1)/amd64"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), expected);
        }
        for bad in [
            "",
            "linux",
            "amd64",
            "linux/",
            "/amd64",
            "linux/arm/",
            "a/b/c/d",
            "linux/am d",
            "linux(1/amd64",
            "linux()/x",
        ] {
            assert_eq!(Platform::parse(bad).unwrap_err().code(), Code::RequestInvalid, "{bad}");
        }
    }

    #[test]
    fn platforms_match_with_what_goes_without_saying() {
        for (have, wanted, expected) in [
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64/v8", "linux/aarch64", true),
            ("linux/arm/v7", "linux/arm", true),
            ("linux/arm/v6", "linux/arm", false),
            ("linux/amd64/v3", "linux/amd64", false),
            ("linux/amd64/v3", "linux/amd64/v3", true),
            ("linux/s390x", "linux/s390x", true),
            ("linux/amd64", "windows/amd64", false),
            ("windows(10.0.1)/amd64", "windows/amd64", true),
            ("windows(10.0.1)/amd64", "windows(10.0.2)/amd64", false),
            ("windows/amd64", "windows(10.0.2)/amd64", false),
        ] {
            let (have, wanted) = (Platform::parse(have).unwrap(), Platform::parse(wanted).unwrap());
            assert_eq!(have.matches(&wanted), expected, "{have} for {wanted}");
        }
    }

    #[test]
    fn the_wire_form_may_lack_anything() {
        for (json, expected) in [
            (r#"{"architecture":"arm64","os":"linux","variant":"v8","os.features":["x"]}"#, "linux/arm64/v8"),
            (r#"{"architecture":"amd64","os":"windows","os.version":"10.0.1","variant":""}"#, "windows(10.0.1)/amd64"),
            (r#"{"architecture":"","os":null}"#, "unknown/unknown"),
            ("{}", "unknown/unknown"),
        ] {
            assert_eq!(serde_json::from_str::<Platform>(json).unwrap().to_string(), expected);
        }
        for (text, expected) in [("unknown/unknown", true), ("linux/unknown", false), ("unknown/amd64", false)] {
            assert_eq!(Platform::parse(text).unwrap().is_unknown(), expected, "{text}");
        }
    }
}
