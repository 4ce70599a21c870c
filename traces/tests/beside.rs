//! Who reads with the help of another thread gets what who reads alone gets, whatever that thread does.

mod support;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex};
use std::thread::{self, ThreadId};

use support::file::File;
use support::same::assert_same;
use traces::read::bundle::{self, ProcessWriter};
use traces::read::{Beside, ReadError};
use traces::{Input, ReadAt, Trace, report};
use wire::payload::pair;
use wire::record::{Kind, Owner};

/// More chunks than are read ahead, of two threads, with something to tell at the end and a loss in the middle.
fn recording() -> Vec<u8> {
    let mut file = File::default().round_trips(3_200);
    file.record(1, 0, Kind::Thread, 0, &[pair(78, 1)]);
    let pointer = [0x9000, pair(1, 1)];
    for at in (5..38_000).step_by(20) {
        file.record(1, at, Kind::Leak, Owner::Box as u8, &pointer);
        file.record(1, at + 9, Kind::Reclaim, Owner::Box as u8, &pointer);
    }
    file.record(1, 38_500, Kind::Reclaim, Owner::Box as u8, &pointer);
    let mut bytes = file.bytes();
    // A chunk's own number: what it held is gone.
    let middle = File::HEAD_BYTES + 700 * File::CHUNK_BYTES;
    bytes[middle] ^= 0x40;
    bytes
}

fn packed(file: &[u8]) -> Vec<u8> {
    let mut out = io::Cursor::new(Vec::new());
    bundle::write_header(&mut out).unwrap();
    let mut writer = ProcessWriter::begin(&mut out).unwrap();
    let (head, chunks) = file.split_at(File::HEAD_BYTES);
    writer.piece(head).unwrap();
    for chunk in chunks.chunks(File::CHUNK_BYTES) {
        writer.piece(chunk).unwrap();
    }
    writer.finish().unwrap();
    out.into_inner()
}

/// Judges with another thread, which reads something before this one goes on.
fn judged(bytes: &Odd<'_>) -> Result<Trace, ReadError> {
    let input = Input {
        name: "x.trc",
        bytes,
    };
    thread::scope(|scope| {
        let beside: Beside<'_, '_> = &|work| {
            scope.spawn(work);
            bytes.wait_for_help();
            true
        };
        Trace::check_beside(&[input], &|_| {}, Some(beside))
    })
}

fn alone(bytes: &dyn ReadAt) -> Result<Trace, ReadError> {
    Trace::check(&[Input {
        name: "x.trc",
        bytes,
    }])
}

/// Bytes, and what becomes of reading them on another thread than this one.
struct Odd<'a> {
    bytes: &'a [u8],
    here: ThreadId,
    /// Called before each reading there, with how many there were.
    elsewhere: fn(usize),
    read_elsewhere: Mutex<usize>,
    was_read: Condvar,
    broken_from: u64,
}

/// As often as this the other thread reads at least, however slow this one is: a chunk, whose mark is looked at again behind
/// it, and the beginning of the next.
const SURE: usize = 3;

impl<'a> Odd<'a> {
    fn new(bytes: &'a [u8], elsewhere: fn(usize)) -> Self {
        Self {
            bytes,
            here: thread::current().id(),
            elsewhere,
            read_elsewhere: Mutex::default(),
            was_read: Condvar::new(),
            broken_from: u64::MAX,
        }
    }

    /// Waits until the other thread has read something, or was about to and died of it.
    fn wait_for_help(&self) {
        let mut read = self.read_elsewhere.lock().unwrap();
        while *read < SURE {
            read = self.was_read.wait(read).unwrap();
        }
    }
}

impl ReadAt for Odd<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if thread::current().id() != self.here {
            let before = {
                let mut read = self.read_elsewhere.lock().unwrap();
                *read += 1;
                self.was_read.notify_all();
                *read - 1
            };
            (self.elsewhere)(before);
        }
        if offset >= self.broken_from && buffer.len() > 80 {
            return Err(io::Error::other("the disk is broken"));
        }
        self.bytes.read_at(offset, buffer)
    }
}

#[test]
fn help_changes_nothing_but_who_reads() {
    let file = recording();
    let whole = Trace::read(&[Input {
        name: "x.trc",
        bytes: &file,
    }])
    .unwrap();
    assert_eq!(whole.verdict().stories.len(), 1, "all is read again");
    assert_eq!(whole.recording().losses.len(), 1);
    for bytes in [&file, &packed(&file)] {
        let helped = Odd::new(bytes, |_| {});
        let expected = alone(bytes).unwrap();
        assert_same(&expected, &judged(&helped).unwrap());
        assert!(helped.read_elsewhere.into_inner().unwrap() >= SURE);
        let input = Input {
            name: "x.trc",
            bytes,
        };
        let (all, paged) = thread::scope(|scope| {
            let beside: Beside<'_, '_> = &|work| {
                scope.spawn(work);
                true
            };
            let nowhere = || Err(io::ErrorKind::StorageFull.into());
            let all = Trace::read_beside(&[input], &|_| {}, Some(beside));
            let paged =
                Trace::read_paged_beside(&[input], i64::MAX, nowhere, &|_| {}, Some(beside));
            (all.unwrap(), paged.unwrap())
        });
        assert_eq!(all.to_text(), whole.to_text());
        assert_eq!(paged.to_text(), whole.to_text());
        assert_eq!(report::text(&all, 80), report::text(&expected, 80));
    }
}

#[test]
fn who_gets_no_help_or_slow_help_reads_alone() {
    let file = recording();
    let expected = alone(&file).unwrap();
    let input = Input {
        name: "x.trc",
        bytes: &file,
    };
    // No thread could be started, and one that was lost.
    for is_done in [false, true] {
        let nobody: Beside<'_, '_> = &|_| is_done;
        let checked = Trace::check_beside(&[input], &|_| {}, Some(nobody)).unwrap();
        assert_same(&expected, &checked);
    }
    let slow = Odd::new(&file, |_| thread::yield_now());
    assert_same(&expected, &judged(&slow).unwrap());
    // A thread that only comes when all is over.
    let late = Mutex::new(Vec::new());
    let later: Beside<'_, '_> = &|work| {
        late.lock().unwrap().push(work);
        true
    };
    let checked = Trace::check_beside(&[input], &|_| {}, Some(later)).unwrap();
    assert_same(&expected, &checked);
    let late = late.into_inner().unwrap();
    assert!(late.len() > 1, "once for each time that all is read");
    late.into_iter().for_each(|work| work());
}

#[test]
fn what_cannot_be_read_is_told_as_it_is_told_alone() {
    let file = recording();
    let mut odd = Odd::new(&file, |_| {});
    odd.broken_from = (File::HEAD_BYTES + 1200 * File::CHUNK_BYTES) as u64;
    let (expected, helped) = (alone(&odd).unwrap(), judged(&odd).unwrap());
    let problems = &expected.recording().problems;
    let is_told = |message: &str| problems.iter().any(|problem| problem.message == message);
    assert!(is_told("cannot be read: the disk is broken"));
    assert_eq!(&helped.recording().problems, problems);
    assert_same(&expected, &helped);
}

/// It does not, but who waits for it must not wait for ever if it does.
#[test]
fn a_thread_that_dies_while_it_reads_is_not_waited_for() {
    let file = recording();
    let expected = alone(&file).unwrap();
    let dying = Odd::new(&file, |before| {
        assert!(before + 1 < SURE, "dies on purpose");
    });
    let checked = Mutex::new(None);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let input = Input {
            name: "x.trc",
            bytes: &dying,
        };
        thread::scope(|scope| {
            let beside: Beside<'_, '_> = &|work| {
                scope.spawn(work);
                dying.wait_for_help();
                true
            };
            let trace = Trace::check_beside(&[input], &|_| {}, Some(beside));
            *checked.lock().unwrap() = Some(trace);
        });
    }));
    assert!(ended.is_err(), "the thread died");
    let checked = checked.into_inner().unwrap().unwrap();
    assert_same(&expected, &checked.unwrap());
}
