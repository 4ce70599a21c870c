//! The timeline: time, lanes, marks.

use crossterm::event::KeyCode;

use super::bind;
use crate::keys::Key::{Char, Code, Ctrl};
use crate::keys::{Binding, On};
use crate::layout::Pane;
use crate::msg::{Msg, Toward, Zoom};

/// Its bindings.
pub(super) const BINDINGS: &[Binding] = &[
    bind(
        "time.left",
        &[Char('h'), Code(KeyCode::Left)],
        On::Pane(Pane::Timeline),
        Msg::Time(-1),
        Some("time"),
        "cursor a column back in time",
    ),
    bind(
        "time.right",
        &[Char('l'), Code(KeyCode::Right)],
        On::Pane(Pane::Timeline),
        Msg::Time(1),
        Some("time"),
        "cursor a column on in time",
    ),
    bind(
        "time.far-left",
        &[Char('H')],
        On::Pane(Pane::Timeline),
        Msg::Time(-10),
        None,
        "cursor ten columns back",
    ),
    bind(
        "time.far-right",
        &[Char('L')],
        On::Pane(Pane::Timeline),
        Msg::Time(10),
        None,
        "cursor ten columns on",
    ),
    bind(
        "timeline.next",
        &[Char('.')],
        On::Pane(Pane::Timeline),
        Msg::OnLane(Toward::Next),
        Some("event"),
        "next event of the lane",
    ),
    bind(
        "timeline.previous",
        &[Char(',')],
        On::Pane(Pane::Timeline),
        Msg::OnLane(Toward::Previous),
        Some("event"),
        "previous event of the lane",
    ),
    bind(
        "timeline.zoom-in",
        &[Char('w'), Char('+'), Char('=')],
        On::Pane(Pane::Timeline),
        Msg::Zoom(Zoom::In),
        Some("zoom"),
        "zoom in about the cursor",
    ),
    bind(
        "timeline.zoom-out",
        &[Char('s'), Char('-')],
        On::Pane(Pane::Timeline),
        Msg::Zoom(Zoom::Out),
        Some("zoom"),
        "zoom out about the cursor",
    ),
    bind(
        "timeline.pan-left",
        &[Char('a')],
        On::Pane(Pane::Timeline),
        Msg::Pan(Toward::Previous),
        Some("pan"),
        "half a screen back in time",
    ),
    bind(
        "timeline.pan-right",
        &[Char('d')],
        On::Pane(Pane::Timeline),
        Msg::Pan(Toward::Next),
        Some("pan"),
        "half a screen on in time",
    ),
    bind(
        "timeline.fit",
        &[Char('f')],
        On::Pane(Pane::Timeline),
        Msg::Zoom(Zoom::Fit),
        Some("fit"),
        "show the whole life of the object; again: all of the recording",
    ),
    bind(
        "timeline.all",
        &[Char('0')],
        On::Pane(Pane::Timeline),
        Msg::Zoom(Zoom::All),
        None,
        "show all of the recording",
    ),
    bind(
        "timeline.zoom-back",
        &[Char('u')],
        On::Pane(Pane::Timeline),
        Msg::Zoom(Zoom::Back),
        None,
        "back to the zoom before",
    ),
    bind(
        "timeline.mark",
        &[Char('m')],
        On::Pane(Pane::Timeline),
        Msg::MarkTime,
        Some("mark"),
        "mark this time; between two marks the difference is shown",
    ),
    bind(
        "timeline.range",
        &[Char('r')],
        On::Pane(Pane::Timeline),
        Msg::Range,
        Some("stretch"),
        "begin a stretch of time, end it, drop it: every screen shows that stretch only",
    ),
    bind(
        "timeline.pin",
        &[Char('p')],
        On::Pane(Pane::Timeline),
        Msg::Pin,
        Some("pin"),
        "keep the lane on top, or let it go",
    ),
    bind(
        "timeline.find-lane",
        &[Ctrl('p')],
        On::Pane(Pane::Timeline),
        Msg::FindLane,
        None,
        "find a lane by a part of its name",
    ),
    bind(
        "timeline.operations",
        &[Char('z')],
        On::Pane(Pane::Timeline),
        Msg::Turn,
        None,
        "a ring's operations each in a row, or as one depth",
    ),
];
