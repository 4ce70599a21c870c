//! Whoever waits for a trace is told of each stage, whichever way it is read.

mod support;

use std::cell::RefCell;

use support::file::File;
use traces::watch::{Stage, Step};
use traces::{Input, Trace};
use wire::payload::pair;
use wire::record::{Kind, Owner};

#[test]
fn order_is_told_of_where_a_trace_is_kept_and_where_it_is_only_checked() {
    let mut file = File::default().round_trips(3);
    let pointer = [0x9000, pair(1, 1)];
    file.record(1, 0, Kind::Thread, 0, &[pair(78, 1)]);
    file.record(1, 5, Kind::Leak, Owner::Box as u8, &pointer);
    for at in [6, 7] {
        // Twice: there is something to tell.
        file.record(1, at, Kind::Reclaim, Owner::Box as u8, &pointer);
    }
    let bytes = file.bytes();
    let input = [Input {
        name: "x.trc",
        bytes: &bytes,
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
    assert_eq!(
        stages.take(),
        [Stage::Ordering, Stage::Reading, Stage::Judging]
    );
    let nowhere = || Err(std::io::ErrorKind::StorageFull.into());
    Trace::read_paged(&input, i64::MAX, nowhere, &watch).unwrap();
    assert_eq!(
        stages.take(),
        [Stage::Ordering, Stage::Judging, Stage::Fetching]
    );
    Trace::check_watched(&input, &watch).unwrap();
    assert_eq!(
        stages.take(),
        [Stage::Ordering, Stage::Judging, Stage::Fetching]
    );
}
