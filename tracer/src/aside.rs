//! Room on disk for what memory is too dear for: a file without a name, which is gone when this process is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use traces::events::Aside;

/// Where what is large and temporary belongs; `/tmp` may be memory.
const FOLDER: &str = "/var/tmp";

#[derive(Debug)]
struct Nameless(File);

impl Aside for Nameless {
    fn put(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn get(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

/// In the folder of `TMPDIR`, if it is set.
pub(crate) fn make() -> io::Result<Box<dyn Aside>> {
    let folder = match std::env::var_os("TMPDIR") {
        Some(folder) => PathBuf::from(folder),
        None if Path::new(FOLDER).is_dir() => PathBuf::from(FOLDER),
        None => std::env::temp_dir(),
    };
    Ok(Box::new(Nameless(tempfile::tempfile_in(folder)?)))
}
