//! What a trace of `hammer` must hold because of its acknowledgements: the judge of the crash tests.
//!
//! Each acknowledged record must be in the trace, or be counted by it as lost; and what it counts must be
//! credible, or the count could hide what a mistake lost: a ring may only have overwritten what is older
//! than all that it keeps, and no more records than there were. [`crate::oracle`] plants losses and looks
//! whether they are noticed.

use traces::Trace;
use traces::event::{LossReason, What};

use crate::hammered::{Acknowledged, THREADS};

const MARK: u64 = 0x7A;
const HANDLER_MARK: u64 = 0x7B;
/// Records of `hammer` that a chunk holds at most, and at least: three words each, or a few more.
const CHUNK_RECORDS: u64 = 65_472 / 24;
const CHUNK_RECORDS_LEAST: u64 = 65_472 / 40;
/// Threads that a kill may find between taking a chunk to recycle it and closing it, so that it stays
/// where those behind it are gone: more than two at once were never seen.
const STALE_CHUNKS: u64 = 2;

/// Whether the writer still writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// It is dead, or stands still: what was not acknowledged is at most one record a thread.
    Still,
    /// It writes while the trace is read: what is just being written counts as missing, and as counted.
    Live,
}

/// A trace beside what was promised.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Records that the trace holds.
    pub(crate) recovered: u64,
    /// The handler's among them.
    pub(crate) handled: u64,
    /// Acknowledged records that are neither in the trace nor counted by it as lost.
    pub(crate) lost: u64,
    /// Records that the trace counts as lost for want of room, or because they were overwritten.
    pub(crate) counted: u64,
    /// Records that were cut off within.
    pub(crate) torn: u64,
    /// What cannot be right, whatever happened.
    pub(crate) corrupt: Vec<String>,
    /// Where records were lost.
    pub(crate) places: Vec<String>,
}

impl Account {
    /// Compares. `acknowledged` was read before the trace.
    pub(crate) fn of(trace: &Trace, acknowledged: &Acknowledged, writer: Writer) -> Self {
        let mut account = Self::default();
        let recording = trace.recording();
        for problem in recording.problems.iter().filter(|problem| problem.hides) {
            account.corrupt.push(problem.to_string());
        }
        for story in &trace.verdict().stories {
            account.corrupt.push(format!("a finding: {story:?}"));
        }
        if writer == Writer::Still && recording.problems.is_empty() {
            account.check_tables(trace);
        }
        let mut lanes: Vec<Lane> = recording.lanes.iter().map(|_| Lane::default()).collect();
        for event in trace.events() {
            lanes[event.lane as usize].take(&event.what, writer, &mut account);
        }
        // Of lanes without a peek: so early, or so full, that nothing tells whose they are; or in a chunk
        // that was just opened, with all before it overwritten.
        let mut unnamed = 0;
        let mut is_open = false;
        let mut seen = [false; THREADS];
        for lane in &lanes {
            match lane.thread() {
                Some(thread) if thread < THREADS && !seen[thread] => {
                    seen[thread] = true;
                    lane.compare(thread, acknowledged, writer, &mut account);
                }
                Some(thread) => account.corrupt.push(format!("thread {thread} again")),
                None => {
                    account.recovered += lane.own.len() as u64;
                    unnamed += lane.own.len() as u64 + lane.counted + lane.oldest;
                    is_open |= lane.is_open;
                }
            }
        }
        for (thread, acknowledged) in acknowledged.own.into_iter().enumerate() {
            if !seen[thread] && acknowledged > 0 {
                let found = unnamed.min(acknowledged);
                unnamed -= found;
                if found < acknowledged && !is_open {
                    account.lost += acknowledged - found;
                    account.places.push(format!("thread {thread} is missing"));
                }
            }
        }
        let torn_most = 2 * THREADS as u64;
        if account.torn > torn_most {
            let torn = account.torn;
            account
                .corrupt
                .push(format!("{torn} records torn, by {THREADS} threads"));
        }
        account
    }

    /// What events refer to is written before them.
    fn check_tables(&mut self, trace: &Trace) {
        for event in trace.events() {
            if let What::Leak(pointer) | What::Reclaim(pointer) = &event.what
                && (trace.names().site(pointer.site) == "?" || pointer.ty.0 == 0)
            {
                self.corrupt
                    .push(format!("{pointer:?} refers to what is not there"));
                return;
            }
        }
    }

    /// Adds another one.
    pub(crate) fn add(&mut self, other: Self) {
        self.recovered += other.recovered;
        self.handled += other.handled;
        self.lost += other.lost;
        self.counted += other.counted;
        self.torn += other.torn;
        self.corrupt.extend(other.corrupt);
        self.places.extend(other.places);
    }
}

/// What a trace holds of one thread.
#[derive(Debug, Default)]
struct Lane {
    /// Kind (0 leak, 1 peek, 2 reclaim) and address of the thread's own records. A peek's is its mark.
    own: Vec<(u64, u64)>,
    /// Marks of its handler's records, and how many of the thread's own come before each.
    handled: Vec<(u64, usize)>,
    /// Records counted as lost that are not just the oldest.
    counted: u64,
    /// Whether the oldest were overwritten.
    is_wrapped: bool,
    /// How many of them, as the trace counts.
    oldest: u64,
    /// Records overwritten behind some that were kept, and how many were kept before each such gap.
    gaps: Vec<(u64, u64)>,
    /// Whether records may be lost without a number.
    is_open: bool,
}

impl Lane {
    fn take(&mut self, what: &What, writer: Writer, account: &mut Account) {
        match what {
            What::Leak(pointer) => self.own.push((0, pointer.address)),
            What::Peek(pointer) if pointer.address >> 56 == MARK => {
                self.own.push((1, pointer.address));
            }
            What::Peek(pointer) if pointer.address >> 56 == HANDLER_MARK => {
                self.handled.push((pointer.address, self.own.len()));
            }
            What::Peek(pointer) => {
                let message = format!("a peek of {:#x}", pointer.address);
                account.corrupt.push(message);
            }
            What::Reclaim(pointer) => self.own.push((2, pointer.address)),
            What::Lost(loss) => {
                let records = loss.records.unwrap_or(0);
                match (loss.reason, writer) {
                    (LossReason::Overwritten, _) => {
                        self.is_wrapped = true;
                        // Where the thread had moved to between two looks is not known to who looks: then the
                        // trace says that, and no number.
                        self.is_open |= writer == Writer::Live && loss.records.is_none();
                        account.counted += records;
                        if self.own.is_empty() {
                            self.oldest += records;
                        } else {
                            self.gaps.push((records, self.own.len() as u64));
                            self.counted += records;
                        }
                    }
                    (LossReason::Torn, Writer::Still) => account.torn += records,
                    (LossReason::Damaged, Writer::Still) => {
                        account.corrupt.push(format!("{loss:?}"));
                    }
                    _ => {
                        self.is_open |= loss.records.is_none();
                        self.counted += records;
                        account.counted += records;
                    }
                }
            }
            _ => {}
        }
    }

    fn thread(&self) -> Option<usize> {
        let own = self.own.iter().find(|(kind, _)| *kind == 1);
        let mark = own.map(|(_, mark)| *mark);
        let mark = mark.or(self.handled.first().map(|(mark, _)| *mark))?;
        usize::try_from(mark >> 48 & 0xFF).ok()
    }

    /// Adds this thread's part to the account.
    ///
    /// Numbers may only grow. How many are missing is known at each mark, and for all at the end; the
    /// trace must count as many as lost, be it of the thread or of its handler, which share a lane.
    fn compare(&self, thread: usize, promised: &Acknowledged, writer: Writer, all: &mut Account) {
        all.recovered += (self.own.len() + self.handled.len()) as u64;
        all.handled += self.handled.len() as u64;
        let mut missing = 0;
        let mut note = |message: String| all.corrupt.push(format!("thread {thread}: {message}"));
        let mut check = |numbers: Numbers, promised: u64| {
            missing += numbers.skipped;
            if !self.is_wrapped {
                missing += numbers.first;
            }
            if numbers.end < promised && !self.is_open {
                missing += promised - numbers.end;
            }
            if let Some(wrong) = numbers.wrong {
                note(wrong);
            }
            if writer == Writer::Still && numbers.end > promised + 1 {
                let end = numbers.end;
                note(format!(
                    "{end} records, and only {promised} were acknowledged"
                ));
            }
        };
        check(self.own_numbers(thread), promised.own[thread]);
        let handled = promised.handled[thread];
        check(self.handled_numbers(thread, handled), handled);
        if writer == Writer::Still {
            self.doubt(thread, handled, all);
        }
        // A thread that stood still soon after it opened its latest chunk has nothing else: what it made before
        // was overwritten meanwhile. Without a peek nothing says which numbers were, but how many is counted.
        let counted = match self.has_peek() {
            true => self.counted,
            false => self.counted + self.oldest,
        };
        if missing > counted {
            all.lost += missing - counted;
            let (own, handled) = (
                self.own_numbers(thread),
                self.handled_numbers(thread, handled),
            );
            all.places.push(format!(
                "thread {thread}: {own:?}, handler {handled:?}, of {promised:?}, counted {counted}"
            ));
        }
    }

    fn has_peek(&self) -> bool {
        self.own.iter().any(|(kind, _)| *kind == 1)
    }

    /// Whether what the trace calls overwritten may be just that.
    fn doubt(&self, thread: usize, handled: u64, all: &mut Account) {
        let mut note = |message: String| all.corrupt.push(format!("thread {thread}: {message}"));
        if self.gaps.len() as u64 > STALE_CHUNKS * if handled > 0 { 2 } else { 1 } {
            note(format!("gaps in the middle: {:?}", self.gaps));
        }
        // A handler's lane wraps by itself: what lies before its gap says nothing, and its records are
        // counted with the thread's.
        if handled > 0 {
            return;
        }
        for (_, before) in &self.gaps {
            if *before > STALE_CHUNKS * CHUNK_RECORDS {
                note(format!(
                    "overwritten behind {before} older records that were kept"
                ));
            }
        }
        // Each chunk has a record of its own: whose it is.
        let own = self.own_numbers(thread);
        let within: u64 = self.gaps.iter().map(|gap| gap.0).sum();
        // What found no chunk, because all others were being written, is gone too, and counted as that.
        let overwritten = self.oldest + within + self.counted.saturating_sub(within);
        let gone = own.first + own.skipped;
        let with_own = gone + gone / CHUNK_RECORDS_LEAST + 1 + self.gaps.len() as u64;
        if self.is_wrapped && own.end > 0 && !(gone..=with_own).contains(&overwritten) {
            note(format!(
                "{overwritten} overwritten or without room, {gone} of the thread's own are gone"
            ));
        }
    }

    fn own_numbers(&self, thread: usize) -> Numbers {
        let Some(anchor) = self.own.iter().position(|(kind, _)| *kind == 1) else {
            return Numbers::from(0, self.own.len() as u64);
        };
        let number = |mark: u64| 3 * (mark & 0xFFFF_FFFF_FFFF) + 1;
        let first = number(self.own[anchor].1).saturating_sub(anchor as u64);
        let mut numbers = Numbers::from(first, first);
        for (kind, mark) in &self.own {
            let next = numbers.end;
            let here = if *kind == 1 {
                number(*mark)
            } else {
                next + (3 + kind - next % 3) % 3
            };
            if *kind == 1 && *mark >> 48 & 0xFF != thread as u64 {
                numbers.wrong = Some(format!("a record of another thread, {mark:#x}"));
            }
            numbers.go_to(here);
        }
        // A leak, a peek and a reclaim in a row are of one round, and of one box.
        for round in self.own.windows(3) {
            if let [(0, leaked), (1, _), (2, reclaimed)] = round
                && leaked != reclaimed
            {
                numbers.wrong = Some(format!("{leaked:#x} leaked, {reclaimed:#x} reclaimed"));
            }
        }
        numbers
    }

    /// A handler that interrupts a record writes to another lane than one that interrupts none, whose
    /// records are overwritten with the thread's own: numbers count from where those begin.
    fn handled_numbers(&self, thread: usize, promised: u64) -> Numbers {
        let is_kept = |(_, before): &&(u64, usize)| !self.is_wrapped || *before > 0;
        let kept = self.handled.iter().filter(is_kept).map(|(mark, _)| *mark);
        let kept: Vec<u64> = kept.collect();
        let number = |mark: &u64| mark & 0xFFFF_FFFF_FFFF;
        let none = if self.is_wrapped { promised } else { 0 };
        let first = kept.first().map_or(none, number);
        let mut numbers = Numbers::from(first, first);
        for mark in &kept {
            if *mark >> 48 & 0xFF != thread as u64 {
                numbers.wrong = Some(format!("a handler's record of another thread, {mark:#x}"));
            }
            numbers.go_to(number(mark));
        }
        numbers
    }
}

/// Numbers of records in their order.
#[derive(Debug)]
struct Numbers {
    first: u64,
    end: u64,
    /// Numbers between them that are not there.
    skipped: u64,
    wrong: Option<String>,
}

impl Numbers {
    fn from(first: u64, end: u64) -> Self {
        Self {
            first,
            end,
            skipped: 0,
            wrong: None,
        }
    }

    fn go_to(&mut self, number: u64) {
        if number < self.end {
            self.wrong = Some(format!("record {number} after record {}", self.end - 1));
        } else {
            self.skipped += number - self.end;
        }
        self.end = number + 1;
    }
}

/// A thread that is preempted behind the first record of a chunk, until all before that is overwritten.
#[test]
fn thread_that_stood_still_behind_a_leak_has_lost_what_is_counted_and_no_more() {
    let lost = |overwritten| {
        let lane = Lane {
            own: vec![(0, 0x1000)],
            handled: vec![(HANDLER_MARK << 56 | 60, 0)],
            is_wrapped: true,
            oldest: overwritten,
            ..Lane::default()
        };
        let promised = Acknowledged {
            own: [73_611, 0, 0, 0],
            handled: [61, 0, 0, 0],
        };
        let mut account = Account::default();
        lane.compare(0, &promised, Writer::Still, &mut account);
        assert_eq!(account.corrupt, [] as [&str; 0]);
        account.lost
    };
    assert_eq!(lost(73_610), 0);
    assert_eq!(lost(73_600), 10);
}

#[test]
fn what_found_no_room_beside_what_was_overwritten_is_gone_and_counted() {
    let doubts = |without_room| {
        // Of 1,002 records the newest two are there; 40 of the others found no room.
        let lane = Lane {
            own: vec![(1, MARK << 56 | 333), (2, 0)],
            is_wrapped: true,
            oldest: 960,
            counted: without_room,
            ..Lane::default()
        };
        let promised = Acknowledged {
            own: [1_002, 0, 0, 0],
            handled: [0; 4],
        };
        let mut account = Account::default();
        lane.compare(0, &promised, Writer::Still, &mut account);
        account.corrupt.len()
    };
    assert_eq!(doubts(40), 0);
    assert_eq!(doubts(30), 1);
}
