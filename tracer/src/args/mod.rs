//! The command line: what can be asked for, and the help that says so.
//!
//! Reading order: this file (the commands), [`record`], [`check`], [`view`], [`trace`] (whatever else looks at traces),
//! [`mod@filter`] and [`names`] (what several of them take), [`matrix`], [`demo`], [`about`].

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

mod record;
pub(crate) use record::{Attach, Record};

mod check;
pub(crate) use check::{Check, Reports};

mod view;
pub(crate) use view::{Display, VIEWER_HEADING, View, WantedTheme};

mod trace;
pub(crate) use trace::{Diff, Dump, Export, Output, Pack, Stats};

mod filter;
pub(crate) use filter::filter;

mod names;
pub(crate) use names::{Names, Symbolize};

mod matrix;
pub(crate) use matrix::{Matrix, MatrixGroup, MatrixRun};

mod demo;
pub(crate) use demo::{Demo, Scenario};

mod about;
pub(crate) use about::{Completions, Config, ConfigWhat, Doctor, Explain, Man};

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

    /// Record a program that runs already, by what the kernel says of its rings.
    ///
    /// It is not stopped, and nothing is loaded into it: its operations are seen from now on, with their results, and those
    /// of what it starts. The recording ends with the program, or by Ctrl-C (the program goes on). It takes the same
    /// rights as `record --kernel`, and says which are missing. Exit codes: 0 recorded, 125 it could not be.
    Attach(Attach),

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
    /// `tracer explain filter` says what filters can ask for, `tracer explain keys` lists the viewer's commands and keys.
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
    /// `cargo tracer`: zsh into a file `_cargo-tracer` there; fish into `~/.config/fish/conf.d/cargo-tracer.fish`; bash into
    /// any file that `~/.bashrc` sources, behind whatever else it has of cargo's.
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

    /// What looks into the files that a recorded program consists of.
    #[command(name = "__look", hide = true)]
    Look,
}

/// Where `record` writes to, if not told otherwise.
pub(crate) const DEFAULT_TRACE: &str = "trace.bin";

/// Reads a command line. Who looks at a trace and names none means the one that `record` left in this folder.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    let error = match Cli::try_parse_from(&words) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    if error.kind() == ErrorKind::MissingRequiredArgument {
        let named = ["--", DEFAULT_TRACE].map(OsString::from);
        let looks = |cli: &Cli| {
            use Command::{Check, Dump, Stats, View};
            matches!(cli.command, Check(_) | Dump(_) | Stats(_) | View(_))
        };
        let again = Cli::try_parse_from(words.into_iter().chain(named));
        match again.ok().filter(looks) {
            Some(cli) if Path::new(DEFAULT_TRACE).is_file() => return Ok(cli),
            Some(_) => return Err(no_trace_here()),
            None => {}
        }
    }
    Err(with_hint(error))
}

/// Who names no trace is not told of an argument that is missing: it would not be where the default one is there.
fn no_trace_here() -> clap::Error {
    let said = format!(
        "there is no {DEFAULT_TRACE} in this folder: name a trace, or record one: tracer record -- ./my-program\n"
    );
    clap::Error::raw(ErrorKind::MissingRequiredArgument, said)
}

/// Says to whoever left out the `--` of `record` where it belongs.
fn with_hint(mut error: clap::Error) -> clap::Error {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
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
