//! Where the kernel shows its tracepoints, and what to do where it does not show them to us.
//!
//! Nothing is mounted from here: whether a machine shows its tracepoints is for whoever runs it.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::format::Format;

/// Where tracefs lies on most machines; others are named by the table of mounts.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// Options that show it to a group, the caller's own.
fn to_group() -> String {
    format!("gid={},mode=750", rustix::process::getegid().as_raw())
}

/// How far tracefs can be looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tracefs {
    /// Here, with the tracepoints of io_uring.
    Readable(PathBuf),
    /// It is there, and not for this user.
    Forbidden(PathBuf),
    /// It is there, and knows no io_uring.
    WithoutIoUring(PathBuf),
    /// It is not mounted, as far as this user can see.
    NotMounted,
}

impl Tracefs {
    /// Looks for it.
    pub(crate) fn find() -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let places = PLACES.iter().map(PathBuf::from);
        Self::among(places.chain(mounted(&mounts)))
    }

    fn among(places: impl Iterator<Item = PathBuf>) -> Self {
        let mut found = Self::NotMounted;
        for place in places {
            match std::fs::read_dir(place.join("events/io_uring")) {
                Ok(_) => return Self::Readable(place),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    found = Self::Forbidden(place);
                }
                Err(_) if found == Self::NotMounted && place.join("events").is_dir() => {
                    found = Self::WithoutIoUring(place);
                }
                Err(_) => {}
            }
        }
        found
    }

    /// Where the tracepoints are, or what is missing and which command brings it.
    pub(crate) fn place(&self) -> Result<&Path> {
        match self {
            Self::Readable(place) => Ok(place),
            Self::Forbidden(place) => bail!(
                "{} may not be read by this user; as root: mount -o remount,{} {0}",
                crate::safe::path(place),
                to_group()
            ),
            Self::WithoutIoUring(place) => bail!(
                "{} knows no tracepoints of io_uring: this kernel was built without it",
                crate::safe::path(place)
            ),
            Self::NotMounted => {
                let options = if rustix::process::geteuid().is_root() {
                    String::new()
                } else {
                    format!(" -o {}", to_group())
                };
                bail!(
                    "tracefs is not mounted; as root: mount -t tracefs{options} tracefs {}",
                    PLACES[0]
                )
            }
        }
    }
}

/// Places of file systems of the kind, from the table of mounts: `tracefs /sys/kernel/tracing tracefs rw 0 0`.
fn mounted(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (place, kind) = (words.nth(1)?, words.next()?);
        // What stands for a blank in a name is not worth undoing: nobody calls it so.
        (kind == "tracefs").then(|| PathBuf::from(place))
    })
}

/// The format of a tracepoint of io_uring, by the newest of its names that this kernel knows.
pub(super) fn format(tracefs: &Path, names: &[&str]) -> Result<Format> {
    let mut denied = None;
    for name in names {
        let path = tracefs.join("events/io_uring").join(name).join("format");
        match std::fs::read_to_string(&path) {
            Ok(text) => match Format::parse(&text) {
                Some(format) => return Ok(format),
                None => bail!(
                    "{} is no description of a tracepoint",
                    crate::safe::path(&path)
                ),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => denied = Some((path, error)),
        }
    }
    match denied {
        Some((path, error)) => bail!(
            "{} cannot be read ({error}); as root: mount -o remount,{} {}",
            crate::safe::path(&path),
            to_group(),
            crate::safe::path(tracefs)
        ),
        None => bail!(
            "this kernel has no tracepoint {}, which kernels from 5.18 on have",
            names.first().unwrap_or(&"?")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_mounts_names_other_places() {
        let mounts = "proc /proc proc rw 0 0\ntracefs /t/x tracefs rw,gid=7 0 0\nbad\n";
        let found: Vec<_> = mounted(mounts).collect();
        assert_eq!(found, [PathBuf::from("/t/x")]);
    }

    #[test]
    fn what_is_missing_is_said_with_the_command_that_brings_it() {
        let base = tempfile::tempdir().unwrap();
        let among = |names: &[&str]| {
            Tracefs::among(
                names
                    .iter()
                    .map(|name| base.path().join(name))
                    .collect::<Vec<_>>()
                    .into_iter(),
            )
        };
        std::fs::create_dir_all(base.path().join("bare/events")).unwrap();
        std::fs::create_dir_all(base.path().join("whole/events/io_uring")).unwrap();
        assert_eq!(among(&["none"]), Tracefs::NotMounted);
        assert!(matches!(
            among(&["none", "bare"]),
            Tracefs::WithoutIoUring(_)
        ));
        assert!(matches!(among(&["bare", "whole"]), Tracefs::Readable(_)));
        let said = |tracefs: Tracefs| tracefs.place().unwrap_err().to_string();
        let mount = said(Tracefs::NotMounted);
        assert!(mount.contains("as root: mount -t tracefs "), "{mount}");
        assert!(mount.ends_with("tracefs /sys/kernel/tracing"), "{mount}");
        let remount = said(Tracefs::Forbidden("/t".into()));
        assert!(
            remount.contains("as root: mount -o remount,gid="),
            "{remount}"
        );
        assert!(remount.ends_with(",mode=750 /t"), "{remount}");
    }

    #[test]
    fn a_kernel_that_names_no_requests_is_refused_by_name() {
        let base = tempfile::tempdir().unwrap();
        let said = format(base.path(), &["io_uring_submit_req"]).unwrap_err();
        assert!(
            said.to_string()
                .contains("no tracepoint io_uring_submit_req")
        );
    }
}
