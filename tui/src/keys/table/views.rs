//! Which view is shown, and which of its panes has the keys.

use crossterm::event::KeyCode;

use super::bind;
use crate::keys::Key::{Char, Code};
use crate::keys::{Binding, On};
use crate::layout::Pane;
use crate::msg::{Fold, Msg, Toward, View};

/// Its bindings.
pub(super) const BINDINGS: &[Binding] = &[
    bind(
        "pane.next",
        &[Code(KeyCode::Tab)],
        On::Panes,
        Msg::Pane(Toward::Next),
        None,
        "next pane",
    ),
    bind(
        "pane.previous",
        &[Code(KeyCode::BackTab)],
        On::Panes,
        Msg::Pane(Toward::Previous),
        None,
        "previous pane",
    ),
    bind(
        "pane.alone",
        &[Char('Z')],
        On::Panes,
        Msg::Alone,
        None,
        "give the pane all of the screen, or share it again",
    ),
    bind(
        "pane.larger",
        &[Char('+')],
        On::PanesBut(Pane::Timeline),
        Msg::Room(Fold::Open),
        None,
        "give the pane most of the screen, then all of it",
    ),
    bind(
        "pane.smaller",
        &[Char('_')],
        On::Panes,
        Msg::Room(Fold::Shut),
        None,
        "give the pane less of the screen again",
    ),
    bind(
        "view.findings",
        &[Char('1')],
        On::Panes,
        Msg::Show(View::Findings),
        None,
        "the findings",
    ),
    bind(
        "view.biography",
        &[Char('2')],
        On::Panes,
        Msg::Show(View::Biography),
        None,
        "the biography of the selected object",
    ),
    bind(
        "view.events",
        &[Char('3')],
        On::Panes,
        Msg::Show(View::Events),
        None,
        "all events",
    ),
    bind(
        "view.timeline",
        &[Char('4')],
        On::Panes,
        Msg::Show(View::Timeline),
        None,
        "the timeline: threads, rings and coroutines over time",
    ),
    bind(
        "view.source",
        &[Char('5')],
        On::Panes,
        Msg::Show(View::Source),
        None,
        "the source around the selected event",
    ),
    bind(
        "view.rings",
        &[Char('6')],
        On::Panes,
        Msg::Show(View::Rings),
        None,
        "what rings did: operations, how long they took, overflow",
    ),
    bind(
        "view.objects",
        &[Char('7')],
        On::Panes,
        Msg::Show(View::Objects),
        None,
        "what was leaked and not taken back, by type, place, age or thread",
    ),
    bind(
        "view.losses",
        &[Char('8')],
        On::Panes,
        Msg::Show(View::Losses),
        None,
        "what was lost, and what cannot be told because of it",
    ),
    bind(
        "view.notes",
        &[Char('9'), Char('\'')],
        On::Panes,
        Msg::Show(View::Notes),
        None,
        "bookmarks and notes",
    ),
    bind(
        "view.diff",
        &[Char('D')],
        On::Panes,
        Msg::Show(View::Diff),
        None,
        "what changed from one trace to the other, where two are open (view --diff A B)",
    ),
    bind(
        "diff.other-trace",
        &[Char('T')],
        On::Panes,
        Msg::OtherTrace,
        None,
        "of two traces, show the other: the same finding where it has that",
    ),
];
