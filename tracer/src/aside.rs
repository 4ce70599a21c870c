//! Room on disk for what memory is too dear for: a file without a name, which is gone when this process is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::process::{Resource, getrlimit};
use traces::events::Aside;

/// Where what is large and temporary belongs; the other may be memory.
const FOLDERS: [&str; 2] = ["/var/tmp", "/tmp"];

#[derive(Debug)]
struct Nameless {
    file: File,
    /// A file that would grow past this brings SIGXFSZ upon this process, not just an error.
    limit: u64,
}

impl Aside for Nameless {
    fn put(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.limit {
            return Err(rustix::io::Errno::FBIG.into());
        }
        self.file.write_all_at(bytes, offset)
    }

    fn get(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// In the folder of `TMPDIR`, if it is set and a file can be made there, else where there is room as a rule.
pub(crate) fn make() -> io::Result<Box<dyn Aside>> {
    let chosen = std::env::var_os("TMPDIR").map(PathBuf::from);
    let folders = chosen.into_iter().chain(FOLDERS.map(PathBuf::from));
    let file = first_of(folders)?;
    let limit = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
    Ok(Box::new(Nameless { file, limit }))
}

/// A file in the first folder that takes one.
fn first_of(folders: impl Iterator<Item = PathBuf>) -> io::Result<File> {
    let mut failed = io::ErrorKind::NotFound.into();
    // An empty name would be the folder that somebody happens to be in.
    for folder in folders.filter(|folder| !folder.as_os_str().is_empty()) {
        match tempfile::tempfile_in(folder) {
            Ok(file) => return Ok(file),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_takes_no_file_is_passed_over() {
        let there = tempfile::tempdir().unwrap();
        let gone = there.path().join("gone");
        let folders = [PathBuf::new(), gone.clone(), there.path().to_owned()];
        let file = first_of(folders.into_iter()).unwrap();
        file.write_all_at(b"here", 0).unwrap();
        let none = first_of([PathBuf::new(), gone].into_iter());
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn nothing_is_written_past_the_limit_of_files() {
        let file = tempfile::tempfile().unwrap();
        let aside = Nameless { file, limit: 8 };
        aside.put(0, b"events").unwrap();
        let error = aside.put(6, b"too much").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let mut back = [0; 6];
        aside.get(0, &mut back).unwrap();
        assert_eq!(&back, b"events");
        assert_eq!(aside.file.metadata().unwrap().len(), 6);
    }
}
