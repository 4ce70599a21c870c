//! Names for the frames of call stacks, from the files that the program's code came from.
//!
//! A trace only hints at those files, so they are looked at in a child process with limits
//! (`tracer __symbolize`): a file that is made to waste memory or time ends that child, and its frames
//! stay offsets. A file whose build-id is not the recorded one is never parsed further; that the program
//! was rebuilt since is said, not guessed.
//!
//! Reading order: [`name`] and [`sources`], then [`child`] (the other process), [`mod@file`] (what it does
//! with a file), [`debug`] (where debug information lies).

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use traces::stack::{Frame, Function, Symbols};
use traces::{Trace, Untrusted};

pub(crate) mod child;
pub(crate) mod debug;
pub(crate) mod file;

use crate::confined::{self, Confined};
use crate::record::hex;
use crate::talk;

/// Files that are looked at; the frames of further ones stay offsets.
const FILES_MAX: usize = 64;
/// How long one file may take, and all of them.
const ONE_FILE: Duration = Duration::from_secs(20);
const ALL_FILES: Duration = Duration::from_secs(60);
/// Where systems keep debug information of their packages.
const SYSTEM_DEBUG_DIR: &str = "/usr/lib/debug";

/// Where files lie here that a trace names elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathMap {
    from: PathBuf,
    to: PathBuf,
}

impl std::str::FromStr for PathMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok(Self {
                from: from.into(),
                to: to.into(),
            }),
            _ => Err("two paths are needed: FROM=TO".to_owned()),
        }
    }
}

/// The path after the first map that fits.
fn mapped(path: &Path, maps: &[PathMap]) -> PathBuf {
    let fit = |map: &PathMap| Some(map.to.join(path.strip_prefix(&map.from).ok()?));
    maps.iter()
        .find_map(fit)
        .unwrap_or_else(|| path.to_path_buf())
}

/// Where programs, sources and debug information lie here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) maps: Vec<PathMap>,
    /// Besides the system's own.
    pub(crate) debug_dirs: Vec<PathBuf>,
}

impl Places {
    /// Where a path of the trace lies here.
    pub(crate) fn here(&self, path: &Path) -> PathBuf {
        mapped(path, &self.maps)
    }

    fn question(&self) -> file::Question {
        let system = PathBuf::from(SYSTEM_DEBUG_DIR);
        let maps = self.maps.iter();
        file::Question {
            debug_dirs: self.debug_dirs.iter().cloned().chain([system]).collect(),
            maps: maps.map(|map| (map.from.clone(), map.to.clone())).collect(),
            ..file::Question::default()
        }
    }
}

/// A file as the trace names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) path: PathBuf,
    pub(crate) build_id: Vec<u8>,
}

/// Gives the frames of a trace their names, as far as they can be had, and says where they cannot.
/// Costs nothing where no stacks were recorded. A packed trace has them inside, and nothing is opened.
pub(crate) fn name(trace: &mut Trace, places: &Places) {
    if trace.recording().is_packed {
        return;
    }
    let mut frames: HashMap<Wanted, Vec<Frame>> = HashMap::new();
    let mut order: Vec<Wanted> = Vec::new();
    for frame in trace.recording().frames() {
        let modules = &trace.recording().modules;
        let Some(module) = frame.module.and_then(|index| modules.get(index as usize)) else {
            continue;
        };
        let path = Path::new(std::ffi::OsStr::from_bytes(module.path.bytes()));
        // What the kernel maps into a process by itself has a name and no file; the shim's is gone.
        if !path.is_absolute() || module.is_shim() {
            continue;
        }
        let wanted = Wanted {
            path: path.to_path_buf(),
            build_id: module.build_id.clone(),
        };
        let found = frames.entry(wanted.clone()).or_default();
        if found.is_empty() {
            order.push(wanted);
        }
        found.push(frame);
    }
    let mut known = Known::default();
    let started = Instant::now();
    for wanted in order.iter().take(FILES_MAX) {
        let left = ALL_FILES.saturating_sub(started.elapsed()).min(ONE_FILE);
        let frames = frames.get(wanted).map_or(&[][..], Vec::as_slice);
        if let Err(why) = look_into(wanted, frames, places, left, &mut known) {
            talk::line(format_args!(
                "{}: {why}; call stacks show offsets in it (`--path-map FROM=TO` names another place)",
                crate::safe::path(&places.here(&wanted.path))
            ));
        }
    }
    if let Some(more @ 1..) = order.len().checked_sub(FILES_MAX) {
        talk::line(format_args!(
            "{more} more files have no names looked up for call stacks"
        ));
    }
    if !order.is_empty() {
        trace.name_frames(&known);
    }
}

/// What children said.
#[derive(Default)]
struct Known(HashMap<Frame, Vec<Function>>);

impl Symbols for Known {
    fn functions(&self, frame: Frame) -> Vec<Function> {
        self.0.get(&frame).cloned().unwrap_or_default()
    }
}

/// Has a child look up the frames of one file.
fn look_into(
    wanted: &Wanted,
    frames: &[Frame],
    places: &Places,
    time: Duration,
    known: &mut Known,
) -> Result<(), String> {
    let mut calls: Vec<u64> = frames.iter().map(|frame| frame.call()).collect();
    calls.sort_unstable();
    calls.dedup();
    let asked = file::Question {
        addresses: calls,
        ..places.question()
    };
    let answer = ask(wanted, places, &asked, time)?;
    for note in &answer.notes {
        talk::line(note);
    }
    let mut by_call: HashMap<u64, Vec<Function>> = HashMap::new();
    for line in answer.lines {
        let function = by_call.entry(line.address).or_default();
        let file = places.here(Path::new(std::ffi::OsStr::from_bytes(&line.file)));
        function.push(Function {
            name: Untrusted::new(line.name),
            file: Untrusted::new(file.into_os_string().into_encoded_bytes()),
            line: line.line,
        });
    }
    for frame in frames {
        if let Some(functions) = by_call.get(&frame.call()) {
            known.0.insert(*frame, functions.clone());
        }
    }
    Ok(())
}

/// Where the sources lie here that a program's places name; several times where units mean different ones. Only what its debug information names is
/// found, so that a trace cannot make us read any other file.
pub(crate) fn sources(
    program: &Wanted,
    asked: &[Vec<u8>],
    places: &Places,
) -> Result<Vec<(Vec<u8>, PathBuf)>, String> {
    let question = file::Question {
        sources: asked.to_vec(),
        ..places.question()
    };
    let answer = ask(program, places, &question, ONE_FILE)?;
    let here = |(asked, full): (Vec<u8>, Vec<u8>)| {
        let full = Path::new(std::ffi::OsStr::from_bytes(&full)).to_path_buf();
        (asked, places.here(&full))
    };
    Ok(answer.sources.into_iter().map(here).collect())
}

/// Opens an ordinary file, as the child does.
pub(crate) use file::open as open_ordinary;

/// Asks the child about one file.
fn ask(
    wanted: &Wanted,
    places: &Places,
    asked: &file::Question,
    time: Duration,
) -> Result<file::Answer, String> {
    if wanted.build_id.is_empty() {
        return Err("has no build-id by which a file could be known to be the same".to_owned());
    }
    let path = places.here(&wanted.path);
    let mut command = confined::command(child::NAME);
    command.arg(hex(&wanted.build_id)).arg("--").arg(path);
    let mut child = Confined::start(Ok(command))?;
    let answer = child.ask(child::question(asked).as_bytes(), time)?;
    child::read_answer(&answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_map_that_fits_wins_and_whole_names_are_compared() {
        let maps: Vec<PathMap> = ["/app=/home/me/app", "/app/src=/x", "/=/root"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let map = |path: &str| mapped(Path::new(path), &maps);
        assert_eq!(map("/app/src/a.rs"), Path::new("/home/me/app/src/a.rs"));
        assert_eq!(map("/apple/a.rs"), Path::new("/root/apple/a.rs"));
        assert_eq!(map("relative/a.rs"), Path::new("relative/a.rs"));
        for wrong in ["", "=", "a", "a=", "=b"] {
            assert!(wrong.parse::<PathMap>().is_err(), "{wrong}");
        }
    }
}
