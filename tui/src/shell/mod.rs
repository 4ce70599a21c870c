//! The shell around the viewer: terminal, keys, signals and the clock.
//!
//! The loop waits for keys and signals, turns them into messages, applies them, and draws when
//! something changed. Unfinished work of the model gets its slices here while no key is waiting.
//! Reading order: this file, [`screen`] (the terminal), [`input`] (bytes to keys), [`signals`],
//! [`errand`] (what takes its time, on another thread), [`copies`] (programs that keep what was copied), [`arrivals`] (traces that come while the screen is there).

mod arrivals;
mod copies;
mod errand;
#[cfg(test)]
mod fake;
mod input;
mod print;
mod screen;
mod signals;

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use ratatui::Frame;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpgrp, getsid, kill_current_process_group};
use signal_hook::consts::{SIGHUP, SIGTSTP};

use crate::Exit;
use crate::copy::BYTES_MAX;
use crate::feed::Feed;
use crate::hiding::Change;
use crate::keys::message_for;
use crate::model::{Colour, Model, Work};
use crate::msg::{Effect, Msg};
use crate::outside::{Copied, Outside};
use crate::source::place_of;
use crate::update::{self, update};
use arrivals::{Arrivals, Came};
use copies::Copies;
use errand::Errands;
use input::{Decoder, Typed};
use screen::{Drawn, Screen};
use signals::{Asked, Signals};

/// How long the keys must have rested before a long piece of work is begun.
const QUIET: Duration = Duration::from_millis(80);

/// How long the second key of a pair may be on its way before it is shown which ones there are.
const HESITATION: Duration = Duration::from_millis(300);

const SECOND: Duration = Duration::from_secs(1);

/// Time between two frames while work goes on by itself.
const FRAME: Duration = Duration::from_millis(33);

/// Shows the model until the user or a signal ends it. The terminal is given back on every way out.
pub(crate) fn run(
    model: &mut Model,
    mut view: impl FnMut(&Model, &mut Frame<'_>),
    outside: &dyn Outside,
    feed: Option<Feed>,
) -> io::Result<Exit> {
    // crossterm asks the environment for NO_COLOR by itself; that was the caller's to decide.
    crossterm::style::force_color_output(model.look.colour == Colour::On);
    let mut signals = Signals::listen(feed.as_ref().is_some_and(|feed| feed.outlives))?;
    let mut screen = Screen::take(signals.waker()?)?;
    let (columns, rows) = screen::size();
    update(model, Msg::Resize { columns, rows });
    screen.mouse(model.has_mouse)?;
    if model.look.adapts && model.look.colour == Colour::On {
        screen.ask_ground()?;
    }
    let mut errands = Errands::default();
    errands.begin(model, outside, || signals.waker())?;
    let copies = Copies::default();
    let mut arrivals = match feed {
        Some(feed) => Some(Arrivals::start(feed, signals.waker()?)?),
        None => None,
    };
    let mut decoder = Decoder::default();
    let mut is_dirty = true;
    let mut drawn_at = Instant::now();
    let mut typed_at = Instant::now();

    loop {
        let age = arrivals.as_ref();
        let age = age.and_then(|arrivals| arrivals.age(model, Instant::now()));
        is_dirty |= update::aged(model, age);
        let is_asked = screen.is_asked();
        let is_due = model.work() != Work::Now || drawn_at.elapsed() >= FRAME;
        if is_dirty && is_due && is_asked.is_none() {
            if screen.draw(|frame| view(model, frame))? == Drawn::Refused {
                return Err(panicked());
            }
            is_dirty = false;
            drawn_at = Instant::now();
        }

        let patience = match model.work() {
            // What was kept back is to be shown now.
            _ if arrivals.as_ref().is_some_and(|it| it.is_due(model)) => Some(Duration::ZERO),
            _ if decoder.is_waiting() => {
                let rest = decoder.rest(screen.awaits_answer());
                Some(rest.saturating_sub(typed_at.elapsed()))
            }
            Work::Now => Some(Duration::ZERO),
            Work::WhenQuiet => Some(QUIET),
            Work::None => None,
        };
        let hesitation = match model.prefix.is_some() && !model.hesitates {
            true => Some(HESITATION.saturating_sub(typed_at.elapsed())),
            false => None,
        };
        let patience = match (hesitation, patience) {
            (Some(hesitation), Some(patience)) => Some(hesitation.min(patience)),
            (hesitation, patience) => hesitation.or(patience),
        };
        let patience = match (is_asked, patience) {
            (Some(answer), Some(patience)) => Some(answer.min(patience)),
            (answer, patience) => answer.or(patience),
        };
        // What is shown grows a second older.
        let grows = age.map(|age| SECOND - Duration::from_nanos(age.subsec_nanos().into()));
        let patience = match (grows, patience) {
            (Some(grows), Some(patience)) => Some(grows.min(patience)),
            (grows, patience) => grows.or(patience),
        };
        let ready = wait(&screen, &signals, patience)?;
        if screen.is_lost() {
            return Err(panicked());
        }

        let mut messages = Vec::new();
        let has_answer = errands.answer(model);
        is_dirty |= has_answer | copies.answer(model);
        if let Some(arrivals) = &mut arrivals {
            match arrivals.receive(model) {
                Came::Nothing => {}
                Came::Something => is_dirty = true,
                Came::GaveUp => return Ok(Exit::GaveUp),
            }
            let has_shown = arrivals.show(model, outside);
            is_dirty |= has_shown;
            // A look may have come during the search that has just answered.
            if has_shown || has_answer {
                errands.again(model, outside, || signals.waker())?;
            }
        }
        if ready.signals {
            for asked in signals.take() {
                match asked {
                    Asked::Leave(signal) => {
                        let _ = leave(&mut arrivals, model, outside);
                        return Ok(Exit::Signal(signal));
                    }
                    Asked::Suspend => messages.push(Input::Message(Msg::Suspend)),
                    Asked::Continue => {
                        screen.enter()?;
                        messages.push(Input::Message(resize(&mut screen)?));
                    }
                    Asked::Resize => messages.push(Input::Message(resize(&mut screen)?)),
                }
            }
        }
        if ready.keys {
            let mut bytes = [0; 1024];
            match rustix::io::read(screen.input(), &mut bytes) {
                // The terminal is gone: its signal is on the way, or was blocked.
                Ok(0) | Err(rustix::io::Errno::IO) => {
                    let _ = leave(&mut arrivals, model, outside);
                    return Ok(Exit::Signal(SIGHUP));
                }
                Ok(len) => {
                    typed_at = Instant::now();
                    messages.extend(decoder.feed(&bytes[..len]).into_iter().map(Input::Typed));
                }
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        } else {
            let rested = decoder.rested(typed_at.elapsed(), screen.awaits_answer());
            messages.extend(rested.into_iter().map(Input::Typed));
        }
        if hesitation.is_some() && ready.is_idle() && typed_at.elapsed() >= HESITATION {
            messages.push(Input::Message(Msg::Hesitate));
        }
        if messages.is_empty() && ready.is_idle() && model.work() != Work::None {
            messages.push(Input::Message(Msg::Work));
        }

        for input in messages {
            let msg = match input {
                Input::Message(msg) => Some(msg),
                // Looked up one by one: an earlier key may change what a later one means.
                Input::Typed(Typed::Key(key)) => message_for(key, model.context(), model.keymap()),
                Input::Typed(Typed::Mouse(mouse)) => model.has_mouse.then_some(Msg::Mouse(mouse)),
                Input::Typed(Typed::Ground(ground_is_dark)) => {
                    update::ground(model, ground_is_dark);
                    is_dirty = true;
                    None
                }
                Input::Typed(Typed::Answered) => {
                    screen.has_answered();
                    None
                }
            };
            let Some(msg) = msg else { continue };
            let effect = update(model, msg);
            match effect {
                Effect::Nothing => {}
                Effect::Draw => {
                    is_dirty = true;
                    // An answer to a key is not made to wait for work.
                    if msg != Msg::Work {
                        drawn_at = drawn_at.checked_sub(FRAME).unwrap_or(drawn_at);
                    }
                }
                Effect::Repaint => {
                    is_dirty = true;
                    resize(&mut screen)?;
                }
                Effect::Suspend => {
                    is_dirty = true;
                    suspend(&mut screen, &signals)?;
                    update(model, resize(&mut screen)?);
                }
                Effect::Edit => {
                    is_dirty = true;
                    outside.shows(model.side());
                    edit(model, outside, &mut screen, &signals)?;
                    let size = resize(&mut screen)?;
                    update(model, size);
                }
                Effect::Shell => {
                    is_dirty = true;
                    lend(model, outside.shell(), SHELLS, &mut screen, &signals)?;
                    let size = resize(&mut screen)?;
                    update(model, size);
                }
                Effect::Save => {
                    is_dirty = true;
                    outside.shows(model.side());
                    if let Err(why) = outside.keep(&model.notes.list) {
                        update::say(model, why);
                    }
                }
                Effect::Mouse => {
                    is_dirty = true;
                    screen.mouse(model.has_mouse)?;
                }
                Effect::Suppress => {
                    is_dirty = true;
                    suppress(model, outside);
                }
                Effect::Export => {
                    is_dirty = true;
                    outside.shows(model.side());
                    let (Ok(said) | Err(said)) = outside.export(&crate::notes::markdown(model));
                    update::say(model, said);
                }
                Effect::Copy => {
                    is_dirty = true;
                    let is_too_large = model.clipboard.len() > BYTES_MAX;
                    match outside.copy(&model.clipboard, is_too_large) {
                        Copied::Terminal => screen.copy(&model.clipboard)?,
                        Copied::Elsewhere(place) => update::copied_to(model, &place),
                        Copied::Given(place, waits) => {
                            update::copied_to(model, &place);
                            copies.wait(waits, signals.waker()?)?;
                        }
                        Copied::Failed(why) => update::say(model, why),
                    }
                }
                Effect::Quit | Effect::QuitPrinted | Effect::EndProgram => {
                    let ends = effect == Effect::EndProgram && model.live.prints;
                    if ends || effect == Effect::QuitPrinted {
                        screen.draw_last(|frame| view(model, frame))?;
                    }
                    match leave(&mut arrivals, model, outside) {
                        Ok(()) if effect == Effect::EndProgram => return Ok(Exit::EndProgram),
                        Ok(()) => return Ok(Exit::Quit),
                        // To be read before the screen is gone; who leaves once more leaves.
                        Err(why) => {
                            is_dirty = true;
                            screen.forget_last();
                            update::say(model, why);
                        }
                    }
                }
            }
        }
        if let Some(arrivals) = &mut arrivals {
            arrivals.want(model);
        }
    }
}

fn leave(
    arrivals: &mut Option<Arrivals>,
    model: &mut Model,
    outside: &dyn Outside,
) -> Result<(), String> {
    match arrivals {
        Some(arrivals) => arrivals.leave(model, outside),
        None => Ok(()),
    }
}

/// What the loop has to deal with: messages as such, and what was typed, whose meaning is not yet looked up.
enum Input {
    Message(Msg),
    Typed(Typed),
}

/// What there is to read.
struct Ready {
    keys: bool,
    signals: bool,
}

impl Ready {
    fn is_idle(&self) -> bool {
        !self.keys && !self.signals
    }
}

fn wait(screen: &Screen, signals: &Signals, patience: Option<Duration>) -> io::Result<Ready> {
    let mut fds = [
        PollFd::from_borrowed_fd(screen.input(), PollFlags::IN),
        PollFd::new(signals.pipe(), PollFlags::IN),
    ];
    let patience = patience.map(|time| Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    });
    match poll(&mut fds, patience.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    // A hang-up counts as readable: the read then says so.
    Ok(Ready {
        keys: !fds[0].revents().is_empty(),
        signals: !fds[1].revents().is_empty(),
    })
}

fn resize(screen: &mut Screen) -> io::Result<Msg> {
    let (columns, rows) = screen.resize()?;
    Ok(Msg::Resize { columns, rows })
}

/// Stops this process and those that share its job, as the terminal driver does for Ctrl-Z in a
/// program that left it its keys. Whoever started the viewer (`cargo run`) must stop with it, or
/// the shell would not come back.
fn suspend(screen: &mut Screen, signals: &Signals) -> io::Result<()> {
    // Nobody is there to continue a job that its session's leader belongs to.
    if getsid(None).is_ok_and(|session| session == getpgrp()) {
        return Ok(());
    }
    screen.lend(|| {
        kill_current_process_group(Signal::TSTP)?;
        signal_hook::low_level::emulate_default_handler(SIGTSTP)
    })?;
    signals.forget_meanwhile();
    Ok(())
}

/// Has the file with suppressions changed as the model wants it.
fn suppress(model: &mut Model, outside: &dyn Outside) {
    let result = match &model.hiding.change {
        Some(Change::Add(suppression)) => outside.suppress(suppression),
        Some(Change::Remove(filter)) => outside.unsuppress(filter),
        None => return,
    };
    update::suppression_kept(model, result);
}

/// Lends the terminal to an editor, at the source in focus.
fn edit(
    model: &mut Model,
    outside: &dyn Outside,
    screen: &mut Screen,
    signals: &Signals,
) -> io::Result<()> {
    let Some(place) = place_of(model) else {
        return Ok(());
    };
    let command = match outside.editor(&place.file, place.line) {
        Ok(command) => command,
        Err(why) => {
            update::say(model, why);
            return Ok(());
        }
    };
    lend(model, command, EDITORS, screen, signals)
}

/// What names another editor, or another shell.
const EDITORS: &str = "--editor, $VISUAL or $EDITOR names another editor";
const SHELLS: &str = "$SHELL names another shell";

/// Lends the terminal to a program. `other` says how another one is asked for.
fn lend(
    model: &mut Model,
    mut command: Command,
    other: &str,
    screen: &mut Screen,
    signals: &Signals,
) -> io::Result<()> {
    let name = traces::tty(command.get_program().as_encoded_bytes());
    let mut ended = None;
    screen.lend(|| {
        // A program that stops itself stops all of the job, or the shell would wait for us.
        let _lent = signals.lend();
        ended = Some(command.status());
        Ok(())
    })?;
    signals.forget_meanwhile();
    match ended {
        // How a shell ends says how its last command did.
        Some(Ok(status)) if status.success() || other == SHELLS => {}
        Some(Ok(status)) => update::say(model, format!("{name} ended with {status}")),
        Some(Err(error)) => {
            update::say(model, format!("{name} cannot be started: {error}; {other}"));
        }
        None => {}
    }
    Ok(())
}

fn panicked() -> io::Error {
    io::Error::other("a thread of the viewer panicked")
}
