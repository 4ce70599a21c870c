//! `tracer pack`: makes of a trace a file that says everything by itself: the names of call stacks and the
//! lines of source around each place are put inside, so that a colleague needs neither the program nor its
//! sources. `--redact` takes out what is nobody else's business.
//!
//! Reading order: [`run`], then [`crate::sources`] (which lines, and why some are missing), [`copy`] (the trace
//! itself, as it is or redacted).

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use traces::read::bundle::{self, Section};
use traces::redact::Redactor;
use traces::source::CONTEXT;
use traces::{Trace, packed};

use crate::args::Pack;
use crate::exit::{CLEAN, Exit, Failure};
use crate::record::{Unfinished, random, target};
use crate::sources::Question;
use crate::symbols::{self, Places};
use crate::{open, safe, talk};

pub(crate) mod copy;

/// The command.
pub(crate) fn run(args: &Pack) -> Result<Exit, Failure> {
    let shown = safe::path(&args.file);
    let opened = open::open(&args.file)?;
    let mut trace = Trace::read(&opened.inputs()).map_err(anyhow::Error::from)?;
    open::tell_problems(&trace);
    if trace.recording().is_packed && !args.redact {
        return Err(anyhow::anyhow!("{shown} is packed already; send it as it is").into());
    }
    let wanted = wanted(args);
    let output = output(args, &wanted)?;
    add_what_is_known(&mut trace, &args.names.places());
    let redactor = args.redact.then(redactor).transpose()?;
    let unfinished = Unfinished::create(&output)
        .with_context(|| format!("cannot write {}", safe::path(&output)))?;
    write(&unfinished, &opened, &trace, redactor)
        .with_context(|| format!("cannot make {} of {shown}", safe::path(&output)))?;
    let words = read_again(&unfinished, &trace).with_context(|| format!("cannot pack {shown}"))?;
    unfinished
        .rename(&output)
        .with_context(|| format!("cannot put {} in its place", safe::path(&output)))?;
    let file = safe::path(&wanted);
    talk::line(format_args!("{file}: {words}; next: `tracer check {file}`"));
    Ok(Exit::Code(CLEAN))
}

/// Makes a packed file of a recording that is on the way to `target`.
pub(crate) fn fresh(from: &Path, target: &Path, redact: bool) -> Result<()> {
    let opened = open::open(from)?;
    let mut trace = Trace::read(&opened.inputs())?;
    add_what_is_known(&mut trace, &Places::default());
    let redactor = redact.then(redactor).transpose()?;
    let unfinished = Unfinished::create(target)?;
    write(&unfinished, &opened, &trace, redactor)?;
    unfinished.rename(target)?;
    Ok(())
}

/// A redactor with a secret that nobody keeps.
pub(crate) fn redactor() -> Result<Redactor> {
    let secret = random().context("cannot get random bytes from the kernel")?;
    Ok(Redactor::new(secret))
}

/// `trace.packed.bin` beside `trace.bin`, unless told otherwise.
fn wanted(args: &Pack) -> PathBuf {
    let end = if args.redact { "redacted" } else { "packed" };
    let beside = || args.file.with_extension(format!("{end}.bin"));
    args.output.clone().unwrap_or_else(beside)
}

fn output(args: &Pack, wanted: &Path) -> Result<PathBuf> {
    let output = target(wanted)?;
    let is_same = |input: PathBuf| input == output;
    if args.file.canonicalize().is_ok_and(is_same) {
        bail!(
            "{} would be replaced by its own copy; `-o` names another file",
            safe::path(&args.file)
        );
    }
    Ok(output)
}

/// Names and sources; a packed trace has its own.
fn add_what_is_known(trace: &mut Trace, places: &Places) {
    if !trace.recording().is_packed {
        symbols::name(trace, places);
        let found = Question::of(trace, places, CONTEXT).answer();
        for problem in &found.problems {
            talk::line(format_args!("{problem}"));
        }
        trace.add_sources(found.sources);
    }
}

fn write(
    unfinished: &Unfinished,
    opened: &open::Opened,
    trace: &Trace,
    mut redactor: Option<Redactor>,
) -> Result<()> {
    let mut out = BufWriter::new(unfinished.file());
    bundle::write_header(&mut out)?;
    for input in opened.inputs() {
        copy::input(&mut out, input.bytes, redactor.as_mut())?;
    }
    let mut info = String::new();
    if !trace.recording().is_packed {
        info += &format!("{}={}\n", packed::PACKED, now());
    }
    if redactor.is_some() {
        info += &format!("{}=yes\n", packed::REDACTED);
    }
    bundle::write_section(&mut out, Section::Info, info.as_bytes())?;
    let symbols = packed::symbols(trace, redactor.as_mut());
    bundle::write_section(&mut out, Section::Symbols, &symbols)?;
    let sources = packed::sources(trace, redactor.as_mut());
    bundle::write_section(&mut out, Section::Sources, &sources)?;
    out.flush()?;
    Ok(())
}

/// Reads it again, as whoever gets it will, before anybody can: what is in it, in words.
fn read_again(unfinished: &Unfinished, trace: &Trace) -> Result<String> {
    match open::read(unfinished.path()) {
        Ok(packed) => Ok(packed::in_words(&packed).unwrap_or_default()),
        // What is wrong with it came from the input, whose problem says more.
        Err(error) => Err(match trace.recording().problems.first() {
            Some(problem) => anyhow::anyhow!("{problem}; nothing was written"),
            None => error.context("what would be written cannot be read; nothing was written"),
        }),
    }
}

/// The date, in UTC: `2026-01-31`.
pub(crate) fn today() -> String {
    now().chars().take(10).collect()
}

/// Date and time to the minute, in UTC.
fn now() -> String {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    date(seconds)
}

/// Of seconds since 1970, by the rules of the Gregorian calendar.
fn date(seconds: u64) -> String {
    let (mut days, minutes) = (seconds / 86_400, seconds % 86_400 / 60);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u64::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!(
        "{year}-{month:02}-{:02} {:02}:{:02} UTC",
        days + 1,
        minutes / 60,
        minutes % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_399), "2000-02-28 23:59 UTC");
        assert_eq!(date(951_868_800), "2000-03-01 00:00 UTC");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00 UTC");
        assert_eq!(date(1_767_225_599), "2025-12-31 23:59 UTC");
    }
}
