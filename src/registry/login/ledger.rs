//! Keeps a run from reading more of a registry than `--min-remaining` leaves it.

use crate::error::{Code, Error};
use crate::pure::http::Budget;
use crate::pure::http::message::{Method, Request};
use crate::pure::image::Registry;
use crate::threads::lock;
use serde_json::json;
use std::sync::Mutex;

/// What is known of the limits of one caller.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Vec<LedgerEntry>>);

/// One registry.
struct LedgerEntry {
    registry: Registry,
    told: Option<Budget>,
    /// Requests that cost something and have no answer yet.
    under_way: u64,
    /// How many answers there were.
    answers: u64,
}

impl Ledger {
    /// Whether the registry has not been asked yet.
    pub fn is_new(&self, registry: &Registry) -> bool {
        !lock(&self.0).iter().any(|account| account.registry == *registry)
    }

    /// Takes a request on, and says how many answers there were by then.
    ///
    /// # Errors
    /// `rate-limited` where less than `least` might be left after it.
    pub fn begin(&self, registry: &Registry, costs: bool, least: u64) -> Result<u64, Error> {
        let mut accounts = lock(&self.0);
        let account = opened(&mut accounts, registry);
        if let Some(told) = account.told.as_ref().filter(|told| !told.allows(account.under_way, costs, least)) {
            let words = told.words();
            let message =
                format!("`{registry}` is not asked any more{words}, and `--min-remaining {least}` keeps them");
            let error = Error::new(Code::RateLimited, message).detail("limits", json!(told)).unsent();
            return Err(error.hint("run it again when there is more, or with a lower `--min-remaining`"));
        }
        account.under_way += u64::from(costs);
        Ok(account.answers)
    }

    /// Takes note of the answer to a request that was taken on after so many answers.
    pub fn end(&self, registry: &Registry, costs: bool, begun: u64, told: Option<Budget>) {
        let mut accounts = lock(&self.0);
        let account = opened(&mut accounts, registry);
        account.under_way = account.under_way.saturating_sub(u64::from(costs));
        // An answer that another one overtook may know of more than is left by now.
        let left = |budget: &Option<Budget>| budget.as_ref().and_then(|budget| budget.remaining);
        let known = left(&account.told).filter(|_| begun < account.answers);
        account.answers += 1;
        if told.is_some() && known.is_none_or(|known| left(&told).is_some_and(|left| left <= known)) {
            account.told = told;
        }
    }
}

fn opened<'a>(accounts: &'a mut Vec<LedgerEntry>, registry: &Registry) -> &'a mut LedgerEntry {
    let at = accounts.iter().position(|account| account.registry == *registry).unwrap_or_else(|| {
        accounts.push(LedgerEntry { registry: registry.clone(), told: None, under_way: 0, answers: 0 });
        accounts.len() - 1
    });
    &mut accounts[at]
}

/// Whether a request counts: Docker Hub counts the manifests that are read.
pub(super) fn is_pull(request: &Request) -> bool {
    request.method == Method::Get && request.url.path().contains("/manifests/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::http::Headers;

    #[test]
    fn an_answer_that_was_overtaken_does_not_raise_what_is_left() {
        let registry = Registry::parse("registry.example").unwrap();
        let told = |left: u64| {
            let mut headers = Headers::new();
            headers.push("ratelimit-remaining", left.to_string());
            Budget::read(&headers)
        };
        // What two requests side by side tell, in the order in which their answers come, and what the next one may keep.
        for (first, second, least, allowed) in [
            (told(5), told(50), 10, false),
            (told(50), told(5), 10, false),
            (told(5), None, 10, false),
            (None, told(50), 10, true),
            (told(50), told(49), 10, true),
        ] {
            let ledger = Ledger::default();
            let [one, other] = [(); 2].map(|()| ledger.begin(&registry, true, least).unwrap());
            ledger.end(&registry, true, one, first.clone());
            ledger.end(&registry, true, other, second.clone());
            let next = ledger.begin(&registry, false, least);
            assert_eq!(next.is_ok(), allowed, "{first:?} {second:?}");
            // Whoever asks after that is told of the window as it is.
            if let Ok(next) = next {
                ledger.end(&registry, false, next, told(100));
                assert!(ledger.begin(&registry, true, 99).is_ok());
            }
        }
    }
}
