//! `record --uprobes`: who gives a pointer away and takes it back, in a debug build that does not link the probe.
//!
//! The functions of the standard library that do it are functions of their own there, and the kernel can be asked to say
//! when they are called. Each hit has the pointer, where the call returns to, and which of the functions it was, whose
//! type is known beforehand.
//!
//! Reading order: [`program`] (which functions), [`probes`] (in the kernel's table), [`owners`] (hits into records).

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result, bail};

pub(super) mod owners;
pub(super) mod probes;
pub(super) mod program;

use super::look::prologue::Cost;
use probes::Probes;
use program::Program;

/// What is missing here for `--uprobes`, beside what is missing for `--kernel`.
pub(super) fn missing(tracefs: Option<&Path>) -> Option<String> {
    let table = tracefs
        .unwrap_or(Path::new("/sys/kernel/tracing"))
        .join("uprobe_events");
    // To append: so opened it loses nothing of what others put there.
    let opened = std::fs::OpenOptions::new().append(true).open(&table);
    let error = opened.err()?;
    let shown = crate::safe::path(&table);
    if error.kind() == std::io::ErrorKind::NotFound && tracefs.is_some() {
        return Some(format!(
            "{shown}: this kernel was built without CONFIG_UPROBE_EVENTS"
        ));
    }
    Some(format!(
        "{shown} cannot be written to ({error}): the kernel probes functions (`--uprobes`) for root alone; run it as root: \
         sudo tracer record --uprobes ...; without root there is the probe, which sees more"
    ))
}

/// A program's probes, and what they mean.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) program: Program,
    /// Dropped by whoever closed the events that listen to them: before that they are in use.
    pub(super) probes: Probes,
}

impl Calls {
    /// Looks into the program that a command names, and has the kernel probe it.
    pub(super) fn prepare(tracefs: &Path, command: &OsStr) -> Result<Self> {
        let Some(path) = crate::record::preload::find(command) else {
            bail!("{}: not found", crate::safe::os(command));
        };
        let ready = Program::read(&path).and_then(|program| {
            let probes = Probes::define(tracefs, &program)?;
            Ok(Self { program, probes })
        });
        ready.context("the program's functions cannot be probed (`--uprobes`)")
    }

    /// What to say of what is probed.
    pub(super) fn remarks(&self) -> Vec<String> {
        let functions = &self.program.functions;
        let dear = functions
            .iter()
            .filter(|it| it.cost == Cost::SingleStepped)
            .count();
        let mut remarks = Vec::new();
        if dear > 0 {
            remarks.push(format!(
                "probed {} functions; a call of {dear} of them takes some ten microseconds longer, because the kernel has \
                 to step over its first instruction: RUSTFLAGS=\"-C force-frame-pointers=yes\" has all begin with one \
                 that it does itself",
                functions.len()
            ));
        }
        if let Some(why) = &self.program.no_pushes {
            remarks.push(format!(
                "not recorded: who puts operations into the queues (the call stacks of pushes), because {why}"
            ));
        }
        if !self.program.refused.is_empty() {
            let names: Vec<String> = self
                .program
                .refused
                .iter()
                .take(4)
                .map(|name| traces::tty(name.as_bytes()))
                .collect();
            remarks.push(format!(
                "not probed, because the kernel refuses their first instruction: {}",
                names.join(", ")
            ));
        }
        if self.program.is_capped {
            remarks.push(
                "not recorded: part of the calls, or the program's own told from the standard library's: it has more \
                 functions than are taken"
                    .to_owned(),
            );
        }
        remarks
    }
}
