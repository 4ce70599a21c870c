//! All of a recording that is too long to be looked at closely at once: how much a lane did in each of some stretches of
//! time, and what rings did in all.

use std::collections::BTreeMap;

/// Stretches that all of the time is cut into.
const BUCKETS: usize = 1024;

/// Bits of a latency that are kept: what is told of it is less than 1 % off.
const PRECISION: u32 = 7;

/// How time is cut.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scale {
    bucket_ns: u64,
}

impl Scale {
    pub(super) fn of(last_ns: u64) -> Self {
        Self {
            bucket_ns: last_ns / BUCKETS as u64 + 1,
        }
    }

    fn bucket(self, at_ns: u64) -> usize {
        let at = at_ns / self.bucket_ns.max(1);
        usize::try_from(at).unwrap_or(usize::MAX).min(BUCKETS - 1)
    }
}

/// How much a lane did in each stretch.
#[derive(Clone, Debug)]
pub(super) struct Overview {
    events: Vec<u32>,
    /// The most operations in flight at once; up to the latest change.
    deepest: Vec<u32>,
    /// Operations in flight after that.
    now: u32,
}

impl Overview {
    pub(super) fn new() -> Self {
        Self {
            events: vec![0; BUCKETS],
            deepest: Vec::new(),
            now: 0,
        }
    }

    pub(super) fn event(&mut self, scale: Scale, at_ns: u64) {
        if let Some(events) = self.events.get_mut(scale.bucket(at_ns)) {
            *events = events.saturating_add(1);
        }
    }

    /// Operations in flight changed.
    pub(super) fn changed(&mut self, scale: Scale, at_ns: u64, before: u32, now: u32) {
        let bucket = scale.bucket(at_ns);
        if self.deepest.len() <= bucket {
            self.deepest.resize(bucket + 1, before);
        }
        if let Some(deepest) = self.deepest.get_mut(bucket) {
            *deepest = (*deepest).max(now);
        }
        self.now = now;
    }

    /// About how many events there were from one time until before another.
    pub(super) fn events(&self, scale: Scale, from_ns: u64, until_ns: u64) -> usize {
        let (first, last) = (
            scale.bucket(from_ns),
            scale.bucket(until_ns.saturating_sub(1)),
        );
        let all: u64 = self
            .events
            .get(first..=last)
            .unwrap_or_default()
            .iter()
            .map(|events| u64::from(*events))
            .sum();
        // Of a part of a stretch as much as it is of it, but not nothing.
        let part = u128::from(until_ns.saturating_sub(from_ns));
        let whole = (last - first + 1) as u128 * u128::from(scale.bucket_ns);
        let about = (u128::from(all) * part.min(whole)).div_ceil(whole.max(1));
        usize::try_from(about).unwrap_or(usize::MAX)
    }

    /// The most operations in flight between two times.
    pub(super) fn deepest(&self, scale: Scale, from_ns: u64, until_ns: u64) -> u32 {
        let (first, last) = (
            scale.bucket(from_ns),
            scale.bucket(until_ns.saturating_sub(1)),
        );
        let known = self.deepest.get(first..(last + 1).min(self.deepest.len()));
        let known = known.unwrap_or_default().iter().copied().max();
        // Behind the last change all is as that left it.
        let behind = (last >= self.deepest.len()).then_some(self.now);
        known.max(behind).unwrap_or(0)
    }
}

/// What a ring did in all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) opcodes: BTreeMap<u8, OpcodeSums>,
    pub(crate) enters: u64,
    /// Times that completions were seen to wait in the kernel, and the most that did.
    pub(crate) overflows: (u64, u64),
}

/// What operations of one opcode did in all.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpcodeSums {
    pub(crate) submitted: u64,
    pub(crate) failed: u64,
    pub(crate) pending: u64,
    pub(crate) latencies: Latencies,
}

/// How often operations took how long, nearly.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    /// By the first bits of the latency.
    counts: BTreeMap<u32, u64>,
    all: u64,
    most: u64,
}

impl Latencies {
    pub(crate) fn add(&mut self, ns: u64) {
        *self.counts.entry(class(ns)).or_default() += 1;
        self.all += 1;
        self.most = self.most.max(ns);
    }

    /// Latencies with how many there were of each, the least of its class for all.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts
            .iter()
            .map(|(class, count)| (least(*class), *count))
    }

    /// The nearest ranks of 50, 90, 99 and 100 in a hundred.
    pub(crate) fn percentiles(&self) -> Option<[u64; 4]> {
        let rank = |percent: u64| {
            let wanted = (self.all * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let mut found = self.iter().filter(|(_, count)| {
                seen += count;
                seen >= wanted
            });
            found.next().map(|(ns, _)| ns)
        };
        Some([rank(50)?, rank(90)?, rank(99)?, self.most])
    }
}

/// The position of the first bit, and the ones behind it.
fn class(ns: u64) -> u32 {
    let bits = 64 - ns.leading_zeros();
    let shift = bits.saturating_sub(PRECISION);
    (shift << PRECISION) | (ns >> shift) as u32
}

fn least(class: u32) -> u64 {
    u64::from(class & ((1 << PRECISION) - 1)) << (class >> PRECISION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn percentiles_are_nearly_right(mut all in proptest::collection::vec(any::<u64>().prop_map(|x| x >> (x % 64)), 1..300)) {
            let mut latencies = Latencies::default();
            all.iter().for_each(|ns| latencies.add(*ns));
            all.sort_unstable();
            let rank = |percent: usize| all[(all.len() * percent).div_ceil(100).max(1) - 1];
            let exact = [rank(50), rank(90), rank(99), rank(100)];
            for (exact, told) in exact.into_iter().zip(latencies.percentiles().expect("some")) {
                prop_assert!(told <= exact && exact - told <= exact / 64, "{told} for {exact}");
            }
        }
    }
}
