//! Keys as a person would note them, `jj<enter>^d/conn<esc>`: for tests, and for screens drawn without a
//! terminal.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Keys by name.
const NAMED: [(&str, KeyCode); 15] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("down", KeyCode::Down),
    ("up", KeyCode::Up),
    ("right", KeyCode::Right),
    ("left", KeyCode::Left),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgdn", KeyCode::PageDown),
    ("pgup", KeyCode::PageUp),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
];

/// The key of that name, in lower case.
pub(super) fn named(name: &str) -> Option<KeyCode> {
    let number = name
        .strip_prefix('f')
        .and_then(|digits| digits.parse().ok());
    match number {
        Some(number @ 1..=12) => Some(KeyCode::F(number)),
        _ => NAMED
            .iter()
            .find(|known| known.0 == name)
            .map(|known| known.1),
    }
}

/// The name of a key.
pub(super) fn name_of(code: KeyCode) -> Option<&'static str> {
    let known = NAMED.iter().find(|known| known.1 == code);
    known.map(|known| known.0)
}

/// The keys of a script; an error says what in it is none.
pub fn keys(script: &str) -> Result<Vec<KeyEvent>, String> {
    let mut keys = Vec::new();
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        let (code, modifiers) = match first {
            '<' => {
                let (name, behind) = rest
                    .split_once('>')
                    .ok_or_else(|| format!("`<{rest}` does not end with >"))?;
                rest = behind;
                let code = named(name).ok_or_else(|| format!("no key is called `{name}`"))?;
                (code, KeyModifiers::NONE)
            }
            '^' => {
                let letter = rest.chars().next().ok_or("no letter after ^")?;
                rest = &rest[letter.len_utf8()..];
                (KeyCode::Char(letter), KeyModifiers::CONTROL)
            }
            letter => (KeyCode::Char(letter), KeyModifiers::NONE),
        };
        keys.push(KeyEvent::new(code, modifiers));
    }
    Ok(keys)
}
