//! What is taken out of a text, and how the rest is shown.

use super::check::{self, text};
use base64::Engine;
use base64::prelude::{
    BASE64_STANDARD as STANDARD, BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD, BASE64_URL_SAFE as URL_SAFE,
};
use std::collections::BTreeMap;
use tagwright::http::journal::Journal;
use tagwright::pure::board::compare::{self, ImageOrigin};
use tagwright::pure::board::markup::escaped;
use tagwright::pure::board::moving::TagLines;
use tagwright::pure::http::redact;
use tagwright::pure::http::url::Url;
use tagwright::pure::image::TagEntry;
use tagwright::pure::text::{percent, shell, show};
use tagwright::secret::Secret;

/// Stands for what must not be shown.
const MARK: &str = "eyJhbGciOiJ0b3Atc2VjcmV0";

/// Whatever stands before it, what is announced as a secret is taken out.
pub fn redact(data: &[u8]) {
    let text = text(data);
    if text.contains(MARK) {
        return;
    }
    for secret in
        [format!("Authorization: Bearer {MARK}"), format!("token={MARK}"), format!("\"password\": \"{MARK}\"")]
    {
        let shown = redact::text(&format!("{text}\n{secret} and more"));
        assert!(!shown.contains(MARK), "{shown:?}");
    }
    assert!(redact::text(&text).len() <= 3 * text.len() + 16);
    let base = "https://registry.example/v2/acme/app/blobs/1";
    for address in [format!("{base}?{text}&X-Amz-Signature={MARK}"), format!("{base}?sig={MARK}&{text}")] {
        if let Ok(url) = Url::parse(&address) {
            let shown = redact::url(&url);
            // A fragment ends the address before the mark.
            assert!(!shown.contains(MARK), "{shown}");
        }
    }
}

/// A secret is taken out of a text in every spelling that it may have there.
pub fn guard(data: &[u8]) {
    let text = text(data);
    let (secret, around) = text.split_once('\n').unwrap_or((MARK, &text));
    if secret.trim().chars().count() < 8 || secret.contains('…') || around.contains(secret) {
        return;
    }
    let journal = Journal::default();
    journal.guard(&Secret::new(secret));
    let quoted = serde_json::to_string(secret).expect("a text is JSON");
    for spelled in [secret, &quoted, &percent::encode(secret), &percent::encode(secret).to_lowercase()] {
        let shown = journal.without_secrets(&format!("{around} {spelled} {around}"));
        assert!(!shown.contains(secret), "{shown:?}");
        assert!(!shown.contains(quoted.trim_matches('"')), "{shown:?}");
    }
    for spelled in [STANDARD.encode(secret), STANDARD_NO_PAD.encode(secret), URL_SAFE.encode(secret)] {
        let shown = journal.without_secrets(&format!("{around} {spelled} {around}"));
        assert!(around.contains(&spelled) || !shown.contains(&spelled), "{shown:?}");
    }
    assert_eq!(percent::decode(&percent::encode(&text)), text.as_bytes());
    percent::decode(around);
}

/// Whatever a label, a tag or a name holds, on a page it is text on one line, and a link leads to a host that is known.
pub fn board(data: &[u8]) {
    let text = text(data);
    let shown = escaped(&text);
    assert!(!shown.contains(['<', '>', '"', '\'']) && !shown.contains(char::is_control), "{shown:?}");
    assert!(shown.chars().all(tagwright::pure::text::show::shows), "{shown:?}");
    let ended = |rest: &str| ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|entity| rest.starts_with(entity));
    assert!(shown.match_indices('&').all(|(at, _)| ended(&shown[at + 1..])), "{shown:?}");
    let origin = |revision: &str, source: &str| {
        let labels = [("git_revision", revision), ("org.opencontainers.image.source", source)];
        ImageOrigin::of(&BTreeMap::from(labels.map(|(key, value)| (key.to_owned(), value.to_owned()))))
    };
    let (first, second) = text.split_once('\n').unwrap_or(("0123456", &text));
    for sources in [second, first] {
        if let Some(link) = compare::link(&origin("abcdef0", sources), &origin(first, sources)) {
            let url = Url::parse(&link).expect("a link is an address");
            let known = ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org"];
            assert!(known.contains(&url.host()) && escaped(&link) == link && !link.contains("/../"), "{link}");
        }
    }
    let tags: Vec<TagEntry> = text.split_whitespace().map(TagEntry::named).collect();
    let lines = TagLines::of(&tags);
    assert!(lines.moving().len() <= tags.len());
    for (version, _) in &lines.versions {
        assert!(tags.iter().all(|tag| lines.behind(&tag.name, *version) < lines.versions.len()));
    }
}

/// What is shown stays one line, is bounded, and a shell reads back what was written for it.
pub fn show(data: &[u8]) {
    let text = text(data);
    check::terminal(&text);
    let quoted = show::quoted(&text);
    assert!(quoted.chars().count() <= 202 * 10 && !quoted.contains(char::is_control), "{quoted:?}");
    for c in text.chars().take(4) {
        assert!(!show::character(c).contains(char::is_control));
    }
    let line = shell::line(text.split(' '));
    assert!(!line.contains(char::is_control), "{line:?}");
    let number = data.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    assert!(show::bytes(number).len() <= 12);
    show::seconds(number);
}
