//! Large pages for what is large. What is alive of a program with 100,000 pointers takes some 20 MiB, which are looked up
//! in no order: in pages of 4 KiB much of the time goes by finding the page. The kernel gives larger ones where it is
//! asked to (`madvise` in `/sys/kernel/mm/transparent_hugepage/enabled`, which is the usual), for memory that begins at a
//! multiple of their size. The system's allocator does not put it there, so blocks that are large are mapped here.
//!
//! Holds `unsafe`: an allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;

/// Bytes of a large page; blocks from there on are mapped. Where large pages have another size, nothing is gained.
const LARGE: usize = 2 << 20;
/// What is mapped is a multiple of this: no kernel has larger ordinary pages, and none smaller ones than `PAGE_MIN`.
const PAGE_MAX: usize = 64 << 10;
const PAGE_MIN: usize = 4 << 10;
/// Blocks from there on move with their pages when they grow, wherever these come to lie: a copy would take as much again.
const HUGE: usize = 64 << 20;

#[global_allocator]
static ALLOCATOR: LargePages = LargePages;

/// The system's allocator, but for what is large.
struct LargePages;

// SAFETY: A block is the system's own or a mapping of its own, by its layout, which the caller names each time.
unsafe impl GlobalAlloc for LargePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout);
        }
        // SAFETY: As the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout);
        }
        // SAFETY: As the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: The caller promised that the size can be had with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let (was_large, is_large) = (is_large(layout), is_large(wanted));
        if !was_large && !is_large {
            // SAFETY: As the caller promised; the block is the system's.
            return unsafe { System.realloc(block, layout, size) };
        }
        if was_large && is_large && mapped(layout) == mapped(wanted) {
            return block;
        }
        if was_large && layout.size() >= HUGE && is_large && layout.align() <= PAGE_MIN {
            let moved = remap(block, mapped(layout), mapped(wanted));
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: As the caller promised; what is copied lies within both.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                block.copy_to_nonoverlapping(new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(layout) {
            return unmap(block, mapped(layout));
        }
        // SAFETY: As the caller promised; the block is the system's.
        unsafe { System.dealloc(block, layout) };
    }
}

fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= LARGE
}

/// Bytes that are mapped for a block.
fn mapped(layout: Layout) -> usize {
    layout.size().next_multiple_of(PAGE_MAX)
}

/// Memory of its own, all zeros, that begins where a large page can, or anywhere where there is no room for that; null where
/// there is none.
#[cold]
fn map(layout: Layout) -> *mut u8 {
    let size = mapped(layout);
    let room = size.checked_add(LARGE).map_or(null_mut(), map_pages);
    if room.is_null() {
        let anywhere = layout.align() <= PAGE_MIN;
        return if anywhere { map_pages(size) } else { room };
    }
    let before = room.addr().wrapping_neg() % LARGE;
    let block = room.wrapping_add(before);
    unmap(room, before);
    unmap(block.wrapping_add(size), LARGE - before);
    ask_for_large(block, size);
    block
}

fn map_pages(size: usize) -> *mut u8 {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: Asks for memory that nobody has.
    let pages = unsafe { libc::mmap(null_mut(), size, access, kind, -1, 0) };
    if pages == libc::MAP_FAILED {
        return null_mut();
    }
    pages.cast()
}

/// The rest, for which a large page would be too much, stays as it is; but not of a block that may be moved, since the kernel
/// moves only what is of one kind.
fn ask_for_large(block: *mut u8, size: usize) {
    let asked = if size >= HUGE {
        size
    } else {
        size / LARGE * LARGE
    };
    // SAFETY: The pages are the block's. Where this fails, they stay small.
    unsafe { libc::madvise(block.cast(), asked, libc::MADV_HUGEPAGE) };
}

/// The block in a mapping of another size: its pages are moved, not copied. Null, and the block as it was, where the kernel
/// does not.
#[cold]
fn remap(block: *mut u8, size: usize, wanted: usize) -> *mut u8 {
    // SAFETY: The block is a mapping of ours, and goes where nothing is.
    let moved = unsafe { libc::mremap(block.cast(), size, wanted, libc::MREMAP_MAYMOVE) };
    if moved == libc::MAP_FAILED {
        return null_mut();
    }
    ask_for_large(moved.cast(), wanted);
    moved.cast()
}

/// Gives pages back.
fn unmap(pages: *mut u8, size: usize) {
    if size > 0 {
        // SAFETY: They are whole pages of a mapping that is ours, and nobody uses them any more.
        unsafe { libc::munmap(pages.cast(), size) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::LARGE;

    /// Words of a large page.
    const WORDS: usize = LARGE / size_of::<u64>();

    #[test]
    fn a_large_block_begins_where_a_large_page_does_and_is_zero() {
        let block = vec![0_u64; WORDS + 1];
        assert_eq!(block.as_ptr().addr() % LARGE, 0);
        assert!(block.iter().all(|word| *word == 0));
    }

    #[test]
    fn a_block_that_grows_and_shrinks_keeps_what_it_holds() {
        let mut block: Vec<usize> = Vec::new();
        // Large, within its pages, beyond them, less again; small, and large anew; small twice; moved with its pages.
        let huge = super::HUGE / size_of::<usize>();
        let lengths = [
            WORDS,
            WORDS + 9,
            9 * WORDS,
            3 * WORDS,
            100,
            5 * WORDS,
            10,
            12,
        ];
        // What is moved ends in the middle of a large page, and does not.
        let odd = huge + 9 * 1024;
        let moved = [odd, huge + odd, 2 * huge, 3 * huge + 9, odd, huge, WORDS];
        for length in lengths.into_iter().chain(moved) {
            block.truncate(length);
            block.shrink_to_fit();
            block.reserve_exact(length - block.len());
            block.extend(block.len()..length);
            assert!(block.iter().copied().eq(0..length), "{length} words");
        }
    }

    #[test]
    fn large_pages_are_asked_for() {
        if !fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap_or(false) {
            return eprintln!("SKIPPED: this kernel has no large pages to ask for");
        }
        let block = vec![1_u64; 4 * WORDS];
        assert!(flags_at(block.as_ptr().addr()).contains(" hg"));
    }

    /// What the kernel notes of the mapping that holds the address.
    fn flags_at(address: usize) -> String {
        let maps = fs::read_to_string("/proc/self/smaps").expect("Linux has it");
        let mut holds_it = false;
        for line in maps.lines() {
            let bounds = line.split(' ').next().and_then(|word| word.split_once('-'));
            let number = |text| usize::from_str_radix(text, 16).ok();
            if let Some((from, to)) = bounds.and_then(|(from, to)| number(from).zip(number(to))) {
                holds_it = (from..to).contains(&address);
            } else if holds_it && line.starts_with("VmFlags:") {
                return line.to_owned();
            }
        }
        panic!("no mapping holds {address:#x}:\n{maps}");
    }
}
