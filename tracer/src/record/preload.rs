//! The shim for programs that do not link the probe: puts it where the recorded program can load it, and says why
//! it saw nothing where it did not.
//!
//! It lies in the recording's own folder, or where no code may be loaded from there, in one below the temporary
//! folder. A program that would not start with it is looked for first, and started without it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::StatVfsMountFlags;

mod program;

pub(crate) use self::program::find;
use self::program::{File, Program};
use super::Trap;
use super::folder::Folder;
use crate::safe;

/// The shim; empty where this build has none.
static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shim.so"));
const NAME: &str = traces::stack::SHIM;
/// What the shim leaves in the recording folder when it is loaded.
const WORD: &str = "preloaded";
/// Where it says which error a ring was refused with, and why one that was made is not recorded: two words, zeros before.
const REFUSED: &str = "refused";
/// Where the shim finds when it is to trap system calls.
const TRAP: &str = "trap";
/// What it leaves about traps.
const TRAPPED: &str = "trapped";
const TRAPPED_WITHOUT_PRIVILEGES: &str = "trapped-without-privileges";
const TRAP_FIXED: &str = "trap-fixed";
const TRAP_FAILED: &str = "trap-failed";
const TRAP_VALGRIND: &str = "trap-valgrind";
const VARIABLE: &str = "LD_PRELOAD";

/// The shim, as it is handed to the program.
#[derive(Debug)]
pub(crate) struct Preload {
    /// Where it lies; nothing where it is not handed on.
    path: Option<PathBuf>,
    /// A folder of its own, where the recording's does not do.
    extra: Option<Folder>,
    /// What is known of the program.
    program: Program,
    /// Its file, for what is asked once it has ended.
    file: Option<File>,
    /// Why it is not handed on.
    why_not: Option<String>,
}

impl Preload {
    /// Puts the shim in its place, if it is wanted and does the program no harm.
    pub(crate) fn prepare(wanted: bool, trap: Trap, folder: &Folder, command: &[OsString]) -> Self {
        // Where it is not handed on anyway, nothing about the program matters.
        let (program, file) = match command.first() {
            Some(name) if wanted && !SHIM.is_empty() => program::look(name),
            _ => (Program::Unknown, None),
        };
        let mut preload = Self {
            path: None,
            extra: None,
            why_not: None,
            program,
            file,
        };
        if !wanted {
            preload.why_not = Some("`--no-preload` kept the shim out of it".to_owned());
        } else if SHIM.is_empty() {
            let why = "this build of tracer has no shim for this platform (Linux with glibc on x86-64 or aarch64)";
            preload.why_not = Some(why.to_owned());
        } else if !preload.program.refuses() {
            preload.place(folder);
            // Without the word nothing is trapped.
            let _ = folder.write(TRAP, trap.word());
            // Without the file it is not told.
            let _ = folder.write(REFUSED, "\0\0\0\0\0\0\0\0");
        }
        preload
    }

    fn place(&mut self, folder: &Folder) {
        if let Some(path) = write(folder) {
            self.path = Some(path);
            return;
        }
        if let Ok(extra) = Folder::make(Some(&std::env::temp_dir()), 0) {
            self.path = write(&extra);
            self.extra = Some(extra);
        }
        if self.path.is_none() {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
            let why = if limit.is_some_and(|limit| limit < SHIM.len() as u64) {
                format!(
                    "the shim, of {} KiB, is larger than files may be here (`ulimit -f`): raise the limit",
                    SHIM.len().div_ceil(1024)
                )
            } else {
                "there is no folder that the shim could be loaded from: neither the recording's (`--dir`) nor the \
                 temporary one has room and lets code be loaded"
                    .to_owned()
            };
            self.why_not = Some(why);
        }
    }

    /// The environment variable that has the program load it, and what it is to be.
    pub(crate) fn variable(&self) -> Option<(&'static str, OsString)> {
        let mut value = self.path.clone()?.into_os_string();
        if let Some(others) = std::env::var_os(VARIABLE).filter(|others| !others.is_empty()) {
            value.push(":");
            value.push(others);
        }
        Some((VARIABLE, value))
    }

    /// The program ended: whether the shim was loaded into any process, and what else it takes to say why nothing
    /// was seen.
    pub(crate) fn end(self, folder: &Folder) -> Outcome {
        let left = |word: &str| folder.path().join(word).exists();
        let traps = Traps {
            set: left(TRAPPED),
            set_without_privileges: left(TRAPPED_WITHOUT_PRIVILEGES),
            fixed: left(TRAP_FIXED),
            failed: left(TRAP_FAILED),
            valgrind: left(TRAP_VALGRIND),
        };
        let was_loaded = left(WORD);
        let wrong = std::fs::read(folder.path().join(REFUSED)).unwrap_or_default();
        let mut wrong = wrong.chunks_exact(4).map(|word| {
            let word = word.first_chunk().copied().unwrap_or_default();
            Some(i32::from_ne_bytes(word)).filter(|error| *error > 0)
        });
        let mut file = self.file;
        if let Some(extra) = self.extra {
            let _ = extra.remove();
        }
        Outcome {
            was_loaded,
            refused: wrong.next().flatten(),
            unopened: wrong.next().flatten(),
            traps,
            program: self.program,
            allocator: file
                .as_mut()
                .filter(|_| was_loaded)
                .and_then(File::allocator),
            file: RefCell::new(file),
            why_not: self.why_not,
        }
    }
}

/// Writes the shim into a folder that code may be loaded from, under a name that the loader's list can hold.
fn write(folder: &Folder) -> Option<PathBuf> {
    let path = folder.path().join(NAME);
    let is_name = |byte: &u8| !matches!(byte, b':' | b' ' | b'\t' | b'\n' | b'$');
    if !path.as_os_str().as_bytes().iter().all(is_name) {
        return None;
    }
    let mount = rustix::fs::statvfs(folder.path()).ok()?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return None;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&path).ok()?;
    match std::io::Write::write_all(&mut file, SHIM) {
        Ok(()) => Some(path),
        Err(_) => {
            // What little room there is belongs to the trace.
            let _ = std::fs::remove_file(&path);
            None
        }
    }
}

/// What there is to say of a recording beside what is in it.
#[derive(Debug)]
pub(crate) struct Outcome {
    was_loaded: bool,
    /// The error that a ring was refused with last.
    refused: Option<i32>,
    /// Why a ring was made and not recorded, last: an error, or a word of `wire::layout`.
    unopened: Option<i32>,
    traps: Traps,
    program: Program,
    /// The allocator that it brings, whose frees do not come by the C library's names.
    allocator: Option<&'static str>,
    file: RefCell<Option<File>>,
    why_not: Option<String>,
}

/// What the processes of a recording said about traps.
#[derive(Clone, Copy, Debug, Default)]
struct Traps {
    set: bool,
    set_without_privileges: bool,
    /// Not set, for want of addresses that are nobody else's.
    fixed: bool,
    failed: bool,
    /// Not set, under Valgrind.
    valgrind: bool,
}

impl Outcome {
    /// What else was done, or could not be done, for system calls that a program makes itself.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.of_traps();
        if let Some(allocator) = self.allocator {
            remarks.push(format!(
                "not seen: what the program frees by an allocator of its own ({allocator}); of that T07 and T16 know \
                 nothing"
            ));
        }
        remarks
    }

    fn of_traps(&self) -> Vec<String> {
        let mut remarks: Vec<&str> = Vec::new();
        if self.has_trapped() {
            remarks.push(
                "system calls of io_uring that the program and the libraries it starts with make past the C library \
                 were trapped (seccomp, some microseconds each; `--trap=never` does without)",
            );
        }
        if self.traps.set_without_privileges {
            remarks.push(
                "for want of privileges that took no_new_privs: setuid programs that it started did not raise theirs",
            );
        }
        if self.traps.fixed {
            remarks.push(
                "not recorded: system calls that a program makes past the C library at addresses that are not its own \
                 alone (linked to a fixed address, or without address randomisation): link it with -pie, or let \
                 `--trap=always` trap them; a program without the shim that it then starts may be killed by SIGSYS",
            );
        }
        if self.traps.valgrind {
            remarks.push(
                "not recorded: system calls that a program makes past the C library; under Valgrind they cannot be \
                 trapped",
            );
        }
        if self.traps.failed {
            remarks.push(
                "not recorded: system calls that a program makes past the C library; they could not be trapped (the \
                 kernel refused the filter, or there were too many places)",
            );
        }
        remarks.into_iter().map(str::to_owned).collect()
    }

    /// What a process did not record that made rings, and what to do; nothing where that is said elsewhere.
    pub(crate) fn not_opened(&self, by_kernel: bool) -> Option<String> {
        self.unopened.and_then(|why| not_opened(why, by_kernel))
    }

    /// Whether system calls of a process were trapped.
    pub(crate) fn has_trapped(&self) -> bool {
        self.traps.set || self.traps.set_without_privileges
    }

    /// Whether the program makes the system calls of io_uring in line.
    fn calls_the_kernel(&self) -> bool {
        let mut file = self.file.borrow_mut();
        file.as_mut().is_some_and(File::calls_the_kernel)
    }

    /// Why nothing was seen of the program, and what to do.
    ///
    /// With `--kernel` the program was listened to in another way, which says whether rings were made.
    pub(crate) fn why_nothing(&self, kernel: Kernel) -> String {
        let by_kernel = kernel != Kernel::Absent;
        if let Some(why) = &self.why_not {
            return why.clone();
        }
        if let Some(why) = self.not_opened(by_kernel) {
            return why;
        }
        if let Some(error) = self.refused {
            return was_refused(error);
        }
        let way_out = "link the probe (docs/probe.md; in C and C++ too)";
        match &self.program {
            Program::Static => {
                let record = if by_kernel {
                    ""
                } else {
                    "record it with `--kernel`, "
                };
                format!(
                    "it is linked statically, so that nothing can be loaded into it: {record}link it dynamically, or \
                     {way_out}"
                )
            }
            Program::Raised => format!(
                "it runs with raised privileges (setuid, setgid), and nothing is loaded into such programs: record it as \
                 the user that it runs as, or {way_out}"
            ),
            Program::Foreign => format!(
                "it was built for another C library or another machine than the shim (glibc, {}): {way_out}",
                std::env::consts::ARCH
            ),
            Program::Sanitizer(library) => format!(
                "it loads {library}, which insists on being the first library: link the sanitizer statically \
                 (-static-libasan, -static-libtsan), or {way_out}"
            ),
            Program::Ordinary if !self.has_trapped() && self.calls_the_kernel() => format!(
                "it makes the system calls of io_uring itself, past the C library, and they were not trapped: see \
                 `tracer record --help` about `--trap`, build it without the feature `direct-syscall`, or {way_out}"
            ),
            Program::Ordinary | Program::Unknown if self.was_loaded => {
                let unseen = "by a process that the shim was not in (one that a program started once it had changed its user or \
                              root, or cleared its environment), or past the C library in a library that was loaded \
                              later, as a plugin or an extension is, where nothing is trapped (with its path in \
                              `LD_PRELOAD` it is there from the start, and is)";
                match kernel {
                    Kernel::Absent => format!(
                        "the shim was loaded and saw no ring: either none was made, or {unseen}; `--kernel` sees those, \
                         too, and what runs as another user is recorded as that user"
                    ),
                    Kernel::SawNothing => format!(
                        "the shim was loaded and saw no ring, nor did the kernel: either none was made, or {unseen}"
                    ),
                    Kernel::SawRings => {
                        format!("the shim was loaded and saw no ring: they were made {unseen}")
                    }
                }
            }
            Program::Ordinary | Program::Unknown => {
                "the shim was not loaded: it cleared its environment, or is linked statically"
                    .to_owned()
            }
        }
    }
}

/// What is known by the kernel of a program that nothing else was seen of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// It was not asked.
    Absent,
    SawNothing,
    SawRings,
}

/// That a ring was made by a process that could not open the recording, by the reason that it left.
fn not_opened(why: i32, by_kernel: bool) -> Option<String> {
    use rustix::io::Errno;
    const NOT_NAMED: i32 = wire::layout::NOT_NAMED.cast_signed();
    const NOT_OURS: i32 = wire::layout::NOT_OURS.cast_signed();
    const ACCESS: i32 = Errno::ACCESS.raw_os_error();
    const NOENT: i32 = Errno::NOENT.raw_os_error();
    const NOTDIR: i32 = Errno::NOTDIR.raw_os_error();
    const NOMEM: i32 = Errno::NOMEM.raw_os_error();
    const MFILE: i32 = Errno::MFILE.raw_os_error();
    const NFILE: i32 = Errno::NFILE.raw_os_error();
    const NOSPC: i32 = Errno::NOSPC.raw_os_error();
    const FBIG: i32 = Errno::FBIG.raw_os_error();
    let (why, instead) = match why {
        // Said by the process that found no room, as a file in the folder.
        NOSPC | FBIG => return None,
        NOT_NAMED => (
            "its environment was cleared of TRACER_DIR by then",
            "record it with that variable kept",
        ),
        ACCESS | NOT_OURS => (
            "it ran as another user by then, and the recording is for the user that records alone (a folder of mode 0700)",
            "record it as the user that it runs as",
        ),
        NOENT | NOTDIR => (
            "it had changed its root or its file systems by then (chroot, a mount namespace), and the recording is not \
             there",
            "record it without that",
        ),
        MFILE | NFILE => (
            "it had no descriptor left to open the recording with",
            "record it with more of them (`ulimit -n`)",
        ),
        NOMEM => (
            "it may not map as much memory as the recording takes (`ulimit -v`)",
            "record it with more of that, with a smaller `--ring SIZE`",
        ),
        other => {
            let error = std::io::Error::from_raw_os_error(other);
            return Some(format!(
                "a process made a ring that is not recorded: it could not open the recording ({error})"
            ));
        }
    };
    let kernel = if by_kernel {
        ""
    } else {
        ", or with `--kernel`"
    };
    Some(format!(
        "a process made a ring that is not recorded: {why}; {instead}{kernel}"
    ))
}

/// That there was no ring to see, and what usually is behind it.
fn was_refused(error: i32) -> String {
    let why = match rustix::io::Errno::from_raw_os_error(error) {
        rustix::io::Errno::PERM | rustix::io::Errno::ACCESS => {
            "a seccomp filter, of a container or the program's own, or the sysctl kernel.io_uring_disabled"
        }
        rustix::io::Errno::NOSYS => "a kernel without io_uring, or a seccomp filter",
        rustix::io::Errno::NOMEM => "too little memory, or `ulimit -l`",
        rustix::io::Errno::INVAL => {
            "flags or sizes that do not go together, or that this kernel does not know"
        }
        _ => "see io_uring_setup(2)",
    };
    let error = std::io::Error::from_raw_os_error(error);
    format!(
        "io_uring_setup was refused: {error}: {why}; `tracer doctor` says what is possible here"
    )
}

/// The command as it was typed, for a sentence.
pub(crate) fn name(command: &[OsString]) -> String {
    command
        .first()
        .map_or_else(String::new, |word| safe::os(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_lies_in_the_recordings_folder_and_others_keep_their_place_in_the_list() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::make(Some(base.path()), 0).unwrap();
        let command = [OsString::from("sh")];
        let preload = Preload::prepare(true, Trap::Auto, &folder, &command);
        let (name, value) = preload.variable().unwrap();
        assert_eq!(name, "LD_PRELOAD");
        let value = value.into_string().unwrap();
        let first = value.split(':').next().unwrap();
        assert_eq!(std::fs::read(first).unwrap(), SHIM);
        assert_eq!(preload.program, Program::Ordinary);
        let without = Preload::prepare(false, Trap::Auto, &folder, &command);
        assert!(without.variable().is_none());
        // Then the program is nobody's business.
        assert_eq!(without.program, Program::Unknown);
        assert!(without.file.is_none());
    }
}
