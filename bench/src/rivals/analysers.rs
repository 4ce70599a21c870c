//! How fast other tools go through traces of their own, the least that they do with each event.
//!
//! `babeltrace2 -o dummy` decodes what LTTng recorded of the NOPs, and throws it away; `uftrace report` adds up
//! the calls that it recorded of a small program in C.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::lttng;
use super::tools::is_there;
use crate::measure::{fastest, is_quick};

/// What a tool was seen to do.
struct Seen {
    events: usize,
    ns: f64,
}

/// Prints what each needs for an event.
pub fn run() {
    println!("other analysers on traces of their own, ns of processor time per event");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let all = [
        ("babeltrace2 -o dummy", babeltrace(folder.path())),
        ("uftrace report", uftrace(folder.path())),
    ];
    for (name, seen) in all {
        match seen {
            Ok(Seen { events, ns }) => {
                let rate = 1000.0 / ns;
                println!("  {name:<30} {events:>10} events {ns:>10.2} {rate:>8.1} M/s");
            }
            Err(why) => println!("  {name:<30} not measured: {why}"),
        }
    }
    println!();
}

fn babeltrace(folder: &Path) -> Result<Seen, String> {
    if !is_there("babeltrace2") {
        return Err("not installed (apt install babeltrace2)".into());
    }
    let trace = lttng::trace(folder, if is_quick() { 1_000 } else { 20_000 })?;
    let text = folder.join("babeltrace2.txt");
    let mut print = Command::new("babeltrace2");
    print.arg(&trace).stdout(create(&text)?);
    once(&mut print)?;
    let printed = std::fs::read(&text).map_err(|error| error.to_string())?;
    let events = printed.iter().filter(|byte| **byte == b'\n').count();
    let mut decode = Command::new("babeltrace2");
    decode.args(["-o", "dummy"]).arg(&trace);
    time(&mut decode, events)
}

fn uftrace(folder: &Path) -> Result<Seen, String> {
    if !["gcc", "uftrace"].into_iter().all(is_there) {
        return Err("not installed (apt install gcc uftrace)".into());
    }
    let (source, program) = (folder.join("calls.c"), folder.join("calls"));
    let calls = if is_quick() { 10_000 } else { 500_000 };
    let text = format!(
        "static volatile int sum;\n\
         __attribute__((noinline)) void add(int n) {{ sum += n; }}\n\
         int main(void) {{ for (int n = 0; n < {calls}; n++) add(n); return 0; }}\n"
    );
    std::fs::write(&source, text).map_err(|error| error.to_string())?;
    let mut compiler = Command::new("gcc");
    once(
        compiler
            .args(["-O1", "-pg", "-o"])
            .args([&program, &source]),
    )?;
    let trace = folder.join("uftrace.data");
    let mut record = Command::new("uftrace");
    record.args(["record", "--no-libcall", "-d"]);
    once(record.arg(&trace).arg(&program))?;
    let mut report = Command::new("uftrace");
    report.args(["report", "-d"]).arg(&trace);
    // Each call is recorded when it begins and when it ends.
    time(&mut report, 2 * (calls + 1))
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| error.to_string())
}

/// The fastest of several runs; what it prints goes nowhere.
fn time(command: &mut Command, events: usize) -> Result<Seen, String> {
    if events == 0 {
        return Err("nothing was recorded".into());
    }
    let mut took = Vec::new();
    for _ in 0..if is_quick() { 1 } else { 5 } {
        let start = children_ns();
        once(command.stdout(Stdio::null()))?;
        took.push((children_ns() - start) as f64 / events as f64);
    }
    let ns = fastest(&took);
    Ok(Seen { events, ns })
}

/// Nanoseconds that programs which this one started and saw end were given a processor.
fn children_ns() -> u64 {
    // SAFETY: all zeros are a valid value, and there is room for what is asked.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) };
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}

fn once(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let talk = String::from_utf8_lossy(&output.stderr);
    let last = talk.lines().rfind(|line| !line.is_empty());
    Err(format!(
        "failed: {}: {}",
        output.status,
        last.unwrap_or("no message")
    ))
}
