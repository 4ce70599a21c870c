//! What `record` says at its end, on stderr.

use traces::event::{Loss, LossReason};
use traces::recording::{Capture, Recording, Seen};

use super::preload::{self, Kernel};
use super::spawn::How;
use super::{Plan, Recorded, Sealed, kernel};
use crate::{safe, talk};

/// The line after a recording, and one more where it was to have call stacks and hardly has any.
pub(super) fn sealed(sealed: &Sealed, plan: &Plan, recorded: &Recorded) {
    let preload = &recorded.preload;
    let file = safe::path(&plan.output);
    let (recording, events) = match crate::open::survey(&sealed.path) {
        Ok(surveyed) => surveyed,
        Err(error) => return talk::line(format_args!("nothing can be read from {error:#}")),
    };
    let mut line = format!("{file}: {}", contents(&recording, events));
    if sealed.still_running > 0 {
        line += &format!(
            "; {} still running and in the file as far as it had come",
            counted(sealed.still_running as u64, "process", "processes")
        );
    }
    if plan.started.by_runner() {
        talk::line(line);
        by_shim(&recording, recorded);
        return by_kernel(recorded.kernel.as_ref());
    }
    talk::line(format_args!(
        "{line}; next: `tracer check {file}` or `tracer view {file}`"
    ));
    left(&recorded.left);
    short_of_room(recorded);
    by_shim(&recording, recorded);
    by_kernel(recorded.kernel.as_ref());
    let is_kernels = |process: &traces::recording::Process| process.capture == Capture::Kernel;
    if recording.processes.iter().all(is_kernels) {
        talk::more(format_args!(
            "by no other means, because `{}` never used the probe, and {}",
            preload::name(&plan.command),
            preload.why_nothing(Kernel::SawRings)
        ));
    }
    if let How::Signal { number: SIGSYS, .. } = recorded.how {
        return talk::line(by_filter(preload.has_trapped()));
    }
    let frames = recording.frames().count();
    if plan.stacks && events > 0 && are_short(recording.stacks_count(), frames) {
        let program = preload::name(&plan.command);
        talk::line(format_args!(
            "call stacks are missing or one frame deep: code without frame pointers cannot be followed; \
             `tracer doctor {program}` says whether that is so and how to build it; a library of C or C++ between it \
             and the hooks needs frame pointers as well"
        ));
    }
}

const SIGSYS: i32 = rustix::process::Signal::SYS.as_raw();

/// Why a seccomp filter may have ended a program that it lets live when it is not recorded.
fn by_filter(trapped: bool) -> &'static str {
    if trapped {
        "SIGSYS ended it: a seccomp filter did not let a system call through, of the program or of the shim. Calls that are \
         trapped end by rt_sigreturn, which the program's own filter has to allow; `--trap=never` records without them"
    } else {
        "SIGSYS ended it: a seccomp filter did not let a system call through, of the program or of the shim. The shim makes \
         some of its own (gettid, prctl, mmap) at the first event of a thread, and none later: have threads begin before \
         the filter, or let it allow these; `--no-preload` runs the program without the shim"
    }
}

/// Whether most call stacks ended where they began.
fn are_short(stacks: usize, frames: usize) -> bool {
    frames * 2 <= stacks * 3
}

/// `2 processes, 4,812 events, nothing lost`. What a full ring gave up is told apart from what should
/// have been there.
fn contents(recording: &Recording, events: u64) -> String {
    let (overwritten, lost): (Vec<_>, Vec<_>) = recording
        .losses
        .iter()
        .map(|located| located.loss)
        // Of those there is a line of its own.
        .filter(|loss| loss.reason != LossReason::RingNotFollowed)
        .partition(|loss| loss.reason == LossReason::Overwritten);
    let losses = match (records(&overwritten), records(&lost)) {
        (None, None) => "nothing lost".to_owned(),
        (Some(old), None) => format!("{old} overwritten by newer ones (`--ring` keeps more)"),
        (None, Some(lost)) => format!("{lost} lost"),
        (Some(old), Some(lost)) => format!("{old} overwritten by newer ones, {lost} lost"),
    };
    let names = recording.processes.iter();
    let names = match names.map(|process| process.names_lost).sum() {
        0 => String::new(),
        lost => format!(
            "; {} had no room (`--ring SIZE` makes more)",
            counted(lost, "name", "names")
        ),
    };
    format!(
        "{}, {}, {losses}{names}",
        counted(recording.process_count() as u64, "process", "processes"),
        counted(events, "event", "events")
    )
}

/// How many records, where any are missing.
fn records(losses: &[Loss]) -> Option<String> {
    let known = losses.iter().filter_map(|loss| loss.records).sum();
    match (losses, known) {
        ([], _) => None,
        (_, 0) => Some("records".to_owned()),
        _ => Some(counted(known, "record", "records")),
    }
}

/// What to say when no process wrote anything.
pub(super) fn nothing(plan: &Plan, recorded: &Recorded) {
    let preload = &recorded.preload;
    let program = preload::name(&plan.command);
    if let Some(file) = recorded.no_room {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
        let why = match limit.filter(|limit| *limit < file) {
            Some(limit) => format!(
                "files may not be larger than {} here (`ulimit -f`; `--ring SIZE` asks for less)",
                room(limit)
            ),
            None => "there is no room for it where the recording lies (`--dir DIR` names another place, `--ring SIZE` \
                     asks for less), or the program limits its files (RLIMIT_FSIZE)"
                .to_owned(),
        };
        talk::line(format_args!(
            "nothing was recorded: a process of `{program}` was to be, and its file of {} could not be made: {why}",
            room(file)
        ));
    } else if recorded.left.is_empty() {
        talk::line(format_args!(
            "nothing was recorded: `{program}` never used the probe, and {}",
            preload.why_nothing(if recorded.kernel.is_some() {
                Kernel::SawNothing
            } else {
                Kernel::Absent
            })
        ));
        talk::more(
            "If it does link the probe: did it say above why it does not record, was it built without the `record` \
             feature, or did it clear its environment? docs/probe.md has how it is linked.",
        );
    } else {
        talk::line(format_args!(
            "nothing was recorded: `{program}` ended before anything of it used the probe or made a ring"
        ));
    }
    left(&recorded.left);
    for text in preload.remarks() {
        talk::more(text);
    }
    by_kernel(recorded.kernel.as_ref());
    if plan.output.exists() {
        talk::more(format_args!(
            "{} is from an earlier recording and was left as it was.",
            safe::path(&plan.output)
        ));
    }
}

/// Bytes of a file, for a sentence.
fn room(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes.div_ceil(1024)),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

/// Which processes kept less than they should have, or nothing.
fn short_of_room(recorded: &Recorded) {
    const INSTEAD: &str = "`--dir DIR` names another place, `--ring SIZE` asks for less for each";
    if let Some(file) = recorded.no_room {
        talk::line(format_args!(
            "some processes are not recorded: there was no room for their files of up to {}, or they limit their files \
             (RLIMIT_FSIZE); {INSTEAD}",
            room(file)
        ));
    }
    if let Some(file) = recorded.little_room {
        talk::line(format_args!(
            "some processes kept less than {} each, because a quarter of what was free where they are recorded had been \
             taken, or others had filled it; {INSTEAD}",
            room(file)
        ));
    }
}

/// What of the program goes on, and has no file that it records to.
fn left(processes: &[u32]) {
    if processes.is_empty() {
        return;
    }
    let listed: Vec<String> = processes.iter().take(4).map(u32::to_string).collect();
    let more = if processes.len() > listed.len() {
        ", …"
    } else {
        ""
    };
    talk::line(format_args!(
        "{} still running (pid {}{more}), and nothing that happens there from here on is recorded: the recording ends \
         with the program that was named. Have a daemon stay in the foreground, or name a program that waits for it",
        counted(
            processes.len() as u64,
            "process that it started is",
            "processes that it started are"
        ),
        listed.join(", ")
    ));
}

/// What of the recording is the shim's, which sees less than the probe does.
fn by_shim(recording: &Recording, recorded: &Recorded) {
    let preload = &recorded.preload;
    let shims = recording
        .processes
        .iter()
        .filter(|process| process.capture == Capture::Preload)
        .count();
    if shims == 0 {
        return;
    }
    let all = recording.process_count();
    let who = if shims == all {
        String::new()
    } else {
        format!(" in {shims} of {all} processes")
    };
    let others = match recording.rings_not_followed() {
        0 => String::new(),
        1 => "; 1 ring is not followed".to_owned(),
        count => format!("; {} rings are not followed", grouped(count)),
    };
    talk::line(format_args!(
        "recorded by preload{who}: saw {} and {}{others}; cannot see who owns a cookie (into_raw, from_raw), nor \
         coroutines: the probe does",
        rings(recording.seen),
        counted(recording.seen.operations, "operation", "operations"),
    ));
    for text in recording.not_recorded().take(4) {
        talk::more(text);
    }
    let unopened = preload.not_opened(recorded.kernel.is_some());
    for text in unopened.into_iter().chain(preload.remarks()) {
        talk::more(text);
    }
}

/// How many rings were made. Of those whose making was overwritten it is not known without judging.
fn rings(seen: Seen) -> String {
    match (seen.rings, seen.operations) {
        (0, 1..) => "rings that were made before the oldest kept record".to_owned(),
        (rings, _) => counted(rings, "ring", "rings"),
    }
}

/// The lines after a program that ran already was listened to.
pub(super) fn attached(sealed: &Sealed, output: &std::path::Path, kernel: &kernel::Outcome) {
    let file = safe::path(output);
    match crate::open::survey(&sealed.path) {
        Ok((recording, events)) => talk::line(format_args!(
            "{file}: {}; next: `tracer check {file}` or `tracer view {file}`",
            contents(&recording, events)
        )),
        Err(error) => talk::line(format_args!("nothing can be read from {error:#}")),
    }
    by_kernel(Some(kernel));
}

/// What the kernel said, and what of it is missing.
fn by_kernel(kernel: Option<&kernel::Outcome>) {
    let Some(kernel) = kernel else { return };
    let (rings, operations) = kernel.saw();
    if rings == 0 && kernel.is_deaf() {
        talk::line(
            "recorded by kernel: saw no ring made, and nothing submitted, in what it could see",
        );
    } else if rings == 0 {
        talk::line("recorded by kernel: no ring was made, and nothing submitted");
    } else {
        talk::line(format_args!(
            "recorded by kernel: saw {} and {}, with their results; cannot see memory, descriptors, or what the program \
             did with a completion",
            counted(rings, "ring", "rings"),
            counted(operations, "operation", "operations"),
        ));
    }
    if let Some(calls) = kernel.calls() {
        talk::line(format_args!(
            "recorded by uprobes: saw {}{}",
            counted(
                calls,
                "call that gives a pointer away or takes it back",
                "calls that give a pointer away or take it back"
            ),
            match kernel.pushes() {
                0 => String::new(),
                pushes => format!(
                    ", and {} into submission queues",
                    counted(pushes, "push", "pushes")
                ),
            }
        ));
    }
    for text in kernel.remarks() {
        talk::more(text);
    }
}

/// A number with its noun: `1 process`, `12,345 events`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// Digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(records: Option<u64>, reason: LossReason) -> Loss {
        Loss { records, reason }
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
        assert_eq!(counted(1, "process", "processes"), "1 process");
    }

    #[test]
    fn a_ring_whose_making_was_overwritten_is_not_said_to_be_none() {
        let of = |(count, operations)| {
            rings(Seen {
                rings: count,
                operations,
            })
        };
        assert_eq!(of((0, 0)), "0 rings");
        assert_eq!(of((1, 5)), "1 ring");
        assert_eq!(
            of((0, 5)),
            "rings that were made before the oldest kept record"
        );
    }

    #[test]
    fn stacks_of_a_frame_are_short_and_none_at_all_too() {
        assert!(are_short(0, 0));
        assert!(are_short(10, 10));
        assert!(are_short(10, 15));
        assert!(!are_short(10, 16));
        assert!(!are_short(1, 5));
    }

    #[test]
    fn missing_records_are_added_up_as_far_as_they_are_known() {
        assert_eq!(records(&[]), None);
        let unknown = lost(None, LossReason::Damaged);
        assert_eq!(records(&[unknown]).unwrap(), "records");
        let known = lost(Some(1200), LossReason::Full);
        assert_eq!(records(&[unknown, known]).unwrap(), "1,200 records");
    }
}
