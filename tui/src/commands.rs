//! Commands by name: every action of the key table by its id, views by their names, and a few that
//! take a text. The palette offers them, `view --exec` runs them.
//!
//! Ids are stable: scripts may rely on them.

use crate::keys::{Binding, Characters, Keymap, On, bindings, label};
use crate::msg::View;

/// How often one command can be asked to repeat an action.
const REPEAT_MAX: u32 = 10_000;

/// A command that takes a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithText {
    /// Go to a place.
    Goto,
    /// Keep only some events.
    Filter,
    /// Draw with other colours.
    Theme,
    /// Go to a lane of the timeline.
    Lane,
}

/// Every command that takes a text: what it is called, what it takes, what it does.
pub const WITH_TEXT: [(&str, &str, WithText, &str); 4] = [
    (
        "goto",
        "PLACE",
        WithText::Goto,
        "go to a finding (finding:3), a rule (T02) or an event (event:41)",
    ),
    (
        "filter",
        "FILTER",
        WithText::Filter,
        "show only the events that a filter lets through",
    ),
    (
        "theme",
        "NAME",
        WithText::Theme,
        "draw with other colours: terminal, dark, light, contrast, deutan, tritan, mono",
    ),
    (
        "lane",
        "NAME",
        WithText::Lane,
        "go to the lane of the timeline that has this in its name: a thread, ring 5, coroutine 3",
    ),
];

/// A command that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// An action of the key table, so many times.
    Action(&'static str, u32),
    /// A view by its name.
    View(View),
    /// One that takes a text.
    WithText(WithText, String),
}

/// An action by its id.
pub fn binding(id: &str) -> Option<&'static Binding> {
    let offered = |binding: &&Binding| {
        !matches!(
            binding.on,
            On::Prompt | On::Palette | On::Help | On::Page | On::Question
        )
    };
    bindings().filter(offered).find(|b| b.id == id)
}

/// Reads a command; an error says what is wrong, safe for a terminal.
pub fn parse(text: &str) -> Result<Command, String> {
    let text = text.trim();
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    if let Some(binding) = binding(name) {
        let times = match rest {
            "" => 1,
            number => number
                .parse()
                .ok()
                .filter(|times| (1..=REPEAT_MAX).contains(times))
                .ok_or_else(|| {
                    format!(
                        "{name} takes how often, from 1 to {REPEAT_MAX}, not {}",
                        traces::tty(rest.as_bytes())
                    )
                })?,
        };
        return Ok(Command::Action(binding.id, times));
    }
    if let Some(view) = View::ALL
        .into_iter()
        .find(|view| view.name().eq_ignore_ascii_case(name))
    {
        return Ok(Command::View(view));
    }
    if let Some((_, takes, command, _)) = WITH_TEXT.iter().find(|known| known.0 == name) {
        if rest.is_empty() {
            return Err(format!("{name} needs a {takes}"));
        }
        return Ok(Command::WithText(*command, rest.to_owned()));
    }
    let shown = traces::tty(name.as_bytes());
    Err(
        match matches(name, Characters::Ascii, &Keymap::default()).first() {
            Some(near) => format!("no command is called {shown}; did you mean {}?", near.name),
            None => {
                format!("no command is called {shown}; the list of commands in the viewer has all")
            }
        },
    )
}

/// The commands of a script: one after the other, `;` between them.
pub fn script(text: &str) -> Result<Vec<String>, String> {
    let mut commands = Vec::new();
    let mut command = String::new();
    let mut is_quoted = false;
    for c in text.chars() {
        match c {
            ';' if !is_quoted => commands.push(std::mem::take(&mut command)),
            c => {
                is_quoted ^= c == '"';
                command.push(c);
            }
        }
    }
    commands.push(command);
    commands.retain(|command| !command.trim().is_empty());
    for command in &commands {
        parse(command)?;
    }
    Ok(commands)
}

/// A line of the palette.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The command.
    pub name: &'static str,
    /// What it takes, where it takes anything.
    pub takes: &'static str,
    /// The keys that do the same.
    pub keys: String,
    /// What it does.
    pub help: &'static str,
}

/// Commands whose letters contain those typed in their order, best first; all for nothing typed.
pub fn matches(typed: &str, characters: Characters, keymap: &Keymap) -> Vec<Offer> {
    let typed = typed.split_whitespace().next().unwrap_or("").to_lowercase();
    let actions = bindings()
        .filter(|b| binding(b.id).is_some())
        .map(|b| Offer {
            name: b.id,
            takes: "",
            keys: keymap
                .keys(b)
                .first()
                .map_or(String::new(), |key| label(*key, characters)),
            help: b.help,
        });
    let with_text = WITH_TEXT.iter().map(|(name, takes, _, help)| Offer {
        name,
        takes,
        keys: String::new(),
        help,
    });
    let mut scored: Vec<(u32, Offer)> = with_text
        .chain(actions)
        .filter_map(|offer| Some((score(offer.name, &typed)?, offer)))
        .collect();
    scored.sort_by_key(|(score, _)| *score);
    scored.into_iter().map(|(_, offer)| offer).collect()
}

/// How far a name is from what was typed; nothing where letters are missing.
fn score(name: &str, typed: &str) -> Option<u32> {
    if let Some(at) = name.find(typed) {
        let is_start = at == 0 || matches!(name.as_bytes()[at - 1], b'.' | b'-');
        return Some(if is_start { 0 } else { 1 });
    }
    let mut letters = name.chars();
    let mut gaps = 0;
    for wanted in typed.chars() {
        gaps += letters.by_ref().position(|letter| letter == wanted)? as u32;
    }
    Some(2 + gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_views_and_texts_are_commands() {
        assert_eq!(
            parse("timeline.zoom-in 3"),
            Ok(Command::Action("timeline.zoom-in", 3))
        );
        assert_eq!(parse(" timeline "), Ok(Command::View(View::Timeline)));
        assert_eq!(
            parse("goto  event:41"),
            Ok(Command::WithText(WithText::Goto, "event:41".into()))
        );
        assert_eq!(
            parse("timelin.zoom-in"),
            Err("no command is called timelin.zoom-in; did you mean timeline.zoom-in?".into())
        );
        assert_eq!(
            parse("zoomin"),
            Err("no command is called zoomin; did you mean timeline.zoom-in?".into())
        );
        assert_eq!(parse("goto"), Err("goto needs a PLACE".into()));
        assert!(parse("move.down 0").is_err() && parse("move.down x\u{1b}").is_err());
    }

    #[test]
    fn a_script_is_commands_with_semicolons_between() {
        let commands = script("findings; filter \"a;b\" ;").expect("it reads");
        assert_eq!(commands, ["findings", " filter \"a;b\" "]);
        assert!(script("findings; nonsense").is_err());
        assert_eq!(script(""), Ok(vec![]));
    }

    #[test]
    fn every_command_that_is_offered_is_understood() {
        for offer in matches("", Characters::Unicode, &Keymap::default()) {
            let text = format!(
                "{} {}",
                offer.name,
                if offer.takes.is_empty() { "" } else { "x" }
            );
            assert!(parse(&text).is_ok(), "{}", offer.name);
        }
        assert_eq!(
            matches("zoom-in", Characters::Ascii, &Keymap::default())[0].name,
            "timeline.zoom-in"
        );
    }
}
