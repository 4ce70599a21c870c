//! Every hook, in functions of somebody's program. With `--cfg plain` it is the same program without the
//! probe. Compiled by `machine_code.rs`, never run.

use std::rc::Rc;
use std::sync::Arc;

#[cfg(not(plain))]
use probe::{
    coroutine::Coroutine,
    ffi::Callbacks,
    index::Table,
    io_uring::{CompletionQueue, SubmissionQueue, Submitter},
    ring::{Entry, Ring},
};

#[cfg(plain)]
use io_uring::{CompletionQueue, SubmissionQueue, Submitter};
// What the plain program has in their places is as large to the caller, and never looked at.
#[cfg(plain)]
type Coroutine = u32;
#[cfg(plain)]
type Ring = u64;
#[cfg(plain)]
type Table = u64;
#[cfg(plain)]
type Callbacks = u64;
#[cfg(plain)]
type Entry = [u64; 8];

/// What a program without the probe does not have.
macro_rules! hook {
    ($hook:expr) => {
        #[cfg(not(plain))]
        {
            $hook;
        }
        // A hook that is not quite empty, to see that it would be noticed.
        #[cfg(planted)]
        PLANTED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
}

#[cfg(planted)]
static PLANTED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// What a program without the probe does in another way.
macro_rules! either {
    ($hooked:expr, $plain:expr) => {{
        #[cfg(not(plain))]
        {
            $hooked
        }
        #[cfg(plain)]
        {
            $plain
        }
    }};
}

macro_rules! owners {
    ($($owner:ident: $raw:ty, $into:ident, $from:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub fn $into(owner: $owner<u64>) -> $raw {
            either!(probe::into_raw(owner), $owner::into_raw(owner))
        }

        #[unsafe(no_mangle)]
        pub unsafe fn $from(raw: $raw) -> $owner<u64> {
            // SAFETY: the caller's promise.
            unsafe { either!(probe::from_raw(raw), $owner::from_raw(raw)) }
        }
    )*};
}

owners! {
    Box: *mut u64, hook_into_raw_of_box, hook_from_raw_of_box;
    Rc: *const u64, hook_into_raw_of_rc, hook_from_raw_of_rc;
    Arc: *const u64, hook_into_raw_of_arc, hook_from_raw_of_arc;
}

#[unsafe(no_mangle)]
pub fn hook_leak_forever(owner: Box<u64>) -> *mut u64 {
    either!(probe::leak_forever(owner), Box::into_raw(owner))
}

#[unsafe(no_mangle)]
pub unsafe fn hook_retain(raw: *const u64) {
    // SAFETY: the caller's promise.
    unsafe {
        either!(
            probe::retain::<Arc<u64>>(raw),
            Arc::increment_strong_count(raw)
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe fn hook_release(raw: *const u64) {
    // SAFETY: the caller's promise.
    unsafe {
        either!(
            probe::release::<Arc<u64>>(raw),
            Arc::decrement_strong_count(raw)
        )
    }
}

/// A hook that stands beside the program's own work.
macro_rules! beside {
    ($($name:ident($($argument:ident: $type:ty),*) $hook:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub fn $name(work: &mut u64 $(, $argument: $type)*) {
            $(let _ = &$argument;)*
            // SAFETY: this is compiled, and never run.
            #[allow(unused_unsafe)]
            unsafe {
                hook!($hook);
            }
            *work += 1;
        }
    )*};
}

beside! {
    hook_peek(raw: *mut u64) probe::peek::<Box<u64>>(raw);
    hook_claimed(ring: &Ring, entry: &mut Entry) ring.claimed(3, entry);
    hook_submitting(ring: &Ring, entry: &mut Entry) ring.submitting(3, entry);
    hook_pushed(ring: &Ring, entry: &Entry) ring.pushed(entry);
    hook_entered(ring: &Ring, result: i32) ring.entered(1, 1, result);
    hook_reaped(ring: &Ring, cookie: u64, result: i32) ring.reaped(cookie, result, 0);
    hook_overflowed(ring: &Ring, count: u64) ring.overflowed(count);
    hook_cookies(ring: &Ring) ring.cookies(probe::ring::Cookies::Pointers);
    hook_sentinel(ring: &Ring) ring.sentinel(0);
    hook_shared(ring: &Ring, cookie: u64) ring.shared(cookie);
    hook_spawned() Coroutine::spawned::<std::future::Ready<u64>>(None);
    hook_spawned_named() Coroutine::spawned_named("one", None);
    hook_resumed(coroutine: Coroutine, cookie: u64) coroutine.resumed(Some((1, cookie)));
    hook_suspended(coroutine: Coroutine, cookie: u64) coroutine.suspended(&[cookie]);
    hook_suspended_on_many(coroutine: Coroutine, cookies: &[u64]) coroutine.suspended(cookies);
    hook_done(coroutine: Coroutine) coroutine.done();
    hook_dropped(coroutine: Coroutine) coroutine.dropped();
    hook_woken(coroutine: Coroutine) coroutine.woken();
    hook_mark() probe::mark("here");
    hook_reaped_at(ring: &Ring, cookie: u64, result: i32) ring.reaped_at(3, cookie, result, 0);
    hook_owner(ring: &Ring) ring.owner("part");
    hook_pushed_with_leak(ring: &Ring, entry: &Entry) ring.pushed_with_leak::<Box<u64>>(entry);
    hook_reaped_with_reclaim(ring: &Ring, cookie: u64, result: i32)
        ring.reaped_with_reclaim::<Box<u64>>(cookie, result, 0);
    hook_inserted(table: Table, key: u64) table.inserted::<u64>(key);
    hook_removed(table: Table, key: u64) table.removed::<u64>(key);
    hook_looked_at(table: Table, key: u64) table.looked_at::<u64>(key);
    hook_fd_opened(fd: i32) probe::fd::opened(fd);
    hook_fd_closing(fd: i32) probe::fd::closing(fd);
    hook_unmapping(start: *const u8, bytes: usize) probe::memory::unmapping(start, bytes);
    hook_initialised(start: *const u8, bytes: usize) probe::buffer::initialised(start, bytes, 0);
    hook_buffer_gone(start: *const u8) probe::buffer::gone(start);
    hook_provided(ring: &Ring, first: u16) probe::buffer::provided(ring, 1, first, 1);
    hook_registered(callbacks: &Callbacks, data: *mut std::ffi::c_void) callbacks.registered(data);
    hook_called(callbacks: &Callbacks, data: *mut std::ffi::c_void) callbacks.called(data);
    hook_ended(callbacks: &Callbacks, data: *mut std::ffi::c_void) callbacks.ended(data);
    hook_waits_for(cookie: u64) probe::coroutine::waits_for(cookie);
    hook_resumed_by(cookie: u64) probe::coroutine::resumed_by(1, cookie);
    hook_stop_recording() probe::stop_recording("enough");
}

#[unsafe(no_mangle)]
pub fn wrapped_push(queue: &mut SubmissionQueue<'_>, entry: &io_uring::squeue::Entry) -> bool {
    // SAFETY: this is compiled, and never run.
    unsafe { queue.push(entry) }.is_ok()
}

#[unsafe(no_mangle)]
pub fn wrapped_push_multiple(
    queue: &mut SubmissionQueue<'_>,
    entries: &[io_uring::squeue::Entry],
) -> bool {
    // SAFETY: this is compiled, and never run.
    unsafe { queue.push_multiple(entries) }.is_ok()
}

#[unsafe(no_mangle)]
pub fn wrapped_submit_with_args(
    submitter: &Submitter<'_>,
    arguments: &io_uring::types::SubmitArgs<'_, '_>,
) -> bool {
    submitter.submit_with_args(1, arguments).is_ok()
}

#[unsafe(no_mangle)]
pub fn wrapped_submit_with_args_and_flags(
    submitter: &Submitter<'_>,
    arguments: &io_uring::types::SubmitArgs<'_, '_>,
) -> bool {
    let flags = io_uring::EnterFlags::empty();
    submitter
        .submit_with_args_and_flags(1, arguments, flags)
        .is_ok()
}

#[unsafe(no_mangle)]
pub unsafe fn wrapped_enter(submitter: &Submitter<'_>) -> bool {
    // SAFETY: this is compiled, and never run.
    unsafe { submitter.enter::<()>(1, 1, 0, None) }.is_ok()
}

#[unsafe(no_mangle)]
pub fn wrapped_fill(
    queue: &mut CompletionQueue<'_>,
    room: &mut [std::mem::MaybeUninit<io_uring::cqueue::Entry>],
) -> usize {
    queue.fill(room).len()
}

#[unsafe(no_mangle)]
pub fn wrapped_submit(submitter: &Submitter<'_>) -> bool {
    submitter.submit_and_wait(1).is_ok()
}

#[unsafe(no_mangle)]
pub fn wrapped_reap(queue: &mut CompletionQueue<'_>) -> u64 {
    queue.map(|entry| entry.user_data()).sum()
}

fn main() {}
