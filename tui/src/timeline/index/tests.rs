//! Lanes against what happened, and sums against what is looked at closely.

use super::*;
use crate::fixture;

fn index(trace: &Trace) -> Index {
    let mut index = Index::default();
    while index.work(trace) {}
    index
}

#[test]
fn lanes_are_threads_rings_and_coroutines_in_that_order() {
    let trace = fixture::trace(fixture::LEFTOVER);
    let whos: Vec<Who> = index(&trace).lanes.iter().map(|lane| lane.who).collect();
    let coroutine = |coroutine| Who::Coroutine {
        process: 0,
        coroutine,
    };
    assert_eq!(
        whos,
        [
            Who::Thread {
                process: 0,
                lane: 0
            },
            Who::Ring {
                process: 0,
                ring: 0
            },
            coroutine(7),
            coroutine(8),
        ]
    );
}

#[test]
fn an_operation_is_a_span_with_its_completion_and_its_resume() {
    let trace = fixture::trace(fixture::CLEAN);
    let index = index(&trace);
    let (_, track, span) = index
        .operation_of(&trace, EventId(2))
        .expect("the submission is known");
    assert_eq!(
        (track, span.start, span.end),
        (0, EventId(2), Some(EventId(4)))
    );
    assert_eq!((span.start_ns, span.end_ns), (2000, 4000));
    assert!(!span.failed);
    let same = index.operation_of(&trace, EventId(4)).expect("by its end");
    assert_eq!(same.2, span);
    assert_eq!(index.operation_of(&trace, EventId(1)), None);
}

#[test]
fn an_operation_that_the_kernel_tells_of_too_ends_in_both_rings() {
    let trace = fixture::trace(
        "process 0 pid=77 start=9 end=exit:0
        process 1 pid=77 start=9 capture=kernel end=exit:0
        lane k process=1
        1 k ring-create 4 fd=3 sq=8 cq=16
        2 main ring-create 0 fd=3 sq=8 cq=16
        10 main submit 0 NOP 0x1000 seq=0
        11 k submit 4 NOP 0x1000 seq=0
        12 k complete 4 0x1000 0 of=0
        13 main complete 0 0x1000 0",
    );
    let index = index(&trace);
    for (process, ring, start, end) in [(0, 0, 2, 5), (1, 4, 3, 4)] {
        let who = Who::Ring { process, ring };
        let wanted = (index.lane_of(who), EventId(start), Some(EventId(end)));
        for event in [start, end] {
            let found = index.operation_of(&trace, EventId(event));
            let found = found.map(|(lane, _, span)| (Some(lane), span.start, span.end));
            assert_eq!(found, Some(wanted), "event {event}");
        }
    }
}

#[test]
fn the_resume_is_found_and_a_poll_knows_where_it_came_from() {
    let trace = fixture::trace(fixture::LEFTOVER);
    let index = index(&trace);
    let (_, _, span) = index
        .operation_of(&trace, EventId(13))
        .expect("a resume belongs to an operation");
    assert_eq!((span.start, span.end), (EventId(9), Some(EventId(12))));
    let who = Who::Coroutine {
        process: 0,
        coroutine: 8,
    };
    let lane = &index.lanes[index.lane_of(who).expect("coroutine 8 has a lane")];
    assert_eq!(lane.polls[0].cause, Some(EventId(12)));
    assert!(lane.polls.iter().any(|poll| poll.is_last));
}

#[test]
fn operations_in_flight_at_once_have_tracks_of_their_own() {
    let trace = fixture::trace(fixture::LEFTOVER);
    let index = index(&trace);
    let who = Who::Ring {
        process: 0,
        ring: 0,
    };
    let ring = &index.lanes[index.lane_of(who).expect("the ring has a lane")];
    assert_eq!(ring.most_in_flight(0, 3_000), 1);
    assert_eq!(ring.most_in_flight(5_000, 6_000), 2);
    assert_eq!(ring.most_in_flight(0, u64::MAX), 3);
    assert_eq!(ring.tracks.len(), 3);
    for track in &ring.tracks {
        for pair in track.windows(2) {
            assert!(pair[0].end_ns <= pair[1].start_ns, "{pair:?}");
        }
    }
}

/// Two threads, a ring with some operations in flight, coroutines, and pointers that are held for a while or for
/// good.
fn long() -> Trace {
    let mut text = "process 0 pid=1 end=exit:0\n0 main ring-create 0 sq=64 cq=128\n".to_owned();
    let (mut flying, mut random) = (Vec::new(), 1u64);
    for at in 1..1500u64 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
        let ns = at * 100;
        let thread = ["main", "other"][(random >> 40) as usize % 2];
        let coroutine = random >> 41 & 3;
        match random >> 60 {
            0..7 => {
                let cookie = 0x1000 + at * 64;
                let op = ["RECV", "SEND"][(random >> 42) as usize % 2];
                text += &format!("{ns} {thread} leak {cookie:#x} Op op.rs:8 owner=Box\n");
                text += &format!("{ns} {thread} submit 0 {op} {cookie:#x} op.rs:9 slot=1 len=9\n");
                flying.push(cookie);
            }
            7..13 if !flying.is_empty() => {
                let cookie = flying.remove((random >> 43) as usize % flying.len());
                let result = (random >> 44) as i64 % 3 - 1;
                text += &format!("{ns} {thread} complete 0 {cookie:#x} {result}\n");
                text += &format!("{ns} {thread} resume {coroutine} {cookie:#x} ring=0\n");
                if result >= 0 {
                    text += &format!("{ns} {thread} reclaim {cookie:#x} Op op.rs:9 owner=Box\n");
                }
            }
            13 => text += &format!("{ns} {thread} suspend {coroutine} 0x1000\n"),
            _ => text += &format!("{ns} {thread} enter 0 1 -> 1 min=1\n"),
        }
    }
    fixture::trace(&text)
}

#[test]
fn what_is_too_long_is_summed_up_and_looked_at_closely_in_any_place() {
    let trace = long();
    let all = trace.events().len();
    let exact = index(&trace);
    let mut coarse = Index::with(256);
    while coarse.work(&trace) {}
    assert!(exact.close().is_none() && all > 2000);
    let whos = |index: &Index| index.lanes.iter().map(|lane| lane.who).collect::<Vec<_>>();
    assert_eq!(whos(&exact), whos(&coarse));
    assert_eq!(exact.last_ns(), coarse.last_ns());

    // In sums: events by lane, the deepest of all, what rings did, what is held.
    let end = exact.last_ns() + 1;
    for (exact_lane, lane) in exact.lanes.iter().zip(&coarse.lanes) {
        assert_eq!(
            coarse.many(lane, 0, end),
            Many::Some(exact_lane.points.len())
        );
        assert_eq!(exact_lane.first_ns, lane.first_ns);
        assert_eq!(
            coarse.most_in_flight(lane, 0, end),
            exact.most_in_flight(exact_lane, 0, end)
        );
    }
    let rings = |index: &Index| crate::rings::stats(&trace, index, None);
    let (mut exact_rings, mut coarse_rings) = (rings(&exact), rings(&coarse));
    assert!(coarse_rings[0].is_of_all && exact_rings[0].failed > 0);
    for opcode in exact_rings
        .iter_mut()
        .chain(&mut coarse_rings)
        .flat_map(|it| &mut it.opcodes)
    {
        assert!(opcode.latency.take().is_some());
    }
    for (exact, coarse) in exact_rings.iter_mut().zip(&coarse_rings) {
        exact.is_of_all = true;
        exact.deepest = coarse.deepest;
    }
    assert_eq!(format!("{exact_rings:?}"), format!("{coarse_rings:?}"));
    let held = |index: &Index| {
        let held = index.objects.all.iter().filter(|it| it.gone_ns == u64::MAX);
        held.copied().collect::<Vec<_>>()
    };
    assert!(!held(&exact).is_empty());
    assert_eq!(held(&exact), held(&coarse));

    // Closely: around any event, and in any window that is small enough.
    for middle in [0, 1, 700, all / 2, all - 1] {
        let window = Window::around(0, end);
        coarse.look_closely(&trace, window, middle);
        while coarse.is_at_work(&trace) {
            coarse.work(&trace);
        }
        assert!(coarse.is_close(EventId(middle as u64)), "{middle}");
        check_closely(&exact, &coarse);
        // Right behind it is another place.
        let behind = coarse.close().map_or(all, |close| close.end);
        if behind < all {
            assert!(coarse.look_closely(&trace, window, behind), "{behind}");
            while coarse.is_at_work(&trace) {
                coarse.work(&trace);
            }
            assert!(coarse.is_close(EventId(behind as u64)), "{behind}");
        }
        assert!(!coarse.look_closely(&trace, window, behind), "{behind}");
    }
    for from in [0, 40_000, 100_000, 149_000] {
        let window = Window {
            start_ns: from,
            len_ns: 5_000,
        };
        coarse.look_closely(&trace, window, 0);
        while coarse.work(&trace) {}
        assert!(coarse.is_time_close(from, from + 5_000), "{from}");
        assert!(!coarse.look_closely(&trace, window, 0), "it is looked at");
        check_closely(&exact, &coarse);
    }
}

#[test]
fn of_very_many_coroutines_those_have_lanes_that_are_looked_at_closely() {
    let mut text = String::from("0 main ring-create 0 sq=8 cq=16\n");
    for coroutine in 1..=400u64 {
        let ns = coroutine * 100;
        text += &format!("{ns} main spawn {coroutine} a.rs:1\n{ns} main resume {coroutine} 0x0\n");
        text += &format!("{} main done {coroutine}\n", ns + 50);
    }
    let trace = fixture::trace(&text);
    let mut coarse = Index::with(64);
    coarse.lanes_max = 100;
    while coarse.work(&trace) {}
    assert_eq!(coarse.lanes.len(), 100);
    assert_eq!(
        coarse.without_lane(),
        400 - 98,
        "a thread and a ring have theirs"
    );
    let lanes: Vec<Who> = coarse.lanes.iter().map(|lane| lane.who).collect();
    let exact = index(&trace);
    for middle in [900, 100, 1100] {
        coarse.look_closely(&trace, Window::around(0, 50_000), middle);
        while coarse.is_at_work(&trace) {
            coarse.work(&trace);
        }
        let kept = coarse.lanes.iter().take(100).map(|lane| lane.who);
        assert!(kept.eq(lanes.iter().copied()), "these stay where they are");
        assert!(
            coarse.lanes.len() < 100 + 64,
            "what was looked at before is gone"
        );
        let coroutine = u32::try_from(middle).unwrap() / 3;
        let who = Who::Coroutine {
            process: 0,
            coroutine,
        };
        let (lane, wanted) = (coarse.lane_of(who), exact.lane_of(who));
        let (lane, wanted) = (&coarse.lanes[lane.unwrap()], &exact.lanes[wanted.unwrap()]);
        assert_eq!((&lane.points, &lane.polls), (&wanted.points, &wanted.polls));
        assert_eq!(
            (lane.first_ns, lane.end_ns),
            (wanted.first_ns, wanted.end_ns)
        );
    }
}

fn check_closely(exact: &Index, coarse: &Index) {
    let close = coarse.close().expect("not all");
    let (from, until) = coarse.close_ns;
    let until = until.min(exact.last_ns() + 1);
    assert!(close.len() > 100);
    for (exact_lane, lane) in exact.lanes.iter().zip(&coarse.lanes) {
        let inside = |event: EventId| close.contains(&(event.0 as usize));
        let points = exact_lane.points.iter().filter(|point| inside(point.event));
        assert!(points.eq(&lane.points), "{:?}", lane.who);
        let mut spans: Vec<Span> = lane.tracks.iter().flatten().copied().collect();
        let all = exact_lane.tracks.iter().flatten().copied();
        let mut wanted: Vec<Span> = all.filter(|span| inside(span.start)).collect();
        spans.sort_by_key(|span| span.start);
        wanted.sort_by_key(|span| span.start);
        // The resume behind the last end is not looked for.
        for (span, wanted) in spans.iter_mut().zip(&wanted) {
            if span.resume.is_none() && !wanted.resume.is_some_and(inside) {
                span.resume = wanted.resume;
            }
            // Nor is an end that is very far behind.
            let far = EventId((close.end + coarse.close_max) as u64);
            if span.end.is_none() && wanted.end.is_some_and(|end| end >= far) {
                *span = *wanted;
            }
        }
        assert!(spans == wanted, "{:?} from {from}", lane.who);
        for step in 0..20 {
            let (a, b) = (from + step * 97, from + step * 97 + 400);
            if b < until {
                assert_eq!(
                    coarse.most_in_flight(lane, a, b),
                    exact.most_in_flight(exact_lane, a, b),
                    "{:?} {a} {b} from {from}",
                    lane.who
                );
            }
        }
    }
}
