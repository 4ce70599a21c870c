//! The timeline, and time as it stands everywhere.

use super::*;

#[test]
fn a_lane_is_found_by_its_name() {
    let mut model = leftover(options());
    let shown = plain_snapshot(&screen(&mut model, "4^p", 80, 24));
    assert!(shown.contains(":lane "), "{shown}");
    let lane = |model: &mut Model, script: &str| styled_snapshot(&screen(model, script, 80, 24));
    let ring = lane(&mut model, "ring<enter>");
    let other = lane(&mut model, ":lane main<enter>");
    assert_ne!(ring, other, "another row is selected");
    let shown = lane(&mut model, ":lane nowhere<enter>");
    assert!(shown.contains("no lane has nowhere in its name"), "{shown}");
}

#[test]
fn the_timeline_shows_who_did_what_when() {
    check("timeline-80x24", "4", 80, 24);
    check("timeline-120x40", "4", 120, 40);
    check("timeline-200x60", "4", 200, 60);
    check("timeline-40x10", "4", 40, 10);
    check("timeline-zoomed-80x24", "4www", 80, 24);
    check("timeline-marks-80x24", "40mllllllllmr", 80, 24);
}

#[test]
fn a_selected_stretch_of_time_holds_for_every_screen() {
    let mut model = leftover(options());
    // A stretch without an event, while the first timers run.
    let shown = plain_snapshot(&screen(&mut model, "40HHHHHHHHLrLr3", 80, 24));
    assert!(
        shown.contains("0 of 32 events in the selected time"),
        "{shown}"
    );
    assert!(shown.contains("only "), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "1", 80, 24));
    assert!(!shown.contains("T02"), "its events lie outside: {shown}");
    let shown = plain_snapshot(&screen(&mut model, "4r3", 80, 24));
    assert!(shown.contains("32 events"), "{shown}");
}

#[test]
fn a_lane_can_be_pinned_and_a_ring_folded() {
    let mut model = leftover(options());
    let shown = plain_snapshot(&screen(&mut model, "4Gp", 80, 24));
    let rows: Vec<&str> = shown.lines().collect();
    assert!(rows[3].starts_with("▪co 8"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "pggj", 80, 24));
    assert!(shown.contains("operations 1"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "z", 80, 24));
    assert!(!shown.contains("operations 1"), "{shown}");
}

#[test]
fn times_by_batch_are_marked_wherever_they_stand() {
    let text = fixture::CLEAN.replace("pid=4712 ", "pid=4712 times=batch ");
    let mut model = tui::open(fixture::trace(&text), fixture::clean_verdict(), options());
    let summary = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert!(summary.contains("times by batch"), "{summary}");
    let events = plain_snapshot(&screen(&mut model, "3", 80, 24));
    assert!(events.contains(" ~0.000001000 "), "{events}");
    assert!(!events.contains(" 0.00000"), "{events}");
    let life = plain_snapshot(&screen(&mut model, "<down><down><enter>", 80, 24));
    assert!(life.contains(" ~+"), "{life}");
}
