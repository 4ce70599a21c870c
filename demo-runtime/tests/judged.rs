//! What the rules say of the scenarios, each in a scope of its own: the correct ones are clean, on both
//! kernel rings and in each repetition; a faulty one is one story, headed by its rule, and its fix is
//! clean again.

use demo_runtime::permission::kernel_or_reason;
use demo_runtime::ring::RingKind;
use demo_runtime::{Options, run};
use probe::Rule;

/// Runs a scenario in a scope. None where only the simulated ring may be used, which has no place here:
/// its clock would be that of all tests in this process.
fn recorded(name: &str, ring: RingKind, fixed: bool) -> Option<probe::Scope> {
    if !kernel_or_reason() {
        return None;
    }
    let scope = probe::scope();
    let options = Options {
        ring: Some(ring),
        fixed,
        ..Options::default()
    };
    run(name, &options).unwrap_or_else(|error| panic!("{name} on {ring}: {error}"));
    Some(scope)
}

#[track_caller]
fn clean(name: &str, fixed: bool) {
    for ring in [RingKind::Crate, RingKind::InPlace] {
        if let Some(scope) = recorded(name, ring, fixed) {
            scope.assert_clean();
        }
    }
}

#[track_caller]
fn faulty(name: &str, ring: RingKind, rule: Rule) {
    if let Some(scope) = recorded(name, ring, false) {
        scope.expect(rule).times(1);
    }
}

#[test]
fn echo_reuses_addresses_hundreds_of_times_and_is_clean() {
    clean("echo", false);
}

#[test]
fn files_is_clean() {
    clean("files", false);
}

#[test]
fn wake_is_clean() {
    clean("wake", false);
}

#[test]
fn leftover_is_a_leftover_cookie_where_slots_are_filled_in_place() {
    faulty("leftover", RingKind::InPlace, Rule::T02);
}

#[test]
fn leftover_is_an_unset_cookie_where_entries_are_copied() {
    faulty("leftover", RingKind::Crate, Rule::T01);
}

#[test]
fn leftover_is_clean_when_fixed() {
    clean("leftover", true);
}

#[test]
fn template_is_a_cookie_in_flight_twice() {
    faulty("template", RingKind::Crate, Rule::T05);
    faulty("template", RingKind::InPlace, Rule::T05);
}

#[test]
fn template_is_clean_when_fixed() {
    clean("template", true);
}

#[test]
fn double_is_resumed_twice() {
    faulty("double", RingKind::Crate, Rule::T10);
    faulty("double", RingKind::InPlace, Rule::T10);
}

#[test]
fn double_is_clean_when_fixed() {
    clean("double", true);
}

#[test]
fn forgotten_is_reclaimed_in_flight() {
    faulty("forgotten", RingKind::Crate, Rule::T07);
    faulty("forgotten", RingKind::InPlace, Rule::T07);
}

#[test]
fn forgotten_is_clean_when_fixed() {
    clean("forgotten", true);
}
