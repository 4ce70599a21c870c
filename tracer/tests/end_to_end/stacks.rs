//! `record --stacks` disturbs nothing, and files that a trace names are looked into only where they are
//! what was recorded.

use std::path::{Path, PathBuf};

use object::{Object, ObjectSymbol};
use wire::payload::pair;
use wire::record::{Kind, Owner};

use crate::file;
use crate::support::{has_io_uring, read, record, run, scenario, tracer};
use crate::terminal::Terminal;

/// A trace with one leak whose stack has one frame, in the file `module`.
fn trace_naming(folder: &Path, module: &[u8], build_id: &[u8], address: u64) -> PathBuf {
    let file = file::File::default();
    trace_of(file, pair(1, 1), folder, (module, build_id, address))
}

/// The same of a file in the making: `place` is the type and the place of what is leaked.
fn trace_of(
    mut file: file::File,
    place: u64,
    folder: &Path,
    (module, build_id, address): (&[u8], &[u8], u64),
) -> PathBuf {
    file.name(4, std::str::from_utf8(module).unwrap());
    let mut words = vec![pair(1, 4), 0x1000, 0x1000, 0, build_id.len() as u64];
    for part in build_id.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        words.push(u64::from_le_bytes(word));
    }
    file.meta(Kind::Module, &words);
    file.meta(Kind::Stack, &[pair(1, 1), 1 << 48 | address]);
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    for (at, kind) in [(1, Kind::Leak), (2, Kind::Reclaim)] {
        file.record(0, at, kind, Owner::Rc as u8, &[0x1000, place]);
        file.with_stack(0, 1);
    }
    let path = folder.join("named.trc");
    std::fs::write(&path, file.bytes()).unwrap();
    path
}

#[test]
fn files_that_are_not_what_was_recorded_are_not_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let fifo = inside("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    std::fs::write(inside("text"), "no program").unwrap();
    let no_room = inside("sparse");
    let sparse = std::fs::File::create(&no_room).unwrap();
    sparse.set_len(100 << 30).unwrap();
    for (module, why) in [
        (fifo.as_str(), "not an ordinary file"),
        ("/dev/zero", "not an ordinary file"),
        ("/", "not an ordinary file"),
        ("/proc/self/mem", "no 64-bit ELF file"),
        (&inside("missing"), "not there any more"),
        (&inside("text"), "no 64-bit ELF file"),
        (&no_room, "larger than 4 GiB"),
        (
            env!("CARGO_BIN_EXE_tracer"),
            "was rebuilt or replaced since",
        ),
    ] {
        let trace = trace_naming(folder.path(), module.as_bytes(), &[7; 20], 0x110);
        for command in ["dump", "check"] {
            let ran = run(tracer(folder.path()).arg(command).arg(&trace)).exits(0);
            let ran = ran.says(why).says("call stacks show offsets");
            assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
            if command == "dump" {
                ran.prints("+0x110");
            }
        }
    }
    let trace = trace_naming(folder.path(), b"/bin/sh", &[], 0x110);
    run(tracer(folder.path()).arg("dump").arg(&trace))
        .exits(0)
        .says("no build-id");
    // What the kernel maps by itself has no file, and that is nothing to speak of.
    let trace = trace_naming(folder.path(), b"linux-vdso.so.1", &[7; 20], 0x110);
    let ran = run(tracer(folder.path()).arg("dump").arg(&trace)).exits(0);
    assert_eq!(ran.stderr, "");
}

#[test]
fn file_with_the_recorded_build_id_gives_names_wherever_it_lies_now() {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_tracer"));
    let bytes = std::fs::read(program).unwrap();
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    let id = elf.build_id().unwrap().expect("the linker gives build-ids");
    let main = elf
        .symbols()
        .find(|symbol| symbol.name() == Ok("main"))
        .expect("a program has a main");
    // Behind a call that is the function's first byte.
    let trace = trace_naming(
        folder.path(),
        b"/nowhere/bin/tracer",
        id,
        main.address() + 1,
    );
    run(tracer(folder.path()).arg("dump").arg(&trace))
        .exits(0)
        .says("not there any more")
        .prints(" via tracer+0x");
    let map = format!("/nowhere/bin={}", program.parent().unwrap().display());
    let ran = run(tracer(folder.path())
        .args(["dump", "--path-map", &map])
        .arg(&trace))
    .exits(0)
    .prints(" via main");
    assert_eq!(ran.stderr, "");
}

#[test]
fn lines_of_functions_are_shown_and_opened_where_the_trace_names_no_other_place() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().canonicalize().unwrap();
    let (source, program) = (inside.join("held.rs"), inside.join("held"));
    let text = "fn main() {\n    held();\n}\n#[unsafe(no_mangle)]\nextern \"C\" fn held() { println!(\"given away\") }\n";
    std::fs::write(&source, text).unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut build = std::process::Command::new(compiler);
    build.args(["--edition", "2024", "-g", "-Clink-arg=-Wl,--build-id", "-o"]);
    run(build.arg(&program).arg(&source)).exits(0);
    let bytes = std::fs::read(&program).unwrap();
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    let held = elf.symbols().find(|symbol| symbol.name() == Ok("held"));
    let frame = (
        program.as_os_str().as_encoded_bytes(),
        elf.build_id().unwrap().unwrap(),
        held.expect("it is not in line").address() + 1,
    );
    let file = file::File::default().without_places();
    let trace = trace_of(file, pair(0, 0), folder.path(), frame);
    let mut command = tracer(folder.path());
    command.arg("view").arg(trace);
    command.args(["--editor", "sh -c 'echo opened {file}:{line}; read line'"]);
    let terminal = Terminal::start(command, 130, 30);
    terminal.wait_for("No finding");
    terminal.press("3G5");
    terminal.wait_for("println!(\"given away\")");
    terminal.press("v");
    terminal.wait_for(&format!("opened {}:5", source.display()));
    terminal.press("\r");
    terminal.wait_for("println!(\"given away\")");
    terminal.press("\x03");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(0), "{contents}");
}

#[test]
fn program_is_judged_the_same_with_its_stacks_recorded() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = record(folder.path(), scenario(&["leftover"]));
    let with_stacks: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    run(&mut command).exits(0);
    let path = folder.path().join("trace.bin");
    let plain = read(&path);
    let mut command = tracer(folder.path());
    command
        .arg("record")
        .arg("--stacks")
        .args(&with_stacks[1..]);
    run(&mut command).exits(0);
    let stacked = read(&path);
    let rules = |trace: &traces::Trace| {
        let stories = trace.verdict().stories.iter();
        stories.map(|story| story.head.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules(&stacked), rules(&plain));
    assert_eq!(stacked.recording().problems, []);
    assert_eq!(plain.recording().frames().count(), 0);
    let modules = &stacked.recording().modules;
    assert_eq!(
        modules[0].path.bytes(),
        Path::new(env!("CARGO_BIN_EXE_tracer"))
            .canonicalize()
            .unwrap()
            .as_os_str()
            .as_encoded_bytes()
    );
    for command in ["dump", "check"] {
        let ran = run(tracer(folder.path()).arg(command).arg(&path));
        assert!(!ran.stderr.contains("rebuilt"), "{ran:?}");
    }
}
