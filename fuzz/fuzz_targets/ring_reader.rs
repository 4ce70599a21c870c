//! What the shim does with a program's queues, whatever the program writes into them: nothing beyond them is looked at,
//! nothing overflows, and no poison stays. The shim's own files: it is a library to be loaded, not one to be linked.

#![no_main]
#![allow(
    dead_code,
    unused_imports,
    reason = "what of the shim's files is for its other ones"
)]

#[path = "../../probe/preload/src/follow.rs"]
mod follow;
#[path = "../../probe/preload/src/kernel.rs"]
mod kernel;
#[path = "../../probe/preload/src/lock.rs"]
mod lock;
#[path = "../../probe/preload/src/next.rs"]
mod next;
#[path = "../../probe/preload/src/rings.rs"]
mod rings;

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

use follow::anything::{self, Numbers};

struct Bytes<'a>(Unstructured<'a>);

impl Numbers for Bytes<'_> {
    fn below(&mut self, end: u64) -> u64 {
        self.0.int_in_range(0..=end - 1).unwrap_or(0)
    }

    fn has_more(&self) -> bool {
        !self.0.is_empty()
    }
}

fuzz_target!(|data: &[u8]| {
    anything::record();
    anything::run(&mut Bytes(Unstructured::new(data)));
});
