//! A label that an image must have to be promoted.

/// A label that every platform must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredLabel {
    /// Its name.
    pub key: String,
    /// The value; any that is not blank where none is named.
    pub value: Option<String>,
}

impl RequiredLabel {
    /// Whether an image with this value of the label may be promoted.
    pub fn is_met_by(&self, value: Option<&String>) -> bool {
        match &self.value {
            Some(wanted) => value == Some(wanted),
            None => value.is_some_and(|value| !value.trim().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_required_as_it_is_or_any_that_is_not_blank() {
        for (wanted, value, expected) in [
            (Some("abc"), Some("abc"), true),
            (Some("abc"), Some("abc "), false),
            (Some("abc"), None, false),
            (None, Some("abc"), true),
            (None, Some(" \n"), false),
            (None, Some(""), false),
            (None, None, false),
        ] {
            let required = RequiredLabel { key: "revision".to_owned(), value: wanted.map(str::to_owned) };
            assert_eq!(required.is_met_by(value.map(str::to_owned).as_ref()), expected, "{wanted:?} {value:?}");
        }
    }
}
