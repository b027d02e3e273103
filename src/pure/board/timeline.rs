//! A timeline of a repository as SVG: a lane for each tag, a dot for each time that it moved.
//!
//! Places along the time are percentages, so that the picture is as wide as it is shown and its letters stay as large as
//! they are. Colours are attributes, and there is one picture for light and one for dark, for a style in it would be
//! inline.

use crate::pure::board::markup::{MARK, escaped, moment};
use crate::pure::board::{BoardRepository, TagMove};
use crate::pure::text::instant;

/// The height of a lane, and of what stands below all of them.
const LANE: usize = 56;
const AXIS: usize = 28;
/// How far apart two names of versions are, in thousandths of the width.
const APART: i64 = 300;

/// The colours of text, lines and dots.
struct Palette {
    text: &'static str,
    line: &'static str,
    dot: &'static str,
}

const LIGHT: Palette = Palette { text: "#59636e", line: "#c3cbd3", dot: "#0550ae" };
const DARK: Palette = Palette { text: "#9aa4b2", line: "#454c54", dot: "#79c0ff" };

/// What the picture shows, in words; `None` where no tag of the table has moved.
pub fn sentence(one: &BoardRepository) -> Option<String> {
    let lanes = lanes(one).into_iter().map(|(tag, moves)| {
        let times = if moves.len() == 1 { "once" } else { "times" };
        let count = if moves.len() == 1 { String::new() } else { format!("{} ", moves.len()) };
        format!("{tag} {count}{times}, last {}", moment(&moves[0].at))
    });
    let lanes: Vec<String> = lanes.collect();
    (!lanes.is_empty()).then(|| format!("When tags of {} moved: {}", one.repository, lanes.join("; ")))
}

/// The moves of each tag of the table that has moved, newest first.
fn lanes(one: &BoardRepository) -> Vec<(&str, Vec<&TagMove>)> {
    let lane = |tag: &str| one.moves.iter().filter(|moved| moved.tag.as_str() == tag).collect::<Vec<_>>();
    let lanes = one.tags.iter().map(|tag| (tag.tag.as_str(), lane(tag.tag.as_str())));
    lanes.filter(|(_, moves)| !moves.is_empty()).collect()
}

/// Both pictures, the one for light first; `made` is where time ends.
pub fn svgs(one: &BoardRepository, made: &str) -> [String; 2] {
    [LIGHT, DARK].map(|palette| svg(one, made, &palette))
}

fn seconds(at: &str) -> Option<i64> {
    instant::parse(at).map(|moment| moment.unix_timestamp())
}

fn percent(thousandths: i64) -> String {
    format!("{}.{}%", thousandths / 10, thousandths % 10)
}

fn svg(one: &BoardRepository, made: &str, palette: &Palette) -> String {
    let lanes = lanes(one);
    let times = || lanes.iter().flat_map(|(_, moves)| moves).map(|moved| moved.at.as_str());
    let first = times().min().unwrap_or(made);
    // Clocks differ, and whoever writes a record may write any time into it.
    let last = times().chain([made]).max().unwrap_or(made);
    let (begin, end) = (seconds(first).unwrap_or_default(), seconds(last).unwrap_or_default());
    let place = |at: &str| {
        let since = i128::from(seconds(at).unwrap_or_default() - begin);
        let part = since * 960 / i128::from((end - begin).max(1));
        20 + i64::try_from(part).unwrap_or_default().clamp(0, 960)
    };
    let height = lanes.len() * LANE + AXIS;
    let mut out =
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%\" height=\"{height}\">\n<!-- {MARK} -->\n");
    let text = |x: i64, y: usize, words: &str| {
        let anchor = match x {
            ..150 => "start",
            150..850 => "middle",
            _ => "end",
        };
        let (x, fill) = (percent(x), palette.text);
        let font = "font-family=\"system-ui,sans-serif\" font-size=\"12\"";
        format!("<text x=\"{x}\" y=\"{y}\" fill=\"{fill}\" text-anchor=\"{anchor}\" {font}>{}</text>\n", escaped(words))
    };
    let line = |from: i64, to: i64, y: usize, bottom: usize| {
        let (from, to, stroke) = (percent(from), percent(to), palette.line);
        format!("<line x1=\"{from}\" x2=\"{to}\" y1=\"{y}\" y2=\"{bottom}\" stroke=\"{stroke}\"/>\n")
    };
    for ((tag, moves), top) in lanes.iter().zip((0..).step_by(LANE)) {
        out += &text(0, top + 14, tag);
        out += &line(20, 980, top + 30, top + 30);
        let mut free = i64::MAX;
        for (number, moved) in moves.iter().enumerate() {
            let x = place(&moved.at);
            let fill = if number == 0 { palette.dot } else { palette.line };
            let (at, y) = (percent(x), top + 30);
            out += &format!("<circle cx=\"{at}\" cy=\"{y}\" r=\"5\" fill=\"{fill}\" stroke=\"{}\"/>\n", palette.dot);
            if x <= free {
                out += &text(x, top + 48, moved.version.as_deref().unwrap_or(moved.digest.short()));
                free = x - APART;
            }
        }
    }
    let bottom = height - AXIS + 4;
    out += &line(20, 980, bottom, bottom);
    for (x, at) in [(20, first), (980, last)] {
        out += &line(x, x, bottom, bottom + 5);
        out += &text(x, bottom + 18, &moment(at));
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::board::row::blank;
    use crate::pure::image::{Digest, Tag};

    fn moved(tag: &str, at: &str, version: Option<&str>) -> TagMove {
        TagMove {
            tag: Tag::parse(tag).unwrap(),
            at: at.to_owned(),
            digest: Digest::of(at.as_bytes()),
            version: version.map(str::to_owned),
            by: None,
            verified: None,
            from: None,
            before: None,
            before_version: None,
        }
    }

    fn board(moves: Vec<TagMove>) -> BoardRepository {
        let tag = |tag: &str| blank(Tag::parse(tag).unwrap());
        let tags = ["latest", "stable", "still"].map(tag).into();
        BoardRepository { repository: "r/a".to_owned(), newest: None, tags, error: None, moves }
    }

    /// Each thing of a picture: what it is, where it is, its colour, what is written.
    fn things(svg: &str) -> Vec<String> {
        let thing = |line: &str| {
            let value = |name: &str| {
                let (_, rest) = line.split_once(&format!(" {name}=\""))?;
                rest.split_once('"').map(|(value, _)| value)
            };
            let names = ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "fill", "stroke", "text-anchor"];
            let told = names.into_iter().filter_map(value).collect::<Vec<_>>().join(" ");
            let words =
                line.strip_suffix("</text>").and_then(|line| line.rsplit_once('>')).map_or("", |(_, words)| words);
            format!("{told} {words}").trim_end().to_owned()
        };
        svg.lines()
            .filter(|line| line.starts_with(['<']) && line.contains("fill") || line.starts_with("<line"))
            .map(thing)
            .collect()
    }

    #[test]
    fn every_dot_is_at_its_time_and_names_that_would_cover_each_other_are_left_out() {
        let board = board(vec![
            moved("latest", "2026-08-05T00:00:00Z", Some("1.4")),
            moved("stable", "2026-08-04T12:00:00Z", None),
            moved("latest", "2026-08-04T00:00:00Z", Some("1.3")),
            moved("latest", "2026-08-03T00:00:00Z", Some("1.2")),
            moved("gone", "2026-08-02T00:00:00Z", Some("1.1")),
            moved("latest", "2026-08-01T00:00:00Z", Some("1.0")),
        ]);
        let [light, dark] = svgs(&board, "2026-08-06T00:00:00Z");
        assert!(
            light.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%\" height=\"140\">\n"),
            "{light}"
        );
        assert!(light.ends_with("</svg>\n"), "{light}");
        let stable = Digest::of(b"2026-08-04T12:00:00Z");
        assert_eq!(
            things(&light),
            [
                "0.0% 14 #59636e start latest",
                "2.0% 98.0% 30 30 #c3cbd3",
                "78.8% 30 #0550ae #0550ae",
                "78.8% 48 #59636e middle 1.4",
                "59.6% 30 #c3cbd3 #0550ae",
                "40.4% 30 #c3cbd3 #0550ae",
                "40.4% 48 #59636e middle 1.2",
                "2.0% 30 #c3cbd3 #0550ae",
                "2.0% 48 #59636e start 1.0",
                "0.0% 70 #59636e start stable",
                "2.0% 98.0% 86 86 #c3cbd3",
                "69.2% 86 #0550ae #0550ae",
                &format!("69.2% 104 #59636e middle {}", stable.short()),
                "2.0% 98.0% 116 116 #c3cbd3",
                "2.0% 2.0% 116 121 #c3cbd3",
                "2.0% 134 #59636e start 2026-08-01 00:00",
                "98.0% 98.0% 116 121 #c3cbd3",
                "98.0% 134 #59636e end 2026-08-06 00:00",
            ]
        );
        assert_eq!(
            dark,
            light.replace("#59636e", "#9aa4b2").replace("#c3cbd3", "#454c54").replace("#0550ae", "#79c0ff")
        );
        assert_eq!(
            sentence(&board).unwrap(),
            "When tags of r/a moved: latest 4 times, last 2026-08-05 00:00; stable once, last 2026-08-04 12:00"
        );
    }

    #[test]
    fn a_picture_has_its_width_whatever_the_clocks_say() {
        for (times, expected) in [
            // The page is older than what it shows.
            (&["2026-08-09T00:00:00Z", "2026-08-04T00:00:00Z"][..], &["98.0%", "2.0%"][..]),
            (&["2026-08-06T00:00:00Z"], &["2.0%"]),
            (&["soon", "2026-08-04T00:00:00Z"], &["2.0%", "2.0%"]),
        ] {
            let [svg, _] =
                svgs(&board(times.iter().map(|at| moved("latest", at, None)).collect()), "2026-08-06T00:00:00Z");
            let dots: Vec<_> = svg.split("<circle cx=\"").skip(1).filter_map(|dot| dot.split('"').next()).collect();
            assert_eq!(dots, expected, "{svg}");
        }
        assert_eq!(sentence(&board(Vec::new())), None);
    }
}
