//! `tracer export`: a trace for other viewers of time, and as a table.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, anyhow};
use traces::Trace;
use traces::export::timeline;
use traces::filter::Filter;

use crate::args;
use crate::exit::{CLEAN, Exit, Failure};
use crate::{open, outputs, safe, symbols, talk};

/// The form that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct To(timeline::To);

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, to)) = timeline::To::ALL.iter().find(|it| it.0 == text) {
            return Ok(Self(*to));
        }
        let names: Vec<&str> = timeline::To::ALL.iter().map(|it| it.0).collect();
        let hint = match traces::near::nearest(text, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names.join(", ")),
        };
        let text = safe::os(text.as_ref());
        Err(format!("nothing is exported to `{text}`; {hint}"))
    }
}

/// The command.
pub(crate) fn run(args: &args::Export) -> Result<Exit, Failure> {
    let written: Vec<&Path> = args.output.as_deref().into_iter().collect();
    outputs::apart(&written, &[&args.file])?;
    if args.output.is_none() && args.to.0 == timeline::To::Perfetto && io::stdout().is_terminal() {
        return Err(anyhow!(
            "Perfetto's format is none for a terminal; `-o FILE` writes it to a file"
        )
        .into());
    }
    let mut trace = open::read(&args.file)?;
    open::tell_problems(&trace);
    symbols::name(&mut trace, &args.names.places());
    let Some(path) = &args.output else {
        write(&trace, args.to, &args.filter, &mut io::stdout().lock())?;
        return Ok(Exit::Code(CLEAN));
    };
    let shown = safe::path(path);
    let mut file = File::create(path).with_context(|| format!("cannot write {shown}"))?;
    write(&trace, args.to, &args.filter, &mut file)
        .with_context(|| format!("cannot write {shown}"))?;
    let next = match args.to.0 {
        timeline::To::Perfetto | timeline::To::Chrome => {
            "; next: open it in https://ui.perfetto.dev"
        }
        timeline::To::Csv => "",
    };
    talk::line(format_args!("wrote {shown}{next}"));
    Ok(Exit::Code(CLEAN))
}

fn write(trace: &Trace, to: To, filter: &Filter, out: &mut impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    timeline::write(trace, &filter.prepare(trace), to.0, &mut out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_names_and_near_ones_are_guessed() {
        assert_eq!("csv".parse(), Ok(To(timeline::To::Csv)));
        let why = |text: &str| text.parse::<To>().unwrap_err();
        assert!(why("perfeto").contains("did you mean `perfetto`?"));
        assert!(why("x\u{1b}").contains("there are perfetto, chrome, csv"));
        assert!(!why("x\u{1b}").contains('\u{1b}'));
    }
}
