/* Random programs on liburing, all of them correct unless told otherwise: rings of all kinds, operations of most kinds,
 * cookies of the schemes that runtimes have, and completions that are taken in all ways. From a seed:
 *
 *     shapes SEED OPERATIONS [FAULT] [without-polling] [without-threads]
 *
 * It holds every completion against its own table (shapes/table.h), and aborts where the kernel did not do what it has
 * to. So of a run that ends with 0 and without a fault nothing is to be found, and whatever is found is a mistake of who
 * found it. With a fault (shapes/faults.h) one thing is wrong, once, in a run that is right otherwise.
 *
 * Built with -DPROBED it links the probe for C (tracer_liburing.h) and tells it what it does. Prints what it did; ends with
 * 77 where the kernel is too old to have all of it. */
#include "shapes/faults.h"

typedef void start(struct ring *ring);

static void start_reads(struct ring *ring)
{
	for (unsigned i = 0; i < 1 + pick(6); i++)
		start_read(ring);
}

static void start_nops(struct ring *ring)
{
	for (unsigned i = 0; i < 1 + pick(20); i++)
		start_nop(ring);
}

static start *const starts[] = {
	start_nop, start_nops, start_read, start_reads, start_write, start_fixed, start_fsync, start_statx, start_open,
	start_close, start_quiet, start_bad, start_poll, start_poll, start_recv, start_recvmsg, start_send, start_send_zc,
	start_splice, start_accept, start_connect, start_timeout, start_long, start_timer, start_chain, start_quiet_chain,
	start_link_timeout, start_asking, start_asking, start_asking, start_recv_pooled, start_recv_by_entry, start_direct,
	start_message, start_futex, start_registering, start_read_many, start_accept_direct,
};

#define KINDS (sizeof(starts) / sizeof(starts[0]))

/* So many may be in flight at once. */
#define MOST 120

static int listen_on(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	must("bind", bind(fd, (struct sockaddr *)address, sizeof(*address)));
	must("listen", listen(fd, 512));
	must("getsockname", getsockname(fd, (struct sockaddr *)address, &length));
	return TRACER_FD_OPENED(fd);
}

static bool kernel_has_all(void)
{
	struct io_uring_probe *probe = io_uring_get_probe();
	bool has_all = probe && io_uring_opcode_supported(probe, OP_FIXED_FD_INSTALL);

	io_uring_free_probe(probe);
	return has_all;
}

static void world_open(void)
{
	static char all[FILE_BYTES];

	file_fd = TRACER_FD_OPENED(must("memfd_create", memfd_create("shapes", MFD_CLOEXEC)));
	fill(all, sizeof(all), 0);
	if (write(file_fd, all, sizeof(all)) != sizeof(all))
		surprise("write", errno);
	listener_fd = listen_on(&listener_address);
	sink_fd = listen_on(&sink_address);
	pair_fd = listen_on(&pair_address);
}

/* Ends all that waits: by what it waits for, or by cancelling it; then takes the rest. */
static void ring_settle(struct ring *ring)
{
	while (ring->count) {
		struct op *op = random_waiting(ring);

		give_late(ring);

		if (op && !is_asked_about(op) && (op->many || !op->poke || one_in(2)))
			ask_cancel(ring, op);
		else if (op && op->poke)
			op->poke(op);
		/* Whom a poke reached is not known: of two accepts, either. */
		ring_submit(ring);
		ring_take(ring, ring->count > ring->waiting);
	}
	ring_submit(ring);
}

static int for_ever[2] = { -1, -1 };
static struct owner the_owner_for_ever = { MAGIC, 1 };

/* Leaves an operation in flight whose owner lives for ever, cancelled or not, and waits for nothing. */
static void leave_in_flight(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	if (for_ever[0] < 0)
		must("pipe", pipe2(for_ever, O_CLOEXEC));
	ring_reserve(ring, 2);
	sqe = ring_entry(ring);
	io_uring_prep_poll_add(sqe, for_ever[0], POLLIN);
	io_uring_sqe_set_data(sqe, TRACER_LEAK_FOREVER(&the_owner_for_ever, struct owner));
	if (one_in(2)) {
		sqe = ring_entry(ring);
		io_uring_prep_cancel(sqe, &the_owner_for_ever, 0);
		io_uring_sqe_set_data64(sqe, NOBODY);
	}
	ring_submit(ring);
}

static void taker_stop(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, ENOUGH);
	ring_submit(ring);
	pthread_join(ring->taker->thread, NULL);
	free(ring->taker);
	ring->taker = NULL;
}

/* Who sent a message is told so before the ring that it named is closed. */
static void settle_senders(const struct ring *to)
{
	for (unsigned i = 0; i < RINGS; i++)
		while (&rings[i] != to && rings[i].is_open && is_sending(&rings[i]))
			ring_take(&rings[i], true);
}

static void ring_close(struct ring *ring)
{
	ring_settle(ring);
	settle_senders(ring);
	if (ring->taker)
		taker_stop(ring);
	else if (one_in(3))
		leave_in_flight(ring);
	io_uring_queue_exit(&ring->uring);
	if (ring->fixed)
		munmap(ring->fixed, FIXED_COUNT * FIXED_BYTES);
	if (ring->pool) {
		munmap(ring->pool->shared, 4096);
		free(ring->pool->buffers);
		free(ring->pool->by_entries);
		free(ring->pool);
	}
	ring->is_open = false;
}

/* Messages to a ring that is closed come from another one, which is done with them first. */
static void ring_reopen(struct ring *ring)
{
	for (unsigned i = 0; i < RINGS; i++)
		if (rings[i].is_open)
			ring_submit(&rings[i]);
	ring_close(ring);
	ring_open(ring);
}

static void step(struct ring *ring)
{
	if (one_in(50))
		give_late(ring);
	switch (pick(10)) {
	default:
		if (ring->count < MOST)
			starts[pick(KINDS)](ring);
		break;
	case 5:
		ring_submit(ring);
		break;
	case 6:
		poke_one(ring);
		break;
	case 7:
		ring_take(ring, false);
		break;
	case 8:
		ring_take(ring, ring->count > ring->waiting);
		break;
	case 9:
		if (one_in(30))
			ring_reopen(ring);
	}
}

int main(int argc, char **argv)
{
	unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	unsigned steps = argc > 2 ? (unsigned)atoi(argv[2]) : 300, count, when;
	const char *fault = NULL;

	for (int i = 3; i < argc; i++) {
		without_polling |= !strcmp(argv[i], "without-polling");
		without_threads |= !strcmp(argv[i], "without-threads");
		if (strncmp(argv[i], "without", 7))
			fault = argv[i];
	}
	if (!kernel_has_all())
		return 77;
	random_state = seed * 0x9E3779B97F4A7C15ULL + 0x1234567;
	for (unsigned i = 0; i < 5; i++)
		random_word();
	world_open();
	count = 1 + pick(RINGS);
	when = pick(steps);
	for (unsigned i = 0; i < count; i++)
		ring_open(&rings[i]);
	for (unsigned i = 0; i < steps; i++) {
		step(&rings[pick(count)]);
		if (fault && i == when)
			fault_plant(fault);
	}
	for (unsigned i = 0; i < RINGS + 2; i++)
		if (rings[i].is_open)
			ring_close(&rings[i]);
	while (opened_count)
		close_now(opened[--opened_count]);
	while (clients_count)
		close_now(clients[--clients_count]);
	printf("seed %lu: %u steps, %u rings polled, %u emptied by threads\n", seed, steps, polled_count, threads_count);
	if (fault)
		printf("planted: %s\n", subject);
	return 0;
}
