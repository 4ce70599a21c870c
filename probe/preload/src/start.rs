//! Whether the shim has anything to do in this process.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

use probe::preload;

use crate::{kernel, next};

/// Nothing is done.
const OFF: u8 = 0;
/// Rings are followed.
const ON: u8 = 1;

static STATE: AtomicU8 = AtomicU8::new(OFF);
/// The process that follows rings.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Whether rings are followed in this process.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    STATE.load(Ordering::Relaxed) == ON
}

/// Whether a ring that was just made is to be followed. Not in a program that announces a probe of its own, which
/// a library may have brought since the last ring: then the shim's recording ends.
pub(crate) fn wanted() -> bool {
    // Before anything opens the recording.
    preload::is_shim();
    if !probe::is_recording() {
        say_unopened();
        return false;
    }
    if preload::another_recorder() {
        if is_on() {
            STATE.store(OFF, Ordering::Relaxed);
            probe::stop_recording("a library with a probe of its own was loaded");
        }
        return false;
    }
    PROCESS.store(preload::process_id(), Ordering::Relaxed);
    STATE.store(ON, Ordering::Relaxed);
    true
}

/// Whether this is the process that the rings belong to, and not a child between `vfork` and `exec` that
/// shares its memory and closes what it does not need.
pub(crate) fn is_own_process() -> bool {
    PROCESS.load(Ordering::Relaxed) == preload::process_id()
}

/// Where `record` finds what went wrong: the beginning of a file of its own. Mapped when the shim is loaded, because a
/// program that is refused a ring may be confined to few system calls, and one that makes one may be another user by then.
static WRONG: AtomicPtr<[AtomicU32; 2]> = AtomicPtr::new(core::ptr::null_mut());
/// Which error a ring was refused with, and why one was made that is not followed because the recording cannot be opened.
const REFUSED: usize = 0;
const UNOPENED: usize = 1;

/// The kernel did not make a ring.
pub(crate) fn refused(error: c_int) {
    say(REFUSED, error.unsigned_abs());
}

/// A ring was made, and nothing of it is recorded if the recording could not be opened.
pub(crate) fn say_unopened() {
    if !probe::is_recording() {
        say(UNOPENED, preload::unopened());
    }
}

fn say(what: usize, error: u32) {
    // SAFETY: null, or a mapping that stays, of a file of eight bytes.
    let words = unsafe { WRONG.load(Ordering::Relaxed).as_ref() };
    if let Some(word) = words.and_then(|words| words.get(what))
        && error != 0
    {
        word.store(error, Ordering::Relaxed);
    }
}

/// Leaves word in the recording's folder that the shim was loaded, so that `record` can tell a program that made
/// no ring from one that it could not be loaded into.
#[cfg_attr(test, expect(dead_code, reason = "called by the loader"))]
extern "C" fn loaded() {
    unsafe extern "C" {
        fn getenv(name: *const c_char) -> *const c_char;
    }
    next::prepare();
    // SAFETY: the name ends in NUL; constructors run before the program can change its environment.
    let folder = unsafe { getenv(c"TRACER_DIR".as_ptr()) };
    if folder.is_null() {
        return;
    }
    // SAFETY: what `getenv` returns ends in NUL.
    let folder = unsafe { CStr::from_ptr(folder) }.to_bytes();
    if folder.first() != Some(&b'/') {
        return;
    }
    leave(folder, b"/preloaded\0");
    if let Some(Some(page)) = with_path(folder, b"/refused\0", kernel::share) {
        WRONG.store(page.cast(), Ordering::Relaxed);
    }
    #[cfg(target_arch = "x86_64")]
    {
        use crate::trap::{Wanted, install};
        let mut word = [0u8; 6];
        let wanted = with_path(folder, b"/trap\0", |path| {
            kernel::read_file(path, &mut word)
        });
        let wanted = match (wanted, &word) {
            (Some(_), b"always") => Wanted::Always,
            (Some(_), [b'a', b'u', b't', b'o', ..]) => Wanted::Auto,
            _ => Wanted::Never,
        };
        if let Some(word) = install(wanted) {
            leave(folder, word);
        }
    }
}

/// Leaves an empty file in the recording's folder.
fn leave(folder: &[u8], name: &[u8]) {
    with_path(folder, name, kernel::touch);
}

/// Runs `body` with the path of a name in a folder; the name ends in NUL.
fn with_path<T>(folder: &[u8], name: &[u8], body: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let mut path = [0u8; 512];
    let whole = folder.len().saturating_add(name.len());
    path.get_mut(..folder.len())?.copy_from_slice(folder);
    path.get_mut(folder.len()..whole)?.copy_from_slice(name);
    path.get(..whole).map(body)
}

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = loaded;
