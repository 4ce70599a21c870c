//! Ends of processes, and programs that are several of them.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use traces::recording::Ended;

use crate::folder::{Folder, SESSION, noted, only, program, succeeds, together};

#[test]
fn a_clean_exit_is_told_from_a_kill() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("clean"));
    let trace = only(&folder);
    assert_eq!(noted(&trace), [1, 2, 3]);
    assert!(trace.recording().processes[0].ended_clean());
    assert_eq!(
        trace
            .events()
            .iter()
            .filter(|event| event.process != 0)
            .count(),
        0
    );

    let folder = Folder::new(SESSION);
    let output = folder.run("abort");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
    let trace = only(&folder);
    assert_eq!(noted(&trace), [1]);
    assert!(!trace.recording().processes[0].ended_clean());
    assert!(!matches!(
        trace.recording().processes[0].ended,
        Ended::Exited { .. }
    ));
}

#[test]
fn a_forked_child_has_a_file_of_its_own() {
    for turn in ["fork", "clone"] {
        let folder = Folder::new(SESSION);
        succeeds(&folder.run(turn));
        let mut all: Vec<_> = folder.traces().iter().map(noted).collect();
        all.sort();
        assert_eq!(all, [vec![1, 2, 3], vec![1001, 1002]], "{turn}");
        // Of what lasts the child has not what its parent said.
        for trace in folder.traces() {
            let is_whole = trace.recording().processes[0].lasting.is_whole;
            assert_eq!(is_whole, noted(&trace)[0] == 1, "{turn}");
        }
    }
}

#[test]
fn a_child_forked_in_the_middle_of_a_record_goes_on() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("handler-forks"));
}

#[test]
fn a_forked_child_takes_little_room() {
    let folder = Folder::new("protocol=1\nchunks=1024\nmode=ring\n");
    succeeds(&folder.run("fork"));
    let mut sizes: Vec<_> = folder
        .files()
        .iter()
        .map(|path| fs::metadata(path).expect("the file").len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(
        sizes,
        [
            wire::layout::file_bytes(64) as u64,
            wire::layout::file_bytes(1024) as u64
        ]
    );
}

#[test]
fn starting_another_program_disturbs_nothing() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("vfork"));
    assert_eq!(noted(&only(&folder)), [1, 2]);
}

#[test]
fn after_exec_the_new_image_has_a_file_of_its_own() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("exec"));
    let mut all: Vec<_> = folder.traces().iter().map(noted).collect();
    all.sort();
    assert_eq!(all, [vec![1], vec![1, 2, 3]]);
}

/// Notes of each process, and how it ended, in the order in which they began.
fn lives(folder: &Folder) -> Vec<(Vec<u64>, Ended)> {
    let trace = together(folder);
    let recording = trace.recording();
    assert_eq!(recording.problems, []);
    let mut lives: Vec<_> = recording
        .processes
        .iter()
        .map(|process| (Vec::new(), process.ended))
        .collect();
    let mut begun = Vec::new();
    for event in trace.events() {
        if let traces::event::What::Peek(pointer) = &event.what {
            lives[event.process as usize].0.push(pointer.address);
            if !begun.contains(&event.process) {
                begun.push(event.process);
            }
        }
    }
    begun
        .iter()
        .map(|process| lives[*process as usize].clone())
        .collect()
}

#[test]
fn each_image_of_a_chain_of_execs_is_told_from_the_next() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run_with(&["chain", "3"]));
    assert_eq!(
        lives(&folder),
        [
            (vec![3], Ended::Replaced),
            (vec![2], Ended::Replaced),
            (vec![1], Ended::Replaced),
            (vec![0], Ended::Said),
        ]
    );
}

#[test]
fn grandchildren_have_files_of_their_own_and_the_same_addresses_do_not_meet() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("grandchildren"));
    let all = [3000, 2000, 1000, 0].map(|first| (vec![first, first + 1], Ended::Said));
    assert_eq!(lives(&folder), all);
    let trace = together(&folder);
    let verdict = trace.verdict();
    assert!(verdict.stories.is_empty(), "{:?}", verdict.stories);
    assert_eq!((verdict.exit_code(), verdict.summary.held_at_end), (0, 0));
}

#[test]
fn killed_child_is_told_from_children_that_ended_in_order() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("killed-child"));
    assert_eq!(
        lives(&folder),
        [
            (vec![1, 2], Ended::Said),
            (vec![1001], Ended::Unknown),
            (vec![2001], Ended::Said),
        ]
    );
    // What the killed one still held is no finding.
    let trace = together(&folder);
    assert!(trace.verdict().stories.is_empty());
    assert_eq!(trace.verdict().summary.held_at_end, 1);
}

/// A daemon goes on when the recorder has sealed what there was and taken its folder away. Its standard
/// error may be a file of its own by then, in which nobody else may write.
#[test]
fn daemon_is_recorded_and_nothing_is_written_into_its_files() {
    let folder = Folder::new(SESSION);
    let data = folder.0.path().with_extension("data");
    let mut program = Command::new(program());
    program.arg("daemon").arg(&data).stderr(Stdio::null());
    let status = program.env("TRACER_DIR", folder.0.path()).status();
    assert!(status.expect("the example starts").success());
    let patience = Instant::now();
    let wait_for = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(patience.elapsed() < Duration::from_secs(100), "no daemon");
            std::thread::yield_now();
        }
    };
    let has_noted = |path: &std::path::PathBuf, number| {
        let trace = fs::read(path).ok();
        let trace = trace.and_then(|bytes| {
            let input = traces::Input {
                name: "trace",
                bytes: &bytes,
            };
            traces::Trace::read(&[input]).ok()
        });
        trace.is_some_and(|trace| noted(&trace).contains(&number))
    };
    wait_for(&|| folder.files().iter().any(|path| has_noted(path, 1001)));
    let file = folder
        .files()
        .into_iter()
        .find(|path| has_noted(path, 1001));
    // A name for the daemon's file that outlives the folder.
    let kept = folder.0.path().with_extension("kept");
    fs::hard_link(file.expect("just seen"), &kept).expect("the same file system");
    fs::remove_dir_all(folder.0.path()).expect("own folder");
    wait_for(&|| data.with_extension("done").exists());
    let bytes = fs::read(&kept).expect("the daemon's file");
    let said = fs::read_to_string(&data).expect("own data");
    for path in [&data, &kept, &data.with_extension("done")] {
        fs::remove_file(path).expect("own file");
    }
    let input = traces::Input {
        name: "trace",
        bytes: &bytes,
    };
    let trace = traces::Trace::read(&[input]).expect("a readable trace");
    assert_eq!(noted(&trace), [1001, 1002]);
    assert_eq!(said, "", "the probe wrote into the daemon's own file");
}
