/* tracer_liburing.h: follows the rings of liburing. Include it in place of <liburing.h>, in every file that
 * gets entries, submits, or takes completions, and before any other header.
 *
 * liburing's functions keep their names and do what they did; around them the probe records
 *
 *   - each entry that io_uring_get_sqe hands out, with the place of the call. Its user_data is filled with
 *     poison: if it is still there when the entry is submitted, nobody set it, and the slot's old user_data
 *     is put back before the kernel sees it. io_uring_prep_* and io_uring_sqe_set_* are left alone;
 *   - each entry again right before it is published, while it still is the program's, with SQPOLL too;
 *   - each completion once, the first time that the program gets to see it, whichever function showed it:
 *     wait, peek, batch or for_each. Coroutines are resumed after that (TRACER_RESUME).
 *
 * What to do for pointers and coroutines is in tracer.h. TRACER_URING(ring) is the ring for the macros there:
 *
 *     TRACER_RING_SENTINEL(TRACER_URING(&ring), 0);               // completions that nobody waits for
 *     TRACER_RESUME(conn->coroutine, TRACER_URING_ID(&ring), cqe->user_data);
 *
 * Who reads completions from ring->cq without any of these functions says so first: TRACER_URING_SAW(&ring, count).
 * Else they are recorded when they are passed (cq_advance), which is after what the program made of them.
 *
 * Wrapped, of liburing 2.0 to 2.15, are all functions that make or exit a ring, get an entry, publish entries, or
 * show or pass completions:
 *
 *     queue_init, _init_params, _init_mem, _mmap, _exit      get_sqe, get_sqe128
 *     submit, submit_and_wait, _wait_timeout, _wait_min_timeout, _wait_reg, submit_and_get_events, get_events
 *     wait_cqe, wait_cqe_nr, wait_cqe_timeout, wait_cqes, wait_cqes_min_timeout, peek_cqe, peek_batch_cqe
 *     for_each_cqe, cqe_iter_init, cqe_seen, cq_advance, buf_ring_cq_advance, __buf_ring_cq_advance
 *
 * and those that give rings of buffers to the kernel, and publish buffers in them (provided buffers, T19):
 *
 *     setup_buf_ring, free_buf_ring, register_buf_ring, unregister_buf_ring, buf_ring_advance
 *
 * Not wrapped, because the trace needs nothing of them: io_uring_prep_*, io_uring_sqe_set_*, io_uring_cqe_get_*,
 * other io_uring_register_* and io_uring_unregister_*, io_uring_sq_ready, io_uring_sq_space_left, io_uring_cq_ready,
 * io_uring_sqring_wait, io_uring_enable_rings, io_uring_buf_ring_init and _add (a buffer counts when it is published),
 * io_uring_cqe_iter_next (io_uring_cqe_iter_init shows all of them), and what only asks, counts or sets up memory.
 * Entries say themselves that they make or close direct descriptors (io_uring_prep_accept_direct, _close_direct), and that
 * they provide buffers (io_uring_prep_provide_buffers).
 *
 * Not seen: pointers to these functions, calls from files that do not include this header; io_uring_setup,
 * io_uring_enter, io_uring_enter2 and io_uring_register called directly; __io_uring_get_cqe, _io_uring_get_sqe and
 * other names that liburing keeps for itself; io_uring_register_sync_msg, whose completion appears on another ring
 * (it is seen there, and no submission explains it). A file that gets an entry with this header and leaves its
 * submission to one without it could let poison through to the kernel.
 *
 * Not followed: rings with entries of mixed sizes or a rewound submission queue, and kernels before 5.11.
 * The program says so on stderr, and what happens on such a ring is counted as lost. io_uring_resize_rings does
 * not compile with this header. SQE128 and CQE32 are followed (the first 64 and 16 bytes).
 *
 * liburing 2.0 and newer. With -std=c11 and the like, liburing itself needs -D_GNU_SOURCE (2.3 and older define
 * it). With -DTRACER_OFF this is <liburing.h>.
 */
#ifndef TRACER_LIBURING_H
#define TRACER_LIBURING_H

#if defined __GNUC__ && !defined TRACER_HEADER_WARNINGS
/* Warnings that a program asks for are about its own code; casts of C in a macro are none of it. */
#pragma GCC system_header
#endif

#include <liburing.h>

#include "tracer.h"

#ifndef TRACER_OFF

/* The parts of a struct io_uring that the probe looks at. */
struct tracer_uring_view {
	unsigned *sq_khead;
	unsigned *sq_kflags;
	unsigned *cq_khead;
	unsigned *cq_ktail;
	unsigned *cq_koverflow;
	void *sqes;
	void *cqes;
	unsigned sqe_head;
	unsigned sqe_tail;
	unsigned sq_entries;
	unsigned cq_entries;
	unsigned setup;
	unsigned features;
	int fd;
	unsigned sqe_shift;
	unsigned cqe_shift;
};

#ifdef __cplusplus
extern "C" {
#endif

struct tracer_ring *tracer_uring(const struct tracer_uring_view *view);
void tracer_uring_created(const struct tracer_uring_view *view);
void tracer_uring_dropped(const struct tracer_uring_view *view);
void tracer_uring_claimed(const struct tracer_uring_view *view, void *sqe, const struct tracer_place *place);
void tracer_uring_submitting(const struct tracer_uring_view *view);
void tracer_uring_entered(const struct tracer_uring_view *view, unsigned head_before, unsigned min_complete,
			  int result);
void tracer_uring_saw(const struct tracer_uring_view *view, unsigned count);
void tracer_uring_passing(const struct tracer_uring_view *view, unsigned count, const void *seen,
			  const struct tracer_place *place);
void tracer_uring_buffers(const struct tracer_uring_view *view, const void *buf_ring, unsigned entries,
			  unsigned group);
void tracer_uring_buffers_gone(const struct tracer_uring_view *view, unsigned group);
void tracer_uring_buffers_advance(const void *buf_ring, unsigned count);

#ifdef __cplusplus
}
#endif

/* IORING_SETUP_SQE128 and _CQE32, of which older headers know nothing. */
#define TRACER_SETUP_SQE128_ (1U << 10)
#define TRACER_SETUP_CQE32_ (1U << 11)

static inline struct tracer_uring_view tracer_uring_view_(const struct io_uring *ring)
{
	struct tracer_uring_view view;

	view.sq_khead = ring->sq.khead;
	view.sq_kflags = ring->sq.kflags;
	view.cq_khead = ring->cq.khead;
	view.cq_ktail = ring->cq.ktail;
	view.cq_koverflow = ring->cq.koverflow;
	view.sqes = ring->sq.sqes;
	view.cqes = ring->cq.cqes;
	view.sqe_head = 0;
	view.sqe_tail = 0;
	view.sq_entries = *ring->sq.kring_entries;
	view.cq_entries = *ring->cq.kring_entries;
	view.setup = ring->flags;
	view.features = ring->features;
	view.fd = ring->ring_fd;
	view.sqe_shift = (ring->flags & TRACER_SETUP_SQE128_) != 0;
	view.cqe_shift = (ring->flags & TRACER_SETUP_CQE32_) != 0;
	return view;
}

/* For who fills the submission queue: only that thread may look at what is not published yet. */
static inline struct tracer_uring_view tracer_uring_submitter_view_(const struct io_uring *ring)
{
	struct tracer_uring_view view = tracer_uring_view_(ring);

	view.sqe_head = ring->sq.sqe_head;
	view.sqe_tail = ring->sq.sqe_tail;
	return view;
}

static inline struct tracer_ring *tracer_uring_ring_(const struct io_uring *ring)
{
	struct tracer_uring_view view;

	if (!TRACER_IS_RECORDING())
		return NULL;
	view = tracer_uring_view_(ring);
	return tracer_uring(&view);
}

static inline int tracer_uring_made_(const struct io_uring *ring, int result)
{
	if (TRACER_IS_RECORDING() && result >= 0) {
		struct tracer_uring_view view = tracer_uring_view_(ring);

		tracer_uring_created(&view);
	}
	return result;
}

static inline void tracer_uring_exit_(struct io_uring *ring)
{
	if (TRACER_IS_RECORDING()) {
		struct tracer_uring_view view = tracer_uring_view_(ring);

		tracer_uring_dropped(&view);
	}
	io_uring_queue_exit(ring);
}

/* The ring handed out this entry, the newest. */
static inline struct io_uring_sqe *tracer_uring_got_sqe_(const struct io_uring *ring, struct io_uring_sqe *sqe,
							 const struct tracer_place *place)
{
	if (TRACER_IS_RECORDING() && sqe) {
		struct tracer_uring_view view = tracer_uring_submitter_view_(ring);

		tracer_uring_claimed(&view, sqe, place);
	}
	return sqe;
}

static inline struct io_uring_sqe *tracer_uring_get_sqe_(const struct tracer_place *place, struct io_uring *ring)
{
	return tracer_uring_got_sqe_(ring, io_uring_get_sqe(ring), place);
}

/* Before a call that publishes entries; returns where the kernel was in the queue. */
static inline unsigned tracer_uring_submitting_(const struct io_uring *ring)
{
	unsigned head = __atomic_load_n(ring->sq.khead, __ATOMIC_ACQUIRE);

	if (TRACER_IS_RECORDING()) {
		struct tracer_uring_view view = tracer_uring_submitter_view_(ring);

		tracer_uring_submitting(&view);
	}
	return head;
}

/* After it. */
static inline int tracer_uring_entered_(const struct io_uring *ring, unsigned head_before, unsigned min_complete,
					int result)
{
	if (TRACER_IS_RECORDING()) {
		struct tracer_uring_view view = tracer_uring_submitter_view_(ring);

		tracer_uring_entered(&view, head_before, min_complete, result);
	}
	return result;
}

/* After a call that enters and publishes nothing. Its result is not a number of entries. */
static inline int tracer_uring_got_events_(const struct io_uring *ring, int result)
{
	if (TRACER_IS_RECORDING()) {
		struct tracer_uring_view view = tracer_uring_view_(ring);

		/* Nothing was offered. */
		view.sqe_tail = __atomic_load_n(ring->sq.khead, __ATOMIC_ACQUIRE);
		tracer_uring_entered(&view, view.sqe_tail, 0, result < 0 ? result : 0);
	}
	return result;
}

/* The program sees the first `count` completions. */
static inline void tracer_uring_saw_(const struct io_uring *ring, unsigned count)
{
	if (TRACER_IS_RECORDING()) {
		struct tracer_uring_view view = tracer_uring_view_(ring);

		tracer_uring_saw(&view, count);
	}
}

/* Before completions are given back: `seen` is the one that was looked at, where that is said. */
static inline void tracer_uring_passing_(const struct io_uring *ring, unsigned count, const void *seen,
					 const struct tracer_place *place)
{
	if (TRACER_IS_RECORDING()) {
		struct tracer_uring_view view = tracer_uring_view_(ring);

		tracer_uring_passing(&view, count, seen, place);
	}
}

/* After a call that shows one: liburing leaves null where it has none. One that waited in vain for several
 * may show the first all the same. */
static inline int tracer_uring_showed_(const struct io_uring *ring, int result, struct io_uring_cqe *const *cqe_ptr)
{
	if (cqe_ptr && (result >= 0 ? *cqe_ptr != NULL : result == -ETIME))
		tracer_uring_saw_(ring, 1);
	return result;
}

/* The completion at `head`, which a loop over the queue comes to; null at `tail`. */
static inline struct io_uring_cqe *tracer_uring_at_(const struct io_uring *ring, unsigned head, unsigned tail)
{
	unsigned shift = (ring->flags & TRACER_SETUP_CQE32_) != 0;

	if (head == tail)
		return NULL;
	tracer_uring_saw_(ring, head - *ring->cq.khead + 1);
	return &ring->cq.cqes[(head & *ring->cq.kring_mask) << shift];
}

static inline unsigned tracer_uring_tail_(const struct io_uring *ring)
{
	return __atomic_load_n(ring->cq.ktail, __ATOMIC_ACQUIRE);
}

/* A ring for the macros of tracer.h; null while nothing is recorded. */
#define TRACER_URING(...) tracer_uring_ring_(__VA_ARGS__)
/* The program is about to read the first `count` completions of the queue itself, from ring->cq. */
#define TRACER_URING_SAW(...) tracer_uring_saw_(__VA_ARGS__)
/* Its number in the trace, for TRACER_RESUME. */
#define TRACER_URING_ID(...) TRACER_RING_ID(TRACER_URING(__VA_ARGS__))

/* What came with liburing 2.0: functions, which can also be called as ::io_uring_submit. */

static inline int tracer_uring_queue_init_(unsigned entries, struct io_uring *ring, unsigned flags)
{
	return tracer_uring_made_(ring, io_uring_queue_init(entries, ring, flags));
}

static inline int tracer_uring_queue_init_params_(unsigned entries, struct io_uring *ring,
						  struct io_uring_params *params)
{
	return tracer_uring_made_(ring, io_uring_queue_init_params(entries, ring, params));
}

static inline int tracer_uring_queue_mmap_(int fd, struct io_uring_params *params, struct io_uring *ring)
{
	return tracer_uring_made_(ring, io_uring_queue_mmap(fd, params, ring));
}

static inline int tracer_uring_submit_(struct io_uring *ring)
{
	unsigned head = tracer_uring_submitting_(ring);

	return tracer_uring_entered_(ring, head, 0, io_uring_submit(ring));
}

static inline int tracer_uring_submit_and_wait_(struct io_uring *ring, unsigned wait_nr)
{
	unsigned head = tracer_uring_submitting_(ring);

	return tracer_uring_entered_(ring, head, wait_nr, io_uring_submit_and_wait(ring, wait_nr));
}

static inline int tracer_uring_wait_cqe_(struct io_uring *ring, struct io_uring_cqe **cqe_ptr)
{
	return tracer_uring_showed_(ring, io_uring_wait_cqe(ring, cqe_ptr), cqe_ptr);
}

static inline int tracer_uring_wait_cqe_nr_(struct io_uring *ring, struct io_uring_cqe **cqe_ptr, unsigned wait_nr)
{
	return tracer_uring_showed_(ring, io_uring_wait_cqe_nr(ring, cqe_ptr, wait_nr), cqe_ptr);
}

static inline int tracer_uring_wait_cqe_timeout_(struct io_uring *ring, struct io_uring_cqe **cqe_ptr,
						 struct __kernel_timespec *ts)
{
	return tracer_uring_showed_(ring, io_uring_wait_cqe_timeout(ring, cqe_ptr, ts), cqe_ptr);
}

static inline int tracer_uring_wait_cqes_(struct io_uring *ring, struct io_uring_cqe **cqe_ptr, unsigned wait_nr,
					  struct __kernel_timespec *ts, sigset_t *sigmask)
{
	return tracer_uring_showed_(ring, io_uring_wait_cqes(ring, cqe_ptr, wait_nr, ts, sigmask), cqe_ptr);
}

static inline int tracer_uring_peek_cqe_(struct io_uring *ring, struct io_uring_cqe **cqe_ptr)
{
	return tracer_uring_showed_(ring, io_uring_peek_cqe(ring, cqe_ptr), cqe_ptr);
}

static inline unsigned tracer_uring_peek_batch_cqe_(struct io_uring *ring, struct io_uring_cqe **cqes, unsigned count)
{
	unsigned shown = io_uring_peek_batch_cqe(ring, cqes, count);

	if (shown)
		tracer_uring_saw_(ring, shown);
	return shown;
}

/* Completions may be passed without having been looked at through any of the above. */
static inline void tracer_uring_cq_advance_(const struct tracer_place *place, struct io_uring *ring, unsigned count)
{
	tracer_uring_passing_(ring, count, NULL, place);
	io_uring_cq_advance(ring, count);
}

static inline void tracer_uring_cqe_seen_(const struct tracer_place *place, struct io_uring *ring,
					  struct io_uring_cqe *cqe)
{
	if (cqe)
		tracer_uring_passing_(ring, 1, cqe, place);
	io_uring_cqe_seen(ring, cqe);
}

/* What came later: these take liburing's own function as their first argument, so that they compile also where it is
 * not there yet. */

struct io_uring_buf_ring;

/* A ring of buffers is the kernel's from now on; buffers are known when they are published. */
static inline void tracer_uring_buffers_(const struct io_uring *ring, const void *buf_ring, unsigned entries,
					 unsigned group)
{
	if (TRACER_IS_RECORDING() && buf_ring) {
		struct tracer_uring_view view = tracer_uring_view_(ring);

		tracer_uring_buffers(&view, buf_ring, entries, group);
	}
}

/* And not any more. */
static inline int tracer_uring_buffers_gone_(const struct io_uring *ring, int group, int result)
{
	if (TRACER_IS_RECORDING() && result >= 0) {
		struct tracer_uring_view view = tracer_uring_view_(ring);

		tracer_uring_buffers_gone(&view, (unsigned)group);
	}
	return result;
}

/* Before `count` of its entries are published. */
static inline void tracer_uring_buffers_advance_(const void *buf_ring, int count)
{
	if (TRACER_IS_RECORDING())
		tracer_uring_buffers_advance(buf_ring, (unsigned)count);
}

static inline struct io_uring_buf_ring *tracer_uring_setup_buf_ring_(
	struct io_uring_buf_ring *(*call)(struct io_uring *, unsigned, int, unsigned, int *), struct io_uring *ring,
	unsigned entries, int group, unsigned flags, int *error)
{
	struct io_uring_buf_ring *buf_ring = call(ring, entries, group, flags, error);

	tracer_uring_buffers_(ring, buf_ring, entries, (unsigned)group);
	return buf_ring;
}

static inline int tracer_uring_free_buf_ring_(
	int (*call)(struct io_uring *, struct io_uring_buf_ring *, unsigned, int), struct io_uring *ring,
	struct io_uring_buf_ring *buf_ring, unsigned entries, int group)
{
	return tracer_uring_buffers_gone_(ring, group, call(ring, buf_ring, entries, group));
}

struct io_uring_buf_reg;

/* The beginning of a struct io_uring_buf_reg, which older headers do not have. */
struct tracer_uring_buf_reg_ {
	uint64_t ring_addr;
	uint32_t ring_entries;
	uint16_t bgid;
};

static inline int tracer_uring_register_buf_ring_(
	int (*call)(struct io_uring *, struct io_uring_buf_reg *, unsigned), struct io_uring *ring,
	struct io_uring_buf_reg *reg, unsigned flags)
{
	int result = call(ring, reg, flags);

	if (result >= 0) {
		struct tracer_uring_buf_reg_ known;

		__builtin_memcpy(&known, reg, sizeof(known));
		tracer_uring_buffers_(ring, (const void *)(uintptr_t)known.ring_addr, known.ring_entries, known.bgid);
	}
	return result;
}

static inline int tracer_uring_unregister_buf_ring_(int (*call)(struct io_uring *, int), struct io_uring *ring,
						    int group)
{
	return tracer_uring_buffers_gone_(ring, group, call(ring, group));
}

static inline void tracer_uring_buf_ring_add_count_(void (*call)(struct io_uring_buf_ring *, int),
						    struct io_uring_buf_ring *buf_ring, int count)
{
	tracer_uring_buffers_advance_(buf_ring, count);
	call(buf_ring, count);
}

/* After a call that publishes entries and may show a completion. */
static inline int tracer_uring_submitted_(const struct io_uring *ring, unsigned head, unsigned wait_nr, int result,
					  struct io_uring_cqe *const *cqe_ptr)
{
	return tracer_uring_showed_(ring, tracer_uring_entered_(ring, head, wait_nr, result), cqe_ptr);
}

static inline int tracer_uring_submit_and_wait_timeout_(
	int (*call)(struct io_uring *, struct io_uring_cqe **, unsigned, struct __kernel_timespec *, sigset_t *),
	struct io_uring *ring, struct io_uring_cqe **cqe_ptr, unsigned wait_nr, struct __kernel_timespec *ts,
	sigset_t *sigmask)
{
	unsigned head = tracer_uring_submitting_(ring);

	return tracer_uring_submitted_(ring, head, wait_nr, call(ring, cqe_ptr, wait_nr, ts, sigmask), cqe_ptr);
}

static inline int tracer_uring_submit_and_wait_min_timeout_(
	int (*call)(struct io_uring *, struct io_uring_cqe **, unsigned, struct __kernel_timespec *, unsigned,
		    sigset_t *),
	struct io_uring *ring, struct io_uring_cqe **cqe_ptr, unsigned wait_nr, struct __kernel_timespec *ts,
	unsigned min_wait, sigset_t *sigmask)
{
	unsigned head = tracer_uring_submitting_(ring);

	return tracer_uring_submitted_(ring, head, wait_nr, call(ring, cqe_ptr, wait_nr, ts, min_wait, sigmask),
				       cqe_ptr);
}

static inline int tracer_uring_submit_and_wait_reg_(
	int (*call)(struct io_uring *, struct io_uring_cqe **, unsigned, int), struct io_uring *ring,
	struct io_uring_cqe **cqe_ptr, unsigned wait_nr, int reg_index)
{
	unsigned head = tracer_uring_submitting_(ring);

	return tracer_uring_submitted_(ring, head, wait_nr, call(ring, cqe_ptr, wait_nr, reg_index), cqe_ptr);
}

static inline int tracer_uring_submit_and_get_events_(int (*call)(struct io_uring *), struct io_uring *ring)
{
	unsigned head = tracer_uring_submitting_(ring);

	return tracer_uring_entered_(ring, head, 0, call(ring));
}

/* Enters, and publishes nothing. */
static inline int tracer_uring_get_events_(int (*call)(struct io_uring *), struct io_uring *ring)
{
	return tracer_uring_got_events_(ring, call(ring));
}

/* Entries of 128 bytes each; a ring of mixed ones is not followed. */
static inline struct io_uring_sqe *tracer_uring_get_sqe128_(struct io_uring_sqe *(*call)(struct io_uring *),
							    const struct tracer_place *place, struct io_uring *ring)
{
	return tracer_uring_got_sqe_(ring, call(ring), place);
}

static inline int tracer_uring_wait_cqes_min_timeout_(
	int (*call)(struct io_uring *, struct io_uring_cqe **, unsigned, struct __kernel_timespec *, unsigned,
		    sigset_t *),
	struct io_uring *ring, struct io_uring_cqe **cqe_ptr, unsigned wait_nr, struct __kernel_timespec *ts,
	unsigned min_ts_usec, sigset_t *sigmask)
{
	return tracer_uring_showed_(ring, call(ring, cqe_ptr, wait_nr, ts, min_ts_usec, sigmask), cqe_ptr);
}

static inline int tracer_uring_queue_init_mem_(
	int (*call)(unsigned, struct io_uring *, struct io_uring_params *, void *, size_t), unsigned entries,
	struct io_uring *ring, struct io_uring_params *params, void *buffer, size_t bytes)
{
	return tracer_uring_made_(ring, call(entries, ring, params, buffer, bytes));
}

static inline void tracer_uring_buf_ring_advance_(void (*call)(struct io_uring *, struct io_uring_buf_ring *, int, int),
						  struct io_uring *ring, struct io_uring_buf_ring *buf_ring,
						  int cq_count, int buf_count)
{
	tracer_uring_saw_(ring, (unsigned)cq_count);
	tracer_uring_buffers_advance_(buf_ring, buf_count);
	call(ring, buf_ring, cq_count, buf_count);
}

static inline void tracer_uring_buf_ring_cq_advance_(void (*call)(struct io_uring *, struct io_uring_buf_ring *, int),
						     struct io_uring *ring, struct io_uring_buf_ring *buf_ring,
						     int count)
{
	tracer_uring_saw_(ring, (unsigned)count);
	tracer_uring_buffers_advance_(buf_ring, count);
	call(ring, buf_ring, count);
}

/* Where a loop over the queue is. No argument of the macro is called as one of these. */
struct tracer_uring_loop_ {
	const struct io_uring *ring_;
	unsigned at_;
	unsigned tail_;
};

static inline struct tracer_uring_loop_ tracer_uring_loop_begins_(const struct io_uring *ring)
{
	struct tracer_uring_loop_ loop;

	loop.ring_ = ring;
	loop.at_ = *ring->cq.khead;
	loop.tail_ = tracer_uring_tail_(ring);
	return loop;
}

/* From here on liburing's names are the probe's. They take any number of arguments: a compound literal has commas that
 * a macro would count. Inside an expansion a name stands for liburing's own function. */

#define io_uring_queue_init(...) tracer_uring_queue_init_(__VA_ARGS__)
#define io_uring_queue_init_params(...) tracer_uring_queue_init_params_(__VA_ARGS__)
#define io_uring_queue_mmap(...) tracer_uring_queue_mmap_(__VA_ARGS__)
#define io_uring_queue_exit(...) tracer_uring_exit_(__VA_ARGS__)
#define io_uring_resize_rings(...) tracer_does_not_follow_io_uring_resize_rings

/* A pointer to a place of the call's own. */
#define TRACER_URING_HERE_ \
	__extension__({ \
		TRACER_PLACE_(NULL, 0, 0); \
		&tracer_place_; \
	})
#define io_uring_get_sqe(...) tracer_uring_get_sqe_(TRACER_URING_HERE_, __VA_ARGS__)
#define io_uring_get_sqe128(...) tracer_uring_get_sqe128_(&io_uring_get_sqe128, TRACER_URING_HERE_, __VA_ARGS__)

#define io_uring_submit(...) tracer_uring_submit_(__VA_ARGS__)
#define io_uring_submit_and_wait(...) tracer_uring_submit_and_wait_(__VA_ARGS__)
#define io_uring_wait_cqe(...) tracer_uring_wait_cqe_(__VA_ARGS__)
#define io_uring_wait_cqe_nr(...) tracer_uring_wait_cqe_nr_(__VA_ARGS__)
#define io_uring_wait_cqe_timeout(...) tracer_uring_wait_cqe_timeout_(__VA_ARGS__)
#define io_uring_wait_cqes(...) tracer_uring_wait_cqes_(__VA_ARGS__)
#define io_uring_peek_cqe(...) tracer_uring_peek_cqe_(__VA_ARGS__)
#define io_uring_peek_batch_cqe(...) tracer_uring_peek_batch_cqe_(__VA_ARGS__)
#define io_uring_cq_advance(...) tracer_uring_cq_advance_(TRACER_URING_HERE_, __VA_ARGS__)
#define io_uring_cqe_seen(...) tracer_uring_cqe_seen_(TRACER_URING_HERE_, __VA_ARGS__)

/* The same loop as liburing's: before 2.8 it looked at the tail again for each completion, since then it
 * ends with what was there when it began, and evaluates the ring once. */
#undef io_uring_for_each_cqe
#if !defined(IO_URING_VERSION_MAJOR) || (IO_URING_VERSION_MAJOR == 2 && IO_URING_VERSION_MINOR < 8)
#define io_uring_for_each_cqe(ring, head, cqe) \
	for ((head) = *(ring)->cq.khead; ((cqe) = tracer_uring_at_(ring, head, tracer_uring_tail_(ring))) != NULL; \
	     (head)++)
#else
#define io_uring_for_each_cqe(ring, head, cqe) \
	for (struct tracer_uring_loop_ tracer_loop_ = tracer_uring_loop_begins_(ring); \
	     ((head) = tracer_loop_.at_, \
	      (cqe) = tracer_uring_at_(tracer_loop_.ring_, head, tracer_loop_.tail_)) != NULL; \
	     tracer_loop_.at_++)
#endif

#define io_uring_submit_and_wait_timeout(...) \
	tracer_uring_submit_and_wait_timeout_(&io_uring_submit_and_wait_timeout, __VA_ARGS__)
#define io_uring_submit_and_wait_min_timeout(...) \
	tracer_uring_submit_and_wait_min_timeout_(&io_uring_submit_and_wait_min_timeout, __VA_ARGS__)
#define io_uring_submit_and_wait_reg(...) \
	tracer_uring_submit_and_wait_reg_(&io_uring_submit_and_wait_reg, __VA_ARGS__)
#define io_uring_submit_and_get_events(...) \
	tracer_uring_submit_and_get_events_(&io_uring_submit_and_get_events, __VA_ARGS__)
#define io_uring_get_events(...) tracer_uring_get_events_(&io_uring_get_events, __VA_ARGS__)
#define io_uring_wait_cqes_min_timeout(...) \
	tracer_uring_wait_cqes_min_timeout_(&io_uring_wait_cqes_min_timeout, __VA_ARGS__)
#define io_uring_queue_init_mem(...) tracer_uring_queue_init_mem_(&io_uring_queue_init_mem, __VA_ARGS__)
#define io_uring_cqe_iter_init(...) \
	(__extension__({ \
		const struct io_uring *tracer_uring_ = (__VA_ARGS__); \
		tracer_uring_saw_(tracer_uring_, ~0U); \
		io_uring_cqe_iter_init(tracer_uring_); \
	}))
#define __io_uring_buf_ring_cq_advance(...) \
	tracer_uring_buf_ring_advance_(&__io_uring_buf_ring_cq_advance, __VA_ARGS__)
#define io_uring_buf_ring_cq_advance(...) \
	tracer_uring_buf_ring_cq_advance_(&io_uring_buf_ring_cq_advance, __VA_ARGS__)
#define io_uring_buf_ring_advance(...) tracer_uring_buf_ring_add_count_(&io_uring_buf_ring_advance, __VA_ARGS__)
#define io_uring_setup_buf_ring(...) tracer_uring_setup_buf_ring_(&io_uring_setup_buf_ring, __VA_ARGS__)
#define io_uring_free_buf_ring(...) tracer_uring_free_buf_ring_(&io_uring_free_buf_ring, __VA_ARGS__)
#define io_uring_unregister_buf_ring(...) tracer_uring_unregister_buf_ring_(&io_uring_unregister_buf_ring, __VA_ARGS__)
#define io_uring_register_buf_ring(...) tracer_uring_register_buf_ring_(&io_uring_register_buf_ring, __VA_ARGS__)

/* A ring of buffers that was registered in another way, and mapped (IOU_PBUF_RING_MMAP): where it lies, how many entries
 * it has, and its group. */
#define TRACER_URING_BUFFERS(...) tracer_uring_buffers_(__VA_ARGS__)

#else /* TRACER_OFF */

#define TRACER_URING_BUFFERS(ring, buf_ring, entries, group) \
	((void)sizeof(ring), (void)sizeof(buf_ring), (void)sizeof(entries), (void)sizeof(group))
#define TRACER_URING(...) ((void)sizeof(__VA_ARGS__), (struct tracer_ring *)0)
#define TRACER_URING_ID(...) ((void)sizeof(__VA_ARGS__), (uint32_t)0)
#define TRACER_URING_SAW(ring, count) ((void)sizeof(ring), (void)sizeof(count))

#endif /* TRACER_OFF */

#endif /* TRACER_LIBURING_H */
