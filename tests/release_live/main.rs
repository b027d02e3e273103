//! Releases between real registries that take their time: killed again and again, and with a blob that would not fit into
//! memory.
//!
//! Runs by name only, `make release-live`; a server or tool that is missing fails the tests.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests meet the world")]

#[allow(dead_code, reason = "the other tests need more of it")]
#[path = "../live/fleet.rs"]
mod fleet;
#[allow(dead_code, reason = "the other tests need more of it")]
#[path = "../live/stage.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;

use fleet::{Fleet, IMAGES, TAG, actions};
use stage::{Door, Program, Stage};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::Duration;
use support::cmd::tagwright;
use support::relay::Relay;
use support::release::push_large;
use support::whole::whole;

const KILLS: u64 = 30;
/// The numbers that decide when to kill come from this one, so that a run can be repeated.
const SEED: u64 = 20_261_127;
const LARGE: u64 = 256 << 20;
/// As much memory as a copy may take, in KiB.
const MEMORY: u64 = 16 << 10;

#[test]
fn a_release_that_is_killed_is_finished_by_running_it_again() {
    let fleet = Fleet::start();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: String| folder.path().join(name);
    fleet.list(&file("whole.json".to_owned()), "acme/whole");
    fleet.clear();
    let asked = || fleet.targets.iter().map(|target| target.asked().len() as u64).sum::<u64>();
    fleet.release(&file("whole.json".to_owned()), &file("whole.jsonl".to_owned())).run().result();
    let requests = asked();
    fleet.check_whole("acme/whole", "not killed");

    let (mut random, mut ends) = (SEED, [0; 4]);
    for number in 1..=KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (moment, wait) = (random % requests, Duration::from_micros(random / requests % 3000));
        let (place, list) = (format!("acme/killed-{number}"), file(format!("{number}.json")));
        fleet.list(&list, &place);
        let record = file(format!("{number}.jsonl"));
        fleet.clear();
        let mut child = fleet.release(&list, &record).start();
        while asked() < moment && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(wait);
        let _ = child.kill();
        let status = child.wait().unwrap();

        let what = format!("killed at request {moment} after {wait:?}, number {number}");
        let (mut fixed, mut moved) = (0, 0);
        for stage in &fleet.to {
            for image in 0..IMAGES {
                let repository = format!("{place}/image-{image}");
                for tag in stage.client.tags(&repository) {
                    // The list names a tag as soon as the registry begins to write it.
                    if stage.client.digest(&repository, &tag).is_some() {
                        whole(&stage.client, &repository, &tag).unwrap_or_else(|why| panic!("{what}: {tag}: {why}"));
                        fixed += usize::from(tag == TAG);
                        moved += usize::from(tag == "latest");
                    }
                }
            }
        }
        assert!(moved == 0 || fixed == 2 * IMAGES, "{what}: {moved} tags were moved before all {fixed} others stood");
        ends[match (status.signal(), fixed, moved) {
            (None, ..) => 3,
            (_, 0, _) => 0,
            (_, _, 0) => 1,
            _ => 2,
        }] += 1;

        let ran = fleet.release(&list, &record).run();
        assert_eq!(ran.exit, Some(0), "{what}: {ran}");
        fleet.check_whole(&place, &what);
        let again = fleet.release(&list, &record).run();
        assert_eq!(actions(&again, "latest"), [("unchanged".to_owned(), 2 * IMAGES)], "{what}: {again}");
    }
    let [none, some, done, late] = ends;
    let _ = writeln!(
        std::io::stderr(),
        "seed {SEED}: of {KILLS} kills within {requests} requests, {none} before any tag, {some} among the fixed tags, \
         {done} among the moved ones, {late} after the end"
    );
    assert!(late <= KILLS / 5, "only {} of {KILLS} runs were killed", KILLS - late);
}

#[test]
fn a_large_blob_is_read_once_for_two_registries_in_little_memory() {
    let from = Stage::start(Program::Three, Door::Open);
    let to = [Stage::start(Program::Debian, Door::Open), Stage::start(Program::Olareg, Door::Open)];
    push_large(&from.client, "acme/build", TAG, 1, LARGE, 5);
    let content = whole(&from.client, "acme/build", TAG).unwrap();
    let source = Relay::start(from.live.host());
    let [first, second] = to.each_ref().map(|stage| stage.live.name("acme/release"));
    let image = format!("{}:{TAG}", source.name("acme/build"));
    let mut child = tagwright(["promote", &image, "--into", &first, "--into", &second, "--to", "{tag}"]).start();
    let peak = peak_memory(&mut child);
    assert!(child.wait().unwrap().success());
    for stage in &to {
        assert_eq!(whole(&stage.client, "acme/release", TAG).as_ref(), Ok(&content));
    }
    let (layer, size) = content.blobs.iter().max_by_key(|(_, size)| **size).unwrap();
    let reads = source.count(&["GET"], layer);
    let _ = writeln!(std::io::stderr(), "{size} bytes into two registries: read {reads} times, {peak} KiB of memory");
    assert!(*size >= LARGE / 2 && reads == 1, "{:#?}", source.asked());
    assert!(peak > 0 && peak < MEMORY, "{peak} KiB");
}

/// The most memory that a program ever had while it ran, in KiB.
fn peak_memory(child: &mut Child) -> u64 {
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}
