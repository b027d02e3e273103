//! Where AWS credentials are looked for, in order, and what each place said.
//!
//! The first place that is set up counts: if it fails, its failure is reported and nobody else is asked.
//! What a profile asks for is decided in `pure::aws::profile_plan`; the places themselves are in
//! [`crate::aws::sources`].
//!
//! Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".

use crate::aws::sources as aws_sources;
use crate::aws::{Caller, MetadataAddress, Signer};
use crate::error::{Code, Error};
use crate::pure::auth::{LookupStep, lookup};
use crate::pure::aws::{
    AwsCredential, AwsIdentity, Base, ProfilePlan, Profiles, Role, SharedFile, Variant, host, profile_plan, sts,
};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Repeat, Url};
use crate::secret::Secret;
use crate::world::World;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A configuration file is a few hundred lines.
const FILE_LIMIT: u64 = 4 << 20;
/// An answer of the token service is small.
const STS_LIMIT: u64 = 1 << 20;

/// What flags and the registry's host name say about the credential that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChainSettings {
    /// A profile, and nothing else is looked at then; a role to assume with what was found.
    pub identity: AwsIdentity,
    /// The region of the registry, where its host names one; the token service of that region is asked.
    pub region: Option<String>,
    /// Whether the metadata service is asked, which costs a moment where there is none.
    pub metadata: bool,
    /// What the variables of its key begin with.
    pub key: String,
}

/// A credential and where it is from.
#[derive(Clone, Debug)]
pub struct SourcedCredential {
    /// The credential.
    pub credential: AwsCredential,
    /// The place, with every role on the way.
    pub source: String,
}

/// What a place came to: a credential, or why it has none.
type PlaceOutcome = Result<SourcedCredential, String>;

/// What a search came to.
#[derive(Clone, Debug, Default)]
pub struct AwsLookup {
    /// The credential, if any place had one.
    pub found: Option<SourcedCredential>,
    /// The places that were asked, in order.
    pub tried: Vec<LookupStep>,
}

/// The chain of one side of a command.
pub struct Chain<'a> {
    caller: &'a Caller<'a>,
    wanted: ChainSettings,
    profiles: OnceLock<Result<Profiles, Error>>,
}

impl<'a> Chain<'a> {
    /// Looks nowhere yet.
    pub fn new(caller: &'a Caller<'a>, wanted: ChainSettings) -> Self {
        Self { caller, wanted, profiles: OnceLock::new() }
    }

    /// Looks everywhere, in order, until a place is set up.
    ///
    /// # Errors
    /// What is wrong with the first place that is set up, with `tried` in its details; `credential-missing` where
    /// a role or profile was asked for and nothing leads to it.
    pub fn search(&self) -> Result<AwsLookup, Error> {
        let mut tried = Vec::new();
        let found = self.first(&mut tried).and_then(|found| match (&self.wanted.identity.role, found) {
            (Some(arn), Some(found)) => {
                let role =
                    Role { arn: arn.clone(), external_id: self.wanted.identity.external_id.clone(), ..Role::default() };
                self.assume(&role, found).map(Some)
            }
            (_, found) => Ok(found),
        });
        match found {
            Ok(found) => Ok(AwsLookup { found, tried }),
            Err(error) => Err(error.detail("tried", lookup::values(&tried))),
        }
    }

    /// Who the caller is, as an ARN, by the token service; it takes no right to ask.
    ///
    /// # Errors
    /// Those of the call.
    pub fn identity(&self, credential: &AwsCredential) -> Result<String, Error> {
        let wanted = "ask AWS who the caller is";
        let (request, region) = self.sts(&sts::get_caller_identity())?;
        let signer = Signer { credential, region: &region, service: "sts" };
        let response = self.caller.answer(wanted, "AWS STS", &request, Some(signer), STS_LIMIT)?;
        sts::arn(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))
    }

    /// The address of a service where environment or profile set one.
    ///
    /// # Errors
    /// `config-malformed` for an address that cannot be read, or a profile file that cannot.
    pub fn endpoint(&self, service: &str) -> Result<Option<Url>, Error> {
        let world = self.caller.world;
        if world.env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(is_true) {
            return Ok(None);
        }
        let own = format!("AWS_ENDPOINT_URL_{}", service.to_ascii_uppercase().replace('-', "_"));
        let set =
            [own.as_str(), "AWS_ENDPOINT_URL"].into_iter().find_map(|name| Some((name.to_owned(), world.env(name)?)));
        let profile = self.profile_name().0;
        let found = match set {
            Some((name, text)) => Some((name, text)),
            None => {
                let url = self.profiles()?.endpoint_url(&profile, service);
                url.map(|url| (format!("`endpoint_url` of the AWS profile `{profile}`"), url))
            }
        };
        let url = found.map(|(name, text)| {
            Url::parse(text).map_err(|error| error.with_code(Code::ConfigMalformed).during(format!("reading {name}")))
        });
        url.transpose()
    }

    /// Which kind of endpoint environment or profile ask for.
    ///
    /// # Errors
    /// `config-malformed` for a profile file that cannot be read.
    pub fn variant(&self) -> Result<Variant, Error> {
        let is_wanted = |variable, key| Ok(self.setting(variable, key)?.is_some_and(|value| is_true(&value)));
        let fips = is_wanted("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")?;
        Ok(Variant { fips, dual_stack: is_wanted("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")? })
    }

    fn first(&self, tried: &mut Vec<LookupStep>) -> Result<Option<SourcedCredential>, Error> {
        type Ask<'c, 'a> = fn(&'c Chain<'a>) -> Result<PlaceOutcome, Error>;
        let named: [(&str, Ask); 1] = [("profile", Chain::named_profile)];
        let all: [(&str, Ask); 5] = [
            ("environment", Chain::environment),
            ("web identity", Chain::web_identity),
            ("profile", Chain::shared_profile),
            ("container endpoint", Chain::container),
            ("metadata service", Chain::metadata),
        ];
        let places: &[(&str, Ask)] = if self.wanted.identity.profile.is_some() { &named } else { &all };
        for (name, ask) in places {
            let source = match *name {
                "profile" => format!("profile `{}`", self.profile_name().0),
                name => name.to_owned(),
            };
            let mut note = |said: String| tried.push(LookupStep::new(source.clone(), said));
            match ask(self) {
                Ok(Ok(found)) if found.credential.has_expired(self.caller.world.now()) => {
                    note("its credential has run out".to_owned());
                    return Err(Error::new(Code::TokenExpired, format!("the AWS credential of {source} has run out"))
                        .hint("get fresh credentials: log in again, or check the clock of this machine"));
                }
                Ok(Ok(found)) => {
                    note("a credential".to_owned());
                    return Ok(Some(found));
                }
                Ok(Err(said)) => note(said),
                Err(error) => {
                    note(error.message().to_owned());
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn environment(&self) -> Result<PlaceOutcome, Error> {
        Ok(aws_sources::environment(self.caller.world, &self.wanted.key)?.map(SourcedCredential::of("environment")))
    }

    fn web_identity(&self) -> Result<PlaceOutcome, Error> {
        const FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
        let world = self.caller.world;
        let Some(file) = world.env(FILE) else { return Ok(Err(format!("{FILE} not set"))) };
        let Some(arn) = world.env("AWS_ROLE_ARN") else {
            return Err(Error::new(Code::MissingValue, format!("{FILE} is set and AWS_ROLE_ARN is not"))
                .hint("check the annotation `eks.amazonaws.com/role-arn` of the pod's service account"));
        };
        let role = Role {
            arn: arn.to_owned(),
            session_name: world.env("AWS_ROLE_SESSION_NAME").map(str::to_owned),
            ..Role::default()
        };
        let credential = self.assume_with_token(&role, file, FILE)?;
        Ok(Ok(SourcedCredential { credential, source: format!("web identity, role `{arn}`") }))
    }

    fn shared_profile(&self) -> Result<PlaceOutcome, Error> {
        let (name, is_named) = self.profile_name();
        let profiles = self.profiles()?;
        if profiles.get(&name).is_none() && !is_named {
            let said = match profiles.files() {
                [] => "no such file".to_owned(),
                files => format!("not in {}", files.join(", ")),
            };
            return Ok(Err(said));
        }
        match profile_plan::plan(profiles, &name)? {
            None => Ok(Err("holds no credential".to_owned())),
            Some(plan) => self.follow(&name, &plan).map(Ok),
        }
    }

    fn named_profile(&self) -> Result<PlaceOutcome, Error> {
        match self.shared_profile()? {
            Err(said) => {
                let name = self.profile_name().0;
                Err(Error::new(Code::CredentialMissing, format!("the AWS profile `{name}` {said}"))
                    .hint("add `source_profile`, `credential_source` or keys to the profile"))
            }
            found => Ok(found),
        }
    }

    fn container(&self) -> Result<PlaceOutcome, Error> {
        Ok(aws_sources::container(self.caller)?.map(SourcedCredential::of("container endpoint")))
    }

    fn metadata(&self) -> Result<PlaceOutcome, Error> {
        if !self.wanted.metadata {
            return Ok(Err("not asked".to_owned()));
        }
        self.metadata_service()
    }

    fn metadata_service(&self) -> Result<PlaceOutcome, Error> {
        let address = MetadataAddress {
            endpoint: self.setting("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint")?,
            mode: self.setting("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode")?,
        };
        Ok(aws_sources::metadata(self.caller, &address)?.map(SourcedCredential::of("metadata service")))
    }

    fn follow(&self, name: &str, plan: &ProfilePlan) -> Result<SourcedCredential, Error> {
        let last = plan.through.last().map_or(name, String::as_str);
        let answer = match &plan.base {
            Base::Keys(credential) => Ok(SourcedCredential { credential: credential.clone(), source: String::new() }),
            Base::Environment => self.environment()?,
            Base::Container => self.container()?,
            Base::Metadata => self.metadata_service()?,
            Base::WebIdentity { token_file, role } => {
                let credential = self.assume_with_token(role, token_file, &format!("the AWS profile `{last}`"))?;
                Ok(SourcedCredential { credential, source: format!("role `{}`", role.arn) })
            }
            Base::Process(line) => {
                let credential = aws_sources::process(self.caller.world, last, line, self.caller.left())?;
                Ok(SourcedCredential { credential, source: "credential_process".to_owned() })
            }
        };
        let mut found = match answer {
            Ok(found) => found,
            Err(said) => {
                let message =
                    format!("the AWS profile `{last}` takes its credential from elsewhere, and there is none: {said}");
                return Err(Error::new(Code::CredentialMissing, message));
            }
        };
        let way = plan.through.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → ");
        found.source = match found.source.as_str() {
            "" => format!("profile {way}"),
            base => format!("profile {way}, {base}"),
        };
        for role in &plan.roles {
            found = self.assume(role, found)?;
        }
        Ok(found)
    }

    fn assume(&self, role: &Role, with: SourcedCredential) -> Result<SourcedCredential, Error> {
        let wanted = format!("assume the role `{}`", role.arn);
        let (request, region) = self.sts(&sts::assume_role(role, &self.session_name(), None))?;
        let signer = Signer { credential: &with.credential, region: &region, service: "sts" };
        let refused = |error: Error| {
            let error = error.cause(format!("`AssumeRole` was signed with the credential from: {}", with.source));
            match error.code() {
                Code::Denied => error.hint(
                    "let the role's trust policy name the caller, and the caller's policy allow `sts:AssumeRole` on the role; \
                     where the trust policy wants one, give the external id",
                ),
                _ => error,
            }
        };
        let response = self.caller.answer(&wanted, "AWS STS", &request, Some(signer), STS_LIMIT).map_err(refused)?;
        let credential = sts::credential(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))?;
        Ok(SourcedCredential { credential, source: format!("{}, role `{}`", with.source, role.arn) })
    }

    fn assume_with_token(&self, role: &Role, file: &str, name: &str) -> Result<AwsCredential, Error> {
        let wanted = format!("assume the role `{}` with a web identity", role.arn);
        let token = aws_sources::token_file(self.caller.world, file, name)?;
        self.caller.journal.guard(&token);
        let (request, _) = self.sts(&sts::assume_role(role, &self.session_name(), Some(&token)))?;
        let refused = |error: Error| match error.code() {
            Code::Denied => error.hint(
                "let the role's trust policy name the cluster's OIDC provider and this service account \
                 (`system:serviceaccount:NAMESPACE:NAME`)",
            ),
            Code::TokenExpired => error.hint(format!("check who renews `{file}`; the token in it has run out")),
            _ => error,
        };
        let response = self.caller.answer(&wanted, "AWS STS", &request, None, STS_LIMIT).map_err(refused)?;
        sts::credential(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))
    }

    /// A request to the token service, and the region it is signed for.
    fn sts(&self, form: &Secret) -> Result<(Request, String), Error> {
        let mut region = self.region()?;
        let legacy = self.setting("AWS_STS_REGIONAL_ENDPOINTS", "sts_regional_endpoints")?;
        let variant = self.variant()?;
        let url = match self.endpoint("sts")? {
            Some(url) => url,
            None if legacy.is_some_and(|value| value.eq_ignore_ascii_case("legacy"))
                && variant == Variant::default()
                && host::is_served_globally(&region) =>
            {
                region = "us-east-1".to_owned();
                Url::parse("https://sts.amazonaws.com/")?
            }
            None => Url::parse(&format!("https://{}/", host::sts_host(&region, variant))).map_err(|error| {
                error.with_code(Code::ConfigMalformed).during(format!("reading the region `{region}`"))
            })?,
        };
        let request = Request::new(Method::Post, url)
            .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("Accept", "application/json")
            .body(form.reveal().as_bytes().to_vec())
            .repeated(Repeat::Freely);
        Ok((request, region))
    }

    /// The registry's region, else the one that environment or profile set.
    fn region(&self) -> Result<String, Error> {
        if let Some(region) = &self.wanted.region {
            return Ok(region.clone());
        }
        let world = self.caller.world;
        let set = world.env("AWS_REGION").or_else(|| world.env("AWS_DEFAULT_REGION")).map(str::to_owned);
        let set = if set.is_some() { set } else { self.of_profile("region")? };
        Ok(set.unwrap_or_else(|| "us-east-1".to_owned()))
    }

    fn setting(&self, variable: &str, key: &str) -> Result<Option<String>, Error> {
        match self.caller.world.env(variable) {
            Some(value) => Ok(Some(value.to_owned())),
            None => self.of_profile(key),
        }
    }

    /// What the profile that counts sets.
    fn of_profile(&self, key: &str) -> Result<Option<String>, Error> {
        let profile = self.profiles()?.get(&self.profile_name().0);
        Ok(profile.and_then(|profile| profile.get(key)).map(str::to_owned))
    }

    /// The profile that counts, and whether somebody named it.
    fn profile_name(&self) -> (String, bool) {
        let world = self.caller.world;
        let named = self
            .wanted
            .identity
            .profile
            .as_deref()
            .or_else(|| world.env("AWS_PROFILE"))
            .or_else(|| world.env("AWS_DEFAULT_PROFILE"));
        (named.unwrap_or("default").to_owned(), named.is_some())
    }

    fn session_name(&self) -> String {
        let world = self.caller.world;
        sts::session_name(world.env("JOB_NAME"), world.env("BUILD_NUMBER"))
    }

    fn profiles(&self) -> Result<&Profiles, Error> {
        let read = || {
            let mut profiles = Profiles::default();
            for (variable, name, kind) in [
                ("AWS_CONFIG_FILE", "config", SharedFile::Config),
                ("AWS_SHARED_CREDENTIALS_FILE", "credentials", SharedFile::Credentials),
            ] {
                let Some(path) = file(self.caller.world, variable, name) else { continue };
                let shown = path.display().to_string();
                let bad = |why: String| Error::new(Code::ConfigMalformed, format!("`{shown}` cannot be read: {why}"));
                match self.caller.world.read_file(&path, FILE_LIMIT) {
                    Ok(bytes) => {
                        let text = String::from_utf8(bytes).map_err(|_| bad("it is not UTF-8 text".to_owned()))?;
                        profiles.add(&text, &shown, kind)?;
                    }
                    Err(error) if is_absent(&error) => {}
                    Err(error) => return Err(bad(error.to_string())),
                }
            }
            Ok(profiles)
        };
        self.profiles.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

impl SourcedCredential {
    fn of(source: impl Into<String>) -> impl Fn(AwsCredential) -> Self {
        let source = source.into();
        move |credential| Self { credential, source: source.clone() }
    }
}

fn file(world: &World, variable: &str, name: &str) -> Option<PathBuf> {
    match world.env(variable) {
        Some(path) => match (path.strip_prefix("~/"), world.home()) {
            (Some(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(Path::new(path).to_owned()),
        },
        None => Some(world.home()?.join(".aws").join(name)),
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::call::ClockSkew;
    use crate::http::{Journal, Limits};
    use crate::pure::http::fault::{Fault, Phase};
    use crate::pure::http::message::{Headers, Response};
    use crate::threads::lock;
    use crate::world::instant;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    const KEYS: &str = r#"{"Code":"Success","Version":1,"AccessKeyId":"AKIDX","SecretAccessKey":"sekret-x","Token":"sekret-t","SessionToken":"sekret-t","Expiration":"2999-01-01T00:00:00Z"}"#;
    const ASSUMED: &str = r#"{"AssumeRoleResponse":{"AssumeRoleResult":{"Credentials":{"AccessKeyId":"ASIAR","SecretAccessKey":"sekret-r","SessionToken":"sekret-t","Expiration":3.2E10}}}}"#;

    /// What a test asks, and what the other ends answer, in order: method and address, status, body.
    #[derive(Default)]
    struct Case<'a> {
        env: &'a [(&'a str, &'a str)],
        files: &'a [(&'a str, &'a str)],
        wanted: ChainSettings,
        answers: &'a [(&'a str, u16, &'a str)],
    }

    struct Seen {
        result: Result<AwsLookup, Error>,
        requests: Vec<Request>,
        limits: Vec<Limits>,
    }

    impl Seen {
        fn source(&self) -> (&str, &str) {
            let found = self.result.as_ref().unwrap().found.as_ref().unwrap();
            (found.credential.key_id.reveal(), &found.source)
        }

        fn error(&self) -> &Error {
            self.result.as_ref().unwrap_err()
        }

        fn body(&self, i: usize) -> &str {
            std::str::from_utf8(self.requests[i].body.as_deref().unwrap()).unwrap()
        }
    }

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("tagwright-chain-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(path.join(".aws")).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the test writes the files that the chain reads")]
    fn search(case: &Case) -> Seen {
        let home = Folder::new();
        for (name, text) in case.files {
            std::fs::write(home.0.join(name), text).unwrap();
        }
        let place = home.0.display().to_string();
        let mut environment: std::collections::BTreeMap<String, String> =
            case.env.iter().map(|(name, value)| ((*name).to_owned(), value.replace("$HOME", &place))).collect();
        environment.insert("HOME".into(), place.clone());
        environment.insert("PATH".into(), "/usr/bin:/bin".into());
        let (log, stdin) = (Box::new(|_: &str| ()), Box::new(|_| Ok(Vec::new())));
        let (sleep, hidden) = (Box::new(|_| ()), std::sync::OnceLock::new());
        let world = World { environment, log, stdin, status: None, hidden, sleep, started: instant() };
        let (requests, every): (Mutex<Vec<Request>>, Mutex<Vec<Limits>>) = Default::default();
        let send = |request: &Request, limits: &Limits, _: u32| {
            lock(&every).push(*limits);
            let mut requests = lock(&requests);
            let line = format!("{} {}", request.method.as_str(), request.url);
            let (expected, status, body) = case.answers.get(requests.len()).copied().unwrap_or(("nothing", 0, ""));
            assert_eq!(line, expected, "request {}", requests.len());
            requests.push(request.clone());
            match status {
                0 => Err(Fault::Connect { addr: "x".into(), why: body.into() }),
                1 => Err(Fault::Timeout { what: Phase::Idle, after: Duration::from_millis(400) }),
                status => Ok(Response {
                    from: request.url.clone(),
                    status,
                    headers: Headers::new(),
                    body: body.as_bytes().to_vec(),
                    secrets: Default::default(),
                }),
            }
        };
        let clock = ClockSkew::default();
        let journal = Journal::default();
        let send = Box::new(send);
        let caller = Caller { world: &world, send, until: None, retries: 0, clock: &clock, journal: &journal };
        let result =
            Chain::new(&caller, ChainSettings { region: Some("eu-west-1".into()), ..case.wanted.clone() }).search();
        drop(caller);
        let requests = requests.into_inner().unwrap();
        assert_eq!(requests.len(), case.answers.len(), "not everything was asked: {result:?}");
        if let Err(error) = &result {
            let shown = format!("{error} {:?}", error.details());
            assert!(!shown.contains("sekret"), "{shown}");
        }
        Seen { result, requests, limits: every.into_inner().unwrap() }
    }

    const STS: &str = "POST https://sts.eu-west-1.amazonaws.com/";
    const ASK: ChainSettings = ChainSettings { identity: NOBODY, region: None, metadata: true, key: String::new() };
    const NOBODY: AwsIdentity = AwsIdentity { profile: None, role: None, external_id: None };

    #[test]
    fn without_any_source_each_one_says_why() {
        let seen = search(&Case {
            wanted: ASK,
            answers: &[("PUT http://169.254.169.254/latest/api/token", 0, "no route")],
            ..Case::default()
        });
        let search = seen.result.unwrap();
        assert!(search.found.is_none());
        let said: Vec<String> = search.tried.iter().map(|t| format!("{}: {}", t.source, t.said)).collect();
        assert_eq!(
            said,
            [
                "environment: AWS_ACCESS_KEY_ID not set",
                "web identity: AWS_WEB_IDENTITY_TOKEN_FILE not set",
                "profile `default`: no such file",
                "container endpoint: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set",
                "metadata service: no answer",
            ]
        );
    }

    #[test]
    fn an_endpoint_that_hangs_or_goes_on_and_on_has_limits_of_its_own() {
        let began = instant();
        let seen = search(&Case {
            env: &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/c")],
            answers: &[("GET http://127.0.0.1:1/c", 200, KEYS)],
            ..Case::default()
        });
        let limits = seen.limits[0];
        let all = limits.connect + limits.idle;
        assert_eq!([limits.connect, limits.idle].map(|limit| limit.as_secs()), [1, 3]);
        assert_eq!(limits.body, 1 << 20);
        assert!((began + all..=instant() + all).contains(&limits.until.unwrap()));
    }

    #[test]
    fn the_first_source_that_is_set_up_counts() {
        let everything = [
            ("AWS_ACCESS_KEY_ID", "AKIDE\n"),
            ("AWS_SECRET_ACCESS_KEY", "sekret"),
            ("AWS_SESSION_TOKEN", "sekret-t"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "$HOME/token"),
            ("AWS_ROLE_ARN", "arn:r"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/c"),
        ];
        let files = [
            ("token", "sekret-jwt\n"),
            (".aws/credentials", "[default]\naws_access_key_id=AKIDP\naws_secret_access_key=sekret\n"),
        ];
        let metadata = [
            ("PUT http://169.254.169.254/latest/api/token", 200, "tok"),
            ("GET http://169.254.169.254/latest/meta-data/iam/security-credentials/", 200, "ci-role\nother"),
            ("GET http://169.254.169.254/latest/meta-data/iam/security-credentials/ci-role", 200, KEYS),
        ];
        for (env, files, answers, expected) in [
            (&everything[..], &files[..], &[][..], ("AKIDE", "environment")),
            (&everything[3..], &files, &[(STS, 200, ASSUMED)], ("ASIAR", "web identity, role `arn:r`")),
            (&everything[5..], &files, &[], ("AKIDP", "profile `default`")),
            (&everything[5..], &[], &[("GET http://127.0.0.1:1/c", 200, KEYS)], ("AKIDX", "container endpoint")),
            (&[], &[], &metadata, ("AKIDX", "metadata service")),
        ] {
            let seen = search(&Case { env, files, answers, wanted: ASK });
            assert_eq!(seen.source(), expected);
        }
    }

    #[test]
    fn a_web_identity_is_sent_unsigned_and_its_file_must_hold_a_token() {
        let env = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "$HOME/token"),
            ("AWS_ROLE_ARN", "arn:r"),
            ("AWS_ROLE_SESSION_NAME", "me"),
        ];
        let seen = search(&Case {
            env: &env,
            files: &[("token", " sekret-jwt\n")],
            answers: &[(STS, 200, ASSUMED)],
            wanted: ASK,
        });
        assert_eq!(
            seen.body(0),
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Ar&RoleSessionName=me&WebIdentityToken=sekret-jwt"
        );
        assert_eq!(seen.requests[0].headers.get("authorization"), None);
        let missing = search(&Case { env: &env, wanted: ASK, ..Case::default() });
        assert_eq!(missing.error().code(), Code::ConfigMalformed);
        assert!(missing.error().message().ends_with("No such file or directory (os error 2)"), "{}", missing.error());
        let empty = search(&Case { env: &env, files: &[("token", "\n")], wanted: ASK, ..Case::default() });
        assert!(empty.error().message().ends_with("cannot be used: it is empty"), "{}", empty.error());
        let half = search(&Case { env: &env[..1], wanted: ASK, ..Case::default() });
        assert_eq!(half.error().code(), Code::MissingValue);
    }

    #[test]
    fn a_web_identity_that_is_refused_is_told_with_what_to_do_about_the_role_or_the_token() {
        let env = [("AWS_WEB_IDENTITY_TOKEN_FILE", "$HOME/token"), ("AWS_ROLE_ARN", "arn:r")];
        for (name, code, begin, end) in [
            ("ExpiredTokenException", Code::TokenExpired, "check who renews `", "/token`; the token in it has run out"),
            (
                "AccessDenied",
                Code::Denied,
                "let the role's trust policy name the cluster's OIDC provider and this service account",
                "(`system:serviceaccount:NAMESPACE:NAME`)",
            ),
        ] {
            let body = format!(r#"{{"Error":{{"Code":"{name}","Message":"no"}}}}"#);
            let answers = [(STS, 400, body.as_str())];
            let seen = search(&Case { env: &env, files: &[("token", "sekret")], answers: &answers, wanted: ASK });
            let hint = seen.error().hint_text().unwrap();
            assert!(seen.error().code() == code && hint.starts_with(begin) && hint.ends_with(end), "{name}: {hint}");
            assert_eq!(seen.error().details()["tried"][1]["source"], "web identity");
        }
    }

    #[test]
    fn shared_files_are_where_the_variables_say_and_none_that_is_there_is_passed_over() {
        let files = [("keys", "[default]\naws_access_key_id=AKIDP\naws_secret_access_key=sekret\n")];
        for path in ["~/keys", "$HOME/keys"] {
            let env = [("AWS_SHARED_CREDENTIALS_FILE", path)];
            let seen = search(&Case { env: &env, files: &files, wanted: ASK, ..Case::default() });
            assert_eq!(seen.source(), ("AKIDP", "profile `default`"), "{path}");
        }
        let env = [("AWS_CONFIG_FILE", "~/.aws"), ("AWS_SHARED_CREDENTIALS_FILE", "~/keys")];
        let folder = search(&Case { env: &env, files: &files, wanted: ASK, ..Case::default() });
        assert_eq!(folder.error().code(), Code::ConfigMalformed);
        assert!(folder.error().message().contains(".aws` cannot be read: "), "{}", folder.error());
    }

    #[test]
    fn a_profile_is_followed_to_its_keys_and_back_through_its_roles() {
        let files = [
            (
                ".aws/config",
                "[profile a]\nrole_arn=arn:1\nsource_profile=b\nexternal_id=x\n[profile b]\nrole_arn=arn:2\nsource_profile=c\n",
            ),
            (".aws/credentials", "[c]\naws_access_key_id=AKIDC\naws_secret_access_key=sekret\n"),
        ];
        let env = [("AWS_PROFILE", "a"), ("JOB_NAME", "team/app"), ("BUILD_NUMBER", "7")];
        let second = ASSUMED.replace("ASIAR", "ASIA2");
        let seen = search(&Case {
            env: &env,
            files: &files,
            answers: &[(STS, 200, ASSUMED), (STS, 200, &second)],
            wanted: ASK,
        });
        assert_eq!(seen.source(), ("ASIA2", "profile `a` → `b` → `c`, role `arn:2`, role `arn:1`"));
        assert!(seen.body(0).contains("RoleArn=arn%3A2&RoleSessionName=tagwright-team-app-7"), "{}", seen.body(0));
        assert!(seen.body(1).ends_with("RoleArn=arn%3A1&RoleSessionName=tagwright-team-app-7&ExternalId=x"));
        for (i, key) in ["AKIDC", "ASIAR"].into_iter().enumerate() {
            let value = seen.requests[i].headers.get("authorization").unwrap();
            assert!(value.starts_with(&format!("AWS4-HMAC-SHA256 Credential={key}/")), "{value}");
            assert!(value.contains("/eu-west-1/sts/aws4_request"), "{value}");
        }
    }

    #[test]
    fn flags_name_profile_role_and_external_id() {
        let files = [(".aws/credentials", "[p]\naws_access_key_id=AKIDP\naws_secret_access_key=sekret\n")];
        let env = [("AWS_ACCESS_KEY_ID", "AKIDE"), ("AWS_SECRET_ACCESS_KEY", "sekret")];
        let identity = AwsIdentity { role: Some("arn:r".into()), external_id: Some("e".into()), ..NOBODY };
        let role = ChainSettings { identity: identity.clone(), ..ASK };
        let both = ChainSettings { identity: AwsIdentity { profile: Some("p".into()), ..identity }, ..ASK };
        for (wanted, key, source) in
            [(role, "AKIDE", "environment, role `arn:r`"), (both, "AKIDP", "profile `p`, role `arn:r`")]
        {
            let seen = search(&Case { env: &env, files: &files, answers: &[(STS, 200, ASSUMED)], wanted });
            assert_eq!(seen.source(), ("ASIAR", source));
            assert!(seen.body(0).ends_with("&ExternalId=e"));
            assert!(seen.requests[0].headers.get("authorization").unwrap().contains(&format!("Credential={key}/")));
        }
        let missing = search(&Case {
            env: &env,
            files: &files,
            wanted: ChainSettings { identity: AwsIdentity { profile: Some("q".into()), ..NOBODY }, ..ASK },
            ..Case::default()
        });
        assert_eq!(missing.error().message(), "the AWS profile `q` does not exist");
        assert_eq!(missing.error().hint_text(), Some("name one of: p"));
    }

    #[test]
    fn a_source_that_is_set_up_and_fails_ends_the_search() {
        let refused = r#"{"Error":{"Code":"AccessDenied","Message":"not authorized"}}"#;
        let profile = |text| [(".aws/config", text)];
        for (env, files, answers, code, message) in [
            (
                &[("AWS_ACCESS_KEY_ID", "A")][..],
                &profile("")[..],
                &[][..],
                Code::MissingValue,
                "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not",
            ),
            (
                &[("AWS_SECRET_KEY", "sekret")],
                &[],
                &[],
                Code::MissingValue,
                "AWS_SECRET_KEY is set and AWS_ACCESS_KEY_ID is not",
            ),
            (
                &[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "sek\nret")],
                &[],
                &[],
                Code::ConfigMalformed,
                "the value of AWS_SECRET_ACCESS_KEY holds a character that no key has",
            ),
            (&[("AWS_PROFILE", "p")], &[], &[], Code::ConfigMalformed, "the AWS profile `p` does not exist"),
            (
                &[],
                &profile("[default]\ncredential_process = echo sekret; echo no >&2; exit 7\n"),
                &[],
                Code::CredentialMissing,
                "the `credential_process` of the AWS profile `default` ended with 7",
            ),
            (
                &[],
                &profile("[default]\ncredential_process = echo sekret\n"),
                &[],
                Code::ReplyMalformed,
                "the `credential_process` of the AWS profile `default` printed no credential: the answer is not JSON",
            ),
            (
                &[],
                &profile("[default]\nrole_arn=arn:r\ncredential_source=Environment\n"),
                &[],
                Code::CredentialMissing,
                "the AWS profile `default` takes its credential from elsewhere, and there is none: AWS_ACCESS_KEY_ID not set",
            ),
            (
                &[],
                &profile(
                    "[default]\nrole_arn=arn:r\nsource_profile=k\n[profile k]\naws_access_key_id=A\naws_secret_access_key=sekret\n",
                ),
                &[(STS, 403, refused)],
                Code::Denied,
                "cannot assume the role `arn:r`",
            ),
            (
                &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://creds.example/x")],
                &[],
                &[],
                Code::PlainHttpRefused,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI names `creds.example` over plain HTTP, and a credential is not taken from there",
            ),
            (
                &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")],
                &[],
                &[("GET http://169.254.170.2/v2/x", 403, r#"{"code":"AccessDenied","message":"no role"}"#)],
                Code::Denied,
                "cannot get credentials from the container endpoint",
            ),
            (
                &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "https://creds.example/x")],
                &[],
                &[("GET https://creds.example/x", 200, "<html>sekret</html>")],
                Code::ReplyMalformed,
                "cannot get credentials from the container endpoint: the answer is HTML or XML, not JSON",
            ),
            (
                &[
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://[fd00:ec2::23]/x"),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "sek\nret"),
                ],
                &[],
                &[],
                Code::ConfigMalformed,
                "the token of AWS_CONTAINER_AUTHORIZATION_TOKEN holds a line break or control character",
            ),
        ] {
            let seen = search(&Case { env, files, answers, wanted: ASK });
            assert_eq!((seen.error().code(), seen.error().message()), (code, message));
            let tried = seen.error().details()["tried"].as_array().unwrap();
            assert_eq!(tried.last().unwrap()["said"], seen.error().message());
        }
    }

    #[test]
    fn the_container_endpoint_gets_the_token_of_the_file() {
        let env = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "$HOME/token"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "other"),
        ];
        let answers = [("GET http://169.254.170.23/v1/credentials", 200, KEYS)];
        let seen = search(&Case { env: &env, files: &[("token", "sekret-pod\n")], answers: &answers, wanted: ASK });
        assert_eq!(seen.source(), ("AKIDX", "container endpoint"));
        assert_eq!(seen.requests[0].headers.get("authorization"), Some("sekret-pod"));
    }

    #[test]
    fn the_metadata_service_says_why_it_has_nothing() {
        let token = "PUT http://127.0.0.1:1/latest/api/token";
        let roles = "GET http://127.0.0.1:1/latest/meta-data/iam/security-credentials/";
        for (answers, said) in [
            (
                &[(token, 1, ""), (token, 1, "")][..],
                "it accepted the connection and did not answer; in a container, set the instance's metadata hop limit to 2",
            ),
            (&[(token, 0, "refused")], "no answer"),
            (
                &[(token, 403, "")],
                "it answered 403: the service is turned off for this instance, or a firewall refuses",
            ),
            (&[(token, 405, "")], "it answered 405 to version 2, and version 1 is not used"),
            (&[(token, 200, "<html>login</html>")], "it answered with something that is no token"),
            (&[(token, 200, "tok"), (roles, 404, "")], "the instance has no role"),
            (&[(token, 200, "tok"), (roles, 200, "<html>")], "it answered with something that is no role name"),
        ] {
            let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1/")];
            let seen = search(&Case { env: &env, answers, wanted: ASK, ..Case::default() });
            assert_eq!(seen.result.unwrap().tried.last().unwrap().said, said);
        }
        for (config, place) in [
            ("ec2_metadata_service_endpoint=http://127.0.0.1:1/", token),
            ("ec2_metadata_service_endpoint=http://127.0.0.1:1\nec2_metadata_service_endpoint_mode=IPv6", token),
            ("ec2_metadata_service_endpoint_mode=IPv6", "PUT http://[fd00:ec2::254]/latest/api/token"),
        ] {
            let config = format!("[default]\n{config}\n");
            let files = [(".aws/config", config.as_str())];
            let seen = search(&Case { files: &files, answers: &[(place, 403, "")], wanted: ASK, ..Case::default() });
            assert!(seen.result.is_ok(), "{config}");
        }
        let env = [("AWS_EC2_METADATA_DISABLED", "true")];
        let seen = search(&Case { env: &env, wanted: ASK, ..Case::default() });
        assert_eq!(seen.result.unwrap().tried.last().unwrap().said, "turned off by AWS_EC2_METADATA_DISABLED");
        let answers = [
            (token, 200, "tok"),
            (roles, 200, "r"),
            ("GET http://127.0.0.1:1/latest/meta-data/iam/security-credentials/r", 200, r#"{"Code":"Failed"}"#),
        ];
        let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")];
        let seen = search(&Case { env: &env, answers: &answers, wanted: ASK, ..Case::default() });
        assert_eq!(seen.error().code(), Code::ReplyMalformed);
        assert_eq!(seen.requests[2].headers.get("x-aws-ec2-metadata-token"), Some("tok"));
    }

    #[test]
    fn a_busy_metadata_service_is_asked_again_and_is_never_no_credential() {
        let token = "PUT http://127.0.0.1:1/latest/api/token";
        let roles = "GET http://127.0.0.1:1/latest/meta-data/iam/security-credentials/";
        let role = "GET http://127.0.0.1:1/latest/meta-data/iam/security-credentials/r";
        let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")];
        let ask = |answers: &[(&str, u16, &str)]| search(&Case { env: &env, answers, wanted: ASK, ..Case::default() });
        let seen = ask(&[
            (token, 503, ""),
            (token, 1, ""),
            (token, 429, ""),
            (token, 200, "tok"),
            (roles, 500, ""),
            (roles, 200, "r"),
            (role, 503, ""),
            (role, 200, KEYS),
        ]);
        assert_eq!(seen.source(), ("AKIDX", "metadata service"));
        for (answers, code, wanted) in [
            (vec![(token, 429, ""); 4], Code::RateLimited, "get a token from the metadata service"),
            (
                [vec![(token, 200, "tok")], vec![(roles, 503, ""); 4]].concat(),
                Code::RegistryUnavailable,
                "ask the metadata service for the role",
            ),
        ] {
            let seen = ask(&answers);
            assert_eq!((seen.error().code(), seen.error().message()), (code, &*format!("cannot {wanted}")));
            assert_eq!(seen.requests.len(), answers.len());
        }
    }

    #[test]
    fn a_credential_that_has_run_out_is_not_used() {
        let keys = KEYS.replace("2999", "1999");
        let env = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost:1/c")];
        let seen = search(&Case {
            env: &env,
            answers: &[("GET http://localhost:1/c", 200, &keys)],
            wanted: ASK,
            ..Case::default()
        });
        assert_eq!(seen.error().code(), Code::TokenExpired);
    }

    #[test]
    fn the_token_service_is_where_environment_and_profile_say() {
        let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "sekret")];
        let role = ChainSettings { identity: AwsIdentity { role: Some("arn:r".into()), ..NOBODY }, ..ASK };
        for (more, config, url, region) in [
            (&[("AWS_ENDPOINT_URL", "http://localhost:5/x")][..], "", "http://localhost:5/x", "eu-west-1"),
            (
                &[("AWS_ENDPOINT_URL_STS", "http://localhost:4"), ("AWS_ENDPOINT_URL", "http://localhost:5")],
                "",
                "http://localhost:4/",
                "eu-west-1",
            ),
            (
                &[("AWS_ENDPOINT_URL_STS", "http://localhost:4"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")],
                "",
                "https://sts.eu-west-1.amazonaws.com/",
                "eu-west-1",
            ),
            (
                &[],
                "[default]\nservices=s\n[services s]\nsts =\n  endpoint_url = http://localhost:6\n",
                "http://localhost:6/",
                "eu-west-1",
            ),
            (&[("AWS_USE_FIPS_ENDPOINT", "true")], "", "https://sts-fips.eu-west-1.amazonaws.com/", "eu-west-1"),
            (&[("AWS_USE_DUALSTACK_ENDPOINT", "true")], "", "https://sts.eu-west-1.api.aws/", "eu-west-1"),
            (&[("AWS_STS_REGIONAL_ENDPOINTS", "legacy")], "", "https://sts.amazonaws.com/", "us-east-1"),
        ] {
            let env = [&keys[..], more].concat();
            let line = format!("POST {url}");
            let seen = search(&Case {
                env: &env,
                files: &[(".aws/config", config)],
                answers: &[(&line, 200, ASSUMED)],
                wanted: role.clone(),
            });
            assert_eq!(seen.source().0, "ASIAR");
            let value = seen.requests[0].headers.get("authorization").unwrap();
            assert!(value.contains(&format!("/{region}/sts/")), "{value}");
        }
    }
}
