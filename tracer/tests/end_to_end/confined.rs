//! Files that anybody may have made are read by processes that have little time, little memory and no rights, and what such
//! a file is made to waste is theirs.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use crate::support::tracer;

/// One of the processes that look into files, and how it is asked.
fn started(command: &mut Command) -> (Child, UnixStream) {
    let (mut socket, theirs) = UnixStream::pair().unwrap();
    let child = command.stdout(OwnedFd::from(theirs)).spawn().unwrap();
    // Before it is asked anything it says that it is confined.
    assert_eq!(heard(&mut socket), "");
    (child, socket)
}

fn ask(socket: &mut UnixStream, question: &str) -> String {
    let len = u32::try_from(question.len()).unwrap();
    socket.write_all(&len.to_le_bytes()).unwrap();
    socket.write_all(question.as_bytes()).unwrap();
    heard(socket)
}

fn heard(socket: &mut UnixStream) -> String {
    let mut len = [0; 4];
    socket.read_exact(&mut len).unwrap();
    let mut answer = vec![0; u32::from_le_bytes(len) as usize];
    socket.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// A line of a file in `/proc` about a process.
fn line(child: &Child, file: &str, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let words = line.unwrap().split_whitespace();
    words.map(str::to_owned).collect()
}

#[track_caller]
fn is_limited(child: &Child, cpu_seconds: &str, address_space: &str) {
    for (name, most) in [
        ("Max cpu time", cpu_seconds),
        ("Max address space", address_space),
        ("Max core file size", "0"),
        ("Max file size", "0"),
        ("Max processes", "0"),
    ] {
        assert_eq!(line(child, "limits", name)[..2], [most, most], "{name}");
    }
    assert_eq!(line(child, "status", "NoNewPrivs:"), ["1"]);
}

#[test]
fn what_looks_up_names_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tracer(folder.path());
    let (mut child, mut socket) = started(command.args(["__symbolize", "00", "nowhere"]));
    let answer = ask(&mut socket, "");
    assert!(answer.starts_with("no "), "{answer}");
    is_limited(&child, "10", "2147483648");
    drop(socket);
    assert!(child.wait().unwrap().success());
}

/// It is given what it reads, and whoever starts it is root as a rule.
#[test]
fn what_looks_into_a_recorded_programs_files_is_limited_and_may_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(env!("CARGO_BIN_EXE_tracer")).unwrap();
    let mut command = tracer(folder.path());
    let (mut child, mut socket) = started(command.arg("__look").stdin(Stdio::from(file)));
    let answer = ask(&mut socket, "image");
    assert!(answer.starts_with("b "), "{answer}");
    is_limited(&child, "60", "4294967296");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(line(&child, "status", set), ["0000000000000000"], "{set}");
    }
    if rustix::process::geteuid().is_root() {
        assert_eq!(line(&child, "status", "Uid:"), ["65534"; 4]);
        assert_eq!(line(&child, "status", "Gid:"), ["65534"; 4]);
        assert_eq!(line(&child, "status", "Groups:"), [] as [&str; 0]);
    }
    // What makes no sense has no answer, and is no end.
    for nonsense in [
        "", "row", "row 1000", "row zz", "line 1", "layout", "\u{1b}",
    ] {
        assert_eq!(ask(&mut socket, nonsense), "", "{nonsense:?}");
    }
    drop(socket);
    assert!(child.wait().unwrap().success());
}
