//! Probes of a program's functions, in the kernel's table of them (`uprobe_events`).
//!
//! They go through tracefs and never through the interface that perf has for single ones: inherited, that one makes
//! `fork` and `pthread_create` of the recorded program fail. All functions are places of two events, since each event
//! takes a tenth of a second to remove; which of them it was is said by a number that each place has.
//!
//! The table is the machine's, and outlives whoever wrote to it. What this process put there goes when [`Probes`] is
//! dropped; what a recorder left that was killed carries its number, and goes when the next one starts.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::program::Program;
use crate::record::kernel::format::Format;
use crate::record::kernel::look::functions::Call;
use crate::record::kernel::look::pushes::Layout;
use crate::record::spawn::start_time;

const GROUP: &str = "tracer_";
const ENTER: &str = "enter";
const LEAVE: &str = "leave";
const PUSH: &str = "push";
/// Where an entry has its cookie, by the kernel's interface.
const COOKIE: u64 = 32;

/// What this process put into the kernel's table.
#[derive(Debug)]
pub(in super::super) struct Probes {
    tracefs: PathBuf,
    group: String,
    events: Vec<&'static str>,
}

/// Whose probes they are: process id and start time, so that a number used again is told apart.
fn group(pid: u32, start: u64) -> String {
    format!("{GROUP}{pid}_{start}")
}

/// The recorder that a group's name says.
fn recorder(group: &str) -> Option<(u32, u64)> {
    let (pid, start) = group.strip_prefix(GROUP)?.split_once('_')?;
    Some((pid.parse().ok()?, start.parse().ok()?))
}

fn table(tracefs: &Path) -> PathBuf {
    tracefs.join("uprobe_events")
}

/// Adds a line to the table. Opened to append: opened to be written anew it would lose all that others put there.
fn say(tracefs: &Path, line: &str) -> io::Result<()> {
    let mut table = OpenOptions::new().append(true).open(table(tracefs))?;
    table.write_all(line.as_bytes())
}

impl Probes {
    /// Puts a program's functions into the table.
    pub(super) fn define(tracefs: &Path, program: &Program) -> Result<Self> {
        clear_leftovers(tracefs);
        let pid = std::process::id();
        let start = start_time(pid).map_or(0, |(start, _)| start);
        let mut probes = Self {
            tracefs: tracefs.to_path_buf(),
            group: group(pid, start),
            events: Vec::new(),
        };
        read_all(&program.file).context("the program cannot be read")?;
        // By its descriptor: the very file that was looked into, whatever its name is and whoever replaces it.
        let path = format!("/proc/{pid}/fd/{}", program.file.as_raw_fd());
        let calls = program.functions.iter().enumerate();
        let calls = calls.map(|(number, function)| {
            let (kind, event, fields) = match function.call {
                Call::Leak => ('r', LEAVE, "ptr=$retval:u64"),
                _ => ('p', ENTER, "ptr=%di:u64 ret=+0(%sp):u64"),
            };
            (kind, event, function.offset, number, fields.to_owned())
        });
        let pushes = program.pushes.iter().flat_map(|(pushes, layout)| {
            let Layout { tail, ring, fd } = *layout;
            let fields = format!(
                "index=+{tail}(%di):u32 cookie=+{COOKIE}(%si):u64 fd={fd:+}(+{ring}(%di)):s32"
            );
            let numbered = pushes.functions.iter().enumerate();
            numbered.map(move |(number, (offset, _))| ('p', PUSH, *offset, number, fields.clone()))
        });
        for (kind, event, offset, number, fields) in calls.chain(pushes) {
            let line = format!(
                "{kind}:{}/{event} {path}:{offset:#x} id=\\{number}:u32 {fields}\n",
                probes.group
            );
            say(tracefs, &line).with_context(|| {
                format!(
                    "the kernel takes no probe in {}: it was built without CONFIG_UPROBE_EVENTS, is locked down, or \
                     older than 5.5",
                    crate::safe::path(&table(tracefs))
                )
            })?;
            if !probes.events.contains(&event) {
                probes.events.push(event);
            }
        }
        Ok(probes)
    }

    /// The formats of what functions say when they are entered, when they are left, and of pushes.
    pub(in super::super) fn formats(&self) -> Result<[Option<Format>; 3]> {
        let format = |event: &'static str| {
            if !self.events.contains(&event) {
                return Ok(None);
            }
            let path = self
                .tracefs
                .join("events")
                .join(&self.group)
                .join(event)
                .join("format");
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", crate::safe::path(&path)))?;
            match Format::parse(&text) {
                Some(format) => Ok(Some(format)),
                None => bail!("{} is no description of a probe", crate::safe::path(&path)),
            }
        };
        Ok([format(ENTER)?, format(LEAVE)?, format(PUSH)?])
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        for event in self.events.drain(..) {
            if let Err(error) = say(&self.tracefs, &format!("-:{}/{event}\n", self.group)) {
                crate::talk::line(format_args!(
                    "a probe of the recorded program was not removed ({error}); as root: echo '-:{}/{event}' >> {}",
                    self.group,
                    crate::safe::path(&table(&self.tracefs))
                ));
            }
        }
    }
}

/// Reads a whole file: the kernel looks at its pages when the program maps them, and warns of those that it has to
/// fetch then.
fn read_all(file: &std::fs::File) -> io::Result<()> {
    let mut file = file.try_clone()?;
    io::Seek::rewind(&mut file)?;
    let mut room = vec![0; 1 << 18];
    while file.read(&mut room)? > 0 {}
    Ok(())
}

/// Events in the table that recorders left which run no more.
pub(crate) fn leftovers(tracefs: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(table(tracefs)).unwrap_or_default();
    let mut found = left(&text, |pid, start| {
        start_time(pid).is_some_and(|(now, alive)| alive && now == start)
    });
    found.sort();
    found.dedup();
    found
}

/// `group/event` of each line of the table whose recorder does not run: `p:tracer_1_2/enter /bin/x:0x0 ...`
fn left(table: &str, runs: impl Fn(u32, u64) -> bool) -> Vec<String> {
    let names = table.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let name = rest.split_ascii_whitespace().next()?;
        let (group, _) = name.split_once('/')?;
        let (pid, start) = recorder(group)?;
        (!runs(pid, start)).then(|| name.to_owned())
    });
    names.collect()
}

fn clear_leftovers(tracefs: &Path) {
    for name in leftovers(tracefs) {
        // Another start may have been faster.
        let _ = say(tracefs, &format!("-:{name}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_recorder_left_is_a_leftover() {
        let table = "p:tracer_7_100/enter /proc/7/fd/9:0x10 id=\\0:u32\n\
                     p:tracer_7_100/enter /proc/7/fd/9:0x20 id=\\1:u32\n\
                     r:tracer_8_100/leave /a:0x10 id=\\0:u32\n\
                     p:mine/enter /a:0x10\np:tracer_x/enter /a:0x10\np:tracer_9/enter /a\nr5:tracer_6_1/leave /a:0x1\n";
        let found = left(table, |pid, start| (pid, start) == (8, 100));
        assert_eq!(
            found,
            [
                "tracer_7_100/enter",
                "tracer_7_100/enter",
                "tracer_6_1/leave"
            ]
        );
        assert_eq!(recorder(&group(7, 100)), Some((7, 100)));
    }
}
