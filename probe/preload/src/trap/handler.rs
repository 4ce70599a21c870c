//! What happens when a call is trapped, and the program's own use of the signal.
//!
//! The signal comes at a known instruction of the program's, not in the middle of anything: what the handler does is what
//! the shim does for a call by the C library. It leaves `errno` and the mask of signals as they were.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_long, c_void};

use super::{masks, sites};
use crate::lock::Lock;
use crate::uring::{self, Call, Way};
use crate::{closing, kernel, next};

pub(crate) const SIGSYS: c_int = 31;
/// The signal's bit in the first word of a set.
pub(crate) const BIT: u64 = 1 << (SIGSYS - 1);

/// `sigset_t` of the C library.
pub(crate) type SignalSet = [u64; 16];

/// `struct sigaction` of the C library.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Action {
    handler: usize,
    pub(crate) mask: SignalSet,
    flags: c_int,
    restorer: usize,
}

const DEFAULT: usize = 0;
const IGNORE: usize = 1;
const SIGINFO: c_int = 4;
const RESTART: c_int = 0x1000_0000;
const ONCE: c_int = 0x8000_0000_u32.cast_signed();

const NO_DEFER: c_int = 0x4000_0000;

const NOTHING: Action = Action {
    handler: DEFAULT,
    mask: [0; 16],
    flags: 0,
    restorer: 0,
};

/// What the program set for the signal.
struct Own(Lock, UnsafeCell<Action>);

// SAFETY: the cell is touched under the lock alone.
unsafe impl Sync for Own {}

static OWN: Own = Own(Lock::new(), UnsafeCell::new(NOTHING));

/// Sets what the program wants, and says what it wanted before. Nothing where this thread is in here already.
pub(crate) fn exchange(new: Option<Action>) -> Option<Action> {
    let _held = OWN.0.take()?;
    // SAFETY: under the lock.
    let own = unsafe { &mut *OWN.1.get() };
    let old = *own;
    if let Some(new) = new {
        *own = new;
    }
    Some(old)
}

/// As `signal` sets it.
pub(crate) fn simple(handler: usize) -> Action {
    Action {
        handler,
        flags: RESTART,
        ..NOTHING
    }
}

/// As System V's `signal` sets it: once, and not blocked in the handler.
pub(crate) fn once(handler: usize) -> Action {
    Action {
        handler,
        flags: ONCE | NO_DEFER,
        ..NOTHING
    }
}

/// As the kernel's structure says it.
pub(crate) fn from_kernel(action: kernel::SignalAction) -> Action {
    let mut mask = [0; 16];
    mask[0] = action.mask;
    Action {
        handler: action.handler,
        mask,
        flags: (action.flags as u32).cast_signed(),
        restorer: action.restorer,
    }
}

/// As the kernel's structure says it.
pub(crate) fn to_kernel(action: &Action) -> kernel::SignalAction {
    kernel::SignalAction {
        handler: action.handler,
        flags: u64::from(action.flags.cast_unsigned()),
        restorer: action.restorer,
        mask: action.mask[0],
    }
}

/// The function in it.
pub(crate) fn function(action: &Action) -> usize {
    action.handler
}

/// Takes the signal, and has it come through.
pub(super) fn install() -> bool {
    const RESTORER: u64 = 0x0400_0000;
    const NODEFER: u64 = 0x4000_0000;
    let action = kernel::SignalAction {
        handler: trapped as *const () as usize,
        flags: SIGINFO as u64 | RESTORER | NODEFER,
        restorer: back as *const () as usize,
        mask: 0,
    };
    let Some(old) = kernel::signal_action(SIGSYS, Some(&action)) else {
        return false;
    };
    exchange(Some(simple(old.handler)));
    kernel::unblock_signals(BIT);
    // Libraries may have set handlers before: in none of them may it be blocked either.
    for signal in 1..=64 {
        if let Some(mut action) = kernel::signal_action(signal, None)
            && signal != SIGSYS
            && action.mask & BIT != 0
        {
            action.mask &= !BIT;
            kernel::signal_action(signal, Some(&action));
        }
    }
    true
}

/// As it was.
pub(super) fn uninstall() {
    let own = exchange(None).unwrap_or(NOTHING);
    let action = kernel::SignalAction {
        handler: own.handler,
        ..kernel::SignalAction::default()
    };
    kernel::signal_action(SIGSYS, Some(&action));
}

/// Ends a handler. Unwinders know these bytes.
#[unsafe(naked)]
unsafe extern "C" fn back() {
    core::arch::naked_asm!("mov rax, 15", "syscall")
}

/// `siginfo_t` of this signal.
#[repr(C)]
struct Info {
    signal: c_int,
    errno: c_int,
    code: c_int,
    padding: c_int,
    address: usize,
    number: c_int,
    architecture: u32,
}

/// `ucontext_t`, up to the mask of signals.
#[repr(C)]
pub(crate) struct Context {
    before: [u64; 5],
    registers: [i64; 23],
    floats: [u64; 9],
    pub(crate) mask: u64,
}

const _: () = assert!(core::mem::offset_of!(Context, mask) == 296);

/// Registers that a system call's arguments are in, in their order.
const ARGUMENTS: [usize; 6] = [RDI, RSI, RDX, R10, R8, R9];
const R8: usize = 0;
const R9: usize = 1;
const R10: usize = 2;
const RDI: usize = 8;
const RSI: usize = 9;
const RDX: usize = 12;
const RAX: usize = 13;

unsafe extern "C" fn trapped(signal: c_int, info: *mut Info, context: *mut Context) {
    const BY_SECCOMP: c_int = 1;
    let errno = next::errno();
    // SAFETY: the kernel's description of the signal.
    let said = unsafe { &*info };
    if said.code == BY_SECCOMP && sites::is_one(said.address) {
        // SAFETY: what the kernel takes back after the handler.
        let context = unsafe { &mut *context };
        let number = c_long::from(said.number);
        let arguments = ARGUMENTS.map(|index| context.registers[index] as usize);
        context.registers[RAX] = if masks::is_one(number) {
            // SAFETY: the program's call, with its arguments.
            let make = |arguments| unsafe { kernel::call(number, arguments) as c_long };
            // SAFETY: as above.
            let result = unsafe { masks::call(number, arguments, make) };
            // What it set is to last beyond the handler.
            context.mask = kernel::signal_mask();
            result
        } else if closing::is_one(number) {
            closing::by_number(number, arguments);
            // SAFETY: the program's call, with its arguments.
            unsafe { kernel::call(number, arguments) as c_long }
        } else {
            let call = Call {
                number,
                arguments,
                way: Way::Instruction,
            };
            // SAFETY: the program's call, with its arguments.
            unsafe { uring::call(&call) }
        };
    } else {
        // SAFETY: as the kernel would.
        unsafe { pass_on(signal, info, context) };
    }
    next::set_errno(errno);
}

/// The signal is none of the shim's: the program gets it.
///
/// # Safety
///
/// The arguments are a handler's.
unsafe fn pass_on(signal: c_int, info: *mut Info, context: *mut Context) {
    let own = exchange(None).unwrap_or(NOTHING);
    if own.flags & ONCE != 0 {
        exchange(Some(NOTHING));
    }
    match own.handler {
        // A call that another filter forbids is not to be ignored.
        // SAFETY: the kernel's description of the signal.
        IGNORE if unsafe { (*info).code } <= 0 => {}
        DEFAULT | IGNORE => kernel::die_by(signal),
        handler if own.flags & SIGINFO != 0 => {
            type Function = unsafe extern "C" fn(c_int, *mut Info, *mut Context);
            // SAFETY: the program's handler, which it set as one of this kind.
            let function = unsafe { core::mem::transmute::<usize, Function>(handler) };
            // SAFETY: the arguments are the kernel's.
            unsafe { function(signal, info, context) }
        }
        handler => {
            type Function = unsafe extern "C" fn(c_int);
            // SAFETY: the program's handler, which it set as one of this kind.
            let function = unsafe { core::mem::transmute::<usize, Function>(handler) };
            // SAFETY: as above.
            unsafe { function(signal) }
        }
    }
}

/// Takes the signal out of a set that is about to be blocked. Nothing where it is not in it.
pub(crate) fn without(set: *const c_void) -> Option<SignalSet> {
    // The kernel has 64 signals; the rest of a set may lie in memory that is not there.
    let first = masks::without(set as usize)?;
    let mut copy = [0; 16];
    copy[0] = first;
    Some(copy)
}
