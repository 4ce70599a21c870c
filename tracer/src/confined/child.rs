//! The child: it takes away from itself what it does not need before it reads a byte of the file.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use anyhow::{Context, anyhow};
use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{MOST, receive, send};
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
    /// It was given what it reads: it is nobody, and may do nothing that takes a capability.
    Dropped,
}

/// Answers until nobody asks any more.
pub(crate) fn serve(limits: Limits, answer: impl FnMut(&[u8]) -> Vec<u8>) -> Result<Exit, Failure> {
    confine(limits).map_err(|error| anyhow!("cannot limit itself: {error}"))?;
    let socket = io::stdout().as_fd().try_clone_to_owned();
    let socket = UnixStream::from(socket.context("has nobody to talk to")?);
    converse(&socket, answer)?;
    Ok(Exit::Code(CLEAN))
}

pub(crate) fn converse(
    socket: &UnixStream,
    mut answer: impl FnMut(&[u8]) -> Vec<u8>,
) -> io::Result<()> {
    while let Some(question) = receive(socket)? {
        let mut text = answer(&question);
        text.truncate(MOST);
        send(socket, &text)?;
    }
    Ok(())
}

fn confine(limits: Limits) -> rustix::io::Result<()> {
    let most = [
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::As, limits.address_space),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
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
            // A user namespace may have nobody of that number: what is left there is a root that may do nothing.
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
