//! A crowd of promotions against the registry in memory, which remembers every move.

use crate::stage::{image, push};
use crate::support::crowd::{self, LINE, Said, VERSIONS, tag};
use crate::support::log::Asked;
use crate::support::registry::Registry;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const APP: &str = "acme/app";

/// Has writes of one tag that come close together take place with the older version last, which is what is to be told of.
#[derive(Default)]
struct Swap {
    desk: Mutex<SwapDesk>,
    changed: Condvar,
}

#[derive(Default)]
struct SwapDesk {
    /// The writes that have come and that nobody has met yet, by a number of their own, and whom each has met.
    alone: Option<usize>,
    met: HashMap<usize, usize>,
    /// The version of each write, by its number, and which have taken place.
    builds: Vec<u64>,
    done: Vec<usize>,
}

impl Swap {
    /// Waits a moment for another write, and for its end where it is of a newer version. Nothing depends on how long the
    /// moment is but how many meet.
    fn pass(&self, build: u64) {
        let mut desk = self.desk.lock().unwrap();
        let own = desk.builds.len();
        desk.builds.push(build);
        if let Some(other) = desk.alone.take() {
            desk.met.extend([(own, other), (other, own)]);
            self.changed.notify_all();
        } else {
            desk.alone = Some(own);
            let alone = |desk: &mut SwapDesk| !desk.met.contains_key(&own);
            desk = self.changed.wait_timeout_while(desk, Duration::from_millis(50), alone).unwrap().0;
            desk.alone = desk.alone.filter(|alone| *alone != own);
        }
        let newer = desk.met.get(&own).copied().filter(|other| desk.builds[*other] > build);
        if let Some(newer) = newer {
            let waits = |desk: &mut SwapDesk| !desk.done.contains(&newer);
            drop(self.changed.wait_timeout_while(desk, Duration::from_secs(5), waits).unwrap());
        }
    }

    fn passed(&self, build: u64) {
        let mut desk = self.desk.lock().unwrap();
        let first = (0..desk.builds.len()).find(|at| desk.builds[*at] == build && !desk.done.contains(at));
        desk.done.extend(first);
        self.changed.notify_all();
    }
}

fn build_of(body: &[u8]) -> u64 {
    (1..=VERSIONS).find(|build| image(&tag(*build)).bytes == body).unwrap()
}

#[test]
fn latest_and_a_floating_tag_end_at_the_newest_of_two_hundred_promotions_or_somebody_says_so() {
    let registry = Registry::start();
    let tags: Vec<String> = (1..=VERSIONS).map(tag).collect();
    push(&registry, APP, &tags.iter().map(String::as_str).collect::<Vec<_>>());
    registry.push(APP, "2026.34.0", &image("old"));
    let old = registry.resolve(APP, "2026.34.0").unwrap();
    registry.state(|state| ["latest", LINE].map(|name| state.tag(APP, name, &old)));
    let swaps = Arc::new(["latest", LINE].map(|name| (name, Swap::default())));
    let swapped = |asked: &Asked, swaps: &[(&str, Swap); 2], act: fn(&Swap, u64)| {
        let name = asked.path.rsplit('/').next().filter(|_| asked.method == "PUT");
        let swap = swaps.iter().find(|(known, _)| name == Some(known));
        swap.into_iter().for_each(|(_, swap)| act(swap, build_of(&asked.body)));
    };
    registry.gate({
        let swaps = swaps.clone();
        move |asked| swapped(asked, &swaps, Swap::pass)
    });
    registry.after(move |asked, _, _| swapped(asked, &swaps, Swap::passed));
    let all = crowd::promote(&registry.name(APP));
    for name in ["latest", LINE] {
        let end = registry.resolve(APP, name);
        crowd::check_end(&all, (1..=VERSIONS).find(|build| end == registry.resolve(APP, &tag(*build))));
        check_moves(&registry, name, &all);
    }
}

fn check_moves(registry: &Registry, name: &str, all: &[Said]) {
    let (log, path) = (registry.log(), format!("/{name}"));
    let written = log.0.iter().filter(|one| one.asked.method == "PUT" && one.asked.path.ends_with(&path));
    let order: Vec<u64> = written.map(|one| build_of(&one.asked.body)).collect();
    let older: Vec<&[u64]> = order.windows(2).filter(|pair| pair[1] < pair[0]).collect();
    assert!(!older.is_empty(), "`{name}` has nothing to tell of: {order:?}");
    // Where an older version was written over a newer one, somebody says so.
    for pair in older {
        let said: Vec<&Said> = all.iter().filter(|said| pair.contains(&said.build)).collect();
        assert!(said.iter().any(|said| said.is_told()), "{} went unseen over {}: {said:#?}", pair[1], pair[0]);
    }
    println!("{} requests; `{name}` was written in this order: {order:?}", log.count());
}
