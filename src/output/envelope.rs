//! The envelope: a report or an error becomes bytes for stdout, words for stderr, and an exit status.
//!
//! One JSON document, compact when piped, indented on a terminal, ASCII only for `call`.

use crate::command::report::Report;
use crate::error::{Code, Error, Refusal};
use crate::http::Warning;
use crate::output::terminal::visible;
use crate::pure::text::{Document, shell};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::value::RawValue;
use std::io::{self, Write};

/// The version of the envelope; it rises when a field is renamed, removed or means something else.
pub const SCHEMA: u32 = 1;

/// What a run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// For stdout, newline included.
    pub stdout: String,
    /// For stderr, newline included; what was logged on the way is not in it.
    pub stderr: String,
    /// The exit status.
    pub exit: u8,
}

/// How the envelope is to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style<'a> {
    /// Indent for a person.
    pub indent: bool,
    /// Escape everything beyond ASCII.
    pub ascii: bool,
    /// Say nothing on stderr but errors.
    pub quiet: bool,
    /// Leave the closing words on stderr away, the envelope has them.
    pub silent: bool,
    /// Print one value of the result instead of the envelope.
    pub print: Option<&'a str>,
}

/// What a run ends with.
pub fn ending(
    command: Option<&str>,
    outcome: Result<Report, Error>,
    warnings: &[Warning],
    exchanges: &[String],
    style: Style,
) -> Ending {
    let success = outcome.and_then(|report| {
        let stdout = match style.print {
            Some(path) => format!("{}\n", printed(&report.result, path)?),
            None => {
                let result = Some(raw(&report.result)?);
                framed(&Envelope { schema: SCHEMA, ok: true, command, result, error: None, warnings }, style)?
            }
        };
        Ok((stdout, report.sentence))
    });
    match success {
        Ok((stdout, sentence)) => {
            let mut stderr = String::new();
            if !style.quiet && !style.silent {
                for warning in warnings {
                    stderr.push_str(&format!("warning[{}]: {}\n", warning.code, warning.message));
                }
                stderr.push_str(&format!("{sentence}\n"));
            }
            Ending { stdout, stderr: visible(&stderr), exit: 0 }
        }
        Err(error) => failure(command, &error, warnings, exchanges, style),
    }
}

#[derive(Serialize)]
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

#[derive(Serialize)]
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

fn failure(command: Option<&str>, error: &Error, warnings: &[Warning], exchanges: &[String], style: Style) -> Ending {
    let progress = error.progress();
    let changed = !progress.done.is_empty();
    let mut text = error.to_string();
    // Only a command that can write says what it wrote.
    if changed || matches!(command, Some("promote" | "rollback")) {
        text.push('\n');
        text.push_str(&last_line(error));
    }
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
    let stdout = if style.print.is_some() { String::new() } else { framed(&envelope, style).unwrap_or_default() };
    let stderr = if style.silent { String::new() } else { visible(&format!("{text}\n")) };
    Ending { stdout, stderr, exit: error.code().exit() }
}

fn last_line(error: &Error) -> String {
    let progress = error.progress();
    if progress.done.is_empty() {
        return "nothing was written".to_owned();
    }
    let undo: Vec<String> = progress.rollback.iter().map(shell::line).collect();
    let undo = if undo.is_empty() { "nothing to put back".to_owned() } else { undo.join(" && ") };
    format!("written: {}; undo: {undo}", progress.done.join(", "))
}

/// The envelope as it is printed.
fn framed(envelope: &Envelope, style: Style) -> Result<String, Error> {
    let mut text = written(envelope, CompactFormatter)?;
    if style.indent {
        text = written(&Document(raw(&text)?), PrettyFormatter::new())?;
    }
    if style.ascii {
        text = written(raw(&text)?, Ascii)?;
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

/// Escapes everything beyond ASCII as `\uXXXX`; outside of strings JSON has none of it.
struct Ascii;

impl Formatter for Ascii {
    fn write_raw_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0u16; 2];
        for c in fragment.chars() {
            if c.is_ascii() && c != '\u{7f}' {
                writer.write_all(c.encode_utf8(&mut [0]).as_bytes())?;
            } else {
                c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

/// One value of the result by its dotted path: strings as they are, the rest as compact JSON.
fn printed(result: &str, path: &str) -> Result<String, Error> {
    let result: Value = serde_json::from_str(result).map_err(unwritten)?;
    match find(&result, path) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Null) => Err(Error::new(Code::ValueNull, format!("`{path}` of the result is null"))),
        Some(value) => Ok(value.to_string()),
        None => {
            let known: Vec<&str> =
                result.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default();
            Err(Error::new(Code::ValueNull, format!("the result has no `{path}`")).hint(format!(
                "ask for one of {}",
                known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

/// Follows a path; a key that holds dots itself, as label names do, wins over going deeper.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = step(value, path) {
        return Some(found);
    }
    path.char_indices().filter(|(_, c)| *c == '.').find_map(|(i, _)| find(step(value, &path[..i])?, &path[i + 1..]))
}

fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_goes_deeper_and_keys_with_dots_are_found() {
        let result =
            json!({"labels": {"org.opencontainers.image.revision": "abc", "n": null}, "list": [{"a": 1}], "b": true});
        for (path, expected) in [
            ("labels.org.opencontainers.image.revision", Ok("abc")),
            ("list.0.a", Ok("1")),
            ("list.0", Ok(r#"{"a":1}"#)),
            ("b", Ok("true")),
            ("labels.n", Err(Code::ValueNull)),
            ("nothing", Err(Code::ValueNull)),
            ("list.7", Err(Code::ValueNull)),
        ] {
            assert_eq!(printed(&result.to_string(), path).map_err(|e| e.code()), expected.map(str::to_owned), "{path}");
        }
    }

    #[test]
    fn text_beyond_ascii_is_escaped_as_utf_16() {
        assert_eq!(written(raw("\"é\u{1F600}\u{7f}\"").unwrap(), Ascii).unwrap(), "\"\\u00e9\\ud83d\\ude00\\u007f\"");
    }

    #[test]
    fn laying_out_keeps_keys_in_order_and_strings_whole() {
        let text = r#"{"b":1,"a":[],"c":{"s":"x:{,\"}\\"},"d":[1,2]}"#;
        let laid = written(&Document(raw(text).unwrap()), PrettyFormatter::new()).unwrap();
        assert_eq!(
            laid,
            "{\n  \"b\": 1,\n  \"a\": [],\n  \"c\": {\n    \"s\": \"x:{,\\\"}\\\\\"\n  },\n  \"d\": [\n    1,\n    2\n  ]\n}"
        );
        let (before, after): (Value, Value) =
            (serde_json::from_str(text).unwrap(), serde_json::from_str(&laid).unwrap());
        assert_eq!(before, after);
    }
}
