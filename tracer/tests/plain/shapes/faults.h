/* One thing that is wrong, planted between two steps of a run that is right otherwise.
 *
 * Each fault is a function. It is planted on one of the run's own rings where one will do (what has to be seen at the
 * very enter takes a ring that the kernel does not poll, and whose completions no other thread takes), or on one more,
 * and sees to it that the program goes on: what the fault brings about is over when the function returns. */
#ifndef SHAPES_FAULTS_H
#define SHAPES_FAULTS_H

#include "pools.h"

/* What the finding has to name. */
static char subject[64];

static void about(const char *what, uint64_t word)
{
	snprintf(subject, sizeof(subject), "%s%#llx", what, (unsigned long long)word);
}

static struct ring *const extra = &rings[RINGS];

static struct ring *extra_open(enum scheme scheme)
{
	static const unsigned setups[] = {0, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
					  IORING_SETUP_COOP_TASKRUN};

	without_threads = true;
	ring_open_as(extra, setups[pick(3)], 8u << pick(3), scheme);
	return extra;
}

/* A ring with pointers for cookies, with nothing in its queues. */
static struct ring *suitable(void)
{
	struct ring *found = NULL;

	for (unsigned i = 0; i < RINGS && !found; i++)
		if (rings[i].is_open && rings[i].scheme == POINTERS && !rings[i].taker &&
		    !(rings[i].setup & IORING_SETUP_SQPOLL))
			found = &rings[i];
	if (!found)
		found = extra_open(POINTERS);
	ring_submit(found);
	while (found->count > found->waiting)
		ring_take(found, true);
	return found;
}

/* The same, of which nothing else is in flight: whose completion comes next is known. */
static struct ring *suitable_and_idle(void)
{
	struct ring *ring = suitable();

	if (!ring->count)
		return ring;
	return ring == extra ? ring : extra_open(POINTERS);
}

static bool is_there(const struct ring *ring, const struct op *wanted)
{
	for (const struct op *op = ring->ops; op; op = op->next)
		if (op == wanted)
			return true;
	return false;
}

static void await(struct ring *ring, const struct op *op)
{
	while (is_there(ring, op))
		ring_take(ring, true);
}

static struct op *owned_nop(struct ring *ring)
{
	struct op *op = op_new(ring, "nop");
	struct io_uring_sqe *sqe;

	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_nop(sqe);
	go(op, sqe);
	return op;
}

static void rounds(struct ring *ring, unsigned count)
{
	while (count--)
		await(ring, owned_nop(ring));
}

/* A NOP whose user_data nobody sets; it brings what lies in its slot. */
static void forget_cookie(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_nop(sqe);
	ring->astray = 1;
	while (ring->astray)
		ring_take(ring, true);
}

static void unset_fresh(void)
{
	struct ring *ring = extra_open(POINTERS);

	strcpy(subject, "its slot had none before");
	rounds(ring, 3);
	forget_cookie(ring);
	rounds(ring, 3);
}

static void unset_dead(void)
{
	struct ring *ring = suitable();
	struct op *op;

	/* It is known by then that slots are filled each time. */
	rounds(ring, ring->entries);
	op = owned_nop(ring);
	about("", op->cookie);
	await(ring, op);
	rounds(ring, ring->entries - 1);
	forget_cookie(ring);
}

static void unset_live(void)
{
	struct ring *ring = suitable();

	about("", start_poll_as(ring, false)->cookie);
	ring_submit(ring);
	rounds(ring, ring->entries - 1);
	forget_cookie(ring);
}

/* The block of an operation that waits is freed. */
static void block_freed(void)
{
	struct ring *ring = suitable();
	struct op *op = start_poll_as(ring, false);

	about("", op->cookie);
	ring_submit(ring);
	free(op->owner);
	op->owner = NULL;
	op->poke(op);
	await(ring, op);
}

static void reclaimed_twice(void)
{
	struct ring *ring = suitable();
	struct op *op = owned_nop(ring);
	struct owner *owner = op->owner;

	about("", op->cookie);
	await(ring, op);
	(void)TRACER_RECLAIM(owner, struct owner);
	(void)owner;
}

/* The head of the queue stays where it is for once: the same completion is worked through again. */
static void handled_twice(void)
{
	struct ring *ring = suitable_and_idle();
	struct op *op = owned_nop(ring);
	struct io_uring_cqe *cqe;

	about("", op->cookie);
	ring_submit(ring);
	must("wait", io_uring_wait_cqe(&ring->uring, &cqe));
	(void)TRACER_RECLAIM(op->owner, struct owner);
	must("wait", io_uring_wait_cqe(&ring->uring, &cqe));
	op_complete(ring, cqe->user_data, cqe->res, cqe->flags);
	io_uring_cqe_seen(&ring->uring, cqe);
}

static void never_freed(void)
{
	struct ring *ring = suitable();
	struct op *op = owned_nop(ring);

	about("", op->cookie);
	op->owner = NULL;
	await(ring, op);
	rounds(ring, 3);
}

static void truncated(void)
{
	struct ring *ring = suitable();
	struct op *op = op_new(ring, "nop");
	struct io_uring_sqe *sqe;

	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_nop(sqe);
	go(op, sqe);
	about("", (uint32_t)op->cookie);
	io_uring_sqe_set_data64(sqe, (uint32_t)op->cookie);
	ring->astray = 1;
	while (ring->astray)
		ring_take(ring, true);
	op_disown(op);
	op_forget(op);
}

/* A second operation goes in with the cookie of one that waits. */
static void same_as(struct op *first)
{
	struct ring *ring = first->ring;
	struct op *second = op_new(ring, "nop with another's cookie");
	struct io_uring_sqe *sqe;

	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_nop(sqe);
	second->cookie = first->cookie;
	about("", first->cookie);
	second->is_without_owner = true;
	io_uring_sqe_set_data64(sqe, second->cookie);
	await(ring, second);
	first->poke(first);
	await(ring, first);
}

static void same_cookie(void)
{
	struct ring *ring = suitable();
	struct op *first = start_poll_as(ring, false);

	ring_submit(ring);
	same_as(first);
}

/* The same with an index, on a ring that is seen to have a table. */
static void same_index(void)
{
	struct ring *ring = extra_open(INDICES);

	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 3; i++) {
			start_read(ring);
			owned_nop(ring);
		}
		while (ring->count)
			ring_take(ring, true);
	}
	struct op *first = start_poll_as(ring, false);
	ring_submit(ring);
	same_as(first);
	rounds(ring, 3);
}

/* A cancellation names a word that two operations carry, on purpose. */
static void cancel_shared(void)
{
	static struct owner shared = { MAGIC, 1 };
	struct ring *ring = suitable();
	struct op *polls[2];
	struct io_uring_sqe *sqe;

	about("names ", (uintptr_t)&shared);
	TRACER_RING_SHARED(TRACER_URING(&ring->uring), &shared);
	ring_reserve(ring, 3);
	for (unsigned i = 0; i < 2; i++) {
		struct op *op = polls[i] = op_new(ring, "poll of two");

		pair_open(op, false);
		op->finish = finish_pair;
		op->may_cancel = true;
		op->is_without_owner = true;
		op->cookie = (uintptr_t)&shared;
		results(op, 1, 0x7fff);
		sqe = ring_entry(ring);
		io_uring_prep_poll_add(sqe, op->fd, POLLIN);
		io_uring_sqe_set_data(sqe, &shared);
	}
	ring_submit(ring);
	sqe = ring_entry(ring);
	io_uring_prep_cancel(sqe, &shared, 0);
	go_for_nobody(op_new(ring, "cancel of one of two"), sqe);
	while (ring->count > ring->waiting + 1)
		ring_take(ring, true);
	for (unsigned i = 0; i < 2; i++)
		if (is_there(ring, polls[i]))
			poke_byte(polls[i]);
	while (ring->count > ring->waiting)
		ring_take(ring, true);
}

/* A cancellation goes to another ring than what it names. */
static void cancel_elsewhere(void)
{
	struct ring *ring = suitable(), *other = ring == extra ? &rings[RINGS + 1] : extra_open(POINTERS);
	struct op *op;
	struct io_uring_sqe *sqe;

	if (ring == extra)
		ring_open_as(other, 0, 8, POINTERS);
	op = start_poll_as(ring, false);
	about("whose cookie ", op->cookie);
	ring_submit(ring);
	ring_reserve(other, 1);
	sqe = ring_entry(other);
	io_uring_prep_cancel64(sqe, op->cookie, 0);
	go_for_nobody(op_new(other, "cancel elsewhere"), sqe);
	while (other->count)
		ring_take(other, true);
	op->poke(op);
	await(ring, op);
}

static void end(struct ring *ring, struct op *op)
{
	ask_cancel(ring, op);
	await(ring, op);
}

static void buffer_freed(void)
{
	struct ring *ring = suitable();
	struct op *op = start_recv_into(ring, block_of(300), 300);

	about(" at ", (uintptr_t)op->buffer);
	ring_submit(ring);
	free(op->buffer);
	op->buffer = NULL;
	end(ring, op);
}

static void buffer_unmapped(void)
{
	struct ring *ring = suitable();
	char *buffer = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct op *op = start_recv_into(ring, buffer, 8192);

	about("the buffer at ", (uintptr_t)buffer);
	ring_submit(ring);
	munmap(buffer, 8192);
	op->buffer = NULL;
	end(ring, op);
}

/* Header, array and bytes of a message that is still to come. */
static void message_freed(void)
{
	struct ring *ring = suitable();
	struct op *op = start_recvmsg_op(ring);

	about(" at ", (uintptr_t)op->buffer);
	ring_submit(ring);
	free(op->buffer);
	op->buffer = NULL;
	end(ring, op);
}

/* Two completions are there, one is worked through, and both are given up. */
static void passed_by(void)
{
	struct ring *ring = suitable_and_idle();
	struct op *first = owned_nop(ring), *second = owned_nop(ring);
	struct io_uring_cqe *cqe;

	ring_submit(ring);
	must("wait", io_uring_wait_cqe_nr(&ring->uring, &cqe, 2));
	op_complete(ring, cqe->user_data, cqe->res, cqe->flags);
	io_uring_cq_advance(&ring->uring, 2);
	if (is_there(ring, first))
		second = first;
	about("", second->cookie);
	op_forget(second);
	rounds(ring, 3);
}

/* One completion is there, and two are given up: the next one is passed by unread. */
static void beyond(void)
{
	struct ring *ring = extra_open(POINTERS);
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;

	strcpy(subject, "1 completion marked as seen");
	rounds(ring, 3);
	owned_nop(ring);
	ring_submit(ring);
	must("wait", io_uring_wait_cqe(&ring->uring, &cqe));
	op_complete(ring, cqe->user_data, cqe->res, cqe->flags);
	io_uring_cq_advance(&ring->uring, 2);
	sqe = ring_entry(ring);
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, NOBODY);
	must("submit", io_uring_submit(&ring->uring));
	io_uring_queue_exit(&ring->uring);
	ring->is_open = false;
}

/* No buffer of the group is given back until it is dry, and the ring goes on. */
static void pool_dry(void)
{
	struct ring *ring = extra_open(POINTERS);
	struct op *op = start_recv_many(ring);

	strcpy(subject, "of group 3 on ring ");
	kept_back = RING_BUFFERS;
	ring_submit(ring);
	while (kept_back) {
		if (!is_there(ring, op)) {
			op = start_recv_many(ring);
			ring_submit(ring);
		}
		op->poke(op);
		ring_take(ring, false);
	}
	/* Once to find none, and once more to ask in vain. */
	for (int i = 0; i < 2; i++) {
		if (!is_there(ring, op))
			op = start_recv_many(ring);
		ring_submit(ring);
		op->poke(op);
		await(ring, op);
	}
	rounds(ring, 6);
}

/* A descriptor is closed before the kernel takes the entry that names it. */
static void descriptor_closed(void)
{
	struct ring *ring = suitable();
	struct op *op = file_op(ring, "read from what is closed");
	int fd = TRACER_FD_OPENED(must("dup", dup(file_fd)));
	struct io_uring_sqe *sqe;

	snprintf(subject, sizeof(subject), "descriptor %d was closed", fd);
	never_succeeds(op);
	fails(op, EBADF);
	op->finish = finish_buffer;
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_read(sqe, fd, op->buffer, (unsigned)op->length, 0);
	go(op, sqe);
	close_now(fd);
	await(ring, op);
}

/* An entry is filled, and its ring dropped before it goes in: its owner waits for ever. */
static void stranded(void)
{
	struct ring *ring = extra_open(POINTERS);
	struct op *op;

	rounds(ring, 3);
	op = owned_nop(ring);
	about("", op->cookie);
	io_uring_queue_exit(&ring->uring);
	op_forget(op);
	ring->is_open = false;
}

/* More completions than there is room for, and nothing enters the kernel for the rest. */
static void stalled(void)
{
	struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE, .cq_entries = 4 };
	static struct io_uring uring;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	strcpy(subject, "it owes 4 operations");
	must("queue_init", io_uring_queue_init_params(4, &uring, &params));
	TRACER_RING_SENTINEL(TRACER_URING(&uring), NOBODY);
	for (unsigned i = 0; i < 8; i++) {
		sqe = io_uring_get_sqe(&uring);
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data64(sqe, NOBODY);
		if (i % 4 == 3)
			must("submit", io_uring_submit(&uring));
	}
	io_uring_for_each_cqe(&uring, head, cqe)
		count++;
	io_uring_cq_advance(&uring, count);
}

static const struct {
	const char *name;
	void (*plant)(void);
} faults[] = {
	{ "unset-fresh", unset_fresh },
	{ "unset-dead", unset_dead },
	{ "unset-live", unset_live },
	{ "block-freed", block_freed },
	{ "reclaimed-twice", reclaimed_twice },
	{ "handled-twice", handled_twice },
	{ "never-freed", never_freed },
	{ "truncated", truncated },
	{ "same-cookie", same_cookie },
	{ "same-index", same_index },
	{ "cancel-shared", cancel_shared },
	{ "cancel-elsewhere", cancel_elsewhere },
	{ "buffer-freed", buffer_freed },
	{ "buffer-unmapped", buffer_unmapped },
	{ "message-freed", message_freed },
	{ "passed-by", passed_by },
	{ "beyond", beyond },
	{ "pool-dry", pool_dry },
	{ "descriptor-closed", descriptor_closed },
	{ "stranded", stranded },
	{ "stalled", stalled },
};

static void fault_plant(const char *name)
{
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (!strcmp(faults[i].name, name)) {
			faults[i].plant();
			return;
		}
	surprise("a fault that is not known", 0);
}

#endif
