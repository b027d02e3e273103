//! The shared files of the AWS tools: `~/.aws/credentials` and `~/.aws/config`, read into profiles.
//!
//! What a profile asks for is decided in [`crate::pure::aws::profile_plan`]. Values are kept as text and are
//! never put into a message, because any of them may be a secret.
//!
//! Format: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".

use crate::error::{Code, Error};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Which of the two files a text is; they name their sections differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedFile {
    /// Sections are `[name]`.
    Credentials,
    /// Sections are `[default]`, `[profile name]`, `[sso-session name]`, `[services name]`.
    Config,
}

/// Keys and values of one section; keys in lower case, nested ones as `outer.inner`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Section {
    values: BTreeMap<String, String>,
    /// Where the section begins, as `FILE:LINE`.
    origin: String,
}

impl Section {
    /// The value of a key, unless it is blank.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where the section begins, as `FILE:LINE`.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for Section {
    /// The keys alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("origin", &self.origin).field("keys", &self.values.keys()).finish()
    }
}

/// Everything both files say.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    sections: HashMap<(Group, String), Section>,
    /// The files that were read, for messages.
    files: Vec<String>,
}

impl Profiles {
    /// Adds what one file says. Where both give a key the later one counts, so the credentials file comes last.
    ///
    /// # Errors
    /// `config-malformed` with file and line.
    pub fn add(&mut self, text: &str, file: &str, kind: SharedFile) -> Result<(), Error> {
        self.files.push(file.to_owned());
        let mut bare_default = true;
        for (name, section) in sections(text, file)? {
            let Some((group, name)) = placed(&name, kind) else { continue };
            // `[profile default]` counts more than `[default]`, wherever it stands.
            let key = match group {
                Group::BareDefault if !bare_default => continue,
                Group::BareDefault => (Group::Profile, name),
                Group::PrefixedDefault => {
                    let key = (Group::Profile, name);
                    if std::mem::take(&mut bare_default) {
                        self.sections.remove(&key);
                    }
                    key
                }
                group => (group, name),
            };
            let origin = section.origin;
            let known = self.sections.entry(key).or_insert_with(|| Section { origin, ..Section::default() });
            known.values.extend(section.values);
        }
        Ok(())
    }

    fn section(&self, group: Group, name: &str) -> Option<&Section> {
        self.sections.get(&(group, name.to_owned()))
    }

    /// The profile of that name; names compare with their case.
    pub fn get(&self, name: &str) -> Option<&Section> {
        self.section(Group::Profile, name)
    }

    /// The `sso-session` section of that name.
    pub fn sso_session(&self, name: &str) -> Option<&Section> {
        self.section(Group::SsoSession, name)
    }

    /// The names of all profiles.
    pub fn names(&self) -> Vec<&str> {
        let profiles = self.sections.keys().filter(|(group, _)| *group == Group::Profile);
        let mut names: Vec<&str> = profiles.map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The files that were read.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The address that a profile sets for a service, by its `services` section or for all services.
    pub fn endpoint_url(&self, profile: &str, service: &str) -> Option<&str> {
        let section = self.get(profile)?;
        let key = format!("{}.endpoint_url", service.replace('-', "_"));
        let services = section.get("services").and_then(|name| self.section(Group::Services, name));
        services.and_then(|services| services.get(&key)).or_else(|| section.get("endpoint_url"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Group {
    Profile,
    BareDefault,
    PrefixedDefault,
    Services,
    SsoSession,
}

// Where a section belongs; `None` for one that the tools ignore too.
fn placed(header: &str, kind: SharedFile) -> Option<(Group, String)> {
    let (word, rest) = match header.split_once([' ', '\t']) {
        Some((word, rest)) => (word, Some(unquoted(rest.trim()))),
        None => (header, None),
    };
    match (kind, word, rest) {
        (SharedFile::Credentials, _, None) => Some((Group::Profile, unquoted(header).to_owned())),
        (SharedFile::Credentials, "profile", Some(_)) => None,
        (SharedFile::Credentials, _, Some(_)) => Some((Group::Profile, unquoted(header).to_owned())),
        (SharedFile::Config, "default", None) => Some((Group::BareDefault, "default".to_owned())),
        (SharedFile::Config, "profile", Some("default")) => Some((Group::PrefixedDefault, "default".to_owned())),
        (SharedFile::Config, "profile", Some(name)) => Some((Group::Profile, name.to_owned())),
        (SharedFile::Config, "services", Some(name)) => Some((Group::Services, name.to_owned())),
        (SharedFile::Config, "sso-session", Some(name)) => Some((Group::SsoSession, name.to_owned())),
        _ => None,
    }
}

fn unquoted(name: &str) -> &str {
    let inner = |quote: char| name.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(name).trim()
}

fn sections(text: &str, file: &str) -> Result<Vec<(String, Section)>, Error> {
    let mut found: Vec<(String, Section)> = Vec::new();
    // The key that a deeper line would belong to, and how deep that key stands itself.
    let mut open: Option<(String, usize)> = None;
    for (index, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let bad = |why: &str| {
            let place = format!("`{file}:{}`", index + 1);
            Err(Error::new(Code::ConfigMalformed, format!("{place} cannot be read: {why}")))
        };
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let depth = raw.len() - raw.trim_start().len();
        if let (Some((key, outer)), Some((_, section))) = (&open, found.last_mut())
            && depth > *outer
        {
            if let Some((inner, value)) = split_pair(line) {
                section.values.insert(format!("{key}.{inner}"), value.to_owned());
            } else if let Some(value) = section.values.get_mut(key) {
                value.push('\n');
                value.push_str(line);
            }
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let Some((name, tail)) = rest.split_once(']') else { return bad("the section has no closing `]`") };
            if !tail.trim().is_empty() && !tail.trim_start().starts_with(['#', ';']) {
                return bad("text stands behind the section's `]`");
            }
            if name.trim().is_empty() {
                return bad("the section has no name");
            }
            let origin = format!("{file}:{}", index + 1);
            found.push((name.trim().to_owned(), Section { origin, ..Section::default() }));
            open = None;
            continue;
        }
        let Some((_, section)) = found.last_mut() else { return bad("a line stands before the first section") };
        match split_pair(line) {
            Some((key, value)) if !key.is_empty() => {
                section.values.insert(key.clone(), value.to_owned());
                open = Some((key, depth));
            }
            Some(_) => return bad("the line has no key before `=`"),
            None => return bad("the line is neither a section, nor `key = value`, nor a comment"),
        }
    }
    Ok(found)
}

// A comment behind a value begins with a space, so that a `#` inside a value stays.
fn split_pair(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.split_once('=')?;
    let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark)).min().unwrap_or(value.len());
    Some((key.trim().to_ascii_lowercase(), value[..end].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(credentials: &str, config: &str) -> Profiles {
        let mut profiles = Profiles::default();
        profiles.add(config, "config", SharedFile::Config).unwrap();
        profiles.add(credentials, "credentials", SharedFile::Credentials).unwrap();
        profiles
    }

    #[test]
    fn sections_are_named_differently_in_the_two_files() {
        let found = read(
            "[default]\na=1\n[dev]\na=2\n[profile ignored]\na=3\n[two words]\na=4",
            "[profile only-here]\na=5\n[ignored-too]\na=6\n[profile \"with space\"]\na=7\n[profile 'q']\na=8\n[sso-session s]\nsso_region=r\n",
        );
        for (name, value) in [
            ("default", Some("1")),
            ("dev", Some("2")),
            ("ignored", None),
            ("profile ignored", None),
            ("two words", Some("4")),
            ("only-here", Some("5")),
            ("ignored-too", None),
            ("with space", Some("7")),
            ("q", Some("8")),
            ("DEV", None),
        ] {
            assert_eq!(found.get(name).and_then(|section| section.get("a")), value, "{name}");
        }
        assert_eq!(found.sso_session("s").unwrap().get("sso_region"), Some("r"));
        assert_eq!(found.files(), ["config", "credentials"]);
    }

    #[test]
    fn lines_are_read_in_every_form() {
        let found = read(
            "\u{feff}# comment\r\n; comment\r\n\r\n[default] # here\r\n  AWS_Access_Key_Id =  AKID \r\nb=x=y\nc = v # comment\nd=v#kept\ne=\nf =v ; c\n",
            "",
        );
        let section = found.get("default").unwrap();
        for (key, value) in [
            ("aws_access_key_id", Some("AKID")),
            ("b", Some("x=y")),
            ("c", Some("v")),
            ("d", Some("v#kept")),
            ("e", None),
            ("f", Some("v")),
        ] {
            assert_eq!(section.get(key), value, "{key}");
        }
        assert_eq!(section.origin(), "credentials:4");
    }

    #[test]
    fn deeper_lines_belong_to_the_key_above() {
        let found = read(
            "",
            "[default]\nregion = r\ns3 =\n  max = 1\n  # comment\n  other=2\nservices = local\n[services local]\necr =\n  endpoint_url = http://localhost:1\nsts =\n\tendpoint_url = http://localhost:2\n",
        );
        let section = found.get("default").unwrap();
        assert_eq!((section.get("s3.max"), section.get("max"), section.get("s3.other")), (Some("1"), None, Some("2")));
        assert_eq!(found.endpoint_url("default", "ecr"), Some("http://localhost:1"));
        assert_eq!(found.endpoint_url("default", "sts"), Some("http://localhost:2"));
        assert_eq!(found.endpoint_url("default", "ecr-public"), None);
        assert_eq!(found.endpoint_url("none", "ecr"), None);
    }

    #[test]
    fn an_address_for_all_services_comes_after_one_for_the_service() {
        let found = read(
            "",
            "[profile p]\nendpoint_url=http://all\nservices=s\n[services s]\nsts=\n endpoint_url=http://sts\n",
        );
        assert_eq!(found.endpoint_url("p", "ecr"), Some("http://all"));
        assert_eq!(found.endpoint_url("p", "sts"), Some("http://sts"));
    }

    #[test]
    fn the_credentials_file_counts_more_and_a_prefixed_default_too() {
        let config = "[profile p]\nk = config\nregion = r\n[default]\nd = bare\n[profile default]\nd = prefixed\n[default]\nd = bare\n";
        let found = read("[p]\nk = credentials\n", config);
        let section = found.get("p").unwrap();
        assert_eq!((section.get("k"), section.get("region")), (Some("credentials"), Some("r")));
        assert_eq!(found.get("default").unwrap().get("d"), Some("prefixed"));
    }

    #[test]
    fn a_bad_line_is_named_and_not_repeated() {
        for (text, expected) in [
            ("key = sekret", "`f:1` cannot be read: a line stands before the first section"),
            ("\n[a\nk=sekret", "`f:2` cannot be read: the section has no closing `]`"),
            ("[a] sekret", "`f:1` cannot be read: text stands behind the section's `]`"),
            ("[]", "`f:1` cannot be read: the section has no name"),
            (
                "[a]\nk = v\nsekret",
                "`f:3` cannot be read: the line is neither a section, nor `key = value`, nor a comment",
            ),
            ("[a]\n= sekret", "`f:2` cannot be read: the line has no key before `=`"),
            ("<html>sekret", "`f:1` cannot be read: a line stands before the first section"),
        ] {
            let error = Profiles::default().add(text, "f", SharedFile::Credentials).unwrap_err();
            assert_eq!((error.code(), error.message()), (Code::ConfigMalformed, expected));
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let found = read("[default]\naws_secret_access_key = sekret\n", "");
        assert!(!format!("{found:?}").contains("sekret"));
        let shown = format!("{:?}", found.get("default").unwrap());
        assert_eq!(shown, r#"Section { origin: "credentials:1", keys: ["aws_secret_access_key"] }"#);
    }
}
