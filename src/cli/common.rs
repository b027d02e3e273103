//! The flags that every command takes, turned into [`Common`], and the kinds of values that several flags have.

use crate::cli::defs::PASSWORD_STDIN;
use crate::cli::given::KEEP_ONE;
use crate::cli::{Arguments, RELEASE, invalid, missing, shown};
use crate::command::request::Common;
use crate::error::{Code, Error};
use crate::pure::auth::CredentialSource;
use crate::pure::aws::{AwsIdentity, EcrHost};
use crate::pure::http::url::Scheme;
use crate::pure::http::{ExchangeSettings, Place, Resolve, Url, bracketed, place, split_host_port};
use crate::pure::image::Registry;
use crate::pure::image::listing::Via;
use crate::pure::text::nearest;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest time limit: a week.
const LONGEST_TIMEOUT: u64 = 604_800;
/// How often a request is repeated where nothing else is said.
const USUAL_RETRIES: u32 = 3;

/// Reads every flag that is not a command's own.
///
/// # Errors
/// `request-invalid`, `missing-value` or `plain-http-refused`, naming the flag and its value.
pub fn common(given: &Arguments) -> Result<Common, Error> {
    for (one, other) in [
        ("verbose", "quiet"),
        ("json", "text"),
        ("json", "print"),
        ("text", "print"),
        ("username", "aws-role"),
        ("username", "aws-profile"),
    ] {
        exclusive(given, one, other)?;
    }
    let plain_http = given.all("plain-http").map(|text| host(given, text)).collect::<Result<Vec<_>, _>>()?;
    let loopback = |text: &&String| split_host_port(text).is_some_and(|(host, _)| place(&host) == Place::Loopback);
    if let Some(host) = plain_http.iter().find(loopback).filter(|_| given.has("https")) {
        return Err(exclude_each_other(&given.example("https"), &given.with("plain-http", host)));
    }
    let places =
        [CredentialSource::Env, CredentialSource::Aws, CredentialSource::DockerConfig, CredentialSource::Anonymous];
    let credentials_from = choice(given, "credentials-from", &places)?;
    if credentials_from.is_some_and(|from| from != CredentialSource::Env) {
        exclusive(given, "username", "credentials-from")?;
    }
    // What fails once is what a doctor tells.
    let usual_retries = if given.command.name == "doctor" { 0 } else { USUAL_RETRIES };
    let retries = number(given, "retries", 0..=100, "write a number from 0 to 100")?;
    // Only some commands have a second side.
    let into = given.command.flag("into").map(|_| aws_identity(given, "into-", credentials_from)).transpose()?;
    let hub_api = given.one("hub-api").map(|text| hub_api(given, text, &plain_http)).transpose()?;
    let exchange = ExchangeSettings {
        timeout: seconds(given, "timeout")?,
        wait: given.command.flag("wait").map(|_| seconds(given, "wait")).transpose()?.flatten(),
        min_remaining: number(given, "min-remaining", 0..=u64::MAX, "")?,
        retries: retries.and_then(|retries| u32::try_from(retries).ok()).unwrap_or(usual_retries),
        verbose: given.has("verbose"),
        quiet: given.has("quiet"),
        https: given.has("https"),
        plain_http,
    };
    let names = given.all("ecr").map(|text| ecr(given, text)).collect::<Result<Vec<_>, _>>()?;
    Ok(Common {
        exchange,
        ca_file: given.one("ca-file").map(str::to_owned),
        resolve: given.all("resolve").map(|text| resolve(given, text)).collect::<Result<_, _>>()?,
        hub_api,
        via: choice(given, "via", &[Via::HubApi, Via::Registry, Via::EcrApi])?,
        credentials_from,
        username: username(given)?,
        aws: aws_identity(given, "", credentials_from)?,
        into_aws: into.unwrap_or_default(),
        aws_roles: aws_roles(given, credentials_from, &names)?,
        ecr: names,
        print: given.all("print").map(str::to_owned).collect(),
    })
}

/// Whose password comes from standard input, which nothing else is read from then.
fn username(given: &Arguments) -> Result<Option<String>, Error> {
    for (one, other) in [("username", PASSWORD_STDIN), (PASSWORD_STDIN, "username")] {
        if given.has(one) && !given.has(other) {
            let message = format!("{} needs {}", given.name(one), given.name(other));
            return Err(missing(message, format!("add {}", given.example(other))));
        }
    }
    let Some(name) = given.one("username") else { return Ok(None) };
    if name.contains(':') {
        return Err(given.wrong("username", name, "leave out the colon and what follows it: no user name holds one"));
    }
    let reads_stdin = given.command.flag("record").filter(|_| given.one("record") == Some("-"));
    if let Some(record) = reads_stdin {
        return Err(exclude_each_other(&given.name(PASSWORD_STDIN), &given.with(record.long, "-")));
    }
    if given.command.name == RELEASE && given.object.as_deref() == Some("-") {
        return Err(exclude_each_other(&given.name(PASSWORD_STDIN), "`-` in the place of a file"));
    }
    Ok(Some(name.to_owned()))
}

/// Refuses two flags that do not go together.
///
/// # Errors
/// `request-invalid` where both are given.
pub fn exclusive(given: &Arguments, one: &str, other: &str) -> Result<(), Error> {
    let both = given.has(one) && given.has(other);
    if both { Err(exclude_each_other(&given.name(one), &given.name(other))) } else { Ok(()) }
}

fn exclude_each_other(one: &str, other: &str) -> Error {
    invalid(format!("{one} and {other} exclude each other"), "leave one of them out")
}

/// The choice that was made, where one was; the values are in the order of the words in the table.
///
/// # Errors
/// As [`chosen`].
pub fn choice<T: Copy>(given: &Arguments, long: &str, values: &[T]) -> Result<Option<T>, Error> {
    given.one(long).map(|text| chosen(given, long, text, values)).transpose()
}

/// The value that a word stands for.
///
/// # Errors
/// `request-invalid` with all choices, and the nearest where one is near.
pub fn chosen<T: Copy>(given: &Arguments, long: &str, text: &str, values: &[T]) -> Result<T, Error> {
    let words = given.command.flag(long).map_or(&[][..], |flag| flag.choices);
    debug_assert_eq!(words.len(), values.len(), "`--{long}` has as many words as values");
    if let Some((_, value)) = words.iter().zip(values).find(|(word, _)| **word == text) {
        return Ok(*value);
    }
    let all = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
    let all = all.split_last().map(|(last, others)| match others {
        [] => last.clone(),
        others => format!("{} or {last}", others.join(", ")),
    });
    let all = format!("it is {}", all.unwrap_or_default());
    Err(given.wrong(
        long,
        text,
        match nearest(text, words.iter().copied()) {
            Some(near) => format!("write {}; {all}", given.with(long, near)),
            None => all,
        },
    ))
}

/// A whole number within bounds, digits only.
///
/// # Errors
/// `request-invalid`, with the digits alone where the text holds only one number.
pub fn number(given: &Arguments, long: &str, bounds: RangeInclusive<u64>, hint: &str) -> Result<Option<u64>, Error> {
    let Some(text) = given.one(long) else { return Ok(None) };
    let runs: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).collect();
    Err(given.wrong(
        long,
        text,
        match (text.parse(), runs.as_slice()) {
            (Ok(number), [run]) if *run == text && bounds.contains(&number) => return Ok(Some(number)),
            (Ok(_), [run]) if *run == text => hint.to_owned(),
            (Err(_), [run]) if *run == text => format!("the largest number is {}", u64::MAX),
            // A sign or a fraction is not something to be dropped in silence.
            (_, [run]) if !text.starts_with('-') => format!("write {}", given.with(long, run)),
            _ => "write a whole number in digits".to_owned(),
        },
    ))
}

/// The identity of one side, whose flags begin with its prefix.
fn aws_identity(given: &Arguments, side: &str, from: Option<CredentialSource>) -> Result<AwsIdentity, Error> {
    let [role_flag, id_flag, profile_flag] = ["role", "external-id", "profile"].map(|part| format!("{side}aws-{part}"));
    let text = |long| given.one(long).map(str::to_owned);
    let wanted = AwsIdentity { profile: text(&profile_flag), role: text(&role_flag), external_id: text(&id_flag) };
    if let Some(id) = wanted.external_id.as_deref().filter(|_| wanted.role.is_none()) {
        let message = format!("{} is for a role, and none is named", given.with(&id_flag, id));
        return Err(invalid(message, format!("name the role with {}", given.example(&role_flag))));
    }
    if let Some(role) = wanted.role.as_deref().filter(|role| !is_role(role)) {
        let example = given.with(&role_flag, "arn:aws:iam::123456789012:role/reader");
        return Err(given.wrong(&role_flag, role, format!("write the role's ARN, such as {example}")));
    }
    let named = if wanted.role.is_some() { role_flag } else { profile_flag };
    if from.is_some_and(|from| from != CredentialSource::Aws) {
        exclusive(given, &named, "credentials-from")?;
    }
    Ok(wanted)
}

fn is_role(text: &str) -> bool {
    text.starts_with("arn:") && text.contains(":role/")
}

/// Every `HOST=ARN`; only Amazon's registries take a role.
fn aws_roles(
    given: &Arguments,
    from: Option<CredentialSource>,
    names: &[(String, EcrHost)],
) -> Result<Vec<(Registry, String)>, Error> {
    let long = "aws-role-for";
    if from.is_some_and(|from| from != CredentialSource::Aws) {
        exclusive(given, long, "credentials-from")?;
    }
    let mut roles: Vec<(Registry, String)> = Vec::new();
    for text in given.all(long) {
        let is_amazon = |registry: &Registry| {
            EcrHost::parse(registry.host()).is_some() || names.iter().any(|(name, _)| *name == registry.authority())
        };
        let parsed = || {
            let (host, role) = text.split_once('=')?;
            Some((Registry::parse(host).ok().filter(is_amazon)?, role.to_owned())).filter(|(_, role)| is_role(role))
        };
        let (host, role) = parsed().ok_or_else(|| {
            let example = "123456789012.dkr.ecr.eu-west-1.amazonaws.com=arn:aws:iam::123456789012:role/release";
            let example = given.with(long, example);
            given.wrong(long, text, format!("write a registry of Amazon ECR and the role for it, such as {example}"))
        })?;
        if let Some((_, first)) = roles.iter().find(|(known, _)| *known == host) {
            let message =
                format!("{} names two roles for `{host}`: {} and {}", given.name(long), shown(first), shown(&role));
            return Err(invalid(message, KEEP_ONE));
        }
        roles.push((host, role));
    }
    Ok(roles)
}

/// One `HOST=ECRHOST`.
fn ecr(given: &Arguments, text: &str) -> Result<(String, EcrHost), Error> {
    let parsed = || {
        let (name, target) = text.split_once('=')?;
        let name = Registry::parse(name).ok()?.authority();
        Some((name, EcrHost::parse(target).filter(|host| matches!(host, EcrHost::Private(_)))?))
    };
    parsed().ok_or_else(|| {
        let example = given.with("ecr", "images.internal=123456789012.dkr.ecr.eu-west-1.amazonaws.com");
        given.wrong("ecr", text, format!("write the host and what it stands for, such as {example}"))
    })
}

/// A time in seconds, where one is given.
fn seconds(given: &Arguments, long: &str) -> Result<Option<Duration>, Error> {
    let Some(text) = given.one(long) else { return Ok(None) };
    // Read without floating point, whose tables are larger than all that is done with them.
    let parsed = || {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let (whole, nanos) = (format!("0{whole}"), format!("{part:0<9}"));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        Some(Duration::new(whole.parse().ok()?, nanos.get(..9).filter(|_| digits(&nanos))?.parse().ok()?))
    };
    let fits = |limit: &Duration| !limit.is_zero() && *limit <= Duration::from_secs(LONGEST_TIMEOUT);
    parsed().filter(fits).map(Some).ok_or_else(|| {
        let example = given.with(long, "60");
        let hint = format!("write seconds above 0 and at most {LONGEST_TIMEOUT}, such as {example}");
        given.wrong(long, text, hint)
    })
}

/// The key that signs records, which makes sense only where one is kept in a registry.
///
/// # Errors
/// `request-invalid`.
pub fn sign_record(given: &Arguments, is_kept: bool) -> Result<Option<String>, Error> {
    let key = given.one("sign-record").map(str::to_owned);
    if key.is_some() && !is_kept {
        let message = format!("{} signs a record in the registry, and none is kept", given.name("sign-record"));
        return Err(invalid(message, format!("add {}", given.example("attach-record"))));
    }
    Ok(key)
}

/// A host, or host and port, as it stands in an address: lower case, IPv6 in brackets.
fn host(given: &Arguments, text: &str) -> Result<String, Error> {
    if let Ok(address @ IpAddr::V6(_)) = text.parse::<IpAddr>() {
        return Ok(format!("[{address}]"));
    }
    if let Some((host, port)) = split_host_port(text) {
        let host = bracketed(&host);
        return Ok(port.map_or(host.clone(), |port| format!("{host}:{port}")));
    }
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let example = given.with("plain-http", "registry.internal:5000");
    Err(given.wrong(
        "plain-http",
        text,
        match split_host_port(bare) {
            Some(_) => format!("write {}", given.with("plain-http", bare)),
            None => format!("write a host, or a host and its port, such as {example}"),
        },
    ))
}

fn resolve(given: &Arguments, text: &str) -> Result<Resolve, Error> {
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
        given.wrong("resolve", text, format!("write host, port and IP address, such as {example}"))
    })
}

fn hub_api(given: &Arguments, text: &str, plain_http: &[String]) -> Result<Url, Error> {
    let flag = given.name("hub-api");
    // An address may carry a password, so only one that was understood is repeated.
    let url = Url::parse(text).map_err(|why| {
        let example = given.with("hub-api", "https://hub.docker.com");
        invalid(format!("{flag} is {}", why.message()), format!("write an address such as {example}"))
    })?;
    if url.query().is_some() {
        return Err(invalid(format!("{flag} cannot hold a query"), "leave out `?` and what follows it"));
    }
    let authority = url.authority();
    let bare = bracketed(url.host());
    let with_port = format!("{bare}:{}", url.port());
    let allowed = place(url.host()) == Place::Loopback
        || plain_http.iter().any(|host| [&authority, &bare, &with_port].contains(&host));
    if url.scheme() == Scheme::Http && !allowed {
        let message = format!("{flag} names {}, which is plain HTTP", shown(text));
        let hint = format!("write `https://`, or allow it with {}", given.with("plain-http", &authority));
        return Err(Error::new(Code::PlainHttpRefused, message).hint(hint));
    }
    Ok(url)
}
