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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::board::row::{BuildOrigin, TagChange, blank};
    use crate::pure::image::Tag;

    fn tag(name: &str) -> BoardTag {
        blank(Tag::parse(name).unwrap())
    }

    fn board(newest: Option<&str>, tags: Vec<BoardTag>, error: Option<&str>) -> BoardRepository {
        let text = |text: Option<&str>| text.map(str::to_owned);
        BoardRepository {
            repository: "r/<a>".to_owned(),
            newest: text(newest),
            tags,
            error: text(error),
            moves: Vec::new(),
        }
    }

    /// The cells of the one row of a page.
    fn cells(tag: BoardTag) -> Vec<String> {
        let html = html(&[board(None, vec![tag], None)], "2026-08-06T00:00:00Z", "tagwright");
        let (_, row) = html.split_once("<tbody>\n<tr><th scope=\"row\">").unwrap();
        let (row, _) = row.split_once("</td></tr>").unwrap();
        let row = row.replace("</th>", "</td>");
        let cell = |cell: &str| {
            cell.strip_prefix("<td data-is=\"")
                .map_or(cell.to_owned(), |rest| rest.split_once("\">").unwrap().1.to_owned())
        };
        row.split("</td>").map(cell).collect()
    }

    #[test]
    fn a_row_tells_what_is_known_of_its_tag() {
        let (digest, before) = (Digest::of(b"now"), Digest::of(b"before"));
        assert_eq!(cells(tag("a")), ["a", "not there", "", "", "", "", ""]);
        let held = || BoardTag { digest: Some(digest.clone()), ..tag("a") };
        let code = format!("<code>{}</code>", digest.short());
        assert_eq!(cells(held())[1], format!("no version{code}"));
        let whole = BoardTag {
            version: Some("1.<2>".to_owned()),
            since: Some("2026-08-05T10:00:00Z".to_owned()),
            by: Some("m&o".to_owned()),
            verified: Some(true),
            behind: Some(0),
            from: Some(BuildOrigin {
                url: Some("https://ci/7".to_owned()),
                job: Some("release".to_owned()),
                build: Some("7".to_owned()),
            }),
            ..held()
        };
        assert_eq!(
            cells(whole),
            [
                "a",
                &*format!("1.&lt;2&gt;{code}"),
                "<span class=\"good\">none</span>",
                "<time datetime=\"2026-08-05T10:00:00Z\">2026-08-05 10:00</time>",
                "<a href=\"https://ci/7\">release #7</a>",
                "m&amp;o <span class=\"good\">verified</span>",
                "",
            ]
        );
        let other = BoardTag { behind: Some(2), verified: Some(false), ..held() };
        let other = cells(other);
        assert_eq!(
            (&*other[2], &*other[5]),
            ("<span class=\"late\">2</span>", " <span class=\"late\">not verified</span>")
        );
        let revision = |c: char| Some(c.to_string().repeat(40));
        for (before_version, old, compare, expected) in [
            (
                Some("1.1"),
                Some('a'),
                Some("https://c"),
                "from 1.1<br><a href=\"https://c\">aaaaaaa…bbbbbbb</a>".to_owned(),
            ),
            (Some("1.1"), None, Some("https://c"), "from 1.1".to_owned()),
            (Some("1.1"), Some('a'), None, "from 1.1".to_owned()),
            (None, Some('a'), None, format!("from {}", before.short())),
        ] {
            let change = TagChange {
                before: before.clone(),
                before_version: before_version.map(str::to_owned),
                before_revision: old.and_then(revision),
                revision: revision('b'),
                compare: compare.map(str::to_owned),
            };
            assert_eq!(cells(BoardTag { change: Some(change), ..held() })[6], expected);
        }
    }

    #[test]
    fn a_repository_without_rows_tells_why() {
        for (one, expected) in [
            (board(None, Vec::new(), Some("<refused>")), "<strong class=\"late\">Not known:</strong> &lt;refused&gt;"),
            (board(Some("1.2"), Vec::new(), None), "No tag here moves."),
            (board(Some("1.2"), vec![tag("a")], None), "Newest version: 1.2"),
            (board(None, vec![tag("a")], None), "No tag here is a version."),
        ] {
            let has_rows = !one.tags.is_empty();
            let html = html(&[one], "2026-08-06T00:00:00Z", "tag<wright>");
            assert!(html.contains(&format!("r/&lt;a&gt;</h2>\n<p>{expected}</p>\n")), "{html}");
            assert_eq!((html.contains("<table>"), html.contains("<picture>")), (has_rows, false), "{html}");
            let head =
                "<p>Made <time datetime=\"2026-08-06T00:00:00Z\">2026-08-06 00:00</time> UTC by tag&lt;wright&gt;</p>";
            assert!(html.starts_with("<!doctype html>\n<!-- tagwright board -->\n") && html.contains(head), "{html}");
        }
    }

    #[test]
    fn the_summary_counts_tags_and_those_that_are_behind() {
        let behind = |behind: Option<usize>| BoardTag { behind, ..tag("a") };
        for (tags, expected) in [
            (vec![], "0 tags of here, 0 behind the newest version"),
            (vec![behind(Some(0))], "1 tag of here, 0 behind the newest version"),
            (vec![behind(Some(1)), behind(Some(2)), behind(None)], "3 tags of here, 2 behind the newest version"),
        ] {
            assert_eq!(summary(&[board(None, tags, None)], "here"), expected);
        }
        let pages = |count| html(&(0..count).map(|_| board(None, Vec::new(), None)).collect::<Vec<_>>(), "", "");
        assert!(pages(1).contains("<p>0 tags of 1 repository, 0 behind") && pages(2).contains("of 2 repositories, 0"));
        assert!(pages(2).contains("<section aria-labelledby=\"r2\">\n<h2 id=\"r2\">"));
    }
}
