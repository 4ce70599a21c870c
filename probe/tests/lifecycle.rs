//! The turns of a process's life, with real processes: what each file must hold, and that no program
//! notices that it is recorded.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use traces::event::What;
use traces::recording::Ended;
use traces::{Input, Trace};

/// A recorder's folder.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(session: &str) -> Self {
        use std::io::Write;
        let folder = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .expect("a temporary folder");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.path().join("session"))
            .expect("a session file");
        file.write_all(session.as_bytes()).expect("a session file");
        Self(folder)
    }

    fn run(&self, turn: &str) -> Output {
        Command::new(program())
            .arg(turn)
            .env("TRACER_DIR", self.0.path())
            .output()
            .expect("the example starts")
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.0.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "trc"))
            .collect();
        files.sort();
        files
    }

    fn traces(&self) -> Vec<Trace> {
        self.files().iter().map(|path| read(path)).collect()
    }
}

const SESSION: &str = "protocol=1\nchunks=64\nmode=ring\n";

fn program() -> PathBuf {
    let this = std::env::current_exe().expect("own path");
    let target = this.ancestors().nth(2).expect("target/PROFILE");
    let path = target.join("examples/lifecycle");
    assert!(
        path.is_file(),
        "{} is built by `cargo test`, without `--test`",
        path.display()
    );
    path
}

fn read(path: &Path) -> Trace {
    let bytes = fs::read(path).expect("the trace file");
    Trace::read(&[Input {
        name: "trace",
        bytes: &bytes,
    }])
    .expect("a readable trace")
}

/// The addresses looked at, in causal order.
fn noted(trace: &Trace) -> Vec<u64> {
    let address = |event: &traces::event::Event| match &event.what {
        What::Peek(pointer) => Some(pointer.address),
        _ => None,
    };
    trace.events().iter().filter_map(address).collect()
}

fn only(folder: &Folder) -> Trace {
    let mut traces = folder.traces();
    assert_eq!(traces.len(), 1, "{:?}", folder.files());
    let trace = traces.remove(0);
    assert_eq!(trace.recording().problems, [], "the file has problems");
    trace
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

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
fn boxes_handed_between_threads_are_in_order() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("handed"));
    let trace = only(&folder);
    let verdict = trace.verdict();
    let heads: Vec<_> = verdict.stories.iter().map(|story| &story.head).collect();
    assert!(heads.is_empty(), "{heads:#?}");
    let is_leak = |event: &&traces::event::Event| matches!(event.what, What::Leak(_));
    assert_eq!(trace.events().iter().filter(is_leak).count(), 2 * 11_994);
}

#[test]
fn files_are_for_their_owner_alone() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("clean"));
    let mode = fs::metadata(&folder.files()[0])
        .expect("the file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_forked_child_has_a_file_of_its_own() {
    for turn in ["fork", "clone"] {
        let folder = Folder::new(SESSION);
        succeeds(&folder.run(turn));
        let mut all: Vec<_> = folder.traces().iter().map(noted).collect();
        all.sort();
        assert_eq!(all, [vec![1, 2, 3], vec![1001, 1002]], "{turn}");
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

#[test]
fn short_threads_share_lanes_one_after_the_other() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("threads"));
    let trace = only(&folder);
    let mut numbers = noted(&trace);
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=800).collect::<Vec<_>>());
    // Four at a time: 800 threads must not take 800 lanes. A thread gives its lane back a moment
    // after it was joined, so a few more may be in use.
    let bytes = fs::read(&folder.files()[0]).expect("the trace file");
    let at = wire::layout::header::LANES_TAKEN;
    let lanes = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    assert!((1..32).contains(&lanes), "{lanes} lanes");
}

#[test]
fn what_no_lane_was_left_for_is_counted() {
    let folder = Folder::new("protocol=1\nchunks=2048\nmode=ring\n");
    succeeds(&folder.run("crowd"));
    let trace = only(&folder);
    let kept = noted(&trace).len() as u64;
    let lost = trace.verdict().summary.records_lost;
    assert_eq!(
        kept + lost,
        wire::layout::LANES as u64 + 50,
        "{kept} kept, {lost} lost"
    );
    assert!(lost >= 50);
}

#[test]
fn records_of_destructors_and_exit_handlers_are_kept() {
    for turn in ["destructor", "atexit"] {
        let folder = Folder::new(SESSION);
        succeeds(&folder.run(turn));
        assert_eq!(noted(&only(&folder)), [1, 2], "{turn}");
    }
}

#[test]
fn records_of_a_panic_are_kept() {
    let folder = Folder::new(SESSION);
    let output = folder.run("panic");
    assert_eq!(output.status.code(), Some(101));
    assert_eq!(noted(&only(&folder)), [1, 2]);
}

#[test]
fn signal_handlers_record_and_the_lane_stays_whole() {
    let folder = Folder::new("protocol=1\nchunks=1024\nmode=ring\n");
    succeeds(&folder.run("signals"));
    let trace = only(&folder);
    let numbers = noted(&trace);
    let (handled, own): (Vec<_>, Vec<_>) = numbers
        .into_iter()
        .partition(|number| *number == 1_000_000_000);
    assert_eq!(own, (1..=400_000).collect::<Vec<_>>());
    assert!(!handled.is_empty(), "no signal arrived");
    assert_eq!(trace.verdict().summary.records_lost, 0);
}

#[test]
fn errno_is_kept() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("errno"));
    assert_eq!(noted(&only(&folder)).len(), 10_001);
    // Where opening the recording fails, calls fail on the way.
    let output = Command::new(program())
        .arg("errno")
        .env("TRACER_DIR", folder.0.path().join("missing"))
        .output()
        .expect("the example starts");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_ring_keeps_the_newest_and_counts_the_rest() {
    let folder = Folder::new("protocol=1\nchunks=8\nmode=ring\n");
    succeeds(&folder.run("wrap"));
    let trace = only(&folder);
    let numbers = noted(&trace);
    assert_eq!(numbers.last(), Some(&1_000_000));
    let first = numbers[0];
    assert_eq!(numbers, (first..=1_000_000).collect::<Vec<_>>());
    // Every lost record is one of the numbers, or tells whose lane it is: one a chunk.
    let lost = trace.verdict().summary.records_lost;
    assert!(lost >= first - 1, "{lost} lost, first kept {first}");
    assert!(lost < first - 1 + 1000, "{lost} lost, first kept {first}");
}

#[test]
fn stop_mode_keeps_the_oldest_and_counts_the_rest() {
    let folder = Folder::new("protocol=1\nchunks=8\nmode=stop\n");
    succeeds(&folder.run("wrap"));
    let trace = only(&folder);
    let numbers = noted(&trace);
    let kept = numbers.len() as u64;
    assert_eq!(numbers, (1..=kept).collect::<Vec<_>>());
    assert_eq!(trace.verdict().summary.records_lost, 1_000_000 - kept);
}

#[test]
fn modules_are_named_and_have_their_build_ids() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("fork"));
    for trace in folder.traces() {
        let recording = trace.recording();
        assert_eq!(recording.problems, []);
        let exe = &recording.modules[0];
        assert_eq!(exe.path.bytes(), program().as_os_str().as_encoded_bytes());
        assert_eq!(exe.build_id, recording.processes[0].build_id);
        assert!(exe.size > 0x1000 && exe.base > 0, "{exe:?}");
        let file = fs::read(program()).expect("the example");
        assert!(
            !exe.build_id.is_empty()
                && file
                    .windows(exe.build_id.len())
                    .any(|part| part == exe.build_id),
            "{exe:?}"
        );
        let has = |part: &str| {
            let parts = |module: &traces::stack::Module| module.path.tty().contains(part);
            recording.modules.iter().any(parts)
        };
        assert!(has("libc"), "{:?}", recording.modules);
        assert_eq!(recording.frames().count(), 0);
    }
}

/// Whether the example's own functions keep frame pointers does not matter here: nothing may break,
/// and what is recorded must lie in code.
#[test]
fn stacks_are_recorded_and_disturb_nothing() {
    for chunks in [64, 32] {
        let session = format!("protocol=1\nchunks={chunks}\nmode=ring\nstacks=on\n");
        let folder = Folder::new(&session);
        succeeds(&folder.run("stacks"));
        let trace = only(&folder);
        let leaks = trace
            .events()
            .iter()
            .filter(|event| matches!(event.what, What::Leak(_)))
            .count();
        assert_eq!(leaks, 5);
        assert_eq!(trace.verdict().exit_code(), 0);
        // With frame pointers everywhere, the callers on a thread's own stack are known to the last.
        if option_env!("RUSTFLAGS").is_some_and(|flags| flags.contains("force-frame-pointers")) {
            for event in trace.events() {
                if let What::Leak(_) = event.what {
                    let frames = trace.recording().stack(event.id);
                    let own = frames
                        .iter()
                        .filter(|frame| frame.module == Some(0))
                        .count();
                    assert!(own > 4 || frames.is_empty(), "{frames:?}");
                }
            }
            // The one of the signal handler, which runs on a stack of its own.
            let without = |event: &&traces::event::Event| {
                matches!(event.what, What::Leak(_)) && trace.recording().stack(event.id).is_empty()
            };
            assert_eq!(trace.events().iter().filter(without).count(), 1);
        }
        for frame in trace.recording().frames() {
            let module = frame.module.expect("a known module");
            let module = &trace.recording().modules[module as usize];
            let within = module.file_base..module.file_base + module.size;
            assert!(within.contains(&frame.address), "{frame:?} {module:?}");
        }
        for turn in [
            "fork",
            "clone",
            "vfork",
            "exec",
            "threads",
            "destructor",
            "signals",
            "errno",
        ] {
            succeeds(&Folder::new(&session).run(turn));
        }
    }
}

/// The program goes on as if nothing were, and says in one line why it is not recorded.
fn refused(folder: &Path, why: &str) {
    let output = Command::new(program())
        .arg("clean")
        .env("TRACER_DIR", folder)
        .output()
        .expect("the example starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr.starts_with("tracer: not recording: "), "{stderr}");
    assert!(stderr.contains(why), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_folder_that_cannot_be_trusted_is_refused() {
    let folder = Folder::new(SESSION);
    let path = folder.0.path();
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("own folder");
    refused(path, "can be written to by other users");
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("own folder");
    fs::remove_file(path.join("session")).expect("own file");
    let fifo = std::ffi::CString::new(path.join("session").into_os_string().into_encoded_bytes())
        .expect("a path");
    // SAFETY: the path ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    refused(path, "not a file");
    fs::remove_file(path.join("session")).expect("own file");
    fs::write(path.join("session"), SESSION).expect("own file");
    refused(&path.join("missing"), "not a directory");
    refused(&path.join("session"), "not a directory");
    fs::remove_file(path.join("session")).expect("own file");
    refused(path, "no recording");
    fs::write(path.join("session"), "protocol=99\n").expect("own file");
    refused(path, "version of tracer");
    assert!(folder.files().is_empty());
}

#[test]
fn a_full_disk_is_noticed_before_anything_can_go_wrong() {
    let folder = Folder::new("protocol=1\nchunks=64\nmode=ring\n");
    // A limit on the size of files stands in for a full disk. Growing past it would kill the program.
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 100; exec \"$0\" clean"])
        .arg(program())
        .env("TRACER_DIR", folder.0.path())
        .output()
        .expect("sh starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr.contains("no room"), "{stderr}");
    assert!(folder.files().is_empty(), "a file was left behind");
}

#[test]
fn a_process_without_address_space_runs_on_unrecorded() {
    let folder = Folder::new("protocol=1\nchunks=8192\nmode=ring\n");
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 200000; exec \"$0\" clean"])
        .arg(program())
        .env("TRACER_DIR", folder.0.path())
        .output()
        .expect("sh starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr.contains("could not be mapped"), "{stderr}");
}
