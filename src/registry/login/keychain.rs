//! Where the credential of a registry is looked for, in order, and what each place said.
//!
//! The environment, Docker's and podman's files with their helpers, then nobody. A credential that is
//! found ends the search, whatever the registry makes of it: the next place might belong to somebody
//! else. What the files mean is read in `pure::auth::docker_config`.
//!
//! Order of the files: the documentation of `docker login` and of podman's `containers-auth.json`.

use crate::aws::{AwsSettings, identity as aws};
use crate::error::{Code, Error};
use crate::pure::auth::{
    Credential, CredentialReach, CredentialSource, DockerConfig, Lookup, LookupStep, docker_config, lookup,
};
use crate::pure::image::Registry;
use crate::pure::text::quoted;
use crate::registry::limits;
use crate::secret::Secret;
use crate::world::World;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use time::OffsetDateTime;

/// The parts of a pair.
const USERNAME: &str = "USERNAME";
const PASSWORD: &str = "PASSWORD";
/// What names the registry that the pair is for.
const HOST: &str = "HOST";
const AUTH_CONFIG: &str = "DOCKER_AUTH_CONFIG";

/// How long a helper may take.
const HELPER_LIMIT: Duration = Duration::from_secs(30);

/// What a search for a credential came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialLookup {
    /// The credential; anonymous if no place had one.
    pub credential: Credential,
    /// Whose it is, where that is known.
    pub identity: Option<String>,
    /// The place it came from: `environment`, a file, a helper, or `anonymous`.
    pub source: String,
    /// Every place that was asked, in order, the last one included.
    pub tried: Vec<LookupStep>,
    /// What went wrong on the way without ending the search.
    pub warnings: Vec<String>,
    /// When it runs out, where it was lent for a while and another can be had.
    pub lent_until: Option<OffsetDateTime>,
    /// What to do where there is none and one is wanted.
    pub way_out: String,
}

/// The places of one run.
pub struct Keychain<'w> {
    world: &'w World,
    pin: Option<CredentialSource>,
    aws: AwsSettings,
    reach: CredentialReach,
    /// What the variables of the environment's credential begin with.
    prefix: String,
    /// What stands in for the environment's credential.
    given: Option<Credential>,
}

/// A search under way.
struct KeychainSearch<'a> {
    registry: &'a Registry,
    path: Option<&'a str>,
    tried: Vec<LookupStep>,
    warnings: Vec<String>,
}

impl<'w> Keychain<'w> {
    /// The places of this world, or the one kind of place that is wanted; asks none of them yet.
    pub fn new(world: &'w World, pin: Option<CredentialSource>, aws: AwsSettings, reach: CredentialReach) -> Self {
        Self { world, pin, aws, reach, prefix: String::new(), given: None }
    }

    /// The same with the pair whose variables begin so, or with what stands in for it.
    #[must_use]
    pub fn with(self, prefix: &str, given: Option<Credential>) -> Self {
        Self { prefix: prefix.to_owned(), given, ..self }
    }

    fn variable(&self, part: &str) -> String {
        variable(&self.prefix, part)
    }

    /// The variable that pins the environment's credential to a registry, where one does.
    pub fn pinning(&self) -> Option<String> {
        let host = self.variable(HOST);
        (self.asks(CredentialSource::Env) && self.has_pair() && self.world.env(&host).is_some()).then_some(host)
    }

    /// Whether the environment has a credential for this registry; at Amazon's it comes before AWS.
    ///
    /// # Errors
    /// Those of [`Keychain::check`].
    pub fn has_own(&self, registry: &Registry) -> Result<bool, Error> {
        Ok(self.asks(CredentialSource::Env) && !self.aws.only && self.environment(registry)?.is_some())
    }

    /// Refuses a registry that the environment's credential is not for, before any packet.
    ///
    /// # Errors
    /// `credential-host-mismatch`; `missing-value` where one half of the pair is not set;
    /// `config-malformed` where `REGISTRY_HOST` is no host.
    pub fn check(&self, registry: &Registry) -> Result<(), Error> {
        if self.asks(CredentialSource::Env) { self.environment(registry).map(drop) } else { Ok(()) }
    }

    /// Looks for the credential of a registry, or of a repository path in it.
    ///
    /// # Errors
    /// Those of [`Keychain::check`]; `config-malformed` for a file that cannot be read as what it should be;
    /// `credential-missing` where the helper of this registry fails, or the one place that is wanted has
    /// nothing; `timeout` where that helper does not answer.
    pub fn find(&self, registry: &Registry, path: Option<&str>) -> Result<CredentialLookup, Error> {
        let mut search = KeychainSearch { registry, path, tried: Vec::new(), warnings: Vec::new() };
        if self.asks(CredentialSource::Env) {
            match self.environment(registry)? {
                Some(credential) => return Ok(search.found(self.place(), credential)),
                None if self.has_pair() => {
                    search.say(self.place(), format!("`{}` does not name `{registry}`", self.variable(HOST)));
                }
                None => {
                    let [username, password] = [USERNAME, PASSWORD].map(|part| self.variable(part));
                    search.say("environment", format!("`{username}` and `{password}` are not set"));
                }
            }
        }
        if self.asks(CredentialSource::DockerConfig)
            && let Some((source, credential)) = self.files(&mut search)?
        {
            return Ok(search.found(&source, credential));
        }
        if self.asks(CredentialSource::Anonymous) {
            let KeychainSearch { tried, warnings, .. } = search;
            let source = "anonymous".to_owned();
            let (credential, identity, way_out) = (Credential::Anonymous, None, self.way_out(registry));
            return Ok(CredentialLookup { credential, identity, source, tried, warnings, lent_until: None, way_out });
        }
        Err(search.nothing())
    }

    /// What gives this side a credential for a registry.
    fn way_out(&self, registry: &Registry) -> String {
        let [username, password, host] = [USERNAME, PASSWORD, HOST].map(|part| self.variable(part));
        let in_a_step = match self.prefix.as_str() {
            "" => "",
            "INTO_" => " (in a step `intoCredentialsId`)",
            _ => " (in a step `credentialsId` of that entry of `into`)",
        };
        let is_amazon = self.aws.host(registry).is_some();
        let other = match self.reach {
            _ if is_amazon => aws::HINT,
            CredentialReach::Pinned => "name the repository before `--record`",
            _ => "log in so that Docker's `config.json` holds the credential",
        };
        match self.has_pair() {
            // Only the name of its registry lacks.
            true if is_amazon || self.reach != CredentialReach::Command => {
                let username = if self.given.is_some() { "--username" } else { &username };
                format!("set `{host}` to `{registry}` if `{username}` is for it, or {other}")
            }
            false if is_amazon => other.to_owned(),
            _ if self.reach == CredentialReach::OneOfSeveral => {
                format!("set {username}, {password} and {host}{in_a_step}, or {other}")
            }
            _ => format!("set {username} and {password}{in_a_step}, or {other}"),
        }
    }

    /// Whether there is a pair to begin with, whatever it is for.
    fn has_pair(&self) -> bool {
        self.given.is_some() || self.world.env(&self.variable(USERNAME)).is_some()
    }

    /// The place that the pair is from.
    fn place(&self) -> &'static str {
        if self.given.is_some() { "standard input" } else { "environment" }
    }

    fn asks(&self, source: CredentialSource) -> bool {
        self.pin.is_none_or(|pin| pin == source)
    }

    fn environment(&self, registry: &Registry) -> Result<Option<Credential>, Error> {
        let [user, word, pin] = &[USERNAME, PASSWORD, HOST].map(|part| self.variable(part));
        let pair = match (&self.given, self.world.env(user), self.world.env(word)) {
            (Some(given), ..) => given.clone(),
            (None, None, None) => return Ok(None),
            (None, Some(username), Some(_)) if username.contains(':') => {
                let message = format!("`{user}` holds a colon, which Basic authentication cannot carry");
                return Err(Error::new(Code::ConfigMalformed, message));
            }
            (None, Some(username), Some(password)) => {
                Credential::Password { username: username.to_owned(), password: Secret::new(password) }
            }
            (None, Some(_), None) => return Err(half(word, user)),
            (None, None, Some(_)) => return Err(half(user, word)),
        };
        let host = self.world.env(pin);
        // A pair that was set for another registry must not stand in for the identity of the machine, and goes to none
        // that a file has chosen.
        let is_inherited = self.given.is_none();
        let is_by_name = self.reach != CredentialReach::Command;
        if host.is_none() && (is_by_name || is_inherited && self.aws.host(registry).is_some()) {
            return Ok(None);
        }
        if let Some(host) = host {
            let pinned = named(host).ok_or_else(|| {
                Error::new(Code::ConfigMalformed, format!("`{pin}` does not name a registry"))
                    .hint(format!("set `{pin}` to a host such as `docker.io` or `reg.example.com:5000`"))
            })?;
            let is_same = docker_config::is_same(&pinned, registry);
            if !is_same && self.reach == CredentialReach::OneOfSeveral {
                return Ok(None);
            }
            if !is_same {
                let message =
                    format!("`{pin}` pins the credential to `{pinned}`, and the command is about `{registry}`");
                return Err(Error::new(Code::CredentialHostMismatch, message).hint(format!(
                    "name a repository of `{pinned}`, or give the credential of `{registry}` and set `{pin}` to it"
                )));
            }
        }
        Ok(Some(pair))
    }

    /// Asks the variable, then the files, each with its helpers.
    fn files(&self, search: &mut KeychainSearch) -> Result<Option<(String, Credential)>, Error> {
        if let Some(text) = self.world.env(AUTH_CONFIG)
            && let Some(found) = self.config(search, AUTH_CONFIG, text)?
        {
            return Ok(Some(found));
        }
        for path in self.paths() {
            let origin = path.display().to_string();
            match self.read(&path)? {
                None => search.say(&origin, "no such file"),
                Some(text) => {
                    if let Some(found) = self.config(search, &origin, &text)? {
                        return Ok(Some(found));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The files in their order. A variable that names Docker's folder or podman's file stands in for the usual ones.
    fn paths(&self) -> Vec<PathBuf> {
        let (world, home) = (self.world, self.world.home());
        let below_home = |tail: &str| home.as_ref().map(|home| home.join(tail));
        let docker = world.env("DOCKER_CONFIG").map(PathBuf::from).or_else(|| below_home(".docker"));
        let mut paths: Vec<PathBuf> = docker.map(|folder| folder.join("config.json")).into_iter().collect();
        match world.env("REGISTRY_AUTH_FILE") {
            Some(file) => paths.push(PathBuf::from(file)),
            None => {
                let runtime = world.env("XDG_RUNTIME_DIR").map(PathBuf::from);
                let config = world.env("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| below_home(".config"));
                paths.extend(
                    [runtime, config].into_iter().flatten().map(|folder| folder.join("containers").join("auth.json")),
                );
            }
        }
        paths
    }

    /// The text of a file; `None` where there is no such file.
    fn read(&self, path: &Path) -> Result<Option<String>, Error> {
        let bad = |why: &str| Error::new(Code::ConfigMalformed, format!("`{}` cannot be read: {why}", path.display()));
        match self.world.read_file(path, limits::CREDENTIAL_FILE) {
            Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| bad("it is not UTF-8 text")),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(bad(&error.kind().to_string())),
        }
    }

    /// Asks one file, and the helper that it names.
    fn config(
        &self,
        search: &mut KeychainSearch,
        origin: &str,
        text: &str,
    ) -> Result<Option<(String, Credential)>, Error> {
        let correct =
            |error: Error| error.hint_if_none("correct it, or choose another source with `--credentials-from`");
        let config = DockerConfig::parse(text, origin).map_err(correct)?;
        let found = match config.lookup(search.registry, search.path).map_err(correct)? {
            Lookup::Entry(credential) => Some(credential),
            Lookup::NotThere => None,
            Lookup::Helper { name, server_key, global } => {
                let program = format!("docker-credential-{name}");
                match self.helper(&program, &server_key, search.registry) {
                    Ok(Credential::Anonymous) => search.say(&program, format!("nothing for `{server_key}`")),
                    Ok(credential) => return Ok(Some((program, credential))),
                    // The helper for all registries may have nothing to do with this one.
                    Err(error) if global => {
                        search.say(&program, error.message());
                        let first = error
                            .hint_text()
                            .map(|first| format!("; {first}, or take it out of the configuration"))
                            .unwrap_or_default();
                        search.warnings.push(format!("{}, named in `{origin}`{first}", error.message()));
                    }
                    Err(error) => {
                        let first = error.hint_text().unwrap_or("log in again with the tool that uses it");
                        let instead = format!("{first}, or take it out of `{origin}`");
                        return Err(error
                            .during(format!("`{origin}` names it for `{}`", search.registry))
                            .hint(instead));
                    }
                }
                config.entry(search.registry, search.path).map_err(correct)?
            }
        };
        if found.is_none() {
            search.say(origin, format!("no login for `{}`", search.registry));
        }
        Ok(found.map(|credential| (origin.to_owned(), credential)))
    }

    /// Runs a helper; [`Credential::Anonymous`] where it has nothing.
    fn helper(&self, program: &str, server_key: &str, registry: &Registry) -> Result<Credential, Error> {
        let failed =
            |code, why: &str| Error::new(code, format!("`{program}` gave no credential for `{registry}`: {why}"));
        let missing = |why: &str| failed(Code::CredentialMissing, why);
        let (stdin, aws) = (server_key.as_bytes(), self.aws.host(registry).is_some());
        let ran = self.world.run(program, &["get"], stdin, HELPER_LIMIT, limits::HELPER_ANSWER, aws);
        let ran = ran.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => failed(Code::Timeout, &format!("no answer in {} s", HELPER_LIMIT.as_secs())),
            ErrorKind::NotFound => missing("there is no such program on the `PATH`")
                .hint(format!("install `{program}` in a folder of the `PATH`")),
            kind => missing(&format!("it could not be run: {kind}")),
        })?;
        if ran.status == Some(0) {
            return docker_config::helper_answer(&ran.stdout).map_err(|error| failed(error.code(), error.message()));
        }
        let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        if docker_config::is_not_found(&stdout) || docker_config::is_not_found(&stderr) {
            return Ok(Credential::Anonymous);
        }
        let status = ran.status.map_or("a signal".to_owned(), |status| format!("status {status}"));
        Err(match words(&stdout).or_else(|| words(&stderr)) {
            Some(words) => missing(&format!("it ended with {status} and said {}", quoted(words))),
            None => missing(&format!("it ended with {status}")),
        })
    }
}

impl KeychainSearch<'_> {
    fn say(&mut self, source: &str, said: impl Into<String>) {
        self.tried.push(LookupStep::new(source, said));
    }

    fn found(mut self, source: &str, credential: Credential) -> CredentialLookup {
        self.say(source, format!("{} found", credential.kind()));
        let identity = credential.identity().map(str::to_owned);
        let (Self { tried, warnings, .. }, source, way_out) = (self, source.to_owned(), String::new());
        CredentialLookup { credential, identity, source, tried, warnings, lent_until: None, way_out }
    }

    /// The one kind of place that was wanted has nothing.
    fn nothing(self) -> Error {
        let message = format!("a credential for `{}` was asked for and none was found", self.registry);
        let error = Error::new(Code::CredentialMissing, message);
        let error = if self.tried.is_empty() { error } else { error.cause(lookup::line(&self.tried)) };
        error
            .detail("tried", lookup::values(&self.tried))
            .hint("put the credential there, or leave `--credentials-from` out to have every place asked")
    }
}

/// A part of the pair whose variables begin so.
fn variable(prefix: &str, part: &str) -> String {
    format!("{prefix}REGISTRY_{part}")
}

/// What the names of pairs may begin with in this environment: nothing, `INTO_`, or `INTO_2_`.
pub fn prefixes(world: &World) -> Vec<String> {
    let number = |name: &String| name.strip_prefix("INTO_")?.split_once('_')?.0.parse().ok();
    let mut numbers: Vec<u32> = world.environment.keys().filter_map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let numbered = numbers.into_iter().map(|number| format!("INTO_{number}_"));
    [String::new(), "INTO_".to_owned()].into_iter().chain(numbered).collect()
}

/// Whether the environment has a pair whose variables begin so, or half of one.
pub fn has_pair(world: &World, prefix: &str) -> bool {
    [USERNAME, PASSWORD].iter().any(|part| world.env(&variable(prefix, part)).is_some())
}

/// Whether the variable that pins such a pair pins it to this registry; `None` where it is not set.
pub fn pinned(world: &World, prefix: &str, registry: &Registry) -> Option<bool> {
    let names = |host: &str| named(host).is_some_and(|named| docker_config::is_same(&named, registry));
    world.env(&variable(prefix, HOST)).map(names)
}

/// The registry that a variable names.
fn named(host: &str) -> Option<Registry> {
    docker_config::read_key(host.trim()).filter(|(_, rest)| rest.is_empty()).map(|(registry, _)| registry)
}

/// One half of the environment's pair stands alone.
fn half(missing: &str, there: &str) -> Error {
    Error::new(Code::MissingValue, format!("`{there}` is set and `{missing}` is not"))
        .hint(format!("set both, or unset `{there}`"))
}

/// The first line of what a helper said, unless it looks like the answer that it should have ended well with.
fn words(text: &str) -> Option<&str> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    if text.contains("Secret") || line.starts_with('{') { None } else { Some(line) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::instant;
    use std::sync::atomic::{AtomicU32, Ordering};

    const LOGIN: &str = r#"{"auths":{"reg.example":{"auth":"ZmlsZTpwMg=="}}}"#;
    const LOST: &str = "#!/bin/sh\necho 'credentials not found in native keychain'; exit 1\n";

    fn world(environment: &[(&str, &str)]) -> World {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        World {
            environment,
            log: Box::new(|_| ()),
            stdin: Box::new(|_| Ok(Vec::new())),
            status: None,
            hidden: Default::default(),
            sleep: Box::new(std::thread::sleep),
            started: instant(),
        }
    }

    /// A folder that goes when the test goes.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("tagwright-keychain-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn path(&self, name: &str) -> String {
            self.0.join(name).display().to_string()
        }

        /// Writes an executable file. A shell does it: a file that this process has open for writing while
        /// another test starts a program could not be run.
        fn with(self, name: &str, text: &str) -> Self {
            let script = r#"mkdir -p "${1%/*}" && cat > "$1" && chmod 700 "$1""#;
            let world = world(&[("PATH", "/usr/bin:/bin")]);
            let args = ["-c", script, "sh", &self.path(name)];
            let ran = world.run("sh", &args, text.as_bytes(), HELPER_LIMIT, limits::HELPER_ANSWER, false).unwrap();
            assert_eq!(ran.status, Some(0), "{ran:?}");
            self
        }

        /// The world of a user whose home this is, with the helpers in `bin`.
        fn world(&self, more: &[(&str, &str)]) -> World {
            let path = format!("{}:/usr/bin:/bin", self.path("bin"));
            let mut environment = vec![("HOME", self.0.to_str().unwrap()), ("PATH", &path)];
            environment.extend(more);
            world(&environment)
        }

        /// A text without this folder's name in it.
        fn scrub(&self, text: &str) -> String {
            text.replace(self.0.to_str().unwrap(), "~")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn registry(text: &str) -> Registry {
        Registry::parse(text).unwrap()
    }

    /// Writes what was found as `source credential`, secrets included: they are made up.
    fn show(found: &CredentialLookup) -> String {
        let credential = match &found.credential {
            Credential::Anonymous => "-".to_owned(),
            Credential::Password { username, password } => format!("{username}:{}", password.reveal()),
            Credential::IdentityToken { token, .. } => format!("identity {}", token.reveal()),
            Credential::RegistryToken(token) => format!("registry {}", token.reveal()),
        };
        format!("{} {credential}", found.source)
    }

    fn find(folder: &Folder, more: &[(&str, &str)], at: &str) -> Result<CredentialLookup, Error> {
        Keychain::new(&folder.world(more), None, AwsSettings::default(), CredentialReach::Command)
            .find(&registry(at), Some("acme/app"))
    }

    fn check_found(folder: &Folder, more: &[(&str, &str)], at: &str, expected: &str) {
        let found = find(folder, more, at).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(folder.scrub(&show(&found)), expected, "{more:?}");
        assert_eq!(found.identity.as_deref(), found.credential.identity());
    }

    #[test]
    fn the_environment_comes_first_and_ends_the_search() {
        let folder = Folder::new().with(".docker/config.json", "not even JSON");
        let pair = [("REGISTRY_USERNAME", "env"), ("REGISTRY_PASSWORD", "p1")];
        let found = find(&folder, &pair, "reg.example").unwrap();
        assert_eq!(show(&found), "environment env:p1");
        assert_eq!(found.tried.len(), 1);
        assert!(!format!("{found:?}").contains("p1"));
    }

    #[test]
    fn a_pair_is_whole_and_goes_where_it_is_pinned_to() {
        let whole = |host: &'static str| {
            vec![("REGISTRY_USERNAME", "env"), ("REGISTRY_PASSWORD", "hunter2"), ("REGISTRY_HOST", host)]
        };
        for (environment, at, code) in [
            (whole("reg.example"), "reg.example", None),
            (whole(" https://Reg.Example/v2/ "), "reg.example", None),
            (whole("reg.example:443"), "reg.example", None),
            (whole("index.docker.io"), "docker.io", None),
            (whole("reg.example"), "docker.io", Some(Code::CredentialHostMismatch)),
            (whole("reg.example:5000"), "reg.example", Some(Code::CredentialHostMismatch)),
            (whole("reg.example"), "reg.example.evil.example", Some(Code::CredentialHostMismatch)),
            (whole("u:hunter2@reg.example"), "reg.example", Some(Code::ConfigMalformed)),
            (whole("reg.example/acme"), "reg.example", Some(Code::ConfigMalformed)),
            (vec![("REGISTRY_USERNAME", "env")], "reg.example", Some(Code::MissingValue)),
            (vec![("REGISTRY_USERNAME", "env"), ("REGISTRY_PASSWORD", "")], "reg.example", Some(Code::MissingValue)),
            (vec![("REGISTRY_PASSWORD", "hunter2")], "reg.example", Some(Code::MissingValue)),
            (
                vec![("REGISTRY_USERNAME", "a:hunter2"), ("REGISTRY_PASSWORD", "hunter2")],
                "reg.example",
                Some(Code::ConfigMalformed),
            ),
            (vec![("REGISTRY_HOST", "reg.example")], "docker.io", None),
        ] {
            let world = world(&environment);
            let keychain = Keychain::new(&world, None, AwsSettings::default(), CredentialReach::Command);
            let checked = keychain.check(&registry(at));
            assert_eq!(checked.as_ref().err().map(Error::code), code, "{environment:?} {at}");
            assert_eq!(keychain.find(&registry(at), None).err(), checked.clone().err());
            assert!(!format!("{checked:?}").contains("hunter2"));
            // A source that is not asked cannot be wrong.
            let pinned = Keychain::new(
                &world,
                Some(CredentialSource::Anonymous),
                AwsSettings::default(),
                CredentialReach::Command,
            );
            assert_eq!(pinned.check(&registry(at)), Ok(()));
            assert!(pinned.find(&registry(at), None).unwrap().credential.is_anonymous());
        }
    }

    #[test]
    fn files_are_asked_in_their_order() {
        let one = |user: &str| format!(r#"{{"auths":{{"reg.example":{{"username":"{user}","password":"p"}}}}}}"#);
        let folder = Folder::new()
            .with(".docker/config.json", &one("docker"))
            .with("other/config.json", &one("other"))
            .with("empty/config.json", "{}")
            .with("file.json", &one("file"))
            .with("run/containers/auth.json", &one("run"))
            .with("xdg/containers/auth.json", &one("xdg"))
            .with(".config/containers/auth.json", &one("config"));
        let [other, empty, none, file, run, xdg] =
            ["other", "empty", "none", "file.json", "run", "xdg"].map(|name| folder.path(name));
        let (json, empty_json) = (one("variable"), "{}".to_owned());
        for (more, expected) in [
            (vec![("DOCKER_AUTH_CONFIG", &json), ("DOCKER_CONFIG", &other)], "DOCKER_AUTH_CONFIG variable:p"),
            (vec![("DOCKER_AUTH_CONFIG", &empty_json), ("DOCKER_CONFIG", &other)], "~/other/config.json other:p"),
            (vec![("REGISTRY_AUTH_FILE", &file), ("XDG_RUNTIME_DIR", &run)], "~/.docker/config.json docker:p"),
            (vec![("DOCKER_CONFIG", &empty), ("REGISTRY_AUTH_FILE", &file)], "~/file.json file:p"),
            (vec![("DOCKER_CONFIG", &none), ("REGISTRY_AUTH_FILE", &file)], "~/file.json file:p"),
            (vec![("DOCKER_CONFIG", &empty), ("XDG_RUNTIME_DIR", &run)], "~/run/containers/auth.json run:p"),
            (vec![("DOCKER_CONFIG", &empty), ("XDG_CONFIG_HOME", &xdg)], "~/xdg/containers/auth.json xdg:p"),
            (vec![("DOCKER_CONFIG", &empty)], "~/.config/containers/auth.json config:p"),
            (vec![("DOCKER_CONFIG", &empty), ("REGISTRY_AUTH_FILE", &none)], "anonymous -"),
        ] {
            let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
            check_found(&folder, &more, "reg.example", expected);
        }
        check_found(&folder, &[], "elsewhere.example", "anonymous -");
    }

    #[test]
    fn every_place_that_was_asked_is_listed() {
        let folder = Folder::new()
            .with(".docker/config.json", r#"{"credsStore":"lost"}"#)
            .with("bin/docker-credential-lost", LOST);
        let found = find(&folder, &[], "reg.example").unwrap();
        let tried: Vec<String> =
            found.tried.iter().map(|t| folder.scrub(&format!("{}: {}", t.source, t.said))).collect();
        assert_eq!(
            tried,
            [
                "environment: `REGISTRY_USERNAME` and `REGISTRY_PASSWORD` are not set",
                "docker-credential-lost: nothing for `reg.example`",
                "~/.docker/config.json: no login for `reg.example`",
                "~/.config/containers/auth.json: no such file",
            ]
        );
        assert_eq!(found.warnings, [""; 0]);
    }

    #[test]
    fn files_that_cannot_be_read_end_the_search_by_name() {
        let folder = Folder::new()
            .with("broken/config.json", "{\"auths\": {\n\"hunter2\"}}")
            .with("folder/config.json/x", "")
            .with("binary/config.json", "\u{1}")
            .with("bad/config.json", r#"{"auths":{"reg.example":{"auth":"%hunter2"}}}"#);
        for (name, expected) in [
            (
                "broken",
                "`~/broken/config.json` cannot be read as a Docker configuration: it is not JSON (line 2, column 10)",
            ),
            ("folder", "`~/folder/config.json` cannot be read: is a directory"),
            (
                "binary",
                "`~/binary/config.json` cannot be read as a Docker configuration: it is not JSON (line 1, column 1)",
            ),
            (
                "bad",
                "`~/bad/config.json` cannot be read as a Docker configuration: `auth` of `reg.example` is not base64",
            ),
        ] {
            let error = find(&folder, &[("DOCKER_CONFIG", &folder.path(name))], "reg.example").unwrap_err();
            assert_eq!((error.code(), folder.scrub(error.message())), (Code::ConfigMalformed, expected.to_owned()));
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        let error = find(&folder, &[("DOCKER_AUTH_CONFIG", "hunter2")], "reg.example").unwrap_err();
        assert_eq!(
            error.message(),
            "`DOCKER_AUTH_CONFIG` cannot be read as a Docker configuration: it is not JSON (line 1, column 1)"
        );
    }

    #[test]
    fn helpers_get_the_key_and_their_answer_counts() {
        let keys = r#"#!/bin/sh
[ "$1" = get ] || exit 9
key=$(cat)
case $key in
token.example) echo '{"ServerURL":"x","Username":"<token>","Secret":"t"}' ;;
none.example) echo '{}' ;;
*) printf '{"ServerURL":"%s","Username":"%s","Secret":"p:q"}' "$key" "$key" ;;
esac
"#;
        let config = r#"{"auths":{"https://marked.example/v1/":{}},"credHelpers":{"reg.example":"keys","docker.io":"keys"},"credsStore":"keys"}"#;
        let folder = Folder::new().with(".docker/config.json", config).with("bin/docker-credential-keys", keys);
        for (at, expected) in [
            ("reg.example", "docker-credential-keys reg.example:p:q"),
            ("docker.io", "docker-credential-keys https://index.docker.io/v1/:p:q"),
            ("marked.example", "docker-credential-keys https://marked.example/v1/:p:q"),
            ("localhost:5000", "docker-credential-keys localhost:5000:p:q"),
            ("token.example", "docker-credential-keys identity t"),
            ("none.example", "anonymous -"),
        ] {
            check_found(&folder, &[], at, expected);
        }
    }

    #[test]
    fn what_a_failing_helper_said_is_not_told_where_it_looks_like_an_answer() {
        for (said, told) in [
            ("\n  the key ring is locked \nsee the manual\n", Some("the key ring is locked")),
            ("warning: old\n{\"Username\":\"a\",\"Secret\":\"b\"}", None),
            ("{\"username\":\"a\",\"password\":\"b\"}", None),
            ("", None),
        ] {
            assert_eq!(words(said), told, "{said}");
        }
    }

    #[test]
    fn a_failing_helper_for_all_only_warns_and_one_for_the_registry_ends_the_search() {
        let auths = &LOGIN[1..LOGIN.len() - 1];
        let folder = Folder::new()
            .with("bin/docker-credential-lost", LOST)
            .with("bin/docker-credential-angry", "#!/bin/sh\necho 'no keyring here'; exit 3\n")
            .with("bin/docker-credential-quiet", "#!/bin/sh\necho 'no bus' >&2; exit 1\n")
            .with("bin/docker-credential-silent", "#!/bin/sh\nexit 1\n")
            .with("bin/docker-credential-killed", "#!/bin/sh\nkill -9 $$\n")
            .with(
                "bin/docker-credential-leaky",
                "#!/bin/sh\necho '{\"Username\":\"u\",\"Secret\":\"hunter2\"}'; exit 1\n",
            )
            .with("bin/docker-credential-odd", "#!/bin/sh\necho hunter2\n")
            .with("bin/docker-credential-half", "#!/bin/sh\necho '{\"Username\":\"u\"}'\n");
        for (helper, code, why) in [
            ("lost", None, ""),
            ("angry", Some(Code::CredentialMissing), "it ended with status 3 and said `no keyring here`"),
            ("quiet", Some(Code::CredentialMissing), "it ended with status 1 and said `no bus`"),
            ("silent", Some(Code::CredentialMissing), "it ended with status 1"),
            ("killed", Some(Code::CredentialMissing), "it ended with a signal"),
            ("leaky", Some(Code::CredentialMissing), "it ended with status 1"),
            ("absent", Some(Code::CredentialMissing), "there is no such program on the `PATH`"),
            ("odd", Some(Code::ConfigMalformed), "the credential helper's answer is not JSON (line 1, column 1)"),
            ("half", Some(Code::ConfigMalformed), "the credential helper's answer holds a `Username` and no `Secret`"),
        ] {
            let message = format!("`docker-credential-{helper}` gave no credential for `reg.example`: {why}");
            let all = format!(r#"{{{auths},"credsStore":"{helper}"}}"#);
            let found = find(&folder, &[("DOCKER_AUTH_CONFIG", &all)], "reg.example").unwrap();
            assert_eq!(show(&found), "DOCKER_AUTH_CONFIG file:p2");
            let install =
                "; install `docker-credential-absent` in a folder of the `PATH`, or take it out of the configuration";
            let way_out = if helper == "absent" { install } else { "" };
            let warnings: Vec<String> =
                code.iter().map(|_| format!("{message}, named in `DOCKER_AUTH_CONFIG`{way_out}")).collect();
            assert_eq!(found.warnings, warnings);

            let own = format!(r#"{{{auths},"credHelpers":{{"reg.example":"{helper}"}}}}"#);
            let ended = find(&folder, &[("DOCKER_AUTH_CONFIG", &own)], "reg.example");
            match code {
                None => assert_eq!(show(&ended.unwrap()), "DOCKER_AUTH_CONFIG file:p2"),
                Some(code) => {
                    let error = ended.unwrap_err();
                    assert_eq!((error.code(), error.message()), (code, message.as_str()));
                    assert!(!format!("{error:?} {found:?}").contains("hunter2"));
                }
            }
        }
    }

    #[test]
    fn a_pinned_source_is_the_only_one_that_is_asked() {
        let folder = Folder::new().with(".docker/config.json", LOGIN);
        let pair = [("REGISTRY_USERNAME", "env"), ("REGISTRY_PASSWORD", "p1")];
        for (pin, more, at, expected) in [
            (CredentialSource::Env, &pair[..], "reg.example", Some("environment env:p1")),
            (CredentialSource::Env, &[], "reg.example", None),
            (CredentialSource::DockerConfig, &pair, "reg.example", Some("~/.docker/config.json file:p2")),
            (CredentialSource::DockerConfig, &pair, "elsewhere.example", None),
            (CredentialSource::Anonymous, &pair, "reg.example", Some("anonymous -")),
        ] {
            let world = folder.world(more);
            match (
                Keychain::new(&world, Some(pin), AwsSettings::default(), CredentialReach::Command)
                    .find(&registry(at), None),
                expected,
            ) {
                (Ok(found), Some(expected)) => assert_eq!(folder.scrub(&show(&found)), expected),
                (Err(error), None) => assert_eq!(error.code(), Code::CredentialMissing, "{error}"),
                (other, _) => panic!("{pin:?} {at}: {other:?}"),
            }
        }
    }
}
