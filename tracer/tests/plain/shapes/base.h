/* Random numbers, and what the program and the probe say to each other.
 *
 * Built with -DPROBED the program links the probe for C and tells it who owns which cookie; without, the same lines are
 * a program that never heard of it. */
#ifndef SHAPES_BASE_H
#define SHAPES_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifdef PROBED
#include "tracer_liburing.h"
#else
#include <liburing.h>
#define TRACER_LEAK(pointer, ...) (pointer)
#define TRACER_LEAK_AS(owner, pointer, ...) (pointer)
#define TRACER_LEAK_FOREVER(pointer, ...) (pointer)
#define TRACER_RECLAIM(pointer, ...) (pointer)
#define TRACER_LEAK_INDEX(index, name) (index)
#define TRACER_RECLAIM_INDEX(index, name) (index)
#define TRACER_FD_OPENED(...) (__VA_ARGS__)
#define TRACER_FD_CLOSING(...) (__VA_ARGS__)
#define TRACER_URING(...) (__VA_ARGS__)
#define TRACER_RING_SENTINEL(ring, cookie) ((void)0)
#define TRACER_RING_COOKIES(ring, scheme, mask) ((void)0)
#define TRACER_RING_SHARED(ring, cookie) ((void)0)
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <unistd.h>

/* What older headers do not have. */
enum {
	OP_READ_MULTISHOT = 49,
	OP_FUTEX_WAIT = 51,
	OP_FUTEX_WAKE = 52,
	OP_FIXED_FD_INSTALL = 54,
	TIMEOUT_MULTISHOT = 1 << 6,
	CQE_F_BUF_MORE = 1 << 4,
	BUFFERS_INCREMENTAL = 2,
	FUTEX_32_BITS_PRIVATE = 2 | 128
};

/* The kernel, or this program, did not do what it has to: whatever is found then is no fault of the tracer's. */
static void surprise(const char *what, long long value)
{
	fprintf(stderr, "shapes: surprised by %s (%lld)\n", what, value);
	fflush(NULL);
	abort();
}

static uint64_t random_state;

static uint64_t random_word(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545F4914F6CDD1DULL;
}

/* Below `count`. */
static unsigned pick(unsigned count)
{
	return (unsigned)((random_word() >> 33) % count);
}

static bool one_in(unsigned count)
{
	return pick(count) == 0;
}

static void *block_of(size_t bytes)
{
	void *block = malloc(bytes);

	if (!block)
		surprise("no memory", (long long)bytes);
	return block;
}

static int must(const char *what, int result)
{
	if (result < 0)
		surprise(what, result == -1 ? -errno : result);
	return result;
}

static void close_now(int fd)
{
	must("close", close(TRACER_FD_CLOSING(fd)));
}

#endif
