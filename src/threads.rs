//! The same question about several things at once, answers in the order of the things.

use crate::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many at once.
pub const WIDTH: usize = 16;

/// Asks about every item, at most [`WIDTH`] at a time. One item costs no thread.
///
/// # Errors
/// The first error in the order of the items.
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
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<Option<Result<R, Error>>>> = Mutex::new(items.iter().map(|_| None).collect());
    let work = || {
        while let Some((i, item)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, items.get(i)?))) {
            let answer = ask(item);
            lock(&answers)[i] = Some(answer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..items.len().min(width) {
            scope.spawn(work);
        }
        work();
    });
    answers.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

/// Two different questions at once.
pub fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let handle = scope.spawn(one);
        let other = other();
        match handle.join() {
            Ok(one) => (one, other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
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
    fn the_first_error_wins() {
        let failed = map(&[1, 2, 3], |i| if *i > 1 { Err(Error::new(Code::Internal, i.to_string())) } else { Ok(()) });
        assert_eq!(failed.unwrap_err().message(), "2");
    }
}
