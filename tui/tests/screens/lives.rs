//! Biographies, events, and the source that they passed through.

use super::*;

#[test]
fn a_finding_opens_into_its_biography() {
    check("biography-80x24", "<enter>", 80, 24);
    check("biography-120x40", "<enter>", 120, 40);
    check("biography-40x10", "<enter>", 40, 10);
}

#[test]
fn events_show_what_findings_rest_on() {
    check("events-80x24", "3", 80, 24);
    check("events-200x60", "3", 200, 60);
    check("events-40x10", "3", 40, 10);
}

#[test]
fn a_filter_that_cannot_be_read_says_where_under_a_caret() {
    check("filter-error-80x24", "/kind:sumbit op:recv", 80, 24);
    check("filter-error-40x10", "/kind:sumbit op:recv", 40, 10);
    let mut model = leftover(options());
    // It is not kept either; mended, it is.
    let shown = plain_snapshot(&screen(&mut model, "/kind:sumbit<enter>", 80, 24));
    assert!(shown.contains("^^^^^^"), "{shown}");
    let mended = "<backspace><backspace><backspace><backspace>bmit<enter>";
    let shown = plain_snapshot(&screen(&mut model, mended, 80, 24));
    assert!(shown.contains("4 of 32 events with kind:submit"), "{shown}");
}

#[test]
fn events_are_bookmarked_noted_and_found_again() {
    let mut model = leftover(options());
    screen(&mut model, "", 80, 24);
    compare(
        "notes-empty-80x24",
        &styled_snapshot(&screen(&mut model, "9", 80, 24)),
    );
    assert_eq!(press(&mut model, "1b"), Effect::Save);
    assert_eq!(
        press(&mut model, "3ggBthe ring\u{202e}<enter>"),
        Effect::Save
    );
    compare(
        "notes-80x24",
        &styled_snapshot(&screen(&mut model, "9", 80, 24)),
    );
    compare(
        "notes-40x10",
        &styled_snapshot(&screen(&mut model, "", 40, 10)),
    );
    let shown = plain_snapshot(&screen(&mut model, "j<enter>", 80, 24));
    assert!(
        shown.contains("row 21/32") && shown.contains("bookmarked"),
        "{shown}"
    );
    compare("notes.md", &tui::notes::markdown(&model));
    // An empty note takes note and bookmark away; dropping one changes nothing.
    press(&mut model, "9ggB<esc>B^u<enter>");
    assert_eq!(tui::notes::markdown(&model).matches("(event ").count(), 6);
    assert_eq!(press(&mut model, ":export<enter>"), Effect::Export);
}

fn with_source(options: Options) -> Model {
    let mut trace = fixture::trace(fixture::LEFTOVER);
    let lines =
        (20..=60u32).map(|line| (line, format!("\tlet line_{line} = {line};").as_str().into()));
    let mut sources = Sources::default();
    sources.add("src/timer.rs".into(), Found::Lines(lines.collect()));
    sources.add("src/wake.rs".into(), Found::Absent(Absence::Newer));
    trace.add_sources(sources);
    tui::open(trace, fixture::leftover_verdict(), options)
}

#[test]
fn the_source_has_the_lines_that_a_life_passes_through() {
    let mut model = with_source(options());
    // The focused event is at a line of a file that was changed since.
    compare(
        "source-absent-80x24",
        &styled_snapshot(&screen(&mut model, "5", 80, 24)),
    );
    compare(
        "source-80x24",
        &styled_snapshot(&screen(&mut model, "2ggj5", 80, 24)),
    );
    compare(
        "source-120x40",
        &styled_snapshot(&screen(&mut model, "", 120, 40)),
    );
    compare(
        "source-40x10",
        &styled_snapshot(&screen(&mut model, "", 40, 10)),
    );
    // Where an event has no place of its own, the last one before it is shown, and that is said.
    let shown = plain_snapshot(&screen(&mut model, "oo", 120, 24));
    assert!(shown.contains("src/timer.rs:44"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "O", 120, 24));
    assert!(
        shown.contains("the last known place before this event"),
        "{shown}"
    );
}

#[test]
fn an_event_leads_from_one_of_its_objects_to_the_other() {
    let mut model = leftover(options());
    let shown = plain_snapshot(&screen(&mut model, "<enter>", 119, 39));
    assert!(shown.contains("Biography of Timer#2"), "{shown}");
    assert!(shown.contains("t tells of: operation #3"), "{shown}");
    let event = model.focus().event;
    let shown = plain_snapshot(&screen(&mut model, "t", 119, 39));
    assert!(shown.contains("Biography of operation #3"), "{shown}");
    assert_eq!(model.focus().event, event, "the place stays");
    // `o` walks the life that is told of now; `[` leads back to the other.
    let shown = plain_snapshot(&screen(&mut model, "o", 119, 39));
    assert!(shown.contains("Biography of operation #3"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "Ot", 119, 39));
    assert!(shown.contains("Biography of Timer#2"), "{shown}");
    // What touches one thing only says so.
    let shown = plain_snapshot(&screen(&mut model, "3ggt", 119, 39));
    assert!(shown.contains("touches nothing"), "{shown}");
}

#[test]
fn the_lives_before_and_after_stand_beside_a_life() {
    let mut model = leftover(options());
    let shown = plain_snapshot(&screen(&mut model, "2<tab>j", 160, 40));
    assert!(
        shown.contains("> Before and after") || shown.contains("▶ Before and after"),
        "{shown}"
    );
    assert!(
        shown.contains("↑ before Timer#2 0x55d0c2e0b040@1"),
        "{shown}"
    );
    press(&mut model, "<enter>");
    let shown = plain_snapshot(&draw(&model, 160, 40));
    assert!(
        shown.contains("Biography of Timer#2 0x55d0c2e0b040@1"),
        "{shown}"
    );
    assert!(
        shown.contains("↓ after Timer#2 0x55d0c2e0b040@2"),
        "{shown}"
    );
}

#[test]
fn trivial_steps_are_folded_until_asked_for() {
    let text = "
0 main ring-create 0 sq=8 cq=16 copied
10 main leak 0x7f0010 conn::Conn src/conn.rs:88 owner=Box
20 main peek 0x7f0010 conn::Conn src/conn.rs:89 owner=Box
30 main peek 0x7f0010 conn::Conn src/conn.rs:89 owner=Box
40 main peek 0x7f0010 conn::Conn src/conn.rs:89 owner=Box
50 main reclaim 0x7f0010 conn::Conn src/conn.rs:131 owner=Box
";
    let mut model = tui::open(fixture::trace(text), Verdict::default(), options());
    let shown = plain_snapshot(&screen(&mut model, "3jo2", 80, 24));
    assert!(shown.contains("▸ 3 steps: 3 peek"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "l", 80, 24));
    assert_eq!(
        shown.matches("peek Conn#1").count(),
        4,
        "three rows and a text: {shown}"
    );
    let shown = plain_snapshot(&screen(&mut model, "h", 80, 24));
    assert!(shown.contains("▸ 3 steps: 3 peek"), "{shown}");
}

#[test]
fn a_filter_narrows_the_events() {
    check("filter-typing-80x24", "/timeout submit", 80, 24);
    check("filter-kept-80x24", "/timeout submit<enter>", 80, 24);
    check("filter-nothing-80x24", "/nothing has this", 80, 24);
}

#[test]
fn only_visible_rows_are_built_and_the_end_is_near() {
    let mut model = tui::open(fixture::many(50_000), Verdict::default(), options());
    let shown = plain_snapshot(&screen(&mut model, "3G", 80, 24));
    assert!(shown.contains("row 50,000/50,000"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "gg", 80, 24));
    assert!(shown.contains("row 1/50,000"), "{shown}");
}

#[test]
fn a_filter_over_many_events_goes_on_in_slices() {
    let mut model = tui::open(fixture::many(20_000), Verdict::default(), options());
    update(
        &mut model,
        Msg::Resize {
            columns: 80,
            rows: 24,
        },
    );
    for key in keys("/suspend").expect("keys") {
        let msg = message_for(key, model.context(), model.keymap()).expect("typed");
        update(&mut model, msg);
    }
    assert_eq!(model.work(), Work::Now);
    let shown = plain_snapshot(&draw(&model, 80, 24));
    assert!(shown.contains("% searched"), "{shown}");
    while model.work() != Work::None {
        update(&mut model, Msg::Work);
    }
    let shown = plain_snapshot(&draw(&model, 80, 24));
    assert!(
        shown.contains("10,000 of 20,000 events with suspend"),
        "{shown}"
    );
}
