/* tracer.h: the probe for programs in C (C11) and C++ (C++17).
 *
 * A program gives something away as one machine word, to io_uring as user_data or to a library as void *,
 * and takes it back later. These macros say so; `tracer record -- ./program` writes down what they say, and
 * `tracer check` tells which word came back wrong. For liburing include tracer_liburing.h as well: it
 * follows the rings by itself.
 *
 *     struct conn *conn = make_conn();
 *     library_call(on_done, TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, conn, struct conn));   // given away
 *     ...
 *     void on_done(void *data)
 *     {
 *         struct conn *conn = TRACER_RECLAIM(data, struct conn);      // taken back
 *
 * In C++ what is given away is an owner's pointer, and the owner is made from what comes back:
 *
 *     library_call(on_done, TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, conn.release(), Conn));
 *     std::unique_ptr<Conn> conn(TRACER_RECLAIM(data, Conn));
 *
 * A function that wraps these macros names its caller, or every place in the verdict is its own line:
 *
 *     void Reactor::read(int fd, Conn *conn, const char *file = __builtin_FILE(), unsigned line = __builtin_LINE())
 *     {
 *         TRACER_CALLER(file, line);
 *
 * Without a ring two things are judged: what is taken back twice, and what never comes back. Whether the
 * right word came back is known only where it is known which operation it was given to: of rings.
 *
 * Frees are seen where `tracer record` could load its shim beside this library, which it does in all programs but
 * statically linked ones: memory that is freed, moved or unmapped while an operation points at it (T16, and T07 of a block
 * that a cookie points at) is found. Not seen is what an allocator of the program's own does (TRACER_FREEING), and close_range,
 * closefrom and fclose of descriptors. `tracer check` says where frees are not seen, and which rules were told nothing.
 *
 * Building
 *
 *     cargo build --release -p tracer-probe-c
 *     cc -Iprobe/c/include program.c target/release/libtracer_probe_c.a -lpthread -ldl -lm
 *
 * For call stacks (`tracer record --stacks`) both need frame pointers: build the library with
 * RUSTFLAGS="-C force-frame-pointers=yes" and the program with -fno-omit-frame-pointer.
 *
 * These flags make the program smaller: -Wl,--gc-sections, and -s for one without names. In a shared object
 * -Wl,--exclude-libs,libtracer_probe_c.a keeps the library's names inside. A program in Rust that uses the
 * probe itself cannot link this library as well: there would be two probes.
 *
 * -DTRACER_OFF: every macro compiles to nothing (or to the pointer alone), and the library is not needed.
 *
 * -DTRACER_SANITIZERS, with a library that was built with --features sanitizers: sanitizers and Valgrind are told
 * what the kernel does with buffers of read, recv, write and send, recording or not. Their false alarms on correct
 * programs go (what the kernel wrote is initialised; what was done before a submission comes before what is done
 * after its completion; what only the kernel points to is not leaked), and whoever touches a buffer in flight is
 * reported.
 *
 * What it costs and promises
 *
 * Unless `tracer record` started the program, a macro is one load and one branch, inline; its arguments
 * are then not evaluated, except for pointers that it returns. While recording, a macro is one call that does
 * not lock, allocate or wait, and keeps errno; signal handlers may use it. TRACER_RING_CREATED and
 * TRACER_RING_DROPPED are calls in any case and, as the first TRACER_RING_CLAIMED of a ring, use the heap.
 * A shared object that uses the macros must not be unloaded: places are known by the addresses of
 * statics, and beside the shim the next free() would look at what is gone with it, and crash.
 *
 * Macros are expressions but for TRACER_SCOPE_* and TRACER_CALLER, and are used inside functions. They need GNU
 * statement expressions (gcc, clang), also with -std=c11 -pedantic.
 */
#ifndef TRACER_H
#define TRACER_H

#if defined __GNUC__ && !defined TRACER_HEADER_WARNINGS
/* Warnings that a program asks for are about its own code; casts of C in a macro are none of it. */
#pragma GCC system_header
#endif

#include <stddef.h>
#include <stdint.h>

/* Who owns what is given away. */
enum tracer_owner {
	/* One owner, who is gone while the pointer travels: as std::unique_ptr has it. Giving it away a
	 * second time before it came back is a mistake. */
	TRACER_OWNER_UNIQUE = 1,
	/* Several, counted: as std::shared_ptr has it. */
	TRACER_OWNER_SHARED = 3,
	/* Not said: each time it is given away it comes back once, also if that is several times at once. What
	 * TRACER_LEAK says. */
	TRACER_OWNER_CUSTOM = 9,
	/* The word is an index of a table. */
	TRACER_OWNER_INDEX = 10
};

/* How the entries of a ring are filled. */
enum tracer_ring_kind {
	/* Whole entries are copied into it. */
	TRACER_RING_COPIED = 0,
	/* In place, as liburing does: what a slot held before is still there. */
	TRACER_RING_IN_PLACE = 1,
	/* There is no kernel behind it. */
	TRACER_RING_SIMULATED = 2
};

/* How to read the cookies of a ring. */
enum tracer_cookies {
	TRACER_COOKIES_POINTERS = 1,
	/* Pointers with a tag in some of their bits. */
	TRACER_COOKIES_TAGGED = 2,
	TRACER_COOKIES_INDICES = 3
};

/* A ring in the trace; null is a ring that is not recorded, and allowed everywhere. */
struct tracer_ring;

/* A coroutine in the trace (also a fiber, or a state machine that a completion moves on); 0 is one that
 * was made while nothing was recorded, and stays silent. */
typedef uint32_t tracer_coroutine;

/* Where a call stands, and what it is about. One static for each call; for the macros only. */
struct tracer_place {
	const char *file;
	const char *type_name;
	unsigned line;
	unsigned align;
	size_t size;
};

enum tracer_step {
	TRACER_STEP_LEAK = 1,
	TRACER_STEP_RECLAIM = 2,
	TRACER_STEP_PEEK = 3,
	TRACER_STEP_RETAIN = 4,
	TRACER_STEP_RELEASE = 5,
	TRACER_STEP_LEAK_FOREVER = 6
};

#ifdef __cplusplus
extern "C" {
#endif

/* 0 while hooks have nothing to do. Read only. */
extern unsigned char tracer_state;

/* What the macros call. */
void tracer_pointer(unsigned step, unsigned owner, uint64_t word, const struct tracer_place *place);
struct tracer_ring *tracer_ring_created(unsigned kind, int fd, unsigned sq_entries, unsigned cq_entries,
					unsigned setup, unsigned features);
void tracer_ring_dropped(struct tracer_ring *ring);
uint32_t tracer_ring_id(const struct tracer_ring *ring);
void tracer_ring_claimed(const struct tracer_ring *ring, unsigned slot, void *sqe,
			 const struct tracer_place *place);
void tracer_ring_submitting(const struct tracer_ring *ring, unsigned slot, void *sqe);
void tracer_ring_pushed(const struct tracer_ring *ring, const void *sqe, const struct tracer_place *place);
void tracer_ring_entered(const struct tracer_ring *ring, unsigned to_submit, unsigned min_complete, int result);
void tracer_ring_reaped(const struct tracer_ring *ring, uint64_t cookie, int res, unsigned flags);
void tracer_ring_reaped_at(const struct tracer_ring *ring, unsigned index, uint64_t cookie, int res, unsigned flags);
void tracer_ring_owner(const struct tracer_ring *ring, const char *name);
void tracer_ring_overflowed(const struct tracer_ring *ring, uint64_t count);
void tracer_ring_cookies(const struct tracer_ring *ring, unsigned scheme, uint64_t tag_mask);
void tracer_ring_sentinel(const struct tracer_ring *ring, uint64_t cookie);
void tracer_ring_shared(const struct tracer_ring *ring, uint64_t cookie);
tracer_coroutine tracer_spawn(tracer_coroutine parent, const struct tracer_place *place);
void tracer_resume(tracer_coroutine coroutine, uint32_t ring, uint64_t cookie);
void tracer_suspend(tracer_coroutine coroutine, const uint64_t *cookies, unsigned count);
void tracer_done(tracer_coroutine coroutine);
void tracer_drop(tracer_coroutine coroutine);
void tracer_wake(tracer_coroutine coroutine);
void tracer_descriptor(int opened, int fd, const struct tracer_place *place);
void tracer_buffers_provided(const struct tracer_ring *ring, unsigned group, unsigned first, unsigned count);
void tracer_buffer_initialised(const void *start, size_t bytes, size_t initialised);
void tracer_borrow(int begins, int exclusive, const volatile void *cell, const struct tracer_place *place);
void tracer_freeing(const void *block, size_t bytes);
void tracer_unmapping(const void *start, size_t bytes);
void tracer_mark(const char *text);
uint64_t tracer_scope_begin(const struct tracer_place *place);
void tracer_scope_end(uint64_t scope);
int tracer_caller_begins(const char *file, unsigned line);
void tracer_caller_ends(void);

#ifdef __cplusplus
}
#define TRACER_ALIGNOF(...) alignof(__VA_ARGS__)
#else
#define TRACER_ALIGNOF(...) _Alignof(__VA_ARGS__)
#endif

#ifndef TRACER_OFF

#ifdef TRACER_SANITIZERS
/* The library also tells sanitizers and Valgrind what happens, so that it is called whether anything is recorded
 * or not. */
#define TRACER_IS_RECORDING() 1
#else
/* Whether hooks record at the moment, or may: nobody looked for a recorder before the first hook. */
#define TRACER_IS_RECORDING() (__builtin_expect(__atomic_load_n(&tracer_state, __ATOMIC_RELAXED) != 0, 0))
#endif

#define TRACER_CALL_(call) ((void)(TRACER_IS_RECORDING() ? ((call), 0) : 0))
/* A call whose last argument is the place. */
#define TRACER_AT_(name, function, ...) \
	(__extension__({ \
		TRACER_PLACE_(name, 0, 0); \
		TRACER_CALL_(function(__VA_ARGS__, &tracer_place_)); \
	}))
#define TRACER_PLACE_(name, size, align) \
	static const struct tracer_place tracer_place_ = {__FILE__, name, __LINE__, align, size}
#define TRACER_POINTER_(step, owner, word, name, size, align) \
	do { \
		TRACER_PLACE_(name, size, align); \
		if (TRACER_IS_RECORDING()) \
			tracer_pointer(step, owner, (uint64_t)(uintptr_t)(word), &tracer_place_); \
	} while (0)
/* For one that goes out: its own pointer comes back. */
#define TRACER_OUT_(step, owner, pointer, name, size, align) \
	(__extension__({ \
		__typeof__(pointer) tracer_pointer_ = (pointer); \
		TRACER_POINTER_(step, owner, tracer_pointer_, name, size, align); \
		tracer_pointer_; \
	}))
/* For one that comes in, as a pointer or as a number. */
#define TRACER_IN_(step, owner, word, name, size, align, ...) \
	(__extension__({ \
		uintptr_t tracer_word_ = (uintptr_t)(word); \
		TRACER_POINTER_(step, owner, tracer_word_, name, size, align); \
		(__VA_ARGS__)tracer_word_; \
	}))

#else /* TRACER_OFF */

#define TRACER_IS_RECORDING() 0
/* Nothing is called; but what it would be called with counts as used. */
#define TRACER_CALL_(call) ((void)sizeof((call), 0))
#define TRACER_AT_(name, function, ...) \
	((void)sizeof(function(__VA_ARGS__, (const struct tracer_place *)0), 0))
/* A statement expression, whose value may be left unused without a warning. */
#define TRACER_OUT_(step, owner, pointer, name, size, align) \
	(__extension__({ \
		__typeof__(pointer) tracer_pointer_ = (pointer); \
		tracer_pointer_; \
	}))
#define TRACER_IN_(step, owner, word, name, size, align, ...) \
	(__extension__({ \
		uintptr_t tracer_word_ = (uintptr_t)(word); \
		(__VA_ARGS__)tracer_word_; \
	}))

#endif /* TRACER_OFF */

/* Pointers ------------------------------------------------------------------------------------------
 *
 * The type may hold commas (std::map<int, int>). TRACER_LEAK and those like it return the pointer as it
 * is; TRACER_RECLAIM and those like it take a pointer or a 64-bit cookie and return a `type *`. The leak is
 * recorded before the pointer is out of your hands; put the reclaim before you touch what it points to.
 */

/* Given away, by an owner who is named: TRACER_OWNER_UNIQUE for a coroutine's frame, the structure of one operation, what
 * a unique_ptr held. Then an address that is given away again is another object, which a completion of the first must
 * not find (T04), and one cookie on two operations is a mistake (T05). What comes back may be taken by TRACER_RECLAIM. */
#define TRACER_LEAK_AS(owner, pointer, ...) \
	TRACER_OUT_(TRACER_STEP_LEAK, owner, pointer, #__VA_ARGS__, sizeof(__VA_ARGS__), TRACER_ALIGNOF(__VA_ARGS__))
/* The same without saying who owned it, for what several operations carry at once on purpose: comes back once for each
 * time. */
#define TRACER_LEAK(pointer, ...) TRACER_LEAK_AS(TRACER_OWNER_CUSTOM, pointer, __VA_ARGS__)
/* Given away for ever, and never reported for not coming back. */
#define TRACER_LEAK_FOREVER(pointer, ...) \
	TRACER_OUT_(TRACER_STEP_LEAK_FOREVER, TRACER_OWNER_CUSTOM, pointer, #__VA_ARGS__, sizeof(__VA_ARGS__), \
		    TRACER_ALIGNOF(__VA_ARGS__))
/* Taken back. */
#define TRACER_RECLAIM(pointer, ...) TRACER_RECLAIM_AS(TRACER_OWNER_CUSTOM, pointer, __VA_ARGS__)
#define TRACER_RECLAIM_AS(owner, pointer, ...) \
	TRACER_IN_(TRACER_STEP_RECLAIM, owner, pointer, #__VA_ARGS__, sizeof(__VA_ARGS__), \
		   TRACER_ALIGNOF(__VA_ARGS__), __VA_ARGS__ *)
/* Looked at, and left where it is. */
#define TRACER_PEEK(pointer, ...) \
	TRACER_IN_(TRACER_STEP_PEEK, TRACER_OWNER_CUSTOM, pointer, #__VA_ARGS__, sizeof(__VA_ARGS__), \
		   TRACER_ALIGNOF(__VA_ARGS__), __VA_ARGS__ *)
/* One more, or one less, of the handles that are given away, of something that is counted. */
#define TRACER_RETAIN(pointer, ...) \
	TRACER_OUT_(TRACER_STEP_RETAIN, TRACER_OWNER_SHARED, pointer, #__VA_ARGS__, sizeof(__VA_ARGS__), \
		    TRACER_ALIGNOF(__VA_ARGS__))
#define TRACER_RELEASE(pointer, ...) \
	TRACER_OUT_(TRACER_STEP_RELEASE, TRACER_OWNER_SHARED, pointer, #__VA_ARGS__, sizeof(__VA_ARGS__), \
		    TRACER_ALIGNOF(__VA_ARGS__))

/* For types that are declared only, and for pointers to nothing in particular: `name` is a text, and what
 * comes back is a void *. */
#define TRACER_LEAK_NAMED(pointer, name) \
	TRACER_OUT_(TRACER_STEP_LEAK, TRACER_OWNER_CUSTOM, pointer, name, 0, 0)
#define TRACER_RECLAIM_NAMED(pointer, name) \
	TRACER_IN_(TRACER_STEP_RECLAIM, TRACER_OWNER_CUSTOM, pointer, name, 0, 0, void *)

/* For an index of a table that travels in place of a pointer. */
#define TRACER_LEAK_INDEX(index, name) TRACER_OUT_(TRACER_STEP_LEAK, TRACER_OWNER_INDEX, index, name, 0, 0)
#define TRACER_RECLAIM_INDEX(index, name) TRACER_OUT_(TRACER_STEP_RECLAIM, TRACER_OWNER_INDEX, index, name, 0, 0)

/* Rings by hand -------------------------------------------------------------------------------------
 *
 * For a ring of your own making; those of liburing are followed by tracer_liburing.h. The order of calls
 * is what is judged: CLAIMED when a slot is handed out to be filled, SUBMITTING for each slot right before the
 * tail is published (or PUSHED, where whole entries are copied in, right before the copy is published),
 * ENTERED when io_uring_enter came back, REAPED for each completion before anybody acts on it, DROPPED
 * before the descriptor is closed.
 *
 * CLAIMED fills the slot's user_data with poison; if it is still there in SUBMITTING nobody set it, and
 * what the slot held before is put back. Whoever claims through the probe has to submit through it.
 */

/* Sizes of its queues, IORING_SETUP_* and IORING_FEAT_* bits. Returns a struct tracer_ring *. Allocates. */
#ifndef TRACER_OFF
#define TRACER_RING_CREATED(kind, fd, sq_entries, cq_entries, setup, features) \
	tracer_ring_created(kind, fd, sq_entries, cq_entries, setup, features)
#define TRACER_RING_DROPPED(ring) tracer_ring_dropped(ring)
/* The ring's number, for TRACER_RESUME. */
#define TRACER_RING_ID(ring) (TRACER_IS_RECORDING() ? tracer_ring_id(ring) : (uint32_t)0)
#else
#define TRACER_RING_CREATED(kind, fd, sq_entries, cq_entries, setup, features) \
	((void)sizeof(tracer_ring_created(kind, fd, sq_entries, cq_entries, setup, features)), (struct tracer_ring *)0)
#define TRACER_RING_DROPPED(ring) ((void)(ring))
#define TRACER_RING_ID(ring) ((void)sizeof(ring), (uint32_t)0)
#endif
/* `sqe` points to the slot's 64 bytes. One thread at a time fills a queue. */
#define TRACER_RING_CLAIMED(ring, slot, ...) TRACER_AT_(NULL, tracer_ring_claimed, ring, slot, __VA_ARGS__)
#define TRACER_RING_SUBMITTING(ring, slot, ...) TRACER_CALL_(tracer_ring_submitting(ring, slot, __VA_ARGS__))
#define TRACER_RING_PUSHED(ring, ...) TRACER_AT_(NULL, tracer_ring_pushed, ring, __VA_ARGS__)
/* How many it was offered, how many completions it waited for, and its result: negative error numbers. */
#define TRACER_RING_ENTERED(ring, to_submit, min_complete, result) \
	TRACER_CALL_(tracer_ring_entered(ring, to_submit, min_complete, result))
#define TRACER_RING_REAPED(ring, cookie, res, flags) TRACER_CALL_(tracer_ring_reaped(ring, cookie, res, flags))
/* As REAPED, not in the order of the queue: `index` is the completion's, not masked. */
#define TRACER_RING_REAPED_AT(ring, index, cookie, res, flags) \
	TRACER_CALL_(tracer_ring_reaped_at(ring, index, cookie, res, flags))
/* So many completions found no room in the queue so far; 1 where it is only known that there are some. */
#define TRACER_RING_OVERFLOWED(ring, count) TRACER_CALL_(tracer_ring_overflowed(ring, count))
/* How to read its cookies (enum tracer_cookies); `tag_mask`: the bits that are no part of the pointer. */
#define TRACER_RING_COOKIES(ring, scheme, tag_mask) TRACER_CALL_(tracer_ring_cookies(ring, scheme, tag_mask))
/* A cookie that means nothing on purpose, such as 0; a number or a pointer, as everywhere. */
#define TRACER_RING_SENTINEL(ring, cookie) \
	TRACER_CALL_(tracer_ring_sentinel(ring, (uint64_t)(uintptr_t)(cookie)))
/* The part of the program that this thread submits to the ring for, and takes completions for, from here on; "" for
 * nobody, or for all. */
#define TRACER_RING_OWNER(ring, name) TRACER_CALL_(tracer_ring_owner(ring, name))
/* Operations carry this cookie several at a time, on purpose. */
#define TRACER_RING_SHARED(ring, cookie) \
	TRACER_CALL_(tracer_ring_shared(ring, (uint64_t)(uintptr_t)(cookie)))

/* Descriptors, buffers, borrows ---------------------------------------------------------------------
 *
 * What an operation in flight needs and the program may take away (T16), what a completion brought and nobody closes
 * (T24), provided buffers that do not go back (T19), bytes that nobody wrote (T27), two who use one thing at once (T26).
 * Each of these rules speaks of a program that says so; `tracer check` names those that were told nothing.
 */

/* A descriptor came to be, or was taken over from a completion's result; and one is about to be closed: before the close,
 * behind it the number may be another one's. Both return it; below 0 nothing is recorded.
 *
 *     int fd = TRACER_FD_OPENED(open(path, O_RDONLY));
 *     close(TRACER_FD_CLOSING(fd));
 *     dup2(fd, TRACER_FD_CLOSING(other)), TRACER_FD_OPENED(other);
 *
 * Direct descriptors need none of it: the entries that make and close them say what there is to say. */
#define TRACER_FD_OPENED(...) TRACER_FD_(1, __VA_ARGS__)
#define TRACER_FD_CLOSING(...) TRACER_FD_(0, __VA_ARGS__)
#ifndef TRACER_OFF
#define TRACER_FD_(opened, ...) \
	(__extension__({ \
		int tracer_fd_ = (__VA_ARGS__); \
		TRACER_PLACE_(NULL, 0, 0); \
		if (TRACER_IS_RECORDING()) \
			tracer_descriptor(opened, tracer_fd_, &tracer_place_); \
		tracer_fd_; \
	}))
#else
#define TRACER_FD_(opened, ...) \
	(__extension__({ \
		int tracer_fd_ = (__VA_ARGS__); \
		tracer_fd_; \
	}))
#endif

/* `count` buffers of a group, with ids that count up from `first`, are given to the kernel; and the group is none any
 * more. For rings of your own making: tracer_liburing.h follows liburing's rings of buffers, and what an entry gives
 * (io_uring_prep_provide_buffers) is known from that entry. */
#define TRACER_BUFFERS_PROVIDED(ring, group, first, count) \
	TRACER_CALL_(tracer_buffers_provided(ring, group, first, count))
#define TRACER_BUFFERS_WITHDRAWN(ring, group) TRACER_CALL_(tracer_buffers_provided(ring, group, 0, 0))

/* Of the buffer's bytes the first ones are initialised, the rest is not. Said again when that changes; what the kernel
 * read into it is known. TRACER_BUFFER_GONE, before it is freed: its bytes are anybody's. */
#define TRACER_BUFFER_INITIALISED(start, bytes, initialised) \
	TRACER_CALL_(tracer_buffer_initialised(start, bytes, initialised))
#define TRACER_BUFFER_GONE(start) TRACER_CALL_(tracer_buffer_initialised(start, 0, 0))

/* Somebody begins to use what `pointer` points to, beside nobody (TRACER_BORROW) or beside others that only read
 * (TRACER_BORROW_SHARED); and is done with it. Between the two coroutines may have changed. As a `type *`:
 *
 *     struct state *state = TRACER_BORROW(shard->state, struct state);
 *     ...
 *     TRACER_BORROW_ENDS(state, struct state);
 */
#define TRACER_BORROW(pointer, ...) TRACER_BORROW_(1, 1, pointer, #__VA_ARGS__, __VA_ARGS__)
#define TRACER_BORROW_SHARED(pointer, ...) TRACER_BORROW_(1, 0, pointer, #__VA_ARGS__, __VA_ARGS__)
#define TRACER_BORROW_ENDS(pointer, ...) ((void)TRACER_BORROW_(0, 1, pointer, #__VA_ARGS__, __VA_ARGS__))
#define TRACER_BORROW_SHARED_ENDS(pointer, ...) ((void)TRACER_BORROW_(0, 0, pointer, #__VA_ARGS__, __VA_ARGS__))
#ifndef TRACER_OFF
#define TRACER_BORROW_(begins, exclusive, pointer, name, ...) \
	(__extension__({ \
		__VA_ARGS__ *tracer_cell_ = (pointer); \
		TRACER_PLACE_(name, sizeof(__VA_ARGS__), TRACER_ALIGNOF(__VA_ARGS__)); \
		if (TRACER_IS_RECORDING()) \
			tracer_borrow(begins, exclusive, tracer_cell_, &tracer_place_); \
		tracer_cell_; \
	}))
#else
#define TRACER_BORROW_(begins, exclusive, pointer, name, ...) \
	(__extension__({ \
		__VA_ARGS__ *tracer_cell_ = (pointer); \
		tracer_cell_; \
	}))
#endif

/* A block goes back to an allocator of the program's own, or memory is about to be unmapped or mapped over: before, while
 * nobody else can be given it. What goes through the C library's free, realloc and munmap is seen without being told where
 * `tracer record` could load its shim: not in statically linked programs. */
#define TRACER_FREEING(block, bytes) TRACER_CALL_(tracer_freeing(block, bytes))
#define TRACER_UNMAPPING(start, bytes) TRACER_CALL_(tracer_unmapping(start, bytes))

/* Coroutines ----------------------------------------------------------------------------------------
 *
 * SPAWN returns a tracer_coroutine; SUSPEND says which cookies it waits for; RESUME, before it runs, which
 * completion it runs for: the ring's number (TRACER_RING_ID, TRACER_URING_ID) and the cookie, or 0 and 0.
 */
#ifndef TRACER_OFF
#ifdef __cplusplus
/* Also where no statement may stand: as what a member is initialised with. */
#define TRACER_SPAWN(name) \
	([]() -> tracer_coroutine { \
		TRACER_PLACE_(name, 0, 0); \
		return TRACER_IS_RECORDING() ? tracer_spawn(0, &tracer_place_) : 0; \
	}())
#else
#define TRACER_SPAWN(name) TRACER_SPAWN_BY(name, 0)
#endif
#define TRACER_SPAWN_BY(name, parent) \
	(__extension__({ \
		TRACER_PLACE_(name, 0, 0); \
		TRACER_IS_RECORDING() ? tracer_spawn(parent, &tracer_place_) : (tracer_coroutine)0; \
	}))
#else
#define TRACER_SPAWN(name) ((tracer_coroutine)0)
#define TRACER_SPAWN_BY(name, parent) ((void)sizeof(parent), (tracer_coroutine)0)
#endif
#define TRACER_RESUME(coroutine, ring_id, cookie) \
	TRACER_CALL_(tracer_resume(coroutine, ring_id, (uint64_t)(uintptr_t)(cookie)))
/* One cookie, or an array of them (the first 64 are recorded). Whether it waits for any or for all of several is not
 * said: that it was never resumed is reported once all of them have come. */
#define TRACER_SUSPEND(coroutine, cookie) \
	TRACER_CALL_(__extension__({ \
		uint64_t tracer_cookie_ = (uint64_t)(uintptr_t)(cookie); \
		tracer_suspend(coroutine, &tracer_cookie_, 1); \
	}))
/* As TRACER_SUSPEND_ALL(coroutine, cookies, count); the cookies may be a compound literal. */
#define TRACER_SUSPEND_ALL(coroutine, ...) TRACER_CALL_(tracer_suspend(coroutine, __VA_ARGS__))
/* It returned, or was thrown away before. */
#define TRACER_DONE(coroutine) TRACER_CALL_(tracer_done(coroutine))
#define TRACER_DROP(coroutine) TRACER_CALL_(tracer_drop(coroutine))
/* Somebody asked for it to run. */
#define TRACER_WAKE(coroutine) TRACER_CALL_(tracer_wake(coroutine))

/* Who called ----------------------------------------------------------------------------------------
 *
 * What this thread records from here to the end of the block stands where the caller does: `file` is a literal, or
 * of std::source_location. Where a function further out named its caller, that one holds. For functions that return;
 * in a coroutine of C++ not around a co_await, which goes on elsewhere, nor where longjmp or swapcontext may leave it.
 */
#ifndef TRACER_OFF
static inline void tracer_caller_end_(const int *began)
{
	if (*began)
		tracer_caller_ends();
}
#define TRACER_CALLER(file, line) \
	__attribute__((cleanup(tracer_caller_end_), unused)) const int tracer_caller_ = \
		TRACER_IS_RECORDING() ? tracer_caller_begins(file, (unsigned)(line)) : 0
#else
#define TRACER_CALLER(file, line) ((void)sizeof(file), (void)sizeof(line))
#endif

/* Marks and scopes ----------------------------------------------------------------------------------*/

/* A text on the timeline. Each new text takes room that is never reused: keep them few. */
#define TRACER_MARK(text) TRACER_CALL_(tracer_mark(text))

/* What this thread gives away between the two has to be back at the end. Declares `scope`. */
#ifndef TRACER_OFF
#define TRACER_SCOPE_BEGIN(scope, name) \
	static const struct tracer_place scope##_place = {__FILE__, name, __LINE__, 0, 0}; \
	uint64_t scope = TRACER_IS_RECORDING() ? tracer_scope_begin(&scope##_place) : 0
#define TRACER_SCOPE_END(scope) TRACER_CALL_(tracer_scope_end(scope))
#else
#define TRACER_SCOPE_BEGIN(scope, name) ((void)0)
#define TRACER_SCOPE_END(scope) ((void)0)
#endif

#endif /* TRACER_H */
