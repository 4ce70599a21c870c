//! `#[probe::instrument]`: each form of a call that it finds, and each that its documentation says it
//! does not find.

#![cfg(feature = "assert")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "each line is a form of a call; each pointer is leaked once and taken back once"
)]

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use traces::event::What;

/// What the hooks recorded in `body`: the event, the owner, and the line in this file, counted from
/// `base`. `name` is told apart from others of this process.
fn recorded(name: &str, base: u32, body: impl FnOnce()) -> Vec<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let scope = probe::scope();
        body();
        probe::mark(name);
        // Never taken back, so that the scope fails and saves its trace.
        let _ = probe::into_raw(Box::new(0xF00D_u64));
        scope.assert_clean();
    }))
    .expect_err("something was not taken back");
    let text = panic.downcast::<String>().expect("a text");
    let saved = text.lines().find_map(|line| line.strip_prefix("trace: "));
    let saved = saved.unwrap_or_else(|| panic!("no saved trace:\n{text}"));
    let bytes = std::fs::read(saved).expect("the saved trace");
    std::fs::remove_file(saved).expect("own file");
    let input = traces::Input {
        name: saved,
        bytes: &bytes,
    };
    let trace = traces::Trace::read(&[input]).expect("a readable trace");
    let mark = |event: &&traces::event::Event| {
        matches!(event.what, What::Mark { .. }) && trace.describe(event) == format!("mark {name}")
    };
    let end = trace.events().iter().find(mark).expect("the mark");
    let of_body = trace
        .events()
        .iter()
        .filter(|event| event.scope == end.scope && event.id < end.id);
    of_body
        .filter_map(|event| {
            let text = trace.describe(event);
            let (rest, line) = text.rsplit_once(':')?;
            let line: u32 = line.parse().ok()?;
            let (rest, _) = rest.split_once(" at ")?;
            let kind = rest.split(' ').next()?;
            let owner = rest.rsplit(' ').next()?;
            let pointer = matches!(
                event.what,
                What::Leak(_)
                    | What::LeakForever(_)
                    | What::Reclaim(_)
                    | What::Retain(_)
                    | What::Release(_)
            );
            pointer.then(|| format!("{kind} {owner} +{}", line.wrapping_sub(base)))
        })
        .collect()
}

/// The functions of all owners, by the shortest path.
#[probe::instrument]
mod short {
    use std::ffi::CString;
    use std::rc::Rc;
    use std::sync::Arc;

    pub(crate) const BASE: u32 = line!();
    pub(crate) fn round() {
        let raw = Box::into_raw(Box::new(1_u8));
        drop(unsafe { Box::from_raw(raw) });
        let raw = Rc::into_raw(Rc::new(2_u8));
        unsafe { Rc::increment_strong_count(raw) };
        unsafe { Rc::decrement_strong_count(raw) };
        drop(unsafe { Rc::from_raw(raw) });
        let raw = Arc::into_raw(Arc::<str>::from("3"));
        drop(unsafe { Arc::from_raw(raw) });
        let raw = CString::new("4").unwrap().into_raw();
        let raw = CString::into_raw(unsafe { CString::from_raw(raw) });
        drop(unsafe { CString::from_raw(raw) });
    }
}

#[test]
fn every_owner_is_found_by_its_short_path() {
    let found = recorded("short", short::BASE, short::round);
    let expected = [
        "leak Box +2",
        "reclaim Box +3",
        "leak Rc +4",
        "retain Rc +5",
        "release Rc +6",
        "reclaim Rc +7",
        "leak Arc +8",
        "reclaim Arc +9",
        // The method before it is not seen, its `from_raw` is.
        "reclaim CString +11",
        "leak CString +11",
        "reclaim CString +12",
    ];
    assert_eq!(found, expected);
}

use std::rc::Rc as Shared;
type Numbers = Box<[u8]>;

#[probe::instrument(Shared = Rc, Numbers = Box<[u8]>)]
mod paths {
    use super::{Numbers, Shared};

    pub(crate) const BASE: u32 = line!();
    pub(crate) fn round() {
        let raw = std::boxed::Box::into_raw(Box::new(1_u8));
        drop(unsafe { Box::<u8>::from_raw(raw) });
        let raw = <std::rc::Rc<u8>>::into_raw(std::rc::Rc::new(2));
        drop(unsafe { ::std::rc::Rc::<u8>::from_raw(raw) });
        let raw = Shared::into_raw(Shared::new(3_u8));
        drop(unsafe { <Shared<u8>>::from_raw(raw) });
        let raw = Numbers::into_raw(Numbers::from([4, 5]));
        drop(unsafe { Numbers::from_raw(raw) });
        let raw = std::sync::Weak::into_raw(std::sync::Weak::<u8>::new());
        drop(unsafe { std::sync::Weak::from_raw(raw) });
    }
}

#[test]
fn long_paths_type_arguments_and_other_names_are_found() {
    let found = recorded("paths", paths::BASE, paths::round);
    let expected = [
        "leak Box +2",
        "reclaim Box +3",
        "leak Rc +4",
        "reclaim Rc +5",
        "leak Rc +6",
        "reclaim Rc +7",
        "leak Box +8",
        "reclaim Box +9",
        "leak sync::Weak +10",
        "reclaim sync::Weak +11",
    ];
    assert_eq!(found, expected);
}

trait Cookie: Sized {
    fn cookie(self) -> u64;
    /// # Safety
    ///
    /// The word came from `cookie` and was not taken back yet.
    unsafe fn of(cookie: u64) -> Self;
}

const IMPL: u32 = line!();
#[probe::instrument]
impl Cookie for Box<u32> {
    fn cookie(self) -> u64 {
        Self::into_raw(self) as u64
    }

    unsafe fn of(cookie: u64) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::from_raw(cookie as *mut u32) }
    }
}

#[test]
fn self_is_the_owner_in_an_impl_block_of_one() {
    let found = recorded("impl", IMPL, || {
        // SAFETY: leaked once, taken back once.
        drop(unsafe { Box::<u32>::of(Box::new(1_u32).cookie()) });
    });
    assert_eq!(found, ["leak Box +4", "reclaim Box +9"]);
}

const INSIDE: u32 = line!();
#[probe::instrument]
fn inside() {
    let all: Vec<*mut u8> = [1, 2]
        .map(Box::new)
        .into_iter()
        .map(Box::into_raw)
        .collect();
    let back = |raw| unsafe { Box::from_raw(raw) };
    let sum: u8 = all.into_iter().map(back).map(|one| *one).sum();
    assert_eq!(
        format!("{}", *unsafe {
            Box::from_raw(Box::into_raw(Box::new(sum)))
        }),
        "3"
    );
}

#[test]
fn closures_function_values_and_arguments_of_macros_are_looked_into() {
    let found = recorded("inside", INSIDE, inside);
    let kinds: Vec<&str> = found.iter().map(|event| &event[..8]).collect();
    // A function value's caller is in the standard library: its line says nothing.
    assert_eq!(kinds[..2], ["leak Box", "leak Box"]);
    let expected = [
        "reclaim Box +8",
        "reclaim Box +8",
        "leak Box +12",
        "reclaim Box +12",
    ];
    assert_eq!(found[2..], expected);
}

#[probe::instrument]
mod kept {
    use std::mem::{self, ManuallyDrop};
    use std::rc::Rc;

    pub(crate) const BASE: u32 = line!();
    pub(crate) fn round() {
        let shared = Rc::new(1_u8);
        mem::forget(Rc::clone(&shared));
        drop(unsafe { Rc::from_raw(Rc::as_ptr(&shared)) });
        let kept = ManuallyDrop::new(Box::new(2_u8));
        drop(ManuallyDrop::into_inner(kept));
        let mut kept = ManuallyDrop::new(Box::new(3_u8));
        unsafe { ManuallyDrop::drop(&mut kept) };
        let mut kept = ManuallyDrop::new(Box::new(4_u8));
        drop(unsafe { ManuallyDrop::take(&mut kept) });
        // No owners: nothing to record, and the same as ever.
        std::mem::forget(5_u8);
        assert_eq!(ManuallyDrop::into_inner(ManuallyDrop::new(6_u8)), 6);
        let numbers = Vec::leak(vec![7_u8, 8]);
        drop(unsafe { Vec::from_raw_parts(numbers.as_mut_ptr(), 2, 2) });
        let nine = Box::leak(Box::new(9_u8));
        drop(unsafe { Box::from_raw(nine) });
    }
}

#[test]
fn owners_that_are_kept_from_being_dropped_are_leaks() {
    let found = recorded("kept", kept::BASE, kept::round);
    let expected = [
        "leak Rc +3",
        "reclaim Rc +4",
        "leak Box +5",
        "reclaim Box +6",
        "leak Box +7",
        "reclaim Box +8",
        "leak Box +9",
        "reclaim Box +10",
        "leak-forever Vec +14",
        "reclaim Vec +15",
        "leak-forever Box +16",
        "reclaim Box +17",
    ];
    assert_eq!(found, expected);
}

macro_rules! make {
    ($value:expr) => {
        Box::into_raw(Box::new($value))
    };
}

#[probe::instrument]
fn unseen() {
    use std::mem::forget;

    // Code that another macro makes.
    let raw = make!(1_u8);
    // SAFETY: leaked once, taken back once.
    drop(unsafe { quiet_box(raw) });
    // A function that was imported alone.
    forget(Box::new(2_u8));
    // A method.
    let raw = std::rc::Weak::<u8>::new().into_raw();
    // SAFETY: leaked once, taken back once.
    drop(unsafe { quiet_weak(raw) });
    // A value whose type is a parameter.
    fn give<T>(value: T) {
        mem::forget(value);
    }
    give(Box::new(3_u8));
}

// Not instrumented: these take back what `unseen` gave away.
unsafe fn quiet_box(raw: *mut u8) -> Box<u8> {
    // SAFETY: the caller's promise.
    unsafe { Box::from_raw(raw) }
}

unsafe fn quiet_weak(raw: *const u8) -> std::rc::Weak<u8> {
    // SAFETY: the caller's promise.
    unsafe { std::rc::Weak::from_raw(raw) }
}

#[test]
fn what_the_documentation_calls_unseen_is_unseen() {
    assert_eq!(recorded("unseen", 0, unseen), [] as [&str; 0]);
}

/// Coercions, inference and unsized values are as they were.
#[probe::instrument]
fn coerced() -> (Rc<dyn ToString>, usize) {
    let raw: *const dyn ToString = Rc::into_raw(Rc::new(5));
    // SAFETY: leaked once, taken back once.
    let shown: Rc<dyn ToString> = unsafe { Rc::from_raw(raw) };
    let raw: *mut [u8] = Box::into_raw(Box::new([1, 2, 3]));
    // SAFETY: leaked once, taken back once.
    (shown, unsafe { Box::from_raw(raw) }.len())
}

#[test]
fn types_are_inferred_and_coerced_as_before() {
    let (shown, length) = coerced();
    assert_eq!((shown.to_string(), length), ("5".to_owned(), 3));
}

#[test]
fn mistakes_in_the_attribute_are_told_where_they_are() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
