//! `record`: how a program is recorded, and how much of it is kept.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{Display, VIEWER_HEADING};
use crate::record::{Poison, Times, Trap};

#[derive(Debug, Args)]
// What the viewer looks like is of use only where there is one.
#[command(mut_args(|arg| match arg.get_help_heading() {
    Some(VIEWER_HEADING) => arg.requires("view"),
    _ => arg,
}))]
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

    /// Record what the kernel says, too: its own list of operations, each completion with the operation that it
    /// belongs to, of any program.
    ///
    /// Statically linked programs and rings that a thread of the kernel polls are seen only so. The kernel's tracepoints
    /// cost some hundred nanoseconds an operation. They take the right to them: without it, what is missing is said, with the
    /// command that brings it. What the probe or the shim records of the same ring is held against it. With
    /// `--stacks` submissions have their call stacks.
    #[arg(long)]
    pub(crate) kernel: bool,

    /// Record who gives pointers away and takes them back (`into_raw`, `from_raw` and their kin), of a debug build that
    /// does not link the probe; as root.
    ///
    /// The kernel is asked to say when these functions of the standard library are called, which are functions of their
    /// own in what `cargo build` makes; in an optimised build they are in line, and only the probe sees them. CMD has to
    /// be the program itself. Of one on the io-uring crate it is also recorded who puts operations into the queues, with
    /// the coroutine's call stack. A call takes some microseconds longer. With this comes all that --kernel records.
    /// Rules that then speak, and how sure they are: `tracer explain levels`.
    #[arg(long)]
    pub(crate) uprobes: bool,

    /// Bytes of the kernel's buffer on each processor, with --kernel or --uprobes: what finds no room in it is lost, and counted.
    #[arg(long, value_name = "SIZE", default_value = "2MiB", value_parser = buffer_bytes)]
    pub(crate) kernel_buffer: u64,

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

    // The last one: what stands behind it would stand below its heading.
    #[command(flatten, next_help_heading = VIEWER_HEADING)]
    pub(crate) display: Display,
}

#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// The file to make.
    #[arg(short, long, value_name = "FILE", default_value = "trace.bin")]
    pub(crate) output: PathBuf,

    /// How much each process keeps: the newest records win.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = ring_bytes)]
    pub(crate) ring: u64,

    /// Where the recording lies meanwhile, instead of in memory.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Bytes of the kernel's buffer on each processor: what finds no room in it is lost, and counted.
    #[arg(long, value_name = "SIZE", default_value = "2MiB", value_parser = buffer_bytes)]
    pub(crate) kernel_buffer: u64,

    /// End the recording after so long.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: Option<u64>,

    /// Process id of the program.
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: u32,
}

/// Smallest and largest ring: room for names besides events, and as many chunks as the probe can keep
/// count of.
const RING: std::ops::RangeInclusive<u64> = 1 << 20..=4 << 30;

/// Smallest and largest buffer of the kernel's: a page, and what may be locked into memory at all.
const BUFFER: std::ops::RangeInclusive<u64> = 4 << 10..=1 << 30;

/// A size with an optional unit of powers of two: `67108864`, `64M`, `64MiB`, `1GiB`.
fn ring_bytes(text: &str) -> Result<u64, String> {
    size(text)?
        .filter(|bytes| RING.contains(bytes))
        .ok_or_else(|| "a process keeps between 1MiB and 4GiB".to_owned())
}

fn buffer_bytes(text: &str) -> Result<u64, String> {
    size(text)?
        .filter(|bytes| BUFFER.contains(bytes))
        .ok_or_else(|| "the kernel's buffer has between 4KiB and 1GiB".to_owned())
}

/// A number of bytes with its unit; nothing where it is too large for any use.
fn size(text: &str) -> Result<Option<u64>, String> {
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
    Ok(number.checked_mul(1 << shift))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
