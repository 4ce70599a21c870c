//! A recording of several processes: one file, one view, and nobody is taken for somebody else.

use std::collections::BTreeSet;
use std::process::Stdio;

use rustix::process::Signal;
use traces::recording::Ended;

use crate::account::{Account, Writer};
use crate::hammered::{Acknowledged, Process, wait_for};
use crate::support::{end_of, has_io_uring, raw_folder, read, record, run, scenario, tracer};
use crate::terminal::Terminal;

#[test]
fn children_are_in_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let script = "\"$@\" >&2; \"$@\" >&2; exec \"$@\"";
    let mut command = record(folder.path(), ["sh", "-c", script, "sh"]);
    command.args(scenario(&["hammer", "--seconds", "0", "--ack", "ack"]));
    let ran = run(&mut command)
        .exits(0)
        .says("3 processes")
        .says("nothing lost");
    assert_eq!(ran.stdout().lines().count(), 1, "{ran:?}");
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.recording().processes.len(), 3);
    assert!(
        trace.recording().problems.is_empty(),
        "{:?}",
        trace.recording().problems
    );
    let last = trace.recording().command.last().unwrap();
    assert_eq!(last.bytes(), b"ack");
}

/// Of two runs of one program without a randomised layout, each uses the addresses of the other.
#[test]
fn one_view_shows_all_processes_and_mixes_none() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // One with a mistake, two without, one that is killed, and the shell that starts them.
    let script = "\"$@\" double & \"$@\" double --fixed & \"$@\" hammer --seconds 0 --ack ac1 & \
                  \"$@\" hammer --seconds 2000 --ack ack & \
                  until [ -s ack ] && [ $(od -An -N8 -td8 ack) -gt 3000 ]; do :; done; \
                  kill -9 $!; wait; exit 6";
    let setarch = std::process::Command::new("setarch")
        .args(["-R", "true"])
        .output();
    let same_addresses = setarch.is_ok_and(|ran| ran.status.success());
    let program: &[&str] = if same_addresses {
        &["setarch", "-R", "sh", "-c", script, "sh"]
    } else {
        eprintln!("SKIPPED: no `setarch -R` here; the processes have addresses of their own");
        &["sh", "-c", script, "sh"]
    };
    let mut command = record(folder.path(), program);
    command.args(scenario(&[]));
    run(&mut command).exits(6).says("4 processes");

    let file = folder.path().join("trace.bin");
    let trace = read(&file);
    let verdict = trace.verdict();
    // The one story is told of the one process that has the mistake.
    let [story] = &verdict.stories[..] else {
        panic!("{:?}", verdict.stories);
    };
    let process_of = |event: &traces::event::Event| event.process;
    let event = |id: traces::event::EventId| &trace.events()[id.0 as usize];
    let guilty = process_of(event(story.head.first_cause));
    for evidence in &story.head.evidence {
        assert_eq!(process_of(event(evidence.event)), guilty);
    }
    // Ends are each process's own: the killed one did not say that it ended.
    let ends = trace.recording().processes.iter().map(|it| it.ended);
    let ends: Vec<_> = ends.collect();
    let count = |end| ends.iter().filter(|other| **other == end).count();
    assert_eq!((count(Ended::Said), count(Ended::Gone)), (3, 1), "{ends:?}");
    if same_addresses {
        assert!(share_an_address(&trace), "the test tests less than it says");
    }

    let pids: Vec<u32> = trace
        .recording()
        .processes
        .iter()
        .map(|it| it.pid)
        .collect();
    let ran = run(tracer(folder.path()).arg("check").arg(&file)).exits(1);
    let dump = run(tracer(folder.path()).arg("dump").arg(&file)).exits(0);
    for pid in &pids {
        assert!(ran.stdout().contains(&format!("process {pid} (tracer): ")));
        assert!(dump.stdout().contains(&format!(" {pid}/tracer")));
    }
    let mut view = tracer(folder.path());
    view.arg("view").arg(&file);
    let terminal = Terminal::start(view, 120, 40);
    terminal.wait_for_screen();
    terminal.wait_for("1 finding");
    terminal.press("j");
    for pid in &pids {
        terminal.wait_for(&format!("Process {pid} (tracer)"));
    }
    terminal.press("q");
    assert!(terminal.end_and_assert_clean().0.success());
}

/// Whether two processes leaked one address.
fn share_an_address(trace: &traces::Trace) -> bool {
    let mut seen: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); trace.recording().processes.len()];
    for event in trace.events() {
        if let traces::event::What::Leak(pointer) = &event.what {
            seen[event.process as usize].insert(pointer.address);
        }
    }
    let pairs = (0..seen.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    pairs
        .into_iter()
        .any(|(a, b)| !seen[a].is_disjoint(&seen[b]))
}

/// `record` ends when its command does. What goes on then is in the file as far as it had come.
#[test]
fn daemon_that_outlives_the_program_is_in_the_file_as_far_as_it_had_come() {
    let folder = tempfile::tempdir().unwrap();
    let ack = folder.path().join("ack");
    // A session of its own, no descriptor of ours, and its parent is gone. The program ends as soon as
    // it may: when its input does.
    let script = "(setsid \"$@\" <&- >&- 2>&- &) ; read line; exit 4";
    let mut command = record(folder.path(), ["sh", "-c", script, "sh"]);
    command
        .args(scenario(&["hammer", "--seconds", "200", "--ack"]))
        .arg(&ack);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut recorder = command.spawn().unwrap();
    wait_for(10_000, &ack, &mut recorder);
    let daemon = Process::in_recording(&raw_folder(folder.path()));
    let promised = Acknowledged::read(&ack);
    drop(recorder.stdin.take());
    end_of(recorder)
        .exits(4)
        .says("1 process still running")
        .says("as far as it had come");
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.recording().processes[0].ended, Ended::Unknown);
    let account = Account::of(&trace, &promised, Writer::Live);
    assert!(
        account.corrupt.is_empty() && account.places.is_empty(),
        "{account:#?}"
    );
    assert!(account.recovered > 0);
    // Its folder is gone, and it goes on as if nothing were.
    let before: u64 = Acknowledged::read(&ack).own.iter().sum();
    while Acknowledged::read(&ack).own.iter().sum::<u64>() < before + 100_000 {
        std::thread::yield_now();
    }
    daemon.end(Signal::TERM);
}
