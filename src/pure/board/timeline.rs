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
