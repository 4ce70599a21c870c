//! Names and lines are found wherever the compiler and the packager put debug information, and never in
//! that of another build. Each program is built here with the compiler that builds the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSymbol};
use traces::source::Source;
use wire::crc::crc32c;
use wire::layout::header;
use wire::payload::pair;
use wire::record::{Kind, Owner};

use crate::file;
use crate::support::{Ran, read, run, tracer};

/// `outer` has `middle` inlined, which only debug information can tell.
const PROGRAM: &str = "\
#[inline(never)]
pub fn outer(n: u64) -> u64 {
    middle(n) + 1
}
#[inline(always)]
fn middle(n: u64) -> u64 {
    std::hint::black_box(n * 3)
}
fn main() {
    println!(\"{}\", outer(std::env::args().count() as u64));
}
";

/// Builds [`PROGRAM`] as `app` in a folder.
fn build(folder: &Path, options: &[&str]) -> PathBuf {
    std::fs::write(folder.join("prog.rs"), PROGRAM).unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    command.current_dir(folder);
    command.args([
        "--edition",
        "2021",
        "-g",
        "-O",
        "--crate-name",
        "app",
        "-o",
        "app",
        "prog.rs",
    ]);
    run(command.args(options)).exits(0);
    folder.join("app")
}

/// A trace with a stack that goes through every byte of `outer`.
fn trace_of(folder: &Path, program: &Path) -> PathBuf {
    let bytes = std::fs::read(program).unwrap();
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    let id = elf.build_id().unwrap().expect("the linker gives build-ids");
    let outer = elf
        .symbols()
        .find(|symbol| symbol.name().is_ok_and(|name| name.contains("5outer")))
        .expect("a function that is not inlined");
    let mut file = file::File::default();
    file.name(4, program.to_str().unwrap());
    let mut words = vec![pair(1, 4), 0x1000, 0x1000, 0, id.len() as u64];
    for part in id.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        words.push(u64::from_le_bytes(word));
    }
    file.meta(Kind::Module, &words);
    let calls: Vec<u64> = (1..=outer.size().min(40))
        .map(|byte| 1 << 48 | (outer.address() + byte))
        .collect();
    let stack = [&[pair(1, calls.len() as u32)], calls.as_slice()].concat();
    file.meta(Kind::Stack, &stack);
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    for (at, kind) in [(1, Kind::Leak), (2, Kind::Reclaim)] {
        file.record(0, at, kind, Owner::Rc as u8, &[0x1000, pair(1, 1)]);
        file.with_stack(0, 1);
    }
    let path = folder.join("named.trc");
    std::fs::write(&path, file.bytes()).unwrap();
    path
}

/// What packing finds: functions as `name file:line`.
struct Found {
    ran: Ran,
    functions: Vec<String>,
}

fn look(folder: &Path, trace: &Path, options: &[&str]) -> Found {
    let mut command = tracer(folder);
    command.arg("pack").arg(trace).args(["-o", "found.bin"]);
    let ran = run(command.args(options)).exits(0);
    let packed = read(&folder.join("found.bin"));
    let functions = packed.known_functions().map(|(_, function)| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (name, file) = (text(function.name.bytes()), text(function.file.bytes()));
        format!("{name} {file}:{}", function.line)
    });
    let functions = functions.collect();
    Found { ran, functions }
}

impl Found {
    /// The functions with their lines, inlined ones too, and nothing to complain of.
    #[track_caller]
    fn whole(&self, folder: &Path) {
        let file = folder.join("prog.rs").display().to_string();
        for (name, lines) in [("app::outer", 2..=4), ("app::middle", 6..=8)] {
            let is_it = |found: &String| {
                found.starts_with(&format!("{name} {file}:")) && lines.contains(&line_of(found))
            };
            assert!(
                self.functions.iter().any(is_it),
                "{name}: {:?}",
                self.functions
            );
        }
        assert!(!self.ran.stderr.contains("another build"), "{:?}", self.ran);
    }

    /// The function's name alone, from the table of symbols or from the rest of its debug information.
    #[track_caller]
    fn no_inlined_ones(&self) {
        let inlined = self.functions.iter().any(|found| found.contains("middle"));
        assert!(!inlined, "{:?}", self.functions);
    }
}

fn line_of(found: &str) -> u32 {
    let line = found.rsplit(':').next();
    line.and_then(|line| line.parse().ok()).unwrap_or(0)
}

#[test]
fn debug_information_in_the_program_itself_compressed_or_not() {
    for compression in ["none", "zlib", "zstd"] {
        let folder = tempfile::tempdir().unwrap();
        let option = format!("-Clink-arg=-Wl,--compress-debug-sections={compression}");
        let program = build(folder.path(), &[&option]);
        let trace = trace_of(folder.path(), &program);
        look(folder.path(), &trace, &[]).whole(folder.path());
    }
}

#[test]
fn debug_information_split_into_one_package() {
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), &["-Csplit-debuginfo=packed"]);
    let trace = trace_of(folder.path(), &program);
    look(folder.path(), &trace, &[]).whole(folder.path());
    std::fs::write(folder.path().join("app.dwp"), "no package").unwrap();
    let found = look(folder.path(), &trace, &[]);
    found.no_inlined_ones();
    found
        .ran
        .says("app.dwp: is no package of debug information");
    std::fs::remove_file(folder.path().join("app.dwp")).unwrap();
    look(folder.path(), &trace, &[]).no_inlined_ones();
}

#[test]
fn debug_information_split_into_a_file_for_each_unit() {
    let folder = tempfile::tempdir().unwrap();
    let program = build(
        folder.path(),
        &["-Csplit-debuginfo=unpacked", "-Ccodegen-units=1"],
    );
    let trace = trace_of(folder.path(), &program);
    look(folder.path(), &trace, &[]).whole(folder.path());
    let units = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let units = paths.filter(|path| path.extension().is_some_and(|end| end == "dwo"));
        units.collect::<Vec<_>>()
    };
    // Moved elsewhere, and found by its map.
    let elsewhere = tempfile::tempdir().unwrap();
    for unit in units() {
        std::fs::rename(&unit, elsewhere.path().join(unit.file_name().unwrap())).unwrap();
    }
    let found = look(folder.path(), &trace, &[]);
    found.no_inlined_ones();
    found.ran.says(".dwo: is not there any more");
    let from = folder.path().display();
    let map = format!("{from}={}", elsewhere.path().display());
    for name in ["app", "prog.rs"] {
        std::fs::hard_link(folder.path().join(name), elsewhere.path().join(name))
            .or_else(|_| {
                std::fs::copy(folder.path().join(name), elsewhere.path().join(name)).map(drop)
            })
            .unwrap();
    }
    look(folder.path(), &trace, &["--path-map", &map]).whole(elsewhere.path());
    // A fifo in its place is not waited for, and another build's unit is not believed.
    let other = tempfile::tempdir().unwrap();
    let options = [
        "-Csplit-debuginfo=unpacked",
        "-Ccodegen-units=1",
        "-Copt-level=1",
    ];
    build(other.path(), &options);
    let strange = std::fs::read_dir(other.path()).unwrap();
    let strange = strange
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "dwo"))
        .unwrap();
    let unit = std::fs::read_dir(elsewhere.path()).unwrap();
    let unit = unit
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "dwo"))
        .unwrap();
    let place = folder.path().join(unit.file_name().unwrap());
    rustix::fs::mkfifoat(rustix::fs::CWD, &place, rustix::fs::Mode::RUSR).unwrap();
    look(folder.path(), &trace, &[])
        .ran
        .says("not an ordinary file");
    std::fs::remove_file(&place).unwrap();
    std::fs::copy(strange, &place).unwrap();
    let found = look(folder.path(), &trace, &[]);
    found.no_inlined_ones();
    found.ran.says("is debug information of another build");
}

#[test]
fn debug_information_in_a_file_apart() {
    let found = Command::new("objcopy").arg("--version").output();
    if found.is_err() {
        eprintln!("skipped: there is no objcopy on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), &[]);
    let trace = trace_of(folder.path(), &program);
    let objcopy = |arguments: &[&str]| {
        let mut command = Command::new("objcopy");
        run(command.current_dir(folder.path()).args(arguments)).exits(0);
    };
    objcopy(&["--only-keep-debug", "app", "app.debug"]);
    objcopy(&["--strip-all", "--add-gnu-debuglink=app.debug", "app"]);
    let debug = folder.path().join("app.debug");
    // Beside it, and in `.debug`.
    look(folder.path(), &trace, &[]).whole(folder.path());
    std::fs::create_dir(folder.path().join(".debug")).unwrap();
    std::fs::rename(&debug, folder.path().join(".debug/app.debug")).unwrap();
    look(folder.path(), &trace, &[]).whole(folder.path());
    // By its build-id, as distributions have it.
    let id = {
        let bytes = std::fs::read(&program).unwrap();
        let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
        let id = elf.build_id().unwrap().unwrap();
        id.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let system = folder.path().join("system");
    let place = system.join(".build-id").join(&id[..2]);
    std::fs::create_dir_all(&place).unwrap();
    let place = place.join(format!("{}.debug", &id[2..]));
    std::fs::rename(folder.path().join(".debug/app.debug"), &place).unwrap();
    let without = look(folder.path(), &trace, &[]);
    assert_eq!(without.functions, Vec::<String>::new());
    let options = ["--debug-dir", system.to_str().unwrap()];
    look(folder.path(), &trace, &options).whole(folder.path());
    // Of another build it is not believed.
    let other = tempfile::tempdir().unwrap();
    let strange = build(other.path(), &["-Copt-level=1"]);
    std::fs::copy(strange, &place).unwrap();
    let found = look(folder.path(), &trace, &options);
    assert_eq!(found.functions, Vec::<String>::new());
    found.ran.says("is debug information of another build");
}

/// A trace of a program that noted `src/conn.rs:88`.
fn trace_with_a_place(folder: &Path, program: &Path) -> PathBuf {
    let bytes = std::fs::read(program).unwrap();
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    let id = elf.build_id().unwrap().expect("the linker gives build-ids");
    let mut trace = file::File::default().round_trips(1).bytes();
    let mut put = |at: usize, value: &[u8]| trace[at..at + value.len()].copy_from_slice(value);
    put(header::BUILD_ID_LEN, &(id.len() as u32).to_le_bytes());
    put(header::BUILD_ID, id);
    let name = program.to_str().unwrap();
    put(header::EXE_PATH, format!("{name}\0").as_bytes());
    let sum = crc32c(&trace[..header::CRC]);
    trace[header::CRC..header::CRC + 4].copy_from_slice(&sum.to_le_bytes());
    let path = folder.join("place.trc");
    std::fs::write(&path, trace).unwrap();
    path
}

/// Both a program and its dependency, elsewhere, have a `src/conn.rs`. Cargo hands the compiler the whole path of what
/// lies outside of the workspace, and so do places in it.
#[test]
fn source_of_a_program_is_told_from_that_of_a_dependency() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let write = |package: &str, root: &str, code: &str, line: &str| {
        let src = at.join(package).join("src");
        std::fs::create_dir_all(&src).unwrap();
        std::fs::write(src.join(root), format!("mod conn;\n{code}\n")).unwrap();
        let before = "\n".repeat(86);
        std::fs::write(
            src.join("conn.rs"),
            format!("{before}pub fn go() -> u32 {{\n    {line}\n}}\n"),
        )
        .unwrap();
    };
    write("dep", "lib.rs", "pub fn go() -> u32 { conn::go() }", "4");
    let code = "fn main() { std::process::exit((conn::go() + dep::go()) as i32); }";
    write("app", "main.rs", code, "7");
    let build = |dependency: &Path| {
        let compile = |package: &str, file: &Path, options: &[&str]| {
            let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            let mut command = Command::new(compiler);
            command.current_dir(at.join(package)).arg(file);
            run(command.args(["--edition", "2021", "-g"]).args(options)).exits(0);
        };
        compile(
            "dep",
            dependency,
            &["--crate-type=rlib", "-o", "../libdep.rlib"],
        );
        let options = ["--extern=dep=../libdep.rlib", "-o", "../program"];
        compile("app", Path::new("src/main.rs"), &options);
        trace_with_a_place(at, &at.join("program"))
    };
    let pack = |trace: &Path| {
        let ran = run(tracer(at).arg("pack").arg(trace).args(["-o", "out.bin"])).exits(0);
        (ran, read(&at.join("out.bin")))
    };
    let lines = |trace: &traces::Trace| match trace.source_at(&"src/conn.rs".into(), 88) {
        Source::Lines(lines) => lines
            .into_iter()
            .map(|(_, line)| line.tty())
            .collect::<String>(),
        other => format!("{other:?}"),
    };
    let (ran, packed) = pack(&build(&at.join("dep/src/lib.rs")));
    ran.says(", sources inside");
    assert_eq!(lines(&packed), "pub fn go() -> u32 {    7}");
    // Which of two is meant that were named alike is not known, unless one of them alone is here.
    let trace = build(Path::new("src/lib.rs"));
    let (ran, _) = pack(&trace);
    ran.says("1 the name of several files of the program");
    std::fs::remove_file(at.join("app/src/conn.rs")).unwrap();
    assert_eq!(lines(&pack(&trace).1), "pub fn go() -> u32 {    4}");
}

#[test]
fn program_that_was_rebuilt_is_said_and_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), &[]);
    let trace = trace_of(folder.path(), &program);
    look(folder.path(), &trace, &[]).whole(folder.path());
    build(folder.path(), &["-Copt-level=1"]);
    let ran = run(tracer(folder.path()).arg("dump").arg(&trace)).exits(0);
    let expected = format!(
        "tracer: {}: was rebuilt or replaced since the recording (its build-id is another one); \
         call stacks show offsets in it (`--path-map FROM=TO` names another place)\n",
        program.display()
    );
    assert_eq!(ran.stderr, expected);
    ran.prints(" via app+0x");
}
