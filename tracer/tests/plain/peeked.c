/* A program on the shared library liburing, without the probe, that publishes an entry by hand, looks whether there are
 * completions, which enters nothing, fills the entry, and enters: the kernel gets what was filled last. Prints the
 * user_data that came back. */
#define _GNU_SOURCE
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void publish(struct io_uring *ring)
{
    unsigned tail = *ring->sq.ktail, slot = tail & (ring->sq.ring_entries - 1);

    ring->sq.array[slot] = slot;
    __atomic_store_n(ring->sq.ktail, tail + 1, __ATOMIC_RELEASE);
    ring->sq.sqe_head = ring->sq.sqe_tail;
}

int main(void)
{
    struct io_uring ring;
    struct io_uring_cqe *cqe;

    if (io_uring_queue_init(4, &ring, 0))
        return 2;
    for (int round = 1; round <= 3; round++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

        if (!sqe)
            abort();
        io_uring_prep_nop(sqe);
        sqe->user_data = 16;
        publish(&ring);
        if (io_uring_peek_batch_cqe(&ring, &cqe, 1))
            abort();
        sqe->user_data = round;
        if (syscall(__NR_io_uring_enter, ring.ring_fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
            abort();
        if (io_uring_peek_batch_cqe(&ring, &cqe, 1) != 1)
            abort();
        printf(" %llu", (unsigned long long)cqe->user_data);
        io_uring_cqe_seen(&ring, cqe);
    }
    printf("\n");
    io_uring_queue_exit(&ring);
    return 0;
}
