//! Programs with the turns of a process's life that a recorder must survive, one per argument.
//!
//! Each leaks and reclaims numbered addresses, so that a test can say which records must be in which
//! file. They are started by `tests/lifecycle.rs`, and can be recorded by hand.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::Write;

/// Notes that address `number` was looked at. No memory is touched: the number is the payload.
fn note(number: u64) {
    probe::peek::<Box<u8>>(number as *mut u8);
}

fn main() {
    let turn = std::env::args().nth(1).unwrap_or_default();
    match turn.as_str() {
        "clean" => (1..=3).for_each(note),
        "fork" => fork(|| {
            // SAFETY: `fork` itself has no demand; the child goes on with plain records.
            unsafe { libc::fork() }
        }),
        "clone" => fork(|| {
            // SAFETY: with only a signal number, `clone` is `fork` without the C library's help.
            unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32 }
        }),
        "vfork" => {
            note(1);
            let status = std::process::Command::new("true").status();
            assert!(status.is_ok_and(|status| status.success()));
            note(2);
        }
        "exec" => {
            note(1);
            use std::os::unix::process::CommandExt;
            let this = std::env::current_exe().expect("own path");
            let error = std::process::Command::new(this).arg("clean").exec();
            panic!("exec: {error}");
        }
        "threads" => {
            for round in 0..200 {
                let threads: Vec<_> = (0..4)
                    .map(|thread| std::thread::spawn(move || note(1 + round * 4 + thread)))
                    .collect();
                threads
                    .into_iter()
                    .for_each(|thread| thread.join().expect("a plain thread"));
            }
        }
        "handed" => handed(),
        "crowd" => crowd(),
        "stacks" => stacks(),
        "destructor" => {
            thread_local! { static LATE: Late = const { Late(RefCell::new(0)) }; }
            std::thread::spawn(|| {
                LATE.with(|late| *late.0.borrow_mut() = 2);
                note(1);
            })
            .join()
            .expect("a plain thread");
        }
        "atexit" => {
            extern "C" fn last() {
                note(2);
            }
            note(1);
            // SAFETY: the handler is a function of this program.
            unsafe { libc::atexit(last) };
        }
        "panic" => {
            struct Noisy;
            impl Drop for Noisy {
                fn drop(&mut self) {
                    note(2);
                }
            }
            let _noisy = Noisy;
            note(1);
            panic!("on purpose");
        }
        "abort" => {
            note(1);
            std::process::abort();
        }
        "signals" => signals(),
        "errno" => {
            // SAFETY: the thread's own location.
            let place = unsafe { &mut *libc::__errno_location() };
            *place = 77;
            note(1);
            for number in 0..10_000 {
                note(number + 2);
            }
            assert_eq!(*place, 77, "a hook changed errno");
        }
        "handler-forks" => handler_forks(),
        "wrap" => (1..=1_000_000).for_each(note),
        other => {
            eprintln!("lifecycle: no turn called {other:?}");
            std::process::exit(2);
        }
    }
}

/// Boxes that go to another thread as raw pointers, and come back as others.
fn handed() {
    let (there, taken) = std::sync::mpsc::channel::<usize>();
    let (back, returned) = std::sync::mpsc::channel::<usize>();
    let other = std::thread::spawn(move || {
        for address in taken {
            // SAFETY: leaked by the sender, and sent once.
            let value: Box<u64> = unsafe { probe::from_raw(address as *mut u64) };
            let next = probe::into_raw(Box::new(*value + 1));
            back.send(next as usize).expect("the first thread waits");
        }
    });
    for round in 0..3000 {
        // Now and then several are on their way.
        let count = 1 + round % 7;
        for number in 0..count {
            let raw = probe::into_raw(Box::new(number));
            there.send(raw as usize).expect("the other thread waits");
        }
        for _ in 0..count {
            let address = returned.recv().expect("one comes back for each");
            // SAFETY: leaked by the sender, and sent once.
            drop(unsafe { probe::from_raw::<Box<u64>>(address as *mut u64) });
        }
    }
    drop(there);
    other.join().expect("a plain thread");
}

/// Leaks and reclaims, called from functions that stay functions: on the first thread, on another one,
/// and on a stack that is not the thread's own.
fn stacks() {
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
fn outer(number: u64) {
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

struct Late(RefCell<u64>);

impl Drop for Late {
    fn drop(&mut self) {
        note(*self.0.borrow());
    }
}

fn fork(fork: impl Fn() -> i32) {
    note(1);
    match fork() {
        0 => {
            // Before its own first record the child must not have the parent's file.
            let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
            assert!(
                !maps.contains(".trc"),
                "the parent's file is mapped in the child"
            );
            note(1001);
            note(1002);
            std::process::exit(0);
        }
        child => {
            assert!(child > 0, "fork: {}", std::io::Error::last_os_error());
            note(2);
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
            note(3);
        }
    }
}

/// More threads at once than there are lanes: the rest is lost, and counted.
fn crowd() {
    let wanted = wire_lanes() + 50;
    let all = std::sync::Barrier::new(wanted);
    std::thread::scope(|scope| {
        for number in 0..wanted as u64 {
            let all = &all;
            std::thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn_scoped(scope, move || {
                    note(number + 1);
                    all.wait();
                })
                .expect("a thread");
        }
    });
}

fn wire_lanes() -> usize {
    wire::layout::LANES
}

/// A timer signal whose handler forks, into whatever the thread is doing; the child goes on there.
fn handler_forks() {
    static CHILDREN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    static IS_CHILD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    use std::sync::atomic::Ordering::Relaxed;
    extern "C" fn handler(_: i32) {
        if IS_CHILD.load(Relaxed) || CHILDREN.load(Relaxed) >= 200 {
            return;
        }
        // SAFETY: `fork` may be called in a handler; the child goes on with plain records.
        match unsafe { libc::fork() } {
            0 => IS_CHILD.store(true, Relaxed),
            child if child > 0 => {
                CHILDREN.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }
    note(1);
    // SAFETY: the handler does what a handler may do; the timer is the process's own, and a child does
    // not inherit it.
    unsafe {
        libc::signal(
            libc::SIGALRM,
            handler as extern "C" fn(i32) as libc::sighandler_t,
        );
        let interval = libc::timeval {
            tv_sec: 0,
            tv_usec: 300,
        };
        let timer = libc::itimerval {
            it_interval: interval,
            it_value: interval,
        };
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()),
            0
        );
    }
    let mut number = 1;
    while CHILDREN.load(Relaxed) < 200 && !IS_CHILD.load(Relaxed) {
        number += 1;
        note(black_box(number));
    }
    // A child comes out of the record that it was forked in, and ends.
    if IS_CHILD.load(Relaxed) {
        // SAFETY: ends this child at once.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: as above; then waits for the children just made.
    unsafe {
        let zero = std::mem::zeroed();
        libc::setitimer(libc::ITIMER_REAL, &zero, std::ptr::null_mut());
        let mut status = 0;
        while libc::wait(&mut status) > 0 {
            assert_eq!(
                status, 0,
                "a child that was forked in the middle of a record died"
            );
        }
    }
}

/// A timer signal whose handler records, into whatever the thread is doing.
fn signals() {
    extern "C" fn handler(_: i32) {
        note(1_000_000_000);
    }
    // Opens the recording: a handler that comes while its own thread does so loses its record.
    note(1);
    // SAFETY: the handler only records, which is safe in a handler; the timer is the process's own.
    unsafe {
        libc::signal(
            libc::SIGALRM,
            handler as extern "C" fn(i32) as libc::sighandler_t,
        );
        let interval = libc::timeval {
            tv_sec: 0,
            tv_usec: 50,
        };
        let timer = libc::itimerval {
            it_interval: interval,
            it_value: interval,
        };
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()),
            0
        );
    }
    for number in 2..=400_000 {
        note(black_box(number));
    }
    // SAFETY: as above.
    unsafe {
        let zero = std::mem::zeroed();
        libc::setitimer(libc::ITIMER_REAL, &zero, std::ptr::null_mut());
    }
    std::io::stdout().flush().expect("stdout");
}
