//! Reads lists page by page: a list ends where no next page is named, and nowhere else.
//!
//! What a `Link` header says is read in `pure::http::link`.

use crate::error::{Code, Error};
use crate::pure::http::{Response, Url, link};
use crate::registry::limits;
use std::collections::HashSet;
use std::hash::Hash;

/// Reads page after page. `read` reads the one that is at a place, and says where the next one is.
///
/// # Errors
/// `reply-malformed` where a page is named that was read before, `size-exceeded` where there are ever more of them, and
/// those of `read`.
pub(super) fn walk<P: Clone + Eq + Hash>(
    wanted: &str,
    first: P,
    mut read: impl FnMut(&P) -> Result<Option<P>, Error>,
) -> Result<(), Error> {
    let (mut place, mut seen) = (first, HashSet::new());
    loop {
        if !seen.insert(place.clone()) {
            let message = format!("cannot {wanted}: a page is named as its own successor");
            return Err(Error::new(Code::ReplyMalformed, message)
                .hint("tell whoever runs the registry, or the proxy in front of it, that its list has no end"));
        }
        if seen.len() > limits::PAGES {
            let message = format!("cannot {wanted}: the list has more than {} pages", limits::PAGES);
            return Err(Error::new(Code::SizeExceeded, message));
        }
        match read(&place)? {
            Some(next) => place = next,
            None => return Ok(()),
        }
    }
}

/// Refuses a list that is longer than any.
///
/// # Errors
/// `size-exceeded`.
pub(super) fn fits(wanted: &str, tags: usize) -> Result<(), Error> {
    if tags <= limits::ALL_TAGS {
        return Ok(());
    }
    Err(Error::new(Code::SizeExceeded, format!("cannot {wanted}: the list has more than {} tags", limits::ALL_TAGS))
        .hint("delete tags that nobody needs, or let the registry do that by a rule"))
}

/// The next page that a `Link` header names.
///
/// # Errors
/// `redirect-refused` for another host, `reply-malformed` for a header that cannot be read.
pub(super) fn linked(wanted: &str, from: &Url, response: &Response) -> Result<Option<Url>, Error> {
    link::next(&response.headers, from).transpose().map_err(|error| {
        let hint = format!("ask whoever runs `{}` to correct the `Link` header", from.authority());
        error.restate(format!("cannot {wanted}: the next page is not where it must be")).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_twenty_thousand_pages_at_most() {
        let walk = |count| walk("list", 1, |page| Ok(Some(page + 1).filter(|next| *next <= count)));
        assert_eq!(walk(limits::PAGES), Ok(()));
        assert_eq!(walk(limits::PAGES + 1).unwrap_err().code(), Code::SizeExceeded);
    }
}
