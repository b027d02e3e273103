//! What was asked in search of a credential, place by place.

use serde::Serialize;
use serde_json::{Value, json};

/// A place that was asked for a credential, and what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LookupStep {
    /// The place: `environment`, a file, a helper.
    pub source: String,
    /// What it said, without any secret.
    pub said: String,
}

impl LookupStep {
    /// One place.
    pub fn new(source: impl Into<String>, said: impl Into<String>) -> Self {
        Self { source: source.into(), said: said.into() }
    }
}

/// The places in one line for people.
pub fn line(steps: &[LookupStep]) -> String {
    let steps: Vec<String> = steps.iter().map(|step| format!("{}: {}", step.source, step.said)).collect();
    steps.join("; ")
}

/// The places as values for programs.
pub fn values(steps: &[LookupStep]) -> Value {
    steps.iter().map(|step| json!({"source": step.source, "said": step.said})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_told_with_what_it_said() {
        let steps = [LookupStep::new("environment", "not set"), LookupStep::new("`a`", "no such file")];
        assert_eq!(line(&steps), "environment: not set; `a`: no such file");
        assert_eq!(
            values(&steps),
            json!([{"source": "environment", "said": "not set"}, {"source": "`a`", "said": "no such file"}])
        );
    }
}
