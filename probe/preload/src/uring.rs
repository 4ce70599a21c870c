//! The three system calls of io_uring, with a look at the ring before and after.

use core::ffi::{c_int, c_long, c_void};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use probe::preload::{self, Look};
use probe::ring::Submissions;

use crate::follow::{Followed, Made, Posts, Queues};
use crate::kernel::{self, Params};
use crate::rings::{self, Found, Owned};
use crate::{next, start};

/// A system call of io_uring, as the program makes it.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) number: c_long,
    pub(crate) arguments: [usize; 6],
    pub(crate) way: Way,
}

/// How a program makes a system call, and is told of errors.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// By `syscall` of the C library: an error is -1, and a number in `errno`.
    Library,
    /// By an instruction of its own: an error is a negative number.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "of the trap"))]
    Instruction,
    /// By a function of liburing's that takes the call's own arguments: an error is a negative number.
    Liburing(*mut c_void),
}

impl Call {
    /// Makes it.
    ///
    /// # Safety
    ///
    /// As for the call.
    unsafe fn make(&self) -> c_long {
        let [a, b, c, d, e, f] = self.arguments;
        match self.way {
            // SAFETY: the caller's promise.
            Way::Library => unsafe { next::syscall(self.number, a, b, c, d, e, f) },
            // SAFETY: the caller's promise.
            Way::Instruction => unsafe { kernel::call(self.number, self.arguments) as c_long },
            Way::Liburing(address) => {
                type Function =
                    unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> c_int;
                // SAFETY: the function takes these arguments at most, in registers, and returns an `int`.
                let function: Function = unsafe { core::mem::transmute(address) };
                // SAFETY: the caller's promise.
                c_long::from(unsafe { function(a, b, c, d, e, f) })
            }
        }
    }

    /// What the kernel answered, with errors as negative numbers.
    fn answer(&self, result: c_long) -> c_int {
        match self.way {
            Way::Library if result < 0 => -next::errno(),
            _ => c_int::try_from(result).unwrap_or(c_int::MAX),
        }
    }

    /// The argument as the kernel reads it.
    fn number(&self, index: usize) -> u32 {
        self.arguments.get(index).copied().unwrap_or(0) as u32
    }
}

/// Makes a system call of io_uring for the program, and sees what it does.
///
/// # Safety
///
/// As for the call.
#[inline(always)]
pub(crate) unsafe fn call(call: &Call) -> c_long {
    if call.number == kernel::ENTER {
        // SAFETY: the caller's promise.
        unsafe { enter(call) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { other(call) }
    }
}

/// # Safety
///
/// As for the call.
#[cold]
#[inline(never)]
unsafe fn other(call: &Call) -> c_long {
    match call.number {
        // SAFETY: the caller's promise.
        kernel::SETUP => unsafe { setup(call) },
        // SAFETY: the caller's promise.
        kernel::REGISTER => unsafe { register(call) },
        // SAFETY: the caller's promise.
        _ => unsafe { call.make() },
    }
}

/// # Safety
///
/// As for `io_uring_setup`.
unsafe fn setup(call: &Call) -> c_long {
    let before = made_count();
    // SAFETY: the caller's promise.
    let result = unsafe { call.make() };
    let params = call.arguments[1] as *const Params;
    if let Ok(fd) = c_int::try_from(result)
        && fd >= 0
        && !params.is_null()
        && start::wanted()
        // Else the call came by here once more, by another of the names that are taken.
        && !was_made_since(fd, before)
    {
        // SAFETY: the kernel just filled it for the program.
        let params = unsafe { params.read_unaligned() };
        // SAFETY: the ring was just made, and the program does not know of it yet.
        unsafe { made(fd, &params) };
    }
    if result < 0 {
        start::refused(call.answer(result));
    }
    result
}

/// Whether a ring was refused, so that an enter of one that is not known is no news.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// A ring that is not followed, and why: on the timeline, where `record` finds it.
pub(crate) fn refuse(why: &str) {
    REFUSED.store(true, Ordering::Relaxed);
    probe::mark(why);
    preload::lost(1);
}

/// A ring that was just made and is not followed, and why.
fn never_followed(why: &str) {
    REFUSED.store(true, Ordering::Relaxed);
    probe::mark(why);
    preload::lost_ring();
}

/// Why a ring of these settings is not followed, if so.
pub(crate) fn refusal(setup: u32) -> Option<&'static str> {
    let refused = [
        (
            kernel::SQPOLL,
            "not recorded: a ring with IORING_SETUP_SQPOLL, whose entries a thread of the kernel takes unseen (`record \
             --kernel` lists its operations)",
        ),
        (
            kernel::REGISTERED_FD_ONLY,
            "not recorded: a ring without a descriptor (IORING_SETUP_REGISTERED_FD_ONLY)",
        ),
        (
            kernel::CQE_MIXED | kernel::SQE_MIXED,
            "not recorded: a ring with entries of mixed sizes (IORING_SETUP_CQE_MIXED, _SQE_MIXED)",
        ),
        (
            kernel::SQ_REWIND,
            "not recorded: a ring whose submission queue is rewound (IORING_SETUP_SQ_REWIND)",
        ),
    ];
    let found = refused.iter().find(|(bit, _)| setup & bit != 0);
    found.map(|(_, why)| *why)
}

/// Rings that this process made.
static MADE: AtomicU32 = AtomicU32::new(0);

pub(crate) fn made_count() -> u32 {
    MADE.load(Ordering::Relaxed)
}

/// Whether the ring of a descriptor that the kernel just gave out is followed already.
pub(crate) fn was_made_since(fd: c_int, count: u32) -> bool {
    let number = rings::find(fd).and_then(|found| found.with(|ring| ring.number()));
    number.is_some_and(|number| number.wrapping_sub(count).cast_signed() > 0)
}

/// # Safety
///
/// The ring was just made with these parameters, and nobody uses it yet.
pub(crate) unsafe fn made(fd: c_int, params: &Params) {
    gone(fd);
    // SAFETY: the caller's promise.
    preload::without_signals(|| unsafe { follow(fd, params) });
    // The first record opens the recording.
    start::say_unopened();
}

/// # Safety
///
/// As for [`made`], and no signal handler comes in between.
unsafe fn follow(fd: c_int, params: &Params) {
    let number = MADE.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    if !probe::is_recording() {
        return;
    }
    crate::memory::say_if_unseen();
    if let Some(why) = refusal(params.flags) {
        return never_followed(why);
    }
    let Some((queues, mappings)) = map(fd, params) else {
        return never_followed(
            "not recorded: a ring whose queues could not be mapped a second time",
        );
    };
    let made = Made {
        fd,
        number,
        setup: params.flags,
        features: params.features,
    };
    // SAFETY: the queues of a ring that nobody uses yet, mapped until it is removed.
    let ring = unsafe { Followed::new(queues, made) };
    if let Err(owned) = rings::insert(fd, Owned { ring, mappings }) {
        drop_ring(owned);
        never_followed("not recorded: a ring beyond the 1,024 that are followed at a time");
    }
}

type Mappings = [(*mut u8, usize); 3];

/// Maps a ring's queues for the shim itself: the program's own mappings come and go as it likes.
fn map(fd: c_int, params: &Params) -> Option<(Queues, Mappings)> {
    let (sq, cq) = (&params.sq.at, &params.cq.at);
    let has = |bit: u32| params.flags & bit != 0;
    let (sqe_shift, cqe_shift) = (
        u32::from(has(kernel::SQE128)),
        u32::from(has(kernel::CQE32)),
    );
    let mut mappings: Mappings = [(core::ptr::null_mut(), 0); 3];
    let mut lent = [(0, 0); 2];
    let array = sq[6] as usize + params.sq_entries as usize * 4;
    let end = cq[5] as usize + ((params.cq_entries as usize * 16) << cqe_shift);
    let sqe_bytes = (params.sq_entries as usize * 64) << sqe_shift;
    let (rings, completions, sqes);
    if has(kernel::NO_MMAP) {
        // They lie in memory of the program's own, which it keeps for as long as the ring.
        rings = params.cq.user_addr as *mut u8;
        completions = rings;
        sqes = params.sq.user_addr as *mut u8;
        // Without an array its offset is 0.
        lent = [(rings as usize, array.max(end)), (sqes as usize, sqe_bytes)];
        LENT.store(true, Ordering::Relaxed);
        next::ask_more_before_free();
    } else {
        let mut take = |at: usize, offset: i64, len: usize| {
            let start = kernel::map(Some((fd, offset)), len)?;
            mappings[at] = (start, len);
            Some(start)
        };
        let mapped = (|| {
            if params.features & kernel::SINGLE_MMAP != 0 {
                let both = take(0, kernel::OFF_SQ, array.max(end))?;
                Some((both, both, take(2, kernel::OFF_SQES, sqe_bytes)?))
            } else {
                let first = take(0, kernel::OFF_SQ, array)?;
                let second = take(1, kernel::OFF_CQ, end)?;
                Some((first, second, take(2, kernel::OFF_SQES, sqe_bytes)?))
            }
        })();
        let Some(mapped) = mapped else {
            unmap(mappings);
            return None;
        };
        (rings, completions, sqes) = mapped;
    }
    let word = |base: *mut u8, offset: u32| base.wrapping_add(offset as usize).cast::<AtomicU32>();
    let queues = Queues {
        sq_head: word(rings, sq[0]),
        sq_tail: word(rings, sq[1]),
        sq_flags: word(rings, sq[4]),
        submissions: Submissions {
            array: if has(kernel::NO_SQARRAY) {
                core::ptr::null()
            } else {
                word(rings, sq[6])
            },
            entries: sqes.cast(),
            count: params.sq_entries,
            shift: sqe_shift,
        },
        cq_head: word(completions, cq[0]),
        cq_tail: word(completions, cq[1]),
        cq_overflow: word(completions, cq[4]),
        cqes: completions.wrapping_add(cq[5] as usize).cast(),
        cq_entries: params.cq_entries,
        cqe_shift,
        lent,
    };
    let parts = [rings, completions, sqes];
    parts
        .iter()
        .all(|part| !part.is_null())
        .then_some((queues, mappings))
}

fn unmap(mappings: Mappings) {
    for (start, len) in mappings {
        if !start.is_null() {
            // SAFETY: a mapping of the shim's own, of a ring that nobody finds any more.
            unsafe { kernel::unmap(start, len) };
        }
    }
}

fn drop_ring(owned: Owned) {
    let Owned { ring, mappings } = owned;
    drop(ring);
    unmap(mappings);
}

/// The last look at a ring.
fn look_back(ring: &mut Followed) {
    Look::take(|look| ring.look(look));
    ring.take_texts().for_each(probe::mark);
    ring.let_go();
}

/// Whether any ring's queues ever lay in memory of the program's own.
static LENT: AtomicBool = AtomicBool::new(false);

/// Whether queues lie in memory of the program's own.
#[inline(always)]
pub(crate) fn has_lent() -> bool {
    LENT.load(Ordering::Relaxed)
}

/// The program is about to give memory back: rings whose queues lie there are not looked at any more.
#[inline(always)]
pub(crate) fn giving_back(start: usize, len: impl FnOnce() -> usize) {
    if has_lent() {
        give_up(start, len());
    }
}

#[cold]
#[inline(never)]
fn give_up(start: usize, len: usize) {
    for fd in rings::between(0, u32::MAX) {
        let found = rings::find(fd);
        let lies_in = found.and_then(|found| found.with(|ring| ring.lies_in(start, len)));
        if lies_in == Some(true) && start::is_own_process() {
            gone(fd);
        }
    }
}

/// A descriptor is about to be closed, or belongs to another ring now.
pub(crate) fn gone(fd: c_int) {
    if let Some(owned) = rings::find(fd).and_then(|found| found.remove(look_back)) {
        drop_ring(owned);
    }
}

/// # Safety
///
/// As for `io_uring_enter`.
unsafe fn enter(call: &Call) -> c_long {
    let (to_submit, min_complete) = (call.number(1), call.number(2));
    let found = the_ring(
        call.number(0),
        call.number(3) & kernel::ENTER_REGISTERED != 0,
    );
    let Some(found) = found else {
        if start::is_on() {
            unknown();
        }
        // SAFETY: the caller's promise.
        return unsafe { make_enter(call) };
    };
    before(&found, None);
    // SAFETY: the caller's promise.
    let result = unsafe { make_enter(call) };
    after(&found, to_submit, min_complete, call.answer(result));
    result
}

/// Makes an enter. Where calls are trapped, the signal that they come by is not blocked while it waits.
///
/// # Safety
///
/// As for `io_uring_enter`.
#[inline(always)]
unsafe fn make_enter(call: &Call) -> c_long {
    #[cfg(target_arch = "x86_64")]
    if crate::trap::is_on() && call.arguments[4] != 0 {
        // SAFETY: the caller's promise.
        return unsafe { make_masked(call) };
    }
    // SAFETY: the caller's promise.
    unsafe { call.make() }
}

/// # Safety
///
/// As for `io_uring_enter`.
#[cfg(target_arch = "x86_64")]
#[cold]
unsafe fn make_masked(call: &Call) -> c_long {
    /// `struct io_uring_getevents_arg`: set, its size and a wait's, timeout.
    type Wait = [u64; 3];
    let mut call = *call;
    let flags = call.number(3);
    // They live as long as the call.
    let (mut set, mut wait);
    if flags & kernel::ENTER_EXT_ARG == 0 {
        if let Some(rest) = crate::trap::masks::without(call.arguments[4]) {
            set = rest;
            call.arguments[4] = (&raw mut set) as usize;
        }
    } else if flags & kernel::ENTER_EXT_ARG_REG == 0
        && call.arguments[5] == size_of::<Wait>()
        // SAFETY: any bytes are such a structure.
        && let Some(given) = unsafe { kernel::peek::<Wait>(call.arguments[4]) }
        && let Some(rest) = crate::trap::masks::without(given[0] as usize)
    {
        set = rest;
        wait = given;
        wait[0] = (&raw mut set) as u64;
        call.arguments[4] = (&raw mut wait) as usize;
    }
    // SAFETY: the caller's promise; a set that blocks less.
    unsafe { call.make() }
}

/// The program is about to enter a ring; its entries up to `tail` are published then, or up to its own tail.
pub(crate) fn before(found: &Found, tail: Option<u32>) {
    let look = |ring: &mut Followed| Look::take(|look| ring.before_enter(look, tail));
    if found.with(look).is_none() {
        preload::lost(1);
    }
}

/// The enter came back with a result, or a negative error number.
pub(crate) fn after(found: &Found, to_submit: u32, min_complete: u32, result: c_int) {
    let posts_to = found.with(|ring| {
        Look::take(|look| ring.after_enter(look, to_submit, min_complete, result));
        if ring.has_texts() {
            ring.take_texts().for_each(probe::mark);
        }
        ring.take_posts()
    });
    // What was posted to a ring that nobody enters is gone once its queue went round.
    match posts_to {
        None | Some(Posts::Nowhere) => {}
        Some(Posts::To(fd)) => {
            if let Some(target) = rings::find(fd) {
                target.with(|ring| Look::take(|look| ring.look(look)));
            }
        }
        Some(Posts::Anywhere) => rings::each(|ring| Look::take(|look| ring.look(look))),
    }
}

/// An enter of a ring that is not followed.
pub(crate) fn unknown() {
    if REFUSED.load(Ordering::Relaxed) {
        return;
    }
    // What a forked child has of its parent's memory: it made none itself.
    let is_parents = made_count() > 0 && !crate::start::is_own_process();
    refuse(if is_parents {
        "not recorded: what a forked child does with a ring that its parent made (`record --kernel` lists its operations)"
    } else {
        "not recorded: a ring that was not seen being made"
    });
}

/// # Safety
///
/// As for `io_uring_register`.
unsafe fn register(call: &Call) -> c_long {
    // SAFETY: the caller's promise.
    let result = unsafe { call.make() };
    if result < 0 || !rings::any() {
        return result;
    }
    let (fd, opcode, count) = (call.number(0), call.number(1), call.number(3));
    let indexed = opcode & kernel::USE_REGISTERED != 0;
    match opcode & !kernel::USE_REGISTERED {
        kernel::REGISTER_RING_FDS | kernel::UNREGISTER_RING_FDS => {
            let is_new = opcode & !kernel::USE_REGISTERED == kernel::REGISTER_RING_FDS;
            let done = u32::try_from(result).unwrap_or(0).min(count);
            let updates = call.arguments[2] as *const Update;
            for index in 0..done {
                // SAFETY: the kernel just went through as many of them.
                let update = unsafe { updates.add(index as usize).read_unaligned() };
                note_registered(update.offset, is_new.then_some(update.data as c_int));
            }
        }
        kernel::RESIZE_RINGS => {
            if let Some(found) = the_ring(fd, indexed) {
                resized(found);
            }
        }
        _ => {}
    }
    result
}

/// The kernel gave a ring other queues.
pub(crate) fn resized(found: Found) {
    gone(found.fd());
    refuse("not recorded any further: a ring that was given another size");
}

/// `struct io_uring_rsrc_update`
#[repr(C)]
#[derive(Clone, Copy)]
struct Update {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// Rings that threads registered: thread, then number in the high and descriptor in the low half.
static REGISTERED: [(AtomicU64, AtomicU64); 256] =
    [const { (AtomicU64::new(0), AtomicU64::new(0)) }; 256];

fn note_registered(number: u32, fd: Option<c_int>) {
    let me = kernel::thread();
    let word = |fd: c_int| u64::from(number) << 32 | u64::from(fd.cast_unsigned());
    let is_same = |place: &&(AtomicU64, AtomicU64)| {
        place.0.load(Ordering::Relaxed) == me
            && (place.1.load(Ordering::Relaxed) >> 32) as u32 == number
    };
    if let Some(place) = REGISTERED.iter().find(is_same) {
        match fd {
            Some(fd) => place.1.store(word(fd), Ordering::Relaxed),
            None => place.0.store(0, Ordering::Relaxed),
        }
        return;
    }
    let Some(fd) = fd else { return };
    let relaxed = Ordering::Relaxed;
    // The thread's own place: others do not look at it.
    let free =
        |place: &&(AtomicU64, AtomicU64)| place.0.compare_exchange(0, me, relaxed, relaxed).is_ok();
    if let Some(place) = REGISTERED.iter().find(free) {
        place.1.store(word(fd), Ordering::Relaxed);
    }
}

/// The ring that a call names, by descriptor or by the number that its thread registered it under.
#[inline(always)]
fn the_ring(named: u32, registered: bool) -> Option<Found> {
    if registered {
        registered_ring(named)
    } else {
        rings::find(named.cast_signed())
    }
}

#[inline(never)]
fn registered_ring(named: u32) -> Option<Found> {
    let me = kernel::thread();
    let mine = REGISTERED.iter().find_map(|(thread, word)| {
        let word = word.load(Ordering::Relaxed);
        let is_it = thread.load(Ordering::Relaxed) == me && (word >> 32) as u32 == named;
        is_it.then_some(word as u32)
    });
    rings::find(mine?.cast_signed())
}
