//! The same question about several things at once, answers in the order of the things.
//!
//! The first failure stops what runs beside it: nothing else is begun, and who waits before another try gives up, by
//! asking [`is_stopped`]. Where the system has no thread to give, the work is done in the one there is.

use crate::error::{Code, Error};
use crate::world::instant;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// How many at once.
pub const WIDTH: usize = 16;

/// Whether something has failed beside the work of a thread, or beside that for which it is done.
#[derive(Default)]
struct StopSign {
    raised: AtomicBool,
    above: Option<Arc<StopSign>>,
}

impl StopSign {
    fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed) || self.above.as_ref().is_some_and(|above| above.is_raised())
    }
}

thread_local! {
    /// What stops the work of this thread.
    static SIGN: RefCell<Option<Arc<StopSign>>> = const { RefCell::new(None) };
    /// Whether the work of this thread has given up for that.
    static GAVE_UP: Cell<bool> = const { Cell::new(false) };
}

/// Whether the work of this thread is of no use any more, because something beside it has failed. Whoever asks gives up
/// then: the failure that comes of it is not told.
pub fn is_stopped() -> bool {
    let stopped = SIGN.with_borrow(|sign| sign.as_ref().is_some_and(|sign| sign.is_raised()));
    if stopped {
        GAVE_UP.set(true);
    }
    stopped
}

/// Does some work under a sign, and says whether it gave up.
fn under<T>(sign: Option<Arc<StopSign>>, work: impl FnOnce() -> T) -> (T, bool) {
    let before = (SIGN.replace(sign), GAVE_UP.replace(false));
    let done = work();
    SIGN.set(before.0);
    (done, GAVE_UP.replace(before.1))
}

/// Asks about every item, at most [`WIDTH`] at a time. One item costs no thread.
///
/// # Errors
/// The first error in the order of the items, among those that did not come of another.
pub fn map<T: Sync, R: Send>(items: &[T], ask: impl Fn(&T) -> Result<R, Error> + Sync) -> Result<Vec<R>, Error> {
    map_at(WIDTH, items, ask)
}

/// As [`map`], at most so many at a time.
///
/// # Errors
/// As [`map`].
pub fn map_at<T: Sync, R: Send>(
    width: usize,
    items: &[T],
    ask: impl Fn(&T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    if items.len() <= 1 {
        return items.iter().map(ask).collect();
    }
    let sign = Arc::new(StopSign { raised: AtomicBool::new(false), above: SIGN.with_borrow(Clone::clone) });
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<Option<Result<R, Error>>>> = Mutex::new(items.iter().map(|_| None).collect());
    let work = || {
        while !sign.is_raised() {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { break };
            let (answer, gave_up) = under(Some(sign.clone()), || ask(item));
            if answer.is_ok() || !gave_up {
                sign.raised.fetch_or(answer.is_err(), Ordering::Relaxed);
                lock(&answers)[i] = Some(answer);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..items.len().min(width) {
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Items without an answer are there only beside a failure: of another item, or of what all of this is done for.
    let whole = answers.iter().all(Option::is_some);
    let done: Vec<R> = answers.into_iter().flatten().collect::<Result<_, _>>()?;
    if whole {
        return Ok(done);
    }
    GAVE_UP.set(true);
    Err(Error::new(Code::Internal, "the work was given up for a failure beside it"))
}

/// Does something at a moment, beside all else; not at all where the system has no thread to give.
pub fn at(moment: Instant, work: impl FnOnce() + Send + 'static) {
    let wait = move || {
        // Parking may end before its time, sleeping does not.
        thread::sleep(moment.saturating_duration_since(instant()));
        work();
    };
    let _ = thread::Builder::new().spawn(wait);
}

/// Does something again and again beside some work, until that is done; not at all where the system has no thread to give.
pub fn beside<T>(every: Duration, again: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    thread::scope(|scope| {
        let again = &again;
        let tick = move || {
            while receiver.recv_timeout(every) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                again();
            }
        };
        let _ = thread::Builder::new().spawn_scoped(scope, tick);
        let done = work();
        drop(sender);
        done
    })
}

/// Two different questions at once; one after the other where the system has no thread to give.
pub fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    let (one, sign) = (Mutex::new(Some(one)), SIGN.with_borrow(Clone::clone));
    let one = || {
        let one = lock(&one).take().expect("it is asked once: by the new thread, or by this one where there is none");
        under(sign.clone(), one)
    };
    let ((one, gave_up), other) = thread::scope(|scope| {
        let handle = thread::Builder::new().spawn_scoped(scope, one);
        let other = other();
        let one = match handle {
            Ok(handle) => handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => one(),
        };
        (one, other)
    });
    if gave_up {
        GAVE_UP.set(true);
    }
    (one, other)
}

/// A lock whose holder cannot have left a half-done change behind, poisoned or not.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock for the last words of a run; `None` where its holder does not let go of it, because that is what has failed.
pub fn lock_soon<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    (0..1000).find_map(|_| match mutex.try_lock() {
        Ok(held) => Some(held),
        Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
        Err(TryLockError::WouldBlock) => {
            thread::sleep(Duration::from_millis(1));
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn answers_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(map(&items, |i| Ok(i * 2)).unwrap(), (0..100).map(|i| i * 2).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_begun_after_a_failure() {
        let begun = AtomicUsize::new(0);
        let items: Vec<usize> = (0..1000).collect();
        let failed: Result<Vec<()>, Error> = map(&items, |_| {
            begun.fetch_add(1, Ordering::SeqCst);
            Err(Error::new(Code::Internal, "no"))
        });
        assert!(failed.is_err() && begun.load(Ordering::SeqCst) <= WIDTH);
    }

    #[test]
    fn a_failure_stops_what_waits_beside_it_and_is_the_one_that_is_told() {
        let wait = |item: &usize| {
            if *item == 7 {
                return Err(Error::new(Code::Denied, "no"));
            }
            // What waits may itself have asked about several things at once.
            let inner = map(&[1, 2], |_| {
                while !is_stopped() {
                    thread::yield_now();
                }
                Err::<(), _>(Error::new(Code::Timeout, "it was waited for in vain"))
            });
            both(|| (), || inner).1.map(drop)
        };
        let items: Vec<usize> = (0..8).collect();
        assert_eq!(map(&items, wait).unwrap_err().code(), Code::Denied);
        assert!(!is_stopped());
    }

    #[test]
    fn nothing_is_done_before_its_moment() {
        let (done, told) = std::sync::mpsc::channel();
        let moment = instant() + Duration::from_millis(50);
        at(moment, move || done.send(instant()).unwrap());
        assert!(told.recv().unwrap() >= moment);
    }

    #[test]
    fn two_questions_have_two_answers() {
        assert_eq!(both(|| 1, || "two"), (1, "two"));
    }

    #[test]
    fn the_first_error_wins() {
        let failed = map(&[1, 2, 3], |i| if *i > 1 { Err(Error::new(Code::Internal, i.to_string())) } else { Ok(()) });
        assert_eq!(failed.unwrap_err().message(), "2");
    }
}
