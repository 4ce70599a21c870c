//! Keys of the tables that runtimes use, as cookies on real rings: slab's indices, and slotmap's keys, which
//! have their generation inside.

#![cfg(all(feature = "io-uring", feature = "assert"))]

use probe::Rule;
use probe::index::Table;
use probe::io_uring::{IoUring, opcode, squeue};
use probe::ring::Cookies;
use slab::Slab;
use slotmap::{Key, KeyData, SlotMap, new_key_type};

/// What waits in a table for its completion.
struct Op(u64);

new_key_type! {
    struct OpKey;
}

/// A ring whose cookies are the keys of a table of its own.
fn ring() -> Option<(IoUring, Table)> {
    let table = Table::new();
    Some((ring_of(table)?, table))
}

/// A ring whose cookies are the keys of a table.
fn ring_of(table: Table) -> Option<IoUring> {
    match IoUring::new(8) {
        Ok(ring) => {
            ring.hooks().cookies(Cookies::KeysOf(table));
            Some(ring)
        }
        Err(error) => {
            eprintln!("SKIPPED: no ring here ({error})");
            None
        }
    }
}

fn nop(key: u64) -> squeue::Entry {
    opcode::Nop::new().build().user_data(key)
}

fn push(ring: &mut IoUring, entry: &squeue::Entry) {
    // SAFETY: a no-operation points at nothing.
    unsafe { ring.submission().push(entry) }.expect("room");
}

fn next(ring: &mut IoUring) -> u64 {
    ring.submit_and_wait(1).expect("submitted");
    ring.completion().next().expect("waited for").user_data()
}

fn insert(ops: &mut Slab<Op>, table: Table, op: Op) -> u64 {
    let key = ops.insert(op) as u64;
    table.inserted::<Op>(key);
    key
}

fn remove(ops: &mut Slab<Op>, table: Table, key: u64) -> Op {
    table.removed::<Op>(key);
    ops.remove(key as usize)
}

#[test]
fn a_slab_whose_indices_are_given_out_again_and_again() {
    let scope = probe::scope();
    let Some((mut ring, table)) = ring() else {
        return;
    };
    let mut ops = Slab::new();
    for round in 0..100 {
        let first = insert(&mut ops, table, Op(round));
        let second = insert(&mut ops, table, Op(round));
        push(&mut ring, &nop(second));
        push(&mut ring, &nop(first));
        for _ in 0..2 {
            let key = next(&mut ring);
            assert_eq!(remove(&mut ops, table, key).0, round);
        }
    }
    scope.assert_clean();
}

/// A runtime has a slab for each of its rings, and each slab begins at 0.
#[test]
fn slabs_of_two_rings_have_the_same_indices() {
    let scope = probe::scope();
    let Some((mut one, table_one)) = ring() else {
        return;
    };
    let Some((mut other, table_other)) = ring() else {
        return;
    };
    let (mut ops_one, mut ops_other) = (Slab::new(), Slab::new());
    for round in 0..20 {
        let key = insert(&mut ops_one, table_one, Op(round));
        push(&mut one, &nop(key));
        one.submit().expect("submitted");
        // The same index lives, is given back and lives again while the first is in flight.
        for again in 0..2 {
            let key = insert(&mut ops_other, table_other, Op(again));
            push(&mut other, &nop(key));
            let key = next(&mut other);
            remove(&mut ops_other, table_other, key);
        }
        let key = next(&mut one);
        assert_eq!(remove(&mut ops_one, table_one, key).0, round);
    }
    scope.assert_clean();
}

#[test]
fn an_index_that_is_given_out_again_too_early() {
    let scope = probe::scope();
    let Some((mut ring, table)) = ring() else {
        return;
    };
    let mut ops = Slab::new();
    let key = insert(&mut ops, table, Op(1));
    push(&mut ring, &nop(key));
    ring.submit().expect("submitted");
    // The future was dropped, and its entry with it, although its completion is still to come.
    remove(&mut ops, table, key);
    let key = insert(&mut ops, table, Op(2));
    assert_eq!(
        ops[next(&mut ring) as usize].0,
        2,
        "it is taken for its own"
    );
    remove(&mut ops, table, key);
    scope.expect(Rule::T04).times(1);
}

#[test]
fn a_slotmap_whose_keys_have_their_generation_inside() {
    let scope = probe::scope();
    let Some((mut ring, table)) = ring() else {
        return;
    };
    let mut ops: SlotMap<OpKey, Op> = SlotMap::with_key();
    for round in 0..100 {
        let key = ops.insert(Op(round)).data().as_ffi();
        table.inserted::<Op>(key);
        push(&mut ring, &nop(key));
        let key = next(&mut ring);
        table.looked_at::<Op>(key);
        assert_eq!(ops[OpKey::from(KeyData::from_ffi(key))].0, round);
        table.removed::<Op>(key);
        ops.remove(OpKey::from(KeyData::from_ffi(key)));
    }
    scope.assert_clean();
}

/// The map itself notices, and says nothing: the result of the operation is lost.
#[test]
fn a_slotmap_key_that_was_removed_in_flight() {
    let scope = probe::scope();
    let Some((mut ring, table)) = ring() else {
        return;
    };
    let mut ops: SlotMap<OpKey, Op> = SlotMap::with_key();
    let key = ops.insert(Op(1)).data().as_ffi();
    table.inserted::<Op>(key);
    push(&mut ring, &nop(key));
    ring.submit().expect("submitted");
    table.removed::<Op>(key);
    ops.remove(OpKey::from(KeyData::from_ffi(key)));
    let late = next(&mut ring);
    assert!(!ops.contains_key(OpKey::from(KeyData::from_ffi(late))));
    scope.expect(Rule::T07).times(1);
}

/// The same over the tables that say it by themselves.
#[cfg(feature = "slab")]
mod slabs {
    use super::*;
    use probe::index::slab::Slab;

    #[test]
    fn a_slab_that_tells_its_keys_by_itself() {
        let scope = probe::scope();
        let mut ops = Slab::new();
        let Some(mut ring) = ring_of(ops.table()) else {
            return;
        };
        for round in 0..50 {
            let first = ops.insert(Op(round));
            let entry = ops.vacant_entry();
            let second = entry.key();
            entry.insert(Op(round)).0 += 1;
            push(&mut ring, &nop(second as u64));
            push(&mut ring, &nop(first as u64));
            for _ in 0..2 {
                let key = next(&mut ring) as usize;
                assert_eq!(ops[key].0, round + u64::from(key == second));
                ops[key].0 = 0;
                assert_eq!(ops.remove(key).0, 0);
            }
            // Nothing was given out, so nothing is to be given back.
            ops.vacant_entry();
            assert!(ops.try_remove(first).is_none());
        }
        scope.assert_clean();
    }

    #[test]
    fn every_way_out_of_a_slab_gives_its_keys_back() {
        let scope = probe::scope();
        let mut ops = Slab::with_capacity(8);
        let fill =
            |ops: &mut Slab<Op>| (0..8).for_each(|number| assert!(ops.insert(Op(number)) < 8));
        let held = || scope.numbers().holding.len();
        fill(&mut ops);
        assert_eq!(held(), 8);
        ops.retain(|_, op| op.0 % 4 == 0);
        assert_eq!((held(), ops.len()), (2, 2));
        assert_eq!(ops.drain().count(), 2);
        assert_eq!(held(), 0);
        fill(&mut ops);
        ops.clear();
        assert_eq!(held(), 0);
        fill(&mut ops);
        drop(ops);
        scope.assert_clean();
    }

    #[test]
    fn keys_that_a_dropped_slab_gives_back_are_placed_where_it_was_made() {
        let made = line!() + 2;
        let scope = probe::scope();
        let mut ops = Slab::new();
        let Some(mut ring) = ring_of(ops.table()) else {
            return;
        };
        let key = ops.insert(Op(1));
        push(&mut ring, &nop(key as u64));
        ring.submit().expect("submitted");
        drop(ops);
        next(&mut ring);
        let judged =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scope.assert_clean()));
        let panic = judged.expect_err("it was in flight");
        let said = panic.downcast_ref::<String>().expect("a text");
        assert!(said.contains(&format!("keys.rs:{made}")), "{said}");
        assert!(!said.contains("index/slab.rs"), "{said}");
    }

    #[test]
    fn an_index_of_a_slab_that_is_given_out_again_too_early() {
        let scope = probe::scope();
        let mut ops = Slab::new();
        let Some(mut ring) = ring_of(ops.table()) else {
            return;
        };
        let key = ops.insert(Op(1));
        push(&mut ring, &nop(key as u64));
        ring.submit().expect("submitted");
        ops.remove(key);
        let again = ops.insert(Op(2));
        assert_eq!(next(&mut ring) as usize, again);
        ops.remove(again);
        scope.expect(Rule::T04).times(1);
    }
}

#[cfg(feature = "slotmap")]
mod slotmaps {
    use super::*;
    use probe::index::slotmap::{SlotMap, cookie, key};

    #[test]
    fn a_slotmap_that_tells_its_keys_by_itself() {
        let scope = probe::scope();
        let mut ops: SlotMap<OpKey, Op> = SlotMap::with_key();
        let Some(mut ring) = ring_of(ops.table()) else {
            return;
        };
        for round in 0..50 {
            let first = ops.insert(Op(round));
            let second = ops.insert_with_key(|key| Op(cookie(key)));
            push(&mut ring, &nop(cookie(second)));
            push(&mut ring, &nop(cookie(first)));
            for _ in 0..2 {
                let key: OpKey = key(next(&mut ring));
                assert!(ops.contains_key(key));
                let op = ops.remove(key).expect("it is there");
                assert!(op.0 == round || key == second);
                assert!(ops.remove(key).is_none());
            }
        }
        let held = || scope.numbers().holding.len();
        for number in 0..8 {
            ops.insert(Op(number));
        }
        ops.retain(|_, op| op.0 % 4 == 0);
        assert_eq!((held(), ops.len()), (2, 2));
        ops.clear();
        assert_eq!(held(), 0);
        ops.insert(Op(0));
        assert_eq!(ops.drain().count(), 1);
        ops.insert(Op(0));
        drop(ops);
        scope.assert_clean();
    }

    #[test]
    fn keys_that_a_dropped_slotmap_gives_back_are_placed_where_it_was_made() {
        let made = line!() + 2;
        let scope = probe::scope();
        let mut ops: SlotMap<OpKey, Op> = SlotMap::with_key();
        let Some(mut ring) = ring_of(ops.table()) else {
            return;
        };
        let key = ops.insert(Op(1));
        push(&mut ring, &nop(cookie(key)));
        ring.submit().expect("submitted");
        drop(ops);
        next(&mut ring);
        let judged =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scope.assert_clean()));
        let panic = judged.expect_err("it was in flight");
        let said = panic.downcast_ref::<String>().expect("a text");
        assert!(said.contains(&format!("keys.rs:{made}")), "{said}");
        assert!(!said.contains("index/slotmap.rs"), "{said}");
    }
}
