#![allow(dead_code, reason = "not every test uses all of it")]
//! A recorder's folder, and the records that programs left in it, as they stand in the file.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use wire::layout;
use wire::record::{Header, Kind, State};

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) aux: u8,
    pub(crate) words: Vec<u64>,
}

pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self::asking("")
    }

    /// A recording with an option, as `poison=off` and a line's end.
    pub(crate) fn asking(option: &str) -> Self {
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
        let session = format!("protocol=1\nchunks=64\nmode=ring\n{option}");
        file.write_all(session.as_bytes()).expect("a session file");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// Runs an example of this crate, and returns what it printed.
    pub(crate) fn run(&self, example: &str, turn: &str) -> String {
        let output = Command::new(program(example))
            .arg(turn)
            .env("TRACER_DIR", self.0.path())
            .output()
            .expect("the example starts");
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The file of the only process.
    pub(crate) fn file(&self) -> Vec<u8> {
        let entries = fs::read_dir(self.0.path()).expect("the folder");
        let mut files = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "trc"));
        let file = files.next().expect("a trace file");
        assert!(files.next().is_none(), "several processes recorded");
        fs::read(file).expect("the trace file")
    }

    /// The records of each process, the process that wrote most of them first.
    pub(crate) fn records(&self) -> Vec<Vec<Record>> {
        let mut all: Vec<_> = fs::read_dir(self.0.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "trc"))
            .map(|path| records(&fs::read(path).expect("the trace file")))
            .collect();
        all.sort_by_key(|records| std::cmp::Reverse(records.len()));
        all
    }
}

pub(crate) fn program(example: &str) -> PathBuf {
    let this = std::env::current_exe().expect("own path");
    let target = this.ancestors().nth(2).expect("target/PROFILE");
    let path = target.join("examples").join(example);
    assert!(
        path.is_file(),
        "{} is built by `cargo test`, without `--test`",
        path.display()
    );
    path
}

/// Every committed record, chunk by chunk.
fn records(file: &[u8]) -> Vec<Record> {
    let (words, rest) = file.as_chunks::<8>();
    assert!(rest.is_empty());
    let words: Vec<u64> = words.iter().copied().map(u64::from_le_bytes).collect();
    let mut records = Vec::new();
    for chunk in words[layout::chunk_offset() / 8..].chunks(layout::CHUNK_WORDS) {
        let mut at = layout::CHUNK_HEADER_WORDS;
        while let Some(header) = chunk.get(at).copied().map(Header)
            && header.state() == Some(State::Committed)
        {
            let end = at + header.words();
            if let Some(kind) = header.kind() {
                records.push(Record {
                    kind,
                    flags: header.flags(),
                    aux: header.aux(),
                    words: chunk[at + 1..end].to_vec(),
                });
            }
            at = end;
        }
    }
    records
}
