//! A block that goes round between threads: leaked here, taken back there, handed back, leaked again.
//!
//! Two leaks of what has one owner, and only then the reclaim between them on another lane, within what
//! the clock is uncertain by: the reclaim belongs in front of the second leak. Or somebody took the
//! pointer back where nobody looked, and the reclaim is the second leak's own. What becomes of the block
//! next decides: if it is used as if it were still out, the first; if it is leaked again, the second.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::super::Loose;
use super::{LOOK_AHEAD, UNCERTAIN_NS};

/// Process and address.
type Key = (u32, u64);

/// Handles that are out, and what is not decided about them.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: FxHashMap<Key, Block>,
    moves: Vec<Move>,
    /// Whether there was anything to decide so far.
    is_doubtful: bool,
}

#[derive(Debug, Default)]
struct Block {
    /// Handles that are out if every event stands where its time puts it.
    leases: u32,
    /// Leaks of a sole owner that found its handle still out, oldest first.
    early: VecDeque<Early>,
    /// Not decided: with all of them the handle is out, without them `leases` says it.
    open: Vec<Move>,
}

/// A leak that may have come before the reclaim that it follows.
#[derive(Clone, Copy, Debug)]
struct Early {
    at: usize,
    /// Its cookie travelled before any reclaim: it can hardly be its own that comes next.
    used: bool,
}

/// A reclaim that belongs in front of a leak, both by position.
#[derive(Clone, Copy, Debug)]
struct Move {
    leak: usize,
    reclaim: usize,
}

impl Blocks {
    /// Whether a handle may be out.
    pub(super) fn is_out(&self, key: Key) -> bool {
        let block = self.blocks.get(&key);
        block.is_some_and(|block| block.leases > 0 || !block.open.is_empty())
    }

    /// One more handle; `sole`: there can be no other.
    pub(super) fn leak(&mut self, key: Key, sole: bool, at: usize) {
        let block = self.blocks.entry(key).or_default();
        if !sole {
            block.leases = block.leases.saturating_add(1);
            block.open.clear();
            return;
        }
        if block.leases > 0 || !block.open.is_empty() {
            if block.early.len() >= LOOK_AHEAD {
                block.early.pop_front();
            }
            block.early.push_back(Early { at, used: false });
            self.is_doubtful = true;
        }
        block.leases = 1;
    }

    /// One handle less.
    pub(super) fn reclaim(&mut self, key: Key, at: usize, events: &[Loose]) {
        let Some(block) = self.blocks.get_mut(&key) else {
            return;
        };
        if block.leases == 0 {
            block.accept(&mut self.moves);
        }
        while let Some(early) = block.early.pop_front() {
            if fits(events, early.at, at) {
                block.open.push(Move {
                    leak: early.at,
                    reclaim: at,
                });
                block.leases = 0;
                if early.used {
                    block.accept(&mut self.moves);
                }
                return;
            }
        }
        // All of it is explained with every event in its place.
        block.open.clear();
        block.leases = block.leases.saturating_sub(1);
        if block.leases == 0 {
            self.blocks.remove(&key);
        }
    }

    /// Something happened that needs the handle to be out.
    pub(super) fn used(&mut self, key: Key) {
        let Some(block) = self.blocks.get_mut(&key) else {
            return;
        };
        if block.leases == 0 {
            block.accept(&mut self.moves);
        }
        if let Some(early) = block.early.back_mut() {
            early.used = true;
        }
    }

    /// A cookie travelled. How it is to be read is not known yet: as it is, or without tags.
    pub(super) fn carried(&mut self, process: u32, cookie: u64) {
        if !self.is_doubtful {
            return;
        }
        self.used((process, cookie));
        for mask in [!0xF, 0x0000_FFFF_FFFF_FFF0] {
            if cookie & mask != cookie {
                self.used((process, cookie & mask));
            }
        }
    }

    /// Puts reclaims in front of the leaks that they made possible; whether there were any.
    pub(super) fn settle(self, events: &mut [Loose]) -> bool {
        let mut moves = self.moves;
        moves.sort_by_key(|one| (one.leak, one.reclaim));
        let mut rest = moves.as_slice();
        while let Some(first) = rest.first() {
            // Moves that reach into each other are done together.
            let mut end = first.reclaim;
            let mut count = 0;
            for one in rest {
                if one.leak > end {
                    break;
                }
                end = end.max(one.reclaim);
                count += 1;
            }
            let (together, behind) = rest.split_at(count.max(1));
            if let Some(part) = events.get_mut(first.leak..=end) {
                rearrange(part, first.leak, together);
            }
            rest = behind;
        }
        !moves.is_empty()
    }
}

impl Block {
    /// Takes what was not decided for true.
    fn accept(&mut self, moves: &mut Vec<Move>) {
        if !self.open.is_empty() {
            moves.append(&mut self.open);
            self.leases = 1;
        }
    }
}

/// Whether the clock leaves it open which of the two came first.
fn fits(events: &[Loose], leak: usize, reclaim: usize) -> bool {
    let (Some(first), Some(second)) = (events.get(leak), events.get(reclaim)) else {
        return false;
    };
    first.lane != second.lane
        && reclaim.saturating_sub(leak) <= LOOK_AHEAD
        && second.at_ns.saturating_sub(first.at_ns) <= UNCERTAIN_NS
}

/// Moves each reclaim in front of its leak, and with it what its lane did in between: time is right
/// within a lane. Positions count from `base`.
fn rearrange(part: &mut [Loose], base: usize, moves: &[Move]) {
    let mut order: Vec<usize> = (0..part.len()).collect();
    let mut place = order.clone();
    for one in moves {
        let now = |at: usize| place.get(at.saturating_sub(base)).copied();
        let (Some(from), Some(to)) = (now(one.leak), now(one.reclaim)) else {
            continue;
        };
        let lane = |at: &usize| part.get(*at).map(|event| event.lane);
        let Some(range) = order.get_mut(from..=to) else {
            continue;
        };
        let moved = range.last().and_then(lane);
        // Stable: `false` sorts first.
        range.sort_by_key(|at| lane(at) != moved);
        for (index, at) in range.iter().enumerate() {
            if let Some(place) = place.get_mut(*at) {
                *place = from + index;
            }
        }
    }
    let before = part.to_vec();
    for (event, from) in part.iter_mut().zip(order) {
        if let Some(moved) = before.get(from) {
            *event = moved.clone();
        }
    }
    let mut next_ns = i128::MAX;
    for event in part.iter_mut().rev() {
        event.at_ns = event.at_ns.min(next_ns);
        next_ns = event.at_ns;
    }
}
