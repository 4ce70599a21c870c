//! A trace that is still read, or still written.

use super::*;

/// A model whose trace is still to come, a third of which was read.
fn reading(options: Options) -> Model {
    let mut model = tui::expect(options);
    let reading = Reading {
        doing: "judging".into(),
        percent: Some(72),
        left: Some(Duration::from_secs(4)),
        found: vec![(RuleId(2), 3), (RuleId(10), 1204)],
    };
    tui::update::reading(&mut model, reading);
    model
}

/// A model that looks on while the fixture with findings is recorded.
pub(super) fn live(state: State) -> Model {
    let mut model = tui::expect(options());
    let watched = |state| Watched {
        state,
        is_ours: true,
        output: Some("trace.output.log".into()),
    };
    tui::update::watched(&mut model, watched(State::Running));
    let arrived = tui::Arrived {
        trace: fixture::trace(fixture::LEFTOVER),
        verdict: fixture::leftover_verdict(),
        notes: None,
        index: None,
        is_last: false,
    };
    tui::update::arrive(&mut model, arrived);
    tui::update::watched(&mut model, watched(state));
    model
}

#[test]
fn before_there_is_a_trace_the_screen_says_how_far_it_is() {
    for (columns, rows) in SIZES {
        let mut model = reading(options());
        let shown = styled_snapshot(&screen(&mut model, "", columns, rows));
        compare(&format!("reading-{columns}x{rows}"), &shown);
    }
    // Every view says so, and none of them that nothing is there.
    let mut model = reading(options());
    for key in ["1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        let shown = plain_snapshot(&screen(&mut model, key, 120, 40));
        assert!(shown.contains("judging... 72%, about 4s left"), "{shown}");
        assert!(
            !shown.contains("No finding") && !shown.contains("0 events"),
            "{shown}"
        );
    }
    assert_eq!(press(&mut reading(options()), "q"), Effect::Quit);
    assert_eq!(press(&mut reading(options()), "<esc>"), Effect::Quit);
    assert_eq!(press(&mut reading(options()), "3<esc>"), Effect::Draw);
    assert_eq!(press(&mut reading(options()), "?<esc>"), Effect::Draw);
}

#[test]
fn what_was_asked_for_before_there_was_a_trace_is_done_when_it_is_there() {
    let wanted = Options {
        goto: Some("event:20".parse().expect("a place")),
        exec: tui::commands::script("filter timeout").expect("a script"),
        ..options()
    };
    let mut late = reading(wanted.clone());
    screen(&mut late, "", 80, 24);
    let arrived = tui::Arrived {
        trace: fixture::trace(fixture::LEFTOVER),
        verdict: fixture::leftover_verdict(),
        notes: None,
        index: None,
        is_last: false,
    };
    tui::update::arrive(&mut late, arrived);
    let mut there = leftover(wanted);
    assert_eq!(
        plain_snapshot(&screen(&mut late, "", 80, 24)),
        plain_snapshot(&screen(&mut there, "", 80, 24))
    );
}

#[test]
fn the_status_line_says_whether_more_is_to_come() {
    let ended = || State::Ended("exited with code 3".into());
    for (columns, rows) in SIZES {
        let shown =
            |mut model: Model, script| styled_snapshot(&screen(&mut model, script, columns, rows));
        let compare = |name, shown: String| compare(&format!("{name}-{columns}x{rows}"), &shown);
        compare("live", shown(live(State::Running), ""));
        compare("live-paused", shown(live(State::Running), " "));
        compare("live-ended", shown(live(ended()), ""));
        compare("live-question", shown(live(State::Running), "q"));
    }
    let mut model = live(ended());
    let shown = plain_snapshot(&screen(&mut model, " ", 80, 24));
    assert!(shown.contains("the trace is whole"), "{shown}");
}

#[test]
fn what_is_shown_of_a_recording_that_goes_on_says_when_it_is_old() {
    let shown = |model: &mut Model, script| plain_snapshot(&screen(model, script, 80, 24));
    let age = |seconds| Some(Duration::from_secs(seconds));
    let mut model = live(State::Running);
    // Looks follow each other so soon that a few seconds are as good as now.
    assert!(!tui::update::aged(&mut model, age(3)));
    assert!(!shown(&mut model, "").contains("old"));
    assert!(tui::update::aged(&mut model, age(40)));
    assert!(shown(&mut model, "").contains("LIVE, 40s old"));
    assert!(shown(&mut model, " ").contains("PAUSED, 40s old"));
    assert!(!tui::update::aged(&mut model, age(40)), "nothing to draw");
    assert!(tui::update::aged(&mut model, age(150)));
    assert!(shown(&mut model, "").contains("PAUSED, 2 min old"));
    assert!(tui::update::aged(&mut model, None));
    let mut ended = live(State::Ended("exited with code 3".into()));
    assert!(!tui::update::aged(&mut ended, age(40)));
    assert!(!shown(&mut ended, "").contains("old"));
}

#[test]
fn whoever_leaves_a_running_program_is_asked_what_becomes_of_it() {
    for (script, effect) in [
        ("q", Effect::Draw),
        ("^c", Effect::Draw),
        ("ql", Effect::Quit),
        ("q<enter>", Effect::Quit),
        // Who wanted the screen printed has it printed.
        ("Ql", Effect::QuitPrinted),
        ("Qe", Effect::EndProgram),
        ("Q<esc>ql", Effect::Quit),
        ("qe", Effect::EndProgram),
        ("^c^c", Effect::EndProgram),
        ("q<esc>", Effect::Draw),
        ("q<esc>q", Effect::Draw),
        ("/conn^cq<esc>", Effect::Draw),
    ] {
        assert_eq!(press(&mut live(State::Running), script), effect, "{script}");
    }
    let ended = State::Ended("exited with code 0".into());
    assert_eq!(press(&mut live(ended), "q"), Effect::Quit);
}

/// Nobody leaves with a verdict that the rest of the recording may refute.
#[test]
fn a_recording_is_called_clean_once_it_was_read_to_its_end() {
    let ended = State::Ended("exited with code 0".into());
    for (state, said) in [
        (State::Running, "No finding so far. What still lives"),
        (State::Sealing, "No finding so far, but this is not read"),
        (ended, "No finding, and nothing stood in the way."),
    ] {
        let mut model = live(state);
        let trace = fixture::trace("10 main leak 0x1000 Conn conn.rs:8 owner=Rc\n");
        let arrived = tui::Arrived {
            verdict: trace.verdict().clone(),
            trace,
            notes: None,
            index: None,
            is_last: false,
        };
        tui::update::arrive(&mut model, arrived);
        let shown = plain_snapshot(&screen(&mut model, "G", 120, 40));
        assert!(shown.contains(said), "{shown}");
        let is_over = said.contains("stood");
        assert_eq!(shown.contains("At the end"), is_over, "{shown}");
    }
}
