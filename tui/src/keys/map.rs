//! Keys of the user's own: actions by their ids, each with the keys that it has instead of those of the table.
//!
//! What the user gives a key to has it: an action that had it before in the same place goes without. What would leave
//! nobody a way out is refused: letters where text is typed, no key to answer with, another use of Ctrl-C.

use std::collections::BTreeMap;

use crossterm::event::KeyCode;

use super::script::named;
use super::{Binding, Characters, Key, Listener, On, PREFIXES, bindings, holds, label};

/// The keys that hold: those of the table, but for what the user has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keymap {
    /// By id, of all actions whose keys are not those of the table.
    changed: BTreeMap<&'static str, Vec<Key>>,
}

impl Keymap {
    /// The table with other keys for some actions, each by its id, keys as text. An error says what is wrong, as a
    /// sentence that is safe for a terminal.
    pub fn new<'a>(
        wanted: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>,
    ) -> Result<Self, String> {
        let mut own: Vec<(&'static Binding, Vec<Key>)> = Vec::new();
        for (id, keys) in wanted {
            let binding = find(id)?;
            let mut parsed: Vec<Key> = Vec::new();
            for text in keys {
                let key = parse(text).map_err(|why| format!("{id}: {why}"))?;
                allow(binding, key)?;
                if !parsed.contains(&key) {
                    parsed.push(key);
                }
            }
            if parsed.is_empty() && must_have_one(binding.on) {
                return Err(format!(
                    "{id} needs a key: nothing else leads on from there"
                ));
            }
            if binding.keys.contains(&INTERRUPT) && !parsed.contains(&INTERRUPT) {
                parsed.push(INTERRUPT);
            }
            own.push((binding, parsed));
        }
        for (at, (one, keys)) in own.iter().enumerate() {
            for (other, others) in &own[at + 1..] {
                if let Some(key) = keys
                    .iter()
                    .find(|key| others.iter().any(|it| clash(**key, *it)))
                    && meet(one.on, other.on)
                {
                    let key = label(*key, Characters::Ascii);
                    return Err(format!(
                        "{key} is given to both {} and {}, where both hold",
                        one.id, other.id
                    ));
                }
            }
        }
        let mut changed = BTreeMap::new();
        for binding in bindings() {
            if let Some((_, keys)) = own.iter().find(|(known, _)| known.id == binding.id) {
                changed.insert(binding.id, keys.clone());
                continue;
            }
            let is_taken = |key: &Key| {
                own.iter().any(|(other, keys)| {
                    keys.iter().any(|it| clash(*it, *key)) && meet(other.on, binding.on)
                })
            };
            let left = binding.keys.iter().filter(|key| !is_taken(key));
            let left: Vec<Key> = left.copied().collect();
            if left.len() < binding.keys.len() {
                if left.is_empty() && must_have_one(binding.on) {
                    return Err(format!(
                        "{} would have no key left; give it one",
                        binding.id
                    ));
                }
                changed.insert(binding.id, left);
            }
        }
        changed.retain(|id, keys| bindings().any(|b| b.id == *id && b.keys != &keys[..]));
        Ok(Self { changed })
    }

    /// The keys of an action, best known first.
    pub fn keys(&self, binding: &'static Binding) -> &[Key] {
        let changed = self.changed.get(binding.id);
        changed.map_or(binding.keys, Vec::as_slice)
    }

    /// Whether an action has not the keys of the table.
    pub fn is_changed(&self, binding: &Binding) -> bool {
        self.changed.contains_key(binding.id)
    }
}

/// What leaves the viewer, whatever the user has changed.
const INTERRUPT: Key = Key::Ctrl('c');

fn find(id: &str) -> Result<&'static Binding, String> {
    if let Some(binding) = bindings().find(|binding| binding.id == id) {
        return Ok(binding);
    }
    let shown = traces::tty(id.as_bytes());
    let near = traces::near::nearest(id, bindings().map(|binding| binding.id));
    // Letters in their order, as the palette has them.
    let offers = crate::commands::matches(id, Characters::Ascii, &Keymap::default());
    let offered = offers.iter().find(|offer| offer.takes.is_empty());
    Err(match near.or(offered.map(|offer| offer.name)) {
        Some(near) => format!("no command is called {shown}; did you mean {near}?"),
        None => format!("no command is called {shown}; the list of commands in the viewer has all"),
    })
}

/// Whether a key may mean that.
fn allow(binding: &Binding, key: Key) -> Result<(), String> {
    let (id, shown) = (binding.id, label(key, Characters::Ascii));
    if key == INTERRUPT && !binding.keys.contains(&INTERRUPT) {
        return Err(format!("{id}: {shown} always quits"));
    }
    if key == Key::Char('g') {
        return Err(format!(
            "{id}: g begins pairs of keys; a pair is written as `gx`"
        ));
    }
    let is_letter = matches!(key, Key::Char(_) | Key::After(..));
    if is_letter && matches!(binding.on, On::Anywhere | On::Prompt | On::Palette) {
        return Err(format!(
            "{id}: {shown} stands for itself where text is typed; take a key with ctrl, or one without a letter"
        ));
    }
    Ok(())
}

/// Whether of two keys one alone can be had: they are the same, or one begins the other.
fn clash(one: Key, other: Key) -> bool {
    match (one, other) {
        (Key::Char(c), Key::After(first, _)) | (Key::After(first, _), Key::Char(c)) => c == first,
        _ => one == other,
    }
}

/// Whether somebody could be left where nothing leads on.
fn must_have_one(on: On) -> bool {
    matches!(
        on,
        On::Prompt | On::Palette | On::Help | On::Page | On::Question
    )
}

/// Whether there is a place where both hold.
fn meet(one: On, other: On) -> bool {
    Listener::all().any(|listener| holds(one, listener) && holds(other, listener))
}

/// Reads a key: a character, `ctrl-x` or `^x`, `gx` or `cx` for a pair, `<enter>`, `<f5>`, `<space>`.
fn parse(text: &str) -> Result<Key, String> {
    let mut letters = text.chars();
    let (first, second, third) = (letters.next(), letters.next(), letters.next());
    let ctrl = |c: char| {
        let c = c.to_ascii_lowercase();
        // The terminal sends these as other keys: Tab, Enter and Backspace.
        match c {
            'i' | 'm' | 'j' | 'h' => Err(format!(
                "terminals send another key for {}",
                label(Key::Ctrl(c), Characters::Ascii)
            )),
            c => Ok(Key::Ctrl(c)),
        }
    };
    match (first, second, third) {
        (Some(' '), None, _) => return Ok(Key::Char(' ')),
        (Some(c), None, _) if !c.is_control() => return Ok(Key::Char(c)),
        (Some('^'), Some(c), None) if c.is_ascii_alphabetic() => return ctrl(c),
        (Some(first), Some(c), None) if PREFIXES.contains(&first) && !c.is_control() => {
            return Ok(Key::After(first, c));
        }
        _ => {}
    }
    let name = text.to_ascii_lowercase();
    if let Some(letter) = name.strip_prefix("ctrl-") {
        let mut letters = letter.chars();
        if let (Some(c), None) = (letters.next(), letters.next())
            && c.is_ascii_alphabetic()
        {
            return ctrl(c);
        }
    }
    let bare = name
        .strip_prefix('<')
        .and_then(|name| name.strip_suffix('>'));
    match bare.unwrap_or(&name) {
        "space" => Ok(Key::Char(' ')),
        bare => match named(bare) {
            Some(code) => Ok(Key::Code(code)),
            None => Err(format!(
                "{} is no key; keys are written as x, ctrl-x, gx, cx, ,x, <enter>, <esc>, <tab>, <space>, <pgdn>, <home>, \
                 <left> or <f5>",
                traces::tty(text.as_bytes())
            )),
        },
    }
}

/// How a key is written in a file.
pub(super) fn written(key: Key) -> String {
    match key {
        Key::Char(' ') => "<space>".into(),
        Key::Char(c) => c.into(),
        Key::Ctrl(c) => format!("ctrl-{c}"),
        Key::After(first, c) => format!("{first}{c}"),
        Key::Code(KeyCode::F(number)) => format!("<f{number}>"),
        Key::Code(code) => format!("<{}>", super::script::name_of(code).unwrap_or("?")),
    }
}

impl Keymap {
    /// All actions with their keys, as a file with keys has them.
    pub fn text(&self) -> String {
        let mut text = String::from("[keys]\n");
        for binding in bindings() {
            let keys = self.keys(binding).iter();
            let keys: Vec<String> = keys
                .map(|key| written(*key).replace('\\', "\\\\").replace('"', "\\\""))
                .map(|key| format!("\"{key}\""))
                .collect();
            text += &format!(
                "# {}\n\"{}\" = [{}]\n",
                binding.help,
                binding.id,
                keys.join(", ")
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Context, message_for};
    use crate::layout::Pane;
    use crate::msg::{Msg, Step, Toward, Zoom};
    use crossterm::event::{KeyEvent, KeyModifiers};

    fn meaning(keymap: &Keymap, pane: Pane, code: KeyCode, modifiers: KeyModifiers) -> Option<Msg> {
        let context = Context {
            listener: Listener::Pane(pane),
            prefix: None,
        };
        message_for(KeyEvent::new(code, modifiers), context, keymap)
    }

    #[test]
    fn what_the_user_gives_a_key_to_has_it_and_what_had_it_goes_without() {
        let wanted = [("finding.next", vec!["j", "<f3>"]), ("shell", vec![])];
        let keymap = Keymap::new(wanted).unwrap();
        let on = |pane, code| meaning(&keymap, pane, code, KeyModifiers::NONE);
        let next = Some(Msg::Finding(Toward::Next));
        assert_eq!(on(Pane::Events, KeyCode::Char('j')), next);
        assert_eq!(on(Pane::Events, KeyCode::F(3)), next);
        assert_eq!(on(Pane::Events, KeyCode::Char('e')), None);
        assert_eq!(on(Pane::Events, KeyCode::Char('!')), None);
        let down = Some(Msg::Move(Step::Lines(1)));
        assert_eq!(on(Pane::Events, KeyCode::Down), down);
        let changed: Vec<&str> = bindings()
            .filter(|binding| keymap.is_changed(binding))
            .map(|binding| binding.id)
            .collect();
        assert_eq!(changed, ["move.down", "finding.next", "shell"]);
        // In its own pane a key may mean another thing than elsewhere, as in the table.
        let keymap = Keymap::new([("timeline.zoom-in", vec!["W"])]).unwrap();
        let on = |pane, letter| meaning(&keymap, pane, KeyCode::Char(letter), KeyModifiers::NONE);
        assert_eq!(on(Pane::Timeline, 'W'), Some(Msg::Zoom(Zoom::In)));
        assert_eq!(on(Pane::Events, 'W'), Some(Msg::Warning(Toward::Previous)));
    }

    #[test]
    fn what_would_leave_no_way_out_is_refused() {
        let refused = |id: &str, keys: &[&str]| Keymap::new([(id, keys.to_vec())]).unwrap_err();
        assert_eq!(
            refused("finding.nxt", &["x"]),
            "no command is called finding.nxt; did you mean finding.next?"
        );
        assert!(refused("a\u{1b}", &[]).contains("in the viewer has all"));
        assert!(refused("move.down", &["ctrl-c"]).contains("always quits"));
        assert!(refused("move.down", &["g"]).contains("begins pairs"));
        assert!(refused("move.down", &["hyper-x"]).contains("is no key"));
        assert!(refused("move.down", &["ctrl-i"]).contains("another key"));
        assert!(refused("prompt.accept", &["x"]).contains("stands for itself"));
        assert!(refused("suspend", &["x"]).contains("stands for itself"));
        assert!(refused("prompt.cancel", &[]).contains("needs a key"));
        let both = Keymap::new([("open", vec!["x"]), ("help", vec!["x"])]).unwrap_err();
        assert_eq!(both, "x is given to both open and help, where both hold");
        let keymap = Keymap::new([("quit", vec!["<f10>"])]).unwrap();
        let interrupt = meaning(
            &keymap,
            Pane::Events,
            KeyCode::Char('c'),
            KeyModifiers::CONTROL,
        );
        assert_eq!(interrupt, Some(Msg::Quit), "Ctrl-C stays");
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        for binding in bindings() {
            let keys: Vec<String> = binding.keys.iter().map(|key| written(*key)).collect();
            let read = Keymap::new([(binding.id, keys.iter().map(String::as_str).collect())]);
            assert_eq!(read, Ok(Keymap::default()), "{}: {keys:?}", binding.id);
        }
    }
}
