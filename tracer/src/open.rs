//! From a name on the command line to bytes that can be read: a sealed file, the file of one process,
//! or a recording folder.
//!
//! Only ordinary files are opened, and none is mapped: a pipe would make us wait for ever, a device
//! may act on being opened, and a mapped file that shrinks would end this process.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;
use traces::read::{Beside, ReadError};
use traces::recording::Recording;
use traces::watch::{Found, Stage, Step, Watch};
use traces::{Input, ReadAt, Trace};
use wire::layout::BUNDLE_MAGIC;

use crate::progress::Progress;
use crate::{aside, talk};

/// Files that stay open while they are read.
#[derive(Debug)]
pub(crate) struct Opened {
    files: Vec<(String, OpenFile)>,
}

impl Opened {
    /// What the reader takes.
    pub(crate) fn inputs(&self) -> Vec<Input<'_>> {
        self.files
            .iter()
            .map(|(name, file)| Input { name, bytes: file })
            .collect()
    }
}

/// A file whose length is asked each time: somebody may still write it.
#[derive(Debug)]
struct OpenFile(File);

impl ReadAt for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(&self.0, buffer, offset)
    }
}

/// Opens a file of our own making.
pub(crate) fn open_file(path: &Path) -> io::Result<impl ReadAt + use<>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    Ok(OpenFile(file))
}

/// Reads what `path` names as one recording. Whoever waits for it sees how far it has come.
pub(crate) fn read(path: &Path) -> Result<Trace> {
    let progress = Progress::new(crate::safe::path(path));
    read_watched(&open(path)?, &|far| progress.far(far))
}

/// Reads what `path` names as one recording, for who looks at any of its events: see [`Trace::read_paged`].
pub(crate) fn read_to_view(path: &Path) -> Result<Trace> {
    let progress = Progress::new(crate::safe::path(path));
    read_paged(&open(path)?, &|far| progress.far(far))
}

/// Reads what `path` names as one recording, for its verdict alone: see [`Trace::check`].
pub(crate) fn check(path: &Path) -> Result<Trace> {
    let progress = Progress::new(crate::safe::path(path));
    check_watched(&open(path)?, &|far| progress.far(far))
}

/// The recording in a folder that is still written to, as it was when this was called.
pub(crate) fn read_running(folder: &Path) -> Result<Trace> {
    let now_ns = now_ns();
    let inputs = open(folder)?;
    Ok(Trace::read_paged(
        &inputs.inputs(),
        now_ns,
        aside::make,
        &|_| {},
    )?)
}

/// The same for its verdict alone.
pub(crate) fn check_running(folder: &Path) -> Result<Trace> {
    let now_ns = now_ns();
    Ok(Trace::check_until(&open(folder)?.inputs(), now_ns)?)
}

/// `CLOCK_MONOTONIC`
fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Reads what was opened as one recording, and tells how far it has come.
pub(crate) fn read_watched(opened: &Opened, watch: &dyn Fn(Far)) -> Result<Trace> {
    watched(opened, watch, JUDGES, |inputs, watch, beside| {
        Trace::read_beside(inputs, watch, beside)
    })
}

/// The same for who looks at any of the events, but at few at once: see [`Trace::read_paged`].
pub(crate) fn read_paged(opened: &Opened, watch: &dyn Fn(Far)) -> Result<Trace> {
    watched(opened, watch, CHECKS, |inputs, watch, beside| {
        Trace::read_paged_beside(inputs, i64::MAX, aside::make, watch, beside)
    })
}

/// The same for the verdict alone.
fn check_watched(opened: &Opened, watch: &dyn Fn(Far)) -> Result<Trace> {
    watched(opened, watch, CHECKS, |inputs, watch, beside| {
        Trace::check_beside(inputs, watch, beside)
    })
}

fn watched(
    opened: &Opened,
    watch: &dyn Fn(Far),
    judges: (f64, f64),
    read: impl for<'a> FnOnce(
        &[Input<'a>],
        Watch<'_>,
        Option<Beside<'_, 'a>>,
    ) -> Result<Trace, ReadError>,
) -> Result<Trace> {
    let sizes = opened.files.iter().map(|file| file.1.len().unwrap_or(0));
    let look = Look {
        watch,
        judges,
        bytes: sizes.sum(),
        read: AtomicU64::new(0),
        looks_from: Cell::new(None),
        most: Cell::new(0.0),
    };
    let counted: Vec<Counted<'_>> = opened
        .files
        .iter()
        .map(|(_, file)| Counted {
            file,
            read: &look.read,
        })
        .collect();
    let inputs: Vec<Input<'_>> = opened
        .files
        .iter()
        .zip(&counted)
        .map(|((name, _), bytes)| Input { name, bytes })
        .collect();
    // Of one processor a second thread would only take its time, and what is not packed is read as soon by who needs it.
    let has_another = thread::available_parallelism().is_ok_and(|count| count.get() > 1)
        && opened.files.iter().any(|(_, file)| is_packed(file));
    Ok(thread::scope(|scope| {
        let beside: Beside<'_, '_> = &|work| {
            let thread = thread::Builder::new().name("tracer-ahead".to_owned());
            thread.spawn_scoped(scope, work).is_ok()
        };
        let beside = Some(beside).filter(|_| has_another);
        read(&inputs, &|step| look.step(&step), beside)
    })?)
}

/// Whether it is a trace that was sealed, whose chunks have to be unpacked.
fn is_packed(file: &dyn ReadAt) -> bool {
    let mut magic = [0; BUNDLE_MAGIC.len()];
    file.read_at(0, &mut magic).is_ok() && magic == BUNDLE_MAGIC
}

/// How far reading has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Far {
    /// What is being done.
    pub(crate) doing: &'static str,
    /// Of 1.
    pub(crate) part: f64,
    /// What rules said so far.
    pub(crate) found: Found,
}

/// Where the stages of reading begin, of 1: adding up checksums, looking through all bytes, making events, judging. About
/// as measured over recordings of one thread and of four; which share each has depends on what was recorded, so an estimate
/// is one. That threads have to be put into another order than that of their times is found out on the way, if at all, and
/// what was read is read anew: until that has come as far again, nothing moves.
const SUMS: (f64, f64) = (0.0, 0.04);
const LOOKS: (f64, f64) = (0.04, 0.3);
const ORDERS: (f64, f64) = (0.3, 0.3);
const READS: (f64, f64) = (0.3, 0.75);
const JUDGES: (f64, f64) = (0.75, 1.0);
/// For the verdict alone events are judged as they are made, and once more where there is something to tell.
const CHECKS: (f64, f64) = (0.3, 0.75);
const FETCHES: (f64, f64) = (0.75, 1.0);

/// How far one reading has come.
struct Look<'a> {
    watch: &'a dyn Fn(Far),
    /// Where judging begins and ends.
    judges: (f64, f64),
    bytes: u64,
    /// Bytes that were read so far, by any thread.
    read: AtomicU64,
    /// How many they were when looking began.
    looks_from: Cell<Option<u64>>,
    most: Cell<f64>,
}

impl Look<'_> {
    fn step(&self, step: &Step) {
        let (doing, stage) = match step.stage {
            Stage::Summing => ("reading", SUMS),
            // Of a file that is packed, all bytes were read before, for their checksums: those are not counted.
            Stage::Looking => {
                let read = self.read.load(Ordering::Relaxed);
                let from = self.looks_from.get().unwrap_or(read);
                self.looks_from.set(Some(from));
                let done = read.saturating_sub(from) as f64 / self.bytes.max(1) as f64;
                return self.tell("reading", LOOKS, done, Found::default());
            }
            Stage::Ordering => ("ordering", ORDERS),
            Stage::Reading => ("reading", READS),
            Stage::Judging => ("judging", self.judges),
            Stage::Fetching => ("fetching what findings rest on", FETCHES),
        };
        let done = step.done as f64 / step.total.max(1) as f64;
        self.tell(doing, stage, done, step.found);
    }

    fn tell(&self, doing: &'static str, stage: (f64, f64), done: f64, found: Found) {
        let part = stage.0 + (stage.1 - stage.0) * done.min(1.0);
        // Some stages are gone through more than once.
        self.most.set(self.most.get().max(part));
        (self.watch)(Far {
            doing,
            part: self.most.get(),
            found,
        });
    }
}

/// A file, and who counts what is read of it.
struct Counted<'a> {
    file: &'a OpenFile,
    read: &'a AtomicU64,
}

impl ReadAt for Counted<'_> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = ReadAt::read_at(self.file, offset, buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// What the recording that `path` names is made of, and how many events there are; nothing is judged.
pub(crate) fn survey(path: &Path) -> Result<(Recording, u64)> {
    Ok(Trace::survey(&open(path)?.inputs())?)
}

/// Says what was wrong with a trace that could be read all the same.
pub(crate) fn tell_problems(trace: &Trace) {
    let recording = trace.recording();
    for problem in &recording.problems {
        talk::line(problem);
    }
    if recording.problems_more > 0 {
        talk::line(format_args!(
            "{} more problems of that kind",
            recording.problems_more
        ));
    }
}

/// Opens what `path` names.
pub(crate) fn open(path: &Path) -> Result<Opened> {
    let shown = crate::safe::path(path);
    let found = std::fs::metadata(path).with_context(|| format!("cannot open {shown}"))?;
    let paths = if found.is_dir() {
        traces_in(path)?
    } else {
        vec![path.to_path_buf()]
    };
    let files = paths
        .iter()
        .map(|path| Ok((crate::safe::path(path), OpenFile(open_ordinary(path)?))))
        .collect::<Result<_>>()?;
    Ok(Opened { files })
}

/// The process files of a recording folder, by name. Where the folder says which recording it is, files of another
/// one, which somebody has put there, are left out and named.
fn traces_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let shown = crate::safe::path(folder);
    let cannot = || format!("cannot look into {shown}");
    let mut paths = Vec::new();
    let token = token_of(folder);
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        if entry.file_name().as_encoded_bytes().ends_with(b".trc") {
            paths.push(entry.path());
        }
    }
    if paths.is_empty() {
        bail!(
            "{shown} is a folder without traces: a recording folder holds a `.trc` file for each \
             process that used the probe"
        );
    }
    paths.sort();
    let (own, strange): (Vec<_>, Vec<_>) = paths
        .into_iter()
        .partition(|path| !is_of_another(path, token));
    for path in &strange {
        talk::line(format_args!(
            "{} is of another recording than the folder that it lies in, and is left out; it can be opened \
             alone, by its own name",
            crate::safe::path(path)
        ));
    }
    if own.is_empty() {
        bail!("{shown} is a recording folder, but all traces in it are of other recordings");
    }
    Ok(own)
}

/// What the files of a folder's recording have in common; nothing where its session file does not say.
fn token_of(folder: &Path) -> Option<[u8; 16]> {
    let file = open_ordinary(&folder.join("session")).ok()?;
    let mut text = [0; 4096];
    let len = FileExt::read_at(&file, &mut text, 0).ok()?;
    let text = std::str::from_utf8(text.get(..len)?).ok()?;
    let digits = text.lines().find_map(|line| line.strip_prefix("token="))?;
    let number = u128::from_str_radix(digits, 16).ok()?;
    (digits.len() == 32).then(|| number.to_be_bytes())
}

/// Whether a process file says that it is of another recording. Simulated ones do not say.
fn is_of_another(path: &Path, folder: Option<[u8; 16]>) -> bool {
    let read = || {
        let mut token = [0; 16];
        let file = open_ordinary(path).ok()?;
        FileExt::read_exact_at(&file, &mut token, wire::layout::header::TOKEN as u64).ok()?;
        Some(token)
    };
    match (folder, read()) {
        (Some(folder), Some(token)) => token != [0; 16] && token != folder,
        _ => false,
    }
}

/// Asked before and after opening: before, so that nothing else is ever opened; after, because the
/// name may by then lead elsewhere.
fn open_ordinary(path: &Path) -> Result<File> {
    let shown = crate::safe::path(path);
    let cannot = || format!("cannot open {shown}");
    let refuse = || format!("{shown} is not an ordinary file, so it is not a trace");
    if !std::fs::metadata(path).with_context(cannot)?.is_file() {
        bail!(refuse());
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)
        .with_context(cannot)?;
    if !file.metadata().with_context(cannot)?.is_file() {
        bail!(refuse());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn progress_goes_forward_through_both_ways_of_reading() {
        let told_of = |judges, stages: &[Stage]| {
            let told = RefCell::new(Vec::<Far>::new());
            let watch = |far| told.borrow_mut().push(far);
            let look = Look {
                watch: &watch,
                judges,
                bytes: 100,
                // For checksums, all of them, before anything is looked through.
                read: AtomicU64::new(100),
                looks_from: Cell::new(None),
                most: Cell::new(0.0),
            };
            let looked = |bytes| {
                look.read.fetch_add(bytes, Ordering::Relaxed);
                look.step(&Step {
                    stage: Stage::Looking,
                    done: 1,
                    total: 1,
                    found: Found::default(),
                });
            };
            look.step(&Step {
                stage: Stage::Summing,
                done: 60,
                total: 100,
                found: Found::default(),
            });
            looked(1);
            looked(49);
            looked(50);
            let parts: Vec<f64> = told.borrow().iter().map(|far| far.part).collect();
            let half = f64::midpoint(LOOKS.0, LOOKS.1);
            assert!(
                parts[0] < LOOKS.0 && parts[1] < LOOKS.0 + 0.01,
                "checksums have a share: {parts:?}"
            );
            assert!(
                (parts[2] - half).abs() < 0.01 && parts[3] > half,
                "{parts:?}"
            );
            for stage in stages {
                for done in [0, 5, 10] {
                    look.step(&Step {
                        stage: *stage,
                        done,
                        total: 10,
                        found: Found::default(),
                    });
                    // Events are read anew from the files: that is no new look through them.
                    look.read.fetch_add(30, Ordering::Relaxed);
                }
            }
            let told = told.into_inner();
            assert!(told.is_sorted_by(|before, after| before.part <= after.part));
            assert_eq!(told.len(), 4 + 3 * stages.len());
            assert!((told.last().unwrap().part - 1.0).abs() < 1e-9);
            let mut words: Vec<&str> = told.iter().map(|far| far.doing).collect();
            words.dedup();
            words
        };
        let read = [Stage::Reading, Stage::Judging];
        assert_eq!(told_of(JUDGES, &read), ["reading", "judging"]);
        let again = [
            Stage::Reading,
            Stage::Ordering,
            Stage::Reading,
            Stage::Judging,
        ];
        let words = ["reading", "ordering", "reading", "judging"];
        assert_eq!(told_of(JUDGES, &again), words);
        let check = [Stage::Judging, Stage::Fetching];
        let words = ["reading", "judging", "fetching what findings rest on"];
        assert_eq!(told_of(CHECKS, &check), words);
        let check = [
            Stage::Judging,
            Stage::Ordering,
            Stage::Judging,
            Stage::Fetching,
        ];
        let words = [
            "reading",
            "judging",
            "ordering",
            "judging",
            "fetching what findings rest on",
        ];
        assert_eq!(told_of(CHECKS, &check), words);
    }

    fn refused(path: &Path) -> String {
        format!("{:#}", open(path).unwrap_err())
    }

    #[test]
    fn only_ordinary_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        assert!(refused(&fifo).contains("not an ordinary file"));
        assert!(refused(Path::new("/dev/null")).contains("not an ordinary file"));
        assert!(refused(&folder.path().join("missing")).contains("No such file"));
        assert!(refused(folder.path()).contains("folder without traces"));
    }

    #[test]
    fn traces_of_another_recording_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, token: u8| {
            let mut file = vec![0; 4096];
            file[wire::layout::header::TOKEN..][..16].fill(token);
            std::fs::write(folder.path().join(name), file).unwrap();
        };
        put("1-1-a.trc", 0xAB);
        put("2-1-a.trc", 0xCD);
        // Simulated; and one that is too short to say anything, of which the reader will tell.
        put("3-1-a.trc", 0);
        std::fs::write(folder.path().join("4-1-a.trc"), "abc").unwrap();
        let names = || -> Vec<String> {
            let opened = open(folder.path()).unwrap();
            let name = |input: &Input<'_>| input.name.rsplit('/').next().unwrap_or("").to_owned();
            opened.inputs().iter().map(name).collect()
        };
        assert_eq!(names().len(), 4, "nothing says which recording it is");
        let session = format!("protocol=1\ntoken={}\nchunks=64\n", "ab".repeat(16));
        std::fs::write(folder.path().join("session"), session).unwrap();
        assert_eq!(names(), ["1-1-a.trc", "3-1-a.trc", "4-1-a.trc"]);
        for name in ["1-1-a.trc", "3-1-a.trc", "4-1-a.trc"] {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
        assert!(refused(folder.path()).contains("of other recordings"));
        assert!(open(&folder.path().join("2-1-a.trc")).is_ok());
    }

    #[test]
    fn folder_gives_its_process_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["2-1-a.trc", "1-1-a.trc", "session"] {
            std::fs::write(folder.path().join(name), "abc").unwrap();
        }
        let opened = open(folder.path()).unwrap();
        let inputs = opened.inputs();
        assert_eq!(inputs.len(), 2);
        assert!(inputs[0].name.ends_with("1-1-a.trc"));
        let mut buffer = [0; 8];
        assert_eq!(inputs[1].bytes.read_at(1, &mut buffer).unwrap(), 2);
        assert_eq!(inputs[1].bytes.len().unwrap(), 3);
    }
}
