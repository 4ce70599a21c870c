//! The key table: which key means what, where, and what the help says about it.
//!
//! [`message_for`] is the only place that turns a key into a [`Msg`]. The help screen and the hint
//! bar are made from the same table, so neither can promise a key that does nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::layout::Pane;
use crate::msg::Msg;
use Key::{After, Char, Code, Ctrl};

mod map;
pub mod script;
mod table;

pub use map::Keymap;
pub use table::bindings;

/// A key as the table writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character, as typed.
    Char(char),
    /// A letter held with Ctrl.
    Ctrl(char),
    /// A key without a character.
    Code(KeyCode),
    /// A character typed after another one, which is one of [`PREFIXES`].
    After(char, char),
}

/// First keys of pairs: `g` goes, `c` copies.
pub const PREFIXES: [char; 3] = ['g', 'c', ','];

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Everywhere, also while text is typed.
    Anywhere,
    /// In every pane.
    Panes,
    /// In every pane but one, which has another use for the keys.
    PanesBut(Pane),
    /// In one pane.
    Pane(Pane),
    /// While a filter or a note is typed.
    Prompt,
    /// While a command is typed.
    Palette,
    /// In the help.
    Help,
    /// On the page of a rule.
    Page,
    /// While it is asked what becomes of the program.
    Question,
}

/// What the keyboard talks to at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// A pane.
    Pane(Pane),
    /// The filter or note being typed.
    Prompt,
    /// The command being typed.
    Palette,
    /// The help.
    Help,
    /// The page of a rule.
    Page,
    /// The question what becomes of the program.
    Question,
}

impl Listener {
    /// Every listener there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let panes = Pane::ALL.into_iter().map(Self::Pane);
        let others = [
            Self::Prompt,
            Self::Palette,
            Self::Help,
            Self::Page,
            Self::Question,
        ];
        panes.chain(others)
    }
}

/// All that a key's meaning depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Who gets the key.
    pub listener: Listener,
    /// The key typed before, where it waits for a second one.
    pub prefix: Option<char>,
}

/// One action and the keys that cause it.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Name of the action; stays the same when keys change.
    pub id: &'static str,
    /// The keys, best known first.
    pub keys: &'static [Key],
    /// Where they hold.
    pub on: On,
    /// What they mean.
    pub msg: Msg,
    /// What the help says.
    pub help: &'static str,
    /// The word for it in the hint bar; neighbours with the same word share one place there.
    pub hint: Option<&'static str>,
}

/// What `key` means in `context`; nothing where it means nothing.
pub fn message_for(key: KeyEvent, context: Context, keymap: &Keymap) -> Option<Msg> {
    let alone = match key.code {
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Ctrl(c.to_ascii_lowercase()))
        }
        _ if key.modifiers.contains(KeyModifiers::ALT) => None,
        KeyCode::Char(c) => Some(Char(c)),
        code => Some(Code(code)),
    };
    let find = |wanted: Key| {
        bindings()
            .find(|b| holds(b.on, context.listener) && keymap.keys(b).contains(&wanted))
            .map(|b| b.msg)
    };
    let typed = match alone {
        Some(Char(c)) => Some(c),
        _ => None,
    };
    if let Some(first) = context.prefix {
        let pair = typed.and_then(|c| find(After(first, c)));
        // A pair that does not exist, or a key that takes back the first one. What ends the program does so all the same.
        let anywhere = || {
            let mut all = bindings().filter(|binding| binding.on == On::Anywhere);
            all.find(|binding| alone.is_some_and(|key| keymap.keys(binding).contains(&key)))
                .map(|binding| binding.msg)
        };
        return pair.or_else(anywhere).or(Some(Msg::Nothing));
    }
    if let Some(msg) = alone.and_then(find) {
        return Some(msg);
    }
    match (context.listener, typed) {
        (Listener::Prompt | Listener::Palette, Some(c)) => Some(Msg::Type(c)),
        (listener, Some(c)) if pairs(c, listener, keymap).next().is_some() => Some(Msg::Prefix(c)),
        _ => None,
    }
}

/// What may follow a first key: the second ones, each with what the two mean.
pub fn pairs(
    first: char,
    listener: Listener,
    keymap: &Keymap,
) -> impl Iterator<Item = (char, &'static Binding)> {
    bindings_of(listener).flat_map(move |binding| {
        let keys = keymap.keys(binding).iter();
        keys.filter_map(move |key| match key {
            After(prefix, second) if *prefix == first => Some((*second, binding)),
            _ => None,
        })
    })
}

/// Whether a binding holds for a listener.
pub fn holds(on: On, listener: Listener) -> bool {
    match on {
        // What is asked is answered, or taken back.
        On::Anywhere => listener != Listener::Question,
        On::Panes => matches!(listener, Listener::Pane(_)),
        On::PanesBut(pane) => {
            matches!(listener, Listener::Pane(_)) && listener != Listener::Pane(pane)
        }
        On::Pane(pane) => listener == Listener::Pane(pane),
        On::Prompt => listener == Listener::Prompt,
        On::Palette => listener == Listener::Palette,
        On::Help => listener == Listener::Help,
        On::Page => listener == Listener::Page,
        On::Question => listener == Listener::Question,
    }
}

/// What holds for a listener: what holds nowhere else first.
pub(crate) fn bindings_of(listener: Listener) -> impl Iterator<Item = &'static Binding> {
    let holding = move |b: &&Binding| holds(b.on, listener);
    let own = |b: &&Binding| matches!(b.on, On::Pane(_));
    let first = bindings().filter(holding).filter(own);
    let rest = bindings().filter(holding).filter(move |b| !own(b));
    first.chain(rest)
}

/// The characters that screens may be drawn with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Characters {
    /// Lines, arrows and marks of Unicode.
    #[default]
    Unicode,
    /// Nothing beyond ASCII.
    Ascii,
}

/// How a key is written on the screen.
pub fn label(key: Key, characters: Characters) -> String {
    match (key, characters) {
        (Char(' '), _) => "Space".into(),
        (Char(c), _) => c.to_string(),
        (Ctrl(c), _) => format!("^{c}"),
        (After(first, c), _) => format!("{first}{c}"),
        (Code(KeyCode::Up), Characters::Unicode) => "↑".into(),
        (Code(KeyCode::Down), Characters::Unicode) => "↓".into(),
        (Code(KeyCode::Left), Characters::Unicode) => "←".into(),
        (Code(KeyCode::Right), Characters::Unicode) => "→".into(),
        (Code(code), _) => match code {
            KeyCode::PageUp => "PgUp".into(),
            KeyCode::PageDown => "PgDn".into(),
            KeyCode::BackTab => "S-Tab".into(),
            KeyCode::F(n) => format!("F{n}"),
            other => format!("{other:?}"),
        },
    }
}

/// The first key of an action for who listens, as it is written; else its command, which is typed into the palette.
pub fn key_of(msg: Msg, listener: Listener, characters: Characters, keymap: &Keymap) -> String {
    let known = |binding: &&Binding| binding.msg == msg;
    let here = bindings_of(listener).filter(known);
    let key = here
        .flat_map(|binding| keymap.keys(binding))
        .next()
        .copied();
    match (key, bindings().find(known)) {
        (Some(key), _) => label(key, characters),
        (None, Some(_)) if msg == Msg::Palette => "the list of commands".into(),
        (None, Some(binding)) => {
            let palette = bindings().find(|binding| binding.msg == Msg::Palette);
            let colon = palette.and_then(|palette| keymap.keys(palette).first());
            let colon = colon.map(|key| match key {
                Char(c) => c.to_string(),
                key => format!("{} ", label(*key, characters)),
            });
            format!("{}{}", colon.unwrap_or_default(), binding.id)
        }
        (None, None) => String::new(),
    }
}

/// The hint bar of a listener: keys and the word for what they do, most needed first.
pub fn hints(
    listener: Listener,
    characters: Characters,
    keymap: &Keymap,
) -> Vec<(String, &'static str)> {
    let mut hints: Vec<(String, &'static str)> = Vec::new();
    for binding in bindings_of(listener) {
        let (Some(word), Some(key)) = (binding.hint, keymap.keys(binding).first()) else {
            continue;
        };
        let key = label(*key, characters);
        match hints.last_mut() {
            Some((keys, last)) if *last == word => {
                keys.push('/');
                keys.push_str(&key);
            }
            _ => hints.push((key, word)),
        }
    }
    // Where there is no room for all, the way to all of them is what must not be missing.
    let help = bindings().find(|binding| binding.msg == Msg::Help);
    let word = help.and_then(|binding| binding.hint);
    if let Some(at) = hints.iter().position(|hint| Some(hint.1) == word) {
        let hint = hints.remove(at);
        hints.insert(0, hint);
    }
    hints
}

#[cfg(test)]
mod named;
#[cfg(test)]
mod tests;
