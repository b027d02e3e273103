//! A repository with the tag or digest that picks one manifest in it.
//!
//! With both, the digest decides and the tag is for people.
//!
//! Grammar: `[host[:port]/]path[:tag][@digest]`, OCI distribution specification.

use crate::error::Error;
use crate::pure::image::spelling::{ReferenceParts, corrected, invalid, split};
use crate::pure::image::{Digest, Repository, Tag};
use crate::pure::text::quoted;
use crate::pure::text::words::serialized_as_text;
use std::fmt;

/// A repository, and the tag and digest that were named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// The tag or digest that decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identifier {
    /// A tag.
    Tag(Tag),
    /// A digest.
    Digest(Digest),
}

impl Reference {
    /// A reference from its parts.
    pub fn new(repository: Repository, tag: Option<Tag>, digest: Option<Digest>) -> Self {
        Self { repository, tag, digest }
    }

    /// Reads `[host[:port]/]path[:tag][@digest]`.
    ///
    /// # Errors
    /// `reference-invalid`, with the character and its position; the hint has a spelling that works,
    /// where trimming, lower case or leaving a scheme out is all it takes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|why| {
            let fixed = corrected(text, |text| Self::read(text).is_ok());
            invalid(text, "an image reference", &why, fixed.as_deref())
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        let ReferenceParts { name, tag, digest } = split(text)?;
        let repository = Repository::read(name)?;
        if tag == Some("") {
            return Err("no tag follows the `:`".to_owned());
        }
        let tag = tag.map(Tag::read).transpose()?;
        let digest = match digest {
            Some("") => return Err("no digest follows the `@`".to_owned()),
            Some(text) => Some(Digest::read(text).map_err(|why| format!("{} is not a digest: {why}", quoted(text)))?),
            None => None,
        };
        Ok(Self { repository, tag, digest })
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, where one was named.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, where one was named.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same, with the tag `latest` where neither tag nor digest was named.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(Tag::latest());
        }
        self
    }

    /// What decides: the digest, else the tag, else nothing.
    pub fn identifier(&self) -> Option<Identifier> {
        let digest = self.digest.clone().map(Identifier::Digest);
        digest.or_else(|| self.tag.clone().map(Identifier::Tag))
    }
}

impl Repository {
    /// The reference of a tag in this repository.
    pub fn tagged(&self, tag: &Tag) -> Reference {
        Reference::new(self.clone(), Some(tag.clone()), None)
    }

    /// The reference of a digest in this repository.
    pub fn at(&self, digest: &Digest) -> Reference {
        Reference::new(self.clone(), None, Some(digest.clone()))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

serialized_as_text!(Reference);

impl fmt::Display for Identifier {
    /// The text as it stands in an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identifier::Tag(tag) => tag.fmt(f),
            Identifier::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_read_and_printed_whole() {
        for (text, expected) in [
            ("nginx".to_owned(), "docker.io/library/nginx".to_owned()),
            ("acme/app:1".to_owned(), "docker.io/acme/app:1".to_owned()),
            // What no port can be, behind what may be a host.
            ("acme.app:202634".to_owned(), "docker.io/library/acme.app:202634".to_owned()),
            ("acme.app:rc".to_owned(), "docker.io/library/acme.app:rc".to_owned()),
            ("localhost:5000/app".to_owned(), "localhost:5000/app".to_owned()),
            ("localhost:5000/app:Rc_1".to_owned(), "localhost:5000/app:Rc_1".to_owned()),
            ("[::1]:5000/app:1".to_owned(), "[::1]:5000/app:1".to_owned()),
            (format!("acme/app@sha256:{HEX}"), format!("docker.io/acme/app@sha256:{HEX}")),
            (format!("reg.example:1/a/b:t@sha256:{HEX}"), format!("reg.example:1/a/b:t@sha256:{HEX}")),
        ] {
            assert_eq!(Reference::parse(&text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn the_digest_decides() {
        for (text, expected, latest) in [
            ("acme/app".to_owned(), None, Some("latest".to_owned())),
            ("acme/app:1".to_owned(), Some("1".to_owned()), Some("1".to_owned())),
            (format!("acme/app:1@sha256:{HEX}"), Some(format!("sha256:{HEX}")), Some(format!("sha256:{HEX}"))),
        ] {
            let reference = Reference::parse(&text).unwrap();
            assert_eq!(reference.identifier().map(|identifier| identifier.to_string()), expected);
            assert_eq!(reference.or_latest().identifier().map(|identifier| identifier.to_string()), latest);
        }
        assert_eq!(Reference::parse(&format!("a@sha256:{HEX}")).unwrap().or_latest().tag(), None);
        let both = Reference::parse(&format!("a:1@sha256:{HEX}")).unwrap();
        let named = (both.tag().map(Tag::as_str), both.digest().map(Digest::hex));
        assert_eq!(named, (Some("1"), Some(HEX)));
    }

    #[test]
    fn what_is_no_host_is_not_repeated_as_one() {
        for text in ["a\n.b:5000".to_owned(), format!("{}.b:5000", "é".repeat(4000))] {
            let error = Reference::parse(&text).unwrap_err();
            assert!(!error.message().contains('\n') && error.to_string().len() < 2000, "{error}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_reason_and_a_spelling_that_works() {
        let upper = format!("acme/app@sha256:{}", HEX.to_uppercase());
        let lower = format!("write `acme/app@sha256:{HEX}`");
        for (text, why, hint) in [
            (
                "acme/ServiceOne:1.2",
                "upper-case `S` at position 6 of the repository",
                Some("write `acme/serviceone:1.2`"),
            ),
            ("Nginx:1", "upper-case `N` at position 1 of the repository", Some("write `nginx:1`")),
            ("", "it is empty", None),
            (":1", "it names no repository", None),
            (
                "localhost:5000",
                "it names the registry `localhost:5000` and no repository, as `localhost:5000/acme/app` does",
                None,
            ),
            (
                "10.0.0.7:5000",
                "it names the registry `10.0.0.7:5000` and no repository, as `10.0.0.7:5000/acme/app` does",
                None,
            ),
            ("@sha256:00", "it names no repository", None),
            ("acme/app:", "no tag follows the `:`", None),
            ("acme/app@", "no digest follows the `@`", None),
            ("acme/app:1.0+2", "character `+` at position 4 of the tag", None),
            ("acme/app:1 ", "a space at position 2 of the tag", Some("write `acme/app:1`")),
            ("acme/app:1\n", "character `\\n` at position 2 of the tag", Some("write `acme/app:1`")),
            ("acme/app:\u{1b}[31m", "character `\\u{1b}` at position 1 of the tag", None),
            ("acme/app:1;rm", "character `;` at position 2 of the tag", None),
            ("docker://acme/App:1", "it begins with `docker://`", Some("write `acme/app:1`")),
            ("https://hub.docker.com/r/acme/app", "it begins with `https://`", None),
            ("acme/app@sha256:12", "`sha256:12` is not a digest: the hash has 2 digits, `sha256` has 64", None),
            ("acme/app@latest", "`latest` is not a digest: it does not begin with `sha256:`", None),
            (&upper, "the hash holds other characters than `0-9a-f`", Some(&lower)),
            ("reg:x/app:1", "its host `reg:x`: a host with an optional port is wanted", None),
            ("a:b:c", "character `:` at position 2 of the repository", None),
            ("Ünicode", "character `Ü` at position 1 of the repository", None),
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert_eq!(error.code(), Code::ReferenceInvalid);
            assert!(error.message().ends_with(why), "{text}: {error}");
            assert_eq!(error.hint_text(), hint, "{text}");
        }
    }

    #[test]
    fn a_variable_left_in_place_is_pointed_at() {
        let error = Reference::parse("acme/app:${BUILD}").unwrap_err();
        assert!(error.message().ends_with("character `$` at position 1 of the tag"), "{error}");
        assert!(error.hint_text().unwrap().contains("`$…`"));
    }

    #[test]
    fn a_password_in_a_reference_is_not_repeated() {
        for text in ["https://ci:hunter2@reg.example/app:1", "ci:hunter2@reg.example/app", "reg.example/ci:hunter2@x/y"]
        {
            let error = Reference::parse(text).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
