//! Messages into changes: the only place that changes the model. It asks for effects and has none.
//!
//! Reading order: this file (which message does what), `arrive` (another trace), `focus`, `selection`, `findings`,
//! `walk`, `filtering`, `timeline`, `mouse`, `source`, `lists`, `notes`, `suppressing`, `diff`, `help`, `palette`,
//! `places`.

mod arrive;
mod diff;
mod filtering;
mod findings;
mod focus;
mod help;
mod lists;
mod mouse;
mod notes;
mod palette;
mod places;
mod selection;
mod source;
mod suppressing;
mod timeline;
mod walk;

use traces::finding::Severity;

use crate::Goto;
use crate::layout::Pane;
use crate::model::{FindingRow, Model};
use crate::msg::{Effect, Fold, Msg, View};
use crate::theme::Theme;

/// What is said where nothing can be opened, and nothing is known of why.
pub(crate) const NOTHING_TO_OPEN: &str = "there is nothing here to open";

/// Applies a message.
pub fn update(model: &mut Model, msg: Msg) -> Effect {
    model.trace.trim();
    if !matches!(msg, Msg::Work | Msg::Resize { .. }) {
        model.notice = None;
        if msg != Msg::Hesitate {
            (model.prefix, model.hesitates) = (None, false);
            // Any key ends a search that it did not begin.
            if model.walk.take().is_some() && msg == Msg::Up {
                model.notice = Some("no longer looking".into());
                return Effect::Draw;
            }
        }
    }
    let was_walking = std::mem::replace(&mut model.is_walking, false);
    let effect = match msg {
        Msg::Quit | Msg::Leave if is_way_out(model, msg) => leave(model, Effect::Quit),
        Msg::QuitPrinted => leave(model, Effect::QuitPrinted),
        Msg::Shell => Effect::Shell,
        Msg::Up if model.live.reading.is_some() && is_way_out(model, Msg::Leave) => Effect::Quit,
        Msg::LeaveRunning => {
            model.live.asks = false;
            if model.live.prints {
                Effect::QuitPrinted
            } else {
                Effect::Quit
            }
        }
        Msg::EndProgram => {
            model.live.asks = false;
            Effect::EndProgram
        }
        Msg::Stay => {
            model.live.asks = false;
            Effect::Draw
        }
        Msg::Pause => {
            pause(model);
            Effect::Draw
        }
        Msg::Suspend => Effect::Suspend,
        Msg::Repaint => Effect::Repaint,
        Msg::Nothing => Effect::Draw,
        Msg::Prefix(prefix) => {
            model.prefix = Some(prefix);
            model.notice = Some(format!("{prefix} and another key"));
            Effect::Draw
        }
        Msg::Hesitate => {
            model.hesitates = model.prefix.is_some();
            Effect::Draw
        }
        Msg::Resize { columns, rows } => {
            model.size = (columns, rows);
            Effect::Draw
        }
        Msg::Work => {
            model.is_walking = was_walking;
            filtering::work(model)
        }
        Msg::Help => {
            help::begin(model);
            Effect::Draw
        }
        Msg::Move(step) if model.help.is_some() => {
            help::choose(model, step);
            Effect::Draw
        }
        Msg::Up if model.help.is_some() => {
            help::up(model);
            Effect::Draw
        }
        Msg::Open if model.help.is_some() => help::run(model),
        Msg::Prompt if model.help.is_some() => {
            help::search(model);
            Effect::Draw
        }
        Msg::Type(_) | Msg::Erase | Msg::EraseAll | Msg::Accept | Msg::Cancel
            if help::is_typing(model) =>
        {
            help::typed(model, msg);
            Effect::Draw
        }
        Msg::Edit => source::edit(model),
        Msg::Type(_)
        | Msg::Erase
        | Msg::EraseAll
        | Msg::Accept
        | Msg::Cancel
        | Msg::Choose(_)
        | Msg::Complete => filtering::typed(model, msg),
        Msg::Bookmark => notes::bookmark(model),
        Msg::Unsuppress => suppressing::undo(model),
        Msg::Export => Effect::Export,
        Msg::Mouse(_) if model.live.asks => Effect::Nothing,
        Msg::Mouse(mouse) => mouse::act(model, mouse),
        Msg::TurnMouse => mouse::turn(model),
        Msg::CopyPlace => palette::copy_place(model),
        Msg::CopyWord => palette::copy_word(model),
        Msg::CopyRow => palette::copy_row(model),
        Msg::CopyFinding => palette::copy_finding(model),
        Msg::CopyFilter => palette::copy_filter(model),
        msg => {
            go(model, msg, was_walking);
            Effect::Draw
        }
    };
    selection::settle(model);
    effect
}

/// Whether a message leads out of the viewer.
fn is_way_out(model: &Model, msg: Msg) -> bool {
    let is_at_top = model.view == View::Findings && model.crumbs.is_empty();
    msg == Msg::Quit || (msg == Msg::Leave && is_at_top && model.help.is_none())
}

/// Leaves; where a program would be left behind it is asked first what becomes of it.
fn leave(model: &mut Model, effect: Effect) -> Effect {
    if !model.live.has_program() {
        return effect;
    }
    model.live.asks = true;
    model.live.prints = effect == Effect::QuitPrinted;
    Effect::Draw
}

fn pause(model: &mut Model) {
    if model.live.is_paused || model.live.is_running() {
        model.live.is_paused = !model.live.is_paused;
    } else {
        model.notice = Some("nothing new comes: the trace is whole".into());
    }
}

/// The model's first state: what the first finding is about.
pub(crate) fn start(model: &mut Model) {
    findings::select_finding(model, 0);
    selection::settle(model);
}

pub use arrive::{aged, arrive, reading, watched};
pub(crate) use source::{found as found_sources, search_begins};
pub use suppressing::kept as suppression_kept;
pub(crate) use suppressing::look as look_for_hidden;

/// The terminal has said how bright its background is.
pub fn ground(model: &mut Model, is_dark: bool) {
    if model.look.adapts {
        model.look.theme = if is_dark { Theme::Dark } else { Theme::Light };
    }
}

/// Tells the user something, until the next key. The text is safe for a terminal.
pub(crate) fn say(model: &mut Model, text: String) {
    model.notice = Some(text);
}

/// What was copied went there: the rest of a sentence, safe for a terminal.
pub(crate) fn copied_to(model: &mut Model, place: &str) {
    let said = model.notice.take().unwrap_or_else(|| "copied".into());
    model.notice = Some(format!("{said} {place}"));
}

/// Goes where a command line asked to start.
pub(crate) fn go_to(model: &mut Model, target: Goto) {
    let found = match target {
        Goto::Finding(number) => number
            .checked_sub(1)
            .filter(|story| *story < model.verdict.stories.len())
            .map(FindingRow::Story),
        Goto::Rule(rule) => findings::all_findings(model)
            // What is hidden is asked for by its rule only where nothing else is.
            .chain((0..model.verdict.stories.len()).map(FindingRow::Story))
            .find(|row| {
                let finding = model.finding(*row);
                finding.is_some_and(|finding| finding.rule == rule)
            }),
        Goto::Event(event) => {
            if model.event(event).is_some() {
                places::show(model, View::Events);
                focus::focus_event(model, event);
                selection::settle(model);
                return;
            }
            if event.0 < model.trace.events().len() as u64 {
                model.notice = Some(format!("{target} cannot be read back"));
                return;
            }
            None
        }
    };
    match found {
        Some(row) => {
            findings::reveal(model, row);
            places::show(model, View::Biography);
        }
        None => model.notice = Some(format!("there is no {target} in this trace")),
    }
    selection::settle(model);
}

/// Everything that moves about, and may be gone back from.
fn go(model: &mut Model, msg: Msg, was_walking: bool) {
    match msg {
        Msg::Move(step) => selection::move_selection(model, step),
        Msg::Text(lines) => selection::scroll_text(model, lines),
        Msg::Open => {
            let has_opened = places::open(model);
            if !has_opened && model.notice.is_none() {
                model.notice = Some(NOTHING_TO_OPEN.into());
            }
        }
        Msg::Up | Msg::Leave => places::up(model, msg),
        Msg::Pane(toward) => places::other_pane(model, toward),
        Msg::Alone => places::alone(model),
        Msg::Room(Fold::Open) => places::larger(model),
        Msg::Room(Fold::Shut) => places::smaller(model),
        Msg::Sort(by) => lists::sort(model, model.pane, by),
        Msg::Show(View::Diff) if !diff::is_there(model) => {}
        Msg::OtherTrace => diff::other_trace(model),
        Msg::Show(view) => {
            if view != model.view {
                places::remember(model);
            }
            model.crumbs.clear();
            places::show(model, view);
        }
        Msg::Finding(toward) => findings::next_finding(model, toward, None),
        Msg::Warning(toward) => {
            findings::next_finding(model, toward, Some(Severity::Warning));
        }
        Msg::Explain => help::explain(model),
        Msg::Tail => places::tail(model),
        Msg::FindLane => palette::begin_with(model, "lane"),
        Msg::SameObject(toward) => walk::same_object(model, toward, was_walking),
        Msg::OtherObject => walk::other_object(model),
        Msg::FirstCause => findings::first_cause(model),
        Msg::Hit(toward) => walk::next_hit(model, toward, was_walking),
        Msg::History(toward) => places::history(model, toward),
        Msg::Fold(fold) if model.pane == Pane::Biography => focus::set_fold(model, fold),
        Msg::Fold(fold) => findings::set_fold(model, fold),
        Msg::Time(columns) => timeline::move_cursor(model, columns),
        Msg::OnLane(toward) => timeline::on_lane(model, toward),
        Msg::Zoom(zoom) => timeline::zoom(model, zoom),
        Msg::Pan(toward) => timeline::pan(model, toward),
        Msg::MarkTime => timeline::mark(model),
        Msg::Range => timeline::range(model),
        Msg::Pivot => lists::pivot(model),
        Msg::Pin => timeline::pin(model),
        Msg::Turn => timeline::turn(model),
        Msg::Prompt => filtering::begin(model),
        Msg::Palette => palette::begin(model),
        Msg::Note => notes::begin(model),
        Msg::Suppress => suppressing::begin(model),
        Msg::ShowHidden => suppressing::turn(model),
        _ => {}
    }
}

#[cfg(test)]
pub(crate) mod tests;
