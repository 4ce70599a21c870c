//! Keys, commands and the mouse: what they reach from anywhere.

use super::*;

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
    let shown = plain_snapshot(&screen(&mut model, "<enter>c", 80, 24));
    assert!(shown.contains("c and another key"), "{shown}");
    // Who hesitates is told which ones there are; who knows them is not held up.
    update(&mut model, Msg::Hesitate);
    compare("pairs-80x24", &styled_snapshot(&draw(&model, 80, 24)));
    assert_eq!(press(&mut model, "l"), Effect::Copy);
    let shown = plain_snapshot(&draw(&model, 80, 24));
    assert!(!shown.contains("c and"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "g", 40, 10));
    assert!(shown.contains("g and another key"), "{shown}");
    update(&mut model, Msg::Hesitate);
    let shown = plain_snapshot(&draw(&model, 40, 10));
    assert!(shown.contains(" g  first row"), "{shown}");
    // Nothing waits any more, so nothing is told.
    press(&mut model, "%");
    update(&mut model, Msg::Hesitate);
    let shown = plain_snapshot(&draw(&model, 40, 10));
    assert!(!shown.contains(" g  first row"), "{shown}");
    assert_eq!(press(&mut model, "gy"), Effect::Copy);
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
fn the_help_is_the_key_table() {
    check("help-80x24", "?", 80, 24);
    check("help-40x10", "?G", 40, 10);
}
