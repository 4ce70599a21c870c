//! What ends a recording before its process, and what has room in it.

use std::path::PathBuf;

use traces::Trace;
use traces::event::What;
use traces::recording::Stopped;
use traces::scheme::{SENTINEL, TAGGED};
use wire::layout::LASTING_MAX;
use wire::record::{Kind, RingKind};

use crate::folder::{Folder, SESSION, noted, only, succeeds};

#[test]
fn a_stopped_recording_knows_nothing_of_what_came_after() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("stop"));
    let trace = only(&folder);
    assert_eq!(noted(&trace), [1, 2]);
    let recording = trace.recording();
    let process = &recording.processes[0];
    let Some(Stopped::Program(reason)) = process.stopped else {
        panic!("{:?}", process.stopped);
    };
    assert_eq!(recording.string(reason).tty(), "seen enough");
    let last = trace.events().last().expect("events");
    assert!(
        matches!(last.what, What::Mark { text, .. } if text == reason),
        "{last:?}"
    );
    // A pointer was out; that it was never taken back is not known.
    assert_eq!(trace.verdict().exit_code(), 0);
    assert_eq!(trace.verdict().summary.held_at_end, 1);
    assert_eq!(recording.losses, []);
}

#[test]
fn nothing_is_recorded_after_the_end_of_all() {
    // As `tracer record` leaves it for programs that come later: nothing is recorded, and nothing said.
    let folder = Folder::new(&format!("{SESSION}ended=yes\n"));
    succeeds(&folder.run("clean"));
    assert_eq!(folder.files(), [] as [PathBuf; 0]);
}

#[test]
fn names_of_many_threads_take_no_more_room_than_their_letters() {
    let folder = Folder::new("protocol=1\nchunks=640\nmode=ring\n");
    succeeds(&folder.run("names"));
    let trace = only(&folder);
    let recording = trace.recording();
    let mut seen: Vec<u64> = Vec::new();
    for event in trace.events() {
        if let What::Peek(pointer) = &event.what {
            let lane = recording.lane(event.lane).expect("a lane");
            let name = recording.string(lane.thread).tty();
            assert_eq!(name, format!("worker-{}", pointer.address));
            let site = recording.site(pointer.site);
            assert!(
                site.line > 0
                    && recording
                        .string(site.file)
                        .tty()
                        .ends_with("lifecycle/threads.rs")
            );
            let ty = recording.string(recording.ty(pointer.ty).name).tty();
            assert!(ty.contains("[u8; "), "{ty}");
            seen.push(pointer.address);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=600).collect::<Vec<_>>());
    assert_eq!(recording.losses, []);
    assert_eq!(recording.processes[0].names_lost, 0);
}

#[test]
fn names_without_room_are_counted_once_each() {
    // An eighth of the chunks is none: no call stack has room. There are two, a thousand times each.
    let folder = Folder::new("protocol=1\nchunks=4\nmode=ring\nstacks=on\n");
    succeeds(&folder.run("repeat"));
    let recording = folder.traces().remove(0).recording().clone();
    let lost = recording.processes[0].names_lost;
    // Without frame pointers both may look the same.
    assert!((1..=2).contains(&lost), "{lost} lost");
    let [note] = &recording.problems[..] else {
        panic!("{:?}", recording.problems);
    };
    let expected = match lost {
        1 => "no room was left for a name or call stack, shown as '?': a larger --ring has more",
        _ => "no room was left for 2 names or call stacks, shown as '?': a larger --ring has more",
    };
    assert_eq!(note.message, expected);
}

const OVERWRITTEN: &str = "protocol=1\nchunks=8\nmode=ring\n";

#[test]
fn what_lasts_is_known_when_its_records_are_overwritten() {
    let folder = Folder::new(OVERWRITTEN);
    succeeds(&folder.run("lasting"));
    let trace = only(&folder);
    let overwritten = |what: &What| {
        let kinds = [Kind::RingCreate, Kind::Scheme, Kind::Shared, Kind::Spawn];
        kinds.iter().any(|kind| kind.name() == what.kind())
    };
    assert!(!trace.events().iter().any(|event| overwritten(&event.what)));
    let lasting = &trace.recording().processes[0].lasting;
    let [ring, said @ ..] = &lasting.said[..] else {
        panic!("{lasting:?}");
    };
    let What::RingCreate(ring) = ring.what else {
        panic!("{lasting:?}");
    };
    assert_eq!((ring.fd, ring.kind), (77, RingKind::Copied));
    assert_eq!((ring.sq_entries, ring.cq_entries), (8, 16));
    let schemes = [(TAGGED, 3), (SENTINEL, 0), (SENTINEL, 1)];
    let schemes = schemes.map(|(scheme, parameter)| What::Scheme {
        ring: Some(ring.ring),
        scheme,
        parameter,
    });
    assert!(said.iter().map(|said| &said.what).eq(&schemes));
    let first = trace.recording().began_ns;
    assert!(lasting.said.is_sorted_by_key(|said| said.at_ns));
    assert!(lasting.said.iter().all(|said| said.at_ns < first));
    assert!(lasting.shares && lasting.spawns && lasting.is_whole);
    // The dump says so, and is read back.
    let again = Trace::parse_text(&trace.to_text()).expect("what was printed");
    let again = &again.recording().processes[0].lasting;
    assert!(
        again
            .said
            .iter()
            .map(|said| &said.what)
            .eq(lasting.said.iter().map(|said| &said.what))
    );
    assert!(again.shares && again.spawns && again.is_whole);
}

#[test]
fn more_that_lasts_than_is_kept_is_said() {
    // The ring, the tag bits, that there are shared cookies and coroutines.
    let others = 4;
    for (declared, is_whole) in [
        (LASTING_MAX - others, true),
        (LASTING_MAX - others + 1, false),
        (LASTING_MAX + 100, false),
    ] {
        let folder = Folder::new(OVERWRITTEN);
        succeeds(&folder.run_with(&["lasting", &declared.to_string()]));
        let trace = only(&folder);
        let lasting = &trace.recording().processes[0].lasting;
        assert_eq!(lasting.is_whole, is_whole, "{declared}");
        let kept = declared.min(LASTING_MAX - 2) as usize;
        assert_eq!(lasting.said.len(), 2 + kept, "{declared}");
    }
}
