//! A live file can be read at any moment: no lap is mixed with another, and what is missing is counted.
//!
//! Four threads of `hammer` write as fast as they can while this process reads their file again and again,
//! as `check` and `view` do. Records carry their thread and their number, so that order and gaps can be
//! compared with the losses that the trace counts. `TRACER_SOAK_SECONDS` says for how long:
//!
//! ```text
//! TRACER_SOAK_SECONDS=600 cargo test -p tracer --release --test end_to_end soak -- --nocapture
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use traces::read::Beside;
use traces::{Input, ReadAt, Trace};

use crate::account::{Account, Writer};
use crate::hammered::{Acknowledged, Hammered};
use crate::support::memory_folder;

/// In an ordinary run of the tests.
const SECONDS: u64 = 10;

/// Small enough to go round many times while it is read, and larger than one reading.
const SESSIONS: [&str; 3] = [
    "protocol=1\nchunks=8\nmode=ring\n",
    "protocol=1\nchunks=64\nmode=ring\n",
    "protocol=1\nchunks=256\nmode=ring\n",
];

/// A file that is read as it is at the moment, and never mapped; now and then its reader is held up between two
/// looks, so that threads move on to other chunks meanwhile.
struct Live {
    file: File,
    looks: AtomicU64,
}

impl Live {
    fn hold_up(&self) {
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        // Spread over all places of the file, and of any length up to a lap of the smallest ring.
        let spread = look.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        if spread.is_multiple_of(8) {
            std::thread::sleep(Duration::from_micros(spread / 8 % 1500));
        }
    }
}

impl ReadAt for Live {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.len() <= 8 * wire::layout::CHUNK_HEADER_WORDS {
            self.hold_up();
        }
        FileExt::read_at(&self.file, buffer, offset)
    }
}

#[test]
fn live_file_is_read_without_mixing_laps() {
    let seconds = std::env::var("TRACER_SOAK_SECONDS").map_or(SECONDS, |value| {
        value.parse().expect("TRACER_SOAK_SECONDS is a number")
    });
    let each = Duration::from_secs(seconds) / SESSIONS.len() as u32;
    for session in SESSIONS {
        let folder = memory_folder();
        let mut hammered = Hammered::alone(folder.path(), session, &[]);
        let program = hammered.wait_for(1);
        let live = Live {
            file: File::open(hammered.file()).unwrap(),
            looks: AtomicU64::new(0),
        };
        let mut all = Account::default();
        let mut readings = 0u64;
        let started = Instant::now();
        while started.elapsed() < each || readings == 0 {
            let acknowledged = Acknowledged::read(&hammered.ack);
            let input = Input {
                name: "live",
                bytes: &live,
            };
            // Every other time a second thread reads ahead.
            let trace = std::thread::scope(|scope| {
                let beside: Beside<'_, '_> = &|work| {
                    scope.spawn(work);
                    true
                };
                let beside = Some(beside).filter(|_| readings % 2 == 1);
                Trace::read_beside(&[input], &|_| {}, beside)
            });
            let trace = trace.expect("a live file can be read");
            all.add(Account::of(&trace, &acknowledged, Writer::Live));
            readings += 1;
            let wrong = [&all.corrupt[..], &all.places[..]].concat();
            assert!(
                wrong.is_empty(),
                "reading {readings} of {session:?}: {wrong:#?}"
            );
        }
        let made: u64 = Acknowledged::read(&hammered.ack).own.iter().sum();
        program.end(Signal::KILL);
        hammered.parent.wait().unwrap();
        let seconds = each.as_secs();
        println!(
            "{session:?}: {seconds} s, {made} records made, {readings} readings of {} records, \
             {} missing and counted, {} missing and not, {} corrupt",
            all.recovered,
            all.counted,
            all.lost,
            all.corrupt.len()
        );
    }
}
