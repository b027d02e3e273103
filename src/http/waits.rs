//! What a run waits for just now, for a person who would see nothing else.

use crate::threads::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long nothing is said of a wait.
const SILENT: Duration = Duration::from_secs(2);

/// Everything that is waited for.
#[derive(Default)]
pub struct Waits(Mutex<Vec<Wait>>);

/// A host that is waited for.
struct Wait {
    since: Instant,
    host: String,
    /// When the host wants to be asked again, and what it says of its limit.
    back: Option<(Instant, String)>,
}

/// A wait that is over when this is dropped.
pub struct WaitNote<'w> {
    waits: &'w Waits,
    since: Instant,
}

impl Waits {
    /// Begins to wait for a host.
    pub fn begin(&self, host: String, now: Instant) -> WaitNote<'_> {
        let mut list = lock(&self.0);
        // No two begin at one moment, so that each is found again.
        let latest = list.iter().map(|wait| wait.since + Duration::from_nanos(1)).max();
        let since = latest.into_iter().chain([now]).max().unwrap_or(now);
        list.push(Wait { since, host, back: None });
        WaitNote { waits: self, since }
    }

    /// A line about the longest wait, once it is long enough.
    pub fn line(&self, now: Instant) -> Option<String> {
        let list = lock(&self.0);
        let first = list.iter().min_by_key(|wait| wait.since)?;
        let waited = now.saturating_duration_since(first.since);
        let host = &first.host;
        (waited >= SILENT).then(|| match &first.back {
            Some((at, limit)) if *at > now => {
                format!("{host} asks to come back in {} s{limit}", (*at - now).as_secs() + 1)
            }
            _ => format!("waiting for {host}, {} s", waited.as_secs()),
        })
    }
}

impl WaitNote<'_> {
    /// The host wants to be asked again at a moment.
    pub fn comes_back(&self, at: Instant, limit: String) {
        let mut list = lock(&self.waits.0);
        list.iter_mut().filter(|wait| wait.since == self.since).for_each(|wait| wait.back = Some((at, limit.clone())));
    }
}

impl Drop for WaitNote<'_> {
    fn drop(&mut self) {
        lock(&self.waits.0).retain(|wait| wait.since != self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::instant;

    #[test]
    fn the_longest_wait_is_told_once_it_is_long_and_until_it_is_over() {
        let (waits, start) = (Waits::default(), instant());
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = waits.begin("a".to_owned(), start);
        let second = waits.begin("b".to_owned(), start);
        assert_eq!(waits.line(at(1)), None);
        assert_eq!(waits.line(at(4)).as_deref(), Some("waiting for a, 4 s"));
        first.comes_back(at(9), " (0 of 100 are left)".to_owned());
        assert_eq!(waits.line(at(4)).as_deref(), Some("a asks to come back in 6 s (0 of 100 are left)"));
        assert_eq!(waits.line(at(9)).as_deref(), Some("waiting for a, 9 s"));
        drop(first);
        assert_eq!(waits.line(at(12)).as_deref(), Some("waiting for b, 11 s"));
        drop(second);
        assert_eq!(waits.line(at(12)), None);
    }
}
