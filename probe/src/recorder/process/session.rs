//! What the recorder wrote into its folder for the programs that it starts: the file `session`.

use core::sync::atomic::{AtomicI64, Ordering};

use wire::layout;

use super::{MAX_CHUNKS, Poison};

/// A forked child that never calls `exec` keeps this fraction of what its parent keeps: servers fork
/// by the hundred.
const CHILD_SHARE: u32 = 16;
/// Chunks that a file is not made smaller than, where others have taken most of the room.
const SMALLEST: u32 = 16;

/// What the recorder wrote into its folder for us.
pub(super) struct Session {
    pub(super) token: [u8; 16],
    pub(super) ticks_per_second: u64,
    pub(super) trusted_clock: Option<bool>,
    /// Chunks that the file may have.
    pub(super) chunks: u32,
    /// Chunks that it has room for at first; the recorder makes more.
    pub(super) first_chunks: u32,
    pub(super) mode: u32,
    pub(super) poison: Poison,
    pub(super) stacks: bool,
    pub(super) batch: bool,
    /// Bytes of the disk that recordings leave to others.
    pub(super) leave: u64,
    /// Whether the recording is over for whoever comes now.
    pub(super) ended: bool,
    /// Whether a ring gets its room as it needs it.
    pub(super) lengthens: bool,
}

/// What a process took of the recording's room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    bytes: i64,
    /// Less than what it is to keep.
    pub(super) is_less: bool,
}

impl Taken {
    /// It could not be used.
    pub(super) fn give_back(self, room: Option<&AtomicI64>) {
        if let Some(room) = room {
            room.fetch_add(self.bytes, Ordering::Relaxed);
        }
    }
}

impl Session {
    pub(super) fn default() -> Self {
        Self {
            token: [0; 16],
            ticks_per_second: 0,
            trusted_clock: None,
            chunks: 1024,
            first_chunks: u32::MAX,
            mode: layout::mode::RING,
            poison: Poison::Restore,
            stacks: false,
            batch: false,
            leave: 0,
            ended: false,
            lengthens: false,
        }
    }

    /// What is left of it for a forked child.
    pub(super) fn share(&mut self) {
        for chunks in [&mut self.chunks, &mut self.first_chunks] {
            *chunks = chunks.div_ceil(CHILD_SHARE).max(4);
        }
    }

    /// Asks for less, by halves, where `free` bytes of the disk are left, or fewer of the recording's own `room`: a program
    /// of a thousand processes must not fill the disk. What is asked for then is taken out of the room, in one step with
    /// the look at it. The least is taken in any case, and the room is below zero then. A ring that gets its room as it
    /// needs it begins with the least, and has no more where others have filled the disk.
    pub(super) fn fit(&mut self, free: Option<u64>, room: Option<&AtomicI64>) -> Taken {
        let for_it = free.map_or(u64::MAX, |free| free.saturating_sub(self.leave));
        let mut taken = Taken::default();
        if self.lengthens {
            self.first_chunks = self.first_chunks.min(SMALLEST);
            // What others have taken of the disk meanwhile is not for recordings.
            if for_it < layout::file_bytes(self.first_chunks() as usize) as u64 {
                taken.is_less |= self.first_chunks() < self.chunks;
                self.chunks = self.first_chunks();
            }
        }
        let mut left = room.map_or(i64::MAX, |room| room.load(Ordering::Relaxed));
        loop {
            taken.is_less |= self.shrink(for_it.min(u64::try_from(left).unwrap_or(0)));
            taken.bytes = layout::file_bytes(self.first_chunks() as usize) as i64;
            let Some(room) = room else { break };
            let rest = left.saturating_sub(taken.bytes);
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            match room.compare_exchange(left, rest, success, failure) {
                Ok(_) => break,
                Err(now) => left = now,
            }
        }
        taken
    }

    /// Asks for less, until it is no more than so many bytes. Says whether less is kept for that.
    fn shrink(&mut self, for_it: u64) -> bool {
        let mut is_less = false;
        while self.first_chunks() > SMALLEST
            && layout::file_bytes(self.first_chunks() as usize) as u64 > for_it
        {
            let half = (self.first_chunks() / 2).max(SMALLEST);
            // A file that grows only begins smaller.
            if self.grows() {
                self.first_chunks = half;
            } else {
                self.chunks = half;
                is_less = true;
            }
        }
        is_less
    }

    /// Chunks that the file has room for at first.
    pub(super) fn first_chunks(&self) -> u32 {
        self.first_chunks.min(self.chunks)
    }

    /// Whether the file grows.
    pub(super) fn grows(&self) -> bool {
        self.mode == layout::mode::STOP && self.first_chunks < self.chunks
    }

    /// Whether the file is to have more room than at first.
    pub(super) fn begins_small(&self) -> bool {
        self.grows() || self.lengthens
    }

    /// Bytes of the file at first, and those of them that it has room for.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let backed = layout::file_bytes(self.first_chunks() as usize);
        if self.lengthens {
            (layout::file_bytes(self.chunks as usize), backed)
        } else {
            (backed, backed)
        }
    }

    /// Whether records share the time of their batch. With call stacks none takes the hot path, and a
    /// simulated clock stands still by itself.
    pub(super) fn is_by_batch(&self) -> bool {
        self.batch && !self.stacks && crate::recorder::simulated::seed().is_none()
    }

    /// Reads `key=value` lines; unknown keys are of newer recorders and ignored.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut session = Self::default();
        let mut protocol = 0;
        for line in text.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(2, |byte| *byte == b'=');
            let (Some(key), Some(value)) = (parts.next(), parts.next()) else {
                continue;
            };
            match key {
                b"protocol" => protocol = number(value)?,
                b"token" => hex(value, &mut session.token),
                b"ticks_per_second" => session.ticks_per_second = number(value)?,
                b"clock" => session.trusted_clock = Some(value != b"monotonic"),
                b"chunks" => {
                    session.chunks = u32::try_from(number(value)?)
                        .ok()?
                        .clamp(4, MAX_CHUNKS as u32);
                }
                b"first_chunks" => {
                    session.first_chunks = u32::try_from(number(value)?).ok()?.max(4);
                }
                b"leave" => session.leave = number(value)?,
                b"mode" if value == b"stop" => session.mode = layout::mode::STOP,
                b"poison" if value == b"keep" => session.poison = Poison::Keep,
                b"poison" if value == b"off" => session.poison = Poison::Off,
                b"ended" => session.ended = value == b"yes",
                b"stacks" => session.stacks = value == b"on",
                b"time" => session.batch = value == b"batch",
                _ => {}
            }
        }
        (protocol == 1).then_some(session)
    }
}

pub(super) fn number(text: &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for digit in text {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!text.is_empty()).then_some(value)
}

fn hex(text: &[u8], bytes: &mut [u8; 16]) {
    for (pair, byte) in text.as_chunks::<2>().0.iter().zip(bytes) {
        let digit = |text: u8| match text {
            b'0'..=b'9' => text - b'0',
            b'a'..=b'f' => text - b'a' + 10,
            _ => 0,
        };
        *byte = pair
            .iter()
            .fold(0, |value, text| (value << 4) | digit(*text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_begin_together_take_no_more_than_there_is() {
        const TOGETHER: i64 = 12;
        let one = layout::file_bytes(64) as i64;
        let least = layout::file_bytes(SMALLEST as usize) as i64;
        let room = AtomicI64::new(0);
        let began = std::sync::Barrier::new(TOGETHER as usize);
        let rounds = |leads: bool| {
            for _ in 0..2000 {
                if leads {
                    room.store(8 * one, Ordering::Relaxed);
                }
                began.wait();
                let mut session = Session::parse(b"protocol=1\nchunks=64\nleave=0\n").unwrap();
                let taken = session.fit(Some(u64::MAX), Some(&room));
                assert_eq!(taken.is_less, taken.bytes < one);
                assert_eq!(
                    taken.bytes,
                    layout::file_bytes(session.first_chunks() as usize) as i64
                );
                began.wait();
                // All that there was, and the least for those who came too late.
                let left = room.load(Ordering::Relaxed);
                assert_eq!(left, -((TOGETHER - 8) * least));
                began.wait();
                // What could not be made after all goes back.
                taken.give_back(Some(&room));
                began.wait();
                assert_eq!(room.load(Ordering::Relaxed), 8 * one);
                began.wait();
            }
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..TOGETHER)
                .map(|at| scope.spawn(move || rounds(at == 0)))
                .collect();
            all.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    #[test]
    fn file_takes_what_is_left_of_the_room_that_recordings_may_take() {
        let of = |text: &[u8], free: u64| {
            let mut session = Session::parse(text)?;
            let is_less = session.fit(Some(free), None).is_less;
            Some((is_less, session.first_chunks(), session.chunks))
        };
        let ring = b"protocol=1\nchunks=64\nmode=ring\nleave=100000000\n";
        let (one, half) = (layout::file_bytes(64) as u64, layout::file_bytes(32) as u64);
        assert_eq!(of(ring, 100_000_000 + one), Some((false, 64, 64)));
        assert_eq!(of(ring, 99_999_999 + one), Some((true, 32, 32)));
        assert_eq!(of(ring, 100_000_000 + half), Some((true, 32, 32)));
        assert_eq!(of(ring, 0), Some((true, 16, 16)));
        let small = b"protocol=1\nchunks=8\nmode=ring\nleave=1\n";
        assert_eq!(of(small, 0), Some((false, 8, 8)));
        // Recorders of before say nothing of it.
        assert_eq!(of(b"protocol=1\nchunks=64\n", one), Some((false, 64, 64)));
        // A ring that gets its room as it needs it begins with the least, and finds out how long it may be.
        let lengthened = |free: u64, room: i64| {
            let mut session = Session::parse(ring)?;
            session.lengthens = true;
            let room = AtomicI64::new(room);
            let is_less = session.fit(Some(free), Some(&room)).is_less;
            Some((
                is_less,
                session.first_chunks(),
                session.chunks,
                room.into_inner(),
            ))
        };
        let least = layout::file_bytes(16) as i64;
        let enough = 100_000_000 + least as u64;
        assert_eq!(lengthened(enough, least), Some((false, 16, 64, 0)));
        assert_eq!(lengthened(enough, 0), Some((false, 16, 64, -least)));
        assert_eq!(lengthened(enough - 1, 0), Some((true, 16, 16, -least)));
        let grows = b"protocol=1\nchunks=1000\nmode=stop\nfirst_chunks=256\nleave=0\n";
        assert_eq!(of(grows, one), Some((false, 64, 1000)));
    }
}
