//! Every hook, called once from a function of its own: what the compiler makes of them in somebody's
//! program. `.ci/no-panic` looks at the machine code; running it only shows that the hooks do nothing
//! while nothing records.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use probe::cell::TracedCell;
use probe::coroutine::Coroutine;
use probe::ring::{Entry, Kind, Ring};

#[unsafe(no_mangle)]
fn hot_into_raw(owner: Box<u64>) -> *mut u64 {
    probe::into_raw(owner)
}

#[unsafe(no_mangle)]
fn hot_into_raw_rc(owner: Rc<u64>) -> *const u64 {
    probe::into_raw(owner)
}

#[unsafe(no_mangle)]
fn hot_leak_forever(owner: Arc<u64>) -> *const u64 {
    probe::leak_forever(owner)
}

#[unsafe(no_mangle)]
unsafe fn hot_from_raw(raw: *mut u64) -> Box<u64> {
    // SAFETY: the caller's promise.
    unsafe { probe::from_raw(raw) }
}

#[unsafe(no_mangle)]
fn hot_peek(raw: *mut u64) {
    probe::peek::<Box<u64>>(raw);
}

#[unsafe(no_mangle)]
unsafe fn hot_retain(raw: *const u64) {
    // SAFETY: the caller's promise.
    unsafe { probe::retain::<Arc<u64>>(raw) }
}

#[unsafe(no_mangle)]
unsafe fn hot_claimed(ring: &Ring, slot: u32, entry: &mut Entry) {
    // SAFETY: the caller's promise.
    unsafe { ring.claimed(slot, entry) }
}

#[unsafe(no_mangle)]
unsafe fn hot_submitting(ring: &Ring, slot: u32, entry: &mut Entry) {
    // SAFETY: the caller's promise.
    unsafe { ring.submitting(slot, entry) }
}

#[unsafe(no_mangle)]
fn hot_pushed(ring: &Ring, entry: &Entry) {
    ring.pushed(entry);
}

#[unsafe(no_mangle)]
fn hot_entered(ring: &Ring, to_submit: u32, result: i32) {
    ring.entered(to_submit, 1, result);
}

#[unsafe(no_mangle)]
fn hot_reaped(ring: &Ring, cookie: u64, res: i32, flags: u32) {
    ring.reaped(cookie, res, flags);
}

#[unsafe(no_mangle)]
fn hot_overflowed(ring: &Ring, count: u64) {
    ring.overflowed(count);
}

#[unsafe(no_mangle)]
fn hot_spawned() -> Coroutine {
    Coroutine::spawned::<std::future::Ready<u64>>(None)
}

#[unsafe(no_mangle)]
fn hot_resumed(coroutine: Coroutine, ring: u32, cookie: u64) {
    coroutine.resumed(Some((ring, cookie)));
}

#[unsafe(no_mangle)]
fn hot_suspended(coroutine: Coroutine, cookies: &[u64]) {
    coroutine.suspended(cookies);
}

#[unsafe(no_mangle)]
fn hot_done(coroutine: Coroutine) {
    coroutine.done();
}

/// An allocator without memory: what is left is the hook.
struct Nothing;

// SAFETY: never gives out memory.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        std::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

static ALLOCATOR: probe::Alloc<Nothing> = probe::Alloc::over(Nothing);

#[unsafe(no_mangle)]
unsafe fn hot_free(block: *mut u8, layout: Layout) {
    // SAFETY: this allocator takes back nothing.
    unsafe { ALLOCATOR.dealloc(block, layout) }
}

#[unsafe(no_mangle)]
unsafe fn hot_realloc(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    // SAFETY: this allocator gives out nothing.
    unsafe { ALLOCATOR.realloc(block, layout, size) }
}

#[unsafe(no_mangle)]
fn hot_unmapping(start: *const u8, bytes: usize) {
    probe::memory::unmapping(start, bytes);
}

#[unsafe(no_mangle)]
fn hot_borrowed(cell: &TracedCell<u64>) -> u64 {
    // SAFETY: nobody else has the cell.
    cell.with_mut(|value| unsafe { *value = 1 });
    // SAFETY: as above.
    cell.with(|value| unsafe { *value })
}

#[unsafe(no_mangle)]
fn hot_closing(fd: i32) {
    probe::fd::opened(fd);
    probe::fd::closing(fd);
}

#[unsafe(no_mangle)]
fn hot_initialised(start: *const u8, bytes: usize, initialised: usize) {
    probe::buffer::initialised(start, bytes, initialised);
    probe::buffer::gone(start);
}

static CALLBACKS: probe::ffi::Callbacks = probe::ffi::Callbacks::repeated("hooks");

#[unsafe(no_mangle)]
fn hot_hand_out(owner: Box<u64>) -> *mut c_void {
    probe::ffi::hand_out(owner)
}

#[unsafe(no_mangle)]
fn hot_registered(data: *mut c_void) {
    CALLBACKS.registered(data);
}

#[unsafe(no_mangle)]
fn hot_called(data: *mut c_void) {
    CALLBACKS.called(data);
}

#[unsafe(no_mangle)]
fn hot_mark(text: &str) {
    probe::mark(text);
}

fn main() {
    let ring = Ring::created(Kind::InPlace, -1, 8, 16, 0, 0);
    let mut entry: Entry = black_box([0; 8]);
    let raw = hot_into_raw(black_box(Box::new(1)));
    hot_peek(raw);
    // SAFETY: leaked above, taken back once.
    drop(unsafe { hot_from_raw(raw) });
    let shared = Arc::new(3);
    let raw = hot_leak_forever(shared.clone());
    // SAFETY: it lives for ever.
    unsafe { hot_retain(raw) };
    black_box(hot_into_raw_rc(Rc::new(2)));
    // SAFETY: one thread, and the entry is ours.
    unsafe {
        hot_claimed(&ring, 0, &mut entry);
        hot_submitting(&ring, 0, &mut entry);
    }
    hot_pushed(&ring, &entry);
    hot_entered(&ring, 1, 1);
    hot_reaped(&ring, 1, 0, 0);
    hot_overflowed(&ring, 1);
    let coroutine = hot_spawned();
    hot_resumed(coroutine, 1, 1);
    hot_suspended(coroutine, &[1, 2, 3]);
    hot_done(coroutine);
    // SAFETY: this allocator has no memory.
    unsafe {
        hot_free(std::ptr::null_mut(), Layout::new::<u64>());
        black_box(hot_realloc(std::ptr::null_mut(), Layout::new::<u64>(), 16));
    }
    hot_unmapping(std::ptr::null(), 0);
    black_box(hot_borrowed(&TracedCell::new(1)));
    hot_closing(-1);
    hot_initialised(std::ptr::null(), 0, 0);
    let data = hot_hand_out(Box::new(4));
    hot_registered(data);
    hot_called(data);
    hot_mark("done");
}
