//! A program in a terminal of its own: what it draws is read and emulated, what it is asked is typed.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How soon a screen that is to come is looked for again.
const POLL_MS: i32 = 1000;

/// How long nothing is drawn once all is.
const QUIET_MS: i32 = 300;

pub struct Terminal {
    master: File,
    child: Child,
    emulator: vt100::Parser,
}

impl Terminal {
    /// Starts the viewer over a file.
    pub fn start(file: &Path, (columns, rows): (u16, u16)) -> std::io::Result<Self> {
        let size = libc::winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let (mut master, mut slave) = (-1, -1);
        // SAFETY: both numbers and the size are there to be written and read; no name and no modes are asked for.
        let opened = unsafe {
            libc::openpty(
                &mut master,
                &mut slave,
                std::ptr::null_mut(),
                std::ptr::null(),
                &size,
            )
        };
        if opened != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: both were just opened, and are nobody else's.
        let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        let end = || slave.try_clone().map(Stdio::from);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("work").arg(format!("show-{}", file.display()));
        command.stdin(end()?).stdout(end()?).stderr(end()?);
        command.env("TERM", "xterm-256color");
        // SAFETY: between fork and exec only two system calls are made; they touch no memory.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        Ok(Self {
            master,
            child,
            emulator: vt100::Parser::new(cells(rows), cells(columns), 0),
        })
    }

    pub fn type_keys(&mut self, keys: &str) {
        // Fails where it has ended, which shows when an answer is waited for.
        let _ = self.master.write_all(keys.as_bytes());
    }

    /// Waits until the screen is as wanted.
    pub fn wait(&mut self, what: &str, is_there: impl Fn(&str) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !is_there(&self.emulator.screen().contents()) {
            if Instant::now() > deadline || !self.read()? {
                let screen = self.emulator.screen().contents();
                return Err(format!(
                    "waited in vain for {what}; the screen is\n{screen}"
                ));
            }
        }
        Ok(())
    }

    /// Takes in what is still drawn, until nothing is for a moment.
    pub fn settle(&mut self) -> Result<(), String> {
        while self.is_ready(QUIET_MS) && self.read()? {}
        Ok(())
    }

    fn is_ready(&self, patience_ms: i32) -> bool {
        let mut poll = libc::pollfd {
            fd: self.master.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: there is one to be looked at.
        unsafe { libc::poll(&mut poll, 1, patience_ms) != 0 }
    }

    /// Waits until anything is drawn.
    pub fn wait_for_answer(&mut self) -> Result<(), String> {
        let before = self.emulator.screen().contents();
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.emulator.screen().contents() == before && Instant::now() < deadline {
            self.read()?;
        }
        Ok(())
    }

    /// Reads what comes within a while; false once there is nobody to write.
    fn read(&mut self) -> Result<bool, String> {
        if !self.is_ready(POLL_MS) {
            return Ok(true);
        }
        let mut bytes = [0; 65536];
        match self.master.read(&mut bytes) {
            Ok(0) | Err(_) => Ok(false),
            Ok(len) => {
                self.emulator.process(&bytes[..len]);
                Ok(true)
            }
        }
    }

    /// The most memory that it ever had.
    pub fn peak_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        kib.unwrap_or(0)
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap_or(NonZero::<u16>::MIN)
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
