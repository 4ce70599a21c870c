//! Runs `tracer` and other programs, and never for ever.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longer than anything here takes on a slow and busy machine: who waits this long, hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How a program ended and what it said.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(
            f,
            "{}\n--- stdout\n{stdout}\n--- stderr\n{}",
            self.status, self.stderr
        )
    }
}

impl Ran {
    pub(crate) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text on stdout is UTF-8")
    }

    /// Asserts the exit code; what was said is in the message.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        self
    }

    /// Asserts the signal.
    #[track_caller]
    pub(crate) fn dies_by(self, signal: i32) -> Self {
        assert_eq!(self.status.signal(), Some(signal), "{self:#?}");
        self
    }

    /// Asserts that stderr holds a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "`{text}` is not in:\n{}",
            self.stderr
        );
        self
    }

    /// Asserts that stdout holds a text.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(
            self.stdout().contains(text),
            "`{text}` is not in:\n{}",
            self.stdout()
        );
        self
    }
}

/// Gives children the usual dispositions of the keyboard's signals. Whoever started the tests may have them
/// ignored (a shell that runs them with `&` does), and children inherit that; what is handled here is the
/// default in them.
fn reset_signals() {
    static DONE: std::sync::Once = std::sync::Once::new();
    DONE.call_once(|| {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGQUIT] {
            let always = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
            signal_hook::flag::register_conditional_default(signal, always).unwrap();
        }
    });
}

/// `tracer` in a folder of the test's own, with nothing of the caller's environment that changes it.
pub(crate) fn tracer(folder: &Path) -> Command {
    reset_signals();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.current_dir(folder);
    for name in [
        "TRACER_DIR",
        "CLICOLOR_FORCE",
        "CARGO_TERM_COLOR",
        "CLICOLOR",
    ] {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
    command
}

/// Arguments for `tracer record`, with raw recordings below `folder` so that the test can see them.
pub(crate) fn record<I, S>(folder: &Path, program: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let raw = raw_folder(folder);
    std::fs::create_dir_all(&raw).unwrap();
    let mut command = tracer(folder);
    command
        .arg("record")
        .arg("--dir")
        .arg(raw)
        .arg("--")
        .args(program);
    command
}

/// `tracer demo`. Where io_uring is not permitted the test fails with the reason, unless the
/// environment allows the simulated ring alone.
pub(crate) fn demo(folder: &Path, arguments: &[&str]) -> Command {
    has_io_uring();
    let mut command = tracer(folder);
    command.arg("demo").args(arguments);
    command
}

/// Whether the kernel's own rings can be tested; panics with the reason where they must be.
pub(crate) fn has_io_uring() -> bool {
    demo_runtime::permission::kernel_or_reason()
}

/// The sealed trace of a built-in program.
#[track_caller]
pub(crate) fn demo_trace(folder: &Path, arguments: &[&str]) -> PathBuf {
    let path = folder.join(format!("{}.bin", arguments.concat()));
    let ran = run(demo(folder, arguments)
        .arg("--no-view")
        .arg("-o")
        .arg(&path));
    assert!(ran.status.code().is_some_and(|code| code != 2), "{ran:#?}");
    path
}

/// A built-in program as something to record: the binary itself and its hidden command.
pub(crate) fn scenario(arguments: &[&str]) -> Vec<OsString> {
    let binary = env!("CARGO_BIN_EXE_tracer");
    [binary, "__scenario"]
        .iter()
        .chain(arguments)
        .map(OsString::from)
        .collect()
}

/// Reads a trace as `check` does, in this process.
#[track_caller]
pub(crate) fn read(path: &Path) -> traces::Trace {
    let bytes = std::fs::read(path).unwrap();
    let name = path.display().to_string();
    traces::Trace::read(&[traces::Input {
        name: &name,
        bytes: &bytes,
    }])
    .unwrap()
}

/// A folder in memory where there is such a thing: as a recording has it, and fast.
pub(crate) fn memory_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Where [`record`] has its recording folders.
pub(crate) fn raw_folder(folder: &Path) -> PathBuf {
    folder.join("raw")
}

/// The entries of a folder.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// Runs to the end without input.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ran {
    run_with_input(command, &[])
}

/// Runs to the end.
#[track_caller]
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Ran {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that does not read its input closes it: no fault of the test.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    end_of(child)
}

/// Waits for the end of a program whose output is piped, and collects what it still says.
#[track_caller]
pub(crate) fn end_of(mut child: Child) -> Ran {
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child);
    let stdout = stdout.join().unwrap();
    let stderr = stderr.join().unwrap();
    Ran {
        status,
        stdout,
        stderr: String::from_utf8(stderr).expect("stderr is UTF-8"),
    }
}

/// Waits for the end of a program; one that does not come to its end is killed, and the test fails.
#[track_caller]
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let pid = rustix::process::Pid::from_child(child);
    let (ended, end) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if end.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Not waited for yet, so the number is still the child's.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            return true;
        }
        false
    });
    let id = rustix::process::WaitId::Pid(pid);
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(id.clone(), options) {}
    drop(ended);
    let hung = watch.join().unwrap();
    let status = child.wait().unwrap();
    assert!(
        !hung,
        "the program did not come to its end within {PATIENCE:?}"
    );
    status
}

/// Reads until a line appears that holds `text`; fails when the output ends before.
#[track_caller]
pub(crate) fn read_until(output: &mut impl Read, text: &str) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&seen).contains(text) {
        let count = output.read(&mut byte).unwrap();
        assert!(
            count == 1,
            "output ended before `{text}`: {}",
            String::from_utf8_lossy(&seen)
        );
        seen.push(byte[0]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn collect(output: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut output) = output {
            output.read_to_end(&mut bytes).unwrap();
        }
        bytes
    })
}
