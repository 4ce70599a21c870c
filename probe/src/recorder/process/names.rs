//! What events refer to: strings, places, types, modules, stacks; and what lasts, such as how cookies are to be read. All
//! threads write them one after the other into one chunk, so that a thousand threads with a name each take no more room
//! than their names.
//!
//! A signal handler may come anywhere in here, and goes its own way: it never waits for the code that it
//! interrupted.

use core::sync::atomic::Ordering;

use wire::layout::{CHUNK_WORDS, ChunkKind, LASTING_MAX, header};
use wire::payload::pair;
use wire::record::{Header, Kind};
use wire::{protocol, schema};

use super::Process;
use crate::recorder::cursor;

impl Process {
    /// Writes a record that events refer to, and has it committed when it returns. False, and counted,
    /// where there is no room for it.
    pub(crate) fn write_name(&self, kind: Kind, payload: &[u64]) -> bool {
        let is_written = self.write_apart(kind, 0, payload);
        if !is_written {
            self.lose_name();
        }
        is_written
    }

    /// Writes a record of what lasts where it is not overwritten. It is counted first: what is missing then is known to be.
    pub(crate) fn write_lasting(&self, kind: Kind, aux: u8, payload: &[u64]) {
        let count = self.header_word(header::LASTING);
        let before = count.fetch_add(1, Ordering::Relaxed);
        if before <= u64::from(LASTING_MAX) {
            self.write_apart(kind, aux, payload);
        }
    }

    /// Whether it is written already that there are records of a kind.
    #[inline]
    pub(crate) fn says_that_there_are(&self, kind: Kind) -> bool {
        self.there_are.load(Ordering::Relaxed) & bit(kind) != 0
    }

    /// Writes that there are records of a kind, where there may be as many as there are connections: once, as a rule.
    pub(crate) fn write_that_there_are(&self, kind: Kind) {
        if !self.says_that_there_are(kind) {
            self.write_lasting(kind, 0, &[]);
            self.there_are.fetch_or(bit(kind), Ordering::Relaxed);
        }
    }

    fn write_apart(&self, kind: Kind, aux: u8, payload: &[u64]) -> bool {
        let words = payload.len() + 1;
        loop {
            match protocol::claim(&self.names_end, words, CHUNK_WORDS) {
                Ok((chunk, at)) => {
                    let Some(slot) = self.chunk(chunk).get(at..at + words) else {
                        return false;
                    };
                    protocol::announce(slot, words as u8);
                    protocol::commit(
                        slot,
                        Header::committed(kind, words as u8, 0, aux, 0),
                        payload,
                    );
                    return true;
                }
                Err(full) => {
                    if !self.next_names_chunk(full) {
                        return false;
                    }
                }
            }
        }
    }

    /// Says of each kind what it and its fields are called.
    pub(super) fn write_schemas(&self) {
        let number = |text: &str| self.table.text(self, text.as_bytes());
        for kind in Kind::ALL {
            let name = number(kind.name());
            let mut words = [0; schema::FIELDS_MAX + 1];
            let fields = schema::fields(*kind);
            for (word, field) in words.iter_mut().skip(1).zip(fields) {
                *word = field.pack(number(field.name));
            }
            if let Some(first) = words.first_mut() {
                *first = pair(*kind as u32 | schema::flags(*kind) << 8, name);
            }
            let payload = words.get(..=fields.len()).unwrap_or(&[]);
            if !self.write_name(Kind::Schema, payload) {
                return;
            }
        }
    }

    /// Counts a name that no room was left for.
    pub(crate) fn lose_name(&self) {
        if !super::recording() {
            return;
        }
        self.header_word(header::LOST_META)
            .fetch_add(1, Ordering::Relaxed);
    }

    /// Has the names go on in another chunk. Everybody who finds this one full takes one of his own, the
    /// fastest one's is used, and the others' are kept for later: so nobody waits.
    fn next_names_chunk(&self, full: u64) -> bool {
        // Acquire pairs with the Release below: the chunk is open.
        let spare = self.names_spare.swap(0, Ordering::Acquire).checked_sub(1);
        let Some(chunk) = spare.or_else(|| self.open_names_chunk()) else {
            return self.names_end.load(Ordering::Relaxed) != full;
        };
        if protocol::move_on(&self.names_end, full, chunk) {
            return true;
        }
        let kept =
            self.names_spare
                .compare_exchange(0, chunk + 1, Ordering::Release, Ordering::Relaxed);
        if kept.is_err() {
            self.give_back_names_chunk(chunk);
        }
        true
    }

    fn open_names_chunk(&self) -> Option<u32> {
        let chunk = self.take_chunk(ChunkKind::Meta)?;
        let seq = self.names_chunks.fetch_add(1, Ordering::Relaxed) + 1;
        let words = self.chunk(chunk);
        cursor::open_chunk(self, words, 0, ChunkKind::Meta, seq, (0, 0), cursor::now());
        Some(chunk)
    }
}

fn bit(kind: Kind) -> u64 {
    1 << (kind as u32 % u64::BITS)
}
