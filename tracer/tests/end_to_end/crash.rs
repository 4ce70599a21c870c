//! No acknowledged record is lost, whoever is killed, how, and when.
//!
//! A kill is one run of `hammer` that is ended at a random count of records; then the trace is compared
//! with the acknowledgements. The ways to record and to end take turns. `TRACER_KILLS` says how many
//! kills there are, `TRACER_SEED` repeats a run; the table is printed:
//!
//! ```text
//! TRACER_KILLS=1000 cargo test -p tracer --release --test end_to_end crash -- --nocapture
//! ```

use std::fmt::Write as _;
use std::path::Path;

use rustix::process::Signal;
use traces::recording::Ended;

use crate::account::{Account, Writer};
use crate::hammered::{Acknowledged, Hammered};
use crate::support::{end_of, entries, memory_folder, read};

/// Kills in an ordinary run of the tests.
const KILLS: u64 = 64;

/// Who records, and how.
#[derive(Clone, Copy)]
enum By {
    /// `tracer record` with so much room, and the file that it seals.
    Recorder(&'static str),
    /// Nobody but the program, and the file as it left it: chunks and mode.
    Alone(&'static str),
}

/// How it ends.
#[derive(Clone, Copy)]
enum End {
    Signal(Signal),
    /// Stopped, looked at, killed, and looked at again.
    Stopped,
    /// The recorder is killed, then the program.
    RecorderFirst,
    /// Recorder and program at once.
    Both,
}

struct Way {
    name: &'static str,
    by: By,
    options: &'static [&'static str],
    end: End,
    /// Records are made until a random count of at least this many.
    after: u64,
}

const LARGE: By = By::Recorder("--ring=16MiB");
const SMALL: By = By::Recorder("--ring=1MiB");
const GROWING: By = By::Recorder("--grow=16MiB");
const EIGHT: By = By::Alone("protocol=1\nchunks=8\nmode=ring\n");
const STOP_MODE: By = By::Alone("protocol=1\nchunks=16\nmode=stop\n");

#[rustfmt::skip]
const WAYS: [Way; 16] = [
    way("SIGKILL, 16 MiB", LARGE, &[], End::Signal(Signal::KILL), 8),
    way("SIGKILL, 1 MiB, wrapped", SMALL, &[], End::Signal(Signal::KILL), 60_000),
    way("SIGKILL, 8 chunks, wrapped", EIGHT, &[], End::Signal(Signal::KILL), 30_000),
    way("SIGKILL, stop mode, full", STOP_MODE, &[], End::Signal(Signal::KILL), 40_000),
    way("SIGKILL, stop mode", STOP_MODE, &[], End::Signal(Signal::KILL), 8),
    way("SIGSEGV, 1 MiB", SMALL, &[], End::Signal(Signal::SEGV), 1_000),
    way("SIGABRT, 1 MiB", SMALL, &[], End::Signal(Signal::ABORT), 1_000),
    way("SIGTERM, 1 MiB", SMALL, &[], End::Signal(Signal::TERM), 1_000),
    way("SIGSTOP, then SIGKILL, 8 chunks", EIGHT, &[], End::Stopped, 1_000),
    way("handler, SIGKILL, 8 chunks", EIGHT, &["--handler"], End::Signal(Signal::KILL), 30_000),
    way("handler, SIGKILL, 16 MiB", LARGE, &["--handler"], End::Signal(Signal::KILL), 8),
    way("handler, SIGSEGV, 1 MiB, wrapped", SMALL, &["--handler"], End::Signal(Signal::SEGV), 60_000),
    way("SIGKILL, growing", GROWING, &[], End::Signal(Signal::KILL), 50_000),
    way("recorder, then program, growing", GROWING, &[], End::RecorderFirst, 50_000),
    way("recorder, then program", SMALL, &[], End::RecorderFirst, 1_000),
    way("recorder and program", SMALL, &["--handler"], End::Both, 1_000),
];

const fn way(
    name: &'static str,
    by: By,
    options: &'static [&'static str],
    end: End,
    after: u64,
) -> Way {
    Way {
        name,
        by,
        options,
        end,
        after,
    }
}

/// The line of a way in the table.
#[derive(Default)]
struct Row {
    kills: u64,
    account: Account,
}

#[test]
fn no_acknowledged_record_is_lost() {
    let kills = number("TRACER_KILLS").unwrap_or(KILLS);
    let seed = number("TRACER_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("TRACER_KILLS={kills} TRACER_SEED={seed}");
    let mut random = seed;
    let mut rows: Vec<Row> = WAYS.iter().map(|_| Row::default()).collect();
    let folder = memory_folder();
    for kill in 0..kills {
        let (way, row) = (
            &WAYS[(kill % WAYS.len() as u64) as usize],
            &mut rows[(kill % WAYS.len() as u64) as usize],
        );
        // Knuth's multiplier for 64 bits.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        // Early and late alike: as many kills for each doubling.
        let spread = 1 << (random >> 32 & 15);
        let count = way.after + (random >> 40) % spread;
        let here = folder.path().join(kill.to_string());
        std::fs::create_dir(&here).unwrap();
        let mut account = way.kill(&here, count);
        for message in account.corrupt.iter_mut().chain(&mut account.places) {
            *message = format!("kill {kill}, at {count}, {}: {message}", way.name);
        }
        row.kills += 1;
        row.account.add(account);
        std::fs::remove_dir_all(&here).unwrap();
    }
    let table = table(&rows);
    println!("{table}");
    let wrong = |row: &'_ Row| [&row.account.corrupt[..], &row.account.places[..]].concat();
    let wrong: Vec<_> = rows.iter().flat_map(wrong).collect();
    let lost: u64 = rows.iter().map(|row| row.account.lost).sum();
    assert!(wrong.is_empty() && lost == 0, "{wrong:#?}");
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

impl Way {
    fn kill(&self, folder: &Path, count: u64) -> Account {
        let mut hammered = match self.by {
            By::Recorder(ring) => Hammered::under_a_recorder(folder, ring, self.options),
            By::Alone(session) => Hammered::alone(folder, session, self.options),
        };
        let program = hammered.wait_for(count);
        let file = hammered.file();
        match self.end {
            End::Signal(signal) => {
                program.end(signal);
                end_of(hammered.parent).dies_by(signal.as_raw());
                match self.by {
                    By::Recorder(_) => sealed(folder, signal, &hammered.raw, &hammered.ack),
                    By::Alone(_) => compare(&file, &hammered.ack),
                }
            }
            End::Stopped => {
                program.stop();
                let before = compare(&file, &hammered.ack);
                program.end(Signal::KILL);
                end_of(hammered.parent).dies_by(Signal::KILL.as_raw());
                let after = compare(&file, &hammered.ack);
                assert_eq!(before.recovered, after.recovered, "the death changed it");
                after
            }
            End::RecorderFirst => {
                hammered.parent.kill().unwrap();
                hammered.parent.wait().unwrap();
                let made = || Acknowledged::read(&hammered.ack).own.iter().sum::<u64>();
                let more = made() + 1_000;
                while made() < more {
                    std::thread::yield_now();
                }
                program.end(Signal::KILL);
                compare(&file, &hammered.ack)
            }
            End::Both => {
                hammered.parent.kill().unwrap();
                program.end(Signal::KILL);
                hammered.parent.wait().unwrap();
                compare(&file, &hammered.ack)
            }
        }
    }
}

/// What the recorder made of it.
fn sealed(folder: &Path, signal: Signal, raw: &Path, ack: &Path) -> Account {
    assert!(entries(raw).is_empty(), "the recording folder stayed");
    let file = folder.join("trace.bin");
    let ended = read(&file).recording().processes[0].ended;
    let is_told = matches!(ended, Ended::Killed { signal: by, .. } if by == signal.as_raw());
    assert!(is_told, "{ended:?}");
    compare(&file, ack)
}

fn compare(file: &Path, ack: &Path) -> Account {
    Account::of(&read(file), &Acknowledged::read(ack), Writer::Still)
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:34} {:>6} {:>12} {:>9} {:>12} {:>10} {:>8} {:>6}\n",
        "", "kills", "recovered", "handler's", "overwritten", "acked lost", "corrupt", "torn"
    );
    let mut total = Row::default();
    let mut line = |name: &str, row: &Row| {
        let Account {
            recovered,
            handled,
            counted,
            lost,
            corrupt,
            torn,
            places: _,
        } = &row.account;
        let (kills, corrupt) = (row.kills, corrupt.len());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:34} {kills:6} {recovered:12} {handled:9} {counted:12} {lost:10} {corrupt:8} {torn:6}"
        );
    };
    for (way, row) in WAYS.iter().zip(rows) {
        line(way.name, row);
        total.kills += row.kills;
        total.account.recovered += row.account.recovered;
        total.account.handled += row.account.handled;
        total.account.counted += row.account.counted;
        total.account.lost += row.account.lost;
        total.account.torn += row.account.torn;
        total
            .account
            .corrupt
            .extend(row.account.corrupt.iter().cloned());
    }
    line("all", &total);
    text
}
