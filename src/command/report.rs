//! What a command ends with when it went well: its result as JSON, and a sentence.

use crate::error::{Code, Error};
use serde::Serialize;

/// A command's result before it is printed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The result as one JSON text, its keys in the documented order.
    pub result: String,
    /// One sentence for people.
    pub sentence: String,
    /// The exit status, for a report of what is wrong.
    pub exit: u8,
    /// What is printed in place of all else, byte for byte, where that was asked for.
    pub bytes: Option<Vec<u8>>,
}

impl Report {
    /// A report from a result and a sentence.
    ///
    /// # Errors
    /// `internal` if the result cannot be written as JSON.
    pub fn new<T: Serialize>(result: &T, sentence: impl Into<String>) -> Result<Self, Error> {
        Ok(Self { result: written(result)?, sentence: sentence.into(), bytes: None, exit: 0 })
    }

    /// The same with one more key at the end of the result.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn and<T: Serialize>(mut self, key: &str, value: &T) -> Result<Self, Error> {
        if self.result.pop() == Some('}') {
            self.result += &format!(",\"{key}\":{}}}", written(value)?);
        }
        Ok(self)
    }
}

fn written<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(Code::Internal, "a result could not be written").cause(error.to_string()))
}
