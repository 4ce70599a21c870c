//! One io_uring program under every tool that somebody might take instead.
//!
//! Each tool runs the same program with the same operations; the program times its own loop, so that
//! starting a tool costs it nothing. Tools take turns, several times, and the fastest loop of each counts.
//! Slow tools do fewer operations. A tool that is not there is named, with what would install it.

pub mod analysers;
mod lttng;
mod print;
mod tools;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::measure::is_quick;
use crate::program::{Bare, Lttng, Nops, Reads, Recorded, Tool, Traced};
use crate::session;

/// What the program does, with its name on the command line and in the table.
const WORKLOADS: [(&str, &str); 3] = [
    ("nop-1", "NOP, one at a time"),
    ("nop-32", "NOP, batches of 32"),
    ("read-32", "4 KiB reads, batches of 32"),
];

/// Begins the line in which the program says how long an operation took.
const SAID: &str = "ns per operation: ";

/// How to run the program under a tool.
struct Way {
    /// Command and arguments that the program's own are appended to.
    wrapper: Vec<OsString>,
    /// The program, built for this tool.
    program: PathBuf,
    /// What is compiled in: `bare`, `recorded`, `tracing-fmt`, `tracing-chrome` or `lttng`.
    tool: &'static str,
    environment: Vec<(&'static str, OsString)>,
    /// Whatever has to stay alive while it runs.
    _keep: Option<Box<dyn std::any::Any>>,
}

/// A tool, and how to run under it; or why that is not possible.
struct Rival {
    name: &'static str,
    /// Operations of one timed loop, by workload.
    operations: [u32; WORKLOADS.len()],
    way: Result<Way, String>,
}

static MARKDOWN: AtomicBool = AtomicBool::new(false);

/// From here on the table is printed for a README.
pub fn as_markdown() {
    MARKDOWN.store(true, Ordering::Relaxed);
}

/// Prints what each tool costs.
pub fn run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut rivals = tools::all(folder.path());
    let rounds = if is_quick() { 1 } else { 5 };
    let mut best = vec![[f64::INFINITY; WORKLOADS.len()]; rivals.len()];
    for _ in 0..rounds {
        for (rival, best) in rivals.iter_mut().zip(&mut best) {
            for (workload, best) in best.iter_mut().enumerate() {
                match rival.way.as_ref().map(|way| measure(way, rival, workload)) {
                    Ok(Ok(ns)) => *best = best.min(ns),
                    Ok(Err(why)) => rival.way = Err(why),
                    Err(_) => {}
                }
            }
        }
    }
    if MARKDOWN.load(Ordering::Relaxed) {
        print::markdown(&rivals, &best);
    } else {
        print::text(&rivals, &best);
    }
}

/// Runs the program once: nanoseconds of an operation in its fastest loop.
fn measure(way: &Way, rival: &Rival, workload: usize) -> Result<f64, String> {
    let mut words = way.wrapper.clone();
    words.push(way.program.clone().into());
    words.extend(["program", way.tool, WORKLOADS[workload].0].map(OsString::from));
    words.push(rival.operations[workload].to_string().into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_remove("TRACER_DIR");
    command.envs(way.environment.iter().map(|(name, value)| (name, value)));
    // A folder for each run: what a process recorded goes when it is over.
    let recording = (way.tool == "recorded").then(|| session::folder("rivals"));
    if let Some(folder) = &recording {
        command.env("TRACER_DIR", folder.path());
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let ns = said.lines().find_map(|line| line.strip_prefix(SAID));
    ns.and_then(|ns| ns.parse().ok()).ok_or_else(|| {
        let talk = String::from_utf8_lossy(&output.stderr);
        let last = talk.lines().rfind(|line| !line.is_empty());
        format!(
            "failed: {}: {}",
            output.status,
            last.unwrap_or("no message")
        )
    })
}

/// The program: `program TOOL WORKLOAD OPERATIONS`, on the command line of a tool.
pub fn program(tool: &str, workload: &str, operations: &str) {
    let operations = operations.parse().expect("a number of operations");
    let ns = match tool {
        "bare" => timed::<Bare>(workload, operations),
        "recorded" => {
            assert!(probe::is_recording(), "nothing records");
            session::fill();
            timed::<Recorded>(workload, operations)
        }
        "tracing-fmt" => {
            let nowhere = std::fs::File::create("/dev/null").expect("/dev/null");
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(std::sync::Mutex::new(nowhere))
                .init();
            timed::<Traced>(workload, operations)
        }
        "tracing-chrome" => {
            let file = tempfile::tempfile().expect("a temporary file");
            let (layer, guard) = tracing_chrome::ChromeLayerBuilder::new()
                .writer(io::BufWriter::new(file))
                .include_args(true)
                .build();
            tracing_subscriber::registry().with(layer).init();
            let ns = timed::<Traced>(workload, operations);
            drop(guard);
            ns
        }
        "lttng" => {
            let provider = std::env::var_os(lttng::PROVIDER).expect("the provider's path");
            Lttng::load(provider.as_ref());
            timed::<Lttng>(workload, operations)
        }
        other => panic!("no tool is called {other:?}"),
    };
    println!("{SAID}{ns}");
}

/// Nanoseconds of an operation in the fastest of several loops.
fn timed<T: Tool>(workload: &str, operations: u32) -> f64 {
    let (name, batch) = workload.split_once('-').expect("NAME-BATCH");
    let batch = batch.parse().expect("the size of a batch");
    let mut run: Box<dyn FnMut(u32)> = match name {
        "nop" => {
            let mut nops = Nops::<T>::new(batch).expect("a ring");
            Box::new(move |n| nops.run(n))
        }
        "read" => {
            let mut reads = Reads::<T>::new(batch).expect("a ring");
            Box::new(move |n| reads.run(n))
        }
        other => panic!("no workload is called {other:?}"),
    };
    run(2 * operations);
    let times = [(); 60].map(|()| {
        let start = std::time::Instant::now();
        run(operations);
        start.elapsed().as_nanos() as f64 / f64::from(operations)
    });
    crate::measure::fastest(&times)
}
