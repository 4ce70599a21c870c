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

impl Losses {
    /// Looks over all events. `end` gives the event by which another had happened: where times are by
    /// batch, that is not itself.
    pub(crate) fn survey(events: &[Event], end: impl Fn(EventId) -> EventId) -> Self {
        let mut last: FxHashMap<u32, u64> = FxHashMap::default();
        let mut open: FxHashMap<u32, Vec<usize>> = FxHashMap::default();
        let mut losses = Self::default();
        for event in events {
            if let What::Lost(loss) = &event.what {
                open.entry(event.lane).or_default().push(losses.spans.len());
                losses.spans.push(Span {
                    process: event.process,
                    after: last.get(&event.lane).copied().unwrap_or(0),
                    before: u64::MAX,
                    reason: loss.reason,
                });
                continue;
            }
            for index in open.remove(&event.lane).unwrap_or_default() {
                if let Some(span) = losses.spans.get_mut(index) {
                    span.before = end(event.id).0;
                }
            }
            last.insert(event.lane, event.id.0);
        }
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

    #[test]
    fn a_loss_reaches_from_the_event_before_it_to_the_one_behind() {
        let trace = Trace::parse_text(
            "0 a mark x\n1 a mark x\n2 b mark x\n3 a lost 1 removed\n4 b mark x\n5 a mark x\n6 b mark x\n",
        )
        .unwrap();
        let losses = Losses::survey(trace.events(), |event| event);
        assert!(losses.hide);
        assert_eq!(losses.between(0, 0, EventId(1)), None);
        assert_eq!(losses.between(0, 0, EventId(2)), Some(LossReason::Removed));
        assert_eq!(losses.between(0, 4, EventId(6)), Some(LossReason::Removed));
        assert_eq!(losses.between(0, 5, EventId(6)), None);
        assert_eq!(losses.between(1, 0, EventId(6)), None);
    }

    #[test]
    fn what_a_kill_tore_off_hides_nothing() {
        let losses = Losses::survey(
            Trace::parse_text("0 a mark x\n1 a lost 1 torn\n")
                .unwrap()
                .events(),
            |event| event,
        );
        assert!(!losses.hide);
        assert_eq!(losses.between(0, 0, EventId(9)), None);
    }
}
