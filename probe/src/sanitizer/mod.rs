//! Tells sanitizers what the kernel does (feature `sanitizers`), so that their false alarms on correct
//! programs go and their silence ends. Recording or not makes no difference.
//!
//! - Cookies and buffers in flight stand in a static table, where leak checkers look for pointers:
//!   memory that only the kernel knows of is not leaked.
//! - A buffer that the kernel writes to is out of bounds until the completion is taken: whoever touches
//!   it is reported by AddressSanitizer ("use-after-poison") or Memcheck ("Invalid read"). With
//!   [`crate::Alloc`] installed, so is whoever frees a buffer in flight.
//! - What the kernel wrote is initialised; what it is to read is checked to be so, when it is submitted
//!   (Memcheck, MemorySanitizer).
//! - What was done before a submission comes before what is done after its completion, in whichever thread;
//!   in between the kernel works at the same time ([`threads`], ThreadSanitizer).
//!
//! Not seen: buffers behind an `iovec` or a `msghdr`, buffers that the kernel chooses, completions that
//! are taken past the hooks. After a short read the rest of the buffer counts as initialised for
//! Memcheck. MemorySanitizer does not notice who looks into a buffer in flight, only who frees it.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::ring::Entry;

mod threads;
mod tools;

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const ABSENT: u8 = 1;
const PRESENT: u8 = 2;

/// An operation in flight.
struct Flight {
    /// [`FREE`], [`CLAIMED`], or the ring's descriptor plus two.
    ring: AtomicU64,
    cookie: AtomicU64,
    /// Its buffer; 0 for none.
    start: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether the kernel writes to it.
    target: AtomicU8,
    /// Which of two with the same cookie is the older.
    number: AtomicU32,
    /// Its address stands for the hand-over. Nobody touches it, for ThreadSanitizer would take that for one.
    handed_over: AtomicU8,
}

const FREE: u64 = 0;
const CLAIMED: u64 = 1;

const FLIGHTS: usize = 4096;
static TABLE: [Flight; FLIGHTS] = [const { Flight::new() }; FLIGHTS];
/// Entries that were ever used.
static USED: AtomicUsize = AtomicUsize::new(0);
static LAST: AtomicU32 = AtomicU32::new(0);
/// Stands for all operations that found no room in the table.
static NO_ROOM: AtomicU8 = AtomicU8::new(0);

/// Whether anybody wants to be told.
#[inline(always)]
pub(crate) fn present() -> bool {
    match STATE.load(Ordering::Relaxed) {
        ABSENT => false,
        PRESENT => true,
        _ => look(),
    }
}

#[cold]
fn look() -> bool {
    let found = tools::any();
    let state = if found { PRESENT } else { ABSENT };
    STATE.store(state, Ordering::Relaxed);
    found
}

/// An entry is about to go to the kernel.
#[inline(always)]
pub(crate) fn submitted(ring: i32, entry: &Entry) {
    if present() {
        fly(key(ring), entry);
    }
}

/// A completion is about to be handed to the program.
#[inline(always)]
pub(crate) fn completed(ring: i32, cookie: u64, result: u64) {
    if present() {
        land(
            key(ring),
            cookie,
            result as u32 as i32,
            (result >> 32) as u32,
        );
    }
}

/// A ring is about to go: what it had in flight will not be completed.
#[inline]
pub(crate) fn dropped(ring: i32) {
    if present() {
        let ring = key(ring);
        for flight in flights().filter(|flight| flight.ring.load(Ordering::Acquire) == ring) {
            flight.open(0);
            flight.forget();
        }
    }
}

/// A block that may hold a buffer is about to be freed.
#[inline]
pub(crate) fn freeing(address: u64, size: u64) {
    if present() {
        for flight in flights() {
            let start = flight.start.load(Ordering::Relaxed) as u64;
            let within = start >= address && start - address < size;
            if within && flight.ring.load(Ordering::Acquire) > CLAIMED {
                tools::complain(start as usize);
            }
        }
    }
}

fn key(ring: i32) -> u64 {
    u64::from(ring as u32).wrapping_add(2)
}

fn flights() -> impl Iterator<Item = &'static Flight> {
    TABLE.iter().take(USED.load(Ordering::Acquire))
}

#[cold]
fn fly(ring: u64, entry: &Entry) {
    let (start, bytes, target) = buffer(entry).unwrap_or((0, 0, false));
    if start != 0 && !target {
        tools::must_be_initialised(start, bytes);
    }
    let claim = |flight: &&Flight| {
        flight
            .ring
            .compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    };
    // Where there is no room nobody is told of the buffer: the operation is as it would be without the probe.
    let Some((index, flight)) = TABLE.iter().enumerate().find(|(_, flight)| claim(flight)) else {
        threads::submitted(&NO_ROOM);
        return;
    };
    USED.fetch_max(index + 1, Ordering::Release);
    flight.cookie.store(entry[4], Ordering::Relaxed);
    flight.start.store(start, Ordering::Relaxed);
    flight.bytes.store(bytes, Ordering::Relaxed);
    flight.target.store(u8::from(target), Ordering::Relaxed);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    flight.number.store(number, Ordering::Relaxed);
    flight.ring.store(ring, Ordering::Release);
    threads::submitted(&flight.handed_over);
    if start != 0 {
        let place = &flight.handed_over;
        threads::kernel_uses_buffer_in_flight(place, (start, bytes), target);
    }
    if target {
        tools::close(start, bytes);
    }
}

#[cold]
fn land(ring: u64, cookie: u64, result: i32, flags: u32) {
    // IORING_CQE_F_MORE
    const MORE: u32 = 2;
    let now = LAST.load(Ordering::Relaxed);
    let carries = |flight: &&Flight| {
        flight.ring.load(Ordering::Acquire) == ring
            && flight.cookie.load(Ordering::Relaxed) == cookie
    };
    let age = |flight: &&Flight| now.wrapping_sub(flight.number.load(Ordering::Relaxed));
    threads::completed(&NO_ROOM);
    // Of several with this cookie it may be any.
    flights()
        .filter(carries)
        .for_each(|flight| threads::completed(&flight.handed_over));
    if let Some(flight) = flights().filter(carries).max_by_key(age)
        && flags & MORE == 0
    {
        flight.open(result);
        flight.forget();
    }
}

impl Flight {
    const fn new() -> Self {
        Self {
            ring: AtomicU64::new(FREE),
            cookie: AtomicU64::new(0),
            start: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            target: AtomicU8::new(0),
            number: AtomicU32::new(0),
            handed_over: AtomicU8::new(0),
        }
    }

    /// Gives a buffer back to the program.
    fn open(&self, result: i32) {
        if self.target.load(Ordering::Relaxed) != 0 {
            let bytes = self.bytes.load(Ordering::Relaxed);
            let written = usize::try_from(result).unwrap_or(0);
            tools::open(self.start.load(Ordering::Relaxed), bytes, written);
        }
    }

    fn forget(&self) {
        self.cookie.store(0, Ordering::Relaxed);
        self.start.store(0, Ordering::Relaxed);
        self.ring.store(FREE, Ordering::Release);
    }
}

/// Where an operation's buffer lies, how long it is, and whether the kernel writes to it. Operations
/// that are not listed are said to have none.
fn buffer(entry: &Entry) -> Option<(usize, usize, bool)> {
    // IOSQE_BUFFER_SELECT
    const CHOSEN_BY_KERNEL: u64 = 32 << 8;
    // IORING_SEND_VECTORIZED, in `ioprio`: an array lies there, which is read when the entry is taken.
    const VECTORIZED: u64 = 32 << 16;
    let target = match entry[0] as u8 {
        // IORING_OP_READ_FIXED, _READ, _RECV
        4 | 22 | 27 if entry[0] & CHOSEN_BY_KERNEL == 0 => true,
        // IORING_OP_WRITE_FIXED, _WRITE, _SEND, _SEND_ZC
        26 | 47 if entry[0] & VECTORIZED != 0 => return None,
        5 | 23 | 26 | 47 if entry[0] & CHOSEN_BY_KERNEL == 0 => false,
        _ => return None,
    };
    let (start, bytes) = (entry[2] as usize, entry[3] as u32 as usize);
    (start != 0 && bytes != 0).then_some((start, bytes, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_fly_and_land_the_older_one_first() {
        let read = |cookie, start| [22, 0, start, 8, cookie, 0, 0, 0];
        assert_eq!(buffer(&[26, 0, 64, 2, 7, 0, 0, 0]), Some((64, 2, false)));
        assert_eq!(
            buffer(&[26 | 32 << 16, 0, 64, 2, 7, 0, 0, 0]),
            None,
            "an array"
        );
        let in_flight = |ring| {
            let mut starts: Vec<_> = flights()
                .filter(|flight| flight.ring.load(Ordering::Relaxed) == ring)
                .map(|flight| flight.start.load(Ordering::Relaxed))
                .collect();
            starts.sort_unstable();
            starts
        };
        // Memory of this test: the tools may be there and mark it.
        let memory = [0u64; 3];
        let at = |index: usize| std::ptr::from_ref(&memory[index]) as u64;
        let (one, two) = (key(-5), key(-6));
        fly(one, &read(7, at(0)));
        fly(one, &read(7, at(1)));
        fly(two, &read(7, at(2)));
        land(one, 7, 0, 2);
        assert_eq!(in_flight(one).len(), 2, "more completions will come");
        land(one, 7, 0, 0);
        assert_eq!(in_flight(one), [at(1) as usize]);
        land(one, 8, 0, 0);
        assert_eq!(in_flight(one).len(), 1, "another cookie");
        land(one, 7, 0, 0);
        assert_eq!(in_flight(one), []);
        assert_eq!(in_flight(two), [at(2) as usize]);
        land(two, 7, 0, 0);
        assert_eq!(in_flight(two), []);
    }

    #[test]
    fn buffers_are_read_from_entries() {
        assert_eq!(buffer(&[22, 0, 64, 8, 0, 0, 0, 0]), Some((64, 8, true)));
        assert_eq!(
            buffer(&[26, 0, 64, 8 | 1 << 32, 0, 0, 0, 0]),
            Some((64, 8, false))
        );
        assert_eq!(buffer(&[27 | 32 << 8, 0, 64, 8, 0, 0, 0, 0]), None);
        assert_eq!(buffer(&[0, 0, 64, 8, 0, 0, 0, 0]), None);
        assert_eq!(buffer(&[22, 0, 0, 8, 0, 0, 0, 0]), None);
    }
}
