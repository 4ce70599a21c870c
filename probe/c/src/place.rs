//! Where a call stands in C, and what it is about: a static of the call's own, or what the function around it said of
//! its caller.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint};

use probe::foreign::{AsPlace, Description};

/// `struct tracer_place`.
///
/// # Safety
///
/// Who hands one in promises that it is never written to and lives as long as the process; its texts are null
/// or end with a zero, and live as long.
#[repr(C)]
#[derive(Debug)]
pub struct Place {
    file: *const c_char,
    /// Null where the call is about no type.
    type_name: *const c_char,
    line: c_uint,
    align: c_uint,
    size: usize,
}

impl Place {
    /// The place that C handed in, moved to the caller of the function around it where one was named.
    ///
    /// # Safety
    ///
    /// As the type says.
    pub(crate) unsafe fn from_c<'a>(place: *const Place) -> Called<'a> {
        Called {
            // SAFETY: the caller's promise.
            place: unsafe { &*place },
            caller: caller(),
        }
    }
}

/// A place of C's, and where it is said to stand instead.
#[derive(Debug)]
pub(crate) struct Called<'a> {
    place: &'a Place,
    caller: Option<Caller>,
}

/// What `TRACER_CALLER` said: a text that lives as long as the process, and a line in it.
#[derive(Clone, Copy, Debug)]
struct Caller {
    file: *const c_char,
    line: c_uint,
}

thread_local! {
    /// For all that this thread records until the function that named it returns.
    static CALLER: Cell<Option<Caller>> = const { Cell::new(None) };
}

/// What holds on this thread. No hook may panic, not even where a thread's own memory could be gone.
fn caller() -> Option<Caller> {
    CALLER.try_with(Cell::get).unwrap_or(None)
}

/// `TRACER_CALLER`: from here on, what this thread records stands at `file` and `line`. Returns 1 where that is so,
/// and 0 where a function further out has named its caller: that one holds.
///
/// # Safety
///
/// `file` is null, or ends with a zero, and is neither written to nor freed as long as the process lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_caller_begins(file: *const c_char, line: c_uint) -> c_int {
    if caller().is_some() || file.is_null() {
        return 0;
    }
    let named = CALLER.try_with(|caller| caller.set(Some(Caller { file, line })));
    c_int::from(named.is_ok())
}

/// The end of the function in which [`tracer_caller_begins`] returned 1.
#[unsafe(no_mangle)]
pub extern "C" fn tracer_caller_ends() {
    let _ = CALLER.try_with(|caller| caller.set(None));
}

impl AsPlace for Called<'_> {
    fn address(&self) -> u64 {
        let place = core::ptr::from_ref(self.place) as u64;
        match self.caller {
            None => place,
            // A call has as many places as callers: a number is made of all three. No address has its highest bit.
            Some(Caller { file, line }) => {
                let all = [file as u64, u64::from(line)];
                let mixed = all.iter().fold(place, |mixed, word| {
                    let mixed = (mixed ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    mixed ^ (mixed >> 32)
                });
                mixed | 1 << 63
            }
        }
    }

    fn description(&self) -> Description<'_> {
        let (file, line) = match self.caller {
            None => (self.place.file, self.place.line),
            Some(Caller { file, line }) => (file, line),
        };
        Description {
            // SAFETY: the promise of `from_c` or of `tracer_caller_begins`, without which there is neither.
            file: unsafe { bytes(file) },
            line,
            // SAFETY: the promise of `from_c`, without which there is no `Place`.
            type_name: unsafe { bytes(self.place.type_name) },
            size: self.place.size,
            align: self.place.align as usize,
        }
    }
}

/// A text of C's without its final zero; empty for null.
///
/// # Safety
///
/// `text` is null, or ends with a zero and is not written to for `'a`.
pub(crate) unsafe fn bytes<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}
