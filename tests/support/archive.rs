//! Layers as tools expect them: archives with one file in them, packed so that nothing is compressed.
//!
//! Follows POSIX for the archive, RFC 1951 (stored blocks) and RFC 1952 for the packing.

use super::text::hex;
use ring::digest::{Context, SHA256};
use std::io::{Read, Result};

/// How many bytes a stored block holds here.
const BLOCK: u64 = 32 * 1024;

/// An archive with one file, as it is and packed.
pub fn tar(name: &str, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut out = header(name, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(512) + 1024, 0);
    let (mut rest, mut packed) = (std::io::Cursor::new(out.clone()), Vec::new());
    let mut layer = Layer::new(out.len() as u64, move |block| rest.read_exact(block).unwrap());
    layer.read_to_end(&mut packed).unwrap();
    (out, packed)
}

/// A packed archive of random bytes, so many before packing; the same seed gives the same bytes.
pub fn noise(seed: u64, length: u64) -> Layer {
    assert!(length >= 2048 && length.is_multiple_of(512), "no archive has {length} bytes");
    let head = header("noise", length - 512 - 1024);
    // A seed of nothing would stay nothing for ever.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut at = 0;
    Layer::new(length, move |block| {
        for word in block.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
        }
        let (from, to) = (at, at + block.len() as u64);
        if from == 0 {
            block[..512].copy_from_slice(&head);
        }
        let end = length - 1024;
        if to > end {
            let zeros = usize::try_from(end.saturating_sub(from)).unwrap();
            block[zeros..].fill(0);
        }
        at = to;
    })
}

/// The head of an archive's only file.
fn header(name: &str, length: u64) -> Vec<u8> {
    let mut out = vec![0; 512];
    let mut put = |at: usize, text: &str| out[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\x000000000\x000000000\x00");
    put(124, &format!("{length:011o}\x00"));
    put(136, "00000000000\x00        0");
    put(257, "ustar\x0000");
    let sum: u32 = out.iter().map(|byte| u32::from(*byte)).sum();
    out[148..156].copy_from_slice(format!("{sum:06o}\x00 ").as_bytes());
    out
}

/// Fills in the next bytes of an archive.
type Fill = dyn FnMut(&mut [u8]);

/// A packed layer that is made while it is read and never in memory whole.
pub struct Layer {
    fill: Box<Fill>,
    length: u64,
    left: u64,
    pending: Vec<u8>,
    at: usize,
    table: Vec<u32>,
    crc: u32,
    plain: Context,
    packed: Context,
}

impl Layer {
    /// Of so many bytes, which the function fills in from the first to the last.
    fn new(length: u64, fill: impl FnMut(&mut [u8]) + 'static) -> Self {
        let turn = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        Self {
            fill: Box::new(fill),
            length,
            left: length,
            // No name, no time, an unknown system.
            pending: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255],
            at: 0,
            table: (0..256).map(|byte| (0..8).fold(byte, turn)).collect(),
            crc: u32::MAX,
            plain: Context::new(&SHA256),
            packed: Context::new(&SHA256),
        }
    }

    /// How many bytes are read in all.
    pub fn packed_length(&self) -> u64 {
        10 + self.length.div_ceil(BLOCK) * 5 + self.length + 8
    }

    /// The digests of what was read, and of the archive in it.
    pub fn digests(self) -> (String, String) {
        let text = |context: Context| format!("sha256:{}", hex(context.finish().as_ref()));
        (text(self.packed), text(self.plain))
    }

    fn next_block(&mut self) {
        let count = self.left.min(BLOCK);
        self.left -= count;
        let size = u16::try_from(count).unwrap();
        let mut block = vec![u8::from(self.left == 0)];
        block.extend_from_slice(&size.to_le_bytes());
        block.extend_from_slice(&(!size).to_le_bytes());
        block.resize(5 + usize::from(size), 0);
        (self.fill)(&mut block[5..]);
        self.plain.update(&block[5..]);
        for byte in &block[5..] {
            self.crc = (self.crc >> 8) ^ self.table[((self.crc ^ u32::from(*byte)) & 0xff) as usize];
        }
        if self.left == 0 {
            block.extend_from_slice(&(!self.crc).to_le_bytes());
            block.extend_from_slice(&(self.length as u32).to_le_bytes());
        }
        (self.pending, self.at) = (block, 0);
    }
}

impl Read for Layer {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.at == self.pending.len() && self.left > 0 {
            self.next_block();
        }
        let rest = &self.pending[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.packed.update(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}
