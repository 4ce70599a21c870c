//! Compiles and links C and C++ programs with the probe, with the flags that its header names.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use object::{Object, ObjectSymbol};

/// What a test needs besides a Rust toolchain, which comes with a C compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Liburing,
    Cxx,
    Sanitizers,
    Static,
    Lto,
}

impl Needs {
    /// What is compiled to find out, and what to do where that fails.
    fn trial(
        self,
    ) -> (
        &'static Language,
        &'static str,
        &'static [&'static str],
        &'static str,
    ) {
        match self {
            Needs::Liburing => (
                &C,
                "#include <liburing.h>\nint main(void) { return io_uring_queue_init(1, 0, 0); }\n",
                &["-D_GNU_SOURCE", "-luring"],
                "liburing and its header (Debian: apt-get install liburing-dev)",
            ),
            Needs::Cxx => (
                &CXX,
                "#include <memory>\nint main() { return *std::make_unique<int>(0); }\n",
                &[],
                "a C++ compiler, `c++` or $CXX (Debian: apt-get install g++)",
            ),
            Needs::Static => (
                &C,
                "#include <liburing.h>\nint main(void) { return io_uring_queue_init(1, 0, 0); }\n",
                &["-D_GNU_SOURCE", "-luring", "-static"],
                "static libraries of C and liburing (Debian: apt-get install libc6-dev liburing-dev)",
            ),
            Needs::Lto => (
                &C,
                "int main(void) { return 0; }\n",
                &["-flto"],
                "optimisation at link time in the C compiler (Debian: apt-get install gcc)",
            ),
            Needs::Sanitizers => (
                &C,
                "int main(void) { return 0; }\n",
                &["-fsanitize=address,undefined"],
                "the C compiler's sanitizers (Debian: apt-get install gcc; elsewhere libasan and libubsan)",
            ),
        }
    }

    fn is_there(self) -> bool {
        let (language, program, options, _) = self.trial();
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join(format!("trial.{}", language.extension));
        std::fs::write(&source, program).unwrap();
        let mut command = language.command();
        command.arg(&source).args(options);
        command.arg("-o").arg(folder.path().join("trial"));
        command.output().is_ok_and(|output| output.status.success())
    }
}

/// Whether these are there. Says what is not tested otherwise; fails where everything has to be.
pub(crate) fn possible(needs: &[Needs]) -> bool {
    let missing: Vec<_> = needs
        .iter()
        .filter(|needed| !needed.is_there())
        .map(|needed| needed.trial().3)
        .collect();
    if !missing.is_empty() {
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        skip(&format!(
            "{test}, for want of {}",
            missing.join("; and of ")
        ));
    }
    missing.is_empty()
}

/// Says that something is not tested, past the test harness, which shows what failing tests say alone.
pub(crate) fn skip(what: &str) {
    assert!(
        std::env::var_os("TRACER_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "TRACER_REQUIRE_ALL=1, and not tested: {what}"
    );
    let _ = writeln!(std::io::stderr(), "NOT TESTED: {what}");
}

/// A compiler and how it is told which language it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Language {
    variable: &'static str,
    compiler: &'static str,
    standard: &'static str,
    extension: &'static str,
}

pub(crate) const C: Language = Language {
    variable: "CC",
    compiler: "cc",
    standard: "-std=c11",
    extension: "c",
};

pub(crate) const CXX: Language = Language {
    variable: "CXX",
    compiler: "c++",
    standard: "-std=c++17",
    extension: "cpp",
};

impl Language {
    fn command(&self) -> Command {
        let named = std::env::var_os(self.variable).filter(|name| !name.is_empty());
        Command::new(named.unwrap_or_else(|| self.compiler.into()))
    }
}

/// A source file of the probe for C.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) path: PathBuf,
    language: &'static Language,
}

impl Program {
    pub(crate) fn new(name: &str, language: &'static Language) -> Program {
        Program {
            path: home().join(name),
            language,
        }
    }

    pub(super) fn source(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    /// The compiler, told to mind everything.
    fn command(&self, options: &[&str]) -> Command {
        let mut command = self.language.command();
        command
            .args([
                self.language.standard,
                "-Wall",
                "-Wextra",
                "-Werror",
                "-pedantic",
                "-g",
                // The headers', too.
                "-DTRACER_HEADER_WARNINGS",
            ])
            .arg("-I")
            .arg(home().join("include"));
        if self.source().contains("tracer_liburing.h") {
            // liburing's own header needs it in plain C11; up to 2.3 it said so itself.
            command.arg("-D_GNU_SOURCE");
        }
        command.args(options);
        command
    }

    /// Compiles and links it, and returns the program. Options for the language have to come first.
    #[track_caller]
    pub(crate) fn build(&self, folder: &Path, options: &[&str]) -> PathBuf {
        let binary = folder.join(self.path.file_stem().unwrap());
        let mut command = self.command(options);
        command.arg(&self.path).arg("-xnone");
        if self.source().contains("tracer_liburing.h") {
            command.arg("-luring");
        }
        command
            .arg(library())
            .args(["-lpthread", "-ldl", "-lm", "-o"])
            .arg(&binary);
        finish(command);
        binary
    }

    /// Compiles it, and returns the object file.
    #[track_caller]
    pub(super) fn compile(&self, folder: &Path, options: &[&str]) -> PathBuf {
        let object = folder.join("object.o");
        let mut command = self.command(options);
        command.arg("-c").arg(&self.path).arg("-o").arg(&object);
        finish(command);
        object
    }
}

/// The text of a header of the probe's.
pub(super) fn header(name: &str) -> String {
    std::fs::read_to_string(home().join("include").join(name)).unwrap()
}

/// liburing's header with all that it includes, as the compiler sees it.
#[track_caller]
pub(super) fn liburing_header(folder: &Path) -> String {
    let source = folder.join("header.c");
    std::fs::write(&source, "#include <liburing.h>\n").unwrap();
    let mut command = C.command();
    command.args(["-D_GNU_SOURCE", "-E", "-P"]).arg(&source);
    let output = command.output().expect("a C compiler");
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Which liburing the compiler finds: `(2, 15)`; nothing of one that does not say, which is older than 2.4.
pub(super) fn liburing_version(folder: &Path) -> Option<(u32, u32)> {
    let source = folder.join("version.c");
    let text = "#include <liburing.h>\nversion IO_URING_VERSION_MAJOR IO_URING_VERSION_MINOR\n";
    std::fs::write(&source, text).unwrap();
    let mut command = C.command();
    command.args(["-D_GNU_SOURCE", "-E", "-P"]).arg(&source);
    let text = String::from_utf8(command.output().ok()?.stdout).ok()?;
    let mut numbers = text.lines().last()?.split(' ').skip(1);
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

#[track_caller]
fn finish(mut command: Command) {
    let output = command.output().expect("a C compiler: Rust links with it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}");
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../probe/c")
        .canonicalize()
        .unwrap()
}

/// The static library, built once, as the header says. In a folder of its own: a claim about the library
/// is one about it alone, without features that others switch on.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe-c");
        let mut command =
            Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
        command
            .args([
                "build",
                "--release",
                "-p",
                "tracer-probe-c",
                "--locked",
                "--offline",
            ])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(home());
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}\n{said}");
        target.join("release/libtracer_probe_c.a")
    })
}

/// All names in the symbol table of an object file.
pub(super) fn names(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    elf.symbols()
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
        .collect()
}

/// The names that a shared object gives away.
pub(super) fn exports(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    elf.dynamic_symbols()
        .filter(|symbol| symbol.is_definition())
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
        .collect()
}
