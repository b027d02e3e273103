//! How many requests one server is sent at once, whoever in this run sends them.

use crate::threads::{WIDTH, lock};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a request waits for others to be answered. It goes then all the same: what is under way may wait for it, as a
/// blob that is read does for the upload that takes it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The servers that are being asked, with how many requests each has not answered yet.
#[derive(Default)]
pub struct Gate {
    busy: Mutex<Vec<(String, usize)>>,
    left: Condvar,
}

/// One request under way, until its answer is read.
pub struct Pass {
    gate: Arc<Gate>,
    server: String,
}

impl Gate {
    /// Waits until the server has an answer less to give than it may be asked for at once.
    pub fn enter(self: &Arc<Self>, server: String) -> Pass {
        let is_full =
            |busy: &mut Vec<(String, usize)>| busy.iter().any(|(one, count)| *one == server && *count >= WIDTH);
        let busy = self.left.wait_timeout_while(lock(&self.busy), PATIENCE, is_full);
        let mut busy = busy.unwrap_or_else(PoisonError::into_inner).0;
        match busy.iter_mut().find(|(one, _)| *one == server) {
            Some((_, count)) => *count += 1,
            None => busy.push((server.clone(), 1)),
        }
        Pass { gate: self.clone(), server }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut busy = lock(&self.gate.busy);
        busy.iter_mut().filter(|(one, _)| *one == self.server).for_each(|(_, count)| *count -= 1);
        self.gate.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn sixteen_at_once_ask_one_server_and_others_are_not_kept_waiting() {
        let gate = Arc::new(Gate::default());
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    let _pass = gate.enter("a".to_owned());
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    while most.load(Ordering::SeqCst) < WIDTH {
                        std::thread::yield_now();
                    }
                    drop(gate.enter("b".to_owned()));
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), WIDTH);
        assert!(lock(&gate.busy).iter().all(|(_, count)| *count == 0));
    }
}
