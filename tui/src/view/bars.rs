//! What all screens share: tabs, titles, rows, the text below a list, hints, the status line.

use ratatui::layout::Rect;
use traces::event::{Event, EventId, SiteId, What};

use crate::about;
use crate::keys::Characters;
use crate::layout::{Layout, PaneArea, hint_lines};
use crate::live::State;
use crate::model::{Model, Prompt, PromptKind};
use crate::msg::Msg;
use crate::text::{Line, Tone, clip, clip_front, count, counted, difference, time, width};
use crate::words::{either, severity};

use super::paint::{Paint, Selection};
use super::row_of;

/// The names of the views, the shown one in brackets; then what file this is.
pub(super) fn tabs(model: &Model, paint: &mut Paint<'_>, area: Rect) {
    let pieces = crate::tabs::tabs(model, area.width).into_iter();
    paint.line(area, &pieces.map(|tab| (tab.text, tab.tone)).collect());
}

/// The title of a pane. Where two panes share the screen, the one with the keys has a sign.
pub(super) fn title(
    model: &Model,
    paint: &mut Paint<'_>,
    area: &PaneArea,
    is_shared: bool,
    title: String,
) {
    let has_keys = model.pane == area.pane;
    let title = if has_keys {
        format!("{}{title}", crumbs(model, paint))
    } else {
        title
    };
    let (sign, tone) = match (is_shared, has_keys) {
        (false, _) => ("", Tone::Strong),
        (true, true) => (either(paint.characters, "▶ ", "> "), Tone::Strong),
        (true, false) => ("  ", Tone::Faint),
    };
    paint.line(area.title, &vec![(sign.into(), tone), (title, tone)]);
}

/// Crumbs that are shown.
const CRUMBS_MAX: usize = 3;

/// Where `Esc` leads: `Findings › Events › `.
fn crumbs(model: &Model, paint: &Paint<'_>) -> String {
    let skipped = model.crumbs.len().saturating_sub(CRUMBS_MAX);
    let places = model.crumbs.iter().skip(skipped);
    let arrow = either(paint.characters, " › ", " > ");
    places
        .map(|place| format!("{}{arrow}", place.view.name()))
        .collect()
}

/// The visible rows of a list.
pub(super) fn rows(
    model: &Model,
    paint: &mut Paint<'_>,
    area: &PaneArea,
    top: usize,
    selected: usize,
    line: impl Fn(usize) -> Option<Line>,
) {
    for (position, y) in (top..).zip(area.list.top()..area.list.bottom()) {
        let Some(line) = line(position) else { break };
        let selection = match (position == selected, model.pane == area.pane) {
            (false, _) => Selection::None,
            (true, false) => Selection::Resting,
            (true, true) => Selection::Active,
        };
        paint.row(row_of(area.list, y), &line, selection);
    }
}

/// The text about the selected row; its last line says if there is more.
pub(super) fn text(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) {
    let rule = either(paint.characters, "─", "-");
    if area.text.height == 0 {
        return;
    }
    paint.line(
        area.rule,
        &vec![(rule.repeat(area.rule.width.into()), Tone::Faint)],
    );
    let top = model.text_top_of(area.pane);
    let lines = about::lines(model, area.pane, area.text.width.into());
    let height = area.text_rows(lines.len());
    for (line, y) in lines
        .iter()
        .skip(top)
        .take(height)
        .zip(area.text.top()..area.text.bottom())
    {
        paint.line(row_of(area.text, y), line);
    }
    let below = lines.len().saturating_sub(top + height);
    if below == 0 && top == 0 {
        return;
    }
    // Where another pane has the keys, they would scroll that one.
    let key = |lines| match area.pane == model.pane {
        true => format!("{}: ", model.key(Msg::Text(lines))),
        false => String::new(),
    };
    let more = match below {
        0 if area.pane != model.pane => return,
        0 => format!(" {}back up ", key(-1)),
        below => format!(" {}{} more below ", key(1), count(below as u64)),
    };
    // On the line above the text, or on the row that is kept for it: it hides nothing.
    let row = if area.rule.height > 0 {
        area.rule
    } else {
        row_of(area.text, area.text.bottom() - 1)
    };
    let wide = width(&more) as u16;
    if wide < row.width {
        let place = Rect {
            x: row.right() - wide,
            width: wide,
            ..row
        };
        paint.clear(place);
        paint.line(place, &vec![(more, Tone::Strong)]);
    }
}

/// The hint bar.
pub(super) fn hints(model: &Model, paint: &mut Paint<'_>, area: Rect) {
    let listener = model.listener();
    for (line, y) in hint_lines(
        listener,
        model.look.characters,
        &model.look.keymap,
        area.width,
    )
    .iter()
    .zip(area.top()..area.bottom())
    {
        let pieces: Line = line
            .iter()
            .flat_map(|(keys, word)| {
                [
                    (keys.clone(), Tone::Strong),
                    (format!(" {word}  "), Tone::Faint),
                ]
            })
            .collect();
        paint.line(row_of(area, y), &pieces);
    }
}

/// What is being typed, and what is wrong with it.
fn prompt(model: &Model, paint: &mut Paint<'_>, layout: &Layout, prompt: &Prompt) {
    let (cursor, area) = (either(paint.characters, "▏", "_"), layout.status);
    let sign = match prompt.kind {
        PromptKind::Filter => "/",
        PromptKind::Command => ":",
        PromptKind::Note(_) => "note: ",
        PromptKind::Reason(_) => "suppress, because: ",
        PromptKind::Until(_) => "until (2027-01-31, or nothing for good): ",
    };
    let room = usize::from(area.width).saturating_sub(width(sign) + 2);
    let text = clip_front(&traces::tty(prompt.text.as_bytes()), room, paint.characters);
    let typed = |text: String| {
        vec![
            (sign.to_owned(), Tone::Strong),
            (text, Tone::Plain),
            (cursor.to_owned(), Tone::Strong),
        ]
    };
    let error = prompt.error.as_deref().unwrap_or("");
    let (above, below) = error.rsplit_once('\n').unwrap_or(("", error));
    if below.is_empty() {
        paint.line(area, &typed(text));
        return;
    }
    // The caret stands below the place that it points at: the prompt moves up where there is room.
    let place = Rect {
        y: area.y.saturating_sub(1),
        ..area
    };
    let shown = if above.is_empty() { &text } else { above };
    paint.clear(place);
    paint.line(place, &typed(shown.to_owned()));
    let room = usize::from(area.width).saturating_sub(3);
    let below = clip(below, room, model.look.characters);
    paint.line(area, &vec![(format!(" {below}"), Tone::Error)]);
}

/// What is typed, else a notice, else what is shown and where in it we are.
pub(super) fn status(model: &Model, paint: &mut Paint<'_>, layout: &Layout) {
    let area = layout.status;
    if let Some(typed) = &model.prompt
        && model.help.is_none()
    {
        prompt(model, paint, layout, typed);
        return;
    }
    if let Some(notice) = &model.notice {
        // Whether more is to come is never hidden.
        let mut line = progress(model, paint, 0);
        line.push((notice.clone(), Tone::Strong));
        paint.line(area, &line);
        return;
    }
    if let Some(reading) = &model.live.reading {
        let mut line = progress(model, paint, area.width.into());
        line.push((reading.text(), Tone::Faint));
        paint.line(area, &line);
        return;
    }
    let (selected, len) = (model.selected_of(model.pane), model.len_of(model.pane));
    let position = if len == 0 { 0 } else { selected + 1 };
    let lost = model.verdict.summary.records_lost;
    let mut parts = vec![format!(
        "row {}/{}",
        count(position as u64),
        count(len as u64)
    )];
    if let Some(range) = model.range {
        let long = difference(
            i128::from(range.to_ns) - i128::from(range.from_ns),
            model.look.characters,
        );
        parts.push(format!("only {} of the time", long.trim_start_matches('+')));
    }
    if model.focus.object.is_some() {
        parts.push(model.life.names.object.clone());
    }
    let room = usize::from(area.width);
    let word = if room < 60 { "lost" } else { "records lost" };
    let lost = if lost == 0 && model.verdict.summary.losses > 0 {
        "records lost".to_owned()
    } else if lost == 1 && room >= 60 {
        "1 record lost".to_owned()
    } else {
        format!("{} {word}", count(lost))
    };
    let is_unreadable = crate::losses::is_unreadable(model);
    let facts = format!(
        "{}{}, {lost}",
        counted(model.trace.events().len() as u64, "event"),
        if is_unreadable {
            ", some unreadable"
        } else {
            ""
        }
    );
    // What is lost must be readable; the file's name and the object give way.
    let mut line: Line = Vec::new();
    let live = progress(model, paint, area.width.into());
    let live_width: usize = live.iter().map(|piece| width(&piece.0)).sum();
    let fixed = width(&facts) + width(&parts[0]) + 6 + live_width;
    let left = room.saturating_sub(fixed).min(40);
    let title = clip_front(&model.look.title, left, paint.characters);
    let tone = if is_unreadable {
        Tone::Warning
    } else if model.verdict.summary.losses > 0 {
        Tone::Unsure
    } else {
        Tone::Faint
    };
    line.extend(live);
    // A few letters of a path say nothing.
    if left >= 8 && !title.is_empty() {
        line.push((format!("{title}  "), Tone::Strong));
    }
    line.push((facts, tone));
    line.push((format!("  {}", parts.join("  ")), Tone::Faint));
    paint.line(area, &line);
}

/// Whether more is to come: `LIVE`, `PAUSED`, or how the program ended. Nothing for a trace that was whole. In a
/// narrow place the word alone: what is lost comes first, and the summary says how the program ended.
fn progress(model: &Model, paint: &Paint<'_>, columns: usize) -> Line {
    let Some(watched) = &model.live.watched else {
        return Line::new();
    };
    let (sign, word, more, tone) = match (&watched.state, model.live.is_paused) {
        (State::Running, false) => ("● ", "LIVE", String::new(), Tone::Note),
        (State::Running, true) => (
            "‖ ",
            "PAUSED",
            format!(", {} resumes", model.key(Msg::Pause)),
            Tone::Warning,
        ),
        (State::Sealing, _) => ("◌ ", "SEALING", String::new(), Tone::Note),
        (State::Ended(how), true) => (
            "‖ ",
            "PAUSED",
            format!(", {} shows the end: {how}", model.key(Msg::Pause)),
            Tone::Warning,
        ),
        (State::Ended(how), false) => ("■ ", "ENDED", format!(": {how}"), Tone::Strong),
    };
    let sign = either(paint.characters, sign, "");
    let more = if columns < WITH_PLACE {
        String::new()
    } else {
        more
    };
    let age = model
        .live
        .age()
        .map_or(String::new(), |age| format!(", {age}"));
    vec![(format!("{sign}{word}{age}{more}  "), tone)]
}

/// The sign of the worst finding that begins at an event, in two columns; a dot where findings only
/// rest on it.
pub(super) fn sign_of(model: &Model, event: EventId) -> (String, Tone) {
    let marks = model.marks.get(&event).into_iter().flatten();
    let worst = marks
        .filter_map(|mark| Some((mark.is_cause, model.finding(mark.finding)?.severity)))
        .max();
    let Some((is_cause, worst)) = worst else {
        return ("  ".into(), Tone::Plain);
    };
    let (sign, _, tone) = severity(worst, model.look.characters);
    let sign = if is_cause {
        sign
    } else {
        either(model.look.characters, "·", ".")
    };
    (format!("{sign} "), tone)
}

/// What happened, and at the right edge where in the source. `used` columns of the row are taken.
pub(super) fn event_and_place(
    model: &Model,
    event: &Event,
    tone: Tone,
    columns: usize,
    used: usize,
) -> Line {
    let text = model.trace.describe(event);
    let Some(place) = place_of(model, event).filter(|_| columns >= WITH_PLACE) else {
        return vec![(text, tone)];
    };
    // The description ends with the place, too; here it has a column of its own.
    let text = text.strip_suffix(&format!(" at {place}")).unwrap_or(&text);
    let characters = model.look.characters;
    let place = clip_front(&place, columns / 4, characters);
    let room = columns.saturating_sub(used + width(&place) + 2);
    let text = clip(text, room, characters);
    let gap = " ".repeat(room.saturating_sub(width(&text)) + 1);
    vec![(text, tone), (gap, Tone::Plain), (place, Tone::Place)]
}

/// The name of an event's thread, in its column.
pub(super) fn thread_of(model: &Model, event: &Event, columns: usize) -> (String, Tone) {
    let room = model.thread_columns.min(columns / 6);
    if room == 0 {
        return (String::new(), Tone::Faint);
    }
    let mut text = clip_name(&model.thread_of(event), room, model.look.characters);
    text.push_str(&" ".repeat((room + 1).saturating_sub(width(&text))));
    (text, Tone::Faint)
}

/// A thread's name in so many columns: what tells it from others of that name stays.
fn clip_name(name: &str, room: usize, characters: Characters) -> String {
    /// Columns of the name itself, at the least.
    const LEAST: usize = 2;
    let parts = name.rfind('#').map(|at| name.split_at(at));
    match parts.filter(|(_, id)| width(name) > room && width(id) + LEAST <= room) {
        Some((name, id)) => clip(name, room - width(id), characters) + id,
        None => clip(name, room, characters),
    }
}

/// Columns from which the rows of a list have times and places.
pub(super) const WITH_PLACE: usize = 60;

fn place_of(model: &Model, event: &Event) -> Option<String> {
    let site = match &event.what {
        What::Leak(pointer)
        | What::Reclaim(pointer)
        | What::Peek(pointer)
        | What::Retain(pointer)
        | What::Release(pointer)
        | What::LeakForever(pointer) => pointer.site,
        What::Submit(submission) => SiteId(submission.entry.site),
        What::Spawn { site, .. } | What::ScopeBegin { site, .. } => *site,
        _ => return None,
    };
    let (file, line) = model.trace.place(event.id, site)?;
    Some(model.trace.names().place(file, line)).filter(|place| place != "?")
}

/// Columns of the widest time of the recording.
pub(super) fn time_width(model: &Model) -> usize {
    let last = model.trace.events().last();
    let processes = &model.trace.recording().processes;
    let mark = usize::from(processes.iter().any(|process| process.times_by_batch));
    last.map_or(0, |event| width(&time(event.at_ns)) + mark)
}

/// The time of an event in its column.
pub(super) fn timed(model: &Model, event: &Event, columns: usize) -> String {
    format!("{:>columns$} ", model.time_of(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_what_tells_it_from_others() {
        let clipped = |name: &str, room| clip_name(name, room, Characters::Unicode);
        assert_eq!(clipped("tokio-rt-worker#4711", 12), "tokio-…#4711");
        assert_eq!(clipped("pool#4711", 12), "pool#4711");
        assert_eq!(clipped("tokio-rt-worker", 12), "tokio-rt-wo…");
        // Without any of the name, the id says nothing.
        assert_eq!(clipped("pool#4711", 6), "pool#…");
    }
}
