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
    if (of_cargo, shell) == (true, Shell::Bash) {
        // What is made for bash of a name with a dash looks for the options of subcommands by another name than it has them.
        clap_complete::generate(shell, &mut command, "cargo_tracer", &mut text);
        let made = String::from_utf8_lossy(&text).replace(" cargo_tracer\n", " cargo-tracer\n");
        text = made.into_bytes();
    } else {
        clap_complete::generate(shell, &mut command, program, &mut text);
    }
    // Zsh looks for the words behind `cargo tracer` by itself.
    match (of_cargo, shell) {
        (true, Shell::Bash) => text.extend(include_bytes!("completions/cargo.bash")),
        (true, Shell::Fish) => text.extend(include_bytes!("completions/cargo.fish")),
        _ => {}
    }
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

    /// What a shell would offer, from a script that has sourced what it is told.
    fn offered(program: &str, shell: Shell, script: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        std::fs::write(&file, text(shell, true)).unwrap();
        let mut command = std::process::Command::new(program);
        match shell {
            Shell::Fish => command.arg("--no-config"),
            Shell::Zsh => command.arg("-f"),
            _ => command.arg("--norc"),
        };
        let output = command
            .env("HOME", folder.path())
            .args(["-c", script])
            .arg(&file)
            .output();
        let output = match output {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Bash is everywhere that tests run; fish is not.
                eprintln!("SKIPPED: no {program} here");
                return None;
            }
            other => other.unwrap(),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.is_empty(), "{said}");
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn bash_completes_behind_cargo_and_asks_the_others_for_the_rest() {
        let script = r#"
            of_others() { COMPREPLY=(of-others "$1" "$2" "$3" $COMP_CWORD); }
            complete -F of_others cargo
            source "$0"
            ask() {
                COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
                [[ $(complete -p cargo) =~ -F\ ([^ ]+) ]]
                "${BASH_REMATCH[1]}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
                echo "${COMPREPLY[@]}"
            }
            ask cargo tracer te
            ask cargo tracer test --next
            ask cargo +nightly tracer test --next
            ask cargo tracer
            ask cargo build --rel
            # Sourced twice it does not ask itself.
            source "$0"
            ask cargo bench
            complete -p cargo-tracer"#;
        let offered = offered("bash", Shell::Bash, script).expect("bash");
        assert_eq!(
            offered,
            "test\n--nextest\n--nextest\nof-others cargo tracer cargo 1\n\
             of-others cargo --rel build 2\nof-others cargo bench cargo 1\n\
             complete -o bashdefault -o default -o nosort -F _cargo_tracer cargo-tracer\n"
        );
    }

    /// In a terminal of its own: zsh completes nowhere else. Whom it asks about `cargo` comes with the toolchain.
    #[test]
    fn zsh_completes_behind_cargo() {
        let sysroot = std::process::Command::new("rustc")
            .args(["--print", "sysroot"])
            .output();
        let sysroot = String::from_utf8(sysroot.unwrap().stdout).unwrap();
        let functions = format!("{}/share/zsh/site-functions", sysroot.trim_end());
        if !Path::new(&functions).join("_cargo").exists() {
            eprintln!("SKIPPED: no completions of cargo's for zsh here");
            return;
        }
        let script = r#"
            zmodload zsh/zpty
            cp $0 $HOME/_cargo-tracer
            zpty shell zsh -f -i
            until_said() {
                local some all at
                for at in {1..300}; do
                    while zpty -r -t shell some; do all+=$some; done
                    [[ $all == *"$1"* ]] && return
                    sleep 0.1
                done
                print -r -- "not said: $1, but: $all"
                exit 1
            }
            zpty -w shell "PS1= fpath=($HOME FUNCTIONS \$fpath); autoload -U compinit; compinit -u -D"
            zpty -w shell 'cargo() { print -r -- "asked: $*." }; print re""ady'
            until_said ready
            for line in 'tracer te' 'tracer test --next' '+nightly tracer test --next'; do
                zpty -w -n shell "cargo $line"$'\t\n'
                until_said "asked: ${${line/%te/test}/%next/nextest}."
                print -r -- $line
            done"#;
        let script = script.replace("FUNCTIONS", &functions);
        if let Some(offered) = offered("zsh", Shell::Zsh, &script) {
            assert_eq!(
                offered,
                "tracer te\ntracer test --next\n+nightly tracer test --next\n"
            );
        }
    }

    #[test]
    fn fish_completes_behind_cargo() {
        let script = r#"
            source $argv[1]
            for line in 'cargo tracer te' 'cargo +nightly tracer test --next' 'cargo build --next'
                complete -C $line | string replace -r '\t.*' ''
                echo .
            end"#;
        if let Some(offered) = offered("fish", Shell::Fish, script) {
            assert_eq!(offered, "test\n.\n--nextest\n.\n.\n");
        }
    }
}
