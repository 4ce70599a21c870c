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
