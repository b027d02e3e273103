//! Renders `-h` and `--help` from the table, at most 80 columns wide but for examples.

use crate::cli::defs::{COMMANDS, common_flags};
use crate::cli::{CALL, Command, Flag};

const WIDTH: usize = 80;

/// What tagwright is, in one sentence.
pub const ABOUT: &str = "Promotes container images and reads their labels, from a terminal or a pipeline.";

/// The groups of exit statuses, each with what it says about the next step.
pub const EXITS: &[(u8, &str)] = &[
    (0, "done"),
    (2, "usage: the words, the request or a configuration file are wrong"),
    (3, "not found: the registry says that it is not there"),
    (4, "not allowed: no credential, a wrong one, or one without the right"),
    (5, "refused by tagwright: going on could do harm"),
    (6, "try later: no answer, too slow, too busy"),
    (7, "not what it claims: content that differs from its digest or its form"),
    (70, "a bug in tagwright"),
];

/// The environment variables that are read, by group.
// A table, one group a line, which the formatter would take apart.
#[rustfmt::skip]
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("REGISTRY_USERNAME, REGISTRY_PASSWORD", "The credential for the registry of the command's argument, before any other."),
    ("REGISTRY_HOST", "The only registry that this credential may go to; for any other the command is refused."),
    ("INTO_REGISTRY_USERNAME, INTO_REGISTRY_PASSWORD, INTO_REGISTRY_HOST", "The same for the registry that `--into` names."),
    ("INTO_1_REGISTRY_USERNAME and their like", "The same for the first of several targets, by the place of its `--into`, before these."),
    ("AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ROLE_ARN and their like", "What AWS' own programs read, for registries of Amazon ECR."),
    ("DOCKER_CONFIG, DOCKER_AUTH_CONFIG", "The folder of Docker's `config.json`, or its whole text. Without them `~/.docker/config.json` is read."),
    ("REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, XDG_CONFIG_HOME", "Where podman keeps its credentials, which are asked after Docker's."),
    ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "Proxies, in upper or lower case, and the hosts that need none."),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "Trusted certificates in place of those of the system."),
    ("BUILD_URL, JOB_NAME, BUILD_NUMBER, NODE_NAME", "Where a promotion was asked for, as its record repeats it."),
    ("BUILD_USER_ID, USER, GIT_COMMIT, BRANCH_NAME", "Who asked for it and for what, as its record repeats it."),
    ("TAGWRIGHT_REQUEST", "The request that `call` runs, or `@PATH` for a file that holds it."),
];

const OUTPUT: &str = "On a terminal stdout is text for people. In a pipe or a file, and with `--json`, it is one JSON document, on success and on failure: `{\"schema\":1,\"ok\":true,\"command\":...,\"result\":{...},\"warnings\":[]}`, or with `\"ok\":false` an `error` that holds code, message and hint. With `--print` it is values of the result alone. Stderr is for people.";

const REGISTRIES: &str = "Registries on loopback addresses are spoken to in plain HTTP unless `--https` is given, all others in HTTPS unless `--plain-http` names them. Secrets come from the environment, with `--password-stdin` from standard input, from Docker's files or from their helpers; no flag takes one.";

/// The help of a command, or of the whole program; the short form or the long one.
pub fn help(command: Option<&Command>, long: bool) -> String {
    match (command, long) {
        (Some(command), false) => command_short(command),
        (Some(command), true) => command_long(command),
        (None, false) => main_short(),
        (None, true) => main_long(),
    }
}

fn main_short() -> String {
    let mut out = main_start();
    out.push_str("\n`tagwright COMMAND -h` lists the flags of a command, `--help` explains them.\n");
    out.push_str("`tagwright --help` explains flags of every command, exit status, environment.\n");
    out.push_str("`tagwright completion bash|zsh|fish` completes words, `tagwright man` is a page.\n");
    out
}

fn main_long() -> String {
    let mut out = main_start();
    out.push_str("\nFlags of every command:\n");
    common_flags().for_each(|flag| explained(&mut out, flag));
    for (title, text) in [("Output", OUTPUT), ("Registries", REGISTRIES)] {
        out.push_str(&format!("\n{title}:\n"));
        wrapped(&mut out, text, 2, 2);
    }
    out.push_str("\nExit status:\n");
    for (status, meaning) in EXITS {
        wrapped(&mut out, &format!("{status:>2}  {meaning}"), 2, 6);
    }
    out.push_str("\nEnvironment:\n");
    for (names, meaning) in ENVIRONMENT {
        out.push_str(&format!("  {names}\n"));
        wrapped(&mut out, meaning, 6, 6);
    }
    out.push_str("\nExamples:\n");
    for command in COMMANDS {
        command.examples.iter().take(1).for_each(|example| shown(&mut out, example));
    }
    out.push_str("\n`tagwright COMMAND --help` tells all about a command.\n");
    out
}

fn main_start() -> String {
    let mut out = format!("{ABOUT}\n\nUsage: tagwright COMMAND [ARGUMENTS]\n\nCommands:\n");
    let rows = COMMANDS.iter().map(|command| (command.name.to_owned(), command.help));
    columns(&mut out, &rows.collect::<Vec<_>>());
    out
}

fn command_short(command: &Command) -> String {
    let mut out = format!("{}\n\n{}", sentence(command.help), usage(command));
    let own = rows(command.own_flags());
    if !own.is_empty() {
        out.push_str("\nFlags:\n");
        columns(&mut out, &own);
    }
    out.push_str("\nExample:\n");
    command.examples.iter().take(1).for_each(|(_, line)| out.push_str(&typed(line)));
    out.push('\n');
    if command.name == CALL {
        out.push_str("`tagwright call --help` tells how a request is written.\n");
        return out;
    }
    let names = common_flags().map(|flag| format!("--{}", flag.long)).collect::<Vec<_>>();
    wrapped(&mut out, &format!("Every command also takes {}.", names.join(", ")), 0, 2);
    out.push_str(&format!("`tagwright {} --help` explains them all.\n", command.name));
    out
}

fn command_long(command: &Command) -> String {
    let mut out = format!("{}\n\n{}", sentence(command.help), usage(command));
    for paragraph in command.more {
        out.push('\n');
        wrapped(&mut out, paragraph, 0, 0);
    }
    out.push_str(if command.object.then.is_some() { "\nArguments:\n" } else { "\nArgument:\n" });
    for object in command.objects() {
        out.push_str(&format!("  {}\n", object.value));
        wrapped(&mut out, object.more, 6, 6);
    }
    if command.own_flags().next().is_some() {
        out.push_str("\nFlags:\n");
        command.own_flags().for_each(|flag| explained(&mut out, flag));
    }
    if command.name != CALL {
        out.push_str("\nFlags of every command (`tagwright --help` explains them):\n");
        columns(&mut out, &rows(common_flags()));
    }
    out.push_str("\nExamples:\n");
    command.examples.iter().for_each(|example| shown(&mut out, example));
    out
}

/// How a command is called, on as many lines as it takes.
pub fn usage(command: &Command) -> String {
    let object = format!("{}{}", command.object.value, if command.object.repeats { "..." } else { "" });
    let mut words = vec![if command.object.optional { format!("[{object}]") } else { object }];
    words.extend(command.object.then.map(|then| then.value.to_owned()));
    for needed in command.needs {
        words.extend(command.flag(needed).map(Flag::spelled));
    }
    for flag in command.own_flags().filter(|flag| !command.needs.contains(&flag.long)) {
        words.push(format!("[{}]{}", flag.spelled(), if flag.repeats { "..." } else { "" }));
    }
    if command.name != CALL {
        words.push("[FLAGS]".to_owned());
    }
    let mut out = String::new();
    let start = format!("Usage: tagwright {}", command.name);
    filled(&mut out, std::iter::once(start).chain(words), 0, 11);
    out
}

/// An example as it is typed, indented; it may hold several lines.
pub fn typed(line: &str) -> String {
    format!("  tagwright {}\n", line.replace('\n', "\n      "))
}

/// A line of the table as a sentence.
pub fn sentence(help: &str) -> String {
    let mut letters = help.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_ascii_uppercase(), letters.as_str()))
}

fn rows(flags: impl Iterator<Item = &'static Flag>) -> Vec<(String, &'static str)> {
    flags.map(|flag| (with_letter(flag), flag.help)).collect()
}

fn with_letter(flag: &Flag) -> String {
    match flag.short {
        Some(letter) => format!("-{letter}, {}", flag.spelled()),
        None => flag.spelled(),
    }
}

fn explained(out: &mut String, flag: &Flag) {
    out.push_str(&format!("  {}\n", with_letter(flag)));
    wrapped(out, flag.more, 6, 6);
}

fn shown(out: &mut String, (what, line): &(&str, &str)) {
    out.push_str(&format!("  # {what}\n{}", typed(line)));
}

fn columns(out: &mut String, rows: &[(String, &str)]) {
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or_default();
    for (left, right) in rows {
        // The left column is kept as it is; only the right one is broken into lines.
        let mut lines = String::new();
        wrapped(&mut lines, right, width + 4, width + 4);
        out.push_str(&format!("  {left:width$}  {}", lines.trim_start()));
    }
}

fn wrapped(out: &mut String, text: &str, first: usize, rest: usize) {
    filled(out, text.split(' '), first, rest);
}

/// Puts words into lines, each as it is; the first line and the others have their own margins.
fn filled(out: &mut String, words: impl Iterator<Item = impl AsRef<str>>, first: usize, rest: usize) {
    let (mut line, mut empty) = (" ".repeat(first), true);
    for word in words {
        let word = word.as_ref();
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&format!("{}\n", line.trim_end()));
            (line, empty) = (" ".repeat(rest), true);
        }
        line.push_str(if empty { "" } else { " " });
        line.push_str(word);
        empty = false;
    }
    out.push_str(&format!("{}\n", line.trim_end()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn help_fits_into_eighty_columns_but_for_examples() {
        for command in COMMANDS.iter().map(Some).chain([None]) {
            for long in [false, true] {
                for line in help(command, long).lines() {
                    let widest =
                        if line.starts_with("  tagwright ") || line.starts_with("      --") { 100 } else { WIDTH };
                    assert!(line.chars().count() <= widest, "{line}");
                    assert_eq!(line.trim_end(), line);
                }
            }
        }
    }

    #[test]
    fn every_exit_status_of_the_codes_is_explained() {
        for code in Code::ALL {
            assert!(EXITS.iter().any(|(exit, _)| *exit == code.exit()), "{}", code.exit());
        }
    }
}
