//! One function per command: what was given becomes the request, or the reason why it cannot.
//!
//! Every rule about values and their combinations stands here or in [`crate::cli::common`]; what a reference, a tag or
//! a version is, their own parsers know.

use crate::cli::common::{choice, common, number};
use crate::cli::given::{Dialect, Given, UNSET, in_quotes, shown};
use crate::command::request::{
    Auth, FindTag, History, Inspect, Invocation, Labels, NextVersion, Promote, RecordSource, Request, Rollback, Sort,
    Source, Tags,
};
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::image::digest::Digest;
use crate::pure::image::platform::Platform;
use crate::pure::image::reference::Reference;
use crate::pure::image::registry::Registry;
use crate::pure::image::repository::Repository;
use crate::pure::image::tag::Tag;
use crate::pure::promote::record;
use crate::pure::promote::template::Template;
use crate::pure::text::glob::Glob;
use crate::pure::text::shell;
use crate::pure::version::calver::{self, Build, OnConflict};
use crate::pure::version::scheme::TagFormat;

type R<T> = Result<T, Error>;

/// The request with the flags that every command takes.
///
/// # Errors
/// The first rule that is broken.
pub fn invocation(given: &Given) -> R<Invocation> {
    for needed in given.command.needs {
        if !given.has(needed) {
            let message = format!("`{}` needs {}", given.command.name, given.name(needed));
            return Err(Error::new(Code::MissingValue, message).hint(format!("add {}", given.example(needed))));
        }
    }
    Ok(Invocation { request: (given.command.build)(given)?, common: common(given)? })
}

/// Reads the arguments of `labels`.
///
/// # Errors
/// The first rule that is broken; the same holds for every function here.
pub fn labels(given: &Given) -> R<Request> {
    let reference = reference(given)?.or_latest();
    if given.has("platform") && given.has("all-platforms") {
        let message = format!("{} and {} exclude each other", given.name("platform"), given.name("all-platforms"));
        return Err(given.clash(message).hint("leave one of them out"));
    }
    let keys = distinct(given.all("label")).map(str::to_owned).collect::<Vec<_>>();
    let default = given.one("default").map(str::to_owned);
    if default.is_some() && keys.is_empty() {
        let message = format!("{} answers for a label, and none is asked for", given.name("default"));
        return Err(given.clash(message).hint(format!("name the label with {}", given.example("label"))));
    }
    let platform = value(given, "platform", Platform::parse)?;
    Ok(Request::Labels(Labels { reference, keys, platform, all_platforms: given.has("all-platforms"), default }))
}

/// Reads the arguments of `inspect`.
///
/// # Errors
/// As [`labels`].
pub fn inspect(given: &Given) -> R<Request> {
    Ok(Request::Inspect(Inspect { reference: reference(given)?.or_latest() }))
}

/// Reads the arguments of `find-tag`.
///
/// # Errors
/// As [`labels`].
pub fn find_tag(given: &Given) -> R<Request> {
    let repository = Repository::parse(object(given)?)?;
    let build = build_number(given, given.one("build").unwrap_or_default())?;
    Ok(Request::FindTag(FindTag { repository, build, newest: given.has("newest"), format: format(given)? }))
}

/// Reads the arguments of `tags`.
///
/// # Errors
/// As [`labels`].
pub fn tags(given: &Given) -> R<Request> {
    let repository = Repository::parse(object(given)?)?;
    let sort = match given.one("sort") {
        Some(text) => match choice(given, "sort", text)? {
            "name" => Sort::Name,
            "updated" => Sort::Updated,
            _ => Sort::Version,
        },
        None => Sort::default(),
    };
    let matching = value(given, "match", Glob::parse)?;
    Ok(Request::Tags(Tags { repository, matching, sort, limit: limit(given)?, format: format(given)? }))
}

fn limit(given: &Given) -> R<Option<usize>> {
    let Some(text) = given.one("limit") else { return Ok(None) };
    match number(given, "limit", text)? {
        0 => Err(given.wrong("limit", text).hint("write a number above 0, or leave it out for all")),
        limit => Ok(Some(usize::try_from(limit).unwrap_or(usize::MAX))),
    }
}

/// Reads the arguments of `next-version`.
///
/// # Errors
/// As [`labels`].
pub fn next_version(given: &Given) -> R<Request> {
    let repository = given.object.as_deref().map(Repository::parse).transpose()?;
    let build = match given.one("build").unwrap_or_default() {
        "auto" => Build::Auto,
        text => Build::Number(build_number(given, text)?),
    };
    if repository.is_none() {
        let needless = match build {
            Build::Auto => Some(given.with("build", "auto")),
            Build::Number(_) => ["on-conflict", "tag-format"].into_iter().find(|f| given.has(f)).map(|f| given.name(f)),
        };
        if let Some(flag) = needless {
            let message = format!("{flag} needs a repository whose versions are compared");
            return Err(Error::new(Code::MissingValue, message).hint(example_object(given)));
        }
    }
    let on_conflict = match given.one("on-conflict") {
        Some(text) if choice(given, "on-conflict", text)? == "bump" => OnConflict::Bump,
        _ => OnConflict::Fail,
    };
    let at = value(given, "at", calver::parse_time)?;
    Ok(Request::NextVersion(NextVersion { repository, build, at, on_conflict, format: format(given)? }))
}

/// Reads the arguments of `promote`.
///
/// # Errors
/// As [`labels`].
pub fn promote(given: &Given) -> R<Request> {
    let source = source(given)?;
    let both = given.all("to").find(|to| given.all("move").any(|moved| moved == *to));
    if let Some(tag) = both {
        let message = format!("the tag {} stands in both {} and {}", shown(tag), given.name("to"), given.name("move"));
        let hint = format!("keep it in {} if it may move, in {} if it must not", given.name("move"), given.name("to"));
        return Err(given.clash(message).hint(hint));
    }
    let into = into(given, source.repository())?;
    let mut to = templates(given, "to")?;
    let mut moves = templates(given, "move")?;
    if to.is_empty() && moves.is_empty() {
        if into.is_some() {
            to.push(Template::parse("{tag}")?);
        }
        to.push(Template::parse("{version}-rc")?);
        moves.push(Template::parse("latest")?);
    }
    Ok(Request::Promote(Box::new(Promote {
        source,
        to,
        moves,
        expect_digest: value(given, "expect-digest", Digest::parse)?,
        require_labels: required_labels(given)?,
        allow_downgrade: given.has("allow-downgrade"),
        dry_run: given.has("dry-run"),
        into,
        referrers: !given.has("no-referrers"),
        jobs: jobs(given)?,
        record: record(given)?,
        attach_record: given.has("attach-record"),
        format: format(given)?,
    })))
}

/// The file of a record; standard input is nothing that a line can be added to.
fn record(given: &Given) -> R<Option<String>> {
    match given.one("record") {
        Some("-") => Err(given
            .wrong("record", "-")
            .hint("name a file; the record stands in the result too, and `--print record` prints it alone")),
        Some(file) if !record::is_name(file) => {
            Err(given.wrong("record", file).hint("the placeholders are `{repository}` and `{digest}`"))
        }
        file => Ok(file.map(str::to_owned)),
    }
}

/// Reads the arguments of `rollback`.
///
/// # Errors
/// As [`labels`].
pub fn rollback(given: &Given) -> R<Request> {
    let record = match (&given.document, given.one("record").unwrap_or_default()) {
        (Some(document), _) => RecordSource::Given(document.clone()),
        (None, "-") => RecordSource::Stdin,
        (None, file) => RecordSource::File(file.to_owned()),
    };
    let tag = |text| Tag::parse(text).map_err(|why| given.refused("tag", text, why));
    let tags = distinct(given.all("tag")).map(tag).collect::<R<_>>()?;
    let (dry_run, force) = (given.has("dry-run"), given.has("force"));
    Ok(Request::Rollback(Box::new(Rollback { record, tags, dry_run, force, undo: None })))
}

/// Reads the arguments of `history`.
///
/// # Errors
/// As [`labels`].
pub fn history(given: &Given) -> R<Request> {
    let reference = reference(given)?;
    if reference.digest().is_some() {
        let message = format!("{} names a digest, and a history is of a repository or a tag", shown(object(given)?));
        return Err(given.clash(message).hint("leave out the `@` and what follows it"));
    }
    let (repository, tag) = (reference.repository().clone(), reference.tag().cloned());
    Ok(Request::History(History { repository, tag, limit: limit(given)? }))
}

/// Where a promotion leads, if that is another repository; flags about copies make no sense without one.
fn into(given: &Given, source: &Repository) -> R<Option<Repository>> {
    let Some(into) = value(given, "into", Repository::parse)? else {
        let copies = ["no-referrers", "jobs", "into-aws-role", "into-aws-external-id", "into-aws-profile"];
        let Some(flag) = copies.into_iter().find(|flag| given.has(flag)) else { return Ok(None) };
        let message = format!("{} is about another repository, and none is given", given.name(flag));
        return Err(given.clash(message).hint(format!("add {}, or leave it out", given.example("into"))));
    };
    if into == *source {
        let message = format!("{} names the repository of the source", given.with("into", &into.to_string()));
        return Err(given.clash(message).hint(format!("leave {} out: the image is there already", given.name("into"))));
    }
    Ok(Some(into))
}

fn jobs(given: &Given) -> R<usize> {
    const USUAL: usize = 4;
    let Some(text) = given.one("jobs") else { return Ok(USUAL) };
    match number(given, "jobs", text)? {
        jobs @ 1..=16 => Ok(usize::try_from(jobs).unwrap_or(USUAL)),
        _ => Err(given.wrong("jobs", text).hint("write a number from 1 to 16")),
    }
}

/// Reads the arguments of `auth`.
///
/// # Errors
/// As [`labels`].
pub fn auth(given: &Given) -> R<Request> {
    let text = object(given)?;
    let (registry, repository) = if is_registry(text) {
        (Registry::parse(text.trim_end_matches('/'))?, None)
    } else {
        let repository = Repository::parse(text)?;
        (repository.registry().clone(), Some(repository))
    };
    let mut actions = Vec::new();
    for text in distinct(given.all("action")) {
        actions.push(if choice(given, "action", text)? == "push" { Action::Push } else { Action::Pull });
    }
    if actions.is_empty() {
        actions.push(Action::Pull);
    }
    Ok(Request::Auth(Auth { registry, repository, actions }))
}

/// Refuses `call`, whose arguments are a whole request of their own.
///
/// # Errors
/// Always.
pub fn nested_call(_: &Given) -> R<Request> {
    let hint = "write the command that is meant under `command`";
    Err(Error::new(Code::UnknownCommand, "a request cannot hold another `call`").hint(hint))
}

/// The key of an image with its value, as it is to be written.
fn image(text: &str) -> String {
    shown(&format!("image: {}", in_quotes(text)))
}

/// The positional argument.
fn object(given: &Given) -> R<&str> {
    given.object.as_deref().ok_or_else(|| {
        let what = given.command.object.value.to_ascii_lowercase().replace('|', " or a ");
        let message = format!("`{}` needs a {what}", given.command.name);
        Error::new(Code::MissingValue, message).hint(example_object(given))
    })
}

fn example_object(given: &Given) -> String {
    let object = &given.command.object;
    // A promotion takes a repository beside a build, and an image otherwise.
    let build = given.command.flag("build").and_then(|_| given.one("build"));
    let image = object.value.starts_with("REFERENCE") && build.is_none();
    let text = if image { "acme/app:1.2.3" } else { "acme/app" };
    if given.dialect == Dialect::Json {
        let key = if image { "image" } else { "repository" };
        return format!("add `{key}: '{text}'`, with a name of yours");
    }
    let build = build.map(|build| format!(" --build {}", shell::quote(build))).unwrap_or_default();
    format!("write {}, with a name of yours", shown(&format!("tagwright {} {text}{build}", given.command.name)))
}

fn reference(given: &Given) -> R<Reference> {
    Reference::parse(object(given)?)
}

/// What a promotion starts from: a tag or digest that is named, or a build to be found, never both.
fn source(given: &Given) -> R<Source> {
    let text = object(given)?;
    let Some(build) = given.one("build") else {
        if given.has("newest") {
            let message = format!("{} chooses among the versions of a build, and none is given", given.name("newest"));
            return Err(given.clash(message).hint(format!("add {}", given.example("build"))));
        }
        let reference = Reference::parse(text)?;
        if reference.identifier().is_none() {
            let message = format!("{} names no tag and no digest, and no build is given", shown(text));
            let tagged = format!("{}:TAG", text.trim_end_matches('/'));
            let hint = match given.dialect {
                Dialect::Words => format!("write {}, or add {}", shown(&tagged), given.example("build")),
                Dialect::Json => format!("write {}, or add {}", image(&tagged), given.example("build")),
            };
            return Err(Error::new(Code::MissingValue, message).hint(hint));
        }
        if given.object_key == "repository" {
            let message = format!("{} is given as `repository` and names a tag or digest", shown(text));
            return Err(given.clash(message).hint(format!("write {}", image(text))));
        }
        return Ok(Source::Reference(reference));
    };
    let number = build_number(given, build)?;
    if Reference::parse(text).is_ok_and(|reference| reference.identifier().is_some()) {
        let message = format!("{} names an image already, and {} another", shown(text), given.with("build", build));
        let bare = without_identifier(text);
        let hint =
            format!("write {} to promote what the build made, or leave out {}", shown(bare), given.name("build"));
        return Err(given.clash(message).hint(hint));
    }
    let repository = Repository::parse(text)?;
    if given.dialect == Dialect::Json && given.object_key != "repository" {
        let message = format!("`{}` is a tag or digest, and {} is given too", given.object_key, given.name("build"));
        return Err(given.clash(message).hint(format!("write {}", shown(&format!("repository: {}", in_quotes(text))))));
    }
    Ok(Source::Build { repository, build: number, newest: given.has("newest") })
}

fn build_number(given: &Given, text: &str) -> R<u64> {
    if text == "auto" {
        let message = format!("{} cannot be `auto` for `{}`", given.name("build"), given.command.name);
        let hint = "write the number of the build; only `next-version` counts on its own";
        return Err(given.clash(message).hint(hint));
    }
    number(given, "build", text)
}

fn format(given: &Given) -> R<TagFormat> {
    Ok(value(given, "tag-format", TagFormat::parse)?.unwrap_or_default())
}

fn templates(given: &Given, long: &str) -> R<Vec<Template>> {
    distinct(given.all(long)).map(|text| Template::parse(text).map_err(|why| given.refused(long, text, why))).collect()
}

fn required_labels(given: &Given) -> R<Vec<(String, String)>> {
    let mut labels: Vec<(String, String)> = Vec::new();
    for text in given.all("require-label") {
        let Some((key, wanted)) = text.split_once('=').filter(|(key, _)| !key.trim().is_empty()) else {
            let hint = format!("write a label and its value, as in {}", given.example("require-label"));
            return Err(given.wrong("require-label", text).hint(hint));
        };
        if wanted.trim().is_empty() {
            let message = format!("{} gives no value for the label {}", given.name("require-label"), shown(key));
            let hint = format!("give the label its value; {UNSET}");
            return Err(Error::new(Code::MissingValue, message).hint(hint));
        }
        match labels.iter().find(|(known, _)| known == key) {
            Some((_, first)) if first != wanted => {
                let flag = given.name("require-label");
                let message =
                    format!("{flag} wants two values of {}: {} and {}", shown(key), shown(first), shown(wanted));
                return Err(given.clash(message).hint("keep the one that is meant"));
            }
            Some(_) => {}
            None => labels.push((key.to_owned(), wanted.to_owned())),
        }
    }
    Ok(labels)
}

/// The value of a flag through the parser of its type, whose refusal then names the flag.
fn value<T>(given: &Given, long: &str, parse: impl Fn(&str) -> R<T>) -> R<Option<T>> {
    given.one(long).map(|text| parse(text).map_err(|why| given.refused(long, text, why))).transpose()
}

/// Each text once, in the order given.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let mut seen = std::collections::HashSet::new();
    texts.filter(move |text| seen.insert(*text))
}

/// Whether a text without a slash is a host rather than a repository of Docker Hub.
fn is_registry(text: &str) -> bool {
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let port =
        host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    path.is_empty()
        && (host == "localhost" || host.starts_with('[') || port || host.contains('.') && !host.contains([':', '@']))
}

/// A reference as it was typed, without tag and digest.
fn without_identifier(text: &str) -> &str {
    let text = text.split('@').next().unwrap_or_default();
    match text.rfind(':') {
        Some(colon) if !text[colon..].contains('/') => &text[..colon],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_alone_is_a_registry_and_a_name_alone_is_a_repository() {
        for (text, expected) in [
            ("docker.io", true),
            ("docker.io/", true),
            ("localhost", true),
            ("localhost:5000", true),
            ("[::1]:5000", true),
            ("registry.example.com", true),
            ("registry:5000", true),
            ("alpine", false),
            ("alpine:latest", false),
            ("acme/app", false),
            ("docker.io/acme/app", false),
        ] {
            assert_eq!(is_registry(text), expected, "{text}");
        }
    }

    #[test]
    fn the_identifier_is_cut_off_as_it_was_typed() {
        for (text, expected) in [
            ("acme/app:1", "acme/app"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("localhost:5000/app:1@sha256:12", "localhost:5000/app"),
            ("acme/app", "acme/app"),
        ] {
            assert_eq!(without_identifier(text), expected, "{text}");
        }
    }
}
