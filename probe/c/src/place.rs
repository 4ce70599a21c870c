//! Where a call stands in C, and what it is about: a static of the call's own.

use std::ffi::{CStr, c_char, c_uint};

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
    /// The place that C handed in.
    ///
    /// # Safety
    ///
    /// As the type says.
    pub(crate) unsafe fn from_c<'a>(place: *const Place) -> &'a Place {
        // SAFETY: the caller's promise.
        unsafe { &*place }
    }
}

impl AsPlace for Place {
    fn address(&self) -> u64 {
        core::ptr::from_ref(self) as u64
    }

    fn description(&self) -> Description<'_> {
        Description {
            // SAFETY: the promise of `from_c`, without which there is no `Place`.
            file: unsafe { bytes(self.file) },
            line: self.line,
            // SAFETY: as above.
            type_name: unsafe { bytes(self.type_name) },
            size: self.size,
            align: self.align as usize,
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
