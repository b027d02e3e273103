//! What is Windows' own: programs and shells of other kinds, paths with a drive, names of devices.
//!
//! For the program that is built for Windows, which `make wine` names in `TAGWRIGHT_TEST_PROGRAM`; the stories that are the
//! same everywhere are those of `it`. Under wine the root of this machine is drive `Z:`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests meet the world")]

#[path = "../it/stage.rs"]
#[allow(dead_code, reason = "`it` needs more of it")]
mod stage;
#[path = "../support/mod.rs"]
mod support;

use serde_json::json;
use stage::{image, push};
use std::path::Path;
use support::amazon::{Amazon, HOST, KEY};
use support::cmd::tagwright;
use support::registry::{Options, Registry};
use support::tls::Authority;

const APP: &str = "acme/app";

/// A path of this machine as Windows writes it.
fn there(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

fn filled(registry: Registry) -> Registry {
    push(&registry, APP, &["2026.34.101", "2026.34.102"]);
    registry
}

#[test]
fn a_helper_may_be_a_batch_file() {
    let registry = filled(Registry::basic("robot", "secret"));
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"credHelpers": {registry.host(): "told"}});
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let answer = "@echo {\"ServerURL\":\"x\",\"Username\":\"robot\",\"Secret\":\"secret\"}\r\n";
    std::fs::write(folder.path().join("docker-credential-told.cmd"), answer).unwrap();
    let run = tagwright(["auth", &registry.name(APP)]).env("DOCKER_CONFIG", there(folder.path()));
    let result = run.env("PATH", folder.path()).run().result();
    assert_eq!(
        (result["source"].as_str(), result["identity"].as_str()),
        (Some("docker-credential-told"), Some("robot"))
    );
}

#[test]
fn a_helper_of_a_relative_folder_is_not_run() {
    let registry = filled(Registry::basic("robot", "secret"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    let config = json!({"credHelpers": {registry.host(): "told"}});
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    std::fs::write(folder.path().join("bin/docker-credential-told.cmd"), "@echo run >run.txt\r\n").unwrap();
    let run = tagwright(["auth", &registry.name(APP)]).env("DOCKER_CONFIG", there(folder.path()));
    let ran = run.env("PATH", "bin").folder(folder.path()).run();
    assert!(ran.stderr.contains("there is no such program on the `PATH`"), "{ran}");
    assert!(!folder.path().join("run.txt").exists());
}

#[test]
fn a_line_of_a_profile_is_run_by_the_shell_of_windows_with_its_quotes() {
    let (amazon, home) = (Amazon::start(), tempfile::tempdir().unwrap());
    let keys =
        json!({"Version": 1, "AccessKeyId": KEY.0, "SecretAccessKey": KEY.1, "Expiration": "2999-01-01T00:00:00Z"});
    std::fs::write(home.path().join("my keys.json"), keys.to_string()).unwrap();
    let line = format!("type \"{}\"", there(&home.path().join("my keys.json")));
    std::fs::write(home.path().join("config"), format!("[default]\r\ncredential_process = {line}\r\n")).unwrap();
    let run = amazon.anonymous(["auth", HOST]).env("AWS_CONFIG_FILE", there(&home.path().join("config")));
    let ran = run.env("AWS_SHARED_CREDENTIALS_FILE", there(&home.path().join("none"))).run();
    assert_eq!(ran.result()["source"], "profile `default`, credential_process", "{ran}");
}

#[test]
fn a_record_lies_where_a_path_with_a_drive_says_and_undoes_what_was_done() {
    let registry = filled(Registry::start());
    let folder = tempfile::tempdir().unwrap();
    let record = there(&folder.path().join("one record.jsonl"));
    for (tag, expected) in [("2026.34.101", "2026.34.101"), ("2026.34.102", "2026.34.102")] {
        let run =
            tagwright(["promote", &registry.name(&format!("{APP}:{tag}")), "--move", "latest", "--record", &record]);
        run.run().result();
        assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, expected));
    }
    let lines = std::fs::read_to_string(folder.path().join("one record.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 4, "{lines}");
    tagwright(["rollback", "--record", &record]).run().result();
    assert_eq!(registry.resolve(APP, "latest"), registry.resolve(APP, "2026.34.101"));
}

#[test]
fn a_page_takes_the_place_of_the_one_before() {
    let registry = filled(Registry::start());
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        tagwright(["board", &registry.name(APP), "--html", &there(&folder.path().join("board"))]).run().result();
    }
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path().join("board")).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["board.css", "index.html", "timeline-1-dark.svg", "timeline-1.svg"]);
}

#[test]
fn the_name_of_a_device_is_no_record() {
    let registry = filled(Registry::start());
    for name in ["NUL", "CON", "nul"] {
        let run =
            tagwright(["promote", &registry.name(&format!("{APP}:2026.34.101")), "--move", "latest", "--record", name]);
        assert_eq!(run.run().code(), "record-invalid", "{name}");
    }
    assert_eq!(registry.resolve(APP, "latest"), None);
}

#[test]
fn a_variable_is_known_whatever_its_case() {
    let registry = filled(Registry::basic("robot", "secret"));
    let run = tagwright(["auth", &registry.name(APP)]).env("Registry_Username", "robot");
    assert_eq!(run.env("registry_password", "secret").run().result()["identity"], "robot");
}

#[test]
fn folders_of_roots_are_apart_by_a_semicolon() {
    let authority = Authority::new();
    let registry = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
    registry.push(APP, "1", &image("abc"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(authority.ca_file(), folder.path().join("root.pem")).unwrap();
    let run = tagwright(["labels", &registry.name("acme/app:1"), "--https", "--retries", "0"]);
    let run = run.env("SSL_CERT_DIR", format!("C:\\no such folder;{}", there(folder.path())));
    assert_eq!(run.run().result()["labels"]["git_revision"], "abc");
}
