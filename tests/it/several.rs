//! One image into several repositories: read once, planned as a whole, told place by place, undone as one.

use crate::stage::image;
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::log::Asked;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, mpsc};

const FROM: &str = "acme/build";
const TO: &str = "acme/release";
const TAG: &str = "2026.34.103";

/// A source and two targets.
struct Fan {
    from: Registry,
    to: [Registry; 2],
}

impl Fan {
    fn new() -> Self {
        let fan = Self { from: Registry::start(), to: [Registry::start(), Registry::start()] };
        fan.from.push(FROM, TAG, &image("abc"));
        fan
    }

    fn promote(&self) -> Tagwright {
        let run = tagwright(["promote", &self.from.name(&format!("{FROM}:{TAG}"))]);
        run.args(self.to.iter().flat_map(|to| ["--into".to_owned(), to.name(TO)]))
    }
}

/// Each place with its tags and what became of them.
fn places(result: &Value) -> Vec<Vec<String>> {
    let tags = |place: &Value| {
        let tags = place["tags"].as_array().unwrap().iter();
        tags.map(|tag| format!("{} {}", tag["tag"], tag["action"]).replace('"', "")).collect()
    };
    result["targets"].as_array().unwrap().iter().map(tags).collect()
}

/// Notes every write to any of the registries, in the order in which they come.
fn watch(registries: &[Registry]) -> Arc<Mutex<Vec<(usize, String)>>> {
    let order = Arc::new(Mutex::new(Vec::new()));
    for (n, registry) in registries.iter().enumerate() {
        let order = order.clone();
        registry.after(move |asked, _, reply| {
            if asked.method == "PUT" && reply.status < 300 {
                order.lock().unwrap().push((n, asked.path.clone()));
            }
        });
    }
    order
}

fn changed(ran: &Ran) -> Vec<String> {
    let done = ran.error()["done"].clone();
    done.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_image_is_read_once_and_has_its_content_and_then_its_tags_everywhere() {
    let fan = Fan::new();
    let order = watch(&fan.to);
    let result = fan.promote().run().result();
    let all = ["2026.34.103 created", "2026.34.103-rc created", "latest created"];
    assert_eq!(places(&result), [all, all]);
    assert_eq!(result["targets"][1]["copied"]["blobs"], 2);
    for to in &fan.to {
        assert_eq!(to.resolve(TO, "latest"), fan.from.resolve(FROM, TAG));
    }
    let log = fan.from.log();
    assert_eq!((log.matching("GET", "/blobs/"), log.matching("GET", "/manifests/"), log.writes()), (2, 1, 0));
    let kind = |path: &str| match path.rsplit('/').next() {
        Some("latest") => 2,
        Some(name) if path.contains("/manifests/") && !name.starts_with("sha256:") => 1,
        _ => 0,
    };
    let kinds: Vec<u8> = order.lock().unwrap().iter().map(|(_, path)| kind(path)).collect();
    assert!(kinds.is_sorted() && kinds.len() >= 8, "{order:?}");

    // Run again, everything is as it was.
    fan.to.iter().for_each(Registry::clear);
    let again = fan.promote().run();
    let all = ["2026.34.103 unchanged", "2026.34.103-rc unchanged", "latest unchanged"];
    assert_eq!(places(&again.result()), [all, all]);
    assert_eq!(fan.to.each_ref().map(|to| to.log().writes()), [0, 0]);
    assert!(again.stderr.contains("nothing to do: ") && again.stderr.ends_with(" already\n"), "{again}");
}

#[test]
fn what_one_place_refuses_is_refused_everywhere_before_anything_is_written() {
    for dry in [false, true] {
        let fan = Fan::new();
        fan.to[1].push(TO, TAG, &image("other"));
        fan.to.iter().for_each(Registry::clear);
        let ran = fan.promote().args(dry.then_some("--dry-run")).run();
        assert_eq!((ran.code().as_str(), ran.error()["changed"].clone()), ("tag-conflict", json!(false)), "{ran}");
        assert!(ran.error()["message"].as_str().unwrap().contains(&fan.to[1].name(TO)), "{ran}");
        assert_eq!(fan.to.each_ref().map(|to| to.log().writes()), [0, 0]);
    }
    // A credential that one of them does not take.
    let fan = Fan { to: [Registry::start(), Registry::basic("robot", "secret")], ..Fan::new() };
    let ran = fan.promote().run();
    assert_eq!((ran.exit, fan.to[0].log().writes()), (Some(4), 0), "{ran}");
}

#[test]
fn what_fails_at_one_place_is_told_place_by_place_with_one_undo_for_all() {
    let fan = Fan::new();
    for to in &fan.to {
        to.push(TO, "latest", &image("before"));
    }
    let before = fan.to[0].resolve(TO, "latest");
    fan.to[1].before(|asked, _| {
        let refused = asked.method == "PUT" && asked.path.ends_with("/manifests/latest");
        refused.then(|| Reply::error(403, "DENIED", "not on Fridays"))
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let ran = fan.promote().arg("--allow-downgrade").arg("--record").arg(&file).run();
    let error = ran.error();
    assert_eq!(ran.code(), "denied", "{ran}");
    let of = |n: usize| {
        let place = &error["details"]["targets"][n];
        (place["repository"].as_str().unwrap().to_owned(), place["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(of(1), (fan.to[1].name(TO), "partly".to_owned()), "{ran}");
    assert!([of(0).1.as_str()].iter().all(|state| ["written", "partly"].contains(state)), "{ran}");
    assert!(changed(&ran).iter().any(|one| one.starts_with(&format!("{}:{TAG}-rc ", fan.to[1].name(TO)))), "{ran}");
    // The record tells of both, and one command takes all of it back.
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["state"].clone()).collect::<Vec<_>>(), ["planned", "failed"]);
    assert_eq!(lines[0]["promotions"].as_array().unwrap().len(), 2);
    let undo: Vec<String> = serde_json::from_value(error["rollback"][0].clone()).unwrap();
    assert_eq!(undo, ["tagwright", "rollback", "--record", file.to_str().unwrap()]);
    fan.to[1].before(|_, _| None);
    let back = tagwright([]).args(&undo[1..]).run().result();
    assert_eq!(back["images"].as_array().unwrap().len(), 2);
    assert_eq!(fan.to.each_ref().map(|to| to.resolve(TO, "latest")), [before.clone(), before]);
}

#[test]
fn a_place_whose_tags_are_all_written_is_told_as_such() {
    let fan = Fan::new();
    let mut written = false;
    fan.to[1].before(move |asked, _| {
        written |= asked.method == "PUT" && asked.path.ends_with("/manifests/latest");
        (written && asked.method == "HEAD").then(|| Reply::status(500))
    });
    let ran = fan.promote().args(["--retries", "0"]).run();
    let places = ran.error()["details"]["targets"].as_array().unwrap().clone();
    assert!(places.iter().all(|place| place["state"] == "written") && places.len() == 2, "{ran}");
}

#[test]
fn a_place_without_a_tag_of_the_run_is_told_as_untouched() {
    let fan = Fan::new();
    fan.to[1].before(|asked, _| {
        let refused = asked.method == "PUT" && asked.path.contains("/manifests/2026");
        refused.then(|| Reply::error(403, "DENIED", "not on Fridays"))
    });
    let ran = fan.promote().run();
    let place = ran.error()["details"]["targets"][1].clone();
    assert_eq!(place, json!({"repository": fan.to[1].name(TO), "state": "untouched", "done": []}), "{ran}");
}

#[test]
fn what_somebody_else_wrote_over_is_left_out_of_what_undoes_the_rest() {
    let fan = Fan::new();
    for to in &fan.to {
        to.push(TO, "latest", &image("before"));
    }
    let is_latest = |asked: &Asked| asked.method == "PUT" && asked.path.ends_with("/manifests/latest");
    // The one is written over when the other has its tags.
    let (written, other) = mpsc::channel();
    let other = Mutex::new(other);
    fan.to[0].after(move |asked, _, _| {
        if is_latest(asked) {
            written.send(()).unwrap();
        }
    });
    fan.to[1].gate(move |asked| {
        if is_latest(asked) {
            other.lock().unwrap().recv().unwrap();
        }
    });
    fan.to[1].after(move |asked, state, _| {
        if is_latest(asked) {
            let digest = state.store(TO, &image("by hand"));
            state.tag(TO, "latest", &digest);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let ran = fan.promote().arg("--allow-downgrade").arg("--record").arg(&file).run();
    assert_eq!(ran.code(), "raced", "{ran}");
    let undo = ["tagwright", "rollback", &fan.to[0].name(TO), "--record", file.to_str().unwrap()];
    assert_eq!(ran.error()["rollback"], json!([undo]), "{ran}");
    tagwright([]).args(&undo[1..]).run().result();
    assert_eq!(
        fan.to.each_ref().map(|to| to.resolve(TO, "latest").unwrap()),
        ["before", "by hand"].map(|name| image(name).digest())
    );
}

#[test]
fn of_places_that_all_refuse_a_blob_the_first_is_told() {
    let fan = Fan::new();
    for to in &fan.to {
        to.before(|asked, _| {
            asked.path.contains("/blobs/uploads/").then(|| Reply::error(403, "DENIED", "not on Fridays"))
        });
    }
    let error = fan.promote().run().error();
    assert!(error["message"].as_str().unwrap().contains(&fan.to[0].name(TO)), "{error}");
}

#[test]
fn the_record_of_one_image_into_several_places_is_named_after_where_it_comes_from() {
    let fan = Fan::new();
    let folder = tempfile::tempdir().unwrap();
    fan.promote().arg("--record").arg(folder.path().join("{repository}.jsonl")).run().result();
    let name = fan.from.name(FROM).replace(':', "_");
    assert!(folder.path().join(format!("{name}.jsonl")).is_file(), "{name}");
}

#[test]
fn a_blob_that_one_place_has_is_sent_to_the_other_alone() {
    let fan = Fan::new();
    let built = image("abc");
    fan.to[0].push("acme/other", "x", &built);
    fan.to[0].state(|state| state.store(TO, &built));
    fan.to[0].clear();
    let result = fan.promote().run().result();
    let blobs = |n: usize| result["targets"][n]["copied"]["blobs"].clone();
    assert_eq!((blobs(0), blobs(1)), (json!(0), json!(2)));
    assert_eq!(fan.from.log().matching("GET", "/blobs/"), 2);
}

#[test]
fn one_place_of_several_is_put_back_by_its_name() {
    let fan = Fan::new();
    for to in &fan.to {
        to.push(TO, "latest", &image("before"));
    }
    let before = fan.to[0].resolve(TO, "latest");
    let result = fan.promote().arg("--allow-downgrade").run().result();
    let record = result["record"].to_string();
    let back = tagwright(["rollback", &fan.to[1].name(TO), "--record", "-"]).stdin(record).run().result();
    assert_eq!(back["repository"], fan.to[1].name(TO));
    assert_eq!(fan.to[1].resolve(TO, "latest"), before);
    assert_eq!(fan.to[0].resolve(TO, "latest"), fan.from.resolve(FROM, TAG));
}
