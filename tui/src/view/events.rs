//! Everything that happened, in causal order; with a filter, what it matches.

use traces::event::EventId;

use crate::hits::Shown;
use crate::layout::PaneArea;
use crate::model::Model;
use crate::text::{Line, Tone, count, counted, width};

use super::bars::{WITH_PLACE, event_and_place, rows, sign_of, thread_of, time_width, timed};
use super::paint::Paint;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let all = model.trace.events().len();
    if model.events_len() == 0 {
        let text = match &model.events.filter {
            Some(_) if model.is_filtering() => "nothing yet...",
            Some(_) => "No event is like that.",
            None if model.range.is_some() => "Nothing happened in the selected time.",
            None => "Nothing was recorded.",
        };
        paint.line(area.list, &vec![(text.into(), Tone::Plain)]);
    }
    let columns = usize::from(area.list.width);
    rows(
        model,
        paint,
        area,
        model.events.top,
        model.events_selected(),
        |position| line(model, position, columns),
    );
    let Some(filter) = &model.events.filter else {
        return match model.range {
            Some(_) => format!(
                "{} of {} in the selected time",
                count(model.events_len() as u64),
                counted(all as u64, "event")
            ),
            None => counted(all as u64, "event"),
        };
    };
    let hits = count(model.hits_len() as u64);
    let so_far = if model.is_filtering() {
        let percent = filter.scanned() * 100 / all.max(1);
        format!(", {percent}% searched")
    } else {
        String::new()
    };
    let matching = format!(
        "{hits} of {} with {}{so_far}",
        counted(all as u64, "event"),
        filter.text()
    );
    match filter.shown {
        Shown::Hits => matching,
        Shown::All => format!("All events; {matching}"),
    }
}

fn line(model: &Model, position: usize, columns: usize) -> Option<Line> {
    let id = model.event_at(position)?;
    let Some(event) = model.event(id) else {
        return Some(unreadable(id));
    };
    let mut line = vec![sign_of(model, event.id)];
    if columns >= WITH_PLACE {
        line.push((timed(model, event, time_width(model)), Tone::Faint));
    }
    line.push(thread_of(model, event, columns));
    // What belongs to the focused object stands out.
    let tone = if model.life.has(event.id) {
        Tone::Strong
    } else {
        Tone::Plain
    };
    let used = line.iter().map(|(text, _)| width(text)).sum();
    line.extend(event_and_place(model, event, tone, columns, used));
    Some(line)
}

/// What is said of an event that is known to be there, and no more.
fn unreadable(id: EventId) -> Line {
    vec![(
        format!("! event {}: {}", count(id.0), crate::losses::UNREADABLE),
        Tone::Warning,
    )]
}
