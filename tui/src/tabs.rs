//! The names of the views on the first row: what stands there, for drawing and for clicks.

use crate::layout::view_of;
use crate::model::Model;
use crate::msg::View;
use crate::text::Tone;

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
    let wide = |view: &View| view.name().len() + 3;
    let views: Vec<View> = model.views().collect();
    let all: usize = views.iter().map(wide).sum();
    // Notes are the reader's own: their name is missed least.
    let without_notes = all - wide(&View::Notes) + 2;
    let has_room = |view: View| {
        all < columns || (without_notes < columns && shown != View::Notes && view != View::Notes)
    };
    let tab = |(number, view): (usize, View)| {
        // Digits end with the notes.
        let number = match view {
            View::Diff => "D".to_owned(),
            _ => number.to_string(),
        };
        let (text, tone) = match (view == shown, has_room(view)) {
            (true, _) => (format!("[{number} {}]", view.name()), Tone::Strong),
            (false, true) => (format!(" {number} {}", view.name()), Tone::Plain),
            (false, false) => (format!(" {number}"), Tone::Plain),
        };
        Tab { view, text, tone }
    };
    (1..).zip(views).map(tab).collect()
}
