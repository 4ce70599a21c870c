/* More completions than the completion queue has room for: the kernel keeps the rest until it is entered.
 *
 *     overflow forgets     takes what lies in the queue, again and again, and never enters
 *     overflow fetches     enters when liburing says that there are more
 *
 * Prints how many it has seen.
 */
#include "tracer_liburing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPERATIONS 8

static struct op {
	unsigned number;
} ops[OPERATIONS];

static unsigned take(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	io_uring_for_each_cqe(ring, head, cqe) {
		struct op *op = TRACER_RECLAIM(io_uring_cqe_get_data(cqe), struct op);

		if (op->number >= OPERATIONS || cqe->res != 0)
			exit(2);
		count++;
	}
	io_uring_cq_advance(ring, count);
	return count;
}

int main(int count, char **arguments)
{
	int fetches = count > 1 && !strcmp(arguments[1], "fetches");
	struct io_uring_params params = {0};
	struct io_uring ring;
	unsigned number, seen = 0, looks;

	params.flags = IORING_SETUP_CQSIZE;
	params.cq_entries = 4;
	if (io_uring_queue_init_params(2, &ring, &params))
		return 2;
	for (number = 0; number < OPERATIONS; number++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		if (!sqe)
			return 2;
		ops[number].number = number;
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, TRACER_LEAK(&ops[number], struct op));
		if (io_uring_submit(&ring) != 1)
			return 2;
	}
	for (looks = 0; looks < 5; looks++) {
		seen += take(&ring);
		if (fetches && io_uring_cq_has_overflow(&ring) && io_uring_get_events(&ring) < 0)
			return 2;
	}
	printf("%u\n", seen);
	/* Without io_uring_queue_exit: that operations are in flight then is another mistake. */
	return 0;
}
