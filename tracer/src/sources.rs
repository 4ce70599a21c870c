//! Which lines of source are shown or packed, and why some are not.
//!
//! A source is taken only where the debug information of the recorded program names it (so that a trace
//! cannot make us read any file of this machine), and only if it is not newer than that program: what was
//! edited since may say something else at that line.
//!
//! Looking takes a child process that reads debug information, and time: what is wanted is taken from the
//! trace first ([`Question::of`]), and can then be looked for on another thread ([`Question::answer`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use traces::source::{Absence, Found, Sources};
use traces::{Trace, Untrusted};

use crate::safe;
use crate::symbols::{self, Places, Wanted};

/// Bytes of a source that is read.
const FILE_MAX: u64 = 16 << 20;
/// Bytes of a line that are kept.
const LINE_MAX: usize = 512;

/// Sources, and the lines that are wanted of each.
type Lines = BTreeMap<Vec<u8>, BTreeSet<u32>>;

/// What is to be looked for.
#[derive(Debug)]
pub(crate) struct Question {
    places: Places,
    /// Lines kept before and behind each place.
    context: u32,
    /// Sources of frames, which debug information named, and the files that their code is in.
    frames: BTreeMap<Vec<u8>, (BTreeSet<PathBuf>, BTreeSet<u32>)>,
    /// Sources of places that the probe noted, named as the compiler was given them.
    sites: Lines,
    programs: Vec<Wanted>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Lines, and why some are missing.
    pub(crate) sources: Sources,
    /// Where the sources lie here, changed since or not.
    pub(crate) files: HashMap<Vec<u8>, PathBuf>,
    /// What stood in the way, a line each, safe for a terminal.
    pub(crate) problems: Vec<String>,
}

impl Question {
    /// Everything that a trace names.
    pub(crate) fn of(trace: &Trace, places: &Places, context: u32) -> Self {
        let mut frames: BTreeMap<Vec<u8>, (BTreeSet<PathBuf>, BTreeSet<u32>)> = BTreeMap::new();
        for (module, function) in trace.known_functions() {
            if function.file.is_empty() || function.line == 0 {
                continue;
            }
            let entry = frames.entry(function.file.bytes().to_vec()).or_default();
            entry.0.insert(path(module.path.bytes()));
            entry.1.insert(function.line);
        }
        let mut sites = Lines::new();
        for site in trace.recording().sites().filter(|site| site.line != 0) {
            let file = trace.recording().string(site.file);
            let lines = sites.entry(file.bytes().to_vec()).or_default();
            lines.insert(site.line);
        }
        Self {
            places: places.clone(),
            context,
            frames,
            sites,
            programs: programs(trace),
        }
    }

    /// Looks for it.
    pub(crate) fn answer(self) -> Answer {
        let mut answer = Answer::default();
        for (name, (modules, lines)) in &self.frames {
            let built = modules.iter().map(|module| built(&self.places, module));
            let built = built.min().unwrap_or(SystemTime::UNIX_EPOCH);
            let path = path(name);
            let found = excerpt(&path, built, lines, self.context);
            answer.sources.add(Untrusted::new(name.clone()), found);
            answer.files.insert(name.clone(), path);
        }
        self.add_sites(&mut answer);
        answer
    }

    fn add_sites(&self, answer: &mut Answer) {
        let names: Vec<Vec<u8>> = self.sites.keys().cloned().collect();
        let mut found: HashMap<Vec<u8>, Candidates> = HashMap::new();
        let mut has_program = false;
        for program in self.programs.iter().filter(|_| !names.is_empty()) {
            match symbols::sources(program, &names, &self.places) {
                Ok(named) => {
                    has_program = true;
                    let built = built(&self.places, &program.path);
                    for (name, path) in named {
                        let candidates = found.entry(name).or_default();
                        let first = candidates.entry(path).or_insert(built);
                        *first = built.min(*first);
                    }
                }
                Err(why) => answer.problems.push(format!(
                    "{}: {why}; lines of source are missing",
                    safe::path(&self.places.here(&program.path))
                )),
            }
        }
        for (name, lines) in &self.sites {
            let lines = match found.get(name).map(meant) {
                Some(Ok((path, built))) => {
                    answer.files.insert(name.clone(), path.clone());
                    excerpt(path, built, lines, self.context)
                }
                Some(Err(absence)) => Found::Absent(absence),
                None if has_program => Found::Absent(Absence::NotNamed),
                None => Found::Absent(Absence::NoProgram),
            };
            answer.sources.add(Untrusted::new(name.clone()), lines);
        }
    }
}

/// The files that a name may mean, each with when the first program was built that names it.
type Candidates = BTreeMap<PathBuf, SystemTime>;

/// The file that is meant: of several the one that is here. That it was changed does not make it another one.
fn meant(candidates: &Candidates) -> Result<(&PathBuf, SystemTime), Absence> {
    let as_pair = |(path, built): (_, &SystemTime)| (path, *built);
    let mut all = candidates.iter().map(as_pair);
    if candidates.len() == 1
        && let Some(only) = all.next()
    {
        return Ok(only);
    }
    let mut left = all.filter(|(path, _)| path.exists());
    match (left.next(), left.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(Absence::Several),
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    Path::new(std::ffi::OsStr::from_bytes(bytes)).to_path_buf()
}

/// The executables of all processes, each once.
fn programs(trace: &Trace) -> Vec<Wanted> {
    let mut programs: Vec<Wanted> = Vec::new();
    for process in &trace.recording().processes {
        let program = Wanted {
            path: path(process.exe.bytes()),
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

fn excerpt(path: &Path, built: SystemTime, lines: &BTreeSet<u32>, context: u32) -> Found {
    match read(path, built) {
        Ok(text) => Found::Lines(around(&text, lines, context)),
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

fn around(text: &[u8], lines: &BTreeSet<u32>, context: u32) -> BTreeMap<u32, Untrusted> {
    let wanted: BTreeSet<u32> = lines
        .iter()
        .flat_map(|line| line.saturating_sub(context)..=line.saturating_add(context))
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
        let lines = around(text.as_bytes(), &[2, 20, 23].into_iter().collect(), 5);
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

    #[test]
    fn where_a_frames_source_lies_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("conn.rs");
        std::fs::write(&source, "fn main() {}\n").unwrap();
        let name = source.as_os_str().as_bytes().to_vec();
        let question = Question {
            places: Places::default(),
            context: 1,
            frames: BTreeMap::from([(name.clone(), Default::default())]),
            sites: Lines::new(),
            programs: Vec::new(),
        };
        assert_eq!(question.answer().files.get(&name), Some(&source));
    }

    #[test]
    fn of_several_files_the_one_is_meant_that_is_here() {
        let folder = tempfile::tempdir().unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(3600);
        let paths = ["one.rs", "other.rs"].map(|name| folder.path().join(name));
        let mut candidates = Candidates::from([(paths[0].clone(), later)]);
        // Why it is not here is then told of it.
        assert_eq!(meant(&candidates), Ok((&paths[0], later)));
        candidates.insert(paths[1].clone(), later);
        assert_eq!(meant(&candidates), Err(Absence::Several));
        std::fs::write(&paths[1], "fn other() {}\n").unwrap();
        assert_eq!(meant(&candidates), Ok((&paths[1], later)));
        let early = SystemTime::UNIX_EPOCH;
        candidates.insert(paths[1].clone(), early);
        assert_eq!(meant(&candidates), Ok((&paths[1], early)));
        std::fs::write(&paths[0], "fn one() {}\n").unwrap();
        assert_eq!(meant(&candidates), Err(Absence::Several));
    }
}
