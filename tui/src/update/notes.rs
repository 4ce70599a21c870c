//! Bookmarks and notes come and go; each change is to be kept.

use super::focus::focus_event;
use super::places::{place, show};
use crate::layout::Pane;
use crate::model::{Model, Prompt, PromptKind};
use crate::msg::{Effect, Msg, View};
use crate::notes::{of, toggle, write};

/// Bookmarks the focused event, or takes the bookmark away.
pub(super) fn bookmark(model: &mut Model) -> Effect {
    let Some(event) = model.focus.event else {
        model.notice = Some("there is no event here to bookmark".into());
        return Effect::Draw;
    };
    let is_new = of(&model.notes.list, event).is_none();
    if !toggle(&mut model.notes.list, event) {
        model.notice = Some(format!(
            "this event has a note, which {} changes; an empty one takes it away",
            model.key(Msg::Note)
        ));
        return Effect::Draw;
    }
    model.notice = Some(match is_new {
        true => format!(
            "bookmarked; {} lists all",
            model.key(Msg::Show(View::Notes))
        ),
        false => "no longer bookmarked".into(),
    });
    Effect::Save
}

/// Begins to write a note to the focused event, with what it says already.
pub(super) fn begin(model: &mut Model) {
    let Some(event) = model.focus.event else {
        model.notice = Some("there is no event here to write a note to".into());
        return;
    };
    let from = place(model);
    let mut prompt = Prompt::new(PromptKind::Note(event), from);
    if let Some(note) = of(&model.notes.list, event) {
        prompt.text.clone_from(&note.text);
    }
    model.prompt = Some(prompt);
}

/// Keeps the note that was typed.
pub(super) fn accept(model: &mut Model) -> Effect {
    let Some(prompt) = model.prompt.take() else {
        return Effect::Draw;
    };
    if let PromptKind::Note(event) = prompt.kind {
        write(&mut model.notes.list, event, &prompt.text);
    }
    Effect::Save
}

/// Goes to the selected note's event.
pub(super) fn open(model: &mut Model) -> bool {
    let Some(event) = model
        .notes
        .list
        .get(model.notes.selected)
        .map(|note| note.event)
    else {
        return false;
    };
    show(model, View::Events);
    super::places::show_all_events(model);
    focus_event(model, event);
    true
}

/// Keeps the selection inside; of notes read from elsewhere, those without an event here go.
pub(super) fn settle(model: &mut Model) {
    let events = model.trace.events().len() as u64;
    model.notes.list.retain(|note| note.event.0 < events);
    let last = model.len_of(Pane::Notes).saturating_sub(1);
    model.notes.selected = model.notes.selected.min(last);
}
