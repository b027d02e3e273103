//! One function per command: what was given becomes the request, or the reason why it cannot.
//!
//! Every rule about values and their combinations stands here or in [`crate::cli::common`]; what a reference, a tag or
//! a version is, their own parsers know.

use crate::cli::common::{choice, chosen, common, exclusive, number, sign_record};
use crate::cli::given::{KEEP_ONE, at, in_quotes};
use crate::cli::{Arguments, Dialect, invalid, missing, required, shown};
use crate::command::request::{
    Auth, Board, BoardPlace, Diff, FindTag, History, Inspect, Invocation, Labels, NextVersion, Promote,
    PromotionSource, RateLimit, RawPart, RecordSource, Release, Request, Rollback, Sort, Tags,
};
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::image::{Digest, Platform, Reference, Registry, Repository, Tag};
use crate::pure::promote::{Template, record};
use crate::pure::text::{Glob, shell};
use crate::pure::version::{Build, OnConflict, Since, TagFormat, calver};

/// The request with the flags that every command takes.
///
/// # Errors
/// The first rule that is broken.
pub fn invocation(given: &Arguments) -> Result<Invocation, Error> {
    let command = given.command;
    if let Some(needed) = command.needs.iter().find(|needed| !given.has(needed)) {
        let message = format!("`{}` needs {}", command.name, given.name(needed));
        return Err(missing(message, format!("add {}", given.example(needed))));
    }
    let request = match command.name {
        "labels" => labels(given),
        "inspect" => inspect(given),
        "find-tag" => find_tag(given),
        "tags" => tags(given),
        "next-version" => next_version(given),
        "promote" => promotion(given).map(|promote| Request::Promote(Box::new(promote))),
        "release" => release(given),
        "rollback" => rollback(given),
        "history" => history(given),
        "board" => board(given),
        "diff" => diff(given),
        "rate-limit" => rate_limit(given),
        "auth" => auth(given, object(given)?).map(Request::Auth),
        // Where people begin.
        "doctor" => auth(given, given.object.as_deref().unwrap_or("docker.io")).map(Request::Doctor),
        name => Err(Error::new(Code::Internal, format!("nothing reads the arguments of `{name}`"))),
    };
    Ok(Invocation { command: command.name, request: request?, common: common(given)? })
}

fn labels(given: &Arguments) -> Result<Request, Error> {
    let reference = reference(given)?.or_latest();
    exclusive(given, "platform", "all-platforms")?;
    let keys = distinct(given.all("label")).map(str::to_owned).collect::<Vec<_>>();
    let default = given.one("default").map(str::to_owned);
    if default.is_some() && keys.is_empty() {
        let message = format!("{} answers for a label, and none is asked for", given.name("default"));
        return Err(invalid(message, format!("name the label with {}", given.example("label"))));
    }
    let platform = value(given, "platform", Platform::parse)?;
    let (all_platforms, annotations) = (given.has("all-platforms"), given.has("annotations"));
    Ok(Request::Labels(Labels { reference, keys, platform, all_platforms, annotations, default }))
}

fn inspect(given: &Arguments) -> Result<Request, Error> {
    let reference = reference(given)?.or_latest();
    let parts = [("raw", RawPart::Manifest), ("config", RawPart::Config)];
    for (part, _) in parts {
        let others = ["config", "print", "json", "text"].into_iter().filter(|other| *other != part);
        others.into_iter().try_for_each(|other| exclusive(given, part, other))?;
    }
    let part = parts.into_iter().find(|(part, _)| given.has(part)).map(|(_, part)| part);
    Ok(Request::Inspect(Inspect { reference, part }))
}

fn find_tag(given: &Arguments) -> Result<Request, Error> {
    let repository = Repository::parse(object(given)?)?;
    let (build, newest) = (build_number(given)?, given.has("newest"));
    let mut printed = given.all("print").peekable();
    let is_shown = printed.peek().is_none() || printed.any(|path| path.starts_with("digest"));
    let digest = is_shown && !given.has("no-digest");
    Ok(Request::FindTag(FindTag { repository, build, newest, digest, format: format(given)? }))
}

fn tags(given: &Arguments) -> Result<Request, Error> {
    let repository = Repository::parse(object(given)?)?;
    let sort = choice(given, "sort", &[Sort::Version, Sort::Name, Sort::Updated])?.unwrap_or_default();
    let (matching, exclude) = (values(given, "match", Glob::parse)?, values(given, "exclude", Glob::parse)?);
    let since = value(given, "updated-since", Since::parse)?;
    let (limit, format) = (limit(given)?, format(given)?);
    Ok(Request::Tags(Tags { repository, matching, exclude, since, sort, limit, format }))
}

fn limit(given: &Arguments) -> Result<Option<usize>, Error> {
    let limit = number(given, "limit", 1..=u64::MAX, "write a number above 0, or leave it out for all")?;
    Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
}

fn next_version(given: &Arguments) -> Result<Request, Error> {
    let repository = given.object.as_deref().map(Repository::parse).transpose()?;
    let build = match given.one("build") {
        Some("auto") => Build::Auto,
        _ => Build::Number(build_number(given)?),
    };
    if repository.is_none() {
        let needless = match build {
            Build::Auto => Some(given.with("build", "auto")),
            Build::Number(_) => ["on-conflict", "tag-format"].into_iter().find(|f| given.has(f)).map(|f| given.name(f)),
        };
        if let Some(flag) = needless {
            let message = format!("{flag} needs a repository whose versions are compared");
            return Err(missing(message, example_object(given)));
        }
    }
    let on_conflict = choice(given, "on-conflict", &[OnConflict::Fail, OnConflict::Bump])?.unwrap_or_default();
    let at = value(given, "at", calver::parse_time)?;
    Ok(Request::NextVersion(NextVersion { repository, build, at, on_conflict, format: format(given)? }))
}

fn promotion(given: &Arguments) -> Result<Promote, Error> {
    let source = source(given)?;
    for [one, other] in [["to", "move"], ["to", "move-if-newer"], ["move", "move-if-newer"]] {
        let Some(tag) = given.all(one).find(|tag| given.all(other).any(|moved| moved == *tag)) else { continue };
        let (one, other, tag) = (given.name(one), given.name(other), shown(tag));
        let message = format!("the tag {tag} stands in both {one} and {other}");
        return Err(invalid(message, {
            let [to, moves, newer] = ["to", "move", "move-if-newer"].map(|flag| given.name(flag));
            format!(
                "keep it in {moves} if it may move, in {newer} if it is to stay at a newer version, in {to} if it must not move"
            )
        }));
    }
    let into = into(given, source.repository())?;
    let [mut to, mut moves, newer] = [
        values(given, "to", Template::parse)?,
        values(given, "move", Template::parse)?,
        values(given, "move-if-newer", Template::parse)?,
    ];
    let implied = to.is_empty() && moves.is_empty() && newer.is_empty();
    if implied {
        if !into.is_empty() {
            to.push(Template::parse("{tag}")?);
        }
        to.push(Template::parse("{version}-rc")?);
        moves.push(Template::parse("latest")?);
    }
    let jobs = number(given, "jobs", 1..=16, "write a number from 1 to 16")?;
    Ok(Promote {
        source,
        to,
        moves,
        newer,
        implied,
        expect_digest: value(given, "expect-digest", Digest::parse)?,
        require_labels: required::labels(given)?,
        signed: required::signatures(given)?,
        allow_downgrade: given.has("allow-downgrade"),
        dry_run: given.has("dry-run"),
        into,
        referrers: !given.has("no-referrers"),
        jobs: jobs.and_then(|jobs| usize::try_from(jobs).ok()).unwrap_or(USUAL_JOBS),
        record: record(given)?,
        attach_record: given.has("attach-record"),
        sign_record: sign_record(given, given.has("attach-record"))?,
        format: format(given)?,
    })
}

fn release(given: &Arguments) -> Result<Request, Error> {
    list(given)?;
    let one = |(place, entry): &(String, Arguments)| promotion(entry).map_err(|error| at(place, error));
    let promotions = given.entries.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    if promotions.iter().all(|promote| promote.into.is_empty()) {
        copies_nothing(given)?;
    }
    let mut seen: Vec<(String, &str)> = Vec::new();
    for (promote, (place, _)) in promotions.iter().zip(&given.entries) {
        seen.extend(written(promote).into_iter().map(|name| (name, place.as_str())));
    }
    // The sort is stable, so whoever comes first in the list does here.
    seen.sort_by(|(one, _), (other, _)| one.cmp(other));
    let twice = |two: &&[(String, &str)]| two[0].0 == two[1].0 && two[0].1 != two[1].1;
    if let Some([(name, first), (_, place)]) = seen.windows(2).find(twice) {
        let hint = "give each its own tags with `to` and `move`; without them `latest` is meant";
        return Err(invalid(format!("{place}: `{name}` is written by {first} already"), hint));
    }
    let sign_record = sign_record(given, promotions.iter().any(|promote| promote.attach_record))?;
    let dry_run = given.has("dry-run");
    Ok(Request::Release(Box::new(Release { promotions, dry_run, record: record(given)?, sign_record })))
}

/// The tags that a promotion writes, as far as that shows before anything is asked.
fn written(promote: &Promote) -> Vec<String> {
    let tag = match &promote.source {
        PromotionSource::Reference(reference) => reference.tag(),
        PromotionSource::Build { .. } => None,
    };
    let version = tag.and_then(|tag| promote.format.read(tag.as_str())).map(|version| version.written());
    let own = [promote.source.repository().clone()];
    let targets = if promote.into.is_empty() { &own } else { &promote.into[..] };
    let tags = promote
        .to
        .iter()
        .chain(&promote.moves)
        .chain(&promote.newer)
        .filter_map(|one| one.expand(tag, version.as_deref()).ok());
    let tags: Vec<Tag> = tags.collect();
    targets.iter().flat_map(|target| tags.iter().map(|tag| target.tagged(tag).to_string())).collect()
}

/// Where the list of a release is read from.
///
/// # Errors
/// `missing-value`.
pub fn list(given: &Arguments) -> Result<&str, Error> {
    given.object.as_deref().ok_or_else(|| match given.dialect {
        Dialect::Words => missing("`release` needs a file, or `-`", "write `tagwright release images.json`"),
        Dialect::Json => missing("`release` needs `images`", "add `images: [[image: 'acme/app:1.2.3']]`"),
    })
}

/// How many blobs are under way at once where nothing else is said.
const USUAL_JOBS: usize = 4;

/// The file of a record; standard input is nothing that a line can be added to.
fn record(given: &Arguments) -> Result<Option<String>, Error> {
    let hint = match given.one("record") {
        Some("-") => "name a file; the record stands in the result too, and `--print record` prints it alone",
        Some(file) if !record::is_name(file) => "the placeholders are `{repository}` and `{digest}`",
        file => return Ok(file.map(str::to_owned)),
    };
    Err(given.wrong("record", given.one("record").unwrap_or_default(), hint))
}

fn rollback(given: &Arguments) -> Result<Request, Error> {
    let record = match (&given.document, given.one("record").unwrap_or_default()) {
        (Some(document), _) => RecordSource::Given(document.clone()),
        (None, "-") => RecordSource::Stdin,
        (None, file) => RecordSource::File(file.to_owned()),
    };
    let tags = values(given, "tag", Tag::parse)?;
    let repository = given.object.as_deref().map(Repository::parse).transpose()?;
    let (dry_run, force) = (given.has("dry-run"), given.has("force"));
    Ok(Request::Rollback(Box::new(Rollback { repository, record, tags, dry_run, force, promotion: None })))
}

fn history(given: &Arguments) -> Result<Request, Error> {
    let (repository, tag) = place(given, object(given)?)?;
    let verify_keys = given.all("verify-key").map(str::to_owned).collect();
    Ok(Request::History(History { repository, tag, limit: limit(given)?, verify_keys }))
}

/// A repository, or a tag of it, and never a digest.
fn place(given: &Arguments, text: &str) -> Result<(Repository, Option<Tag>), Error> {
    let reference = Reference::parse(text)?;
    if reference.digest().is_some() {
        let name = given.command.name;
        let message = format!("{} names a digest, and `{name}` is about a repository or a tag", shown(text));
        return Err(invalid(message, "leave out the `@` and what follows it"));
    }
    Ok((reference.repository().clone(), reference.tag().cloned()))
}

fn board(given: &Arguments) -> Result<Request, Error> {
    let mut places: Vec<BoardPlace> = Vec::new();
    for text in std::iter::once(object(given)?).chain(given.then.iter().map(String::as_str)) {
        let (repository, tag) = place(given, text)?;
        let at = places.iter().position(|place| place.repository == repository).unwrap_or_else(|| {
            places.push(BoardPlace { repository, tags: Vec::new(), is_whole: false });
            places.len() - 1
        });
        match tag {
            Some(tag) if places[at].tags.contains(&tag) => {}
            Some(tag) => places[at].tags.push(tag),
            None => places[at].is_whole = true,
        }
    }
    if places.len() > MOST_PLACES {
        let message = format!("a board is of at most {MOST_PLACES} repositories, and {} are given", places.len());
        return Err(Error::new(Code::SizeExceeded, message).hint("make several boards"));
    }
    let (html, verify_keys) =
        (given.one("html").map(str::to_owned), given.all("verify-key").map(str::to_owned).collect());
    Ok(Request::Board(Board { places, html, limit: limit(given)?, verify_keys }))
}

/// How many repositories a board may tell of.
const MOST_PLACES: usize = 100;

/// Where a promotion leads, if that is to other repositories; flags about copies make no sense without one.
fn into(given: &Arguments, source: &Repository) -> Result<Vec<Repository>, Error> {
    let mut all: Vec<Repository> = Vec::new();
    for text in given.all("into") {
        let into = Repository::parse(text).map_err(|why| given.refused("into", text, why))?;
        let named = given.with("into", &into.to_string());
        if into == *source {
            let hint = format!("leave {} out: the image is there already", given.name("into"));
            return Err(invalid(format!("{named} names the repository of the source"), hint));
        }
        if all.contains(&into) {
            return Err(invalid(format!("{named} stands twice"), KEEP_ONE));
        }
        all.push(into);
    }
    if all.is_empty() {
        copies_nothing(given)?;
    }
    Ok(all)
}

/// Refuses flags about copies where there is none.
fn copies_nothing(given: &Arguments) -> Result<(), Error> {
    let copies = ["no-referrers", "jobs", "into-aws-role", "into-aws-external-id", "into-aws-profile"];
    let Some(flag) = copies.into_iter().find(|flag| given.has(flag)) else { return Ok(()) };
    let message = format!("{} is about another repository, and none is given", given.name(flag));
    Err(invalid(message, format!("add {}, or leave it out", given.example("into"))))
}

fn diff(given: &Arguments) -> Result<Request, Error> {
    let from = reference(given)?.or_latest();
    let Some(to) = given.then.first() else {
        let write = match given.dialect {
            Dialect::Words => format!("write {}", shown(&format!("tagwright diff {} REFERENCE", object(given)?))),
            Dialect::Json => "add `to: 'acme/app:1.2.3'`, with a name of yours".to_owned(),
        };
        return Err(missing("`diff` compares two images, and one is given", write));
    };
    let (to, platform) = (Reference::parse(to)?.or_latest(), value(given, "platform", Platform::parse)?);
    Ok(Request::Diff(Diff { from, to, platform }))
}

fn rate_limit(given: &Arguments) -> Result<Request, Error> {
    let repository = Repository::parse(given.object.as_deref().unwrap_or(LIMITED))?;
    Ok(Request::RateLimit(RateLimit { repository }))
}

/// The repository that Docker Hub has for questions about its limit.
const LIMITED: &str = "docker.io/ratelimitpreview/test";

fn auth(given: &Arguments, text: &str) -> Result<Auth, Error> {
    let (registry, repository) = if is_registry(text) {
        (Registry::parse(text.trim_end_matches('/'))?, None)
    } else {
        let repository = Repository::parse(text)?;
        (repository.registry().clone(), Some(repository))
    };
    let action = |text| chosen(given, "action", text, &[Action::Pull, Action::Push]);
    let mut actions = distinct(given.all("action")).map(action).collect::<Result<Vec<_>, _>>()?;
    if actions.is_empty() {
        actions.push(Action::Pull);
    }
    Ok(Auth { registry, repository, actions })
}

/// The key of an image with its value, as it is to be written.
fn image(text: &str) -> String {
    shown(&format!("image: {}", in_quotes(text)))
}

/// The positional argument.
fn object(given: &Arguments) -> Result<&str, Error> {
    given.object.as_deref().ok_or_else(|| {
        let what = given.command.object.value.to_ascii_lowercase().replace('|', " or a ");
        missing(format!("`{}` needs a {what}", given.command.name), example_object(given))
    })
}

fn example_object(given: &Arguments) -> String {
    // A promotion takes a repository beside a build, and an image otherwise.
    let build = given.command.flag("build").and_then(|_| given.one("build"));
    let image = given.command.object.value.starts_with("REFERENCE") && build.is_none();
    let (key, text) = if image { ("image", "acme/app:1.2.3") } else { ("repository", "acme/app") };
    let key = given.command.objects().find(|object| object.keys.contains(&key)).map_or(given.object_key, |_| key);
    if given.dialect == Dialect::Json {
        return format!("add `{key}: '{text}'`, with a name of yours");
    }
    let build = build.map(|build| format!(" --build {}", shell::quote(build))).unwrap_or_default();
    let other = if given.command.object.then.is_some() { " acme/app:1.2.4" } else { "" };
    format!("write {}, with a name of yours", shown(&format!("tagwright {} {text}{other}{build}", given.command.name)))
}

fn reference(given: &Arguments) -> Result<Reference, Error> {
    Reference::parse(object(given)?)
}

/// What a promotion starts from: a tag or digest that is named, or a build to be found, never both.
fn source(given: &Arguments) -> Result<PromotionSource, Error> {
    let text = object(given)?;
    let Some(build) = given.one("build") else {
        if given.has("newest") {
            let message = format!("{} chooses among the versions of a build, and none is given", given.name("newest"));
            return Err(invalid(message, format!("add {}", given.example("build"))));
        }
        let reference = Reference::parse(text)?;
        if reference.identifier().is_none() {
            let message = format!("{} names no tag and no digest, and no build is given", shown(text));
            let tagged = format!("{}:TAG", text.trim_end_matches('/'));
            let tagged = if given.dialect == Dialect::Json { image(&tagged) } else { shown(&tagged) };
            return Err(missing(message, format!("write {tagged}, or add {}", given.example("build"))));
        }
        if given.object_key == "repository" {
            let message = format!("{} is given as `repository` and names a tag or digest", shown(text));
            return Err(invalid(message, format!("write {}", image(text))));
        }
        return Ok(PromotionSource::Reference(reference));
    };
    let number = build_number(given)?;
    if Reference::parse(text).is_ok_and(|reference| reference.identifier().is_some()) {
        let message = format!("{} names an image already, and {} another", shown(text), given.with("build", build));
        let (bare, flag) = (shown(without_identifier(text)), given.name("build"));
        return Err(invalid(message, format!("write {bare} to promote what the build made, or leave out {flag}")));
    }
    let repository = Repository::parse(text)?;
    if given.dialect == Dialect::Json && given.object_key != "repository" {
        let message = format!("`{}` is a tag or digest, and {} is given too", given.object_key, given.name("build"));
        return Err(invalid(message, format!("write {}", shown(&format!("repository: {}", in_quotes(text))))));
    }
    Ok(PromotionSource::Build { repository, build: number, newest: given.has("newest") })
}

/// The build that is given; a command that can do without has looked whether one is.
fn build_number(given: &Arguments) -> Result<u64, Error> {
    if given.one("build") == Some("auto") {
        let message = format!("{} cannot be `auto` for `{}`", given.name("build"), given.command.name);
        return Err(invalid(message, "write the number of the build; only `next-version` counts on its own"));
    }
    Ok(number(given, "build", 0..=u64::MAX, "")?.unwrap_or_default())
}

fn format(given: &Arguments) -> Result<TagFormat, Error> {
    Ok(value(given, "tag-format", TagFormat::parse)?.unwrap_or_default())
}

/// The value of a flag through the parser of its type, whose refusal then names the flag.
fn value<T>(given: &Arguments, long: &str, parse: fn(&str) -> Result<T, Error>) -> Result<Option<T>, Error> {
    Ok(values(given, long, parse)?.pop())
}

/// Every value of a flag through the parser of its type, each once, in the order given.
fn values<T>(given: &Arguments, long: &str, parse: fn(&str) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    distinct(given.all(long)).map(|text| parse(text).map_err(|why| given.refused(long, text, why))).collect()
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
