//! What holds whatever is asked for, in any order.

use proptest::prelude::*;

use super::*;
use crate::keys::bindings;
use crate::model::finding_rows;
use crate::msg::{Mouse, MouseAction, Step, Toward};

fn compared() -> Model {
    let sides = fixture::compared().map(|(trace, verdict, title)| crate::Compared {
        trace,
        verdict,
        title: title.into(),
        notes: Vec::new(),
    });
    let [before, after] = sides;
    crate::open_diff(before, after, Options::default())
}

/// Clicks, drags and turns of the wheel, most of them on the screen.
fn any_mouse() -> impl Strategy<Value = Msg> {
    let actions = [
        MouseAction::Press,
        MouseAction::Press,
        MouseAction::Drag,
        MouseAction::Release,
        MouseAction::Wheel(Toward::Next),
        MouseAction::Wheel(Toward::Previous),
    ];
    let action = proptest::sample::select(actions.to_vec());
    (action, 0u16..150, 0u16..50, any::<bool>()).prop_map(|(action, column, row, ctrl)| {
        Msg::Mouse(Mouse {
            action,
            column,
            row,
            ctrl,
        })
    })
}

pub(super) fn any_message() -> impl Strategy<Value = Msg> {
    let bound =
        proptest::sample::select(bindings().collect::<Vec<_>>()).prop_map(|binding| binding.msg);
    prop_oneof![
        20 => bound,
        3 => proptest::sample::select(&['s', 'u', 'b', 'm', ' ', '漢'][..]).prop_map(Msg::Type),
        2 => (0u16..220, 0u16..70).prop_map(|(columns, rows)| Msg::Resize { columns, rows }),
        2 => Just(Msg::Work),
        1 => Just(Msg::Nothing),
        1 => Just(Msg::Hesitate),
        1 => proptest::sample::select(&crate::keys::PREFIXES[..]).prop_map(Msg::Prefix),
        6 => any_mouse(),
        1 => (-100i32..100).prop_map(|lines| Msg::Move(Step::Pages(lines))),
    ]
}

pub(super) fn assert_inside(model: &mut Model, msg: Msg) {
    let all: std::collections::BTreeSet<usize> = model.findings.unfolded.clone();
    assert_eq!(
        model.findings.rows,
        finding_rows(
            &model.verdict,
            &all,
            model.range,
            &model.hiding,
            model.findings.sort,
        ),
        "{msg:?}"
    );
    assert!(
        model.findings.selected < model.findings.rows.len(),
        "{msg:?}"
    );
    assert!(model.life.selected < model.life.len().max(1), "{msg:?}");
    assert!(
        model.events_selected() < model.events_len().max(1),
        "{msg:?}"
    );
    if let Some(told) = &model.life.told {
        assert_eq!(Some(told.subject), model.focus.object, "{msg:?}");
    }
    if let Some(event) = model.focus.event {
        let event = model.event(event).expect("the focused event exists");
        assert_eq!(
            (model.focus.at_ns, model.focus.lane),
            (event.at_ns, Some(event.lane))
        );
    }
    let Some(layout) = model.layout() else { return };
    assert!(
        layout.area(model.pane).is_some(),
        "{msg:?}: the pane with the keys is not shown"
    );
    for area in &layout.panes {
        let mut height = usize::from(area.list.height);
        let (top, selected, len) = match area.pane {
            Pane::Timeline => {
                height -= 1;
                let timeline = &model.timeline;
                let pinned = timeline.pinned_rows.min(height / 2);
                height -= pinned;
                assert!(timeline.selected < timeline.rows.len().max(1));
                if height == 0 || timeline.selected < pinned {
                    continue;
                }
                let rest = timeline.rows.len().saturating_sub(pinned);
                (timeline.top, timeline.selected - pinned, rest)
            }
            pane => (
                *model.top_of(pane),
                model.selected_of(pane),
                model.len_of(pane),
            ),
        };
        assert!(
            len == 0 || height == 0 || (top..top + height).contains(&selected),
            "{msg:?} {:?}",
            area.pane
        );
        assert!(
            top == 0 || top + height <= len,
            "{msg:?}: blank rows in {:?}",
            area.pane
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_messages_keep_selections_inside_and_visible(
        messages in proptest::collection::vec(any_message(), 0..60), which in 0usize..4
    ) {
        let mut model = match which {
            0 => model(),
            3 => compared(),
            1 => open(
                fixture::trace(fixture::CLEAN), fixture::clean_verdict(), Options::default()
            ),
            _ => open(
                fixture::trace(""), traces::finding::Verdict::default(), Options::default()
            ),
        };
        for (at, msg) in messages.into_iter().enumerate() {
            let effect = update(&mut model, msg);
            if effect == Effect::Suppress {
                let said = || "said".to_owned();
                let result = if at % 4 == 0 { Err(said()) } else { Ok(said()) };
                suppression_kept(&mut model, result);
            }
            assert_inside(&mut model, msg);
        }
    }
}
