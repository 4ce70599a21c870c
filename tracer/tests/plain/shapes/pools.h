/* Buffers that the kernel picks, descriptors of a ring's own, messages between rings, futexes. */
#ifndef SHAPES_POOLS_H
#define SHAPES_POOLS_H

#include "times.h"

#define RING_GROUP 3
#define RING_BUFFERS 8
#define RING_BUFFER_BYTES 256
#define ENTRY_GROUP 5
#define ENTRY_BUFFERS 4
#define ENTRY_BUFFER_BYTES 700

struct pool {
	struct io_uring_buf_ring *shared;
	char *buffers, *by_entries;
	/* Bytes that were taken out of each so far, where the kernel goes on with what is left. */
	unsigned at[RING_BUFFERS];
	bool is_incremental;
	/* Buffers that are still looked at. */
	unsigned late[RING_BUFFERS], late_count;
	/* Receives in flight that may take one by entries, and buffers to be given back. */
	unsigned claimed, back[ENTRY_BUFFERS], back_count;
};

/* How many buffers of the group a fault keeps back. */
static unsigned kept_back;

static void pool_give(struct pool *pool, unsigned id)
{
	pool->at[id] = 0;
	io_uring_buf_ring_add(pool->shared, pool->buffers + id * RING_BUFFER_BYTES, RING_BUFFER_BYTES, (unsigned short)id,
			      io_uring_buf_ring_mask(RING_BUFFERS), 0);
	io_uring_buf_ring_advance(pool->shared, 1);
}

static void pool_open(struct ring *ring)
{
	struct io_uring_buf_reg reg = { .ring_entries = RING_BUFFERS, .bgid = RING_GROUP };
	struct pool *pool = calloc(1, sizeof(*pool));
	void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!pool || shared == MAP_FAILED)
		surprise("no memory", 0);
	pool->shared = shared;
	pool->buffers = block_of(RING_BUFFERS * RING_BUFFER_BYTES);
	pool->by_entries = block_of(ENTRY_BUFFERS * ENTRY_BUFFER_BYTES);
	io_uring_buf_ring_init(pool->shared);
	reg.ring_addr = (uintptr_t)shared;
	/* Older headers call the flags padding. */
	unsigned short flags = one_in(2) ? BUFFERS_INCREMENTAL : 0;
	memcpy((char *)&reg + 14, &flags, sizeof(flags));
	if (io_uring_register_buf_ring(&ring->uring, &reg, 0) == 0) {
		pool->is_incremental = flags != 0;
	} else {
		flags = 0;
		memcpy((char *)&reg + 14, &flags, sizeof(flags));
		must("register_buf_ring", io_uring_register_buf_ring(&ring->uring, &reg, 0));
	}
	ring->pool = pool;
	for (unsigned id = 0; id < RING_BUFFERS; id++)
		pool_give(pool, id);
}

static void arrive_in_pool(struct op *op, int res, unsigned flags)
{
	struct pool *pool = op->ring->pool;
	unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;

	if (!(flags & IORING_CQE_F_BUFFER))
		return;
	if (id >= RING_BUFFERS || res < 0)
		surprise("a buffer", id);
	compare(pool->buffers + id * RING_BUFFER_BYTES + pool->at[id], (size_t)res, (off_t)op->length);
	op->length += (size_t)res;
	if (flags & CQE_F_BUF_MORE) {
		pool->at[id] += (unsigned)res;
		return;
	}
	if (kept_back)
		kept_back--;
	else if (one_in(2))
		pool->late[pool->late_count++] = id;
	else
		pool_give(pool, id);
}

/* Gives back what was looked at long enough; until then receives may have found none left. */
static void give_late(struct ring *ring)
{
	struct pool *pool = ring->pool;

	while (pool && pool->late_count)
		pool_give(pool, pool->late[--pool->late_count]);
}

/* The same to a pipe. */
static void poke_pipe(struct op *op)
{
	char bytes[300];
	unsigned length = 1 + pick(300);

	fill(bytes, length, op->offset);
	op->offset += length;
	if (write(op->other, bytes, length) != (ssize_t)length)
		surprise("write", errno);
}

/* Reads a pipe into buffers of the group, again and again. */
static void start_read_many(struct ring *ring)
{
	struct op *op = op_new(ring, "read multishot");
	struct io_uring_sqe *sqe;

	if (!ring->pool)
		pool_open(ring);
	pair_open(op, false);
	op->many = true;
	op->arrive = arrive_in_pool;
	op->finish = finish_pair;
	results(op, 1, RING_BUFFER_BYTES);
	fails(op, ENOBUFS);
	waits(op, poke_pipe);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_rw(OP_READ_MULTISHOT, sqe, op->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = RING_GROUP;
	go(op, sqe);
}

static struct op *start_recv_many(struct ring *ring)
{
	struct op *op = op_new(ring, "recv multishot");
	struct io_uring_sqe *sqe;

	if (!ring->pool)
		pool_open(ring);
	if (one_in(5))
		give_late(ring);
	pair_open(op, true);
	op->many = true;
	op->arrive = arrive_in_pool;
	op->finish = finish_pair;
	results(op, 1, RING_BUFFERS * RING_BUFFER_BYTES);
	fails(op, ENOBUFS);
	waits(op, poke_stream);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (one_in(2)) {
		io_uring_prep_recv_multishot(sqe, op->fd, NULL, 0, 0);
	} else {
		op->many = false;
		io_uring_prep_recv(sqe, op->fd, NULL, RING_BUFFER_BYTES, 0);
	}
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = RING_GROUP;
	go(op, sqe);
	return op;
}

static void start_recv_pooled(struct ring *ring)
{
	start_recv_many(ring);
}

/* Buffers that are given by entries ------------------------------------------------------------------------ */

static void provide(struct ring *ring, unsigned first, unsigned count)
{
	struct io_uring_sqe *sqe;

	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_provide_buffers(sqe, ring->pool->by_entries + first * ENTRY_BUFFER_BYTES, ENTRY_BUFFER_BYTES,
				      (int)count, ENTRY_GROUP, (int)first);
	if (one_in(2)) {
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		io_uring_sqe_set_data64(sqe, NOBODY);
	} else {
		go_for_nobody(op_new(ring, "provide buffers"), sqe);
	}
}

static void give_back(struct ring *ring)
{
	struct pool *pool = ring->pool;

	while (pool && pool->back_count) {
		provide(ring, pool->back[--pool->back_count], 1);
		pool->claimed--;
	}
}

static void arrive_by_entry(struct op *op, int res, unsigned flags)
{
	struct pool *pool = op->ring->pool;
	unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;

	if (!(flags & IORING_CQE_F_BUFFER)) {
		pool->claimed--;
		return;
	}
	if (id >= ENTRY_BUFFERS)
		surprise("a buffer by entry", id);
	if (res > 0)
		compare(pool->by_entries + id * ENTRY_BUFFER_BYTES, (size_t)res, 0);
	pool->back[pool->back_count++] = id;
}

static void start_recv_by_entry(struct ring *ring)
{
	struct io_uring_sqe *sqe;
	struct op *op;

	if (!ring->pool)
		pool_open(ring);
	if (!ring->has_provided) {
		ring->has_provided = true;
		provide(ring, 0, ENTRY_BUFFERS);
	}
	give_back(ring);
	if (ring->pool->claimed == ENTRY_BUFFERS)
		return;
	ring->pool->claimed++;
	op = op_new(ring, "recv by entry");
	pair_open(op, true);
	op->arrive = arrive_by_entry;
	op->finish = finish_pair;
	results(op, 1, ENTRY_BUFFER_BYTES);
	waits(op, poke_stream);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_recv(sqe, op->fd, NULL, ENTRY_BUFFER_BYTES, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = ENTRY_GROUP;
	go(op, sqe);
}

/* Direct descriptors ---------------------------------------------------------------------------------------- */

static void finish_installed(struct op *op, int res)
{
	(void)op;
	if (res >= 0)
		close_now(TRACER_FD_OPENED(res));
}

static void finish_slot(struct op *op, int res)
{
	(void)res;
	op->ring->slots_busy &= ~(1u << op->number);
}

/* Makes one in a slot, gives it a number of the process's too, and closes it: one after the other. */
static void start_direct(struct ring *ring)
{
	unsigned slot = pick(FIRST_CHOSEN);
	struct io_uring_sqe *sqe;
	struct op *op;

	if (ring->slots_busy & 1u << slot)
		return;
	ring->slots_busy |= 1u << slot;
	table_open(ring);
	ring_reserve(ring, 3);
	op = op_new(ring, "socket direct");
	sqe = ring_entry(ring);
	io_uring_prep_socket_direct(sqe, AF_UNIX, SOCK_STREAM, 0, slot, 0);
	sqe->flags |= IOSQE_IO_LINK;
	go(op, sqe);
	op = op_new(ring, "install");
	results(op, 0, 1 << 20);
	op->finish = finish_installed;
	sqe = ring_entry(ring);
	io_uring_prep_rw(OP_FIXED_FD_INSTALL, sqe, (int)slot, NULL, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK;
	go(op, sqe);
	op = op_new(ring, "close direct");
	op->number = slot;
	op->finish = finish_slot;
	sqe = ring_entry(ring);
	io_uring_prep_close_direct(sqe, slot);
	go(op, sqe);
}

static void close_accepted(struct ring *ring)
{
	while (ring->accepted_count) {
		struct io_uring_sqe *sqe;

		ring_reserve(ring, 1);
		sqe = ring_entry(ring);
		io_uring_prep_close_direct(sqe, ring->accepted[--ring->accepted_count]);
		go_for_nobody(op_new(ring, "close direct"), sqe);
	}
}

static void arrive_direct(struct op *op, int res, unsigned flags)
{
	(void)flags;
	if (res < 0)
		return;
	op->ring->accepted[op->ring->accepted_count++] = (unsigned)res;
	if (clients_count)
		close_now(clients[--clients_count]);
}

/* Accepts into places that the kernel chooses. */
static void start_accept_direct(struct ring *ring)
{
	struct op *op;
	struct io_uring_sqe *sqe;

	table_open(ring);
	close_accepted(ring);
	op = op_new(ring, "accept direct");
	op->many = one_in(2);
	op->arrive = arrive_direct;
	results(op, FIRST_CHOSEN, FILE_SLOT - 1);
	fails(op, ENFILE);
	waits(op, poke_listener);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (op->many)
		io_uring_prep_multishot_accept(sqe, listener_fd, NULL, NULL, 0);
	else
		io_uring_prep_accept(sqe, listener_fd, NULL, NULL, 0);
	/* Of one shot some versions of liburing get that wrong. */
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
	go(op, sqe);
}

/* Messages and futexes -------------------------------------------------------------------------------------- */

/* A pointer goes over to another ring, which it comes back on. */
static void start_message(struct ring *ring)
{
	struct ring *to = &rings[pick(RINGS)];
	struct op *sent, *message;
	struct io_uring_sqe *sqe;
	unsigned value = pick(1000);

	if (!to->is_open || to == ring)
		return;
	message = op_new(to, "message");
	op_own(message);
	results(message, (int)value, (int)value);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_msg_ring(sqe, to->uring.ring_fd, value, message->cookie, 0);
	if (one_in(3)) {
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		io_uring_sqe_set_data64(sqe, NOBODY);
	} else {
		sent = op_new(ring, "send message");
		go(sent, sqe);
	}
	/* What comes of it may be waited for on the other ring. */
	ring_submit(ring);
}

static bool is_sending(const struct ring *ring)
{
	for (const struct op *op = ring->ops; op; op = op->next)
		if (!strcmp(op->what, "send message"))
			return true;
	return false;
}

static void poke_futex(struct op *op)
{
	__atomic_store_n((uint32_t *)op->buffer, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, op->buffer, 129, 1, NULL, NULL, 0);
}

static void start_futex(struct ring *ring)
{
	struct op *op = op_new(ring, "futex");
	struct io_uring_sqe *sqe;

	op->buffer = block_of(16);
	*(uint32_t *)op->buffer = 0;
	op->finish = finish_buffer;
	fails(op, EAGAIN);
	waits(op, poke_futex);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_rw(OP_FUTEX_WAIT, sqe, FUTEX_32_BITS_PRIVATE, op->buffer, 0, 0);
	sqe->addr3 = ~0u;
	go(op, sqe);
}

/* Calls that change a ring beside its queues. */
static void start_registering(struct ring *ring)
{
	static int event_fd = -1;

	if (event_fd < 0)
		event_fd = must("eventfd", (int)syscall(SYS_eventfd2, 0, O_NONBLOCK | O_CLOEXEC));
	must("register_eventfd", io_uring_register_eventfd(&ring->uring, event_fd));
	must("unregister_eventfd", io_uring_unregister_eventfd(&ring->uring));
}

#endif
