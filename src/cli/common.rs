//! The flags that every command takes, turned into [`Common`].

use crate::cli::given::{Given, shown};
use crate::cli::suggest;
use crate::command::request::{AwsIdentity, Common, CredentialSource, Resolve};
use crate::error::{Code, Error};
use crate::pure::aws::host::EcrHost;
use crate::pure::http::url::{Place, Scheme, Url, place, split_host_port};
use crate::pure::image::listing::Via;
use crate::pure::image::registry::Registry;
use std::net::IpAddr;
use std::time::Duration;

type R<T> = Result<T, Error>;

/// The longest time limit: a week.
const LONGEST_TIMEOUT: f64 = 604_800.0;
/// The most repetitions of one request.
const MOST_RETRIES: u64 = 100;

/// Reads every flag that is not a command's own.
///
/// # Errors
/// `request-invalid`, `missing-value` or `plain-http-refused`, naming the flag and its value.
pub fn common(given: &Given) -> R<Common> {
    let plain = Common::default();
    if given.has("verbose") && given.has("quiet") {
        let message = format!("{} and {} exclude each other", given.name("verbose"), given.name("quiet"));
        return Err(given.clash(message).hint("leave one of them out"));
    }
    let plain_http = given.all("plain-http").map(|text| host(given, text)).collect::<R<Vec<_>>>()?;
    let loopback = |text: &&String| split_host_port(text).is_some_and(|(host, _)| place(&host) == Place::Loopback);
    if let Some(host) = plain_http.iter().find(loopback).filter(|_| given.has("https")) {
        let (https, plain_http) = (given.switch("https"), given.with("plain-http", host));
        return Err(given.clash(format!("{https} and {plain_http} exclude each other")).hint("leave one of them out"));
    }
    let via = match given.one("via") {
        Some(text) => Some(match choice(given, "via", text)? {
            "hub-api" => Via::HubApi,
            "ecr-api" => Via::EcrApi,
            _ => Via::Registry,
        }),
        None => None,
    };
    let credentials_from = match given.one("credentials-from") {
        Some(text) => Some(match choice(given, "credentials-from", text)? {
            "env" => CredentialSource::Env,
            "aws" => CredentialSource::Aws,
            "docker-config" => CredentialSource::DockerConfig,
            _ => CredentialSource::Anonymous,
        }),
        None => None,
    };
    Ok(Common {
        timeout: given.one("timeout").map(|text| timeout(given, text)).transpose()?,
        retries: given.one("retries").map_or(Ok(plain.retries), |text| retries(given, text))?,
        ca_file: given.one("ca-file").map(str::to_owned),
        https: given.has("https"),
        resolve: given.all("resolve").map(|text| resolve(given, text)).collect::<R<Vec<_>>>()?,
        hub_api: given.one("hub-api").map(|text| hub_api(given, text, &plain_http)).transpose()?,
        plain_http,
        via,
        credentials_from,
        aws: aws_identity(given, ["aws-role", "aws-external-id", "aws-profile"], credentials_from)?,
        into_aws: into_aws_identity(given, credentials_from)?,
        ecr: given.all("ecr").map(|text| ecr(given, text)).collect::<R<Vec<_>>>()?,
        verbose: given.has("verbose"),
        quiet: given.has("quiet"),
        print: given.one("print").map(str::to_owned),
    })
}

/// The choice that was made, one of those that the table lists.
///
/// # Errors
/// `request-invalid` with all choices, and the nearest where one is near.
pub fn choice(given: &Given, long: &str, text: &str) -> R<&'static str> {
    let choices = given.command.flag(long).map_or(&[][..], |flag| flag.choices);
    if let Some(known) = choices.iter().find(|known| **known == text) {
        return Ok(known);
    }
    let all = choices.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>();
    let (last, others) = all.split_last().map(|(last, others)| (last.clone(), others.join(", "))).unwrap_or_default();
    let all = if others.is_empty() { last } else { format!("{others} or {last}") };
    Err(given.wrong(long, text).hint(match suggest::nearest(text, choices.iter().copied()) {
        Some(near) => format!("write {}; it is {all}", given.with(long, near)),
        None => format!("it is {all}"),
    }))
}

/// A whole number, digits only.
///
/// # Errors
/// `request-invalid`, with the digits alone where the text holds only one number.
pub fn number(given: &Given, long: &str, text: &str) -> R<u64> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        if let Ok(number) = text.parse() {
            return Ok(number);
        }
        return Err(given.wrong(long, text).hint(format!("the largest number is {}", u64::MAX)));
    }
    let runs: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).collect();
    // A sign or a fraction is not something to be dropped in silence.
    let guess = runs.first().filter(|_| runs.len() == 1 && !text.starts_with('-'));
    Err(given.wrong(long, text).hint(match guess {
        Some(run) => format!("write {}", given.with(long, run)),
        None => "write a whole number in digits".to_owned(),
    }))
}

/// The identity of the `--into` side, for the commands that have one.
fn into_aws_identity(given: &Given, from: Option<CredentialSource>) -> R<AwsIdentity> {
    if given.command.flag("into").is_none() {
        return Ok(AwsIdentity::default());
    }
    aws_identity(given, ["into-aws-role", "into-aws-external-id", "into-aws-profile"], from)
}

fn aws_identity(given: &Given, flags: [&'static str; 3], from: Option<CredentialSource>) -> R<AwsIdentity> {
    let [role_flag, id_flag, profile_flag] = flags;
    let text = |long| given.one(long).map(str::to_owned);
    let wanted = AwsIdentity { profile: text(profile_flag), role: text(role_flag), external_id: text(id_flag) };
    if let Some(id) = wanted.external_id.as_deref().filter(|_| wanted.role.is_none()) {
        let message = format!("{} is for a role, and none is named", given.with(id_flag, id));
        return Err(given.clash(message).hint(format!("name the role with {}", given.example(role_flag))));
    }
    if let Some(role) = wanted.role.as_deref().filter(|role| !(role.starts_with("arn:") && role.contains(":role/"))) {
        let example = given.with(role_flag, "arn:aws:iam::123456789012:role/reader");
        return Err(given.wrong(role_flag, role).hint(format!("write the role's ARN, such as {example}")));
    }
    let named = if wanted.role.is_some() { role_flag } else { profile_flag };
    if given.has(named) && from.is_some_and(|from| from != CredentialSource::Aws) {
        let message = format!("{} and {} exclude each other", given.name(named), given.name("credentials-from"));
        return Err(given.clash(message).hint("leave one of them out"));
    }
    Ok(wanted)
}

/// One `HOST=ECRHOST`.
fn ecr(given: &Given, text: &str) -> R<(String, EcrHost)> {
    let parsed = || {
        let (name, target) = text.split_once('=')?;
        let name = Registry::parse(name).ok()?.authority();
        Some((name, EcrHost::parse(target).filter(|host| matches!(host, EcrHost::Private(_)))?))
    };
    parsed().ok_or_else(|| {
        let example = given.with("ecr", "images.internal=123456789012.dkr.ecr.eu-west-1.amazonaws.com");
        given.wrong("ecr", text).hint(format!("write the host and what it stands for, such as {example}"))
    })
}

fn timeout(given: &Given, text: &str) -> R<Duration> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = text.parse::<f64>().ok().filter(|seconds| digits && *seconds <= LONGEST_TIMEOUT);
    match seconds.map(Duration::from_secs_f64).filter(|limit| !limit.is_zero()) {
        Some(limit) => Ok(limit),
        None => {
            let hint =
                format!("write seconds above 0 and at most {LONGEST_TIMEOUT}, such as {}", given.with("timeout", "60"));
            Err(given.wrong("timeout", text).hint(hint))
        }
    }
}

fn retries(given: &Given, text: &str) -> R<u32> {
    let retries = number(given, "retries", text)?;
    match u32::try_from(retries) {
        Ok(few) if retries <= MOST_RETRIES => Ok(few),
        _ => Err(given.wrong("retries", text).hint(format!("write a number from 0 to {MOST_RETRIES}"))),
    }
}

/// A host, or host and port, as it stands in an address: lower case, IPv6 in brackets.
fn host(given: &Given, text: &str) -> R<String> {
    if let Ok(address @ IpAddr::V6(_)) = text.parse::<IpAddr>() {
        return Ok(format!("[{address}]"));
    }
    if let Some((host, port)) = split_host_port(text) {
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        return Ok(port.map_or(host.clone(), |port| format!("{host}:{port}")));
    }
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).split('/').next().unwrap_or_default();
    Err(given.wrong("plain-http", text).hint(match split_host_port(bare) {
        Some(_) => format!("write {}", given.with("plain-http", bare)),
        None => format!(
            "write a host, or a host and its port, such as {}",
            given.with("plain-http", "registry.internal:5000")
        ),
    }))
}

fn resolve(given: &Given, text: &str) -> R<Resolve> {
    let parsed = || {
        // The host may be an IPv6 address in brackets; what follows the second colon is the address.
        let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':')? };
        let (host, rest) = (&text[..end], text[end..].strip_prefix(':')?);
        let (port, address) = rest.split_once(':')?;
        let (host, port) = split_host_port(&format!("{host}:{port}"))?;
        let address = match address.strip_prefix('[') {
            Some(inner) => IpAddr::V6(inner.strip_suffix(']')?.parse().ok()?),
            None => address.parse().ok()?,
        };
        Some(Resolve { host, port: port?, address })
    };
    parsed().ok_or_else(|| {
        let example = given.with("resolve", "registry.internal:443:10.0.0.7");
        given.wrong("resolve", text).hint(format!("write host, port and IP address, such as {example}"))
    })
}

fn hub_api(given: &Given, text: &str, plain_http: &[String]) -> R<Url> {
    // An address may carry a password, so only one that was understood is repeated.
    let url = Url::parse(text).map_err(|why| {
        let message = format!("{} is {}", given.name("hub-api"), why.message());
        let hint = format!("write an address such as {}", given.with("hub-api", "https://hub.docker.com"));
        Error::new(Code::RequestInvalid, message).hint(hint)
    })?;
    if url.query().is_some() {
        let message = format!("{} cannot hold a query", given.name("hub-api"));
        return Err(given.clash(message).hint("leave out `?` and what follows it"));
    }
    let authority = url.authority();
    let bare = if url.host().contains(':') { format!("[{}]", url.host()) } else { url.host().to_owned() };
    let with_port = format!("{bare}:{}", url.port());
    let allowed = place(url.host()) == Place::Loopback
        || plain_http.iter().any(|host| [&authority, &bare, &with_port].contains(&host));
    if url.scheme() == Scheme::Http && !allowed {
        let message = format!("{} names {}, which is plain HTTP", given.name("hub-api"), shown(text));
        let hint = format!("write `https://`, or allow it with {}", given.with("plain-http", &authority));
        return Err(Error::new(Code::PlainHttpRefused, message).hint(hint));
    }
    Ok(url)
}
