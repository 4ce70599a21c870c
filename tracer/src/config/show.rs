//! `tracer config show`: all settings as a file would have them, and where each comes from.

use std::io::Write;

use clap::{Arg, ArgAction, Command};

use super::{Origin, SECTIONS, Setting, Settings, names, option, variable_name};
use crate::exit::{CLEAN, Exit, Failure};
use crate::safe;

/// The command.
pub(crate) fn run(origin: bool, top: &Command) -> Result<Exit, Failure> {
    let settings = Settings::here(top)?;
    let mut out = std::io::stdout().lock();
    for section in std::iter::once("").chain(SECTIONS) {
        if !section.is_empty() {
            writeln!(out, "\n[{section}]")?;
        }
        for name in names(top, section) {
            let Some(arg) = option(top, section, &name) else {
                continue;
            };
            let key = (section.to_owned(), name.clone());
            let line = match settings.0.get(&key) {
                Some(setting) => format!("{name} = {}", value(arg, setting)),
                None => default(arg, &name),
            };
            let from = settings
                .0
                .get(&key)
                .map_or(&Origin::Default, |setting| &setting.origin);
            match origin {
                true => writeln!(out, "{line}  # {}", words(from, section, &name))?,
                false => writeln!(out, "{line}")?,
            }
        }
    }
    Ok(Exit::Code(CLEAN))
}

fn quoted(text: &std::ffi::OsStr) -> String {
    format!(
        "\"{}\"",
        safe::os(text).replace('\\', "\\\\").replace('"', "\\\"")
    )
}

fn value(arg: &Arg, setting: &Setting) -> String {
    if setting.is_flag {
        return (!setting.words.is_empty()).to_string();
    }
    let words: Vec<String> = setting.words.iter().map(|word| quoted(word)).collect();
    match arg.get_action() {
        ArgAction::Append => format!("[{}]", words.join(", ")),
        _ => words.concat(),
    }
}

/// What holds where nothing is set; without a default the line is a comment.
fn default(arg: &Arg, name: &str) -> String {
    let defaults = arg.get_default_values();
    match (arg.get_action(), defaults) {
        (ArgAction::SetTrue, _) => format!("{name} = false"),
        (_, [only]) if !only.is_empty() => format!("{name} = {}", quoted(only)),
        (ArgAction::Append, []) => format!("{name} = []"),
        _ => format!("# {name} ="),
    }
}

fn words(origin: &Origin, section: &str, name: &str) -> String {
    match origin {
        Origin::Variable(name) => format!("environment: {name}"),
        Origin::Project(path) => format!("project: {}", safe::path(path)),
        Origin::User(path) => format!("user: {}", safe::path(path)),
        Origin::Default => format!("default ({} sets it)", variable_name(section, name)),
    }
}
