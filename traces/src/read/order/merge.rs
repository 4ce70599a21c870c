//! Several streams, each in the order of time, into one.
//!
//! Events of one time keep the order of their streams, and of one stream their own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::Loose;

/// Streams that are being merged.
pub(in crate::read) struct Merge<I> {
    streams: Vec<I>,
    /// The next event of each stream but the one that is being copied from, by time and stream.
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    waiting: Vec<Option<Loose>>,
    /// The stream that is being copied from, while it comes before all others.
    from: usize,
    next: Option<Loose>,
}

impl<I: Iterator<Item = Loose>> Merge<I> {
    pub(in crate::read) fn new(streams: Vec<I>) -> Self {
        let mut merge = Self {
            heads: BinaryHeap::with_capacity(streams.len()),
            waiting: streams.iter().map(|_| None).collect(),
            streams,
            from: 0,
            next: None,
        };
        for index in 0..merge.streams.len() {
            let next = merge.streams.get_mut(index).and_then(Iterator::next);
            merge.wait(index, next);
        }
        merge.change();
        merge
    }

    fn wait(&mut self, index: usize, event: Option<Loose>) {
        if let (Some(event), Some(place)) = (event, self.waiting.get_mut(index)) {
            self.heads.push(Reverse((event.at_ns, index)));
            *place = Some(event);
        }
    }

    /// Goes on with the stream that comes first.
    fn change(&mut self) {
        if let Some(Reverse((_, index))) = self.heads.pop() {
            self.from = index;
            self.next = self.waiting.get_mut(index).and_then(Option::take);
        }
    }
}

impl<I: Iterator<Item = Loose>> Iterator for Merge<I> {
    type Item = Loose;

    fn next(&mut self) -> Option<Loose> {
        let event = self.next.take()?;
        let next = self.streams.get_mut(self.from).and_then(Iterator::next);
        let others = self.heads.peek().map(|Reverse(head)| *head);
        match (next, others) {
            (Some(next), Some(others)) if (next.at_ns, self.from) > others => {
                self.wait(self.from, Some(next));
                self.change();
            }
            (None, Some(_)) => self.change(),
            (next, _) => self.next = next,
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::stack::StackId;
    use proptest::prelude::*;

    fn events(lane: u32, times: &[i64]) -> Vec<Loose> {
        let event = |at_ns: &i64| Loose {
            at_ns: *at_ns,
            process: 0,
            lane,
            what: What::Done { coroutine: 0 },
            stack: StackId(0),
        };
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
                streams.push(events(lane, times).into_iter());
            }
            all.sort_by_key(|event| event.at_ns);
            let key = |event: &Loose| (event.at_ns, event.lane);
            let merged: Vec<_> = Merge::new(streams).map(|event| key(&event)).collect();
            prop_assert_eq!(merged, all.iter().map(key).collect::<Vec<_>>());
        }
    }
}
