//! Ticks into nanoseconds of `CLOCK_MONOTONIC`, by pairs of both that were read together.

/// A tick count and the time that was read beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) ticks: u64,
    pub(super) ns: u64,
}

/// A straight line through two pairs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    from: Pair,
    ticks: u64,
    ns: u64,
}

/// Pairs closer than this say less than the rate that the writer measured.
const SHORTEST_NS: u64 = 1_000_000;

impl Line {
    /// A line through the first pair and the farthest of the later ones. Where there is none, the rate
    /// is `ticks_per_second`; where that is 0 too, a tick is taken for a nanosecond.
    pub(super) fn through(
        first: Pair,
        later: impl Iterator<Item = Pair>,
        ticks_per_second: u64,
    ) -> Self {
        let farthest = later
            .filter(|pair| pair.ticks > first.ticks && pair.ns > first.ns)
            .max_by_key(|pair| pair.ticks);
        let rate = (ticks_per_second != 0).then_some((ticks_per_second, 1_000_000_000));
        let line = |(ticks, ns)| Self {
            from: first,
            ticks,
            ns,
        };
        match (farthest, rate) {
            (Some(pair), Some(rate)) if pair.ns - first.ns < SHORTEST_NS => line(rate),
            (Some(pair), _) => line((pair.ticks - first.ticks, pair.ns - first.ns)),
            (None, Some(rate)) => line(rate),
            (None, None) => line((1, 1)),
        }
    }

    /// A tick is a nanosecond.
    pub(super) fn nanoseconds(first: Pair) -> Self {
        Self {
            from: first,
            ticks: 1,
            ns: 1,
        }
    }

    /// Time of a tick count, which may lie before the first pair. All factors are below 2^64, so
    /// that their product fits.
    pub(super) fn at(&self, ticks: u64) -> i128 {
        let since = i128::from(ticks) - i128::from(self.from.ticks);
        // |since| < 2^64 and ns < 2^63 in any sane file; a hostile one saturates.
        let scaled = since.saturating_mul(i128::from(self.ns)) / i128::from(self.ticks.max(1));
        scaled.saturating_add(i128::from(self.from.ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Pair = Pair {
        ticks: 1000,
        ns: 5_000_000_000,
    };

    #[test]
    fn line_goes_through_the_farthest_pair() {
        let near = Pair {
            ticks: 2000,
            ns: 5_000_000_400,
        };
        let far = Pair {
            ticks: 26_001_000,
            ns: 5_010_000_000,
        };
        let line = Line::through(FIRST, [near, far].into_iter(), 1);
        assert_eq!(line.at(1000), 5_000_000_000);
        assert_eq!(line.at(26_001_000), 5_010_000_000);
        assert_eq!(line.at(13_001_000), 5_005_000_000);
        assert_eq!(line.at(0), 5_000_000_000 - 384);
    }

    #[test]
    fn pairs_too_close_give_way_to_the_measured_rate() {
        let near = Pair {
            ticks: 2000,
            ns: 5_000_000_001,
        };
        let line = Line::through(FIRST, std::iter::once(near), 2_000_000_000);
        assert_eq!(line.at(3000), 5_000_001_000);
    }

    #[test]
    fn hostile_numbers_saturate() {
        let first = Pair { ticks: 0, ns: 0 };
        let far = Pair {
            ticks: 1,
            ns: u64::MAX,
        };
        let line = Line::through(first, std::iter::once(far), 0);
        assert!(line.at(u64::MAX) > 0);
        assert_eq!(Line::through(first, std::iter::empty(), 0).at(7), 7);
    }
}
