//! A recording in which records are missing is gone through once where there is nothing to tell, and says the same however
//! it is read: with all its events at hand, with what findings rest on, or with events in pages.

mod support;

use std::cell::RefCell;

use proptest::prelude::*;
use support::decisions::{Decision, bytes, file, read};
use support::file::File;
use support::same::assert_same;
use traces::watch::{Stage, Step};
use traces::{Input, Trace};
use wire::payload::{Submit, pair};
use wire::record::{CookieState, Kind, Owner, RingKind};

/// Where records are missing: lane and place, of as many places as there are.
type Places = Vec<(usize, prop::sample::Index)>;

fn places(most: usize) -> impl Strategy<Value = Places> {
    prop::collection::vec((0usize..4, any::<prop::sample::Index>()), 0..most)
}

/// Takes chunks and the ends of chunks away.
fn lose(file: &mut File, dropped: usize, holes: &Places, torn: &Places, went_round: bool) {
    let at = |(lane, place): &(usize, prop::sample::Index), count: usize| {
        (*lane, place.index(count.max(1)))
    };
    file.dropped = dropped;
    file.went_round = went_round;
    file.torn = torn.iter().map(|it| at(it, file.records(it.0))).collect();
    // A chunk has room for some twenty records.
    let holes = holes.iter();
    file.holes = holes.map(|it| at(it, file.records(it.0) / 20)).collect();
}

/// What a program records that follows the rules: each of four threads gives away and takes back what is its own, so many
/// places by counts, some by way of a ring, and has nothing in the end.
fn correct(decisions: &[Decision], counted: usize) -> File {
    let mut file = File::default();
    for lane in 0..4 {
        let ring = [pair(lane as u32 + 1, 3), pair(8, 16), 0];
        file.record(lane, 0, Kind::Thread, 0, &[pair(77 + lane as u32, 1)]);
        file.record(lane, 1, Kind::RingCreate, RingKind::InPlace as u8, &ring);
    }
    let place = |lane: usize, place: usize, at| Place {
        lane,
        address: 0x10_000 * (lane as u64 + 1) + 0x40 * place as u64,
        is_counted: place < counted,
        at,
    };
    let mut is_out = [[false; PLACES]; 4];
    let mut sequences = [0u32; 4];
    let mut now = 10;
    for &(way, which, lane, step) in decisions {
        now += u64::from(step % 4) * u64::from(step / 4);
        let (lane, number) = (usize::from(lane % 4), usize::from(which) % PLACES);
        let (place, out) = (place(lane, number, now), &mut is_out[lane][number]);
        if !*out {
            place.give(&mut file);
        } else {
            if way % 4 == 0 && !place.is_counted {
                place.travel(&mut file, sequences[lane]);
                sequences[lane] += 1;
            }
            place.take(&mut file);
        }
        *out = !*out;
    }
    for (lane, places) in is_out.iter().enumerate() {
        let still = places.iter().enumerate().filter(|(_, is_out)| **is_out);
        still.for_each(|(number, _)| place(lane, number, now + 1).take(&mut file));
    }
    file
}

/// Places of a thread.
const PLACES: usize = 8;

/// A place: whose, its address, whether handles to it are counted, and when something happens to it.
struct Place {
    lane: usize,
    address: u64,
    is_counted: bool,
    at: u64,
}

impl Place {
    fn record(&self, file: &mut File, kind: Kind) {
        let owner = if self.is_counted {
            Owner::Rc
        } else {
            Owner::Box
        };
        file.record(
            self.lane,
            self.at,
            kind,
            owner as u8,
            &[self.address, pair(1, 1)],
        );
    }

    fn give(&self, file: &mut File) {
        self.record(file, Kind::Leak);
        if self.is_counted {
            self.record(file, Kind::Retain);
        }
    }

    fn take(&self, file: &mut File) {
        if self.is_counted {
            self.record(file, Kind::Release);
        }
        self.record(file, Kind::Reclaim);
    }

    fn travel(&self, file: &mut File, sequence: u32) {
        let submit = Submit {
            cookie: self.address,
            sequence,
            ring: self.lane as u16 + 1,
            slot: (sequence % 8) as u16,
            site: 1,
            ..Submit::default()
        };
        let (lane, state) = (self.lane, CookieState::Set as u8);
        file.record(lane, self.at, Kind::Submit, state, &submit.encode());
        file.record(
            lane,
            self.at,
            Kind::Complete,
            lane as u8 + 1,
            &[self.address, 0],
        );
    }
}

/// How often events are gone through for a verdict alone, and for somebody who looks at all of them.
fn passes(bytes: &Vec<u8>) -> [usize; 2] {
    let input = [Input {
        name: "x.trc",
        bytes,
    }];
    let steps = RefCell::new(Vec::new());
    let watch = |step: Step| {
        if step.done == 0 && matches!(step.stage, Stage::Judging | Stage::Fetching) {
            steps.borrow_mut().push(step);
        }
    };
    let checked = Trace::check_watched(&input, &watch).unwrap();
    let events = checked.verdict().summary.events;
    let check = steps.take().len();
    let nowhere = || Err(std::io::ErrorKind::StorageFull.into());
    Trace::read_paged(&input, i64::MAX, nowhere, &watch).unwrap();
    // What is gone through again in pages is told of in one go.
    let paged = steps.take().iter().map(|step| step.total).sum::<u64>();
    [check, (paged / events.max(1)) as usize]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_missing_all_ways_to_read_say_the_same(
        decisions in prop::collection::vec(any::<Decision>(), 0..500),
        lanes in 1u8..5,
        dropped in 0usize..4,
        holes in places(4),
        torn in places(3),
        went_round in any::<bool>(),
        by_batch in any::<bool>(),
        untils in prop::collection::vec(0i64..100_000, 2),
    ) {
        let of = |process: u8| -> Vec<Decision> {
            let its = decisions.iter().filter(|decision| decision.1 >> 7 == process);
            its.map(|(what, which, lane, step)| (*what, *which, lane % lanes, *step)).collect()
        };
        let [mut first, mut second] = [0, 1].map(|process| file(&of(process), false));
        lose(&mut first, dropped, &holes, &torn, went_round);
        second.dropped = dropped;
        read(&[bytes(&first, 77, false), bytes(&second, 78, by_batch)], &untils);
    }

    #[test]
    fn where_nothing_is_to_be_told_all_is_gone_through_once(
        decisions in prop::collection::vec(any::<Decision>(), 0..600),
        dropped in 0usize..4,
        holes in places(4),
        torn in places(3),
        went_round in any::<bool>(),
        by_batch in any::<bool>(),
        counted in 0usize..4,
    ) {
        let mut file = correct(&decisions, counted);
        lose(&mut file, dropped, &holes, &torn, went_round);
        if !torn.is_empty() {
            file.kill();
        }
        let bytes = bytes(&file, 77, by_batch);
        let input = [Input { name: "x.trc", bytes: &bytes }];
        let trace = Trace::read(&input).unwrap();
        assert_same(&trace, &Trace::check(&input).unwrap());
        let verdict = trace.verdict();
        let stories: Vec<_> = verdict.stories.iter().map(|story| &story.head.message).collect();
        prop_assert!(stories.is_empty(), "{:#?}\n{}", stories, trace.to_text());
        let [check, paged] = passes(&bytes);
        if verdict.summary.cannot_tell > 0 {
            prop_assert!(check > 1 && paged > 1);
        } else if !by_batch && (counted == 0 || holes.len() + torn.len() == 0) {
            prop_assert_eq!([check, paged], [1, 1], "{}", trace.to_text());
        }
    }
}

/// A ring of chunks that went round: of two threads the oldest chunk is gone, and what is left of the second one begins at
/// 500. Between that the first one goes on with a block of which handles were given away before, at some time.
fn handle_from_before(at: u64) -> File {
    let mut file = File::default();
    let peek = |file: &mut File, lane: usize, time| {
        file.record(lane, time, Kind::Peek, Owner::Box as u8, &[0x9000, 0]);
    };
    for lane in 0..2 {
        file.record(lane, 0, Kind::Thread, 0, &[pair(77 + lane as u32, 1)]);
        // As many as a chunk has room for.
        (0..18).for_each(|time| peek(&mut file, lane, 1 + time));
    }
    (0..20).for_each(|time| peek(&mut file, 1, 500 + time));
    for kind in [Kind::Retain, Kind::Release, Kind::Release] {
        file.record(0, at, kind, Owner::Rc as u8, &[0xA000, pair(1, 1)]);
    }
    // Two chunks more.
    (0..40).for_each(|time| peek(&mut file, 0, 3_000 + time));
    (file.dropped, file.went_round) = (1, true);
    file
}

/// Of a block that was shared before the first kept record nothing is told, and that is known at once if all losses are; it
/// is not while what is left of another thread is still to begin, which may have given away a handle meanwhile.
#[test]
fn what_was_shared_before_the_window_opened_needs_no_further_pass() {
    let whole = |file: &File| {
        let bytes = file.bytes();
        let input = [Input {
            name: "x.trc",
            bytes: &bytes,
        }];
        let trace = Trace::read(&input).unwrap();
        assert_same(&trace, &Trace::check(&input).unwrap());
        assert!(trace.verdict().stories.is_empty());
        (trace.verdict().summary.cannot_tell, passes(&bytes))
    };
    assert_eq!(whole(&handle_from_before(1_000)), (0, [1, 1]));
    assert_eq!(whole(&handle_from_before(100)), (1, [3, 2]));
    // A loss behind all that is no reason either, but might have been one until it came.
    let mut file = handle_from_before(1_000);
    file.holes = vec![(0, 2)];
    assert_eq!(whole(&file), (0, [3, 2]));
}
