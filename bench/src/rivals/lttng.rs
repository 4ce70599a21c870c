//! LTTng-UST as a flight recorder: newest events in memory, nothing is written to disk.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Way;
use super::tools::is_there;

/// The environment variable by which the program finds the provider.
pub(super) const PROVIDER: &str = "TRACER_BENCH_LTTNG";

const SESSION: &str = "tracer-bench";

/// Builds the provider and starts a session, both gone when the way is dropped.
pub(super) fn way(folder: &Path) -> Result<Way, String> {
    let provider = provider(folder)?;
    let session = Session::start(&["--snapshot"], folder)?;
    Ok(Way {
        wrapper: Vec::new(),
        program: std::env::current_exe().expect("own path"),
        tool: "lttng",
        environment: environment(provider),
        _keep: Some(Box::new(session)),
    })
}

/// Runs the NOPs so often in each of their loops, and gives what was written of them to disk.
pub(super) fn trace(folder: &Path, operations: u32) -> Result<PathBuf, String> {
    let provider = provider(folder)?;
    let session = Session::start(&[], folder)?;
    let mut program = Command::new(std::env::current_exe().expect("own path"));
    program.args(["program", "lttng", "nop-32", &operations.to_string()]);
    program.env_remove("TRACER_DIR").envs(environment(provider));
    let ran = said(&mut program);
    // All of it is on disk when the session is gone.
    drop(session);
    ran.map(|()| folder.join("lttng"))
}

fn environment(provider: PathBuf) -> Vec<(&'static str, OsString)> {
    vec![
        (PROVIDER, provider.into()),
        // Wait until the session knows the program, however long that takes.
        ("LTTNG_UST_REGISTER_TIMEOUT", "-1".into()),
    ]
}

/// Builds what the program loads to tell LTTng of its events.
fn provider(folder: &Path) -> Result<PathBuf, String> {
    if !["gcc", "lttng", "lttng-sessiond"].into_iter().all(is_there) {
        return Err("not installed (apt install gcc lttng-tools liblttng-ust-dev)".into());
    }
    let provider = folder.join("provider.so");
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/lttng");
    let mut compiler = Command::new("gcc");
    compiler
        .args(["-O2", "-shared", "-fPIC", "-I", sources, "-o"])
        .arg(&provider)
        .arg(format!("{sources}/provider.c"))
        .args(["-llttng-ust", "-ldl"]);
    said(&mut compiler).map_err(|said| {
        if said.contains("lttng/tracepoint.h") {
            "not installed (apt install liblttng-ust-dev)".to_owned()
        } else {
            format!("failed: gcc: {said}")
        }
    })?;
    Ok(provider)
}

/// A running session, and the daemon if there was none.
struct Session {
    daemon: Option<Child>,
}

impl Session {
    /// Starts one with what `create` is told besides: where nothing, all is written to disk.
    fn start(how: &[&str], folder: &Path) -> Result<Self, String> {
        let session = Self { daemon: daemon()? };
        // One of an earlier run that was killed.
        let _ = lttng(&["destroy", SESSION]);
        let output = format!("--output={}", folder.join("lttng").display());
        lttng(&[&["create", SESSION, &output], how].concat())?;
        // What is written to disk must not be overwritten before it is.
        let full = if how.is_empty() {
            "--discard"
        } else {
            "--overwrite"
        };
        let channel = ["--session", SESSION, full, "--buffers-uid"];
        let sizes = ["--num-subbuf=4", "--subbuf-size=4M", "ring"];
        lttng(&[&["enable-channel", "--userspace"], &channel[..], &sizes].concat())?;
        let event = ["--session", SESSION, "--channel", "ring", "tracer_bench:*"];
        lttng(&[&["enable-event", "--userspace"], &event[..]].concat())?;
        lttng(&["start", SESSION])?;
        Ok(session)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = lttng(&["destroy", SESSION]);
        if let Some(daemon) = &mut self.daemon {
            // SAFETY: a signal to our own child, which was not waited for yet. It ends its own children.
            unsafe { libc::kill(daemon.id() as i32, libc::SIGTERM) };
            let _ = daemon.wait();
        }
    }
}

/// Starts the session daemon unless one runs.
fn daemon() -> Result<Option<Child>, String> {
    if lttng(&["list"]).is_ok() {
        return Ok(None);
    }
    let mut daemon = Command::new("lttng-sessiond")
        .arg("--no-kernel")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("failed: lttng-sessiond: {error}"))?;
    let start = Instant::now();
    while let Err(said) = lttng(&["list"]) {
        if start.elapsed() > Duration::from_secs(10) {
            let _ = daemon.kill();
            let _ = daemon.wait();
            return Err(format!("failed: lttng-sessiond does not answer: {said}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Some(daemon))
}

fn lttng(arguments: &[&str]) -> Result<(), String> {
    said(Command::new("lttng").arg("--no-sessiond").args(arguments))
        .map_err(|said| format!("failed: lttng {}: {said}", arguments[0]))
}

/// Runs a command; what it said where it failed.
fn said(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let talk = [output.stderr, output.stdout].concat();
    Err(String::from_utf8_lossy(&talk).trim().to_owned())
}
