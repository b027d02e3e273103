//! Reads the file in which Docker and podman keep credentials, or say which helper keeps them.
//!
//! The file is read as far as the one registry needs it: an entry that is broken is no trouble for
//! the others. No message repeats a value, only the file, the registry and the reason. Finding the
//! file and running the helper is the keychain's business.
//!
//! Form: Docker's `config.json` and podman's `containers-auth.json`; helpers: Docker's credential helper protocol.

use crate::error::{Code, Error};
use crate::pure::auth::Credential;
use crate::pure::auth::token::is_sendable;
use crate::pure::image::Registry;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use serde_json::{Map, Value};

/// The key under which Docker keeps the login of Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// What stands for the user name where the password is an identity token.
const TOKEN_USER: &str = "<token>";

/// One file, its syntax checked, its entries not yet.
#[derive(Clone)]
pub struct DockerConfig {
    origin: String,
    root: Map<String, Value>,
}

/// What a file says about a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A helper has to be asked.
    Helper {
        /// The part of its name after `docker-credential-`.
        name: String,
        /// What to ask it for.
        server_key: String,
        /// Whether it is the one for all registries: then it may fail, and [`DockerConfig::entry`] comes next.
        global: bool,
    },
    /// The credential itself.
    Entry(Credential),
    /// Nothing.
    NotThere,
}

/// A key of the file that is about the registry in question.
struct Match<'a> {
    key: &'a str,
    value: &'a Value,
    namespace: usize,
}

impl DockerConfig {
    /// Checks the syntax; `origin` is the file or variable as messages name it. An empty text is an empty file.
    ///
    /// # Errors
    /// `config-malformed`, with line and column.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = if text.trim().is_empty() {
            Map::new()
        } else {
            match serde_json::from_str::<Value>(text) {
                Ok(Value::Object(root)) => root,
                Ok(_) => return Err(malformed(origin, "it is JSON but not an object")),
                Err(error) => {
                    let reason = if error.is_eof() { "it ends too early" } else { "it is not JSON" };
                    let place = format!("{reason} (line {}, column {})", error.line(), error.column());
                    return Err(malformed(origin, &place));
                }
            }
        };
        let config = Self { origin: origin.to_owned(), root };
        config.object("auths")?;
        config.object("credHelpers")?;
        Ok(config)
    }

    /// What the file says about a registry, or about a repository path in it: the registry's own
    /// helper, else the helper for all, else the entry.
    ///
    /// # Errors
    /// `config-malformed` where the file speaks about this registry and cannot be understood.
    pub fn lookup(&self, registry: &Registry, path: Option<&str>) -> Result<Lookup, Error> {
        let (key, named) = match self.matches("credHelpers", registry, path)?.first() {
            Some(own) => ("credHelpers", Some(own.value)),
            None => ("credsStore", field(&self.root, "credsStore")),
        };
        let no_name = || self.bad(&format!("`{key}` holds something other than the name of a helper"));
        let Some(name) = filled(named, no_name)? else {
            return Ok(self.entry(registry, path)?.map_or(Lookup::NotThere, Lookup::Entry));
        };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            let why = "names a helper with a character other than letters, digits, `.`, `_` and `-`";
            return Err(self.bad(&format!("`{key}` {why}")));
        }
        let (name, server_key) = (name.to_owned(), self.server_key(registry, path)?);
        Ok(Lookup::Helper { name, server_key, global: key == "credsStore" })
    }

    /// The credential that the file itself holds, whatever helpers there are.
    ///
    /// # Errors
    /// As [`DockerConfig::lookup`].
    pub fn entry(&self, registry: &Registry, path: Option<&str>) -> Result<Option<Credential>, Error> {
        for found in self.matches("auths", registry, path)? {
            let credential = match found.value {
                Value::Null => None,
                Value::Object(entry) => self.credential(&registry.authority(), entry)?,
                _ => return Err(self.bad(&format!("the entry of `{}` is not an object", registry.authority()))),
            };
            // `{}` says that the login is kept elsewhere, so a shorter key may still have one.
            if credential.is_some() {
                return Ok(credential);
            }
        }
        Ok(None)
    }

    /// What the helper knows the registry by: the key that a login left in the file, else the usual one.
    fn server_key(&self, registry: &Registry, path: Option<&str>) -> Result<String, Error> {
        let usual = if registry.is_docker_hub() { HUB_KEY.to_owned() } else { registry.authority() };
        let marked = self.matches("auths", registry, path)?;
        let key = match marked.first() {
            Some(found) if marked.iter().all(|m| m.key != usual) => found.key,
            _ => &usual,
        };
        // A line end would let the file speak a line of the protocol.
        Ok(if key.chars().any(char::is_control) { usual } else { key.to_owned() })
    }

    /// The keys about a registry, the longest namespace first, the usual spelling before the others.
    fn matches(&self, section: &str, registry: &Registry, path: Option<&str>) -> Result<Vec<Match<'_>>, Error> {
        let usual = if registry.is_docker_hub() { HUB_KEY.to_owned() } else { registry.authority() };
        let mut found = Vec::new();
        for (key, value) in self.object(section)?.into_iter().flatten() {
            let Some((at, namespace)) = read_key(key) else { continue };
            let fits = namespace.is_empty()
                || path.is_some_and(|path| {
                    path.strip_prefix(namespace).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                });
            if fits && is_same(&at, registry) {
                found.push(Match { key, value, namespace: namespace.len() });
            }
        }
        found.sort_by_key(|m| (std::cmp::Reverse(m.namespace), m.key != usual, m.key.len()));
        Ok(found)
    }

    fn credential(&self, host: &str, entry: &Map<String, Value>) -> Result<Option<Credential>, Error> {
        let text = |name: &str| filled(field(entry, name), || self.bad(&format!("`{name}` of `{host}` is not a text")));
        let (username, password) = match text("auth")? {
            Some(auth) => {
                let (username, password) =
                    decode(auth).map_err(|why| self.bad(&format!("`auth` of `{host}` {why}")))?;
                (Some(username), Some(password))
            }
            None => (text("username")?.map(str::to_owned), text("password")?.map(str::to_owned)),
        };
        let unfit =
            |name: &str| self.bad(&format!("`{name}` of `{host}` holds a character that a header cannot carry"));
        match text("registrytoken")? {
            Some(token) if !is_sendable(token) => return Err(unfit("registrytoken")),
            Some(token) => return Ok(Some(Credential::RegistryToken(Secret::new(token)))),
            None => {}
        }
        let username = username.filter(|name| !name.is_empty());
        if let Some(token) = text("identitytoken")? {
            // It goes in a form, which carries blanks.
            if token.contains(char::is_control) {
                return Err(unfit("identitytoken"));
            }
            let (username, token) = (username.filter(|name| name != TOKEN_USER), Secret::new(token));
            let password = password.filter(|text| username.is_some() && !text.is_empty()).map(Secret::new);
            return Ok(Some(Credential::IdentityToken { username, token, password }));
        }
        match (username, password) {
            (Some(username), Some(password)) => {
                Ok(Some(Credential::Password { username, password: Secret::new(password) }))
            }
            (None, Some(password)) if !password.is_empty() => {
                Err(self.bad(&format!("the entry of `{host}` has a password and no user name")))
            }
            _ => Ok(None),
        }
    }

    fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, Error> {
        match field(&self.root, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.bad(&format!("`{name}` is not an object"))),
        }
    }

    fn bad(&self, reason: &str) -> Error {
        malformed(&self.origin, reason)
    }
}

/// Reads what a helper printed for `get`; [`Credential::Anonymous`] where it printed no credential.
///
/// # Errors
/// `config-malformed` where it is not what a helper prints.
pub fn helper_answer(stdout: &[u8]) -> Result<Credential, Error> {
    let bad = |why: &str| Error::new(Code::ConfigMalformed, format!("the credential helper's answer {why}"));
    let answer: Value = serde_json::from_slice(stdout)
        .map_err(|error| bad(&format!("is not JSON (line {}, column {})", error.line(), error.column())))?;
    let answer = answer.as_object().ok_or_else(|| bad("is not a JSON object"))?;
    let text = |name: &str| {
        let found = filled(field(answer, name), || bad(&format!("holds a `{name}` that is not a text")))?;
        Ok::<_, Error>(found.unwrap_or_default())
    };
    match (text("Username")?, text("Secret")?) {
        ("", "") => Ok(Credential::Anonymous),
        (_, "") => Err(bad("holds a `Username` and no `Secret`")),
        ("", _) => Err(bad("holds a `Secret` and no `Username`")),
        (TOKEN_USER, token) if token.contains(char::is_control) => {
            Err(bad("holds a token with a character that cannot be sent"))
        }
        (TOKEN_USER, token) => {
            Ok(Credential::IdentityToken { username: None, token: Secret::new(token), password: None })
        }
        (username, secret) => Ok(Credential::Password { username: username.to_owned(), password: Secret::new(secret) }),
    }
}

/// Whether a helper that failed says with it that it has nothing.
pub fn is_not_found(words: &str) -> bool {
    words.to_ascii_lowercase().contains("credentials not found in native keychain")
}

/// Reads a key such as `https://index.docker.io/v1/`, `host:5000` or `host/namespace`; `None` where it names no registry.
///
/// A key that is an address means its host, as Docker has it; the others may hold a namespace, as podman has it.
pub fn read_key(key: &str) -> Option<(Registry, &str)> {
    let (rest, is_address) = key.split_once("://").map_or((key, false), |(_, rest)| (rest, true));
    let (authority, namespace) = rest.split_once('/').unwrap_or((rest, ""));
    let namespace = if is_address { "" } else { namespace.trim_end_matches('/') };
    let namespace = if matches!(namespace, "v1" | "v2") { "" } else { namespace };
    Some((Registry::parse(authority).ok()?, namespace))
}

/// Whether two names stand for one registry, the port of https said or not.
pub fn is_same(one: &Registry, other: &Registry) -> bool {
    let port = |registry: &Registry| registry.port().filter(|port| *port != 443);
    one.host() == other.host() && port(one) == port(other)
}

/// Splits a decoded `auth` at the first colon; Docker itself once padded the password with NULs.
fn decode(auth: &str) -> Result<(String, String), &'static str> {
    let auth: String = auth.split_ascii_whitespace().collect();
    let bytes = STANDARD_PAD_INDIFFERENT.decode(auth).map_err(|_| "is not base64")?;
    let pair = String::from_utf8(bytes).map_err(|_| "is not UTF-8 once decoded")?;
    let (username, password) = pair.split_once(':').ok_or("has no colon between user name and password")?;
    Ok((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// A field by its name, without regard to case: Docker reads its file so.
fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// A text, unless it is blank or not there.
fn filled(value: Option<&Value>, bad: impl FnOnce() -> Error) -> Result<Option<&str>, Error> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(bad()),
    }
}

fn malformed(origin: &str, reason: &str) -> Error {
    Error::new(Code::ConfigMalformed, format!("`{origin}` cannot be read as a Docker configuration: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use serde_json::json;

    /// Writes what was found in one line, secrets included: they are made up.
    fn show(found: &Lookup) -> String {
        match found {
            Lookup::Helper { name, server_key, global } => {
                format!("helper {name} {server_key}{}", if *global { " global" } else { "" })
            }
            Lookup::Entry(credential) => show_credential(credential),
            Lookup::NotThere => "nothing".to_owned(),
        }
    }

    fn show_credential(credential: &Credential) -> String {
        match credential {
            Credential::Anonymous => "anonymous".to_owned(),
            Credential::Password { username, password } => format!("{username}:{}", password.reveal()),
            Credential::IdentityToken { username, token, password } => {
                let password = password.as_ref().map(|password| format!(" {}", password.reveal())).unwrap_or_default();
                format!("identity {username:?} {}{password}", token.reveal())
            }
            Credential::RegistryToken(token) => format!("registry {}", token.reveal()),
        }
    }

    fn look(config: &Value, registry: &str, path: Option<&str>) -> Result<Lookup, Error> {
        DockerConfig::parse(&config.to_string(), "/c.json")?.lookup(&Registry::parse(registry).unwrap(), path)
    }

    fn check_lookup(config: &Value, registry: &str, path: Option<&str>, expected: &str) {
        assert_eq!(show(&look(config, registry, path).unwrap()), expected, "{registry} {path:?} in {config}");
    }

    fn pair(text: &str) -> Value {
        json!({ "auth": BASE64.encode(text) })
    }

    #[test]
    fn entries_are_read_in_every_form() {
        for (entry, expected) in [
            (pair("u:p"), "u:p"),
            (pair("u:p:with:colons"), "u:p:with:colons"),
            (pair("u:p\0\0\0"), "u:p"),
            (pair("u:"), "u:"),
            (pair("ü:pä"), "ü:pä"),
            (json!({"auth": "dTpwYXM"}), "u:pas"),
            (json!({"auth": "dTpw\n"}), "u:p"),
            (json!({"username": "u", "password": "p"}), "u:p"),
            (json!({"auth": BASE64.encode("a:b"), "username": "u", "password": "p"}), "a:b"),
            (json!({"auth": "", "username": "u", "password": "p", "email": null}), "u:p"),
            (json!({"identitytoken": "t"}), "identity None t"),
            (json!({"identitytoken": "t", "auth": BASE64.encode("<token>:")}), "identity None t"),
            (json!({"identitytoken": "t", "auth": BASE64.encode("u:")}), "identity Some(\"u\") t"),
            (json!({"identitytoken": "t", "auth": BASE64.encode("u:p")}), "identity Some(\"u\") t p"),
            (json!({"identitytoken": "t", "auth": BASE64.encode("<token>:p")}), "identity None t"),
            (json!({"identitytoken": "t with blanks"}), "identity None t with blanks"),
            (json!({"identityToken": "t"}), "identity None t"),
            (json!({"registrytoken": "r", "identitytoken": "t"}), "registry r"),
            (json!({}), "nothing"),
            (json!(null), "nothing"),
            (json!({"auth": ""}), "nothing"),
            (json!({"username": "u"}), "nothing"),
            (json!({"password": ""}), "nothing"),
            (json!({"auth": BASE64.encode(":")}), "nothing"),
            (json!({"email": "x@example.com"}), "nothing"),
        ] {
            check_lookup(&json!({"auths": {"reg.example.com": entry}}), "reg.example.com", None, expected);
        }
    }

    #[test]
    fn keys_match_however_they_are_spelled() {
        for (key, registry, fits) in [
            ("reg.example.com", "reg.example.com", true),
            ("Reg.Example.Com", "reg.example.com", true),
            ("https://reg.example.com", "reg.example.com", true),
            ("http://reg.example.com/", "reg.example.com", true),
            ("https://reg.example.com/v1/", "reg.example.com", true),
            ("reg.example.com/v2", "reg.example.com", true),
            ("https://reg.example.com/v2/", "reg.example.com", true),
            ("https://reg.example.com/team/app", "reg.example.com", true),
            ("http://reg.example.com/v2/team/", "reg.example.com", true),
            ("reg.example.com/team/app", "reg.example.com", false),
            ("https://localhost:5000", "localhost:5000", true),
            ("[::1]:5000", "[::1]:5000", true),
            ("reg.example.com:443", "reg.example.com", true),
            ("reg.example.com", "reg.example.com:443", true),
            ("localhost:5001", "localhost:5000", false),
            ("localhost", "localhost:5000", false),
            ("xreg.example.com", "reg.example.com", false),
            ("reg.example.com.evil.example", "reg.example.com", false),
            ("u:p@reg.example.com", "reg.example.com", false),
            ("", "reg.example.com", false),
            ("https://index.docker.io/v1/", "docker.io", true),
            ("index.docker.io", "docker.io", true),
            ("docker.io", "docker.io", true),
            ("registry-1.docker.io", "docker.io", true),
            ("hub.docker.com", "docker.io", false),
        ] {
            let config = json!({"auths": {key: pair("u:p")}});
            check_lookup(&config, registry, None, if fits { "u:p" } else { "nothing" });
        }
    }

    #[test]
    fn the_longest_namespace_wins_and_the_usual_spelling_comes_first() {
        let config = json!({"auths": {
            "reg.example.com": pair("host:1"),
            "reg.example.com/acme": pair("acme:2"),
            "reg.example.com/acme/app": pair("app:3"),
            "reg.example.com/other": {},
            "docker.io": pair("short:4"),
            "https://index.docker.io/v1/": pair("docker:5"),
            "docker.io/library": pair("library:6"),
        }});
        for (registry, path, expected) in [
            ("reg.example.com", None, "host:1"),
            ("reg.example.com", Some("acme/app"), "app:3"),
            ("reg.example.com", Some("acme/app/sub"), "app:3"),
            ("reg.example.com", Some("acme/application"), "acme:2"),
            ("reg.example.com", Some("acmes"), "host:1"),
            ("reg.example.com", Some("other/x"), "host:1"),
            ("docker.io", Some("acme/app"), "docker:5"),
            ("docker.io", Some("library/app"), "library:6"),
        ] {
            check_lookup(&config, registry, path, expected);
        }
    }

    #[test]
    fn helpers_come_before_entries() {
        let config = json!({
            "auths": {"a.example": pair("a:1"), "b.example": pair("b:2"), "https://c.example/v1/": {}, "e.example": pair("e:5")},
            "credHelpers": {"a.example": "ecr-login", "e.example": "", "https://index.docker.io/v1/": "hub"},
            "credsStore": "desktop.exe",
        });
        for (registry, expected) in [
            ("a.example", "helper ecr-login a.example"),
            ("b.example", "helper desktop.exe b.example global"),
            ("c.example", "helper desktop.exe https://c.example/v1/ global"),
            ("d.example:5000", "helper desktop.exe d.example:5000 global"),
            ("e.example", "e:5"),
            ("docker.io", "helper hub https://index.docker.io/v1/"),
        ] {
            check_lookup(&config, registry, None, expected);
        }
        // A helper that knows the registry itself is not asked for a part of it.
        let both = json!({"auths": {"f.example/team": {}, "f.example": {}}, "credsStore": "pass"});
        check_lookup(&both, "f.example", Some("team/app"), "helper pass f.example global");
        let parsed = DockerConfig::parse(&config.to_string(), "/c.json").unwrap();
        let entry = parsed.entry(&Registry::parse("b.example").unwrap(), None).unwrap().unwrap();
        assert_eq!(show_credential(&entry), "b:2");
    }

    #[test]
    fn an_empty_file_says_nothing() {
        for text in
            ["", " \n", "\u{feff}{}", "{}", r#"{"auths":null,"credHelpers":null,"credsStore":null}"#, r#"{"auths":{}}"#]
        {
            let config = DockerConfig::parse(text, "/c.json").unwrap();
            assert_eq!(config.lookup(&Registry::docker_hub(), Some("a/b")).unwrap(), Lookup::NotThere, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_without_its_value() {
        for (text, expected) in [
            ("{\n \"auths\": hunter2}", "it is not JSON (line 2, column 11)"),
            ("{\"auths\":{\"a\":{\"auth\":\"hunter2", "it ends too early (line 1, column 30)"),
            ("[\"hunter2\"]", "it is JSON but not an object"),
            (r#"{"auths":"hunter2"}"#, "`auths` is not an object"),
            (r#"{"credHelpers":["hunter2"]}"#, "`credHelpers` is not an object"),
            (r#"{"credsStore":{"hunter2":1}}"#, "`credsStore` holds something other than the name of a helper"),
            (
                r#"{"credHelpers":{"reg.example":"hunter2;rm"}}"#,
                "`credHelpers` names a helper with a character other than letters, digits, `.`, `_` and `-`",
            ),
            (r#"{"auths":{"reg.example":"hunter2"}}"#, "the entry of `reg.example` is not an object"),
            (r#"{"auths":{"https://reg.example/v1/":{"auth":"%hunter2%"}}}"#, "`auth` of `reg.example` is not base64"),
            (
                r#"{"auths":{"reg.example":{"auth":"aHVudGVyMg=="}}}"#,
                "`auth` of `reg.example` has no colon between user name and password",
            ),
            (
                r#"{"auths":{"reg.example":{"auth":"/zpodW50ZXIy"}}}"#,
                "`auth` of `reg.example` is not UTF-8 once decoded",
            ),
            (r#"{"auths":{"reg.example":{"auth":7}}}"#, "`auth` of `reg.example` is not a text"),
            (
                r#"{"auths":{"reg.example":{"password":"hunter2"}}}"#,
                "the entry of `reg.example` has a password and no user name",
            ),
            (
                r#"{"auths":{"reg.example":{"registrytoken":"hunter2\r\nx"}}}"#,
                "`registrytoken` of `reg.example` holds a character that a header cannot carry",
            ),
        ] {
            let registry = Registry::parse("reg.example").unwrap();
            let error = DockerConfig::parse(text, "/c.json").and_then(|c| c.lookup(&registry, None)).unwrap_err();
            assert_eq!(error.code(), Code::ConfigMalformed);
            assert_eq!(error.message(), format!("`/c.json` cannot be read as a Docker configuration: {expected}"));
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_broken_entry_is_no_trouble_for_other_registries() {
        let config = json!({"auths": {"broken.example": {"auth": "%"}, "odd.example": 7, "reg.example": pair("u:p")}});
        check_lookup(&config, "reg.example", None, "u:p");
        check_lookup(&config, "elsewhere.example", None, "nothing");
        assert!(look(&config, "broken.example", None).is_err());
    }

    #[test]
    fn helper_answers_are_read() {
        for (answer, expected) in [
            (r#"{"ServerURL":"https://reg.example","Username":"u","Secret":"p"}"#, "u:p"),
            (r#"{"Username":"<token>","Secret":"t"}"#, "identity None t"),
            (r#"{"Username":"<token>","Secret":"t u"}"#, "identity None t u"),
            (r#"{"username":"u","secret":"p:q"}"#, "u:p:q"),
            ("{\"Username\":\"u\",\"Secret\":\"p\"}\n", "u:p"),
            (r#"{"ServerURL":"","Username":"","Secret":""}"#, "anonymous"),
            ("{}", "anonymous"),
        ] {
            assert_eq!(show_credential(&helper_answer(answer.as_bytes()).unwrap()), expected);
        }
        for answer in [
            "",
            "hunter2",
            "[]",
            r#"{"Username":"u","Secret":{"hunter2":1}}"#,
            r#"{"Username":"u"}"#,
            r#"{"Secret":"hunter2"}"#,
            r#"{"Username":"<token>","Secret":"hunter2\n"}"#,
            r#"{"Username":"u","Secret":"hunter2""#,
        ] {
            let error = helper_answer(answer.as_bytes()).unwrap_err();
            assert_eq!(error.code(), Code::ConfigMalformed, "{answer}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error}");
        }
        assert!(is_not_found("Credentials not found in native keychain\n"));
        assert!(!is_not_found("no such host"));
    }
}
