//! One bug for each rule. Rings are told of by hand (`probe::ring::Ring`): the program says what it submitted and
//! what came back, as a runtime with its own rings does, so that each bug happens every time and nothing is
//! written where it should not be.

use std::rc::Rc;

use probe::coroutine::Coroutine;
use probe::ring::{Kind, Ring};

const NOP: u8 = 0;
const ACCEPT: u8 = 13;
const CANCEL: u8 = 14;
const CLOSE: u8 = 19;
const WRITE: u8 = 23;
const SEND: u8 = 26;
const RECV: u8 = 27;
/// `IOSQE_CQE_SKIP_SUCCESS`
const SKIP_SUCCESS: u64 = 1 << 6;
/// A cookie that is no pointer.
const TICK: u64 = 7;

/// What travels.
pub struct Op(pub [u64; 4]);

#[track_caller]
fn leak() -> *mut Op {
    probe::into_raw(Box::new(Op([7; 4])))
}

#[track_caller]
fn reclaim(raw: *mut Op) {
    drop(unsafe { probe::from_raw::<Box<Op>>(raw) });
}

fn entry(opcode: u8, cookie: u64) -> [u64; 8] {
    // The descriptor is 5.
    [u64::from(opcode) | 5 << 32, 0, 0, 0, cookie, 0, 0, 0]
}

fn with_memory(opcode: u8, cookie: u64, address: u64, length: u64) -> [u64; 8] {
    let mut entry = entry(opcode, cookie);
    entry[2] = address;
    entry[3] = length;
    entry
}

fn ring() -> Ring {
    let ring = Ring::created(Kind::Copied, 3, 64, 128, 0, 0);
    ring.sentinel(TICK);
    ring
}

#[track_caller]
fn submit(ring: &Ring, entry: [u64; 8]) {
    ring.pushed(&entry);
    ring.entered(1, 1, 1);
}

/// The ring goes on.
#[track_caller]
fn rounds(ring: &Ring) {
    for _ in 0..2 {
        submit(ring, entry(NOP, TICK));
        ring.reaped(TICK, 0, 0);
    }
}

/// A receive into memory that lives as long as the program, in flight.
#[track_caller]
fn flight() -> (Ring, *mut Op) {
    static BUFFER: [u8; 64] = [0; 64];
    let ring = ring();
    let raw = leak();
    submit(&ring, with_memory(RECV, raw as u64, BUFFER.as_ptr() as u64, 64));
    (ring, raw)
}

#[track_caller]
fn completed() -> (Ring, *mut Op) {
    let (ring, raw) = flight();
    ring.reaped(raw as u64, 5, 0);
    (ring, raw)
}

/// Nobody set the cookie of the second operation.
pub fn t01_unset_cookie() {
    let (ring, raw) = flight();
    submit(&ring, entry(RECV, 0));
    ring.reaped(raw as u64, 5, 0);
    reclaim(raw);
}

/// A slot is used again, and what its last operation left in it goes to the kernel.
pub fn t02_leftover_cookie() {
    let ring = Ring::created(Kind::InPlace, 3, 8, 16, 0, 0);
    ring.sentinel(TICK);
    let mut slot = entry(NOP, 0);
    let raw = leak();
    unsafe { ring.claimed(2, &mut slot) };
    slot = entry(NOP, raw as u64);
    unsafe { ring.submitting(2, &mut slot) };
    ring.entered(1, 1, 1);
    ring.reaped(raw as u64, 0, 0);
    reclaim(raw);
    unsafe { ring.claimed(2, &mut slot) };
    slot[0] = u64::from(NOP);
    unsafe { ring.submitting(2, &mut slot) };
    ring.entered(1, 1, 1);
}

/// The cookie of an owner that is gone.
pub fn t03_stale_cookie() {
    let (ring, raw) = completed();
    reclaim(raw);
    submit(&ring, entry(NOP, raw as u64));
}

/// The owner is freed unseen, and its address given away again, while the first operation is in flight.
pub fn t04_reused_identity() {
    let (ring, raw) = flight();
    drop(unsafe { Box::from_raw(raw) });
    let mut others = Vec::new();
    let again = loop {
        let next = Box::into_raw(Box::new(Op([8; 4])));
        if next == raw {
            break next;
        }
        others.push(next);
    };
    let again = probe::into_raw(unsafe { Box::from_raw(again) });
    ring.reaped(again as u64, 5, 0);
    reclaim(again);
    for other in others {
        drop(unsafe { Box::from_raw(other) });
    }
}

/// One handle, two operations.
pub fn t05_cookie_in_flight_twice() {
    let (ring, raw) = flight();
    submit(&ring, entry(SEND, raw as u64));
    ring.reaped(raw as u64, 5, 0);
    ring.reaped(raw as u64, 5, 0);
    reclaim(raw);
}

/// One operation, two completions.
pub fn t06_extra_completion() {
    let (ring, raw) = completed();
    ring.reaped(raw as u64, 5, 0);
    reclaim(raw);
}

/// Taken back before its completion.
pub fn t07_reclaimed_in_flight() {
    let (ring, raw) = flight();
    reclaim(raw);
    drop(ring);
}

/// Taken back at its completion, and never.
pub fn t09_never_reclaimed() {
    let (ring, _) = completed();
    rounds(&ring);
}

#[track_caller]
fn waiting(ring: &Ring, raw: *mut Op) -> Coroutine {
    let coroutine = Coroutine::spawned_named("serve", None);
    coroutine.resumed(None);
    coroutine.suspended(&[raw as u64]);
    ring.reaped(raw as u64, 5, 0);
    reclaim(raw);
    coroutine
}

/// Two resumes for one completion.
pub fn t10_resumed_twice() {
    let (ring, raw) = flight();
    let coroutine = waiting(&ring, raw);
    coroutine.resumed(Some((ring.id(), raw as u64)));
    coroutine.resumed(Some((ring.id(), raw as u64)));
    coroutine.done();
}

/// A completion is taken, and its coroutine never runs again.
pub fn t11_never_resumed() {
    let (ring, raw) = flight();
    waiting(&ring, raw);
    rounds(&ring);
}

/// A completion with a cookie that nobody gave away.
pub fn t12_unknown_cookie() {
    let (ring, raw) = completed();
    reclaim(raw);
    ring.reaped(0x7ab_c000, 5, 0);
}

/// Of two handles of an `Rc` that went out here, one is taken back by another thread.
pub fn t13_wrong_owner() {
    let kept = probe::into_raw(Rc::new(7_u64));
    unsafe { probe::retain::<Rc<u64>>(kept) };
    let (raw, handle) = (kept as usize, probe_scope());
    let other = std::thread::spawn(move || {
        let _entered = handle.map(probe::ScopeHandle::enter);
        drop(unsafe { probe::from_raw::<Rc<u64>>(raw as *const u64) });
    });
    other.join().expect("a plain thread");
    drop(unsafe { probe::from_raw::<Rc<u64>>(kept) });
}

/// Leaked as one type, taken back as another of the same size.
pub fn t14_wrong_type() {
    let raw = probe::into_raw(Box::new(7_u64));
    drop(unsafe { probe::from_raw::<Box<i64>>(raw.cast()) });
}

/// A cancel that names a cookie with two operations in flight.
pub fn t15_ambiguous_cancel() {
    let ring = ring();
    let kept = Rc::new(7_u64);
    let [one, two] = [(); 2].map(|()| probe::into_raw(Rc::clone(&kept)));
    submit(&ring, entry(RECV, one as u64));
    submit(&ring, entry(SEND, two as u64));
    submit(&ring, with_memory(CANCEL, TICK, one as u64, 0));
    ring.reaped(TICK, 0, 0);
    ring.reaped(one as u64, -125, 0);
    ring.reaped(two as u64, 64, 0);
    drop(unsafe { probe::from_raw::<Rc<u64>>(one) });
    drop(unsafe { probe::from_raw::<Rc<u64>>(two) });
}

/// The buffer is unmapped while the kernel writes into it.
pub fn t16_buffer_freed_in_flight() {
    let ring = ring();
    let raw = leak();
    let buffer = vec![0_u8; 64];
    submit(&ring, with_memory(RECV, raw as u64, buffer.as_ptr() as u64, 64));
    probe::memory::unmapping(buffer.as_ptr(), 64);
    ring.reaped(raw as u64, 5, 0);
    reclaim(raw);
}

/// Completions wait in the kernel, and nobody fetches them.
pub fn t17_overflow_stall() {
    let ring = ring();
    submit(&ring, entry(NOP, TICK));
    for _ in 0..3 {
        ring.overflowed(3);
    }
    // A ring that is dropped takes what is in flight with it, and that is another bug.
    std::mem::forget(ring);
}

/// Pushed, and its owner taken back before the kernel saw it.
pub fn t18_stranded_submission() {
    let (ring, raw) = completed();
    ring.pushed(&entry(RECV, raw as u64));
    reclaim(raw);
    ring.entered(1, 1, 1);
}

/// A buffer is given to the kernel a second time.
pub fn t19_buffer_id_lost() {
    let (ring, raw) = completed();
    reclaim(raw);
    probe::buffer::provided(&ring, 9, 0, 2);
    probe::buffer::provided(&ring, 9, 1, 1);
}

/// One count more than is ever given back.
pub fn t20_count_drift() {
    let ring = ring();
    let kept = Rc::new(7_u64);
    let raw = probe::into_raw(Rc::clone(&kept));
    submit(&ring, entry(NOP, raw as u64));
    unsafe { probe::retain::<Rc<u64>>(raw) };
    ring.reaped(raw as u64, 0, 0);
    unsafe { probe::release::<Rc<u64>>(raw) };
    rounds(&ring);
}

/// One place of the completion queue is read twice.
pub fn t21_completion_read_twice() {
    let ring = ring();
    submit(&ring, entry(NOP, TICK));
    ring.reaped_at(0, TICK, 0, 0);
    ring.reaped_at(0, TICK, 0, 0);
}

/// The cookie owns something, and the operation says nothing when it succeeds.
pub fn t22_owner_without_completion() {
    let ring = ring();
    let raw = leak();
    let mut close = entry(CLOSE, raw as u64);
    close[0] |= SKIP_SUCCESS << 8;
    submit(&ring, close);
    rounds(&ring);
    std::mem::forget(ring);
}

/// A pointer is given away that is declared to be no pointer.
pub fn t23_sentinel_clash() {
    let ring = ring();
    let raw = leak();
    ring.sentinel(raw as u64);
    submit(&ring, entry(NOP, raw as u64));
    ring.reaped(raw as u64, 0, 0);
    reclaim(raw);
}

/// An accept that was cancelled brings a connection all the same.
pub fn t24_result_lost() {
    probe::fd::opened(5);
    let ring = ring();
    let raw = leak();
    ring.pushed(&entry(ACCEPT, raw as u64));
    ring.pushed(&with_memory(CANCEL, TICK, raw as u64, 0));
    ring.entered(2, 2, 2);
    ring.reaped(TICK, -114, 0);
    ring.reaped(raw as u64, 71, 0);
    reclaim(raw);
    rounds(&ring);
}

/// A pointer went through 32 bits.
pub fn t25_truncated_cookie() {
    let ring = Ring::created(Kind::Copied, 3, 64, 128, 0, 0);
    // So large that it lies by itself: the heap of a thread may begin where half an address is a small number.
    let large: Box<[u8; 1 << 20]> = vec![7; 1 << 20].into_boxed_slice().try_into().expect("its length");
    let raw = probe::into_raw(large);
    submit(&ring, entry(NOP, raw as u64));
    submit(&ring, entry(NOP, u64::from(raw as u32)));
    ring.reaped(raw as u64, 0, 0);
    ring.reaped(u64::from(raw as u32), 0, 0);
    drop(unsafe { probe::from_raw::<Box<[u8; 1 << 20]>>(raw) });
}

/// Shared and exclusive at once.
pub fn t26_overlapping_borrow() {
    let cell = probe::cell::TracedCell::new(7_u64);
    let exclusive = cell.exclusive();
    let shared = cell.shared();
    drop(shared);
    drop(exclusive);
}

/// More is written than was ever put into the buffer.
pub fn t27_uninitialised_to_kernel() {
    let ring = ring();
    let mut buffer = probe::buffer::TracedBuffer::with_capacity(64);
    buffer.extend(&[7; 16]);
    submit(&ring, with_memory(WRITE, TICK, buffer.as_ptr() as u64, 64));
    ring.reaped(TICK, 64, 0);
}

thread_local! {
    static SCOPE: std::cell::Cell<Option<probe::ScopeHandle>> = const { std::cell::Cell::new(None) };
}

/// Threads that a bug starts work for this scope.
pub fn for_scope(handle: probe::ScopeHandle) {
    SCOPE.set(Some(handle));
}

fn probe_scope() -> Option<probe::ScopeHandle> {
    SCOPE.get()
}
