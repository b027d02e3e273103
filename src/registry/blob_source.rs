//! The content of a blob while it is copied: read in pieces, proven before its last piece is given out.
//!
//! A source that breaks is opened again where it broke. What goes wrong for good is kept here, because
//! between this reader and its owner stands a request to another registry that could not tell it on.

use crate::error::{Code, Error};
use crate::http::Body;
use crate::http::repeat::repeat;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Fault, Subject, Verdict, refusal};
use crate::pure::image::{Descriptor, Hasher};
use crate::pure::promote::upload::content_range;
use crate::registry::backend::Backend;
use std::io::{self, Cursor, Read};

/// Content that an upload takes its bytes from, any part of it more than once if need be.
pub(crate) trait BlobContent: Read {
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
    moved: &'a (dyn Fn(u64) -> bool + Sync),
    body: Option<Body>,
    at: u64,
    hasher: Hasher,
    mark: (u64, Hasher),
    /// As far as anything was ever given out.
    high: u64,
    failed: Option<Error>,
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
    pub fn new(from: &'a dyn Backend, descriptor: &'a Descriptor, moved: &'a (dyn Fn(u64) -> bool + Sync)) -> Self {
        let hasher = Hasher::like(&descriptor.digest);
        Self {
            from,
            descriptor,
            wanted: format!("read the blob `{}` of `{}`", descriptor.digest.short(), from.access().repository),
            moved,
            body: None,
            at: 0,
            mark: (0, hasher.clone()),
            hasher,
            high: 0,
            failed: None,
        }
    }

    /// Opens the blob at the next byte.
    fn open(&mut self) -> Result<(), Interruption> {
        let (digest, size) = (&self.descriptor.digest, self.descriptor.size);
        let range = (self.at > 0).then(|| format!("bytes={}-", self.at));
        let (request, response, body) =
            self.from.open_blob(digest, &self.wanted, range.as_deref()).map_err(Interruption::Failed)?;
        let Some(mut body) = body else {
            return Err(Interruption::Failed(match content_range(&response.headers) {
                Some((_, Some(whole))) if response.status == 416 && whole < size => self.sized(whole),
                _ => refusal::error(Subject::Blob, &self.wanted, &request, &response),
            }));
        };
        let mut skipped = self.at;
        if response.status == 206 {
            let begins = content_range(&response.headers);
            if range.is_none() || begins.is_none_or(|(first, _)| first != Some(self.at)) {
                let error = refusal::error(Subject::Service, &self.wanted, &request, &response);
                let message = format!("cannot {}: the registry answered with another part of it", self.wanted);
                return Err(Interruption::Failed(error.with_code(Code::ReplyMalformed).retold(message)));
            }
            skipped = 0;
        }
        // What is there already was told by its length, or counts only when it was proven.
        let whole = body.expected().map(|expected| expected.saturating_add(self.at - skipped));
        if let Some(whole) = whole.filter(|whole| *whole != size) {
            return Err(Interruption::Failed(self.sized(whole)));
        }
        if skipped > 0 {
            // Ranges are not known here, so what was read already comes again.
            let mut buffer = vec![0; 64 * 1024];
            while skipped > 0 {
                let most = buffer.len().min(usize::try_from(skipped).unwrap_or(usize::MAX));
                match body.next(&mut buffer[..most]) {
                    Ok(0) => return Err(Interruption::Broke(self.sized(self.at - skipped))),
                    Ok(amount) => skipped -= amount as u64,
                    Err(fault) => return Err(self.broke(&fault)),
                }
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
        let most = usize::try_from(size - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let body = self.body.as_mut();
        let amount = match body.map_or(Ok(0), |body| body.next(&mut buffer[..most])) {
            Ok(0) => return Err(Interruption::Broke(self.sized(self.at))),
            Ok(amount) => amount,
            Err(fault) => return Err(self.broke(&fault)),
        };
        self.hasher.update(&buffer[..amount]);
        self.at += amount as u64;
        if self.at == size {
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
        let (digest, got) = (&self.descriptor.digest, self.hasher.digest());
        if got == *digest {
            return Ok(());
        }
        let message = format!("the blob `{digest}` of `{}` is not what its digest says", self.from.access().repository);
        Err(Error::new(Code::DigestMismatch, message)
            .cause(format!("expected `{digest}`, received {} bytes with `{got}`", self.at))
            .hint("run it again; if it stays, the registry or a proxy in between serves damaged content"))
    }

    /// The error where the size is wrong.
    fn sized(&self, got: u64) -> Error {
        let (digest, size, repository) =
            (&self.descriptor.digest, self.descriptor.size, &self.from.access().repository);
        let than = if got < size { "shorter" } else { "longer" };
        let got = if got > size && self.at == size { format!("more than {size}") } else { got.to_string() };
        Error::new(Code::DigestMismatch, format!("the blob `{digest}` of `{repository}` is {than} than it has to be"))
            .cause(format!("the manifest says {size} bytes, the registry has {got}"))
            .hint("push the image again; if it stays, the registry or a proxy in between serves damaged content")
    }

    fn broke(&self, fault: &Fault) -> Interruption {
        let url = self.from.access().url(&format!("blobs/{}", self.descriptor.digest));
        let error = fault.error(&self.wanted, &Request::new(Method::Get, url));
        let error = error.cause(format!("{} of {} bytes were read", self.at, self.descriptor.size));
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
        if self.at == self.descriptor.size || buffer.is_empty() {
            return Ok(0);
        }
        let amount =
            self.persist(|blob| blob.some(buffer)).map_err(|_| io::Error::other("the content cannot be read"))?;
        if self.at > self.high {
            let wanted = (self.moved)(self.at - self.high);
            self.high = self.at;
            if !wanted {
                self.failed = Some(Error::new(Code::Internal, format!("cannot {}: it was called off", self.wanted)));
                return Err(io::Error::other("the content is not wanted any more"));
            }
        }
        Ok(amount)
    }
}

impl BlobContent for SourceBlob<'_> {
    fn seek(&mut self, to: u64) -> Result<(), Error> {
        if self.at != to {
            let beginning = || (0, Hasher::like(&self.descriptor.digest));
            (self.at, self.hasher) = if self.mark.0 <= to { self.mark.clone() } else { beginning() };
            self.body = None;
        }
        if self.descriptor.size == 0 {
            return self.prove();
        }
        // Content that is there at the target already is read all the same: the digest needs it.
        let mut buffer = Vec::new();
        while self.at < to {
            buffer.resize(64 * 1024, 0);
            let most = buffer.len().min(usize::try_from(to - self.at).unwrap_or(usize::MAX));
            self.persist(|blob| blob.some(&mut buffer[..most]))?;
        }
        if self.body.is_none() && self.at < self.descriptor.size { self.persist(Self::open) } else { Ok(()) }
    }

    fn mark(&mut self) {
        self.mark = (self.at, self.hasher.clone());
    }

    fn at(&self) -> u64 {
        self.at
    }

    fn failed(&self) -> Option<Error> {
        self.failed.clone()
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
