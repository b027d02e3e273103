//! The JSON schemas of requests, from the table.
//!
//! A schema tells what `call` takes; which values make sense together is checked by the command, with a better
//! message than a schema has.
//!
//! Grammar: JSON Schema, draft 2020-12.

use serde_json::{Map, Value, json};
use tagwright::cli::defs::{Command, Flag, Json};
use tagwright::cli::help::sentence;

/// The schema of the requests for one command, indented, with a closing line break.
pub fn request(command: &Command) -> String {
    let mut properties = Map::new();
    for object in command.objects() {
        for key in object.keys {
            let many = || json!({ "anyOf": [text(), { "type": "array", "items": text(), "minItems": 1 }] });
            let value = if object.repeats { many() } else { text() };
            properties.insert((*key).to_owned(), described(value, object.more));
        }
    }
    for flag in command.flags().filter(|flag| flag.json != Json::Never) {
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
        Json::Pairs => {
            let names = json!({ "pattern": "^[^=]*[^=\\s][^=]*$" });
            let map = json!({
                "type": "object", "propertyNames": names, "additionalProperties": text(), "minProperties": 1,
            });
            json!({ "anyOf": [map, one(), many()] })
        }
    }
}
