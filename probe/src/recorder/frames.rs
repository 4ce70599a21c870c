//! Memory of this thread's stack that operations point at, and whether its frame has returned.
//!
//! Nobody says when a frame returns. But what lies below the stack pointer belongs to no frame any more: so each
//! thread remembers what it gave to the kernel from its own stack, and when a ring is entered, or the next entry
//! with an address is pushed, with the stack pointer above it, the stack pointer is recorded.
//!
//! Said only on the thread's own stack, whose limits are known for the first thread of a process, and for others
//! where the list of mappings is kept ([`stack::own`]): a coroutine with a stack of its own may sleep below. Not
//! seen: what another thread's stack holds, and buffers so close to the frame of the caller that the hook's own
//! frame lies over them; programs that the shim records.

use core::cell::Cell;

use wire::record::Kind;

use super::{process, stack};
use crate::ring::Entry;

/// Addresses that a thread remembers. Of more, the lower one of two is forgotten: it is found when the frame of
/// the higher one has returned too.
const PLACES: usize = 8;
/// How far from the stack pointer an address may lie to be asked about.
const REACH: u64 = 64 << 20;
const NOTHING: u64 = u64::MAX;

/// What a thread gave away from its stack.
struct Given {
    /// The lowest of `ends`.
    lowest: Cell<u64>,
    /// One above the last byte of each, rising; [`NOTHING`] behind them.
    ends: [Cell<u64>; PLACES],
    /// The thread's own stack; zeros while nobody asked, `high` 1 where nobody knows.
    low: Cell<u64>,
    high: Cell<u64>,
}

std::thread_local! {
    // Without a destructor: it can be used to the very end of a thread, and in signal handlers.
    static GIVEN: Given = const {
        Given {
            lowest: Cell::new(NOTHING),
            ends: [const { Cell::new(NOTHING) }; PLACES],
            low: Cell::new(0),
            high: Cell::new(0),
        }
    };
}

/// Looks whether a frame has returned that something was given away from. To be inlined into the program's own
/// frame.
#[inline(always)]
pub(crate) fn look() {
    if cfg!(miri) {
        return;
    }
    let stack_pointer = stack::stack_pointer();
    if GIVEN.with(|given| stack_pointer >= given.lowest.get()) {
        returned(stack_pointer);
    }
}

/// An entry with an address is pushed.
#[inline]
pub(crate) fn pushed(entry: &Entry) {
    if cfg!(miri) {
        return;
    }
    look();
    let stack_pointer = stack::stack_pointer();
    for (address, bytes) in [
        (entry[2], length(entry)),
        (entry[1], 1),
        // A cookie that points to the stack may be another frame's later.
        (entry[4], 1),
    ] {
        // Below it lies what had returned before the entry was pushed.
        let above = address.wrapping_sub(stack_pointer) < REACH;
        if above || stack_pointer.wrapping_sub(address) < REACH {
            keep(address, bytes);
        }
    }
}

/// Bytes that an entry's address stands for, as far as the entry says so.
fn length(entry: &Entry) -> u64 {
    let len = entry[3] & 0xFFFF_FFFF;
    match entry[0] as u8 {
        // IORING_OP_SEND and _SEND_ZC with IORING_SEND_VECTORIZED
        26 | 47 if entry[0] & 32 << 16 != 0 => len * 16,
        // IORING_OP_READ_FIXED, _WRITE_FIXED, _READ, _WRITE, _SEND, _RECV, _SEND_ZC
        4 | 5 | 22 | 23 | 26 | 27 | 47 => len,
        // IORING_OP_READV, _WRITEV
        1 | 2 => len * 16,
        // At least as long as a timespec or the head of a message.
        _ => 16,
    }
}

impl Given {
    fn limits(&self) -> (u64, u64) {
        if self.high.get() == 0 {
            let (low, high) = stack::own().unwrap_or((0, 1));
            self.low.set(low);
            self.high.set(high);
        }
        (self.low.get(), self.high.get())
    }
}

/// Remembers an address, if it lies on this thread's own stack.
#[cold]
fn keep(address: u64, bytes: u64) {
    // The shim hears of completions when the program enters again, maybe long after it took them.
    if !super::is_simulated() && process::is_linked() {
        GIVEN.with(|given| given.keep(address, bytes));
    }
}

#[cold]
fn returned(stack_pointer: u64) {
    GIVEN.with(|given| given.returned(stack_pointer));
}

// Never inlined, so that `LocalKey::with` is: what the compiler leaves of it as a call could panic.
impl Given {
    #[inline(never)]
    fn keep(&self, address: u64, bytes: u64) {
        let (low, high) = self.limits();
        let end = address.saturating_add(bytes);
        if !(low..high).contains(&address) || end > high {
            return;
        }
        let mut rest = end;
        let mut first = NOTHING;
        for place in &self.ends {
            let there = place.get();
            if there == rest {
                rest = NOTHING;
            } else if rest < there {
                place.set(rest);
                rest = there;
            }
            first = first.min(place.get());
        }
        if rest != NOTHING {
            // All are taken: the highest goes back in, and the lowest is forgotten.
            let mut higher = rest;
            for place in self.ends.iter().rev() {
                higher = place.replace(higher);
            }
            first = self.ends.first().map_or(NOTHING, Cell::get);
        }
        self.lowest.set(first);
    }

    #[inline(never)]
    fn returned(&self, stack_pointer: u64) {
        let (low, high) = self.limits();
        if !(low..high).contains(&stack_pointer) {
            // On the stack of a signal handler or of a coroutine.
            return;
        }
        let mut left = self
            .ends
            .iter()
            .map(Cell::get)
            .filter(|end| *end > stack_pointer);
        let left: [u64; PLACES] = core::array::from_fn(|_| left.next().unwrap_or(NOTHING));
        for (place, end) in self.ends.iter().zip(left) {
            place.set(end);
        }
        self.lowest.set(left.first().copied().unwrap_or(NOTHING));
        super::record(Kind::StackPointer, 0, 0, [stack_pointer, low]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> Vec<u64> {
        GIVEN.with(|given| {
            let ends = given.ends.iter().map(Cell::get);
            ends.filter(|end| *end != NOTHING).collect()
        })
    }

    #[test]
    fn the_highest_are_remembered_in_order_and_once_each() {
        GIVEN.with(|given| {
            given.low.set(0x1000);
            given.high.set(0x10_0000);
        });
        for start in [0x5000, 0x2000, 0x5000, 0x3000, 0x2000] {
            keep(start, 16);
        }
        keep(0x500, 16);
        keep(0xF_FFF8, 16);
        assert_eq!(ends(), [0x2010, 0x3010, 0x5010]);
        assert_eq!(GIVEN.with(|given| given.lowest.get()), 0x2010);
        for start in [0x6000, 0x7000, 0x8000, 0x9000, 0xA000, 0x2800] {
            keep(start, 16);
        }
        let expected = [
            0x2810, 0x3010, 0x5010, 0x6010, 0x7010, 0x8010, 0x9010, 0xA010,
        ];
        assert_eq!(ends(), expected);
        assert_eq!(GIVEN.with(|given| given.lowest.get()), 0x2810);
        // A stack pointer that is not this stack's says nothing.
        returned(0x20_0000);
        assert_eq!(ends(), expected);
        returned(0x7010);
        assert_eq!(ends(), [0x8010, 0x9010, 0xA010]);
        returned(0xF_0000);
        assert!(ends().is_empty());
        assert_eq!(GIVEN.with(|given| given.lowest.get()), NOTHING);
    }
}
