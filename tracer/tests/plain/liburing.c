/* A program on the shared library liburing, without the probe: coroutines whose pointers travel as user_data, as
 * the unmodified program in C of most people looks. Rounds of reads from a pipe and NOPs are handed over by the
 * different functions of the library; of each completion the coroutine is resumed. `liburing forget` forgets the
 * user_data of one NOP in the second lap, so that it goes in with the pointer that an earlier operation left in its
 * slot, and a wrong coroutine is resumed. With `old` liburing takes the kernel for one before 5.11, and a wait with a
 * timeout hands over an entry of liburing's own, and all others with it: that is how all rounds go in then. Prints who
 * was resumed, and exits with 7. */
#define _GNU_SOURCE
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct coroutine {
    int number;
    int resumed;
};

static struct io_uring ring;
static struct coroutine coroutines[12];
static int forget, old;

static struct io_uring_sqe *next(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe)
        abort();
    return sqe;
}

static int submit(int round)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec long_time = { .tv_sec = 60 };

    if (old)
        return io_uring_wait_cqes(&ring, &cqe, 1, &long_time, NULL);
    switch (round % 4) {
    case 0:
        return io_uring_submit(&ring);
    case 1:
        return io_uring_submit_and_wait(&ring, 1);
    case 2:
        return io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &long_time, NULL);
    default:
        return io_uring_submit_and_get_events(&ring);
    }
}

static void resume(struct io_uring_cqe *cqe)
{
    struct coroutine *coroutine = io_uring_cqe_get_data(cqe);
    if (cqe->res < 0)
        abort();
    coroutine->resumed++;
    printf(" %d", coroutine->number);
    io_uring_cqe_seen(&ring, cqe);
}

int main(int argc, char **argv)
{
    int ends[2];
    char byte;

    for (int i = 1; i < argc; i++) {
        forget |= !strcmp(argv[i], "forget");
        old |= !strcmp(argv[i], "old");
    }
    if (io_uring_queue_init(4, &ring, 0) || pipe(ends))
        return 2;
    if (old)
        ring.features &= ~IORING_FEAT_EXT_ARG;
    for (int round = 0; round < 12; round++) {
        struct coroutine *coroutine = &coroutines[round];
        struct io_uring_sqe *sqe = next();

        coroutine->number = round;
        if (round % 3 == 0) {
            io_uring_prep_read(sqe, ends[0], &byte, 1, 0);
            io_uring_sqe_set_data(sqe, coroutine);
            if (write(ends[1], "x", 1) != 1)
                abort();
        } else {
            io_uring_prep_nop(sqe);
            if (!(forget && round == 7))
                io_uring_sqe_set_data(sqe, coroutine);
        }
        if (submit(round) < 0)
            abort();
        struct io_uring_cqe *cqe;
        while (io_uring_peek_cqe(&ring, &cqe))
            if (io_uring_wait_cqe(&ring, &cqe))
                abort();
        resume(cqe);
    }
    printf("\n");
    io_uring_queue_exit(&ring);
    return 7;
}
