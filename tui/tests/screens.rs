//! Keys in, screen out: what the viewer shows after which keys, styles included.
//!
//! Expected screens stand in `tests/screens/`; `UPDATE_EXPECT=1 cargo test -p tracer-tui` rewrites
//! them. Read the difference before committing it.

mod fixture;

use std::path::Path;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use traces::event::EventId;
use traces::finding::{RuleId, Severity, Verdict};
use traces::source::{Absence, Found, Sources};
use tui::keys::{message_for, script::keys};
use tui::live::{Reading, State, Watched};
use tui::model::{Model, Work};
use tui::msg::{Effect, Mouse, MouseAction, Msg, Toward};
use tui::snapshot::{plain_snapshot, styled_snapshot};
use tui::update::update;
use tui::view::view;
use tui::{Characters, Colour, Keymap, Options, Theme};

fn options() -> Options {
    Options {
        title: "traces/leftover.trc".into(),
        ..Options::default()
    }
}

fn leftover(options: Options) -> Model {
    tui::open(
        fixture::trace(fixture::LEFTOVER),
        fixture::leftover_verdict(),
        options,
    )
}

/// Presses keys as the shell would, and finishes all work. Gives the last effect.
fn press(model: &mut Model, script: &str) -> Effect {
    let mut effect = Effect::Nothing;
    for key in keys(script).expect("keys") {
        if let Some(msg) = message_for(key, model.context(), model.keymap()) {
            effect = update(model, msg);
        }
        while model.work() != Work::None {
            update(model, Msg::Work);
        }
    }
    effect
}

fn draw(model: &Model, columns: u16, rows: u16) -> Buffer {
    let mut terminal =
        Terminal::new(TestBackend::new(columns, rows)).expect("a test terminal opens");
    terminal
        .draw(|frame| view(model, frame))
        .expect("a test terminal draws");
    terminal.backend().buffer().clone()
}

fn screen(model: &mut Model, script: &str, columns: u16, rows: u16) -> Buffer {
    update(model, Msg::Resize { columns, rows });
    press(model, script);
    draw(model, columns, rows)
}

/// Compares a screen with the file of that name.
#[track_caller]
fn compare(name: &str, shown: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/screens")
        .join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(&path, shown).expect("the expected screen can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == shown,
        "{name} is not as expected (UPDATE_EXPECT=1 rewrites it).\n-- expected\n{expected}\n-- shown\n{shown}"
    );
}

/// Presses keys on the fixture with findings, and compares the screen.
#[track_caller]
fn check(name: &str, script: &str, columns: u16, rows: u16) {
    let mut model = leftover(options());
    compare(
        name,
        &styled_snapshot(&screen(&mut model, script, columns, rows)),
    );
}

#[test]
fn findings_come_first() {
    check("findings-80x24", "", 80, 24);
    check("findings-120x40", "", 120, 40);
    check("findings-40x10", "", 40, 10);
}

#[test]
fn the_rule_of_a_finding_is_explained_over_what_is_shown() {
    check("explain-80x24", "i", 80, 24);
    check("explain-40x10", "iG", 40, 10);
    // From what a finding rests on, too; and any way out of the help leads out of it.
    for out in ["<esc>", "q", "?", "<enter>"] {
        let mut model = leftover(options());
        let before = screen(&mut model, "", 80, 24);
        let shown = plain_snapshot(&screen(&mut model, "i/jj", 80, 24));
        assert!(shown.contains("What the rule looks for"), "{shown}");
        assert_eq!(screen(&mut model, out, 80, 24), before, "{out}");
    }
}

#[test]
fn keys_of_the_users_own_hold_and_the_help_says_which_they_are() {
    let wanted = [
        ("move.down", vec!["n"]),
        ("help", vec!["<f5>"]),
        ("shell", vec![]),
        ("quit.printed", vec!["gq"]),
    ];
    let own = || Options {
        keymap: Keymap::new(wanted.clone()).expect("keys"),
        ..options()
    };
    let mut model = leftover(own());
    let shown = screen(&mut model, "n", 80, 24);
    assert!(plain_snapshot(&shown).contains("row 2/"));
    compare(
        "own-keys-80x24",
        &styled_snapshot(&screen(&mut model, "<f5>", 80, 24)),
    );
    let before = model.selected_finding();
    press(&mut model, "<esc>j!");
    assert_eq!(
        model.selected_finding(),
        before,
        "these keys mean nothing now"
    );
    assert_eq!(press(&mut model, "gq"), Effect::QuitPrinted);
}

#[test]
fn warnings_are_gone_to_without_what_is_worse_and_less() {
    let mut model = leftover(options());
    screen(&mut model, "", 120, 40);
    press(&mut model, "gg");
    let mut warnings = 0;
    loop {
        let before = model.selected_finding();
        press(&mut model, "w");
        if model.selected_finding() == before {
            break;
        }
        let finding = model.finding(model.selected_finding()).expect("a finding");
        assert_eq!(finding.severity, Severity::Warning);
        warnings += 1;
    }
    let shown = plain_snapshot(&draw(&model, 120, 40));
    assert!(
        warnings > 0 && shown.contains("no warning after this one"),
        "{shown}"
    );
    press(&mut model, "W");
    let shown = plain_snapshot(&draw(&model, 120, 40));
    let first = warnings == 1;
    assert_eq!(
        shown.contains("no warning before this one"),
        first,
        "{shown}"
    );
    // In the timeline the same key zooms.
    assert!(plain_snapshot(&screen(&mut model, "4w", 120, 40)).contains("Timeline from"));
}

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
fn live(state: State) -> Model {
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

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

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
fn whoever_leaves_a_running_program_is_asked_what_becomes_of_it() {
    for (script, effect) in [
        ("q", Effect::Draw),
        ("^c", Effect::Draw),
        ("ql", Effect::Quit),
        ("q<enter>", Effect::Quit),
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

#[test]
fn consequences_unfold_under_their_cause() {
    check("findings-unfolded-80x24", "lj", 80, 24);
    let mut model = leftover(options());
    let folded = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert_eq!(plain_snapshot(&screen(&mut model, "ljh", 80, 24)), folded);
}

#[test]
fn what_cannot_be_told_is_said() {
    check("cannot-tell-80x24", "jj", 80, 24);
}

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
fn the_timeline_shows_who_did_what_when() {
    check("timeline-80x24", "4", 80, 24);
    check("timeline-120x40", "4", 120, 40);
    check("timeline-200x60", "4", 200, 60);
    check("timeline-40x10", "4", 40, 10);
    check("timeline-zoomed-80x24", "4www", 80, 24);
    check("timeline-marks-80x24", "40mllllllllmr", 80, 24);
}

#[test]
fn rings_objects_and_losses_have_pages() {
    for (name, key) in [("rings", "6"), ("objects", "7"), ("losses", "8")] {
        for (columns, rows) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
            check(&format!("{name}-{columns}x{rows}"), key, columns, rows);
        }
    }
}

#[test]
fn what_is_held_is_counted_by_any_column_and_leads_to_biographies() {
    let text = "
0 main leak 0x10 conn::Conn src/conn.rs:88 owner=Box
10 main leak 0x20 conn::Conn src/conn.rs:88 owner=Box
20 worker leak 0x30 timer::Timer src/timer.rs:41 owner=Rc
30 worker leak 0x40 timer::Timer src/timer.rs:41 owner=Rc
40 main leak 0x50 conn::Conn src/accept.rs:7 owner=Box
50 main reclaim 0x40 timer::Timer src/timer.rs:52 owner=Rc
";
    let mut model = tui::open(fixture::trace(text), Verdict::default(), options());
    // Of several threads each row has its own; of one, none.
    let shown = plain_snapshot(&screen(&mut model, "3", 80, 24));
    assert!(shown.contains("0.000000030 worker leak"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "7", 80, 24));
    assert!(
        shown.contains("4 objects held at the end, by type"),
        "{shown}"
    );
    assert!(shown.contains("3 ████████████████████ Conn"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "c", 80, 24));
    assert!(
        shown.contains("2 ████████████████████ src/conn.rs:88"),
        "{shown}"
    );
    let shown = plain_snapshot(&screen(&mut model, "cc", 80, 24));
    assert!(
        shown.contains("by thread") && shown.contains("worker"),
        "{shown}"
    );
    let shown = plain_snapshot(&screen(&mut model, "c<enter>j<enter>", 80, 24));
    assert!(shown.contains("Biography of Conn#2 0x20@1"), "{shown}");
    // Up is the list again, then its groups.
    let shown = plain_snapshot(&screen(&mut model, "<esc>", 80, 24));
    assert!(shown.contains("Conn, oldest first"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "<esc>", 80, 24));
    assert!(shown.contains("by type"), "{shown}");
}

#[test]
fn a_loss_says_what_to_do_and_leads_to_its_place() {
    let text = "
10 main spawn 1 serve src/serve.rs:1
20 main lost 5 overwritten
30 main done 1
";
    let mut model = tui::open(fixture::trace(text), fixture::leftover_verdict(), options());
    let shown = plain_snapshot(&screen(&mut model, "8", 80, 24));
    assert!(
        shown.contains("5 records overwritten by newer ones"),
        "{shown}"
    );
    assert!(shown.contains("--ring"), "{shown}");
    assert!(shown.contains("T11 never-resumed"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "<enter>", 80, 24));
    assert!(
        shown.contains("[3 Events]") && shown.contains("row 2/3"),
        "{shown}"
    );
}

#[test]
fn commands_are_found_by_their_letters_and_run() {
    check("palette-80x24", ":zoom", 80, 24);
    check("palette-all-120x40", ":", 120, 40);
    check("palette-40x10", ":goto", 40, 10);
    let mut model = leftover(options());
    let shown = plain_snapshot(&screen(&mut model, ":timel<enter>", 80, 24));
    assert!(shown.contains("[4 Timeline]"), "{shown}");
    // A command of another pane goes there first.
    let shown = plain_snapshot(&screen(&mut model, "1:pivot<enter>", 80, 24));
    assert!(shown.contains("by place"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, ":goto event:5<enter>", 80, 24));
    assert!(shown.contains("row 6/32"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, ":goto<enter>", 80, 24));
    assert!(shown.contains(":goto"), "it waits for the place: {shown}");
    let shown = plain_snapshot(&screen(&mut model, "nowhere<enter>", 80, 24));
    assert!(!shown.contains(":goto"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, ":nonsense x<enter>", 80, 24));
    assert!(shown.contains("no command is called nonsense"), "{shown}");
    let shown = plain_snapshot(&screen(
        &mut model,
        "<esc>:filter kind:submit<enter>",
        80,
        24,
    ));
    assert!(shown.contains("4 of 32 events with kind:submit"), "{shown}");
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
fn a_script_is_run_before_the_first_key() {
    let commands = "filter op:nop; object.next; timeline; timeline.zoom-in 2";
    let mut model = leftover(Options {
        exec: tui::commands::script(commands).expect("it reads"),
        ..options()
    });
    update(
        &mut model,
        Msg::Resize {
            columns: 80,
            rows: 24,
        },
    );
    while model.work() != Work::None {
        update(&mut model, Msg::Work);
    }
    compare("script-80x24", &styled_snapshot(&draw(&model, 80, 24)));
}

#[test]
fn a_finding_is_copied_as_markdown() {
    let mut model = leftover(options());
    screen(&mut model, "", 80, 24);
    assert_eq!(press(&mut model, "Y"), Effect::Copy);
    let row = model.selected_finding();
    compare(
        "finding.md",
        &tui::copy::finding(&model, row).expect("a finding"),
    );
    assert_eq!(press(&mut model, "3y"), Effect::Copy);
    let said = tui::copy::row(&model);
    assert!(said.starts_with("submit operation #3"), "{said}");
}

#[test]
fn themes_colour_every_cell_and_change_no_letter() {
    let mut plain = leftover(options());
    let letters = plain_snapshot(&screen(&mut plain, "", 80, 24));
    for theme in Theme::ALL {
        let mut model = leftover(Options { theme, ..options() });
        let buffer = screen(&mut model, "", 80, 24);
        assert_eq!(plain_snapshot(&buffer), letters, "{theme}");
        compare(&format!("theme-{theme}-80x24"), &styled_snapshot(&buffer));
        if theme.ground().is_some() {
            let bare = buffer
                .content()
                .iter()
                .find(|cell| cell.bg == ratatui::style::Color::Reset);
            assert_eq!(bare, None, "{theme}");
        }
    }
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

#[test]
fn a_finding_is_suppressed_with_a_reason_and_told_again() {
    let mut model = leftover(options());
    check("suppress-reason-80x24", "Xknown\u{202e}", 80, 24);
    check("suppress-until-80x24", "Xknown<enter>soon<enter>", 80, 24);
    check("suppress-reason-40x10", "X<enter>", 40, 10);
    // Without a reason nothing is done, and Esc drops it.
    assert_eq!(press(&mut model, "X <enter>"), Effect::Draw);
    let shown = plain_snapshot(&screen(&mut model, "<esc>", 80, 24));
    assert!(shown.contains("2 findings, 1 cannot tell"), "{shown}");
    assert_eq!(press(&mut model, "Xknown<enter><enter>"), Effect::Suppress);
    // What could not be kept does not count; what was typed is still there.
    tui::update::suppression_kept(&mut model, Err("the disk is full".into()));
    let shown = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert!(shown.contains("2 findings, 1 cannot tell"), "{shown}");
    assert!(shown.contains("the disk is full"), "{shown}");
    let again = "X<enter>2027-01-31<enter>";
    assert_eq!(press(&mut model, again), Effect::Suppress);
    tui::update::suppression_kept(&mut model, Ok("kept in s.toml".into()));
    for (columns, rows) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        compare(
            &format!("suppressed-{columns}x{rows}"),
            &styled_snapshot(&screen(&mut model, "", columns, rows)),
        );
    }
    // It is no finding to go to any more, and its events have no sign.
    let shown = plain_snapshot(&screen(&mut model, "3", 80, 24));
    assert!(!shown.contains('✖'), "{shown}");
    compare(
        "suppressed-shown-80x24",
        &styled_snapshot(&screen(&mut model, "1zG<up><up>", 80, 24)),
    );
    assert_eq!(press(&mut model, "U"), Effect::Suppress);
    tui::update::suppression_kept(&mut model, Ok("told again".into()));
    let shown = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert!(shown.contains("2 findings, 1 cannot tell"), "{shown}");
    for (columns, rows) in [(0, 0), (1, 1)] {
        screen(&mut model, "Xx<enter>", columns, rows);
    }
}

#[test]
fn a_baseline_and_suppressions_hide_what_they_cover_and_say_how_much() {
    let filter = traces::filter::Filter::parse("rule:T02").expect("it reads");
    let hidden = |covers, why| tui::hiding::Cover { covers, why };
    let why = tui::hiding::Why::Suppressed {
        reason: "by design".into(),
        until: None,
    };
    let verdict = fixture::leftover_verdict();
    let known = verdict.stories[1].head.fingerprint;
    let mut model = leftover(Options {
        hidden: vec![
            hidden(tui::hiding::Covers::Filter(filter), why),
            hidden(
                tui::hiding::Covers::Fingerprints([known].into()),
                tui::hiding::Why::Known,
            ),
        ],
        goto: None,
        ..options()
    });
    let shown = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert!(
        shown.contains("No finding, 1 suppressed, 1 in the baseline, 1 cannot tell"),
        "{shown}"
    );
    let shown = plain_snapshot(&screen(&mut model, "j<enter>j", 80, 24));
    assert!(shown.contains("suppressed: by design"), "{shown}");
    // It covers more than this finding, so it is not the viewer's to take back.
    assert_eq!(press(&mut model, "U"), Effect::Draw);
    let shown = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert!(shown.contains("change the file by hand"), "{shown}");
    // A hidden finding that the command line asks for is shown.
    let shown = plain_snapshot(&screen(&mut model, "z:goto T02<enter>", 80, 24));
    assert!(shown.contains("[2 Biography]"), "{shown}");
}

/// What the mouse does at a place of the screen.
fn mouse(model: &mut Model, action: MouseAction, column: u16, row: u16) {
    let ctrl = false;
    let mouse = Mouse {
        action,
        column,
        row,
        ctrl,
    };
    update(model, Msg::Mouse(mouse));
    while model.work() != Work::None {
        update(model, Msg::Work);
    }
}

/// A click on the first place where the screen has this text.
#[track_caller]
fn click(model: &mut Model, text: &str, columns: u16, rows: u16) {
    let shown = plain_snapshot(&draw(model, columns, rows));
    let found = shown.lines().zip(0..).find_map(|(line, row)| {
        let before = &line[..line.find(text)?];
        Some((before.chars().count() as u16, row))
    });
    let Some((column, row)) = found else {
        panic!("{text} is not on the screen\n{shown}");
    };
    mouse(model, MouseAction::Press, column, row);
    mouse(model, MouseAction::Release, column, row);
}

#[test]
fn clicks_choose_what_is_drawn_there_and_a_second_one_opens_it() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let mut model = leftover(options());
        let shown = |model: &Model| plain_snapshot(&draw(model, columns, rows));
        screen(&mut model, "", columns, rows);
        for view in ["Events", "Rings", "Loss", "Findings"] {
            click(&mut model, &format!(" {view}"), columns, rows);
            let shown = shown(&model);
            assert!(shown.contains(&format!(" {view}]")), "{shown}");
        }
        click(&mut model, "T09 never-reclaimed", columns, rows);
        assert!(shown(&model).contains("row 2/4"), "{}", shown(&model));
        click(&mut model, "T09 never-reclaimed", columns, rows);
        assert!(shown(&model).contains("[2 Biography]"), "{}", shown(&model));
        click(&mut model, " Events", columns, rows);
        press(&mut model, "gg");
        mouse(&mut model, MouseAction::Wheel(Toward::Next), 5, 4);
        mouse(&mut model, MouseAction::Wheel(Toward::Next), 5, 4);
        assert!(shown(&model).contains("row 7/32"), "{}", shown(&model));
        // In a scrolled list, the row that is drawn there.
        press(&mut model, "G");
        click(
            &mut model,
            "complete ring 0 operation #0 cookie",
            columns,
            rows,
        );
        assert!(shown(&model).contains("row 29/32"), "{}", shown(&model));
        press(&mut model, ":");
        click(&mut model, "theme NAME", columns, rows);
        assert!(shown(&model).contains(":theme "), "{}", shown(&model));
    }
}

#[test]
fn the_mouse_focuses_events_of_the_timeline_and_drags_a_stretch_of_time() {
    let mut model = leftover(options());
    screen(&mut model, "40", 80, 24);
    let before = model.focus();
    click(&mut model, "co 7", 80, 24);
    assert_eq!(model.focus(), before, "a name is a row, no time");
    let buffer = draw(&model, 80, 24);
    let lines = plain_snapshot(&buffer);
    let row = lines.lines().position(|line| line.contains("main"));
    let row = row.expect("a lane") as u16;
    // The last event of the thread: at the right edge.
    let column = (20..80).rev().find(|x| buffer[(*x, row)].symbol() != " ");
    let column = column.expect("an event");
    mouse(&mut model, MouseAction::Press, column, row);
    let focus = model.focus();
    let at_ns = model
        .event(focus.event.expect("an event"))
        .expect("it is")
        .at_ns;
    assert!(at_ns >= 2_000_000, "{at_ns}");
    mouse(&mut model, MouseAction::Release, column, row);
    assert!(!plain_snapshot(&draw(&model, 80, 24)).contains("of the time"));
    // From the middle to beyond the right edge.
    mouse(&mut model, MouseAction::Press, 40, row);
    mouse(&mut model, MouseAction::Drag, 60, 2);
    compare(
        "timeline-dragging-80x24",
        &styled_snapshot(&draw(&model, 80, 24)),
    );
    mouse(&mut model, MouseAction::Drag, 79, 23);
    mouse(&mut model, MouseAction::Release, 79, 23);
    compare(
        "timeline-dragged-80x24",
        &styled_snapshot(&draw(&model, 80, 24)),
    );
    let shown = plain_snapshot(&screen(&mut model, "3", 80, 24));
    assert!(
        shown.contains("20 of 32 events in the selected time"),
        "{shown}"
    );
    for (columns, rows) in [(0, 0), (1, 1), (40, 10)] {
        screen(&mut model, "4", columns, rows);
        mouse(&mut model, MouseAction::Press, 30, 3);
        mouse(&mut model, MouseAction::Drag, 35, 3);
        mouse(&mut model, MouseAction::Release, 35, 3);
        draw(&model, columns, rows);
    }
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

fn compared() -> Model {
    let sides = fixture::compared().map(|(trace, verdict, title)| tui::Compared {
        trace,
        verdict,
        title: title.into(),
        notes: vec![tui::Note {
            event: EventId(title.len() as u64),
            text: format!("of {}", title.len()),
        }],
    });
    let [before, after] = sides;
    tui::open_diff(before, after, Options::default())
}

#[test]
fn two_traces_are_compared_and_either_side_opens() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        let mut model = compared();
        compare(
            &format!("diff-{columns}x{rows}"),
            &styled_snapshot(&screen(&mut model, "", columns, rows)),
        );
    }
    let mut model = compared();
    let shown = |model: &mut Model, keys| plain_snapshot(&screen(model, keys, 100, 24));
    let text = shown(&mut model, "<enter>");
    assert!(text.contains("after: new.trc"), "{text}");
    assert!(text.contains("Diff › Biography of Timer#2"), "{text}");
    // What is gone opens in the trace from before, and Esc leads back to the changes.
    let text = shown(&mut model, "<esc>j<enter>");
    assert!(text.contains("before: "), "{text}");
    assert!(text.contains("Diff › Biography of Timer#2"), "{text}");
    let text = shown(&mut model, "<esc>");
    assert!(text.contains("1 new, 1 gone, 1 same"), "{text}");
    assert!(text.contains("shown is old"), "{text}");
    // The same finding in both: T goes between them.
    let text = shown(&mut model, "j<enter>");
    assert!(
        text.contains("before: ") && text.contains("Timer#1"),
        "{text}"
    );
    let text = shown(&mut model, "T");
    assert!(text.contains("now after: new.trc"), "{text}");
    assert!(text.contains("Biography of Timer#1"), "{text}");
    // Each has its own notes and events.
    let text = shown(&mut model, "9");
    assert!(text.contains("of 7"), "{text}");
    let text = shown(&mut model, "T");
    assert!(
        text.contains("[9 Notes]") && text.contains("of 11"),
        "{text}"
    );
    let text = shown(&mut model, "3");
    assert!(text.contains("32 events"), "{text}");
    let text = shown(&mut model, "T");
    assert!(text.contains("31 events"), "{text}");
    for (columns, rows) in [(0, 0), (1, 1)] {
        screen(&mut model, "DjT<enter>T", columns, rows);
    }
    // Where one trace is open, it is said how two are.
    let mut alone = leftover(options());
    let text = plain_snapshot(&screen(&mut alone, "D", 80, 24));
    assert!(text.contains("view --diff A B"), "{text}");
    let text = plain_snapshot(&screen(&mut alone, ":diff<enter>", 80, 24));
    assert!(text.contains("view --diff A B"), "{text}");
}

#[test]
fn the_help_is_searched_and_its_keys_are_run() {
    check("help-search-80x24", "4?/zoom", 80, 24);
    check("help-search-40x10", "4?/zoom", 40, 10);
    let mut model = leftover(options());
    let shown = |model: &mut Model, keys| plain_snapshot(&screen(model, keys, 80, 24));
    // Chosen and run: the help is gone, the view is there.
    let text = shown(&mut model, "?/view.events<enter>");
    assert!(text.contains("Keys here with view.events"), "{text}");
    let text = shown(&mut model, "<enter>");
    assert!(
        text.contains("[3 Events]") && !text.contains("Keys here"),
        "{text}"
    );
    // Nothing fits; one level up is all keys, then none.
    let text = shown(&mut model, "?/nonsense<enter><enter>");
    assert!(text.contains("No key here has that"), "{text}");
    let text = shown(&mut model, "<esc>");
    assert!(text.contains("Enter runs, / searches"), "{text}");
    assert_eq!(
        shown(&mut model, "G")
            .matches("draw the screen anew")
            .count(),
        1
    );
    let text = shown(&mut model, "<esc>");
    assert!(!text.contains("Keys here"), "{text}");
    for (columns, rows) in [(0, 0), (1, 1)] {
        screen(&mut model, "?jG/x<enter>", columns, rows);
        press(&mut model, "<esc><esc>");
    }
}

#[test]
fn a_pane_has_the_screen_for_itself_where_it_is_asked_to() {
    let mut model = leftover(options());
    let shown = |model: &mut Model, keys| plain_snapshot(&screen(model, keys, 120, 40));
    let both = shown(&mut model, "");
    assert!(both.contains("Biography of Timer#2"), "{both}");
    let text = shown(&mut model, "Z");
    assert!(!text.contains("Biography of Timer#2"), "{text}");
    assert_eq!(shown(&mut model, "Z"), both);
    let text = plain_snapshot(&screen(&mut model, "Z", 80, 24));
    assert!(text.contains("has all of the screen"), "{text}");
}

#[test]
fn places_and_words_are_copied_and_a_first_key_says_what_may_follow() {
    let mut model = leftover(options());
    let shown = plain_snapshot(&screen(&mut model, "<enter>g", 80, 24));
    assert!(
        shown.contains("g then: g move.first   y copy.place   w copy.word"),
        "{shown}"
    );
    assert_eq!(press(&mut model, "y"), Effect::Copy);
    assert_eq!(model.clipboard(), "src/wake.rs:29");
    assert_eq!(press(&mut model, "gw"), Effect::Copy);
    assert_eq!(model.clipboard(), "0x55d0c2e0b040");
    // An operation has its cookie.
    assert_eq!(press(&mut model, "tgw"), Effect::Copy);
    assert_eq!(model.clipboard(), "0x55d0c2e0b040");
    // A ring has none.
    assert_eq!(press(&mut model, "3gggw"), Effect::Draw);
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

#[test]
fn a_filter_narrows_the_events() {
    check("filter-typing-80x24", "/timeout submit", 80, 24);
    check("filter-kept-80x24", "/timeout submit<enter>", 80, 24);
    check("filter-nothing-80x24", "/nothing has this", 80, 24);
}

#[test]
fn the_help_is_the_key_table() {
    check("help-80x24", "?", 80, 24);
    check("help-40x10", "?G", 40, 10);
}

#[test]
fn without_findings_the_summary_says_so() {
    let mut model = tui::open(
        fixture::trace(fixture::CLEAN),
        fixture::clean_verdict(),
        options(),
    );
    compare(
        "clean-80x24",
        &styled_snapshot(&screen(&mut model, "", 80, 24)),
    );
}

#[test]
fn without_colour_and_unicode_all_is_still_said() {
    let options = Options {
        characters: Characters::Ascii,
        colour: Colour::Off,
        ..options()
    };
    let mut model = leftover(options);
    let buffer = screen(&mut model, "l", 80, 24);
    let shown = styled_snapshot(&buffer);
    assert!(shown.is_ascii(), "{shown}");
    let (_, styles) = shown.rsplit_once("\n----\n").expect("styles");
    for colour in ["red", "yellow", "magenta", "cyan", "indexed"] {
        assert!(
            !styles
                .split([' ', '\n'])
                .any(|word| word.starts_with(colour)),
            "{colour} in {shown}"
        );
    }
    for word in ["error", "warning", "cannot tell", "reversed"] {
        assert!(shown.contains(word), "{word} is missing in {shown}");
    }
    compare("ascii-80x24", &shown);
    for script in ["<enter>", "3", "/timeout", "<esc>?"] {
        let shown = styled_snapshot(&screen(&mut model, script, 120, 40));
        assert!(shown.is_ascii(), "{shown}");
    }
}

/// Keys that lead to every screen.
const SCRIPTS: [&str; 27] = [
    "",
    "l",
    "<enter>",
    "<enter>j",
    "3",
    "3G",
    "/comp",
    "/zzz<enter>",
    "?",
    "?G",
    "2o",
    "4",
    "4wwwaadl",
    "4sp?",
    "5",
    "6J",
    "b9",
    "3bjBx<enter>9G",
    ":",
    ":zoom<down><down><enter>",
    "/kind:x",
    "7c<enter>j",
    "8jj<enter>",
    "5jjG",
    "2<tab>G",
    "2lhj<tab>j<enter>",
    "4jzrlllr3",
];

#[test]
fn a_look_that_has_nothing_new_changes_nothing_on_the_screen() {
    for script in SCRIPTS.iter().chain(&[
        "4wwwml",
        "6",
        "7<enter>j",
        "9",
        "3jjjj",
        "bB",
        "2jjj",
        "5jj",
    ]) {
        for (columns, rows) in [(80, 24), (120, 40)] {
            let mut model = live(State::Running);
            let before = styled_snapshot(&screen(&mut model, script, columns, rows));
            let again = tui::Arrived {
                trace: fixture::trace(fixture::LEFTOVER),
                verdict: fixture::leftover_verdict(),
                notes: None,
                index: None,
                is_last: false,
            };
            tui::update::arrive(&mut model, again);
            let after = styled_snapshot(&screen(&mut model, "", columns, rows));
            assert_eq!(before, after, "{script} at {columns}x{rows}");
        }
    }
}

#[test]
fn every_screen_is_drawn_at_every_size() {
    let scripts = SCRIPTS;
    let sizes = [
        (0, 0),
        (1, 1),
        (3, 40),
        (39, 10),
        (40, 9),
        (40, 10),
        (41, 11),
        (60, 12),
        (80, 24),
        (80, 40),
    ];
    for script in scripts {
        for (columns, rows) in sizes
            .into_iter()
            .chain([(120, 40), (200, 60), (300, 4), (119, 10)])
        {
            let mut model = leftover(options());
            screen(&mut model, script, columns, rows);
            let mut empty = tui::open(fixture::trace(""), Verdict::default(), options());
            screen(&mut empty, script, columns, rows);
        }
    }
}

#[test]
fn a_terminal_that_shrinks_under_a_frame_is_drawn_too() {
    let mut model = leftover(options());
    update(
        &mut model,
        Msg::Resize {
            columns: 120,
            rows: 40,
        },
    );
    let shown = plain_snapshot(&draw(&model, 20, 5));
    assert!(shown.contains("needs 40x10"), "{shown}");
}

#[test]
fn too_small_a_terminal_says_what_it_needs_and_can_be_left() {
    let mut model = leftover(options());
    let shown = plain_snapshot(&screen(&mut model, "", 30, 8));
    assert_eq!(shown.trim(), "needs 40x10");
    assert_eq!(press(&mut model, "q"), Effect::Quit);
    assert_eq!(press(&mut model, "^c"), Effect::Quit);
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

#[test]
fn hostile_names_reach_the_screen_escaped_only() {
    let mut options = options();
    options.title = "evil\x1b]52;c;x\x07\u{202e}.trc".into();
    let text = "10 main mark \"a\x1b[2Jb\"\n20 main spawn 1 \u{202e}gnp.exe src/\u{9b}x.rs:1\n";
    let mut model = tui::open(fixture::trace(text), Verdict::default(), options);
    for script in ["", "3", "/\u{202e}\u{200b}x"] {
        let buffer = screen(&mut model, script, 80, 24);
        for cell in buffer.content() {
            for c in cell.symbol().chars() {
                assert!(
                    !c.is_control() && !('\u{200b}'..='\u{202f}').contains(&c),
                    "{c:?} is on the screen after {script:?}"
                );
            }
        }
    }
}
