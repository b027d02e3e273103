//! Who speaks where, with several targets and with a list that somebody else may have written: no registry ever sees a
//! credential that is not for it.

use crate::stage::image;
use crate::support::amazon::{Amazon, FAR, HOST, KEY, OTHER_KEY};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::registry::{Registry, one_user};
use crate::support::token::Rights;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TAG: &str = "2026.34.103";

/// A source and two targets, each with a user of its own: `user-0` with `word-0` and so on.
struct Three([Registry; 3]);

impl Three {
    fn new() -> Self {
        let three = [0, 1, 2].map(|n| Registry::basic(&format!("user-{n}"), &format!("word-{n}")));
        three[0].push("acme/app", TAG, &image("abc"));
        Self(three)
    }

    fn promote(&self) -> Tagwright {
        let [from, one, two] = &self.0;
        let run = pair(tagwright(["promote", &from.name(&format!("acme/app:{TAG}"))]), "", 0);
        run.args(["--into", &one.name("prod/one"), "--into", &two.name("prod/two")])
    }

    /// Who showed which registry a name and a password.
    fn seen(&self) -> Vec<Vec<String>> {
        let users = |registry: &Registry| {
            let log = registry.log();
            let mut users: Vec<String> =
                log.0.iter().filter_map(|one| one.asked.basic()).map(|(user, _)| user).collect();
            users.sort();
            users.dedup();
            users
        };
        self.0.iter().map(users).collect()
    }

    fn count(&self) -> usize {
        self.0.iter().map(|registry| registry.log().count()).sum()
    }
}

/// The pair of a registry under names that begin so.
fn pair(run: Tagwright, prefix: &str, n: usize) -> Tagwright {
    let run = run.env(&format!("{prefix}REGISTRY_USERNAME"), format!("user-{n}"));
    run.env(&format!("{prefix}REGISTRY_PASSWORD"), format!("word-{n}"))
}

fn pinned(run: Tagwright, prefix: &str, registry: &Registry) -> Tagwright {
    run.env(&format!("{prefix}REGISTRY_HOST"), registry.host())
}

/// Every pair for the registry of its number, by name.
fn named(run: Tagwright, three: &Three, prefixes: [&str; 3]) -> Tagwright {
    let each = |run, (n, prefix): (usize, &str)| pinned(pair(run, prefix, n), prefix, &three.0[n]);
    prefixes.into_iter().enumerate().fold(run, each)
}

fn hint(ran: &Ran) -> String {
    ran.error()["hint"].as_str().unwrap_or_default().to_owned()
}

fn own() -> Vec<Vec<String>> {
    (0..3).map(|n| vec![format!("user-{n}")]).collect()
}

#[test]
fn each_target_has_a_pair_of_its_own_and_sees_no_other() {
    let three = Three::new();
    let run = pair(pair(three.promote(), "INTO_1_", 1), "INTO_2_", 2);
    assert_eq!(run.run().result()["targets"].as_array().unwrap().len(), 2);
    assert_eq!(three.seen(), own());
    // Another place in the list is another pair.
    let three = Three::new();
    let run = pair(pair(three.promote(), "INTO_1_", 2), "INTO_2_", 1);
    assert_eq!(run.run().code(), "unauthenticated");
    // Names that pin them keep the wrong ones at home.
    three.0.iter().for_each(Registry::clear);
    let [_, one, two] = &three.0;
    let ran = pinned(pinned(run, "INTO_1_", two), "INTO_2_", one).run();
    assert_eq!((ran.code().as_str(), three.count()), ("credential-host-mismatch", 0), "{ran}");
}

#[test]
fn a_pair_without_a_number_is_for_the_target_that_its_host_names() {
    let three = Three::new();
    let into = |run: Tagwright| pair(run, "INTO_", 2);
    // Without a name it is for none of several.
    let ran = into(three.promote()).run();
    assert_eq!(ran.code(), "credential-missing", "{ran}");
    assert!(hint(&ran).starts_with("set `INTO_REGISTRY_HOST` to `"), "{ran}");
    let one_pair = pinned(into(three.promote()), "INTO_", &three.0[2]);
    let expected = "set INTO_1_REGISTRY_USERNAME and INTO_1_REGISTRY_PASSWORD (in a step `credentialsId` of that entry of `into`), or ";
    for run in [&one_pair, &three.promote()] {
        let ran = run.run();
        assert_eq!(ran.code(), "credential-missing", "{ran}");
        assert!(hint(&ran).starts_with(expected), "{ran}");
    }
    pair(one_pair, "INTO_1_", 1).run().result();
    assert_eq!(three.seen(), own());
    // Two repositories of one registry are no two registries.
    let [from, one, _] = &three.0;
    let name = from.name(&format!("acme/app:{TAG}"));
    let run = tagwright(["promote", &name, "--into", &one.name("a/one"), "--into", &one.name("a/two")]);
    pair(pair(run, "", 0), "INTO_", 1).run().result();
}

#[test]
fn a_pair_that_is_pinned_elsewhere_or_not_whole_ends_the_run_before_any_packet() {
    let three = Three::new();
    let both = || pair(pair(three.promote(), "INTO_1_", 1), "INTO_2_", 2);
    for (run, code) in [
        (both().env("INTO_2_REGISTRY_HOST", "elsewhere.example"), "credential-host-mismatch"),
        (both().env("REGISTRY_HOST", "elsewhere.example"), "credential-host-mismatch"),
        (both().env("INTO_1_REGISTRY_HOST", "not a host"), "config-malformed"),
        (pair(three.promote(), "INTO_", 1).env("INTO_REGISTRY_HOST", "elsewhere.example"), "credential-host-mismatch"),
        (pair(three.promote(), "INTO_", 1).env("INTO_REGISTRY_HOST", "not a host"), "config-malformed"),
        (three.promote().env("INTO_2_REGISTRY_USERNAME", "half"), "missing-value"),
        (three.promote().env("INTO_2_REGISTRY_PASSWORD", "half"), "missing-value"),
    ] {
        let ran = run.run();
        assert_eq!((ran.code().as_str(), three.count()), (code, 0), "{ran}");
    }
    // A number that no target has is nobody's.
    both().env("INTO_3_REGISTRY_USERNAME", "half").env("INTO_3_REGISTRY_HOST", "elsewhere.example").run().result();
}

#[test]
fn one_pair_serves_all_of_one_registry_with_one_token_for_each_right() {
    let registry = Registry::bearer(one_user("robot", "secret"));
    registry.push("acme/app", TAG, &image("abc"));
    let into = ["a/one", "a/two"].map(|name| registry.name(name));
    let run =
        tagwright(["promote", &registry.name(&format!("acme/app:{TAG}")), "--into", &into[0], "--into", &into[1]]);
    let result = run.login("robot", "secret").run().result();
    for (place, path) in result["targets"].as_array().unwrap().iter().zip(["a/one", "a/two"]) {
        // What is mounted was read with the right that came along.
        assert_eq!(place["copied"]["blobs"], 0, "{place}");
        assert_eq!(registry.resolve(path, "latest"), registry.resolve("acme/app", TAG));
    }
    let tokens = registry.tokens().log().count();
    assert_eq!(tokens, 3);
}

#[test]
fn source_and_target_on_one_registry_may_have_a_pair_each() {
    let rules = one_user("user-0", "word-0").user("user-1", "word-1", Rights::PUSH);
    let registry = Registry::bearer(rules);
    registry.push("acme/app", TAG, &image("abc"));
    let run = tagwright(["promote", &registry.name(&format!("acme/app:{TAG}")), "--into", &registry.name("prod/app")]);
    pair(pair(run.clone(), "", 0), "INTO_", 1).run().result();
    let log = registry.tokens().log();
    let users: BTreeSet<String> = log.0.iter().filter_map(|one| one.asked.basic()).map(|(user, _)| user).collect();
    assert_eq!(users.into_iter().collect::<Vec<_>>(), ["user-0", "user-1"]);
    // Without one of its own the target has that of the source, from wherever it comes.
    run.args(["--username", "user-0", "--password-stdin"]).stdin("word-0").run().result();
}

#[test]
fn a_list_chooses_no_registry_for_a_credential() {
    let three = Three::new();
    let [from, ..] = &three.0;
    // Whoever writes the list names a registry of their own, as source, as target, in any place.
    let thief = Registry::basic("nobody", "nothing");
    let lists = [
        json!([{"image": thief.name("acme/app:1")}]),
        json!([{"image": from.name(&format!("acme/app:{TAG}")), "into": thief.name("acme/app")}]),
        json!([{"image": from.name(&format!("acme/app:{TAG}")), "into": [thief.name("a/b"), thief.name("a/c"), thief.name("a/d")]}]),
        json!([{"repository": thief.name("acme/app"), "build": 1}, {"image": from.name(&format!("acme/app:{TAG}"))}]),
    ];
    let without_names = |run: Tagwright| pair(pair(pair(pair(run, "", 0), "INTO_", 1), "INTO_1_", 1), "INTO_2_", 2);
    let with_names = |run: Tagwright| named(run, &three, ["", "INTO_1_", "INTO_2_"]);
    let typed = |run: Tagwright, list: &Value| run.clone_words(&["release", "-"]).stdin(list.to_string());
    for list in &lists {
        let runs = [
            without_names(typed(tagwright([]), list)),
            with_names(typed(tagwright([]), list)),
            typed(tagwright([]), list).args(["--username", "user-0", "--password-stdin"]),
            with_names(tagwright(["call"]))
                .env("TAGWRIGHT_REQUEST", json!({"command": "release", "args": {"images": list}}).to_string()),
        ];
        for run in runs {
            let ran = run.run();
            assert_ne!(ran.exit, Some(0), "{ran}");
        }
    }
    let log = thief.log();
    assert!(
        log.count() > 0 && log.0.iter().all(|one| one.asked.header("Authorization").is_none()),
        "{:#?}",
        log.lines()
    );
    for word in ["word-0", "word-1", "word-2"] {
        assert!(!thief.log().mentions(word));
    }
}

#[test]
fn in_a_release_each_pair_is_for_the_registry_that_its_host_names_on_whatever_side() {
    for prefixes in [["", "INTO_1_", "INTO_2_"], ["INTO_7_", "", "INTO_"], ["INTO_2_", "INTO_9_", "INTO_1_"]] {
        let three = Three::new();
        let [from, one, two] = &three.0;
        one.push("acme/web", TAG, &image("web"));
        let list = json!([
            {"image": from.name(&format!("acme/app:{TAG}")), "into": [one.name("prod/app"), two.name("prod/app")]},
            {"image": one.name(&format!("acme/web:{TAG}")), "into": [two.name("prod/web"), from.name("prod/web")]},
        ]);
        let run = tagwright(["release", "-"]).stdin(list.to_string());
        named(run, &three, prefixes).run().result();
        assert_eq!(three.seen(), own(), "{prefixes:?}");
    }
    // Where two name the registry of a target, that of its own number speaks there, else that of a target.
    for (prefixes, other) in [(["INTO_8_", "INTO_9_", "INTO_"], ""), (["INTO_8_", "INTO_1_", "INTO_2_"], "INTO_")] {
        let three = Three::new();
        let [from, one, two] = &three.0;
        let into = [one.name("prod/app"), two.name("prod/app")];
        let list = json!([{"image": from.name(&format!("acme/app:{TAG}")), "into": into}]);
        let run = named(tagwright(["release", "-"]).stdin(list.to_string()), &three, prefixes);
        pinned(pair(run, other, 0), other, two).run().result();
        assert_eq!(three.seen(), own());
    }
    // A pair that names nobody is nobody's, and the hint says what lacks.
    let three = Three::new();
    let list = json!([{"image": three.0[0].name(&format!("acme/app:{TAG}"))}]);
    let ran = pair(tagwright(["release", "-"]).stdin(list.to_string()), "", 0).run();
    assert_eq!(ran.code(), "credential-missing", "{ran}");
    assert!(hint(&ran).starts_with("set `REGISTRY_HOST` to `"), "{ran}");
    let target = json!([{"image": three.0[0].name(&format!("acme/app:{TAG}")), "into": three.0[1].name("prod/app")}]);
    let run = pinned(pair(tagwright(["release", "-"]).stdin(target.to_string()), "", 0), "", &three.0[0]);
    let ran = run.run();
    assert_eq!(ran.code(), "credential-missing", "{ran}");
    assert!(
        hint(&ran)
            .starts_with("set INTO_1_REGISTRY_USERNAME, INTO_1_REGISTRY_PASSWORD and INTO_1_REGISTRY_HOST (in a step"),
        "{ran}"
    );
}

#[test]
fn a_record_of_several_registries_is_taken_back_by_the_pairs_that_name_them() {
    let three = Three::new();
    let folder = tempfile::tempdir().unwrap();
    let run = named(three.promote(), &three, ["", "INTO_1_", "INTO_2_"]);
    for (registry, path) in [(&three.0[1], "prod/one"), (&three.0[2], "prod/two")] {
        registry.push(path, "2026.34.102", &image("old"));
        registry.push(path, "latest", &image("old"));
    }
    run.folder(folder.path()).args(["--record", "record.jsonl"]).run().result();
    let back = tagwright(["rollback", "--record", "record.jsonl"]).folder(folder.path());
    let unnamed = pair(pair(pair(back.clone(), "", 0), "INTO_1_", 1), "INTO_2_", 2);
    three.0.iter().for_each(Registry::clear);
    let record = std::fs::read_to_string(folder.path().join("record.jsonl")).unwrap();
    let record: Value = serde_json::from_str(record.lines().last().unwrap()).unwrap();
    let given = json!({"command": "rollback", "args": {"record": record}}).to_string();
    let handed_on = pair(tagwright(["call"]).env("TAGWRIGHT_REQUEST", given), "", 1);
    for run in [unnamed, handed_on] {
        assert_eq!(run.run().json()["error"]["code"], "credential-missing");
        assert_eq!(three.seen(), vec![Vec::<String>::new(); 3]);
    }
    // The first pair was for where the images came from, whatever it names.
    let back = pinned(pair(back, "", 0), "", &three.0[2]);
    named(back, &three, ["INTO_3_", "INTO_1_", "INTO_2_"]).run().result();
    assert_eq!(three.seen()[1..], own()[1..]);
    for (registry, path) in [(&three.0[1], "prod/one"), (&three.0[2], "prod/two")] {
        assert_eq!(registry.resolve(path, "latest"), registry.resolve(path, "2026.34.102"));
    }
}

#[test]
fn what_undoes_one_place_of_several_takes_no_pair_of_another() {
    let three = Three::new();
    let folder = tempfile::tempdir().unwrap();
    three.0[2].push("prod/two", "2026.34.102", &image("old"));
    three.0[2].push("prod/two", "latest", &image("old"));
    let pairs = |run: Tagwright| pair(pair(run.folder(folder.path()), "INTO_1_", 1), "INTO_2_", 2);
    pairs(three.promote()).args(["--record", "record.jsonl"]).run().result();
    let words = ["rollback", &three.0[2].name("prod/two"), "--record", "record.jsonl"];
    let undo = pairs(pair(tagwright(words), "", 0));
    three.0.iter().for_each(Registry::clear);
    let ran = undo.run();
    assert_eq!(ran.code(), "credential-missing", "{ran}");
    assert!(hint(&ran).starts_with("set `INTO_1_REGISTRY_HOST` to `"), "{ran}");
    assert_eq!(three.seen(), vec![Vec::<String>::new(); 3]);
    pinned(undo, "INTO_2_", &three.0[2]).run().result();
    assert_eq!(three.seen()[2], ["user-2"]);
}

#[test]
fn each_target_on_amazon_has_a_key_of_its_own() {
    let registry = Registry::start();
    registry.push("acme/app", TAG, &image("abc"));
    let amazon = Amazon::start();
    let [near, far] = [format!("{HOST}/prod/app"), format!("{FAR}/prod/app")];
    amazon.create([near.as_str(), far.as_str()]);
    amazon.allow(KEY.0, ["ecr:none"]);
    let name = registry.name(&format!("acme/app:{TAG}"));
    let key = |run: Tagwright, prefix: &str, (id, secret): (&str, &str)| {
        let run = run.env(&format!("{prefix}AWS_ACCESS_KEY_ID"), id);
        run.env(&format!("{prefix}AWS_SECRET_ACCESS_KEY"), secret)
    };
    let run = amazon.signed(["promote", &name, "--into", &near, "--into", &far]);
    let run = key(key(run, "INTO_1_", OTHER_KEY), "INTO_2_", OTHER_KEY);
    run.run().result();
    assert!(amazon.used(KEY.0).is_empty(), "{:?}", amazon.used(KEY.0));
    // The second alone, and a secret that is missing.
    let run = amazon.signed(["promote", &name, "--into", &near, "--into", &far, "--to", "more"]);
    let ran = key(run.clone(), "INTO_2_", OTHER_KEY).run();
    assert_eq!(ran.code(), "denied", "{ran}");
    let half = amazon.anonymous(["promote", &name, "--into", &far, "--to", "more"]);
    let ran = half.env("INTO_1_AWS_ACCESS_KEY_ID", OTHER_KEY.0).run();
    assert_eq!(ran.code(), "missing-value", "{ran}");
    assert!(ran.stderr.contains("INTO_1_AWS_SECRET_ACCESS_KEY"), "{ran}");
    assert!(!registry.log().mentions("AWS4-HMAC"));
    // In a release by name, else by place.
    let list = json!([{"image": name, "into": [far, near], "to": "again"}]).to_string();
    let run = amazon.signed(["release", "-"]).stdin(list).env("INTO_9_REGISTRY_HOST", FAR);
    key(key(run, "INTO_9_", OTHER_KEY), "INTO_2_", OTHER_KEY).run().result();
    assert!(!amazon.used(KEY.0).contains("PutImage"), "{:?}", amazon.used(KEY.0));
}
