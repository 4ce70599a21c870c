//! Rings in all their forms, the calls of the submitter, and the queues.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};

use super::common::{Log, Pages, eventfd, go, of, push, ring, take};
use super::uring::{
    Builder, CompletionQueue, CompletionStatus, EnterFlags, IoUring, Parameters, Probe,
    SubmissionQueue, Submitter, cqueue, opcode, register, squeue, types,
};

pub(super) fn all(log: &mut Log) {
    options(log);
    whole(log);
    submissions(log);
    completions(log);
    overflow(log);
    large(log);
    polled(log);
    entering(log);
    tables(log);
    rights(log);
    workers(log);
    networks(log);
}

fn nop(cookie: u64) -> squeue::Entry {
    opcode::Nop::new().build().user_data(cookie)
}

/// What the kernel made of the options that were asked for.
fn parameters(log: &mut Log, what: &str, params: &Parameters) {
    let sizes = (params.sq_entries(), params.cq_entries());
    let setup = (
        params.is_setup_sqpoll(),
        params.is_setup_iopoll(),
        params.is_setup_single_issuer(),
    );
    log.say(what, (sizes, setup, params.sq_thread_idle()));
}

fn options(log: &mut Log) {
    type Set = fn(&mut Builder) -> &mut Builder;
    let sets: [(&str, Set); 15] = [
        ("plain", |b| b),
        ("dontfork", |b| b.dontfork()),
        ("setup_iopoll", |b| b.setup_iopoll()),
        ("setup_sqpoll", |b| b.setup_sqpoll(20)),
        ("setup_sqpoll_cpu", |b| b.setup_sqpoll(20).setup_sqpoll_cpu(0)),
        ("setup_sqpoll_cpu alone", |b| b.setup_sqpoll_cpu(0)),
        ("setup_cqsize", |b| b.setup_cqsize(64)),
        ("setup_cqsize, too small", |b| b.setup_cqsize(1)),
        ("setup_clamp", |b| b.setup_clamp().setup_cqsize(1 << 30)),
        ("setup_submit_all", |b| b.setup_submit_all()),
        ("setup_coop_taskrun", |b| b.setup_coop_taskrun().setup_taskrun_flag()),
        ("setup_taskrun_flag alone", |b| b.setup_taskrun_flag()),
        ("setup_single_issuer", |b| b.setup_single_issuer()),
        ("setup_defer_taskrun", |b| b.setup_single_issuer().setup_defer_taskrun()),
        ("setup_no_sqarray", |b| b.setup_no_sqarray()),
    ];
    for (what, set) in sets {
        let mut builder = IoUring::builder();
        set(&mut builder);
        match builder.build(8) {
            Err(error) => log.say(what, error.raw_os_error()),
            Ok(mut ring) => {
                parameters(log, what, ring.params());
                go(&mut ring, log, what, &[nop(1), nop(2)]);
            }
        }
    }

    // One thread of the kernel's for two rings.
    let polled = IoUring::builder().setup_sqpoll(20).build(8);
    let polled: IoUring = polled.expect("a ring with a thread of the kernel's");
    let mut builder: Builder = IoUring::builder();
    builder.setup_sqpoll(20).setup_attach_wq(polled.as_raw_fd());
    let attached = builder.clone().build(8);
    let mut attached = attached.expect("a ring beside it");
    go(&mut attached, log, "setup_attach_wq", &[nop(1)]);

    let mut builder: Builder = IoUring::builder();
    let mut disabled = builder.setup_r_disabled().build(8).expect("a ring");
    push(&mut disabled, &[nop(1)]);
    log.result("submit, disabled", disabled.submit());
    let mut allowed = [
        register::Restriction::sqe_op(opcode::Nop::CODE),
        register::Restriction::sqe_flags_allowed(squeue::Flags::ASYNC.bits()),
        register::Restriction::sqe_flags_required(0),
        register::Restriction::register_op(12),
    ];
    let submitter = disabled.submitter();
    log.result("register_restrictions", submitter.register_restrictions(&mut allowed));
    log.result("register_enable_rings", submitter.register_enable_rings());
    log.result("register_enable_rings again", submitter.register_enable_rings());
    log.result("restricted", submitter.register_files(&[0]));
    let closes = opcode::Close::new(types::Fd(-1)).build().user_data(2);
    go(&mut disabled, log, "restricted", &[closes]);
    log.say("and the one from before", disabled.completion().count());
}

/// The ring itself, and one made of another's descriptor.
fn whole(log: &mut Log) {
    let mut ring = ring();
    assert!(ring.as_raw_fd() >= 0);
    // SAFETY: a nop points at nothing.
    unsafe { ring.submission().push(&nop(1)) }.expect("room");
    log.result("submit", ring.submit());
    log.result("submit of nothing", ring.submit());
    // SAFETY: as above.
    unsafe { ring.submission().push(&nop(2)) }.expect("room");
    log.result("submit_and_wait", ring.submit_and_wait(2));
    let (submitter, mut submissions, mut completions): (
        Submitter<'_>,
        SubmissionQueue<'_>,
        CompletionQueue<'_>,
    ) = ring.split();
    for cookie in [3, 4] {
        // SAFETY: as above.
        unsafe { submissions.push(&nop(cookie)) }.expect("room");
    }
    submissions.sync();
    log.result("split", submitter.submit_and_wait(2));
    completions.sync();
    let cookies: Vec<u64> = completions.map(|entry| entry.user_data()).collect();
    log.say("split", cookies);
    drop(submissions);
    {
        // SAFETY: nobody else has the queues.
        let (mut submissions, completions) =
            unsafe { (ring.submission_shared(), ring.completion_shared()) };
        // SAFETY: as above.
        unsafe { submissions.push(&nop(5)) }.expect("room");
        drop(submissions);
        log.result("shared", ring.submitter().submit_and_wait(1));
        log.say("not synced yet", completions.len());
    }
    {
        // SAFETY: nobody else has the queue.
        let completions = unsafe { ring.completion_shared() };
        log.say("shared", completions.map(|entry| entry.result()).collect::<Vec<_>>());
    }

    // SAFETY: a ring has a descriptor, as long as it is there.
    let fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    let fd = fd.try_clone_to_owned().expect("a descriptor");
    let params = ring.params().clone();
    drop(ring);
    // SAFETY: a ring's, with its own parameters; the other mapping of it is gone.
    match unsafe { IoUring::from_fd(fd.into_raw_fd(), params) } {
        Err(error) => log.say("from_fd", error.raw_os_error()),
        Ok(mut ring) => go(&mut ring, log, "from_fd", &[nop(6)]),
    }
    // SAFETY: of no descriptor.
    let none = unsafe { IoUring::from_fd(-1, ring_parameters()) };
    log.say("from_fd of nothing", none.err().map(|error| error.raw_os_error()));
}

fn ring_parameters() -> Parameters {
    ring().params().clone()
}

fn submissions(log: &mut Log) {
    let mut ring = IoUring::new(4).expect("a ring");
    let mut queue = ring.submission();
    let room = |queue: &SubmissionQueue<'_>| {
        let sizes = (queue.capacity(), queue.len());
        (sizes, queue.is_empty(), queue.is_full())
    };
    let mut states = vec![room(&queue)];
    let mut pushed = Vec::new();
    for cookie in 1..=3 {
        // SAFETY: a nop points at nothing.
        pushed.push(unsafe { queue.push(&nop(cookie)) }.is_ok());
        states.push(room(&queue));
    }
    // SAFETY: as above.
    pushed.push(unsafe { queue.push_multiple(&[nop(4), nop(5)]) }.is_ok());
    states.push(room(&queue));
    // SAFETY: as above.
    pushed.push(unsafe { queue.push_multiple(&[nop(4)]) }.is_ok());
    states.push(room(&queue));
    // SAFETY: as above.
    let full: Result<(), squeue::PushError> = unsafe { queue.push(&nop(6)) };
    log.say("full", full.map_err(|error| error.to_string()));
    log.say("states", (states, pushed));
    log.say(
        "of the queue",
        (
            (queue.dropped(), queue.cq_overflow(), queue.taskrun()),
            queue.need_wakeup(),
            queue.need_wakeup_after_intermittent_seqcst(),
        ),
    );
    log.say("shown", format!("{queue:?}"));
    drop(queue);
    let taken = take(&mut ring, 4);
    log.say("taken", taken.iter().map(cqueue::Entry::user_data).collect::<Vec<_>>());
    log.say("again", room(&ring.submission()));
}

fn completions(log: &mut Log) {
    let mut ring = IoUring::new(4).expect("a ring");
    let round = |ring: &mut IoUring, cookies: std::ops::Range<u64>| {
        let entries: Vec<_> = cookies.map(nop).collect();
        push(ring, &entries);
        ring.submit_and_wait(entries.len()).expect("entered");
    };
    round(&mut ring, 1..5);
    round(&mut ring, 5..9);
    let mut queue = ring.completion();
    let room = |queue: &CompletionQueue<'_>| {
        let sizes = (queue.capacity(), ExactSizeIterator::len(queue), queue.size_hint());
        (sizes, CompletionQueue::is_empty(queue), queue.is_full())
    };
    let mut states = vec![room(&queue)];
    let mut into = [const { MaybeUninit::uninit() }; 3];
    let filled: Vec<_> = queue.fill(&mut into).iter().map(cqueue::Entry::user_data).collect();
    states.push(room(&queue));
    let first = queue.next().map(|entry| entry.user_data());
    let rest: Vec<_> = queue.by_ref().map(|entry| entry.user_data()).collect();
    states.push(room(&queue));
    log.say("filled", (filled, first, rest));
    log.say("states", states);
    log.say("overflow", queue.overflow());
    let mut signals = vec![queue.eventfd_disabled()];
    queue.disable_eventfd();
    signals.push(queue.eventfd_disabled());
    queue.enable_eventfd();
    signals.push(queue.eventfd_disabled());
    log.say("signals", signals);
    // SAFETY: it is asked only while the ring is there.
    let status: CompletionStatus = unsafe { queue.status() };
    drop(queue);
    let mut empty = vec![status.is_empty()];
    round(&mut ring, 9..10);
    empty.push(status.is_empty());
    let mut queue = ring.completion();
    let mut entry = queue.next().expect("waited for");
    entry.set_user_data(90);
    drop(queue);
    empty.push(status.is_empty());
    log.say("status", (empty, entry.user_data(), entry.flags()));
    log.say(
        "bits",
        [0u32, 1, 1 << 16 | 1, 2, 4, 8, 16].map(|flags| {
            let picked = (cqueue::buffer_select(flags), cqueue::buffer_more(flags));
            (picked, cqueue::more(flags), cqueue::sock_nonempty(flags), cqueue::notif(flags))
        }),
    );
}

/// More completions than there is room for: the kernel keeps them until it is entered again.
fn overflow(log: &mut Log) {
    let mut ring = IoUring::builder().setup_cqsize(4).build(4).expect("a ring");
    for batch in 0..3 {
        push(&mut ring, &[nop(batch * 2), nop(batch * 2 + 1)]);
        log.result("submit", ring.submit());
    }
    log.say("kept by the kernel", ring.submission().cq_overflow());
    let mut cookies: Vec<u64> = ring.completion().map(|entry| entry.user_data()).collect();
    log.result("fetched", ring.submit_and_wait(2));
    cookies.extend(ring.completion().map(|entry| entry.user_data()));
    log.say("all of them", (cookies, ring.submission().cq_overflow()));
    log.say("counted", ring.completion().overflow());
}

/// Entries of 128 bytes, completions of 32, and each alone.
fn large(log: &mut Log) {
    fn rounds<S: squeue::EntryMarker + From<squeue::Entry>, C: cqueue::EntryMarker>(
        log: &mut Log,
        what: &str,
        words: fn(&C) -> (u64, i32, u32),
    ) {
        let ring = IoUring::<S, C>::builder().build(4);
        let Ok(mut ring) = ring else {
            return log.say(what, "no ring");
        };
        parameters(log, what, ring.params());
        for lap in 0..3 {
            let entries = [1, 2, 3].map(|at| S::from(nop(lap * 10 + at)));
            // SAFETY: a nop points at nothing.
            unsafe { ring.submission().push_multiple(&entries) }.expect("room");
            // SAFETY: as above.
            unsafe { ring.submission().push(&S::from(nop(lap * 10 + 4))) }.expect("room");
            log.result(what, ring.submit_and_wait(4));
            let mut into = [const { MaybeUninit::uninit() }; 2];
            let (_, _, mut completions) = ring.split();
            let mut seen: Vec<_> = completions.fill(&mut into).iter().map(words).collect();
            seen.extend(completions.map(|entry| words(&entry)));
            log.say(what, seen);
        }
    }
    let small = |entry: &cqueue::Entry| (entry.user_data(), entry.result(), entry.flags());
    let wide = |entry: &cqueue::Entry32| (entry.user_data(), entry.result(), entry.flags());
    rounds::<squeue::Entry, cqueue::Entry>(log, "64 and 16", small);
    rounds::<squeue::Entry128, cqueue::Entry>(log, "128 and 16", small);
    rounds::<squeue::Entry, cqueue::Entry32>(log, "64 and 32", wide);
    rounds::<squeue::Entry128, cqueue::Entry32>(log, "128 and 32", wide);

    let mut entry = squeue::Entry128::from(nop(1)).user_data(2).personality(0);
    entry.set_user_data(3);
    let entry = entry.flags(squeue::Flags::ASYNC).clear_flags();
    log.say("entry", (entry.get_user_data(), entry.get_opcode()));
}

/// A thread of the kernel's takes entries as soon as they are published.
fn polled(log: &mut Log) {
    let ring = IoUring::builder().setup_sqpoll(1000).build(8);
    let mut ring: IoUring = ring.expect("a ring with a thread of the kernel's");
    for round in 0..3 {
        push(&mut ring, &[nop(round), nop(round + 100)]);
        let wait = ring.submitter().squeue_wait();
        log.say("squeue_wait", wait.is_ok());
        let taken = take(&mut ring, 2);
        log.say("taken", taken.iter().map(cqueue::Entry::user_data).collect::<Vec<_>>());
    }
    // The thread has taken all of it, otherwise nothing could have come back; it says so in the head a moment later.
    while !ring.submission().is_empty() {
        std::thread::yield_now();
    }
    log.say("left", ring.submission().len());
}

/// All ways into the kernel.
fn entering(log: &mut Log) {
    let mut ring = ring();
    let short = types::Timespec::new().nsec(1_000_000);
    // SAFETY: an empty set.
    let mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    let args = types::SubmitArgs::new().timespec(&short);
    log.result("submit_with_args, in vain", ring.submitter().submit_with_args(1, &args));
    push(&mut ring, &[nop(1)]);
    let args = types::SubmitArgs::new()
        .sigmask(&mask)
        .min_wait_usec(1)
        .timespec(&short);
    log.result("submit_with_args", ring.submitter().submit_with_args(1, &args));
    push(&mut ring, &[nop(1)]);
    let args = types::SubmitArgs::new().timespec(&short);
    for (what, flags) in [("", EnterFlags::empty()), (", refused", EnterFlags::SQ_WAIT)] {
        let result = ring.submitter().submit_with_args_and_flags(1, &args, flags);
        log.result(&format!("submit_with_args_and_flags{what}"), result);
    }
    let submitter = ring.submitter();
    let flags = EnterFlags::GETEVENTS.bits();
    // SAFETY: no argument.
    log.result("enter", unsafe { submitter.enter::<libc::sigset_t>(0, 1, flags, None) });
    // SAFETY: a set of signals, as there are no flags that say otherwise.
    log.result("enter with a mask", unsafe { submitter.enter(0, 0, flags, Some(&mask)) });
    // SAFETY: no argument.
    log.result("enter, odd", unsafe { submitter.enter::<libc::sigset_t>(0, 0, 1 << 30, None) });
    log.result("submit_and_wait", submitter.submit_and_wait(1));
    log.result("submit", submitter.submit());
    log.result("squeue_wait", submitter.squeue_wait());
    push(&mut ring, &[nop(2), nop(3)]);
    // SAFETY: no argument. One of the two that lie there.
    log.result("enter with one of two", unsafe {
        ring.submitter().enter::<libc::sigset_t>(1, 0, 0, None)
    });
    log.result("and the other", ring.submit_and_wait(3));
    log.say("came", ring.completion().map(|entry| entry.user_data()).collect::<Vec<_>>());
    let mut submitter = ring.submitter();
    log.result("register_ring_fd", submitter.register_ring_fd());
    log.result("register_ring_fd again", submitter.register_ring_fd());
    log.result("submit by its place", submitter.submit());
    log.result("unregister_ring_fd", submitter.unregister_ring_fd());
    log.result("unregister_ring_fd again", submitter.unregister_ring_fd());
}

fn tables(log: &mut Log) {
    let (mut ring, other) = (ring(), self::ring());
    let mut pages = Pages::new(8192);
    // SAFETY: within the pages.
    let second = unsafe { pages.start().add(4096) };
    let part = |start: *mut u8| libc::iovec {
        iov_base: start.cast(),
        iov_len: 4096,
    };
    let parts = [part(pages.start()), part(second)];
    {
        let submitter = ring.submitter();
        log.result("unregister_buffers of none", submitter.unregister_buffers());
        // SAFETY: mapped for longer than the ring is there, here and below.
        log.result("register_buffers", unsafe { submitter.register_buffers(&parts) });
        // SAFETY: as above.
        log.result("register_buffers again", unsafe { submitter.register_buffers(&parts) });
        log.result("unregister_buffers", submitter.unregister_buffers());
        // SAFETY: as above.
        log.result("register_buffers2", unsafe { submitter.register_buffers2(&parts, &[0, 0]) });
        log.result("register_buffers_clone", other.submitter().register_buffers_clone(ring.as_raw_fd()));
        log.result("unregister_buffers", other.submitter().unregister_buffers());
        for flags in [types::CloneBuffersFlags::empty(), types::CloneBuffersFlags::DST_REPLACE] {
            let from = ring.as_raw_fd();
            let came = other.submitter().register_buffers_clone_offset(from, 1, 0, 1, flags);
            log.result("register_buffers_clone_offset", came);
        }
        log.result("unregister_buffers", submitter.unregister_buffers());
        log.result("register_buffers_sparse", submitter.register_buffers_sparse(2));
        // SAFETY: as above.
        log.result("register_buffers_update", unsafe {
            submitter.register_buffers_update(1, &parts[..1], None)
        });
    }
    let value = eventfd(9);
    let read = opcode::ReadFixed::new(of(&value), pages.start(), 8, 1).build();
    go(&mut ring, log, "into the second", &[read.user_data(1)]);
    log.say("read", &pages.bytes()[..8]);
    // A tag comes back as a completion when what it is for is let go of.
    // SAFETY: as above.
    log.result("register_buffers_update", unsafe {
        ring.submitter().register_buffers_update(0, &parts[..1], Some(&[55]))
    });
    log.result("unregister_buffers", ring.submitter().unregister_buffers());
    let tags = take(&mut ring, 1);
    log.say("tag", (tags[0].user_data(), tags[0].result()));

    let submitter = ring.submitter();
    log.result("register_files", submitter.register_files(&[value.as_raw_fd(), -1]));
    log.result("register_files again", submitter.register_files(&[-1]));
    log.result("register_files_update", submitter.register_files_update(1, &[value.as_raw_fd()]));
    log.result("register_files_update beyond", submitter.register_files_update(9, &[-1]));
    log.result("unregister_files", submitter.unregister_files());
    log.result("unregister_files of none", submitter.unregister_files());
    log.result("register_files_sparse", submitter.register_files_sparse(3));

    let start = pages.start() as u64;
    // SAFETY: a page that outlives the ring, here and below.
    #[expect(deprecated, reason = "it is there all the same")]
    let odd = unsafe { submitter.register_buf_ring(start + 8, 4, 1) };
    log.result("register_buf_ring, odd", odd);
    for flags in [0, 1 << 1, 1 << 15] {
        // SAFETY: as above.
        let came = unsafe { submitter.register_buf_ring_with_flags(start, 4, 2, flags) };
        log.result("register_buf_ring_with_flags", came);
        log.result("unregister_buf_ring", submitter.unregister_buf_ring(2));
    }

    let signal = eventfd(0);
    let fd = signal.as_raw_fd();
    log.result("register_eventfd", submitter.register_eventfd(fd));
    log.result("register_eventfd again", submitter.register_eventfd(fd));
    log.result("unregister_eventfd", submitter.unregister_eventfd());
    log.result("unregister_eventfd of none", submitter.unregister_eventfd());
    log.result("register_eventfd_async", submitter.register_eventfd_async(fd));
    log.result("unregister_eventfd", submitter.unregister_eventfd());
    log.result("register_eventfd", submitter.register_eventfd(fd));
    go(&mut ring, log, "signalled", &[nop(2)]);
    let mut count = [0u8; 8];
    // SAFETY: an array of 8 bytes.
    let length = unsafe { libc::read(fd, count.as_mut_ptr().cast(), 8) };
    log.say("signals", (length, count));
}

fn rights(log: &mut Log) {
    let ring = ring();
    let submitter = ring.submitter();
    let mut known = Probe::new();
    log.result("register_probe", submitter.register_probe(&mut known));
    let supported: Vec<u8> = (0..=255).filter(|code| known.is_supported(*code)).collect();
    log.say("supported", supported);
    if let Some(personality) = log.result("register_personality", submitter.register_personality()) {
        log.result("unregister_personality", submitter.unregister_personality(personality));
    }
    log.result("unregister_personality of nobody", submitter.unregister_personality(99));
    let mut none: [register::Restriction; 0] = [];
    log.result("register_restrictions", submitter.register_restrictions(&mut none));
    log.result("register_enable_rings", submitter.register_enable_rings());
    let nothing = types::CancelBuilder::user_data(1);
    log.result("register_sync_cancel", submitter.register_sync_cancel(None, nothing));
}

fn workers(log: &mut Log) {
    let ring = ring();
    let submitter = ring.submitter();
    // SAFETY: an empty set, to which one is added.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut set);
        set
    };
    log.result("register_iowq_aff", submitter.register_iowq_aff(&set));
    log.result("unregister_iowq_aff", submitter.unregister_iowq_aff());
    let mut most = [3, 4];
    log.result("register_iowq_max_workers", submitter.register_iowq_max_workers(&mut most));
    let mut now = [0, 0];
    log.result("register_iowq_max_workers", submitter.register_iowq_max_workers(&mut now));
    log.say("workers", now);
}

fn networks(log: &mut Log) {
    let ring = ring();
    let submitter = ring.submitter();
    let mut napi = types::Napi::new()
        .set_busy_poll_timeout(50)
        .set_prefer_busy_poll(true)
        .set_tracking(types::NapiTracking::Static);
    log.result("register_napi", submitter.register_napi(&mut napi));
    log.result("register_napi_add_id", submitter.register_napi_add_id(1 << 20));
    log.result("register_napi_del_id", submitter.register_napi_del_id(1 << 20));
    log.result("unregister_napi", submitter.unregister_napi(&mut napi));
    log.say("before", (napi.busy_poll_timeout(), napi.prefer_busy_poll()));
    // Wants a queue of a network card; its description has a type without a name.
    log.result("register_ifq", described(|queue| submitter.register_ifq(queue)));
}

fn described<T>(call: impl FnOnce(&T) -> io::Result<()>) -> io::Result<()> {
    let description = MaybeUninit::<T>::zeroed();
    // SAFETY: the kernel's structure of plain numbers.
    call(unsafe { description.assume_init_ref() })
}
