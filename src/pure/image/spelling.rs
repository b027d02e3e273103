//! How references and repositories are spelt: the parts of a text, a spelling that works, and what is wrong with it.

use crate::error::{Code, Error};
use crate::pure::text::quoted;

/// The three parts of a reference, not yet checked.
pub(super) struct ReferenceParts<'a> {
    pub(super) name: &'a str,
    pub(super) tag: Option<&'a str>,
    pub(super) digest: Option<&'a str>,
}

/// Takes a reference apart.
pub(super) fn split(text: &str) -> Result<ReferenceParts<'_>, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(format!("it begins with {}", quoted(&format!("{scheme}://"))));
    }
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if name.is_empty() {
        return Err("it names no repository".to_owned());
    }
    // Docker Hub would have to have an image by the name of a host.
    let is_port = tag.is_some_and(|tag| tag.len() < 6 && tag.bytes().all(|b| b.is_ascii_digit()));
    let fits_host = name.len() <= 253 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    if is_port && fits_host && (name == "localhost" || name.contains('.')) {
        return Err(format!("it names the registry `{rest}` and no repository, as `{rest}/acme/app` does"));
    }
    Ok(ReferenceParts { name, tag, digest })
}

/// Another spelling that is right, where small changes are all it takes.
pub(super) fn corrected(text: &str, is_right: impl Fn(&str) -> bool) -> Option<String> {
    let bare = text.trim();
    let rest = bare.split_once("://").map_or(bare, |(_, rest)| rest).trim_end_matches('/');
    // A host alone would be taken for a name on Docker Hub, and what a browser shows is no reference.
    if rest.len() < bare.len() && (!rest.contains('/') || rest.starts_with("hub.docker.com/")) {
        return None;
    }
    let bare = rest;
    if is_right(bare) {
        return Some(bare.to_owned());
    }
    let parts = split(bare).ok()?;
    let mut lower = parts.name.to_ascii_lowercase();
    if let Some(tag) = parts.tag {
        lower = format!("{lower}:{tag}");
    }
    if let Some(digest) = parts.digest {
        lower = format!("{lower}@{}", digest.to_ascii_lowercase());
    }
    is_right(&lower).then_some(lower)
}

/// The error for a text that is not what the noun says.
pub(super) fn invalid(text: &str, noun: &str, why: &str, fixed: Option<&str>) -> Error {
    // A password can stand before an `@`, so such a text is not repeated.
    if text.split_once('@').is_some_and(|(_, after)| after.contains('/')) {
        let message = format!("a text with user info is not {noun}");
        let hint = "leave out what stands before the `@`, and set `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`";
        return Error::new(Code::ReferenceInvalid, message).hint(hint);
    }
    let error = Error::new(Code::ReferenceInvalid, format!("{} is not {noun}: {why}", quoted(text)));
    match fixed {
        Some(fixed) => error.hint(format!("write `{fixed}`")),
        None if text.contains('$') => error.hint("put the value in place of the `$…` before it is passed on"),
        None => error,
    }
}
