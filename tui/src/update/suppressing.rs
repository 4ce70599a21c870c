//! Suppressing a finding with a reason, and taking that back.

use super::findings::{list_findings, meant_finding, select_finding};
use super::places::place;
use crate::hiding::{Change, Suppression, Why, is_day};
use crate::model::{FindingRow, Model, Prompt, PromptKind};
use crate::msg::{Effect, Msg};
use crate::words::rule_name;

/// The story that the reader means, and its head's row.
fn meant_story(model: &Model) -> Option<usize> {
    let selected = model.selected_finding();
    let row = meant_finding(model)
        .or_else(|| Some(selected).filter(|_| model.pane == crate::layout::Pane::Findings))?;
    match row {
        FindingRow::Story(story) | FindingRow::Consequence(story, _) => Some(story),
        FindingRow::CannotTell(_) | FindingRow::Hidden | FindingRow::Summary => None,
    }
}

/// Asks for the reason.
pub(super) fn begin(model: &mut Model) {
    let Some(story) = meant_story(model) else {
        let word = match model.selected_finding() {
            FindingRow::CannotTell(_) => {
                "what cannot be told is no finding: a larger recording answers it"
            }
            _ => "no finding is about this",
        };
        model.notice = Some(word.into());
        return;
    };
    match model.hiding.why(story) {
        Some(Why::Known) => {
            model.notice = Some("this finding is in the baseline already".into());
            return;
        }
        Some(Why::Suppressed { .. }) => {
            model.notice = Some(format!(
                "this finding is suppressed already; {} takes that back",
                model.key(Msg::Unsuppress)
            ));
            return;
        }
        None => {}
    }
    let Some(head) = model.finding(FindingRow::Story(story)) else {
        return;
    };
    let kind = PromptKind::Reason(head.fingerprint);
    let mut prompt = Prompt::new(kind, place(model));
    prompt.text.clone_from(&model.hiding.reason);
    model.prompt = Some(prompt);
}

/// The reason or the day is typed.
pub(super) fn accept(model: &mut Model) -> Effect {
    let Some(prompt) = &mut model.prompt else {
        return Effect::Draw;
    };
    let text = prompt.text.trim().to_owned();
    match prompt.kind {
        PromptKind::Reason(_) if text.is_empty() => {
            prompt.error = Some("a reason is needed: why is this finding not to be told?".into());
            Effect::Draw
        }
        PromptKind::Reason(fingerprint) => {
            let from = prompt.from;
            model.hiding.reason = text;
            model.prompt = Some(Prompt::new(PromptKind::Until(fingerprint), from));
            Effect::Draw
        }
        PromptKind::Until(_) if !text.is_empty() && !is_day(&text) => {
            prompt.error = Some("a day is written as 2027-01-31; nothing means for good".into());
            Effect::Draw
        }
        PromptKind::Until(fingerprint) => {
            model.prompt = None;
            let mut heads = model.verdict.stories.iter().map(|story| &story.head);
            let Some(head) = heads.find(|head| head.fingerprint == fingerprint) else {
                model.notice = Some("this finding is no longer there".into());
                return Effect::Draw;
            };
            let suppression = Suppression {
                rule: head.rule.to_string(),
                name: rule_name(head.rule),
                fingerprint: head.fingerprint,
                message: head.message.clone(),
                reason: model.hiding.reason.clone(),
                expires: Some(text).filter(|day| !day.is_empty()),
            };
            model.hiding.change = Some(Change::Add(suppression));
            Effect::Suppress
        }
        _ => Effect::Draw,
    }
}

/// Takes the selected finding's suppression back, or the one that was made last.
pub(super) fn undo(model: &mut Model) -> Effect {
    let story = meant_story(model).filter(|story| model.hiding.why(*story).is_some());
    let own = story.and_then(|story| {
        let head = model.finding(FindingRow::Story(story))?;
        model.hiding.own_filter(story, head)
    });
    let filter = match (story, own) {
        (Some(_), None) => {
            model.notice =
                Some("what hides this finding covers more than it: change the file by hand".into());
            return Effect::Draw;
        }
        (_, Some(filter)) => Some(filter),
        (None, None) => model.hiding.made.last().cloned(),
    };
    match filter {
        Some(filter) => {
            model.hiding.change = Some(Change::Remove(filter));
            Effect::Suppress
        }
        None => {
            model.notice = Some(format!(
                "nothing was suppressed since the start; {} lists what is",
                model.key(Msg::ShowHidden)
            ));
            Effect::Draw
        }
    }
}

/// What became of the change in the file: it counts only where it was kept.
pub fn kept(model: &mut Model, result: Result<String, String>) {
    let change = model.hiding.change.take();
    match (result, change) {
        (Ok(said), Some(change)) => {
            let is_new = matches!(change, Change::Add(_));
            model.hiding.carry_out(change);
            look(model);
            model.notice = Some(match is_new {
                true => format!(
                    "{said}; {} takes it back, {} lists it",
                    model.key(Msg::Unsuppress),
                    model.key(Msg::ShowHidden)
                ),
                false => said,
            });
        }
        (Ok(said) | Err(said), _) => model.notice = Some(said),
    }
    super::selection::settle(model);
}

/// Lists hidden findings, or no longer.
pub(super) fn turn(model: &mut Model) {
    if model.hiding.in_words().is_none() {
        model.notice = Some("no finding is suppressed or in a baseline".into());
        return;
    }
    model.hiding.shown = !model.hiding.shown;
    look(model);
    let selected = model.findings.selected;
    select_finding(model, selected);
}

/// Finds out anew what is hidden: covers or verdict are others.
pub(crate) fn look(model: &mut Model) {
    model.hiding.look(&model.trace, &model.verdict);
    model.marks = crate::model::marks(&model.verdict, &model.hiding);
    list_findings(model);
    if model.view == crate::msg::View::Findings {
        // Where the selected row is gone, another one is what everything is about.
        let selected = model.findings.selected;
        select_finding(model, selected);
    }
    super::focus::list_life(model);
}
