//! What is said when a bug ends the run: the document that every failure has, with what was written until then.
//!
//! A release does not unwind, see decision 15, so nothing comes back from a panic. Whatever there is to say has to be at
//! hand when it happens, and the hook of panics is one for the whole process.

use crate::error::{Code, Error};
use crate::http::Journal;
use crate::output::{Ending, Style, envelope};
use crate::threads::lock;
use std::sync::{Arc, Mutex};

/// What is known about the run that is under way.
struct LastWords {
    command: &'static str,
    style: Style,
    journal: Arc<Journal>,
}

static RUN: Mutex<Option<LastWords>> = Mutex::new(None);

/// Lets `end` have the last words of a run that a bug ends; it has to end the process.
pub fn at_panic(end: fn(&Ending)) {
    std::panic::set_hook(Box::new(move |bug| {
        // Whoever panics second waits here for the end that the first one makes.
        let run = lock(&RUN);
        end(&ending(run.as_ref(), &bug.to_string()));
    }));
}

/// Takes note of what is under way.
pub fn note(command: &'static str, style: Style, journal: Arc<Journal>) {
    *lock(&RUN) = Some(LastWords { command, style, journal });
}

fn ending(run: Option<&LastWords>, bug: &str) -> Ending {
    let error = Error::new(Code::Internal, "a bug in tagwright has ended the run")
        .cause(bug.lines().collect::<Vec<_>>().join(" "))
        .hint("report it with this text and the version that `tagwright --version` prints");
    let Some(LastWords { command, style, journal }) = run else {
        return envelope::ending(None, Err(error), &[], &[], &Style::default());
    };
    let error = error.after(journal.progress()).rewritten(&|text| journal.without_secrets(text));
    envelope::ending(Some(command), Err(error), &journal.warnings(), &journal.exchanges(), style)
}
