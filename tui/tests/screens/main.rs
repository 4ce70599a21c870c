//! Keys in, screen out: what the viewer shows after which keys, styles included.
//!
//! Expected screens stand in `expected/`; `UPDATE_EXPECT=1 cargo test -p tracer-tui` rewrites
//! them. Read the difference before committing it.

#[path = "../fixture/mod.rs"]
mod fixture;

mod findings;
mod keys;
mod lists;
mod live;
mod lives;
mod looks;
mod time;

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
        .join("tests/screens/expected")
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

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];
