//! The scope of a whole process, of which there is one at a time.

use std::io::Read;
use std::panic::Location;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Reach, Scope, open};

/// Who has it.
static OPEN: Mutex<Option<Open>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct Open {
    id: u32,
    at: &'static Location<'static>,
}

/// Set for a child that only lists its tests.
const LISTING: &str = "TRACER_PROBE_LISTING";

/// Words in every binary with the standard harness, backwards: as they are, they would be in every binary with this
/// file in it.
const HARNESS: [&str; 2] = ["DEES_ELFFUHS_TSET_TSUR", "ERUTPACON_TSET_TSUR"];

/// How long the harness may take to list its tests.
const LISTING_MOST: Duration = Duration::from_secs(20);

const WAYS_OUT: &str = "Either\n  \
    - run the tests with nextest, which gives each a process of its own, or\n  \
    - put this test into a file of its own (`tests/NAME.rs` with one test), or run with `--test-threads=1`, or\n  \
    - use probe::scope(), which sees what its own thread and those that enter it do";

/// Opens a scope for the whole process: what any thread does belongs to it, unless the thread works for
/// another scope that was opened outside.
///
/// ```
/// let scope = probe::process_scope();
/// // A thread that knows nothing of it.
/// let worker = std::thread::spawn(|| probe::into_raw(Box::new(7)) as u64);
/// let cookie = worker.join().unwrap();
/// assert_eq!(scope.numbers().held, 1);
/// // Leaked by the thread.
/// drop(unsafe { probe::from_raw::<Box<i32>>(cookie as *mut i32) });
/// scope.assert_clean();
/// ```
///
/// # Panics
///
/// Where one is open already, with both places, and in a test that the standard harness runs beside others,
/// because what they do would be this one's.
#[track_caller]
pub fn process_scope() -> Scope {
    let at = Location::caller();
    // Asked while others may open scopes of their own, which look at who has this one.
    let beside = if around() == 0 { tests_beside() } else { None };
    let mut owner = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Open { at: other, .. }) = *owner {
        drop(owner);
        panic!(
            "probe::process_scope: the scope of this process is open already, at {other}; it is asked for again \
             at {at}. There is one at a time: assert the other one first, or use probe::scope() in one of them"
        );
    }
    if let Some(count) = beside {
        drop(owner);
        panic!(
            "probe::process_scope: the harness runs {count} tests of this binary at the same time, and what the \
             others do would belong to the scope asked for at {at}. {WAYS_OUT}"
        );
    }
    let scope = open(at, Reach::Process);
    *owner = Some(Open { id: scope.id, at });
    scope
}

/// The scope that threads work for which entered none; 0 for none.
pub(super) fn around() -> u32 {
    let owner = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    owner.map_or(0, |open| open.id)
}

/// The scope has ended.
pub(super) fn ended(id: u32) {
    let mut owner = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if owner.is_some_and(|open| open.id == id) {
        *owner = None;
    }
}

/// How many tests the standard harness runs in this process, where it may run several at once.
fn tests_beside() -> Option<usize> {
    // Starts no program.
    if cfg!(miri) {
        return None;
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    if variable("NEXTEST_EXECUTION_MODE") == "process-per-test" {
        return None;
    }
    // The harness names the threads of its tests.
    let thread = std::thread::current();
    if thread.name().is_none_or(|name| name == "main") {
        return None;
    }
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let threads = arguments
        .iter()
        .position(|word| word == "--test-threads")
        .and_then(|at| arguments.get(at + 1).cloned())
        .or_else(|| {
            let mut values = arguments.iter();
            values.find_map(|word| Some(word.strip_prefix("--test-threads=")?.to_owned()))
        })
        .unwrap_or_else(|| variable("RUST_TEST_THREADS"));
    if threads == "1" || std::env::var_os(LISTING).is_some() || !has_harness() {
        return None;
    }
    listed(&arguments).filter(|count| *count > 1)
}

/// Whether this program has the standard harness in it, and so knows `--list`.
fn has_harness() -> bool {
    let program = std::env::current_exe().and_then(std::fs::read);
    let program = program.unwrap_or_default();
    HARNESS.iter().all(|word| {
        let word: Vec<u8> = word.bytes().rev().collect();
        let first = |byte: &u8| *byte == word[0];
        let mut rest = &program[..];
        while let Some(at) = rest.iter().position(first) {
            rest = &rest[at..];
            if rest.starts_with(&word) {
                return true;
            }
            rest = &rest[1..];
        }
        false
    })
}

/// Only the harness knows how many tests its arguments ask for; it is asked in another process.
fn listed(arguments: &[String]) -> Option<usize> {
    let list = |more: &[&str]| {
        let kept = arguments.iter().filter(|word| {
            !matches!(
                &***word,
                "--nocapture"
                    | "--no-capture"
                    | "--show-output"
                    | "-q"
                    | "--quiet"
                    | "--ignored"
                    | "--include-ignored"
            )
        });
        let mut child = Command::new(std::env::current_exe().ok()?)
            .args(kept)
            .args(["--list", "--format", "terse"])
            .args(more)
            .env(LISTING, "1")
            .env_remove("TRACER_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let said = child
            .stdout
            .take()
            .and_then(|out| all_of(out, LISTING_MOST));
        // It has said all, or says it too late.
        let _ = child.kill();
        let _ = child.wait();
        let said = said?;
        let text = String::from_utf8_lossy(&said);
        Some(text.lines().filter(|line| line.ends_with(": test")).count())
    };
    let asked = |name: &str| arguments.iter().any(|word| word == name);
    let all = list(&[])?;
    match (asked("--include-ignored"), asked("--ignored")) {
        (true, _) => Some(all),
        (_, true) => list(&["--ignored"]),
        _ => Some(all.saturating_sub(list(&["--ignored"])?)),
    }
}

/// What is read up to its end, unless that takes longer.
fn all_of(mut from: impl Read + Send + 'static, most: Duration) -> Option<Vec<u8>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = std::thread::Builder::new().name("probe lists tests".to_owned());
    let reader = reader.spawn(move || {
        let mut bytes = Vec::new();
        if from.read_to_end(&mut bytes).is_ok() {
            // Nobody waits any more where it took too long.
            let _ = sender.send(bytes);
        }
    });
    reader.ok()?;
    receiver.recv_timeout(most).ok()
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn this_binary_has_the_harness() {
        assert!(has_harness());
    }

    #[test]
    fn one_that_never_ends_is_not_waited_for() {
        let (_writer, reader) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(all_of(reader, Duration::from_millis(5)), None);
        let all = all_of(&b"one: test"[..], LISTING_MOST);
        assert_eq!(all.as_deref(), Some(&b"one: test"[..]));
    }
}
