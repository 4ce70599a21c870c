//! Scopes: each sees its own and nothing of the others, and a failure says what to look at.

#![cfg(feature = "assert")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use probe::Rule;
use probe::coroutine::Coroutine;

/// The text of the panic that `body` must end with.
fn failure(body: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(body)).expect_err("the assertion must fail");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => panic!("the panic has no text"),
    }
}

struct Conn(
    #[expect(
        dead_code,
        reason = "not of size zero: boxes of nothing share one address"
    )]
    u8,
);

fn leak_and_reclaim() {
    let raw = probe::into_raw(Rc::new(Conn(0)));
    // SAFETY: leaked once, taken back once.
    drop(unsafe { probe::from_raw::<Rc<Conn>>(raw) });
}

#[test]
fn what_was_taken_back_is_clean() {
    let scope = probe::scope();
    leak_and_reclaim();
    scope.assert_clean();
}

#[test]
fn what_was_not_taken_back_fails_with_its_place_and_a_saved_trace() {
    let line = line!() + 3;
    let text = failure(|| {
        let scope = probe::scope();
        let raw = probe::into_raw(Box::new(Conn(0)));
        scope.assert_clean();
        // SAFETY: leaked once, taken back once.
        drop(unsafe { probe::from_raw::<Box<Conn>>(raw) });
    });
    assert!(text.contains("T09"), "{text}");
    assert!(text.contains(&format!("tests/scopes.rs:{line}")), "{text}");
    assert!(text.contains("scope opened at "), "{text}");
    let saved = text
        .lines()
        .find_map(|line| line.strip_prefix("trace: "))
        .expect("a saved trace");
    let bytes = std::fs::read(saved).expect("the saved trace");
    let input = traces::Input {
        name: saved,
        bytes: &bytes,
    };
    assert!(traces::Trace::read(&[input]).is_ok());
    assert!(
        text.contains(&format!("tracer view {saved} --goto T09")),
        "{text}"
    );
    std::fs::remove_file(saved).expect("own file");
}

#[test]
fn an_expected_finding_must_be_there_and_alone() {
    let leaky = || {
        let scope = probe::scope();
        let _ = probe::into_raw(Box::new(Conn(0)));
        scope
    };
    leaky().expect(Rule::T09).times(1);
    assert!(failure(|| leaky().expect(Rule::T09).times(2)).contains("expected T09 2 times"));
    assert!(failure(|| leaky().expect(Rule::T08).times(1)).contains("expected T08 1 times"));
    let text = failure(|| {
        let scope = probe::scope();
        leak_and_reclaim();
        scope.expect(Rule::T09).times(1);
    });
    assert!(text.contains("found 0"), "{text}");
}

#[test]
fn scopes_of_parallel_threads_do_not_see_each_other() {
    // Each thread leaks as many boxes as its number, while all others do the same.
    let all = Arc::new(std::sync::Barrier::new(8));
    let threads: Vec<_> = (0..8usize)
        .map(|count| {
            let all = Arc::clone(&all);
            std::thread::spawn(move || {
                all.wait();
                for round in 0..10 {
                    let scope = probe::scope();
                    leak_and_reclaim();
                    for _ in 0..count {
                        let _ = probe::into_raw(Box::new(round));
                    }
                    leak_and_reclaim();
                    if count == 0 {
                        scope.assert_clean();
                    } else {
                        scope.expect(Rule::T09).times(count);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread
            .join()
            .expect("an assertion of one scope saw another one's leaks");
    }
}

#[test]
fn a_thread_that_enters_works_for_the_scope() {
    let scope = probe::scope();
    let handle = scope.handle();
    std::thread::spawn(move || {
        let before = probe::into_raw(Box::new(1));
        {
            let _entered = handle.enter();
            let _ = probe::into_raw(Box::new(2));
        }
        let after = probe::into_raw(Box::new(3));
        // Only the one within counts, and these two are nobody's.
        let _ = (before, after);
    })
    .join()
    .expect("a plain thread");
    scope.expect(Rule::T09).times(1);
}

/// A thread that runs the coroutines of others, and has a scope itself.
#[test]
fn what_a_coroutine_does_belongs_to_the_scope_that_spawned_it() {
    let scope = probe::scope();
    let of_scope = Coroutine::spawned_named("of the scope", None);
    let worker = std::thread::spawn(move || {
        let of_nobody = Coroutine::spawned_named("of nobody", None);
        let own = probe::scope();
        of_scope.resumed(None);
        let _ = probe::into_raw(Box::new(7_u64));
        of_scope.done();
        of_nobody.resumed(None);
        let _ = probe::into_raw(Box::new(Conn(0)));
        of_nobody.done();
        failure(|| own.assert_no_leaks())
    });
    let of_worker = worker.join().expect("the assertion's panic is caught");
    let of_test = failure(|| scope.assert_clean());
    for (text, ty) in [(of_worker, "  Conn#"), (of_test, "  u64#")] {
        assert!(text.starts_with("1 finding "), "{text}");
        assert!(text.contains("T09 never-reclaimed"), "{text}");
        assert!(text.contains(ty), "{text}");
    }
}

#[test]
fn a_scope_that_is_dropped_asserts_that_it_was_clean() {
    let text = failure(|| {
        let _scope = probe::scope();
        let _ = probe::into_raw(Box::new(Conn(0)));
    });
    assert!(text.contains("T09"), "{text}");
}

#[test]
fn a_failing_test_keeps_its_own_panic() {
    let panic = catch_unwind(|| {
        let _scope = probe::scope();
        let _ = probe::into_raw(Box::new(Conn(0)));
        panic!("the test's own");
    })
    .expect_err("it panics");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the test's own"));

    // Its end is told as what it was, and that of one that fails by what it left is not.
    let text = failure(|| {
        let scope = probe::scope();
        let _ = probe::into_raw(Box::new(Conn(0)));
        scope.assert_clean();
    });
    let saved = text.lines().find_map(|line| line.strip_prefix("trace: "));
    let saved = saved.expect("a saved trace");
    let bytes = std::fs::read(saved).expect("the saved trace");
    std::fs::remove_file(saved).expect("own file");
    let input = traces::Input {
        name: saved,
        bytes: &bytes,
    };
    let trace = traces::Trace::read(&[input]).expect("a readable trace");
    let ends = trace.events().iter().filter_map(|event| match event.what {
        traces::event::What::ScopeEnd { by_panic, .. } => Some(by_panic),
        _ => None,
    });
    let ends: Vec<bool> = ends.collect();
    assert!(ends.contains(&true) && ends.contains(&false), "{ends:?}");
}

#[test]
fn reclaiming_twice_is_one_story() {
    let scope = probe::scope();
    let kept = Rc::new(Conn(0));
    let raw = probe::into_raw(Rc::clone(&kept));
    // A second handle exists, so that taking back twice frees nothing.
    let spare = Rc::clone(&kept);
    // SAFETY: takes back the leaked handle.
    drop(unsafe { probe::from_raw::<Rc<Conn>>(raw) });
    // SAFETY: takes over `spare`'s count, which is forgotten below: the mistake that is shown, without
    // a count that is wrong.
    drop(unsafe { probe::from_raw::<Rc<Conn>>(raw) });
    std::mem::forget(spare);
    assert_eq!(Rc::strong_count(&kept), 1);
    scope.expect(Rule::T08).times(1);
}

#[test]
fn poison_is_seen_and_what_it_overwrote_is_put_back() {
    const OLD: u64 = 0x1234_5678_0000;
    let scope = probe::scope();
    let ring = probe::ring::Ring::created(probe::ring::Kind::InPlace, 3, 8, 16, 0, 0);
    let mut entry: probe::ring::Entry = [0, 0, 0, 0, OLD, 0, 0, 0];
    // SAFETY: the entry is this test's own.
    unsafe { ring.claimed(2, &mut entry) };
    assert_ne!(entry[4], OLD, "the slot is not poisoned");
    // SAFETY: as above.
    unsafe { ring.submitting(2, &mut entry) };
    assert_eq!(entry[4], OLD, "the leftover is not put back");
    // Set after the claim: what the program wrote stays.
    // SAFETY: as above.
    unsafe { ring.claimed(2, &mut entry) };
    entry[4] = 77;
    // SAFETY: as above.
    unsafe { ring.submitting(2, &mut entry) };
    assert_eq!(entry[4], 77);
    // Copied while it was poisoned, and the slot went on: the copy gets what the poison stood for.
    // SAFETY: as above.
    unsafe { ring.claimed(2, &mut entry) };
    let mut copy = entry;
    entry[4] = 78;
    // SAFETY: as above.
    unsafe { ring.submitting(2, &mut entry) };
    // SAFETY: as above.
    unsafe { ring.submitting(3, &mut copy) };
    assert_eq!((entry[4], copy[4]), (78, 77));
    drop(ring);
    // A slot that was handed to the kernel as it came is a finding of its own.
    scope.expect(Rule::T01).times(1);
}

#[test]
fn a_declared_sentinel_is_no_unset_cookie() {
    let silent = |declare: bool| {
        let scope = probe::scope();
        let ring = probe::ring::Ring::created(probe::ring::Kind::Copied, 3, 8, 16, 0, 0);
        ring.cookies(probe::ring::Cookies::Pointers);
        if declare {
            ring.sentinel(0);
        }
        ring.pushed(&[0; 8]);
        ring.entered(1, 1, 1);
        ring.reaped(0, 0, 0);
        (scope, ring)
    };
    let (scope, ring) = silent(true);
    drop(ring);
    scope.assert_clean();
    let (scope, ring) = silent(false);
    drop(ring);
    scope.expect(Rule::T01).times(1);
}

/// Leaks and takes back boxes of ten types for each number, all at one place.
macro_rules! of_many_types {
    ($($tens:literal)*) => {
        $(
            round_trip::<{ $tens }>();
            round_trip::<{ $tens + 1 }>();
            round_trip::<{ $tens + 2 }>();
            round_trip::<{ $tens + 3 }>();
            round_trip::<{ $tens + 4 }>();
            round_trip::<{ $tens + 5 }>();
            round_trip::<{ $tens + 6 }>();
            round_trip::<{ $tens + 7 }>();
            round_trip::<{ $tens + 8 }>();
            round_trip::<{ $tens + 9 }>();
        )*
    };
}

fn round_trip<const N: usize>() {
    let raw = probe::into_raw(Box::new([1_u8; N]));
    // SAFETY: leaked once, taken back once.
    drop(unsafe { probe::from_raw::<Box<[u8; N]>>(raw) });
}

#[test]
fn many_types_at_one_place_are_not_taken_for_each_other() {
    let scope = probe::scope();
    of_many_types!(10 20 30 40 50 60 70 80 90 100 110 120 130 140 150 160 170 180 190 200);
    scope.assert_clean();
}

/// A ring told of by hand: submits, and hands each completion out when asked.
fn ring_with_one_in_flight() -> probe::ring::Ring {
    let ring = probe::ring::Ring::created(probe::ring::Kind::Copied, 3, 8, 16, 0, 0);
    let raw = probe::into_raw(Box::new(Conn(0)));
    let mut entry = [0_u64; 8];
    entry[4] = raw as u64;
    ring.pushed(&entry);
    ring.entered(1, 1, 0);
    ring
}

fn complete(ring: &probe::ring::Ring, cookie: u64) {
    ring.reaped(cookie, 0, 0);
    // SAFETY: leaked in `ring_with_one_in_flight`, taken back once.
    drop(unsafe { probe::from_raw::<Box<Conn>>(cookie as *mut Conn) });
}

fn cookie_in_flight(scope: &probe::Scope) -> usize {
    scope.numbers().in_flight.len()
}

#[test]
fn numbers_follow_things_to_whoever_takes_them_back() {
    let scope = probe::scope();
    let raw = probe::into_raw(Box::new(Conn(0))) as usize;
    let kept = probe::into_raw(Box::new(Conn(1)));
    assert_eq!((scope.numbers().leaked, scope.numbers().held), (2, 2));
    std::thread::spawn(move || {
        // SAFETY: leaked above, taken back once, on a thread that is in no scope.
        drop(unsafe { probe::from_raw::<Box<Conn>>(raw as *mut Conn) });
    })
    .join()
    .expect("a plain thread");
    let numbers = scope.numbers();
    assert_eq!((numbers.leaked, numbers.reclaimed, numbers.held), (2, 1, 1));
    // SAFETY: as above.
    drop(unsafe { probe::from_raw::<Box<Conn>>(kept) });
    assert_eq!(scope.numbers().held, 0);
    scope.assert_balanced();
}

#[test]
fn what_is_in_flight_fails_and_settling_waits_for_it() {
    let text = failure(|| {
        let scope = probe::scope();
        let ring = ring_with_one_in_flight();
        assert!(!scope.settle(std::time::Duration::from_millis(3)));
        std::mem::forget(ring);
        scope.assert_no_inflight();
    });
    assert!(text.starts_with("1 operation is in flight in `"), "{text}");
    assert!(text.contains("NOP"), "{text}");
    assert!(text.contains("view:  tracer view "), "{text}");
    let scope = probe::scope();
    let raw = probe::into_raw(Box::new(Conn(0))) as u64;
    let ring = probe::ring::Ring::created(probe::ring::Kind::Copied, 3, 8, 16, 0, 0);
    let mut entry = [0_u64; 8];
    entry[4] = raw;
    ring.pushed(&entry);
    ring.entered(1, 1, 0);
    assert_eq!(cookie_in_flight(&scope), 1);
    let other = std::thread::spawn(move || {
        complete(&ring, raw);
        ring
    });
    assert!(scope.settle(std::time::Duration::from_secs(60)));
    drop(other.join().expect("a plain thread"));
    let numbers = scope.numbers();
    assert_eq!((numbers.submitted, numbers.completed), (1, 1));
    scope.assert_no_inflight();
}

#[test]
fn assertions_of_one_kind_leave_the_others_alone() {
    let leaky = || {
        let scope = probe::scope();
        let _ = probe::into_raw(Box::new(Conn(0)));
        scope
    };
    leaky().assert_resumed_once();
    leaky().assert_no_inflight();
    let text = failure(|| leaky().assert_no_leaks());
    assert!(text.starts_with("1 finding of leaks in `"), "{text}");
    // One after the other, of what was done before the first.
    let scope = leaky();
    scope.assert_resumed_once();
    let later = probe::into_raw(Box::new(Conn(0)));
    scope.assert_no_inflight();
    let text = failure(|| scope.assert_no_leaks());
    assert!(text.starts_with("1 finding of leaks in `"), "{text}");
    // SAFETY: leaked above, taken back once.
    drop(unsafe { probe::from_raw::<Box<Conn>>(later) });
    let text = failure(|| leaky().assert_balanced());
    assert!(text.starts_with("1 finding of imbalance in `"), "{text}");
}

#[test]
fn more_findings_than_a_screen_holds_are_counted() {
    let text = failure(|| {
        let scope = probe::scope();
        let _ = probe::into_raw(Box::new(1_u8));
        let _ = probe::into_raw(Box::new(1_u16));
        let _ = probe::into_raw(Box::new(1_u32));
        let _ = probe::into_raw(Box::new(1_u64));
        let _ = probe::into_raw(Box::new(1_i8));
        let _ = probe::into_raw(Box::new(1_i16));
        let _ = probe::into_raw(Box::new(1_i32));
        scope.assert_clean();
    });
    assert!(text.starts_with("7 findings in `"), "{text}");
    assert!(text.contains("\nand 2 more, in the trace\n"), "{text}");
}
