//! Looking on while a program is recorded: `record --view`, which starts it, and `view --follow`, which looks into the
//! folder of a recording that somebody else started.
//!
//! A look reads what is committed and judges it as it stands, twice a second where that is quick. A finding counts when
//! two looks in a row have it: a thread may have been stopped just before it finished a record of an earlier time.
//! When the recording is over, the sealed trace is shown.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use traces::Trace;
use traces::finding::Verdict;
use tui::live::{Reading, State, Watched};
use tui::{Feed, Reports, Theme};

use crate::args::Color;
use crate::exit::{CLEAN, Exit, Failure, RECORD_FAILED};
use crate::record::folder::Recorder;
use crate::record::lookout::{Key, key};
use crate::record::{self, How, Onlooker, Plan, Recorded, Signals, Step};
use crate::symbols::Places;
use crate::view::{self, NO_SCREEN, Start};
use crate::{open, safe, symbols, talk};

/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// A pause is at least so many times as long as the look before it took: the program needs the machine, too.
const PAUSE_FACTOR: u32 = 2;
/// How soon the end of the program is noticed.
const TICK: Duration = Duration::from_millis(50);

/// `record --view`: the exit code is the program's.
pub(crate) fn record(plan: Plan, color: Color) -> Result<Exit, Failure> {
    let own = |error| Failure::new(RECORD_FAILED, error);
    if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return Err(own(anyhow!(
            "`--view` needs a terminal for its screen; without it `record` records, and `tracer view` shows \
             the trace afterwards"
        )));
    }
    let log = Log::create(&plan.output).map_err(own)?;
    let start = Start {
        title: format!("record {}", command_of(&plan)),
        goto: None,
        ascii: false,
        color,
        mouse: false,
        hidden: crate::check::suppress::hidden(None, None).map_err(own)?,
        theme: Theme::default(),
        exec: Vec::new(),
        file: Some(plan.output.clone()),
        places: Places::default(),
    };
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
    let mut running = None;
    let shown = match received.recv() {
        Ok(Step::Started { folder, signals }) => {
            running = Some(signals.clone());
            let program = Program {
                folder,
                steps: received,
                finished,
                log: log.path.clone(),
            };
            // A viewer that fails must not take the recording with it.
            Some(catch_unwind(AssertUnwindSafe(|| {
                show(program, start, &signals)
            })))
        }
        // It could not be started; the recorder says why.
        Ok(Step::Ended(_)) | Err(_) => None,
    };
    drop(quiet);
    if running.is_some_and(|signals| signals.has_program()) {
        let why = match shown {
            Some(Ok(Ok(tui::Exit::EndProgram))) => {
                "the program was asked to end (SIGTERM); the recording goes on until it has"
            }
            _ => "the recording goes on until the program ends; Ctrl-C interrupts it",
        };
        talk::line(format_args!(
            "{why}; then {} is written",
            safe::path(&plan.output)
        ));
    }
    let recorded = recorder.join().unwrap_or_else(|panic| resume_unwind(panic));
    let shown = match shown {
        Some(Err(panic)) => resume_unwind(panic),
        Some(Ok(shown)) => shown.map(drop),
        None => Ok(()),
    };
    if let Ok(recorded) = &recorded {
        record::close(recorded, &plan);
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

fn show(program: Program, start: Start, signals: &Signals) -> anyhow::Result<tui::Exit> {
    let (around, options) = view::prepare(start);
    around.keeper.wait();
    let places = around.places.clone();
    let feed = Feed::new(move |reports| program.watch(reports, &places));
    let exit = tui::run_feed(feed.outlives_viewer(), options, &around).context(NO_SCREEN)?;
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
        let mut looks = Looks::default();
        loop {
            let began = Instant::now();
            if !reports.is_paused() {
                looks.look(&self.folder, places, reports);
            }
            let pause = PAUSE.max(began.elapsed() * PAUSE_FACTOR);
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

/// One look after the other.
#[derive(Default)]
struct Looks {
    /// What the last look found.
    before: Vec<Key>,
    /// What was shown last: events, losses, findings.
    shown: Option<(usize, usize, Vec<Key>)>,
}

impl Looks {
    /// Looks, and shows what is new. False where there is nothing to look at.
    fn look(&mut self, folder: &Path, places: &Places, reports: &Reports) -> bool {
        let Ok(mut trace) = open::read_running(folder) else {
            return false;
        };
        if trace.events().is_empty() && self.shown.is_none() {
            return true;
        }
        let verdict = self.confirmed(trace.verdict().clone());
        let shown = (
            trace.events().len(),
            trace.recording().losses.len(),
            verdict
                .stories
                .iter()
                .map(|story| key(&story.head))
                .collect(),
        );
        if self.shown.as_ref() != Some(&shown) {
            self.shown = Some(shown);
            symbols::name(&mut trace, places);
            reports.trace(trace, verdict, None);
        }
        true
    }

    /// Without findings that the look before did not have.
    fn confirmed(&mut self, mut verdict: Verdict) -> Verdict {
        let now = verdict
            .stories
            .iter()
            .map(|story| key(&story.head))
            .collect();
        let before = std::mem::replace(&mut self.before, now);
        verdict
            .stories
            .retain(|story| before.contains(&key(&story.head)));
        verdict
    }
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
        let mut looks = Looks::default();
        let mut processes = Vec::new();
        loop {
            let began = Instant::now();
            if !self.folder.is_dir() {
                return self.end(&processes, looks.shown.is_some(), reports, places);
            }
            // Asked before looking: what ended before is looked at whole.
            processes = process_files(&self.folder);
            let recorder = self.recorder.as_ref();
            let runs = recorder.map_or(processes.is_empty(), |it| lives(it.pid, it.start_time))
                || processes.iter().any(|process| process.2);
            if !reports.is_paused() {
                looks.look(&self.folder, places, reports);
            }
            reports.watched(Self::watched(if runs {
                State::Running
            } else {
                State::Ended("no process of it runs any more".into())
            }));
            if !reports.wait(PAUSE.max(began.elapsed() * PAUSE_FACTOR)) {
                return;
            }
        }
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

    /// Reclaimed twice: a finding.
    const TWICE: &str = "
0 main leak 0x10 Conn src/a.rs:1 owner=Box
1 main reclaim 0x10 Conn src/a.rs:2 owner=Box
2 main reclaim 0x10 Conn src/a.rs:3 owner=Box
";

    #[test]
    fn finding_counts_when_two_looks_in_a_row_have_it() {
        let verdict = |text| Trace::parse_text(text).unwrap().verdict().clone();
        let (none, twice) = (verdict("0 main done 1\n"), verdict(TWICE));
        assert_eq!(twice.stories.len(), 1, "{twice:?}");
        let mut looks = Looks::default();
        let mut shown = |verdict: &Verdict| looks.confirmed(verdict.clone()).stories.len();
        let seen = [&twice, &twice, &none, &twice, &twice].map(&mut shown);
        assert_eq!(seen, [0, 1, 0, 0, 1]);
    }
}
