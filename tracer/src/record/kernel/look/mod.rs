//! What the files of the recorded program say of themselves: asked of a child, which is nobody and has little memory and
//! time ([`crate::confined`]), because whoever listens to the kernel is root as a rule, and the program may have made them.
//! Nothing of an ELF file or of debug information is parsed on this side.
//!
//! A child for each file: what one is made to break costs what that file would have said. What it is made to waste is time
//! that the files of call stacks have together: each takes no more than [`ONE_FILE`] of that, and once it is spent those that
//! come later are not read.
//!
//! Reading order: here (who asks), [`child`] (who is asked), [`words`] (how it is written down); then what is looked for:
//! [`image`] (parts and build-id), [`frames`] (how to go up from a function), [`functions`], [`types`], [`pushes`] and
//! [`prologue`] (what `--uprobes` probes).

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use crate::confined::{self, Confined, Why};

pub(crate) mod child;
pub(super) mod frames;
pub(super) mod functions;
pub(super) mod image;
pub(super) mod prologue;
pub(super) mod pushes;
pub(super) mod types;
mod words;

/// How long all questions to the program may take that `--uprobes` probes, and as long again all those to the files of call
/// stacks: by far more than those of real programs do. While they are waited for the kernel's buffers fill.
pub(super) const ALL: Duration = Duration::from_secs(60);
/// How long those to one file of call stacks may take.
pub(super) const ONE_FILE: Duration = Duration::from_secs(5);

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
pub(super) struct Look {
    child: Result<Confined, Why>,
    /// How much longer it is waited for.
    left: Duration,
}

impl Look {
    /// Begins to look into a file, which is waited for so long in all.
    pub(super) fn at(file: &File, left: Duration) -> Self {
        // The program that runs tests has no hidden commands.
        #[cfg(test)]
        let child = Ok(tests::at(file));
        #[cfg(not(test))]
        let child = Self::begin(file);
        Self { child, left }
    }

    #[cfg_attr(test, expect(dead_code, reason = "see above"))]
    fn begin(file: &File) -> Result<Confined, Why> {
        // Opened anew, so that nobody else moves the place in it from which the child reads.
        let own = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Confined::start(own.map(|own| {
            let mut command = confined::command(NAME);
            // Signals of the terminal are for the program: what it says of itself is asked until its end.
            command.stdin(own).process_group(0);
            command
        }))
    }

    /// Asks; after a failure there is no other answer any more.
    fn ask(&mut self, question: &str, patience: &mut Patience) -> Result<String, Why> {
        let child = self.child.as_mut().map_err(|why| why.clone())?;
        let began = Instant::now();
        let answer = child.ask(question.as_bytes(), self.left.min(patience.0));
        let took = began.elapsed();
        self.left = self.left.saturating_sub(took);
        patience.0 = patience.0.saturating_sub(took);
        match answer {
            Ok(answer) => Ok(String::from_utf8_lossy(&answer).into_owned()),
            Err(why) => {
                let is_spent = patience.0.is_zero() && !self.left.is_zero();
                let why = if is_spent { spent() } else { why };
                self.child = Err(why.clone());
                Err(why)
            }
        }
    }

    /// Why it has no answers any more.
    pub(super) fn failed(&self) -> Option<&Why> {
        self.child.as_ref().err()
    }
}

/// A file that had time left, and was not waited for.
fn spent() -> Why {
    Why::Unread(format!(
        "was not read to its end: all files of call stacks together had taken {} seconds",
        ALL.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread of this process that answers in the place of a child, which is there and says nothing.
    pub(super) fn at(file: &File) -> Confined {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let file = file.try_clone().unwrap();
        std::thread::spawn(move || {
            let cache = object::read::ReadCache::new(file);
            child::answers(&cache, &theirs);
        });
        Confined::stands_in(ours)
    }

    #[test]
    fn a_slow_file_takes_its_own_time_and_leaves_others_theirs() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        // Whoever is at the other end says nothing.
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut slow = Look {
            child: Ok(Confined::stands_in(ours)),
            left: Duration::from_millis(20),
        };
        let mut patience = Patience::default();
        assert_eq!(slow.ask("image", &mut patience), Err(Why::TooLong));
        assert_eq!(slow.failed(), Some(&Why::TooLong));
        let mut healthy = Look::at(&file, ALL);
        assert!(healthy.ask("image", &mut patience).is_ok());
        // It is not its fault that others took all of it.
        let mut late = Look::at(&file, ALL);
        assert_eq!(
            late.ask("image", &mut Patience(Duration::ZERO)),
            Err(spent())
        );
    }
}
