/* What liburing has that its version 2.3 did not have, all used correctly. Prints a line for each part that this version
 * has: its name, and how many completions it took; or `refused`, where the kernel does not know it. As C and as C++. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tracer_liburing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "must.h"

/* `IO_URING_CHECK_VERSION` of liburing is true for what it does not have, and came with 2.3 itself. */
#if defined(IO_URING_VERSION_MAJOR)
#define HAS(major, minor) \
	(IO_URING_VERSION_MAJOR > (major) || (IO_URING_VERSION_MAJOR == (major) && IO_URING_VERSION_MINOR >= (minor)))
#else
#define HAS(major, minor) 0
#endif

struct op {
	unsigned number;
};

static unsigned taken;

static void start(struct io_uring_sqe *sqe)
{
	struct op *op = (struct op *)malloc(sizeof(*op));

	MUST(sqe && op);
	op->number = 7;
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, TRACER_LEAK(op, struct op));
}

static void take(const struct io_uring_cqe *cqe)
{
	struct op *op = TRACER_RECLAIM(io_uring_cqe_get_data(cqe), struct op);

	MUST(op->number == 7 && cqe->res >= 0);
	taken++;
	free(op);
}

static void made(struct io_uring *ring, unsigned setup)
{
	struct io_uring_params params;

	memset(&params, 0, sizeof(params));
	params.flags = setup;
	MUST(!io_uring_queue_init_params(8, ring, &params));
}

static void told(const char *part, struct io_uring *ring)
{
	if (ring)
		io_uring_queue_exit(ring);
	if (taken)
		printf("%s %u\n", part, taken);
	else
		printf("%s refused\n", part);
	taken = 0;
}

#if HAS(2, 4)
enum { GROUP = 3, BUFFERS = 4, BYTES = 64 };

/* A ring of buffers that liburing allocates. */
static void buffers(void)
{
	static char memory[BUFFERS][BYTES];
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	struct io_uring_cqe *cqe;
	int ends[2], error = 0, mask = io_uring_buf_ring_mask(BUFFERS);

	made(&ring, 0);
	MUST(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	buffers = io_uring_setup_buf_ring(&ring, BUFFERS, GROUP, 0, &error);
	MUST(buffers && !error);
	for (int i = 0; i < BUFFERS; i++)
		io_uring_buf_ring_add(buffers, memory[i], BYTES, (unsigned short)i, mask, i);
	io_uring_buf_ring_advance(buffers, BUFFERS);
	for (int i = 0; i < 3 * BUFFERS; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
		unsigned short id;

		start(sqe);
		sqe->opcode = IORING_OP_RECV;
		sqe->fd = ends[0];
		sqe->flags |= IOSQE_BUFFER_SELECT;
		io_uring_sqe_set_buf_group(sqe, GROUP);
		MUST(write(ends[1], "hello", 5) == 5);
		MUST(io_uring_submit_and_wait(&ring, 1) == 1 && !io_uring_wait_cqe(&ring, &cqe));
		MUST(cqe->res == 5 && (cqe->flags & IORING_CQE_F_BUFFER));
		id = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		take(cqe);
		io_uring_buf_ring_add(buffers, memory[id], BYTES, id, mask, 0);
		if (i % 2) {
			__io_uring_buf_ring_cq_advance(&ring, buffers, 1, 1);
		} else {
			io_uring_buf_ring_cq_advance(&ring, buffers, 1);
		}
	}
	MUST(!io_uring_free_buf_ring(&ring, buffers, BUFFERS, GROUP));
	close(ends[0]);
	close(ends[1]);
	told("buffers", &ring);
}
#endif

#if HAS(2, 5)
/* A ring in memory of the program's. */
static void memory(void)
{
	size_t bytes = 1 << 16;
	void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct io_uring_params params;
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	MUST(room != MAP_FAILED);
	memset(&params, 0, sizeof(params));
	if (io_uring_queue_init_mem(8, &ring, &params, room, bytes) < 0) {
		told("memory", NULL);
		return;
	}
	for (int i = 0; i < 20; i++) {
		start(io_uring_get_sqe(&ring));
		MUST(io_uring_submit(&ring) == 1 && !io_uring_wait_cqe(&ring, &cqe));
		take(cqe);
		io_uring_cqe_seen(&ring, cqe);
	}
	told("memory", &ring);
	munmap(room, bytes);
}
#endif

#if HAS(2, 8)
/* A wait that ends early with less. */
static void waits(void)
{
	struct __kernel_timespec patience = {60, 0};
	struct io_uring_cqe *cqe = NULL;
	struct io_uring ring;
	unsigned head, count;

	made(&ring, 0);
	for (int i = 0; i < 3; i++) {
		int result;

		start(io_uring_get_sqe(&ring));
		start(io_uring_get_sqe(&ring));
		result = io_uring_submit_and_wait_min_timeout(&ring, &cqe, 2, &patience, 1000, NULL);
		if (result == -EINVAL) {
			/* What was left there goes with the ring. */
			MUST(io_uring_submit_and_wait(&ring, 2) >= 0);
		} else {
			MUST(result == 2 && cqe);
		}
		MUST(!io_uring_wait_cqes(&ring, &cqe, 2, NULL, NULL));
		if (result != -EINVAL)
			MUST(!io_uring_wait_cqes_min_timeout(&ring, &cqe, 2, &patience, 1000, NULL));
		count = 0;
		io_uring_for_each_cqe(&ring, head, cqe) {
			take(cqe);
			count++;
		}
		MUST(count == 2);
		io_uring_cq_advance(&ring, count);
	}
	told("waits", &ring);
}
#endif

#if HAS(2, 9)
/* A wait whose arguments are registered. */
static void registered(void)
{
	struct io_uring_mem_region_reg reg;
	struct io_uring_region_desc region;
	struct io_uring_reg_wait *wait;
	struct io_uring_cqe *cqe = NULL;
	struct io_uring ring;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(page != MAP_FAILED);
	made(&ring, IORING_SETUP_R_DISABLED);
	memset(&region, 0, sizeof(region));
	memset(&reg, 0, sizeof(reg));
	region.user_addr = (uint64_t)(uintptr_t)page;
	region.size = 4096;
	region.flags = IORING_MEM_REGION_TYPE_USER;
	reg.region_uptr = (uint64_t)(uintptr_t)&region;
	reg.flags = IORING_MEM_REGION_REG_WAIT_ARG;
	if (!io_uring_register_region(&ring, &reg)) {
		MUST(!io_uring_enable_rings(&ring));
		wait = (struct io_uring_reg_wait *)page;
		wait->ts.tv_sec = 60;
		wait->flags = IORING_REG_WAIT_TS;
		for (int i = 0; i < 3; i++) {
			start(io_uring_get_sqe(&ring));
			MUST(io_uring_submit_and_wait_reg(&ring, &cqe, 1, 0) == 1 && cqe);
			take(cqe);
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	told("registered", &ring);
	munmap(page, 4096);
}
#endif

#if HAS(2, 15)
/* Entries of both sizes, in a ring of large ones; and a queue that is gone through by hand. */
static void sizes(void)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	made(&ring, IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
	for (int i = 0; i < 5; i++) {
		struct io_uring_cqe_iter all;
		unsigned count = 0;

		start(io_uring_get_sqe128(&ring));
		start(io_uring_get_sqe(&ring));
		MUST(io_uring_submit_and_wait(&ring, 2) == 2);
		all = io_uring_cqe_iter_init(&ring);
		while (io_uring_cqe_iter_next(&all, &cqe)) {
			take(cqe);
			count += io_uring_cqe_nr(cqe);
		}
		io_uring_cq_advance(&ring, count);
	}
	told("sizes", &ring);
}
#endif

int main(void)
{
	(void)&made;
	(void)&start;
	(void)&take;
	(void)&told;
#if HAS(2, 4)
	buffers();
#endif
#if HAS(2, 5)
	memory();
#endif
#if HAS(2, 8)
	waits();
#endif
#if HAS(2, 9)
	registered();
#endif
#if HAS(2, 15)
	sizes();
#endif
	return 0;
}
