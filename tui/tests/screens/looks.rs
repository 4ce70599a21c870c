//! Colours, characters and sizes: all is said with any of them.

use super::live::live;
use super::*;

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
