//! A packed file needs nothing else, and a redacted one holds nothing that was to be left out.

use std::io;
use std::path::{Path, PathBuf};

use traces::read::bundle::{self, Section};
use traces::source::{Found, Source};
use wire::payload::pair;
use wire::record::{Kind, Owner};

use crate::file;
use crate::support::{demo_trace, has_io_uring, raw_folder, read, run, scenario, tracer};

/// A copy of the program in a folder of its own, to be recorded and then removed.
fn copied_program(folder: &Path) -> PathBuf {
    let home = folder.join("alice-at-work");
    std::fs::create_dir(&home).unwrap();
    let program = home.join("app");
    std::fs::copy(env!("CARGO_BIN_EXE_tracer"), &program).unwrap();
    program
}

fn record_with_stacks(folder: &Path, program: &Path) -> PathBuf {
    let mut command = tracer(folder);
    command.args(["record", "--stacks", "--"]);
    // An argument that the program itself does not see.
    command.args(["sh", "-c", "exec \"$0\" __scenario leftover"]);
    command.arg(program).arg("--token=hunter2");
    command.env("PASSWORD", "sesame-open");
    run(&mut command).exits(0);
    folder.join("trace.bin")
}

#[test]
fn packed_file_is_read_without_any_other() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = copied_program(folder.path());
    let trace = record_with_stacks(folder.path(), &program);
    run(tracer(folder.path()).arg("pack").arg(&trace))
        .exits(0)
        .says("sources inside");
    let packed = folder.path().join("trace.packed.bin");
    // Whoever opened these would be told that they are no ordinary files.
    std::fs::remove_file(&program).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &program, rustix::fs::Mode::RUSR).unwrap();
    run(tracer(folder.path()).arg("check").arg(&trace))
        .exits(1)
        .says("not an ordinary file");
    let ran = run(tracer(folder.path()).arg("check").arg(&packed))
        .exits(1)
        .prints("packed on ")
        .prints(", sources inside")
        .prints(" │ runtime.sleep(after).await;");
    assert_eq!(ran.stderr, "");
    let ran = run(tracer(folder.path()).arg("dump").arg(&packed)).exits(0);
    assert_eq!(ran.stderr, "");
    // What this machine's build kept of frame pointers is named, whatever it is.
    let read = read(&packed);
    let names = read.known_functions().count();
    let frames = read.recording().frames().count();
    assert!(names > 0 || frames == 0, "{frames} frames and no name");
    let site = read.events().iter().map(|event| event.site());
    let with_lines = site.filter(|site| matches!(read.source(*site), Source::Lines(_)));
    assert!(with_lines.count() > 3);
    // It says by itself what the other one says.
    let original = self::read(&trace);
    let rules = |trace: &traces::Trace| {
        let stories = trace.verdict().stories.iter();
        stories.map(|story| story.head.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules(&read), rules(&original));
    assert_eq!(read.recording().command, original.recording().command);
    assert_eq!(read.events(), original.events());
    run(tracer(folder.path()).arg("pack").arg(&packed))
        .exits(2)
        .says("is packed already");
}

#[test]
fn source_that_is_not_what_was_built_is_left_out_and_said() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = copied_program(folder.path());
    let trace = record_with_stacks(folder.path(), &program);
    let pack = |arguments: &[&str]| {
        let mut command = tracer(folder.path());
        command.arg("pack").arg(&trace).args(["-o", "out.bin"]);
        run(command.args(arguments)).exits(0)
    };
    // As if the sources had all been edited since.
    let old = std::fs::File::options().write(true).open(&program).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    pack(&[])
        .says("no sources inside")
        .says("changed after the program was built");
    let packed = read(&folder.path().join("out.bin"));
    assert!(
        packed
            .sources()
            .iter()
            .all(|(_, found)| matches!(found, Found::Absent(_)))
    );
    // Sources elsewhere are found there, or not.
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    pack(&["--path-map", &format!("{}=/nowhere", own.display())]).says("not there");
    std::fs::remove_file(&program).unwrap();
    pack(&[])
        .says("lines of source are missing")
        .says("a program that was not there");
}

#[test]
fn damaged_section_costs_itself_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("named.trc");
    std::fs::write(&path, file::File::default().round_trips(3).bytes()).unwrap();
    let mut out = Vec::new();
    bundle::write_header(&mut out).unwrap();
    bundle::write_section(&mut out, Section::Process, &std::fs::read(&path).unwrap()).unwrap();
    let start = out.len();
    bundle::write_section(&mut out, Section::Sources, &sources_section()).unwrap();
    std::fs::write(&path, &out).unwrap();
    let check = || run(tracer(folder.path()).arg("check").arg(&path));
    check().exits(0).prints("packed, sources inside");
    let last = out.len() - 1;
    out[last - 8] ^= 0xFF;
    std::fs::write(&path, &out).unwrap();
    let ran = check().exits(0).prints("what was packed is damaged");
    ran.prints("packed, no sources inside");
    out.truncate(start + 40);
    std::fs::write(&path, &out).unwrap();
    check().prints("packed, no sources inside");
}

/// A copy has checksums of its own: what the original's said must not go with them.
#[test]
fn what_was_damaged_is_said_of_the_redacted_copy_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.trc");
    let raw = file::File::default().round_trips(12).bytes();
    let mut out = io::Cursor::new(Vec::new());
    bundle::write_header(&mut out).unwrap();
    out.set_position(bundle::HEADER_BYTES as u64);
    let mut writer = bundle::ProcessWriter::begin(&mut out).unwrap();
    let head = file::File::HEAD_BYTES;
    writer.piece(&raw[..head]).unwrap();
    for chunk in raw[head..].chunks(file::File::CHUNK_BYTES) {
        writer.piece(chunk).unwrap();
    }
    writer.finish().unwrap();
    let whole = out.into_inner();
    let redact = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        run(tracer(folder.path()).args(["pack", "--redact"]).arg(&path)).exits(0);
        let copy = folder.path().join("damaged.redacted.bin");
        run(tracer(folder.path()).arg("check").arg(copy))
    };
    redact(&whole).exits(0);
    let mut damaged = whole.clone();
    let last = damaged.len() - 16;
    damaged[last] ^= 0xFF;
    redact(&damaged)
        .exits(3)
        .prints("the file that this one was redacted from was");
    // And so it is if that copy is redacted once more.
    let copy = folder.path().join("damaged.redacted.bin");
    let again = std::fs::read(copy).unwrap();
    redact(&again)
        .exits(3)
        .prints("the file that this one was redacted from was");
}

fn sources_section() -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, number: u32| bytes.extend(number.to_le_bytes());
    let name = b"src/conn.rs";
    number(&mut bytes, 1);
    number(&mut bytes, name.len() as u32);
    bytes.extend(name);
    number(&mut bytes, 1);
    number(&mut bytes, 88);
    number(&mut bytes, 10);
    bytes.extend(b"let raw =;");
    bytes
}

/// All that is in a bundle, unpacked.
fn content(path: &Path) -> Vec<u8> {
    let file = std::fs::read(path).unwrap();
    let mut all = file.clone();
    bundle::each_section(&file, |_, section| {
        let content = section.content()?;
        let mut bytes = vec![0; content.len()? as usize];
        let mut at = 0;
        while at < bytes.len() {
            match content.read_at(at as u64, &mut bytes[at..])? {
                0 => break,
                got => at += got,
            }
        }
        all.extend(bytes);
        Ok::<_, io::Error>(())
    })
    .unwrap();
    all
}

#[track_caller]
fn holds_none(path: &Path, secrets: &[&[u8]]) {
    let dump = run(tracer(path.parent().unwrap()).arg("dump").arg(path)).exits(0);
    for (what, bytes) in [("file", content(path)), ("dump", dump.stdout)] {
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|part| part == *secret);
            let secret = String::from_utf8_lossy(secret);
            let around = bytes
                .windows(64)
                .find(|part| part.starts_with(secret.as_bytes()));
            let around = String::from_utf8_lossy(around.unwrap_or_default());
            assert!(
                !found,
                "{secret} is in the {what} of {}: {around:?}",
                path.display()
            );
        }
    }
}

/// The words of all events that are addresses of this process, as they lie in a file.
fn leaked(path: &Path) -> Vec<[u8; 8]> {
    let trace = read(path);
    let leaks = trace.events().iter().filter_map(|event| match &event.what {
        traces::event::What::Leak(pointer) => Some(pointer.address.to_le_bytes()),
        _ => None,
    });
    leaks.collect()
}

#[test]
fn redacted_recording_holds_no_path_argument_or_address() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = copied_program(folder.path());
    let trace = record_with_stacks(folder.path(), &program);
    let secrets: &[&[u8]] = &[
        b"alice-at-work",
        b"hunter2",
        b"sesame-open",
        b"__scenario",
        // The workspace, and the name of a coroutine.
        env!("CARGO_MANIFEST_DIR").as_bytes(),
        b"timer B",
    ];
    // They are there to begin with, or the test would be empty.
    let before = content(&trace);
    for secret in [b"alice-at-work".as_slice(), b"hunter2", b"timer B"] {
        assert!(before.windows(secret.len()).any(|part| part == secret));
    }
    assert!(!leaked(&trace).is_empty());
    run(tracer(folder.path()).args(["pack", "--redact"]).arg(&trace))
        .exits(0)
        .says("redacted, no sources inside");
    let redacted = folder.path().join("trace.redacted.bin");
    let addresses = leaked(&trace);
    let addresses: Vec<&[u8]> = addresses.iter().map(<[u8; 8]>::as_slice).collect();
    holds_none(&redacted, &[secrets, &addresses].concat());
    // Packed first, redacted later.
    run(tracer(folder.path()).arg("pack").arg(&trace)).exits(0);
    let packed = folder.path().join("trace.packed.bin");
    run(tracer(folder.path())
        .args(["pack", "--redact", "-o", "later.bin"])
        .arg(&packed))
    .exits(0);
    let later = folder.path().join("later.bin");
    holds_none(&later, &[secrets, &addresses].concat());
    // The verdict is the same, event by event; names of functions stay.
    let original = read(&packed);
    for path in [&redacted, &later] {
        let copy = read(path);
        assert_eq!(copy.recording().problems, []);
        assert_eq!(copy.events().len(), original.events().len());
        assert_eq!(
            copy.known_functions().count(),
            original.known_functions().count()
        );
        let told = |trace: &traces::Trace| {
            let stories = trace.verdict().stories.iter();
            let story = |story: &traces::finding::Story| {
                let folded = story.folded.iter().map(|finding| finding.rule);
                (
                    story.head.rule,
                    story.head.confidence,
                    folded.collect::<Vec<_>>(),
                )
            };
            stories.map(story).collect::<Vec<_>>()
        };
        assert_eq!(told(&copy), told(&original));
        let words = &copy.recording().command;
        assert_eq!(words[0].bytes(), b"sh");
        assert_eq!(words[1].bytes(), b"(4 arguments)");
    }
}

#[test]
fn recording_can_be_redacted_as_it_is_sealed() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = copied_program(folder.path());
    let mut command = tracer(folder.path());
    command.args(["record", "--redact", "--"]);
    command.arg(&program).args(["__scenario", "leftover"]);
    run(&mut command).exits(0).says("nothing lost");
    let trace = folder.path().join("trace.bin");
    holds_none(&trace, &[b"alice-at-work", b"__scenario", b"timer B"]);
    run(tracer(folder.path()).arg("check").arg(&trace))
        .exits(1)
        .prints("T02 leftover-cookie (proved)")
        .prints("\nredacted\n");
}

#[test]
fn raw_folder_that_stays_is_said_not_to_be_redacted() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::create_dir(&target).unwrap();
    let raw = raw_folder(folder.path());
    std::fs::create_dir(&raw).unwrap();
    let mut command = tracer(folder.path());
    command
        .args(["record", "--redact", "-o", "target/trace.bin", "--dir"])
        .arg(&raw)
        .args(["--", "sh", "-c", "rmdir \"$0\"; exec \"$@\""])
        .arg(&target)
        .args(scenario(&["double", "--ring", "simulated"]));
    run(&mut command)
        .exits(125)
        .says("could not be sealed")
        .says(", not redacted, where `tracer check");
}

/// Everything that a process file can say of its own, and rests that no reader shows.
#[test]
fn texts_and_rests_of_a_raw_file_are_taken_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut raw = file::File::default().round_trips(3);
    for (id, text) in [
        (10, "secret-mark"),
        (11, "secret-scope"),
        (12, "secret-thread"),
        (13, "/home/secret-home/src/conn.rs"),
        (14, "secret-owner"),
        (15, "secret-unused"),
        (16, "secret-name"),
    ] {
        raw.name(id, text);
    }
    raw.meta(Kind::Site, &[pair(2, 9), pair(13, 0)]);
    raw.meta(Kind::Type, &[pair(2, 16), 0, 0]);
    raw.record(0, 50, Kind::Mark, 0, &[10]);
    raw.record(0, 51, Kind::ScopeBegin, 0, &[pair(1, 2), pair(11, 0)]);
    raw.record(0, 52, Kind::OwnerLabel, 0, &[pair(1, 14)]);
    raw.record(0, 53, Kind::Spawn, 0, &[pair(1, 0), pair(2, 2)]);
    raw.record(0, 54, Kind::Thread, 0, &[pair(78, 12)]);
    raw.record(
        0,
        55,
        Kind::Leak,
        Owner::Rc as u8,
        &[0x7f12_3456_7890, pair(2, 1)],
    );
    raw.record(
        0,
        56,
        Kind::Reclaim,
        Owner::Rc as u8,
        &[0x7f12_3456_7890, pair(2, 1)],
    );
    // A word of the future behind those that are known, and a record that was begun and never committed.
    let text = u64::from_le_bytes(*b"secret-t");
    raw.record(0, 57, Kind::Wake, 0, &[1, u64::from_le_bytes(*b"secret-w")]);
    raw.record(0, 57, Kind::Claim, 0, &[text, text]);
    let mut bytes = raw.bytes();
    let torn = bytes
        .windows(16)
        .position(|part| part == b"secret-tsecret-t")
        .unwrap();
    let begun = wire::record::Header::reserved(3).0.to_le_bytes();
    bytes[torn - 8..torn].copy_from_slice(&begun);
    // Words behind the end of the last chunk's records.
    let end = bytes.len();
    bytes[end - 16..end - 8].copy_from_slice(b"secret-h");
    let path = folder.path().join("raw.trc");
    std::fs::write(&path, &bytes).unwrap();
    run(tracer(folder.path()).args(["pack", "--redact"]).arg(&path)).exits(0);
    let redacted = folder.path().join("raw.redacted.bin");
    let pointer = 0x7f12_3456_7890u64.to_le_bytes();
    holds_none(&redacted, &[b"secret", &pointer]);
    let (before, after) = (read(&path), read(&redacted));
    assert_eq!(after.events().len(), before.events().len());
    assert_eq!(
        after.recording().problems.len(),
        before.recording().problems.len()
    );
    assert_eq!(after.recording().losses, before.recording().losses);
    let dump = run(tracer(folder.path()).arg("dump").arg(&redacted)).exits(0);
    let dump = dump.prints("conn.rs:9").prints("src/conn.rs:88");
    dump.prints("mark text-").prints("Conn#");
}

#[test]
fn output_is_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.trc");
    std::fs::write(&path, file::File::default().round_trips(1).bytes()).unwrap();
    let ran = run(tracer(folder.path()).args(["pack", "t.trc", "-o", "t.trc"])).exits(2);
    ran.says("would be replaced by its own copy");
    run(tracer(folder.path()).args(["pack", "missing.bin"]))
        .exits(2)
        .says("missing.bin");
}

#[test]
fn recording_without_stacks_has_its_sources_too() {
    let folder = tempfile::tempdir().unwrap();
    let trace = demo_trace(folder.path(), &["echo"]);
    run(tracer(folder.path()).arg("pack").arg(&trace)).exits(0);
    let packed = trace.with_extension("packed.bin");
    run(tracer(folder.path()).arg("check").arg(&packed))
        .exits(0)
        .prints("sources inside");
}

#[test]
fn cut_trace_is_packed_as_far_as_it_goes_or_not_at_all() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = tracer(folder.path());
    command.args(["record", "--"]);
    run(command.args(scenario(&["leftover"]))).exits(0);
    let whole = std::fs::read(folder.path().join("trace.bin")).unwrap();
    let input = folder.path().join("cut.bin");
    let output = folder.path().join("cut.packed.bin");

    std::fs::write(&input, &whole[..whole.len() - 1]).unwrap();
    run(tracer(folder.path()).arg("pack").arg(&input)).exits(0);
    assert_eq!(read(&output).events(), read(&input).events());
    std::fs::remove_file(&output).unwrap();

    for cut in [10, 40, 100] {
        std::fs::write(&input, &whole[..cut]).unwrap();
        run(tracer(folder.path()).arg("pack").arg(&input))
            .exits(2)
            .says("cut.bin: ");
        assert!(!output.exists());
    }
    let names = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 2, "nothing but the recording and its cut copy");
}
