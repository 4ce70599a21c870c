//! A program that waits to be asked: variants that have to be processes of their own do a workload when they are told
//! to on stdin, and say so, so that their rounds alternate.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// One that runs.
pub struct Asked {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _folder: Option<TempDir>,
}

impl Asked {
    /// Starts it, as one that records into a folder, or not.
    pub fn start(mut command: Command, folder: Option<TempDir>) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env_remove("TRACER_DIR");
        if let Some(folder) = &folder {
            command.env("TRACER_DIR", folder.path());
        }
        let mut child = command.spawn().expect("the program starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            input,
            output,
            _folder: folder,
        }
    }

    /// Has it do something, so many times.
    pub fn does(&mut self, workload: &str, count: u32) {
        writeln!(self.input, "{workload} {count}").expect("the program listens");
        let mut line = String::new();
        let said = self.output.read_line(&mut line);
        assert!(
            said.is_ok() && line == "done\n",
            "the program ended: {line:?}"
        );
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
