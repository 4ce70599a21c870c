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

/// Word `index` of a payload, 0 where it is missing.
#[inline]
pub fn word(words: &[u64], index: usize) -> u64 {
    words.get(index).copied().unwrap_or(0)
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
}

impl Submit {
    /// Whether [`Submit::short`] says all: no address, no length, no offset.
    #[inline(always)]
    pub const fn is_short(&self) -> bool {
        self.addr | self.off | self.len as u64 | self.op_flags as u64 == 0
    }

    /// The payload of an operation without a buffer, with its site.
    #[inline(always)]
    pub const fn short(&self, site: u32) -> [u64; 4] {
        [
            self.cookie,
            self.sequence as u64 | (self.ring as u64) << 32 | (self.slot as u64) << 48,
            self.opcode as u64
                | (self.sqe_flags as u64) << 8
                | (self.ioprio as u64) << 16
                | (self.fd as u32 as u64) << 32,
            site as u64 | (self.buf_index as u64) << 32 | (self.personality as u64) << 48,
        ]
    }

    /// The whole payload, with its site.
    #[inline(always)]
    pub const fn long(&self, site: u32) -> [u64; 7] {
        let [cookie, place, head, origin] = self.short(site);
        [
            cookie,
            place,
            head,
            origin,
            self.addr,
            pair(self.len, self.op_flags),
            self.off,
        ]
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
        }
    }

    /// Takes the fields that the kernel reads from the 64 bytes of a submission entry
    /// (`struct io_uring_sqe` of the Linux user API, eight words).
    pub const fn from_sqe(sqe: &[u64; 8]) -> Self {
        Self {
            cookie: sqe[4],
            sequence: 0,
            ring: 0,
            slot: 0,
            opcode: sqe[0] as u8,
            sqe_flags: (sqe[0] >> 8) as u8,
            ioprio: (sqe[0] >> 16) as u16,
            fd: (sqe[0] >> 32) as u32 as i32,
            site: 0,
            buf_index: sqe[5] as u16,
            personality: (sqe[5] >> 16) as u16,
            addr: sqe[2],
            len: sqe[3] as u32,
            op_flags: (sqe[3] >> 32) as u32,
            off: sqe[1],
        }
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
        }
    }

    #[test]
    fn submission_survives_packing() {
        assert!(!full().is_short());
        assert_eq!(Submit::decode(&full().long(9)), full());
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
        assert!(nop.is_short());
        assert_eq!(Submit::decode(&nop.short(3)), nop);
        assert_eq!(Submit::decode(&[]), Submit::default());
    }
}
