//! A program that writes anything into its queues, at any time: nothing beyond them is looked at, and no poison stays.
//!
//! What it writes comes from numbers that are handed in, at random in the unit test, by the fuzzer in `fuzz`.

use core::sync::atomic::{AtomicU32, Ordering};

use probe::preload::{self, Look};
use probe::ring::Submissions;

use super::{Followed, Made, Queues};
use crate::kernel;

const PAGE: usize = 4096;

/// Numbers that decide what the program does.
pub(crate) trait Numbers {
    /// A number below another one.
    fn below(&mut self, end: u64) -> u64;

    /// Whether there are any left.
    fn has_more(&self) -> bool;

    /// Any number.
    fn any(&mut self) -> u64 {
        self.below(1 << 32) << 32 | self.below(1 << 32)
    }
}

/// Memory at whose end nothing is mapped: a look beyond it ends the process by a signal.
struct Fenced {
    start: *mut u8,
    whole: usize,
    bytes: usize,
}

impl Fenced {
    fn new(bytes: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        const MPROTECT: i64 = 10;
        #[cfg(target_arch = "aarch64")]
        const MPROTECT: i64 = 226;
        let whole = bytes.next_multiple_of(PAGE);
        let start = kernel::map(None, whole + PAGE).expect("memory");
        let fence = start as usize + whole;
        // SAFETY: the last page of the mapping just made.
        let closed = unsafe { kernel::call(MPROTECT as _, [fence, PAGE, 0, 0, 0, 0]) };
        assert_eq!(closed, 0);
        Self {
            start,
            whole,
            bytes,
        }
    }

    fn at(&self) -> *mut u8 {
        self.start.wrapping_add(self.whole - self.bytes)
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: a mapping of its own, of which nobody looks at anything any more.
        unsafe { kernel::unmap(self.start, self.whole + PAGE) };
    }
}

/// Begins a recording in this process, so that the hooks behind the looks do all that they ever do.
pub(crate) fn record() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("tracer-follow-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&folder, mode.clone()).unwrap();
        let session = folder.join("session");
        std::fs::write(&session, "protocol=1\nchunks=16\nmode=ring\n").unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&session, mode).unwrap();
        // SAFETY: nobody else in this process looks at the environment.
        unsafe { std::env::set_var("TRACER_DIR", &folder) };
        preload::is_shim();
        probe::mark("it records");
        let files = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(files, 2, "a session and a process's file");
        std::fs::remove_dir_all(&folder).unwrap();
    });
}

/// A ring's memory, beside which nothing is mapped.
pub(crate) struct Memory {
    words: Fenced,
    array: Fenced,
    sqes: Fenced,
    cqes: Fenced,
}

impl Memory {
    /// Room for queues of such sizes, with entries of `1 << shift` times the plain size.
    pub(crate) fn new((sq, sqe_shift): (u32, u32), (cq, cqe_shift): (u32, u32)) -> Self {
        Self {
            words: Fenced::new(6 * 4),
            array: Fenced::new(sq as usize * 4),
            sqes: Fenced::new((sq as usize * 64) << sqe_shift),
            cqes: Fenced::new((cq as usize * 16) << cqe_shift),
        }
    }

    /// Head and tail of the submission queue, its flags, tail and overflow of the completion queue, and its
    /// head.
    pub(crate) fn word(&self, index: usize) -> *const AtomicU32 {
        let words = self.words.at().cast::<AtomicU32>();
        words.wrapping_add(index).cast_const()
    }
}

/// One ring, from its making to its end.
pub(crate) fn run(numbers: &mut impl Numbers) {
    let (sq, cq) = (1u32 << numbers.below(6), 1u32 << numbers.below(7));
    let (sqe_shift, cqe_shift) = (numbers.below(2) as u32, numbers.below(2) as u32);
    let memory = Memory::new((sq, sqe_shift), (cq, cqe_shift));
    let word = |index: usize| memory.word(index);
    let slots = memory.array.at().cast::<AtomicU32>();
    let queues = Queues {
        sq_head: word(0),
        sq_tail: word(1),
        sq_flags: word(2),
        submissions: Submissions {
            array: if numbers.below(3) == 0 {
                core::ptr::null()
            } else {
                slots
            },
            entries: memory.sqes.at().cast(),
            count: sq,
            shift: sqe_shift,
        },
        cq_head: word(5),
        cq_tail: word(3),
        cq_overflow: word(4),
        cqes: memory.cqes.at().cast_const().cast(),
        cq_entries: cq,
        cqe_shift,
        lent: [(0, 0); 2],
    };
    let made = Made {
        fd: -1,
        number: 1,
        setup: numbers.below(1 << 32) as u32,
        features: 0,
    };
    // SAFETY: the memory is nobody else's, and stays.
    let mut ring = unsafe { Followed::new(queues, made) };
    // What looks like poison and is the program's own word: a fuzzer reads the constant out of the comparison.
    let mut its_own = Vec::new();
    while numbers.has_more() {
        // Mostly what a program may do: a few entries, a few completions; else anything.
        let index = numbers.below(6) as usize;
        let value = match numbers.below(4) {
            0 => numbers.below(1 << 32) as u32,
            _ => {
                // SAFETY: one of the words above.
                let now = unsafe { (*word(index)).load(Ordering::Relaxed) };
                now.wrapping_add(numbers.below(5) as u32)
            }
        };
        let place = numbers.below(u64::from(sq)) as usize;
        let (slot, field) = (numbers.below(40) as u32, numbers.below(8) as usize);
        // SAFETY: as above; an entry lies within its queue.
        unsafe {
            (*word(index)).store(value, Ordering::Relaxed);
            (*slots.wrapping_add(place)).store(slot, Ordering::Relaxed);
            let entry = memory
                .sqes
                .at()
                .wrapping_add(place << (6 + sqe_shift))
                .cast::<u64>();
            let written = numbers.any();
            entry.wrapping_add(field).write(written);
            its_own.extend(is_poison(written).then_some(written));
        }
        match numbers.below(8) {
            0 => {
                let tail = numbers.below(1 << 32) as u32;
                Look::take(|look| ring.before_enter(look, Some(tail)));
            }
            1 | 2 => Look::take(|look| ring.before_enter(look, None)),
            3 => Look::take(|look| ring.look(look)),
            4 => {
                let (count, result) = (numbers.below(9) as u32, numbers.below(1 << 32) as i32);
                Look::take(|look| ring.after_enter(look, count, 0, result));
            }
            5 => ring.let_go(),
            _ => Look::take(|look| ring.after_enter(look, 1, 1, 1)),
        }
    }
    ring.let_go();
    for slot in 0..sq {
        // SAFETY: within the queue.
        let cookie = unsafe { (*ring.queues.submissions.entry(slot))[4] };
        assert!(
            !is_poison(cookie) || its_own.contains(&cookie),
            "poison stayed in slot {slot}: {cookie:#x}"
        );
    }
}

/// Whether a cookie looks like one of those that the shim puts into empty slots.
fn is_poison(cookie: u64) -> bool {
    cookie >> 32 == 0xFEED_5EED
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use super::*;
    use crate::rings::{self, Owned};

    /// What a kernel and a program do with a ring of four entries: each goes in, and comes back at once.
    fn turn(memory: &Memory, fd: i32, number: u32) {
        let store = |index: usize, value: u32| {
            // SAFETY: one of the words of the ring's memory.
            unsafe { (*memory.word(index)).store(value, Ordering::Release) };
        };
        let slot = (number % 4) as usize;
        let found = rings::find(fd).expect("the thread's own ring");
        // SAFETY: the slot is the program's: nobody else fills it, and the shim may exchange its cookie alone.
        unsafe {
            let entry = memory.sqes.at().cast::<u64>().wrapping_add(slot * 8);
            entry.write(0);
            (*entry
                .wrapping_add(4)
                .cast::<core::sync::atomic::AtomicU64>())
            .store(u64::from(number), Ordering::Relaxed);
        }
        store(1, number + 1);
        let before = found.with(|ring| Look::take(|look| ring.before_enter(look, None)));
        assert!(before.is_some());
        // SAFETY: the completion's place is the kernel's until the tail says otherwise.
        unsafe {
            let place = memory.cqes.at().cast::<[u64; 2]>().wrapping_add(slot);
            place.write([u64::from(number), 0]);
        }
        store(0, number + 1);
        store(3, number + 1);
        found.with(|ring| Look::take(|look| ring.after_enter(look, 1, 1, 1)));
    }

    /// A ring of four entries.
    fn owned(memory: &Memory, fd: i32, number: u32) -> Owned {
        let queues = Queues {
            sq_head: memory.word(0),
            sq_tail: memory.word(1),
            sq_flags: memory.word(2),
            submissions: Submissions {
                array: core::ptr::null(),
                entries: memory.sqes.at().cast(),
                count: 4,
                shift: 0,
            },
            cq_head: memory.word(5),
            cq_tail: memory.word(3),
            cq_overflow: memory.word(4),
            cqes: memory.cqes.at().cast_const().cast(),
            cq_entries: 4,
            cqe_shift: 0,
            lent: [(0, 0); 2],
        };
        let made = Made {
            fd,
            number,
            setup: 0,
            features: 0,
        };
        // SAFETY: the memory is the caller's, who keeps it until the ring is taken out.
        let ring = unsafe { Followed::new(queues, made) };
        Owned {
            ring,
            mappings: [(core::ptr::null_mut(), 0); 3],
        }
    }

    /// Who counts on the rings of the table being its own.
    static TABLE: std::sync::Mutex<()> = std::sync::Mutex::new(());

    #[test]
    fn poison_of_another_ring_is_put_back_in_one_that_is_recorded_no_more() {
        /// Set where nothing at all is recorded any more: in a process of its own.
        const STOPPED: &str = "TRACER_TEST_STOPPED";
        let is_stopped = std::env::var_os(STOPPED).is_some();
        if !is_stopped {
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let name = std::thread::current().name().unwrap().to_owned();
            again.args(["--exact", &name]).env(STOPPED, "1");
            let ran = again.output().unwrap();
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success() && said.contains("1 passed"), "{ran:?}");
        }
        let _alone = TABLE.lock().unwrap();
        record();
        let memories = [0, 1].map(|_| Memory::new((4, 0), (4, 0)));
        let cookie = |memory: &Memory| {
            let entry = memory.sqes.at().cast::<u64>();
            entry.wrapping_add(4).cast::<AtomicU64>()
        };
        for (fd, memory) in (200..).zip(&memories) {
            assert!(rings::insert(fd, owned(memory, fd, 0)).is_ok());
        }
        turn(&memories[0], 200, 0);
        // SAFETY: a word of an entry of the memory above.
        let poison = unsafe { (*cookie(&memories[0])).load(Ordering::Relaxed) };
        assert!(is_poison(poison));
        // SAFETY: as above, and the tail of its queue.
        unsafe {
            (*cookie(&memories[1])).store(poison + 1, Ordering::Relaxed);
            (*memories[1].word(1)).store(1, Ordering::Release);
        }
        let other = rings::find(201).unwrap();
        // SAFETY: as above.
        let now = || unsafe { (*cookie(&memories[1])).load(Ordering::Relaxed) };
        other.with(|ring| {
            if is_stopped {
                probe::stop_recording("nothing is recorded any more");
                assert!(!probe::is_recording());
            } else {
                ring.hooks.forget();
            }
            Look::take(|look| ring.before_enter(look, None));
        });
        // Nobody wrote the word of the slot beside it.
        assert_eq!(now(), poison + 1);
        // SAFETY: as above.
        unsafe {
            (*cookie(&memories[1])).store(poison, Ordering::Relaxed);
        }
        other.with(|ring| {
            ring.scanned = 0;
            Look::take(|look| ring.before_enter(look, None));
        });
        assert_eq!(now(), 0);
        for fd in [200, 201] {
            assert!(rings::find(fd).and_then(|it| it.remove(|_| {})).is_some());
        }
    }

    #[test]
    fn what_was_published_meanwhile_is_anothers_even_where_the_kernel_took_it() {
        let _alone = TABLE.lock().unwrap();
        record();
        // A timeout that liburing adds to a wait, and an entry of anybody's.
        for (head, cookie, poisoned) in [(11, u64::MAX, 2), (11, 7, 0), (0, u64::MAX, 0)] {
            let memory = Memory::new((4, 0), (4, 0));
            let mut ring = owned(&memory, 202, 0).ring;
            let store = |index: usize, value: u32| {
                // SAFETY: one of the words of the ring's memory.
                unsafe { (*memory.word(index)).store(value, Ordering::Release) };
            };
            store(1, 1);
            Look::take(|look| ring.before_enter(look, None));
            // SAFETY: the second entry of the memory above.
            unsafe {
                let entry = memory.sqes.at().cast::<u64>().wrapping_add(8);
                entry.write(head);
                entry.wrapping_add(4).write(cookie);
            }
            store(1, 2);
            store(0, 2);
            Look::take(|look| ring.after_enter(look, 1, 0, 1));
            let is_poisoned = |slot: &u32| {
                // SAFETY: within the queue.
                is_poison(unsafe { (*ring.queues.submissions.entry(*slot))[4] })
            };
            assert_eq!(
                (0..4).filter(is_poisoned).count(),
                poisoned,
                "{head} {cookie}"
            );
        }
    }

    /// Where what is kept for good can still be found: else it counts as leaked.
    static KEPT: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());

    #[test]
    fn threads_make_and_end_rings_while_others_look_at_all_of_them() {
        let _alone = TABLE.lock().unwrap();
        record();
        let work = |thread: i32| {
            // Kept for good: the thread sanitizer does not see that memory is given back and used again.
            let memories: Vec<Memory> = (0..40).map(|_| Memory::new((4, 0), (4, 0))).collect();
            for (life, memory) in (0u32..).zip(&memories) {
                let owned = owned(memory, thread, life);
                assert!(rings::insert(thread, owned).is_ok());
                for number in 0..50 {
                    turn(memory, thread, number);
                    if number % 10 == 0 {
                        rings::each(|ring| Look::take(|look| ring.look(look)));
                    }
                }
                let removed = rings::find(thread).and_then(|found| found.remove(|_| {}));
                let mut owned = removed.expect("nobody else ends it");
                owned.ring.let_go();
                assert_eq!(owned.ring.pending(50), 0);
                assert!(rings::find(thread).is_none());
            }
            let kept = memories.leak().as_ptr() as usize;
            KEPT.lock().unwrap().push(kept);
        };
        let threads: Vec<_> = (100..108)
            .map(|thread| std::thread::spawn(move || work(thread)))
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    /// A generator that is the same everywhere (xorshift), for some steps.
    struct Random {
        state: u64,
        left: u32,
    }

    impl Numbers for Random {
        fn below(&mut self, end: u64) -> u64 {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            self.left = self.left.saturating_sub(1);
            self.state % end
        }

        fn has_more(&self) -> bool {
            self.left > 0
        }
    }

    #[test]
    fn whatever_a_program_writes_into_its_queues_nothing_beyond_them_is_looked_at() {
        record();
        let mut random = Random {
            state: 0x9E37_79B9_7F4A_7C15,
            left: 0,
        };
        for _ in 0..300 {
            random.left = 2_000;
            run(&mut random);
        }
        // Short ones end before anything is amiss with them, and poison is still about.
        for life in 0..3_000 {
            random.left = 20 + life % 100;
            run(&mut random);
        }
    }
}
