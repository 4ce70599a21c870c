/* What the macros of tracer.h and tracer_liburing.h are measured with. Reads `WORKLOAD COUNT` from stdin, does it, and
 * says so, until stdin ends. Built with the macros compiled to nothing (-DTRACER_OFF), with them, and with a library
 * that tells sanitizers what the kernel does (-DTRACER_SANITIZERS). */
#include "tracer_liburing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BATCH = 32, BYTES = 4096 };

struct conn {
	tracer_coroutine coroutine;
	char buffer[BYTES];
};

struct small {
	void *next;
	long number;
};

static struct io_uring ring;
static struct conn *conns[BATCH];
static int file;

/* A block that is given away and taken back. */
static void pointers(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct small *small = malloc(sizeof *small);
		void *volatile travels;

		small->number = i;
		travels = TRACER_LEAK(small, struct small);
		small = TRACER_RECLAIM(travels, struct small);
		free(small);
	}
}

/* The same, by an owner who is named. */
static void owners(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct small *small = malloc(sizeof *small);
		void *volatile travels;

		small->number = i;
		travels = TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, small, struct small);
		small = TRACER_RECLAIM_AS(TRACER_OWNER_UNIQUE, travels, struct small);
		free(small);
	}
}

/* One handle more of what is given away, and one less. */
static void counts(unsigned count)
{
	static struct small counted;
	struct small *volatile small = &counted;

	TRACER_LEAK_AS(TRACER_OWNER_SHARED, small, struct small);
	for (unsigned i = 0; i < count; i++) {
		TRACER_RETAIN(small, struct small);
		small->number++;
		TRACER_RELEASE(small, struct small);
	}
	TRACER_RECLAIM_AS(TRACER_OWNER_SHARED, small, struct small);
}

static void descriptors(unsigned count)
{
	volatile int number = file;

	for (unsigned i = 0; i < count; i++) {
		number = TRACER_FD_OPENED(number);
		number = TRACER_FD_CLOSING(number);
	}
}

static void borrows(unsigned count)
{
	static struct small shared;
	struct small *volatile small = &shared;

	for (unsigned i = 0; i < count; i++) {
		struct small *borrowed = TRACER_BORROW(small, struct small);

		borrowed->number++;
		TRACER_BORROW_ENDS(borrowed, struct small);
	}
}

/* What is initialised of a buffer is said again and again. */
static void initialised(unsigned count)
{
	volatile char *buffer = conns[0]->buffer;

	for (unsigned i = 0; i < count; i++) {
		buffer[i % BYTES] = 1;
		TRACER_BUFFER_INITIALISED((const void *)buffer, BYTES, i % BYTES + 1);
	}
}

/* A ring of the program's own making, without a kernel behind it. */
static void rings(unsigned count)
{
	static struct tracer_ring *own;
	static volatile uint64_t slots[BATCH][8];

	if (!own)
		own = TRACER_RING_CREATED(TRACER_RING_IN_PLACE, -1, BATCH, 2 * BATCH, 0, 0);
	for (unsigned i = 0; i < count; i++) {
		volatile uint64_t *slot = slots[i % BATCH];

		TRACER_RING_CLAIMED(own, i % BATCH, (void *)slot);
		slot[4] = i;
		TRACER_RING_SUBMITTING(own, i % BATCH, (void *)slot);
		TRACER_RING_ENTERED(own, 1, 0, 1);
		TRACER_RING_REAPED(own, i, 0, 0);
	}
}

static void coroutines(unsigned count)
{
	static tracer_coroutine coroutine;
	static volatile unsigned long turns;

	if (!coroutine)
		coroutine = TRACER_SPAWN("bench");
	for (unsigned i = 0; i < count; i++) {
		TRACER_RESUME(coroutine, 1, turns);
		turns++;
		TRACER_SUSPEND(coroutine, turns);
	}
}

/* Batches of operations, each with the pointer of its connection. */
static void operations(unsigned count, int reads)
{
	for (unsigned left = count; left;) {
		unsigned part = left < BATCH ? left : BATCH;

		for (unsigned i = 0; i < part; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			if (reads)
				io_uring_prep_read(sqe, file, conns[i]->buffer, BYTES, 0);
			else
				io_uring_prep_nop(sqe);
			io_uring_sqe_set_data(sqe, TRACER_LEAK(conns[i], struct conn));
		}
		if (io_uring_submit_and_wait(&ring, part) != (int)part)
			abort();
		for (unsigned i = 0; i < part; i++) {
			struct io_uring_cqe *cqe;
			struct conn *conn;

			if (io_uring_peek_cqe(&ring, &cqe) || cqe->res < 0)
				abort();
			conn = TRACER_RECLAIM(io_uring_cqe_get_data(cqe), struct conn);
			*(volatile char *)conn->buffer;
			io_uring_cqe_seen(&ring, cqe);
		}
		left -= part;
	}
}

int main(void)
{
	char workload[32];
	unsigned count;

	file = memfd_create("bench", MFD_CLOEXEC);
	if (io_uring_queue_init(BATCH, &ring, 0) || file < 0 || ftruncate(file, BYTES))
		return 2;
	for (int i = 0; i < BATCH; i++)
		conns[i] = calloc(1, sizeof *conns[i]);
	while (scanf("%31s %u", workload, &count) == 2) {
		if (!strcmp(workload, "pointers"))
			pointers(count);
		else if (!strcmp(workload, "owners"))
			owners(count);
		else if (!strcmp(workload, "counts"))
			counts(count);
		else if (!strcmp(workload, "descriptors"))
			descriptors(count);
		else if (!strcmp(workload, "borrows"))
			borrows(count);
		else if (!strcmp(workload, "initialised"))
			initialised(count);
		else if (!strcmp(workload, "rings"))
			rings(count);
		else if (!strcmp(workload, "coroutines"))
			coroutines(count);
		else if (!strcmp(workload, "nops"))
			operations(count, 0);
		else if (!strcmp(workload, "reads"))
			operations(count, 1);
		else
			return 2;
		puts("done");
		fflush(stdout);
	}
	return 0;
}
