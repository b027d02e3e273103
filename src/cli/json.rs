//! A request written as JSON, `{"command":…,"args":{…}}`, read into the same form as words.
//!
//! Numbers are kept as they are written, for `2026.30` is a tag and not `2026.3`. A key that is null or blank is
//! refused: it comes from a variable that was not set, and must not switch anything off.

use crate::cli::defs::command;
use crate::cli::given::{KEEP_ONE, at};
use crate::cli::parse::unknown_command;
use crate::cli::{
    Arguments, CALL, Command, Dialect, Flag, Json, Misuse, RELEASE, build, invalid, missing, shown, suggest,
};
use crate::command::request::Invocation;
use crate::error::{Code, Error};
use crate::pure::text::Members;
use crate::pure::text::nearest;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// Keys that somebody may give for the positional argument.
const OBJECTS: &[&str] = &["reference", "image", "repository", "registry"];

/// Reads a request; the words are what would be typed for the same, without the program's name.
///
/// # Errors
/// The first usage error, with the command it belongs to.
pub fn invocation(text: &str) -> Result<(Invocation, Vec<String>), Misuse> {
    let mut named = None;
    read(text, &mut named).map_err(|error| Misuse { command: named.map(|c| c.name), error })
}

fn read(text: &str, named: &mut Option<&'static Command>) -> Result<(Invocation, Vec<String>), Error> {
    let shape = r#"write `{"command": "labels", "args": {"image": "acme/app:1.2.3"}}`"#;
    if text.trim().is_empty() {
        return Err(missing("the request is blank", shape));
    }
    let whole: &RawValue =
        serde_json::from_str(text).map_err(|why| invalid("the request is not JSON", shape).cause(why.to_string()))?;
    let Node::Map(parts) = node(whole, "the request")? else {
        return Err(invalid("the request is not a JSON object", shape));
    };
    let mut args = Vec::new();
    for (key, value) in parts {
        match (key.as_str(), node(value, &shown(&key))?) {
            ("command", Node::Text(name)) if !name.trim().is_empty() => {
                *named = Some(command(&name).ok_or_else(|| unknown_command(&name))?);
            }
            ("command" | "args", Node::Null) => return Err(unset(&format!("`{key}` is null"))),
            ("command", Node::Text(_)) => return Err(unset("`command` is blank")),
            ("command", _) => return Err(invalid("`command` is not a text", shape)),
            ("args", Node::Map(pairs)) => args = pairs,
            ("args", _) => return Err(invalid("`args` is not a JSON object", shape)),
            (key, _) => {
                let message = format!("a request has no key {}", shown(key));
                let hint = "a request has the keys `command` and `args`; what belongs to the command stands in `args`";
                return Err(Error::new(Code::UnknownKey, message).hint(hint));
            }
        }
    }
    let command = named.ok_or_else(|| missing("the request names no `command`", shape))?;
    if command.name == CALL {
        let hint = "write the command that is meant under `command`";
        return Err(Error::new(Code::UnknownCommand, "a request cannot hold another `call`").hint(hint));
    }
    let mut given = Arguments::new(command, Dialect::Json);
    // A misspelt key explains why the right one is missing, so names are judged before values.
    for (key, _) in args.iter().filter(|(key, _)| object_key(command, key).is_none()) {
        flag(command, key)?;
    }
    for (key, value) in args {
        argument(&mut given, &key, value)?;
    }
    if command.name == RELEASE
        && let Some(list) = given.document.take()
    {
        entries(&mut given, &list)?;
    }
    Ok((build::invocation(&given)?, words(&given)))
}

/// One key of `args`.
fn argument(given: &mut Arguments, key: &str, raw: &RawValue) -> Result<(), Error> {
    let command = given.command;
    let value = node(raw, &shown(key))?;
    if let Some(known) = object_key(command, key) {
        if command.name == RELEASE {
            return match value {
                Node::Null => Err(unset(&format!("`{key}` is null"))),
                Node::List(items) if items.is_empty() => Err(unset(&format!("`{key}` is an empty list"))),
                Node::List(_) => {
                    (given.object, given.document) = (Some("-".to_owned()), Some(raw.get().to_owned()));
                    Ok(())
                }
                other => {
                    let message = format!("`{key}` is {}, and takes a list of maps", other.kind());
                    Err(invalid(message, "write `images: [[image: 'acme/app:1.2.3']]`, with names of yours"))
                }
            };
        }
        if let (true, Node::List(items)) = (command.object.repeats, &value) {
            if items.is_empty() {
                return Err(unset(&format!("`{key}` is an empty list")));
            }
            let each = |(n, item): (usize, &&RawValue)| given.take_object(known, filled(&format!("{key}[{n}]"), item)?);
            return items.iter().enumerate().try_for_each(each);
        }
        let text = scalar(key, value, "a text")?;
        if let Some(first) = given.object.as_ref().filter(|_| command.object.keys.contains(&known)) {
            let (first, second) = (shown(first), shown(&text));
            let message = format!("`{}` and `{key}` are both given: {first} and {second}", given.object_key);
            return Err(invalid(message, KEEP_ONE));
        }
        return given.take_object(known, text);
    }
    let flag = flag(command, key)?;
    match (flag.json, value) {
        (Json::Document, Node::Map(pairs)) if !pairs.is_empty() => {
            given.document = Some(raw.get().to_owned());
            given.add(flag, Some("-".to_owned()))
        }
        (Json::Document | Json::Pairs, Node::Map(pairs)) if pairs.is_empty() => {
            Err(unset(&format!("`{key}` is an empty map")))
        }
        (Json::Texts | Json::Pairs | Json::Targets, Node::List(items)) if items.is_empty() => {
            Err(unset(&format!("`{key}` is an empty list")))
        }
        (Json::Switch, Node::Bool(true)) => given.add(flag, None),
        (Json::Switch, Node::Bool(false)) => Ok(()),
        (Json::Switch, Node::Null) => Err(unset(&format!("`{key}` is null"))),
        (Json::Switch, other) => {
            let message = format!("`{key}` is {}, and takes true or false", other.kind());
            Err(invalid(message, format!("write `{key}: true` without quotes, or leave it out")))
        }
        // A map becomes `KEY=VALUE`, once for each.
        (Json::Pairs, Node::Map(pairs)) => pairs.into_iter().try_for_each(|(label, value)| {
            let text = filled(&format!("{key}.{label}"), value)?;
            if label.trim().is_empty() || label.contains('=') {
                let message = format!("`{key}` cannot hold the key {}", shown(&label));
                return Err(invalid(message, "write the name of a label, without `=`"));
            }
            given.add(flag, Some(format!("{label}={text}")))
        }),
        (Json::Texts | Json::Pairs, Node::List(items)) => items
            .into_iter()
            .enumerate()
            .try_for_each(|(n, item)| given.add(flag, Some(filled(&format!("{key}[{n}]"), item)?))),
        (Json::Targets, Node::List(items)) => items
            .into_iter()
            .enumerate()
            .try_for_each(|(n, item)| given.add(flag, Some(target(&format!("{key}[{n}]"), item)?))),
        (kind, value) => {
            let wanted = match kind {
                Json::Integer | Json::IntegerOrWord | Json::Number => "a number",
                Json::Texts | Json::Targets => "a text or a list of texts",
                Json::Pairs => "a map of texts",
                Json::Document => "a map or a text",
                _ => "a text",
            };
            given.add(flag, Some(scalar(key, value, wanted)?))
        }
    }
}

/// The key, where it is one of a positional argument.
fn object_key(command: &'static Command, key: &str) -> Option<&'static str> {
    command.objects().flat_map(|object| object.keys).find(|known| **known == key).copied()
}

fn flag(command: &'static Command, key: &str) -> Result<&'static Flag, Error> {
    let found = command.flags().find(|flag| flag.json != Json::Never && flag.key() == key);
    found.ok_or_else(|| unknown_key(command, key))
}

/// The repository of one `into`; what else its map may hold, a pipeline step has taken out.
fn target(place: &str, raw: &RawValue) -> Result<String, Error> {
    let Node::Map(pairs) = node(raw, place)? else { return filled(place, raw) };
    let mut repository = None;
    for (key, value) in pairs {
        if key != TARGET_KEYS[0] {
            let message = format!("`{place}` has no key {}", shown(&key));
            let hint = match nearest(&key, TARGET_KEYS).filter(|near| *near != key) {
                Some(near) => format!("write `{near}`"),
                None => "`repository` names the target; a pipeline step takes what else belongs to it".to_owned(),
            };
            return Err(Error::new(Code::UnknownKey, message).hint(hint));
        }
        repository = Some(filled(&format!("{place}.{key}"), value)?);
    }
    repository.ok_or_else(|| missing(format!("`{place}` names no `repository`"), "add `repository: 'acme/app'`"))
}

/// The keys of one `into`; a pipeline step takes all of them but the first.
const TARGET_KEYS: [&str; 4] = ["repository", "credentialsId", "registry", "aws"];

/// The most promotions of one release.
pub const MOST: usize = 1000;

/// Flags of `promote` that are about a release as a whole.
pub const WHOLE: [&str; 7] =
    ["record", "sign-record", "dry-run", "wait", "into-aws-role", "into-aws-external-id", "into-aws-profile"];

/// Flags that make no sense without another one, where they are not meant for each promotion.
const BESIDE: [(&str, &str); 3] = [("newest", "build"), ("no-referrers", "into"), ("jobs", "into")];

/// Reads the list of a release: a JSON array of objects, or an object a line.
///
/// # Errors
/// The first usage error, with the place where it stands; `size-exceeded` for too many.
pub fn entries(given: &mut Arguments, text: &str) -> Result<(), Error> {
    let shape = r#"write a JSON array of objects, or an object a line, such as `{"image": "acme/app:1.2.3"}`"#;
    let bad = |what: &str, why: serde_json::Error| invalid(format!("{what} is not JSON"), shape).cause(why.to_string());
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let parts: Vec<(String, &RawValue)> = if text.trim_start().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|why| bad("the list", why))?;
        items.into_iter().enumerate().map(|(n, item)| (format!("`images[{n}]`"), item)).collect()
    } else {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(n, line)| {
            let place = format!("line {}", n + 1);
            let raw = serde_json::from_str(line).map_err(|why| bad(&place, why))?;
            Ok((place, raw))
        };
        lines.take(MOST + 1).map(read).collect::<Result<_, Error>>()?
    };
    if parts.is_empty() {
        return Err(missing("the list of promotions is empty", shape));
    }
    if parts.len() > MOST {
        let message = format!("a release has at most {MOST} promotions, and the list holds more");
        return Err(Error::new(Code::SizeExceeded, message).hint("split the list, and release one part after another"));
    }
    for (place, raw) in parts {
        let entry = entry(given, raw, shape).map_err(|error| at(&place, error))?;
        given.entries.push((place, entry));
    }
    Ok(())
}

/// One promotion of a release, with the flags that hold for each.
fn entry(release: &Arguments, raw: &RawValue, shape: &str) -> Result<Arguments, Error> {
    let pairs = match node(raw, "the promotion")? {
        Node::Map(pairs) => pairs,
        other => return Err(invalid(format!("a promotion is a map, and here is {}", other.kind()), shape)),
    };
    let command = command("promote").ok_or_else(|| unknown_command("promote"))?;
    let mut given = Arguments::new(command, Dialect::Json);
    for (key, _) in pairs.iter().filter(|(key, _)| object_key(command, key).is_none()) {
        if let Some(hint) = beside(release, command, key)? {
            let message = format!("{} is about the whole release", shown(key));
            return Err(Error::new(Code::UnknownKey, message).hint(hint));
        }
    }
    let is_own = |flag: &Flag| pairs.iter().any(|(key, _)| *key == flag.key());
    let has = |long: &str| release.has(long) || command.flag(long).is_some_and(is_own);
    let fits = |flag: &Flag| BESIDE.iter().all(|(one, other)| flag.long != *one || has(other));
    let is_each = |flag: &Flag| !flag.is_common() && !WHOLE.contains(&flag.long) && !is_own(flag) && fits(flag);
    let each: Vec<_> = release.flags.iter().filter(|(flag, _)| is_each(flag)).cloned().collect();
    for (key, value) in pairs {
        argument(&mut given, &key, value)?;
    }
    given.flags.extend(each);
    Ok(given)
}

/// Where a key of a promotion belongs that is about the release as a whole.
fn beside(release: &Arguments, command: &'static Command, key: &str) -> Result<Option<String>, Error> {
    if release.dialect == Dialect::Json && STEP_KEYS.contains(&key) {
        return Ok(Some(format!("write `{key}` beside `images`, a key of the pipeline step itself")));
    }
    let flag = flag(command, key)?;
    let hint = || match release.dialect {
        Dialect::Json => format!("write `{key}` beside `images`"),
        Dialect::Words => format!("write {} on the command line", release.example(flag.long)),
    };
    Ok((flag.is_common() || WHOLE.contains(&flag.long)).then(hint))
}

/// The text of a value inside of another, which cannot be blank.
fn filled(place: &str, raw: &RawValue) -> Result<String, Error> {
    let text = scalar(place, node(raw, &shown(place))?, "a text")?;
    if text.trim().is_empty() { Err(unset(&format!("{} is blank", shown(place)))) } else { Ok(text) }
}

/// The text of a value: itself, or the digits of a number.
fn scalar(key: &str, value: Node<'_>, wanted: &str) -> Result<String, Error> {
    match value {
        Node::Text(text) => Ok(text),
        Node::Number(digits) => Ok(digits.to_owned()),
        Node::Null => Err(unset(&format!("{} is null", shown(key)))),
        other => {
            let hint = match other {
                Node::Bool(_) if wanted == "a number" => "write the number, or leave the key out",
                Node::Bool(_) => "write the text in quotes, or leave the key out",
                Node::Map(_) => "write one value; only `requireLabel` and `record` take a map",
                _ => "write one value; only keys whose flag may be repeated take a list",
            };
            Err(invalid(format!("{} is {}, and takes {wanted}", shown(key), other.kind()), hint))
        }
    }
}

fn unset(message: &str) -> Error {
    missing(message, "give it a value, or leave the key out; a variable that is not set becomes null or blank")
}

/// The keys that a pipeline step takes out of its arguments before it asks the program. They arrive here misspelt only.
const STEP_KEYS: [&str; 8] =
    ["credentialsId", "registry", "aws", "intoCredentialsId", "intoRegistry", "intoAws", "helper", "returnError"];

fn unknown_key(command: &Command, key: &str) -> Error {
    let unknown = |message: String, hint: String| Error::new(Code::UnknownKey, message).hint(hint);
    if command.flags().any(|flag| flag.json == Json::Never && flag.key() == key) {
        let about_secrets = suggest::is_about_secrets(key);
        let hint = if about_secrets { suggest::SECRETS } else { "leave the key out; the whole result comes as JSON" };
        let hint = hint.to_owned();
        return unknown(format!("{} is for the command line alone", shown(key)), hint);
    }
    let keys = command.flags().filter(|flag| flag.json != Json::Never).map(Flag::key).collect::<Vec<_>>();
    let known = command
        .objects()
        .flat_map(|object| object.keys)
        .copied()
        .chain(keys.iter().map(String::as_str))
        .chain(STEP_KEYS);
    let every = format!("`tagwright {} --help` lists every flag, and a key is a flag in camelCase", command.name);
    let hint = match (command.object.keys.first(), nearest(key, known).filter(|near| *near != key)) {
        (Some(right), _) if OBJECTS.contains(&key) => format!("write `{right}`"),
        (_, Some(near)) if STEP_KEYS.contains(&near) => format!("write `{near}`, a key of the pipeline step itself"),
        (_, Some(near)) => format!("write `{near}`; {every}"),
        _ if suggest::is_about_secrets(key) => suggest::SECRETS.to_owned(),
        _ => every,
    };
    unknown(format!("`{}` has no key {}", command.name, shown(key)), hint)
}

/// What would be typed for the same; values are joined with `=`, so that none is taken for a flag.
fn words(given: &Arguments) -> Vec<String> {
    let mut words = vec![given.command.name.to_owned()];
    let (last, first): (Vec<_>, Vec<_>) =
        given.object.iter().chain(&given.then).cloned().partition(|object| object.starts_with('-'));
    words.extend(first);
    words.extend(given.flags.iter().map(|(flag, value)| match value {
        Some(value) => format!("--{}={value}", flag.long),
        None => format!("--{}", flag.long),
    }));
    if !last.is_empty() {
        words.push("--".to_owned());
        words.extend(last);
    }
    words
}

/// A JSON value, of which only the outermost layer is read.
enum Node<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(String),
    List(Vec<&'a RawValue>),
    Map(Vec<(String, &'a RawValue)>),
}

impl Node<'_> {
    fn kind(&self) -> String {
        match self {
            Node::Null => "null".to_owned(),
            Node::Bool(value) => value.to_string(),
            Node::Number(_) => "a number".to_owned(),
            Node::Text(text) => format!("the text {}", shown(text)),
            Node::List(_) => "a list".to_owned(),
            Node::Map(_) => "a map".to_owned(),
        }
    }
}

fn node<'a>(raw: &'a RawValue, place: &str) -> Result<Node<'a>, Error> {
    let text = raw.get();
    let bad = |why: serde_json::Error| invalid(format!("{place} cannot be read: {why}"), "write it as valid JSON");
    Ok(match text.as_bytes().first() {
        Some(b'"') => Node::Text(serde_json::from_str(text).map_err(bad)?),
        Some(b'[') => Node::List(serde_json::from_str(text).map_err(bad)?),
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(bad)?;
            let mut seen = HashSet::new();
            if let Some((key, _)) = members.iter().find(|(key, _)| !seen.insert(key.as_str())) {
                return Err(invalid(format!("{place} holds the key {} twice", shown(key)), KEEP_ONE));
            }
            Node::Map(members)
        }
        Some(b't') => Node::Bool(true),
        Some(b'f') => Node::Bool(false),
        Some(b'n') | None => Node::Null,
        Some(_) => Node::Number(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::{CommandLine, parse};
    use crate::command::request::{PromotionSource, Request};

    fn refusal(text: &str) -> (Code, String) {
        let misuse = invocation(text).expect_err(text);
        (misuse.error.code(), misuse.error.message().to_owned())
    }

    #[test]
    fn a_misspelt_key_of_the_pipeline_step_is_offered() {
        for (key, near) in [("credentialId", "credentialsId"), ("retrunError", "returnError"), ("intoAWS", "intoAws")] {
            let text = format!(r#"{{"command":"find-tag","args":{{"repository":"acme/app","build":1,"{key}":"x"}}}}"#);
            let error = invocation(&text).unwrap_err();
            assert_eq!(error.error.code(), Code::UnknownKey);
            assert_eq!(
                error.error.hint_text(),
                Some(format!("write `{near}`, a key of the pipeline step itself").as_str())
            );
        }
    }

    #[test]
    fn a_misspelt_key_is_named_before_the_key_that_it_leaves_without_value() {
        let (code, message) = refusal(r#"{"command":"labels","args":{"label":null,"image":"acme/app","lable":"x"}}"#);
        assert_eq!((code, message.as_str()), (Code::UnknownKey, "`labels` has no key `lable`"));
    }

    #[test]
    fn a_request_means_what_its_words_mean() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (args, expected) in [
            (r#"labels","args":{"image":"acme/app"}"#.to_owned(), "labels acme/app".to_owned()),
            (
                r#"labels","args":{"reference":"acme/app:1","label":["a","b"],"default":"","allPlatforms":true}"#
                    .to_owned(),
                "labels acme/app:1 --label=a --label=b --default= --all-platforms".to_owned(),
            ),
            (
                r#"labels","args":{"reference":"acme/app:1","label":"-a","default":"--print"}"#.to_owned(),
                "labels acme/app:1 --label=-a --default=--print".to_owned(),
            ),
            (
                r#"find-tag","args":{"build":103,"repository":"localhost:5000/app","newest":false}"#.to_owned(),
                "find-tag localhost:5000/app --build=103".to_owned(),
            ),
            (r#"tags","args":{"repository":"app","limit":"5"}"#.to_owned(), "tags app --limit=5".to_owned()),
            (
                r#"next-version","args":{"build":"7","timeout":1.50}"#.to_owned(),
                "next-version --build=7 --timeout=1.50".to_owned(),
            ),
            (
                r#"promote","args":{"repository":"acme/app","build":103,"to":2026.30,"requireLabel":{"b":"v","a":1}}"#
                    .to_owned(),
                "promote acme/app --build=103 --to=2026.30 --require-label=b=v --require-label=a=1".to_owned(),
            ),
            (
                format!(r#"promote","args":{{"image":"acme/app@{digest}","move":["x"],"dryRun":true}}"#),
                format!("promote acme/app@{digest} --move=x --dry-run"),
            ),
            (
                r#"auth","args":{"repository":"docker.io","action":["push"]}"#.to_owned(),
                "auth docker.io --action=push".to_owned(),
            ),
        ] {
            let (invocation, words) = invocation(&format!(r#"{{"command":"{args}}}"#)).expect(&args);
            assert_eq!(words.join(" "), expected);
            let words = words.iter().map(Into::into).collect::<Vec<_>>();
            let CommandLine::Run(typed) = parse(&words).expect(&expected) else { panic!("{expected} does not run") };
            assert_eq!(format!("{invocation:?}"), format!("{typed:?}"));
        }
    }

    #[test]
    fn null_and_blank_are_never_taken_for_not_given() {
        for (args, named) in [
            (r#""build":null"#, "`build` is null"),
            (r#""build":"""#, "`build` is blank"),
            (r#""build":" ""#, "`build` is blank"),
            (r#""build":1,"to":[]"#, "`to` is an empty list"),
            (r#""build":1,"to":["a",null]"#, "`to[1]` is null"),
            (r#""build":1,"to":["\t"]"#, "`to[0]` is blank"),
            (r#""build":1,"requireLabel":{}"#, "`requireLabel` is an empty map"),
            (r#""build":1,"requireLabel":{"rev":null}"#, "`requireLabel.rev` is null"),
            (r#""build":1,"requireLabel":{"rev":""}"#, "`requireLabel.rev` is blank"),
            (r#""build":1,"requireLabel":"rev=""#, "`requireLabel` gives no value for the label `rev`"),
            (r#""build":1,"dryRun":null"#, "`dryRun` is null"),
            (r#""build":1,"expectDigest":null"#, "`expectDigest` is null"),
        ] {
            let text = format!(r#"{{"command":"promote","args":{{"repository":"acme/app",{args}}}}}"#);
            assert_eq!(refusal(&text), (Code::MissingValue, named.to_owned()), "{args}");
        }
        for (text, named) in [
            (r#"{"command":"labels","args":{"image":null}}"#, "`image` is null"),
            (r#"{"command":"labels","args":{"image":""}}"#, "`image` is blank"),
            (r#"{"command":"labels","args":{"image":"a","label":"b","default":null}}"#, "`default` is null"),
            (r#"{"command":"labels","args":null}"#, "`args` is null"),
            (r#"{"command":null}"#, "`command` is null"),
            (r#"{"command":" "}"#, "`command` is blank"),
            (" ", "the request is blank"),
        ] {
            assert_eq!(refusal(text), (Code::MissingValue, named.to_owned()), "{text}");
        }
    }

    #[test]
    fn wrong_forms_are_refused_with_their_key() {
        for (args, code, message) in [
            (r#""dryRun":"false""#, Code::RequestInvalid, "`dryRun` is the text `false`, and takes true or false"),
            (r#""dryRun":0"#, Code::RequestInvalid, "`dryRun` is a number, and takes true or false"),
            (r#""build":true"#, Code::RequestInvalid, "`build` is true, and takes a number"),
            (r#""build":[1]"#, Code::RequestInvalid, "`build` is a list, and takes a number"),
            (r#""build":1e3"#, Code::RequestInvalid, "`build` cannot be `1e3`"),
            (r#""build":1.0"#, Code::RequestInvalid, "`build` cannot be `1.0`"),
            (r#""build":-1"#, Code::RequestInvalid, "`build` cannot be `-1`"),
            (r#""to":{"a":"b"}"#, Code::RequestInvalid, "`to` is a map, and takes a text or a list of texts"),
            (r#""requireLabel":true"#, Code::RequestInvalid, "`requireLabel` is true, and takes a map of texts"),
            (r#""to":[["a"]]"#, Code::RequestInvalid, "`to[0]` is a list, and takes a text"),
            (r#""requireLabel":{"a=b":"c"}"#, Code::RequestInvalid, "`requireLabel` cannot hold the key `a=b`"),
            (r#""to":"a","to":"b""#, Code::RequestInvalid, "`args` holds the key `to` twice"),
            (r#""build":1,"to":["a"],"move":"a""#, Code::RequestInvalid, "the tag `a` stands in both `to` and `move`"),
            (
                r#""image":"b/c:1""#,
                Code::RequestInvalid,
                "`repository` and `image` are both given: `acme/app` and `b/c:1`",
            ),
            (r#""biuld":1"#, Code::UnknownKey, "`promote` has no key `biuld`"),
            (r#""print":"digest""#, Code::UnknownKey, "`print` is for the command line alone"),
            (r#""help":true"#, Code::UnknownKey, "`help` is for the command line alone"),
            (r#""version":true"#, Code::UnknownKey, "`version` is for the command line alone"),
        ] {
            let text = format!(r#"{{"command":"promote","args":{{"repository":"acme/app",{args}}}}}"#);
            assert_eq!(refusal(&text), (code, message.to_owned()), "{args}");
        }
        for (text, code) in [
            ("5", Code::RequestInvalid),
            ("{", Code::RequestInvalid),
            (r#"{"command":"labels"} x"#, Code::RequestInvalid),
            (r#"{"command":["labels"]}"#, Code::RequestInvalid),
            (r#"{"command":"labels","args":[]}"#, Code::RequestInvalid),
            (r#"{"command":"labels","arg":{}}"#, Code::UnknownKey),
            (r#"{"command":"label"}"#, Code::UnknownCommand),
            (r#"{"command":"call","args":{}}"#, Code::UnknownCommand),
            (r#"{"command":"labels"}"#, Code::MissingValue),
        ] {
            assert_eq!(refusal(text).0, code, "{text}");
        }
    }

    #[test]
    fn a_wrong_form_comes_with_the_right_one() {
        let quotes = "write the text in quotes, or leave the key out";
        let one = "write one value; only keys whose flag may be repeated take a list";
        for (command, args, wanted, hint) in [
            ("promote", r#""build":true"#, "a number", "write the number, or leave the key out"),
            ("promote", r#""build":[1]"#, "a number", one),
            ("promote", r#""image":false"#, "a text", quotes),
            ("promote", r#""to":true"#, "a text or a list of texts", quotes),
            (
                "promote",
                r#""to":{"a":"b"}"#,
                "a text or a list of texts",
                "write one value; only `requireLabel` and `record` take a map",
            ),
            ("promote", r#""image":["a"]"#, "a text", one),
            ("rollback", r#""record":true"#, "a map or a text", quotes),
        ] {
            let text = format!(r#"{{"command":"{command}","args":{{{args}}}}}"#);
            let error = invocation(&text).expect_err(&text).error;
            assert_eq!(error.code(), Code::RequestInvalid, "{text}");
            assert!(error.message().ends_with(&format!(", and takes {wanted}")), "{text}: {error}");
            assert_eq!(error.hint_text(), Some(hint), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_near_no_other_comes_with_where_all_are() {
        let all = "`tagwright labels --help` lists every flag, and a key is a flag in camelCase";
        for (key, hint) in [("frobnicate", all), ("mySecretThing", suggest::SECRETS)] {
            let text = format!(r#"{{"command":"labels","args":{{"image":"a","{key}":"x"}}}}"#);
            assert_eq!(invocation(&text).expect_err(key).error.hint_text(), Some(hint), "{key}");
        }
    }

    #[test]
    fn a_release_has_a_thousand_promotions_and_no_more() {
        for (count, fits) in [(MOST, true), (MOST + 1, false)] {
            let list = vec![r#"{"image":"acme/app:1"}"#; count];
            for text in [list.join("\n"), format!("[{}]", list.join(","))] {
                let mut given = Arguments::new(command(RELEASE).unwrap(), Dialect::Words);
                let read = entries(&mut given, &text).map_err(|error| error.code());
                assert_eq!(read, if fits { Ok(()) } else { Err(Code::SizeExceeded) });
            }
        }
    }

    #[test]
    fn what_needs_another_flag_goes_to_the_promotions_of_a_release_that_have_it() {
        let images = r#"[{"repository":"acme/app","build":1,"into":"acme/prod"},{"image":"acme/app:1"}]"#;
        let args = format!(r#"{{"images":{images},"newest":true,"noReferrers":true,"jobs":2}}"#);
        let (read, _) = invocation(&format!(r#"{{"command":"release","args":{args}}}"#)).unwrap();
        let Request::Release(release) = read.request else { panic!("{read:?}") };
        let [built, named] = &release.promotions[..] else { panic!("{release:?}") };
        assert!(matches!(built.source, PromotionSource::Build { newest: true, .. }), "{built:?}");
        assert_eq!((built.referrers, built.jobs), (false, 2));
        assert!(named.referrers && named.jobs != 2, "{named:?}");
    }

    #[test]
    fn a_deep_request_is_refused_and_does_not_overflow() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let text = format!(r#"{{"command":"labels","args":{{"image":{deep}}}}}"#);
        assert_eq!(refusal(&text).0, Code::RequestInvalid);
    }

    #[test]
    fn an_error_knows_its_command() {
        let misuse = invocation(r#"{"args":{"imge":"a"},"command":"labels"}"#).expect_err("imge");
        assert_eq!((misuse.command, misuse.error.code()), (Some("labels"), Code::UnknownKey));
        let misuse = invocation(r#"{"command":"lables"}"#).expect_err("lables");
        assert_eq!((misuse.command, misuse.error.code()), (None, Code::UnknownCommand));
    }
}
