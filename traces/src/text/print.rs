//! Events into text that [`super::parse`] reads back as the same events.

use std::fmt::Write as _;

use wire::record::CookieState;

use super::token::quote;
use super::{
    CAPTURES, COOKIE_STATES, OWNERS, RING_KINDS, SETUP_FLAGS, SPAN_FLAGS, SQE_FLAGS,
    cqe_flag_words, flag_words, loss_reason, word_of,
};
use crate::event::{Borrow, Pointer, SiteId, Submission, TypeId, What};
use crate::events::Events;
use crate::recording::{Capture, Ended, Recording, Stopped};
use crate::scheme;

/// A whole recording as text.
pub(crate) fn print(recording: &Recording, events: &Events) -> String {
    let mut out = String::new();
    let mut processes = recording.processes.iter();
    let has_views = processes.any(|process| process.capture.is_view());
    for (index, process) in recording.processes.iter().enumerate() {
        let _ = write!(out, "process {index} pid={}", process.pid);
        if process.capture != Capture::Linked {
            let word = word_of(CAPTURES, &process.capture);
            let _ = write!(out, " capture={}", word.unwrap_or("unknown"));
        }
        // What tells which view from outside is whose.
        if has_views {
            let _ = write!(out, " start={}", process.start_time);
        }
        if !process.exe.is_empty() {
            let _ = write!(out, " exe={}", quote(process.exe.bytes()));
        }
        if process.times_by_batch {
            out.push_str(" times=batch");
        }
        let losses = &recording.losses;
        let is_lossy = losses.iter().any(|loss| loss.process as usize == index);
        if is_lossy && process.lasting.is_whole {
            out.push_str(" lasting=whole");
        }
        if process.exit_handlers_ran {
            out.push_str(" state=clean");
        }
        let end = match process.ended {
            Ended::Exited { code } => format!("exit:{code}"),
            Ended::Killed {
                signal,
                core: false,
            } => format!("killed:{signal}"),
            Ended::Killed { signal, core: true } => format!("core:{signal}"),
            Ended::Said => "said".to_owned(),
            Ended::Aborted => "aborted".to_owned(),
            Ended::Replaced => "exec".to_owned(),
            Ended::Gone => "gone".to_owned(),
            Ended::Unknown => "unknown".to_owned(),
        };
        let _ = write!(out, " end={end}");
        if let Some(until) = process.watched_until_ns {
            let _ = write!(
                out,
                " until={}",
                until.saturating_sub(recording.began_ns).max(0)
            );
        }
        match process.stopped {
            None => {}
            Some(Stopped::Program(reason)) => {
                let reason = recording.string(reason).bytes();
                let _ = write!(out, " stopped=program reason={}", quote(reason));
            }
            Some(Stopped::Recorder) => out.push_str(" stopped=recorder"),
            Some(Stopped::Unknown) => out.push_str(" stopped=unknown"),
        }
        out.push('\n');
        // Where nothing is missing, its events say it.
        for (at_ns, what) in process.lasting.events().filter(|_| is_lossy) {
            let at_ns = at_ns.saturating_sub(recording.began_ns).max(0);
            let what = words(recording, &what).join(" ");
            let _ = writeln!(out, "lasting {index} {at_ns} {what}");
        }
    }
    let labels = labels(recording);
    for (lane, label) in recording.lanes.iter().zip(&labels) {
        let name = quote(recording.string(lane.thread).bytes());
        let _ = writeln!(
            out,
            "lane {label} process={} tid={} name={name}{}",
            lane.process,
            lane.tid,
            if lane.is_running { " running" } else { "" }
        );
    }
    for event in events {
        let label = labels.get(event.lane as usize).map_or("?", String::as_str);
        let words = words(recording, &event.what).join(" ");
        let _ = writeln!(out, "{} {label} {words}", event.at_ns);
    }
    out
}

/// A label for each lane: its thread's name where that is one plain word and the only one.
fn labels(recording: &Recording) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for (index, lane) in recording.lanes.iter().enumerate() {
        let name = recording.string(lane.thread).bytes();
        let plain = !name.is_empty()
            && name
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(b));
        let name = String::from_utf8_lossy(name).into_owned();
        let label = if plain && !labels.contains(&name) {
            name
        } else {
            format!("lane.{index}")
        };
        labels.push(label);
    }
    labels
}

fn pointer(recording: &Recording, kind: &str, pointer: &Pointer) -> Vec<String> {
    let mut words = vec![kind.to_owned(), format!("{:#x}", pointer.address)];
    words.extend(type_and_site(recording, pointer.ty, pointer.site));
    words.push(format!(
        "owner={}",
        word_of(OWNERS, &pointer.owner).unwrap_or("?")
    ));
    words
}

fn type_and_site(recording: &Recording, ty: TypeId, site: SiteId) -> Vec<String> {
    let mut words = Vec::new();
    let ty = recording.ty(ty);
    let name = recording.string(ty.name);
    if !name.is_empty() {
        words.push(format!("type={}", quote(name.bytes())));
    }
    for (key, value) in [("size", ty.size), ("align", ty.align)] {
        if value != 0 {
            words.push(format!("{key}={value}"));
        }
    }
    let site = recording.site(site);
    let file = recording.string(site.file);
    if !file.is_empty() || site.line != 0 {
        words.push(format!("file={} line={}", quote(file.bytes()), site.line));
        if site.column != 0 {
            words.push(format!("column={}", site.column));
        }
    }
    words
}

fn submission(recording: &Recording, submission: &Submission) -> Vec<String> {
    let entry = &submission.entry;
    let mut words = vec![
        "submit".to_owned(),
        entry.ring.to_string(),
        crate::names::opcode(entry.opcode).into_owned(),
        format!("{:#x}", entry.cookie),
        format!("seq={}", submission.sequence),
        format!("slot={}", entry.slot),
    ];
    if submission.cookie_state != CookieState::Unknown {
        words.extend(word_of(COOKIE_STATES, &submission.cookie_state).map(str::to_owned));
    }
    words.extend(flag_words(SQE_FLAGS, u32::from(entry.sqe_flags)));
    words.extend(type_and_site(recording, TypeId(0), SiteId(entry.site)));
    if entry.fd != -1 {
        words.push(format!("fd={}", entry.fd));
    }
    let rare = [
        ("ioprio", u64::from(entry.ioprio)),
        ("buf", u64::from(entry.buf_index)),
        ("personality", u64::from(entry.personality)),
        ("addr", entry.addr),
        ("len", u64::from(entry.len)),
        ("op-flags", u64::from(entry.op_flags)),
        ("off", entry.off),
        ("file-index", u64::from(entry.file_index)),
    ];
    for (key, value) in rare {
        if value != 0 {
            words.push(format!("{key}={value:#x}"));
        }
    }
    words
}

fn descriptor(recording: &Recording, kind: &str, fd: i32, site: SiteId) -> Vec<String> {
    let mut words = vec![kind.to_owned(), fd.to_string()];
    words.extend(type_and_site(recording, TypeId(0), site));
    words
}

fn borrow(recording: &Recording, kind: &str, borrow: &Borrow) -> Vec<String> {
    let how = if borrow.exclusive {
        "exclusive"
    } else {
        "shared"
    };
    let mut words = vec![format!("{kind} {:#x} {how}", borrow.cell)];
    words.extend(type_and_site(recording, borrow.ty, borrow.site));
    words
}

fn words(recording: &Recording, what: &What) -> Vec<String> {
    let one = |kind: &str, number: u64| vec![kind.to_owned(), number.to_string()];
    let text = |id| quote(recording.string(id).bytes());
    match what {
        What::Leak(p) => pointer(recording, "leak", p),
        What::Reclaim(p) => pointer(recording, "reclaim", p),
        What::Peek(p) => pointer(recording, "peek", p),
        What::Retain(p) => pointer(recording, "retain", p),
        What::Release(p) => pointer(recording, "release", p),
        What::LeakForever(p) => pointer(recording, "leak-forever", p),
        What::RingCreate(ring) => {
            let mut words = one("ring-create", u64::from(ring.ring));
            words.push(format!(
                "sq={} cq={} fd={}",
                ring.sq_entries, ring.cq_entries, ring.fd
            ));
            words.extend(word_of(RING_KINDS, &ring.kind).map(str::to_owned));
            for word in flag_words(SETUP_FLAGS, ring.setup) {
                words.push(word.replace("flags=", "setup="));
            }
            if ring.features != 0 {
                words.push(format!("features={:#x}", ring.features));
            }
            words
        }
        What::RingDrop { ring } => one("ring-drop", u64::from(*ring)),
        What::Claim { ring, slot } => {
            let mut words = one("claim", u64::from(*ring));
            words.push(format!("slot={slot}"));
            words
        }
        What::Submit(s) => submission(recording, s),
        What::Enter {
            ring,
            to_submit,
            min_complete,
            result,
        } => {
            let mut words = vec![format!("enter {ring} {to_submit} -> {result}")];
            if *min_complete != 0 {
                words.push(format!("min={min_complete}"));
            }
            words
        }
        What::Complete(c) => {
            let mut words = vec![format!("complete {} {:#x} {}", c.ring, c.cookie, c.res)];
            words.extend(cqe_flag_words(c.flags));
            words.extend(c.index.map(|index| format!("index={index}")));
            words.extend(c.operation.map(|operation| format!("of={operation}")));
            words
        }
        What::Overflow { ring, count } => vec![format!("overflow {ring} {count}")],
        What::Passed {
            ring,
            unread,
            beyond,
            site,
        } => {
            let mut words = vec![format!("passed {ring} {unread} {beyond}")];
            words.extend(type_and_site(recording, TypeId(0), *site));
            words
        }
        What::Push { fd, index, cookie } => vec![format!("push {fd} {index} {cookie:#x}")],
        What::Spawn {
            coroutine,
            parent,
            site,
            ty,
        } => {
            let mut words = one("spawn", u64::from(*coroutine));
            words.extend(parent.map(|parent| format!("parent={parent}")));
            words.extend(type_and_site(recording, *ty, *site));
            words
        }
        What::Resume { coroutine, by } => {
            let mut words = one("resume", u64::from(*coroutine));
            words.extend(by.map(|(ring, cookie)| format!("{cookie:#x} ring={ring}")));
            words
        }
        What::Suspend { coroutine, cookies } => {
            let mut words = one("suspend", u64::from(*coroutine));
            words.extend(cookies.iter().map(|cookie| format!("{cookie:#x}")));
            words
        }
        What::Done { coroutine } => one("done", u64::from(*coroutine)),
        What::CoroutineDrop { coroutine } => one("coroutine-drop", u64::from(*coroutine)),
        What::Wake { coroutine } => one("wake", u64::from(*coroutine)),
        What::ScopeBegin {
            scope,
            parent,
            site,
            name,
            is_process,
        } => {
            let mut words = one("scope-begin", u64::from(*scope));
            words.push(format!("parent={parent} name={}", text(*name)));
            if *is_process {
                words.push("process".to_owned());
            }
            words.extend(type_and_site(recording, TypeId(0), *site));
            words
        }
        What::ScopeEnd { scope, by_panic } => {
            let mut words = one("scope-end", u64::from(*scope));
            if *by_panic {
                words.push("panic".to_owned());
            }
            words
        }
        What::ScopeEnter { scope } => one("scope-enter", u64::from(*scope)),
        What::Scheme {
            ring,
            scheme: number,
            parameter,
        } => {
            let ring = ring.map_or("all".to_owned(), |ring| ring.to_string());
            let word = word_of(scheme::WORDS, number).map_or(number.to_string(), str::to_owned);
            vec![format!("scheme {ring} {word} {parameter:#x}")]
        }
        What::Shared { cookie } => vec![format!("shared {cookie:#x}")],
        What::OwnerLabel { ring, owner } => vec![format!("owner {ring} name={}", text(*owner))],
        What::Alloc {
            address,
            size,
            align,
        } => vec![format!("alloc {address:#x} {size} align={align}")],
        What::Free { address, size } => vec![format!("free {address:#x} {size}")],
        What::Realloc { from, to, size } => vec![format!("realloc {from:#x} {to:#x} {size}")],
        What::Unmap { address, size } => vec![format!("unmap {address:#x} {size}")],
        What::FdOpen { fd, site } => descriptor(recording, "fd-open", *fd, *site),
        What::FdClose { fd, site } => descriptor(recording, "fd-close", *fd, *site),
        What::BorrowBegin(b) => borrow(recording, "borrow-begin", b),
        What::BorrowEnd(b) => borrow(recording, "borrow-end", b),
        What::BufferInit {
            address,
            size,
            initialised,
        } => vec![format!("buffer-init {address:#x} {size} {initialised}")],
        What::BufferProvide {
            ring,
            group,
            buffer,
            count,
        } => vec![format!(
            "buffer-provide {ring} {group} {buffer} count={count}"
        )],
        What::StackPointer { address, lowest } => {
            vec![format!("stack-pointer {address:#x} {lowest:#x}")]
        }
        What::Thread { tid, name } => vec![format!("thread {tid} name={}", text(*name))],
        What::Fork { child } => one("fork", u64::from(*child)),
        What::Mark { text: id, log } => {
            let mut words = vec![format!("mark {}", text(*id))];
            words.extend(super::level(log.level).map(str::to_owned));
            words.extend(flag_words(SPAN_FLAGS, u32::from(log.flags)));
            words
        }
        What::Lost(loss) => {
            let count = loss
                .records
                .map_or("?".to_owned(), |count| count.to_string());
            vec![format!("lost {count} {}", loss_reason(loss.reason))]
        }
        What::Other { kind, words } => {
            let mut out = one("other", u64::from(*kind));
            out.extend(words.iter().map(|word| format!("{word:#x}")));
            out
        }
    }
}
