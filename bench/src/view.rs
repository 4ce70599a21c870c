//! What the viewer makes wait, against a bare scan of the recording's bytes: the first frame, which is there before
//! anything is read, the trace, a frame of each page over it, and a later look at a recording that is still written.

use std::hint::black_box;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use traces::{Input, Trace};
use tui::model::Model;
use tui::msg::{Msg, Step, View};
use tui::update::{arrive, update};
use tui::{Arrived, Options};

use crate::measure::is_quick;
use crate::{Variant, size, table};

/// Columns and rows of the screen.
const SCREEN: (u16, u16) = (200, 60);

/// Prints the table, and what memory the trace takes.
pub fn run() {
    match size::recorded("live-1000") {
        Ok(raw) => measure(&raw),
        Err(why) => println!("the viewer: not measured: {why}\n"),
    }
}

fn read(raw: &Vec<u8>) -> Result<Trace, traces::read::ReadError> {
    Trace::read(&[Input {
        name: "recording",
        bytes: raw,
    }])
}

fn measure(raw: &Vec<u8>) {
    let before = resident();
    let trace = match read(raw) {
        Ok(trace) => trace,
        Err(error) => return println!("the viewer: not measured: {error}\n"),
    };
    let events = trace.events().len();
    let memory = resident().saturating_sub(before);
    let scan = |_| {
        let words = raw.chunks_exact(8);
        let words = words.map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
        black_box(words.fold(0, u64::wrapping_add));
    };
    let first_frame = |_| {
        black_box(frame(&mut expecting()));
    };
    let reading = |_| {
        black_box(read(raw).is_ok());
    };
    let mut shown = expecting();
    arrive(&mut shown, arrived(trace));
    let mut page = |view: View| {
        update(&mut shown, Msg::Show(view));
        black_box(frame(&mut shown));
    };
    let pages = |_| {
        for view in [View::Findings, View::Biography, View::Events] {
            page(view);
        }
    };
    // The look is made by another thread; what the screen waits for is its taking over.
    let mut looked_at = expecting();
    let mut looks: Vec<Trace> = read(raw).into_iter().chain(read(raw)).collect();
    let Some(first) = looks.pop() else { return };
    arrive(&mut looked_at, arrived(first));
    // With something chosen that is to be found again: an event in the middle, and its life.
    update(&mut looked_at, Msg::Show(View::Events));
    update(&mut looked_at, Msg::Move(Step::Pages(5000)));
    update(&mut looked_at, Msg::Open);
    update(&mut looked_at, Msg::Work);
    let again = |_| {
        if let Some(look) = looks.pop() {
            looks.push(arrive(&mut looked_at, arrived(look)));
        }
    };
    table(
        &format!("the viewer, {events} events, screen of {SCREEN:?}, ns"),
        &mut [
            Variant {
                name: "adding up the words of the recording",
                run: Box::new(scan),
            },
            Variant {
                name: "the first frame, before anything is read",
                run: Box::new(first_frame),
            },
            Variant {
                name: "reading and judging, on another thread",
                run: Box::new(reading),
            },
            Variant {
                name: "findings, biography and events, a frame each",
                run: Box::new(pages),
            },
            Variant {
                name: "a later look takes over",
                run: Box::new(again),
            },
        ],
        if is_quick() { 1 } else { 7 },
        1,
    );
    println!(
        "  the trace takes {} MiB, {} bytes an event; its file {} MiB\n",
        memory >> 20,
        memory / (events.max(1) as u64),
        raw.len() >> 20
    );
}

/// A viewer that waits for its trace.
fn expecting() -> Model {
    let mut model = tui::expect(Options::default());
    let (columns, rows) = SCREEN;
    update(&mut model, Msg::Resize { columns, rows });
    model
}

fn arrived(trace: Trace) -> Arrived {
    let verdict = trace.verdict().clone();
    Arrived {
        trace,
        verdict,
        notes: None,
        index: None,
        is_last: false,
    }
}

/// Draws a screen, and says how many cells of it are not blank.
fn frame(model: &mut Model) -> usize {
    let backend = TestBackend::new(SCREEN.0, SCREEN.1);
    let mut terminal = Terminal::new(backend).expect("a screen in memory opens");
    terminal
        .draw(|frame| tui::view::view(model, frame))
        .expect("a screen in memory draws");
    let cells = &terminal.backend().buffer().content;
    cells.iter().filter(|cell| cell.symbol() != " ").count()
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
