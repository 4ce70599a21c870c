//! What a recording costs programs that are over soon: what is set up once is most of it.
//!
//! The program is that of `preload`, told to do a few NOPs and to end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Variant, preload, session, table};

const ROUNDS: u32 = 30;
/// What the program is told.
const FEW: &[u8] = b"nop-1 100\n";
const TEN: &str = "for each in 1 2 3 4 5 6 7 8 9 10; do echo nop-1 100 | \"$0\" >/dev/null; done";

/// Prints what one of them costs, by itself and below the recorder, and ten that a shell starts.
pub fn run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    match programs(folder.path()) {
        Ok((program, shim, tracer)) => measure(folder.path(), &program, &shim, &tracer),
        Err(why) => println!("short: not measured: {why}\n"),
    }
}

fn programs(folder: &Path) -> Result<(PathBuf, PathBuf, PathBuf), String> {
    let program = preload::build(folder, "program", &["-DSYSCALL", "-luring"])?;
    Ok((program, preload::shim()?, session::tracer()?))
}

fn measure(folder: &Path, program: &Path, shim: &Path, tracer: &Path) {
    let variant = |name, mut command: Box<dyn FnMut() -> Command>| Variant {
        name,
        run: Box::new(move |count| (0..count).for_each(|_| does(command(), FEW))),
    };
    let trace = folder.join("trace.bin");
    let below = |command: &[&Path]| {
        let mut recorder = Command::new(tracer);
        recorder.arg("record").arg("-o").arg(&trace).arg("--");
        recorder.args(command).env_remove("TRACER_DIR");
        recorder
    };
    let bare = || Command::new(program);
    // A folder is made in any case, and taken away with what is in it.
    let run_in_folder = |is_recorded: bool| {
        let folder = session::folder("short");
        let mut command = bare();
        if is_recorded {
            command.env("LD_PRELOAD", shim);
            command.env("TRACER_DIR", folder.path());
        }
        does(command, FEW);
    };
    let in_folder = |name, is_recorded| Variant {
        name,
        run: Box::new(move |count| (0..count).for_each(|_| run_in_folder(is_recorded))),
    };
    let mut itself = [
        in_folder("bare", false),
        in_folder("bare, once more", false),
        in_folder("the shim, and a recorder's folder", true),
    ];
    table(
        "a short program: what it pays itself",
        &mut itself,
        ROUNDS,
        1,
    );
    drop(itself);
    let mut one = [
        variant("bare", Box::new(bare)),
        variant("bare, once more", Box::new(bare)),
        variant("tracer record", Box::new(|| below(&[program]))),
    ];
    table("a short program: what its user waits", &mut one, ROUNDS, 1);
    drop(one);
    let ten = |mut command: Command| {
        command.arg("-c").arg(TEN).arg(program);
        command
    };
    let shell = Path::new("sh");
    let mut all = [
        variant("bare", Box::new(|| ten(Command::new(shell)))),
        variant("bare, once more", Box::new(|| ten(Command::new(shell)))),
        variant("tracer record", Box::new(|| ten(below(&[shell])))),
    ];
    table(
        "ten short programs, started by a shell",
        &mut all,
        ROUNDS,
        1,
    );
}

/// Runs a program that is told `input`.
fn does(mut command: Command, input: &[u8]) {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let told = child
        .stdin
        .take()
        .map(|mut input_of| input_of.write_all(input));
    assert!(told.is_some_and(|told| told.is_ok()), "it listens");
    assert!(child.wait().expect("our child").success());
}
