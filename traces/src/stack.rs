//! Call stacks: the files that code came from, frames in them, and the names that frames have.
//!
//! Nothing is symbolised here. [`Trace::name_frames`] asks a [`Symbols`] that is handed in; what it does
//! not know is shown as file and offset.

use rustc_hash::FxHashMap;

use crate::event::{Event, EventId, SiteId, What};
use crate::names::{function, path};
use crate::source::Source;
use crate::trace::Trace;
use crate::untrusted::Untrusted;

/// A file that code of a process was loaded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Index of the process.
    pub process: u32,
    /// Its path as the process saw it. A hint.
    pub path: Untrusted,
    /// Where it lay in the process.
    pub base: u64,
    /// Bytes from there to its last segment's end.
    pub size: u64,
    /// Address of `base` within the file.
    pub file_base: u64,
    /// Identity of its content; empty where it has none.
    pub build_id: Vec<u8>,
}

/// A place that a call returns to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Index into [`crate::recording::Recording::modules`]; nothing where the trace does not say.
    pub module: Option<u32>,
    /// Address behind the call, as in the module's file.
    pub address: u64,
}

impl Frame {
    /// An address within the call itself, which debug information is asked for.
    pub fn call(self) -> u64 {
        self.address.saturating_sub(1)
    }
}

/// What the file is called that `record` loads into programs that do not link the probe.
pub const SHIM: &str = "libtracer_preload.so";

impl Module {
    /// Whether it is that file, which is gone when the recording has ended.
    pub fn is_shim(&self) -> bool {
        let name = self.path.bytes().rsplit(|byte| *byte == b'/').next();
        name == Some(SHIM.as_bytes())
    }
}

/// A function that a frame is in, and the line it has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its whole name, demangled.
    pub name: Untrusted,
    /// Path of its source; empty where not known.
    pub file: Untrusted,
    /// Line, from 1; 0 where not known.
    pub line: u32,
}

/// Who knows the functions of frames.
pub trait Symbols {
    /// The functions of a frame, the innermost of those inlined there first; none where not known.
    fn functions(&self, frame: Frame) -> Vec<Function>;
}

/// Index of a stack, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct StackId(pub(crate) u32);

/// The stacks of a recording, each once, and whose they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stacks {
    /// Entry 0 has the id 1.
    stacks: Vec<Box<[Frame]>>,
    ids: FxHashMap<Box<[Frame]>, StackId>,
    /// In the order of events.
    events: Vec<(EventId, StackId)>,
}

impl Stacks {
    pub(crate) fn add(&mut self, frames: Box<[Frame]>) -> StackId {
        if let Some(id) = self.ids.get(&frames) {
            return *id;
        }
        let id = StackId(u32::try_from(self.stacks.len().saturating_add(1)).unwrap_or(0));
        self.stacks.push(frames.clone());
        self.ids.insert(frames, id);
        id
    }

    /// Notes the stack of an event; events come in order.
    pub(crate) fn of_event(&mut self, event: EventId, stack: StackId) {
        if stack != StackId(0) {
            self.events.push((event, stack));
        }
    }

    pub(crate) fn at(&self, event: EventId) -> &[Frame] {
        let found = self.events.binary_search_by_key(&event, |entry| entry.0);
        let stack = found.ok().and_then(|at| self.events.get(at));
        stack
            .and_then(|(_, id)| self.stacks.get(id.0.checked_sub(1)? as usize))
            .map_or(&[], |frames| frames)
    }

    pub(crate) fn count(&self) -> usize {
        self.stacks.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Frame> + '_ {
        self.stacks.iter().flat_map(|stack| stack.iter().copied())
    }
}

/// What frames were found to be.
pub(crate) type Known = FxHashMap<Frame, Vec<Function>>;

/// Functions of a stack that are shown.
const SHOWN: usize = 8;
/// Of a push: between the queue and the coroutine that is looked for lie the layers of a runtime.
const SHOWN_OF_PUSH: usize = 16;
/// Functions that one frame may have.
const INLINED_MAX: usize = 64;

impl Trace {
    /// Asks for the functions of all frames, so that stacks are shown by name from now on.
    pub fn name_frames(&mut self, symbols: &dyn Symbols) {
        for frame in self.recording.frames() {
            self.functions.entry(frame).or_insert_with(|| {
                let mut functions = symbols.functions(frame);
                functions.truncate(INLINED_MAX);
                functions
            });
        }
    }

    /// All functions that are known, each with the module that it is in.
    pub fn known_functions(&self) -> impl Iterator<Item = (&Module, &Function)> {
        self.functions.iter().flat_map(|(frame, functions)| {
            let module = frame
                .module
                .and_then(|index| self.recording.modules.get(index as usize));
            module
                .into_iter()
                .flat_map(move |module| functions.iter().map(move |function| (module, function)))
        })
    }

    /// What an event's call stack shows: without the probe's own frames and without what runs before `main`.
    fn entries(&self, event: EventId) -> Vec<Entry<'_>> {
        let frames = self.recording.stack(event);
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for frame in frames {
            match self.functions.get(frame) {
                Some(functions) if !functions.is_empty() => {
                    entries.extend(functions.iter().map(Entry::Known));
                }
                _ => entries.push(Entry::Unknown(*frame)),
            }
        }
        let own = entries
            .iter()
            .take_while(|entry| self.is_probes(entry) || entry.is(is_std))
            .enumerate()
            .filter(|(_, entry)| self.is_probes(entry))
            .last()
            .map_or(0, |(at, _)| at + 1);
        let end = entries
            .iter()
            .position(|entry| entry.is(is_below_main))
            .unwrap_or(entries.len());
        entries.truncate(end);
        entries.drain(..own.min(end));
        entries
    }

    /// Where in the source an event happened, of which the site is known: there; where it says none, as without the
    /// probe, in the innermost function of its call stack whose lines are at hand, else whose line is known.
    pub fn place(&self, event: EventId, site: SiteId) -> Option<(&Untrusted, u32)> {
        let site = self.recording.site(site);
        if site.line != 0 {
            return Some((self.recording.string(site.file), site.line));
        }
        let entries = self.entries(event);
        let places = entries.iter().filter_map(|entry| match entry {
            Entry::Known(known) if known.line != 0 && !is_std(known) => {
                Some((&known.file, known.line))
            }
            _ => None,
        });
        let at_hand = places
            .clone()
            .find(|(file, line)| matches!(self.source_at(file, *line), Source::Lines(_)));
        at_hand.or_else(|| places.clone().next())
    }

    /// The call stack of an event, a line a function, the innermost first: `conn::serve (conn.rs:88)`,
    /// or file and offset where the function is not known. Without the probe's own frames and without
    /// what runs before `main`; long ones end with how many more there are.
    pub fn stack_lines(&self, event: &Event) -> Vec<String> {
        let entries = self.entries(event.id);
        let shown = match event.what {
            What::Push { .. } => SHOWN_OF_PUSH,
            _ => SHOWN,
        };
        let mut lines: Vec<String> = entries
            .iter()
            .take(shown)
            .map(|entry| self.entry(entry))
            .collect();
        match entries.len().saturating_sub(shown) {
            0 => {}
            more => lines.push(format!("{more} more")),
        }
        lines
    }

    fn is_probes(&self, entry: &Entry<'_>) -> bool {
        match entry {
            Entry::Known(function) => is_probes(function),
            Entry::Unknown(frame) => frame
                .module
                .and_then(|module| self.recording.modules.get(module as usize))
                .is_some_and(Module::is_shim),
        }
    }

    fn entry(&self, entry: &Entry<'_>) -> String {
        match entry {
            Entry::Known(known) if known.file.is_empty() => function(&known.name.tty()),
            Entry::Known(known) => {
                let name = function(&known.name.tty());
                format!("{name} ({}:{})", path(&known.file.tty()), known.line)
            }
            Entry::Unknown(frame) => {
                let module = frame
                    .module
                    .and_then(|module| self.recording.modules.get(module as usize));
                let name = module.map(|module| file_name(&module.path));
                format!("{}+{:#x}", name.as_deref().unwrap_or("?"), frame.address)
            }
        }
    }
}

/// The last part of a path.
fn file_name(whole: &Untrusted) -> String {
    let name = whole.bytes().rsplit(|byte| *byte == b'/').next();
    match name {
        Some(name) if !name.is_empty() => crate::untrusted::tty(name),
        _ => "?".to_owned(),
    }
}

enum Entry<'a> {
    Known(&'a Function),
    Unknown(Frame),
}

impl Entry<'_> {
    fn is(&self, test: impl FnOnce(&Function) -> bool) -> bool {
        match self {
            Self::Known(function) => test(function),
            Self::Unknown(_) => false,
        }
    }
}

impl Function {
    fn begins_with(&self, crates: &[&str]) -> bool {
        let name = self.name.bytes();
        let name = name.strip_prefix(b"<").unwrap_or(name);
        crates
            .iter()
            .any(|start| name.starts_with(start.as_bytes()))
    }

    /// Whether its name says nothing of where it is from: debug information of lines alone has no more.
    fn is_bare(&self) -> bool {
        let name = self.name.bytes();
        let plain = name.split(|byte| *byte == b'<').next().unwrap_or(name);
        !plain.is_empty() && !plain.windows(2).any(|two| two == b"::")
    }

    fn lies_in(&self, folders: &[&str]) -> bool {
        let file = self.file.bytes();
        let is_there = |folder: &&str| {
            file.windows(folder.len())
                .any(|part| part == folder.as_bytes())
        };
        folders.iter().any(is_there)
    }
}

fn is_probes(function: &Function) -> bool {
    const SOURCES: [&str; 2] = ["probe/src/", "probe/c/src/"];
    function.begins_with(&["probe::", "tracer_probe_c::"])
        || function.is_bare() && function.lies_in(&SOURCES)
}

fn is_std(function: &Function) -> bool {
    function.begins_with(&["core::", "alloc::", "std::"])
        || function.is_bare() && function.lies_in(&["/library/core/src/", "/library/std/src/"])
}

fn is_below_main(function: &Function) -> bool {
    let mark = b"__rust_begin_short_backtrace";
    let name = function.name.bytes();
    name.windows(mark.len()).any(|part| part == mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Found, Sources};

    fn frame(address: u64) -> Frame {
        Frame {
            module: Some(0),
            address,
        }
    }

    /// Names of frames; what stands behind an `@` is a function's file.
    struct Names(&'static [(u64, &'static [&'static str])]);

    impl Symbols for Names {
        fn functions(&self, frame: Frame) -> Vec<Function> {
            let found = self.0.iter().find(|entry| entry.0 == frame.address);
            let names = found.map_or(&[][..], |entry| entry.1);
            let function = |text: &&str| {
                let (name, file) = text.split_once('@').unwrap_or((text, "src/x.rs"));
                Function {
                    name: Untrusted::from(name),
                    file: Untrusted::from(file),
                    line: 7,
                }
            };
            names.iter().map(function).collect()
        }
    }

    fn trace(addresses: &[u64]) -> Trace {
        let text = "10 main leak 0x1000 Conn conn.rs:8 owner=Rc\n";
        let mut trace = Trace::parse_text(text).unwrap();
        trace.recording.modules.push(Module {
            process: 0,
            path: Untrusted::from("/opt/app"),
            base: 0,
            size: 0x1000,
            file_base: 0,
            build_id: Vec::new(),
        });
        let frames = addresses.iter().map(|address| frame(*address)).collect();
        let id = trace.recording.tables.stacks.add(frames);
        let event = trace.events[0].id;
        trace.recording.tables.stacks.of_event(event, id);
        trace
    }

    #[test]
    fn frames_without_names_are_file_and_offset() {
        let trace = trace(&[0x10, 0x20]);
        let event = &trace.events()[0];
        assert_eq!(trace.stack_lines(event), ["app+0x10", "app+0x20"]);
        assert!(trace.describe(event).ends_with(" via app+0x10 < app+0x20"));
    }

    #[test]
    fn own_frames_and_what_runs_before_main_are_left_out() {
        let mut trace = trace(&[1, 2, 3, 4]);
        trace.name_frames(&Names(&[
            (
                1,
                &[
                    "core::option::Option<T>::map",
                    "probe::recorder::cursor::record",
                ],
            ),
            (2, &["probe::pointer::into_raw", "app::conn::serve"]),
            (
                3,
                &["<app::Server as core::future::Future>::poll::{{closure}}"],
            ),
            (4, &["std::sys::backtrace::__rust_begin_short_backtrace"]),
        ]));
        let event = &trace.events()[0];
        let lines = trace.stack_lines(event);
        assert_eq!(
            lines,
            [
                "conn::serve (src/x.rs:7)",
                "<Server as Future>::poll (src/x.rs:7)"
            ]
        );
    }

    /// As a program in C has it, whose library was built with lines alone.
    #[test]
    fn frames_of_the_shim_are_left_out() {
        let mut trace = trace(&[1, 2]);
        trace.recording.modules[0].path = Untrusted::from("/dev/shm/tracer-1/libtracer_preload.so");
        trace.name_frames(&Names(&[(2, &["main"])]));
        let lines = trace.stack_lines(&trace.events()[0]);
        assert_eq!(lines, ["main (src/x.rs:7)"]);
    }

    #[test]
    fn own_frames_without_paths_are_known_by_their_files() {
        let mut trace = trace(&[1, 2, 3]);
        trace.name_frames(&Names(&[
            (
                1,
                &[
                    "stack@/home/u/tracer/probe/src/recorder/cursor.rs",
                    "{closure#0}<(), probe::recorder::cursor::Slice>@probe/src/recorder/cursor.rs",
                    "then<(), F>@/rustc/0123/library/core/src/bool.rs",
                ],
            ),
            (2, &["tracer_pointer@/home/u/tracer/probe/c/src/pointer.rs"]),
            (
                3,
                &["serve@/home/u/app/probe.c", "app::probe@probe/src/main.rs"],
            ),
        ]));
        let event = &trace.events()[0];
        let lines = trace.stack_lines(event);
        let expected = [
            "serve (/home/u/app/probe.c:7)",
            "app::probe (probe/src/main.rs:7)",
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        assert!(lines[0].starts_with("serve ("), "{lines:?}");
    }

    #[test]
    fn long_stacks_say_how_much_is_left_out() {
        let addresses: Vec<u64> = (1..=20).collect();
        let lines = trace(&addresses).stack_lines(&trace(&addresses).events()[0]);
        assert_eq!(lines.len(), SHOWN + 1);
        assert_eq!(lines.last().map(String::as_str), Some("12 more"));
    }

    /// As of a submission that the shim saw, which names no place: the library's source is not here, the caller's is.
    #[test]
    fn what_names_no_place_happened_where_its_stack_can_be_shown() {
        let mut trace = trace(&[1, 2, 3]);
        trace.name_frames(&Names(&[
            (1, &["core::hint::black_box@core.rs", "submit@queue.c"]),
            (2, &["echo@echo.c"]),
            (3, &["main@main.c"]),
        ]));
        let event = trace.events()[0].clone();
        let shown = |trace: &Trace, site| {
            let place = trace.place(event.id, site);
            place.map(|(file, line)| trace.names().place(file, line))
        };
        let none = SiteId(0);
        assert_eq!(shown(&trace, none).as_deref(), Some("queue.c:7"));
        let mut sources = Sources::default();
        let line = |text: &str| Found::Lines([(7, text.into())].into());
        sources.add("main.c".into(), line("int main(void) {"));
        sources.add("echo.c".into(), line("io_uring_submit(&ring);"));
        trace.add_sources(sources);
        assert_eq!(shown(&trace, none).as_deref(), Some("echo.c:7"));
        assert_eq!(shown(&trace, event.site()).as_deref(), Some("conn.rs:8"));
        let other = EventId(event.id.0 + 1);
        assert_eq!(trace.place(other, none), None);
    }
}
