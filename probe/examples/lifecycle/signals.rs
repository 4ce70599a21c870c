//! Signal handlers that come in the middle of a record.

use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use crate::note;

/// A timer signal whose handler records, into whatever the thread is doing. It comes `slower` times less often than
/// for a program at its own speed: under a tool there would be no time between two of them.
pub(crate) fn handler_records(slower: u64) {
    extern "C" fn handler(_: i32) {
        note(1_000_000_000);
    }
    // Opens the recording: a handler that comes while its own thread does so loses its record.
    note(1);
    on_timer(
        libc::ITIMER_REAL,
        libc::SIGALRM,
        handler,
        50 * slower as i64,
    );
    for number in 2..=400_000 {
        note(black_box(number));
    }
    stop_timer(libc::ITIMER_REAL);
}

/// What the last record of [`handlers_interrupt_handlers`] adds to the number of those before it.
const MADE: u64 = 1 << 40;

/// Two timers whose handlers record, into records of the thread and of each other. `slower` as above.
pub(crate) fn handlers_interrupt_handlers(slower: u64) {
    static HANDLED: AtomicU64 = AtomicU64::new(0);
    extern "C" fn handler(signal: i32) {
        // So much that the other one comes into the middle of it.
        for _ in 0..10 {
            note(1_000_000_000 + signal as u64);
            HANDLED.fetch_add(1, Relaxed);
        }
    }
    note(1);
    on_timer(
        libc::ITIMER_REAL,
        libc::SIGALRM,
        handler,
        100 * slower as i64,
    );
    let second = on_second_timer(libc::SIGUSR1, handler, 130 * slower as i64);
    let mut own = 1;
    // Until each came often, however slow the machine is.
    while own < 100_000 || HANDLED.load(Relaxed) < 10_000 {
        own += 1;
        note(black_box(own));
    }
    stop_timer(libc::ITIMER_REAL);
    // SAFETY: made above, and used no more.
    unsafe { libc::timer_delete(second) };
    note(MADE + own + HANDLED.load(Relaxed));
}

/// Threads one after the other, each interrupted from its first record on; every record names its thread.
pub(crate) fn handlers_in_threads() {
    /// For each thread.
    const SIGNALS: u32 = 10;
    static ANSWERED: AtomicU32 = AtomicU32::new(0);
    fn own() -> u64 {
        // SAFETY: asks for a number.
        u64::try_from(unsafe { libc::gettid() }).unwrap_or(0)
    }
    extern "C" fn handler(_: i32) {
        note(HANDLER | own());
        ANSWERED.fetch_add(1, Relaxed);
    }
    note(own());
    // SAFETY: the handler does what a handler may do.
    unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
    for _ in 0..25 {
        ANSWERED.store(0, Relaxed);
        let thread = std::thread::spawn(|| {
            let mut noted = 0;
            while ANSWERED.load(Relaxed) < SIGNALS {
                // Busy when a signal comes, without filling the file while it waits for one.
                if noted < (ANSWERED.load(Relaxed) + 1) * 2000 {
                    note(own());
                    noted += 1;
                } else {
                    std::thread::yield_now();
                }
            }
        });
        use std::os::unix::thread::JoinHandleExt;
        let target = thread.as_pthread_t();
        for sent in 1..=SIGNALS {
            // SAFETY: a thread that was not joined yet.
            unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
            while ANSWERED.load(Relaxed) < sent {
                std::thread::yield_now();
            }
        }
        thread.join().unwrap();
    }
}

/// Marks what a handler of [`handlers_in_threads`] recorded.
const HANDLER: u64 = 1 << 40;

/// Has `handler` run every so many microseconds.
fn on_timer(timer: i32, signal: i32, handler: extern "C" fn(i32), every_us: i64) {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: every_us,
    };
    let value = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: the handlers here do what a handler may do; signals and timers are the process's own.
    unsafe {
        libc::signal(signal, handler as libc::sighandler_t);
        assert_eq!(libc::setitimer(timer, &value, std::ptr::null_mut()), 0);
    }
}

/// The same with a timer of another kind: there is one `ITIMER_REAL`, and the others are coarse.
fn on_second_timer(signal: i32, handler: extern "C" fn(i32), every_us: i64) -> libc::timer_t {
    let interval = libc::timespec {
        tv_sec: 0,
        tv_nsec: every_us * 1000,
    };
    let value = libc::itimerspec {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: as above; structures of zeros with the fields that matter set.
    unsafe {
        libc::signal(signal, handler as libc::sighandler_t);
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = signal;
        let mut timer = std::mem::zeroed();
        assert_eq!(
            libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer),
            0
        );
        assert_eq!(
            libc::timer_settime(timer, 0, &value, std::ptr::null_mut()),
            0
        );
        timer
    }
}

fn stop_timer(timer: i32) {
    // SAFETY: all zeros is a valid value, and means none.
    unsafe {
        let zero = std::mem::zeroed();
        libc::setitimer(timer, &zero, std::ptr::null_mut());
    }
}

/// A timer signal whose handler forks, into whatever the thread is doing; the child goes on there.
pub(crate) fn handler_forks() {
    const FORKS: u32 = 300;
    static CHILDREN: AtomicU32 = AtomicU32::new(0);
    static FAILED: AtomicBool = AtomicBool::new(false);
    static IS_CHILD: AtomicBool = AtomicBool::new(false);
    extern "C" fn handler(_: i32) {
        let goes_on = CHILDREN.load(Relaxed) < FORKS && !FAILED.load(Relaxed);
        if IS_CHILD.load(Relaxed) || !goes_on {
            return;
        }
        // SAFETY: `fork` may be called in a handler; the child goes on with plain records.
        match unsafe { libc::fork() } {
            0 => IS_CHILD.store(true, Relaxed),
            child if child > 0 => {
                CHILDREN.fetch_add(1, Relaxed);
            }
            _ => FAILED.store(true, Relaxed),
        }
    }
    /// Waits for the children that ended, or for all. Nothing of it happens in a child, whose own children are none.
    fn reap(options: i32) {
        let mut status = 0;
        // SAFETY: waits for the children of this process.
        while unsafe { libc::waitpid(-1, &mut status, options) } > 0 {
            assert_eq!(
                status, 0,
                "a child that was forked in the middle of a record died"
            );
        }
    }
    note(1);
    on_timer(libc::ITIMER_REAL, libc::SIGALRM, handler, 300);
    // Long records, so that chunks end often: many forks come into the change from one to the next.
    let coroutine = probe::coroutine::Coroutine::spawned_named("forked", None);
    let cookies = [1; 200];
    let mut number = 1;
    while CHILDREN.load(Relaxed) < FORKS && !FAILED.load(Relaxed) && !IS_CHILD.load(Relaxed) {
        number += 1;
        note(black_box(number));
        coroutine.suspended(black_box(&cookies));
        reap(libc::WNOHANG);
    }
    // A child comes out of the record that it was forked in, and ends.
    if IS_CHILD.load(Relaxed) {
        // SAFETY: ends this child at once.
        unsafe { libc::_exit(0) };
    }
    stop_timer(libc::ITIMER_REAL);
    reap(0);
    assert!(
        !FAILED.load(Relaxed),
        "no more processes may be made here (`ulimit -u`, pids.max)"
    );
}
