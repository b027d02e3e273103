//! Every command stands in every place that CONTRIBUTING.md lists under "Add a command".

use crate::tidy::{File, assert_none, files};
use std::collections::BTreeSet;
use tagwright::cli::defs::{CALL, COMMANDS};

/// A place where a command has to stand: a file whose path begins so and whose text holds this.
///
/// `{name}` is the command, `{file}` the same as the name of a Rust file, `{step}` its step in a pipeline.
const PLACES: &[(&str, &str)] = &[
    ("src/cli/defs.rs", "name: \"{name}\""),
    ("src/cli/build.rs", "\"{name}\" =>"),
    ("src/command/mod.rs", "pub mod {file};"),
    ("src/command/{file}", "pub fn run("),
    ("src/lib.rs", "command::{file}::run"),
    ("tests/it/{file}.rs", "\"{name}\""),
    ("tests/it/snapshots/it__{file}__", ""),
    ("tests/it/call.rs", "\"{name}\","),
    ("tests/it/secrets.rs", "&[\"{name}\""),
    ("tests/live/story.rs", "run(\"{name}\""),
    ("docs/schema/{name}.result.json", ""),
    ("docs/schema/{name}.request.json", ""),
    ("docs/commands.md", "## {name}"),
    ("docs/aws.md", "`{name}"),
    ("README.md", "| `{name}` |"),
    ("vars/{step}.groovy", "command: '{name}'"),
    ("vars/{step}.groovy", "tagwright.byPlace('{step}'"),
    ("vars/{step}.txt", "Returns"),
    ("docs/pipelines.md", "| `{step}` |"),
    ("tests/pipeline/", "{step}("),
    ("CHANGELOG.md", "`{name}"),
];

/// The commands that a pipeline reaches through the step `tagwright` alone.
const WITHOUT_STEP: &[&str] = &["tags", "auth", "rate-limit", "doctor"];

/// Where a command is left out, of the places that it needs.
fn left_out(command: &str, files: &[File]) -> Vec<String> {
    let call = format!("command: '{command}'");
    let step = files.iter().find(|file| {
        file.path.starts_with("vars/") && file.path != "vars/tagwright.groovy" && file.text.contains(&call)
    });
    let step = step.map(|file| file.path.trim_start_matches("vars/").trim_end_matches(".groovy"));
    let filled = |text: &str| {
        let text = text.replace("{name}", command).replace("{file}", &command.replace('-', "_"));
        text.replace("{step}", step.unwrap_or("STEP"))
    };
    let needed = PLACES.iter().filter(|(place, marker)| {
        !WITHOUT_STEP.contains(&command) || !(place.contains("{step}") || marker.contains("{step}"))
    });
    let places = needed.map(|(place, marker)| (filled(place), filled(marker)));
    let holds = |(place, marker): &(String, String)| {
        files.iter().any(|file| file.path.starts_with(place.as_str()) && file.text.contains(marker.as_str()))
    };
    places.filter(|place| !holds(place)).map(|(place, marker)| format!("`{command}`: {place} {marker}")).collect()
}

fn tree() -> Vec<File> {
    files(|path| path != "Cargo.lock")
}

/// Every command that the table names, or that is built.
fn commands(files: &[File]) -> BTreeSet<String> {
    let built = files.iter().find(|file| file.path == "src/cli/build.rs").unwrap();
    let arms = built.text.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => "));
    let named = arms.map(|(name, _)| name.to_owned());
    let listed = COMMANDS.iter().map(|command| command.name.to_owned()).filter(|name| name != CALL);
    named.chain(listed).collect()
}

#[test]
fn every_command_stands_in_every_place_that_a_new_one_touches() {
    let files = tree();
    let offences = commands(&files).iter().flat_map(|command| left_out(command, &files)).collect();
    assert_none("places of the list in CONTRIBUTING.md that leave a command out", offences);
}

#[test]
fn a_place_that_leaves_a_command_out_is_named() {
    for (place, marker) in PLACES {
        let place = place.replace("{name}", "find-tag").replace("{file}", "find_tag").replace("{step}", "findImageTag");
        let marker = marker.replace("{name}", "find-tag").replace("{file}", "find_tag");
        let marker = marker.replace("{step}", "findImageTag");
        let mut files = tree();
        files.retain(|file| !(file.path.starts_with(&place) && file.text.contains(&marker)));
        let named = left_out("find-tag", &files);
        // Without a call of the bridge it is not known how the step is called.
        let unknown = place.replace("findImageTag", "STEP");
        let is_named = named.iter().any(|offence| offence.contains(&place) || offence.contains(&unknown));
        assert!(is_named, "{place}: {named:?}");
    }
}

#[test]
fn contributing_lists_every_place_in_order() {
    let files = tree();
    let text = &files.iter().find(|file| file.path == "CONTRIBUTING.md").unwrap().text;
    let list = text.split("## Add a command").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut at = 0;
    for (place, _) in PLACES {
        let shown = place.replace("{name}", "NAME").replace("{file}", "NAME").replace("{step}", "STEP");
        match list[at..].find(&shown) {
            Some(found) => at += found,
            None => panic!("`{shown}` does not stand in the list, or not in the order of the test:\n{list}"),
        }
    }
}
