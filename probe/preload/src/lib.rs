//! The shim: loaded by `LD_PRELOAD` into programs that do not link the probe, it sees their rings at the
//! system calls, and records what it sees with the probe's own recorder.
//!
//! Seen: system calls for io_uring that go through `syscall(2)` of the C library (`uring`), through the functions of
//! liburing's shared library (`liburing`), or, where `record` has them trapped, that the program makes in line
//! (`trap`); frees, moves and unmaps of memory that an operation points at, where they go through the C library's names
//! (`memory`).
//! Not seen: what happens between two calls, ownership given away and taken back, calls made in line by libraries
//! that are loaded later.
//!
//! # What it never does
//!
//! It makes no system call in the program's place but the one that the program asked for, with the
//! arguments that it was given. It never allocates from the program's heap, writes to its
//! descriptors, changes `errno`, or starts a thread; it handles one signal, and that only where calls are trapped. It
//! waits for no lock but its own, which is held for as long as it takes to read a queue. Of the program's memory it
//! writes one word in a submission slot that the kernel is done with (`follow`), and puts it back before the kernel sees
//! it. In a process whose own program announces a probe it records nothing, and tells a probe that asks for it (that for C)
//! what is freed (`feeds`); in programs with raised privileges it does nothing.
//!
//! Every module holds `unsafe`: exported C functions, memory shared with the kernel.

#![cfg_attr(test, allow(dead_code, reason = "what the exported names use"))]
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod closing;
#[cfg(not(test))]
pub mod exports;
mod feeds;
mod follow;
mod kernel;
#[cfg(not(test))]
pub mod liburing;
mod lock;
mod memory;
mod next;
mod pages;
mod rings;
#[cfg(all(not(test), target_arch = "x86_64"))]
pub mod signals;
mod start;
mod trap;
mod uring;
