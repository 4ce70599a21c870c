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

#[global_allocator]
static ALLOCATOR: LargePages = LargePages;

/// The system's allocator, but for what is large.
struct LargePages;

// SAFETY: A block is the system's own or a mapping of its own, by its layout, which the caller names each time.
unsafe impl GlobalAlloc for LargePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: As the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: As the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: The caller promised that the size can be had with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: As the caller promised; the block is the system's.
            (false, false) => unsafe { System.realloc(block, layout, size) },
            (true, true) => remap(block, layout.size(), size),
            // SAFETY: As the caller promised; what is copied lies within both.
            _ => unsafe {
                let new = self.alloc(wanted);
                if !new.is_null() {
                    block.copy_to_nonoverlapping(new, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                new
            },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(layout) {
            return unmap(block, pages(layout.size()));
        }
        // SAFETY: As the caller promised; the block is the system's.
        unsafe { System.dealloc(block, layout) };
    }
}

fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= LARGE
}

/// Bytes of the large pages that so many take.
fn pages(size: usize) -> usize {
    size.next_multiple_of(LARGE)
}

/// Memory of its own, all zeros, that begins where a large page can; null where there is none.
#[cold]
fn map(size: usize) -> *mut u8 {
    let size = pages(size);
    let Some(with_room) = size.checked_add(LARGE) else {
        return null_mut();
    };
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: Asks for memory that nobody has.
    let room = unsafe { libc::mmap(null_mut(), with_room, access, kind, -1, 0) };
    if room == libc::MAP_FAILED {
        return null_mut();
    }
    let room = room.cast::<u8>();
    let before = room.addr().wrapping_neg() % LARGE;
    let block = room.wrapping_add(before);
    unmap(room, before);
    unmap(block.wrapping_add(size), LARGE - before);
    // SAFETY: The pages are the block's. Where this fails, they stay small.
    unsafe { libc::madvise(block.cast(), size, libc::MADV_HUGEPAGE) };
    block
}

/// The block in a mapping of another size: its pages are moved, not copied. Null, and the block as it was, where there is
/// no memory.
#[cold]
fn remap(block: *mut u8, size: usize, wanted: usize) -> *mut u8 {
    if pages(size) == pages(wanted) {
        return block;
    }
    let new = map(wanted);
    if new.is_null() {
        return null_mut();
    }
    let how = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: The block is a mapping of ours, and so is the place that it moves to, where nothing is yet.
    let moved = unsafe {
        let to = new.cast::<libc::c_void>();
        libc::mremap(block.cast(), pages(size), pages(wanted), how, to)
    };
    if moved == libc::MAP_FAILED {
        unmap(new, pages(wanted));
        return null_mut();
    }
    new
}

/// Gives pages of [`map`] back.
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
        // Large, within its pages, beyond them, less again; small, and large anew; small twice.
        for length in [
            WORDS,
            WORDS + 9,
            9 * WORDS,
            3 * WORDS,
            100,
            5 * WORDS,
            10,
            12,
        ] {
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
