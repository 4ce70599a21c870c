//! `tracer __look`: the child, which answers questions about the file that is its stdin.
//!
//! ```text
//! image          parts and build-id                    functions      what can be probed, by the symbols
//! table BYTES    reads what it says of its frames      layout         where the io-uring crate has its fields
//! row ADDRESS    how to go up from there               types          of what those functions are
//!                                                      line ADDRESS   where that is in the source
//! ```

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use addr2line::Context;
use anyhow::Context as _;
use object::read::ReadCache;

use super::frames::Table;
use super::functions::{self, Functions};
use super::words::Words;
use super::{frames, image, pushes, types};
use crate::confined::child::{Limits, Rights, serve};
use crate::exit::{Exit, Failure};
use crate::record::hex;
use crate::symbols::debug::{self, Elf, Reader};

/// By far more than a real program's file takes.
const LIMITS: Limits = Limits {
    cpu_seconds: 60,
    address_space: 4 << 30,
    rights: Rights::Dropped,
};

/// The command.
pub(crate) fn run() -> Result<Exit, Failure> {
    let file = io::stdin().as_fd().try_clone_to_owned();
    let cache = ReadCache::new(File::from(file.context("there is no file")?));
    let mut looked = Looked::new(&cache);
    serve(LIMITS, |question| looked.answered(question))
}

/// The same without limits, for tests.
#[cfg(test)]
pub(super) fn answers(cache: &ReadCache<File>, socket: &std::os::unix::net::UnixStream) {
    let mut looked = Looked::new(cache);
    crate::confined::child::converse(socket, |question| looked.answered(question)).unwrap();
}

/// What was found in the file so far.
struct Looked<'a> {
    cache: &'a ReadCache<File>,
    table: Option<Box<Table>>,
    elf: Option<Elf<'a>>,
    functions: Functions,
    dwarf: Option<gimli::Dwarf<Reader>>,
    lines: Option<Context<Reader>>,
}

impl<'a> Looked<'a> {
    fn new(cache: &'a ReadCache<File>) -> Self {
        Self {
            cache,
            table: None,
            elf: None,
            functions: Functions::default(),
            dwarf: None,
            lines: None,
        }
    }

    fn answered(&mut self, question: &[u8]) -> Vec<u8> {
        let question = String::from_utf8_lossy(question);
        self.answer(&question).unwrap_or_default().into_bytes()
    }

    /// Nothing where there is none, or the question makes no sense.
    fn answer(&mut self, question: &str) -> Option<String> {
        let (what, mut words) = Words::of(question);
        match what {
            "image" => Some(image::read(self.cache)?.written()),
            "table" => {
                let found = frames::Found::read(self.cache, words.number()?);
                let written = found.written();
                self.table = found.table();
                Some(written)
            }
            "row" => Some(self.table.as_ref()?.row(words.number()?).written()),
            "functions" => {
                let found = functions::find(self.cache);
                let written = functions::written(&found);
                if let Ok((elf, functions)) = found {
                    (self.elf, self.functions) = (Some(elf), functions);
                }
                Some(written)
            }
            "layout" => Some(pushes::layout(self.dwarf()?).ok()??.written()),
            "types" => {
                let functions = std::mem::take(&mut self.functions.functions);
                Some(types::written(self.dwarf()?, &functions))
            }
            "line" => self.line(words.number()?),
            _ => None,
        }
    }

    fn dwarf(&mut self) -> Option<&gimli::Dwarf<Reader>> {
        if self.dwarf.is_none() {
            self.dwarf = Some(debug::dwarf(self.elf.as_ref()?));
        }
        self.dwarf.as_ref()
    }

    fn line(&mut self, address: u64) -> Option<String> {
        if self.lines.is_none() {
            self.dwarf()?;
            self.lines = Context::from_dwarf(self.dwarf.take()?).ok();
        }
        let place = self.lines.as_ref()?.find_location(address).ok()??;
        let (line, column) = (place.line.unwrap_or(0), place.column.unwrap_or(0));
        let file = hex(place.file?.as_bytes());
        Some(format!("l {file} {line:x} {column:x}"))
    }
}
