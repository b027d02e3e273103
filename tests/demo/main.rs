//! The main job, command by command, against two real registries with a password each and a look-alike of Docker Hub's
//! web API.
//!
//! It shows each command with the JSON that it prints, checks that JSON, and at the end reads the registry without
//! the program. It ends with 1 where anything is not as expected.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::process::ExitCode;
use support::client::Client;
use support::cmd::{Ran, Tagwright, indented, tagwright};
use support::hub::{Hub, Options, Source};
use support::image::two_platforms;
use support::live::Live;
use support::program::Setup;
use support::text::digest;

const USER: &str = "robot";
const PASSWORD: &str = "only-for-the-demo";
const REPOSITORY: &str = "acme/serviceone";
const RELEASE_PASSWORD: &str = "only-for-the-release";
const RELEASE: &str = "release/serviceone";
/// What a release is made of: a repository below `acme/`, its version, and the one before.
const TRAIN: [(&str, &str, &str); 3] = [
    ("serviceone", "2026.34.103", "2026.34.102"),
    ("servicetwo", "2026.34.57", "2026.34.51"),
    ("servicethree", "2026.33.41", "2026.32.9"),
];
const BOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/demo-board");

/// Version, and the commit that the label names.
const BUILDS: [(&str, &str); 3] = [
    ("2026.34.101", "3f1c9a2be07d4418a6c5d0f2b7e81c93d45a6f10"),
    ("2026.34.102", "b84e6d107c2f4a95be318d0c6f5927ea14c0d3b8"),
    ("2026.34.103", "9d02c7f5a1e64b38870f3bd59c6e21ad7f84b0c6"),
];

fn main() -> ExitCode {
    // A panic has unwound, and so ended the servers, by the time it is caught here.
    match std::panic::catch_unwind(show) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => {
            println!("\nThe demo did not go as expected; see above.");
            ExitCode::FAILURE
        }
    }
}

fn show() {
    println!("The board of the release at the end of this demo will lie in {BOARD}/index.html");
    title("A registry with a password, and a look-alike of Docker Hub's web API beside it");
    let registry = Live::start(&Setup { password: Some((USER, PASSWORD)), ..Setup::default() });
    let client = registry.client().basic(USER, PASSWORD);
    let hub = Hub::start(Source::Registry(client.clone()), Options::default().user(USER, PASSWORD));
    let stage = Stage { name: registry.name(REPOSITORY), hub: hub.url() };
    println!("registry    http://{}  ({})", registry.host(), registry.version());
    println!("hub API     {}", hub.url());

    title("Three builds of an image for linux/amd64 and linux/arm64, with attestations");
    for (version, commit) in BUILDS {
        let digest = client.push(REPOSITORY, version, &two_platforms(commit, version));
        println!("pushed      {}:{version}  {digest}  git_revision={commit}", stage.name);
    }
    let oldest = client.digest(REPOSITORY, "2026.34.101").unwrap();
    let source = client.digest(REPOSITORY, "2026.34.103").unwrap();
    client.push(REPOSITORY, "latest", &two_platforms(BUILDS[0].1, BUILDS[0].0));
    println!("pushed      {}:latest       {oldest}  the same as 2026.34.101", stage.name);

    title("Which commit is build 103 from?");
    let ran = stage.run("labels", ":2026.34.103", &["--label", "git_revision"]);
    expect(&ran, &[("value", BUILDS[2].1.into()), ("digest", source.as_str().into())]);

    title("Which tag belongs to build 102?");
    let ran = stage.list("find-tag", &["--build", "102"]);
    expect(&ran, &[("tag", "2026.34.102".into()), ("via", "hub-api".into())]);

    title("Which version comes next?");
    let ran = stage.list("next-version", &["--build", "auto", "--at", "2026-08-20T12:00:00Z"]);
    expect(&ran, &[("version", "2026.34.104".into()), ("previous", "2026.34.103".into())]);

    title("What would a promotion of build 103 do?");
    let goals = ["--build", "103", "--to", "{version}-rc", "--move", "latest"];
    let ran = stage.list("promote", &[&goals[..], &["--dry-run"]].concat());
    expect(&ran, &[("dryRun", true.into()), ("digest", source.as_str().into())]);
    assert_eq!(actions(&ran), [("2026.34.103-rc", "created"), ("latest", "moved")].map(owned));
    assert_eq!(client.digest(REPOSITORY, "2026.34.103-rc"), None, "a dry run created a tag");
    assert_eq!(client.digest(REPOSITORY, "latest"), Some(oldest.clone()), "a dry run moved a tag");

    title("Promote build 103");
    let ran = stage.list("promote", &goals);
    expect(&ran, &[("dryRun", false.into()), ("digest", source.as_str().into())]);
    assert_eq!(actions(&ran), [("2026.34.103-rc", "created"), ("latest", "moved")].map(owned));
    assert_eq!(ran.result()["tags"][1]["before"], oldest);

    title("The same once more changes nothing");
    let ran = stage.list("promote", &goals);
    assert_eq!(actions(&ran), [("2026.34.103-rc", "unchanged"), ("latest", "unchanged")].map(owned));

    title("An older build does not take `latest` back");
    let ran = stage.list("promote", &["--build", "101", "--move", "latest"]);
    assert_eq!((ran.code().as_str(), ran.exit), ("downgrade-refused", Some(5)));

    title("What the registry holds, read with plain GET and SHA-256, without tagwright");
    for tag in ["2026.34.103", "2026.34.103-rc", "latest"] {
        check(&client, tag, &source);
    }
    assert_eq!(client.digest(REPOSITORY, "2026.34.101-rc"), None);
    println!("\nThe promoted tags carry the very digest of the source.");
    release(&stage, &source);
    train(&registry);
}

/// The second half: into another registry, on record, and back.
fn release(stage: &Stage, source: &str) {
    title("Another registry, with another password, for what is released");
    let registry = Live::start(&Setup { password: Some((USER, RELEASE_PASSWORD)), ..Setup::default() });
    let client = registry.client().basic(USER, RELEASE_PASSWORD);
    let before = client.push(RELEASE, "2026.34.102", &two_platforms(BUILDS[1].1, BUILDS[1].0));
    client.push(RELEASE, "latest", &two_platforms(BUILDS[1].1, BUILDS[1].0));
    let target = registry.name(RELEASE);
    println!("pushed      {target}:2026.34.102 and :latest  {before}");
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("promotion.jsonl");
    let record = record.to_str().unwrap();
    let run = |words: &[&str], user: &str, password: &str| {
        let run = tagwright([]).args(words).login(user, password).env("JOB_NAME", "release").env("BUILD_NUMBER", "7");
        show_run(&run.env("INTO_REGISTRY_USERNAME", USER).env("INTO_REGISTRY_PASSWORD", RELEASE_PASSWORD))
    };

    title("Promote build 103 into it, with what is missing there, on record");
    let from = format!("{}:2026.34.103", stage.name);
    let words = ["promote", &from, "--into", &target, "--record", record, "--attach-record"];
    let ran = run(&words, USER, PASSWORD);
    expect(&ran, &[("digest", source.into()), ("repository", target.as_str().into())]);
    let expected = [("2026.34.103", "created"), ("2026.34.103-rc", "created"), ("latest", "moved")];
    assert_eq!(actions(&ran), expected.map(owned));
    assert_eq!(client.digest(RELEASE, "latest").as_deref(), Some(source));

    title("Which promotions does the registry itself know of?");
    let ran = run(&["history", &target], USER, RELEASE_PASSWORD);
    assert_eq!(ran.result()["records"][0]["source"]["digest"], source);
    assert_eq!(ran.result()["records"][0]["claimed"]["job"], "release");

    title("Back to what `latest` was");
    let ran = run(&["rollback", &target, "--record", record], USER, RELEASE_PASSWORD);
    let expected = [("2026.34.103", "left"), ("2026.34.103-rc", "left"), ("latest", "moved")];
    assert_eq!(actions(&ran), expected.map(owned));
    assert_eq!(client.digest(RELEASE, "latest"), Some(before));
    println!("\n`latest` holds what it held before; the tags that were created stay.");
}

/// The third part: three images into two registries as one release, and what is where then.
fn train(staging: &Live) {
    title("Three images, and two registries with a password each that they are released into");
    let setup = |password| Setup { password: Some((USER, password)), ..Setup::default() };
    let passwords = [RELEASE_PASSWORD, "only-for-the-mirror"];
    let targets = passwords.map(|password| Live::start(&setup(password)));
    let mut images = Vec::new();
    for (at, (name, version, before)) in TRAIN.into_iter().enumerate() {
        let (repository, commit) = (format!("acme/{name}"), BUILDS[at].1);
        let digest = staging.client().basic(USER, PASSWORD).push(&repository, version, &two_platforms(commit, version));
        println!("pushed      {}:{version}  {digest}", staging.name(&repository));
        for (target, password) in targets.iter().zip(passwords) {
            let client = target.client().basic(USER, password);
            for tag in [before, "latest"] {
                client.push(&repository, tag, &two_platforms(BUILDS[0].1, before));
            }
        }
        let into = targets.each_ref().map(|target| target.name(&repository));
        println!("pushed      {}:{before} and :latest, and the same in the other", into[0]);
        images.push(json!({ "image": format!("{}:{version}", staging.name(&repository)), "into": into }));
    }
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("images.json");
    std::fs::write(&list, serde_json::to_string_pretty(&images).unwrap()).unwrap();
    let (list, record) = (list.to_str().unwrap(), folder.path().join("release.jsonl"));
    let run = |words: &[&str]| {
        let mut run = tagwright([]).args(words).login(USER, PASSWORD).env("REGISTRY_HOST", staging.host());
        for (number, (target, password)) in targets.iter().zip(passwords).enumerate() {
            let pair = [("USERNAME", USER), ("PASSWORD", password), ("HOST", target.host())];
            for (part, value) in pair {
                run = run.env(&format!("INTO_{}_REGISTRY_{part}", number + 1), value);
            }
        }
        show_run(&run.env("JOB_NAME", "release").env("BUILD_NUMBER", "8"))
    };

    title("Release them as one, with floating tags: all is planned before anything is written");
    let tags = ["--to", "{version}", "--move", "{major}.{minor}", "--move", "latest", "--attach-record"];
    let ran = run(&[&["release", list, "--record", record.to_str().unwrap()], &tags[..]].concat());
    assert_eq!(ran.result()["images"].as_array().map(Vec::len), Some(TRAIN.len()));
    for (target, password) in targets.iter().zip(passwords) {
        let client = target.client().basic(USER, password);
        for (name, version, _) in TRAIN {
            let (repository, floating) = (format!("acme/{name}"), version.rsplit_once('.').unwrap().0);
            let digest = client.digest(&repository, version);
            assert!(digest.is_some(), "`{repository}:{version}` is not there");
            for tag in [floating, "latest"] {
                assert_eq!(client.digest(&repository, tag), digest, "`{repository}:{tag}` is not that version");
            }
        }
    }

    title("What is where, since when, from which build");
    let repositories: Vec<String> =
        targets.iter().flat_map(|target| TRAIN.map(|(name, ..)| target.name(&format!("acme/{name}")))).collect();
    let mut words = vec!["board", "--html", BOARD];
    words.extend(repositories.iter().map(String::as_str));
    let ran = run(&words);
    assert_eq!(ran.result()["repositories"].as_array().map(Vec::len), Some(2 * TRAIN.len()));
    println!("\nThe board lies in {BOARD}/index.html");
}

fn show_run(run: &Tagwright) -> Ran {
    println!("$ {}", run.line());
    let ran = run.run();
    println!("{}", indented(&ran.stdout));
    print!("{}", ran.stderr);
    println!("exit {}, {} ms", ran.exit.unwrap_or(-1), ran.took.as_millis());
    ran
}

/// Where the commands are run.
struct Stage {
    name: String,
    hub: String,
}

impl Stage {
    /// A command about one image.
    fn run(&self, command: &str, tag: &str, flags: &[&str]) -> Ran {
        show_run(&tagwright([command]).arg(format!("{}{tag}", self.name)).args(flags).login(USER, PASSWORD))
    }

    /// A command that looks at the tags, as the web API lists them.
    fn list(&self, command: &str, flags: &[&str]) -> Ran {
        self.run(command, "", &[flags, &["--via", "hub-api", "--hub-api", &self.hub]].concat())
    }
}

fn title(text: &str) {
    println!("\n== {text}\n");
}

fn owned((tag, action): (&str, &str)) -> (String, String) {
    (tag.to_owned(), action.to_owned())
}

fn expect(ran: &Ran, values: &[(&str, Value)]) {
    let result = ran.result();
    for (key, value) in values {
        assert_eq!(result[key], *value, "`{key}` is not what it should be");
    }
}

fn actions(ran: &Ran) -> Vec<(String, String)> {
    let result = ran.result();
    let tags = result["tags"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    tags.iter().map(|tag| (text(&tag["tag"]), text(&tag["action"]))).collect()
}

fn check(client: &Client, tag: &str, source: &str) {
    let answer = client.get(&format!("/v2/{REPOSITORY}/manifests/{tag}"));
    assert_eq!(answer.status, 200, "`{tag}` is not there");
    let found = digest(&answer.body);
    let index: Value = serde_json::from_slice(&answer.body).unwrap();
    let entries = index["manifests"].as_array().map_or(0, Vec::len);
    println!("{tag:<15} {found}  {entries} manifests, {} bytes", answer.body.len());
    assert_eq!(found, source, "`{tag}` does not hold the digest of the source");
}
