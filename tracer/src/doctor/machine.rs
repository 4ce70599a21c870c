//! What this machine allows: rings, clock, room, limits, what other tools may do, the terminal.

use std::io::{self, IsTerminal};
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::Answer;
#[cfg(test)]
use super::Level;
use crate::record::clock::Clock;
use crate::record::folder::Folder;
use crate::record::kernel::tracefs::Tracefs;

/// Bytes of the file that one process gets unless told otherwise.
const FILE_BYTES: u64 = 66 << 20;
/// As much as a ring of 4,096 entries takes on kernels that count rings as locked memory.
const MEMLOCK_ENOUGH: u64 = 1 << 20;

pub(super) fn answers() -> Vec<Answer> {
    vec![
        io_uring(),
        clock(&Clock::measure()),
        recordings(),
        memlock(getrlimit(Resource::Memlock).current),
        seccomp(&read("/proc/self/status")),
        perf(&read("/proc/sys/kernel/perf_event_paranoid")),
        tracepoints(&Tracefs::find()),
        kernel(&crate::record::kernel::missing()),
        uprobes(&Tracefs::find()),
        ptrace(&read("/proc/sys/kernel/yama/ptrace_scope")),
        terminal(),
    ]
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn io_uring() -> Answer {
    match demo_runtime::permission::io_uring_permitted() {
        Ok(()) => Answer::ok("io_uring", "permitted"),
        Err(reason) => Answer::fail(
            "io_uring",
            reason.to_string(),
            "pointers and coroutines are recorded all the same; `tracer demo` uses a simulated ring",
        ),
    }
}

fn clock(clock: &Clock) -> Answer {
    // Tenths of a GHz by hand: a clock's speed needs no floating point.
    let tenths = clock.ticks_per_second / 100_000_000;
    let speed = format!("{}.{} GHz", tenths / 10, tenths % 10);
    match clock.name {
        "tsc" if clock.ticks_per_second != 0 => {
            let text = format!("the processor's counter, {speed}, trusted by the kernel");
            Answer::ok("clock", text)
        }
        _ => Answer::warn(
            "clock",
            "CLOCK_MONOTONIC: a record takes about 15 ns more than with the processor's counter",
            "needs flags constant_tsc and nonstop_tsc in /proc/cpuinfo, and `tsc` in \
             /sys/devices/system/clocksource/clocksource0/current_clocksource",
        ),
    }
}

/// Makes a recording folder where `record` would, to see that it can be made.
fn recordings() -> Answer {
    const SUBJECT: &str = "recordings";
    const FIX: &str = "`tracer record --dir DIR` names another place";
    let folder = match Folder::make(None, FILE_BYTES) {
        Ok(folder) => folder,
        Err(error) => return Answer::fail(SUBJECT, format!("{error:#}"), FIX),
    };
    let base = folder.path().parent().unwrap_or(Path::new("/"));
    let (shown, base) = (crate::safe::path(base), base.to_path_buf());
    let space = rustix::fs::statvfs(&base).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let kind = rustix::fs::statfs(&base).map_or(0, |stat| stat.f_type as u64);
    if let Err(error) = folder.remove() {
        return Answer::fail(SUBJECT, format!("{shown}: {error}"), FIX);
    }
    place(&shown, kind, space.unwrap_or(0))
}

/// What is to say of a place for recordings: its file system's magic number and free bytes.
fn place(shown: &str, kind: u64, space: u64) -> Answer {
    const SUBJECT: &str = "recordings";
    const FIX: &str = "`tracer record --dir DIR` names another place";
    let free = format!("{shown}, {} MiB free", space >> 20);
    if space < FILE_BYTES {
        let fix = "free some room, or `tracer record --ring 1MiB`, or --dir DIR";
        return Answer::fail(SUBJECT, format!("{free}: no room for a process"), fix);
    }
    match kind {
        0x0102_1994 => Answer::ok(SUBJECT, format!("{free}, in memory")),
        0x6969 | 0xFF53_4D42 | 0x517B | 0x0102_1997 => Answer::warn(
            SUBJECT,
            format!("{free}, on a network file system: a server's failure can end the program"),
            FIX,
        ),
        0x9123_683E | 0x2FC1_2FC1 => Answer::warn(
            SUBJECT,
            format!(
                "{free}, on a file system that copies on write: a full disk can end the program"
            ),
            FIX,
        ),
        _ => Answer::warn(
            SUBJECT,
            format!("{free}, on a disk: records may wait for write-back"),
            "give /dev/shm room for two processes, 130 MiB (docker: --shm-size=256m)",
        ),
    }
}

fn memlock(limit: Option<u64>) -> Answer {
    match limit {
        Some(bytes) if bytes < MEMLOCK_ENOUGH => Answer::warn(
            "memlock",
            format!(
                "{} KiB: kernels before 5.12 count rings against it",
                bytes >> 10
            ),
            "ulimit -l unlimited, or LimitMEMLOCK= in a systemd unit",
        ),
        Some(bytes) => Answer::ok("memlock", format!("{} MiB", bytes >> 20)),
        None => Answer::ok("memlock", "unlimited"),
    }
}

fn seccomp(status: &str) -> Answer {
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"))
        .map(str::trim);
    match mode {
        Some("0") => Answer::ok("seccomp", "no filter"),
        Some("2") => Answer::ok("seccomp", "a filter, as containers have it"),
        Some(mode) => Answer::warn(
            "seccomp",
            format!("mode {mode}: nearly every system call is forbidden"),
            "run tracer outside of this sandbox",
        ),
        None => Answer::ok("seccomp", "not in this kernel"),
    }
}

fn perf(paranoid: &str) -> Answer {
    match paranoid.trim().parse::<i32>() {
        Ok(level @ ..=2) => {
            let text = format!("perf_event_paranoid = {level}: own programs can be profiled");
            Answer::ok("perf", text)
        }
        Ok(level) => Answer::warn(
            "perf",
            format!(
                "perf_event_paranoid = {level}: `perf` is for root alone; tracer needs none of it"
            ),
            "to use perf beside it, as root: sysctl kernel.perf_event_paranoid=2",
        ),
        Err(_) => Answer::ok("perf", "not in this kernel; tracer needs none of it"),
    }
}

/// Tracepoints of the kernel: where their folder is and whether this user may look into it.
fn tracepoints(tracefs: &Tracefs) -> Answer {
    let text = match tracefs {
        Tracefs::Readable(place) => {
            let shown = crate::safe::path(place);
            format!("{shown}: the kernel's tracepoints of io_uring can be listed")
        }
        Tracefs::Forbidden(place) => {
            format!("{}: not for this user", crate::safe::path(place))
        }
        Tracefs::WithoutIoUring(place) => {
            format!("{}: without io_uring", crate::safe::path(place))
        }
        Tracefs::NotMounted => "not mounted".to_owned(),
    };
    Answer::ok("tracefs", text)
}

/// Whether functions of a debug build can be probed, and what recorders that were killed left behind.
fn uprobes(tracefs: &Tracefs) -> Answer {
    const SUBJECT: &str = "uprobes";
    let is_root = rustix::process::geteuid().is_root();
    let Tracefs::Readable(place) = tracefs else {
        let text = "`record --uprobes` is not for this user here: it takes root and tracefs, and everything else does without";
        return Answer::ok(SUBJECT, text);
    };
    let left = crate::record::kernel::leftovers(place);
    if !left.is_empty() {
        let text = format!("left by recorders that were killed: {}", left.join(", "));
        return Answer::warn(
            SUBJECT,
            text,
            "the next `tracer record --uprobes` removes them",
        );
    }
    if !is_root {
        return Answer::ok(
            SUBJECT,
            "`record --uprobes` is for root alone; everything else does without",
        );
    }
    if !place.join("uprobe_events").exists() {
        return Answer::ok(
            SUBJECT,
            "this kernel was built without CONFIG_UPROBE_EVENTS; only `record --uprobes` takes it",
        );
    }
    Answer::ok(SUBJECT, "debug builds can be recorded with `--uprobes`")
}

/// Whether the kernel can be asked. Everything else does without it.
fn kernel(missing: &[String]) -> Answer {
    let text = match missing {
        [] => "`record --kernel` is possible".to_owned(),
        missing => format!(
            "`record --kernel` is not possible for this user, all else is; missing: {}",
            missing.join("; ")
        ),
    };
    Answer::ok("kernel", text)
}

/// Who may attach to running programs. Recording never does: leak checkers would refuse to run.
fn ptrace(scope: &str) -> Answer {
    const SUBJECT: &str = "ptrace";
    match scope.trim().parse::<u32>() {
        Ok(0) => Answer::ok(
            SUBJECT,
            "any own program can be attached to; tracer attaches to none",
        ),
        Ok(1) => Answer::ok(
            SUBJECT,
            "own children can be attached to; tracer attaches to none",
        ),
        Ok(scope) => Answer::warn(
            SUBJECT,
            format!(
                "ptrace_scope = {scope}: debuggers are for root alone; tracer needs none of it"
            ),
            "to use a debugger beside it, as root: sysctl kernel.yama.ptrace_scope=1",
        ),
        Err(_) => Answer::ok(SUBJECT, "not restricted (no Yama); tracer attaches to none"),
    }
}

fn terminal() -> Answer {
    if !io::stdout().is_terminal() {
        return Answer::ok("terminal", "stdout is not one; `tracer view` needs one");
    }
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout());
    let size = size.map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let variable = |name| std::env::var(name).unwrap_or_default();
    screen(size, &variable("TERM"), &variable("COLORTERM"))
}

fn screen((columns, rows): (u16, u16), term: &str, colors: &str) -> Answer {
    let size = format!("{columns}x{rows}");
    if term.is_empty() || term == "dumb" {
        let fix = "set TERM to what the terminal is, as xterm-256color";
        return Answer::warn(
            "terminal",
            format!("{size}, and TERM says nothing of it"),
            fix,
        );
    }
    if columns < 80 || rows < 24 {
        return Answer::warn(
            "terminal",
            format!("{size}: the viewer shows less below 80x24"),
            "make the window larger",
        );
    }
    let colors = match colors {
        "truecolor" | "24bit" => "16 million colours",
        _ if term.contains("256color") => "256 colours",
        _ => "16 colours",
    };
    Answer::ok("terminal", format!("{size}, {colors}"))
}

#[cfg(test)]
mod tests {
    use super::super::print;
    use super::*;

    #[test]
    fn each_place_is_told_apart() {
        let level = |kind, space| place("/x", kind, space).level;
        assert_eq!(level(0x0102_1994, 1 << 30), Level::Ok);
        assert_eq!(level(0x0102_1994, 1 << 20), Level::Fail);
        assert_eq!(level(0xEF53, 1 << 30), Level::Warn);
        assert!(place("/x", 0x6969, 1 << 30).text.contains("network"));
        assert!(place("/x", 0x9123_683E, 1 << 30).text.contains("copies"));
    }

    #[test]
    fn limits_and_filters_are_judged() {
        assert_eq!(memlock(None).level, Level::Ok);
        assert_eq!(memlock(Some(64 << 10)).level, Level::Warn);
        assert_eq!(memlock(Some(8 << 20)).text, "8 MiB");
        assert_eq!(seccomp("Name:\tx\nSeccomp:\t0\n").text, "no filter");
        assert_eq!(seccomp("Seccomp:\t1\n").level, Level::Warn);
        assert_eq!(seccomp("").level, Level::Ok);
        assert_eq!(perf("2\n").level, Level::Ok);
        assert_eq!(perf("4\n").level, Level::Warn);
        assert_eq!(perf("").level, Level::Ok);
        assert_eq!(ptrace("").level, Level::Ok);
        assert_eq!(ptrace("1\n").level, Level::Ok);
        assert_eq!(ptrace("3\n").level, Level::Warn);
        let tracefs = Tracefs::Forbidden("/x".into());
        assert_eq!(tracepoints(&tracefs).text, "/x: not for this user");
        assert_eq!(tracepoints(&Tracefs::NotMounted).text, "not mounted");
        assert!(kernel(&[]).text.ends_with("is possible"));
        let missing = ["one; as root: this".to_owned(), "two".to_owned()];
        let said = kernel(&missing).text;
        assert!(said.ends_with("missing: one; as root: this; two"), "{said}");
    }

    #[test]
    fn terminal_is_judged_by_size_and_names() {
        assert_eq!(
            screen((120, 40), "xterm", "truecolor").text,
            "120x40, 16 million colours"
        );
        assert_eq!(
            screen((80, 24), "xterm-256color", "").text,
            "80x24, 256 colours"
        );
        assert_eq!(screen((79, 24), "xterm", "").level, Level::Warn);
        assert_eq!(screen((80, 24), "dumb", "").level, Level::Warn);
    }

    #[test]
    fn whatever_is_not_ok_says_what_to_do() {
        let slow = Clock {
            name: "monotonic",
            ticks_per_second: 1_000_000_000,
        };
        let fast = Clock {
            name: "tsc",
            ticks_per_second: 2_445_000_000,
        };
        assert!(clock(&fast).text.contains("2.4 GHz"));
        for answer in [
            clock(&slow),
            perf("4"),
            ptrace("2"),
            memlock(Some(0)),
            place("/", 0, 0),
        ] {
            assert_ne!(answer.level, Level::Ok);
            let mut out = Vec::new();
            print(&mut out, &answer).unwrap();
            assert_eq!(
                String::from_utf8(out).unwrap().lines().count(),
                2,
                "{answer:?}"
            );
        }
    }
}
