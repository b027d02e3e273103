//! The board as a page of HTML that needs no script, no style of its own and nothing from elsewhere.
//!
//! It has to be readable under the policy that Jenkins puts on artifacts:
//! `sandbox; default-src 'none'; img-src 'self'; style-src 'self'`. Everything in it is somebody else's text, and goes
//! through [`escaped`].

use crate::pure::board::markup::{MARK, escaped, moment};
use crate::pure::board::{BoardRepository, BoardTag, timeline};
use crate::pure::image::Digest;

/// The style sheet.
pub const CSS: &str = include_str!("board.css");

fn time(at: &str) -> String {
    ["<time datetime=\"", &escaped(at), "\">", &moment(at), "</time>"].concat()
}

fn link(address: Option<&String>, title: &str) -> String {
    match address {
        Some(address) => ["<a href=\"", &escaped(address), "\">", &escaped(title), "</a>"].concat(),
        None => escaped(title),
    }
}

fn code(digest: Option<&Digest>) -> String {
    digest.map_or(String::new(), |digest| ["<code>", digest.short(), "</code>"].concat())
}

/// How many tags of how many repositories are told, and how many of them are behind, as a sentence without its end.
pub fn summary(repositories: &[BoardRepository], place: &str) -> String {
    let tags = || repositories.iter().flat_map(|one| &one.tags);
    let count = tags().count();
    let behind = tags().filter(|tag| tag.behind > Some(0)).count();
    format!("{count} tag{} of {place}, {behind} behind the newest version", if count == 1 { "" } else { "s" })
}

/// The page: when it was made and by what, then each repository.
pub fn html(repositories: &[BoardRepository], made: &str, tool: &str) -> String {
    let mut out =
        ["<!doctype html>\n<!-- ", MARK, " -->\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"].concat();
    out +=
        "<meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"referrer\" content=\"no-referrer\">\n";
    out += "<title>Release board</title>\n<link rel=\"stylesheet\" href=\"board.css\">\n</head>\n<body>\n";
    out.extend(["<header>\n<h1>Release board</h1>\n<p>Made ", &time(made), " UTC by ", &escaped(tool), "</p>\n"]);
    let place = format!("{} repositor{}", repositories.len(), if repositories.len() == 1 { "y" } else { "ies" });
    out.extend(["<p>", &summary(repositories, &place), "</p>\n</header>\n<main>\n"]);
    for (number, one) in (1..).zip(repositories) {
        repository(&mut out, &number.to_string(), one);
    }
    out += "</main>\n<footer><p>Since, build and by are what records and lists in the registries say, and whoever may push ";
    out + "there may write a record. What a tag holds is the word of the registry itself.</p></footer>\n</body>\n</html>\n"
}

fn repository(out: &mut String, number: &str, one: &BoardRepository) {
    let name = escaped(&one.repository);
    out.extend(["<section aria-labelledby=\"r", number, "\">\n<h2 id=\"r", number, "\">", &name, "</h2>\n"]);
    let told = match (&one.error, &one.newest) {
        (Some(error), _) => ["<strong class=\"late\">Not known:</strong> ", &escaped(error)].concat(),
        (None, _) if one.tags.is_empty() => "No tag here moves.".to_owned(),
        (None, Some(newest)) => ["Newest version: ", &escaped(newest)].concat(),
        (None, None) => "No tag here is a version.".to_owned(),
    };
    out.extend(["<p>", &told, "</p>\n"]);
    if !one.tags.is_empty() {
        out.extend(["<table>\n<caption>Moving tags</caption>\n<thead><tr>"]);
        for heading in ["Tag", "Version", "Newer", "Since (UTC)", "Build", "By", "Change"] {
            out.extend(["<th scope=\"col\">", heading, "</th>"]);
        }
        *out += "</tr></thead>\n<tbody>\n";
        one.tags.iter().for_each(|tag| row(out, tag));
        *out += "</tbody>\n</table>\n";
    }
    if let Some(told) = timeline::sentence(one) {
        let alt = escaped(&told);
        let file = ["timeline-", number].concat();
        *out += "<p class=\"soft\">Promotions on record</p>\n";
        out.extend(["<picture><source media=\"(prefers-color-scheme: dark)\" srcset=\"", &file, "-dark.svg\">"]);
        out.extend(["<img src=\"", &file, ".svg\" alt=\"", &alt, "\"></picture>\n"]);
    }
    *out += "</section>\n";
}

fn row(out: &mut String, tag: &BoardTag) {
    let version = match (&tag.version, &tag.digest) {
        (Some(version), _) => escaped(version),
        (None, Some(_)) => "no version".to_owned(),
        (None, None) => "not there".to_owned(),
    };
    let behind = match tag.behind {
        Some(0) => "<span class=\"good\">none</span>".to_owned(),
        Some(count) => ["<span class=\"late\">", &count.to_string(), "</span>"].concat(),
        None => String::new(),
    };
    let build = tag.from.as_ref().map(|from| link(from.url.as_ref(), &from.title()));
    let change = tag.change.as_ref().map(|change| {
        let before = change.before_version.as_deref().unwrap_or(change.before.short());
        let compare = match (&change.compare, &change.before_revision, &change.revision) {
            (Some(_), Some(old), Some(new)) => {
                let range = [&old[..7], "…", &new[..7]].concat();
                ["<br>", &link(change.compare.as_ref(), &range)].concat()
            }
            _ => String::new(),
        };
        ["from ", &escaped(before), &compare].concat()
    });
    let by = tag.by.as_deref().map(escaped).unwrap_or_default();
    let signed = match tag.verified {
        Some(true) => " <span class=\"good\">verified</span>",
        Some(false) => " <span class=\"late\">not verified</span>",
        None => "",
    };
    out.extend(["<tr><th scope=\"row\">", &escaped(tag.tag.as_str()), "</th>"]);
    for (name, cell) in [
        ("Version", [version, code(tag.digest.as_ref())].concat()),
        ("Newer", behind),
        ("Since", tag.since.as_deref().map(time).unwrap_or_default()),
        ("Build", build.unwrap_or_default()),
        ("By", by + signed),
        ("Change", change.unwrap_or_default()),
    ] {
        out.extend(["<td data-is=\"", name, "\">", &cell, "</td>"]);
    }
    *out += "</tr>\n";
}
