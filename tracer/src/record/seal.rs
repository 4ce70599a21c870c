//! Makes one file out of a recording folder: packed chunk by chunk, written beside its target under
//! another name, then renamed into place, so that the target is always either the old file or the whole
//! new one.
//!
//! Nothing here waits for the disk: a trace survives the program, not the power cut.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{Access, AtFlags, CWD, OFlags};
use traces::read::bundle::{self, Section};
use traces::recording::Ended;
use traces::redact::Redactor;

use super::folder::{Folder, hex, random};
use super::session::Session;
use super::spawn::{self, End, How};
use super::started::Started;
use crate::pack::copy::{self, Copied};

/// The file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Where.
    pub(crate) path: PathBuf,
    /// Processes that went on after the program's end: they are in the file as far as they had come.
    pub(crate) still_running: usize,
}

/// Where the trace will go, checked before the program runs: whoever recorded for an hour should not
/// learn of a typing error afterwards. Follows a symbolic link, so that the link survives.
pub(crate) fn target(output: &Path) -> Result<PathBuf> {
    let shown = crate::safe::path(output);
    if output == Path::new("-") {
        bail!("`-o -` is not possible: while recording, stdout belongs to the program");
    }
    let target = match std::fs::metadata(output) {
        Ok(found) if found.is_dir() => bail!("{shown} is a folder; `-o` takes the name of a file"),
        Ok(found) if !found.is_file() => bail!("{shown} is not an ordinary file"),
        Ok(_) => output.canonicalize()?,
        Err(_) => std::path::absolute(output).with_context(|| format!("cannot use {shown}"))?,
    };
    let folder = parent(&target)?;
    rustix::fs::accessat(
        CWD,
        folder,
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    )
    .with_context(|| {
        let folder = crate::safe::path(folder);
        format!("cannot write into {folder}; `-o FILE` names another place")
    })?;
    Ok(target)
}

/// What is sealed.
pub(super) struct What<'a> {
    pub(super) folder: &'a Folder,
    pub(super) session: &'a Session,
    pub(super) command: &'a [OsString],
    /// How the program ended, where it is the recorder's own.
    pub(super) end: Option<&'a End>,
    pub(super) started: &'a Started,
    /// Takes out what is nobody else's business, where that is wanted.
    pub(super) redactor: Option<Redactor>,
}

/// Writes everything that is known of the recording to `target`.
pub(super) fn seal(what: What<'_>, target: &Path) -> Result<Sealed> {
    let shown = crate::safe::path(target);
    let unfinished = Unfinished::create(target).with_context(|| format!("cannot write {shown}"))?;
    let still_running =
        write(&unfinished.file, what).with_context(|| format!("cannot write {shown}"))?;
    unfinished
        .rename(target)
        .with_context(|| format!("cannot put {shown} in its place"))?;
    Ok(Sealed {
        path: target.to_path_buf(),
        still_running,
    })
}

/// The sections in the order a reader wants them: what was asked, how it ended, then the bulk.
fn write(file: &File, mut what: What<'_>) -> Result<usize> {
    let mut out = BufWriter::new(file);
    bundle::write_header(&mut out)?;
    let said = what.session.info().into_iter().chain(what.started.info());
    let mut info: Vec<u8> = said
        .flat_map(|(key, value)| format!("{key}={value}\n").into_bytes())
        .collect();
    let mut command = nul_separated(what.command);
    if let Some(redactor) = &mut what.redactor {
        info.extend(format!("{}=yes\n", traces::packed::REDACTED).into_bytes());
        info = copy::info(redactor, &info);
        command = copy::command(redactor, &command);
    }
    bundle::write_section(&mut out, Section::Info, &info)?;
    bundle::write_section(&mut out, Section::Command, &command)?;
    if let Some(end) = what.end {
        bundle::write_section(
            &mut out,
            Section::End,
            &bundle::end_record(end.pid, end.start_time, ended(end.how), end.at_ns),
        )?;
    }
    let mut still_running = 0;
    let mut reported = Vec::new();
    for process in what.folder.process_files()? {
        let id = (process.pid, process.start_time);
        let runs = id.1 != 0 && spawn::start_time(process.pid) == Some((process.start_time, true));
        let is_told = what.end.is_some_and(|end| (end.pid, end.start_time) == id);
        if id.1 != 0 && !is_told && !reported.contains(&id) {
            reported.push(id);
            still_running += usize::from(runs);
            // When one ended that nobody watched is not known.
            let (ended, now) = if runs {
                (Ended::Unknown, super::clock::monotonic_ns())
            } else {
                (Ended::Gone, 0)
            };
            let end = bundle::end_record(process.pid, process.start_time, ended, now);
            bundle::write_section(&mut out, Section::End, &end)?;
        }
        let from = Copied::Live(&process.path);
        copy::process(&mut out, what.redactor.as_mut(), from)
            .with_context(|| format!("cannot copy {}", crate::safe::path(&process.path)))?;
    }
    out.flush()?;
    Ok(still_running)
}

fn nul_separated(words: &[OsString]) -> Vec<u8> {
    words
        .iter()
        .map(|word| word.as_bytes())
        .collect::<Vec<_>>()
        .join(&0)
}

fn ended(how: How) -> Ended {
    match how {
        How::Exited(code) => Ended::Exited { code: code.into() },
        How::Signal { number, core } => Ended::Killed {
            signal: number,
            core,
        },
    }
}

/// A file under a name of its own, removed unless it is renamed.
#[derive(Debug)]
pub(crate) struct Unfinished {
    file: File,
    path: PathBuf,
    is_renamed: bool,
}

impl Unfinished {
    /// Beside its target.
    pub(crate) fn create(target: &Path) -> Result<Self> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or(target.as_os_str()));
        name.push(format!(".{}.tmp", hex(&random()?[..4])));
        let path = parent(target)?.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)?;
        Ok(Self {
            file,
            path,
            is_renamed: false,
        })
    }

    /// What is written to.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where it lies until then.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place.
    pub(crate) fn rename(mut self, target: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, target)?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn parent(target: &Path) -> Result<&Path> {
    target
        .parent()
        .with_context(|| format!("{} has no folder to be in", crate::safe::path(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(output: &Path) -> String {
        target(output).unwrap_err().to_string()
    }

    #[test]
    fn target_is_checked_before_anything_runs() {
        let base = tempfile::tempdir().unwrap();
        assert!(refused(Path::new("-")).contains("stdout belongs to the program"));
        assert!(refused(base.path()).contains("is a folder"));
        assert!(refused(Path::new("/dev/null")).contains("not an ordinary file"));
        assert!(refused(&base.path().join("no/such/trace.bin")).contains("cannot write into"));
        let fresh = base.path().join("trace.bin");
        assert_eq!(target(&fresh).unwrap(), fresh);
    }

    #[test]
    fn symbolic_link_keeps_pointing() {
        let base = tempfile::tempdir().unwrap();
        let real = base.path().canonicalize().unwrap().join("real.bin");
        std::fs::write(&real, "old").unwrap();
        let link = base.path().join("link.bin");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(target(&link).unwrap(), real);
    }

    #[test]
    fn unfinished_file_leaves_nothing_behind() {
        let base = tempfile::tempdir().unwrap();
        drop(Unfinished::create(&base.path().join("trace.bin")).unwrap());
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
    }
}
