//! The viewer in a real terminal: a pty, with a terminal emulator at the other end.
//!
//! Every way out must leave the terminal as it was found: alternate screen left, cursor shown, modes
//! as before, and nothing drawn after that. The viewer is the example `view_fixture`; after a change
//! build it too (`cargo test -p tracer-tui` does, `--test terminal` alone does not).

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, ioctl_tiocsctty, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Termios, Winsize, tcgetattr, tcsetwinsize};

/// How long anything may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

struct Terminal {
    /// Our end; closed to hang up.
    master: Option<OwnedFd>,
    /// The program's end, kept open so that modes can be asked for after it has ended.
    slave: Option<OwnedFd>,
    child: Child,
    emulator: vt100::Parser,
    /// Everything that was written.
    written: Vec<u8>,
    /// Modes before the program began.
    before: Termios,
}

fn example() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its path");
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("a profile folder");
    let path = profile.join("examples/view_fixture");
    assert!(
        path.exists(),
        "{} is not built: cargo build -p tracer-tui --example view_fixture",
        path.display()
    );
    path
}

impl Terminal {
    /// Starts the viewer in a terminal of its own.
    fn start(columns: u16, rows: u16, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(example());
        command
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied());
        Self::run(command, columns, rows)
    }

    fn run(mut command: Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a pty opens");
        grantpt(&master).expect("the pty is ours");
        unlockpt(&master).expect("the pty unlocks");
        let name = ptsname(&master, Vec::new()).expect("the pty has a name");
        let slave: OwnedFd = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().expect("a plain name"))
            .expect("the other end opens")
            .into();
        tcsetwinsize(&slave, winsize(columns, rows)).expect("the size can be set");
        let before = tcgetattr(&slave).expect("a terminal has modes");
        let end = || Stdio::from(slave.try_clone().expect("descriptors are left"));
        command.stdin(end()).stdout(end()).stderr(end());
        command.env("TERM", "xterm-256color");
        // A backtrace would push what is looked for off the screen.
        command.env("RUST_BACKTRACE", "0");
        // SAFETY: between fork and exec only two system calls are made; they touch no memory.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().expect("the program starts");
        Self {
            master: Some(master),
            slave: Some(slave),
            child,
            emulator: vt100::Parser::new(cells(rows), cells(columns), 0),
            written: Vec::new(),
            before,
        }
    }

    /// Reads what the program writes until the screen is as wanted.
    #[track_caller]
    fn wait_for(&mut self, what: &str, is_there: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_there(self.emulator.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && self.read(left),
                "waited in vain for {what}; the screen is\n{}",
                self.emulator.screen().contents()
            );
        }
    }

    #[track_caller]
    fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |screen| screen.contents().contains(text));
    }

    /// Reads once; false when nothing came in time.
    fn read(&mut self, patience: Duration) -> bool {
        let Some(master) = &self.master else {
            return false;
        };
        let mut fds = [PollFd::new(master, PollFlags::IN)];
        let patience = Timespec {
            tv_sec: patience.as_secs().cast_signed(),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let ready = poll(&mut fds, Some(&patience)).expect("a pty can be polled");
        if ready == 0 || !fds[0].revents().contains(PollFlags::IN) {
            return false;
        }
        let mut bytes = [0; 4096];
        let len = rustix::io::read(master, &mut bytes).unwrap_or(0);
        self.emulator.process(&bytes[..len]);
        self.written.extend_from_slice(&bytes[..len]);
        len > 0
    }

    fn type_keys(&self, keys: &str) {
        let master = self.master.as_ref().expect("not hung up");
        let written = rustix::io::write(master, keys.as_bytes()).expect("a pty takes keys");
        assert_eq!(written, keys.len());
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our child takes signals");
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        let master = self.master.as_ref().expect("not hung up");
        tcsetwinsize(master, winsize(columns, rows)).expect("the size can be set");
        self.emulator
            .screen_mut()
            .set_size(cells(rows), cells(columns));
    }

    fn modes(&self) -> Termios {
        tcgetattr(self.slave.as_ref().expect("kept open")).expect("a terminal has modes")
    }

    /// Waits for the end, reading on so that the program is never stuck writing.
    fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read(Duration::from_millis(20));
            if let Some(status) = self.child.try_wait().expect("our child can be waited for") {
                while self.read(Duration::ZERO) {}
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
        }
    }

    /// The terminal is as it was found, and nothing was drawn after it was given back.
    #[track_caller]
    fn assert_clean(&self) {
        let screen = self.emulator.screen();
        assert!(!has_mouse(screen), "the mouse was not given back");
        assert!(!screen.alternate_screen(), "still on the alternate screen");
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert_same_modes(&self.modes(), &self.before);
        let text = String::from_utf8_lossy(&self.written);
        let leave = text
            .rfind("\x1b[?1049l")
            .expect("the alternate screen was left");
        let after = &text[leave..];
        assert!(after.starts_with("\x1b[?1049l\x1b[?25h"), "{after:?}");
        let rest = &after["\x1b[?1049l\x1b[?25h".len()..];
        assert!(
            !rest.contains('\x1b'),
            "something was drawn after the end: {rest:?}"
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn has_mouse(screen: &vt100::Screen) -> bool {
    screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has a size")
}

fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

#[track_caller]
fn assert_same_modes(now: &Termios, before: &Termios) {
    assert_eq!(now.input_modes, before.input_modes);
    assert_eq!(now.output_modes, before.output_modes);
    assert_eq!(now.control_modes, before.control_modes);
    assert_eq!(now.local_modes, before.local_modes);
}

const FIRST: &str = "T02 leftover-cookie";

#[test]
fn it_starts_with_the_findings_on_the_alternate_screen() {
    let mut terminal = Terminal::start(80, 24, &[]);
    terminal.wait_for_text(FIRST);
    let screen = terminal.emulator.screen();
    assert!(screen.alternate_screen() && screen.hide_cursor());
    assert!(
        !terminal
            .modes()
            .local_modes
            .intersects(LocalModes::ICANON | LocalModes::ECHO)
    );
    // A frame arrives as one piece, where the terminal knows how.
    assert!(String::from_utf8_lossy(&terminal.written).contains("\x1b[?2026h"));
}

#[test]
fn colours_are_there_unless_they_are_not_wanted() {
    const RED: &str = "\x1b[38;5;1";
    for (environment, is_red) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let mut terminal = Terminal::start(80, 24, environment);
        terminal.wait_for_text(FIRST);
        terminal.type_keys("q");
        terminal.end();
        let written = String::from_utf8_lossy(&terminal.written);
        assert_eq!(written.contains(RED), is_red, "{environment:?}");
        assert_eq!(written.contains("\x1b[38;5;"), is_red, "{environment:?}");
        // Weight and reversal stay.
        assert!(written.contains("\x1b[7m") && written.contains("\x1b[1m"));
    }
}

#[test]
fn keys_come_through() {
    let mut terminal = Terminal::start(80, 24, &[]);
    terminal.wait_for_text(FIRST);
    terminal.type_keys("3/timeout\r");
    terminal.wait_for_text("events with timeout");
    terminal.type_keys("\x1b[F");
    terminal.wait_for_text("operation #2");
    terminal.type_keys("\x1b\x1b");
    terminal.wait_for_text("2 findings");
}

#[test]
fn who_hesitates_after_a_first_key_is_shown_what_may_follow() {
    let mut terminal = Terminal::start(80, 24, &[]);
    terminal.wait_for_text(FIRST);
    terminal.type_keys("c");
    terminal.wait_for_text("copy the pointer or cookie");
    terminal.type_keys("p");
    terminal.wait_for_text("copied the word");
    assert!(
        !terminal
            .emulator
            .screen()
            .contents()
            .contains("copy the pointer")
    );
}

#[test]
fn it_follows_the_size_of_the_terminal() {
    let mut terminal = Terminal::start(80, 24, &[]);
    terminal.wait_for_text(FIRST);
    terminal.resize(30, 8);
    terminal.wait_for_text("needs 40x10");
    terminal.resize(120, 40);
    terminal.wait_for("two panes", |screen| {
        let text = screen.contents();
        text.contains(FIRST) && text.contains("Biography of")
    });
}

#[test]
fn q_leaves_the_terminal_clean() {
    let mut terminal = Terminal::start(80, 24, &[]);
    terminal.wait_for_text(FIRST);
    terminal.type_keys("q");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.assert_clean();
}

#[test]
fn ctrl_c_leaves_the_terminal_clean_from_anywhere() {
    let mut terminal = Terminal::start(80, 24, &[]);
    terminal.wait_for_text(FIRST);
    terminal.type_keys("/q");
    terminal.wait_for_text("/q");
    terminal.type_keys("\x03");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.assert_clean();
}

#[test]
fn sigterm_leaves_the_terminal_clean_and_is_what_ended_it() {
    let mut terminal = Terminal::start(80, 24, &[]);
    terminal.wait_for_text(FIRST);
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.end().signal(), Some(15));
    terminal.assert_clean();
}

#[test]
fn a_panic_while_drawing_leaves_the_terminal_clean_and_is_readable() {
    let mut terminal = Terminal::start(80, 24, &[("PANIC", "viewer")]);
    terminal.wait_for_text(FIRST);
    terminal.type_keys("?");
    assert_eq!(terminal.end().code(), Some(101));
    terminal.assert_clean();
    let screen = terminal.emulator.screen().contents();
    assert!(screen.contains("the viewer was asked to"), "{screen}");
}

#[test]
fn a_panic_of_another_thread_ends_the_viewer_and_leaves_the_terminal_clean() {
    let mut terminal = Terminal::start(80, 24, &[("PANIC", "worker")]);
    terminal.wait_for_text(FIRST);
    terminal.signal(Signal::USR1);
    assert_eq!(terminal.end().code(), Some(1));
    terminal.assert_clean();
    let screen = terminal.emulator.screen().contents();
    assert!(screen.contains("the worker got signal"), "{screen}");
    assert!(
        screen.contains("a thread of the viewer panicked"),
        "{screen}"
    );
}

#[test]
fn a_terminal_that_hangs_up_ends_the_viewer() {
    let mut terminal = Terminal::start(80, 24, &[]);
    terminal.wait_for_text(FIRST);
    terminal.slave = None;
    terminal.master = None;
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = terminal
            .child
            .try_wait()
            .expect("our child can be waited for")
        {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::yield_now();
    };
    assert_eq!(status.signal(), Some(1));
}

#[test]
fn an_editor_gets_the_terminal_and_gives_it_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let editor = folder.path().join("editor");
    std::fs::write(
        &editor,
        "#!/bin/sh\necho \"editing $@\"; read line; exit 3\n",
    )
    .expect("a script can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&editor, mode).expect("a script can be made executable");
    let path = editor.to_str().expect("a plain path");
    let mut terminal = Terminal::start(80, 24, &[("EDITOR", path)]);
    terminal.wait_for_text(FIRST);
    terminal.type_keys("v");
    terminal.wait_for("the editor", |screen| {
        !screen.alternate_screen() && screen.contents().contains("editing +29 src/wake.rs")
    });
    let modes = terminal.modes().local_modes;
    assert!(
        modes.contains(LocalModes::ICANON | LocalModes::ECHO),
        "{modes:?}"
    );
    assert!(!terminal.emulator.screen().hide_cursor());
    terminal.type_keys("typed to the editor\r");
    terminal.wait_for("the viewer again", |screen| {
        screen.alternate_screen() && screen.contents().contains("ended with exit status: 3")
    });
    // Lines of source came from another thread meanwhile.
    terminal.type_keys("5");
    terminal.wait_for_text("fn line_29() {}");
    terminal.type_keys("qq");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.assert_clean();
}

#[test]
fn a_shell_gets_the_terminal_and_its_end_leads_back() {
    let mut terminal = Terminal::start(80, 24, &[("SHELL", "/bin/sh"), ("PS1", "ready> ")]);
    terminal.wait_for_text(FIRST);
    terminal.type_keys("!");
    terminal.wait_for("the shell", |screen| !screen.alternate_screen());
    terminal.type_keys("echo from the $((1 + 1))nd; exit 3\r");
    terminal.wait_for("the viewer again", |screen| {
        screen.alternate_screen() && screen.contents().contains(FIRST)
    });
    let written = String::from_utf8_lossy(&terminal.written).into_owned();
    assert!(written.contains("from the 2nd"), "{written:?}");
    terminal.type_keys("q");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.assert_clean();
}

#[test]
fn the_screen_stays_in_the_terminal_for_who_wants_that() {
    let mut terminal = Terminal::start(80, 24, &[("NO_COLOR", "1")]);
    // The last row: all of the frame is there.
    terminal.wait_for("all of it", |screen| {
        let text = screen.contents();
        let last = text.lines().last().unwrap_or_default();
        last.contains("32 events") && last.contains("Timer#2 0x55d0c2e0b040@2")
    });
    let shown = terminal.emulator.screen().contents();
    terminal.type_keys("Q");
    assert_eq!(terminal.end().code(), Some(0));
    let screen = terminal.emulator.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor());
    assert_same_modes(&terminal.modes(), &terminal.before);
    let left = screen.contents();
    // The first line has scrolled off: the cursor stands below the last one.
    let (_, rest) = shown.split_once('\n').expect("more than a line");
    assert_eq!(left.trim_end(), rest.trim_end());
}

#[test]
fn the_theme_fits_the_background_that_the_terminal_names() {
    const ASKED: &str = "\x1b]11;?\x07\x1b[c";
    let start = || {
        let mut command = Command::new(example());
        command.arg("--adapts").env_remove("NO_COLOR");
        Terminal::run(command, 80, 24)
    };
    let wait_until_asked = |terminal: &mut Terminal| {
        while !String::from_utf8_lossy(&terminal.written).contains(ASKED) {
            assert!(terminal.read(PATIENCE), "it was not asked");
        }
    };
    for (answer, ground) in [("ffff/ffff/ffff", 231), ("0/0/0", 234)] {
        let mut terminal = start();
        wait_until_asked(&mut terminal);
        terminal.type_keys(&format!("\x1b]11;rgb:{answer}\x1b\\\x1b[?62c"));
        terminal.wait_for("its ground", |screen| {
            let cell = screen.cell(1, 1);
            let is_there = cell.is_some_and(|cell| cell.bgcolor() == vt100::Color::Idx(ground));
            is_there && screen.contents().contains(FIRST)
        });
        terminal.type_keys("q");
        assert_eq!(terminal.end().code(), Some(0));
        terminal.assert_clean();
    }
    // One that does not answer is drawn on as it is, and an answer that comes at the end is nobody's input.
    let mut terminal = start();
    terminal.wait_for_text(FIRST);
    let screen = terminal.emulator.screen();
    let cell = screen.cell(1, 1).expect("there is one");
    assert_eq!(cell.bgcolor(), vt100::Color::Default);
    terminal.type_keys("q\x1b[?62c");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.assert_clean();
}

#[test]
fn keys_behind_an_answer_of_the_terminal_are_keys() {
    let mut command = Command::new(example());
    command.arg("--adapts").env_remove("NO_COLOR");
    let mut terminal = Terminal::run(command, 80, 24);
    while !String::from_utf8_lossy(&terminal.written).contains("\x1b]11;?\x07") {
        assert!(terminal.read(PATIENCE), "it was not asked");
    }
    // At once: how pieces are put together is the decoder's, and no matter of time here.
    terminal.type_keys("\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62;22c3/timeout\r");
    terminal.wait_for("the light theme", |screen| {
        let cell = screen.cell(1, 1);
        let is_light = cell.is_some_and(|cell| cell.bgcolor() == vt100::Color::Idx(231));
        is_light && screen.contents().contains("events with timeout")
    });
    terminal.type_keys("\x1b");
    terminal.wait_for_text("all events again");
    terminal.type_keys("\x03");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.assert_clean();
}

#[test]
fn commands_run_at_the_start_and_what_is_copied_reaches_the_terminal_encoded() {
    let mut command = Command::new(example());
    command.args(["--exec", "timeline; goto event:20; copy.row"]);
    let mut terminal = Terminal::run(command, 80, 24);
    terminal.wait_for_text("copied what the row says");
    let written = String::from_utf8_lossy(&terminal.written).into_owned();
    // Base64 of `submit operation #3`, and nothing else between the marks of OSC 52.
    assert!(
        written.contains("\x1b]52;c;c3VibWl0IG9wZXJhdGlvbiAjM"),
        "{written:?}"
    );
    terminal.type_keys("\x03");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.assert_clean();
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_until_fg() {
    let mut command = Command::new("sh");
    command.arg("-i").env("PS1", "ready> ").env_remove("ENV");
    command.env("VIEWER", example());
    let mut terminal = Terminal::run(command, 80, 24);
    terminal.wait_for_text("ready>");
    terminal.type_keys("\"$VIEWER\" --mouse\r");
    terminal.wait_for("the viewer", |screen| {
        screen.alternate_screen() && screen.contents().contains(FIRST)
    });
    terminal.type_keys("j\x1a");
    terminal.wait_for("the shell", |screen| {
        !screen.alternate_screen() && screen.contents().contains("Stopped")
    });
    assert!(!has_mouse(terminal.emulator.screen()), "the shell has it");
    assert!(!terminal.emulator.screen().hide_cursor());
    let modes = terminal.modes().local_modes;
    assert!(
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG),
        "{modes:?}"
    );
    terminal.type_keys("fg\r");
    terminal.wait_for("the viewer again, where it was", |screen| {
        screen.alternate_screen() && screen.contents().contains("row 2/4")
    });
    assert!(has_mouse(terminal.emulator.screen()));
    terminal.type_keys("q");
    terminal.wait_for("the shell again", |screen| !screen.alternate_screen());
    // Typed while the viewer may still be on its way out: it must reach the shell all the same.
    terminal.type_keys("exit\r");
    terminal.end();
    terminal.assert_clean();
}

#[test]
fn the_mouse_is_the_terminals_until_it_is_asked_for() {
    let mut terminal = Terminal::start(80, 24, &[]);
    terminal.wait_for_text(FIRST);
    assert!(!has_mouse(terminal.emulator.screen()));
    // A report that nobody asked for is not acted on: this would be a click on `2 Biography`.
    terminal.type_keys("\x1b[<0;16;1M\x1b[<0;16;1m\x1bOQ");
    terminal.wait_for("the mouse", has_mouse);
    assert!(terminal.emulator.screen().contents().contains(FIRST));
    terminal.wait_for_text("the mouse is the viewer's now");
    assert_eq!(
        terminal.emulator.screen().mouse_protocol_encoding(),
        vt100::MouseProtocolEncoding::Sgr
    );
    terminal.type_keys("\x1b[<0;16;1M\x1b[<0;16;1m");
    terminal.wait_for_text("[2 Biography]");
    terminal.type_keys("\x1b[<0;2;1M\x1b[<65;9;4M");
    terminal.wait_for_text("row 4/4");
    terminal.type_keys("\x1bOQ");
    terminal.wait_for("the mouse given back", |screen| !has_mouse(screen));
    terminal.type_keys("\x1bOQ");
    terminal.wait_for("the mouse again", has_mouse);
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.end().signal(), Some(15));
    terminal.assert_clean();
}

#[test]
fn without_a_terminal_it_says_so() {
    let output = Command::new(example())
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("stdout is none"), "{said}");
}

/// The modes of a terminal can be compared only if something can change them.
#[test]
fn the_comparison_of_modes_sees_a_difference() -> io::Result<()> {
    let terminal = Terminal::run(Command::new("true"), 80, 24);
    let slave = terminal.slave.as_ref().expect("kept open").as_fd();
    let mut raw = terminal.modes();
    raw.make_raw();
    rustix::termios::tcsetattr(slave, OptionalActions::Now, &raw)?;
    assert_ne!(terminal.modes().local_modes, terminal.before.local_modes);
    Ok(())
}

/// A viewer whose reader waits for a signal.
fn with_reader(name: &str) -> Terminal {
    let mut command = Command::new(example());
    command.arg(name);
    Terminal::run(command, 80, 24)
}

#[test]
fn there_is_a_screen_and_keys_are_answered_while_nothing_can_be_read() {
    let mut terminal = with_reader("blocked");
    terminal.wait_for_text("reading...");
    terminal.type_keys("?");
    terminal.wait_for_text("Keys here");
    terminal.type_keys("q3");
    terminal.wait_for_text("[3 Events]");
    terminal.resize(60, 20);
    terminal.wait_for_text("[3 Events]");
    // What was typed ahead is done when there is something to do it with.
    terminal.type_keys("/timeout\r");
    terminal.signal(Signal::USR1);
    terminal.wait_for_text("events with timeout");
    terminal.type_keys("1");
    terminal.wait_for_text(FIRST);
    terminal.type_keys("q");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.assert_clean();
}

#[test]
fn a_reading_that_takes_too_long_is_left_by_q_and_by_escape() {
    for key in ["q", "\x1b", "\x03"] {
        let mut terminal = with_reader("blocked");
        terminal.wait_for_text("reading...");
        terminal.type_keys(key);
        assert_eq!(terminal.end().code(), Some(0), "{key:?}");
        terminal.assert_clean();
    }
}

#[test]
fn a_reader_that_gives_up_ends_the_viewer() {
    let mut terminal = with_reader("blocked");
    terminal.wait_for_text("reading...");
    terminal.signal(Signal::USR2);
    assert_eq!(terminal.end().code(), Some(41));
    terminal.assert_clean();
}

#[test]
fn a_recording_is_looked_on_paused_and_left() {
    let mut terminal = with_reader("live");
    terminal.wait_for_text("LIVE");
    terminal.signal(Signal::USR1);
    terminal.wait_for_text("12 events seen");
    terminal.type_keys(" ");
    terminal.wait_for_text("PAUSED");
    terminal.signal(Signal::USR1);
    // What comes meanwhile is not shown, whatever is drawn for other reasons.
    terminal.type_keys("3");
    terminal.wait_for_text("12 events, ");
    terminal.type_keys("1");
    terminal.wait_for_text("12 events seen");
    terminal.type_keys(" ");
    terminal.wait_for_text(FIRST);
    terminal.type_keys("q");
    terminal.wait_for_text("The program still runs");
    terminal.type_keys("\x1b");
    terminal.wait_for("no question", |screen| {
        !screen.contents().contains("The program still runs")
    });
    terminal.signal(Signal::USR2);
    terminal.wait_for_text("ENDED: exited with code 3");
    terminal.type_keys("q");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.assert_clean();

    // Who leaves the screen printed has it printed, and not the question.
    let mut terminal = with_reader("live");
    terminal.wait_for_text("LIVE");
    terminal.signal(Signal::USR1);
    terminal.wait_for_text("12 events seen");
    terminal.type_keys("Q");
    terminal.wait_for_text("The program still runs");
    terminal.type_keys("l");
    assert_eq!(terminal.end().code(), Some(0));
    let left = terminal.emulator.screen().contents();
    assert!(
        left.contains("12 events seen") && left.contains("LIVE"),
        "{left}"
    );
    assert!(!left.contains("The program still runs"), "{left}");

    let mut terminal = with_reader("live");
    terminal.wait_for_text("LIVE");
    terminal.type_keys("qe");
    assert_eq!(terminal.end().code(), Some(40));
    terminal.assert_clean();
}
