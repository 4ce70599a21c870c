//! Polls: which completion a coroutine was resumed by, and what it was doing then.

use super::Observer;
use super::moment::{Moment, Resumed};
use super::ringset::RingKey;
use super::state::State;
use super::things::{
    Coroutine, Credit, Delivered, Doing, Early, Found, Operation, Owed, Poll, Standing, Unwoken,
    Woken,
};
use crate::event::{Event, SiteId, TypeId};

/// Ended coroutines that are remembered.
const ENDED_MAX: usize = if cfg!(test) { 64 } else { 1 << 16 };
/// Delivered completions that are remembered for each ring.
const DELIVERED_MAX: usize = 1 << 16;
/// Coroutines that are remembered for having been dropped where they should have been resumed.
const UNWOKEN_MAX: usize = 256;
/// Resumes that are remembered for each ring until what they were by completes.
const EARLY_MAX: usize = 64;
/// Cookies that one suspension can list; a list of that length may have been cut.
const COOKIES_MAX: usize = 64;

impl State {
    pub(super) fn spawn(&mut self, event: &Event, number: u32, site: SiteId, ty: TypeId) {
        self.link(event.id).coroutine = Some(number);
        self.forget_waits(event.process, number);
        let mut coroutine = fresh(event, number);
        coroutine.spawned = Some(event.id);
        (coroutine.spawn_site, coroutine.ty) = (site, ty);
        self.summary.coroutines = self.summary.coroutines.saturating_add(1);
        self.coroutines.insert((event.process, number), coroutine);
    }

    /// The coroutine of a number, made known where it was not.
    fn coroutine(&mut self, event: &Event, number: u32) -> &mut Coroutine {
        let summary = &mut self.summary;
        self.coroutines
            .entry((event.process, number))
            .or_insert_with(|| {
                summary.coroutines = summary.coroutines.saturating_add(1);
                fresh(event, number)
            })
    }

    pub(super) fn resume(
        &mut self,
        event: &Event,
        number: u32,
        by: Option<(u32, u64)>,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        let coroutine = self.coroutine(event, number).clone();
        let found = by.map_or(plainly(&coroutine.doing), |(_, cookie)| {
            self.found(&coroutine, cookie)
        });
        let mut credit = None;
        let mut delivered = None;
        let mut completions_are_known = false;
        if let Some((ring, cookie)) = by
            && let Some(ring) = self.rings.get_mut(&(process, ring))
        {
            completions_are_known = ring.completions > 0;
            delivered = ring.delivered.get(&cookie).copied();
            if let Some(credits) = ring.credits.get_mut(&cookie) {
                // Others with the same cookie may have resumed nobody and never will: the newest
                // is the likeliest. So an older one pays for a second resume by the same word, which is missed then. Nothing
                // that is recorded tells that it must not. A runtime that takes back the owner at once and queues whom it
                // resumes does so when the address is another's: then the first resume was the older one's, and its
                // generation is dead all the same. Nor does it help that whoever waited for the word when it was taken has
                // ended, or was resumed by something else: what it waited for may have gone to the coroutine that is resumed
                // now, with the future, and a suspension names the word, not the generation.
                credit = credits.take_newest();
                if credits.is_empty() {
                    ring.credits.remove(&cookie);
                }
            }
            if credit.is_some() {
                ring.late.forget(cookie);
            } else if ring.late.may_be(cookie, delivered.is_none()) {
                completions_are_known = false;
            }
            if credit.is_none()
                && let Some((count, _)) = ring.forgotten.get_mut(&cookie)
            {
                completions_are_known = false;
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ring.forgotten.remove(&cookie);
                }
            }
            if let Some(Credit {
                completion,
                operation,
                submit,
                ..
            }) = &credit
            {
                if ring.delivered.len() >= DELIVERED_MAX {
                    ring.delivered.clear();
                }
                let delivered = Delivered {
                    completion: *completion,
                    resume: event.id,
                    coroutine: number,
                    operation: *operation,
                    submit: *submit,
                };
                ring.delivered.insert(cookie, delivered);
            }
        }
        let took = match (by, &credit, &delivered) {
            (Some((ring, cookie)), None, Some(delivered)) => {
                let address = self.schemes.address(process, ring, cookie);
                match self.standing(process, address) {
                    Standing::Dead(dead) if dead.generation.leaked > delivered.resume => {
                        Some(dead.generation.id)
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let operation = credit.as_ref().and_then(|credit| credit.operation);
        let about = credit.as_ref().map(|credit| credit.about);
        let link = self.link(event.id);
        link.coroutine = Some(number);
        link.operation = operation.map(|id| (id.ring, id.sequence));
        if let Some(about) = about {
            (link.address, link.generation) = about;
        }
        let waiting = by.and_then(|(_, cookie)| self.waiting.get(&(process, cookie)));
        let waits = match waiting.map(Vec::as_slice) {
            Some([one]) if *one != number => Some(*one),
            _ => None,
        };
        observer.see(&Moment::Resumed(Resumed {
            waits,
            event: event.id,
            coroutine: &coroutine,
            found: found.clone(),
            by,
            credit: credit.as_ref(),
            delivered,
            took,
            completions_are_known,
            until: event.id,
        }));
        if let (None, Some((ring, _))) = (&credit, by) {
            self.may_be_early((process, ring), event, &coroutine, &found);
        }
        if let Some(mut operation) = credit.and_then(|credit| credit.flagged) {
            operation.polled = Some(Poll {
                event: event.id,
                coroutine: number,
                found,
            });
            self.settle(&operation, observer);
        }
        for unwoken in &mut self.unwoken {
            unwoken.went_on |= unwoken.coroutine.process == process;
        }
        self.forget_waits(process, number);
        let outer = self.running.insert(event.lane, number);
        self.leave_stranger(event.lane, number);
        if coroutine.spawned.is_none() {
            let strangers = self.strangers.entry(event.lane).or_default();
            strangers.push((number, event.id));
        }
        if let Some(owed) = coroutine.owed {
            let took = event.at_ns.saturating_sub(owed.at_ns);
            let slowest = self.slowest_ns.entry(process).or_default();
            *slowest = took.max(*slowest);
        }
        let coroutine = self.coroutine(event, number);
        if outer != Some(number) {
            coroutine.outer = outer;
        }
        (coroutine.owed, coroutine.awoken) = (None, None);
        // One that ended stays ended, so that a third resume is seen for what it is.
        if !matches!(coroutine.doing, Doing::Done(_) | Doing::Dropped(_)) {
            let did = std::mem::replace(&mut coroutine.doing, Doing::Running(event.id));
            if let Doing::Suspended {
                event: suspended,
                cookies,
                ..
            } = did
                && by.is_none()
                && !cookies.is_empty()
            {
                coroutine.woken = Some(Woken {
                    suspended,
                    resumed: event.id,
                    cookies,
                });
            }
        }
    }

    /// A coroutine was resumed by what it waits for, while that is in flight. Where nothing was ever taken from the ring, it
    /// may be that nobody records what is: if the operation completes after all, it was not complete by then.
    fn may_be_early(&mut self, ring: RingKey, event: &Event, coroutine: &Coroutine, found: &Found) {
        let Some(ring) = self.rings.get_mut(&ring) else {
            return;
        };
        let is_first = ring.completions == 0 && ring.made.is_some();
        if let Found::TooEarly { operation, .. } = found
            && is_first
            && ring.early.len() < EARLY_MAX
        {
            ring.early.push(Early {
                event: event.id,
                coroutine: coroutine.clone(),
                found: found.clone(),
                operation: *operation,
            });
        }
    }

    /// An operation has its first completion: whoever was resumed by it before was too early.
    pub(super) fn show_early(
        &mut self,
        event: &Event,
        operation: &Operation,
        observer: &mut Observer<'_>,
    ) {
        let id = operation.id;
        let Some(ring) = self.rings.get_mut(&(id.process, id.ring)) else {
            return;
        };
        if !ring.early.iter().any(|early| early.operation == id) {
            return;
        }
        // One that went in behind it with its cookie may be another life of it, and this its completion.
        let is_sure = !operation.ambiguous && !ring.carries(operation.entry.cookie);
        let all = std::mem::take(&mut ring.early).into_iter();
        let (of_it, others): (Vec<Early>, Vec<Early>) =
            all.partition(|early| early.operation == id);
        ring.early = others;
        for early in of_it.into_iter().filter(|_| is_sure) {
            observer.see(&Moment::Resumed(Resumed {
                event: early.event,
                coroutine: &early.coroutine,
                found: early.found,
                by: Some((id.ring, operation.entry.cookie)),
                credit: None,
                delivered: None,
                took: None,
                completions_are_known: true,
                waits: None,
                until: event.id,
            }));
        }
    }

    /// What a resume by `cookie` finds a coroutine doing.
    fn found(&self, coroutine: &Coroutine, cookie: u64) -> Found {
        let Doing::Suspended { cookies, .. } = &coroutine.doing else {
            return plainly(&coroutine.doing);
        };
        if cookies.is_empty() || cookies.len() >= COOKIES_MAX {
            return Found::Unknown;
        }
        if !cookies.contains(&cookie) {
            return Found::Elsewhere;
        }
        let rings = self
            .rings
            .live(coroutine.process)
            .filter(|((process, _), ring)| *process == coroutine.process && ring.dropped.is_none());
        let flying = rings.flat_map(|(_, ring)| {
            let sequences = ring.by_cookie.get(&cookie).into_iter().flatten();
            sequences.filter_map(|sequence| ring.flying.get(sequence))
        });
        let waited = flying
            .filter(|operation| operation.completions == 0)
            .min_by_key(|operation| operation.submit);
        match waited {
            Some(operation) => Found::TooEarly {
                operation: operation.id,
                slot: operation.entry.slot,
                opcode: operation.entry.opcode,
            },
            None => Found::Waiting,
        }
    }

    pub(super) fn suspend(&mut self, event: &Event, number: u32, cookies: &[u64]) {
        let process = event.process;
        self.link(event.id).coroutine = Some(number);
        self.runs_no_more(event, number);
        self.leave_stranger(event.lane, number);
        self.forget_waits(process, number);
        // A batch may hold the completion already, taken and not dispatched.
        let owed = cookies
            .iter()
            .find_map(|cookie| self.undelivered(process, *cookie));
        for cookie in cookies {
            let waiting = self.waiting.entry((process, *cookie)).or_default();
            if !waiting.contains(&number) {
                waiting.push(number);
            }
        }
        let coroutine = self.coroutine(event, number);
        (coroutine.owed, coroutine.awoken) = (owed, None);
        coroutine.doing = Doing::Suspended {
            event: event.id,
            lane: event.lane,
            cookies: cookies.to_vec(),
        };
    }

    /// The completion of a cookie in the batch at hand that resumed nobody yet, where nothing with that
    /// cookie is in flight.
    fn undelivered(&self, process: u32, cookie: u64) -> Option<Owed> {
        let rings = || {
            self.rings
                .live(process)
                .filter(move |((owner, _), ring)| *owner == process && ring.dropped.is_none())
        };
        if rings().any(|(_, ring)| ring.carries(cookie)) {
            return None;
        }
        rings().find_map(|((_, number), ring)| {
            let credit = ring.credits.get(&cookie)?.newest()?;
            (credit.round == ring.round).then_some(Owed {
                completion: credit.completion,
                at_ns: credit.at_ns,
                lane: credit.lane,
                cookie,
                ring: *number,
                latest: (*number, credit.round),
                operation: credit.operation,
                submit: credit.submit,
                generation: None,
                // What is dropped without having been resumed by this one is not asked for.
                cancelled: true,
                woken: false,
            })
        })
    }

    /// A coroutine gives its lane back to the one that resumed it, if that still runs.
    fn runs_no_more(&mut self, event: &Event, number: u32) {
        let process = event.process;
        let outer = self.coroutines.get_mut(&(process, number));
        let outer = outer.and_then(|coroutine| coroutine.outer.take());
        let still = outer.filter(|outer| {
            let outer = self.coroutines.get(&(process, *outer));
            outer.is_some_and(|outer| matches!(outer.doing, Doing::Running(_)))
        });
        match still {
            Some(outer) => self.running.insert(event.lane, outer),
            None => self.running.remove(&event.lane),
        };
    }

    /// A coroutine runs on a lane no more; those that it resumed there do not either.
    fn leave_stranger(&mut self, lane: u32, number: u32) {
        let Some(strangers) = self.strangers.get_mut(&lane) else {
            return;
        };
        if let Some(at) = strangers.iter().rposition(|(one, _)| *one == number) {
            strangers.truncate(at);
        }
        if strangers.is_empty() {
            self.strangers.remove(&lane);
        }
    }

    /// Takes a coroutine off the lists of those that wait.
    fn forget_waits(&mut self, process: u32, number: u32) {
        let Some(coroutine) = self.coroutines.get(&(process, number)) else {
            return;
        };
        let Doing::Suspended { cookies, .. } = &coroutine.doing else {
            return;
        };
        for cookie in cookies {
            if let Some(waiting) = self.waiting.get_mut(&(process, *cookie)) {
                waiting.retain(|other| *other != number);
                if waiting.is_empty() {
                    self.waiting.remove(&(process, *cookie));
                }
            }
        }
    }

    /// A coroutine was woken.
    pub(super) fn wake(&mut self, event: &Event, number: u32) {
        self.link(event.id).coroutine = Some(number);
        let coroutine = self.coroutines.get_mut(&(event.process, number));
        let Some(coroutine) = coroutine else { return };
        if let Some(owed) = &mut coroutine.owed {
            owed.woken = true;
        }
        if matches!(coroutine.doing, Doing::Suspended { .. }) {
            coroutine.awoken.get_or_insert((event.id, event.at_ns));
        }
    }

    /// Notes a coroutine that is dropped while the completion that it waits for is dispatched, and by nobody
    /// who could have meant it: not by another coroutine, and after no cancellation.
    fn note_unwoken(&mut self, event: &Event, number: u32) {
        let Some(coroutine) = self.coroutines.get(&(event.process, number)) else {
            return;
        };
        let (Some(owed), Doing::Suspended { .. }) = (coroutine.owed, &coroutine.doing) else {
            return;
        };
        let (ring, round) = owed.latest;
        let same_batch = self.rings.round(&(event.process, ring)) == round;
        let meant = owed.woken || owed.cancelled || self.running.contains_key(&event.lane);
        if same_batch && !meant && owed.lane == event.lane && self.unwoken.len() < UNWOKEN_MAX {
            self.unwoken.push(Unwoken {
                coroutine: coroutine.clone(),
                owed,
                drop: event.id,
                went_on: false,
            });
        }
    }

    /// A coroutine returned its result, or its future was dropped.
    pub(super) fn leave(
        &mut self,
        event: &Event,
        number: u32,
        done: bool,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        self.link(event.id).coroutine = Some(number);
        if self.running.get(&event.lane) == Some(&number) {
            self.runs_no_more(event, number);
        }
        if !done {
            self.note_unwoken(event, number);
        }
        self.leave_stranger(event.lane, number);
        self.forget_waits(process, number);
        let coroutine = self.coroutine(event, number);
        let ended_before = matches!(coroutine.doing, Doing::Done(_) | Doing::Dropped(_));
        (coroutine.owed, coroutine.awoken) = (None, None);
        // The future of a coroutine that is done is dropped too; done says more.
        if !ended_before {
            coroutine.doing = if done {
                Doing::Done(event.id)
            } else {
                Doing::Dropped(event.id)
            };
            self.ended.push_back((process, number));
        }
        while self.ended.len() > ENDED_MAX {
            let Some(oldest) = self.ended.pop_front() else {
                break;
            };
            let ended = |c: &Coroutine| matches!(c.doing, Doing::Done(_) | Doing::Dropped(_));
            if self.coroutines.get(&oldest).is_some_and(ended) {
                self.coroutines.remove(&oldest);
                if !self.links.names_coroutine(oldest) {
                    observer.objects.forget_coroutine(oldest.0, oldest.1);
                }
            }
        }
    }
}

fn fresh(event: &Event, number: u32) -> Coroutine {
    Coroutine {
        process: event.process,
        number,
        spawned: None,
        spawn_site: SiteId(0),
        ty: TypeId(0),
        scope: event.scope,
        doing: Doing::Fresh,
        outer: None,
        woken: None,
        owed: None,
        awoken: None,
    }
}

/// What a coroutine is found doing where no cookie says more.
fn plainly(doing: &Doing) -> Found {
    match doing {
        Doing::Fresh => Found::Unknown,
        Doing::Running(_) => Found::Running,
        Doing::Suspended { .. } => Found::Waiting,
        Doing::Done(_) => Found::Done,
        Doing::Dropped(_) => Found::Dropped,
    }
}
