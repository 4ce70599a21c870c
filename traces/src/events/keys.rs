//! What a page of events is asked for, and whether it may have it: a filter that never denies what is there, and affirms
//! one in a hundred that is not.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::event::{Event, What};
use crate::finding::Subject;
use crate::model::Link;

/// Something that somebody looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Part of the life of a subject.
    Of(Subject),
    /// The claim of a slot, by process, ring and slot.
    Claim(u32, u32, u32),
    /// A submission in a slot.
    Slot(u32, u32, u32),
    /// The beginning of any scope.
    Scope,
}

/// Bits for each key.
const BITS: usize = 10;

/// Bits of a key that are set.
const PROBES: u64 = 4;

impl Key {
    /// What an event is found by.
    pub(crate) fn of(event: &Event, link: &Link) -> [Option<Self>; 5] {
        let [a, b, c, d] =
            crate::lives::concerned(event.process, link, &event.what).map(|it| it.map(Self::Of));
        let place = match &event.what {
            What::Claim { ring, slot } => Some(Self::Claim(event.process, *ring, *slot)),
            What::Submit(submission) => {
                let entry = &submission.entry;
                Some(Self::Slot(
                    event.process,
                    entry.ring.into(),
                    entry.slot.into(),
                ))
            }
            What::ScopeBegin { .. } => Some(Self::Scope),
            _ => None,
        };
        [a, b, c, d, place]
    }

    /// A number that stands for it.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = FxHasher::default();
        Hash::hash(self, &mut hasher);
        // All bits count below, and those of the hash are not alike.
        let mixed = hasher.finish();
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}

/// The filter of some hashes, which it sorts; behind what is there already.
pub(super) fn put(hashes: &mut Vec<u64>, to: &mut Vec<u8>) {
    hashes.sort_unstable();
    hashes.dedup();
    let from = to.len();
    to.resize(from + (hashes.len() * BITS).div_ceil(8), 0);
    let Some(filter) = to.get_mut(from..) else {
        return;
    };
    let bits = filter.len() as u64 * 8;
    for hash in hashes {
        for bit in probes(*hash, bits) {
            if let Some(byte) = filter.get_mut((bit / 8) as usize) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
}

/// Whether a filter may have one.
pub(super) fn may_have(filter: &[u8], hash: u64) -> bool {
    let bits = filter.len() as u64 * 8;
    bits > 0
        && probes(hash, bits).all(|bit| {
            let byte = filter.get((bit / 8) as usize);
            byte.is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
        })
}

fn probes(hash: u64, bits: u64) -> impl Iterator<Item = u64> {
    let step = (hash >> 32) | 1;
    (0..PROBES).map(move |probe| (hash & 0xffff_ffff).wrapping_add(probe.wrapping_mul(step)) % bits)
}
