//! Requests that named a word which no operation ever carried, before them or behind: it is known at the end only.
//!
//! That a request finds nobody is nothing: what it names may have ended just before. So of all that find nobody those are
//! kept whose word is nobody's and never was, while there was something in flight that they could have hit.

use super::State;
use super::finish::End;
use super::moment::Moment;
use super::queue::Name;
use super::things::{Operation, Pointers, RingState, Standing};
use super::{Observer, cuts};
use crate::event::EventId;

/// Words whose first request is kept.
const KEPT_MAX: usize = 256;

/// One that found nobody.
#[derive(Debug)]
pub(super) struct Misnamed {
    operation: Operation,
    /// Its completion.
    event: EventId,
}

impl RingState {
    /// Whether no operation carries a cookie here, and none ever did.
    pub(super) fn never_carried(&self, cookie: u64) -> bool {
        self.made.is_some()
            && !self.names_are_lost
            && !self.past_forgotten
            && !self.past.contains_key(&cookie)
            && !self.carries(cookie)
    }
}

impl State {
    /// A request found nobody of the name that it asked for.
    pub(super) fn note_misnamed(&mut self, event: EventId, operation: &Operation) {
        let id = operation.id;
        let Some(name) = Name::of(operation) else {
            return;
        };
        let word = (id.process, name.cookie);
        let is_known = self.misnamed.contains_key(&word);
        if operation.ambiguous || is_known || self.misnamed.len() >= KEPT_MAX {
            return;
        }
        let address = self.schemes.address(id.process, id.ring, name.cookie);
        // What was leaked may have been meant to go in, and did not.
        let is_somebody = !matches!(self.standing(id.process, address), Standing::Unknown)
            || self.schemes.is_sentinel(id.process, id.ring, name.cookie);
        // A number may stand for nobody on purpose, to see what comes of it.
        let are_pointers = self.pointers_on(id.process, id.ring) != Pointers::No;
        let own = self.rings.get(&(id.process, id.ring));
        if is_somebody || !are_pointers || !own.is_some_and(RingState::may_look) {
            return;
        }
        let (is_nobodys, rings) = self.is_nobodys(id.process, name.cookie);
        let Some(ring) = self.rings.get_mut(&(id.process, id.ring)) else {
            return;
        };
        ring.looked_at = ring.looked_at.saturating_add(rings);
        if !is_nobodys {
            return;
        }
        let flying = ring.flying.values().map(Box::as_ref);
        let mut was_there = flying.filter(|other| other.submit < operation.submit);
        let could_hit = was_there.any(|other| other.sure && name.may_hit(other));
        // Of what is left of a word that somebody carries another rule has spoken.
        let mut others = ring.flying.values();
        let is_cut = cuts::may_be_half(name.cookie)
            && others.any(|other| cuts::is_half_of(name.cookie, other.entry.cookie));
        ring.looked_at = ring.looked_at.saturating_add(ring.flying.len() as u64);
        if could_hit && !is_cut {
            let first = Misnamed {
                operation: operation.clone(),
                event,
            };
            self.misnamed.insert(word, first);
        }
    }

    /// Whether none of a process's rings has an operation that carries a word, or had; and how many were looked at for that.
    fn is_nobodys(&self, process: u32, cookie: u64) -> (bool, u64) {
        let is_strange = |ring: &RingState| ring.never_carried(cookie) && !ring.has_renamed;
        let rings = self.rings.live(process);
        for (looked_at, (_, ring)) in (1..).zip(rings) {
            if !is_strange(ring) {
                return (false, looked_at);
            }
        }
        (true, self.rings.live(process).count() as u64)
    }

    /// An operation carries a word, or will: whoever named it before was early.
    pub(super) fn is_carried(&mut self, process: u32, cookie: u64) {
        self.misnamed.remove(&(process, cookie));
    }

    pub(super) fn misnamed_at_end(&self, end: &End, observer: &mut Observer<'_>) {
        let misnamed = self.misnamed.values();
        let misnamed = misnamed.filter(|one| one.operation.id.process == end.process);
        let mut misnamed: Vec<_> = misnamed.collect();
        misnamed.sort_by_key(|one| one.event);
        for one in misnamed {
            observer.see(&Moment::Misnamed {
                event: one.event,
                operation: &one.operation,
                until: end.at,
            });
        }
    }
}
