/* Memory that an operation in flight needs, given back too early: its buffer (`buffer`, `moved`, `unmapped`), the object
 * that its cookie was given away as (`object`), and one that the program only set as user_data (`bare`). With `-fixed`
 * behind the name it waits first. `threads` and `forked` are right: frees of other threads, and of a child, at the same
 * addresses. As C and as C++. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tracer_liburing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "must.h"

enum { BYTES = 4096, MAPPED = 1 << 16 };

struct op {
	int result;
	char buffer[64];
};

static struct io_uring ring;
static int pipes[2];
static int is_fixed;

/* A read that waits until somebody writes. */
static void read_into(void *buffer, unsigned bytes, void *cookie)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	MUST(sqe);
	io_uring_prep_read(sqe, pipes[0], buffer, bytes, 0);
	io_uring_sqe_set_data(sqe, cookie);
	MUST(io_uring_submit(&ring) == 1);
}

static void *completed(void)
{
	struct io_uring_cqe *cqe;
	void *cookie;

	MUST(write(pipes[1], "x", 1) == 1);
	MUST(!io_uring_wait_cqe(&ring, &cqe));
	MUST(cqe->res == 1);
	cookie = io_uring_cqe_get_data(cqe);
	io_uring_cqe_seen(&ring, cqe);
	return cookie;
}

static void *cookie_of_nothing(void)
{
	return (void *)(uintptr_t)7;
}

static void buffer(void)
{
	char *buffer = (char *)malloc(BYTES);

	read_into(buffer + 16, 100, cookie_of_nothing());
	if (is_fixed)
		completed();
	errno = 77;
	free(buffer);
	MUST(errno == 77);
	if (!is_fixed)
		completed();
}

static void moved(void)
{
	char *buffer = (char *)malloc(BYTES), *fence = (char *)malloc(64);

	read_into(buffer, 100, cookie_of_nothing());
	if (is_fixed)
		completed();
	buffer = (char *)realloc(buffer, 64 * BYTES);
	MUST(buffer);
	if (!is_fixed)
		completed();
	free(buffer);
	free(fence);
}

static void unmapped(void)
{
	void *mapping = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(mapping != MAP_FAILED);
	read_into((char *)mapping + BYTES, 100, cookie_of_nothing());
	if (is_fixed)
		completed();
	MUST(!munmap(mapping, MAPPED));
	if (!is_fixed) {
		struct io_uring_cqe *cqe;

		MUST(write(pipes[1], "x", 1) == 1);
		MUST(!io_uring_wait_cqe(&ring, &cqe));
		MUST(cqe->res == -EFAULT);
		io_uring_cqe_seen(&ring, cqe);
	}
}

/* An operation's own structure, which holds no buffer. */
static void object(int is_told)
{
	static char buffer[64];
	struct op *op = (struct op *)calloc(1, sizeof(*op));

	read_into(buffer, 64, is_told ? TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, op, struct op) : op);
	if (is_fixed) {
		void *back = completed();

		op = is_told ? TRACER_RECLAIM(back, struct op) : (struct op *)back;
	}
	free(op);
	if (!is_fixed)
		completed();
}

static void *churn(void *unused)
{
	void *held[64] = {NULL};

	for (int i = 0; i < 20000; i++) {
		void **place = &held[(i * 7) % 64];

		if (i % 3)
			*place = realloc(*place, 16 + (size_t)(i * 37) % 3000);
		else
			free(*place), *place = malloc(16 + (size_t)(i * 53) % 3000);
	}
	for (int i = 0; i < 64; i++)
		free(held[i]);
	return unused;
}

/* Threads free and move all the time, while reads into blocks of this one are in flight. */
static void threads(void)
{
	pthread_t others[3];

	for (int i = 0; i < 3; i++)
		MUST(!pthread_create(&others[i], NULL, churn, NULL));
	for (int i = 0; i < 500; i++) {
		struct op *op = (struct op *)calloc(1, sizeof(*op));

		read_into(op->buffer, 64, TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, op, struct op));
		op = TRACER_RECLAIM(completed(), struct op);
		if (i % 5 == 0)
			op = (struct op *)realloc(op, 2 * sizeof(*op));
		free(op);
	}
	for (int i = 0; i < 3; i++)
		MUST(!pthread_join(others[i], NULL));
}

/* A child frees its copy of what the parent has in flight, and one of vfork closes descriptors of its own. */
static void forked(void)
{
	struct op *op = (struct op *)calloc(1, sizeof(*op));
	int status;
	pid_t child;

	read_into(op->buffer, 64, TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, op, struct op));
	child = fork();
	MUST(child >= 0);
	if (!child) {
		free(op);
		churn(NULL);
		_exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
	free(TRACER_RECLAIM(completed(), struct op));
}

int main(int argc, char **argv)
{
	char *what = argc > 1 ? argv[1] : (char *)"";
	char *fixed = strstr(what, "-fixed");

	is_fixed = fixed != NULL;
	if (fixed)
		*fixed = 0;
	MUST(!io_uring_queue_init(8, &ring, 0) && !pipe(pipes));
	/* What looks like a call of the probe's is none. */
	MUST(munmap((void *)(uintptr_t)9, 0) == -1 && errno == EINVAL);
	if (!strcmp(what, "buffer"))
		buffer();
	else if (!strcmp(what, "moved"))
		moved();
	else if (!strcmp(what, "unmapped"))
		unmapped();
	else if (!strcmp(what, "object"))
		object(1);
	else if (!strcmp(what, "bare"))
		object(0);
	else if (!strcmp(what, "threads"))
		threads();
	else if (!strcmp(what, "forked"))
		forked();
	else
		return 2;
	io_uring_queue_exit(&ring);
	return 0;
}
