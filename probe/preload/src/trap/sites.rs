//! Where the code of this image makes system calls in line.
//!
//! Two bytes that happen to look like the instruction are no harm: only a system call made right there is trapped. What
//! decides is whether a number of io_uring's stands shortly before one.

use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use super::{Wanted, is_random, number};
use crate::next::{Loaded, Segment, dl_iterate_phdr};

/// Instructions that a filter has room for.
pub(super) const MOST: usize = 1800;
/// Larger objects are not looked through: it would take the program's time.
const LARGEST: usize = 64 << 20;
/// `syscall`
const CALL: [u8; 2] = [0x0F, 0x05];

/// Addresses behind the instructions, which is where the kernel finds the program.
static SITES: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What the image holds.
pub(super) enum Found {
    None,
    /// Addresses that another image may have too.
    Fixed,
    TooMany,
    Some,
}

/// The addresses behind the instructions.
pub(super) fn all() -> impl Iterator<Item = usize> {
    let count = COUNT.load(Ordering::Acquire).min(MOST);
    let sites = SITES.iter().take(count);
    sites.map(|site| site.load(Ordering::Relaxed))
}

/// Whether a call was made there.
pub(super) fn is_one(address: usize) -> bool {
    all().any(|site| site == address)
}

unsafe extern "C" {
    fn memchr(bytes: *const c_void, byte: c_int, count: usize) -> *const c_void;
}

struct Search {
    wanted: Wanted,
    /// Whether any object that is at a fixed address holds such calls.
    fixed: bool,
    too_many: bool,
    random: bool,
}

/// Looks through the objects that are loaded.
pub(super) fn find(wanted: Wanted) -> Found {
    let mut search = Search {
        wanted,
        fixed: false,
        too_many: false,
        random: is_random(),
    };
    // SAFETY: the callback gets the search, which outlives the call.
    unsafe { dl_iterate_phdr(object, (&raw mut search).cast()) };
    if search.too_many {
        return Found::TooMany;
    }
    match (COUNT.load(Ordering::Relaxed), search.fixed) {
        (0, false) => Found::None,
        (0, true) => Found::Fixed,
        _ => Found::Some,
    }
}

extern "C" fn object(loaded: *mut Loaded, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: the loader's description of an object, and the search of `find`, which nobody else has.
    let (loaded, search) = unsafe { (&*loaded, &mut *search.cast::<Search>()) };
    if !loaded.name.is_null() {
        // SAFETY: a name of the loader's.
        let name = unsafe { CStr::from_ptr(loaded.name) }.to_bytes();
        let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
        if is_left_out(file, search.wanted) {
            return 0;
        }
    }
    let count = usize::from(loaded.headers_count);
    for index in 0..count {
        // SAFETY: as many headers as the loader says.
        let segment = unsafe { &*loaded.headers.wrapping_add(index) };
        let code = code(loaded.address, segment);
        if code.is_empty() || (search.wanted == Wanted::Auto && !has_calls(code)) {
            continue;
        }
        if search.wanted == Wanted::Auto && (loaded.address == 0 || !search.random) {
            search.fixed = true;
            continue;
        }
        let base = code.as_ptr() as usize;
        for at in calls(code) {
            let number = COUNT.load(Ordering::Relaxed);
            let Some(site) = SITES.get(number) else {
                search.too_many = true;
                return 1;
            };
            site.store(base + at + CALL.len(), Ordering::Relaxed);
            COUNT.store(number + 1, Ordering::Release);
        }
    }
    0
}

/// Those whose calls come by the names that the shim takes, and what must go on working in the handler.
fn is_left_out(file: &[u8], wanted: Wanted) -> bool {
    let starts = |names: &[&[u8]]| names.iter().any(|name| file.starts_with(name));
    starts(&[
        b"libc.so",
        b"libc-2",
        b"ld-linux",
        b"ld-2",
        b"libpthread",
        b"linux-vdso",
        b"libtracer_preload",
    ]) || (wanted == Wanted::Auto && starts(&[b"liburing.so"]))
}

/// A segment's code; empty where it is none, or too much.
fn code(base: usize, segment: &Segment) -> &'static [u8] {
    const LOAD: u32 = 1;
    const READ_AND_RUN: u32 = 5;
    let size = segment.file_size as usize;
    if segment.kind != LOAD || segment.flags & READ_AND_RUN != READ_AND_RUN || size > LARGEST {
        return &[];
    }
    let start = base.wrapping_add(segment.address as usize);
    // SAFETY: a segment that can be read, of an object that stays loaded while the loader's callback runs; code is
    // not written to.
    unsafe { core::slice::from_raw_parts(start as *const u8, size) }
}

/// Where code holds what may be the instruction.
fn calls(code: &[u8]) -> impl Iterator<Item = usize> {
    let mut from = 0;
    core::iter::from_fn(move || {
        loop {
            let rest = code.get(from..).filter(|rest| !rest.is_empty())?;
            // SAFETY: within the slice.
            let found =
                unsafe { memchr(rest.as_ptr().cast(), c_int::from(CALL[1]), rest.len()) } as usize;
            let at = found.checked_sub(code.as_ptr() as usize)?;
            from = at + 1;
            if at > 0 && code.get(at - 1) == Some(&CALL[0]) {
                return Some(at - 1);
            }
        }
    })
}

/// Whether a number of io_uring's stands shortly before one of the instructions.
fn has_calls(code: &[u8]) -> bool {
    calls(code).any(|at| number::is_before(code.get(..at).unwrap_or(&[])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_found_wherever_they_lie() {
        let mut code = vec![0x90; 300];
        assert_eq!(calls(&code).count(), 0);
        for at in [0, 7, 298] {
            code[at..at + 2].copy_from_slice(&CALL);
        }
        code[100] = CALL[1];
        code[200] = CALL[0];
        assert_eq!(calls(&code).collect::<Vec<_>>(), [0, 7, 298]);
        assert_eq!(calls(&[CALL[1]]).count(), 0);
    }

    #[test]
    fn a_number_shortly_before_one_decides() {
        let mut code = vec![0x90; 300];
        code[200..202].copy_from_slice(&CALL);
        assert!(!has_calls(&code));
        for (number, place, found) in [
            (0xAA, 150, true),
            (0xA9, 195, true),
            (0xAC, 150, false),
            (0xAA, 50, false),
            (0xAA, 210, false),
        ] {
            let mut code = code.clone();
            code[place..place + 5].copy_from_slice(&[0xB8, number, 1, 0, 0]);
            assert_eq!(has_calls(&code), found, "{number:x} {place}");
        }
    }

    #[test]
    fn libraries_whose_calls_come_by_name_are_left_out() {
        assert!(is_left_out(b"libc.so.6", Wanted::Always));
        assert!(is_left_out(b"liburing.so.2", Wanted::Auto));
        assert!(!is_left_out(b"liburing.so.2", Wanted::Always));
        assert!(!is_left_out(b"libcrypto.so.3", Wanted::Auto));
        assert!(!is_left_out(b"", Wanted::Auto));
    }
}
