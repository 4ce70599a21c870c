//! What holds everywhere, whatever has the keys.

use super::bind;
use crate::keys::Key::Ctrl;
use crate::keys::{Binding, On};
use crate::msg::Msg;

/// Its bindings.
pub(super) const BINDINGS: &[Binding] = &[
    bind(
        "quit",
        &[Ctrl('c')],
        On::Anywhere,
        Msg::Quit,
        None,
        "quit at once",
    ),
    bind(
        "suspend",
        &[Ctrl('z')],
        On::Anywhere,
        Msg::Suspend,
        None,
        "suspend; the shell's fg returns",
    ),
    bind(
        "repaint",
        &[Ctrl('l')],
        On::Anywhere,
        Msg::Repaint,
        None,
        "draw the screen anew",
    ),
];
