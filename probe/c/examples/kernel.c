/* Programs over io_uring for sanitizers to look at, one per argument; `.ci/sanitizers` runs them, without and
 * with the probe's word to them (-DTRACER_SANITIZERS). b02 and b05 are correct, and by themselves sanitizers
 * give false alarms on them. The others have a mistake that they do not see.
 */
#include "tracer_liburing.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s failed\n", what);
		exit(2);
	}
}

/* liburing itself is not instrumented: what it writes must not count as uninitialised. */
static void start(struct io_uring *ring)
{
	memset(ring, 0, sizeof(*ring));
	must(io_uring_queue_init(8, ring, 0) == 0, "io_uring_queue_init");
}

static struct io_uring_sqe *entry(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	must(sqe != NULL, "io_uring_get_sqe");
	return sqe;
}

static int wait_for_one(struct io_uring *ring)
{
	struct io_uring_cqe *cqe = NULL;
	int result;

	must(io_uring_wait_cqe(ring, &cqe) == 0, "io_uring_wait_cqe");
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result;
}

/* Does something that depends on each byte. */
static void use_up(const char *bytes, int count)
{
	int index, letters = 0;

	for (index = 0; index < count; index++)
		if (bytes[index] > ' ')
			letters++;
	printf("%d letters\n", letters);
}

static void read_into(struct io_uring *ring, int from, char *buffer)
{
	struct io_uring_sqe *sqe = entry(ring);

	io_uring_prep_read(sqe, from, buffer, 64, 0);
	io_uring_sqe_set_data(sqe, TRACER_LEAK(buffer, char));
	must(io_uring_submit(ring) == 1, "io_uring_submit");
}

/* The kernel fills memory that nobody else wrote to. */
static void spare_room(void)
{
	struct io_uring ring;
	int ends[2], result;
	char *buffer = malloc(64);

	start(&ring);
	must(buffer && pipe(ends) == 0 && write(ends[1], "hello", 5) == 5, "a pipe");
	read_into(&ring, ends[0], buffer);
	result = wait_for_one(&ring);
	must(result == 5, "read");
	use_up(TRACER_RECLAIM(buffer, char), result);
	free(buffer);
	io_uring_queue_exit(&ring);
}

struct state {
	unsigned long numbers[4];
};

static void *use_in_another_thread(void *data)
{
	struct io_uring *ring = data;
	struct io_uring_cqe *cqe;
	unsigned head;

	for (;;) {
		io_uring_for_each_cqe(ring, head, cqe) {
			struct state *state = TRACER_RECLAIM(io_uring_cqe_get_data(cqe), struct state);
			unsigned long sum = state->numbers[0] + state->numbers[3];

			free(state);
			io_uring_cq_advance(ring, 1);
			return (void *)sum;
		}
		sched_yield();
	}
}

/* One thread makes it, the kernel passes it on, another looks at the completion queue alone. */
static void handed_over(void)
{
	static struct io_uring ring;
	struct io_uring_sqe *sqe;
	struct state *state;
	pthread_t other;
	void *sum;

	start(&ring);
	must(pthread_create(&other, NULL, use_in_another_thread, &ring) == 0, "pthread_create");
	state = calloc(1, sizeof(*state));
	must(state != NULL, "calloc");
	state->numbers[0] = 1;
	state->numbers[3] = 4;
	sqe = entry(&ring);
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, TRACER_LEAK(state, struct state));
	must(io_uring_submit(&ring) == 1, "io_uring_submit");
	must(pthread_join(other, &sum) == 0 && sum == (void *)5, "the sum");
	io_uring_queue_exit(&ring);
}

/* Looks into a buffer that the kernel has. */
static void touched(void)
{
	struct io_uring ring;
	int ends[2];
	char *buffer = calloc(1, 64);

	start(&ring);
	must(buffer && pipe(ends) == 0, "a pipe");
	read_into(&ring, ends[0], buffer);
	use_up(buffer, 64);
	must(write(ends[1], "hello", 5) == 5, "write");
	wait_for_one(&ring);
	free(TRACER_RECLAIM(buffer, char));
	io_uring_queue_exit(&ring);
}

/* Writes out what nobody wrote in. */
static void uninitialised(void)
{
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	int file = open("/dev/null", O_WRONLY);
	char *buffer = malloc(64);

	start(&ring);
	must(buffer && file >= 0, "/dev/null");
	memcpy(buffer, "hello", 5);
	sqe = entry(&ring);
	io_uring_prep_write(sqe, file, buffer, 64, 0);
	io_uring_sqe_set_data(sqe, TRACER_LEAK(buffer, char));
	must(io_uring_submit(&ring) == 1, "io_uring_submit");
	wait_for_one(&ring);
	free(TRACER_RECLAIM(buffer, char));
	io_uring_queue_exit(&ring);
}

int main(int count, char **arguments)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} turns[] = {
		{"b02", spare_room},
		{"b05", handed_over},
		{"touched", touched},
		{"uninitialised", uninitialised},
	};
	size_t index;

	for (index = 0; count > 1 && index < sizeof(turns) / sizeof(turns[0]); index++) {
		if (!strcmp(arguments[1], turns[index].name)) {
			turns[index].run();
			return 0;
		}
	}
	fprintf(stderr, "usage: kernel b02 | b05 | touched | uninitialised\n");
	return 2;
}
