//! The command line: what can be asked for, and the help that says so.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use demo_runtime::ring::RingKind;

use crate::check::reports::{Kind, To};
use crate::check::sieve::FailOn;
use crate::matrix::{Dimensions, Tool, Wanted};
use crate::record::{Poison, Times, Trap};
use crate::symbols::{PathMap, Places};
use traces::filter::Filter;
use tui::Goto;

/// Finds what goes wrong with raw pointers on their way through io_uring: cookies never set, stale,
/// taken twice or lost, coroutines resumed by a completion that was not theirs.
#[derive(Debug, Parser)]
#[command(
    name = "tracer",
    version,
    long_version = crate::version::long(),
    propagate_version = true,
    max_term_width = 100,
    after_help = "First steps:\n  \
        tracer demo                       see the bug that this was built for\n  \
        tracer record -- ./my-program     record a program, best one that uses the probe\n  \
        tracer check trace.bin            the verdict as text\n  \
        tracer view trace.bin             look around in it"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// Colour: `auto`, `always` or `never`. Under `auto`, NO_COLOR and CLICOLOR_FORCE are heeded.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) color: Color,

    /// What tracer says of its own work, as `info` or `tracer=debug`: on stderr, for `view` in a file
    /// below $XDG_STATE_HOME/tracer/log.
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program and keep what its probe records in one file.
    ///
    /// The program's input, output, exit code and end by a signal are its own; nothing is written to
    /// stdout. SIGUSR2 sent to this process ends the recording while the program goes on, so that the newest
    /// records before it are kept: each thread records on until its current 64 KiB are full. The program's
    /// own `probe::stop_recording` ends it too.
    ///
    /// As cargo's runner (`CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="tracer record --"`), or nextest's
    /// wrapper script or `--tracer`, it records every test, and only passes on when tests are to be listed.
    ///
    /// Exit codes of record itself: 2 the command line is wrong, 124 the program took longer than --timeout,
    /// 125 it could not do its part, 126 the program is not executable, 127 it was not found.
    Record(Record),

    /// Judge traces and print the verdict.
    ///
    /// FILE is a recorded file, the `.trc` file of one process, or a recording folder. Exit codes:
    /// 0 no finding, 1 at least one finding (that --fail-on asks for), 2 a trace could not be read, 3 no
    /// finding, but not all could be told: records are lost, or times are by batch.
    Check(Check),

    /// Look around in a trace: findings, the life of each pointer, all events.
    View(View),

    /// Print the events of a trace, one a line.
    ///
    /// Columns: number, seconds since the first event (`~` before it: of a batch), thread (its blanks as `_`), the
    /// word for what happened, and the rest.
    Dump(Dump),

    /// Write a trace for another viewer: Perfetto, Chrome's trace viewer, or a table of its events.
    ///
    /// Threads, rings and coroutines become tracks; operations are slices from their submission to their
    /// last completion, and a flow leads from the submission to the coroutine that was resumed.
    Export(Export),

    /// Print numbers over a trace.
    ///
    /// Operations by ring and opcode with latencies, how many were in flight, what was leaked and not taken back,
    /// what is missing, events by thread. Where records are missing the counts are too small.
    Stats(Stats),

    /// Say what changed from one trace to another: findings, by fingerprint, and numbers.
    ///
    /// Exit codes: 0 no new finding, 1 at least one, 2 a trace could not be read.
    Diff(Diff),

    /// Make a file that says everything by itself, for a colleague on another machine.
    ///
    /// Names of call stacks and the lines of source around each place are put inside; a source that is
    /// missing, or was changed after the program was built, is left out, and the file says so. A packed
    /// file is looked at without opening any other.
    Pack(Pack),

    /// Run the same tests under every tool, and merge what they say into one table.
    ///
    /// CMD is a command that builds with cargo (`cargo test`, `cargo nextest run`, `cargo run`, a script
    /// that calls them), or the path of a program. It is run once for each column, with the flags that the
    /// tool needs on today's compilers and in a target folder that fits them. Each test runs in a process of
    /// its own, so that what a tool reports belongs to one test, and is judged by its exit code and by what
    /// the tool reported. A tool that is not here is a column `skipped`, with what brings it.
    ///
    /// Exit codes: 0 no cell fails, 1 at least one does, 2 it could not be run, 3 no cell fails, but a
    /// column was skipped or could not tell.
    Matrix(Matrix),

    /// Say what a rule looks for, with a real bug as the example; without RULE, list all rules.
    ///
    /// `tracer explain filter` says what filters can ask for.
    Explain(Explain),

    /// Say what this machine allows: io_uring, clock, room for recordings, limits, terminal.
    ///
    /// Each line is `ok`, `warn` or `FAIL`, with what to do below it. Exit codes: 0 nothing fails, 1
    /// something does. With PROGRAM also what that program has of build-id, frame pointers and debug
    /// information, which `record --stacks` needs.
    Doctor(Doctor),

    /// Say which settings hold.
    ///
    /// Settings are options that are not typed each time. What is typed wins over the environment
    /// (`TRACER_RECORD_RING=128MiB`), that over the project's file (`tracer.toml` or `.config/tracer.toml`, in this folder
    /// or above), that over the user's (`~/.config/tracer/config.toml`), that over the default. A file has a table for
    /// each command: `[record]`, below it `ring = "128MiB"`.
    Config(Config),

    /// Record one of the built-in programs and show what is wrong with it.
    ///
    /// Without SCENARIO: `leftover`, the bug that this was built for. Exit codes as for check.
    Demo(Demo),

    /// Print what a shell needs to complete commands and options.
    ///
    /// For bash: `tracer completions bash > ~/.local/share/bash-completion/completions/tracer`; for zsh: into a
    /// file `_tracer` in a folder of $fpath; for fish: `~/.config/fish/completions/tracer.fish`. With --cargo for
    /// `cargo-tracer`, in files of that name; zsh uses them behind `cargo tracer`, too.
    Completions(Completions),

    /// Write man pages.
    #[command(hide = true)]
    Man(Man),

    /// What cargo runs in place of a program.
    #[command(name = "__matrix-run", hide = true)]
    MatrixRun(MatrixRun),

    /// What a test begins as.
    #[command(name = "__matrix-group", hide = true)]
    MatrixGroup(MatrixGroup),

    /// What `demo` records.
    #[command(name = "__scenario", hide = true)]
    Scenario(Scenario),

    /// What looks into the files that a trace's code came from.
    #[command(name = "__symbolize", hide = true)]
    Symbolize(Symbolize),
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// The file to make; an older one is replaced when the recording is whole. Without it: `trace.bin`, and
    /// where cargo or nextest runs this in place of a program, a file for each program or test in
    /// `target/tracer` (or in the folder that TRACER_OUTPUT_DIR names).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// How much each process keeps: the newest records win.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = ring_bytes)]
    pub(crate) ring: u64,

    /// Keep everything from the start instead, until a process has recorded this much; its file begins small
    /// and grows.
    #[arg(long, value_name = "SIZE", value_parser = ring_bytes, conflicts_with = "ring")]
    pub(crate) grow: Option<u64>,

    /// Where the recording lies while the program runs, instead of in memory.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// What becomes of the poison in used submission slots when the program hands it to the kernel.
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub(crate) poison: Poison,

    /// Record who called: the call stacks of leaks, reclaims, submissions and spawns.
    ///
    /// They are walked by frame pointers: build the program with
    /// `RUSTFLAGS="-C force-frame-pointers=yes"`, else they are short or missing.
    #[arg(long)]
    pub(crate) stacks: bool,

    /// What has a time of its own: each `event`, or a `batch` of a thread's events.
    ///
    /// By batch the clock is not read for each event, which makes recording cheaper, and records of about a
    /// kilobyte share one time. The order of events of one thread is kept; the order across threads is then
    /// not known, so that a verdict on what several threads used is `cannot tell`. With --stacks each
    /// event has its time all the same.
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) time: Times,

    /// Do not load the shim into programs that do not link the probe.
    ///
    /// The shim sees the rings of dynamically linked programs whose system calls go through the C library, and what
    /// memory they give back while the kernel uses it; it steps aside where a program links the probe.
    #[arg(long)]
    pub(crate) no_preload: bool,

    /// Whether the shim traps system calls of io_uring that a program makes itself, past the C library.
    ///
    /// Of programs on liburing's shared library nothing need be trapped. `auto` traps where the program, or a library
    /// that it is linked with, holds such calls (a static liburing, the feature `direct-syscall`); `always` (and
    /// `--trap` alone) every instruction that makes system calls outside the C library, at fixed addresses too. A
    /// trapped call costs some microseconds. Without privileges it takes `no_new_privs`: setuid programs that the
    /// program starts do not raise theirs.
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_value_t,
        default_missing_value = "always"
    )]
    pub(crate) trap: Trap,

    /// End the recording at the first finding; the program goes on.
    ///
    /// The recording is read and judged while the program runs, every quarter of a second or more seldom: what
    /// led to the finding is kept, however long the program runs after it.
    #[arg(long)]
    pub(crate) until_finding: bool,

    /// End the program when it takes longer: a lost completion is a hang. It is asked to end (SIGTERM), and 10
    /// seconds later killed; the trace is written all the same, and the exit code is then 124.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: Option<u64>,

    /// Leave out of the file what may identify a person or a machine: see `tracer pack --help`.
    #[arg(long)]
    pub(crate) redact: bool,

    /// Show findings and events in the viewer while the program runs.
    ///
    /// The viewer has the terminal, the program has none: what it prints goes to a file beside the output
    /// (`trace.output.log` for `trace.bin`), its input is empty, unless they are redirected. Space pauses what
    /// is shown. Whoever leaves while the program runs is asked whether it is to run on or to end. The exit
    /// code is the program's.
    #[arg(long)]
    pub(crate) view: bool,

    /// The program and its arguments, after `--`.
    #[arg(required = true, last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Where the names of call stacks come from.
#[derive(Debug, Default, Args)]
pub(crate) struct Names {
    /// For call stacks: programs, libraries and sources that the trace names below FROM lie below TO.
    #[arg(long, value_name = "FROM=TO")]
    pub(crate) path_map: Vec<PathMap>,

    /// For call stacks: another folder with separate debug information, laid out as /usr/lib/debug is.
    #[arg(long, value_name = "DIR")]
    pub(crate) debug_dir: Vec<PathBuf>,
}

impl Names {
    pub(crate) fn places(&self) -> Places {
        Places {
            maps: self.path_map.clone(),
            debug_dirs: self.debug_dir.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Recorded files, `.trc` files or recording folders.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) reports: Reports,

    /// Only findings that this asks for, as `severity:error not site:vendored`; the exit code too. See
    /// `tracer explain filter`.
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true, value_parser = filter)]
    pub(crate) filter: Filter,

    /// What makes it fail: a rule (`T02`), or the least severity (`error`) or confidence (`proved`) that
    /// does; may be given several times. Without it, every finding.
    #[arg(long, value_name = "WHAT")]
    pub(crate) fail_on: Vec<FailOn>,

    /// The exit code for findings, instead of 1.
    #[arg(long, value_name = "N")]
    pub(crate) error_exitcode: Option<u8>,

    /// Findings that this file holds are known: they are counted and not told.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// Write the findings that there are now, suppressed ones left out, to a file for --baseline.
    #[arg(long, value_name = "FILE")]
    pub(crate) write_baseline: Option<PathBuf>,

    /// Findings that this TOML file names are not told. Each `[[suppress]]` has a `reason`, what it covers
    /// (`rule`, `site`, `function`, `filter`) and perhaps `expires`, a day. Those without use are told.
    #[arg(long, value_name = "FILE")]
    pub(crate) suppressions: Option<PathBuf>,

    /// Add a suppression for each finding that is told to a file; the reasons are yours to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) gen_suppressions: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) names: Names,
}

/// Who is told.
#[derive(Debug, Args)]
pub(crate) struct Reports {
    /// What to print: `text`, `json`, `jsonl` (a finding a line), `sarif`, `junit`, `github` or `markdown`.
    #[arg(long, value_name = "FORM")]
    pub(crate) format: Option<Kind>,

    /// Another report from the same look at the traces, as `sarif=out.sarif`; may be given several times.
    ///
    /// The forms are those of --format; without a file, or with `-`, it is printed. `github` are the commands of a
    /// GitHub workflow, which make annotations; they may be printed beside the text, and where
    /// GITHUB_STEP_SUMMARY names a file, a summary in Markdown is added to it.
    #[arg(long, value_name = "FORM[=FILE]")]
    pub(crate) report: Vec<To>,

    /// Where paths of sources begin that reports tell: those below it are told relative to it. Without it,
    /// the current folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) source_root: Option<PathBuf>,
}

/// Commands of the viewer, in order.
#[derive(Clone, Debug)]
pub(crate) struct Script(pub(crate) Vec<String>);

fn script(text: &str) -> Result<Script, String> {
    tui::commands::script(text).map(Script)
}

#[derive(Debug, Args)]
pub(crate) struct View {
    /// A recorded file, a `.trc` file or a recording folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Look on while FILE, a recording folder, is written; once it is sealed, go on with the trace.
    ///
    /// The folder is what `TRACER_DIR` names in the recorded program; `record --dir DIR` makes it below DIR,
    /// else it lies in /dev/shm or the temporary folder. Space pauses what is shown.
    #[arg(long)]
    pub(crate) follow: bool,

    /// Start there: a finding (`finding:3`), a rule (`T02`) or an event (`event:41`).
    #[arg(long, value_name = "PLACE")]
    pub(crate) goto: Option<Goto>,

    /// Compare with the trace from before, A: what is new, gone and the same, and numbers that moved.
    ///
    /// `D` lists that; Enter opens a finding in the trace that has it, `T` shows the other trace.
    #[arg(long, value_name = "A", conflicts_with = "goto")]
    pub(crate) diff: Option<PathBuf>,

    /// Run commands at the start, `;` between them; in the viewer `:` lists them all.
    #[arg(long, value_name = "COMMANDS", value_parser = script)]
    pub(crate) exec: Option<Script>,

    /// Draw with ASCII characters only.
    #[arg(long)]
    pub(crate) ascii: bool,

    /// Draw with these colours: `terminal`, `dark`, `light`, `contrast`, `deutan`, `tritan` or `mono`.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) theme: tui::Theme,

    /// Take the mouse from the start: clicks select rows, tabs and time. In the viewer F2 turns that.
    #[arg(long)]
    pub(crate) mouse: bool,

    /// Do not list findings that this TOML file suppresses, and write to it what `X` suppresses.
    ///
    /// Without it: `.config/tracer-suppressions.toml` below the current folder, where that is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) suppressions: Option<PathBuf>,

    /// Do not list findings that this file holds, which `check --write-baseline` made.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) names: Names,
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// A recorded file, a `.trc` file or a recording folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Only events that this asks for, as `kind:submit op:recv time:1ms..2ms`. See
    /// `tracer explain filter`.
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true, value_parser = filter)]
    pub(crate) filter: Filter,

    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) names: Names,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A recorded file, a `.trc` file or a recording folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// `perfetto` (for ui.perfetto.dev), `chrome` (JSON, which many viewers read) or `csv`.
    #[arg(long, value_name = "FORM")]
    pub(crate) to: crate::export::To,

    /// Only events that this asks for, and the operations that they belong to, as `ring:0 time:1ms..2ms`.
    /// See `tracer explain filter`.
    #[arg(long = "where", value_name = "FILTER", default_value = "", hide_default_value = true, value_parser = filter)]
    pub(crate) filter: Filter,

    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) names: Names,
}

/// What a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// One document, for scripts.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// A recorded file, a `.trc` file or a recording folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// What to print: `text` or `json`.
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) format: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The trace from before.
    #[arg(value_name = "A")]
    pub(crate) before: PathBuf,

    /// The trace from now.
    #[arg(value_name = "B")]
    pub(crate) after: PathBuf,

    /// What to print: `text` or `json`.
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) format: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Pack {
    /// A recorded file, a `.trc` file or a recording folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The file to make. Without it: FILE with the ending `.packed.bin` or `.redacted.bin`.
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,

    /// Leave out what may identify a person or a machine.
    ///
    /// Absolute paths become `~1/conn.rs`, arguments of the command their number, names of threads, scopes,
    /// owners and named coroutines, and marks `text-1`; addresses, and cookies that can be addresses, are
    /// moved by one secret distance, so that they still match; lines of source are left out. Environment
    /// and host name are never recorded. What stays: names of types and functions, relative paths, times,
    /// process ids, build-ids, numbers of operations.
    #[arg(long)]
    pub(crate) redact: bool,

    #[command(flatten)]
    pub(crate) names: Names,
}

#[derive(Debug, Args)]
pub(crate) struct Matrix {
    /// The columns.
    #[arg(
        long,
        value_enum,
        value_name = "TOOLS",
        value_delimiter = ',',
        default_value = "plain,asan,tsan,memcheck,tracer"
    )]
    pub(crate) with: Vec<Tool>,

    /// More dimensions: `features=default,all,a+b × profile=dev,release`; a lone `x` will do for `×`.
    ///
    /// Features are `default`, `all`, `none`, or names with `+` between them (`none+a`: `a` without the
    /// default ones). `tool=…` takes the place of --with.
    #[arg(long, value_name = "DIMENSIONS", default_value = "", value_parser = dimensions, hide_default_value = true)]
    pub(crate) matrix: Dimensions,

    /// Also write the table to a file: `junit=FILE` or `json=FILE`; may be given twice.
    #[arg(long, value_name = "FORM=FILE")]
    pub(crate) report: Vec<Wanted>,

    /// How many tests run at the same time. Without it: as many as there are processors.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) jobs: Option<std::num::NonZeroU8>,

    /// A test that takes longer is ended, and fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) timeout: u64,

    /// Where target folders, logs and traces go, instead of cargo's target folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// The command and its arguments, after `--`.
    #[arg(required = true, last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct MatrixRun {
    /// In place of Miri.
    #[arg(long)]
    pub(crate) miri: bool,

    /// The program and its arguments.
    #[arg(last = true)]
    pub(crate) words: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct MatrixGroup {
    /// The program and its arguments.
    #[arg(last = true)]
    pub(crate) words: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A rule by its number or name: `T02`, `t2`, `leftover-cookie`; or `filter`.
    #[arg(value_name = "RULE")]
    pub(crate) rule: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The path of a program to look at.
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,

    /// Of `cargo-tracer`, instead of `tracer`.
    #[arg(long)]
    pub(crate) cargo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder to write them to.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) what: ConfigWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigWhat {
    /// Print all settings, as a file would have them.
    Show {
        /// Say where each comes from.
        #[arg(long)]
        origin: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Which program.
    #[arg(value_name = "SCENARIO", default_value = "leftover")]
    pub(crate) scenario: String,

    /// With the bug mended.
    #[arg(long)]
    pub(crate) fixed: bool,

    /// Print the verdict and end, also on a terminal.
    #[arg(long)]
    pub(crate) no_view: bool,

    /// Keep the trace in this file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// List the programs there are.
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scenario {
    /// Which program.
    pub(crate) name: String,

    /// With the bug mended.
    #[arg(long)]
    pub(crate) fixed: bool,

    /// Which ring it uses.
    #[arg(long)]
    pub(crate) ring: Option<RingKind>,

    /// For the simulated ring: another run.
    #[arg(long, default_value_t)]
    pub(crate) seed: u64,

    /// For `hammer`: the file that says how many records were made.
    #[arg(long)]
    pub(crate) ack: Option<PathBuf>,

    /// For `hammer`: how long; without it, for ever.
    #[arg(long)]
    pub(crate) seconds: Option<u64>,

    /// For `hammer`: a signal handler records too, into whatever the threads are doing.
    #[arg(long)]
    pub(crate) handler: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Symbolize {
    /// The build-id that the file must have, in hex.
    pub(crate) build_id: String,

    /// The file.
    pub(crate) file: PathBuf,
}

/// Nothing is no dimension.
fn dimensions(text: &str) -> Result<Dimensions, String> {
    if text.is_empty() {
        return Ok(Dimensions::default());
    }
    text.parse()
}

/// Says to whoever left out the `--` of `record` where it belongs.
pub(crate) fn with_hint(mut error: clap::Error) -> clap::Error {
    let said = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let program = said(ContextKind::InvalidArg);
    if error.kind() == ErrorKind::UnknownArgument
        && said(ContextKind::Usage).contains("tracer record")
        && !program.starts_with('-')
    {
        let tip = format!("put `--` before the program: tracer record -- {program}");
        let tip = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tip);
    }
    error
}

/// A filter; what is wrong with it is shown below it.
pub(crate) fn filter(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| {
        let lines = error.pointed().replace('\n', "\n  ");
        format!("\n  {lines}")
    })
}

/// Smallest and largest ring: room for names besides events, and as many chunks as the probe can keep
/// count of.
const RING: std::ops::RangeInclusive<u64> = 1 << 20..=4 << 30;

/// A size with an optional unit of powers of two: `67108864`, `64M`, `64MiB`, `1GiB`.
fn ring_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        unit => return Err(format!("unknown unit `{unit}`: use KiB, MiB or GiB")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a size: try `64MiB`".to_owned())?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| RING.contains(bytes))
        .ok_or_else(|| "a process keeps between 1MiB and 4GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_of_the_viewer_are_taken_apart() {
        let line = ["tracer", "view", "x", "--exec", "timeline; goto event:3"];
        let Command::View(view) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command");
        };
        let script = view.exec.unwrap().0;
        let commands: Vec<&str> = script.iter().map(|command| command.trim()).collect();
        assert_eq!(commands, ["timeline", "goto event:3"]);
    }

    #[test]
    fn a_wrong_filter_is_pointed_at() {
        let error = Cli::try_parse_from(["tracer", "dump", "x", "--filter", "op:recv kidn:leak"]);
        let said = error.unwrap_err().to_string();
        let shown = "\n  op:recv kidn:leak\n          ^^^^ there is no field `kidn`; did you mean `kind`?\n";
        assert!(said.contains(shown), "{said}");
    }

    #[test]
    fn sizes_have_units_of_powers_of_two() {
        assert_eq!(ring_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(ring_bytes("2g"), Ok(2 << 30));
        assert_eq!(ring_bytes("1048576"), Ok(1 << 20));
        for wrong in [
            "",
            "MiB",
            "1",
            "5GiB",
            "99999999999999999999",
            "5 parsecs",
            "-3M",
        ] {
            assert!(ring_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn program_without_dashes_is_told_of_them() {
        let said = |words: &[&str]| {
            let error = Cli::try_parse_from(words).unwrap_err();
            with_hint(error).to_string()
        };
        let hint = "put `--` before the program: tracer record -- ./prog";
        let forgot = said(&["tracer", "record", "--stacks", "./prog", "-x"]);
        assert!(forgot.contains(hint), "{forgot}");
        for other in [&["tracer", "record", "--rong"], &["tracer", "dump", "--x"]] {
            assert!(!said(other).contains("put `--`"));
        }
    }

    #[test]
    fn program_keeps_its_own_options() {
        let cli = Cli::parse_from([
            "tracer", "record", "-o", "x", "--", "prog", "-o", "y", "--log",
        ]);
        let Command::Record(record) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(record.command, ["prog", "-o", "y", "--log"]);
        assert_eq!(record.output, Some(PathBuf::from("x")));
    }
}
