//! The program's allocator, with the frees recorded that concern a cookie or a buffer.
//!
//! Holds `unsafe`: a global allocator is an unsafe trait.

use std::alloc::{GlobalAlloc, Layout, System};

use super::watch;

/// A global allocator that passes everything on, and records frees and reallocations of blocks that a
/// leaked pointer points into, or a buffer of an operation.
///
/// With it a trace can say that a buffer was freed while the kernel still writes to it, and whether an
/// address that comes back is the same block of memory or another one. What it costs: one load and one
/// branch for each call, one load more while anything is watched.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: probe::Alloc = probe::Alloc::system();
/// # let raw = probe::into_raw(Box::new(1));
/// # drop(unsafe { probe::from_raw::<Box<i32>>(raw) });
/// ```
///
/// Around another allocator, here one that counts:
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout, System};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// struct Counting(AtomicUsize);
///
/// // Passes everything on to the system's.
/// unsafe impl GlobalAlloc for Counting {
///     unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
///         self.0.fetch_add(1, Ordering::Relaxed);
///         unsafe { System.alloc(layout) }
///     }
///     unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
///         self.0.fetch_sub(1, Ordering::Relaxed);
///         unsafe { System.dealloc(block, layout) }
///     }
/// }
///
/// #[global_allocator]
/// static ALLOCATOR: probe::Alloc<Counting> = probe::Alloc::over(Counting(AtomicUsize::new(0)));
///
/// let count = || ALLOCATOR.inner().0.load(Ordering::Relaxed);
/// let before = count();
/// let block = Box::new([0u8; 100]);
/// assert_eq!(count(), before + 1);
/// drop(block);
/// assert_eq!(count(), before);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Alloc<A = System>(A);

impl Alloc {
    /// Around the system's allocator.
    pub const fn system() -> Self {
        Self(System)
    }
}

impl<A> Alloc<A> {
    /// Around another allocator.
    pub const fn over(allocator: A) -> Self {
        Self(allocator)
    }

    /// The allocator that it is around.
    pub const fn inner(&self) -> &A {
        &self.0
    }
}

// SAFETY: every call goes to the wrapped allocator with the same arguments; what is done beside it
// neither allocates nor unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Alloc<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch::installed();
        // SAFETY: the caller's promise.
        unsafe { self.0.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        watch::installed();
        // SAFETY: the caller's promise.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // Before the block is given back: what others do with the same address comes later.
        watch::freeing(block as u64, layout.size());
        // SAFETY: the caller's promise.
        unsafe { self.0.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let may_matter = watch::may_be_watched(block as u64, layout.size());
        // SAFETY: the caller's promise.
        let new = unsafe { self.0.realloc(block, layout, new_size) };
        if may_matter && !new.is_null() {
            watch::resized(block as u64, layout.size(), new as u64, new_size);
        }
        new
    }
}
