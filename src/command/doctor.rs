//! `doctor`: what would keep a promotion from working here, and the way out. One check after the other along the way that
//! every request takes; what needs a check that has failed is skipped.

use crate::command::report::Report;
use crate::command::request::Auth;
use crate::command::session::Session;
use crate::error::{Code, Error};
use crate::http::Way;
use crate::pure::auth::Token;
use crate::pure::auth::scope::Action;
use crate::pure::http::url::Scheme;
use crate::pure::image::{Repository, Tag};
use crate::pure::text::{instant, show};
use crate::registry::entrance;
use crate::registry::login::grant::{GrantReport, grant};
use serde::Serialize;
use std::time::Duration;

/// How many days before its end a certificate is told of.
const NEAR: i64 = 14;
/// How many seconds a clock may be wrong without a word. AWS refuses a request after five minutes.
const WRONG: i64 = 60;
/// What has to be left of a limit for a promotion or two.
const FEW: u64 = 10;
/// How long a connection may take without a word.
const SLOW: Duration = Duration::from_millis(500);
/// The most characters of one text.
const LONGEST: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum CheckState {
    Ok,
    Warn,
    Fail,
    Skipped,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    state: CheckState,
    message: String,
    hint: Option<String>,
}

#[derive(Serialize)]
struct DoctorResult {
    checks: Vec<Check>,
}

/// The checks so far.
struct Checkup<'s, 'w> {
    session: &'s Session<'w>,
    checks: Vec<Check>,
    /// The first that failed, with the exit status of its failure.
    failed: Option<(&'static str, u8)>,
}

impl Checkup<'_, '_> {
    fn add(&mut self, name: &'static str, state: CheckState, message: &str, hint: Option<&str>) {
        let journal = &self.session.exchange.journal;
        let shown = |text: &str| show::cut(&journal.without_secrets(text), LONGEST);
        self.checks.push(Check { name, state, message: shown(message), hint: hint.map(shown) });
    }

    fn ok(&mut self, name: &'static str, message: &str) {
        self.add(name, CheckState::Ok, message, None);
    }

    fn caution(&mut self, name: &'static str, message: &str, hint: &str) {
        self.add(name, CheckState::Warn, message, Some(hint));
    }

    fn skip(&mut self, name: &'static str, why: &str) {
        self.add(name, CheckState::Skipped, why, None);
    }

    fn fail(&mut self, name: &'static str, error: &Error) {
        let message = [&[error.message().to_owned()], error.causes()].concat().join("; ");
        self.failed.get_or_insert((name, error.code().exit()));
        self.add(name, CheckState::Fail, &message, error.hint_text());
    }

    /// What came of a look, where it came to something; its failure is that of the check.
    fn passed<T>(&mut self, name: &'static str, outcome: Result<T, Error>) -> Option<T> {
        outcome.map_err(|error| self.fail(name, &error)).ok()
    }

    fn skip_rest(&mut self, names: &[&'static str]) {
        let why = self.failed.map_or(String::new(), |(name, _)| format!("`{name}` has to be right first"));
        let left: Vec<_> = names.iter().filter(|name| !self.checks.iter().any(|check| check.name == **name)).collect();
        left.into_iter().for_each(|name| self.skip(name, &why));
    }
}

/// Every check that is always made, in its order.
const ALL: [&str; 12] = [
    "proxy",
    "name",
    "connection",
    "tls",
    "registry",
    "clock",
    "credential",
    "pull",
    "push",
    "tags",
    "referrers",
    "limits",
];

/// Looks at one thing after the other.
///
/// # Errors
/// None: what fails is told.
pub fn run(session: &Session, request: &Auth) -> Result<Report, Error> {
    let mut checkup = Checkup { session, checks: Vec::new(), failed: None };
    match session.check() {
        // Nothing is asked of a host that the credential is not for.
        Err(error) => checkup.fail("credential", &error),
        Ok(()) => look(&mut checkup, request).unwrap_or_default(),
    }
    checkup.skip_rest(&ALL);
    let Checkup { mut checks, failed, .. } = checkup;
    checks.sort_by_key(|check| ALL.iter().position(|name| *name == check.name).unwrap_or(ALL.len()));
    let registry = &request.registry;
    let warned = checks.iter().filter(|check| check.state == CheckState::Warn).count();
    let sentence = match (failed, warned) {
        (Some((name, _)), _) => format!("`{registry}`: `{name}` keeps a promotion from working"),
        (None, 0) => format!("`{registry}`: nothing was found that would keep a promotion from working"),
        (None, warned) => {
            format!("`{registry}`: nothing was found that keeps a promotion from working; warnings: {warned}")
        }
    };
    let report = Report::new(&DoctorResult { checks }, sentence)?;
    Ok(Report { exit: failed.map_or(0, |(_, exit)| exit), ..report })
}

/// `None` as soon as something has failed that all else needs.
fn look(checkup: &mut Checkup, request: &Auth) -> Option<()> {
    let (client, registry) = (checkup.session.client(), &request.registry);
    way(checkup, client.exchange.probe(&client.url(registry, "")), request)?;
    let found = checkup.passed("registry", entrance::look(client, registry))?;
    match found.ways.as_slice() {
        [] => checkup.ok("registry", "it lets everybody in"),
        ways => checkup.ok("registry", &format!("it asks who is there: {}", ways.join(", "))),
    }
    match found.ahead.map(|ahead| ahead.whole_seconds()) {
        None => checkup.skip("clock", "the registry does not tell the time"),
        Some(ahead) if ahead.abs() <= WRONG => {
            checkup.ok("clock", &format!("{} s from that of the registry", ahead.abs()))
        }
        Some(ahead) => {
            let side = if ahead > 0 { "behind" } else { "ahead of" };
            let message = format!("{} s {side} that of the registry", ahead.abs());
            checkup.caution("clock", &message, "set the clock of this machine, as with `timedatectl set-ntp true`");
        }
    }
    let rights = if request.actions.contains(&Action::Push) { Action::Push } else { Action::Pull };
    let granted = grant(client, registry, request.repository.as_ref(), rights);
    let granted = checkup.passed("credential", granted)?;
    credential(checkup, &granted);
    let Some(repository) = &request.repository else {
        let why = "name a repository to have this looked at";
        ["pull", "push", "tags", "referrers", "limits"].into_iter().for_each(|name| checkup.skip(name, why));
        return Some(());
    };
    let names = checkup.session.remote(repository, Action::Pull).some_tags();
    pull(checkup, repository, &granted, &names);
    push(checkup, repository, &granted, rights);
    let names = checkup.passed("tags", names)?;
    content(checkup, repository, &names);
    limits(checkup);
    if granted.challenge == "aws" {
        immutability(checkup, repository);
    }
    Some(())
}

fn way(checkup: &mut Checkup, (way, error): (Way, Option<Error>), request: &Auth) -> Option<()> {
    let url = checkup.session.client().url(&request.registry, "");
    if let Some(proxy) = &way.proxy {
        let told = proxy.as_ref().map(|(proxy, variable)| format!("`{proxy}`, named by `{variable}`"));
        checkup.ok("proxy", told.as_deref().unwrap_or("none for this host"));
    }
    let has_proxy = way.proxy.flatten().is_some();
    if !way.addresses.is_empty() {
        let of = if has_proxy { "the proxy is " } else { "" };
        let list: Vec<String> = way.addresses.iter().map(|address| address.ip().to_string()).collect();
        checkup.ok("name", &format!("{of}{}", list.join(", ")));
    }
    if let Some(took) = way.connected {
        let slow = if took >= SLOW { format!(", after {} ms", took.as_millis()) } else { String::new() };
        let by = if has_proxy { " by way of the proxy" } else { "" };
        checkup.ok("connection", &format!("port {}{by}{slow}", url.port()));
    }
    match (&way.tls, url.scheme()) {
        (_, Scheme::Http) if way.connected.is_none() => {}
        (_, Scheme::Http) if request.registry.is_loopback() => checkup.skip("tls", "plain HTTP on this machine"),
        (_, Scheme::Http) => {
            let message = "plain HTTP: everything can be read on the way";
            checkup.caution("tls", message, "put TLS before the registry, and leave `--plain-http` out");
        }
        (None, Scheme::Https) => {}
        (Some(facts), Scheme::Https) => {
            let shown = facts.certificate.as_ref();
            let signer = shown.and_then(|one| one.issuer.as_ref()).map(|one| format!(", signed by `{one}`"));
            let now = checkup.session.exchange.world.now();
            let days = shown.and_then(|one| one.ends).map(|end| (end - now).whole_days());
            let left = days.map(|days| format!(", valid for {days} days")).unwrap_or_default();
            let message = format!("TLS {}{}{left}", facts.version, signer.unwrap_or_default());
            match days {
                Some(..=NEAR) => checkup.caution("tls", &message, "have the certificate of the registry renewed"),
                _ => checkup.ok("tls", &message),
            }
        }
    }
    let Some(error) = error else { return Some(()) };
    let name = ["proxy", "name", "connection", "tls"][checkup.checks.len().min(3)];
    checkup.fail(name, &error);
    None
}

fn credential(checkup: &mut Checkup, granted: &GrantReport) {
    let end = granted.expires_at.map(|end| format!(", until {}", instant::rfc3339(end))).unwrap_or_default();
    match (&granted.source, &granted.identity) {
        (None, _) => checkup.ok("credential", "none is asked for"),
        (Some(source), _) if source == "anonymous" => {
            checkup.ok("credential", &format!("none was found, and the registry answers all the same{end}"));
        }
        (Some(source), Some(identity)) => checkup.ok("credential", &format!("`{identity}` from `{source}`{end}")),
        (Some(source), None) => checkup.ok("credential", &format!("from `{source}`{end}")),
    }
}

/// The token tells, where it can be read; else the list of tags, which has to be read.
fn pull(checkup: &mut Checkup, repository: &Repository, granted: &GrantReport, names: &Result<Vec<String>, Error>) {
    let told = granted.token.as_ref().and_then(Token::granted);
    match (told, names) {
        (_, Ok(_)) => checkup.ok("pull", &format!("`{repository}` was read")),
        (Some(told), Err(_)) if !told.is_empty() => checkup.ok("pull", &format!("granted: {}", told.join(" "))),
        (_, Err(_)) => checkup.skip("pull", "only reading tells, and the list of tags could not be read"),
    }
}

/// Nothing is written to find out.
fn push(checkup: &mut Checkup, repository: &Repository, granted: &GrantReport, rights: Action) {
    let told = granted.token.as_ref().and_then(Token::granted);
    match told.map(|told| granted.scopes.missing(&told)) {
        _ if rights != Action::Push => checkup.skip("push", "not asked about: add `--action push`"),
        None => checkup.skip("push", "only a push tells here, and nothing is written to find out"),
        Some(missing) if missing.is_empty() => checkup.ok("push", "the token allows it"),
        Some(missing) => {
            let whose = granted.identity.as_deref().unwrap_or("the holder of the token");
            let error = Error::new(Code::Denied, format!("the token was lent without `{missing}`"))
                .hint(format!("give `{whose}` the right to push to `{repository}`, or use another credential"));
            checkup.fail("push", &error);
        }
    }
}

fn content(checkup: &mut Checkup, repository: &Repository, names: &[String]) {
    let remote = checkup.session.remote(repository, Action::Pull);
    let latest = names.iter().find(|name| *name == "latest").or(names.last());
    let Some(tag) = latest.and_then(|name| Tag::parse(name).ok()) else {
        checkup.caution("tags", "there are none", "check the spelling; before the first push that is as it should be");
        return checkup.skip("referrers", "there is no tag to ask about");
    };
    checkup.ok("tags", &format!("{} on the first page, `{tag}` among them", names.len()));
    let head = remote.head(&tag);
    let Some(head) = checkup.passed("referrers", head) else { return };
    match head.map(|digest| remote.direct_referrers(&digest, None)) {
        None => checkup.skip("referrers", &format!("`{tag}` is in the list, and not there")),
        Some(None) => checkup.skip("referrers", "to ask for them takes a right of its own"),
        Some(Some(None)) => {
            checkup.ok("referrers", "no API for them: signatures are found by tags that are derived from digests");
        }
        Some(Some(Some(list))) => checkup.ok("referrers", &format!("the API lists {} of `{tag}`", list.len())),
    }
}

/// What the answers so far have told.
fn limits(checkup: &mut Checkup) {
    let Some(budget) = checkup.session.exchange.journal.budget() else {
        return checkup.skip("limits", "the registry tells of none");
    };
    let words = budget.words();
    match budget.remaining {
        Some(..FEW) => {
            checkup.caution("limits", words.trim_start_matches(", "), "wait, or log in to be counted by account")
        }
        _ => checkup.ok("limits", words.trim_start_matches(", ")),
    }
}

fn immutability(checkup: &mut Checkup, repository: &Repository) {
    let Ok(latest) = Tag::parse("latest") else { return };
    match checkup.session.remote(repository, Action::Pull).immutable(&[&latest]) {
        Ok(None) => checkup.ok("immutability", "`latest` may be moved"),
        Ok(Some(_)) => checkup.caution(
            "immutability",
            "`latest` cannot be moved: the tags of the repository are immutable",
            "exclude it from immutability in the settings of the repository, or move another tag",
        ),
        Err(error) => checkup.skip("immutability", &format!("it could not be asked: {}", error.message())),
    }
}
