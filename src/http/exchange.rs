//! Sends a request and brings the answer back: repeated where that is safe, redirected where that is
//! allowed, written down for `--verbose` and for errors.
//!
//! Whether to repeat is decided in `pure::http::retry`, where a redirect may lead in
//! `pure::http::redirect`. Authentication at registries is one layer up, in [`crate::registry::login::client`].

use crate::http::{Body, Http, Incoming, Limits};
use crate::world::World;
use crate::error::{Code, Error};
use crate::pure::http::fault::{Fault, Phase};
use crate::pure::http::message::{Headers, Request, Response};
use crate::pure::http::refusal::{self, Subject};
use crate::pure::http::retry::{self, Verdict};
use crate::pure::http::url::Scheme;
use crate::pure::http::{redact, redirect};
use crate::pure::text::{instant, percent};
use crate::secret::Secret;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// How many exchanges an error shows.
const REMEMBERED: usize = 20;

/// The longest wait that a service may ask for where the command itself has no limit.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// The most of the answer to an upload that is read.
const UPLOAD_ANSWER: u64 = 1 << 20;

/// Shorter texts are not guarded: they turn up by chance in words that have to stay readable.
const GUARDED: usize = 4;

/// A sentence for people about something that did not stop the command.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    /// Stable, kebab-case.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
}

/// What the flags say about every exchange.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The moment the whole command must be done.
    pub until: Option<Instant>,
    /// How long that is, for messages; `None` where a command may take as long as it does.
    pub timeout: Option<Duration>,
    /// How often a request may be repeated.
    pub retries: u32,
    /// One line per exchange to the log.
    pub verbose: bool,
    /// No word but errors.
    pub quiet: bool,
    /// HTTPS for loopback registries too.
    pub https: bool,
    /// Hosts, or hosts with port, that are spoken to in plain HTTP.
    pub plain_http: Vec<String>,
}

impl Settings {
    /// Which scheme a host is spoken to with.
    pub fn scheme(&self, host: &str, authority: &str, loopback: bool) -> Scheme {
        if self.plain_http.iter().any(|name| name == host || name == authority) || (loopback && !self.https) {
            Scheme::Http
        } else {
            Scheme::Https
        }
    }
}

/// The way out, shared by everything a command asks.
pub struct Exchange<'w> {
    /// Clock, log and environment.
    pub world: &'w World,
    /// What the flags say.
    pub settings: Settings,
    http: Http,
    idle: Duration,
    lines: Mutex<VecDeque<String>>,
    warnings: Mutex<Vec<Warning>>,
    secrets: Mutex<Vec<Secret>>,
}

impl<'w> Exchange<'w> {
    /// Nothing is opened before the first request.
    pub fn new(world: &'w World, settings: Settings, http: Http) -> Self {
        let (lines, warnings, secrets) = Default::default();
        Self { world, settings, http, idle: Limits::default().idle, lines, warnings, secrets }
    }

    /// The same, with another limit for the time without a byte.
    #[must_use]
    pub fn with_idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// Takes note of a text that must not be shown, should a server repeat it.
    pub fn guard(&self, secret: &Secret) {
        let mut secrets = lock(&self.secrets);
        if secret.reveal().len() >= GUARDED && !secrets.contains(secret) {
            secrets.push(secret.clone());
        }
    }

    /// The text with every guarded secret blotted out, also where JSON or an address spells it differently.
    pub fn without_secrets(&self, text: &str) -> String {
        lock(&self.secrets).iter().fold(text.to_owned(), |text, secret| {
            let plain = secret.reveal();
            let quoted = serde_json::to_string(plain).unwrap_or_default();
            let spellings = [plain, quoted.trim_matches('"'), &percent::encode(plain)].map(str::to_owned);
            spellings
                .iter()
                .filter(|s| !s.is_empty())
                .fold(text, |text, s| if text.contains(s) { text.replace(s, "…") } else { text })
        })
    }

    /// Notes a warning, once.
    pub fn warn(&self, code: &'static str, message: impl Into<String>) {
        let warning = Warning { code, message: self.without_secrets(&message.into()) };
        let mut warnings = lock(&self.warnings);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// The warnings so far, without the secrets that a server may have repeated.
    pub fn warnings(&self) -> Vec<Warning> {
        let warnings = lock(&self.warnings).clone();
        let shown = |warning: Warning| Warning { message: self.without_secrets(&warning.message), ..warning };
        warnings.into_iter().map(shown).collect()
    }

    /// The last exchanges, redacted, oldest first.
    pub fn exchanges(&self) -> Vec<String> {
        lock(&self.lines).iter().cloned().collect()
    }

    /// Sends, repeats and follows; every status that remains is an answer. `limit` caps the body in bytes.
    ///
    /// # Errors
    /// The fault's code when no answer came; `redirect-refused`; `rate-limited` when the service asks to
    /// wait longer than the command may take.
    pub fn send(&self, wanted: &str, request: &Request, limit: u64) -> Result<Response, Error> {
        self.send_within(wanted, request, limit, None)
    }

    /// As [`Exchange::send`], giving up after `patience` if that is sooner than the command's own limit.
    pub fn send_within(
        &self,
        wanted: &str,
        request: &Request,
        limit: u64,
        patience: Option<Duration>,
    ) -> Result<Response, Error> {
        let patience = patience.map(|patience| self.world.instant() + patience);
        let until = match (self.settings.until, patience) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.follow(wanted, request, limit, until, false).map(|(response, _)| response)
    }

    /// As [`Exchange::send`], with the body of a success left to be read in pieces: it is apart then, and
    /// empty in the answer. Where it breaks it is not asked for again.
    ///
    /// # Errors
    /// As [`Exchange::send`].
    pub fn open(&self, wanted: &str, request: &Request, limit: u64) -> Result<(Response, Option<Body>), Error> {
        self.follow(wanted, request, limit, self.settings.until, true)
    }

    /// Sends, repeats and follows; with `open`, the body of a success is left to be read.
    pub(crate) fn follow(
        &self,
        wanted: &str,
        request: &Request,
        limit: u64,
        until: Option<Instant>,
        open: bool,
    ) -> Result<(Response, Option<Body>), Error> {
        let mut request = request.clone();
        let mut trail = vec![request.url.clone()];
        loop {
            let mut rest = None;
            let response = self.repeat(wanted, &request, limit, until, open.then_some(&mut rest))?;
            self.note_warnings(&request, &response);
            let next = redirect::follow(&request, response.status, &response.headers, &trail).map_err(|error| {
                let message = format!("cannot {wanted}: {}", error.message());
                error
                    .retold(message)
                    .hint(format!("ask whoever runs `{}` to correct the redirect", request.url.authority()))
            })?;
            match next {
                Some(next) => request = next,
                None => return Ok((response, rest)),
            }
            trail.push(request.url.clone());
        }
    }

    /// Sends once, follows nothing, and hands the fault on: for services that have rules of their own.
    ///
    /// # Errors
    /// The fault that kept the answer from coming.
    pub fn once(&self, request: &Request, limits: &Limits) -> Result<Response, Fault> {
        let until = match (self.settings.until, limits.until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let begun = self.world.instant();
        let outcome = self.http.send(request, &Limits { until, ..*limits });
        self.note(request, &outcome, begun, 1);
        outcome
    }

    /// Sends a body while it is read, once, and follows nothing. A `body` that fails ends it with a fault
    /// that says no more than that.
    ///
    /// # Errors
    /// The fault that kept the answer from coming.
    pub fn upload(&self, request: &Request, body: &mut dyn Read, length: u64) -> Result<Response, Fault> {
        let limits = Limits { until: self.settings.until, idle: self.idle, body: UPLOAD_ANSWER, ..Limits::default() };
        let begun = self.world.instant();
        let outcome = self.http.upload(request, body, length, &limits);
        self.note(request, &outcome, begun, 1);
        outcome
    }

    /// Sends until the answer counts. With a place for it, the body of a success is left there unread.
    fn repeat(
        &self,
        wanted: &str,
        request: &Request,
        limit: u64,
        until: Option<Instant>,
        mut rest: Option<&mut Option<Body>>,
    ) -> Result<Response, Error> {
        let mut attempt = 1;
        loop {
            let limits = Limits { until, idle: self.idle, body: limit, ..Limits::default() };
            let begun = self.world.instant();
            let outcome = self.http.open(request, &limits).and_then(|incoming| match &mut rest {
                Some(rest) if incoming.is_success() => {
                    let Incoming { status, headers, body } = incoming;
                    **rest = Some(body);
                    Ok(Response { status, headers, body: Vec::new() })
                }
                _ => incoming.whole(),
            });
            self.note(request, &outcome, begun, attempt);
            let (retries, now) = (self.settings.retries, self.world.now());
            match retry::decide(attempt, retries, request, outcome.as_ref(), now, jitter(now)) {
                Verdict::Again(wait) if self.fits(wait, until) => self.world.sleep(wait),
                Verdict::Again(_) | Verdict::Keep => return self.settle(wanted, request, outcome, until),
            }
            attempt += 1;
        }
    }

    /// What is left when nothing will be repeated: an answer, or the reason why there is none.
    fn settle(
        &self,
        wanted: &str,
        request: &Request,
        outcome: Result<Response, Fault>,
        until: Option<Instant>,
    ) -> Result<Response, Error> {
        match outcome {
            Ok(response) => {
                let now = self.world.now();
                match retry::retry_after(&response.headers, now) {
                    Some(wait) if matches!(response.status, 429 | 503) && !self.fits(wait, until) => {
                        let at = instant::rfc3339(now + wait);
                        let error = refusal::error(Subject::Service, wanted, request, &response);
                        let limit = self.settings.timeout.unwrap_or(LONGEST_WAIT).as_secs_f64();
                        let wait = wait.as_secs();
                        let hint = format!("run it again after {at}, in {wait} s; the limit of this run is {limit} s");
                        Err(error.with_code(Code::RateLimited).hint(hint))
                    }
                    _ => Ok(response),
                }
            }
            Err(fault) => Err(self.failed(wanted, request, &fault)),
        }
    }

    /// A fault as an error, under its own code.
    pub(crate) fn failed(&self, wanted: &str, request: &Request, fault: &Fault) -> Error {
        let host = request.url.authority();
        let what = match fault {
            Fault::Timeout { what: Phase::Connect, .. } => format!("no connection to `{host}` in time"),
            Fault::Timeout { .. } => format!("`{host}` did not answer in time"),
            Fault::TooLarge { .. } => format!("the answer of `{host}` is too large"),
            Fault::Truncated { .. } => format!("the answer of `{host}` is not whole"),
            Fault::Malformed { .. } => format!("the answer of `{host}` is not proper HTTP"),
            Fault::Reset { .. } => format!("the connection to `{host}` broke"),
            Fault::Tls { .. } => format!("no TLS connection to `{host}`"),
            Fault::Proxy { .. } => format!("no connection to `{host}` through the proxy"),
            Fault::Config { .. } => "a setting cannot be used".to_owned(),
            Fault::Resolve { .. } | Fault::Connect { .. } => format!("no connection to `{host}`"),
        };
        let message = format!("cannot {wanted}: {what}");
        let line = format!("{} {}: {fault}", request.method.as_str(), redact::url(&request.url));
        let error = Error::new(fault.code(), message).cause(line);
        error.hint(fault.hint())
    }

    /// Waits before attempt number `attempt` is repeated, as long as an answer asks for it; `false` where
    /// that would leave no time.
    pub(crate) fn pause(&self, attempt: u32, headers: Option<&Headers>) -> bool {
        let now = self.world.now();
        let asked = headers.and_then(|headers| retry::retry_after(headers, now)).filter(|wait| !wait.is_zero());
        let wait = asked.unwrap_or_else(|| retry::back_off(attempt, jitter(now)));
        let fits = self.fits(wait, self.settings.until);
        if fits {
            self.world.sleep(wait);
        }
        fits
    }

    fn fits(&self, wait: Duration, until: Option<Instant>) -> bool {
        match until {
            Some(until) => self.world.instant() + wait < until,
            None => wait < LONGEST_WAIT,
        }
    }

    fn note(&self, request: &Request, outcome: &Result<Response, Fault>, begun: Instant, attempt: u32) {
        let took = self.world.instant().saturating_duration_since(begun).as_millis();
        let end = match outcome {
            Ok(response) => response.status.to_string(),
            Err(fault) => fault.to_string(),
        };
        let again = if attempt == 1 { String::new() } else { format!(", attempt {attempt}") };
        let (method, url, operation) = (request.method.as_str(), redact::url(&request.url), operation(request));
        let line = format!("{method} {url}{operation}: {end}, {took} ms{again}");
        let line = self.without_secrets(&line);
        if self.settings.verbose {
            self.world.log(&line);
        }
        let mut lines = lock(&self.lines);
        if lines.len() == REMEMBERED {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// `Warning: 299 - "text"` headers are for the user.
    fn note_warnings(&self, request: &Request, response: &Response) {
        for value in response.headers.all("warning") {
            let text = value.splitn(3, ' ').nth(2).unwrap_or(value).trim_matches('"');
            self.warn("registry-warning", format!("`{}` says: {}", request.url.authority(), redact::text(text)));
        }
    }
}

/// Enough chance to keep two runs from coming back at the same moment.
fn jitter(now: OffsetDateTime) -> u64 {
    u64::from(now.nanosecond()).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// The operation of a call to AWS, whose address is always the same.
fn operation(request: &Request) -> String {
    let target = request.headers.get("x-amz-target").and_then(|target| target.rsplit('.').next());
    target.map(|name| format!(" {name}")).unwrap_or_default()
}

/// A lock whose holder cannot have left a half-done change behind, poisoned or not.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
