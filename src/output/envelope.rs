//! The envelope: a report or an error becomes bytes for stdout, words for stderr, and an exit status.
//!
//! One JSON document, compact when piped, indented on a terminal, ASCII only for `call`.

use crate::command::report::Report;
use crate::error::{Code, Error, Refusal};
use crate::http::exchange::Warning;
use crate::pure::text::shell;
use serde::Serialize;
use serde_json::Value;

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
    let outcome = match (outcome, style.print) {
        (Ok(report), Some(path)) => match printed(&report.result, path) {
            Ok(text) => return success(format!("{text}\n"), &report, warnings, style),
            Err(error) => Err(error),
        },
        (outcome, _) => outcome,
    };
    match outcome {
        Ok(report) => {
            let warned = serde_json::to_string(warnings).unwrap_or_else(|_| "[]".to_owned());
            let name = serde_json::to_string(&command).unwrap_or_else(|_| "null".to_owned());
            let text = format!(
                r#"{{"schema":{SCHEMA},"ok":true,"command":{name},"result":{},"warnings":{warned}}}"#,
                report.result
            );
            success(framed(&text, style), &report, warnings, style)
        }
        Err(error) => failure(command, &error, warnings, exchanges, style),
    }
}

fn success(stdout: String, report: &Report, warnings: &[Warning], style: Style) -> Ending {
    let mut stderr = String::new();
    if !style.quiet && !style.silent {
        for warning in warnings {
            stderr.push_str(&format!("warning[{}]: {}\n", warning.code, warning.message));
        }
        stderr.push_str(&format!("{}\n", report.sentence));
    }
    Ending { stdout, stderr: visible(&stderr), exit: 0 }
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
    let stdout = if style.print.is_some() {
        String::new()
    } else {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Shown<'a> {
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
        #[derive(Serialize)]
        struct Envelope<'a> {
            schema: u32,
            ok: bool,
            command: Option<&'a str>,
            error: Shown<'a>,
            warnings: &'a [Warning],
        }
        let envelope = Envelope {
            schema: SCHEMA,
            ok: false,
            command,
            error: Shown {
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
            },
            warnings,
        };
        framed(&serde_json::to_string(&envelope).unwrap_or_default(), style)
    };
    let stderr = if style.silent { String::new() } else { visible(&format!("{text}\n")) };
    Ending { stdout, stderr, exit: error.code().exit() }
}

/// The text with every control character spelt out but line breaks: words of others must not steer a terminal.
fn visible(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n';
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
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

fn framed(text: &str, style: Style) -> String {
    let text = if style.indent { indented(text) } else { text.to_owned() };
    let text = if style.ascii { ascii(&text) } else { text };
    format!("{text}\n")
}

/// Lays a compact JSON text out over lines, its keys in their order.
fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut inside, mut escaped) = (0usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if inside {
            out.push(c);
            (inside, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            '"' => {
                inside = true;
                out.push(c);
            }
            '{' | '[' if chars.peek().is_some_and(|next| matches!(next, '}' | ']')) => {
                out.push(c);
                out.extend(chars.next());
            }
            '{' | '[' => {
                depth += 1;
                out.push(c);
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => out.push(c),
        }
    }
    out
}

/// Escapes everything beyond ASCII as `\uXXXX`; outside of strings JSON has none of it.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0u16; 2];
    for c in text.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// One value of the result by its dotted path: strings as they are, the rest as compact JSON.
fn printed(result: &str, path: &str) -> Result<String, Error> {
    let result: Value = serde_json::from_str(result)
        .map_err(|error| Error::new(Code::Internal, "a result could not be read back").cause(error.to_string()))?;
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
        assert_eq!(ascii("é\u{1F600}"), "\\u00e9\\ud83d\\ude00");
    }

    #[test]
    fn laying_out_keeps_keys_in_order_and_strings_whole() {
        let text = r#"{"b":1,"a":[],"c":{"s":"x:{,\"}\\"},"d":[1,2]}"#;
        let laid = indented(text);
        assert_eq!(
            laid,
            "{\n  \"b\": 1,\n  \"a\": [],\n  \"c\": {\n    \"s\": \"x:{,\\\"}\\\\\"\n  },\n  \"d\": [\n    1,\n    2\n  ]\n}"
        );
        let (before, after): (Value, Value) =
            (serde_json::from_str(text).unwrap(), serde_json::from_str(&laid).unwrap());
        assert_eq!(before, after);
    }
}
