//! `release`: many images into many places as one, planned as a whole, written station by station, undone as one.

use crate::stage::image;
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::log::{Asked, Exchange};
use crate::support::registry::Registry;
use crate::support::reply::{Fault, Reply};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TAG: &str = "2026.34.103";

/// A source with so many images, and two targets.
struct Set {
    from: Registry,
    to: [Registry; 2],
    images: Vec<Value>,
}

impl Set {
    fn of(count: usize) -> Self {
        let mut set = Self { from: Registry::start(), to: [Registry::start(), Registry::start()], images: Vec::new() };
        for n in 0..count {
            set.from.push(&format!("build/app{n}"), TAG, &image(&format!("app{n}")));
            let into: Vec<String> = set.to.iter().map(|to| to.name(&format!("acme/app{n}"))).collect();
            set.images.push(json!({"image": set.from.name(&format!("build/app{n}:{TAG}")), "into": into}));
        }
        set
    }

    fn release(&self) -> Tagwright {
        let lines: String = self.images.iter().map(|image| format!("{image}\n")).collect();
        tagwright(["release", "-"]).stdin(lines)
    }

    fn writes(&self) -> [usize; 3] {
        [&self.from, &self.to[0], &self.to[1]].map(|registry| registry.log().writes())
    }

    fn check_all(&self) {
        for n in 0..self.images.len() {
            let wanted = self.from.resolve(&format!("build/app{n}"), TAG);
            for (to, tag) in self.to.iter().flat_map(|to| [TAG, "2026.34.103-rc", "latest"].map(|tag| (to, tag))) {
                assert_eq!(to.resolve(&format!("acme/app{n}"), tag), wanted, "app{n}:{tag}");
            }
        }
    }
}

/// How many tags of a result had that happen to them.
fn count(ran: &Ran, action: &str) -> usize {
    let images = ran.result()["images"].clone();
    let targets = images.as_array().unwrap().iter().flat_map(|image| match image["targets"].as_array() {
        Some(targets) => targets.clone(),
        None => vec![image.clone()],
    });
    targets.flat_map(|target| target["tags"].as_array().unwrap().clone()).filter(|tag| tag["action"] == action).count()
}

#[test]
fn content_is_everywhere_before_the_first_tag_and_fixed_tags_before_the_first_that_moves() {
    let set = Set::of(4);
    let order = Arc::new(Mutex::new(Vec::new()));
    for to in &set.to {
        let order = order.clone();
        to.after(move |asked, _, reply| {
            let name = asked.path.rsplit('/').next().unwrap_or_default().to_owned();
            if asked.method == "PUT" && reply.status < 300 {
                let is_tag = asked.path.contains("/manifests/") && !name.starts_with("sha256:");
                order.lock().unwrap().push(if name == "latest" { 2 } else { u8::from(is_tag) });
            }
        });
    }
    let ran = set.release().run();
    assert_eq!(count(&ran, "created"), 24, "{ran}");
    set.check_all();
    let order = order.lock().unwrap();
    assert!(order.is_sorted() && order.len() >= 8 * 5, "{order:?}");
    assert!(ran.stderr.ends_with("promoted 4 images, tags: 24 created; 16 blobs copied, 2.6 KiB\n"), "{ran}");
    // Each manifest and each blob is read from the source once.
    assert_eq!(set.from.log().matching("GET", "/blobs/"), 8);
    // Run again, everything is as it was.
    let again = set.release().run();
    assert_eq!(count(&again, "unchanged"), 24, "{again}");
}

#[test]
fn what_the_last_image_refuses_is_refused_for_all_before_anything_is_written() {
    let set = Set::of(4);
    set.to[1].push("acme/app3", TAG, &image("other"));
    set.to[1].clear();
    let ran = set.release().run();
    assert_eq!((ran.code().as_str(), ran.error()["changed"].clone()), ("tag-conflict", json!(false)), "{ran}");
    assert_eq!(set.writes(), [0, 0, 0]);
    let dry = set.release().arg("--dry-run").run();
    assert_eq!(dry.code(), "tag-conflict", "{dry}");
}

#[test]
fn a_dry_run_prints_the_whole_plan_and_writes_nothing() {
    let set = Set::of(3);
    let ran = set.release().arg("--dry-run").run();
    assert_eq!((count(&ran, "created"), set.writes()), (18, [0, 0, 0]), "{ran}");
    assert_eq!(ran.result()["images"][0]["dryRun"], true);
}

#[test]
fn a_promotion_where_it_is_and_one_into_another_repository_are_one_release() {
    let mut set = Set::of(1);
    set.from.push("build/here", TAG, &image("here"));
    set.images.insert(0, json!({"image": set.from.name(&format!("build/here:{TAG}")), "move": ["stable"]}));
    let ran = set.release().run();
    assert_eq!(count(&ran, "created"), 7, "{ran}");
    let images = ran.result()["images"].clone();
    assert_eq!((&images[0]["copied"]["blobs"], &images[1]["targets"][0]["copied"]["blobs"]), (&json!(0), &json!(2)));
    assert_eq!(set.from.resolve("build/here", "stable"), set.from.resolve("build/here", TAG));
    set.check_all();
}

#[test]
fn two_promotions_that_come_to_the_same_tag_are_refused() {
    let set = Set::of(2);
    let into = set.to[0].name("acme/one");
    let one = |n: usize| json!({"image": set.images[n]["image"], "into": into, "move": ["{version}"]});
    let lines = format!("{}\n{}\n", one(0), one(1));
    let ran = tagwright(["release", "-"]).stdin(lines).run();
    assert_eq!((ran.code().as_str(), set.writes()), ("request-invalid", [0, 0, 0]), "{ran}");
    assert!(ran.error()["message"].as_str().unwrap().contains(&format!("{into}:{TAG}")), "{ran}");
}

#[test]
fn all_of_a_release_goes_back_by_one_record() {
    let set = Set::of(3);
    let mut before = Vec::new();
    for n in 0..3 {
        for to in &set.to {
            before.push(to.push(&format!("acme/app{n}"), "latest", &image(&format!("before{n}"))));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("{repository}-{digest}.jsonl");
    let ran = set.release().arg("--record").arg(&file).run();
    assert_eq!(count(&ran, "moved"), 6, "{ran}");
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    let stem = files[0].file_stem().unwrap().to_str().unwrap();
    assert!(files.len() == 1 && stem.strip_prefix("release-").unwrap().len() == 12, "{files:?}");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert_eq!(text.lines().count(), 2);
    let undo: Vec<String> = serde_json::from_value(ran.result()["rollback"][0].clone()).unwrap();
    let dry = tagwright([]).args(&undo[1..]).arg("--dry-run").run();
    assert_eq!(count(&dry, "moved"), 6, "{dry}");
    let back = tagwright([]).args(&undo[1..]).run();
    assert_eq!(count(&back, "moved"), 6, "{back}");
    // What undoes that stands in the record of each place as well.
    let result = back.result();
    let places = result["record"]["promotions"].as_array().unwrap();
    let own: Vec<_> = places.iter().flat_map(|place| place["rollback"].as_array().unwrap()).collect();
    assert_eq!(own, result["rollback"].as_array().unwrap().iter().collect::<Vec<_>>());
    let mut held = Vec::new();
    for n in 0..3 {
        held.extend(set.to.iter().map(|to| to.resolve(&format!("acme/app{n}"), "latest").unwrap()));
    }
    assert_eq!(held, before);
    // Somebody moved one of them since: nothing goes back.
    set.release().run().result();
    set.to[1].push("acme/app2", "latest", &image("theirs"));
    set.to.iter().for_each(Registry::clear);
    let ran = tagwright([]).args(&undo[1..]).run();
    assert_eq!((ran.code().as_str(), set.writes()[1..].to_vec()), ("tag-conflict", vec![0, 0]), "{ran}");
}

#[test]
fn no_more_than_sixteen_requests_are_under_way_at_one_registry() {
    let set = Set::of(12);
    let all = [&set.from, &set.to[0], &set.to[1]];
    all.iter().for_each(|registry| registry.latency(Duration::from_millis(10)));
    let ran = set.release().run();
    assert_eq!(count(&ran, "created"), 72, "{ran}");
    for registry in all {
        let log = registry.log().0;
        let beside =
            |at: &Exchange| log.iter().filter(|one| one.started <= at.started && at.started < one.ended).count();
        let most = log.iter().map(beside).max().unwrap();
        assert!((8..=16).contains(&most), "{most}");
    }
}

#[test]
fn two_versions_of_one_repository_in_a_release_are_no_runs_beside_each_other() {
    let registry = Registry::start();
    let older = "2026.33.9";
    for tag in [older, TAG] {
        registry.push("acme/app", tag, &image(tag));
    }
    let one = |tag: &str, moved: &str| json!({"image": registry.name(&format!("acme/app:{tag}")), "to": ["{version}-rc"], "move": [moved]});
    let ran = tagwright(["release", "-"]).stdin(format!("{}\n{}\n", one(older, "lts"), one(TAG, "latest"))).run();
    assert_eq!((count(&ran, "created"), ran.warnings()), (4, Vec::<String>::new()), "{ran}");
}

#[test]
fn a_tag_that_a_release_makes_elsewhere_hides_no_run_beside_it() {
    let (registry, newer) = (Registry::start(), "2026.34.104");
    for (path, tag) in [("acme/app", TAG), ("acme/app", newer), ("acme/web", newer)] {
        registry.push(path, tag, &image(tag));
    }
    // Another run begins with the newer version of the one, whose tag this run makes of the other.
    registry.after(move |asked, state, _| {
        if asked.method == "PUT" && asked.path.ends_with("acme/app/manifests/latest") {
            let digest = state.resolve("acme/app", newer).unwrap();
            state.tag("acme/app", &format!("{newer}-rc"), &digest);
        }
    });
    let of = |name: &str| json!({"image": registry.name(name), "to": ["{version}-rc"], "move": ["latest"]});
    let list = json!([of(&format!("acme/app:{TAG}")), of(&format!("acme/web:{newer}"))]);
    let ran = tagwright(["release", "-"]).stdin(list.to_string()).run();
    assert_eq!((count(&ran, "created"), ran.warnings()), (4, vec!["overlapped".to_owned()]), "{ran}");
}

#[test]
fn a_hostile_place_stops_a_release_before_a_write_and_sees_no_credential() {
    let elsewhere = Registry::basic("robot", "secret");
    let url = format!("{}/v2/acme/app0/manifests/latest", elsewhere.url());
    let asks = || Reply::error(401, "UNAUTHORIZED", "who?").header("WWW-Authenticate", "Basic realm=\"x\"");
    let endless = Reply::with(200, "application/json", "{").fault(Fault::Endless);
    for (what, reply) in [
        ("a redirect", Reply::redirect(307, &url)),
        ("a login", asks()),
        ("an empty page", Reply::with(404, "text/html", "")),
        ("a huge length", Reply::with(200, "application/json", "{").fault(Fault::Length(u64::MAX))),
        ("a body without an end", endless),
    ] {
        let set = Set::of(2);
        set.to[1].before(move |asked, _| asked.path.contains("app1").then(|| reply.clone()));
        let pair = |run: Tagwright| {
            let run = run.env("INTO_REGISTRY_USERNAME", "robot").env("INTO_REGISTRY_PASSWORD", "hunter2");
            run.env("INTO_REGISTRY_HOST", set.to[0].host())
        };
        let ran = pair(set.release().args(["--timeout", "3", "--retries", "0"])).run();
        assert_ne!(ran.exit, Some(0), "{what}: {ran}");
        assert_eq!((set.writes(), ran.error()["changed"].clone()), ([0, 0, 0], json!(false)), "{what}: {ran}");
        let shown = |asked: &Asked| asked.header("authorization").is_some();
        assert!(![&set.to[1], &elsewhere].iter().any(|one| one.log().0.iter().any(|one| shown(&one.asked))), "{what}");
    }
}

#[test]
fn two_releases_at_the_same_time_see_each_other() {
    let older = Set::of(2);
    let newer_tag = "2026.34.104";
    let newer: Vec<Value> = (0..2)
        .map(|n| {
            older.from.push(&format!("build/app{n}"), newer_tag, &image(&format!("newer{n}")));
            let mut one = older.images[n].clone();
            one["image"] = json!(older.from.name(&format!("build/app{n}:{newer_tag}")));
            one
        })
        .collect();
    let lines: String = newer.iter().map(|image| format!("{image}\n")).collect();
    // The newer release runs as a whole right before the older one writes its first moving tag.
    let mut done = false;
    let (second, ran) = (tagwright(["release", "-"]).stdin(lines), Arc::new(Mutex::new(None)));
    let told = ran.clone();
    let hook = Arc::new(Mutex::new(move || {
        if !std::mem::replace(&mut done, true) {
            *told.lock().unwrap() = Some(second.run());
        }
    }));
    older.to[1].gate(move |asked| {
        let is_ours = asked.method == "PUT" && asked.path.ends_with("/manifests/latest");
        // The inner run comes by here too, while the lock is held by the outer one.
        if is_ours && let Ok(mut hook) = hook.try_lock() {
            hook();
        }
    });
    let first = older.release().run();
    let second = ran.lock().unwrap().take().expect("it ran in between");
    assert_eq!(second.exit, Some(0), "{second}");
    let seen = [&first, &second]
        .iter()
        .any(|ran| ran.warnings().iter().any(|code| ["overlapped", "superseded"].contains(&code.as_str())));
    let held = |to: &Registry, n: usize| to.resolve(&format!("acme/app{n}"), "latest");
    let newest = (0..2).all(|n| {
        let wanted = older.from.resolve(&format!("build/app{n}"), newer_tag);
        older.to.iter().all(|to| held(to, n) == wanted)
    });
    assert!(newest || seen, "an older image is on `latest`, and nobody says so: {first}\n{second}");
    assert!(seen, "{first}\n{second}");
}
