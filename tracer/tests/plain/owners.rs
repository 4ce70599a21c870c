//! Owners that travel through a ring as pointers, in a program of the standard library alone: what a debug build looks
//! like that never heard of the probe. The test beside it compiles this, and each mode says what it did.

use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use std::ffi::{c_int, c_long, c_void};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn mmap(at: *mut c_void, len: usize, prot: c_int, flags: c_int, fd: c_int, off: i64) -> *mut c_void;
}

const SETUP: c_long = 425;
const ENTER: c_long = 426;

/// The smallest ring there is: it submits NOPs, one or several at a time, and takes their completions.
struct Ring {
    fd: c_int,
    sq: *mut u8,
    cq: *mut u8,
    sqes: *mut [u64; 8],
    params: [u32; 30],
}

impl Ring {
    fn new() -> Self {
        let mut params = [0u32; 30];
        // SAFETY: a structure of the kernel's, and mappings of what it made.
        unsafe {
            let fd = syscall(SETUP, 8 as c_long, params.as_mut_ptr()) as c_int;
            assert!(fd >= 0, "a ring");
            let map = |len, off| {
                let at = mmap(std::ptr::null_mut(), len, 3, 0x8001, fd, off);
                assert_ne!(at as isize, -1);
                at
            };
            let sq = map(4096, 0).cast();
            let cq = map(4096, 0x800_0000).cast();
            let sqes = map(4096, 0x1000_0000).cast();
            Self { fd, sq, cq, sqes, params }
        }
    }

    fn word(base: *mut u8, at: u32) -> &'static AtomicU32 {
        // SAFETY: a word of the queues, which stay mapped.
        unsafe { &*base.add(at as usize).cast() }
    }

    fn push(&self, cookie: u64) {
        let tail = Self::word(self.sq, self.params[11]);
        let slot = tail.load(Ordering::Relaxed) & 7;
        // SAFETY: a slot of the queue that the kernel has taken.
        unsafe { *self.sqes.add(slot as usize) = [0, 0, 0, 0, cookie, 0, 0, 0] };
        Self::word(self.sq, self.params[16] + slot * 4).store(slot, Ordering::Relaxed);
        tail.fetch_add(1, Ordering::Release);
    }

    /// Submits so many, waits for them, and takes them.
    fn run(&self, count: u32) -> Vec<u64> {
        // SAFETY: no memory is handed over.
        let done = unsafe { syscall(ENTER, c_long::from(self.fd), c_long::from(count), c_long::from(count), 1 as c_long, 0 as c_long, 0 as c_long) };
        assert_eq!(done, c_long::from(count));
        let (head, tail) = (Self::word(self.cq, self.params[20]), Self::word(self.cq, self.params[21]));
        let mut cookies = Vec::new();
        while head.load(Ordering::Relaxed) != tail.load(Ordering::Acquire) {
            let at = self.params[25] + (head.load(Ordering::Relaxed) & 15) * 16;
            // SAFETY: a completion that the kernel has stored.
            cookies.push(unsafe { *self.cq.add(at as usize).cast::<u64>() });
            head.fetch_add(1, Ordering::Release);
        }
        cookies
    }
}

#[derive(Default)]
struct Conn {
    rounds: u64,
}

struct Timer(#[expect(dead_code)] [u64; 9]);

/// Everything that a correct program does with owners.
fn correct(ring: &Ring) {
    for round in 0..20u64 {
        let conn = Rc::new(Conn { rounds: round });
        // A cookie for each of two operations, one of them counted up by hand.
        let raw = Rc::into_raw(conn.clone());
        // SAFETY: one handle more, which its completion takes.
        unsafe { Rc::increment_strong_count(raw) };
        let boxed = Box::into_raw(Box::new(Timer([round; 9])));
        ring.push(raw as u64);
        ring.push(raw as u64);
        ring.push(boxed as u64);
        for cookie in ring.run(3) {
            // SAFETY: each was given away once, and comes back once.
            unsafe {
                if cookie == boxed as u64 {
                    drop(Box::from_raw(boxed));
                    continue;
                }
                // A look, and another one that gives it back as it took it.
                let look = ManuallyDrop::new(Rc::from_raw(cookie as *const Conn));
                assert_eq!(look.rounds, round);
                let again = Rc::from_raw(cookie as *const Conn);
                std::mem::forget(again);
                if cookie == raw as u64 && Rc::strong_count(&look) > 2 {
                    Rc::decrement_strong_count(raw);
                } else {
                    drop(Rc::from_raw(raw));
                }
            }
        }
        assert_eq!(Rc::strong_count(&conn), 1);
        // It travels without being given away for good, and is kept by a clone that is forgotten.
        let shared = Arc::new(Conn::default());
        std::mem::forget(shared.clone());
        ring.push(Arc::as_ptr(&shared) as u64);
        let cookie = ring.run(1)[0];
        // SAFETY: the forgotten handle.
        drop(unsafe { Arc::from_raw(cookie as *const Conn) });
        let kept: &'static mut Conn = Box::leak(Box::default());
        kept.rounds += 1;
    }
}

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let ring = Ring::new();
    match &*mode {
        "correct" => correct(&ring),
        "leaked" => {
            let raw = Box::into_raw(Box::new(Timer([1; 9])));
            ring.push(raw as u64);
            // Its completion is taken, and nobody takes the box.
            ring.run(1);
            correct(&ring);
        }
        "twice" => {
            let raw = Rc::into_raw(Rc::new(Conn::default()));
            ring.push(raw as u64);
            let cookie = ring.run(1)[0];
            // SAFETY: the mistake of this mode: the first one frees it. The second is never dropped.
            unsafe {
                drop(Rc::from_raw(cookie as *const Conn));
                let _again = ManuallyDrop::new(Rc::from_raw(cookie as *const Conn));
            }
        }
        "stale" => {
            let raw = Box::into_raw(Box::new(Timer([1; 9])));
            ring.push(raw as u64);
            ring.run(1);
            // SAFETY: it came back.
            drop(unsafe { Box::from_raw(raw) });
            // The mistake: it goes in once more.
            ring.push(raw as u64);
            ring.run(1);
        }
        "waits" => {
            println!("waiting");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).expect("an input");
        }
        other => panic!("no mode {other:?}"),
    }
    println!("{mode}");
}
