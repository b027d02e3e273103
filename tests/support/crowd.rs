//! Two hundred promotions of twenty versions of one repository, many at once, with `latest` and a floating tag, and what
//! they may say.

use super::cmd::{Ran, tagwright};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// How many versions there are; each is promoted as often as makes [`RUNS`].
pub const VERSIONS: u64 = 20;
/// How many promotions there are.
pub const RUNS: u64 = 200;
/// How many of them at once.
const AT_ONCE: usize = 16;

/// The tag that floats on their line.
pub const LINE: &str = "2026.34";

/// The tag of a version.
pub fn tag(build: u64) -> String {
    format!("2026.34.{build}")
}

/// What one of them said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The version it promoted.
    pub build: u64,
    /// What became of `latest`, or the code of the error.
    pub what: String,
    /// The same of the tag that floats.
    pub line: String,
    /// The codes of its warnings.
    pub warnings: Vec<String>,
}

impl Said {
    /// Whether it says that it was not alone, or did nothing.
    pub fn is_told(&self) -> bool {
        let is_lost = |what: &String| ["superseded", "raced"].contains(&what.as_str());
        is_lost(&self.what) || is_lost(&self.line) || self.warnings.iter().any(|code| code == "overlapped")
    }
}

/// Checks what is guaranteed of the end, see decision 12: a moving tag holds the newest version, or a run of the newest or of
/// the one that it holds has said that they overlapped.
pub fn check_end(all: &[Said], held: Option<u64>) {
    let held = held.expect("a version");
    let says = |said: &&Said| said.what == "raced" || said.warnings.iter().any(|code| code == "overlapped");
    let about: Vec<&Said> = all.iter().filter(|said| [held, VERSIONS].contains(&said.build)).collect();
    assert!(held == VERSIONS || about.iter().any(says), "`latest` is at {held} without a word: {about:#?}");
}

/// Promotes all of them, in an order that is the same every time.
///
/// Each is refused, raced or superseded, or warns, or found `latest` in its place, or moved it forward.
pub fn promote(repository: &str) -> Vec<Said> {
    let began = Instant::now();
    // Rising on the whole, and mixed up within five versions, so that there is a race from the first to the last.
    let version = |i: u64| (i * VERSIONS / RUNS + i * 7 % 11).clamp(5, VERSIONS + 4) - 4;
    let queue: Mutex<Vec<u64>> = Mutex::new((0..RUNS).map(version).rev().collect());
    let all: Mutex<Vec<Said>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(build) = queue.lock().unwrap().pop() else { return };
                    let source = format!("{repository}:{}", tag(build));
                    let words = ["--to", "{version}-rc", "--move", "latest", "--move", "{major}.{minor}"];
                    let ran = tagwright(["promote", &source]).args(words).run();
                    all.lock().unwrap().push(read(build, &ran));
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    assert_eq!(all.len() as u64, RUNS);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for said in &all {
        *counts.entry(format!("{} {}", said.what, said.warnings.join(" ")).trim_end().to_owned()).or_default() += 1;
    }
    println!("{RUNS} promotions of {VERSIONS} versions, {AT_ONCE} at once, in {:.1?}: {counts:?}", began.elapsed());
    all
}

fn read(build: u64, ran: &Ran) -> Said {
    let document = ran.json();
    let list = document["warnings"].as_array().unwrap();
    let warnings = list.iter().map(|warning| warning["code"].as_str().unwrap().to_owned()).collect();
    if document["ok"] == false {
        let what = ran.code();
        assert!(["downgrade-refused", "raced"].contains(&what.as_str()), "{ran}");
        return Said { build, line: what.clone(), what, warnings };
    }
    let tags = document["result"]["tags"].as_array().unwrap();
    let [what, line] = ["latest", LINE].map(|name| moved(build, tags.iter().find(|tag| tag["tag"] == name), ran));
    Said { build, what, line, warnings }
}

/// What became of a moving tag, which goes forward.
fn moved(build: u64, tag: Option<&Value>, ran: &Ran) -> String {
    let tag = tag.unwrap();
    let what = tag["action"].as_str().unwrap().to_owned();
    if what == "moved" {
        let before = tag["beforeVersion"].as_str().unwrap_or_else(|| panic!("moved from where? {ran}"));
        let before: u64 = before.rsplit('.').next().unwrap().parse().unwrap();
        assert!(before < build, "{ran}");
    }
    what
}
