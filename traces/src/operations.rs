//! What operations owe, for whoever follows them beside the model: counts and timelines ask here, so that they
//! say nothing else than the rules do.

use rustc_hash::FxHashMap;

use crate::event::{Completion, Submission};
use crate::model::{self, Chains};
use crate::trace::Trace;

/// How an operation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// With a last completion, for sure.
    Seen,
    /// Without one if all goes well.
    Quietly,
    /// As one that ends quietly in front of it in its chain lets it: if that fails, this posts nothing.
    BehindQuiet,
}

/// Follows the submissions of all rings, in their order.
#[derive(Clone, Debug, Default)]
pub struct Operations {
    chains: FxHashMap<(u32, u32), Chains>,
    is_lossy: bool,
}

impl Operations {
    /// Before the first submission of a trace.
    pub fn of(trace: &Trace) -> Self {
        Self {
            chains: FxHashMap::default(),
            is_lossy: !trace.recording().losses.is_empty(),
        }
    }

    /// Takes in the next submission of a process, and says how it ends.
    pub fn submitted(&mut self, process: u32, submission: &Submission) -> Ends {
        let entry = &submission.entry;
        let ring = (process, u32::from(entry.ring));
        let chains = self.chains.entry(ring).or_default();
        let is_behind = chains.is_behind_quiet(entry, submission.sequence, self.is_lossy);
        if model::ends_quietly(entry) {
            Ends::Quietly
        } else if is_behind {
            Ends::BehindQuiet
        } else {
            Ends::Seen
        }
    }
}

/// Whether this is the last completion of its operation.
pub fn is_last(completion: &Completion) -> bool {
    model::is_last(completion)
}

/// Whether a completion says that its operation failed; nothing where it does not say, because it only gives
/// a buffer back. A timer that runs out did what it is for, and one that guards another operation is
/// cancelled when that is in time.
pub fn failed(opcode: u8, completion: &Completion) -> Option<bool> {
    const TIMEOUT: u8 = 11;
    const LINK_TIMEOUT: u8 = 15;
    const ETIME: i32 = -62;
    const ECANCELED: i32 = -125;
    if model::is_notification(completion) {
        return None;
    }
    Some(match (opcode, completion.res) {
        (TIMEOUT | LINK_TIMEOUT, ETIME) | (LINK_TIMEOUT, ECANCELED) => false,
        (_, result) => result < 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;

    fn all(text: &str) -> (Vec<Ends>, Vec<Option<bool>>) {
        let trace = Trace::parse_text(text).unwrap();
        let mut operations = Operations::of(&trace);
        let (mut ends, mut results) = (Vec::new(), Vec::new());
        for event in trace.events() {
            match &event.what {
                What::Submit(s) => ends.push(operations.submitted(event.process, s)),
                What::Complete(c) => results.push(failed(15, c)),
                _ => {}
            }
        }
        (ends, results)
    }

    #[test]
    fn an_entry_that_comes_out_of_turn_is_of_no_chain() {
        let (ends, _) = all("
            1 main ring-create 0 sq=8 cq=16
            10 main submit 0 SEND 0x1000 link skip-success len=9 seq=20
            11 main submit 0 RECV 0x2000 len=9 seq=5");
        assert_eq!(ends, [Ends::Quietly, Ends::Seen]);
    }

    #[test]
    fn one_that_skips_its_success_may_end_unseen_and_with_it_what_is_chained_to_it() {
        let (ends, results) = all("
            1 main ring-create 0 sq=8 cq=16
            10 main submit 0 SEND 0x1000 link skip-success len=9
            11 main submit 0 RECV 0x2000 len=9
            12 main submit 0 RECV 0x3000 len=9
            13 main complete 0 0x3000 -62
            14 main complete 0 0x3000 -125
            15 main complete 0 0x3000 -9
            16 main complete 0 0x3000 -9 notif");
        assert_eq!(ends, [Ends::Quietly, Ends::BehindQuiet, Ends::Seen]);
        assert_eq!(results, [Some(false), Some(false), Some(true), None]);
    }
}
