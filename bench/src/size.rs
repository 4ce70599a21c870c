//! How many bytes an event takes: in the ring while the program runs, and in the sealed file.

use std::io::{self, Cursor};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use traces::read::bundle::{self, ProcessWriter};
use traces::{Input, Trace};
use wire::layout::{self, CHUNK_BYTES, ChunkKind, chunk};

use crate::measure::is_quick;
use crate::program::{Echo, Nops, Reads, Recorded};
use crate::{analysis, session, viewer};

/// Programs to look at, with their names on the command line.
const WORKS: [(&str, &str); 6] = [
    ("nop-32", "NOP, batches of 32"),
    ("nop-1", "NOP, one at a time"),
    ("read-32", "4 KiB reads, batches of 32"),
    ("echo", "echo over TCP"),
    ("demo-echo", "demo-runtime: echo"),
    ("demo-files", "demo-runtime: files"),
];

/// Prints the table.
pub fn run() {
    println!("bytes of an event");
    println!(
        "  {:<34} {:>10} {:>10} {:>10}",
        "", "events", "in ring", "at rest"
    );
    for (name, title) in WORKS {
        match measure(name) {
            Ok(Size { events, ring, rest }) => {
                let of = |bytes: usize| bytes as f64 / events as f64;
                println!(
                    "  {title:<34} {events:>10} {:>10.2} {:>10.2}",
                    of(ring),
                    of(rest)
                );
            }
            Err(why) => println!("  {title:<34} not measured: {why}"),
        }
    }
    println!();
}

/// Bytes, and events that they hold.
struct Size {
    events: usize,
    ring: usize,
    rest: usize,
}

fn measure(name: &str) -> Result<Size, String> {
    look(&recorded(name)?).map_err(|error| error.to_string())
}

/// What a program recorded, as it lies in the ring.
pub fn recorded(name: &str) -> Result<Vec<u8>, String> {
    recorded_to(&session::folder("size"), name)
}

/// The same of a ring that has room for so many chunks.
pub fn recorded_within(name: &str, chunks: usize) -> Result<Vec<u8>, String> {
    recorded_to(&session::folder_with("size", chunks), name)
}

fn recorded_to(folder: &TempDir, name: &str) -> Result<Vec<u8>, String> {
    let mut program = Command::new(std::env::current_exe().expect("own path"));
    program
        .args(["work", name])
        .args(is_quick().then_some("--quick"));
    program.env("TRACER_DIR", folder.path());
    let output = program.stdout(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        let talk = String::from_utf8_lossy(&output.stderr);
        return Err(talk.lines().next().unwrap_or("no message").to_owned());
    }
    only_file(folder.path()).map_err(|error| error.to_string())
}

/// The process file in a recorder's folder.
fn only_file(folder: &Path) -> io::Result<Vec<u8>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "trc") {
            let mut raw = std::fs::read(path)?;
            // Chunks that were never used are no part of what was recorded.
            let used = used(&raw[layout::chunk_offset()..]).next_multiple_of(CHUNK_BYTES);
            raw.truncate(layout::chunk_offset() + used);
            return Ok(raw);
        }
    }
    Err(io::Error::other("nothing was recorded"))
}

fn look(raw: &Vec<u8>) -> Result<Size, Box<dyn std::error::Error>> {
    let input = Input {
        name: "ring",
        bytes: raw,
    };
    let trace = Trace::read(&[input])?;
    if !trace.recording().losses.is_empty() {
        return Err("the ring was too small, and records were lost".into());
    }
    let (head, chunks) = raw
        .split_at_checked(layout::chunk_offset())
        .ok_or("the recording has no chunks")?;
    let chunks: Vec<&[u8]> = chunks.chunks(CHUNK_BYTES).filter(|c| used(c) > 0).collect();
    let events = chunks.iter().filter(|chunk| holds_events(chunk));
    Ok(Size {
        events: trace.events().len(),
        ring: events.map(|chunk| used(chunk)).sum(),
        rest: sealed_parts(head, &chunks)?.len(),
    })
}

/// Bytes of a chunk up to the last that was written; the recording never went round.
fn used(chunk: &[u8]) -> usize {
    let last = chunk.iter().rposition(|byte| *byte != 0);
    last.map_or(0, |at| (at + 1).next_multiple_of(8))
}

fn holds_events(words: &[u8]) -> bool {
    let at = chunk::LANE_KIND * 8;
    let word = words[at..at + 8].try_into().map(u64::from_le_bytes);
    word.is_ok_and(|word| layout::unpack_lane_kind(word).1 == Some(ChunkKind::Event))
}

/// The sealed file of a process file, packed as `tracer record` does it.
pub fn sealed(raw: &[u8]) -> io::Result<Vec<u8>> {
    let parts = raw.split_at_checked(layout::chunk_offset());
    let (head, chunks) = parts.ok_or_else(|| io::Error::other("the recording has no chunks"))?;
    sealed_parts(head, &chunks.chunks(CHUNK_BYTES).collect::<Vec<_>>())
}

fn sealed_parts(head: &[u8], chunks: &[&[u8]]) -> io::Result<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    bundle::write_header(&mut out)?;
    let mut writer = ProcessWriter::begin(&mut out)?;
    writer.piece(head)?;
    for chunk in chunks {
        writer.piece(chunk)?;
    }
    writer.finish()?;
    Ok(out.into_inner())
}

/// The programs: `work NAME`, in a process of its own.
pub fn work(name: &str) {
    if let Some(path) = name.strip_prefix("show-") {
        return viewer::show(path);
    }
    assert!(probe::is_recording(), "nothing records");
    let some = if is_quick() { 6_400 } else { 64_000 };
    let ring = "the kernel permits a ring";
    match name {
        "nop-32" => Nops::<Recorded>::new(32).expect(ring).run(some),
        "nop-1" => Nops::<Recorded>::new(1).expect(ring).run(some),
        "read-32" => Reads::<Recorded>::new(32).expect(ring).run(some),
        "echo" => Echo::<Recorded>::new().expect(ring).run(some / 8),
        _ if name.starts_with("viewer-") => viewer::program(name),
        _ if name.starts_with("lanes-") || name.starts_with("handed-") => {
            let (work, number) = name.split_once('-').expect("a name and a number");
            let number = number.parse().expect("a number");
            if work == "lanes" {
                analysis::lanes(number);
            } else {
                analysis::handed(number);
            }
        }
        _ if name.starts_with("live-") => {
            let mut numbers = name.trim_start_matches("live-").split('-');
            let mut number = || {
                numbers
                    .next()
                    .map(|number| number.parse().expect("a number"))
            };
            analysis::live(number().expect("live-COUNT or live-COUNT-TURNS"), number());
        }
        _ => {
            let scenario = name.strip_prefix("demo-").expect("a scenario of the demo");
            let ran = demo_runtime::run(scenario, &demo_runtime::Options::default());
            ran.unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
