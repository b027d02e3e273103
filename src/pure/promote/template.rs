//! A target tag with places for the source's tag and version, such as `{version}-rc`.

use crate::error::{Code, Error};
use crate::pure::image::Tag;
use crate::pure::text::quoted;
use crate::pure::version::{Spelling, TagFormat};
use std::fmt;

/// A target tag, read and checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    text: String,
    pieces: Vec<TemplatePiece>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum TemplatePiece {
    Text(String),
    Tag,
    Version,
    /// The first part of the version, and the second, as written and without `v`.
    Part(usize),
}

/// What may stand in braces.
const PLACEHOLDERS: [(&str, TemplatePiece); 4] = [
    ("{tag}", TemplatePiece::Tag),
    ("{version}", TemplatePiece::Version),
    ("{major}", TemplatePiece::Part(0)),
    ("{minor}", TemplatePiece::Part(1)),
];

impl Template {
    /// Reads a tag in which `{tag}`, `{version}`, `{major}` and `{minor}` may stand.
    ///
    /// # Errors
    /// `request-invalid` for any other brace, `reference-invalid` for a text that cannot stand in a tag.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (plain, braces) = rest.split_at(at);
            if !plain.is_empty() {
                pieces.push(TemplatePiece::Text(plain.to_owned()));
            }
            let Some((name, piece)) = PLACEHOLDERS.iter().find(|(name, _)| braces.starts_with(name)) else {
                let message = format!("the tag {} holds a brace that is part of no placeholder", quoted(text));
                return Err(Error::new(Code::RequestInvalid, message)
                    .hint("the placeholders are `{tag}`, `{version}`, `{major}` and `{minor}`"));
            };
            pieces.push(piece.clone());
            rest = &braces[name.len()..];
        }
        if !rest.is_empty() {
            pieces.push(TemplatePiece::Text(rest.to_owned()));
        }
        let template = Self { text: text.to_owned(), pieces };
        // Whether it can become a tag shows with the shortest values there are.
        let sample = template.filled(Some("1"), Some("1.1"));
        match Tag::parse(&sample.unwrap_or_default()) {
            Ok(_) => Ok(template),
            Err(error) if template.text.contains('{') => {
                Err(error.restate(format!("{} cannot become a tag", quoted(text))))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether `{version}`, `{major}` or `{minor}` stands in it.
    pub fn needs_version(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, TemplatePiece::Version | TemplatePiece::Part(_)))
    }

    /// Whether `{tag}` or `{version}` stands in it, so that what it becomes names one version.
    pub fn names_version(&self) -> bool {
        self.pieces.iter().any(TemplatePiece::is_whole)
    }

    /// The target tag for a source with this tag and version.
    ///
    /// # Errors
    /// `version-invalid` where `{version}` stands for nothing, `request-invalid` where `{tag}` does,
    /// `reference-invalid` where the whole is not a tag.
    pub fn expand(&self, tag: Option<&Tag>, version: Option<&str>) -> Result<Tag, Error> {
        let Some(text) = self.filled(tag.map(Tag::as_str), version) else {
            let template = quoted(&self.text);
            if self.needs_version() && version.is_none() {
                let source = match tag {
                    Some(tag) => format!("the source tag `{tag}` is none and no version tag has its digest"),
                    None => "no version tag has the digest of the source".to_owned(),
                };
                let message = format!("the tag {template} needs a version, and {source}");
                return Err(Error::new(Code::VersionInvalid, message).hint(
                    "name the target tags in full with `--to` and `--move`, or promote a tag that is a version",
                ));
            }
            let message = format!("the tag {template} needs the source's tag, and the source is named by its digest");
            return Err(
                Error::new(Code::RequestInvalid, message).hint("name the target tag in full, or the source by its tag")
            );
        };
        Tag::parse(&text).map_err(|error| error.restate(format!("{} does not become a tag", quoted(&self.text))))
    }

    /// The same target tag for sources of any version: where it names none in braces, the version itself in its text
    /// stands for `{version}`.
    #[must_use]
    pub fn around(&self, version: &str) -> Self {
        let [TemplatePiece::Text(text)] = &self.pieces[..] else { return self.clone() };
        let whole = |at: &usize| {
            let (before, after) = (text[..*at].chars().next_back(), text[at + version.len()..].trim_start_matches('.'));
            !before.is_some_and(|c| c.is_ascii_digit() || c == '.') && !after.starts_with(|c: char| c.is_ascii_digit())
        };
        let Some(at) = text.match_indices(version).map(|(at, _)| at).find(whole) else { return self.clone() };
        let around = [
            TemplatePiece::Text(text[..at].to_owned()),
            TemplatePiece::Version,
            TemplatePiece::Text(text[at + version.len()..].to_owned()),
        ];
        let empty = TemplatePiece::Text(String::new());
        Self { text: self.text.clone(), pieces: around.into_iter().filter(|piece| *piece != empty).collect() }
    }

    /// The version of the source for which this becomes that tag, where it does for one.
    pub fn version_in<'a>(&self, name: &'a str, format: &TagFormat) -> Option<Spelling<'a>> {
        let (rest, pieces) = match &self.pieces[..] {
            [TemplatePiece::Text(text), pieces @ ..] => (name.strip_prefix(text.as_str())?, pieces),
            pieces => (name, pieces),
        };
        let first = pieces.iter().find(|piece| piece.is_whole())?;
        if let Some(TemplatePiece::Text(text)) = pieces.last()
            && !rest.ends_with(text.as_str())
        {
            return None;
        }
        // Where a part of the version comes before all of it, it shows nowhere where that begins.
        let starts = if pieces[0].is_whole() { 0..1 } else { 0..rest.len() };
        let values = starts.flat_map(|start| (start..=rest.len()).rev().map(move |end| start..end));
        // Where the first placeholder's value ends shows when the others are filled in from it.
        values.into_iter().find_map(|range| {
            let value = rest.get(range)?;
            let (tag, spelled) = match first {
                TemplatePiece::Tag => (Tag::parse(value).ok(), format.spelled(value)?),
                _ => (None, TagFormat::default().spelled(value).filter(|spelled| spelled.written() == value)?),
            };
            let filled = self.filled(tag.as_ref().map(Tag::as_str), Some(&spelled.written()))?;
            (filled == name).then_some(spelled)
        })
    }

    /// Whether whoever promotes a version, as it is written, may write this tag by it: not where it becomes another one.
    pub fn concerns(&self, tag: &Tag, written: &str) -> bool {
        self.filled(None, Some(written)).is_none_or(|made| made == tag.as_str())
    }

    fn filled(&self, tag: Option<&str>, version: Option<&str>) -> Option<String> {
        let mut filled = String::new();
        for piece in &self.pieces {
            filled.push_str(match piece {
                TemplatePiece::Text(text) => text,
                TemplatePiece::Tag => tag?,
                TemplatePiece::Version => version?,
                TemplatePiece::Part(n) => version?.trim_start_matches('v').split('.').nth(*n)?,
            });
        }
        Some(filled)
    }
}

impl TemplatePiece {
    /// Whether its value tells the whole version.
    fn is_whole(&self) -> bool {
        matches!(self, TemplatePiece::Tag | TemplatePiece::Version)
    }
}

impl fmt::Display for Template {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let source = Tag::parse("v2026.34.103").unwrap();
        for (text, expected) in [
            ("latest", "latest"),
            ("{version}-rc", "2026.34.103-rc"),
            ("{tag}", "v2026.34.103"),
            ("prod-{tag}-{version}", "prod-v2026.34.103-2026.34.103"),
            ("{version}{version}", "2026.34.1032026.34.103"),
            ("{major}", "2026"),
            ("{major}.{minor}", "2026.34"),
            ("v{major}-{version}", "v2026-2026.34.103"),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.expand(Some(&source), Some("2026.34.103")).unwrap().as_str(), expected);
            assert_eq!(template.to_string(), text);
            assert_eq!(template.names_version(), text.contains("{tag}") || text.contains("{version}"), "{text}");
            assert_eq!(template.needs_version(), text.contains("{version}") || text.contains("{m"), "{text}");
        }
        // As written, and without `v`.
        for (version, expected) in [("v22.04.1", "22.04"), ("22.04", "22.04"), ("1.2.3.4", "1.2")] {
            let template = Template::parse("{major}.{minor}").unwrap();
            assert_eq!(template.expand(None, Some(version)).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn the_version_is_read_back_from_what_a_template_became() {
        let format = TagFormat::parse("{version}").unwrap();
        for (template, name, expected) in [
            ("{version}-rc", "2026.34.104-rc", Some("2026.34.104")),
            ("{version}-rc", "2026.34.104", None),
            ("{version}-rc", "v2026.34.104-rc", Some("2026.34.104")),
            ("{version}-rc", "vv2026.34.104-rc", None),
            ("{version}-{version}", "v1.2-v1.2", Some("1.2")),
            ("{version}-{version}", "v1.2-1.2", None),
            ("{tag}-{version}", "v1.2-rc-v1.2", Some("1.2")),
            ("v2026.34.103-rc", "v2026.34.104-rc", Some("2026.34.104")),
            ("{version}-rc", "latest-rc", None),
            ("{version}-rc", "-rc", None),
            ("{version}.9", "2026.34.9", Some("2026.34")),
            ("prod-{tag}", "prod-v2026.34.104-rc", Some("2026.34.104")),
            ("prod-{tag}", "prod-nightly", None),
            ("{tag}", "2026.34.104", Some("2026.34.104")),
            ("{version}-{version}", "1.2-1.2", Some("1.2")),
            ("{version}-{version}", "1.2-1.3", None),
            ("latest", "latest", None),
            // A part of a version is none; beside all of it, it has to fit.
            ("{major}.{minor}", "2026.34", None),
            ("{major}-rc", "2026.34-rc", None),
            ("{major}-{version}", "2026-2026.34.104", Some("2026.34.104")),
            ("x{major}.{minor}-{version}-rc", "x2026.34-v2026.34.104-rc", Some("2026.34.104")),
            ("{major}-{version}", "2025-2026.34.104", None),
            ("{version}-{minor}", "2026.34.104-34", Some("2026.34.104")),
            ("{tag}-{minor}", "v2026.34.104-rc-34", Some("2026.34.104")),
            ("{version}-{minor}", "2026.34.104-33", None),
            ("{major}{version}", "1111.1", Some("11.1")),
            // The version of the source, 2026.34.103, in the text itself.
            ("2026.34.103-rc", "2026.34.104-rc", Some("2026.34.104")),
            ("prod-v2026.34.103", "prod-v2026.34.104", Some("2026.34.104")),
            ("x2026.34.103", "x2026.34.104", Some("2026.34.104")),
            ("12026.34.103", "12026.34.103", None),
            ("2026.34.1034", "2026.34.1034", None),
            ("2026.34.103.1", "2026.34.103.1", None),
        ] {
            let template = Template::parse(template).unwrap().around("2026.34.103");
            let version = template.version_in(name, &format).map(|spelled| spelled.version.to_string());
            assert_eq!(version.as_deref(), expected, "{template} {name}");
        }
        let format = TagFormat::parse("feature-x-{version}").unwrap();
        let template = Template::parse("{tag}-done").unwrap();
        assert_eq!(template.version_in("feature-x-1.2.3-done", &format).unwrap().text, "1.2.3");
        assert_eq!(template.version_in("1.2.3-done", &format), None);
    }

    #[test]
    fn a_tag_concerns_the_versions_that_its_template_makes_it_of() {
        for (template, tag, written, expected) in [
            ("latest", "latest", "3.1.0", true),
            ("2.3", "2.3", "3.1.0", true),
            ("{major}", "2", "2.4.0", true),
            ("{major}", "2", "v2.4.0", true),
            ("{major}", "2", "3.1.0", false),
            ("{major}.{minor}", "2.3", "2.3.6", true),
            ("{major}.{minor}", "2.3", "2.4.0", false),
            ("{major}.{minor}", "22.04", "22.4.1", false),
            ("{major}{minor}", "123", "12.3.1", true),
            ("{version}-x", "2.3.5-x", "2.3.6", false),
            // Nobody knows another run's source tag.
            ("{tag}", "nightly", "2.3.6", true),
            ("{tag}-{major}", "nightly-2", "3.1.0", true),
        ] {
            let (made, tag) = (Template::parse(template).unwrap(), Tag::parse(tag).unwrap());
            assert_eq!(made.concerns(&tag, written), expected, "{template} {tag} {written}");
        }
    }

    #[test]
    fn texts_that_become_no_tag_are_refused_before_anything_is_looked_up() {
        for (text, code) in [
            ("{build}", Code::RequestInvalid),
            ("{Version}", Code::RequestInvalid),
            ("{patch}", Code::RequestInvalid),
            ("{major", Code::RequestInvalid),
            ("{version", Code::RequestInvalid),
            ("version}", Code::RequestInvalid),
            ("{{version}}", Code::RequestInvalid),
            ("${version}", Code::ReferenceInvalid),
            ("", Code::ReferenceInvalid),
            ("a b", Code::ReferenceInvalid),
            ("-{version}", Code::ReferenceInvalid),
            ("x/{tag}", Code::ReferenceInvalid),
            (&"x".repeat(129), Code::ReferenceInvalid),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().code(), code, "{text}");
        }
        // What it becomes is told beside what was written, where the two are not the same.
        for (text, message) in [
            ("x/{tag}", "`x/{tag}` cannot become a tag"),
            ("x/y", "`x/y` is not a tag: character `/` at position 2 of the tag"),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().message(), message);
        }
    }

    #[test]
    fn a_placeholder_without_a_value_is_an_error_that_names_the_source() {
        let tag = Tag::parse("stable").unwrap();
        for (text, tag, code, message) in [
            (
                "{version}-rc",
                Some(&tag),
                Code::VersionInvalid,
                "the tag `{version}-rc` needs a version, and the source tag `stable` is none and no version tag has its digest",
            ),
            (
                "{major}.{minor}",
                None,
                Code::VersionInvalid,
                "the tag `{major}.{minor}` needs a version, and no version tag has the digest of the source",
            ),
            (
                "{version}",
                None,
                Code::VersionInvalid,
                "the tag `{version}` needs a version, and no version tag has the digest of the source",
            ),
            (
                "{tag}",
                None,
                Code::RequestInvalid,
                "the tag `{tag}` needs the source's tag, and the source is named by its digest",
            ),
        ] {
            let error = Template::parse(text).unwrap().expand(tag, None).unwrap_err();
            assert_eq!((error.code(), error.message()), (code, message));
        }
    }

    #[test]
    fn a_whole_that_grows_too_long_is_refused() {
        let tag = Tag::parse(&"x".repeat(128)).unwrap();
        let error = Template::parse("{tag}-rc").unwrap().expand(Some(&tag), None).unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::ReferenceInvalid, "`{tag}-rc` does not become a tag"));
        assert!(Template::parse("{tag}").unwrap().expand(Some(&tag), None).is_ok());
    }
}
