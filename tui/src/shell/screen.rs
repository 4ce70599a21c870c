//! The terminal, taken and given back.
//!
//! Invariants
//! - Between [`Screen::take`] and the drop of the `Screen` the terminal is in raw mode and on its
//!   alternate screen, except while stopped and after a panic.
//! - Giving back happens once, whoever comes first: the end of the viewer, an error, or a panic on
//!   any thread. After a panic nothing is drawn any more: drawing and giving back exclude each other.
//! - What is written goes from one buffer to the descriptor; nothing waits in the buffer of `stdout`
//!   to be flushed over the restored terminal.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{Hide, Show};
use crossterm::queue;
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

use super::input::{Decoder, Typed};
use super::print;

/// Whether the terminal is ours at this moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether the mouse was taken from the terminal. It is given back with it.
static MOUSE: AtomicBool = AtomicBool::new(false);

/// Buttons and wheel, and movements with a button down, in the form that knows no largest column.
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1002h\x1b[?1006h";

const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1002l\x1b[?1000l";

/// Whether a thread panicked since the terminal was taken: then it is not taken again.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// How long a terminal may take to say what its background is: nothing is drawn before.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);

/// How long an answer is waited for at the end, counted from the question.
pub(super) const LATE_ANSWER: Duration = Duration::from_millis(400);

/// Held while a frame is drawn, so that no other thread gives the terminal back in the middle.
static DRAWING: Mutex<()> = Mutex::new(());

/// Never held while anything else runs, so that a panic can always get at it.
static BEFORE: Mutex<Before> = Mutex::new(Before {
    input: None,
    termios: None,
    waker: None,
});

/// What it takes to give the terminal back.
struct Before {
    input: Option<OwnedFd>,
    termios: Option<Termios>,
    /// Wakes the event loop after a panic on another thread.
    waker: Option<UnixStream>,
}

fn before() -> MutexGuard<'static, Before> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn drawing() -> MutexGuard<'static, ()> {
    DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal while it is ours.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Output>>,
    input: OwnedFd,
    /// What is printed once the terminal is given back.
    last: Option<String>,
    /// When it was asked for its background, until it has answered.
    asked: Option<Instant>,
    _hook: Hook,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drawn {
    /// It is on the screen.
    Shown,
    /// The terminal is no longer ours: a thread panicked.
    Refused,
}

impl Screen {
    /// Takes the terminal of this process. `waker` is written to when another thread panics.
    pub(super) fn take(waker: UnixStream) -> io::Result<Self> {
        let no_terminal = |what| io::Error::new(io::ErrorKind::Unsupported, what);
        if !isatty(io::stdout()) {
            return Err(no_terminal(
                "the viewer draws on a terminal, and stdout is none",
            ));
        }
        let stdin = io::stdin();
        let input = if isatty(&stdin) {
            stdin.as_fd().try_clone_to_owned()?
        } else {
            File::open("/dev/tty")
                .map_err(|_| {
                    no_terminal("the viewer reads keys from a terminal, and there is none")
                })?
                .into()
        };
        {
            let mut before = before();
            if before.termios.is_some() {
                return Err(no_terminal("the viewer is open already"));
            }
            before.termios = Some(tcgetattr(&input)?);
            before.input = Some(input.try_clone()?);
            before.waker = Some(waker);
            PANICKED.store(false, Ordering::SeqCst);
        }
        let hook = Hook::install();
        let (columns, rows) = size();
        let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
        let mut screen = Self {
            terminal: Terminal::with_options(
                CrosstermBackend::new(Output::default()),
                TerminalOptions { viewport },
            )?,
            input,
            last: None,
            asked: None,
            _hook: hook,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// The descriptor that keys come from.
    pub(super) fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// Draws a frame, whole or not at all.
    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<Drawn> {
        let _drawing = drawing();
        if self.is_lost() {
            return Ok(Drawn::Refused);
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(view)?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.terminal.backend_mut().flush()?;
        Ok(Drawn::Shown)
    }

    /// Draws a frame that stays in the terminal when it is given back.
    pub(super) fn draw_last(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let _drawing = drawing();
        if self.is_lost() {
            return Ok(());
        }
        let drawn = self.terminal.draw(view)?;
        self.last = Some(print::printed(drawn.buffer));
        Ok(())
    }

    /// Nothing stays after all.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    /// Asks the terminal for its background, and then what it is: who knows nothing of the one answers the other.
    pub(super) fn ask_ground(&mut self) -> io::Result<()> {
        let _drawing = drawing();
        if self.is_lost() {
            return Ok(());
        }
        self.asked = Some(Instant::now());
        let backend = self.terminal.backend_mut();
        backend.write_all(b"\x1b]11;?\x07\x1b[c")?;
        backend.flush()
    }

    /// How long its answer is still waited for before anything is drawn.
    pub(super) fn is_asked(&self) -> Option<Duration> {
        let left = ANSWER_WITHIN.checked_sub(self.asked?.elapsed())?;
        (!left.is_zero()).then_some(left)
    }

    /// Whether its answer may still come, be it too late for the first picture.
    pub(super) fn awaits_answer(&self) -> bool {
        self.asked
            .is_some_and(|asked| asked.elapsed() < LATE_ANSWER)
    }

    /// It has answered.
    pub(super) fn has_answered(&mut self) {
        self.asked = None;
    }

    /// Takes an answer that is still on its way: the shell would take it for keys.
    fn await_answer(&mut self) {
        let Some(asked) = self.asked.take() else {
            return;
        };
        let mut decoder = Decoder::default();
        while let Some(left) = LATE_ANSWER.checked_sub(asked.elapsed()) {
            let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
            let patience = Timespec {
                tv_sec: 0,
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut bytes = [0; 256];
            let read = match poll(&mut fds, Some(&patience)) {
                Ok(1..) => rustix::io::read(&self.input, &mut bytes),
                _ => return,
            };
            match read {
                Ok(len @ 1..) if !decoder.feed(&bytes[..len]).contains(&Typed::Answered) => {}
                _ => return,
            }
        }
    }

    /// Asks the terminal to copy a text (OSC 52); many do, and those that do not say nothing.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        let _drawing = drawing();
        if self.is_lost() {
            return Ok(());
        }
        let backend = self.terminal.backend_mut();
        queue!(backend, CopyToClipboard::to_clipboard_from(text))?;
        backend.flush()
    }

    /// Takes the mouse from the terminal, or gives it back.
    pub(super) fn mouse(&mut self, is_ours: bool) -> io::Result<()> {
        let _drawing = drawing();
        if self.is_lost() || MOUSE.swap(is_ours, Ordering::SeqCst) == is_ours {
            return Ok(());
        }
        let backend = self.terminal.backend_mut();
        backend.write_all(if is_ours { MOUSE_ON } else { MOUSE_OFF })?;
        backend.flush()
    }

    /// Whether a thread panicked: the terminal was given back, or must not be taken again.
    pub(super) fn is_lost(&self) -> bool {
        PANICKED.load(Ordering::SeqCst)
    }

    /// Takes over the size of the terminal, and forgets what it shows.
    pub(super) fn resize(&mut self) -> io::Result<(u16, u16)> {
        let (columns, rows) = size();
        self.terminal.resize(Rect::new(0, 0, columns, rows))?;
        Ok((columns, rows))
    }

    /// Gives the terminal back for as long as `meanwhile` takes, then takes it again.
    pub(super) fn lend(&mut self, meanwhile: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        // An answer that is still to come is nobody else's to read.
        self.await_answer();
        give_back();
        let result = meanwhile();
        self.enter()?;
        result
    }

    /// Raw mode and alternate screen; also where the shell has changed either behind our back.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        let _drawing = drawing();
        if self.is_lost() {
            return Ok(());
        }
        TAKEN.store(true, Ordering::SeqCst);
        if let Some(mut raw) = before().termios.clone() {
            raw.make_raw();
            tcsetattr(&self.input, OptionalActions::Now, &raw)?;
        }
        let backend = self.terminal.backend_mut();
        queue!(backend, EnterAlternateScreen, Hide, Clear(ClearType::All))?;
        if MOUSE.load(Ordering::SeqCst) {
            backend.write_all(MOUSE_ON)?;
        }
        backend.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if !self.is_lost() {
            self.await_answer();
        }
        give_back();
        if let Some(last) = self.last.take().filter(|_| !self.is_lost()) {
            let _ = write_all(last.as_bytes());
        }
        MOUSE.store(false, Ordering::SeqCst);
        *before() = Before {
            input: None,
            termios: None,
            waker: None,
        };
    }
}

/// Leaves the terminal as it was found. Does nothing the second time.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // The modes first: who sees the shell's screen again may type at once, and what is typed in raw
    // mode never becomes a line for the shell to read.
    {
        let before = before();
        if let (Some(input), Some(termios)) = (&before.input, &before.termios) {
            let _ = tcsetattr(input, OptionalActions::Now, termios);
        }
    }
    let mut bytes = Vec::new();
    if MOUSE.load(Ordering::SeqCst) {
        bytes.extend_from_slice(MOUSE_OFF);
    }
    // Writing to a vector does not fail, and a terminal that is gone needs nothing from us.
    let _ = queue!(
        bytes,
        EndSynchronizedUpdate,
        SetAttribute(Attribute::Reset),
        LeaveAlternateScreen,
        Show
    );
    let _ = write_all(&bytes);
}

/// Columns and rows of the terminal; 80 × 24 where it does not say.
pub(super) fn size() -> (u16, u16) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    }
}

/// Frames on their way to the terminal: collected, then written without a buffer in between.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// ratatui flushes in the middle of a frame; all of it waits for the end of the synchronised
    /// update, so that a terminal without that feature gets a frame in one piece too.
    fn flush(&mut self) -> io::Result<()> {
        if !TAKEN.load(Ordering::SeqCst) {
            // ratatui shows the cursor once more when it is dropped; the terminal is not ours then.
            self.bytes.clear();
            return Ok(());
        }
        if !self.bytes.starts_with(BEGIN) || self.bytes.ends_with(END) {
            write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

type Report = dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync;

/// The panic hook while the terminal is ours: first the terminal, then the hook that was there.
struct Hook {
    previous: Arc<Report>,
}

impl Hook {
    fn install() -> Self {
        let previous: Arc<Report> = panic::take_hook().into();
        let after = previous.clone();
        let viewer: ThreadId = thread::current().id();
        panic::set_hook(Box::new(move |info| {
            // The viewer's own thread may be drawing; any other one waits for the frame's end.
            let _drawing = (thread::current().id() != viewer).then(drawing);
            PANICKED.store(true, Ordering::SeqCst);
            give_back();
            if let Some(mut waker) = before().waker.as_ref() {
                let _ = waker.write(&[0]);
            }
            after(info);
        }));
        Self { previous }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // A panicking thread may not change the hook. Ours does no harm: it gives back once.
        if !thread::panicking() {
            let previous = self.previous.clone();
            panic::set_hook(Box::new(move |info| previous(info)));
        }
    }
}
