//! One call to an AWS service: signed, repeated where the service asks for that, with the clock put
//! right once.
//!
//! AWS says "slow down" with status 400 and a name, and a wrong clock with a refused signature, and each try needs a
//! signature of its own. What a refusal means is decided in `pure::aws::fault`.

use crate::error::{Code, Error};
use crate::http::repeat::repeat;
use crate::http::{Journal, Limits};
use crate::pure::aws::sigv4::SignatureScope;
use crate::pure::aws::sigv4::signature::sign;
use crate::pure::aws::{AwsCredential, AwsFault, fault};
use crate::pure::http::message::Request;
use crate::pure::http::{Fault, Pace, Repeat, Response, Verdict, retry};
use crate::threads::lock;
use crate::world::World;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Sends one request once, as try number so many, and brings back what came.
pub type Sender<'a> = dyn Fn(&Request, &Limits, u32) -> Result<Response, Fault> + Sync + 'a;

/// The first wait between two tries; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(300);

/// Whose signature a call carries, and for which service.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// The credential.
    pub credential: &'a AwsCredential,
    /// The region of the service.
    pub region: &'a str,
    /// The service's name in signatures.
    pub service: &'a str,
}

/// How far the clock of AWS is ahead of ours, once a refusal has shown it.
#[derive(Debug, Default)]
pub struct ClockSkew(Mutex<Option<time::Duration>>);

impl ClockSkew {
    /// The difference, if one has shown.
    pub fn ahead(&self) -> Option<time::Duration> {
        *lock(&self.0)
    }
}

/// What comes of a call: the answer or the refusal, where anything came.
pub type AwsAnswer = Result<Result<Response, AwsFault>, Error>;

/// What all calls of a command share.
pub struct Caller<'a> {
    /// Time and environment.
    pub world: &'a World,
    /// The way out.
    pub send: Box<Sender<'a>>,
    /// The moment the whole command must be done.
    pub until: Option<Instant>,
    /// How often a call may be repeated.
    pub retries: u32,
    /// What is known about the clocks.
    pub clock: &'a ClockSkew,
    /// What takes note of secrets.
    pub journal: &'a Journal,
}

impl Caller<'_> {
    /// Calls, and brings back the answer or the refusal. `limit` caps the body in bytes.
    ///
    /// # Errors
    /// The fault's code when no answer came.
    pub fn call(&self, wanted: &str, request: &Request, signer: Option<Signer>, limit: u64) -> AwsAnswer {
        let limits = Limits { body: limit, ..Limits::default() }.over_at(self.until);
        // A refusal may repeat what was signed.
        let credential = signer.map(|signer| signer.credential);
        let secrets = credential.map(|one| [Some(&one.key_id), Some(&one.secret), one.session_token.as_ref()]);
        secrets.into_iter().flatten().flatten().for_each(|secret| self.journal.guard(secret));
        let (mut corrected, mut sent) = (self.clock.ahead().is_some(), false);
        let outcome = repeat(self.world, Pace { retries: self.retries, first: PAUSE }, self.until, |number| {
            let now = self.world.now();
            let at = now + self.clock.ahead().unwrap_or_default();
            let ready = match signer {
                Some(Signer { credential, region, service }) => {
                    sign(request.clone(), credential, &SignatureScope::new(at, region, service))
                }
                None => request.clone(),
            };
            let outcome = (self.send)(&ready, &limits, number);
            sent |= outcome.as_ref().map_or_else(Fault::is_sent, |_| true);
            let verdict = match &outcome {
                Ok(response) if response.is_success() => Verdict::Keep,
                Ok(response) => {
                    let refusal = AwsFault::read(response);
                    match fault::skew(&refusal, response, now).filter(|_| !corrected && signer.is_some()) {
                        Some(ahead) => {
                            *lock(&self.clock.0) = Some(ahead);
                            corrected = true;
                            Verdict::AtOnce
                        }
                        None if refusal.is_repeatable() => Verdict::Passing(retry::retry_after(&response.headers, now)),
                        None => Verdict::Keep,
                    }
                }
                Err(fault) => retry::verdict(Repeat::Freely, Err(fault), now),
            };
            (outcome, verdict)
        });
        match outcome {
            Ok(response) if response.is_success() => Ok(Ok(response)),
            Ok(response) => Ok(Err(AwsFault::read(&response))),
            Err(fault) if sent => Err(fault.error(wanted, request)),
            Err(fault) => Err(fault.error(wanted, request).unsent()),
        }
    }

    /// As [`Caller::call`], with a refusal as an error that names the service.
    ///
    /// # Errors
    /// Those of [`Caller::call`] and those of [`AwsFault::error`].
    pub fn answer(
        &self,
        wanted: &str,
        service: &str,
        request: &Request,
        signer: Option<Signer>,
        limit: u64,
    ) -> Result<Response, Error> {
        let answer = self.call(wanted, request, signer, limit)?;
        answer.map_err(|refusal| self.explained(refusal.error(&format!("cannot {wanted}"), service, request)))
    }

    /// Adds what is known about the clock to a refusal.
    pub fn explained(&self, error: Error) -> Error {
        match self.clock.ahead() {
            Some(ahead) if matches!(error.code(), Code::Unauthenticated | Code::TokenExpired) => {
                error.cause(fault::skew_text(ahead)).hint("set the clock of this machine")
            }
            _ => error,
        }
    }

    /// How much time the command has left.
    pub fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(self.world.instant()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::http::message::{Headers, Method};
    use crate::pure::http::url::Url;
    use crate::secret::Secret;
    use crate::world::instant;
    use std::collections::BTreeMap;
    use time::macros::format_description;

    fn world() -> World {
        let (log, stdin) = (Box::new(|_: &str| ()), Box::new(|_| Ok(Vec::new())));
        World {
            environment: BTreeMap::new(),
            log,
            stdin,
            status: None,
            hidden: Default::default(),
            sleep: Box::new(|_| ()),
            started: instant(),
        }
    }

    fn reply(status: u16, body: &str) -> Response {
        Response {
            from: Url::parse("https://api.example/").unwrap(),
            status,
            headers: Headers::new(),
            body: body.as_bytes().to_vec(),
            secrets: Default::default(),
        }
    }

    /// Calls with prepared outcomes; returns what came and the timestamps that were signed.
    fn calls(
        outcomes: Vec<Result<Response, Fault>>,
        retries: u32,
    ) -> (Result<Result<Response, AwsFault>, Error>, Vec<String>, ClockSkew) {
        let (world, clock) = (world(), ClockSkew::default());
        let (left, stamps) = (Mutex::new(outcomes), Mutex::new(Vec::new()));
        let send = |request: &Request, limits: &Limits, _: u32| {
            assert_eq!(limits.body, 100);
            lock(&stamps).push(request.headers.get("x-amz-date").unwrap_or("unsigned").to_owned());
            lock(&left).remove(0)
        };
        let credential = AwsCredential {
            key_id: Secret::new("AKID"),
            secret: Secret::new("sekret"),
            session_token: None,
            expires_at: None,
        };
        let request = Request::new(Method::Post, Url::parse("https://api.example/").unwrap()).body(b"{}".to_vec());
        let journal = Journal::default();
        let send = Box::new(send);
        let caller = Caller { world: &world, send, until: None, retries, clock: &clock, journal: &journal };
        let signer = Signer { credential: &credential, region: "eu-west-1", service: "ecr" };
        let answer = caller.call("do it", &request, Some(signer), 100);
        drop(caller);
        assert!(lock(&left).is_empty(), "not everything was asked for");
        (answer, lock(&stamps).clone(), clock)
    }

    #[test]
    fn a_service_that_asks_for_patience_is_asked_again() {
        let slow = || Ok(reply(400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#));
        let broken = || Err(Fault::Reset { why: "gone".into() });
        let (answer, stamps, _) = calls(vec![slow(), broken(), Ok(reply(200, "{}"))], 2);
        assert_eq!((answer.unwrap().unwrap().status, stamps.len()), (200, 3));
        let (answer, ..) = calls(vec![slow(), slow()], 1);
        assert_eq!(answer.unwrap().unwrap_err().code(), Code::RateLimited);
        let (answer, ..) = calls(vec![broken()], 0);
        let error = answer.unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (Code::Unreachable, "cannot do it: the connection to `api.example` broke")
        );
        // An answer is one, whatever it holds.
        let (answer, stamps, _) = calls(vec![Ok(reply(200, r#"{"__type":"ThrottlingException"}"#))], 2);
        assert_eq!((answer.unwrap().unwrap().status, stamps.len()), (200, 1));
    }

    #[test]
    fn what_came_nowhere_on_any_try_was_not_sent() {
        let refused = || Err(Fault::Connect { addr: "api.example:443".into(), why: "refused".into() });
        let broken = || Err(Fault::Reset { why: "gone".into() });
        let busy = || Ok(reply(503, "{}"));
        for (outcomes, is_unsent) in [
            (vec![refused(), refused()], true),
            (vec![broken(), refused()], false),
            (vec![busy(), refused()], false),
            (vec![refused(), broken()], false),
        ] {
            let (answer, ..) = calls(outcomes, 1);
            assert_eq!(answer.unwrap_err().is_unsent(), is_unsent);
        }
    }

    #[test]
    fn a_refusal_that_stays_one_is_not_repeated() {
        let denied = Ok(reply(400, r#"{"__type":"AccessDeniedException","message":"no"}"#));
        let (answer, stamps, _) = calls(vec![denied], 3);
        assert_eq!((answer.unwrap().unwrap_err().code(), stamps.len()), (Code::Denied, 1));
    }

    #[test]
    fn a_clock_that_is_wrong_explains_why_a_credential_is_refused_and_nothing_else() {
        let (world, journal) = (world(), Journal::default());
        let explained = |ahead: Option<i64>, code: Code| {
            let clock = ClockSkew(Mutex::new(ahead.map(time::Duration::minutes)));
            let send = Box::new(|_: &Request, _: &Limits, _: u32| Ok(reply(200, "{}")));
            let caller = Caller { world: &world, send, until: None, retries: 0, clock: &clock, journal: &journal };
            let error = caller.explained(Error::new(code, "cannot do it").hint("ask for it"));
            (error.causes().to_vec(), error.hint_text().map(str::to_owned))
        };
        let clock = [fault::skew_text(time::Duration::minutes(40))];
        for (ahead, code, causes, hint) in [
            (Some(40), Code::Unauthenticated, &clock[..], "set the clock of this machine"),
            (Some(40), Code::TokenExpired, &clock[..], "set the clock of this machine"),
            (Some(40), Code::Denied, &[], "ask for it"),
            (None, Code::Unauthenticated, &[], "ask for it"),
        ] {
            assert_eq!(explained(ahead, code), (causes.to_vec(), Some(hint.to_owned())), "{ahead:?} {code:?}");
        }
    }

    #[test]
    fn a_wrong_clock_is_put_right_once() {
        let ahead = time::Duration::minutes(40);
        let format =
            format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
        let date = || (world().now() + ahead).format(format).unwrap();
        let expired = || {
            let mut reply = reply(403, r#"{"__type":"InvalidSignatureException","message":"Signature expired: x"}"#);
            reply.headers.push("Date", date());
            Ok(reply)
        };
        let (answer, stamps, clock) = calls(vec![expired(), Ok(reply(200, "{}"))], 3);
        assert_eq!(answer.unwrap().unwrap().status, 200);
        assert!(stamps[1] > stamps[0], "{stamps:?}");
        let off = clock.ahead().unwrap() - ahead;
        assert!(off.abs() < time::Duration::seconds(3), "{off}");
        let (answer, stamps, _) = calls(vec![expired(), expired()], 3);
        assert_eq!((answer.unwrap().unwrap_err().code(), stamps.len()), (Code::Unauthenticated, 2));
    }
}
