//! What a promotion leaves and tells where the registry refuses or breaks in its midst, and the way back.

use crate::promote::{APP, actions, fill, look, promote, versions};
use crate::support::cmd::tagwright;
use crate::support::registry::{Options, Registry};
use crate::support::reply::{Fault, Reply};

#[test]
fn an_immutable_tag_stays_and_what_was_written_before_is_told() {
    let registry = Registry::with(Options { immutable: true, ..Options::default() });
    fill(&registry);
    let ran = promote(&registry, ":2026.34.103", []).run();
    insta::assert_snapshot!(look(&registry, &ran));
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.102"));
    // The candidate is there now, so nothing at all is written the second time.
    let ran = promote(&registry, ":2026.34.103", []).run();
    assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), ("tag-immutable", Some(false)));
}

#[test]
fn every_way_to_say_that_a_tag_is_immutable_is_understood() {
    for (status, code, words) in [
        (400, "TAG_INVALID", "the tag exists"),
        (403, "DENIED", "tag latest is immutable"),
        (409, "CONFLICT", "Immutable tag"),
        (412, "PRECONDITION", "Failed to process request due to 'app:latest' configured as immutable."),
    ] {
        for login in [false, true] {
            let registry = if login { Registry::basic("robot", "secret") } else { Registry::with(Options::default()) };
            fill(&registry);
            registry.before(move |asked, _| (asked.method == "PUT").then(|| Reply::error(status, code, words)));
            let mut run = promote(&registry, ":2026.34.103", ["--move", "latest"]);
            if login {
                run = run.login("robot", "secret");
            }
            let ran = run.run();
            assert_eq!((ran.code().as_str(), ran.exit), ("tag-immutable", Some(5)), "{status}: {ran}");
        }
    }
}

#[test]
fn a_refusal_after_the_first_write_says_what_was_written_and_how_to_undo_it() {
    let registry = versions();
    registry.before(|asked, _| {
        let hit = asked.method == "PUT" && asked.path.ends_with("/stable");
        hit.then(|| Reply::error(403, "DENIED", "requested access to the resource is denied"))
    });
    let words = ["--to", "x", "--move", "latest", "--move", "stable"];
    let ran = promote(&registry, ":2026.34.103", words).run();
    insta::assert_snapshot!(look(&registry, &ran));
    // The undo command does what it says.
    let undo = ran.error()["rollback"][0].as_array().unwrap().clone();
    let undo: Vec<&str> = undo.iter().skip(1).map(|word| word.as_str().unwrap()).collect();
    tagwright([]).args(undo).run().result();
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.102"));
}

#[test]
fn the_command_that_undoes_a_promotion_puts_the_tag_back() {
    let registry = versions();
    let ran = promote(&registry, ":2026.34.103", []).run();
    let rollback = ran.result()["rollback"].as_array().unwrap().clone();
    assert_eq!(rollback.len(), 1);
    let words: Vec<String> =
        rollback[0].as_array().unwrap().iter().skip(1).map(|word| word.as_str().unwrap().to_owned()).collect();
    tagwright([]).args(words).run().result();
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.102"));
}

#[test]
fn a_write_whose_answer_is_lost_counts_when_the_tag_shows_it() {
    let registry = versions();
    registry.after(|asked, _, reply| {
        if asked.method == "PUT" && asked.path.ends_with("/latest") {
            *reply = Reply::broken(Fault::Close);
        }
    });
    let ran = promote(&registry, ":2026.34.103", ["--retries", "0"]).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc: created", "latest: moved"]);
    assert_eq!(ran.result()["tags"][1]["verified"], true);
}

#[test]
fn a_write_whose_answer_is_lost_and_that_cannot_be_looked_at_is_told_as_such() {
    let registry = versions();
    let mut down = false;
    registry.after(move |asked, _, reply| {
        down |= asked.method == "PUT";
        if down {
            *reply = Reply::broken(Fault::Close);
        }
    });
    let ran = promote(&registry, ":2026.34.103", ["--move", "latest", "--retries", "0"]).run();
    assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), ("unreachable", Some(true)), "{ran}");
    insta::assert_snapshot!(look(&registry, &ran).split("---- stderr").nth(1).unwrap());
}

#[test]
fn reading_back_that_fails_tells_what_was_written() {
    let registry = versions();
    let mut written = false;
    registry.before(move |asked, _| {
        let fails = written && asked.method == "HEAD";
        written |= asked.method == "PUT" && asked.path.ends_with("/latest");
        fails.then(|| Reply::status(500))
    });
    let ran = promote(&registry, ":2026.34.103", ["--retries", "0"]).run();
    let error = ran.error();
    assert_eq!(
        (ran.code().as_str(), error["done"].as_array().map(Vec::len)),
        ("registry-unavailable", Some(2)),
        "{ran}"
    );
    assert!(ran.stderr.lines().last().unwrap().starts_with("written: "), "{ran}");
}
