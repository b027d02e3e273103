//! One blob on its way to several targets: read from its source once, as far as their speeds allow.
//!
//! What was read last lies in a window. Whoever needs the next bytes reads them for all, and the window moves on when
//! the slowest has taken its own. One that keeps the others waiting for too long, or needs what has left the window, goes
//! on alone from its place, with the hash of all before it: whoever reads the end of a blob proves the whole of it.

use crate::error::{Code, Error};
use crate::pure::image::Descriptor;
use crate::registry::backend::Backend;
use crate::registry::blob_source::{BlobContent, HashedPlace, SourceBlob, unreadable};
use crate::registry::blobs::deliver;
use crate::registry::{Remote, Upload};
use crate::threads;
use crate::threads::lock;
use crate::world::instant;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much the slowest may be behind the fastest.
const WINDOW: u64 = 512 << 10;
/// How far two places are apart, at least, whose hashes are kept.
const STRIDE: u64 = 32 << 10;
/// How long the others wait for one that does not get on.
const PATIENCE: Duration = Duration::from_secs(2);

/// Copies a blob to several repositories that lack it, each with the upload that was begun there, hashed on the way; what
/// came of each.
///
/// What fails at one target leaves the others alone; where `moved`, which is told of the bytes to each, says no, all are
/// given up.
pub fn fan_out(
    source: &Remote,
    targets: &[(&Remote, Option<Upload>)],
    descriptor: &Descriptor,
    moved: &(dyn Fn(u64) -> bool + Sync),
) -> Vec<Result<(), Error>> {
    let called_off = AtomicBool::new(false);
    let moved = |amount| {
        called_off.fetch_or(!moved(amount), Ordering::Relaxed);
        !called_off.load(Ordering::Relaxed)
    };
    // Nobody waits for those that no thread is left for; what fits into the window is there for them all the same.
    let most = if descriptor.size > WINDOW { 1 + threads::free() } else { targets.len().max(1) };
    targets.chunks(most).flat_map(|some| send(source, some, descriptor, &moved)).collect()
}

/// Copies a blob to some of them, all of whom take part in one reading.
fn send(
    source: &Remote,
    targets: &[(&Remote, Option<Upload>)],
    descriptor: &Descriptor,
    moved: &(dyn Fn(u64) -> bool + Sync),
) -> Vec<Result<(), Error>> {
    let outcomes: Vec<Mutex<Option<Result<(), Error>>>> = targets.iter().map(|_| Mutex::new(None)).collect();
    let all = || {
        let backend = source.backend()?;
        let shared = SharedBlob::new(&*backend, descriptor, targets.len());
        let numbers: Vec<usize> = (0..targets.len()).collect();
        threads::map_at(targets.len(), &numbers, |number| {
            let (target, upload) = &targets[*number];
            let mut content: Box<dyn BlobContent> = match targets.len() {
                1 => Box::new(SourceBlob::new(&*backend, descriptor)),
                _ => Box::new(shared.reader(*number)),
            };
            let sent = |target: Box<dyn Backend>| deliver(&*target, descriptor, upload.clone(), &mut *content, moved);
            *lock(&outcomes[*number]) = Some(target.backend().and_then(sent));
            Ok(())
        })
    };
    let failure = all().err();
    let outcomes = outcomes.into_iter().zip(targets).map(|(outcome, (target, upload))| {
        outcome.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(|| {
            upload.iter().for_each(|upload| target.give_up(upload.clone()));
            Err(failure.clone().unwrap_or_else(|| Error::new(Code::Internal, "a target was passed over")))
        })
    });
    outcomes.collect()
}

/// A blob that several readers take.
struct SharedBlob<'a> {
    from: &'a dyn Backend,
    descriptor: &'a Descriptor,
    window: Mutex<BlobWindow<'a>>,
    turn: Condvar,
}

/// What was read last, and who is where.
struct BlobWindow<'a> {
    /// Away while somebody reads from it.
    source: Option<SourceBlob<'a>>,
    /// The byte at a place lies at that place modulo the length.
    ring: Vec<u8>,
    end: u64,
    /// How far it will be, at most, once whoever reads is back.
    promised: u64,
    readers: Vec<ReaderPlace>,
    /// Hashes of places in the window, and of the last one before it.
    hashes: VecDeque<HashedPlace>,
    failed: Option<Error>,
}

/// Where a reader of a window is.
enum ReaderPlace {
    At(u64),
    /// It goes on alone, from here.
    Alone(Box<HashedPlace>),
}

impl BlobWindow<'_> {
    /// Where the slowest is.
    fn base(&self) -> u64 {
        let at = |reader: &ReaderPlace| if let ReaderPlace::At(at) = reader { Some(*at) } else { None };
        self.readers.iter().filter_map(at).min().unwrap_or(self.end)
    }

    /// How many more bytes have room.
    fn room(&self) -> usize {
        self.ring.len() - usize::try_from(self.end - self.base()).unwrap_or(self.ring.len())
    }

    /// Takes note that so many more bytes are being read, at most.
    fn promise(&mut self, most: usize) {
        self.promised = self.end + most as u64;
    }

    /// Whether the bytes from this place on are there, and are not written over by what is being read.
    fn keeps(&self, at: u64) -> bool {
        at <= self.end && at + self.ring.len() as u64 >= self.promised
    }

    /// The last place up to where a reader is whose hash is known.
    fn hashed(&self, number: usize) -> HashedPlace {
        let (first, known) = (&self.hashes[0], |at| self.hashes.iter().rev().find(move |place| place.at <= at));
        match &self.readers[number] {
            ReaderPlace::At(at) => known(*at).unwrap_or(first).clone(),
            ReaderPlace::Alone(place) => HashedPlace::clone(place),
        }
    }

    /// Lets a reader go on alone, from where it is.
    fn let_go(&mut self, number: usize) -> HashedPlace {
        let place = self.hashed(number);
        self.readers[number] = ReaderPlace::Alone(place.clone().into());
        place
    }

    /// The piece of the ring that begins with the byte at this place.
    fn piece(&self, at: u64, most: usize) -> std::ops::Range<usize> {
        let first = usize::try_from(at % self.ring.len() as u64).unwrap_or_default();
        first..self.ring.len().min(first + most)
    }

    /// Takes what is there for a reader that is at this place.
    fn take(&mut self, number: usize, at: u64, buffer: &mut [u8]) -> usize {
        let there = usize::try_from(self.end - at).unwrap_or(usize::MAX);
        let piece = self.piece(at, there.min(buffer.len()));
        let amount = piece.len();
        buffer[..amount].copy_from_slice(&self.ring[piece]);
        self.readers[number] = ReaderPlace::At(at + amount as u64);
        amount
    }

    /// Adds what was read.
    fn add(&mut self, bytes: &[u8], place: &HashedPlace) {
        let mut left = bytes;
        while !left.is_empty() {
            let piece = self.piece(self.end, left.len());
            let (now, later) = left.split_at(piece.len());
            self.ring[piece].copy_from_slice(now);
            self.end += now.len() as u64;
            left = later;
        }
        if self.hashes.back().is_none_or(|last| self.end - last.at >= STRIDE) {
            self.hashes.push_back(place.clone());
        }
        let first = self.end.saturating_sub(self.ring.len() as u64);
        while self.hashes.get(1).is_some_and(|second| second.at <= first) {
            self.hashes.pop_front();
        }
    }
}

impl<'a> SharedBlob<'a> {
    fn new(from: &'a dyn Backend, descriptor: &'a Descriptor, readers: usize) -> Self {
        let window = BlobWindow {
            source: Some(SourceBlob::new(from, descriptor)),
            ring: vec![0; usize::try_from(descriptor.size.min(WINDOW)).unwrap_or_default()],
            end: 0,
            promised: 0,
            readers: (0..readers).map(|_| ReaderPlace::At(0)).collect(),
            hashes: VecDeque::from([HashedPlace::beginning(descriptor)]),
            failed: None,
        };
        Self { from, descriptor, window: Mutex::new(window), turn: Condvar::new() }
    }

    fn reader(&self, number: usize) -> FanReader<'_, 'a> {
        let mark = HashedPlace::beginning(self.descriptor);
        FanReader { shared: self, number, at: 0, mark, alone: None, failed: None }
    }

    /// Puts a reader at a place; not where that is outside of the window, or the reader was let go.
    fn place(&self, number: usize, to: u64) -> bool {
        let mut window = lock(&self.window);
        let stays = window.keeps(to) && matches!(window.readers[number], ReaderPlace::At(_));
        if stays {
            window.readers[number] = ReaderPlace::At(to);
        }
        self.turn.notify_all();
        stays
    }

    fn let_go(&self, number: usize) -> HashedPlace {
        let place = lock(&self.window).let_go(number);
        self.turn.notify_all();
        place
    }

    /// The next bytes for a reader, `None` where it has to go on alone. An empty buffer asks for the source to be open.
    fn next(&self, number: usize, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let mut window = lock(&self.window);
        let (mut base, mut since) = (window.base(), instant());
        loop {
            let ReaderPlace::At(at) = window.readers[number] else { return Ok(None) };
            if at < window.end || at == self.descriptor.size && at > 0 {
                let amount = window.take(number, at, buffer);
                self.turn.notify_all();
                return Ok(Some(amount));
            }
            if let Some(error) = &window.failed {
                return Err(error.clone());
            }
            let room = window.room();
            if (room > 0 || self.descriptor.size == 0)
                && let Some(source) = window.source.take()
            {
                let most = buffer.len().min(room);
                window.promise(most);
                drop(window);
                return self.read(source, number, &mut buffer[..most]);
            }
            window = self.wait(window, PATIENCE.saturating_sub(since.elapsed()));
            // Whoever waits for the source waits for nobody's place.
            if window.base() != base || window.room() > 0 {
                (base, since) = (window.base(), instant());
            } else if since.elapsed() >= PATIENCE {
                for number in 0..window.readers.len() {
                    if matches!(window.readers[number], ReaderPlace::At(at) if at == base) {
                        window.let_go(number);
                    }
                }
            }
        }
    }

    fn wait<'g>(&self, window: MutexGuard<'g, BlobWindow<'a>>, most: Duration) -> MutexGuard<'g, BlobWindow<'a>> {
        self.turn.wait_timeout(window, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Reads the next bytes for all, on behalf of one.
    fn read(&self, mut source: SourceBlob<'a>, number: usize, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let outcome = match buffer.is_empty() {
            true => source.seek(source.at()).map(|()| 0),
            false => source.read(buffer).map_err(|_| source.failed().unwrap_or_else(|| self.lost())),
        };
        let mut window = lock(&self.window);
        if let Ok(amount) = outcome {
            window.add(&buffer[..amount], &source.place);
            if let ReaderPlace::At(at) = window.readers[number] {
                window.readers[number] = ReaderPlace::At(at + amount as u64);
            }
        }
        window.failed = outcome.as_ref().err().cloned();
        (window.promised, window.source) = (window.end, Some(source));
        self.turn.notify_all();
        outcome.map(Some)
    }

    fn lost(&self) -> Error {
        Error::new(Code::Internal, format!("the blob `{}` was lost on its way", self.descriptor.digest))
    }
}

/// What one target takes of a shared blob.
struct FanReader<'s, 'a> {
    shared: &'s SharedBlob<'a>,
    number: usize,
    at: u64,
    mark: HashedPlace,
    alone: Option<SourceBlob<'a>>,
    failed: Option<Error>,
}

impl FanReader<'_, '_> {
    fn go_alone(&mut self) -> Result<(), Error> {
        let place = self.shared.let_go(self.number);
        let alone = SourceBlob::starting(self.shared.from, self.shared.descriptor, place, self.mark.clone());
        self.alone.insert(alone).seek(self.at)
    }

    /// As [`SharedBlob::next`]; nothing where this one goes on alone.
    fn shared(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        if self.alone.is_some() {
            return Ok(None);
        }
        let outcome = self.shared.next(self.number, buffer).and_then(|amount| match amount {
            None => self.go_alone().map(|()| None),
            amount => Ok(amount),
        });
        self.failed = outcome.as_ref().err().cloned();
        outcome
    }
}

impl Read for FanReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let amount = match (self.shared(buffer).map_err(|_| unreadable())?, &mut self.alone) {
            (None, Some(alone)) => alone.read(buffer)?,
            (amount, _) => amount.unwrap_or_default(),
        };
        self.at += amount as u64;
        Ok(amount)
    }
}

impl BlobContent for FanReader<'_, '_> {
    fn seek(&mut self, to: u64) -> Result<(), Error> {
        self.at = to;
        match &mut self.alone {
            Some(alone) => alone.seek(to),
            None if self.shared.place(self.number, to) => self.shared(&mut []).map(drop),
            None => self.go_alone(),
        }
    }

    fn mark(&mut self) {
        match &mut self.alone {
            Some(alone) => alone.mark(),
            None => self.mark = lock(&self.shared.window).hashed(self.number),
        }
    }

    fn at(&self) -> u64 {
        self.at
    }

    fn failed(&self) -> Option<Error> {
        self.failed.clone().or_else(|| self.alone.as_ref()?.failed())
    }
}

impl Drop for FanReader<'_, '_> {
    fn drop(&mut self) {
        self.shared.let_go(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::{Digest, Hasher};
    use crate::registry::login::Access;

    /// A window that nobody reads for.
    fn window(length: u64) -> BlobWindow<'static> {
        BlobWindow {
            source: None,
            ring: vec![0; usize::try_from(length).unwrap()],
            end: 0,
            promised: 0,
            readers: Vec::new(),
            hashes: VecDeque::from([place(0)]),
            failed: None,
        }
    }

    fn place(at: u64) -> HashedPlace {
        HashedPlace { at, hasher: Hasher::like(&Digest::of(b"")) }
    }

    #[test]
    fn whoever_goes_on_alone_begins_near_its_place_and_few_hashes_are_kept_whatever_the_pieces() {
        for piece in [1000, 100_000] {
            let mut window = window(WINDOW);
            while window.end < 3 * WINDOW {
                let place = place(window.end + piece as u64);
                window.add(&vec![0; piece], &place);
            }
            window.readers = vec![ReaderPlace::At(window.end)];
            assert!(window.end - window.hashed(0).at < STRIDE, "{piece}: {}", window.hashed(0).at);
            assert!(window.hashes.len() as u64 <= WINDOW / STRIDE + 1, "{piece}: {}", window.hashes.len());
        }
    }

    /// A registry that nobody asks.
    struct Nobody;

    impl Backend for Nobody {
        fn access(&self) -> &Access<'_, '_> {
            unreachable!("nothing is asked")
        }
    }

    #[test]
    fn nobody_waits_for_a_target_that_has_given_up() {
        let json = serde_json::json!({"digest": Digest::of(b"").as_str(), "size": 9000});
        let (descriptor, mut window) = (serde_json::from_value(json).unwrap(), window(1000));
        window.add(&[0; 500], &place(500));
        window.readers = vec![ReaderPlace::At(0), ReaderPlace::At(500)];
        let shared =
            SharedBlob { from: &Nobody, descriptor: &descriptor, window: Mutex::new(window), turn: Condvar::new() };
        drop(shared.reader(0));
        assert_eq!(lock(&shared.window).room(), 1000);
    }

    #[test]
    fn a_place_is_kept_until_something_is_read_over_it() {
        let mut window = window(1000);
        window.add(&[0; 990], &place(990));
        window.promise(20);
        assert_eq!([0, 9, 10, 990, 991].map(|at| window.keeps(at)), [false, false, true, true, false]);
    }
}
