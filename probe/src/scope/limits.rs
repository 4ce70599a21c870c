//! Limits: what may be held and in flight after a warm-up.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use traces::Trace;
use traces::event::{EventId, What};

use super::{SHOWN_MAX, Scope};
use crate::Numbers;

impl Scope {
    /// The end of a warm-up: from here on no more handles may be held, and no more operations in flight,
    /// than there are now. [`Limits::allow_held`] and [`Limits::allow_in_flight`] let so many be added.
    ///
    /// ```
    /// let scope = probe::scope();
    /// # let serve = || drop(unsafe { probe::from_raw::<Box<i32>>(probe::into_raw(Box::new(7))) });
    /// serve(); // pools and caches are full now
    /// let limits = scope.limits().allow_in_flight(4);
    /// for _ in 0..10 {
    ///     serve();
    ///     limits.check();
    /// }
    /// # drop(limits);
    /// scope.assert_clean();
    /// ```
    #[track_caller]
    pub fn limits(&self) -> Limits<'_> {
        let (trace, bytes) = self.look();
        self.demand_all(&trace, &bytes);
        let before = trace.numbers_of_scope(0, self.id);
        let there = [&before.holding[..], &before.in_flight[..]].concat();
        Limits {
            scope: self,
            there: known(&trace, self.id, &there)
                .into_iter()
                .map(|(known, _)| known)
                .collect(),
            before,
            more_held: 0,
            more_in_flight: 0,
        }
    }
}

/// Records, known again in a later look: the thread, and the how manyth of its records since the scope was
/// opened. Nothing since then is missing, while ids are places in one look, which older records that are
/// overwritten shift.
fn known(trace: &Trace, scope: u32, wanted: &[EventId]) -> Vec<(Known, EventId)> {
    let is_begin =
        |what: &What| matches!(what, What::ScopeBegin { scope: begun, .. } if *begun == scope);
    let wanted: HashSet<EventId> = wanted.iter().copied().collect();
    let mut counts: HashMap<u32, u64> = HashMap::new();
    let mut found = Vec::new();
    let events = trace.events().iter();
    for event in events.skip_while(|event| !is_begin(&event.what)) {
        if matches!(event.what, What::Lost(_)) {
            continue;
        }
        let lane = trace.recording().lanes.get(event.lane as usize);
        let tid = lane.map_or(0, |lane| lane.tid);
        let count = counts.entry(tid).or_default();
        *count += 1;
        if wanted.contains(&event.id) {
            found.push(((tid, *count), event.id));
        }
    }
    found
}

/// See [`known`].
type Known = (u32, u64);

/// What may be held and in flight, measured from the end of a warm-up.
///
/// ```
/// use probe::Limits;
///
/// let scope = probe::scope();
/// let limits: Limits<'_> = scope.limits().allow_held(1);
/// let one = probe::into_raw(Box::new(1)); // a cache may keep one more
/// limits.check();
/// let other = probe::into_raw(Box::new(2));
/// let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| limits.check()));
/// assert!(checked.is_err(), "and not two");
/// # drop(limits);
/// # for raw in [one, other] { drop(unsafe { probe::from_raw::<Box<i32>>(raw) }); }
/// scope.assert_clean();
/// ```
#[must_use = "limits are kept by `check`"]
#[derive(Debug)]
pub struct Limits<'a> {
    scope: &'a Scope,
    before: Numbers,
    /// The records behind those numbers.
    there: HashSet<Known>,
    more_held: u64,
    more_in_flight: usize,
}

impl Limits<'_> {
    /// So many handles more may be held than at the end of the warm-up.
    pub fn allow_held(mut self, more: u64) -> Self {
        self.more_held = more;
        self
    }

    /// So many operations more may be in flight than at the end of the warm-up.
    pub fn allow_in_flight(mut self, more: usize) -> Self {
        self.more_in_flight = more;
        self
    }

    /// Panics if there are more by now, with those that were added, and where records were lost since the scope was
    /// opened; the scope stays open. It reads the
    /// whole recording: once a round, not once an operation.
    #[track_caller]
    pub fn check(&self) {
        let (trace, bytes) = self.scope.look();
        self.scope.demand_all(&trace, &bytes);
        let now = trace.numbers_of_scope(0, self.scope.id);
        let held_max = self.before.held.saturating_add(self.more_held);
        let in_flight_max = self.before.in_flight.len() + self.more_in_flight;
        let mut text = String::new();
        let mut over = |what: &str, before: u64, most: u64, now: u64| {
            if now > most {
                // Writing to a string cannot fail.
                let _ = writeln!(
                    text,
                    "{what}: {now}, at most {most} allowed ({before} at the end of the warm-up), in `{}` \
                     (scope opened at {})",
                    self.scope.name, self.scope.at
                );
            }
            now > most
        };
        let is_held = over("handles held", self.before.held, held_max, now.held);
        let in_flight = |events: &[_]| events.len() as u64;
        let is_in_flight = over(
            "operations in flight",
            in_flight(&self.before.in_flight),
            in_flight_max as u64,
            in_flight(&now.in_flight),
        );
        if !is_held && !is_in_flight {
            return;
        }
        let mut all = Vec::new();
        if is_held {
            all.extend(now.holding);
        }
        if is_in_flight {
            all.extend(now.in_flight);
        }
        let mut new = known(&trace, self.scope.id, &all);
        new.retain(|(known, _)| !self.there.contains(known));
        for event in new
            .iter()
            .take(SHOWN_MAX)
            .filter_map(|(_, id)| trace.event(*id))
        {
            let _ = writeln!(text, "  {}", trace.describe(event));
        }
        let more = new.len().saturating_sub(SHOWN_MAX);
        if more > 0 {
            let _ = writeln!(text, "and {more} more, in the trace");
        }
        self.scope.keep(&mut text, None, &bytes);
        panic!("{text}");
    }
}
