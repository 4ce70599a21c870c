//! A recorder's folder without a recorder, programs that record into it, and what they left there.

use std::fs;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use traces::event::What;
use traces::{Input, Trace};
use wire::layout;

/// A recorder's folder.
pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new(session: &str) -> Self {
        Self::below(&std::env::temp_dir(), session)
    }

    /// In memory, with so many bytes to be taken there; nothing where no memory is a disk.
    pub(crate) fn with_room(session: &str, bytes: usize) -> Option<Self> {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            eprintln!("SKIPPED: no /dev/shm here");
            return None;
        }
        let folder = Self::below(memory, session);
        let mut page = [0; layout::ROOM_BYTES];
        page[..8].copy_from_slice(&(bytes as u64).to_le_bytes());
        let file = folder.0.path().join(layout::ROOM);
        fs::write(&file, page).expect("a file");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("own file");
        Some(folder)
    }

    /// Bytes of its room that were not taken; below zero where the least was more than that.
    pub(crate) fn room(&self) -> i64 {
        let page = fs::read(self.0.path().join(layout::ROOM)).expect("the room");
        i64::from_le_bytes(page[..8].try_into().expect("eight bytes"))
    }

    fn below(parent: &Path, session: &str) -> Self {
        use std::io::Write;
        let folder = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
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

    pub(crate) fn run(&self, turn: &str) -> Output {
        self.run_with(&[turn])
    }

    /// Runs a turn with its argument.
    pub(crate) fn run_with(&self, arguments: &[&str]) -> Output {
        Command::new(program())
            .args(arguments)
            .env("TRACER_DIR", self.0.path())
            .output()
            .expect("the example starts")
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.0.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "trc"))
            .collect();
        files.sort();
        files
    }

    pub(crate) fn traces(&self) -> Vec<Trace> {
        self.files().iter().map(|path| read(path)).collect()
    }
}

pub(crate) const SESSION: &str = "protocol=1\nchunks=64\nmode=ring\n";

pub(crate) fn program() -> PathBuf {
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

pub(crate) fn read(path: &Path) -> Trace {
    let bytes = fs::read(path).expect("the trace file");
    Trace::read(&[Input {
        name: "trace",
        bytes: &bytes,
    }])
    .expect("a readable trace")
}

/// The addresses looked at, in causal order.
pub(crate) fn noted(trace: &Trace) -> Vec<u64> {
    let address = |event: &traces::event::Event| match &event.what {
        What::Peek(pointer) => Some(pointer.address),
        _ => None,
    };
    trace.events().iter().filter_map(address).collect()
}

/// All files as one recording.
pub(crate) fn together(folder: &Folder) -> Trace {
    let files = folder.files();
    let bytes: Vec<_> = files
        .iter()
        .map(|path| fs::read(path).expect("the trace file"))
        .collect();
    let inputs: Vec<_> = bytes
        .iter()
        .map(|bytes| Input {
            name: "trace",
            bytes,
        })
        .collect();
    Trace::read(&inputs).expect("readable traces")
}

/// A word of a file's header.
pub(crate) fn header_word(path: &Path, at: usize) -> u64 {
    let mut word = [0; 8];
    let file = fs::File::open(path).expect("the trace file");
    file.read_exact_at(&mut word, at as u64).expect("a header");
    u64::from_le_bytes(word)
}

pub(crate) fn only(folder: &Folder) -> Trace {
    let mut traces = folder.traces();
    assert_eq!(traces.len(), 1, "{:?}", folder.files());
    let trace = traces.remove(0);
    assert_eq!(trace.recording().problems, [], "the file has problems");
    trace
}

pub(crate) fn succeeds(output: &Output) {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}
