//! Lists in another order, and panes with more of the screen.

use super::*;
use crate::layout::Room;
use crate::model::FindingRow;
use crate::mouse::{Spot, spot};
use crate::msg::{Mouse, MouseAction, Step};
use crate::sorting::By;

fn stories(model: &Model) -> Vec<usize> {
    let rows = model.findings.rows.iter();
    let stories = rows.filter_map(|row| match row {
        FindingRow::Story(story) => Some(*story),
        _ => None,
    });
    stories.collect()
}

#[test]
fn findings_are_sorted_and_turned_round_and_the_selected_one_stays() {
    let mut model = model();
    assert_eq!(stories(&model), [0, 1]);
    let head = |at: usize| model.verdict.stories[at].head.clone();
    let (first, second) = (head(0), head(1));
    assert!(first.rule < second.rule && first.severity >= second.severity);
    send(&mut model, &[Msg::Sort(By::Rule)]);
    assert_eq!(stories(&model), [0, 1]);
    send(
        &mut model,
        &[Msg::Move(Step::Lines(1)), Msg::Sort(By::Rule)],
    );
    assert_eq!(stories(&model), [1, 0]);
    assert_eq!(model.selected_finding(), FindingRow::Story(1));
    assert_eq!(model.findings.selected, 0);
    assert_eq!(model.findings.sort.in_words(), "by rule, reversed");
    send(&mut model, &[Msg::Sort(By::Told)]);
    assert_eq!(stories(&model), [0, 1]);
}

/// Three of one type, leaked first, second and last; one of another.
const HELD: &str = "process 0 pid=7
lane main tid=7
1 main leak 0x30 Conn src/c.rs:1 owner=Box
2 main leak 0x20 Conn src/a.rs:1 owner=Box
3 main leak 0x40 Buffer src/z.rs:1 owner=Box
4 main leak 0x10 Conn src/b.rs:1 owner=Box
";

fn held() -> Model {
    let verdict = traces::finding::Verdict::default();
    let mut model = open(fixture::trace(HELD), verdict, Options::default());
    let (columns, rows) = (80, 24);
    send(
        &mut model,
        &[Msg::Resize { columns, rows }, Msg::Show(View::Objects)],
    );
    model
}

fn click(model: &mut Model, column: u16, row: u16) {
    let mouse = Mouse {
        action: MouseAction::Press,
        column,
        row,
        ctrl: false,
    };
    send(model, &[Msg::Mouse(mouse)]);
}

#[test]
fn a_click_on_a_header_sorts_by_that_column_and_another_turns_it_round() {
    let labels = |model: &Model| -> Vec<String> {
        let groups = model.objects.groups.iter().flatten();
        groups.map(|group| group.label.clone()).collect()
    };
    let mut model = held();
    assert_eq!(labels(&model), ["Conn", "Buffer"], "the largest first");
    let header = model.area(Pane::Objects).expect("it is shown").header;
    let at = (header.x + 40, header.y);
    assert_eq!(
        spot(&model, at.0, at.1),
        Spot::Header(Pane::Objects, By::Name)
    );
    click(&mut model, at.0, at.1);
    assert_eq!(labels(&model), ["Buffer", "Conn"]);
    assert_eq!(model.objects.selected, 1, "Conn stays selected");
    click(&mut model, at.0, at.1);
    assert_eq!(labels(&model), ["Conn", "Buffer"]);
    // Of one group its objects are sorted.
    send(&mut model, &[Msg::Open]);
    let addresses = |model: &Model| -> Vec<u64> {
        let index = model.timeline.index.as_ref().expect("it is there");
        let rows = (0..model.objects.len()).filter_map(|at| model.objects.object(at));
        let objects = rows.map(|at| match index.objects.all[at].subject {
            traces::finding::Subject::Generation { address, .. } => address,
            _ => 0,
        });
        objects.collect()
    };
    assert_eq!(addresses(&model), [0x30, 0x20, 0x10], "the oldest first");
    for (by, wanted) in [
        (By::Age, [0x10, 0x20, 0x30]),
        (By::Place, [0x20, 0x10, 0x30]),
        (By::Name, [0x10, 0x20, 0x30]),
        (By::Name, [0x30, 0x20, 0x10]),
    ] {
        send(&mut model, &[Msg::Sort(by)]);
        assert_eq!(addresses(&model), wanted, "{by:?}");
    }
}

#[test]
fn a_sorted_group_stays_sorted_and_selected_when_more_arrives() {
    let mut model = held();
    send(
        &mut model,
        &[Msg::Open, Msg::Sort(By::Place), Msg::Move(Step::Last)],
    );
    let places = |model: &Model| -> Vec<u64> {
        let rows = (0..model.objects.len()).filter_map(|at| model.objects.object(at));
        let index = model.timeline.index.as_ref().expect("it is there");
        let born = rows.map(|at| index.objects.all[at].born.0);
        born.collect()
    };
    assert_eq!(places(&model), [1, 3, 0], "a.rs, b.rs, c.rs");
    assert_eq!(model.objects.selected, 2);
    let more = format!("{HELD}5 main leak 0x50 Conn src/aa.rs:1 owner=Box\n");
    let arrived = crate::Arrived {
        trace: fixture::trace(&more),
        verdict: Default::default(),
        notes: None,
        index: None,
        is_last: false,
    };
    arrive(&mut model, arrived);
    assert_eq!(places(&model), [1, 4, 3, 0]);
    assert_eq!(model.objects.selected, 3, "c.rs stays selected");
}

#[test]
fn a_pane_gets_more_of_the_screen_in_two_steps_and_gives_it_back_in_two() {
    let mut model = model();
    let room = |model: &mut Model, fold| {
        send(model, &[Msg::Room(fold)]);
        let width = |pane| model.area(pane).map_or(0, |area| area.list.width);
        (model.room, width(Pane::Findings))
    };
    assert_eq!(room(&mut model, Fold::Open).0, Room::Shared);
    assert!(model.notice.is_some(), "there is one pane in 80x24");
    let (columns, rows) = (200, 60);
    send(&mut model, &[Msg::Resize { columns, rows }]);
    assert_eq!(room(&mut model, Fold::Open), (Room::Most, 150));
    assert_eq!(room(&mut model, Fold::Open), (Room::Alone, 200));
    assert_eq!(room(&mut model, Fold::Open), (Room::Alone, 200));
    assert!(model.notice.is_some());
    assert_eq!(room(&mut model, Fold::Shut), (Room::Most, 150));
    // The pane with the keys has it.
    send(&mut model, &[Msg::Pane(crate::msg::Toward::Next)]);
    assert_eq!(room(&mut model, Fold::Open).0, Room::Alone);
    assert_eq!(room(&mut model, Fold::Shut), (Room::Most, 50));
    assert_eq!(room(&mut model, Fold::Shut), (Room::Shared, 84));
}
