//! Which lines of source go into a packed file, and why some do not.
//!
//! A source is taken only where the debug information of the recorded program names it (so that a trace
//! cannot make us pack any file of this machine), and only if it is not newer than that program: what was
//! edited since may say something else at that line.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use traces::source::{Absence, CONTEXT, Found, Sources};
use traces::{Trace, Untrusted};

use crate::symbols::{self, Places, Wanted};
use crate::{safe, talk};

/// Bytes of a source that is read.
const FILE_MAX: u64 = 16 << 20;
/// Bytes of a line that are kept.
const LINE_MAX: usize = 512;

/// Sources, and the lines that are wanted of each.
type Lines = BTreeMap<Vec<u8>, BTreeSet<u32>>;

/// Lines around every place that the trace names.
pub(super) fn gather(trace: &Trace, places: &Places) -> Sources {
    let mut sources = Sources::default();
    add_frames(trace, places, &mut sources);
    add_sites(trace, places, &mut sources);
    sources
}

/// Sources of frames: found by debug information, so they are named there.
fn add_frames(trace: &Trace, places: &Places, sources: &mut Sources) {
    let mut wanted: HashMap<&Untrusted, (SystemTime, BTreeSet<u32>)> = HashMap::new();
    for (module, function) in trace.known_functions() {
        if function.file.is_empty() || function.line == 0 {
            continue;
        }
        let built = built(
            places,
            Path::new(std::ffi::OsStr::from_bytes(module.path.bytes())),
        );
        let entry = wanted
            .entry(&function.file)
            .or_insert((built, BTreeSet::new()));
        entry.0 = entry.0.min(built);
        entry.1.insert(function.line);
    }
    for (path, (built, lines)) in wanted {
        let file = Path::new(std::ffi::OsStr::from_bytes(path.bytes()));
        sources.add(path.clone(), excerpt(file, built, &lines));
    }
}

/// Sources of the places that the probe noted: named as the compiler was given them.
fn add_sites(trace: &Trace, places: &Places, sources: &mut Sources) {
    let mut wanted = Lines::new();
    for site in trace.recording().sites().filter(|site| site.line != 0) {
        let file = trace.recording().string(site.file);
        wanted
            .entry(file.bytes().to_vec())
            .or_default()
            .insert(site.line);
    }
    let names: Vec<Vec<u8>> = wanted.keys().cloned().collect();
    let mut found: HashMap<Vec<u8>, (PathBuf, SystemTime)> = HashMap::new();
    let mut has_program = false;
    for program in programs(trace) {
        match symbols::sources(&program, &names, places) {
            Ok(answer) => {
                has_program = true;
                let built = built(places, &program.path);
                let entries = answer.into_iter().map(|(name, path)| (name, (path, built)));
                found.extend(entries);
            }
            Err(why) => talk::line(format_args!(
                "{}: {why}; lines of source are missing",
                safe::path(&places.here(&program.path))
            )),
        }
    }
    for (name, lines) in wanted {
        let found = match found.get(&name) {
            Some((path, built)) => excerpt(path, *built, &lines),
            None if has_program => Found::Absent(Absence::NotNamed),
            None => Found::Absent(Absence::NoProgram),
        };
        sources.add(Untrusted::new(name), found);
    }
}

/// The executables of all processes, each once.
fn programs(trace: &Trace) -> Vec<Wanted> {
    let mut programs: Vec<Wanted> = Vec::new();
    for process in &trace.recording().processes {
        let program = Wanted {
            path: Path::new(std::ffi::OsStr::from_bytes(process.exe.bytes())).to_path_buf(),
            build_id: process.build_id.clone(),
        };
        if program.path.is_absolute() && !programs.contains(&program) {
            programs.push(program);
        }
    }
    programs
}

/// When a program was built, as far as its file says; the beginning of time where it does not.
fn built(places: &Places, program: &Path) -> SystemTime {
    std::fs::metadata(places.here(program))
        .and_then(|found| found.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn excerpt(path: &Path, built: SystemTime, lines: &BTreeSet<u32>) -> Found {
    match read(path, built) {
        Ok(text) => Found::Lines(around(&text, lines)),
        Err(absence) => Found::Absent(absence),
    }
}

fn read(path: &Path, built: SystemTime) -> Result<Vec<u8>, Absence> {
    if !path.exists() {
        return Err(Absence::Missing);
    }
    let unreadable = |_| Absence::Unreadable;
    let file = symbols::open_ordinary(path).map_err(|_| Absence::Unreadable)?;
    let changed = file.metadata().and_then(|found| found.modified());
    if changed.map_err(unreadable)? > built {
        return Err(Absence::Newer);
    }
    let mut text = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    let is_text = text.len() as u64 <= FILE_MAX && std::str::from_utf8(&text).is_ok();
    if is_text {
        Ok(text)
    } else {
        Err(Absence::Unreadable)
    }
}

fn around(text: &[u8], lines: &BTreeSet<u32>) -> BTreeMap<u32, Untrusted> {
    let wanted: BTreeSet<u32> = lines
        .iter()
        .flat_map(|line| line.saturating_sub(CONTEXT)..=line.saturating_add(CONTEXT))
        .collect();
    let numbered = (1u32..).zip(text.split(|byte| *byte == b'\n'));
    numbered
        .filter(|(number, _)| wanted.contains(number))
        .map(|(number, line)| (number, Untrusted::new(line.get(..LINE_MAX).unwrap_or(line))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_around_each_place_are_taken_once() {
        let text: String = (1..=40).map(|line| format!("line {line}\n")).collect();
        let lines = around(text.as_bytes(), &[2, 20, 23].into_iter().collect());
        let numbers: Vec<u32> = lines.keys().copied().collect();
        let expected: Vec<u32> = (1..=7).chain(15..=28).collect();
        assert_eq!(numbers, expected);
        assert_eq!(lines[&20].bytes(), b"line 20");
    }

    #[test]
    fn what_is_not_the_source_that_was_built_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conn.rs");
        let now = SystemTime::now();
        let later = now + std::time::Duration::from_secs(3600);
        assert_eq!(read(&path, later), Err(Absence::Missing));
        std::fs::write(&path, "fn main() {}\n").unwrap();
        assert_eq!(read(&path, later).unwrap(), b"fn main() {}\n");
        assert_eq!(read(&path, SystemTime::UNIX_EPOCH), Err(Absence::Newer));
        assert_eq!(
            read(Path::new("/dev/zero"), later),
            Err(Absence::Unreadable)
        );
        std::fs::write(&path, [0xFF, 0xFE]).unwrap();
        assert_eq!(read(&path, later), Err(Absence::Unreadable));
    }
}
