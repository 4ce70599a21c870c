//! Several streams, each in the order of time, into one.
//!
//! Events of one time keep the order of their streams, and of one stream their own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::{Lend, Loose};

/// Streams that are being merged.
pub(in crate::read) struct Merge<L> {
    streams: Vec<L>,
    /// The next time of each stream but the one at hand.
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    /// The stream at hand, while it comes before all others.
    from: usize,
}

impl<L: Lend> Merge<L> {
    pub(in crate::read) fn new(mut streams: Vec<L>) -> Self {
        let heads = streams.iter_mut().enumerate();
        let heads = heads.filter_map(|(index, stream)| Some(Reverse((stream.next_ns()?, index))));
        let mut merge = Self {
            heads: heads.collect(),
            streams,
            from: 0,
        };
        merge.change();
        merge
    }

    /// Goes on with the stream that comes first.
    fn change(&mut self) {
        if let Some(Reverse((_, index))) = self.heads.pop() {
            self.from = index;
        }
    }
}

impl<L: Lend> Lend for Merge<L> {
    #[inline]
    fn next_ns(&mut self) -> Option<i64> {
        let head = self.streams.get_mut(self.from)?.next_ns();
        let others = self.heads.peek().map(|Reverse(head)| *head);
        match (head, others) {
            (Some(at_ns), Some(others)) if (at_ns, self.from) > others => {
                if let Some(mut first) = self.heads.peek_mut() {
                    *first = Reverse((at_ns, self.from));
                    self.from = others.1;
                }
                Some(others.0)
            }
            (None, Some(others)) => {
                self.change();
                Some(others.0)
            }
            (head, _) => head,
        }
    }

    #[inline]
    fn lend(&mut self) -> Option<&mut Loose> {
        self.next_ns()?;
        self.streams.get_mut(self.from)?.lend()
    }

    #[inline]
    fn run(&mut self, until_ns: i64) -> &mut [Loose] {
        self.next_ns();
        // Of two at one time the one comes first whose stream does.
        let before = match self.heads.peek() {
            Some(Reverse((at_ns, stream))) if *stream > self.from => *at_ns,
            Some(Reverse((at_ns, _))) => at_ns.saturating_sub(1),
            None => i64::MAX,
        };
        let stream = self.streams.get_mut(self.from);
        stream.map_or(&mut [], |stream| stream.run(until_ns.min(before)))
    }

    #[inline]
    fn fresh(&mut self) -> &mut [Loose] {
        self.next_ns();
        let stream = self.streams.get_mut(self.from);
        stream.map_or(&mut [], Lend::fresh)
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
            let mut runs = Merge::new(streams.clone());
            let mut in_runs = Vec::new();
            loop {
                let run = runs.run(i64::MAX);
                if run.is_empty() {
                    break;
                }
                in_runs.extend(run.iter().map(key));
            }
            prop_assert_eq!(in_runs, all.iter().map(key).collect::<Vec<_>>());
            let merged: Vec<_> = Taken(Merge::new(streams)).map(|event| key(&event)).collect();
            prop_assert_eq!(merged, all.iter().map(key).collect::<Vec<_>>());
        }
    }
}
