//! What is being typed: a filter, a command, a note, a reason.

use traces::event::EventId;

use crate::model::Place;

/// What a prompt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    /// A filter over the events.
    Filter,
    /// A command.
    Command,
    /// A note to an event.
    Note(EventId),
    /// Why the finding with this fingerprint is not to be told.
    Reason(u64),
    /// Until when it is not to be told.
    Until(u64),
}

/// Characters that a prompt may have.
const PROMPT_MAX: usize = 400;

/// A filter or a command while it is typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What it is for.
    pub kind: PromptKind,
    /// What stands in it.
    pub text: String,
    /// What is wrong with it: for a filter two lines, the second one with a caret.
    pub error: Option<String>,
    /// Which of the commands that fit is chosen.
    pub chosen: usize,
    /// Where to return to when it is dropped.
    pub(crate) from: Place,
}

impl Prompt {
    pub(crate) fn new(kind: PromptKind, from: Place) -> Self {
        Self {
            kind,
            text: String::new(),
            error: None,
            chosen: 0,
            from,
        }
    }

    pub(crate) fn add(&mut self, c: char) {
        if self.text.chars().count() < PROMPT_MAX {
            self.text.push(c);
        }
        self.changed();
    }

    pub(crate) fn erase(&mut self) {
        self.text.pop();
        self.changed();
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.changed();
    }

    fn changed(&mut self) {
        (self.error, self.chosen) = (None, 0);
    }
}
