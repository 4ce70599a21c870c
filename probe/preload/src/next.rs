//! The functions behind the ones that are interposed: the C library's, or another preloaded library's.
//!
//! They are looked up at their first use, which may come before any constructor ran, and from within the
//! loader. The loader frees what it allocates for error messages: such a free, which comes while `free` is being
//! looked up, is not carried out.

use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use crate::kernel;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_NEXT: *mut c_void = usize::MAX as *mut c_void;
/// What the program itself would find.
const RTLD_DEFAULT: *mut c_void = core::ptr::null_mut();

/// `free` as the program calls it.
static PROGRAMS_FREE: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

/// Frees a block as the program would.
pub(crate) fn programs_free(block: *mut c_void) {
    let found = PROGRAMS_FREE.load(Ordering::Relaxed);
    if !found.is_null() {
        // SAFETY: the address of the function of that name, which has this signature.
        let free: unsafe extern "C" fn(*mut c_void) = unsafe { core::mem::transmute(found) };
        // SAFETY: nothing, or a block of the caller's.
        unsafe { free(block) };
    }
}

/// A function that is looked up at its first use.
#[derive(Debug)]
pub(crate) struct Next {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
    /// The thread that looks it up.
    seeker: AtomicU64,
    /// Whether it may lie in a library that is not among those that come next.
    anywhere: bool,
}

impl Next {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            found: AtomicPtr::new(core::ptr::null_mut()),
            seeker: AtomicU64::new(0),
            anywhere: false,
        }
    }

    /// A function of a library that a plugin may have brought for itself.
    pub(crate) const fn of_any(name: &'static CStr) -> Self {
        let mut next = Self::new(name);
        next.anywhere = true;
        next
    }

    /// Its address; null where there is none, and in a call from within its own look-up.
    #[inline(always)]
    pub(crate) fn address(&self) -> *mut c_void {
        let found = self.found.load(Ordering::Relaxed);
        if found.is_null() { self.seek() } else { found }
    }

    #[cold]
    #[inline(never)]
    fn seek(&self) -> *mut c_void {
        let me = kernel::thread();
        if self.seeker.load(Ordering::Relaxed) == me {
            return core::ptr::null_mut();
        }
        // Several threads may look at once, and find the same.
        self.seeker.store(me, Ordering::Relaxed);
        // SAFETY: the name ends in NUL.
        let mut found = unsafe { dlsym(RTLD_NEXT, self.name.as_ptr()) };
        if found.is_null() && self.anywhere {
            found = anywhere(self.name);
        }
        self.seeker.store(0, Ordering::Relaxed);
        self.found.store(found, Ordering::Relaxed);
        found
    }
}

/// Looks for a name in each loaded library, and in those that it needs. A library that was loaded for one other
/// library alone (a plugin's) is not among those that come next. The one that is found stays loaded.
///
/// The names of the libraries are copied while the loader holds its lock, and looked into once it does not: what the
/// loader is asked then takes locks of its own.
fn anywhere(name: &CStr) -> *mut c_void {
    // Room of the shim's own, so that nothing is allocated under the loader's lock.
    let mut names = Names(Vec::with_capacity(NAMES_MAX));
    // SAFETY: the callback gets the names, which outlive the call.
    unsafe { dl_iterate_phdr(note_name, (&raw mut names).cast()) };
    for path in names.0.split_inclusive(|byte| *byte == 0) {
        let Ok(path) = CStr::from_bytes_with_nul(path) else {
            continue;
        };
        // SAFETY: a name that ends in NUL, of a library that is loaded already, or is not any more: nothing is run.
        let handle = unsafe { dlopen(path.as_ptr(), RTLD_LAZY | RTLD_NOLOAD) };
        if handle.is_null() {
            continue;
        }
        // SAFETY: a handle of above, and a name that ends in NUL.
        let found = unsafe { dlsym(handle, name.as_ptr()) };
        // Of the shim itself it is what is looked for that is to come behind it.
        if !found.is_null() && !is_own(found) {
            return found;
        }
        // SAFETY: opened above.
        unsafe { dlclose(handle) };
    }
    core::ptr::null_mut()
}

/// Room for the names of libraries: some thousands.
const NAMES_MAX: usize = 1 << 20;

/// Names of libraries, each with its NUL.
struct Names(Vec<u8>);

extern "C" fn note_name(loaded: *mut Loaded, _: usize, names: *mut c_void) -> c_int {
    // SAFETY: the loader's description of an object, and the names of `anywhere`, which nobody else has.
    let (loaded, names) = unsafe { (&*loaded, &mut *names.cast::<Names>()) };
    if !loaded.name.is_null() {
        // SAFETY: a name of the loader's.
        let name = unsafe { CStr::from_ptr(loaded.name) }.to_bytes_with_nul();
        // The program itself has none.
        if name.len() > 1 && name.len() <= names.0.capacity() - names.0.len() {
            names.0.extend_from_slice(name);
        }
    }
    0
}

/// The path of the file that an address belongs to; empty where nobody knows.
pub(crate) fn file_of(address: *const c_void) -> &'static [u8] {
    let mut found = Place::default();
    // SAFETY: any address may be asked for.
    let known = unsafe { dladdr(address, &raw mut found) } != 0;
    if !known || found.file.is_null() {
        return &[];
    }
    // SAFETY: a name of the loader's, which stays as long as the library: those that are asked for stay loaded.
    unsafe { CStr::from_ptr(found.file) }.to_bytes()
}

/// Whether an address lies in the shim.
fn is_own(address: *mut c_void) -> bool {
    let base = |address: *const c_void| {
        let mut found = Place::default();
        // SAFETY: any address may be asked for.
        let known = unsafe { dladdr(address, &raw mut found) } != 0;
        known.then_some(found.base)
    };
    base(address) == base((&raw const SYSCALL).cast())
}

const RTLD_LAZY: c_int = 1;
const RTLD_NOLOAD: c_int = 4;

/// `Dl_info`
#[repr(C)]
struct Place {
    file: *const c_char,
    base: usize,
    symbol: usize,
    address: usize,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            file: core::ptr::null(),
            base: 0,
            symbol: 0,
            address: 0,
        }
    }
}

/// `struct dl_phdr_info`, as far as it is looked at.
#[repr(C)]
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "some of it is for the trap")
)]
pub(crate) struct Loaded {
    pub(crate) address: usize,
    pub(crate) name: *const c_char,
    pub(crate) headers: *const Segment,
    pub(crate) headers_count: u16,
}

/// `Elf64_Phdr`
#[repr(C)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "for the trap"))]
pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) physical: u64,
    pub(crate) file_size: u64,
    pub(crate) memory_size: u64,
    pub(crate) align: u64,
}

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlclose(handle: *mut c_void) -> c_int;
    fn dladdr(address: *const c_void, place: *mut Place) -> c_int;
    /// Runs a function with each object, under the loader's lock.
    pub(crate) fn dl_iterate_phdr(
        callback: extern "C" fn(*mut Loaded, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
}

/// Where `syscall` goes on, once it is known: read by its own code.
pub(crate) static SYSCALL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

static NEXT_SYSCALL: Next = Next::new(c"syscall");
static NEXT_CLOSE: Next = Next::new(c"close");
static NEXT_FREE: Next = Next::new(c"free");

/// Where `setcontext` goes on.
#[cfg(target_arch = "x86_64")]
pub(crate) fn setcontext_address() -> *mut c_void {
    static NEXT: Next = Next::new(c"setcontext");
    NEXT.address()
}

/// Where `swapcontext` goes on.
#[cfg(target_arch = "x86_64")]
pub(crate) fn swapcontext_address() -> *mut c_void {
    static NEXT: Next = Next::new(c"swapcontext");
    NEXT.address()
}

/// Where `close` goes on.
pub(crate) fn close_address() -> *mut c_void {
    NEXT_CLOSE.address()
}

/// Where `syscall` goes on; from then on its own code knows too.
fn syscall_address() -> *mut c_void {
    let address = NEXT_SYSCALL.address();
    SYSCALL.store(address, Ordering::Relaxed);
    address
}

/// `syscall`
///
/// # Safety
///
/// As for the system call.
pub(crate) unsafe fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    type Syscall = unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;
    let mut address = SYSCALL.load(Ordering::Relaxed);
    if address.is_null() {
        address = syscall_address();
    }
    if address.is_null() {
        return -1;
    }
    // SAFETY: the function of that name takes a number and six words at most; those that a call does not
    // have are not looked at.
    let function: Syscall = unsafe { core::mem::transmute(address) };
    // SAFETY: the caller's promise.
    unsafe { function(number, a, b, c, d, e, f) }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $symbol:literal ($($argument:ident: $kind:ty),*) -> $result:ty, else $missing:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// As for the function of that name.
            #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "some are of the trap"))]
            pub(crate) unsafe fn $name($($argument: $kind),*) -> $result {
                let address = $name::NEXT.address();
                if address.is_null() {
                    return $missing;
                }
                type Function = unsafe extern "C" fn($($kind),*) -> $result;
                // SAFETY: the function of that name in the C library has this signature.
                let function = unsafe { core::mem::transmute::<*mut c_void, Function>(address) };
                // SAFETY: the caller's promise.
                unsafe { function($($argument),*) }
            }

            mod $name {
                pub(super) static NEXT: super::Next = super::Next::new($symbol);
            }
        )*

        /// Looks all of them up, while nothing is going on yet: later a first call may come from a handler of a
        /// signal, or in a forked child, where nobody may ask the loader.
        pub(crate) fn prepare() {
            $($name::NEXT.address();)*
            #[cfg(target_arch = "x86_64")]
            let _ = (setcontext_address(), swapcontext_address());
            close_address();
            syscall_address();
            NEXT_FREE.address();
            // SAFETY: a constant that ends in NUL.
            let free = unsafe { dlsym(RTLD_DEFAULT, c"free".as_ptr()) };
            PROGRAMS_FREE.store(free, Ordering::Relaxed);
            find_single();
            let is_plain = |address: *mut c_void| {
                let file = file_of(address);
                let name = file.rsplit(|byte| *byte == b'/').next().unwrap_or(file);
                name.starts_with(b"libc.so.6") || name.starts_with(b"libc-2")
            };
            let plain = is_plain(NEXT_FREE.address()) && is_plain(usable_size::NEXT.address());
            // Where memory has tags, the word before a block has another one.
            let is_plain = plain && cfg!(target_arch = "x86_64");
            IS_PLAIN.store(is_plain, Ordering::Relaxed);
            if is_plain {
                PLAIN_FREE.store(NEXT_FREE.address(), Ordering::SeqCst);
                // Another thread may have begun to ask more meanwhile.
                if IS_ASKED_MORE.load(Ordering::SeqCst) {
                    PLAIN_FREE.store(core::ptr::null_mut(), Ordering::SeqCst);
                }
            }
        }
    };
}

/// `__NR_epoll_pwait2`, on all architectures.
const EPOLL_PWAIT2: c_long = 441;
/// Bytes of the kernel's set of signals.
const SIGNAL_BYTES: usize = 8;

functions! {
    /// `close_range`
    close_range = c"close_range" (first: u32, last: u32, flags: c_int) -> c_int, else -1;
    /// `closefrom`
    closefrom = c"closefrom" (first: c_int) -> (), else {
        // C libraries before 2.34 do not have it: a program that looks for it finds the shim's.
        let (first, last) = (first.max(0) as usize, u32::MAX as usize);
        // SAFETY: the caller's promise.
        unsafe { syscall(kernel::CLOSE_RANGE, first, last, 0, 0, 0, 0) };
    };
    /// `dup2`
    dup2 = c"dup2" (old: c_int, new: c_int) -> c_int, else -1;
    /// `dup3`
    dup3 = c"dup3" (old: c_int, new: c_int, flags: c_int) -> c_int, else -1;
    /// `fileno`
    fileno = c"fileno" (file: *mut c_void) -> c_int, else -1;
    /// `fclose`
    fclose = c"fclose" (file: *mut c_void) -> c_int, else -1;
    /// `freopen`
    freopen = c"freopen" (path: *const c_char, mode: *const c_char, file: *mut c_void) -> *mut c_void,
        else core::ptr::null_mut();
    /// `freopen64`
    freopen64 = c"freopen64" (path: *const c_char, mode: *const c_char, file: *mut c_void) -> *mut c_void,
        else core::ptr::null_mut();
    /// `prctl`
    prctl = c"prctl" (option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int, else -1;
    /// `munmap`
    munmap = c"munmap" (start: *mut c_void, len: usize) -> c_int, else -1;
    /// `realloc`
    realloc = c"realloc" (block: *mut c_void, size: usize) -> *mut c_void, else core::ptr::null_mut();
    /// `sigaction`
    sigaction = c"sigaction" (signal: c_int, new: *const c_void, old: *mut c_void) -> c_int, else -1;
    /// `signal`
    signal = c"signal" (number: c_int, new: usize) -> usize, else usize::MAX;
    /// `sigprocmask`
    sigprocmask = c"sigprocmask" (how: c_int, set: *const c_void, old: *mut c_void) -> c_int, else -1;
    /// `pthread_sigmask`
    pthread_sigmask = c"pthread_sigmask" (how: c_int, set: *const c_void, old: *mut c_void) -> c_int, else -1;
    /// `__sigpause`
    __sigpause = c"__sigpause" (number: c_int, is_signal: c_int) -> c_int, else -1;
    /// `sigsuspend`
    sigsuspend = c"sigsuspend" (set: *const c_void) -> c_int, else -1;
    /// `__sigsuspend`
    __sigsuspend = c"__sigsuspend" (set: *const c_void) -> c_int, else -1;
    /// `ppoll`
    ppoll = c"ppoll" (fds: usize, count: usize, timeout: usize, set: *const c_void) -> c_int, else -1;
    /// `__ppoll_chk`
    __ppoll_chk = c"__ppoll_chk" (fds: usize, count: usize, timeout: usize, set: *const c_void, size: usize) -> c_int,
        else -1;
    /// `pselect`
    pselect = c"pselect" (
        count: c_int, read: usize, write: usize, error: usize, timeout: usize, set: *const c_void
    ) -> c_int, else -1;
    /// `epoll_pwait`
    epoll_pwait = c"epoll_pwait" (
        fd: c_int, events: usize, count: c_int, timeout: c_int, set: *const c_void
    ) -> c_int, else -1;
    /// `epoll_pwait2`, which C libraries before 2.35 do not have: a program that looks for it finds the shim's, so the
    /// kernel is asked, and says by `errno` where it does not know it either.
    epoll_pwait2 = c"epoll_pwait2" (
        fd: c_int, events: usize, count: c_int, timeout: usize, set: *const c_void
    ) -> c_int, else {
        let (set, bytes) = (set as usize, SIGNAL_BYTES);
        // SAFETY: the caller's promise; the call takes what the function takes, and how long the set is.
        unsafe { syscall(EPOLL_PWAIT2, fd as usize, events, count as usize, timeout, set, bytes) as c_int }
    };
    /// `pthread_attr_setsigmask_np`
    pthread_attr_setsigmask_np = c"pthread_attr_setsigmask_np" (attributes: usize, set: *const c_void) -> c_int, else 38;
    /// `sigblock`
    sigblock = c"sigblock" (set: c_int) -> c_int, else -1;
    /// `sigsetmask`
    sigsetmask = c"sigsetmask" (set: c_int) -> c_int, else -1;
    /// `sighold`
    sighold = c"sighold" (number: c_int) -> c_int, else -1;
    /// `sigignore`
    sigignore = c"sigignore" (number: c_int) -> c_int, else -1;
    /// `sigset`
    sigset = c"sigset" (number: c_int, new: usize) -> usize, else usize::MAX;
    /// `bsd_signal`
    bsd_signal = c"bsd_signal" (number: c_int, new: usize) -> usize, else usize::MAX;
    /// `ssignal`
    ssignal = c"ssignal" (number: c_int, new: usize) -> usize, else usize::MAX;
    /// `sysv_signal`
    sysv_signal = c"sysv_signal" (number: c_int, new: usize) -> usize, else usize::MAX;
    /// `__sysv_signal`
    __sysv_signal = c"__sysv_signal" (number: c_int, new: usize) -> usize, else usize::MAX;
    /// `malloc_usable_size`
    usable_size = c"malloc_usable_size" (block: *mut c_void) -> usize, else 0;
}

type Free = unsafe extern "C" fn(*mut c_void);

/// `free`, where it was looked up already.
#[inline(always)]
pub(crate) fn free_at_hand() -> Option<Free> {
    let address = NEXT_FREE.found.load(Ordering::Relaxed);
    // SAFETY: null is `None`; the function of that name in the C library has this signature.
    unsafe { core::mem::transmute::<*mut c_void, Option<Free>>(address) }
}

/// `free`, while blocks are the C library's own and nothing is to be asked before it but whether a block is watched: one
/// look for all that. Null else.
static PLAIN_FREE: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static IS_ASKED_MORE: AtomicBool = AtomicBool::new(false);

/// From here on more is to be asked before a free.
pub(crate) fn ask_more_before_free() {
    IS_ASKED_MORE.store(true, Ordering::SeqCst);
    PLAIN_FREE.store(core::ptr::null_mut(), Ordering::SeqCst);
}

/// `free`, where nothing is to be asked before it but whether a block is watched, of which [`plain_block_size`] knows the
/// size.
#[inline(always)]
pub(crate) fn plain_free() -> Option<Free> {
    let address = PLAIN_FREE.load(Ordering::Relaxed);
    // SAFETY: as in `free_at_hand`.
    unsafe { core::mem::transmute::<*mut c_void, Option<Free>>(address) }
}

/// `free`
///
/// # Safety
///
/// As for the function of that name.
pub(crate) unsafe fn free(block: *mut c_void) {
    NEXT_FREE.address();
    if let Some(free) = free_at_hand() {
        // SAFETY: the caller's promise.
        unsafe { free(block) }
    }
}

/// Whether blocks are the C library's own.
static IS_PLAIN: AtomicBool = AtomicBool::new(false);

/// Bytes of a block that is about to be given to `free` or `realloc`.
pub(crate) fn block_size(block: *mut c_void) -> usize {
    if !IS_PLAIN.load(Ordering::Relaxed) || block.is_null() {
        // SAFETY: a block of the allocator's, or null.
        return unsafe { usable_size(block) };
    }
    // SAFETY: as in `block_size_at_hand`. The second flag says that the block is a mapping of its own, which ends where
    // the block does; any other has the first word behind it too.
    let word = unsafe { block.cast::<usize>().sub(1).read() };
    let heads = if word & 2 == 0 { 1 } else { 2 };
    (word & !7).saturating_sub(heads * size_of::<usize>())
}

/// As [`block_size`], maybe some bytes more, without a call: a call would cost more than all else that is done for a
/// block that nobody watches. Of the C library's own blocks the word before them is read, as `free` is about to do; of
/// others nothing is known.
#[inline(always)]
pub(crate) fn block_size_at_hand(block: *mut c_void) -> Option<usize> {
    // SAFETY: a block of the C library's.
    IS_PLAIN
        .load(Ordering::Relaxed)
        .then(|| unsafe { plain_block_size(block) })
}

/// Bytes of a block, maybe some more.
///
/// # Safety
///
/// It is one of the C library's own.
#[inline(always)]
pub(crate) unsafe fn plain_block_size(block: *mut c_void) -> usize {
    // SAFETY: the word before a block of the C library's: how far it is to the next such word, and flags in its low bits.
    let word = unsafe { block.cast::<usize>().sub(1).read() };
    (word & !7).wrapping_sub(size_of::<usize>())
}

/// `__libc_single_threaded`, a byte of the C library's (since 2.32) that is not 0 while the process has one thread, or
/// one of the shim's own that is 0.
static SINGLE: AtomicPtr<u8> = AtomicPtr::new((&raw const MANY).cast_mut());
static MANY: u8 = 0;

fn find_single() {
    // SAFETY: the name ends in NUL.
    let found = unsafe { dlsym(RTLD_NEXT, c"__libc_single_threaded".as_ptr()) };
    if !found.is_null() {
        SINGLE.store(found.cast(), Ordering::Relaxed);
    }
}

/// Whether this is the only thread of the process, as far as the C library knows: it makes them. One that a program makes
/// by `clone` itself it does not know of; such threads share the pointer that [`kernel::thread`] goes by, unless they
/// bring their own.
#[inline(always)]
pub(crate) fn is_alone() -> bool {
    // SAFETY: a byte that is always there, which the C library writes before it makes a second thread.
    unsafe { SINGLE.load(Ordering::Relaxed).read_volatile() != 0 }
}

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// `errno` of this thread.
pub(crate) fn errno() -> c_int {
    // SAFETY: the location is the calling thread's own.
    unsafe { *__errno_location() }
}

/// Sets `errno` of this thread.
pub(crate) fn set_errno(number: c_int) {
    // SAFETY: the location is the calling thread's own.
    unsafe { *__errno_location() = number };
}
