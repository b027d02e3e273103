//! What was given for a command, by words or by JSON, before any value is looked at.
//!
//! Both ways end here, so that every rule of [`crate::cli::build`] is checked once; how a flag is spelled in a message
//! depends on the way it came.

use crate::cli::{Command, Flag, RELEASE};
use crate::error::{Code, Error};
use crate::pure::text::{shell, show};

/// How the arguments were written, and so how messages spell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Words of a command line.
    Words,
    /// Keys of a JSON request.
    Json,
}

/// Why a value that somebody meant to give can be blank.
pub const UNSET: &str = "a variable that is not set leaves it blank";

/// A command with its arguments as texts.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// The command.
    pub command: &'static Command,
    /// How the arguments were written.
    pub dialect: Dialect,
    /// The positional argument.
    pub object: Option<String>,
    /// Those that follow it, for a command that takes several.
    pub then: Vec<String>,
    /// The key under which a JSON request holds the positional argument.
    pub object_key: &'static str,
    /// Every flag in the order given, with its value unless it is a switch.
    pub flags: Vec<(&'static Flag, Option<String>)>,
    /// The document that a JSON request holds in the place of the name of one; the flag is `-` then.
    pub document: Option<String>,
    /// The arguments of each promotion of a release, with the place where they stand.
    pub entries: Vec<(String, Arguments)>,
}

/// What to do about a value that stands twice.
pub const KEEP_ONE: &str = "keep the one that is meant";

impl Arguments {
    /// Nothing given yet.
    pub fn new(command: &'static Command, dialect: Dialect) -> Self {
        let object_key = command.object.keys.first().copied().unwrap_or_default();
        Self {
            command,
            dialect,
            object: None,
            then: Vec::new(),
            object_key,
            flags: Vec::new(),
            document: None,
            entries: Vec::new(),
        }
    }

    /// Adds a flag with its value, if that is possible beside those that are there.
    ///
    /// # Errors
    /// `missing-value` for a blank value, `request-invalid` for a second value of a flag that takes one.
    pub fn add(&mut self, flag: &'static Flag, value: Option<String>) -> Result<(), Error> {
        let name = self.name(flag.long);
        if let Some(text) = &value {
            if holds_a_key(text) {
                let hint = format!(
                    "put the key into a file, or into a variable and write {}",
                    self.with(flag.long, "env:NAME")
                );
                return Err(invalid(format!("{name} holds a private key, which has no place there"), hint));
            }
            if text.trim().is_empty() && !flag.blank {
                let way_out = match self.dialect {
                    Dialect::Words => format!("as in {}", self.example(flag.long)),
                    Dialect::Json => "or leave the key out".to_owned(),
                };
                return Err(missing(format!("{name} is blank"), format!("give it a value, {way_out}; {UNSET}")));
            }
            if let Some(first) = self.one(flag.long).filter(|_| !flag.repeats) {
                return Err(invalid(format!("{name} stands twice: {} and {}", shown(first), shown(text)), KEEP_ONE));
            }
        }
        self.flags.push((flag, value));
        Ok(())
    }

    /// Sets a positional argument: under its key, or in the order of the words.
    ///
    /// # Errors
    /// `missing-value` for a blank text, `reference-invalid` for one that may hold a password.
    pub fn take_object(&mut self, key: &'static str, text: String) -> Result<(), Error> {
        let what = match self.dialect {
            Dialect::Words => format!("the {}", self.command.object.value.to_ascii_lowercase().replace('|', " or ")),
            Dialect::Json => format!("`{key}`"),
        };
        if text.trim().is_empty() {
            return Err(missing(format!("{what} is blank"), format!("give it a value; {UNSET}")));
        }
        if let Some((bare, _)) = without_user_info(&text).filter(|_| self.command.name != RELEASE) {
            let message = format!("{what} holds user info before `@`");
            let hint = format!("write {}; {}", shown(bare), crate::cli::suggest::SECRETS);
            return Err(Error::new(Code::ReferenceInvalid, message).hint(hint));
        }
        let follows = self.command.object.repeats && self.object.is_some();
        if follows || self.command.object.then.is_some_and(|then| then.keys.contains(&key)) {
            self.then.push(text);
        } else {
            (self.object, self.object_key) = (Some(text), key);
        }
        Ok(())
    }

    /// The value of a flag that is given at most once.
    pub fn one(&self, long: &str) -> Option<&str> {
        self.all(long).next()
    }

    /// Every value of a flag.
    pub fn all(&self, long: &str) -> impl Iterator<Item = &str> {
        debug_assert!(self.command.flag(long).is_some(), "`{}` has no `--{long}`", self.command.name);
        self.flags.iter().filter(move |(flag, _)| flag.long == long).filter_map(|(_, value)| value.as_deref())
    }

    /// Whether a flag is given, with or without a value.
    pub fn has(&self, long: &str) -> bool {
        debug_assert!(self.command.flag(long).is_some(), "`{}` has no `--{long}`", self.command.name);
        self.flags.iter().any(|(flag, _)| flag.long == long)
    }

    /// A flag as it stands in messages: `` `--dry-run` `` or `` `dryRun` ``.
    pub fn name(&self, long: &str) -> String {
        match (self.dialect, self.command.flag(long)) {
            (Dialect::Json, Some(flag)) => format!("`{}`", flag.key()),
            _ => format!("`--{long}`"),
        }
    }

    /// A flag with a value as it is to be written: `` `--build 103` `` or `` `build: '103'` ``.
    pub fn with(&self, long: &str, value: &str) -> String {
        shown(&match (self.dialect, self.command.flag(long)) {
            (Dialect::Json, Some(flag)) => format!("{}: {}", flag.key(), in_quotes(value)),
            _ => format!("--{long} {}", shell::quote(value)),
        })
    }

    /// A flag as it is to be written, with the name of its value: `` `--build N` ``, `` `build: 'N'` ``, `` `newest: true` ``.
    pub fn example(&self, long: &str) -> String {
        let flag = self.command.flag(long);
        match (flag.and_then(|flag| flag.value), self.dialect, flag) {
            (Some(_), Dialect::Json, _) if long == "require-label" => "`requireLabel: [KEY: 'VALUE']`".to_owned(),
            (Some(value), ..) => self.with(long, value.split('|').next().unwrap_or_default()),
            (None, Dialect::Json, Some(flag)) => format!("`{}: true`", flag.key()),
            (None, ..) => self.name(long),
        }
    }

    /// A value that a flag cannot have, with the way out.
    pub fn wrong(&self, long: &str, value: &str, hint: impl Into<String>) -> Error {
        invalid(self.cannot_be(long, value), hint)
    }

    /// The same about a value that its own parser refused; the parser's words become the cause.
    pub fn refused(&self, long: &str, value: &str, why: Error) -> Error {
        why.restate(self.cannot_be(long, value))
    }

    fn cannot_be(&self, long: &str, value: &str) -> String {
        format!("{} cannot be {}", self.name(long), shown(value))
    }
}

/// A value or a combination that cannot be, with the way out.
pub fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(Code::RequestInvalid, message).hint(hint)
}

/// Something that has to be given and is not, with the way out.
pub fn missing(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(Code::MissingValue, message).hint(hint)
}

/// The failure of one entry of a list.
pub fn at(place: &str, error: Error) -> Error {
    let message = format!("{place}: {}", error.message());
    error.retold(message)
}

/// Whether a text is a private key, or what stands between the lines of one.
fn holds_a_key(text: &str) -> bool {
    // Keys of each kind begin so in base64.
    let is_bare = text.len() > 60 && ["MC4C", "MHc", "MIG", "MII"].iter().any(|start| text.starts_with(start));
    text.contains("PRIVATE KEY-") || is_bare && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=\n".contains(&b))
}

/// A text between single quotes, as Groovy reads it.
pub fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A text of the caller's in backticks, fit for a message: without user info and without control characters; a private key
/// is not repeated.
pub fn shown(text: &str) -> String {
    if holds_a_key(text) {
        return "`…`".to_owned();
    }
    match without_user_info(text) {
        Some((bare, scheme)) => show::quoted(&format!("{scheme}…@{bare}")),
        None => show::quoted(text),
    }
}

/// What follows the user info of an address, and the scheme; `None` for a text that has none.
fn without_user_info(text: &str) -> Option<(&str, &str)> {
    let start = text.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = text.split_at(start);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let at = authority.rfind('@')?;
    // Without a scheme, `app:1@sha256:…` is a reference.
    let algorithm = authority[at + 1..].split(':').next().unwrap_or_default().to_ascii_lowercase();
    let is_digest = scheme.is_empty() && algorithm.strip_prefix("sha").is_some_and(|bits| bits.parse::<u16>().is_ok());
    if is_digest { None } else { Some((&rest[at + 1..], scheme)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_no_password() {
        let shortest = format!("MC4C{}", "A".repeat(57));
        for (text, expected) in [
            ("acme/app:1", "`acme/app:1`"),
            ("https://ci:secret@reg.example/app", "`https://…@reg.example/app`"),
            ("ci:secret@reg.example", "`…@reg.example`"),
            ("app:1@sha256:12", "`app:1@sha256:12`"),
            ("https://reg.example/app@sha256:12", "`https://reg.example/app@sha256:12`"),
            ("a\nb", "`a\\nb`"),
            ("-----BEGIN PRIVATE KEY-----\nMIGH", "`…`"),
            ("MIGRATION", "`MIGRATION`"),
            // No key is as short as that.
            (&shortest[..60], &format!("`{}`", &shortest[..60])),
            (&shortest, "`…`"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
