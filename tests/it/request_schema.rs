//! The JSON schemas of requests, from the table.
//!
//! A schema tells what `call` takes; which values make sense together is checked by the command, with a better
//! message than a schema has.
//!
//! Grammar: JSON Schema, draft 2020-12.

use serde_json::{Map, Value, json};
use tagwright::cli::defs::{Command, Flag, Json, RELEASE, command};
use tagwright::cli::help::sentence;
use tagwright::cli::json::{MOST, WHOLE};

/// The schema of the requests for one command, indented, with a closing line break.
pub fn request(command: &Command) -> String {
    let args = args(command, &|_| true);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("A request for `{}`", command.name),
        "description": sentence(command.help),
        "type": "object",
        "properties": { "command": { "const": command.name }, "args": args },
        "required": ["command", "args"],
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

/// The arguments of a command, with these of its flags.
fn args(command: &Command, takes: &dyn Fn(&Flag) -> bool) -> Value {
    let mut properties = Map::new();
    for object in command.objects() {
        for key in object.keys {
            let many = || json!({ "anyOf": [text(), { "type": "array", "items": text(), "minItems": 1 }] });
            let value = match command.name {
                RELEASE => list(),
                _ if object.repeats => many(),
                _ => text(),
            };
            properties.insert((*key).to_owned(), described(value, object.more));
        }
    }
    for flag in command.flags().filter(|flag| flag.json != Json::Never && takes(flag)) {
        properties.insert(flag.key(), described(kind(flag), flag.more));
    }
    let flags = command.needs.iter().filter_map(|long| command.flag(long)).map(Flag::key);
    let then = command.object.then.iter().flat_map(|then| then.keys).map(|key| (*key).to_owned());
    let needs = flags.chain(then).collect::<Vec<_>>();
    let mut args = json!({
        "type": "object",
        "properties": properties,
        "required": needs,
        "additionalProperties": false,
    });
    if !command.object.optional {
        let choice: Vec<Value> = command.object.keys.iter().map(|key| json!({ "required": [key] })).collect();
        args["oneOf"] = Value::Array(choice);
    }
    args
}

/// The promotions of a release.
fn list() -> Value {
    let promote = command("promote").unwrap();
    let each = args(promote, &|flag| !flag.is_common() && !WHOLE.contains(&flag.long));
    json!({ "type": "array", "items": each, "minItems": 1, "maxItems": MOST })
}

fn described(mut schema: Value, more: &str) -> Value {
    schema["description"] = Value::from(more);
    schema
}

/// A text that is not blank, or a number, which stands for its digits.
fn text() -> Value {
    json!({ "type": ["string", "number"], "pattern": "\\S" })
}

fn kind(flag: &Flag) -> Value {
    let one = || match flag.choices {
        [] if flag.blank => json!({ "type": ["string", "number"] }),
        [] => text(),
        choices => json!({ "enum": choices }),
    };
    let many = || json!({ "type": "array", "items": one(), "minItems": 1 });
    match flag.json {
        Json::Never | Json::Text => one(),
        Json::Integer => json!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+$" }),
        Json::IntegerOrWord => {
            let pattern = format!("^([0-9]+|{})$", flag.choices.join("|"));
            json!({ "type": ["integer", "string"], "minimum": 0, "pattern": pattern })
        }
        Json::Number => json!({ "type": ["number", "string"], "exclusiveMinimum": 0, "pattern": "^[0-9.]+$" }),
        Json::Switch => json!({ "type": "boolean" }),
        Json::Texts => json!({ "anyOf": [one(), many()] }),
        Json::Document => json!({ "anyOf": [{ "type": "object" }, one()] }),
        Json::Targets => {
            let map = json!({
                "type": "object", "properties": { "repository": text() }, "required": ["repository"],
                "additionalProperties": false,
            });
            let items = json!({ "anyOf": [one(), map] });
            json!({ "anyOf": [one(), { "type": "array", "items": items, "minItems": 1 }] })
        }
        Json::Pairs => {
            let names = json!({ "pattern": "^[^=]*[^=\\s][^=]*$" });
            let map = json!({
                "type": "object", "propertyNames": names, "additionalProperties": text(), "minProperties": 1,
            });
            json!({ "anyOf": [map, one(), many()] })
        }
    }
}
