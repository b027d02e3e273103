//! Waiting for a source that is not there yet, such as the image of a build that is still pushing it.

use crate::error::{Code, Error};
use crate::http::repeat::repeat;
use crate::pure::http::{Pace, Verdict};
use crate::registry::Remote;
use std::time::Duration;

/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(30);

/// Looks until the source is there, at most as long as `--wait` says; `name` is what is waited for.
///
/// Only what the registry says is not there is waited for: whoever is refused, or gets no answer, would wait in vain.
///
/// # Errors
/// Those of the last look, with how long was waited.
pub fn until_there<T>(remote: &Remote, name: &str, look: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    let (world, exchange) = (remote.world(), remote.exchange());
    let Some(most) = exchange.settings.wait else { return look() };
    let began = world.instant();
    let waited = || world.instant().saturating_duration_since(began);
    let outcome = repeat(world, Pace::usual(u32::MAX), exchange.until, |number| {
        let (outcome, left) = (look(), most.saturating_sub(waited()));
        if left.is_zero() || !outcome.as_ref().is_err_and(is_absent) {
            return (outcome, Verdict::Keep);
        }
        if number == 1 && !exchange.settings.quiet {
            world.log(&format!("waiting for {name}, {} s at most", most.as_secs_f64()));
        }
        let pause = Duration::from_secs(1 << (number - 1).min(5)).min(LONGEST).min(left);
        (outcome, Verdict::Passing(Some(pause)))
    });
    let told = |error: Error| match waited().as_secs() {
        seconds @ 1.. if is_absent(&error) => error.cause(format!("waited {seconds} s for it")),
        _ => error,
    };
    outcome.map_err(told)
}

/// Whether it is the registry that says that something is not there.
fn is_absent(error: &Error) -> bool {
    matches!(error.code(), Code::TagUnknown | Code::RepositoryUnknown | Code::NoTagForBuild)
}
