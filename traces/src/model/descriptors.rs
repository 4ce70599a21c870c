//! Descriptors that a program said it opened, and not that it closed: what is left of them at the end is counted
//! with the places that opened them. A count and no finding: a program may keep files to its end. So are those that it
//! closed and closed again: its number may have been given out in between to somebody who told nobody.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Observer;
use super::moment::Moment;
use super::opcodes as op;
use super::ringset::RingKey;
use super::state::State;
use super::things::{Operation, OperationId};
use crate::event::{Completion, EventId, SiteId};

/// Descriptors that are kept.
const OPEN_MAX: usize = 1 << 20;
/// `SHUT_WR`: nothing is sent any more, and all else goes on.
const SHUT_WR: u32 = 1;
/// Places that the summary names.
const PLACES_MAX: usize = 4;

/// By process and number.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Where each was opened.
    open: FxHashMap<(u32, i32), SiteId>,
    /// Where each was closed that had been opened.
    closed: FxHashMap<(u32, i32), (SiteId, EventId)>,
    /// Operations that name one that was closed, and which close that was.
    named: BTreeMap<OperationId, (i32, EventId)>,
    /// What completions brought, and nobody has said yet to have taken over.
    brought: FxHashSet<(u32, i32)>,
    again: (u64, Option<(SiteId, SiteId)>),
}

impl Open {
    /// One was opened, or taken over from a result; whether it is the one that a completion brought.
    pub(super) fn opened(&mut self, process: u32, fd: i32, site: SiteId) -> bool {
        self.given_out(process, fd);
        if self.open.len() < OPEN_MAX || self.open.contains_key(&(process, fd)) {
            self.open.insert((process, fd), site);
        }
        self.brought.remove(&(process, fd))
    }

    /// What a completion brought is somebody's.
    pub(super) fn taken_over(&mut self, process: u32, fd: i32) {
        self.brought.remove(&(process, fd));
    }

    /// One was closed; where it was opened.
    pub(super) fn closed(&mut self, process: u32, fd: i32) -> Option<SiteId> {
        self.brought.remove(&(process, fd));
        self.open.remove(&(process, fd))
    }

    /// The program says that it closes one, or is seen to, without a place; where that was opened.
    pub(super) fn told_closed(
        &mut self,
        (process, fd): (u32, i32),
        site: SiteId,
        event: EventId,
    ) -> Option<SiteId> {
        let key = (process, fd);
        let opened = self.closed(process, fd);
        if opened.is_some() {
            if self.closed.len() < OPEN_MAX {
                self.closed.insert(key, (site, event));
            }
        } else if let Some((before, _)) = self.closed.remove(&key)
            && site.0 != 0
            && before.0 != 0
        {
            // All closes are seen where that comes of itself, and of openings only what the program tells.
            self.again.0 = self.again.0.saturating_add(1);
            self.again.1.get_or_insert((before, site));
        }
        opened
    }

    /// A number belongs to somebody: what was closed before was another one.
    pub(super) fn given_out(&mut self, process: u32, fd: i32) {
        self.closed.remove(&(process, fd));
    }

    /// A completion brings one.
    pub(super) fn brought(&mut self, process: u32, fd: i32) {
        self.given_out(process, fd);
        if self.brought.len() < OPEN_MAX {
            self.brought.insert((process, fd));
        }
    }

    /// An operation names one: whoever closed it before, if nobody was given its number since.
    pub(super) fn named(&mut self, operation: OperationId, fd: i32) {
        if let Some((_, closed)) = self.closed.remove(&(operation.process, fd))
            && self.named.len() < OPEN_MAX
        {
            self.named.insert(operation, (fd, closed));
        }
    }

    /// A ring is gone, and what was in flight on it: another one may have its number.
    pub(super) fn forget_ring(&mut self, (process, ring): RingKey) {
        let number = |sequence| OperationId {
            process,
            ring,
            sequence,
        };
        let all = number(0)..=number(u64::MAX);
        while let Some((operation, _)) = self.named.range(all.clone()).next() {
            let operation = *operation;
            self.named.remove(&operation);
        }
    }

    /// How many are left, and the places that opened most of them.
    fn left(&self) -> (u64, Vec<(SiteId, u64)>) {
        let mut by_place = BTreeMap::new();
        for site in self.open.values() {
            let count: &mut u64 = by_place.entry(site.0).or_default();
            *count = count.saturating_add(1);
        }
        let mut places: Vec<_> = by_place.into_iter().collect();
        places.sort_by_key(|(site, count)| (std::cmp::Reverse(*count), *site));
        places.truncate(PLACES_MAX);
        let named = places
            .into_iter()
            .map(|(site, count)| (SiteId(site), count));
        (self.open.len() as u64, named.collect())
    }
}

impl State {
    /// An operation has closed a descriptor, or shut it down.
    pub(super) fn note_closed_by_operation(
        &mut self,
        operation: &Operation,
        completion: &Completion,
    ) {
        let entry = &operation.entry;
        let done = completion.res == 0;
        if entry.opcode == op::CLOSE && entry.file_index == 0 {
            if done {
                self.open.closed(operation.id.process, entry.fd);
            } else {
                self.not_closed(operation);
            }
        } else if done {
            self.shut_down(operation);
        }
    }

    /// What reads from a connection that is shut down, or waits for it, ends.
    pub(super) fn shut_down(&mut self, operation: &Operation) {
        let entry = &operation.entry;
        let by_number = entry.sqe_flags & op::SQE_FIXED_FILE == 0;
        if entry.opcode == op::SHUTDOWN && by_number && entry.len != SHUT_WR {
            self.ends_all_on(operation.id.process, entry.fd, operation.submit);
        }
    }

    /// The kernel answers that what an operation names is no descriptor: somebody closed it before.
    pub(super) fn note_bad_descriptor(
        &mut self,
        operation: &Operation,
        (event, completion): (EventId, &Completion),
        observer: &mut Observer<'_>,
    ) {
        /// `-EBADF`
        const BAD: i32 = -9;
        if self.open.named.is_empty() {
            return;
        }
        let named = self.open.named.remove(&operation.id);
        if let Some((fd, closed)) = named
            && completion.res == BAD
        {
            observer.see(&Moment::DescriptorGone {
                event: closed,
                fd,
                operation,
                closed: None,
                refused: Some(event),
                made: false,
            });
        }
    }

    pub(super) fn descriptors_at_end(&mut self) {
        (self.summary.open_at_end, self.summary.open_places) = self.open.left();
        // What is lost may have been the opening.
        if !self.is_lossy {
            (self.summary.closed_again, self.summary.closed_again_at) = self.open.again;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::trace::Trace;

    fn open_at_end(text: &str) -> u64 {
        let trace = Trace::parse_text(text).expect("a trace");
        trace.verdict().summary.open_at_end
    }

    #[test]
    fn what_was_closed_twice_is_counted() {
        let again = |between: &str, first: &str| {
            let text = format!(
                "
                1 main fd-open {first} a.rs:1
                2 main fd-close 5 a.rs:2
                {between}
                9 main fd-close 5 a.rs:9
            "
            );
            let trace = Trace::parse_text(&text).expect("a trace");
            let report = crate::report::text(&trace, 100);
            let said = "closed twice, with no opening in between: 1 descriptor; first: closed at a.rs:2, and again at a.rs:9";
            let count = trace.verdict().summary.closed_again;
            assert_eq!(report.contains(said), count > 0, "{report}");
            count
        };
        assert_eq!(again("", "5"), 1);
        assert_eq!(again("", "6"), 0);
        assert_eq!(again("3 main fd-open 5 a.rs:3", "5"), 0);
        assert_eq!(
            again(
                "3 main submit 0 ACCEPT 0x7 fd=3\n4 main complete 0 0x7 5",
                "5"
            ),
            0
        );
        assert_eq!(again("3 main submit 0 RECV 0x7 fd=5", "5"), 0);
        assert_eq!(again("3 main lost 1 removed", "5"), 0);
    }

    #[test]
    fn what_a_ring_that_is_gone_named_is_nothing_to_the_next_one_with_its_number() {
        let found = |between: &str| {
            let text = format!(
                "
                1 main ring-create 0 fd=3 sq=8 cq=16
                2 main fd-open 5 a.rs:1
                3 main fd-close 5 a.rs:2
                4 main submit 0 RECV 0x7 seq=0 fd=5
                {between}
                9 main complete 0 0x7 -9
            "
            );
            let trace = Trace::parse_text(&text).expect("a trace");
            trace.verdict().stories.len()
        };
        assert_eq!(found(""), 1);
        for gone in ["5 main ring-drop 0", "5 main mark x"] {
            let next = "6 main ring-create 0 fd=3 sq=8 cq=16\n7 main submit 0 RECV 0x7 seq=0 fd=6";
            assert_eq!(found(&format!("{gone}\n{next}")), 0, "{gone}");
        }
    }

    #[test]
    fn what_was_opened_and_not_closed_is_counted() {
        let text = "
            1 main fd-open 5 a.rs:1
            2 main fd-open 6 a.rs:2
            3 main fd-open 7 a.rs:3
            4 main fd-close 5 a.rs:4
            5 main submit 0 CLOSE 0x7 a.rs:5 fd=6
            6 main enter 0 1 -> 1
        ";
        assert_eq!(open_at_end(text), 2);
        assert_eq!(open_at_end(&format!("{text}\n7 main complete 0 0x7 0")), 1);
        assert_eq!(open_at_end(&format!("{text}\n7 main complete 0 0x7 -9")), 2);
        // The same number again is one descriptor, whose first life was not told whole.
        assert_eq!(
            open_at_end("1 main fd-open 5 a.rs:1\n2 main fd-open 5 a.rs:1"),
            1
        );
    }
}
