//! How much memory `tracer check` takes: it must grow with what is alive, and not with the recording.
//!
//! The same program records more and more turns; what it recorded is sealed as `tracer record` does it, and judged
//! in a process of its own, whose largest size the kernel tells.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use traces::read::bundle::{self, ProcessWriter};
use traces::{Input, ReadAt, Trace};
use wire::layout::{self, CHUNK_BYTES};

use crate::measure::is_quick;
use crate::session;

/// Pointers that are alive.
const ALIVE: usize = 1_000;
/// A record of a pointer in the ring, in bytes: what the ring must have room for.
const RECORD_BYTES: usize = 24;

/// Prints the table.
pub fn run() {
    println!("memory of a process that judges a sealed recording ({ALIVE} pointers alive)");
    println!(
        "  {:>12} {:>16} {:>14}",
        "events", "bytes in file", "MiB, at most"
    );
    for turns in turns() {
        match measure(turns) {
            Ok((events, bytes, most)) => {
                println!("  {events:>12} {bytes:>16} {:>14.1}", most as f64 / 1024.0);
            }
            Err(why) => println!("  {:>12} not measured: {why}", 2 * turns),
        }
    }
    println!();
}

/// Each a leak and a reclaim. `TRACER_BENCH_TURNS` asks for others, as `50000000`: the ring needs 48 bytes of disk for
/// each.
fn turns() -> Vec<usize> {
    let asked = std::env::var("TRACER_BENCH_TURNS");
    let asked = asked.iter().flat_map(|asked| asked.split(','));
    let asked: Vec<usize> = asked.filter_map(|turns| turns.parse().ok()).collect();
    match (asked.is_empty(), is_quick()) {
        (false, _) => asked,
        (true, true) => vec![100_000, 200_000],
        (true, false) => vec![2_000_000, 8_000_000],
    }
}

/// Events, bytes at rest, and the most KiB that judging them took.
fn measure(turns: usize) -> Result<(u64, u64, u64), Box<dyn std::error::Error>> {
    let chunks = (2 * turns * RECORD_BYTES).div_ceil(CHUNK_BYTES) + 64;
    let folder = session::folder_for(&std::env::temp_dir(), "footprint", chunks);
    let itself = std::env::current_exe()?;
    let mut program = Command::new(&itself);
    program.args(["work", &format!("live-{ALIVE}-{turns}")]);
    program.env("TRACER_DIR", folder.path());
    if !program.stdout(Stdio::null()).status()?.success() {
        return Err("the program failed".into());
    }
    let sealed = folder.path().join("sealed");
    for entry in std::fs::read_dir(folder.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "trc") {
            seal(&path, &sealed)?;
            std::fs::remove_file(path)?;
        }
    }
    let said = Command::new(itself).arg("judge").arg(&sealed).output()?;
    let said = String::from_utf8(said.stdout)?;
    let mut numbers = said.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(events)), Some(Ok(most))) => Ok((events, std::fs::metadata(sealed)?.len(), most)),
        _ => Err("it was not judged".into()),
    }
}

/// Packs the chunks of a process file that were used.
fn seal(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut out = File::create(to)?;
    bundle::write_header(&mut out)?;
    let mut writer = ProcessWriter::begin(&mut out)?;
    let mut head = vec![0; layout::chunk_offset()];
    from.read_exact(&mut head)?;
    writer.piece(&head)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = layout::chunk_offset() as u64;
    // The recording never went round, so that its used chunks lie in front of the others.
    loop {
        from.seek(SeekFrom::Start(at))?;
        if from.read_exact(&mut chunk).is_err() || chunk.iter().all(|byte| *byte == 0) {
            break;
        }
        writer.piece(&chunk)?;
        at += CHUNK_BYTES as u64;
    }
    writer.finish()?;
    Ok(())
}

/// `judge FILE`, in a process of its own: says how many events there were, and its own largest size in KiB.
pub fn judge(path: &str) {
    struct OnDisk(File);
    impl ReadAt for OnDisk {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.metadata()?.len())
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            FileExt::read_at(&self.0, buffer, offset)
        }
    }
    let file = OnDisk(File::open(path).expect("a sealed recording"));
    let input = Input {
        name: "sealed",
        bytes: &file,
    };
    let trace = Trace::check(&[input]).expect("a recording");
    let verdict = trace.verdict();
    assert_eq!(
        verdict.exit_code(),
        0,
        "a correct program, all of it recorded"
    );
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let most = most.and_then(|line| line.split_whitespace().next());
    println!("{} {}", verdict.summary.events, most.expect("VmHWM"));
}
