//! Two promotions at once, the real code, in every order in which their requests can reach the registry.
//!
//! A gate holds each request that matters to the other run, and lets one through at a time: the tag list, `latest`, and
//! the `--to` tag. Orders that differ only in requests that do not touch each other, such as two readings, are the same
//! order; each is tried once (sleep sets, and a memory of what a run does next). `race_model` has the third run, and runs that are killed.

use crate::stage::push;
use crate::support::log::Asked;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tagwright::world::World;

const APP: &str = "acme/app";
/// A tag that floats on the line of the versions.
const LINE: &str = "2026.34";
const HOSTS: [&str; 2] = ["a.test", "b.test"];
/// Long enough for any request on a busy machine; nothing waits that long unless the test is wrong.
const STUCK: Duration = Duration::from_secs(30);

/// A request at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    run: usize,
    kind: Kind,
    /// How many of this kind the run has sent before.
    turn: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    List,
    Look,
    Tag,
    Move,
}

impl Kind {
    fn of(asked: &Asked) -> Option<Self> {
        match (asked.method.as_str(), asked.path.rsplit('/').next()?) {
            ("GET", "list") => Some(Kind::List),
            ("HEAD", "latest" | LINE) => Some(Kind::Look),
            ("PUT", "latest" | LINE) => Some(Kind::Move),
            ("PUT", _) => Some(Kind::Tag),
            _ => None,
        }
    }

    /// Whether it is of no matter which of the two comes first.
    fn commutes(self, other: Self) -> bool {
        use Kind::{List, Look, Move, Tag};
        !matches!((self, other), (List, Tag) | (Tag, List) | (Look, Move) | (Move, Look) | (Move, Move))
    }
}

#[derive(Default)]
struct Desk {
    waiting: Vec<Event>,
    let_in: Option<Event>,
    /// How many of each kind each run has sent.
    turns: BTreeMap<(usize, Kind), usize>,
    /// How many requests each run must have at the gate before anything is decided.
    due: [usize; 2],
    /// No more orders are given; all may pass.
    open: bool,
}

/// Lets one request through at a time.
#[derive(Default)]
struct Gate {
    desk: Mutex<Desk>,
    changed: Condvar,
}

impl Gate {
    fn wait<'g>(&'g self, mut until: impl FnMut(&mut Desk) -> bool) -> std::sync::MutexGuard<'g, Desk> {
        let desk = self.desk.lock().unwrap();
        let (desk, timeout) = self.changed.wait_timeout_while(desk, STUCK, |desk| !until(desk)).unwrap();
        assert!(!timeout.timed_out(), "stuck: {:?} waiting, {:?} due", desk.waiting, desk.due);
        desk
    }

    /// What a request does on its way in.
    fn pass(&self, asked: &Asked) {
        let (Some(kind), Some(run)) = (Kind::of(asked), run_of(asked)) else { return };
        let mut desk = self.desk.lock().unwrap();
        let turn = desk.turns.entry((run, kind)).or_default();
        let event = Event { run, kind, turn: *turn };
        *turn += 1;
        desk.waiting.push(event);
        self.changed.notify_all();
        drop(desk);
        drop(self.wait(|desk| desk.open || desk.let_in == Some(event)));
    }

    /// What a request does when it has taken place.
    fn passed(&self, asked: &Asked) {
        let (Some(kind), Some(run)) = (Kind::of(asked), run_of(asked)) else { return };
        let mut desk = self.desk.lock().unwrap();
        if desk.let_in.is_some_and(|event| event.run == run && event.kind == kind) {
            desk.let_in = None;
            self.changed.notify_all();
        }
    }

    fn ended(&self, run: usize) {
        self.desk.lock().unwrap().due[run] = 0;
        self.changed.notify_all();
    }

    /// Every request that may come next, once all have come that will.
    fn enabled(&self) -> Vec<Event> {
        let there = |desk: &mut Desk| {
            (0..2).all(|run| desk.waiting.iter().filter(|event| event.run == run).count() >= desk.due[run])
        };
        let mut enabled = self.wait(there).waiting.clone();
        enabled.sort();
        enabled
    }

    /// Lets one through and waits until it has taken place.
    fn let_through(&self, event: Event) {
        let mut desk = self.desk.lock().unwrap();
        desk.waiting.retain(|waiting| *waiting != event);
        // Those sent side by side are waited for together: at the start, and after a move, list and tag.
        let left = desk.waiting.iter().filter(|waiting| waiting.run == event.run).count();
        desk.due[event.run] = match event.kind {
            Kind::Move => 2,
            _ => left.max(1),
        };
        desk.let_in = Some(event);
        self.changed.notify_all();
        drop(desk);
        drop(self.wait(|desk| desk.let_in.is_none()));
    }

    fn open(&self) {
        self.desk.lock().unwrap().open = true;
        self.changed.notify_all();
    }
}

fn run_of(asked: &Asked) -> Option<usize> {
    let host = asked.header("Host")?;
    HOSTS.iter().position(|known| host.starts_with(known))
}

/// What a run said.
#[derive(Debug)]
struct Said {
    ok: bool,
    code: String,
    latest: String,
    warnings: Vec<String>,
}

impl Said {
    fn read(text: &str) -> Self {
        let document: Value = serde_json::from_str(text).unwrap();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tags = document["result"]["tags"].as_array().cloned().unwrap_or_default();
        let latest =
            tags.iter().find(|tag| tag["tag"] == "latest" || tag["tag"] == LINE).map(|tag| word(&tag["action"]));
        let warnings = document["warnings"].as_array().unwrap().iter().map(|warning| word(&warning["code"])).collect();
        Self {
            ok: document["ok"] == true,
            code: word(&document["error"]["code"]),
            latest: latest.unwrap_or_default(),
            warnings,
        }
    }

    fn tells(&self) -> bool {
        self.code == "raced" || self.warnings.iter().any(|code| code == "overlapped" || code == "unverified")
    }
}

/// One place on the way, and what has been tried from there.
struct Node {
    enabled: Vec<Event>,
    asleep: Vec<Event>,
    chosen: Option<Event>,
}

impl Node {
    /// What follows where these requests may come next.
    fn after(nodes: &[Node], enabled: Vec<Event>) -> Self {
        Self { enabled, asleep: nodes.last().map(Node::asleep_after).unwrap_or_default(), chosen: None }
    }

    fn choose(&mut self) -> bool {
        if let Some(tried) = self.chosen.take() {
            self.asleep.push(tried);
        }
        self.chosen = self.enabled.iter().find(|event| !self.asleep.contains(event)).copied();
        self.chosen.is_some()
    }

    /// What need not be tried after the chosen one, because it has been tried before it and commutes with it.
    fn asleep_after(&self) -> Vec<Event> {
        let chosen = self.chosen.unwrap();
        self.asleep.iter().filter(|event| event.kind.commutes(chosen.kind)).copied().collect()
    }
}

/// The requests of a run with the writes that showed in the answer to each.
type View = Vec<(Event, Vec<Event>)>;

/// What a run asks next, by all that it has seen: nothing else decides about that, which every order that is played
/// proves again. Where it is known, an order that leads to nothing new need not be played.
#[derive(Default)]
struct Foresight(BTreeMap<(usize, View), Vec<Event>>);

impl Foresight {
    fn view(order: &[Event], run: usize) -> View {
        let seen = |at: usize| -> Vec<Event> {
            let before = |kind: Kind| order[..at].iter().filter(move |event| event.kind == kind).copied();
            match order[at].kind {
                Kind::List => {
                    let mut tags: Vec<Event> = before(Kind::Tag).collect();
                    tags.sort();
                    tags
                }
                Kind::Look => before(Kind::Move).last().into_iter().collect(),
                Kind::Tag | Kind::Move => Vec::new(),
            }
        };
        let mut view: View =
            (0..order.len()).filter(|at| order[*at].run == run).map(|at| (order[at], seen(at))).collect();
        view.sort();
        view
    }

    fn learn(&mut self, nodes: &[Node], enabled: &[Event]) {
        let order: Vec<Event> = nodes.iter().filter_map(|node| node.chosen).collect();
        for run in 0..2 {
            let own: Vec<Event> = enabled.iter().filter(|event| event.run == run).copied().collect();
            let known = self.0.entry((run, Self::view(&order, run))).or_insert_with(|| own.clone());
            assert_eq!(*known, own, "run {run} has seen the same and goes on in another way: {order:#?}");
        }
    }

    /// Goes on as far as is known. Whether that may be the beginning of an order which has not been tried.
    fn go_on(&self, nodes: &mut Vec<Node>) -> bool {
        loop {
            let order: Vec<Event> = nodes.iter().filter_map(|node| node.chosen).collect();
            let own = |run: usize| self.0.get(&(run, Self::view(&order, run)));
            let (Some(one), Some(other)) = (own(0), own(1)) else { return true };
            let enabled = [one.as_slice(), other].concat();
            if enabled.is_empty() {
                return true;
            }
            let mut node = Node::after(nodes, enabled);
            if !node.choose() {
                return false;
            }
            nodes.push(node);
        }
    }
}

/// What an exploration came to.
#[derive(Debug, Default)]
struct Found {
    schedules: usize,
    requests: usize,
    /// Orders that were given up on the way, because all that follows had been tried.
    cut: usize,
    /// Those that were not played, because that was known before.
    foreseen: usize,
    plain: usize,
    told: usize,
    silent: Vec<String>,
    endings: BTreeMap<String, usize>,
}

/// The versions that the two runs promote, and the `--to` tags that are there already.
struct Story {
    versions: [&'static str; 2],
    there: &'static [&'static str],
    /// What `--move` names, and the tag that this is.
    moving: [&'static str; 2],
    /// Whether the list lacks candidates, as if nobody read it.
    blind: bool,
}

fn world() -> World {
    World {
        environment: BTreeMap::new(),
        log: Box::new(|_| ()),
        stdin: Box::new(|_| Ok(Vec::new())),
        status: None,
        hidden: Default::default(),
        sleep: Box::new(|_| ()),
        started: Instant::now(),
    }
}

fn stage(story: &Story) -> Registry {
    let registry = Registry::start();
    push(&registry, APP, &["2026.34.101", "2026.34.102", "2026.34.103"]);
    let tag = |tag: &str, at: &str| {
        let digest = registry.resolve(APP, at).unwrap();
        registry.state(|state| state.tag(APP, tag, &digest));
    };
    tag(story.moving[1], "2026.34.101");
    story.there.iter().for_each(|version| tag(&format!("{version}-rc"), version));
    if story.blind {
        registry.after(|asked, state, reply| {
            if asked.path.ends_with("/tags/list") {
                let tags: Vec<&String> = state.repositories[APP].tags.keys().filter(|t| !t.ends_with("-rc")).collect();
                *reply = Reply::json(&serde_json::json!({"name": APP, "tags": tags}));
            }
        });
    }
    registry
}

/// Plays one order: the chosen requests first, then the first that is not asleep.
fn play(story: &Story, nodes: &mut Vec<Node>, foresight: &mut Foresight, found: &mut Found) {
    let registry = stage(story);
    let gate = Arc::new(Gate::default());
    gate.desk.lock().unwrap().due = [2, 2];
    registry.gate({
        let gate = gate.clone();
        move |asked| gate.pass(asked)
    });
    registry.after({
        let gate = gate.clone();
        move |asked, _, _| gate.passed(asked)
    });
    let mut complete = true;
    let said: Vec<Said> = std::thread::scope(|scope| {
        let run = |run: usize| {
            let (gate, port) = (gate.clone(), registry.port());
            let (host, version) = (HOSTS[run], story.versions[run]);
            scope.spawn(move || {
                let words = [
                    "promote",
                    &format!("{host}:{port}/{APP}:{version}"),
                    "--plain-http",
                    &format!("{host}:{port}"),
                    "--resolve",
                    &format!("{host}:{port}:127.0.0.1"),
                    "--to",
                    "{version}-rc",
                    "--move",
                    story.moving[0],
                    "--timeout",
                    "600",
                ]
                .map(OsString::from);
                let ending = tagwright::run(&words, &world(), None);
                gate.ended(run);
                Said::read(std::str::from_utf8(&ending.stdout).unwrap())
            })
        };
        let runs = [run(0), run(1)];
        for at in 0.. {
            let enabled = gate.enabled();
            foresight.learn(&nodes[..at], &enabled);
            if enabled.is_empty() {
                break;
            }
            if at == nodes.len() {
                let mut node = Node::after(nodes, enabled);
                complete = node.choose();
                if !complete {
                    break;
                }
                nodes.push(node);
            } else {
                assert_eq!(nodes[at].enabled, enabled, "the same order led elsewhere");
            }
            gate.let_through(nodes[at].chosen.unwrap());
        }
        gate.open();
        runs.map(|run| run.join().unwrap()).into_iter().collect()
    });
    found.requests += registry.log().count();
    if complete {
        judge(story, &registry, &said, nodes, found);
    } else {
        found.cut += 1;
    }
}

fn judge(story: &Story, registry: &Registry, said: &[Said], nodes: &[Node], found: &mut Found) {
    found.schedules += 1;
    let latest = registry.resolve(APP, story.moving[1]).unwrap();
    let holds = |version: &str| registry.resolve(APP, version).as_ref() == Some(&latest);
    let newest = story.versions.iter().zip(said).filter(|(_, said)| said.ok).map(|(version, _)| *version).max();
    let sound = newest.is_some_and(holds);
    assert!(story.versions.iter().any(|version| holds(version)), "{latest} is nobody's: {said:?}");
    let brief = |said: &Said| format!("{}{} {:?}", said.code, said.latest, said.warnings);
    let held = story.versions.iter().find(|version| holds(version)).unwrap();
    *found.endings.entry(format!("{held}: {}, {}", brief(&said[0]), brief(&said[1]))).or_default() += 1;
    if sound {
        found.plain += usize::from(said.iter().all(|said| said.ok && said.warnings.is_empty()));
    } else if said.iter().any(Said::tells) {
        found.told += 1;
    } else {
        let order: Vec<Event> = nodes.iter().filter_map(|node| node.chosen).collect();
        found.silent.push(format!("{order:#?}\n{said:#?}"));
    }
}

fn explore(story: &Story) -> Found {
    let began = Instant::now();
    let mut found = Found::default();
    let mut nodes: Vec<Node> = Vec::new();
    let mut foresight = Foresight::default();
    loop {
        if foresight.go_on(&mut nodes) {
            play(story, &mut nodes, &mut foresight, &mut found);
        } else {
            found.foreseen += 1;
        }
        while nodes.last_mut().is_some_and(|node| !node.choose()) {
            nodes.pop();
        }
        // Where a flaw is looked for, one is enough.
        if nodes.is_empty() || story.blind && !found.silent.is_empty() {
            break;
        }
    }
    println!(
        "{:?} with {:?} there: {} orders, {} cut short and {} foreseen, {} requests, in {:.1?}; {} all plain, {} older and told, {} older and silent",
        story.versions,
        story.there,
        found.schedules,
        found.cut,
        found.foreseen,
        found.requests,
        began.elapsed(),
        found.plain,
        found.told,
        found.silent.len()
    );
    println!("{:#?}", found.endings);
    found
}

fn story(there: &'static [&'static str]) -> Story {
    Story { versions: ["2026.34.102", "2026.34.103"], there, moving: ["latest", "latest"], blind: false }
}

#[test]
fn no_order_of_two_promotions_ends_older_and_silent() {
    let found = explore(&story(&[]));
    assert!(found.silent.is_empty(), "{} orders, such as {}", found.silent.len(), found.silent[0]);
    assert!(found.schedules > 100 && found.told > 0, "{found:?}");
}

#[test]
fn no_order_of_two_promotions_of_one_line_ends_older_and_silent_on_its_floating_tag() {
    let found = explore(&Story { moving: ["{major}.{minor}", LINE], ..story(&[]) });
    assert!(found.silent.is_empty(), "{} orders, such as {}", found.silent.len(), found.silent[0]);
    assert!(found.schedules > 100 && found.told > 0, "{found:?}");
}

#[test]
fn a_run_whose_tag_was_there_before_sees_the_newer_one_all_the_same() {
    let found = explore(&story(&["2026.34.102"]));
    assert!(found.silent.is_empty(), "{} orders, such as {}", found.silent.len(), found.silent[0]);
    assert!(found.told > 0, "{found:?}");
}

/// The test of the test: without what the second list shows, there is an order that ends older and silent.
#[test]
fn an_order_that_ends_older_and_silent_would_be_found() {
    let found = explore(&Story { blind: true, ..story(&[]) });
    assert!(!found.silent.is_empty(), "{found:?}");
}
