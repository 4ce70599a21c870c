//! Operations on files, folders, memory and pipes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;

use super::common::{Log, Pages, descriptor, go, name, of, ring};
use super::uring::{opcode, types};

const HERE: types::Fd = types::Fd(libc::AT_FDCWD);

fn file(folder: &Path) -> File {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    options.open(folder.join("file")).expect("a file")
}

pub(super) fn all(log: &mut Log) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    bytes(log, folder);
    registered(log, folder);
    shapes(log, folder);
    names(log, folder);
    attributes(log, folder);
    pipes(log);
    tables(log, folder);
}

fn bytes(log: &mut Log, folder: &Path) {
    let (ring, file) = (&mut ring(), file(folder));
    let nop = opcode::Nop::new().build().user_data(1);
    go(ring, log, "Nop", &[nop]);

    let text = *b"0123456789";
    let write = opcode::Write::new(of(&file), text.as_ptr(), 10)
        .offset(2)
        .ioprio(0)
        .rw_flags(libc::RWF_DSYNC)
        .write_stream(0)
        .build();
    go(ring, log, "Write", &[write.user_data(2)]);
    let parts = text.chunks(5).map(|part| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    let parts: Vec<_> = parts.collect();
    let writev = opcode::Writev::new(of(&file), parts.as_ptr(), 2)
        .offset(12)
        .ioprio(0)
        .rw_flags(0)
        .write_stream(0)
        .build();
    go(ring, log, "Writev", &[writev.user_data(3)]);
    log.say("written", fs::read(folder.join("file")).expect("the file"));

    let mut room = [0u8; 8];
    let read = opcode::Read::new(of(&file), room.as_mut_ptr(), 8)
        .offset(10)
        .ioprio(0)
        .rw_flags(0)
        .buf_group(0)
        .build();
    go(ring, log, "Read", &[read.user_data(4)]);
    log.say("read", room);
    let (mut one, mut other) = ([0u8; 3], [0u8; 30]);
    let parts = [one.as_mut_slice(), other.as_mut_slice()].map(|part| libc::iovec {
        iov_base: part.as_mut_ptr().cast(),
        iov_len: part.len(),
    });
    let readv = opcode::Readv::new(of(&file), parts.as_ptr(), 2)
        .offset(4)
        .ioprio(0)
        .rw_flags(0)
        .buf_group(0)
        .build();
    go(ring, log, "Readv", &[readv.user_data(5)]);
    log.say("read in parts", (one, other));
    // Neither is one.
    let read = opcode::Read::new(types::Fd(-1), room.as_mut_ptr(), 8).build();
    let fixed = opcode::Read::new(types::Fixed(3), room.as_mut_ptr(), 8).build();
    let entries = [read.user_data(6), fixed.user_data(7)];
    go(ring, log, "Read of nothing", &entries);
}

fn registered(log: &mut Log, folder: &Path) {
    let file = file(folder);
    let mut pages = Pages::new(4096);
    let start = pages.start();
    let ring = &mut ring();
    let buffer = [libc::iovec {
        iov_base: start.cast(),
        iov_len: 4096,
    }];
    // SAFETY: mapped for longer than the ring is there.
    log.result("register_buffers", unsafe {
        ring.submitter().register_buffers(&buffer)
    });
    pages.bytes()[..6].copy_from_slice(b"fixed!");
    let write = opcode::WriteFixed::new(of(&file), start, 6, 0)
        .offset(1)
        .ioprio(0)
        .rw_flags(0)
        .write_stream(0)
        .build();
    go(ring, log, "WriteFixed", &[write.user_data(1)]);
    // SAFETY: within the page.
    let target = unsafe { start.add(100) };
    let read = opcode::ReadFixed::new(of(&file), target, 5, 0)
        .offset(2)
        .ioprio(0)
        .rw_flags(0)
        .build();
    go(ring, log, "ReadFixed", &[read.user_data(2)]);
    log.say("read", &pages.bytes()[100..110]);
    let part = |at: usize, length| libc::iovec {
        // SAFETY: within the page.
        iov_base: unsafe { start.add(at) }.cast(),
        iov_len: length,
    };
    let parts = [part(0, 2), part(100, 3)];
    let write = opcode::WritevFixed::new(of(&file), parts.as_ptr(), 2, 0)
        .offset(20)
        .ioprio(0)
        .rw_flags(0)
        .write_stream(0)
        .build();
    go(ring, log, "WritevFixed", &[write.user_data(3)]);
    let parts = [part(200, 3), part(300, 9)];
    let read = opcode::ReadvFixed::new(of(&file), parts.as_ptr(), 2, 0)
        .offset(20)
        .ioprio(0)
        .rw_flags(0)
        .build();
    go(ring, log, "ReadvFixed", &[read.user_data(4)]);
    log.say("read in parts", &pages.bytes()[200..310]);
    log.say("written", fs::read(folder.join("file")).expect("the file"));
    let beyond = opcode::ReadFixed::new(of(&file), target, 5, 9).build();
    go(ring, log, "ReadFixed, no buffer", &[beyond.user_data(5)]);
}

fn shapes(log: &mut Log, folder: &Path) {
    let (ring, file) = (&mut ring(), file(folder));
    let allocate = opcode::Fallocate::new(of(&file), 8192).offset(0).mode(0);
    go(
        ring,
        log,
        "Fallocate",
        &[allocate.build().user_data(1)],
    );
    let truncate = opcode::Ftruncate::new(of(&file), 5000).build();
    go(ring, log, "Ftruncate", &[truncate.user_data(2)]);
    log.say("length", file.metadata().expect("metadata").len());
    let sync = opcode::Fsync::new(of(&file))
        .offset(0)
        .len(100)
        .flags(types::FsyncFlags::DATASYNC)
        .build();
    go(ring, log, "Fsync", &[sync.user_data(3)]);
    let range = opcode::SyncFileRange::new(of(&file), 100)
        .offset(0)
        .flags(libc::SYNC_FILE_RANGE_WRITE)
        .build();
    go(ring, log, "SyncFileRange", &[range.user_data(4)]);
    let advice = opcode::Fadvise::new(of(&file), 100, libc::POSIX_FADV_WILLNEED)
        .offset(0)
        .build();
    go(ring, log, "Fadvise", &[advice.user_data(5)]);
    let mut pages = Pages::new(4096);
    pages.bytes().fill(7);
    let advice =
        opcode::Madvise::new(pages.start().cast_const().cast(), 4096, libc::MADV_DONTNEED).build();
    go(ring, log, "Madvise", &[advice.user_data(6)]);
    log.say("advised away", pages.bytes().iter().all(|byte| *byte == 0));
}

fn names(log: &mut Log, folder: &Path) {
    let ring = &mut ring();
    let sub = name(folder, "sub");
    let folders = opcode::MkDirAt::new(HERE, sub.as_ptr()).mode(0o700);
    go(ring, log, "MkDirAt", &[folders.build().user_data(1)]);
    go(ring, log, "MkDirAt again", &[opcode::MkDirAt::new(HERE, sub.as_ptr()).build().user_data(2)]);
    let (made, renamed) = (name(folder, "sub/made"), name(folder, "sub/renamed"));
    let open = opcode::OpenAt::new(HERE, made.as_ptr())
        .flags(libc::O_CREAT | libc::O_RDWR | libc::O_CLOEXEC)
        .mode(0o600)
        .file_index(None)
        .build();
    if let Some(opened) = descriptor(ring, log, "OpenAt", open.user_data(3)) {
        let mut file = File::from(opened);
        file.write_all(b"abc").expect("written");
        let close = opcode::Close::new(of(&file)).build();
        // The kernel closes it.
        std::mem::forget(file);
        go(ring, log, "Close", &[close.user_data(4)]);
    }
    let rename = opcode::RenameAt::new(HERE, made.as_ptr(), HERE, renamed.as_ptr()).flags(0);
    go(ring, log, "RenameAt", &[rename.build().user_data(5)]);
    let (soft, hard) = (name(folder, "soft"), name(folder, "hard"));
    let link = opcode::SymlinkAt::new(HERE, c"sub/renamed".as_ptr(), soft.as_ptr()).build();
    go(ring, log, "SymlinkAt", &[link.user_data(6)]);
    let link = opcode::LinkAt::new(HERE, soft.as_ptr(), HERE, hard.as_ptr())
        .flags(libc::AT_SYMLINK_FOLLOW)
        .build();
    go(ring, log, "LinkAt", &[link.user_data(7)]);
    log.say("linked", fs::read(folder.join("hard")).map_err(|error| error.kind()));
    // SAFETY: plain numbers.
    let mut facts: libc::statx = unsafe { std::mem::zeroed() };
    let look = opcode::Statx::new(HERE, soft.as_ptr(), (&raw mut facts).cast())
        .flags(libc::AT_STATX_SYNC_AS_STAT)
        .mask(libc::STATX_SIZE | libc::STATX_NLINK)
        .build();
    go(ring, log, "Statx", &[look.user_data(8)]);
    log.say("facts", (facts.stx_size, facts.stx_nlink));
    let how = types::OpenHow::new()
        .flags((libc::O_RDONLY | libc::O_CLOEXEC) as u64)
        .mode(0)
        .resolve(libc::RESOLVE_NO_SYMLINKS);
    for (what, path) in [("OpenAt2", &hard), ("OpenAt2 of a link", &soft)] {
        let open = opcode::OpenAt2::new(HERE, path.as_ptr(), &raw const how)
            .file_index(None)
            .build();
        if let Some(opened) = descriptor(ring, log, what, open.user_data(9)) {
            let mut text = String::new();
            File::from(opened).read_to_string(&mut text).expect("read");
            log.say("it says", text);
        }
    }
    let remove = opcode::UnlinkAt::new(HERE, sub.as_ptr()).flags(libc::AT_REMOVEDIR);
    go(ring, log, "UnlinkAt, not empty", &[remove.build().user_data(10)]);
    let remove = opcode::UnlinkAt::new(HERE, hard.as_ptr()).build();
    go(ring, log, "UnlinkAt", &[remove.user_data(11)]);
    log.say("gone", !folder.join("hard").exists());
}

fn attributes(log: &mut Log, folder: &Path) {
    let (ring, file) = (&mut ring(), file(folder));
    let path = name(folder, "file");
    let (by_path, by_file) = (c"user.by_path", c"user.by_file");
    let set = opcode::SetXattr::new(by_path.as_ptr(), c"one".as_ptr().cast(), path.as_ptr(), 3)
        .flags(libc::XATTR_CREATE)
        .build();
    go(ring, log, "SetXattr", &[set.clone().user_data(1)]);
    go(ring, log, "SetXattr again", &[set.user_data(2)]);
    let set = opcode::FSetXattr::new(of(&file), by_file.as_ptr(), c"four".as_ptr().cast(), 4)
        .flags(0)
        .build();
    go(ring, log, "FSetXattr", &[set.user_data(3)]);
    let (mut one, mut other) = ([0u8; 8], [0u8; 8]);
    let get = opcode::GetXattr::new(by_file.as_ptr(), one.as_mut_ptr().cast(), path.as_ptr(), 8);
    let fget = opcode::FGetXattr::new(of(&file), by_path.as_ptr(), other.as_mut_ptr().cast(), 8);
    go(ring, log, "GetXattr", &[get.build().user_data(4)]);
    go(ring, log, "FGetXattr", &[fget.build().user_data(5)]);
    log.say("attributes", (one, other));
}

fn pipe(ring: &mut super::uring::IoUring, log: &mut Log) -> Option<(File, File)> {
    let mut fds = [-1; 2];
    let entry = opcode::Pipe::new(fds.as_mut_ptr())
        .flags(libc::O_CLOEXEC as u32)
        .file_index(None)
        .build();
    go(ring, log, "Pipe", &[entry.user_data(1)]);
    // SAFETY: if there are two, the kernel opened them for us just now.
    (fds[0] >= 0).then(|| unsafe { (File::from_raw_fd(fds[0]), File::from_raw_fd(fds[1])) })
}

fn pipes(log: &mut Log) {
    let ring = &mut ring();
    let (Some((mut out, mut into)), Some((mut other_out, other_into))) =
        (pipe(ring, log), pipe(ring, log))
    else {
        return;
    };
    into.write_all(b"through pipes").expect("room");
    let tee = opcode::Tee::new(of(&out), of(&other_into), 7).flags(0).build();
    go(ring, log, "Tee", &[tee.user_data(2)]);
    let splice = opcode::Splice::new(of(&out), -1, of(&other_into), -1, 9)
        .flags(libc::SPLICE_F_MOVE)
        .build();
    go(ring, log, "Splice", &[splice.user_data(3)]);
    let (mut rest, mut copied) = ([0; 4], [0; 16]);
    out.read_exact(&mut rest).expect("what was not moved");
    other_out.read_exact(&mut copied).expect("what was");
    log.say("through pipes", (rest, copied));
}

/// Descriptors in the ring's own table.
fn tables(log: &mut Log, folder: &Path) {
    let (ring, mut file) = (&mut ring(), file(folder));
    file.write_all(b"by its place").expect("written");
    log.result("register_files_sparse", ring.submitter().register_files_sparse(4));
    let fds = [file.as_raw_fd()];
    let update = opcode::FilesUpdate::new(fds.as_ptr(), 1).offset(2).build();
    go(ring, log, "FilesUpdate", &[update.user_data(1)]);
    let mut room = [0u8; 5];
    let read = opcode::Read::new(types::Fixed(2), room.as_mut_ptr(), 5).build();
    go(ring, log, "Read of a place", &[read.user_data(2)]);
    log.say("read", room);
    let install = opcode::FixedFdInstall::new(types::Fixed(2), 0).build();
    if let Some(opened) = descriptor(ring, log, "FixedFdInstall", install.user_data(3)) {
        log.say("length", File::from(opened).metadata().expect("metadata").len());
    }
    let path = name(folder, "file");
    // The first free place, one that is named, and one that is not there.
    for slot in [None, Some(1), Some(9)] {
        let slot = match slot {
            None => types::DestinationSlot::auto_target(),
            Some(place) => types::DestinationSlot::try_from_slot_target(place).expect("a place"),
        };
        let open = opcode::OpenAt::new(HERE, path.as_ptr())
            .file_index(Some(slot))
            .build();
        go(ring, log, "OpenAt into the table", &[open.user_data(4)]);
        let how = types::OpenHow::new();
        let open = opcode::OpenAt2::new(HERE, path.as_ptr(), &raw const how)
            .file_index(Some(slot))
            .build();
        go(ring, log, "OpenAt2 into the table", &[open.user_data(5)]);
    }
    for place in [1, 1, 9] {
        let close = opcode::Close::new(types::Fixed(place)).build();
        go(ring, log, "Close of a place", &[close.user_data(6)]);
    }
    let mut fds: [i32; 2] = [-1; 2];
    let pipe = opcode::Pipe::new(fds.as_mut_ptr())
        .file_index(Some(types::DestinationSlot::auto_target()))
        .build();
    go(ring, log, "Pipe into the table", &[pipe.user_data(7)]);
    log.say("places", fds);
    log.result("register_files_update", ring.submitter().register_files_update(0, &[-1, -1, -1, -1]));
    log.result("unregister_files", ring.submitter().unregister_files());
}
