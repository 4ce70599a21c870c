//! The viewer over a long recording: what it takes of memory, how soon the first frame is there, and how soon a key is
//! answered, in a terminal of its own.
//!
//! A program is recorded that does NOPs and polls coroutines, for as many events as `--events=N` says (a hundred
//! million of them are 3 GiB on the way, in the folder of `TMPDIR` or in `/var/tmp`); it is sealed, shown by the viewer as
//! `tracer view` shows it, and typed at. Reading is told as a ratio to adding up the words of the recording. Then the same
//! with times by batch, and with a program that does one thing wrong again and again, so that there is more to look back
//! at than a verdict usually rests on.

mod frames;
mod pty;

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use traces::events::Aside;
use traces::read::bundle::{self, ProcessWriter};
use traces::watch::Watch;
use traces::{Input, ReadAt, Trace};
use tui::live::Reading;
use tui::{Feed, Options};
use wire::layout::{self, CHUNK_BYTES};

use crate::measure::is_quick;
use crate::program::{Nops, Recorded, Tool};
use crate::session;
use pty::Terminal;

/// Columns and rows of the screen.
const SCREEN: (u16, u16) = (200, 60);

/// Bytes of the ring that an event takes, and then some.
const BYTES: u64 = 32;

/// How many events there are to be; 0 where nobody says so.
static EVENTS: AtomicU64 = AtomicU64::new(0);

/// As many events as this says; false where it says nothing.
pub fn set_events(number: &str) -> bool {
    let number = number.parse();
    if let Ok(number) = number {
        EVENTS.store(number, Ordering::Relaxed);
    }
    number.is_ok()
}

/// What is typed, what it is, and what the screen says once all of it is there.
type Typed = (&'static str, &'static str, fn(&str) -> bool);

fn events() -> u64 {
    match (EVENTS.load(Ordering::Relaxed), is_quick()) {
        (0, true) => 200_000,
        (0, false) => 10_000_000,
        (wanted, _) => wanted,
    }
}

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Each event has its time, and little is wrong.
    Usual,
    /// Times are by batch.
    ByBatch,
    /// One event in five is one more finding.
    Wrong,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Usual, Self::ByBatch, Self::Wrong];

    /// What it is, and its session and program.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Usual => ("", "viewer", "viewer"),
            Self::ByBatch => (", times by batch", "viewer-batch", "viewer"),
            Self::Wrong => (", one in five of them a finding", "viewer", "viewer-wrong"),
        }
    }
}

/// Prints what it was like.
pub fn run() {
    for kind in Kind::ALL {
        if let Err(why) = measure(kind) {
            println!("the viewer over a long recording: not measured: {why}\n");
        }
    }
}

fn measure(kind: Kind) -> Result<(), String> {
    let events = events();
    let folder = tempfile::Builder::new()
        .prefix("tracer-bench-")
        .tempdir_in(room())
        .map_err(|error| error.to_string())?;
    let (file, scan) = record(kind, events, folder.path())?;
    let mib = std::fs::metadata(&file).map_or(0, |it| it.len()) >> 20;
    println!(
        "the viewer over some {events} events{}, {mib} MiB at rest, screen of {SCREEN:?}",
        kind.names().0
    );
    let begun = Instant::now();
    let mut terminal = Terminal::start(&file, SCREEN).map_err(|it| it.to_string())?;
    terminal.wait("a first frame", |screen| !screen.trim().is_empty())?;
    let first = begun.elapsed();
    terminal.wait("the verdict", |screen| {
        !screen.contains("Reading") && screen.contains("event")
    })?;
    let read = begun.elapsed();
    line("first frame", first);
    line("all is read and judged", read);
    println!(
        "  {:<44} {:>9.1} times adding up the words of the recording",
        "",
        read.as_secs_f64() / scan.as_secs_f64().max(1e-9)
    );
    memory("memory then, at most", &terminal);
    let keys: [Typed; 12] = [
        ("3", "events", |screen| screen.contains("events")),
        ("G", "the last event", |_| true),
        ("gg", "the first event", |_| true),
        ("50%", "the middle", |_| true),
        ("\r", "a life", |screen| {
            screen.contains("Biography of") && !screen.contains("looking through")
        }),
        ("4", "timeline", |screen| {
            screen.contains("Timeline from") && !screen.contains(", looking")
        }),
        ("++++++++++++++++", "closer", |screen| {
            screen.contains("Timeline from") && !screen.contains(", looking")
        }),
        ("l", "a column on", |screen| !screen.contains(", looking")),
        ("6", "rings", |screen| {
            screen.contains("In flight over time")
        }),
        ("7", "objects", |screen| screen.contains("held at")),
        ("/", "a filter", |_| true),
        ("kind:suspend\r", "what it finds", |screen| {
            screen.contains(" with kind:suspend") && !screen.contains("searched")
        }),
    ];
    for (keys, what, is_there) in keys {
        // The program that does one thing wrong has no ring.
        if kind == Kind::Wrong && what == "rings" {
            continue;
        }
        terminal.settle()?;
        let begun = Instant::now();
        terminal.type_keys(keys);
        terminal.wait_for_answer()?;
        let answered = begun.elapsed();
        terminal.wait(what, is_there)?;
        let done = begun.elapsed();
        println!(
            "  {what:<44} {:>9.1} ms to an answer, {:>9.1} ms until all is there",
            answered.as_secs_f64() * 1e3,
            done.as_secs_f64() * 1e3
        );
    }
    memory("memory in all, at most", &terminal);
    terminal.type_keys("Q");
    drop(terminal);
    if kind == Kind::Usual {
        frames::run(&file)?;
    }
    println!();
    Ok(())
}

fn line(what: &str, time: Duration) {
    println!("  {what:<44} {:>9.1} ms", time.as_secs_f64() * 1e3);
}

fn memory(what: &str, terminal: &Terminal) {
    let mib = terminal.peak_kib() / 1024;
    println!("  {what:<44} {mib:>9} MiB");
}

/// Where much can be put.
fn room() -> PathBuf {
    let wanted = std::env::var_os("TMPDIR").map(PathBuf::from);
    let large = PathBuf::from("/var/tmp");
    wanted.unwrap_or_else(|| {
        if large.is_dir() {
            large
        } else {
            std::env::temp_dir()
        }
    })
}

/// The viewer: `work show-FILE`, in a terminal.
pub fn show(path: &str) {
    let path = PathBuf::from(path);
    let options = Options {
        title: path.display().to_string(),
        ..Options::default()
    };
    let feed = Feed::new(move |reports| {
        let read = read_paged(&path, &|step| {
            reports.reading(Reading {
                doing: format!("{:?}", step.stage),
                percent: Some((step.done * 100 / step.total.max(1)) as u8),
                left: None,
                found: step.found.iter().collect(),
            });
        });
        match read {
            Ok(trace) => {
                let verdict = trace.verdict().clone();
                reports.trace(trace, verdict, None);
            }
            Err(_) => reports.give_up(),
        }
    });
    tui::run_feed(feed, options, &tui::Nobody).expect("there is a terminal");
}

/// As `tracer view` reads.
fn read_paged(path: &Path, watch: Watch<'_>) -> Result<Trace, String> {
    let file = OnDisk(File::open(path).map_err(|error| error.to_string())?);
    let input = Input {
        name: "long.trace",
        bytes: &file,
    };
    Trace::read_paged(&[input], i64::MAX, aside, watch).map_err(|it| it.to_string())
}

#[derive(Debug)]
struct OnDisk(File);

impl ReadAt for OnDisk {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        FileExt::read_at(&self.0, buffer, offset)
    }
}

impl Aside for OnDisk {
    fn put(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn get(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

fn aside() -> std::io::Result<Box<dyn Aside>> {
    Ok(Box::new(OnDisk(tempfile::tempfile_in(room())?)))
}

/// Records and seals; gives the sealed file, and how long adding up the recording's words takes.
fn record(kind: Kind, events: u64, folder: &Path) -> Result<(PathBuf, Duration), String> {
    let (_, session, name) = kind.names();
    let chunks = usize::try_from(events * BYTES / CHUNK_BYTES as u64 + 64).unwrap_or(usize::MAX);
    let session = session::folder_for(folder, session, chunks);
    let mut program = Command::new(std::env::current_exe().expect("own path"));
    program.args(["work", &format!("{name}-{events}")]);
    program.env("TRACER_DIR", session.path());
    let status = program.stdout(Stdio::null()).status();
    if !status.map_err(|error| error.to_string())?.success() {
        return Err("the program to be recorded failed".into());
    }
    let seal = || -> std::io::Result<(PathBuf, Duration)> {
        let raw = raw_file(&session)?;
        let scan = scan(&raw)?;
        Ok((sealed(&raw, folder)?, scan))
    };
    seal().map_err(|error| error.to_string())
}

fn raw_file(session: &TempDir) -> std::io::Result<PathBuf> {
    for entry in std::fs::read_dir(session.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "trc") {
            return Ok(path);
        }
    }
    Err(std::io::Error::other("nothing was recorded"))
}

/// Goes through the chunks of a recording.
fn each_chunk(
    raw: &Path,
    mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut file = File::open(raw)?;
    file.seek(SeekFrom::Start(layout::chunk_offset() as u64))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    while file.read_exact(&mut chunk).is_ok() && chunk.iter().any(|byte| *byte != 0) {
        each(&chunk)?;
    }
    Ok(())
}

fn scan(raw: &Path) -> std::io::Result<Duration> {
    let begun = Instant::now();
    let mut sum = 0u64;
    each_chunk(raw, |chunk| {
        let words = chunk.chunks_exact(8);
        let words = words.map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
        sum = words.fold(sum, u64::wrapping_add);
        Ok(())
    })?;
    black_box(sum);
    Ok(begun.elapsed())
}

fn sealed(raw: &Path, folder: &Path) -> std::io::Result<PathBuf> {
    let path = folder.join("long.trace");
    let mut out = File::create(&path)?;
    bundle::write_header(&mut out)?;
    let mut writer = ProcessWriter::begin(&mut out)?;
    let mut head = vec![0; layout::chunk_offset()];
    File::open(raw)?.read_exact(&mut head)?;
    writer.piece(&head)?;
    each_chunk(raw, |chunk| writer.piece(chunk))?;
    writer.finish()?;
    std::fs::remove_file(raw)?;
    Ok(path)
}

/// A type of its own, of which one is never taken back.
struct Kept(#[expect(dead_code, reason = "it only has to lie somewhere")] u64);

/// The program `viewer-EVENTS`, or `viewer-wrong-EVENTS`.
pub fn program(name: &str) {
    let (does_wrong, events) = match name.strip_prefix("viewer-wrong-") {
        Some(events) => (true, events),
        None => (false, name.trim_start_matches("viewer-")),
    };
    let events: u64 = events.parse().expect("viewer-EVENTS");
    if does_wrong {
        return wrong(events);
    }
    const BATCH: u32 = 32;
    /// Events of an operation: a claim, a leak, a submission, a completion and a reclaim; and some enters.
    const EVENTS: u64 = 4;
    let mut ring = Nops::<Recorded>::new(BATCH).expect("the kernel permits a ring");
    let coroutines: Vec<_> = (0..64).map(|_| Recorded::spawned()).collect();
    let mut left = events;
    let mut kept = 0;
    while left > 0 {
        ring.run(BATCH * 32);
        for coroutine in &coroutines {
            Recorded::resumed(*coroutine, 0, 7);
            Recorded::suspended(*coroutine, 7);
        }
        if kept < 100 {
            kept += 1;
            black_box(probe::into_raw(Box::new(Kept(kept))));
        }
        left = left.saturating_sub(u64::from(BATCH) * 32 * EVENTS + 128);
    }
}

/// Coroutines that are resumed once more when they are done, each some while after the one before.
fn wrong(events: u64) {
    for _ in 0..events / 5 {
        let coroutine = Recorded::spawned();
        coroutine.resumed(None);
        coroutine.done();
        coroutine.resumed(None);
        coroutine.dropped();
    }
}
