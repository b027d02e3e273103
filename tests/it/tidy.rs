//! The rules of the house that a machine can check: who may name whom, how long a file is, what documents say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tagwright::error::Code;

/// The longest a source file may be, its tests not counted.
const CEILING: usize = 500;

/// One text file of the tree.
pub struct File {
    /// The path from the root of the project.
    pub path: String,
    pub text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default();
        if name == ".git" || name == "target" {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            walk(&path, found);
        }
        found.push(path);
    }
}

fn paths() -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(root(), &mut found);
    found
}

/// Every text file whose path from the root the function accepts.
pub fn files(wanted: impl Fn(&str) -> bool) -> Vec<File> {
    let named = paths().into_iter().filter(|path| path.is_file()).map(|path| {
        let short = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        (short, path)
    });
    named
        .filter(|(short, _)| wanted(short))
        .filter_map(|(short, path)| Some(File { path: short, text: std::fs::read_to_string(path).ok()? }))
        .collect()
}

pub fn sources() -> Vec<File> {
    let files = files(|path| path.starts_with("src/") && path.ends_with(".rs"));
    assert!(files.len() > 20, "the sources were not found");
    files
}

/// A source without its tests, comments and texts, so that what is left is what it names.
pub fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with('"') {
            let hashes = out.chars().rev().take_while(|c| *c == '#').count();
            let raw = out.trim_end_matches('#').ends_with('r');
            rest = &rest[end_of_text(rest, raw, hashes)..];
            out.push_str("\"\"");
        } else if rest.starts_with("'\"'") {
            rest = &rest[3..];
        } else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    out + rest
}

/// Where a text that begins with its quote ends.
fn end_of_text(text: &str, raw: bool, hashes: usize) -> usize {
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return text[1..].find(&end).map_or(text.len(), |at| at + 1 + end.len());
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The modules at the top of the crate that a source names, such as `io` or `pure`, with what follows.
fn named(file: &File) -> BTreeSet<String> {
    let code = code(&file.text);
    let depth = file.path.trim_end_matches("/mod.rs").matches('/').count();
    let climbs = format!("{}::", vec!["super"; depth].join("::"));
    let mut found = BTreeSet::new();
    for start in ["crate::", climbs.as_str()] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            let longer = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
            if start == "::" || longer {
                continue;
            }
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                None => {
                    let path: String = rest.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
                    found.insert(path);
                }
                Some(group) => found.extend(members(group)),
            }
        }
    }
    found
}

/// The paths in `a::b, c::{d, e}}` up to the brace that closes the group, each without what is nested below it.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut found, mut path) = (0_usize, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(std::mem::take(&mut path)),
            c if depth == 0 && !c.is_whitespace() => path.push(c),
            _ => {}
        }
    }
    found.push(path);
    found.into_iter().filter(|path| !path.is_empty()).collect()
}

pub fn assert_none(what: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{what}:\n{}", offences.join("\n"));
}

#[test]
fn what_a_source_names_is_read_through_comments_texts_and_tests() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let text = "use crate::{world::World, pure::{image, text}};\n// crate::cli\nlet a = \"crate::cli\"; let q = '\"';\n\
                use super::super::error::Error; use super::cli;\nlet b = r#\"crate::cli \"x\"#;\n\
                #[cfg(test)]\nmod tests {\nuse crate::command;\n}\n";
    let found: Vec<String> = named(&file("src/pure/image.rs", text)).into_iter().collect();
    assert_eq!(found, ["error::Error", "pure::", "world::World"]);
}

#[test]
fn modules_name_only_those_they_may() {
    let may_not: [(&str, &[&str]); 11] = [
        ("src/pure/", &["world", "threads", "http", "aws", "registry", "command", "cli", "output"]),
        ("src/world.rs", &["threads", "http", "aws", "registry", "command", "cli", "output"]),
        ("src/threads.rs", &["http", "aws", "registry", "command", "cli", "output"]),
        ("src/http/", &["aws", "registry", "command", "cli", "output"]),
        ("src/aws/", &["registry", "command", "cli", "output"]),
        ("src/registry/", &["command", "cli", "output"]),
        ("src/command/", &["cli", "output"]),
        ("src/cli/", &["world", "threads", "http", "aws", "registry", "output"]),
        (
            "src/system/",
            &["world", "threads", "http", "aws", "registry", "command", "cli", "output", "pure", "error", "secret"],
        ),
        (
            "src/error.rs",
            &["world", "threads", "http", "aws", "registry", "command", "cli", "output", "pure", "secret"],
        ),
        (
            "src/secret.rs",
            &["world", "threads", "http", "aws", "registry", "command", "cli", "output", "pure", "error"],
        ),
    ];
    let mut offences = Vec::new();
    for file in sources() {
        let names = named(&file);
        for (place, forbidden) in may_not {
            let bad = names.iter().filter(|name| forbidden.contains(&name.split("::").next().unwrap_or_default()));
            offences.extend(bad.filter(|_| file.path.starts_with(place)).map(|name| format!("{}: {name}", file.path)));
        }
        if file.path.starts_with("src/cli/") {
            let bad = names.iter().filter(|name| name.starts_with("command") && !name.starts_with("command::request"));
            offences
                .extend(bad.map(|name| format!("{}: {name}, and only `command::request` is open to it", file.path)));
        }
    }
    assert_none("modules that name what they may not", offences);
}

#[test]
fn the_pure_part_does_not_meet_the_world() {
    let forbidden = [
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "std::io::stdin",
        "std::io::stdout",
        "SystemTime::now",
        "Instant::now",
        "now_utc",
        "now_local",
        "ureq",
        "rustls",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "ToSocketAddrs",
    ];
    let mut offences = Vec::new();
    for file in sources().iter().filter(|file| file.path.starts_with("src/pure/")) {
        let code = code(&file.text);
        offences
            .extend(forbidden.iter().filter(|word| code.contains(**word)).map(|word| format!("{}: {word}", file.path)));
        for (at, start) in code.match_indices("std::net::") {
            let rest = code[at + start.len()..].trim_start_matches('{');
            if !["Ip", "SocketAddr"].iter().any(|address| rest.starts_with(address)) {
                offences.push(format!("{}: std::net", file.path));
            }
        }
    }
    assert_none("pure sources that touch the world", offences);
}

#[test]
fn one_folder_alone_names_the_http_library() {
    let words = ["ureq::", "use ureq", "rustls::", "use rustls", "webpki_roots"];
    let mut offences = Vec::new();
    for file in sources().iter().filter(|file| !file.path.starts_with("src/http/")) {
        let code = code(&file.text);
        offences.extend(words.iter().filter(|word| code.contains(**word)).map(|word| format!("{}: {word}", file.path)));
    }
    assert_none("sources outside of src/http that name the HTTP library", offences);
}

#[test]
fn main_alone_prints() {
    let words = ["print!", "println!", "eprint!", "eprintln!", "dbg!", "stdout()", "stderr()"];
    let mut offences = Vec::new();
    for file in sources().iter().filter(|file| file.path != "src/main.rs") {
        let code = code(&file.text);
        offences.extend(words.iter().filter(|word| code.contains(**word)).map(|word| format!("{}: {word}", file.path)));
    }
    assert_none("sources that print", offences);
}

#[test]
fn no_source_is_too_long() {
    let mut offences = Vec::new();
    for file in sources().iter().filter(|file| file.path != "src/cli/defs.rs") {
        let lines = file.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        if lines > CEILING {
            offences.push(format!("{}: {lines} lines", file.path));
        }
    }
    assert_none("sources of more than 500 lines", offences);
}

/// Where a module of tests lies that more than one file of a room needs: beside the other tests.
const TEST_SERVERS: &str = "#[path = \"../../tests/support/";

#[test]
fn a_mod_file_holds_declarations_and_documentation_only() {
    let plain = |line: &str| {
        let starts = ["//!", "pub mod ", "mod ", "pub use ", "pub(crate) mod ", "#[cfg(", TEST_SERVERS];
        line.is_empty() || starts.iter().any(|start| line.starts_with(start))
    };
    let mut offences = Vec::new();
    for file in sources().iter().filter(|file| file.path.ends_with("/mod.rs")) {
        if !file.text.starts_with("//! ") {
            offences.push(format!("{}: it does not open with what it is", file.path));
        }
        let code = file.text.lines().find(|line| !plain(line));
        offences.extend(code.map(|line| format!("{}: {line}", file.path)));
    }
    assert_none("mod.rs files that hold more", offences);
}

#[test]
fn every_source_opens_with_what_it_is() {
    let sources = sources();
    let silent = sources.iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path.clone());
    assert_none("sources without a word on what they are", silent.collect());
}

#[test]
fn no_module_is_named_for_nothing() {
    let empty = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
    let mut offences = Vec::new();
    // The flags that every command takes are called common, so `cli/common.rs` says what it holds.
    for path in sources().into_iter().map(|file| file.path).filter(|path| path != "src/cli/common.rs") {
        let words = path.trim_end_matches(".rs").split('/').any(|part| empty.contains(&part));
        if words {
            offences.push(path);
        }
    }
    assert_none("modules whose names say nothing", offences);
}

#[test]
fn the_tree_holds_no_symbolic_link_and_no_folder_that_jenkins_drops() {
    let links = paths().into_iter().filter(|path| path.is_symlink() || path.ends_with("src/test"));
    assert_none("links and folders that must not be there", links.map(|path| path.display().to_string()).collect());
}

#[test]
fn the_help_of_a_step_keeps_its_lines_under_every_markup_formatter() {
    // "Safe HTML" joins lines outside of `pre`, and no page folds those inside.
    let kept = |text: &str| {
        let (first, rest) = text.split_once("\n<pre>\n")?;
        let told = rest.strip_suffix("\n</pre>\n")?;
        let fits = text.lines().all(|line| line.len() <= 100 && line.trim_end() == line);
        (fits && !first.contains("\n\n") && !told.contains(['<', '&', '\t'])).then_some(())
    };
    let helps = files(|path| path.starts_with("vars/") && path.ends_with(".txt"));
    assert!(helps.len() > 5 && kept("One sentence.\n<pre>\nTakes:\n- a & b\n</pre>\n").is_none());
    let offences = helps.iter().filter(|file| kept(&file.text).is_none()).map(|file| file.path.clone()).collect();
    assert_none("help that is not one sentence and lines of 100 characters at most in `pre`", offences);
}

#[test]
fn the_version_stands_in_the_changelog() {
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let heading = concat!("## ", env!("CARGO_PKG_VERSION"));
    assert!(text.lines().any(|line| line.starts_with(heading)), "CHANGELOG.md has no heading `{heading}`");
}

#[test]
fn every_warning_is_documented() {
    let known = files(|path| path == "docs/json.md").remove(0).text;
    let mut offences = Vec::new();
    for file in sources() {
        let text = file.text.split("\n#[cfg(test)]").next().unwrap();
        for call in text.split("warn(").skip(1) {
            // A code that is handed on was written down where it was made.
            let Some(code) = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                continue;
            };
            if !known.contains(&format!("`{code}`")) {
                offences.push(format!("{}: `{code}`", file.path));
            }
        }
    }
    assert_none("warnings that docs/json.md does not explain", offences);
}

#[test]
fn every_error_code_is_used() {
    let code: String =
        sources().iter().filter(|file| file.path != "src/error.rs").map(|file| code(&file.text)).collect();
    let used = |code_: &Code| {
        let name = format!("Code::{code_:?}");
        code.match_indices(&name).any(|(at, _)| !code[at + name.len()..].starts_with(char::is_alphanumeric))
    };
    let unused = Code::ALL.iter().filter(|code| !used(code)).map(|code| code.as_str().to_owned());
    assert_none("error codes that nothing ends with", unused.collect());
}

#[test]
fn addresses_in_the_tree_are_known_ones() {
    let known = [
        "127.0.0.1",
        "localhost",
        "docker.io",
        "docker.com",
        "github.com",
        "gitlab.com",
        "bitbucket.org",
        "codeberg.org",
        "w3.org",
        "json-schema.org",
        "spdx.org",
        "keepachangelog.com",
        "semver.org",
        "in-toto.io",
        "sigstore.dev",
        "slsa.dev",
        "spdx.dev",
        "opencontainers.org",
        "rfc-editor.org",
        "jenkins.io",
        "amazonaws.com",
        "ecr.aws",
        "api.aws",
    ];
    let reserved =
        [".example", "example.com", "example.org", "example.net", ".test", ".invalid", ".localhost", ".internal"];
    let mut offences = Vec::new();
    for file in files(|path| path != "Cargo.lock") {
        for scheme in ["http://", "https://"] {
            for (at, _) in file.text.match_indices(scheme) {
                let rest = &file.text[at + scheme.len()..];
                let host: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect();
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let below = |name: &str| host == name || host.ends_with(&format!(".{name}"));
                // One word is a name in a test or a placeholder, numbers are nobody's name.
                let plain = !host.contains('.') || host.chars().all(|c| c.is_ascii_digit() || c == '.');
                if !plain && !known.iter().any(|name| below(name)) && !reserved.iter().any(|end| host.ends_with(end)) {
                    offences.push(format!("{}: {host}", file.path));
                }
            }
        }
    }
    assert_none("addresses that are neither reserved for examples nor on the list", offences);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    // Put together here, so that this file does not hold them itself.
    let words = [["/wo", "rk/"], ["../sh", "ared"], ["/ro", "ot/"], ["/home/", "user"]].map(|parts| parts.concat());
    let mut offences = Vec::new();
    for file in files(|path| path != "Cargo.lock") {
        offences
            .extend(words.iter().filter(|word| file.text.contains(*word)).map(|word| format!("{}: {word}", file.path)));
    }
    assert_none("files that name the machine they were written on", offences);
}

#[test]
fn prose_is_plain() {
    let empty = ["simply", "just", "we", "basically", "obviously"];
    let mut offences = Vec::new();
    for file in files(|path| path.ends_with(".md") && path != "LICENSE") {
        let mut fenced = false;
        for (number, line) in file.text.lines().enumerate() {
            fenced ^= line.starts_with("```");
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '-').map(str::to_ascii_lowercase);
            let found = words.filter(|word| !fenced && empty.contains(&word.as_str()));
            offences.extend(found.map(|word| format!("{}:{}: {word}", file.path, number + 1)));
        }
    }
    assert_none("prose with words that say nothing", offences);
}
