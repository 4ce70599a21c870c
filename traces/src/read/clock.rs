//! Ticks into nanoseconds of `CLOCK_MONOTONIC`, by pairs of both that were read together.

use crate::recording::Pace;

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
    /// Nanoseconds of a tick: whole ones, and 2^64ths of one, rounded up.
    rate: (u64, u64),
    /// Ticks since [`Line::from`] from which on that is not good enough.
    near: u64,
}

/// Times of ticks that are counted from a base on.
#[derive(Clone, Copy, Debug)]
pub(super) struct NearFrom {
    /// The base, counted from the first pair on.
    since: u64,
    rate: (u64, u64),
    from_ns: u64,
}

/// As [`Line::anywhere`], without dividing. By the rate, which is rounded up, it is a nanosecond later where no more than a
/// 2^14th of one is missing to that; no tick is earlier than the one before for it.
#[inline(always)]
fn near(since: u64, (whole, part): (u64, u64), from_ns: u64) -> i64 {
    let part = (u128::from(since) * u128::from(part)) >> 64;
    let scaled = since.wrapping_mul(whole).wrapping_add(part as u64);
    // Both are below 2^62.
    scaled.wrapping_add(from_ns) as i64
}

impl NearFrom {
    /// What [`Line::at`] says of so many ticks behind the base.
    #[inline(always)]
    pub(super) fn at(&self, ticks: u32) -> i64 {
        near(
            self.since.wrapping_add(u64::from(ticks)),
            self.rate,
            self.from_ns,
        )
    }
}

/// Pairs closer than this say less than the rate that the writer measured.
const SHORTEST_NS: u64 = 1_000_000;

/// Ticks below this are so few that what a rate has too much does not add up to a 2^14th of a nanosecond.
const NEAR: u64 = 1 << 50;

/// A nanosecond has at most so many ticks: then that is less than a tick.
const SLOW: u64 = 1 << 14;

/// With no more nanoseconds in a tick, so many ticks have a time that 62 bits hold.
const FAST: u64 = 1 << 12;

fn saturated(at_ns: i128) -> i64 {
    i64::try_from(at_ns).unwrap_or(if at_ns < 0 { i64::MIN } else { i64::MAX })
}

impl Line {
    fn new(from: Pair, ticks: u64, ns: u64) -> Self {
        let ticks = ticks.max(1);
        let rate = (u128::from(ns) << 64).div_ceil(u128::from(ticks));
        let rate = ((rate >> 64) as u64, rate as u64);
        let is_sane = rate.0 < FAST && ticks / SLOW < ns && from.ns < 1 << 62;
        Self {
            from,
            ticks,
            ns,
            rate,
            near: if is_sane { NEAR } else { 0 },
        }
    }

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
        let line = |(ticks, ns)| Self::new(first, ticks, ns);
        match (farthest, rate) {
            (Some(pair), Some(rate)) if pair.ns - first.ns < SHORTEST_NS => line(rate),
            (Some(pair), _) => line((pair.ticks - first.ticks, pair.ns - first.ns)),
            (None, Some(rate)) => line(rate),
            (None, None) => line((1, 1)),
        }
    }

    /// The line as it is told to others.
    pub(super) fn pace(&self) -> Pace {
        Pace {
            from_ns: saturated(i128::from(self.from.ns)),
            ticks: self.ticks,
            ns: self.ns,
        }
    }

    /// The time that the file began at.
    pub(super) fn begin(&self) -> i64 {
        saturated(i128::from(self.from.ns))
    }

    /// A tick is a nanosecond.
    pub(super) fn nanoseconds(first: Pair) -> Self {
        Self::new(first, 1, 1)
    }

    /// Time of a tick count, which may lie before the first pair.
    #[inline]
    pub(super) fn at(&self, ticks: u64) -> i64 {
        match ticks.checked_sub(self.from.ticks) {
            Some(since) if since < self.near => near(since, self.rate, self.from.ns),
            _ => self.anywhere(ticks),
        }
    }

    /// The same of ticks counted from a base on, where none of them lies before the first pair or far behind it.
    #[inline]
    pub(super) fn near_from(&self, base: u64) -> Option<NearFrom> {
        let since = base.checked_sub(self.from.ticks)?;
        let latest = since.saturating_add(u64::from(u32::MAX));
        let is_near = latest < self.near && base.checked_add(u32::MAX.into()).is_some();
        is_near.then_some(NearFrom {
            since,
            rate: self.rate,
            from_ns: self.from.ns,
        })
    }

    /// All factors are below 2^64, so that their product fits.
    fn anywhere(&self, ticks: u64) -> i64 {
        let since = i128::from(ticks) - i128::from(self.from.ticks);
        // |since| < 2^64 and ns < 2^63 in any sane file; a hostile one saturates.
        let scaled = since.saturating_mul(i128::from(self.ns)) / i128::from(self.ticks);
        saturated(scaled.saturating_add(i128::from(self.from.ns)))
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
    fn near_and_far_say_the_same() {
        let mut random = 1u64;
        for (ticks, ns) in [
            (2_600_000_017, 1_000_000_000),
            (1, 1),
            (3, 1),
            (1, 3),
            (7, u64::MAX),
            (u64::MAX, 7),
            (999_999_999, 1_000_000_007),
        ] {
            let line = Line::new(FIRST, ticks, ns);
            for shift in 0..64 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let since = random >> shift;
                let at = FIRST.ticks.saturating_add(since);
                assert_eq!(line.at(at), line.anywhere(at), "{ticks} {ns} {since}");
            }
        }
    }

    #[test]
    fn time_does_not_go_back_where_what_is_near_ends() {
        for (ticks, ns) in [
            (2_600_000_017, 1_000_000_000),
            (SLOW - 1, 1),
            (SLOW, 1),
            (SLOW + 1, 1),
            (SLOW * 7 - 1, 7),
            ((1 << 62) - 1, (1 << 48) + 1),
            (999_999_999, 1_000_000_007),
            (3, 1),
        ] {
            let line = Line::new(FIRST, ticks, ns);
            let end = FIRST.ticks + NEAR;
            let times: Vec<i64> = (end - 1000..end + 1000).map(|at| line.at(at)).collect();
            assert!(times.is_sorted(), "{ticks} {ns}");
            let far = |at: u64| line.anywhere(FIRST.ticks + at);
            let multiples = (0..1000).map(|times| times * 1_000_000_000);
            for at in multiples.filter(|at| *at < NEAR) {
                assert!(matches!(line.at(FIRST.ticks + at) - far(at), 0 | 1));
            }
        }
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
