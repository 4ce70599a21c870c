//! Where records are missing, as stretches of the causal order in which a missing record may have stood.
//!
//! All of them are known once all events were looked at: a loss stands in front of what its lane goes on with, and its
//! stretch begins behind the lane's last event before that. Which findings a loss explains is asked where they are told,
//! and not in the first pass, which only finds out whether there are any: so that pass looks at losses on its way, and
//! where there is nothing to tell it was the only one.
//!
//! One thing is asked before: whether something is older than what was kept, so that nothing is to be told of it. That is
//! known on the way once no loss is still to come; until then it counts as something to tell, and the next pass decides.

use rustc_hash::FxHashMap;

use super::Facts;
use super::unheard::Unheard;
use crate::dense::Dense;
use crate::event::{Event, EventId, Loss, LossReason, What};
use crate::read::Pointers;
use crate::recording::Recording;

/// What is missing of each process.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    of: FxHashMap<u32, Spans>,
    /// Whether something may be hidden by a loss within the recorded time.
    pub(crate) hide: bool,
    /// Processes with rings that the kernel alone sees, which may send messages: the event behind which the first such
    /// ring was made.
    unheard: FxHashMap<u32, u64>,
}

/// A missing record stood behind `after` and before `before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    process: u32,
    after: u64,
    before: u64,
    reason: LossReason,
    /// Its lane went on behind it.
    goes_on: bool,
}

/// The spans of a process in their order, so that the first one that touches a stretch of events is found
/// without a look at each: there may be as many as there are chunks, and as many questions as findings.
#[derive(Debug, Default)]
struct Spans {
    spans: Vec<Span>,
    /// A row for each level: the latest `before` and the earliest `after` of [`FAN`] of the level below.
    levels: Vec<Vec<(u64, u64)>>,
}

/// Spans, or groups of them, that are looked at one after the other.
const FAN: usize = 16;

impl Spans {
    fn new(spans: Vec<Span>) -> Self {
        let reach = |of: &[(u64, u64)]| {
            let nothing = (0, u64::MAX);
            of.iter().fold(nothing, |reach, one| {
                (reach.0.max(one.0), reach.1.min(one.1))
            })
        };
        let ends: Vec<_> = spans.iter().map(|span| (span.before, span.after)).collect();
        let mut levels = vec![ends];
        while let Some(below) = levels.last().filter(|below| below.len() > FAN) {
            let above = below.chunks(FAN).map(reach).collect();
            levels.push(above);
        }
        Self { spans, levels }
    }

    /// The first one behind `from` and before `to`.
    fn first(&self, from: u64, to: u64) -> Option<&Span> {
        let top = self.levels.len().checked_sub(1)?;
        let len = self.levels.get(top)?.len();
        self.spans.get(self.look(top, 0..len, (from, to))?)
    }

    fn look(
        &self,
        level: usize,
        range: std::ops::Range<usize>,
        (from, to): (u64, u64),
    ) -> Option<usize> {
        let groups = self.levels.get(level)?;
        for at in range {
            let Some((before, after)) = groups.get(at) else {
                break;
            };
            if *before <= from || *after >= to {
                continue;
            }
            let Some(below) = level.checked_sub(1) else {
                return Some(at);
            };
            let found = self.look(below, at * FAN..(at + 1) * FAN, (from, to));
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// One look over all events, in their order.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The latest event of each lane, and the losses since then.
    last: Dense<u64>,
    open: FxHashMap<u32, Vec<usize>>,
    spans: Vec<Span>,
    /// Losses that there are in all, if each event has a time of its own, and those that were met.
    all: Option<u64>,
    met: u64,
    /// What those of a process say as yet.
    so_far: FxHashMap<u32, SoFar>,
    unheard: Unheard,
}

/// What the losses of a process say that were met.
#[derive(Clone, Copy, Debug)]
struct SoFar {
    /// Why records are missing at the first of them.
    first: LossReason,
    /// The event in front of which the last of their stretches ended, and those that did not end.
    before: u64,
    open: u64,
}

impl Survey {
    /// Looks at the next event. `end` gives the event by which another had happened: where times are by
    /// batch, that is not itself.
    #[inline]
    pub(crate) fn learn(&mut self, event: &Event, end: impl Fn(&Event) -> EventId) {
        self.unheard.learn(event);
        if let What::Lost(loss) = &event.what {
            return self.lose(event.process, event.lane, loss);
        }
        if !self.open.is_empty() {
            self.close(event.lane, end(event));
        }
        *self.last.slot(event.lane) = event.id.0;
    }

    /// Looks at the next ones, which tell of pointers, each at a time of its own.
    #[inline]
    pub(crate) fn learn_rows(&mut self, pointers: &Pointers<'_>) {
        let mut next = pointers.first.0;
        for of_lane in pointers.rows.chunk_by(|one, other| one.lane == other.lane) {
            let Some(row) = of_lane.first() else {
                continue;
            };
            if !self.open.is_empty() {
                self.close(row.lane, EventId(next));
            }
            next += of_lane.len() as u64;
            *self.last.slot(row.lane) = next - 1;
        }
    }

    #[cold]
    fn lose(&mut self, process: u32, lane: u32, loss: &Loss) {
        self.met = self.met.saturating_add(1);
        let after = self.last.get(lane);
        let Loss { records, reason } = *loss;
        let count = records.unwrap_or(1);
        if reason == LossReason::RingNotFollowed && self.unheard.is_told(process, count, after) {
            return;
        }
        self.open.entry(lane).or_default().push(self.spans.len());
        // The kernel has a buffer for each processor, and one that lost records says so only when it has room again,
        // by whichever thread runs there then, or in the end.
        let is_told_late = reason == LossReason::KernelBuffer;
        self.spans.push(Span {
            process,
            after: if is_told_late { 0 } else { after },
            before: u64::MAX,
            reason,
            goes_on: false,
        });
        let so_far = self.so_far.entry(process).or_insert(SoFar {
            first: reason,
            before: 0,
            open: 0,
        });
        so_far.open = so_far.open.saturating_add(1);
    }

    /// A lane goes on, with something that had happened by an event.
    fn close(&mut self, lane: u32, end: EventId) {
        for index in self.open.remove(&lane).unwrap_or_default() {
            let Some(span) = self.spans.get_mut(index) else {
                continue;
            };
            (span.before, span.goes_on) = (end.0, true);
            if let Some(so_far) = self.so_far.get_mut(&span.process) {
                so_far.before = so_far.before.max(end.0);
                so_far.open = so_far.open.saturating_sub(1);
            }
        }
    }

    /// As [`Losses::opened_behind`], up to the event at hand. Where what is still to come may be the reason that it is not,
    /// it is not.
    pub(crate) fn opened_behind(&self, process: u32, first: EventId) -> bool {
        let so_far = self.so_far.get(&process);
        so_far
            .filter(|_| self.all == Some(self.met))
            .is_some_and(|it| {
                it.first == LossReason::Overwritten && it.open == 0 && it.before <= first.0
            })
    }

    /// What is missing, when all events were looked at.
    pub(crate) fn finish(self) -> Losses {
        let mut spans = self.spans;
        // What a kill cut off while it was written did not happen before the kill.
        spans.retain(|span| span.reason != LossReason::Torn || span.goes_on);
        // What was overwritten hides as much as any other: a fault that was recorded, and its record with it.
        let hide = !spans.is_empty();
        let mut of: FxHashMap<u32, Vec<Span>> = FxHashMap::default();
        for span in spans {
            of.entry(span.process).or_default().push(span);
        }
        let of = of.into_iter();
        Losses {
            of: of
                .map(|(process, spans)| (process, Spans::new(spans)))
                .collect(),
            hide,
            unheard: self.unheard.finish(),
        }
    }
}

impl Losses {
    /// Begins to look for what is missing, where anything is.
    pub(crate) fn survey(recording: &Recording, facts: &Facts) -> Option<Survey> {
        if !facts.is_lossy() {
            return None;
        }
        Some(Survey {
            all: facts.by_batch.is_empty().then_some(facts.losses),
            unheard: Unheard::new(recording),
            ..Survey::default()
        })
    }

    /// The reason of a loss that may have taken a record of this process between two events.
    pub(crate) fn between(&self, process: u32, from: u64, to: EventId) -> Option<LossReason> {
        let found = self.of.get(&process)?.first(from, to.0)?;
        Some(found.reason)
    }

    /// Whether what came on a ring by an event may be a message of a ring that nobody but the kernel sees, which does not
    /// say what was sent.
    pub(crate) fn may_be_a_message(&self, process: u32, by: EventId) -> bool {
        self.unheard.get(&process).is_some_and(|made| *made < by.0)
    }

    /// Whether nothing is missing of a process between two events, and what was before the first of them was overwritten.
    pub(crate) fn opened_behind(&self, process: u32, first: EventId, to: EventId) -> bool {
        self.between(process, first.0, to).is_none()
            && self.between(process, 0, to) == Some(LossReason::Overwritten)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Loss;
    use crate::read::Row;
    use crate::trace::Trace;

    fn survey(trace: &Trace) -> Losses {
        let events: Vec<Event> = trace.events().iter().cloned().collect();
        let facts = Facts::survey(trace.recording(), &events);
        let mut survey = Losses::survey(trace.recording(), &facts).unwrap_or_default();
        for event in &events {
            survey.learn(event, |event| event.id);
        }
        survey.finish()
    }

    /// The stretches of some events, each by what it is.
    fn spans(events: &[Event]) -> Vec<Span> {
        let mut spans = Vec::new();
        for (at, event) in events.iter().enumerate() {
            let What::Lost(loss) = &event.what else {
                continue;
            };
            let is_lanes = |it: &&Event| it.lane == event.lane && !matches!(it.what, What::Lost(_));
            let before = events[..at].iter().rfind(is_lanes);
            let behind = events[at..].iter().find(is_lanes);
            let is_told_late = loss.reason == LossReason::KernelBuffer;
            spans.push(Span {
                process: event.process,
                after: before.filter(|_| !is_told_late).map_or(0, |it| it.id.0),
                before: behind.map_or(u64::MAX, |it| it.id.0),
                reason: loss.reason,
                goes_on: behind.is_some(),
            });
        }
        spans
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However events come, one by one or as rows; and what is known on the way of what opened behind a loss is what
        /// is known in the end.
        #[test]
        fn stretches_are_found_on_the_way(
            told in prop::collection::vec((0u32..4, 0usize..12, 1usize..5), 0..60),
            asked in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 8),
        ) {
            use LossReason::{Damaged, KernelBuffer, Overwritten, Torn};
            let reasons = [Overwritten, Overwritten, Damaged, KernelBuffer, Torn];
            let mut events: Vec<Event> = Vec::new();
            for (lane, what, count) in told {
                for _ in 0..count {
                    let loss = reasons.get(what).map(|reason| {
                        What::Lost(Loss { records: None, reason: *reason })
                    });
                    let pointer = What::Peek(Row::of_other(0, (0, 0), &What::Done { coroutine: 0 }).pointer());
                    events.push(Event {
                        id: EventId(events.len() as u64),
                        at_ns: 0,
                        process: lane % 2,
                        lane,
                        scope: 0,
                        what: loss.unwrap_or(pointer),
                    });
                }
            }
            let recording = Recording::default();
            let facts = Facts::survey(&recording, &events);
            let survey = || Losses::survey(&recording, &facts).unwrap_or_default();
            let mut by_rows = survey();
            let is_row = |event: &Event| Row::of_pointer(event).is_some();
            for run in events.chunk_by(|one, other| is_row(one) && is_row(other)) {
                let rows: Vec<Row> = run.iter().filter_map(Row::of_pointer).collect();
                if rows.is_empty() {
                    run.iter().for_each(|event| by_rows.learn(event, |event| event.id));
                } else {
                    let (first, first_ns) = (run[0].id, 0);
                    by_rows.learn_rows(&Pointers { rows: &rows, first, first_ns });
                }
            }
            prop_assert_eq!(&by_rows.spans, &spans(&events));
            let losses = by_rows.finish();
            let mut by_events = survey();
            let mut so_far = Vec::new();
            for event in &events {
                by_events.learn(event, |event| event.id);
                let asked = asked.iter().filter(|(at, _)| at.index(events.len()) as u64 == event.id.0);
                so_far.extend(asked.map(|(_, first)| {
                    let first = EventId(first.index(events.len()) as u64).min(event.id);
                    (event, first, by_events.opened_behind(event.process, first))
                }));
            }
            prop_assert_eq!(&by_events.spans, &spans(&events));
            let all = facts.losses;
            for (event, first, opened) in so_far {
                let known = losses.opened_behind(event.process, first, event.id);
                prop_assert!(known || !opened);
                // All of them lie before it, and none is one that turns out to be none.
                let is_loss = |it: &&Event| matches!(it.what, What::Lost(_));
                let met = events[..=event.id.0 as usize].iter().filter(is_loss).count() as u64;
                let torn = spans(&events).iter().any(|it| it.reason == Torn && !it.goes_on);
                prop_assert!(opened || !known || met < all || torn);
            }
        }
    }

    #[test]
    fn a_loss_reaches_from_the_event_before_it_to_the_one_behind() {
        let trace = Trace::parse_text(
            "0 a mark x\n1 a mark x\n2 b mark x\n3 a lost 1 removed\n4 b mark x\n5 a mark x\n6 b mark x\n",
        )
        .unwrap();
        let losses = survey(&trace);
        assert!(losses.hide);
        assert_eq!(losses.between(0, 0, EventId(1)), None);
        assert_eq!(losses.between(0, 0, EventId(2)), Some(LossReason::Removed));
        assert_eq!(losses.between(0, 4, EventId(6)), Some(LossReason::Removed));
        assert_eq!(losses.between(0, 5, EventId(6)), None);
        assert_eq!(losses.between(1, 0, EventId(6)), None);
    }

    #[test]
    fn what_found_no_room_in_the_kernels_buffer_may_have_been_missing_for_long() {
        let text = "0 a mark x\n1 a mark x\n2 a lost 1 kernel-buffer\n3 a mark x\n4 a mark x\n";
        let losses = survey(&Trace::parse_text(text).unwrap());
        let reason = Some(LossReason::KernelBuffer);
        assert_eq!(losses.between(0, 0, EventId(1)), reason);
        assert_eq!(losses.between(0, 2, EventId(4)), reason);
        assert_eq!(losses.between(0, 4, EventId(5)), None);
    }

    #[test]
    fn the_first_of_many_that_touches_is_found_as_by_looking_at_each() {
        use LossReason::{Damaged, Overwritten, Removed};
        let mut word = 7u64;
        let mut below = |below: u64| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            word % below
        };
        let mut spans = Vec::new();
        for at in 0..5_000 {
            let reason = [Damaged, Overwritten, Removed][at as usize % 3];
            let (after, before) = (at - below(at.min(40) + 1), at + below(40));
            let process = 0;
            spans.push(Span {
                process,
                after,
                before,
                reason,
                goes_on: true,
            });
        }
        let all = Spans::new(spans);
        let mut found = 0;
        for _ in 0..2_000 {
            let (from, to) = (below(5_100), below(5_100));
            let plain = all
                .spans
                .iter()
                .position(|span| span.before > from && span.after < to);
            let first = all
                .first(from, to)
                .map(|span| all.spans.iter().position(|it| std::ptr::eq(it, span)));
            assert_eq!(first, plain.map(Some), "{from} {to}");
            found += usize::from(plain.is_some());
        }
        assert!((500..1_500).contains(&found), "{found}");
    }

    #[test]
    fn what_was_overwritten_hides_what_it_held() {
        for reason in ["overwritten", "removed"] {
            let text =
                format!("0 a lost 9 {reason}\n1 a submit 0 NOP 0x1000\n2 a complete 0 0x1000 0\n");
            let trace = Trace::parse_text(&text).unwrap();
            assert_eq!(trace.verdict().exit_code(), 3, "{reason}");
            assert_eq!(
                trace.verdict().summary.rings,
                1,
                "its making is what is missing"
            );
        }
    }

    /// Of what the shim does not follow the kernel says what was done, if it was listened to.
    #[test]
    fn a_ring_that_is_not_followed_hides_nothing_where_the_kernel_tells_of_it() {
        let kernels = "process 1 pid=77 start=9 capture=kernel end=exit:0\nlane k process=1\n";
        let others = kernels.replace("pid=77", "pid=78");
        let losses = "1 a lost 1 ring-not-followed\n2 a lost 1 ring-not-followed\n";
        let other = losses.replace("1 ring-not", "1 not");
        for (more, losses, code, says) in [
            ("", losses, 3, "missing: what was done on 2 rings"),
            (kernels, losses, 0, "no findings\n"),
            (&others, losses, 3, "missing: what was done on 2 rings"),
            (
                kernels,
                &other,
                3,
                "missing: 1 record of a ring that cannot be followed",
            ),
        ] {
            let text = format!(
                "process 0 pid=77 start=9 capture=preload end=exit:0\n{more}0 a mark x\n{losses}"
            );
            let trace = Trace::parse_text(&text).unwrap();
            assert_eq!(trace.verdict().exit_code(), code, "{text}");
            let report = crate::report::text(&trace, 100);
            assert!(report.contains(says), "{report}");
            assert_eq!(report.contains("missing:"), code == 3, "{report}");
        }
    }

    #[test]
    fn what_a_kill_tore_off_hides_nothing() {
        let losses = survey(&Trace::parse_text("0 a mark x\n1 a lost 1 torn\n").unwrap());
        assert!(!losses.hide);
        assert_eq!(losses.between(0, 0, EventId(9)), None);
    }
}
