//! What a promotion requires of the image: labels, and signatures.

use crate::cli::given::{KEEP_ONE, UNSET};
use crate::cli::{Arguments, invalid, missing, shown};
use crate::command::request::RequiredSignatures;
use crate::error::Error;
use crate::pure::promote::RequiredLabel;

/// A label with a value has that one, a label alone has any that is not blank; a value that is blank comes of a variable
/// that is not set.
///
/// # Errors
/// `request-invalid`, `missing-value`.
pub fn labels(given: &Arguments) -> Result<Vec<RequiredLabel>, Error> {
    let flag = given.name("require-label");
    let mut labels: Vec<RequiredLabel> = Vec::new();
    for text in given.all("require-label") {
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
        if key.trim().is_empty() {
            let hint = format!("write a label, or a label and its value, as in {}", given.example("require-label"));
            return Err(given.wrong("require-label", text, hint));
        }
        let label = shown(key);
        if value.is_some_and(|value| value.trim().is_empty()) {
            let message = format!("{flag} gives no value for the label {label}");
            return Err(missing(message, format!("give the label its value; {UNSET}")));
        }
        let named = labels.iter().filter(|known| known.key == key).find_map(|known| known.value.as_deref());
        if let (Some(first), Some(wanted)) = (named, value)
            && first != wanted
        {
            let message = format!("{flag} wants two values of {label}: {} and {}", shown(first), shown(wanted));
            return Err(invalid(message, KEEP_ONE));
        }
        let required = RequiredLabel { key: key.to_owned(), value: value.map(str::to_owned) };
        if !labels.contains(&required) {
            labels.push(required);
        }
    }
    Ok(labels)
}

/// Who has to have signed what is promoted.
///
/// # Errors
/// `request-invalid`, `missing-value`.
pub fn signatures(given: &Arguments) -> Result<RequiredSignatures, Error> {
    let all = |long| given.all(long).map(str::to_owned).collect::<Vec<_>>();
    let (keys, attestations) = (all("require-signature"), all("require-attestation"));
    let beside = ["require-attestation", "require-signature-of"].into_iter().find(|flag| given.has(flag));
    if let Some(flag) = beside.filter(|_| keys.is_empty()) {
        let message = format!("{} proves nothing without the key that has to have signed", given.name(flag));
        return Err(missing(message, format!("add {}", given.example("require-signature"))));
    }
    if let Some(kind) = attestations.iter().find(|kind| !kind.contains(':')) {
        let hint = "write the predicate type as the statement has it, such as `https://slsa.dev/provenance/v1`";
        return Err(given.wrong("require-attestation", kind, hint));
    }
    if given.has("no-referrers") && !keys.is_empty() {
        let (one, other) = (given.name("no-referrers"), given.name("require-signature"));
        let message = format!("{one} leaves behind the signatures that {other} asks for at the target");
        return Err(invalid(message, "leave out one of the two"));
    }
    let all = given.one("require-signature-of") == Some("all");
    Ok(RequiredSignatures { keys, all, attestations })
}
