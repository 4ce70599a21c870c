//! The key table: which key means what, where, and what the help says about it.
//!
//! [`message_for`] is the only place that turns a key into a [`Msg`]. The help screen and the hint
//! bar are made from the same table, so neither can promise a key that does nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::msg::{Fold, Msg, Prefix, Step, Toward, View};

/// A key as the table writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character, as typed.
    Char(char),
    /// A letter held with Ctrl.
    Ctrl(char),
    /// A key without a character.
    Code(KeyCode),
    /// A character typed after `g`.
    AfterG(char),
}

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Everywhere, also while text is typed.
    Anywhere,
    /// In each of the three panes.
    Panes,
    /// In the findings.
    Findings,
    /// While a filter is typed.
    Prompt,
    /// In the help.
    Help,
}

/// What the keyboard talks to at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// The findings pane.
    Findings,
    /// The biography pane.
    Biography,
    /// The events pane.
    Events,
    /// The filter being typed.
    Prompt,
    /// The help.
    Help,
}

impl Listener {
    /// Every listener there is.
    pub const ALL: [Self; 5] = [
        Self::Findings,
        Self::Biography,
        Self::Events,
        Self::Prompt,
        Self::Help,
    ];
}

/// All that a key's meaning depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Who gets the key.
    pub listener: Listener,
    /// The key typed before, where it waits for a second one.
    pub prefix: Option<Prefix>,
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

use Key::{AfterG, Char, Code, Ctrl};

/// Every binding, in the order in which the help lists them.
pub const BINDINGS: &[Binding] = &[
    bind(
        "move.down",
        &[Char('j'), Code(KeyCode::Down)],
        On::Panes,
        Msg::Move(Step::Lines(1)),
        Some("move"),
        "next row",
    ),
    bind(
        "move.up",
        &[Char('k'), Code(KeyCode::Up)],
        On::Panes,
        Msg::Move(Step::Lines(-1)),
        Some("move"),
        "previous row",
    ),
    bind(
        "open",
        &[Code(KeyCode::Enter)],
        On::Panes,
        Msg::Open,
        Some("open"),
        "open the biography of what is selected; from a biography, show the row among all events",
    ),
    bind(
        "up",
        &[Code(KeyCode::Esc), Code(KeyCode::Backspace)],
        On::Panes,
        Msg::Up,
        Some("up"),
        "one level up: end the filter, then back to the findings; never quits",
    ),
    bind(
        "finding.next",
        &[Char('e')],
        On::Panes,
        Msg::Finding(Toward::Next),
        Some("finding"),
        "next finding, from anywhere",
    ),
    bind(
        "finding.previous",
        &[Char('E')],
        On::Panes,
        Msg::Finding(Toward::Previous),
        Some("finding"),
        "previous finding, from anywhere",
    ),
    bind(
        "object.next",
        &[Char('o')],
        On::Panes,
        Msg::SameObject(Toward::Next),
        Some("same object"),
        "next event of the same object",
    ),
    bind(
        "object.previous",
        &[Char('O')],
        On::Panes,
        Msg::SameObject(Toward::Previous),
        Some("same object"),
        "previous event of the same object",
    ),
    bind(
        "finding.first-cause",
        &[Char('x')],
        On::Panes,
        Msg::FirstCause,
        Some("first cause"),
        "go to the first cause",
    ),
    bind(
        "events.filter",
        &[Char('/')],
        On::Panes,
        Msg::Prompt,
        Some("filter"),
        "show only events whose line contains what you type",
    ),
    bind(
        "help",
        &[Char('?'), Code(KeyCode::F(1))],
        On::Panes,
        Msg::Help,
        Some("keys"),
        "all keys",
    ),
    bind(
        "leave",
        &[Char('q')],
        On::Panes,
        Msg::Leave,
        Some("quit"),
        "back to the findings; from there, quit",
    ),
    bind(
        "move.first",
        &[AfterG('g'), Code(KeyCode::Home)],
        On::Panes,
        Msg::Move(Step::First),
        None,
        "first row",
    ),
    bind(
        "move.last",
        &[Char('G'), Code(KeyCode::End)],
        On::Panes,
        Msg::Move(Step::Last),
        None,
        "last row",
    ),
    bind(
        "move.half-down",
        &[Ctrl('d')],
        On::Panes,
        Msg::Move(Step::Halves(1)),
        None,
        "half a page down",
    ),
    bind(
        "move.half-up",
        &[Ctrl('u')],
        On::Panes,
        Msg::Move(Step::Halves(-1)),
        None,
        "half a page up",
    ),
    bind(
        "move.page-down",
        &[Code(KeyCode::PageDown), Ctrl('f')],
        On::Panes,
        Msg::Move(Step::Pages(1)),
        None,
        "a page down",
    ),
    bind(
        "move.page-up",
        &[Code(KeyCode::PageUp), Ctrl('b')],
        On::Panes,
        Msg::Move(Step::Pages(-1)),
        None,
        "a page up",
    ),
    bind(
        "findings.unfold",
        &[Char('l'), Code(KeyCode::Right)],
        On::Findings,
        Msg::Fold(Fold::Open),
        None,
        "unfold what followed from the finding",
    ),
    bind(
        "findings.fold",
        &[Char('h'), Code(KeyCode::Left)],
        On::Findings,
        Msg::Fold(Fold::Shut),
        None,
        "fold it again",
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
        "history.back",
        &[Char('[')],
        On::Panes,
        Msg::History(Toward::Previous),
        None,
        "back to where you were",
    ),
    bind(
        "history.forward",
        &[Char(']')],
        On::Panes,
        Msg::History(Toward::Next),
        None,
        "forward again",
    ),
    bind(
        "hit.next",
        &[Char('n')],
        On::Panes,
        Msg::Hit(Toward::Next),
        None,
        "next event that the filter matches",
    ),
    bind(
        "hit.previous",
        &[Char('N')],
        On::Panes,
        Msg::Hit(Toward::Previous),
        None,
        "previous event that the filter matches",
    ),
    bind(
        "prompt.accept",
        &[Code(KeyCode::Enter)],
        On::Prompt,
        Msg::Accept,
        Some("keep"),
        "keep it",
    ),
    bind(
        "prompt.cancel",
        &[Code(KeyCode::Esc)],
        On::Prompt,
        Msg::Cancel,
        Some("drop"),
        "end the filter: show all events again",
    ),
    bind(
        "prompt.erase",
        &[Code(KeyCode::Backspace)],
        On::Prompt,
        Msg::Erase,
        None,
        "erase a character; with nothing typed, end the filter",
    ),
    bind(
        "prompt.erase-all",
        &[Ctrl('u')],
        On::Prompt,
        Msg::EraseAll,
        Some("clear"),
        "erase all",
    ),
    bind(
        "help.down",
        &[Char('j'), Code(KeyCode::Down)],
        On::Help,
        Msg::Move(Step::Lines(1)),
        Some("scroll"),
        "scroll down",
    ),
    bind(
        "help.up",
        &[Char('k'), Code(KeyCode::Up)],
        On::Help,
        Msg::Move(Step::Lines(-1)),
        Some("scroll"),
        "scroll up",
    ),
    bind(
        "help.half-down",
        &[Ctrl('d'), Code(KeyCode::PageDown)],
        On::Help,
        Msg::Move(Step::Halves(1)),
        None,
        "half a page down",
    ),
    bind(
        "help.half-up",
        &[Ctrl('u'), Code(KeyCode::PageUp)],
        On::Help,
        Msg::Move(Step::Halves(-1)),
        None,
        "half a page up",
    ),
    bind(
        "help.first",
        &[AfterG('g'), Code(KeyCode::Home)],
        On::Help,
        Msg::Move(Step::First),
        None,
        "to the top",
    ),
    bind(
        "help.last",
        &[Char('G'), Code(KeyCode::End)],
        On::Help,
        Msg::Move(Step::Last),
        None,
        "to the end",
    ),
    bind(
        "help.close",
        &[
            Code(KeyCode::Esc),
            Char('?'),
            Code(KeyCode::F(1)),
            Char('q'),
        ],
        On::Help,
        Msg::Up,
        Some("close"),
        "close the help",
    ),
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

/// What `key` means in `context`; nothing where it means nothing.
pub fn message_for(key: KeyEvent, context: Context) -> Option<Msg> {
    let alone = match key.code {
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Ctrl(c.to_ascii_lowercase()))
        }
        _ if key.modifiers.contains(KeyModifiers::ALT) => None,
        KeyCode::Char(c) => Some(Char(c)),
        code => Some(Code(code)),
    };
    let find = |wanted: Key| {
        BINDINGS
            .iter()
            .find(|b| holds(b.on, context.listener) && b.keys.contains(&wanted))
            .map(|b| b.msg)
    };
    let typed = match alone {
        Some(Char(c)) => Some(c),
        _ => None,
    };
    if let (Some(Prefix::G), Some(c)) = (context.prefix, typed)
        && let Some(msg) = find(AfterG(c))
    {
        return Some(msg);
    }
    if let Some(msg) = alone.and_then(find) {
        return Some(msg);
    }
    match (context.listener, typed) {
        (Listener::Prompt, Some(c)) => Some(Msg::Type(c)),
        (_, Some('g')) if context.prefix.is_none() => Some(Msg::Prefix(Prefix::G)),
        // The second key of a pair that does not exist: forget the first.
        _ if context.prefix.is_some() => Some(Msg::Nothing),
        _ => None,
    }
}

/// Whether a binding holds for a listener.
pub fn holds(on: On, listener: Listener) -> bool {
    match on {
        On::Anywhere => true,
        On::Panes => {
            matches!(
                listener,
                Listener::Findings | Listener::Biography | Listener::Events
            )
        }
        On::Findings => listener == Listener::Findings,
        On::Prompt => listener == Listener::Prompt,
        On::Help => listener == Listener::Help,
    }
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
        (Char(c), _) => c.to_string(),
        (Ctrl(c), _) => format!("^{c}"),
        (AfterG(c), _) => format!("g{c}"),
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

/// The hint bar of a listener: keys and the word for what they do, most needed first.
pub fn hints(listener: Listener, characters: Characters) -> Vec<(String, &'static str)> {
    let mut hints: Vec<(String, &'static str)> = Vec::new();
    for binding in BINDINGS.iter().filter(|b| holds(b.on, listener)) {
        let (Some(word), Some(key)) = (binding.hint, binding.keys.first()) else {
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
    hints
}

/// The help of a listener: all keys of each action that holds there, and what it does.
pub fn help(listener: Listener, characters: Characters) -> Vec<(String, &'static str)> {
    BINDINGS
        .iter()
        .filter(|b| holds(b.on, listener))
        .map(|b| {
            let keys: Vec<String> = b.keys.iter().map(|k| label(*k, characters)).collect();
            (keys.join(" "), b.help)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(key: Key) -> KeyEvent {
        match key {
            Char(c) | AfterG(c) => KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE),
            Ctrl(c) => KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL),
            Code(code) => KeyEvent::new(code, KeyModifiers::NONE),
        }
    }

    #[test]
    fn no_key_has_two_meanings_in_one_place() {
        for listener in Listener::ALL {
            let mut seen: Vec<(Key, &str)> = Vec::new();
            for binding in BINDINGS.iter().filter(|b| holds(b.on, listener)) {
                for key in binding.keys {
                    if let Some((_, other)) = seen.iter().find(|(k, _)| k == key) {
                        panic!("{key:?} is {other} and {} in {listener:?}", binding.id);
                    }
                    seen.push((*key, binding.id));
                }
            }
        }
    }

    #[test]
    fn every_action_has_an_id_of_its_own_a_help_text_and_a_key_that_causes_it() {
        for (index, binding) in BINDINGS.iter().enumerate() {
            assert!(!binding.help.is_empty(), "{} has no help", binding.id);
            assert!(!binding.keys.is_empty(), "{} has no key", binding.id);
            assert!(
                BINDINGS[index + 1..].iter().all(|b| b.id != binding.id),
                "{} is there twice",
                binding.id
            );
            for listener in Listener::ALL.into_iter().filter(|l| holds(binding.on, *l)) {
                for key in binding.keys {
                    let prefix = matches!(key, AfterG(_)).then_some(Prefix::G);
                    assert_eq!(
                        message_for(event(*key), Context { listener, prefix }),
                        Some(binding.msg),
                        "{} in {listener:?}",
                        binding.id
                    );
                }
            }
        }
    }

    #[test]
    fn every_movement_has_a_letter_and_a_key_without_one() {
        for id in ["move.down", "move.up", "move.first", "move.last"] {
            let binding = BINDINGS.iter().find(|b| b.id == id).expect(id);
            assert!(binding.keys.iter().any(|k| matches!(k, Code(_))), "{id}");
            assert!(binding.keys.iter().any(|k| !matches!(k, Code(_))), "{id}");
        }
    }

    #[test]
    fn text_is_typed_into_the_prompt_and_nowhere_else() {
        let context = |listener| Context {
            listener,
            prefix: None,
        };
        assert_eq!(
            message_for(event(Char('q')), context(Listener::Prompt)),
            Some(Msg::Type('q'))
        );
        assert_eq!(
            message_for(event(Char('g')), context(Listener::Prompt)),
            Some(Msg::Type('g'))
        );
        assert_eq!(
            message_for(event(Char('%')), context(Listener::Events)),
            None
        );
    }

    #[test]
    fn a_pair_of_keys_that_does_not_exist_is_forgotten() {
        let context = Context {
            listener: Listener::Events,
            prefix: Some(Prefix::G),
        };
        assert_eq!(message_for(event(Char('%')), context), Some(Msg::Nothing));
        assert_eq!(
            message_for(event(Char('j')), context),
            Some(Msg::Move(Step::Lines(1)))
        );
    }

    #[test]
    fn the_hint_bar_joins_the_keys_of_a_pair() {
        let hints = hints(Listener::Findings, Characters::Ascii);
        assert_eq!(hints[0], ("j/k".to_owned(), "move"));
        assert!(hints.contains(&("e/E".to_owned(), "finding")));
    }
}
