//! `demo-runtime SCENARIO`: runs one program of the gallery.
//!
//! What a user would see goes to stdout; what is wrong with the call, to stderr. Exit codes: 0 it ran,
//! whatever it showed; 1 it failed; 2 the call makes no sense.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use demo_runtime::{Error, Options, run, scenarios};

const USAGE: &str = "\
usage: demo-runtime SCENARIO [--fixed] [--ring crate|inplace|simulated] [--seed N]

  --fixed        the same program without its mistake
  --ring RING    which ring to use; each scenario has its usual one
  --seed N       for the simulated ring: another run
";

fn main() -> ExitCode {
    let (name, options) = match parse(std::env::args().skip(1)) {
        Ok(Some(call)) => call,
        Ok(None) => return print(&help()),
        Err(message) => {
            eprintln!("demo-runtime: {message}\n\n{}", help());
            return ExitCode::from(2);
        }
    };
    match run(&name, &options) {
        Ok(outcome) => print(&outcome.to_string()),
        Err(error) => {
            eprintln!("demo-runtime: {error}");
            match error {
                Error::Unknown { .. } | Error::WrongRing { .. } => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// A reader that has gone is a normal end.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn help() -> String {
    let mut help = format!("{USAGE}\nscenarios:\n");
    for scenario in scenarios().iter().filter(|scenario| !scenario.hidden) {
        let rule = scenario.rule.unwrap_or("-");
        help += &format!("  {:<10} {:<4} {}\n", scenario.name, rule, scenario.about);
    }
    help
}

/// The scenario's name and the options; none where help is asked for.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<(String, Options)>, String> {
    let mut name = None;
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--fixed" => options.fixed = true,
            "--ring" => options.ring = Some(value()?.parse()?),
            "--seed" => options.seed = number(&value()?)?,
            "--ack" => options.ack = Some(value()?.into()),
            "--seconds" => options.duration = Some(Duration::from_secs(number(&value()?)?)),
            _ if argument.starts_with('-') => return Err(format!("unknown option {argument}")),
            _ if name.is_some() => return Err(format!("one scenario at a time, not {argument}")),
            _ => name = Some(argument),
        }
    }
    name.map(|name| Some((name, options)))
        .ok_or_else(|| "which scenario?".to_owned())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number"))
}
