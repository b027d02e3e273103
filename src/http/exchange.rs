//! Sends a request and brings the answer back: repeated where that is safe, redirected where that is
//! allowed, written down for `--verbose` and for errors.
//!
//! Whether to repeat is decided in `pure::http::retry`, where a redirect may lead in
//! `pure::http::redirect`. Authentication at registries is one layer up, in [`crate::registry::login::client`].

use crate::error::{Code, Error};
use crate::http::gate::Gate;
use crate::http::repeat::{LONGEST_WAIT, fits, repeat};
use crate::http::{Body, Http, Incoming, Journal, Limits, Payload, Way};
use crate::pure::http::message::Request;
use crate::pure::http::{
    Budget, ExchangeSettings, Fault, Pace, Phase, Response, Subject, Url, Verdict, redact, redirect, refusal, retry,
    warning,
};
use crate::pure::text::{instant, show};
use crate::world::World;
use std::sync::Arc;
use std::time::Instant;

/// An answer, with the body of a success where that is left to be read.
type OpenReply = (Response, Option<Body>);

/// The way out, shared by everything a command asks.
pub struct Exchange<'w> {
    /// Clock, log and environment.
    pub world: &'w World,
    /// What the flags say.
    pub settings: ExchangeSettings,
    /// The moment the whole command must be done.
    pub until: Option<Instant>,
    /// What there is to tell beside the result.
    pub journal: Arc<Journal>,
    http: Http,
    gate: Arc<Gate>,
    limits: Limits,
}

impl<'w> Exchange<'w> {
    /// Nothing is opened before the first request.
    pub fn new(world: &'w World, settings: ExchangeSettings, http: Http) -> Self {
        let until = settings.timeout.map(|timeout| world.started + timeout);
        let limits = Limits::default().over_at(until);
        let journal = Journal::default();
        http.dial.proxies.secrets().for_each(|secret| journal.guard(&secret));
        Self { world, settings, until, journal: Arc::new(journal), http, gate: Arc::default(), limits }
    }

    /// The same with other limits; the usual ones are too long for tests.
    #[cfg(feature = "internals")]
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits: limits.over_at(self.limits.until), ..self }
    }

    /// Goes the way to a server once, step by step, and sends nothing; with what ended it, if something did.
    pub fn probe(&self, url: &Url) -> (Way, Option<Error>) {
        let (way, fault) = self.http.probe(url, &self.limits);
        (way, fault.map(|fault| Error::new(fault.code(), fault.to_string()).hint(fault.hint())))
    }

    /// Makes a connection for a request that is to come, while something else is waited for.
    pub fn open_ahead(&self, url: &Url) {
        self.http.dial.ahead(url, &self.limits);
    }

    /// Notes a warning, once.
    pub fn warn(&self, code: &'static str, message: impl Into<String>) {
        self.journal.warn(code, message);
    }

    /// How often and how fast a request is repeated.
    pub fn pace(&self) -> Pace {
        Pace::usual(self.settings.retries)
    }

    /// Sends, repeats and follows; every status that remains is an answer. `limit` caps the body in bytes.
    ///
    /// # Errors
    /// The fault's code when no answer came; `redirect-refused`; `rate-limited` when the service asks to
    /// wait longer than the command may take.
    pub fn send(&self, wanted: &str, request: &Request, limit: u64) -> Result<Response, Error> {
        self.follow(wanted, request, limit, false).map(|(response, _)| response)
    }

    /// As [`Exchange::send`], with the body of a success left to be read in pieces: it is apart then, and
    /// empty in the answer. Where it breaks it is not asked for again.
    ///
    /// # Errors
    /// As [`Exchange::send`].
    pub fn open(&self, wanted: &str, request: &Request) -> Result<OpenReply, Error> {
        self.follow(wanted, request, u64::MAX, true)
    }

    /// Sends once, as try number `number`, follows nothing, and hands the fault on: for whoever knows more about the
    /// next try than the request says.
    ///
    /// # Errors
    /// The fault that kept the answer from coming.
    pub fn attempt(
        &self,
        request: &Request,
        payload: Option<&mut Payload>,
        limits: &Limits,
        number: u32,
    ) -> Result<Response, Fault> {
        self.once(request, payload, limits, number, false).map(|(response, _)| response)
    }

    /// The usual limits, with one for the bytes of the answer.
    pub fn limits(&self, body: u64) -> Limits {
        Limits { body, ..self.limits }
    }

    fn follow(&self, wanted: &str, request: &Request, limit: u64, open: bool) -> Result<OpenReply, Error> {
        let patience = request.patience.map(|patience| self.world.instant() + patience);
        let limits = self.limits(limit).over_at(patience);
        let mut request = request.clone();
        let mut trail = vec![request.url.clone()];
        let mut sent = false;
        loop {
            let wait = self.journal.waits.begin(request.url.authority(), self.world.instant());
            let outcome = repeat(self.world, self.pace(), limits.until, |number| {
                let outcome = self.once(&request, None, &limits, number, open);
                sent |= outcome.as_ref().map_or_else(Fault::is_sent, |_| true);
                let verdict =
                    retry::verdict(request.repeat, outcome.as_ref().map(|(response, _)| response), self.world.now());
                if let Verdict::Passing(Some(asked)) = verdict {
                    let limit = self.journal.budget().map(|budget| budget.words()).unwrap_or_default();
                    wait.comes_back(self.world.instant() + asked, limit);
                }
                (outcome, verdict)
            });
            drop(wait);
            let (response, body) = match outcome {
                Ok((response, body)) => (self.settle(wanted, &request, response, limits.until)?, body),
                Err(fault) if sent => return Err(fault.error(wanted, &request)),
                Err(fault) => return Err(fault.error(wanted, &request).unsent()),
            };
            self.note_warnings(&response);
            let next = redirect::follow(&request, response.status, &response.headers, &trail).map_err(|error| {
                let message = format!("cannot {wanted}: {}", error.message());
                error
                    .retold(message)
                    .hint(format!("ask whoever runs `{}` to correct the redirect", request.url.authority()))
            })?;
            match next {
                Some(next) => request = next,
                None => return Ok((response, body)),
            }
            trail.push(request.url.clone());
        }
    }

    /// Sends once; with `open`, the body of a success is left to be read.
    fn once(
        &self,
        request: &Request,
        payload: Option<&mut Payload>,
        limits: &Limits,
        number: u32,
        open: bool,
    ) -> Result<OpenReply, Fault> {
        let pass = self.gate.enter(request.url.authority());
        let begun = self.world.instant();
        let end = Some(begun + limits.whole).filter(|_| !open && payload.is_none());
        let limits = limits.over_at(end);
        let too_slow = |fault| match fault {
            Fault::Timeout { what: Phase::Overall, after } if end.is_some() && limits.until == end => {
                Fault::Timeout { what: Phase::Whole, after }
            }
            other => other,
        };
        let outcome = self.http.send(request, payload, &limits).and_then(|incoming| {
            let secrets = self.journal.secrets();
            if open && incoming.is_success() {
                let Incoming { from, status, headers, body, .. } = incoming;
                return Ok((Response { from, status, headers, body: Vec::new(), secrets }, Some(body.under(pass))));
            }
            Ok((Response { secrets, ..incoming.whole()? }, None))
        });
        let outcome = outcome.map_err(too_slow);
        let took = self.world.instant().saturating_duration_since(begun).as_millis();
        let end = outcome.as_ref().map_or_else(Fault::to_string, |(response, _)| response.status.to_string());
        let line = self.journal.exchange(request, &end, took, number);
        if self.settings.verbose {
            self.world.log(&line);
        }
        outcome
    }

    /// What is left when nothing will be repeated: the answer, unless it asks for more time than there is.
    fn settle(
        &self,
        wanted: &str,
        request: &Request,
        response: Response,
        until: Option<Instant>,
    ) -> Result<Response, Error> {
        let now = self.world.now();
        match retry::retry_after(&response.headers, now) {
            Some(wait) if matches!(response.status, 429 | 503) && !fits(self.world, wait, until) => {
                Budget::read(&response.headers).into_iter().for_each(|budget| self.journal.note_budget(budget));
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

    /// `Warning: 299 - "text"` headers are for the user.
    fn note_warnings(&self, response: &Response) {
        for value in response.headers.all("warning") {
            for text in warning::texts(value) {
                let text = show::cut(&redact::text(&redact::words(&text, &response.secrets)), 500);
                self.warn("registry-warning", format!("`{}` says: {text}", response.from.authority()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{get, http, read_request, server, world};
    use std::io::Write;
    use std::time::Duration;

    /// A way out on which a reply that is read whole may take so long.
    fn limited(world: &World, whole: Duration) -> Exchange<'_> {
        let settings = ExchangeSettings {
            timeout: None,
            wait: None,
            min_remaining: None,
            retries: 3,
            verbose: false,
            quiet: true,
            https: false,
            plain_http: Vec::new(),
        };
        Exchange::new(world, settings, http(&[])).with_limits(Limits { whole, ..Limits::default() })
    }

    #[test]
    fn a_reply_that_comes_byte_by_byte_ends_at_a_limit_of_its_own() {
        let address = server(|_, mut stream| {
            read_request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(b"a").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let world = world(&[]);
        let exchange = limited(&world, Duration::from_millis(300));
        let error = exchange.send("read it", &get(address), 1 << 20).unwrap_err();
        assert_eq!((error.code(), error.is_unsent()), (Code::Timeout, false));
        assert!(error.causes()[0].contains("the reply was not complete within 0."), "{error}");
        assert_eq!(exchange.journal.exchanges().len(), 1, "it is not asked for again");
        assert_eq!(Limits::default().whole, Duration::from_secs(60));
    }

    #[test]
    fn when_to_come_back_is_of_no_interest_where_nobody_is_asked_to_wait() {
        for status in [200, 404] {
            let address = server(move |_, mut stream| {
                read_request(&mut stream);
                let _ = write!(stream, "HTTP/1.1 {status} So\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n");
            });
            let world = world(&[]);
            let reply = limited(&world, Duration::from_secs(60)).send("read it", &get(address), 1);
            assert_eq!(reply.unwrap().status, status);
        }
    }

    #[test]
    fn a_reply_that_is_read_in_pieces_may_take_longer_than_one_that_is_read_whole() {
        let address = server(|_, mut stream| {
            read_request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
        });
        let world = world(&[]);
        let exchange = limited(&world, Duration::ZERO);
        assert_eq!(exchange.send("read it", &get(address), 1).unwrap_err().code(), Code::Timeout);
        assert!(exchange.open("read it", &get(address)).is_ok_and(|(_, body)| body.is_some()));
    }
}
