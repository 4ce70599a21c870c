//! A path or name for the C library, without an allocation.

use core::ffi::c_char;

/// A path or name with its final NUL, on the stack. Longer ones are refused.
pub(crate) struct Path {
    bytes: [u8; 512],
    len: usize,
}

impl Path {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; 512],
            len: 0,
        }
    }

    /// Appends; false where there is no room.
    pub(crate) fn push(&mut self, part: &[u8]) -> bool {
        let end = self.len.saturating_add(part.len());
        // One byte stays 0.
        if end >= self.bytes.len() {
            return false;
        }
        match self.bytes.get_mut(self.len..end) {
            Some(room) => {
                for (place, byte) in room.iter_mut().zip(part) {
                    *place = *byte;
                }
            }
            None => return false,
        }
        self.len = end;
        true
    }

    /// Appends a number in the given base (10 or 16).
    pub(crate) fn push_number(&mut self, mut number: u64, base: u64) -> bool {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at = at.saturating_sub(1);
            let digit = number.checked_rem(base).unwrap_or(0) as u8;
            if let Some(place) = digits.get_mut(at) {
                *place = if digit < 10 {
                    b'0' + digit
                } else {
                    b'a' + (digit - 10)
                };
            }
            number = number.checked_div(base).unwrap_or(0);
            if number == 0 || at == 0 {
                break;
            }
        }
        self.push(digits.get(at..).unwrap_or(&[]))
    }

    pub(super) fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}
