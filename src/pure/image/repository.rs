//! A path inside a registry.
//!
//! A name without a host belongs to Docker Hub, and there a name of one component is an official
//! image under `library/`.
//!
//! Grammar: OCI distribution specification, "Pulling manifests".

use crate::error::Error;
use crate::pure::image::Registry;
use crate::pure::image::spelling::{corrected, invalid, split};
use crate::pure::text::quoted;
use crate::pure::text::show::character;
use crate::pure::text::words::{read_from_text, serialized_as_text};
use std::fmt;

/// What many servers and clients allow for host, `/` and path together.
const LONGEST: usize = 255;

/// A repository by its canonical name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    registry: Registry,
    path: Box<str>,
}

impl Repository {
    /// Reads `[host[:port]/]path`.
    ///
    /// # Errors
    /// `reference-invalid`, with the character and its position, or where a tag or digest is named.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let read = |text: &str| {
            let parts = split(text)?;
            match (parts.tag, parts.digest) {
                (_, Some(digest)) => Err(format!("it names the digest {}", quoted(digest))),
                (Some(tag), None) => Err(format!("it names the tag {}", quoted(tag))),
                (None, None) => Self::read(parts.name),
            }
        };
        let why = match read(text) {
            Ok(repository) => return Ok(repository),
            Err(why) => why,
        };
        let fixed = corrected(text, |text| split(text).is_ok_and(|parts| Self::read(parts.name).is_ok()));
        let name = fixed.as_deref().and_then(|fixed| split(fixed).ok().map(|parts| parts.name));
        Err(invalid(text, "a repository", &why, name))
    }

    /// Reads a name that holds neither tag nor digest.
    pub(super) fn read(name: &str) -> Result<Self, String> {
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
                let registry = Registry::read(host).map_err(|why| format!("its host {}: {why}", quoted(host)))?;
                (registry, path)
            }
            _ => (Registry::docker_hub(), name),
        };
        if path.is_empty() {
            return Err("it names no repository".to_owned());
        }
        check(path)?;
        let official = registry.is_docker_hub() && !path.contains('/');
        let path: Box<str> = if official { format!("library/{path}").into() } else { path.into() };
        let repository = Self { registry, path };
        match repository.to_string().len() {
            0..=LONGEST => Ok(repository),
            length => Err(format!("the whole name has {length} characters, at most {LONGEST} are allowed")),
        }
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The path inside the registry, such as `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Says why a text is not a path: the first character that does not fit, and where it stands.
fn check(path: &str) -> Result<(), String> {
    let mut before = '/';
    let mut run = 0;
    for (position, each) in path.chars().chain(['/']).enumerate() {
        let here = |what: String| Err(format!("{what} at position {} of the repository", position + 1));
        run = if each == before { run + 1 } else { 1 };
        match each {
            'a'..='z' | '0'..='9' => {}
            '/' if before == '/' => return here("an empty component".to_owned()),
            '/' if matches!(before, '.' | '_' | '-') => {
                let what = format!("a component ends with `{before}`");
                return Err(format!("{what} at position {position} of the repository"));
            }
            '/' => {}
            '.' | '_' | '-' => {
                // One dot, one or two underscores or any number of hyphens stand between letters and digits.
                let most = match each {
                    '.' => 1,
                    '_' => 2,
                    _ => usize::MAX,
                };
                if before == '/' {
                    return here(format!("a component begins with `{each}`"));
                }
                if run > most || (before != each && matches!(before, '.' | '_' | '-')) {
                    return here(format!("`{each}` after `{before}`"));
                }
            }
            _ => return here(character(each)),
        }
        before = each;
    }
    Ok(())
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

serialized_as_text!(Repository);
read_from_text!(Repository);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_read_and_printed_whole() {
        for (text, expected) in [
            ("nginx", "docker.io/library/nginx"),
            ("library/nginx", "docker.io/library/nginx"),
            ("acme/app", "docker.io/acme/app"),
            ("docker.io/nginx", "docker.io/library/nginx"),
            ("index.docker.io/acme/app", "docker.io/acme/app"),
            ("localhost/app", "localhost/app"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("Reg.Example.com/a/b/c", "reg.example.com/a/b/c"),
            ("[::1]:5000/app", "[::1]:5000/app"),
            ("host/app", "docker.io/host/app"),
            ("a.b/c", "a.b/c"),
            ("acme/a.b_c__d-e---f0", "docker.io/acme/a.b_c__d-e---f0"),
        ] {
            assert_eq!(Repository::parse(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn other_texts_are_refused_with_reason_and_a_spelling_that_works() {
        for (text, why, hint) in [
            ("", "it is empty", None),
            ("acme/ServiceOne", "upper-case `S` at position 6 of the repository", Some("write `acme/serviceone`")),
            ("acme/app:1", "it names the tag `1`", Some("write `acme/app`")),
            ("acme/app@sha256:00", "it names the digest `sha256:00`", Some("write `acme/app`")),
            ("reg.example.com/", "it names no repository", None),
            ("acme//app", "an empty component at position 6 of the repository", None),
            ("acme/", "an empty component at position 6 of the repository", None),
            ("/acme", "an empty component at position 1 of the repository", None),
            ("acme/-app", "a component begins with `-` at position 6 of the repository", None),
            ("acme/app_", "a component ends with `_` at position 9 of the repository", None),
            ("acme/a..b", "`.` after `.` at position 8 of the repository", None),
            ("acme/a___b", "`_` after `_` at position 9 of the repository", None),
            ("acme/a-_b", "`_` after `-` at position 8 of the repository", None),
            ("../etc/passwd", "its host `..`: the host is not a domain name", None),
            ("acme/a;b", "character `;` at position 7 of the repository", None),
            (
                "https://reg.example.com/acme/App/",
                "it begins with `https://`",
                Some("write `reg.example.com/acme/app`"),
            ),
        ] {
            let error = Repository::parse(text).unwrap_err();
            assert!(error.message().ends_with(&format!("is not a repository: {why}")), "{text}: {error}");
            assert_eq!(error.hint_text(), hint, "{text}");
        }
        assert!(Repository::parse(&format!("reg.example.com/{}", "a".repeat(239))).is_ok());
        assert!(Repository::parse(&format!("reg.example.com/{}", "a".repeat(240))).is_err());
    }
}
