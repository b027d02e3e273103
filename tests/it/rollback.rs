//! `rollback`: which tags go back, which are left, and what is refused.

use crate::stage::{image, push, shown};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::registry::{Auth, Options, Registry};
use crate::support::reply::{Fault, Reply};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

const APP: &str = "acme/app";

/// A promotion of the third version: `latest` and `stable` moved, the candidate created.
struct Story {
    registry: Registry,
    folder: TempDir,
}

impl Story {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let registry = Registry::with(options);
        push(&registry, APP, &["2026.34.101", "2026.34.102", "2026.34.103"]);
        let story = Self { registry, folder: tempfile::tempdir().unwrap() };
        story.point("latest", "2026.34.102");
        story.point("stable", "2026.34.101");
        story.promote("2026.34.103").result();
        story
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("record.jsonl")
    }

    fn promote(&self, tag: &str) -> Ran {
        let source = self.registry.name(&format!("{APP}:{tag}"));
        let words = ["promote", &source, "--to", "{version}-rc", "--move", "latest", "--move", "stable", "--record"];
        tagwright(words).arg(self.file()).run()
    }

    fn point(&self, tag: &str, at: &str) {
        let digest = self.registry.resolve(APP, at).unwrap();
        self.registry.state(|state| state.tag(APP, tag, &digest));
    }

    /// Takes lines away at the end of the record.
    fn keep(&self, lines: usize) {
        let text = std::fs::read_to_string(self.file()).unwrap();
        let kept: String = text.split_inclusive('\n').take(lines).collect();
        std::fs::write(self.file(), kept).unwrap();
    }

    fn rollback<const N: usize>(&self, words: [&str; N]) -> Tagwright {
        tagwright(["rollback", "--record"]).arg(self.file()).args(words)
    }

    /// Which version each tag is now.
    fn now(&self) -> Vec<Option<String>> {
        let versions = ["2026.34.101", "2026.34.102", "2026.34.103"];
        let name = |tag: &str| {
            let digest = self.registry.resolve(APP, tag)?;
            versions.iter().find(|v| self.registry.resolve(APP, v).as_ref() == Some(&digest)).map(|v| v[8..].to_owned())
        };
        ["2026.34.103-rc", "latest", "stable"].map(name).to_vec()
    }

    fn check(&self, expected: [&str; 3]) {
        assert_eq!(self.now(), expected.map(|one| Some(one.to_owned())));
    }
}

fn actions(ran: &Ran) -> Vec<String> {
    let result = ran.result();
    let list = result["tags"].as_array().unwrap();
    list.iter().map(|tag| format!("{}: {}", tag["tag"].as_str().unwrap(), tag["action"].as_str().unwrap())).collect()
}

const BACK: [&str; 3] = ["2026.34.103-rc: left", "latest: moved", "stable: moved"];

#[test]
fn moved_tags_go_back_and_created_ones_are_left() {
    let story = Story::new();
    story.registry.clear();
    let ran = story.rollback([]).run();
    story.check(["103", "102", "101"]);
    assert_eq!(actions(&ran), BACK);
    insta::assert_snapshot!(shown(
        &ran,
        &[(&story.registry.host(), "[registry]"), (&story.file().to_string_lossy(), "[file]")]
    ));
    let mut puts = story
        .registry
        .log()
        .0
        .iter()
        .filter(|one| one.asked.method == "PUT")
        .map(|one| one.asked.body.clone())
        .collect::<Vec<_>>();
    let mut expected = [image("2026.34.102").bytes, image("2026.34.101").bytes];
    puts.sort();
    expected.sort();
    assert_eq!(puts, expected);
    // Once more, and nothing is left to do.
    story.registry.clear();
    let ran = story.rollback([]).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc: left", "latest: unchanged", "stable: unchanged"]);
    let app = story.registry.name(APP);
    let tags = "2026.34.103-rc (left), latest (back already), stable (back already)";
    assert_eq!(ran.result()["summary"], format!("nothing to do: {app} is rolled back already: {tags}"));
    assert_eq!(story.registry.log().writes(), 0);
}

#[test]
fn a_file_alone_decides_about_no_credential() {
    let options = Options { auth: Auth::Basic("robot".into(), "sekret".into()), ..Options::default() };
    let registry = Registry::with(options);
    push(&registry, APP, &["2026.34.101", "2026.34.102", "latest"]);
    let (app, folder) = (registry.name(APP), tempfile::tempdir().unwrap());
    let file = folder.path().join("record.jsonl").display().to_string();
    let run = |words: &[&str]| tagwright([]).args(words.to_vec()).login("robot", "sekret");
    let promoted = run(&["promote", &format!("{app}:2026.34.102"), "--move", "latest", "--record", &file]).run();
    let record = std::fs::read_to_string(&file).unwrap();
    let given = json!({"command": "rollback", "args": {"record": promoted.result()["record"].clone()}}).to_string();
    for (run, is_answered) in [
        (run(&["rollback", "--record", &file]), false),
        (run(&["rollback", "--record", "-"]).stdin(record.clone()), false),
        (run(&["rollback", &app, "--record", &file]), true),
        (run(&["rollback", "--record", &file]).env("REGISTRY_HOST", registry.host()), true),
        // What was promoted in place did not come with the pair of a target, though that is named for the registry too.
        (
            run(&["rollback", "--record", &file])
                .env("REGISTRY_HOST", registry.host())
                .env("INTO_REGISTRY_HOST", registry.host())
                .env("INTO_REGISTRY_USERNAME", "other")
                .env("INTO_REGISTRY_PASSWORD", "other"),
            true,
        ),
        (run(&["call"]).env("TAGWRIGHT_REQUEST", given), true),
    ] {
        registry.clear();
        let ran = run.run();
        let sent = registry.log().0.iter().any(|one| one.asked.header("Authorization").is_some());
        assert_eq!((ran.exit == Some(0), sent), (is_answered, is_answered), "{ran}");
        if !is_answered {
            assert_eq!(ran.code(), "credential-missing", "{ran}");
            assert!(ran.error()["text"].as_str().unwrap().contains("`REGISTRY_HOST` does not name"), "{ran}");
        }
    }
    // A promotion names its repository in the command that undoes it, so that this finds the credential again.
    let undo: Vec<String> = serde_json::from_value(promoted.result()["rollback"][0].clone()).unwrap();
    assert_eq!(undo[..3], ["tagwright", "rollback", &app]);
    tagwright([]).args(&undo[1..]).login("robot", "sekret").run().result();
    // A record of another place is refused before any packet.
    registry.clear();
    let ran = run(&["rollback", "reg.example/acme/app", "--record", &file]).run();
    assert_eq!((ran.code().as_str(), registry.log().count()), ("request-invalid", 0), "{ran}");
}

#[test]
fn what_was_rolled_back_can_be_put_back_again() {
    let story = Story::new();
    let result = story.rollback([]).run().result();
    for undo in result["rollback"].as_array().unwrap() {
        let words: Vec<&str> = undo.as_array().unwrap().iter().skip(1).map(|word| word.as_str().unwrap()).collect();
        tagwright([]).args(words).run().result();
    }
    story.check(["103", "103", "103"]);
}

#[test]
fn a_record_of_what_was_only_planned_is_enough() {
    let story = Story::new();
    story.keep(1);
    assert_eq!(actions(&story.rollback([]).run()), BACK);
    story.check(["103", "102", "101"]);
    // The run was ended before it wrote `stable`.
    let story = Story::new();
    story.keep(1);
    story.point("stable", "2026.34.101");
    assert_eq!(actions(&story.rollback([]).run()), ["2026.34.103-rc: left", "latest: moved", "stable: unchanged"]);
    story.check(["103", "102", "101"]);
}

#[test]
fn the_first_run_of_several_tells_what_was_there_before() {
    let story = Story::new();
    story.promote("2026.34.103").result();
    assert_eq!(actions(&story.rollback([]).run()), BACK);
    story.check(["103", "102", "101"]);
    // Of two images the one that was promoted last is taken back.
    let story = Story::new();
    story.registry.push(APP, "2026.34.104", &image("next"));
    story.promote("2026.34.104").result();
    assert_eq!(actions(&story.rollback([]).run()), ["2026.34.104-rc: left", "latest: moved", "stable: moved"]);
    story.check(["103", "103", "103"]);
}

#[test]
fn one_tag_alone_goes_back() {
    let story = Story::new();
    assert_eq!(actions(&story.rollback(["--tag", "stable"]).run()), ["stable: moved"]);
    story.check(["103", "103", "101"]);
    let ran = story.rollback(["--tag", "nightly"]).run();
    assert_eq!(ran.code(), "request-invalid");
    assert_eq!(ran.error()["hint"], "name one of `2026.34.103-rc`, `latest`, `stable`");
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let story = Story::new();
    story.registry.clear();
    let ran = story.rollback(["--dry-run"]).run();
    assert_eq!(actions(&ran), BACK);
    let result = ran.result();
    assert_eq!((&result["dryRun"], &result["tags"][1]["verified"]), (&json!(true), &Value::Null));
    assert_eq!(result["record"]["state"], "planned");
    assert_eq!(story.registry.log().writes(), 0);
    story.check(["103", "103", "103"]);
}

#[test]
fn a_tag_that_somebody_moved_since_stays_unless_forced() {
    let story = Story::new();
    story.registry.push(APP, "latest", &image("by hand"));
    let ran = story.rollback([]).run();
    insta::assert_snapshot!(shown(
        &ran,
        &[(&story.registry.host(), "[registry]"), (&story.file().to_string_lossy(), "[file]")]
    ));
    assert_eq!(story.now(), [Some("103".to_owned()), None, Some("103".to_owned())]);
    assert_eq!(actions(&story.rollback(["--tag", "stable"]).run()), ["stable: moved"]);
    let ran = story.rollback(["--force"]).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc: left", "latest: moved", "stable: unchanged"]);
    assert_eq!(ran.warnings(), ["moved-since"]);
    story.check(["103", "102", "101"]);
    // So does one that was deleted.
    story.registry.state(|state| state.repositories.get_mut(APP).unwrap().tags.remove("stable"));
    assert_eq!(story.rollback(["--dry-run", "--tag", "stable"]).run().code(), "tag-conflict");
    assert_eq!(actions(&story.rollback(["--tag", "stable", "--force"]).run()), ["stable: created"]);
    story.check(["103", "102", "101"]);
}

#[test]
fn a_tag_that_was_superseded_stays_with_the_newer_version() {
    let registry = Registry::start();
    push(&registry, APP, &["2026.34.101", "2026.34.102", "2026.34.103"]);
    let story = Story { registry, folder: tempfile::tempdir().unwrap() };
    story.point("latest", "2026.34.101");
    let newest = story.registry.resolve(APP, "2026.34.103").unwrap();
    story.registry.after(move |asked, state, _| {
        if asked.method == "PUT" && asked.path.ends_with("/latest") {
            state.tag(APP, "latest", &newest);
        }
    });
    let source = story.registry.name("acme/app:2026.34.102");
    let ran = tagwright(["promote", &source, "--move", "latest", "--record"]).arg(story.file()).run();
    assert_eq!((&ran.result()["tags"][0]["action"], &ran.result()["rollback"]), (&json!("superseded"), &json!([])));
    assert_eq!(actions(&story.rollback([]).run()), ["latest: left"]);
    assert_eq!(story.now()[1], Some("103".to_owned()));
}

#[test]
fn an_image_that_is_gone_stops_it_before_anything_is_written() {
    let story = Story::new();
    let gone = story.registry.resolve(APP, "2026.34.101").unwrap();
    story.registry.state(|state| state.repositories.get_mut(APP).unwrap().manifests.remove(&gone));
    story.registry.clear();
    for words in [&["--dry-run"][..], &[]] {
        let ran = tagwright(["rollback", "--record"]).arg(story.file()).args(words).run();
        assert_eq!((ran.code().as_str(), ran.exit), ("tag-unknown", Some(3)), "{ran}");
        assert!(ran.error()["message"].as_str().unwrap().starts_with("`stable` cannot go back to `sha256:"), "{ran}");
        assert!(ran.stderr.ends_with("\nnothing was written\n"), "{ran}");
    }
    assert_eq!(story.registry.log().writes(), 0);
    assert_eq!(actions(&story.rollback(["--tag", "latest"]).run()), ["latest: moved"]);
}

#[test]
fn a_change_between_the_two_looks_is_noticed() {
    let story = Story::new();
    let other = image("by hand");
    let mut heads = 0;
    story.registry.after(move |asked, state, _| {
        heads += usize::from(asked.method == "HEAD" && asked.path.ends_with("/latest"));
        if heads == 1 {
            heads += 1;
            let digest = state.store(APP, &other);
            state.tag(APP, "latest", &digest);
        }
    });
    story.registry.clear();
    let ran = story.rollback([]).run();
    assert_eq!((ran.code().as_str(), story.registry.log().writes()), ("tag-conflict", 0), "{ran}");
}

#[test]
fn a_tag_that_is_not_put_back_may_change_between_the_two_looks() {
    let story = Story::new();
    let mut heads = 0;
    story.registry.after(move |asked, state, _| {
        heads += usize::from(asked.method == "HEAD" && asked.path.ends_with("-rc"));
        if heads == 1 {
            state.repositories.get_mut(APP).unwrap().tags.remove("2026.34.103-rc");
        }
    });
    assert_eq!(actions(&story.rollback([]).run()), ["2026.34.103-rc: unchanged", "latest: moved", "stable: moved"]);
    assert_eq!(story.now()[1..], [Some("102".to_owned()), Some("101".to_owned())]);
}

#[test]
fn a_failure_half_way_says_what_was_written_and_how_to_undo_it() {
    let story = Story::new();
    story.registry.before(|asked, _| {
        let hit = asked.method == "PUT" && asked.path.ends_with("/stable");
        hit.then(|| Reply::error(403, "DENIED", "requested access to the resource is denied"))
    });
    let ran = story.rollback([]).run();
    let error = ran.error();
    assert_eq!((ran.code().as_str(), &error["changed"]), ("denied", &json!(true)));
    assert!(ran.stderr.lines().last().unwrap().starts_with("written: "), "{ran}");
    story.check(["103", "102", "103"]);
    let undo: Vec<String> = serde_json::from_value(error["rollback"][0].clone()).unwrap();
    tagwright([]).args(&undo[1..]).run().result();
    story.check(["103", "103", "103"]);
}

#[test]
fn somebody_who_writes_at_the_same_time_is_reported() {
    let story = Story::new();
    let other = image("by hand");
    story.registry.after(move |asked, state, _| {
        if asked.method == "PUT" && asked.path.ends_with("/latest") {
            let digest = state.store(APP, &other);
            state.tag(APP, "latest", &digest);
        }
    });
    let ran = story.rollback([]).run();
    let error = ran.error();
    assert_eq!((ran.code().as_str(), &error["details"]["found"]), ("raced", &json!(image("by hand").digest())));
    let name = story.registry.name(APP);
    let over = format!("{name}:latest (written, and written over by somebody else)");
    assert_eq!(error["done"], json!([over, format!("{name}:stable (moved)")]));
    assert_eq!(error["rollback"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_write_whose_answer_is_lost_counts_when_the_tag_shows_it() {
    let story = Story::new();
    story.registry.after(|asked, _, reply| {
        if asked.method == "PUT" {
            *reply = Reply::broken(Fault::Close);
        }
    });
    assert_eq!(actions(&story.rollback(["--retries", "0"]).run()), BACK);
    story.check(["103", "102", "101"]);
}

#[test]
fn an_immutable_tag_is_told() {
    let story = Story::new();
    story.registry.before(|asked, _| {
        (asked.method == "PUT")
            .then(|| Reply::error(400, "TAG_INVALID", "the tag exists and the repository is immutable"))
    });
    assert_eq!(story.rollback([]).run().code(), "tag-immutable");
}

#[test]
fn a_record_comes_from_standard_input_or_from_the_request() {
    let story = Story::new();
    let text = std::fs::read_to_string(story.file()).unwrap();
    let ran = tagwright(["rollback", "--record", "-", "--dry-run"]).stdin(text.clone()).run();
    assert_eq!(actions(&ran), BACK);
    let record: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let call = |record: Value, more: Value| {
        let mut args = json!({"record": record, "dryRun": true});
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tagwright(["call"]).env("TAGWRIGHT_REQUEST", json!({"command": "rollback", "args": args}).to_string()).run()
    };
    let ran = call(record.clone(), json!({"tag": ["latest"]}));
    assert_eq!(actions(&ran), ["latest: moved"]);
    assert!(ran.stderr.contains("tagwright rollback --dry-run --record=- --tag=latest\n"), "{ran}");
    assert_eq!(actions(&call(json!(story.file()), json!({}))), BACK);
    for (record, code) in [
        (json!({}), "missing-value"),
        (json!(""), "missing-value"),
        (Value::Null, "missing-value"),
        (json!([1]), "request-invalid"),
        (json!(true), "request-invalid"),
        (json!({"schema": 1}), "record-invalid"),
        (json!({"schema": 2, "state": "done"}), "record-invalid"),
    ] {
        let ran = call(record.clone(), json!({}));
        assert_eq!((&ran.json()["error"]["code"], ran.exit), (&json!(code), Some(2)), "{record}: {ran}");
    }
}

#[test]
fn what_is_no_record_is_refused_before_anything_is_asked() {
    let story = Story::new();
    let text = std::fs::read_to_string(story.file()).unwrap();
    let (planned, done) = text.trim_end().split_once('\n').unwrap();
    let other = planned.replace("acme/app", "acme/other");
    let envelope = tagwright(["inspect", &story.registry.name("acme/app:2026.34.103")]).run().stdout;
    story.registry.clear();
    for (text, message, hint) in [
        (
            planned.replacen("\"schema\":1", "\"schema\":2", 1),
            "standard input is a record of schema 2, and this tagwright knows schema 1",
            "use the tagwright that wrote it, or a newer one",
        ),
        (format!("{}\n{done}\n", &planned[..200]), "line 1 of standard input is not JSON", "mend line 1"),
        (
            format!("{other}\n{done}\n"),
            "standard input holds promotions of several repositories, ",
            "give the lines of one run alone",
        ),
        (String::new(), "standard input is empty", "give the file that "),
        ("{\"a\":1}".to_owned(), "standard input is JSON, but no record of a promotion", "give the file that "),
        (envelope, "standard input is the output of a command, and holds no record", "give the file that "),
    ] {
        let ran = tagwright(["rollback", "--record", "-"]).stdin(text).run();
        let error = ran.error();
        assert_eq!((ran.code().as_str(), ran.exit), ("record-invalid", Some(2)), "{ran}");
        assert!(error["message"].as_str().unwrap().starts_with(message), "{ran}");
        assert!(error["hint"].as_str().unwrap().starts_with(hint), "{ran}");
        assert!(ran.stderr.ends_with("\nnothing was written\n"), "{ran}");
    }
    let record: Value = serde_json::from_str(done).unwrap();
    let back = tagwright(["rollback", "--record", "-", "--dry-run"]).stdin(record.to_string()).run().result();
    let ran = tagwright(["rollback", "--record", "-"]).stdin(back["record"].to_string()).run();
    assert!(
        ran.error()["message"].as_str().unwrap().ends_with("is the record of `rollback`, not of a promotion"),
        "{ran}"
    );
    story.registry.clear();
    let missing = story.folder.path().join("missing");
    let ran = tagwright(["rollback", "--record"]).arg(missing).run();
    assert_eq!((ran.code().as_str(), story.registry.log().count()), ("record-invalid", 0), "{ran}");
    let ran = tagwright(["rollback", "--record", "-"]).stdin(b"\xff\xfe".to_vec()).run();
    assert_eq!(ran.code(), "record-invalid");
}

#[test]
fn a_last_line_that_was_cut_off_is_passed_over_with_a_warning() {
    let story = Story::new();
    let text = std::fs::read_to_string(story.file()).unwrap();
    std::fs::write(story.file(), &text[..text.len() - 40]).unwrap();
    let ran = story.rollback(["--dry-run"]).run();
    assert_eq!((actions(&ran), ran.warnings()), (BACK.map(str::to_owned).to_vec(), vec!["record-torn".to_owned()]));
    // The next promotion begins a line of its own.
    story.promote("2026.34.103").result();
    assert_eq!(actions(&story.rollback([]).run()), BACK);
}

#[test]
fn the_flags_are_those_of_the_table() {
    for (words, code) in [
        (&["rollback"][..], "missing-value"),
        (&["rollback", "acme/app:1", "--record", "-"], "reference-invalid"),
        (&["rollback", "acme/app", "acme/other", "--record", "-"], "request-invalid"),
        (&["rollback", "--record", "", "--force"], "missing-value"),
        (&["rollback", "--record", "-", "--tag", "a b"], "reference-invalid"),
        (&["rollback", "--record", "-", "--move", "latest"], "unknown-flag"),
    ] {
        let ran = tagwright([]).args(words).run();
        assert_eq!((ran.code().as_str(), ran.exit), (code, Some(2)), "{ran}");
    }
}

#[test]
fn a_record_is_a_path_by_its_beginning_and_the_output_of_the_promotion_on_standard_input() {
    let story = Story::new();
    let by_place = tagwright(["rollback", "--dry-run"]).arg(story.file()).run();
    assert_eq!(by_place.result()["tags"], story.rollback(["--dry-run"]).run().result()["tags"]);
    let source = story.registry.name(&format!("{APP}:2026.34.101"));
    let promoted = tagwright(["promote", &source, "--move", "beta", "--move", "latest", "--allow-downgrade"]).run();
    let before = story.registry.resolve(APP, "2026.34.103");
    let ran = tagwright(["rollback", "--record", "-"]).stdin(promoted.stdout).run();
    assert_eq!(actions(&ran), ["beta: left", "latest: moved"]);
    assert_eq!(story.registry.resolve(APP, "latest"), before);
}
