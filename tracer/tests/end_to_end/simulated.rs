//! Recordings of the simulated ring are the same in every run, byte for byte, and judged like others.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use demo_runtime::ring::RingKind;

use crate::support::{entries, run, tracer};

/// Runs a scenario in a recorder's folder of its own and returns the file of its one process.
fn record(folder: &Path, name: &str, seed: &str, padding: usize) -> PathBuf {
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .unwrap();
    let mut session = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join("session"))
        .unwrap();
    session
        .write_all(b"protocol=1\nchunks=64\nmode=ring\n")
        .unwrap();
    let mut command = tracer(folder);
    command
        .args(["__scenario", name, "--ring", "simulated", "--seed", seed])
        .env("TRACER_DIR", folder)
        // Moves the stack and the first allocations about.
        .env("PADDING", "x".repeat(padding));
    run(&mut command).exits(0);
    let traces: Vec<_> = entries(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "trc"))
        .collect();
    assert_eq!(traces.len(), 1, "{traces:?}");
    traces.into_iter().next().unwrap()
}

#[test]
fn two_runs_are_the_same_byte_for_byte_and_show_their_rule() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for scenario in demo_runtime::scenarios() {
        if scenario.hidden || !scenario.rings.contains(&RingKind::Simulated) {
            continue;
        }
        seen += 1;
        let name = scenario.name;
        let at = |run: &str| folder.path().join(format!("{name}-{run}"));
        let first = record(&at("first"), name, "7", 1);
        let second = record(&at("second"), name, "7", 5000);
        let (first_bytes, second_bytes) = (
            std::fs::read(&first).unwrap(),
            std::fs::read(&second).unwrap(),
        );
        let differs = first_bytes
            .iter()
            .zip(&second_bytes)
            .position(|(a, b)| a != b);
        assert_eq!(differs, None, "{name}: two runs differ at this byte");
        assert_eq!(first_bytes.len(), second_bytes.len());

        let mut check = tracer(folder.path());
        let checked = run(check.arg("check").arg(&first));
        match scenario.rule {
            Some(rule) => {
                checked
                    .exits(1)
                    .prints(&format!("{rule} "))
                    .prints("\n1 finding\n");
            }
            None => {
                checked.exits(0).prints("no findings");
            }
        }
    }
    assert!(seen >= 4, "only {seen} scenarios run on the simulated ring");
}
