/* Compound literals as arguments, whose commas no macro may count. Compiled alone: it is about what compiles. */
#include "tracer_liburing.h"

int main(void)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	unsigned head;

	if (io_uring_queue_init_params(4, &ring, &(struct io_uring_params){.flags = IORING_SETUP_CLAMP, .cq_entries = 8}))
		return 2;
	if (io_uring_queue_init(4, &(struct io_uring){.ring_fd = -1, .flags = 0}, 1u << 31) == 0)
		return 2;
	io_uring_wait_cqe_timeout(&ring, &cqe, &(struct __kernel_timespec){0, 1000});
	io_uring_wait_cqes(&ring, &cqe, 1, &(struct __kernel_timespec){0, 1000}, NULL);
	io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &(struct __kernel_timespec){0, 1000}, NULL);
	io_uring_peek_batch_cqe(&ring, (struct io_uring_cqe *[]){NULL, NULL}, 2);
	io_uring_submit_and_get_events((struct io_uring *[]){NULL, &ring}[1]);
	io_uring_get_events((struct io_uring *[]){NULL, &ring}[1]);
	sqe = io_uring_get_sqe((struct io_uring *[]){NULL, &ring}[1]);
	io_uring_prep_nop(sqe);
	io_uring_submit((struct io_uring *[]){NULL, &ring}[1]);
	io_uring_submit_and_wait((struct io_uring *[]){NULL, &ring}[1], (unsigned[]){0, 1}[1]);
	io_uring_for_each_cqe(&ring, head, cqe)
		TRACER_RING_REAPED(TRACER_URING((struct io_uring *[]){NULL, &ring}[1]), 0, 0, 0);
	io_uring_peek_cqe(&ring, (struct io_uring_cqe **[]){NULL, &cqe}[1]);
	io_uring_wait_cqe(&ring, (struct io_uring_cqe **[]){NULL, &cqe}[1]);
	io_uring_wait_cqe_nr(&ring, &cqe, (unsigned[]){0, 1}[1]);
	io_uring_cqe_seen(&ring, (struct io_uring_cqe *[]){NULL, cqe}[1]);
	io_uring_cq_advance(&ring, (unsigned[]){1, 0}[1]);
	TRACER_RING_PUSHED(NULL, &(struct io_uring_sqe){.opcode = IORING_OP_NOP, .user_data = 1});
	TRACER_SUSPEND_ALL(0, (uint64_t[]){1, 2}, 2);
	io_uring_register_buf_ring(&ring, &(struct io_uring_buf_reg){.ring_addr = 0, .ring_entries = 3}, 0);
	io_uring_unregister_buf_ring(&ring, (int[]){7, 8}[1]);
	io_uring_buf_ring_advance((struct io_uring_buf_ring[]){{.resv1 = 0, .resv2 = 0}}, 0);
	TRACER_FD_CLOSING((int[]){-1, -2}[0]);
	TRACER_FD_OPENED((int[]){-1, -2}[0]);
	io_uring_queue_exit((struct io_uring *[]){NULL, &ring}[1]);
	return 0;
}
