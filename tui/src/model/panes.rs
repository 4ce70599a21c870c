//! What each pane has of a list: how long it is, what is selected, what is visible.

use super::Model;
use crate::diff::DiffPane;
use crate::layout::Pane;

impl Model {
    /// How many rows the list of a pane has.
    pub(crate) fn len_of(&self, pane: Pane) -> usize {
        match pane {
            Pane::Findings => self.findings.rows.len(),
            Pane::Biography => self.life.len(),
            Pane::Neighbours => self.life.around.as_ref().map_or(0, |around| around.len()),
            Pane::Events => self.events_len(),
            Pane::Timeline => self.timeline.rows.len(),
            Pane::Source => self.source.rows.len(),
            Pane::Rings => self.rings.rings.as_ref().map_or(0, Vec::len),
            Pane::Objects => self.objects.len(),
            Pane::Losses => crate::losses::len(self),
            Pane::Notes => self.notes.list.len(),
            Pane::Diff => self.diff.as_ref().map_or(0, DiffPane::len),
        }
    }

    /// The selected position in the list of a pane.
    pub(crate) fn selected_of(&self, pane: Pane) -> usize {
        match pane {
            Pane::Findings => self.findings.selected,
            Pane::Biography => self.life.selected,
            Pane::Neighbours => self.neighbours.selected,
            Pane::Events => self.events_selected(),
            Pane::Timeline => self.timeline.selected,
            Pane::Source => self.source.selected,
            Pane::Rings => self.rings.selected,
            Pane::Objects => self.objects.selected,
            Pane::Losses => self.losses.selected,
            Pane::Notes => self.notes.selected,
            Pane::Diff => self.diff.as_ref().map_or(0, |pane| pane.selected),
        }
    }

    /// The first visible row in the list of a pane.
    pub(crate) fn top_of(&mut self, pane: Pane) -> &mut usize {
        match pane {
            Pane::Findings => &mut self.findings.top,
            Pane::Biography => &mut self.life.top,
            Pane::Neighbours => &mut self.neighbours.top,
            Pane::Events => &mut self.events.top,
            Pane::Timeline => &mut self.timeline.top,
            Pane::Source => &mut self.source.top,
            Pane::Rings => &mut self.rings.top,
            Pane::Objects => &mut self.objects.top,
            Pane::Losses => &mut self.losses.top,
            Pane::Notes => &mut self.notes.top,
            Pane::Diff => match &mut self.diff {
                Some(pane) => &mut pane.top,
                None => &mut self.losses.top,
            },
        }
    }

    /// The first visible row in the list of a pane, as [`Self::top_of`].
    pub(crate) fn first_row_of(&self, pane: Pane) -> usize {
        match pane {
            Pane::Findings => self.findings.top,
            Pane::Biography => self.life.top,
            Pane::Neighbours => self.neighbours.top,
            Pane::Events => self.events.top,
            Pane::Timeline => self.timeline.top,
            Pane::Source => self.source.top,
            Pane::Rings => self.rings.top,
            Pane::Objects => self.objects.top,
            Pane::Losses => self.losses.top,
            Pane::Notes => self.notes.top,
            Pane::Diff => self.diff.as_ref().map_or(0, |pane| pane.top),
        }
    }

    /// The first visible line of the text of a pane.
    pub(crate) fn text_top_of(&self, pane: Pane) -> usize {
        match pane {
            Pane::Findings => self.findings.text_top,
            Pane::Biography => self.life.text_top,
            Pane::Neighbours => self.neighbours.text_top,
            Pane::Events => self.events.text_top,
            Pane::Timeline => self.timeline.text_top,
            Pane::Source => self.source.text_top,
            Pane::Rings => self.rings.text_top,
            Pane::Objects => self.objects.text_top,
            Pane::Losses => self.losses.text_top,
            Pane::Notes => self.notes.text_top,
            Pane::Diff => self.diff.as_ref().map_or(0, |pane| pane.text_top),
        }
    }

    pub(crate) fn text_top_mut(&mut self, pane: Pane) -> &mut usize {
        match pane {
            Pane::Findings => &mut self.findings.text_top,
            Pane::Biography => &mut self.life.text_top,
            Pane::Neighbours => &mut self.neighbours.text_top,
            Pane::Events => &mut self.events.text_top,
            Pane::Timeline => &mut self.timeline.text_top,
            Pane::Source => &mut self.source.text_top,
            Pane::Rings => &mut self.rings.text_top,
            Pane::Objects => &mut self.objects.text_top,
            Pane::Losses => &mut self.losses.text_top,
            Pane::Notes => &mut self.notes.text_top,
            Pane::Diff => match &mut self.diff {
                Some(pane) => &mut pane.text_top,
                None => &mut self.losses.text_top,
            },
        }
    }
}
