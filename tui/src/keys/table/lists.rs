//! What is done with a list: folding, counting, suppressing, scrolling the text beside it.

use crossterm::event::KeyCode;

use super::bind;
use crate::keys::Key::{Char, Code};
use crate::keys::{Binding, On};
use crate::layout::Pane;
use crate::msg::{Fold, Msg};

/// Its bindings.
pub(super) const BINDINGS: &[Binding] = &[
    bind(
        "findings.unfold",
        &[Char('l'), Code(KeyCode::Right)],
        On::Pane(Pane::Findings),
        Msg::Fold(Fold::Open),
        None,
        "unfold what followed from the finding",
    ),
    bind(
        "findings.fold",
        &[Char('h'), Code(KeyCode::Left)],
        On::Pane(Pane::Findings),
        Msg::Fold(Fold::Shut),
        None,
        "fold it again",
    ),
    bind(
        "finding.explain",
        &[Char('i')],
        On::Panes,
        Msg::Explain,
        None,
        "what the rule of the finding looks for, with a real bug as the example",
    ),
    bind(
        "findings.suppress",
        &[Char('X')],
        On::Panes,
        Msg::Suppress,
        None,
        "suppress the finding, with a reason, in the file that check --suppressions reads",
    ),
    bind(
        "findings.unsuppress",
        &[Char('U')],
        On::Panes,
        Msg::Unsuppress,
        None,
        "take a suppression back: the selected finding's, else the one made last",
    ),
    bind(
        "findings.suppressed",
        &[Char('z')],
        On::Pane(Pane::Findings),
        Msg::ShowHidden,
        None,
        "list findings that are suppressed or in the baseline, or no longer",
    ),
    bind(
        "biography.unfold",
        &[Char('l'), Code(KeyCode::Right)],
        On::Pane(Pane::Biography),
        Msg::Fold(Fold::Open),
        None,
        "show the folded steps one by one",
    ),
    bind(
        "biography.fold",
        &[Char('h'), Code(KeyCode::Left)],
        On::Pane(Pane::Biography),
        Msg::Fold(Fold::Shut),
        None,
        "fold them again",
    ),
    bind(
        "objects.pivot",
        &[Char('p')],
        On::Pane(Pane::Objects),
        Msg::Pivot,
        Some("count by"),
        "count by type, place, age or thread",
    ),
    bind(
        "text.down",
        &[Char('J')],
        On::Panes,
        Msg::Text(1),
        None,
        "scroll the text beside the list down",
    ),
    bind(
        "text.up",
        &[Char('K')],
        On::Panes,
        Msg::Text(-1),
        None,
        "scroll the text beside the list up",
    ),
];
