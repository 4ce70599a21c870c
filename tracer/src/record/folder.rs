//! The recording folder: where traced processes put their files while they run.
//!
//! It belongs to this user alone (0700), because who can truncate a mapped file can kill the program
//! that maps it. It lies in memory where there is room: a file mapping on disk faults again after
//! each write-back. It is removed only by [`Folder::remove`], after its content is safe elsewhere;
//! dropping it leaves it, so that nothing recorded is lost to an early return.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{Access, CWD, OFlags};

/// `f_type` of tmpfs in `statfs`.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// How many processes' files must fit into memory for it to be preferred.
const ROOM_FOR_PROCESSES: u64 = 2;

/// A fresh folder of this recording's own.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one below `wanted`, or else in memory or the temporary folder. `file_bytes` is what one
    /// traced process will take.
    pub(crate) fn make(wanted: Option<&Path>, file_bytes: u64) -> Result<Self> {
        let base = match wanted {
            Some(dir) => dir.to_path_buf(),
            None => memory_base(file_bytes).unwrap_or_else(std::env::temp_dir),
        };
        let base = base
            .canonicalize()
            .with_context(|| format!("cannot record below {}", crate::safe::path(&base)))?;
        for _ in 0..16 {
            let path = base.join(format!("{}{}", wire::layout::FOLDER, hex(&random()?[..6])));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Self::verified(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!(
                            "cannot make a recording folder in {}; `--dir DIR` names another place",
                            crate::safe::path(&base)
                        )
                    });
                }
            }
        }
        bail!(
            "cannot find a free name for a recording folder in {}",
            crate::safe::path(&base)
        )
    }

    /// Some file systems keep no modes; the probe would refuse such a folder, so say it here.
    fn verified(path: PathBuf) -> Result<Self> {
        let mode = std::fs::metadata(&path)?.mode() & 0o777;
        if mode != 0o700 {
            let _ = std::fs::remove_dir(&path);
            bail!(
                "{} keeps no file modes (a folder made 0700 came out {mode:04o}), and a recording \
                 must belong to one user alone; `--dir DIR` names another place",
                crate::safe::path(path.parent().unwrap_or(&path))
            );
        }
        Ok(Self { path })
    }

    /// The same folder again, for another thread.
    pub(crate) fn same(&self) -> Self {
        Self {
            path: self.path.clone(),
        }
    }

    /// Where it is; absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the disk that this user may still fill; 0 where that cannot be known.
    pub(crate) fn free_bytes(&self) -> u64 {
        rustix::fs::statfs(&self.path).map_or(0, |stat| free_bytes(&stat))
    }

    /// Writes a file of its own user's into it.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(self.path.join(name))?;
        file.write_all(text.as_bytes())
    }

    /// Names of the process files in it, oldest process first.
    pub(crate) fn process_files(&self) -> io::Result<Vec<ProcessFile>> {
        process_files(&self.path)
    }

    /// Removes it with everything in it.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.path)
    }
}

/// A process file, and what its name says: `<pid>-<start time>-<random>.trc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessFile {
    /// Where.
    pub(crate) path: PathBuf,
    /// Its name in the folder.
    pub(crate) name: OsString,
    /// Process id, 0 where the name does not say.
    pub(crate) pid: u32,
    /// Start of the process in clock ticks since boot, 0 where the name does not say.
    pub(crate) start_time: u64,
}

impl ProcessFile {
    fn named(path: PathBuf, name: OsString) -> Self {
        let mut parts = name.to_str().unwrap_or("").split('-');
        let pid = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        let start_time = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        Self {
            path,
            name,
            pid,
            start_time,
        }
    }
}

impl ProcessFile {
    /// Whether there is such a process, be it a zombie: of one whose first thread has ended others may go on.
    pub(super) fn is_there(&self) -> bool {
        super::spawn::start_time(self.pid).is_some_and(|(start, _)| start == self.start_time)
    }
}

/// `/dev/shm`, if it is memory, ours to write, and has room.
fn memory_base(file_bytes: u64) -> Option<PathBuf> {
    let path = Path::new("/dev/shm");
    let stat = rustix::fs::statfs(path).ok()?;
    let is_memory = u64::try_from(stat.f_type).is_ok_and(|kind| kind == TMPFS_MAGIC);
    let free = free_bytes(&stat);
    let is_ours = rustix::fs::accessat(
        CWD,
        path,
        Access::WRITE_OK | Access::EXEC_OK,
        rustix::fs::AtFlags::EACCESS,
    )
    .is_ok();
    let has_room = free >= file_bytes.saturating_mul(ROOM_FOR_PROCESSES);
    (is_memory && is_ours && has_room).then(|| path.to_path_buf())
}

/// Names of process files that any process has mapped, as far as this user may know.
pub(super) fn mapped() -> HashSet<OsString> {
    let mut names = HashSet::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let maps = std::fs::read(process.path().join("maps")).unwrap_or_default();
        let lines = maps.split(|byte| *byte == b'\n');
        for path in lines.filter_map(|line| line.rsplit(|byte| *byte == b'/').next()) {
            if path.ends_with(b".trc") {
                names.insert(OsStr::from_bytes(path).to_owned());
            }
        }
    }
    names
}

fn free_bytes(stat: &rustix::fs::StatFs) -> u64 {
    stat.f_bavail
        .saturating_mul(u64::try_from(stat.f_bsize).unwrap_or(0))
}

/// Names of the process files in a recording folder, oldest process first.
pub(crate) fn process_files(folder: &Path) -> io::Result<Vec<ProcessFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().ends_with(b".trc") && entry.file_type()?.is_file() {
            files.push(ProcessFile::named(entry.path(), name));
        }
    }
    files.sort_by(|a, b| (a.start_time, a.pid, &a.name).cmp(&(b.start_time, b.pid, &b.name)));
    Ok(files)
}

/// Name of the file that says who records, and where the trace will be when the recording is over.
const RECORDER: &str = "recorder";
/// Bytes of it that are read.
const RECORDER_MAX: u64 = 8192;

/// Who records to a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorder {
    /// Its process id.
    pub(crate) pid: u32,
    /// Its start in clock ticks since boot.
    pub(crate) start_time: u64,
    /// Where the trace will be; absolute.
    pub(crate) target: PathBuf,
}

impl Recorder {
    /// This process.
    pub(crate) fn this(target: &Path) -> Self {
        let pid = std::process::id();
        Self {
            pid,
            start_time: super::spawn::start_time(pid).map_or(0, |(start, _)| start),
            target: target.to_path_buf(),
        }
    }

    /// Says so in the folder, for those who look on.
    pub(crate) fn announce(&self, folder: &Folder) -> Result<()> {
        let mut text = format!("{} {}\n", self.pid, self.start_time).into_bytes();
        text.extend_from_slice(self.target.as_os_str().as_bytes());
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(folder.path.join(RECORDER))?
            .write_all(&text)?;
        Ok(())
    }

    /// Who said so in a folder.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let mut text = Vec::new();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(folder.join(RECORDER))
            .ok()?;
        file.take(RECORDER_MAX).read_to_end(&mut text).ok()?;
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let (head, target) = text.split_at(end);
        let (pid, start_time) = std::str::from_utf8(head).ok()?.split_once(' ')?;
        let target = PathBuf::from(OsString::from_vec(target.get(1..)?.to_vec()));
        target.is_absolute().then_some(Self {
            pid: pid.parse().ok()?,
            start_time: start_time.parse().ok()?,
            target,
        })
    }
}

/// Random bytes from the kernel.
pub(crate) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_belongs_to_one_user_and_is_fresh() {
        let base = tempfile::tempdir().unwrap();
        let first = Folder::make(Some(base.path()), 0).unwrap();
        let second = Folder::make(Some(base.path()), 0).unwrap();
        assert_ne!(first.path(), second.path());
        assert_eq!(
            std::fs::metadata(first.path()).unwrap().mode() & 0o777,
            0o700
        );
        first.write("session", "protocol=1\n").unwrap();
        let session = first.path().join("session");
        assert_eq!(std::fs::metadata(&session).unwrap().mode() & 0o777, 0o600);
        assert!(first.write("session", "again").is_err());
        first.remove().unwrap();
        assert!(!session.exists());
    }

    #[test]
    fn recorder_is_read_as_it_announced_itself() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::make(Some(base.path()), 0).unwrap();
        assert_eq!(Recorder::of(folder.path()), None);
        let odd = std::ffi::OsStr::from_bytes(b"/tmp/a\nb\xff.bin");
        let this = Recorder::this(Path::new(odd));
        this.announce(&folder).unwrap();
        assert_eq!(Recorder::of(folder.path()), Some(this));
        std::fs::write(folder.path().join(RECORDER), "no such text").unwrap();
        assert_eq!(Recorder::of(folder.path()), None);
    }

    #[test]
    fn process_files_come_oldest_first_and_strangers_are_left_alone() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::make(Some(base.path()), 0).unwrap();
        for name in ["12-900-aa.trc", "7-1000-bb.trc", "session", "odd.trc"] {
            folder.write(name, "").unwrap();
        }
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("9-1-cc.trc")).unwrap();
        let files = folder.process_files().unwrap();
        let ids: Vec<_> = files
            .iter()
            .map(|file| (file.pid, file.start_time))
            .collect();
        assert_eq!(ids, [(0, 0), (12, 900), (7, 1000)]);
    }
}
