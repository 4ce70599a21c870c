//! Bugs that the tools of the trade find: memory used after its end, leaked, raced for.

use std::hint::black_box;

/// Reads a box that is freed.
pub fn used_after_free() -> u64 {
    let raw = Box::into_raw(Box::new(7u64));
    unsafe {
        drop(Box::from_raw(raw));
        black_box(*black_box(raw))
    }
}

/// Forgets a box.
pub fn leaked() {
    let raw = Box::into_raw(Box::new([7u64; 8]));
    black_box(raw as usize ^ usize::MAX);
}

/// Two threads add to a number without telling each other.
pub fn raced() -> u64 {
    struct Shared(std::cell::UnsafeCell<u64>);
    unsafe impl Sync for Shared {}
    let shared = Shared(std::cell::UnsafeCell::new(0));
    // Both are there before either begins: one that has ended before the other begins is seen by no tool.
    let both = std::sync::Barrier::new(2);
    let add = || {
        let shared = &shared;
        both.wait();
        for _ in 0..1000 {
            unsafe { *shared.0.get() += 1 };
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(add);
        scope.spawn(add);
    });
    shared.0.into_inner()
}

/// Decides by a byte that nobody wrote.
pub fn uninitialised() -> bool {
    let byte: Box<std::mem::MaybeUninit<[u8; 64]>> = Box::new_uninit();
    let byte = black_box(byte);
    if unsafe { std::ptr::read_volatile(byte.as_ptr().cast::<u8>()) } > 7 {
        black_box(true)
    } else {
        black_box(false)
    }
}
