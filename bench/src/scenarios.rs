//! Real work, bare and recorded: reads from the page cache, single operations, an echo over TCP.

use crate::program::{Bare, Echo, Floor, Nops, Reads, Recorded};
use crate::{Times, Variant, floor, session, table};

/// What is measured both ways.
macro_rules! bare_and_recorded {
    ($title:expr, $program:ident($($argument:expr)?), $rounds:expr, $operations:expr) => {
        match (
            $program::<Bare>::new($($argument)?),
            $program::<Floor>::new($($argument)?),
            $program::<Recorded>::new($($argument)?),
            $program::<Bare>::new($($argument)?),
        ) {
            (Ok(mut bare), Ok(mut least), Ok(mut recorded), Ok(mut again)) => table(
                $title,
                &mut [
                    Variant { name: "bare", run: Box::new(|n| bare.run(n)) },
                    Variant { name: Times::Own.floor(), run: Box::new(|n| least.run(n)) },
                    Variant { name: "recorded", run: Box::new(|n| recorded.run(n)) },
                    // What noise looks like, and what a place in memory does.
                    Variant { name: "bare, a second one", run: Box::new(|n| again.run(n)) },
                ],
                $rounds,
                $operations,
            ),
            (Err(error), ..) | (_, Err(error), ..) | (.., Err(error), _) | (.., Err(error)) => println!("{}: not measured: {error}\n", $title),
        }
    };
}

/// Reads of 4 KiB: each with leak, submission, completion and reclaim.
pub fn reads() {
    session::fill();
    floor::lay();
    bare_and_recorded!(
        "4 KiB reads from the page cache, batches of 32 (4 events each)",
        Reads(32),
        300,
        640
    );
    bare_and_recorded!(
        "4 KiB reads from the page cache, one at a time (4 events each)",
        Reads(1),
        300,
        400
    );
}

/// One NOP at a time.
pub fn single_nop() {
    session::fill();
    floor::lay();
    bare_and_recorded!("NOP, one at a time (4 events each)", Nops(1), 300, 800);
}

/// The echo: 4 operations a message, each with its coroutine's resumption and suspension.
pub fn echo() {
    session::fill();
    floor::lay();
    bare_and_recorded!(
        "echo over loopback TCP, 32 connections: a message and its answer (24 events)",
        Echo(),
        200,
        320
    );
}

/// The same as the table of batches, in a program that has just begun.
pub fn first_lap() {
    floor::lay();
    bare_and_recorded!(
        "NOP, batches of 32, while the recording takes its first 64 MiB (4 events each)",
        Nops(32),
        150,
        3_200
    );
}
