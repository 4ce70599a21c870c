//! What the files of the recorded program say of themselves: asked of a child, which is nobody and has little memory and
//! time ([`crate::confined`]), because whoever listens to the kernel is root as a rule, and the program may have made them.
//! Nothing of an ELF file or of debug information is parsed on this side.
//!
//! A child for each file: what one is made to break costs what that file would have said, and nothing else.
//!
//! Reading order: here (who asks), [`child`] (who is asked), [`words`] (how it is written down); then what is looked for:
//! [`image`] (parts and build-id), [`frames`] (how to go up from a function), [`functions`], [`types`], [`pushes`] and
//! [`prologue`] (what `--uprobes` probes).

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use crate::confined::{self, Confined};

pub(crate) mod child;
pub(super) mod frames;
pub(super) mod functions;
pub(super) mod image;
pub(super) mod prologue;
pub(super) mod pushes;
pub(super) mod types;
mod words;

/// How long all questions may take, those to the program and those about its call stacks: by far more than a real program's
/// do. While they are waited for the kernel's buffers fill.
const ALL: Duration = Duration::from_secs(60);

/// The hidden command's name.
const NAME: &str = "__look";

/// How much longer files are waited for.
#[derive(Debug)]
pub(super) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(ALL)
    }
}

/// A file that is asked.
#[derive(Debug)]
pub(super) struct Look(Result<Confined, String>);

impl Look {
    /// Begins to look into a file.
    pub(super) fn at(file: &File) -> Self {
        // The program that runs tests has no hidden commands.
        #[cfg(test)]
        return tests::at(file);
        #[cfg(not(test))]
        Self::begin(file)
    }

    #[cfg_attr(test, expect(dead_code, reason = "see above"))]
    fn begin(file: &File) -> Self {
        let start = || {
            // Opened anew, so that nobody else moves the place in it from which the child reads.
            let own = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
            let mut command = confined::command(NAME);
            // Signals of the terminal are for the program: what it says of itself is asked until its end.
            command.stdin(own).process_group(0);
            Confined::start(command)
        };
        Self(start().map_err(|error| format!("cannot be looked into: {error}")))
    }

    /// Asks; after a failure there is no other answer any more.
    fn ask(&mut self, question: &str, patience: &mut Patience) -> Result<String, String> {
        let child = self.0.as_mut().map_err(|why| why.clone())?;
        let began = Instant::now();
        let answer = child.ask(question.as_bytes(), patience.0);
        patience.0 = patience.0.saturating_sub(began.elapsed());
        match answer {
            Ok(answer) => Ok(String::from_utf8_lossy(&answer).into_owned()),
            Err(why) => {
                self.0 = Err(why.clone());
                Err(why)
            }
        }
    }

    /// Whether it failed.
    pub(super) fn is_gone(&self) -> bool {
        self.0.is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread of this process that answers in the place of a child, which is there and says nothing.
    pub(super) fn at(file: &File) -> Look {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let file = file.try_clone().unwrap();
        std::thread::spawn(move || {
            let cache = object::read::ReadCache::new(file);
            child::answers(&cache, &theirs);
        });
        Look(Ok(Confined::stands_in(ours)))
    }
}
