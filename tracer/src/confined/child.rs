//! The child: it takes away from itself what it does not need before it reads a byte of the file.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use anyhow::{Context, anyhow};
use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{receive, send};
use crate::exit::{CLEAN, Exit, Failure};

/// Who is nobody, and owns nothing.
const NOBODY: u32 = 65534;

/// What a child may do and take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) cpu_seconds: u64,
    pub(crate) address_space: u64,
    pub(crate) rights: Rights,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// It opens files by their names, as whoever asks may.
    Kept,
    /// It was given what it reads: it may do nothing that takes a capability, and is nobody where root starts it and may
    /// become that.
    Dropped,
}

/// Says that it is confined, or why it is not; then answers until nobody asks any more.
pub(crate) fn serve(limits: Limits, answer: impl FnMut(&[u8]) -> Vec<u8>) -> Result<Exit, Failure> {
    let socket = io::stdout().as_fd().try_clone_to_owned();
    let socket = UnixStream::from(socket.context("has nobody to talk to")?);
    let confined = confine(limits);
    let why = confined.as_ref().err().map(ToString::to_string);
    send(&socket, why.unwrap_or_default().as_bytes())?;
    confined.map_err(|error| anyhow!("cannot limit itself: {error}"))?;
    converse(&socket, answer)?;
    Ok(Exit::Code(CLEAN))
}

/// Ends where an answer is longer than any may be: the beginning of one would be believed.
pub(crate) fn converse(
    socket: &UnixStream,
    mut answer: impl FnMut(&[u8]) -> Vec<u8>,
) -> io::Result<()> {
    while let Some(question) = receive(socket)? {
        send(socket, &answer(&question))?;
    }
    Ok(())
}

fn confine(limits: Limits) -> rustix::io::Result<()> {
    let most = [
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::As, limits.address_space),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        // Not for uid 0 of the first user namespace, which the kernel lets start as many as it likes.
        (Resource::Nproc, 0),
    ];
    for (resource, most) in most {
        let most = match rustix::process::getrlimit(resource).maximum {
            Some(allowed) => most.min(allowed),
            None => most,
        };
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(most),
            },
        )?;
    }
    rustix::thread::set_no_new_privs(true)?;
    match limits.rights {
        Rights::Kept => Ok(()),
        Rights::Dropped => drop_rights(),
    }
}

fn drop_rights() -> rustix::io::Result<()> {
    if rustix::process::geteuid().is_root() {
        become_nobody().or_else(|error| match error {
            // A user namespace may have nobody of that number, and a recorder may lack CAP_SETUID: it stays uid 0 there,
            // without capabilities, and can still open what that uid owns.
            rustix::io::Errno::INVAL | rustix::io::Errno::PERM => Ok(()),
            error => Err(error),
        })?;
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets)
}

/// This process has one thread: of what the kernel keeps for each, this changes all.
fn become_nobody() -> rustix::io::Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)
}
