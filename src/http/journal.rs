//! What a run has to tell beside its result: the last exchanges, warnings, and which texts must not be shown.

use crate::error::Progress;
use crate::http::waits::Waits;
use crate::pure::http::message::Request;
use crate::pure::http::{Budget, redact};
use crate::pure::text::show::visible;
use crate::secret::Secret;
use crate::threads::{lock, lock_soon};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// How many exchanges an error shows.
const REMEMBERED: usize = 20;

/// A sentence for people about something that did not stop the command.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    /// Stable, kebab-case.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
}

/// The notes of one run, taken by any number of threads.
#[derive(Default)]
pub struct Journal {
    lines: Mutex<VecDeque<String>>,
    warnings: Mutex<Vec<Warning>>,
    secrets: Mutex<Arc<[Secret]>>,
    progress: Mutex<Vec<Progress>>,
    budget: Mutex<Option<Budget>>,
    /// What is waited for.
    pub waits: Waits,
}

impl Journal {
    /// Takes note of a text that must not be shown, should a server repeat it.
    pub fn guard(&self, secret: &Secret) {
        let mut secrets = lock(&self.secrets);
        if !secrets.contains(secret) {
            *secrets = secrets.iter().chain([secret]).cloned().collect();
        }
    }

    /// The texts that must not be shown.
    pub fn secrets(&self) -> Arc<[Secret]> {
        lock(&self.secrets).clone()
    }

    /// The text with every guarded secret blotted out, in every spelling.
    pub fn without_secrets(&self, text: &str) -> String {
        redact::secrets(text, &self.secrets())
    }

    /// Notes a warning, once.
    pub fn warn(&self, code: &'static str, message: impl Into<String>) {
        let warning = Warning { code, message: visible(&self.without_secrets(&message.into())) };
        let mut warnings = lock(&self.warnings);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// The warnings so far, without the secrets that a server may have repeated.
    pub fn warnings(&self) -> Vec<Warning> {
        let warnings = lock(&self.warnings).clone();
        let shown = |warning: Warning| Warning { message: self.without_secrets(&warning.message), ..warning };
        warnings.into_iter().map(shown).collect()
    }

    /// Notes what a registry has said about its limit.
    pub fn note_budget(&self, budget: Budget) {
        *lock(&self.budget) = Some(budget);
    }

    /// What a registry has said about its limit last.
    pub fn budget(&self) -> Option<Budget> {
        lock(&self.budget).clone()
    }

    /// Notes what has been changed so far in one of several places, for a run that ends before it can tell.
    pub fn note_progress(&self, place: usize, progress: Progress) {
        let mut all = lock(&self.progress);
        if all.len() <= place {
            all.resize(place + 1, Progress::default());
        }
        all[place] = progress;
    }

    /// What had been changed when that was noted last.
    pub fn progress(&self) -> Progress {
        let mut whole = Progress::default();
        for one in lock(&self.progress).iter() {
            whole.done.extend(one.done.iter().cloned());
            whole.rollback.extend(one.rollback.iter().cloned());
        }
        whole
    }

    /// The same notes for the last words of a run, whoever holds which of them; `None` where it cannot be told what must
    /// not be shown.
    pub fn copied(&self) -> Option<Self> {
        fn copy<T: Clone>(of: &Mutex<T>) -> Option<Mutex<T>> {
            Some(Mutex::new(lock_soon(of)?.clone()))
        }
        let unknown = || Progress { done: vec!["it is not known what was written".to_owned()], ..Progress::default() };
        Some(Self {
            secrets: copy(&self.secrets)?,
            lines: copy(&self.lines).unwrap_or_default(),
            warnings: copy(&self.warnings).unwrap_or_default(),
            progress: copy(&self.progress).unwrap_or_else(|| Mutex::new(vec![unknown()])),
            budget: Mutex::default(),
            waits: Waits::default(),
        })
    }

    /// The last exchanges, redacted, oldest first.
    pub fn exchanges(&self) -> Vec<String> {
        lock(&self.lines).iter().cloned().collect()
    }

    /// Notes how an exchange ended, and hands out the line that tells it.
    pub(super) fn exchange(&self, request: &Request, end: &str, milliseconds: u128, number: u32) -> String {
        let again = if number == 1 { String::new() } else { format!(", attempt {number}") };
        let (method, url) = (request.method.as_str(), redact::url(&request.url));
        // The address of a call to AWS is always the same.
        let target = request.headers.get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let operation = target.map(|name| format!(" {name}")).unwrap_or_default();
        let line = self.without_secrets(&format!("{method} {url}{operation}: {end}, {milliseconds} ms{again}"));
        let mut lines = lock(&self.lines);
        if lines.len() == REMEMBERED {
            lines.pop_front();
        }
        lines.push_back(line.clone());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_told_without_a_secret_that_came_after_it() {
        let journal = Journal::default();
        journal.warn("one", "`registry.example` says: soon hunter2");
        journal.guard(&Secret::new("hunter2"));
        assert_eq!(journal.warnings()[0].message, "`registry.example` says: soon …");
    }

    #[test]
    fn a_bug_that_strikes_whoever_holds_a_lock_leaves_the_last_words_to_be_said() {
        let journal = Journal::default();
        journal.warn("one", "it was slow");
        journal.guard(&Secret::new("hunter2"));
        let held = (lock(&journal.lines), lock(&journal.progress));
        let copy = journal.copied().unwrap();
        assert_eq!((copy.warnings().len(), copy.exchanges().len()), (1, 0));
        assert_eq!(copy.progress().done, ["it is not known what was written"]);
        assert_eq!(copy.without_secrets("hunter2"), "…");
        drop(held);
        assert_eq!(journal.copied().unwrap().progress(), Progress::default());
        let _held = lock(&journal.secrets);
        assert!(journal.copied().is_none());
    }
}
