//! The names of the views on the first row: what stands there, for drawing and for clicks.

use crate::keys::{Binding, bindings_of, label};
use crate::layout::view_of;
use crate::model::Model;
use crate::msg::{Msg, View};
use crate::text::{Tone, width};

/// One of the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// The view that it stands for.
    pub view: View,
    /// What is written; the shown one is in brackets.
    pub text: String,
    /// How.
    pub tone: Tone,
}

/// The names beside each other. Where there is no room for all, those that are not shown are numbers.
pub fn tabs(model: &Model, columns: u16) -> Vec<Tab> {
    let shown = if model.layout().is_some_and(|layout| layout.panes.len() == 1) {
        view_of(model.pane)
    } else {
        model.view
    };
    let columns = usize::from(columns);
    let key = |view: View| key_of_view(model, view);
    let wide = |view: View| view.name().len() + width(&key(view)) + 2;
    let views: Vec<View> = model.views().collect();
    let all: usize = views.iter().map(|view| wide(*view)).sum();
    // Notes are the reader's own: their name is missed least.
    let without_notes = all - wide(View::Notes) + width(&key(View::Notes)) + 1;
    let has_room = |view: View| {
        all < columns || (without_notes < columns && shown != View::Notes && view != View::Notes)
    };
    let tab = |view: View| {
        let number = key(view);
        let (text, tone) = match (view == shown, has_room(view)) {
            (true, _) => (format!("[{number} {}]", view.name()), Tone::Strong),
            (false, true) => (format!(" {number} {}", view.name()), Tone::Plain),
            (false, false) => (format!(" {number}"), Tone::Plain),
        };
        Tab { view, text, tone }
    };
    views.into_iter().map(tab).collect()
}

/// The key that shows a view; where it has none, its first letters stand in.
fn key_of_view(model: &Model, view: View) -> String {
    let shows = |binding: &&Binding| binding.msg == Msg::Show(view);
    let binding = bindings_of(model.pane_listener()).find(shows);
    let key = binding.and_then(|binding| model.look.keymap.keys(binding).first());
    match key {
        Some(key) => label(*key, model.look.characters),
        None => view.name().chars().take(2).collect(),
    }
}
