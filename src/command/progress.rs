//! How far a long transfer has come, for people: a line that is drawn over on a terminal, a line every few
//! seconds in a log.

use crate::pure::text::show;
use crate::world::World;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a line is drawn over.
const DRAWN: Duration = Duration::from_millis(200);
/// How often a log gets a line.
const LOGGED: Duration = Duration::from_secs(5);

/// A transfer under way, told of by any number of threads.
pub struct ProgressLine<'w> {
    world: &'w World,
    /// What is being done, as in `copying to reg.example/app`.
    what: String,
    quiet: bool,
    began: Instant,
    said: Mutex<Instant>,
    bytes: AtomicU64,
    all_bytes: AtomicU64,
    blobs: AtomicUsize,
    all_blobs: AtomicUsize,
}

impl<'w> ProgressLine<'w> {
    /// Nothing transferred yet; with `quiet` nothing is ever said.
    pub fn new(world: &'w World, what: String, quiet: bool) -> Self {
        let began = world.instant();
        let (bytes, all_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let (blobs, all_blobs) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { world, what, quiet, began, said: Mutex::new(began), bytes, all_bytes, blobs, all_blobs }
    }

    /// Another blob of so many bytes is to be transferred.
    pub fn expect(&self, bytes: u64) {
        self.all_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all_blobs.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes more have been transferred.
    pub fn moved(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.quiet {
            return;
        }
        // Whoever comes while another one is speaking has nothing to add.
        let Ok(mut said) = self.said.try_lock() else { return };
        let (now, every) = (self.world.instant(), if self.world.status.is_some() { DRAWN } else { LOGGED });
        if now.saturating_duration_since(*said) >= every {
            *said = now;
            let line = self.line(now.saturating_duration_since(self.began));
            match &self.world.status {
                Some(draw) => draw(&line),
                None => self.world.log(&line),
            }
        }
    }

    /// A blob is complete.
    pub fn done(&self) {
        self.blobs.fetch_add(1, Ordering::Relaxed);
    }

    /// Wipes the line away.
    pub fn finish(&self) {
        let _said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(draw) = self.world.status.as_ref().filter(|_| !self.quiet) {
            draw("");
        }
    }

    fn line(&self, took: Duration) -> String {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (bytes, all) = (get(&self.bytes), get(&self.all_bytes));
        let (blobs, all_blobs) = (self.blobs.load(Ordering::Relaxed), self.all_blobs.load(Ordering::Relaxed));
        let rate = u64::try_from(u128::from(bytes) * 1000 / took.as_millis().max(1)).unwrap_or(u64::MAX);
        let left = match all.saturating_sub(bytes).checked_div(rate) {
            Some(seconds) => format!(", {} left", show::seconds(seconds)),
            None => String::new(),
        };
        let (shown, whole, rate) = (show::bytes(bytes), show::bytes(all), show::bytes(rate));
        format!("{}: {shown} of {whole}, {blobs} of {all_blobs} blobs, {rate}/s{left}", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn world(live: bool) -> (World, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (log, draw) = (lines.clone(), lines.clone());
        let mut world = World::real(
            Box::new(move |line| log.lock().unwrap().push(format!("log {line}"))),
            live.then(|| -> crate::world::Log {
                Box::new(move |line| draw.lock().unwrap().push(format!("draw {line}")))
            }),
        );
        world.environment = BTreeMap::new();
        (world, lines)
    }

    #[test]
    fn a_line_tells_amount_rate_and_time_left() {
        let (world, _) = world(false);
        let progress = ProgressLine::new(&world, "copying to r.example/app".into(), false);
        for size in [3 << 30, 1 << 20] {
            progress.expect(size);
        }
        progress.moved(1 << 30);
        progress.done();
        assert_eq!(
            progress.line(Duration::from_secs(4)),
            "copying to r.example/app: 1.0 GiB of 3.0 GiB, 1 of 2 blobs, 256.0 MiB/s, 8 s left"
        );
    }

    #[test]
    fn a_terminal_is_drawn_over_and_quiet_says_nothing() {
        for (live, quiet, expected) in [(true, false, vec!["draw "]), (true, true, vec![]), (false, false, vec![])] {
            let (world, lines) = world(live);
            let progress = ProgressLine::new(&world, "copying".into(), quiet);
            progress.expect(10);
            progress.moved(10);
            progress.finish();
            assert_eq!(*lines.lock().unwrap(), expected);
        }
    }
}
