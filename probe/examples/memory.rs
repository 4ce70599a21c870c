//! Programs whose memory, buffers, cells and descriptors are recorded, one per argument. Each prints what
//! must be recorded, by the names of the records (of a borrow and of a descriptor with the line where it
//! was made), and as `quiet` addresses of which nothing must be.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::os::fd::AsRawFd;

use probe::buffer::TracedBuffer;
use probe::cell::TracedCell;
use probe::fd::Descriptor;
use probe::ring::{Entry, Kind, Ring};

#[global_allocator]
static ALLOCATOR: probe::Alloc = probe::Alloc::system();

/// On pages of their own, far from everything else: a page of the filter stands for many.
const LARGE: Layout = match Layout::from_size_align(64 * 4096, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("a layout"),
};

fn block(layout: Layout) -> *mut u8 {
    // SAFETY: no layout of this program has size zero.
    let block = unsafe { alloc(layout) };
    assert!(!block.is_null());
    block
}

/// A read into `buffer`, as it stands in a submission queue.
fn read_into(buffer: *mut u8) -> Entry {
    [22 | 5 << 32, 0, buffer as u64, 1, 0xC00C, 0, 0, 0]
}

fn main() {
    match std::env::args().nth(1).unwrap_or_default().as_str() {
        "box" => {
            let raw = probe::into_raw(Box::new([7u8; 100]));
            println!("free {:#x} 100", raw as u64);
            // SAFETY: leaked once, taken back once.
            drop(unsafe { probe::from_raw::<Box<[u8; 100]>>(raw) });
        }
        "rc" => {
            let owner = std::rc::Rc::new([7u64; 4]);
            let raw = probe::into_raw(owner.clone());
            // Two counts stand before the value.
            println!("free {:#x} 48", raw as u64 - 16);
            // SAFETY: leaked once, taken back once.
            drop(unsafe { probe::from_raw::<std::rc::Rc<[u64; 4]>>(raw) });
            drop(owner);
        }
        "buffer" => {
            let ring = Ring::created(Kind::Copied, 3, 8, 16, 0, 0);
            let layout = Layout::array::<u8>(200).expect("a layout");
            let (buffer, other) = (block(LARGE), block(layout));
            ring.pushed(&read_into(buffer.wrapping_add(100)));
            println!("free {:#x} {}", buffer as u64, LARGE.size());
            println!("quiet {:#x}", other as u64);
            // SAFETY: both were allocated above.
            unsafe {
                dealloc(other, layout);
                dealloc(buffer, LARGE);
            }
        }
        "second-address" => {
            let ring = Ring::created(Kind::Copied, 3, 8, 16, 0, 0);
            // ACCEPT, STATX, OPENAT2: their second word is an address; of READ it is an offset.
            // All of them first, so that no block has the address of another one.
            let buffers = [13, 21, 28, 22].map(|opcode| (opcode, block(LARGE)));
            for (opcode, buffer) in buffers {
                let mut entry = read_into(std::ptr::null_mut());
                (entry[0], entry[1]) = (opcode, buffer as u64 + 8);
                ring.pushed(&entry);
            }
            for (opcode, buffer) in buffers {
                match opcode {
                    22 => println!("quiet {:#x}", buffer as u64),
                    _ => println!("free {:#x} {}", buffer as u64, LARGE.size()),
                }
                // SAFETY: allocated above.
                unsafe { dealloc(buffer, LARGE) };
            }
        }
        "realloc" => {
            let ring = Ring::created(Kind::Copied, 3, 8, 16, 0, 0);
            let buffer = block(LARGE);
            ring.pushed(&read_into(buffer));
            // SAFETY: allocated above, with this layout.
            let new = unsafe { realloc(buffer, LARGE, 2 * LARGE.size()) };
            println!(
                "realloc {:#x} {:#x} {}",
                buffer as u64,
                new as u64,
                2 * LARGE.size()
            );
        }
        "fork" => {
            let raw = probe::into_raw(Box::new([7u8; 100]));
            println!("free {:#x} 100", raw as u64);
            // SAFETY: the child goes on with plain records.
            let child = unsafe { libc::fork() };
            // SAFETY: leaked once in each process, taken back once.
            drop(unsafe { probe::from_raw::<Box<[u8; 100]>>(raw) });
            if child == 0 {
                // SAFETY: ends the child without the parent's buffered output.
                unsafe { libc::_exit(0) };
            }
            // SAFETY: the child is ours.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
        "mapping" => {
            let start = std::ptr::without_provenance::<u8>(0x7000_0000);
            probe::memory::unmapping(start, 4096);
            println!("unmap 0x70000000 4096");
            let moved = start.wrapping_add(0x10_0000);
            probe::memory::remapped(start, 8192, moved, 16384);
            println!("unmap 0x70000000 8192");
            probe::memory::remapped(start, 8192, start, 4096);
            println!("unmap 0x70001000 4096");
            probe::memory::remapped(start, 4096, start, 8192);
        }
        "cell" => {
            let cell = TracedCell::new(7);
            let outer = cell.shared();
            println!("borrow-begin {} 1", line!() - 1);
            cell.with_mut(|value| {
                println!("borrow-begin {} 2", line!() - 1);
                // SAFETY: no reference exists, and nobody else writes: only the guards overlap.
                unsafe { *value = 8 };
            });
            println!("borrow-end {} 2", line!() - 5);
            drop(outer);
            println!("borrow-end {} 1", line!() - 9);
        }
        "buffer-init" => {
            let mut buffer = TracedBuffer::with_capacity(10);
            let start = buffer.as_ptr() as u64;
            assert_eq!(buffer.extend(b"four"), 4);
            buffer.spare().fill(std::mem::MaybeUninit::new(1));
            // SAFETY: filled above.
            unsafe { buffer.add_filled(3) };
            assert_eq!(buffer.filled(), b"four\x01\x01\x01");
            assert_eq!(buffer.extend(b"too much"), 3);
            buffer.clear();
            drop(buffer);
            for filled in [0, 4, 7, 10, 0] {
                println!("buffer-init {start:#x} 10 {filled}");
            }
            println!("buffer-init {start:#x} 0 0");
        }
        "descriptor" => {
            let file = || std::fs::File::open("/dev/null").expect("a file").into();
            let dropped = Descriptor::new(file());
            println!("fd-open {} {}", dropped.as_raw_fd(), line!() - 1);
            println!("fd-close {} {}", dropped.as_raw_fd(), line!() - 2);
            drop(dropped);
            let closed = Descriptor::new(file());
            println!("fd-open {} {}", closed.as_raw_fd(), line!() - 1);
            println!("fd-close {} {}", closed.as_raw_fd(), line!() + 1);
            closed.close();
            let given = Descriptor::new(file());
            println!("fd-open {} {}", given.as_raw_fd(), line!() - 1);
            drop(given.into_owned());
        }
        "kept-open" => {
            let file = || std::fs::File::open("/dev/null").expect("a file").into();
            let kept = [0; 3].map(|_| Descriptor::new(file()));
            println!("kept {}", line!() - 1);
            let again = Descriptor::new(file());
            again.close();
            // The number that was just given back.
            let again = Descriptor::new(file());
            println!("again {}", line!() - 1);
            std::mem::forget((kept, again));
        }
        "frame" => {
            let ring = Ring::created(Kind::Copied, 3, 8, 16, 0, 0);
            read_into_own_frame(&ring);
            ring.entered(0, 1, 0);
            ring.entered(0, 1, 0);
        }
        turn => panic!("no turn {turn:?}"),
    }
}

#[inline(never)]
fn read_into_own_frame(ring: &Ring) {
    // Far below the frames of whatever is called later.
    let mut buffer = [0u8; 32 * 1024];
    ring.pushed(&read_into(buffer.as_mut_ptr()));
    ring.entered(1, 0, 1);
    println!("buffer {:#x}", buffer.as_ptr() as u64);
}
