//! The words behind a record's header, for the kinds whose packing takes more than a line.
//!
//! Decoding never fails: a missing word reads as 0, so that a writer may drop trailing zeros and a
//! newer writer may append.

/// Two 32-bit halves in a word, the first in the low bits.
#[inline]
pub const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// The halves of [`pair`].
#[inline]
pub const fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

/// In place of an `IORING_OP_*`: a callback that was registered with a library
/// ([`crate::record::RingKind::Foreign`]). `len` is 1 where it is called any number of times, until a
/// completion without `F_MORE`.
pub const CALLBACK: u8 = 255;

/// Word `index` of a payload, 0 where it is missing.
#[inline]
pub fn word(words: &[u64], index: usize) -> u64 {
    words.get(index).copied().unwrap_or(0)
}

/// Flags of a [`crate::record::Kind::SubmitNext`]: the words in which its entry is not like the one before. They
/// follow the cookie in this order.
pub mod other {
    /// Opcode, `IOSQE_*`, `ioprio` and descriptor.
    pub const HEAD: u8 = 1;
    /// `addr`
    pub const ADDR: u8 = 2;
    /// `len` and `op_flags`
    pub const LENGTHS: u8 = 4;
    /// `off`
    pub const OFF: u8 = 8;
    /// `buf_index`, `personality` and `file_index`
    pub const SIXTH: u8 = 16;

    /// Where in an entry of eight words each of them lies.
    pub const WORDS: [(u8, usize); 5] = [(HEAD, 0), (ADDR, 2), (LENGTHS, 3), (OFF, 1), (SIXTH, 5)];
}

/// A submission entry as the kernel will see it, and what is known of its cookie.
///
/// `ioprio`, `len` and `op_flags` hold the bits that say how many completions the operation owes
/// (multishot accept and receive, zero-copy reporting, multishot poll, timeout flags).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Submit {
    /// The `user_data` word that the kernel gets.
    pub cookie: u64,
    /// Position in the submission queue since the ring was made, modulo 2^32.
    pub sequence: u32,
    /// Ring within the process.
    pub ring: u16,
    /// Slot in the submission array.
    pub slot: u16,
    /// `IORING_OP_*`
    pub opcode: u8,
    /// `IOSQE_*`
    pub sqe_flags: u8,
    /// `ioprio`, or flags of the operation that live there.
    pub ioprio: u16,
    /// Descriptor or direct-descriptor index.
    pub fd: i32,
    /// Site id, 0 for unknown.
    pub site: u32,
    /// `buf_index` or `buf_group`.
    pub buf_index: u16,
    /// `personality`
    pub personality: u16,
    /// `addr`
    pub addr: u64,
    /// `len`
    pub len: u32,
    /// The flags word of the operation (`rw_flags`, `timeout_flags`, `accept_flags`, ...).
    pub op_flags: u32,
    /// `off` or `addr2`
    pub off: u64,
    /// `file_index` (1 more than the slot, or all ones for any slot): the result is a direct descriptor.
    /// An eighth word, left out where it is 0. Other operations keep other things there.
    pub file_index: u32,
}

impl Submit {
    /// The payload of a submission, from the 64 bytes of its entry (`struct io_uring_sqe` of the Linux
    /// user API, eight words): most words of the payload are words of the entry.
    #[inline(always)]
    pub const fn payload(
        sqe: &[u64; 8],
        ring: u16,
        slot: u16,
        sequence: u32,
        site: u32,
    ) -> [u64; 7] {
        let [cookie, place, head, origin] = Self::short_payload(sqe, ring, slot, sequence, site);
        [cookie, place, head, origin, sqe[2], sqe[3], sqe[1]]
    }

    /// As [`Submit::payload`], for entries that [`Submit::is_short`].
    #[inline(always)]
    pub const fn short_payload(
        sqe: &[u64; 8],
        ring: u16,
        slot: u16,
        sequence: u32,
        site: u32,
    ) -> [u64; 4] {
        [
            sqe[4],
            Self::place(ring, slot, sequence),
            sqe[0],
            Self::origin(site as u64, sqe[5]),
        ]
    }

    /// The word that says where the entry lies.
    #[inline(always)]
    pub const fn place(ring: u16, slot: u16, sequence: u32) -> u64 {
        sequence as u64 | (ring as u64) << 32 | (slot as u64) << 48
    }

    /// The word of a site (the high half is left out) and of the entry's sixth word.
    #[inline(always)]
    pub const fn origin(site: u64, sixth: u64) -> u64 {
        site as u32 as u64 | sixth << 32
    }

    /// Whether an entry has no address, no length, no flags of its operation, no offset and no index of a
    /// direct descriptor.
    #[inline(always)]
    pub const fn is_short(sqe: &[u64; 8]) -> bool {
        sqe[1] | sqe[2] | sqe[3] | sqe[5] >> 32 == 0
    }

    /// Whether an entry has no index of a direct descriptor, so that [`Submit::payload`] is all of it.
    #[inline(always)]
    pub const fn has_no_file_index(sqe: &[u64; 8]) -> bool {
        sqe[5] >> 32 == 0
    }

    /// As [`Submit::payload`], for entries with an index of a direct descriptor.
    pub const fn whole_payload(
        sqe: &[u64; 8],
        ring: u16,
        slot: u16,
        sequence: u32,
        site: u32,
    ) -> [u64; 8] {
        let [a, b, c, d, e, f, g] = Self::payload(sqe, ring, slot, sequence, site);
        [a, b, c, d, e, f, g, sqe[5] >> 32]
    }

    /// The payload, from the fields: for writers that have no entry of the kernel's.
    pub const fn encode(&self) -> [u64; 7] {
        let head = self.opcode as u64
            | (self.sqe_flags as u64) << 8
            | (self.ioprio as u64) << 16
            | (self.fd as u32 as u64) << 32;
        let origin = self.buf_index as u64 | (self.personality as u64) << 16;
        let lengths = pair(self.len, self.op_flags);
        let sqe = [
            head,
            self.off,
            self.addr,
            lengths,
            self.cookie,
            origin,
            0,
            0,
        ];
        Self::payload(&sqe, self.ring, self.slot, self.sequence, self.site)
    }

    /// In which of its first six words an entry is not like the one before it: flags of [`other`]. Where the operation is another one,
    /// its addresses are said, too: what they are depends on the operation.
    #[inline(always)]
    pub const fn differences(sqe: &[u64; 6], before: &[u64; 6]) -> u8 {
        let mut flags = if sqe[0] == before[0] { 0 } else { other::HEAD };
        if sqe[2] != before[2] {
            flags |= other::ADDR;
        }
        if sqe[3] != before[3] {
            flags |= other::LENGTHS;
        }
        if sqe[1] != before[1] {
            flags |= other::OFF;
        }
        if sqe[5] != before[5] {
            flags |= other::SIXTH;
        }
        if sqe[0] as u8 != before[0] as u8 {
            flags |= other::ADDR | other::OFF;
        }
        flags
    }

    /// Reads the payload of a [`crate::record::Kind::SubmitNext`] behind this submission.
    pub fn next(&self, flags: u8, words: &[u64]) -> Self {
        let mut next = *self;
        next.cookie = word(words, 0);
        next.sequence = self.sequence.wrapping_add(1);
        next.slot = self.slot.wrapping_add(1);
        let mut rest = words.iter().skip(1);
        let mut take = |flag: u8| {
            let is_said = flags & flag != 0;
            is_said.then(|| rest.next().copied().unwrap_or(0))
        };
        if let Some(head) = take(other::HEAD) {
            next.set_head(head);
        }
        if let Some(addr) = take(other::ADDR) {
            next.addr = addr;
        }
        if let Some(lengths) = take(other::LENGTHS) {
            (next.len, next.op_flags) = halves(lengths);
        }
        if let Some(off) = take(other::OFF) {
            next.off = off;
        }
        if let Some(sixth) = take(other::SIXTH) {
            next.set_sixth(sixth);
        }
        next
    }

    fn set_head(&mut self, head: u64) {
        self.opcode = head as u8;
        self.sqe_flags = (head >> 8) as u8;
        self.ioprio = (head >> 16) as u16;
        self.fd = (head >> 32) as u32 as i32;
    }

    fn set_sixth(&mut self, sixth: u64) {
        self.buf_index = sixth as u16;
        self.personality = (sixth >> 16) as u16;
        self.file_index = (sixth >> 32) as u32;
    }

    /// Reads a payload.
    pub fn decode(words: &[u64]) -> Self {
        let place = word(words, 1);
        let head = word(words, 2);
        let origin = word(words, 3);
        let (len, op_flags) = halves(word(words, 5));
        Self {
            cookie: word(words, 0),
            sequence: place as u32,
            ring: (place >> 32) as u16,
            slot: (place >> 48) as u16,
            opcode: head as u8,
            sqe_flags: (head >> 8) as u8,
            ioprio: (head >> 16) as u16,
            fd: (head >> 32) as u32 as i32,
            site: origin as u32,
            buf_index: (origin >> 32) as u16,
            personality: (origin >> 48) as u16,
            addr: word(words, 4),
            len,
            op_flags,
            off: word(words, 6),
            file_index: word(words, 7) as u32,
        }
    }
}

/// A leak and the submission that carries its pointer, in one record.
///
/// As [`Submit`], but for the fourth word, which is `site | type << 32` for both; the entry's sixth word
/// comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeakSubmit {
    /// The submission; its cookie is the pointer, its site that of both.
    pub submit: Submit,
    /// Type id of what the pointer points to, 0 for unknown.
    pub ty: u32,
}

impl LeakSubmit {
    /// The payload, from the entry's words; `place` is [`Submit::place`], `origin` site and type.
    #[inline(always)]
    pub const fn payload(sqe: &[u64; 8], place: u64, origin: u64) -> [u64; 8] {
        [
            sqe[4], place, sqe[0], origin, sqe[2], sqe[3], sqe[1], sqe[5],
        ]
    }

    /// As [`LeakSubmit::payload`], for entries that [`LeakSubmit::is_short`].
    #[inline(always)]
    pub const fn short_payload(sqe: &[u64; 8], place: u64, origin: u64) -> [u64; 4] {
        [sqe[4], place, sqe[0], origin]
    }

    /// Whether an entry [`Submit::is_short`], and has nothing in its sixth word.
    #[inline(always)]
    pub const fn is_short(sqe: &[u64; 8]) -> bool {
        sqe[1] | sqe[2] | sqe[3] | sqe[5] == 0
    }

    /// Reads a payload.
    pub fn decode(words: &[u64]) -> Self {
        let (site, ty) = halves(word(words, 3));
        let sixth = word(words, 7);
        let submit = Submit {
            site,
            buf_index: sixth as u16,
            personality: (sixth >> 16) as u16,
            file_index: (sixth >> 32) as u32,
            ..Submit::decode(words)
        };
        Self { submit, ty }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Submit {
        Submit {
            cookie: 0x55d0_c2e0,
            sequence: 4812,
            ring: 3,
            slot: 7,
            opcode: 22,
            sqe_flags: 0x44,
            ioprio: 2,
            fd: -100,
            site: 9,
            buf_index: 5,
            personality: 6,
            addr: 0x7fff_0000,
            len: 4096,
            op_flags: 0x8000_0001,
            off: u64::MAX,
            file_index: 0,
        }
    }

    /// `struct io_uring_sqe` by its offsets: opcode 0, flags 1, ioprio 2, fd 4, off 8, addr 16, len 24,
    /// the operation's flags 28, user_data 32, buf_index 40, personality 42.
    fn entry(submit: &Submit) -> [u64; 8] {
        let mut bytes = [0u8; 64];
        bytes[0] = submit.opcode;
        bytes[1] = submit.sqe_flags;
        bytes[2..4].copy_from_slice(&submit.ioprio.to_le_bytes());
        bytes[4..8].copy_from_slice(&submit.fd.to_le_bytes());
        bytes[8..16].copy_from_slice(&submit.off.to_le_bytes());
        bytes[16..24].copy_from_slice(&submit.addr.to_le_bytes());
        bytes[24..28].copy_from_slice(&submit.len.to_le_bytes());
        bytes[28..32].copy_from_slice(&submit.op_flags.to_le_bytes());
        bytes[32..40].copy_from_slice(&submit.cookie.to_le_bytes());
        bytes[40..42].copy_from_slice(&submit.buf_index.to_le_bytes());
        bytes[42..44].copy_from_slice(&submit.personality.to_le_bytes());
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap());
        }
        words
    }

    #[test]
    fn submission_survives_packing() {
        let submit = full();
        let entry = entry(&submit);
        assert!(!Submit::is_short(&entry));
        let words = Submit::payload(
            &entry,
            submit.ring,
            submit.slot,
            submit.sequence,
            submit.site,
        );
        assert_eq!(Submit::decode(&words), submit);
        assert_eq!(submit.encode(), words);
        let longer = [&words[..], &[7]].concat();
        assert_eq!(Submit::decode(&longer).file_index, 7);
    }

    #[test]
    fn an_entry_told_by_its_differences_is_the_whole_one() {
        let one = full();
        let before = entry(&one);
        // Each bit stands for a word that is another one.
        for changed in 0..32u8 {
            let mut two = one;
            (two.cookie, two.sequence, two.slot) = (7, one.sequence + 1, one.slot + 1);
            if changed & other::HEAD != 0 {
                (two.fd, two.ioprio) = (9, 0);
            }
            if changed & other::ADDR != 0 {
                two.addr = 0;
            }
            if changed & other::LENGTHS != 0 {
                two.len = 1;
            }
            if changed & other::OFF != 0 {
                two.off = 0;
            }
            if changed & other::SIXTH != 0 {
                (two.buf_index, two.file_index) = (0, 3);
            }
            let mut after = entry(&two);
            after[5] |= u64::from(two.file_index) << 32;
            let first = |entry: &[u64; 8]| -> [u64; 6] { entry[..6].try_into().unwrap() };
            let flags = Submit::differences(&first(&after), &first(&before));
            assert_eq!(flags, changed);
            let mut words = [7; 6];
            let said = other::WORDS.iter().filter(|(flag, _)| flags & flag != 0);
            let mut count = 1;
            for (_, word) in said {
                words[count] = after[*word];
                count += 1;
            }
            assert_eq!(one.next(flags, &words[..count]), two, "{changed:#b}");
        }
        let mut cancel = before;
        cancel[0] = 14;
        let first = |entry: &[u64; 8]| -> [u64; 6] { entry[..6].try_into().unwrap() };
        let flags = Submit::differences(&first(&cancel), &first(&before));
        assert_eq!(flags, other::HEAD | other::ADDR | other::OFF);
    }

    #[test]
    fn a_leak_and_its_submission_survive_packing() {
        let submit = full();
        let place = Submit::place(submit.ring, submit.slot, submit.sequence);
        let origin = pair(submit.site, 77);
        let words = LeakSubmit::payload(&entry(&submit), place, origin);
        assert!(!LeakSubmit::is_short(&entry(&submit)));
        assert_eq!(LeakSubmit::decode(&words), LeakSubmit { submit, ty: 77 });

        let nop = Submit {
            addr: 0,
            len: 0,
            op_flags: 0,
            off: 0,
            ..submit
        };
        assert!(Submit::is_short(&entry(&nop)));
        assert!(!LeakSubmit::is_short(&entry(&nop)), "has a buffer index");
        let nop = Submit {
            buf_index: 0,
            personality: 0,
            ..nop
        };
        assert!(LeakSubmit::is_short(&entry(&nop)));
        let words = LeakSubmit::short_payload(&entry(&nop), place, origin);
        let submit = nop;
        assert_eq!(LeakSubmit::decode(&words), LeakSubmit { submit, ty: 77 });
    }

    #[test]
    fn trailing_zeros_are_left_out_and_read_back() {
        let nop = Submit {
            cookie: 1,
            sequence: 2,
            fd: -1,
            site: 3,
            ..Submit::default()
        };
        let entry = entry(&nop);
        assert!(Submit::is_short(&entry));
        assert_eq!(
            Submit::decode(&Submit::short_payload(&entry, 0, 0, 2, 3)),
            nop
        );
        assert_eq!(Submit::decode(&[]), Submit::default());
    }
}
