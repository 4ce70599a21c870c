//! The JSON of Chrome's trace viewer: an object with a list of events, one a line.
//!
//! Each track is a thread: those that are none have ids that no kernel gives out, so that slices on them nest and
//! flows can be bound to them.

use std::io::{self, Write};

use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::marks::{Argument, Kind, Mark, Phase, Timeline, Track};

/// Beyond every thread id that a kernel gives out (`PID_MAX_LIMIT` is 4 Mi), and within the 32 bits that Perfetto's
/// importer has for one.
const FIRST_ID: u64 = 1 << 23;

pub(super) fn write(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    let mut list = List { out, count: 0 };
    list.out
        .write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    // Threads first, then what lies under each ring and under the coroutines.
    let mut order: Vec<usize> = (0..timeline.tracks.len()).collect();
    order.sort_by_key(|at| timeline.tracks.get(*at).map(|track| (track.parent, *at)));
    for (rank, at) in order.into_iter().enumerate() {
        let Some(track) = timeline.tracks.get(at) else {
            continue;
        };
        if track.kind == Kind::Group {
            continue;
        }
        let what = match track.kind {
            Kind::Process => "process_name",
            _ => "thread_name",
        };
        list.put(&json!({
            "ph": "M", "name": what, "pid": track.pid, "tid": id(at, track),
            "args": { "name": track.name },
        }))?;
        if track.kind != Kind::Process {
            list.put(&json!({
                "ph": "M", "name": "thread_sort_index", "pid": track.pid, "tid": id(at, track),
                "args": { "sort_index": rank },
            }))?;
        }
    }
    let mut lengths: FxHashMap<u64, u64> = FxHashMap::default();
    for mark in &timeline.marks {
        *lengths.entry(mark.flow).or_default() += 1;
    }
    let mut seen: FxHashMap<u64, u64> = FxHashMap::default();
    for mark in &timeline.marks {
        let Some(track) = timeline.tracks.get(mark.track) else {
            continue;
        };
        let (pid, tid) = (track.pid, id(mark.track, track));
        list.slice(mark, pid, tid)?;
        let length = lengths.get(&mark.flow).copied().unwrap_or(0);
        if mark.flow != 0 && length > 1 {
            let step = seen.entry(mark.flow).or_default();
            *step += 1;
            let phase = match *step {
                1 => "s",
                step if step == length => "f",
                _ => "t",
            };
            list.flow(mark, phase, pid, tid)?;
        }
    }
    list.out.write_all(b"\n]}\n")
}

fn id(at: usize, track: &Track) -> u64 {
    match track.kind {
        Kind::Thread(Some(tid)) => tid.into(),
        Kind::Process => 0,
        _ => FIRST_ID + at as u64,
    }
}

struct List<'a> {
    out: &'a mut dyn Write,
    count: u64,
}

impl List<'_> {
    fn put(&mut self, value: &Value) -> io::Result<()> {
        let gap: &[u8] = if self.count == 0 { b"\n" } else { b",\n" };
        self.count += 1;
        self.out.write_all(gap)?;
        serde_json::to_writer(&mut *self.out, value).map_err(io::Error::from)
    }

    fn slice(&mut self, mark: &Mark, pid: u32, tid: u64) -> io::Result<()> {
        let mut value = json!({ "pid": pid, "tid": tid, "ts": micros(mark.at_ns) });
        if let Some(members) = value.as_object_mut() {
            let phase = match mark.phase {
                Phase::Begin => "B",
                Phase::End => "E",
            };
            members.insert("ph".into(), phase.into());
            if mark.phase == Phase::Begin {
                members.insert("name".into(), mark.name.as_str().into());
                members.insert("cat".into(), mark.category.into());
            }
            if !mark.arguments.is_empty() {
                members.insert("args".into(), arguments(&mark.arguments).into());
            }
        }
        self.put(&value)
    }

    /// A step of a flow, bound to the slice that begins here.
    fn flow(&mut self, mark: &Mark, phase: &str, pid: u32, tid: u64) -> io::Result<()> {
        let mut value = json!({
            "ph": phase, "name": "operation", "cat": "flow", "id": mark.flow,
            "pid": pid, "tid": tid, "ts": micros(mark.at_ns),
        });
        if phase == "f"
            && let Some(members) = value.as_object_mut()
        {
            members.insert("bp".into(), "e".into());
        }
        self.put(&value)
    }
}

/// Times are microseconds there: to the nanosecond for a hundred days, which is what a float has room for.
fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

fn arguments(arguments: &[(&'static str, Argument)]) -> Map<String, Value> {
    let value = |argument: &Argument| match argument {
        Argument::Text(text) => text.as_str().into(),
        Argument::Number(number) => (*number).into(),
        Argument::Word(word) => format!("{word:#x}").into(),
        Argument::Flag(flag) => (*flag).into(),
    };
    let members = arguments
        .iter()
        .map(|(name, argument)| ((*name).to_owned(), value(argument)));
    members.collect()
}
