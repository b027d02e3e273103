//! The documents have a door and no dead end: every relative link and anchor leads somewhere, and the index names
//! every page.

use crate::tidy::{File, assert_none, files};
use std::collections::BTreeSet;
use std::path::Path;

/// The lines of a document that are prose, with their numbers; what stands in a fence is code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((number + 1, line))
    })
}

/// What GitHub and mdBook call a heading: lower case, blanks as hyphens, no other punctuation; the second of a name
/// gets a number.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for heading in prose(text).filter_map(|(_, line)| Some(line.trim_start_matches('#')).filter(|rest| *rest != line)) {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let name = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let names = (0..).map(|count| if count == 0 { name.clone() } else { format!("{name}-{count}") });
        let free = names.into_iter().find(|name| !found.contains(name));
        found.extend(free);
    }
    found
}

/// Where the links of a line lead; what stands between backticks is none.
fn targets(line: &str) -> Vec<String> {
    let words: String = line.split('`').step_by(2).collect();
    words.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The path that a link of a document means, from the root of the project; `None` where it leads out of it.
fn resolved(document: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The links of a document that lead nowhere.
fn dead(document: &File, all: &[File]) -> Vec<String> {
    let mut offences = Vec::new();
    for (number, line) in prose(&document.text) {
        for target in targets(line).into_iter().filter(|target| !target.contains("://")) {
            let (link, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if link.is_empty() { Some(document.path.clone()) } else { resolved(&document.path, link) };
            let there = path.as_deref().is_some_and(|path| {
                let file = all.iter().find(|file| file.path == path);
                let named = || file.is_some_and(|file| anchors(&file.text).contains(anchor));
                Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists() && (anchor.is_empty() || named())
            });
            if !there {
                offences.push(format!("{}:{number}: {target}", document.path));
            }
        }
    }
    offences
}

fn documents() -> Vec<File> {
    files(|path| path.ends_with(".md"))
}

#[test]
fn every_relative_link_and_anchor_leads_somewhere() {
    let all = documents();
    assert!(all.iter().flat_map(|file| prose(&file.text)).flat_map(|(_, line)| targets(line)).count() > 50);
    assert_none("links that lead nowhere", all.iter().flat_map(|file| dead(file, &all)).collect());
}

#[test]
fn a_link_that_leads_nowhere_is_named() {
    let text = "# A `b`, c\n## Twice\n## Twice\n[1](#a-b-c) [2](b.md#twice-1) [3](../README.md) `[x](none)`\n\
                ```\n[y](none)\n```\n[4](#none) [5](none.md) [6](b.md#none) [7](../../out.md)\n";
    let file = |path: &str| File { path: path.to_owned(), text: text.to_owned() };
    let all = [file("docs/json.md"), file("docs/errors.md")];
    let text = text.replace("b.md", "errors.md");
    let found = dead(&File { path: "docs/json.md".to_owned(), text }, &all);
    assert_eq!(found, ["#none", "none.md", "errors.md#none", "../../out.md"].map(|to| format!("docs/json.md:8: {to}")));
}

#[test]
fn the_index_names_every_page() {
    let all = documents();
    let index = all.iter().find(|file| file.path == "docs/README.md").expect("there is an index");
    let named: BTreeSet<String> = prose(&index.text)
        .flat_map(|(_, line)| targets(line))
        .filter_map(|target| resolved(&index.path, target.split('#').next()?))
        .collect();
    let pages = all.iter().filter(|file| file.path.starts_with("docs/") && !file.path.starts_with("docs/adr/"));
    let left_out = pages.filter(|file| file.path != index.path && !named.contains(&file.path));
    assert_none("pages that docs/README.md does not name", left_out.map(|file| file.path.clone()).collect());
}
