//! What an event has to say to each field: numbers and texts.

use crate::event::{Event, What};
use crate::model::Link;

use super::field::Field;

/// Hands each number that an event has in a field to `with`, until one is taken.
pub(super) fn any_number(
    event: &Event,
    link: Link,
    field: Field,
    mut with: impl FnMut(i128) -> bool,
) -> bool {
    let mut one = |number: Option<i128>| number.is_some_and(&mut with);
    match field {
        Field::Time => one(Some(event.at_ns.into())),
        Field::Event => one(Some(event.id.0.into())),
        Field::Lane => one(Some(event.lane.into())),
        Field::Slot => one(slot(event).map(Into::into)),
        Field::Operation => one(link.operation.map(|(_, sequence)| sequence.into())),
        Field::Coroutine => one(coroutine(event, link).map(Into::into)),
        Field::Scope => one(Some(scope(event).into())),
        Field::Result => one(result(event).map(Into::into)),
        Field::Fd => one(fd(event).map(Into::into)),
        Field::Cookie => cookies(event)
            .into_iter()
            .any(|word| one(Some(word.into()))),
        Field::Address => {
            let words = cookies(event).into_iter().chain(addresses(event));
            words.into_iter().any(|word| one(Some(word.into())))
        }
        _ => false,
    }
}

pub(crate) fn ring(event: &Event) -> Option<u32> {
    match &event.what {
        What::RingCreate(ring) => Some(ring.ring),
        What::Submit(submission) => Some(submission.entry.ring.into()),
        What::Complete(completion) => Some(completion.ring),
        What::RingDrop { ring }
        | What::Claim { ring, .. }
        | What::Enter { ring, .. }
        | What::Overflow { ring, .. }
        | What::Passed { ring, .. }
        | What::OwnerLabel { ring, .. }
        | What::BufferProvide { ring, .. } => Some(*ring),
        What::Scheme { ring, .. } => *ring,
        What::Resume { by, .. } => by.map(|(ring, _)| ring),
        _ => None,
    }
}

fn slot(event: &Event) -> Option<u32> {
    match &event.what {
        What::Claim { slot, .. } => Some(*slot),
        What::Submit(submission) => Some(submission.entry.slot.into()),
        _ => None,
    }
}

fn coroutine(event: &Event, link: Link) -> Option<u32> {
    match &event.what {
        What::Spawn { coroutine, .. }
        | What::Resume { coroutine, .. }
        | What::Suspend { coroutine, .. }
        | What::Done { coroutine }
        | What::CoroutineDrop { coroutine }
        | What::Wake { coroutine } => Some(*coroutine),
        _ => link.coroutine,
    }
}

pub(super) fn scope(event: &Event) -> u32 {
    match &event.what {
        What::ScopeBegin { scope, .. }
        | What::ScopeEnd { scope, .. }
        | What::ScopeEnter { scope } => *scope,
        _ => event.scope,
    }
}

fn result(event: &Event) -> Option<i32> {
    match &event.what {
        What::Complete(completion) => Some(completion.res),
        What::Enter { result, .. } => Some(*result),
        _ => None,
    }
}

fn fd(event: &Event) -> Option<i32> {
    match &event.what {
        What::Submit(submission) => Some(submission.entry.fd),
        What::RingCreate(ring) => Some(ring.fd),
        What::Push { fd, .. } | What::FdOpen { fd, .. } | What::FdClose { fd, .. } => Some(*fd),
        _ => None,
    }
}

/// The words that travel.
fn cookies(event: &Event) -> Vec<u64> {
    match &event.what {
        What::Submit(submission) => vec![submission.entry.cookie],
        What::Complete(completion) => vec![completion.cookie],
        What::Resume { by, .. } => by.iter().map(|(_, cookie)| *cookie).collect(),
        What::Suspend { cookies, .. } => cookies.clone(),
        What::Shared { cookie } | What::Push { cookie, .. } => vec![*cookie],
        What::Leak(pointer)
        | What::Reclaim(pointer)
        | What::Peek(pointer)
        | What::Retain(pointer)
        | What::Release(pointer)
        | What::LeakForever(pointer) => vec![pointer.address],
        _ => Vec::new(),
    }
}

/// Addresses that do not travel as cookies.
fn addresses(event: &Event) -> Vec<u64> {
    match &event.what {
        What::Alloc { address, .. }
        | What::Free { address, .. }
        | What::Unmap { address, .. }
        | What::BufferInit { address, .. }
        | What::StackPointer { address, .. } => vec![*address],
        What::Realloc { from, to, .. } => vec![*from, *to],
        What::BorrowBegin(borrow) | What::BorrowEnd(borrow) => vec![borrow.cell],
        What::Submit(submission) if submission.entry.addr != 0 => vec![submission.entry.addr],
        _ => Vec::new(),
    }
}
