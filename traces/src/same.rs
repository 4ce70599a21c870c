//! What of one look at a recording is what of another: numbers of events, lanes, processes and generations count
//! from what was there at each look, so that they are others once more was written, or the oldest is gone.
//!
//! An event is known by its thread, its time and its kind. Times are compared by the ticks that they came from, as
//! how long a tick is, is known better with each look (see [`Pace`](crate::recording::Pace)).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::event::{Event, EventId, What};
use crate::events::{Events, Iter};
use crate::finding::Subject;
use crate::recording::Recording;
use crate::trace::Trace;

/// How far times of one tick may be apart after having been translated, in ns: they are rounded twice.
const ROUNDED_NS: u64 = 2;

/// Events that may have been moved behind or before others, so that times are not sorted there.
const OUT_OF_ORDER: usize = 256;

/// Two looks at one recording.
#[derive(Debug)]
pub struct Same<'a> {
    old: &'a Trace,
    new: &'a Trace,
    /// By old index.
    processes: Vec<Option<u32>>,
    lanes: Vec<Option<u32>>,
}

impl<'a> Same<'a> {
    /// Finds out which processes and lanes are the same.
    pub fn between(old: &'a Trace, new: &'a Trace) -> Self {
        let (before, after) = (old.recording(), new.recording());
        let process = |recording: &Recording, at: usize| {
            let process = recording.processes.get(at)?;
            Some((process.pid, process.start_time))
        };
        let processes = pairs(
            (before.processes.len(), |at| process(before, at)),
            (after.processes.len(), |at| process(after, at)),
        );
        let lane = |recording: &Recording, at: usize, process: Option<u32>| {
            let lane = recording.lanes.get(at)?;
            // A thread may change its name, but not its number, where that is known.
            let name = (lane.tid == 0).then(|| recording.string(lane.thread).clone());
            Some((process?, lane.tid, name))
        };
        let lanes = pairs(
            (before.lanes.len(), |at| {
                let owner = before.lanes.get(at)?.process;
                lane(before, at, *processes.get(owner as usize)?)
            }),
            (after.lanes.len(), |at| {
                lane(after, at, Some(after.lanes.get(at)?.process))
            }),
        );
        Self {
            old,
            new,
            processes,
            lanes,
        }
    }

    /// The process that was the one of an old index.
    pub fn process(&self, old: u32) -> Option<u32> {
        *self.processes.get(old as usize)?
    }

    /// The lane that was the one of an old index.
    pub fn lane(&self, old: u32) -> Option<u32> {
        *self.lanes.get(old as usize)?
    }

    /// The moment that was at an old time; the beginning, where it was before what is there now. `process`, an old
    /// index, is whose ticks it is told by.
    pub fn at_ns(&self, at_ns: u64, process: u32) -> u64 {
        let (before, after) = (self.old.recording(), self.new.recording());
        let absolute = i128::from(before.began_ns) + i128::from(at_ns);
        let absolute = i64::try_from(absolute).unwrap_or(i64::MAX);
        let paces = (before.process(process), self.process(process));
        let translated = match (paces.0, paces.1.and_then(|new| after.process(new))) {
            (Some(old), Some(new)) => new.pace.translate(absolute, &old.pace),
            _ => absolute,
        };
        let since = i128::from(translated) - i128::from(after.began_ns);
        u64::try_from(since.max(0)).unwrap_or(u64::MAX)
    }

    /// The event that had an old number, where it is still there.
    pub fn event(&self, old: EventId) -> Option<EventId> {
        let event = self.old.event(old)?;
        let lane = self.lane(event.lane)?;
        let at_ns = self.at_ns(event.at_ns, event.process);
        // Of several of one kind at one time, the third is the third again.
        let is_like = |other: &Event| {
            other.lane == event.lane
                && other.at_ns == event.at_ns
                && is_alike(&event.what, &other.what)
        };
        let before = around(self.old.events(), event.at_ns, 0);
        let rank = before
            .filter(|other| other.id < old && is_like(other))
            .count();
        let after = around(self.new.events(), at_ns, ROUNDED_NS);
        let mut found = after.filter(|other| {
            other.lane == lane
                && other.at_ns.abs_diff(at_ns) <= ROUNDED_NS
                && is_alike(&event.what, &other.what)
        });
        found.nth(rank).map(|event| event.id)
    }

    /// What an old subject is called now. `events` are some of its events; where it is known by its generation, one
    /// of them has to be there still.
    pub fn subject(
        &self,
        old: Subject,
        events: impl IntoIterator<Item = EventId>,
    ) -> Option<Subject> {
        let known = |is_it: &dyn Fn(&Subject) -> bool| {
            let mut known = events
                .into_iter()
                .filter(|event| self.old.subject_of(*event) == Some(old))
                .filter_map(|event| self.new.subject_of(self.event(event)?));
            known.find(is_it)
        };
        match old {
            Subject::Operation {
                process,
                ring,
                sequence,
            } => {
                let process = self.process(process)?;
                // The high half of a sequence number is counted from what is there.
                let is_here = |subject: &Subject| {
                    matches!(subject, Subject::Operation { process: of, ring: on, .. }
                        if (*of, *on) == (process, ring))
                };
                known(&is_here).or(Some(Subject::Operation {
                    process,
                    ring,
                    sequence,
                }))
            }
            Subject::Coroutine { process, coroutine } => Some(Subject::Coroutine {
                process: self.process(process)?,
                coroutine,
            }),
            Subject::Cookie {
                process,
                ring,
                cookie,
            } => Some(Subject::Cookie {
                process: self.process(process)?,
                ring,
                cookie,
            }),
            Subject::Generation {
                process,
                address,
                generation,
            } => {
                let process = self.process(process)?;
                let is_here = |subject: &Subject| {
                    matches!(subject, Subject::Generation { process: of, address: at, .. }
                        if (*of, *at) == (process, address))
                };
                known(&is_here).or_else(|| {
                    // Nothing at the beginning is gone, so that they count from the same one.
                    let losses = |trace: &Trace| trace.recording().losses.len();
                    (losses(self.old) == losses(self.new)).then_some(Subject::Generation {
                        process,
                        address,
                        generation,
                    })
                })
            }
        }
    }
}

/// Whether two events say the same, as far as what they say does not depend on the look: names are numbered by
/// each look anew.
fn is_alike(old: &What, new: &What) -> bool {
    match (old, new) {
        (What::Leak(a), What::Leak(b))
        | (What::Reclaim(a), What::Reclaim(b))
        | (What::Peek(a), What::Peek(b))
        | (What::Retain(a), What::Retain(b))
        | (What::Release(a), What::Release(b)) => a.address == b.address,
        (What::Submit(a), What::Submit(b)) => {
            (a.entry.ring, a.entry.sequence) == (b.entry.ring, b.entry.sequence)
        }
        _ => std::mem::discriminant(old) == std::mem::discriminant(new),
    }
}

/// Events around a time.
fn around(events: &Events, at_ns: u64, more_ns: u64) -> Iter<'_> {
    let first = events.partition_point(|event| event.at_ns < at_ns.saturating_sub(more_ns));
    let end = events.partition_point(|event| event.at_ns <= at_ns.saturating_add(more_ns));
    events.range(first.saturating_sub(OUT_OF_ORDER)..end.saturating_add(OUT_OF_ORDER))
}

/// For each of the first ones the second one with the same key; of several, by their order.
fn pairs<K: Eq + Hash>(
    (old, key_of_old): (usize, impl Fn(usize) -> Option<K>),
    (new, key_of_new): (usize, impl Fn(usize) -> Option<K>),
) -> Vec<Option<u32>> {
    let mut left: HashMap<K, VecDeque<u32>> = HashMap::new();
    for at in 0..new {
        if let (Some(key), Ok(at)) = (key_of_new(at), u32::try_from(at)) {
            left.entry(key).or_default().push_back(at);
        }
    }
    (0..old)
        .map(|at| left.get_mut(&key_of_old(at)?)?.pop_front())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hash::Hasher;

    use super::*;
    use crate::recording::Pace;

    /// `first` of the lines are gone, and all is later by `began`.
    fn look(lines: &[&str], first: usize, began_ns: u64) -> Trace {
        let text: String = lines
            .iter()
            .skip(first)
            .map(|line| {
                let (at, rest) = line.split_once(' ').unwrap();
                format!("{} {rest}\n", at.parse::<u64>().unwrap() - began_ns)
            })
            .collect();
        let trace = Trace::parse_text(&format!("process 0 pid=7\n{text}")).unwrap();
        trace.with_beginning(i64::try_from(began_ns).unwrap())
    }

    const LINES: [&str; 6] = [
        "0 other leak 0x10 conn::Conn src/conn.rs:8 owner=Box",
        "10 main leak 0x20 conn::Conn src/conn.rs:8 owner=Box",
        "20 main reclaim 0x20 conn::Conn src/conn.rs:9 owner=Box",
        "30 main leak 0x20 conn::Conn src/conn.rs:8 owner=Box",
        "30 main leak 0x20 conn::Conn src/conn.rs:8 owner=Box",
        "40 other reclaim 0x10 conn::Conn src/conn.rs:9 owner=Box",
    ];

    #[test]
    fn events_are_known_when_the_oldest_are_gone_and_more_came() {
        let old = look(&LINES[..5], 0, 0);
        let new = look(&LINES, 1, 10);
        let same = Same::between(&old, &new);
        let found: Vec<Option<u64>> = (0..5)
            .map(|id| same.event(EventId(id)).map(|found| found.0))
            .collect();
        assert_eq!(found, [None, Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(same.at_ns(30, 0), 20);
        assert_eq!(same.at_ns(5, 0), 0);
    }

    #[test]
    fn a_generation_is_known_by_its_events_however_it_is_counted() {
        let old = look(&LINES[..5], 0, 0);
        let new = look(&LINES, 3, 30);
        let subject = old.subject_of(EventId(3)).unwrap();
        let same = Same::between(&old, &new);
        let now = same.subject(subject, [EventId(3)]).unwrap();
        assert_eq!(Some(now), new.subject_of(EventId(0)));
        assert_ne!(now, subject, "two generations of that address are gone");
    }

    #[test]
    fn a_better_known_clock_moves_no_event() {
        let pace = |ticks, ns| Pace {
            from_ns: 1_000,
            ticks,
            ns,
        };
        // A tick of 2.6 GHz, first from its nominal rate, then measured: 20 ppm off.
        let (old, new) = (
            pace(2_600_000_000, 1_000_000_000),
            pace(2_600_052_000, 1_000_000_000),
        );
        for ticks in [0u64, 1, 77, 26_000_000_000, 9_360_000_000_000] {
            let at = |pace: &Pace| {
                let since = u128::from(ticks) * u128::from(pace.ns) / u128::from(pace.ticks);
                pace.from_ns + i64::try_from(since).unwrap()
            };
            let translated = new.translate(at(&old), &old);
            assert!(
                translated.abs_diff(at(&new)) <= ROUNDED_NS,
                "{ticks}: {translated} is not {}",
                at(&new)
            );
        }
    }

    #[test]
    fn a_lane_that_came_in_front_moves_the_others() {
        let old = look(&LINES[..3], 1, 0);
        let new = look(&LINES, 0, 0);
        let same = Same::between(&old, &new);
        assert_eq!(same.event(EventId(0)), Some(EventId(1)));
        assert_eq!(same.event(EventId(1)), Some(EventId(2)));
    }

    #[test]
    fn of_several_with_one_key_each_has_its_own() {
        let pairs = |old: &[Option<char>], new: &[Option<char>]| {
            let old = (old.len(), |at: usize| old[at]);
            super::pairs(old, (new.len(), |at: usize| new[at]))
        };
        let (a, b, c) = (Some('a'), Some('b'), Some('c'));
        assert_eq!(
            pairs(&[a, b, None, a, a], &[b, a, None, c, a]),
            [Some(1), Some(0), None, Some(4), None]
        );
    }

    #[test]
    fn many_lanes_are_paired_without_each_asking_all() {
        const LANES: usize = 20_000;
        struct Key<'a>(usize, &'a Cell<usize>);
        impl PartialEq for Key<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.1.set(self.1.get() + 1);
                self.0 == other.0
            }
        }
        impl Eq for Key<'_> {}
        impl Hash for Key<'_> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }
        let asked = Cell::new(0);
        // Those of the old look are at the end of the new one.
        let found = pairs(
            (LANES, |at| Some(Key(LANES + at, &asked))),
            (2 * LANES, |at| Some(Key(at, &asked))),
        );
        let at = |old: usize| u32::try_from(LANES + old).ok();
        assert!((0..LANES).all(|old| found[old] == at(old)));
        assert!(asked.get() < 10 * LANES, "{} comparisons", asked.get());
    }
}
