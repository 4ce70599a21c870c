//! What `record --kernel` costs, beside `perf record` of the same tracepoints: a program that does NOPs when it is asked
//! to, bare and below each of the two, so that their rounds alternate.
//!
//! Both have the kernel write a record for each event, and take them out meanwhile; with buffers that hold a round, so
//! that nothing is lost, which would be cheaper. It takes the rights that they take.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::{Variant, session, table};

/// Workload, title, rounds and operations of a round.
const WORKLOADS: [(&str, &str, u32, u32); 2] = [
    ("nop-1", "NOP, one at a time", 20, 5_000),
    ("nop-128", "NOP, batches of 128", 20, 5_000),
];

/// Prints what each workload costs.
pub fn run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    match variants(folder.path()) {
        Ok(programs) => {
            for workload in WORKLOADS {
                measure(&programs, folder.path(), workload);
            }
        }
        Err(why) => println!("kernel: not measured: {why}\n"),
    }
}

/// What was recorded of a program that does this many NOPs, one at a time: by the kernel's tracepoints, and by the shim, too,
/// where that is asked for.
pub fn recorded(with_shim: bool, operations: u32) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let programs = variants(folder.path())?;
    let trace = folder.path().join("trace.bin");
    let mut recorder = Command::new(&programs.tracer);
    recorder.args(["record", "--kernel", "--kernel-buffer", "16MiB"]);
    recorder.args((!with_shim).then_some("--no-preload"));
    recorder.arg("-o").arg(&trace).arg("--");
    Running::start_as(recorder.arg(&programs.program)).does("nop-1", operations);
    std::fs::read(trace).map_err(|error| error.to_string())
}

struct Programs {
    program: PathBuf,
    tracer: PathBuf,
    has_perf: bool,
}

fn variants(folder: &Path) -> Result<Programs, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = folder.join("program");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-DSYSCALL", "-o"]).arg(&program);
    compiler
        .arg(root.join("src/preload/program.c"))
        .arg("-luring");
    does(&mut compiler).map_err(|_| "cc and liburing are needed (apt install gcc liburing-dev)")?;
    let tracer = session::tracer()?;
    let mut tried = Command::new(&tracer);
    tried
        .args(["record", "--kernel", "-o"])
        .arg(folder.join("tried"));
    does(tried.args(["--", "true"])).map_err(
        |_| "it takes the right to the kernel's tracepoints (`tracer doctor` says what is missing)",
    )?;
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-e", "io_uring:*", "-o"]);
    perf.arg(folder.join("tried.data")).args(["--", "true"]);
    Ok(Programs {
        program,
        tracer,
        has_perf: does(&mut perf).is_ok(),
    })
}

/// Runs something that says nothing when all is well.
fn does(command: &mut Command) -> Result<(), String> {
    let output = command.output();
    let output = output.map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A program that waits to be asked.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        Self::start_as(&mut command)
    }

    fn start_as(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::null()).env_remove("TRACER_DIR");
        let mut child = command.spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            input: child.stdin.take(),
            output,
            child,
        }
    }

    fn does(&mut self, workload: &str, count: u32) {
        let input = self.input.as_mut().expect("it is open until the end");
        writeln!(input, "{workload} {count}").expect("the program listens");
        let mut line = String::new();
        let said = self.output.read_line(&mut line);
        assert!(
            said.is_ok() && line == "done\n",
            "the program ended: {line:?}"
        );
    }
}

impl Drop for Running {
    /// It ends with its input, and whoever records it after it.
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn measure(programs: &Programs, folder: &Path, workload: (&str, &str, u32, u32)) {
    let (workload, title, rounds, operations) = workload;
    let variant = |name, mut program: Running| Variant {
        name,
        run: Box::new(move |count| program.does(workload, count)),
    };
    let bare = || Running::start(Command::new(&programs.program));
    let below = |command: &str, arguments: &[&str], file: &str| {
        let mut command = Command::new(command);
        command.args(arguments).arg("-o").arg(folder.join(file));
        command.arg("--").arg(&programs.program);
        Running::start(command)
    };
    let tracer = programs.tracer.to_str().expect("a path of text");
    let kernel = ["record", "--kernel", "--kernel-buffer", "16MiB"];
    let alone = [&kernel[..], &["--no-preload"]].concat();
    let mut variants = vec![
        variant("bare", bare()),
        variant("bare, once more", bare()),
        variant("record --kernel", below(tracer, &alone, "kernel.bin")),
        variant(
            "record --kernel, with the shim",
            below(tracer, &kernel, "both.bin"),
        ),
    ];
    if programs.has_perf {
        let perf = ["record", "-q", "-m", "16M", "-e", "io_uring:*"];
        variants.push(variant(
            "perf record -e io_uring:*",
            below("perf", &perf, "perf.data"),
        ));
    }
    let title = format!("{title}, by the kernel's tracepoints");
    table(&title, &mut variants, rounds, operations);
}
