//! Holds what the program prints against `docs/schema`: types, required keys, no unknown key, keys in the order given there.
//!
//! Reads the few words of JSON Schema that those files use, and fails on any other, so that nothing there is ignored.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::path::Path;

/// A JSON value that keeps the order of its keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Reads a document.
    pub fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(known, _)| known == key).map(|(_, node)| node)
    }

    /// Its keys and values; none where it is no object.
    pub fn entries(&self) -> &[(String, Node)] {
        if let Node::Object(entries) = self { entries } else { &[] }
    }

    /// What stands in it; nothing where it is no list.
    pub fn items(&self) -> &[Node] {
        if let Node::List(items) = self { items } else { &[] }
    }

    fn text(&self) -> &str {
        if let Node::Text(text) = self { text } else { "" }
    }

    fn is(&self, kind: &str) -> bool {
        match self {
            Node::Null => kind == "null",
            Node::Bool(_) => kind == "boolean",
            Node::Number(number) => kind == "number" || (kind == "integer" && number.fract() == 0.0),
            Node::Text(_) => kind == "string",
            Node::List(_) => kind == "array",
            Node::Object(_) => kind == "object",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("any JSON")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Number(value as f64))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Number(value as f64))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Number(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Object(entries))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A schema file by its name without folder.
pub fn schema(name: &str) -> Node {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(name);
    Node::parse(&std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

/// Fails the test where an envelope, or the result in it, is not what `docs/schema` says.
pub fn check(stdout: &str) {
    let document = Node::parse(stdout);
    let mut complaints = Vec::new();
    compare(&document, &schema("envelope.json"), "", &mut complaints);
    if let (Some(command), Some(result)) = (document.get("command"), document.get("result")) {
        compare(result, &schema(&format!("{}.result.json", command.text())), "result", &mut complaints);
    }
    assert!(complaints.is_empty(), "not what `docs/schema` says: {complaints:#?}\n{stdout}");
}

/// Collects every way in which a value is not what a schema says.
pub fn compare(node: &Node, schema: &Node, at: &str, complaints: &mut Vec<String>) {
    let mut complain = |what: String| complaints.push(format!("{at}: {what}"));
    for (word, rule) in schema.entries() {
        match word.as_str() {
            "$schema" | "title" | "description" | "properties" | "additionalProperties" | "items" | "oneOf" => {}
            "type" => {
                let kinds = if rule.is("string") { std::slice::from_ref(rule) } else { rule.items() };
                if !kinds.iter().any(|kind| node.is(kind.text())) {
                    complain(format!("{node:?} is none of {kinds:?}"));
                    return;
                }
            }
            "const" if node != rule => complain(format!("{node:?} is not {rule:?}")),
            "enum" if !rule.items().contains(node) => complain(format!("{node:?} is none of {rule:?}")),
            "minimum" => {
                if let (Node::Number(number), Node::Number(least)) = (node, rule)
                    && number < least
                {
                    complain(format!("{number} is less than {least}"));
                }
            }
            "minItems" | "maxItems" => {
                if let (Node::List(items), Node::Number(bound)) = (node, rule) {
                    let count = items.len() as f64;
                    if if word == "minItems" { count < *bound } else { count > *bound } {
                        complain(format!("{count} items, {word} is {bound}"));
                    }
                }
            }
            "pattern" => {
                if let Node::Text(text) = node
                    && !fits(text, rule.text())
                {
                    complain(format!("{text:?} does not match {rule:?}"));
                }
            }
            "required" => {
                for key in rule.items().iter().map(Node::text) {
                    if node.is("object") && node.get(key).is_none() {
                        complain(format!("`{key}` is missing"));
                    }
                }
            }
            "const" | "enum" => {}
            other => panic!("{at}: this reader of schemas does not know `{other}`"),
        }
    }
    if let Some(choices) = schema.get("oneOf") {
        let tried = choices.items().iter().map(|choice| {
            let mut found = Vec::new();
            compare(node, choice, at, &mut found);
            found
        });
        complaints.extend(tried.min_by_key(Vec::len).unwrap_or_default());
        return;
    }
    for (i, item) in node.items().iter().enumerate() {
        if let Some(rule) = schema.get("items") {
            compare(item, rule, &format!("{at}[{i}]"), complaints);
        }
    }
    let properties = schema.get("properties").map(Node::entries);
    let mut last = 0;
    for (key, value) in node.entries() {
        let at = format!("{at}.{key}");
        match (properties.and_then(|known| known.iter().position(|(name, _)| name == key)), properties) {
            (Some(place), Some(known)) => {
                if place < last {
                    complaints.push(format!("{at}: out of order"));
                }
                last = place;
                compare(value, &known[place].1, &at, complaints);
            }
            (None, Some(_)) => complaints.push(format!("{at}: not in the schema")),
            _ => {
                if let Some(rule) = schema.get("additionalProperties") {
                    compare(value, rule, &at, complaints);
                }
            }
        }
    }
}

/// The two patterns that the files use.
fn fits(text: &str, pattern: &str) -> bool {
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match pattern {
        "^sha256:[0-9a-f]{64}$|^sha512:[0-9a-f]{128}$" => {
            text.strip_prefix("sha256:").is_some_and(|rest| hex(rest, 64))
                || text.strip_prefix("sha512:").is_some_and(|rest| hex(rest, 128))
        }
        r"^[0-9]+\.[0-9]+\.[0-9]+$" => {
            let parts: Vec<&str> = text.split('.').collect();
            parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        }
        other => panic!("this reader of schemas does not know the pattern {other:?}"),
    }
}
