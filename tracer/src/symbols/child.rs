//! `tracer __symbolize`: looks into one file with little memory and little time, and says what it found
//! in lines.
//!
//! It is asked as [`crate::confined`] says, a line each: an address; `s` and the name of a source; `d` and a folder with debug
//! information; `m` and two paths of which the first lies at the second here. The answer begins with `ok`,
//! or with `no` and the reason; then a line a function, the innermost first: address, source line, name
//! and path; `s` with a source's name and a whole path of it; `n` with what was wrong with another file. Texts
//! are in hex, so that nothing in a file can be taken for something else.

use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::file;
use crate::args::Symbolize;
use crate::confined::child::{Limits, Rights, serve};
use crate::confined::unhex;
use crate::exit::{Exit, Failure};
use crate::record::hex;

/// The hidden command's name.
pub(crate) const NAME: &str = "__symbolize";

/// It opens files by the names that it comes across, as whoever asks may.
const LIMITS: Limits = Limits {
    cpu_seconds: 10,
    address_space: 2 << 30,
    rights: Rights::Kept,
};
/// Bytes of a name or path that are passed on.
const TEXT_MAX: usize = 4096;
/// Files that are said to be wrong.
const NOTES_MAX: usize = 4;

/// The command.
pub(crate) fn run(args: &Symbolize) -> Result<Exit, Failure> {
    let build_id = unhex(&args.build_id).ok_or_else(|| anyhow!("the build-id is not hex"))?;
    serve(LIMITS, |question| {
        let question = read_question(&String::from_utf8_lossy(question));
        written(file::look_up(&args.file, &build_id, &question)).into_bytes()
    })
}

/// An answer as it is sent.
fn written(answer: Result<file::Answer, String>) -> String {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return format!("no {why}\n"),
    };
    let cut = |text: &[u8]| hex(text.get(..TEXT_MAX).unwrap_or(text));
    let mut out = String::from("ok\n");
    for line in answer.lines {
        let (name, path) = (cut(&line.name), cut(&line.file));
        let _ = writeln!(out, "{:x} {} {name} {path}", line.address, line.line);
    }
    for (asked, path) in answer.sources {
        let _ = writeln!(out, "s {} {}", hex(&asked), hex(&path));
    }
    for note in answer.notes.iter().take(NOTES_MAX) {
        let _ = writeln!(out, "n {}", cut(note.as_bytes()));
    }
    out
}

/// A function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) address: u64,
    pub(crate) line: u32,
    pub(crate) name: Vec<u8>,
    pub(crate) file: Vec<u8>,
}

/// A question as it is sent.
pub(super) fn question(asked: &file::Question) -> String {
    let text = |path: &Path| hex(path.as_os_str().as_bytes());
    let mut lines: Vec<String> = Vec::new();
    lines.extend(asked.addresses.iter().map(|address| format!("{address:x}")));
    lines.extend(asked.sources.iter().map(|name| format!("s {}", hex(name))));
    lines.extend(
        asked
            .debug_dirs
            .iter()
            .map(|dir| format!("d {}", text(dir))),
    );
    let map = |(from, to): &(PathBuf, PathBuf)| format!("m {} {}", text(from), text(to));
    lines.extend(asked.maps.iter().map(map));
    lines.join("\n") + "\n"
}

fn read_question(text: &str) -> file::Question {
    let path = |word: Option<&str>| {
        let bytes = unhex(word?)?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
    };
    let mut asked = file::Question::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        match words.next() {
            Some("s") => asked.sources.extend(words.next().and_then(unhex)),
            Some("d") => asked.debug_dirs.extend(path(words.next())),
            Some("m") => {
                let pair = path(words.next()).zip(path(words.next()));
                asked.maps.extend(pair);
            }
            Some(word) => asked.addresses.extend(u64::from_str_radix(word, 16).ok()),
            None => {}
        }
    }
    asked
}

/// Reads what the child wrote; a line that makes no sense is left out.
pub(super) fn read_answer(answer: &[u8]) -> Result<file::Answer, String> {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.lines();
    match lines.next() {
        Some("ok") => {}
        first => {
            let why = first.and_then(|first| first.strip_prefix("no "));
            return Err(traces::tty(
                why.unwrap_or("cannot be looked into").as_bytes(),
            ));
        }
    }
    let mut answer = file::Answer::default();
    for line in lines {
        let mut words = line.split(' ');
        let texts = |words: std::str::Split<'_, char>| words.map(unhex).collect::<Option<Vec<_>>>();
        match words.next() {
            Some("s") => {
                if let Some([asked, path]) = texts(words).and_then(|it| <[_; 2]>::try_from(it).ok())
                {
                    answer.sources.push((asked, path));
                }
            }
            Some("n") => {
                if let Some([note]) = texts(words).and_then(|it| <[_; 1]>::try_from(it).ok()) {
                    answer.notes.push(traces::tty(&note));
                }
            }
            Some(_) => answer.lines.extend(read_line(line)),
            None => {}
        }
    }
    Ok(answer)
}

fn read_line(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    Some(Line {
        address: u64::from_str_radix(words.next()?, 16).ok()?,
        line: words.next()?.parse().ok()?,
        name: unhex(words.next()?)?,
        file: unhex(words.next()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_far_as_they_make_sense() {
        let answer = b"ok\n10 7 6d61696e 782e7273\n11 0 61 \nzz 1 61 61\n12 1 6 61\n13\ns 61 2f61\nn 1b5b\ns 61";
        let answer = read_answer(answer).unwrap();
        assert_eq!(answer.sources, [(b"a".to_vec(), b"/a".to_vec())]);
        assert_eq!(answer.notes, ["\\u{1b}["]);
        let lines = answer.lines;
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].address, lines[0].line), (0x10, 7));
        assert_eq!(lines[0].name, b"main");
        assert_eq!(lines[0].file, b"x.rs");
        assert_eq!(lines[1].file, b"");
        assert_eq!(
            read_answer(b"no it was\x1b[2J\n").unwrap_err(),
            "it was\\u{1b}[2J"
        );
        assert!(read_answer(b"").is_err());
    }

    #[test]
    fn questions_arrive_as_they_were_asked() {
        let asked = file::Question {
            addresses: vec![0x10, 0xFFFF],
            sources: vec![b"src/a b.rs".to_vec()],
            debug_dirs: vec!["/usr/lib/debug".into()],
            maps: vec![("/a b".into(), "/c".into())],
        };
        let read = read_question(&question(&asked));
        assert_eq!(format!("{read:?}"), format!("{asked:?}"));
    }
}
