//! Shows a fixture in the viewer, for the terminal tests and for looking at it by hand.
//!
//! `view_fixture [leftover|judged|clean|many|blocked|live] [--ascii] [--adapts] [--no-color] [--goto PLACE]`. For the tests,
//! `PANIC` in the environment names a thread that panics: `viewer` while it draws the help, `worker` on SIGUSR1.
//! `blocked` has its trace when SIGUSR1 comes, and never one when SIGUSR2 does; `live` is a recording that grows by
//! each SIGUSR1, and is over with SIGUSR2.

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::process::{Command, ExitCode};

use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use tui::keys::Listener;
use tui::live::{State, Watched};
use tui::{Characters, Colour, Exit, Feed, Options};

/// The program that `EDITOR` names is given file and line.
struct Editor;

impl tui::Outside for Editor {
    fn sources(&self, _trace: &traces::Trace) -> Option<tui::Search> {
        Some(Box::new(|| {
            let lines = (1..=80u32).map(|line| {
                let text = format!("    fn line_{line}() {{}}");
                (line, traces::Untrusted::from(text.as_str()))
            });
            let mut sources = traces::source::Sources::default();
            sources.add(
                "src/wake.rs".into(),
                traces::source::Found::Lines(lines.collect()),
            );
            sources
        }))
    }

    fn editor(&self, file: &traces::Untrusted, line: u32) -> Result<Command, String> {
        let editor = std::env::var_os("EDITOR").ok_or("EDITOR is not set")?;
        let mut command = Command::new(editor);
        command.arg(format!("+{line}")).arg(file.tty());
        Ok(command)
    }

    fn shell(&self) -> Command {
        Command::new(std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into()))
    }

    fn keep(&self, _notes: &[tui::Note]) -> Result<(), String> {
        Ok(())
    }

    fn suppress(&self, _suppression: &tui::hiding::Suppression) -> Result<String, String> {
        Ok("suppressed in suppressions.toml; U takes it back".into())
    }

    fn unsuppress(&self, _filter: &str) -> Result<String, String> {
        Ok("taken back".into())
    }

    fn export(&self, _markdown: &str) -> Result<String, String> {
        Err("a fixture has no place for files".into())
    }
}

fn main() -> ExitCode {
    let mut options = Options {
        title: "leftover.trc".into(),
        ..Options::default()
    };
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        options.colour = Colour::Off;
    }
    let mut name = "leftover".to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--ascii" => options.characters = Characters::Ascii,
            "--exec" => {
                let script = arguments.next().unwrap_or_default();
                options.exec = tui::commands::script(&script).expect("a script that reads");
            }
            "--mouse" => options.mouse = true,
            "--adapts" => options.adapts = true,
            "--no-color" => options.colour = Colour::Off,
            "--goto" => {
                options.goto = arguments.next().and_then(|place| place.parse().ok());
            }
            other => name = other.to_owned(),
        }
    }
    if let "blocked" | "live" = name.as_str() {
        let feed = reader(name == "live");
        return end(tui::run_feed(feed, options, &Editor));
    }
    let (trace, verdict) = match name.as_str() {
        "clean" => (fixture::trace(fixture::CLEAN), fixture::clean_verdict()),
        "judged" => {
            let trace = fixture::trace(fixture::LEFTOVER);
            let verdict = trace.verdict().clone();
            (trace, verdict)
        }
        "many" => (fixture::many(300_000), fixture::clean_verdict()),
        _ => (
            fixture::trace(fixture::LEFTOVER),
            fixture::leftover_verdict(),
        ),
    };
    let panics = std::env::var("PANIC").unwrap_or_default();
    if panics == "worker" {
        let mut signals = Signals::new([SIGUSR1]).expect("SIGUSR1 can be listened to");
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                panic!("the worker got signal {signal}");
            }
        });
    }
    let mut model = tui::open(trace, verdict, options);
    let shown = tui::show(
        &mut model,
        |model, frame| {
            tui::view::view(model, frame);
            assert!(
                panics != "viewer" || model.listener() != Listener::Help,
                "the viewer was asked to"
            );
        },
        &Editor,
    );
    end(shown)
}

/// Reads when it is told to.
fn reader(is_live: bool) -> Feed {
    let mut signals = Signals::new([SIGUSR1, SIGUSR2]).expect("signals can be listened to");
    Feed::new(move |reports| {
        let watched = |state| {
            reports.watched(Watched {
                state,
                is_ours: true,
                output: None,
            });
        };
        if is_live {
            watched(State::Running);
        }
        let begins = (fixture::look(0..12), fixture::clean_verdict());
        let whole = (
            fixture::trace(fixture::LEFTOVER),
            fixture::leftover_verdict(),
        );
        let mut looks = is_live.then_some(begins).into_iter().chain([whole]);
        for signal in signals.forever() {
            match (signal, looks.next()) {
                (SIGUSR1, Some((trace, verdict))) => reports.trace(trace, verdict, None),
                (SIGUSR2, _) if is_live => watched(State::Ended("exited with code 3".into())),
                (SIGUSR2, _) => reports.give_up(),
                _ => {}
            }
        }
    })
}

fn end(shown: std::io::Result<Exit>) -> ExitCode {
    match shown {
        Ok(Exit::Quit) => ExitCode::SUCCESS,
        Ok(Exit::EndProgram) => ExitCode::from(40),
        Ok(Exit::GaveUp) => ExitCode::from(41),
        Ok(Exit::Signal(signal)) => {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("view_fixture: {error}");
            ExitCode::FAILURE
        }
    }
}
