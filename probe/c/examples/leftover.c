/* The original bug, in C: an entry whose user_data nobody sets.
 *
 * A connection naps, and its struct goes back to the pool. The next connection gets the same struct and naps
 * for longer. Then a NOP is submitted to wake the ring; nobody waits for it, so nobody gives it user_data.
 * Its slot is the one of the first nap and still holds that pointer: a real one, of a connection that is
 * alive. It is resumed long before its time, and no sanitizer has anything to say.
 *
 *     cc -Iprobe/c/include probe/c/examples/leftover.c -luring target/release/libtracer_probe_c.a \
 *         -lpthread -ldl -lm -o leftover
 *     tracer record -- ./leftover && tracer check trace.bin
 *
 * -DFIXED: the line that is missing.
 */
#include "tracer_liburing.h"

#include <stdio.h>

struct conn {
	const char *name;
	tracer_coroutine coroutine;
	struct __kernel_timespec nap;
	int naps;
	struct conn *next;
};

static struct conn storage[2], *pool;
static struct io_uring ring;

static struct conn *open_conn(const char *name, long long ms)
{
	struct conn *conn = pool;

	pool = conn->next;
	conn->name = name;
	conn->coroutine = TRACER_SPAWN("conn");
	conn->nap.tv_sec = 0;
	conn->nap.tv_nsec = ms * 1000000;
	return conn;
}

static void close_conn(struct conn *conn)
{
	TRACER_DONE(conn->coroutine);
	conn->next = pool;
	pool = conn;
}

static void nap(struct conn *conn)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	io_uring_prep_timeout(sqe, &conn->nap, 0, 0);
	io_uring_sqe_set_data(sqe, TRACER_LEAK(conn, struct conn));
	conn->naps++;
	TRACER_SUSPEND(conn->coroutine, conn);
}

static void wake_ring(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	io_uring_prep_nop(sqe);
#ifdef FIXED
	io_uring_sqe_set_data(sqe, NULL);
#endif
}

/* Takes one completion and resumes whoever waits for it. */
static void turn(void)
{
	struct io_uring_cqe *cqe;
	struct conn *conn;

	io_uring_submit(&ring);
	if (io_uring_wait_cqe(&ring, &cqe) != 0)
		return;
	if (io_uring_cqe_get_data(cqe)) {
		conn = TRACER_RECLAIM(io_uring_cqe_get_data(cqe), struct conn);
		TRACER_RESUME(conn->coroutine, TRACER_URING_ID(&ring), cqe->user_data);
		printf("%s wakes up (%d)\n", conn->name, cqe->res);
		if (--conn->naps == 0)
			close_conn(conn);
	}
	io_uring_cqe_seen(&ring, cqe);
}

int main(void)
{
	int error = io_uring_queue_init(2, &ring, 0);

	if (error) {
		fprintf(stderr, "no io_uring here: %d\n", error);
		return 2;
	}
	TRACER_RING_SENTINEL(TRACER_URING(&ring), 0);
	storage[0].next = &storage[1];
	pool = &storage[0];
	nap(open_conn("first", 1));
	turn();
	nap(open_conn("second", 50));
	wake_ring();
	turn();
	turn();
	io_uring_queue_exit(&ring);
	return 0;
}
