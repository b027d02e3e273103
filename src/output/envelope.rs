//! The envelope: a report or an error becomes bytes for stdout, words for stderr, and an exit status.
//!
//! One JSON document, compact when piped, ASCII only for `call`; on a terminal text in its place.

use crate::command::report::Report;
use crate::error::{Code, Error, LIST, Progress, Refusal};
use crate::http::{Journal, Warning};
use crate::output::table::folded;
use crate::output::terminal::Screen;
use crate::output::text;
use crate::pure::text::show::visible;
use crate::pure::text::{Document, shell, show};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::value::RawValue;
use std::io::{self, Write};

/// The version of the envelope; it rises when a field is renamed, removed or means something else.
pub const SCHEMA: u32 = 1;

/// The most characters of one text of a failure or a warning; of a server's own words it quotes 500.
const LONGEST: usize = 4096;
/// The most bytes of an answer of `call`.
const ANSWER: usize = 4 << 20;

/// What a run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// For stdout, newline included.
    pub stdout: Vec<u8>,
    /// For stderr, newline included; what was logged on the way is not in it.
    pub stderr: String,
    /// The exit status.
    pub exit: u8,
}

/// What stdout is to hold.
#[derive(Clone, Copy, Debug, Default)]
pub enum Layout {
    /// The envelope in one line.
    #[default]
    Compact,
    /// The envelope, indented.
    Indented,
    /// The envelope in one line and in ASCII, and on stderr all but the failure, which whoever called tells: for `call`.
    Ascii,
    /// Text for people, and nothing on stdout on failure.
    Text(Screen),
}

/// How a run tells what it ends with.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// What stdout holds where no value is asked for.
    pub layout: Layout,
    /// Say nothing on stderr but errors, and on a terminal values alone.
    pub quiet: bool,
    /// Print these values of the result in place of everything else.
    pub print: Vec<String>,
    /// Print bytes, and no document on failure either.
    pub bytes: bool,
}

/// What a run ends with.
pub fn ending(command: Option<&str>, outcome: Result<Report, Error>, journal: &Journal, style: &Style) -> Ending {
    // The words of a failure are partly a server's, and a server may repeat what it was sent.
    let outcome = outcome.map_err(|error| error.rewritten(&|text| journal.without_secrets(text)));
    let warnings = &bounded(&journal.warnings());
    let success = outcome.and_then(|report| {
        if let Some(bytes) = report.bytes {
            return Ok((bare(bytes, style.layout)?, report.sentence, report.exit));
        }
        let stdout = match (style.layout, command) {
            (layout, _) if !style.print.is_empty() => {
                let values = printed(&report.result, style.print.iter().map(String::as_str))?;
                if matches!(layout, Layout::Text(_)) { visible(&values) } else { values }
            }
            (Layout::Text(_), Some(command)) if style.quiet => {
                visible(&printed(&report.result, text::values(command).iter().copied())?)
            }
            (Layout::Text(screen), Some(command)) => {
                text::of(command, &parsed(&report.result)?, &report.sentence, screen)
            }
            _ => {
                let result = Some(raw(&report.result)?);
                fitting(Envelope { schema: SCHEMA, ok: true, command, result, error: None, warnings }, style.layout)?
            }
        };
        Ok((stdout.into_bytes(), report.sentence, report.exit))
    });
    match success {
        Ok((stdout, sentence, exit)) => {
            let sentence = match style.layout {
                // The text has said it.
                Layout::Text(_) if style.print.is_empty() && !style.bytes => String::new(),
                _ => format!("{sentence}\n"),
            };
            let told = if style.quiet { String::new() } else { told(warnings) + &sentence };
            Ending { stdout, stderr: laid_out(&told, style.layout), exit }
        }
        Err(error) => {
            let error = error.shortened().rewritten(&|text| visible(&show::cut(text, LONGEST)));
            failure(command, &error, warnings, &journal.exchanges(), style)
        }
    }
}

/// Warnings as lines for people.
fn told(warnings: &[Warning]) -> String {
    warnings.iter().map(|one| format!("warning[{}]: {}\n", one.code, one.message)).collect()
}

/// Bytes as they are; a terminal gets none that it might obey.
fn bare(bytes: Vec<u8>, layout: Layout) -> Result<Vec<u8>, Error> {
    let is_plain = |text: &str| text.chars().all(|c| show::shows(c) || c == '\t');
    let on_terminal = matches!(layout, Layout::Text(_) | Layout::Indented);
    if on_terminal && !std::str::from_utf8(&bytes).is_ok_and(is_plain) {
        let message = "what is to be printed holds characters that a terminal obeys or does not show";
        return Err(Error::new(Code::RequestInvalid, message).hint("write it into a file with `> FILE`"));
    }
    Ok(bytes)
}

/// What is for stderr, in lines that fit where people read them.
fn laid_out(text: &str, layout: Layout) -> String {
    let text = visible(text);
    let Layout::Text(screen) = layout else { return text };
    // What follows a first line belongs to it.
    let fold = |line: &str| folded(line, screen.columns.saturating_sub(4)).join("\n    ");
    text.lines().map(|line| fold(line) + "\n").collect()
}

#[derive(Clone, Copy, Serialize)]
struct Envelope<'a> {
    schema: u32,
    ok: bool,
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject<'a>>,
    warnings: &'a [Warning],
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorObject<'a> {
    code: &'a str,
    exit: u8,
    message: &'a str,
    hint: Option<&'a str>,
    causes: &'a [String],
    http: Option<&'a Refusal>,
    details: &'a serde_json::Map<String, Value>,
    changed: bool,
    done: &'a [String],
    rollback: &'a [Vec<String>],
    record: Option<&'a Value>,
    exchanges: &'a [String],
    text: &'a str,
}

fn failure(command: Option<&str>, error: &Error, warnings: &[Warning], exchanges: &[String], style: &Style) -> Ending {
    let progress = error.progress();
    let changed = !progress.done.is_empty();
    let mut text = error.to_string();
    // Only a command that can write says what it wrote.
    if changed || writes(command) {
        text.push('\n');
        text.push_str(&last_line(error.progress()));
    }
    let text = show::unmarked(&text);
    let document = ErrorObject {
        code: error.code().as_str(),
        exit: error.code().exit(),
        message: error.message(),
        hint: error.hint_text(),
        causes: error.causes(),
        http: error.refusal(),
        details: error.details(),
        changed,
        done: &progress.done,
        rollback: &progress.rollback,
        record: error.record_value(),
        exchanges,
        text: &text,
    };
    let envelope = Envelope { schema: SCHEMA, ok: false, command, result: None, error: Some(document), warnings };
    let stdout = match style.layout {
        Layout::Text(_) => String::new(),
        _ if style.bytes || !style.print.is_empty() => String::new(),
        layout => fitting(envelope, layout).unwrap_or_default(),
    };
    let mark = format!("error[{}]", error.code().as_str());
    let stderr = match style.layout {
        Layout::Ascii if style.quiet => String::new(),
        Layout::Ascii => laid_out(&told(warnings), style.layout),
        Layout::Text(screen) => laid_out(&text, style.layout).replacen(&mark, &screen.refused(&mark), 1),
        layout => laid_out(&format!("{text}\n"), layout),
    };
    Ending { stdout: stdout.into_bytes(), stderr, exit: error.code().exit() }
}

/// What was written, and how to undo it.
pub fn last_line(progress: &Progress) -> String {
    if progress.done.is_empty() {
        return "nothing was written".to_owned();
    }
    let undo: Vec<String> = progress.rollback.iter().map(shell::line).collect();
    let undo = if undo.is_empty() { "nothing to put back".to_owned() } else { undo.join(" && ") };
    format!("written: {}; undo: {undo}", progress.done.join(", "))
}

/// Whether a command is one that writes.
pub fn writes(command: Option<&str>) -> bool {
    matches!(command, Some("promote" | "release" | "rollback"))
}

/// The warnings that are told: each cut where it is longer than anybody reads, and not all of very many.
fn bounded(warnings: &[Warning]) -> Vec<Warning> {
    let cut = |warning: &Warning| Warning { message: show::cut(&warning.message, LONGEST), ..*warning };
    let mut told: Vec<Warning> = warnings.iter().take(LIST).map(cut).collect();
    if let Some(more @ 1..) = warnings.len().checked_sub(LIST) {
        told.push(Warning { code: "more-warnings", message: format!("there are {more} more warnings") });
    }
    told
}

/// The envelope as it is printed. One that a program reads is no larger than that can be: what was written is told all
/// the same, with shorter lists, and what was only read is refused.
fn fitting(envelope: Envelope, layout: Layout) -> Result<String, Error> {
    let mut text = framed(&envelope, layout, usize::MAX)?;
    if !matches!(layout, Layout::Ascii) || text.len() <= ANSWER {
        return Ok(text);
    }
    let (is, most) = (show::bytes(text.len() as u64), show::bytes(ANSWER as u64));
    if envelope.ok && !writes(envelope.command) {
        let message = format!("the answer has {is}, and one of `call` has {most} at most");
        return Err(Error::new(Code::SizeExceeded, message)
            .hint("ask for less: for one label, for tags that match, for a number of entries"));
    }
    let message = format!("the answer has {is}, more than {most}, so its lists and texts are cut short");
    let warnings = [&[Warning { code: "answer-shortened", message }], envelope.warnings].concat();
    for most in [1000, 100, 10, 1] {
        text = framed(&Envelope { warnings: &warnings, ..envelope }, layout, most)?;
        if text.len() <= ANSWER {
            break;
        }
    }
    Ok(text)
}

/// The envelope with lists of so many entries.
fn framed(envelope: &Envelope, layout: Layout, most: usize) -> Result<String, Error> {
    let mut text = written(envelope, CompactFormatter)?;
    if most < usize::MAX {
        text = written(&Document { raw: raw(&text)?, most }, CompactFormatter)?;
    }
    match layout {
        Layout::Indented => text = written(&Document { raw: raw(&text)?, most }, PrettyFormatter::new())?,
        Layout::Ascii => text = written(raw(&text)?, Escape { ascii: true })?,
        Layout::Compact | Layout::Text(_) => {}
    }
    if !text.chars().all(show::shows) {
        text = written(raw(&text)?, Escape { ascii: false })?;
    }
    Ok(text + "\n")
}

fn written(value: &(impl Serialize + ?Sized), formatter: impl Formatter) -> Result<String, Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter)).map_err(unwritten)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn raw(text: &str) -> Result<&RawValue, Error> {
    serde_json::from_str(text).map_err(unwritten)
}

fn unwritten(why: serde_json::Error) -> Error {
    Error::new(Code::Internal, "a result could not be written").cause(why.to_string())
}

/// Escapes as `\uXXXX` what nobody sees as it is, or everything beyond ASCII; outside of strings JSON has none of it.
struct Escape {
    ascii: bool,
}

impl Formatter for Escape {
    fn write_raw_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0u16; 2];
        for c in fragment.chars() {
            if show::shows(c) && (c.is_ascii() || !self.ascii) {
                writer.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

fn parsed(result: &str) -> Result<Value, Error> {
    serde_json::from_str(result).map_err(unwritten)
}

/// Values of the result by their dotted paths, one a line: strings as they are, the rest as compact JSON.
///
/// A path with `*` prints what each part of a list has there, and passes over those that have nothing.
fn printed<'p>(result: &str, paths: impl Iterator<Item = &'p str>) -> Result<String, Error> {
    let result = parsed(result)?;
    let mut out = String::new();
    for path in paths {
        let is_one = !path.split('.').any(|part| part == "*");
        let known = || {
            let keys = result.as_object().into_iter().flatten().map(|(key, _)| format!("`{key}`"));
            format!("ask for one of {}", keys.collect::<Vec<_>>().join(", "))
        };
        let Some(found) = find(&result, path) else {
            return Err(Error::new(Code::ValueNull, format!("the result has no `{path}`")).hint(known()));
        };
        for value in found {
            match value {
                Value::Null if is_one => {
                    return Err(Error::new(Code::ValueNull, format!("`{path}` of the result is null")));
                }
                Value::Null => {}
                Value::String(text) => out += &format!("{text}\n"),
                value => out += &format!("{value}\n"),
            }
        }
    }
    Ok(out)
}

/// Follows a path; a key that holds dots itself, as label names do, wins over going deeper. `None` where there is no
/// such place.
fn find<'a>(value: &'a Value, path: &str) -> Option<Vec<&'a Value>> {
    if let Some(found) = step(value, path) {
        return Some(found);
    }
    path.char_indices().filter(|(_, c)| *c == '.').find_map(|(i, _)| {
        let parts = step(value, &path[..i])?;
        let found: Vec<_> = parts.iter().filter_map(|part| find(part, &path[i + 1..])).collect();
        (parts.is_empty() || !found.is_empty()).then(|| found.concat())
    })
}

fn step<'a>(value: &'a Value, key: &str) -> Option<Vec<&'a Value>> {
    match value {
        Value::Object(map) if key == "*" => Some(map.values().collect()),
        Value::Object(map) => map.get(key).map(|found| vec![found]),
        Value::Array(list) if key == "*" => Some(list.iter().collect()),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?).map(|found| vec![found]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;

    #[test]
    fn a_path_goes_deeper_and_keys_with_dots_are_found() {
        let result = json!({"labels": {"org.opencontainers.image.revision": "abc", "n": null}, "list": [{"a": 1}, {"a": 2, "c": "x"}], "none": [], "b": true});
        for (path, expected) in [
            ("labels.org.opencontainers.image.revision", Ok("abc")),
            ("list.0.a", Ok("1")),
            ("list.0", Ok(r#"{"a":1}"#)),
            ("b", Ok("true")),
            ("labels.n", Err(Code::ValueNull)),
            ("nothing", Err(Code::ValueNull)),
            ("list.7", Err(Code::ValueNull)),
            ("list.*.a", Ok("1\n2")),
            ("list.*.c", Ok("x")),
            ("list.*.nothing", Err(Code::ValueNull)),
            ("none.*.a", Ok("")),
            ("labels.*", Ok("abc")),
        ] {
            let printed = printed(&result.to_string(), [path].into_iter()).map_err(|e| e.code());
            assert_eq!(
                printed,
                expected.map(|text| if text.is_empty() { String::new() } else { text.to_owned() + "\n" }),
                "{path}"
            );
        }
    }

    #[test]
    fn what_was_written_is_told_in_four_mebibytes_at_most() {
        let result = json!({"tags": vec!["x".repeat(1000); 2000], "summary": "y".repeat(3 << 20)}).to_string();
        let style = &Style { layout: Layout::Ascii, ..Style::default() };
        let told = |command, style| {
            let report = Report { result: result.clone(), sentence: String::new(), bytes: None, exit: 0 };
            let ending = ending(Some(command), Ok(report), &Journal::default(), style);
            (ending.exit, ending.stdout.len(), serde_json::from_slice::<Value>(&ending.stdout).unwrap())
        };
        let (exit, size, document) = told("promote", style);
        assert!(exit == 0 && size <= ANSWER && document["result"]["tags"].as_array().unwrap().len() == 1000);
        assert_eq!(document["warnings"][0]["code"], "answer-shortened");
        let (exit, _, document) = told("tags", style);
        assert_eq!((exit, &document["error"]["code"]), (7, &json!("size-exceeded")));
        assert!(told("tags", &Style::default()).1 > ANSWER, "only what a program parses is bounded");
        let progress = Progress { done: vec!["z".repeat(1000); 2500], rollback: Vec::new() };
        let failed = Err(Error::new(Code::Raced, "x".repeat(3 << 20)).after(progress));
        let ending = ending(Some("promote"), failed, &Journal::default(), style);
        let document: Value = serde_json::from_slice(&ending.stdout).unwrap();
        assert!(ending.stdout.len() <= ANSWER && ending.exit == 5, "{}", ending.stdout.len());
        assert_eq!(
            (&document["error"]["changed"], &document["warnings"][0]["code"]),
            (&json!(true), &json!("answer-shortened"))
        );
    }

    #[test]
    fn text_beyond_ascii_is_escaped_as_utf_16() {
        for (ascii, expected) in
            [(true, "\"\\u00e9\\ud83d\\ude00\\u007f\\u202e\""), (false, "\"é\u{1F600}\\u007f\\u202e\"")]
        {
            assert_eq!(written(raw("\"é\u{1F600}\u{7f}\u{202e}\"").unwrap(), Escape { ascii }).unwrap(), expected);
        }
    }

    #[test]
    fn laying_out_keeps_keys_in_order_and_strings_whole() {
        let text = r#"{"b":1,"a":[],"c":{"s":"x:{,\"}\\"},"d":[1,2]}"#;
        let laid = written(&Document { raw: raw(text).unwrap(), most: usize::MAX }, PrettyFormatter::new()).unwrap();
        assert_eq!(
            laid,
            "{\n  \"b\": 1,\n  \"a\": [],\n  \"c\": {\n    \"s\": \"x:{,\\\"}\\\\\"\n  },\n  \"d\": [\n    1,\n    2\n  ]\n}"
        );
        let (before, after): (Value, Value) =
            (serde_json::from_str(text).unwrap(), serde_json::from_str(&laid).unwrap());
        assert_eq!(before, after);
    }
}
