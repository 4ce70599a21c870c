//! Descriptors that a program said it opened, and not that it closed: what is left of them at the end is counted
//! with the places that opened them. A count and no finding: a program may keep files to its end.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::opcodes as op;
use super::state::State;
use super::things::Operation;
use crate::event::{Completion, SiteId};

/// Descriptors that are kept.
const OPEN_MAX: usize = 1 << 20;
/// Places that the summary names.
const PLACES_MAX: usize = 4;

/// By process and number: where each was opened.
#[derive(Debug, Default)]
pub(super) struct Open(FxHashMap<(u32, i32), SiteId>);

impl Open {
    pub(super) fn opened(&mut self, process: u32, fd: i32, site: SiteId) {
        if self.0.len() < OPEN_MAX || self.0.contains_key(&(process, fd)) {
            self.0.insert((process, fd), site);
        }
    }

    pub(super) fn closed(&mut self, process: u32, fd: i32) {
        self.0.remove(&(process, fd));
    }

    /// How many are left, and the places that opened most of them.
    fn left(&self) -> (u64, Vec<(SiteId, u64)>) {
        let mut by_place = BTreeMap::new();
        for site in self.0.values() {
            let count: &mut u64 = by_place.entry(site.0).or_default();
            *count = count.saturating_add(1);
        }
        let mut places: Vec<_> = by_place.into_iter().collect();
        places.sort_by_key(|(site, count)| (std::cmp::Reverse(*count), *site));
        places.truncate(PLACES_MAX);
        let named = places
            .into_iter()
            .map(|(site, count)| (SiteId(site), count));
        (self.0.len() as u64, named.collect())
    }
}

impl State {
    /// An operation has closed a descriptor.
    pub(super) fn note_closed_by_operation(
        &mut self,
        operation: &Operation,
        completion: &Completion,
    ) {
        let entry = &operation.entry;
        if entry.opcode == op::CLOSE && entry.file_index == 0 && completion.res == 0 {
            self.open.closed(operation.id.process, entry.fd);
        }
    }

    pub(super) fn descriptors_at_end(&mut self) {
        (self.summary.open_at_end, self.summary.open_places) = self.open.left();
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
