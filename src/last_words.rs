//! What is said when a bug ends the run, or its time does while it computes: the document that every failure has, with
//! what was written until then.
//!
//! A release does not unwind, see decision 15, so nothing comes back from a panic, and nothing that computes asks for the
//! time. Whatever there is to say has to be at hand when it happens, and the hook of panics is one for the whole process.

use crate::error::{Code, Error};
use crate::http::Journal;
use crate::output::{Ending, Style, envelope};
use crate::threads::{at, lock};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// What is known about the run that is under way.
struct LastWords {
    command: &'static str,
    style: Style,
    journal: Arc<Journal>,
}

static RUN: Mutex<Option<LastWords>> = Mutex::new(None);
static END: OnceLock<fn(&Ending)> = OnceLock::new();

/// How long after its limit a run may take to say by itself that it was reached.
const GRACE: Duration = Duration::from_millis(700);

/// Lets `end` have the last words of a run that a bug ends, or its time; it has to end the process.
pub fn at_panic(end: fn(&Ending)) {
    let _ = END.set(end);
    std::panic::set_hook(Box::new(move |bug| {
        // Whoever panics second waits here for the end that the first one makes.
        let run = lock(&RUN);
        let bug = bug.to_string();
        let error = Error::new(Code::Internal, "a bug in tagwright has ended the run")
            .cause(bug.lines().collect::<Vec<_>>().join(" "))
            .hint("report it with this text and the version that `tagwright --version` prints");
        end(&ending(run.as_ref(), error));
    }));
}

/// Takes note of what is under way, and of when it has to be over.
pub fn note(command: &'static str, style: Style, journal: Arc<Journal>, until: Option<Instant>) {
    *lock(&RUN) = Some(LastWords { command, style, journal });
    if let (Some(until), Some(end)) = (until, END.get()) {
        at(until + GRACE, move || {
            let run = lock(&RUN);
            if run.is_some() {
                let error = Error::new(Code::Timeout, "the time limit was reached while answers were worked through")
                    .hint("give it more time with `--timeout SECONDS`, or look at what the registry serves");
                end(&ending(run.as_ref(), error));
            }
        });
    }
}

/// What a person has to know who stops a run that writes.
pub fn when_stopped() -> Option<String> {
    let run = lock(&RUN);
    let LastWords { journal, .. } = run.as_ref().filter(|run| envelope::writes(Some(run.command)))?;
    let progress = journal.copied()?.progress();
    Some(match progress.done.is_empty() {
        true => "no tag was written; the same command goes on from here".to_owned(),
        false => journal.without_secrets(&envelope::last_line(&progress)),
    })
}

/// Takes note that the run has something to say by itself.
pub fn over() {
    *lock(&RUN) = None;
}

fn ending(run: Option<&LastWords>, error: Error) -> Ending {
    let Some(LastWords { command, style, journal }) = run else {
        return envelope::ending(None, Err(error), &Journal::default(), &Style::default());
    };
    // Whoever is struck may hold a lock of the journal, and does not let go of it.
    let Some(journal) = journal.copied() else {
        let bare = Error::new(error.code(), error.message()).hint(error.hint_text().unwrap_or_default());
        return envelope::ending(Some(command), Err(bare), &Journal::default(), style);
    };
    envelope::ending(Some(command), Err(error.after(journal.progress())), &journal, style)
}
