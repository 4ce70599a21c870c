//! Opens a recording: the recorder's folder, if it may be trusted, the file, its mapping.
//!
//! Holds `unsafe`: the private memory as a [`Process`], the word that counts the room of a recording.

use core::sync::atomic::{AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use wire::layout;

use super::identity::{Identity, first_eight};
use super::session::Session;
use super::{ALIVE, EXIT_KEY, Process, process_exits};
#[cfg(feature = "assert")]
use super::{OFF, STARTING, STATE, current, publish};
use crate::recorder::{stack, sys};

/// Process id of who opened the first recording; others are forked children.
static FIRST_PROCESS: AtomicU32 = AtomicU32::new(0);

/// Why there is no recording where there is a recorder: an error of the system's, or [`layout::NOT_NAMED`]; 0 where nothing
/// stood in the way.
static FAILED: AtomicU32 = AtomicU32::new(0);

/// What the system says where a descriptor, or a right, is missing: the same whatever was to be opened.
fn failed(otherwise: &'static [u8]) -> &'static [u8] {
    const EACCES: i32 = 13;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let error = sys::errno();
    FAILED.store(error.unsigned_abs(), Ordering::Relaxed);
    match error {
        EMFILE | ENFILE => b" cannot be opened: no descriptor is left (`ulimit -n`)",
        EACCES => b" is for the user that records alone, and this process runs as another one",
        _ => otherwise,
    }
}

/// Why this process has no recording, if that is because it could not open one.
#[cfg(feature = "preload")]
pub(crate) fn unopened() -> u32 {
    FAILED.load(Ordering::Relaxed)
}

/// Opens the file in the recorder's folder, if there is a recorder that may be trusted.
pub(super) fn open_for_recorder() -> Option<&'static Process> {
    crate::recorder::announcement::keep();
    let Some(folder) = sys::environment(c"TRACER_DIR").filter(|folder| !folder.is_empty()) else {
        FAILED.store(layout::NOT_NAMED, Ordering::Relaxed);
        return None;
    };
    FAILED.store(0, Ordering::Relaxed);
    if sys::runs_with_raised_rights() {
        sys::complain(&[b"tracer: not recording: this program runs with raised privileges"]);
        return None;
    }
    let may_complain = has_its_standard_error();
    let complain = |what: &[&[u8]]| {
        if may_complain {
            sys::complain(what);
        }
        None
    };
    let begin = b"tracer: not recording: TRACER_DIR ";
    let mut path = sys::Path::new();
    if !path.push(folder) {
        return complain(&[begin, b"is too long"]);
    }
    let refuse = |why: &[u8]| complain(&[begin, folder, why]);
    let Some(directory) = sys::open_directory(&path) else {
        let why = failed(b" is not a directory that can be opened");
        // A recording that has ended, and this process outlives it: a daemon, whose standard error is not for this.
        let name = folder.rsplit(|byte| *byte == b'/').next().unwrap_or(&[]);
        if name.starts_with(layout::FOLDER.as_bytes()) && sys::is_gone(&path) {
            return None;
        }
        return refuse(why);
    };
    match sys::owner_and_mode(&directory) {
        Some((uid, mode)) if uid == sys::effective_user() && mode & 0o022 == 0 => {}
        Some((uid, _)) if uid != sys::effective_user() => {
            FAILED.store(layout::NOT_OURS, Ordering::Relaxed);
            return refuse(b" belongs to another user");
        }
        _ => return refuse(b" can be written to by other users"),
    }
    let mut file = sys::Path::new();
    file.push(b"session");
    let Some(opened) = sys::open_to_read(Some(&directory), &file) else {
        return refuse(failed(b" holds no recording (no file `session`)"));
    };
    match sys::owner_and_mode(&opened) {
        Some((_, mode)) if mode & sys::KIND != sys::REGULAR => {
            return refuse(b" holds a session that is not a file");
        }
        Some((uid, _)) if uid == sys::effective_user() => {}
        _ => return refuse(b" holds a session file of another user"),
    }
    let mut text = [0u8; 1024];
    let Some(mut session) = Session::parse(sys::read_some(&opened, &mut text)) else {
        return refuse(b" was made by a version of tracer that this probe does not know");
    };

    if session.ended {
        return None;
    }
    if is_forked_child() {
        session.share();
    }
    let room = Room::open(&directory);
    let word = room.as_ref().map(Room::word);
    let disk = sys::disk(&directory);
    session.lengthens = session.mode == layout::mode::RING
        && disk.is_memory
        && room.as_ref().is_some_and(Room::can_be_populated);
    let mut taken = session.fit(disk.free, word);
    if taken.is_less {
        leave_word(&directory, layout::LITTLE_ROOM);
    }
    let identity = Identity::new();
    let mut name = sys::Path::new();
    name.push_number(u64::from(identity.pid), 10);
    name.push(b"-");
    name.push_number(identity.start_time, 10);
    name.push(b"-");
    name.push_number(u64::from_le_bytes(first_eight(&identity.uuid)), 16);
    if !name.push(b".trc") {
        return refuse(b" is too long");
    }
    sys::clear_errno();
    let create = |session: &Session| {
        let (whole, bytes) = session.bytes();
        sys::create_allocated(&directory, &name, bytes, whole)
    };
    let mut created = create(&session);
    // Others that began at the same time were faster.
    if created.is_none() {
        taken.give_back(word);
        taken = session.fit(sys::disk(&directory).free, word);
        if taken.is_less {
            leave_word(&directory, layout::LITTLE_ROOM);
            created = create(&session);
        }
    }
    let Some(fd) = created else {
        taken.give_back(word);
        let why = failed(
            b" has no room for the trace file, or cannot be written to; `tracer record --dir DIR` \
              names another place, `--ring SIZE` asks for less",
        );
        leave_word(&directory, layout::NO_ROOM);
        return refuse(why);
    };
    let process = map(Some(fd.0), &session, &identity);
    if let Some(process) = process {
        // It stays mapped for a ring that takes more of it.
        let room = room.filter(|_| session.lengthens).map(Room::keep);
        process.begin_ring(session.first_chunks(), room);
    } else {
        let why = failed(b": the trace file could not be mapped; `--ring SIZE` makes it smaller");
        // Nobody writes to it, and the recorder would take it for a process that was killed.
        sys::remove(&directory, &name);
        taken.give_back(word);
        return refuse(why);
    }
    process
}

/// The file in which the recording's room is counted, while this process looks at it.
struct Room(*mut u8);

impl Room {
    fn open(folder: &sys::Fd) -> Option<Self> {
        let mut path = sys::Path::new();
        path.push(layout::ROOM.as_bytes());
        let file = sys::open_to_count(folder, &path)?;
        let (uid, mode) = sys::owner_and_mode(&file)?;
        let is_recorders = mode & sys::KIND == sys::REGULAR && uid == sys::effective_user();
        // Others could cut it while it is looked at; and what lies beyond the end of a file cannot be touched.
        let is_whole = sys::length(&file)? >= layout::ROOM_BYTES as u64;
        if !is_recorders || mode & 0o022 != 0 || !is_whole {
            return None;
        }
        sys::map_shared(Some(file.0), layout::ROOM_BYTES).map(Self)
    }

    /// Whether the kernel can say that a page is there, or cannot be had: see `sys::populate`.
    fn can_be_populated(&self) -> bool {
        sys::populate(self.0, layout::ROOM_BYTES)
    }

    /// The word, for as long as this process runs. A forked child does not have it, as it does not have the file.
    fn keep(self) -> &'static AtomicI64 {
        LATEST_ROOM.store(self.0.cast(), Ordering::Relaxed);
        let word = self.0.cast();
        core::mem::forget(self);
        // SAFETY: as in `word`; never unmapped from here on. Where its user cuts it all the same, the touch is a SIGBUS, as
        // is that of the recording itself.
        unsafe { &*word }
    }

    fn word(&self) -> &AtomicI64 {
        // SAFETY: a mapping of a page, which stays as long as this, of a file that was at least as long and written whole
        // when it was opened. Nobody but its user may write to it or cut it.
        unsafe { &*self.0.cast() }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        sys::unmap(self.0, layout::ROOM_BYTES);
    }
}

/// Whether descriptor 2 is what it was when the first process of this image began to record. A daemon that
/// was forked from it closed that, and may have its own data there: not a place for our words.
fn has_its_standard_error() -> bool {
    static FIRST: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
    let now = sys::standard_error().unwrap_or([0; 2]);
    if FIRST_PROCESS.load(Ordering::Relaxed) == 0 {
        for (first, now) in FIRST.iter().zip(now) {
            first.store(now, Ordering::Relaxed);
        }
    }
    FIRST
        .iter()
        .zip(now)
        .all(|(first, now)| first.load(Ordering::Relaxed) == now)
}

/// Leaves a word for the recorder in its folder.
fn leave_word(folder: &sys::Fd, word: &str) {
    let mut path = sys::Path::new();
    path.push(word.as_bytes());
    sys::leave(folder, &path);
}

/// Opens a recording in the memory of this process, for test scopes. Whatever was there stays; one that was
/// ended stays so.
#[cfg(feature = "assert")]
pub(crate) fn open_in_process(chunks: u32) -> Option<&'static Process> {
    if let Some(process) = current() {
        // Scopes judge while other threads write, and cut off by time what is younger than the call:
        // from their next batch on threads keep to own times.
        process.by_batch.store(false, Ordering::Relaxed);
        return Some(process);
    }
    loop {
        if super::ENDED.load(Ordering::Acquire) {
            return None;
        }
        match STATE.compare_exchange(OFF, STARTING, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                let session = Session {
                    chunks,
                    ..Session::default()
                };
                let process = map(None, &session, &Identity::new());
                if let Some(process) = process {
                    process.begin_ring(session.first_chunks(), None);
                }
                STATE.store(process.map_or(OFF, publish), Ordering::Release);
                return process;
            }
            // Only tests come here, and only while another test opens the same recording.
            Err(STARTING) => std::thread::yield_now(),
            Err(_) => return current(),
        }
    }
}

/// Whether an ancestor of this process, in the same image, recorded already.
fn is_forked_child() -> bool {
    let me = sys::process_id();
    FIRST_PROCESS
        .compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed)
        .is_err_and(|first| first != me)
}

/// In a child that was forked by a signal handler, in the middle of a record: see `sys::map_over`.
extern "C" fn process_forked() {
    crate::recorder::cursor::forget_parent();
    let pointer = LATEST_MAPPING.load(Ordering::Relaxed);
    if !pointer.is_null() {
        let bytes = LATEST_BYTES.load(Ordering::Relaxed) as usize;
        sys::keep_errno(|| sys::map_over(pointer.cast(), bytes));
    }
    let room = LATEST_ROOM.load(Ordering::Relaxed);
    if !room.is_null() {
        sys::keep_errno(|| sys::map_over(room.cast(), layout::ROOM_BYTES));
    }
}

/// The file's mapping, where a forked child can still find out where it was.
static LATEST_MAPPING: AtomicPtr<AtomicU64> = AtomicPtr::new(core::ptr::null_mut());
static LATEST_BYTES: AtomicU64 = AtomicU64::new(0);
/// The mapping of the word that counts the recording's room, likewise: a word of zeros is one that has none left.
static LATEST_ROOM: AtomicPtr<AtomicU64> = AtomicPtr::new(core::ptr::null_mut());

/// Maps the file and the private memory, and writes the header. A growing file is mapped as long as it may
/// become; what lies beyond its end is not touched before the recorder says that it is there.
fn map(fd: Option<i32>, session: &Session, identity: &Identity) -> Option<&'static Process> {
    let bytes = layout::file_bytes(session.chunks as usize);
    let file = sys::map_shared(fd, bytes)?;
    let Some(private) = sys::map_private(size_of::<Process>()) else {
        sys::unmap(file, bytes);
        return None;
    };
    // SAFETY: the memory is zeroed, page-aligned, as large as the structure, never unmapped; all
    // zeros is a valid `Process`.
    let process = unsafe { &*private.cast::<Process>() };
    process.mode.store(session.mode, Ordering::Relaxed);
    process.chunks.store(session.chunks, Ordering::Relaxed);
    process.grows.store(session.grows(), Ordering::Relaxed);
    process
        .poison
        .store(session.poison as u8, Ordering::Relaxed);
    process.stacks.store(session.stacks, Ordering::Relaxed);
    // A test does not mind another descriptor. A program may, and one without call stacks can do without: see
    // `frames`.
    if session.stacks || fd.is_none() {
        stack::prepare();
    }
    let by_batch = session.is_by_batch();
    process.by_batch.store(by_batch, Ordering::Relaxed);
    process.base.store(file.cast(), Ordering::Relaxed);
    process.bytes.store(bytes as u64, Ordering::Relaxed);
    process.uuid_low.store(
        u64::from_le_bytes(first_eight(&identity.uuid)),
        Ordering::Relaxed,
    );
    process.write_header(session, identity);
    process.alive.store(ALIVE, Ordering::Release);
    if EXIT_KEY.load(Ordering::Relaxed) == u32::MAX {
        if let Some(key) = sys::thread_exit_key(crate::recorder::cursor::thread_ends) {
            EXIT_KEY.store(key, Ordering::Relaxed);
        }
        sys::at_exit(process_exits);
        sys::in_forked_children(process_forked);
    }
    LATEST_BYTES.store(bytes as u64, Ordering::Relaxed);
    LATEST_MAPPING.store(file.cast(), Ordering::Relaxed);
    Some(process)
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_that_is_short_others_to_write_to_or_a_link_counts_nothing() {
        let folder = std::env::temp_dir().join(format!("tracer-room-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let mut path = sys::Path::new();
        path.push(folder.to_str().unwrap().as_bytes());
        let opened = sys::open_directory(&path).unwrap();
        let counted = || {
            let room = Room::open(&opened)?;
            Some(room.word().load(Ordering::Relaxed))
        };
        assert_eq!(counted(), None);
        let file = folder.join(layout::ROOM);
        let mut page = [0; layout::ROOM_BYTES];
        page[0] = 7;
        for (bytes, mode, is) in [
            (&page[..], 0o600, Some(7)),
            (&page[..], 0o620, None),
            (&page[..], 0o602, None),
            (&page[1..], 0o600, None),
        ] {
            std::fs::write(&file, bytes).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(counted(), is, "{mode:o}, {} bytes", bytes.len());
        }
        let elsewhere = folder.join("elsewhere");
        std::fs::write(&elsewhere, page).unwrap();
        std::fs::remove_file(&file).unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert_eq!(counted(), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
