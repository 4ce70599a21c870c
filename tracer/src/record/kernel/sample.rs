//! Records of the kernel's rings, in words of io_uring.

use std::path::Path;

use anyhow::{Context, Result};
use wire::payload::Submit;

use super::format::{Field, Format};
use super::look::frames::{IP, REGISTERS};
use super::maps::Mapping;
use super::perf::Stacks;
use super::tracefs;

/// Kinds of records (`PERF_RECORD_*`).
const LOST: u32 = 2;
const COMM: u32 = 3;
const EXIT: u32 = 4;
const FORK: u32 = 7;
const SAMPLE: u32 = 9;
const MMAP2: u32 = 10;
/// Their bits: a name that came with `exec`, a mapping with its build-id (`PERF_RECORD_MISC_*`).
const COMM_EXEC: u16 = 1 << 13;
const MMAP_BUILD_ID: u16 = 1 << 14;
/// Bytes of thread and time behind every record that is no sample.
const TRAILER: usize = 16;

/// Something that the kernel said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// `CLOCK_MONOTONIC` in ns.
    pub(super) at: u64,
    /// Process and thread in whose context it happened.
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) said: Said,
    /// Who called, the innermost first, where that is listened to.
    pub(super) stack: Box<[u64]>,
}

/// What it said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// A ring was made.
    Create {
        ctx: u64,
        fd: i32,
        entries: (u32, u32),
        setup: u32,
    },
    /// An entry was taken from the submission queue.
    Submit {
        ctx: u64,
        req: u64,
        cookie: u64,
        opcode: u8,
        flags: u8,
        /// All of it, where the kernel refused it and says so.
        whole: Option<Box<Submit>>,
    },
    /// A completion was stored.
    Complete {
        ctx: u64,
        /// 0 where the kernel says no request.
        req: u64,
        cookie: u64,
        res: i32,
        flags: u32,
    },
    /// A completion found no room, and is kept.
    Overflow {
        ctx: u64,
        cookie: u64,
        res: i32,
        flags: u32,
    },
    /// One of the program's functions was called.
    Call(Hit),
    /// An entry was put into a submission queue.
    Push(Box<Push>),
    /// A thread, or a process, was begun by another one.
    Fork { parent: (u32, u32) },
    /// A thread has a name.
    Comm(Vec<u8>),
    /// And its process is another program's image.
    Exec(Vec<u8>),
    /// A process maps code.
    Mapped(Box<Mapping>),
    /// A thread ended.
    Exit,
    /// So many records found no room before this one.
    Lost(u64),
}

/// A call of a function that is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// Which of them, and where it begins in memory.
    pub(super) number: u32,
    pub(super) begins: u64,
    /// Where the call goes back to.
    pub(super) returns_to: u64,
    /// What it was called with, or its result.
    pub(super) word: u64,
}

/// A call that puts an entry into a submission queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Push {
    /// Which of the functions that do it.
    pub(super) number: u32,
    /// Descriptor of the ring, index of the entry in its queue, and its cookie.
    pub(super) fd: i32,
    pub(super) index: u32,
    pub(super) cookie: u64,
    /// The registers that callers find as they were.
    pub(super) registers: [u64; REGISTERS],
    /// What lay on the stack, from its end on.
    pub(super) stack: Box<[u8]>,
}

impl Push {
    /// Where the function begins in memory.
    pub(super) fn address(&self) -> u64 {
        self.registers[IP]
    }
}

/// The tracepoints that are listened to, and where their fields lie.
#[derive(Clone, Debug)]
pub(super) struct Tracepoints {
    create: (u64, [Field; 5]),
    submit: (u64, [Field; 5]),
    failed: (u64, [Field; 4], Vec<Option<Field>>),
    complete: (u64, [Field; 5]),
    overflow: (u64, [Field; 4]),
    /// Entries and returns of the program's functions: number, beginning, where it returns to, and a word.
    calls: Vec<(u64, [Field; 4])>,
    /// Entries of what puts entries into queues: number, descriptor, index and cookie.
    pushes: Option<(u64, [Field; 4])>,
    /// Whether records have room for a call stack.
    has_stacks: bool,
}

/// Fields of an entry that the kernel refused, beside ring, request, cookie and opcode.
const OF_FAILED: [&str; 8] = [
    "flags",
    "off",
    "addr",
    "len",
    "op_flags",
    "buf_index",
    "personality",
    "file_index",
];

impl Tracepoints {
    /// Reads what tracefs says of them.
    pub(super) fn read(place: &Path) -> Result<Self> {
        let read = |names: &[&str]| tracefs::format(place, names);
        let create = read(&["io_uring_create"])?;
        let submit = read(&["io_uring_submit_req", "io_uring_submit_sqe"])?;
        let failed = read(&["io_uring_req_failed"])?;
        let complete = read(&["io_uring_complete"])?;
        let overflow = read(&["io_uring_cqe_overflow"])?;
        Ok(Self {
            create: (
                create.id,
                fields(&create, ["ctx", "fd", "sq_entries", "cq_entries", "flags"])?,
            ),
            submit: (
                submit.id,
                fields(&submit, ["ctx", "req", "user_data", "opcode", "flags"])?,
            ),
            failed: (
                failed.id,
                fields(&failed, ["ctx", "req", "user_data", "opcode"])?,
                OF_FAILED.iter().map(|name| failed.field(&[name])).collect(),
            ),
            complete: (
                complete.id,
                fields(&complete, ["ctx", "req", "user_data", "res", "cflags"])?,
            ),
            overflow: (
                overflow.id,
                fields(&overflow, ["ctx", "user_data", "res", "cflags"])?,
            ),
            calls: Vec::new(),
            pushes: None,
            has_stacks: false,
        })
    }

    /// Has records of submissions say who called.
    pub(super) fn and_stacks(mut self) -> Self {
        self.has_stacks = true;
        self
    }

    /// Listens to functions of the program as well.
    pub(super) fn and_calls(mut self, formats: [Option<Format>; 3]) -> Result<Self> {
        let [enter, leave, push] = formats;
        let names = [
            ["id", "__probe_ip", "ret", "ptr"],
            ["id", "__probe_func", "__probe_ret_ip", "ptr"],
        ];
        for (format, names) in [enter, leave].into_iter().zip(names) {
            if let Some(format) = format {
                self.calls.push((format.id, fields(&format, names)?));
            }
        }
        if let Some(format) = push {
            let fields = fields(&format, ["id", "fd", "index", "cookie"])?;
            self.pushes = Some((format.id, fields));
        }
        Ok(self)
    }

    /// The number of what says pushes, whose records have a form and a ring of their own.
    pub(super) fn pushes(&self) -> Option<u64> {
        self.pushes.map(|(id, _)| id)
    }

    /// Whether it has to be known which files code comes from.
    pub(super) fn have_code(&self) -> bool {
        self.has_stacks || self.pushes.is_some()
    }

    /// What a record in the ring of pushes says.
    pub(super) fn parse_push(&self, (kind, misc): (u32, u16), body: &[u8]) -> Option<Entry> {
        let Some((_, fields)) = self.pushes.filter(|_| kind == SAMPLE) else {
            return self.parse((kind, misc), body);
        };
        let at = number(body, 8)?;
        let size = half(body, 16)? as usize;
        let end = 20usize.checked_add(size)?;
        let raw = body.get(20..end)?;
        let [which, fd, index, cookie] = fields.each_ref().map(|field| field.of(raw));
        let mut rest = body.get(end..)?;
        let mut registers = [0; REGISTERS];
        // 0: a thread of the kernel's, which has none.
        if number(rest, 0)? != 0 {
            for (at, register) in (8..).step_by(8).zip(&mut registers) {
                *register = number(rest, at)?;
            }
            rest = rest.get(8 * REGISTERS..)?;
        }
        rest = rest.get(8..)?;
        let room = usize::try_from(number(rest, 0)?).ok()?;
        let mut stack = &[][..];
        if room > 0 {
            let copied = usize::try_from(number(rest, 8usize.checked_add(room)?)?).ok()?;
            stack = rest.get(8..8usize.checked_add(copied.min(room))?)?;
        }
        let push = Push {
            number: which as u32,
            fd: fd as i32,
            index: index as u32,
            cookie,
            registers,
            stack: stack.into(),
        };
        entry(body, 0, at, Said::Push(Box::new(push)))
    }

    /// Their numbers, and what their records say of stacks.
    pub(super) fn ids(&self) -> ((u64, Stacks), impl Iterator<Item = (u64, Stacks)>) {
        let (walked, empty) = if self.has_stacks {
            (Stacks::Walked, Stacks::Empty)
        } else {
            (Stacks::Never, Stacks::Never)
        };
        let rest = [
            (self.submit.0, walked),
            (self.failed.0, walked),
            (self.complete.0, empty),
            (self.overflow.0, empty),
        ];
        let calls = self.calls.iter().map(move |(id, _)| (*id, empty));
        ((self.create.0, empty), rest.into_iter().chain(calls))
    }

    /// What a record says; nothing where it is of no use.
    pub(super) fn parse(&self, (kind, misc): (u32, u16), body: &[u8]) -> Option<Entry> {
        match kind {
            SAMPLE => {
                let at = number(body, 8)?;
                let mut rest = body.get(16..)?;
                let mut stack = Vec::new();
                if self.has_stacks {
                    let bytes = usize::try_from(number(rest, 0)?).ok()?.checked_mul(8)?;
                    let words = rest.get(8..bytes.checked_add(8)?)?.chunks_exact(8);
                    stack.extend(words.filter_map(|word| number(word, 0)));
                    rest = rest.get(bytes + 8..)?;
                }
                let size = half(rest, 0)? as usize;
                let raw = rest.get(4..4usize.checked_add(size)?)?;
                let said = self.said(raw)?;
                let stack = stack.into_boxed_slice();
                Some(Entry {
                    stack,
                    ..entry(body, 0, at, said)?
                })
            }
            MMAP2 => {
                let trailer = body.len().checked_sub(TRAILER)?;
                let at = number(body, trailer + 8)?;
                let path = body.get(64..trailer)?.split(|byte| *byte == 0).next()?;
                let said = *body.get(32)? as usize;
                // One or the other, in the same place.
                let (build_id, inode) = match misc & MMAP_BUILD_ID {
                    0 => {
                        let device = (half(body, 32)?, half(body, 36)?);
                        (&[][..], Some((device.0, device.1, number(body, 40)?)))
                    }
                    _ => (body.get(36..36 + said.min(20))?, None),
                };
                let mapping = Mapping {
                    start: number(body, 8)?,
                    len: number(body, 16)?,
                    offset: number(body, 24)?,
                    build_id: build_id.to_vec(),
                    inode,
                    path: path.to_vec(),
                };
                entry(body, 0, at, Said::Mapped(Box::new(mapping)))
            }
            LOST => {
                let trailer = body.len().checked_sub(TRAILER)?;
                let at = number(body, trailer + 8)?;
                entry(body, trailer, at, Said::Lost(number(body, 8)?))
            }
            COMM => {
                let trailer = body.len().checked_sub(TRAILER)?;
                let name = body.get(8..trailer)?.split(|byte| *byte == 0).next()?;
                let at = number(body, trailer + 8)?;
                let name = name.to_vec();
                let said = match misc & COMM_EXEC {
                    0 => Said::Comm(name),
                    _ => Said::Exec(name),
                };
                entry(body, 0, at, said)
            }
            FORK | EXIT => {
                let ids = [
                    half(body, 0)?,
                    half(body, 4)?,
                    half(body, 8)?,
                    half(body, 12)?,
                ];
                let [pid, parent, tid, parent_tid] = ids;
                let parent = (parent, parent_tid);
                Some(Entry {
                    at: number(body, 16)?,
                    stack: Box::default(),
                    pid,
                    tid,
                    said: if kind == FORK {
                        Said::Fork { parent }
                    } else {
                        Said::Exit
                    },
                })
            }
            _ => None,
        }
    }

    fn said(&self, raw: &[u8]) -> Option<Said> {
        let id = u64::from(u16::from_ne_bytes(*raw.first_chunk()?));
        let of = |field: &Field| field.of(raw);
        let said = if id == self.submit.0 {
            let [ctx, req, cookie, opcode, flags] = self.submit.1.each_ref().map(of);
            Said::Submit {
                ctx,
                req,
                cookie,
                opcode: opcode as u8,
                // Above them lie what the kernel itself notes of a request.
                flags: flags as u8 & IOSQE,
                whole: None,
            }
        } else if id == self.complete.0 {
            let [ctx, req, cookie, res, flags] = self.complete.1.each_ref().map(of);
            Said::Complete {
                ctx,
                req,
                cookie,
                res: res as i32,
                flags: flags as u32,
            }
        } else if id == self.overflow.0 {
            let [ctx, cookie, res, flags] = self.overflow.1.each_ref().map(of);
            Said::Overflow {
                ctx,
                cookie,
                res: res as i32,
                flags: flags as u32,
            }
        } else if id == self.create.0 {
            let [ctx, fd, sq, cq, setup] = self.create.1.each_ref().map(of);
            Said::Create {
                ctx,
                fd: fd as i32,
                entries: (sq as u32, cq as u32),
                setup: setup as u32,
            }
        } else if id == self.failed.0 {
            let [ctx, req, cookie, opcode] = self.failed.1.each_ref().map(of);
            let more: Vec<u64> = self
                .failed
                .2
                .iter()
                .map(|field| field.map_or(0, |field| field.of(raw)))
                .collect();
            let more = |at: usize| more.get(at).copied().unwrap_or(0);
            let entry = Submit {
                cookie,
                opcode: opcode as u8,
                sqe_flags: more(0) as u8,
                fd: -1,
                off: more(1),
                addr: more(2),
                len: more(3) as u32,
                op_flags: more(4) as u32,
                buf_index: more(5) as u16,
                personality: more(6) as u16,
                file_index: more(7) as u32,
                ..Submit::default()
            };
            Said::Submit {
                ctx,
                req,
                cookie,
                opcode: entry.opcode,
                flags: entry.sqe_flags,
                whole: Some(Box::new(entry)),
            }
        } else {
            let (_, fields) = self.calls.iter().find(|(known, _)| *known == id)?;
            let [number, begins, returns_to, word] = fields.each_ref().map(of);
            Said::Call(Hit {
                number: number as u32,
                begins,
                returns_to,
                word,
            })
        };
        Some(said)
    }
}

/// `IOSQE_*`: seven of them.
const IOSQE: u8 = 0x7F;

/// The fields of a format, all of which must be there.
fn fields<const N: usize>(format: &Format, names: [&str; N]) -> Result<[Field; N]> {
    let mut found = Vec::with_capacity(N);
    for name in names {
        let field = format.field(&[name]).with_context(|| {
            format!(
                "this kernel's tracepoints of io_uring say no `{name}`; those of Linux 5.18 and later do"
            )
        })?;
        found.push(field);
    }
    Ok(found.try_into().expect("as many as were asked for"))
}

fn entry(body: &[u8], at_ids: usize, at: u64, said: Said) -> Option<Entry> {
    Some(Entry {
        at,
        pid: half(body, at_ids)?,
        tid: half(body, at_ids + 4)?,
        said,
        stack: Box::default(),
    })
}

fn number(body: &[u8], at: usize) -> Option<u64> {
    let bytes = body.get(at..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*bytes))
}

fn half(body: &[u8], at: usize) -> Option<u32> {
    let bytes = body.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}
