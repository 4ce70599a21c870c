//! Where records are missing, as stretches of the causal order in which a missing record may have stood.
//!
//! Found in one look over all events before the model runs, because the last stretch of a lane reaches
//! beyond the lane's last event.

use rustc_hash::FxHashMap;

use crate::event::{Event, EventId, LossReason, What};

/// What the whole stream says before it is gone through.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    spans: Vec<Span>,
    /// Whether something may be hidden by a loss within the recorded time.
    pub(crate) hide: bool,
}

/// A missing record stood behind `after` and before `before`.
#[derive(Clone, Copy, Debug)]
struct Span {
    process: u32,
    after: u64,
    before: u64,
    reason: LossReason,
}

/// One look over all events, in their order.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The latest event of each lane, and the losses since then.
    last: FxHashMap<u32, u64>,
    open: FxHashMap<u32, Vec<usize>>,
    losses: Losses,
}

impl Survey {
    /// Looks at the next event. `end` gives the event by which another had happened: where times are by
    /// batch, that is not itself.
    pub(crate) fn learn(&mut self, event: &Event, end: impl Fn(EventId) -> EventId) {
        let spans = &mut self.losses.spans;
        if let What::Lost(loss) = &event.what {
            self.open.entry(event.lane).or_default().push(spans.len());
            spans.push(Span {
                process: event.process,
                after: self.last.get(&event.lane).copied().unwrap_or(0),
                before: u64::MAX,
                reason: loss.reason,
            });
            return;
        }
        if !self.open.is_empty() {
            for index in self.open.remove(&event.lane).unwrap_or_default() {
                if let Some(span) = spans.get_mut(index) {
                    span.before = end(event.id).0;
                }
            }
        }
        self.last.insert(event.lane, event.id.0);
    }

    /// What is missing, when all events were looked at.
    pub(crate) fn finish(self) -> Losses {
        let mut losses = self.losses;
        // What a kill cut off while it was written did not happen before the kill.
        losses
            .spans
            .retain(|span| span.reason != LossReason::Torn || span.before != u64::MAX);
        losses.hide = losses
            .spans
            .iter()
            .any(|span| span.reason != LossReason::Overwritten);
        losses
    }
}

impl Losses {
    /// Begins to look for what is missing.
    pub(crate) fn survey() -> Survey {
        Survey::default()
    }

    /// The reason of a loss that may have taken a record of this process between two events.
    pub(crate) fn between(&self, process: u32, from: u64, to: EventId) -> Option<LossReason> {
        let touches =
            |span: &&Span| span.process == process && span.before > from && span.after < to.0;
        self.spans.iter().find(touches).map(|span| span.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn survey(trace: &Trace) -> Losses {
        let mut survey = Losses::survey();
        for event in trace.events() {
            survey.learn(event, |event| event);
        }
        survey.finish()
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
    fn what_a_kill_tore_off_hides_nothing() {
        let losses = survey(&Trace::parse_text("0 a mark x\n1 a lost 1 torn\n").unwrap());
        assert!(!losses.hide);
        assert_eq!(losses.between(0, 0, EventId(9)), None);
    }
}
