//! The one loop that repeats: whatever is tried more than once is tried by it.
//!
//! What an outcome means is told by whoever tries; how long to wait is decided in `pure::http::retry`.

use crate::pure::http::{Pace, Verdict};
use crate::threads::is_stopped;
use crate::world::World;
use std::time::{Duration, Instant};

/// How long is waited before a look at whether that is still wanted.
const STEP: Duration = Duration::from_millis(100);
/// The longest wait that a service may ask for where the command itself has no limit.
pub const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Tries until what came counts, until there is no other try, or until the next one would come too late.
///
/// `attempt` is given the number of the try, the first being 1, and says what came and what that means.
pub fn repeat<T>(world: &World, pace: Pace, until: Option<Instant>, mut attempt: impl FnMut(u32) -> (T, Verdict)) -> T {
    let (mut number, mut failures) = (0, 0);
    loop {
        number += 1;
        let (outcome, verdict) = attempt(number);
        let asked = match verdict {
            Verdict::Keep => return outcome,
            Verdict::AtOnce => continue,
            Verdict::Passing(asked) => asked,
        };
        failures += 1;
        // Enough chance to keep two runs from coming back at the same moment.
        let jitter = u64::from(world.now().nanosecond());
        match pace.wait(failures, asked, jitter) {
            Some(wait) if fits(world, wait, until) && pause(world, wait) => {}
            _ => return outcome,
        }
    }
}

/// Waits, unless something beside this fails meanwhile.
fn pause(world: &World, wait: Duration) -> bool {
    let mut left = wait;
    while !is_stopped() {
        if left.is_zero() {
            return true;
        }
        let step = left.min(STEP);
        world.sleep(step);
        left -= step;
    }
    false
}

/// Whether there is time to wait this long.
pub(super) fn fits(world: &World, wait: Duration, until: Option<Instant>) -> bool {
    match until {
        Some(until) => world.instant() + wait < until,
        None => wait <= LONGEST_WAIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::world;

    #[test]
    fn without_a_limit_the_longest_wait_is_waited_and_no_longer_one() {
        let longer = LONGEST_WAIT + Duration::from_nanos(1);
        assert_eq!([LONGEST_WAIT, longer].map(|wait| fits(&world(&[]), wait, None)), [true, false]);
    }
}
