//! Events and subjects as single lines: hex, aliases with generations, places.

use crate::event::{Borrow, Event, EventId, Pointer, SiteId, TypeId, What};
use crate::finding::Subject;
use crate::names::result;
use crate::text::{cqe_flag_words, loss_reason};
use crate::trace::Trace;

/// What an event says, and who called where that was recorded.
pub(crate) fn describe(trace: &Trace, event: &Event) -> String {
    let text = what(trace, event);
    let stack = trace.stack_lines(event);
    if stack.is_empty() {
        text
    } else {
        format!("{text} via {}", stack.join(" < "))
    }
}

/// What an event says.
pub(crate) fn what(trace: &Trace, event: &Event) -> String {
    let names = trace.names();
    let link = trace.link(event.id);
    let generation = || {
        if link.generation == 0 {
            String::new()
        } else {
            format!(
                " {}",
                names.generation(event.process, link.address, link.generation)
            )
        }
    };
    let place = |site: SiteId| match names.site(site).as_str() {
        "?" => String::new(),
        site => format!(" at {site}"),
    };
    let of = |ty: TypeId| match names.ty(ty).as_str() {
        "?" => String::new(),
        ty => format!(" {ty}"),
    };
    let pointer = |kind: &str, pointer: &Pointer| {
        let alias = if link.generation == 0 {
            format!(" {:#x}", pointer.address)
        } else {
            generation()
        };
        format!(
            "{kind}{alias} {}{}",
            pointer.owner.name(),
            place(pointer.site)
        )
    };
    match &event.what {
        What::Leak(p) => pointer("leak", p),
        What::Reclaim(p) => pointer("reclaim", p),
        What::Peek(p) => pointer("peek", p),
        What::Retain(p) => pointer("retain", p),
        What::Release(p) => pointer("release", p),
        What::LeakForever(p) => pointer("leak-forever", p),
        What::RingCreate(ring) => format!(
            "ring-create ring {} fd {} sq {} cq {} setup {:#x}",
            ring.ring, ring.fd, ring.sq_entries, ring.cq_entries, ring.setup
        ),
        What::RingDrop { ring } => format!("ring-drop ring {ring}"),
        What::Claim { ring, slot } => format!("claim ring {ring} slot {slot}"),
        What::Submit(submission) => {
            let entry = &submission.entry;
            let state = match submission.cookie_state {
                wire::record::CookieState::Unknown => "",
                wire::record::CookieState::Set => " set",
                wire::record::CookieState::Leftover => " leftover",
                wire::record::CookieState::Poisoned => " never set, leftover",
                wire::record::CookieState::NeverWritten => " never set, none before",
            };
            format!(
                "submit {} cookie {:#x}{state}{}{}",
                names.operation(
                    u32::from(entry.ring),
                    submission.sequence,
                    entry.slot,
                    entry.opcode
                ),
                entry.cookie,
                generation(),
                place(SiteId(entry.site)),
            )
        }
        What::Enter {
            ring,
            to_submit,
            min_complete,
            result: value,
        } => format!(
            "enter ring {ring} submit {to_submit} wait {min_complete} result {}",
            result(*value)
        ),
        What::Complete(completion) => {
            let operation = match link.operation {
                Some((_, sequence)) => format!(" operation #{sequence}"),
                None => String::new(),
            };
            let mut flags = cqe_flag_words(completion.flags).join(" ");
            if !flags.is_empty() {
                flags.insert(0, ' ');
            }
            format!(
                "complete ring {}{operation} cookie {:#x} result {}{flags}{}",
                completion.ring,
                completion.cookie,
                result(completion.res),
                generation()
            )
        }
        What::Overflow { ring, count } => format!("overflow ring {ring} waiting {count}"),
        What::Passed {
            ring,
            unread,
            beyond,
            site,
        } => format!(
            "passed ring {ring} unread {unread} beyond {beyond}{}",
            place(*site)
        ),
        What::Push { fd, index, cookie } => {
            let operation = match link.operation {
                Some((ring, sequence)) => format!("ring {ring} operation #{sequence}"),
                None => format!("ring fd {fd} index {index}"),
            };
            format!("push {operation} cookie {cookie:#x}{}", generation())
        }
        What::Spawn {
            coroutine,
            parent,
            site,
            ty,
        } => {
            let by = parent.map_or(String::new(), |parent| format!(" by coroutine {parent}"));
            format!("spawn coroutine {coroutine}{}{by}{}", of(*ty), place(*site))
        }
        What::Resume {
            coroutine,
            by: Some((ring, cookie)),
        } => {
            format!(
                "resume coroutine {coroutine} by ring {ring} cookie {cookie:#x}{}",
                generation()
            )
        }
        What::Resume {
            coroutine,
            by: None,
        } => format!("resume coroutine {coroutine} by a wake"),
        What::Suspend { coroutine, cookies } => {
            let cookies: Vec<String> = cookies.iter().map(|c| format!(" {c:#x}")).collect();
            let on = if cookies.is_empty() { "" } else { " on" };
            format!("suspend coroutine {coroutine}{on}{}", cookies.concat())
        }
        What::Done { coroutine } => format!("done coroutine {coroutine}"),
        What::CoroutineDrop { coroutine } => format!("coroutine-drop coroutine {coroutine}"),
        What::Wake { coroutine } => format!("wake coroutine {coroutine}"),
        What::ScopeBegin {
            scope,
            parent,
            site,
            name,
            is_process,
        } => {
            let whole = if *is_process { " of the process" } else { "" };
            format!(
                "scope-begin {scope}{whole} in {parent} {}{}",
                names.text(*name),
                place(*site)
            )
        }
        What::ScopeEnd { scope, by_panic } => {
            let by_panic = if *by_panic { " by a panic" } else { "" };
            format!("scope-end {scope}{by_panic}")
        }
        What::ScopeEnter { scope } => format!("scope-enter {scope}"),
        What::Scheme {
            ring,
            scheme,
            parameter,
        } => {
            let ring = ring.map_or("all rings".to_owned(), |ring| format!("ring {ring}"));
            let known = crate::scheme::WORDS.iter().find(|entry| entry.0 == *scheme);
            let word = known.map_or_else(|| scheme.to_string(), |entry| entry.1.to_owned());
            format!("scheme {ring} {word} {parameter:#x}")
        }
        What::Shared { cookie } => format!("shared cookie {cookie:#x}"),
        What::OwnerLabel { ring, owner } => {
            format!("owner of ring {ring} {}", names.text(*owner))
        }
        What::Alloc { address, size, .. } => format!("alloc {address:#x} {size} bytes"),
        What::Free { address, size } => format!("free {address:#x} {size} bytes"),
        What::Realloc { from, to, size } => {
            format!("realloc {from:#x} to {to:#x} {size} bytes")
        }
        What::Unmap { address, size } => format!("unmap {address:#x} {size} bytes"),
        What::FdOpen { fd, site } => format!("fd-open {fd}{}", place(*site)),
        What::FdClose { fd, site } => format!("fd-close {fd}{}", place(*site)),
        What::BorrowBegin(b) => format!("borrow-begin {}{}", borrowed(b), place(b.site)),
        What::BorrowEnd(b) => format!("borrow-end {}{}", borrowed(b), place(b.site)),
        What::BufferInit {
            address,
            size,
            initialised,
        } => format!("buffer-init {address:#x} {initialised} of {size} bytes"),
        What::BufferProvide {
            ring,
            group,
            buffer,
            count,
        } => format!("buffer-provide ring {ring} group {group} buffer {buffer} count {count}"),
        What::StackPointer { address, lowest } => {
            format!("stack-pointer {address:#x} lowest {lowest:#x}")
        }
        What::Thread { tid, name } => format!("thread {tid} {}", names.text(*name)),
        What::Fork { child } => format!("fork process {child}"),
        What::Mark { text, log } => {
            let words = [
                Some("mark"),
                crate::text::level(log.level),
                crate::text::crossing(log.flags),
            ];
            let words: Vec<_> = words.into_iter().flatten().collect();
            format!("{} {}", words.join(" "), names.text(*text))
        }
        What::Lost(loss) => {
            let count = loss
                .records
                .map_or("records".to_owned(), |n| format!("{n} records"));
            format!("lost {count} {}", loss_reason(loss.reason))
        }
        What::Other { kind, words } => {
            let schemas = &trace.recording().tables.schemas;
            if let Some(schema) = schemas.get(&(event.process, *kind)) {
                return schema.describe(trace, *kind, words);
            }
            let name = wire::record::Kind::from_u8(*kind).map_or("other", |kind| kind.name());
            let words: Vec<String> = words.iter().map(|word| format!(" {word:#x}")).collect();
            format!("{name} (kind {kind}){}", words.concat())
        }
    }
}

fn borrowed(borrow: &Borrow) -> String {
    let how = if borrow.exclusive {
        "exclusive"
    } else {
        "shared"
    };
    format!("{:#x} {how}", borrow.cell)
}

/// The name of a subject.
pub(crate) fn name_of(trace: &Trace, subject: Subject, part: Option<EventId>) -> String {
    let names = trace.names();
    match subject {
        Subject::Generation {
            address,
            generation: 0,
            ..
        } => format!("cell {address:#x}"),
        Subject::Generation {
            process,
            address,
            generation,
        } => names.generation(process, address, generation),
        Subject::Operation {
            process,
            ring,
            sequence,
        } => {
            let found = trace
                .submission_of(process, ring, sequence, part)
                .and_then(|id| trace.event(id));
            match found.map(|event| &event.what) {
                Some(What::Submit(s)) => {
                    names.operation(ring, sequence, s.entry.slot, s.entry.opcode)
                }
                _ => format!("operation #{sequence} (ring {ring})"),
            }
        }
        Subject::Coroutine { process, coroutine } => names.coroutine(process, coroutine),
        Subject::Cookie { ring, cookie, .. } => format!("cookie {cookie:#x} on ring {ring}"),
    }
}
