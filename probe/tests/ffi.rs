//! Words that C libraries hold, without one: what the rules make of registrations and calls.

#![cfg(feature = "assert")]

use std::ffi::c_void;
use std::rc::Rc;

use probe::Rule;
use probe::ffi::{Callbacks, hand_out, take_back};

struct Job(#[expect(dead_code, reason = "not of size zero")] u8);

/// Another handle of what was handed out keeps the memory alive, so that mistakes can be shown.
fn job() -> (Rc<Job>, *mut c_void) {
    let job = Rc::new(Job(0));
    let data = hand_out(Rc::clone(&job));
    (job, data)
}

fn reclaim(data: *mut c_void) {
    // SAFETY: every test that goes on after this keeps a handle.
    drop(unsafe { take_back::<Rc<Job>>(data) });
}

#[test]
fn one_call_and_then_back_is_clean() {
    static DONE: Callbacks = Callbacks::once("done");
    let scope = probe::scope();
    let (_kept, data) = job();
    DONE.registered(data);
    DONE.called(data);
    // The same owner may be registered again.
    DONE.registered(data);
    DONE.ended(data);
    reclaim(data);
    scope.assert_clean();
}

#[test]
fn many_calls_an_end_and_then_back_is_clean() {
    static TICKS: Callbacks = Callbacks::repeated("ticks");
    let scope = probe::scope();
    let (_kept, data) = job();
    TICKS.registered(data);
    (0..5).for_each(|_| TICKS.called(data));
    TICKS.ended(data);
    reclaim(data);
    scope.assert_clean();
}

#[test]
fn back_while_registered_is_found() {
    static TICKS: Callbacks = Callbacks::repeated("ticks");
    static DONE: Callbacks = Callbacks::once("done");
    for callbacks in [&TICKS, &DONE] {
        let scope = probe::scope();
        let (_kept, data) = job();
        callbacks.registered(data);
        reclaim(data);
        callbacks.called(data);
        scope.expect(Rule::T07).times(1);
    }
}

#[test]
fn a_call_with_a_word_that_went_back_is_found() {
    static DONE: Callbacks = Callbacks::once("done");
    let scope = probe::scope();
    let (_kept, data) = job();
    DONE.registered(data);
    DONE.called(data);
    reclaim(data);
    DONE.registered(data);
    DONE.called(data);
    scope.expect(Rule::T03).times(1);
}

#[test]
fn one_ownership_is_not_enough_for_two_registrations() {
    static TICKS: Callbacks = Callbacks::repeated("ticks");
    let scope = probe::scope();
    let (kept, data) = job();
    TICKS.registered(data);
    let again = hand_out(Rc::clone(&kept));
    TICKS.registered(again);
    TICKS.ended(again);
    TICKS.ended(data);
    reclaim(again);
    reclaim(data);
    scope.assert_clean();

    let scope = probe::scope();
    let (_kept, data) = job();
    TICKS.registered(data);
    TICKS.registered(data);
    TICKS.ended(data);
    TICKS.ended(data);
    reclaim(data);
    scope.expect(Rule::T05).times(1);
}
