//! Files that were loaded after the loader was asked: found by an address on a call stack, without its lock
//! ([`loader`]).

use core::sync::atomic::Ordering;

use super::{Module, TABLE, describe, known, path_of, word_in};
use crate::recorder::notes::{self, BuildId};
use crate::recorder::sys::ProgramHeader;
use crate::recorder::{loader, process};

/// The file that was loaded late and that the latest frame of a stack lay in: most of its neighbours do too.
#[derive(Default)]
pub(crate) struct Latest(Option<(usize, Module)>);

/// As [`super::word`], for what was loaded since. `write` puts a module into the trace; only then others see it.
pub(crate) fn late_word(
    latest: &mut Latest,
    address: u64,
    write: impl FnOnce(usize, &Module, &[u8]) -> bool,
) -> Option<u64> {
    if let Some((index, module)) = &latest.0
        && module.has_code(address)
    {
        return Some(word_in(*index, module, address));
    }
    let (index, module) = late_module(address, write)?;
    latest.0 = Some((index, module));
    Some(word_in(index, &module, address))
}

/// What there was at an address.
struct Seen {
    module: Module,
    path: [u8; 1024],
    path_len: usize,
}

impl Seen {
    fn path(&self) -> &[u8] {
        self.path.get(..self.path_len).unwrap_or(&[])
    }
}

/// What there is at an address, if the loader has the same still when all was read.
#[inline(never)]
fn look(address: u64) -> Option<Seen> {
    let object = loader::object_at(address)?;
    let build_id = |header: &ProgramHeader| {
        BuildId::among(object.segment(header, &mut [0; notes::BYTES]), header.align)
    };
    let mut path = [0; 1024];
    let seen = Seen {
        module: describe(object.bias(), object.headers(), build_id),
        path_len: object.path(&mut path).len(),
        path,
    };
    (seen.module.has_code(address) && object.is_loaded()).then_some(seen)
}

/// As [`look`], and sure of it: while one was read the file may have been unloaded and loaded again to the same place,
/// and seen half made. So a second look, behind the first one's last question to the loader, has to say the same.
fn look_twice(address: u64) -> Option<Seen> {
    let (first, second) = (look(address)?, look(address)?);
    (first.module == second.module && first.path() == second.path()).then_some(second)
}

fn late_module(
    address: u64,
    write: impl FnOnce(usize, &Module, &[u8]) -> bool,
) -> Option<(usize, Module)> {
    let Seen { module, .. } = look(address)?;
    let is_it = |known: &Module| {
        (known.bias, known.base, known.size) == (module.bias, module.base, module.size)
            && known.build_id == module.build_id
    };
    if let Some(index) = known().iter().position(is_it) {
        return Some((index, module));
    }
    let seen = look_twice(address).filter(|seen| seen.module == module)?;
    let adding = &process::current()?.adding_module;
    // Somebody else adds one, or this is a handler that interrupted it: the next stack will know.
    if adding.swap(true, Ordering::Acquire) {
        return None;
    }
    // Whoever held it until now may have added this very one.
    let mut index = known().iter().position(is_it);
    if index.is_none() {
        // SAFETY: `adding_module` is ours.
        let put = unsafe { TABLE.put(module, seen.path()) };
        index = put.filter(|index| {
            // SAFETY: just written, and seen by this thread alone.
            let kept = unsafe { TABLE.unpublished(*index) };
            write(*index, &kept, path_of(&kept))
        });
        if let Some(index) = index {
            TABLE.publish(index);
        }
    }
    // Release pairs with the Acquire of whoever adds the next one.
    adding.store(false, Ordering::Release);
    Some((index?, module))
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::recorder::modules::collected;

    /// A library that is on every machine with this C library, and that nobody here uses.
    fn load(name: &CStr, symbol: &CStr) -> (*mut libc::c_void, u64) {
        // SAFETY: libraries of the C library's own, whose initialisers do nothing; the symbol is looked up only.
        unsafe {
            let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOW);
            assert!(!library.is_null(), "no {name:?}");
            let address = libc::dlsym(library, symbol.as_ptr());
            assert!(!address.is_null(), "no {symbol:?}");
            (library, address as u64)
        }
    }

    fn unload(library: *mut libc::c_void) {
        // SAFETY: opened by `load`, closed once, and nothing of it is used any more.
        assert_eq!(unsafe { libc::dlclose(library) }, 0);
    }

    #[cfg(feature = "assert")]
    const RESOLVER: (&CStr, &CStr) = (c"libresolv.so.2", c"ns_get16");
    #[cfg(feature = "assert")]
    const NAMES: (&CStr, &CStr) = (c"libnss_compat.so.2", c"_nss_compat_endgrent");

    /// An address that a wrong frame pointer led to may be of a library that another thread unloads right now.
    #[test]
    fn library_that_is_unloaded_meanwhile_is_no_fault() {
        use std::sync::atomic::AtomicU64;
        const LIBRARY: (&CStr, &CStr) = (c"libBrokenLocale.so.1", c"__ctype_get_mb_cur_max");
        const ROUNDS: u64 = 1000;
        let _ = collected();
        let (latest, mut wrong) = (AtomicU64::new(0), Vec::new());
        let [there, gone] = [const { AtomicU64::new(0) }; 2];
        // Until the other thread has seen it so, now and then.
        let wait_for = |seen: &AtomicU64, round| {
            let before = seen.load(Ordering::Relaxed);
            while round % 64 == 0 && seen.load(Ordering::Relaxed) == before {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            let churn = scope.spawn(|| {
                for round in 0..ROUNDS {
                    let (library, address) = load(LIBRARY.0, LIBRARY.1);
                    latest.store(address, Ordering::Relaxed);
                    wait_for(&there, round);
                    unload(library);
                    wait_for(&gone, round);
                }
            });
            while !churn.is_finished() {
                match look_twice(latest.load(Ordering::Relaxed)) {
                    Some(seen) => {
                        there.fetch_add(1, Ordering::Relaxed);
                        let path = seen.path();
                        if !path.ends_with(b"/libBrokenLocale.so.1") {
                            wrong.push(String::from_utf8_lossy(path).into_owned());
                        }
                    }
                    None => {
                        gone.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        assert_eq!(wrong, [] as [String; 0]);
    }

    /// A child of `vfork` has its parent's memory, and finds a thread of the parent in the middle of adding a module.
    #[cfg(feature = "assert")]
    #[test]
    fn child_of_vfork_does_not_add_a_module_into_its_parents_hands() {
        extern "C" fn child(address: *mut libc::c_void) -> libc::c_int {
            let mut wrote = false;
            let found = late_word(&mut Latest::default(), address as u64, |_, _, _| {
                wrote = true;
                false
            });
            libc::c_int::from(wrote) << 1 | libc::c_int::from(found.is_some())
        }
        /// What `child` answered: it runs while this thread waits, in this memory, as the C library starts programs.
        fn vfork(address: u64) -> i32 {
            let mut stack = vec![0u64; 1 << 15];
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            let mut status = 0;
            // SAFETY: the child has a stack of its own, only looks at memory, and has ended when this goes on.
            unsafe {
                let top = stack.as_mut_ptr_range().end;
                let pid = libc::clone(child, top.cast(), flags, address as *mut libc::c_void);
                assert!(pid > 0, "{}", std::io::Error::last_os_error());
                assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
            }
            assert!(libc::WIFEXITED(status), "{status:#x}");
            libc::WEXITSTATUS(status)
        }
        crate::recorder::start_in_process(64);
        let (first, in_first) = load(RESOLVER.0, RESOLVER.1);
        let (second, in_second) = load(NAMES.0, NAMES.1);
        let mut answers = Vec::new();
        let found = late_word(&mut Latest::default(), in_first, |_, _, path| {
            answers.push(vfork(in_second));
            path.ends_with(b"/libresolv.so.2")
        });
        assert!(found.is_some());
        assert_eq!(
            answers,
            [0],
            "the child neither adds its module nor believes in it"
        );
        // Nobody holds the table now: the child adds it, but for the trace, which refuses.
        assert_eq!(vfork(in_second), 0b10);
        let (known_now, word) = (
            known().len(),
            late_word(&mut Latest::default(), in_second, |_, _, _| true),
        );
        assert_eq!(word.map(|word| word >> 48), Some(known_now as u64 + 1));
        unload(first);
        unload(second);
    }
}
