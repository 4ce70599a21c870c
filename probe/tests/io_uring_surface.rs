//! The surface of the `io-uring` crate, whole and under its own names: every public method of what
//! `probe::io_uring` wraps is called through the wrapper, and the crate's own source is asked whether that is all.

#![cfg(feature = "io-uring")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::Command;

use probe::io_uring::{
    Builder, CompletionQueue, CompletionStatus, EnterFlags, IoUring, Parameters, Probe,
    SubmissionQueue, Submitter, cqueue, opcode, register, squeue, types,
};

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

/// Compiled, and not called.
fn builder<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    builder: &mut Builder<S, C>,
) -> io::Result<IoUring<S, C>> {
    builder
        .dontfork()
        .setup_iopoll()
        .setup_sqpoll(1)
        .setup_sqpoll_cpu(0)
        .setup_cqsize(8)
        .setup_clamp()
        .setup_attach_wq(0)
        .setup_r_disabled()
        .setup_submit_all()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_defer_taskrun()
        .setup_single_issuer()
        .setup_no_sqarray()
        .clone()
        .build(8)
}

fn ring<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    params: Parameters,
) -> io::Result<IoUring<S, C>> {
    // SAFETY: compiled, and not called.
    let plain = unsafe { IoUring::from_fd(0, params)? };
    let _: (&dyn AsRawFd, &dyn AsFd) = (&plain, &plain);
    let mut ring = IoUring::new(8)?;
    let _: &Parameters = ring.params();
    ring.submit()?;
    ring.submit_and_wait(1)?;
    {
        let (_, _, _): (Submitter<'_>, SubmissionQueue<'_>, CompletionQueue<'_>) = ring.split();
    }
    let _: Submitter<'_> = ring.submitter();
    let _: SubmissionQueue<'_> = ring.submission();
    let _: CompletionQueue<'_> = ring.completion();
    // SAFETY: as above.
    let _: SubmissionQueue<'_> = unsafe { ring.submission_shared() };
    // SAFETY: as above.
    let _: CompletionQueue<'_> = unsafe { ring.completion_shared() };
    IoUring::<S, C>::builder().build(8)
}

/// The types of arguments are the crate's own, and found out by the compiler.
#[expect(deprecated, reason = "it is there all the same")]
fn submitter(submitter: &mut Submitter<'_>) {
    let s = &*submitter;
    let _ = |a| s.submit_with_args(1, a);
    let _ = || (s.submit(), s.submit_and_wait(1), s.squeue_wait());
    // SAFETY: compiled, and not called.
    let _ = || unsafe { s.enter::<u64>(1, 1, EnterFlags::GETEVENTS.bits(), None) };
    // SAFETY: as above.
    let _ = |a| unsafe { s.register_buffers(a) };
    // SAFETY: as above.
    let _ = |a, b| unsafe { s.register_buffers_update(0, a, b) };
    // SAFETY: as above.
    let _ = |a, b| unsafe { s.register_buffers2(a, b) };
    let _ = || s.register_buffers_sparse(1);
    let _ = || s.register_buffers_clone(1);
    let _ = |a| s.register_buffers_clone_offset(1, 0, 0, 1, a);
    let _ = || s.register_files_sparse(1);
    let _ = |a| s.register_files(a);
    let _ = |a| s.register_files_update(0, a);
    let _ = || (s.register_eventfd(1), s.register_eventfd_async(1));
    let _ = |a: &mut Probe| s.register_probe(a);
    let _ = || s.register_personality();
    let _ = || (s.unregister_buffers(), s.unregister_files());
    let _ = || (s.unregister_eventfd(), s.unregister_personality(1));
    let _ = |a: &mut [register::Restriction]| s.register_restrictions(a);
    let _ = || s.register_enable_rings();
    let _ = |a| s.register_iowq_aff(a);
    let _ = || s.unregister_iowq_aff();
    let _ = |a| s.register_iowq_max_workers(a);
    let _ = |a| s.register_napi(a);
    let _ = |a| s.unregister_napi(a);
    let _ = || (s.register_napi_add_id(1), s.register_napi_del_id(1));
    // SAFETY: as above.
    let _ = || unsafe { s.register_buf_ring(0, 1, 1) };
    // SAFETY: as above.
    let _ = || unsafe { s.register_buf_ring_with_flags(0, 1, 1, 0) };
    let _ = || s.unregister_buf_ring(1);
    let _ = |a: types::CancelBuilder| s.register_sync_cancel(None, a);
    let _ = |a| s.register_ifq(a);
    let _ = || (submitter.register_ring_fd(), submitter.unregister_ring_fd());
}

fn submissions<S: squeue::EntryMarker>(queue: &mut SubmissionQueue<'_, S>, entry: &S) {
    let _: &dyn std::fmt::Debug = queue;
    queue.sync();
    let _ = (
        queue.need_wakeup(),
        queue.need_wakeup_after_intermittent_seqcst(),
    );
    let _ = (queue.dropped(), queue.cq_overflow(), queue.taskrun());
    let _ = (
        queue.capacity(),
        queue.len(),
        queue.is_empty(),
        queue.is_full(),
    );
    // SAFETY: compiled, and not called.
    let _ = unsafe { queue.push(entry) };
    // SAFETY: as above.
    let _ = unsafe { queue.push_multiple(std::slice::from_ref(entry)) };
}

fn completions<C: cqueue::EntryMarker>(queue: &mut CompletionQueue<'_, C>) {
    // SAFETY: compiled, and not called.
    let _: CompletionStatus = unsafe { queue.status() };
    queue.sync();
    let _ = (queue.overflow(), queue.eventfd_disabled());
    queue.disable_eventfd();
    queue.enable_eventfd();
    let _ = (
        queue.capacity(),
        queue.len(),
        CompletionQueue::is_empty(queue),
        queue.is_full(),
    );
    let mut room = [const { std::mem::MaybeUninit::uninit() }; 4];
    let _ = queue.fill(&mut room);
    let _: (usize, Option<usize>) = queue.size_hint();
    let _: Option<C> = queue.next();
    let _: &mut dyn ExactSizeIterator<Item = C> = queue;
}

/// The crate's source, where Cargo keeps it.
fn crate_source() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--frozen",
            "--filter-platform",
            // Others may need crates that are not here.
            if cfg!(target_arch = "aarch64") {
                "aarch64-unknown-linux-gnu"
            } else {
                "x86_64-unknown-linux-gnu"
            },
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let end = text
        .find("/Cargo.toml\"")
        .map(|_| "/Cargo.toml\"")
        .expect("manifests");
    let found = text.match_indices(end).find_map(|(at, _)| {
        let start = text[..at].rfind('"')? + 1;
        let folder = &text[start..at];
        folder
            .rsplit('/')
            .next()?
            .starts_with("io-uring-0.7")
            .then(|| PathBuf::from(folder))
    });
    found.expect("the folder of io-uring").join("src")
}

/// Public methods in one of the crate's files, each with the type that has it.
fn methods(file: &str) -> Vec<(String, String)> {
    let source = std::fs::read_to_string(crate_source().join(file)).expect("a source file");
    let mut owner = String::new();
    let mut found = Vec::new();
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("impl") {
            // `impl<S: A> Name<S> {`
            let name =
                rest.rsplit_once("> ").map_or(
                    rest,
                    |(before, after)| {
                        if after == "{" { before } else { after }
                    },
                );
            let name = name.trim_start().split(['<', ' ']).next().unwrap_or("");
            owner = name.to_owned();
            // With parameters of its own: the name stands behind them.
            if let Some(behind) = rest.strip_prefix('<') {
                let mut depth = 1;
                let end = behind.find(|c| {
                    depth += i32::from(c == '<') - i32::from(c == '>');
                    depth == 0
                });
                let behind = end.map_or("", |end| &behind[end + 1..]);
                owner = behind
                    .trim_start()
                    .split(['<', ' '])
                    .next()
                    .unwrap_or("")
                    .to_owned();
            }
        }
        let words: Vec<_> = line.trim_start().split([' ', '(', '<']).collect();
        if line.starts_with("    pub ") && words.contains(&"fn") {
            let at = words.iter().position(|word| *word == "fn").unwrap_or(0);
            found.push((owner.clone(), words[at + 1].to_owned()));
        }
    }
    found
}

const WRAPPED: [&str; 5] = [
    "IoUring",
    "Builder",
    "Submitter",
    "SubmissionQueue",
    "CompletionQueue",
];

#[test]
fn every_method_of_the_crate_is_called_through_the_wrapper_here() {
    let this = include_str!("io_uring_surface.rs");
    let mut seen = [0; WRAPPED.len()];
    for file in ["lib.rs", "submit.rs", "squeue.rs", "cqueue.rs"] {
        for (owner, method) in methods(file) {
            let Some(at) = WRAPPED.iter().position(|wrapped| *wrapped == owner) else {
                continue;
            };
            seen[at] += 1;
            let is_called = [".", "::"].iter().any(|before| {
                ["(", "::<"]
                    .iter()
                    .any(|behind| this.contains(&format!("{before}{method}{behind}")))
            });
            assert!(
                is_called,
                "{owner}::{method} is new: call it here, and wrap it if it moves a queue"
            );
        }
    }
    // Of 0.7.15; a reader of the source that finds less has gone blind.
    for (found, at_least) in seen.iter().zip([12, 15, 38, 12, 10]) {
        assert!(*found >= at_least, "{seen:?}");
    }
    // What is compiled above is for the compiler.
    let _ = builder::<squeue::Entry128, cqueue::Entry32>;
    let _ = ring::<squeue::Entry, cqueue::Entry>;
    let _ = (
        submitter,
        submissions::<squeue::Entry>,
        completions::<cqueue::Entry32>,
    );
    let _ = opcode::Nop::CODE;
}
