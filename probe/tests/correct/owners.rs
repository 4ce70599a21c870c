//! Owners of every kind that go out and come back: of no size, without a known size, weak, wide.

use std::ffi::CString;
use std::pin::Pin;
use std::rc::{self, Rc};
use std::sync::{self, Arc};

use probe::{from_raw, into_raw};

trait Speak: Send + Sync {
    fn word(&self) -> String;
}

impl Speak for u64 {
    fn word(&self) -> String {
        self.to_string()
    }
}

struct Nothing;

impl Speak for Nothing {
    fn word(&self) -> String {
        String::new()
    }
}

#[test]
fn boxes_of_no_size_share_one_address() {
    let scope = probe::scope();
    for _ in 0..3 {
        let raws: Vec<_> = (0..4).map(|_| into_raw(Box::new(()))).collect();
        let other = into_raw(Box::new(Nothing));
        for raw in raws {
            // SAFETY: each was leaked once and is taken back once.
            unsafe { from_raw::<Box<()>>(raw) };
        }
        // SAFETY: leaked once, taken back once.
        assert_eq!(unsafe { from_raw::<Box<Nothing>>(other) }.word(), "");
    }
    scope.assert_clean();
}

#[test]
fn empty_vectors_slices_and_texts_share_addresses_too() {
    let scope = probe::scope();
    let first = into_raw(Vec::<u64>::new());
    let second = into_raw(Vec::<u64>::new());
    let third = into_raw(Box::<[u64]>::default());
    // SAFETY: each was leaked once and is taken back once.
    unsafe {
        drop(from_raw::<Vec<u64>>(first));
        drop(from_raw::<Box<[u64]>>(third));
        drop(from_raw::<Vec<u64>>(second));
    }
    let empty: Vec<_> = (0..3).map(|_| into_raw(CString::default())).collect();
    for raw in empty {
        // SAFETY: leaked once, taken back once.
        assert!(unsafe { from_raw::<CString>(raw) }.is_empty());
    }
    scope.assert_clean();
}

#[test]
fn vectors_and_texts_come_back_with_their_parts() {
    let scope = probe::scope();
    for length in 0..20usize {
        let mut numbers = Vec::with_capacity(32);
        numbers.extend(0..length);
        let (pointer, length, capacity) = into_raw(numbers);
        // Shorter than it was: the capacity is the same.
        // SAFETY: leaked once, taken back once, and its first items are there.
        let mut back = unsafe { from_raw::<Vec<usize>>((pointer, length / 2, capacity)) };
        assert_eq!(back.len(), length / 2);
        back.shrink_to_fit();
        let boxed = into_raw(back.into_boxed_slice());
        // SAFETY: leaked once, taken back once.
        drop(unsafe { from_raw::<Box<[usize]>>(boxed) }.into_vec());
        let text = into_raw(CString::new(vec![b'x'; length]).expect("no zero"));
        // SAFETY: leaked once, taken back once.
        let text = unsafe { from_raw::<CString>(text) };
        assert_eq!(text.as_bytes().len(), length);
    }
    scope.assert_clean();
}

#[test]
fn weak_handles_of_what_lives_and_of_what_is_gone() {
    let scope = probe::scope();
    let shared = Arc::new(5u64);
    let strong = into_raw(Arc::clone(&shared));
    let weak = into_raw(Arc::downgrade(&shared));
    let again = into_raw(Arc::downgrade(&shared));
    // SAFETY: one count is out.
    unsafe {
        probe::retain::<Arc<u64>>(strong);
        probe::peek::<Arc<u64>>(strong);
        probe::release::<Arc<u64>>(strong);
        drop(from_raw::<Arc<u64>>(strong));
    }
    drop(shared);
    // SAFETY: each was leaked once and is taken back once.
    unsafe {
        assert_eq!(from_raw::<sync::Weak<u64>>(weak).upgrade(), None);
        assert_eq!(from_raw::<sync::Weak<u64>>(again).upgrade(), None);
    }
    // Those of nothing at all have one address.
    let nothing = [
        into_raw(rc::Weak::<u64>::new()),
        into_raw(rc::Weak::<u64>::new()),
    ];
    for raw in nothing {
        // SAFETY: leaked once, taken back once.
        drop(unsafe { from_raw::<rc::Weak<u64>>(raw) });
    }
    let cycle = Rc::new_cyclic(|weak: &rc::Weak<u64>| {
        // SAFETY: leaked once, taken back once.
        drop(unsafe { from_raw::<rc::Weak<u64>>(into_raw(weak.clone())) });
        7
    });
    drop(cycle);
    scope.assert_clean();
}

#[test]
fn trait_objects_have_the_size_of_their_values() {
    let scope = probe::scope();
    let words: [Arc<dyn Speak>; 3] = [Arc::new(1u64), Arc::new(Nothing), Arc::new(2u64)];
    for word in &words {
        let raw = into_raw(Arc::clone(word));
        // SAFETY: one count is out.
        unsafe {
            probe::retain::<Arc<dyn Speak>>(raw);
            probe::release::<Arc<dyn Speak>>(raw);
            drop(from_raw::<Arc<dyn Speak>>(raw));
        }
        let weak = into_raw(Arc::downgrade(word));
        // SAFETY: leaked once, taken back once.
        let weak = unsafe { from_raw::<sync::Weak<dyn Speak>>(weak) };
        assert!(weak.upgrade().is_some());
    }
    let boxed: Box<dyn Speak> = Box::new(3u64);
    // SAFETY: leaked once, taken back once.
    let boxed = unsafe { from_raw::<Box<dyn Speak>>(into_raw(boxed)) };
    assert_eq!(boxed.word(), "3");
    // One owner as what it is, another as what it can do.
    let number = Arc::new(4u64);
    let plain = into_raw(Arc::clone(&number));
    let wide: *const dyn Speak = into_raw::<Arc<dyn Speak>>(number);
    // SAFETY: two counts are out, and both types name the same allocation.
    unsafe {
        drop(from_raw::<Arc<dyn Speak>>(wide));
        drop(from_raw::<Arc<u64>>(plain));
    }
    scope.assert_clean();
}

#[test]
fn pinned_and_shared_owners_on_other_threads() {
    let scope = probe::scope();
    let handle = scope.handle();
    let pinned = into_raw(Box::pin([1u8; 100])) as usize;
    let shared = Arc::new(9u64);
    let counted = into_raw(Arc::clone(&shared)) as usize;
    let thread = std::thread::spawn(move || {
        let _entered = handle.enter();
        // SAFETY: leaked once, taken back once, never moved.
        drop(unsafe { from_raw::<Pin<Box<[u8; 100]>>>(pinned as *mut [u8; 100]) });
        // SAFETY: one count is out.
        drop(unsafe { from_raw::<Arc<u64>>(counted as *const u64) });
    });
    thread.join().expect("done");
    drop(shared);
    scope.assert_clean();
}

#[test]
fn wakers_are_cloned_and_dropped_anywhere() {
    let scope = probe::scope();
    let handle = scope.handle();
    let waker = probe::waker(std::task::Waker::noop().clone());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let waker = waker.clone();
            std::thread::spawn(move || {
                let _entered = handle.enter();
                for _ in 0..50 {
                    let copy = waker.clone();
                    copy.wake_by_ref();
                    copy.wake();
                }
            })
        })
        .collect();
    drop(waker);
    for thread in threads {
        thread.join().expect("done");
    }
    scope.assert_clean();
}

#[test]
fn pointers_change_their_width_on_the_way() {
    let scope = probe::scope();
    let narrow = into_raw(Arc::new(6u64));
    // SAFETY: one count is out, of a value that is what the trait object is of.
    drop(unsafe { from_raw::<Arc<dyn Speak>>(narrow as *const dyn Speak) });
    let array = into_raw(Box::new([1u8, 2, 3]));
    // SAFETY: leaked once, taken back once, with its own length.
    drop(unsafe { from_raw::<Box<[u8]>>(array as *mut [u8]) });
    let (pointer, length, capacity) = into_raw(vec![1u16, 2, 3]);
    assert_eq!(length, capacity);
    let slice = std::ptr::slice_from_raw_parts_mut(pointer, length);
    // SAFETY: the vector had no room to spare, so its block is that of the slice.
    let slice = into_raw(unsafe { from_raw::<Box<[u16]>>(slice) });
    // SAFETY: and the other way round.
    drop(unsafe { from_raw::<Vec<u16>>((slice.cast(), length, length)) });
    scope.assert_clean();
}
