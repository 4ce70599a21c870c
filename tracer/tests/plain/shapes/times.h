/* Timeouts, chains, and what ends or changes other operations. */
#ifndef SHAPES_TIMES_H
#define SHAPES_TIMES_H

#include "kinds.h"

/* A time that the kernel copies when it takes the entry. */
static struct __kernel_timespec *time_of(struct ring *ring, long long ns)
{
	struct __kernel_timespec *time = block_of(sizeof(*time));

	time->tv_sec = ns / 1000000000;
	time->tv_nsec = ns % 1000000000;
	until_taken(ring, time);
	return time;
}

#define MINUTE 60000000000LL

static void start_timeout(struct ring *ring)
{
	static const unsigned flags[] = {0, IORING_TIMEOUT_BOOTTIME, IORING_TIMEOUT_REALTIME, IORING_TIMEOUT_ETIME_SUCCESS};
	struct op *op = op_new(ring, "timeout");
	unsigned count = one_in(3) ? 1 + pick(3) : 0;
	struct io_uring_sqe *sqe;

	if (!count)
		never_succeeds(op);
	fails(op, ETIME);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_timeout(sqe, time_of(ring, 1 + pick(300000)), count, flags[pick(4)]);
	go(op, sqe);
}

static struct op *start_long_timeout(struct ring *ring)
{
	struct op *op = op_new(ring, "long timeout");
	struct io_uring_sqe *sqe;

	never_succeeds(op);
	fails(op, ETIME);
	waits(op, NULL);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_timeout(sqe, time_of(ring, MINUTE), 0, 0);
	go(op, sqe);
	return op;
}

static void start_long(struct ring *ring)
{
	start_long_timeout(ring);
}

static void start_timer(struct ring *ring)
{
	struct op *op = op_new(ring, "timeout multishot");
	struct io_uring_sqe *sqe;

	never_succeeds(op);
	fails(op, ETIME);
	op->many = true;
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_timeout(sqe, time_of(ring, 20000 + pick(50000)), 1 + pick(4), TIMEOUT_MULTISHOT);
	go(op, sqe);
}

/* Chains --------------------------------------------------------------------------------------------------- */

/* An operation of a chain that succeeds, or that does less than it was asked for, which breaks the chain. */
static struct io_uring_sqe *chain_link(struct ring *ring, struct op *op, bool breaks)
{
	struct io_uring_sqe *sqe = ring_entry(ring);

	if (breaks) {
		/* At the end of the file there is nothing. */
		op->buffer = block_of(64);
		op->finish = finish_buffer;
		io_uring_prep_read(sqe, file_fd, op->buffer, 64, FILE_BYTES);
	} else if (one_in(2)) {
		op->buffer = block_of(64);
		op->finish = finish_read;
		op->offset = pick(FILE_BYTES - 64);
		results(op, 64, 64);
		io_uring_prep_read(sqe, file_fd, op->buffer, 64, (__u64)op->offset);
	} else {
		io_uring_prep_nop(sqe);
	}
	return sqe;
}

/* Operations one after the other. Where one breaks the chain those behind it are cancelled, unless all the links before
 * are hard ones; of one that asked for no completion on success there is one then. */
static void start_chain(struct ring *ring)
{
	unsigned count = 2 + pick(4), broken = one_in(2) ? pick(count) : count;
	bool is_hard = one_in(3);

	ring_reserve(ring, count);
	for (unsigned i = 0; i < count; i++) {
		struct op *op = op_new(ring, i > broken && !is_hard ? "link behind a broken one" : "link");
		struct io_uring_sqe *sqe = chain_link(ring, op, i == broken);

		if (i > broken && !is_hard) {
			never_succeeds(op);
			fails(op, ECANCELED);
		}
		if (i + 1 < count)
			sqe->flags |= is_hard ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK;
		go(op, sqe);
	}
}

/* A chain of which nobody is told while it goes well, with owners that are static: the last one tells of all. */
static void start_quiet_chain(struct ring *ring)
{
	unsigned count = 2 + pick(3);
	struct op *op;
	struct io_uring_sqe *sqe;

	ring_reserve(ring, count);
	for (unsigned i = 0; i + 1 < count; i++) {
		sqe = ring_entry(ring);
		io_uring_prep_nop(sqe);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK;
		io_uring_sqe_set_data64(sqe, NOBODY);
	}
	op = op_new(ring, "end of a quiet chain");
	sqe = ring_entry(ring);
	io_uring_prep_nop(sqe);
	go(op, sqe);
}

/* An operation that waits, and the timeout that ends it, or is ended by it. */
static void start_link_timeout(struct ring *ring)
{
	bool is_late = one_in(2);
	struct op *op, *timeout;
	struct io_uring_sqe *sqe;

	ring_submit(ring);
	op = op_new(ring, "timed poll");
	pair_open(op, false);
	op->finish = finish_pair;
	op->may_cancel = true;
	results(op, 1, 0x7fff);
	if (is_late)
		poke_byte(op);
	ring_reserve(ring, 2);
	sqe = ring_entry(ring);
	io_uring_prep_poll_add(sqe, op->fd, POLLIN);
	sqe->flags |= IOSQE_IO_LINK;
	go(op, sqe);
	timeout = op_new(ring, "link timeout");
	never_succeeds(timeout);
	fails(timeout, ETIME);
	fails(timeout, ENOENT);
	fails(timeout, EALREADY);
	timeout->may_cancel = true;
	sqe = ring_entry(ring);
	io_uring_prep_link_timeout(sqe, time_of(ring, is_late ? MINUTE : 1 + pick(200000)), 0);
	if (one_in(3))
		go_for_nobody(timeout, sqe);
	else
		go(timeout, sqe);
}

/* Ends and changes ----------------------------------------------------------------------------------------- */

static struct op *random_waiting(struct ring *ring)
{
	unsigned at;

	if (!ring->waiting)
		return NULL;
	at = pick(ring->waiting);
	for (struct op *op = ring->ops; op; op = op->next)
		if (op->waits && at-- == 0)
			return op;
	return NULL;
}

/* Something that is about it is on its way. */
static bool is_asked_about(const struct op *op)
{
	for (struct op *other = op->ring->ops; other; other = other->next)
		if (other->target == op)
			return true;
	return false;
}

static bool is_timeout(const struct op *op)
{
	return !strcmp(op->what, "long timeout");
}

static bool is_poll(const struct op *op)
{
	return !strncmp(op->what, "poll", 4);
}

/* An operation about another one. What it names stays until it has been taken; a thread of the kernel's takes it when
 * it likes, so that there the owner stays until its own completion. */
static struct op *asking(struct ring *ring, const char *what, struct op *target, struct io_uring_sqe **sqe)
{
	struct op *op;

	ring_reserve(ring, 1);
	*sqe = ring_entry(ring);
	op = op_new(ring, what);
	op->target = target;
	fails(op, ENOENT);
	fails(op, EALREADY);
	ring->has_names = true;
	if (target->owner && (ring->setup & IORING_SETUP_SQPOLL || one_in(3))) {
		op->held = target->owner;
		op->held->references++;
	}
	return op;
}

/* Its cookie: of its own, nobody's, or its target's, with another tag where there are tags. */
static void go_asking(struct op *op, struct io_uring_sqe *sqe)
{
	struct op *target = op->target;

	if (target->owner && !op->held && op->most == 0 && target->least > 0 && one_in(2)) {
		op->owner = target->owner;
		op->owner->references++;
		op->cookie = (uintptr_t)op->owner | (tag_of(op->ring) ? tag_of(op->ring) ^ 7 : 0);
		(void)TRACER_LEAK(op->owner, struct owner);
		TRACER_RING_SHARED(TRACER_URING(&op->ring->uring), op->cookie);
		io_uring_sqe_set_data64(sqe, op->cookie);
	} else if (one_in(2)) {
		go_for_nobody(op, sqe);
	} else {
		go(op, sqe);
	}
}

static void ask_remove_poll(struct ring *ring, struct op *target)
{
	struct io_uring_sqe *sqe;
	struct op *op = asking(ring, "poll remove", target, &sqe);

	io_uring_prep_poll_remove(sqe, target->cookie);
	target->may_cancel = true;
	go_asking(op, sqe);
}

static void ask_remove_timeout(struct ring *ring, struct op *target)
{
	struct io_uring_sqe *sqe;
	struct op *op = asking(ring, "timeout remove", target, &sqe);

	io_uring_prep_timeout_remove(sqe, target->cookie, 0);
	target->may_cancel = true;
	go_asking(op, sqe);
}

static void ask_update_timeout(struct ring *ring, struct op *target)
{
	struct io_uring_sqe *sqe;
	struct op *op = asking(ring, "timeout update", target, &sqe);

	io_uring_prep_timeout_update(sqe, time_of(ring, one_in(2) ? MINUTE : 1 + pick(100000)), target->cookie, 0);
	go_asking(op, sqe);
}

/* A change of what is waited for, to the same. */
static void ask_update_poll(struct ring *ring, struct op *target)
{
	struct io_uring_sqe *sqe;
	struct op *op = asking(ring, "poll update", target, &sqe);

	io_uring_prep_poll_update(sqe, target->cookie, 0, POLLIN, IORING_POLL_UPDATE_EVENTS);
	/* One that is about to fire ends with it. */
	target->may_cancel = true;
	go_asking(op, sqe);
}

/* By a call that comes back when it is done, and that no entry tells of. */
static void ask_cancel_now(struct ring *ring, struct op *target)
{
	struct io_uring_sync_cancel_reg reg = { .addr = target->cookie, .fd = -1, .timeout = { .tv_sec = -1, .tv_nsec = -1 } };
	int result;

	ring_submit(ring);
	target->may_cancel = true;
	result = io_uring_register_sync_cancel(&ring->uring, &reg);
	if (result < 0 && result != -ENOENT && result != -EALREADY && result != -EINTR)
		surprise("sync_cancel", result);
}

static void ask_cancel(struct ring *ring, struct op *target)
{
	struct io_uring_sqe *sqe;
	struct op *op = asking(ring, "cancel", target, &sqe);

	io_uring_prep_cancel64(sqe, target->cookie, 0);
	/* Of these the kernel says how many it ended. */
	if (!strcmp(target->what, "futex"))
		results(op, 0, 1);
	target->may_cancel = true;
	go_asking(op, sqe);
}

static void ask_cancel_descriptor(struct ring *ring, struct op *target)
{
	struct io_uring_sqe *sqe;
	bool all = one_in(2);
	struct op *op = asking(ring, "cancel by descriptor", target, &sqe);

	io_uring_prep_cancel_fd(sqe, target->fd, all ? IORING_ASYNC_CANCEL_ALL : 0);
	results(op, 0, 100000);
	for (struct op *other = ring->ops; other; other = other->next)
		if (other->fd == target->fd)
			other->may_cancel = true;
	go_asking(op, sqe);
}

static void ask_cancel_any(struct ring *ring, struct op *target)
{
	struct io_uring_sqe *sqe;
	struct op *op = asking(ring, "cancel any", target, &sqe);

	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | (one_in(2) ? IORING_ASYNC_CANCEL_ALL : 0));
	results(op, 0, 100000);
	ring->has_cancelled_any = true;
	for (struct op *other = ring->ops; other; other = other->next)
		other->may_cancel = true;
	go_asking(op, sqe);
}

/* The poll has its new name from the time on at which the update says so. */
static void finish_rename(struct op *op, int res)
{
	struct op *target = op->target;
	struct owner *gone = op->renamed_to;

	if (res == 0 && target && target->renamed) {
		gone = target->owner;
		target->owner = op->renamed_to;
		target->cookie = (uintptr_t)target->owner;
	}
	if (target)
		target->renamed = 0;
	(void)TRACER_RECLAIM(gone, struct owner);
	owner_release(gone);
}

static void ask_rename(struct ring *ring, struct op *target)
{
	struct io_uring_sqe *sqe;
	struct op *op;

	if (ring->scheme != POINTERS)
		return;
	op = asking(ring, "poll rename", target, &sqe);
	op->renamed_to = owner_new();
	(void)TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, op->renamed_to, struct owner);
	op->finish = finish_rename;
	target->renamed = (uintptr_t)op->renamed_to;
	target->may_cancel = true;
	io_uring_prep_poll_update(sqe, target->cookie, target->renamed, 0, IORING_POLL_UPDATE_USER_DATA);
	go(op, sqe);
	/* Nobody is to complete under the new name before it is said to have it. */
	ring_submit(ring);
}

/* Asks for the end of an operation, or for a change. */
static void start_asking(struct ring *ring)
{
	struct op *target = random_waiting(ring);

	if (!target || is_asked_about(target))
		return;
	if (one_in(40)) {
		ask_cancel_any(ring, target);
		return;
	}
	if (is_timeout(target))
		switch (pick(3)) {
		case 0:
			ask_remove_timeout(ring, target);
			return;
		case 1:
			ask_update_timeout(ring, target);
			return;
		}
	if (is_poll(target))
		switch (pick(4)) {
		case 0:
			ask_remove_poll(ring, target);
			return;
		case 2:
			ask_update_poll(ring, target);
			return;
		case 1:
			ask_rename(ring, target);
			return;
		}
	if (!(ring->setup & IORING_SETUP_SQPOLL) && one_in(10)) {
		ask_cancel_now(ring, target);
		return;
	}
	if (target->fd >= 0 && one_in(3)) {
		ask_cancel_descriptor(ring, target);
		return;
	}
	ask_cancel(ring, target);
}

static void poke_one(struct ring *ring)
{
	struct op *op = random_waiting(ring);
	unsigned count = one_in(4) ? 1 + pick(8) : 1;

	while (op && op->poke && count--)
		op->poke(op);
}

#endif
