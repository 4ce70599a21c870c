//! What is made from the sources and kept beside them, or packaged with them.
//!
//! Reading order: this file, [`stage`] (the viewer without a terminal), [`svg`] and [`cast`] (its screens as
//! files), [`screens`] (which ones, and whether those in the repository are as drawn).

mod cast;
mod screens;
mod stage;
mod svg;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
cargo xtask screenshots [--check]   draw docs/screens anew, or only say what is not as drawn
cargo xtask man                     man pages of tracer and cargo tracer into target/man
cargo xtask completions             their completions for bash, zsh, fish, elvish and powershell into target/completions";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["screenshots"] => screens::write(),
        ["screenshots", "--check"] => screens::check(),
        ["man"] => man(),
        ["completions"] => completions(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder that everything lies in.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// Runs the tracer of this workspace.
fn tracer(arguments: &[&str]) -> Result<Vec<u8>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "tracer", "--"])
        .args(arguments)
        .current_dir(root())
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!(
            "tracer {} ended with {}",
            arguments.join(" "),
            output.status
        );
    }
    Ok(output.stdout)
}

fn man() -> Result<()> {
    tracer(&["man", "target/man"]).map(|_| ())
}

fn completions() -> Result<()> {
    let folder = root().join("target/completions");
    std::fs::create_dir_all(&folder).with_context(|| shown(&folder))?;
    for (program, options) in [("tracer", &[][..]), ("cargo-tracer", &["--cargo"])] {
        for (shell, before, ending) in [
            ("bash", "", ""),
            ("zsh", "_", ""),
            ("fish", "", ".fish"),
            ("elvish", "", ".elv"),
            ("powershell", "_", ".ps1"),
        ] {
            let path = folder.join(format!("{before}{program}{ending}"));
            let text = tracer(&[&["completions", shell], options].concat())?;
            std::fs::write(&path, text).with_context(|| shown(&path))?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
