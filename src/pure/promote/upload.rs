//! Decides how an upload goes on after each answer of the registry that it goes to.
//!
//! Specification: OCI distribution, "Pushing blobs".

use crate::pure::http::{ErrorDocument, Fault, Headers, Response, retry};

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The whole blob, in the request that ends the upload.
    Whole,
    /// The chunk that it begins with.
    First,
    /// Any other chunk.
    Chunk,
    /// The request that ends an upload in chunks.
    Close,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the blob is there.
    Done,
    /// The next chunk.
    GoOn,
    /// The same content once more, in chunks.
    Chunks,
    /// The same chunk once more, and all that follow, with less in each.
    Smaller,
    /// The registry is asked how far it got, and the upload goes on from there.
    Resume,
    /// The same with a new token, once.
    Renew,
    /// A new upload, unless the blob turns out to be there.
    Again,
    /// Nothing: the registry has refused, or nothing that can be done would help.
    Refused,
}

/// What comes after this outcome.
pub fn next(step: Step, outcome: Result<&Response, &Fault>) -> Next {
    let is_chunk = matches!(step, Step::First | Step::Chunk);
    let broken = if is_chunk { Next::Resume } else { Next::Again };
    let response = match outcome {
        Ok(response) => response,
        Err(fault) if fault.repeatable() => return broken,
        Err(_) => return Next::Refused,
    };
    let lost = ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID", "RANGE_INVALID"];
    match response.status {
        200..=299 if is_chunk => Next::GoOn,
        200..=299 => Next::Done,
        401 => Next::Renew,
        // Thus ECR refuses a password that has run out.
        403 if ErrorDocument::read(response).has_expired() => Next::Renew,
        // Too much at once; or a registry that takes a body with `PATCH` alone, whatever it says to one that ends an upload.
        400 | 405 | 411 | 413 | 415 | 501 if step == Step::Whole => Next::Chunks,
        413 if is_chunk => Next::Smaller,
        // Where nothing came before there is no wrong place: GHCR says so that a request is too long.
        416 if step == Step::Whole => Next::Chunks,
        416 if step == Step::First => Next::Smaller,
        416 => broken,
        // Thus Artifactory once refused what came with the request that ends an upload.
        404 if step == Step::Whole && ErrorDocument::read(response).has(&["BLOB_UNKNOWN"]) => Next::Chunks,
        404 if ErrorDocument::read(response).has(&["NAME_UNKNOWN"]) => Next::Refused,
        404 => Next::Again,
        // What was sent has the right size and digest, so something was lost on the way.
        400 if ErrorDocument::read(response).has(&lost) => Next::Again,
        status if retry::is_passing(status) => broken,
        _ => Next::Refused,
    }
}

/// Whether the registry may still be at work on an upload whose last byte was sent: nothing has come from it, or a
/// proxy has lost patience, which does not stop it.
pub fn may_be_at_work(outcome: Result<&Response, &Fault>) -> bool {
    match outcome {
        Ok(response) => matches!(response.status, 408 | 499 | 502 | 504 | 522 | 524),
        Err(fault) => fault.is_sent(),
    }
}

/// How many bytes an upload holds, by the `Range` of an answer: `0-99` is a hundred.
///
/// Nothing at all and a single byte are written alike; it is taken as nothing.
pub fn held(headers: &Headers) -> Option<u64> {
    let range = headers.get("range")?.trim();
    let last = range.strip_prefix("bytes=").unwrap_or(range).strip_prefix("0-")?;
    match last.parse::<u64>().ok()? {
        0 => Some(0),
        last => last.checked_add(1),
    }
}

/// What `Content-Range` says: the first byte, and the whole size where it is known; for a range that
/// cannot be served there is no first byte. Nexus leaves the unit out.
pub fn content_range(headers: &Headers) -> Option<(Option<u64>, Option<u64>)> {
    let text = headers.get("content-range")?.trim();
    let (range, whole) = text.strip_prefix("bytes ").unwrap_or(text).split_once('/')?;
    let first = match range {
        "*" => None,
        range => Some(range.split_once('-')?.0.parse().ok()?),
    };
    let whole = match whole {
        "*" => None,
        whole => Some(whole.parse().ok()?),
    };
    Some((first, whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::pure::http::fault::Phase;

    fn reply(status: u16, code: &str) -> Response {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{code}"}}]}}"#).into_bytes();
        let from = crate::pure::http::url::Url::parse("https://r.example/").unwrap();
        Response { from, status, headers: Headers::new(), body, secrets: Default::default() }
    }

    #[test]
    fn every_answer_has_its_next_step() {
        use Next::*;
        for (status, code, [whole, first, chunk, close]) in [
            (201, "", [Done, GoOn, GoOn, Done]),
            (202, "", [Done, GoOn, GoOn, Done]),
            (401, "UNAUTHORIZED", [Renew; 4]),
            (403, "DENIED", [Refused; 4]),
            (403, "your token has expired", [Renew; 4]),
            (404, "BLOB_UPLOAD_UNKNOWN", [Again; 4]),
            (404, "BLOB_UNKNOWN", [Chunks, Again, Again, Again]),
            (404, "", [Again; 4]),
            (404, "NAME_UNKNOWN", [Refused; 4]),
            (400, "DIGEST_INVALID", [Chunks, Again, Again, Again]),
            (400, "UNSUPPORTED", [Chunks, Refused, Refused, Refused]),
            (405, "UNSUPPORTED", [Chunks, Refused, Refused, Refused]),
            (501, "", [Chunks, Refused, Refused, Refused]),
            (413, "", [Chunks, Smaller, Smaller, Refused]),
            (416, "", [Chunks, Smaller, Resume, Again]),
            (429, "TOOMANYREQUESTS", [Again, Resume, Resume, Again]),
            (500, "UNKNOWN", [Again, Resume, Resume, Again]),
            (503, "", [Again, Resume, Resume, Again]),
            (507, "", [Refused; 4]),
            (302, "", [Refused; 4]),
        ] {
            let reply = reply(status, code);
            let steps = [Step::Whole, Step::First, Step::Chunk, Step::Close].map(|step| next(step, Ok(&reply)));
            assert_eq!(steps, [whole, first, chunk, close], "{status} {code}");
        }
        for (fault, whole, chunk) in [
            (Fault::Reset { why: String::new() }, Again, Resume),
            (Fault::Timeout { what: Phase::Idle, after: Duration::ZERO }, Again, Resume),
            (Fault::Timeout { what: Phase::Overall, after: Duration::ZERO }, Refused, Refused),
        ] {
            assert_eq!((next(Step::Whole, Err(&fault)), next(Step::Chunk, Err(&fault))), (whole, chunk), "{fault}");
        }
    }

    #[test]
    fn a_proxy_that_lost_patience_does_not_stop_the_registry() {
        for (status, expected) in [
            (201, false),
            (400, false),
            (408, true),
            (429, false),
            (499, true),
            (500, false),
            (502, true),
            (503, false),
            (504, true),
            (522, true),
            (524, true),
        ] {
            assert_eq!(may_be_at_work(Ok(&reply(status, ""))), expected, "{status}");
        }
        for (fault, expected) in [
            (Fault::Timeout { what: Phase::Idle, after: Duration::ZERO }, true),
            (Fault::Timeout { what: Phase::Connect, after: Duration::ZERO }, false),
            (Fault::Reset { why: String::new() }, true),
        ] {
            assert_eq!(may_be_at_work(Err(&fault)), expected, "{fault}");
        }
    }

    #[test]
    fn ranges_are_read_as_registries_and_stores_write_them() {
        for (text, expected) in [
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("0-0", Some(0)),
            ("0--1", None),
            ("1-99", None),
            ("", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(held(&Headers::new().with("Range", text)), expected, "{text}");
        }
        for (text, expected) in [
            ("bytes 5-9/10", Some((Some(5), Some(10)))),
            ("bytes 5-9/*", Some((Some(5), None))),
            ("bytes */10", Some((None, Some(10)))),
            ("5-9/10", Some((Some(5), Some(10)))),
            ("bytes 5/10", None),
            ("items 5-9/10", None),
            ("bytes a-9/10", None),
        ] {
            assert_eq!(content_range(&Headers::new().with("Content-Range", text)), expected, "{text}");
        }
    }
}
