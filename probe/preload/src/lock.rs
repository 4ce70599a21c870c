//! A lock that is held for a few instructions, and that a signal handler does not wait for where it interrupted
//! its holder.

use core::sync::atomic::{AtomicU64, Ordering};

use probe::preload;

use crate::{kernel, next};

/// 0 while free, else the thread that holds it. All zeros is a free lock: a forked child finds them free.
#[derive(Debug, Default)]
pub(crate) struct Lock(AtomicU64);

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Lock);

impl Lock {
    /// A free one.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "of the trap"))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Takes the lock if it is free soon: who holds another one must not wait for good, as its holder may wait for that.
    pub(crate) fn try_take(&self) -> Option<Held<'_>> {
        /// Looks are short, but their threads may wait for a processor.
        const TRIES: u32 = 1000;
        self.take_within(TRIES)
    }

    /// Takes the lock. Nothing where this very thread holds it: then this is a signal handler.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Held<'_>> {
        self.take_within(u32::MAX)
    }

    /// [`Lock::take`], but for so many tries; the most there are have no end.
    #[inline(always)]
    fn take_within(&self, most: u32) -> Option<Held<'_>> {
        let me = kernel::thread();
        let mut tries = 0u32;
        loop {
            // Acquire pairs with the Release of `drop`.
            match preload::exchange(next::is_alone(), &self.0, 0, me) {
                Ok(_) => return Some(Held(self)),
                Err(holder) if holder == me => return None,
                Err(_) => tries = tries.saturating_add(1),
            }
            if tries >= most && most != u32::MAX {
                return None;
            }
            if tries > 64 {
                kernel::give_way();
            } else {
                core::hint::spin_loop();
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_holder_does_not_get_it_twice() {
        let lock = Lock::default();
        let held = lock.take().unwrap();
        assert!(lock.take().is_none());
        assert!(lock.try_take().is_none());
        drop(held);
        assert!(lock.try_take().is_some());
        assert!(lock.take().is_some());
    }

    #[test]
    fn who_holds_another_one_does_not_wait_for_good() {
        let lock = Lock::default();
        std::thread::scope(|scope| {
            let held = lock.take().unwrap();
            let tried = scope.spawn(|| lock.try_take().is_some()).join();
            assert!(!tried.unwrap());
            drop(held);
        });
    }

    #[test]
    fn threads_take_turns() {
        struct Shared(Lock, core::cell::UnsafeCell<u64>);
        // SAFETY: the cell is touched under the lock alone.
        unsafe impl Sync for Shared {}
        static SHARED: Shared = Shared(Lock(AtomicU64::new(0)), core::cell::UnsafeCell::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let shared = &SHARED;
                    for _ in 0..20_000 {
                        let _held = shared.0.take().unwrap();
                        // SAFETY: under the lock.
                        unsafe { *shared.1.get() += 1 };
                    }
                });
            }
        });
        let _held = SHARED.0.take().unwrap();
        // SAFETY: under the lock.
        assert_eq!(unsafe { *SHARED.1.get() }, 80_000);
    }
}
