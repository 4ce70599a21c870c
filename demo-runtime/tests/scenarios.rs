//! What the scenarios show to their user: each mistake is seen, and gone with its line.
//!
//! The simulated ring is compared word for word. On the kernel's rings, where time is real, the laws
//! are checked that hold however long anything takes.

use demo_runtime::permission::kernel_or_reason;
use demo_runtime::ring::RingKind;
use demo_runtime::{Options, Outcome, run, scenarios};

fn outcome(name: &str, ring: RingKind, fixed: bool) -> Outcome {
    let options = Options {
        ring: Some(ring),
        fixed,
        ..Options::default()
    };
    run(name, &options).unwrap_or_else(|error| panic!("{name} on {ring}: {error}"))
}

fn simulated(name: &str, fixed: bool) -> String {
    outcome(name, RingKind::Simulated, fixed).to_string()
}

#[test]
fn leftover_fires_a_timer_early_and_resumes_it_again() {
    assert_eq!(
        simulated("leftover", false),
        "timer B fired after 3 ms instead of 150 ms\n\
         timer C fired after 50 ms, as it was asked to\n\
         timer A fired after 100 ms, as it was asked to\n\
         timer B was resumed once more after it had ended\n"
    );
    assert_eq!(
        simulated("leftover", true),
        "timer C fired after 50 ms, as it was asked to\n\
         timer A fired after 100 ms, as it was asked to\n\
         timer B fired after 150 ms, as it was asked to\n"
    );
}

#[test]
fn template_cuts_the_pause_short() {
    assert_eq!(
        simulated("template", false),
        "the alarm went off\n\
         the pause after it fired after 130 ms instead of 250 ms\n\
         main was resumed once more after it had ended\n"
    );
    assert_eq!(
        simulated("template", true),
        "the alarm went off\n\
         the pause after it fired after 250 ms, as it was asked to\n"
    );
}

#[test]
fn double_counts_a_beat_that_never_was() {
    assert_eq!(
        simulated("double", false),
        "4 beats of 10 ms, and only 3 of them were timers: 30 ms instead of 40 ms\n"
    );
    assert_eq!(simulated("double", true), "4 beats of 10 ms\n");
}

#[test]
fn forgotten_wakes_the_next_timer_early() {
    assert_eq!(
        simulated("forgotten", false),
        "the faster timer won, the slower one was dropped\n\
         the next timer fired after 30 ms instead of 100 ms\n\
         the next timer was resumed once more after it had ended\n"
    );
    assert_eq!(
        simulated("forgotten", true),
        "the faster timer won, the slower one was dropped\n\
         the next timer fired after 100 ms, as it was asked to\n"
    );
}

#[test]
fn each_mistake_takes_one_handle_too_many_and_its_fix_none() {
    if !kernel_or_reason() {
        return;
    }
    // Handles are leaked once less than they are taken back, in whatever order completions come; the
    // completion that is dispatched twice is reclaimed once.
    for (name, ring, caught) in [
        ("leftover", RingKind::InPlace, 1),
        ("template", RingKind::Crate, 1),
        ("template", RingKind::InPlace, 1),
        ("double", RingKind::Crate, 0),
        ("forgotten", RingKind::Crate, 1),
        ("forgotten", RingKind::InPlace, 1),
    ] {
        assert_eq!(
            outcome(name, ring, false).tally.caught,
            caught,
            "{name} on {ring}"
        );
        assert_eq!(
            outcome(name, ring, true).tally.caught,
            0,
            "{name} on {ring}, fixed"
        );
    }
}

#[test]
fn a_ring_that_copies_entries_turns_the_leftover_into_a_zero() {
    if !kernel_or_reason() {
        return;
    }
    let tally = outcome("leftover", RingKind::Crate, false).tally;
    assert_eq!((tally.strays, tally.caught), (1, 0));
}

#[test]
fn correct_scenarios_end_well_on_both_kernel_rings() {
    if !kernel_or_reason() {
        return;
    }
    for scenario in scenarios()
        .iter()
        .filter(|scenario| scenario.rule.is_none())
    {
        for ring in scenario
            .rings
            .iter()
            .filter(|ring| ring.is_real() && !scenario.hidden)
        {
            let outcome = outcome(scenario.name, *ring, false);
            assert_eq!(outcome.tally.caught, 0);
            assert_eq!(outcome.tally.strays, 0);
            assert!(outcome.tally.resumed_after_end.is_empty());
        }
    }
}
