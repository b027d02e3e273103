//! The places on a machine or beside it that hand out AWS credentials: the environment, the container
//! endpoint, the instance's metadata service, and a program of the user's.
//!
//! In which order they are asked is decided in [`crate::aws::chain`].
//!
//! Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".

use crate::aws::Caller;
use crate::error::{Code, Error};
use crate::http::Limits;
use crate::http::repeat::repeat;
use crate::pure::aws::{AwsCredential, AwsFault, Form, answer};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::url::Scheme;
use crate::pure::http::{Fault, Pace, Phase, Place, Repeat, Response, Url, Verdict, place, retry};
use crate::secret::Secret;
use crate::world::World;
use std::path::Path;
use std::time::Duration;

/// A credential reply is small.
const LIMIT: u64 = 1 << 20;
/// A token file is small.
pub const TOKEN_LIMIT: u64 = 64 << 10;
/// How long a program of the user's may take.
const PROCESS_LIMIT: Duration = Duration::from_secs(60);
/// How long the two tries at the metadata service may wait for a reply. It is a hop away or not there, and an
/// agent outside AWS must not wait for it.
const METADATA_IDLE: [Duration; 2] = [Duration::from_millis(400), Duration::from_secs(1)];

/// How often a busy metadata service is asked.
const BUSY_TRIES: u32 = 4;
/// How often whoever is known to hold a credential is asked for it.
const PATIENT_TRIES: u32 = 3;
/// What a source came to: a credential, or that it has none, or is not there.
pub type SourceOutcome = Result<AwsCredential, String>;

/// The variables that hold a key, whose names begin so.
///
/// # Errors
/// `missing-value` where one half of the pair is not set, `config-malformed` for what cannot be a key.
pub fn environment(world: &World, prefix: &str) -> Result<SourceOutcome, Error> {
    fn value<'w>(world: &'w World, name: &str) -> Option<(String, &'w str)> {
        Some((name.to_owned(), world.env(name)?))
    }
    let own = |name: &str| value(world, &format!("{prefix}{name}"));
    // Names of before, for the one key that others read too.
    let old = |name| if prefix.is_empty() { value(world, name) } else { None };
    let id = own("AWS_ACCESS_KEY_ID").or_else(|| old("AWS_ACCESS_KEY"));
    let secret = own("AWS_SECRET_ACCESS_KEY").or_else(|| old("AWS_SECRET_KEY"));
    let half = |has: &str, lacks: &str| {
        Error::new(Code::MissingValue, format!("{has} is set and {prefix}{lacks} is not"))
            .hint("set both, or neither to let the other sources answer")
    };
    match (id, secret) {
        (None, None) => Ok(Err("AWS_ACCESS_KEY_ID not set".to_owned())),
        (Some((name, _)), None) => Err(half(&name, "AWS_SECRET_ACCESS_KEY")),
        (None, Some((name, _))) => Err(half(&name, "AWS_ACCESS_KEY_ID")),
        (Some(id), Some(secret)) => {
            let credential = AwsCredential {
                key_id: clean(id)?,
                secret: clean(secret)?,
                session_token: own("AWS_SESSION_TOKEN").map(clean).transpose()?,
                expires_at: None,
            };
            Ok(Ok(credential))
        }
    }
}

// What stands in a header must be one line; a variable that was filled from a file often ends with a break.
fn clean((name, value): (String, &str)) -> Result<Secret, Error> {
    answer::key(value).ok_or_else(|| {
        Error::new(Code::ConfigMalformed, format!("the value of {name} holds a character that no key has"))
            .hint("set it anew, without quotes or line breaks")
    })
}

/// The endpoint of ECS or EKS Pod Identity, if the environment names one.
///
/// # Errors
/// `plain-http-refused`, `config-malformed`, `denied`, and what [`answer::parse`] and the way there have.
pub fn container(caller: &Caller) -> Result<SourceOutcome, Error> {
    let world = caller.world;
    const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let (name, url) = match (world.env(RELATIVE), world.env(FULL)) {
        (Some(path), _) if path.starts_with('/') => (RELATIVE, Url::parse(&format!("http://169.254.170.2{path}"))),
        (Some(_), _) => {
            return Err(Error::new(Code::ConfigMalformed, format!("{RELATIVE} is not a path that starts with `/`")));
        }
        (None, Some(text)) => (FULL, Url::parse(text)),
        (None, None) => return Ok(Err(format!("neither {RELATIVE} nor {FULL} is set"))),
    };
    let url = url.map_err(|error| error.with_code(Code::ConfigMalformed).during(format!("reading {name}")))?;
    allowed_in_the_clear(name, &url)?;
    let mut request = Request::new(Method::Get, url).header("Accept", "application/json");
    if let Some(token) = container_token(world)? {
        caller.journal.guard(&token);
        request = request.header("Authorization", token.reveal());
    }
    let wanted = "get credentials from the container endpoint";
    let response = patiently(caller, wanted, &request)?;
    if response.is_success() {
        let found = answer::parse(&response.body, Form::Container);
        return found.map(Ok).map_err(|error| unfit(wanted, &request, &error));
    }
    let refusal = AwsFault::read(&response);
    let hint = "check the role of the task, or of the pod's service account; the agent beside it decides";
    Err(refusal.error(&format!("cannot {wanted}"), "the endpoint", &request).hint(hint))
}

// A credential in the clear may only come from this machine or from the platform's own addresses.
fn allowed_in_the_clear(name: &str, url: &Url) -> Result<(), Error> {
    const PLATFORM: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
    let host = url.host();
    if url.scheme() == Scheme::Https || place(host) == Place::Loopback || PLATFORM.contains(&host) {
        return Ok(());
    }
    let message = format!("{name} names `{host}` over plain HTTP, and a credential is not taken from there");
    Err(Error::new(Code::PlainHttpRefused, message)
        .hint("use https, a loopback address, or the addresses of ECS and EKS"))
}

fn container_token(world: &World) -> Result<Option<Secret>, Error> {
    const FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    const TEXT: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
    let (name, token) = match (world.env(FILE), world.env(TEXT)) {
        (Some(path), _) => (FILE, token_file(world, path, FILE)?),
        (None, Some(token)) => (TEXT, Secret::new(token)),
        (None, None) => return Ok(None),
    };
    if token.reveal().contains(char::is_control) {
        return Err(Error::new(
            Code::ConfigMalformed,
            format!("the token of {name} holds a line break or control character"),
        ));
    }
    Ok(Some(token))
}

/// A token from a file, which is read anew each time because its owner renews it.
///
/// # Errors
/// `config-malformed` naming file and variable where it is missing, empty, or no text.
pub fn token_file(world: &World, path: &str, name: &str) -> Result<Secret, Error> {
    let bad = |why: String| {
        Error::new(Code::ConfigMalformed, format!("the token file `{path}` of {name} cannot be used: {why}"))
            .hint("check that the token is mounted into the pod or task, and that this user may read it")
    };
    let bytes = world.read_file(Path::new(path), TOKEN_LIMIT).map_err(|error| bad(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| bad("it is not text".to_owned()))?;
    let token = text.trim();
    if token.is_empty() { Err(bad("it is empty".to_owned())) } else { Ok(Secret::new(token)) }
}

/// Where environment or profile say that the instance's metadata service is.
#[derive(Clone, Debug, Default)]
pub struct MetadataAddress {
    /// The address itself.
    pub endpoint: Option<String>,
    /// `IPv6` for its address of that family, where none is given.
    pub mode: Option<String>,
}

/// The instance's metadata service, version 2.
///
/// # Errors
/// When it has a role and no credential for it, and when it is busy; that it is not there is no error.
pub fn metadata(caller: &Caller, address: &MetadataAddress) -> Result<SourceOutcome, Error> {
    if caller.world.env("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(Err("turned off by AWS_EC2_METADATA_DISABLED".to_owned()));
    }
    let ipv6 = address.mode.as_ref().is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let default = if ipv6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" };
    let base = Url::parse(address.endpoint.as_deref().unwrap_or(default).trim_end_matches('/')).map_err(|error| {
        error.with_code(Code::ConfigMalformed).during("reading the address of the metadata service".to_owned())
    })?;
    let at = |tail: &str| {
        Url::new(base.origin().clone(), format!("{}/latest/{tail}", base.path().trim_end_matches('/')), None)
    };

    let ask = Request::new(Method::Put, at("api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        .body(Vec::new());
    let token = match quickly(caller, "get a token from the metadata service", &ask)? {
        Err(fault) => return Ok(Err(silence(&fault))),
        Ok(response) if !response.is_success() => return Ok(Err(no_token(response.status))),
        Ok(response) => match header_text(&response) {
            Some(token) => Secret::new(token),
            None => return Ok(Err("it answered with something that is no token".to_owned())),
        },
    };
    caller.journal.guard(&token);
    let get = |tail: &str| Request::new(Method::Get, at(tail)).header("x-aws-ec2-metadata-token", token.reveal());

    const ROLES: &str = "meta-data/iam/security-credentials/";
    let role = match quickly(caller, "ask the metadata service for the role", &get(ROLES))? {
        Err(fault) => return Ok(Err(silence(&fault))),
        Ok(response) if response.status == 404 => {
            return Ok(Err("the instance has no role".to_owned()));
        }
        Ok(response) if !response.is_success() => {
            return Ok(Err(format!("it answered {} when asked for the role", response.status)));
        }
        Ok(response) => match header_text(&response) {
            Some(role) if !role.contains(['/', '?', '#', ' ']) => role,
            _ => return Ok(Err("it answered with something that is no role name".to_owned())),
        },
    };
    let wanted = format!("get the credential of role `{role}` from the metadata service");
    let request = get(&format!("{ROLES}{role}"));
    let response = patiently(caller, &wanted, &request)?;
    if !response.is_success() {
        return Err(AwsFault::read(&response).error(&format!("cannot {wanted}"), "the metadata service", &request));
    }
    answer::parse(&response.body, Form::Metadata).map(Ok).map_err(|error| {
        unfit(&wanted, &request, &error)
            .hint("check the instance profile: its role may be gone, or not to be assumed by EC2")
    })
}

fn no_token(status: u16) -> String {
    match status {
        403 => "it answered 403: the service is turned off for this instance, or a firewall refuses".to_owned(),
        404 | 405 => format!("it answered {status} to version 2, and version 1 is not used"),
        _ => format!("it answered {status} when asked for a token"),
    }
}

fn silence(fault: &Fault) -> String {
    match fault {
        Fault::Timeout { what: Phase::Idle | Phase::Overall, .. } => {
            "it accepted the connection and did not answer; in a container, set the instance's metadata hop limit to 2"
                .to_owned()
        }
        _ => "no answer".to_owned(),
    }
}

// The first line of a plain text reply; `None` for markup and for what no header could carry.
fn header_text(response: &Response) -> Option<String> {
    let text = std::str::from_utf8(&response.body).ok()?;
    let line = text.trim().lines().next()?.trim();
    let fits = !line.is_empty()
        && line.len() <= 1024
        && !line.starts_with(['<', '{'])
        && line.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    fits.then(|| line.to_owned())
}

/// Two short tries where it says nothing, and a few more where it is busy; what is left then is an error, for a busy
/// service may well have a credential. A refused connection is final: it is a hop away or not there.
fn quickly(caller: &Caller, wanted: &str, request: &Request) -> Result<Result<Response, Fault>, Error> {
    let mut waits = METADATA_IDLE.into_iter();
    let mut idle = waits.next().unwrap_or_default();
    let outcome = several(caller, BUSY_TRIES, |number| {
        let outcome = once(caller, request, (Duration::from_millis(250), idle), number);
        let verdict = match &outcome {
            Ok(response) => retry::verdict(Repeat::Freely, Ok(response), caller.world.now()),
            Err(Fault::Connect { .. } | Fault::Resolve { .. }) => Verdict::Keep,
            Err(_) => waits.next().map_or(Verdict::Keep, |longer| {
                idle = longer;
                Verdict::AtOnce
            }),
        };
        (outcome, verdict)
    });
    match outcome {
        Ok(response) if retry::is_passing(response.status) => {
            let error = AwsFault::read(&response).error(&format!("cannot {wanted}"), "the metadata service", request);
            Err(error.hint("run it again; what this machine runs as is not known while the service is busy"))
        }
        outcome => Ok(outcome),
    }
}

/// A few tries of a few seconds each.
fn patiently(caller: &Caller, wanted: &str, request: &Request) -> Result<Response, Error> {
    let limits = (Duration::from_secs(1), Duration::from_secs(3));
    let outcome = several(caller, PATIENT_TRIES, |number| {
        let outcome = once(caller, request, limits, number);
        let verdict = match &outcome {
            Err(Fault::Timeout { .. }) => Verdict::Passing(None),
            outcome => retry::verdict(Repeat::Freely, outcome.as_ref(), caller.world.now()),
        };
        (outcome, verdict)
    });
    outcome.map_err(|fault| fault.error(wanted, request))
}

fn several<T>(caller: &Caller, tries: u32, attempt: impl FnMut(u32) -> (T, Verdict)) -> T {
    repeat(caller.world, Pace { retries: tries - 1, first: Duration::from_millis(100) }, caller.until, attempt)
}

/// One try, with a limit for the connection and one for the answer.
fn once(
    caller: &Caller,
    request: &Request,
    (connect, idle): (Duration, Duration),
    number: u32,
) -> Result<Response, Fault> {
    let until = Some(caller.world.instant() + connect + idle);
    let limits = Limits { connect, idle, until, body: LIMIT, ..Limits::default() }.over_at(caller.until);
    (caller.send)(request, &limits, number)
}

fn unfit(wanted: &str, request: &Request, error: &Error) -> Error {
    let place = format!("{} {}{}", request.method.as_str(), request.url.origin(), request.url.path());
    Error::new(error.code(), format!("cannot {wanted}: {}", error.message())).cause(place)
}

/// A `credential_process`, run by the shell as the AWS tools do; `left` is what the command has left of its time.
///
/// # Errors
/// `credential-missing` where it fails, `timeout` where it hangs, `reply-malformed` where it prints something else.
pub fn process(world: &World, profile: &str, line: &str, left: Option<Duration>) -> Result<AwsCredential, Error> {
    let limit = left.map_or(PROCESS_LIMIT, |left| left.min(PROCESS_LIMIT));
    let name = format!("the `credential_process` of the AWS profile `{profile}`");
    let hint = format!(
        "run the command of the profile by hand, as the same user: `aws configure get credential_process --profile {profile}` prints it"
    );
    let ran = world.run_line(line, limit, LIMIT).map_err(|error| {
        let (code, why) = match error.kind() {
            std::io::ErrorKind::TimedOut => {
                (Code::Timeout, format!("did not end within {} s", limit.as_secs_f64().ceil()))
            }
            _ => (Code::CredentialMissing, format!("could not be run: {error}")),
        };
        Error::new(code, format!("{name} {why}")).hint(&*hint)
    })?;
    if ran.status != Some(0) {
        let status = ran.status.map_or("was ended by a signal".to_owned(), |status| format!("ended with {status}"));
        // What it said is not repeated: nobody here knows which of its words are secret.
        return Err(Error::new(Code::CredentialMissing, format!("{name} {status}")).hint(hint));
    }
    answer::parse(&ran.stdout, Form::Process).map_err(|error| {
        Error::new(error.code(), format!("{name} printed no credential: {}", error.message())).hint(hint)
    })
}
