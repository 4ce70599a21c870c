/* The original bug, in 60 lines of C: an entry whose user_data nobody sets.
 *
 * A connection naps, and its struct goes back to a pool of one. The next connection gets the same struct and naps
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
	struct __kernel_timespec time;
	int naps;
};

static struct conn pool;
static struct io_uring ring;

static void nap(const char *name, long long ms)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct conn *conn = &pool;

	conn->name = name;
	conn->coroutine = TRACER_SPAWN("conn");
	conn->time.tv_nsec = ms * 1000000;
	conn->naps = 1;
	io_uring_prep_timeout(sqe, &conn->time, 0, 0);
	io_uring_sqe_set_data(sqe, TRACER_LEAK(conn, struct conn));
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

static void turn(void) /* takes one completion and resumes whoever waits for it */
{
	struct io_uring_cqe *cqe;

	io_uring_submit(&ring);
	if (io_uring_wait_cqe(&ring, &cqe) != 0)
		return;
	if (io_uring_cqe_get_data(cqe)) {
		struct conn *conn = TRACER_RECLAIM(io_uring_cqe_get_data(cqe), struct conn);
		TRACER_RESUME(conn->coroutine, TRACER_URING_ID(&ring), cqe->user_data);
		printf("%s wakes up (%d)\n", conn->name, cqe->res);
		if (--conn->naps == 0)
			TRACER_DONE(conn->coroutine);
	}
	io_uring_cqe_seen(&ring, cqe);
}

int main(void)
{
	if (io_uring_queue_init(2, &ring, 0) != 0) {
		fprintf(stderr, "no io_uring here\n");
		return 2;
	}
	TRACER_RING_SENTINEL(TRACER_URING(&ring), 0);
	nap("first", 1);
	turn();
	nap("second", 50);
	wake_ring();
	turn();
	turn();
	io_uring_queue_exit(&ring);
}
