//! A copy of the recording while it goes on, for test scopes.

use core::sync::atomic::Ordering;

use wire::{layout, protocol};

use super::Process;
use crate::recorder::clock;

impl Process {
    /// The file as it is now: whole records only, whatever other threads write meanwhile, and none
    /// younger than the call, so that no effect is in it without its cause.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let now = clock::ticks();
        self.beat();
        let start = layout::chunk_offset() / 8;
        let chunks = u64::from(self.chunks.load(Ordering::Relaxed));
        let head: Vec<u64> = self
            .words()
            .iter()
            .take(start)
            .map(|word| word.load(Ordering::Acquire))
            .collect();
        // Asked after the lanes were copied: a chunk that a lane speaks of was taken before.
        let used = self.taken.load(Ordering::Relaxed).min(chunks) as usize;
        let mut words = head;
        words.reserve(used * layout::CHUNK_WORDS);
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
            forget_after(now, &mut copy);
            words.extend_from_slice(&copy);
        }
        let mut bytes = Vec::with_capacity(words.len() * 8);
        for word in words {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
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
