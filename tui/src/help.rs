//! The help: all keys that hold in the pane it was asked from, out of the key table. One can be chosen and run.

use ratatui::layout::Rect;
use traces::finding::RuleId;

use crate::keys::{Binding, bindings_of, label};
use crate::layout::Pane;
use crate::model::Model;
use crate::text::{Line, Tone, width, wrap_beside};
use crate::words::either;

/// Where the text of the help stands; nothing where the terminal is too small. Around it is a frame.
pub fn area(size: (u16, u16)) -> Option<Rect> {
    let (columns, rows) = size;
    if (columns, rows) < (1, 1)
        || columns < crate::layout::SMALLEST.0
        || rows < crate::layout::SMALLEST.1
    {
        return None;
    }
    let width = (columns - 4).min(76);
    let height = rows - 4;
    Some(Rect::new((columns - width) / 2, 2, width, height))
}

/// The help while it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help {
    /// Position of the chosen action among those listed.
    pub chosen: usize,
    /// First visible line.
    pub top: usize,
    /// What the listed actions have in them.
    pub filter: String,
    /// Whether that is being typed.
    pub is_typing: bool,
    /// The rule whose page is shown instead of keys.
    pub rule: Option<RuleId>,
}

/// The actions that are listed: those of the pane, as far as the filter lets them through.
pub fn actions(model: &Model) -> Vec<&'static Binding> {
    let keymap = &model.look.keymap;
    let filter = model.help.as_ref().map_or("", |help| &help.filter);
    let wanted = filter.trim().to_lowercase();
    let fits = |binding: &&'static Binding| {
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        has(binding.id)
            || has(binding.help)
            || keymap
                .keys(binding)
                .iter()
                .any(|key| label(*key, model.look.characters) == filter)
    };
    bindings_of(model.pane_listener())
        .filter(|binding| !keymap.keys(binding).is_empty())
        .filter(fits)
        .collect()
}

/// Letters of the titles on a rule's page.
const TITLE_MAX: usize = 16;

/// What a rule looks for.
fn page(rule: RuleId, columns: usize) -> Vec<(Line, Option<usize>)> {
    let Some(rule) = traces::rules::rule(rule) else {
        return Vec::new();
    };
    let text = traces::rules::explain(rule, columns);
    let line = |(at, line): (usize, &str)| {
        // What is not set in names the parts of the page.
        let is_title = at == 0 || (!line.starts_with(' ') && line.len() < TITLE_MAX);
        let tone = if is_title { Tone::Strong } else { Tone::Plain };
        (vec![(line.to_owned(), tone)], None)
    };
    text.lines().enumerate().map(line).collect()
}

/// The lines of the help, each with the position of its action.
pub fn lines(model: &Model) -> Vec<(Line, Option<usize>)> {
    let Some(area) = area(model.size) else {
        return Vec::new();
    };
    if let Some(rule) = model.help.as_ref().and_then(|help| help.rule) {
        return page(rule, area.width.into());
    }
    let characters = model.look.characters;
    let keymap = &model.look.keymap;
    let written = |binding: &'static Binding| {
        let keys = keymap.keys(binding).iter();
        let keys = keys.map(|key| label(*key, characters));
        keys.collect::<Vec<_>>().join(" ")
    };
    let actions = actions(model);
    let widest = bindings_of(model.pane_listener())
        .map(|binding| width(&written(binding)))
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for (position, binding) in actions.iter().enumerate() {
        let keys = written(binding);
        let label = format!("{keys}{}", " ".repeat(widest - width(&keys) + 2));
        let (tone, help) = match keymap.is_changed(binding) {
            true => (Tone::Note, format!("{} (your keys)", binding.help)),
            false => (Tone::Strong, binding.help.to_owned()),
        };
        let text = wrap_beside(&label, tone, &help, area.width.into());
        lines.extend(text.into_iter().map(|line| (line, Some(position))));
    }
    let is_whole = model
        .help
        .as_ref()
        .is_none_or(|help| help.filter.is_empty());
    if actions.is_empty() {
        let text = "No key here has that in its name, its letters or its help.".to_owned();
        lines.push((vec![(text, Tone::Faint)], None));
    }
    if model.pane == Pane::Timeline && is_whole {
        let signs = crate::view::SIGNS.map(|(unicode, ascii, word)| {
            let sign = either(characters, unicode, ascii);
            format!("{sign} {word}")
        });
        let text = format!(
            "{}; several events in one column are a height. Coroutines: {} running, {} waiting.",
            signs.join(", "),
            either(characters, "█", "#"),
            either(characters, "─", "-"),
        );
        let label = format!("signs{}", " ".repeat(widest.saturating_sub(3)));
        let text = wrap_beside(&label, Tone::Strong, &text, area.width.into());
        lines.extend(text.into_iter().map(|line| (line, None)));
    }
    lines
}
