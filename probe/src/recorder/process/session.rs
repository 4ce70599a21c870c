//! What the recorder wrote into its folder for the programs that it starts: the file `session`.

use wire::layout;

use super::{MAX_CHUNKS, Poison};

/// A forked child that never calls `exec` keeps this fraction of what its parent keeps: servers fork
/// by the hundred, and each file's room is taken from the disk at once.
const CHILD_SHARE: u32 = 16;

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
    /// Whether the recording is over for whoever comes now.
    pub(super) ended: bool,
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
            ended: false,
        }
    }

    /// What is left of it for a forked child.
    pub(super) fn share(&mut self) {
        for chunks in [&mut self.chunks, &mut self.first_chunks] {
            *chunks = chunks.div_ceil(CHILD_SHARE).max(4);
        }
    }

    /// Chunks that the file has room for at first.
    pub(super) fn first_chunks(&self) -> u32 {
        self.first_chunks.min(self.chunks)
    }

    /// Whether the file grows.
    pub(super) fn grows(&self) -> bool {
        self.mode == layout::mode::STOP && self.first_chunks < self.chunks
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
