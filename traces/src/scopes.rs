//! Which scope each lane works for: its own records say it, and while a coroutine runs there, what spawned that.

use rustc_hash::FxHashMap;

use crate::dense::Dense;
use crate::event::What;
use crate::read::Row;

/// Follows `scope-begin`, `scope-enter` and `scope-end` through one stream of events, and coroutines that were
/// spawned in scopes.
#[derive(Debug, Default)]
pub(crate) struct ScopeTracker {
    /// There was a scope at all.
    has_any: bool,
    /// What each lane works for, as follows from the rest.
    current: Dense<u32>,
    /// What its thread said that it works for, whatever runs on it.
    declared: Dense<u32>,
    parents: FxHashMap<(u32, u32), u32>,
    /// Of each process the scope that is open for all of it.
    whole: FxHashMap<u32, u32>,
    /// Coroutines of scopes, by process and number.
    coroutines: FxHashMap<(u32, u32), u32>,
    /// Of those, what runs on a lane: the innermost last.
    running: FxHashMap<u32, Vec<Running>>,
    /// Open scopes that began while such a coroutine ran: which it was, and what its thread had declared before.
    begun_in: FxHashMap<(u32, u32), (u32, u32)>,
}

/// A coroutine of a scope on a lane.
#[derive(Clone, Copy, Debug)]
struct Running {
    coroutine: u32,
    scope: u32,
    /// What its thread declares where nothing that the coroutine itself began or entered is open.
    base: u32,
}

/// Whether an event may change what another one belongs to: if not, the next one of its lane belongs to what it does.
#[inline]
pub(crate) fn changes(what: &What) -> bool {
    matches!(
        what,
        What::ScopeBegin { .. }
            | What::ScopeEnter { .. }
            | What::ScopeEnd { .. }
            | What::Spawn { .. }
            | What::Resume { .. }
            | What::Suspend { .. }
            | What::Done { .. }
            | What::CoroutineDrop { .. }
            | What::Lost(_)
            | What::Thread { .. }
    )
}

impl ScopeTracker {
    /// The scope that an event belongs to. A begin belongs to the scope that it begins, an end to the
    /// one that it ends.
    pub(crate) fn step(&mut self, process: u32, lane: u32, what: &What) -> u32 {
        self.has_any |= matches!(what, What::ScopeBegin { .. } | What::ScopeEnter { .. });
        match *what {
            What::ScopeBegin {
                scope,
                parent,
                is_process,
                ..
            } => {
                self.parents.insert((process, scope), parent);
                if is_process {
                    self.whole.insert(process, scope);
                }
                let before = *self.declared.slot(lane);
                let running = self.running.get(&lane).and_then(|all| all.last());
                match running {
                    Some(running) => self
                        .begun_in
                        .insert((process, scope), (running.coroutine, before)),
                    None => self.begun_in.remove(&(process, scope)),
                };
                self.declare(lane, scope);
                scope
            }
            What::ScopeEnter { scope } => {
                self.declare(lane, scope);
                scope
            }
            What::ScopeEnd { scope, .. } => {
                if self.whole.get(&process) == Some(&scope) {
                    self.whole.remove(&process);
                }
                let begun_in = self.begun_in.remove(&(process, scope));
                if *self.declared.slot(lane) == scope {
                    let parent = self.parents.get(&(process, scope)).copied();
                    let before = begun_in.map(|(_, before)| before).or(parent);
                    self.declare(lane, before.unwrap_or(0));
                }
                scope
            }
            What::Spawn { coroutine, .. } => {
                let scope = self.of(process, lane);
                match scope {
                    0 => self.coroutines.remove(&(process, coroutine)),
                    _ => self.coroutines.insert((process, coroutine), scope),
                };
                scope
            }
            What::Resume { coroutine, .. } if !self.coroutines.is_empty() => {
                self.resume((process, coroutine), lane);
                self.of(process, lane)
            }
            What::Suspend { coroutine, .. } if !self.running.is_empty() => {
                let scope = self.of(process, lane);
                self.leave(lane, coroutine);
                scope
            }
            What::Done { coroutine } | What::CoroutineDrop { coroutine }
                if !self.coroutines.is_empty() =>
            {
                let scope = self.of(process, lane);
                self.leave(lane, coroutine);
                self.coroutines.remove(&(process, coroutine));
                scope
            }
            // Who runs behind a loss is not known, nor what another thread's lane did before.
            What::Lost(_) | What::Thread { .. } if !self.running.is_empty() => {
                if self.running.remove(&lane).is_some() {
                    self.renew(lane);
                }
                self.of(process, lane)
            }
            _ => self.of(process, lane),
        }
    }

    /// The scope that an event belongs to which changes nothing about that.
    #[inline]
    pub(crate) fn of(&mut self, process: u32, lane: u32) -> u32 {
        if self.has_any {
            self.of_any(process, lane)
        } else {
            0
        }
    }

    /// The same of events of pointers.
    #[inline]
    pub(crate) fn of_rows(&mut self, rows: &mut [Row]) {
        if !self.has_any {
            return;
        }
        let mut same = None;
        for row in rows {
            let place = (row.process, row.lane);
            row.scope = match same {
                Some((before, scope)) if before == place => scope,
                _ => self.of_any(row.process, row.lane),
            };
            same = Some((place, row.scope));
        }
    }

    fn of_any(&mut self, process: u32, lane: u32) -> u32 {
        match *self.current.slot(lane) {
            0 => self.whole.get(&process).copied().unwrap_or(0),
            current => current,
        }
    }

    fn declare(&mut self, lane: u32, scope: u32) {
        *self.declared.slot(lane) = scope;
        self.renew(lane);
    }

    fn renew(&mut self, lane: u32) {
        let declared = *self.declared.slot(lane);
        *self.current.slot(lane) = self.works_for(lane, declared);
    }

    /// What a lane works for that declares a scope: back in what was declared when it resumed a coroutine, it
    /// works for that again.
    fn works_for(&self, lane: u32, declared: u32) -> u32 {
        let running = self.running.get(&lane).and_then(|all| all.last());
        match running {
            Some(running) if running.base == declared => running.scope,
            _ => declared,
        }
    }

    fn resume(&mut self, (process, coroutine): (u32, u32), lane: u32) {
        // Its suspension may not have been told.
        self.leave(lane, coroutine);
        let Some(&scope) = self.coroutines.get(&(process, coroutine)) else {
            return;
        };
        let base = self.base((process, coroutine), lane);
        let below = self.works_for(lane, base);
        // A scope within the coroutine's says more.
        let is_within = crate::model::within(&self.parents, process, below, scope);
        self.running.entry(lane).or_default().push(Running {
            coroutine,
            scope: if is_within { below } else { scope },
            base,
        });
        self.renew(lane);
    }

    /// What a lane declares without the scopes that a coroutine began and holds over its suspensions.
    fn base(&mut self, (process, coroutine): (u32, u32), lane: u32) -> u32 {
        let mut base = *self.declared.slot(lane);
        // A hostile trace may have each begin in the other.
        for _ in 0..1024 {
            match self.begun_in.get(&(process, base)) {
                Some((begun_in, before)) if *begun_in == coroutine => base = *before,
                _ => break,
            }
        }
        base
    }

    fn leave(&mut self, lane: u32, coroutine: u32) {
        let Some(running) = self.running.get_mut(&lane) else {
            return;
        };
        let Some(at) = running.iter().rposition(|one| one.coroutine == coroutine) else {
            return;
        };
        running.truncate(at);
        if running.is_empty() {
            self.running.remove(&lane);
        }
        self.renew(lane);
    }
}

#[cfg(test)]
mod tests {
    use crate::trace::Trace;

    /// The scopes of the marks of a trace.
    #[track_caller]
    fn scopes(text: &str) -> Vec<u32> {
        let trace = Trace::parse_text(text).unwrap();
        let marks = trace.events().iter();
        let marks = marks.filter(|event| matches!(event.what, crate::event::What::Mark { .. }));
        marks.map(|event| event.scope).collect()
    }

    #[test]
    fn coroutine_works_for_what_spawned_it_wherever_it_runs() {
        let text = "
            1 a scope-begin 1
            2 a spawn 7
            3 b scope-begin 2
            4 b mark x
            5 b resume 7
            6 b mark x
            7 b suspend 7
            8 b mark x
            9 c resume 7
            10 c mark x
            11 c scope-begin 3
            12 c mark x
            13 c scope-end 3
            14 c mark x
            15 c done 7
            16 c mark x
        ";
        assert_eq!(scopes(text), [2, 1, 2, 1, 3, 1, 0]);
    }

    #[test]
    fn scopes_that_are_entered_meanwhile_come_first() {
        let text = "
            1 a scope-begin 1
            2 a spawn 7
            3 b resume 7
            4 b scope-enter 2
            5 b mark x
            6 b scope-enter 0
            7 b mark x
            8 b suspend 7
            9 a scope-begin 3 parent=1
            10 a resume 7
            11 a mark x
            12 a suspend 7
            13 a mark x
        ";
        assert_eq!(scopes(text), [2, 1, 3, 3]);
    }

    #[test]
    fn one_that_is_resumed_within_another_leaves_that_running() {
        let text = "
            1 a scope-begin 1
            2 a spawn 7
            3 b scope-begin 2
            4 b spawn 8
            5 b scope-end 2
            6 b resume 7
            7 b resume 8
            8 b mark x
            9 b suspend 8
            10 b mark x
            11 b lost 1 removed
            12 b mark x
            13 b suspend 7
            14 b mark x
        ";
        assert_eq!(scopes(text), [2, 1, 0, 0]);
    }

    #[test]
    fn one_whose_suspension_is_not_told_leaves_once() {
        let text = "
            1 a scope-begin 1
            2 a spawn 7
            3 b scope-begin 2
            4 b resume 7
            5 b resume 7
            6 b mark x
            7 b suspend 7
            8 b mark x
        ";
        assert_eq!(scopes(text), [1, 2]);
    }

    #[test]
    fn going_back_to_what_the_thread_declares_is_going_back_to_the_innermost() {
        let text = "
            1 a scope-begin 1
            2 a spawn 7
            3 a scope-begin 2
            4 a spawn 8
            5 b scope-begin 3
            6 b resume 7
            7 b resume 8
            8 b scope-enter 4
            9 b mark x
            10 b scope-enter 3
            11 b mark x
            12 b suspend 8
            13 b mark x
            14 b suspend 7
            15 b mark x
        ";
        assert_eq!(scopes(text), [4, 2, 1, 3]);
    }

    #[test]
    fn what_a_coroutine_begins_and_holds_over_a_suspension_is_not_left() {
        let text = "
            1 a scope-begin 1
            2 a spawn 7
            3 a scope-begin 2
            4 a spawn 8
            5 b resume 7
            6 b scope-begin 5
            7 b suspend 7
            8 b mark x
            9 b resume 8
            10 b mark x
            11 b suspend 8
            12 b resume 7
            13 b mark x
            14 b suspend 7
            15 b resume 7
            16 b scope-end 5
            17 b mark x
            18 b suspend 7
            19 b mark x
        ";
        assert_eq!(scopes(text), [5, 2, 5, 1, 0]);
    }
}
