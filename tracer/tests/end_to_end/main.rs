//! Everything from end to end: the real binary, real processes, real files.
//!
//! A module is a promise of the command line. [`support`] runs the binary and waits for it; [`hammered`]
//! is the program that crash tests kill. Nothing here waits by sleeping, and nothing ends a process that
//! it did not start.

mod hammered;
mod support;
mod terminal;

mod crash;
mod demo;
mod doctor;
mod dump;
mod explain;
mod ffi;
mod garbage;
mod kill;
mod readme;
mod record;
mod simulated;
mod soak;
mod stacks;
mod surroundings;
mod view;
