//! The source pane follows the focus.

use traces::source::Sources;

use crate::model::Model;
use crate::msg::Effect;
use crate::source::{Search, SourceRow, place_of, rows, touched};

/// Lists the lines of the place in focus, when it is another one.
pub(super) fn settle(model: &mut Model) {
    let place = place_of(model);
    if place != model.source.place {
        model.source.place = place;
        relist(model);
    }
    let last = model.source.rows.len().saturating_sub(1);
    model.source.selected = model.source.selected.min(last);
}

/// Lists them anew: the place, the lines or the life are others.
pub(super) fn relist(model: &mut Model) {
    let Some(place) = model.source.place.take() else {
        model.source.rows = Vec::new();
        return;
    };
    model.source.rows = rows(model, &place);
    model.source.touched = touched(model, &place);
    model.source.text_top = 0;
    let here = SourceRow::Line(place.line);
    model.source.place = Some(place);
    let at = model.source.rows.iter().position(|row| *row == here);
    model.source.selected = at.unwrap_or(0);
}

/// Somebody begins to look for lines.
pub(crate) fn search_begins(model: &mut Model) {
    model.source.search = Search::Now;
}

/// Takes in lines that were looked for.
pub(crate) fn found(model: &mut Model, sources: Sources) {
    model.trace.add_sources(sources);
    model.source.search = Search::Over;
    relist(model);
    super::selection::settle(model);
}

/// Asks for an editor, where there is a place to open.
pub(super) fn edit(model: &mut Model) -> Effect {
    if place_of(model).is_some() {
        return Effect::Edit;
    }
    model.notice = Some("this event does not say where in the source it happened".into());
    Effect::Draw
}
