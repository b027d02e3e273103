//! The documents that follow from the tables: `docs/commands.md`, `docs/errors.md`, the help in the README, and the
//! schemas of requests.

use crate::request_schema;
use std::path::Path;
use tagwright::cli::defs::{CALL, COMMANDS, Command, Flag, Json, common_flags};
use tagwright::cli::help::{ENVIRONMENT, EXITS, help, sentence, usage};
use tagwright::error::Code;

const GENERATED: &str = "<!-- Written by `make docs` from the tables in `src`; changes by hand are lost. -->\n";

/// The text of `docs/commands.md`.
fn commands() -> String {
    let mut out = format!("# Commands\n\n{GENERATED}\n");
    out.push_str(
        "A command takes one argument at most, and flags; a flag that may be repeated takes one value each time.\n",
    );
    out.push_str(
        "The same command runs from a JSON request through `tagwright call`: a key is the flag in camelCase.\n",
    );
    out.push_str(
        "Errors are listed in [errors.md](errors.md); the schemas of the requests are in [schema](schema).\n\n",
    );
    for command in COMMANDS {
        out.push_str(&format!("- [`{0}`](#{0}): {1}\n", command.name, command.help));
    }
    out.push_str("- [flags of every command](#flags-of-every-command)\n- [environment](#environment)\n");
    COMMANDS.iter().for_each(|command| one(&mut out, command));
    out.push_str("\n## Flags of every command\n\n");
    table(&mut out, common_flags());
    out.push_str("\n## Environment\n\n| variable | what it holds |\n|---|---|\n");
    for (names, meaning) in ENVIRONMENT {
        let names = names.split(", ").map(|name| format!("`{name}`")).collect::<Vec<_>>();
        out.push_str(&format!("| {} | {meaning} |\n", names.join(" ")));
    }
    out
}

fn one(out: &mut String, command: &Command) {
    out.push_str(&format!("\n## {}\n\n{}\n", command.name, sentence(command.help)));
    out.push_str(&format!("\n```text\n{}```\n", usage(command)));
    for paragraph in command.more {
        out.push_str(&format!("\n{}\n", sentences(paragraph)));
    }
    let schema = format!("[{0}.request.json](schema/{0}.request.json)", command.name);
    for object in command.objects() {
        out.push_str(&format!("\n`{}`: {}\n", object.value, sentences(object.more)));
        let keys = object.keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>();
        if !keys.is_empty() {
            out.push_str(&format!("In JSON it is the key {} ({schema}).\n", keys.join(" or ")));
        }
    }
    if command.own_flags().next().is_some() {
        out.push('\n');
        table(out, command.own_flags());
    }
    out.push_str("\n```sh\n");
    for (what, line) in command.examples {
        out.push_str(&format!("# {what}\ntagwright {}\n", line.replace('\n', "\n    ")));
    }
    out.push_str("```\n");
}

fn table(out: &mut String, flags: impl Iterator<Item = &'static Flag>) {
    out.push_str("| flag | in JSON | what it does |\n|---|---|---|\n");
    for flag in flags {
        let json = match flag.json {
            Json::Never => "not there".to_owned(),
            kind => format!("`{}`: {}", flag.key(), kind_name(kind)),
        };
        let letter = flag.short.map(|letter| format!("`-{letter}` ")).unwrap_or_default();
        out.push_str(&format!("| {letter}`{}` | {json} | {} |\n", flag.spelled().replace('|', "\\|"), flag.more));
    }
}

fn kind_name(kind: Json) -> &'static str {
    match kind {
        Json::Never => "nothing",
        Json::Text => "text",
        Json::Integer => "whole number",
        Json::IntegerOrWord => "whole number or text",
        Json::Number => "number",
        Json::Switch => "true or false",
        Json::Texts => "list of texts",
        Json::Pairs => "map of texts",
        Json::Document => "map, or text",
        Json::Targets => "list of texts, or of maps with `repository`",
    }
}

/// The text of `docs/errors.md`.
fn errors() -> String {
    let mut out = format!("# Errors\n\n{GENERATED}\n");
    out.push_str("Every failure has a code, which does not change, and the code decides the exit status.\n");
    out.push_str("In JSON the code is `error.code` and the status `error.exit`.\n");
    out.push_str("A message says what was wanted, of what, and what came back; a hint says what to do next.\n\n");
    out.push_str("| exit status | meaning |\n|---|---|\n");
    for (status, meaning) in EXITS {
        out.push_str(&format!("| {status} | {meaning} |\n"));
    }
    for (status, meaning) in EXITS.iter().filter(|(status, _)| codes(*status).next().is_some()) {
        let title = meaning.split(':').next().unwrap_or_default();
        out.push_str(&format!("\n## {status}: {title}\n\n| code | meaning | what to do |\n|---|---|---|\n"));
        for code in codes(*status) {
            out.push_str(&format!("| `{}` | {} | {} |\n", code.as_str(), code.meaning(), code.advice()));
        }
    }
    out
}

/// Where the help stands in the README.
const MARKS: (&str, &str) = ("<!-- help -->\n", "<!-- /help -->\n");

/// The README with the help between its two marks renewed; `None` where it has no marks.
fn readme(text: &str) -> Option<String> {
    let (before, rest) = text.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some(format!("{before}{}```text\n{}```\n{}{after}", MARKS.0, help(None, false), MARKS.1))
}

/// Every generated file by its path from the root of the project, with its text; the README is not among them.
fn files() -> Vec<(String, String)> {
    let mut files = vec![("docs/commands.md".to_owned(), commands()), ("docs/errors.md".to_owned(), errors())];
    for command in COMMANDS.iter().filter(|command| command.name != CALL) {
        files.push((format!("docs/schema/{}.request.json", command.name), request_schema::request(command)));
    }
    files
}

/// The codes of an exit status.
fn codes(exit: u8) -> impl Iterator<Item = &'static Code> {
    Code::ALL.iter().filter(move |code| code.exit() == exit)
}

/// A paragraph with one sentence a line.
fn sentences(paragraph: &str) -> String {
    paragraph.replace(". ", ".\n")
}

#[test]
fn only_what_stands_between_the_marks_changes() {
    assert_eq!(readme("# Title\n"), None);
    let text = readme("# Title\n<!-- help -->\nold\n<!-- /help -->\nafter\n").unwrap();
    assert!(text.starts_with("# Title\n<!-- help -->\n```text\nPromotes"), "{text}");
    assert!(text.ends_with("```\n<!-- /help -->\nafter\n") && !text.contains("old"), "{text}");
    assert_eq!(readme(&text).as_ref(), Some(&text));
}

#[test]
fn docs_are_what_the_tables_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = files();
    let text = std::fs::read_to_string(root.join("README.md")).unwrap_or_default();
    files.extend(readme(&text).map(|text| ("README.md".to_owned(), text)));
    // `make docs` writes the files by this same test, so that there is one list of them.
    let write = std::env::var_os("TAGWRIGHT_WRITE_DOCS").is_some();
    for (path, text) in files {
        let file = root.join(&path);
        if write {
            std::fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("the folder is made");
            std::fs::write(&file, &text).expect("the file is written");
        }
        let there = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(there == text, "`{path}` is not what the tables say: run `make docs`");
    }
}
