//! How fast a recording is read and judged, against reading its bytes from memory.
//!
//! A first look finds out whose the records are and where any are missing; reading does that, decodes them and puts
//! them into causal order; following matches events besides, and judging, which is what `tracer check` does, has every
//! rule look at them, on one thread and by its processor time. What none of it can do without is measured beside it: each
//! chunk is copied out of the recording, since no reader may look at a file that somebody may cut short where it lies; then
//! somebody steps from record to record, or, besides, has what is alive in a hash table by its word, which is the least
//! that says which leak a reclaim belongs to. Analysers of other tools read traces of their own, with the
//! events that they have, by processor time too.
//!
//! Most rings go round before anybody reads them: what one kept then is judged beside all that was recorded.
//!
//! What a second processor is good for is told for the process file and for the sealed one: by the clock, which is what
//! somebody waits, and by processor time of both threads, which is what it takes. While other programs run, the second is
//! the one to believe.

use std::hint::black_box;
use std::sync::mpsc;

use rustc_hash::FxHashMap;
use traces::read::Beside;
use traces::{Input, Trace};
use wire::layout;
use wire::record::{Header, Kind};

use crate::measure::{Time, is_quick, table_of_each, table_with_rates};
use crate::rivals::analysers;
use crate::{Variant, footprint, kernel, size};

/// Recordings to read, with the operations that they hold when the bench is not in a hurry.
const WORKS: [(&str, &str); 5] = [
    ("nop-32", "NOPs in batches of 32"),
    ("live-1000", "1,000 pointers alive, reclaimed in any order"),
    (
        "live-100000",
        "100,000 pointers alive, reclaimed in any order",
    ),
    (
        "lanes-1000",
        "1,000 pointers alive, each thread of four with its own",
    ),
    (
        "handed-1000",
        "1,000 pointers alive, handed from thread to thread",
    ),
];

/// Those that are judged besides as a ring holds them that went round, as that of any program does that runs for long.
const ROUND: [&str; 3] = ["nop-32", "live-1000", "lanes-1000"];

/// Prints a table for each.
pub fn run() {
    for (name, title) in WORKS {
        match size::recorded(name) {
            Ok(raw) => {
                read(title, &raw);
                beside(title, &raw);
                if ROUND.contains(&name) {
                    gone_round(name, title, &raw);
                }
            }
            Err(why) => println!("reading {title}: not measured: {why}\n"),
        }
    }
    by_kernel();
    footprint::run();
    analysers::run();
}

/// What the kernel said of rings, alone, and of rings that the shim recorded, too, which the model holds against each
/// other.
fn by_kernel() {
    let operations = if is_quick() { 20_000 } else { 400_000 };
    for (with_shim, who) in [(false, "kernel"), (true, "kernel and the shim")] {
        let title = format!("{operations} NOPs, recorded by the {who}");
        match kernel::recorded(with_shim, operations) {
            Ok(sealed) => steps(&title, &sealed, Vec::new()),
            Err(why) => println!("reading {title}: not measured: {why}\n"),
        }
    }
}

fn read(title: &str, raw: &Vec<u8>) {
    let scan = move |_| {
        let words = raw.chunks_exact(8);
        let words = words.map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
        black_box(words.fold(0, u64::wrapping_add));
    };
    let step = move |_| {
        black_box(stepped(raw, |header, word, sum: &mut u64| {
            *sum = sum.wrapping_add(header.0 ^ word);
        }));
    };
    let table = move |_| {
        let alive = stepped(
            raw,
            |header, word, alive: &mut FxHashMap<u64, u64>| match header.kind() {
                Some(Kind::Leak | Kind::LeakSubmit) => {
                    alive.insert(word, header.0);
                }
                Some(Kind::Reclaim | Kind::CompleteReclaim) => {
                    black_box(alive.remove(&word));
                }
                _ => {
                    black_box(alive.get(&word));
                }
            },
        );
        black_box(alive.len());
    };
    let variant = |name, run| Variant { name, run };
    let floor = vec![
        variant("adding up the words of the recording", Box::new(scan)),
        variant("copying its chunks, record by record", Box::new(step)),
        variant(
            "the same, and a hash table of what is alive",
            Box::new(table),
        ),
    ];
    steps(title, raw, floor);
}

/// Judging what a ring kept of a program that records twice as much as it has room for, beside all of it.
fn gone_round(name: &str, title: &str, raw: &Vec<u8>) {
    let chunks = raw.len() / layout::CHUNK_BYTES / 2;
    let kept = match size::recorded_within(name, chunks) {
        Ok(kept) => kept,
        Err(why) => return println!("judging {title}, gone round: not measured: {why}\n"),
    };
    let events = |bytes: &Vec<u8>| {
        let summary = Trace::check(&[input(bytes)]).map(|it| it.verdict().summary.clone());
        let events = summary.map(|it| (u32::try_from(it.events).unwrap_or(u32::MAX), it.losses));
        events.unwrap_or_default()
    };
    let [(all, _), (some, losses)] = [events(raw), events(&kept)];
    if losses == 0 {
        return println!("judging {title}, gone round: not measured: nothing was overwritten\n");
    }
    let check = |bytes: &Vec<u8>| {
        black_box(Trace::check(&[input(bytes)]).is_ok());
    };
    table_of_each(
        &format!("judging {title}, ns of processor time per event"),
        Time::Thread,
        &mut [
            Variant {
                name: "all that was recorded",
                run: Box::new(|_| check(raw)),
            },
            Variant {
                name: "what a ring kept that went round",
                run: Box::new(|_| check(&kept)),
            },
        ],
        if is_quick() { 1 } else { 7 },
        &[all, some],
    );
}

/// The steps of judging, beside what none of them can do without.
fn steps<'a>(title: &str, bytes: &'a Vec<u8>, mut variants: Vec<Variant<'a>>) {
    let input = input(bytes);
    let mut events = 0u32;
    if let Err(error) = Trace::walk(&[input], |_| events += 1) {
        return println!("reading {title}: not measured: {error}\n");
    }
    let look = move |_| {
        black_box(Trace::survey(&[input]).is_ok());
    };
    let follow = move |_| {
        black_box(Trace::follow(&[input]).is_ok());
    };
    let walk = move |_| {
        let mut kinds = 0;
        let walked = Trace::walk(&[input], |event| kinds += event.what.kind().len());
        black_box((walked.is_ok(), kinds));
    };
    let check = move |_| {
        black_box(Trace::check(&[input]).is_ok());
    };
    let variant = |name, run| Variant { name, run };
    variants.extend([
        variant("a first look", Box::new(look)),
        variant("reading", Box::new(walk)),
        variant("reading and following, without rules", Box::new(follow)),
        variant("reading and judging", Box::new(check)),
    ]);
    table_with_rates(
        &format!("reading {events} events ({title}), ns of processor time per event"),
        Time::Thread,
        &mut variants,
        // A round reads everything once; its time is divided by the events.
        if is_quick() { 1 } else { 7 },
        events,
    );
}

/// Copies chunk after chunk and steps through the records of each, with the word that each of them is about.
fn stepped<T: Default>(raw: &[u8], mut each: impl FnMut(Header, u64, &mut T)) -> T {
    let mut all = T::default();
    let mut words = vec![0u64; layout::CHUNK_WORDS];
    let chunks = raw.get(layout::chunk_offset()..).unwrap_or_default();
    for chunk in chunks.chunks_exact(layout::CHUNK_BYTES) {
        for (word, bytes) in words.iter_mut().zip(chunk.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
        let kind = layout::unpack_lane_kind(words[layout::chunk::LANE_KIND]).1;
        if kind != Some(layout::ChunkKind::Event) {
            continue;
        }
        let mut rest = &words[layout::CHUNK_HEADER_WORDS..];
        while let [header, word, ..] = *rest {
            let header = Header(header);
            let length = header.words();
            if length == 0 || length > rest.len() {
                break;
            }
            each(header, word, &mut all);
            rest = &rest[length..];
        }
    }
    all
}

fn input(bytes: &Vec<u8>) -> Input<'_> {
    Input {
        name: "recording",
        bytes,
    }
}

/// As `tracer check` does it, with a second processor and without.
fn beside(title: &str, raw: &Vec<u8>) {
    let Ok(sealed) = size::sealed(raw) else {
        return println!("judging {title} with a second processor: not measured\n");
    };
    let mut events = 0u32;
    if Trace::walk(&[input(raw)], |_| events += 1).is_err() {
        return println!("judging {title} with a second processor: not measured\n");
    }
    let alone = |bytes: &Vec<u8>| {
        black_box(Trace::check(&[input(bytes)]).is_ok());
    };
    let both = |bytes: &Vec<u8>| {
        std::thread::scope(|scope| {
            let beside: Beside<'_, '_> = &|work| {
                scope.spawn(work);
                true
            };
            black_box(Trace::check_beside(&[input(bytes)], &|_| {}, Some(beside)).is_ok());
        });
    };
    for (time, name) in [
        (Time::Clock, "by the clock"),
        (Time::Threads, "of processor time"),
    ] {
        let variant = |name, run| Variant { name, run };
        table_with_rates(
            &format!("judging {events} events ({title}), ns {name} per event"),
            time,
            &mut [
                variant("process file, one processor", Box::new(|_| alone(raw))),
                variant("process file, two", Box::new(|_| both(raw))),
                variant("sealed file, one processor", Box::new(|_| alone(&sealed))),
                variant("sealed file, two", Box::new(|_| both(&sealed))),
            ],
            if is_quick() { 1 } else { 7 },
            events,
        );
    }
}

/// A type of its own: what other measurements call must stay as the compiler makes it for them alone.
struct Alive(u64);

/// Turns of a program over pointers, in all.
fn turns() -> usize {
    if is_quick() { 50_000 } else { 800_000 }
}

/// The program `live-COUNT`: that many pointers are alive, and any one is taken back and another leaked; so often,
/// if that is said.
pub fn live(count: usize, turns: Option<usize>) {
    let mut random = 1u64;
    let mut leaked: Vec<*mut Alive> = (0..count)
        .map(|_| probe::into_raw(Box::new(Alive(0))))
        .collect();
    let turns = turns.unwrap_or_else(self::turns);
    for _ in 0..turns {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let slot = &mut leaked[(random >> 33) as usize % count];
        // SAFETY: leaked above or in an earlier turn, and taken back here alone.
        let alive: Box<Alive> = unsafe { probe::from_raw(*slot) };
        *slot = probe::into_raw(Box::new(Alive(alive.0 ^ random)));
    }
    for raw in leaked {
        // SAFETY: as above.
        drop(unsafe { probe::from_raw::<Box<Alive>>(raw) });
    }
}

/// The program `lanes-COUNT`: four threads do what `live-COUNT` does, each with a part of the pointers and of the turns.
pub fn lanes(count: usize) {
    const THREADS: usize = 4;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| live(count / THREADS, Some(turns() / THREADS)));
        }
    });
}

/// The program `handed-COUNT`: two threads leak, and each takes back what the other did; so many pointers are on their
/// way.
pub fn handed(count: usize) {
    let (to_first, at_first) = mpsc::channel();
    let (to_second, at_second) = mpsc::channel();
    std::thread::scope(|scope| {
        for (to, at) in [(to_second, at_first), (to_first, at_second)] {
            scope.spawn(move || {
                let leak = |number| {
                    let raw = probe::into_raw(Box::new(Alive(number)));
                    to.send(raw as usize).expect("nobody waits any more");
                };
                let reclaim = || {
                    let raw = at.recv().expect("nobody sends any more") as *mut Alive;
                    // SAFETY: the other thread leaked it and sent it once.
                    let alive: Box<Alive> = unsafe { probe::from_raw(raw) };
                    alive.0
                };
                (0..count as u64 / 2).for_each(&leak);
                for _ in 0..turns() / 2 {
                    let number = reclaim();
                    leak(number);
                }
                for _ in 0..count / 2 {
                    reclaim();
                }
            });
        }
    });
}
