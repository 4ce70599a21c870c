//! What cargo runs as `cargo tracer`: it lies beside `tracer`, and becomes it.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // Cargo says the name of its command first.
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == "tracer") {
        words.remove(0);
    }
    let beside = std::env::current_exe().map(|path| path.with_file_name("tracer"));
    let tracer = match beside {
        Ok(path) if path.is_file() => path,
        _ => PathBuf::from("tracer"),
    };
    let error = Command::new(&tracer).arg("__cargo").args(words).exec();
    eprintln!(
        "cargo-tracer: cannot run `{}`: {error}; both are installed by `cargo install --path tracer`",
        tracer.display()
    );
    ExitCode::from(2)
}
