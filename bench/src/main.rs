//! What recording costs, as ratios taken side by side in one run.
//!
//! ```text
//! cargo run --release --manifest-path bench/Cargo.toml                everything, a few minutes
//! cargo run --release --manifest-path bench/Cargo.toml -- ring echo   what is named
//! ... -- --quick                                                      a few rounds: does it all run?
//! ... -- rivals --markdown                                            the README's table
//! ... -- viewer --events=100000000                                    over a recording of any length
//! ```
//!
//! How to read it: ratios are what to keep; nanoseconds are of this machine and this day. The rounds of
//! all variants alternate in one process. `ratio` compares the fastest rounds: what the code costs.
//! `median` is the middle one of the ratios within a round: what a busy machine shows. Where the two are
//! far apart, or where a second bare variant is not near 1.00, the machine was too busy to tell; run it
//! again. `measure` times, `program` is the io_uring program that all tools are tried on, and each
//! measurement has a process of its own (`session`), since a program decides once whether it records.

mod analysis;
mod asked;
mod c;
mod floor;
mod footprint;
mod kernel;
mod measure;
mod memory;
mod preload;
mod program;
mod record;
mod ring;
mod rivals;
mod scenarios;
mod session;
mod short;
mod size;
mod stacks;
mod surface;
mod view;
mod viewer;

// As the program's own, whose judging is measured here.
#[path = "../../tracer/src/pages.rs"]
mod pages;

pub use measure::{Variant, compare, table};

/// A measurement: its name, whether it needs a process of its own, and what it does.
type Measurement = (&'static str, Where, fn());

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// In a process of its own, which finds a recorder unless it is `off` or `hooks-off`.
    Alone,
    /// Here: it starts its own processes.
    Here,
}

/// What has a time of its own: each event, or a batch of them.
#[derive(Clone, Copy)]
enum Times {
    Own,
    Batch,
}

impl Times {
    fn name(self) -> &'static str {
        match self {
            Self::Own => "own times",
            Self::Batch => "times by batch",
        }
    }

    /// What the least that could be done is called.
    fn floor(self) -> &'static str {
        match self {
            Self::Own => "the floor: timestamps and stores alone",
            Self::Batch => "the floor: stores alone",
        }
    }
}

const MEASUREMENTS: [Measurement; 26] = [
    // The hooks find no recorder, and keep to that: the figures of a program that is not recorded.
    ("off", Where::Alone, record::off),
    ("record", Where::Alone, || record::on(Times::Own)),
    ("record-batch", Where::Alone, || record::on(Times::Batch)),
    ("threads", Where::Alone, record::threads),
    ("memory", Where::Alone, memory::all),
    ("hooks-off", Where::Alone, surface::off),
    ("hooks", Where::Alone, surface::on),
    ("stacks=off", Where::Alone, stacks::off),
    ("stacks=on", Where::Alone, stacks::on),
    ("ring", Where::Alone, || ring::nop(32, Times::Own)),
    ("ring-batch", Where::Alone, || ring::nop(32, Times::Batch)),
    ("ring-1", Where::Alone, || ring::nop(1, Times::Own)),
    ("ring-1-batch", Where::Alone, || ring::nop(1, Times::Batch)),
    ("single", Where::Alone, scenarios::single_nop),
    ("files", Where::Alone, scenarios::reads),
    ("echo", Where::Alone, scenarios::echo),
    ("first-lap", Where::Alone, scenarios::first_lap),
    ("size", Where::Here, size::run),
    ("analysis", Where::Here, analysis::run),
    ("c", Where::Here, c::run),
    ("preload", Where::Here, preload::run),
    ("short", Where::Here, short::run),
    ("kernel", Where::Here, kernel::run),
    ("view", Where::Here, view::run),
    ("viewer", Where::Here, viewer::run),
    ("rivals", Where::Here, rivals::run),
];

fn main() {
    let (options, words): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    for option in &options {
        match option.as_str() {
            "--quick" => measure::be_quick(),
            "--markdown" => rivals::as_markdown(),
            _ => match option.strip_prefix("--events=") {
                Some(number) if viewer::set_events(number) => {}
                _ => refuse(option),
            },
        }
    }
    // What this program starts itself for.
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["program", tool, workload, operations] => {
            return rivals::program(tool, workload, operations);
        }
        ["work", name] => return size::work(name),
        ["judge", path] => return footprint::judge(path),
        _ => {}
    }
    for word in &words {
        if !MEASUREMENTS.iter().any(|(name, ..)| name == word) {
            refuse(word);
        }
    }
    for (name, place, measure) in MEASUREMENTS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            match place {
                Where::Alone => session::alone(name, measure),
                Where::Here => measure(),
            }
        }
    }
}

fn refuse(word: &str) -> ! {
    let names = MEASUREMENTS.map(|(name, ..)| name).join(", ");
    eprintln!("{word:?} is not a measurement ({names}), nor --quick, --markdown or --events=N");
    std::process::exit(2)
}
