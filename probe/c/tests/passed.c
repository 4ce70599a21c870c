/* The head of a completion queue that is moved further than the program looked.
 *
 *     passed unread     gives two back for the one that it looked at: the second is never looked at
 *     passed beyond     gives two back where there is one: the next one is passed by before it comes
 *     passed right      each once
 *
 * Without the header (TRACER_OFF) the same, for the shim.
 */
#include "tracer_liburing.h"

#include <stdio.h>
#include <string.h>

static struct op {
	int number;
} ops[8];

static void push(struct io_uring *ring, struct op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, TRACER_LEAK(op, struct op));
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	int looked = 0, first = 1, most = strcmp(how, "unread") ? 1 : 2;
	struct io_uring ring;
	struct io_uring_cqe *cqe;

	if (io_uring_queue_init(8, &ring, 0))
		return 3;
	for (int number = 0; number < 6; number++) {
		push(&ring, &ops[number]);
		/* Two at a time, or one. */
		if (most == 2 && number % 2 == 0)
			continue;
		io_uring_submit(&ring);
		/* No more than there may be: behind a head beyond the tail liburing shows what is long gone. */
		for (int count = 0; count < most && !io_uring_peek_cqe(&ring, &cqe); count++) {
			struct op *op = (struct op *)TRACER_RECLAIM(io_uring_cqe_get_data(cqe), struct op);

			looked += op >= ops;
			io_uring_cqe_seen(&ring, cqe);
			if (first && strcmp(how, "right")) {
				first = 0;
				io_uring_cq_advance(&ring, 1);
			}
		}
	}
	printf("%d\n", looked);
	io_uring_queue_exit(&ring);
	return 0;
}
