//! The story of `tests/live`, told to the registries that take longer to get than to run.
//!
//! Runs by name only, `make registries`; a server or tool that is missing fails the tests.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests meet the world")]

#[allow(dead_code, reason = "the other tests need more of it")]
#[path = "../live/stage.rs"]
mod stage;
#[path = "../live/story.rs"]
mod story;
#[path = "../support/mod.rs"]
mod support;

use serde_json::json;
use stage::{Door, Program, Stage};
use story::{actions, check_story};

#[test]
fn every_command_works_on_cues_registry() {
    check_story(Program::Cue, Door::Open);
}

#[test]
fn cues_registry_with_tags_that_do_not_move_is_understood() {
    let stage = Stage::filled(Program::CueImmutable, Door::Open);
    let before = stage.digest("latest");
    let ran = stage.run("promote", ":2026.34.103", ["--to", "2026.34.103-rc"]).run();
    assert_eq!(actions(&ran), json!([["2026.34.103-rc", "created", true]]), "{ran}");
    let ran = stage.run("promote", "", ["--build", "103"]).run();
    assert_eq!((ran.code().as_str(), ran.exit, &ran.error()["changed"]), ("tag-immutable", Some(5), &json!(false)));
    assert_eq!(stage.digest("latest"), before);
}

#[test]
fn every_command_works_on_peryx() {
    check_story(Program::Peryx, Door::Own);
}

#[test]
fn every_command_works_on_gitea() {
    check_story(Program::Gitea, Door::Own);
}
