//! The model as a screen. Nothing else knows how it looks; nothing here can change it, read a clock
//! or do I/O. A file a screen; only the rows that are visible are built.

mod bars;
mod biography;
mod diff;
mod events;
mod findings;
mod help;
mod losses;
mod neighbours;
mod notes;
mod objects;
mod paint;
mod palette;
mod prefix;
mod question;
mod reading;
mod rings;
mod source;
mod timeline;

pub(crate) use timeline::SIGNS;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::layout::{Pane, PaneArea, SMALLEST};
use crate::model::Model;
use crate::text::Tone;
use crate::words::either;
use paint::Paint;

/// Draws the model.
pub fn view(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut paint = Paint::new(frame.buffer_mut(), &model.look);
    let fits = (area.width, area.height) == model.size;
    let Some(layout) = model.layout().filter(|_| fits) else {
        too_small(&mut paint, area);
        return;
    };
    bars::tabs(model, &mut paint, layout.tabs);
    let is_shared = layout.panes.len() > 1;
    for area in &layout.panes {
        if model.live.reading.is_some() {
            // Empty lists would say that there is nothing.
            if area.pane == model.pane {
                bars::title(model, &mut paint, area, is_shared, "Reading".into());
                reading::draw(model, &mut paint, whole(area));
            }
            continue;
        }
        let title = match area.pane {
            Pane::Findings => findings::draw(model, &mut paint, area),
            Pane::Biography => biography::draw(model, &mut paint, area),
            Pane::Events => events::draw(model, &mut paint, area),
            Pane::Timeline => timeline::draw(model, &mut paint, area),
            Pane::Neighbours => neighbours::draw(model, &mut paint, area),
            Pane::Source => source::draw(model, &mut paint, area),
            Pane::Rings => rings::draw(model, &mut paint, area),
            Pane::Objects => objects::draw(model, &mut paint, area),
            Pane::Losses => losses::draw(model, &mut paint, area),
            Pane::Notes => notes::draw(model, &mut paint, area),
            Pane::Diff => diff::draw(model, &mut paint, area),
        };
        bars::title(model, &mut paint, area, is_shared, title);
        bars::text(model, &mut paint, area);
    }
    for y in layout.divider.top()..layout.divider.bottom() {
        let bar = either(model.look.characters, "│", "|");
        paint.line(row_of(layout.divider, y), &vec![(bar.into(), Tone::Faint)]);
    }
    bars::hints(model, &mut paint, layout.hints);
    bars::status(model, &mut paint, &layout);
    palette::draw(model, &mut paint, layout.status);
    question::draw(model, &mut paint, layout.status);
    prefix::draw(model, &mut paint, layout.status);
    if model.help.is_some() {
        help::draw(model, &mut paint);
    }
}

/// What stands in a pane while all events are sorted into lanes.
fn sorting(model: &Model, paint: &mut Paint<'_>, area: &PaneArea, title: &str) -> String {
    let index = model.timeline.index.as_ref();
    let done = index.map_or(0, |index| index.scanned());
    let percent = done * 100 / model.trace.events().len().max(1);
    let text = format!("sorting all events into lanes... {percent}%");
    paint.line(area.list, &vec![(text, Tone::Faint)]);
    title.into()
}

/// A pane without its title.
fn whole(area: &PaneArea) -> Rect {
    Rect {
        height: area.list.height + area.rule.height + area.text.height,
        ..area.list
    }
}

fn row_of(area: Rect, y: u16) -> Rect {
    Rect {
        y,
        height: 1,
        ..area
    }
}

fn too_small(paint: &mut Paint<'_>, area: Rect) {
    let (columns, rows) = SMALLEST;
    let text = format!("needs {columns}x{rows}");
    let width = text.len() as u16;
    let x = area.width.saturating_sub(width) / 2;
    let row = Rect::new(area.x + x, area.y + area.height / 2, area.width - x, 1).intersection(area);
    paint.line(row, &vec![(text, Tone::Plain)]);
}
