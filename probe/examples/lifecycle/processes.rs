//! Processes that become several, or another one.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::note;

/// Goes on as this program with other arguments.
pub(crate) fn become_another(arguments: &[&str]) -> ! {
    let this = std::env::current_exe().expect("own path");
    let error = Command::new(this).args(arguments).exec();
    panic!("exec: {error}");
}

pub(crate) fn fork(fork: impl Fn() -> i32) {
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

/// So many generations of processes, each the parent of the next; all leak the same addresses.
pub(crate) fn generations(left: u64) {
    note(left * 1000);
    let raw = probe::into_raw(Box::new(left));
    if left > 0 {
        in_child(|| generations(left - 1));
    }
    // SAFETY: leaked above, by this process.
    drop(unsafe { probe::from_raw::<Box<u64>>(raw) });
    note(left * 1000 + 1);
}

/// Two children: one is killed with something in its hand, one ends in order; then the parent does.
pub(crate) fn killed_child() {
    note(1);
    // SAFETY: the child goes on with plain records, and kills itself.
    match unsafe { libc::fork() } {
        0 => {
            note(1001);
            let _ = probe::into_raw(Box::new(7u64));
            // SAFETY: the process's own number.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFSIGNALED(status));
        }
    }
    in_child(|| note(2001));
    note(2);
}

/// Runs `body` in a forked child and waits until that has ended in order.
fn in_child(body: impl FnOnce()) {
    // SAFETY: this program has one thread; the child may do what it likes.
    match unsafe { libc::fork() } {
        0 => {
            body();
            std::process::exit(0);
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
}

/// Becomes a daemon as the manuals say: fork, a session of its own, fork again, all descriptors closed.
/// What it then opens is its own data, also where standard error was. The program itself ends at once.
///
/// The daemon records, waits until somebody takes the recording folder away, and goes on. Its child, which
/// is forked then, records too. At last it writes `done`.
pub(crate) fn daemon(data: &Path) {
    note(1);
    // SAFETY: this program has one thread.
    if unsafe { libc::fork() } != 0 {
        return;
    }
    // SAFETY: as above; descriptors of this process are closed once, and nothing uses them any more.
    unsafe {
        assert!(libc::setsid() > 0);
        if libc::fork() != 0 {
            libc::_exit(0);
        }
        for descriptor in 0..1024 {
            libc::close(descriptor);
        }
    }
    let open = || {
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(data);
        std::os::fd::IntoRawFd::into_raw_fd(file.expect("own data"))
    };
    assert_eq!([open(), open(), open()], [0, 1, 2]);
    note(1001);
    let folder = std::env::var_os("TRACER_DIR").expect("a recording");
    while Path::new(&folder).exists() {
        std::thread::yield_now();
    }
    note(1002);
    in_child(|| note(2001));
    std::fs::write(data.with_extension("done"), "done").expect("own data");
}
