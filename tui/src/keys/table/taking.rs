//! What is taken out of the viewer: notes, copies, a place in the editor, and the terminal itself.

use crossterm::event::KeyCode;

use super::bind;
use crate::keys::Key::{After, Char, Code};
use crate::keys::{Binding, On};
use crate::msg::Msg;

/// Its bindings.
pub(super) const BINDINGS: &[Binding] = &[
    bind(
        "notes.bookmark",
        &[Char('b')],
        On::Panes,
        Msg::Bookmark,
        None,
        "bookmark the event, or take the bookmark away",
    ),
    bind(
        "notes.write",
        &[Char('B')],
        On::Panes,
        Msg::Note,
        None,
        "write a note to the event; an empty one takes it away",
    ),
    bind(
        "notes.export",
        &[Char('S')],
        On::Panes,
        Msg::Export,
        None,
        "write notes and findings as Markdown, into a file beside the trace",
    ),
    bind(
        "copy.row",
        &[Char('y'), After('c', 'r')],
        On::Panes,
        Msg::CopyRow,
        None,
        "copy what the row says to the clipboard",
    ),
    bind(
        "copy.place",
        &[After('c', 'l'), After('g', 'y')],
        On::Panes,
        Msg::CopyPlace,
        None,
        "copy where in the source the event happened, as src/conn.rs:88",
    ),
    bind(
        "copy.word",
        &[After('c', 'p'), After('g', 'w')],
        On::Panes,
        Msg::CopyWord,
        None,
        "copy the pointer or cookie that this is about",
    ),
    bind(
        "copy.finding",
        &[Char('Y'), After('c', 'm')],
        On::Panes,
        Msg::CopyFinding,
        None,
        "copy the finding as Markdown, for a bug report",
    ),
    bind(
        "copy.filter",
        &[After('c', 'f')],
        On::Panes,
        Msg::CopyFilter,
        None,
        "copy the filter, as check --filter and export --where take it",
    ),
    bind(
        "source.edit",
        &[Char('v')],
        On::Panes,
        Msg::Edit,
        Some("edit"),
        "open the source at that line in your editor ($VISUAL, $EDITOR)",
    ),
    bind(
        "shell",
        &[Char('!')],
        On::Panes,
        Msg::Shell,
        None,
        "a shell ($SHELL) in this terminal; its end leads back here",
    ),
    bind(
        "mouse",
        &[Code(KeyCode::F(2))],
        On::Panes,
        Msg::TurnMouse,
        None,
        "let the mouse select rows, tabs and time here, or leave it to the terminal",
    ),
    bind(
        "live.pause",
        &[Char(' ')],
        On::Panes,
        Msg::Pause,
        None,
        "of a recording that goes on: stop showing what is new, or go on with it",
    ),
    bind(
        "quit.printed",
        &[Char('Q')],
        On::Panes,
        Msg::QuitPrinted,
        None,
        "quit, and leave this screen printed in the terminal",
    ),
];
