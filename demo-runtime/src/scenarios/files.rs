//! Correct: files are written, read back and compared.
//!
//! Several coroutines at once, each with a file of its own in a temporary folder that is gone at the
//! end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Context, Outcome, Report};
use crate::file::File;
use crate::runtime::{Config, Runtime};

const FILES: usize = 16;
const PARTS: usize = 8;
const PART: usize = 3_000;

pub(super) fn run(context: &Context) -> io::Result<Outcome> {
    let report = Report::default();
    let folder = Folder::new()?;
    let config = Config {
        ring: context.ring,
        entries: 32,
        seed: context.seed,
        fault: None,
    };
    let (inside, path) = (report.clone(), folder.0.clone());
    let (result, tally) = Runtime::run(config, |runtime| main(runtime, inside, path))?;
    result?;
    Ok(report.outcome(context, tally))
}

async fn main(runtime: Runtime, report: Report, folder: PathBuf) -> io::Result<()> {
    let mut writers = Vec::new();
    for number in 0..FILES {
        let path = folder.join(format!("{number}"));
        writers.push(runtime.spawn("file", round_trip(runtime.clone(), path, number)));
    }
    let mut bytes = 0;
    for writer in writers {
        bytes += writer.await.ok_or(io::ErrorKind::Interrupted)??;
    }
    report.say(format!(
        "{FILES} files, {bytes} bytes, written and read back the same"
    ));
    Ok(())
}

async fn round_trip(runtime: Runtime, path: PathBuf, number: usize) -> io::Result<usize> {
    let byte = |position: usize| (position * 31 + number * 7) as u8;
    let file = File::create_new(&runtime, &path)?;
    for part in 0..PARTS {
        let start = part * PART;
        let bytes = (start..start + PART).map(byte).collect();
        file.write_all_at(bytes, start as u64).await?;
    }
    let read = File::open(&runtime, &path)?.read_to_end().await?;
    let written = (0..PARTS * PART).map(byte);
    if !read.iter().copied().eq(written) {
        return Err(io::Error::other(format!(
            "{} was not read as written",
            path.display()
        )));
    }
    Ok(read.len())
}

/// A new folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("demo-runtime-{}-{number}", process::id());
        let path: &Path = &std::env::temp_dir().join(name);
        fs::create_dir(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays behind; the scenario is none the worse for it.
        let _ = fs::remove_dir_all(&self.0);
    }
}
