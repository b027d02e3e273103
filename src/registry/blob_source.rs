//! The content of a blob while it is copied: read in pieces, proven before its last piece is given out.
//!
//! A source that breaks is opened again where it broke. What goes wrong for good is kept here, because
//! between this reader and its owner stands a request to another registry that could not tell it on.
//! How one reading serves several targets is in [`super::fan`].

use crate::error::{Code, Error};
use crate::http::Body;
use crate::http::repeat::repeat;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Fault, Subject, Verdict, refusal};
use crate::pure::image::{Descriptor, Hasher};
use crate::pure::promote::upload::content_range;
use crate::registry::backend::Backend;
use std::io::{self, Cursor, Read};

/// How much is read at once of what is not sent.
const PIECE: usize = 64 << 10;

/// Content that an upload takes its bytes from, any part of it more than once if need be.
pub(crate) trait BlobContent: Read + Send {
    /// Makes the byte at this place the next one, and makes sure that it can be read.
    fn seek(&mut self, to: u64) -> Result<(), Error>;

    /// Notes that the place of the next byte may be asked for again.
    fn mark(&mut self) {}

    /// How many bytes were given out.
    fn at(&self) -> u64;

    /// Why reading has failed for good.
    fn failed(&self) -> Option<Error> {
        None
    }
}

/// A blob of a registry.
pub(crate) struct SourceBlob<'a> {
    from: &'a dyn Backend,
    descriptor: &'a Descriptor,
    wanted: String,
    body: Option<Body>,
    /// How far it was read, and the hash of that.
    pub(super) place: HashedPlace,
    mark: HashedPlace,
    failed: Option<Error>,
}

/// A place in a blob, with the hash of all that is before it.
#[derive(Clone)]
pub(super) struct HashedPlace {
    pub at: u64,
    pub hasher: Hasher,
}

impl HashedPlace {
    /// The beginning of what a descriptor points at.
    pub fn beginning(descriptor: &Descriptor) -> Self {
        Self { at: 0, hasher: Hasher::like(&descriptor.digest) }
    }
}

/// Why there is no next byte.
enum Interruption {
    /// For the moment: the connection broke.
    Broke(Error),
    /// For good.
    Failed(Error),
}

impl<'a> SourceBlob<'a> {
    /// Asks nothing yet.
    pub fn new(from: &'a dyn Backend, descriptor: &'a Descriptor) -> Self {
        let beginning = HashedPlace::beginning(descriptor);
        Self::starting(from, descriptor, beginning.clone(), beginning)
    }

    /// One of which the part before `place` was read by somebody else, with an earlier place that may be asked for again.
    pub(super) fn starting(
        from: &'a dyn Backend,
        descriptor: &'a Descriptor,
        place: HashedPlace,
        mark: HashedPlace,
    ) -> Self {
        let wanted = format!("read the blob `{}` of `{}`", descriptor.digest.short(), from.access().repository);
        Self { from, descriptor, wanted, body: None, place, mark, failed: None }
    }

    /// Opens the blob at the next byte.
    fn open(&mut self) -> Result<(), Interruption> {
        let (digest, size) = (&self.descriptor.digest, self.descriptor.size);
        // The registry of go-containerregistry takes no range without an end.
        let range = (self.place.at > 0).then(|| format!("bytes={}-{}", self.place.at, size.saturating_sub(1)));
        let (request, response, body) =
            self.from.open_blob(digest, &self.wanted, range.as_deref()).map_err(Interruption::Failed)?;
        let Some(mut body) = body else {
            return Err(Interruption::Failed(match content_range(&response.headers) {
                Some((_, Some(whole))) if response.status == 416 && whole < size => self.sized(whole),
                _ => refusal::error(Subject::Blob, &self.wanted, &request, &response),
            }));
        };
        let mut skipped = self.place.at;
        if response.status == 206 {
            let begins = content_range(&response.headers);
            if range.is_none() || begins.is_none_or(|(first, _)| first != Some(self.place.at)) {
                let error = refusal::error(Subject::Service, &self.wanted, &request, &response);
                let message = format!("cannot {}: the registry answered with another part of it", self.wanted);
                return Err(Interruption::Failed(error.with_code(Code::ReplyMalformed).retold(message)));
            }
            skipped = 0;
        }
        // What is there already was told by its length, or counts only when it was proven.
        let whole = body.expected().map(|expected| expected.saturating_add(self.place.at - skipped));
        if let Some(whole) = whole.filter(|whole| *whole != size) {
            return Err(Interruption::Failed(self.sized(whole)));
        }
        // Where ranges are not known, what was read already comes again.
        let mut buffer = Vec::new();
        while skipped > 0 {
            buffer.resize(PIECE, 0);
            let most = buffer.len().min(usize::try_from(skipped).unwrap_or(usize::MAX));
            match body.next(&mut buffer[..most]) {
                Ok(0) => return Err(Interruption::Broke(self.sized(self.place.at - skipped))),
                Ok(amount) => skipped -= amount as u64,
                Err(fault) => return Err(self.broke(&fault)),
            }
        }
        self.body = Some(body);
        Ok(())
    }

    /// Reads some bytes, and proves everything before it gives the last ones out.
    fn some(&mut self, buffer: &mut [u8]) -> Result<usize, Interruption> {
        if self.body.is_none() {
            self.open()?;
        }
        let size = self.descriptor.size;
        let most = usize::try_from(size - self.place.at).unwrap_or(usize::MAX).min(buffer.len());
        let body = self.body.as_mut();
        let amount = match body.map_or(Ok(0), |body| body.next(&mut buffer[..most])) {
            Ok(0) => return Err(Interruption::Broke(self.sized(self.place.at))),
            Ok(amount) => amount,
            Err(fault) => return Err(self.broke(&fault)),
        };
        self.place.hasher.update(&buffer[..amount]);
        self.place.at += amount as u64;
        if self.place.at == size {
            // Reading the end makes the connection free for the next blob.
            let more = self.body.take().is_some_and(|mut body| matches!(body.next(&mut [0]), Ok(1..)));
            if more {
                return Err(Interruption::Failed(self.sized(size.saturating_add(1))));
            }
            self.prove().map_err(Interruption::Failed)?;
        }
        Ok(amount)
    }

    fn prove(&self) -> Result<(), Error> {
        let (digest, got) = (&self.descriptor.digest, self.place.hasher.digest());
        if got == *digest {
            return Ok(());
        }
        let message = format!("the blob `{digest}` of `{}` is not what its digest says", self.from.access().repository);
        Err(Error::new(Code::DigestMismatch, message)
            .cause(format!("expected `{digest}`, received {} bytes with `{got}`", self.place.at))
            .hint("run it again; if it stays, the registry or a proxy in between serves damaged content"))
    }

    /// The error where the size is wrong.
    fn sized(&self, got: u64) -> Error {
        let (digest, size, repository) =
            (&self.descriptor.digest, self.descriptor.size, &self.from.access().repository);
        let than = if got < size { "shorter" } else { "longer" };
        let got = if got > size && self.place.at == size { format!("more than {size}") } else { got.to_string() };
        Error::new(Code::DigestMismatch, format!("the blob `{digest}` of `{repository}` is {than} than it has to be"))
            .cause(format!("the manifest says {size} bytes, the registry has {got}"))
            .hint("push the image again; if it stays, the registry or a proxy in between serves damaged content")
    }

    fn broke(&self, fault: &Fault) -> Interruption {
        let url = self.from.access().url(&format!("blobs/{}", self.descriptor.digest));
        let error = fault.error(&self.wanted, &Request::new(Method::Get, url));
        let error = error.cause(format!("{} of {} bytes were read", self.place.at, self.descriptor.size));
        if fault.repeatable() { Interruption::Broke(error) } else { Interruption::Failed(error) }
    }

    /// Tries until it succeeds, as long as a broken connection is what keeps it from that and there are tries.
    fn persist<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Result<T, Interruption>) -> Result<T, Error> {
        let exchange = self.from.access().client.exchange.clone();
        let outcome = repeat(exchange.world, exchange.pace(), exchange.until, |_| match attempt(self) {
            Ok(done) => (Ok(done), Verdict::Keep),
            Err(Interruption::Failed(error)) => (Err(error), Verdict::Keep),
            Err(Interruption::Broke(error)) => {
                self.body = None;
                (Err(error), Verdict::Passing(None))
            }
        });
        self.failed = outcome.as_ref().err().cloned();
        outcome
    }
}

impl Read for SourceBlob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.place.at == self.descriptor.size || buffer.is_empty() {
            return Ok(0);
        }
        self.persist(|blob| blob.some(buffer)).map_err(|_| unreadable())
    }
}

/// What a request is told whose content has failed.
pub(super) fn unreadable() -> io::Error {
    io::Error::other("the content cannot be read")
}

impl BlobContent for SourceBlob<'_> {
    fn seek(&mut self, to: u64) -> Result<(), Error> {
        if self.place.at > to {
            let back = self.mark.at <= to;
            self.place = if back { self.mark.clone() } else { HashedPlace::beginning(self.descriptor) };
            self.body = None;
        }
        if self.descriptor.size == 0 {
            return self.prove();
        }
        // Content that is there at the target already is read all the same: the digest needs it.
        let mut buffer = Vec::new();
        while self.place.at < to {
            buffer.resize(PIECE, 0);
            let most = buffer.len().min(usize::try_from(to - self.place.at).unwrap_or(usize::MAX));
            self.persist(|blob| blob.some(&mut buffer[..most]))?;
        }
        if self.body.is_none() && self.place.at < self.descriptor.size { self.persist(Self::open) } else { Ok(()) }
    }

    fn mark(&mut self) {
        self.mark = self.place.clone();
    }

    fn at(&self) -> u64 {
        self.place.at
    }

    fn failed(&self) -> Option<Error> {
        self.failed.clone()
    }
}

/// Content of which it is told how much is on its way for the first time, and which ends where it is not wanted any more.
pub(super) struct CountedContent<'a> {
    content: &'a mut dyn BlobContent,
    moved: &'a (dyn Fn(u64) -> bool + Sync),
    /// As far as anything was ever given out.
    high: u64,
    called_off: bool,
}

impl<'a> CountedContent<'a> {
    pub fn new(content: &'a mut dyn BlobContent, moved: &'a (dyn Fn(u64) -> bool + Sync)) -> Self {
        Self { content, moved, high: 0, called_off: false }
    }
}

impl Read for CountedContent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.content.read(buffer)?;
        let fresh = self.content.at().saturating_sub(self.high);
        self.high += fresh;
        self.called_off = !(self.moved)(fresh);
        if self.called_off { Err(unreadable()) } else { Ok(amount) }
    }
}

impl BlobContent for CountedContent<'_> {
    fn seek(&mut self, to: u64) -> Result<(), Error> {
        self.content.seek(to)
    }

    fn mark(&mut self) {
        self.content.mark();
    }

    fn at(&self) -> u64 {
        self.content.at()
    }

    fn failed(&self) -> Option<Error> {
        let called_off = || Error::new(Code::Internal, "the copy of a blob was called off");
        self.content.failed().or_else(|| self.called_off.then(called_off))
    }
}

/// Content in memory.
impl BlobContent for Cursor<&[u8]> {
    fn seek(&mut self, to: u64) -> Result<(), Error> {
        self.set_position(to);
        Ok(())
    }

    fn at(&self) -> u64 {
        self.position()
    }
}
