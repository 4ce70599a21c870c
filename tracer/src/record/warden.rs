//! What the recorder does for processes while they run: it makes room in files that grow, and ends the
//! recording when it is asked to.
//!
//! It looks at the files themselves, on a thread of its own, and only where something is to be done: a
//! recording in a ring needs nobody until then.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::budget::Budget;
use super::folder::Folder;
use super::room::{self, Growing, Made};
use super::session;

/// How long it sleeps after it had something to do, and at the longest.
const SLEEP: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The recording is to end, and the program to go on.
    Stop,
    /// The program has ended.
    End,
}

/// The thread, and the way to it.
#[derive(Debug)]
pub(crate) struct Warden {
    orders: Sender<Order>,
    thread: JoinHandle<Vec<String>>,
}

impl Warden {
    /// Sets one to the files of a folder. `grow_to` is how many chunks they may have, where they grow.
    pub(crate) fn start(folder: Folder, grow_to: Option<u64>) -> std::io::Result<Self> {
        let (orders, received) = channel();
        let thread = std::thread::Builder::new()
            .name("warden".into())
            .spawn(move || Watch::new(folder, grow_to).run(&received))?;
        Ok(Self { orders, thread })
    }

    /// What asks for an end of the recording; from any thread.
    pub(crate) fn stopper(&self) -> impl Fn() + Send + 'static {
        let orders = self.orders.clone();
        move || {
            // Fails only where it has ended already.
            let _ = orders.send(Order::Stop);
        }
    }

    /// Ends it; what it has to say comes back.
    pub(crate) fn end(self) -> Vec<String> {
        let _ = self.orders.send(Order::End);
        self.thread.join().unwrap_or_default()
    }
}

struct Watch {
    folder: Folder,
    budget: Budget,
    grow_to: Option<u64>,
    /// By name; nothing for those that need no more.
    growing: HashMap<OsString, Option<Growing>>,
    /// Names of those that had to wait for room.
    waited: HashSet<OsString>,
    /// Names of the files that were told to end; nothing while none is to.
    stopped: Option<HashSet<OsString>>,
    remarks: Vec<String>,
}

impl Watch {
    fn new(folder: Folder, grow_to: Option<u64>) -> Self {
        Self {
            budget: Budget::of(folder.path()),
            folder,
            grow_to,
            growing: HashMap::new(),
            waited: HashSet::new(),
            stopped: None,
            remarks: Vec::new(),
        }
    }

    fn run(mut self, orders: &Receiver<Order>) -> Vec<String> {
        let mut sleep = SLEEP.0;
        loop {
            let order = if self.grow_to.is_some() || self.stopped.is_some() {
                orders.recv_timeout(sleep)
            } else {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(Order::Stop) => self.stop(),
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return self.remarks,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.stop_files();
            let busy = self.make_room();
            sleep = if busy {
                SLEEP.0
            } else {
                (sleep * 2).min(SLEEP.1)
            };
        }
    }

    /// Ends the recording: for processes that come later by the session file, for others by their own.
    fn stop(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        self.stopped = Some(HashSet::new());
        match session::end(&self.folder) {
            Ok(()) => crate::talk::line(
                "the recording ends here, for each thread as soon as its 64 KiB are full; the program goes \
                 on, and its trace is written when it ends",
            ),
            Err(error) => self.remarks.push(format!("{error:#}")),
        }
    }

    /// Tells the files that have not been told. One may come late: its process had read the session before.
    fn stop_files(&mut self) {
        let Some(stopped) = &mut self.stopped else {
            return;
        };
        for process in self.folder.process_files().unwrap_or_default() {
            if !stopped.contains(&process.name) && room::ask_to_stop(&process.path).unwrap_or(false)
            {
                stopped.insert(process.name);
            }
        }
    }

    /// Makes room in all files; says whether there was a need.
    fn make_room(&mut self) -> bool {
        let Some(most) = self.grow_to.filter(|_| self.stopped.is_none()) else {
            return false;
        };
        let mut busy = false;
        for process in self.folder.process_files().unwrap_or_default() {
            let growing = match self.growing.get_mut(&process.name) {
                Some(known) => known,
                None => match Growing::open(&process.path, most) {
                    Ok(Some(new)) => self
                        .growing
                        .entry(process.name.clone())
                        .or_insert(Some(new)),
                    Ok(None) | Err(_) => continue,
                },
            };
            let Some(file) = growing else { continue };
            match file.make_room(Some(&self.budget)) {
                Ok(made) => {
                    busy |= made == Made::More;
                    if made == Made::NotYet && self.waited.insert(process.name) {
                        self.remarks.push(format!(
                            "the recording of process {} could not grow beyond {} MiB before others of its processes \
                             ended: together they had taken a quarter of what was free on the disk; `--dir DIR` names \
                             another place",
                            process.pid,
                            file.bytes() >> 20
                        ));
                    }
                }
                Err(error) => {
                    let remark = format!(
                        "the recording of process {} could not grow beyond {} MiB: {error}; `--dir DIR` \
                         names another place",
                        process.pid,
                        file.bytes() >> 20
                    );
                    self.remarks.push(remark);
                    *growing = None;
                }
            }
        }
        busy
    }
}
