//! What one request may cost, and how long it has taken so far.

use crate::pure::http::{Fault, Phase};
use crate::world::instant;
use std::time::{Duration, Instant};

/// The most of a refusal's body that is of interest.
pub(super) const REFUSAL: u64 = 64 * 1024;

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time for a connection: name, address, tunnel and TLS together.
    pub connect: Duration,
    /// Time without a byte.
    pub idle: Duration,
    /// Time without a byte once the last byte of an upload has been sent: a registry may copy and hash all of it then.
    pub commit: Duration,
    /// Time for a reply that is read whole, as long as nothing large is sent for it: who gives a byte now and then does
    /// not hold a run for ever.
    pub whole: Duration,
    /// When the reply has to be complete.
    pub until: Option<Instant>,
    /// Bytes of the body.
    pub body: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(5),
            idle: seconds(30),
            commit: seconds(15 * 60),
            whole: seconds(60),
            until: None,
            body: 4 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// The same, over at this moment if that is sooner.
    #[must_use]
    pub fn over_at(self, end: Option<Instant>) -> Self {
        Self { until: self.until.into_iter().chain(end).min(), ..self }
    }
}

/// How long a request was allowed to take, and took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch {
    began: Instant,
    pub limits: Limits,
}

impl Stopwatch {
    pub fn start(limits: Limits) -> Self {
        Self { began: instant(), limits }
    }

    /// Fills in how long was waited.
    pub fn stamp(&self, fault: Fault) -> Fault {
        let Fault::Timeout { what, .. } = fault else { return fault };
        let after = match what {
            Phase::Connect => self.limits.connect,
            Phase::Idle => self.limits.idle,
            Phase::Whole | Phase::Overall | Phase::Unsent => self.began.elapsed(),
        };
        Fault::Timeout { what, after }
    }
}
