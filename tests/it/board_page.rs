//! The page of a board, whole: what stands in it for every kind of row, and where its dots are.
//!
//! The files are left in `target/tmp/board`, for `make board-check` to look at in a browser.

use std::path::Path;
use tagwright::pure::board::row::{BoardRepository, BoardTag, BuildOrigin, TagChange, TagMove};
use tagwright::pure::board::{page, timeline};
use tagwright::pure::image::{Digest, Tag};

const MADE: &str = "2026-08-28T12:00:00Z";
const ODD: &str = "<img src=x onerror=alert(1)>\"'&amp; \u{202e}\u{1b}[2J";

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn build(job: &str, number: u32) -> BuildOrigin {
    let url = format!("https://ci.example/job/{}/{number}/", job.replace(' ', "%20"));
    BuildOrigin { url: Some(url), job: some(job), build: Some(number.to_string()) }
}

fn moved(name: &str, at: &str, version: &str, before: &str) -> TagMove {
    TagMove {
        verified: None,
        tag: tag(name),
        at: at.to_owned(),
        digest: digest(version),
        version: some(version),
        by: some("mo"),
        from: None,
        before: some(before).map(|_| digest(before)),
        before_version: some(before),
    }
}

fn row(name: &str, version: &str, behind: Option<usize>, since: &str, by: &str) -> BoardTag {
    BoardTag {
        verified: None,
        tag: tag(name),
        version: some(version),
        digest: Some(digest(version)),
        since: some(since),
        by: some(by),
        via: Some("record"),
        from: some(since).map(|_| build("release/serviceone", 118)),
        behind,
        change: None,
    }
}

fn change(before: &str, compare: Option<&str>) -> TagChange {
    let revision = |text: &str| digest(text).hex()[..40].to_owned();
    TagChange {
        before: digest(before),
        before_version: some(before),
        before_revision: Some(revision("old")),
        revision: Some(revision("new")),
        compare: compare.map(|host| format!("{host}/compare/{}...{}", revision("old"), revision("new"))),
    }
}

fn repository(name: &str, newest: &str, tags: Vec<BoardTag>, moves: Vec<TagMove>) -> BoardRepository {
    BoardRepository { repository: name.to_owned(), newest: some(newest), tags, error: None, moves }
}

/// A board with a row of every kind.
fn board() -> Vec<BoardRepository> {
    let link = Some("https://github.com/acme/serviceone");
    let mut tags = vec![
        BoardTag {
            change: Some(change("2026.35.114", link)),
            ..row("latest", "2026.35.118", Some(0), "2026-08-27T15:02:11Z", "jenkins-release")
        },
        BoardTag {
            change: Some(change("2026.34.109", link)),
            ..row("stable", "2026.35.114", Some(1), "2026-08-25T09:30:00Z", "maria.garcia@acme.example")
        },
        row("2026.34", "2026.34.109", Some(0), "2026-08-21T10:00:00Z", "mo"),
    ];
    tags[2].from = None;
    let moves = vec![
        moved("latest", "2026-08-27T15:02:11Z", "2026.35.118", "2026.35.114"),
        moved("latest", "2026-08-25T08:12:00Z", "2026.35.114", "2026.34.109"),
        moved("stable", "2026-08-25T09:30:00Z", "2026.35.114", "2026.34.109"),
        moved("latest", "2026-08-20T16:45:00Z", "2026.34.109", "2026.34.101"),
        moved("2026.34", "2026-08-21T10:00:00Z", "2026.34.109", ""),
        moved("stable", "2026-08-18T11:00:00Z", "2026.34.109", "2026.33.98"),
        moved("latest", "2026-08-17T10:00:00Z", "2026.34.101", ""),
        moved("gone", "2026-08-01T10:00:00Z", "2026.31.1", ""),
    ];
    let mut odd = vec![
        row("latest", "1.4.0", Some(17), "2025-11-02T08:00:00Z", ODD),
        row("a-branch-with-a-name-of-many-letters-that-nobody-would-type-a-second-time", "", None, "", ""),
        row("none", "", None, "", ""),
    ];
    odd[0].from = Some(BuildOrigin { url: None, job: some(ODD), build: some(ODD) });
    odd[0].change = Some(TagChange { before_version: None, ..change("x", None) });
    odd[2].digest = None;
    let name = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/platform/payments/gateway";
    let once = vec![moved("latest", "2025-11-02T08:00:00Z", "1.4.0", "1.3.9")];
    vec![
        repository("docker.io/acme/serviceone", "2026.35.118", tags, moves),
        repository(name, "1.9.2", odd, once),
        repository("docker.io/acme/tools", "3.2.1", Vec::new(), Vec::new()),
        BoardRepository {
            error: some("`registry.example` refused to list the tags of `registry.example/acme/secret` as `ci-reader`"),
            ..repository("registry.example/acme/secret", "", Vec::new(), Vec::new())
        },
    ]
}

#[test]
fn a_page_holds_a_row_of_every_kind_and_each_dot_is_at_its_time() {
    let board = board();
    let html = page::html(&board, MADE, "tagwright 0.1.0 (unknown)");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("board");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("index.html", &html);
    write("board.css", page::CSS);
    let mut first = String::new();
    for (number, one) in (1..).zip(&board) {
        for (kind, text) in ["", "-dark"].iter().zip(timeline::svgs(one, MADE)) {
            write(&format!("timeline-{number}{kind}.svg"), &text);
            first = if first.is_empty() { text } else { first };
        }
    }
    assert!(page::CSS.len() <= 2048, "{}", page::CSS.len());
    insta::assert_snapshot!(html + &first);
}
