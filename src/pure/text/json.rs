//! JSON whose objects keep their members in the order written, which `serde_json::Value` does not.

use crate::pure::text::show;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Error, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// The members of an object in the order written, one that stands twice included.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                Ok(Members(std::iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>()?))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl<'a> Members<'a> {
    /// The members of an object whose names differ in more than the case of their letters: of two that do not, some
    /// readers take the first and some the last.
    ///
    /// # Errors
    /// Why it is not one, in words.
    pub fn unique(text: &'a str) -> Result<Self, String> {
        let members: Self =
            serde_json::from_str(text).map_err(|error| format!("is no proper JSON: {}", why(&error)))?;
        let mut names: Vec<String> = members.0.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("has the key {} twice", show::quoted(&pair[0]))),
            None => Ok(members),
        }
    }

    /// The text of a member that is there and not null.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.get()).filter(|text| *text != "null")
    }

    /// A member that is a text.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// A member that is an object, as [`Members::unique`] reads it; an empty one where it is not there.
    ///
    /// # Errors
    /// As [`Members::unique`].
    pub fn object(&self, name: &str) -> Result<Self, String> {
        Self::unique(self.get(name).unwrap_or("{}"))
    }

    /// The texts of the entries of a member that is a list; none where it is not there.
    ///
    /// # Errors
    /// Why it is no list, in words.
    pub fn list(&self, name: &str) -> Result<Vec<&'a RawValue>, String> {
        serde_json::from_str(self.get(name).unwrap_or("[]")).map_err(|_| format!("has no list in `{name}`"))
    }
}

/// A JSON text that is written anew, laid out as the one who writes it does; numbers stay as they are.
#[derive(Debug)]
pub struct Document<'a> {
    /// The text.
    pub raw: &'a RawValue,
    /// So many entries of each list are written; of a text 64 times as many characters, and 4,096 at least.
    pub most: usize,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (text, most) = (self.raw.get(), self.most);
        let inner = |raw| Document { raw, most };
        match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text).map_err(S::Error::custom)?;
                serializer.collect_map(members.iter().map(|(key, value)| (key, inner(value))))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(S::Error::custom)?;
                serializer.collect_seq(items.into_iter().take(most).map(inner))
            }
            Some(b'"') => {
                let text: String = serde_json::from_str(text).map_err(S::Error::custom)?;
                serializer.serialize_str(&show::cut(&text, most.saturating_mul(64).max(4096)))
            }
            _ => self.raw.serialize(serializer),
        }
    }
}

/// Why a text is not what it should be, without what stands there in its place.
pub fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.find('"').zip(text.rfind("\", expected ")) {
        Some((from, to)) => format!("{}\"…{}", &text[..from], &text[to..]),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_without_what_stands_there() {
        let error = serde_json::from_str::<Vec<String>>(r#""secret\", expected x""#).unwrap_err();
        assert_eq!(why(&error), "invalid type: string \"…\", expected a sequence at line 1 column 22");
        let error = serde_json::from_str::<bool>("7").unwrap_err();
        assert_eq!(why(&error), "invalid type: integer `7`, expected a boolean at line 1 column 1");
    }

    #[test]
    fn a_document_keeps_its_members_and_its_numbers_and_loses_its_blanks() {
        for (text, expected) in [
            (r#" { "b" : 1.50 , "a" : [ ] , "b" : {} } "#, r#"{"b":1.50,"a":[],"b":{}}"#),
            (r#"[ true, null , "a \" b", 1e400 ]"#, r#"[true,null,"a \" b",1e400]"#),
            ("{ \"a\" : [ 1,\n 2 ] , \"b \\\" \\\\\" :\t\" x \" }", r#"{"a":[1,2],"b \" \\":" x "}"#),
            (r#""\u00e9""#, r#""é""#),
            ("7 ", "7"),
        ] {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&Document { raw, most: usize::MAX }).unwrap(), expected);
        }
    }
}
