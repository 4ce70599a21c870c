//! Files of records that somebody decided on, and every way to read them, which must say the same.

use super::file::File;
use super::same::assert_same;
use traces::event::{Event, What};
use traces::{Input, Trace};
use wire::layout::{header, incompat};
use wire::payload::{Submit, pair};
use wire::record::{CookieState, Kind, Owner, RingKind};

/// What a record is about, which one of these, of which lane, how long after the one before.
pub(crate) type Decision = (u8, u8, u8, u8);

const ADDRESSES: [u64; 8] = [
    0x1000,
    0x1040,
    0x1080,
    0x10c0,
    0x1100,
    0x1140,
    0x1_0000_2000,
    0x2_0000_2000,
];

/// Pointers of four threads, with a little of everything else between them. A record that stands on a call stack is no
/// row's.
pub(crate) fn file(decisions: &[Decision], has_stacks: bool) -> File {
    let mut file = File::default();
    file.meta(Kind::Stack, &[pair(9, 1), 1 << 48 | 0x40]);
    file.meta(Kind::Type, &[pair(2, 3), 0, 1]);
    for lane in 0..4 {
        file.record(lane, 0, Kind::Thread, 0, &[pair(77 + lane as u32, 1)]);
    }
    let ring = RingKind::InPlace as u8;
    file.record(0, 1, Kind::RingCreate, ring, &[pair(1, 3), pair(8, 16), 0]);
    let (mut now, mut latest, mut sequence) = (10, [10; 4], 0);
    for &(what, which, lane, step) in decisions {
        now += match step {
            0..=99 => u64::from(step % 8),
            100..=199 => u64::from(step),
            200..=250 => 1_000,
            _ => 3_000_000,
        };
        let lane = usize::from(lane % 4);
        // The clocks of two threads differ by a hair.
        let at = latest[lane].max(now + u64::from(which >> 3) * 3);
        latest[lane] = at;
        let address = ADDRESSES[usize::from(which % 8)];
        let pointer = [address, pair(1, if what % 41 == 0 { 2 } else { 1 })];
        let owner = if what % 37 == 0 {
            Owner::Rc
        } else {
            Owner::Box
        } as u8;
        let number = u32::from(which % 3);
        let mut pointer_record = |kind| {
            file.record(lane, at, kind, owner, &pointer);
            if has_stacks {
                file.with_stack(lane, 9);
            }
        };
        match what {
            0..=109 => pointer_record(Kind::Leak),
            110..=219 => pointer_record(Kind::Reclaim),
            220..=227 => pointer_record(Kind::Peek),
            228..=231 => pointer_record(Kind::Retain),
            232..=235 => pointer_record(Kind::Release),
            236..=239 => {
                sequence += 1;
                let submit = Submit {
                    cookie: address,
                    sequence,
                    ring: 1,
                    slot: (sequence % 8) as u16,
                    opcode: 27,
                    site: 1,
                    len: 64,
                    ..Submit::default()
                };
                let state = CookieState::Set as u8;
                file.record(lane, at, Kind::Submit, state, &submit.encode());
            }
            240..=243 => file.record(lane, at, Kind::Complete, 1, &[address, pair(5, 0)]),
            244..=246 => {
                let words = [pair(number + 1, 1), pair(1, 0)];
                file.record(lane, at, Kind::ScopeBegin, 0, &words);
            }
            247..=248 => file.record(lane, at, Kind::ScopeEnter, 0, &[u64::from(which % 4)]),
            249..=250 => file.record(lane, at, Kind::ScopeEnd, 0, &[u64::from(number) + 1]),
            251 => file.record(lane, at, Kind::Spawn, 0, &[pair(number, 1), pair(1, 0)]),
            252 => file.record(lane, at, Kind::Resume, 0, &[u64::from(number), 0]),
            253 => file.record(lane, at, Kind::Done, 0, &[u64::from(number)]),
            254 => file.record(lane, at, Kind::Thread, 0, &[pair(90 + number, 1)]),
            255 if which < 128 => file.record(lane, at, Kind::Free, 0, &[address, 8]),
            255 => {
                let words = [u64::from(which % 3), u64::from(which >> 2) % 4];
                file.record(lane, at, Kind::Lost, 0, &words);
            }
        }
    }
    file
}

/// The bytes as of a process of its own, which may have recorded its times by batch.
pub(crate) fn bytes(file: &File, pid: u32, by_batch: bool) -> Vec<u8> {
    let mut bytes = file.bytes();
    bytes[header::PID..][..4].copy_from_slice(&pid.to_le_bytes());
    if by_batch {
        bytes[header::INCOMPAT..][..8].copy_from_slice(&incompat::BATCH_TIME.to_le_bytes()[..8]);
    }
    let sum = wire::crc::crc32c(&bytes[..header::CRC]);
    bytes[header::CRC..][..4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

pub(crate) fn all(trace: &Trace) -> Vec<Event> {
    trace.events().iter().cloned().collect()
}

/// Reads two processes in each way there is, whole and cut; all say the same.
pub(crate) fn read(both: &[Vec<u8>; 2], untils: &[i64]) -> Trace {
    let [first, second] = both;
    let input = [("x.trc", first), ("y.trc", second)].map(|(name, bytes)| Input { name, bytes });
    let paged = |until| {
        let nowhere = || Err(std::io::ErrorKind::StorageFull.into());
        Trace::read_paged(&input, until, nowhere, &|_| {}).unwrap()
    };
    let read = Trace::read(&input).unwrap();
    assert_same(&read, &Trace::check(&input).unwrap());
    assert_same(&read, &paged(i64::MAX));
    let events = all(&read);
    assert_eq!(all(&paged(i64::MAX)), events);
    let mut walked = Vec::new();
    assert!(Trace::walk(&input, |event| walked.push(event.clone())).unwrap());
    assert_eq!(walked, events);
    let (recording, count) = Trace::survey(&input).unwrap();
    assert_eq!(count, events.len() as u64);
    if events
        .iter()
        .any(|event| matches!(event.what, What::Lost(_)))
    {
        assert_eq!(recording.losses, read.recording().losses);
    }
    let generations = read.verdict().summary.generations;
    assert_eq!(Trace::follow(&input).unwrap(), generations);
    for until in untils {
        let cut = Trace::read_until(&input, *until).unwrap();
        assert_same(&cut, &Trace::check_until(&input, *until).unwrap());
        assert_same(&cut, &paged(*until));
        let some = all(&cut);
        assert_eq!(&events[..some.len()], &some[..], "until {until}");
        if let Some(next) = events.get(some.len()) {
            assert!(next.at_ns as i64 + read.recording().began_ns > *until);
        }
    }
    read
}
