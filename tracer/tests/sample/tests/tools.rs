//! The same bugs under every tool: what the matrix is shown on. Nothing is asserted here, so that a cell
//! fails by its tool alone.

use sample::{cookies, memory};

#[test]
fn sound() {
    cookies::taken_back();
}

#[test]
fn cookie_reclaimed_twice() {
    cookies::reclaimed_twice();
}

#[test]
fn memory_used_after_free() {
    memory::used_after_free();
}

#[test]
fn memory_leaked() {
    memory::leaked();
}

#[test]
fn memory_raced() {
    memory::raced();
}

#[test]
fn memory_uninitialised() {
    memory::uninitialised();
}

#[test]
#[ignore = "for whoever asks for it"]
fn ignored() {
    panic!("nobody asked");
}

#[test]
#[should_panic(expected = "on purpose")]
fn panics_as_it_should() {
    panic!("on purpose");
}
