//! The same question about several things at once, answers in the order of the things.

use crate::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// How many at once.
pub const WIDTH: usize = 16;

/// Asks about every item, at most [`WIDTH`] at a time. One item costs no thread.
///
/// After the first failure no other item is begun. Where the system has no thread to give, the work is done in this one.
///
/// # Errors
/// The first error in the order of the items, among those that were asked about.
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
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let answers: Mutex<Vec<Option<Result<R, Error>>>> = Mutex::new(items.iter().map(|_| None).collect());
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { break };
            let answer = ask(item);
            if answer.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            lock(&answers)[i] = Some(answer);
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
    // What was not begun stands after what has failed, so that only answers come before the failure.
    answers.into_iter().flatten().collect()
}

/// Two different questions at once; one after the other where the system has no thread to give.
pub fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    let one = Mutex::new(Some(one));
    let one = || {
        let one = lock(&one).take().expect("it is asked once: by the new thread, or by this one where there is none");
        one()
    };
    thread::scope(|scope| {
        let handle = thread::Builder::new().spawn_scoped(scope, &one);
        let other = other();
        let one = match handle {
            Ok(handle) => handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => one(),
        };
        (one, other)
    })
}

/// A lock whose holder cannot have left a half-done change behind, poisoned or not.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn two_questions_have_two_answers() {
        assert_eq!(both(|| 1, || "two"), (1, "two"));
    }

    #[test]
    fn the_first_error_wins() {
        let failed = map(&[1, 2, 3], |i| if *i > 1 { Err(Error::new(Code::Internal, i.to_string())) } else { Ok(()) });
        assert_eq!(failed.unwrap_err().message(), "2");
    }
}
