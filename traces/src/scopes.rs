//! Which scope each lane works for, as its own records say.

use rustc_hash::FxHashMap;

use crate::dense::Dense;
use crate::event::What;

/// Follows `scope-begin`, `scope-enter` and `scope-end` through one stream of events.
#[derive(Debug, Default)]
pub(crate) struct ScopeTracker {
    current: Dense<u32>,
    parents: FxHashMap<(u32, u32), u32>,
    /// Of each process the scope that is open for all of it.
    whole: FxHashMap<u32, u32>,
}

impl ScopeTracker {
    /// The scope that an event belongs to. A begin belongs to the scope that it begins, an end to the
    /// one that it ends.
    #[inline]
    pub(crate) fn step(&mut self, process: u32, lane: u32, what: &What) -> u32 {
        let current = self.current.slot(lane);
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
                *current = scope;
                scope
            }
            What::ScopeEnter { scope } => {
                *current = scope;
                scope
            }
            What::ScopeEnd { scope } => {
                if self.whole.get(&process) == Some(&scope) {
                    self.whole.remove(&process);
                }
                if *current == scope {
                    *current = self.parents.get(&(process, scope)).copied().unwrap_or(0);
                }
                scope
            }
            _ if *current == 0 => self.whole.get(&process).copied().unwrap_or(0),
            _ => *current,
        }
    }
}
