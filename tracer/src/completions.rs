//! `tracer completions` and `tracer man`: what shells and readers of manuals need, made from the command lines
//! of `tracer` and `cargo tracer` themselves.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Cli, Completions};
use crate::cargo::CargoCli;
use crate::exit::{CLEAN, Exit, Failure};
use crate::{safe, talk};

/// Prints the completions of a shell.
pub(crate) fn run(args: &Completions) -> Result<Exit, Failure> {
    let text = text(args.shell, args.cargo);
    match io::stdout().lock().write_all(&text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Code(CLEAN)),
    }
}

fn text(shell: Shell, of_cargo: bool) -> Vec<u8> {
    let (mut command, program) = if of_cargo {
        (CargoCli::command(), "cargo-tracer")
    } else {
        (Cli::command(), "tracer")
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, program, &mut text);
    text
}

/// Writes a page for each command.
pub(crate) fn man(folder: &Path) -> Result<Exit, Failure> {
    let shown = safe::path(folder);
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .and_then(|()| clap_mangen::generate_to(CargoCli::command(), folder))
        .with_context(|| format!("cannot write man pages to {shown}"))?;
    talk::line(format_args!(
        "man pages are in {shown}: man -l {shown}/tracer.1 {shown}/cargo-tracer.1"
    ));
    Ok(Exit::Code(CLEAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_hidden_ones_have_none() {
        let folder = tempfile::tempdir().unwrap();
        man(folder.path()).unwrap();
        let page = |name: &str| std::fs::read_to_string(folder.path().join(name));
        for whole in [Cli::command(), CargoCli::command()] {
            for command in whole.get_subcommands() {
                let name = format!("{}-{}.1", whole.get_name(), command.get_name());
                assert_eq!(page(&name).is_ok(), !command.is_hide_set(), "{name}");
            }
        }
        let of_cargo = page("cargo-tracer-test.1").unwrap();
        assert!(of_cargo.contains("nextest"), "{of_cargo}");
        assert!(page("tracer-view.1").unwrap().contains("suppressions"));
    }

    #[test]
    fn a_shell_is_told_of_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            for (of_cargo, option) in [(false, "until-finding"), (true, "nextest")] {
                let text = String::from_utf8(text(shell, of_cargo)).unwrap();
                assert!(text.contains(option), "{shell}");
            }
        }
        // The name that zsh looks for behind `cargo tracer`.
        let text = String::from_utf8(text(Shell::Zsh, true)).unwrap();
        assert!(text.starts_with("#compdef cargo-tracer\n"), "{text}");
        assert!(text.contains("\n_cargo-tracer() {"), "{text}");
    }
}
