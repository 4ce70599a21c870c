//! Where a copy goes: to the terminal, to tmux, to a program that keeps it; and to a file where it is too large for a
//! terminal.

use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{fmt, thread};

use tui::{Copied, Waits};

use crate::{kept, safe};

/// Who keeps copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Clipboard {
    /// The terminal, asked by OSC 52: it works over ssh, and most do.
    #[default]
    Osc52,
    /// tmux, which has buffers of its own and hands them on to its terminal.
    Tmux,
    /// A program that reads it: `wl-copy`, `xclip -selection clipboard`, `pbcopy`.
    Program(Vec<String>),
}

impl FromStr for Clipboard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "osc52" => Ok(Self::Osc52),
            "tmux" => Ok(Self::Tmux),
            line => match shlex::split(line) {
                Some(words) if !words.is_empty() => Ok(Self::Program(words)),
                _ => Err("wants osc52, tmux, or a command that reads what is copied".into()),
            },
        }
    }
}

impl fmt::Display for Clipboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Osc52 => f.write_str("osc52"),
            Self::Tmux => f.write_str("tmux"),
            Self::Program(words) => match shlex::try_join(words.iter().map(String::as_str)) {
                Ok(line) => f.write_str(&line),
                Err(_) => f.write_str("?"),
            },
        }
    }
}

/// How long such a program keeps keys waiting. Most are done by then, or have failed; one that stays to serve the copy
/// goes on.
const PATIENCE: Duration = Duration::from_millis(200);

/// What became of a program that was given the text.
#[derive(Debug)]
enum Fed {
    /// It ended well.
    Done,
    /// It still runs: it serves the copy, or hangs, or fails yet.
    Runs(Ending),
}

/// How a program ends, once it does.
type Ending = Receiver<io::Result<ExitStatus>>;

impl Clipboard {
    /// Copies a text.
    pub(crate) fn copy(&self, text: &str, too_large: bool) -> Copied {
        self.copy_within(PATIENCE, text, too_large)
    }

    fn copy_within(&self, patience: Duration, text: &str, too_large: bool) -> Copied {
        let words = match self {
            Self::Osc52 if too_large => return to_file(kept::folder(), text),
            Self::Osc52 => return Copied::Terminal,
            Self::Tmux => &["tmux", "load-buffer", "-w", "-"].map(str::to_owned)[..],
            Self::Program(words) => words,
        };
        let name = traces::tty(words[0].as_bytes());
        match feed(words, text, patience) {
            Ok(Fed::Done) => Copied::Elsewhere(format!("to {name}")),
            Ok(Fed::Runs(ending)) => {
                let said = format!("to {name}, which still runs");
                let waits = move || {
                    let why = ended(ending.recv().ok()?).err()?;
                    Some(failed(&name, &why))
                };
                Copied::Given(said, Waits(Box::new(waits)))
            }
            Err(why) => Copied::Failed(failed(&name, &why)),
        }
    }
}

fn failed(name: &str, why: &str) -> String {
    format!("not copied: {name} {why}; view --clipboard names another way")
}

/// Whether a program ended well; or why not.
fn ended(how: io::Result<ExitStatus>) -> Result<(), String> {
    match how {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("ended with {status}")),
        Err(error) => Err(format!("cannot be waited for: {error}")),
    }
}

/// Has a program read the text. From a file: it need not read all of it before this goes on.
fn feed(words: &[String], text: &str, patience: Duration) -> Result<Fed, String> {
    let failed = |error: io::Error| format!("cannot be given it: {error}");
    let mut file = tempfile::tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let (tell, ending) = channel();
    thread::Builder::new()
        .name("copy".into())
        // However long it runs: what has ended is no zombie.
        .spawn(move || tell.send(child.wait()))
        .map_err(|error| format!("cannot be waited for: {error}"))?;
    match ending.recv_timeout(patience) {
        Ok(how) => ended(how).map(|()| Fed::Done),
        Err(_) => Ok(Fed::Runs(ending)),
    }
}

fn to_file(folder: Option<PathBuf>, text: &str) -> Copied {
    let kib = text.len().div_ceil(1024);
    let large = format!("{kib} KiB are more than terminals take as one copy");
    let Some(folder) = folder else {
        return Copied::Failed(format!(
            "{large}, and HOME is not set: there is no place for a file"
        ));
    };
    let path = folder.join("copied.txt");
    match kept::write(&path, text) {
        Ok(()) => Copied::Elsewhere(format!("to {}: {large}", safe::path(&path))),
        Err(error) => Copied::Failed(format!(
            "{large}, and {} cannot be written: {error}",
            safe::path(&path)
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Nobody waits so long who works.
    const LONG: Duration = Duration::from_secs(120);

    #[test]
    fn a_copy_goes_to_who_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept here");
        let program = format!("sh -c 'cat > \"$0\"' '{}'", kept.display());
        let clipboard: Clipboard = program.parse().unwrap();
        assert_eq!(clipboard.to_string().parse(), Ok(clipboard.clone()));
        let text = "0x55d0c2e0b040\n".repeat(20_000);
        let Copied::Elsewhere(said) = clipboard.copy_within(LONG, &text, true) else {
            panic!("it is done in time");
        };
        assert_eq!(said, "to sh");
        assert_eq!(fs::read_to_string(&kept).unwrap(), text);
        for (wrong, why) in [
            ("false", "ended with"),
            ("/no/such/program", "cannot be started"),
        ] {
            let clipboard: Clipboard = wrong.parse().unwrap();
            let Copied::Failed(said) = clipboard.copy_within(LONG, "x", false) else {
                panic!("{wrong} copies nothing");
            };
            assert!(said.contains(why) && said.contains("--clipboard"), "{said}");
        }
        let copied = Clipboard::Osc52.copy("x", false);
        assert!(matches!(copied, Copied::Terminal), "{copied:?}");
        assert!("".parse::<Clipboard>().is_err() && "it's".parse::<Clipboard>().is_err());
    }

    #[test]
    fn a_program_that_serves_the_copy_is_told_as_running_and_reaped_when_it_ends_and_told_if_it_fails()
     {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name);
        let (pid, serves) = (inside("pid"), inside("serves"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &serves, rustix::fs::Mode::RWXU).unwrap();
        let program = format!(
            "sh -c 'echo $$ > \"$0.new\" && mv \"$0.new\" \"$0\"; cat \"$1\"; exit 3' '{}' '{}'",
            pid.display(),
            serves.display()
        );
        let clipboard: Clipboard = program.parse().unwrap();
        let copied = clipboard.copy_within(Duration::from_millis(1), "x", false);
        let Copied::Given(said, waits) = copied else {
            panic!("it waits to be read");
        };
        assert_eq!(said, "to sh, which still runs");
        // Opened once the program reads; closed again, which ends it.
        drop(fs::OpenOptions::new().write(true).open(&serves).unwrap());
        let pid = fs::read_to_string(&pid).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        let until = std::time::Instant::now() + LONG;
        while process.exists() {
            assert!(std::time::Instant::now() < until, "a zombie is left");
            thread::sleep(Duration::from_millis(5));
        }
        let said = waits.0().expect("it failed");
        assert!(
            said.contains("not copied: sh ended with exit status: 3"),
            "{said}"
        );
    }

    #[test]
    fn what_is_too_large_for_a_terminal_goes_to_a_file_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = "a row\n".repeat(20_000);
        let place = folder.path().join("state/tracer");
        let Copied::Elsewhere(said) = to_file(Some(place.clone()), &text) else {
            panic!("it can be written");
        };
        assert!(said.contains("copied.txt: 118 KiB are more than"), "{said}");
        assert_eq!(fs::read_to_string(place.join("copied.txt")).unwrap(), text);
        assert!(matches!(to_file(None, &text), Copied::Failed(_)));
        assert!(matches!(
            to_file(Some("/proc/none".into()), &text),
            Copied::Failed(_)
        ));
    }
}
