//! What numbers are called: aliases of objects, operations and coroutines, short types and places,
//! opcodes, error numbers, signals.
//!
//! Everything that comes out of here is safe for a terminal.

mod constants;
mod short;

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

pub use constants::{errno, opcode, opcode_by_name, signal};

pub(crate) use short::{function, path};

use crate::event::{SiteId, StringId, TypeId};
use crate::recording::{Capture, Recording};
use crate::untrusted::Untrusted;

/// Numbers given to objects in the order in which they first appeared.
///
/// Without an allocator hook an object is what lives at one address with one type.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    /// All of them in their order: there may be many, and few are ever named.
    spans: Vec<Span>,
    /// Those of each address, as far as somebody asked for one.
    by_address: Mutex<ByAddress>,
    /// What coroutines were spawned as, where they said so.
    coroutines: FxHashMap<(u32, u32), TypeId>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    process: u32,
    address: u64,
    from_generation: u32,
    ty: TypeId,
}

/// Objects by process and address, oldest first; so many of all are in here.
#[derive(Debug, Default)]
struct ByAddress {
    objects: FxHashMap<(u32, u64), SmallVec<[u32; 2]>>,
    count: usize,
}

impl Objects {
    /// Notes what a coroutine was spawned as.
    pub(crate) fn spawned(&mut self, process: u32, coroutine: u32, ty: TypeId) {
        if ty != TypeId::default() {
            self.coroutines.insert((process, coroutine), ty);
        }
    }

    /// Lets go of the name of a coroutine that nobody will speak of.
    pub(crate) fn forget_coroutine(&mut self, process: u32, coroutine: u32) {
        self.coroutines.remove(&(process, coroutine));
    }

    /// Notes that a generation began, of another type than the one before at its address.
    pub(crate) fn begin(&mut self, process: u32, address: u64, generation: u32, ty: TypeId) {
        self.spans.push(Span {
            process,
            address,
            from_generation: generation,
            ty,
        });
    }

    /// The object's number, from 1, and what is known of it.
    fn find(&self, process: u32, address: u64, generation: u32) -> Option<(u32, Span)> {
        // A panic elsewhere leaves nothing half done here.
        let mut known = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let ByAddress { objects, count } = &mut *known;
        for span in self.spans.get(*count..).unwrap_or_default() {
            let its = objects.entry((span.process, span.address)).or_default();
            its.push(u32::try_from(*count).unwrap_or(u32::MAX));
            *count += 1;
        }
        let its = objects.get(&(process, address))?.iter().rev();
        let mut its = its.filter_map(|number| Some((*number, *self.spans.get(*number as usize)?)));
        let (number, span) = its.find(|(_, span)| span.from_generation <= generation)?;
        Some((number.saturating_add(1), span))
    }
}

/// Gives names to the things of one recording.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    pub(crate) recording: &'a Recording,
    pub(crate) objects: &'a Objects,
}

impl Names<'_> {
    /// `Conn#12 0x55d0c2e0@3`: type, object, address and generation.
    pub fn generation(&self, process: u32, address: u64, generation: u32) -> String {
        let object = self.object(process, address, generation);
        let address = crate::scheme::without_table(address);
        format!("{object} {address:#x}@{generation}")
    }

    /// `Conn#12`: type and object.
    pub fn object(&self, process: u32, address: u64, generation: u32) -> String {
        match self.objects.find(process, address, generation) {
            Some((object, span)) => format!("{}#{object}", self.ty(span.ty)),
            None => "?".to_owned(),
        }
    }

    /// `operation #4812 (ring 0, slot 7, NOP)`
    pub fn operation(&self, ring: u32, sequence: u64, slot: u16, op: u8) -> String {
        format!(
            "operation #{sequence} (ring {ring}, slot {slot}, {})",
            opcode(op)
        )
    }

    /// `coroutine 9 (serve)`: its number, and the name or type that it was spawned with, where known.
    pub fn coroutine(&self, process: u32, coroutine: u32) -> String {
        match self.objects.coroutines.get(&(process, coroutine)) {
            Some(ty) => format!("coroutine {coroutine} ({})", self.ty(*ty)),
            None => format!("coroutine {coroutine}"),
        }
    }

    /// `conn.rs:88`, or the path from `src/` on; `?` where not known.
    pub fn site(&self, id: SiteId) -> String {
        let site = self.recording.site(id);
        self.place(self.recording.string(site.file), site.line)
    }

    /// A line of a file, as [`Names::site`] says it.
    pub fn place(&self, file: &Untrusted, line: u32) -> String {
        if file.is_empty() {
            return "?".to_owned();
        }
        format!("{}:{line}", short::path(&file.tty()))
    }

    /// The file of a place, as in [`Names::site`] but without its line.
    pub fn file(&self, id: SiteId) -> String {
        let file = self.recording.string(self.recording.site(id).file).tty();
        short::path(&file).to_owned()
    }

    /// The name of a type without its modules; `?` where not known.
    pub fn ty(&self, id: TypeId) -> String {
        let name = self.recording.string(self.recording.ty(id).name);
        if name.is_empty() {
            "?".to_owned()
        } else {
            short::ty(&name.tty())
        }
    }

    /// Whether a type is a trait object; without making its name.
    pub(crate) fn is_dyn(&self, id: TypeId) -> bool {
        let name = self.recording.string(self.recording.ty(id).name);
        name.bytes().starts_with(b"dyn ")
    }

    /// A text of the program.
    pub fn text(&self, id: StringId) -> String {
        self.recording.string(id).tty()
    }

    /// A process: its number, and of several also its program.
    pub fn process(&self, process: u32) -> String {
        let Some(entry) = self.recording.process(process) else {
            return "?".to_owned();
        };
        match self.program(process) {
            Some(program) if self.recording.process_count() > 1 => {
                format!("{} ({program})", entry.pid)
            }
            _ => entry.pid.to_string(),
        }
    }

    /// The last part of the path of a process's executable; `None` where the trace does not say it.
    pub fn program(&self, process: u32) -> Option<String> {
        let exe = self.recording.process(process)?.exe.bytes();
        let name = exe.rsplit(|byte| *byte == b'/').next()?;
        (!name.is_empty()).then(|| crate::untrusted::tty(name))
    }

    /// The name of a lane's thread, with its id where others have that name too; else its id, else the number of the lane.
    pub fn thread(&self, lane: u32) -> String {
        let Some(entry) = self.recording.lane(lane) else {
            return format!("lane {lane}");
        };
        let name = self.recording.string(entry.thread);
        let name = if !name.is_empty() && entry.has_namesake {
            format!("{}#{}", name.tty(), entry.tid)
        } else if !name.is_empty() {
            name.tty()
        } else if entry.tid != 0 {
            format!("thread {}", entry.tid)
        } else {
            format!("lane {lane}")
        };
        let process = self.recording.process(entry.process);
        match process.map(|process| process.capture) {
            Some(Capture::Kernel) => format!("{name} (kernel)"),
            Some(Capture::Uprobes) => format!("{name} (uprobes)"),
            _ => name,
        }
    }
}

/// A result as the kernel gave it: a number, and the name of the error where it is one.
pub fn result(res: i32) -> String {
    match errno(res.unsigned_abs()) {
        Some(name) if res < 0 => format!("{res} ({name})"),
        _ => res.to_string(),
    }
}
