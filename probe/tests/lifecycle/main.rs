//! The turns of a process's life, with real processes: what each file must hold, and that no program
//! notices that it is recorded.

mod folder;
mod modes;
mod processes;
mod refused;
mod rings;

use std::fs;
use std::process::Command;

use traces::Trace;
use traces::event::{LossReason, What};

use crate::folder::{Folder, SESSION, header_word, noted, only, program, read, succeeds};

#[test]
fn short_threads_share_lanes_one_after_the_other() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("threads"));
    let trace = only(&folder);
    let mut numbers = noted(&trace);
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=800).collect::<Vec<_>>());
    // Four at a time: 800 threads must not take 800 lanes. A thread gives its lane back a moment
    // after it was joined, so a few more may be in use.
    let lanes = header_word(&folder.files()[0], wire::layout::header::LANES_TAKEN);
    assert!((1..32).contains(&lanes), "{lanes} lanes");
}

/// `TRACER_THREADS` says how many; each must cost its few records and nothing else.
#[test]
fn short_threads_by_the_thousand_take_room_for_their_records_alone() {
    let count = std::env::var("TRACER_THREADS").map_or(10_000, |value| {
        value.parse().expect("TRACER_THREADS is a number")
    });
    let folder = Folder::new("protocol=1\nchunks=256\nmode=ring\n");
    succeeds(&folder.run_with(&["threads", &count.to_string()]));
    let file = &folder.files()[0];
    let lanes = header_word(file, wire::layout::header::LANES_TAKEN);
    assert!((1..32).contains(&lanes), "{lanes} lanes");
    // What a thread writes: who it is, and its record. Then a chunk for each lane that is not full, and
    // one for its names.
    let bytes = count * (16 + 24);
    let chunks = header_word(file, wire::layout::header::CHUNKS_TAKEN);
    let most = bytes / (wire::layout::CHUNK_BYTES as u64 - 64) + 1 + 2 * lanes;
    assert!(chunks <= most, "{chunks} chunks, {most} are enough");
    let trace = only(&folder);
    let mut numbers = noted(&trace);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=count), "a record is missing");
    assert_eq!(trace.verdict().summary.records_lost, 0);
}

#[test]
fn what_no_lane_was_left_for_is_counted() {
    let folder = Folder::new("protocol=1\nchunks=2048\nmode=ring\n");
    succeeds(&folder.run("crowd"));
    let trace = only(&folder);
    let kept = noted(&trace).len() as u64;
    let lost = trace.verdict().summary.records_lost;
    assert_eq!(
        kept + lost,
        wire::layout::LANES as u64 + 50,
        "{kept} kept, {lost} lost"
    );
    assert!(lost >= 50);
    // There are not chunks for all lanes either.
    let others = losses(&trace)
        .into_iter()
        .filter(|reason| *reason != LossReason::Full);
    assert_eq!(others.collect::<Vec<_>>(), [LossReason::NoLane]);
}

/// Why records are missing.
fn losses(trace: &Trace) -> Vec<LossReason> {
    let reason = |event: &traces::event::Event| match &event.what {
        What::Lost(loss) => Some(loss.reason),
        _ => None,
    };
    trace.events().iter().filter_map(reason).collect()
}

/// They are counted in the same word; but lanes were left.
#[test]
fn what_came_while_the_recording_was_opened_is_not_told_as_too_many_threads() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("clean"));
    let mut bytes = std::fs::read(&folder.files()[0]).expect("the trace file");
    bytes[wire::layout::header::LOST_NO_LANE] = 3;
    let input = traces::Input {
        name: "trace",
        bytes: &bytes,
    };
    let trace = Trace::read(&[input]).expect("a readable trace");
    assert_eq!(losses(&trace), [LossReason::AtStart]);
    assert_eq!(trace.verdict().summary.records_lost, 3);
}

#[test]
fn what_no_chunk_was_left_for_is_counted() {
    for mode in ["ring", "stop"] {
        let folder = Folder::new(&format!("protocol=1\nchunks=8\nmode={mode}\n"));
        succeeds(&folder.run("few"));
        let trace = read(&folder.files()[0]);
        // There was no room for most names either.
        assert!(trace.recording().problems.iter().all(|it| !it.hides));
        // Each thread is still at work when the last one comes, so no chunk may be taken from any.
        let kept = noted(&trace).len() as u64;
        assert!((1..=8).contains(&kept), "{kept} kept");
        let lost = trace.verdict().summary.records_lost;
        assert_eq!(kept + lost, 40, "{kept} kept, {lost} lost");
    }
}

#[test]
fn records_of_destructors_and_exit_handlers_are_kept() {
    for turn in ["destructor", "atexit"] {
        let folder = Folder::new(SESSION);
        succeeds(&folder.run(turn));
        assert_eq!(noted(&only(&folder)), [1, 2], "{turn}");
    }
}

#[test]
fn records_of_a_panic_are_kept() {
    let folder = Folder::new(SESSION);
    let output = folder.run("panic");
    assert_eq!(output.status.code(), Some(101));
    assert_eq!(noted(&only(&folder)), [1, 2]);
}

#[test]
fn signal_handlers_record_and_the_lane_stays_whole() {
    let folder = Folder::new("protocol=1\nchunks=1024\nmode=ring\n");
    succeeds(&folder.run("signals"));
    let trace = only(&folder);
    let numbers = noted(&trace);
    let (handled, own): (Vec<_>, Vec<_>) = numbers
        .into_iter()
        .partition(|number| *number == 1_000_000_000);
    assert_eq!(own, (1..=400_000).collect::<Vec<_>>());
    assert!(!handled.is_empty(), "no signal arrived");
    assert_eq!(trace.verdict().summary.records_lost, 0);
}

/// A handler that interrupts a record writes to a second lane; one that interrupts that, to none.
#[test]
fn handlers_that_interrupt_handlers_lose_no_record_uncounted() {
    let folder = Folder::new("protocol=1\nchunks=2048\nmode=ring\n");
    succeeds(&folder.run("handlers"));
    let trace = only(&folder);
    let numbers = noted(&trace);
    let made = numbers.last().expect("a record") - (1 << 40);
    let handled = |number: &u64| (1_000_000_000..1 << 40).contains(number);
    let own = numbers.iter().filter(|number| **number < 1_000_000_000);
    let own: Vec<u64> = own.copied().collect();
    for (at, number) in own.iter().enumerate() {
        assert_eq!(*number, at as u64 + 1, "of {}", own.len());
    }
    assert!(numbers.iter().any(handled), "no signal arrived");
    let (kept, lost) = (
        numbers.len() as u64 - 1,
        trace.verdict().summary.records_lost,
    );
    assert_eq!(kept + lost, made, "{kept} kept, {lost} lost");
}

/// A lane for handlers is another thread's before it is this one's: each record is told of its own thread.
#[test]
fn what_handlers_record_belongs_to_the_thread_that_they_interrupted() {
    let folder = Folder::new("protocol=1\nchunks=1024\nmode=ring\n");
    succeeds(&folder.run("handlers-in-threads"));
    let trace = only(&folder);
    let mut owners = std::collections::HashMap::new();
    let mut handled = 0;
    for event in trace.events() {
        match &event.what {
            What::Thread { tid, .. } => {
                owners.insert(event.lane, u64::from(*tid));
            }
            What::Peek(pointer) => {
                let (mark, tid) = (pointer.address >> 40, pointer.address & 0xFFFF_FFFF);
                assert_eq!(owners.get(&event.lane), Some(&tid), "lane {}", event.lane);
                handled += mark;
            }
            _ => {}
        }
    }
    assert_eq!(handled, 250);
}

#[test]
fn errno_is_kept() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("errno"));
    assert_eq!(noted(&only(&folder)).len(), 10_001);
    // Where opening the recording fails, calls fail on the way.
    let output = Command::new(program())
        .arg("errno")
        .env("TRACER_DIR", folder.0.path().join("missing"))
        .output()
        .expect("the example starts");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_ring_keeps_the_newest_and_counts_the_rest() {
    let folder = Folder::new("protocol=1\nchunks=8\nmode=ring\n");
    succeeds(&folder.run("wrap"));
    let trace = only(&folder);
    let numbers = noted(&trace);
    assert_eq!(numbers.last(), Some(&1_000_000));
    let first = numbers[0];
    assert_eq!(numbers, (first..=1_000_000).collect::<Vec<_>>());
    // Every lost record is one of the numbers, or tells whose lane it is: one a chunk.
    let lost = trace.verdict().summary.records_lost;
    assert!(lost >= first - 1, "{lost} lost, first kept {first}");
    assert!(lost < first - 1 + 1000, "{lost} lost, first kept {first}");
}

#[test]
fn stop_mode_keeps_the_oldest_and_counts_the_rest() {
    let folder = Folder::new("protocol=1\nchunks=8\nmode=stop\n");
    succeeds(&folder.run("wrap"));
    let trace = only(&folder);
    let numbers = noted(&trace);
    let kept = numbers.len() as u64;
    assert_eq!(numbers, (1..=kept).collect::<Vec<_>>());
    assert_eq!(trace.verdict().summary.records_lost, 1_000_000 - kept);
}

#[test]
fn modules_are_named_and_have_their_build_ids() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("fork"));
    for trace in folder.traces() {
        let recording = trace.recording();
        assert_eq!(recording.problems, []);
        let exe = &recording.modules[0];
        assert_eq!(exe.path.bytes(), program().as_os_str().as_encoded_bytes());
        assert_eq!(exe.build_id, recording.processes[0].build_id);
        assert!(exe.size > 0x1000 && exe.base > 0, "{exe:?}");
        let file = fs::read(program()).expect("the example");
        assert!(
            !exe.build_id.is_empty()
                && file
                    .windows(exe.build_id.len())
                    .any(|part| part == exe.build_id),
            "{exe:?}"
        );
        let has = |part: &str| {
            let parts = |module: &traces::stack::Module| module.path.tty().contains(part);
            recording.modules.iter().any(parts)
        };
        assert!(has("libc"), "{:?}", recording.modules);
        assert_eq!(recording.frames().count(), 0);
    }
}

/// Whether the example's own functions keep frame pointers does not matter here: nothing may break,
/// and what is recorded must lie in code.
#[test]
fn stacks_are_recorded_and_disturb_nothing() {
    for chunks in [64, 32] {
        let session = format!("protocol=1\nchunks={chunks}\nmode=ring\nstacks=on\n");
        let folder = Folder::new(&session);
        succeeds(&folder.run("stacks"));
        let trace = only(&folder);
        let leaks = trace
            .events()
            .iter()
            .filter(|event| matches!(event.what, What::Leak(_)))
            .count();
        assert_eq!(leaks, 5);
        assert_eq!(trace.verdict().exit_code(), 0);
        // With frame pointers everywhere, the callers on a thread's own stack are known to the last.
        if option_env!("RUSTFLAGS").is_some_and(|flags| flags.contains("force-frame-pointers")) {
            for event in trace.events() {
                if let What::Leak(_) = event.what {
                    let frames = trace.recording().stack(event.id);
                    let own = frames
                        .iter()
                        .filter(|frame| frame.module == Some(0))
                        .count();
                    assert!(own > 4 || frames.is_empty(), "{frames:?}");
                }
            }
            // The one of the signal handler, which runs on a stack of its own.
            let without = |event: &&traces::event::Event| {
                matches!(event.what, What::Leak(_)) && trace.recording().stack(event.id).is_empty()
            };
            assert_eq!(trace.events().iter().filter(without).count(), 1);
        }
        for frame in trace.recording().frames() {
            let module = frame.module.expect("a known module");
            let module = &trace.recording().modules[module as usize];
            let within = module.file_base..module.file_base + module.size;
            assert!(within.contains(&frame.address), "{frame:?} {module:?}");
        }
        for turn in [
            "fork",
            "clone",
            "vfork",
            "exec",
            "threads",
            "destructor",
            "signals",
            "errno",
        ] {
            succeeds(&Folder::new(&session).run(turn));
        }
    }
}

#[test]
fn a_file_says_what_its_kinds_and_their_fields_are_called() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("clean"));
    let bytes = fs::read(&folder.files()[0]).expect("the trace file");
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    for kind in wire::record::Kind::ALL {
        let fields = wire::schema::fields(*kind).iter().map(|field| field.name);
        for text in fields.chain([kind.name()]) {
            assert!(holds(text), "{text} of {kind:?}");
        }
    }
}

const BY_BATCH: &str = "protocol=1\nchunks=1024\nmode=ring\ntime=batch\n";

/// The verdict may be that nothing can be told of what two threads had; it is never a finding.
#[test]
fn by_batch_boxes_handed_between_threads_are_no_finding() {
    let folder = Folder::new(BY_BATCH);
    succeeds(&folder.run("handed"));
    let trace = only(&folder);
    assert!(trace.recording().is_by_batch(0));
    let verdict = trace.verdict();
    let heads: Vec<_> = verdict.stories.iter().map(|story| &story.head).collect();
    assert!(heads.is_empty(), "{heads:#?}");
    assert!(matches!(verdict.exit_code(), 0 | 3));
    // All came back; which came last at its address is not known, and not guessed.
    assert_eq!(verdict.summary.held_at_end, 0);
    let is_leak = |event: &&traces::event::Event| matches!(event.what, What::Leak(_));
    assert_eq!(trace.events().iter().filter(is_leak).count(), 2 * 11_994);
}

/// A handler's lane is one of its own then: nothing says where in a batch its records belong.
#[test]
fn by_batch_signal_handlers_record_and_the_lane_stays_whole() {
    let folder = Folder::new(BY_BATCH);
    succeeds(&folder.run("signals"));
    let trace = only(&folder);
    let numbers = noted(&trace);
    let (handled, own): (Vec<_>, Vec<_>) = numbers
        .into_iter()
        .partition(|number| *number == 1_000_000_000);
    assert_eq!(own, (1..=400_000).collect::<Vec<_>>());
    assert!(!handled.is_empty(), "no signal arrived");
    assert_eq!(trace.verdict().summary.records_lost, 0);
}

#[test]
fn by_batch_errno_is_kept_and_forks_record() {
    let folder = Folder::new(BY_BATCH);
    succeeds(&folder.run("errno"));
    assert_eq!(noted(&only(&folder)).len(), 10_001);
    for turn in ["fork", "clone", "vfork", "exec", "threads", "destructor"] {
        let (exact, batch) = (Folder::new(SESSION), Folder::new(BY_BATCH));
        succeeds(&exact.run(turn));
        succeeds(&batch.run(turn));
        let noted = |folder: &Folder| {
            let mut all: Vec<_> = folder.traces().iter().map(noted).collect();
            all.iter_mut().for_each(|one| one.sort_unstable());
            all.sort();
            all
        };
        assert_eq!(noted(&batch), noted(&exact), "{turn}");
        let by_batch = |trace: &traces::Trace| trace.recording().is_by_batch(0);
        assert!(batch.traces().iter().all(by_batch), "{turn}");
    }
}

/// With call stacks every record takes its own time: the file says so.
#[test]
fn by_batch_gives_way_to_call_stacks() {
    let folder = Folder::new(&format!("{BY_BATCH}stacks=on\n"));
    succeeds(&folder.run("clean"));
    assert!(!only(&folder).recording().is_by_batch(0));
}

#[test]
fn boxes_handed_between_threads_are_in_order() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("handed"));
    let trace = only(&folder);
    let verdict = trace.verdict();
    let heads: Vec<_> = verdict.stories.iter().map(|story| &story.head).collect();
    assert!(heads.is_empty(), "{heads:#?}");
    let is_leak = |event: &&traces::event::Event| matches!(event.what, What::Leak(_));
    assert_eq!(trace.events().iter().filter(is_leak).count(), 2 * 11_994);
}
