//! Every order in which two or three promotions can take place, explored in a model of the protocol.
//!
//! A step of the model is one request, and takes place at once. What a run does after it has written is decided by the
//! program's own `pure::promote::race`; the rest of the protocol is small enough to be written down again here, and
//! `interleavings` puts the real code through the same orders.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use tagwright::pure::promote::race::{Finding, Overlap, READS, Reading, Ruling, Watch};
use tagwright::pure::version::scheme::Version;

/// Nothing that a run promotes, and older than all of that.
const OLD: u8 = 0;

/// One command line: a version, and whether it names a `--to` tag.
#[derive(Clone, Copy, Debug)]
struct Line {
    version: u8,
    to: bool,
    /// Whether it leaves its moving tag at a newer version in place of a refusal.
    yields: bool,
}

/// What is explored.
#[derive(Clone, Debug)]
struct Setup {
    lines: Vec<Line>,
    /// The versions whose `--to` tag is there already, a bit each.
    tagged: u8,
    /// Whether each run moves a tag that floats on its line, odd versions one and even ones another, in place of one
    /// that all move.
    floating: bool,
    /// How many runs may be killed, at any point.
    kills: u8,
    /// Whether a run that was killed is started again.
    restart: bool,
    /// Whether the first look at the moving tag may show what it was in the beginning.
    stale: bool,
    /// How often a tag is read at most while another run is waited for.
    reads: usize,
    /// What is wrong with the protocol, if anything.
    flaw: Option<Flaw>,
}

/// A protocol that is not the program's, to see that the exploration finds what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    NoSecondList,
    TagsAfterTheLook,
    OlderIsNoMatter,
    NewerIsNoMatter,
    OwnLineIsNoMatter,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    /// The first look: list, `--to` tag and moving tag side by side, in any order.
    Look {
        list: bool,
        to: bool,
        moving: bool,
    },
    Tag,
    LookAgain,
    /// Nothing was written since the first look: a run whose look is fresh moves at once, another looks again.
    LookOrMove,
    Move,
    /// Reading back, with the list or without, in any order.
    Back {
        list: bool,
        moving: bool,
    },
    End(End),
}

/// What a run said in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    /// Moved, or unchanged, and not a word more.
    Plain,
    Superseded,
    Overlapped,
    Unverified,
    Refused,
    Kept,
    Raced,
    Killed,
}

/// A run. What it needs no more is set back, so that states that differ in nothing else are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Run {
    at: At,
    /// The versions tagged in the first list.
    first: u8,
    has_tag: bool,
    before: u8,
    now: u8,
    reads: u8,
    newer: u8,
    older: u8,
    /// Which of the watches of the exploration.
    watch: u16,
    wrote: bool,
    /// Whether it made a tag that was not in its first list.
    announced: bool,
}

const START: Run = Run {
    at: At::Look { list: false, to: false, moving: false },
    first: 0,
    has_tag: false,
    before: OLD,
    now: OLD,
    reads: 0,
    newer: 0,
    older: 0,
    watch: 0,
    wrote: false,
    announced: false,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    /// What the moving tags hold.
    held: [u8; 2],
    tagged: u8,
    killed: u8,
    /// Whether one of them had written.
    fell: bool,
    runs: [Run; 3],
}

/// What an exploration came to.
#[derive(Debug, Default)]
struct Found {
    states: usize,
    endings: usize,
    /// Endings in which `latest` is older than it should be and nobody said so, though the runs made their tags.
    silent: Vec<String>,
    /// The same where a run made no tag, so that nobody could see it.
    unseen: usize,
    /// Endings in which `latest` is older than it should be, and somebody said so.
    told: usize,
    plain: usize,
}

/// Every watch met so far.
struct Watches {
    all: Vec<Watch>,
    numbers: HashMap<Watch, u16>,
}

/// Hashing is most of the work, and nobody chooses states so that they collide.
#[derive(Default)]
struct Fold(u64);

impl Fold {
    fn add(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }

    fn write_u8(&mut self, number: u8) {
        self.add(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.add(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }
}

/// A setup while it is explored.
struct Exploration<'s> {
    setup: &'s Setup,
    watches: RefCell<Watches>,
}

fn version(number: u8) -> Version {
    Version::of(1, 0, u64::from(number))
}

fn bits(mask: u8) -> impl Iterator<Item = u8> {
    (1..8).filter(move |version| mask & bit(*version) != 0)
}

impl Exploration<'_> {
    fn start(&self) -> State {
        let mut runs = [Run { at: At::End(End::Refused), ..START }; 3];
        runs[..self.setup.lines.len()].fill(START);
        State { held: [OLD; 2], tagged: self.setup.tagged, killed: 0, fell: false, runs }
    }

    fn watch(&self, watch: Watch) -> u16 {
        let mut watches = self.watches.borrow_mut();
        let next = u16::try_from(watches.all.len()).unwrap();
        let number = *watches.numbers.entry(watch).or_insert(next);
        if number == next {
            watches.all.push(watch);
        }
        number
    }

    /// Every state that one more request of one run leads to.
    fn steps(&self, state: &State) -> Vec<(&'static str, u8, State)> {
        let mut all = Vec::new();
        for i in 0..self.setup.lines.len() {
            let run = &state.runs[i];
            let version = self.setup.lines[i].version;
            let slot = self.slot(version);
            let who = u8::try_from(i).unwrap();
            let mut add = |what: &'static str, change: &dyn Fn(&mut State)| {
                let mut next = *state;
                change(&mut next);
                all.push((what, who, next));
            };
            match run.at {
                At::End(_) => continue,
                At::Look { list, to, moving } => {
                    if !list {
                        add("list", &|s| {
                            s.runs[i].first = s.tagged;
                            self.looked(s, i, At::Look { list: true, to, moving });
                        });
                    }
                    if !to && self.setup.lines[i].to {
                        add("look at --to", &|s| {
                            s.runs[i].has_tag = s.tagged & bit(version) != 0;
                            self.looked(s, i, At::Look { list, to: true, moving });
                        });
                    }
                    if !moving {
                        let stale = (self.setup.stale && state.held[slot] != OLD).then_some(OLD);
                        for value in [Some(state.held[slot]), stale].into_iter().flatten() {
                            add("look", &|s| {
                                s.runs[i].before = value;
                                self.looked(s, i, At::Look { list, to, moving: true });
                            });
                        }
                    }
                }
                At::Tag => add("--to", &|s| {
                    s.tagged |= bit(version);
                    let run = &mut s.runs[i];
                    run.announced = run.first & bit(version) == 0;
                    run.at = match self.setup.flaw {
                        // Where all that moves is kept, nothing is looked at again.
                        _ if run.before > version => At::End(End::Kept),
                        Some(Flaw::TagsAfterTheLook) => At::Move,
                        _ => At::LookAgain,
                    };
                    if let At::End(said) = run.at {
                        end(run, said);
                    }
                }),
                At::LookAgain => add("look again", &|s| self.look_again(s, i)),
                At::LookOrMove => {
                    add("look again", &|s| self.look_again(s, i));
                    add("move", &|s| self.write(s, i));
                }
                At::Move => add("move", &|s| self.write(s, i)),
                At::Back { list, moving } => {
                    if !list {
                        add("list again", &|s| {
                            self.list_again(s, i);
                            self.read_back(s, i, At::Back { list: true, moving });
                        });
                    }
                    if !moving {
                        add("read back", &|s| {
                            s.runs[i].now = s.held[slot];
                            self.read_back(s, i, At::Back { list, moving: true });
                        });
                    }
                }
            }
            if state.killed < self.setup.kills {
                add("killed", &|s| {
                    s.killed += 1;
                    s.fell |= s.runs[i].wrote;
                    if self.setup.restart {
                        s.runs[i] = START;
                    } else {
                        end(&mut s.runs[i], End::Killed);
                    }
                });
            }
        }
        all
    }

    /// Which tag a version moves.
    fn slot(&self, version: u8) -> usize {
        usize::from(self.setup.floating && version.is_multiple_of(2))
    }

    /// The versions whose runs write the tag that this one moves.
    fn rivals(&self, version: u8) -> u8 {
        let is_flawed = self.setup.flaw == Some(Flaw::OwnLineIsNoMatter);
        let same = |other: &u8| (self.slot(*other) == self.slot(version)) != is_flawed;
        (1..8).filter(same).map(bit).sum()
    }

    fn lists(&self, i: usize) -> bool {
        self.setup.lines[i].to && self.setup.flaw != Some(Flaw::NoSecondList)
    }

    /// `Overlap::of` in bits.
    fn list_again(&self, state: &mut State, i: usize) {
        let own = self.setup.lines[i].version;
        let (run, tagged) = (&mut state.runs[i], state.tagged & self.rivals(own));
        let new = tagged & !run.first;
        let newer = if run.announced { new } else { tagged };
        if self.setup.flaw != Some(Flaw::NewerIsNoMatter) {
            run.newer = bits(newer).filter(|v| *v > own).max().unwrap_or(0);
        }
        if self.setup.flaw != Some(Flaw::OlderIsNoMatter) {
            run.older = new & (bit(own) - 1);
        }
    }

    /// Goes on from the first look when all of it is there.
    fn looked(&self, state: &mut State, i: usize, at: At) {
        let (line, run) = (self.setup.lines[i], &mut state.runs[i]);
        run.at = at;
        let At::Look { list: true, to, moving: true } = at else { return };
        if line.to && !to {
            return;
        }
        let tags = line.to && !std::mem::take(&mut run.has_tag);
        match run.before {
            before if before > line.version && !line.yields => end(run, End::Refused),
            before if before > line.version && !tags => end(run, End::Kept),
            before if before == line.version && !tags => {
                let newer = self.lists(i) && bits(run.first & self.rivals(line.version)).any(|v| v > line.version);
                end(run, if newer { End::Overlapped } else { End::Plain });
            }
            _ if tags && self.setup.flaw != Some(Flaw::TagsAfterTheLook) => run.at = At::Tag,
            _ if self.setup.flaw == Some(Flaw::TagsAfterTheLook) => run.at = At::LookAgain,
            _ => run.at = At::LookOrMove,
        }
    }

    fn write(&self, state: &mut State, i: usize) {
        let version = self.setup.lines[i].version;
        state.held[self.slot(version)] = version;
        let run = &mut state.runs[i];
        (run.wrote, run.reads) = (true, 0);
        run.at = At::Back { list: !self.lists(i), moving: false };
    }

    fn look_again(&self, state: &mut State, i: usize) {
        let (line, now) = (self.setup.lines[i], state.held[self.slot(self.setup.lines[i].version)]);
        let run = &mut state.runs[i];
        let late = self.setup.flaw == Some(Flaw::TagsAfterTheLook) && line.to && state.tagged & bit(line.version) == 0;
        // What is in its place at the first look is not looked at again.
        if run.before != line.version {
            run.before = now;
        }
        match run.before {
            before if before > line.version => end(run, if line.yields { End::Kept } else { End::Refused }),
            before if before == line.version => run.at = At::Back { list: !self.lists(i), moving: false },
            _ if late => run.at = At::Tag,
            _ => run.at = At::Move,
        }
    }

    fn read_back(&self, state: &mut State, i: usize, at: At) {
        let (own, run) = (self.setup.lines[i].version, &mut state.runs[i]);
        run.at = at;
        if at != (At::Back { list: true, moving: true }) {
            return;
        }
        let mut watch = self.watches.borrow().all[usize::from(run.watch)];
        let newer = (run.newer != 0).then(|| version(run.newer));
        let mut older: Vec<Version> = bits(run.older).map(version).collect();
        older.reverse();
        let others = Overlap { newer, older };
        let reading = match run.now {
            now if now == own => Reading::Ours,
            now if now == run.before => Reading::Before { older: watch.is_late() },
            now if now > own => Reading::Newer(version(now)),
            _ => Reading::Older,
        };
        run.now = OLD;
        run.reads += 1;
        let next = watch.next(reading, &others);
        run.watch = self.watch(watch);
        match next {
            Ruling::Raced => end(run, End::Raced),
            Ruling::Rewrite => run.at = At::Move,
            // Somewhat longer than one waits for others is as long as a run is patient.
            Ruling::Again if usize::from(run.reads) < self.setup.reads + 2 => {
                run.at = At::Back { list: true, moving: false };
            }
            Ruling::Again | Ruling::Settled => {
                let said = match (reading, watch.finding(&others)) {
                    (Reading::Before { .. }, _) => End::Unverified,
                    (_, Some(Finding::Newer(_) | Finding::Older(_))) => End::Overlapped,
                    (Reading::Newer(_), None) => End::Superseded,
                    _ => End::Plain,
                };
                end(run, said);
            }
        }
    }

    /// Goes everywhere.
    fn explore(&self) -> Found {
        let mut found = Found::default();
        let mut seen: HashSet<State, BuildHasherDefault<Fold>> = HashSet::default();
        let start = self.start();
        seen.insert(start);
        // Each entry holds what is left to try from one state.
        let mut stack = vec![self.steps(&start)];
        let mut path: Vec<(&'static str, u8, State)> = Vec::new();
        while let Some(left) = stack.last_mut() {
            let Some((what, who, state)) = left.pop() else {
                stack.pop();
                path.pop();
                continue;
            };
            if !seen.insert(state) {
                continue;
            }
            path.push((what, who, state));
            let steps = self.steps(&state);
            if state.runs.iter().all(|run| matches!(run.at, At::End(_))) {
                self.judge(&state, &path, &mut found);
            }
            stack.push(steps);
        }
        found.states = seen.len();
        found
    }

    /// Whether an ending keeps the promise.
    fn judge(&self, state: &State, path: &[(&'static str, u8, State)], found: &mut Found) {
        found.endings += 1;
        let ends = || state.runs.iter().zip(&self.setup.lines);
        let shown = || {
            let line = |(what, who, state): &(&str, u8, State)| {
                let version = self.setup.lines[usize::from(*who)].version;
                format!("run {who} (version {version}): {what}; held are {:?}", state.held)
            };
            format!(
                "{:#?}\n{:?}",
                path.iter().map(line).collect::<Vec<_>>(),
                ends().map(|(run, _)| run.at).collect::<Vec<_>>()
            )
        };
        found.plain += usize::from(ends().all(|(run, _)| matches!(run.at, At::End(End::Plain | End::Kept))));
        // A job that was killed after it wrote has failed, which is a word too.
        let told = |run: &Run| matches!(run.at, At::End(End::Overlapped | End::Unverified | End::Raced));
        let well = |run: &Run| {
            told(run) && run.at != At::End(End::Raced)
                || matches!(run.at, At::End(End::Plain | End::Superseded | End::Kept))
        };
        for (slot, &held) in state.held.iter().enumerate() {
            let ends = || ends().filter(|(_, line)| self.slot(line.version) == slot);
            let newest = ends().filter(|(run, _)| well(run)).map(|(_, line)| line.version).max().unwrap_or(OLD);
            // Only what some run promotes to it is ever there.
            assert!(held == OLD || ends().any(|(_, line)| line.version == held), "{}", shown());
            if held >= newest {
                continue;
            }
            let hidden =
                |run: &Run, line: &Line| !line.to && run.wrote || line.version > held && well(run) && !run.announced;
            if state.fell || ends().any(|(run, _)| told(run)) {
                found.told += 1;
            } else if ends().any(|(run, line)| hidden(run, line)) {
                found.unseen += 1;
            } else {
                let shown = shown();
                if found.silent.first().is_none_or(|known| known.len() > shown.len()) {
                    found.silent.insert(0, shown);
                } else {
                    found.silent.push(String::new());
                }
            }
        }
    }
}

fn end(run: &mut Run, said: End) {
    *run = Run { at: At::End(said), wrote: run.wrote, announced: run.announced, ..START };
}

fn bit(version: u8) -> u8 {
    1 << version
}

fn setup(versions: &[u8]) -> Setup {
    let lines = versions.iter().map(|&version| Line { version, to: true, yields: false }).collect();
    Setup { lines, tagged: 0, floating: false, kills: 0, restart: false, stale: false, reads: READS, flaw: None }
}

fn explore(setup: &Setup) -> Found {
    let first = Watch::of(setup.reads);
    let watches = Watches { all: vec![first], numbers: HashMap::from([(first, 0)]) };
    Exploration { setup, watches: RefCell::new(watches) }.explore()
}

fn check(setup: &Setup) -> Found {
    let began = std::time::Instant::now();
    let found = explore(setup);
    let lines: Vec<String> = setup
        .lines
        .iter()
        .map(|line| format!("{}{}", line.version, if line.to { "" } else { " without --to" }))
        .collect();
    println!(
        "versions {}{}, {} killed{}{}, tags there {:b}: {} states, {} endings, of these {} all plain, {} older and told, \
         {} older and unseen, in {:.1?}",
        lines.join(" "),
        if setup.floating { " on two lines" } else { "" },
        setup.kills,
        if setup.restart { " and started again" } else { "" },
        if setup.stale { ", first look stale" } else { "" },
        setup.tagged,
        found.states,
        found.endings,
        found.plain,
        found.told,
        found.unseen,
        began.elapsed()
    );
    if let Some(shown) = found.silent.first() {
        panic!("{} endings are older and nobody says so, such as {shown}", found.silent.len());
    }
    found
}

#[test]
fn of_two_promotions_at_once_none_ends_older_and_silent() {
    for versions in [[1, 2], [2, 2]] {
        for (kills, restart, stale) in [(0, false, false), (2, false, false), (2, false, true), (2, true, true)] {
            let found = check(&Setup { kills, restart, stale, ..setup(&versions) });
            assert!(restart || found.unseen == 0);
        }
    }
}

#[test]
fn of_three_promotions_at_once_none_ends_older_and_silent() {
    // How often a tag is read while others are waited for decides nothing that is promised, so once is enough here.
    for versions in [[1, 2, 3], [1, 1, 2], [1, 2, 2]] {
        check(&Setup { reads: 1, kills: 1, stale: true, ..setup(&versions) });
    }
}

#[test]
fn a_tag_that_is_left_at_a_newer_version_weakens_nothing() {
    for versions in [[1, 2], [2, 2]] {
        for (kills, restart) in [(0, false), (2, false), (2, true)] {
            let mut setup = Setup { kills, restart, stale: true, ..setup(&versions) };
            setup.lines.iter_mut().for_each(|line| line.yields = true);
            check(&setup);
        }
    }
    let mut three = Setup { reads: 1, ..setup(&[1, 2, 3]) };
    three.lines[0].yields = true;
    check(&three);
}

#[test]
fn on_floating_tags_none_ends_older_and_silent_and_other_lines_are_no_matter() {
    // Two of one line beside one of the other.
    for versions in [[1, 2, 3], [1, 1, 2], [2, 3, 4]] {
        check(&Setup { reads: 1, kills: 1, stale: true, floating: true, ..setup(&versions) });
    }
    // Of two lines each run is alone, in whatever order.
    let found = check(&Setup { floating: true, ..setup(&[1, 2]) });
    assert_eq!((found.plain, found.told), (found.endings, 0));
}

#[test]
fn a_protocol_with_a_flaw_is_found_out() {
    let floating = Setup { floating: true, flaw: Some(Flaw::OwnLineIsNoMatter), ..setup(&[1, 3]) };
    assert!(!explore(&floating).silent.is_empty(), "who writes the same floating tag was not missed");
    for flaw in [Flaw::NoSecondList, Flaw::TagsAfterTheLook, Flaw::OlderIsNoMatter, Flaw::NewerIsNoMatter] {
        let found = explore(&Setup { flaw: Some(flaw), ..setup(&[1, 2]) });
        assert!(!found.silent.is_empty(), "{flaw:?} was not found in {} states", found.states);
        println!("{flaw:?}: {} of {} endings are older and nobody says so", found.silent.len(), found.endings);
    }
}

/// Decision record 12 says so: a run that makes no tag can stay unseen.
#[test]
fn what_makes_no_tag_may_end_older_unseen() {
    let with = |to: [bool; 2], tagged: u8| {
        let lines = [1, 2].iter().zip(to).map(|(&version, to)| Line { version, to, yields: false }).collect();
        check(&Setup { lines, tagged, ..setup(&[]) }).unseen
    };
    assert_eq!(with([true, true], 0), 0);
    assert!(with([false, false], 0) > 0);
    assert!(with([false, true], 0) > 0);
    assert!(with([true, false], 0) > 0);
    // A tag of the newer one that was there before; of the older one it is no matter.
    assert!(with([true, true], bit(2)) > 0);
    assert_eq!(with([true, true], bit(1)), 0);
    assert_eq!(with([true, true], bit(1) | bit(2)), 0);
}
