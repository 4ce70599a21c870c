//! One recorded file for each form that a trace ever had: `corpus/*.bin`, each beside the verdict it
//! must get. A file is never written anew; a new encoding adds one. `UPDATE_EXPECT=1 cargo test -p
//! tracer-traces --test formats` writes the verdicts anew, where a report is worded otherwise.
//!
//! They were recorded from the `leftover` demo on the simulated ring, with fewer lanes and smaller
//! chunks than usual, so that they are small and hold nothing of the machine.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::same::assert_same;
use traces::{Input, Trace, report};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    found.sort();
    found
}

fn read(path: &Path) -> Trace {
    let bytes = fs::read(path).unwrap();
    let input = Input {
        name: "golden",
        bytes: &bytes,
    };
    let trace = Trace::read(&[input]).unwrap();
    assert_same(&trace, &Trace::check(&[input]).unwrap());
    trace
}

#[test]
fn every_form_is_read_for_ever() {
    let files = files();
    for encoding in ["sealed-encoding-0.bin", "sealed-encoding-1.bin"] {
        assert!(
            files.iter().any(|path| path.ends_with(encoding)),
            "{encoding} is gone"
        );
    }
    for path in files {
        let trace = read(&path);
        assert_eq!(trace.recording().problems, [], "{}", path.display());
        let code = trace.verdict().exit_code();
        let verdict = format!("{}exit code {code}\n", report::text(&trace, 80));
        let beside = path.with_extension("verdict");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&beside, &verdict).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(verdict, expected, "{}", path.display());
    }
}

#[test]
fn encodings_of_one_recording_say_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let plain = read(&folder.join("sealed-encoding-0.bin"));
    let packed = read(&folder.join("sealed-encoding-1.bin"));
    assert_eq!(plain.to_text(), packed.to_text());
}

fn nowhere() -> std::io::Result<Box<dyn traces::events::Aside>> {
    Err(std::io::ErrorKind::StorageFull.into())
}

#[test]
fn recording_can_be_read_up_to_a_time() {
    for path in files() {
        let bytes = fs::read(&path).unwrap();
        let input = [Input {
            name: "cut",
            bytes: &bytes,
        }];
        let all = Trace::read(&input).unwrap();
        let until = |ns| Trace::read_until(&input, ns).unwrap();
        assert!(until(i64::MIN).events().is_empty());
        assert_eq!(until(i64::MAX).events(), all.events());
        // Where its clock stood is found by halving: the last time that gives not all of it.
        let (mut low, mut high) = (i64::MIN / 2, i64::MAX / 2);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if until(middle).events().len() < all.events().len() {
                low = middle;
            } else {
                high = middle;
            }
        }
        let cut = until(low);
        let kept = cut.events().len();
        assert!(kept > 0 && kept < all.events().len(), "{kept} events");
        assert!(cut.events().iter().eq(all.events().range(0..kept)));
        // In pages it is the same.
        for (until, whole) in [(low, &cut), (i64::MAX, &all)] {
            let paged = Trace::read_paged(&input, until, nowhere, &|_| {}).unwrap();
            assert_eq!(paged.events(), whole.events());
            assert_eq!(paged.verdict(), whole.verdict());
            let began =
                |trace: &Trace| (trace.recording().began_ns, trace.recording().losses.len());
            assert_eq!(began(&paged), began(whole));
        }
        let last = cut.events().last().unwrap().at_ns;
        let rest = all.events().range(kept..usize::MAX);
        assert!(rest.into_iter().all(|event| event.at_ns > last));
    }
}
