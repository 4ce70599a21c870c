//! Which operation an entry became that the program was seen to put into a submission queue.
//!
//! What was called says the ring by its descriptor, and the entry by its index, which is the operation's number. That is
//! believed of a ring as long as what it submits under these numbers carries the cookies that were pushed: one that
//! differs, and nothing more is said of that ring.

use std::collections::VecDeque;

use super::Observer;
use super::ringset::RingKey;
use super::state::State;
use crate::event::{Event, EventId, Submission};

/// Pushed and not submitted, kept for each ring: no queue has more slots.
const WAITING_MAX: usize = 1 << 15;
/// Operations whose push is known while something may be said of them.
const KNOWN_MAX: usize = 1 << 20;

/// What was pushed onto a ring.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// The latest entry's number.
    newest: u64,
    /// Numbers and cookies of those that were not submitted yet, and where they were pushed; oldest first.
    waiting: VecDeque<(u64, u64, EventId)>,
    /// Another cookie was submitted under a number than was pushed: they are not the numbers of operations.
    is_other: bool,
}

impl State {
    /// An entry was put into the queue of the ring with a descriptor.
    pub(super) fn push(&mut self, event: &Event, fd: i32, index: u32, cookie: u64) {
        let process = event.process;
        let Some(ring) = self.ring_of_fd.get(&(process, fd)) else {
            return;
        };
        let key = (process, *ring);
        let pushed = self.pushed.entry(key).or_default();
        if pushed.is_other {
            return;
        }
        let number = pushed.number(index);
        pushed.newest = number;
        if pushed.waiting.len() >= WAITING_MAX {
            pushed.waiting.pop_front();
        }
        pushed.waiting.push_back((number, cookie, event.id));
        let address = self.schemes.address(process, key.1, cookie);
        let place = (process, address);
        let live = self.addresses.get(place).and_then(|it| it.live());
        let generation = live.map(|live| live.id.number);
        let link = self.link(event.id);
        link.operation = Some((key.1, number));
        if let Some(generation) = generation {
            (link.address, link.generation) = (address, generation);
        }
    }

    /// A ring was made: what was pushed onto one with its number before was another's. The descriptor of one that went
    /// unseen may have been used again: the latest is meant.
    pub(super) fn made_with(&mut self, key: RingKey, fd: i32) {
        if !self.pushed.is_empty() {
            self.pushed.remove(&key);
        }
        self.ring_of_fd.insert((key.0, fd), key.1);
    }

    /// A ring is gone, and its descriptor stands for none.
    pub(super) fn gone_with(&mut self, key: RingKey, fd: i32) {
        if self.ring_of_fd.get(&(key.0, fd)) == Some(&key.1) {
            self.ring_of_fd.remove(&(key.0, fd));
        }
    }

    /// An operation was submitted: holds its cookie against the one that was pushed.
    #[inline]
    pub(super) fn hold_against_push(
        &mut self,
        event: &Event,
        key: RingKey,
        submission: &Submission,
        observer: &mut Observer<'_>,
    ) {
        if self.pushed.is_empty() {
            return;
        }
        let pushed = self.pushed.get_mut(&key);
        let push = pushed.and_then(|it| it.submitted(submission.sequence, submission.entry.cookie));
        if let Some(push) = push {
            if observer.pushes.len() >= KNOWN_MAX {
                // Of what was submitted that long ago little is said any more.
                observer.pushes.clear();
            }
            observer.pushes.insert(event.id, push);
        }
    }
}

impl Pushed {
    /// The number with these low bits that is nearest to the latest.
    fn number(&self, index: u32) -> u64 {
        let ahead = index.wrapping_sub(self.newest as u32).cast_signed();
        let number = self.newest.checked_add_signed(ahead.into());
        number.unwrap_or_else(|| index.into())
    }

    /// An operation was submitted: where it was pushed.
    fn submitted(&mut self, number: u64, cookie: u64) -> Option<EventId> {
        let mut found = None;
        while let Some(&(waits, pushed, push)) = self.waiting.front() {
            if waits > number {
                break;
            }
            self.waiting.pop_front();
            if waits == number && pushed != cookie {
                self.is_other = true;
                self.waiting.clear();
            } else if waits == number {
                found = Some(push);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::trace::Trace;

    #[test]
    fn numbers_go_on_past_32_bits() {
        let mut pushed = Pushed::default();
        assert_eq!(pushed.number(7), 7);
        pushed.newest = u64::from(u32::MAX) - 1;
        assert_eq!(pushed.number(1), (1 << 32) + 1);
        pushed.newest = (1 << 32) + 1;
        assert_eq!(pushed.number(u32::MAX), u64::from(u32::MAX));
    }

    const HEAD: &str = "
        process 0 pid=77 start=9 capture=preload end=exit:0
        process 1 pid=77 start=9 capture=uprobes
        lane main tid=77
        lane calls process=1 tid=77
        1 main ring-create 2 fd=5
        ";

    fn trace(text: &str) -> Trace {
        Trace::parse_text(&format!("{HEAD}{text}")).unwrap()
    }

    /// What the pushes of a trace are linked to.
    fn pushes(text: &str) -> Vec<Option<(u32, u64)>> {
        let trace = trace(text);
        let pushes = trace
            .events()
            .iter()
            .filter(|it| matches!(it.what, What::Push { .. }));
        pushes.map(|it| trace.link(it.id).operation).collect()
    }

    #[test]
    fn a_push_is_of_the_operation_with_its_index_on_the_ring_with_its_descriptor() {
        let of = pushes(
            "20 calls push 5 0 0x7
            21 calls push 5 1 0x7
            22 calls push 6 0 0x7
            30 main submit 2 NOP 0x7
            31 main submit 2 NOP 0x7",
        );
        assert_eq!(of, [Some((2, 0)), Some((2, 1)), None]);
    }

    #[test]
    fn a_push_is_of_the_latest_ring_with_its_descriptor_while_that_is_there() {
        let of = pushes(
            "2 main ring-create 3 fd=5
            20 calls push 5 0 0x7
            21 main ring-drop 2
            22 calls push 5 1 0x7
            23 main ring-drop 3
            24 calls push 5 2 0x7
            25 main ring-create 3 fd=6
            26 calls push 5 0 0x7
            27 main ring-create 3 fd=7
            28 calls push 6 0 0x7
            29 calls push 7 0 0x7",
        );
        assert_eq!(
            of,
            [Some((3, 0)), Some((3, 1)), None, None, None, Some((3, 0))]
        );
    }

    #[test]
    fn a_push_onto_any_descriptor_is_printed_and_read_again() {
        let text = trace("20 calls push -7 4294967295 0xffffffffffffffff").to_text();
        assert!(
            text.contains(" push -7 4294967295 0xffffffffffffffff"),
            "{text}"
        );
        assert_eq!(Trace::parse_text(&text).unwrap().to_text(), text);
    }

    #[test]
    fn nothing_is_said_of_a_ring_once_another_cookie_was_submitted_than_was_pushed() {
        let of = pushes(
            "20 calls push 5 0 0x7
            30 main submit 2 NOP 0x8
            40 calls push 5 1 0x9
            41 main submit 2 NOP 0x9",
        );
        assert_eq!(of, [Some((2, 0)), None]);
        // Another ring with that number is believed anew.
        let of = pushes(
            "20 calls push 5 0 0x7
            30 main submit 2 NOP 0x8
            35 main ring-drop 2
            36 main ring-create 2 fd=5
            40 calls push 5 0 0x9
            41 main submit 2 NOP 0x9",
        );
        assert_eq!(of, [Some((2, 0)), Some((2, 0))]);
    }

    #[test]
    fn a_finding_about_a_submission_rests_on_the_push_too_unless_it_pushed_another_cookie() {
        let found = |pushed: &str| {
            let trace = trace(&format!(
                "10 calls leak 0x1010 Conn conn.rs:8 owner=Rc
                20 calls push 5 0 0x1010
                21 main submit 2 RECV 0x1010
                30 calls push 5 1 {pushed}
                31 main submit 2 NOP 0x0 set"
            ));
            let stories = &trace.verdict().stories;
            let [story] = &stories[..] else {
                panic!("{stories:#?}");
            };
            assert_eq!(story.head.rule.0, 1);
            let of_push = |it: &&crate::finding::Evidence| {
                let event = trace.event(it.event).unwrap();
                matches!(event.what, What::Push { .. })
            };
            let evidence = story.head.evidence.iter();
            evidence
                .filter(of_push)
                .map(|it| it.event.0)
                .collect::<Vec<_>>()
        };
        let both = found("0x0");
        assert_eq!(both.len(), 1, "{both:?}");
        assert_eq!(found("0x5"), [] as [u64; 0]);
    }
}
