//! Several streams, each in the order of time, into one.
//!
//! Events of one time keep the order of their streams, and of one stream their own. Only rows are copied: events that have
//! more to say stay where their stream keeps them. So a batch ends where a stream would have to go on to its next one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::{Lend, Loose, Row, Told, up_to};

/// Streams that are being merged.
pub(in crate::read) struct Merge<L> {
    streams: Vec<Merged<L>>,
    /// The next time of each stream that has one.
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    /// Streams whose batches were gone through.
    spent: Vec<usize>,
    /// Of which stream the event of each row is that leaves it to one, and how many were asked for.
    others: Vec<usize>,
    lent: usize,
}

/// One of them.
struct Merged<L> {
    stream: L,
    rows: Vec<Row>,
    /// The next of so many rows.
    next: usize,
    count: usize,
}

impl<L: Lend> Merge<L> {
    pub(in crate::read) fn new(streams: Vec<L>) -> Self {
        let streams = streams.into_iter().map(|stream| Merged {
            stream,
            rows: Vec::new(),
            next: 0,
            count: 0,
        });
        let streams: Vec<_> = streams.collect();
        Self {
            spent: (0..streams.len()).collect(),
            heads: BinaryHeap::with_capacity(streams.len()),
            streams,
            others: Vec::new(),
            lent: 0,
        }
    }

    /// Gives the rows of the stream that comes first, up to where another one does; whether it has more.
    #[inline]
    fn step(&mut self, to: &mut Vec<Row>) -> bool {
        let Some(Reverse((_, from))) = self.heads.pop() else {
            return false;
        };
        // Of two at one time the one comes first whose stream does.
        let before = match self.heads.peek() {
            Some(Reverse((at_ns, stream))) if *stream > from => *at_ns,
            Some(Reverse((at_ns, _))) => at_ns.saturating_sub(1),
            None => i64::MAX,
        };
        let Some(merged) = self.streams.get_mut(from) else {
            return false;
        };
        let rows = merged.rows.get(merged.next..merged.count);
        let rows = rows.unwrap_or_default();
        let count = up_to(rows, before);
        let taken = rows.get(..count).unwrap_or_default();
        to.extend_from_slice(taken);
        let others = taken.iter().filter(|row| row.told == Told::Other);
        self.others.extend(others.map(|_| from));
        let next = rows.get(count).map(|row| row.at_ns);
        merged.next += count;
        match next {
            Some(at_ns) => self.heads.push(Reverse((at_ns, from))),
            None => self.spent.push(from),
        }
        next.is_some()
    }
}

/// Rows of a batch, of however many lanes: what is looked up for all of them before has to be at hand still.
const ROWS_MAX: usize = 4096;

impl<L: Lend> Lend for Merge<L> {
    fn fill(&mut self, rows: &mut Vec<Row>) -> usize {
        for index in self.spent.drain(..) {
            let Some(merged) = self.streams.get_mut(index) else {
                continue;
            };
            (merged.next, merged.count) = (0, merged.stream.fill(&mut merged.rows));
            if let Some(first) = merged.rows.get(..merged.count).and_then(<[_]>::first) {
                self.heads.push(Reverse((first.at_ns, index)));
            }
        }
        self.lent = 0;
        self.others.clear();
        rows.clear();
        while rows.len() < ROWS_MAX && self.step(rows) {}
        rows.len()
    }

    #[inline]
    fn other(&mut self) -> Option<&mut Loose> {
        let of = *self.others.get(self.lent)?;
        self.lent += 1;
        self.streams.get_mut(of)?.stream.other()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Ready, Taken};
    use super::*;
    use crate::event::What;
    use crate::stack::StackId;
    use proptest::prelude::*;

    fn events(lane: u32, times: &[i64]) -> Vec<Loose> {
        let done = || What::Done { coroutine: 0 };
        let event = |at_ns: &i64| Loose::new(*at_ns, (0, lane), done(), StackId(0));
        times.iter().map(event).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn merging_is_stable_sorting(
            mut lanes in prop::collection::vec(prop::collection::vec(0i64..50, 0..30), 0..6),
        ) {
            let mut all = Vec::new();
            let mut streams = Vec::new();
            for (lane, times) in (0u32..).zip(&mut lanes) {
                times.sort_unstable();
                all.extend(events(lane, times));
                streams.push(Ready::new(events(lane, times)));
            }
            all.sort_by_key(|event| event.at_ns);
            let key = |event: &Loose| (event.at_ns, event.lane());
            let merged: Vec<_> = Taken::new(Merge::new(streams)).map(|event| key(&event)).collect();
            prop_assert_eq!(merged, all.iter().map(key).collect::<Vec<_>>());
        }
    }
}
