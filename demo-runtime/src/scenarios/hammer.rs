//! Threads that record as fast as they can, and tell after each record that it was made.
//!
//! For crash tests: kill this program at any moment, and compare the trace with the acknowledgements.
//! No acknowledged record may be missing.
//!
//! The acknowledgements are a shared file of one page: thread `n` (0 to 3) keeps its count of completed
//! records as a little-endian word at byte `64 * n`. Each thread's records come in threes: the leak of a
//! small box, a peek that carries [`mark`]`(n, round)` where the pointer stands, and the reclaim of the
//! box. So record `i` of a thread is a leak, a peek or a reclaim as `i % 3` is 0, 1 or 2, and the peeks
//! number the rounds `i / 3` without a gap.
//!
//! With a handler there are two such threads, and a timer's signal whose handler records, in whichever
//! of them it interrupts, a peek that carries [`handler_mark`]. The handler's records of thread `n` are
//! counted at byte `64 * (4 + n)`. Two threads, so that they and their handlers fit into eight chunks.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use super::{Context, Outcome, Report};
use crate::runtime::Tally;

const THREADS: usize = 4;
const THREADS_WITH_HANDLER: usize = 2;
/// Between two signals.
const SIGNAL_EVERY_US: libc::suseconds_t = 50;
const PAGE: usize = 4096;
const APART: usize = 64;
/// Marks the words of the peeks, which are no addresses: high byte, then the thread, then the round.
const TAG: u64 = 0x7A << 56;

/// The same for the peeks of the handler.
const HANDLER_TAG: u64 = 0x7B << 56;

/// Where the handler's records of the thread are counted: null until the thread may be interrupted.
static HANDLED: [AtomicPtr<AtomicU64>; THREADS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; THREADS];

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The word that stands in the peek of a thread's round.
const fn mark(thread: u64, round: u64) -> u64 {
    TAG | thread << 48 | round
}

/// The word that stands in a handler's peek.
const fn handler_mark(thread: u64, count: u64) -> u64 {
    HANDLER_TAG | thread << 48 | count
}

pub(super) fn run(context: &Context) -> io::Result<Outcome> {
    let path = context
        .ack
        .as_ref()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "hammer needs --ack FILE"))?;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.set_len(PAGE as u64)?;
    let page = map(&file)?;
    let until = context.duration.map(|duration| Instant::now() + duration);
    let count = |number: usize| &page[number * APART / size_of::<u64>()];
    let threads = if context.handler {
        start_timer()?;
        THREADS_WITH_HANDLER
    } else {
        THREADS
    };
    let mut records = 0;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|number| {
                let handler = context.handler.then(|| count(THREADS + number));
                scope.spawn(move || {
                    if let Some(handled) = handler {
                        be_interrupted(number, handled);
                    }
                    hammer(number as u64, count(number), until)
                })
            })
            .collect();
        for thread in threads {
            records += thread.join().unwrap_or(0);
        }
    });
    let report = Report::default();
    report.say(format!("{records} records, each acknowledged"));
    Ok(report.outcome(context, Tally::default()))
}

/// Records rounds until it is time, or for ever; how many records it were.
fn hammer(thread: u64, completed: &AtomicU64, until: Option<Instant>) -> u64 {
    let mut records = 0u64;
    let mut acknowledge = || {
        records += 1;
        // Release: whoever sees this count, be it after our death, finds the records made before it.
        completed.store(records.to_le(), Ordering::Release);
    };
    for round in 0.. {
        let raw = probe::into_raw(Box::new(round));
        acknowledge();
        let word = mark(thread, round) as usize;
        probe::peek::<Box<u64>>(std::ptr::without_provenance_mut(word));
        acknowledge();
        // SAFETY: given away above, taken back once.
        drop(unsafe { probe::from_raw::<Box<u64>>(raw) });
        acknowledge();
        if round % 1024 == 0 && until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
    }
    records
}

/// Starts a timer whose signal goes to any thread that lets it through; the caller and the threads
/// that it will start do not.
fn start_timer() -> io::Result<()> {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: SIGNAL_EVERY_US,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    let handler = interrupted as extern "C" fn(libc::c_int);
    // SAFETY: the handler does what is allowed in handlers: it records, and touches atomics. The timer
    // and the signal are nobody else's in this program.
    let set = unsafe {
        mask_alarm(libc::SIG_BLOCK);
        libc::signal(libc::SIGALRM, handler as libc::sighandler_t) != libc::SIG_ERR
            && libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) == 0
    };
    if set {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets the signal through to the calling thread, whose handler's records are counted in `handled`.
fn be_interrupted(number: usize, handled: &'static AtomicU64) {
    if let Some(place) = HANDLED.get(number) {
        place.store(ptr::from_ref(handled).cast_mut(), Ordering::Relaxed);
    }
    // The thread's lane is made outside of the handler, so that its records all go into one.
    probe::mark("hammer");
    NUMBER.set(number);
    mask_alarm(libc::SIG_UNBLOCK);
}

fn mask_alarm(how: libc::c_int) {
    // SAFETY: all zeros is a valid set, and the set is ours.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGALRM);
        libc::pthread_sigmask(how, &set, ptr::null_mut());
    }
}

extern "C" fn interrupted(_: libc::c_int) {
    let number = NUMBER.get();
    let Some(place) = HANDLED.get(number) else {
        return;
    };
    // SAFETY: null, or a word of the page, which stays mapped.
    let Some(handled) = (unsafe { place.load(Ordering::Relaxed).as_ref() }) else {
        return;
    };
    let count = u64::from_le(handled.load(Ordering::Relaxed));
    let word = handler_mark(number as u64, count) as usize;
    probe::peek::<Box<u64>>(ptr::without_provenance_mut(word));
    // Release as in `hammer`.
    handled.store((count + 1).to_le(), Ordering::Release);
}

/// The page, mapped for the rest of the process's life.
fn map(file: &File) -> io::Result<&'static [AtomicU64]> {
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
    let base = unsafe {
        mmap(
            std::ptr::null_mut(),
            PAGE,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            file,
            0,
        )?
    };
    // SAFETY: page aligned, a page long, never unmapped, and touched through atomics only. Should
    // somebody shorten the file, the next store ends the process, which it was made for.
    Ok(unsafe { std::slice::from_raw_parts(base.cast::<AtomicU64>(), PAGE / size_of::<u64>()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, run};
    use std::time::Duration;

    #[test]
    fn each_thread_acknowledges_what_it_recorded() {
        let name = format!("demo-runtime-hammer-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let duration = Some(Duration::ZERO);
        let options = Options {
            ack: Some(path.clone()),
            duration,
            ..Options::default()
        };
        let outcome = run("hammer", &options).unwrap();
        let page = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        // One round each: the time was over when it was looked at first.
        assert_eq!(outcome.lines, ["12 records, each acknowledged"]);
        let counts = page.chunks_exact(APART).map(|place| place[0]);
        assert_eq!(
            counts.take(THREADS + 1).collect::<Vec<_>>(),
            [3, 3, 3, 3, 0]
        );
        assert_eq!(page.len(), PAGE);
    }

    #[test]
    fn marks_tell_thread_and_round() {
        assert_eq!(mark(3, 0x1234), 0x7A03_0000_0000_1234);
    }
}
