//! What is planned for columns: which flags, which toolchain, what is skipped and why.

use super::*;

fn words(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

fn stable() -> Machine {
    Machine {
        host: "x86_64-unknown-linux-gnu".to_owned(),
        has_rustup: true,
        has_ubsan: true,
        ..Machine::default()
    }
}

fn nightly() -> Machine {
    Machine {
        nightly: Some(Nightly {
            name: Some("nightly-x".to_owned()),
            has_source: true,
            miri: Some(PathBuf::from("/bin/miri")),
        }),
        valgrind: Some(PathBuf::from("/bin/valgrind")),
        has_careful: true,
        ..stable()
    }
}

fn planned(
    command: &str,
    machine: &Machine,
    tool: Tool,
    variables: &[(&str, &str)],
) -> Result<Build, String> {
    planned_with(
        command,
        machine,
        tool,
        variables,
        &|_, _| Ok(Own::default()),
    )
}

fn planned_with(
    command: &str,
    machine: &Machine,
    tool: Tool,
    variables: &[(&str, &str)],
    flags: &Flags<'_>,
) -> Result<Build, String> {
    let asked = Asked::new(&words(command))?;
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let setting = Setting {
        asked: &asked,
        machine,
        tools: &[tool],
        folder: Path::new("/m"),
        variable: &variable,
        flags,
    };
    columns(&setting, &[Variant::default()]).remove(0).build
}

fn variable(build: &Build, name: &str) -> Option<String> {
    let found = build.environment.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.to_str().unwrap().to_owned())
}

const FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";
const FLAGS_DOC: &str = "CARGO_ENCODED_RUSTDOCFLAGS";

#[test]
fn address_sanitizer_takes_the_standard_library_as_it_is() {
    let build = planned("cargo test", &nightly(), Tool::Asan, &[]).unwrap();
    assert_eq!(variable(&build, "RUSTUP_TOOLCHAIN").unwrap(), "nightly-x");
    assert_eq!(
        variable(&build, FLAGS).unwrap(),
        "-Zsanitizer=address\x1f-Cforce-frame-pointers=yes"
    );
    assert_eq!(variable(&build, FLAGS_DOC), variable(&build, FLAGS));
    // Procedural macros and build scripts are left as they are only with a target of its own.
    assert_eq!(
        variable(&build, "CARGO_BUILD_TARGET").unwrap(),
        "x86_64-unknown-linux-gnu"
    );
    assert_eq!(variable(&build, "CARGO_UNSTABLE_BUILD_STD"), None);
    assert_eq!(variable(&build, "RUSTC_BOOTSTRAP"), None);
    assert_eq!(build.target_folder, Path::new("/m/target/asan"));
}

#[test]
fn who_has_to_see_every_access_builds_the_standard_library() {
    for tool in [Tool::Tsan, Tool::Msan] {
        let build = planned("cargo test", &nightly(), tool, &[]).unwrap();
        assert_eq!(
            variable(&build, "CARGO_UNSTABLE_BUILD_STD").unwrap(),
            "std,panic_abort"
        );
    }
    let mut bare = nightly();
    bare.nightly.as_mut().unwrap().has_source = false;
    let why = planned("cargo test", &bare, Tool::Tsan, &[]).unwrap_err();
    assert!(
        why.contains("rustup component add --toolchain nightly-x rust-src"),
        "{why}"
    );
    assert!(planned("cargo test", &bare, Tool::Asan, &[]).is_ok());
}

#[test]
fn stable_has_address_sanitizer_by_a_target_of_its_own() {
    let mut machine = stable();
    let why = planned("cargo test", &machine, Tool::Asan, &[]).unwrap_err();
    assert!(why.contains("rustup toolchain install nightly`"), "{why}");
    machine.asan_target = Some("x86_64-unknown-linux-gnuasan".to_owned());
    let build = planned("cargo test", &machine, Tool::Asan, &[]).unwrap();
    assert_eq!(
        variable(&build, "CARGO_BUILD_TARGET").unwrap(),
        "x86_64-unknown-linux-gnuasan"
    );
    let flags = variable(&build, FLAGS).unwrap();
    assert!(!flags.contains("-Z"), "{flags}");
    assert!(planned("cargo test", &machine, Tool::Tsan, &[]).is_err());
}

#[test]
fn what_is_missing_is_named_with_what_brings_it() {
    let missing = |tool| planned("cargo test", &stable(), tool, &[]).unwrap_err();
    assert!(missing(Tool::Memcheck).contains("apt-get install valgrind"));
    assert!(
        missing(Tool::Miri)
            .contains("rustup toolchain install nightly --component rust-src --component miri")
    );
    let mut machine = nightly();
    machine.has_careful = false;
    machine.nightly.as_mut().unwrap().miri = None;
    let careful = planned("cargo test", &machine, Tool::Careful, &[]).unwrap_err();
    assert!(careful.contains("cargo install cargo-careful"));
    let miri = planned("cargo test", &machine, Tool::Miri, &[]).unwrap_err();
    assert!(miri.contains("rustup component add --toolchain nightly-x miri rust-src"));
    machine.has_ubsan = false;
    let ubsan = planned("cargo test", &machine, Tool::Ubsan, &[]).unwrap_err();
    assert!(ubsan.contains("libubsan"));
}

#[test]
fn commands_of_cargo_become_those_of_miri_and_careful() {
    let command =
        |command: &str, tool| planned(command, &nightly(), tool, &[]).map(|build| build.command);
    assert_eq!(
        command("cargo --locked test -p a -- b", Tool::Miri).unwrap(),
        words("cargo --locked miri test --no-fail-fast -p a -- b")
    );
    let once = "cargo test --no-fail-fast -- b";
    assert_eq!(command(once, Tool::Plain).unwrap(), words(once));
    assert_eq!(
        command("cargo +beta run", Tool::Careful).unwrap(),
        words("cargo careful run")
    );
    assert!(
        command("cargo bench", Tool::Miri)
            .unwrap_err()
            .contains("cargo miri bench")
    );
    assert!(
        command("make test", Tool::Miri)
            .unwrap_err()
            .contains("only a command of cargo's")
    );
}

#[test]
fn flags_of_the_project_are_those_of_the_toolchain_and_target_that_build() {
    let own = |toolchain: Option<&OsStr>, target: &str| {
        assert_eq!(target, "x86_64-unknown-linux-gnu");
        match toolchain {
            Some(toolchain) if toolchain == "nightly-x" => Ok(Own::default()),
            _ => Err("no such file".to_owned()),
        }
    };
    let planned = |tool| planned_with("cargo test", &nightly(), tool, &[], &own);
    assert!(planned(Tool::Asan).is_ok());
    assert_eq!(planned(Tool::Ubsan).unwrap_err(), "no such file");
    assert_eq!(variable(&planned(Tool::Plain).unwrap(), FLAGS), None);
}

#[test]
fn program_that_is_built_already_has_the_columns_that_do_not_build() {
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    for tool in [Tool::Plain, Tool::Memcheck, Tool::Tracer] {
        assert_eq!(
            planned(program, &nightly(), tool, &[]).unwrap().command,
            words(program)
        );
    }
    let why = planned(program, &nightly(), Tool::Asan, &[]).unwrap_err();
    assert!(
        why.contains("the command of cargo's that builds it"),
        "{why}"
    );
}

#[test]
fn folders_and_targets_are_the_matrix_s_own() {
    for command in ["cargo test --target-dir x", "cargo test --target=a-b-c"] {
        assert!(
            planned(command, &nightly(), Tool::Plain, &[])
                .unwrap_err()
                .contains("leave `--target")
        );
    }
    assert!(planned("cargo test -- --target x", &nightly(), Tool::Plain, &[]).is_ok());
    assert!(planned("cargo --config a", &nightly(), Tool::Plain, &[]).is_err());
}

#[test]
fn undefined_behaviour_of_c_is_asked_of_the_c_compiler() {
    let build = planned("cargo test", &nightly(), Tool::Ubsan, &[]).unwrap();
    assert!(
        variable(&build, "CFLAGS_x86_64_unknown_linux_gnu")
            .unwrap()
            .contains("-fsanitize=undefined")
    );
    assert_eq!(
        variable(&build, FLAGS).unwrap(),
        "-Clink-arg=-fsanitize=undefined\x1f-Cdefault-linker-libraries=yes"
    );
    assert_eq!(variable(&build, "RUSTUP_TOOLCHAIN"), None);
    let own = [
        ("CFLAGS", "-DX"),
        ("CXXFLAGS_x86_64_unknown_linux_gnu", "-DY"),
    ];
    let build = planned("cargo test", &nightly(), Tool::Ubsan, &own).unwrap();
    for (name, own) in [("CFLAGS", "-DX -f"), ("CXXFLAGS", "-DY -f")] {
        let flags = variable(&build, &format!("{name}_x86_64_unknown_linux_gnu"));
        assert!(flags.unwrap().starts_with(own), "{name}");
    }
}
