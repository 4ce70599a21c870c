//! The session file: what the recorder tells the probe, as `key=value` lines.

use super::clock::Clock;
use super::folder::{Folder, hex, random};
use super::{Poison, Room, Times, budget};

use anyhow::{Context, Result};

/// Name of the session file in a recording folder.
pub(crate) const NAME: &str = "session";
/// The environment variable by which a recording reaches a program.
pub(crate) const VARIABLE: &str = "TRACER_DIR";
/// Version of the agreement between recorder and probe.
const PROTOCOL: u32 = 1;
/// Chunks of 64 KiB that a growing file has room for at first: a part of what it may have, within limits.
const FIRST_PART: u64 = 16;
const FIRST_CHUNKS: (u64, u64) = (16, 256);
/// All processes together take this part of what is free where the recording lies, or as much as one asks for; who comes
/// later takes less.
const PART_OF_DISK: u64 = 4;

/// What one recording asks of every process in it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// How much each process keeps.
    pub(crate) room: Room,
    /// What becomes of poison that a program hands to the kernel.
    pub(crate) poison: Poison,
    /// Whether processes record call stacks.
    pub(crate) stacks: bool,
    /// What has a time of its own.
    pub(crate) times: Times,
    clock: Clock,
    token: String,
}

impl Session {
    /// A new one, with a token of its own.
    pub(crate) fn new(room: Room, poison: Poison, stacks: bool, times: Times) -> Result<Self> {
        let token = hex(&random().context("cannot get random bytes from the kernel")?);
        Ok(Self {
            room,
            poison,
            stacks,
            times,
            clock: Clock::measure(),
            token,
        })
    }

    fn mode_word(&self) -> &'static str {
        match self.room {
            Room::Ring(_) => "ring",
            Room::Grow(_) => "stop",
        }
    }

    /// The line that has files begin small.
    fn first_chunks(&self) -> String {
        match self.room {
            Room::Ring(_) => String::new(),
            Room::Grow(_) => {
                let part = self.room.chunks() / FIRST_PART;
                format!(
                    "first_chunks={}\n",
                    part.clamp(FIRST_CHUNKS.0, FIRST_CHUNKS.1)
                )
            }
        }
    }

    fn stacks_word(&self) -> &'static str {
        if self.stacks { "on" } else { "off" }
    }

    /// Bytes that all processes together may take, where `free` are.
    fn budget(&self, free: u64) -> u64 {
        let chunks = usize::try_from(self.room.chunks()).unwrap_or(usize::MAX >> 20);
        let one = wire::layout::file_bytes(chunks) as u64;
        (free / PART_OF_DISK).max(one)
    }

    /// Bytes that are left to others.
    fn leave(&self, free: u64) -> u64 {
        free.saturating_sub(self.budget(free))
    }

    /// The file's text, where `free` bytes of the disk are.
    fn text(&self, free: u64) -> String {
        format!(
            "protocol={PROTOCOL}\ntoken={}\nticks_per_second={}\nclock={}\nchunks={}\nmode={}\n{}\
             leave={}\npoison={}\nstacks={}\ntime={}\n",
            self.token,
            self.clock.ticks_per_second,
            self.clock.name,
            self.room.chunks(),
            self.mode_word(),
            self.first_chunks(),
            self.leave(free),
            self.poison.word(),
            self.stacks_word(),
            self.times.word(),
        )
    }

    /// Puts it into the recording folder.
    pub(crate) fn write(&self, folder: &Folder) -> Result<()> {
        let free = folder.free_bytes();
        budget::make(folder.path(), self.budget(free))
            .and_then(|()| folder.write(NAME, &self.text(free)))
            .with_context(|| {
                format!(
                    "cannot write the session file in {}; `--dir DIR` names another place",
                    crate::safe::path(folder.path())
                )
            })
    }

    /// The recording's token, as files have it.
    pub(super) fn token(&self) -> [u8; 16] {
        u128::from_str_radix(&self.token, 16)
            .unwrap_or(0)
            .to_be_bytes()
    }

    /// What the sealed file keeps of it; the token is of no use once the recording is over.
    pub(crate) fn info(&self) -> Vec<(&'static str, String)> {
        vec![
            ("recorder_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("ticks_per_second", self.clock.ticks_per_second.to_string()),
            ("clock", self.clock.name.to_owned()),
            ("chunks", self.room.chunks().to_string()),
            ("mode", self.mode_word().to_owned()),
            ("poison", self.poison.word().to_owned()),
            ("stacks", self.stacks_word().to_owned()),
            ("time", self.times.word().to_owned()),
        ]
    }
}

/// Has processes that come from now on not record. Replaced as a whole: somebody may just be reading it.
pub(crate) fn end(folder: &Folder) -> Result<()> {
    const NEXT: &str = "session.next";
    let path = |name| folder.path().join(name);
    let replace = || {
        let text = std::fs::read_to_string(path(NAME))?;
        folder.write(NEXT, &(text + "ended=yes\n"))?;
        std::fs::rename(path(NEXT), path(NAME))
    };
    replace().with_context(|| {
        let folder = crate::safe::path(folder.path());
        format!("cannot end the recording for programs that start from now on, in {folder}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_every_key_once_and_a_128_bit_token() {
        let session =
            Session::new(Room::Ring(64 << 20), Poison::Restore, true, Times::Batch).unwrap();
        let text = session.text(16 << 30);
        let keys: Vec<_> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        assert_eq!(
            keys.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
            [
                "protocol",
                "token",
                "ticks_per_second",
                "clock",
                "chunks",
                "mode",
                "leave",
                "poison",
                "stacks",
                "time"
            ]
        );
        assert_eq!(keys[1].1.len(), 32);
        assert_eq!(keys[4].1, "1024");
        assert_eq!(keys[6].1, (12u64 << 30).to_string());
        assert_eq!(keys[7].1, "restore");
        assert_eq!(keys[8].1, "on");
        assert_eq!(keys[9].1, "batch");
        // The first process gets what it asks for.
        assert!(session.text(64 << 20).contains("\nleave=0\n"));
        assert!(text.ends_with('\n'));
        let grows = Session::new(Room::Grow(4 << 30), Poison::Off, false, Times::Event).unwrap();
        let text = grows.text(0);
        assert!(
            text.contains("\nchunks=65536\nmode=stop\nfirst_chunks=256\nleave=0\npoison=off\n")
        );
    }
}
