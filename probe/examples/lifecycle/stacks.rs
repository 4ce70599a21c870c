//! Stacks of all kinds, to be recorded with their callers.

use std::hint::black_box;

/// Leaks and reclaims, called from functions that stay functions: on the first thread, on another one,
/// and on a stack that is not the thread's own.
pub(crate) fn run() {
    extern "C" fn handler(_: i32) {
        outer(3);
    }
    outer(1);
    std::thread::spawn(|| outer(2))
        .join()
        .expect("a plain thread");
    let mut stack = vec![0u8; 256 * 1024];
    // SAFETY: the stack outlives its use; the handler only records.
    unsafe {
        let alternate = libc::stack_t {
            ss_sp: stack.as_mut_ptr().cast(),
            ss_flags: 0,
            ss_size: stack.len(),
        };
        assert_eq!(libc::sigaltstack(&alternate, std::ptr::null_mut()), 0);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(i32) as libc::sighandler_t;
        action.sa_flags = libc::SA_ONSTACK;
        assert_eq!(
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()),
            0
        );
        assert_eq!(libc::raise(libc::SIGUSR1), 0);
        let mut none = alternate;
        none.ss_flags = libc::SS_DISABLE;
        assert_eq!(libc::sigaltstack(&none, std::ptr::null_mut()), 0);
    }
    deep(2000);
    outer(4);
}

#[inline(never)]
pub(crate) fn outer(number: u64) {
    inner(number);
    black_box(());
}

#[inline(never)]
fn inner(number: u64) {
    let raw = probe::into_raw(Box::new(number));
    // SAFETY: leaked just now, taken back once.
    drop(unsafe { probe::from_raw::<Box<u64>>(raw) });
}

/// The deepest call records: most of its callers are beyond the longest stack.
#[inline(never)]
fn deep(left: u64) -> u64 {
    let room = black_box([left; 64]);
    match left {
        0 => outer(5),
        _ => drop(black_box(deep(left - 1))),
    }
    room[0]
}
