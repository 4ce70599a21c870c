//! The header for liburing against the liburing that is there: none of its functions may be forgotten, and what newer ones
//! have is followed. `.ci/newer-liburing` runs this with versions that a distribution's stable release does not have.

use std::collections::BTreeSet;

use super::build::{self, C, CXX, Needs, Program};
use super::recorded;
use crate::support::{has_io_uring, read, run, tracer};

/// Not wrapped, as the header says.
const NOT_WRAPPED: &[&str] = &[
    // The trace needs nothing of them. With a `*`: all that begin so.
    "io_uring_prep_*",
    "io_uring_sqe_set_*",
    "io_uring_cqe_get_*",
    "io_uring_register*",
    "io_uring_unregister_*",
    "io_uring_sq_ready",
    "io_uring_sq_space_left",
    "io_uring_cq_ready",
    "io_uring_sqring_wait",
    "io_uring_enable_rings",
    "io_uring_buf_ring_init",
    "io_uring_buf_ring_add",
    "io_uring_cqe_iter_next",
    // What only asks, counts, sets up memory or closes a descriptor that the process has another one for.
    "io_uring_get_probe*",
    "io_uring_free_probe",
    "io_uring_opcode_supported",
    "io_uring_cq_has_overflow",
    "io_uring_cq_eventfd_*",
    "io_uring_buf_ring_head",
    "io_uring_buf_ring_available",
    "io_uring_buf_ring_mask",
    "io_uring_cqe_nr",
    "io_uring_cqe_shift*",
    "io_uring_sqe_shift*",
    "io_uring_load_sq_head",
    "io_uring_memory_size*",
    "io_uring_mlock_size*",
    "io_uring_major_version",
    "io_uring_minor_version",
    "io_uring_check_version",
    "io_uring_recvmsg_*",
    "io_uring_ring_dontfork",
    "io_uring_set_iowait",
    "io_uring_close_ring_fd",
    "io_uring_clone_buffers*",
    // Not seen: the system calls, and names that liburing keeps for itself.
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_enter2",
    "io_uring_skip_cqe",
    "io_uring_initialize_sqe",
    "_*",
];

/// Wrapped all the same, of those that begin so.
const WRAPPED_AMONG: &[&str] = &[
    "io_uring_register_buf_ring",
    "io_uring_unregister_buf_ring",
    "__io_uring_buf_ring_cq_advance",
];

/// All functions that a text declares or calls whose names are liburing's.
fn functions(text: &str) -> BTreeSet<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices('(')
        .filter_map(|(at, _)| {
            let before = text[..at].trim_end();
            let start = before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
            let name = &before[start..];
            let bare = name.trim_start_matches('_');
            bare.starts_with("io_uring_").then_some(name)
        })
        .collect()
}

#[test]
fn each_function_of_liburing_is_wrapped_or_left_alone_by_name() {
    if !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let header = build::header("tracer_liburing.h");
    let wrapped: BTreeSet<_> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split('(').next())
        .collect();
    let is_left_alone = |name: &str| {
        NOT_WRAPPED.iter().any(|left| match left.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *left,
        })
    };
    // Whatever begins as if it were left alone and is wrapped is named, so that its wrapper is missed.
    let among: BTreeSet<_> = wrapped
        .iter()
        .copied()
        .filter(|it| is_left_alone(it))
        .collect();
    assert_eq!(among, WRAPPED_AMONG.iter().copied().collect());
    let text = build::liburing_header(folder.path());
    let declared = functions(&text);
    assert!(declared.len() > 100, "{declared:?}");
    for name in declared {
        assert!(
            wrapped.contains(name) || is_left_alone(name),
            "{name} is new in liburing: wrap it, or say in the header why not"
        );
    }
}

/// What `newer.c` prints for each part of it, and since when liburing has it.
const PARTS: [((u32, u32), &str, u32); 5] = [
    ((2, 4), "buffers", 12),
    ((2, 5), "memory", 20),
    ((2, 8), "waits", 6),
    ((2, 9), "registered", 3),
    ((2, 15), "sizes", 10),
];

#[test]
fn what_newer_versions_of_liburing_have_is_followed() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let version = build::liburing_version(folder.path()).unwrap_or((0, 0));
    let parts = PARTS.iter().filter(|(since, ..)| *since <= version);
    for (language, options) in [
        (&C, &[][..]),
        (&CXX, &["-xc++", "-Wno-pedantic"]),
        // Without the probe: what the shim sees.
        (&C, &["-DTRACER_OFF"]),
    ] {
        if language == &CXX && !build::possible(&[Needs::Cxx]) {
            continue;
        }
        let binary = Program::new("tests/newer.c", language).build(folder.path(), options);
        let ran = recorded(folder.path(), &binary, &[]).exits(0);
        let mut printed = ran.stdout().lines();
        let mut operations = 0u64;
        for (_, part, taken) in parts.clone() {
            let line = printed.next().unwrap_or_default();
            if line == format!("{part} refused") {
                build::skip(&format!("`{part}` of newer.c: this kernel knows less"));
                continue;
            }
            assert_eq!(line, format!("{part} {taken}"), "{ran:?}");
            operations += u64::from(*taken);
        }
        assert_eq!(printed.next(), None);
        if operations == 0 {
            // An old liburing: that it compiles and runs is all there is to see.
            continue;
        }
        let trace = read(&folder.path().join("trace.bin"));
        let verdict = trace.verdict();
        let (stories, summary) = (&verdict.stories, &verdict.summary);
        assert!(stories.is_empty(), "{options:?}: {verdict:#?}");
        assert_eq!(
            (summary.operations, summary.completions),
            (operations, operations),
            "{options:?}"
        );
        assert_eq!((summary.pending_at_end, summary.records_lost), (0, 0));
        run(tracer(folder.path()).args(["check", "trace.bin"]))
            .exits(0)
            .prints("no findings\n");
    }
}
