//! Why a command ended without a result: a stable code, a message, a hint and an exit status.
//!
//! Every failure a person can meet is built here and has its code in the one table below, from which
//! `docs/errors.md` is generated. What an error looks like on stdout is decided in [`crate::output::envelope`].

use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;

macro_rules! codes {
    ($(#[doc = $meaning:literal] #[doc = $advice:literal] $variant:ident = $text:literal, $exit:literal;)+) => {
        /// The stable, documented reason of a failure; it decides the exit status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = concat!($meaning, ":", $advice)] $variant,)+ }

        // What the documents say about the codes; they are written and checked by the tests.
        #[cfg(feature = "internals")]
        impl Code {
            /// Every code, in the order of their exit status.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// One line that says what the code means.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$variant => $meaning.trim_ascii_start(),)+ }
            }

            /// One line that says what to do about it.
            pub fn advice(self) -> &'static str {
                match self { $(Code::$variant => $advice.trim_ascii_start(),)+ }
            }
        }

        impl Code {
            /// The code as it is printed, kebab-case.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)+ }
            }

            /// The exit status that goes with the code.
            pub fn exit(self) -> u8 {
                match self { $(Code::$variant => $exit,)+ }
            }
        }
    };
}

// The first line is the meaning, the second what to do.
codes! {
    /// there is no such command
    /// write the command that the hint names; `tagwright -h` lists them all
    UnknownCommand = "unknown-command", 2;
    /// the command has no such flag, or the flag stands where it has no meaning
    /// write the flag that the hint names; `tagwright COMMAND --help` lists them all
    UnknownFlag = "unknown-flag", 2;
    /// a JSON request holds a key that the command does not know
    /// write the key that the hint names; it is the flag in camelCase
    UnknownKey = "unknown-key", 2;
    /// something the command needs was not given, or given as null or blank
    /// give what the message names; in a pipeline look at the build parameter that is empty, or leave the key out
    MissingValue = "missing-value", 2;
    /// a text is not a reference, a repository, a registry, a tag or a digest
    /// write it as the hint does, such as `registry.example/acme/app:1.4.2`
    ReferenceInvalid = "reference-invalid", 2;
    /// a text is not a version where one is needed
    /// name a tag that is a version, or write `--to` and `--move` without `{version}`
    VersionInvalid = "version-invalid", 2;
    /// a value or a combination of flags that the command cannot take
    /// leave out one of the two, or give a value of the kind that the message names
    RequestInvalid = "request-invalid", 2;
    /// a configuration file or environment variable cannot be read as what it should be
    /// correct the file or variable that the message names; `tagwright auth` reads them all again
    ConfigMalformed = "config-malformed", 2;
    /// the record of a promotion cannot be read as one, or cannot be written
    /// name the file that `promote --record` wrote, whole and in a place that can be written to
    RecordInvalid = "record-invalid", 2;
    /// the repository is there, the tag or digest is not
    /// look for the tag with `tagwright tags REPOSITORY`; the build may not have pushed it yet
    TagUnknown = "tag-unknown", 3;
    /// the repository is not there
    /// check the name, and with `tagwright auth REPOSITORY` whether this credential may see it
    RepositoryUnknown = "repository-unknown", 3;
    /// the image has no such platform
    /// name one of the platforms that `tagwright inspect` lists
    PlatformMissing = "platform-missing", 3;
    /// the image has no such label
    /// name one of the labels that the message lists, or give `--default`
    LabelMissing = "label-missing", 3;
    /// no tag is a version of that build
    /// check that the build has pushed its image, and that its tag is a version that ends with its number
    NoTagForBuild = "no-tag-for-build", 3;
    /// the value that `--print` asked for is null or not there
    /// ask for another path; without `--print` the document shows what there is
    ValueNull = "value-null", 3;
    /// a credential was asked for and none was found
    /// give a credential in one of the places that the cause lists
    CredentialMissing = "credential-missing", 4;
    /// the credential was not accepted
    /// see with `tagwright auth` which place the credential came from, and put a right one there
    Unauthenticated = "unauthenticated", 4;
    /// the credential was accepted and the action was refused
    /// give the identity that the message names the right that it names, or use another credential
    Denied = "denied", 4;
    /// the credential or token has run out
    /// get a fresh credential: log in again, or use a role that renews itself
    TokenExpired = "token-expired", 4;
    /// a tag that must not move already has another digest
    /// promote under a new tag, or name the tag with `--move` where it may point to another image
    TagConflict = "tag-conflict", 5;
    /// the registry does not let this tag change
    /// promote under a new tag, or change the rule of the repository at the registry
    TagImmutable = "tag-immutable", 5;
    /// a tag would go from a newer version to an older one
    /// promote a newer version, or name the tag by `--move-if-newer`, which leaves it; `--allow-downgrade` goes back on purpose
    DowngradeRefused = "downgrade-refused", 5;
    /// it cannot be told which of two versions is newer
    /// promote the version tag of that image, or say `--allow-downgrade` to move without comparing
    OrderUnknown = "order-unknown", 5;
    /// the new version exists, or is lower than one that does
    /// raise the counter of the job, or take `--build auto` or `--on-conflict bump`
    VersionNotIncreasing = "version-not-increasing", 5;
    /// several versions have that build number
    /// name the tag itself, choose the newest with `--newest`, or tell branches apart with `--tag-format`
    BuildAmbiguous = "build-ambiguous", 5;
    /// the platforms of an image disagree on what was asked for
    /// choose one with `--platform`, or read each with `--all-platforms`
    PlatformAmbiguous = "platform-ambiguous", 5;
    /// the reference has another digest than `--expect-digest` names
    /// look at what the tag is now with `tagwright inspect`; somebody has moved it
    DigestUnexpected = "digest-unexpected", 5;
    /// a label has another value than `--require-label` names, or none
    /// promote the image that was built from what is required; nothing is wrong with the registry
    LabelMismatch = "label-mismatch", 5;
    /// the manifest is not a container image
    /// name an image; a chart or a signature has no labels and can be promoted all the same
    NotAnImage = "not-an-image", 5;
    /// the manifest is of the retired schema 1
    /// push the image again with a tool of today
    Schema1Unsupported = "schema1-unsupported", 5;
    /// the index names no image
    /// push the index again, with an image in it
    IndexEmpty = "index-empty", 5;
    /// the registry does not take this manifest
    /// read the registry's words: it lacks something that the manifest names, or does not take its kind
    ManifestRefused = "manifest-refused", 5;
    /// the image is not signed by a key of `--require-signature`
    /// sign the image by its digest, or give the key that it is signed with; the causes say what was found
    SignatureMissing = "signature-missing", 5;
    /// the image has no attestation of that type by a key of `--require-signature`
    /// attest the image by its digest; the causes say what was found
    AttestationMissing = "attestation-missing", 5;
    /// the credential is pinned to another registry
    /// give the credential of the registry that the command is about, and set `REGISTRY_HOST` to it, in a step `registry:`
    CredentialHostMismatch = "credential-host-mismatch", 5;
    /// the registry names a token realm that a credential must not be sent to
    /// check the registry and its token service: they lead a credential where it must not go
    RealmRefused = "realm-refused", 5;
    /// a redirect leads somewhere it must not, or in circles
    /// check the registry and the proxies before it: they lead elsewhere, or in circles
    RedirectRefused = "redirect-refused", 5;
    /// plain HTTP was not allowed for this host
    /// put TLS before the registry, or accept with `--plain-http HOST` that everything can be read on the way
    PlainHttpRefused = "plain-http-refused", 5;
    /// somebody else wrote the same tag at the same time
    /// look at what both have written with `tagwright inspect`, and promote again what is meant to stay; `lock:` keeps builds apart
    Raced = "raced", 5;
    /// no connection could be made, or it broke
    /// check name, port, proxy variables and certificate; the causes say which it was
    Unreachable = "unreachable", 6;
    /// the time limit was reached
    /// run it again, or give `--timeout` more seconds
    Timeout = "timeout", 6;
    /// the service asks to come back later
    /// wait as long as the message says, or log in, which counts by account in place of address
    RateLimited = "rate-limited", 6;
    /// the service is there and cannot answer now
    /// wait and run it again; a promotion that broke off goes on where it was
    RegistryUnavailable = "registry-unavailable", 6;
    /// the content is not what its digest says
    /// push the image again; something on the way or in the store has changed it
    DigestMismatch = "digest-mismatch", 7;
    /// the content is larger than it may be
    /// narrow the question, for example with `--limit`, or look at what the registry holds there
    SizeExceeded = "size-exceeded", 7;
    /// the reply cannot be read as what it should be
    /// look at what came, which the message shows: often it is a proxy or a login page
    ReplyMalformed = "reply-malformed", 7;
    /// a blob that the manifest names is not there
    /// push the image again; the registry has lost a part of it
    BlobMissing = "blob-missing", 7;
    /// a bug in tagwright
    /// run it again with `--verbose`, and open an issue with what it says
    Internal = "internal", 70;
}

/// What a server answered when it refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The method of the request.
    pub method: String,
    /// The address, without user info and without secret query values.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// The service's own error code, where it gave one.
    pub code: Option<String>,
    /// The service's name for this request, where it gave one.
    pub request_id: Option<String>,
}

/// What had been changed when a command ended early.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// What was written, one sentence each.
    pub done: Vec<String>,
    /// The commands that undo it, each as its words.
    pub rollback: Vec<Vec<String>>,
}

/// The most entries of a list in a failure.
pub const LIST: usize = 100;

/// Why a command ended without a result.
///
/// Boxed inside, so that `Result<T, Error>` stays as small as `T`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Error(Box<ErrorParts>);

#[derive(Clone, Debug, PartialEq)]
struct ErrorParts {
    code: Code,
    message: String,
    hint: Option<String>,
    causes: Vec<String>,
    http: Option<Refusal>,
    details: Map<String, Value>,
    progress: Progress,
    record: Option<Value>,
    unsent: bool,
}

impl Error {
    /// A failure with its code and one sentence: lower case, no full stop, the object in backticks.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorParts {
            code,
            message: message.into(),
            hint: None,
            causes: Vec::new(),
            http: None,
            details: Map::new(),
            progress: Progress::default(),
            record: None,
            unsent: false,
        }))
    }

    /// Adds the next thing to do, as a sentence that can be followed as written.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds a hint unless there is one already.
    pub fn hint_if_none(self, hint: impl Into<String>) -> Self {
        if self.0.hint.is_some() { self } else { self.hint(hint) }
    }

    /// Adds an inner cause, after those that are there.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.causes.push(cause.into());
        self
    }

    /// Says during what it happened, as the outermost cause.
    pub fn during(mut self, what: impl Into<String>) -> Self {
        self.0.causes.insert(0, what.into());
        self
    }

    /// Adds what the server answered.
    pub fn http(mut self, refusal: Refusal) -> Self {
        self.0.http = Some(refusal);
        self
    }

    /// Adds a list or value for programs to read, such as `labels` or `candidates`.
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.details.insert(key.to_owned(), value.into());
        self
    }

    /// Says what had been changed before it happened.
    pub fn after(mut self, progress: Progress) -> Self {
        self.0.progress = progress;
        self
    }

    /// Adds the record of what was planned and done.
    pub fn record(mut self, record: Value) -> Self {
        self.0.record = Some(record);
        self
    }

    /// Says that the request it is about has not been sent, so that nothing can have come of it.
    pub fn unsent(mut self) -> Self {
        self.0.unsent = true;
        self
    }

    /// The same failure under another code.
    pub fn with_code(mut self, code: Code) -> Self {
        self.0.code = code;
        self
    }

    /// Says what else had been changed, before everything that is told already.
    pub fn after_also(mut self, done: String) -> Self {
        self.0.progress.done.insert(0, done);
        self
    }

    /// The same failure with another sentence; the old one becomes the first cause.
    pub fn restate(mut self, message: impl Into<String>) -> Self {
        let old = std::mem::replace(&mut self.0.message, message.into());
        self.0.causes.insert(0, old);
        self
    }

    /// The same failure with another sentence, which tells all that the old one did.
    pub fn retold(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// The same failure, its sentence opened with the object it is about.
    pub fn about(mut self, object: &str) -> Self {
        self.0.message = format!("`{object}`: {}", self.0.message);
        self
    }

    /// The same failure with every text in it rewritten: sentence, causes, the server's answer, details.
    pub fn rewritten(mut self, rewrite: &dyn Fn(&str) -> String) -> Self {
        let parts = &mut self.0;
        parts.message = rewrite(&parts.message);
        parts.hint = parts.hint.as_deref().map(rewrite);
        parts.causes.iter_mut().for_each(|cause| *cause = rewrite(cause));
        if let Some(http) = &mut parts.http {
            http.url = rewrite(&http.url);
            http.code = http.code.as_deref().map(rewrite);
            http.request_id = http.request_id.as_deref().map(rewrite);
        }
        parts.details.values_mut().for_each(|value| rewrite_value(value, rewrite));
        parts.record.iter_mut().for_each(|value| rewrite_value(value, rewrite));
        self
    }

    /// The same failure with lists that are no longer than anybody reads.
    pub fn shortened(mut self) -> Self {
        self.0.causes.truncate(LIST);
        self.0.details.values_mut().for_each(shorten);
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The next thing to do, where it is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The causes, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// What the server answered, where one did.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.http.as_ref()
    }

    /// Whether it is certain that nothing came of the request it is about; of any other failure that is not known.
    pub fn is_unsent(&self) -> bool {
        self.0.unsent
    }

    /// Values for programs to read.
    pub fn details(&self) -> &Map<String, Value> {
        &self.0.details
    }

    /// The record of what was planned and done, where one was made.
    pub fn record_value(&self) -> Option<&Value> {
        self.0.record.as_ref()
    }

    /// What had been changed before it happened.
    pub fn progress(&self) -> &Progress {
        &self.0.progress
    }
}

fn shorten(value: &mut Value) {
    match value {
        Value::Array(list) => {
            list.truncate(LIST);
            list.iter_mut().for_each(shorten);
        }
        Value::Object(map) => {
            *map = std::mem::take(map).into_iter().take(LIST).collect();
            map.values_mut().for_each(shorten);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn rewrite_value(value: &mut Value, rewrite: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = rewrite(text),
        Value::Array(list) => list.iter_mut().for_each(|value| rewrite_value(value, rewrite)),
        Value::Object(map) => map.values_mut().for_each(|value| rewrite_value(value, rewrite)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl fmt::Display for Error {
    /// The form for people: `error[code]: message`, then a line per cause and the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code().as_str(), self.message())?;
        for cause in self.causes() {
            write!(f, "\n  cause: {cause}")?;
        }
        if let Some(hint) = self.hint_text() {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_end_with_a_documented_status() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "`{}` stands twice", code.as_str());
            assert!(matches!(code.exit(), 2..=7 | 70), "`{}` ends with {}", code.as_str(), code.exit());
            assert!(!code.meaning().is_empty() && !code.advice().is_empty());
        }
    }

    #[test]
    fn the_text_form_holds_causes_and_hint_in_order() {
        let error = Error::new(Code::Denied, "no").cause("inner").during("outer").hint("do this");
        assert_eq!(error.to_string(), "error[denied]: no\n  cause: outer\n  cause: inner\n  hint: do this");
    }
}
