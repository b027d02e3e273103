//! What the program says about itself: help, and the refusal of wrong words.
//!
//! Texts are checked through the library, for they do not depend on the world; that the program prints them where
//! they belong is checked with the program.
#![allow(clippy::disallowed_methods, reason = "the test runs the program")]

use crate::support::cmd;
use std::ffi::OsString;
use std::process::{Command, Output};
use tagwright::cli::parse::{CommandLine, Misuse, parse};
use tagwright::cli::{defs, json};

fn words(line: &[&str]) -> Vec<OsString> {
    line.iter().map(OsString::from).collect()
}

fn refusal(line: &[&str]) -> Misuse {
    match parse(&words(line)) {
        Err(misuse) => misuse,
        Ok(parsed) => panic!("{line:?} is taken for {parsed:?}"),
    }
}

/// Every refusal under what was typed.
fn refusals(lines: &[&[&str]]) -> String {
    lines
        .iter()
        .map(|line| format!("$ tagwright {}\n{}\n\n", tagwright::pure::text::shell::line(*line), refusal(line).error))
        .collect()
}

fn run(line: &[&str]) -> Output {
    Command::new(cmd::binary()).args(line).env_clear().output().expect("the program starts")
}

#[test]
fn help_of_the_program() {
    for (name, flag) in [("short", "-h"), ("long", "--help")] {
        let Ok(CommandLine::Help(text)) = parse(&words(&[flag])) else { panic!("{flag} is no help") };
        insta::assert_snapshot!(format!("help_{name}"), text);
    }
}

#[test]
fn help_of_every_command() {
    for command in defs::COMMANDS {
        for (name, flag) in [("short", "-h"), ("long", "--help")] {
            let Ok(CommandLine::Help(text)) = parse(&words(&[command.name, flag])) else { panic!("{flag} is no help") };
            insta::assert_snapshot!(format!("help_{}_{name}", command.name.replace('-', "_")), text);
        }
    }
}

#[test]
fn wrong_commands_and_flags() {
    insta::assert_snapshot!(refusals(&[
        &["--quiet"],
        &["promot"],
        &["ls"],
        &["acme/app:1.2.3"],
        &["--verbose"],
        &["--build", "103", "promote", "acme/app"],
        &["--frobnicate", "labels", "acme/app"],
        &["-x", "labels", "acme/app"],
        &["promote", "acme/app", "--biuld", "103"],
        &["promote", "acme/app", "-build", "103"],
        &["promote", "acme/app", "--dryRun"],
        &["labels", "acme/app", "--to", "latest"],
        &["labels", "acme/app", "--frobnicate"],
        &["labels", "acme/app", "--frobnicate=often"],
        &["labels", "acme/app", "-q"],
        &["labels", "acme/app", "-x"],
        &["labels", "acme/app", "--registry-password", "x"],
        &["labels", "-acme/app"],
        &["labels", "acme/app", "--password", "x"],
        &["promote", "acme/app:1.2.3", "latest"],
        &["promote", "acme/app:1.2.3", "--dry-run=false"],
        &["promote", "acme/app", "--build"],
        &["promote", "acme/app", "--build", "--newest"],
        &["promote", "acme/app", "--build", "1", "--build", "2"],
        &["call", "request.json"],
        &["call", "--dry-run"],
        &["call", "--frobnicate"],
        &["--verbose", "call"],
    ]));
}

#[test]
fn wrong_arguments_and_combinations() {
    insta::assert_snapshot!(refusals(&[
        &["labels"],
        &["labels", ""],
        &["labels", "acme/ServiceOne:1.2"],
        &["labels", "--", "-acme/app"],
        &["labels", "https://ci:password@reg.example/app"],
        &["labels", "acme/app", "--platform", "linux/amd64", "--all-platforms"],
        &["labels", "acme/app", "--default", "none"],
        &["find-tag", "acme/app"],
        &["find-tag", "--build", "103"],
        &["find-tag", "acme/app:1.2.3", "--build", "103"],
        &["find-tag", "acme/app", "--build", "auto"],
        &["next-version", "--build", "auto"],
        &["next-version", "--build", "103", "--on-conflict", "bump"],
        &["promote"],
        &["promote", "--build", "103"],
        &["promote", "acme/app"],
        &["promote", "acme/app:1.2.3", "--build", "103"],
        &["promote", "acme/app:1.2.3", "--newest"],
        &["promote", "acme/app:1.2.3", "--to", "latest", "--move", "latest"],
        &["auth"],
        &["auth", "alpine:3.19"],
    ]));
}

#[test]
fn wrong_digests() {
    let digits = "0123456789ABCDEF".repeat(4);
    insta::assert_snapshot!(refusals(&[
        &["labels", &format!("app@SHA256:{digits}")],
        &["labels", "app:1@sha384:0123456789abcdef"],
        &["labels", "acme/app@sha256:0123"],
        &["labels", "app:1@secret:5000"],
    ]));
}

#[test]
fn wrong_values() {
    let role_for = "123456789012.dkr.ecr.eu-west-1.amazonaws.com=arn:aws:iam::123456789012:role/reader";
    insta::assert_snapshot!(refusals(&[
        &["find-tag", "acme/app", "--build", ""],
        &["find-tag", "acme/app", "--build", "#103"],
        &["find-tag", "acme/app", "--build", "-5"],
        &["find-tag", "acme/app", "--build", "+5"],
        &["find-tag", "acme/app", "--build", "18446744073709551616"],
        &["labels", "acme/app", "--platform", "linux"],
        &["tags", "acme/app", "--sort", "nmae"],
        &["tags", "acme/app", "--limit", "0"],
        &["tags", "acme/app", "--match", "[a"],
        &["next-version", "--build", "103", "--at", "yesterday"],
        &["find-tag", "acme/app", "--build", "103", "--tag-format", "feature"],
        &["promote", "acme/app:1.2.3", "--to", "{branch}"],
        &["promote", "acme/app:1.2.3", "--move", "a b"],
        &["promote", "acme/app:1.2.3", "--expect-digest", "sha256:12"],
        &["promote", "acme/app:1.2.3", "--require-label", "=abc"],
        &["promote", "acme/app:1.2.3", "--require-label", "revision="],
        &["promote", "acme/app:1.2.3", "--require-label", "a=1", "--require-label", "a=2"],
        &["auth", "acme/app", "--action", "delete"],
        &["inspect", "acme/app", "--timeout", "1m"],
        &["inspect", "acme/app", "--retries", "1000"],
        &["inspect", "acme/app", "--plain-http", "http://registry.internal:5000/"],
        &["inspect", "acme/app", "--https", "--plain-http", "localhost:5000"],
        &["inspect", "acme/app", "--resolve", "registry.internal:443"],
        &["inspect", "acme/app", "--hub-api", "http://hub.internal"],
        &["inspect", "acme/app", "--hub-api", "https://ci:password@hub.internal"],
        &["inspect", "acme/app", "--via", "hub"],
        &["inspect", "acme/app", "--credentials-from", "docker"],
        &["inspect", "acme/app", "--aws-role", "reader"],
        &["inspect", "acme/app", "--aws-role", "arn:aws:iam::123456789012:user/reader"],
        &["inspect", "acme/app", "--aws-role", "123456789012:role/reader"],
        &["inspect", "acme/app", "--aws-external-id", "agreed"],
        &["inspect", "acme/app", "--aws-profile", "ci", "--credentials-from", "env"],
        &["inspect", "acme/app", "--aws-role-for", "docker.io=arn:aws:iam::123456789012:role/reader"],
        &["inspect", "acme/app", "--credentials-from", "env", "--aws-role-for", role_for],
        &["inspect", "acme/app", "--ecr", "images.internal"],
        &["inspect", "acme/app", "--ecr", "images.internal=public.ecr.aws"],
        &["inspect", "acme/app", "--verbose", "--quiet"],
        &["inspect", "acme/app", "--print", ""],
    ]));
}

#[test]
fn wrong_requests() {
    let requests = [
        "",
        "labels acme/app",
        "[]",
        r#"{"args":{}}"#,
        r#"{"command":"promot"}"#,
        r#"{"command":"call","args":{}}"#,
        r#"{"command":"labels","arg":{}}"#,
        r#"{"command":"labels","args":null}"#,
        r#"{"command":"labels","args":{}}"#,
        r#"{"command":"labels","args":{"image":null}}"#,
        r#"{"command":"labels","args":{"image":"acme/app","reference":"acme/app"}}"#,
        r#"{"command":"labels","args":{"image":"a","image":"b"}}"#,
        r#"{"command":"labels","args":{"image":"acme/app","lable":"x"}}"#,
        r#"{"command":"labels","args":{"image":"acme/app","all-platforms":true}}"#,
        r#"{"command":"labels","args":{"image":"acme/app","allPlatforms":"false"}}"#,
        r#"{"command":"labels","args":{"image":"acme/app","print":"value"}}"#,
        r#"{"command":"find-tag","args":{"image":"acme/app","build":103}}"#,
        r#"{"command":"promote","args":{"repository":"acme/app","build":""}}"#,
        r#"{"command":"promote","args":{"repository":"acme/app"}}"#,
        r#"{"command":"promote","args":{"repository":"acme/app:1.2.3"}}"#,
        r#"{"command":"promote","args":{"image":"acme/app","build":103}}"#,
        r#"{"command":"promote","args":{"repository":"acme/app","build":[103]}}"#,
        r#"{"command":"promote","args":{"image":"acme/app:1.2.3","to":[]}}"#,
        r#"{"command":"promote","args":{"image":"acme/app:1.2.3","requireLabel":{"revision":null}}}"#,
        r#"{"command":"promote","args":{"image":"acme/app:1.2.3","requireLabel":["=abc"]}}"#,
    ];
    let texts = requests.map(|request| match json::invocation(request) {
        Err(misuse) => format!("{request}\n{}\n\n", misuse.error),
        Ok((_, words)) => panic!("{request} is taken for {words:?}"),
    });
    insta::assert_snapshot!(texts.concat());
}

#[test]
fn help_and_version_are_text_on_stdout_whatever_else_is_wrong() {
    for line in [&["promote", "--frobnicate", "-h"][..], &["--help"], &["labels", "--version"], &["-V"]] {
        let output = run(line);
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!((output.status.code(), output.stderr.is_empty()), (Some(0), true), "{line:?}");
        assert!(!stdout.is_empty() && !stdout.starts_with('{'), "{line:?}: {stdout}");
    }
}

#[test]
fn a_usage_error_is_one_document_and_status_2() {
    for line in [&["promot"][..], &["promote", "acme/app", "--biuld", "103"], &["inspect"], &["labels"], &["--quiet"]] {
        let output = run(line);
        let stdout: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let misuse = refusal(line);
        assert_eq!(output.status.code(), Some(2), "{line:?}");
        assert_eq!(stdout["ok"], false, "{line:?}");
        assert_eq!(stdout["command"], serde_json::json!(misuse.command), "{line:?}");
        assert_eq!(stdout["error"]["code"], misuse.error.code().as_str(), "{line:?}");
        assert_eq!(stdout["error"]["message"], misuse.error.message(), "{line:?}");
    }
    let output = run(&["labels", "acme/app", "--frobnicate", "--print", "value"]);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
}

#[test]
fn words_of_other_tools_are_answered_with_ours() {
    for (words, expected) in [
        (vec!["ls", "acme/app"], "write `tags REPOSITORY`"),
        (vec!["tag", "acme/app:1", "2"], "write `promote REFERENCE --to TAG`, or `--move TAG` for a tag that may move"),
        (vec!["cp", "a:1", "b:1"], "write `promote REFERENCE --into REPOSITORY`"),
        (vec!["digest", "acme/app:1"], "write `inspect REFERENCE --print digest`"),
        (vec!["compare", "a:1", "a:2"], "write `diff REFERENCE REFERENCE`"),
        (vec!["manifest", "a:1"], "write `inspect REFERENCE --raw`, or `--config`"),
        (vec!["pull", "a:1"], "no image has to come here: `promote` gives it tags where it is"),
        (vec!["undo"], "write `rollback --record FILE`, or run the command that the promotion printed"),
        (vec!["login", "hub"], "no flag takes one"),
        (vec!["labels", "a", "--insecure"], "write `--plain-http HOST` for plain HTTP"),
        (vec!["labels", "a", "-o", "json"], "write `--json` for JSON on a terminal"),
        (vec!["labels", "a", "--format={{.Digest}}"], "write `--print PATH`"),
        (vec!["tags", "a", "-q"], "write `--quiet`"),
        (vec!["tags", "a", "--filter", "x"], "write `--match GLOB`"),
        (vec!["tags", "a", "-n", "3"], "write `--limit N`"),
        (vec!["tags", "a", "--debug"], "write `--verbose`"),
        (vec!["tags", "a", "-u", "ci"], "write `--username NAME --password-stdin`"),
    ] {
        let ran = cmd::tagwright([]).args(words).run();
        let hint = ran.error()["hint"].as_str().unwrap().to_owned();
        assert!(ran.exit == Some(2) && hint.contains(expected), "{ran}");
    }
    let text = |words: &[&str]| {
        let ran = cmd::tagwright([]).args(words.iter().copied()).run();
        (ran.stdout, ran.exit)
    };
    assert_eq!(text(&["help"]), text(&["--help"]));
    assert_eq!(text(&["help", "promote"]), text(&["promote", "--help"]));
    assert_eq!(text(&["version"]), text(&["--version"]));
    assert_eq!(text(&[]), (text(&["-h"]).0, Some(2)));
}

/// What a shell says to a script that is given to it.
fn shell(words: &[&str], script: &str) -> String {
    let mut child = std::process::Command::new(words[0])
        .args(&words[1..])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", words[0]));
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn bash_completes_commands_flags_and_choices() {
    let script = cmd::tagwright(["completion", "bash"]).run().stdout;
    for (typed, expected) in [
        ("tagwright pro", "promote"),
        ("tagwright --verbose tags --sor", "--sort"),
        ("tagwright tags --sort na", "name"),
        ("tagwright promote acme/app:1 --allow", "--allow-downgrade"),
        ("tagwright labels --allow", ""),
    ] {
        let words = typed.split(' ').collect::<Vec<_>>();
        let line =
            format!("COMP_WORDS=({typed}) COMP_CWORD={}; _tagwright; echo \"${{COMPREPLY[*]}}\"", words.len() - 1);
        assert_eq!(shell(&["bash", "--norc", "-u"], &format!("{script}{line}\n")).trim_end(), expected, "{typed}");
    }
}

#[test]
fn every_shell_gets_a_script_and_any_other_is_told_which_there_are() {
    let of = |shell: &str| cmd::tagwright(["completion", shell]).run();
    assert!(of("zsh").stdout.contains("bashcompinit"));
    let fish = of("fish").stdout;
    for command in defs::COMMANDS {
        assert!(fish.contains(&format!("-n __fish_use_subcommand -a {} -d ", command.name)), "{}", command.name);
        for flag in command.flags() {
            assert!(fish.contains(&format!("from {}' -l {}", command.name, flag.long)), "{}", flag.long);
        }
    }
    for ran in [of("tcsh"), cmd::tagwright(["completion"]).run()] {
        assert_eq!((ran.exit, ran.code().as_str()), (Some(2), "unknown-command"), "{ran}");
        assert!(ran.error()["hint"].as_str().unwrap().contains("completion bash"), "{ran}");
    }
}

#[test]
fn the_page_for_man_is_set_without_a_warning() {
    let page = cmd::tagwright(["man"]).run().stdout;
    let set = shell(&["groff", "-man", "-Tascii", "-ww", "-P-cbou"], &page);
    assert!(set.contains("TAGWRIGHT(1)") && set.contains("--allow-downgrade"), "{set}");
}
