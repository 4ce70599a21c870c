//! Memory for the shim's own use, from the kernel: the program's heap is the program's, and may be in the
//! middle of anything when the shim is called.
//!
//! Allocations are a few for each ring; each takes whole pages.

use std::alloc::{GlobalAlloc, Layout};

use crate::kernel;

const PAGE: usize = 4096;

/// The allocator of the shim.
#[derive(Debug)]
pub(crate) struct Pages;

#[cfg(not(test))]
#[global_allocator]
static PAGES: Pages = Pages;

fn whole_pages(layout: Layout) -> Option<usize> {
    let bytes = layout.size().checked_next_multiple_of(PAGE)?;
    (layout.align() <= PAGE).then_some(bytes.max(PAGE))
}

// SAFETY: each block is a mapping of its own, at least as large as asked, page-aligned and zeroed, and given
// back as a whole. Nothing here unwinds.
unsafe impl GlobalAlloc for Pages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mapped = whole_pages(layout).and_then(|bytes| kernel::map(None, bytes));
        mapped.unwrap_or(core::ptr::null_mut())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`; new mappings are zeroed.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(bytes) = whole_pages(layout) {
            // SAFETY: mapped by `alloc` with the same layout; the caller gives it up.
            unsafe { kernel::unmap(block, bytes) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_zeroed_apart_and_given_back() {
        for size in [1, 4096, 4097, 1 << 20] {
            let layout = Layout::from_size_align(size, 64).unwrap();
            // SAFETY: used within its size, and given back once.
            unsafe {
                let (one, other) = (Pages.alloc(layout), Pages.alloc_zeroed(layout));
                assert!(!one.is_null() && !other.is_null() && one != other);
                one.write_bytes(7, size);
                assert_eq!(*other.add(size - 1), 0);
                Pages.dealloc(one, layout);
                Pages.dealloc(other, layout);
            }
        }
    }

    #[test]
    fn what_no_page_can_align_is_refused() {
        let layout = Layout::from_size_align(8, 1 << 20).unwrap();
        // SAFETY: nothing is used.
        assert!(unsafe { Pages.alloc(layout) }.is_null());
    }
}
