//! Libraries that hold a word and call with it, on whatever thread they like.

use std::ffi::c_void;

use probe::ffi::{Callbacks, hand_out, take_back};

static ONCE: Callbacks = Callbacks::once("once");
static OFTEN: Callbacks = Callbacks::repeated("often");

struct State {
    calls: std::sync::atomic::AtomicU32,
}

/// A word that threads may pass on, as C libraries do.
#[derive(Clone, Copy)]
struct Data(*mut c_void);
// SAFETY: what is behind it is `Sync`, and taken back once.
unsafe impl Send for Data {}

impl Data {
    fn new() -> Self {
        Self(hand_out(Box::new(State { calls: 0.into() })))
    }

    fn call(self) {
        // SAFETY: taken back after the last call only.
        let state = unsafe { &*self.0.cast::<State>() };
        state
            .calls
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn end(self) -> u32 {
        // SAFETY: handed out once, taken back once.
        let state = unsafe { take_back::<Box<State>>(self.0) };
        state.calls.into_inner()
    }
}

#[test]
fn calls_on_another_thread_than_the_registration() {
    let scope = probe::scope();
    let handle = scope.handle();
    let (send, receive) = std::sync::mpsc::channel::<Data>();
    let library = std::thread::spawn(move || {
        let _entered = handle.enter();
        for data in receive {
            ONCE.called(data.0);
            data.call();
            assert_eq!(data.end(), 1);
        }
    });
    for _ in 0..100 {
        let data = Data::new();
        ONCE.registered(data.0);
        send.send(data).expect("received");
    }
    drop(send);
    library.join().expect("done");
    scope.assert_clean();
}

#[test]
fn calls_on_many_threads_at_once() {
    let scope = probe::scope();
    let handle = scope.handle();
    for _ in 0..10 {
        let data = Data::new();
        OFTEN.registered(data.0);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    let data = data;
                    let _entered = handle.enter();
                    for _ in 0..10 {
                        OFTEN.called(data.0);
                        data.call();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("done");
        }
        OFTEN.ended(data.0);
        assert_eq!(data.end(), 40);
    }
    scope.assert_clean();
}

#[test]
fn a_registration_that_is_refused_and_one_that_is_cancelled() {
    let scope = probe::scope();
    for callbacks in [&ONCE, &OFTEN] {
        for _ in 0..20 {
            let data = Data::new();
            callbacks.registered(data.0);
            callbacks.ended(data.0);
            assert_eq!(data.end(), 0);
        }
    }
    scope.assert_clean();
}

#[test]
fn a_word_that_a_library_holds_and_a_ring_of_the_kernel_too() {
    use std::sync::Arc;
    let scope = probe::scope();
    let Some(mut ring) = super::ring() else {
        return;
    };
    let shared = Arc::new(5u64);
    let data = hand_out(Arc::clone(&shared));
    ONCE.registered(data);
    let cookie = probe::into_raw(Arc::clone(&shared)) as u64;
    let nop = probe::io_uring::opcode::Nop::new()
        .build()
        .user_data(cookie);
    // SAFETY: it points to nothing.
    unsafe { ring.submission().push(&nop) }.expect("room");
    ring.submit_and_wait(1).expect("submitted");
    let entry = ring.completion().next().expect("completed");
    assert_eq!(entry.user_data(), cookie);
    // SAFETY: one handle went out with each.
    unsafe {
        drop(probe::from_raw::<Arc<u64>>(cookie as *const u64));
        ONCE.called(data);
        drop(take_back::<Arc<u64>>(data));
    }
    scope.assert_clean();
}

#[test]
fn a_handle_of_its_own_for_each_registration() {
    let scope = probe::scope();
    let shared = std::sync::Arc::new(5u64);
    let words: Vec<_> = (0..3)
        .map(|_| hand_out(std::sync::Arc::clone(&shared)))
        .collect();
    for word in &words {
        ONCE.registered(*word);
    }
    for word in words {
        ONCE.called(word);
        // SAFETY: a handle went out for each.
        drop(unsafe { take_back::<std::sync::Arc<u64>>(word) });
    }
    scope.assert_clean();
}

#[test]
fn one_word_for_two_functions_of_a_library() {
    let scope = probe::scope();
    for _ in 0..20 {
        let data = Data::new();
        OFTEN.registered(data.0);
        ONCE.registered(data.0);
        OFTEN.called(data.0);
        OFTEN.ended(data.0);
        // The last call of all.
        ONCE.called(data.0);
        assert_eq!(data.end(), 0);
    }
    scope.assert_clean();
}
