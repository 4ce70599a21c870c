//! A copy of the recording while it goes on, for test scopes.

use core::sync::atomic::Ordering;

use wire::layout::{self, chunk, header};
use wire::protocol;

use super::Process;
use crate::recorder::clock;

impl Process {
    /// The file as it is now: whole records only, whatever other threads write meanwhile, and none
    /// younger than the call, so that no effect is in it without its cause.
    ///
    /// Its directory has the lanes that were taken, and not room for more: it is half a megabyte that way, which each
    /// test would copy, and Valgrind and Miri word by word.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let now = clock::ticks();
        self.beat();
        let chunks = u64::from(self.chunks.load(Ordering::Relaxed));
        let taken = self.header_word(header::LANES_TAKEN);
        let lanes = (taken.load(Ordering::Acquire) as usize).clamp(1, layout::LANES);
        let start = layout::HEADER_BYTES + lanes * layout::LANE_BYTES;
        let mut bytes = Vec::with_capacity(start + layout::CHUNK_BYTES);
        for word in self.part(0, start / 8) {
            put(&mut bytes, word.load(Ordering::Acquire));
        }
        shorten_directory(&mut bytes, lanes, start);
        // Asked after the lanes were copied: a chunk that a lane speaks of was taken before.
        let used = self.taken.load(Ordering::Relaxed).min(chunks) as usize;
        bytes.reserve(used * layout::CHUNK_BYTES);
        let mut copy = vec![0; layout::CHUNK_WORDS];
        for index in 0..used {
            // A chunk that is being recycled opens again in a moment.
            let mut tries = 0;
            while !protocol::snapshot(self.chunk(index as u32), &mut copy) {
                copy.fill(0);
                tries += 1;
                if tries > 1000 {
                    break;
                }
                std::thread::yield_now();
            }
            let (lane, _) = layout::unpack_lane_kind(copy[chunk::LANE_KIND]);
            if lane as usize >= lanes {
                // All of a lane that was taken later is younger than the call. Names have no lane, and say 0.
                copy.fill(0);
            }
            forget_after(now, &mut copy);
            for word in &copy {
                put(&mut bytes, *word);
            }
        }
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, word: u64) {
    bytes.extend_from_slice(&word.to_le_bytes());
}

/// Says in a copied head how many lanes it has, and where the chunks begin.
fn shorten_directory(bytes: &mut [u8], lanes: usize, start: usize) {
    let mut put = |at: usize, value: u32| {
        if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    };
    put(header::LANES, lanes as u32);
    put(header::CHUNK_OFFSET, start as u32);
    let sum = bytes.get(..header::CRC).map(wire::crc::crc32c);
    if let (Some(sum), Some(place)) = (sum, bytes.get_mut(header::CRC..header::CRC + 4)) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// Clears the records of a copied chunk that are younger than `now`.
fn forget_after(now: u64, chunk: &mut [u64]) {
    use wire::record::{Header, Kind};
    let mut base = chunk[layout::chunk::TICKS];
    let mut at = layout::CHUNK_HEADER_WORDS;
    while let Some(header) = chunk.get(at).copied().map(Header)
        && header.words() != 0
    {
        if header.kind() == Some(Kind::Time) {
            base = chunk.get(at + 1).copied().unwrap_or(base);
        }
        if base.wrapping_add(u64::from(header.delta_ticks())) > now {
            chunk[at..].fill(0);
            return;
        }
        at += header.words();
    }
}
