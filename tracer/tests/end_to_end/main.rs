//! Everything from end to end: the real binary, real processes, real files.
//!
//! A module is a promise of the command line. [`support`] runs the binary and waits for it; [`hammered`]
//! is the program that crash tests kill, and [`account`] judges its traces. Nothing here waits by sleeping, and nothing ends a process that
//! it did not start.

mod account;
mod hammered;
mod hostile;
mod sample;
mod support;
mod terminal;

#[path = "../../../traces/tests/support/file.rs"]
#[allow(
    dead_code,
    reason = "a writer of trace files that other tests use more of"
)]
mod file;

mod asserted;
mod c;
mod config;
mod confined;
mod crash;
mod debug_info;
mod demo;
mod doctor;
mod dump;
mod explain;
mod export;
mod ffi;
mod garbage;
mod kernel;
mod kill;
mod known;
mod late;
mod levels;
mod matrix;
mod modes;
mod oracle;
mod pack;
mod poison;
mod preload;
mod processes;
mod readme;
mod record;
mod reports;
mod room;
mod runners;
mod shapes;
mod simulated;
mod soak;
mod stacks;
mod surroundings;
mod times;
mod uprobes;
mod view;
