//! Looking on while a program is recorded: `record --view`, which starts it, and `view --follow`, which looks into the
//! folder of a recording that somebody else started.
//!
//! A look reads what is committed and judges it as it stands, twice a second where that is quick (see
//! [`looks`](crate::looks)). When the recording is over, the sealed trace is shown.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use traces::Trace;
use traces::finding::Verdict;
use tui::live::{Reading, State, Watched};
use tui::{Feed, Options, Reports};

use crate::args::{Color, Display};
use crate::exit::{CLEAN, Exit, Failure, RECORD_FAILED};
use crate::looks::{Key, Look, Looks, Pace, Wanted, key};
use crate::record::folder::Recorder;
use crate::record::{self, How, Onlooker, Plan, Recorded, Signals, Step};
use crate::symbols::Places;
use crate::view::{self, Around, NO_SCREEN, Start};
use crate::{open, safe, symbols, talk};

/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest time between two where nothing was written: to find out is cheap.
const PAUSE_IDLE: Duration = Duration::from_secs(2);
/// A pause is at least so many times as long as the look before it took: the program needs the machine, too.
const PAUSE_FACTOR: u32 = 2;
/// How soon the end of the program is noticed.
const TICK: Duration = Duration::from_millis(50);

/// `record --view`: the exit code is the program's.
pub(crate) fn record(plan: Plan, display: &Display, color: Color) -> Result<Exit, Failure> {
    let own = |error| Failure::new(RECORD_FAILED, error);
    if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return Err(own(anyhow!(
            "`--view` needs a terminal for its screen; without it `record` records, and `tracer view` shows \
             the trace afterwards"
        )));
    }
    let title = format!("record {}", command_of(&plan));
    let start = Start::of(display, title, Some(plan.output.clone()), color).map_err(own)?;
    let (around, options) = view::prepare(start);
    around.keeper.wait();
    let log = Log::create(&plan.output).map_err(own)?;
    let quiet = talk::hold();
    let (steps, received) = channel();
    let onlooker = Onlooker {
        log: log.file.try_clone().map_err(|error| own(error.into()))?,
        steps,
    };
    let (finish, finished) = channel();
    let recorder = std::thread::Builder::new()
        .name("recorder".into())
        .spawn({
            let plan = plan.clone();
            move || {
                let recorded = record::record_before(&plan, Some(onlooker));
                let sealed = recorded.as_ref().map_or(None, |recorded| {
                    recorded.sealed.as_ref().map(|sealed| sealed.path.clone())
                });
                let _ = finish.send(sealed);
                recorded
            }
        })
        .map_err(|error| own(error.into()))?;
    let (mut running, mut followed) = (None, None);
    let shown = match received.recv() {
        Ok(Step::Started { folder, signals }) => {
            running = Some(signals.clone());
            followed = Some(folder.clone());
            let program = Program {
                folder,
                steps: received,
                finished,
                log: log.path.clone(),
            };
            // A viewer that fails must not take the recording with it.
            Some(catch_unwind(AssertUnwindSafe(|| {
                show(program, &around, options, &signals)
            })))
        }
        // It could not be started; the recorder says why.
        Ok(Step::Ended(_)) | Err(_) => None,
    };
    drop(quiet);
    if running.is_some_and(|signals| signals.has_program()) {
        let output = safe::path(&plan.output);
        match (shown.as_ref(), &followed) {
            (Some(Ok(Ok(tui::Exit::EndProgram))), _) => talk::line(format_args!(
                "the program was asked to end (SIGTERM); the recording goes on until it has, then {output} is written"
            )),
            (_, Some(folder)) => talk::line(format_args!(
                "the program runs on, and is recorded until it ends; Ctrl-C interrupts it\n\
                 `tracer view --follow {}` in another terminal looks on again; once it has ended, `tracer view \
                 {output}` shows all of it",
                safe::path(folder)
            )),
            (_, None) => {}
        }
    }
    let recorded = recorder.join().unwrap_or_else(|panic| resume_unwind(panic));
    let shown = match shown {
        Some(Err(panic)) => resume_unwind(panic),
        Some(Ok(shown)) => shown.map(drop),
        None => Ok(()),
    };
    if let Ok(recorded) = &recorded {
        record::close(recorded, &plan);
        if let Some(sealed) = &recorded.sealed
            && let Err(error) = around.left.settle(&sealed.path)
        {
            talk::line(format_args!("notes and bookmarks are not kept: {error:#}"));
        }
    }
    log.close();
    let recorded = recorded?;
    if let Err(error) = shown {
        talk::error(&error);
    }
    Ok(Recorded::exit(&recorded))
}

/// The command, as it is shown.
fn command_of(plan: &Plan) -> String {
    let words = plan.command.iter().map(|word| safe::os(word));
    words.collect::<Vec<_>>().join(" ")
}

/// What the recorded program prints: its own file, which stays only if there is something in it.
struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn create(output: &Path) -> anyhow::Result<Self> {
        let path = output.with_extension("output.log");
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|_| OpenOptions::new().append(true).open(&path))
            .with_context(|| {
                format!(
                    "cannot write {}, where what the program prints would go",
                    safe::path(&path)
                )
            })?;
        Ok(Self { path, file })
    }

    fn close(self) {
        match self.file.metadata() {
            Ok(found) if found.len() > 0 => talk::line(format_args!(
                "what the program printed is in {}",
                safe::path(&self.path)
            )),
            _ => drop(std::fs::remove_file(&self.path)),
        }
    }
}

/// A program that is recorded by another thread of this process.
struct Program {
    folder: PathBuf,
    steps: Receiver<Step>,
    /// Says where the sealed trace is; nothing where there is none.
    finished: Receiver<Option<PathBuf>>,
    log: PathBuf,
}

fn show(
    program: Program,
    around: &Around,
    options: Options,
    signals: &Signals,
) -> anyhow::Result<tui::Exit> {
    let places = around.places.clone();
    let feed = Feed::new(move |reports| program.watch(reports, &places));
    let exit = tui::run_feed(feed.outlives_viewer(), options, around).context(NO_SCREEN)?;
    if exit == tui::Exit::EndProgram {
        signals.end_program();
    }
    Ok(exit)
}

impl Program {
    fn watched(&self, state: State) -> Watched {
        Watched {
            state,
            is_ours: true,
            output: Some(safe::path(&self.log)),
        }
    }

    fn watch(self, reports: &Reports, places: &Places) {
        reports.watched(self.watched(State::Running));
        reports.reading(nothing_yet());
        let mut shown = Shown::nothing();
        loop {
            let pause = if reports.is_paused() {
                PAUSE
            } else {
                shown.look(&self.folder, places, reports)
            };
            let until = Instant::now() + pause;
            let was_paused = reports.is_paused();
            while Instant::now() < until && (!was_paused || reports.is_paused()) {
                match self.steps.try_recv() {
                    Ok(Step::Ended(how)) => return self.end(how, reports, places),
                    Ok(Step::Started { .. }) | Err(TryRecvError::Empty) => {}
                    // The recorder failed, and says why when the viewer is gone; what was seen stays.
                    Err(TryRecvError::Disconnected) => {
                        let how = "its recorder failed".to_owned();
                        return reports.watched(self.watched(State::Ended(how)));
                    }
                }
                if !reports.wait(TICK.min(until.saturating_duration_since(Instant::now()))) {
                    return;
                }
            }
        }
    }

    /// The program has ended: its sealed trace, in full.
    fn end(&self, how: How, reports: &Reports, places: &Places) {
        reports.watched(self.watched(State::Sealing));
        let how = record::how_in_words(how);
        let Ok(Some(path)) = self.finished.recv() else {
            // The recorder says why when the viewer is gone.
            return reports.give_up();
        };
        let state = match whole(&path, places, reports) {
            Ok(()) => State::Ended(how),
            Err(error) => State::Ended(format!("{how}; its trace cannot be read: {error:#}")),
        };
        reports.watched(self.watched(state));
    }
}

/// Shows a sealed trace, as the last look at its recording.
fn whole(path: &Path, places: &Places, reports: &Reports) -> anyhow::Result<()> {
    let trace = view::read(&open::open(path)?, places, reports)?;
    let verdict = trace.verdict().clone();
    reports.last(trace, verdict);
    Ok(())
}

/// What is said while no process has recorded anything.
fn nothing_yet() -> Reading {
    Reading {
        doing: "waiting for the first record".into(),
        ..Reading::default()
    }
}

/// Looks, and what was shown of them.
struct Shown {
    looks: Looks,
    pace: Pace,
    /// What was shown last: events, losses, findings.
    last: Option<(usize, usize, Vec<Key>)>,
}

impl Shown {
    fn nothing() -> Self {
        Self {
            looks: Looks::new(Wanted::Events),
            pace: Pace::new(PAUSE, PAUSE_IDLE, PAUSE_FACTOR),
            last: None,
        }
    }

    /// Looks, and shows what is new. How long to wait then.
    fn look(&mut self, folder: &Path, places: &Places, reports: &Reports) -> Duration {
        let began = Instant::now();
        let look = self.looks.look(folder);
        let was_new = matches!(look, Look::New(..));
        let is_same = matches!(look, Look::Same);
        if let Look::New(found) = look {
            let (trace, verdict) = *found;
            if !trace.events().is_empty() || self.last.is_some() {
                self.show(trace, verdict, began, places, reports);
            }
        } else if is_same && self.last.is_some() {
            reports.still(began);
        }
        self.pace.pause(began, was_new)
    }

    fn show(
        &mut self,
        mut trace: Trace,
        verdict: Verdict,
        began: Instant,
        places: &Places,
        reports: &Reports,
    ) {
        let stories = verdict.stories.iter();
        let shown = (
            trace.events().len(),
            trace.recording().losses.len(),
            stories.map(|story| key(&story.head)).collect(),
        );
        if self.last.as_ref() != Some(&shown) {
            self.last = Some(shown);
            symbols::name(&mut trace, places);
            reports.look(trace, verdict, began);
        } else {
            reports.still(began);
        }
    }
}

/// The recording of this user that goes on, where it is the only one.
pub(crate) fn running() -> Result<PathBuf, Failure> {
    let bases = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
    let mut found = going_on(&bases);
    match found.len() {
        1 => Ok(found.remove(0).0),
        0 => Err(anyhow!(
            "no recording of yours goes on in {} or {}; `tracer view --follow FOLDER` looks into another folder, as \
             `record --dir` makes them",
            safe::path(&bases[0]),
            safe::path(&bases[1])
        )
        .into()),
        many => {
            let each = found.iter().map(|(folder, recorder)| {
                let (folder, target) = (safe::path(folder), safe::path(&recorder.target));
                format!("\n  {folder} for {target}, by process {}", recorder.pid)
            });
            let each: String = each.collect();
            Err(anyhow!(
                "{many} recordings of yours go on; `tracer view --follow FOLDER` with one of them:{each}"
            )
            .into())
        }
    }
}

/// Recording folders of this user below some others whose recorder runs, in the order of their names.
fn going_on(bases: &[PathBuf]) -> Vec<(PathBuf, Recorder)> {
    let user = rustix::process::geteuid().as_raw();
    let mut found = Vec::new();
    // Two of them may be one folder, by two names.
    let bases: BTreeSet<PathBuf> = bases
        .iter()
        .filter_map(|base| base.canonicalize().ok())
        .collect();
    for entry in bases
        .iter()
        .filter_map(|base| base.read_dir().ok())
        .flatten()
        .flatten()
    {
        let is_named = entry
            .file_name()
            .as_bytes()
            .starts_with(wire::layout::FOLDER.as_bytes());
        // Another user's folder may say anything.
        let is_ours = || {
            entry
                .metadata()
                .is_ok_and(|it| it.is_dir() && it.uid() == user)
        };
        if is_named
            && is_ours()
            && let Some(recorder) = Recorder::of(&entry.path())
            && lives(recorder.pid, recorder.start_time)
        {
            found.push((entry.path(), recorder));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

/// `view --follow`
pub(crate) fn follow(folder: &Path, start: Start) -> Result<Exit, Failure> {
    let shown = safe::path(folder);
    let found = std::fs::metadata(folder).with_context(|| format!("cannot open {shown}"))?;
    if !found.is_dir() {
        return Err(anyhow!(
            "{shown} is no recording folder: `--follow` looks on while one is written; without it `tracer view \
             {shown}` shows a trace"
        )
        .into());
    }
    let (around, options) = view::prepare(start);
    around.keeper.wait();
    around.left.refuse(
        "notes and bookmarks are kept once the recording is sealed; to leave without them, leave again",
    );
    let places = around.places.clone();
    let followed = Followed {
        recorder: Recorder::of(folder),
        folder: folder.to_path_buf(),
    };
    let feed = Feed::new(move |reports| followed.watch(reports, &places));
    let quiet = talk::hold();
    let exit = tui::run_feed(feed, options, &around).context(NO_SCREEN)?;
    drop(quiet);
    match exit {
        tui::Exit::Signal(signal) => Ok(Exit::Signal(signal)),
        tui::Exit::GaveUp => {
            Err(anyhow!("{shown} went away before anything was recorded in it").into())
        }
        tui::Exit::Quit | tui::Exit::EndProgram => Ok(Exit::Code(CLEAN)),
    }
}

/// A folder that somebody else records to.
struct Followed {
    folder: PathBuf,
    /// Who records, and where the trace will be, where a recorder says so.
    recorder: Option<Recorder>,
}

impl Followed {
    fn watched(state: State) -> Watched {
        Watched {
            state,
            is_ours: false,
            output: None,
        }
    }

    fn watch(self, reports: &Reports, places: &Places) {
        reports.watched(Self::watched(State::Running));
        reports.reading(nothing_yet());
        let mut shown = Shown::nothing();
        let mut processes = Vec::new();
        loop {
            if !self.folder.is_dir() {
                return self.end(&processes, shown.last.is_some(), reports, places);
            }
            // Asked before looking: what ended before is looked at whole.
            processes = process_files(&self.folder);
            let recorder = self.recorder.as_ref();
            let recorder = recorder.map(|it| lives(it.pid, it.start_time));
            let runs = recorder.unwrap_or(processes.is_empty())
                || processes.iter().any(|process| process.2);
            let mut pause = PAUSE;
            // Who is paused when nobody writes any more finds the end held back, not missing.
            if !reports.is_paused() || !runs {
                pause = shown.look(&self.folder, places, reports);
                // Of what nobody writes any more, the first look was as good as the last.
                if !runs {
                    pause = shown.look(&self.folder, places, reports);
                }
            }
            reports.watched(Self::watched(if runs {
                State::Running
            } else {
                State::Ended(self.end_without_seal(recorder))
            }));
            // A recorder that died seals nothing, and nobody records for it. Without one, another process may begin.
            if recorder == Some(false) && !runs {
                return;
            }
            if !reports.wait(pause) {
                return;
            }
        }
    }

    /// How it ended, where the folder is still there.
    fn end_without_seal(&self, recorder: Option<bool>) -> String {
        if recorder == Some(false) {
            return format!(
                "its recorder is gone and has sealed nothing; `tracer pack {} -o FILE` keeps what is there",
                safe::path(&self.folder)
            );
        }
        "no process of it runs any more".to_owned()
    }

    /// The folder is gone: whoever recorded has sealed it.
    fn end(
        &self,
        processes: &[(u32, u64, bool)],
        has_shown: bool,
        reports: &Reports,
        places: &Places,
    ) {
        let target = self.recorder.as_ref().map(|recorder| &*recorder.target);
        let trace = target.and_then(|path| {
            let trace = view::read(&open::open(path).ok()?, places, reports).ok()?;
            is_of(&trace, processes).then_some((path, trace))
        });
        let Some((path, trace)) = trace else {
            if !has_shown {
                return reports.give_up();
            }
            let how = "its folder is gone, and its trace was not found".to_owned();
            return reports.watched(Self::watched(State::Ended(how)));
        };
        let how = format!("sealed as {}", safe::path(path));
        let verdict = trace.verdict().clone();
        reports.last(trace, verdict);
        reports.watched(Self::watched(State::Ended(how)));
    }
}

/// Processes that record to a folder: id, start and whether each is still there.
fn process_files(folder: &Path) -> Vec<(u32, u64, bool)> {
    let files = record::folder::process_files(folder).unwrap_or_default();
    let known = |process: record::folder::ProcessFile| {
        let lives = lives(process.pid, process.start_time);
        (process.pid, process.start_time, lives)
    };
    files.into_iter().map(known).collect()
}

/// Whether a process is still there, and more than a zombie.
fn lives(pid: u32, start_time: u64) -> bool {
    record::start_time(pid).is_some_and(|(start, lives)| lives && start == start_time)
}

/// Whether a trace is of that recording, and not of an earlier one in its place.
fn is_of(trace: &Trace, processes: &[(u32, u64, bool)]) -> bool {
    let mut recorded = trace.recording().processes.iter();
    recorded.any(|process| {
        let is_it =
            |other: &&(u32, u64, bool)| (other.0, other.1) == (process.pid, process.start_time);
        processes.iter().any(|other| is_it(&other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::folder::Folder;

    #[test]
    fn recordings_that_go_on_are_found_and_those_that_were_left_are_not() {
        let base = tempfile::tempdir().unwrap();
        let real = base.path().join("real");
        let link = base.path().join("link");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let bases = [link, real.clone(), base.path().join("missing")];
        assert_eq!(going_on(&bases), []);
        let make = |recorder: Option<&Recorder>| {
            let folder = Folder::make(Some(&real), 0).unwrap();
            if let Some(recorder) = recorder {
                recorder.announce(&folder).unwrap();
            }
            folder.path().to_path_buf()
        };
        let this = Recorder::this(Path::new("/tmp/trace.bin"));
        let reused = Recorder {
            start_time: this.start_time + 1,
            ..this.clone()
        };
        make(None);
        make(Some(&reused));
        let goes_on = make(Some(&this));
        let other = real.join("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::copy(goes_on.join("recorder"), other.join("recorder")).unwrap();
        assert_eq!(going_on(&bases), [(goes_on.canonicalize().unwrap(), this)]);
    }
}
