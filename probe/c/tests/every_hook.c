/* Every macro of tracer.h, once; correct but for the pointer that stays away in the inner scope. Compiled
 * as C and as C++, with and without -DTRACER_OFF. */
#include "tracer.h"

#include <stdlib.h>

struct opaque;

struct conn {
	int descriptor;
};

static void pointers(struct conn *conn)
{
	struct opaque *opaque = (struct opaque *)conn;
	unsigned index = 7;
	uint64_t cookie;

	TRACER_LEAK(conn, struct conn);
	TRACER_PEEK(conn, struct conn)->descriptor++;
	cookie = (uint64_t)(uintptr_t)conn;
	TRACER_RECLAIM(cookie, struct conn)->descriptor++;
	TRACER_LEAK_AS(TRACER_OWNER_SHARED, conn, struct conn);
	TRACER_RETAIN(conn, struct conn);
	TRACER_RELEASE(conn, struct conn);
	TRACER_RECLAIM_AS(TRACER_OWNER_SHARED, conn, struct conn);
	TRACER_LEAK_NAMED(opaque, "struct opaque");
	TRACER_RECLAIM_NAMED(opaque, "struct opaque");
	TRACER_LEAK_INDEX(index, "slot");
	TRACER_RECLAIM_INDEX(index, "slot");
}

static void rings_and_coroutines(void)
{
	uint64_t sqe[8] = {0}, cookies[3] = {5, 6, 7};
	tracer_coroutine first = TRACER_SPAWN("first"), second = TRACER_SPAWN_BY("second", first);
	struct tracer_ring *ring = TRACER_RING_CREATED(TRACER_RING_IN_PLACE, 3, 4, 8, 0, 0);

	TRACER_RING_COOKIES(ring, TRACER_COOKIES_TAGGED, 7);
	TRACER_RING_SENTINEL(ring, 6);
	TRACER_RING_SHARED(ring, 5);
	TRACER_RING_CLAIMED(ring, 0, sqe);
	sqe[4] = 5;
	TRACER_RING_SUBMITTING(ring, 0, sqe);
	sqe[4] = 6;
	TRACER_RING_PUSHED(ring, sqe);
	TRACER_RING_ENTERED(ring, 2, 1, 2);
	TRACER_SUSPEND(first, 5);
	TRACER_SUSPEND_ALL(second, cookies, 3);
	TRACER_RING_OVERFLOWED(ring, 1);
	TRACER_RING_REAPED(ring, 5, 0, 0);
	TRACER_RING_REAPED(ring, 6, -62, 0);
	TRACER_RING_OWNER(ring, "part");
	TRACER_RING_REAPED_AT(ring, 2, 6, -62, 0);
	TRACER_RING_OWNER(ring, "");
	TRACER_RESUME(first, TRACER_RING_ID(ring), 5);
	TRACER_DONE(first);
	TRACER_WAKE(second);
	TRACER_RESUME(second, 0, 0);
	TRACER_DROP(second);
	TRACER_BUFFERS_PROVIDED(ring, 7, 1, 2);
	TRACER_BUFFERS_WITHDRAWN(ring, 7);
	TRACER_RING_DROPPED(ring);
}

static void descriptors_and_memory(struct conn *conn)
{
	static char buffer[16];
	int fd = TRACER_FD_OPENED(7);

	TRACER_FD_CLOSING(fd);
	TRACER_FD_OPENED(-1);
	TRACER_BUFFER_INITIALISED(buffer, sizeof(buffer), 3);
	TRACER_BUFFER_GONE(buffer);
	conn = TRACER_BORROW(conn, struct conn);
	TRACER_BORROW_ENDS(conn, struct conn);
	TRACER_BORROW_SHARED(conn, struct conn)->descriptor++;
	TRACER_BORROW_SHARED_ENDS(conn, struct conn);
	/* Somebody outside may point to it; the free at the end of main is the same. */
	TRACER_LEAK(conn, struct conn);
	TRACER_RECLAIM(conn, struct conn);
	TRACER_FREEING(conn, sizeof(*conn));
	TRACER_UNMAPPING(buffer, 4096);
}

int main(void)
{
	struct conn *conn = (struct conn *)calloc(1, sizeof(*conn));
	struct conn *for_ever = (struct conn *)calloc(1, sizeof(*for_ever));

	TRACER_SCOPE_BEGIN(outer, "outer");
	pointers(conn);
	TRACER_SCOPE_BEGIN(inner, "inner");
	TRACER_LEAK(conn, struct conn);
	TRACER_SCOPE_END(inner);
	TRACER_RECLAIM(conn, struct conn);
	TRACER_SCOPE_END(outer);
	TRACER_LEAK_FOREVER(for_ever, struct conn);
	rings_and_coroutines();
	descriptors_and_memory(conn);
	TRACER_MARK("a mark");
	free(conn);
	free(for_ever);
	return TRACER_IS_RECORDING() ? 3 : 0;
}
