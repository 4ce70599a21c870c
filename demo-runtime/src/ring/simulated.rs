//! A ring without a kernel: slots as in the ring in place, a logical clock, a seed.
//!
//! It knows NOP, timeouts and cancellation; every other operation completes with `-EOPNOTSUPP`. Time
//! stands still while the program runs, and jumps to the next deadline when it waits. The seed decides
//! how late timers fire, by less than a tenth of a millisecond. One seed, one run: nothing here
//! depends on addresses, threads or the real clock.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use super::encoding::{ASYNC_CANCEL, Entry, NOP, TIMEOUT, USER_DATA, encode};
use super::{Completion, Full, Op, Ring, Timespec};

/// What `enter` itself costs on the logical clock.
const ENTER_NS: u64 = 1_000;
/// A timer fires late by less than this.
const SLACK_NS: u64 = 100_000;

/// See the head of this file.
pub struct Simulated {
    probe: probe::ring::Ring,
    /// The slots. Never grows, so that the pointers shown to the probe stay valid.
    entries: Box<[Entry]>,
    /// Entries handed out so far.
    claimed: u32,
    /// Entries consumed so far, by what would be the kernel.
    consumed: u32,
    now_ns: u64,
    /// Timers by deadline, then by order of submission.
    timers: BTreeMap<(u64, u32), u64>,
    posted: VecDeque<Completion>,
    random: Random,
}

impl Simulated {
    /// A ring with at least that many slots.
    pub fn open(entries: u32, seed: u64) -> Self {
        let slots = entries.max(1).next_power_of_two();
        Self {
            probe: probe::ring::Ring::created(
                probe::ring::Kind::Simulated,
                -1,
                slots,
                2 * slots,
                0,
                0,
            ),
            entries: vec![[0; 8]; slots as usize].into_boxed_slice(),
            claimed: 0,
            consumed: 0,
            now_ns: 0,
            timers: BTreeMap::new(),
            posted: VecDeque::new(),
            random: Random(seed),
        }
    }

    fn mask(&self) -> u32 {
        self.entries.len() as u32 - 1
    }

    /// The slot claimed last.
    fn slot(&self) -> u32 {
        self.claimed.wrapping_sub(1) & self.mask()
    }

    /// Moves both clocks, ours and the trace's.
    fn advance(&mut self, ns: u64) {
        self.now_ns += ns;
        probe::simulated::advance(ns);
    }

    fn post(&mut self, cookie: u64, result: i32) {
        self.posted.push_back(Completion { cookie, result });
    }

    /// Does what the kernel does when it consumes an entry.
    fn execute(&mut self, entry: Entry, sequence: u32) {
        let cookie = entry[USER_DATA];
        match entry[0] as u8 {
            NOP => self.post(cookie, 0),
            TIMEOUT => {
                let after = std::ptr::with_exposed_provenance::<Timespec>(entry[2] as usize);
                // SAFETY: whoever prepared this entry promised that its timespec stays valid until
                // the completion, which is not posted yet. As the kernel does, it is read once.
                let after = unsafe { after.read() };
                let ns = after.seconds as u64 * 1_000_000_000 + after.nanoseconds as u64;
                let deadline = self.now_ns + ns + self.random.next() % SLACK_NS;
                self.timers.insert((deadline, sequence), cookie);
            }
            ASYNC_CANCEL => {
                let target = self.timers.iter().find(|(_, cookie)| **cookie == entry[2]);
                match target.map(|(key, cookie)| (*key, *cookie)) {
                    Some((key, target)) => {
                        self.timers.remove(&key);
                        self.post(target, -libc::ECANCELED);
                        self.post(cookie, 0);
                    }
                    None => self.post(cookie, -libc::ENOENT),
                }
            }
            _ => self.post(cookie, -libc::EOPNOTSUPP),
        }
    }

    /// Posts the completions of all timers that are due.
    fn fire(&mut self) {
        while let Some((&(deadline, sequence), &cookie)) = self.timers.first_key_value() {
            if deadline > self.now_ns {
                break;
            }
            self.timers.remove(&(deadline, sequence));
            self.post(cookie, -libc::ETIME);
        }
    }
}

impl Ring for Simulated {
    fn id(&self) -> u32 {
        self.probe.id()
    }

    #[track_caller]
    fn claim(&mut self) -> Result<(), Full> {
        if self.claimed.wrapping_sub(self.consumed) as usize == self.entries.len() {
            return Err(Full);
        }
        self.claimed = self.claimed.wrapping_add(1);
        let slot = self.slot();
        // SAFETY: the slot's last lap was consumed, as just checked, and this thread is alone with it.
        unsafe {
            self.probe
                .claimed(slot, &raw mut self.entries[slot as usize]);
        };
        Ok(())
    }

    unsafe fn prepare(&mut self, op: &Op) {
        if let Op::Timeout { after } = op {
            // `execute` gets the pointer back from a word, as the kernel does.
            after.expose_provenance();
        }
        let slot = self.slot() as usize;
        for (word, value) in encode(op).into_iter().enumerate() {
            if word != USER_DATA {
                self.entries[slot][word] = value;
            }
        }
    }

    fn set_cookie(&mut self, cookie: u64) {
        let slot = self.slot() as usize;
        self.entries[slot][USER_DATA] = cookie;
    }

    fn push(&mut self) {
        // Filled in place: nothing is left to do.
    }

    fn enter(&mut self, wait_for: u32) -> io::Result<()> {
        let first = self.consumed;
        let offered = self.claimed.wrapping_sub(first);
        for index in 0..offered {
            let slot = first.wrapping_add(index) & self.mask();
            // SAFETY: claimed and not consumed, and this thread is alone with the queue.
            unsafe {
                self.probe
                    .submitting(slot, &raw mut self.entries[slot as usize]);
            };
        }
        self.advance(ENTER_NS);
        for _ in 0..offered {
            let entry = self.entries[(self.consumed & self.mask()) as usize];
            self.execute(entry, self.consumed);
            self.consumed = self.consumed.wrapping_add(1);
        }
        self.fire();
        while self.posted.len() < wait_for as usize {
            let Some((&(deadline, _), _)) = self.timers.first_key_value() else {
                return Err(io::Error::other("a simulated ring would wait for ever"));
            };
            self.advance(deadline.saturating_sub(self.now_ns));
            self.fire();
        }
        self.probe.entered(offered, wait_for, offered as i32);
        Ok(())
    }

    fn reap(&mut self) -> Option<Completion> {
        let completion = self.posted.pop_front()?;
        self.probe.reaped(completion.cookie, completion.result, 0);
        Some(completion)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.now_ns)
    }
}

/// SplitMix64: a counter, scrambled.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &mut Simulated, op: Op, cookie: u64) {
        ring.claim().unwrap();
        // SAFETY: the tests keep their timespecs until the end.
        unsafe { ring.prepare(&op) };
        ring.set_cookie(cookie);
    }

    #[test]
    fn timers_fire_in_the_order_of_their_deadlines_and_move_the_clock() {
        let (long, short) = (
            Duration::from_millis(20).into(),
            Duration::from_millis(5).into(),
        );
        let (long, short): (Timespec, Timespec) = (long, short);
        let mut ring = Simulated::open(4, 1);
        push(
            &mut ring,
            Op::Timeout {
                after: &raw const long,
            },
            1,
        );
        push(
            &mut ring,
            Op::Timeout {
                after: &raw const short,
            },
            2,
        );
        ring.enter(1).unwrap();
        assert_eq!(
            ring.reap(),
            Some(Completion {
                cookie: 2,
                result: -libc::ETIME
            })
        );
        assert_eq!(ring.now().as_millis(), 5);
        assert_eq!(ring.reap(), None);
        ring.enter(1).unwrap();
        assert_eq!(
            ring.reap(),
            Some(Completion {
                cookie: 1,
                result: -libc::ETIME
            })
        );
        assert_eq!(ring.now().as_millis(), 20);
    }

    #[test]
    fn a_cancelled_timer_completes_first_and_the_cancellation_after_it() {
        let long: Timespec = Duration::from_secs(9).into();
        let mut ring = Simulated::open(4, 1);
        push(
            &mut ring,
            Op::Timeout {
                after: &raw const long,
            },
            1,
        );
        push(&mut ring, Op::Cancel { cookie: 1 }, 2);
        push(&mut ring, Op::Cancel { cookie: 1 }, 3);
        ring.enter(3).unwrap();
        let all: Vec<_> = std::iter::from_fn(|| ring.reap()).collect();
        assert_eq!(
            all[0],
            Completion {
                cookie: 1,
                result: -libc::ECANCELED
            }
        );
        assert_eq!(
            all[1],
            Completion {
                cookie: 2,
                result: 0
            }
        );
        assert_eq!(
            all[2],
            Completion {
                cookie: 3,
                result: -libc::ENOENT
            }
        );
    }

    #[test]
    fn waiting_for_nothing_is_an_error_and_not_a_hang() {
        assert!(Simulated::open(2, 1).enter(1).is_err());
    }
}
