//! Going between two traces that are compared.

use super::findings::{meant_finding, reveal};
use super::places::{place, push, show};
use super::selection::settle;
use crate::diff::{Became, Row, Side, story_of};
use crate::layout::Pane;
use crate::model::{FindingRow, Model};
use crate::msg::View;

/// Says why there is nothing to compare, where there is nothing.
pub(super) fn is_there(model: &mut Model) -> bool {
    if model.diff.is_none() {
        model.notice = Some("one trace is open: `tracer view --diff A B` compares two".into());
    }
    model.diff.is_some()
}

/// Shows the other trace; where it has the finding that this one is about, that.
pub(super) fn other_trace(model: &mut Model) {
    if !is_there(model) {
        return;
    }
    let fingerprint = match selected(model) {
        Some((_, fingerprint)) => Some(fingerprint),
        None => meant_finding(model).and_then(|row| fingerprint_of(model, row)),
    };
    let view = model.view;
    let is_biography = view == View::Biography;
    turn(model);
    let row = fingerprint.and_then(|fingerprint| story_of(model, &fingerprint));
    match row {
        Some(row) => {
            reveal(model, row);
            if is_biography {
                open_from_diff(model);
            }
        }
        None if is_biography => show(model, View::Findings),
        None => {}
    }
    if !is_biography {
        show(model, view);
    }
    let title = model.look.title.clone();
    model.notice = Some(format!("now {title}"));
}

fn fingerprint_of(model: &Model, row: FindingRow) -> Option<String> {
    let story = match row {
        FindingRow::Story(story) | FindingRow::Consequence(story, _) => story,
        _ => return None,
    };
    let head = model.finding(FindingRow::Story(story))?;
    Some(format!("{:#018x}", head.fingerprint))
}

/// What became of the finding that is selected among the changes.
fn selected(model: &Model) -> Option<(Became, String)> {
    let pane = model.diff.as_ref().filter(|_| model.view == View::Diff)?;
    match pane.row(pane.selected)? {
        Row::Finding(became, entry) => Some((became, entry.fingerprint.clone())),
        Row::Moved(_) => None,
    }
}

/// Opens the biography of the selected finding, in the trace that has it; false where there is none.
pub(super) fn open(model: &mut Model) -> bool {
    let Some((became, fingerprint)) = selected(model) else {
        if model.len_of(Pane::Diff) > 0 {
            model.notice = Some("a number is nothing to open; findings are".into());
        }
        return false;
    };
    let side = model.diff.as_ref().map(|pane| pane.side);
    let wanted = match became {
        Became::New => Some(Side::After),
        Became::Gone => Some(Side::Before),
        Became::Same => side,
    };
    if side != wanted {
        turn(model);
        show(model, View::Diff);
    }
    let Some(row) = story_of(model, &fingerprint) else {
        return false;
    };
    reveal(model, row);
    open_from_diff(model);
    true
}

/// The biography of what is in focus; `Esc` leads to the changes.
fn open_from_diff(model: &mut Model) {
    model.crumbs.clear();
    model.view = View::Diff;
    model.pane = Pane::Diff;
    let from = place(model);
    push(&mut model.crumbs, from);
    push(&mut model.back, from);
    model.forward.clear();
    show(model, View::Biography);
}

/// Lets the viewer that waits and the one that is shown change places.
fn turn(model: &mut Model) {
    let Some(pane) = &mut model.diff else { return };
    let chosen = (pane.selected, pane.top, pane.text_top);
    let Some(mut other) = pane.other.take() else {
        return;
    };
    // What belongs to the screen rather than to a trace goes along.
    other.size = model.size;
    other.has_mouse = model.has_mouse;
    other.look.characters = model.look.characters;
    other.look.colour = model.look.colour;
    other.look.theme = model.look.theme;
    other.script = std::mem::take(&mut model.script);
    (other.prompt, other.help, other.prefix) = (None, None, None);
    std::mem::swap(model, &mut *other);
    if let Some(pane) = &mut model.diff {
        (pane.selected, pane.top, pane.text_top) = chosen;
        pane.other = Some(other);
    }
    settle(model);
}
