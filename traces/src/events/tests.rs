//! Events in pages are the events, belong to what they belong to, and are found again. Pages are small here.

use std::io;
use std::sync::Mutex;

use super::*;
use crate::biography::Biography;
use crate::finding::{Doubt, Subject};
use crate::trace::Trace;

#[derive(Debug, Default)]
struct Pile(Mutex<Vec<u8>>);

impl Aside for Pile {
    fn put(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut pile = self.0.lock().unwrap();
        assert_eq!(pile.len() as u64, offset);
        pile.extend_from_slice(bytes);
        Ok(())
    }

    fn get(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.0.lock().unwrap()[from..from + buffer.len()]);
        Ok(())
    }
}

fn pile() -> io::Result<Box<dyn Aside>> {
    Ok(Box::<Pile>::default())
}

fn full() -> io::Result<Box<dyn Aside>> {
    Err(io::ErrorKind::StorageFull.into())
}

/// Gives back nothing.
#[derive(Debug)]
struct Broken;

impl Aside for Broken {
    fn put(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn get(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Gives back what nobody put there: zeros, as a hole in a file does.
#[derive(Debug)]
struct Hole;

impl Aside for Hole {
    fn put(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn get(&self, _: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        Ok(())
    }
}

/// Gives back something else than was put there, by one bit.
#[derive(Debug)]
struct Worn(Pile);

impl Aside for Worn {
    fn put(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.put(offset, bytes)
    }

    fn get(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.get(offset, buffer)?;
        let middle = buffer.len() / 2;
        buffer[middle] ^= 4;
        Ok(())
    }
}

fn corpus() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path());
    let traces = files.filter(|path| path.extension().is_some_and(|it| it == "trace"));
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.display().to_string(), text)
    };
    traces.map(read).collect()
}

/// Many operations on few slots, taken by enters that come long after them, and cookies that come again.
fn long() -> String {
    let mut text =
        "process 0 pid=1 end=exit:0\n0 main ring-create 0 sq=64 cq=128\n0 main scope-begin 2\n"
            .to_owned();
    for at in 0..400u64 {
        let (slot, cookie) = (at % 64, 0x1000 + at % 7 * 64);
        text += &format!(
            "{0} main leak {cookie:#x} Op op.rs:8 owner=Box\n{0} main claim 0 slot={slot}\n{0} main submit 0 RECV {cookie:#x} op.rs:9 slot={slot} len={at} addr={1:#x} fd=-1\n",
            at * 10 + 1,
            at.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        if at % 64 == 63 {
            text += &format!("{} main enter 0 64 -> 64 min=1\n", at * 10 + 2);
            text += &format!("{} main suspend 3 0x1000 0xffffffffffffffff\n", at * 10 + 2);
        }
        if at % 5 == 4 {
            text += &format!("{} other complete 0 {cookie:#x} -5\n", at * 10 + 3);
            text += &format!(
                "{} other reclaim {cookie:#x} Op op.rs:9 owner=Box\n",
                at * 10 + 3
            );
        }
    }
    text
}

/// Operations that the kernel recorded too.
fn merged() -> String {
    let mut text = "process 0 pid=77 start=9 end=exit:0
        process 1 pid=77 start=9 capture=kernel end=exit:0
        lane k process=1
        1 k ring-create 4 fd=3 sq=8 cq=16
        2 main ring-create 0 fd=3 sq=8 cq=16
        "
    .to_owned();
    for at in 0..200u64 {
        let (now, cookie) = (at * 10 + 3, 0x1000 + at % 7 * 64);
        text += &format!(
            "{now} main submit 0 NOP {cookie:#x} seq={at}\n{now} k submit 4 NOP {cookie:#x} seq={at}\n\
             {0} k complete 4 {cookie:#x} 0 of={at}\n{0} main complete 0 {cookie:#x} 0\n",
            now + 1,
        );
    }
    text
}

#[test]
fn in_pages_everything_is_as_it_is_at_hand() {
    let (mut events, mut aside, mut traces, mut scopes) = (0, 0, 0, 0);
    let mut shortened = 0;
    let mut open = 0;
    let mut texts = corpus();
    texts.extend([("long".into(), long()), ("merged".into(), merged())]);
    // Where times are by batch somebody has to know who used what, and what a loss reaches to.
    let by_batch = texts.iter().map(|(name, text)| {
        let text = match text.contains("process 0") {
            true => text.replacen("process 0", "process 0 times=batch", 1),
            false => format!("process 0 times=batch\n{text}"),
        };
        (format!("{name} by batch"), text)
    });
    let by_batch: Vec<_> = by_batch.collect();
    for (name, text) in texts.into_iter().chain(by_batch) {
        let whole = Trace::parse_text(&text).unwrap();
        traces += 1;
        let unordered = whole.verdict().cannot_tell.iter();
        open += unordered
            .filter(|it| it.reason == Doubt::TimesByBatch)
            .count();
        let make = if traces % 2 == 0 { full } else { pile };
        let mut paged = Trace::parse_text_paged(&text, make).unwrap();
        assert!(paged.events.as_slice().is_none(), "{name}: in pages");
        assert_eq!(whole.events(), paged.events(), "{name}");
        assert_eq!(whole.verdict(), paged.verdict(), "{name}");
        let Held::Paged(pages) = &paged.events.0 else {
            panic!("{name} is in pages")
        };
        aside += usize::from(pages.is_aside());
        let mut subjects: Vec<Subject> = Vec::new();
        for event in whole.events() {
            events += 1;
            let id = event.id;
            assert_eq!(whole.link(id), paged.link(id), "{name}: {event:?}");
            assert_eq!(whole.describe(event), paged.describe(event), "{name}");
            subjects.extend(whole.subjects_of(id));
        }
        // Which many operations carried, one after the other.
        subjects.push(Subject::Cookie {
            process: 0,
            ring: 0,
            cookie: 0x1000,
        });
        subjects.sort_by_key(|subject| format!("{subject:?}"));
        subjects.dedup();
        for subject in subjects {
            // Nothing that was decoded before is needed.
            paged.trim();
            let (all, told) = (whole.biography(subject), paged.biography(subject));
            if told.left_out == 0 {
                assert_eq!(all, told, "{name}");
            } else {
                // A life that is too long keeps its beginning and its end.
                shortened += 1;
                let events = |life: &Biography| {
                    let rows = life.rows.iter().map(|row| row.event);
                    rows.collect::<Vec<EventId>>()
                };
                let (all, told) = (events(&all), events(&told));
                assert!(told.len() < all.len() && told.iter().all(|id| all.contains(id)));
                assert_eq!(all[..20], told[..20]);
                assert_eq!(all[all.len() - 20..], told[told.len() - 20..]);
            }
            assert_eq!(whole.name_of(subject), paged.name_of(subject), "{name}");
        }
        for scope in 1..4 {
            let name = |trace: &Trace| trace.lookup.scope(&trace.events, (0, scope));
            scopes += usize::from(name(&whole).is_some());
            assert_eq!(name(&whole), name(&paged));
        }
        // A part of a page, one that reaches over an edge, and one that reaches too far.
        for range in [2..5, 5..19, 17..1 << 40] {
            let mut gone_through = Vec::new();
            paged
                .events()
                .each(range.clone(), |event| gone_through.push(event.id));
            let wanted: Vec<EventId> = whole.events().range(range).map(|it| it.id).collect();
            assert_eq!(gone_through, wanted, "{name}");
        }
    }
    let enough = traces > 120 && events > 2000 && aside > 20 && open > 10;
    assert!(enough && scopes > 0 && shortened > 0, "{open} open");
}

#[test]
fn a_verdict_does_not_rest_on_what_cannot_be_read_back() {
    let text = long();
    let whole = Trace::parse_text(&text).unwrap();
    assert!(!whole.verdict().stories.is_empty(), "it is judged again");
    let makes: [MakeAside; 3] = [
        || Ok(Box::new(Broken)),
        || Ok(Box::new(Hole)),
        || Ok(Box::new(Worn(Pile::default()))),
    ];
    for make in makes {
        let paged = Trace::parse_text_paged(&text, make).unwrap();
        assert_eq!(whole.verdict(), paged.verdict());
        assert_eq!(whole.events(), paged.events());
        assert!(paged.events.as_slice().is_some(), "all are at hand");
    }
}

#[test]
fn in_pages_coroutines_that_ended_long_ago_keep_their_names() {
    let mut text = "process 0 pid=1 end=exit:0\n".to_owned();
    for at in 0..100 {
        text += &format!("{at} main spawn {at} Task{at} task.rs:{}\n", at + 1);
        text += &format!("{at} main resume {at}\n{at} main done {at}\n");
    }
    // Judged once, and judged again.
    for more in ["", "999 main leak 0x1000 Op op.rs:8 owner=Box\n"] {
        let text = format!("{text}{more}");
        let whole = Trace::parse_text(&text).unwrap();
        let paged = Trace::parse_text_paged(&text, pile).unwrap();
        assert!(paged.events.as_slice().is_none(), "in pages");
        assert_eq!(whole.verdict().stories.is_empty(), more.is_empty());
        for coroutine in 0..100 {
            let subject = Subject::Coroutine {
                process: 0,
                coroutine,
            };
            let wanted = format!("coroutine {coroutine} (Task{coroutine})");
            assert_eq!(whole.name_of(subject), wanted);
            assert_eq!(paged.name_of(subject), wanted);
        }
    }
}

#[test]
fn a_page_knows_what_it_has_not() {
    let trace = Trace::parse_text_paged(&long(), pile).unwrap();
    let mut buffer = Vec::new();
    let (mut denied, mut asked) = (0, 0);
    for page in 0..trace.events.pages() {
        let mut there = Vec::new();
        trace
            .events
            .each_with(trace.events.ids_of(page), |event, link| {
                there.extend(Key::of(event, link).into_iter().flatten());
            });
        assert!(there.iter().all(|key| trace.events.may_have(
            page,
            [key].into_iter(),
            &mut buffer
        )));
        for slot in 1000..1100 {
            let key = Key::Claim(0, 0, slot);
            asked += 1;
            denied += usize::from(!trace.events.may_have(page, [&key].into_iter(), &mut buffer));
        }
    }
    // One in a hundred, more or less.
    assert!(denied * 100 > asked * 95, "{denied} of {asked}");
}
