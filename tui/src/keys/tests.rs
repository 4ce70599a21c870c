//! No key has two meanings, and none is without one.

use super::*;

fn event(key: Key) -> KeyEvent {
    match key {
        Char(c) | After(_, c) => KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE),
        Ctrl(c) => KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL),
        Code(code) => KeyEvent::new(code, KeyModifiers::NONE),
    }
}

#[test]
fn no_key_has_two_meanings_in_one_place() {
    for listener in Listener::all() {
        let mut seen: Vec<(Key, &str)> = Vec::new();
        for binding in bindings().filter(|b| holds(b.on, listener)) {
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
    for (index, binding) in bindings().enumerate() {
        assert!(!binding.help.is_empty(), "{} has no help", binding.id);
        let is_command = crate::commands::binding(binding.id).is_some();
        assert!(
            is_command || !binding.keys.is_empty(),
            "{} cannot be asked for",
            binding.id
        );
        assert!(
            bindings().skip(index + 1).all(|b| b.id != binding.id),
            "{} is there twice",
            binding.id
        );
        for listener in Listener::all().filter(|l| holds(binding.on, *l)) {
            for key in binding.keys {
                let prefix = match key {
                    After(first, _) => Some(*first),
                    _ => None,
                };
                assert_eq!(
                    message_for(
                        event(*key),
                        Context { listener, prefix },
                        &Keymap::default()
                    ),
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
        let binding = bindings().find(|b| b.id == id).expect(id);
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
        message_for(
            event(Char('q')),
            context(Listener::Prompt),
            &Keymap::default()
        ),
        Some(Msg::Type('q'))
    );
    assert_eq!(
        message_for(
            event(Char('g')),
            context(Listener::Prompt),
            &Keymap::default()
        ),
        Some(Msg::Type('g'))
    );
    assert_eq!(
        message_for(
            event(Char('%')),
            context(Listener::Pane(Pane::Events)),
            &Keymap::default()
        ),
        None
    );
}

#[test]
fn a_pair_of_keys_that_does_not_exist_is_forgotten() {
    let context = Context {
        listener: Listener::Pane(Pane::Events),
        prefix: Some('g'),
    };
    let means = |key| message_for(key, context, &Keymap::default());
    // What they mean alone is not meant: who takes the first one back stays where he is.
    for code in [Char('%'), Char('j'), Char('q'), Char('c')] {
        assert_eq!(means(event(code)), Some(Msg::Nothing), "{code:?}");
    }
    for code in [KeyCode::Esc, KeyCode::Enter, KeyCode::Down] {
        assert_eq!(means(event(Code(code))), Some(Msg::Nothing), "{code:?}");
    }
    assert_eq!(means(event(Ctrl('c'))), Some(Msg::Quit));
}

#[test]
fn the_hint_bar_joins_the_keys_of_a_pair() {
    let hints = hints(
        Listener::Pane(Pane::Findings),
        Characters::Ascii,
        &Keymap::default(),
    );
    assert_eq!(hints[1], ("j/k".to_owned(), "move"));
    assert!(hints.contains(&("e/E".to_owned(), "finding")));
}
