//! `tracer completions` and `tracer man`: what shells and readers of manuals need, made from the command line
//! itself.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{CLEAN, Exit, Failure};
use crate::{safe, talk};

/// Prints the completions of a shell.
pub(crate) fn run(shell: Shell) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tracer", &mut text);
    match io::stdout().lock().write_all(&text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Code(CLEAN)),
    }
}

/// Writes a page for each command.
pub(crate) fn man(folder: &Path) -> Result<Exit, Failure> {
    let shown = safe::path(folder);
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .with_context(|| format!("cannot write man pages to {shown}"))?;
    talk::line(format_args!(
        "man pages are in {shown}: man -l {shown}/tracer.1"
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
        for command in Cli::command().get_subcommands() {
            let found = page(&format!("tracer-{}.1", command.get_name()));
            assert_eq!(
                found.is_ok(),
                !command.is_hide_set(),
                "{}",
                command.get_name()
            );
        }
        assert!(page("tracer-view.1").unwrap().contains("suppressions"));
    }

    #[test]
    fn a_shell_is_told_of_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tracer", &mut text);
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("until-finding"), "{shell}");
        }
    }
}
