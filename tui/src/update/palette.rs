//! Commands by name: typed into the palette, or from a script.

use super::places::{remember, show};
use super::{go_to, update};
use crate::commands::{self, Command, WithText, binding};
use crate::copy;
use crate::goto::Goto;
use crate::hits::Hits;
use crate::keys::On;
use crate::layout::{Pane, view_of};
use crate::model::{Model, Prompt, PromptKind};
use crate::msg::{Effect, Msg, Toward, View};

/// Opens the palette.
pub(super) fn begin(model: &mut Model) {
    let from = super::places::place(model);
    model.prompt = Some(Prompt::new(PromptKind::Command, from));
}

/// Opens it with a command that still needs its text.
pub(super) fn begin_with(model: &mut Model, command: &str) {
    begin(model);
    if let Some(prompt) = &mut model.prompt {
        prompt.text = format!("{command} ");
    }
}

/// A key in the palette.
pub(super) fn typed(model: &mut Model, msg: Msg) -> Effect {
    let Some(prompt) = &mut model.prompt else {
        return Effect::Draw;
    };
    match msg {
        Msg::Type(c) => prompt.add(c),
        Msg::Erase if prompt.text.is_empty() => model.prompt = None,
        Msg::Erase => prompt.erase(),
        Msg::EraseAll => prompt.clear(),
        Msg::Cancel => model.prompt = None,
        Msg::Choose(toward) => {
            let offers =
                commands::matches(&prompt.text, model.look.characters, &model.look.keymap).len();
            prompt.chosen = match toward {
                Toward::Next => (prompt.chosen + 1).min(offers.saturating_sub(1)),
                Toward::Previous => prompt.chosen.saturating_sub(1),
            };
        }
        Msg::Complete => complete(model),
        Msg::Accept => return accept(model),
        _ => {}
    }
    Effect::Draw
}

/// Writes the chosen command out, ready for its text.
fn complete(model: &mut Model) {
    let (characters, keymap) = (model.look.characters, model.look.keymap.clone());
    let Some(prompt) = &mut model.prompt else {
        return;
    };
    let offers = commands::matches(&prompt.text, characters, &keymap);
    if let Some(offer) = offers.get(prompt.chosen) {
        prompt.text = format!("{} ", offer.name);
        prompt.chosen = 0;
    }
}

/// Runs what is typed or chosen.
pub(super) fn accept(model: &mut Model) -> Effect {
    let Some(prompt) = &model.prompt else {
        return Effect::Draw;
    };
    let text = prompt.text.trim().to_owned();
    let has_text = text.contains(char::is_whitespace);
    let offers = commands::matches(&text, model.look.characters, &model.look.keymap);
    let chosen = offers.get(prompt.chosen).filter(|_| !has_text);
    let understood = commands::parse(&text);
    let command = match (understood, chosen) {
        (Ok(command), _) if prompt.chosen == 0 => command,
        (_, Some(offer)) if offer.takes.is_empty() => match commands::parse(offer.name) {
            Ok(command) => command,
            Err(_) => return Effect::Draw,
        },
        (_, Some(_)) => {
            complete(model);
            return Effect::Draw;
        }
        (Ok(command), None) => command,
        (Err(why), None) => {
            if let Some(prompt) = &mut model.prompt {
                prompt.error = Some(why);
            }
            return Effect::Draw;
        }
    };
    model.prompt = None;
    run(model, &command)
}

/// The next command of the script.
pub(super) fn run_script(model: &mut Model) -> Effect {
    let Some(text) = model.script.pop_front() else {
        return Effect::Draw;
    };
    match commands::parse(&text) {
        Ok(command) => run(model, &command),
        Err(why) => {
            model.script.clear();
            model.notice = Some(why);
            Effect::Draw
        }
    }
}

fn run(model: &mut Model, command: &Command) -> Effect {
    match command {
        Command::Action(id, times) => {
            let Some(binding) = binding(id) else {
                return Effect::Draw;
            };
            if let On::Pane(pane) = binding.on
                && model.pane != pane
            {
                update(model, Msg::Show(view_of(pane)));
                model.pane = pane;
            }
            let mut effect = Effect::Draw;
            for _ in 0..*times {
                effect = update(model, binding.msg);
            }
            effect
        }
        Command::View(view) => update(model, Msg::Show(*view)),
        Command::WithText(WithText::Goto, text) => {
            match text.parse::<Goto>() {
                Ok(place) => {
                    remember(model);
                    go_to(model, place);
                }
                Err(error) => model.notice = Some(error.to_string()),
            }
            Effect::Draw
        }
        Command::WithText(WithText::Filter, text) => {
            filter(model, text);
            Effect::Draw
        }
        Command::WithText(WithText::Lane, text) => {
            super::timeline::find_lane(model, text);
            Effect::Draw
        }
        Command::WithText(WithText::Theme, text) => {
            match text.parse() {
                Ok(theme) => {
                    model.look.theme = theme;
                    model.look.adapts = false;
                }
                Err(why) => model.notice = Some(why),
            }
            Effect::Repaint
        }
    }
}

fn filter(model: &mut Model, text: &str) {
    match Hits::of(&model.trace, text, model.focus.event) {
        Ok(hits) => {
            if model.view != View::Events {
                remember(model);
                show(model, View::Events);
            }
            model.pane = Pane::Events;
            model.events.filter = hits;
            model.events.top = 0;
            super::filtering::filter_work(model);
        }
        Err(error) => model.notice = Some(error.to_string()),
    }
}

/// Copies what the selected row says.
pub(super) fn copy_row(model: &mut Model) -> Effect {
    let text = copy::row(model);
    copied(model, text, "what the row says")
}

/// Copies where in the source the event happened, as `src/conn.rs:88`.
pub(super) fn copy_place(model: &mut Model) -> Effect {
    let place = crate::source::place_of(model);
    let text = place.map_or(String::new(), |place| {
        model.trace.names().place(&place.file, place.line)
    });
    copied(model, text, "the place in the source")
}

/// Copies the filter that holds.
pub(super) fn copy_filter(model: &mut Model) -> Effect {
    let Some(filter) = &model.events.filter else {
        model.notice = Some(no_filter(model));
        return Effect::Draw;
    };
    let text = filter.text().to_owned();
    copied(model, text, "the filter")
}

/// That there is no filter, and how one begins.
pub(super) fn no_filter(model: &Model) -> String {
    format!("no filter yet: {} begins one", model.key(Msg::Prompt))
}

/// Copies the address or the cookie that the event is about.
pub(super) fn copy_word(model: &mut Model) -> Effect {
    let text = copy::word(model).map_or(String::new(), |word| format!("{word:#x}"));
    copied(model, text, "the word")
}

/// Copies the finding that the focus is about.
pub(super) fn copy_finding(model: &mut Model) -> Effect {
    let row = super::findings::meant_finding(model);
    match row.and_then(|row| copy::finding(model, row)) {
        Some(text) => copied(model, text, "the finding, as Markdown"),
        None => {
            model.notice = Some("no finding is about this".into());
            Effect::Draw
        }
    }
}

fn copied(model: &mut Model, text: String, what: &str) -> Effect {
    if text.is_empty() {
        model.notice = Some("there is nothing to copy here".into());
        return Effect::Draw;
    }
    model.notice = Some(format!("copied {what}"));
    model.clipboard = text;
    Effect::Copy
}
