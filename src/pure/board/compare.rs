//! The page of a host of sources that shows what changed between two revisions.
//!
//! Labels are whatever somebody wrote, so that a link is put together from parts that are of a known form.

use std::collections::BTreeMap;

/// What an image says it was built from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageOrigin {
    /// The revision.
    pub revision: Option<String>,
    /// Where the sources are.
    pub source: Option<String>,
}

impl ImageOrigin {
    /// Reads the labels of an image.
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let of = |keys: &[&str]| keys.iter().find_map(|key| labels.get(*key)).cloned();
        Self {
            revision: of(&["org.opencontainers.image.revision", "git_revision"]).filter(|text| is_revision(text)),
            source: of(&["org.opencontainers.image.source"]),
        }
    }
}

fn is_revision(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Host and path of an address of sources, in each of its usual forms.
fn place(source: &str) -> Option<(&str, &str)> {
    let (authority, path) = match source.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => source.split_once(['/', ':'])?,
    };
    let host = authority.rsplit('@').next()?;
    let path = path.trim_end_matches('/').trim_end_matches(".git");
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-~".contains(&byte))
    };
    path.split('/').all(is_plain).then_some((host, path))
}

/// The page that shows what changed, where the host is known.
pub fn link(from: &ImageOrigin, to: &ImageOrigin) -> Option<String> {
    let (old, new) = (from.revision.as_ref()?, to.revision.as_ref()?);
    let (host, path) = place(to.source.as_ref()?)?;
    let is_same = from.source.as_ref().is_none_or(|source| place(source) == Some((host, path)));
    let depth = path.split('/').count();
    let tail = match host {
        "github.com" | "codeberg.org" if depth == 2 => format!("compare/{old}...{new}"),
        "gitlab.com" if depth >= 2 => format!("-/compare/{old}...{new}"),
        "bitbucket.org" if depth == 2 => format!("branches/compare/{new}..{old}"),
        _ => return None,
    };
    (is_same && old != new).then(|| format!("https://{host}/{path}/{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(revision: &str, source: &str) -> ImageOrigin {
        let labels = [("git_revision", revision), ("org.opencontainers.image.source", source)];
        ImageOrigin::of(&labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn known_hosts_have_a_page_that_compares() {
        for (source, expected) in [
            ("https://github.com/acme/app", Some("https://github.com/acme/app/compare/aaaaaaa...bbbbbbb")),
            ("https://github.com/acme/app.git", Some("https://github.com/acme/app/compare/aaaaaaa...bbbbbbb")),
            ("git@github.com:acme/app.git", Some("https://github.com/acme/app/compare/aaaaaaa...bbbbbbb")),
            ("ssh://git@codeberg.org/acme/app/", Some("https://codeberg.org/acme/app/compare/aaaaaaa...bbbbbbb")),
            ("https://me:secret@gitlab.com/a/b/c", Some("https://gitlab.com/a/b/c/-/compare/aaaaaaa...bbbbbbb")),
            ("bitbucket.org/acme/app", Some("https://bitbucket.org/acme/app/branches/compare/bbbbbbb..aaaaaaa")),
            ("https://github.com/acme", None),
            ("https://gitlab.com/acme", None),
            ("https://github.com/acme/app/tree/main", None),
            ("bitbucket.org/acme/team/app", None),
            ("https://git.example/acme/app", None),
            ("https://github.com.evil.example/acme/app", None),
            ("https://github.com@evil.example/acme/app", None),
            ("https://github.com/acme/../..", None),
            ("https://github.com/acme/a\"><script>", None),
            ("https://github.com/acme/app?x#y", None),
            ("javascript:alert(1)//github.com/acme/app", None),
            ("", None),
        ] {
            assert_eq!(link(&origin("aaaaaaa", source), &origin("bbbbbbb", source)).as_deref(), expected, "{source}");
        }
    }

    #[test]
    fn only_revisions_of_the_same_sources_are_compared() {
        let source = "https://github.com/acme/app";
        for (from, to, expected) in [
            (origin("aaaaaaa", source), origin("bbbbbbb", source), true),
            (ImageOrigin { source: None, ..origin("aaaaaaa", "") }, origin("bbbbbbb", source), true),
            (origin("aaaaaaa", "https://github.com/acme/old"), origin("bbbbbbb", source), false),
            (origin("aaaaaaa", source), origin("aaaaaaa", source), false),
            (origin("main", source), origin("bbbbbbb", source), false),
            (origin("release", source), origin("bbbbbbb", source), false),
            (origin("aaaaaa", source), origin("bbbbbbb", source), false),
            (origin("aaaaaaa", source), ImageOrigin::default(), false),
        ] {
            assert_eq!(link(&from, &to).is_some(), expected, "{from:?} {to:?}");
        }
    }
}
