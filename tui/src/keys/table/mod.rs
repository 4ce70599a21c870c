//! The table itself: one entry for each action, in the order in which the help lists them.

use super::{Binding, Key, On};
use crate::msg::Msg;

mod anywhere;
mod lists;
mod moving;
mod taking;
mod timeline;
mod typing;
mod views;

const fn bind(
    id: &'static str,
    keys: &'static [Key],
    on: On,
    msg: Msg,
    hint: Option<&'static str>,
    help: &'static str,
) -> Binding {
    Binding {
        id,
        keys,
        on,
        msg,
        help,
        hint,
    }
}

const SUBJECTS: [&[Binding]; 7] = [
    moving::BINDINGS,
    lists::BINDINGS,
    views::BINDINGS,
    timeline::BINDINGS,
    taking::BINDINGS,
    typing::BINDINGS,
    anywhere::BINDINGS,
];

/// Every binding, in the order in which the help lists them.
pub fn bindings() -> impl Iterator<Item = &'static Binding> + Clone {
    SUBJECTS.into_iter().flatten()
}
