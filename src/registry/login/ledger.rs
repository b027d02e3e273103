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
}

impl Ledger {
    /// Whether the registry has not been asked yet.
    pub fn is_new(&self, registry: &Registry) -> bool {
        !lock(&self.0).iter().any(|account| account.registry == *registry)
    }

    /// Takes a request on.
    ///
    /// # Errors
    /// `rate-limited` where less than `least` might be left after it.
    pub fn begin(&self, registry: &Registry, costs: bool, least: u64) -> Result<(), Error> {
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
        Ok(())
    }

    /// Takes note of the answer to a request that was taken on.
    pub fn end(&self, registry: &Registry, costs: bool, told: Option<Budget>) {
        let mut accounts = lock(&self.0);
        let account = opened(&mut accounts, registry);
        account.under_way = account.under_way.saturating_sub(u64::from(costs));
        account.told = told.or(account.told.take());
    }
}

fn opened<'a>(accounts: &'a mut Vec<LedgerEntry>, registry: &Registry) -> &'a mut LedgerEntry {
    let at = accounts.iter().position(|account| account.registry == *registry).unwrap_or_else(|| {
        accounts.push(LedgerEntry { registry: registry.clone(), told: None, under_way: 0 });
        accounts.len() - 1
    });
    &mut accounts[at]
}

/// Whether a request counts: Docker Hub counts the manifests that are read.
pub(super) fn is_pull(request: &Request) -> bool {
    request.method == Method::Get && request.url.path().contains("/manifests/")
}
