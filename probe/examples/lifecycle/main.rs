//! Programs with the turns of a process's life that a recorder must survive, one per argument.
//!
//! Each leaks and reclaims numbered addresses, so that a test can say which records must be in which
//! file. They are started by `tests/lifecycle`, and can be recorded by hand.

mod lasting;
mod processes;
mod signals;
mod stacks;
mod stop;
mod threads;

use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Notes that address `number` was looked at. No memory is touched: the number is the payload.
fn note(number: u64) {
    probe::peek::<Box<u8>>(number as *mut u8);
}

fn argument() -> Option<u64> {
    std::env::args().nth(2)?.parse().ok()
}

/// Writes a file until its disk is full.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    let error = loop {
        if let Err(error) = file.write_all(&[1; 4096]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

fn main() {
    let turn = std::env::args().nth(1).unwrap_or_default();
    match turn.as_str() {
        "clean" => (1..=3).for_each(note),
        "fork" => processes::fork(|| {
            // SAFETY: `fork` itself has no demand; the child goes on with plain records.
            unsafe { libc::fork() }
        }),
        "clone" => processes::fork(|| {
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
            processes::become_another(&["clean"]);
        }
        "chain" => {
            let left = argument().unwrap_or(0);
            note(left);
            if left > 0 {
                processes::become_another(&["chain", &(left - 1).to_string()]);
            }
        }
        "grandchildren" => processes::generations(3),
        "killed-child" => processes::killed_child(),
        "daemon" => processes::daemon(&PathBuf::from(std::env::args_os().nth(2).expect("a file"))),
        "threads" => threads::one_after_the_other(argument().unwrap_or(800)),
        "crowd" => threads::crowd(wire::layout::LANES + 50),
        "few" => threads::crowd(40),
        "names" => threads::names(),
        "handed" => threads::handed(),
        "stop" => stop::run(),
        "stacks" => stacks::run(),
        "repeat" => (1..=1000).for_each(stacks::outer),
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
        "signals" => signals::handler_records(argument().unwrap_or(1)),
        "errno" => {
            // SAFETY: the thread's own location.
            let place = unsafe { &mut *libc::__errno_location() };
            *place = 77;
            note(1);
            for number in 0..argument().unwrap_or(10_000) {
                note(number + 2);
            }
            assert_eq!(*place, 77, "a hook changed errno");
        }
        "handlers" => signals::handlers_interrupt_handlers(argument().unwrap_or(1)),
        "handlers-in-threads" => signals::handlers_in_threads(),
        "handler-forks" => signals::handler_forks(),
        "lasting" => lasting::run(argument().unwrap_or(2)),
        "wrap" => (1..=1_000_000).for_each(note),
        "full" => {
            note(1);
            fill(&PathBuf::from(std::env::args_os().nth(2).expect("a file")));
            (2..=200_000).for_each(note);
        }
        other => {
            eprintln!("lifecycle: no turn called {other:?}");
            std::process::exit(2);
        }
    }
}

struct Late(RefCell<u64>);

impl Drop for Late {
    fn drop(&mut self) {
        note(*self.0.borrow());
    }
}
