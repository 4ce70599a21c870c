//! What a frame takes of each screen, over a long recording and without a terminal: a key that changes what is shown, and
//! the drawing of it, against drawing nothing into as many cells.

use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tui::Options;
use tui::model::{Model, Work};
use tui::msg::{Msg, Step, View};
use tui::update::update;

use super::{SCREEN, read_paged};
use crate::measure::is_quick;

/// What a frame may take at 60 a second.
const FRAME: Duration = Duration::from_millis(16);

/// Prints a line for each screen.
pub(super) fn run(file: &Path) -> Result<(), String> {
    let trace = read_paged(file, &|_| {})?;
    let verdict = trace.verdict().clone();
    let mut model = tui::open(trace, verdict, Options::default());
    let (columns, rows) = SCREEN;
    update(&mut model, Msg::Resize { columns, rows });
    let mut terminal =
        Terminal::new(TestBackend::new(columns, rows)).map_err(|it| it.to_string())?;
    let rounds = if is_quick() { 20 } else { 400 };
    let blank = (0..rounds).map(|_| drawn(&mut terminal, |_| {}));
    let nothing = median(blank.collect());
    println!(
        "  a frame of {columns}x{rows}: nothing in it{:>26.2} ms",
        nothing.as_secs_f64() * 1e3
    );
    for view in View::ALL.into_iter().filter(|view| *view != View::Diff) {
        let began = Instant::now();
        update(&mut model, Msg::Show(view));
        let mut slices = vec![began.elapsed()];
        while model.work() != Work::None {
            let began = Instant::now();
            update(&mut model, Msg::Work);
            slices.push(began.elapsed());
        }
        update(&mut model, Msg::Move(Step::First));
        let (mut keys, mut frames) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            // Down through the list and up again, with all that follows the selection.
            let by = if round < rounds / 2 { 7 } else { -7 };
            let began = Instant::now();
            update(&mut model, Msg::Move(Step::Lines(by)));
            keys.push(began.elapsed());
            frames.push(frame(&mut terminal, &model));
            settle(&mut model);
        }
        let (key, slice) = (most(&keys), most(&slices));
        let longest = most(&frames);
        let middle = median(frames);
        println!(
            "  {:<28} a frame {:>6.2} ms, {:>5.1} times nothing, at most {:>6.2} ms; a key at most {:>6.2} ms, a slice of \
             work {:>6.2} ms{}",
            view.name(),
            middle.as_secs_f64() * 1e3,
            middle.as_secs_f64() / nothing.as_secs_f64().max(1e-9),
            longest.as_secs_f64() * 1e3,
            key.as_secs_f64() * 1e3,
            slice.as_secs_f64() * 1e3,
            if middle > FRAME { "  TOO SLOW" } else { "" },
        );
    }
    Ok(())
}

fn settle(model: &mut Model) {
    while model.work() != Work::None {
        update(model, Msg::Work);
    }
}

fn frame(terminal: &mut Terminal<TestBackend>, model: &Model) -> Duration {
    drawn(terminal, |frame| tui::view::view(model, frame))
}

fn drawn(
    terminal: &mut Terminal<TestBackend>,
    view: impl FnOnce(&mut ratatui::Frame<'_>),
) -> Duration {
    let began = Instant::now();
    terminal.draw(view).expect("a buffer takes anything");
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn most(times: &[Duration]) -> Duration {
    times.iter().max().copied().unwrap_or_default()
}
