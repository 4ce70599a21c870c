//! `tracer record`: runs a program with a recording folder, and seals what it left there.
//!
//! The recorder is only the program's parent. It neither traces it nor stands in its way: the program
//! writes its own file, and what it wrote survives the program's end, however that comes, and this
//! process's too.
//!
//! [`preload`] has programs without the probe load a shim that sees their rings; [`kernel`] has the kernel say what it
//! knows of them.
//!
//! Reading order: [`run`], then [`started`] (who asks for it), [`folder`] and [`session`] (before), [`spawn`] and [`signals`]
//! and [`warden`] with
//! [`room`] and [`lookout`] (during), [`seal`] (after), [`closing`] (what is said).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::args::Color;
use crate::exit::{Exit, Failure, RECORD_FAILED, TIMED_OUT};

pub(crate) mod folder;

#[expect(unsafe_code, reason = "maps a word that processes count in")]
mod budget;
#[expect(unsafe_code, reason = "reads the time-stamp counter")]
pub(crate) mod clock;
mod session;
pub(crate) mod started;
mod sweep;

#[expect(unsafe_code, reason = "installs signal handlers")]
mod signals;

mod deadline;

#[expect(unsafe_code, reason = "what runs between fork and exec")]
mod spawn;

pub(crate) mod lookout;
mod room;
mod warden;

pub(crate) mod process_file;
mod seal;

pub(crate) mod preload;

pub(crate) mod kernel;

mod attach;

mod closing;
mod left;

pub(crate) use attach::attach;
pub(crate) use folder::{Folder, hex, random};
pub(crate) use kernel::look;
pub(crate) use seal::{Sealed, Unfinished, target};
pub(crate) use session::VARIABLE;
pub(crate) use signals::{Signals, survive_large_files};
pub(crate) use spawn::{How, start_time};
pub(crate) use started::Started;

/// What becomes of the poison that the probe puts into consumed submission slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Poison {
    /// Poison that a program hands to the kernel is recorded and replaced by what it overwrote.
    #[default]
    Restore,
    /// Poison that a program hands to the kernel is recorded and left in.
    Keep,
    /// Slots are not poisoned.
    Off,
}

impl Poison {
    fn word(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Keep => "keep",
            Self::Off => "off",
        }
    }
}

/// What has a time of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Times {
    /// Every record.
    #[default]
    Event,
    /// A batch of records, of about a kilobyte.
    Batch,
}

impl Times {
    fn word(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Batch => "batch",
        }
    }
}

/// When the shim traps system calls that a program makes past the C library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Trap {
    /// Where the program holds such calls, and no other could be hit.
    #[default]
    Auto,
    /// Every instruction that makes system calls outside the C library.
    Always,
    /// Never.
    Never,
}

impl Trap {
    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// How much each process keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// The newest records, of so many bytes.
    Ring(u64),
    /// The first records, until there are so many bytes of them.
    Grow(u64),
}

impl Room {
    fn chunks(self) -> u64 {
        let (Self::Ring(bytes) | Self::Grow(bytes)) = self;
        bytes.div_ceil(wire::layout::CHUNK_BYTES as u64)
    }
}

/// What to record, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The file to make.
    pub(crate) output: PathBuf,
    /// Bytes of records that each process keeps.
    pub(crate) room: Room,
    /// Where the recording folder goes, if not to the usual places.
    pub(crate) dir: Option<PathBuf>,
    /// What becomes of poison.
    pub(crate) poison: Poison,
    /// Whether call stacks are recorded.
    pub(crate) stacks: bool,
    /// What has a time of its own.
    pub(crate) times: Times,
    /// Whether the sealed file is redacted.
    pub(crate) redact: bool,
    /// Who started it.
    pub(crate) started: Started,
    /// Whether the recording ends with its first finding.
    pub(crate) until_finding: bool,
    /// How long the program may take.
    pub(crate) limit: Option<Duration>,
    /// Whether the shim for programs without the probe is loaded into them.
    pub(crate) preload: bool,
    /// When the shim traps system calls.
    pub(crate) trap: Trap,
    /// Whether the kernel's tracepoints are listened to, and the bytes of its buffer on each processor.
    pub(crate) kernel: Option<u64>,
    /// Whether the program's functions that give pointers away and take them back are probed: with the kernel's
    /// tracepoints, which say when operations ended.
    pub(crate) uprobes: bool,
    /// Program and arguments.
    pub(crate) command: Vec<OsString>,
}

/// What somebody who looks on is told.
#[derive(Debug)]
pub(crate) enum Step {
    /// The program was started.
    Started {
        /// Where it records to.
        folder: PathBuf,
        /// What becomes of signals, and how to send the program one.
        signals: Signals,
    },
    /// The program has ended, and its recording is being sealed.
    Ended(How),
}

/// Somebody who looks on while a program is recorded, and has the terminal.
pub(crate) struct Onlooker {
    /// Where what the program prints goes, as it does not get the terminal.
    pub(crate) log: std::fs::File,
    /// Who is told.
    pub(crate) steps: Sender<Step>,
}

/// A recording that came to its end.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// How the program ended.
    pub(crate) how: How,
    /// Whether it was ended because it took longer than it may.
    timed_out: bool,
    /// The trace; nothing where no process used the probe.
    pub(crate) sealed: Option<Sealed>,
    /// What became of the shim.
    preload: preload::Outcome,
    /// What the kernel said, where it was asked.
    kernel: Option<kernel::Outcome>,
    /// Processes that go on and have no file in the recording.
    left: Vec<u32>,
    /// The bytes of a process's file, where one found no room.
    no_room: Option<u64>,
    /// Where a process was given a smaller one: how large it should have been.
    little_room: Option<u64>,
    signals: Signals,
}

impl Recorded {
    /// Signals end this process again: for whoever goes on to something that needs no sealing.
    pub(crate) fn let_signals_through(&self) {
        self.signals.let_through();
    }

    /// Signals are for whoever catches them next, the viewer.
    pub(crate) fn leave_signals_to_others(&self) {
        self.signals.survive();
    }

    /// How this process has to end so that its caller sees the program's own end.
    pub(crate) fn exit(&self) -> Exit {
        match self.how {
            _ if self.timed_out => Exit::Code(TIMED_OUT),
            How::Exited(code) => Exit::Code(code),
            How::Signal { number, .. } => Exit::Signal(number),
        }
    }
}

/// The command.
pub(crate) fn command(args: crate::args::Record, color: Color) -> Result<Exit, Failure> {
    let started = Started::now(&args.command);
    if started.is_listing() {
        return Err(started::become_it(&args.command));
    }
    started.note();
    if args.uprobes && args.time == Times::Batch {
        // What the kernel tells of a pointer and what the shim tells are two lanes, which times by batch do not order.
        return Err(Failure::new(
            RECORD_FAILED,
            anyhow::anyhow!(
                "--uprobes and --time=batch do not go together: who gives a pointer away is told by the kernel, and what \
                 becomes of its block by the shim; without a time for each record nobody knows which came first, and \
                 every answer would be `cannot tell`. Leave out --time=batch, or say --time=event where `time` is in the \
                 settings: beside what a probed call takes it spares nothing"
            ),
        ));
    }
    let output = match args.output {
        Some(output) => output,
        None => started
            .output()
            .map_err(|error| Failure::new(RECORD_FAILED, error))?,
    };
    let plan = Plan {
        output,
        room: match args.grow {
            Some(bytes) => Room::Grow(bytes),
            None => Room::Ring(args.ring),
        },
        dir: args.dir,
        poison: args.poison,
        stacks: args.stacks,
        times: args.time,
        redact: args.redact,
        started,
        until_finding: args.until_finding,
        limit: args.timeout.map(Duration::from_secs),
        preload: !args.no_preload,
        trap: args.trap,
        kernel: (args.kernel || args.uprobes).then_some(args.kernel_buffer),
        uprobes: args.uprobes,
        command: args.command,
    };
    if args.view {
        crate::watch::record(plan, &args.display, color)
    } else {
        run(&plan)
    }
}

/// Records, and says in a line what came of it.
pub(crate) fn run(plan: &Plan) -> Result<Exit, Failure> {
    let recorded = record(plan)?;
    close(&recorded, plan);
    Ok(recorded.exit())
}

/// Says in a line what came of it.
pub(crate) fn close(recorded: &Recorded, plan: &Plan) {
    match &recorded.sealed {
        Some(sealed) => closing::sealed(sealed, plan, recorded),
        // In a run of many tests most have nothing to do with it, and what is left from before is not theirs.
        None if plan.started.by_runner() && plan.started.is_usual(&plan.output) => {
            let _ = std::fs::remove_file(&plan.output);
        }
        None => closing::nothing(plan, recorded),
    }
}

/// Records, and says nothing unless something went wrong.
pub(crate) fn record(plan: &Plan) -> Result<Recorded, Failure> {
    record_before(plan, None)
}

/// The same, with somebody who looks on.
pub(crate) fn record_before(plan: &Plan, onlooker: Option<Onlooker>) -> Result<Recorded, Failure> {
    let own = |error| Failure::new(RECORD_FAILED, error);
    let target = seal::target(&plan.output).map_err(own)?;
    let chunks = plan.room.chunks();
    let file_bytes = wire::layout::file_bytes(usize::try_from(chunks).unwrap_or(usize::MAX >> 20));
    let folder = folder::Folder::make(plan.dir.as_deref(), file_bytes as u64).map_err(own)?;
    let prepared = session::Session::new(plan.room, plan.poison, plan.stacks, plan.times).and_then(
        |session| {
            session.write(&folder)?;
            folder::Recorder::this(&target).announce(&folder)?;
            Ok(session)
        },
    );
    let session = match prepared {
        Ok(session) => session,
        Err(error) => {
            let _ = folder.remove();
            return Err(own(error));
        }
    };
    tracing::info!(folder = %crate::safe::path(folder.path()), chunks, "recording");
    let grow_to = matches!(plan.room, Room::Grow(_)).then_some(chunks);
    let warden = warden::Warden::start(folder.same(), grow_to);
    let warden = warden.map_err(|error| own(error.into()))?;
    let sweep = sweep::Sweep::start(folder.same()).map_err(|error| own(error.into()))?;
    let lookout = plan
        .until_finding
        .then(|| lookout::Lookout::start(folder.same(), warden.stopper()))
        .transpose()
        .map_err(|error| own(error.into()))?;
    // What is set up in the kernel is to be taken away again, whenever a signal comes.
    let caught = match signals::Caught::install() {
        Ok(caught) => caught,
        Err(error) => {
            let _ = folder.remove();
            return Err(Failure::new(RECORD_FAILED, error));
        }
    };
    // This thread is the one that starts the program.
    let probed = plan.command.first().filter(|_| plan.uprobes);
    let probed = probed.map(OsString::as_os_str);
    let kernel = plan.kernel;
    let kernel =
        kernel.map(|buffer| kernel::Kernel::start(folder.path(), &session, buffer, probed));
    let kernel = match kernel.transpose() {
        Ok(kernel) => kernel,
        Err(error) => {
            let _ = folder.remove();
            return Err(own(error));
        }
    };
    let preload = preload::Preload::prepare(plan.preload, plan.trap, &folder, &plan.command);
    let more = preload.variable().into_iter();
    let more = more.chain(plan.started.variable(&plan.command));
    let run = spawn::run(
        &plan.command,
        folder.path(),
        more,
        plan.limit,
        caught,
        warden.stopper(),
        onlooker,
    );
    let preload = preload.end(&folder);
    let began = run.as_ref().ok();
    let began = began.map(|(end, _)| (end.pid, end.start_time));
    let kernel = kernel.map(|kernel| kernel.end(began));
    drop((lookout, sweep));
    for remark in warden.end() {
        crate::talk::line(remark);
    }
    let (end, signals) = match run {
        Ok(ended) => ended,
        Err(failure) => {
            if failure.code != RECORD_FAILED {
                let _ = folder.remove();
            }
            return Err(failure);
        }
    };
    tracing::info!(?end, "the program ended");
    let left = left::behind(&folder);
    let has = |word: &str| folder.path().join(word).exists();
    let of_file = |is_so: bool| is_so.then_some(file_bytes as u64);
    let no_room = of_file(has(wire::layout::NO_ROOM));
    let files = folder.process_files().unwrap_or_default();
    let is_short = |file: &folder::ProcessFile| room::is_short_ring(&file.path).unwrap_or(false);
    let little_room = of_file(has(wire::layout::LITTLE_ROOM) || files.iter().any(is_short));
    let sealed = finish(folder, &session, plan, &end, &target)?;
    Ok(Recorded {
        how: end.how,
        timed_out: end.timed_out,
        sealed,
        preload,
        kernel,
        left,
        no_room,
        little_room,
        signals,
    })
}

/// Seals; where that fails the raw recording stays, and the message names it.
fn finish(
    folder: folder::Folder,
    session: &session::Session,
    plan: &Plan,
    end: &spawn::End,
    target: &Path,
) -> Result<Option<Sealed>, Failure> {
    let raw = folder.path().to_path_buf();
    let kept = |error: anyhow::Error| {
        let raw = crate::safe::path(&raw);
        Failure::new(
            RECORD_FAILED,
            error.context(format!(
                "the program {}, but its recording could not be sealed; it stays in {raw}{}, where \
                 `tracer check {raw}` can read it",
                how_in_words(end.how),
                if plan.redact { ", not redacted" } else { "" }
            )),
        )
    };
    let files = folder.process_files().map_err(|error| kept(error.into()))?;
    let sealed = if files.is_empty() {
        None
    } else {
        let packs = plan.started.program_is_temporary();
        let redactor = (plan.redact && !packs)
            .then(crate::pack::redactor)
            .transpose();
        let what = redactor.map(|redactor| seal::What {
            folder: &folder,
            session,
            command: &plan.command,
            end: Some(end),
            started: &plan.started,
            redactor,
        });
        let sealed = what.and_then(|what| {
            if !packs {
                return seal::seal(what, target);
            }
            // Nobody can look into the program once this process has ended.
            let whole = folder.path().join("whole");
            let sealed = seal::seal(what, &whole)?;
            crate::pack::fresh(&whole, target, plan.redact)?;
            Ok(Sealed {
                path: target.to_path_buf(),
                ..sealed
            })
        });
        Some(sealed.map_err(kept)?)
    };
    if let Err(error) = folder.remove() {
        // A process that is still running may just have made a file: its folder is litter, not loss.
        crate::talk::line(format_args!(
            "{} was not removed: {error}",
            crate::safe::path(&raw)
        ));
    }
    Ok(sealed)
}

/// How a program ended, as the rest of a sentence that begins with it.
pub(crate) fn how_in_words(how: How) -> String {
    match how {
        How::Exited(code) => format!("exited with code {code}"),
        How::Signal { number, core } => {
            let name = signal_hook::low_level::signal_name(number).unwrap_or("a real-time signal");
            let core = if core { ", core dumped" } else { "" };
            format!("was ended by signal {number} ({name}{core})")
        }
    }
}
