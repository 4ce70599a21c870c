/* Every way to submit and to take completions that liburing has, all used correctly.
 *
 *     ways THREADS SETUP_FLAGS
 *
 * Each thread has a ring. Prints how many completions were taken; each is that of a NOP that carries a
 * pointer of its own.
 */
#include "tracer_liburing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRIES 8
#define LAPS 40

struct op {
	unsigned number;
};

struct worker {
	pthread_t thread;
	struct io_uring ring;
	unsigned setup;
	unsigned started;
	unsigned taken;
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "%s: %d\n", what, error);
	exit(2);
}

static void start(struct worker *worker, unsigned count)
{
	while (count--) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&worker->ring);
		struct op *op = (struct op *)malloc(sizeof(*op));

		if (!sqe || !op)
			fail("no entry", 0);
		op->number = worker->started++;
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, TRACER_LEAK(op, struct op));
	}
}

static void take(struct worker *worker, const struct io_uring_cqe *cqe)
{
	struct op *op = TRACER_RECLAIM(io_uring_cqe_get_data(cqe), struct op);

	if (op->number >= worker->started || cqe->res != 0)
		fail("not the completion of a NOP", cqe->res);
	worker->taken++;
	free(op);
}

static void submit(struct worker *worker, unsigned way, unsigned count)
{
	struct __kernel_timespec patience = {60, 0};
	struct io_uring_cqe *cqe = NULL;
	int result;

	switch (way % 4) {
	case 0:
		result = io_uring_submit(&worker->ring);
		break;
	case 1:
		result = io_uring_submit_and_wait(&worker->ring, count);
		break;
	case 2:
		/* The completion that it shows is taken later, and recorded now. */
		result = io_uring_submit_and_wait_timeout(&worker->ring, &cqe, count, &patience, NULL);
		break;
	default:
		result = io_uring_submit_and_get_events(&worker->ring);
		break;
	}
	if (result < 0)
		fail("submit", result);
}

static void wait_for(struct worker *worker, unsigned count)
{
	struct __kernel_timespec patience = {60, 0};
	struct io_uring_cqe *cqe;
	int result = io_uring_wait_cqes(&worker->ring, &cqe, count, &patience, NULL);

	if (result)
		fail("wait_cqes", result);
}

static void take_all(struct worker *worker, unsigned way, unsigned count)
{
	struct __kernel_timespec patience = {60, 0};
	struct io_uring_cqe *cqe, *cqes[ENTRIES];
	unsigned head, shown, index;

	switch (way % 6) {
	case 0:
		while (count--) {
			if (io_uring_wait_cqe(&worker->ring, &cqe))
				fail("wait_cqe", 0);
			take(worker, cqe);
			io_uring_cqe_seen(&worker->ring, cqe);
		}
		break;
	case 1:
		/* Looked at three times, and one completion all the same. */
		while (count--) {
			if (io_uring_wait_cqe_timeout(&worker->ring, &cqe, &patience) ||
			    io_uring_peek_cqe(&worker->ring, &cqe) || io_uring_peek_cqe(&worker->ring, &cqe))
				fail("peek_cqe", 0);
			take(worker, cqe);
			io_uring_cqe_seen(&worker->ring, cqe);
		}
		break;
	case 2:
		wait_for(worker, count);
		shown = io_uring_peek_batch_cqe(&worker->ring, cqes, count);
		for (index = 0; index < shown; index++)
			take(worker, cqes[index]);
		io_uring_cq_advance(&worker->ring, shown);
		break;
	case 3:
		wait_for(worker, count);
		shown = 0;
		io_uring_for_each_cqe(&worker->ring, head, cqe) {
			take(worker, cqe);
			shown++;
		}
		io_uring_cq_advance(&worker->ring, shown);
		break;
	case 4:
		/* The first by a loop that ends early, the rest by hand. */
		wait_for(worker, count);
		io_uring_for_each_cqe(&worker->ring, head, cqe) {
			take(worker, cqe);
			break;
		}
		io_uring_cq_advance(&worker->ring, 1);
		if (io_uring_wait_cqe_nr(&worker->ring, &cqe, count - 1) && count > 1)
			fail("wait_cqe_nr", 0);
		for (index = 1; index < count; index++) {
			if (io_uring_peek_cqe(&worker->ring, &cqe))
				fail("peek_cqe", 0);
			take(worker, cqe);
			io_uring_cq_advance(&worker->ring, 1);
		}
		break;
	default:
		/* By hand. */
		wait_for(worker, count);
		TRACER_URING_SAW(&worker->ring, count);
		for (index = 0; index < count; index++) {
			unsigned shift = (worker->setup & IORING_SETUP_CQE32) != 0;
			unsigned slot = (*worker->ring.cq.khead + index) & *worker->ring.cq.kring_mask;

			take(worker, &worker->ring.cq.cqes[slot << shift]);
		}
		io_uring_cq_advance(&worker->ring, count);
		break;
	}
}

static void *work(void *data)
{
	struct worker *worker = (struct worker *)data;
	struct io_uring_params params = {0};
	unsigned lap;
	int error;

	params.flags = worker->setup;
	params.sq_thread_idle = 1000;
	error = io_uring_queue_init_params(ENTRIES, &worker->ring, &params);
	if (error)
		fail("queue_init_params", error);
	for (lap = 0; lap < LAPS; lap++) {
		unsigned count = lap % ENTRIES + 1;

		if (io_uring_sqring_wait(&worker->ring) < 0)
			fail("sqring_wait", 0);
		while (io_uring_sq_space_left(&worker->ring) < count)
			;
		start(worker, count);
		submit(worker, lap, count);
		take_all(worker, lap / 4, count);
	}
	io_uring_queue_exit(&worker->ring);
	return NULL;
}

int main(int count, char **arguments)
{
	unsigned threads = count > 1 ? (unsigned)atoi(arguments[1]) : 1;
	unsigned setup = count > 2 ? (unsigned)strtoul(arguments[2], NULL, 0) : 0;
	struct worker *workers = (struct worker *)calloc(threads, sizeof(*workers));
	unsigned index, taken = 0;

	for (index = 0; index < threads; index++) {
		workers[index].setup = setup;
		if (pthread_create(&workers[index].thread, NULL, work, &workers[index]))
			fail("pthread_create", 0);
	}
	for (index = 0; index < threads; index++) {
		pthread_join(workers[index].thread, NULL);
		taken += workers[index].taken;
	}
	free(workers);
	printf("%u\n", taken);
	return 0;
}
