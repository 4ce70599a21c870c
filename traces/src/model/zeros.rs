//! Which cookies of 0 a program set, and whether it uses cookies at all.
//!
//! A ring on which nobody ever sets a cookie needs none: who does one thing at a time knows what came back. So what was
//! left unset there is told once an operation of the ring is given one, or it is declared what they are.
//!
//! Of rings that the shim recorded less is known: a slot that was never filled holds 0, and so does one whose operation was
//! given 0 on purpose. So a leftover of 0 counts there where the program tells its operations apart by cookies, and where
//! it was seen that somebody set this very 0. It proves nothing even then: who sets 0 in a slot that holds 0, on another
//! thread, while the poison is put in or taken out, is not seen to.

use wire::payload::Submit;
use wire::record::CookieState;

use super::Observer;
use super::expect::ends_quietly;
use super::moment::Moment;
use super::opcodes as op;
use super::rings::never_set;
use super::state::State;
use super::things::{Lap, Operation, OperationId, Pointers, RingState};
use crate::event::{Event, Submission};

/// Operations in flight with a cookie of 0 that are looked at for one that was given it.
const LOOKED_MAX: usize = 256;

/// What a ring's cookies of 0 are like.
#[derive(Debug, Default)]
pub(crate) struct Zeros {
    /// Opcodes that were given 0, and those that were seen to be given nothing.
    set: Opcodes,
    forgotten: Opcodes,
    /// An operation was given another cookie, or it is declared what they are.
    pub(super) tells_apart: bool,
}

#[derive(Debug, Default)]
struct Opcodes([u64; 4]);

impl Opcodes {
    fn add(&mut self, opcode: u8) {
        self.0[usize::from(opcode >> 6)] |= 1 << (opcode & 63);
    }

    fn has(&self, opcode: u8) -> bool {
        self.0[usize::from(opcode >> 6)] & 1 << (opcode & 63) != 0
    }
}

/// Whether an entry has a cookie by which it is told from others. liburing gives one to the timeouts that it adds by itself.
fn is_cookie(entry: &Submit) -> bool {
    /// `LIBURING_UDATA_TIMEOUT`
    const LIBURINGS: u64 = u64::MAX;
    entry.cookie != 0 && !(entry.opcode == op::TIMEOUT && entry.cookie == LIBURINGS)
}

impl RingState {
    /// What is known of how a submission that the shim did not see got its cookie. What nobody ever gave one to holds no
    /// leftover, however often it went in.
    pub(super) fn known_of_zero(
        &mut self,
        submission: &Submission,
        is_declared: bool,
    ) -> CookieState {
        let (state, entry) = (submission.cookie_state, &submission.entry);
        self.zeros.tells_apart |= is_declared || (is_cookie(entry) && !never_set(state));
        let lap = self.laps.get(&entry.slot);
        let had_none = lap.is_some_and(|lap| lap.state == CookieState::NeverWritten);
        if state == CookieState::Poisoned && entry.cookie == 0 && had_none {
            CookieState::NeverWritten
        } else {
            state
        }
    }

    /// Whether it counts by now that nobody set an operation's cookie: where nothing is told apart, a 0 that was set once is
    /// as good as none.
    pub(super) fn counts(&self, operation: &Operation) -> bool {
        operation.entry.cookie != 0 || self.zeros.tells_apart
    }

    /// What is believed of how a submission that the shim saw got its cookie, which may be a leftover of 0.
    ///
    /// What posts nothing when all goes well needs no cookie, and is believed to do without.
    pub(super) fn believed_of_zero(
        &mut self,
        submission: &Submission,
        is_quiet: bool,
    ) -> CookieState {
        let (state, entry) = (submission.cookie_state, &submission.entry);
        let zeros = &mut self.zeros;
        match (state, entry.cookie) {
            (CookieState::Set, 0) => zeros.set.add(entry.opcode),
            (CookieState::Set, _) => zeros.tells_apart |= is_cookie(entry),
            (CookieState::Poisoned, _) => zeros.forgotten.add(entry.opcode),
            _ => {}
        }
        if entry.cookie != 0 {
            return state;
        }
        let lap = self.laps.get(&entry.slot);
        let was_set = lap.is_some_and(|lap| self.zeros.was_set(lap));
        if state == CookieState::Poisoned && was_set && self.zeros.tells_apart && !is_quiet {
            CookieState::Poisoned
        } else {
            CookieState::Unknown
        }
    }
}

impl State {
    /// What posts nothing when all goes well has failed, and had no cookie: needed it was none until now.
    pub(super) fn came_without(
        &self,
        event: &Event,
        operation: &Operation,
        result: i32,
        observer: &mut Observer<'_>,
    ) {
        let OperationId { process, ring, .. } = operation.id;
        let proof = match self.pointers_on(process, ring) {
            Pointers::No => return,
            Pointers::Declared => None,
            Pointers::Proved(leaked) => Some(leaked),
        };
        let Some(own) = self.rings.get(&(process, ring)) else {
            return;
        };
        // It may be of any that is in flight without one, which they are as long as they say nothing.
        let same = own.by_cookie.get(&0).into_iter().flatten();
        let mut same = same.filter_map(|sequence| own.flying.get(sequence).map(Box::as_ref));
        let mut looked = same.by_ref().take(LOOKED_MAX).chain([operation]);
        let is_believed =
            |it: &Operation| ends_quietly(&it.entry) && it.cookie_state == CookieState::Unknown;
        let all_without = looked.all(is_believed) && same.next().is_none();
        if result < 0 && all_without && !self.schemes.is_sentinel(process, ring, 0) {
            observer.see(&Moment::CameWithout {
                event: event.id,
                operation,
                result,
                proof,
            });
        }
    }
}

impl Zeros {
    /// Whether the 0 that an operation left in its slot was set: seen so, or, where nothing was seen of it, as on a slot's
    /// first lap, by what is seen of others of its kind.
    fn was_set(&self, lap: &Lap) -> bool {
        let of_kind = self.set.has(lap.opcode) && !self.forgotten.has(lap.opcode);
        let seen = lap.zero_was_set || (lap.state == CookieState::Unknown && of_kind);
        lap.cookie == 0 && seen
    }

    /// Whether an operation's own 0 was set, or is one that was set before and stayed.
    pub(super) fn is_set(&self, submission: &Submission, lap: Option<&Lap>) -> bool {
        match submission.cookie_state {
            _ if submission.entry.cookie != 0 => false,
            CookieState::Set => true,
            CookieState::Poisoned => lap.is_some_and(|lap| self.was_set(lap)),
            _ => false,
        }
    }
}
