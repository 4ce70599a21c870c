//! A law, on the kernel's own io_uring: a correct program gives no finding, and one planted fault gives its rule and
//! nothing else.
//!
//! The programs are random ones (`tests/plain/shapes.c`, from a seed), recorded by the shim as they are, and by the probe
//! for C with the same source. They hold the kernel to what it owes and abort where it did something else, so that what
//! is found in one that ends well is a mistake of the tracer's. What a fault is seen by, and why not by the shim, is one
//! table here.
//!
//! ```sh
//! TRACER_SHAPES=1000 TRACER_SHAPES_FROM=1 cargo test -p tracer --test end_to_end shapes -- --nocapture
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

use traces::Trace;

use crate::c::build::{C, Needs, Program, possible, skip};
use crate::support::{PATIENCE, Ran, has_io_uring, memory_folder, read, run, tracer};

/// Seeds of each kind of run, unless `TRACER_SHAPES` asks for more.
const SEEDS: u64 = 16;
/// Steps of a program, and of one in this many that is long enough for a small ring to go round.
const STEPS: u64 = 400;
const LONG_STEPS: u64 = 20_000;
const ONE_IS_LONG: u64 = 16;

/// Exit code of a program that the kernel is too old for.
const TOO_OLD: i32 = 77;

/// How programs are recorded, in turns.
const OPTIONS: &[&[&str]] = &[
    &[],
    &["--time=batch"],
    &["--ring=1MiB"],
    &["--poison=off"],
    &["--stacks"],
    &["--grow=8MiB"],
    &["--ring=1MiB", "--stacks"],
];

/// Who records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Shim,
    Probe,
}

/// What is to be found.
enum Seen {
    /// This rule, and no other that is not folded under it.
    As(&'static str),
    /// Nothing, and why it cannot be.
    Not(&'static str),
}
use Seen::{As, Not};

struct Fault {
    /// As `shapes.c` calls it.
    name: &'static str,
    by_shim: Seen,
    by_probe: Seen,
}

const NO_OWNERS: Seen = Not("the shim does not see who gives a cookie away and takes it back");

/// The faults of `tests/plain/shapes/faults.h`.
const FAULTS: &[Fault] = &[
    Fault {
        name: "unset-fresh",
        by_shim: Not("a slot is poisoned once the kernel took an entry out of it"),
        by_probe: As("T01"),
    },
    Fault {
        name: "unset-dead",
        by_shim: As("T02"),
        by_probe: As("T02"),
    },
    Fault {
        name: "unset-live",
        by_shim: As("T02"),
        by_probe: As("T02"),
    },
    Fault {
        name: "block-freed",
        by_shim: As("T07"),
        by_probe: As("T07"),
    },
    Fault {
        name: "reclaimed-twice",
        by_shim: NO_OWNERS,
        by_probe: As("T08"),
    },
    Fault {
        name: "handled-twice",
        by_shim: Not("taking a completion is a read of memory"),
        by_probe: As("T08"),
    },
    Fault {
        name: "never-freed",
        by_shim: NO_OWNERS,
        by_probe: As("T09"),
    },
    Fault {
        name: "truncated",
        by_shim: Not("the shim does not see the leak that the word is half of"),
        by_probe: As("T25"),
    },
    Fault {
        name: "same-cookie",
        by_shim: Not(
            "one pointer for two operations is ordinary where nobody says how often it was leaked",
        ),
        by_probe: As("T05"),
    },
    Fault {
        name: "same-index",
        by_shim: As("T05"),
        by_probe: As("T05"),
    },
    Fault {
        name: "cancel-shared",
        by_shim: As("T15"),
        by_probe: As("T15"),
    },
    Fault {
        name: "cancel-elsewhere",
        by_shim: Not(
            "whether both rings mean the same by a word is known of what was leaked alone",
        ),
        by_probe: As("T15"),
    },
    Fault {
        name: "buffer-freed",
        by_shim: As("T16"),
        by_probe: As("T16"),
    },
    Fault {
        name: "buffer-unmapped",
        by_shim: As("T16"),
        by_probe: As("T16"),
    },
    Fault {
        name: "message-freed",
        by_shim: As("T16"),
        by_probe: As("T16"),
    },
    Fault {
        name: "passed-by",
        by_shim: Not("taking a completion is a read of memory"),
        by_probe: As("T09"),
    },
    Fault {
        name: "beyond",
        by_shim: As("T21"),
        by_probe: As("T21"),
    },
    Fault {
        name: "pool-dry",
        by_shim: Not("what is given to a ring of buffers is a write to memory"),
        by_probe: As("T19"),
    },
    Fault {
        name: "descriptor-closed",
        by_shim: Not("the shim does not say which descriptors are closed"),
        by_probe: As("T16"),
    },
    Fault {
        name: "stranded",
        by_shim: Not("what liburing did not publish yet is in the program's own memory"),
        by_probe: As("T09"),
    },
    Fault {
        name: "stalled",
        by_shim: As("T17"),
        by_probe: As("T17"),
    },
];

/// A program that was recorded, and what to say of it where something is wrong.
struct Run {
    seed: u64,
    by: By,
    fault: Option<&'static str>,
    options: &'static [&'static str],
    ran: Ran,
    trace: PathBuf,
}

impl Run {
    fn of(
        folder: &Path,
        (by, program): (By, &Path),
        seed: u64,
        fault: Option<&'static str>,
    ) -> Self {
        let options = OPTIONS[(seed % OPTIONS.len() as u64) as usize];
        // Poison is what proves a forgotten cookie.
        let is_proof_gone = fault.is_some() && options == ["--poison=off"];
        let options = if is_proof_gone { &[] } else { options };
        let is_long = fault.is_none() && seed % ONE_IS_LONG == 2;
        let steps = if is_long { LONG_STEPS } else { STEPS };
        let trace = folder.join(format!("{by:?}-{seed}-{}.bin", fault.unwrap_or("correct")));
        let mut recorder = tracer(folder);
        recorder.args(["record", "--timeout", "100"]).args(options);
        recorder.arg("-o").arg(&trace).arg("--").arg(program);
        recorder.args([seed.to_string(), steps.to_string()]);
        if let Some(fault) = fault {
            // Of what several threads do, or the kernel's, less can be told.
            recorder.args([fault, "without-threads", "without-polling"]);
        }
        const { assert!(PATIENCE.as_secs() > 100) };
        Self {
            seed,
            by,
            fault,
            options,
            ran: run(&mut recorder),
            trace,
        }
    }

    /// How to see it again.
    fn name(&self) -> String {
        let Self {
            seed,
            by,
            fault,
            options,
            ..
        } = self;
        format!("seed {seed}, by {by:?}, fault {fault:?}, record {options:?}")
    }

    /// What is wrong with it, if anything, by the rules that are to speak.
    fn judged(self, expected: Option<&str>) -> Result<(), String> {
        if self.ran.status.code() != Some(0) {
            return Err(format!("{}: {:#?}", self.name(), self.ran));
        }
        let trace = read(&self.trace);
        let verdict = trace.verdict();
        let heads: Vec<_> = verdict
            .stories
            .iter()
            .map(|it| it.head.rule.to_string())
            .collect();
        let wanted: Vec<_> = expected.into_iter().map(str::to_owned).collect();
        let may_be_unknown = self.is_partly_unknown(&trace);
        let code = match (expected, may_be_unknown) {
            (Some(_), _) => 1,
            (None, true) => verdict.exit_code().min(3),
            (None, false) => 0,
        };
        let is_about_it = verdict
            .stories
            .iter()
            .all(|it| self.is_of_what_was_planted(&it.head.message));
        if heads != wanted || verdict.exit_code() != code || !is_about_it {
            let checked = run(tracer(self.trace.parent().unwrap())
                .arg("check")
                .arg(&self.trace));
            return Err(format!(
                "{}: {wanted:?} wanted, {}",
                self.name(),
                checked.stdout()
            ));
        }
        std::fs::remove_file(&self.trace).unwrap();
        Ok(())
    }

    /// The program says what its fault is about, as a finding has it.
    fn is_of_what_was_planted(&self, message: &str) -> bool {
        let mut lines = self.ran.stdout().lines();
        let planted = lines.find_map(|line| line.strip_prefix("planted: "));
        planted.is_some_and(|planted| !planted.is_empty() && message.contains(planted))
    }

    /// Whether not all can be told of it: records were overwritten, the shim saw a ring that the kernel polls, or
    /// several threads used what has a time by batch.
    fn is_partly_unknown(&self, trace: &Trace) -> bool {
        let printed = self.ran.stdout();
        let polled = !printed.contains(" 0 rings polled");
        let threads = !printed.contains(" 0 emptied by threads");
        trace.verdict().summary.records_lost > 0
            || (self.by == By::Shim && polled)
            || (self.options.contains(&"--time=batch") && threads)
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> std::ops::Range<u64> {
    let from = number("TRACER_SHAPES_FROM").unwrap_or(1);
    let count = number("TRACER_SHAPES").unwrap_or(SEEDS);
    println!("TRACER_SHAPES={count} TRACER_SHAPES_FROM={from}");
    from..from + count
}

/// The program as it is, or with the probe. Nothing where it cannot be made and tests may be left out.
fn built(folder: &Path, by: By) -> Option<PathBuf> {
    if !has_io_uring() || !possible(&[Needs::Liburing]) {
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plain/shapes.c");
    let program = compiled(folder, by, &source);
    if run(Command::new(&program).args(["1", "1"])).status.code() == Some(TOO_OLD) {
        skip("random programs on io_uring, for want of Linux 6.8");
        return None;
    }
    Some(program)
}

fn compiled(folder: &Path, by: By, source: &Path) -> PathBuf {
    if by == By::Probe {
        let program = Program::new(source.to_str().unwrap(), &C);
        return program.build(folder, &["-O1", "-DPROBED"]);
    }
    let program = folder.join("shapes");
    let mut build = Command::new("cc");
    build.arg("-O1").arg("-o").arg(&program).arg(source);
    run(build.args(["-luring", "-lpthread"])).exits(0);
    program
}

/// Asserts that all went as it has to; says what did not, of all.
#[track_caller]
fn assert_all(results: impl Iterator<Item = Result<(), String>>) {
    let wrong: Vec<String> = results.filter_map(Result::err).collect();
    assert!(
        wrong.is_empty(),
        "{}\n{} wrong",
        wrong.join("\n"),
        wrong.len()
    );
}

#[track_caller]
fn assert_correct_programs_are_clean(by: By) {
    let folder = memory_folder();
    let Some(program) = built(folder.path(), by) else {
        return;
    };
    assert_all(seeds().map(|seed| Run::of(folder.path(), (by, &program), seed, None).judged(None)));
}

#[track_caller]
fn assert_faults_are_seen(by: By) {
    let folder = memory_folder();
    let Some(program) = built(folder.path(), by) else {
        return;
    };
    // All of them, each with seeds of its own.
    let seeds = seeds();
    let rounds = (seeds.end - seeds.start).div_ceil(SEEDS);
    let all = (0..rounds).flat_map(|round| FAULTS.iter().map(move |fault| (round, fault)));
    let runs = (seeds.start..).zip(all).map(|(seed, (_, fault))| {
        let expected = match if by == By::Shim {
            &fault.by_shim
        } else {
            &fault.by_probe
        } {
            As(rule) => Some(*rule),
            Not(_) => None,
        };
        let run = Run::of(folder.path(), (by, &program), seed, Some(fault.name));
        run.judged(expected)
    });
    assert_all(runs);
}

#[test]
fn random_programs_that_are_correct_are_clean_by_the_shim() {
    assert_correct_programs_are_clean(By::Shim);
}

#[test]
fn random_programs_that_are_correct_are_clean_by_the_probe() {
    assert_correct_programs_are_clean(By::Probe);
}

#[test]
fn a_fault_in_a_random_program_gives_its_rule_by_the_shim() {
    assert_faults_are_seen(By::Shim);
}

#[test]
fn a_fault_in_a_random_program_gives_its_rule_by_the_probe() {
    assert_faults_are_seen(By::Probe);
}

/// A fault that nobody plants, or one that nobody expects anything of, is a line that went missing.
#[test]
fn every_fault_of_the_program_is_in_the_table() {
    let source = include_str!("../plain/shapes/faults.h");
    let named: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{ \"")?.split('"').next())
        .collect();
    let known: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
    assert_eq!(named, known);
    for fault in FAULTS {
        // What is not seen has a reason.
        for seen in [&fault.by_shim, &fault.by_probe] {
            match seen {
                As(rule) => assert!(rule.starts_with('T'), "{}", fault.name),
                Not(why) => assert!(!why.is_empty(), "{}", fault.name),
            }
        }
    }
}
