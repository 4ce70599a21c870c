// Arguments of templates, whose commas no macro may count.
#include "tracer_liburing.h"

template <class T, int> T *same(T *pointer)
{
	return pointer;
}

struct promise {
	tracer_coroutine coroutine = TRACER_SPAWN("promise");
};

int main()
{
	struct io_uring ring;
	struct io_uring_params params = {};
	struct __kernel_timespec ts = {0, 1000};
	struct io_uring_cqe *cqe = nullptr;

	if (io_uring_queue_init_params(4, same<io_uring, 0>(&ring), same<io_uring_params, 0>(&params)))
		return 2;
	io_uring_wait_cqe_timeout(&ring, &cqe, same<__kernel_timespec, 0>(&ts));
	io_uring_submit_and_wait_timeout(&ring, &cqe, 1, same<__kernel_timespec, 0>(&ts), nullptr);
	io_uring_prep_nop(io_uring_get_sqe(same<io_uring, 0>(&ring)));
	io_uring_submit_and_wait(same<io_uring, 0>(&ring), 1);
	promise waits;
	TRACER_DONE(waits.coroutine);
	unsigned head, count = 0;
	io_uring_for_each_cqe(&ring, head, cqe)
		count++;
	io_uring_cq_advance(same<io_uring, 0>(&ring), count);
	TRACER_RING_SENTINEL(TRACER_URING(same<io_uring, 0>(&ring)), 0);
	io_uring_queue_exit(same<io_uring, 0>(&ring));
	return count == 1 ? 0 : 1;
}
