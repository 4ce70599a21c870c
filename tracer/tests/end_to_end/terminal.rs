//! A terminal for programs that want one: a pseudo-terminal that the program is the session leader
//! of, and a screen that understands what the program draws.
//!
//! Holds the tests' `unsafe`: what runs between fork and exec.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{Termios, Winsize};

use crate::support::{self, PATIENCE};

/// A program and the terminal it runs in.
pub(crate) struct Terminal {
    controller: std::fs::File,
    /// The program's side, open until the end so that its state can be looked at afterwards.
    line: OwnedFd,
    before: Termios,
    shown: Arc<Shown>,
    pub(crate) child: Child,
}

#[derive(Default)]
struct Shown {
    screen: Mutex<Option<vt100::Parser>>,
    changed: Condvar,
}

impl Terminal {
    /// Starts a program in a terminal of its own.
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let controller = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&controller).unwrap();
        rustix::pty::unlockpt(&controller).unwrap();
        let name = rustix::pty::ptsname(&controller, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let line = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&line, size).unwrap();
        let before = rustix::termios::tcgetattr(&line).unwrap();
        let shown = Arc::new(Shown::default());
        *shown.screen.lock().unwrap() = Some(vt100::Parser::new(
            rows.try_into().unwrap(),
            columns.try_into().unwrap(),
            0,
        ));
        command.env("TERM", "xterm-256color");
        command.stdin(line.try_clone().unwrap());
        command.stdout(line.try_clone().unwrap());
        command.stderr(line.try_clone().unwrap());
        // SAFETY: runs in the child between fork and exec; it makes two system calls and neither
        // allocates nor locks.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let controller = std::fs::File::from(controller);
        follow(controller.try_clone().unwrap(), Arc::clone(&shown));
        Self {
            controller,
            line,
            before,
            shown,
            child,
        }
    }

    /// Presses keys.
    pub(crate) fn press(&self, keys: &str) {
        (&self.controller).write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen holds a text.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait(|screen| screen.contents().contains(text), text);
    }

    /// Waits until the screen does not hold a text any more.
    #[track_caller]
    pub(crate) fn wait_until_gone(&self, text: &str) {
        self.wait(
            |screen| !screen.contents().contains(text),
            &format!("a screen without {text}"),
        );
    }

    #[track_caller]
    fn wait(&self, is_there: impl Fn(&vt100::Screen) -> bool, what: &str) {
        let started = Instant::now();
        let mut shown = self.shown.screen.lock().unwrap();
        loop {
            let screen = shown.as_ref().unwrap().screen();
            if is_there(screen) {
                return;
            }
            let contents = screen.contents();
            let left = PATIENCE.saturating_sub(started.elapsed());
            assert!(!left.is_zero(), "`{what}` never appeared on:\n{contents}");
            shown = self.shown.changed.wait_timeout(shown, left).unwrap().0;
        }
    }

    /// Waits until a full-screen program has taken over and drawn something.
    #[track_caller]
    pub(crate) fn wait_for_screen(&self) {
        self.wait(
            |screen| screen.alternate_screen() && !screen.contents().trim().is_empty(),
            "a full-screen program",
        );
    }

    /// Waits for the program's end, and asserts that the terminal is as it was before.
    #[track_caller]
    pub(crate) fn end_and_assert_clean(mut self) -> (ExitStatus, String) {
        let status = support::wait(&mut self.child);
        // Comes behind all that the program wrote: once it is shown, so is everything else.
        const MARK: &str = "\r\n[the end]";
        rustix::io::write(&self.line, MARK.as_bytes()).unwrap();
        self.wait_for("[the end]");
        let after = rustix::termios::tcgetattr(&self.line).unwrap();
        assert_eq!(
            format!("{:?}", self.before),
            format!("{after:?}"),
            "line settings changed"
        );
        let shown = self.shown.screen.lock().unwrap();
        let screen = shown.as_ref().unwrap().screen();
        assert!(
            !screen.alternate_screen(),
            "the alternate screen was not left"
        );
        assert!(!screen.hide_cursor(), "the cursor stayed hidden");
        assert!(!screen.bracketed_paste(), "bracketed paste stayed on");
        assert!(
            !screen.application_cursor() && !screen.application_keypad(),
            "keys stayed changed"
        );
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert_eq!(
            screen.fgcolor(),
            vt100::Color::Default,
            "a colour stayed on"
        );
        (status, screen.contents())
    }
}

/// Feeds the screen with everything that the program writes.
fn follow(mut controller: std::fs::File, shown: Arc<Shown>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // Ends with an error once the last one has closed the program's side.
        while let Ok(count @ 1..) = std::io::Read::read(&mut controller, &mut bytes) {
            if let Some(parser) = &mut *shown.screen.lock().unwrap() {
                parser.process(&bytes[..count]);
            }
            shown.changed.notify_all();
        }
    });
}
