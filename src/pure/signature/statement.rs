//! What an in-toto statement says, and about what.
//!
//! Form: in-toto attestation framework, `Statement` of version 0.1 and 1.

use crate::pure::image::Digest;
use crate::pure::text::{Members, quoted};

/// The type of a statement of version 1.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const STATEMENT_0_1: &str = "https://in-toto.io/Statement/v0.1";

/// A statement.
pub struct Statement<'a> {
    /// What kind of thing is said.
    pub predicate_type: String,
    /// What is said, as it is written.
    pub predicate: Option<&'a str>,
    /// The digests of what it is said about, as `algorithm:hash`.
    pub subjects: Vec<String>,
    /// The name that the first of these is given, which nothing binds.
    pub name: Option<String>,
}

impl<'a> Statement<'a> {
    /// Reads a statement.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow "it".
    pub fn read(payload: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(payload).map_err(|_| "is no text")?;
        let members = Members::unique(text)?;
        let kind = members.text("_type").unwrap_or_default();
        if ![STATEMENT, STATEMENT_0_1].contains(&kind.as_str()) {
            return Err(format!("is no in-toto statement of version 0.1 or 1, but {}", quoted(&kind)));
        }
        let (mut subjects, mut name) = (Vec::new(), None);
        for subject in members.list("subject")? {
            let subject = Members::unique(subject.get())?;
            name = name.or(subject.text("name"));
            let digest = subject.object("digest")?;
            let hash = |(algorithm, _): &(String, _)| Some(format!("{algorithm}:{}", digest.text(algorithm)?));
            subjects.extend(digest.0.iter().filter_map(hash));
        }
        let predicate_type = members.text("predicateType").ok_or("has no `predicateType`")?;
        Ok(Self { predicate_type, predicate: members.get("predicate"), subjects, name })
    }

    /// Whether it is about what has this digest.
    pub fn is_about(&self, digest: &Digest) -> bool {
        self.subjects.iter().any(|subject| subject == digest.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_about_each_of_its_subjects() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let of = |kind: &str, rest: &str| {
            format!(
                r#"{{"_type":"https://in-toto.io/Statement/{kind}","subject":[{rest}"predicateType":"a:b","predicate":{{"x": 1}}}}"#
            )
        };
        let subject = format!(r#"{{"digest":{{"sha256":"{}","sha1":"00","n":7}}}}"#, one.hex());
        for kind in ["v1", "v0.1"] {
            let text = of(kind, &format!(r#"{{"name":"n","digest":null}},{subject}],"#));
            let statement = Statement::read(text.as_bytes()).unwrap();
            assert_eq!((statement.predicate_type.as_str(), statement.predicate), ("a:b", Some(r#"{"x": 1}"#)));
            assert!(statement.is_about(&one) && !statement.is_about(&two));
            assert_eq!(statement.name.as_deref(), Some("n"));
        }
        for (bad, why) in [
            (of("v2", "],"), "is no in-toto statement of version 0.1 or 1, but `https://in-toto.io/Statement/v2`"),
            (of("v1", &format!(r#"{subject}],"subject":[],"#)), "has the key `subject` twice"),
            (of("v1", r#"{"digest":{"sha256":"00","sha256":"01"}}],"#), "has the key `sha256` twice"),
            (of("v1", r#"{"digest":{"sha256":"00","SHA256":"01"}}],"#), "has the key `sha256` twice"),
            (of("v1", "],").replace("predicateType", "predicatetype"), "has no `predicateType`"),
        ] {
            assert_eq!(Statement::read(bad.as_bytes()).err().unwrap(), why, "{bad}");
        }
        assert_eq!(Statement::read(b"\xff").err().unwrap(), "is no text");
    }
}
