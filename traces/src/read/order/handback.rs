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

/// An event's place, lane and time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) lane: u32,
    pub(super) at_ns: i64,
}

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
    place: Place,
    /// Its cookie travelled before any reclaim: it can hardly be its own that comes next.
    used: bool,
}

/// A reclaim that belongs in front of a leak, both by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    leak: usize,
    reclaim: usize,
}

/// Moves that reach into each other, and are done together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Places of its first and its last event.
    pub(super) first: usize,
    pub(super) last: usize,
    moves: Vec<Move>,
}

impl Blocks {
    /// Whether a handle may be out.
    pub(super) fn is_out(&self, key: Key) -> bool {
        let block = self.blocks.get(&key);
        block.is_some_and(|block| block.leases > 0 || !block.open.is_empty())
    }

    /// One more handle; `sole`: there can be no other.
    pub(super) fn leak(&mut self, key: Key, sole: bool, place: Place) {
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
            block.early.push_back(Early { place, used: false });
            self.is_doubtful = true;
        }
        block.leases = 1;
    }

    /// One handle less.
    pub(super) fn reclaim(&mut self, key: Key, place: Place) {
        let Some(block) = self.blocks.get_mut(&key) else {
            return;
        };
        if block.leases == 0 {
            block.accept(&mut self.moves);
        }
        while let Some(early) = block.early.pop_front() {
            if fits(early.place, place) {
                block.open.push(Move {
                    leak: early.place.at,
                    reclaim: place.at,
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

    /// The reclaims that belong in front of the leaks that they made possible, first ones first.
    pub(super) fn moves(self) -> Vec<Group> {
        let mut moves = self.moves;
        moves.sort_by_key(|one| (one.leak, one.reclaim));
        let mut groups: Vec<Group> = Vec::new();
        for one in moves {
            match groups.last_mut() {
                // Moves that reach into each other are done together.
                Some(group) if one.leak <= group.last => {
                    group.last = group.last.max(one.reclaim);
                    group.moves.push(one);
                }
                _ => groups.push(Group {
                    first: one.leak,
                    last: one.reclaim,
                    moves: vec![one],
                }),
            }
        }
        groups
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
pub(super) fn fits(leak: Place, reclaim: Place) -> bool {
    leak.lane != reclaim.lane
        && reclaim.at.saturating_sub(leak.at) <= LOOK_AHEAD
        && reclaim.at_ns.saturating_sub(leak.at_ns) <= UNCERTAIN_NS
}

/// Moves each reclaim in front of its leak, and with it what its lane did in between: time is right
/// within a lane. `part` holds the events of the group.
pub(super) fn rearrange(part: &mut [Loose], group: &Group) {
    let (base, moves) = (group.first, &group.moves);
    let mut order: Vec<usize> = (0..part.len()).collect();
    let mut place = order.clone();
    for one in moves {
        let now = |at: usize| place.get(at.saturating_sub(base)).copied();
        let (Some(from), Some(to)) = (now(one.leak), now(one.reclaim)) else {
            continue;
        };
        let lane = |at: &usize| part.get(*at).map(Loose::lane);
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
    let mut next_ns = i64::MAX;
    for event in part.iter_mut().rev() {
        event.at_ns = event.at_ns.min(next_ns);
        next_ns = event.at_ns;
    }
}
