//! Rings, objects and losses: lists that are made of the lanes once those are gathered.

use super::focus::{focus_event, set_focus};
use super::places::show;
use crate::layout::Pane;
use crate::losses::{self, LossRow};
use crate::model::Model;
use crate::msg::View;
use crate::sorting::By;
use crate::{objects, rings};

/// Makes what is shown and not yet made.
pub(super) fn settle(model: &mut Model) {
    if model.timeline.is_ready(model.trace.events().len()) {
        if model.view == View::Rings && model.rings.rings.is_none() {
            let index = model.timeline.index.as_ref();
            let stats = index.map(|index| rings::stats(&model.trace, index, model.range));
            model.rings.rings = stats;
        }
        if model.view == View::Objects && model.objects.groups.is_none() {
            model.objects.groups = Some(objects::groups(model));
        }
    }
    for pane in [Pane::Rings, Pane::Objects, Pane::Losses] {
        let last = model.len_of(pane).saturating_sub(1);
        let selected = model.selected_of(pane).min(last);
        select(model, pane, selected);
    }
}

/// Selects a row of a list that is nobody's focus.
pub(super) fn select(model: &mut Model, pane: Pane, position: usize) {
    if position == model.selected_of(pane) {
        return;
    }
    *model.text_top_mut(pane) = 0;
    match pane {
        Pane::Rings => model.rings.selected = position,
        Pane::Objects => model.objects.selected = position,
        Pane::Losses => model.losses.selected = position,
        _ => {}
    }
}

/// Another time was selected: what was counted is no longer true.
pub(super) fn forget(model: &mut Model) {
    model.rings.rings = None;
    forget_groups(model);
}

/// What rings did is counted again.
pub(super) fn forget_rings(model: &mut Model) {
    model.rings.rings = None;
}

fn forget_groups(model: &mut Model) {
    model.objects.groups = None;
    model.objects.opened = None;
}

/// Counts objects by the next column.
pub(super) fn pivot(model: &mut Model) {
    model.objects.by = model.objects.by.next();
    forget_groups(model);
    select(model, Pane::Objects, 0);
}

/// Sorts the rows of a list by this, or the other way round; the selected one stays selected.
pub(super) fn sort(model: &mut Model, pane: Pane, by: By) {
    match pane {
        Pane::Findings => {
            model.findings.sort = model.findings.sort.asked(by);
            super::findings::list_findings(model);
        }
        Pane::Objects => {
            let sorts = &mut model.objects.sorts;
            let sort = match model.objects.opened {
                None => &mut sorts.0,
                Some(_) => &mut sorts.1,
            };
            *sort = sort.asked(by);
            let list = &model.objects;
            let object = list.object(list.selected);
            let group = list.groups.as_ref().and_then(|groups| {
                let group = groups.get(list.selected)?;
                Some(group.label.clone())
            });
            objects::sort(model);
            let groups = model.objects.groups.iter().flatten();
            let at = match model.objects.opened {
                None => groups
                    .map(|group| Some(&group.label))
                    .position(|label| label == group.as_ref()),
                Some(opened) => {
                    let objects = groups.skip(opened).flat_map(|group| &group.objects);
                    objects.map(|at| Some(*at)).position(|at| at == object)
                }
            };
            select(model, Pane::Objects, at.unwrap_or(0));
        }
        _ => {}
    }
}

/// Opens the selected row of a list; true where another view is shown then.
pub(super) fn open(model: &mut Model, pane: Pane) -> bool {
    match pane {
        Pane::Rings => open_ring(model),
        Pane::Objects => open_object(model),
        Pane::Losses => open_loss(model),
        _ => false,
    }
}

/// Opens the selected group; false where it is an object that is selected, or nothing.
pub(super) fn open_group(model: &mut Model) -> bool {
    let position = model.objects.selected;
    if model.objects.opened.is_some() || position >= model.objects.len() {
        return false;
    }
    model.objects.opened = Some(position);
    (model.objects.selected, model.objects.top) = (0, 0);
    objects::sort(model);
    true
}

/// Opens an object's biography; false where there is none.
fn open_object(model: &mut Model) -> bool {
    let position = model.objects.selected;
    let index = model.timeline.index.as_ref();
    let object = model
        .objects
        .object(position)
        .and_then(|at| index?.objects.all.get(at))
        .map(|object| (object.born, object.subject));
    let Some((born, subject)) = object else {
        return false;
    };
    set_focus(model, Some(born), Some(subject));
    show(model, View::Biography);
    true
}

/// Back from a group's objects to the groups; false where the groups are shown already.
pub(super) fn close_group(model: &mut Model) -> bool {
    match model.objects.opened.take() {
        Some(group) => {
            model.objects.selected = group;
            true
        }
        None => false,
    }
}

/// Goes to where records are missing.
fn open_loss(model: &mut Model) -> bool {
    let Some(LossRow::Loss(at)) = losses::row(model, model.losses.selected) else {
        model.notice = Some("a problem of the file has no place among the events".into());
        return false;
    };
    let Some(event) = model
        .trace
        .recording()
        .losses
        .get(at)
        .map(|loss| loss.event)
    else {
        return false;
    };
    if model.event(event).is_none() {
        return false;
    }
    show(model, View::Events);
    super::places::show_all_events(model);
    focus_event(model, event);
    true
}

/// Shows the ring on the timeline.
fn open_ring(model: &mut Model) -> bool {
    let rings = model.rings.rings.as_ref();
    let Some(lane) = rings
        .and_then(|rings| rings.get(model.rings.selected))
        .map(|ring| ring.lane)
    else {
        return false;
    };
    let row = model
        .timeline
        .rows
        .iter()
        .position(|row| row.lane == lane && row.track.is_none());
    show(model, View::Timeline);
    super::timeline::follow(model);
    model.timeline.selected = row.unwrap_or(0);
    true
}
