//! Text into events.

use rustc_hash::FxHashMap;
use wire::payload::Submit;
use wire::record::{CookieState, Owner, RingKind};

use super::rest::{Rest, hex, site, unsigned};
use super::token::{Word, words};
use super::{
    CAPTURES, COOKIE_STATES, CQE_FLAGS, LEVELS, LOSS_REASONS, OWNERS, RING_KINDS, SETUP_FLAGS,
    SPAN_FLAGS, SQE_FLAGS, TextError, value_of,
};
use crate::event::{
    Borrow, Completion, Event, EventId, Log, Loss, LossReason, Pointer, Ring, SiteId, StringId,
    Submission, TypeId, What,
};
use crate::recording::{Ended, Lane, Process, Recording, Site, Stopped, Type};
use crate::scheme;
use crate::scopes::ScopeTracker;
use crate::untrusted::{Untrusted, tty};

/// Reads a text trace.
pub(crate) fn parse(text: &str) -> Result<(Recording, Vec<Event>), TextError> {
    let mut parser = Parser::default();
    for (index, line) in text.lines().enumerate() {
        // Messages quote the text, which anybody may have written.
        let at = |message: String| TextError {
            line: index + 1,
            message: tty(message.as_bytes()),
        };
        let words = words(line).map_err(at)?;
        if !words.is_empty() {
            parser.line(&words).map_err(at)?;
        }
    }
    if parser.recording.processes.is_empty() && !parser.events.is_empty() {
        parser.recording.processes.push(Process::default());
    }
    Ok((parser.recording, parser.events))
}

#[derive(Default)]
struct Parser {
    recording: Recording,
    events: Vec<Event>,
    lanes: FxHashMap<String, u32>,
    scopes: ScopeTracker,
    /// Next sequence number and slots of each ring.
    rings: FxHashMap<(u32, u32), (u64, u32)>,
}

impl Parser {
    fn line(&mut self, words: &[Word]) -> Result<(), String> {
        let mut rest = Rest(words.iter().collect());
        let first = rest.next("a time")?;
        match first.text() {
            "process" => return self.process_line(rest),
            "lane" => return self.lane_line(rest),
            "lasting" => return self.lasting_line(rest),
            _ => {}
        }
        let at_ns = unsigned(first.text(), "the time")?;
        if self.events.last().is_some_and(|last| last.at_ns > at_ns) {
            return Err(format!("time goes back to {at_ns}"));
        }
        let lane = self.lane(rest.next("a lane")?.text());
        let process = self.recording.lane(lane).map_or(0, |lane| lane.process);
        let process = self.recording.acting(process);
        let kind = rest.next("a kind")?;
        let what = self.what(process, lane, kind.text(), &mut rest)?;
        rest.end()?;
        let scope = self.scopes.step(process, lane, &what);
        let id = EventId(self.events.len() as u64);
        if let What::Lost(loss) = what {
            self.recording.losses.push(crate::recording::LocatedLoss {
                event: id,
                process,
                lane,
                loss,
            });
        }
        self.events.push(Event {
            id,
            at_ns,
            process,
            lane,
            scope,
            what,
        });
        Ok(())
    }

    fn process_line(&mut self, mut rest: Rest<'_>) -> Result<(), String> {
        let index: u32 = rest.number("the process")?;
        if index > 1000 {
            return Err("more than 1000 processes".to_owned());
        }
        let process = self.process(index);
        if let Some(pid) = rest.key_number("pid")? {
            process.pid = pid;
        }
        if let Some(start) = rest.key_number("start")? {
            process.start_time = start;
        }
        if let Some(word) = rest.key("capture").map(Word::text) {
            process.capture =
                value_of(CAPTURES, word).ok_or_else(|| format!("no capture level: {word}"))?;
        }
        if let Some(exe) = rest.key("exe") {
            process.exe = Untrusted::new(exe.value.clone());
        }
        match rest.key("times").map(Word::text) {
            None => {}
            Some("batch") => process.times_by_batch = true,
            Some(other) => return Err(format!("no times: {other}")),
        }
        match rest.key("lasting").map(Word::text) {
            None => {}
            Some("whole") => process.lasting.is_whole = true,
            Some(other) => return Err(format!("no amount of what lasts: {other}")),
        }
        match rest.key("state").map(Word::text) {
            None | Some("running") => {}
            Some("clean") => process.exit_handlers_ran = true,
            Some(other) => return Err(format!("no state: {other}")),
        }
        if let Some(until) = rest.key_number::<u64>("until")? {
            process.watched_until_ns = i64::try_from(until).ok();
        }
        if let Some(end) = rest.key("end") {
            let (how, value) = end.text().split_once(':').unwrap_or((end.text(), "0"));
            let value: i32 = value.parse().map_err(|_| format!("no number: {value}"))?;
            process.ended = match how {
                "exit" => Ended::Exited { code: value },
                "killed" => Ended::Killed {
                    signal: value,
                    core: false,
                },
                "core" => Ended::Killed {
                    signal: value,
                    core: true,
                },
                "said" => Ended::Said,
                "aborted" => Ended::Aborted,
                "exec" => Ended::Replaced,
                "gone" => Ended::Gone,
                "unknown" => Ended::Unknown,
                other => return Err(format!("no end: {other}")),
            };
        }
        let reason = rest.key("reason").map(|word| word.value.clone());
        if let Some(by) = rest.key("stopped").map(Word::text) {
            let reason = Untrusted::new(reason.unwrap_or_default());
            let stopped = match by {
                "program" => Stopped::Program(self.recording.tables.string(reason)),
                "recorder" => Stopped::Recorder,
                "unknown" => Stopped::Unknown,
                other => return Err(format!("nothing that stops a recording: {other}")),
            };
            self.process(index).stopped = Some(stopped);
        }
        rest.end()
    }

    /// What a process said that lasts, in the words of its events.
    fn lasting_line(&mut self, mut rest: Rest<'_>) -> Result<(), String> {
        let index: u32 = rest.number("the process")?;
        if index as usize >= self.recording.processes.len() {
            return Err(format!("no process {index} so far"));
        }
        let at_ns: u64 = rest.number("the time")?;
        let at_ns = i64::try_from(at_ns).unwrap_or(i64::MAX);
        let kind = rest.next("a kind")?.text();
        if !matches!(kind, "ring-create" | "scheme" | "shared" | "spawn") {
            return Err(format!("nothing that lasts: {kind}"));
        }
        let what = self.what(index, 0, kind, &mut rest)?;
        self.process(index).lasting.take(at_ns, what);
        rest.end()
    }

    fn process(&mut self, index: u32) -> &mut Process {
        let index = index as usize;
        let processes = &mut self.recording.processes;
        while processes.len() <= index {
            let pid = u32::try_from(processes.len() + 1).unwrap_or(u32::MAX);
            processes.push(Process {
                pid,
                ..Process::default()
            });
        }
        &mut processes[index]
    }

    fn lane_line(&mut self, mut rest: Rest<'_>) -> Result<(), String> {
        let label = rest.next("the lane")?.text().to_owned();
        let process = rest.key_number("process")?.unwrap_or(0);
        let index = self.lane_in(&label, process);
        let tid = rest.key_number("tid")?;
        let name = rest
            .key("name")
            .map(|word| Untrusted::new(word.value.clone()));
        let thread = name.map(|name| self.recording.tables.string(name));
        let running = rest.optional_if(|word| (word == "running").then_some(()));
        if let Some(lane) = self.recording.lanes.get_mut(index as usize) {
            lane.is_running = running.is_some();
            lane.tid = tid.unwrap_or(lane.tid);
            lane.thread = thread.unwrap_or(lane.thread);
        }
        rest.end()
    }

    fn lane(&mut self, label: &str) -> u32 {
        self.lane_in(label, 0)
    }

    fn lane_in(&mut self, label: &str, process: u32) -> u32 {
        if let Some(index) = self.lanes.get(label) {
            return *index;
        }
        self.process(process.min(1000));
        let index = u32::try_from(self.recording.lanes.len()).unwrap_or(u32::MAX);
        let thread = self.recording.tables.string(Untrusted::from(label));
        self.recording.lanes.push(Lane {
            process: process.min(1000),
            tid: 0,
            thread,
            has_namesake: false,
            is_running: false,
        });
        self.lanes.insert(label.to_owned(), index);
        index
    }

    fn what(
        &mut self,
        process: u32,
        lane: u32,
        kind: &str,
        rest: &mut Rest<'_>,
    ) -> Result<What, String> {
        Ok(match kind {
            "leak" => What::Leak(self.pointer(rest)?),
            "reclaim" => What::Reclaim(self.pointer(rest)?),
            "peek" => What::Peek(self.pointer(rest)?),
            "retain" => What::Retain(self.pointer(rest)?),
            "release" => What::Release(self.pointer(rest)?),
            "leak-forever" => What::LeakForever(self.pointer(rest)?),
            "ring-create" => What::RingCreate(self.ring(process, rest)?),
            "ring-drop" => What::RingDrop {
                ring: rest.number("the ring")?,
            },
            "claim" => {
                let ring = rest.number("the ring")?;
                What::Claim {
                    ring,
                    slot: rest.key_number("slot")?.unwrap_or(0),
                }
            }
            "submit" => What::Submit(self.submission(process, rest)?),
            "enter" => {
                let ring = rest.number("the ring")?;
                let to_submit = rest.number("the number of submissions")?;
                rest.optional_if(|word| (word == "->").then_some(()));
                let result = rest.signed("the result")?;
                What::Enter {
                    ring,
                    to_submit,
                    min_complete: rest.key_number("min")?.unwrap_or(0),
                    result,
                }
            }
            "complete" => {
                let ring = rest.number("the ring")?;
                let cookie = rest.number("the cookie")?;
                let res = rest.signed("the result")?;
                let index = rest.key_number("index")?;
                let operation = rest.key_number("of")?;
                let flags = rest.flags(CQE_FLAGS, "flags")?;
                What::Complete(Completion {
                    ring,
                    cookie,
                    res,
                    flags,
                    index,
                    operation,
                })
            }
            "overflow" => What::Overflow {
                ring: rest.number("the ring")?,
                count: rest.number("the number")?,
            },
            "passed" => What::Passed {
                ring: rest.number("the ring")?,
                unread: rest.number("the number of completions")?,
                beyond: rest.number("by how many more than there were")?,
                site: self.type_and_site(rest)?.1,
            },
            "push" => What::Push {
                fd: rest.signed("the descriptor of the ring")?,
                index: rest.number("the index in the queue")?,
                cookie: rest.number("the cookie")?,
            },
            "spawn" => {
                let coroutine = rest.number("the coroutine")?;
                let parent = rest.key_number("parent")?;
                let (ty, site) = self.type_and_site(rest)?;
                What::Spawn {
                    coroutine,
                    parent,
                    site,
                    ty,
                }
            }
            "resume" => {
                let coroutine = rest.number("the coroutine")?;
                let ring = rest.key_number("ring")?.unwrap_or(0);
                let cookie = rest.optional_if(hex);
                What::Resume {
                    coroutine,
                    by: cookie.map(|cookie| (ring, cookie)),
                }
            }
            "suspend" => {
                let coroutine = rest.number("the coroutine")?;
                let mut cookies = Vec::new();
                while let Some(cookie) = rest.optional_if(hex) {
                    cookies.push(cookie);
                }
                What::Suspend { coroutine, cookies }
            }
            "done" => What::Done {
                coroutine: rest.number("the coroutine")?,
            },
            "coroutine-drop" => What::CoroutineDrop {
                coroutine: rest.number("the coroutine")?,
            },
            "wake" => What::Wake {
                coroutine: rest.number("the coroutine")?,
            },
            "scope-begin" => {
                let scope = rest.number("the scope")?;
                let parent = rest.key_number("parent")?.unwrap_or(0);
                let name = self.keyed_text(rest, "name");
                let is_process = rest
                    .optional_if(|word| (word == "process").then_some(()))
                    .is_some();
                let (_, site) = self.type_and_site(rest)?;
                What::ScopeBegin {
                    scope,
                    parent,
                    site,
                    name,
                    is_process,
                }
            }
            "scope-end" => What::ScopeEnd {
                scope: rest.number("the scope")?,
                by_panic: rest
                    .optional_if(|word| (word == "panic").then_some(()))
                    .is_some(),
            },
            "scope-enter" => What::ScopeEnter {
                scope: rest.number("the scope")?,
            },
            "scheme" => {
                let ring = rest.next("the ring, or all")?.text();
                let ring = if ring == "all" {
                    None
                } else {
                    Some(unsigned(ring, "the ring")?)
                };
                let word = rest.next("the scheme")?.text();
                let scheme = match value_of(scheme::WORDS, word) {
                    Some(scheme) => scheme,
                    None => unsigned(word, "the scheme")?,
                };
                let parameter = rest
                    .optional_if(|text| unsigned(text, "").ok())
                    .unwrap_or(0);
                What::Scheme {
                    ring,
                    scheme,
                    parameter,
                }
            }
            "shared" => What::Shared {
                cookie: rest.number("the cookie")?,
            },
            "owner" => What::OwnerLabel {
                ring: rest.number("the ring")?,
                owner: self.keyed_text(rest, "name"),
            },
            "alloc" => What::Alloc {
                address: rest.number("the address")?,
                size: rest.number("the size")?,
                align: rest.key_number("align")?.unwrap_or(0),
            },
            "free" => What::Free {
                address: rest.number("the address")?,
                size: rest.number("the size")?,
            },
            "realloc" => What::Realloc {
                from: rest.number("the old address")?,
                to: rest.number("the new address")?,
                size: rest.number("the size")?,
            },
            "unmap" => What::Unmap {
                address: rest.number("the address")?,
                size: rest.number("the size")?,
            },
            "fd-open" => What::FdOpen {
                fd: rest.signed("the descriptor")?,
                site: self.type_and_site(rest)?.1,
            },
            "fd-close" => What::FdClose {
                fd: rest.signed("the descriptor")?,
                site: self.type_and_site(rest)?.1,
            },
            "borrow-begin" => What::BorrowBegin(self.borrow(rest)?),
            "borrow-end" => What::BorrowEnd(self.borrow(rest)?),
            "buffer-init" => What::BufferInit {
                address: rest.number("the address")?,
                size: rest.number("the size")?,
                initialised: rest.number("the initialised bytes")?,
            },
            "buffer-provide" => What::BufferProvide {
                ring: rest.number("the ring")?,
                group: rest.number("the group")?,
                buffer: rest.number("the buffer id")?,
                count: rest.key_number("count")?.unwrap_or(1),
            },
            "stack-pointer" => What::StackPointer {
                address: rest.number("the stack pointer")?,
                lowest: rest.number("the lowest address")?,
            },
            "thread" => {
                let tid = rest.number("the thread id")?;
                let name = self.keyed_text(rest, "name");
                if let Some(lane) = self.recording.lanes.get_mut(lane as usize) {
                    lane.tid = tid;
                }
                What::Thread { tid, name }
            }
            "fork" => What::Fork {
                child: rest.number("the child's process id")?,
            },
            "mark" => {
                let text = Untrusted::new(rest.next("the text")?.value.clone());
                What::Mark {
                    text: self.recording.tables.string_of(process, text),
                    log: Log {
                        level: rest.optional_if(|word| value_of(LEVELS, word)).unwrap_or(0),
                        flags: rest.flags(SPAN_FLAGS, "span")? as u8,
                    },
                }
            }
            "lost" => {
                let count = rest.next("the number")?.text();
                let records = if count == "?" {
                    None
                } else {
                    Some(unsigned(count, "the number")?)
                };
                let reason = rest.optional_if(|word| value_of(LOSS_REASONS, word));
                What::Lost(Loss {
                    records,
                    reason: reason.unwrap_or(LossReason::Removed),
                })
            }
            "other" => {
                let kind = rest.number("the kind's number")?;
                let mut words = Vec::new();
                while let Some(word) = rest.optional_if(hex) {
                    words.push(word);
                }
                What::Other { kind, words }
            }
            other => return Err(format!("no kind of event: {other}")),
        })
    }

    fn keyed_text(&mut self, rest: &mut Rest<'_>, key: &str) -> StringId {
        let text = rest.key(key).map(|word| Untrusted::new(word.value.clone()));
        self.recording.tables.string(text.unwrap_or_default())
    }

    fn type_and_site(&mut self, rest: &mut Rest<'_>) -> Result<(TypeId, SiteId), String> {
        let keyed_type = rest.key("type").map(|word| word.value.clone());
        let keyed_file = rest.key("file").map(|word| word.value.clone());
        let mut place = Site::default();
        let mut name = keyed_type;
        if let Some(file) = keyed_file {
            place = Site {
                file: self.recording.tables.string(Untrusted::new(file)),
                line: rest.key_number("line")?.unwrap_or(0),
                column: rest.key_number("column")?.unwrap_or(0),
            };
        }
        if name.is_none() {
            name = rest.optional_if(|word| {
                let free = site(word).is_none() && value_of(COOKIE_STATES, word).is_none();
                free.then(|| word.as_bytes().to_vec())
            });
        }
        let written = rest.optional_if(|word| site(word).map(|(f, l, c)| (f.to_owned(), l, c)));
        if let Some((file, line, column)) = written {
            let file = self.recording.tables.string(Untrusted::from(file.as_str()));
            place = Site { file, line, column };
        }
        let size = rest.key_number("size")?.unwrap_or(0);
        let align = rest.key_number("align")?.unwrap_or(0);
        let name = name.filter(|name| name != b"?").unwrap_or_default();
        let name = self.recording.tables.string(Untrusted::new(name));
        let ty = self.recording.tables.ty(Type { name, size, align });
        Ok((ty, self.recording.tables.site(place)))
    }

    fn pointer(&mut self, rest: &mut Rest<'_>) -> Result<Pointer, String> {
        let address = rest.number("the address")?;
        let owner = match rest.key("owner").map(Word::text) {
            None => Owner::Box,
            Some(word) => value_of(OWNERS, word).ok_or_else(|| format!("no owner: {word}"))?,
        };
        let (ty, site) = self.type_and_site(rest)?;
        Ok(Pointer {
            address,
            owner,
            ty,
            site,
        })
    }

    fn borrow(&mut self, rest: &mut Rest<'_>) -> Result<Borrow, String> {
        let cell = rest.number("the cell")?;
        let exclusive = match rest.next("shared or exclusive")?.text() {
            "shared" => false,
            "exclusive" => true,
            other => return Err(format!("neither shared nor exclusive: {other}")),
        };
        let (ty, site) = self.type_and_site(rest)?;
        Ok(Borrow {
            cell,
            ty,
            site,
            exclusive,
        })
    }

    fn ring(&mut self, process: u32, rest: &mut Rest<'_>) -> Result<Ring, String> {
        let ring = rest.number("the ring")?;
        let sq_entries = rest.key_number("sq")?.unwrap_or(8);
        self.rings.insert((process, ring), (0, sq_entries));
        Ok(Ring {
            ring,
            fd: rest.key_signed("fd")?.unwrap_or(-1),
            sq_entries,
            cq_entries: match rest.key_number("cq")? {
                Some(entries) => entries,
                None => sq_entries.saturating_mul(2),
            },
            features: rest.key_number("features")?.unwrap_or(0),
            setup: rest.flags(SETUP_FLAGS, "setup")?,
            kind: rest
                .optional_if(|word| value_of(RING_KINDS, word))
                .unwrap_or(RingKind::Copied),
        })
    }

    fn submission(&mut self, process: u32, rest: &mut Rest<'_>) -> Result<Submission, String> {
        let ring: u16 = rest.number("the ring")?;
        let name = rest.next("the operation")?.text();
        let opcode = crate::names::opcode_by_name(name)
            .ok_or_else(|| format!("no operation of io_uring: {name}"))?;
        let cookie = rest.number("the cookie")?;
        let (next, slots) = self
            .rings
            .entry((process, u32::from(ring)))
            .or_insert((0, 8));
        let sequence = rest.key_number("seq")?.unwrap_or(*next);
        *next = sequence.saturating_add(1);
        let lap = sequence.checked_rem(u64::from(*slots)).unwrap_or(0);
        let slot = match rest.key_number("slot")? {
            Some(slot) => slot,
            None => u16::try_from(lap).unwrap_or(u16::MAX),
        };
        let sqe_flags = rest.flags(SQE_FLAGS, "flags")?;
        let mut state = None;
        rest.0
            .retain(|word| match value_of(COOKIE_STATES, word.text()) {
                Some(found) if word.key.is_none() => {
                    state = Some(found);
                    false
                }
                _ => true,
            });
        let (_, site) = self.type_and_site(rest)?;
        let entry = Submit {
            cookie,
            sequence: sequence as u32,
            ring,
            slot,
            opcode,
            sqe_flags: u8::try_from(sqe_flags).map_err(|_| "flags do not fit a byte")?,
            ioprio: rest.key_number("ioprio")?.unwrap_or(0),
            fd: rest.key_signed("fd")?.unwrap_or(-1),
            site: site.0,
            buf_index: rest.key_number("buf")?.unwrap_or(0),
            personality: rest.key_number("personality")?.unwrap_or(0),
            addr: rest.key_number("addr")?.unwrap_or(0),
            len: rest.key_number("len")?.unwrap_or(0),
            op_flags: rest.key_number("op-flags")?.unwrap_or(0),
            off: rest.key_number("off")?.unwrap_or(0),
            file_index: rest.key_number("file-index")?.unwrap_or(0),
        };
        Ok(Submission {
            entry,
            sequence,
            cookie_state: state.unwrap_or(CookieState::Unknown),
        })
    }
}
