//! One blob on its way to two registries at once: how often its source is read, and what a fault of one of them does to
//! the other.

use super::transfer::{Case, remote, spoil};
use crate::support::log::Asked;
use crate::support::registry::{Options, Registry};
use crate::support::reply::{Fault, Reply};
use crate::support::text::digest;
use crate::support::uploads::Blobs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;
use tagwright::error::{Code, Error};
use tagwright::pure::auth::scope::Action;
use tagwright::pure::image::repository::Repository;
use tagwright::registry::fan_out;
use tagwright::threads;

/// A source and two targets.
struct Fan {
    case: Case,
    second: Registry,
}

/// What came of it at each target, and how many bytes were told to be on their way.
type Outcome = (Vec<Result<(), Error>>, u64);

impl Fan {
    fn new(size: usize) -> Self {
        Self::with(size, Blobs::default(), Blobs::default())
    }

    fn with(size: usize, from: Blobs, second: Blobs) -> Self {
        let second = Registry::with(Options { blobs: second, ..Options::default() });
        Self { case: Case::with(size, from, Blobs::default()), second }
    }

    fn targets(&self) -> [&Registry; 2] {
        [&self.case.target, &self.second]
    }

    fn run(&self) -> Outcome {
        self.run_while(|_| true)
    }

    /// Runs as long as so many bytes are wanted.
    fn run_while(&self, wanted: impl Fn(u64) -> bool + Sync) -> Outcome {
        let worlds = [self.case.world(), self.case.world(), self.case.world()];
        let [from, to, other] = worlds.each_ref().map(|world| self.case.client(world));
        let name = |registry: &Registry, path: &str| Repository::parse(&registry.name(path)).unwrap();
        let source = remote(&from, &name(&self.case.source, "from/app"), Action::Pull);
        let first = remote(&to, &name(&self.case.target, "to/app"), Action::Push);
        let second = remote(&other, &name(&self.second, "to/app"), Action::Push);
        let moved = AtomicU64::new(0);
        let outcomes = fan_out(&source, &[(&first, None), (&second, None)], &self.case.descriptor(), &|count| {
            wanted(moved.fetch_add(count, Ordering::SeqCst) + count)
        });
        (outcomes, moved.load(Ordering::SeqCst))
    }

    fn arrived(&self) -> [bool; 2] {
        let key = digest(&self.case.bytes);
        self.targets().map(|target| {
            target.state(|state| {
                assert_eq!(state.uploads.open(), 0, "no upload is left open");
                let home = state.repositories.get("to/app");
                home.is_some_and(|home| home.blobs.get(&key) == Some(&self.case.bytes))
            })
        })
    }

    /// Both copies succeed and tell every byte once for each.
    fn succeeds(&self, what: &str) {
        let (outcomes, moved) = self.run();
        let lines = [&self.case.source, &self.case.target, &self.second].map(|one| one.log().lines());
        assert_eq!(outcomes, [Ok(()), Ok(())], "{what}: {lines:#?}");
        assert_eq!(self.arrived(), [true, true], "{what}: {lines:#?}");
        assert_eq!(moved, 2 * self.case.bytes.len() as u64, "{what}: {lines:#?}");
    }

    /// The ranges in which the source was read.
    fn ranges(&self) -> Vec<Option<String>> {
        let gets = self.case.asked(&self.case.source, "GET");
        gets.iter().map(|asked| asked.header("Range").map(str::to_owned)).collect()
    }
}

/// Lets nothing but the head of uploads to one registry be read until the other has ended its own.
fn hold_until_ended(held: &Registry, other: &Registry) {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let opened = gate.clone();
    other.after(move |asked, _, _| {
        if asked.method == "PUT" {
            *opened.0.lock().unwrap() = true;
            opened.1.notify_all();
        }
    });
    let waits = move |asked: &Asked| {
        if asked.method == "PUT" {
            let _open = gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open).unwrap();
        }
        false
    };
    held.cut_where(1, waits, 0, false, Reply::status(500));
}

#[test]
fn a_blob_is_read_once_for_two_targets() {
    for size in [0, 1, 70_000, 3_000_000] {
        let fan = Fan::new(size);
        fan.succeeds(&size.to_string());
        assert_eq!(fan.case.source.log().count(), usize::from(size > 0));
        assert!(fan.targets().iter().all(|target| target.log().count() == 2), "begun and ended");
    }
}

#[test]
fn one_that_keeps_the_other_waiting_goes_on_alone_from_its_place() {
    let fan = Fan::new(24_000_000);
    hold_until_ended(&fan.second, &fan.case.target);
    fan.succeeds("one is held");
    let ranges = fan.ranges();
    assert!(ranges.len() == 2 && ranges[0].is_none() && ranges[1].is_some(), "{ranges:?}");
    assert!(fan.targets().iter().all(|target| target.log().method("PUT") == 1), "neither is begun anew");
}

#[test]
fn an_upload_that_breaks_is_begun_anew_and_the_other_does_not_notice() {
    for (size, reads) in [(3_000_000, 2), (300_000, 1)] {
        let fan = Fan::new(size);
        fan.second.cut(1, "PUT", "/blobs/uploads/", size / 3, false, Reply::status(503));
        fan.succeeds("cut");
        assert_eq!(fan.ranges().len(), reads, "what fits into the window is not read again: {:?}", fan.ranges());
        assert_eq!(fan.targets().map(|target| target.log().method("PUT")), [1, 2]);
    }
}

#[test]
fn chunks_that_break_are_gone_on_with() {
    for (size, reads) in [(1_500_000, 2), (400_000, 1)] {
        let blobs = Blobs { limit: Some(size - 1), chunk_min: Some(size / 3), ..Blobs::default() };
        let fan = Fan::with(size, Blobs::default(), blobs);
        fan.second.cut(1, "PATCH", "/blobs/uploads/", size / 5, true, Reply::status(503));
        fan.succeeds("in chunks");
        assert!(fan.ranges().len() >= reads && (reads > 1 || fan.ranges().len() == 1), "{:?}", fan.ranges());
        assert_eq!(fan.targets()[0].log().count(), 2, "the other is sent the whole");
    }
}

#[test]
fn a_chunk_that_breaks_late_is_not_read_again_from_the_beginning_of_the_blob() {
    let blobs = Blobs { limit: Some(3_999_999), chunk_min: Some(2_000_000), ..Blobs::default() };
    let fan = Fan::with(4_000_000, Blobs::default(), blobs);
    let second = |asked: &Asked| asked.header("Content-Range").is_some_and(|range| range.starts_with("2000000-"));
    fan.second.cut_where(1, second, 1_000_000, false, Reply::status(503));
    fan.succeeds("in chunks");
    // More is taken already than the window holds, and hashes are known near the place of the chunk.
    let ranges = fan.ranges();
    let begins = |range: &String| range.strip_prefix("bytes=")?.split('-').next()?.parse::<u32>().ok();
    let begins: Vec<u32> = ranges.iter().flatten().filter_map(begins).collect();
    assert!(begins.iter().any(|at| (1_500_000..=2_000_000).contains(at)), "{ranges:?}");
}

#[test]
fn a_target_that_takes_short_chunks_alone_does_not_keep_the_other_from_the_whole() {
    let fan = Fan::with(3_000_000, Blobs::default(), Blobs { limit: Some(800_000), ..Blobs::default() });
    fan.succeeds("in short chunks");
    let chunks: Vec<usize> = fan.case.asked(&fan.second, "PATCH").iter().map(|asked| asked.length).collect();
    assert_eq!(chunks, [3_000_000, 1_500_000, 750_000, 750_000, 750_000, 750_000]);
    assert_eq!(fan.targets()[0].log().count(), 2, "the other is sent the whole");
}

#[test]
fn a_source_that_breaks_is_read_on_for_both() {
    for no_ranges in [false, true] {
        let fan = Fan::with(2_000_000, Blobs { no_ranges, ..Blobs::default() }, Blobs::default());
        spoil(&fan.case.source, 2, |count, reply| {
            let at = if reply.status == 206 { reply.body.len() / 2 } else { 400_000 * (count + 1) };
            *reply = reply.clone().fault(Fault::CloseAfter(at));
        });
        fan.succeeds("broken");
        let ranges = fan.ranges();
        assert!(ranges.len() == 3 && ranges[0].is_none() && ranges[1..].iter().all(Option::is_some), "{ranges:?}");
        assert_eq!(fan.targets().map(|target| target.log().method("PUT")), [1, 1], "the targets notice nothing");
    }
}

#[test]
fn content_that_is_not_what_it_should_be_is_committed_nowhere() {
    for (size, at) in [(300_000, 299_999), (3_000_000, 0)] {
        let fan = Fan::new(size);
        spoil(&fan.case.source, 99, move |_, reply| reply.body[at] ^= 1);
        let (outcomes, _) = fan.run();
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            assert_eq!(error.code(), Code::DigestMismatch, "{error}");
            assert!(error.to_string().contains("from/app` is not what its digest says"), "{error}");
        }
        assert_eq!(fan.arrived(), [false, false]);
        let key = digest(&fan.case.bytes);
        assert!(fan.targets().iter().all(|target| target.traffic(&key).uploads == 0), "nothing was ended");
    }
}

#[test]
fn content_that_spoils_for_one_alone_is_not_committed_there() {
    let fan = Fan::new(24_000_000);
    hold_until_ended(&fan.second, &fan.case.target);
    spoil(&fan.case.source, 99, |_, reply| {
        if reply.status == 206 {
            *reply.body.last_mut().unwrap() ^= 1;
        }
    });
    let (outcomes, _) = fan.run();
    assert_eq!(outcomes[0], Ok(()));
    assert_eq!(outcomes[1].as_ref().unwrap_err().code(), Code::DigestMismatch);
    assert_eq!(fan.arrived(), [true, false]);
}

#[test]
fn a_target_that_refuses_does_not_keep_the_other_from_its_blob() {
    let fan = Fan::new(3_000_000);
    fan.case.target.fail(99, "POST", "/blobs/uploads/", Reply::error(403, "DENIED", "you may not"));
    let (outcomes, moved) = fan.run();
    assert_eq!(outcomes[0].as_ref().unwrap_err().code(), Code::Denied);
    assert_eq!((&outcomes[1], fan.arrived(), moved), (&Ok(()), [false, true], 3_000_000));
    assert_eq!(fan.ranges(), [None]);
}

#[test]
fn a_blob_that_is_missing_is_said_before_anything_is_sent_to_either() {
    let fan = Fan::new(1000);
    fan.case.source.state(|state| state.repositories.get_mut("from/app").unwrap().blobs.clear());
    let (outcomes, _) = fan.run();
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().code() == Code::BlobMissing));
    assert!(fan.targets().iter().all(|target| target.log().method("PUT") == 0));
    assert_eq!((fan.arrived(), fan.case.source.log().count()), ([false, false], 1));
}

#[test]
fn whoever_does_not_want_more_stops_both() {
    let fan = Fan::new(24_000_000);
    let (outcomes, moved) = fan.run_while(|moved| moved < 1_000_000);
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().code() == Code::Internal), "{outcomes:?}");
    assert!(moved < 2_000_000, "{moved}");
    assert_eq!(fan.arrived(), [false, false]);
}

#[test]
fn whoever_does_not_want_more_stops_what_is_sent_again() {
    let (fan, wanted) = (Fan::new(300_000), Arc::new(AtomicBool::new(true)));
    for target in fan.targets() {
        let told = wanted.clone();
        target.before(move |asked, _| {
            let ends = asked.method == "PUT";
            told.fetch_and(!ends, Ordering::SeqCst);
            ends.then(|| Reply::status(503))
        });
    }
    let (outcomes, _) = fan.run_while(|_| wanted.load(Ordering::SeqCst));
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().code() == Code::Internal), "{outcomes:?}");
}

#[test]
fn a_target_that_begins_late_takes_what_it_has_missed_from_the_source() {
    // What fits into the window is there, and whoever has all of it in chunks waits for nobody.
    let chunks = Blobs { limit: Some(399_999), chunk_min: Some(100_000), ..Blobs::default() };
    for (size, early, reads) in [(3_000_000, Blobs::default(), 2), (400_000, chunks, 1)] {
        let fan = Fan::with(size, Blobs::default(), early);
        let ended = Arc::new((Mutex::new(false), Condvar::new()));
        let told = ended.clone();
        fan.second.after(move |asked, _, reply| {
            if asked.method == "PUT" && reply.status == 201 {
                *told.0.lock().unwrap() = true;
                told.1.notify_all();
            }
        });
        fan.case.target.gate(move |asked| {
            if asked.method == "POST" {
                let most = Duration::from_secs(20);
                let wait = ended.1.wait_timeout_while(ended.0.lock().unwrap(), most, |ended| !*ended);
                assert!(!wait.unwrap().1.timed_out(), "the other one ends first");
            }
        });
        fan.succeeds("late");
        assert_eq!(fan.ranges(), vec![None; reads]);
    }
}

#[test]
fn a_source_that_takes_its_time_is_waited_for_by_both() {
    let fan = Fan::new(300_000);
    spoil(&fan.case.source, 1, |_, reply| reply.delay = Duration::from_secs(3));
    fan.succeeds("slow");
    assert_eq!(fan.ranges(), [None]);
}

#[test]
fn where_no_thread_is_left_one_target_comes_after_the_other() {
    for (size, reads) in [(3_000_000, 2), (512 << 10, 1)] {
        let (fan, all) = (Fan::new(size), Barrier::new(threads::WIDTH));
        let one = |number: &usize| {
            all.wait();
            if *number == 0 {
                assert_eq!(threads::free(), 0);
                fan.succeeds("one after the other");
            }
            all.wait();
            Ok(())
        };
        threads::map(&(0..threads::WIDTH).collect::<Vec<_>>(), one).unwrap();
        assert_eq!(fan.ranges().len(), reads);
    }
}

#[test]
fn more_targets_than_there_are_threads_take_a_reading_for_each_sixteen() {
    for (size, reads) in [(3_000_000, 2), (300_000, 1)] {
        let fan = Fan::new(size);
        let (here, there) = (fan.case.world(), fan.case.world());
        let (from, to) = (fan.case.client(&here), fan.case.client(&there));
        let name = |registry: &Registry, path: &str| Repository::parse(&registry.name(path)).unwrap();
        let source = remote(&from, &name(&fan.case.source, "from/app"), Action::Pull);
        let place = |number: usize| name(fan.targets()[number % 2], &format!("to/app-{number}"));
        let targets: Vec<_> = (0..20).map(|number| (remote(&to, &place(number), Action::Push), None)).collect();
        let targets: Vec<_> = targets.iter().map(|(target, upload)| (target, upload.clone())).collect();
        let outcomes = fan_out(&source, &targets, &fan.case.descriptor(), &|_| true);
        assert!(outcomes.len() == 20 && outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        let ended = fan.targets().map(|target| target.traffic(&digest(&fan.case.bytes)).uploads);
        assert_eq!((ended, fan.ranges().len()), ([10, 10], reads), "{:?}", fan.ranges());
    }
}
