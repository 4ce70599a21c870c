//! Timers of libuv whose data is owned by Rust: used as they should be, and with two mistakes that
//! neither libuv nor a sanitizer sees, because every handle stays valid. One turn per argument.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::rc::Rc;

use probe::ffi;

/// A handle of libuv, whose first field is `data`.
type Handle = c_void;
type Callback = extern "C" fn(*mut Handle);

// `UV_TIMER` in uv.h.
const TIMER: c_int = 13;

#[link(name = "uv")]
unsafe extern "C" {
    fn uv_default_loop() -> *mut c_void;
    fn uv_run(event_loop: *mut c_void, mode: c_int) -> c_int;
    fn uv_loop_close(event_loop: *mut c_void) -> c_int;
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_set_data(handle: *mut Handle, data: *mut c_void);
    fn uv_handle_get_data(handle: *mut Handle) -> *mut c_void;
    fn uv_timer_init(event_loop: *mut c_void, timer: *mut Handle) -> c_int;
    fn uv_timer_start(timer: *mut Handle, call: Callback, after_ms: u64, every_ms: u64) -> c_int;
    fn uv_is_closing(handle: *mut Handle) -> c_int;
    fn uv_close(handle: *mut Handle, call: Callback);
}

static TIMERS: ffi::Callbacks = ffi::Callbacks::repeated("libuv timers");

#[derive(Clone, Copy, PartialEq)]
enum Turn {
    Correct,
    /// Two places close the timer, and each takes its data back.
    ClosedTwice,
    /// The data goes at the second tick, and the timer ticks on.
    FreedWhileArmed,
}

struct Timer {
    turn: Turn,
    ticks: Cell<u32>,
}

fn data(handle: *mut Handle) -> *mut c_void {
    // SAFETY: the handle was initialised and not closed yet.
    unsafe { uv_handle_get_data(handle) }
}

/// Takes back what the handle holds.
#[track_caller]
fn take_back(handle: *mut Handle) {
    // SAFETY: `main` keeps as many counts as there are mistakes, so that the memory stays alive.
    drop(unsafe { ffi::take_back::<Rc<Timer>>(data(handle)) });
}

fn close(handle: *mut Handle) {
    // SAFETY: the handle was initialised; libuv is asked before.
    unsafe {
        if uv_is_closing(handle) == 0 {
            uv_close(handle, on_close);
        }
    }
}

extern "C" fn on_tick(handle: *mut Handle) {
    TIMERS.called(data(handle));
    // SAFETY: `main` keeps it alive.
    let timer = unsafe { &*data(handle).cast::<Timer>() };
    timer.ticks.set(timer.ticks.get() + 1);
    match (timer.turn, timer.ticks.get()) {
        (Turn::FreedWhileArmed, 2) => take_back(handle),
        (_, 5) => close(handle),
        _ => {}
    }
}

extern "C" fn on_close(handle: *mut Handle) {
    TIMERS.ended(data(handle));
    // SAFETY: as in `on_tick`.
    let turn = unsafe { (*data(handle).cast::<Timer>()).turn };
    if turn != Turn::FreedWhileArmed {
        take_back(handle);
    }
    if turn == Turn::ClosedTwice {
        take_back(handle);
    }
}

fn main() {
    let turn = match std::env::args().nth(1).as_deref() {
        Some("correct") => Turn::Correct,
        Some("closed-twice") => Turn::ClosedTwice,
        Some("freed-while-armed") => Turn::FreedWhileArmed,
        turn => panic!("no turn {turn:?}"),
    };
    // SAFETY: libuv is used as its manual says; the handle's memory outlives the loop.
    unsafe {
        let event_loop = uv_default_loop();
        let mut memory = vec![0u128; uv_handle_size(TIMER).div_ceil(16)];
        let handle: *mut Handle = memory.as_mut_ptr().cast();
        let timer = Rc::new(Timer {
            turn,
            ticks: Cell::new(0),
        });
        // A count to spare for the mistake, never given back.
        std::mem::forget(timer.clone());
        assert_eq!(uv_timer_init(event_loop, handle), 0);
        let handed_out = ffi::hand_out(timer.clone());
        uv_handle_set_data(handle, handed_out);
        TIMERS.registered(handed_out);
        assert_eq!(uv_timer_start(handle, on_tick, 0, 1), 0);
        assert_eq!(uv_run(event_loop, 0), 0);
        assert_eq!(uv_loop_close(event_loop), 0);
        assert_eq!(timer.ticks.get(), 5);
    }
}
