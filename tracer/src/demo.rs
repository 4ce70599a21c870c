//! `tracer demo`: records a built-in program through the very code that `record` uses, prints the
//! verdict, and opens the viewer where there is a terminal.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use demo_runtime::ring::RingKind;
use demo_runtime::{Scenario, io_uring_permitted, scenarios};
use traces::selection::Selection;

use crate::args::{Color, Demo};
use crate::exit::{CANNOT_LOOK, CLEAN, Exit, Failure};
use crate::record::{self, How, Plan, Poison, Recorded};
use crate::{check, open, scenario, talk, view};

/// Enough for every scenario, and little to look through.
const RING_BYTES: u64 = 16 << 20;

/// The command.
pub(crate) fn run(args: &Demo, color: Color) -> Result<Exit, Failure> {
    if args.list {
        return list();
    }
    let scenario = find(&args.scenario)?;
    let ring = ring(scenario)?;
    talk::line(format_args!(
        "recording `{}`: {}",
        scenario.name,
        about(scenario, args.fixed)
    ));
    let keep = Keep::new(args.output.clone())?;
    let recorded = record(scenario, args.fixed, ring, keep.path())?;
    let trace = open::read_to_view(keep.path())?;
    recorded.let_signals_through();
    // Sets the verdict apart from what the program printed. Whoever reads no more gets the exit code.
    let _ = writeln!(io::stdout());
    check::print(&trace, &Selection::all(&trace), color)?;
    if let Some(output) = &args.output {
        let file = crate::safe::path(output);
        talk::line(format_args!(
            "the trace is in {file}; next: `tracer view {file}`"
        ));
    }
    let code = trace.verdict().exit_code();
    drop(keep);
    if args.no_view || !view::has_terminal() {
        return Ok(Exit::Code(code));
    }
    let title = format!(
        "demo {}{}",
        scenario.name,
        if args.fixed { " --fixed" } else { "" }
    );
    let start = view::Start::plain(title, color)?;
    recorded.leave_signals_to_others();
    match view::show(trace, start)? {
        Exit::Code(_) => Ok(Exit::Code(code)),
        signal @ Exit::Signal(_) => Ok(signal),
    }
}

/// What a scenario shows; for a faulty one that is mended, what it would have.
fn about(scenario: &Scenario, fixed: bool) -> String {
    match (scenario.rule, fixed) {
        (Some(_), true) => format!("mended; without that: {}", scenario.about),
        _ => scenario.about.to_owned(),
    }
}

/// Records the scenario in a process of its own.
fn record(
    scenario: &Scenario,
    fixed: bool,
    ring: Option<RingKind>,
    output: &Path,
) -> Result<Recorded, Failure> {
    let this = std::env::current_exe().context("cannot find this program to run it again")?;
    let mut command: Vec<OsString> = vec![this.into(), scenario::NAME.into(), scenario.name.into()];
    if fixed {
        command.push("--fixed".into());
    }
    if let Some(ring) = ring {
        command.extend(["--ring".into(), ring.name().into()]);
    }
    let recorded = record::record(&Plan {
        output: output.to_path_buf(),
        room: record::Room::Ring(RING_BYTES),
        dir: None,
        poison: Poison::default(),
        stacks: false,
        times: crate::record::Times::Event,
        redact: false,
        started: crate::record::Started::default(),
        until_finding: false,
        limit: None,
        preload: false,
        kernel: None,
        uprobes: false,
        trap: crate::record::Trap::Never,
        command,
    })
    .map_err(|failure| Failure::new(CANNOT_LOOK, failure.error))?;
    if recorded.sealed.is_none() {
        let why = record::how_in_words(recorded.how);
        return Err(anyhow!("`{}` {why} and recorded nothing", scenario.name).into());
    }
    if recorded.how != How::Exited(CLEAN) {
        let why = record::how_in_words(recorded.how);
        talk::line(format_args!(
            "`{}` {why}; its trace is judged all the same",
            scenario.name
        ));
    }
    Ok(recorded)
}

/// The ring to ask for: none where the scenario's own can be had, the simulated one where the kernel
/// gives none to anybody.
fn ring(scenario: &Scenario) -> Result<Option<RingKind>, Failure> {
    let Err(reason) = io_uring_permitted() else {
        return Ok(None);
    };
    if !scenario.rings.contains(&RingKind::Simulated) {
        let others = names(|other| other.rings.contains(&RingKind::Simulated));
        return Err(anyhow!(
            "{reason}. `{}` needs the real one; these run on a simulated ring: {others}",
            scenario.name
        )
        .into());
    }
    talk::line(format_args!(
        "{reason}. Running on a simulated ring instead"
    ));
    Ok(Some(RingKind::Simulated))
}

fn find(name: &str) -> Result<&'static Scenario, Failure> {
    scenarios()
        .iter()
        .find(|scenario| scenario.name == name && !scenario.hidden)
        .ok_or_else(|| {
            let known = names(|_| true);
            anyhow!(
                "there is no scenario `{}`; there are: {known}",
                crate::safe::os(name.as_ref())
            )
            .into()
        })
}

fn names(wanted: impl Fn(&Scenario) -> bool) -> String {
    let shown = scenarios()
        .iter()
        .filter(|scenario| !scenario.hidden && wanted(scenario));
    shown
        .map(|scenario| scenario.name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn list() -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    for scenario in scenarios().iter().filter(|scenario| !scenario.hidden) {
        let rule = scenario.rule.unwrap_or("-");
        writeln!(out, "{:<10} {rule:<4} {}", scenario.name, scenario.about)?;
    }
    Ok(Exit::Code(CLEAN))
}

/// Where the trace goes: a file that stays, or one that goes away with its folder.
struct Keep {
    path: PathBuf,
    temporary: Option<record::Folder>,
}

impl Keep {
    fn new(output: Option<PathBuf>) -> Result<Self, Failure> {
        if let Some(path) = output {
            return Ok(Self {
                path,
                temporary: None,
            });
        }
        let folder = record::Folder::make(Some(&std::env::temp_dir()), 0)?;
        Ok(Self {
            path: folder.path().join("trace.bin"),
            temporary: Some(folder),
        })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        if let Some(folder) = self.temporary.take() {
            // A folder in the temporary place that could not be removed is the system's to remove.
            let _ = folder.remove();
        }
    }
}
