//! Whoever waits for a trace is told of each stage, whichever way it is read.

mod support;

use std::cell::RefCell;

use support::file::File;
use support::same::assert_same;
use traces::watch::{Stage, Step};
use traces::{Input, Trace};
use wire::payload::pair;
use wire::record::{Kind, Owner};

/// A file of two lanes; what there is to tell of it.
fn two_lanes() -> File {
    let mut file = File::default().round_trips(3);
    let pointer = [0x9000, pair(1, 1)];
    file.record(1, 0, Kind::Thread, 0, &[pair(78, 1)]);
    file.record(1, 5, Kind::Leak, Owner::Box as u8, &pointer);
    for at in [6, 7] {
        // Twice: there is something to tell.
        file.record(1, at, Kind::Reclaim, Owner::Box as u8, &pointer);
    }
    file
}

/// Stages that were told of, one after the other, each way to read a file.
fn stages(bytes: &Vec<u8>) -> [Vec<Stage>; 3] {
    let input = [Input {
        name: "x.trc",
        bytes,
    }];
    let stages = RefCell::new(Vec::new());
    let watch = |step: Step| {
        let mut stages = stages.borrow_mut();
        if stages.last() != Some(&step.stage) {
            stages.push(step.stage);
        }
    };
    let read = Trace::read_watched(&input, &watch).unwrap();
    assert_eq!(read.recording().lanes.len(), 2);
    let read = stages.take();
    let nowhere = || Err(std::io::ErrorKind::StorageFull.into());
    Trace::read_paged(&input, i64::MAX, nowhere, &watch).unwrap();
    let paged = stages.take();
    Trace::check_watched(&input, &watch).unwrap();
    [read, paged, stages.take()]
}

#[test]
fn order_is_looked_for_on_the_way() {
    let judged = vec![Stage::Judging, Stage::Fetching];
    assert_eq!(
        stages(&two_lanes().bytes()),
        [vec![Stage::Reading, Stage::Judging], judged.clone(), judged]
    );
}

/// A block that one thread leaks and another one takes back, by the clock of each a little before that.
#[test]
fn what_contradicts_itself_is_gone_through_anew_in_another_order() {
    let mut file = two_lanes();
    let (pointer, at) = ([0xA000, pair(1, 1)], 50_000);
    file.record(1, at, Kind::Reclaim, Owner::Box as u8, &pointer);
    file.record(0, at + 90, Kind::Leak, Owner::Box as u8, &pointer);
    let other = [0xB000, pair(1, 1)];
    for (later, kind) in [(2, Kind::Leak), (3, Kind::Reclaim)] {
        file.record(0, later * at, kind, Owner::Box as u8, &other);
    }
    let bytes = file.bytes();
    let anew = vec![
        Stage::Judging,
        Stage::Ordering,
        Stage::Judging,
        Stage::Fetching,
    ];
    assert_eq!(
        stages(&bytes),
        [
            vec![
                Stage::Reading,
                Stage::Ordering,
                Stage::Reading,
                Stage::Judging
            ],
            anew.clone(),
            anew
        ]
    );
    let input = [Input {
        name: "x.trc",
        bytes: &bytes,
    }];
    let read = Trace::read(&input).unwrap();
    assert_same(&read, &Trace::check(&input).unwrap());
    assert_eq!(read.verdict().summary.held_at_end, 0);
    let mut walked = Vec::new();
    assert!(Trace::walk(&input, |event| walked.push(event.clone())).unwrap());
    assert_eq!(walked, read.events().iter().cloned().collect::<Vec<_>>());
    // Of what comes behind the end that was asked for, a cause is moved in front of it.
    let until = Trace::read_until(&input, at as i64).unwrap();
    assert_eq!(until.events().len(), walked.len() - 2);
    assert_eq!(until.verdict().summary.held_at_end, 0);
    assert_same(&until, &Trace::check_until(&input, at as i64).unwrap());
    let before = Trace::read_until(&input, at as i64 - 1).unwrap();
    assert_eq!(before.events().len(), walked.len() - 4);
}
