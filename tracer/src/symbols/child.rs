//! `tracer __symbolize`: looks into one file with little memory and little time, and says what it found
//! in lines.
//!
//! Asked on stdin, an address a line. The answer begins with `ok`, or with `no` and the reason; then a
//! line a function, the innermost first: address, source line, name and path, the texts in hex, so that
//! nothing in a file can be taken for something else.

use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::anyhow;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::file;
use crate::args::Symbolize;
use crate::exit::{CLEAN, Exit, Failure};
use crate::record::hex;

/// The hidden command's name.
pub(crate) const NAME: &str = "__symbolize";

const CPU_SECONDS: u64 = 10;
const ADDRESS_SPACE: u64 = 2 << 30;
/// Bytes of a question.
const QUESTION_MAX: u64 = 64 << 20;
/// Bytes of a name or path that are passed on.
const TEXT_MAX: usize = 4096;

/// The command.
pub(crate) fn run(args: &Symbolize) -> Result<Exit, Failure> {
    limit().map_err(|error| anyhow!("cannot limit itself: {error}"))?;
    let mut question = String::new();
    io::stdin()
        .take(QUESTION_MAX)
        .read_to_string(&mut question)?;
    let addresses = question
        .lines()
        .filter_map(|line| u64::from_str_radix(line, 16).ok());
    let build_id = unhex(&args.build_id).ok_or_else(|| anyhow!("the build-id is not hex"))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match answer(&args.file, &build_id, addresses) {
        Ok(lines) => {
            writeln!(out, "ok")?;
            for line in lines {
                let cut = |text: &[u8]| hex(text.get(..TEXT_MAX).unwrap_or(text));
                let (name, path) = (cut(&line.name), cut(&line.file));
                writeln!(out, "{:x} {} {name} {path}", line.address, line.line)?;
            }
        }
        Err(why) => writeln!(out, "no {why}")?,
    }
    out.flush()?;
    Ok(Exit::Code(CLEAN))
}

fn limit() -> rustix::io::Result<()> {
    let limits = [
        (Resource::Cpu, CPU_SECONDS),
        (Resource::As, ADDRESS_SPACE),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ];
    for (resource, most) in limits {
        let most = match rustix::process::getrlimit(resource).maximum {
            Some(allowed) => most.min(allowed),
            None => most,
        };
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(most),
            },
        )?;
    }
    Ok(())
}

/// A function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) address: u64,
    pub(crate) line: u32,
    pub(crate) name: Vec<u8>,
    pub(crate) file: Vec<u8>,
}

fn answer(
    path: &Path,
    build_id: &[u8],
    addresses: impl Iterator<Item = u64>,
) -> Result<Vec<Line>, String> {
    let opened = file::open(path)?;
    file::look_up(opened, build_id, addresses)
}

/// Reads what the child wrote; a line that makes no sense, as the last one of a child that was ended,
/// is left out.
pub(crate) fn read_answer(answer: &[u8]) -> Result<Vec<Line>, String> {
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
    let parse = |line: &str| {
        let mut words = line.split(' ');
        Some(Line {
            address: u64::from_str_radix(words.next()?, 16).ok()?,
            line: words.next()?.parse().ok()?,
            name: unhex(words.next()?)?,
            file: unhex(words.next()?)?,
        })
    };
    Ok(lines.filter_map(parse).collect())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(byte).collect::<Option<Vec<u8>>>())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_far_as_they_make_sense() {
        let answer = b"ok\n10 7 6d61696e 782e7273\n11 0 61 \nzz 1 61 61\n12 1 6 61\n13";
        let lines = read_answer(answer).unwrap();
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
}
