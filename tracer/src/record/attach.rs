//! `tracer attach`: records a program that runs already, by what the kernel says of its rings.
//!
//! Nothing is done to the program. The recording ends with it, or when somebody asks for its end.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::kernel::Kernel;
use super::session::Session;
use super::{Poison, Room, Started, Times, closing, folder, seal, spawn};
use crate::args::Attach;
use crate::exit::{CLEAN, Exit, Failure, RECORD_FAILED};
use crate::talk;

/// How long a signal may wait to be seen.
const SLEEP: Duration = Duration::from_millis(50);

/// The command.
pub(crate) fn attach(args: &Attach) -> Result<Exit, Failure> {
    record(args).map_err(|error| Failure::new(RECORD_FAILED, error))?;
    Ok(Exit::Code(CLEAN))
}

fn record(args: &Attach) -> Result<()> {
    let target = seal::target(&args.output)?;
    // The number is the program's for as long as this is open.
    let number = i32::try_from(args.pid).ok().and_then(Pid::from_raw);
    let number = number.with_context(|| format!("{} is no process id", args.pid))?;
    let program = rustix::process::pidfd_open(number, PidfdFlags::empty())
        .with_context(|| format!("there is no process {}", args.pid))?;
    let (start_time, _) = spawn::start_time(args.pid)
        .ok_or_else(|| anyhow!("/proc does not show process {}", args.pid))?;
    let room = Room::Ring(args.ring);
    let folder = folder::Folder::make(args.dir.as_deref(), args.ring)?;
    let listened = listen(args, room, &folder, &program, start_time);
    let (session, kernel) = match listened {
        Ok(listened) => listened,
        Err(error) => {
            let _ = folder.remove();
            return Err(error);
        }
    };
    if folder.process_files()?.is_empty() {
        let _ = folder.remove();
        talk::line(format_args!(
            "nothing was recorded: process {} submitted nothing to io_uring, as far as it was listened to",
            args.pid
        ));
        return Ok(());
    }
    let what = seal::What {
        folder: &folder,
        session: &session,
        command: &[],
        end: None,
        started: &Started::default(),
        redactor: None,
    };
    let raw = crate::safe::path(folder.path());
    let sealed = seal::seal(what, &target)
        .with_context(|| format!("the recording could not be sealed; it stays in {raw}"))?;
    closing::attached(&sealed, &args.output, &kernel);
    let _ = folder.remove();
    Ok(())
}

/// Listens until the program ends, or somebody asks for the recording's end.
fn listen(
    args: &Attach,
    room: Room,
    folder: &folder::Folder,
    program: &impl AsFd,
    start_time: u64,
) -> Result<(Session, super::kernel::Outcome)> {
    let session = Session::new(room, Poison::Off, false, Times::Event)?;
    session.write(folder)?;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    let kernel = Kernel::attach(folder.path(), &session, args.kernel_buffer, args.pid)?;
    talk::line(format_args!(
        "listening to process {}, until it ends or Ctrl-C",
        args.pid
    ));
    let until = args
        .timeout
        .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let sleep = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(SLEEP.subsec_nanos()),
    };
    let is_over = |until: Option<Instant>| until.is_some_and(|until| Instant::now() >= until);
    while !asked.load(Ordering::Relaxed) && !is_over(until) {
        let mut files = [PollFd::new(program, PollFlags::IN)];
        match poll(&mut files, Some(&sleep)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((session, kernel.end(Some((args.pid, start_time)))))
}
