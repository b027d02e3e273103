//! Brings blobs to where they are needed: looks, mounts, copies from socket to socket, uploads.
//!
//! Nothing is committed before its size and digest are proven: the request that would complete a blob
//! lacks its last bytes until then. What follows on an answer is decided in `pure::promote::upload`.
//!
//! Specification: OCI distribution, endpoints end-2, end-4 to end-6, end-11, end-13 and end-14.

use crate::error::{Code, Error};
use crate::http::Payload;
use crate::http::repeat::repeat;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Fault, Repeat, Response, Subject, Url, Verdict, refusal, retry};
use crate::pure::image::{Descriptor, Digest, Repository};
use crate::pure::promote::{Next, Step, upload};
use crate::pure::text::percent;
use crate::registry::backend::Backend;
use crate::registry::blob_source::{BlobContent, CountedContent};
use crate::registry::limits;
use crate::registry::login::Access;
use crate::threads::both;
use std::io::{Cursor, Read};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How much a chunk holds where the registry does not ask for more, and takes as much.
const CHUNK: u64 = 8 << 20;
/// No chunk is smaller, whatever a registry asks for, so that requests are not many more than there is to send.
const LEAST_CHUNK: u64 = 64 << 10;

/// An upload that a registry has begun.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Where it goes on.
    url: Url,
    /// The least that a chunk must hold, where the registry says so.
    least: Option<u64>,
    /// How much there was when the registry was last asked.
    held: Option<u64>,
}

/// What came of a mount.
#[derive(Debug)]
pub enum Mount {
    /// The blob is there.
    Mounted,
    /// It has to be uploaded, and the upload has begun.
    Started(Upload),
    /// It has to be uploaded; this registry, or this credential, does not mount.
    Refused,
}

/// Asks for a blob of another repository of the same registry.
///
/// # Errors
/// Those of [`Access::ask`], but for refusals: whether an upload may be begun is asked by beginning one.
pub(super) fn mount_blob(target: &Access, source: &Repository, digest: &Digest) -> Result<Mount, Error> {
    let wanted = format!("mount the blob `{}` of `{source}` in `{}`", digest.short(), target.repository);
    let query = format!("mount={}&from={}", percent::encode(digest.as_str()), percent::encode(source.path()));
    let request = start_request(target, query);
    match target.ask(&wanted, &request, limits::SMALL) {
        Ok(response) if response.status == 201 => Ok(Mount::Mounted),
        Ok(response) if response.status == 202 => started(&wanted, &request, &response).map(Mount::Started),
        Ok(response) if matches!(response.status, 400..=499) && response.status != 429 => Ok(Mount::Refused),
        Ok(response) => Err(refusal::error(Subject::Write, &wanted, &request, &response)),
        Err(error) if matches!(error.code(), Code::Denied | Code::Unauthenticated) => Ok(Mount::Refused),
        Err(error) => Err(error),
    }
}

/// Brings a blob to a repository, from wherever its content comes, without keeping more than a piece of it.
///
/// An upload is begun before the content is opened, so that whoever may not write learns it before the source is asked;
/// where one was begun at the target before, both at once. One that is `started` is gone on with. One that breaks is begun
/// anew, unless the blob turns out to be there.
/// `moved` is told of every number of bytes that are on their way for the first time: what is sent again
/// counts as none, so that the sum is the size of the blob at most. Where it says no, the copy is given up.
///
/// # Errors
/// `denied`, `registry-unavailable`, those of the target, and what the content has failed with.
pub(super) fn deliver(
    target: &dyn Backend,
    descriptor: &Descriptor,
    started: Option<Upload>,
    content: &mut dyn BlobContent,
    moved: &(dyn Fn(u64) -> bool + Sync),
) -> Result<(), Error> {
    let mut content = CountedContent::new(content, moved);
    Delivery::new(target, &descriptor.digest, descriptor.size).run(started, &mut content)
}

/// Tells the registry to forget an upload that nobody goes on with; that it does not is no failure.
pub(super) fn give_up(target: &Access, upload: Upload) {
    let request = Request::new(Method::Delete, upload.url);
    let _ = target.upload(&format!("give up an upload to `{}`", target.repository), &request, None);
}

/// Puts a blob that is in memory, unless it is there already.
///
/// # Errors
/// As [`deliver`].
pub(super) fn put_blob(target: &dyn Backend, bytes: &[u8]) -> Result<Digest, Error> {
    let digest = Digest::of(bytes);
    if !target.has_blob(&digest)? {
        Delivery::new(target, &digest, bytes.len() as u64).run(None, &mut Cursor::new(bytes))?;
    }
    Ok(digest)
}

fn start_request(target: &Access, query: String) -> Request {
    let url = target.url("blobs/uploads/");
    // Begun twice, one of two uploads is never gone on with, and registries forget those.
    Request::new(Method::Post, if query.is_empty() { url } else { url.with_query(query) }).repeated(Repeat::Freely)
}

/// The upload that a 202 has begun.
fn started(wanted: &str, request: &Request, response: &Response) -> Result<Upload, Error> {
    let url = located(wanted, &request.url, response)?.ok_or_else(|| {
        let host = request.url.authority();
        Error::new(Code::ReplyMalformed, format!("cannot {wanted}: `{host}` does not say where the upload goes on"))
            .hint(format!("check that a registry answers at `{host}`, and no proxy in its place"))
    })?;
    let least = response.headers.get("oci-chunk-min-length").and_then(|text| text.trim().parse().ok());
    Ok(Upload { url, least, held: None })
}

fn located(wanted: &str, from: &Url, response: &Response) -> Result<Option<Url>, Error> {
    let location = response.headers.get("location").filter(|text| !text.trim().is_empty());
    location.map(|text| from.join(text)).transpose().map_err(|error| {
        let host = from.authority();
        error
            .with_code(Code::ReplyMalformed)
            .restate(format!("cannot {wanted}: what `{host}` gives as `Location` is no address"))
            .hint(format!("ask whoever runs `{host}` to correct it"))
    })
}

/// How an upload has ended, and whether another one may end better.
type UploadEnd = (Result<(), Error>, Verdict);

/// One blob on its way to a repository.
struct Delivery<'a> {
    target: &'a dyn Backend,
    digest: &'a Digest,
    size: u64,
    wanted: String,
    /// Where the upload of now goes on, as long as there is one to give up.
    open: Option<Upload>,
    renewed: bool,
    /// Whether it goes in chunks, because it was not taken whole.
    chunks: bool,
    /// How much one holds.
    length: u64,
}

impl<'a> Delivery<'a> {
    fn new(target: &'a dyn Backend, digest: &'a Digest, size: u64) -> Self {
        let wanted = format!("push the blob `{}` to `{}`", digest.short(), target.access().repository);
        Self { target, digest, size, wanted, open: None, renewed: false, chunks: false, length: CHUNK }
    }

    fn run(mut self, started: Option<Upload>, content: &mut dyn BlobContent) -> Result<(), Error> {
        self.open = started;
        let exchange = self.target.access().client.exchange.clone();
        let outcome = repeat(exchange.world, exchange.pace(), exchange.until, |_| {
            let (outcome, verdict) = self.attempt(content).unwrap_or_else(|error| (Err(error), Verdict::Keep));
            if outcome.is_err() {
                self.give_up();
            }
            // The answer that was lost may have been that all is well.
            match verdict {
                Verdict::Passing(_) if self.target.has_blob(self.digest).unwrap_or(false) => (Ok(()), Verdict::Keep),
                _ => (outcome, verdict),
            }
        });
        // A source that failed is the reason of whatever came after it.
        match (outcome, content.failed()) {
            (Err(_), Some(error)) => Err(error),
            (outcome, _) => outcome,
        }
    }

    /// One upload, from its beginning to its end.
    fn attempt(&mut self, content: &mut dyn BlobContent) -> Result<UploadEnd, Error> {
        let takes_uploads = self.target.access().takes_uploads.load(Ordering::Relaxed);
        if self.open.is_none() && takes_uploads {
            let (opened, begun) = both(|| content.seek(0), || self.begin());
            begun.and(opened)?;
        } else {
            self.begin()?;
            content.seek(0)?;
        }
        if self.chunks { self.send_chunks(content) } else { self.send_whole(content) }
    }

    /// Begins an upload, unless one was begun.
    fn begin(&mut self) -> Result<(), Error> {
        if self.open.is_none() {
            let query = match self.digest.algorithm() {
                "sha256" => String::new(),
                other => format!("digest-algorithm={other}"),
            };
            let request = start_request(self.target.access(), query);
            let response = self.target.access().ask(&self.wanted, &request, limits::SMALL)?;
            if response.status != 202 {
                let error = refusal::error(Subject::Write, &self.wanted, &request, &response);
                return Err(match error.code() {
                    Code::RepositoryUnknown => self.target.without_repository(error),
                    _ => error,
                });
            }
            self.open = Some(started(&self.wanted, &request, &response)?);
            self.target.access().takes_uploads.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn give_up(&mut self) {
        if let Some(upload) = self.open.take() {
            give_up(self.target.access(), upload);
        }
    }

    fn url(&self) -> Result<Url, Error> {
        let open = self.open.as_ref().map(|upload| upload.url.clone());
        open.ok_or_else(|| Error::new(Code::Internal, "an upload goes on that was not begun"))
    }

    fn request(&self, method: Method) -> Result<Request, Error> {
        Ok(Request::new(method, self.url()?).header("Content-Type", "application/octet-stream"))
    }

    /// The request that ends the upload.
    fn last(&self) -> Result<Request, Error> {
        let mut request = self.request(Method::Put)?;
        let digest = format!("digest={}", percent::encode(self.digest.as_str()));
        let query = match request.url.query().filter(|query| !query.is_empty()) {
            Some(query) => format!("{query}&{digest}"),
            None => digest,
        };
        request.url = request.url.with_query(query);
        Ok(request)
    }

    fn send_whole(&mut self, content: &mut dyn BlobContent) -> Result<UploadEnd, Error> {
        let request = self.last()?;
        let outcome = self.close(&request, content, self.size)?;
        self.end(Step::Whole, &request, outcome, content)
    }

    fn send_chunks(&mut self, content: &mut dyn BlobContent) -> Result<UploadEnd, Error> {
        let exchange = self.target.access().client.exchange.clone();
        let mut high = 0;
        while content.at() < self.size {
            let end = repeat(exchange.world, exchange.pace(), exchange.until, |_| {
                self.send_chunk(content, high).unwrap_or_else(|error| (Err(error), Verdict::Keep))
            });
            if let Some(end) = end? {
                return Ok(end);
            }
            high = content.at();
        }
        let request = self.last()?;
        let outcome = self.close(&request, &mut std::io::empty(), 0)?;
        self.end(Step::Close, &request, outcome, content)
    }

    /// Sends the next chunk, and asks how far it got where that is not known. Nothing comes of it where the upload
    /// goes on; where it does not, its end.
    fn send_chunk(
        &mut self,
        content: &mut dyn BlobContent,
        high: u64,
    ) -> Result<(Result<Option<UploadEnd>, Error>, Verdict), Error> {
        let (least, told) = self.open.as_ref().map(|upload| (upload.least, upload.held)).unwrap_or_default();
        let length = least.unwrap_or(self.length).max(LEAST_CHUNK);
        let (first, most) = (content.at(), (self.size - content.at()).min(length));
        let step = if first == 0 { Step::First } else { Step::Chunk };
        content.mark();
        let range = format!("{first}-{}", first + most - 1);
        let request = self.request(Method::Patch)?.header("Content-Range", range);
        let mut payload = Payload::new(content, most);
        let outcome = self.target.access().upload(&self.wanted, &request, Some(&mut payload))?;
        // Quay counts a byte too many when it is asked, and takes none from there on.
        let is_lost = told == Some(first) && matches!(&outcome, Ok(response) if response.status == 416);
        let end = match (upload::next(step, outcome.as_ref()), outcome) {
            (Next::GoOn, Ok(response)) => {
                self.moved_to(&request.url, &response)?;
                // ECR goes on naming the end of the first chunk, and Zot once told the length of the last one.
                if let Some(held) = upload::held(&response.headers).filter(|held| *held > first) {
                    content.seek(held.min(content.at()))?;
                }
                // A registry that keeps next to nothing of each chunk has the blob sent many times.
                (content.at() <= high.max(first + most / 16))
                    .then(|| (Err(self.stuck(&request, &response)), Verdict::Passing(None)))
            }
            (Next::Smaller, _) if content.failed().is_none() && least.is_none() && most > LEAST_CHUNK => {
                self.length = most / 2;
                content.seek(first)?;
                return Ok((Ok(None), Verdict::AtOnce));
            }
            (Next::Resume, outcome) if content.failed().is_none() && !is_lost => {
                let error = self.failure(&request, &outcome, content);
                let asked = self.asked(&outcome);
                match self.ask_held()? {
                    Some(held) => {
                        content.seek(held.min(content.at()))?;
                        return Ok((Err(error), Verdict::Passing(asked)));
                    }
                    None => Some((Err(error), Verdict::Passing(asked))),
                }
            }
            (_, outcome) => Some(self.end(step, &request, outcome, content)?),
        };
        Ok((Ok(end), Verdict::Keep))
    }

    /// Sends the request that ends the upload, with the next `length` bytes. One that the registry may still be at work
    /// on is not given up.
    fn close(
        &mut self,
        request: &Request,
        content: &mut dyn Read,
        length: u64,
    ) -> Result<Result<Response, Fault>, Error> {
        let mut payload = Payload::new(content, length);
        let outcome = self.target.access().upload(&self.wanted, request, Some(&mut payload))?;
        if payload.left() == 0 && upload::may_be_at_work(outcome.as_ref()) {
            self.open = None;
        }
        Ok(outcome)
    }

    /// How long the registry asks to wait.
    fn asked(&self, outcome: &Result<Response, Fault>) -> Option<Duration> {
        let now = self.target.access().client.exchange.world.now();
        outcome.as_ref().ok().and_then(|response| retry::retry_after(&response.headers, now))
    }

    fn stuck(&self, request: &Request, response: &Response) -> Error {
        refusal::error(Subject::Service, &self.wanted, request, response)
            .with_code(Code::ReplyMalformed)
            .retold(format!("cannot {}: the registry takes chunks and does not keep them", self.wanted))
    }

    /// How much the registry has of an upload; `None` where it cannot say.
    fn ask_held(&mut self) -> Result<Option<u64>, Error> {
        let request = Request::new(Method::Get, self.url()?);
        match self.target.access().upload(&self.wanted, &request, None)? {
            Ok(response) if response.is_success() => {
                self.moved_to(&request.url, &response)?;
                let held = upload::held(&response.headers);
                if let Some(open) = self.open.as_mut() {
                    open.held = held;
                }
                Ok(held)
            }
            _ => Ok(None),
        }
    }

    /// Takes note of where the upload goes on.
    fn moved_to(&mut self, from: &Url, response: &Response) -> Result<(), Error> {
        if let (Some(url), Some(open)) = (located(&self.wanted, from, response)?, self.open.as_mut()) {
            open.url = url;
        }
        Ok(())
    }

    /// What the outcome of a request means for the upload.
    fn end(
        &mut self,
        step: Step,
        request: &Request,
        outcome: Result<Response, Fault>,
        content: &mut dyn BlobContent,
    ) -> Result<UploadEnd, Error> {
        if let Some(error) = content.failed() {
            return Err(error);
        }
        let verdict = match upload::next(step, outcome.as_ref()) {
            Next::Done => {
                self.open = None;
                let stored =
                    outcome.ok().and_then(|answer| Digest::parse(answer.headers.get("docker-content-digest")?).ok());
                let is_other = |stored: &Digest| stored != self.digest && stored.algorithm() == self.digest.algorithm();
                return match stored.filter(is_other) {
                    Some(stored) => Err(self.stored(&stored)),
                    None => Ok((Ok(()), Verdict::Keep)),
                };
            }
            Next::Renew if !self.renewed => {
                self.renewed = true;
                Verdict::AtOnce
            }
            Next::Chunks => {
                self.chunks = true;
                Verdict::AtOnce
            }
            Next::Again | Next::Resume => Verdict::Passing(self.asked(&outcome)),
            _ => Verdict::Keep,
        };
        Ok((Err(self.failure(request, &outcome, content)), verdict))
    }

    fn stored(&self, stored: &Digest) -> Error {
        let (digest, repository) = (self.digest, &self.target.access().repository);
        let message = format!("the blob `{digest}` was pushed to `{repository}` and stored as `{stored}`");
        Error::new(Code::DigestMismatch, message).hint("tell whoever runs the registry")
    }

    /// The error that an outcome is, should nothing better come.
    fn failure(&self, request: &Request, outcome: &Result<Response, Fault>, content: &dyn BlobContent) -> Error {
        let error = match outcome {
            Err(fault) => fault.error(&self.wanted, request),
            Ok(response) if response.status == 413 => {
                let error = self.target.access().write_refused(&self.wanted, request, response);
                error.hint(format!(
                    "raise the limit for the body of a request at `{}`, or at the proxy in front of it",
                    request.url.authority()
                ))
            }
            Ok(response) => self.target.access().write_refused(&self.wanted, request, response),
        };
        error.cause(format!("{} of {} bytes were sent", content.at(), self.size))
    }
}
