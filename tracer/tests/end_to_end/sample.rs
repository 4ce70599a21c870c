//! The sample project: a program with bugs on purpose, copied to a folder of the test's own and built from scratch
//! there with what cargo has fetched already.

use std::path::{Path, PathBuf};

/// The sample project in a folder of its own, with the probe of this repository and the main lock file.
pub(crate) fn sample(folder: &Path) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = folder.join("sample");
    copy(&here.join("tests/sample"), &sample);
    let probe = here.parent().unwrap().join("probe");
    let manifest = std::fs::read_to_string(sample.join("Cargo.toml")).unwrap();
    let manifest = manifest.replace("../../../probe", probe.to_str().unwrap());
    std::fs::write(sample.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(
        here.parent().unwrap().join("Cargo.lock"),
        sample.join("Cargo.lock"),
    )
    .unwrap();
    sample
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            if name != "target" {
                copy(&entry.path(), &to.join(name));
            }
        } else {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// Whoever builds it in the folder that is kept holds this: traces of one test are not another's.
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
