//! The same question about several things at once, answers in the order of the things.
//!
//! The first failure stops what runs beside it: nothing else is begun, and who waits before another try gives up, by
//! asking [`is_stopped`]. All that is asked for one purpose, however deep one question stands in another, shares so many
//! threads as may ask at once. Nobody waits for one: where none is left, or the system has none to give, the work is done
//! in the thread there is, and those that come free lend a hand with what is not begun.

use crate::error::{Code, Error};
use crate::world::instant;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

/// How many at once at one server, and altogether but for [`across`].
pub const WIDTH: usize = 16;
/// How many servers there are threads for.
const MOST_SERVERS: usize = 4;

/// Whether something has failed beside the work of a thread, or beside that for which it is done.
#[derive(Default)]
struct StopSign {
    raised: AtomicBool,
    above: Option<Arc<StopSign>>,
    /// How many threads more may be at work for the same purpose.
    free: Arc<AtomicUsize>,
}

impl StopSign {
    /// One for work within the work of this thread.
    fn here() -> Arc<Self> {
        let above = SIGN.with_borrow(Clone::clone);
        let free = above.as_ref().map_or_else(|| Arc::new(AtomicUsize::new(WIDTH - 1)), |above| above.free.clone());
        Arc::new(Self { raised: AtomicBool::new(false), above, free })
    }

    fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed) || self.above.as_ref().is_some_and(|above| above.is_raised())
    }

    /// Does some work under this sign in a thread beside this one; not where none is left.
    fn beside<'s, T: Send + 's>(
        self: &Arc<Self>,
        scope: &'s Scope<'s, '_>,
        work: impl FnOnce() -> T + Send + 's,
    ) -> Option<thread::ScopedJoinHandle<'s, T>> {
        let less = |free: usize| free.checked_sub(1);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?;
        let free = self.free.clone();
        let spawned = thread::Builder::new().spawn_scoped(scope, move || {
            let done = work();
            free.fetch_add(1, Ordering::Relaxed);
            done
        });
        if spawned.is_err() {
            self.free.fetch_add(1, Ordering::Relaxed);
        }
        spawned.ok()
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

/// Does some work that asks several servers at once, with as many threads as each of them may be asked by.
pub fn across<T>(servers: usize, work: impl FnOnce() -> T) -> T {
    let free = Arc::new(AtomicUsize::new(WIDTH * servers.clamp(1, MOST_SERVERS) - 1));
    under(Some(Arc::new(StopSign { free, ..StopSign::default() })), work).0
}

/// Asks about every item, as many at a time as there are threads. One item costs no thread.
///
/// # Errors
/// The first error in the order of the items, among those that did not come of another.
pub fn map<T: Sync, R: Send>(items: &[T], ask: impl Fn(&T) -> Result<R, Error> + Sync) -> Result<Vec<R>, Error> {
    map_at(usize::MAX, items, ask)
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
    let answers: Mutex<Vec<Option<Result<R, Error>>>> = Mutex::new(items.iter().map(|_| None).collect());
    let one = |i: usize| {
        let answer = ask(&items[i]);
        let failed = answer.is_err();
        let counts = !failed || !GAVE_UP.get();
        if counts {
            lock(&answers)[i] = Some(answer);
        }
        failed && counts
    };
    let crew = Crew { sign: StopSign::here(), count: items.len(), width, next: 0.into(), hands: 1.into(), one: &one };
    thread::scope(|scope| crew.work(scope));
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

/// Threads that share so many pieces of work.
struct Crew<'a> {
    sign: Arc<StopSign>,
    count: usize,
    width: usize,
    /// The piece that is begun next.
    next: AtomicUsize,
    /// How many threads there are.
    hands: AtomicUsize,
    /// Does a piece, and says whether it has failed.
    one: &'a (dyn Fn(usize) -> bool + Sync),
}

impl Crew<'_> {
    /// Begins one piece after the other as long as there are any.
    fn work<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        while !self.sign.is_raised() {
            // Whoever has others come takes nothing before, so that what comes first is begun first.
            for _ in self.next.load(Ordering::Relaxed) + 1..self.count {
                if !self.hire(scope) {
                    break;
                }
            }
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= self.count {
                break;
            }
            let failed = under(Some(self.sign.clone()), || (self.one)(i)).0;
            self.sign.raised.fetch_or(failed, Ordering::Relaxed);
        }
        self.hands.fetch_sub(1, Ordering::Relaxed);
    }

    /// Has one thread more, where one may be had.
    fn hire<'s>(&'s self, scope: &'s Scope<'s, '_>) -> bool {
        let more = |hands: usize| (hands < self.width.min(self.count)).then_some(hands + 1);
        if self.hands.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return false;
        }
        let hired = self.sign.beside(scope, || self.work(scope)).is_some();
        self.hands.fetch_sub(usize::from(!hired), Ordering::Relaxed);
        hired
    }
}

/// How many threads more may be at work for the purpose of this one.
pub fn free() -> usize {
    StopSign::here().free.load(Ordering::Relaxed)
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

/// Two different questions at once; one after the other where no thread is left.
pub fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    let (one, sign) = (Mutex::new(Some(one)), StopSign::here());
    let one = || {
        let one = lock(&one).take().expect("it is asked once: by the new thread, or by this one where there is none");
        under(Some(sign.clone()), one)
    };
    let ((one, gave_up), (other, also)) = thread::scope(|scope| {
        let handle = sign.beside(scope, one);
        let other = under(Some(sign.clone()), other);
        let one = match handle {
            Some(handle) => handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => one(),
        };
        (one, other)
    });
    if gave_up || also {
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

    /// How many were at work at once, at most.
    #[derive(Default)]
    struct Busy {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl Busy {
        /// Is at work until so many are, or long enough to show that they never will be.
        fn until(&self, wanted: usize) -> Result<(), Error> {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let end = instant() + Duration::from_millis(20);
            while self.most.load(Ordering::SeqCst) < wanted || instant() < end {
                thread::yield_now();
                assert!(instant() < end + Duration::from_secs(20), "{wanted} at once");
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }

    #[test]
    fn questions_within_questions_share_sixteen_threads() {
        let items = |count: usize| (0..count).collect::<Vec<_>>();
        type Work = fn(&Busy, &[usize]) -> Result<Vec<()>, Error>;
        let inner: Work = |busy, few| few.iter().map(|_| busy.until(WIDTH)).collect();
        let each: Work = |busy, few| map(few, |_| busy.until(WIDTH));
        let pairs: Work = |busy, few| map(few, |_| both(|| busy.until(WIDTH), || busy.until(WIDTH)).0);
        for (what, outer, few, work) in [
            ("24 alone", 24, 1, inner),
            ("24 times 8", 24, 8, each),
            ("2 times 8", 2, 8, each),
            ("3 times 24", 3, 24, each),
            ("5 times 2 pairs", 5, 2, pairs),
        ] {
            let busy = Busy::default();
            map(&items(outer), |_| work(&busy, &items(few))).unwrap();
            assert_eq!(busy.most.load(Ordering::SeqCst), WIDTH, "{what}");
        }
    }

    #[test]
    fn each_of_several_servers_has_sixteen_threads_up_to_four_of_them() {
        let others = [0, 1, 2, 4, 5].map(|servers| across(servers, free));
        assert_eq!(others, [15, 15, 31, 63, 63], "beside the one that asks");
    }

    #[test]
    fn a_question_of_its_own_width_keeps_it_within_another() {
        let busy = Busy::default();
        let items: Vec<usize> = (0..12).collect();
        map(&[1, 2], |_| map_at(3, &items, |_| busy.until(6))).unwrap();
        assert_eq!(busy.most.load(Ordering::SeqCst), 6);
    }

    #[test]
    fn threads_that_come_free_lend_a_hand() {
        let (all, few, begun) = (Busy::default(), Busy::default(), AtomicBool::new(false));
        let items: Vec<usize> = (0..16).collect();
        let wait = |done: &dyn Fn() -> bool| {
            while !done() {
                thread::yield_now();
            }
        };
        let ask = |item: &usize| {
            all.until(WIDTH)?;
            if *item < 15 {
                wait(&|| begun.load(Ordering::SeqCst));
                return Ok(Vec::new());
            }
            // No thread is left when this begins; whoever asks first waits for the others.
            map(&items, |item| {
                if *item > 0 {
                    return few.until(8);
                }
                begun.store(true, Ordering::SeqCst);
                wait(&|| free() >= 14);
                Ok(())
            })
        };
        map(&items, ask).unwrap();
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
            let wait = |_: &usize| {
                while !is_stopped() {
                    thread::yield_now();
                }
                Err::<(), _>(Error::new(Code::Timeout, "it was waited for in vain"))
            };
            both(|| (), || map(&[1, 2], wait)).1.map(drop)
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
