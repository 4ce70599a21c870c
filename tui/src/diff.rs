//! Two traces beside each other: what is new, gone and the same, and numbers that moved.
//!
//! Each of the two has a viewer of its own, with its own focus, places and notes; one of them is shown, and the
//! other waits inside it. The list of changes is the same in both.

use traces::diff::{Diff, Entry, Moved};

use crate::model::{FindingRow, Model};
use crate::msg::Msg;
use crate::text::{Line, Tone, count, counted, difference, sentence, wrap, wrap_after};
use crate::words::either;

/// Columns that the name of a trace may take.
pub(crate) const NAME_COLUMNS: usize = 24;

/// Which of the two traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The one from before.
    Before,
    /// The one from now.
    #[default]
    After,
}

/// What became of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// Only the later trace has it.
    New,
    /// Only the earlier one has it.
    Gone,
    /// Both have it.
    Same,
}

/// A row of the list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Row<'a> {
    /// A finding of either.
    Finding(Became, &'a Entry),
    /// A number that is another one now.
    Moved(&'a Moved),
}

/// The pane with the changes.
#[derive(Debug)]
pub struct DiffPane {
    /// What changed.
    pub diff: Diff,
    /// The names of both, safe for a terminal.
    pub names: [String; 2],
    /// Which of them is shown.
    pub side: Side,
    /// The viewer of the other one; absent only in the one that waits.
    pub(crate) other: Option<Box<Model>>,
    /// Position of the selected row.
    pub selected: usize,
    /// Position of the first visible row.
    pub top: usize,
    /// First visible line of the text about the selected row.
    pub text_top: usize,
}

impl DiffPane {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        let diff = &self.diff;
        diff.new.len() + diff.gone.len() + diff.same.len() + diff.moved.len()
    }

    /// Whether nothing is there to compare.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row at a position: what is new first.
    pub fn row(&self, position: usize) -> Option<Row<'_>> {
        let mut rest = position;
        let diff = &self.diff;
        for (became, entries) in [
            (Became::New, &diff.new),
            (Became::Gone, &diff.gone),
            (Became::Same, &diff.same),
        ] {
            match entries.get(rest) {
                Some(entry) => return Some(Row::Finding(became, entry)),
                None => rest -= entries.len(),
            }
        }
        diff.moved.get(rest).map(Row::Moved)
    }
}

/// The story of a model that a fingerprint is of.
pub fn story_of(model: &Model, fingerprint: &str) -> Option<FindingRow> {
    let is_it =
        |story: &traces::finding::Story| format!("{:#018x}", story.head.fingerprint) == fingerprint;
    let stories = &model.verdict.stories;
    stories.iter().position(is_it).map(FindingRow::Story)
}

/// What a number is, in its unit.
pub fn value(model: &Model, moved: &Moved, number: u64) -> String {
    if moved.unit != "ns" {
        return count(number);
    }
    let text = difference(i128::from(number), model.look.characters);
    text.trim_start_matches('+').to_owned()
}

/// By how much a number moved: as a factor for times, else by how many.
pub fn by_how_much(model: &Model, moved: &Moved) -> String {
    let (before, after) = (moved.before, moved.after);
    if moved.unit == "ns" {
        let by = i128::from(after) - i128::from(before);
        return difference(by, model.look.characters);
    }
    let sign = if after < before { '-' } else { '+' };
    format!("{sign}{}", count(after.abs_diff(before)))
}

/// Everything there is to say about the selected row.
pub fn about(model: &Model, columns: usize) -> Vec<Line> {
    let Some(pane) = &model.diff else {
        return Vec::new();
    };
    let plain = |text: &str, tone| -> Vec<Line> {
        let lines = wrap(text, columns).into_iter();
        lines.map(|line| vec![(line, tone)]).collect()
    };
    let [before, after] = &pane.names;
    let mut lines = Vec::new();
    match pane.row(pane.selected) {
        Some(Row::Finding(became, entry)) => {
            let (word, tone) = word(became);
            let times = |times| counted(times, "time");
            let said = match became {
                Became::New => format!("in {after} {}", times(entry.count_after)),
                Became::Gone => format!("in {before} {}", times(entry.count_before)),
                Became::Same => format!(
                    "in {before} {}, in {after} {}",
                    times(entry.count_before),
                    times(entry.count_after)
                ),
            };
            let head = format!("{word}: {} {}, {said}", entry.rule, entry.name);
            lines.extend(plain(&head, tone));
            lines.extend(plain(&sentence(&entry.message), Tone::Plain));
            let open = model.key(Msg::Open);
            let what = match became {
                Became::New => format!("{open} opens it in {after}."),
                Became::Gone => format!("{open} opens it in {before}."),
                Became::Same => {
                    format!(
                        "{open} opens it in the trace that is shown, {} in the other one.",
                        model.key(Msg::OtherTrace)
                    )
                }
            };
            lines.extend(plain(&what, Tone::Faint));
            let label = "fingerprint:";
            lines.extend(wrap_after(label, Tone::Faint, &entry.fingerprint, columns));
        }
        Some(Row::Moved(moved)) => {
            let arrow = either(model.look.characters, "→", "->");
            let text = format!(
                "{}: {} {arrow} {} ({})",
                moved.what,
                value(model, moved, moved.before),
                value(model, moved, moved.after),
                by_how_much(model, moved)
            );
            lines.extend(plain(&text, Tone::Plain));
        }
        None => {}
    }
    if pane.diff.may_hide {
        let text = format!("Records are missing in {after}: it may have more than is shown.");
        lines.extend(plain(&text, Tone::Unsure));
    }
    lines
}

/// The word and the tone of what became of a finding.
pub fn word(became: Became) -> (&'static str, Tone) {
    match became {
        Became::New => ("new", Tone::Error),
        Became::Gone => ("gone", Tone::Place),
        Became::Same => ("same", Tone::Plain),
    }
}
