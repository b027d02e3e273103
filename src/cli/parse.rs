//! One loop over the words of a command line, driven by the table.
//!
//! Help and version are looked for first, so that they answer whatever else the words hold. What a value means is
//! left to [`crate::cli::build`].

use super::{build, complete, help, suggest};
use crate::cli::defs::{COMMANDS, FLAGS, command, common_flags};
use crate::cli::{Arguments, CALL, Command, Dialect, Flag, Json, RELEASE, invalid, missing, shown};
use crate::command::request::Invocation;
use crate::error::{Code, Error};
use crate::pure::text::nearest;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

/// What the words ask for.
#[derive(Debug)]
pub enum CommandLine {
    /// Run a command.
    Run(Box<Invocation>),
    /// Run the request that stands somewhere else.
    Call {
        /// Whether it is read from standard input; if not, from the environment.
        stdin: bool,
    },
    /// Run a release whose list stands somewhere else.
    Release(Box<Arguments>),
    /// Print this text.
    Help(String),
    /// Print the version.
    Version,
}

/// Why words or a request cannot be run, and what is known about how to tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct Misuse {
    /// The command, where it was recognised.
    pub command: Option<&'static str>,
    /// What is wrong.
    pub error: Error,
}

/// Reads the words after the program's name.
///
/// # Errors
/// The first usage error, with the command it belongs to.
pub fn parse(words: &[OsString]) -> Result<CommandLine, Misuse> {
    if let Some(answer) = asked_for_help(words) {
        return Ok(answer);
    }
    let mut named = None;
    read(words, &mut named).map_err(|error| Misuse { command: named.map(|c| c.name), error })
}

fn read(words: &[OsString], named: &mut Option<&'static Command>) -> Result<CommandLine, Error> {
    *named = word_among(words).as_deref().and_then(command);
    if let Some((n, word)) = words.iter().enumerate().find(|(_, word)| word.to_str().is_none()) {
        let message = format!("word {} is not UTF-8: {}", n + 1, shown(&word.to_string_lossy()));
        return Err(invalid(message, "write it in UTF-8, or in plain ASCII"));
    }
    *named = None;
    let mut parser = lexopt::Parser::from_args(words);
    let mut before: Vec<(&'static Flag, Option<String>)> = Vec::new();
    let mut given: Option<Arguments> = None;
    let mut word = "";
    loop {
        if let Some(rest) = parser.try_raw_args() {
            let at = words.len() - rest.as_slice().len();
            word = words.get(at).and_then(|word| word.to_str()).unwrap_or_default();
        }
        let next = match parser.next().map_err(|why| Error::new(Code::RequestInvalid, why.to_string()))? {
            None => break,
            Some(lexopt::Arg::Long(long)) => Ok(long.to_owned()),
            Some(lexopt::Arg::Short(letter)) => Err(letter),
            Some(lexopt::Arg::Value(text)) => {
                let text = text.to_string_lossy().into_owned();
                match &mut given {
                    Some(given) => positional(given, text)?,
                    None => {
                        let command = command(&text).ok_or_else(|| unknown_command(&text))?;
                        *named = Some(command);
                        given = Some(Arguments::new(command, Dialect::Words));
                    }
                }
                continue;
            }
        };
        let is = |flag: &&Flag| match &next {
            Ok(long) => flag.long == long,
            Err(letter) => flag.short == Some(*letter),
        };
        let flag = named.map_or_else(|| common_flags().find(is), |command| command.flags().find(is));
        let flag = flag.ok_or_else(|| unknown_flag(*named, next.as_deref().unwrap_or(word), word))?;
        let value = value_of(&mut parser, flag)?;
        match &mut given {
            Some(given) => given.add(flag, value)?,
            None => before.push((flag, value)),
        }
    }
    let Some(mut given) = given else {
        let hint = format!("{}; `tagwright -h` says what each does", all_commands());
        return Err(missing("no command is given", hint));
    };
    for (flag, value) in before {
        if given.command.flag(flag.long).is_none() {
            return Err(unknown_flag(*named, flag.long, ""));
        }
        given.add(flag, value)?;
    }
    if given.command.name == CALL {
        return Ok(CommandLine::Call { stdin: given.object.is_some() });
    }
    if given.command.name == RELEASE {
        build::list(&given)?;
        return Ok(CommandLine::Release(Box::new(given)));
    }
    Ok(CommandLine::Run(Box::new(build::invocation(&given)?)))
}

/// The value that stands behind `=` or in the next word.
fn value_of(parser: &mut lexopt::Parser, flag: &'static Flag) -> Result<Option<String>, Error> {
    let attached = parser.optional_value().map(|text| text.to_string_lossy().into_owned());
    let name = format!("--{}", flag.long);
    match (flag.value, &attached) {
        (None, Some(text)) => {
            let message = format!("`{name}` takes no value, and {} is given", shown(text));
            Err(invalid(message, format!("write `{name}`, or leave it out")))
        }
        (Some(value), None) => {
            let write = format!("write `{name} {value}`");
            let next = parser.try_raw_args().and_then(|rest| rest.as_slice().first().cloned());
            let Some(next) = next.map(|word| word.to_string_lossy().into_owned()) else {
                return Err(missing(format!("`{name}` needs a value"), write));
            };
            if is_flag(&next) {
                let joined = shown(&format!("{name}={next}"));
                let hint = format!("{write}; a value that starts with `-` is written {joined}");
                return Err(missing(format!("`{name}` needs a value, and {} is a flag", shown(&next)), hint));
            }
            let text = parser.value().map_err(|why| missing(why.to_string(), write))?;
            Ok(Some(text.to_string_lossy().into_owned()))
        }
        _ => Ok(attached),
    }
}

/// Whether a word that stands where a value is expected is a flag by its form.
fn is_flag(word: &str) -> bool {
    let letter = |letter: char| FLAGS.iter().any(|flag| flag.short == Some(letter));
    word.starts_with("--") || word.strip_prefix('-').is_some_and(|rest| !rest.is_empty() && rest.chars().all(letter))
}

fn positional(given: &mut Arguments, text: String) -> Result<(), Error> {
    let (command, word) = (given.command, shown(&text));
    if command.name == CALL && text != "-" {
        let hint = "put the request, or `@PATH`, into the environment variable `TAGWRIGHT_REQUEST`, or pipe it into `tagwright call -`";
        return Err(invalid(format!("`call` takes `-` or nothing, not {word}"), hint));
    }
    // A repository never begins like the path of a file.
    if let Some(record) = command.flag("record").filter(|_| command.name == "rollback" && is_path(&text)) {
        return given.add(record, Some(text));
    }
    let next = match (&given.object, command.object.then) {
        (None, _) => given.object_key,
        _ if command.object.repeats => given.object_key,
        (Some(_), Some(then)) if given.then.is_empty() => then.keys[0],
        (Some(first), then) => {
            let (most, last) =
                if then.is_some() { ("two arguments", given.then.last()) } else { ("one argument", None) };
            let last = shown(last.unwrap_or(first));
            return Err(invalid(format!("`{}` takes {most}, and {word} follows {last}", command.name), command.second));
        }
    };
    given.take_object(next, text)
}

fn is_path(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start))
}

/// `unknown-command`, with the nearest one that there is.
pub(super) fn unknown_command(name: &str) -> Error {
    let hint = match (suggest::instead(name), nearest(name, COMMANDS.iter().map(|command| command.name))) {
        (Some(instead), _) => instead.to_owned(),
        (None, Some(near)) => format!("write `{near}`; `tagwright -h` lists the commands"),
        (None, None) => all_commands(),
    };
    Error::new(Code::UnknownCommand, format!("there is no command {}", shown(name))).hint(hint)
}

fn all_commands() -> String {
    let names = COMMANDS.iter().map(|command| format!("`{}`", command.name)).collect::<Vec<_>>();
    format!("the commands are {}", names.join(", "))
}

/// `unknown-flag`; `typed` is the name without dashes, `word` what was typed.
fn unknown_flag(command: Option<&'static Command>, typed: &str, word: &str) -> Error {
    let shape = if word.starts_with("--") || word.is_empty() { format!("--{typed}") } else { word.to_owned() };
    let bare = typed.trim_start_matches('-');
    let unknown = |message: String, hint: &str| Error::new(Code::UnknownFlag, message).hint(hint);
    let elsewhere = FLAGS.iter().find(|flag| flag.long == bare);
    let Some(command) = command else {
        if elsewhere.is_some() || word.starts_with("--") {
            let hint = "write the command first, then its flags; `tagwright -h` lists the commands";
            return unknown(format!("{} stands before the command", shown(&shape)), hint);
        }
        return unknown(format!("there is no flag {}", shown(&shape)), "`tagwright --help` lists every flag");
    };
    let name = command.name;
    let instead = suggest::flag_instead(bare);
    let near = nearest(bare, command.flags().map(|flag| flag.long));
    // What follows an unknown letter may be a password, as with other programs.
    let lone = near.is_none() && instead.is_none() && elsewhere.is_none() && !shape.starts_with("--");
    let shape = if lone { shape.chars().take(2).collect() } else { shape };
    let every = format!("`tagwright {name} --help` lists every flag");
    let hint = match (elsewhere, near) {
        (Some(flag), _) if name == CALL && flag.json != Json::Never => {
            format!("write it into the request, as the key `{}` of `args`", flag.key())
        }
        _ if name == CALL => "`call` takes its flags from the request; `tagwright call --help` tells how".to_owned(),
        (Some(flag), _) if command.flag(flag.long).is_none() => {
            let owners = COMMANDS.iter().filter(|command| command.flag(bare).is_some());
            let owners = owners.map(|command| format!("`{}`", command.name)).collect::<Vec<_>>();
            format!("`--{bare}` belongs to {}; {every}", owners.join(", "))
        }
        (None, _) if instead.is_some() => format!("{}; {every}", instead.unwrap_or_default()),
        (_, Some(near)) => format!("write `--{near}`; {every}"),
        _ if suggest::is_about_secrets(bare) => suggest::SECRETS.to_owned(),
        _ if word.chars().count() == 2 => format!("the only letters are `-h`, `-v` and `-V`; {every}"),
        _ if lone => format!("{every}; a name that starts with `-` cannot be a reference"),
        _ => every,
    };
    unknown(format!("`{name}` has no flag {}", shown(&shape)), &hint)
}

/// Help or version, where any word before `--` asks for one of them.
fn asked_for_help(words: &[OsString]) -> Option<CommandLine> {
    let word = word_among(words);
    let about = word.as_deref().and_then(command);
    match word.as_deref() {
        Some("help") => {
            let other = words.iter().rev().find_map(|word| command(&word.to_string_lossy()));
            return Some(CommandLine::Help(help::help(other, true)));
        }
        Some("version") => return Some(CommandLine::Version),
        Some("man") => return Some(CommandLine::Help(complete::man())),
        Some("completion") => {
            let script = words.last().and_then(|word| complete::script(word.to_str()?));
            return script.map(CommandLine::Help);
        }
        None if words.is_empty() => return Some(CommandLine::Help(help::help(None, false))),
        _ => {}
    }
    for word in words.iter().map(|word| word.to_string_lossy()) {
        match word.as_ref() {
            "--" => return None,
            "--help" => return Some(CommandLine::Help(help::help(about, true))),
            "--version" => return Some(CommandLine::Version),
            word if is_flag(word) && !word.starts_with("--") => {
                if word.contains('h') {
                    return Some(CommandLine::Help(help::help(about, false)));
                }
                if word.contains('V') {
                    return Some(CommandLine::Version);
                }
            }
            _ => {}
        }
    }
    None
}

/// The command's word among words that need not be right otherwise: the first that is neither a flag nor its value.
fn word_among(words: &[OsString]) -> Option<Cow<'_, str>> {
    let mut words = words.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            Some("") => return words.next(),
            Some(long) if common_flags().any(|flag| flag.long == long && flag.value.is_some()) => {
                words.next();
            }
            None if !word.starts_with('-') => return Some(word),
            _ => {}
        }
    }
    None
}

/// Whether a flag is among words that need not be right otherwise.
pub fn asks(words: &[OsString], long: &str) -> bool {
    let is_flag = |word: &&OsString| {
        let rest = word.to_str().and_then(|word| word.strip_prefix("--")?.strip_prefix(long));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    words.iter().take_while(|word| word.as_os_str() != OsStr::new("--")).any(|word| is_flag(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::request::{PromotionSource, Request};

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(|word| OsString::from(word.replace("''", ""))).collect()
    }

    fn run(line: &str) -> Invocation {
        match parse(&words(line)) {
            Ok(CommandLine::Run(invocation)) => *invocation,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal(line: &str) -> Misuse {
        parse(&words(line)).expect_err(line)
    }

    #[test]
    fn help_and_version_answer_before_anything_else() {
        for (line, expected) in [
            ("-h", help::help(None, false)),
            ("--help", help::help(None, true)),
            ("promot --help", help::help(None, true)),
            ("--biuld -h --help", help::help(None, false)),
            ("promote -h", help::help(command("promote"), false)),
            ("promote --biuld --help", help::help(command("promote"), true)),
            ("--timeout labels promote a b c --help", help::help(command("promote"), true)),
            ("--verbose promote --help", help::help(command("promote"), true)),
            ("-v promote --help", help::help(command("promote"), true)),
            ("promote a --to -h", help::help(command("promote"), false)),
            ("labels -vh", help::help(command("labels"), false)),
            ("call --help", help::help(command("call"), true)),
        ] {
            match parse(&words(line)) {
                Ok(CommandLine::Help(text)) => assert_eq!(text, expected, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        for line in ["-V", "--version", "promote --to -V", "labels --frobnicate --version"] {
            assert!(matches!(parse(&words(line)), Ok(CommandLine::Version)), "{line}");
        }
        assert!(parse(&words("labels -- --help")).is_err());
    }

    #[test]
    fn call_says_where_its_request_comes_from() {
        for (line, expected) in [("call", false), ("call -", true), ("call -- -", true)] {
            assert!(matches!(parse(&words(line)), Ok(CommandLine::Call { stdin }) if stdin == expected), "{line}");
        }
    }

    #[test]
    fn what_is_not_given_is_what_the_contract_says() {
        let Request::Promote(promote) = run("promote acme/app --build 007").request else { panic!() };
        assert!(matches!(&promote.source, PromotionSource::Build { build: 7, newest: false, .. }));
        let template = |text| crate::pure::promote::template::Template::parse(text).unwrap();
        assert_eq!((promote.to, promote.moves), (vec![template("{version}-rc")], vec![template("latest")]));
        let Request::Promote(promote) = run("promote acme/app:1 --to x --to x").request else { panic!() };
        assert_eq!((promote.to.len(), promote.moves.len()), (1, 0));
        let Request::Labels(labels) = run("labels app --label a --label a --default ''").request else { panic!() };
        assert_eq!(labels.reference.to_string(), "docker.io/library/app:latest");
        assert_eq!((labels.keys, labels.default.as_deref()), (vec!["a".to_owned()], Some("")));
        let Request::Auth(auth) = run("auth localhost:5000").request else { panic!() };
        assert_eq!((auth.registry.to_string().as_str(), auth.repository), ("localhost:5000", None));
    }

    #[test]
    fn common_flags_are_read_wherever_they_stand() {
        for line in ["--verbose --timeout 1.5 tags app", "tags --timeout=1.5 app -v", "tags -v app --timeout 1.5"] {
            let common = run(line).common;
            assert!(
                common.exchange.verbose && common.exchange.timeout == Some(std::time::Duration::from_millis(1500)),
                "{line}"
            );
        }
        let common = run("tags a --plain-http REG.example:5000 --plain-http ::1 --plain-http [::1]:80").common;
        assert_eq!(common.exchange.plain_http, ["reg.example:5000", "[::1]", "[::1]:80"]);
        for (text, host, port, address) in [
            ("Reg.example:443:10.0.0.7", "reg.example", 443, "10.0.0.7"),
            ("reg.example:443:[2001:db8::7]", "reg.example", 443, "2001:db8::7"),
            ("reg.example:443:2001:db8::7", "reg.example", 443, "2001:db8::7"),
            ("[::1]:5000:[::2]", "::1", 5000, "::2"),
        ] {
            let resolve = run(&format!("tags a --resolve {text}")).common.resolve.remove(0);
            assert_eq!(
                (resolve.host.as_str(), resolve.port, resolve.address.to_string()),
                (host, port, address.to_owned())
            );
        }
        for (line, expected) in [
            ("tags a --hub-api https://hub.example", "https://hub.example/"),
            ("tags a --hub-api http://localhost:9", "http://localhost:9/"),
            ("tags a --hub-api http://[::1]:9/x", "http://[::1]:9/x"),
            ("tags a --hub-api http://hub.example:9/ --plain-http hub.example", "http://hub.example:9/"),
            ("tags a --hub-api http://hub.example:9/ --plain-http hub.example:9", "http://hub.example:9/"),
        ] {
            assert_eq!(run(line).common.hub_api.unwrap().to_string(), expected, "{line}");
        }
    }

    #[test]
    fn wrong_words_are_refused_with_their_code() {
        use Code::*;
        for (line, code) in [
            ("--timeout 3", MissingValue),
            ("--verbose", MissingValue),
            ("promot", UnknownCommand),
            ("demote", UnknownCommand),
            ("promote a:1 --frobnicate x", UnknownFlag),
            ("promote a:1 --timeout", MissingValue),
            ("promote a:1 --timeout ''", MissingValue),
            ("promote a:1 --timeout inf", RequestInvalid),
            ("promote a:1 --timeout -1", RequestInvalid),
            ("promote a:1 --timeout 1e3", RequestInvalid),
            ("promote a:1 --timeout 0.0", RequestInvalid),
            ("promote a:1 --timeout .", RequestInvalid),
            ("promote a:1 --timeout +1", RequestInvalid),
            ("promote a:1 --timeout 1.+5", RequestInvalid),
            ("promote a:1 --timeout 1.5s", RequestInvalid),
            ("promote a:1 --timeout 1.0000000005s", RequestInvalid),
            ("promote a:1 --timeout 9999999", RequestInvalid),
            ("promote a:1 --retries -1", RequestInvalid),
            ("promote a:1 --resolve a:0:10.0.0.1", RequestInvalid),
            ("promote a:1 --resolve a:1:b", RequestInvalid),
            ("promote a:1 --resolve [::1:1:::1", RequestInvalid),
            ("promote a:1 --hub-api hub.docker.com", RequestInvalid),
            ("promote a:1 --hub-api https://hub.docker.com/?a", RequestInvalid),
            ("promote a:1 --hub-api http://hub.docker.com --plain-http hub.docker.com:81", PlainHttpRefused),
            ("promote a", MissingValue),
            ("promote", MissingValue),
            ("promote a --build 18446744073709551616", RequestInvalid),
            ("promote a --build ٣", RequestInvalid),
            ("promote a:1 --build 3", RequestInvalid),
            ("promote a:1 --newest", RequestInvalid),
            ("find-tag a --build auto", RequestInvalid),
            ("find-tag a:1 --build 3", ReferenceInvalid),
            ("next-version --build auto", MissingValue),
            ("next-version --build 3 --tag-format {version}", MissingValue),
            ("labels a --platform linux/amd64 --all-platforms", RequestInvalid),
            ("labels a --default x", RequestInvalid),
            ("labels a --verbose=yes", RequestInvalid),
            ("labels -- -a", ReferenceInvalid),
            ("labels -a", UnknownFlag),
            ("call --verbose", UnknownFlag),
            ("call request.json", RequestInvalid),
        ] {
            assert_eq!(refusal(line).error.code(), code, "{line}");
        }
    }

    #[test]
    fn no_password_in_an_address_is_repeated() {
        for line in [
            "labels https://ci:hunter2@reg.example/app:1",
            "labels a --plain-http http://ci:hunter2@reg.example",
            "labels a --hub-api https://ci:hunter2@reg.example",
            "labels a --password=hunter2",
            "labels a -phunter2",
        ] {
            assert!(!refusal(line).error.to_string().contains("hunter2"), "{line}");
        }
    }

    #[test]
    fn an_error_knows_its_command_and_what_was_asked_of_stdout() {
        let known = |line: &str| (refusal(line).command, asks(&words(line), "print"));
        assert_eq!(known("--print value labels"), (Some("labels"), true));
        assert_eq!(known("labels a --biuld 3 --print=value"), (Some("labels"), true));
        assert_eq!(known("labels a b -- --print"), (Some("labels"), false));
        assert_eq!(known("lables"), (None, false));
    }

    #[cfg(unix)]
    #[test]
    fn words_that_are_not_utf_8_are_refused_by_their_place() {
        use std::os::unix::ffi::OsStringExt;
        let line = vec!["labels".into(), OsString::from_vec(b"caf\xe9".to_vec())];
        let misuse = parse(&line).expect_err("not UTF-8");
        assert_eq!(misuse.command, Some("labels"));
        assert_eq!(misuse.error.message(), "word 2 is not UTF-8: `caf\u{fffd}`");
    }

    #[test]
    fn every_example_of_the_help_runs() {
        for (_, line) in COMMANDS.iter().flat_map(|command| command.examples) {
            let line = line.replace("\\\n", "").replace("< request.json", "").replace(['\'', '"'], "");
            assert!(parse(&words(&line)).is_ok(), "{line}: {:?}", parse(&words(&line)));
        }
    }
}
