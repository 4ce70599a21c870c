//! All of the `io-uring` crate's surface on the real kernel, once by itself, once over `probe::io_uring` while nothing
//! records, and once while it does: each step must come out the same, an error of the kernel's too. The crate's own
//! source is asked whether that is all of it.

#![cfg(all(feature = "io-uring", feature = "assert"))]

mod source;

/// What the crate's modules have besides methods.
#[expect(unused_imports, reason = "that they are there is what is tested")]
mod names {
    pub(super) use probe::io_uring::cqueue::{
        CompletionQueue, CompletionStatus, Entry, Entry32, EntryMarker, buffer_more, buffer_select,
        more, notif, sock_nonempty,
    };
    pub(super) use probe::io_uring::squeue::{
        Entry as SubmissionEntry, Entry128, EntryMarker as SubmissionEntryMarker, Flags, PushError,
        SubmissionQueue,
    };
}

/// The same text over one crate and over the other.
macro_rules! suite {
    ($name:ident, $uring:path) => {
        #[path = "."]
        #[allow(clippy::duplicate_mod, reason = "that is what it is for")]
        mod $name {
            use $uring as uring;

            #[path = "common.rs"]
            mod common;
            #[path = "control.rs"]
            mod control;
            #[path = "files.rs"]
            mod files;
            #[path = "rings.rs"]
            mod rings;
            #[path = "sockets.rs"]
            mod sockets;

            pub(super) fn all() -> Vec<String> {
                let mut log = common::Log::default();
                files::all(&mut log);
                sockets::all(&mut log);
                control::all(&mut log);
                rings::all(&mut log);
                log.0
            }
        }
    };
}

suite!(bare, io_uring);
suite!(probed, probe::io_uring);

/// One test: the first scope of a process begins to record all of it.
#[test]
fn each_step_comes_out_the_same_over_the_probe() {
    if let Err(error) = io_uring::IoUring::new(8) {
        assert!(
            std::env::var_os("TRACER_ALLOW_SIMULATED").is_some(),
            "no ring here: {error}"
        );
        return;
    }
    let bare = bare::all();
    same(&bare, &probed::all(), "while nothing records");
    assert!(!probe::is_recording());
    let scope = probe::scope();
    assert!(probe::is_recording());
    same(&bare, &probed::all(), "while it records");
    scope.assert_clean();
}

fn same(bare: &[String], probed: &[String], when: &str) {
    for (at, step) in bare.iter().enumerate() {
        let over = probed.get(at).map_or("nothing", String::as_str);
        assert_eq!(step, over, "step {at} {when}");
    }
    assert_eq!(bare.len(), probed.len(), "{when}");
}
