//! What `check` keeps of a trace, whose events it does not all hold: the lives of what was found, whole.

mod support;

use support::file::File;
use support::same::assert_same;
use traces::event::What;
use traces::finding::Subject;
use traces::{Input, Trace};
use wire::payload::{Submit, pair};
use wire::record::{CookieState, Kind, Owner};

/// The trace of a file as `check` has it, held against the one that has all its events.
fn kept(file: &File) -> Trace {
    let bytes = file.bytes();
    let input = [Input {
        name: "x.trc",
        bytes: &bytes,
    }];
    let checked = Trace::check(&input).unwrap();
    assert_same(&Trace::read(&input).unwrap(), &checked);
    checked
}

fn with_ring() -> File {
    let mut file = File::default();
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    file.record(0, 1, Kind::RingCreate, 0, &[pair(1, 3), pair(8, 16), 0]);
    file
}

/// A claim is kept because of a submission that comes later, and keeps its call stack.
#[test]
fn what_is_kept_of_a_trace_has_the_call_stacks_that_the_whole_has() {
    let mut file = with_ring();
    file.meta(Kind::Stack, &[pair(9, 1), 1 << 48 | 0x40]);
    for slot in 0..4u32 {
        let at = 2 + u64::from(slot) * 2;
        file.record(0, at, Kind::Claim, 0, &[pair(1, slot)]);
        if slot != 1 {
            file.with_stack(0, 9);
        }
        if slot == 3 {
            // Of two submissions into one slot the first is nothing to tell of, and is not kept.
            let submit = Submit {
                cookie: 0x1000,
                sequence: slot,
                ring: 1,
                slot: slot as u16,
                ..Submit::default()
            };
            let state = CookieState::Set as u8;
            file.record(0, at, Kind::Submit, state, &submit.encode());
        }
        let submit = Submit {
            sequence: slot + slot / 3,
            ring: 1,
            slot: slot as u16,
            ..Submit::default()
        };
        let state = CookieState::NeverWritten as u8;
        file.record(0, at + 1, Kind::Submit, state, &submit.encode());
    }
    let checked = kept(&file);
    let claims = checked.events().iter().filter_map(|event| {
        let stack = checked.stack_lines(event).len();
        matches!(event.what, What::Claim { .. }).then_some(stack)
    });
    assert_eq!(claims.collect::<Vec<_>>(), [1, 0, 1, 1]);
}

/// A push is of the life of its cookie, which is told of here because of a completion that nobody owed.
#[test]
fn what_pushed_a_cookie_is_kept_with_its_life() {
    let mut file = with_ring();
    let cookie = 0x1000;
    file.record(0, 2, Kind::Leak, Owner::Box as u8, &[cookie, pair(1, 1)]);
    file.record(0, 3, Kind::Push, 0, &[cookie, pair(3, 0)]);
    let submit = Submit {
        cookie,
        ring: 1,
        ..Submit::default()
    };
    let state = CookieState::Set as u8;
    file.record(0, 4, Kind::Submit, state, &submit.encode());
    for at in [5, 6] {
        file.record(0, at, Kind::Complete, 1, &[cookie, pair(0, 0)]);
    }
    let checked = kept(&file);
    let [story] = &checked.verdict().stories[..] else {
        panic!("{:#?}", checked.verdict().stories);
    };
    let subject = Subject::Cookie {
        process: 0,
        ring: 1,
        cookie,
    };
    assert_eq!(story.head.subject, subject);
    let life = checked.biography(subject);
    let steps: Vec<&str> = life.rows.iter().map(|row| row.kind).collect();
    assert_eq!(steps, ["push", "submit", "complete", "complete"]);
}
