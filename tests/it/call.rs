//! `call`: the same commands from a JSON request, for programs.

use crate::stage::{image, push, shown};
use crate::support::cmd::{Ran, binary, tagwright};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::schema;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

fn versions() -> Registry {
    let registry = Registry::start();
    push(&registry, "acme/app", &["2026.34.101", "2026.34.102"]);
    registry
}

fn call(request: &Value) -> Ran {
    tagwright(["call"]).env("TAGWRIGHT_REQUEST", request.to_string()).run()
}

/// The request does what the words do: the same result, the same exit status.
fn check(registry: &Registry, command: &str, args: Value, words: &[&str]) {
    let name = registry.name("acme/app");
    let args: Value = serde_json::from_str(&args.to_string().replace("APP", &name)).unwrap();
    let ran = call(&json!({"command": command, "args": args}));
    let typed = tagwright([]).args(words.iter().map(|word| word.replace("APP", &name))).run();
    let (called, typed) = (ran.json(), typed.json());
    assert_eq!(called["command"], command, "{ran}");
    if called["ok"] == true {
        let mut pair = [called["result"].clone(), typed["result"].clone()];
        for result in &mut pair {
            if result.get("record").is_some() {
                result["record"]["at"] = Value::Null;
            }
        }
        assert_eq!(pair[0], pair[1]);
    } else {
        assert_eq!(called["error"]["code"], typed["error"]["code"], "{ran}");
        assert_eq!(called["error"]["exit"].as_i64(), ran.exit.map(i64::from));
    }
}

#[test]
fn a_request_does_what_the_words_do() {
    let registry = versions();
    check(
        &registry,
        "labels",
        json!({"image": "APP:2026.34.101", "label": "git_revision"}),
        &["labels", "APP:2026.34.101", "--label", "git_revision"],
    );
    check(
        &registry,
        "labels",
        json!({"reference": "APP:2026.34.101", "label": ["a", "b"], "default": ""}),
        &["labels", "APP:2026.34.101", "--label", "a", "--label", "b", "--default", ""],
    );
    check(
        &registry,
        "labels",
        json!({"image": "APP:2026.34.101", "allPlatforms": true}),
        &["labels", "APP:2026.34.101", "--all-platforms"],
    );
    check(
        &registry,
        "labels",
        json!({"image": "APP:2026.34.101", "allPlatforms": false}),
        &["labels", "APP:2026.34.101"],
    );
    check(&registry, "inspect", json!({"image": "APP:2026.34.101"}), &["inspect", "APP:2026.34.101"]);
    check(&registry, "find-tag", json!({"repository": "APP", "build": 101}), &["find-tag", "APP", "--build", "101"]);
    check(&registry, "find-tag", json!({"repository": "APP", "build": "101"}), &["find-tag", "APP", "--build", "101"]);
    check(&registry, "find-tag", json!({"repository": "APP", "build": 7}), &["find-tag", "APP", "--build", "7"]);
    check(
        &registry,
        "tags",
        json!({"repository": "APP", "limit": 1, "match": "2026*"}),
        &["tags", "APP", "--limit", "1", "--match", "2026*"],
    );
    check(
        &registry,
        "next-version",
        json!({"repository": "APP", "build": 103, "at": "2026-08-21", "timeout": 30.5}),
        &["next-version", "APP", "--build", "103", "--at", "2026-08-21"],
    );
    check(
        &registry,
        "next-version",
        json!({"build": 103, "at": "2026-08-21"}),
        &["next-version", "--build", "103", "--at", "2026-08-21"],
    );
    check(
        &registry,
        "board",
        json!({"repositories": ["APP", "APP:2026.34.101"], "limit": 5}),
        &["board", "APP", "APP:2026.34.101", "--limit", "5"],
    );
    check(
        &registry,
        "diff",
        json!({"from": "APP:2026.34.101", "to": "APP:2026.34.102"}),
        &["diff", "APP:2026.34.101", "APP:2026.34.102"],
    );
    check(
        &registry,
        "auth",
        json!({"repository": "APP", "action": ["pull", "push"]}),
        &["auth", "APP", "--action", "pull", "--action", "push"],
    );
    check(&registry, "doctor", json!({"repository": "APP"}), &["doctor", "APP"]);
    check(
        &registry,
        "promote",
        json!({"repository": "APP", "build": 102, "dryRun": true, "requireLabel": {"git_revision": "2026.34.102"}}),
        &["promote", "APP", "--build", "102", "--dry-run", "--require-label", "git_revision=2026.34.102"],
    );
    check(
        &registry,
        "promote",
        json!({"image": "APP:2026.34.102", "to": "x", "move": ["y", "z"], "dryRun": true}),
        &["promote", "APP:2026.34.102", "--to", "x", "--move", "y", "--move", "z", "--dry-run"],
    );
    check(
        &registry,
        "promote",
        json!({"image": "APP:2026.34.102", "to": "a b"}),
        &["promote", "APP:2026.34.102", "--to", "a b"],
    );
}

#[test]
fn a_request_comes_from_the_variable_a_file_or_standard_input() {
    let registry = versions();
    let request = json!({"command": "labels", "args": {"image": registry.name("acme/app:2026.34.101")}}).to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    std::fs::write(&file, &request).unwrap();
    tagwright(["call"]).env("TAGWRIGHT_REQUEST", request.as_str()).run().result();
    tagwright(["call"]).env("TAGWRIGHT_REQUEST", format!("@{}", file.display())).run().result();
    tagwright(["call", "-"]).stdin(request).run().result();
    let folder = folder.path().display().to_string();
    let mut texts = String::new();
    for run in [
        tagwright(["call"]),
        tagwright(["call"]).env("TAGWRIGHT_REQUEST", ""),
        tagwright(["call"]).env("TAGWRIGHT_REQUEST", format!("@{folder}/none.json")),
        tagwright(["call", "-"]).stdin("{"),
        tagwright(["call", "-"]).stdin(vec![0xff, 0xfe]),
        tagwright(["call", "-"]),
    ] {
        let ran = run.run();
        assert_eq!((ran.exit, ran.stderr.as_str()), (Some(2), ""), "{ran}");
        texts.push_str(&format!("{}\n\n", ran.json()["error"]["text"].as_str().unwrap().replace(&folder, "[folder]")));
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn stdout_is_ascii_and_stderr_is_the_command_line_and_the_closing_sentence() {
    let registry = Registry::start();
    registry.push("acme/app", "1", &Image::new().label("größe", "ä \u{1f600} \u{7f}").label("plain", "it's").build());
    let ran = call(
        &json!({"command": "labels", "args": {"image": registry.name("acme/app:1"), "label": ["größe", "it's \"$x\""], "default": "ü"}}),
    );
    assert!(ran.stdout.is_ascii(), "{ran}");
    assert_eq!(ran.result()["labels"]["größe"], "ä \u{1f600} \u{7f}");
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    // A failure is in the envelope alone.
    let ran = call(&json!({"command": "labels", "args": {"image": registry.name("acme/app:2")}}));
    assert_eq!(ran.json()["error"]["code"], "tag-unknown");
    assert_eq!(ran.stderr, format!("tagwright labels {}\n", registry.name("acme/app:2")));
}

#[test]
fn a_log_gets_each_warning_also_before_a_failure_and_nothing_with_quiet() {
    let registry = versions();
    registry.after(|_, _, reply| *reply = reply.clone().header("Warning", "299 - \"moves on Sunday\""));
    let name = |tag: &str| registry.name(&format!("acme/app:{tag}"));
    let warning = format!("warning[registry-warning]: `{}` says: moves on Sunday", registry.host());
    let line = |tag: &str| format!("tagwright labels {}", name(tag));
    let labels = |tag: &str, quiet: bool| {
        let args = json!({"image": name(tag), "quiet": quiet});
        call(&json!({"command": "labels", "args": args})).stderr
    };
    assert_eq!(
        labels("2026.34.101", false),
        format!("{}\n{warning}\n`{}` has 1 label\n", line("2026.34.101"), name("2026.34.101"))
    );
    // Whoever called tells the failure, and would tell it twice.
    assert_eq!(labels("none", false), format!("{}\n{warning}\n", line("none")));
    assert_eq!(labels("2026.34.101", true) + &labels("none", true), "");
}

#[test]
fn the_command_line_on_stderr_does_the_same_again() {
    let registry = versions();
    registry.push("acme/app", "odd", &Image::new().label("it's \"$HOME\"", "`x`").build());
    let ran = call(
        &json!({"command": "labels", "args": {"image": registry.name("acme/app:odd"), "label": "it's \"$HOME\""}}),
    );
    let line = ran.stderr.lines().next().unwrap().trim_start_matches("tagwright ");
    let script = format!("exec \"$0\" {line}");
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .arg(crate::support::cmd::binary())
        .env_clear()
        .output()
        .unwrap();
    let typed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(typed["result"], ran.result());
}

#[test]
fn null_and_blank_never_become_nothing() {
    let registry = versions();
    let app = registry.name("acme/app");
    let mut texts = String::new();
    for (command, args) in [
        ("promote", json!({"repository": app, "build": null})),
        ("promote", json!({"repository": app, "build": ""})),
        ("promote", json!({"repository": app, "build": "  "})),
        ("promote", json!({"repository": app, "build": 101, "requireLabel": {"git_revision": null}})),
        ("promote", json!({"repository": app, "build": 101, "requireLabel": {"git_revision": ""}})),
        ("promote", json!({"repository": app, "build": 101, "requireLabel": {}})),
        ("promote", json!({"repository": app, "build": 101, "to": [""]})),
        ("promote", json!({"repository": app, "build": 101, "to": []})),
        ("promote", json!({"repository": app, "build": 101, "move": null})),
        ("promote", json!({"repository": app, "build": 101, "expectDigest": null})),
        ("promote", json!({"repository": app, "build": 101, "dryRun": null})),
        ("promote", json!({"repository": null, "build": 101})),
        ("labels", json!({"image": ""})),
        ("labels", json!({"image": format!("{app}:2026.34.101"), "label": null})),
        ("labels", json!({"image": format!("{app}:2026.34.101"), "label": "a", "default": null})),
        ("next-version", json!({"repository": null, "build": 1})),
        ("next-version", json!({"repository": app, "build": 1, "at": ""})),
        ("auth", json!({"repository": app, "credentialsFrom": ""})),
    ] {
        let ran = call(&json!({"command": command, "args": args}));
        let error = ran.json()["error"].clone();
        assert_eq!((error["code"].as_str(), ran.exit), (Some("missing-value"), Some(2)), "{args}: {ran}");
        texts.push_str(
            &format!("{args}\n{}\n\n", error["text"].as_str().unwrap()).replace(&registry.host(), "[registry]"),
        );
    }
    assert_eq!(registry.log().count(), 0);
    insta::assert_snapshot!(texts);
    // `default` alone may be blank.
    let ran = call(
        &json!({"command": "labels", "args": {"image": format!("{app}:2026.34.101"), "label": "a", "default": ""}}),
    );
    assert_eq!(ran.result()["value"], "");
}

#[test]
fn keys_that_are_not_known_are_refused_with_the_nearest_that_is() {
    for (args, hint) in [
        (json!({"image": "a:1", "lable": "x"}), "`label`"),
        (json!({"image": "a:1", "all-platforms": true}), "`allPlatforms`"),
        (json!({"imag": "a:1"}), "`image`"),
    ] {
        let ran = call(&json!({"command": "labels", "args": args}));
        let error = ran.json()["error"].clone();
        assert_eq!(error["code"], "unknown-key", "{ran}");
        assert!(error["hint"].as_str().unwrap().contains(hint), "{ran}");
    }
    for key in ["print", "help", "version"] {
        let ran = call(&json!({"command": "labels", "args": {"image": "a:1", key: true}}));
        assert_eq!(ran.exit, Some(2), "{ran}");
        assert!(ran.stdout.contains(key));
    }
    assert_eq!(call(&json!({"command": "call", "args": {}})).exit, Some(2));
}

#[test]
fn print_gives_one_value_and_nothing_else() {
    let registry = versions();
    registry.push("acme/app", "both", &image("both"));
    let name = registry.name("acme/app:2026.34.101");
    let print = |words: &[&str], path: &str| tagwright([]).args(words.iter().copied()).args(["--print", path]).run();
    let labels = ["labels", name.as_str(), "--label", "git_revision"];
    for (path, expected) in [
        ("value", "2026.34.101\n"),
        ("labels", "{\"git_revision\":\"2026.34.101\"}\n"),
        ("labels.git_revision", "2026.34.101\n"),
        ("mediaType", "application/vnd.oci.image.manifest.v1+json\n"),
    ] {
        let ran = print(&labels, path);
        assert_eq!((ran.stdout.as_str(), ran.exit), (expected, Some(0)), "{ran}");
    }
    let app = registry.name("acme/app");
    assert_eq!(print(&["tags", &app], "tags.0.tag").stdout, "2026.34.102\n");
    assert_eq!(print(&["tags", &app], "scanned").stdout, "3\n");
    // Null, and what is not there, each with status 3 and an empty stdout.
    let mut texts = String::new();
    for (words, path) in
        [(vec!["tags", &app], "tags.0.digest"), (vec!["tags", &app], "tags.9"), (vec!["tags", &app], "tag")]
    {
        let ran = print(&words, path);
        assert_eq!((ran.stdout.as_str(), ran.exit), ("", Some(3)), "{ran}");
        texts.push_str(&ran.stderr);
    }
    let ran = print(&["labels", &registry.name("acme/app:none")], "value");
    assert_eq!((ran.stdout.as_str(), ran.exit), ("", Some(3)));
    texts.push_str(&ran.stderr.replace(&registry.host(), "[registry]"));
    insta::assert_snapshot!(texts);
}

#[test]
fn quiet_says_nothing_and_verbose_says_every_exchange() {
    let registry = versions();
    let name = registry.name("acme/app:2026.34.101");
    let ran = tagwright(["labels", &name, "--quiet"]).run();
    assert_eq!((ran.stderr.as_str(), ran.exit), ("", Some(0)));
    let ran = tagwright(["labels", &name, "--verbose"]).run();
    assert_eq!(ran.stderr.lines().count(), 3, "{ran}");
    insta::assert_snapshot!(shown(&ran, &[(&registry.host(), "[registry]")]));
    // Errors are said whatever was asked.
    assert!(!tagwright(["labels", &registry.name("acme/app:none"), "--quiet"]).run().stderr.is_empty());
}

#[test]
fn the_requests_that_are_made_here_are_what_their_schemas_say() {
    // The schemas of results are held against every output in these tests; those of requests against a few inputs.
    let contract =
        "repository digest version dryRun source tags copied referrers signatures record attached rollback summary";
    for (command, contract) in [
        ("promote", contract),
        ("rollback", contract),
        ("release", "images dryRun record rollback summary"),
        ("history", "repository records"),
        ("board", "repositories page"),
        ("labels", "reference digest mediaType manifestDigest platform labels sources value platforms consistent"),
        ("inspect", "reference digest mediaType artifactType version aliases platforms created pushed size referrers"),
        ("find-tag", "repository tag version digest alternatives scanned via"),
        ("tags", "repository tags scanned via"),
        ("next-version", "version previous reason week year build"),
        ("rate-limit", "registry limit remaining windowSeconds countedBy resetsAt"),
        ("diff", "from to labels platforms layers"),
        ("auth", "registry identity source challenge granted missing expiresAt tried"),
        ("doctor", "checks"),
    ] {
        let result = schema::schema(&format!("{command}.result.json"));
        // Of one image in one place, where a command has several results.
        let result = result.get("oneOf").map_or(&result, |forms| &forms.items()[0]);
        let keys: Vec<&str> = result.get("properties").unwrap().entries().iter().map(|(key, _)| key.as_str()).collect();
        let contract = if command == "rate-limit" { contract.to_owned() } else { format!("{contract} rateLimit") };
        assert_eq!(keys.join(" "), contract);
        assert!(schema::schema(&format!("{command}.request.json")).get("properties").is_some());
    }
}

#[test]
fn what_a_full_disk_would_lose_is_told_without_what_steers_a_terminal() {
    let registry = Registry::start();
    registry.push("acme/app", "1", &Image::new().label("k", "\u{1b}]0;title\u{7}\u{202e}value").build());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let words = ["labels", &registry.name("acme/app:1"), "--label", "k", "--print", "value"];
    let run = Command::new(binary()).args(words).env_clear().stdout(full).output().unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert!(stderr.contains("it was to hold: \\u{1b}]0;title\\u{7}\\u{202e}value\n"), "{stderr:?}");
    assert!(stderr.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{stderr:?}");
}

/// How a promotion ends whose answer goes there, and what it says after the first line.
fn answered_into(stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let registry = Registry::start();
    push(&registry, "acme/app", &["2026.34.103"]);
    let image = registry.name("acme/app:2026.34.103");
    let request = json!({"command": "promote", "args": {"image": image, "move": "latest"}}).to_string();
    let mut call = Command::new(binary());
    call.arg("call").env_clear().env("TAGWRIGHT_REQUEST", &request).stdout(stdout);
    let run = call.output().unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    (run.status.code(), stderr.split_once('\n').unwrap().1.to_owned())
}

#[test]
fn a_reader_that_has_gone_ends_the_run_as_its_signal_would() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(answered_into(writer), (Some(141), String::new()));
}

#[test]
fn an_answer_that_a_full_disk_does_not_take_is_told() {
    let (exit, told) = answered_into(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let begin = "error: stdout could not be written: No space left on device (os error 28); it was to hold: {";
    assert!(exit == Some(70) && told.contains(begin) && told.contains("\"action\":\"created\""), "{told}");
}
