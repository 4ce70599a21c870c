/* Rings: made with all kinds of settings, entered and emptied in all ways that liburing has. */
#ifndef SHAPES_RINGS_H
#define SHAPES_RINGS_H

#include "table.h"

#define RINGS 3
/* Two more are for faults. */
static struct ring rings[RINGS + 2];

/* What is left out: rings that the kernel polls, whose entries nobody sees going in, and threads that take completions,
 * of which less can be told; and how many there were. */
static bool without_polling, without_threads;
static unsigned polled_count, threads_count;

/* Completions that another thread took. */
struct taker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct { uint64_t cookie; int res; unsigned flags; } taken[1024];
	unsigned first, last;
	struct ring *ring;
};

/* What ends the other thread, as a completion. */
#define ENOUGH UINT64_C(0xfffffffffffffff7)

static void *take_elsewhere(void *data)
{
	struct taker *taker = data;
	struct io_uring *uring = &taker->ring->uring;
	bool is_enough = false;

	while (!is_enough) {
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;
		int error = io_uring_wait_cqe(uring, &cqe);

		if (error == -EINTR)
			continue;
		must("wait_cqe in another thread", error);
		pthread_mutex_lock(&taker->lock);
		io_uring_for_each_cqe(uring, head, cqe) {
			unsigned at = taker->last++ % 1024;

			if (taker->last - taker->first > 1024)
				surprise("more completions than there is room for", taker->last);
			taker->taken[at].cookie = cqe->user_data;
			taker->taken[at].res = cqe->res;
			taker->taken[at].flags = cqe->flags;
			is_enough |= cqe->user_data == ENOUGH;
			count++;
		}
		io_uring_cq_advance(uring, count);
		pthread_cond_signal(&taker->some);
		pthread_mutex_unlock(&taker->lock);
	}
	return NULL;
}

static void taker_start(struct ring *ring)
{
	struct taker *taker = calloc(1, sizeof(*taker));

	if (!taker)
		surprise("no memory", 0);
	taker->ring = ring;
	pthread_mutex_init(&taker->lock, NULL);
	pthread_cond_init(&taker->some, NULL);
	ring->taker = taker;
	threads_count++;
	if (pthread_create(&taker->thread, NULL, take_elsewhere, taker))
		surprise("pthread_create", errno);
}

/* Hands over all entries, of which the kernel may leave some behind a bad one. */
static void ring_submit(struct ring *ring)
{
	struct io_uring *uring = &ring->uring;
	unsigned tries = 0;

	while (io_uring_sq_ready(uring)) {
		int result;

		switch (ring->taker ? 0 : pick(3)) {
		case 0:
			result = io_uring_submit(uring);
			break;
		case 1:
			result = io_uring_submit_and_get_events(uring);
			break;
		default:
			result = io_uring_submit_and_wait(uring, 0);
		}
		if (result < 0 && result != -EINTR && result != -EBUSY && result != -EAGAIN)
			surprise("submit", result);
		if (ring->setup & IORING_SETUP_SQPOLL)
			break;
		if (tries++ > 1000)
			surprise("entries that do not go in", io_uring_sq_ready(uring));
	}
	/* A polling thread copies what it takes when it takes it. */
	if (ring->setup & IORING_SETUP_SQPOLL)
		while (io_uring_sq_ready(uring))
			sched_yield();
	for (unsigned i = 0; i < ring->until_taken_count; i++)
		free(ring->until_taken[i]);
	ring->until_taken_count = 0;
	ring->has_names = false;
}

/* Room for so many entries, which go in together. */
static void ring_reserve(struct ring *ring, unsigned count)
{
	if (io_uring_sq_space_left(&ring->uring) < count)
		ring_submit(ring);
	if (io_uring_sq_space_left(&ring->uring) < count)
		surprise("no room in an empty queue", count);
}

static void until_taken(struct ring *ring, void *block)
{
	if (ring->until_taken_count == 64)
		surprise("too much to free", 64);
	ring->until_taken[ring->until_taken_count++] = block;
}

/* An entry for an operation, filled by the caller but for its cookie. */
static struct io_uring_sqe *ring_entry(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (!sqe)
		surprise("no entry", ring->entries);
	if (ring->setup & IORING_SETUP_SQE128)
		memset(sqe + 1, 0, sizeof(*sqe));
	return sqe;
}

/* Takes what another thread put by; waits for some if it has to. */
static void take_over(struct ring *ring, bool wait)
{
	struct taker *taker = ring->taker;

	for (;;) {
		pthread_mutex_lock(&taker->lock);
		while (wait && taker->first == taker->last)
			pthread_cond_wait(&taker->some, &taker->lock);
		if (taker->first == taker->last) {
			pthread_mutex_unlock(&taker->lock);
			return;
		}
		unsigned at = taker->first++ % 1024;
		uint64_t cookie = taker->taken[at].cookie;
		int res = taker->taken[at].res;
		unsigned flags = taker->taken[at].flags;
		pthread_mutex_unlock(&taker->lock);
		op_complete(ring, cookie, res, flags);
		wait = false;
	}
}

static void take_one_by_one(struct ring *ring)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&ring->uring, &cqe) == 0) {
		uint64_t cookie = cqe->user_data;
		int res = cqe->res;
		unsigned flags = cqe->flags;

		io_uring_cqe_seen(&ring->uring, cqe);
		op_complete(ring, cookie, res, flags);
	}
}

static void take_by_batch(struct ring *ring)
{
	struct io_uring_cqe *cqes[16];
	unsigned count = io_uring_peek_batch_cqe(&ring->uring, cqes, 1 + pick(16));

	for (unsigned i = 0; i < count; i++)
		op_complete(ring, cqes[i]->user_data, cqes[i]->res, cqes[i]->flags);
	io_uring_cq_advance(&ring->uring, count);
}

static void take_in_a_loop(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0, most = one_in(3) ? 1 + pick(4) : ~0u;

	io_uring_for_each_cqe(&ring->uring, head, cqe) {
		if (count == most)
			break;
		op_complete(ring, cqe->user_data, cqe->res, cqe->flags);
		count++;
	}
	io_uring_cq_advance(&ring->uring, count);
}

/* Takes what there is, or waits for one more first. */
static void ring_take(struct ring *ring, bool wait)
{
	struct io_uring_cqe *cqe;

	if (ring->has_names || wait)
		ring_submit(ring);
	if (ring->taker) {
		take_over(ring, wait);
		return;
	}
	if (wait) {
		struct __kernel_timespec long_time = { .tv_sec = 60 };
		int error;

		switch (pick(3)) {
		case 0:
			error = io_uring_wait_cqe(&ring->uring, &cqe);
			break;
		case 1:
			error = io_uring_wait_cqe_timeout(&ring->uring, &cqe, &long_time);
			break;
		default:
			error = io_uring_submit_and_wait(&ring->uring, 1);
		}
		/* It may also end before its time. */
		if (error != -EINTR && error != -ETIME)
			must("wait", error);
	} else if (ring->setup & IORING_SETUP_DEFER_TASKRUN || one_in(4)) {
		io_uring_get_events(&ring->uring);
	}
	switch (pick(3)) {
	case 0:
		take_one_by_one(ring);
		return;
	case 1:
		take_by_batch(ring);
		return;
	default:
		take_in_a_loop(ring);
		return;
	}
}

static unsigned random_setup(void)
{
	unsigned setup = 0;

	switch (pick(without_polling ? 7 : 8)) {
	case 0:
	case 1:
		setup = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
		break;
	case 2:
		setup = IORING_SETUP_COOP_TASKRUN | (one_in(2) ? IORING_SETUP_TASKRUN_FLAG : 0);
		break;
	case 3:
		setup = IORING_SETUP_SINGLE_ISSUER;
		break;
	case 7:
		setup = IORING_SETUP_SQPOLL;
		break;
	}
	if (one_in(3))
		setup |= IORING_SETUP_SUBMIT_ALL;
	if (one_in(6))
		setup |= IORING_SETUP_CQE32;
	if (one_in(8))
		setup |= IORING_SETUP_SQE128;
	if (one_in(10))
		setup |= IORING_SETUP_R_DISABLED;
	return setup;
}

static void ring_open_as(struct ring *ring, unsigned setup, unsigned entries, enum scheme scheme)
{
	struct io_uring_params params = { .flags = setup, .sq_thread_idle = 50 };
	unsigned number = (unsigned)(ring - rings);

	memset(ring, 0, sizeof(*ring));
	ring->number = number;
	ring->setup = setup;
	ring->entries = entries;
	ring->scheme = scheme;
	if (one_in(3)) {
		/* As small as can be, so that it overflows; or large. */
		params.flags |= IORING_SETUP_CQSIZE;
		params.cq_entries = one_in(2) ? entries : 4 * entries;
	}
	must("queue_init", io_uring_queue_init_params(entries, &ring->uring, &params));
	if (setup & IORING_SETUP_R_DISABLED)
		/* Some versions of liburing forgot to export io_uring_enable_rings. */
		must("enable_rings", (int)syscall(SYS_io_uring_register, ring->uring.ring_fd,
						  IORING_REGISTER_ENABLE_RINGS, NULL, 0));
	ring->is_open = true;
	polled_count += (setup & IORING_SETUP_SQPOLL) != 0;
	TRACER_RING_SENTINEL(TRACER_URING(&ring->uring), NOBODY);
	TRACER_RING_SENTINEL(TRACER_URING(&ring->uring), ENOUGH);
	if (scheme == TAGGED)
		TRACER_RING_COOKIES(TRACER_URING(&ring->uring), TRACER_COOKIES_TAGGED, 7);
	else
		TRACER_RING_COOKIES(TRACER_URING(&ring->uring),
				    scheme == POINTERS ? TRACER_COOKIES_POINTERS : TRACER_COOKIES_INDICES, 0);
	if (!(setup & (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SQPOLL)) && !without_threads && one_in(4))
		taker_start(ring);
	else if (one_in(4))
		/* Known by that number in this thread alone. */
		must("register_ring_fd", io_uring_register_ring_fd(&ring->uring));
}

static void ring_open(struct ring *ring)
{
	ring_open_as(ring, random_setup(), 8u << pick(4), (enum scheme)pick(SCHEMES));
}

#endif
