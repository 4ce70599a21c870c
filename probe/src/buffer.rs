//! Buffers that the kernel reads or fills: how much of them is initialised, and whose they are.
//!
//! A write of a buffer's whole capacity sends what happened to lie in its uninitialised part, and the
//! tools that look for such reads do not see the kernel's. The hooks say what a runtime's own buffers
//! hold; a [`TracedBuffer`] says it by itself. Sizes are bytes; each call is one record.
//!
//! ```
//! use probe::ring::{Kind, Ring};
//!
//! let mut pool = vec![std::mem::MaybeUninit::<u8>::uninit(); 4096];
//! probe::buffer::initialised(pool.as_ptr(), 4096, 0);
//! // A read into it completed with 100:
//! probe::buffer::initialised(pool.as_ptr(), 4096, 100);
//! // From here on a write of more than that from it is a finding (T27).
//! probe::buffer::gone(pool.as_ptr());
//!
//! // 16 buffers with the ids 0 to 15 were given to the kernel, as group 7:
//! let ring = Ring::created(Kind::Copied, -1, 8, 16, 0, 0);
//! probe::buffer::provided(&ring, 7, 0, 16);
//! // One that a completion names (`cqueue::buffer_select`) and that is never provided again is a finding (T19).
//! # pool.clear();
//! ```

use std::mem::MaybeUninit;

use wire::payload::pair;
use wire::record::Kind;

use crate::recorder;
use crate::ring::Ring;

/// Of a buffer's bytes the first ones are initialised, the rest is not. Said again when that changes.
#[inline]
pub fn initialised<T>(start: *const T, bytes: usize, initialised: usize) {
    if recorder::recording() {
        let words = [start as u64, bytes as u64, initialised as u64];
        recorder::record(Kind::BufferInit, 0, 0, words);
    }
}

/// A buffer that [`initialised`] spoke of is no more: its bytes are anybody's.
#[inline]
pub fn gone<T>(start: *const T) {
    initialised(start, 0, 0);
}

/// Buffers were put into a ring of buffers, for the kernel to choose from: their group, the id of the first, and
/// how many, with ids that count up. Buffers that an entry gives (`IORING_OP_PROVIDE_BUFFERS`) are known from that
/// entry, where the probe sees it; telling of them here, too, does no harm.
#[inline]
pub fn provided(ring: &Ring, group: u16, first: u16, count: u32) {
    if recorder::recording() {
        let words = [
            pair(ring.id(), u32::from(group)),
            pair(u32::from(first), count),
        ];
        recorder::record(Kind::BufferProvide, 0, 0, words);
    }
}

/// A group of buffers is none any more (`io_uring_unregister_buf_ring`): the kernel has none of it, and what the program
/// still holds of it need not come back. The group's number may be used again.
///
/// ```
/// # let ring = probe::ring::Ring::created(probe::ring::Kind::Copied, -1, 8, 16, 0, 0);
/// probe::buffer::provided(&ring, 7, 0, 16);
/// // ring.submitter().unregister_buf_ring(7)
/// probe::buffer::withdrawn(&ring, 7);
/// ```
#[inline]
pub fn withdrawn(ring: &Ring, group: u16) {
    provided(ring, group, 0, 0);
}

/// Bytes on the heap whose first part is initialised, as `Vec<u8>`; the recording knows how much.
///
/// ```
/// let mut buffer = probe::buffer::TracedBuffer::with_capacity(16);
/// assert_eq!(buffer.extend(b"hello"), 5);
/// assert_eq!(buffer.filled(), b"hello");
/// // A read into `spare()` completed with 3: the kernel has written as many bytes.
/// # buffer.spare().iter_mut().for_each(|byte| *byte = std::mem::MaybeUninit::new(7));
/// unsafe { buffer.add_filled(3) };
/// assert_eq!((buffer.filled().len(), buffer.capacity()), (8, 16));
/// ```
#[derive(Debug)]
pub struct TracedBuffer {
    bytes: Box<[MaybeUninit<u8>]>,
    /// At most the length of `bytes`; all before it are initialised.
    filled: usize,
}

impl TracedBuffer {
    /// A buffer with nothing in it.
    pub fn with_capacity(bytes: usize) -> Self {
        let buffer = Self {
            bytes: Box::new_uninit_slice(bytes),
            filled: 0,
        };
        buffer.note();
        buffer
    }

    #[inline]
    fn note(&self) {
        initialised(self.bytes.as_ptr(), self.bytes.len(), self.filled);
    }

    /// Bytes that it has room for.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// The initialised bytes.
    pub fn filled(&self) -> &[u8] {
        // SAFETY: `filled` bytes from the start are initialised and within the buffer: the invariant of
        // the field. They change through `&mut self` alone.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.filled) }
    }

    /// The uninitialised bytes, for somebody to fill.
    pub fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        self.bytes.get_mut(self.filled..).unwrap_or(&mut [])
    }

    /// Address of the first byte.
    pub fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr().cast()
    }

    /// Address of the first byte.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr().cast()
    }

    /// Copies as many bytes as there is room for, and says how many.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let mut copied = 0;
        for (place, byte) in self.spare().iter_mut().zip(bytes) {
            place.write(*byte);
            copied += 1;
        }
        self.filled += copied;
        self.note();
        copied
    }

    /// Somebody has filled as many bytes of [`TracedBuffer::spare`]; more than it has count as all.
    ///
    /// # Safety
    ///
    /// These bytes are initialised: the operation that filled them has completed with this count.
    pub unsafe fn add_filled(&mut self, bytes: usize) {
        self.filled = self.filled.saturating_add(bytes).min(self.bytes.len());
        self.note();
    }

    /// Nothing in it counts any more.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.note();
    }
}

impl Drop for TracedBuffer {
    fn drop(&mut self) {
        gone(self.bytes.as_ptr());
    }
}
