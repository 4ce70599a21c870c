//! Operations on time, on other operations, on other rings, on buffers, futexes and processes.

use std::os::fd::AsRawFd;
use std::process::Command;

use super::common::{Log, eventfd, go, go_on, of, push, ring, take};
use super::uring::{cqueue, opcode, squeue, types};

pub(super) fn all(log: &mut Log) {
    time(log);
    cancels(log);
    provided(log);
    other_rings(log);
    futexes(log);
    processes(log);
    flags(log);
}

static LONG: types::Timespec = types::Timespec::new().sec(1000);
static SHORT: types::Timespec = types::Timespec::new().nsec(1_000_000);

fn time(log: &mut Log) {
    let ring = &mut ring();
    let short = opcode::Timeout::new(&raw const SHORT)
        .count(0)
        .flags(types::TimeoutFlags::BOOTTIME)
        .build();
    go(ring, log, "Timeout", &[short.user_data(1)]);
    // It ends with the first completion of another.
    let counts = opcode::Timeout::new(&raw const LONG).count(1).build();
    let nop = opcode::Nop::new().build().user_data(3);
    go(ring, log, "Timeout that counts", &[counts.user_data(2), nop]);
    let many = opcode::Timeout::new(&raw const SHORT)
        .count(2)
        .flags(types::TimeoutFlags::MULTISHOT)
        .build();
    go_on(ring, log, "Timeout for many", &[many.user_data(4)], 2);

    let long = || opcode::Timeout::new(&raw const LONG).build();
    let remove = [5, 99].map(|cookie| opcode::TimeoutRemove::new(cookie).build().user_data(cookie + 100));
    push(ring, &[long().user_data(5)]);
    log.result("submit", ring.submit());
    go_on(ring, log, "TimeoutRemove", &remove, 3);
    push(ring, &[long().user_data(6)]);
    log.result("submit", ring.submit());
    let update = opcode::TimeoutUpdate::new(6, &raw const SHORT)
        .flags(types::TimeoutFlags::empty())
        .build();
    go_on(ring, log, "TimeoutUpdate", &[update.user_data(7)], 2);

    let idle = eventfd(0);
    let mut room = [0u8; 8];
    let read = opcode::Read::new(of(&idle), room.as_mut_ptr(), 8)
        .build()
        .flags(squeue::Flags::IO_LINK);
    let limit = opcode::LinkTimeout::new(&raw const SHORT)
        .flags(types::TimeoutFlags::empty())
        .build();
    go(ring, log, "LinkTimeout", &[read.user_data(8), limit.user_data(9)]);
}

fn cancels(log: &mut Log) {
    let ring = &mut ring();
    let (one, other) = (eventfd(0), eventfd(0));
    let poll = |fd, cookie| {
        opcode::PollAdd::new(fd, libc::POLLIN as u32)
            .build()
            .user_data(cookie)
    };
    push(ring, &[poll(of(&one), 1)]);
    log.result("submit", ring.submit());
    let cancel = [1, 99].map(|cookie| opcode::AsyncCancel::new(cookie).build().user_data(cookie + 100));
    go_on(ring, log, "AsyncCancel", &cancel, 3);
    let table = [other.as_raw_fd()];
    log.result("register_files", ring.submitter().register_files(&table));
    let ways = [
        types::CancelBuilder::any(),
        types::CancelBuilder::any().all(),
        types::CancelBuilder::user_data(2),
        types::CancelBuilder::fd(of(&one)).all(),
        types::CancelBuilder::fd(types::Fixed(0)),
    ];
    for way in ways {
        let polls = [poll(of(&one), 2), poll(of(&one), 3)];
        push(ring, &polls);
        let fixed = opcode::PollAdd::new(types::Fixed(0), libc::POLLIN as u32).build();
        push(ring, &[fixed.user_data(4)]);
        log.result("submit", ring.submit());
        let cancel = opcode::AsyncCancel2::new(way).build();
        push(ring, &[cancel.user_data(5)]);
        log.result("submit", ring.submit());
        // What is left.
        let rest = types::CancelBuilder::any().all();
        let came = ring.submitter().register_sync_cancel(None, rest);
        log.result("register_sync_cancel", came);
        go_on(ring, log, "AsyncCancel2", &[], 4);
    }
}

fn provided(log: &mut Log) {
    let ring = &mut ring();
    let mut memory = [*b"........"; 3];
    let bytes = memory.as_flattened_mut().as_mut_ptr();
    let provide = opcode::ProvideBuffers::new(bytes, 8, 3, 5, 10).build();
    go(ring, log, "ProvideBuffers", &[provide.user_data(1)]);
    let value = eventfd(258);
    let read = opcode::Read::new(of(&value), std::ptr::null_mut(), 8)
        .buf_group(5)
        .build()
        .flags(squeue::Flags::BUFFER_SELECT);
    let taken = go_on(ring, log, "Read into one of them", &[read.user_data(2)], 1);
    let picked = cqueue::buffer_select(taken[0].flags());
    log.say("picked", (picked, memory));
    let remove = [1, 9].map(|count| {
        opcode::RemoveBuffers::new(count, 5)
            .build()
            .user_data(u64::from(count))
    });
    go(ring, log, "RemoveBuffers", &remove);
}

fn other_rings(log: &mut Log) {
    let (mut here, mut there) = (ring(), ring());
    let data = [(None, 0), (Some(1 << 20), 1 << 1), (Some(0), 1 << 31)];
    for (user_flags, opcode_flags) in data {
        let message = opcode::MsgRingData::new(of(&there), 17, 0x22, user_flags)
            .opcode_flags(opcode_flags)
            .build();
        push(&mut here, &[message.user_data(1)]);
        let taken = take(&mut here, 1);
        log.say("MsgRingData", (taken[0].result(), taken[0].flags()));
        for entry in there.completion() {
            log.say("there", (entry.user_data(), entry.result(), entry.flags()));
        }
    }
    let value = eventfd(5);
    let table = [value.as_raw_fd()];
    log.result("register_files", here.submitter().register_files(&table));
    log.result("register_files_sparse", there.submitter().register_files_sparse(2));
    for slot in [1, 7] {
        let slot = types::DestinationSlot::try_from_slot_target(slot).expect("a place");
        let message = opcode::MsgRingSendFd::new(of(&there), types::Fixed(0), slot, 0x33)
            .opcode_flags(0)
            .build();
        push(&mut here, &[message.user_data(2)]);
        log.say("MsgRingSendFd", take(&mut here, 1)[0].result());
        for entry in there.completion() {
            log.say("there", (entry.user_data(), entry.result(), entry.flags()));
        }
    }
    let mut room = [0u8; 8];
    let read = opcode::Read::new(types::Fixed(1), room.as_mut_ptr(), 8).build();
    go(&mut there, log, "what was sent", &[read.user_data(3)]);
    log.say("read", room);
}

/// `FUTEX2_SIZE_U32 | FUTEX2_PRIVATE`
const PRIVATE_WORD: u32 = 2 | 128;
const ANYBODY: u64 = u32::MAX as u64;

fn futexes(log: &mut Log) {
    let ring = &mut ring();
    let word = Box::new(7u32);
    let word: *const u32 = &raw const *word;
    let wait = |value| {
        opcode::FutexWait::new(word, value, ANYBODY, PRIVATE_WORD)
            .flags(0)
            .build()
    };
    let wake = || {
        opcode::FutexWake::new(word, 1, ANYBODY, PRIVATE_WORD)
            .flags(0)
            .build()
    };
    go(ring, log, "FutexWait, another value", &[wait(8).user_data(1)]);
    push(ring, &[wait(7).user_data(2)]);
    log.result("submit", ring.submit());
    go_on(ring, log, "FutexWake", &[wake().user_data(3)], 2);
    go(ring, log, "FutexWake of nobody", &[wake().user_data(4)]);
    let words = [types::FutexWaitV::new()
        .val(7)
        .uaddr(word as u64)
        .flags(PRIVATE_WORD)];
    let wait = opcode::FutexWaitV::new(words.as_ptr(), 1).flags(0).build();
    push(ring, &[wait.user_data(5)]);
    log.result("submit", ring.submit());
    go_on(ring, log, "FutexWaitV", &[wake().user_data(6)], 2);
}

fn processes(log: &mut Log) {
    let ring = &mut ring();
    let mut child = Command::new("false").spawn().expect("a child");
    // SAFETY: plain numbers.
    let mut fate: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let wait = opcode::WaitId::new(libc::P_PID, child.id(), libc::WEXITED | libc::WNOWAIT)
        .infop(&raw const fate)
        .flags(0)
        .build();
    go(ring, log, "WaitId", &[wait.user_data(1)]);
    // SAFETY: our own; the kernel has written to it.
    fate = unsafe { std::ptr::read_volatile(&raw const fate) };
    // SAFETY: of a child's end, or zeros.
    log.say("fate", (fate.si_signo, fate.si_code, unsafe { fate.si_status() }));
    assert_eq!(child.wait().expect("ended").code(), Some(1));
}

/// What every entry has: flags, and whose rights it is done with.
fn flags(log: &mut Log) {
    let ring = &mut ring();
    let nop = || opcode::Nop::new().build();
    let personality = log.result("register_personality", ring.submitter().register_personality());
    for personality in personality.into_iter().chain([999]) {
        go(ring, log, "personality", &[nop().personality(personality).user_data(1)]);
    }
    let quiet = nop().flags(squeue::Flags::SKIP_SUCCESS).user_data(2);
    let loud = nop().flags(squeue::Flags::IO_DRAIN).user_data(3);
    go_on(ring, log, "SKIP_SUCCESS", &[quiet, loud], 1);
    let fails = opcode::Close::new(types::Fd(-1)).build();
    let fails = fails.flags(squeue::Flags::IO_LINK).user_data(4);
    let late = nop().flags(squeue::Flags::ASYNC).user_data(5);
    go(ring, log, "IO_LINK", &[fails.clone(), late.clone()]);
    let hard = fails.clear_flags().flags(squeue::Flags::IO_HARDLINK);
    go(ring, log, "IO_HARDLINK", &[hard, late]);
    let mut named = nop();
    named.set_user_data(6);
    log.say("entry", (named.get_user_data(), named.get_opcode()));
    go(ring, log, "set_user_data", &[named]);
}
